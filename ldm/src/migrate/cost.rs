//! What the work of a migration costs a strand of the control domain.
//!
//! Cycles of strand time a byte, when the strands of a core are all busy. They
//! are estimates of what a T2 strand takes for the same work in software, to be
//! replaced by measurements of such programs under the `t2` timing; they are
//! configuration, so that a run can say which it used. None was chosen for what a
//! migration's total comes to.

use serde::{Deserialize, Serialize};

/// Cycles a byte, and a few a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Looking whether a page is all zeros: a load a doubleword.
    pub scan: u64,
    /// Compressing: about 20 instructions a byte at an eighth of a core's two
    /// issue slots.
    pub compress: u64,
    /// Expanding, a byte of what comes out.
    pub expand: u64,
    /// SHA-256 in software, for page hashes and for HMAC.
    pub sha256: u64,
    /// AES-128 in software.
    pub aes: u64,
    /// Moving bytes between buffers and the TCP/IP stack.
    pub copy: u64,
    /// Handing one piece of work over, in cycles, whatever its size.
    pub piece: u64,
}

impl Default for Cost {
    fn default() -> Self {
        Self { scan: 1, compress: 40, expand: 10, sha256: 47, aes: 43, copy: 2, piece: 20_000 }
    }
}
