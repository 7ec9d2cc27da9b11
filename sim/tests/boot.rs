//! What `rover` asks of the hypervisor while it boots, call by call: with two virtual
//! CPUs, disks and a network, up to where its memory is being filled.

#![expect(clippy::unwrap_used, reason = "a test may")]

use sim::cli::lab::Options;
use std::path::PathBuf;
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
