//! Conditions.
//!
//! **Source.** T2 reference 3.2.

use crate::chip::regs::meets;

/// For each condition, the four-bit codes that meet it.
const CODES: [u16; 16] = {
    let mut codes = [0; 16];
    let mut cond = 0;
    while cond < 16 {
        let mut code = 0;
        while code < 16 {
            if meets(code, cond) {
                codes[cond as usize] |= 1 << code;
            }
            code += 1;
        }
        cond += 1;
    }
    codes
};

/// For each condition of FBfcc, the relations (equal, less, greater, unordered)
/// that meet it.
const RELATIONS: [u8; 16] = [
    0b0000, 0b1110, 0b0110, 0b1010, 0b0010, 0b1100, 0b0100, 0b1000, //
    0b1111, 0b0001, 0b1001, 0b0101, 0b1101, 0b0011, 0b1011, 0b0111,
];

/// Does a four-bit code meet an integer condition?
#[inline(always)]
pub(in crate::engine) fn holds(cond: u8, code: u8) -> bool {
    CODES[usize::from(cond & 15)] >> (code & 15) & 1 != 0
}

/// Does the floating-point condition code `number` of `fsr` meet a condition?
#[inline(always)]
pub(in crate::engine) fn fp_holds(cond: u8, number: u8, fsr: u64) -> bool {
    let shift = if number == 0 { 10 } else { 30 + 2 * u32::from(number & 3) };
    RELATIONS[usize::from(cond & 15)] >> (fsr >> shift & 3) & 1 != 0
}

/// Does a register meet a condition on registers (T2 reference: `BPr` rcond)?
#[inline(always)]
pub(in crate::engine) fn register_holds(rcond: u8, value: u64) -> bool {
    let value = value as i64;
    let base = match rcond & 3 {
        1 => value == 0,
        2 => value <= 0,
        _ => value < 0,
    };
    base != (rcond & 4 != 0)
}

#[cfg(test)]
mod test {
    use super::{fp_holds, holds, register_holds};

    #[test]
    fn opposite_conditions_are_opposite() {
        for code in 0..16 {
            for cond in 0..8 {
                assert_ne!(holds(cond, code), holds(cond | 8, code));
            }
        }
        for value in [0, 1, u64::MAX] {
            for rcond in 1..4 {
                assert_ne!(register_holds(rcond, value), register_holds(rcond | 4, value));
            }
        }
        for relation in 0..4u64 {
            for cond in 0..8 {
                let fsr = relation << 34;
                assert_ne!(fp_holds(cond, 2, fsr), fp_holds(cond | 8, 2, fsr));
            }
        }
    }
}
