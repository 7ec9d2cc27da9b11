//! Queues of control words on the crypto units of a guest's cores.

use sun4v::addr::{Pa, Ra};
use sun4v::id::{CoreId, VcpuId};

/// Signature in a handle: a control word queue.
pub const CWQ_SIGNATURE: u64 = 0xa72;
/// Bytes of a control word.
pub const WORD_BYTES: u64 = 64;

/// A queue that a guest has configured on a unit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CryptoQueue {
    /// The unit's core.
    pub core: CoreId,
    /// Its interrupt number.
    pub ino: u16,
    /// Where the guest says the queue is; entries zero when not configured.
    pub ra: Ra,
    /// Where it is.
    pub pa: Pa,
    /// Entries of 64 bytes, a power of two, 2 to 64.
    pub entries: u64,
    /// Next word that the unit finishes, in bytes.
    pub head: u64,
    /// Next word that the guest fills, in bytes.
    pub tail: u64,
    /// Consumed by the guest up to here, in bytes.
    pub marker: u64,
    /// Who configured it and gets its interrupts.
    pub vcpu: VcpuId,
}

impl CryptoQueue {
    /// A unit without a queue.
    #[must_use]
    pub const fn new(core: CoreId, ino: u16) -> Self {
        Self {
            core,
            ino,
            ra: Ra(0),
            pa: Pa(0),
            entries: 0,
            head: 0,
            tail: 0,
            marker: 0,
            vcpu: VcpuId(0),
        }
    }

    /// The handle of the unit of `core`.
    #[must_use]
    pub const fn handle(core: CoreId) -> u64 {
        (core.0 as u64) << 16 | CWQ_SIGNATURE
    }

    /// Bytes of the queue.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.entries * WORD_BYTES
    }
}
