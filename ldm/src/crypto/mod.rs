//! The crypto units that the domain owns, at work for its programs.
//!
//! [`Units`] finds the units ([`Units::open`]), gives each a queue in the domain's
//! own memory, and spreads operations over them: a record to seal or open, pages to
//! hash. A record becomes two operations of the unit, AES-128-CTR in place and
//! HMAC-SHA-256; a page becomes one, SHA-256 cut to 16 bytes. Results are what the
//! same work in software gives. A domain that owns no unit does it in software, at
//! software's cost.
//!
//! Before the domain's vCPUs or units change, its units are closed ([`Units::close`]);
//! afterwards those that it has then are opened ([`Units::reopen`]). Between it has
//! none. What was done or is done in software stays.
//!
//! **Shapes.** A queue has 64 entries of 64 bytes. An operation works in a *slot*,
//! 256 KiB of the domain's memory: keys, vectors and results in its first 4 KiB,
//! the record behind them.
//!
//! **Completion.** By device mondo, when the unit's interrupt can be had, and by a
//! timer that looks after [`WATCH`]: a unit that refuses an operation raises no
//! interrupt (hypervisor API, 6.7).
//!
//! **Errors.** An operation that a unit refuses is done again in software, and
//! said in the log: nobody waits for ever.

mod unit;

use crate::memory::{Arena, Block};
use crate::migrate::SoftCipher;
use crate::migrate::cost::Cost;
use crate::migrate::pages::Hasher;
use crate::migrate::port::{Cipher, Ticket, Used};
use crate::migrate::seal::{self, HEADER_BYTES, Keys, TAG_BYTES, Text};
use crate::migrate::{Refusal, pages::PAGE};
use std::collections::{BTreeMap, VecDeque};
use sun4v::addr::Ra;
use sun4v::calibration::CRYPTO_OPERATION;
use sun4v::hcall::HvError;
use sun4v::id::VcpuId;
use sun4v::native::{JobId, Ports};
use sun4v::ncs::{Chaining, CipherKind, Control, Entry, HashKind, NCS_GROUP};
use sun4v::time::SimTime;
use unit::Unit;

/// How long a finished operation may go unnoticed when no interrupt comes.
pub const WATCH: SimTime = SimTime::us(500);
/// Bytes of a slot.
const SLOT_BYTES: u64 = 256 << 10;
/// Slots a unit: one at work, others ready.
const SLOTS_A_UNIT: usize = 4;
/// Pages in one operation: half a queue.
const HASH_PAGES: usize = 32;

// Places in a slot.
const KEY: u64 = 0;
const AUTH_KEY: u64 = 64;
const IV: u64 = 128;
const INITIAL: u64 = 192;
const TAG: u64 = 256;
const HASHES: u64 = 1024;
const RECORD: u64 = 4096;

const _: () =
    assert!(RECORD as usize + super::migrate::codec::FRAME_BYTES_MAX < SLOT_BYTES as usize);
const _: () = assert!(HASHES + 16 * (HASH_PAGES as u64) <= RECORD);

/// What an operation is for.
enum Work {
    Seal {
        keys: Keys,
        sequence: u64,
        text: Text,
    },
    Open {
        keys: Keys,
        sequence: u64,
        record: Vec<u8>,
    },
    /// Part `part` of the pages of a ticket.
    Hash {
        part: usize,
        pages: Vec<Ra>,
    },
}

struct Operation {
    ticket: Ticket,
    work: Work,
}

/// Results, for as long as somebody wants them.
#[derive(Default)]
struct Results(BTreeMap<Ticket, Option<Result<Vec<u8>, Refusal>>>);

impl Results {
    fn want(&mut self, ticket: Ticket) {
        self.0.insert(ticket, None);
    }

    fn put(&mut self, ticket: Ticket, result: Result<Vec<u8>, Refusal>) {
        if let Some(place) = self.0.get_mut(&ticket) {
            *place = Some(result);
        }
    }

    fn take(&mut self, ticket: Ticket) -> Option<Result<Vec<u8>, Refusal>> {
        self.0.get_mut(&ticket)?.take().inspect(|_| {
            self.0.remove(&ticket);
        })
    }
}

/// The units of the domain.
pub struct Units {
    units: Vec<Unit>,
    slots: Vec<Block>,
    waiting: VecDeque<Operation>,
    /// Parts of hashed pages, until all are there.
    hashes: BTreeMap<Ticket, Vec<Option<Vec<u8>>>>,
    done: Results,
    next: u64,
    soft: SoftCipher,
    /// Tickets of `soft`, by ours.
    soft_tickets: BTreeMap<Ticket, Ticket>,
    cost: Cost,
    timer: u64,
    watching: bool,
    used: Used,
}

impl Units {
    /// Looks for units on the core of every vCPU; `timer` is the token of its timer.
    pub fn open(ports: &mut dyn Ports, arena: &mut Arena, cost: Cost, timer: u64) -> Self {
        let mut own = Self {
            units: Vec::new(),
            slots: Vec::new(),
            waiting: VecDeque::new(),
            hashes: BTreeMap::new(),
            done: Results::default(),
            next: 0,
            soft: SoftCipher::new(cost),
            soft_tickets: BTreeMap::new(),
            cost,
            timer,
            watching: false,
            used: Used::default(),
        };
        own.reopen(ports, arena);
        own
    }

    /// Looks for units again, once the domain's vCPUs or units have changed.
    pub fn reopen(&mut self, ports: &mut dyn Ports, arena: &mut Arena) {
        // api_set_version: without the group there are no units.
        if ports.core_call(0, [NCS_GROUP, 2, 0, 0, 0]).is_ok() {
            for vcpu in (0..ports.vcpus()).filter_map(|vcpu| u8::try_from(vcpu).ok()) {
                Unit::open(ports, arena, VcpuId(vcpu), &mut self.units);
            }
        }
        self.units.iter_mut().for_each(|unit| unit.listen(ports));
        let needed = (self.units.len() * SLOTS_A_UNIT).saturating_sub(self.slots.len());
        self.slots.extend((0..needed).map_while(|_| arena.alloc(SLOT_BYTES)));
        if self.slots.is_empty() {
            self.release(ports, arena);
        }
    }

    /// Does no unit have anything to do?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.units.iter().all(|unit| unit.outstanding() == 0)
    }

    /// Is nothing under way or waiting to be taken, by units or in software?
    #[must_use]
    pub fn is_done(&self) -> bool {
        let unsettled = self.done.0.is_empty() && self.hashes.is_empty();
        self.is_idle() && unsettled && self.soft.is_idle() && self.soft_tickets.is_empty()
    }

    /// Takes the units' queues from them and gives all memory back. False when they
    /// still work, and nothing has changed: it is worth another try once
    /// [`Units::is_idle`].
    ///
    /// # Errors
    /// The hypervisor leaves a unit its queue: that unit and those before it stay.
    pub fn close(&mut self, ports: &mut dyn Ports, arena: &mut Arena) -> Result<bool, HvError> {
        if !self.is_idle() {
            return Ok(false);
        }
        while let Some(unit) = self.units.pop() {
            if let Err((unit, why)) = unit.close(ports, arena) {
                self.units.push(unit);
                return Err(why);
            }
        }
        self.slots.drain(..).for_each(|slot| arena.free(slot));
        Ok(true)
    }

    /// Lets units go that have no memory to work in.
    fn release(&mut self, ports: &mut dyn Ports, arena: &mut Arena) {
        if let Err(why) = self.close(ports, arena) {
            ports.log(format!("crypto unit: {why}; it is not used"));
            self.units.clear();
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.units.len()
    }

    /// A device mondo came: true when it was one of a unit's. Results may be ready.
    pub fn mondo(&mut self, ports: &mut dyn Ports, word: u64) -> bool {
        let Some(unit) = self.units.iter_mut().find(|unit| unit.sysino() == Some(word)) else {
            return false;
        };
        unit.acknowledge(ports);
        self.collect(ports);
        true
    }

    /// A timer came: true when it was this one's. Results may be ready.
    pub fn timer(&mut self, ports: &mut dyn Ports, token: u64) -> bool {
        if token != self.timer {
            return false;
        }
        self.watching = false;
        self.collect(ports);
        self.pump(ports);
        true
    }

    /// A job ended: true when it was one of these, whose output is taken. Results may be ready.
    pub fn job_done(&mut self, job: JobId, output: &mut Vec<u8>) -> bool {
        if !self.soft.job_done(job, output) {
            return false;
        }
        let (soft, done) = (&mut self.soft, &mut self.done);
        self.soft_tickets.retain(|&ticket, &mut held| match soft.take(held) {
            Some(result) => {
                done.put(ticket, result);
                false
            }
            None => true,
        });
        true
    }

    fn ticket(&mut self) -> Ticket {
        self.next += 1;
        self.done.want(Ticket(self.next));
        Ticket(self.next)
    }

    fn begin(&mut self, ports: &mut dyn Ports, ticket: Ticket, work: Work) {
        self.waiting.push_back(Operation { ticket, work });
        self.pump(ports);
    }

    /// Gives waiting operations to units, the least loaded first.
    fn pump(&mut self, ports: &mut dyn Ports) {
        while let Some(operation) = self.waiting.front() {
            let entries = operation.work.entries();
            let unit = self.units.iter_mut().min_by_key(|unit| unit.outstanding());
            let Some(unit) = unit.filter(|unit| unit.has_room(entries)) else { break };
            let Some(slot) = self.slots.pop() else { break };
            let Some(operation) = self.waiting.pop_front() else { break };
            ports.charge(CRYPTO_OPERATION + operation.work.copied_bytes() * self.cost.copy);
            let words = operation.work.prepare(ports, slot);
            match unit.submit(ports, &words, operation, slot) {
                Ok(()) => {}
                Err((operation, why)) => {
                    ports.log(format!("crypto unit: {why}; in software instead"));
                    self.slots.push(slot);
                    self.in_software(ports, operation);
                }
            }
        }
        let busy = self.units.iter().any(|unit| unit.outstanding() > 0);
        if busy && !self.watching {
            self.watching = true;
            ports.set_timer(ports.now().plus(WATCH), self.timer);
        }
    }

    /// Takes back what the units have done.
    fn collect(&mut self, ports: &mut dyn Ports) {
        let mut failed = Vec::new();
        for unit in &mut self.units {
            for (operation, slot, ok) in unit.finished(ports) {
                if ok {
                    self.used.count(&operation.work);
                    finish(ports, slot, operation, &mut self.done, &mut self.hashes);
                } else {
                    failed.push(operation);
                }
                self.slots.push(slot);
            }
        }
        for operation in failed {
            ports.log("crypto unit: an operation was refused; in software instead".into());
            self.in_software(ports, operation);
        }
        self.pump(ports);
    }

    fn in_software(&mut self, ports: &mut dyn Ports, operation: Operation) {
        let Operation { ticket, work } = operation;
        match work {
            Work::Seal { keys, sequence, text } => {
                let soft = self.soft.seal(ports, &keys, sequence, text);
                self.soft_tickets.insert(ticket, soft);
            }
            Work::Open { keys, sequence, record } => {
                let soft = self.soft.open(ports, &keys, sequence, record);
                self.soft_tickets.insert(ticket, soft);
            }
            Work::Hash { part, pages } => {
                ports.charge((pages.len() * PAGE) as u64 * self.cost.sha256);
                let mut page = vec![0; PAGE];
                let mut hashes = Vec::new();
                for ra in pages {
                    ports.read(ra, &mut page);
                    hashes.extend_from_slice(&Hasher::Sha256.hash(&page));
                }
                join(ticket, part, hashes, &mut self.done, &mut self.hashes);
            }
        }
    }
}

impl Used {
    fn count(&mut self, work: &Work) {
        match work {
            Work::Seal { text, .. } => {
                let plain = text.plain().len();
                self.ciphered_bytes += plain as u64;
                self.hashed_bytes += (plain + HEADER_BYTES) as u64;
            }
            Work::Open { record, .. } => {
                self.ciphered_bytes += (record.len() - HEADER_BYTES - TAG_BYTES) as u64;
                self.hashed_bytes += (record.len() - TAG_BYTES) as u64;
            }
            Work::Hash { pages, .. } => self.hashed_bytes += (pages.len() * PAGE) as u64,
        }
    }
}

impl Work {
    /// Control words that it needs.
    fn entries(&self) -> usize {
        let words = |bytes: usize| bytes.div_ceil(Control::BYTES_MAX);
        match self {
            Self::Seal { text, .. } => {
                let plain = text.plain().len();
                words(plain) + words(plain + HEADER_BYTES)
            }
            Self::Open { record, .. } => {
                let authentic = record.len() - TAG_BYTES;
                words(authentic) + words(authentic - HEADER_BYTES)
            }
            Self::Hash { pages, .. } => pages.len(),
        }
    }

    /// Bytes that go into the slot and come out of it.
    fn copied_bytes(&self) -> u64 {
        match self {
            Self::Seal { text, .. } => 2 * text.plain().len() as u64,
            Self::Open { record, .. } => 2 * record.len() as u64,
            Self::Hash { .. } => 0,
        }
    }

    /// Fills the slot, and gives the control words.
    fn prepare(&self, ports: &mut dyn Ports, slot: Block) -> Vec<Entry> {
        ports.write(slot.at(INITIAL), HashKind::Sha256.initial_state());
        let record = slot.at(RECORD);
        let mut words = Vec::new();
        match self {
            Self::Seal { keys, sequence, text } => {
                let plain = text.plain();
                put_keys(ports, slot, keys, *sequence);
                ports.write(record, &seal::header(*sequence, plain.len()));
                let text = record.offset(HEADER_BYTES as u64);
                ports.write(text, plain);
                cipher(slot, text, plain.len(), &mut words);
                hmac(slot, record, plain.len() + HEADER_BYTES, &mut words);
            }
            Self::Open { keys, sequence, record: bytes } => {
                put_keys(ports, slot, keys, *sequence);
                ports.write(record, bytes);
                let text = record.offset(HEADER_BYTES as u64);
                let authentic = bytes.len() - TAG_BYTES;
                hmac(slot, record, authentic, &mut words);
                cipher(slot, text, authentic - HEADER_BYTES, &mut words);
            }
            Self::Hash { pages, .. } => {
                for (at, &page) in (HASHES..).step_by(16).zip(pages) {
                    // Of the digest the first 16 bytes.
                    let control = Control::hash(HashKind::Sha256, None, PAGE).0;
                    let control = Control(control & !(0xff << 40) | 15 << 40);
                    words.push(Entry {
                        control: control.with(Control::SOB | Control::EOB),
                        source: page,
                        auth_iv: slot.at(INITIAL),
                        destination: slot.at(at),
                        ..Entry::default()
                    });
                }
            }
        }
        if let Some(last) = words.last_mut() {
            last.control = last.control.with(Control::INTERRUPT);
        }
        words
    }
}

fn put_keys(ports: &mut dyn Ports, slot: Block, keys: &Keys, sequence: u64) {
    ports.write(slot.at(KEY), &keys.cipher);
    ports.write(slot.at(AUTH_KEY), &keys.auth);
    ports.write(slot.at(IV), &seal::counter(sequence));
}

fn cipher(slot: Block, text: Ra, bytes: usize, words: &mut Vec<Entry>) {
    let first = Entry {
        control: Control::cipher(CipherKind::Aes128, Chaining::Ctr, bytes)
            .with(Control::ENCRYPT | Control::IN_PLACE),
        key: slot.at(KEY),
        iv: slot.at(IV),
        ..Entry::default()
    };
    chain(first, text, bytes, words);
}

fn hmac(slot: Block, source: Ra, bytes: usize, words: &mut Vec<Entry>) {
    let first = Entry {
        control: Control::hash(HashKind::Sha256, Some(32), bytes),
        auth_key: slot.at(AUTH_KEY),
        auth_iv: slot.at(INITIAL),
        destination: slot.at(TAG),
        ..Entry::default()
    };
    chain(first, source, bytes, words);
}

/// As many words as the bytes need; the first says everything.
fn chain(first: Entry, source: Ra, bytes: usize, words: &mut Vec<Entry>) {
    let mut done = 0;
    while done < bytes {
        let piece = (bytes - done).min(Control::BYTES_MAX);
        let mut word = if done == 0 { first } else { Entry::default() };
        let lengths = Control::more(piece).0;
        word.control = Control(word.control.0 & !0xffff | lengths);
        if done == 0 {
            word.control = word.control.with(Control::SOB);
        }
        word.source = source.offset(done as u64);
        done += piece;
        if done == bytes {
            word.control = word.control.with(Control::EOB);
        }
        words.push(word);
    }
}

/// Reads the result of an operation that a unit has done.
fn finish(
    ports: &mut dyn Ports,
    slot: Block,
    operation: Operation,
    done: &mut Results,
    hashes: &mut BTreeMap<Ticket, Vec<Option<Vec<u8>>>>,
) {
    let read = |offset: u64, bytes: usize| {
        let mut out = vec![0; bytes];
        ports.read(slot.at(offset), &mut out);
        out
    };
    match operation.work {
        Work::Seal { text, .. } => {
            let authentic = HEADER_BYTES + text.plain().len();
            let mut record = read(RECORD, authentic + TAG_BYTES);
            ports.read(slot.at(TAG), &mut record[authentic..]);
            done.put(operation.ticket, Ok(record));
        }
        Work::Open { record, .. } => {
            let authentic = record.len() - TAG_BYTES;
            let result = if read(TAG, TAG_BYTES) == record[authentic..] {
                Ok(read(RECORD, authentic))
            } else {
                Err(Refusal::Forged)
            };
            done.put(operation.ticket, result);
        }
        Work::Hash { part, pages } => {
            join(operation.ticket, part, read(HASHES, pages.len() * 16), done, hashes);
        }
    }
}

/// A part of some pages' hashes is there.
fn join(
    ticket: Ticket,
    part: usize,
    bytes: Vec<u8>,
    done: &mut Results,
    hashes: &mut BTreeMap<Ticket, Vec<Option<Vec<u8>>>>,
) {
    let Some(parts) = hashes.get_mut(&ticket) else { return };
    if let Some(slot) = parts.get_mut(part) {
        *slot = Some(bytes);
    }
    if parts.iter().all(Option::is_some) {
        let whole = hashes.remove(&ticket).into_iter().flatten().flatten().flatten().collect();
        done.put(ticket, Ok(whole));
    }
}

impl Cipher for Units {
    fn seal(&mut self, ports: &mut dyn Ports, keys: &Keys, sequence: u64, text: Text) -> Ticket {
        let ticket = self.ticket();
        let work = Work::Seal { keys: keys.clone(), sequence, text };
        if self.units.is_empty() {
            self.in_software(ports, Operation { ticket, work });
        } else {
            self.begin(ports, ticket, work);
        }
        ticket
    }

    fn open(
        &mut self,
        ports: &mut dyn Ports,
        keys: &Keys,
        sequence: u64,
        record: Vec<u8>,
    ) -> Ticket {
        let ticket = self.ticket();
        match seal::check(sequence, &record) {
            Err(refusal) => {
                self.done.put(ticket, Err(refusal));
            }
            // A unit has no way to say "no bytes".
            Ok(0) => {
                self.done.put(ticket, seal::open(keys, sequence, record).map(Text::into_bytes));
            }
            Ok(_) => {
                let work = Work::Open { keys: keys.clone(), sequence, record };
                if self.units.is_empty() {
                    self.in_software(ports, Operation { ticket, work });
                } else {
                    self.begin(ports, ticket, work);
                }
            }
        }
        ticket
    }

    fn hash_pages(&mut self, ports: &mut dyn Ports, pages: &[Ra]) -> Option<Ticket> {
        if self.units.is_empty() || pages.is_empty() {
            return None;
        }
        let ticket = self.ticket();
        self.hashes.insert(ticket, vec![None; pages.len().div_ceil(HASH_PAGES)]);
        for (part, pages) in pages.chunks(HASH_PAGES).enumerate() {
            self.begin(ports, ticket, Work::Hash { part, pages: pages.to_vec() });
        }
        Some(ticket)
    }

    fn hashes_pages(&self) -> bool {
        !self.units.is_empty()
    }

    fn take(&mut self, ticket: Ticket) -> Option<Result<Vec<u8>, Refusal>> {
        self.done.take(ticket)
    }

    fn forget(&mut self, ticket: Ticket) {
        self.done.0.remove(&ticket);
        self.hashes.remove(&ticket);
        self.waiting.retain(|operation| operation.ticket != ticket);
        if let Some(held) = self.soft_tickets.remove(&ticket) {
            self.soft.forget(held);
        }
    }

    fn used(&self) -> Used {
        self.used
    }
}
