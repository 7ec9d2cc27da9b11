//! Clocks: domains that print the time every two seconds.
//!
//! **Shapes.** Console lines `clock: N SECONDS UPTIME`, numbered from 1 at each
//! start. A step is even when it is two seconds, give or take [`SLACK`]. A domain
//! that stands still is late by its pause at most, and in step again after it.

use super::super::record::Fact;
use super::moves::{Kind, Move};
use super::names;
use super::span::Seconds;
use serde::Serialize;
use sun4v::time::SimTime;

const STEP: SimTime = SimTime::secs(2);
/// What a busy domain may be late by.
const SLACK: SimTime = SimTime::ms(100);

/// The clock of one domain.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Clock {
    /// Which domain.
    pub domain: String,
    /// Lines.
    pub lines: usize,
    /// Lines whose numbers are missing.
    pub missing: u64,
    /// Even steps.
    pub even: usize,
    /// Steps that a pause explains.
    pub paused: usize,
    /// Steps that nothing explains.
    pub odd: usize,
    /// When the first of them ended.
    pub first_odd_s: Option<Seconds>,
    /// The longest step from one line to the next.
    pub longest_step_s: Option<Seconds>,
    /// When it began.
    pub longest_at_s: Option<Seconds>,
    /// Lines while this domain was moved live.
    pub moving_lines: usize,
    /// Lines while another domain of the record was.
    pub beside_lines: usize,
}

/// Every domain with a clock.
#[must_use]
pub fn find(facts: &[Fact], moves: &[Move]) -> Vec<Clock> {
    let domains = names(facts, |fact| number(fact).is_some());
    domains.into_iter().map(|domain| clock(facts, moves, domain)).collect()
}

/// The number of a clock's line.
fn number(fact: &Fact) -> Option<u64> {
    if !fact.is("console", "line") {
        return None;
    }
    let mut words = fact.text.strip_prefix("clock: ")?.split_whitespace();
    words.next()?.parse().ok()
}

fn clock(facts: &[Fact], moves: &[Move], domain: &str) -> Clock {
    let mut found = Clock { domain: domain.to_owned(), ..Clock::default() };
    let live = |own: bool| {
        moves.iter().filter(move |one| one.kind == Kind::Live && (one.domain == domain) == own)
    };
    let mut last: Option<(SimTime, u64)> = None;
    for fact in facts.iter().filter(|fact| fact.name == domain) {
        let Some(number) = number(fact) else { continue };
        let now = fact.time;
        found.lines += 1;
        found.moving_lines += usize::from(live(true).any(|one| one.spans(now)));
        found.beside_lines += usize::from(live(false).any(|one| one.spans(now)));
        let before = last.replace((now, number));
        // A domain that was started anew counts anew.
        let Some((then, before)) = before.filter(|&(_, before)| before < number) else { continue };
        let lines = number - before;
        found.missing = found.missing.saturating_add(lines - 1);
        let step = now.since(then);
        if found.longest_step_s.is_none_or(|longest| longest.0 < step) {
            found.longest_step_s = Some(Seconds(step));
            found.longest_at_s = Some(Seconds(then));
        }
        let due = SimTime(STEP.0.saturating_mul(lines));
        let off = step.max(due).since(step.min(due));
        let paused = || {
            // The step that is late, and the one after it, which is short.
            live(true).filter_map(Move::still).any(|(still, moves)| {
                let late = moves.since(still).plus(SLACK);
                off <= late && then < moves.plus(STEP).plus(late) && now > still
            })
        };
        if off <= SLACK {
            found.even += 1;
        } else if paused() {
            found.paused += 1;
        } else {
            found.odd += 1;
            found.first_odd_s.get_or_insert(Seconds(now));
        }
    }
    found
}
