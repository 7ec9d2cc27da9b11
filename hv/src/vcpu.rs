//! A virtual CPU as the hypervisor knows it; its registers are the platform's.

use crate::figures::Figures;
use crate::platform::Queue;
use crate::ttrace::TrapBuffer;
use sun4v::addr::{Pa, Ra};
use sun4v::id::StrandId;
use sun4v::mmu::Tsb;

/// States of a virtual CPU, numbered as hvctl reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum VcpuState {
    /// Not started, or ended.
    #[default]
    Stopped = 1,
    /// Running, or parked by itself.
    Running = 2,
    /// In error.
    Error = 3,
    // T2 also has 0 invalid, 4 suspended, 5 not configured, 6 stopping, 7 starting: here a
    // whole guest is suspended, and starts and stops are done at once.
}

/// A queue in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueMemory {
    /// Where the guest says it is.
    pub ra: Ra,
    /// Where it is.
    pub pa: Pa,
    /// Entries of 64 bytes, a power of two.
    pub entries: u64,
}

impl QueueMemory {
    /// Bytes of the queue.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.entries * 64
    }
}

/// A virtual CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vcpu {
    /// The strand that it is.
    pub strand: StrandId,
    /// Its state.
    pub state: VcpuState,
    /// Real-mode trap base address.
    pub rtba: u64,
    /// Its fault area: where the guest says, and where it is.
    pub fault_area: Option<(Ra, Pa)>,
    /// Its four queues.
    pub queues: [Option<QueueMemory>; 4],
    /// TSBs for context 0 and for the others.
    pub tsbs: [Vec<Tsb>; 2],
    /// A mondo that found the CPU mondo queue full.
    pub mailbox: Option<[u8; 64]>,
    /// Its trap trace buffer.
    pub trap_trace: Option<TrapBuffer>,
    /// How long it has run, and how busy it was.
    pub figures: Figures,
}

impl Vcpu {
    /// Memory of a queue.
    #[must_use]
    pub const fn queue(&self, queue: Queue) -> Option<QueueMemory> {
        self.queues[queue as usize]
    }

    /// What a stop takes away.
    pub fn reset(&mut self) {
        let Self {
            strand: _,
            state,
            rtba: _,
            fault_area,
            queues,
            tsbs,
            mailbox,
            trap_trace,
            figures: _,
        } = self;
        *state = VcpuState::Stopped;
        *fault_area = None;
        *queues = [None; 4];
        *tsbs = [Vec::new(), Vec::new()];
        *mailbox = None;
        *trap_trace = None;
    }
}
