//! What drives a fuzz target: seeds, a time, and a line that repeats what failed.
//!
//! A target is a function of a [`Dice`]; a *case* is one seed. First the corpus is
//! run, seeds that once found something; then seeds from `LDOMLAB_FUZZ_SEED` (0) on,
//! one after the other, for `LDOMLAB_FUZZ_SECONDS` (2). So the same build does the
//! same cases, and the time only says how many. `LDOMLAB_FUZZ_CASE=NAME:SEED` runs one
//! case of one target. A case that panics prints that line.

use std::time::{Duration, Instant};

/// Random numbers, the same ones on every run (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// By its seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }
    /// One time in `n`.
    pub fn hit(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    /// One of several.
    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }
    /// So many random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.bits() as u8).collect()
    }
    /// Changes bytes: single ones, words with values that are edges, stretches that are
    /// cut out, repeated or moved.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(4) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len() as u64) as usize;
            match self.below(8) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.bits() as u8,
                2..=4 => {
                    let edges =
                        [0, 1, 8, 64, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX, 1 << 63];
                    let value = if self.hit(3) { self.bits() } else { self.one(&edges) };
                    let width = self.one(&[2usize, 4, 8]);
                    let at = at / width * width;
                    if let Some(place) = bytes.get_mut(at..at + width) {
                        place.copy_from_slice(&value.to_be_bytes()[8 - width..]);
                    }
                }
                5 => {
                    let end = at + self.below((bytes.len() - at) as u64 + 1) as usize;
                    bytes.drain(at..end.min(at + 64));
                }
                6 => {
                    let end = (at + 1 + self.below(64) as usize).min(bytes.len());
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => {
                    let to = self.below(bytes.len() as u64) as usize;
                    let len = (bytes.len() - at.max(to)).min(16);
                    bytes.copy_within(at..at + len, to);
                }
            }
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Prints how to repeat a case, should it panic.
struct Label<'a>(&'a str, u64);

impl Drop for Label<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat with LDOMLAB_FUZZ_CASE={}:{}", self.0, self.1);
        }
    }
}

/// Runs a target: the corpus, and then what there is time for.
#[expect(clippy::disallowed_methods, reason = "how long a test takes is the host's time")]
pub fn fuzz(name: &str, corpus: &[u64], mut case: impl FnMut(&mut Dice)) {
    let mut run = |seed| {
        let _label = Label(name, seed);
        case(&mut Dice::new(seed));
    };
    if let Ok(only) = std::env::var("LDOMLAB_FUZZ_CASE") {
        if let Some(seed) = only.strip_prefix(&format!("{name}:")) {
            run(seed.parse().expect("a seed"));
        }
        return;
    }
    corpus.iter().for_each(|&seed| run(seed));
    let time = Duration::from_secs(number("LDOMLAB_FUZZ_SECONDS", 2));
    let (begun, first) = (Instant::now(), number("LDOMLAB_FUZZ_SEED", 0));
    let mut cases = 0;
    while begun.elapsed() < time {
        run(first + cases);
        cases += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!(
        "fuzz {name}: {cases} cases in {seconds:.0} s, {:.0} a second",
        cases as f64 / seconds
    );
}
