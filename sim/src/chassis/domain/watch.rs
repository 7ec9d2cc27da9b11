//! A domain under a debugger's eyes: what it sees, and where it wants to stop.

use super::{Domain, Seat, core_of};
use crate::chip::strand::MAXPTL;
use crate::gdb::access::Access;
use crate::gdb::{Debug, Permanent, Reason, View};
use hv::Guest;
use sun4v::id::VcpuId;

/// An instruction that a watchpoint may be for.
pub(super) struct Watched {
    access: Access,
    npc: u64,
}

impl Domain {
    /// Says how a debugger watches it.
    pub fn set_debug(&mut self, debug: Option<Debug>) {
        self.debug = debug;
    }

    /// Its virtual CPUs.
    pub fn vcpus(&self) -> impl Iterator<Item = VcpuId> {
        self.seats.iter().map(|seat| seat.vcpu)
    }

    /// A virtual CPU as a debugger sees it.
    pub fn view(&mut self, vcpu: VcpuId, guest: &Guest) -> Option<View<'_>> {
        let index = self.index(vcpu)?;
        let Seat { id, strand, .. } = &mut self.seats[index];
        let slots = guest.permanent.slots.iter();
        let permanent = slots.filter_map(|slot| {
            Some(Permanent { va: slot.va, bytes: slot.tte.size()?.bytes(), pa: slot.pa })
        });
        Some(View {
            strand,
            core: core_of(&mut self.cores, id.core()),
            ram: &self.ram,
            map: &self.map,
            permanent: permanent.collect(),
        })
    }

    /// Does a debugger want to see every instruction of a virtual CPU?
    #[inline]
    pub(super) fn is_watched(&self, index: usize) -> bool {
        self.debug.as_ref().is_some_and(|debug| {
            !debug.points.is_empty() || debug.step == Some(self.seats[index].vcpu)
        })
    }

    /// Lets an interrupt that is pending happen, as the engine would before the next
    /// instruction, so that this instruction can be seen before it is executed.
    pub(super) fn deliver(&mut self, index: usize) {
        let strand = &mut self.seats[index].strand;
        strand.match_compares();
        if let Some(tt) = strand.interrupt().filter(|_| strand.tl < MAXPTL) {
            self.counts.traps[usize::from(tt & 511)] += 1;
            strand.trap(tt);
        }
    }

    /// The access of the next instruction, when there is a watchpoint.
    pub(super) fn watched(&self, index: usize, guest: &Guest) -> Option<Watched> {
        self.debug.as_ref().filter(|debug| debug.points.watches())?;
        let Seat { strand, .. } = &self.seats[index];
        let permanent = || {
            let slot = guest.permanent.find(strand.pc)?;
            Some(slot.pa.offset(strand.pc - slot.va))
        };
        let pa = self.locate(index, strand.pc).or_else(permanent)?;
        let access = Access::of(strand, self.ram.load(pa))?;
        Some(Watched { access, npc: strand.npc })
    }

    /// The watchpoint that an instruction has met, if it did complete.
    #[inline]
    pub(super) fn met(&self, index: usize, watched: Option<Watched>) -> Option<Reason> {
        let Watched { access, npc } = watched?;
        let complete = self.seats[index].strand.pc == npc;
        self.debug.as_ref().filter(|_| complete)?.points.met(&access)
    }

    /// The end of a step, when there was one: the instruction at `pc` is done, or its
    /// trap is taken.
    #[inline]
    pub(super) fn stepped(&mut self, index: usize, pc: u64) -> Option<Reason> {
        let Seat { vcpu, strand, .. } = &self.seats[index];
        let step = Some(*vcpu);
        let debug = self.debug.as_mut().filter(|debug| debug.step == step && strand.pc != pc)?;
        debug.step = None;
        Some(Reason::Step)
    }
}
