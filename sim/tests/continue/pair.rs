//! Two runs of one guest side by side: one that stays, one that moves.
//!
//! Both have the same boundaries. At every look all that there is of them is compared, with
//! nothing left out: the guest's own record, every strand's, clocks, instructions and traps
//! executed, console, and memory, page by page.

use crate::chassis::{Chassis, GUEST, Peer};
use crate::guests::{Other, Spec};
use hv::GuestV1;
use hv::platform::{Cpus, Queue};
use sim::chassis::domain::Domain;
use sim::engine::Choice;
use std::collections::BTreeMap;
use sun4v::addr::PAGE_BYTES;
use sun4v::hvctl::{Request, Status, migrate};
use sun4v::id::VcpuId;
use sun4v::record::{StrandV1, decode, encode};
use sun4v::time::{SimTime, T2_HZ};

/// Bytes of memory that are compared at a time.
const CHUNK: u64 = 32 * PAGE_BYTES;
/// Ticks in which a condition is looked for, one at a time.
const SEARCH: u64 = 15_000;

/// What a point is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// The count of ticks alone.
    Ticks,
    /// In a handler of a trap.
    Trap,
    /// In the handler that saves a window.
    Spill,
    /// In the handler that restores one.
    Fill,
    /// CPU mondos are in a queue.
    Mondo,
    /// One waits for room in a queue.
    Mailbox,
    /// Device mondos are in a queue.
    Device,
    /// Packets are in the guest's own queues.
    Ring,
    /// The guest waits for a copy over a channel.
    Copy,
    /// Of two pages that a peer writes into the guest, one is there.
    HalfBlock,
    /// A crypto unit is at work.
    Crypto,
    /// A compare register matches within a slice.
    Timer,
    /// A virtual CPU is parked.
    Parked,
}

/// A fault that is planted, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// One page of the residual is not carried.
    Page,
    /// The records forget what compare registers have noted.
    Timer,
}

/// What of a virtual CPU would be saved.
fn strand(domain: &Domain, vcpu: VcpuId) -> StrandV1 {
    Cpus::save(domain, vcpu)
}

/// A run.
pub struct World {
    chassis: Vec<Chassis>,
    /// On which of them the guest is.
    here: usize,
    peer: Peer,
    console: Vec<u8>,
    pub ended: Option<u64>,
}

impl World {
    fn new(spec: &Spec, choice: Choice, places: &[(u64, u8)]) -> Self {
        let chassis = places.iter().map(|&(pa, strand)| Chassis::new(spec, choice, pa, strand));
        let mut world = Self {
            chassis: chassis.collect(),
            here: 0,
            peer: Peer::default(),
            console: Vec::new(),
            ended: None,
        };
        world.chassis[0].start(spec);
        world
    }

    fn here(&mut self) -> &mut Chassis {
        &mut self.chassis[self.here]
    }

    /// The chassis with the guest, and the other one.
    fn both(&mut self) -> (&mut Chassis, &mut Chassis) {
        let (first, second) = self.chassis.split_at_mut(1);
        match self.here {
            0 => (&mut first[0], &mut second[0]),
            _ => (&mut second[0], &mut first[0]),
        }
    }

    fn next(&self) -> SimTime {
        self.chassis.iter().map(Chassis::next).min().unwrap_or(SimTime::NEVER)
    }

    fn slice(&mut self, until: SimTime, boundary: bool) {
        for (n, chassis) in self.chassis.iter_mut().enumerate() {
            let (ended, text) = chassis.slice(until, boundary);
            self.console.extend(text);
            if n == self.here {
                self.ended = self.ended.or(ended);
            }
        }
        if boundary && self.ended.is_none() {
            self.peer_steps();
        }
    }

    fn peer_steps(&mut self) {
        let Self { peer, chassis, here, .. } = self;
        peer.step(&mut chassis[*here]);
    }

    /// Instructions executed, and traps served by the guest.
    fn counts(&self) -> (u64, BTreeMap<usize, u64>) {
        let (mut instructions, mut traps) = (0, BTreeMap::new());
        for chassis in &self.chassis {
            let Some(domain) = chassis.board.domain(GUEST) else { continue };
            let counts = domain.counts();
            instructions += counts.instructions;
            for (tt, &count) in counts.traps.iter().enumerate().filter(|(_, count)| **count != 0) {
                *traps.entry(tt).or_default() += count;
            }
        }
        (instructions, traps)
    }

    /// All that there is of the guest but its memory, a line each.
    fn state(&self) -> Vec<String> {
        let chassis = &self.chassis[self.here];
        let guest = chassis.hv.guest(GUEST).unwrap();
        let domain = chassis.board.domain(GUEST).unwrap();
        let mut lines = vec![
            format!("{:x?}", guest.record()),
            format!("state {:?} ended {:?} peer {:?}", guest.state, self.ended, self.peer),
            format!("stick {} next {:?}", domain.stick(), domain.next_time()),
            format!("counts {:x?}", self.counts()),
            format!("console {:?}", String::from_utf8_lossy(&self.console)),
        ];
        lines.extend(guest.vcpus.keys().map(|&id| format!("{id:?} {:x?}", strand(domain, id))));
        // The clock of a strand that does not run begins again when it is started.
        let runs = |id: u8| !strand(domain, VcpuId(id)).stopped;
        let ticks = domain.save().seats.into_iter().filter(|seat| runs(seat.vcpu));
        let ticks: Vec<_> = ticks.map(|seat| seat.tick.to_string()).collect();
        lines.push(format!("ticks {}", ticks.join(" ")));
        lines
    }

    /// Is it as a point wants it?
    fn is(&mut self, when: When, now: SimTime, slice: SimTime) -> bool {
        let peer = self.peer;
        let chassis = self.here();
        let guest = chassis.hv.guest(GUEST).unwrap();
        let ids: Vec<VcpuId> = guest.vcpus.keys().copied().collect();
        let mailbox = guest.vcpus.values().any(|vcpu| vcpu.mailbox.is_some());
        let crypto = guest.crypto.values().any(|unit| unit.is_busy());
        let copy = !guest.deferred.is_empty();
        let ring = guest.endpoints.values().any(|end| {
            let waits = |queue: &hv::ldc::PacketQueue| queue.head != queue.tail;
            waits(&end.tx) || waits(&end.rx)
        });
        let domain = chassis.board.domain(GUEST).unwrap();
        let levels = || ids.iter().map(|&id| (domain.levels(id).0, id));
        let handles = |from: u64, to: u64| {
            levels().filter(|(tl, _)| *tl > 0).any(|(tl, id)| {
                let tt = strand(domain, id).trap_stack[usize::from(tl) - 1][3];
                (from..to).contains(&tt)
            })
        };
        let pending = |queue| {
            ids.iter().any(|&id| {
                let (head, tail) = domain.queue(id, queue);
                head != tail
            })
        };
        match when {
            When::Ticks => true,
            When::Trap => levels().any(|(tl, _)| tl > 0),
            When::Spill => handles(0x80, 0xc0),
            When::Fill => handles(0xc0, 0x100),
            When::Mondo => pending(Queue::CpuMondo),
            When::Mailbox => mailbox,
            When::Device => pending(Queue::DevMondo),
            When::Ring => ring,
            When::Copy => copy,
            When::HalfBlock => peer.request.is_some_and(|(_, slices)| (3..5).contains(&slices)),
            When::Crypto => crypto,
            When::Timer => ids.iter().any(|&id| {
                let compare = strand(domain, id).stick_cmpr;
                let ahead = compare.wrapping_sub(domain.stick());
                compare >> 63 == 0 && ahead < slice.ticks(T2_HZ) && now != SimTime::ZERO
            }),
            When::Parked => ids.iter().any(|&id| strand(domain, id).parked),
        }
    }
}

/// The records of a guest, with nothing in any SOFTINT.
fn without_timers(mut bytes: &[u8]) -> Vec<u8> {
    let guest: GuestV1 = decode(&mut bytes).unwrap();
    let mut out = Vec::new();
    encode(&guest, &mut out);
    for _ in &guest.vcpus {
        let strand: StrandV1 = decode(&mut bytes).unwrap();
        encode(&StrandV1 { softint: 0, ..strand }, &mut out);
    }
    out
}

/// What was seen of a pair.
#[derive(Debug, Default)]
pub struct Tally {
    /// Points by what they were chosen by.
    pub points: BTreeMap<When, usize>,
    /// Of the guest that moved at each: pages carried again while it ran, and in the pause.
    pub again: usize,
    pub residual: usize,
}

/// Two runs side by side.
pub struct Pair<'a> {
    spec: &'a Spec,
    pub stays: World,
    pub moves: World,
    now: SimTime,
    random: u64,
    pub tally: Tally,
}

impl<'a> Pair<'a> {
    /// At the start; `choice` says how the one that moves is run, and `other` the other.
    pub fn new(spec: &'a Spec, choice: Choice, other: Choice, seed: u64) -> Self {
        // A guest knows its crypto unit by the core.
        let strands = if spec.crypto { [8, 8, 8] } else { [8, 20, 33] };
        let place = |n: usize, strand: usize| (0x400_0000 + n as u64 * 0x80_0000, strands[strand]);
        Self {
            spec,
            stays: World::new(spec, other, &[place(1, 2)]),
            moves: World::new(spec, choice, &[place(0, 0), place(2, 1)]),
            now: SimTime::ZERO,
            random: seed | 1,
            tally: Tally::default(),
        }
    }

    /// A number below `limit`.
    pub fn draw(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit.max(1)
    }

    pub fn ended(&self) -> bool {
        self.stays.ended.is_some() || self.moves.ended.is_some()
    }

    fn slice(&mut self, until: SimTime, boundary: bool) {
        self.now = until;
        self.stays.slice(until, boundary);
        self.moves.slice(until, boundary);
    }

    /// Runs both up to `end`.
    pub fn run(&mut self, end: SimTime) {
        while self.now < end && !self.ended() {
            let due = self.stays.next().min(self.moves.next()).max(self.now);
            let slice = self.spec.slice;
            let line = SimTime(due.0 / slice.0 * slice.0).plus(slice);
            self.slice(line.min(end), true);
        }
    }

    /// Types at both consoles.
    fn type_keys(&mut self) {
        for world in [&mut self.stays, &mut self.moves] {
            let chassis = world.here();
            chassis.hv.sp_input(GUEST, self.spec.keys, &mut chassis.board);
        }
    }

    /// What is not the same.
    pub fn difference(&self) -> Option<String> {
        let (one, other) = (self.stays.state(), self.moves.state());
        for (one, other) in one.iter().zip(&other) {
            if one != other {
                let at = one.bytes().zip(other.bytes()).position(|(a, b)| a != b).unwrap_or(0);
                let show = |text: &str| {
                    let near = text.char_indices().filter(|(n, _)| at.abs_diff(*n) < 160);
                    near.map(|(_, c)| c).collect::<String>()
                };
                return Some(format!("stays: {}\nmoves: {}", show(one), show(other)));
            }
        }
        let memory = |world: &World, at: u64, bytes: &mut [u8]| {
            world.chassis[world.here].read(at, bytes);
        };
        let (mut one, mut other) = (vec![0; CHUNK as usize], vec![0; CHUNK as usize]);
        for at in (0..self.spec.bytes).step_by(CHUNK as usize) {
            let length = CHUNK.min(self.spec.bytes - at) as usize;
            memory(&self.stays, at, &mut one[..length]);
            memory(&self.moves, at, &mut other[..length]);
            if one[..length] != other[..length] {
                let byte = (0..length).find(|&n| one[n] != other[n]).unwrap_or(0) as u64;
                return Some(format!("memory: page {}", (at + byte) / PAGE_BYTES));
            }
        }
        None
    }

    /// Carries again what became dirty, while the guest runs.
    fn round(&mut self) {
        let (here, there) = self.moves.both();
        let dirty = here.dirty();
        here.carry(&dirty, there);
        self.tally.again += dirty.len();
    }

    /// Suspends the guest that moves, and the other one too if that is what it is compared
    /// with. Time passes only while crypto units end what they have.
    fn suspend(&mut self) {
        let mut waits = vec![&mut self.moves];
        if self.spec.other == Other::Held {
            waits.push(&mut self.stays);
        }
        let mut open: Vec<bool> = Vec::new();
        for world in waits {
            let chassis = world.here();
            chassis.say(Request::Migrate(migrate::Request::Suspend(1)));
            let reply = chassis.hear();
            open.push(reply.is_none());
            assert!(reply.is_none_or(|reply| reply.status == Status::Ok));
        }
        assert!(open.iter().all(|&is| is == open[0]), "one waits, one does not");
        let mut left = open[0];
        while left {
            assert_eq!(self.spec.other, Other::Held, "an untouched run has nothing to wait for");
            self.slice(self.now.plus(self.spec.slice), true);
            let replies = [self.moves.here().hear(), self.stays.here().hear()];
            assert_eq!(replies[0].is_some(), replies[1].is_some());
            left = replies[0].is_none();
        }
    }

    /// Moves the guest to the other chassis at `at` or, when something is wanted, in the
    /// ticks after it, the pages before that in `rounds`.
    ///
    /// # Errors
    /// What is not the same afterwards.
    pub fn cut(
        &mut self,
        rounds: [SimTime; 3],
        at: SimTime,
        when: When,
        fault: Fault,
    ) -> Result<(), String> {
        let [log, first, second] = rounds;
        self.run(log);
        if self.ended() {
            return Ok(());
        }
        let (here, there) = self.moves.both();
        there.spoil();
        here.migrate(migrate::Request::LogStart(1));
        let all: Vec<u32> = (0..here.pages()).collect();
        here.carry(&all, there);
        if !self.spec.keys.is_empty() {
            self.type_keys();
        }
        for time in [first, second] {
            self.run(time);
            self.round();
        }
        self.run(at);
        let met = self.search(when);
        if self.ended() {
            return Ok(());
        }
        *self.tally.points.entry(met).or_default() += 1;
        self.suspend();
        self.hand_over(fault)?;
        self.resume();
        self.difference().map_or(Ok(()), Err)
    }

    /// Goes on tick by tick until the one that stays is as it is wanted; else the point is
    /// as good as any. A copy is pending only until the boundary, which is left out then.
    fn search(&mut self, when: When) -> When {
        let (slice, tick) = (self.spec.slice, self.now.ticks(T2_HZ));
        if when == When::HalfBlock {
            for _ in 0..40 {
                if self.ended() || self.stays.is(when, self.now, slice) {
                    return when;
                }
                self.run(self.now.plus(slice));
            }
            return When::Ticks;
        }
        if when == When::Copy {
            for _ in 0..400 {
                let grid = SimTime((self.now.0 / slice.0 + 1) * slice.0);
                self.slice(grid, false);
                if self.ended() || self.stays.is(when, self.now, slice) {
                    return when;
                }
                self.slice(grid, true);
            }
            return When::Ticks;
        }
        for n in 1..SEARCH {
            if self.ended() || self.stays.is(when, self.now, slice) {
                return when;
            }
            self.slice(SimTime::of_ticks(tick + n, T2_HZ), true);
        }
        When::Ticks
    }

    /// The residual, and the state.
    fn hand_over(&mut self, fault: Fault) -> Result<(), String> {
        let (here, there) = self.moves.both();
        let mut rest = here.dirty();
        self.tally.residual += rest.len();
        if fault == Fault::Page {
            let differs = |page: &u32| {
                let mut pages = [[0; PAGE_BYTES as usize]; 2];
                here.read(u64::from(*page) * PAGE_BYTES, &mut pages[0]);
                there.read(u64::from(*page) * PAGE_BYTES, &mut pages[1]);
                pages[0] != pages[1]
            };
            let page = *rest.iter().find(|page| differs(page)).ok_or("no page to leave out")?;
            rest.retain(|&other| other != page);
        }
        here.carry(&rest, there);
        let mut state = here.state_out();
        if fault == Fault::Timer {
            state = without_timers(&state);
        }
        there.state_in(&state);
        // It is there as it was here.
        match there.state_out() == state {
            true => Ok(()),
            false => Err("the records that arrive are not those that left".into()),
        }
    }

    /// Lets both go on, the one that moved where it is now.
    fn resume(&mut self) {
        if self.spec.other == Other::Held {
            let here = self.stays.here();
            here.migrate(migrate::Request::Resume(1));
            here.forget_translations();
            self.stays.peer_steps();
        }
        let (here, there) = self.moves.both();
        there.migrate(migrate::Request::Resume(1));
        here.migrate(migrate::Request::LogStop(1));
        here.ask(Request::GuestStop(1));
        self.moves.here = 1 - self.moves.here;
        if self.spec.other == Other::Held {
            self.moves.peer_steps();
        }
    }

    pub fn now(&self) -> SimTime {
        self.now
    }

    /// What both have written.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&self.moves.console).into_owned()
    }
}
