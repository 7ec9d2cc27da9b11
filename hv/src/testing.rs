//! A machine without a simulator: memory in a vector, strands that are nothing but
//! their registers. With it a test makes a hypercall in three lines.
//!
//! What the hypervisor asked of a strand is to be read off [`TestStrand`]; what it
//! told the machine, off [`Board`]'s fields.

use crate::platform::{ControlWord, Cpus, Machine, Memory, Queue, StartState, Tlbs};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use sun4v::addr::{PAGE_SHIFT, Pa, RealMap};
use sun4v::id::{CoreId, GuestId, StrandId, VcpuId};
use sun4v::mmu::{Tsb, Tte};
use sun4v::record::{LoadError, StrandV1, TsbV1};
use sun4v::time::{SimTime, T2_HZ};

/// Physical memory from address zero on, with a dirty log.
#[derive(Clone, Default)]
pub struct TestRam {
    inner: Rc<RefCell<RamState>>,
}

#[derive(Default)]
struct RamState {
    bytes: Vec<u8>,
    /// Pages whose stores are logged, by page number: dirty or clean.
    log: BTreeMap<u64, bool>,
}

impl RamState {
    fn stretch(&self, pa: Pa, bytes: usize) -> std::ops::Range<usize> {
        let start = pa.0 as usize;
        assert!(
            start.checked_add(bytes).is_some_and(|end| end <= self.bytes.len()),
            "{pa}+{bytes:#x} is outside the machine"
        );
        start..start + bytes
    }

    fn stored(&mut self, pa: Pa, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let pages = pa.0 >> PAGE_SHIFT..=(pa.0 + bytes - 1) >> PAGE_SHIFT;
        self.log.range_mut(pages).for_each(|(_, dirty)| *dirty = true);
    }
}

impl TestRam {
    /// Memory of so many bytes, all zero.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let state = RamState { bytes: vec![0; bytes], log: BTreeMap::new() };
        Self { inner: Rc::new(RefCell::new(state)) }
    }

    /// Everything in it.
    #[must_use]
    pub fn contents(&self) -> Vec<u8> {
        self.inner.borrow().bytes.clone()
    }
}

impl Memory for TestRam {
    fn read(&self, pa: Pa, bytes: &mut [u8]) {
        let state = self.inner.borrow();
        let place = state.stretch(pa, bytes.len());
        bytes.copy_from_slice(&state.bytes[place]);
    }

    fn write(&self, pa: Pa, bytes: &[u8]) {
        let mut state = self.inner.borrow_mut();
        let place = state.stretch(pa, bytes.len());
        state.bytes[place].copy_from_slice(bytes);
        state.stored(pa, bytes.len() as u64);
    }

    fn zero(&self, pa: Pa, bytes: u64) {
        let mut state = self.inner.borrow_mut();
        let place = state.stretch(pa, bytes as usize);
        state.bytes[place].fill(0);
        state.stored(pa, bytes);
    }

    fn log_start(&self, pa: Pa, bytes: u64) {
        let mut state = self.inner.borrow_mut();
        let pages = pa.0 >> PAGE_SHIFT..(pa.0 + bytes) >> PAGE_SHIFT;
        state.log.extend(pages.map(|page| (page, false)));
    }

    fn log_stop(&self, pa: Pa, bytes: u64) {
        let pages = pa.0 >> PAGE_SHIFT..(pa.0 + bytes) >> PAGE_SHIFT;
        self.inner.borrow_mut().log.retain(|page, _| !pages.contains(page));
    }

    fn log_is_dirty(&self, pa: Pa) -> bool {
        self.inner.borrow().log.get(&(pa.0 >> PAGE_SHIFT)).is_some_and(|&dirty| dirty)
    }

    fn log_clean(&self, pa: Pa) {
        if let Some(dirty) = self.inner.borrow_mut().log.get_mut(&(pa.0 >> PAGE_SHIFT)) {
            *dirty = false;
        }
    }

    fn log_dirty(&self, pa: Pa) {
        if let Some(dirty) = self.inner.borrow_mut().log.get_mut(&(pa.0 >> PAGE_SHIFT)) {
            *dirty = true;
        }
    }
}

/// A translation in a test strand's TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestTranslation {
    /// In which TLBs.
    pub tlbs: Tlbs,
    /// First address of the page.
    pub va: u64,
    /// Its context.
    pub context: u16,
    /// As the guest wrote it.
    pub tte: Tte,
    /// Where the page lies.
    pub pa: Pa,
}

/// A strand that executes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestStrand {
    /// Its registers.
    pub state: StrandV1,
    /// How it was started, if it was.
    pub start: Option<StartState>,
    /// Traps that the hypervisor delivered.
    pub reflected: Vec<u16>,
    /// Where the guest watchdog took it.
    pub watchdogs: Vec<u64>,
    /// Translations loaded by calls.
    pub tlb: Vec<TestTranslation>,
    /// Status and results of a call that waited for the boundary, until taken.
    pub answer: Option<(u64, Vec<u64>)>,
    /// Time that it was not parked.
    pub busy: SimTime,
}

/// The strands of one guest.
pub struct TestCpus {
    now: SimTime,
    ram: TestRam,
    stick_offset: i64,
    /// By vCPU number.
    pub strands: BTreeMap<VcpuId, TestStrand>,
}

impl TestCpus {
    /// The strand of `vcpu`; panics when there is none, a mistake of the test.
    pub fn strand(&mut self, vcpu: VcpuId) -> &mut TestStrand {
        self.strands.get_mut(&vcpu).unwrap_or_else(|| panic!("no strand for vCPU {vcpu}"))
    }

    fn strand_ref(&self, vcpu: VcpuId) -> &TestStrand {
        self.strands.get(&vcpu).unwrap_or_else(|| panic!("no strand for vCPU {vcpu}"))
    }

    fn demap(&mut self, vcpu: VcpuId, tlbs: Tlbs, gone: impl Fn(&TestTranslation) -> bool) {
        self.strand(vcpu).tlb.retain_mut(|entry| {
            if gone(entry) {
                entry.tlbs.data &= !tlbs.data;
                entry.tlbs.instruction &= !tlbs.instruction;
            }
            entry.tlbs.data || entry.tlbs.instruction
        });
    }
}

impl Cpus for TestCpus {
    fn now(&self) -> SimTime {
        self.now
    }

    fn memory(&self) -> &dyn Memory {
        &self.ram
    }

    fn start(&mut self, vcpu: VcpuId, start: StartState) {
        let state = StrandV1 {
            pc: start.pc,
            npc: start.pc.wrapping_add(4),
            tl: 2,
            gl: 2,
            pil: 15,
            globals: vec![0; 24],
            windows: vec![0; 128],
            fp: vec![0; 32],
            ..StrandV1::default()
        };
        let busy = self.strand(vcpu).busy;
        *self.strand(vcpu) =
            TestStrand { state, start: Some(start), busy, ..TestStrand::default() };
    }

    fn stop(&mut self, vcpu: VcpuId) {
        let busy = self.strand(vcpu).busy;
        let state = StrandV1 { stopped: true, ..StrandV1::default() };
        *self.strand(vcpu) = TestStrand { state, busy, ..TestStrand::default() };
    }

    fn park(&mut self, vcpu: VcpuId) {
        self.strand(vcpu).state.parked = true;
    }

    fn wake(&mut self, vcpu: VcpuId) {
        self.strand(vcpu).state.parked = false;
    }

    fn reflect(&mut self, vcpu: VcpuId, tt: u16) {
        let strand = self.strand(vcpu);
        strand.reflected.push(tt);
        strand.state.tl += 1;
    }

    fn watchdog(&mut self, vcpu: VcpuId, pc: u64) {
        let strand = self.strand(vcpu);
        strand.watchdogs.push(pc);
        (strand.state.pc, strand.state.mmu_on) = (pc, false);
        (strand.state.tl, strand.state.gl) = (2, 2);
    }

    fn mmu_enable(&mut self, vcpu: VcpuId, on: bool, pc: u64) {
        let state = &mut self.strand(vcpu).state;
        (state.pc, state.npc, state.mmu_on) = (pc, pc.wrapping_add(4), on);
    }

    fn mmu_is_on(&self, vcpu: VcpuId) -> bool {
        self.strand_ref(vcpu).state.mmu_on
    }

    fn answer(&mut self, vcpu: VcpuId, status: u64, rets: &[u64]) {
        self.strand(vcpu).answer = Some((status, rets.to_vec()));
    }

    fn levels(&self, vcpu: VcpuId) -> (u8, u8) {
        let state = &self.strand_ref(vcpu).state;
        (state.tl, state.gl)
    }

    fn tlb_insert(&mut self, vcpu: VcpuId, tlbs: Tlbs, va: u64, context: u16, tte: Tte, pa: Pa) {
        self.strand(vcpu).tlb.push(TestTranslation { tlbs, va, context, tte, pa });
    }

    fn demap_page(&mut self, vcpu: VcpuId, tlbs: Tlbs, va: u64, context: u16) {
        self.demap(vcpu, tlbs, |entry| {
            let bytes = entry.tte.size().map_or(0, |size| size.bytes());
            entry.context == context && va.wrapping_sub(entry.va) < bytes
        });
    }

    fn demap_context(&mut self, vcpu: VcpuId, tlbs: Tlbs, context: u16) {
        self.demap(vcpu, tlbs, |entry| entry.context == context);
    }

    fn demap_all(&mut self, vcpu: VcpuId, tlbs: Tlbs) {
        self.demap(vcpu, tlbs, |_| true);
    }

    fn set_tsbs(&mut self, vcpu: VcpuId, nonzero_contexts: bool, tsbs: &[Tsb]) {
        let records = tsbs.iter().map(|tsb| TsbV1 {
            ra: tsb.ra,
            entries: tsb.entries,
            index_size: tsb.index_size as u8,
            size_mask: tsb.size_mask,
            any_context: tsb.any_context,
        });
        self.strand(vcpu).state.tsbs[usize::from(nonzero_contexts)] = records.collect();
    }

    fn queue(&self, vcpu: VcpuId, queue: Queue) -> (u64, u64) {
        let [head, tail] = self.strand_ref(vcpu).state.queues[queue as usize];
        (u64::from(head), u64::from(tail))
    }

    fn set_queue(&mut self, vcpu: VcpuId, queue: Queue, head: u64, tail: u64) {
        self.strand(vcpu).state.queues[queue as usize] = [head as u32, tail as u32];
    }

    fn busy(&self, vcpu: VcpuId) -> SimTime {
        self.strand_ref(vcpu).busy
    }

    fn save(&self, vcpu: VcpuId) -> StrandV1 {
        self.strand_ref(vcpu).state.clone()
    }

    fn load(&mut self, vcpu: VcpuId, state: &StrandV1) -> Result<(), LoadError> {
        if state.tl > 2 || state.gl > 2 || state.pil > 15 {
            return Err(LoadError::Inconsistent {
                kind: "chip/strand",
                why: "a level is too high",
            });
        }
        self.strand(vcpu).state = state.clone();
        Ok(())
    }

    fn set_stick_offset(&mut self, ticks: i64) {
        self.stick_offset = ticks;
    }

    fn stick(&self) -> u64 {
        self.now.ticks(T2_HZ).wrapping_add_signed(self.stick_offset)
    }
}

/// A chassis that executes nothing.
pub struct Board {
    now: SimTime,
    /// Physical memory.
    pub ram: TestRam,
    /// Strands by guest.
    pub guests: BTreeMap<GuestId, TestCpus>,
    /// Guests that were started, in order.
    pub started: Vec<GuestId>,
    /// Guests that ended, with their codes.
    pub exited: Vec<(GuestId, u64)>,
    /// Characters for the service processor's consoles.
    pub console: BTreeMap<GuestId, Vec<u8>>,
    /// Control words that the crypto units were given.
    pub crypto: Vec<(CoreId, ControlWord)>,
    /// The hypercall trace, a line a call.
    pub trace: String,
}

impl Board {
    /// Seconds since 1970 at simulated time zero.
    pub const EPOCH: u64 = 1_300_000_000;

    /// A machine with so many bytes of memory.
    #[must_use]
    pub fn new(memory_bytes: usize) -> Self {
        Self {
            now: SimTime::ZERO,
            ram: TestRam::new(memory_bytes),
            guests: BTreeMap::new(),
            started: Vec::new(),
            exited: Vec::new(),
            console: BTreeMap::new(),
            crypto: Vec::new(),
            trace: String::new(),
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, span: SimTime) {
        self.now = self.now.plus(span);
        self.guests.values_mut().for_each(|cpus| cpus.now = self.now);
    }

    /// The strands of `guest`; panics when it has none, a mistake of the test.
    pub fn guest(&mut self, guest: GuestId) -> &mut TestCpus {
        self.guests.get_mut(&guest).unwrap_or_else(|| panic!("guest {guest} has no strands"))
    }
}

impl Machine for Board {
    fn now(&self) -> SimTime {
        self.now
    }

    fn time_of_day(&self) -> u64 {
        Self::EPOCH + self.now.0 / SimTime::secs(1).0
    }

    fn memory(&self) -> &dyn Memory {
        &self.ram
    }

    fn cpus(&mut self, guest: GuestId) -> &mut dyn Cpus {
        self.guest(guest)
    }

    fn assign(&mut self, guest: GuestId, strands: &[(VcpuId, StrandId)], _memory: &RealMap) {
        let (now, ram) = (self.now, &self.ram);
        let cpus = self.guests.entry(guest).or_insert_with(|| TestCpus {
            now,
            ram: ram.clone(),
            stick_offset: 0,
            strands: BTreeMap::new(),
        });
        let wanted: BTreeSet<VcpuId> = strands.iter().map(|&(vcpu, _)| vcpu).collect();
        cpus.strands.retain(|vcpu, _| wanted.contains(vcpu));
        for vcpu in wanted {
            cpus.strands.entry(vcpu).or_insert_with(|| TestStrand {
                state: StrandV1 { stopped: true, ..StrandV1::default() },
                ..TestStrand::default()
            });
        }
    }

    fn unassign(&mut self, guest: GuestId) {
        self.guests.remove(&guest);
    }

    fn guest_started(&mut self, guest: GuestId) {
        self.started.push(guest);
    }

    fn guest_exited(&mut self, guest: GuestId, code: u64) {
        self.exited.push((guest, code));
    }

    fn cwq_submit(&mut self, core: CoreId, words: &[ControlWord]) {
        self.crypto.extend(words.iter().map(|&word| (core, word)));
    }

    fn sp_console(&mut self, guest: GuestId, byte: u8) {
        self.console.entry(guest).or_default().push(byte);
    }

    fn trace(&mut self, line: &str) {
        self.trace.push_str(line);
        self.trace.push('\n');
    }
}

#[cfg(test)]
mod test {
    use super::TestRam;
    use crate::platform::Memory;
    use sun4v::addr::Pa;

    #[test]
    fn a_log_notices_stores_to_its_pages_and_to_no_others() {
        let ram = TestRam::new(0x8000);
        ram.log_start(Pa(0x2000), 0x4000);
        ram.write(Pa(0x1ffc), &[1; 8]);
        assert!(ram.log_is_dirty(Pa(0x2000)) && !ram.log_is_dirty(Pa(0x4000)));
        ram.log_clean(Pa(0x2008));
        ram.zero(Pa(0x6000), 8);
        assert!(!ram.log_is_dirty(Pa(0x3fff)) && !ram.log_is_dirty(Pa(0x6000)));
        ram.copy(Pa(0), Pa(0x5ff8), 8);
        assert!(ram.log_is_dirty(Pa(0x4000)));
        ram.log_stop(Pa(0x2000), 0x4000);
        assert!(!ram.log_is_dirty(Pa(0x4000)));
    }
}
