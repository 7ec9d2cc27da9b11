//! A domain whose software is SPARC instructions: its strands, and how they run
//! for a slice.

use crate::mem::Ram;
use hv::Guest;
use hv::platform::{Cpus, Memory, Queue, StartState, Tlbs};
use std::sync::Arc;
use sun4v::addr::{Pa, RealMap};
use sun4v::id::{StrandId, VcpuId};
use sun4v::mmu::{Tsb, Tte};
use sun4v::record::{LoadError, StrandV1};
use sun4v::time::SimTime;

/// The strands of one guest.
pub struct Domain {
    ram: Arc<Ram>,
    now: SimTime,
}

impl Domain {
    /// A domain without strands.
    #[must_use]
    pub fn new(ram: Arc<Ram>) -> Self {
        Self { ram, now: SimTime::ZERO }
    }

    /// Gives it strands and memory. Strands that stay keep their state.
    pub fn assign(&mut self, _strands: &[(VcpuId, StrandId)], _memory: &RealMap) {
        todo!()
    }

    /// Moves its clock to a boundary.
    pub fn set_now(&mut self, now: SimTime) {
        self.now = now;
    }

    /// When a virtual CPU can execute next: its clock when one runs, the earliest
    /// timer of the parked ones otherwise, [`SimTime::NEVER`] if only the boundary
    /// can wake one.
    #[must_use]
    pub fn next_time(&self) -> SimTime {
        todo!()
    }

    /// Runs every virtual CPU from its clock up to `until`, serving its traps by
    /// `guest`.
    pub fn run(&mut self, _guest: &mut Guest, _until: SimTime) {
        todo!()
    }

    /// Instructions executed so far.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        todo!()
    }
}

impl Cpus for Domain {
    fn now(&self) -> SimTime {
        self.now
    }
    fn memory(&self) -> &dyn Memory {
        &*self.ram
    }
    fn start(&mut self, _: VcpuId, _: StartState) {
        todo!()
    }
    fn stop(&mut self, _: VcpuId) {
        todo!()
    }
    fn park(&mut self, _: VcpuId) {
        todo!()
    }
    fn wake(&mut self, _: VcpuId) {
        todo!()
    }
    fn reflect(&mut self, _: VcpuId, _: u16) {
        todo!()
    }
    fn watchdog(&mut self, _: VcpuId, _: u64) {
        todo!()
    }
    fn mmu_enable(&mut self, _: VcpuId, _: bool, _: u64) {
        todo!()
    }
    fn mmu_is_on(&self, _: VcpuId) -> bool {
        todo!()
    }
    fn answer(&mut self, _: VcpuId, _: u64, _: &[u64]) {
        todo!()
    }
    fn levels(&self, _: VcpuId) -> (u8, u8) {
        todo!()
    }
    fn tlb_insert(&mut self, _: VcpuId, _: Tlbs, _: u64, _: u16, _: Tte, _: Pa) {
        todo!()
    }
    fn demap_page(&mut self, _: VcpuId, _: Tlbs, _: u64, _: u16) {
        todo!()
    }
    fn demap_context(&mut self, _: VcpuId, _: Tlbs, _: u16) {
        todo!()
    }
    fn demap_all(&mut self, _: VcpuId, _: Tlbs) {
        todo!()
    }
    fn set_tsbs(&mut self, _: VcpuId, _: bool, _: &[Tsb]) {
        todo!()
    }
    fn queue(&self, _: VcpuId, _: Queue) -> (u64, u64) {
        todo!()
    }
    fn set_queue(&mut self, _: VcpuId, _: Queue, _: u64, _: u64) {
        todo!()
    }
    fn busy(&self, _: VcpuId) -> SimTime {
        todo!()
    }
    fn save(&self, _: VcpuId) -> StrandV1 {
        todo!()
    }
    fn load(&mut self, _: VcpuId, _: &StrandV1) -> Result<(), LoadError> {
        todo!()
    }
    fn set_stick_offset(&mut self, _: i64) {
        todo!()
    }
    fn stick(&self) -> u64 {
        todo!()
    }
}
