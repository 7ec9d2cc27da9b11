//! Plots as SVG, in a file that is XML as well as HTML.
//!
//! **Shapes.** Coordinates are pixels of a canvas 1000 wide, one digit behind the
//! point. Time goes to the right.

use std::fmt::Write as _;
use sun4v::time::SimTime;

/// Width of every plot.
pub const WIDTH: f64 = 1000.0;
/// Room for labels on the left, and for the end of the last one on the right.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;

/// Text between tags and in attributes. What XML has no room for becomes U+FFFD.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(letter),
            _ if letter.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&letter) => {
                out.push('\u{fffd}');
            }
            _ => out.push(letter),
        }
    }
    out
}

/// A time axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    begin: SimTime,
    span: f64,
}

impl Axis {
    /// From `begin` to `end`.
    pub fn new(begin: SimTime, end: SimTime) -> Self {
        Self { begin, span: end.since(begin).as_secs_f64().max(1e-6) }
    }

    /// Where a time is; what lies outside is at the edge.
    pub fn x(&self, time: SimTime) -> f64 {
        let part = time.since(self.begin).as_secs_f64() / self.span;
        LEFT + (WIDTH - LEFT - RIGHT) * part.clamp(0.0, 1.0)
    }

    /// Lines and numbers below them, `unit` after the last; `scale` makes numbers of
    /// seconds.
    pub fn ticks(&self, out: &mut String, (top, bottom): (f64, f64), (unit, scale): (&str, f64)) {
        let whole = self.span * scale;
        let mut step = 10_f64.powi(whole.log10().floor() as i32 - 1);
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| step * factor);
        step = steps.into_iter().find(|step| whole / step <= 12.0).unwrap_or(step * 10.0);
        let begin = self.begin.as_secs_f64() * scale;
        let mut n = (begin / step).ceil();
        while n * step <= begin + whole {
            let part = (n * step - begin) / whole;
            let x = LEFT + (WIDTH - LEFT - RIGHT) * part;
            let number = number(n * step, step);
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>\
                 <text class=\"x\" x=\"{x:.1}\" y=\"{:.1}\">{number}</text>",
                bottom + 14.0
            );
            n += 1.0;
        }
        let _ = writeln!(
            out,
            "<text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{unit}</text>",
            LEFT - 6.0,
            bottom + 14.0
        );
    }
}

/// A number on an axis whose ticks are `step` apart.
fn number(value: f64, step: f64) -> String {
    if step >= 1.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Begins a plot of this height.
pub fn begin(out: &mut String, height: f64, what: &str) {
    let _ = writeln!(
        out,
        "<svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\"><title>{}</title>",
        escaped(what)
    );
}

/// Ends it.
pub fn end(out: &mut String) {
    out.push_str("</svg>\n");
}

/// A filled rectangle.
pub fn area(out: &mut String, class: &str, (x, until): (f64, f64), (top, bottom): (f64, f64)) {
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
        (until - x).max(0.5),
        bottom - top
    );
}

/// Words that begin at a place.
pub fn words(out: &mut String, (x, y): (f64, f64), text: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text));
}

/// A level with its name at the left edge.
pub fn level(out: &mut String, y: f64, name: &str) {
    let _ = writeln!(
        out,
        "<path class=\"grid\" d=\"M{LEFT:.1} {y:.1}H{:.1}\"/>\
         <text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        WIDTH - RIGHT,
        LEFT - 6.0,
        y + 4.0,
        escaped(name)
    );
}

/// Levels from one time to another, as steps; an area down to `floor`, or a line.
pub fn steps(out: &mut String, class: &str, points: &[(f64, f64, f64)], floor: Option<f64>) {
    let mut path = String::new();
    let mut at = None;
    for &(from, until, y) in points {
        if at.is_none_or(|at: f64| (at - from).abs() > 0.05) {
            if let (Some(floor), Some(_)) = (floor, at) {
                let _ = write!(path, "V{floor:.1}Z");
            }
            let _ = match floor {
                Some(floor) => write!(path, "M{from:.1} {floor:.1}V{y:.1}"),
                None => write!(path, "M{from:.1} {y:.1}"),
            };
        } else {
            let _ = write!(path, "V{y:.1}");
        }
        let _ = write!(path, "H{until:.1}");
        at = Some(until);
    }
    if let (Some(floor), false) = (floor, path.is_empty()) {
        let _ = write!(path, "V{floor:.1}Z");
    }
    let _ = writeln!(out, "<path class=\"{class}\" d=\"{path}\"/>");
}

/// Points.
pub fn dots(out: &mut String, class: &str, points: impl Iterator<Item = (f64, f64)>) {
    let mut path = String::new();
    for (x, y) in points {
        let _ = write!(path, "M{x:.1} {y:.1}h0");
    }
    let _ = writeln!(out, "<path class=\"{class}\" d=\"{path}\"/>");
}

#[cfg(test)]
mod test {
    use super::{Axis, escaped, steps};
    use sun4v::time::SimTime;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            escaped("a<b> & \"c\"\u{1b}\u{7f}\n"),
            "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}\u{fffd}\n"
        );
    }

    #[test]
    fn an_axis_keeps_what_is_outside_at_its_edge_and_has_a_dozen_ticks() {
        let axis = Axis::new(SimTime::secs(10), SimTime::secs(30));
        assert_eq!((axis.x(SimTime::ZERO), axis.x(SimTime::secs(30))), (64.0, 984.0));
        assert_eq!((axis.x(SimTime::secs(20)), axis.x(SimTime::NEVER)), (524.0, 984.0));
        let mut out = String::new();
        axis.ticks(&mut out, (0.0, 10.0), ("s", 1.0));
        assert_eq!(out.matches("class=\"x\"").count(), 11, "{out}");
        assert!(out.contains(">28<") && out.contains(">s<"), "{out}");
        // An axis without length is one all the same.
        Axis::new(SimTime::secs(3), SimTime::secs(3)).ticks(&mut out, (0.0, 1.0), ("s", 1.0));
    }

    #[test]
    fn steps_are_closed_where_there_is_a_hole() {
        let mut out = String::new();
        let points = [(0.0, 1.0, 5.0), (1.0, 2.0, 6.0), (4.0, 5.0, 7.0)];
        steps(&mut out, "c", &points, Some(9.0));
        assert_eq!(
            out,
            "<path class=\"c\" d=\"M0.0 9.0V5.0H1.0V6.0H2.0V9.0ZM4.0 9.0V7.0H5.0V9.0Z\"/>\n"
        );
    }
}
