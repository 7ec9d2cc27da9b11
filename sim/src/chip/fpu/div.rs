//! Quotients and square roots.

use super::soft::{DOUBLE, SINGLE};
use super::{Exc, Round, odd_d, plain_d, plain_s};

/// FDIVd: `a ÷ b`.
#[inline]
pub fn div_d(round: Round, a: u64, b: u64) -> (u64, Exc) {
    if round == Round::Nearest && plain_d(a) && plain_d(b) && a << 1 != 0 && b << 1 != 0 {
        let quotient = (f64::from_bits(a) / f64::from_bits(b)).to_bits();
        if plain_d(quotient) && quotient << 1 != 0 {
            // Exact when quotient × b is a; a power of two apart cannot be, so the
            // odd parts decide.
            let back = u128::from(odd_d(quotient)) * u128::from(odd_d(b));
            return (quotient, Exc::inexact_if(back != u128::from(odd_d(a))));
        }
    }
    DOUBLE.div(round, a, b)
}

/// FDIVs: `a ÷ b`.
#[inline]
pub fn div_s(round: Round, a: u32, b: u32) -> (u32, Exc) {
    if round == Round::Nearest && plain_s(a) && plain_s(b) && a << 1 != 0 && b << 1 != 0 {
        let quotient = f32::from_bits(a) / f32::from_bits(b);
        if plain_s(quotient.to_bits()) && quotient != 0.0 {
            let back = f64::from(quotient) * f64::from(f32::from_bits(b));
            let inexact = back != f64::from(f32::from_bits(a));
            return (quotient.to_bits(), Exc::inexact_if(inexact));
        }
    }
    let (bits, exc) = SINGLE.div(round, a.into(), b.into());
    (bits as u32, exc)
}

/// FSQRTd.
#[inline]
pub fn sqrt_d(round: Round, a: u64) -> (u64, Exc) {
    if round == Round::Nearest && plain_d(a) && a >> 63 == 0 && a != 0 {
        let root = f64::from_bits(a).sqrt().to_bits();
        let square = u128::from(odd_d(root)) * u128::from(odd_d(root));
        return (root, Exc::inexact_if(square != u128::from(odd_d(a))));
    }
    DOUBLE.sqrt(round, a)
}

/// FSQRTs.
#[inline]
pub fn sqrt_s(round: Round, a: u32) -> (u32, Exc) {
    if round == Round::Nearest && plain_s(a) && a >> 31 == 0 && a != 0 {
        let root = f32::from_bits(a).sqrt();
        let square = f64::from(root) * f64::from(root);
        return (root.to_bits(), Exc::inexact_if(square != f64::from(f32::from_bits(a))));
    }
    let (bits, exc) = SINGLE.sqrt(round, a.into());
    (bits as u32, exc)
}
