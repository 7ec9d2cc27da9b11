//! What was typed, and what it printed.

use super::super::record::Fact;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use sun4v::time::SimTime;

/// Answers that took so long have their time written beside them.
const LONG: SimTime = SimTime::ms(100);

/// Commands in the order of typing, with their times and what they printed: of all
/// places, or of one, as its window shows them.
#[must_use]
pub fn transcript(facts: &[Fact], place: Option<&str>) -> String {
    let answers: BTreeMap<u64, &Fact> = facts
        .iter()
        .filter(|fact| fact.is("command", "answered"))
        .map(|fact| (fact.value("id"), fact))
        .collect();
    let mut text = String::new();
    let typed = facts.iter().filter(|fact| fact.is("command", "typed"));
    for typed in typed.filter(|fact| place.is_none_or(|place| place == fact.place)) {
        // Writing to a string cannot fail.
        let time = typed.time.as_secs_f64();
        let _ = writeln!(text, "[{time:>11.6}] {}# {}", typed.place, typed.text);
        let Some(answer) = answers.get(&typed.value("id")) else {
            text.push_str("(no answer)\n");
            continue;
        };
        let printed = answer.text.split_once('\n').map_or("", |(_, printed)| printed);
        text.push_str(printed);
        if !printed.is_empty() && !printed.ends_with('\n') {
            text.push('\n');
        }
        let took = answer.time.since(typed.time);
        let status = answer.value("status");
        if status != 0 {
            let _ = writeln!(text, "(exit status {status})");
        }
        if took >= LONG {
            let _ = writeln!(text, "({:.3} s)", took.as_secs_f64());
        }
    }
    text
}

#[cfg(test)]
mod test {
    use super::transcript;
    use crate::lab::record::Fact;
    use sun4v::time::SimTime;

    fn facts() -> [Fact; 5] {
        let s = SimTime::secs;
        [
            Fact::typed(s(1), "t5120", 0, "ldm migrate-domain rover t5220"),
            Fact::typed(s(2), "t5220", 1, "ldm list"),
            Fact::answered(s(2), "t5220", 1, "ldm list", 0, "NAME\nprimary"),
            Fact::answered(s(16), "t5120", 0, "ldm migrate-domain rover t5220", 1, "refused\n"),
            Fact::typed(s(17), "pinger", 2, "stop"),
        ]
    }

    #[test]
    fn a_transcript_shows_commands_in_the_order_of_typing() {
        insta::assert_snapshot!(transcript(&facts(), None));
    }

    #[test]
    fn a_window_shows_what_was_typed_there() {
        insta::assert_snapshot!(transcript(&facts(), Some("t5120")));
        assert_eq!(transcript(&facts(), Some("moon")), "");
    }
}
