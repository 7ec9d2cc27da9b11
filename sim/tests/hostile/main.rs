//! A domain that asks for random things, beside one that computes: the other one's
//! result and memory are what they are beside an idle domain, nothing is written that
//! nobody owns, and the operator keeps the upper hand.
//!
//! `LDOMLAB_HOSTILE_SEEDS` says how many seeds (default [`SEEDS`]),
//! `LDOMLAB_HOSTILE_SEED` the first one; with `LDOMLAB_HOSTILE_LINES` what was said on the
//! consoles is printed. A failure names its seed: with that one and
//! `LDOMLAB_HOSTILE_SEEDS=1` it runs alone.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod run;

use run::{Outcome, Run};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

/// Seeds of a plain test run.
const SEEDS: u64 = 2;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// The neighbour beside an idle domain.
fn quiet() -> &'static Outcome {
    static QUIET: OnceLock<Outcome> = OnceLock::new();
    QUIET.get_or_init(|| Run::power_on("idle", 0).outcome())
}

/// Says which seed it was, should it panic.
struct Label(u64);

impl Drop for Label {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("LDOMLAB_HOSTILE_SEED={} LDOMLAB_HOSTILE_SEEDS=1", self.0);
        }
    }
}

/// What hostile domains have done altogether.
#[derive(Default)]
struct Sum {
    calls: u64,
    granted: u64,
    ends: u64,
    quiet_seeds: u64,
}

/// One seed, from power-on to an empty chassis.
fn seed(seed: u64, sum: &Mutex<Sum>) {
    let _label = Label(seed);
    let outcome = Run::power_on("hostile", seed).outcome();
    let quiet = quiet();
    assert_eq!(outcome.result, quiet.result, "what the neighbour printed");
    assert_eq!(outcome.memory, quiet.memory, "the memory that the neighbour computed in");
    let mut sum = sum.lock().unwrap();
    sum.calls += outcome.calls;
    sum.granted += outcome.granted;
    sum.ends += outcome.ends;
    sum.quiet_seeds += u64::from(outcome.calls == 0);
}

#[test]
fn a_hostile_domain_changes_nothing_that_is_not_its_own() {
    let (first, seeds) =
        (number("LDOMLAB_HOSTILE_SEED", 1), number("LDOMLAB_HOSTILE_SEEDS", SEEDS));
    let next = AtomicU64::new(first);
    let sum = Mutex::new(Sum::default());
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(seeds as usize);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    match next.fetch_add(1, Relaxed) {
                        one if one < first + seeds => seed(one, &sum),
                        _ => break,
                    }
                }
            });
        }
    });
    let Sum { calls, granted, ends, quiet_seeds } = sum.into_inner().unwrap();
    eprintln!("{seeds} seeds: {calls} calls reported, {granted} granted, {ends} ends of the guest");
    eprintln!("beside: {}", quiet().result);
    assert!(calls > 1000 * seeds && granted > calls / 50, "the hostile domain does little");
    assert!(quiet_seeds <= seeds / 10, "{quiet_seeds} hostile domains said nothing");
}
