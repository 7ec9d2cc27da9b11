//! A report as text.

use super::claims::Basis;
use super::moves::{Kind, Move};
use super::{Report, Verdict};
use std::fmt::Write as _;

/// Widths of the columns: number, claim, expected, measured, verdict.
const WIDTHS: [usize; 5] = [3, 32, 25, 40, 12];
/// Widths of the columns of migrations.
const MOVE_WIDTHS: [usize; 8] = [12, 22, 4, 8, 9, 9, 6, 32];

/// The whole text.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    row(&mut text, &WIDTHS, &["", "CLAIM", "EXPECTED", "MEASURED", "VERDICT"].map(String::from));
    for claim in &report.claims {
        let cells = [claim.id, claim.claim, claim.expected, &claim.measured, claim.verdict.name()];
        row(&mut text, &WIDTHS, &cells.map(String::from));
    }
    if !report.migrations.is_empty() {
        text.push('\n');
        let heading =
            ["MIGRATION", "FROM, TO", "KIND", "MEMORY", "TOOK", "PAUSE", "ROUNDS", "BYTES"];
        row(&mut text, &MOVE_WIDTHS, &heading.map(String::from));
        report.migrations.iter().for_each(|one| row(&mut text, &MOVE_WIDTHS, &cells(one)));
    }
    text.push('\n');
    let counts = report.counts();
    let verdicts = [Verdict::Holds, Verdict::Fails, Verdict::NotMeasured].map(|verdict| {
        format!("{} {}", counts.get(&verdict).copied().unwrap_or(0), verdict.name())
    });
    let scenario = if report.scenario.is_empty() { "a run" } else { &report.scenario };
    // Writing to a string does not fail.
    let _ = writeln!(text, "{scenario}, seed {}: {}", report.seed, verdicts.join(", "));
    let of = |basis| {
        let those = report.claims.iter().filter(|claim| claim.basis == basis);
        those.map(|claim| claim.id).collect::<Vec<_>>().join(", ")
    };
    let _ = writeln!(
        text,
        "fitted: {}; predicted: {}; the others follow from how the lab is built",
        of(Basis::Fitted),
        of(Basis::Predicted)
    );
    text
}

fn cells(one: &Move) -> [String; 8] {
    let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let kind = match one.kind {
        Kind::Cold => "cold",
        Kind::Live => "live",
        Kind::Warm => "warm",
        Kind::Unknown => "?",
    };
    let took = match (one.duration_s, one.status) {
        (Some(took), Some(0)) => took.to_string(),
        (Some(took), _) => format!("no: {took}"),
        (None, _) => "-".to_owned(),
    };
    let mib = |bytes: u64| format!("{} MB", bytes >> 20);
    let bytes = if one.rounds.is_empty() {
        "-".to_owned()
    } else {
        format!("{} packed into {}", mib(one.raw_bytes), mib(one.packed_bytes))
    };
    [
        one.domain.clone(),
        one.way(),
        kind.to_owned(),
        or_dash(one.memory_bytes.map(mib)),
        took,
        or_dash(one.pause_ms.map(|pause| pause.to_string())),
        one.rounds.len().to_string(),
        bytes,
    ]
}

/// Adds a row of cells, each wrapped at its width.
fn row<const N: usize>(text: &mut String, widths: &[usize; N], cells: &[String; N]) {
    let columns: Vec<_> =
        cells.iter().zip(widths).map(|(cell, &width)| wrapped(cell, width)).collect();
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    for at in 0..height {
        let mut line = String::new();
        for (column, width) in columns.iter().zip(widths) {
            let cell = column.get(at).map_or("", String::as_str);
            line += cell;
            line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// A text in lines of `width` columns at most; longer words are cut.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut columns = 0;
    for word in text.split_whitespace() {
        let letters: Vec<_> = word.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        for piece in letters.chunks(width) {
            if columns > 0 && columns + 1 + piece.len() > width {
                lines.push(String::new());
                columns = 0;
            }
            if columns > 0 {
                lines.last_mut().into_iter().for_each(|line| line.push(' '));
                columns += 1;
            }
            lines.last_mut().into_iter().for_each(|line| line.extend(piece));
            columns += piece.len();
        }
    }
    lines
}
