//! A run that is written into a file and continued from it is the same run.

#![expect(clippy::unwrap_used, reason = "a test may")]

use sha2::{Digest, Sha256};
use sim::cli::checkpoint::{Place, Run};
use sim::cli::{lab, replay, stats};
use sim::lab::record::Fact;
use std::path::{Path, PathBuf};

/// The story, and where its first migration begins.
const SHORT: &str = include_str!("../../testdata/scenarios/short.toml");
const THERE: &str = "# There.\n";
const NAMES: [&str; 4] = ["record.jsonl", "hypercalls.txt", "net.pcapng", "summary.json"];

/// A folder of this test.
fn place(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("checkpoint-{name}"));
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).unwrap();
    place
}

/// What is run, and from where to where.
#[derive(Default)]
struct Ask<'a> {
    scenario: Option<&'a str>,
    restore: Option<&'a Path>,
    checkpoint: Option<(f64, &'a Path)>,
    threads: usize,
}

/// What a run has left.
#[derive(PartialEq)]
struct Left {
    files: [Vec<u8>; 4],
    facts: Vec<Fact>,
    ended: Result<(), String>,
}

impl Ask<'_> {
    fn run(&self, out: &Path) -> Left {
        std::fs::create_dir_all(out).unwrap();
        let scenario = self.scenario.map(|text| {
            let file = out.join("scenario.toml");
            std::fs::write(&file, text).unwrap();
            file
        });
        let words = |(at, file): (f64, &Path)| vec![at.to_string(), file.display().to_string()];
        let args = replay::Args {
            options: lab::Options {
                scenario,
                threads: Some(self.threads.max(1)),
                ..lab::Options::default()
            },
            out: out.to_owned(),
            snaplen: 0,
            gdb: sim::cli::gdb::Args::default(),
            no_trace: false,
            checkpoint_at: self.checkpoint.map(words).unwrap_or_default(),
            restore: self.restore.map(Path::to_owned),
            stats: stats::Args::default(),
        };
        let ended = replay::run(&args, &mut Vec::new()).map_err(|error| format!("{error:#}"));
        let files = NAMES.map(|name| std::fs::read(out.join(name)).unwrap_or_default());
        let facts = sim::lab::record::read(out).unwrap_or_default();
        Left { files, facts, ended }
    }
}

/// Both runs have left the same.
fn same(one: &Left, other: &Left) {
    for (name, (one, other)) in NAMES.iter().zip(one.files.iter().zip(&other.files)) {
        assert!(!one.is_empty(), "{name} is empty");
        let lines = |bytes: &[u8]| -> Vec<String> {
            bytes.split(|&b| b == b'\n').map(|l| String::from_utf8_lossy(l).into_owned()).collect()
        };
        if one != other {
            let (one, other) = (lines(one), lines(other));
            let at = one.iter().zip(&other).position(|(one, other)| one != other);
            let show = |lines: &[String]| at.and_then(|at| lines.get(at).cloned());
            panic!("{name} differs in line {at:?}:\n{:?}\n{:?}", show(&one), show(&other));
        }
    }
    assert_eq!(one.ended, other.ended);
}

/// The story up to its first migration, and these steps.
fn instead(steps: &str) -> String {
    let (head, _) = SHORT.split_once(THERE).unwrap();
    format!("{head}{steps}")
}

fn all<'a>(left: &'a Left, subject: &'a str, what: &'a str) -> impl Iterator<Item = &'a Fact> {
    left.facts.iter().filter(move |fact| fact.is(subject, what))
}

#[test]
fn a_run_goes_on_from_its_file_as_it_went_on_itself() {
    let place = place("people");
    let scenario = instead(
        "[[script]]\nafter = \"1500ms\"\nrun = \"workstation# type scrub start\"\n\
         [[script]]\nwhen = \"console line rover: scrub: done\"\nwithin = \"20s\"\n\
         run = \"nas# images\"\n\
         [[script]]\nrun = \"t5120# ldm stop-domain -f rover\"\n\
         [[script]]\nrun = \"t5120# ldm list\"\n",
    );
    let (one, two) = (place.join("one.ckpt"), place.join("two.ckpt"));
    let ask = |restore, checkpoint, threads| Ask { scenario: None, restore, checkpoint, threads };
    let whole = Ask { scenario: Some(&scenario), ..ask(None, Some((4.2, &*one)), 1) };
    let whole = whole.run(&place.join("whole"));
    assert_eq!(whole.ended, Ok(()));
    same(&whole, &ask(Some(&*one), None, 2).run(&place.join("again")));
    // What is read and written again is the same file.
    let bytes = std::fs::read(&one).unwrap();
    let held = Place { out: place.join("held"), threads: 1, stopwatch: None };
    let again = Run::held(&bytes, held).unwrap().encode().unwrap();
    assert!(again == bytes, "{} and {} bytes", bytes.len(), again.len());
    // From a file to the next.
    let next = ask(Some(&*one), Some((5.5, &*two)), 1).run(&place.join("next"));
    assert_eq!(next.ended, Ok(()));
    same(&next, &ask(Some(&*two), None, 1).run(&place.join("last")));
    // People have noticed little: a session that was made again, a ping at most.
    let closed: Vec<_> = all(&whole, "session", "closed").map(|fact| &*fact.text).collect();
    assert_eq!(closed[0], "a checkpoint");
    assert_eq!(all(&whole, "session", "connected").count(), 2);
    let replies = all(&whole, "ping", "reply").count();
    assert!(replies > 20, "{replies}");
    assert!(all(&whole, "ping", "lost").count() <= 1);
    assert!(all(&whole, "console", "line").any(|fact| fact.text.contains("scrub: done")));
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn the_whole_story_is_the_same_from_before_between_and_after_its_migrations() {
    let place = place("story");
    let mut from: Option<PathBuf> = None;
    for (n, at) in [3.0, 20.0, 37.0].into_iter().enumerate() {
        let file = place.join(format!("{n}.ckpt"));
        let scenario = from.is_none().then_some(SHORT);
        let checkpoint = Some((at, &*file));
        let ask = Ask { scenario, restore: from.as_deref(), checkpoint, threads: 2 };
        let writer = ask.run(&place.join("writer"));
        assert_eq!(writer.ended, Ok(()), "at {at}");
        let reader = Ask { restore: Some(&*file), threads: 1, ..Ask::default() };
        same(&writer, &reader.run(&place.join("reader")));
        assert_eq!(all(&writer, "migration", "arrived").count(), 3, "at {at}");
        from = Some(file);
    }
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn during_a_migration_it_is_refused_and_nothing_changes() {
    let place = place("moving");
    let scenario = instead(
        "[[script]]\nrun = \"t5120# ldm migrate-domain -p /root/t5220.password rover t5220\"\n\
         [[script]]\nrun = \"t5220# ldm list\"\n",
    );
    let plain = Ask { scenario: Some(&scenario), ..Ask::default() }.run(&place.join("plain"));
    assert_eq!(plain.ended, Ok(()));
    let typed = all(&plain, "command", "typed").find(|fact| fact.text.contains("migrate"));
    let at = typed.unwrap().time.as_secs_f64() + 3.0;
    let file = place.join("never.ckpt");
    let asked = Ask { scenario: Some(&scenario), checkpoint: Some((at, &*file)), ..Ask::default() };
    let asked = asked.run(&place.join("asked"));
    let why = asked.ended.clone().unwrap_err();
    assert!(why.contains("no checkpoint at"), "{why}");
    assert!(why.contains("`t5120# ldm migrate-domain"), "{why}");
    assert!(!file.exists());
    same(&Left { ended: Ok(()), ..asked }, &plain);
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn a_file_that_was_cut_or_altered_is_refused_before_anything_runs() {
    let place = place("damage");
    let file = place.join("good.ckpt");
    let scenario = instead("");
    let ask = Ask { scenario: Some(&scenario), checkpoint: Some((0.5, &*file)), ..Ask::default() };
    assert_eq!(ask.run(&place.join("run")).ended, Ok(()));
    let good = std::fs::read(&file).unwrap();
    let (bad, out) = (place.join("bad.ckpt"), place.join("out"));
    let restore = |bytes: &[u8]| {
        std::fs::write(&bad, bytes).unwrap();
        let place = Place { out: out.clone(), threads: 1, stopwatch: None };
        Run::restore(&bad, place).map(drop).map_err(|error| format!("{error:#}"))
    };
    for n in 0..200 {
        let at = good.len() * n / 200;
        let bytes = match n % 2 {
            0 => good[..at].to_vec(),
            _ => {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << (n % 8);
                bytes
            }
        };
        let error = restore(&bytes).unwrap_err();
        assert!(error.contains("bad.ckpt: "), "{error}");
        assert!(!out.exists(), "{n}: a run has begun");
    }
    // Somebody who knows how the digest is made comes further, and no file of his
    // brings the program down.
    let sealed = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len().saturating_sub(32));
        let digest = Sha256::digest(&bytes);
        [bytes, digest.to_vec()].concat()
    };
    for n in 0..40 {
        let mut bytes = good.clone();
        let at = 20 + (good.len() - 60) * n / 40;
        bytes[at] = bytes[at].wrapping_add(1);
        if let Err(error) = restore(&sealed(bytes)) {
            assert!(error.contains("bad.ckpt: "), "{error}");
        }
        let _ = restore(&sealed(good[..at].to_vec()));
    }
    let error = restore(b"name = \"no checkpoint\"\n").unwrap_err();
    assert!(error.ends_with("it is no checkpoint of a lab"), "{error}");
    std::fs::remove_dir_all(&place).unwrap();
}
