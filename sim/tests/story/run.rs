//! Runs a scenario as `ldomlab replay` does and keeps what it wrote.

use sim::cli::{lab, replay, stats};
use sim::lab::record::Fact;
use std::path::Path;
use std::sync::OnceLock;

/// The story.
pub const SHORT: &str = include_str!("../../../testdata/scenarios/short.toml");
/// Where its first migration begins.
const THERE: &str = "# There.\n";

/// What a run left.
pub struct Run {
    /// `record.jsonl`, `hypercalls.txt`, `net.pcapng`, `summary.json`.
    pub files: [Vec<u8>; 4],
    /// The facts.
    pub facts: Vec<Fact>,
    /// The commands and what they printed.
    pub transcript: String,
    /// The same, of each chassis; empty where a story has no such chassis.
    pub windows: [String; 2],
    /// `report.html`, `trace.perfetto`.
    pub report: [Vec<u8>; 2],
    /// What was executed.
    pub stats: serde_json::Value,
    /// How it ended.
    pub ended: Result<(), String>,
}

/// Runs `scenario`; `name` tells it apart from other runs of these tests.
pub fn replay(name: &str, scenario: &str, threads: usize, set: &[&str]) -> Run {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("story-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("story.toml");
    std::fs::write(&file, scenario).unwrap();
    let args = replay::Args {
        options: lab::Options {
            scenario: Some(file),
            seed: None,
            threads: Some(threads),
            set: set.iter().map(|&set| set.to_owned()).collect(),
            ..lab::Options::default()
        },
        out: folder.clone(),
        snaplen: 0,
        gdb: sim::cli::gdb::Args::default(),
        no_trace: false,
        checkpoint_at: Vec::new(),
        restore: None,
        stats: stats::Args { stats: true, ..stats::Args::default() },
    };
    let ended = replay::run(&args, &mut Vec::new()).map_err(|error| format!("{error:#}"));
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let files = ["record.jsonl", "hypercalls.txt", "net.pcapng", "summary.json"].map(read);
    let facts = sim::lab::record::read(&folder).unwrap();
    let transcript = String::from_utf8(read("transcript.txt")).unwrap();
    let window = |name: &str| {
        std::fs::read_to_string(folder.join(format!("transcript-{name}.txt"))).unwrap_or_default()
    };
    let windows = ["t5120", "t5220"].map(window);
    let report = ["report.html", "trace.perfetto"].map(read);
    let stats = serde_json::from_slice(&read("stats.json")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    Run { files, facts, transcript, windows, report, stats, ended }
}

/// The story as it stands in its file, run once.
pub fn short() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let run = replay("short", SHORT, 1, &[]);
        assert_eq!(run.ended, Ok(()));
        run
    })
}

/// The story up to its first migration, and then these steps: `PLACE# COMMAND`, with
/// a `!` in front if it must be refused; a line in brackets stands as it is.
pub fn instead(steps: &str) -> String {
    let (head, _) = SHORT.split_once(THERE).unwrap();
    let mut text = head.to_owned();
    for step in steps.lines().map(str::trim).filter(|step| !step.is_empty()) {
        let (keys, step) = match step.strip_prefix('[').and_then(|step| step.split_once("] ")) {
            Some((keys, step)) => (keys, step),
            None => ("", step),
        };
        let (fails, step) = match step.strip_prefix('!') {
            Some(step) => ("fails = true", step),
            None => ("", step),
        };
        let keys = keys.replace("; ", "\n");
        text += &format!("\n[[script]]\n{keys}\n{fails}\nrun = \"{step}\"\n");
    }
    text
}

impl Run {
    /// Facts of this kind.
    pub fn all<'a>(&'a self, subject: &'a str, what: &'a str) -> impl Iterator<Item = &'a Fact> {
        self.facts.iter().filter(move |fact| fact.is(subject, what))
    }

    /// What the `n`th command `prompt` printed, and its exit status.
    pub fn answer(&self, prompt: &str, n: usize) -> (String, u64) {
        let (place, line) = prompt.split_once("# ").unwrap();
        let fact = self
            .all("command", "answered")
            .filter(|fact| fact.place == place && fact.text.split('\n').next() == Some(line))
            .nth(n)
            .unwrap_or_else(|| panic!("{prompt} was not answered: {:?}", self.ended));
        (fact.text.split_once('\n').unwrap().1.to_owned(), fact.value("status"))
    }
}

/// Where what time alone changes begins in a line of a list.
const UTIL_AT: usize = 59;

/// A list without UTIL and UPTIME.
pub fn settled(list: &str) -> String {
    list.lines()
        .map(|line| format!("{}\n", line.get(..UTIL_AT).unwrap_or(line).trim_end()))
        .collect()
}
