//! The disassembler against GNU objdump, word by word.
//!
//! Both get the same words: for every row of the table a sweep over its fields, and
//! words from a seeded generator. Skipped, loudly, where no objdump for SPARC is
//! installed.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use sun4v::isa::disas::Insn;
use sun4v::isa::{Op, ROWS, Word, decode};

const OBJDUMP: &str = "sparc64-linux-gnu-objdump";

fn objdump_is_there() -> bool {
    let there = Command::new(OBJDUMP).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !there {
        eprintln!("SKIPPED: {OBJDUMP} is not installed, nothing was compared");
    }
    there
}

/// What objdump says of a file: sections of lines of address, word, text.
fn lines(args: &[&str], file: &Path) -> Vec<Vec<(u64, u32, String)>> {
    let output = Command::new(OBJDUMP).args(args).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut sections = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        if line.starts_with("Disassembly of section") {
            sections.push(Vec::new());
        }
        let mut columns = line.splitn(3, '\t');
        let (Some(address), Some(bytes), Some(text)) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let address = u64::from_str_radix(address.trim().trim_end_matches(':'), 16).unwrap();
        let word = u32::from_str_radix(&bytes.replace(' ', ""), 16).unwrap();
        sections.last_mut().unwrap().push((address, word, text.trim_end().to_owned()));
    }
    sections
}

/// Where the two differ, with up to five examples of each instruction.
fn differences(sections: &[Vec<(u64, u32, String)>]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for section in sections {
        let mut insn: Option<Insn> = None;
        for (address, word, theirs) in section {
            let this = match insn {
                Some(last) if last.address.wrapping_add(4) == *address => last.next(*word),
                _ => Insn::new(*address, *word),
            };
            insn = Some(this);
            let ours = this.to_string();
            if ours != *theirs && !intended(this, &ours, theirs) {
                let kind = decode(*word).map_or("no row".to_owned(), |op| format!("{op:?}"));
                let examples = found.entry(kind).or_default();
                if examples.len() < 5 {
                    examples
                        .push(format!("{address:x}: {word:08x} ours `{ours}` theirs `{theirs}`"));
                }
            }
        }
    }
    found
}

/// The differences that are meant to be:
///
/// - A word that T2 refuses is `unknown` here, also where objdump knows an
///   instruction of other processors, or is blind to a reserved field.
/// - The number of an ILLTRAP has no sign in the manual; objdump extends bit 21.
/// - A trap on `%xcc` has the trap's number here; objdump takes the condition code
///   field for a part of the number.
/// - Behind a word that T2 refuses there may be no sum where objdump, which takes
///   that word for a branch, shows one, or the other way round.
fn intended(insn: Insn, ours: &str, theirs: &str) -> bool {
    let w = Word(insn.word);
    let text = |line: &str| line.split('\t').next().unwrap().to_owned();
    match decode(insn.word) {
        None if ours.starts_with("illtrap") => {
            theirs == format!("illtrap  {:#x}", w.imm22() | 0xffc0_0000)
        }
        None => ours == "unknown",
        Some(Op::Tcc) if w.i() && w.trap_cc() == 2 => {
            let ours = text(ours);
            let before = ours.rsplit_once(' ').unwrap().0;
            text(theirs) == format!("{before} {}", w.simm13())
        }
        Some(_) => {
            let odd = insn.before.into_iter().flatten().any(|word| decode(word).is_none());
            odd && text(ours) == text(theirs)
        }
    }
}

fn write_words(name: &str, words: &[u32]) -> std::path::PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    std::fs::write(&file, bytes).unwrap();
    file
}

/// xorshift: words that are the same in every run.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
}

/// For every row its instructions with many values in every field.
fn sweep() -> Vec<u32> {
    const REGISTERS: [u32; 8] = [0, 1, 2, 7, 14, 15, 30, 31];
    const LOW: [u32; 24] = [
        0, 1, 5, 15, 0x1000, 0x1003, 0x0400, 0x1c1f, 0x1005, 0x1040, 0x0a04, 0x1e3f, 0x2000,
        0x2001, 0x2009, 0x200a, 0x201f, 0x207f, 0x2fff, 0x3000, 0x303f, 0x3c08, 0x3ff8, 0x3fff,
    ];
    let mut random = Random(0x5eed_1165_0000_0002);
    let mut words = Vec::new();
    for row in ROWS {
        let free = !row.mask;
        let mut take = |word: u32| {
            let word = word & free | row.bits;
            if decode(word) == Some(row.op) {
                words.push(word);
            }
        };
        for rd in 0..32 {
            for rs1 in REGISTERS.into_iter().chain([rd]) {
                for low in LOW {
                    take(rd << 25 | rs1 << 14 | low);
                }
            }
        }
        for rs1 in 0..32 {
            for low in 0..256 {
                take(rs1 << 14 | 1 << 25 | low << 5);
            }
        }
        for _ in 0..600 {
            let word = random.word();
            take(word);
            take(word & !0x1fe0);
        }
    }
    words
}

fn show(found: &BTreeMap<String, Vec<String>>) -> String {
    found.iter().map(|(kind, examples)| format!("{kind}\n  {}\n", examples.join("\n  "))).collect()
}

const RAW: [&str; 6] = ["-D", "-z", "-b", "binary", "-EB", "-msparc:v9b"];

#[test]
fn every_instruction_reads_as_objdump_writes_it() {
    if !objdump_is_there() {
        return;
    }
    let mut words = sweep();
    words.extend((0..0x20_0000).step_by(0x1ff)); // ILLTRAP
    for row in ROWS {
        assert!(words.iter().any(|word| decode(*word) == Some(row.op)), "no word for {:?}", row.op);
    }
    let sections = lines(&RAW, &write_words("sweep.bin", &words));
    assert_eq!(sections.iter().map(Vec::len).sum::<usize>(), words.len());
    let found = differences(&sections);
    assert!(words.len() > 300_000, "{} words", words.len());
    assert!(found.is_empty(), "{}", show(&found));
}

#[test]
fn a_sum_with_what_sethi_has_set_is_shown_as_objdump_shows_it() {
    if !objdump_is_there() {
        return;
    }
    const NOP: u32 = 0x0100_0000;
    const CALL: u32 = 0x4000_0000;
    let sethi = |imm22: u32| 0x0300_0000 | imm22;
    let mut random = Random(0x5eed_1165_0000_0003);
    let mut words = Vec::new();
    for row in ROWS {
        for _ in 0..400 {
            // Registers %g0 to %g3 only, so that they often are the same.
            let word = random.word() & 0xc7f8_fffc;
            let word = word & !row.mask | row.bits;
            let high = sethi(random.word() >> 10);
            for [a, b, c] in [
                [high, word, NOP],
                [high, NOP, word],
                [high, CALL, word],
                [high, word, 0x8410_6078],
                [high, word, 0x8400_7f88],
                [word, high, word],
                [CALL, high, word],
                [high, word, word],
            ] {
                words.extend([NOP, NOP, a, b, c]);
            }
        }
    }
    let sections = lines(&RAW, &write_words("sums.bin", &words));
    let sums = sections.iter().flatten().filter(|line| line.2.contains("\t! ")).count();
    assert!(sums > 10_000, "{sums} sums");
    let found = differences(&sections);
    assert!(found.is_empty(), "{}", show(&found));
}

#[test]
fn a_word_without_a_row_is_unknown_or_a_deliberate_trap() {
    assert_eq!(Insn::new(0, 0).to_string(), "illtrap  0");
    assert_eq!(Insn::new(0, 0x003f_ffff).to_string(), "illtrap  0x3fffff");
    assert_eq!(Insn::new(0, 0x0200_0000).to_string(), "unknown");
    assert_eq!(Insn::new(0, 0x81a0_0c60).to_string(), "unknown");
}

#[test]
fn arbitrary_words_read_as_objdump_writes_them() {
    if !objdump_is_there() {
        return;
    }
    let mut random = Random(0x5eed_1165_0000_0004);
    let words: Vec<u32> = (0..400_000).map(|_| random.word()).collect();
    let found = differences(&lines(&RAW, &write_words("words.bin", &words)));
    assert!(found.is_empty(), "{}", show(&found));
}
