//! What every floating-point instruction must do, said again: numbers by the arithmetic
//! of LLVM (`rustc_apfloat`), which has no line in common with `chip/fpu`, square roots
//! by integers, and T2's own rules (NaNs, integers that do not fit, subnormal numbers,
//! FSR) written down here from the manual.

use rustc_apfloat::ieee::{Double, Quad, Single};
use rustc_apfloat::{Float, FloatConvert, Round, Status, StatusAnd};
use sun4v::isa::Op;

/// cexc bits.
pub const NV: u8 = 16;
/// Overflow.
pub const OF: u8 = 8;
/// Underflow.
pub const UF: u8 = 4;
/// Division by zero.
pub const DZ: u8 = 2;
/// Inexact.
pub const NX: u8 = 1;

const FTT: u64 = 7 << 14;
const NS: u64 = 1 << 22;
const IM: u64 = 1 << 27;

/// What kind of value a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Nothing: the operand is not used.
    Nothing,
    /// A single.
    Single,
    /// A double.
    Double,
    /// A 32-bit integer.
    Word,
    /// A 64-bit integer.
    Long,
    /// A condition code.
    Code,
}

impl Of {
    /// Is its register a single one?
    pub fn is_single(self) -> bool {
        matches!(self, Of::Single | Of::Word)
    }
    /// Exponent and fraction of a floating-point format.
    fn shape(self) -> Option<(u32, u32)> {
        match self {
            Of::Single => Some((8, 23)),
            Of::Double => Some((11, 52)),
            _ => None,
        }
    }
    /// Sign, exponent field, fraction field.
    fn fields(self, bits: u64) -> (bool, u64, u64) {
        let (exp, frac) = self.shape().unwrap_or((11, 52));
        let field = bits >> frac & ((1 << exp) - 1);
        (bits >> (exp + frac) & 1 != 0, field, bits & ((1 << frac) - 1))
    }
    fn top(self) -> u64 {
        if self == Of::Single { 255 } else { 2047 }
    }
    /// Not zero, and below the normal numbers.
    pub fn subnormal(self, bits: u64) -> bool {
        let (_, exp, frac) = self.fields(bits);
        self.shape().is_some() && exp == 0 && frac != 0
    }
    fn zero(self, bits: u64) -> bool {
        let (_, exp, frac) = self.fields(bits);
        exp == 0 && frac == 0
    }
    /// Infinity or NaN.
    fn special(self, bits: u64) -> bool {
        self.shape().is_some() && self.fields(bits).1 == self.top()
    }
    fn nan(self, bits: u64) -> bool {
        self.special(bits) && self.fields(bits).2 != 0
    }
    fn signalling(self, bits: u64) -> bool {
        self.nan(bits) && bits & self.quiet() == 0
    }
    fn quiet(self) -> u64 {
        if self == Of::Single { 1 << 22 } else { 1 << 51 }
    }
    fn sign(self) -> u64 {
        if self.is_single() { 1 << 31 } else { 1 << 63 }
    }
}

/// An instruction: its `opf`, and what its registers hold. FPop2 when `rd` is a
/// condition code.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The instruction.
    pub op: Op,
    /// Its code.
    pub opf: u32,
    /// First operand.
    pub rs1: Of,
    /// Second operand.
    pub rs2: Of,
    /// Result.
    pub rd: Of,
    /// The exceptions that it can raise.
    pub raises: u8,
}

/// All floating-point operations of T2 but the conditional moves.
pub const ROWS: [Row; 31] = {
    use Of::{Code, Double, Long, Nothing, Single, Word};
    const fn row(op: Op, opf: u32, rs1: Of, rs2: Of, rd: Of, raises: u8) -> Row {
        Row { op, opf, rs1, rs2, rd, raises }
    }
    const ADD: u8 = NV | OF | UF | NX;
    [
        row(Op::FmovS, 0x01, Nothing, Single, Single, 0),
        row(Op::FmovD, 0x02, Nothing, Double, Double, 0),
        row(Op::FnegS, 0x05, Nothing, Single, Single, 0),
        row(Op::FnegD, 0x06, Nothing, Double, Double, 0),
        row(Op::FabsS, 0x09, Nothing, Single, Single, 0),
        row(Op::FabsD, 0x0a, Nothing, Double, Double, 0),
        row(Op::FsqrtS, 0x29, Nothing, Single, Single, NV | NX),
        row(Op::FsqrtD, 0x2a, Nothing, Double, Double, NV | NX),
        row(Op::FaddS, 0x41, Single, Single, Single, ADD),
        row(Op::FaddD, 0x42, Double, Double, Double, ADD),
        row(Op::FsubS, 0x45, Single, Single, Single, ADD),
        row(Op::FsubD, 0x46, Double, Double, Double, ADD),
        row(Op::FmulS, 0x49, Single, Single, Single, ADD),
        row(Op::FmulD, 0x4a, Double, Double, Double, ADD),
        row(Op::FdivS, 0x4d, Single, Single, Single, ADD | DZ),
        row(Op::FdivD, 0x4e, Double, Double, Double, ADD | DZ),
        row(Op::FsMulD, 0x69, Single, Single, Double, NV),
        row(Op::FsToX, 0x81, Nothing, Single, Long, NV | NX),
        row(Op::FdToX, 0x82, Nothing, Double, Long, NV | NX),
        row(Op::FxToS, 0x84, Nothing, Long, Single, NX),
        row(Op::FxToD, 0x88, Nothing, Long, Double, NX),
        row(Op::FiToS, 0xc4, Nothing, Word, Single, NX),
        row(Op::FiToD, 0xc8, Nothing, Word, Double, 0),
        row(Op::FdToS, 0xc6, Nothing, Double, Single, ADD),
        row(Op::FsToD, 0xc9, Nothing, Single, Double, NV),
        row(Op::FsToI, 0xd1, Nothing, Single, Word, NV | NX),
        row(Op::FdToI, 0xd2, Nothing, Double, Word, NV | NX),
        row(Op::FcmpS, 0x51, Single, Single, Code, NV),
        row(Op::FcmpD, 0x52, Double, Double, Code, NV),
        row(Op::FcmpeS, 0x55, Single, Single, Code, NV),
        row(Op::FcmpeD, 0x56, Double, Double, Code, NV),
    ]
};

/// A result and its exceptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The result: bits, or a condition code.
    pub bits: u64,
    /// The exceptions of IEEE 754, underflow not trapping.
    pub exc: u8,
    /// The result is subnormal and exact: underflow, if underflow traps.
    pub tiny: bool,
}

/// What an instruction leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The trap, 0 for none.
    pub tt: u16,
    /// The result, if there is no trap.
    pub bits: u64,
    /// FSR.
    pub fsr: u64,
}

fn mode(round: u64) -> Round {
    match round & 3 {
        0 => Round::NearestTiesToEven,
        1 => Round::TowardZero,
        2 => Round::TowardPositive,
        _ => Round::TowardNegative,
    }
}

/// The direction in force.
pub fn direction(fsr: u64, gsr: u64) -> u64 {
    if gsr & IM != 0 { gsr >> 25 & 3 } else { fsr >> 30 & 3 }
}

/// A number as LLVM has it.
fn number<F: Float>(bits: u64) -> F {
    F::from_bits(bits.into())
}

/// The result of `op` in a direction, and its exceptions. LLVM looks for tininess
/// after rounding, and calls it no overflow when the result is the greatest number:
/// what is cut toward zero tells the first, and `wide`, the same in a wider format
/// cut toward zero, the second.
fn rounded<F: Float, W: Float>(
    round: u64,
    op: impl Fn(Round) -> StatusAnd<F>,
    wide: impl Fn() -> W,
) -> (u64, u8) {
    let StatusAnd { status, value } = op(mode(round));
    let mut exc = 0;
    for (theirs, ours) in
        [(Status::INVALID_OP, NV), (Status::DIV_BY_ZERO, DZ), (Status::INEXACT, NX)]
    {
        exc |= if status.contains(theirs) { ours } else { 0 };
    }
    if exc & NX != 0 {
        let greatest = F::largest();
        let (ours, bound) = (value.abs(), greatest);
        if value.is_infinite() || ours.bitwise_eq(bound) && wide().ilogb() > greatest.ilogb() {
            exc |= OF;
        }
        if value.is_zero() || value.ilogb() <= F::smallest_normalized().ilogb() {
            let cut = op(Round::TowardZero).value;
            exc |= if cut.is_zero() || cut.is_denormal() { UF } else { 0 };
        }
    }
    (value.to_bits() as u64, exc)
}

/// A sum, difference, product or quotient in one format.
fn basic<F: FloatConvert<W>, W: Float>(op: Op, round: u64, x: F, y: F) -> (u64, u8) {
    fn apply<F: Float>(op: Op, x: F, y: F, round: Round) -> StatusAnd<F> {
        match op {
            Op::FaddS | Op::FaddD => x.add_r(y, round),
            Op::FsubS | Op::FsubD => x.sub_r(y, round),
            Op::FdivS | Op::FdivD => x.div_r(y, round),
            _ => x.mul_r(y, round),
        }
    }
    let wider = |z: F| -> W { z.convert(&mut false).value };
    rounded(
        round,
        |round| apply(op, x, y, round),
        || apply(op, wider(x), wider(y), Round::TowardZero).value,
    )
}

/// The root of a number, digit by digit: as many bits as the format has, and then
/// what is left over decides.
fn root(of: Of, round: u64, bits: u64) -> (u64, u8) {
    let (exp, frac) = of.shape().unwrap_or((11, 52));
    let (negative, field, fraction) = of.fields(bits);
    if of.zero(bits) || of.special(bits) && !of.nan(bits) && !negative {
        return (bits, 0);
    }
    if of.nan(bits) || negative {
        return (of.sign() - 1, NV);
    }
    let bias = (1i64 << (exp - 1)) - 1;
    // sig × 2^power, sig having its leading bit at `frac`.
    let (mut sig, mut power) = match field {
        0 => (u128::from(fraction), 1 - bias - i64::from(frac)),
        _ => (u128::from(fraction | 1 << frac), field as i64 - bias - i64::from(frac)),
    };
    while sig >> frac == 0 {
        (sig, power) = (sig << 1, power - 1);
    }
    // The square of a number of frac + 1 bits has twice as many, or one less.
    let more = i64::from(frac) + (power - i64::from(frac)).rem_euclid(2);
    let (square, power) = (sig << more, power - more);
    let mut floor = 0u128;
    for bit in (0..=frac).rev() {
        let next = floor | 1 << bit;
        if next * next <= square {
            floor = next;
        }
    }
    let left = square - floor * floor;
    let up = match round & 3 {
        // (floor + 1/2)² is floor² + floor + 1/4.
        0 => left > floor,
        2 => left != 0,
        _ => false,
    };
    let value = ((power / 2 + bias + i64::from(frac) - 1) << frac) as u64 + floor as u64;
    (value + u64::from(up), if left == 0 { 0 } else { NX })
}

/// A NaN moved to another format: its leading fraction bits, quiet.
fn nan_as(from: Of, to: Of, bits: u64) -> u64 {
    let quiet = bits | from.quiet();
    match (from, to) {
        (Of::Single, Of::Double) => {
            (quiet >> 31 & 1) << 63 | 0x7ff << 52 | (quiet & 0x7f_ffff) << 29
        }
        (Of::Double, Of::Single) => (quiet >> 63) << 31 | 0xff << 23 | (quiet >> 29 & 0x7f_ffff),
        _ => quiet,
    }
}

/// What IEEE 754 says, with T2's NaNs and integers.
pub fn ieee(row: &Row, round: u64, a: u64, b: u64) -> Answer {
    let (s, t) = (number::<Single>(a & 0xffff_ffff), number::<Single>(b & 0xffff_ffff));
    let (d, e) = (number::<Double>(a), number::<Double>(b));
    let wide = |z: Single| -> Double { z.convert(&mut false).value };
    let whole = |StatusAnd { status, value }: StatusAnd<i128>, exact: bool| {
        let exc = if status.contains(Status::INVALID_OP) { NV } else { u8::from(!exact) * NX };
        (value as u64, exc)
    };
    let mut exact = false;
    let signed = b as i64;
    let short = b as u32 as i32;
    let (bits, mut exc) = match row.op {
        Op::FmovS | Op::FmovD => (b, 0),
        Op::FnegS | Op::FnegD => (b ^ row.rd.sign(), 0),
        Op::FabsS | Op::FabsD => (b & !row.rd.sign(), 0),
        Op::FaddS | Op::FsubS | Op::FmulS | Op::FdivS => {
            basic::<Single, Double>(row.op, round, s, t)
        }
        Op::FaddD | Op::FsubD | Op::FmulD | Op::FdivD => basic::<Double, Quad>(row.op, round, d, e),
        Op::FsMulD => basic::<Double, Quad>(row.op, round, wide(s), wide(t)),
        Op::FsqrtS | Op::FsqrtD => root(row.rs2, round, b),
        Op::FsToD => (wide(t).to_bits() as u64, 0),
        Op::FdToS => rounded::<Single, Double>(round, |r| e.convert_r(r, &mut false), || e),
        Op::FsToI => whole(t.to_i128_r(32, Round::TowardZero, &mut exact), exact),
        Op::FdToI => whole(e.to_i128_r(32, Round::TowardZero, &mut exact), exact),
        Op::FsToX => whole(t.to_i128_r(64, Round::TowardZero, &mut exact), exact),
        Op::FdToX => whole(e.to_i128_r(64, Round::TowardZero, &mut exact), exact),
        Op::FiToS => rounded(round, |r| Single::from_i128_r(short.into(), r), || Quad::ZERO),
        Op::FiToD => rounded(round, |r| Double::from_i128_r(short.into(), r), || Quad::ZERO),
        Op::FxToS => rounded(round, |r| Single::from_i128_r(signed.into(), r), || Quad::ZERO),
        Op::FxToD => rounded(round, |r| Double::from_i128_r(signed.into(), r), || Quad::ZERO),
        _ => {
            let order = if row.rs1 == Of::Single { s.partial_cmp(&t) } else { d.partial_cmp(&e) };
            (order.map_or(3, |order| [1, 0, 2][(order as i8 + 1) as usize]), 0)
        }
    };
    let bits = if row.rd == Of::Word { bits & 0xffff_ffff } else { bits };
    if row.raises != 0 && row.rs2.shape().is_some() {
        // Exceptions of NaNs: the signalling are invalid, the quiet where an order
        // (or an integer) is asked for.
        let ordered =
            matches!(row.op, Op::FcmpeS | Op::FcmpeD) || matches!(row.rd, Of::Word | Of::Long);
        let any = row.rs1.nan(a) || row.rs2.nan(b);
        let signals = row.rs1.signalling(a) || row.rs2.signalling(b);
        if any {
            exc = if signals || ordered { NV } else { 0 };
        }
    }
    let bits = match row.rd {
        // Signalling before quiet, rs2 before rs1; else all ones but the sign.
        Of::Single | Of::Double if row.raises != 0 && row.rd.nan(bits) => {
            let from = row.rs2;
            if from.signalling(b) {
                nan_as(from, row.rd, b)
            } else if row.rs1.signalling(a) {
                nan_as(from, row.rd, a)
            } else if from.nan(b) {
                nan_as(from, row.rd, b)
            } else if row.rs1.nan(a) {
                nan_as(from, row.rd, a)
            } else {
                row.rd.sign() - 1
            }
        }
        // What does not fit is the end on the side of the sign bit, NaN too.
        Of::Word | Of::Long if exc & NV != 0 => {
            let negative = b & row.rs2.sign() != 0;
            if negative { row.rd.sign() } else { row.rd.sign() - 1 }
        }
        _ => bits,
    };
    let tiny = row.raises & UF != 0 && exc == 0 && row.rd.subnormal(bits);
    Answer { bits, exc, tiny }
}

/// The operation with subnormal numbers as zeros: FSR.NS.
fn flushed(row: &Row, round: u64, a: u64, b: u64) -> Answer {
    let (sub_a, sub_b) = (row.rs1.subnormal(a), row.rs2.subnormal(b));
    let x = if sub_a { a & row.rs1.sign() } else { a };
    let y = if sub_b { b & row.rs2.sign() } else { b };
    let mut answer = ieee(row, round, x, y);
    // Any operand an infinity or a NaN, or (products) zero as it came: exact.
    let special = row.rs1.special(a) || row.rs2.special(b);
    let lost = match row.op {
        Op::FmulS | Op::FmulD | Op::FsMulD => {
            (sub_a || sub_b) && !special && !row.rs1.zero(a) && !row.rs2.zero(b)
        }
        Op::FdivS | Op::FdivD => sub_a && !row.rs2.special(b) && !row.rs2.zero(y),
        _ => (sub_a || sub_b) && !special,
    };
    if lost {
        answer.exc |= NX;
    }
    if row.rd.subnormal(answer.bits) {
        answer = Answer { bits: answer.bits & row.rd.sign(), exc: UF | NX, tiny: false };
    }
    answer
}

/// Does it compute with, or make, floating-point numbers other than by moving or
/// comparing them?
fn computes(row: &Row) -> bool {
    row.raises != 0 && row.rd != Of::Code && row.rs2.shape().is_some()
}

/// What the instruction computes in the mode that FSR and GSR ask for.
pub fn compute(row: &Row, fsr: u64, gsr: u64, a: u64, b: u64) -> Answer {
    let round = direction(fsr, gsr);
    if computes(row) && fsr & NS != 0 && gsr & IM == 0 {
        flushed(row, round, a, b)
    } else {
        ieee(row, round, a, b)
    }
}

/// Does T2 leave the operation to software?
pub fn unfinished(row: &Row, fsr: u64, gsr: u64, a: u64, b: u64) -> bool {
    if !computes(row) || fsr & NS != 0 && gsr & IM == 0 {
        return false;
    }
    let round = direction(fsr, gsr);
    let (sub_a, sub_b) = (row.rs1.subnormal(a), row.rs2.subnormal(b));
    let special = row.rs1.special(a) || row.rs2.special(b);
    let zero = row.rs1 != Of::Nothing && row.rs1.zero(a) || row.rs2.zero(b);
    let exp = |of: Of, bits: u64| of.fields(bits).1 as i64;
    let negative = match row.rs1 {
        Of::Nothing => b & row.rs2.sign() != 0,
        _ => (a ^ b) & row.rs2.sign() != 0,
    };
    // Far below the least number, by the exponents alone, and rounded to zero. A
    // subnormal operand counts as exponent 0.
    let (bias, bottom) = if row.rd == Of::Single { (127, -25) } else { (1023, -54) };
    let eint = match row.op {
        Op::FmulS | Op::FmulD => exp(row.rs1, a) + exp(row.rs2, b) - bias,
        Op::FdivS | Op::FdivD => exp(row.rs1, a) - exp(row.rs2, b) + bias - 1,
        Op::FdToS => exp(row.rs2, b) - 896,
        _ => 0,
    };
    let away = round == 2 && !negative || round == 3 && negative;
    let gross = eint <= bottom && !away && !special && !zero;
    let source = match row.op {
        Op::FaddS | Op::FaddD | Op::FsubS | Op::FsubD => (sub_a || sub_b) && !special,
        Op::FmulS | Op::FmulD | Op::FsMulD => (sub_a || sub_b) && !special && !zero && !gross,
        Op::FdivS | Op::FdivD => {
            let overflow = sub_b && exp(row.rs1, a) >= (if bias == 127 { 0x81 } else { 0x401 });
            (sub_a || sub_b) && !special && !zero && !gross && !overflow
        }
        Op::FsqrtS | Op::FsqrtD => sub_b && !negative,
        _ => sub_b && !gross,
    };
    let answer = ieee(row, round, a, b);
    let underflow = answer.tiny || answer.exc & UF != 0;
    let below = row.rd.subnormal(answer.bits) || row.rd.zero(answer.bits);
    source || row.rd.shape().is_some() && underflow && below && !gross
}

/// FSR, the result and the trap after the instruction; `unfinished` operations are
/// computed.
pub fn outcome(row: &Row, cc: u32, fsr: u64, gsr: u64, a: u64, b: u64) -> Outcome {
    let answer = compute(row, fsr, gsr, a, b);
    let tem = (fsr >> 23 & 0x1f) as u8;
    let mut exc = answer.exc;
    if answer.tiny && tem & UF != 0 {
        exc |= UF;
    }
    let kept = fsr & !(FTT | 0x1f);
    let trap = |bit: u8| Outcome { tt: 0x21, bits: 0, fsr: kept | 1 << 14 | u64::from(bit) };
    // Overflow and underflow bring inexact along; theirs is the trap, if enabled.
    for bit in [NV, DZ, OF, UF, NX] {
        if exc & tem & bit != 0 {
            return trap(bit);
        }
    }
    let fsr = kept | u64::from(exc) << 5 | u64::from(exc);
    if row.rd != Of::Code {
        return Outcome { tt: 0, bits: answer.bits, fsr };
    }
    let shift = [10, 32, 34, 36][cc as usize & 3];
    Outcome { tt: 0, bits: 0, fsr: fsr & !(3 << shift) | answer.bits << shift }
}
