//! The host of a native program: its ports, its timers and jobs, and the time that
//! its work takes.
//!
//! A program is woken at slice boundaries ([`NativeHost::run`]). What is due comes
//! in this order: what was put in ([`NativeHost::put`]) in its order; jobs by (due
//! time, number); requests to local disks likewise; timers by (time, order of setting); then device mondos until the
//! queue is empty. What becomes due while the program runs waits for the next
//! boundary, so a program that always asks for "now" does not stop the world.
//!
//! **Time.** A strand works through what it is given in the order of giving. A job
//! or a charge goes to the strand that is free first (of equals, the lowest
//! number), begins when that strand is free, and keeps it busy for its cycles. So
//! charges queue behind jobs and jobs behind charges; a charge delays nothing but
//! the work behind it. Because a strand has no gaps before its last work ends,
//! [`Ports::busy`] is what it was given less what lies in the future. A strand that
//! is taken away from the domain ends the jobs it has; when it comes back it begins
//! at zero, as every new one.

use super::board::Board;
use super::disks::{Drives, Ended};
use super::pool::{Job, Pool};
use super::slice::DomainSlice;
use crate::lab::record::Fact;
use crate::time::event::EventQueue;
use hv::Hypervisor;
use hv::platform::Machine;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::HvError;
use sun4v::id::{GuestId, VcpuId};
use sun4v::native::{
    DiskRequest, Event, JobId, LocalDisk, Observation, Ports, Program, Reply, Rets, Work,
};
use sun4v::time::{SimTime, T2_HZ};

mod record;
pub use record::NativeV1;

/// Software trap number of most hypercalls, and of those that are always there.
const FAST_TRAP: u8 = 0x80;
const CORE_TRAP: u8 = 0xff;
/// Mondos that a program takes at one boundary.
const MONDOS_A_TURN: usize = 4096;

/// What a strand was given.
#[derive(Clone, Copy, Debug, Default)]
struct Strand {
    /// Busy until then, without a gap from now on.
    free_at: SimTime,
    /// All it was ever given.
    given: SimTime,
}

impl Strand {
    fn busy(&self, now: SimTime) -> SimTime {
        self.given.since(self.free_at.since(now))
    }
}

/// Everything of a program's host but the program.
struct Desktop {
    guest: GuestId,
    /// Where facts are noted: the chassis.
    place: String,
    strands: BTreeMap<VcpuId, Strand>,
    timers: EventQueue<u64>,
    jobs: BTreeMap<(SimTime, JobId), Arc<Job>>,
    next_job: u64,
    drives: Drives,
    inbox: VecDeque<Event>,
    frames: Vec<(u8, Vec<u8>)>,
    replies: Vec<(u64, Reply)>,
    facts: Vec<Fact>,
    consoles: Vec<(String, ConsoleNews)>,
}

/// What a program tells about the console of another domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleNews {
    /// It has written.
    Out(Vec<u8>),
    /// It takes so many characters; `None` when it is gone.
    Room(Option<usize>),
}

/// A native program in its domain.
pub struct NativeHost {
    program: Box<dyn Program>,
    desktop: Desktop,
    /// The last turn ended with mondos left.
    unfinished: bool,
}

impl NativeHost {
    /// Hosts `program` in `guest`; its facts are noted at `place`.
    #[must_use]
    pub fn new(guest: GuestId, place: &str, program: Box<dyn Program>) -> Self {
        let desktop = Desktop {
            guest,
            place: place.to_owned(),
            strands: BTreeMap::new(),
            timers: EventQueue::new(),
            jobs: BTreeMap::new(),
            next_job: 0,
            drives: Drives::default(),
            inbox: VecDeque::new(),
            frames: Vec::new(),
            replies: Vec::new(),
            facts: Vec::new(),
            consoles: Vec::new(),
        };
        Self { program, desktop, unfinished: false }
    }

    /// Whose software it is.
    #[must_use]
    pub fn guest(&self) -> GuestId {
        self.desktop.guest
    }

    /// Gives it the disks of the chassis.
    pub fn set_drives(&mut self, drives: Drives) {
        self.desktop.drives = drives;
    }

    /// Puts in an event for the next turn.
    pub fn put(&mut self, event: Event) {
        self.desktop.inbox.push_back(event);
    }

    /// When something is due next, unless a mondo comes: not after now where events
    /// wait.
    #[must_use]
    pub fn next_time(&self) -> SimTime {
        let desktop = &self.desktop;
        if self.unfinished || !desktop.inbox.is_empty() {
            return SimTime::ZERO;
        }
        let job = desktop.jobs.keys().next().map_or(SimTime::NEVER, |(due, _)| *due);
        job.min(desktop.drives.next_time()).min(desktop.timers.next_time())
    }

    /// Wakes the program for all that is due.
    pub fn run(&mut self, hv: &mut Hypervisor, board: &mut Board, pool: &Pool<DomainSlice>) {
        let now = board.now();
        let desktop = &mut self.desktop;
        if let Some(guest) = hv.guest(desktop.guest) {
            desktop.strands.retain(|vcpu, _| guest.vcpus.contains_key(vcpu));
        }
        let mut batch = std::mem::take(&mut desktop.inbox);
        while let Some(entry) = desktop.jobs.first_entry()
            && entry.key().0 <= now
        {
            let ((_, job), work) = entry.remove_entry();
            batch.push_back(Event::JobDone { job, output: work.take() });
        }
        while let Some(Ended { token, result, line }) = desktop.drives.pop_until(now) {
            if let Some(line) = line {
                let name = hv.guest(desktop.guest).map_or("", |guest| guest.name());
                let fact = Fact::new(now, &desktop.place, "log", "line", name);
                desktop.facts.push(fact.saying(line));
            }
            batch.push_back(Event::DiskDone { token, result });
        }
        while let Some((_, token)) = desktop.timers.pop_until(now) {
            batch.push_back(Event::Timer(token));
        }
        let mut ports = NativePorts { desktop, hv, board, pool };
        for event in batch {
            self.program.event(event, &mut ports);
        }
        self.unfinished = true;
        for _ in 0..MONDOS_A_TURN {
            let Some(words) = ports.hv.next_mondo(ports.desktop.guest, ports.board) else {
                self.unfinished = false;
                break;
            };
            self.program.event(Event::Mondo(words), &mut ports);
        }
    }

    /// Virtual CPUs that are at work at `now`, and until when.
    pub fn at_work(&self, now: SimTime) -> impl Iterator<Item = (VcpuId, SimTime)> {
        let strands = self.desktop.strands.iter().map(|(&vcpu, strand)| (vcpu, strand.free_at));
        strands.filter(move |(_, free_at)| *free_at > now)
    }

    /// Tells the board how busy each strand was until now.
    pub fn publish(&self, board: &mut Board) {
        let now = board.now();
        if let Some(desk) = board.desk(self.desktop.guest) {
            let strands = self.desktop.strands.iter();
            desk.publish(strands.map(|(&vcpu, strand)| (vcpu, strand.busy(now))));
        }
    }

    /// Frames that the program sent since the last call, with their interfaces.
    pub fn take_frames(&mut self) -> Vec<(u8, Vec<u8>)> {
        std::mem::take(&mut self.desktop.frames)
    }

    /// Answers to commands since the last call.
    pub fn take_replies(&mut self) -> Vec<(u64, Reply)> {
        std::mem::take(&mut self.desktop.replies)
    }

    /// Facts, lines of the log and of consoles since the last call.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.desktop.facts)
    }

    /// News of other domains' consoles since the last call, in order.
    pub fn take_consoles(&mut self) -> Vec<(String, ConsoleNews)> {
        std::mem::take(&mut self.desktop.consoles)
    }
}

/// The ports of a program for one turn.
struct NativePorts<'a> {
    desktop: &'a mut Desktop,
    hv: &'a mut Hypervisor,
    board: &'a mut Board,
    pool: &'a Pool<DomainSlice>,
}

impl NativePorts<'_> {
    fn call(&mut self, vcpu: VcpuId, number: u8, nr: u64, args: [u64; 5]) -> Result<Rets, HvError> {
        self.hv.native_call(self.desktop.guest, vcpu, number, nr, args, self.board)
    }

    /// Where the domain's own bytes lie.
    fn resolve(&self, ra: Ra, bytes: usize) -> Pa {
        let guest = self.hv.guest(self.desktop.guest);
        match guest.and_then(|guest| guest.map.resolve(ra, bytes as u64)) {
            Some(pa) => pa,
            None => panic!("a native program reaches for {bytes:#x} bytes at {ra}, not its own"),
        }
    }

    /// Gives `cycles` to the strand that is free first; when they will be over.
    fn occupy(&mut self, cycles: u64) -> SimTime {
        let (now, strands) = (self.board.now(), &mut self.desktop.strands);
        let vcpus = self.hv.guest(self.desktop.guest).into_iter();
        let vcpus = vcpus.flat_map(|guest| guest.vcpus.keys());
        let free_at = |vcpu| strands.get(vcpu).map_or(SimTime::ZERO, |strand| strand.free_at);
        let first = vcpus.min_by_key(|&vcpu| (free_at(vcpu).max(now), *vcpu)).copied();
        let strand = strands.entry(first.unwrap_or_default()).or_default();
        let span = SimTime::of_ticks(cycles, T2_HZ);
        strand.free_at = strand.free_at.max(now).plus(span);
        strand.given = strand.given.plus(span);
        strand.free_at
    }

    fn note(&mut self, subject: &str, what: &str, name: &str, line: String) {
        let fact = Fact::new(self.board.now(), &self.desktop.place, subject, what, name);
        self.desktop.facts.push(fact.saying(line));
    }
}

impl Ports for NativePorts<'_> {
    fn now(&self) -> SimTime {
        self.board.now()
    }
    fn hcall(&mut self, nr: u64, args: [u64; 5]) -> Result<Rets, HvError> {
        self.call(VcpuId(0), FAST_TRAP, nr, args)
    }
    fn hcall_on(&mut self, vcpu: VcpuId, nr: u64, args: [u64; 5]) -> Result<Rets, HvError> {
        let guest = self.hv.guest(self.desktop.guest);
        if guest.is_none_or(|guest| !guest.vcpus.contains_key(&vcpu)) {
            return Err(HvError::NoCpu);
        }
        self.call(vcpu, FAST_TRAP, nr, args)
    }
    fn core_call(&mut self, nr: u64, args: [u64; 5]) -> Result<Rets, HvError> {
        self.call(VcpuId(0), CORE_TRAP, nr, args)
    }
    fn memory(&self) -> (Ra, u64) {
        let guest = self.hv.guest(self.desktop.guest);
        let first = guest.and_then(|guest| guest.map.ranges().first());
        first.map_or((Ra(0), 0), |range| (range.ra, range.size))
    }
    fn read(&self, ra: Ra, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        self.board.memory().read(self.resolve(ra, bytes.len()), bytes);
    }
    fn write(&mut self, ra: Ra, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let pa = self.resolve(ra, bytes.len());
        self.board.memory().write(pa, bytes);
    }
    fn send_frame(&mut self, nic: u8, frame: Vec<u8>) {
        self.desktop.frames.push((nic, frame));
    }
    fn set_timer(&mut self, at: SimTime, token: u64) {
        self.desktop.timers.post(at, token);
    }
    fn job(&mut self, cycles: u64, work: Work) -> JobId {
        let due = self.occupy(cycles);
        let job = JobId(self.desktop.next_job);
        self.desktop.next_job += 1;
        self.desktop.jobs.insert((due, job), self.pool.job(work));
        job
    }
    fn disks(&self) -> Vec<LocalDisk> {
        self.desktop.drives.list()
    }
    fn disk(&mut self, disk: usize, token: u64, request: DiskRequest) {
        self.desktop.drives.submit(self.board.now(), disk, token, request, self.pool);
    }
    fn charge(&mut self, cycles: u64) {
        self.occupy(cycles);
    }
    fn vcpus(&self) -> usize {
        self.hv.guest(self.desktop.guest).map_or(0, |guest| guest.vcpus.len())
    }
    fn busy(&self) -> Vec<SimTime> {
        let (now, strands) = (self.board.now(), &self.desktop.strands);
        let vcpus = self.hv.guest(self.desktop.guest).into_iter();
        let vcpus = vcpus.flat_map(|guest| guest.vcpus.keys());
        vcpus.map(|vcpu| strands.get(vcpu).map_or(SimTime::ZERO, |one| one.busy(now))).collect()
    }
    fn reply(&mut self, id: u64, reply: Reply) {
        self.desktop.replies.push((id, reply));
    }
    fn log(&mut self, line: String) {
        let guest = self.hv.guest(self.desktop.guest);
        let name = guest.map_or_else(String::new, |guest| guest.name().to_owned());
        self.note("log", "line", &name, line);
    }
    fn console(&mut self, domain: &str, line: String) {
        self.note("console", "line", domain, line);
    }
    fn console_out(&mut self, domain: &str, bytes: &[u8]) {
        self.desktop.consoles.push((domain.to_owned(), ConsoleNews::Out(bytes.to_vec())));
    }
    fn console_room(&mut self, domain: &str, room: Option<usize>) {
        self.desktop.consoles.push((domain.to_owned(), ConsoleNews::Room(room)));
    }
    fn observe(&mut self, fact: Observation) {
        let fact = Fact::observed(self.board.now(), &self.desktop.place, fact);
        self.desktop.facts.push(fact);
    }
}
