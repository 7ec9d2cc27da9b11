//! The script of a scenario, step by step.
//!
//! The world asks what is due ([`Script::due`]), carries it out, and tells the
//! script the answers ([`Script::answered`]) and every fact ([`Script::note`]).
//!
//! **Shapes.** A prompt is `PLACE# COMMAND`. A condition is the subject, what
//! happened, and optionally the name of a fact, then optionally `: TEXT` that its
//! words must contain: `migration arrived rover`, `console line rover: ready`. The
//! condition `answered` waits for the answers to all earlier steps.
//!
//! **Errors.** [`ScriptError`] names the step by its line.

use super::record::Fact;
use super::scenario::{Scenario, Step};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use sun4v::time::SimTime;
use thiserror::Error;

/// A command line and the place where it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// A chassis, a host, or `lab` itself.
    pub place: String,
    /// The words after the prompt.
    pub line: String,
}

impl FromStr for Prompt {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is no prompt and command such as `t5120# ldm list`");
        let (place, line) = text.split_once('#').ok_or_else(refuse)?;
        let (place, line) = (place.trim(), line.trim());
        if place.is_empty() || place.contains(char::is_whitespace) || line.is_empty() {
            return Err(refuse());
        }
        Ok(Self { place: place.to_owned(), line: line.to_owned() })
    }
}

impl fmt::Display for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}# {}", self.place, self.line)
    }
}

/// What to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Every command so far has its answer.
    Answered,
    /// A fact of this kind is noted.
    Fact {
        /// Its subject.
        subject: String,
        /// What happened.
        what: String,
        /// To which thing, unless to any.
        name: Option<String>,
        /// What its words contain.
        text: Option<String>,
    },
}

impl When {
    /// True for a fact that it waits for.
    #[must_use]
    pub fn holds(&self, fact: &Fact) -> bool {
        match self {
            Self::Answered => false,
            Self::Fact { subject, what, name, text } => {
                fact.is(subject, what)
                    && name.as_ref().is_none_or(|name| *name == fact.name)
                    && text.as_ref().is_none_or(|text| fact.text.contains(text))
            }
        }
    }
}

impl FromStr for When {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "answered" {
            return Ok(Self::Answered);
        }
        let (fact, words) = match text.split_once(": ") {
            Some((fact, words)) => (fact, Some(words.to_owned())),
            None => (text, None),
        };
        let parts: Vec<_> = fact.split_whitespace().map(str::to_owned).collect();
        let (subject, what, name) = match &parts[..] {
            [subject, what] => (subject, what, None),
            [subject, what, name] => (subject, what, Some(name.clone())),
            _ => {
                return Err(format!(
                    "`{text}` is no condition such as `answered` or `console line rover: ready`"
                ));
            }
        };
        Ok(Self::Fact { subject: subject.clone(), what: what.clone(), name, text: words })
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Fact { subject, what, name, text } = self else { return f.write_str("answered") };
        write!(f, "{subject} {what}")?;
        if let Some(name) = name {
            write!(f, " {name}")?;
        }
        if let Some(text) = text {
            write!(f, ": {text}")?;
        }
        Ok(())
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text! { Prompt When }

/// Names a step that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepId(pub usize);

/// A step to carry out now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Names its answer.
    pub id: StepId,
    /// What to type where.
    pub prompt: Prompt,
}

/// Why the script cannot go on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{at}`{prompt}`: {why}")]
pub struct ScriptError {
    at: String,
    prompt: Prompt,
    why: String,
}

/// Where a script stands, version 1; part of a world's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptV1 {
    /// Steps begun.
    pub next: u64,
    /// When the last step began.
    pub began: SimTime,
    /// When it was done with.
    pub ended: Option<SimTime>,
    /// When the next step's condition came true.
    pub met: Option<SimTime>,
    /// When the last answer came.
    pub answered: SimTime,
}

/// A script under way.
#[derive(Clone, Debug)]
pub struct Script {
    file: String,
    steps: Vec<Step>,
    lines: Vec<usize>,
    next: usize,
    /// When the last step began and when it was done with.
    began: SimTime,
    ended: Option<SimTime>,
    /// When the next step's condition came true.
    met: Option<SimTime>,
    /// Steps without an answer, and when they were begun.
    open: BTreeMap<StepId, SimTime>,
    /// When the last answer came.
    answered: SimTime,
}

impl Script {
    /// The script of `scenario`, which was read from `file`.
    #[must_use]
    pub fn new(scenario: &Scenario, file: &str) -> Self {
        Self {
            file: file.to_owned(),
            steps: scenario.script.clone(),
            lines: scenario.step_lines.clone(),
            next: 0,
            began: SimTime::ZERO,
            ended: Some(SimTime::ZERO),
            met: None,
            open: BTreeMap::new(),
            answered: SimTime::ZERO,
        }
    }

    /// True when every step was begun and answered.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.next == self.steps.len() && self.open.is_empty()
    }

    /// Steps begun, and steps in all.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        (self.next, self.steps.len())
    }

    /// Looks at a fact that was noted since the last step began.
    pub fn note(&mut self, fact: &Fact) {
        if self.met.is_none()
            && let Some(step) = self.steps.get(self.next)
            && step.when.as_ref().is_some_and(|when| when.holds(fact))
        {
            self.met = Some(fact.time);
        }
    }

    /// When the next step begins if nothing more happens; [`SimTime::NEVER`] while
    /// it waits for an answer or a fact.
    #[must_use]
    pub fn next_time(&self) -> SimTime {
        let (Some(step), Some(ended)) = (self.steps.get(self.next), self.ended) else {
            return SimTime::NEVER;
        };
        let met = match (&step.when, self.met) {
            (None, _) => SimTime::ZERO,
            (Some(When::Answered), _) if self.open.is_empty() => self.answered,
            (Some(_), Some(met)) => met,
            (Some(_), None) => return SimTime::NEVER,
        };
        let after = step.after.unwrap_or_default().0;
        ended.max(met).plus(after).max(step.at.unwrap_or_default().0)
    }

    /// The next step, if it is due.
    pub fn due(&mut self, now: SimTime) -> Option<Due> {
        if self.next_time() > now {
            return None;
        }
        let step = self.steps.get(self.next)?;
        let id = StepId(self.next);
        self.next += 1;
        self.began = now;
        self.ended = (!step.wait).then_some(now);
        self.met = None;
        self.open.insert(id, now);
        Some(Due { id, prompt: step.prompt() })
    }

    /// Takes the answer to a step: its exit status and what it printed.
    pub fn answered(
        &mut self,
        id: StepId,
        now: SimTime,
        status: u8,
        printed: &str,
    ) -> Result<(), ScriptError> {
        let Some(step) = self.steps.get(id.0) else { return Ok(()) };
        self.open.remove(&id);
        self.answered = now;
        if id.0 + 1 == self.next && step.wait {
            self.ended = Some(now);
        }
        match (step.fails, status) {
            (false, 0) | (true, 1..) => Ok(()),
            (true, 0) => Err(self.error(id, "it succeeded and should have failed")),
            (false, _) => {
                let printed = printed.trim().replace('\n', "; ");
                Err(self.error(id, &format!("exit status {status}: {printed}")))
            }
        }
    }

    /// Its record, when no answer is missing.
    #[must_use]
    pub fn save(&self) -> ScriptV1 {
        // Whoever saves has refused to while something is open.
        let Self { file: _, steps: _, lines: _, open: _, next, began, ended, met, answered } = self;
        let next = *next as u64;
        ScriptV1 { next, began: *began, ended: *ended, met: *met, answered: *answered }
    }

    /// Goes to where a record says that it was; the rule that the record breaks.
    ///
    /// # Errors
    /// In words; then it stays where it is.
    pub fn load(&mut self, record: ScriptV1) -> Result<(), &'static str> {
        let ScriptV1 { next, began, ended, met, answered } = record;
        if next > self.steps.len() as u64 {
            return Err("a step past the end of the script");
        }
        self.next = next as usize;
        (self.began, self.ended, self.met, self.answered) = (began, ended, met, answered);
        Ok(())
    }

    /// How long a step has been without its answer.
    #[must_use]
    pub fn began(&self, id: StepId) -> Option<SimTime> {
        self.open.get(&id).copied()
    }

    /// Gives up if the next step has waited too long.
    pub fn check(&self, now: SimTime) -> Result<(), ScriptError> {
        let Some(step) = self.steps.get(self.next) else { return Ok(()) };
        let Some(within) = step.within else { return Ok(()) };
        if now.since(self.began) <= within.0 {
            return Ok(());
        }
        let waits = match (&step.when, self.ended) {
            (_, None) => "the answer to the step before".to_owned(),
            (Some(when), _) if self.met.is_none() => format!("`{when}`"),
            _ => "its time".to_owned(),
        };
        let why = format!("not begun within {} s: it waits for {waits}", within.0.as_secs_f64());
        Err(self.error(StepId(self.next), &why))
    }

    fn error(&self, id: StepId, why: &str) -> ScriptError {
        let at = match self.lines.get(id.0) {
            Some(line) => format!("{}:{line}: ", self.file),
            None => String::new(),
        };
        ScriptError { at, prompt: self.steps[id.0].prompt(), why: why.to_owned() }
    }
}

impl Step {
    fn prompt(&self) -> Prompt {
        self.run.clone()
    }
}

#[cfg(test)]
mod test {
    use super::{Due, Script, StepId, When};
    use crate::lab::record::Fact;
    use crate::lab::scenario::Scenario;
    use sun4v::time::SimTime;

    fn script(steps: &str) -> Script {
        let head = "name = \"s\"\n[networks]\n[chassis.a]\nmodel = \"t5120\"\naddresses = {}\n";
        let scenario = Scenario::parse(&format!("{head}{steps}"), "s.toml", &[]).unwrap();
        Script::new(&scenario, "s.toml")
    }

    fn line(due: Option<Due>) -> Option<(StepId, String)> {
        due.map(|due| (due.id, due.prompt.line))
    }

    #[test]
    fn steps_wait_for_answers_spans_times_and_facts() {
        let mut script = script(
            "[[script]]\nrun = \"a# one\"\n\
             [[script]]\nafter = \"1s\"\nrun = \"a# two\"\nwait = false\n\
             [[script]]\nat = \"10s\"\nrun = \"a# three\"\n\
             [[script]]\nwhen = \"console line rover: up\"\nafter = \"2s\"\nrun = \"a# four\"\n\
             [[script]]\nwhen = \"answered\"\nafter = \"3s\"\nrun = \"a# five\"\n",
        );
        let s = SimTime::secs;
        assert_eq!(line(script.due(s(0))), Some((StepId(0), "one".to_owned())));
        assert_eq!((script.due(s(5)), script.next_time()), (None, SimTime::NEVER));
        script.answered(StepId(0), s(3), 0, "").unwrap();
        assert_eq!((script.due(SimTime(s(4).0 - 1)), script.next_time()), (None, s(4)));
        assert_eq!(line(script.due(s(4))), Some((StepId(1), "two".to_owned())));
        assert_eq!((script.next_time(), script.began(StepId(1))), (s(10), Some(s(4))));
        assert_eq!(line(script.due(s(10))), Some((StepId(2), "three".to_owned())));
        let mut fact = |t, text: &str| {
            script.note(&Fact::new(s(t), "a", "console", "line", "rover").saying(text));
        };
        fact(10, "booting");
        fact(11, "rover: up, 8 cpus");
        fact(13, "rover: up again");
        assert_eq!(script.next_time(), SimTime::NEVER);
        script.answered(StepId(2), s(12), 0, "").unwrap();
        assert_eq!(script.next_time(), s(14));
        assert_eq!(line(script.due(s(14))), Some((StepId(3), "four".to_owned())));
        script.answered(StepId(3), s(14), 0, "").unwrap();
        assert_eq!((script.due(s(19)), script.next_time()), (None, SimTime::NEVER));
        script.answered(StepId(1), s(20), 0, "").unwrap();
        assert_eq!((script.next_time(), script.progress()), (s(23), (4, 5)));
        assert_eq!(line(script.due(s(23))), Some((StepId(4), "five".to_owned())));
        assert!(!script.is_done());
        script.answered(StepId(4), s(23), 0, "").unwrap();
        assert!(script.is_done() && script.due(s(99)).is_none());
    }

    #[test]
    fn a_step_that_goes_wrong_is_named_by_its_line() {
        let steps = "[[script]]\nrun = \"a# ldm bind mars\"\n\
                     [[script]]\nfails = true\nrun = \"a# ldm bind pluto\"\n\
                     [[script]]\nwithin = \"5s\"\nwhen = \"console line mars\"\nrun = \"a# b\"\n";
        let mut script = script(steps);
        let t = SimTime::ZERO;
        script.due(t);
        let error = script.answered(StepId(0), t, 1, "LDom \"mars\" not found\n").unwrap_err();
        let expected = "s.toml:6: `a# ldm bind mars`: exit status 1: LDom \"mars\" not found";
        assert_eq!(error.to_string(), expected);
        script.due(t);
        let error = script.answered(StepId(1), t, 0, "").unwrap_err();
        assert!(error.to_string().ends_with("it succeeded and should have failed"), "{error}");
        script.check(SimTime::secs(5)).unwrap();
        let error = script.check(SimTime::ms(5_001)).unwrap_err().to_string();
        let expected = "s.toml:11: `a# b`: not begun within 5 s: it waits for `console line mars`";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_condition_prints_as_it_is_written() {
        for text in
            ["answered", "migration arrived", "migration arrived rover", "console line rover: a: b"]
        {
            assert_eq!(text.parse::<When>().unwrap().to_string(), text);
        }
        assert!("one".parse::<When>().is_err() && "a b c d".parse::<When>().is_err());
    }
}
