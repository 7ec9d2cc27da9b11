//! What the operations do to the unit's memory, word by word.
//!
//! **Shape.** A number is words at an offset, least significant first. Nothing is kept
//! outside the memory, and words are read and written in the order in which the unit does:
//! operands that overlap come out as some definite garbage.
//!
//! **Errors.** None: whoever calls has seen that all offsets are inside.
//!
//! **Source.** Column-wise Montgomery multiplication, its writes to M and the single
//! subtraction after it: OpenSPARC T1, `spu_mamul.v`, `spu_maaeqb.v`, `spu_mared.v`.

use sun4v::ncs::MA_WORDS;

/// The unit's memory.
pub type Memory = [u64; MA_WORDS];

/// Where the numbers of a Montgomery product lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// A factor.
    pub a: usize,
    /// The other; the same offset is a square.
    pub b: usize,
    /// The modulus.
    pub n: usize,
    /// Work area; keeps the product before the last subtraction.
    pub m: usize,
    /// The product.
    pub x: usize,
    /// Words of each.
    pub words: usize,
    /// N′.
    pub n_prime: u64,
}

/// A column's sum: 192 bits, of which 137 are needed.
#[derive(Clone, Copy, Default)]
struct Sum {
    low: u128,
    high: u64,
}

impl Sum {
    fn add(&mut self, a: u64, b: u64) {
        let (low, carry) = self.low.overflowing_add(u128::from(a) * u128::from(b));
        self.low = low;
        self.high += u64::from(carry);
    }
    const fn word(self) -> u64 {
        self.low as u64
    }
    fn shift(&mut self) {
        self.low = self.low >> 64 | u128::from(self.high) << 64;
        self.high = 0;
    }
}

impl Product {
    /// X = A · B · 2^(−64 · words) mod N, for A and B below N, N odd, and N′ true to it.
    pub fn run(&self, memory: &mut Memory) {
        let Self { a, b, n, m, words, n_prime, .. } = *self;
        let mut sum = Sum::default();
        for i in 0..words {
            for j in 0..i {
                sum.add(memory[a + j], memory[b + i - j]);
                sum.add(memory[m + j], memory[n + i - j]);
            }
            sum.add(memory[a + i], memory[b]);
            memory[m + i] = sum.word().wrapping_mul(n_prime);
            sum.add(memory[m + i], memory[n]);
            sum.shift();
        }
        for i in words..2 * words {
            for j in i - words + 1..words {
                sum.add(memory[a + j], memory[b + i - j]);
                sum.add(memory[m + j], memory[n + i - j]);
            }
            memory[m + i - words] = sum.word();
            sum.shift();
        }
        let carry = sum.word() & 1 != 0;
        reduce(memory, (m, n, self.x), words, carry);
    }
}

/// X = M − N where M, with a bit above it, is not below N; else X = M.
pub fn reduce(memory: &mut Memory, (m, n, x): (usize, usize, usize), words: usize, carry: bool) {
    let differs = (0..words).rev().find(|&at| memory[m + at] != memory[n + at]);
    let fits = carry || differs.is_none_or(|at| memory[m + at] > memory[n + at]);
    let mut borrow = false;
    for at in 0..words {
        let (word, one) = memory[m + at].overflowing_sub(if fits { memory[n + at] } else { 0 });
        let (word, other) = word.overflowing_sub(u64::from(borrow));
        borrow = one | other;
        memory[x + at] = word;
    }
}

/// Where the numbers of an exponentiation lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    /// Base, in Montgomery's form.
    pub a: usize,
    /// Work area.
    pub m: usize,
    /// The modulus.
    pub n: usize,
    /// Begins as a copy of A; ends as the power, in Montgomery's form.
    pub x: usize,
    /// The exponent.
    pub e: usize,
    /// Bytes of it, 1 to 256.
    pub exponent_bytes: usize,
    /// Words of each other number.
    pub words: usize,
    /// N′.
    pub n_prime: u64,
}

impl Power {
    /// Words that the exponent touches.
    pub const fn exponent_words(&self) -> usize {
        self.exponent_bytes.div_ceil(8)
    }

    fn bit(&self, memory: &Memory, at: usize) -> bool {
        memory[self.e + at / 64] >> (at % 64) & 1 != 0
    }

    /// How many squares and how many products by A: the bits below the exponent's
    /// highest, and those of them that are set.
    pub fn steps(&self, memory: &Memory) -> (u64, u64) {
        let bits = self.exponent_bytes * 8;
        let Some(top) = (0..bits).rev().find(|&at| self.bit(memory, at)) else { return (0, 0) };
        let set = (0..top).filter(|&at| self.bit(memory, at)).count();
        (top as u64, set as u64)
    }

    /// From the bit below the exponent's highest down: X = X · X, and X = X · A where it is
    /// set. Without any bit set nothing happens.
    pub fn run(&self, memory: &mut Memory) {
        let Self { a, m, n, x, words, n_prime, .. } = *self;
        let square = Product { a: x, b: x, n, m, x, words, n_prime };
        let product = Product { b: a, ..square };
        let (squares, _) = self.steps(memory);
        for at in (0..squares as usize).rev() {
            square.run(memory);
            if self.bit(memory, at) {
                product.run(memory);
            }
        }
    }
}

/// Multiplications of words in a Montgomery product: A·B and M·N, and N′ once a column.
pub const fn products(words: u64) -> u64 {
    2 * words * words + words
}

/// The same in a square: what is to the left and right of A·A's diagonal is computed once.
pub const fn products_of_square(words: u64) -> u64 {
    words * (words + 1) / 2 + words * words + words
}
