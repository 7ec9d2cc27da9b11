//! The article's claims, one by one: what is expected and how it is judged.
//!
//! Limits that the article states are its own (15 s ± 1 s, none lost). Where it has
//! words only, a limit stands here by name, chosen before any run and never after.

mod felt;
mod lab;
mod moved;

use super::listing::Listing;
use super::moves::{Kind, Move};
use super::{Evidence, Verdict};
use serde::Serialize;
use sun4v::time::SimTime;

/// "A brief pause", "extremely short suspension periods".
const BRIEF: SimTime = SimTime::secs(1);

/// What a claim's measurement rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// A figure of the model was fitted to it.
    Fitted,
    /// It comes out of figures that were not chosen for it.
    Predicted,
    /// It follows from how the lab is built, whatever the figures are.
    Built,
    /// No run can show it.
    History,
}

impl Basis {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fitted => "fitted",
            Self::Predicted => "predicted",
            Self::Built => "built",
            Self::History => "history",
        }
    }

    /// What the word means.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Fitted => "a figure of the model was fitted to it",
            Self::Predicted => "it comes out of figures that were not chosen for it",
            Self::Built => "it follows from how the lab is built, whatever the figures are",
            Self::History => "no run can show it",
        }
    }
}

/// A claim and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// `S1` to `S22`.
    pub id: &'static str,
    /// What the article says.
    pub claim: &'static str,
    /// What a run has to show.
    pub expected: &'static str,
    /// What that rests on.
    pub basis: Basis,
    /// What this one shows.
    pub measured: String,
    /// Whether that is it.
    pub verdict: Verdict,
}

/// A verdict and what was measured.
type Finding = (Verdict, String);

/// A claim and its judge.
pub struct Claimed {
    id: &'static str,
    claim: &'static str,
    expected: &'static str,
    basis: Basis,
    judge: fn(&Evidence<'_>) -> Finding,
}

impl Claimed {
    /// Judges it.
    #[must_use]
    pub fn judge(&self, evidence: &Evidence<'_>) -> Claim {
        let (verdict, measured) = (self.judge)(evidence);
        let Self { id, claim, expected, basis, judge: _ } = *self;
        Claim { id, claim, expected, basis, measured, verdict }
    }
}

/// A claim that follows from how the lab is built.
const fn row(
    id: &'static str,
    claim: &'static str,
    expected: &'static str,
    judge: fn(&Evidence<'_>) -> Finding,
) -> Claimed {
    Claimed { id, claim, expected, basis: Basis::Built, judge }
}

/// The same, but for what it rests on.
const fn on(basis: Basis, claimed: Claimed) -> Claimed {
    Claimed { basis, ..claimed }
}

/// Every claim.
pub const CLAIMS: [Claimed; 22] = [
    row(
        "S1",
        "a T5120 and a T5220, \"1.2 GHz\" that are 1165 MHz",
        "both on, 1165 MHz",
        lab::machines,
    ),
    row("S2", "both reach the same disks over NFS", "every used image opened by both", lab::shared),
    on(
        Basis::Predicted,
        row(
            "S3",
            "cold migration is almost instantaneous",
            "below 1 s, inactive at the target",
            moved::cold,
        ),
    ),
    row(
        "S4",
        "warm migration suspends for the whole copy",
        "a pause as long as the copy",
        lab::warm,
    ),
    on(
        Basis::Predicted,
        row(
            "S5",
            "live: dirty pages again, then a brief pause",
            "2 rounds or more, pause to 1 s",
            moved::live,
        ),
    ),
    row(
        "S6",
        "one command for all kinds, state preserved",
        "same verb, same row in both lists",
        moved::same,
    ),
    on(
        Basis::History,
        row("S7", "cold and warm migration since 2008", "nothing: history", lab::history),
    ),
    on(
        Basis::Fitted,
        row("S8", "512 MB take about 15 s there and back", "14 to 16 s, both ways", moved::small),
    ),
    on(
        Basis::Predicted,
        row(
            "S9",
            "2 GB during a scrub take about 25 s",
            "24 to 26 s, the scrub goes on",
            moved::large,
        ),
    ),
    on(
        Basis::Predicted,
        row(
            "S10",
            "more memory, more changes: longer",
            "larger takes longer, always",
            moved::longer,
        ),
    ),
    on(
        Basis::Predicted,
        row(
            "S11",
            "the keyboard feels normal",
            "echoes: median to 100 ms, all to 1 s",
            felt::keyboard,
        ),
    ),
    on(
        Basis::Predicted,
        row("S12", "pings rise slightly, none is lost", "0 lost, longest to 1 s", felt::pings),
    ),
    on(
        Basis::Predicted,
        row(
            "S13",
            "the drawing pauses at the very end only",
            "longest gap at the suspend, to 2 s",
            felt::draws,
        ),
    ),
    row(
        "S14",
        "both sides show a migration under way",
        "flag s at the source, t at the target",
        moved::shown,
    ),
    on(
        Basis::Predicted,
        row(
            "S15",
            "16 source CPUs almost saturated, far less at the target",
            "90 % and at most half of it",
            felt::cpus,
        ),
    ),
    on(
        Basis::Predicted,
        row(
            "S16",
            "a clock that prints every two seconds goes on",
            "2 s steps, late by the pause once",
            felt::clock,
        ),
    ),
    row(
        "S17",
        "no migration from or to a server that is down",
        "refused, the domain stays",
        lab::down,
    ),
    row(
        "S18",
        "two service domains: one can be updated",
        "I/O goes on through the other",
        lab::mpgroup,
    ),
    row("S19", "a server can be evacuated", "no guests left, resources free", lab::evacuated),
    row("S20", "the same disks before and after", "images changed by writes only", lab::images),
    row(
        "S21",
        "the managers agree: on one side only",
        "after each move at the target only",
        moved::one_side,
    ),
    on(
        Basis::Predicted,
        row("S22", "other guests are unaffected", "their clocks stay even", felt::others),
    ),
];

fn not_measured(why: impl Into<String>) -> Finding {
    (Verdict::NotMeasured, why.into())
}

fn holds_if(holds: bool, measured: impl Into<String>) -> Finding {
    (if holds { Verdict::Holds } else { Verdict::Fails }, measured.into())
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join("; ")
}

impl Evidence<'_> {
    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Move> {
        self.moves.iter().filter(move |one| one.kind == kind)
    }

    /// Live moves whose domain went over.
    fn moved_live(&self) -> Vec<&Move> {
        self.of_kind(Kind::Live).filter(|one| one.handed_over.is_some()).collect()
    }

    /// What a chassis lists first after a move and before the next of its domain.
    fn list_after(&self, one: &Move, place: &str) -> Option<&Listing> {
        let answered = one.answered?;
        self.lists
            .iter()
            .find(|list| list.place == place && answered <= list.time && list.time < one.next)
    }
}
