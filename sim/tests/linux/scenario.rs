//! Linux in scenarios: beside others on one chassis, under a manager.

use super::log::trouble;
use super::{Guest, guest, ldomlab, scratch};
use std::path::Path;
use std::process::Command;

/// What a run has left: its record, one JSON object a line, and the operator's transcript.
pub struct Run {
    record: Vec<serde_json::Value>,
    pub transcript: String,
}

impl Run {
    /// Facts of a kind.
    pub fn facts(&self, subject: &str, what: &str) -> Vec<&serde_json::Value> {
        let is = |fact: &&serde_json::Value| fact["subject"] == subject && fact["what"] == what;
        self.record.iter().filter(is).collect()
    }

    /// Lines of a domain's console.
    pub fn console(&self, domain: &str) -> Vec<&str> {
        let is = |fact: &&serde_json::Value| {
            fact["subject"] == "console" && fact["what"] == "line" && fact["name"] == domain
        };
        self.record.iter().filter(is).filter_map(|fact| fact["text"].as_str()).collect()
    }
}

/// Replays a scenario in which these domains run this Linux.
fn replay(guest: &Guest, scenario: &str, domains: &[&str]) -> Run {
    let out = scratch(scenario);
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = top.join(format!("testdata/scenarios/{scenario}.toml"));
    let mut set = Vec::new();
    for domain in domains {
        for (key, file) in [("kernel", &guest.kernel), ("initrd", &guest.initrd)] {
            set.push(format!("chassis.t5120.guests.{domain}.{key}={}", file.display()));
        }
    }
    run(&file, &set, &out)
}

/// Replays a scenario's file, changed by `set`, to its end.
pub fn run(file: &Path, set: &[String], out: &Path) -> Run {
    let mut command = Command::new(ldomlab());
    command.arg("replay").arg(file).arg("--out").arg(out);
    for set in set {
        command.args(["--set", set]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let record = std::fs::read_to_string(out.join("record.jsonl")).unwrap();
    let transcript = std::fs::read_to_string(out.join("transcript.txt")).unwrap();
    assert!(!said.contains("ldomlab: "), "{said}\n{transcript}");
    let record = record.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Run { record, transcript }
}

#[test]
fn two_linuxes_and_a_rover_ping_each_other_and_one_panics() {
    let Some(guest) = guest("neighbours") else { return };
    let run = replay(&guest, "neighbours", &["linux1", "linux2"]);
    let pings = |domain: &str, to: &str| {
        let console = run.console(domain);
        let at = console.iter().position(|line| line.contains(&format!("{to} ping statistics")));
        let line = console.get(at.expect("statistics") + 1).copied().unwrap_or_default();
        assert!(line.contains("20 packets transmitted, 20 packets received"), "{domain}: {line}");
    };
    pings("linux1", "192.168.1.50");
    pings("linux1", "192.168.1.62");
    pings("linux2", "192.168.1.61");
    let panicked = run.console("linux2");
    assert!(panicked.iter().any(|line| line.contains("Kernel panic - not syncing: sysrq")));
    let end = panicked.iter().position(|line| line.contains("sysrq: Trigger a crash")).unwrap();
    assert_eq!(trouble(&panicked[..end].join("\n")), Vec::<&str>::new());
    // The others live on, and the host of the lab lost nobody's answer.
    let other = run.console("linux1");
    assert_eq!(trouble(&other.join("\n")), Vec::<&str>::new());
    assert!(other.iter().filter(|line| **line == "alive").count() >= 3, "{other:?}");
    assert!(run.transcript.contains("Linux panicking"), "{}", run.transcript);
    if guest.has_snapshots("the operator's window") {
        insta::assert_snapshot!("two_linuxes_and_a_rover", run.transcript);
    }
}

#[test]
fn vcpus_are_given_and_a_stop_is_orderly() {
    let Some(guest) = guest("linux-life") else { return };
    let run = replay(&guest, "linux-life", &["grows", "stops"]);
    let console = run.console("grows");
    let seen: Vec<&str> = console.iter().filter_map(|line| line.strip_prefix("online ")).collect();
    assert_eq!(seen, ["0-3", "0-4", "0-5", "0-6", "0-7"]);
    assert_eq!(trouble(&console.join("\n")), Vec::<&str>::new());
    let console = run.console("stops");
    assert!(console.iter().any(|line| line.contains("Shutdown request from LDOM manager")));
    assert!(console.last().is_some_and(|line| line.contains("reboot: Power down")), "{console:?}");
    if guest.has_snapshots("the operator's window") {
        insta::assert_snapshot!("linux_life", run.transcript);
    }
}
