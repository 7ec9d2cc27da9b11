//! The plots of the page.

use super::super::record::Fact;
use super::super::verdict;
use super::super::verdict::copying::CONTROL;
use super::super::verdict::moves::{Kind, Move};
use super::course::{self, DIGEST, HAND_OFF};
use super::plot::{self, Axis};
use sun4v::addr::PAGE_BYTES;
use sun4v::time::SimTime;

/// Height of a panel, and from one to the next.
const PANEL: f64 = 110.0;
const NEXT: f64 = 140.0;
const TOP: f64 = 34.0;

/// Shades the times of migrations behind panels from `top` to `bottom`.
fn shade(out: &mut String, axis: &Axis, moves: &[Move], (top, bottom): (f64, f64)) {
    for one in moves {
        let x = |time| axis.x(time);
        plot::area(out, "moving", (x(one.typed.0), x(course::end(one))), (top, bottom));
        if let Some((from, until)) = one.copy_window() {
            plot::area(out, "copying", (x(from), x(until)), (top, bottom));
        }
        if let Some((from, until)) = one.still() {
            plot::area(out, "still", (x(from), x(until)), (top, bottom));
        }
    }
}

/// Names of migrations above the panels.
fn name(out: &mut String, axis: &Axis, moves: &[Move]) {
    for one in moves.iter().filter(|one| one.kind == Kind::Live) {
        plot::words(
            out,
            (axis.x(one.typed.0), TOP - 8.0),
            &format!("{} to {}", one.domain, one.target),
        );
    }
}

/// How busy the control domains were, a panel each, over the same time.
pub fn cpus(facts: &[Fact], judged: &verdict::Report, (places, end): (&[&str], SimTime)) -> String {
    let mut out = String::new();
    let axis = Axis::new(SimTime::ZERO, end);
    let bottom = |panel: usize| TOP + panel as f64 * NEXT + PANEL;
    let last = bottom(places.len().saturating_sub(1));
    plot::begin(&mut out, last + 24.0, "CPU of both control domains over time");
    shade(&mut out, &axis, &judged.migrations, (TOP, last));
    name(&mut out, &axis, &judged.migrations);
    for (panel, place) in places.iter().enumerate() {
        let floor = bottom(panel);
        for (percent, text) in [(0, "0 %"), (50, "50 %"), (100, "100 %")] {
            plot::level(&mut out, floor - PANEL * f64::from(percent) / 100.0, text);
        }
        let samples = facts.iter().filter(|fact| {
            fact.is("cpu", "sample") && fact.place == *place && fact.name == CONTROL
        });
        let points = |key: &str| {
            let point = |fact: &Fact| {
                let span = SimTime(fact.value("span_us").saturating_mul(1_000_000));
                let y = floor - PANEL * fact.value(key).min(1000) as f64 / 1000.0;
                (axis.x(fact.time.since(span)), axis.x(fact.time), y)
            };
            samples.clone().map(point).collect::<Vec<_>>()
        };
        plot::steps(&mut out, "busiest", &points("busiest_permille"), None);
        plot::steps(&mut out, "busy", &points("busy_permille"), Some(floor));
        let vcpus = samples.clone().map(|fact| fact.value("vcpus")).max().unwrap_or(0);
        let text = format!("{place}: {CONTROL}, {vcpus} virtual CPUs");
        plot::words(&mut out, (axis.x(SimTime::ZERO) + 6.0, floor - PANEL + 14.0), &text);
    }
    axis.ticks(&mut out, (TOP, last), ("s", 1.0));
    plot::end(&mut out);
    out
}

/// Decades of the axis of round trips, in powers of ten of a millisecond.
const DECADES: std::ops::RangeInclusive<i32> = -2..=3;
const ROUND_TRIPS: f64 = 220.0;

/// Round trips of pings and echoes of keys over time.
pub fn round_trips(facts: &[Fact], judged: &verdict::Report, end: SimTime) -> String {
    let mut out = String::new();
    let axis = Axis::new(SimTime::ZERO, end);
    let bottom = TOP + ROUND_TRIPS;
    plot::begin(&mut out, bottom + 24.0, "Round trips of pings, and echoes of keys");
    shade(&mut out, &axis, &judged.migrations, (TOP, bottom));
    name(&mut out, &axis, &judged.migrations);
    let (low, high) = (f64::from(*DECADES.start()), f64::from(*DECADES.end()));
    let y = |ms: f64| bottom - ROUND_TRIPS * ((ms.log10() - low) / (high - low)).clamp(0.0, 1.0);
    for decade in DECADES {
        let ms = 10_f64.powi(decade);
        plot::level(&mut out, y(ms), &format!("{ms} ms"));
    }
    let points = |subject, what, key: &'static str| {
        let those = facts.iter().filter(move |fact| fact.is(subject, what));
        those.map(move |fact| {
            let took = SimTime(fact.value(key).saturating_mul(1000));
            (axis.x(fact.time.since(took)), y(took.0 as f64 / 1e9))
        })
    };
    plot::dots(&mut out, "echo", points("echo", "seen", "delay_ns"));
    plot::dots(&mut out, "ping", points("ping", "reply", "round_trip_ns"));
    let lost = facts.iter().filter(|fact| fact.is("ping", "lost"));
    plot::dots(&mut out, "lost", lost.map(|fact| (axis.x(fact.time), TOP + 4.0)));
    axis.ticks(&mut out, (TOP, bottom), ("s", 1.0));
    plot::end(&mut out);
    out
}

/// What became of the pages of each round, as bars.
pub fn rounds(judged: &verdict::Report) -> String {
    const BAR: f64 = 18.0;
    let mut out = String::new();
    let moved: Vec<_> = judged.migrations.iter().filter(|one| !one.rounds.is_empty()).collect();
    let most = moved.iter().flat_map(|one| &one.rounds).map(|round| round.pages).max();
    let Some(most) = most.filter(|&most| most > 0) else { return out };
    let count: usize = moved.iter().map(|one| one.rounds.len() + 1).sum();
    plot::begin(&mut out, count as f64 * BAR + 8.0, "Bytes of each round");
    let mut top = 4.0;
    for one in moved {
        plot::words(&mut out, (8.0, top + 13.0), &format!("{} {}", one.domain, one.way()));
        top += BAR;
        for (number, round) in one.rounds.iter().enumerate() {
            let x = |bytes: u64| 48.0 + 700.0 * bytes as f64 / (most * PAGE_BYTES) as f64;
            let zero = round.zero_pages * PAGE_BYTES;
            let same = zero + round.same_pages * PAGE_BYTES;
            let wire = same + round.packed_bytes;
            let whole = round.pages * PAGE_BYTES;
            plot::words(&mut out, (8.0, top + 13.0), &format!("{}", number + 1));
            for (class, from, until) in [
                ("zero", 0, zero),
                ("same", zero, same),
                ("wire", same, wire),
                ("saved", wire, whole),
            ] {
                if from < until {
                    plot::area(&mut out, class, (x(from), x(until)), (top + 3.0, top + BAR - 3.0));
                }
            }
            let text = format!(
                "{:.3} MB in {:.3} s{}",
                round.packed_bytes as f64 / 1e6,
                round.took_s.0.as_secs_f64(),
                if round.suspended { ", standing still" } else { "" }
            );
            plot::words(&mut out, (x(whole) + 8.0, top + 13.0), &text);
            top += BAR;
        }
    }
    plot::end(&mut out);
    out
}

/// What happened in the pause of a move, part by part.
pub struct Pause {
    /// Names and spans.
    pub parts: Vec<(&'static str, SimTime, SimTime)>,
    /// From when to when.
    pub still: (SimTime, SimTime),
}

/// The pause of a move, if it is known whole.
pub fn pause(facts: &[Fact], one: &Move) -> Option<Pause> {
    let still = one.still()?;
    let phases = course::phases(facts, one);
    let begins = |phase| phases.iter().find(|span| span.phase == phase).map(|span| span.from);
    let (digest, over) = (begins(DIGEST)?, begins(HAND_OFF)?);
    let parts = vec![
        ("the last pages", still.0, digest),
        ("digest", digest, over),
        ("hand-off and start", over, still.1),
    ];
    Some(Pause { parts, still })
}

/// The pause as a bar, with what people noticed of it: the frames of the drawing and
/// the pings that arrived about it.
pub fn pause_bar(facts: &[Fact], one: &Move, pause: &Pause) -> String {
    let mut out = String::new();
    let (from, until) = pause.still;
    let around = SimTime::ms(150);
    let axis = Axis::new(from.since(around), until.plus(around));
    plot::begin(&mut out, 96.0, &format!("The pause of {} {}", one.domain, one.way()));
    plot::area(&mut out, "still", (axis.x(from), axis.x(until)), (6.0, 76.0));
    for (class, (_, from, until)) in ["part1", "part2", "part3"].into_iter().zip(&pause.parts) {
        plot::area(&mut out, class, (axis.x(*from), axis.x(*until)), (10.0, 26.0));
    }
    let inside = |fact: &&Fact| {
        from.since(around) <= fact.time
            && fact.time <= until.plus(around)
            && fact.place != one.source
    };
    for (subject, what, class, y) in [
        ("drawing", "frame", "frame", 40.0),
        ("ping", "reply", "ping", 54.0),
        ("echo", "seen", "echo", 68.0),
    ] {
        plot::level(&mut out, y, subject);
        let those = facts.iter().filter(|fact| fact.is(subject, what)).filter(inside);
        plot::dots(&mut out, class, those.map(|fact| (axis.x(fact.time), y)));
    }
    axis.ticks(&mut out, (6.0, 76.0), ("ms", 1000.0));
    plot::end(&mut out);
    out
}
