//! The driver of the crypto units against the model of a unit: what they seal,
//! open and hash is what software does.

use ldm::crypto::{Units, WATCH};
use ldm::memory::Arena;
use ldm::migrate::cost::Cost;
use ldm::migrate::pages::Hasher;
use ldm::migrate::port::{Cipher, Ticket};
use ldm::migrate::seal::Text;
use ldm::migrate::{Refusal, seal};
use sim::chip::cwq::{ControlWord, Cwq, Dma, Status};
use std::cell::RefCell;
use std::collections::VecDeque;
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::HvError;
use sun4v::id::VcpuId;
use sun4v::native::{JobId, Observation, Ports, Reply, Rets, Work};
use sun4v::ncs::{
    Control, ENTRY_BYTES, Entry, NCS_GETHEAD, NCS_QCONF, NCS_QHANDLE_TO_DEVINO, NCS_SETHEAD_MARKER,
    NCS_SETTAIL, QTYPE_CWQ,
};
use sun4v::time::{SimTime, T2_HZ};

const BASE: u64 = 0x800_0000;
const BYTES: usize = 8 << 20;
/// Interrupts of the virtual devices' node.
const VIRTUAL_DEVICES: u64 = 0x100;
const TIMER: u64 = 5;

struct Memory(RefCell<Vec<u8>>);

impl Dma for Memory {
    fn read(&self, pa: Pa, bytes: &mut [u8]) {
        let at = (pa.0 - BASE) as usize;
        bytes.copy_from_slice(&self.0.borrow()[at..at + bytes.len()]);
    }
    fn write(&self, pa: Pa, bytes: &[u8]) {
        let at = (pa.0 - BASE) as usize;
        self.0.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// A core's unit and the queue that a guest has given it.
struct Core {
    unit: Cwq,
    queue: Option<(u64, u64)>,
    tail: u64,
    /// Entries that the unit has, oldest first.
    given: VecDeque<u64>,
    head: u64,
    sysino: u64,
    valid: bool,
}

/// A domain of `cores` cores, two vCPUs on each, in identity-mapped memory.
struct Board {
    now: SimTime,
    memory: Memory,
    cores: Vec<Core>,
    mondos: Vec<u64>,
    jobs: VecDeque<(JobId, Work)>,
    next_job: u64,
    timers: Vec<(SimTime, u64)>,
    log: Vec<String>,
    interrupts: bool,
}

impl Board {
    fn new(cores: usize) -> Self {
        let core = || Core {
            unit: Cwq::new(T2_HZ),
            queue: None,
            tail: 0,
            given: VecDeque::new(),
            head: 0,
            sysino: 0,
            valid: false,
        };
        Self {
            now: SimTime::ZERO,
            memory: Memory(RefCell::new(vec![0; BYTES])),
            cores: (0..cores).map(|_| core()).collect(),
            mondos: Vec::new(),
            jobs: VecDeque::new(),
            next_job: 0,
            timers: Vec::new(),
            log: Vec::new(),
            interrupts: true,
        }
    }

    fn arena() -> Arena {
        Arena::new(Ra(BASE), BYTES as u64)
    }

    fn core(&mut self, handle: u64) -> Result<&mut Core, HvError> {
        self.cores.get_mut((handle >> 16) as usize).ok_or(HvError::Inval)
    }

    /// Runs units, interrupts, jobs and timers until nothing is left to do.
    fn settle(&mut self, units: &mut Units) {
        loop {
            let due = self.cores.iter().filter_map(|core| core.unit.next_due()).min();
            let timer = self.timers.iter().map(|&(at, _)| at).min();
            let Some(next) = due.into_iter().chain(timer).min() else { break };
            self.now = self.now.max(next);
            for core in &mut self.cores {
                for status in core.unit.advance(self.now, &self.memory) {
                    let at = core.given.pop_front().expect("it was given that");
                    let mut word = [0; 8];
                    self.memory.read(Pa(at), &mut word);
                    let control = u64::from_be_bytes(word);
                    let mark = match status {
                        Status::Done => Control::DONE,
                        Status::ProtocolError => Control::DONE | Control::PROTOCOL_ERROR,
                    };
                    self.memory.write(Pa(at), &(control | mark).to_be_bytes());
                    core.head = at + ENTRY_BYTES;
                    let asked = Control(control).has(Control::INTERRUPT);
                    if asked && core.valid && self.interrupts && status == Status::Done {
                        self.mondos.push(core.sysino);
                    }
                }
            }
            for cookie in std::mem::take(&mut self.mondos) {
                assert!(units.mondo(self, cookie));
            }
            let now = self.now;
            while let Some(at) = self.timers.iter().position(|&(at, _)| at <= now) {
                let (_, token) = self.timers.swap_remove(at);
                assert!(units.timer(self, token));
            }
            while let Some((job, work)) = self.jobs.pop_front() {
                assert!(units.job_done(job, &mut work()));
            }
        }
        while let Some((job, work)) = self.jobs.pop_front() {
            assert!(units.job_done(job, &mut work()));
        }
    }
}

impl Ports for Board {
    fn now(&self) -> SimTime {
        self.now
    }
    fn hcall(&mut self, nr: u64, args: [u64; 5]) -> Result<Rets, HvError> {
        self.hcall_on(VcpuId(0), nr, args)
    }
    fn hcall_on(&mut self, vcpu: VcpuId, nr: u64, args: [u64; 5]) -> Result<Rets, HvError> {
        match nr {
            NCS_QCONF if args[2] == 0 => {
                assert_eq!(args[0], QTYPE_CWQ);
                let core = self.core(args[1])?;
                assert!(core.given.is_empty(), "a unit at work loses its queue");
                core.queue.take().ok_or(HvError::Inval)?;
                Ok([0; 5])
            }
            NCS_QCONF => {
                assert_eq!((args[0], args[2]), (QTYPE_CWQ, 64));
                assert_eq!(args[1] % 4096, 0, "aligned to its size");
                let number = usize::from(vcpu.0 / 2);
                let core = self.cores.get_mut(number).ok_or(HvError::NoAccess)?;
                (core.queue, core.head, core.tail) = (Some((args[1], 4096)), args[1], 0);
                Ok([(number as u64) << 16 | 0xa72, 0, 0, 0, 0])
            }
            NCS_GETHEAD => {
                let core = self.core(args[0])?;
                let (base, bytes) = core.queue.ok_or(HvError::Inval)?;
                Ok([(core.head - base) % bytes, 0, 0, 0, 0])
            }
            NCS_SETTAIL => {
                let number = usize::from(vcpu.0 / 2);
                let now = self.now;
                let (base, bytes) = self.core(args[0])?.queue.ok_or(HvError::Inval)?;
                assert_eq!((args[0] >> 16) as usize, number, "on a vCPU of that core");
                while self.cores[number].tail != args[1] {
                    let at = base + self.cores[number].tail;
                    let mut bytes_of = [0; 64];
                    self.memory.read(Pa(at), &mut bytes_of);
                    let entry = Entry::from_bytes(&bytes_of);
                    assert!(!entry.control.has(Control::DONE), "an entry is given anew");
                    let pa = |ra: Ra| Pa(ra.0);
                    let word = ControlWord {
                        control: entry.control,
                        source: pa(entry.source),
                        auth_key: pa(entry.auth_key),
                        auth_iv: pa(entry.auth_iv),
                        auth_state: pa(entry.auth_state),
                        key: pa(entry.key),
                        iv: pa(entry.iv),
                        destination: pa(entry.destination),
                    };
                    let core = &mut self.cores[number];
                    core.unit.submit(now, &[word]);
                    core.given.push_back(at);
                    assert!(core.given.len() < 64, "the queue is never full");
                    core.tail = (core.tail + ENTRY_BYTES) % bytes;
                }
                Ok([0; 5])
            }
            NCS_QHANDLE_TO_DEVINO => Ok([args[0] >> 16, 0, 0, 0, 0]),
            NCS_SETHEAD_MARKER => Ok([0; 5]),
            // intr_devino2sysino, intr_setenabled, intr_setstate, intr_settarget
            0xa0 => {
                assert_eq!(args[0], VIRTUAL_DEVICES);
                Ok([VIRTUAL_DEVICES | args[1], 0, 0, 0, 0])
            }
            0xa2 => {
                let core = &mut self.cores[(args[0] - VIRTUAL_DEVICES) as usize];
                (core.sysino, core.valid) = (args[0], args[1] == 1);
                Ok([0; 5])
            }
            0xa4 | 0xa6 => {
                assert!(args[0] >= VIRTUAL_DEVICES);
                Ok([0; 5])
            }
            _ => Err(HvError::BadTrap),
        }
    }
    fn core_call(&mut self, _: u64, args: [u64; 5]) -> Result<Rets, HvError> {
        assert_eq!(args[..2], [0x103, 2]);
        Ok([0; 5])
    }
    fn memory(&self) -> (Ra, u64) {
        (Ra(BASE), BYTES as u64)
    }
    fn read(&self, ra: Ra, bytes: &mut [u8]) {
        self.memory.read(Pa(ra.0), bytes);
    }
    fn write(&mut self, ra: Ra, bytes: &[u8]) {
        self.memory.write(Pa(ra.0), bytes);
    }
    fn send_frame(&mut self, _: u8, _: Vec<u8>) {}
    fn set_timer(&mut self, at: SimTime, token: u64) {
        assert_eq!(token, TIMER);
        self.timers.push((at, token));
    }
    fn job(&mut self, _: u64, work: Work) -> JobId {
        self.next_job += 1;
        self.jobs.push_back((JobId(self.next_job), work));
        JobId(self.next_job)
    }
    fn charge(&mut self, _: u64) {}
    fn vcpus(&self) -> usize {
        2 * self.cores.len() + 1
    }
    fn busy(&self) -> Vec<SimTime> {
        Vec::new()
    }
    fn reply(&mut self, _: u64, _: Reply) {}
    fn log(&mut self, line: String) {
        self.log.push(line);
    }
    fn observe(&mut self, _: Observation) {}
}

fn keys() -> seal::Keys {
    seal::Session::derive(&[1; 32]).to_target
}

fn text(n: usize) -> Text {
    let plain: Vec<u8> = (0..n).map(|at| (at * 7 + n) as u8).collect();
    Text::from(&*plain)
}

const SIZES: [usize; 8] = [1, 15, 16, 4000, 65_519, 65_520, 65_536, 131_500];

#[test]
fn units_seal_what_software_opens_and_open_what_software_seals() {
    for cores in [1, 2] {
        let mut board = Board::new(cores);
        let mut units = Units::open(&mut board, &mut Board::arena(), Cost::default(), TIMER);
        assert_eq!(units.count(), cores);
        // More at once than there are slots.
        let tickets: Vec<(u64, usize, Ticket)> = (0..)
            .zip(SIZES.repeat(3))
            .map(|(number, n)| (number, n, units.seal(&mut board, &keys(), number, text(n))))
            .collect();
        board.settle(&mut units);
        for (number, n, ticket) in tickets {
            let record = units.take(ticket).expect("it is done").unwrap();
            assert_eq!(record, seal::seal(&keys(), number, text(n)), "{n} bytes");
            let ticket = units.open(&mut board, &keys(), number, record);
            board.settle(&mut units);
            let opened = units.take(ticket).expect("it is done").unwrap();
            assert_eq!(Text::from_bytes(opened), Some(text(n)), "{n} bytes");
        }
        assert_eq!(board.log, Vec::<String>::new(), "nothing was done in software");
        let bytes = 3 * SIZES.iter().sum::<usize>() as u64;
        let counters = board.cores.iter().map(|core| core.unit.counters());
        let ciphered: u64 = counters.map(|counters| counters.ciphered_bytes).sum();
        assert_eq!((ciphered, units.used().ciphered_bytes), (2 * bytes, 2 * bytes));
    }
}

#[test]
fn a_record_that_was_altered_is_refused() {
    let mut board = Board::new(1);
    let mut units = Units::open(&mut board, &mut Board::arena(), Cost::default(), TIMER);
    let good = seal::seal(&keys(), 3, text(5000));
    for (at, why) in [
        (2, Refusal::OutOfOrder),
        (9, Refusal::OutOfOrder),
        (16, Refusal::Forged),
        (3000, Refusal::Forged),
        (good.len() - 1, Refusal::Forged),
    ] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let ticket = units.open(&mut board, &keys(), 3, bad);
        board.settle(&mut units);
        assert_eq!(units.take(ticket), Some(Err(why)), "byte {at}");
    }
}

#[test]
fn pages_are_hashed_in_parts_and_come_back_whole() {
    let mut board = Board::new(2);
    let mut arena = Board::arena();
    let pages = arena.alloc(1 << 20).unwrap();
    let mut units = Units::open(&mut board, &mut arena, Cost::default(), TIMER);
    let ras: Vec<Ra> = (0..100).map(|n| pages.at(n * 8192)).collect();
    for (n, ra) in ras.iter().enumerate() {
        board.write(*ra, &[n as u8; 8192]);
    }
    let ticket = units.hash_pages(&mut board, &ras).expect("there are units");
    board.settle(&mut units);
    let expected: Vec<u8> = (0..100).flat_map(|n| Hasher::Sha256.hash(&[n; 8192])).collect();
    assert_eq!(units.take(ticket), Some(Ok(expected)));
    assert_eq!(units.used().hashed_bytes, 100 * 8192);
}

#[test]
fn without_interrupts_the_timer_finds_what_is_done() {
    let mut board = Board::new(1);
    board.interrupts = false;
    let mut units = Units::open(&mut board, &mut Board::arena(), Cost::default(), TIMER);
    let ticket = units.seal(&mut board, &keys(), 0, text(100));
    board.settle(&mut units);
    assert!(units.take(ticket).is_some());
    assert!(board.now >= WATCH);
}

#[test]
fn a_domain_without_units_gets_the_same_bytes() {
    let mut board = Board::new(0);
    let mut units = Units::open(&mut board, &mut Board::arena(), Cost::default(), TIMER);
    assert_eq!(units.count(), 0);
    let ticket = units.seal(&mut board, &keys(), 8, text(300));
    assert_eq!(units.hash_pages(&mut board, &[Ra(BASE)]), None);
    board.settle(&mut units);
    assert_eq!(units.take(ticket), Some(Ok(seal::seal(&keys(), 8, text(300)))));
    assert_eq!(units.used(), Default::default());
}

#[test]
fn units_close_when_idle_and_open_anew_in_the_same_memory() {
    let mut board = Board::new(2);
    let mut arena = Board::arena();
    let mut units = Units::open(&mut board, &mut arena, Cost::default(), TIMER);
    let seal = |board: &mut Board, units: &mut Units, number| {
        let ticket = units.seal(board, &keys(), number, text(70_000));
        board.settle(units);
        let sealed = Some(Ok(seal::seal(&keys(), number, text(70_000))));
        assert_eq!(units.take(ticket), sealed);
    };
    let ticket = units.seal(&mut board, &keys(), 0, text(70_000));
    assert!(!units.is_idle());
    assert_eq!(units.close(&mut board, &mut arena), Ok(false), "it works");
    assert_eq!(units.count(), 2);
    board.settle(&mut units);
    assert!(units.take(ticket).is_some());

    let done = units.used();
    for round in 0..20 {
        // Eight megabytes would not last for twenty times two megabytes and more.
        assert_eq!(units.close(&mut board, &mut arena), Ok(true));
        assert!(board.cores.iter().all(|core| core.queue.is_none() && !core.valid));
        assert_eq!(units.count(), 0);
        seal(&mut board, &mut units, round);
        units.reopen(&mut board, &mut arena);
        assert_eq!(units.count(), 2, "round {round}");
    }
    assert_eq!(units.used(), done, "closed units seal nothing");
    seal(&mut board, &mut units, 20);
    assert_eq!(units.used().ciphered_bytes, done.ciphered_bytes + 70_000);

    // The second core goes.
    assert_eq!(units.close(&mut board, &mut arena), Ok(true));
    board.cores.pop();
    units.reopen(&mut board, &mut arena);
    assert_eq!(units.count(), 1);
    seal(&mut board, &mut units, 21);
    assert_eq!(board.log, Vec::<String>::new());
}

#[test]
fn two_units_take_half_the_time_of_one() {
    let took = |cores| {
        let mut board = Board::new(cores);
        let mut units = Units::open(&mut board, &mut Board::arena(), Cost::default(), TIMER);
        let tickets: Vec<Ticket> =
            (0..64).map(|number| units.seal(&mut board, &keys(), number, text(100_000))).collect();
        board.settle(&mut units);
        assert!(tickets.into_iter().all(|ticket| units.take(ticket).is_some()));
        board.now.as_us()
    };
    let (one, two) = (took(1), took(2));
    assert!(one > 19 * two / 10, "{one} against {two} us");
    // Two passes at the rates of one unit: 44 and 41 Gbit/s a chip of eight, at 1.4 GHz.
    let cycles = 64.0 * 100_000.0 * 8.0 * 8.0 * 1.4 * (1.0 / 44.0 + 1.0 / 41.0);
    let least = cycles / T2_HZ as f64 * 1e6;
    let ratio = one as f64 / least;
    assert!((1.0..1.05).contains(&ratio), "{one} us, and {least} at the least");
}

#[test]
fn what_nobody_wants_any_more_is_dropped() {
    let mut board = Board::new(1);
    let mut units = Units::open(&mut board, &mut Board::arena(), Cost::default(), TIMER);
    let ticket = units.seal(&mut board, &keys(), 0, text(100));
    units.forget(ticket);
    board.settle(&mut units);
    assert_eq!(units.take(ticket), None);
}
