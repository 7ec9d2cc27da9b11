//! Linux moves from one chassis to the other and back while it works: it keeps memory
//! changing, writes into a file system, is pinged, and has somebody at its shell.
//!
//! `LDOMLAB_MOVES` moves, 2 unless it says otherwise. What is waited for without work of
//! ours is a tenth of what it was in 2011: the guest is busy all the time.
//!
//! Its disk driver puts requests that are under way when the channel is reset on a list that
//! nothing takes them from (`vdc_requeue_inflight` asks for no kick), so what waits for the
//! disk would wait for ever after a move in the middle of one: each is to begin in a lull.

use super::disk::{image, tool};
use super::log::trouble;
use super::scenario::run;
use super::{guest, scratch};
use std::fmt::Write as _;
use std::path::Path;

/// What it runs; its first process makes blanks of commas.
const WORK: &str = "console=ttyHV0 ip=192.168.1.50 rng_core.default_quality=1000 \
    run=telnetd,-l,/bin/sh;mkdir,/mnt;mount,/dev/vdiska,/mnt;dirty,64&\
    (n=0;while,:;do,n=$((n+1));echo,clock:,$n,$(date,+%s),$(cut,-d.,-f1,/proc/uptime);sleep,2;done)&\
    n=0;while,[,!,-e,/tmp/enough,];do,n=$((n+1));echo,$n>>/mnt/log;\
    head,-c,300000,/bin/busybox>/mnt/part$((n%50));sync;done;\
    umount,/mnt&&echo,unmounted;dmesg>/dev/console;echo,wrote,$n";

/// The scenario of Linux at the article's lab up to where it is moved, and then so often.
fn scenario(moves: usize) -> String {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/scenarios/linux.toml");
    let whole = std::fs::read_to_string(whole).unwrap();
    let (head, _) = whole.split_once("# There.\n").unwrap();
    let mut text = head.replace("console line rover: disk read", "console line rover: clock: 1");
    let mut step = |keys: &[&str], run: &str| {
        write!(text, "[[script]]\n{}\nrun = \"{run}\"\n", keys.join("\n")).unwrap();
    };
    for number in 0..moves {
        let (from, to) = if number % 2 == 0 { ("t5120", "t5220") } else { ("t5220", "t5120") };
        let command = format!("{from}# ldm migrate-domain -p /root/{to}.password rover {to}");
        step(&["after = \"300ms\""], &command);
    }
    step(&["after = \"2s\""], "workstation# typist off");
    step(&["after = \"2s\""], "workstation# type touch /tmp/enough");
    let wrote = "when = \"console line rover: wrote \"";
    step(&[wrote, "within = \"20s\""], "workstation# logout");
    step(&["after = \"1s\""], "pinger# stop");
    step(&[], "nas# images");
    text
}

#[test]
fn linux_moves_and_loses_nothing() {
    let Some(guest) = guest("moves") else { return };
    let moves = std::env::var("LDOMLAB_MOVES").map_or(2, |moves| moves.parse().unwrap());
    if moves == 0 {
        eprintln!("SKIPPED: LDOMLAB_MOVES is 0, Linux does not move");
        return;
    }
    let folder = scratch("moves");
    let Some(image) = image(&folder) else { return };
    let file = folder.join("moves.toml");
    std::fs::write(&file, scenario(moves)).unwrap();
    let mut set = vec![
        "migration.fixed_percent=10".to_owned(),
        "limits.time=900s".to_owned(),
        "disks.0.size=256M".to_owned(),
        "disks.0.seed=0".to_owned(),
        format!("disks.0.file={}", image.display()),
        "disks.0.keep=true".to_owned(),
        format!("chassis.t5120.guests.rover.append={WORK}"),
    ];
    for (key, file) in [("kernel", &guest.kernel), ("initrd", &guest.initrd)] {
        set.push(format!("chassis.t5120.guests.rover.{key}={}", file.display()));
    }
    let out = folder.join("out");
    let run = run(&file, &set, &out);

    let came = run.facts("migration", "taken over");
    assert_eq!(came.len(), moves, "{}", run.transcript);
    let lulls = run.facts("migration", "lull");
    let rests = lulls.iter().filter(|lull| lull["values"]["rests"] == 1);
    assert_eq!((rests.count(), lulls.len()), (moves, moves), "{lulls:?}");
    let lost = run.facts("ping", "lost");
    let replies = run.facts("ping", "reply").len();
    assert!(lost.is_empty() && replies > 20 * moves, "{lost:?}, {replies} replies");
    let closed: Vec<_> = run.facts("session", "closed");
    assert!(closed.len() == 1 && closed[0]["text"] == "us", "{closed:?}");
    assert!(run.facts("echo", "seen").len() > 10 * moves);
    let console = run.console("rover");
    assert_eq!(trouble(&console.join("\n")), Vec::<&str>::new());
    assert!(console.contains(&"unmounted"), "{console:?}");
    // What it has written is on the disk, and nothing is wrong with it.
    let kept = out.join("rover0.img");
    let checked = tool("e2fsck", &["-fn", kept.to_str().unwrap()]).unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let copy = folder.join("log");
    let dump = format!("dump /log {}", copy.display());
    tool("debugfs", &["-R", &dump, kept.to_str().unwrap()]).unwrap();
    let wrote = console.iter().find_map(|line| line.strip_prefix("wrote ")).unwrap();
    let lines: usize = wrote.trim().parse().unwrap();
    let expected: String = (1..=lines).map(|n| format!("{n}\n")).collect();
    assert_eq!(std::fs::read_to_string(copy).unwrap(), expected);
    let figure = |fact: &&serde_json::Value, name: &str| fact["values"][name].as_u64().unwrap();
    for (lull, over) in lulls.iter().zip(&run.facts("migration", "handed over")) {
        let [took, tries] = ["took_us", "tries"].map(|name| figure(lull, name));
        println!("paused {} us; lull after {took} us, {tries} tries", figure(over, "pause_us"));
    }
    println!("{moves} moves, {replies} pings, {lines} lines written");
}
