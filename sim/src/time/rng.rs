//! The seeded generator: everything that looks like chance in a run.
//!
//! One seed names a run. Who needs chance takes a stream of its own by name
//! ([`Seed::stream`]), so that one more draw in one place moves no other.
//!
//! **Source.** xoshiro256++ and splitmix64 by Blackman and Vigna; the stream's
//! name enters by FNV-1a.

/// The seed of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream called `name`, such as `net/lab/t5120`.
    #[must_use]
    pub fn stream(self, name: &str) -> Rng {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut mix = SplitMix(self.0);
        Rng::new(mix.next() ^ hash)
    }
}

/// splitmix64: spreads a seed over a state.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// One stream of numbers: xoshiro256++.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng([u64; 4]);

impl Rng {
    /// A stream that starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut mix = SplitMix(seed);
        Self([mix.next(), mix.next(), mix.next(), mix.next()])
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> [u64; 4] {
        self.0
    }

    /// A stream that stands there; `None` where it would never move.
    #[must_use]
    pub fn from_state(state: [u64; 4]) -> Option<Self> {
        (state != [0; 4]).then_some(Self(state))
    }

    /// The next 64 bits.
    #[inline]
    pub fn draw(&mut self) -> u64 {
        let s = &mut self.0;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// A number below `bound`; zero if `bound` is zero. The bias is below
    /// `bound / 2^64`.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// True with probability `p`; a `p` of 0 draws nothing.
    #[inline]
    pub fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && ((self.draw() >> 11) as f64) < p * (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod test {
    use super::{Rng, Seed, SplitMix};

    #[test]
    fn the_published_vectors_come_out() {
        let mut mix = SplitMix(1_477_776_061_723_855_037);
        let expected = [1_985_237_415_132_408_290, 2_979_275_885_539_914_483];
        assert_eq!([mix.next(), mix.next()], expected);
        let mut rng = Rng([1, 2, 3, 4]);
        let expected = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!([rng.draw(), rng.draw(), rng.draw(), rng.draw()], expected);
    }

    #[test]
    fn a_stream_is_its_seed_and_its_name() {
        let draw = |seed, name| Seed(seed).stream(name).draw();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }

    #[test]
    fn chance_keeps_to_its_probability() {
        let mut rng = Rng::new(7);
        let hits = (0..100_000).filter(|_| rng.chance(0.01)).count();
        assert!((850..1150).contains(&hits), "{hits}");
        assert!(!rng.chance(0.0) && rng.chance(1.0));
        assert!((0..1000).all(|_| rng.below(3) < 3));
    }
}
