//! Trap trace: records of a virtual CPU's traps into the hypervisor, in the guest's memory.
//!
//! **Shape.** A buffer a virtual CPU ([`sun4v::ttrace`]); one switch a virtual CPU turns the
//! records of traps on, one a guest freezes all of its buffers. What a guest adds by itself
//! (`ttrace_addentry`) needs the buffer only.
//!
//! **What is recorded.** Calls by `ta 0x80`, `0x83`, `0x84` and `0xff`, with their first four
//! arguments, before they are served; and every other trap that comes in, with its type. Of a
//! fault at data the OpenSPARC hypervisor notes the fault status register too, which is not
//! modelled: F1 is zero.
//!
//! **Cost.** [`Trace`](crate::trace::Trace) knows in one byte whether anything is traced.
//!
//! **Source.** sun4v hypervisor API, trap trace; the OpenSPARC hypervisor's `traptrace.h`,
//! `traptable.s` and `hcall_core.s`.

use crate::guest::Guest;
use crate::platform::{Cpus, Memory};
use crate::trap::Trap;
use sun4v::addr::{Pa, Ra};
use sun4v::id::VcpuId;
use sun4v::isa::tt;
use sun4v::record::StrandV1;
use sun4v::ttrace::{
    HPSTATE_ENB, LAST_OFFSET, NEXT_OFFSET, SLOT_BYTES, TYPE_GUEST, TYPE_HV, TraceRecord,
};

/// A virtual CPU's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrapBuffer {
    /// Where the guest says it is.
    pub ra: Ra,
    /// Where it is.
    pub pa: Pa,
    /// Slots of 64 bytes, the header among them.
    pub entries: u64,
    /// Offset of the next record, in bytes.
    pub next: u64,
    /// Traps are recorded.
    pub on: bool,
}

impl TrapBuffer {
    /// An empty buffer, whose header is written.
    #[must_use]
    pub fn new(ra: Ra, pa: Pa, entries: u64, memory: &dyn Memory) -> Self {
        memory.write_u64(pa.offset(LAST_OFFSET), SLOT_BYTES);
        memory.write_u64(pa.offset(NEXT_OFFSET), SLOT_BYTES);
        Self { ra, pa, entries, next: SLOT_BYTES, on: false }
    }

    fn push(&mut self, record: &TraceRecord, memory: &dyn Memory) {
        memory.write(self.pa.offset(self.next), &record.to_bytes());
        memory.write_u64(self.pa.offset(LAST_OFFSET), self.next);
        self.next += SLOT_BYTES;
        if self.next >= self.entries * SLOT_BYTES {
            self.next = SLOT_BYTES;
        }
        memory.write_u64(self.pa.offset(NEXT_OFFSET), self.next);
    }
}

/// TSTATE as a trap of this strand has it.
fn tstate(strand: &StrandV1) -> u64 {
    u64::from(strand.gl) << 40
        | u64::from(strand.ccr) << 32
        | u64::from(strand.asi) << 24
        | u64::from(strand.pstate) << 8
        | u64::from(strand.window_state[0])
}

/// What the hypervisor's own trap level says of a trap.
fn here(strand: &StrandV1, tt: u16, cpus: &dyn Cpus) -> TraceRecord {
    TraceRecord {
        kind: TYPE_HV,
        hpstate: HPSTATE_ENB,
        tl: strand.tl + 1,
        gl: strand.gl + 1,
        tt,
        tstate: tstate(strand),
        tick: cpus.stick(),
        tpc: strand.pc,
        ..TraceRecord::default()
    }
}

impl Guest {
    /// Notes anew whether any virtual CPU's traps are recorded.
    pub(crate) fn note_trap_traces(&mut self) {
        let mut buffers = self.vcpus.values().filter_map(|vcpu| vcpu.trap_trace);
        self.trace.set_traps(buffers.any(|buffer| buffer.on));
    }

    /// The buffer into which traps of `vcpu` go now.
    fn trap_buffer(&mut self, vcpu: VcpuId) -> Option<&mut TrapBuffer> {
        let buffer = self.vcpus.get_mut(&vcpu)?.trap_trace.as_mut()?;
        (buffer.on && !self.trace_frozen).then_some(buffer)
    }

    /// Records a call that comes in.
    pub(crate) fn trace_call(
        &mut self,
        vcpu: VcpuId,
        number: u8,
        args: &[u64; 6],
        cpus: &dyn Cpus,
    ) {
        let [f1, f2, f3, f4, _, function] = *args;
        let (tag, values) = match number {
            0x80 | 0xff => (function as u16, [f1, f2, f3, f4]),
            0x83 => (0, [f1, f2, f3, f4]),
            0x84 => (0, [f1, f2, f3, 0]),
            _ => return,
        };
        if let Some(buffer) = self.trap_buffer(vcpu) {
            let trap = here(&cpus.save(vcpu), 0x100 + u16::from(number), cpus);
            buffer.push(&TraceRecord { tag, values, ..trap }, cpus.memory());
        }
    }

    /// Records another trap that comes in.
    pub(crate) fn trace_trap(&mut self, vcpu: VcpuId, trap: &Trap, cpus: &dyn Cpus) {
        let tt = match *trap {
            Trap::Hypercall { .. } | Trap::Watchdog => return,
            Trap::Miss { instruction, context, .. } => self.miss_type(vcpu, instruction, context),
            Trap::Protection { .. } => tt::FAST_DATA_ACCESS_PROTECTION,
            Trap::Fault { tt, .. } | Trap::Plain { tt } => tt,
        };
        if let Some(buffer) = self.trap_buffer(vcpu) {
            buffer.push(&here(&cpus.save(vcpu), tt, cpus), cpus.memory());
        }
    }

    /// Adds a record that the guest asks for; false when there is no buffer. While all are
    /// frozen, nothing is written.
    pub(crate) fn trace_entry(
        &mut self,
        vcpu: VcpuId,
        tag: u16,
        values: [u64; 4],
        cpus: &dyn Cpus,
    ) -> bool {
        if self.trace_frozen {
            return true;
        }
        let buffer = self.vcpus.get_mut(&vcpu).and_then(|vcpu| vcpu.trap_trace.as_mut());
        let Some(buffer) = buffer else { return false };
        let strand = cpus.save(vcpu);
        let now = here(&strand, 0x185, cpus);
        // What the caller's own trap level says, where it is in a trap.
        let level = strand.tl.checked_sub(1).and_then(|at| strand.trap_stack.get(usize::from(at)));
        let (tpc, tstate, tt) = match level {
            Some(&[tpc, _, tstate, tt]) => (tpc, tstate, tt as u16),
            None => (now.tpc, now.tstate, now.tt),
        };
        let record =
            TraceRecord { kind: TYPE_GUEST, tl: strand.tl, tag, values, tpc, tstate, tt, ..now };
        buffer.push(&record, cpus.memory());
        true
    }
}
