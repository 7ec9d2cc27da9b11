//! Linux moves from one chassis to the other and back while it works: it keeps memory
//! changing, writes into a file system, is pinged, and has somebody at its shell.
//!
//! `LDOMLAB_MOVES` moves, 2 unless it says otherwise, `LDOMLAB_MOVES_AFTER` milliseconds apart,
//! 300 unless it does: another number has them at other moments of its work. What is waited for without work of
//! ours is a tenth of what it was in 2011: the guest is busy all the time.
//!
//! Its disk driver puts requests that are under way when the channel is reset on a list that
//! nothing takes them from (`vdc_requeue_inflight` asks for no kick), so what waits for the
//! disk would wait for ever after a move in the middle of one: each is to begin in a lull.

use super::disk::{image, tool};
use super::log::trouble;
use super::scenario::{Run, run};
use super::{Guest, guest, scratch};
use std::fmt::Write as _;
use std::path::Path;

/// What it runs; its first process makes blanks of commas.
const WORK: &str = "console=ttyHV0 ip=192.168.1.50 rng_core.default_quality=1000 \
    run=telnetd,-l,/bin/sh;mkdir,/mnt;mount,/dev/vdiska,/mnt;dirty,64&\
    (n=0;while,:;do,n=$((n+1));echo,clock:,$n,$(date,+%s),$(cut,-d.,-f1,/proc/uptime);sleep,2;done)&\
    n=0;while,[,!,-e,/tmp/enough,];do,n=$((n+1));echo,$n>>/mnt/log;\
    head,-c,300000,/bin/busybox>/mnt/part$((n%50));sync;done;\
    umount,/mnt&&echo,unmounted;dmesg>/dev/console;echo,wrote,$n";

/// What it does when it is to write faster than the network takes it: noise, and other parts
/// of it each time, so that no page ever holds again what was sent of it.
const NOISE: &str = "console=ttyHV0 ip=192.168.1.50 rng_core.default_quality=1000 \
    run=telnetd,-l,/bin/sh;mkdir,/mem;mount,-t,tmpfs,tmpfs,/mem;:>>/mem/to;\
    head,-c,4100000,/dev/urandom>/mem/seed;for,n,in,1,2,3;do,cat,/mem/seed;done>/mem/from;\
    (while,[,!,-e,/tmp/go,];do,usleep,20000;done;n=0;\
    while,[,!,-e,/tmp/enough,];do,n=$((n+1));\
    dd,if=/mem/from,bs=1000,skip=$n,count=10000,2>/dev/null|tr,a,b,1<>/mem/to;done)&\
    n=0;while,:;do,n=$((n+1));echo,clock:,$n,$(date,+%s),$(cut,-d.,-f1,/proc/uptime);usleep,500000;done";

/// A scenario that is being written: Linux at the article's lab, pinged and typed at, up to
/// where it is moved.
struct Script(String);

impl Script {
    /// Linux works once its console has this line.
    fn up(line: &str) -> Self {
        let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/scenarios/linux.toml");
        let whole = std::fs::read_to_string(whole).unwrap();
        let (head, _) = whole.split_once("# There.\n").unwrap();
        Self(head.replace("console line rover: disk read", &format!("console line rover: {line}")))
    }

    fn step(&mut self, keys: &[&str], run: &str) {
        write!(self.0, "[[script]]\n{}\nrun = \"{run}\"\n", keys.join("\n")).unwrap();
    }

    /// Runs it with Linux of this command line, and nothing to wait for but work.
    fn run(self, guest: &Guest, append: &str, set: &[String], folder: &Path) -> Run {
        let file = folder.join("moves.toml");
        std::fs::write(&file, self.0).unwrap();
        let mut all = vec![
            "migration.fixed_percent=10".to_owned(),
            "limits.time=900s".to_owned(),
            format!("chassis.t5120.guests.rover.append={append}"),
        ];
        for (key, file) in [("kernel", &guest.kernel), ("initrd", &guest.initrd)] {
            all.push(format!("chassis.t5120.guests.rover.{key}={}", file.display()));
        }
        all.extend_from_slice(set);
        run(&file, &all, &folder.join("out"))
    }
}

/// How often it is to move; `None` when it is not to at all.
fn moves() -> Option<usize> {
    let moves = std::env::var("LDOMLAB_MOVES").map_or(2, |moves| moves.parse().unwrap());
    if moves == 0 {
        eprintln!("SKIPPED: LDOMLAB_MOVES is 0, Linux does not move");
    }
    (moves > 0).then_some(moves)
}

/// Nobody's ping was lost, nobody's session ended by itself, and the kernel has nothing to
/// complain of.
fn nobody_noticed(run: &Run) {
    let lost = run.facts("ping", "lost");
    assert!(lost.is_empty(), "{lost:?}");
    let closed: Vec<_> = run.facts("session", "closed");
    assert!(closed.len() == 1 && closed[0]["text"] == "us", "{closed:?}");
    assert_eq!(trouble(&run.console("rover").join("\n")), Vec::<&str>::new());
}

fn figure(fact: &serde_json::Value, name: &str) -> u64 {
    fact["values"][name].as_u64().unwrap()
}

#[test]
fn linux_moves_and_loses_nothing() {
    let Some(guest) = guest("moves") else { return };
    let Some(moves) = moves() else { return };
    let after = std::env::var("LDOMLAB_MOVES_AFTER").map_or(300, |after| after.parse().unwrap());
    let folder = scratch(&if after == 300 { "moves".into() } else { format!("moves-{after}") });
    let Some(image) = image(&folder) else { return };
    let mut script = Script::up("clock: 1");
    for number in 0..moves {
        let (from, to) = if number % 2 == 0 { ("t5120", "t5220") } else { ("t5220", "t5120") };
        let command = format!("{from}# ldm migrate-domain -p /root/{to}.password rover {to}");
        script.step(&[&format!("after = \"{after}ms\"")], &command);
    }
    script.step(&["after = \"2s\""], "workstation# typist off");
    script.step(&["after = \"2s\""], "workstation# type touch /tmp/enough");
    let wrote = "when = \"console line rover: wrote \"";
    script.step(&[wrote, "within = \"20s\""], "workstation# logout");
    script.step(&["after = \"1s\""], "pinger# stop");
    script.step(&[], "nas# images");
    let set = [
        "disks.0.size=256M".to_owned(),
        "disks.0.seed=0".to_owned(),
        format!("disks.0.file={}", image.display()),
        "disks.0.keep=true".to_owned(),
    ];
    let run = script.run(&guest, WORK, &set, &folder);

    let came = run.facts("migration", "taken over");
    assert_eq!(came.len(), moves, "{}", run.transcript);
    let lulls = run.facts("migration", "lull");
    let rests = lulls.iter().filter(|lull| figure(lull, "rests") == 1);
    assert_eq!((rests.count(), lulls.len()), (moves, moves), "{lulls:?}");
    nobody_noticed(&run);
    let replies = run.facts("ping", "reply").len();
    assert!(replies > 20 * moves, "{replies} replies");
    assert!(run.facts("echo", "seen").len() > 10 * moves);
    let console = run.console("rover");
    assert!(console.contains(&"unmounted"), "{console:?}");
    // What it has written is on the disk, and nothing is wrong with it.
    let kept = folder.join("out/rover0.img");
    let checked = tool("e2fsck", &["-fn", kept.to_str().unwrap()]).unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let copy = folder.join("log");
    let dump = format!("dump /log {}", copy.display());
    tool("debugfs", &["-R", &dump, kept.to_str().unwrap()]).unwrap();
    let wrote = console.iter().find_map(|line| line.strip_prefix("wrote ")).unwrap();
    let lines: usize = wrote.trim().parse().unwrap();
    let expected: String = (1..=lines).map(|n| format!("{n}\n")).collect();
    assert_eq!(std::fs::read_to_string(copy).unwrap(), expected);
    for (lull, over) in lulls.iter().zip(&run.facts("migration", "handed over")) {
        let [took, tries, inside] = ["took_us", "tries", "inside"].map(|name| figure(lull, name));
        let pause = figure(over, "pause_us");
        println!("paused {pause} us; lull after {took} us, {tries} tries, {inside} inside");
    }
    println!("{moves} moves, {replies} pings, {lines} lines written");
}

/// A Linux that writes faster than the network is asked to move, by this policy.
fn move_a_fast_one(guest: &Guest, policy: &str) -> Run {
    let mut script = Script::up("clock: 1");
    let tell = |script: &mut Script, what: &str| {
        script.step(&["after = \"1s\""], "workstation# typist off");
        script.step(&["after = \"1s\""], &format!("workstation# type touch {what}"));
        script.step(&["after = \"500ms\""], "workstation# typist on");
    };
    tell(&mut script, "/tmp/go");
    let migrate = "t5120# ldm migrate-domain -p /root/t5220.password rover t5220";
    let fails = if policy == "give-up" { "fails = true" } else { "" };
    script.step(&[fails], migrate);
    tell(&mut script, "/tmp/enough");
    script.step(&["after = \"1s\""], "workstation# typist off");
    script.step(&["after = \"2s\""], "workstation# logout");
    script.step(&[], "pinger# stop");
    let set = [
        format!("migration.unfit={policy}"),
        format!("migration.pause={PAUSE_MS}ms"),
        "networks.lab.speed=300Mbit/s".to_owned(),
    ];
    let run = script.run(guest, NOISE, &set, &scratch(policy));
    nobody_noticed(&run);
    run
}

/// What a fast one may stand still.
const PAUSE_MS: u64 = 150;

#[test]
fn one_that_writes_too_fast_stays_when_it_is_to() {
    let Some(guest) = guest("a fast one that stays") else { return };
    if moves().is_none() {
        return;
    }
    let run = move_a_fast_one(&guest, "give-up");
    let why = "of 150 ms; another round would not help\nDomain Migration of LDom rover failed";
    assert!(run.transcript.contains(why), "{}", run.transcript);
    assert_eq!(run.facts("migration", "taken over").len(), 0);
    assert!(run.facts("migration", "round").len() >= 2);
    // It goes on where it was.
    let failed = run.facts("command", "answered").into_iter().find(|fact| {
        fact["text"].as_str().is_some_and(|text| text.starts_with("ldm migrate-domain"))
    });
    let failed = failed.unwrap()["time"].as_u64().unwrap();
    let clocks = run.facts("console", "line").into_iter().filter(|fact| {
        fact["place"] == "t5120"
            && fact["time"].as_u64().unwrap() > failed
            && fact["text"].as_str().is_some_and(|text| text.starts_with("clock: "))
    });
    assert!(clocks.count() >= 4);
}

#[test]
fn one_that_writes_too_fast_is_held_until_the_rest_fits() {
    let Some(guest) = guest("a fast one that is held") else { return };
    if moves().is_none() {
        return;
    }
    let run = move_a_fast_one(&guest, "slow");
    assert_eq!(run.facts("migration", "taken over").len(), 1, "{}", run.transcript);
    let held: Vec<u64> =
        run.facts("migration", "held").iter().map(|fact| figure(fact, "percent")).collect();
    assert!(!held.is_empty() && held.is_sorted(), "{held:?}");
    let over = run.facts("migration", "handed over")[0];
    let [pause, rounds] = ["pause_us", "rounds"].map(|name| figure(over, name));
    println!("held for {held:?} % of the time; paused {pause} us after {rounds} rounds");
    assert!(pause <= 2 * PAUSE_MS * 1000, "{pause} us");
}
