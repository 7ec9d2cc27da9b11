//! The noise cells of the random number generator. They are not random.
//!
//! **Shape.** A stream of doublewords from a seed and the chassis's name: SHA-256 over both
//! and a counter, four doublewords a block. The same run has the same noise, which is what a
//! simulation needs, and whoever knows the seed knows all of it: nothing that must stay
//! secret outside of a simulation may be made from it.

use sha2::{Digest, Sha256};

/// A stream of noise.
#[derive(Clone, Debug, Default)]
pub struct Noise {
    seed: u64,
    chassis: String,
    /// Blocks that were made.
    block: u64,
    /// What is left of the last one.
    left: Vec<u64>,
}

impl Noise {
    /// The stream of a chassis in the run with this seed.
    #[must_use]
    pub fn new(seed: u64, chassis: &str) -> Self {
        Self { seed, chassis: chassis.to_owned(), block: 0, left: Vec::new() }
    }

    /// The stream behind its first `drawn` doublewords.
    #[must_use]
    pub fn resumed(seed: u64, chassis: &str, drawn: u64) -> Self {
        let mut stream = Self { block: drawn / 4, ..Self::new(seed, chassis) };
        for _ in 0..drawn % 4 {
            stream.draw();
        }
        stream
    }

    /// How many doublewords were drawn.
    #[must_use]
    pub fn drawn(&self) -> u64 {
        4 * self.block - self.left.len() as u64
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        if let Some(word) = self.left.pop() {
            return word;
        }
        let mut hash = Sha256::new();
        hash.update(b"noise\0");
        hash.update(self.seed.to_be_bytes());
        hash.update(self.block.to_be_bytes());
        hash.update(self.chassis.as_bytes());
        self.block += 1;
        let word = |bytes: &[u8]| bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        self.left = hash.finalize().chunks_exact(8).map(word).collect();
        self.left.pop().unwrap_or_default()
    }
}

#[cfg(test)]
mod test {
    use super::Noise;
    use std::collections::BTreeSet;

    #[test]
    fn a_stream_repeats_with_its_seed_and_no_other() {
        let draw = |seed, chassis| {
            let mut noise = Noise::new(seed, chassis);
            (0..64).map(|_| noise.draw()).collect::<Vec<_>>()
        };
        let first = draw(7, "t5120");
        assert_eq!(first, draw(7, "t5120"));
        for drawn in 0..9 {
            let mut rest = Noise::resumed(7, "t5120", drawn);
            assert_eq!(rest.drawn(), drawn);
            assert_eq!(rest.draw(), first[drawn as usize]);
        }
        let all = [first, draw(8, "t5120"), draw(7, "t5220")].concat();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 3 * 64, "none twice");
        let ones: u32 = all.iter().map(|word| word.count_ones()).sum();
        assert!((5_800..6_500).contains(&ones), "{ones} of 12288 bits are set");
    }
}
