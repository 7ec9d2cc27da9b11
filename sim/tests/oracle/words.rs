//! Words that touch every row of the instruction table and every field.
//!
//! **Shapes.** A [`Part`] is a list of words that are disassembled one behind the
//! other from an address. The words are the same in every run.

use sun4v::isa::ROWS;

/// Words of one kind.
pub struct Part {
    /// Which kind.
    pub name: &'static str,
    /// Where its random numbers begin.
    pub seed: u64,
    /// Where the first word is.
    pub address: u64,
    /// The words.
    pub words: Vec<u32>,
}

/// Every part.
pub fn parts() -> Vec<Part> {
    [
        ("fields", 0x5eed_1165_0000_0002, 0, fields as fn(&mut Random) -> Vec<u32>),
        ("short names", 0x5eed_1165_0000_0009, 0x8000, short_names),
        ("immediates", 0x5eed_1165_0000_0005, 0x7fff_ff80_0000_0000, immediates),
        ("pairs", 0x5eed_1165_0000_0006, 0x40_0000, pairs),
        ("neighbours", 0x5eed_1165_0000_0007, 0xffff_f800_0000_0000, neighbours),
        ("rows", 0x5eed_1165_0000_0008, 0x1_0000_0000, rows),
        ("sums", 0x5eed_1165_0000_0003, 0x40_0000, sums),
        ("arbitrary", 0x5eed_1165_0000_0004, 0xffff_ffff_ff80_0000, arbitrary),
    ]
    .into_iter()
    .map(|(name, seed, address, make)| Part { name, seed, address, words: make(&mut Random(seed)) })
    .collect()
}

/// xorshift.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    fn below(&mut self, end: usize) -> usize {
        self.word() as usize % end
    }
}

/// Lowest bit and width of every field that some instruction has, and of what may be
/// reserved.
const FIELDS: [(u32, u32); 25] = [
    (0, 5),  // rs2
    (0, 6),  // shift count
    (0, 8),  // trap number
    (0, 13), // simm13
    (0, 19), // disp19
    (0, 22), // disp22, imm22
    (0, 30), // disp30
    (3, 2),  // above the mode of SIAM
    (5, 8),  // ASI, or reserved
    (5, 9),  // opf
    (7, 6),  // above the mask of MEMBAR
    (8, 3),  // above a trap number
    (10, 3), // condition on a register
    (11, 2), // condition code
    (11, 3), // condition code of FMOVcc
    (12, 2), // X, i
    (14, 5), // rs1
    (14, 4), // condition of a move
    (18, 1), // condition code's highest bit
    (19, 3), // prediction, condition code
    (19, 6), // op3
    (22, 3), // op2
    (25, 5), // rd
    (25, 3), // condition on a register
    (28, 2), // annulment, and what BPr reserves
];

/// All values of a field, or, if it is wide, its edges and some others.
fn values(width: u32, random: &mut Random) -> Vec<u32> {
    let all = u32::MAX >> (32 - width);
    if width <= 9 {
        return (0..=all).collect();
    }
    let mut values = vec![0, all, all >> 1];
    for bit in 0..width {
        values.extend([1 << bit, (1 << bit) - 1, all ^ 1 << bit]);
    }
    values.extend((0..32).map(|_| random.word() & all));
    values
}

fn put(word: u32, (low, width): (u32, u32), value: u32) -> u32 {
    let mask = (u32::MAX >> (32 - width)) << low;
    word & !mask | value << low & mask
}

/// Words of a row: without anything, with `i`, and others, every second of which has
/// nothing between `i` and `rs2`.
fn bases(row: &sun4v::isa::Row, random: &mut Random, count: usize) -> Vec<u32> {
    let mut words = vec![row.bits, 1 << 13 & !row.mask | row.bits];
    while words.len() < count {
        let reserved = if words.len() % 2 == 0 { 0x3fe0 } else { 0 };
        words.push(random.word() & !row.mask & !reserved | row.bits);
    }
    words
}

/// Every field in turn, in words of every row.
fn fields(random: &mut Random) -> Vec<u32> {
    let mut words = Vec::new();
    for row in ROWS {
        for base in bases(row, random, 8) {
            for field in FIELDS {
                words.extend(values(field.1, random).into_iter().map(|v| put(base, field, v)));
            }
        }
    }
    words
}

/// Registers and immediates of which the assembler makes other words: no register,
/// the register that is written, the stack's, the caller's, a step of one.
fn short_names(_: &mut Random) -> Vec<u32> {
    const LOW: [u32; 20] = [
        0, 1, 15, 31, 0x1000, 0x1001, 0x1005, 0x1040, 0x1100, 0x1003, 0x1e00, 0x2000, 0x2001,
        0x2008, 0x200a, 0x207f, 0x3000, 0x303f, 0x3ff8, 0x3fff,
    ];
    let mut words = Vec::new();
    for row in ROWS {
        for rd in 0..32 {
            for rs1 in [0, 1, 14, 15, 30, 31, rd] {
                for low in LOW.into_iter().chain([rd]) {
                    words.push((rd << 25 | rs1 << 14 | low) & !row.mask | row.bits);
                }
            }
        }
    }
    words
}

/// Every 13-bit immediate of every row, `i` set.
fn immediates(random: &mut Random) -> Vec<u32> {
    let mut words = Vec::new();
    for row in ROWS {
        for low in 0..1 << 13 {
            words.push((random.word() & 0x3e07_c000 | 1 << 13 | low) & !row.mask | row.bits);
        }
    }
    words
}

/// Two fields at random in words of every row.
fn pairs(random: &mut Random) -> Vec<u32> {
    let mut words = Vec::new();
    for row in ROWS {
        for base in bases(row, random, 5_000) {
            let mut word = base;
            for _ in 0..2 {
                word = put(word, FIELDS[random.below(FIELDS.len())], random.word());
            }
            words.push(word);
        }
    }
    words
}

/// Words that are one bit away from a word of a row.
fn neighbours(random: &mut Random) -> Vec<u32> {
    let mut words = Vec::new();
    for row in ROWS {
        for base in bases(row, random, 64) {
            words.extend((0..32).map(|bit| base ^ 1 << bit));
        }
    }
    words
}

/// Any words of every row.
fn rows(random: &mut Random) -> Vec<u32> {
    ROWS.iter().flat_map(|row| bases(row, random, 8_000)).collect()
}

/// Any words.
fn arbitrary(random: &mut Random) -> Vec<u32> {
    (0..2_000_000).map(|_| random.word()).collect()
}

/// SETHI, and behind it words of every row that may combine an immediate with what
/// it has set.
fn sums(random: &mut Random) -> Vec<u32> {
    const NOP: u32 = 0x0100_0000;
    const CALL: u32 = 0x4000_0000;
    const SETHI: u32 = 0x0300_0000;
    let mut words = Vec::new();
    for row in ROWS {
        for _ in 0..120 {
            // Registers %g0 to %g3 only, so that they often are the same.
            let word = random.word() & 0xc7f8_fffc & !row.mask | row.bits;
            let high = SETHI | random.word() >> 10;
            for [a, b, c] in [
                [high, word, NOP],
                [high, NOP, word],
                [high, CALL, word],
                [high, word, 0x8410_6078],
                [high, word, 0x8400_7f88],
                [word, high, word],
                [CALL, high, word],
                [high, word, word],
            ] {
                words.extend([NOP, NOP, a, b, c]);
            }
        }
    }
    words
}
