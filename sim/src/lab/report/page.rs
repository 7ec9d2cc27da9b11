//! `report.html`.
//!
//! **Shapes.** XML as well as HTML: every tag is closed, every attribute quoted. Nothing
//! in it names another file or another machine, and there is no script.

use super::super::record::Fact;
use super::super::verdict::claims::{Basis, Claim};
use super::super::verdict::moves::{Kind, Move};
use super::super::verdict::{self, Millis, Verdict};
use super::plot::escaped;
use super::{figures, movie, transcript};
use std::fmt::Write as _;
use sun4v::calibration::FIGURES;
use sun4v::time::SimTime;

/// Before and after a pause, what of the drawing is shown.
const AROUND: SimTime = SimTime::secs(2);

const STYLE: &str = "
body { font: 15px/1.45 sans-serif; color: #222; background: #fff; max-width: 1100px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.6em } h2 { font-size: 1.25em; margin-top: 2em; border-bottom: 1px solid #ccc }
table { border-collapse: collapse; width: 100%; font-size: 0.92em }
th, td { text-align: left; vertical-align: top; padding: 0.25em 0.6em; border-bottom: 1px solid #ddd }
td.n, th.n { text-align: right; white-space: nowrap }
.holds { color: #17692b; font-weight: bold } .fails { color: #b01818; font-weight: bold } .not { color: #666 }
svg { width: 100%; height: auto; display: block; font: 11px sans-serif }
svg .grid { stroke: #ddd; fill: none } svg .x { text-anchor: middle; fill: #555 } svg .y { text-anchor: end; fill: #555 }
.moving { fill: #f1ead6 } .copying { fill: #e5d29a } .still { fill: #e59a9a }
.busy { fill: #3569b5; fill-opacity: 0.85 } .busiest { fill: none; stroke: #8fb2e3 } .line { fill: #8fb2e3 }
.ping, .echo, .lost, .frame { fill: none; stroke-linecap: round; stroke-width: 4 }
.ping { stroke: #3569b5 } .echo { stroke: #7da35c } .lost { stroke: #b01818 } .frame { stroke: #444 }
.zero { fill: #dddddd } .same { fill: #b9c7d9 } .wire { fill: #3569b5 } .saved { fill: #c9ddc0 }
.part1 { fill: #3569b5 } .part2 { fill: #7da35c } .part3 { fill: #c28a2c }
.key { display: inline-block; width: 0.9em; height: 0.9em; vertical-align: -0.1em; margin: 0 0.3em 0 1em }
.windows { display: grid; grid-template-columns: 1fr 1fr; gap: 1em }
pre { background: #16181d; color: #dfe3ea; font-size: 11px; line-height: 1.35; padding: 0.8em; overflow: auto; max-height: 40em; margin: 0 }
.movies { display: flex; flex-wrap: wrap; gap: 1em } figure { margin: 0 } figure img { width: 264px; image-rendering: pixelated; border: 1px solid #222 }
figcaption { font-size: 0.85em; max-width: 264px }
";

/// The page.
pub fn html(facts: &[Fact], judged: &verdict::Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, facts, judged);
    out
}

fn write(out: &mut String, facts: &[Fact], judged: &verdict::Report) -> std::fmt::Result {
    let name = if judged.scenario.is_empty() { "a run" } else { &judged.scenario };
    let title = escaped(&format!("{name}, seed {}", judged.seed));
    writeln!(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>")?;
    writeln!(out, "<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>")?;
    writeln!(out, "<h1>{title}</h1>")?;
    let end = facts.iter().map(|fact| fact.time).max().unwrap_or_default();
    let counts = judged.counts();
    let count = |verdict| counts.get(&verdict).copied().unwrap_or(0);
    writeln!(
        out,
        "<p>{:.3} s of simulated time, {} facts. {} claims hold, {} fail, {} are not measured. \
         Times are simulated; everything here is computed from <code>record.jsonl</code>.</p>",
        end.as_secs_f64(),
        facts.len(),
        count(Verdict::Holds),
        count(Verdict::Fails),
        count(Verdict::NotMeasured)
    )?;
    claims(out, &judged.claims)?;
    migrations(out, &judged.migrations)?;
    plots(out, facts, judged, end)?;
    pauses(out, facts, judged)?;
    drawing(out, facts, &judged.migrations)?;
    windows(out, facts)?;
    constants(out)?;
    writeln!(out, "</body>\n</html>")
}

/// The table of claims, which is also what tests look at.
pub fn claims(out: &mut String, claims: &[Claim]) -> std::fmt::Result {
    writeln!(out, "<h2>Claims</h2>\n<table id=\"claims\">")?;
    writeln!(
        out,
        "<tr><th></th><th>Claim</th><th>Expected</th><th>Measured</th><th>Rests on</th><th>Verdict</th></tr>"
    )?;
    for claim in claims {
        let class = match claim.verdict {
            Verdict::Holds => "holds",
            Verdict::Fails => "fails",
            Verdict::NotMeasured => "not",
        };
        writeln!(
            out,
            "<tr id=\"{}\"><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td class=\"{class}\">{}</td></tr>",
            claim.id,
            claim.id,
            escaped(claim.claim),
            escaped(claim.expected),
            escaped(&claim.measured),
            claim.basis.name(),
            claim.verdict.name()
        )?;
    }
    let words = [Basis::Fitted, Basis::Predicted, Basis::Built, Basis::History];
    let words = words.map(|basis| format!("<em>{}</em>: {}", basis.name(), basis.meaning()));
    writeln!(out, "</table>\n<p>{}.</p>", words.join("; "))
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Cold => "cold",
        Kind::Live => "live",
        Kind::Warm => "warm",
        Kind::Unknown => "?",
    }
}

fn migrations(out: &mut String, moves: &[Move]) -> std::fmt::Result {
    if moves.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Migrations</h2>\n<table>")?;
    writeln!(
        out,
        "<tr><th>Domain</th><th>From, to</th><th>Kind</th><th class=\"n\">Asked at</th>\
         <th class=\"n\">Memory</th><th class=\"n\">Took</th><th class=\"n\">Pause</th>\
         <th class=\"n\">Rounds</th><th class=\"n\">Packed</th><th class=\"n\">On the wire</th></tr>"
    )?;
    let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    for one in moves {
        let took = match (one.duration_s, one.succeeded()) {
            (Some(took), true) => took.to_string(),
            (Some(took), false) => format!("refused after {took}"),
            (None, _) => "no answer".to_owned(),
        };
        let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "–".to_owned());
        let cells = [
            one.typed.to_string(),
            or_dash(one.memory_bytes.map(|bytes| format!("{} MB", bytes >> 20))),
            took,
            or_dash(one.pause_ms.map(|pause| pause.to_string())),
            one.rounds.len().to_string(),
            mb(one.raw_bytes),
            mb(one.packed_bytes),
        ];
        let cells: String =
            cells.iter().map(|cell| format!("<td class=\"n\">{cell}</td>")).collect();
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td>{cells}</tr>",
            escaped(&one.domain),
            escaped(&one.way()),
            kind(one.kind)
        )?;
    }
    writeln!(out, "</table>")
}

/// A colour and what it means.
fn key(class: &str, meaning: &str) -> String {
    format!(
        "<svg class=\"key\" viewBox=\"0 0 10 10\"><rect class=\"{class}\" width=\"10\" height=\"10\"/></svg>{meaning}"
    )
}

fn plots(
    out: &mut String,
    facts: &[Fact],
    judged: &verdict::Report,
    end: SimTime,
) -> std::fmt::Result {
    let places = super::chassis(facts);
    let shades = [
        key("moving", "a migration"),
        key("copying", "memory moves, the domain runs"),
        key("still", "it stands still"),
    ]
    .join(" ");
    writeln!(out, "<h2>CPU of the control domains</h2>")?;
    writeln!(out, "<p>{} {} {shades}</p>", key("busy", "mean"), key("line", "line: the busiest"))?;
    out.push_str(&figures::cpus(facts, judged, (&places, end)));
    for copy in &judged.cpu.copies {
        if copy.source.samples > 0 {
            writeln!(
                out,
                "<p>{}: while memory moved ({}) the mean at {} was {:.0} %, at {} {:.0} %.</p>",
                escaped(&copy.domain),
                copy.copy_s,
                escaped(&copy.source.chassis),
                copy.source.mean_percent,
                escaped(&copy.target.chassis),
                copy.target.mean_percent
            )?;
        }
    }
    writeln!(out, "<h2>Round trips</h2>")?;
    writeln!(
        out,
        "<p>Blue: pings, at the time when they were sent; green: from a key to its echo; red, at \
         the top: pings that were lost.</p>"
    )?;
    out.push_str(&figures::round_trips(facts, judged, end));
    writeln!(
        out,
        "<h2>Rounds</h2>\n<p>{}</p>",
        [
            key("zero", "zero pages"),
            key("same", "pages that had not changed"),
            key("wire", "on the wire"),
            key("saved", "saved by packing"),
        ]
        .join(" ")
    )?;
    out.push_str(&figures::rounds(judged));
    rounds(out, &judged.migrations)
}

fn rounds(out: &mut String, moves: &[Move]) -> std::fmt::Result {
    writeln!(
        out,
        "<table>\n<tr><th>Migration</th><th class=\"n\">Round</th><th class=\"n\">Pages</th>\
         <th class=\"n\">zero</th><th class=\"n\">same</th><th class=\"n\">Bytes to pack</th>\
         <th class=\"n\">On the wire</th><th class=\"n\">Took</th><th>Domain</th></tr>"
    )?;
    for one in moves {
        for (number, round) in one.rounds.iter().enumerate() {
            writeln!(
                out,
                "<tr><td>{} {}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{:.3} s</td><td>{}</td></tr>",
                escaped(&one.domain),
                escaped(&one.way()),
                number + 1,
                round.pages,
                round.zero_pages,
                round.same_pages,
                round.raw_bytes,
                round.packed_bytes,
                round.took_s.0.as_secs_f64(),
                if round.suspended { "stands still" } else { "runs" }
            )?;
        }
    }
    writeln!(out, "</table>")
}

fn pauses(out: &mut String, facts: &[Fact], judged: &verdict::Report) -> std::fmt::Result {
    writeln!(out, "<h2>The pause</h2>")?;
    let mut any = false;
    for one in &judged.migrations {
        let Some(pause) = figures::pause(facts, one) else { continue };
        any = true;
        let classes = ["part1", "part2", "part3"];
        let parts = classes.into_iter().zip(&pause.parts).map(|(class, &(name, from, until))| {
            key(class, &format!("{name} {}", Millis(until.since(from))))
        });
        let parts: Vec<_> = parts.collect();
        let (from, until) = pause.still;
        writeln!(
            out,
            "<p>{} {}: {} {}</p>",
            escaped(&one.domain),
            escaped(&one.way()),
            Millis(until.since(from)),
            parts.join(" ")
        )?;
        out.push_str(&figures::pause_bar(facts, one, &pause));
    }
    if !any {
        writeln!(out, "<p>No domain stood still.</p>")?;
    }
    Ok(())
}

fn drawing(out: &mut String, facts: &[Fact], moves: &[Move]) -> std::fmt::Result {
    writeln!(out, "<h2>The drawing</h2>")?;
    let pictures = movie::pictures(facts);
    let mut shown = String::new();
    for one in moves {
        let Some((still, runs)) = one.still() else { continue };
        let about = (still.since(AROUND), runs.plus(AROUND));
        let frames = movie::frames(facts, &one.domain, about);
        let Some((address, width, height)) = movie::data(&frames, &pictures) else { continue };
        let gap = frames.windows(2).map(|pair| pair[1].time.since(pair[0].time)).max();
        writeln!(
            shown,
            "<figure><img width=\"{width}\" height=\"{height}\" alt=\"the drawing\" src=\"{address}\"/>\
             <figcaption>{} {}: {} frames from 2 s before the domain stood still to 2 s after, as \
             fast as they came. The longest stood for {}.</figcaption></figure>",
            escaped(&one.domain),
            escaped(&one.way()),
            frames.len(),
            Millis(gap.unwrap_or_default())
        )?;
    }
    if shown.is_empty() {
        return writeln!(out, "<p>Nobody watched a drawing while its domain stood still.</p>");
    }
    writeln!(out, "<div class=\"movies\">\n{shown}</div>")
}

fn windows(out: &mut String, facts: &[Fact]) -> std::fmt::Result {
    writeln!(out, "<h2>Both windows</h2>\n<div class=\"windows\">")?;
    for place in super::chassis(facts) {
        let text = transcript(facts, Some(place));
        writeln!(out, "<div><h3>{}</h3><pre>{}</pre></div>", escaped(place), escaped(&text))?;
    }
    writeln!(out, "</div>")
}

fn constants(out: &mut String) -> std::fmt::Result {
    writeln!(out, "<h2>Figures that no specification gives</h2>")?;
    writeln!(
        out,
        "<p>Of these only the sum of the fixed times is fitted, to the 15 s of claim S8. A scenario \
         may have changed what is <em>chosen</em>.</p>\n<table>\n<tr><th>Figure</th>\
         <th class=\"n\">Value</th><th>Unit</th><th>It is</th><th>Origin</th></tr>"
    )?;
    for figure in FIGURES {
        writeln!(
            out,
            "<tr><td><code>{}</code></td><td class=\"n\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            figure.name,
            figure.value,
            escaped(figure.unit),
            figure.basis.name(),
            escaped(figure.origin)
        )?;
    }
    writeln!(out, "</table>")
}
