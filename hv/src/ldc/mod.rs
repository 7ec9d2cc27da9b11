//! LDC endpoints: two queues of 64-byte packets, a map table, and what is known of
//! the other end.
//!
//! A guest fills entries of its transmit queue in its own memory and moves the
//! tail. At the next slice boundary the hypervisor copies them to the peer's
//! receive queue, as far as there is room, and raises the peer's receive interrupt
//! when that queue was empty.
//!
//! **Shapes.** A queue is `entries` packets of 64 bytes, `entries` a power of two,
//! at a real address aligned to the queue's size. Head and tail are byte offsets,
//! multiples of 64. Full is `tail + 64 == head`, modulo the size.
//!
//! **Link state.** What a guest sees of a channel is the *peer's receive queue*:
//! DOWN when it has none, RESET once after it was configured again, else UP. Calls
//! read what the last boundary published.
//!
//! **Source.** sun4v hypervisor API, logical domain channels; the OpenSPARC
//! hypervisor's `ldc.s` for what it leaves open.

mod copy;
mod queue;
mod transfer;

pub use copy::{Copy, copy};
pub use queue::PacketQueue;

use crate::intr::Interrupt;
use sun4v::addr::{Pa, Ra};
use sun4v::hvmd::{LdcConf, LdcTarget};

/// Packets that move in one step.
pub const PACKETS_A_STEP: usize = 128;

/// A map table in guest memory: 16 bytes an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapTable {
    /// Where the guest says it is.
    pub ra: Ra,
    /// Where it is.
    pub pa: Pa,
    /// Entries, a power of two.
    pub entries: u64,
}

/// What was published of the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerView {
    /// Its receive queue is configured.
    pub receives: bool,
    /// It was configured again since somebody here looked.
    pub reset: bool,
}

/// An LDC endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its configuration.
    pub conf: LdcConf,
    /// Packets to the peer.
    pub tx: PacketQueue,
    /// Packets from the peer.
    pub rx: PacketQueue,
    /// Memory that the peer may copy from and to.
    pub table: Option<MapTable>,
    /// The transmit interrupt: accepts set-up, never fires.
    pub tx_intr: Interrupt,
    /// The receive interrupt.
    pub rx_intr: Interrupt,
    /// What is known of the peer.
    pub peer: PeerView,
    /// The receive queue was configured again: to be published.
    pub rx_reset: bool,
    /// The peer is to be told that the receive queue changed.
    pub rx_changed: bool,
}

impl Endpoint {
    /// A fresh endpoint.
    #[must_use]
    pub fn new(conf: LdcConf) -> Self {
        // The hypervisor's own end is always up.
        let peer = PeerView { receives: conf.target == LdcTarget::Hypervisor, reset: false };
        Self {
            conf,
            tx: PacketQueue::default(),
            rx: PacketQueue::default(),
            table: None,
            tx_intr: Interrupt::default(),
            rx_intr: Interrupt::default(),
            peer,
            rx_reset: false,
            rx_changed: false,
        }
    }

    /// Link state as a call reports it: 0 DOWN, 1 UP, 2 RESET. Reading it uses up a
    /// RESET, also while DOWN.
    pub fn link_state(&mut self) -> u64 {
        let reset = std::mem::take(&mut self.peer.reset);
        match (self.peer.receives, reset) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        }
    }

    /// What an exit of its guest leaves of it: the peer will see it DOWN, and RESET once if it
    /// does not look before the guest is back. T2 keeps the map table and the interrupts'
    /// set-up, of memory and by a program that are no more; here both are gone.
    pub fn close(&mut self) {
        let receiving = self.rx.is_configured();
        let conf = self.conf;
        let peer = self.peer;
        *self = Self::new(conf);
        self.peer = peer;
        self.rx_changed = receiving;
        self.rx_reset = receiving;
    }
}
