//! Which words UltraSPARC T2 executes, written a second time.
//!
//! The table of `sun4v::isa` says it by mask and rule, a row an instruction. Here it
//! is said by opcode map, top down, so that a mistake in one is not in the other. No
//! name of `sun4v` is used.
//!
//! **Shapes.** A word is legal if there is a mode of a guest in which it is not an
//! illegal instruction: what depends on registers, ASIs or the trap level is not
//! looked at. WRPR %tick is legal in this sense: a user gets privileged_opcode.
//!
//! **Errors.** The reason for which a word is refused.
//!
//! **Source.** OpenSPARC T2, the decoder's check of reserved fields; UltraSPARC
//! Architecture 2007.

/// Reasons for which a word is refused.
const ILLTRAP: &str = "ILLTRAP, which is meant to be refused";
const UNUSED: &str = "opcode that T2 does not have";
const RESERVED: &str = "reserved bits between i = 0 and rs2";
const SHIFT: &str = "reserved bits above a shift count";
const FIELD: &str = "field that is not used and not zero";
const STATE: &str = "state register that does not exist, or not for this";
const CC: &str = "integer condition code 01 or 11";
const RCOND: &str = "condition on a register that does not exist";
const ODD: &str = "pair with an odd first register";
const FCN: &str = "function that does not exist";
const HYPER: &str = "instruction of hyperprivileged code";
const OPF: &str = "floating-point or VIS operation that T2 does not have";

type Legal = Result<(), &'static str>;

fn when(holds: bool, otherwise: &'static str) -> Legal {
    if holds { Ok(()) } else { Err(otherwise) }
}

#[derive(Clone, Copy)]
struct Bits(u32);

impl Bits {
    fn at(self, high: u32, low: u32) -> u32 {
        self.0 >> low & (u32::MAX >> (31 - (high - low)))
    }

    fn zero(self, high: u32, low: u32) -> bool {
        self.at(high, low) == 0
    }

    fn rd(self) -> u32 {
        self.at(29, 25)
    }

    fn rs1(self) -> u32 {
        self.at(18, 14)
    }

    fn rs2(self) -> u32 {
        self.at(4, 0)
    }

    fn immediate(self) -> bool {
        self.at(13, 13) == 1
    }

    /// The second operand is `rs2`, with nothing beside it, or an immediate.
    fn operand(self) -> Legal {
        when(self.immediate() || self.zero(12, 5), RESERVED)
    }
}

/// Why T2 refuses the word, or nothing if it does not.
pub fn check(word: u32) -> Legal {
    let w = Bits(word);
    match w.at(31, 30) {
        0 => branch_or_sethi(w),
        1 => Ok(()),
        2 => operation(w),
        _ => memory(w),
    }
}

fn branch_or_sethi(w: Bits) -> Legal {
    match w.at(24, 22) {
        0 => Err(ILLTRAP),
        1 => when(w.at(20, 20) == 0, CC),
        3 if w.at(28, 28) == 1 => Err(UNUSED), // compare and branch, of later chips
        3 => rcond(w.at(27, 25)),
        2 | 4 | 5 | 6 => Ok(()),
        _ => Err(UNUSED),
    }
}

fn rcond(code: u32) -> Legal {
    when(code != 0 && code != 4, RCOND)
}

fn operation(w: Bits) -> Legal {
    match w.at(24, 19) {
        0x19 | 0x1d | 0x37 | 0x3f => Err(UNUSED),
        0x29 | 0x33 => Err(HYPER),
        0x00..=0x24 | 0x2d | 0x38 | 0x3c | 0x3d => w.operand(),
        0x25..=0x27 => match (w.immediate(), w.at(12, 12)) {
            (true, 1) => when(w.zero(11, 6), SHIFT),
            _ => when(w.zero(11, 5), SHIFT),
        },
        0x28 if w.rs1() == 15 => match w.immediate() {
            true => when(w.rd() == 0 && w.zero(12, 7), FIELD), // MEMBAR
            false => when(w.rd() == 0 && w.zero(12, 0), FIELD), // STBAR
        },
        0x28 => {
            const READABLE: [u32; 12] = [0, 2, 3, 4, 5, 6, 16, 17, 19, 22, 23, 24];
            when(READABLE.contains(&w.rs1()) || w.rs1() == 25, STATE)?;
            when(w.zero(13, 0), FIELD)
        }
        0x2a => {
            when(w.rs1() <= 14 || w.rs1() == 16, STATE)?;
            when(w.zero(13, 0), FIELD)
        }
        0x2b => when(w.rd() == 0 && w.rs1() == 0 && w.zero(13, 0), FIELD),
        0x2c => {
            let integer = w.at(18, 18) == 1;
            when(!integer || w.at(11, 11) == 0, CC)?;
            when(w.immediate() || w.zero(10, 5), RESERVED)
        }
        0x2e => when(w.rs1() == 0, FIELD).and(w.operand()),
        0x2f => rcond(w.at(12, 10)).and(when(w.immediate() || w.zero(9, 5), RESERVED)),
        0x30 => {
            const WRITABLE: [u32; 11] = [0, 2, 3, 6, 16, 17, 19, 20, 21, 22, 23];
            when(WRITABLE.contains(&w.rd()) || w.rd() == 25, STATE)?;
            w.operand()
        }
        0x31 => when(w.rd() <= 5, FCN).and(when(w.zero(18, 0), FIELD)),
        0x32 => when(w.rd() <= 14 || w.rd() == 16, STATE).and(w.operand()),
        0x34 => floating_point(w),
        0x35 => compare_or_move(w),
        0x36 => vis(w),
        0x39 | 0x3b => when(w.rd() == 0, FIELD).and(w.operand()),
        0x3a => {
            when(w.at(29, 29) == 0, FIELD)?;
            when(w.at(11, 11) == 0, CC)?;
            if w.immediate() { when(w.zero(10, 8), FIELD) } else { when(w.zero(10, 5), RESERVED) }
        }
        0x3e => when(w.rd() <= 1, FCN).and(when(w.zero(18, 0), FIELD)),
        _ => Err(UNUSED),
    }
}

fn floating_point(w: Bits) -> Legal {
    /// Operations on `rs2` only.
    const ONE: [u32; 18] = [
        0x001, 0x002, 0x005, 0x006, 0x009, 0x00a, 0x029, 0x02a, 0x081, 0x082, 0x084, 0x088, 0x0c4,
        0x0c6, 0x0c8, 0x0c9, 0x0d1, 0x0d2,
    ];
    const TWO: [u32; 9] = [0x041, 0x042, 0x045, 0x046, 0x049, 0x04a, 0x04d, 0x04e, 0x069];
    let opf = w.at(13, 5);
    if ONE.contains(&opf) {
        return when(w.rs1() == 0, FIELD);
    }
    when(TWO.contains(&opf), OPF)
}

fn compare_or_move(w: Bits) -> Legal {
    if [0x051, 0x052, 0x055, 0x056].contains(&w.at(13, 5)) {
        return when(w.zero(29, 27), FIELD);
    }
    match (w.at(10, 5), w.at(9, 5)) {
        (1 | 2, _) => {
            when(w.at(18, 18) == 0, FIELD)?;
            when(!matches!(w.at(13, 11), 5 | 7), CC)
        }
        (_, 5 | 6) => when(w.at(13, 13) == 0, OPF).and(rcond(w.at(12, 10))),
        _ => Err(OPF),
    }
}

fn vis(w: Bits) -> Legal {
    let opf = w.at(13, 5);
    let (no_rs1, no_rs2) = (when(w.rs1() == 0, FIELD), when(w.rs2() == 0, FIELD));
    match opf {
        // Edges, arrays, alignment, mask; compares; multiplications.
        0x000..=0x00b | 0x010 | 0x012 | 0x014 | 0x018..=0x01a => Ok(()),
        0x020..=0x02f => when(opf.is_multiple_of(2), OPF),
        0x031 | 0x033 | 0x035..=0x039 => Ok(()),
        // Packing, distance, alignment, merging; expansion.
        0x03a | 0x03e | 0x048 | 0x04b | 0x04c => Ok(()),
        0x03b | 0x03d | 0x04d => no_rs1,
        0x050..=0x057 => Ok(()),
        // Logic, in pairs of double and single.
        0x060..=0x07f => match opf & !1 {
            0x060 | 0x07e => no_rs1.and(no_rs2),
            0x066 | 0x078 => no_rs1,
            0x06a | 0x074 => no_rs2,
            _ => Ok(()),
        },
        0x081 => when(w.rd() == 0 && w.rs1() == 0 && w.zero(4, 3), FIELD),
        _ => Err(OPF),
    }
}

fn memory(w: Bits) -> Legal {
    let op3 = w.at(24, 19);
    // Bit 4 of op3: with an ASI, where bits 12:5 are the ASI or a part of the offset.
    let operand = if op3 & 0x10 == 0 { w.operand() } else { Ok(()) };
    match op3 {
        0x0c | 0x1c => Err(UNUSED),
        0x03 | 0x07 | 0x13 | 0x17 => when(w.rd().is_multiple_of(2), ODD).and(operand),
        0x00..=0x1f => operand,
        0x20 | 0x23 | 0x24 | 0x27 | 0x30 | 0x33 | 0x34 | 0x37 => operand,
        0x21 | 0x25 => when(w.rd() <= 1, FIELD).and(operand),
        0x2d | 0x3d => when(!(5..=15).contains(&w.rd()), FCN).and(operand),
        0x3c | 0x3e => when(!w.immediate() || w.zero(12, 5), FIELD),
        _ => Err(UNUSED),
    }
}
