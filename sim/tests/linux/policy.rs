//! Linux writes memory faster than a short pause can send: what becomes of it, by
//! `migration.unfit`, and that the log says why.

use super::log::trouble;
use super::scenario::{Run, run};
use super::{guest, scratch};
use std::fmt::Write as _;
use std::path::Path;

/// What it runs; its first process makes blanks of commas.
const WORK: &str = "console=ttyHV0 ip=192.168.1.50 run=dirty,64&\
    n=0;while,:;do,n=$((n+1));echo,clock:,$n;sleep,1;done";

/// It is told to leave, with a pause that what it writes does not fit.
fn leaves(name: &str, unfit: &str) -> Option<Run> {
    let guest = guest(name)?;
    let folder = scratch(name);
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/scenarios/linux.toml");
    let whole = std::fs::read_to_string(whole).unwrap();
    let (head, _) = whole.split_once("# There.\n").unwrap();
    let mut text = head.replace("console line rover: disk read", "console line rover: clock: 1");
    let steps = [
        "t5120# ldm migrate-domain -p /root/t5220.password rover t5220",
        "workstation# typist off",
        "workstation# logout",
        "pinger# stop",
        "t5120# ldm list -p",
        "t5220# ldm list -p",
    ];
    for step in steps {
        write!(text, "[[script]]\nafter = \"1s\"\nrun = \"{step}\"\n").unwrap();
    }
    let file = folder.join("policy.toml");
    std::fs::write(&file, text).unwrap();
    let mut set = vec![
        format!("migration.unfit={unfit}"),
        "migration.pause=30ms".to_owned(),
        "migration.fixed_percent=10".to_owned(),
        format!("chassis.t5120.guests.rover.append={WORK}"),
    ];
    for (key, file) in [("kernel", &guest.kernel), ("initrd", &guest.initrd)] {
        set.push(format!("chassis.t5120.guests.rover.{key}={}", file.display()));
    }
    Some(run(&file, &set, &folder.join("out")))
}

/// What the log says of the migration.
fn log(run: &Run) -> Vec<&str> {
    let lines = run.facts("log", "line");
    lines
        .iter()
        .filter_map(|fact| fact["text"].as_str()?.strip_prefix("migration of rover"))
        .collect()
}

/// It goes on behind this time, and has nothing to complain of.
fn goes_on(run: &Run, time: u64) {
    let lines = run.facts("console", "line");
    let ticks = lines.iter().filter(|fact| {
        fact["name"] == "rover"
            && fact["time"].as_u64().unwrap() > time
            && fact["text"].as_str().unwrap_or_default().starts_with("clock: ")
    });
    assert!(ticks.count() >= 2);
    assert_eq!(trouble(&run.console("rover").join("\n")), Vec::<&str>::new());
    let lost = run.facts("ping", "lost");
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn one_that_is_slowed_arrives_and_the_log_says_by_how_much() {
    let Some(run) = leaves("slow", "slow") else { return };
    let came = run.facts("migration", "taken over");
    assert_eq!(came.len(), 1, "{}", run.transcript);
    let held: Vec<u64> = run
        .facts("migration", "held")
        .iter()
        .map(|fact| fact["values"]["percent"].as_u64().unwrap())
        .collect();
    assert!(!held.is_empty() && held.is_sorted() && held.iter().all(|share| *share <= 90));
    for share in &held {
        let said = format!("another round would not help: its virtual CPUs are held for {share} %");
        assert!(log(&run).iter().any(|line| line.contains(&said)), "{said}: {:#?}", log(&run));
    }
    goes_on(&run, came[0]["time"].as_u64().unwrap());
    println!("held for {held:?} %: {:#?}", log(&run));
}

#[test]
fn one_that_does_not_fit_stays_and_the_operator_reads_why() {
    let Some(run) = leaves("give-up", "give-up") else { return };
    assert!(run.facts("migration", "taken over").is_empty());
    assert!(run.facts("migration", "suspended").is_empty(), "it never stood still");
    let why = "it stays";
    let off = log(&run).iter().any(|line| line.contains("failed in phase") && line.contains(why));
    assert!(off, "{:#?}", log(&run));
    let told = run.transcript.lines().any(|line| line.contains(" ms of 30 ms; another round"));
    assert!(told, "{}", run.transcript);
    let (_, end) = run.transcript.split_once("t5120# ldm list -p").unwrap();
    let (here, there) = end.split_once("t5220# ldm list -p").unwrap();
    assert!(here.contains("name=rover|state=active"), "{here}");
    assert!(!there.contains("name=rover"), "{there}");
    let asked = run.facts("migration", "round");
    goes_on(&run, asked.last().unwrap()["time"].as_u64().unwrap());
    println!("{:#?}", log(&run));
}
