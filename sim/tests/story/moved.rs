//! What moved is what was there, and both managers say so.

use super::run::{Run, settled, short};
use std::fmt::Write as _;
use sun4v::addr::PAGE_BYTES;

/// Bytes of the domain's memory.
const MEMORY: u64 = 64 << 20;
/// What a sealed record has around its cipher text.
const HEADER_BYTES: u64 = 16;
const TAG_BYTES: u64 = 32;

/// The digests of rover's memory at both ends of each migration agree; how many.
pub fn digests_agree(run: &Run) -> usize {
    let digests: Vec<_> = run.all("memory", "digest").collect();
    for ends in digests.chunks(2) {
        let [left, came] = ends else { panic!("only one end: {ends:?}") };
        assert_ne!(left.place, came.place);
        assert_eq!((&left.name, &came.name), (&"rover".to_owned(), &"rover".to_owned()));
        assert_eq!((left.value("bytes"), came.value("bytes")), (MEMORY, MEMORY));
        assert_eq!(left.text, came.text);
        assert_eq!(left.text.len(), 64);
        assert!(left.time < came.time);
    }
    digests.len() / 2
}

#[test]
fn memory_is_the_same_at_both_ends_of_each_migration() {
    assert_eq!(digests_agree(short()), 2);
    let digests: Vec<_> = short().all("memory", "digest").map(|fact| &fact.text).collect();
    assert_ne!(digests[0], digests[2], "rover did nothing between its migrations");
}

#[test]
fn statistics_know_who_executed_at_which_end_although_it_has_left() {
    let domains = short().stats["domains"].as_array().unwrap();
    let ends: Vec<_> =
        domains.iter().map(|domain| (&domain["chassis"], &domain["domain"])).collect();
    for place in ["t5120", "t5220"] {
        let rover = domains.iter().find(|one| one["chassis"] == place && one["domain"] == "rover");
        let rover = rover.unwrap_or_else(|| panic!("no rover at {place} among {ends:?}"));
        let (instructions, cycles) = (&rover["instructions"], &rover["cycles"]);
        assert!(instructions.as_u64() > Some(1_000_000), "{rover}");
        // Functional timing: a cycle an instruction, and those of waiting.
        assert!(cycles.as_u64() >= instructions.as_u64(), "{rover}");
        assert!(rover["host"]["mips"].as_f64() > Some(0.0), "{rover}");
    }
    let sum: u64 = domains.iter().filter_map(|domain| domain["instructions"].as_u64()).sum();
    assert_eq!(short().stats["total"]["instructions"].as_u64(), Some(sum));
}

/// A record of `n` bytes of plain text is `HEADER_BYTES + n + TAG_BYTES` long. Its
/// sealer ciphers the `n` and authenticates `HEADER_BYTES + n`, and so does who
/// opens it. Beside that the units hash pages: where they are written, those that
/// were sent; where they are read, also those that turn out to be the same as before,
/// unless they are zero. Nothing else uses the units, so of all records that a chassis
/// sealed or opened together
///
/// ```text
/// ciphered + (HEADER_BYTES + TAG_BYTES) * records = bytes sealed or opened
/// hashed - ciphered - HEADER_BYTES * records      = pages hashed
/// ```
#[test]
fn crypto_units_have_done_exactly_what_was_sealed_and_opened() {
    let run = short();
    let over = |what| run.all("migration", what).collect::<Vec<_>>();
    let (done, taken) = (over("done"), over("taken over"));
    assert_eq!((done.len(), taken.len()), (3, 3));
    for (done, taken) in done.iter().zip(&taken) {
        // Nothing that was sealed at one end was not opened at the other.
        assert_eq!(done.value("sealed_bytes"), taken.value("opened_bytes"));
    }
    let sealed: u64 = done.iter().map(|fact| fact.value("sealed_bytes")).sum();
    let opened: u64 = done.iter().map(|fact| fact.value("opened_bytes")).sum();
    assert!(sealed > 8 << 20, "{sealed}");
    for place in ["t5120", "t5220"] {
        let units = run.all("crypto", "units").filter(|fact| fact.place == place).last().unwrap();
        let (ciphered, hashed) = (units.value("ciphered_bytes"), units.value("hashed_bytes"));
        // Every record is sealed at one chassis and opened at the other, so the units
        // of both cipher the same.
        let around = sealed + opened - ciphered;
        let records = around / (HEADER_BYTES + TAG_BYTES);
        assert_eq!(around % (HEADER_BYTES + TAG_BYTES), 0, "{place}");
        assert!(records > 200, "{records}");
        let pages = hashed - ciphered - HEADER_BYTES * records;
        assert_eq!(pages % PAGE_BYTES, 0, "{place}");
        let sent: u64 = run.all("migration", "round").map(|round| round.value("raw_bytes")).sum();
        let here = run.all("migration", "round").filter(|round| round.place == place);
        let same: u64 = here.map(|round| round.value("same_pages")).sum();
        assert!((sent..=sent + same * PAGE_BYTES).contains(&pages), "{pages}, {sent}, {same}");
    }
}

#[test]
fn lists_before_during_and_after() {
    let mut text = String::new();
    let run = short();
    for fact in run.all("command", "answered") {
        if ["ldm list", "ldm migrate"].iter().any(|verb| fact.text.starts_with(verb)) {
            let (line, printed) = fact.text.split_once('\n').unwrap();
            let _ = write!(text, "{}# {line}\n{}", fact.place, settled(printed));
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_verdict_finds_nothing_that_fails() {
    let summary = std::str::from_utf8(&short().files[3]).unwrap();
    assert!(!summary.contains("\"fails\""), "{summary}");
}
