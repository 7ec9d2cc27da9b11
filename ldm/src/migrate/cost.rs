//! What the work of a migration costs a strand of the control domain.
//!
//! Cycles of strand time a byte, when the strands of a core are all busy: a core
//! issues two instructions a cycle for its eight strands, so each gets one in
//! [`calibration::BUSY_CORE_CYCLES`]. The figures are in [`sun4v::calibration`].
//! Instructions a byte were counted, in programs that
//! `gcc -O2 -mcpu=niagara2` built, by `ldomlab run --stats` and `trace`, and of BLAKE3 by
//! QEMU's plugin for that:
//!
//! | work | program | instructions a byte |
//! | --- | --- | --- |
//! | compress | a byte-oriented LZ with one hash table, 64 KB blocks of text | 16.8 |
//! | expand | the same, back | 9.5 |
//! | SHA-256 | FIPS 180 in C, 16 KB | 81.5 |
//! | BLAKE3 | its specification in C, pages of 8 KB | 26.7 |
//! | AES-128 | four tables in C, counter blocks | 60.0 |
//!
//! The compressor is a stand-in for that of 2011, which nobody can count. zstd, which
//! makes the bytes on our wire at level 1, took 118 and 51 instructions a byte at
//! level 3 in a portable build (T2 has no unaligned loads). They are configuration, so that a run can say
//! which it used. None was chosen for what a migration's total comes to.

use super::pages::Hasher;
use serde::{Deserialize, Serialize};
use sun4v::calibration;

/// Cycles a byte, and a few a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Looking whether a page is all zeros: three instructions a doubleword.
    pub scan: u64,
    /// Compressing.
    pub compress: u64,
    /// Expanding, a byte of what comes out.
    pub expand: u64,
    /// SHA-256 in software, for HMAC.
    pub sha256: u64,
    /// BLAKE3, for page hashes.
    pub blake3: u64,
    /// AES-128 in software.
    pub aes: u64,
    /// Moving bytes between buffers and the TCP/IP stack: three instructions a
    /// doubleword, and a line that misses every eight of them.
    pub copy: u64,
    /// Handing one piece of work over, in cycles, whatever its size.
    pub piece: u64,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            scan: calibration::PAGE_SCAN,
            compress: calibration::COMPRESS,
            expand: calibration::EXPAND,
            sha256: calibration::SHA256,
            blake3: calibration::BLAKE3,
            aes: calibration::AES128,
            copy: calibration::BUFFER_COPY,
            piece: calibration::PIECE_OF_WORK,
        }
    }
}

impl Cost {
    /// Hashing pages on a strand.
    #[must_use]
    pub const fn hash(&self, hasher: Hasher) -> u64 {
        match hasher {
            Hasher::Sha256 => self.sha256,
            Hasher::Blake3 => self.blake3,
        }
    }
}
