//! How long the unit takes: the published rates, and what is derived beside them.
//!
//! **Units.** Cycles of core clock, at which the unit runs, and bytes. Published are
//! peaks of a whole chip, eight units at 1.4 GHz, in Gbit/s ([`PEAKS`]); at another
//! clock a unit takes as many cycles.
//!
//! **Work.** An engine's peak holds for every byte that it ciphers, and for every
//! block that a hash compresses, padding and the blocks of keys included. Copies,
//! CRC32c and TCP checksums were given no figure: they run as fast as a core's port
//! of the crossbar writes, eight bytes a cycle.
//!
//! **Fetching** ([`fetch_cycles`]) is derived, not published. Before a word's bytes
//! flow the unit has to read twice, the second time what the first has told it: the
//! control word, then at once all that it points at (key, vectors, first bytes of the
//! source). Both are in the level 2 cache, for the hypervisor and the guest have just
//! written them through it: 26 cycles each, and 16 bytes a cycle of the crossbar. The
//! reads of one word do not overlap with the work of the word before: a vector may be
//! what that writes last, which drivers rely on, and nothing says that the unit looks
//! ahead. RC4's state is written back at eight bytes a cycle. Misses to memory are
//! not charged.
//!
//! **Source.** Peaks: Sun's figures for UltraSPARC T2, as they were told again and
//! again. No paper of Sun's in which they stand was at hand, so all nine are
//! *uncertain*; that each core has one unit at core clock is not (Sun,
//! "Introduction to the UltraSPARC cryptographic accelerators"), and two chips
//! together were measured at 9 GB/s, on an unnamed bulk cipher (L. Spracklen, 2009).
//! The level 2 cache's 26 cycles: commonly quoted, *uncertain*. Widths of the
//! crossbar: T5220 white paper.

use sun4v::calibration::{self, L2_CYCLES};

/// A part of the unit that has a rate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// RC4.
    Rc4,
    /// DES.
    Des,
    /// DES thrice.
    TripleDes,
    /// AES with 128 bits of key.
    Aes128,
    /// AES with 192.
    Aes192,
    /// AES with 256.
    Aes256,
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// The way to memory.
    Memory,
}

/// Peaks of a chip, Gbit/s. All uncertain: see the head of this file.
pub const PEAKS: [(Engine, u64); 9] = [
    (Engine::Rc4, calibration::PEAK_RC4),
    (Engine::Des, calibration::PEAK_DES),
    (Engine::TripleDes, calibration::PEAK_3DES),
    (Engine::Aes128, calibration::PEAK_AES128),
    (Engine::Aes192, calibration::PEAK_AES192),
    (Engine::Aes256, calibration::PEAK_AES256),
    (Engine::Md5, calibration::PEAK_MD5),
    (Engine::Sha1, calibration::PEAK_SHA1),
    (Engine::Sha256, calibration::PEAK_SHA256),
];

/// Units of the chip that the peaks are for.
const PEAK_UNITS: u64 = 8;
/// Its clock, in tenths of a gigahertz.
const PEAK_CLOCK: u64 = 14;
/// Bytes that a port of the crossbar reads in a cycle.
const READ_BYTES: u64 = 16;
/// Bytes that it writes in a cycle.
const WRITE_BYTES: u64 = 8;
/// Bytes of a control word.
const WORD_BYTES: u64 = 64;

/// Cycles in which `engine` goes through `bytes`.
#[must_use]
pub fn work_cycles(engine: Engine, bytes: u64) -> u64 {
    match PEAKS.iter().find(|&&(peak, _)| peak == engine) {
        // bytes × 8 bits over (Gbit/s ÷ units ÷ GHz) bits a cycle.
        Some(&(_, gbit)) => (bytes * 8 * PEAK_UNITS * PEAK_CLOCK).div_ceil(gbit * 10),
        None => bytes.div_ceil(WRITE_BYTES),
    }
}

/// Cycles before the bytes of a control word flow, with `parameters` bytes of keys and
/// vectors beside its source.
#[must_use]
pub const fn fetch_cycles(parameters: u64) -> u64 {
    refuse_cycles() + L2_CYCLES + parameters.div_ceil(READ_BYTES)
}

/// Cycles in which a control word is read, and nothing else.
#[must_use]
pub const fn refuse_cycles() -> u64 {
    L2_CYCLES + WORD_BYTES / READ_BYTES
}

/// Cycles in which `bytes` of state go back to memory.
#[must_use]
pub const fn store_cycles(bytes: u64) -> u64 {
    bytes.div_ceil(WRITE_BYTES)
}

#[cfg(test)]
mod test {
    use super::{Engine, PEAKS, fetch_cycles, work_cycles};

    #[test]
    fn eight_units_at_1_4_ghz_reach_the_published_rates() {
        for (engine, gbit) in PEAKS {
            let cycles = work_cycles(engine, 1 << 20);
            let reached = 8.0 * 8.0 * f64::from(1 << 20) * 1.4 / cycles as f64;
            assert!((reached - gbit as f64).abs() < 0.001, "{engine:?}: {reached} of {gbit}");
        }
    }

    #[test]
    fn a_word_with_an_aes_key_and_a_vector_is_fetched_in_59_cycles() {
        // 26 + 64/16 for the word, 26 + (32 + 16)/16 for what it points at.
        assert_eq!(fetch_cycles(48), 59);
        assert_eq!(work_cycles(Engine::Memory, 65), 9);
    }
}
