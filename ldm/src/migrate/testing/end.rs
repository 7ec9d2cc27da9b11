//! One end of a migration without the rest of its control domain: what it asks of its
//! hypervisor, its manager, its wire and its journal is answered here.

use super::super::journal::{EntryV1, State, Store, WRITE_TIME};
use super::super::pages::Stretch;
use super::super::port::{
    Cipher, Fence, Found, Hv, HvReply, HvRequest, Io, Journal, Kind, Manager, ManagerReply, Offer,
    Status, Tag, Ticket, Used, Wire,
};
use super::super::seal::{Keys, Text};
use super::super::{Buffers, Refusal, SoftCipher};
use super::{ARENA, LATENCY, TIMER, UUID, owns};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use sun4v::addr::{PAGE_BYTES, Ra};
use sun4v::hcall::HvError;
use sun4v::id::GuestId;
use sun4v::native::{JobId, Observation, Ports, Reply, Rets, Work};
use sun4v::time::{SimTime, T2_HZ};

/// Memory is there once it is written.
const BLOCK_BYTES: usize = 64 << 10;
const GUEST: GuestId = GuestId(3);
/// Between an hvctl message and its answer.
const HV_DELAY: SimTime = SimTime::us(10);

/// The native program's side of one end.
pub(crate) struct Desk {
    pub(super) now: SimTime,
    /// Blocks that were written.
    pub(super) memory: Vec<Option<Vec<u8>>>,
    pub(super) strands: Vec<SimTime>,
    next_job: u64,
    pub(super) jobs: Vec<(SimTime, JobId, Work)>,
    pub(super) timers: Vec<SimTime>,
    pub(crate) log: Vec<String>,
    pub(crate) facts: Vec<Observation>,
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
    fn read(&self, ra: Ra, mut bytes: &mut [u8]) {
        let mut at = (ra.0 - ARENA.0) as usize;
        while !bytes.is_empty() {
            let (block, offset) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
            let length = bytes.len().min(BLOCK_BYTES - offset);
            let (piece, rest) = bytes.split_at_mut(length);
            match &self.memory[block] {
                Some(block) => piece.copy_from_slice(&block[offset..offset + length]),
                None => piece.fill(0),
            }
            (at, bytes) = (at + length, rest);
        }
    }
    fn write(&mut self, ra: Ra, mut bytes: &[u8]) {
        let mut at = (ra.0 - ARENA.0) as usize;
        while !bytes.is_empty() {
            let (block, offset) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
            let (piece, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - offset));
            let block = self.memory[block].get_or_insert_with(|| vec![0; BLOCK_BYTES]);
            block[offset..offset + piece.len()].copy_from_slice(piece);
            (at, bytes) = (at + piece.len(), rest);
        }
    }
    fn send_frame(&mut self, _: u8, _: Vec<u8>) {}
    fn set_timer(&mut self, at: SimTime, token: u64) {
        assert_eq!(token, TIMER);
        self.timers.push(at);
    }
    fn job(&mut self, cycles: u64, work: Work) -> JobId {
        let strand = self.strands.iter_mut().min().unwrap();
        *strand = (*strand).max(self.now).plus(SimTime::of_ticks(cycles, T2_HZ));
        self.jobs.push((*strand, JobId(self.next_job), work));
        self.next_job += 1;
        JobId(self.next_job - 1)
    }
    fn charge(&mut self, _: u64) {}
    fn vcpus(&self) -> usize {
        self.strands.len()
    }
    fn busy(&self) -> Vec<SimTime> {
        Vec::new()
    }
    fn reply(&mut self, _: u64, _: Reply) {}
    fn log(&mut self, line: String) {
        self.log.push(line);
    }
    fn observe(&mut self, fact: Observation) {
        self.facts.push(fact);
    }
}

/// A guest's memory and what a hypervisor knows of it.
#[derive(Clone, Default)]
pub(crate) struct Guest {
    pub(crate) memory: BTreeMap<u64, Vec<u8>>,
    pub(crate) running: bool,
    pub(crate) logging: bool,
    /// Share of the time in which it does not run, in percent.
    pub(crate) held: u8,
    pub(super) dirty: BTreeSet<u64>,
    pub(crate) state: u64,
}

/// The hypervisor of one end.
#[derive(Default)]
pub(crate) struct FakeHv {
    pub(crate) guest: Option<Guest>,
    pub(super) asked: VecDeque<(SimTime, Tag, HvRequest)>,
    pub(super) next: u64,
    /// Fails the next request of this kind (by its `Debug` name).
    pub(crate) refuse: Option<&'static str>,
    pub(crate) pages_out: u64,
    /// Shares of time in which the guest was to be held, in order.
    pub(crate) holds: Vec<u8>,
}

impl Hv for FakeHv {
    fn request(&mut self, ports: &mut dyn Ports, request: HvRequest) -> Tag {
        self.next += 1;
        self.asked.push_back((ports.now().plus(HV_DELAY), Tag(self.next), request));
        Tag(self.next)
    }
}

impl FakeHv {
    pub(super) fn serve(
        &mut self,
        desk: &mut Desk,
        request: &HvRequest,
    ) -> Result<HvReply, String> {
        if let Some(name) = self.refuse
            && format!("{request:?}").starts_with(name)
        {
            return Err("a fault was asked for".into());
        }
        let guest = self.guest.as_mut().ok_or("no such guest")?;
        match request {
            HvRequest::LogStart(_) => {
                guest.logging = true;
                guest.dirty.clear();
            }
            HvRequest::LogStop(_) => {
                guest.logging = false;
                guest.held = 0;
            }
            HvRequest::Hold { percent, .. } => {
                assert!(guest.logging);
                guest.held = *percent;
                self.holds.push(*percent);
            }
            HvRequest::DirtyRead { first, pages, buffer, .. } => {
                assert!(guest.logging);
                let mut bits = vec![0u8; pages.div_ceil(64) as usize * 8];
                for page in &guest.dirty {
                    if let Some(n) = page.checked_sub(first.0).map(|bytes| bytes / PAGE_BYTES)
                        && n < *pages
                    {
                        bits[n as usize / 8] |= 1 << (n % 8);
                    }
                }
                desk.write(*buffer, &bits);
            }
            HvRequest::PagesOut { pages, buffer, .. } => {
                for (at, page) in (0..).step_by(PAGE_BYTES as usize).zip(pages) {
                    desk.write(buffer.offset(at), &guest.memory[&page.0]);
                    guest.dirty.remove(&page.0);
                    self.pages_out += 1;
                }
            }
            HvRequest::PagesIn { pages, buffer, .. } => {
                for (at, page) in (0..).step_by(PAGE_BYTES as usize).zip(pages) {
                    let memory = guest.memory.get_mut(&page.0).ok_or("not its memory")?;
                    desk.read(buffer.offset(at), memory);
                }
            }
            HvRequest::PagesZero { pages, .. } => {
                for page in pages {
                    guest.memory.get_mut(&page.0).ok_or("not its memory")?.fill(0);
                }
            }
            HvRequest::Suspend(_) => guest.running = false,
            HvRequest::Resume(_) if guest.running => return Ok(HvReply::NotSuspended),
            HvRequest::Resume(_) => guest.running = true,
            HvRequest::StateOut { buffer, .. } => {
                assert!(!guest.running);
                desk.write(*buffer, &guest.state.to_be_bytes());
                return Ok(HvReply::State { bytes: 8 });
            }
            HvRequest::StateIn { buffer, bytes, .. } => {
                let mut state = [0; 8];
                assert_eq!(*bytes, 8);
                desk.read(*buffer, &mut state);
                guest.state = u64::from_be_bytes(state);
            }
        }
        Ok(HvReply::Done)
    }
}

/// The manager of one end: one domain, or none.
#[derive(Default)]
pub(crate) struct FakeManager {
    pub(crate) domain: Option<(String, &'static str)>,
    pub(crate) kind: Option<Kind>,
    pub(crate) epoch: u64,
    pub(crate) problems: Vec<String>,
    /// What stands against its leaving.
    pub(crate) leaving: Vec<String>,
    pub(super) memory: Vec<Stretch>,
    pub(crate) status: Vec<Option<Status>>,
    /// The last shell that went had nothing left in its memory.
    pub(crate) scrubbed: bool,
    pub(super) asked: VecDeque<(SimTime, Tag, Deed)>,
    pub(super) next: u64,
}

pub(super) enum Deed {
    Prepare(Offer),
    Discard,
    Activate(u64),
    Release,
}

impl FakeManager {
    fn ask(&mut self, ports: &mut dyn Ports, deed: Deed) -> Tag {
        self.next += 1;
        self.asked.push_back((ports.now().plus(HV_DELAY), Tag(self.next), deed));
        Tag(self.next)
    }

    pub(super) fn serve(&mut self, hv: &mut FakeHv, deed: Deed) -> Result<ManagerReply, String> {
        match deed {
            Deed::Prepare(offer) => {
                assert!(self.domain.is_none());
                let name = offer.new_name.unwrap_or(offer.name);
                self.domain = Some((name, "shell"));
                self.kind = Some(offer.kind);
                self.epoch = offer.epoch;
                if offer.kind != Kind::Active {
                    return Ok(ManagerReply::Prepared(None));
                }
                hv.guest = Some(guest_of(&offer.memory));
                return Ok(ManagerReply::Prepared(Some(GUEST)));
            }
            Deed::Discard => {
                let shell = self.domain.take_if(|(_, what)| *what == "shell");
                assert!(shell.is_some());
                if let Some(guest) = hv.guest.take() {
                    self.scrubbed = guest.memory.values().all(|page| page.iter().all(|&b| b == 0));
                }
            }
            Deed::Release => {
                self.domain = None;
                hv.guest = None;
            }
            Deed::Activate(epoch) => {
                self.domain.as_mut().unwrap().1 = "domain";
                self.epoch = self.epoch.max(epoch);
            }
        }
        Ok(ManagerReply::Done)
    }
}

impl Manager for FakeManager {
    fn offer(&mut self, domain: &str) -> Result<(Offer, Option<GuestId>), String> {
        match &self.domain {
            Some((name, _)) if name == domain => {}
            _ => return Err(format!("LDom \"{domain}\" was not found")),
        }
        let kind = self.kind.unwrap();
        let offer = Offer {
            name: domain.into(),
            new_name: None,
            uuid: UUID.into(),
            epoch: self.epoch,
            kind,
            memory: self.memory.clone(),
            description: b"constraints".to_vec(),
        };
        Ok((offer, (kind == Kind::Active).then_some(GUEST)))
    }
    fn check_outgoing(&mut self, _: &str) -> Vec<String> {
        self.leaving.clone()
    }
    fn look(&mut self, _: &Offer) {}
    fn check_incoming(&mut self, offer: &Offer) -> Vec<String> {
        assert_eq!(offer.description, b"constraints");
        self.problems.clone()
    }
    fn prepare_incoming(&mut self, ports: &mut dyn Ports, offer: &Offer) -> Tag {
        self.ask(ports, Deed::Prepare(offer.clone()))
    }
    fn discard(&mut self, ports: &mut dyn Ports, _: &str) -> Tag {
        self.ask(ports, Deed::Discard)
    }
    fn activate(&mut self, ports: &mut dyn Ports, _: &str, epoch: u64) -> Tag {
        self.ask(ports, Deed::Activate(epoch))
    }
    fn find(&self, domain: &str, uuid: &str) -> Option<Found> {
        let (_, what) = self.domain.as_ref().filter(|(name, _)| name == domain && uuid == UUID)?;
        let guest = (self.kind == Some(Kind::Active)).then_some(GUEST);
        Some(Found { shell: *what == "shell", guest })
    }
    fn release(&mut self, ports: &mut dyn Ports, _: &str) -> Tag {
        self.ask(ports, Deed::Release)
    }
    fn status(&mut self, _: &str, status: Option<Status>) {
        if self.status.last() != Some(&status) {
            self.status.push(status);
        }
    }
}

pub(super) fn guest_of(memory: &[Stretch]) -> Guest {
    let pages = memory
        .iter()
        .flat_map(|part| (part.ra.0..part.ra.0 + part.bytes).step_by(PAGE_BYTES as usize));
    Guest { memory: pages.map(|ra| (ra, vec![0; 8192])).collect(), ..Guest::default() }
}

/// What one end puts on the wire, until the world takes it.
#[derive(Default)]
pub(crate) struct FakeWire {
    pub(super) sent: Vec<Vec<u8>>,
    pub(super) closed: bool,
}

impl Wire for FakeWire {
    fn send(&mut self, _: &mut dyn Ports, bytes: &[u8]) -> usize {
        if !bytes.is_empty() {
            self.sent.push(bytes.to_vec());
        }
        bytes.len()
    }
    fn close(&mut self, _: &mut dyn Ports) {
        self.closed = true;
    }
}

/// The journal of one end, and what is being written to it.
#[derive(Default)]
pub(crate) struct FakeJournal {
    pub(crate) store: Store,
    pub(super) writing: VecDeque<(SimTime, Tag, EntryV1)>,
    pub(super) next: u64,
    /// Entries that were begun, in order.
    pub(crate) begun: Vec<State>,
    /// Entries, from 1, for which the medium has no room.
    pub(crate) refuses: std::ops::Range<u64>,
}

impl Journal for FakeJournal {
    fn write(&mut self, ports: &mut dyn Ports, entry: EntryV1) -> Tag {
        self.next += 1;
        self.begun.push(entry.state);
        let last = self.writing.back().map_or(SimTime::ZERO, |&(due, ..)| due);
        let due = ports.now().max(last).plus(WRITE_TIME);
        self.writing.push_back((due, Tag(self.next), entry));
        Tag(self.next)
    }
    fn seen(&self, uuid: &str) -> u64 {
        self.store.ledger().seen(uuid)
    }
}

/// What both ends reach, at one of them: how its disk server and its switch have it.
#[derive(Default)]
pub(crate) struct FakeFence {
    pub(super) asked: VecDeque<(SimTime, Tag, u64)>,
    pub(super) next: u64,
    /// The epoch at which the disk server comes.
    pub(crate) epoch: u64,
    pub(crate) shut: bool,
}

impl Fence for FakeFence {
    fn claim(&mut self, ports: &mut dyn Ports, _: &str, epoch: u64) -> Tag {
        self.next += 1;
        self.asked.push_back((ports.now().plus(LATENCY), Tag(self.next), epoch));
        Tag(self.next)
    }
    fn shut(&mut self, _: &str) {
        self.shut = true;
    }
    fn open(&mut self, _: &str) {
        self.shut = false;
    }
}

/// A cipher in software. Units that it says it has are gone when they are asked for hashes.
#[derive(Default)]
pub(crate) struct FakeCipher {
    pub(super) soft: SoftCipher,
    pub(crate) units: bool,
}

impl Cipher for FakeCipher {
    fn seal(&mut self, ports: &mut dyn Ports, keys: &Keys, sequence: u64, text: Text) -> Ticket {
        self.soft.seal(ports, keys, sequence, text)
    }
    fn open(
        &mut self,
        ports: &mut dyn Ports,
        keys: &Keys,
        sequence: u64,
        record: Vec<u8>,
    ) -> Ticket {
        self.soft.open(ports, keys, sequence, record)
    }
    fn hash_pages(&mut self, _: &mut dyn Ports, _: &[Ra]) -> Option<Ticket> {
        None
    }
    fn hashes_pages(&self) -> bool {
        self.units
    }
    fn take(&mut self, ticket: Ticket) -> Option<Result<Vec<u8>, Refusal>> {
        self.soft.take(ticket)
    }
    fn forget(&mut self, ticket: Ticket) {
        self.soft.forget(ticket);
    }
    fn used(&self) -> Used {
        self.soft.used()
    }
}

/// One end.
pub(crate) struct End {
    pub(crate) desk: Desk,
    pub(crate) hv: FakeHv,
    pub(crate) manager: FakeManager,
    pub(crate) cipher: FakeCipher,
    pub(super) wire: FakeWire,
    pub(crate) journal: FakeJournal,
    pub(crate) fence: FakeFence,
}

impl End {
    pub(super) fn new(strands: usize) -> Self {
        let desk = Desk {
            now: SimTime::ZERO,
            memory: vec![None; Buffers::BYTES as usize / BLOCK_BYTES],
            strands: vec![SimTime::ZERO; strands],
            next_job: 0,
            jobs: Vec::new(),
            timers: Vec::new(),
            log: Vec::new(),
            facts: Vec::new(),
        };
        Self {
            desk,
            hv: FakeHv::default(),
            manager: FakeManager::default(),
            cipher: FakeCipher::default(),
            wire: FakeWire::default(),
            journal: FakeJournal::default(),
            fence: FakeFence { epoch: 1, ..FakeFence::default() },
        }
    }

    pub(crate) fn io(&mut self) -> Io<'_> {
        Io {
            ports: &mut self.desk,
            wire: &mut self.wire,
            hv: &mut self.hv,
            manager: &mut self.manager,
            cipher: &mut self.cipher,
            journal: &mut self.journal,
            fence: &mut self.fence,
        }
    }

    /// May the domain run here, as far as the journal says?
    pub(crate) fn owns(&self) -> bool {
        owns(self.journal.store.ledger(), self.manager.domain.as_ref().map(|(_, what)| *what))
    }

    /// Does the domain run here?
    pub(crate) fn runs(&self) -> bool {
        self.hv.guest.as_ref().is_some_and(|guest| guest.running)
    }
}
