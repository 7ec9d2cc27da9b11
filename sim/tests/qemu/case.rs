//! A case: a state, and the instructions to execute in it.
//!
//! **Shapes.** A [`State`] is the record that goes to the program under QEMU and
//! comes back, in words of eight bytes; the constants below say where what is. A case
//! has three register windows: the one it begins in and the two that `save` may take.
//! [`Case`] as text is one line, which [`Case::parse`] takes back.
//!
//! **Errors.** [`Case::parse`] says in words what it does not understand.

use std::fmt;
use sun4v::isa::disas::Insn;

/// Words of a record.
pub const WORDS: usize = 120;
/// Where the code is.
pub const CODE: usize = 0;
/// Condition codes.
pub const CCR: usize = 1;
/// `%y`.
pub const Y: usize = 2;
/// `%asi`.
pub const ASI: usize = 3;
/// `%gsr`.
pub const GSR: usize = 4;
/// `%fsr`.
pub const FSR: usize = 5;
/// `%fprs`.
pub const FPRS: usize = 6;
/// `%g0` to `%i7` of the first window.
pub const R: usize = 8;
/// Outs, then locals, of the second window; the third's follow.
pub const INNER: usize = 40;
/// `%f0` to `%f62`.
pub const F: usize = 72;
/// The memory window.
pub const MEMORY: usize = 104;

/// Where the memory window is.
pub const WINDOW: u64 = 0x12_3400_0000;
/// Its bytes.
pub const WINDOW_BYTES: u64 = 128;
/// Where code is; a page of it is the way out.
pub const CODE_BASE: u64 = 0x4000_0000;
/// Where code of cases begins.
pub const SLOTS_BASE: u64 = CODE_BASE + 0x2000;
/// Words of code of a case, with the branch out of it and its delay slot.
pub const SLOT_WORDS: usize = 16;
/// Words of code of a case at most.
pub const CODE_MAX: usize = SLOT_WORDS - 2;
/// Cases of a batch at most.
pub const BATCH: usize = 1024;
/// `nop`.
pub const NOP: u32 = 0x0100_0000;
/// `restore`.
pub const RESTORE: u32 = 0x81e8_0000;

/// All that a case can read or write.
pub type State = [u64; WORDS];

/// The word of a register in the window at `depth` saves; `None` for `%g0`.
pub fn register(depth: usize, n: u8) -> Option<usize> {
    let n = usize::from(n & 31);
    match (depth, n) {
        (_, 0) => None,
        (0, _) | (_, 1..8) => Some(R + n),
        (_, 8..24) => Some(INNER + 16 * (depth - 1) + n - 8),
        (1, _) => Some(R + n - 16),
        _ => Some(INNER + 16 * (depth - 2) + n - 24),
    }
}

/// What a word of a record is called.
pub fn name(word: usize) -> String {
    const GROUPS: [&str; 4] = ["g", "o", "l", "i"];
    match word {
        CODE => "at".to_owned(),
        CCR => "ccr".to_owned(),
        Y => "y".to_owned(),
        ASI => "asi".to_owned(),
        GSR => "gsr".to_owned(),
        FSR => "fsr".to_owned(),
        FPRS => "fprs".to_owned(),
        R..INNER => format!("{}{}", GROUPS[(word - R) / 8], (word - R) % 8),
        INNER..F => {
            let at = word - INNER;
            format!("{}{}.{}", GROUPS[1 + at / 8 % 2], at % 8, 1 + at / 16)
        }
        F..MEMORY => format!("f{}", 2 * (word - F)),
        MEMORY..WORDS => format!("m{}", 8 * (word - MEMORY)),
        _ => "unused".to_owned(),
    }
}

/// A state and the code to execute in it; `state[CODE]` is where the code is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The state before it.
    pub state: State,
    /// Its instructions, [`CODE_MAX`] at most.
    pub words: Vec<u32>,
}

impl Case {
    /// Where its code is.
    pub fn start(&self) -> u64 {
        self.state[CODE]
    }

    /// Where it has ended.
    pub fn end(&self) -> u64 {
        self.start() + 4 * self.words.len() as u64
    }

    /// Its code with the way out, as a slot holds it.
    pub fn slot(&self) -> [u8; 4 * SLOT_WORDS] {
        let mut bytes = [0; 4 * SLOT_WORDS];
        let out = CODE_BASE.wrapping_sub(self.end()) >> 2 & 0x3f_ffff;
        let out = 0x1080_0000 | out as u32;
        let all = self.words.iter().copied().chain([out]).chain(std::iter::repeat(NOP));
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(all) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// A case of a line that [`Case`] was written as.
    pub fn parse(line: &str) -> Result<Self, String> {
        let line = line.split_once('#').map_or(line, |(line, _)| line);
        let (words, state) = line.split_once(':').ok_or("no colon after the words")?;
        let hex = |text: &str| {
            u64::from_str_radix(text, 16).map_err(|_| format!("{text} is not hexadecimal"))
        };
        let words: Vec<u32> = words
            .split_whitespace()
            .map(|word| hex(word).map(|word| word as u32))
            .collect::<Result<_, _>>()?;
        if words.is_empty() || words.len() > CODE_MAX {
            return Err(format!("{} words of code", words.len()));
        }
        let mut case = Self { state: [0; WORDS], words };
        case.state[CODE] = SLOTS_BASE;
        case.state[FPRS] = 4;
        for item in state.split_whitespace() {
            let (left, right) = item.split_once('=').ok_or(format!("no = in {item}"))?;
            let word = (0..WORDS)
                .find(|&word| name(word) == left)
                .ok_or(format!("{left} is not a register"))?;
            case.state[word] = hex(right)?;
        }
        let slots = SLOTS_BASE..SLOTS_BASE + (BATCH * SLOT_WORDS * 4) as u64;
        if !slots.contains(&case.start()) || !case.start().is_multiple_of(4 * SLOT_WORDS as u64) {
            return Err(format!("no code can be at {:#x}", case.start()));
        }
        Ok(case)
    }

    /// Its instructions as text.
    pub fn disassembly(&self) -> String {
        let insn = |(address, &word)| Insn::new(address, word).to_string().replace("  ", " ");
        let text: Vec<_> = (self.start()..).step_by(4).zip(&self.words).map(insn).collect();
        text.join("; ")
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.words.iter().enumerate() {
            write!(f, "{}{word:08x}", if at == 0 { "" } else { " " })?;
        }
        write!(f, ":")?;
        for (word, &value) in self.state.iter().enumerate() {
            let usual = match word {
                CODE => SLOTS_BASE,
                FPRS => 4,
                _ => 0,
            };
            if value != usual {
                write!(f, " {}={value:x}", name(word))?;
            }
        }
        write!(f, " # {}", self.disassembly())
    }
}

#[test]
fn a_line_is_the_case_that_was_written() {
    let mut state = [0; WORDS];
    for word in (1..=FPRS).chain(R + 2..WORDS) {
        state[word] = word as u64 * 0x0101_0101_0101;
    }
    state[CODE] = SLOTS_BASE + 640;
    let case = Case { state, words: vec![0x9002_4008, NOP, RESTORE] };
    assert_eq!(Case::parse(&case.to_string()), Ok(case));
    for wrong in ["", "01000000", "01000000: q7=1", "01000000: g2", "x: g2=1", "1: at=4"] {
        assert!(Case::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_outs_of_a_window_are_the_ins_of_the_next() {
    for depth in 0..2 {
        for n in 0..8 {
            assert_eq!(register(depth, 8 + n), register(depth + 1, 24 + n));
            assert_eq!(register(depth, n), register(depth + 1, n));
        }
    }
    assert_eq!(register(2, 23), Some(F - 1));
}
