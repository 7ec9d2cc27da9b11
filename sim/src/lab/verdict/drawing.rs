//! The drawing on somebody's screen, while its domain was moved.
//!
//! **Shapes.** Frames that a workstation saw; or console lines `drawing: N`, numbered from
//! 1, of a domain that draws there.

use super::super::record::Fact;
use super::moves::{Kind, Move};
use super::span::{Millis, Seconds};
use serde::Serialize;
use sun4v::time::SimTime;

/// The drawing during one live migration, from the command to its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Watched {
    /// Whose drawing.
    pub domain: String,
    /// When the migration was asked for.
    pub typed_s: Seconds,
    /// Frames that arrived.
    pub frames: usize,
    /// Frames that never did.
    pub missing: u64,
    /// The longest time without a frame.
    pub longest_gap_ms: Option<Millis>,
    /// When it began.
    pub gap_at_s: Option<Seconds>,
    /// The longest gap that did not touch the time in which the domain stood still.
    pub longest_other_gap_ms: Option<Millis>,
    /// The longest gap touches that time.
    pub at_suspend: Option<bool>,
}

/// What was watched of each live migration.
#[must_use]
pub fn find(facts: &[Fact], moves: &[Move]) -> Vec<Watched> {
    let live = moves.iter().filter(|one| one.kind == Kind::Live);
    live.filter_map(|one| watched(facts, one)).collect()
}

/// The number of a frame, or of a console line that is as good.
fn sequence(fact: &Fact) -> Option<u64> {
    if fact.is("drawing", "frame") {
        return Some(fact.value("sequence"));
    }
    let line = fact.is("console", "line").then_some(&fact.text)?;
    line.strip_prefix("drawing: ")?.parse().ok()
}

fn watched(facts: &[Fact], one: &Move) -> Option<Watched> {
    let end = one.answered?;
    let mut frames: Vec<_> = facts
        .iter()
        .filter(|fact| fact.name == one.domain && one.spans(fact.time))
        .filter_map(|fact| Some((fact.time, sequence(fact)?)))
        .collect();
    frames.sort_unstable();
    let (&(_, first), &(last_at, last)) = (frames.first()?, frames.last()?);
    // A drawing that never comes back is a gap until the end.
    let times = frames.iter().map(|&(time, _)| time).chain([end.max(last_at)]);
    let times: Vec<_> = times.collect();
    let gaps = || times.windows(2).map(|pair| (pair[0], pair[1]));
    let touches = |&(from, until): &(SimTime, SimTime)| {
        one.still().is_some_and(|(still, moves)| from < moves && until > still)
    };
    let longest =
        gaps().max_by_key(|&(from, until)| (until.since(from), SimTime::NEVER.since(from)));
    let other = gaps().filter(|gap| !touches(gap)).map(|(from, until)| until.since(from)).max();
    let seen = frames.len() as u64;
    Some(Watched {
        domain: one.domain.clone(),
        typed_s: one.typed,
        frames: frames.len(),
        missing: last.saturating_sub(first).saturating_add(1).saturating_sub(seen),
        longest_gap_ms: longest.map(|(from, until)| Millis(until.since(from))),
        gap_at_s: longest.map(|(from, _)| Seconds(from)),
        longest_other_gap_ms: other.map(Millis),
        at_suspend: one.still().and(longest).map(|gap| touches(&gap)),
    })
}
