//! Migrations, as commands and managers told of them.
//!
//! A move begins with an operator's `ldm migrate-domain` and ends with its answer.
//! What both managers noted about the domain meanwhile is its middle. A dry run
//! (`-n`) is no move, and one between servers of which one is off is an [`Attempt`].

use super::super::record::Fact;
use super::listing::{Listing, Row};
use super::span::{Millis, Seconds};
use serde::Serialize;
use sun4v::addr::PAGE_BYTES;
use sun4v::time::SimTime;

/// A phase's number in the managers' facts: the target makes room.
pub const PHASE_PREPARE: u64 = 1;
/// Memory moves.
pub const PHASE_PRE_COPY: u64 = 2;
/// What the command is called.
const VERBS: [&str; 3] = ["migrate-domain", "migrate", "migrate-dom"];

/// How a domain was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It did not run: a description moved.
    Cold,
    /// It ran on.
    Live,
    /// It stood still while it was copied.
    Warm,
    /// The record does not say.
    Unknown,
}

/// One pass over pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Round {
    /// Pages that it looked at.
    pub pages: u64,
    /// Of them, zero.
    pub zero_pages: u64,
    /// Of them, unchanged after all.
    pub same_pages: u64,
    /// What was left to pack.
    pub raw_bytes: u64,
    /// What it became.
    pub packed_bytes: u64,
    /// The domain stood still.
    pub suspended: bool,
    /// How long it took.
    pub took_s: Seconds,
    /// When it ended.
    #[serde(rename = "ended_s")]
    pub ended: Seconds,
}

/// A migration.
#[derive(Clone, Debug, Serialize)]
pub struct Move {
    /// Which domain.
    pub domain: String,
    /// From which chassis.
    pub source: String,
    /// To which.
    pub target: String,
    /// How.
    pub kind: Kind,
    /// The command's name.
    pub verb: String,
    /// When it was asked for.
    #[serde(rename = "typed_s")]
    pub typed: Seconds,
    /// From the command to its answer.
    pub duration_s: Option<Seconds>,
    /// Exit status of the command.
    pub status: Option<u64>,
    /// The domain's memory.
    pub memory_bytes: Option<u64>,
    /// It stood still at the source, and ran on at the target.
    #[serde(rename = "suspended_s")]
    pub suspended: Option<Seconds>,
    /// See [`Move::suspended`].
    #[serde(rename = "resumed_s")]
    pub resumed: Option<Seconds>,
    /// Between these.
    pub pause_ms: Option<Millis>,
    /// The digest of all memory, taken where the domain stood still and again where
    /// it had arrived, before it ran: were they the same? Null when there are not
    /// both.
    pub digest_equal: Option<bool>,
    /// Those two digests.
    #[serde(skip)]
    digests: [Option<String>; 2],
    /// Bytes to pack, of all rounds.
    pub raw_bytes: u64,
    /// Bytes after packing.
    pub packed_bytes: u64,
    /// Bytes that the source sealed.
    pub sealed_bytes: Option<u64>,
    /// Bytes that the target opened.
    pub opened_bytes: Option<u64>,
    /// Bytes that the source's crypto units enciphered meanwhile.
    pub unit_bytes: Option<u64>,
    /// Its rounds.
    pub rounds: Vec<Round>,
    /// What the source listed of it last, since it came there.
    #[serde(skip)]
    pub before: Option<Row>,
    /// The target was told to make room.
    #[serde(skip)]
    pub prepared: Option<SimTime>,
    /// The first page was read.
    #[serde(skip)]
    pub copying: Option<SimTime>,
    /// The target had it, as the source was told.
    #[serde(skip)]
    pub handed_over: Option<SimTime>,
    /// When the command was answered.
    #[serde(skip)]
    pub answered: Option<SimTime>,
    /// When the domain was asked to move the next time, or [`SimTime::NEVER`].
    #[serde(skip)]
    pub next: SimTime,
}

impl Move {
    /// It ended, and well.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status == Some(0)
    }

    /// True for a point in time between the command and its answer, or what of it
    /// is known.
    #[must_use]
    pub fn spans(&self, time: SimTime) -> bool {
        self.typed.0 <= time && time <= self.answered.or(self.handed_over).unwrap_or(self.typed.0)
    }

    /// While memory moved and the domain ran.
    #[must_use]
    pub fn copy_window(&self) -> Option<(SimTime, SimTime)> {
        let running = || self.rounds.iter().filter(|round| !round.suspended);
        let begin = match (self.copying, running().next()) {
            (Some(begin), _) => begin,
            (None, first) => first.map(|first| first.ended.0.since(first.took_s.0))?,
        };
        Some((begin, running().next_back()?.ended.0))
    }

    /// While it stood still.
    #[must_use]
    pub fn still(&self) -> Option<(SimTime, SimTime)> {
        Some((self.suspended?.0, self.resumed?.0))
    }

    /// Pages that were looked at after the first round.
    #[must_use]
    pub fn pages_again(&self) -> u64 {
        self.rounds.iter().skip(1).fold(0, |sum, round| sum.saturating_add(round.pages))
    }

    /// `t5120 to t5220`.
    #[must_use]
    pub fn way(&self) -> String {
        format!("{} to {}", self.source, self.target)
    }
}

/// What an operator asked for.
struct Asked {
    verb: String,
    domain: String,
    new_name: Option<String>,
    host: String,
}

/// Reads `ldm migrate-domain [-f] [-p FILE] SOURCE [USER@]HOST[:NEW]`.
fn asked(line: &str) -> Option<Asked> {
    let mut words = line.split_whitespace();
    let (Some("ldm"), Some(verb)) = (words.next(), words.next()) else { return None };
    if !VERBS.contains(&verb) {
        return None;
    }
    let mut names = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "-n" | "--dry-run" => return None,
            "-p" => drop(words.next()),
            _ if word.starts_with('-') => {}
            _ => names.push(word),
        }
    }
    let [domain, host] = names[..] else { return None };
    let host = host.split_once('@').map_or(host, |(_, host)| host);
    let (host, new_name) = match host.split_once(':') {
        Some((host, name)) => (host, Some(name.to_owned())),
        None => (host, None),
    };
    Some(Asked {
        verb: verb.to_owned(),
        domain: domain.to_owned(),
        new_name,
        host: host.to_owned(),
    })
}

/// A move that was asked for while a server was off.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The server.
    pub off: String,
    /// What was asked, and what came of it.
    pub asked: Move,
}

/// Takes the attempts out of all moves that were asked for.
pub fn attempts(facts: &[Fact], moves: &mut Vec<Move>) -> Vec<Attempt> {
    let off: Vec<_> = facts.iter().filter(|fact| fact.is("chassis", "off")).collect();
    let without = |one: &Move| {
        let those = |fact: &&&Fact| fact.place == one.source || fact.place == one.target;
        off.iter().filter(those).find(|fact| fact.time <= one.typed.0).map(|fact| &fact.place)
    };
    let mut found = Vec::new();
    moves.retain(|one| {
        let Some(off) = without(one) else { return true };
        found.push(Attempt { off: off.clone(), asked: one.clone() });
        false
    });
    found
}

/// Every move that was asked for, in order of time.
#[must_use]
pub fn find(facts: &[Fact], lists: &[Listing]) -> Vec<Move> {
    let commands = facts.iter().filter(|fact| fact.is("command", "typed"));
    let mut begins: Vec<_> = commands.filter_map(|fact| Some((fact, asked(&fact.text)?))).collect();
    begins.sort_by_key(|(fact, _)| fact.time);
    let mut moves: Vec<Move> = Vec::new();
    for (at, (typed, asked)) in begins.iter().enumerate() {
        let mut later = begins[at + 1..].iter();
        let next = later.find(|(_, other)| other.domain == asked.domain);
        let next = next.map_or(SimTime::NEVER, |(fact, _)| fact.time);
        let last = moves.iter().rfind(|one| one.domain == asked.domain);
        let since = last.map_or(SimTime::ZERO, |last| last.answered.unwrap_or(last.typed.0));
        moves.push(one(facts, lists, typed, asked, (since, next)));
    }
    moves
}

fn one(
    facts: &[Fact],
    lists: &[Listing],
    typed: &Fact,
    asked: &Asked,
    (since, next): (SimTime, SimTime),
) -> Move {
    let answer = facts.iter().find(|fact| {
        fact.is("command", "answered")
            && fact.place == typed.place
            && fact.value("id") == typed.value("id")
            && fact.time >= typed.time
    });
    let row = lists
        .iter()
        .rfind(|list| list.place == typed.place && since <= list.time && list.time <= typed.time)
        .and_then(|list| list.row(&asked.domain));
    let duration_s = answer.map(|answer| Seconds(answer.time.since(typed.time)));
    let mut found = Move {
        domain: asked.domain.clone(),
        source: typed.place.clone(),
        target: asked.host.clone(),
        kind: Kind::Unknown,
        verb: asked.verb.clone(),
        typed: Seconds(typed.time),
        duration_s,
        status: answer.map(|answer| answer.value("status")),
        memory_bytes: row.and_then(Row::memory_bytes),
        suspended: None,
        resumed: None,
        pause_ms: None,
        digest_equal: None,
        digests: [None, None],
        raw_bytes: 0,
        packed_bytes: 0,
        sealed_bytes: None,
        opened_bytes: None,
        unit_bytes: None,
        rounds: Vec::new(),
        before: row.cloned(),
        prepared: None,
        copying: None,
        handed_over: None,
        answered: answer.map(|answer| answer.time),
        next,
    };
    let new_name = asked.new_name.as_ref().unwrap_or(&asked.domain);
    for fact in facts.iter().filter(|fact| ["migration", "memory"].contains(&&*fact.subject)) {
        if fact.time < typed.time || fact.time >= next {
            continue;
        }
        if fact.is("memory", "digest") {
            let end = usize::from(fact.place != found.source);
            if fact.name == asked.domain || fact.name == *new_name {
                found.digests[end] = Some(fact.text.clone());
            }
            continue;
        }
        if fact.place == found.source && fact.name == asked.domain {
            found.source_noted(fact);
        } else if fact.place != found.source
            && (fact.name == *new_name || fact.name == asked.domain)
        {
            found.target_noted(fact);
        }
    }
    found.kind = match (found.rounds.is_empty() && found.copying.is_none(), found.handed_over, row)
    {
        (false, Some(_), _) if found.rounds.iter().all(|round| round.suspended) => Kind::Warm,
        (false, ..) => Kind::Live,
        (true, Some(_), _) => Kind::Cold,
        (true, None, Some(row)) if row.state == "active" => Kind::Live,
        (true, None, Some(_)) => Kind::Cold,
        (true, None, None) => Kind::Unknown,
    };
    if let Some((suspended, resumed)) = found.still() {
        found.pause_ms = Some(Millis(resumed.since(suspended)));
    }
    found.unit_bytes = found.unit_bytes_of(facts);
    if let [Some(there), Some(here)] = &found.digests {
        found.digest_equal = Some(there == here);
    }
    found
}

impl Move {
    fn source_noted(&mut self, fact: &Fact) {
        let time = Seconds(fact.time);
        match &fact.what[..] {
            "phase" => match fact.value("phase") {
                PHASE_PREPARE => self.prepared = Some(fact.time),
                PHASE_PRE_COPY => self.copying = Some(fact.time),
                _ => {}
            },
            "round" => {
                self.rounds.push(Round {
                    pages: fact.value("pages"),
                    zero_pages: fact.value("zero_pages"),
                    same_pages: fact.value("same_pages"),
                    raw_bytes: fact.value("raw_bytes"),
                    packed_bytes: fact.value("wire_bytes"),
                    suspended: fact.value("suspended") != 0,
                    took_s: Seconds(SimTime(fact.value("took_us").saturating_mul(1_000_000))),
                    ended: time,
                });
                if self.rounds.len() == 1 {
                    self.memory_bytes = Some(fact.value("pages").saturating_mul(PAGE_BYTES));
                }
                self.raw_bytes = self.raw_bytes.saturating_add(fact.value("raw_bytes"));
                self.packed_bytes = self.packed_bytes.saturating_add(fact.value("wire_bytes"));
            }
            "suspended" => self.suspended = Some(time),
            "handed over" => {
                self.handed_over = Some(fact.time);
                self.sealed_bytes = fact.values.get("sealed_bytes").copied();
            }
            _ => {}
        }
    }

    fn target_noted(&mut self, fact: &Fact) {
        self.target.clone_from(&fact.place);
        match &fact.what[..] {
            "resumed" => self.resumed = Some(Seconds(fact.time)),
            "taken over" => self.opened_bytes = fact.values.get("opened_bytes").copied(),
            _ => {}
        }
    }

    /// What the units' counters grew by, from the last look before the command to
    /// the first after the domain was handed over.
    fn unit_bytes_of(&self, facts: &[Fact]) -> Option<u64> {
        let looks = || facts.iter().filter(|fact| fact.is("crypto", "units"));
        let mut looks = looks().filter(|fact| fact.place == self.source);
        let over = self.handed_over?;
        let after = looks.clone().find(|fact| fact.time >= over)?.value("ciphered_bytes");
        let before = looks.rfind(|fact| fact.time <= self.typed.0)?.value("ciphered_bytes");
        after.checked_sub(before)
    }
}
