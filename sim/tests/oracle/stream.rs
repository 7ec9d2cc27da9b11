//! Many words through objdump, and each line beside ours as it comes.
//!
//! **Shapes.** Words are cut into pieces; a piece is one run of objdump on a file.
//! Two threads take the pieces, so nothing is kept but counts and what differs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use sun4v::isa::disas::Insn;
use sun4v::isa::{ROWS, decode};

use crate::legal;
use crate::objdump::{INTENDED, MACHINE, OBJDUMP, intended};

/// Words of one run of objdump.
const PIECE: usize = 1 << 19;
/// Differences that are kept.
const SHOWN: usize = 40;

/// What was seen.
#[derive(Default)]
pub struct Seen {
    /// Words compared.
    pub words: u64,
    /// Words that T2 executes, by table row.
    pub rows: Vec<u64>,
    /// How often a rule of [`INTENDED`] was needed.
    pub rules: [u64; INTENDED.len()],
    /// Reason of a refusal: how often, and how often objdump knows an instruction.
    pub refusals: BTreeMap<&'static str, (u64, u64)>,
    /// Sums behind an instruction.
    pub sums: u64,
    /// How many differences that nobody means.
    pub wrong: u64,
    /// The first of them, a line each.
    pub examples: Vec<String>,
}

impl Seen {
    fn new() -> Self {
        Self { rows: vec![0; ROWS.len()], ..Self::default() }
    }

    /// Adds what was seen elsewhere.
    pub fn add(&mut self, other: Self) {
        self.words += other.words;
        self.sums += other.sums;
        self.wrong += other.wrong;
        self.rows.resize(ROWS.len(), 0);
        self.rows.iter_mut().zip(other.rows).for_each(|(mine, more)| *mine += more);
        self.rules.iter_mut().zip(other.rules).for_each(|(mine, more)| *mine += more);
        for (reason, (all, known)) in other.refusals {
            let mine = self.refusals.entry(reason).or_default();
            *mine = (mine.0 + all, mine.1 + known);
        }
        let room = SHOWN - self.examples.len();
        self.examples.extend(other.examples.into_iter().take(room));
    }

    fn wrong(&mut self, line: String) {
        self.wrong += 1;
        if self.examples.len() < SHOWN {
            self.examples.push(line);
        }
    }

    /// One instruction: is it legal for both of us, and is the text the same?
    fn compare(&mut self, insn: Insn, theirs: &str, buffer: &mut String) {
        let word = insn.word;
        self.words += 1;
        self.sums += u64::from(theirs.contains("\t! "));
        let (op, legal) = (decode(word), legal::check(word));
        if op.is_some() != legal.is_ok() {
            let says = legal.err().unwrap_or("legal");
            self.wrong(format!("{word:08x}  table `{op:?}`  legality `{says}`"));
        }
        match (op, legal) {
            (Some(op), _) => self.rows[op as usize] += 1,
            (None, Err(reason)) => {
                let counts = self.refusals.entry(reason).or_default();
                *counts = (counts.0 + 1, counts.1 + u64::from(theirs != "unknown"));
            }
            (None, Ok(())) => {}
        }
        buffer.clear();
        write!(buffer, "{insn}").unwrap();
        if buffer != theirs {
            match intended(insn, buffer, theirs) {
                Some(rule) => self.rules[rule] += 1,
                None => {
                    let at = insn.address;
                    self.wrong(format!("{word:08x}  ours `{buffer}`  theirs `{theirs}`  at {at:x}"))
                }
            }
        }
    }
}

/// One run of objdump.
fn piece(name: &str, words: &[u32], address: u64) -> Seen {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{address:x}.bin"));
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    std::fs::write(&file, bytes).unwrap();
    let mut objdump = Command::new(OBJDUMP);
    objdump.args(["-D", "-z", "-b", "binary", "-EB", MACHINE]);
    objdump.arg(format!("--adjust-vma={address:#x}")).arg(&file).stdout(Stdio::piped());
    let mut running = objdump.spawn().unwrap();
    let mut lines = BufReader::with_capacity(1 << 16, running.stdout.take().unwrap());
    let mut seen = Seen::new();
    let mut expected = words.iter();
    let mut last: Option<Insn> = None;
    let (mut line, mut buffer) = (String::new(), String::new());
    while lines.read_line(&mut line).unwrap() > 0 {
        // Address, bytes, text. Text may have a tab before its sum.
        let mut columns = line.trim_end().splitn(3, '\t');
        if let (Some(at), Some(bytes), Some(text)) =
            (columns.next(), columns.next(), columns.next())
        {
            let word = *expected.next().unwrap();
            let insn = last.map_or(Insn::new(address, word), |last| last.next(word));
            last = Some(insn);
            buffer.clear();
            buffer.extend(bytes.split(' '));
            assert_eq!(u32::from_str_radix(&buffer, 16), Ok(word), "{line}");
            let at = at.trim_start().strip_suffix(':').unwrap();
            assert_eq!(u64::from_str_radix(at, 16), Ok(insn.address), "{line}");
            seen.compare(insn, text.trim_end(), &mut buffer);
        }
        line.clear();
    }
    assert_eq!(expected.len(), 0, "objdump has not shown every word");
    assert!(running.wait().unwrap().success());
    std::fs::remove_file(&file).unwrap();
    seen
}

/// Compares all words, the first of which is at `address`.
pub fn compare(name: &str, words: &[u32], address: u64) -> Seen {
    let pieces = words.chunks(PIECE).zip((address..).step_by(PIECE * 4));
    let queue = Mutex::new(pieces.enumerate());
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((number, (words, address))) = queue.lock().unwrap().next() else {
                        break;
                    };
                    let seen = piece(name, words, address);
                    results.lock().unwrap().insert(number, seen);
                }
            });
        }
    });
    let mut all = Seen::new();
    results.into_inner().unwrap().into_values().for_each(|seen| all.add(seen));
    all
}
