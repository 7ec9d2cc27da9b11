//! Two ends, a wire that can be cut and tampered with, journals that outlive their ends,
//! and a guest that writes: enough of a world to migrate in.

mod end;

use self::end::{End, FakeFence, FakeWire, guest_of};
use super::fixed_time::FixedTime;
use super::handshake::Secrets;
use super::journal::{EntryV1, State, Store};
use super::pages::Stretch;
use super::port::{Input, Kind};
use super::rounds::Unfit;
use super::{Buffers, Config, Request, SoftCipher, Source, Target};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use sun4v::addr::{PAGE_BYTES, Ra};
use sun4v::time::SimTime;

/// Where the control domains have their memory.
const ARENA: Ra = Ra(0x800_0000);
/// The domain's name that no other domain ever has.
pub(crate) const UUID: &str = "0c0ffee0-0000-4000-8000-000000000001";
const LATENCY: SimTime = SimTime::us(100);
pub(crate) const TIMER: u64 = 77;
/// Where somebody ends, the guest stops writing then: it has seen all there is.
const WRITES_END: SimTime = SimTime::secs(3);

/// A deterministic stream of numbers.
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 >> 24
    }
}

/// The volume of the domain, which both ends reach, and the network.
#[derive(Default)]
pub(crate) struct Outside {
    /// The newest epoch at which the volume was claimed.
    pub(crate) claimed: u64,
    /// What lies on it, by block.
    pub(crate) volume: BTreeMap<u64, u64>,
    /// What its owner believes to lie there.
    pub(crate) believed: BTreeMap<u64, u64>,
    /// Writes that were refused, by end.
    pub(crate) refused: [u64; 2],
    /// Frames that came out of either end.
    pub(crate) frames: [u64; 2],
    /// Those that came from who did not own the domain.
    pub(crate) strays: u64,
}

/// Does a journal say that its end may run the domain, whatever else is not known?
/// `what` is what its manager has: a domain, or a shell.
pub(crate) fn owns(ledger: &super::journal::Ledger, what: Option<&str>) -> bool {
    let came = ledger.arrivals().any(|own| matches!(own.state, State::Activated | State::Here));
    let left = |own: &EntryV1| matches!(own.state, State::Commit | State::Released);
    came || what == Some("domain") && !ledger.departures().any(left)
}

/// Has a target that can run the domain whatever a source's journal gave away?
pub(crate) fn given_to_somebody(
    source: &super::journal::Ledger,
    target: &super::journal::Ledger,
) -> bool {
    let given = source.departures().any(|own| own.state == State::Commit);
    let ready =
        |own: &EntryV1| matches!(own.state, State::Prepared | State::Activated | State::Here);
    !given || target.arrivals().any(ready)
}

/// When somebody's software ends: at the `at`th moment, counted over both ends. Moments
/// are before and after an entry is durable, and before and after a message arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    pub(crate) at: usize,
    /// Which ends.
    pub(crate) ends: [bool; 2],
    /// What they had asked for, and were writing, is lost.
    pub(crate) loses: bool,
    /// How long they are away.
    pub(crate) away: SimTime,
}

/// What happens to the `n`th thing that is sent, counted over both directions or,
/// for tampering, from the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The wire is cut, and this is lost.
    Cut(usize),
    /// One bit of it is turned.
    Alter(usize),
    /// It comes twice.
    Replay(usize),
    /// It comes after the next one.
    Swap(usize),
    /// Half of it is missing.
    Truncate(usize),
}

/// What becomes of a frame on its way: frames, and an empty one for the end of the
/// stream. It is told which end sent it, and the how manieth of that end's first
/// connection it is.
pub(crate) type Tamper = Box<dyn FnMut(usize, usize, Vec<u8>) -> Vec<Vec<u8>>>;

/// How the guest writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Writer {
    /// Pages a millisecond.
    pub(crate) pages: u64,
    /// Out of so many.
    pub(crate) among: u64,
}

pub(crate) struct World {
    now: SimTime,
    pub(crate) ends: [End; 2],
    pub(crate) source: Option<Source>,
    pub(crate) target: Option<Target>,
    /// When an end that is away begins again.
    away: [Option<SimTime>; 2],
    crash: Option<Crash>,
    moments: usize,
    pub(crate) crashed: bool,
    config: Config,
    /// Bytes on their way to each end.
    flying: [VecDeque<(SimTime, Vec<u8>)>; 2],
    /// Everything the source has put on the wire.
    pub(crate) tapped: Vec<u8>,
    connected: bool,
    /// Nobody gets through.
    pub(crate) cut_off: bool,
    begun: [usize; 2],
    sent: usize,
    pub(crate) sent_by_source: usize,
    fault: Option<Fault>,
    held: Option<Vec<u8>>,
    pub(crate) fault_happened: bool,
    redial_at: SimTime,
    /// The content that the guest believes it has.
    pub(crate) shadow: BTreeMap<u64, Vec<u8>>,
    writer: Writer,
    next_write: SimTime,
    writes_end: SimTime,
    limit: SimTime,
    /// Nobody looks who may run it.
    pub(crate) lenient: bool,
    pub(crate) outside: Outside,
    /// The target has run the domain.
    moved: bool,
    /// How often randomness was drawn.
    draws: u8,
    random: Random,
    /// Jobs end latest first.
    pub(crate) backwards: bool,
    pub(crate) outcome: Option<Result<(), Vec<String>>>,
    /// Longest time that nobody ran it, and since when nobody does.
    pub(crate) pause: SimTime,
    stopped_at: Option<SimTime>,
    pub(crate) percents: Vec<u8>,
    pub(crate) request: Request,
    pub(crate) buffers: Buffers,
    /// The guest writes zeros only.
    pub(crate) write_zeros: bool,
    connections: u32,
    /// Frames that either end sent over the first connection.
    pub(crate) frames: [Vec<Vec<u8>>; 2],
    pub(crate) tamper: Option<Tamper>,
    /// Keep what is on the wire.
    pub(crate) taps: bool,
    /// Host time, if it is to be measured what either end spends.
    pub(crate) clock: Option<fn() -> Duration>,
    pub(crate) spent: [Duration; 2],
}

/// The target's.
pub(crate) fn secrets() -> Secrets {
    Secrets { password: "secret".to_owned(), tickets: [0x71; 32] }
}

/// What to build.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) kind: Kind,
    pub(crate) pages: u64,
    pub(crate) writer: Writer,
    pub(crate) fault: Option<Fault>,
    pub(crate) check_only: bool,
    pub(crate) password: &'static str,
    pub(crate) fixed: FixedTime,
    pub(crate) rounds_max: u32,
    pub(crate) pause_budget: SimTime,
    /// When rounds do not help.
    pub(crate) unfit: Unfit,
    pub(crate) strands: usize,
    /// Level of compression.
    pub(crate) level: i32,
    /// Which ends can move a domain that runs on.
    pub(crate) live: [bool; 2],
    /// What stands against its leaving.
    pub(crate) leaving: Vec<String>,
    /// What its memory is filled with, again and again: whole pages.
    pub(crate) image: Option<Rc<[u8]>>,
    /// Randomness of the two ends.
    pub(crate) entropy: [u8; 2],
    pub(crate) crash: Option<Crash>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            kind: Kind::Active,
            pages: 160,
            writer: Writer::default(),
            fault: None,
            check_only: false,
            password: "secret",
            fixed: FixedTime::none(),
            rounds_max: 30,
            pause_budget: Config::default().policy.pause_budget,
            unfit: Unfit::Accept,
            strands: 4,
            level: 1,
            live: [true, true],
            leaving: Vec::new(),
            image: None,
            entropy: [1, 2],
            crash: None,
        }
    }
}

impl World {
    pub(crate) fn new(setup: &Setup) -> Self {
        let mut ends = [End::new(setup.strands), End::new(setup.strands)];
        let mut random = Random(42);
        let half = setup.pages / 2 * PAGE_BYTES;
        let memory = vec![
            Stretch { ra: Ra(0x800_0000), bytes: half },
            Stretch { ra: Ra(0x4000_0000), bytes: setup.pages * PAGE_BYTES - half },
        ];
        ends[0].manager.domain = Some(("rover".into(), "domain"));
        ends[0].manager.kind = Some(setup.kind);
        ends[0].manager.epoch = 1;
        ends[0].manager.memory.clone_from(&memory);
        if setup.kind == Kind::Active {
            let mut guest = guest_of(&memory);
            guest.running = true;
            for (n, page) in guest.memory.values_mut().enumerate() {
                if let Some(image) = &setup.image {
                    let at = n * page.len() % image.len();
                    let content = &image[at..at + page.len()];
                    page.copy_from_slice(content);
                    continue;
                }
                match n % 4 {
                    0 => {}
                    1 => page.fill(0x5a),
                    2 => page.iter_mut().for_each(|byte| *byte = random.next() as u8),
                    _ => page.iter_mut().for_each(|byte| *byte = b'a' + (random.next() % 5) as u8),
                }
            }
            ends[0].hv.guest = Some(guest);
        }
        let shadow = ends[0].hv.guest.clone().unwrap_or_default().memory;
        let mut config = Config { fixed: setup.fixed, level: setup.level, ..Config::default() };
        config.policy.rounds_max = setup.rounds_max;
        config.policy.unfit = setup.unfit;
        config.policy.pause_budget = setup.pause_budget;
        let buffers = Buffers { ra: ARENA };
        let request = Request {
            domain: "rover".into(),
            new_name: None,
            peer: "t5220".into(),
            host: "t5120".into(),
            password: setup.password.into(),
            check_only: setup.check_only,
            entropy: [setup.entropy[0]; 32],
            timer: TIMER,
        };
        let asked = request.clone();
        ends[0].manager.leaving.clone_from(&setup.leaving);
        let configs = setup.live.map(|live| Config { live, ..config });
        let source = Source::new(configs[0], request, buffers, &mut ends[0].io()).unwrap();
        let (entropy, host) = ([setup.entropy[1]; 32], "t5220".into());
        let target = Target::new(configs[1], host, secrets(), entropy, TIMER, buffers);
        Self {
            now: SimTime::ZERO,
            ends,
            source: Some(source),
            target: Some(target),
            away: [None, None],
            crash: setup.crash,
            moments: 0,
            crashed: false,
            config,
            flying: [VecDeque::new(), VecDeque::new()],
            tapped: Vec::new(),
            connected: false,
            cut_off: false,
            begun: [0, 0],
            sent: 0,
            sent_by_source: 0,
            fault: setup.fault,
            held: None,
            fault_happened: false,
            redial_at: SimTime::ZERO,
            shadow,
            writer: setup.writer,
            next_write: SimTime::ms(1),
            writes_end: if setup.crash.is_some() { WRITES_END } else { SimTime::NEVER },
            limit: SimTime::NEVER,
            lenient: false,
            outside: Outside { claimed: 1, ..Outside::default() },
            moved: false,
            draws: 2,
            random,
            backwards: false,
            outcome: None,
            pause: SimTime::ZERO,
            stopped_at: None,
            percents: Vec::new(),
            request: asked,
            buffers,
            write_zeros: false,
            connections: 0,
            frames: Default::default(),
            tamper: None,
            taps: true,
            clock: None,
            spent: [Duration::ZERO; 2],
        }
    }

    fn tell(&mut self, end: usize, input: Input) {
        if self.away[end].is_some() {
            return;
        }
        let mut io = self.ends[end].io();
        match (end, &mut self.source, &mut self.target) {
            (0, Some(source), _) => source.event(&mut io, input),
            (1, _, Some(target)) => target.event(&mut io, input),
            _ => {}
        }
        self.collect(end);
    }

    /// Something that could be the last thing that an end does.
    fn moment(&mut self) {
        self.moments += 1;
        if let Some(crash) = self.crash
            && crash.at + 1 == self.moments
        {
            self.crashed = true;
            (0..2).filter(|&end| crash.ends[end]).for_each(|end| self.ends_software(end, &crash));
        }
    }

    pub(crate) fn ends_software(&mut self, end: usize, crash: &Crash) {
        self.away[end] = Some(self.now.plus(crash.away));
        if end == 0 {
            self.source = None
        } else {
            self.target = None
        }
        let End { desk, hv, manager, cipher, wire, journal, fence } = &mut self.ends[end];
        // The services open again as the manager knows the domain.
        *fence = FakeFence { epoch: manager.epoch, ..FakeFence::default() };
        desk.jobs.clear();
        desk.timers.clear();
        cipher.soft = SoftCipher::default();
        *wire = FakeWire::default();
        manager.status.clear();
        let (asked, deeds) = (std::mem::take(&mut hv.asked), std::mem::take(&mut manager.asked));
        if crash.loses {
            let torn = journal.writing.pop_front();
            if let Some((_, _, entry)) = torn {
                let part = journal.store.draft(&entry).unwrap().len() / 2;
                let bytes = journal.store.torn(&entry, part);
                journal.store = Store::open(&bytes).unwrap().0;
            }
        } else {
            for (.., request) in asked {
                let _ = hv.serve(desk, &request);
            }
            for (.., deed) in deeds {
                let _ = manager.serve(hv, deed);
            }
            for (_, tag, entry) in std::mem::take(&mut journal.writing) {
                if !journal.refuses.contains(&tag.0) {
                    journal.store.append(entry).unwrap();
                }
            }
        }
        journal.writing.clear();
        self.flying[end].clear();
        if self.connected {
            self.connected = false;
            self.flying[1 - end].push_back((self.now.plus(LATENCY), Vec::new()));
            self.redial_at = self.now.plus(SimTime::secs(1));
        }
    }

    /// An end begins again.
    fn begin_again(&mut self, end: usize) {
        self.away[end] = None;
        self.draws += 1;
        let draw = self.draws;
        self.flying[end].clear();
        let journal = &mut self.ends[end].journal;
        journal.store = Store::open(journal.store.bytes()).unwrap().0;
        if end == 0 {
            // The switch begins before anybody is served.
            self.ends[0].fence.shut = journal.store.ledger().has_left(UUID, 1);
            let journal = &self.ends[0].journal;
            let entry = journal.store.ledger().departures().next().cloned();
            self.source = entry.and_then(|entry| {
                let mut io = self.ends[0].io();
                let (host, fresh) = ("t5120".to_owned(), ([draw; 32], TIMER));
                Source::recall(self.config, &entry, host, fresh, self.buffers, &mut io)
            });
        } else {
            let entry = journal.store.ledger().arrivals().next().cloned();
            self.target = entry.map(|entry| self.recall_target(&entry));
        }
        self.collect(end);
    }

    fn recall_target(&mut self, entry: &EntryV1) -> Target {
        self.draws += 1;
        let (names, fresh) = (("t5220".to_owned(), secrets()), ([self.draws; 32], TIMER));
        let mut io = self.ends[1].io();
        Target::recall(self.config, names, fresh, self.buffers, entry, &mut io)
    }

    /// A new connection arrives at the target's control domain, which looks whom it is for.
    fn admit(&mut self, number: [u8; 16]) {
        if self.target.as_ref().is_some_and(|own| own.migration().is_none_or(|own| own == number)) {
            return;
        }
        assert!(self.target.as_ref().is_none_or(Target::is_finished));
        let entry = self.ends[1].journal.store.ledger().arrival(&number).cloned();
        let target = entry.map(|entry| self.recall_target(&entry)).unwrap_or_else(|| {
            self.draws += 1;
            let host = "t5220".to_owned();
            Target::new(self.config, host, secrets(), [self.draws; 32], TIMER, self.buffers)
        });
        self.target = Some(target);
    }

    /// An operator at the target takes the domain over.
    pub(crate) fn take_over(&mut self) -> Result<(), String> {
        let mut io = self.ends[1].io();
        let result = self.target.as_mut().unwrap().take_over(&mut io);
        self.collect(1);
        result
    }

    /// Both are done with it.
    pub(crate) fn is_finished(&self) -> bool {
        self.source.as_ref().is_none_or(Source::is_finished)
            && self.target.as_ref().is_none_or(Target::is_finished)
    }

    /// The journals, unless a domain was taken over by force, say of one end only that it
    /// may run the domain; and it runs nowhere else.
    fn check_owner(&mut self) {
        let owners = [self.ends[0].owns(), self.ends[1].owns()];
        let forced = self.ends[1].journal.store.ledger().seen(UUID) > 2;
        assert!(forced || self.lenient || owners != [true, true], "both may run it");
        let journals = self.ends.each_ref().map(|end| end.journal.store.ledger());
        assert!(given_to_somebody(journals[0], journals[1]), "it was given to nobody");
        let allowed = |end: usize| !self.ends[end].runs() || owners[end];
        assert!(self.lenient || allowed(0) && allowed(1), "it runs where it may not: {owners:?}");
        if self.ends[1].runs() && !std::mem::replace(&mut self.moved, true) {
            // What it finds there is its own, from now on.
            let forced = self.ends[1].journal.store.ledger().seen(UUID) > 2;
            let Outside { volume, believed, .. } = &mut self.outside;
            assert!(forced || volume == believed, "its volume was written to meanwhile");
            believed.clone_from(volume);
        }
        let claimed = !self.ends[1].runs() || self.outside.claimed >= 2;
        assert!(claimed, "it runs and its volume is not claimed");
        assert_eq!(self.outside.strays, 0, "a frame of who does not own it");
        assert!(self.outside.volume == self.outside.believed, "its volume is not what it wrote");
    }

    /// Puts on the wire what an end has sent.
    pub(crate) fn collect(&mut self, end: usize) {
        let sent = std::mem::take(&mut self.ends[end].wire.sent);
        for bytes in sent {
            if self.connected {
                self.fly(end, bytes);
                self.moment();
            }
        }
        if std::mem::take(&mut self.ends[end].wire.closed) && self.connected {
            self.fly(end, Vec::new());
        }
        if let Some(source) = &mut self.source {
            self.outcome = source.take_outcome().or(self.outcome.take());
        }
        let begun = self.ends[end].journal.begun.len();
        if std::mem::replace(&mut self.begun[end], begun) < begun {
            self.moment();
        }
    }

    fn fly(&mut self, from: usize, mut bytes: Vec<u8>) {
        let closes = bytes.is_empty();
        let number = self.sent;
        self.sent += 1;
        let at = self.now.plus(LATENCY);
        if self.fault == Some(Fault::Cut(number)) {
            self.fault_happened = true;
            self.cut();
            return;
        }
        if from == 0 && !closes {
            let number = self.sent_by_source;
            self.sent_by_source += 1;
            if self.taps {
                self.tapped.extend_from_slice(&bytes);
            }
            if let Some(held) = self.held.take() {
                self.flying[1].push_back((at, bytes));
                self.flying[1].push_back((at, held));
                return;
            }
            let happens = match self.fault {
                Some(Fault::Alter(n) | Fault::Replay(n) | Fault::Swap(n) | Fault::Truncate(n)) => {
                    n == number
                }
                _ => false,
            };
            if happens {
                self.fault_happened = true;
                let middle = bytes.len() / 2;
                match self.fault {
                    Some(Fault::Alter(_)) => bytes[middle] ^= 4,
                    Some(Fault::Replay(_)) => self.flying[1].push_back((at, bytes.clone())),
                    Some(Fault::Truncate(_)) => bytes.truncate(middle),
                    _ => {
                        self.held = Some(bytes);
                        return;
                    }
                }
            }
        }
        if !closes && self.connections == 1 && self.taps {
            let number = self.frames[from].len();
            self.frames[from].push(bytes.clone());
            if let Some(tamper) = &mut self.tamper {
                for piece in tamper(from, number, bytes) {
                    if piece.is_empty() {
                        self.end_stream(from, at);
                        return;
                    }
                    self.flying[1 - from].push_back((at, piece));
                }
                return;
            }
        }
        if closes {
            self.end_stream(from, at);
        } else {
            self.flying[1 - from].push_back((at, bytes));
        }
    }

    /// The wire is cut: what is on its way is lost, and both hear of it.
    pub(crate) fn cut(&mut self) {
        self.connected = false;
        let hear = [(self.now.plus(LATENCY), Vec::new())];
        self.flying = [hear.clone().into(), hear.into()];
        self.redial_at = self.now.plus(SimTime::secs(1));
    }

    /// Both see the end of it; what was on its way still arrives.
    fn end_stream(&mut self, from: usize, at: SimTime) {
        self.flying[1 - from].push_back((at, Vec::new()));
        self.flying[from].push_back((at, Vec::new()));
        self.connected = false;
        self.redial_at = self.now.plus(SimTime::secs(1));
    }

    /// The guest writes for ever, from now on.
    pub(crate) fn writes_on(&mut self) {
        self.writes_end = SimTime::NEVER;
        self.next_write = self.now;
    }

    /// The guest writes until then.
    pub(crate) fn writes_until(&mut self, end: SimTime) {
        self.writes_end = end;
    }

    /// Whoever runs the domain writes to its volume and sends a frame.
    fn reach_out(&mut self) {
        for end in (0..2).filter(|&end| self.ends[end].runs()) {
            let (block, value) = (self.random.next() % 64, self.random.next());
            let forced = self.ends[1].journal.store.ledger().seen(UUID) > 2;
            // Once the target runs it, it has it; a source that gave it away does not, even
            // if its journal says otherwise by a mistake.
            let gave = self.lenient && self.ends[0].journal.begun.contains(&State::Commit);
            let owns = self.ends[end].owns() && if end == 0 { !self.moved && !gave } else { true };
            let fence = &self.ends[end].fence;
            let Outside { claimed, volume, believed, refused, frames, strays } = &mut self.outside;
            if fence.epoch >= *claimed && !fence.shut {
                volume.insert(block, value);
            } else {
                refused[end] += 1;
            }
            if owns {
                believed.insert(block, value);
            }
            if !fence.shut {
                frames[end] += 1;
                *strays += u64::from(!owns && !forced);
            }
        }
    }

    fn write(&mut self) {
        let Some(end) = [0, 1].into_iter().find(|&end| self.ends[end].runs()) else { return };
        let guest = self.ends[end].hv.guest.as_mut().unwrap();
        guest.state += 1;
        let pages: Vec<u64> = guest.memory.keys().copied().collect();
        for _ in 0..self.writer.pages * (100 - u64::from(guest.held)) / 100 {
            let among = self.writer.among.min(pages.len() as u64);
            let page = pages[(self.random.next() % among) as usize];
            let at = (self.random.next() % PAGE_BYTES) as usize;
            let byte = if self.write_zeros { 0 } else { self.random.next() as u8 };
            guest.memory.get_mut(&page).unwrap()[at] = byte;
            if guest.logging {
                guest.dirty.insert(page);
            }
            self.shadow.get_mut(&page).unwrap()[at] = byte;
        }
    }

    /// The next thing that happens; false when nothing will.
    pub(crate) fn turn(&mut self) -> bool {
        let mut next = SimTime::NEVER;
        for (end, flying) in self.ends.iter().zip(&self.flying) {
            let jobs = end.desk.jobs.iter().map(|&(due, ..)| due).min();
            let timers = end.desk.timers.iter().copied().min();
            let hv = end.hv.asked.front().map(|&(due, ..)| due);
            let manager = end.manager.asked.front().map(|&(due, ..)| due);
            let wire = flying.front().map(|&(due, _)| due);
            let journal = end.journal.writing.front().map(|&(due, ..)| due);
            let fence = end.fence.asked.front().map(|&(due, ..)| due);
            for due in [jobs, timers, hv, manager, wire, journal, fence].into_iter().flatten() {
                next = next.min(due);
            }
        }
        for away in self.away.iter().flatten() {
            next = next.min(*away);
        }
        if self.dials() {
            next = next.min(self.redial_at);
        }
        if next == SimTime::NEVER && self.connected && !self.is_finished() {
            // Both wait for what will not come, until somebody's TCP gives up.
            self.connected = false;
            self.flying.iter_mut().for_each(|flying| flying.push_back((self.now, Vec::new())));
            return true;
        }
        if next == SimTime::NEVER || next > self.limit {
            return false;
        }
        if self.writer.pages > 0 && self.next_write <= next.min(self.writes_end) {
            self.now = self.next_write;
            self.next_write = self.now.plus(SimTime::ms(1));
            self.write();
            self.reach_out();
            return true;
        }
        self.now = self.now.max(next);
        self.ends.iter_mut().for_each(|end| end.desk.now = self.now);
        self.happen();
        self.watch();
        true
    }

    fn dials(&self) -> bool {
        let wants = self.source.as_ref().is_some_and(Source::wants_connection);
        wants && !self.connected && self.away[1].is_none()
    }

    fn happen(&mut self) {
        let now = self.now;
        if let Some(end) = (0..2).find(|&end| self.away[end].is_some_and(|at| at <= now)) {
            self.begin_again(end);
            return;
        }
        if self.dials() && self.redial_at <= now {
            if self.cut_off {
                self.redial_at = now.plus(SimTime::secs(1));
                return;
            }
            let number = self.source.as_ref().map(Source::number).unwrap_or_default();
            self.admit(number);
            self.flying = Default::default();
            self.connected = true;
            self.connections += 1;
            self.tell(1, Input::Connected);
            self.tell(0, Input::Connected);
            return;
        }
        for end in [0, 1] {
            let began = self.clock.map(|clock| clock());
            let happened = self.happens_at(end);
            if let Some((clock, began)) = self.clock.zip(began) {
                self.spent[end] += clock() - began;
            }
            if happened {
                return;
            }
        }
    }

    /// The next thing that happens at an end, if anything does now.
    fn happens_at(&mut self, end: usize) -> bool {
        let now = self.now;
        if let Some((_, tag, request)) =
            self.ends[end].hv.asked.pop_front_if(|&mut (due, ..)| due <= now)
        {
            let End { desk, hv, .. } = &mut self.ends[end];
            let reply = hv.serve(desk, &request);
            self.tell(end, Input::Hv(tag, reply));
            return true;
        }
        if let Some((_, tag, deed)) =
            self.ends[end].manager.asked.pop_front_if(|&mut (due, ..)| due <= now)
        {
            let End { manager, hv, .. } = &mut self.ends[end];
            let reply = manager.serve(hv, deed);
            self.tell(end, Input::Manager(tag, reply));
            return true;
        }
        let fence = &mut self.ends[end].fence;
        if let Some((_, tag, epoch)) = fence.asked.pop_front_if(|&mut (due, ..)| due <= now) {
            let old = epoch < self.outside.claimed;
            self.outside.claimed = self.outside.claimed.max(epoch);
            fence.epoch = epoch;
            self.moment();
            let result = if old { Err("it has a newer owner".to_owned()) } else { Ok(()) };
            self.tell(end, Input::Claimed(tag, result));
            self.moment();
            return true;
        }
        let journal = &mut self.ends[end].journal;
        if let Some((_, tag, entry)) = journal.writing.pop_front_if(|&mut (due, ..)| due <= now) {
            let result = match journal.refuses.contains(&tag.0) {
                true => Err("the medium is full".to_owned()),
                false => journal.store.append(entry).map_err(|damage| damage.to_string()),
            };
            self.moment();
            self.tell(end, Input::Journal(tag, result));
            self.moment();
            return true;
        }
        if self.flying[end].front().is_some_and(|&(due, _)| due <= now) {
            self.moment();
            let Some((_, bytes)) = self.flying[end].pop_front() else { return true };
            if bytes.is_empty() {
                self.connected = false;
                self.tell(end, Input::Closed);
            } else {
                self.tell(end, Input::Bytes(bytes));
            }
            self.moment();
            return true;
        }
        if let Some(at) = self.ends[end].desk.timers.iter().position(|&due| due <= now) {
            self.ends[end].desk.timers.swap_remove(at);
            self.tell(end, Input::Timer);
            return true;
        }
        let jobs = &mut self.ends[end].desk.jobs;
        let due: Vec<_> = (0..jobs.len()).filter(|&at| jobs[at].0 <= now).collect();
        let pick = if self.backwards {
            // Whatever is under way may end first; nothing may depend on it.
            (!due.is_empty()).then(|| jobs.len() - 1)
        } else {
            due.first().copied()
        };
        if let Some(at) = pick {
            let (_, job, work) = jobs.remove(at);
            let mut output = work();
            if self.ends[end].cipher.soft.job_done(job, &mut output) {
                self.tell(end, Input::Cipher);
            } else {
                self.tell(end, Input::JobDone { job, output });
            }
            return true;
        }
        false
    }

    /// What must hold at every moment.
    fn watch(&mut self) {
        let running = self.ends.iter().filter(|end| end.runs()).count();
        let forced = self.ends[1].journal.store.ledger().seen(UUID) > 2;
        assert!(running <= 1 || forced || self.lenient, "it runs at both ends");
        match (running, self.stopped_at) {
            (2, _) => {}
            (0, None) => self.stopped_at = Some(self.now),
            (1, Some(since)) => {
                self.pause = self.pause.max(self.now.since(since));
                self.stopped_at = None;
            }
            _ => {}
        }
        self.check_owner();
        let Some(percent) = self.source.as_ref().map(Source::percent) else { return };
        if self.percents.last() != Some(&percent) {
            self.percents.push(percent);
        }
    }

    /// Simulated time.
    pub(crate) fn now(&self) -> SimTime {
        self.now
    }

    /// Until nothing happens any more, or `limit` has passed.
    pub(crate) fn run(&mut self, limit: SimTime) {
        self.limit = limit;
        while self.now < limit && self.turn() {}
        self.limit = SimTime::NEVER;
        // The guest goes on writing for ever; what it has is compared now.
    }

    /// The source has got through to the target.
    pub(crate) fn reached(&self) -> bool {
        self.connections > 0
    }

    /// The ends met more than once.
    pub(crate) fn reconnected(&self) -> bool {
        self.connections > 1
    }

    /// The outcome, when it is a failure.
    pub(crate) fn why(&self) -> Result<(), Vec<String>> {
        match &self.outcome {
            Some(Err(why)) => Err(why.clone()),
            other => panic!("not a failure: {other:?}"),
        }
    }

    /// The end where the domain is whole: it runs there, its memory is what the
    /// guest believes, and the other end has nothing.
    pub(crate) fn home(&self) -> usize {
        let home = [0, 1].into_iter().find(|&end| self.ends[end].runs()).expect("it is lost");
        let guest = self.ends[home].hv.guest.as_ref().unwrap();
        assert!(guest.memory == self.shadow, "memory differs");
        assert!(!guest.logging, "the dirty log is on");
        assert_eq!(guest.held, 0, "it is held");
        assert_eq!(self.ends[home].manager.domain, Some(("rover".into(), "domain")));
        assert_eq!(self.ends[home].manager.status.last().unwrap_or(&None), &None);
        assert!(self.ends[1 - home].hv.guest.is_none(), "the other end has a guest");
        assert_eq!(self.ends[1 - home].manager.domain, None, "the other end has a domain");
        home
    }
}
