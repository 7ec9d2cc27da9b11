//! `trace.perfetto`: the run for a trace viewer.
//!
//! **Shapes.** The JSON of Chrome's trace events, an event a line: an object whose
//! `traceEvents` come first, by which the viewer of Perfetto knows it. Times are
//! microseconds. A *process* is a chassis or a host; its tracks:
//!
//! - counters: how busy each domain's virtual CPUs were; round trips of pings, echoes;
//! - of each domain that leaves: phases, rounds, pause (spans);
//! - commands, which may overlap (asynchronous spans, numbered for each process);
//! - what the control domain logs, what domains print, frames of the drawing (instants).
//!
//! Spans of one thread never overlap: a domain leaves once at a time.
//!
//! **Source.** Trace Event Format (Chromium), as far as the documentation of Perfetto
//! lists it as supported: phases `X`, `b`, `e`, `i`, `C`, `M`. Perfetto's viewer, release 52,
//! takes every event of the article's replay and has no error to tell of.

use super::super::record::Fact;
use super::super::verdict;
use super::course;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use sun4v::time::SimTime;

/// An event. Fields that a kind has not are left out.
#[derive(Clone, Debug, Serialize)]
struct Event {
    name: String,
    ph: char,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    pid: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id2: Option<Own>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<char>,
    #[serde(skip_serializing_if = "Value::is_null")]
    args: Value,
}

/// The number of an asynchronous span among those of its process: the viewer shows it there,
/// and one with a bare `id` under no process at all.
#[derive(Clone, Debug, Serialize)]
struct Own {
    local: String,
}

impl Own {
    fn new(number: u64) -> Self {
        Self { local: format!("{number:#x}") }
    }
}

/// Nanoseconds are whole, so that the text is short.
fn micros(time: SimTime) -> f64 {
    (time.0 / 1000) as f64 / 1000.0
}

/// Places, tracks and events as they are found.
#[derive(Default)]
struct Tracks {
    /// Process numbers, by place.
    places: BTreeMap<String, u64>,
    /// Thread numbers, by process and name.
    threads: BTreeMap<(u64, String), u64>,
    names: Vec<Event>,
    events: Vec<Event>,
}

impl Tracks {
    fn push(&mut self, name: &str, ph: char, pid: u64, ts: SimTime) -> &mut Event {
        self.events.push(Event {
            name: name.to_owned(),
            ph,
            cat: None,
            ts: micros(ts),
            dur: None,
            pid,
            tid: None,
            id2: None,
            s: None,
            args: Value::Null,
        });
        let last = self.events.len() - 1;
        &mut self.events[last]
    }

    /// Says something of a process or a thread.
    fn meta(&mut self, name: &str, (pid, tid): (u64, Option<u64>), args: Value) {
        let event = self.push(name, 'M', pid, SimTime::ZERO);
        (event.tid, event.args) = (tid, args);
        self.names.extend(self.events.pop());
    }

    fn process(&mut self, place: &str) -> u64 {
        if let Some(&pid) = self.places.get(place) {
            return pid;
        }
        let pid = self.places.len() as u64 + 1;
        self.places.insert(place.to_owned(), pid);
        self.meta("process_name", (pid, None), json!({ "name": place }));
        self.meta("process_sort_index", (pid, None), json!({ "sort_index": pid }));
        pid
    }

    fn thread(&mut self, pid: u64, name: &str) -> u64 {
        let key = (pid, name.to_owned());
        if let Some(&tid) = self.threads.get(&key) {
            return tid;
        }
        let tid = self.threads.keys().filter(|(process, _)| *process == pid).count() as u64 + 1;
        self.threads.insert(key, tid);
        self.meta("thread_name", (pid, Some(tid)), json!({ "name": name }));
        self.meta("thread_sort_index", (pid, Some(tid)), json!({ "sort_index": tid }));
        tid
    }

    fn counter(&mut self, place: &str, (name, unit): (&str, &str), at: SimTime, value: f64) {
        let pid = self.process(place);
        self.push(name, 'C', pid, at).args = json!({ unit: value });
    }

    fn span(
        &mut self,
        (place, track): (&str, &str),
        name: &str,
        (from, until): (SimTime, SimTime),
        args: Value,
    ) {
        let pid = self.process(place);
        let tid = self.thread(pid, track);
        let event = self.push(name, 'X', pid, from);
        event.dur = Some(((until.since(from)).0 / 1000) as f64 / 1000.0);
        (event.tid, event.args) = (Some(tid), args);
    }

    fn instant(&mut self, (place, track): (&str, &str), name: &str, at: SimTime) {
        let pid = self.process(place);
        let tid = self.thread(pid, track);
        let event = self.push(name, 'i', pid, at);
        (event.tid, event.s) = (Some(tid), Some('t'));
    }

    fn edge(&mut self, place: &str, name: &str, ph: char, (id, at): (u64, SimTime)) -> &mut Event {
        let pid = self.process(place);
        let tid = self.thread(pid, "commands");
        let event = self.push(name, ph, pid, at);
        (event.cat, event.tid, event.id2) = (Some("command"), Some(tid), Some(Own::new(id)));
        event
    }
}

/// The trace.
pub fn json(facts: &[Fact], judged: &verdict::Report) -> String {
    let mut tracks = Tracks::default();
    for place in super::chassis(facts) {
        tracks.process(place);
    }
    moves(&mut tracks, facts, judged);
    for fact in facts {
        one(&mut tracks, facts, fact);
    }
    // In order of time; what is at one time stays as it was found.
    tracks.events.sort_by(|a, b| a.ts.total_cmp(&b.ts));
    let events = tracks.names.iter().chain(&tracks.events);
    // Strings and numbers under fixed names: nothing that JSON lacks.
    let lines = events.map(|event| serde_json::to_string(event).unwrap_or_default());
    let lines: Vec<_> = lines.collect();
    format!("{{\"traceEvents\":[\n{}\n],\"displayTimeUnit\":\"ms\"}}\n", lines.join(",\n"))
}

fn moves(tracks: &mut Tracks, facts: &[Fact], judged: &verdict::Report) {
    for one in &judged.migrations {
        let domain = &one.domain;
        let track = |what: &str| format!("{domain}: {what}");
        for span in course::phases(facts, one) {
            let place = (&one.source[..], &track("phases")[..]);
            let args = json!({ "to": one.target });
            tracks.span(place, course::name(span.phase), (span.from, span.until), args);
        }
        for (number, round) in one.rounds.iter().enumerate() {
            let name = format!("round {}", number + 1);
            let args = json!({
                "pages": round.pages,
                "zero pages": round.zero_pages,
                "same pages": round.same_pages,
                "bytes to pack": round.raw_bytes,
                "bytes on the wire": round.packed_bytes,
            });
            let until = round.ended.0;
            let from = until.since(round.took_s.0);
            tracks.span((&one.source, &track("rounds")), &name, (from, until), args);
        }
        if let Some(still) = one.still() {
            let args = json!({ "then at": one.target });
            tracks.span((&one.source, &track("pause")), "stands still", still, args);
        }
    }
}

fn one(tracks: &mut Tracks, facts: &[Fact], fact: &Fact) {
    let Fact { time, place, name, text, .. } = fact;
    let ms = |key| SimTime(fact.value(key).saturating_mul(1000));
    match (&fact.subject[..], &fact.what[..]) {
        ("cpu", "sample") => {
            // The value holds from the sample before.
            let from = time.since(SimTime(fact.value("span_us").saturating_mul(1_000_000)));
            let title = format!("{name}, virtual CPUs");
            let percent = |key| fact.value(key) as f64 / 10.0;
            tracks.counter(place, (&title, "busy %"), from, percent("busy_permille"));
            let title = format!("{name}, busiest virtual CPU");
            tracks.counter(place, (&title, "busy %"), from, percent("busiest_permille"));
        }
        ("ping", "reply") => {
            let took = ms("round_trip_ns");
            let title = format!("ping {name}");
            tracks.counter(place, (&title, "ms"), time.since(took), took.0 as f64 / 1e9);
        }
        ("ping", "lost") => tracks.instant((place, "lost pings"), name, *time),
        ("echo", "seen") => {
            let took = ms("delay_ns");
            let title = format!("echo {name}");
            tracks.counter(place, (&title, "ms"), time.since(took), took.0 as f64 / 1e9);
        }
        ("drawing", "frame") => tracks.instant((place, "drawing"), "frame", *time),
        ("log", "line") => tracks.instant((place, "log"), text, *time),
        ("console", "line") => tracks.instant((place, &format!("{name}: console")), text, *time),
        ("migration", what @ ("taken over" | "resumed" | "arrived")) => {
            tracks.instant((place, &format!("{name}: arrival")), what, *time);
        }
        ("chassis", "off") => tracks.instant((place, "log"), "power off", *time),
        ("command", "typed") => {
            let id = fact.value("id");
            let answer = facts.iter().find(|answer| {
                answer.is("command", "answered")
                    && answer.place == *place
                    && answer.value("id") == id
                    && answer.time >= *time
            });
            // What has no answer has no end, and is a moment.
            let end = answer.map_or(*time, |answer| answer.time);
            tracks.edge(place, text, 'b', (id, *time));
            let status = answer.map(|answer| answer.value("status"));
            tracks.edge(place, text, 'e', (id, end)).args = json!({ "status": status });
        }
        _ => {}
    }
}
