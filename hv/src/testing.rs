//! A machine without a simulator, for tests of hypercalls.
//!
//! [`Board`] has memory, and virtual CPUs that execute nothing but remember what
//! the hypervisor did to them. [`Lab`] puts a hypervisor on it:
//!
//! ```
//! use hv::testing::Lab;
//!
//! let mut lab = Lab::new();
//! assert_eq!(lab.call(0x16, [0; 5]).rets[0], 0); // cpu_myid
//! ```

use crate::platform::{ControlWord, Cpus, Machine, Memory, Queue, StartState, Tlbs};
use crate::{Answer, HvMemory, Hypervisor, Outcome, PowerOnError, Trap};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use sun4v::addr::{Pa, Ra, RealMap, RealRange};
use sun4v::hvmd::{ConsoleConf, GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf, VcpuConf};
use sun4v::id::{CoreId, GuestId, LdcId, StrandId, VcpuId};
use sun4v::mmu::{Tsb, Tte};
use sun4v::record::{LoadError, StrandV1, TsbV1};
use sun4v::time::{SimTime, T2_HZ};

/// Memory of a test: sparse pages, zero where nothing was written.
#[derive(Clone, Default)]
pub struct Pages {
    pages: Rc<RefCell<BTreeMap<u64, Box<[u8; 8192]>>>>,
    logged: Rc<RefCell<BTreeMap<u64, bool>>>,
}

impl Memory for Pages {
    fn read(&self, pa: Pa, bytes: &mut [u8]) {
        let pages = self.pages.borrow();
        for (at, byte) in (pa.0..).zip(bytes) {
            *byte = pages.get(&(at >> 13)).map_or(0, |page| page[(at & 8191) as usize]);
        }
    }
    fn write(&self, pa: Pa, bytes: &[u8]) {
        let (mut pages, mut logged) = (self.pages.borrow_mut(), self.logged.borrow_mut());
        for (at, &byte) in (pa.0..).zip(bytes) {
            pages.entry(at >> 13).or_insert_with(|| Box::new([0; 8192]))[(at & 8191) as usize] =
                byte;
            if let Some(dirty) = logged.get_mut(&(at >> 13)) {
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
            contents[(from - (page << 13)) as usize..(to - (page << 13)) as usize].fill(0);
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
    /// Answers that came at a boundary.
    pub answers: Vec<(u64, Vec<u64>)>,
    /// Registers that were loaded.
    pub registers: Option<StrandV1>,
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
}

impl Seats {
    fn at(&mut self, vcpu: VcpuId) -> &mut Seen {
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
    fn demap_page(&mut self, _: VcpuId, _: Tlbs, _: u64, _: u16) {}
    fn demap_context(&mut self, _: VcpuId, _: Tlbs, _: u16) {}
    fn demap_all(&mut self, _: VcpuId, _: Tlbs) {}
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
    now: SimTime,
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
    /// The hypercall trace.
    pub trace: String,
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
    fn time_of_day(&self) -> u64 {
        1_308_301_456 + self.now.0 / SimTime::secs(1).0
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
    fn sp_console(&mut self, _: GuestId, byte: u8) {
        self.console.push(char::from(byte));
    }
    fn trace(&mut self, line: &str) {
        self.trace.push_str(line);
        self.trace.push('\n');
    }
}

/// The first real address of a guest of [`Lab`].
pub const BASE: u64 = 0x800_0000;
/// Bytes of memory of each.
pub const BYTES: u64 = 16 << 20;

/// The hypervisor's memory on a board that is switched on.
pub const HV_MEMORY: HvMemory = HvMemory { base: Pa(0), bytes: 0x20_0000 };
/// Where the hypervisor MD lies in it.
pub const HV_MD: Pa = Pa(0x10_0000);
/// A machine description of one empty node list.
const EMPTY_MD: [u8; 16] = [0, 1, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0];

/// A hypervisor on a board, with two running guests of two virtual CPUs each that
/// share channel 0 and have opened every group.
pub struct Lab {
    /// The hypervisor.
    pub hv: Hypervisor,
    /// The machine.
    pub board: Board,
    /// Who calls.
    pub caller: (GuestId, VcpuId),
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// Powers it on.
    #[must_use]
    pub fn new() -> Self {
        let mut config = HvConfig::default();
        for id in 0..2u8 {
            let guest = GuestId(id);
            config.guests.push(GuestConf {
                id: guest,
                name: format!("guest{id}"),
                md_pa: Pa(0x1000),
                rom_pa: Pa(0),
                rom_bytes: 0,
                tod_offset: 0,
            });
            for vcpu in 0..2 {
                let strand = StrandId(id * 8 + vcpu);
                config.vcpus.push(VcpuConf { strand, guest, vid: VcpuId(vcpu) });
            }
            let pa = Pa(0x1000_0000 + u64::from(id) * BYTES);
            config
                .mblocks
                .push(MblockConf { guest, range: RealRange { ra: Ra(BASE), pa, size: BYTES } });
            let target = LdcTarget::Guest { guest: GuestId(1 - id), channel: LdcId(0) };
            config.ldc_endpoints.push(LdcConf {
                guest,
                channel: LdcId(0),
                target,
                tx_ino: 0,
                rx_ino: 1,
                private_console: false,
            });
            // Guest 0 is the concentrator of guest 1's console.
            let peer = LdcTarget::Guest { guest: GuestId(1 - id), channel: LdcId(3) };
            config.ldc_endpoints.push(LdcConf {
                guest,
                channel: LdcId(3),
                target: peer,
                tx_ino: 6,
                rx_ino: 7,
                private_console: id == 1,
            });
            let endpoint = (id == 1).then_some(LdcId(3));
            config.consoles.push(ConsoleConf { guest, ino: 0x11, endpoint });
        }
        let (mut hv, mut board) = (Hypervisor::new(), Board::default());
        hv.apply(config, &mut board);
        hv.set_trace(true);
        board.memory.write(Pa(0x1000), &EMPTY_MD);
        let mut lab = Self { hv, board, caller: (GuestId(0), VcpuId(0)) };
        for id in 0..2 {
            lab.caller = (GuestId(id), VcpuId(0));
            let started = lab.hv.boot(GuestId(id), Ra(BASE), &mut lab.board);
            assert_eq!(started, Ok(()));
            for (group, major) in [(1, 1), (2, 1), (3, 1), (0x101, 1), (0x103, 2)] {
                lab.core(0, [group, major, 9, 0, 0]);
            }
        }
        lab.hv.boundary(&mut lab.board);
        lab.board.trace.clear();
        lab.caller = (GuestId(0), VcpuId(0));
        lab
    }

    /// A chassis that is switched on with this configuration, from a hypervisor MD at
    /// [`HV_MD`]; guests' MDs are empty.
    ///
    /// # Errors
    /// As [`Hypervisor::power_on`].
    pub fn power_on(config: &HvConfig) -> Result<Self, PowerOnError> {
        let mut board = Board::default();
        board.memory.write(HV_MD, &config.to_md().to_bytes());
        for guest in &config.guests {
            board.memory.write(guest.md_pa, &EMPTY_MD);
        }
        let hv = Hypervisor::power_on(HV_MEMORY, HV_MD, &mut board)?;
        Ok(Self { hv, board, caller: (GuestId(0), VcpuId(0)) })
    }

    /// Hands a trap of the caller to the hypervisor.
    pub fn trap(&mut self, trap: Trap) -> Outcome {
        let (id, vcpu) = self.caller;
        let Some(mut guest) = self.hv.take(id) else { return Outcome::Blocked };
        let outcome = guest.htrap(vcpu, trap, self.board.cpus(id));
        self.hv.put(guest);
        outcome
    }

    /// A fast-trap call; one that waits for the boundary gets one.
    pub fn call(&mut self, nr: u64, args: [u64; 5]) -> Answer {
        self.number(0x80, nr, args)
    }

    /// A core-trap call.
    pub fn core(&mut self, nr: u64, args: [u64; 5]) -> Answer {
        self.number(0xff, nr, args)
    }

    /// A call by any software trap number.
    pub fn number(&mut self, number: u8, nr: u64, [a, b, c, d, e]: [u64; 5]) -> Answer {
        match self.trap(Trap::Hypercall { number, args: [a, b, c, d, e, nr] }) {
            Outcome::Done(answer) | Outcome::Parked(answer) => answer,
            Outcome::Resumed => Answer::default(),
            Outcome::Blocked => {
                self.hv.boundary(&mut self.board);
                let (id, vcpu) = self.caller;
                let seats = self.board.seats.get_mut(&id);
                let answers = seats.and_then(|seats| seats.at(vcpu).answers.pop());
                let Some((status, rets)) = answers else { return Answer::default() };
                Answer { status, ..Answer::ok(&rets) }
            }
        }
    }

    /// Writes the caller's memory.
    pub fn poke(&mut self, ra: u64, bytes: &[u8]) {
        if let Some(pa) = self.place(ra, bytes.len()) {
            self.board.memory.write(pa, bytes);
        }
    }

    /// Reads the caller's memory.
    #[must_use]
    pub fn peek<const N: usize>(&self, ra: u64) -> [u8; N] {
        let mut bytes = [0; N];
        if let Some(pa) = self.place(ra, N) {
            self.board.memory.read(pa, &mut bytes);
        }
        bytes
    }

    fn place(&self, ra: u64, bytes: usize) -> Option<Pa> {
        self.hv.guest(self.caller.0)?.map.resolve(Ra(ra), bytes as u64)
    }
}
