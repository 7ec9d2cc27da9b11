//! Queues of the crypto units on a guest's cores.
//!
//! **Shapes.** A queue is entries of 64 bytes in the guest's memory, between head and tail
//! those that the unit has; head and tail alike is an idle unit. The two kinds of unit have
//! the same queue ([`CryptoQueue`]) and differ in what an entry is: a control word (`cwq.rs`)
//! or a descriptor of modular arithmetic (`mau.rs`). A unit gets what a tail brings at
//! once, resolved and checked, so what a guest writes to an entry later means nothing; of
//! descriptors no more than a thousand at a time.
//!
//! **Source.** OpenSPARC hypervisor, `hcall_ncs.s` and `cwq.s`.

mod cwq;
mod mau;

pub use mau::MauWork;
pub(crate) use mau::{descriptor, mark};

use crate::guest::Guest;
use crate::platform::Machine;
use sun4v::addr::{Pa, Ra};
use sun4v::hvmd::CryptoKind;
use sun4v::id::{CORES, CoreId, VcpuId};
use sun4v::ncs::{CWQ_ENTRIES_MAX, ENTRY_BYTES, QTYPE_CWQ, QTYPE_MAU};

/// Signature in a handle: a queue of descriptors.
pub const MAU_SIGNATURE: u64 = 0x864;
/// Signature in a handle: a control word queue.
pub const CWQ_SIGNATURE: u64 = 0xa72;
/// Bytes of an entry of either.
pub const WORD_BYTES: u64 = ENTRY_BYTES;

/// A unit of a guest, and the queue that it has given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CryptoQueue {
    /// Which unit of the core.
    pub kind: CryptoKind,
    /// The unit's core.
    pub core: CoreId,
    /// Its interrupt number.
    pub ino: u16,
    /// Where the guest says the queue is; entries zero when not configured.
    pub ra: Ra,
    /// Where it is.
    pub pa: Pa,
    /// Entries of 64 bytes: a power of two, but for one of version 1.0.
    pub entries: u64,
    /// Next entry that the unit finishes, in bytes.
    pub head: u64,
    /// Next entry that the guest fills, in bytes.
    pub tail: u64,
    /// Next entry that the unit gets, in bytes: the tail, but for very long queues of
    /// descriptors.
    pub given: u64,
    /// Consumed by the guest up to here, in bytes.
    pub marker: u64,
    /// Who configured it and gets its interrupts.
    pub vcpu: VcpuId,
    /// The unit has to forget the numbers of whoever had it before.
    pub fresh: bool,
    /// What is between head and tail is one request of version 1.0 that is waited for.
    pub sync: bool,
    /// Who waits for that; `None` once it was stopped.
    pub waiter: Option<VcpuId>,
}

impl CryptoQueue {
    /// A unit without a queue.
    #[must_use]
    pub const fn new(kind: CryptoKind, core: CoreId, ino: u16) -> Self {
        Self {
            kind,
            core,
            ino,
            ra: Ra(0),
            pa: Pa(0),
            entries: 0,
            head: 0,
            tail: 0,
            given: 0,
            marker: 0,
            vcpu: VcpuId(0),
            fresh: true,
            sync: false,
            waiter: None,
        }
    }

    /// The handle of the unit of `core`.
    #[must_use]
    pub const fn handle(kind: CryptoKind, core: CoreId) -> u64 {
        let signature = match kind {
            CryptoKind::Mau => MAU_SIGNATURE,
            CryptoKind::Cwq => CWQ_SIGNATURE,
        };
        (core.0 as u64) << 16 | signature
    }

    /// What a handle is of, whoever may have it; `None` if it is of nothing.
    #[must_use]
    pub fn of_handle(handle: u64) -> Option<CryptoKind> {
        let kind = match handle & 0xffff {
            MAU_SIGNATURE => CryptoKind::Mau,
            CWQ_SIGNATURE => CryptoKind::Cwq,
            _ => return None,
        };
        (handle >> 16 < CORES as u64).then_some(kind)
    }

    /// Bytes of the queue.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.entries * WORD_BYTES
    }

    /// The entry behind the one at `at`.
    #[must_use]
    pub const fn after(&self, at: u64) -> u64 {
        if at + WORD_BYTES < self.bytes() { at + WORD_BYTES } else { 0 }
    }

    /// Is `at` the offset of an entry?
    #[must_use]
    pub const fn holds(&self, at: u64) -> bool {
        at.is_multiple_of(WORD_BYTES) && at < self.bytes()
    }

    /// Has the unit work?
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.head != self.tail
    }

    /// Offsets of the entries that the unit has not got, up to `tail`.
    pub(crate) fn new_up_to(self, tail: u64) -> impl Iterator<Item = u64> {
        let offsets = std::iter::successors(Some(self.given), move |&at| Some(self.after(at)));
        offsets.take_while(move |&at| at != tail)
    }
}

/// The type of queue that `ncs_qconf` and `ncs_qinfo` call a kind of unit.
#[must_use]
pub const fn queue_type(kind: CryptoKind) -> u64 {
    match kind {
        CryptoKind::Mau => QTYPE_MAU,
        CryptoKind::Cwq => QTYPE_CWQ,
    }
}

/// Most entries of a queue.
#[must_use]
pub const fn entries_max(kind: CryptoKind) -> u64 {
    match kind {
        // Its size in bytes is no more than there are real addresses.
        CryptoKind::Mau => 1 << 34,
        CryptoKind::Cwq => CWQ_ENTRIES_MAX,
    }
}

impl Guest {
    /// Gives the units what calls have noted for them.
    pub(crate) fn feed_units(&mut self, machine: &mut dyn Machine) {
        for (core, words) in self.crypto_words.drain(..) {
            machine.cwq_submit(core, &words);
        }
        for work in self.mau_work.drain(..) {
            if work.fresh {
                machine.crypto_stop(CryptoKind::Mau, work.core);
            }
            machine.mau_submit(work.core, &work.operations);
        }
    }

    /// Stops the units and takes their queues.
    pub(crate) fn stop_units(&mut self, machine: &mut dyn Machine) {
        self.crypto_words.clear();
        self.mau_work.clear();
        for unit in self.crypto.values_mut() {
            machine.crypto_stop(unit.kind, unit.core);
            *unit = CryptoQueue::new(unit.kind, unit.core, unit.ino);
        }
    }

    /// `vcpu` waits for nothing any more: it was stopped.
    pub(crate) fn forget_waiter(&mut self, vcpu: VcpuId) {
        for unit in self.crypto.values_mut().filter(|unit| unit.waiter == Some(vcpu)) {
            unit.waiter = None;
        }
    }
}
