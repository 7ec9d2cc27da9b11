//! Decoding against the processor's rules of legality, and the text of instructions
//! against GNU objdump, word by word.
//!
//! Skipped, loudly, where no objdump for SPARC is installed.

#![expect(clippy::unwrap_used, reason = "a test may")]

#[path = "oracle/legal.rs"]
mod legal;
#[path = "oracle/objdump.rs"]
mod objdump;
#[path = "oracle/stream.rs"]
mod stream;
#[path = "oracle/words.rs"]
mod words;

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use objdump::{INTENDED, OBJDUMP, is_there};
use stream::Seen;
use sun4v::isa::disas::Insn;
use sun4v::isa::{ROWS, decode};

fn report(seen: &Seen) {
    let legal: u64 = seen.rows.iter().sum();
    eprintln!("{} words, {legal} of them legal, {} sums", seen.words, seen.sums);
    for (rule, count) in INTENDED.iter().zip(seen.rules) {
        eprintln!("{count:9} {}: {}", rule.name, rule.why);
    }
    for (reason, (all, known)) in &seen.refusals {
        eprintln!("{all:9} refused ({known} shown by objdump): {reason}");
    }
}

#[test]
fn every_row_and_field_reads_as_objdump_writes_it() {
    if !is_there(OBJDUMP, "the instruction table") {
        return;
    }
    let mut all = Seen::default();
    for part in words::parts() {
        eprintln!("{}: {} words, seed {:#x}", part.name, part.words.len(), part.seed);
        all.add(stream::compare(part.name, &part.words, part.address));
    }
    report(&all);
    assert_eq!(all.wrong, 0, "differences:\n{}", all.examples.join("\n"));
    assert!(all.words >= 10_000_000, "{} words", all.words);
    assert!(all.sums > 5_000, "{} sums", all.sums);
    for (rule, count) in INTENDED.iter().zip(all.rules) {
        assert!(count > 0, "nothing differs by rule `{}`", rule.name);
    }
    for (row, seen) in ROWS.iter().zip(all.rows) {
        let possible = 1u64.checked_shl(row.mask.count_zeros()).unwrap();
        assert!(seen >= possible.min(5_000), "{:?}: {seen} words", row.op);
    }
}

/// Whole libraries of the compiler: what is in their executable sections.
#[test]
fn libraries_read_as_objdump_writes_them() {
    const COMPILER: &str = "sparc64-linux-gnu-gcc";
    if !is_there(COMPILER, "its libraries") || !is_there(OBJDUMP, "a compiler's libraries") {
        return;
    }
    let mut all = Seen::default();
    for name in ["libc.so.6", "libm.so.6", "libstdc++.so.6"] {
        let asked = Command::new(COMPILER).arg(format!("-print-file-name={name}")).output();
        let path = String::from_utf8(asked.unwrap().stdout).unwrap();
        let Ok(bytes) = std::fs::read(path.trim()) else {
            eprintln!("SKIPPED: {name} is not installed, it was not compared");
            continue;
        };
        let elf = goblin::elf::Elf::parse(&bytes).unwrap();
        for section in elf.section_headers.iter().filter(|section| section.is_executable()) {
            let (words, _) = bytes[section.file_range().unwrap()].as_chunks();
            let words: Vec<u32> = words.iter().copied().map(u32::from_be_bytes).collect();
            all.add(stream::compare(name, &words, section.sh_addr));
        }
    }
    report(&all);
    assert_eq!(all.wrong, 0, "differences:\n{}", all.examples.join("\n"));
}

/// Every one of the 2^32 words.
#[test]
fn every_word_is_legal_for_the_table_or_refused_as_t2_refuses_it() {
    let (next, wrong) = (AtomicU32::new(0), Mutex::new(Vec::new()));
    let check = || {
        loop {
            let high = next.fetch_add(1, Ordering::Relaxed);
            if high > 0xffff {
                break;
            }
            for low in 0..=0xffff {
                let word = high << 16 | low;
                if decode(word).is_some() != legal::check(word).is_ok() {
                    wrong.lock().unwrap().push(word);
                    break;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(check);
        check();
    });
    let lines = wrong.into_inner().unwrap().into_iter().take(40).map(|word| {
        let (op, legal) = (decode(word), legal::check(word));
        format!("{word:08x}  table `{op:?}`  legality `{}`", legal.err().unwrap_or("legal"))
    });
    let lines: Vec<String> = lines.collect();
    assert!(lines.is_empty(), "differences:\n{}", lines.join("\n"));
}

#[test]
fn as_many_operations_are_legal_as_t2_has() {
    let count =
        |op3: u32| (0..512).filter(move |opf| legal::check(2 << 30 | op3 << 19 | opf << 5).is_ok());
    assert_eq!(count(0x34).count(), 27);
    assert_eq!(count(0x36).count(), 82);
}

#[test]
fn a_word_without_a_row_is_unknown_or_a_deliberate_trap() {
    assert_eq!(Insn::new(0, 0).to_string(), "illtrap  0");
    assert_eq!(Insn::new(0, 0x003f_ffff).to_string(), "illtrap  0x3fffff");
    assert_eq!(Insn::new(0, 0x0200_0000).to_string(), "unknown");
    assert_eq!(Insn::new(0, 0x81a0_0c60).to_string(), "unknown");
}
