//! What drives a fuzz target: seeds, a time, and a line that repeats what failed.
//!
//! A target is a function of a [`Dice`]; a *case* is one seed. First the corpus is
//! run, seeds that once found something; then seeds from `LDOMLAB_FUZZ_SEED` (0) on,
//! one after the other, for `LDOMLAB_FUZZ_SECONDS` (2). So the same build does the
//! same cases, and the time only says how many. `LDOMLAB_FUZZ_CASE=NAME:SEED` runs one
//! case of one target. A case that panics prints that line.

#[path = "dice.rs"]
mod dice;

pub use dice::Dice;
use std::time::{Duration, Instant};

impl Dice {
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
