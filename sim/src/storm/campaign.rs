//! Many storms, side by side on the host's threads, one world a thread.
//!
//! A campaign ends at the first storm that fails; of those that fail it tells of the one
//! that comes first in the order given, whatever the number of threads.

use super::lab::Lab;
use super::plan::{Plan, Side};
use super::run::{Verdict, run};
use anyhow::anyhow;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What storms came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many there were.
    pub storms: u64,
    /// Events of their plans, and how many of them happened.
    pub events: u64,
    /// See [`Sum::events`].
    pub fired: u64,
    /// Storms after which the domain was at either side, or nowhere.
    pub homes: [u64; 3],
    /// Simulated time.
    pub simulated_ms: u64,
    /// Turns of the worlds.
    pub turns: u64,
    /// The first that failed: its number, its plan, and why.
    pub failed: Option<(u64, Plan, String)>,
}

impl Sum {
    fn add(&mut self, number: u64, plan: Plan, verdict: Verdict) {
        self.storms += 1;
        self.fired += verdict.fired as u64;
        self.events += plan.0.len() as u64;
        self.homes[match verdict.home {
            Some(Side::A) => 0,
            Some(Side::B) => 1,
            None => 2,
        }] += 1;
        self.simulated_ms += verdict.span.as_us() / 1000;
        self.turns += verdict.turns;
        if let Some(why) = verdict.failed
            && self.failed.as_ref().is_none_or(|(first, ..)| number < *first)
        {
            self.failed = Some((number, plan, why));
        }
    }
}

/// Runs the storms with these numbers, which are their seeds too, until one fails or `stop`
/// says so.
///
/// # Errors
/// The lab does not come up.
pub fn storms(
    lab: &Lab,
    numbers: std::ops::Range<u64>,
    plan: impl Fn(u64) -> Plan + Sync,
    threads: usize,
    stop: impl Fn() -> bool + Sync,
) -> anyhow::Result<Sum> {
    let next = AtomicU64::new(numbers.start);
    // Not beyond the first that is known to fail.
    let end = AtomicU64::new(numbers.end);
    let sum = Mutex::new(Sum::default());
    let work = || -> anyhow::Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end.load(Ordering::Relaxed) || stop() {
                return Ok(());
            }
            let plan = plan(number);
            let verdict = run(lab, number, &plan, false)?;
            if verdict.failed.is_some() {
                end.fetch_min(number, Ordering::Relaxed);
            }
            sum.lock().add(number, plan, verdict);
        }
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let ends =
            all.into_iter().map(|one| one.join().map_err(|_| anyhow!("a storm panicked"))?);
        ends.collect::<anyhow::Result<()>>()
    })?;
    Ok(sum.into_inner())
}
