//! Decoded instructions: what the interpreter executes instead of words.
//!
//! **Shapes.** An [`Insn`] is eight bytes: what to do, up to three registers, and a
//! word. A decoded page is 2048 of them, keyed by the physical page that they came
//! from, decoded when first executed. Destination 0 is [`SINK`]; a second operand
//! that is an immediate is `r[0] + imm`; displacements are in instructions.
//!
//! **Coherence.** A page that is decoded here is marked in [`Ram`]. A store by the
//! domain itself finds the mark and hands the address in ([`Code::stored`]), which
//! undecodes that one instruction; a store by anybody else takes the mark away and
//! raises the epoch, and [`Code::refresh`] drops the pages whose mark is gone.

use crate::chip::regs::SINK;
use crate::mem::Ram;
use std::collections::BTreeMap;
use sun4v::addr::{PAGE_BYTES, PAGE_SHIFT, Pa};
use sun4v::isa::{Op, Word, decode};

/// Instructions of a page.
pub const PAGE_INSNS: usize = PAGE_BYTES as usize / 4;
/// Decoded pages that are kept.
const PAGES_MAX: usize = 8192;

/// What to do. Kinds without a remark do what the instruction of that name does;
/// `R` and `I` tell a register from an immediate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "they are named after instructions")]
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
    /// `rd = imm`, signed.
    MovI,
    MovR,
    AddR,
    AddI,
    SubR,
    AndR,
    AndI,
    OrR,
    OrI,
    XorR,
    XorI,
    AndnR,
    OrnR,
    XnorR,
    AddccR,
    AddccI,
    SubccR,
    SubccI,
    AndccR,
    AndccI,
    OrccR,
    OrccI,
    XorccR,
    XorccI,
    AndnccR,
    OrnccR,
    XnorccR,
    Addc,
    Subc,
    Addccc,
    Subccc,
    Mulx,
    Udivx,
    Sdivx,
    Umul,
    Smul,
    SllR,
    SllI,
    SrlR,
    SrlI,
    SraR,
    SraI,
    SllxR,
    SllxI,
    SrlxR,
    SrlxI,
    SraxR,
    SraxI,
    /// `rs1` is the condition.
    MovIcc,
    MovXcc,
    /// `imm` is the condition in bits 18:16, and the immediate in its low half.
    MovRegister,
    /// Branches: `rd` 1 inverts the condition, `rs2` 1 annuls, `imm` the
    /// displacement.
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
    /// Always.
    Ba,
    /// Always, annulling.
    BaA,
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

    fn fast(op: Op, w: Word) -> Option<Self> {
        let destination = if w.rd() == 0 { SINK as u8 } else { w.rd() };
        let (rs2, imm) = if w.i() { (0, w.simm13() as i32) } else { (w.rs2(), 0) };
        let new = |kind| Self { kind, rd: destination, rs1: w.rs1(), rs2, imm };
        let pick = |register: Kind, immediate: Kind| new(if w.i() { immediate } else { register });
        // `x op imm` as another operation with the inverted immediate.
        let inverted = |register: Kind, immediate: Kind| {
            if w.i() { Self { imm: !imm, ..new(immediate) } } else { new(register) }
        };
        let shift = |register: Kind, immediate: Kind, register_x: Kind, immediate_x: Kind| {
            let bits = if w.shift_x() { 63 } else { 31 };
            let insn =
                if w.shift_x() { pick(register_x, immediate_x) } else { pick(register, immediate) };
            Self { imm: imm & bits, ..insn }
        };
        Some(match op {
            Op::Sethi if w.rd() == 0 => Self { kind: Kind::Nop, ..Self::default() },
            Op::Sethi => Self {
                kind: Kind::Sethi,
                rd: destination,
                imm: (w.imm22() << 10) as i32,
                ..Self::default()
            },
            Op::Or if w.rs1() == 0 && w.i() => new(Kind::MovI),
            Op::Or if w.rs1() == 0 => new(Kind::MovR),
            Op::Add => pick(Kind::AddR, Kind::AddI),
            Op::Sub if w.i() => Self { imm: -imm, ..new(Kind::AddI) },
            Op::Sub => new(Kind::SubR),
            Op::And => pick(Kind::AndR, Kind::AndI),
            Op::Or => pick(Kind::OrR, Kind::OrI),
            Op::Xor => pick(Kind::XorR, Kind::XorI),
            Op::Andn => inverted(Kind::AndnR, Kind::AndI),
            Op::Orn => inverted(Kind::OrnR, Kind::OrI),
            Op::Xnor => inverted(Kind::XnorR, Kind::XorI),
            Op::Addcc => pick(Kind::AddccR, Kind::AddccI),
            Op::Subcc => pick(Kind::SubccR, Kind::SubccI),
            Op::Andcc => pick(Kind::AndccR, Kind::AndccI),
            Op::Orcc => pick(Kind::OrccR, Kind::OrccI),
            Op::Xorcc => pick(Kind::XorccR, Kind::XorccI),
            Op::Andncc => inverted(Kind::AndnccR, Kind::AndccI),
            Op::Orncc => inverted(Kind::OrnccR, Kind::OrccI),
            Op::Xnorcc => inverted(Kind::XnorccR, Kind::XorccI),
            Op::Addc => new(Kind::Addc),
            Op::Subc => new(Kind::Subc),
            Op::Addccc => new(Kind::Addccc),
            Op::Subccc => new(Kind::Subccc),
            Op::Mulx => new(Kind::Mulx),
            Op::Udivx => new(Kind::Udivx),
            Op::Sdivx => new(Kind::Sdivx),
            Op::Umul => new(Kind::Umul),
            Op::Smul => new(Kind::Smul),
            Op::Sll => shift(Kind::SllR, Kind::SllI, Kind::SllxR, Kind::SllxI),
            Op::Srl => shift(Kind::SrlR, Kind::SrlI, Kind::SrlxR, Kind::SrlxI),
            Op::Sra => shift(Kind::SraR, Kind::SraI, Kind::SraxR, Kind::SraxI),
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
            // A store reads its register: %g0 is zero, not the sink.
            Op::Stb => Self { rd: w.rd(), ..new(Kind::Stb) },
            Op::Sth => Self { rd: w.rd(), ..new(Kind::Sth) },
            Op::Stw => Self { rd: w.rd(), ..new(Kind::Stw) },
            Op::Stx => Self { rd: w.rd(), ..new(Kind::Stx) },
            Op::Ldf => Self { rd: w.rd(), ..new(Kind::Ldf) },
            Op::Lddf => Self { rd: w.rd_double(), ..new(Kind::Lddf) },
            Op::Stf => Self { rd: w.rd(), ..new(Kind::Stf) },
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
    Insn { kind, rd: w.rd_double(), rs1: w.rs1_double(), rs2: w.rs2_double(), imm: 0 }
}

fn singles(kind: Kind, w: Word) -> Insn {
    Insn { kind, rd: w.rd(), rs1: w.rs1(), rs2: w.rs2(), imm: 0 }
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
                (true, false) => Kind::Ba,
                (true, true) => Kind::BaA,
            };
            return Insn { kind, imm, ..Insn::default() };
        }
    };
    let kind = if xcc { xcc_kind } else { icc_kind };
    Insn { kind, rd: cond >> 3, rs1: 0, rs2: u8::from(annul), imm }
}

/// The instructions of a page.
pub type Page = Box<[Insn; PAGE_INSNS]>;

struct Slot {
    pa: Pa,
    /// `None` while it is being executed, or when it is out of date.
    page: Option<Page>,
    /// It may be executed.
    valid: bool,
}

/// All decoded pages of a domain.
#[derive(Default)]
pub struct Code {
    slots: Vec<Slot>,
    /// Number by physical page.
    numbers: BTreeMap<u64, u32>,
    epoch: u64,
    /// Instructions that the domain stored to since [`Code::apply`].
    stored: Vec<Pa>,
    /// Counts pages that became code: cores may hold permission to store there.
    pub generation: u64,
}

impl Code {
    /// Drops pages that somebody else stored to.
    #[inline]
    pub fn refresh(&mut self, ram: &Ram) {
        if ram.code_epoch() != self.epoch {
            self.look_again(ram);
        }
    }

    #[cold]
    fn look_again(&mut self, ram: &Ram) {
        self.epoch = ram.code_epoch();
        for slot in &mut self.slots {
            slot.valid &= ram.is_code(slot.pa);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self, ram: &Ram) {
        for slot in &self.slots {
            ram.unmark_code(slot.pa);
        }
        *self = Self { epoch: self.epoch, generation: self.generation + 1, ..Self::default() };
    }

    /// Takes page `number` out for execution; `None` when it has to be looked up.
    #[inline]
    pub fn take(&mut self, number: u32) -> Option<Page> {
        let slot = self.slots.get_mut(number as usize)?;
        if slot.valid { slot.page.take() } else { None }
    }

    /// Puts it back.
    #[inline]
    pub fn put(&mut self, number: u32, page: Page) {
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.page = Some(page);
        }
    }

    /// Where page `number` lies.
    #[inline]
    pub fn pa(&self, number: u32) -> Pa {
        self.slots.get(number as usize).map_or(Pa(0), |slot| slot.pa)
    }

    /// The number of the page that holds `pa`, ready for execution. The flag says
    /// that it has just become code.
    pub fn number(&mut self, pa: Pa, ram: &Ram) -> (u32, bool) {
        let pa = Pa(pa.0 & !(PAGE_BYTES - 1));
        let known = self.numbers.get(&(pa.0 >> PAGE_SHIFT)).copied();
        let number = known.unwrap_or_else(|| {
            if self.slots.len() >= PAGES_MAX {
                self.clear(ram);
            }
            let number = self.slots.len() as u32;
            self.slots.push(Slot { pa, page: None, valid: false });
            self.numbers.insert(pa.0 >> PAGE_SHIFT, number);
            number
        });
        let slot = &mut self.slots[number as usize];
        if slot.valid {
            return (number, false);
        }
        ram.mark_code(pa);
        slot.valid = true;
        match &mut slot.page {
            Some(page) => page.fill(Insn::default()),
            None => slot.page = Some(Box::new([Insn::default(); PAGE_INSNS])),
        }
        self.generation += 1;
        (number, true)
    }

    /// Is the page that holds `pa` decoded here?
    pub fn holds(&self, pa: Pa) -> bool {
        self.numbers
            .get(&(pa.0 >> PAGE_SHIFT))
            .is_some_and(|&number| self.slots[number as usize].valid)
    }

    /// Notes a store by the domain itself to the word that holds `pa`.
    pub fn stored(&mut self, pa: Pa) {
        self.stored.push(pa);
    }

    /// True when [`Code::apply`] has something to do.
    #[inline]
    pub fn is_stale(&self) -> bool {
        !self.stored.is_empty()
    }

    /// Undecodes what was stored to; every page must be in its place.
    pub fn apply(&mut self) {
        for pa in self.stored.drain(..) {
            let number = self.numbers.get(&(pa.0 >> PAGE_SHIFT));
            let page = number.and_then(|&number| self.slots[number as usize].page.as_mut());
            if let Some(page) = page {
                page[(pa.0 >> 2) as usize & (PAGE_INSNS - 1)] = Insn::default();
            }
        }
    }
}

#[cfg(test)]
mod test {
    use super::{Code, Insn, Kind};
    use crate::mem::Ram;
    use sun4v::addr::Pa;

    #[test]
    fn every_word_decodes_to_something_that_keeps_its_word_or_its_fields() {
        assert_eq!(Insn::of(0x0100_0000).kind, Kind::Nop);
        assert_eq!(Insn::of(0).kind, Kind::Illegal);
        let sub = Insn::of(0x8220_6008); // sub %g1, 8, %g1
        assert_eq!((sub.kind, sub.rd, sub.rs1, sub.imm), (Kind::AddI, 1, 1, -8));
        let done = Insn::of(0x81f0_0000);
        assert_eq!((done.kind, done.imm as u32), (Kind::Slow, 0x81f0_0000));
    }

    #[test]
    fn a_foreign_store_makes_a_page_stale_and_an_own_one_a_single_instruction() {
        let ram = Ram::new(0x10000).unwrap();
        let mut code = Code::default();
        let (number, new) = code.number(Pa(0x2004), &ram);
        assert!(new && ram.is_code(Pa(0x2000)));
        let mut page = code.take(number).unwrap();
        page[1] = Insn::of(0x0100_0000);
        page[2] = Insn::of(0x0100_0000);
        code.put(number, page);
        code.stored(Pa(0x2008));
        code.apply();
        let page = code.take(number).unwrap();
        assert_eq!((page[1].kind, page[2].kind), (Kind::Nop, Kind::Undecoded));
        code.put(number, page);
        ram.store(Pa(0x2ff8), 1u64);
        code.refresh(&ram);
        assert!(code.take(number).is_none() && !code.holds(Pa(0x2000)));
        assert!(code.number(Pa(0x2000), &ram).1);
        assert_eq!(code.take(number).unwrap()[1].kind, Kind::Undecoded);
    }
}
