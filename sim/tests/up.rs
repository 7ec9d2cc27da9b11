//! `ldomlab up` with somebody at the keyboard.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The story up to where somebody could take over: `rover` runs, people are there.
fn scenario(name: &str) -> std::path::PathBuf {
    let short = include_str!("../../testdata/scenarios/short.toml");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, short.split_once("# There.").unwrap().0).unwrap();
    path
}

/// Types these lines; what was printed, and how it ended.
fn up(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ldomlab"))
        .arg("up")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `text` holds these, each behind the one before.
fn holds_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else {
            panic!("no `{part}` where it should be in\n{text}");
        };
        rest = behind;
    }
}

#[test]
fn a_domain_is_moved_by_hand() {
    let scenario = scenario("up-hand.toml");
    let output = up(
        &[scenario.to_str().unwrap()],
        "t5120# ldm list\n\
         wait 2s\n\
         nas# owners\n\
         t5120# ldm set-variable fill-percent=30 rover\n\
         t5120# ldm list-variable fill-percent rover\n\
         lab# set lab/t5220 speed=100Mbit/s\n\
         lab# set lab/t5220\n\
         t5120# ldm migrate-domain -p /root/t5220.password rover t5220\n\
         t5120# ldm list\n\
         t5220# ldm list\n\
         nas# owners\n\
         # that was it\n\
         quit\n\
         t5120# ldm list\n",
    );
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""));
    holds_in_order(
        &out,
        &[
            // The script.
            "t5120 rover| rover: 2 cpus, 64 MB",
            "t5120 rover| rover: up",
            // The first list, and two seconds later another beat of the clock.
            "rover            active     -n----  5000    2     64M ",
            "t5120 rover| clock: 2 ",
            " epoch 1, 0 refused\n",
            "fill-percent=30\n",
            "t5220: speed=100000000bit/s",
            // It moves.
            "t5220 rover| clock: ",
            "NAME             STATE",
            "primary          active     -n-cv-  SP ",
            "NAME             STATE",
            "primary          active     -n-cv-  SP ",
            "rover            active     -n----  5000    2     64M ",
            // Its new chassis has claimed its disk.
            " epoch 2, 0 refused\n",
        ],
    );
    let lists = out.matches("NAME             STATE").count();
    // What the script asked is its own affair; what stands behind `quit` is not read.
    assert_eq!(lists, 3, "{out}");
}

#[test]
fn a_slow_network_makes_a_migration_slow() {
    let scenario = scenario("up-slow.toml");
    let took = |speed: &str| {
        let output = up(
            &[scenario.to_str().unwrap(), "--set", "linger=0s"],
            &format!(
                "lab# set lab speed={speed}\n\
                 t5120# ldm migrate-domain -p /root/t5220.password rover t5220\n\
                 wait 3s\n"
            ),
        );
        let out = text(&output.stdout);
        let uptime = out.lines().rfind(|line| line.contains("rover| clock: ")).unwrap().to_owned();
        uptime.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let (fast, slow) = (took("1Gbit/s"), took("10Mbit/s"));
    assert!(slow > fast + 2.0, "{fast} s and {slow} s");
}

#[test]
fn what_was_typed_wrong_is_answered_and_nothing_changes() {
    let output = up(
        &["--no-script"],
        "t5120# ldm list\n\
         t5120# ldm list-domain moon\n\
         t5120# ldm start-domain moon\n\
         t5120# ldm frobnicate\n\
         t5120# frobnicate\n\
         t5120# ldm add-vcpu many primary\n\
         mars# ldm list\n\
         ldm list\n\
         wait for me\n\
         nas# frobnicate\n\
         workstation# login mars\n\
         pinger# ping rover every now\n\
         lab# set lab loss=2\n\
         t5120# ldm list\n",
    );
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""));
    // The first list and the last are the same, but for how busy the asking makes it.
    let (first, last) = (out.find("NAME ").unwrap(), out.rfind("NAME ").unwrap());
    let list = |at: usize| out[at..].lines().take(2).map(|line| &line[..59]).collect::<Vec<_>>();
    assert_eq!(list(first), list(last));
    insta::assert_snapshot!(out[first..last].lines().skip(2).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_lab_that_cannot_be_powered_on_is_one_line() {
    let output = up(&["--no-script", "--set", "chassis.t5120.boot=nowhere.bin"], "");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), out.as_str()), (Some(1), ""));
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.starts_with("ldomlab: chassis t5120: boot image nowhere.bin: "), "{err}");
}
