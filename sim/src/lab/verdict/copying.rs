//! How busy the control domains were while memory moved.
//!
//! **Shapes.** Samples are means over the control domain's virtual CPUs and over
//! half a second or so; those are taken that lie inside the copy, from the first
//! page read to the last round while the domain ran. The steps before and after
//! are not the copy.

use super::super::record::Fact;
use super::moves::Move;
use serde::Serialize;
use sun4v::time::SimTime;

/// Name of a control domain.
pub const CONTROL: &str = "primary";

/// Both ends during one copy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Copying {
    /// Which domain moved.
    pub domain: String,
    /// Seconds that the copy took.
    pub copy_s: super::Seconds,
    /// Where it left.
    pub source: Busy,
    /// Where it arrived.
    pub target: Busy,
}

/// One control domain. Percentages of all its virtual CPUs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Busy {
    /// Which chassis.
    pub chassis: String,
    /// Virtual CPUs.
    pub vcpus: u64,
    /// Samples.
    pub samples: usize,
    /// Mean of them.
    pub mean_percent: f64,
    /// 95 of 100 are not above it.
    pub p95_percent: f64,
    /// The highest.
    pub max_percent: f64,
}

/// Both ends of each move that copied memory.
#[must_use]
pub fn find(facts: &[Fact], moves: &[Move]) -> Vec<Copying> {
    let copying = |one: &Move| {
        let (from, until) = one.copy_window()?;
        Some(Copying {
            domain: one.domain.clone(),
            copy_s: super::Seconds(until.since(from)),
            source: busy(facts, &one.source, from, until),
            target: busy(facts, &one.target, from, until),
        })
    };
    moves.iter().filter_map(copying).collect()
}

fn busy(facts: &[Fact], chassis: &str, from: SimTime, until: SimTime) -> Busy {
    let inside = |fact: &&Fact| {
        let span = SimTime(fact.value("span_us").saturating_mul(1_000_000));
        fact.is("cpu", "sample")
            && fact.place == chassis
            && fact.name == CONTROL
            && from.plus(span) <= fact.time
            && fact.time <= until
    };
    let samples: Vec<_> = facts.iter().filter(inside).collect();
    let mut permille: Vec<_> = samples.iter().map(|fact| fact.value("busy_permille")).collect();
    permille.sort_unstable();
    let percent = |permille: u64| permille as f64 / 10.0;
    // The smallest that at least 95 of 100 do not exceed.
    let p95 = (permille.len() * 95).div_ceil(100).saturating_sub(1);
    let sum: u128 = permille.iter().copied().map(u128::from).sum();
    Busy {
        chassis: chassis.to_owned(),
        vcpus: samples.first().map_or(0, |fact| fact.value("vcpus")),
        samples: samples.len(),
        mean_percent: percent((sum / permille.len().max(1) as u128) as u64),
        p95_percent: percent(permille.get(p95).copied().unwrap_or(0)),
        max_percent: percent(permille.last().copied().unwrap_or(0)),
    }
}
