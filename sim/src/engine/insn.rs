//! Decoded instructions: what engines execute instead of words.
//!
//! **Shapes.** An [`Insn`] is eight bytes: what to do, up to three registers, and a
//! word. The second operand is register plus immediate, one of which is zero;
//! displacements are in instructions.

use super::class::Class;
use sun4v::isa::{Op, ROWS, Word, decode};

/// What to do. Kinds without a remark do what the instruction of that name does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Not decoded yet.
    #[default]
    Undecoded,
    /// No instruction: illegal.
    Illegal,
    /// `rd` is the [`Op`], `imm` the word.
    Slow,
    Nop,
    /// `rd = imm`, unsigned.
    Sethi,
    /// `rd` = second operand. From here to `Srax`: [`super::alu::alu`].
    Mov,
    Add,
    Sub,
    And,
    Or,
    Xor,
    Andn,
    Orn,
    Xnor,
    Addcc,
    Subcc,
    Andcc,
    Orcc,
    Xorcc,
    Andncc,
    Orncc,
    Xnorcc,
    Addc,
    Subc,
    Addccc,
    Subccc,
    Mulx,
    Umul,
    Smul,
    Sll,
    Srl,
    Sra,
    Sllx,
    Srlx,
    Srax,
    Udivx,
    Sdivx,
    /// `rs1` is the condition.
    MovIcc,
    MovXcc,
    /// `imm` is the condition in bits 18:16, and the immediate in its low half.
    MovRegister,
    /// Branches: `rd` 1 inverts the condition, `rs2` 1 annuls, `imm` the
    /// displacement. From here to `Fb`: [`super::alu::holds`].
    BeI,
    BleI,
    BlI,
    BleuI,
    BcsI,
    BnegI,
    BvsI,
    BeX,
    BleX,
    BlX,
    BleuX,
    BcsX,
    BnegX,
    BvsX,
    /// On register `rs1`: zero, zero or less, less.
    BrZ,
    BrLez,
    BrLz,
    /// `rs1` selects fcc0 to fcc3, `rd` is the condition.
    Fb,
    /// Always; `rs2` 1 annuls.
    Ba,
    /// Never, annulling.
    BnA,
    Call,
    Jmpl,
    Return,
    Save,
    Restore,
    Ldub,
    Lduh,
    Lduw,
    Ldx,
    Ldsb,
    Ldsh,
    Ldsw,
    Stb,
    Sth,
    Stw,
    Stx,
    Ldf,
    Lddf,
    Stf,
    Stdf,
    /// Floating point: `imm` is the word. From here on: `Run::fp`.
    FaddD,
    FsubD,
    FmulD,
    FdivD,
    FmovD,
    FnegD,
    FabsD,
    FaddS,
    FsubS,
    FmulS,
    FcmpD,
    FcmpeD,
}

/// All kinds, in order.
pub const KINDS: [Kind; Kind::FcmpeD as usize + 1] = [
    Kind::Undecoded,
    Kind::Illegal,
    Kind::Slow,
    Kind::Nop,
    Kind::Sethi,
    Kind::Mov,
    Kind::Add,
    Kind::Sub,
    Kind::And,
    Kind::Or,
    Kind::Xor,
    Kind::Andn,
    Kind::Orn,
    Kind::Xnor,
    Kind::Addcc,
    Kind::Subcc,
    Kind::Andcc,
    Kind::Orcc,
    Kind::Xorcc,
    Kind::Andncc,
    Kind::Orncc,
    Kind::Xnorcc,
    Kind::Addc,
    Kind::Subc,
    Kind::Addccc,
    Kind::Subccc,
    Kind::Mulx,
    Kind::Umul,
    Kind::Smul,
    Kind::Sll,
    Kind::Srl,
    Kind::Sra,
    Kind::Sllx,
    Kind::Srlx,
    Kind::Srax,
    Kind::Udivx,
    Kind::Sdivx,
    Kind::MovIcc,
    Kind::MovXcc,
    Kind::MovRegister,
    Kind::BeI,
    Kind::BleI,
    Kind::BlI,
    Kind::BleuI,
    Kind::BcsI,
    Kind::BnegI,
    Kind::BvsI,
    Kind::BeX,
    Kind::BleX,
    Kind::BlX,
    Kind::BleuX,
    Kind::BcsX,
    Kind::BnegX,
    Kind::BvsX,
    Kind::BrZ,
    Kind::BrLez,
    Kind::BrLz,
    Kind::Fb,
    Kind::Ba,
    Kind::BnA,
    Kind::Call,
    Kind::Jmpl,
    Kind::Return,
    Kind::Save,
    Kind::Restore,
    Kind::Ldub,
    Kind::Lduh,
    Kind::Lduw,
    Kind::Ldx,
    Kind::Ldsb,
    Kind::Ldsh,
    Kind::Ldsw,
    Kind::Stb,
    Kind::Sth,
    Kind::Stw,
    Kind::Stx,
    Kind::Ldf,
    Kind::Lddf,
    Kind::Stf,
    Kind::Stdf,
    Kind::FaddD,
    Kind::FsubD,
    Kind::FmulD,
    Kind::FdivD,
    Kind::FmovD,
    Kind::FnegD,
    Kind::FabsD,
    Kind::FaddS,
    Kind::FsubS,
    Kind::FmulS,
    Kind::FcmpD,
    Kind::FcmpeD,
];

/// A decoded instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Insn {
    /// What to do.
    pub kind: Kind,
    /// Destination.
    pub rd: u8,
    /// First source.
    pub rs1: u8,
    /// Second source.
    pub rs2: u8,
    /// Immediate or displacement.
    pub imm: i32,
}

const _: () = assert!(size_of::<Insn>() == 8);

impl Insn {
    /// Decodes a word.
    #[must_use]
    pub fn of(word: u32) -> Self {
        let Some(op) = decode(word) else {
            return Self { kind: Kind::Illegal, imm: word as i32, ..Self::default() };
        };
        Self::fast(op, Word(word)).unwrap_or(Self {
            kind: Kind::Slow,
            rd: op as u8,
            imm: word as i32,
            ..Self::default()
        })
    }

    /// The table row of a [`Kind::Slow`].
    #[must_use]
    pub fn op(self) -> Op {
        ROWS[usize::from(self.rd) % ROWS.len()].op
    }

    /// Its class.
    #[must_use]
    pub fn class(self) -> Class {
        match self.kind {
            Kind::Slow => Class::of(self.op()),
            kind => Class::of_kind(kind),
        }
    }

    fn fast(op: Op, w: Word) -> Option<Self> {
        let (rs2, imm) = if w.i() { (0, w.simm13() as i32) } else { (w.rs2(), 0) };
        let new = |kind| Self { kind, rd: w.rd(), rs1: w.rs1(), rs2, imm };
        let shift = |kind: Kind, kind_x: Kind| {
            let (kind, bits) = if w.shift_x() { (kind_x, 63) } else { (kind, 31) };
            Self { imm: imm & bits, ..new(kind) }
        };
        Some(match op {
            Op::Sethi if w.rd() == 0 => Self { kind: Kind::Nop, ..Self::default() },
            Op::Sethi => Self {
                kind: Kind::Sethi,
                rd: w.rd(),
                imm: (w.imm22() << 10) as i32,
                ..Self::default()
            },
            Op::Or if w.rs1() == 0 => new(Kind::Mov),
            Op::Add => new(Kind::Add),
            Op::Sub => new(Kind::Sub),
            Op::And => new(Kind::And),
            Op::Or => new(Kind::Or),
            Op::Xor => new(Kind::Xor),
            Op::Andn => new(Kind::Andn),
            Op::Orn => new(Kind::Orn),
            Op::Xnor => new(Kind::Xnor),
            Op::Addcc => new(Kind::Addcc),
            Op::Subcc => new(Kind::Subcc),
            Op::Andcc => new(Kind::Andcc),
            Op::Orcc => new(Kind::Orcc),
            Op::Xorcc => new(Kind::Xorcc),
            Op::Andncc => new(Kind::Andncc),
            Op::Orncc => new(Kind::Orncc),
            Op::Xnorcc => new(Kind::Xnorcc),
            Op::Addc => new(Kind::Addc),
            Op::Subc => new(Kind::Subc),
            Op::Addccc => new(Kind::Addccc),
            Op::Subccc => new(Kind::Subccc),
            Op::Mulx => new(Kind::Mulx),
            Op::Udivx => new(Kind::Udivx),
            Op::Sdivx => new(Kind::Sdivx),
            Op::Umul => new(Kind::Umul),
            Op::Smul => new(Kind::Smul),
            Op::Sll => shift(Kind::Sll, Kind::Sllx),
            Op::Srl => shift(Kind::Srl, Kind::Srlx),
            Op::Sra => shift(Kind::Sra, Kind::Srax),
            Op::MovCc if w.move_cc() & 4 != 0 => {
                let imm = if w.i() { w.simm11() as i32 } else { 0 };
                let kind = if w.move_cc() & 2 == 0 { Kind::MovIcc } else { Kind::MovXcc };
                Self { rs1: w.move_cond(), imm, ..new(kind) }
            }
            Op::MovR => {
                let imm = if w.i() { w.simm10() as i32 & 0xffff } else { 0 };
                Self { imm: i32::from(w.move_rcond()) << 16 | imm, ..new(Kind::MovRegister) }
            }
            Op::Bicc => branch(w.cond(), false, w.annul(), w.disp22()),
            Op::Bpcc => branch(w.cond(), w.branch_cc() & 2 != 0, w.annul(), w.disp19()),
            Op::Bpr => {
                let kind = match w.branch_rcond() & 3 {
                    1 => Kind::BrZ,
                    2 => Kind::BrLez,
                    _ => Kind::BrLz,
                };
                Self {
                    kind,
                    rd: w.branch_rcond() >> 2,
                    rs1: w.rs1(),
                    rs2: u8::from(w.annul()),
                    imm: (w.disp16() >> 2) as i32,
                }
            }
            Op::Fbfcc => Self {
                kind: Kind::Fb,
                rd: w.cond(),
                rs1: 0,
                rs2: u8::from(w.annul()),
                imm: (w.disp22() >> 2) as i32,
            },
            Op::Fbpfcc => Self {
                kind: Kind::Fb,
                rd: w.cond(),
                rs1: w.branch_cc(),
                rs2: u8::from(w.annul()),
                imm: (w.disp19() >> 2) as i32,
            },
            Op::Call => Self { kind: Kind::Call, imm: (w.disp30() >> 2) as i32, ..Self::default() },
            Op::Jmpl => new(Kind::Jmpl),
            Op::Return => new(Kind::Return),
            Op::Save => new(Kind::Save),
            Op::Restore => new(Kind::Restore),
            Op::Ldub => new(Kind::Ldub),
            Op::Lduh => new(Kind::Lduh),
            Op::Lduw => new(Kind::Lduw),
            Op::Ldx => new(Kind::Ldx),
            Op::Ldsb => new(Kind::Ldsb),
            Op::Ldsh => new(Kind::Ldsh),
            Op::Ldsw => new(Kind::Ldsw),
            Op::Stb => new(Kind::Stb),
            Op::Sth => new(Kind::Sth),
            Op::Stw => new(Kind::Stw),
            Op::Stx => new(Kind::Stx),
            Op::Ldf => new(Kind::Ldf),
            Op::Lddf => Self { rd: w.rd_double(), ..new(Kind::Lddf) },
            Op::Stf => new(Kind::Stf),
            Op::Stdf => Self { rd: w.rd_double(), ..new(Kind::Stdf) },
            Op::FaddD => doubles(Kind::FaddD, w),
            Op::FsubD => doubles(Kind::FsubD, w),
            Op::FmulD => doubles(Kind::FmulD, w),
            Op::FdivD => doubles(Kind::FdivD, w),
            Op::FmovD => doubles(Kind::FmovD, w),
            Op::FnegD => doubles(Kind::FnegD, w),
            Op::FabsD => doubles(Kind::FabsD, w),
            Op::FaddS => singles(Kind::FaddS, w),
            Op::FsubS => singles(Kind::FsubS, w),
            Op::FmulS => singles(Kind::FmulS, w),
            Op::FcmpD => Self { rd: w.rd(), ..doubles(Kind::FcmpD, w) },
            Op::FcmpeD => Self { rd: w.rd(), ..doubles(Kind::FcmpeD, w) },
            _ => return None,
        })
    }
}

fn doubles(kind: Kind, w: Word) -> Insn {
    let (rd, rs1, rs2) = (w.rd_double(), w.rs1_double(), w.rs2_double());
    Insn { kind, rd, rs1, rs2, imm: w.0 as i32 }
}

fn singles(kind: Kind, w: Word) -> Insn {
    Insn { kind, rd: w.rd(), rs1: w.rs1(), rs2: w.rs2(), imm: w.0 as i32 }
}

fn branch(cond: u8, xcc: bool, annul: bool, disp: i64) -> Insn {
    let imm = (disp >> 2) as i32;
    let (icc_kind, xcc_kind) = match cond & 7 {
        1 => (Kind::BeI, Kind::BeX),
        2 => (Kind::BleI, Kind::BleX),
        3 => (Kind::BlI, Kind::BlX),
        4 => (Kind::BleuI, Kind::BleuX),
        5 => (Kind::BcsI, Kind::BcsX),
        6 => (Kind::BnegI, Kind::BnegX),
        7 => (Kind::BvsI, Kind::BvsX),
        _ => {
            let kind = match (cond & 8 != 0, annul) {
                (false, false) => Kind::Nop,
                (false, true) => Kind::BnA,
                (true, _) => Kind::Ba,
            };
            return Insn { kind, imm, rs2: u8::from(annul), ..Insn::default() };
        }
    };
    let kind = if xcc { xcc_kind } else { icc_kind };
    Insn { kind, rd: cond >> 3, rs1: 0, rs2: u8::from(annul), imm }
}

#[cfg(test)]
mod test {
    use super::{Insn, KINDS, Kind};

    #[test]
    fn kinds_are_in_order() {
        assert!(KINDS.iter().enumerate().all(|(index, &kind)| kind as usize == index));
    }

    #[test]
    fn every_word_decodes_to_something_that_keeps_its_word_or_its_fields() {
        assert_eq!(Insn::of(0x0100_0000).kind, Kind::Nop);
        assert_eq!(Insn::of(0).kind, Kind::Illegal);
        let sub = Insn::of(0x8220_6008); // sub %g1, 8, %g1
        assert_eq!((sub.kind, sub.rd, sub.rs1, sub.rs2, sub.imm), (Kind::Sub, 1, 1, 0, 8));
        let done = Insn::of(0x81f0_0000);
        assert_eq!((done.kind, done.imm as u32), (Kind::Slow, 0x81f0_0000));
    }
}
