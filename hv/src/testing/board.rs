//! The machine of a test: memory, and virtual CPUs that execute nothing.

use crate::platform::{
    ControlWord, Cpus, Machine, MauEnd, MauOperation, Memory, Mode, Queue, SpMessage, StartState,
    Tlbs,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use sun4v::addr::{Pa, RealMap};
use sun4v::hvmd::CryptoKind;
use sun4v::id::{CoreId, GuestId, StrandId, VcpuId};
use sun4v::mmu::{Tsb, Tte};
use sun4v::record::{LoadError, StrandV1, TsbV1};
use sun4v::time::{SimTime, T2_HZ};

/// A page, shared with snapshots until it is written.
type Page = Rc<[u8; 8192]>;

/// Where a stretch of memory goes over pages: page, bytes of it, bytes of the stretch.
fn pieces(pa: Pa, bytes: usize) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = pa.0 + done as u64;
        let from = (at & 8191) as usize;
        let count = (bytes - done).min(8192 - from);
        let piece = (at >> 13, from..from + count, done..done + count);
        done += count;
        (count > 0).then_some(piece)
    })
}

/// Memory of a test: sparse pages, zero where nothing was written.
#[derive(Clone, Default)]
pub struct Pages {
    pages: Rc<RefCell<BTreeMap<u64, Page>>>,
    logged: Rc<RefCell<BTreeMap<u64, bool>>>,
}

impl Pages {
    /// A copy that no longer changes with this one.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self {
            pages: Rc::new(RefCell::new(self.pages.borrow().clone())),
            logged: Rc::new(RefCell::new(self.logged.borrow().clone())),
        }
    }

    /// Doublewords that differ from another memory: address, theirs, ours.
    #[must_use]
    pub fn differences(&self, before: &Self) -> Vec<(Pa, u64, u64)> {
        let (old, new) = (before.pages.borrow(), self.pages.borrow());
        let pages: BTreeSet<u64> = old.keys().chain(new.keys()).copied().collect();
        let mut all = Vec::new();
        for page in pages {
            match (old.get(&page), new.get(&page)) {
                (Some(old), Some(new)) if Rc::ptr_eq(old, new) || old == new => continue,
                _ => {}
            }
            for at in (page << 13..(page + 1) << 13).step_by(8).map(Pa) {
                let (was, is) = (before.read_u64(at), self.read_u64(at));
                if was != is {
                    all.push((at, was, is));
                }
            }
        }
        all
    }
}

impl Memory for Pages {
    fn read(&self, pa: Pa, bytes: &mut [u8]) {
        let pages = self.pages.borrow();
        for (page, from, to) in pieces(pa, bytes.len()) {
            match pages.get(&page) {
                Some(contents) => bytes[to].copy_from_slice(&contents[from]),
                None => bytes[to].fill(0),
            }
        }
    }
    fn write(&self, pa: Pa, bytes: &[u8]) {
        let (mut pages, mut logged) = (self.pages.borrow_mut(), self.logged.borrow_mut());
        for (page, to, from) in pieces(pa, bytes.len()) {
            let contents = pages.entry(page).or_insert_with(|| Rc::new([0; 8192]));
            Rc::make_mut(contents)[to].copy_from_slice(&bytes[from]);
            if let Some(dirty) = logged.get_mut(&page) {
                *dirty = true;
            }
        }
    }
    fn zero(&self, pa: Pa, bytes: u64) {
        let mut pages = self.pages.borrow_mut();
        let end = pa.0 + bytes;
        let touched = pa.0 >> 13..end.div_ceil(8192);
        let mut gone = Vec::new();
        for (&page, contents) in pages.range_mut(touched.clone()) {
            let (from, to) = (pa.0.max(page << 13), end.min((page + 1) << 13));
            let range = (from - (page << 13)) as usize..(to - (page << 13)) as usize;
            Rc::make_mut(contents)[range].fill(0);
            if to - from == 8192 {
                gone.push(page);
            }
        }
        gone.iter().for_each(|page| drop(pages.remove(page)));
        for (_, dirty) in self.logged.borrow_mut().range_mut(touched) {
            *dirty = true;
        }
    }
    fn log_start(&self, pa: Pa, bytes: u64) {
        let pages = pa.0 >> 13..(pa.0 + bytes) >> 13;
        self.logged.borrow_mut().extend(pages.map(|page| (page, false)));
    }
    fn log_stop(&self, pa: Pa, bytes: u64) {
        let pages = pa.0 >> 13..(pa.0 + bytes) >> 13;
        self.logged.borrow_mut().retain(|page, _| !pages.contains(page));
    }
    fn log_is_dirty(&self, pa: Pa) -> bool {
        self.logged.borrow().get(&(pa.0 >> 13)).copied().unwrap_or(false)
    }
    fn log_clean(&self, pa: Pa) {
        if let Some(dirty) = self.logged.borrow_mut().get_mut(&(pa.0 >> 13)) {
            *dirty = false;
        }
    }
    fn log_dirty(&self, pa: Pa) {
        if let Some(dirty) = self.logged.borrow_mut().get_mut(&(pa.0 >> 13)) {
            *dirty = true;
        }
    }
}

/// What was done to one virtual CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How it was started last.
    pub started: Option<StartState>,
    /// It is parked.
    pub parked: bool,
    /// Traps that were reflected to it.
    pub reflected: Vec<u16>,
    /// Where it was sent by the watchdog.
    pub watchdog: Option<u64>,
    /// MMU on.
    pub mmu_on: bool,
    /// Translations loaded: address, context, data word, physical address.
    pub loaded: Vec<(u64, u16, u64, u64)>,
    /// Translations removed: in which TLBs, of which page, in which context.
    pub demapped: Vec<(Tlbs, Option<u64>, Option<u16>)>,
    /// Answers that came at a boundary.
    pub answers: Vec<(u64, Vec<u64>)>,
    /// Registers that were loaded.
    pub registers: Option<StrandV1>,
    /// The performance control register.
    pub pcr: u64,
    /// It executes nothing before this time.
    pub delayed: Option<SimTime>,
    /// What it is said to execute.
    pub mode: Mode,
    queues: BTreeMap<Queue, (u64, u64)>,
    tsbs: [Vec<Tsb>; 2],
}

/// The virtual CPUs of one guest.
#[derive(Default)]
pub struct Seats {
    memory: Pages,
    now: SimTime,
    /// What was done to each.
    pub seen: BTreeMap<VcpuId, Seen>,
    /// How long each was busy.
    pub busy: BTreeMap<VcpuId, SimTime>,
    /// What the guest's counters are ahead of the machine's.
    pub stick_offset: i64,
    /// The share of time in which they are held, in percent.
    pub held: u8,
}

impl Seats {
    pub(super) fn at(&mut self, vcpu: VcpuId) -> &mut Seen {
        self.seen.entry(vcpu).or_default()
    }
}

impl Cpus for Seats {
    fn now(&self) -> SimTime {
        self.now
    }
    fn memory(&self) -> &dyn Memory {
        &self.memory
    }
    fn start(&mut self, vcpu: VcpuId, state: StartState) {
        *self.at(vcpu) = Seen { started: Some(state), ..Seen::default() };
    }
    fn stop(&mut self, vcpu: VcpuId) {
        *self.at(vcpu) = Seen::default();
    }
    fn park(&mut self, vcpu: VcpuId) {
        self.at(vcpu).parked = true;
    }
    fn wake(&mut self, vcpu: VcpuId) {
        self.at(vcpu).parked = false;
    }
    fn reflect(&mut self, vcpu: VcpuId, tt: u16) {
        self.at(vcpu).reflected.push(tt);
    }
    fn watchdog(&mut self, vcpu: VcpuId, pc: u64) {
        self.at(vcpu).watchdog = Some(pc);
    }
    fn mmu_enable(&mut self, vcpu: VcpuId, on: bool, _: u64) {
        self.at(vcpu).mmu_on = on;
    }
    fn mmu_is_on(&self, vcpu: VcpuId) -> bool {
        self.seen.get(&vcpu).is_some_and(|seen| seen.mmu_on)
    }
    fn answer(&mut self, vcpu: VcpuId, status: u64, rets: &[u64]) {
        self.at(vcpu).answers.push((status, rets.to_vec()));
    }
    fn levels(&self, _: VcpuId) -> (u8, u8) {
        (0, 0)
    }
    fn tlb_insert(&mut self, vcpu: VcpuId, _: Tlbs, va: u64, context: u16, tte: Tte, pa: Pa) {
        self.at(vcpu).loaded.push((va, context, tte.0, pa.0));
    }
    fn demap_page(&mut self, vcpu: VcpuId, tlbs: Tlbs, va: u64, context: u16) {
        self.at(vcpu).demapped.push((tlbs, Some(va), Some(context)));
    }
    fn demap_context(&mut self, vcpu: VcpuId, tlbs: Tlbs, context: u16) {
        self.at(vcpu).demapped.push((tlbs, None, Some(context)));
    }
    fn demap_all(&mut self, vcpu: VcpuId, tlbs: Tlbs) {
        self.at(vcpu).demapped.push((tlbs, None, None));
    }
    fn set_tsbs(&mut self, vcpu: VcpuId, nonzero_contexts: bool, tsbs: &[Tsb]) {
        self.at(vcpu).tsbs[usize::from(nonzero_contexts)] = tsbs.to_vec();
    }
    fn queue(&self, vcpu: VcpuId, queue: Queue) -> (u64, u64) {
        let queue = self.seen.get(&vcpu).and_then(|seen| seen.queues.get(&queue));
        queue.copied().unwrap_or((0, 0))
    }
    fn set_queue(&mut self, vcpu: VcpuId, queue: Queue, head: u64, tail: u64) {
        self.at(vcpu).queues.insert(queue, (head, tail));
    }
    fn hold(&mut self, percent: u8) {
        self.held = percent;
    }
    fn delay(&mut self, vcpu: VcpuId, until: SimTime) {
        self.at(vcpu).delayed = Some(until);
    }
    fn mode(&self, vcpu: VcpuId) -> Mode {
        self.seen.get(&vcpu).map_or(Mode::Waits, |seen| seen.mode)
    }
    fn busy(&self, vcpu: VcpuId) -> SimTime {
        self.busy.get(&vcpu).copied().unwrap_or_default()
    }
    fn save(&self, vcpu: VcpuId) -> StrandV1 {
        let seen = self.seen.get(&vcpu).cloned().unwrap_or_default();
        let stopped = seen.started.is_none() && seen.registers.is_none();
        let queue = |queue| {
            let (head, tail) = seen.queues.get(&queue).copied().unwrap_or_default();
            [head as u32, tail as u32]
        };
        let base = StrandV1 {
            pc: seen.started.map_or(0, |state| state.pc),
            npc: seen.started.map_or(0, |state| state.pc + 4),
            ..StrandV1::default()
        };
        StrandV1 {
            queues: [Queue::CpuMondo, Queue::DevMondo, Queue::Resumable, Queue::NonResumable]
                .map(queue),
            mmu_on: seen.mmu_on,
            tsbs: seen.tsbs.map(|class| class.iter().map(tsb_record).collect()),
            parked: seen.parked,
            stopped,
            ..seen.registers.unwrap_or(base)
        }
    }
    fn load(&mut self, vcpu: VcpuId, state: &StrandV1) -> Result<(), LoadError> {
        if !state.pc.is_multiple_of(4) {
            let why = "a PC that is not aligned";
            return Err(LoadError::Inconsistent { kind: "chip/strand", why });
        }
        let queues = [Queue::CpuMondo, Queue::DevMondo, Queue::Resumable, Queue::NonResumable];
        let places = state.queues.map(|[head, tail]| (u64::from(head), u64::from(tail)));
        *self.at(vcpu) = Seen {
            registers: (!state.stopped).then(|| state.clone()),
            parked: state.parked,
            mmu_on: state.mmu_on,
            queues: queues.into_iter().zip(places).collect(),
            ..Seen::default()
        };
        Ok(())
    }
    fn set_stick_offset(&mut self, ticks: i64) {
        self.stick_offset = ticks;
    }
    fn stick(&self) -> u64 {
        self.now.ticks(T2_HZ).wrapping_add_signed(self.stick_offset)
    }
    fn pcr(&self, vcpu: VcpuId) -> u64 {
        self.seen.get(&vcpu).map_or(0, |seen| seen.pcr)
    }
    fn set_pcr(&mut self, vcpu: VcpuId, value: u64) {
        self.at(vcpu).pcr = value;
    }
}

fn tsb_record(tsb: &Tsb) -> TsbV1 {
    let Tsb { ra, entries, index_size, size_mask, context } = *tsb;
    TsbV1 { ra, entries, index_size: index_size as u8, size_mask, context: context as u8 }
}

/// A machine that remembers.
#[derive(Default)]
pub struct Board {
    /// Its memory.
    pub memory: Pages,
    pub(super) now: SimTime,
    /// The virtual CPUs of each guest.
    pub seats: BTreeMap<GuestId, Seats>,
    /// What the guests wrote to service processor consoles.
    pub console: String,
    /// Guests that were started.
    pub started: BTreeSet<GuestId>,
    /// Guests that ended, with their codes.
    pub exited: Vec<(GuestId, u64)>,
    /// Control words that were submitted.
    pub words: Vec<(CoreId, ControlWord)>,
    /// Operations of modular arithmetic that were submitted.
    pub operations: Vec<(CoreId, MauOperation)>,
    /// How the next operations end that a caller waits for; the others are done.
    pub mau_ends: Vec<MauEnd>,
    /// Crypto units that were stopped.
    pub stopped: Vec<(CryptoKind, CoreId)>,
    /// The hypercall trace.
    pub trace: String,
    /// What the service processor was told.
    pub told: Vec<SpMessage>,
    /// There is no clock.
    pub clockless: bool,
    /// Doublewords of noise that were taken.
    pub noise: u64,
}

impl Board {
    /// Moves its time on.
    pub fn advance(&mut self, span: SimTime) {
        self.now = self.now.plus(span);
        self.seats.values_mut().for_each(|seats| seats.now = self.now);
    }
}

impl Machine for Board {
    fn now(&self) -> SimTime {
        self.now
    }
    fn time_of_day(&self) -> Option<u64> {
        (!self.clockless).then(|| 1_308_301_456 + self.now.0 / SimTime::secs(1).0)
    }
    fn memory(&self) -> &dyn Memory {
        &self.memory
    }
    fn cpus(&mut self, guest: GuestId) -> &mut dyn Cpus {
        let (memory, now) = (self.memory.clone(), self.now);
        self.seats.entry(guest).or_insert_with(|| Seats { memory, now, ..Seats::default() })
    }
    fn assign(&mut self, _: GuestId, _: &[(VcpuId, StrandId)], _: &RealMap) {}
    fn unassign(&mut self, guest: GuestId) {
        self.seats.remove(&guest);
    }
    fn guest_started(&mut self, guest: GuestId) {
        self.started.insert(guest);
    }
    fn guest_exited(&mut self, guest: GuestId, code: u64) {
        self.exited.push((guest, code));
    }
    fn cwq_submit(&mut self, core: CoreId, words: &[ControlWord]) {
        self.words.extend(words.iter().map(|&word| (core, word)));
    }
    fn mau_submit(&mut self, core: CoreId, operations: &[MauOperation]) {
        self.operations.extend(operations.iter().map(|&operation| (core, operation)));
    }
    fn crypto_stop(&mut self, kind: CryptoKind, core: CoreId) {
        self.stopped.push((kind, core));
    }
    fn sp_message(&mut self, message: SpMessage) {
        self.told.push(message);
    }
    fn entropy(&mut self) -> u64 {
        self.noise += 1;
        // No noise at all, but no two alike: multiples of an odd number.
        self.noise.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
    fn sp_console(&mut self, _: GuestId, byte: u8) {
        self.console.push(char::from(byte));
    }
    fn trace(&mut self, line: &str) {
        self.trace.push_str(line);
        self.trace.push('\n');
    }
}
