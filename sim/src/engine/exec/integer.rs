//! Integer arithmetic that does not fit on a line: products, quotients, tags.
//!
//! **Source.** T2 reference 3.3.

use super::{Run, Stop, operand2};
use crate::chip::regs::Cc;
use sun4v::isa::{Op, Word, tt};

/// `icc.V` of a tagged operation.
const ICC_V: u64 = 1 << 31;

/// A quotient of 32 bits and whether it was clamped.
pub(super) fn udiv(dividend: u64, divisor: u32) -> Option<(u64, bool)> {
    let quotient = dividend.checked_div(u64::from(divisor))?;
    let most = u64::from(u32::MAX);
    Some(if quotient > most { (most, true) } else { (quotient, false) })
}

/// The same, signed; the quotient is sign-extended.
pub(super) fn sdiv(dividend: i64, divisor: i32) -> Option<(u64, bool)> {
    if divisor == 0 {
        return None;
    }
    let quotient = i128::from(dividend) / i128::from(divisor);
    let clamped = quotient.clamp(i128::from(i32::MIN), i128::from(i32::MAX));
    Some((clamped as i64 as u64, clamped != quotient))
}

impl Run<'_> {
    /// Integer operations off the fast path.
    pub(super) fn integer(&mut self, op: Op, w: Word) -> Result<(), Stop> {
        let (a, b) = (self.r(w.rs1()), operand2(self.strand, w));
        let dividend = u64::from(self.strand.y) << 32 | a & 0xffff_ffff;
        let zero = Stop::Guest(tt::DIVISION_BY_ZERO);
        let mut cc = None;
        let value = match op {
            Op::Umulcc | Op::Smulcc => {
                let product = match op {
                    Op::Umulcc => (a & 0xffff_ffff).wrapping_mul(b & 0xffff_ffff),
                    _ => (i64::from(a as i32) * i64::from(b as i32)) as u64,
                };
                self.strand.y = (product >> 32) as u32;
                cc = Some(Cc::logic(product));
                product
            }
            Op::Udiv | Op::Udivcc | Op::Sdiv | Op::Sdivcc => {
                let quotient = match op {
                    Op::Udiv | Op::Udivcc => udiv(dividend, b as u32),
                    _ => sdiv(dividend as i64, b as i32),
                };
                let (value, clamped) = quotient.ok_or(zero)?;
                if matches!(op, Op::Udivcc | Op::Sdivcc) {
                    let v = if clamped { ICC_V } else { 0 };
                    cc = Some(Cc { v, ..Cc::logic(value) });
                }
                value
            }
            Op::TaddCc | Op::TaddCcTv | Op::TsubCc | Op::TsubCcTv => {
                let (value, mut codes) = match op {
                    Op::TaddCc | Op::TaddCcTv => {
                        let sum = a.wrapping_add(b);
                        (sum, Cc::add(a, b, sum))
                    }
                    _ => {
                        let difference = a.wrapping_sub(b);
                        (difference, Cc::sub(a, b, difference))
                    }
                };
                if (a | b) & 3 != 0 {
                    codes.v |= ICC_V;
                }
                if matches!(op, Op::TaddCcTv | Op::TsubCcTv) && codes.v & ICC_V != 0 {
                    return Err(Stop::Guest(tt::TAG_OVERFLOW));
                }
                cc = Some(codes);
                value
            }
            Op::MulsCc => {
                let icc = self.strand.cc.icc();
                let top = u64::from((icc >> 3 ^ icc >> 1) & 1) << 31;
                let first = top | a >> 1 & 0x7fff_ffff;
                let second = if self.strand.y & 1 != 0 { b & 0xffff_ffff } else { 0 };
                let sum = first + second;
                self.strand.y = (a as u32 & 1) << 31 | self.strand.y >> 1;
                let low = Cc::add(first, second, sum);
                // xcc.N, V and C are clear; xcc.Z is of the 33 bits.
                let low_bit = |word: u64| word & ICC_V;
                cc = Some(Cc {
                    n: low_bit(low.n),
                    v: low_bit(low.v),
                    c: low_bit(low.c),
                    zx: sum,
                    zi: sum as u32,
                });
                sum
            }
            _ => u64::from(b.count_ones()),
        };
        if let Some(cc) = cc {
            self.strand.cc = cc;
        }
        self.set(w.rd(), value);
        Ok(())
    }
}

#[cfg(test)]
mod test {
    use super::{sdiv, udiv};

    #[test]
    fn quotients_are_clamped_to_32_bits() {
        assert_eq!(udiv(1 << 40, 1), Some((0xffff_ffff, true)));
        assert_eq!(udiv(10, 3), Some((3, false)));
        assert_eq!(udiv(10, 0), None);
        assert_eq!(sdiv(i64::MIN, -1), Some((0x7fff_ffff, true)));
        assert_eq!(sdiv(i64::MIN, 1), Some((0xffff_ffff_8000_0000, true)));
        assert_eq!(sdiv(-7, 2), Some((-3i64 as u64, false)));
    }
}
