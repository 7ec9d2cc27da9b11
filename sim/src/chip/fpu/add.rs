//! Sums, differences, comparisons.

use super::soft::{DOUBLE, SINGLE};
use super::{Exc, Round, plain_d, plain_s};

/// FADDd: `a + b`.
#[inline]
pub fn add_d(round: Round, a: u64, b: u64) -> (u64, Exc) {
    if round == Round::Nearest && plain_d(a) && plain_d(b) {
        let (x, y) = (f64::from_bits(a), f64::from_bits(b));
        let sum = x + y;
        if plain_d(sum.to_bits()) {
            // Knuth's two-sum: what rounding took away, itself exact.
            let high = sum - x;
            let rest = (x - (sum - high)) + (y - high);
            return (sum.to_bits(), Exc::inexact_if(rest != 0.0));
        }
    }
    DOUBLE.add(round, a, b)
}

/// FSUBd: `a - b`.
#[inline]
pub fn sub_d(round: Round, a: u64, b: u64) -> (u64, Exc) {
    if plain_d(b) { add_d(round, a, b ^ 1 << 63) } else { DOUBLE.sub(round, a, b) }
}

/// FADDs: `a + b`.
#[inline]
pub fn add_s(round: Round, a: u32, b: u32) -> (u32, Exc) {
    if round == Round::Nearest && plain_s(a) && plain_s(b) {
        let (x, y) = (f32::from_bits(a), f32::from_bits(b));
        let sum = x + y;
        if plain_s(sum.to_bits()) {
            let high = sum - x;
            let rest = (x - (sum - high)) + (y - high);
            return (sum.to_bits(), Exc::inexact_if(rest != 0.0));
        }
    }
    let (bits, exc) = SINGLE.add(round, a.into(), b.into());
    (bits as u32, exc)
}

/// FSUBs: `a - b`.
#[inline]
pub fn sub_s(round: Round, a: u32, b: u32) -> (u32, Exc) {
    if plain_s(b) {
        return add_s(round, a, b ^ 1 << 31);
    }
    let (bits, exc) = SINGLE.sub(round, a.into(), b.into());
    (bits as u32, exc)
}

/// FCMPd, and FCMPEd with `signal`: 0 equal, 1 less, 2 greater, 3 unordered.
#[inline]
pub fn cmp_d(a: u64, b: u64, signal: bool) -> (u8, Exc) {
    DOUBLE.cmp(a, b, signal)
}

/// FCMPs, and FCMPEs with `signal`.
#[inline]
pub fn cmp_s(a: u32, b: u32, signal: bool) -> (u8, Exc) {
    SINGLE.cmp(a.into(), b.into(), signal)
}
