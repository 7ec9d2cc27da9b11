//! Streams of pings: what was lost, and how long the rest took.
//!
//! **Shapes.** Request *n* of a stream is sent *n* intervals after its start. A
//! reply that came after it was given up counts as lost, and so does a request
//! without any reply that was a second old when the stream stopped or the record
//! ended.

use super::super::record::Fact;
use super::middle_and_longest;
use super::moves::{Kind, Move};
use super::span::{Millis, Seconds};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use sun4v::time::SimTime;

/// How old a request is that should have been answered.
const PATIENCE: SimTime = SimTime::secs(1);

/// One stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stream {
    /// `HOST/INTERVAL`.
    pub name: String,
    /// When it began.
    pub start_s: Seconds,
    /// Requests with a reply.
    pub replies: u64,
    /// Requests without one, in time.
    pub lost: u64,
    /// When the first of them was sent.
    pub first_lost_s: Option<Seconds>,
    /// Replies to requests that were sent during live migrations.
    pub moving_replies: usize,
    /// Half of them took no longer.
    pub moving_median_ms: Option<Millis>,
    /// Half of the others took no longer.
    pub resting_median_ms: Option<Millis>,
    /// The longest of all.
    pub longest_ms: Option<Millis>,
    /// When its request was sent.
    pub longest_at_s: Option<Seconds>,
}

/// The facts of one stream.
#[derive(Default)]
struct Gathered {
    name: String,
    start: SimTime,
    interval: SimTime,
    stop: Option<(SimTime, u64)>,
    round_trips: BTreeMap<u64, SimTime>,
    lost: BTreeSet<u64>,
}

/// Every stream, in the order of their starts.
#[must_use]
pub fn find(facts: &[Fact], moves: &[Move], end: SimTime) -> Vec<Stream> {
    let mut streams: Vec<Gathered> = Vec::new();
    for fact in facts.iter().filter(|fact| fact.subject == "ping") {
        if fact.what == "start" {
            streams.push(Gathered {
                name: fact.name.clone(),
                start: fact.time,
                interval: SimTime(fact.value("interval_us").saturating_mul(1_000_000)),
                ..Gathered::default()
            });
            continue;
        }
        let Some(stream) = streams.iter_mut().rfind(|stream| stream.name == fact.name) else {
            continue;
        };
        let sequence = fact.value("sequence");
        match &fact.what[..] {
            "reply" => {
                let round_trip = SimTime(fact.value("round_trip_ns").saturating_mul(1000));
                stream.round_trips.insert(sequence, round_trip);
            }
            "lost" => drop(stream.lost.insert(sequence)),
            "stop" => stream.stop = Some((fact.time, fact.value("sent"))),
            _ => {}
        }
    }
    streams.into_iter().map(|stream| stream.told(moves, end)).collect()
}

impl Gathered {
    fn sent_at(&self, sequence: u64) -> SimTime {
        self.start.plus(SimTime(self.interval.0.saturating_mul(sequence)))
    }

    /// Requests from the first on that should have been answered by the end.
    fn due(&self, end: SimTime) -> u64 {
        let (stop, sent) = self.stop.unwrap_or((end, u64::MAX));
        match stop.since(self.start).0.checked_sub(PATIENCE.0) {
            Some(span) => sent.min((span / self.interval.0.max(1)).saturating_add(1)),
            None => 0,
        }
    }

    /// How many were lost, and the first of them.
    fn lost(&self, end: SimTime) -> (u64, Option<u64>) {
        let due = self.due(end);
        let known: BTreeSet<_> = self.round_trips.keys().chain(&self.lost).copied().collect();
        let silent = due - known.range(..due).count() as u64;
        let first_silent = (0..due).find(|n| !known.contains(n));
        let first = self.lost.first().copied().into_iter().chain(first_silent).min();
        (silent.saturating_add(self.lost.len() as u64), first)
    }

    fn told(self, moves: &[Move], end: SimTime) -> Stream {
        let (lost, first_lost) = self.lost(end);
        let moving =
            |sent: SimTime| moves.iter().any(|one| one.kind == Kind::Live && one.spans(sent));
        let (during, resting): (Vec<_>, Vec<_>) =
            self.round_trips.iter().partition(|&(&sequence, _)| moving(self.sent_at(sequence)));
        let spans = |of: Vec<(&u64, &SimTime)>| of.into_iter().map(|(_, span)| *span).collect();
        let longest = self.round_trips.iter().max_by_key(|&(&n, &span)| (span, u64::MAX - n));
        Stream {
            start_s: Seconds(self.start),
            replies: self.round_trips.len() as u64,
            lost,
            first_lost_s: first_lost.map(|first| Seconds(self.sent_at(first))),
            moving_replies: during.len(),
            moving_median_ms: middle_and_longest(spans(during)).map(|(middle, _)| Millis(middle)),
            resting_median_ms: middle_and_longest(spans(resting)).map(|(middle, _)| Millis(middle)),
            longest_ms: longest.map(|(_, &span)| Millis(span)),
            longest_at_s: longest.map(|(&n, _)| Seconds(self.sent_at(n))),
            name: self.name,
        }
    }
}
