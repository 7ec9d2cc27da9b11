//! Conversions between formats, and to and from integers.

use super::soft::{DOUBLE, SINGLE};
use super::{Exc, Round, plain_s};

const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// FsTOd: exact.
#[inline]
pub fn s_to_d(a: u32) -> (u64, Exc) {
    let x = f32::from_bits(a);
    if x.is_finite() {
        return (f64::from(x).to_bits(), Exc::NONE);
    }
    SINGLE.convert(DOUBLE, Round::Nearest, a.into())
}

/// FdTOs.
#[inline]
pub fn d_to_s(round: Round, a: u64) -> (u32, Exc) {
    if round == Round::Nearest {
        let x = f64::from_bits(a);
        let single = x as f32;
        if plain_s(single.to_bits()) && (single != 0.0 || x == 0.0) {
            return (single.to_bits(), Exc::inexact_if(f64::from(single) != x));
        }
    }
    let (bits, exc) = DOUBLE.convert(SINGLE, round, a);
    (bits as u32, exc)
}

/// FiTOs.
#[inline]
pub fn i_to_s(round: Round, value: i32) -> (u32, Exc) {
    x_to_s(round, value.into())
}

/// FiTOd: exact.
#[inline]
pub fn i_to_d(value: i32) -> u64 {
    f64::from(value).to_bits()
}

/// FxTOs.
#[inline]
pub fn x_to_s(round: Round, value: i64) -> (u32, Exc) {
    if round == Round::Nearest {
        let single = value as f32;
        // 2^63 itself converts back to the greatest integer, which it is not.
        let inexact = single as i64 != value || single >= TWO_63 as f32;
        return (single.to_bits(), Exc::inexact_if(inexact));
    }
    let (bits, exc) = SINGLE.of_integer(round, value);
    (bits as u32, exc)
}

/// FxTOd.
#[inline]
pub fn x_to_d(round: Round, value: i64) -> (u64, Exc) {
    if round == Round::Nearest {
        let double = value as f64;
        let inexact = double as i64 != value || double >= TWO_63;
        return (double.to_bits(), Exc::inexact_if(inexact));
    }
    DOUBLE.of_integer(round, value)
}

/// FsTOi: toward zero.
#[inline]
pub fn s_to_i(a: u32) -> (u32, Exc) {
    let (bits, exc) = SINGLE.to_integer(32, a.into());
    (bits as u32, exc)
}

/// FdTOi: toward zero.
#[inline]
pub fn d_to_i(a: u64) -> (u32, Exc) {
    let (bits, exc) = DOUBLE.to_integer(32, a);
    (bits as u32, exc)
}

/// FsTOx: toward zero.
#[inline]
pub fn s_to_x(a: u32) -> (u64, Exc) {
    SINGLE.to_integer(64, a.into())
}

/// FdTOx: toward zero.
#[inline]
pub fn d_to_x(a: u64) -> (u64, Exc) {
    DOUBLE.to_integer(64, a)
}
