//! Everything that can happen to two ends of a migration of one page: every order of
//! what is on its way, with ends that crash and a connection that drops at any moment.
//!
//! **Shape.** A [`State`] is both ends (machines, what their hypervisors, managers and
//! journals have and were asked for) and the bytes between them. From each the explorer
//! goes on with everything that may happen next; states that were seen (by a digest of
//! their `Debug` form) are not gone on from again. There is no time: what waits for a
//! time may happen at once.
//!
//! **Order.** What goes on inside one end (answers of its hypervisor and its manager,
//! timers) touches nothing of the other, so it is done first, one thing after the other,
//! and nothing is lost by not trying other orders; crashes fall between any two.
//!
//! **Rules.** In every state: the domain runs only where its volume is claimed at the epoch
//! that it has there, and an end whose journal gives it away has shut its port; the domain runs at one end at most, and only where that end's
//! journal lets it; at most one journal does; and what one gave away, the other can run. In every state in which nothing is left to
//! happen: it runs at one end, with the memory that it believes to have, and nothing of
//! it is at the other.

use super::fixed_time::FixedTime;
use super::journal::{EntryV1, Store};
use super::mutant::{Mutant, with};
use super::pages::{PAGE, Stretch};
use super::port::{
    Cipher, Fence, Found, Hv, HvReply, HvRequest, Input, Io, Journal, Kind, Manager, ManagerReply,
    Offer, Status, Tag, Ticket, Used, Wire,
};
use super::seal::{self, Keys, Text};
use super::testing::{UUID, given_to_somebody, owns, secrets};
use super::{Buffers, Config, Refusal, Request, Source, Target};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use sun4v::addr::Ra;
use sun4v::hcall::HvError;
use sun4v::id::GuestId;
use sun4v::native::{JobId, Observation, Ports, Reply, Rets, Work};
use sun4v::time::SimTime;

const ARENA: Ra = Ra(0x800_0000);
const GUEST: GuestId = GuestId(3);
const TIMER: u64 = 1;
/// Timers beyond are those of somebody who waits for the other end, which may come first.
const PATIENCE: SimTime = SimTime::secs(1);
const PAGES: u64 = 1;
/// States beyond which it gives up.
const STATES_MAX: usize = 400_000;

/// The ports of one end. A page of the arena holds its first eight bytes only.
#[derive(Clone, Debug, Default)]
struct Desk {
    now: SimTime,
    memory: BTreeMap<u64, u64>,
    jobs: VecDeque<(JobId, Vec<u8>)>,
    next_job: u64,
    timers: BTreeSet<SimTime>,
}

impl Ports for Desk {
    fn now(&self) -> SimTime {
        self.now
    }
    fn hcall(&mut self, _: u64, _: [u64; 5]) -> Result<Rets, HvError> {
        Err(HvError::BadTrap)
    }
    fn core_call(&mut self, _: u64, _: [u64; 5]) -> Result<Rets, HvError> {
        Err(HvError::BadTrap)
    }
    fn memory(&self) -> (Ra, u64) {
        (ARENA, Buffers::BYTES)
    }
    fn read(&self, ra: Ra, bytes: &mut [u8]) {
        for (at, part) in (ra.0..).step_by(PAGE).zip(bytes.chunks_mut(PAGE)) {
            let word = self.memory.get(&at).copied().unwrap_or(0).to_be_bytes();
            let length = part.len().min(8);
            part.fill(0);
            part[..length].copy_from_slice(&word[..length]);
        }
    }
    fn write(&mut self, ra: Ra, bytes: &[u8]) {
        for (at, part) in (ra.0..).step_by(PAGE).zip(bytes.chunks(PAGE)) {
            let mut word = [0; 8];
            let length = part.len().min(8);
            word[..length].copy_from_slice(&part[..length]);
            self.memory.insert(at, u64::from_be_bytes(word));
        }
    }
    fn send_frame(&mut self, _: u8, _: Vec<u8>) {}
    fn set_timer(&mut self, at: SimTime, _: u64) {
        self.timers.insert(at);
    }
    fn job(&mut self, _: u64, work: Work) -> JobId {
        self.next_job += 1;
        self.jobs.push_back((JobId(self.next_job), work()));
        JobId(self.next_job)
    }
    fn charge(&mut self, _: u64) {}
    fn vcpus(&self) -> usize {
        1
    }
    fn busy(&self) -> Vec<SimTime> {
        Vec::new()
    }
    fn reply(&mut self, _: u64, _: Reply) {}
    fn log(&mut self, _: String) {}
    fn observe(&mut self, _: Observation) {}
}

/// Seals nothing, at once: nobody listens here.
#[derive(Clone, Debug, Default)]
struct Open {
    next: u64,
    done: BTreeMap<Ticket, Result<Vec<u8>, Refusal>>,
}

impl Open {
    fn put(&mut self, result: Result<Vec<u8>, Refusal>) -> Ticket {
        self.next += 1;
        self.done.insert(Ticket(self.next), result);
        Ticket(self.next)
    }
}

impl Cipher for Open {
    fn seal(&mut self, _: &mut dyn Ports, _: &Keys, sequence: u64, text: Text) -> Ticket {
        let header = seal::header(sequence, text.plain().len());
        self.put(Ok([header.as_slice(), text.plain(), &[0; seal::TAG_BYTES]].concat()))
    }
    fn open(&mut self, _: &mut dyn Ports, _: &Keys, sequence: u64, record: Vec<u8>) -> Ticket {
        let opened = seal::check(sequence, &record);
        self.put(opened.map(|bytes| record[..seal::HEADER_BYTES + bytes].to_vec()))
    }
    fn hash_pages(&mut self, _: &mut dyn Ports, _: &[Ra]) -> Option<Ticket> {
        None
    }
    fn take(&mut self, ticket: Ticket) -> Option<Result<Vec<u8>, Refusal>> {
        self.done.remove(&ticket)
    }
    fn forget(&mut self, ticket: Ticket) {
        self.done.remove(&ticket);
    }
    fn used(&self) -> Used {
        Used::default()
    }
}

#[derive(Clone, Debug)]
struct Guest {
    memory: BTreeMap<u64, u64>,
    dirty: BTreeSet<u64>,
    running: bool,
    logging: bool,
}

impl Guest {
    fn new() -> Self {
        let memory = (0..PAGES).map(|page| (ARENA.0 + page * PAGE as u64, 0)).collect();
        Self { memory, dirty: BTreeSet::new(), running: false, logging: false }
    }
}

#[derive(Clone, Debug, Default)]
struct Machine {
    guest: Option<Guest>,
    asked: VecDeque<(Tag, HvRequest)>,
    next: u64,
}

impl Hv for Machine {
    fn request(&mut self, _: &mut dyn Ports, request: HvRequest) -> Tag {
        self.next += 1;
        self.asked.push_back((Tag(self.next), request));
        Tag(self.next)
    }
}

impl Machine {
    fn serve(&mut self, desk: &mut Desk, request: &HvRequest) -> Result<HvReply, String> {
        let guest = self.guest.as_mut().ok_or("no such guest")?;
        let places = (0_u64..).step_by(PAGE);
        match request {
            HvRequest::LogStart(_) => {
                guest.logging = true;
                guest.dirty.clear();
            }
            HvRequest::LogStop(_) => guest.logging = false,
            HvRequest::DirtyRead { first, buffer, .. } => {
                let pages = guest.dirty.iter().map(|ra| (ra - first.0) / PAGE as u64);
                let bits = pages.fold(0_u64, |bits, page| bits | 1 << page);
                desk.write(*buffer, &bits.to_le_bytes());
            }
            HvRequest::PagesOut { pages, buffer, .. } => {
                for (at, page) in places.zip(pages) {
                    desk.write(buffer.offset(at), &guest.memory[&page.0].to_be_bytes());
                    guest.dirty.remove(&page.0);
                }
            }
            HvRequest::PagesIn { pages, buffer, .. } => {
                for (at, page) in places.zip(pages) {
                    let mut word = [0; 8];
                    desk.read(buffer.offset(at), &mut word);
                    guest.memory.insert(page.0, u64::from_be_bytes(word));
                }
            }
            HvRequest::PagesZero { pages, .. } => {
                guest.memory.extend(pages.iter().map(|page| (page.0, 0)));
            }
            HvRequest::Suspend(_) => guest.running = false,
            HvRequest::Resume(_) if guest.running => return Ok(HvReply::NotSuspended),
            HvRequest::Resume(_) => guest.running = true,
            HvRequest::StateOut { buffer, .. } => {
                desk.write(*buffer, &[7; 8]);
                return Ok(HvReply::State { bytes: 8 });
            }
            HvRequest::StateIn { .. } | HvRequest::Hold { .. } => {}
        }
        Ok(HvReply::Done)
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Prepare,
    Discard,
    Activate,
    Release,
}

#[derive(Clone, Debug, Default)]
struct Office {
    domain: Option<&'static str>,
    asked: VecDeque<(Tag, Deed)>,
    next: u64,
}

impl Office {
    fn ask(&mut self, deed: Deed) -> Tag {
        self.next += 1;
        self.asked.push_back((Tag(self.next), deed));
        Tag(self.next)
    }

    fn serve(&mut self, machine: &mut Machine, deed: &Deed) -> ManagerReply {
        match deed {
            Deed::Prepare => {
                (self.domain, machine.guest) = (Some("shell"), Some(Guest::new()));
                return ManagerReply::Prepared(Some(GUEST));
            }
            Deed::Discard if self.domain == Some("domain") => {}
            Deed::Discard | Deed::Release => (self.domain, machine.guest) = (None, None),
            Deed::Activate => self.domain = Some("domain"),
        }
        ManagerReply::Done
    }
}

impl Manager for Office {
    fn offer(&mut self, domain: &str) -> Result<(Offer, Option<GuestId>), String> {
        let memory = vec![Stretch { ra: ARENA, bytes: PAGES * PAGE as u64 }];
        let (name, uuid) = (domain.to_owned(), UUID.to_owned());
        let (new_name, kind, description) = (None, Kind::Active, Vec::new());
        let offer = Offer { name, new_name, uuid, epoch: 1, kind, memory, description };
        Ok((offer, Some(GUEST)))
    }
    fn check_outgoing(&mut self, _: &str) -> Vec<String> {
        Vec::new()
    }
    fn look(&mut self, _: &Offer) {}
    fn check_incoming(&mut self, _: &Offer) -> Vec<String> {
        let there = self.domain.is_some();
        there.then(|| "it is here".to_owned()).into_iter().collect()
    }
    fn prepare_incoming(&mut self, _: &mut dyn Ports, _: &Offer) -> Tag {
        self.ask(Deed::Prepare)
    }
    fn discard(&mut self, _: &mut dyn Ports, _: &str) -> Tag {
        self.ask(Deed::Discard)
    }
    fn activate(&mut self, _: &mut dyn Ports, _: &str, _: u64) -> Tag {
        self.ask(Deed::Activate)
    }
    fn release(&mut self, _: &mut dyn Ports, _: &str) -> Tag {
        self.ask(Deed::Release)
    }
    fn find(&self, _: &str, _: &str) -> Option<Found> {
        self.domain.map(|what| Found { shell: what == "shell", guest: Some(GUEST) })
    }
    fn status(&mut self, _: &str, _: Option<Status>) {}
}

#[derive(Clone, Debug, Default)]
struct Book {
    store: Store,
    writing: VecDeque<(Tag, EntryV1)>,
    next: u64,
}

impl Journal for Book {
    fn write(&mut self, _: &mut dyn Ports, entry: EntryV1) -> Tag {
        self.next += 1;
        self.writing.push_back((Tag(self.next), entry));
        Tag(self.next)
    }
    fn seen(&self, uuid: &str) -> u64 {
        self.store.ledger().seen(uuid)
    }
}

#[derive(Clone, Debug, Default)]
struct Line {
    sent: Vec<u8>,
    closed: bool,
}

impl Wire for Line {
    fn send(&mut self, _: &mut dyn Ports, bytes: &[u8]) -> usize {
        self.sent.extend_from_slice(bytes);
        bytes.len()
    }
    fn close(&mut self, _: &mut dyn Ports) {
        self.closed = true;
    }
}

/// What both ends reach, at one of them.
#[derive(Clone, Debug, Default)]
struct Border {
    asked: VecDeque<(Tag, u64)>,
    next: u64,
    shut: bool,
}

impl Fence for Border {
    fn claim(&mut self, _: &mut dyn Ports, _: &str, epoch: u64) -> Tag {
        self.next += 1;
        self.asked.push_back((Tag(self.next), epoch));
        Tag(self.next)
    }
    fn shut(&mut self, _: &str) {
        self.shut = true;
    }
    fn open(&mut self, _: &str) {
        self.shut = false;
    }
}

/// One end. Its machine is `None` while it is away, or when it has nothing to do.
#[derive(Clone, Debug, Default)]
struct End {
    away: bool,
    source: Option<Source>,
    target: Option<Target>,
    desk: Desk,
    machine: Machine,
    office: Office,
    cipher: Open,
    book: Book,
    line: Line,
    border: Border,
}

impl End {
    fn io(&mut self) -> Io<'_> {
        Io {
            ports: &mut self.desk,
            wire: &mut self.line,
            hv: &mut self.machine,
            manager: &mut self.office,
            cipher: &mut self.cipher,
            journal: &mut self.book,
            fence: &mut self.border,
        }
    }

    /// Hands something in, and everything that is done at once.
    fn tell(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next {
            let (mut source, mut target) = (self.source.take(), self.target.take());
            let io = &mut self.io();
            match (&mut source, &mut target) {
                (Some(source), _) => {
                    source.event(io, input);
                    let _ = source.take_outcome();
                }
                (_, Some(target)) => target.event(io, input),
                _ => {}
            }
            (self.source, self.target) = (source, target);
            let job = self.desk.jobs.pop_front();
            next = job.map(|(job, output)| Input::JobDone { job, output });
            if next.is_none()
                && !self.cipher.done.is_empty()
                && self.source.is_some() | self.target.is_some()
            {
                next = Some(Input::Cipher);
            }
        }
    }

    fn runs(&self) -> bool {
        self.machine.guest.as_ref().is_some_and(|guest| guest.running)
    }

    fn owns(&self) -> bool {
        owns(self.book.store.ledger(), self.office.domain)
    }
}

/// What is on its way.
#[derive(Clone, Debug)]
enum Flying {
    Bytes(Vec<u8>),
    Closed,
}

#[derive(Clone, Debug)]
struct State {
    ends: [End; 2],
    connected: bool,
    flying: [VecDeque<Flying>; 2],
    /// The newest epoch at which its volume was claimed.
    claimed: u64,
    shadow: u64,
    faults: u8,
    writes: u8,
    cancels: u8,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Hv(usize),
    Manager(usize),
    Timer(usize),
    Durable(usize),
    Claim(usize),
    Deliver(usize),
    Connect,
    Begin(usize),
    // What a person or the world does.
    Drop,
    /// An end crashes, and what it had begun is lost, or done.
    Crash(usize, bool),
    Write,
    Cancel,
}

fn config() -> Config {
    Config { fixed: FixedTime::none(), ..Config::default() }
}

const BUFFERS: Buffers = Buffers { ra: ARENA };

impl State {
    fn new(faults: u8, writes: u8, cancels: u8) -> Self {
        let mut ends = [End::default(), End::default()];
        ends[0].office.domain = Some("domain");
        ends[0].machine.guest = Some(Guest { running: true, ..Guest::new() });
        let request = Request {
            domain: "rover".into(),
            new_name: None,
            peer: "b".into(),
            host: "a".into(),
            password: "secret".into(),
            check_only: false,
            entropy: [1; 32],
            timer: TIMER,
        };
        ends[0].source = Source::new(config(), request, BUFFERS, &mut ends[0].io()).ok();
        let flying = [VecDeque::new(), VecDeque::new()];
        Self { ends, connected: false, flying, claimed: 1, shadow: 0, faults, writes, cancels }
    }

    fn fingerprint(&self, text: &mut String) -> [u8; 16] {
        text.clear();
        let _ = write!(text, "{self:?}");
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        short
    }

    /// What goes on by itself.
    fn next(&self) -> Vec<Act> {
        for (at, end) in self.ends.iter().enumerate() {
            if end.away {
                continue;
            }
            if !end.machine.asked.is_empty() {
                return vec![Act::Hv(at)];
            }
            if !end.office.asked.is_empty() {
                return vec![Act::Manager(at)];
            }
            if end.desk.timers.first().is_some_and(|&due| due < PATIENCE) {
                return vec![Act::Timer(at)];
            }
        }
        let mut acts = Vec::new();
        for (at, end) in self.ends.iter().enumerate() {
            if end.away {
                acts.push(Act::Begin(at));
                continue;
            }
            if !end.book.writing.is_empty() {
                acts.push(Act::Durable(at));
            }
            if !end.border.asked.is_empty() {
                acts.push(Act::Claim(at));
            }
            if !self.flying[at].is_empty() {
                acts.push(Act::Deliver(at));
            }
            if !end.desk.timers.is_empty() {
                acts.push(Act::Timer(at));
            }
        }
        let wants = self.ends[0].source.as_ref().is_some_and(Source::wants_connection);
        let busy = |target: &Target| {
            let number = self.ends[0].source.as_ref().map(Source::number);
            !target.is_finished() && target.migration() != number
        };
        let busy = self.ends[1].target.as_ref().is_some_and(busy);
        if wants && !self.connected && !self.ends[1].away && !busy {
            acts.push(Act::Connect);
        }
        acts
    }

    /// What may happen besides.
    fn faults(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.faults > 0 {
            if self.connected {
                acts.push(Act::Drop);
            }
            for end in (0..2).filter(|&end| !self.ends[end].away) {
                acts.extend([Act::Crash(end, false), Act::Crash(end, true)]);
            }
        }
        if self.writes > 0 && self.ends.iter().any(End::runs) {
            acts.push(Act::Write);
        }
        if self.cancels > 0 && self.ends[0].source.is_some() {
            acts.push(Act::Cancel);
        }
        acts
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Hv(at) => {
                let End { machine, desk, .. } = &mut self.ends[at];
                let Some((tag, request)) = machine.asked.pop_front() else { return };
                let reply = machine.serve(desk, &request);
                self.tell(at, Input::Hv(tag, reply));
            }
            Act::Manager(at) => {
                let End { office, machine, .. } = &mut self.ends[at];
                let Some((tag, deed)) = office.asked.pop_front() else { return };
                let reply = office.serve(machine, &deed);
                self.tell(at, Input::Manager(tag, Ok(reply)));
            }
            Act::Timer(at) => {
                let desk = &mut self.ends[at].desk;
                let Some(due) = desk.timers.pop_first() else { return };
                desk.now = due.max(desk.now);
                self.tell(at, Input::Timer);
                self.ends[at].desk.now = SimTime::ZERO;
            }
            Act::Durable(at) => {
                let book = &mut self.ends[at].book;
                let Some((tag, entry)) = book.writing.pop_front() else { return };
                let result = book.store.append(entry).map_err(|damage| damage.to_string());
                self.tell(at, Input::Journal(tag, result));
            }
            Act::Claim(at) => {
                let Some((tag, epoch)) = self.ends[at].border.asked.pop_front() else { return };
                let result = if epoch < self.claimed { Err("old".to_owned()) } else { Ok(()) };
                self.claimed = self.claimed.max(epoch);
                self.tell(at, Input::Claimed(tag, result));
            }
            Act::Deliver(at) => match self.flying[at].pop_front() {
                Some(Flying::Bytes(bytes)) => self.tell(at, Input::Bytes(bytes)),
                Some(Flying::Closed) => self.tell(at, Input::Closed),
                None => {}
            },
            Act::Connect => {
                self.flying.iter_mut().for_each(VecDeque::clear);
                let number = self.ends[0].source.as_ref().map(Source::number).unwrap_or_default();
                self.admit(number);
                self.connected = true;
                self.tell(1, Input::Connected);
                self.tell(0, Input::Connected);
            }
            Act::Begin(at) => self.begin(at),
            Act::Drop => {
                self.faults -= 1;
                self.connected = false;
                self.flying = [[Flying::Closed].into(), [Flying::Closed].into()];
            }
            Act::Crash(at, loses) => self.crash(at, loses),
            Act::Write => {
                self.writes -= 1;
                self.shadow += 1;
                for guest in self.ends.iter_mut().filter_map(|end| end.machine.guest.as_mut()) {
                    if guest.running {
                        guest.memory.insert(ARENA.0, self.shadow);
                        if guest.logging {
                            guest.dirty.insert(ARENA.0);
                        }
                    }
                }
            }
            Act::Cancel => {
                self.cancels -= 1;
                let end = &mut self.ends[0];
                let mut source = end.source.take();
                if let Some(source) = &mut source {
                    let _ = source.cancel(&mut end.io());
                }
                end.source = source;
                self.tell(0, Input::Room);
            }
        }
    }

    fn tell(&mut self, at: usize, input: Input) {
        self.ends[at].tell(input);
        self.collect(at);
    }

    fn collect(&mut self, at: usize) {
        let line = std::mem::take(&mut self.ends[at].line);
        if self.connected && !line.sent.is_empty() {
            self.flying[1 - at].push_back(Flying::Bytes(line.sent));
        }
        if self.connected && line.closed {
            self.connected = false;
            self.flying[1 - at].push_back(Flying::Closed);
            self.flying[at].push_back(Flying::Closed);
        }
    }

    fn crash(&mut self, at: usize, loses: bool) {
        self.faults -= 1;
        let End { desk, machine, office, book, .. } = &mut self.ends[at];
        let (asked, deeds) =
            (std::mem::take(&mut machine.asked), std::mem::take(&mut office.asked));
        let mut writing = std::mem::take(&mut book.writing);
        if loses {
            if let Some((_, entry)) = writing.pop_front() {
                let bytes = book.store.torn(&entry, 50);
                book.store = Store::open(&bytes).expect("torn, not altered").0;
            }
        } else {
            for (_, request) in asked {
                let _ = machine.serve(desk, &request);
            }
            for (_, deed) in deeds {
                office.serve(machine, &deed);
            }
            for (_, entry) in writing {
                book.store.append(entry).expect("it fits");
            }
        }
        let old = std::mem::take(&mut self.ends[at]);
        let machine = Machine { guest: old.machine.guest, ..Machine::default() };
        let office = Office { domain: old.office.domain, ..Office::default() };
        let book = Book { store: old.book.store, ..Book::default() };
        self.ends[at] = End { away: true, machine, office, book, ..End::default() };
        self.flying[at].clear();
        if self.connected {
            self.connected = false;
            self.flying[1 - at].push_back(Flying::Closed);
        }
    }

    fn begin(&mut self, at: usize) {
        let end = &mut self.ends[at];
        end.away = false;
        let store = Store::open(end.book.store.bytes()).expect("whole").0;
        end.book.store = store.clone();
        if at == 0 {
            end.border.shut = store.ledger().has_left(UUID, 1);
            if let Some(entry) = store.ledger().departures().next() {
                let fresh = ([3; 32], TIMER);
                let (host, io) = ("a".to_owned(), &mut end.io());
                end.source = Source::recall(config(), entry, host, fresh, BUFFERS, io);
            }
        } else if let Some(entry) = store.ledger().arrivals().next() {
            end.target = Some(recall(end, entry));
        }
        self.tell(at, Input::Room);
    }

    fn admit(&mut self, number: [u8; 16]) {
        let end = &mut self.ends[1];
        if end.target.as_ref().is_some_and(|own| own.migration() == Some(number)) {
            return;
        }
        let entry = end.book.store.ledger().arrival(&number).cloned();
        end.target = Some(match entry {
            Some(entry) => recall(end, &entry),
            None => Target::new(config(), "b".to_owned(), secrets(), [5; 32], TIMER, BUFFERS),
        });
    }

    /// What must hold in every state.
    fn check(&self) -> Result<(), String> {
        let [a, b] = &self.ends;
        if a.runs() && b.runs() {
            return Err("it runs at both ends".into());
        }
        if a.owns() && b.owns() {
            return Err("both journals let it run".into());
        }
        if !given_to_somebody(a.book.store.ledger(), b.book.store.ledger()) {
            return Err("it was given to nobody".into());
        }
        let given = |own: &EntryV1| own.state == super::journal::State::Commit;
        let given = a.book.store.ledger().departures().any(given);
        match self.ends.iter().position(|end| end.runs() && !end.owns()) {
            Some(at) => Err(format!("it runs at end {at}, whose journal does not let it")),
            None if b.runs() && self.claimed < 2 => {
                Err("it runs and its volume is not claimed".into())
            }
            None if given && !a.away && !a.border.shut => {
                Err("it is given away and its port is open".into())
            }
            None => Ok(()),
        }
    }

    /// What must hold when nothing is left to happen.
    fn check_end(&self) -> Result<(), String> {
        let waits = self.ends[0].source.as_ref().is_some_and(|own| !own.is_finished())
            || self.ends[1].target.as_ref().is_some_and(|own| !own.is_finished());
        if waits {
            return Err("somebody waits for ever".into());
        }
        let Some(home) = self.ends.iter().position(End::runs) else {
            return Err("it runs nowhere".into());
        };
        let (own, other) = (&self.ends[home], &self.ends[1 - home]);
        let guest = own.machine.guest.as_ref();
        let right = guest.is_some_and(|guest| guest.memory[&ARENA.0] == self.shadow);
        match () {
            () if !right => Err("its memory is another".into()),
            () if guest.is_some_and(|guest| guest.logging) => Err("the dirty log is on".into()),
            () if own.office.domain != Some("domain") => Err("it is a shell".into()),
            () if other.office.domain.is_some() => Err("something of it is left".into()),
            () if own.border.shut => Err("its port is shut".into()),
            () if self.claimed != 1 + home as u64 => Err("its volume is of another".into()),
            () => Ok(()),
        }
    }
}

fn recall(end: &mut End, entry: &EntryV1) -> Target {
    let (names, fresh) = (("b".to_owned(), secrets()), ([4; 32], TIMER));
    Target::recall(config(), names, fresh, BUFFERS, entry, &mut end.io())
}

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    states: usize,
    ends: usize,
    /// Ends of each kind: it stayed, it moved.
    homes: [usize; 2],
}

/// Goes through all that can happen; a way to a state that breaks a rule is the error.
fn explore(faults: u8, writes: u8, cancels: u8) -> Result<Seen, String> {
    let mut seen = BTreeSet::new();
    let mut report = Seen::default();
    let mut todo = vec![(State::new(faults, writes, cancels), 0)];
    // How each state was come to: the one before, and what happened.
    let mut ways: Vec<(usize, Option<Act>)> = vec![(0, None)];
    let mut text = String::new();
    let way = |ways: &[(usize, Option<Act>)], at: usize| {
        let mut acts = Vec::new();
        let mut at = at;
        while let (before, Some(act)) = ways[at] {
            acts.push(act);
            at = before;
        }
        acts.reverse();
        format!("{acts:?}")
    };
    while let Some((state, at)) = todo.pop() {
        if let Err(why) = state.check() {
            return Err(format!("{why}: {}", way(&ways, at)));
        }
        let next = state.next();
        if next.is_empty() {
            if let Err(why) = state.check_end() {
                return Err(format!("in the end {why}: {}", way(&ways, at)));
            }
            report.ends += 1;
            report.homes[usize::from(state.ends[1].runs())] += 1;
        }
        for act in next.into_iter().chain(state.faults()) {
            let mut after = state.clone();
            after.act(act);
            if seen.insert(after.fingerprint(&mut text)) {
                ways.push((at, Some(act)));
                todo.push((after, ways.len() - 1));
            }
        }
        report.states = seen.len();
        if report.states > STATES_MAX {
            return Err(format!("more than {STATES_MAX} states: {}", way(&ways, at)));
        }
    }
    Ok(report)
}

#[test]
fn whatever_happens_there_is_one_owner_and_in_the_end_it_runs() {
    look(&[(0, 1, 1), (1, 1, 0), (1, 0, 1)]);
}

#[test]
#[ignore = "minutes"]
fn whatever_happens_twice_there_is_one_owner_and_in_the_end_it_runs() {
    look(&[(2, 0, 0)]);
}

fn look(all: &[(u8, u8, u8)]) {
    for &(faults, writes, cancels) in all {
        let seen = explore(faults, writes, cancels).unwrap();
        println!("{faults} faults, {writes} writes, {cancels} cancellations: {seen:?}");
        assert!(seen.states > 1000 && seen.homes.iter().all(|&home| home > 0), "{seen:?}");
    }
}

fn dies(mutant: Mutant, (faults, writes, cancels): (u8, u8, u8), why: &str) {
    let found = with(mutant, || explore(faults, writes, cancels)).expect_err("it lives");
    assert!(found.contains(why) && !found.contains("states"), "{mutant:?}: {found}");
}

#[test]
fn mutant_commit_is_said_before_it_is_durable() {
    dies(Mutant::CommitBeforeDurable, (1, 0, 0), "journal");
}

#[test]
fn mutant_verified_is_said_before_it_is_durable() {
    dies(Mutant::VerifiedBeforeDurable, (0, 0, 0), "given to nobody");
}

#[test]
fn mutant_it_runs_before_that_is_durable() {
    dies(Mutant::RunsBeforeDurable, (0, 0, 0), "whose journal does not let it");
}

#[test]
fn mutant_it_runs_before_its_volume_is_claimed() {
    dies(Mutant::RunsBeforeClaimed, (0, 0, 0), "its volume is not claimed");
}

#[test]
fn mutant_the_port_of_what_was_given_away_stays_open() {
    dies(Mutant::PortLeftOpen, (0, 0, 0), "its port is open");
}

#[test]
fn mutant_not_here_is_said_before_it_is_durable() {
    dies(Mutant::NotHereBeforeDurable, (1, 0, 1), "");
}

#[test]
fn mutant_a_source_that_begins_again_runs_it() {
    dies(Mutant::RunsAfterCommit, (1, 0, 0), "journal");
}

#[test]
fn mutant_a_source_that_loses_the_wire_guesses() {
    dies(Mutant::GuessesAfterCommit, (1, 0, 0), "");
}

#[test]
fn mutant_a_commit_that_is_being_written_is_cancelled() {
    dies(Mutant::CancelsCommit, (0, 0, 1), "");
}

#[test]
fn mutant_what_was_prepared_is_forgotten() {
    dies(Mutant::PreparedForgotten, (1, 0, 0), "given to nobody");
}

#[test]
fn mutant_a_shell_is_left() {
    dies(Mutant::ShellLeft, (1, 0, 0), "");
}

#[test]
fn mutant_the_log_is_left_on() {
    dies(Mutant::LogLeftOn, (1, 0, 0), "the dirty log is on");
}

#[test]
fn mutant_a_dirty_page_is_dropped() {
    dies(Mutant::DirtyDropped, (0, 1, 0), "its memory is another");
}

#[test]
fn mutant_a_farewell_is_forgotten() {
    dies(Mutant::FarewellForgotten, (1, 0, 0), "");
}
