//! The record of a run: facts, one JSON object per line.
//!
//! Everything that is said about a run is computed from its record, so whoever
//! doubts a verdict reads the lines, and whoever changes a line changes it.
//!
//! **Shapes.** A fact has a time in picoseconds, the place where it was noted (a
//! chassis or a host of the lab), a subject, what happened, which thing it happened
//! to, its figures by name with their units at the end, and sometimes a text.
//! Facts stand in the order in which they were noted; those of one place are in
//! order of time.
//!
//! **Errors.** [`ReadError`] names the line.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::path::Path;
use sun4v::native::Observation;
use sun4v::time::SimTime;
use thiserror::Error;

/// Name of the record in the folder of a run.
pub const FILE: &str = "record.jsonl";

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// When.
    pub time: SimTime,
    /// The chassis or host that noted it.
    pub place: String,
    /// What it is about, such as `ping` or `migration`.
    pub subject: String,
    /// What happened, such as `reply` or `round`.
    pub what: String,
    /// To which thing: a domain, a host, an image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Figures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, u64>,
    /// Words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl Fact {
    /// A fact without figures or words.
    #[must_use]
    pub fn new(time: SimTime, place: &str, subject: &str, what: &str, name: &str) -> Self {
        Self {
            time,
            place: place.to_owned(),
            subject: subject.to_owned(),
            what: what.to_owned(),
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// With a figure.
    #[must_use]
    pub fn with(mut self, key: &str, value: u64) -> Self {
        self.values.insert(key.to_owned(), value);
        self
    }

    /// With words.
    #[must_use]
    pub fn saying(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// A message of the hypervisor to its service processor, by its command word: class and
    /// code are its low bytes. What the service processor makes of it is nothing so far.
    #[must_use]
    pub fn service_processor(time: SimTime, place: &str, command: u64) -> Self {
        let what = match command & 0xffff {
            0x5000 => "power off",
            0x5004 => "watchdog expired",
            0x4f00 => "time of day offset",
            _ => "message",
        };
        Self::new(time, place, "service processor", what, "").with("command", command)
    }

    /// What a program of a chassis observed.
    #[must_use]
    pub fn observed(time: SimTime, place: &str, observation: Observation) -> Self {
        let mut fact =
            Self::new(time, place, observation.subject, observation.what, &observation.name);
        for (key, value) in observation.values {
            fact.values.insert(key.to_owned(), value);
        }
        fact
    }

    /// A command line was typed at `place`, a chassis or a host.
    #[must_use]
    pub fn typed(time: SimTime, place: &str, id: u64, line: &str) -> Self {
        Self::new(time, place, "command", "typed", place).with("id", id).saying(line)
    }

    /// The answer to a command line, which stands in front of what it printed.
    #[must_use]
    pub fn answered(
        time: SimTime,
        place: &str,
        id: u64,
        line: &str,
        status: u8,
        printed: &str,
    ) -> Self {
        Self::new(time, place, "command", "answered", place)
            .with("id", id)
            .with("status", u64::from(status))
            .saying(format!("{line}\n{printed}"))
    }

    /// A line of a domain's console.
    #[must_use]
    pub fn console(time: SimTime, place: &str, domain: &str, line: &str) -> Self {
        Self::new(time, place, "console", "line", domain).saying(line)
    }

    /// How busy a domain's virtual CPUs were since the last sample, `span` ago:
    /// busy times then and now.
    #[must_use]
    pub fn cpu(
        time: SimTime,
        place: &str,
        domain: &str,
        span: SimTime,
        before: &[SimTime],
        now: &[SimTime],
    ) -> Self {
        let busy = |n: usize, now: SimTime| {
            let spent = now.since(before.get(n).copied().unwrap_or_default());
            (u128::from(spent.0) * 1000 / u128::from(span.0.max(1))) as u64
        };
        let each: Vec<_> = now.iter().enumerate().map(|(n, now)| busy(n, *now)).collect();
        let mean = each.iter().sum::<u64>() / each.len().max(1) as u64;
        Self::new(time, place, "cpu", "sample", domain)
            .with("span_us", span.as_us())
            .with("vcpus", each.len() as u64)
            .with("busy_permille", mean)
            .with("busiest_permille", each.iter().copied().max().unwrap_or(0))
    }

    /// What the crypto units of a chassis have done so far, all together. Noted now
    /// and then, so that what was sealed can be held against it.
    #[must_use]
    pub fn crypto(time: SimTime, place: &str, ciphered_bytes: u64, hashed_bytes: u64) -> Self {
        Self::new(time, place, "crypto", "units", place)
            .with("ciphered_bytes", ciphered_bytes)
            .with("hashed_bytes", hashed_bytes)
    }

    /// A chassis was powered on.
    #[must_use]
    pub fn power_on(time: SimTime, place: &str, model: &str, hz: u64, vcpus: u64) -> Self {
        Self::new(time, place, "chassis", "on", model).with("hz", hz).with("primary_vcpus", vcpus)
    }

    /// A run of a scenario begins.
    #[must_use]
    pub fn run_begins(scenario: &str, seed: u64, slice: SimTime) -> Self {
        Self::new(SimTime::ZERO, "lab", "run", "begin", scenario)
            .with("seed", seed)
            .with("slice_ps", slice.0)
    }

    /// A figure; zero if it has none of that name.
    #[must_use]
    pub fn value(&self, key: &str) -> u64 {
        self.values.get(key).copied().unwrap_or(0)
    }

    /// True for a fact of this subject in which this happened.
    #[must_use]
    pub fn is(&self, subject: &str, what: &str) -> bool {
        self.subject == subject && self.what == what
    }
}

/// Why a record could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{file}: {why}")]
    File {
        /// Which file.
        file: String,
        /// Why.
        why: io::Error,
    },
    /// A line is no fact.
    #[error("{file}:{line}: {why}")]
    Line {
        /// Which file.
        file: String,
        /// Which line, from 1.
        line: usize,
        /// Why.
        why: serde_json::Error,
    },
}

/// Writes one fact as a line.
pub fn write(fact: &Fact, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, fact)?;
    out.write_all(b"\n")
}

/// Reads the record in the folder `dir`.
pub fn read(dir: &Path) -> Result<Vec<Fact>, ReadError> {
    let path = dir.join(FILE);
    let name = || path.display().to_string();
    let file = std::fs::File::open(&path).map_err(|why| ReadError::File { file: name(), why })?;
    let mut facts = Vec::new();
    for (n, line) in io::BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|why| ReadError::File { file: name(), why })?;
        if line.is_empty() {
            continue;
        }
        let fact = serde_json::from_str(&line).map_err(|why| ReadError::Line {
            file: name(),
            line: n + 1,
            why,
        })?;
        facts.push(fact);
    }
    Ok(facts)
}

#[cfg(test)]
mod test {
    use super::{FILE, Fact, read, write};
    use sun4v::native::Observation;
    use sun4v::time::SimTime;

    #[test]
    fn utilisation_is_the_mean_over_the_virtual_cpus() {
        let ms = SimTime::ms;
        let before = [ms(100), ms(200)];
        let fact = Fact::cpu(ms(1000), "t5120", "primary", ms(500), &before, &[ms(600), ms(250)]);
        assert_eq!((fact.value("vcpus"), fact.value("busiest_permille")), (2, 1000));
        assert_eq!(fact.value("busy_permille"), 550);
    }

    #[test]
    fn a_record_reads_as_it_was_written_and_names_a_bad_line() {
        let observation = Observation {
            subject: "migration",
            what: "round",
            name: "rover".to_owned(),
            values: vec![("pages", 7)],
        };
        let facts = [
            Fact::observed(SimTime::ms(3), "t5120", observation),
            Fact::new(SimTime::ms(4), "t5220", "console", "line", "rover").saying("up \"now\""),
        ];
        let dir = std::env::temp_dir().join(format!("ldomlab-record-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut bytes = Vec::new();
        facts.iter().for_each(|fact| write(fact, &mut bytes).unwrap());
        std::fs::write(dir.join(FILE), &bytes).unwrap();
        assert_eq!(read(&dir).unwrap(), facts);
        bytes.extend(b"{\"time\":1}\n");
        std::fs::write(dir.join(FILE), &bytes).unwrap();
        let error = read(&dir).unwrap_err().to_string();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(error.contains("record.jsonl:3: missing field `place`"), "{error}");
        assert!(read(&dir).unwrap_err().to_string().contains("record.jsonl: "));
        assert_eq!((facts[0].value("pages"), facts[0].value("bytes")), (7, 0));
    }
}
