//! Words to execute: instructions with random fields, and anything.

use super::dice::Dice;
use sun4v::isa::{Format, ROWS, decode};

/// A word, mostly one that is an instruction.
pub fn word(dice: &mut Dice) -> u32 {
    if dice.hit(24) {
        return dice.bits() as u32;
    }
    let mut word = instruction(dice);
    for _ in 0..8 {
        if decode(word).is_some() {
            break;
        }
        word = instruction(dice);
    }
    word
}

/// An instruction with random fields, which may break its rule.
fn instruction(dice: &mut Dice) -> u32 {
    let bits = dice.bits() as u32;
    let row = loop {
        let row = dice.one(ROWS);
        let often = match row.format {
            // Whatever leaves the case or the page for good is rarer.
            Format::Trap => dice.hit(4),
            Format::Call | Format::Jmpl | Format::Bare => dice.hit(4),
            _ => row.mnemonic.starts_with(['l', 's', 'c', 'b', 'r', 'w']) || dice.hit(3),
        };
        if often {
            break row;
        }
    };
    let (mask, mut fields) = (row.mask, bits & !row.mask);
    match row.format {
        Format::BranchCc19 | Format::BranchFcc19 => small(dice, &mut fields, 19),
        Format::BranchCc22 | Format::BranchFcc22 => small(dice, &mut fields, 22),
        Format::BranchReg => {
            let disp = dice.below(64) as u32;
            fields = fields & !(3 << 20 | 0x3fff) | disp;
        }
        Format::Call => small(dice, &mut fields, 30),
        _ => {
            let immediate = 1 << 13;
            if fields & immediate & !mask != 0 {
                // A small immediate, mostly one that keeps an address aligned.
                let align = dice.one(&[0, 7, 7, 7, 15, 63, 63, 63]);
                let value = (dice.below(257) as u32).wrapping_sub(128) & !align;
                if !dice.hit(4) {
                    fields = fields & !0x1fff | value & 0x1fff & !mask;
                }
            } else if !dice.hit(3) {
                // An ASI that exists, or none.
                let asi = if dice.hit(2) { 0 } else { u32::from(some_asi(dice)) };
                fields = fields & !0x1fe0 | asi << 5 & !mask;
            }
        }
    }
    // Few registers, so that results are used.
    if !dice.hit(3) {
        for shift in [25, 14, 0] {
            let field = 0x1f << shift;
            if mask & field == 0 && (shift != 0 || fields & 1 << 13 == 0) {
                let register = dice.one(&[0, 1, 2, 3, 8, 9, 14, 16, 17, 24]);
                fields = fields & !field | register << shift;
            }
        }
    }
    row.bits | fields & !mask
}

/// A displacement that mostly stays near.
fn small(dice: &mut Dice, fields: &mut u32, width: u32) {
    let all = (1u32 << width) - 1;
    if !dice.hit(16) {
        let disp = (dice.below(65) as u32).wrapping_sub(16);
        *fields = *fields & !all | disp & all;
    }
}

/// An ASI, mostly one that T2 has.
pub fn some_asi(dice: &mut Dice) -> u8 {
    const ALL: [u8; 37] = [
        0x04, 0x0c, 0x10, 0x11, 0x14, 0x15, 0x16, 0x17, 0x18, 0x1c, 0x1e, 0x20, 0x21, 0x22, 0x23,
        0x24, 0x25, 0x26, 0x27, 0x2a, 0x2f, 0x80, 0x81, 0x82, 0x83, 0x88, 0x8a, 0xc0, 0xc3, 0xc5,
        0xd0, 0xd3, 0xe0, 0xe1, 0xe2, 0xf0, 0xf8,
    ];
    if dice.hit(5) { dice.bits() as u8 } else { dice.one(&ALL) }
}
