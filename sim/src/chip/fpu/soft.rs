//! Floating point with integers: every operand, every direction.
//!
//! **Shapes.** One code for both formats: [`Format`] says how many bits a number
//! has, and its bits are the low ones of a `u64`. A finite number is ± `sig` ×
//! 2^`exp`; an exact result may be longer than the format, and one that is longer
//! than 128 bits has its last bit set instead of what was cut off. [`Format::pack`]
//! rounds once, at the end.
//!
//! **Source.** IEEE 754-1985 sections 4 to 7; T2 for what IEEE leaves open.

use super::{Exc, Round};
use std::cmp::Ordering;

/// A binary interchange format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Bits of the fraction.
    pub frac: u32,
    /// Bits of the exponent.
    pub exp: u32,
}

/// Single precision.
pub const SINGLE: Format = Format { frac: 23, exp: 8 };
/// Double precision.
pub const DOUBLE: Format = Format { frac: 52, exp: 11 };

/// What a bit pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A zero.
    Zero,
    /// `sig` × 2^`exp`; `sig` is not zero, and has its full width when the number
    /// is normal.
    Finite {
        /// Significand.
        sig: u64,
        /// Exponent of its last bit.
        exp: i32,
    },
    /// An infinity.
    Inf,
    /// A quiet NaN.
    Quiet,
    /// A signalling NaN.
    Signal,
}

impl Format {
    fn bias(self) -> i32 {
        (1 << (self.exp - 1)) - 1
    }
    /// The bits of +infinity.
    pub fn inf(self) -> u64 {
        ((1 << self.exp) - 1) << self.frac
    }
    /// The sign bit.
    pub fn sign(self) -> u64 {
        1 << (self.frac + self.exp)
    }
    fn quiet(self) -> u64 {
        1 << (self.frac - 1)
    }
    /// T2's default NaN: positive, all other bits set.
    pub fn default_nan(self) -> u64 {
        self.sign() - 1
    }
    /// Is the number below the normal ones, and not zero?
    pub fn is_subnormal(self, bits: u64) -> bool {
        bits & self.inf() == 0 && bits & (self.sign() - 1) != 0
    }
    /// Is it a NaN?
    pub fn is_nan(self, bits: u64) -> bool {
        bits & (self.sign() - 1) > self.inf()
    }
    fn is_negative(self, bits: u64) -> bool {
        bits & self.sign() != 0
    }

    /// What the bits stand for, sign apart.
    pub fn kind(self, bits: u64) -> Kind {
        let frac = bits & ((1 << self.frac) - 1);
        let biased = (bits & self.inf()) >> self.frac;
        let last = 1 - self.bias() - self.frac as i32;
        if biased == 0 {
            if frac == 0 { Kind::Zero } else { Kind::Finite { sig: frac, exp: last } }
        } else if bits & self.inf() != self.inf() {
            Kind::Finite { sig: frac | 1 << self.frac, exp: last + biased as i32 - 1 }
        } else if frac == 0 {
            Kind::Inf
        } else if frac & self.quiet() != 0 {
            Kind::Quiet
        } else {
            Kind::Signal
        }
    }

    fn signed(self, negative: bool, bits: u64) -> u64 {
        if negative { bits | self.sign() } else { bits }
    }

    /// The NaN that an operation on these has as its result: signalling before
    /// quiet, rs2 before rs1; `None` when neither is one.
    fn nan2(self, a: u64, b: u64) -> Option<(u64, Exc)> {
        let (ka, kb) = (self.kind(a), self.kind(b));
        let (from, exc) = match (ka, kb) {
            (_, Kind::Signal) => (b, Exc(Exc::NV)),
            (Kind::Signal, _) => (a, Exc(Exc::NV)),
            (_, Kind::Quiet) => (b, Exc::NONE),
            (Kind::Quiet, _) => (a, Exc::NONE),
            _ => return None,
        };
        Some((from | self.quiet(), exc))
    }

    fn invalid(self) -> (u64, Exc) {
        (self.default_nan(), Exc(Exc::NV))
    }

    /// Rounds ± `sig` × 2^`exp` (`sig` not zero) to the format.
    pub fn pack(self, round: Round, negative: bool, exp: i32, sig: u128) -> (u64, Exc) {
        let frac = self.frac as i32;
        let least = 1 - self.bias();
        let leading = exp + 127 - sig.leading_zeros() as i32;
        let tiny = leading < least;
        let last = leading.max(least) - frac;
        let (kept, rest) = match last - exp {
            // Not longer than the format: nothing to round.
            up @ ..=0 => (sig << -up, Rest::None),
            cut => cut_off(sig, cut.unsigned_abs()),
        };
        let kept = kept as u64;
        let inexact = rest != Rest::None;
        let away = match round {
            Round::Nearest => rest == Rest::MoreThanHalf || rest == Rest::Half && kept & 1 != 0,
            Round::Zero => false,
            Round::Up => inexact && !negative,
            Round::Down => inexact && negative,
        };
        // The leading bit of `kept` adds one to the exponent; so does a carry.
        let below = (last + frac + self.bias() - 1) as i64;
        if below >= 1 << self.exp {
            return self.overflow(round, negative);
        }
        let bits = ((below as u64) << self.frac) + kept + u64::from(away);
        if bits >= self.inf() {
            return self.overflow(round, negative);
        }
        let exc = match (inexact, tiny) {
            (true, true) => Exc::UF | Exc::NX,
            (true, false) => Exc::NX,
            (false, true) => Exc::TINY,
            (false, false) => 0,
        };
        (self.signed(negative, bits), Exc(exc))
    }

    fn overflow(self, round: Round, negative: bool) -> (u64, Exc) {
        let to_inf = match round {
            Round::Nearest => true,
            Round::Zero => false,
            Round::Up => !negative,
            Round::Down => negative,
        };
        let bits = if to_inf { self.inf() } else { self.inf() - 1 };
        (self.signed(negative, bits), Exc(Exc::OF | Exc::NX))
    }

    /// `a + b`.
    pub fn add(self, round: Round, a: u64, b: u64) -> (u64, Exc) {
        if let Some(nan) = self.nan2(a, b) {
            return nan;
        }
        let (na, nb) = (self.is_negative(a), self.is_negative(b));
        let down = round == Round::Down;
        match (self.kind(a), self.kind(b)) {
            (Kind::Inf, Kind::Inf) if na != nb => self.invalid(),
            (Kind::Inf, _) => (a, Exc::NONE),
            (_, Kind::Inf) => (b, Exc::NONE),
            (Kind::Zero, Kind::Zero) => {
                (self.signed(if na == nb { na } else { down }, 0), Exc::NONE)
            }
            (Kind::Finite { sig, exp }, Kind::Zero) => self.pack(round, na, exp, sig.into()),
            (Kind::Zero, Kind::Finite { sig, exp }) => self.pack(round, nb, exp, sig.into()),
            (Kind::Finite { sig: sa, exp: ea }, Kind::Finite { sig: sb, exp: eb }) => {
                let ((nx, sx, ex), (ny, sy, ey)) = if ea >= eb {
                    ((na, sa, ea), (nb, sb, eb))
                } else {
                    ((nb, sb, eb), (na, sa, ea))
                };
                // 64 guard bits: only a far smaller number loses any, and then
                // the sum cannot lose more than one leading bit.
                let x = u128::from(sx) << 64;
                let y = shift_right(u128::from(sy) << 64, (ex - ey) as u32);
                let (negative, sum) = match (nx == ny, x.cmp(&y)) {
                    (true, _) => (nx, x + y),
                    (false, Ordering::Greater) => (nx, x - y),
                    (false, Ordering::Less) => (ny, y - x),
                    (false, Ordering::Equal) => return (self.signed(down, 0), Exc::NONE),
                };
                self.pack(round, negative, ex - 64, sum)
            }
            _ => self.invalid(),
        }
    }

    /// `a - b`. A NaN `b` keeps its sign.
    pub fn sub(self, round: Round, a: u64, b: u64) -> (u64, Exc) {
        let b = if self.is_nan(b) { b } else { b ^ self.sign() };
        self.add(round, a, b)
    }

    /// `a × b`, rounded to the format `to`.
    pub fn mul(self, to: Self, round: Round, a: u64, b: u64) -> (u64, Exc) {
        if let Some((nan, exc)) = self.nan2(a, b) {
            return (self.widen_nan(to, nan), exc);
        }
        let negative = self.is_negative(a ^ b);
        match (self.kind(a), self.kind(b)) {
            (Kind::Inf, Kind::Zero) | (Kind::Zero, Kind::Inf) => to.invalid(),
            (Kind::Inf, _) | (_, Kind::Inf) => (to.signed(negative, to.inf()), Exc::NONE),
            (Kind::Finite { sig: sa, exp: ea }, Kind::Finite { sig: sb, exp: eb }) => {
                to.pack(round, negative, ea + eb, u128::from(sa) * u128::from(sb))
            }
            _ => (to.signed(negative, 0), Exc::NONE),
        }
    }

    /// `a ÷ b`.
    pub fn div(self, round: Round, a: u64, b: u64) -> (u64, Exc) {
        if let Some(nan) = self.nan2(a, b) {
            return nan;
        }
        let negative = self.is_negative(a ^ b);
        match (self.kind(a), self.kind(b)) {
            (Kind::Inf, Kind::Inf) | (Kind::Zero, Kind::Zero) => self.invalid(),
            (Kind::Inf, _) => (self.signed(negative, self.inf()), Exc::NONE),
            (Kind::Finite { .. }, Kind::Zero) => (self.signed(negative, self.inf()), Exc(Exc::DZ)),
            (Kind::Finite { sig: sa, exp: ea }, Kind::Finite { sig: sb, exp: eb }) => {
                // At least 64 bits of quotient.
                let up = 63 + sa.leading_zeros();
                let (x, y) = (u128::from(sa) << up, u128::from(sb));
                let quotient = (x / y) | u128::from(x % y != 0);
                self.pack(round, negative, ea - eb - up as i32, quotient)
            }
            _ => (self.signed(negative, 0), Exc::NONE),
        }
    }

    /// The square root.
    pub fn sqrt(self, round: Round, a: u64) -> (u64, Exc) {
        let negative = self.is_negative(a);
        match self.kind(a) {
            Kind::Quiet => (a, Exc::NONE),
            Kind::Signal => (a | self.quiet(), Exc(Exc::NV)),
            Kind::Zero => (a, Exc::NONE),
            Kind::Inf if !negative => (a, Exc::NONE),
            Kind::Finite { sig, exp } if !negative => {
                // An even exponent, and a root of at least 62 bits.
                let up = 62 + sig.leading_zeros();
                let up = if (exp - up as i32) % 2 == 0 { up } else { up - 1 };
                let square = u128::from(sig) << up;
                let root = square.isqrt();
                let jam = u128::from(root * root != square);
                self.pack(round, false, (exp - up as i32) / 2 - 1, root << 1 | jam)
            }
            _ => self.invalid(),
        }
    }

    fn widen_nan(self, to: Self, nan: u64) -> u64 {
        let frac = nan & ((1 << self.frac) - 1);
        let frac = if to.frac >= self.frac {
            frac << (to.frac - self.frac)
        } else {
            frac >> (self.frac - to.frac)
        };
        to.signed(self.is_negative(nan), to.inf() | frac)
    }

    /// The same number in another format; a NaN keeps its leading fraction bits
    /// and becomes quiet.
    pub fn convert(self, to: Self, round: Round, a: u64) -> (u64, Exc) {
        let negative = self.is_negative(a);
        match self.kind(a) {
            Kind::Zero => (to.signed(negative, 0), Exc::NONE),
            Kind::Inf => (to.signed(negative, to.inf()), Exc::NONE),
            Kind::Quiet => (self.widen_nan(to, a), Exc::NONE),
            Kind::Signal => (self.widen_nan(to, a | self.quiet()), Exc(Exc::NV)),
            Kind::Finite { sig, exp } => to.pack(round, negative, exp, sig.into()),
        }
    }

    /// An integer as a number of this format.
    pub fn of_integer(self, round: Round, value: i64) -> (u64, Exc) {
        if value == 0 {
            return (0, Exc::NONE);
        }
        self.pack(round, value < 0, 0, value.unsigned_abs().into())
    }

    /// Toward zero, as a signed integer of `width` bits. What does not fit, and any
    /// NaN, is the integer farthest from zero on the side of the sign bit.
    pub fn to_integer(self, width: u32, a: u64) -> (u64, Exc) {
        let negative = self.is_negative(a);
        let most = 1u64 << (width - 1);
        let mask = most | (most - 1);
        let invalid = (if negative { most } else { most - 1 }, Exc(Exc::NV));
        let (sig, exp) = match self.kind(a) {
            Kind::Zero => return (0, Exc::NONE),
            Kind::Finite { sig, exp } => (sig, exp),
            _ => return invalid,
        };
        if exp >= 64 {
            return invalid;
        }
        let (whole, inexact) = if exp >= 0 {
            (u128::from(sig) << exp, false)
        } else if exp > -64 {
            (u128::from(sig >> -exp), sig & ((1 << -exp) - 1) != 0)
        } else {
            (0, true)
        };
        if whole > u128::from(most) || whole == u128::from(most) && !negative {
            return invalid;
        }
        let whole = whole as u64;
        let value = if negative { whole.wrapping_neg() } else { whole };
        (value & mask, Exc::inexact_if(inexact))
    }

    /// Compares: 0 equal, 1 less, 2 greater, 3 unordered. A quiet NaN is invalid
    /// when `signal`; a signalling one always.
    pub fn cmp(self, a: u64, b: u64, signal: bool) -> (u8, Exc) {
        if self.is_nan(a) || self.is_nan(b) {
            let signals = signal || self.kind(a) == Kind::Signal || self.kind(b) == Kind::Signal;
            return (3, Exc(if signals { Exc::NV } else { 0 }));
        }
        let order = |bits: u64| {
            let size = (bits & (self.sign() - 1)) as i64;
            if self.is_negative(bits) { -size } else { size }
        };
        let fcc = match order(a).cmp(&order(b)) {
            Ordering::Equal => 0,
            Ordering::Less => 1,
            Ordering::Greater => 2,
        };
        (fcc, Exc::NONE)
    }
}

/// What was cut off, in units of the last place kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    None,
    LessThanHalf,
    Half,
    MoreThanHalf,
}

/// Cuts the last `by` bits (one at least) off.
fn cut_off(sig: u128, by: u32) -> (u128, Rest) {
    let kept = sig.checked_shr(by).unwrap_or(0);
    let Some(half) = 1u128.checked_shl(by - 1) else {
        return (kept, if sig == 0 { Rest::None } else { Rest::LessThanHalf });
    };
    let rest = sig & (half | (half - 1));
    let rest = match rest.cmp(&half) {
        _ if rest == 0 => Rest::None,
        Ordering::Less => Rest::LessThanHalf,
        Ordering::Equal => Rest::Half,
        Ordering::Greater => Rest::MoreThanHalf,
    };
    (kept, rest)
}

/// Shifts right; what falls off leaves the last bit set.
fn shift_right(value: u128, by: u32) -> u128 {
    if by == 0 {
        value
    } else if by >= 128 {
        u128::from(value != 0)
    } else {
        value >> by | u128::from(value & ((1 << by) - 1) != 0)
    }
}
