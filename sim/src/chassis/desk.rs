//! The virtual CPUs of a domain whose software is native: they have interrupt
//! queues and a place in the hypervisor, and execute nothing.

use hv::platform::{Cpus, Memory, Mode, Queue, StartState, Tlbs};
use std::collections::BTreeMap;
use sun4v::addr::Pa;
use sun4v::id::VcpuId;
use sun4v::mmu::{Tsb, Tte};
use sun4v::record::{LoadError, StrandV1};
use sun4v::time::{SimTime, T2_HZ};

/// The vCPUs of a native domain over memory `M`.
///
/// Calls about instructions and translations change nothing: no instruction of
/// such a domain is ever executed. It does not migrate, so it cannot be saved into
/// anything that runs: [`Cpus::load`] refuses.
pub struct Desk<M> {
    memory: M,
    now: SimTime,
    /// Head and tail of each queue of each vCPU, in bytes.
    queues: BTreeMap<(VcpuId, Queue), (u64, u64)>,
    /// Busy time, published by the program's host.
    busy: BTreeMap<VcpuId, SimTime>,
    stick_offset: i64,
}

impl<M: Memory> Desk<M> {
    /// Idle vCPUs.
    pub fn new(memory: M) -> Self {
        Self {
            memory,
            now: SimTime::ZERO,
            queues: BTreeMap::new(),
            busy: BTreeMap::new(),
            stick_offset: 0,
        }
    }

    /// Moves its time.
    pub fn set_now(&mut self, now: SimTime) {
        self.now = now;
    }

    /// Publishes the busy time of vCPUs; of others it is zero.
    pub fn publish(&mut self, busy: impl IntoIterator<Item = (VcpuId, SimTime)>) {
        self.busy = busy.into_iter().collect();
    }
}

impl<M: Memory> Cpus for Desk<M> {
    fn now(&self) -> SimTime {
        self.now
    }
    fn memory(&self) -> &dyn Memory {
        &self.memory
    }
    fn start(&mut self, _: VcpuId, _: StartState) {}
    fn stop(&mut self, _: VcpuId) {}
    fn park(&mut self, _: VcpuId) {}
    fn wake(&mut self, _: VcpuId) {}
    fn reflect(&mut self, _: VcpuId, _: u16) {}
    fn watchdog(&mut self, _: VcpuId, _: u64) {}
    fn mmu_enable(&mut self, _: VcpuId, _: bool, _: u64) {}
    fn mmu_is_on(&self, _: VcpuId) -> bool {
        false
    }
    fn answer(&mut self, _: VcpuId, _: u64, _: &[u64]) {}
    fn levels(&self, _: VcpuId) -> (u8, u8) {
        (0, 0)
    }
    fn tlb_insert(&mut self, _: VcpuId, _: Tlbs, _: u64, _: u16, _: Tte, _: Pa) {}
    fn demap_page(&mut self, _: VcpuId, _: Tlbs, _: u64, _: u16) {}
    fn demap_context(&mut self, _: VcpuId, _: Tlbs, _: u16) {}
    fn demap_all(&mut self, _: VcpuId, _: Tlbs) {}
    fn set_tsbs(&mut self, _: VcpuId, _: bool, _: &[Tsb]) {}
    fn queue(&self, vcpu: VcpuId, queue: Queue) -> (u64, u64) {
        self.queues.get(&(vcpu, queue)).copied().unwrap_or((0, 0))
    }
    fn set_queue(&mut self, vcpu: VcpuId, queue: Queue, head: u64, tail: u64) {
        self.queues.insert((vcpu, queue), (head, tail));
    }
    fn hold(&mut self, _: u8) {}
    fn delay(&mut self, _: VcpuId, _: SimTime) {}
    fn mode(&self, _: VcpuId) -> Mode {
        Mode::Waits
    }
    fn busy(&self, vcpu: VcpuId) -> SimTime {
        self.busy.get(&vcpu).copied().unwrap_or(SimTime::ZERO)
    }
    fn save(&self, _: VcpuId) -> StrandV1 {
        StrandV1 { stopped: true, ..StrandV1::default() }
    }
    fn load(&mut self, _: VcpuId, _: &StrandV1) -> Result<(), LoadError> {
        Err(LoadError::Inconsistent {
            kind: "chip/strand",
            why: "a native domain executes no instructions",
        })
    }
    fn set_stick_offset(&mut self, ticks: i64) {
        self.stick_offset = ticks;
    }
    fn stick(&self) -> u64 {
        self.now.ticks(T2_HZ).wrapping_add_signed(self.stick_offset)
    }
    fn pcr(&self, _: VcpuId) -> u64 {
        0
    }
    fn set_pcr(&mut self, _: VcpuId, _: u64) {}
}
