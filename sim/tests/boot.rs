//! What `rover` asks of the hypervisor while it boots, call by call: with two virtual
//! CPUs, disks and a network, up to where its memory is being filled. And `ldomlab boot`,
//! with somebody or something at the console.

#![expect(clippy::unwrap_used, reason = "a test may")]
#![expect(clippy::disallowed_methods, reason = "what waits for the host is held against its clock")]

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use sim::cli::lab::Options;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use sun4v::time::SimTime;

/// Lines of the snapshot; what comes behind is more of the same.
const LINES: usize = 400;

/// The calls of rover in the story's beginning, without their times.
fn calls() -> Vec<String> {
    let scenario = "../testdata/scenarios/short.toml";
    let options = Options {
        scenario: Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(scenario)),
        seed: None,
        threads: Some(1),
        set: Vec::new(),
        ..Options::default()
    };
    let (scenario, file) = options.scenario().unwrap();
    let mut world = options.power_on(&scenario, &file).unwrap();
    world.set_trace(true);
    let mut calls = Vec::new();
    loop {
        world.run_until(world.now().plus(SimTime::ms(50))).unwrap();
        calls.extend(world.take_trace().into_iter().filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            let (server, rest) =
                (words.next()?, line.trim_start_matches(|c| c != ' ').trim_start());
            let (_, call) = rest.split_once(' ')?;
            (server == "t5120").then_some(())?;
            call.strip_prefix("rover ").map(str::to_owned)
        }));
        let done = |fact: &sim::lab::record::Fact| fact.text.contains("fill done");
        if world.take_facts().iter().any(done) {
            return calls;
        }
        assert!(world.now() < SimTime::secs(10), "rover is not up");
    }
}

/// Folds lines that follow each other and are equal.
fn folded(lines: &[String]) -> Vec<String> {
    let equal = lines.chunk_by(|one, next| one == next);
    equal
        .map(|same| match same {
            [line] => line.clone(),
            _ => format!("{} ({} times)", same[0], same.len()),
        })
        .collect()
}

#[test]
fn rover_boots_by_these_calls() {
    let calls = calls();
    let mut lines = folded(&calls);
    assert!(lines.len() > LINES, "{}", lines.len());
    lines.truncate(LINES);
    insta::assert_snapshot!(lines.join("\n"));
}

/// A folder of a test's own.
fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// `ldomlab boot` with a small guest, under way.
fn start(args: &[&str], input: Stdio) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ldomlab"))
        .args(["boot", "--vcpus", "1", "--memory", "64M", "--for", "60s"])
        .args(args)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs it with this input; output, errors and exit status.
fn boot(args: &[&str], input: &[u8]) -> (String, String, Option<i32>) {
    let mut child = start(args, Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    // Whoever does not read it all has ended before.
    let _ = stdin.write_all(input);
    drop(stdin);
    ended(child)
}

fn ended(child: Child) -> (String, String, Option<i32>) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(stdout), text(stderr), status.code())
}

#[test]
fn what_is_typed_reaches_the_guest_and_how_it_ends_is_our_status() {
    let (out, err, status) = boot(&["--firmware", "echo"], b"hello, world\r!exit 7\rnever\r");
    assert_eq!(out, "echo: 64 MB, vcpu 0\r\necho: hello, world\r\necho: bye\r\n");
    assert_eq!((err.as_str(), status), ("ldomlab: guest: exited with code 7\n", Some(7)));
    let (_, err, status) = boot(&["--firmware", "echo"], b"!exit 300\r");
    assert_eq!((err.as_str(), status), ("ldomlab: guest: exited with code 300\n", Some(255)));
    // No input at all is nobody who leaves.
    let (out, err, status) = boot(&["--firmware", "hello"], b"");
    assert!(out.starts_with("hello: 64 MB of memory at "), "{out}");
    assert_eq!((err.as_str(), status), ("ldomlab: guest: powered off\n", Some(0)));
}

#[test]
fn nothing_is_lost_either_way() {
    // More than all queues between here and the guest hold, while it does not read.
    let lines: Vec<_> = (0..150).map(|n| format!("{n} {}", "x".repeat(n % 70))).collect();
    let input = format!("!flood 3000\r!sleep\r{}\r!exit 0\r", lines.join("\r"));
    let (out, _, status) = boot(&["--firmware", "echo"], input.as_bytes());
    let mut expected = "echo: 64 MB, vcpu 0\r\n".to_owned();
    (1..=3000).for_each(|n| expected += &format!("echo: line {n} of 3000\r\n"));
    expected += "echo: asleep\r\necho: awake\r\n";
    lines.iter().for_each(|line| expected += &format!("echo: {line}\r\n"));
    expected += "echo: bye\r\n";
    assert_eq!(status, Some(0));
    let differs = out.lines().zip(expected.lines()).find(|(is, should)| is != should);
    assert!(out == expected, "{differs:?}, {} and {} bytes", out.len(), expected.len());
}

#[test]
fn a_guest_that_resets_itself_goes_on() {
    let (out, _, status) = boot(&["--firmware", "echo"], b"one\r!reset\rtwo\r!exit 0\r");
    let banner = "echo: 64 MB, vcpu 0\r\n";
    let expected =
        format!("{banner}echo: one\r\necho: again\r\n{banner}echo: two\r\necho: bye\r\n");
    assert_eq!((out, status), (expected, Some(0)));
}

#[test]
fn a_run_is_had_again_from_its_tape() {
    let dir = folder("boot-tape");
    let name = |file: &str| dir.join(file).display().to_string();
    let firmware = name("echo.bin");
    let image = include_bytes!("../../firmware/images/echo.bin");
    std::fs::write(&firmware, image).unwrap();
    let files = ["tape", "calls", "calls2", "net", "net2"].map(name);
    let [tape, calls, calls2, net, net2] = files.each_ref().map(String::as_str);
    let args = [
        "--firmware",
        &firmware,
        "--pace",
        "on",
        "--record",
        tape,
        "--trace",
        calls,
        "--capture",
        net,
    ];
    let mut child = start(&args, Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    for line in ["one\r", "two\r!flood 20\r", "three\r", "!exit 5\r"] {
        stdin.write_all(line.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(30));
    }
    let first = ended(child);
    assert_eq!(first.2, Some(5), "{first:?}");

    let args = ["--playback", tape, "--trace", calls2, "--capture", net2, "--threads", "2"];
    let play = |args: &[&str]| {
        let command = Command::new(env!("CARGO_BIN_EXE_ldomlab"))
            .arg("boot")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        ended(command.unwrap())
    };
    assert_eq!(play(&args), first);
    let read = |path: &str| std::fs::read(path).unwrap();
    assert!(read(calls).len() > 1000 && read(calls) == read(calls2), "hypercalls differ");
    assert_eq!(read(net), read(net2));

    // Another firmware is another run.
    std::fs::write(&firmware, include_bytes!("../../firmware/images/hello.bin")).unwrap();
    let (_, err, status) = play(&args);
    assert_eq!(status, Some(1));
    assert!(err.starts_with(&format!("ldomlab: {firmware}: not the firmware of the run")), "{err}");
    // Unless it is somewhere else.
    let moved = name("moved.bin");
    std::fs::write(&moved, image).unwrap();
    let args = ["--playback", tape, "--firmware", &moved];
    assert_eq!(play(&args), first);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_run_that_a_signal_ends_has_a_whole_tape() {
    let dir = folder("boot-signal");
    let tape = dir.join("tape").display().to_string();
    let mut child =
        start(&["--firmware", "echo", "--pace", "on", "--record", &tape], Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"still here\r").unwrap();
    let mut seen = Vec::new();
    let mut stdout = child.stdout.take().unwrap();
    while !seen.ends_with(b"still here\r\n") {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1);
        seen.extend(byte);
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let (_, err, status) = ended(child);
    assert_eq!((err.as_str(), status), ("ldomlab: signal 15; guest is switched off\n", Some(143)));
    let text = std::fs::read_to_string(&tape).unwrap();
    assert!(text.lines().last().unwrap().starts_with("{\"end\":{\"at\":"), "{text}");
    let (out, err, status) = boot(&["--firmware", "echo"], b"!exit 0\r");
    assert_eq!(status, Some(0), "{out}{err}");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn what_cannot_be_booted_is_one_line() {
    let cases: [(&[&str], &str); 5] = [
        (&["--firmware", "nowhere.bin"], "chassis t5120: boot image nowhere.bin: "),
        (&["--kernel", "nowhere"], "chassis t5120: boot image nowhere: "),
        (&["--vcpus", "99"], "--vcpus 99: a guest has 1 to 64"),
        (&["--playback", "nowhere"], "nowhere: "),
        (&["--firmware", "echo", "--for", "1ms"], "guest: still running after "),
    ];
    for (args, why) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ldomlab"));
        let Output { status, stdout, stderr } =
            command.arg("boot").args(args).stdin(Stdio::null()).output().unwrap();
        let err = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), err.lines().count()), (Some(1), 1), "{err}");
        // One of them runs for a millisecond, and may say something.
        assert!(stdout.is_empty() || args.contains(&"--for"), "{err}");
        assert!(err.starts_with(&format!("ldomlab: {why}")), "{err}");
    }
}

/// A terminal: what sits at it, and the side of the program.
fn terminal() -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let path = Path::new(name.to_str().unwrap());
    let program = File::options().read(true).write(true).open(path).unwrap();
    (File::from(person), program)
}

#[test]
fn a_person_at_a_terminal_talks_to_the_guest_and_leaves() {
    let (mut person, program) = terminal();
    let before = tcgetattr(&program).unwrap();
    assert!(before.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
    let mut child = start(&["--firmware", "echo"], Stdio::from(program.try_clone().unwrap()));
    let mut stdout = child.stdout.take().unwrap();
    let mut until = |text: &str| {
        let mut seen = Vec::new();
        while !seen.ends_with(text.as_bytes()) {
            let mut byte = [0];
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&seen));
            seen.extend(byte);
        }
        String::from_utf8_lossy(&seen).into_owned()
    };
    until("vcpu 0\r\n");
    assert!(!tcgetattr(&program).unwrap().local_modes.intersects(LocalModes::ECHO));
    let began = Instant::now();
    person.write_all(b"hi there\r").unwrap();
    assert_eq!(until("hi there\r\n"), "echo: hi there\r\n");
    // Nobody waits for the next thing that would have happened anyhow, up to 500 ms away.
    let quickest = (0..5).map(|_| {
        let began = Instant::now();
        person.write_all(b"quick\r").unwrap();
        until("quick\r\n");
        began.elapsed()
    });
    let quickest = quickest.min().unwrap();
    assert!(quickest < Duration::from_millis(100), "{quickest:?}");
    person.write_all(b"~#~~tilde\r").unwrap();
    assert_eq!(until("tilde\r\n"), "echo: break\r\necho: ~tilde\r\n");
    // Control characters are the guest's.
    person.write_all(b"\x03\x1c\x04\r").unwrap();
    assert_eq!(until("\x04\r\n"), "echo: \x03\x1c\x04\r\n");
    // Nothing happens, and the host's time passes.
    std::thread::sleep(Duration::from_millis(300));
    person.write_all(b"~?~.").unwrap();
    let (_, err, status) = ended(child);
    let lasted = began.elapsed().as_secs_f64();
    assert_eq!(status, Some(0));
    assert!(
        err.contains("~#  sends a break") && err.ends_with("left; guest is switched off\n"),
        "{err}"
    );
    let after = tcgetattr(&program).unwrap();
    assert_eq!(after.local_modes.bits(), before.local_modes.bits());
    assert_eq!(after.input_modes.bits(), before.input_modes.bits());
    assert!(lasted < 20.0, "{lasted}");
}

#[test]
fn simulated_time_of_an_idle_guest_keeps_to_the_hosts() {
    let began = Instant::now();
    let args = ["--firmware", "echo", "--pace", "on", "--for", "3s"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_ldomlab"));
    let args = ["boot", "--vcpus", "1", "--memory", "64M"].iter().chain(&args);
    let output = command.args(args).stdin(Stdio::null()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.starts_with("ldomlab: guest: still running after 3"), "{err}");
    // All but the first second or so, in which the domain is made, is the guest's.
    assert!(began.elapsed() > Duration::from_millis(1500), "{:?}", began.elapsed());
}
