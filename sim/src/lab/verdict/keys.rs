//! How a login shell felt at the keyboard: the time from a key to its echo.

use super::super::record::Fact;
use super::moves::{Kind, Move};
use super::span::{Millis, Seconds};
use super::{middle_and_longest, names};
use serde::Serialize;
use sun4v::time::SimTime;

/// All sessions at one host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Keys {
    /// Which host.
    pub host: String,
    /// Keys with an echo.
    pub echoes: usize,
    /// Keys that never had one.
    pub missing: u64,
    /// Sessions that the other side ended.
    pub sessions_lost: usize,
    /// Echoes of keys pressed during live migrations.
    pub moving_echoes: usize,
    /// Half of them took no longer.
    pub moving_median_ms: Option<Millis>,
    /// The longest of them.
    pub moving_longest_ms: Option<Millis>,
    /// When its key was pressed.
    pub moving_longest_at_s: Option<Seconds>,
    /// Half of the others took no longer.
    pub resting_median_ms: Option<Millis>,
}

/// Every host that somebody typed at.
#[must_use]
pub fn find(facts: &[Fact], moves: &[Move]) -> Vec<Keys> {
    let hosts = names(facts, |fact| fact.is("session", "connected") || fact.is("echo", "seen"));
    hosts.into_iter().map(|host| keys(facts, moves, host)).collect()
}

fn keys(facts: &[Fact], moves: &[Move], host: &str) -> Keys {
    let those = |subject, what| {
        facts.iter().filter(move |fact| fact.is(subject, what) && fact.name == host)
    };
    let echoes: Vec<_> = those("echo", "seen")
        .map(|fact| {
            let delay = SimTime(fact.value("delay_ns").saturating_mul(1000));
            (fact.time.since(delay), delay)
        })
        .collect();
    let live = || moves.iter().filter(|one| one.kind == Kind::Live);
    let (moving, resting): (Vec<_>, Vec<_>) =
        echoes.iter().partition(|&&(pressed, _)| live().any(|one| one.spans(pressed)));
    let spans = |of: &[(SimTime, SimTime)]| of.iter().map(|&(_, delay)| delay).collect();
    let felt = middle_and_longest(spans(&moving));
    let longest = felt.and_then(|(_, longest)| moving.iter().find(|&&(_, delay)| delay == longest));
    Keys {
        host: host.to_owned(),
        echoes: echoes.len(),
        missing: those("echo", "waiting")
            .fold(0, |sum: u64, fact| sum.saturating_add(fact.value("waiting"))),
        sessions_lost: those("session", "closed")
            .filter(|fact| !["us", "a checkpoint"].contains(&&*fact.text))
            .count(),
        moving_echoes: moving.len(),
        moving_median_ms: felt.map(|(middle, _)| Millis(middle)),
        moving_longest_ms: felt.map(|(_, longest)| Millis(longest)),
        moving_longest_at_s: longest.map(|&(pressed, _)| Seconds(pressed)),
        resting_median_ms: middle_and_longest(spans(&resting)).map(|(middle, _)| Millis(middle)),
    }
}
