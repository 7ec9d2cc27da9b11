//! The ring through which the switch transmits to one guest.
//!
//! **Shapes.** [`DESCRIPTORS`] descriptors in the first page that the port lends, of 48
//! bytes, or of 56 from version 1.7 on. In the pages behind lie frames, one after the
//! other and round and round: a frame of up to a page inside one, since some guests copy
//! it at one stroke; a longer one from the beginning of a page. The guest takes frames
//! out by copies and marks descriptors DONE.

use super::frame::{ADDRESSES, Frame};
use super::vlan::Form;
use crate::memory::{Arena, Block};
use crate::service::host::Host;
use std::collections::VecDeque;
use sun4v::addr::{PAGE_BYTES, Ra};
use sun4v::hcall::HvError;
use sun4v::id::LdcId;
use sun4v::ldc::map::{MAP_ENTRY_BYTES, MapEntry, MapPerms};
use sun4v::ldc::{Cookie, CookieAddr, LDC_SET_MAP_TABLE, Mte};
use sun4v::native::Ports;
use sun4v::vio::DescriptorState;
use sun4v::vio::vnet::{
    self, DESCRIPTOR_BYTES, Descriptor, EXTENDED_BYTES, Extension, LEAD, MIN_FRAME,
};
use zerocopy::IntoBytes;

/// Descriptors of the ring.
pub(super) const DESCRIPTORS: u32 = 128;
/// Pages for frames: every descriptor's if they are not longer than 4 KiB, seven of the
/// longest.
const FRAME_PAGES: u64 = 64;
const FRAME_BYTES: u64 = FRAME_PAGES * PAGE_BYTES;
/// Entries of the map table, a power of two.
const TABLE_ENTRIES: u64 = 128;

const _: () = assert!(DESCRIPTORS as u64 * EXTENDED_BYTES as u64 <= PAGE_BYTES);
const _: () = assert!(FRAME_PAGES < TABLE_ENTRIES);

/// A frame that lies in the ring.
#[derive(Clone, Copy, Debug)]
struct Lent {
    /// Where its lead begins, in the pages for frames.
    at: u64,
    /// Bytes of the frame.
    nbytes: u32,
    mss: Option<u16>,
}

#[derive(Debug)]
pub(super) struct TxRing {
    table: Block,
    ring: Block,
    frames: Block,
    /// Bytes of a descriptor.
    descriptor: u64,
    /// The oldest descriptor that is not known to be free.
    oldest: u32,
    /// What the descriptors from there on hold.
    lent: VecDeque<Lent>,
    /// Where the last frame ends.
    end: u64,
}

impl TxRing {
    pub(super) fn new(host: &mut Host<'_>, channel: LdcId) -> Option<Result<Self, HvError>> {
        let sizes = [TABLE_ENTRIES * MAP_ENTRY_BYTES, PAGE_BYTES, FRAME_BYTES];
        let [table, ring, frames] = sizes.map(|bytes| host.arena.alloc(bytes));
        let parts = [table, ring, frames];
        let (Some(table), Some(ring), Some(frames)) = (table, ring, frames) else {
            parts.into_iter().flatten().for_each(|block| host.arena.free(block));
            return None;
        };
        let lent = VecDeque::with_capacity(DESCRIPTORS as usize);
        let descriptor = DESCRIPTOR_BYTES as u64;
        let tx = Self { table, ring, frames, descriptor, oldest: 0, lent, end: 0 };
        let mut entry = |index: u64, page: Ra| {
            let mte = Mte::page(page, MapPerms::CR | MapPerms::CW);
            let entry = MapEntry { mte: mte.0.into(), revoke: 0.into() };
            host.ports.write(table.at(index * MAP_ENTRY_BYTES), entry.as_bytes());
        };
        entry(0, ring.ra);
        for page in 0..FRAME_PAGES {
            entry(1 + page, frames.at(page * PAGE_BYTES));
        }
        for index in 1 + FRAME_PAGES..TABLE_ENTRIES {
            host.ports.write(table.at(index * MAP_ENTRY_BYTES), &[0; 16]);
        }
        let args = [u64::from(channel.0), table.ra.0, TABLE_ENTRIES, 0, 0];
        match host.ports.hcall(LDC_SET_MAP_TABLE, args) {
            Ok(_) => Some(Ok(tx)),
            Err(error) => {
                tx.free(host.arena);
                Some(Err(error))
            }
        }
    }

    pub(super) fn free(&self, arena: &mut Arena) {
        [self.table, self.ring, self.frames].into_iter().for_each(|block| arena.free(block));
    }

    /// Where the guest finds the ring.
    pub(super) const fn cookie() -> CookieAddr {
        CookieAddr::new(0, 0)
    }

    /// Bytes of a descriptor.
    pub(super) const fn descriptor_bytes(&self) -> u32 {
        self.descriptor as u32
    }

    /// Every descriptor is free, and large enough to have an extension or not.
    pub(super) fn clear(&mut self, ports: &mut dyn Ports, extended: bool) {
        self.descriptor = if extended { EXTENDED_BYTES } else { DESCRIPTOR_BYTES } as u64;
        (self.oldest, self.end) = (0, 0);
        self.lent.clear();
        for index in 0..DESCRIPTORS {
            let at = self.descriptor_at(index);
            ports.write(at, &[DescriptorState::Free.code(), 0, 0, 0, 0, 0, 0, 0]);
        }
    }

    const fn descriptor_at(&self, index: u32) -> Ra {
        self.ring.at(index as u64 * self.descriptor)
    }

    fn index(&self, n: usize) -> u32 {
        (self.oldest + n as u32) % DESCRIPTORS
    }

    fn state(&self, ports: &dyn Ports, index: u32) -> u8 {
        let mut byte = [0];
        ports.read(self.descriptor_at(index), &mut byte);
        byte[0] & 0xf
    }

    /// Takes back descriptors that the guest is done with.
    pub(super) fn reclaim(&mut self, ports: &mut dyn Ports) {
        while !self.lent.is_empty()
            && self.state(ports, self.oldest) == DescriptorState::Done.code()
        {
            ports.write(self.descriptor_at(self.oldest), &[DescriptorState::Free.code()]);
            self.lent.pop_front();
            self.oldest = (self.oldest + 1) % DESCRIPTORS;
        }
    }

    /// Where `bytes` find room behind the last frame.
    fn place(&self, bytes: u64) -> Option<u64> {
        let fits = |from: u64, to: u64| {
            let crosses = from % PAGE_BYTES + bytes > PAGE_BYTES;
            let at = if crosses { from.next_multiple_of(PAGE_BYTES) } else { from };
            (at + bytes <= to).then_some(at)
        };
        match self.lent.front() {
            None => fits(0, FRAME_BYTES),
            Some(first) if self.end > first.at => {
                fits(self.end, FRAME_BYTES).or_else(|| fits(0, first.at))
            }
            Some(first) => fits(self.end, first.at),
        }
    }

    /// Puts a frame into the next descriptor; false when the ring is full.
    pub(super) fn put(&mut self, ports: &mut dyn Ports, frame: &Frame, form: Form) -> bool {
        self.reclaim(ports);
        if self.lent.len() + 1 >= DESCRIPTORS as usize {
            return false;
        }
        let bytes = frame.bytes();
        let taken = bytes.len() + form.bytes();
        let nbytes = taken.max(MIN_FRAME) as u32;
        let copied = vnet::copy_bytes(nbytes);
        let Some(at) = self.place(copied) else { return false };
        let mut write_at = self.frames.at(at);
        let mut write = |ports: &mut dyn Ports, bytes: &[u8]| {
            ports.write(write_at, bytes);
            write_at = write_at.offset(bytes.len() as u64);
        };
        write(ports, &[0; LEAD]);
        match form {
            Form::Untagged => write(ports, bytes),
            Form::Tagged => {
                write(ports, &bytes[..ADDRESSES]);
                write(ports, &frame.tag());
                write(ports, &bytes[ADDRESSES..]);
            }
        }
        write(ports, &[0; MIN_FRAME + 8][..copied as usize - LEAD - taken]);

        let index = self.index(self.lent.len());
        let cookie = CookieAddr::new(1 + at / PAGE_BYTES, at % PAGE_BYTES);
        let mut descriptor = [0; EXTENDED_BYTES];
        let (plain, extension) = descriptor.split_at_mut(DESCRIPTOR_BYTES);
        plain.copy_from_slice(
            Descriptor {
                state: DescriptorState::Ready.code(),
                ack: 0,
                header_resv: [0; 6],
                nbytes: nbytes.into(),
                ncookies: 1.into(),
                cookies: [Cookie::new(cookie, copied), Cookie::default()],
            }
            .as_bytes(),
        );
        let flags = if frame.mss.is_some() { Extension::LSO } else { 0 };
        let mss = frame.mss.unwrap_or(0).into();
        extension.copy_from_slice(Extension { flags, mss, ..Extension::default() }.as_bytes());
        ports.write(self.descriptor_at(index), &descriptor[..self.descriptor as usize]);
        self.lent.push_back(Lent { at, nbytes, mss: frame.mss });
        self.end = at + copied;
        true
    }

    /// How many frames in, from the oldest on, the first is that the guest has yet to
    /// take.
    fn first(&self, ports: &dyn Ports) -> Option<usize> {
        (0..self.lent.len())
            .find(|n| self.state(ports, self.index(*n)) == DescriptorState::Ready.code())
    }

    /// The first descriptor that the guest has yet to take.
    pub(super) fn first_ready(&self, ports: &dyn Ports) -> Option<u32> {
        self.first(ports).map(|n| self.index(n))
    }

    /// The frames that the guest has yet to take, as they lie there, taken back; the
    /// ring goes on where the first of them was.
    pub(super) fn take_back(&mut self, ports: &mut dyn Ports) -> Vec<(Vec<u8>, Option<u16>)> {
        let mut frames = Vec::new();
        let Some(first) = self.first(ports) else { return frames };
        for n in first..self.lent.len() {
            let (index, lent) = (self.index(n), self.lent[n]);
            if self.state(ports, index) == DescriptorState::Ready.code() {
                let mut frame = vec![0; lent.nbytes as usize];
                ports.read(self.frames.at(lent.at + LEAD as u64), &mut frame);
                frames.push((frame, lent.mss));
            }
            ports.write(self.descriptor_at(index), &[DescriptorState::Free.code()]);
        }
        self.lent.truncate(first);
        self.end = self.lent.back().map_or(0, |last| last.at + vnet::copy_bytes(last.nbytes));
        frames
    }
}
