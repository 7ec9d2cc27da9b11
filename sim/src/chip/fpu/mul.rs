//! Products.

use super::soft::{DOUBLE, SINGLE};
use super::{Exc, Round, odd_d, plain_d, plain_s};

/// FMULd: `a × b`.
#[inline]
pub fn mul_d(round: Round, a: u64, b: u64) -> (u64, Exc) {
    if round == Round::Nearest && plain_d(a) && plain_d(b) {
        let product = (f64::from_bits(a) * f64::from_bits(b)).to_bits();
        if plain_d(product) {
            // Exact when the odd parts make at most 53 bits; a product of zero is.
            let odd = u128::from(odd_d(a)) * u128::from(odd_d(b));
            let inexact = odd >> 53 != 0 && product << 1 != 0;
            // Zero comes of a zero here, or of an underflow.
            if product << 1 != 0 || a << 1 == 0 || b << 1 == 0 {
                return (product, Exc::inexact_if(inexact));
            }
        }
    }
    DOUBLE.mul(DOUBLE, round, a, b)
}

/// FMULs: `a × b`.
#[inline]
pub fn mul_s(round: Round, a: u32, b: u32) -> (u32, Exc) {
    if round == Round::Nearest && plain_s(a) && plain_s(b) {
        let product = f32::from_bits(a) * f32::from_bits(b);
        let exact = f64::from(f32::from_bits(a)) * f64::from(f32::from_bits(b));
        if plain_s(product.to_bits()) && (product != 0.0 || exact == 0.0) {
            return (product.to_bits(), Exc::inexact_if(f64::from(product) != exact));
        }
    }
    let (bits, exc) = SINGLE.mul(SINGLE, round, a.into(), b.into());
    (bits as u32, exc)
}

/// FsMULd: the product of two singles as a double, always exact.
#[inline]
pub fn mul_sd(round: Round, a: u32, b: u32) -> (u64, Exc) {
    let (x, y) = (f32::from_bits(a), f32::from_bits(b));
    if x.is_finite() && y.is_finite() {
        return ((f64::from(x) * f64::from(y)).to_bits(), Exc::NONE);
    }
    SINGLE.mul(DOUBLE, round, a.into(), b.into())
}
