//! The pages of a round on their way: read, packed, sealed, sent, acknowledged.
//!
//! Everything here goes on side by side, as far as buffers, strands and the wire
//! allow: some groups of pages are being read by the hypervisor, some chunks are
//! being packed by as many strands as there are, some are being sealed, some are
//! on the wire.

use super::codec::Plain;
use super::compress::{self, CHUNK_PAGES, Content, Packed, Page, SPAN_PAGES};
use super::in_order::InOrder;
use super::link::Link;
use super::pages::{Hasher, PAGE, PageHash, PageHashes, PageMap, PageSet};
use super::port::{HvReply, HvRequest, Io, Tag, Ticket};
use super::seal::Text;
use super::{Buffers, Config};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use sun4v::addr::Ra;
use sun4v::id::GuestId;
use sun4v::native::JobId;

/// Pages that are read with one request, a buffer's worth.
const READ_PAGES: usize = 128;
const READ_BYTES: u64 = READ_PAGES as u64 * PAGE as u64;
/// Chunks packed beyond one a strand, so that no strand waits for the next.
const SPARE_JOBS: usize = 4;
/// Chunks that the target may not have acknowledged: 32 MB at most.
pub const WINDOW_CHUNKS: usize = 256;
/// Bytes that may wait for the wire.
const OUTBOX_BYTES: usize = 4 << 20;
/// Records that may wait for the cipher.
const SEALING: usize = 64;

/// Copies rounds of pages.
#[derive(Clone, Debug)]
pub struct Copier {
    config: Config,
    guest: GuestId,
    free: Vec<Ra>,
    /// Pages of this round that were not asked for yet, and where to go on.
    todo: PageSet,
    cursor: u32,
    reading: BTreeMap<Tag, (Ra, Vec<u32>)>,
    /// Pages that were read and are at the crypto units.
    hashing: BTreeMap<Ticket, (Ra, Read)>,
    ready: VecDeque<Vec<Page>>,
    packing: BTreeMap<JobId, u64>,
    packed: InOrder<Packed>,
    /// Chunks cut, chunks sent.
    cut: u64,
    sent: u64,
    /// Chunks that were not acknowledged.
    in_flight: VecDeque<Sent>,
    unacknowledged: PageSet,
    hasher: Hasher,
    hashes: PageHashes,
    spare: Spare,
}

/// A chunk that was sent, for as long as it may have to be sent again.
#[derive(Clone, Debug)]
struct Sent {
    number: u64,
    pages: Vec<u32>,
    chunk: Text,
}

/// Pages that were read, one behind the other.
#[derive(Clone, Debug)]
struct Read {
    pages: Vec<u32>,
    bytes: Arc<Vec<u8>>,
}

/// The host's memory for contents of pages that were read: used again once nobody looks
/// at them any more, and no part of what a copier is.
#[derive(Default)]
struct Spare(Vec<Arc<Vec<u8>>>);

impl Spare {
    /// Has so many bytes filled.
    fn fill(&mut self, bytes: usize, fill: impl FnOnce(&mut [u8])) -> Arc<Vec<u8>> {
        let free = self.0.iter().position(|held| Arc::strong_count(held) == 1);
        let free = free.and_then(|at| Arc::try_unwrap(self.0.swap_remove(at)).ok());
        let mut memory = free.unwrap_or_default();
        memory.resize(bytes, 0);
        fill(&mut memory);
        let memory = Arc::new(memory);
        self.0.push(memory.clone());
        memory
    }
}

impl Clone for Spare {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Spare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spare")
    }
}

impl Copier {
    /// For a guest with so many pages.
    pub fn new(config: Config, guest: GuestId, pages: u32, buffers: Buffers) -> Self {
        let free = (0..Buffers::BYTES / READ_BYTES).map(|n| buffers.ra.offset(n * READ_BYTES));
        Self {
            config,
            guest,
            free: free.collect(),
            todo: PageSet::none(pages),
            cursor: 0,
            reading: BTreeMap::new(),
            hashing: BTreeMap::new(),
            ready: VecDeque::new(),
            packing: BTreeMap::new(),
            packed: InOrder::default(),
            cut: 0,
            sent: 0,
            in_flight: VecDeque::new(),
            unacknowledged: PageSet::none(pages),
            hasher: Hasher::default(),
            hashes: PageHashes::new(pages),
            spare: Spare::default(),
        }
    }

    /// What the ends have agreed to hash pages with; before anything is copied.
    pub const fn hash_with(&mut self, hasher: Hasher) {
        self.hasher = hasher;
    }

    /// Begins a round over these pages.
    pub fn begin(&mut self, pages: PageSet) {
        self.todo = pages;
        self.cursor = 0;
    }

    /// Forgets what is under way; what still comes is dropped.
    pub fn stop(&mut self, io: &mut Io<'_>) {
        for ticket in std::mem::take(&mut self.hashing).into_keys() {
            io.cipher.forget(ticket);
        }
        self.todo = PageSet::default();
        self.ready.clear();
        self.packing.clear();
        self.packed = InOrder::default();
    }

    /// What every page held when it was last sent.
    pub const fn hashes(&self) -> &PageHashes {
        &self.hashes
    }

    /// Chunks sent so far.
    pub const fn chunks(&self) -> u64 {
        self.sent
    }

    /// Pages sent that the target has not written yet, as far as is known.
    pub const fn unacknowledged(&self) -> u32 {
        self.unacknowledged.count()
    }

    /// Pages that the target has, in some version.
    pub const fn arrived(&self) -> u32 {
        self.hashes.known() - self.unacknowledged.count()
    }

    /// The target has written all chunks below this number.
    pub fn acknowledged(&mut self, chunks: u64) {
        while self.in_flight.front().is_some_and(|sent| sent.number < chunks) {
            let Some(sent) = self.in_flight.pop_front() else { break };
            sent.pages.into_iter().for_each(|index| self.unacknowledged.remove(index));
        }
    }

    /// The target, met again, has all chunks below this number and none behind them: those
    /// are sent again as they were. False when it cannot be so.
    pub fn send_again(&mut self, io: &mut Io<'_>, link: &mut Link, from: u64) -> bool {
        let acknowledged = self.in_flight.front().map_or(self.sent, |sent| sent.number);
        for sent in self.in_flight.iter().filter(|sent| sent.number >= from) {
            link.send(io, Plain::Chunk(sent.chunk.clone()));
        }
        (acknowledged..=self.sent).contains(&from)
    }

    /// A job has ended.
    pub fn job_done(&mut self, job: JobId, output: Vec<u8>) {
        if let Some(number) = self.packing.remove(&job)
            && let Some(packed) = compress::packed_from_bytes(output)
        {
            self.packed.put(number, packed);
        }
    }

    /// The hypervisor has answered; true when it was a read of pages.
    pub fn hv(&mut self, io: &mut Io<'_>, tag: Tag, reply: &Result<HvReply, String>) -> bool {
        let Some((buffer, pages)) = self.reading.remove(&tag) else { return false };
        if reply.is_err() {
            self.free.push(buffer);
            return true;
        }
        let bytes = self.spare.fill(pages.len() * PAGE, |bytes| io.ports.read(buffer, bytes));
        let read = Read { pages, bytes };
        match self.hash(io, buffer, &read.bytes) {
            Some(ticket) => drop(self.hashing.insert(ticket, (buffer, read))),
            None => {
                self.free.push(buffer);
                self.cut_chunks(&read, &[]);
            }
        }
        true
    }

    /// Has the crypto units hash the pages in a buffer that have content, if that is
    /// agreed and there are any; the strand that packs a page hashes it otherwise.
    fn hash(&self, io: &mut Io<'_>, buffer: Ra, bytes: &[u8]) -> Option<Ticket> {
        if self.hasher != Hasher::Sha256 {
            return None;
        }
        let places = (0..).step_by(PAGE).map(|at| buffer.offset(at as u64));
        let places = places.zip(bytes.chunks_exact(PAGE)).filter(|(_, page)| !is_zero(page));
        let places: Vec<Ra> = places.map(|(place, _)| place).collect();
        io.cipher.hash_pages(io.ports, &places)
    }

    /// Goes on with the pages whose hashes are there.
    fn collect(&mut self, io: &mut Io<'_>) {
        let ready = |ticket: &Ticket| Some((*ticket, io.cipher.take(*ticket)?));
        let ready: Vec<_> = self.hashing.keys().filter_map(ready).collect();
        for (ticket, result) in ready {
            if let Some((buffer, read)) = self.hashing.remove(&ticket) {
                self.free.push(buffer);
                let hashes = result.unwrap_or_default();
                self.cut_chunks(&read, hashes.as_chunks::<16>().0);
            }
        }
    }

    /// `hashes` are those of the pages that have content, as far as they are known.
    fn cut_chunks(&mut self, read: &Read, hashes: &[PageHash]) {
        let mut hashes = hashes.iter().copied();
        let mut chunk: Vec<Page> = Vec::new();
        let mut data = 0;
        let pages = read.pages.iter().zip(read.bytes.chunks_exact(PAGE));
        for (number, (&index, page)) in pages.enumerate() {
            let zero = is_zero(page);
            let first = chunk.first().map_or(index, |page| page.index);
            if index - first >= SPAN_PAGES || (!zero && data == CHUNK_PAGES) {
                self.ready.push_back(std::mem::take(&mut chunk));
                data = 0;
            }
            data += usize::from(!zero);
            let hash = if zero { None } else { hashes.next() };
            let content = (!zero).then(|| Content::of(&read.bytes, number));
            chunk.push(Page { index, content, hash, before: self.hashes.get(index) });
        }
        if !chunk.is_empty() {
            self.ready.push_back(chunk);
        }
    }

    /// Moves everything that can move; tells `each` of every chunk that is sent.
    /// True when the round is sent to its end.
    pub fn pump(
        &mut self,
        io: &mut Io<'_>,
        map: &PageMap,
        link: &mut Link,
        each: &mut dyn FnMut(&Packed),
    ) -> bool {
        self.collect(io);
        while let Some(packed) = self.packed.pop() {
            each(&packed);
            self.send(io, link, packed);
        }
        let strands = io.ports.vcpus() + SPARE_JOBS;
        let (outbox_bytes, sealing) = link.backlog();
        let room = outbox_bytes < OUTBOX_BYTES && sealing < SEALING;
        while room
            && self.packing.len() + self.packed.waiting() < strands
            && self.in_flight.len() + self.packing.len() < WINDOW_CHUNKS
            && let Some(pages) = self.ready.pop_front()
        {
            self.pack(io, pages);
        }
        while self.ready.len() + self.reading.len() * (READ_PAGES / CHUNK_PAGES) < 2 * strands
            && self.todo.count() > 0
            && let Some(buffer) = self.free.pop()
        {
            self.read(io, map, buffer);
        }
        self.todo.count() == 0
            && self.reading.is_empty()
            && self.hashing.is_empty()
            && self.ready.is_empty()
            && self.packing.is_empty()
            && self.packed.waiting() == 0
    }

    fn read(&mut self, io: &mut Io<'_>, map: &PageMap, buffer: Ra) {
        let indices = self.todo.take(self.cursor, READ_PAGES);
        self.cursor = indices.last().map_or(0, |&index| index + 1);
        let pages = indices.iter().filter_map(|&index| map.ra(index)).collect();
        let request = HvRequest::PagesOut { guest: self.guest, pages, buffer };
        let tag = io.hv.request(io.ports, request);
        self.reading.insert(tag, (buffer, indices));
    }

    fn pack(&mut self, io: &mut Io<'_>, pages: Vec<Page>) {
        let cost = self.config.cost;
        let bytes = |wanted: &dyn Fn(&Page) -> bool| {
            pages.iter().filter(|page| page.content.is_some() && wanted(page)).count() * PAGE
        };
        let unhashed = bytes(&|page| page.hash.is_none());
        let sent = bytes(&|page| page.hash.is_none() || page.hash != page.before);
        let cycles = cost.piece
            + (pages.len() * PAGE) as u64 * (cost.scan + cost.copy)
            + unhashed as u64 * cost.hash(self.hasher)
            + sent as u64 * if self.config.level == 0 { cost.copy } else { cost.compress };
        let (number, hasher, level) = (self.cut, self.hasher, self.config.level);
        self.cut += 1;
        let pack = move || compress::packed_to_bytes(compress::pack(number, &pages, hasher, level));
        let job = io.ports.job(cycles, Box::new(pack));
        self.packing.insert(job, number);
    }

    fn send(&mut self, io: &mut Io<'_>, link: &mut Link, packed: Packed) {
        for &(index, hash) in &packed.sent {
            self.hashes.set(index, hash);
            self.unacknowledged.insert(index);
        }
        let pages = packed.sent.iter().map(|&(index, _)| index).collect();
        let (number, chunk) = (self.sent, packed.chunk.clone());
        self.in_flight.push_back(Sent { number, pages, chunk });
        self.sent += 1;
        link.send(io, Plain::Chunk(packed.chunk));
    }
}

fn is_zero(page: &[u8]) -> bool {
    static ZEROS: [u8; PAGE] = [0; PAGE];
    page == ZEROS
}
