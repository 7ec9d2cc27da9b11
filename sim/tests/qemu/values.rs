//! Random numbers, of which the interesting ones are frequent.

/// A generator: the same numbers from the same seed, everywhere.
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits, any.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// Less than `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// One time in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// An integer register's value.
    pub fn integer(&mut self) -> u64 {
        let value = self.next();
        match self.below(8) {
            0 => value % 8,
            1 => (value % 8).wrapping_neg(),
            2 => value & 0xffff_ffff,
            3 => i64::from(value as i32) as u64,
            4 => 1 << (value % 64),
            5 => {
                let edge: u64 = self.pick(&[1 << 31, 1 << 63, 1 << 32, 0]);
                edge.wrapping_add(value % 5).wrapping_sub(2)
            }
            _ => value,
        }
    }

    /// A floating-point register's value: a double, or two singles.
    pub fn float(&mut self) -> u64 {
        match self.below(8) {
            0 => self.integer(),
            1 => self.next(),
            2..5 => self.number(11, 52),
            _ => self.number(8, 23) << 32 | self.number(8, 23),
        }
    }

    /// A number of that many bits of exponent and fraction.
    fn number(&mut self, exponent: u32, fraction: u32) -> u64 {
        let (top, bias) = ((1u64 << exponent) - 1, (1u64 << (exponent - 1)) - 1);
        let sign = self.next() >> 63 << (exponent + fraction);
        let exp = match self.below(16) {
            0 => 0,
            1 => top,
            2 => self.below(4),
            3 => top - self.below(4),
            4 => self.below(top),
            5 | 6 => bias + self.below(66) - 1,
            _ => bias + self.below(8) - 4,
        };
        let ones = (1u64 << fraction) - 1;
        let frac = match self.below(8) {
            0 => 0,
            1 => ones - self.below(3),
            2 => self.below(4),
            3 => 1 << self.below(fraction.into()),
            4 => ones << self.below(fraction.into()),
            _ => self.next(),
        } & ones;
        sign | exp << fraction | frac
    }
}
