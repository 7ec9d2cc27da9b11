//! What T2 does with subnormal numbers.
//!
//! T2 computes with normal numbers only. With FSR.NS set (and GSR.IM clear) it takes
//! a subnormal operand for a zero of its sign, and makes a subnormal result one. With
//! NS clear it gives up instead: fp_exception_other, unfinished_FPop, and the guest's
//! kernel computes the IEEE result. [`fpop`] has both; the second only when asked,
//! since a machine that computes the IEEE result at once differs for the guest in
//! nothing but the trap.
//!
//! **Shapes.** As in [`super`], a single in the low 32 bits of a `u64`.
//!
//! **Source.** OpenSPARC T2, `fgu_fpc_ctl.v`: which operands make an operation
//! unfinished or, with NS, inexact; the exponents of gross underflow.

use super::soft::{DOUBLE, Format, SINGLE};
use super::{
    Exc, Round, add_d, add_s, d_to_i, d_to_s, d_to_x, div_d, div_s, i_to_d, i_to_s, mul_d, mul_s,
    mul_sd, s_to_d, s_to_i, s_to_x, sqrt_d, sqrt_s, sub_d, sub_s, x_to_d, x_to_s,
};
use sun4v::isa::Op;

const NS: u64 = 1 << 22;
const IM: u64 = 1 << 27;

/// Are subnormal numbers zero? FSR.NS, unless GSR.IM is set.
#[inline]
pub fn flushes(fsr: u64, gsr: u64) -> bool {
    fsr & NS != 0 && gsr & IM == 0
}

/// The operation of an instruction that computes; `None` for comparisons, moves and
/// others, which T2 does with any operand. `a` is rs1, if it has one, `b` rs2.
///
/// With `unfinished` the result of an operation that T2 leaves to software is
/// [`Exc::UNFINISHED`], for [`super::deliver`] to make a trap of.
pub fn fpop(op: Op, fsr: u64, gsr: u64, unfinished: bool, a: u64, b: u64) -> Option<(u64, Exc)> {
    let round = Round::of(fsr, gsr);
    let Some(shape) = Shape::of(op) else { return ieee(op, round, a, b) };
    if flushes(fsr, gsr) {
        return shape.flushed(op, round, a, b);
    }
    let (bits, exc) = ieee(op, round, a, b)?;
    if unfinished && shape.gives_up(round, a, b, (bits, exc)) {
        return Some((0, Exc(Exc::UNFINISHED)));
    }
    Some((bits, exc))
}

fn single((bits, exc): (u32, Exc)) -> (u64, Exc) {
    (bits.into(), exc)
}

fn ieee(op: Op, round: Round, a: u64, b: u64) -> Option<(u64, Exc)> {
    let (s, t) = (a as u32, b as u32);
    Some(match op {
        Op::FaddS => single(add_s(round, s, t)),
        Op::FaddD => add_d(round, a, b),
        Op::FsubS => single(sub_s(round, s, t)),
        Op::FsubD => sub_d(round, a, b),
        Op::FmulS => single(mul_s(round, s, t)),
        Op::FmulD => mul_d(round, a, b),
        Op::FsMulD => mul_sd(round, s, t),
        Op::FdivS => single(div_s(round, s, t)),
        Op::FdivD => div_d(round, a, b),
        Op::FsqrtS => single(sqrt_s(round, t)),
        Op::FsqrtD => sqrt_d(round, b),
        Op::FsToD => s_to_d(t),
        Op::FdToS => single(d_to_s(round, b)),
        Op::FsToI => single(s_to_i(t)),
        Op::FdToI => single(d_to_i(b)),
        Op::FsToX => s_to_x(t),
        Op::FdToX => d_to_x(b),
        Op::FiToS => single(i_to_s(round, t as i32)),
        Op::FiToD => (i_to_d(t as i32), Exc::NONE),
        Op::FxToS => single(x_to_s(round, b as i64)),
        Op::FxToD => x_to_d(round, b as i64),
        _ => return None,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Add,
    Mul,
    Div,
    Root,
    Convert,
}

/// What T2's handling of an operation depends on.
#[derive(Clone, Copy, Debug)]
struct Shape {
    class: Class,
    from: Format,
    /// `None`: an integer.
    to: Option<Format>,
}

impl Shape {
    /// Of the operations on floating-point operands.
    fn of(op: Op) -> Option<Self> {
        let (class, from, to) = match op {
            Op::FaddS | Op::FsubS => (Class::Add, SINGLE, Some(SINGLE)),
            Op::FaddD | Op::FsubD => (Class::Add, DOUBLE, Some(DOUBLE)),
            Op::FmulS => (Class::Mul, SINGLE, Some(SINGLE)),
            Op::FmulD => (Class::Mul, DOUBLE, Some(DOUBLE)),
            Op::FsMulD => (Class::Mul, SINGLE, Some(DOUBLE)),
            Op::FdivS => (Class::Div, SINGLE, Some(SINGLE)),
            Op::FdivD => (Class::Div, DOUBLE, Some(DOUBLE)),
            Op::FsqrtS => (Class::Root, SINGLE, Some(SINGLE)),
            Op::FsqrtD => (Class::Root, DOUBLE, Some(DOUBLE)),
            Op::FsToD => (Class::Convert, SINGLE, Some(DOUBLE)),
            Op::FdToS => (Class::Convert, DOUBLE, Some(SINGLE)),
            Op::FsToI | Op::FsToX => (Class::Convert, SINGLE, None),
            Op::FdToI | Op::FdToX => (Class::Convert, DOUBLE, None),
            _ => return None,
        };
        Some(Self { class, from, to })
    }

    fn has_rs1(self) -> bool {
        matches!(self.class, Class::Add | Class::Mul | Class::Div)
    }

    /// Infinity or NaN.
    fn special(self, bits: u64) -> bool {
        bits & self.from.inf() == self.from.inf()
    }

    fn zero(self, bits: u64) -> bool {
        bits & (self.from.sign() - 1) == 0
    }

    /// Which operands are subnormal.
    fn subnormals(self, a: u64, b: u64) -> (bool, bool) {
        (self.has_rs1() && self.from.is_subnormal(a), self.from.is_subnormal(b))
    }

    /// The operation with FSR.NS.
    fn flushed(self, op: Op, round: Round, a: u64, b: u64) -> Option<(u64, Exc)> {
        let (sub_a, sub_b) = self.subnormals(a, b);
        let sign = self.from.sign();
        let x = if sub_a { a & sign } else { a };
        let y = if sub_b { b & sign } else { b };
        let (mut bits, mut exc) = ieee(op, round, x, y)?;
        let special = self.special(a) || self.special(b);
        let inexact = match self.class {
            Class::Add => (sub_a || sub_b) && !special,
            Class::Mul => (sub_a || sub_b) && !special && !self.zero(a) && !self.zero(b),
            Class::Div => sub_a && !self.special(b) && !self.zero(y),
            Class::Root | Class::Convert => sub_b,
        };
        if inexact {
            exc.0 |= Exc::NX;
        }
        if let Some(to) = self.to.filter(|to| to.is_subnormal(bits)) {
            bits &= to.sign();
            exc = Exc(Exc::UF | Exc::NX);
        }
        Some((bits, exc))
    }

    /// Does T2 leave the operation to software? `ieee` is what it would be.
    fn gives_up(self, round: Round, a: u64, b: u64, ieee: (u64, Exc)) -> bool {
        let (sub_a, sub_b) = self.subnormals(a, b);
        let subnormal = sub_a || sub_b;
        let special = self.has_rs1() && self.special(a) || self.special(b);
        let zero = self.has_rs1() && self.zero(a) || self.zero(b);
        let gross = !special && !zero && self.is_gross(round, a, b);
        let operand = match self.class {
            Class::Add => subnormal && !special,
            Class::Mul => subnormal && !special && !zero && !gross,
            Class::Div => subnormal && !special && !zero && !gross && !self.overflows(a, sub_b),
            Class::Root => sub_b && b & self.from.sign() == 0,
            Class::Convert => sub_b && !gross,
        };
        let (bits, exc) = ieee;
        let tiny = exc.0 & (Exc::UF | Exc::TINY) != 0;
        // A result that rounds up to the least normal number is finished.
        let below = self.to.is_some_and(|to| bits & to.inf() == 0);
        operand || tiny && below && !gross
    }

    /// The exponent field.
    fn exponent(self, bits: u64) -> i64 {
        ((bits & self.from.inf()) >> self.from.frac) as i64
    }

    /// Is a quotient by a subnormal number plainly too great?
    fn overflows(self, a: u64, sub_b: bool) -> bool {
        sub_b && self.exponent(a) > 1 << (self.from.exp - 1)
    }

    /// Gross underflow: the exponents alone say that the result rounds to zero. T2
    /// finishes it, and underflow traps if that is enabled.
    ///
    /// T2 looks one exponent higher in a quotient, where some results round to the
    /// least number; those are left to software here, since what it makes of them is
    /// not known.
    fn is_gross(self, round: Round, a: u64, b: u64) -> bool {
        let Some(to) = self.to.filter(|to| *to == SINGLE || self.from == DOUBLE) else {
            return false;
        };
        let bias = (1i64 << (to.exp - 1)) - 1;
        let least = -i64::from(to.frac);
        let (ea, eb) = (self.exponent(a), self.exponent(b));
        let (gross, negative) = match self.class {
            Class::Mul => (ea + eb - bias <= least - 2, (a ^ b) & self.from.sign() != 0),
            Class::Div => (ea - eb + bias - 1 <= least - 2, (a ^ b) & self.from.sign() != 0),
            Class::Convert if to == SINGLE => (eb - 896 <= least - 2, b & self.from.sign() != 0),
            _ => return false,
        };
        let away = match round {
            Round::Nearest | Round::Zero => false,
            Round::Up => !negative,
            Round::Down => negative,
        };
        gross && !away
    }
}
