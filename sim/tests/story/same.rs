//! Same scenario, same seed, same files.

use super::run::{SHORT, replay, short};

const NAMES: [&str; 4] = ["record.jsonl", "hypercalls.txt", "net.pcapng", "summary.json"];

#[test]
fn every_file_is_the_same_on_one_thread_and_on_two() {
    let (one, two) = (short(), replay("threads", SHORT, 2, &[]));
    assert_eq!(two.ended, Ok(()));
    for (name, (one, two)) in NAMES.iter().zip(one.files.iter().zip(&two.files)) {
        assert!(one.len() > 1000, "{name} holds {} bytes", one.len());
        let lines = || one.split(|&b| b == b'\n').zip(two.split(|&b| b == b'\n'));
        let differ = lines().position(|(one, two)| one != two);
        assert!(one == two, "{name} differs in line {differ:?}");
    }
    assert_eq!(one.transcript, two.transcript);
    assert_eq!(one.windows, two.windows);
    assert!(one.report == two.report, "the report differs");
}

#[test]
fn another_seed_is_another_run_with_the_same_outcome() {
    let (one, other) = (short(), replay("seed", SHORT, 2, &["seed=2"]));
    assert_eq!(other.ended, Ok(()));
    for (name, (one, other)) in NAMES.iter().zip(one.files.iter().zip(&other.files)) {
        assert!(one != other, "{name} does not depend on the seed");
    }
    let outcome = |run: &super::run::Run| {
        let lists = run.all("command", "answered").filter(|fact| fact.text.starts_with("ldm list"));
        lists.map(|fact| super::run::settled(&fact.text)).collect::<Vec<_>>()
    };
    assert_eq!(outcome(one), outcome(&other));
}
