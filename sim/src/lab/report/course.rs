//! The course of a migration: which phase it was in, from when to when.

use super::super::record::Fact;
use super::super::verdict::moves::Move;
use sun4v::time::SimTime;

/// The phases' names, by the numbers in the managers' facts.
pub const PHASES: [&str; 7] =
    ["check", "prepare", "pre-copy", "suspend", "digest", "hand-off", "done"];
/// The number of `digest`.
pub const DIGEST: u64 = 4;
/// The number of `hand-off`.
pub const HAND_OFF: u64 = 5;

/// A phase and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its number.
    pub phase: u64,
    /// When it began.
    pub from: SimTime,
    /// When the next one did, or the command was answered.
    pub until: SimTime,
}

/// The last moment of a move that the record knows.
pub fn end(one: &Move) -> SimTime {
    one.answered.or(one.handed_over).unwrap_or(one.typed.0)
}

/// The phases of a move at its source, in their order.
pub fn phases(facts: &[Fact], one: &Move) -> Vec<Span> {
    let end = end(one);
    let noted = facts.iter().filter(|fact| {
        fact.is("migration", "phase")
            && fact.place == one.source
            && fact.name == one.domain
            && one.typed.0 <= fact.time
            && fact.time <= end
    });
    // It begins with the check, which is noted by nobody.
    let mut begins = vec![(0, one.typed.0)];
    begins.extend(noted.map(|fact| (fact.value("phase"), fact.time)));
    let untils = begins.iter().skip(1).map(|&(_, from)| from).chain([end]);
    let spans = begins.iter().zip(untils);
    spans.map(|(&(phase, from), until)| Span { phase, from, until }).collect()
}

/// The name of a phase.
pub fn name(phase: u64) -> &'static str {
    usize::try_from(phase).ok().and_then(|at| PHASES.get(at)).copied().unwrap_or("?")
}
