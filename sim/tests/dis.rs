//! `ldomlab dis`: what it prints, and what it says of files that it cannot print.

#![expect(clippy::unwrap_used, reason = "a test may")]

#[path = "oracle/objdump.rs"]
mod objdump;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use objdump::{INTENDED, MACHINE, OBJDUMP, intended, is_there};
use sim::cli::dis;
use sun4v::isa::decode;
use sun4v::isa::disas::Insn;

fn ldomlab_dis(image: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ldomlab")).arg("dis").arg(image).output().unwrap()
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

const SECTIONS: usize = 3;

/// A small ELF file: one segment with four instructions at 0x40_0000, and, if asked
/// for, a section table that names the last three of them `.text`.
fn elf(with_sections: bool) -> Vec<u8> {
    const WORDS: [u32; 4] = [0x0304_8d15, 0x8210_6278, 0x81c3_e008, 0x0100_0000];
    const NAMES: &[u8] = b"\0.text\0.shstrtab\0";
    let code: Vec<u8> = WORDS.iter().flat_map(|word| word.to_be_bytes()).collect();
    let (code_at, names_at) = (64 + 56, 64 + 56 + code.len());
    let sections_at = (names_at + NAMES.len()).next_multiple_of(8);
    let mut file = Vec::new();
    let mut put = |value: u64, size: usize| {
        file.extend_from_slice(&value.to_be_bytes()[8 - size..]);
    };
    put(0x7f45_4c46_0202_0100, 8);
    put(0, 8);
    let sections = if with_sections { SECTIONS as u64 } else { 0 };
    let table = if with_sections { sections_at as u64 } else { 0 };
    for (value, size) in [
        (2, 2),         // executable
        (43, 2),        // SPARC V9
        (1, 4),         // version
        (0x40_0000, 8), // entry
        (64, 8),        // segments
        (table, 8),
        (0, 4), // flags
        (64, 2),
        (56, 2),
        (1, 2), // one segment
        (64, 2),
        (sections, 2),
        (sections.saturating_sub(1), 2),
    ] {
        put(value, size);
    }
    let size = code.len() as u64;
    for (value, size) in [
        (1, 4), // load
        (5, 4), // readable, executable
        (code_at as u64, 8),
        (0x40_0000, 8),
        (0x40_0000, 8),
        (size, 8),
        (size, 8),
        (8, 8),
    ] {
        put(value, size);
    }
    file.extend_from_slice(&code);
    if with_sections {
        file.extend_from_slice(NAMES);
        file.resize(sections_at + 64, 0);
        let mut put = |value: u64, size: usize| {
            file.extend_from_slice(&value.to_be_bytes()[8 - size..]);
        };
        for (name, kind, flags, address, offset, size) in
            [(1, 1, 6, 0x40_0004, code_at + 4, code.len() - 4), (7, 3, 0, 0, names_at, NAMES.len())]
        {
            for (value, width) in [
                (name, 4),
                (kind, 4),
                (flags, 8),
                (address, 8),
                (offset as u64, 8),
                (size as u64, 8),
                (0, 8),
                (4, 8),
                (0, 8),
            ] {
                put(value, width);
            }
        }
    }
    file
}

/// What `dis` prints of these bytes, or its error.
fn dis_bytes(name: &str, bytes: &[u8]) -> Result<String, String> {
    let image = file(name, bytes);
    let mut out = Vec::new();
    match dis::run(&dis::Args { image }, &mut out) {
        Ok(()) => Ok(String::from_utf8(out).unwrap()),
        Err(error) => Err(format!("{error:#}")),
    }
}

#[test]
fn a_line_is_address_word_and_text() {
    let output = ldomlab_dis(&file("segment.elf", &elf(false)));
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "400000: 03048d15  sethi  %hi(0x12345400), %g1\n\
         400004: 82106278  or  %g1, 0x278, %g1\t! 0x12345678\n\
         400008: 81c3e008  retl\n\
         40000c: 01000000  nop\n"
    );
}

#[test]
fn sections_go_before_segments() {
    assert_eq!(
        dis_bytes("section.elf", &elf(true)).unwrap(),
        "400004: 82106278  or  %g1, 0x278, %g1\n\
         400008: 81c3e008  retl\n\
         40000c: 01000000  nop\n"
    );
}

#[test]
fn a_bad_file_is_one_line_that_names_it_and_a_status_that_is_not_zero() {
    let good = elf(false);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("missing.elf");
    let _ = std::fs::remove_file(&missing);
    for (path, says) in [
        (missing, "No such file"),
        (Path::new(env!("CARGO_TARGET_TMPDIR")).to_path_buf(), "directory"),
        (file("empty.elf", &[]), "not an ELF file"),
        (file("text.elf", b"nop\n"), "not an ELF file"),
        (file("magic.elf", &good[..10]), "cut off"),
        (file("header.elf", &good[..40]), "cut off"),
        (file("cut.elf", &good[..good.len() - 4]), "cut off"),
        (file("narrow.elf", &with(4, 1)), "not a 64-bit ELF file"),
        (file("little.elf", &with(5, 1)), "little-endian"),
        (file("x86.elf", &with(19, 62)), "not SPARC V9"),
        (file("data.elf", &with(64 + 7, 6)), "no executable section or segment"),
    ] {
        let output = ldomlab_dis(&path);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(output.stdout.is_empty(), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.starts_with(&format!("ldomlab: {}: ", path.display())), "{error}");
        assert!(error.contains(says), "{error} does not say {says}");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let good = elf(true);
    let whole = dis_bytes("cut-anywhere.elf", &good).unwrap();
    for length in 0..good.len() {
        assert!(dis_bytes("cut-anywhere.elf", &good[..length]).is_err(), "{length}");
    }
    assert_eq!(whole.lines().count(), 3);
}

#[test]
fn a_damaged_file_never_panics() {
    let good = elf(true);
    let mut state = 0x5eed_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    for _ in 0..3_000 {
        let mut bytes = good.clone();
        for _ in 0..1 + random() % 3 {
            let at = random() % bytes.len();
            bytes[at] = if random() % 2 == 0 { 0xff } else { random() as u8 };
        }
        if let Err(error) = dis_bytes("damaged.elf", &bytes) {
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}

/// How many instruction words the file has: every section that can be executed.
fn words_of(image: &Path) -> usize {
    let bytes = std::fs::read(image).unwrap();
    let elf = goblin::elf::Elf::parse(&bytes).unwrap();
    let executable = elf.section_headers.iter().filter(|section| section.is_executable());
    executable.map(|section| section.sh_size as usize / 4).sum()
}

/// Address, word and text of a line of `dis`.
fn parts(line: &str) -> (u64, u32, &str) {
    let (address, rest) = line.split_once(": ").unwrap();
    let (word, text) = rest.split_once("  ").unwrap();
    let (address, word) = (u64::from_str_radix(address, 16), u32::from_str_radix(word, 16));
    (address.unwrap(), word.unwrap(), text)
}

/// Compares what `dis` prints of `image`, which has no symbols, with what objdump
/// does, every word of it; how many words there are, and how many T2 does not execute.
fn compare(image: PathBuf) -> (usize, usize) {
    let theirs = Command::new(OBJDUMP).args(["-d", "-z", MACHINE]).arg(&image).output().unwrap();
    assert!(theirs.status.success());
    let theirs = String::from_utf8(theirs.stdout).unwrap();
    let theirs = theirs.lines().filter_map(|line| {
        let mut columns = line.splitn(3, '\t');
        let address = columns.next()?.trim();
        let word = columns.next()?.replace(' ', "");
        Some(format!("{address} {word}  {}", columns.next()?.trim_end()))
    });
    let whole = words_of(&image);
    let mut ours = Vec::new();
    dis::run(&dis::Args { image }, &mut ours).unwrap();
    let ours = String::from_utf8(ours).unwrap();
    let (mut compared, mut refused, mut differences) = (0, 0, Vec::new());
    let (mut rules, mut ours, mut last) = ([0; INTENDED.len()], ours.lines(), None::<Insn>);
    for theirs in theirs {
        let ours = ours.next().unwrap();
        let (address, word, text) = parts(ours);
        let insn = match last {
            Some(last) if last.address.wrapping_add(4) == address => last.next(word),
            _ => Insn::new(address, word),
        };
        last = Some(insn);
        compared += 1;
        refused += usize::from(decode(word).is_none());
        if ours == theirs {
            continue;
        }
        let there = parts(&theirs);
        match intended(insn, text, there.2) {
            Some(rule) if (address, word) == (there.0, there.1) => rules[rule] += 1,
            _ => differences.push(format!("{word:08x}  ours `{ours}`  theirs `{theirs}`")),
        }
    }
    assert_eq!(ours.next(), None);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(compared, whole, "not every word was compared");
    eprintln!("{compared} instructions, {refused} of them not for T2; meant to differ are");
    for (rule, count) in INTENDED.iter().zip(rules).filter(|(_, count)| *count > 0) {
        eprintln!("{count:9} {}: {}", rule.name, rule.why);
    }
    (compared, refused)
}

/// A program as a compiler builds it, with the C library in it.
#[test]
fn a_program_of_a_compiler_reads_as_objdump_writes_it() {
    const COMPILER: &str = "sparc64-linux-gnu-gcc";
    if !is_there(COMPILER, "a program of it") || !is_there(OBJDUMP, "a compiler's program") {
        return;
    }
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/vis.c");
    let mut compiler = Command::new(COMPILER);
    compiler.args(["-O2", "-static", "-s", "-mcpu=niagara2", "-o"]).arg(&program).arg(source);
    let built = compiler.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let (compared, refused) = compare(program);
    assert!(compared > 50_000 && refused < compared / 10, "{compared}, {refused}");
}

/// Linux, whole: 1.1 million instructions. `LDOMLAB_GUESTS` is a folder with
/// `linux/vmlinux`.
#[test]
fn linux_reads_as_objdump_writes_it() {
    let Some(guests) = std::env::var_os("LDOMLAB_GUESTS") else {
        eprintln!("SKIPPED: LDOMLAB_GUESTS is not set, Linux was not compared");
        return;
    };
    if is_there(OBJDUMP, "Linux") {
        let (compared, _) = compare(Path::new(&guests).join("linux/vmlinux"));
        assert!(compared > 1_000_000, "{compared}");
    }
}
