//! Edges of an image, and addresses in a blocked one.

use sun4v::isa::Op;

/// One of the twelve edge instructions.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// Pixels in eight bytes: 8, 4 or 2.
    pixels: u32,
    /// Bit 0 stands for the pixel at the lowest address.
    little: bool,
    /// Condition codes become those of a subtraction.
    pub sets_cc: bool,
}

impl Edge {
    /// Which one `op` is.
    pub fn of(op: Op) -> Option<Self> {
        let (pixels, little, sets_cc) = match op {
            Op::Edge8 => (8, false, true),
            Op::Edge8n => (8, false, false),
            Op::Edge8l => (8, true, true),
            Op::Edge8ln => (8, true, false),
            Op::Edge16 => (4, false, true),
            Op::Edge16n => (4, false, false),
            Op::Edge16l => (4, true, true),
            Op::Edge16ln => (4, true, false),
            Op::Edge32 => (2, false, true),
            Op::Edge32n => (2, false, false),
            Op::Edge32l => (2, true, true),
            Op::Edge32ln => (2, true, false),
            _ => return None,
        };
        Some(Self { pixels, little, sets_cc })
    }

    /// The pixels from address `a` on, and up to `b` when both lie in the same eight
    /// bytes.
    pub fn mask(self, a: u64, b: u64, am: bool) -> u64 {
        let all = (1u64 << self.pixels) - 1;
        let pixel = |address: u64| (address & 7) as u32 * self.pixels / 8;
        let (first, last) = (pixel(a), pixel(b));
        let differ = (a ^ b) & if am { 0xffff_fff8 } else { !7 };
        let left = if self.little { all << first & all } else { all >> first };
        if differ != 0 {
            return left;
        }
        let beyond = self.pixels - 1 - last;
        left & if self.little { all >> beyond } else { all << beyond & all }
    }
}

/// `array8`: `a` has fixed-point coordinates x (10:0 fraction, 21:11), y (43:33)
/// and z (63:55); `b` says how many bits of x and y lie above the blocks, at most
/// five.
pub fn array8(a: u64, b: u64) -> u64 {
    let n = (b & 7).min(5) as u32;
    let mut result = 0;
    let mut at = 0;
    let mut take = |from: u32, count: u32| {
        result |= (a >> from & ((1 << count) - 1)) << at;
        at += count;
    };
    // Lower: 2 bits of x, 2 of y, 1 of z. Middle: 4 of each. Upper: n, n, 4.
    take(11, 2);
    take(33, 2);
    take(55, 1);
    take(13, 4);
    take(35, 4);
    take(56, 4);
    take(17, n);
    take(39, n);
    take(60, 4);
    result
}
