//! The verdict on a run: what the article claims, and what the record says of it.
//!
//! [`judge`] looks at nothing but facts. It finds the migrations in them
//! ([`moves`]), what people at keyboards and screens noticed, how busy the control
//! domains were, and goes through the article's claims one by one ([`claims`]).
//!
//! **Shapes.** A claim has a number (S1 to S22), what is expected, what was
//! measured, and a verdict. `not measured` stands where the record lacks what a
//! claim is about, and says what is lacking; it is never a success. Spans are in
//! simulated time, seconds or milliseconds as the names say, rounded to a
//! microsecond.
//!
//! **Errors.** None: whatever facts there are can be judged. Facts that contradict
//! each other (an answer before its question) count as not there.
//!
//! **Source.** The article of June 2011, claim by claim.

pub mod claims;
pub mod clock;
pub mod copying;
pub mod drawing;
pub mod keys;
pub mod listing;
pub mod moves;
pub mod ping;
mod span;
mod table;

pub use span::{Millis, Seconds};

use super::record::Fact;
use claims::{CLAIMS, Claim};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use sun4v::time::SimTime;

/// Name of the summary in the folder of a run.
pub const FILE: &str = "summary.json";

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Verdict {
    /// The run shows it.
    #[serde(rename = "holds")]
    Holds,
    /// The run shows otherwise.
    #[serde(rename = "fails")]
    Fails,
    /// The run shows neither.
    #[serde(rename = "not measured")]
    NotMeasured,
}

impl Verdict {
    /// Its words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::NotMeasured => "not measured",
        }
    }
}

/// The judgement of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the scenario; empty if the record does not say.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// Every claim.
    pub claims: Vec<Claim>,
    /// Every migration that was asked for while both servers were on.
    pub migrations: Vec<moves::Move>,
    /// The control domains.
    pub cpu: Cpu,
    /// What stood still, and for how long.
    pub gaps: Gaps,
}

/// How busy control domains were.
#[derive(Clone, Debug, Serialize)]
pub struct Cpu {
    /// While memory moved and its domain ran, by migration.
    pub copies: Vec<copying::Copying>,
}

/// What stood still, and for how long.
#[derive(Clone, Debug, Serialize)]
pub struct Gaps {
    /// Streams of pings, in the order of their starts.
    pub ping: Vec<ping::Stream>,
    /// The drawing during each live migration.
    pub drawing: Vec<drawing::Watched>,
    /// Echoes of what was typed, by host.
    pub echo: Vec<keys::Keys>,
    /// Clocks of domains, by domain.
    pub clock: Vec<clock::Clock>,
}

/// Everything that claims are judged by.
pub struct Evidence<'a> {
    /// The record.
    pub facts: &'a [Fact],
    /// Its last time.
    pub end: SimTime,
    /// Migrations.
    pub moves: Vec<moves::Move>,
    /// Migrations that were asked for while a server was off.
    pub attempts: Vec<moves::Attempt>,
    /// Answers to `ldm list`.
    pub lists: Vec<listing::Listing>,
    /// How busy the control domains were.
    pub copies: Vec<copying::Copying>,
    /// Pings.
    pub pings: Vec<ping::Stream>,
    /// The drawing.
    pub drawings: Vec<drawing::Watched>,
    /// Echoes.
    pub keys: Vec<keys::Keys>,
    /// Clocks.
    pub clocks: Vec<clock::Clock>,
}

impl<'a> Evidence<'a> {
    /// Gathers it.
    #[must_use]
    pub fn of(facts: &'a [Fact]) -> Self {
        let end = facts.iter().map(|fact| fact.time).max().unwrap_or_default();
        let lists = listing::find(facts);
        let mut moves = moves::find(facts, &lists);
        let attempts = moves::attempts(facts, &mut moves);
        Self {
            attempts,
            copies: copying::find(facts, &moves),
            pings: ping::find(facts, &moves, end),
            drawings: drawing::find(facts, &moves),
            keys: keys::find(facts, &moves),
            clocks: clock::find(facts, &moves),
            facts,
            end,
            moves,
            lists,
        }
    }

    /// Facts of this subject in which this happened.
    pub fn those<'s>(
        &'s self,
        subject: &'s str,
        what: &'s str,
    ) -> impl DoubleEndedIterator<Item = &'s Fact> {
        self.facts.iter().filter(move |fact| fact.is(subject, what))
    }
}

/// Judges a run by its record.
#[must_use]
pub fn judge(facts: &[Fact]) -> Report {
    let evidence = Evidence::of(facts);
    let claims = CLAIMS.iter().map(|row| row.judge(&evidence)).collect();
    let begin = evidence.those("run", "begin").next();
    Report {
        scenario: begin.map(|fact| fact.name.clone()).unwrap_or_default(),
        seed: begin.map_or(0, |fact| fact.value("seed")),
        claims,
        migrations: evidence.moves,
        cpu: Cpu { copies: evidence.copies },
        gaps: Gaps {
            ping: evidence.pings,
            drawing: evidence.drawings,
            echo: evidence.keys,
            clock: evidence.clocks,
        },
    }
}

impl Report {
    /// How many claims came to each verdict.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Verdict, usize> {
        let mut counts = BTreeMap::new();
        for claim in &self.claims {
            *counts.entry(claim.verdict).or_default() += 1;
        }
        counts
    }

    /// Text for a terminal, lines of 120 columns at most.
    #[must_use]
    pub fn table(&self) -> String {
        table::text(self)
    }

    /// The summary, as a file has it.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists under fixed names: nothing that JSON lacks.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        text + "\n"
    }
}

/// Median and longest of some spans.
fn middle_and_longest(mut spans: Vec<SimTime>) -> Option<(SimTime, SimTime)> {
    spans.sort();
    Some((*spans.get(spans.len() / 2)?, *spans.last()?))
}

/// Names in the facts, each once.
fn names(facts: &[Fact], is: impl Fn(&Fact) -> bool) -> BTreeSet<&str> {
    facts.iter().filter(|fact| is(fact)).map(|fact| &fact.name[..]).collect()
}

#[cfg(test)]
mod test;
#[cfg(test)]
pub(in crate::lab) mod testing;
