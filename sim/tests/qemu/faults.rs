//! Where QEMU 7.2 is wrong, each once, with what it leaves instead.
//!
//! **Shapes.** [`of`] looks at an instruction and the state before it. When QEMU does
//! right with these operands there is no fault; when it does not, the answer has the
//! bits of the state that it leaves otherwise, and, where that can be computed, their
//! values. All other bits are compared as ever.
//!
//! **Source.** T2 reference 3, which is read out of OpenSPARC T2; the VIS instruction
//! set manual.

use super::builder::size;
use super::case::{CCR, F, FPRS, FSR, GSR, MEMORY, WINDOW, register};
use super::strand::Bench;
use sim::chip::fpu::{Exc, deliver, t2};
use sim::chip::strand::GSR_BITS;
use sim::chip::vis;
use sun4v::isa::{Format, Op, Word, double};

/// Bits of a state that QEMU leaves otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The word of the state.
    pub word: usize,
    /// Its bits.
    pub mask: u64,
    /// What may be there instead; nothing: anything.
    pub values: Vec<u64>,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// To the state.
    State(Vec<Patch>),
    /// It traps, and should not.
    Traps,
}

const IM: u64 = 1 << 27;
const NS: u64 = 1 << 22;
const CEXC: u64 = 0x1f;
/// What a NaN that signals becomes.
const QUIET_S: u64 = 1 << 22;
/// See [`QUIET_S`].
const QUIET_D: u64 = 1 << 51;

/// Instructions of T2 that QEMU has not.
pub fn lacks(op: Op, asi: u8) -> bool {
    match op {
        // Illegal.
        Op::Siam => true,
        // Partial stores: illegal.
        Op::StdfA => matches!(asi, 0xc0..=0xcf),
        // A store of eight bytes. QEMU stores sixteen.
        Op::SttwA => matches!(asi & !9, 0xe2),
        _ => false,
    }
}

fn patch(word: usize, mask: u64, values: &[u64]) -> Patch {
    Patch { word, mask, values: values.to_vec() }
}

fn only(patch: Patch) -> Fault {
    Fault::State(vec![patch])
}

/// The double that a field names.
fn whole(field: u8, values: &[u64]) -> Patch {
    patch(F + usize::from(double(field)) / 2, u64::MAX, values)
}

/// The single that a field names.
fn half(field: u8, values: &[u64]) -> Patch {
    let (word, shift) = (F + usize::from(field) / 2, if field & 1 == 0 { 32 } else { 0 });
    let values: Vec<_> = values.iter().map(|value| value << shift).collect();
    patch(word, 0xffff_ffff << shift, &values)
}

/// Does it do the instruction wrong with most operands?
pub fn is_frequent(op: Op) -> bool {
    let edges = Op::Edge8..=Op::Array32;
    matches!(
        op,
        Op::Fexpand
            | Op::Fmul8x16
            | Op::Fmul8x16au
            | Op::Fmul8x16al
            | Op::Fmul8ulx16
            | Op::Fmuld8sux16
            | Op::Fmuld8ulx16
            | Op::Fpmerge
            | Op::Bshuffle
            | Op::Fpsub16
            | Op::Fpsub16s
            | Op::Fpsub32
    ) || edges.contains(&op)
}

/// What QEMU makes of an instruction whose exceptions are enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enabled {
    /// It does not trap, and should.
    Missed,
    /// It traps with this FSR.
    Fsr(u64),
}

impl Enabled {
    /// The FSR that it leaves.
    pub fn fsr(self) -> Option<u64> {
        match self {
            Self::Missed => None,
            Self::Fsr(fsr) => Some(fsr),
        }
    }
}

/// An operation on numbers that should trap; `None` when QEMU is right.
pub fn enabled(bench: &Bench, op: Op, w: Word) -> Option<Enabled> {
    let (a, b) = operands(bench, op, w);
    let (_, exc) = t2::fpop(op, bench.fsr(), bench.gsr(), false, a, b)?;
    let enabled = bench.fsr() >> 23 & CEXC;
    let raised = u64::from(exc.cexc());
    // Tiny is underflow when that is enabled, also when exact. And see [`computed`].
    if raised & enabled == 0 || op == Op::FsToD && nan(true, b) {
        return Some(Enabled::Missed);
    }
    // The exception that traps is in cexc, and no other. QEMU has all of them there.
    let alone = raised.is_power_of_two();
    (!alone).then_some(Enabled::Fsr(bench.fsr() & !CEXC | 1 << 14 | raised))
}

/// The operands of an operation on numbers.
fn operands(bench: &Bench, op: Op, w: Word) -> (u64, u64) {
    let operand = |n: u8| if is_single(op) { bench.single(n).into() } else { bench.double(n) };
    (operand(w.rs1()), operand(w.rs2()))
}

/// Are its operands singles?
fn is_single(op: Op) -> bool {
    matches!(op.row().format, Format::FpSSS | Format::FpSS | Format::FpSSD | Format::FpSD)
}

/// Does an instruction write condition codes?
pub fn writes_codes(op: Op, w: Word) -> bool {
    match op.row().format {
        Format::Arith => op.row().mnemonic.contains("cc"),
        Format::VisRRR => op.row().mnemonic.ends_with("cc"),
        Format::WrAsr => w.rd() == 2,
        _ => false,
    }
}

/// The fault that an instruction meets in the state before it; `codes` is the
/// instruction of the case that wrote condition codes last.
pub fn of(bench: &Bench, codes: Option<Op>, op: Op, w: Word) -> Option<Fault> {
    let fault = match op.row().format {
        Format::Arith => with_carry(codes, op),
        Format::VisRRR => integers(bench, op, w),
        Format::VisDDR => comparison(bench, op, w),
        Format::FmovCcS | Format::FmovCcD | Format::FmovRS | Format::FmovRD => moved(bench, w, op),
        Format::FcmpS | Format::FcmpD => None,
        Format::WrAsr if w.rd() == 19 => {
            // T2 has some bits of GSR. QEMU keeps the others too.
            let operand = if w.i() { w.simm13() as u64 } else { bench.r(w.rs2()) };
            let rest = (bench.r(w.rs1()) ^ operand) & !GSR_BITS;
            (rest != 0).then(|| only(patch(GSR, !GSR_BITS, &[rest])))
        }
        Format::StoreAsi => begins_line(bench, op, w),
        _ if op.row().source.starts_with("VIS") => visual(bench, op, w),
        _ if w.0 >> 30 == 2 && w.0 >> 19 & 0x3f == 0x34 => computed(bench, op, w),
        _ => None,
    };
    fault.filter(|fault| *fault != Fault::State(Vec::new()))
}

/// ADDCcc and SUBCcc after an instruction that clears the carry: QEMU makes a plain
/// sum of it, and then takes V and C from the earlier instruction.
fn with_carry(codes: Option<Op>, op: Op) -> Option<Fault> {
    let clears = matches!(
        codes?,
        Op::Andcc
            | Op::Orcc
            | Op::Xorcc
            | Op::Andncc
            | Op::Orncc
            | Op::Xnorcc
            | Op::Umulcc
            | Op::Smulcc
            | Op::Udivcc
            | Op::Sdivcc
    );
    let carries = matches!(op, Op::Addccc | Op::Subccc);
    (clears && carries).then(|| only(patch(CCR, 0x33, &[])))
}

/// A store that begins a line zeroes it. For QEMU it is a store like others.
fn begins_line(bench: &Bench, op: Op, w: Word) -> Option<Fault> {
    let (asi, ea) = if w.i() {
        (bench.asi(), bench.r(w.rs1()).wrapping_add(w.simm13() as u64))
    } else {
        (w.imm_asi(), bench.r(w.rs1()).wrapping_add(bench.r(w.rs2())))
    };
    if !matches!(asi & !9, 0xe2) || ea & 63 != 0 {
        return None;
    }
    let first = (ea - WINDOW) as usize / 8;
    let stored = u64::MAX.checked_shr(8 * size(op) as u32).unwrap_or(0);
    let mask = |index| if index == first { stored } else { u64::MAX };
    let old = |index| bench.memory(index) & mask(index);
    let patches = (first..first + 8).map(|at| patch(MEMORY + at, mask(at), &[old(at)]));
    Some(Fault::State(patches.collect()))
}

/// Edges and arrays.
fn integers(bench: &Bench, op: Op, w: Word) -> Option<Fault> {
    let bits = match op {
        // The upper parts have rs2 bits each, at most five, even none. QEMU takes one
        // bit of each and shifts it wrongly, also by more than five.
        Op::Array8 | Op::Array16 | Op::Array32 if bench.r(w.rs2()) > 5 => u64::MAX,
        Op::Array8 => u64::MAX << 17,
        Op::Array16 => u64::MAX << 18,
        Op::Array32 => u64::MAX << 19,
        // The right edge counts when both addresses are in the same eight bytes. QEMU
        // has that test, and its tables, the wrong way round.
        Op::Edge8 | Op::Edge8n | Op::Edge8l | Op::Edge8ln => 0xff,
        Op::Edge16 | Op::Edge16n | Op::Edge16l | Op::Edge16ln => 0xf,
        Op::Edge32 | Op::Edge32n | Op::Edge32l | Op::Edge32ln => 3,
        _ => return None,
    };
    let mut fault = Vec::new();
    let depth = bench.depth();
    if bits < 0x100 {
        // It aligns the registers with the addresses for good.
        for n in [w.rs1(), w.rs2()] {
            fault.extend(register(depth, n).map(|word| patch(word, 7, &[0])));
        }
        // It subtracts them, and does not find zero when they are equal.
        if bench.r(w.rs1()) == bench.r(w.rs2()) {
            fault.push(patch(CCR, 0x44, &[]));
        }
    }
    fault.extend(register(depth, w.rd()).map(|word| patch(word, bits, &[])));
    Some(Fault::State(fault))
}

/// Comparisons of lanes: they are signed, and QEMU compares them unsigned.
fn comparison(bench: &Bench, op: Op, w: Word) -> Option<Fault> {
    let signs = match op {
        Op::Fcmpgt16 | Op::Fcmple16 => 0x8000_8000_8000_8000,
        Op::Fcmpgt32 | Op::Fcmple32 => 0x8000_0000_8000_0000,
        _ => return None,
    };
    let (a, b) = (bench.double(w.rs1()), bench.double(w.rs2()));
    let (right, wrong) = (vis::compare(op, a, b)?, vis::compare(op, a ^ signs, b ^ signs)?);
    let word = register(bench.depth(), w.rd())?;
    (right != wrong).then(|| only(patch(word, u64::MAX, &[wrong])))
}

/// VIS from floating-point registers to floating-point registers.
fn visual(bench: &Bench, op: Op, w: Word) -> Option<Fault> {
    let (rd, gsr) = (w.rd(), bench.gsr());
    let (a, b) = (bench.double(w.rs1()), bench.double(w.rs2()));
    let low = |double: u64| double & 0xffff_ffff;
    let (right, wrong) = match op {
        // rd = rs1 - rs2. QEMU subtracts the other way round.
        Op::Fpsub16 | Op::Fpsub32 => (vis::op64(op, gsr, a, b, 0)?, vis::op64(op, gsr, b, a, 0)?),
        Op::Fpsub16s => {
            let (a, b) = (bench.single(w.rs1()).into(), bench.single(w.rs2()).into());
            let (right, wrong) = (vis::op32(op, gsr, a, b)?, vis::op32(op, gsr, b, a)?);
            return (right != wrong).then(|| only(half(rd, &[wrong.into()])));
        }
        // The most significant nibble of the mask makes the most significant byte
        // (gcc's own masks rely on it). QEMU fills from the other end.
        Op::Bshuffle => {
            let right = vis::op64(op, gsr, a, b, 0)?;
            (right, right.swap_bytes())
        }
        // A single, which QEMU takes from the end of the double of that number.
        Op::Fmul8x16 => {
            let single = bench.single(w.rs1()).into();
            (vis::op64(op, gsr, single, b, 0)?, vis::op64(op, gsr, low(a), b, 0)?)
        }
        Op::Fpmerge => {
            let (s, t) = (bench.single(w.rs1()).into(), bench.single(w.rs2()).into());
            (vis::op64(op, gsr, s, t, 0)?, vis::op64(op, gsr, low(a), low(b), 0)?)
        }
        // The same, and: each byte alone, four bits up. QEMU takes halves for bytes.
        Op::Fexpand => return Some(only(whole(rd, &[]))),
        // The multiplier is the upper or lower half of the single rs2. QEMU takes
        // it, and the bytes, out of the lanes of a double.
        Op::Fmul8x16au | Op::Fmul8x16al => return Some(only(whole(rd, &[]))),
        // The upper 16 of 32 bits of the product, rounded. QEMU takes the middle ones.
        Op::Fmul8ulx16 => return Some(only(whole(rd, &[]))),
        // The whole product; SU has it eight bits up. QEMU rounds, and does not shift.
        Op::Fmuld8sux16 | Op::Fmuld8ulx16 => return Some(only(whole(rd, &[]))),
        _ => return None,
    };
    (right != wrong).then(|| only(whole(rd, &[wrong])))
}

/// Conditional moves leave FSR as it is, and what they do not write is not dirty. For
/// QEMU they are like other operations.
fn moved(bench: &Bench, w: Word, op: Op) -> Option<Fault> {
    let mut fault = Vec::new();
    if bench.fsr() & CEXC != 0 {
        fault.push(patch(FSR, CEXC, &[0]));
    }
    let wide = matches!(op.row().format, Format::FmovCcD | Format::FmovRD);
    let dirty = if wide && w.rd() & 1 != 0 { 2 } else { 1 };
    if bench.fprs() & dirty == 0 {
        fault.push(patch(FPRS, dirty, &[dirty]));
    }
    Some(Fault::State(fault))
}

/// Is it a NaN, and with which fraction?
fn nan(single: bool, bits: u64) -> bool {
    match single {
        true => f32::from_bits(bits as u32).is_nan(),
        false => f64::from_bits(bits).is_nan(),
    }
}

/// Operations on numbers.
fn computed(bench: &Bench, op: Op, w: Word) -> Option<Fault> {
    let format = op.row().format;
    let singles = is_single(op);
    let unary = matches!(format, Format::FpSS | Format::FpDD | Format::FpSD | Format::FpDS);
    let (a, b) = operands(bench, op, w);
    let narrow = matches!(format, Format::FpSSS | Format::FpSS | Format::FpDS);
    let (fsr, gsr) = (bench.fsr(), bench.gsr());
    let (bits, exc) = t2::fpop(op, fsr, gsr, false, a, b)?;
    // When it traps, as it may, there is nothing to be wrong.
    let right = (bits, deliver(fsr, exc).ok()?);

    // GSR.IM and FSR.NS do not exist for QEMU.
    let (mut bits, mut exc) = t2::fpop(op, fsr & !NS, gsr & !IM, false, a, b)?;
    let mut other = bits;
    match op {
        // T2: the sign of a NaN says which end of the integers it becomes. QEMU: the
        // greatest.
        Op::FsToI | Op::FdToI if nan(singles, b) => (bits, other) = (0x7fff_ffff, 0x7fff_ffff),
        Op::FsToX | Op::FdToX if nan(singles, b) => (bits, other) = (u64::MAX >> 1, u64::MAX >> 1),
        // A NaN that signals is invalid. QEMU says so of the next operation.
        Op::FsToD if nan(true, b) => exc = Exc::NONE,
        // Of two NaNs T2 takes the one that signals, then rs2; QEMU sometimes the
        // other.
        _ if !unary && nan(singles, a) && nan(singles, b) => {
            let quiet = |operand: u64| match (singles, narrow) {
                (true, true) => operand | QUIET_S,
                (true, false) => {
                    let frac = (operand & 0x7f_ffff | QUIET_S) << 29;
                    operand >> 31 << 63 | 0x7ff << 52 | frac
                }
                _ => operand | QUIET_D,
            };
            (bits, other) = (quiet(a), quiet(b));
        }
        _ => {}
    }
    let Ok(left) = deliver(fsr, exc) else { return Some(Fault::Traps) };
    let mut fault = Vec::new();
    if bits != right.0 || other != right.0 {
        let rd = w.rd();
        let values = [bits, other];
        fault.push(if narrow { half(rd, &values) } else { whole(rd, &values) });
    }
    if left != right.1 {
        fault.push(patch(FSR, u64::MAX, &[left]));
    }
    Some(Fault::State(fault))
}
