//! What the hypervisor asks of a domain's strands.

use super::{Domain, Seat};
use crate::chip::stick::time_of;
use crate::chip::strand::{QUEUE_BITS, RunState, Strand, pstate};
use crate::chip::tlb::{Core, Entry};
use hv::Answer;
use hv::platform::{Cpus, Memory, Mode, Queue, StartState, Tlbs};
use sun4v::addr::Pa;
use sun4v::id::VcpuId;
use sun4v::mmu::{Tsb, Tte};
use sun4v::record::{LoadError, StrandV1};
use sun4v::time::{SimTime, T2_HZ};

impl Domain {
    #[inline]
    pub(super) fn index(&self, vcpu: VcpuId) -> Option<usize> {
        self.seats.binary_search_by_key(&vcpu, |seat| seat.vcpu).ok()
    }

    /// The strand of `vcpu`.
    ///
    /// The hypervisor asks only for virtual CPUs that it has assigned; for another
    /// one there is nothing to do.
    #[inline]
    pub(super) fn strand(&mut self, vcpu: VcpuId) -> Option<&mut Strand> {
        let index = self.index(vcpu)?;
        Some(&mut self.seats[index].strand)
    }

    #[inline]
    pub(super) fn core(&mut self, vcpu: VcpuId) -> Option<&mut Core> {
        let index = self.index(vcpu)?;
        self.cores.get_mut(&self.seats[index].id.core())
    }

    /// The tick at which whoever calls is.
    #[inline]
    pub(super) fn tick(&self) -> u64 {
        let now = self.now.ticks(T2_HZ);
        self.current.map_or(now, |index| self.seats[index].strand.tick.max(now))
    }
}

/// Writes an answer and goes on after the trap instruction.
#[inline]
pub(super) fn complete(strand: &mut Strand, answer: &Answer) {
    strand.regs.set(8, answer.status);
    let count = answer.count.min(5);
    for (n, &value) in (9..).zip(&answer.rets[..count]) {
        strand.regs.set(n, value);
    }
    strand.pc = strand.npc;
    strand.npc = strand.npc.wrapping_add(4) & strand.am;
}

impl Cpus for Domain {
    fn now(&self) -> SimTime {
        match self.current {
            Some(index) => self.now.max(time_of(self.seats[index].strand.tick)),
            None => self.now,
        }
    }
    fn memory(&self) -> &dyn Memory {
        &*self.ram
    }
    fn start(&mut self, vcpu: VcpuId, state: StartState) {
        let tick = self.tick();
        if let Some(strand) = self.strand(vcpu) {
            strand.tick = strand.tick.max(tick);
            strand.begin(state.pc, state.argument, state.memory_base, state.memory_bytes);
        }
    }
    fn stop(&mut self, vcpu: VcpuId) {
        if let Some(strand) = self.strand(vcpu) {
            let Strand { tick, busy, hyper, .. } = *strand;
            *strand = Strand { tick, busy, hyper, ..Strand::default() };
        }
        if let Some(core) = self.core(vcpu) {
            core.demap_all(true, true);
        }
    }
    fn park(&mut self, vcpu: VcpuId) {
        if let Some(strand) = self.strand(vcpu)
            && strand.state == RunState::Running
        {
            strand.state = RunState::Parked;
        }
    }
    fn wake(&mut self, vcpu: VcpuId) {
        let tick = self.tick();
        if let Some(strand) = self.strand(vcpu) {
            if strand.state == RunState::Parked {
                strand.tick = strand.tick.max(tick);
                strand.state = RunState::Running;
            }
            strand.attention = true;
        }
    }
    fn reflect(&mut self, vcpu: VcpuId, tt: u16) {
        self.counts.traps[usize::from(tt & 511)] += 1;
        if let Some(strand) = self.strand(vcpu) {
            strand.reflect(tt);
        }
    }
    fn watchdog(&mut self, vcpu: VcpuId, pc: u64) {
        if let Some(strand) = self.strand(vcpu) {
            strand.watchdog(pc);
        }
    }
    fn mmu_enable(&mut self, vcpu: VcpuId, on: bool, pc: u64) {
        if let Some(strand) = self.strand(vcpu) {
            strand.mmu_on = on;
            (strand.pc, strand.npc) = (pc, pc.wrapping_add(4));
        }
    }
    fn mmu_is_on(&self, vcpu: VcpuId) -> bool {
        self.index(vcpu).is_some_and(|index| self.seats[index].strand.mmu_on)
    }
    fn answer(&mut self, vcpu: VcpuId, status: u64, rets: &[u64]) {
        let tick = self.tick();
        if let Some(strand) = self.strand(vcpu)
            && strand.state == RunState::Blocked
        {
            strand.tick = strand.tick.max(tick);
            strand.state = RunState::Running;
            complete(strand, &Answer { status, ..Answer::ok(rets) });
        }
    }
    fn levels(&self, vcpu: VcpuId) -> (u8, u8) {
        self.index(vcpu).map_or((0, 0), |index| {
            let strand = &self.seats[index].strand;
            (strand.tl, strand.regs.gl())
        })
    }
    fn tlb_insert(&mut self, vcpu: VcpuId, tlbs: Tlbs, va: u64, context: u16, tte: Tte, pa: Pa) {
        let Some(entry) = Entry::new(va, context, tte, pa) else { return };
        if let Some(core) = self.core(vcpu) {
            let data = tlbs.data && core.dtlb.insert(entry);
            let instruction = tlbs.instruction && core.itlb.insert(entry);
            if data || instruction {
                core.forget();
            }
        }
    }
    fn demap_page(&mut self, vcpu: VcpuId, tlbs: Tlbs, va: u64, context: u16) {
        if let Some(core) = self.core(vcpu) {
            core.demap_page(tlbs.data, tlbs.instruction, va, context);
        }
    }
    fn demap_context(&mut self, vcpu: VcpuId, tlbs: Tlbs, context: u16) {
        if let Some(core) = self.core(vcpu) {
            core.demap_context(tlbs.data, tlbs.instruction, context);
        }
    }
    fn demap_all(&mut self, vcpu: VcpuId, tlbs: Tlbs) {
        if let Some(core) = self.core(vcpu) {
            core.demap_all(tlbs.data, tlbs.instruction);
        }
    }
    fn set_tsbs(&mut self, vcpu: VcpuId, nonzero_contexts: bool, tsbs: &[Tsb]) {
        if let Some(strand) = self.strand(vcpu) {
            strand.tsbs[usize::from(nonzero_contexts)] = tsbs.to_vec();
        }
    }
    fn queue(&self, vcpu: VcpuId, queue: Queue) -> (u64, u64) {
        self.index(vcpu).map_or((0, 0), |index| {
            let [head, tail] = self.seats[index].strand.queues[queue as usize];
            (u64::from(head), u64::from(tail))
        })
    }
    fn set_queue(&mut self, vcpu: VcpuId, queue: Queue, head: u64, tail: u64) {
        if let Some(strand) = self.strand(vcpu) {
            let register = |offset: u64| offset as u32 & QUEUE_BITS;
            strand.queues[queue as usize] = [register(head), register(tail)];
            strand.attention = true;
        }
    }
    fn hold(&mut self, percent: u8) {
        self.held = percent;
    }
    fn delay(&mut self, vcpu: VcpuId, until: SimTime) {
        if let Some(strand) = self.strand(vcpu) {
            strand.tick = strand.tick.max(until.ticks(T2_HZ));
            strand.match_compares();
        }
    }
    fn mode(&self, vcpu: VcpuId) -> Mode {
        let Some(index) = self.index(vcpu) else { return Mode::Waits };
        let strand = &self.seats[index].strand;
        if matches!(strand.state, RunState::Parked | RunState::Stopped) {
            return Mode::Waits;
        }
        let has = |bit| strand.pstate & bit != 0;
        match (has(pstate::PRIV), has(pstate::IE) && strand.pil == 0) {
            (false, _) => Mode::User,
            (true, true) => Mode::Supervisor,
            (true, false) => Mode::Masked,
        }
    }
    fn busy(&self, vcpu: VcpuId) -> SimTime {
        self.index(vcpu)
            .map_or(SimTime::ZERO, |index| SimTime::of_ticks(self.seats[index].strand.busy, T2_HZ))
    }
    fn save(&self, vcpu: VcpuId) -> StrandV1 {
        let Some(index) = self.index(vcpu) else {
            return StrandV1 { stopped: true, ..StrandV1::default() };
        };
        // A compare that was reached while it waited for a call has matched, although it has
        // not looked yet; whoever loads the record takes what is past for seen.
        let mut strand = self.seats[index].strand.clone();
        strand.tick = strand.tick.max(self.tick());
        strand.match_compares();
        strand.save()
    }
    fn load(&mut self, vcpu: VcpuId, state: &StrandV1) -> Result<(), LoadError> {
        let (tick, offset) = (self.tick(), self.clock.offset);
        if let Some(strand) = self.strand(vcpu) {
            strand.tick = strand.tick.max(tick);
            strand.load(state, offset)?;
        }
        Ok(())
    }
    fn set_stick_offset(&mut self, ticks: i64) {
        self.clock.offset = ticks;
        let now = self.tick();
        for Seat { strand, .. } in &mut self.seats {
            strand.tick_cmpr.aim(strand.tick.max(now), ticks);
            strand.stick_cmpr.aim(strand.tick.max(now), ticks);
        }
    }
    fn stick(&self) -> u64 {
        self.clock.last.max(self.tick()).wrapping_add_signed(self.clock.offset)
    }
    fn pcr(&self, vcpu: VcpuId) -> u64 {
        self.index(vcpu).map_or(0, |index| self.seats[index].strand.pcr)
    }
    fn set_pcr(&mut self, vcpu: VcpuId, value: u64) {
        if let Some(strand) = self.strand(vcpu) {
            strand.set_pcr(value);
        }
    }
}
