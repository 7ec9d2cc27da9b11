//! Operands that find mistakes: every kind of number beside every other, and random
//! ones that gather where rounding, overflow, underflow and cancellation happen.

use super::dice::Dice;
use super::ieee::{Of, Row};
use sun4v::isa::Op;

/// Exponent bits, fraction bits, bias.
fn shape(of: Of) -> (u32, u32, u64) {
    if of == Of::Single { (8, 23, 127) } else { (11, 52, 1023) }
}

/// The values to try in all pairs.
pub fn special(of: Of) -> Vec<u64> {
    match of {
        Of::Nothing | Of::Code => vec![0],
        Of::Word => integers(32),
        Of::Long => integers(64),
        Of::Single | Of::Double => {
            let (exp, frac, bias) = shape(of);
            let (most, half) = ((1u64 << frac) - 1, 1u64 << (frac - 1));
            let top = (1u64 << exp) - 1;
            let f = u64::from(frac);
            let mut list = vec![0, 1, 2, 3, half - 1, half, half + 1, most - 1, most];
            // Infinity; signalling NaNs; quiet ones.
            list.extend([0, 1, half - 1, half, half + 1, most].map(|low| top << frac | low));
            let mut exps = vec![1, 2, f, f + 1, f + 2, bias / 2, bias + bias / 2, top - 2, top - 1];
            exps.extend([f + 2, f + 1, f, 1].map(|less| bias - less));
            exps.extend([0, 1, 2, f - 1, f, f + 1, 30, 31, 62, 63].map(|more| bias + more));
            if of == Of::Double {
                // The ends of the singles.
                exps.extend([151, 150, 149, 148, 127, 126].map(|less| bias - less));
                exps.extend([127, 128].map(|more| bias + more));
            }
            for exp in exps {
                for low in [0, 1, half, most] {
                    list.push(exp << frac | low);
                }
            }
            if of == Of::Double {
                // Ties of a single, and one beside each.
                for exp in [bias - 150, bias - 149, bias - 127, bias - 126, bias, bias + 127] {
                    for upper in [0, 1, 0x7f_ffff, 0x40_0000] {
                        for low in [0, 1, 0xfff_ffff, 0x1000_0000, 0x1000_0001, 0x1fff_ffff] {
                            list.push(exp << 52 | upper << 29 | low);
                        }
                    }
                }
            }
            list.sort_unstable();
            list.dedup();
            let sign = 1u64 << (exp + frac);
            list.iter().flat_map(|&bits| [bits, bits | sign]).collect()
        }
    }
}

/// Powers of two, their neighbours, and the ties of both formats.
fn integers(width: u32) -> Vec<u64> {
    let mut list = vec![0];
    for shift in 0..width {
        for low in [0, 1, 2, u64::MAX] {
            list.push((1u64 << shift).wrapping_add(low));
        }
        for bits in [24, 53] {
            if shift > bits {
                let half = 1u64 << (shift - bits);
                list.extend([half - 1, half, half + 1].map(|rest| 1 << shift | rest));
                let odd = 1u64 << (shift + 1 - bits);
                list.extend([half - 1, half, half + 1].map(|rest| 1 << shift | odd | rest));
            }
        }
    }
    let negative: Vec<u64> = list.iter().map(|value| value.wrapping_neg()).collect();
    list.extend(negative);
    if width == 32 {
        list.iter_mut().for_each(|value| *value &= 0xffff_ffff);
    }
    list.sort_unstable();
    list.dedup();
    list
}

/// A fraction: few bits, runs of ones, ties, anything.
fn fraction(dice: &mut Dice, frac: u32) -> u64 {
    let (most, bits) = ((1u64 << frac) - 1, dice.bits());
    let low = dice.below(u64::from(frac) + 1) as u32;
    match bits >> 60 {
        0 => 0,
        1 => most,
        2 => most & !((1u64 << low) - 1),
        3 => (1u64 << low) - 1,
        4 => 1u64 << low & most,
        5 => (bits & 0x3f) << (frac - 6),
        6 => bits & 0x3f,
        // Half of the last place of something shorter.
        7 => (bits & most) >> low << low | (1u64 << low) >> 1,
        // A single's tie, or beside one.
        8 if frac == 52 => bits & most & !0x1fff_ffff | 0x1000_0000,
        9 if frac == 52 => {
            (bits & most & !0x1fff_ffff).wrapping_add(0xfff_ffff + (bits >> 58 & 2)) & most
        }
        // Exact products and squares.
        8..11 => bits & most & !((1u64 << (frac / 2 + 1)) - 1),
        _ => bits & most,
    }
}

fn number(dice: &mut Dice, of: Of, exp: i64) -> u64 {
    let (width, frac, _) = shape(of);
    let exp = exp.clamp(0, (1 << width) - 1) as u64;
    (dice.bits() & 1) << (width + frac) | exp << frac | fraction(dice, frac)
}

/// An exponent, where something happens.
fn exponent(dice: &mut Dice, of: Of, row: &Row) -> i64 {
    let (width, frac, bias) = shape(of);
    let (top, bias, frac) = ((1i64 << width) - 1, bias as i64, i64::from(frac));
    let spread = |dice: &mut Dice, by: i64| dice.below(2 * by as u64 + 1) as i64 - by;
    let pick = dice.below(8);
    match (row.op, pick) {
        // Around the ends of what it becomes.
        (Op::FdToS, 0 | 2 | 4) => bias - 138 + spread(dice, 16),
        (Op::FdToS, 6) => bias + 127 + spread(dice, 2),
        (Op::FsToI | Op::FdToI, 0 | 1) => bias + 31 + spread(dice, 3),
        (Op::FsToX | Op::FdToX, 0 | 1) => bias + 63 + spread(dice, 3),
        (Op::FsToI | Op::FdToI | Op::FsToX | Op::FdToX, 3 | 5) => bias + 20 + spread(dice, 30),
        (_, 0) => dice.below(4) as i64,
        (_, 1) => top - dice.below(4) as i64,
        (_, 2) => dice.below(2 * frac as u64) as i64,
        (_, 3..6) => bias + spread(dice, frac + 3),
        _ => dice.below(top as u64 + 1) as i64,
    }
}

fn integer(dice: &mut Dice, width: u32) -> u64 {
    let long = dice.below(u64::from(width)) as u32;
    let bits = fraction(dice, 52) | 1 << 52;
    let value = if long >= 52 { bits << (long - 52) } else { bits >> (52 - long) };
    let value = match dice.below(4) {
        0 => dice.bits(),
        1 => value.wrapping_add(dice.below(3)).wrapping_sub(1),
        2 => value | dice.below(1 << 10),
        _ => value,
    };
    let value = if dice.bits() & 1 != 0 { value.wrapping_neg() } else { value };
    if width == 32 { value & 0xffff_ffff } else { value }
}

/// Operands of an operation.
pub fn random(dice: &mut Dice, row: &Row, special: &[u64]) -> (u64, u64) {
    let b = match row.rs2 {
        Of::Word => return (0, integer(dice, 32)),
        Of::Long => return (0, integer(dice, 64)),
        of => {
            let exp = exponent(dice, of, row);
            match dice.below(16) {
                0 => dice.one(special),
                1 => dice.bits() & (u64::MAX >> if of == Of::Single { 32 } else { 0 }),
                _ => number(dice, of, exp),
            }
        }
    };
    if row.rs1 == Of::Nothing {
        return (0, b);
    }
    let (width, frac, bias) = shape(row.rs1);
    let (top, bias, frac) = ((1i64 << width) - 1, bias as i64, i64::from(frac));
    let exp = (b >> frac) as i64 & top;
    let near = dice.below(2 * frac as u64 + 7) as i64 - frac - 3;
    // What the exponent of a product or quotient comes to.
    let goal = match dice.below(4) {
        0 => dice.below(4) as i64 - 2,
        1 => top - 3 + dice.below(5) as i64,
        2 => -(dice.below(frac as u64 + 6) as i64),
        _ => bias + near,
    };
    let a = match row.op {
        Op::FmulS | Op::FmulD => goal - exp + bias,
        Op::FdivS | Op::FdivD => goal + exp - bias,
        _ => exp + near,
    };
    match dice.below(16) {
        0 => (dice.one(special), b),
        // The same number, or the one beside it.
        1 => (b ^ (dice.bits() & (1 << (i64::from(width) + frac))), b),
        2 => (
            b.wrapping_add(dice.below(5)).wrapping_sub(2)
                & (u64::MAX >> (64 - width as i64 - frac - 1)),
            b,
        ),
        3..5 => {
            let exp = exponent(dice, row.rs1, row);
            (number(dice, row.rs1, exp), b)
        }
        _ => (number(dice, row.rs1, a), b),
    }
}
