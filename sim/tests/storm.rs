//! Storms, a few of them; `LDOMLAB_STORMS=N` for N, and for every frame of the matrix.

#![expect(clippy::unwrap_used, reason = "a test may")]

use sim::storm::campaign::{Sum, storms};
use sim::storm::lab::Lab;
use sim::storm::matrix;
use sim::storm::plan::{Plan, Side};
use sim::storm::run::run;
use std::sync::LazyLock;

static LAB: LazyLock<Lab> = LazyLock::new(|| Lab::bring_up().unwrap());

fn asked_for() -> Option<u64> {
    std::env::var("LDOMLAB_STORMS").ok().map(|n| n.parse().expect("LDOMLAB_STORMS is a number"))
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn well(sum: &Sum) {
    println!("{sum:?}");
    if let Some((seed, plan, why)) = &sum.failed {
        panic!("{why}\n  ldomlab storm --seed {seed} --plan '{plan}'");
    }
}

#[test]
fn a_migration_in_which_nothing_goes_wrong_moves_the_domain() {
    let verdict = run(&LAB, 0, &matrix::calm(), false).unwrap();
    assert_eq!(verdict.failed, None);
    assert_eq!((verdict.home, verdict.entries), (Some(Side::B), [3, 4]));
    assert!(verdict.frames > 50, "{verdict:?}");
}

#[test]
fn the_same_plan_is_the_same_storm() {
    for seed in [3, 4, 5] {
        let plan = Plan::of_seed(seed);
        let [one, two] = [(); 2].map(|()| run(&LAB, seed, &plan, true).unwrap());
        assert!(one.lines.len() > 5, "{one:?}");
        assert_eq!(one, two);
    }
}

/// A thread uses the host's memory of one storm for the next one.
#[test]
fn a_storm_is_the_same_whatever_its_thread_did_before() {
    let one = |seed: u64| run(&LAB, seed, &Plan::of_seed(seed), true).unwrap();
    let seeds = [3, 4, 5, 11];
    let fresh = seeds.map(|seed| std::thread::scope(|on| on.spawn(|| one(seed)).join().unwrap()));
    let after = seeds.map(one);
    assert_eq!(fresh, after);
}

#[test]
fn whatever_comes_of_a_seed_the_domain_runs_once_and_is_whole() {
    let count = asked_for().unwrap_or(200);
    let sum = storms(&LAB, 1..1 + count, Plan::of_seed, threads(), || false).unwrap();
    well(&sum);
    assert_eq!(sum.storms, count);
    // Storms happen, and they end in either way.
    assert!(sum.fired > count && sum.homes[0] > count / 10 && sum.homes[1] > count / 10, "{sum:?}");
}

#[test]
fn every_fault_at_every_entry_and_at_frames_all_along_is_survived() {
    let stride = if asked_for().is_some() { 1 } else { 41 };
    let plans = matrix::plans(&matrix::occasions(&LAB, stride).unwrap());
    assert!(plans.len() > 200, "{}", plans.len());
    let plan = |number: u64| plans[number as usize].clone();
    let sum = storms(&LAB, 0..plans.len() as u64, plan, threads(), || false).unwrap();
    well(&sum);
    assert!(sum.fired + 50 > sum.events, "nearly every occasion comes: {sum:?}");
}

/// Plans that failed once.
#[test]
fn what_failed_once_does_not_fail_again() {
    let all = [
        // The source let the domain go on and lost its power before it could say so; the
        // operator at the target went back to what that had.
        (
            1594,
            "0ms=migrate:t5120 389ms=migrate:t5220 durable:t5120:5=reset:t5220:87us \
             durable:t5220:6=off:t5220",
        ),
        // A departure of which the last entry was not written was taken up again while the
        // domain came back, and what had come of it was destroyed.
        (
            3988,
            "0ms=migrate:t5120 269ms=migrate:t5220 durable:t5220:6=reset:t5120:82us \
             47164us=full:t5120:9217us",
        ),
        // The domain was taken over and destroyed at the target. The source, which had not
        // been told, offered it once more, was refused, and went on with what nobody could
        // run: the new migration's entries had replaced the one that it was to be told of.
        (
            60,
            "0ms=migrate:t5120 begun:t5220:2+513us=cut:t5120:371ms \
             durable:t5220:2+1516us=reset:t5220:1560us durable:t5220:2+23516us=take:t5220 \
             durable:t5220:2+72516us=remove:t5220 durable:t5220:2+9ms=cancel:t5120 \
             durable:t5220:2+16ms=migrate:t5120",
        ),
        // The same, but the source began again before it had made its offer: the target, which
        // had not looked for what, said only that the domain was not there.
        (
            1564,
            "0ms=migrate:t5120 begun:t5220:2+1436us=cut:t5120:86ms \
             durable:t5220:2+596us=reset:t5220:61us durable:t5220:2+27596us=take:t5220 \
             durable:t5220:2+57596us=remove:t5220 durable:t5220:2+27ms=cancel:t5120 \
             durable:t5220:2+41ms=migrate:t5120 durable:t5120:3=reset:t5120:3699us",
        ),
        // Taken over by force while the source lived, at a chassis that lost its power for good
        // when it had claimed the disk: the source's domain goes on without one.
        (
            3948,
            "0ms=migrate:t5120 156ms=migrate:t5220 begun:t5220:2+1157us=reset:t5120:204ms \
             durable:t5220:2+1047us=reset:t5220:89us durable:t5220:2+23047us=take:t5220 \
             durable:t5120:2=off:t5220",
        ),
        // Neither *commit* nor *off* found room, and the operator sent the domain again.
        (
            6600,
            "0ms=migrate:t5120 begun:t5120:2=cut:t5220:5424us 44099us=full:t5120:7103us \
             104700us=migrate:t5120",
        ),
        // A domain came, its last entry found no room, and it left again: the manager that began
        // again beside *commit* let it run as one that had just come.
        (
            621_798,
            "0ms=migrate:t5120 458ms=migrate:t5220 durable:t5220:6=reset:t5220:77us \
             51114us=full:t5220:713us",
        ),
        // A manager was reset in the last moment of the plan.
        (613_227, "67888us=reset:t5120:99us 60719us=stop:t5120"),
        // A bit of an answer of ARP flips.
        (9055, "0ms=migrate:t5120 begun:t5220:2+574us=reset:t5120:54ms 98055us=flip:27:3142us"),
    ];
    for (seed, text) in all {
        let verdict = run(&LAB, seed, &text.parse().unwrap(), false).unwrap();
        assert_eq!(verdict.failed, None, "{text}");
    }
}

/// Mistakes that storms find, each within so many of them: within a minute of two cores.
#[cfg(feature = "mutants")]
const FOUND: [(ldm::migrate::mutant::Mutant, u64); 15] = {
    use ldm::migrate::mutant::Mutant;
    [
        (Mutant::CommitBeforeDurable, 300),
        (Mutant::VerifiedBeforeDurable, 300),
        (Mutant::RunsBeforeDurable, 50),
        (Mutant::RunsAfterCommit, 100),
        (Mutant::GuessesAfterCommit, 300),
        (Mutant::CancelsCommit, 100),
        (Mutant::EpochNotRaised, 50),
        (Mutant::PreparedForgotten, 300),
        (Mutant::ShellLeft, 100),
        (Mutant::LogLeftOn, 50),
        (Mutant::DirtyDropped, 50),
        (Mutant::FarewellForgotten, 100),
        (Mutant::NotHereBeforeDurable, 600),
        (Mutant::EpochNotChecked, 600),
        (Mutant::ForceRaisesByOne, 600),
    ]
};

// One process makes one mistake at a time, so no other test runs with this one.
#[cfg(feature = "mutants")]
#[test]
#[ignore = "alone: cargo test --release --features mutants --test storm -- --ignored"]
fn mistakes_are_found() {
    use ldm::migrate::mutant::set;
    for (mutant, within) in FOUND {
        set(Some(mutant));
        let sum = storms(&LAB, 1..within, Plan::of_seed, threads(), || false).unwrap();
        set(None);
        println!("{mutant:?}: {:?} after {} storms", sum.failed, sum.storms);
        assert!(sum.failed.is_some(), "{mutant:?} is not found in {within} storms");
    }
}
