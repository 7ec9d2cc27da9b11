//! Chunks on their way into a domain's memory: expanded side by side, written in
//! order.
//!
//! What a chunk expands to is hashed by the crypto units while the hypervisor copies
//! it, or, unless both ends have units, by the strand that expanded it. A chunk counts as written
//! when both are done.

use super::compress::{self, Unpacked};
use super::copy::WINDOW_CHUNKS;
use super::in_order::InOrder;
use super::pages::{Hasher, PAGE, PageHashes, PageMap};
use super::port::{HV_PAGES_MAX, HvRequest, Io, Tag, Ticket};
use super::seal::Text;
use super::{Buffers, Config, Refusal};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use sun4v::addr::Ra;
use sun4v::id::GuestId;
use sun4v::native::JobId;

/// A chunk's body, in the control domain's memory until it is written.
const BUFFER_BYTES: u64 = (compress::CHUNK_PAGES * PAGE) as u64;
/// The source is told after so many chunks.
const ACK_CHUNKS: u64 = 8;

/// Takes chunks in.
#[derive(Clone, Debug)]
pub struct Arriver {
    config: Config,
    free: Vec<Ra>,
    received: u64,
    expanding: BTreeMap<JobId, u64>,
    expanded: InOrder<Unpacked>,
    /// Requests under way, oldest first: the buffer to give back with the answer,
    /// and how many chunks are written then.
    writing: VecDeque<(Tag, Option<Ra>, u64)>,
    /// A chunk that found no buffer free.
    next: Option<Unpacked>,
    /// Chunks that were handed to the hypervisor, and that it has copied.
    handed: u64,
    copied: u64,
    acknowledged: u64,
    hasher: Hasher,
    hashes: PageHashes,
    /// Pages at the crypto units.
    hashing: BTreeMap<Ticket, Hashing>,
    /// Buffers that two use.
    shared: BTreeSet<Ra>,
}

/// Pages of a chunk at the crypto units.
#[derive(Clone, Debug)]
struct Hashing {
    chunk: u64,
    pages: Vec<u32>,
    buffer: Ra,
}

impl Arriver {
    /// Nothing has arrived.
    pub fn new(config: Config, buffers: Buffers) -> Self {
        let free = (0..Buffers::BYTES / BUFFER_BYTES).map(|n| buffers.ra.offset(n * BUFFER_BYTES));
        Self {
            config,
            free: free.collect(),
            received: 0,
            expanding: BTreeMap::new(),
            expanded: InOrder::default(),
            writing: VecDeque::new(),
            next: None,
            handed: 0,
            copied: 0,
            acknowledged: 0,
            hasher: Hasher::default(),
            hashes: PageHashes::new(0),
            hashing: BTreeMap::new(),
            shared: BTreeSet::new(),
        }
    }

    /// So many pages will come, and are hashed so.
    pub fn expect(&mut self, pages: u32, hasher: Hasher) {
        self.hasher = hasher;
        self.hashes = PageHashes::new(pages);
    }

    /// See [`Arriver::expect`].
    pub const fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// Forgets what is under way.
    pub fn stop(&mut self, io: &mut Io<'_>) {
        for ticket in std::mem::take(&mut self.hashing).into_keys() {
            io.cipher.forget(ticket);
        }
        self.expanding.clear();
        self.expanded = InOrder::default();
        self.next = None;
    }

    /// Chunks that arrived.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Chunks that are in the domain's memory, and whose pages are hashed.
    pub fn written(&self) -> u64 {
        let hashing = self.hashing.values().map(|hashing| hashing.chunk);
        hashing.min().map_or(self.copied, |chunk| chunk.min(self.copied))
    }

    /// Chunks that the source was told are written.
    pub const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// What every page holds.
    pub const fn hashes(&self) -> &PageHashes {
        &self.hashes
    }

    /// A chunk arrived. Refused when it is not the next one, or when the source
    /// does not wait for acknowledgements.
    pub fn chunk(&mut self, io: &mut Io<'_>, map: &PageMap, chunk: Text) -> Result<(), Refusal> {
        if compress::sequence(chunk.plain())? != self.received {
            return Err(Refusal::OutOfOrder);
        }
        if self.received - self.acknowledged > 2 * WINDOW_CHUNKS as u64 {
            return Err(Refusal::Unexpected);
        }
        let cost = self.config.cost;
        let bytes = (compress::data_pages(chunk.plain()) * PAGE) as u64;
        let hasher = self.hasher;
        let hashes = !self.units_hash(io);
        let hashing = if hashes { cost.hash(hasher) } else { 0 };
        let cycles = cost.piece + bytes * (cost.expand + hashing + cost.copy);
        let map = map.clone();
        let expand = move || {
            compress::unpacked_to_bytes(compress::unpack(chunk.plain(), &map, hasher, hashes))
        };
        let job = io.ports.job(cycles, Box::new(expand));
        self.expanding.insert(job, self.received);
        self.received += 1;
        Ok(())
    }

    /// Do the crypto units hash what arrives?
    fn units_hash(&self, io: &Io<'_>) -> bool {
        self.hasher == Hasher::Sha256 && io.cipher.hashes_pages()
    }

    /// A job has ended.
    pub fn job_done(&mut self, job: JobId, output: Vec<u8>) -> Result<(), Refusal> {
        if let Some(number) = self.expanding.remove(&job) {
            let unpacked = compress::unpacked_from_bytes(output).ok_or(Refusal::Malformed)?;
            self.expanded.put(number, unpacked);
        }
        Ok(())
    }

    /// The hypervisor has answered; true when it was a write of pages.
    pub fn hv(&mut self, tag: Tag) -> bool {
        let Some(at) = self.writing.iter().position(|&(held, ..)| held == tag) else {
            return false;
        };
        if let Some((_, buffer, chunks)) = self.writing.remove(at) {
            buffer.into_iter().for_each(|buffer| self.give_back(buffer));
            self.copied += chunks;
        }
        true
    }

    /// One of those who use a buffer does not any more.
    fn give_back(&mut self, buffer: Ra) {
        if !self.shared.remove(&buffer) {
            self.free.push(buffer);
        }
    }

    /// Takes the hashes that are there.
    fn collect(&mut self, io: &mut Io<'_>) {
        let mut done = Vec::new();
        for (&ticket, hashing) in &self.hashing {
            let Some(result) = io.cipher.take(ticket) else { continue };
            let hashes = result.unwrap_or_default();
            let hashes = hashes.as_chunks::<16>().0;
            for (&index, &hash) in hashing.pages.iter().zip(hashes) {
                self.hashes.set(index, hash);
            }
            done.push(ticket);
        }
        for ticket in done {
            if let Some(hashing) = self.hashing.remove(&ticket) {
                self.give_back(hashing.buffer);
            }
        }
    }

    /// Writes what is expanded, in order, as far as buffers go.
    pub fn pump(&mut self, io: &mut Io<'_>, map: &PageMap, guest: GuestId) {
        self.collect(io);
        while let Some(unpacked) = self.next.take().or_else(|| self.expanded.pop()) {
            let Some(buffer) = self.free.pop() else {
                self.next = Some(unpacked);
                break;
            };
            self.write(io, map, guest, &unpacked, buffer);
        }
    }

    fn write(
        &mut self,
        io: &mut Io<'_>,
        map: &PageMap,
        guest: GuestId,
        unpacked: &Unpacked,
        buffer: Ra,
    ) {
        let all = unpacked.zeros.iter().chain(&unpacked.data);
        for (&index, &hash) in all.zip(&unpacked.hashes) {
            self.hashes.set(index, hash);
        }
        let ras = |indices: &[u32]| -> Vec<Ra> {
            indices.iter().filter_map(|&index| map.ra(index)).collect()
        };
        for zeros in unpacked.zeros.chunks(HV_PAGES_MAX) {
            let pages = ras(zeros);
            let tag = io.hv.request(io.ports, HvRequest::PagesZero { guest, pages });
            self.writing.push_back((tag, None, 0));
        }
        if unpacked.data.is_empty() {
            self.free.push(buffer);
        } else {
            io.ports.write(buffer, &unpacked.body);
            if unpacked.hashes.len() == unpacked.zeros.len() {
                self.hash(io, unpacked, buffer);
            }
            let pages = ras(&unpacked.data);
            let tag = io.hv.request(io.ports, HvRequest::PagesIn { guest, pages, buffer });
            self.writing.push_back((tag, Some(buffer), 0));
        }
        // Answers come in the order of requests: with the last one all is written. A
        // chunk without pages is written when everything before it is.
        self.handed += 1;
        match self.writing.back_mut() {
            Some((.., chunks)) => *chunks += 1,
            None => self.copied += 1,
        }
    }

    /// Has the pages in a buffer hashed.
    fn hash(&mut self, io: &mut Io<'_>, unpacked: &Unpacked, buffer: Ra) {
        let places = (0..unpacked.data.len() as u64).map(|n| buffer.offset(n * PAGE as u64));
        let places: Vec<Ra> = places.collect();
        if let Some(ticket) = io.cipher.hash_pages(io.ports, &places) {
            let (chunk, pages) = (self.handed, unpacked.data.clone());
            self.hashing.insert(ticket, Hashing { chunk, pages, buffer });
            self.shared.insert(buffer);
            return;
        }
        io.ports.charge(unpacked.body.len() as u64 * self.config.cost.hash(self.hasher));
        for (&index, page) in unpacked.data.iter().zip(unpacked.body.chunks_exact(PAGE)) {
            self.hashes.set(index, self.hasher.hash(page));
        }
    }

    /// What to tell the source, if it is time: chunks that are written.
    pub fn acknowledge(&mut self, now: bool) -> Option<u64> {
        let written = self.written();
        let news = written - self.acknowledged;
        (news >= ACK_CHUNKS || now && news > 0).then(|| {
            self.acknowledged = written;
            written
        })
    }
}
