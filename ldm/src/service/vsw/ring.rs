//! The ring through which the switch transmits to one guest.
//!
//! **Shapes.** [`DESCRIPTORS`] descriptors of 48 bytes in the first page that the
//! port lends, a buffer of 2 KiB for each in the pages behind. The guest takes
//! frames out by copies and marks descriptors DONE.

use crate::memory::{Arena, Block};
use crate::service::host::Host;
use sun4v::addr::{PAGE_BYTES, Ra};
use sun4v::hcall::HvError;
use sun4v::id::LdcId;
use sun4v::ldc::map::{MAP_ENTRY_BYTES, MapEntry, MapPerms};
use sun4v::ldc::{Cookie, CookieAddr, LDC_SET_MAP_TABLE, Mte};
use sun4v::native::Ports;
use sun4v::vio::vnet::{self, DESCRIPTOR_BYTES, Descriptor, LEAD, MIN_FRAME};
use sun4v::vio::{self, DescriptorState};
use zerocopy::IntoBytes;

/// Descriptors of the ring.
pub(super) const DESCRIPTORS: u32 = 128;
const BUFFER: u64 = 2048;
const BUFFERS_PER_PAGE: u64 = PAGE_BYTES / BUFFER;
const BUFFER_PAGES: u64 = DESCRIPTORS as u64 / BUFFERS_PER_PAGE;
/// Entries of the map table, a power of two.
const TABLE_ENTRIES: u64 = 64;
/// The longest frame that a buffer holds.
pub(super) const LONGEST: usize = BUFFER as usize - 2 * LEAD;

#[derive(Debug)]
pub(super) struct TxRing {
    table: Block,
    ring: Block,
    buffers: Block,
    /// The next descriptor to fill.
    next: u32,
    /// The oldest that is not known to be free.
    oldest: u32,
}

impl TxRing {
    pub(super) fn new(host: &mut Host<'_>, channel: LdcId) -> Option<Result<Self, HvError>> {
        let sizes = [TABLE_ENTRIES * MAP_ENTRY_BYTES, PAGE_BYTES, BUFFER_PAGES * PAGE_BYTES];
        let [table, ring, buffers] = sizes.map(|bytes| host.arena.alloc(bytes));
        let parts = [table, ring, buffers];
        let (Some(table), Some(ring), Some(buffers)) = (table, ring, buffers) else {
            parts.into_iter().flatten().for_each(|block| host.arena.free(block));
            return None;
        };
        let tx = Self { table, ring, buffers, next: 0, oldest: 0 };
        let mut entry = |index: u64, page: Ra| {
            let mte = Mte::page(page, MapPerms::CR | MapPerms::CW);
            let entry = MapEntry { mte: mte.0.into(), revoke: 0.into() };
            host.ports.write(table.at(index * MAP_ENTRY_BYTES), entry.as_bytes());
        };
        entry(0, ring.ra);
        for page in 0..BUFFER_PAGES {
            entry(1 + page, buffers.at(page * PAGE_BYTES));
        }
        for index in 1 + BUFFER_PAGES..TABLE_ENTRIES {
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
        [self.table, self.ring, self.buffers].into_iter().for_each(|block| arena.free(block));
    }

    /// Where the guest finds the ring.
    pub(super) const fn cookie() -> CookieAddr {
        CookieAddr::new(0, 0)
    }

    /// Every descriptor is free again.
    pub(super) fn clear(&mut self, ports: &mut dyn Ports) {
        (self.next, self.oldest) = (0, 0);
        for index in 0..DESCRIPTORS {
            let at = self.descriptor_at(index);
            ports.write(at, &[DescriptorState::Free.code(), 0, 0, 0, 0, 0, 0, 0]);
        }
    }

    const fn descriptor_at(&self, index: u32) -> Ra {
        self.ring.at(index as u64 * DESCRIPTOR_BYTES as u64)
    }

    const fn buffer_at(&self, index: u32) -> Ra {
        self.buffers.at(index as u64 * BUFFER)
    }

    fn state(&self, ports: &dyn Ports, index: u32) -> u8 {
        let mut byte = [0];
        ports.read(self.descriptor_at(index), &mut byte);
        byte[0] & 0xf
    }

    /// Takes back descriptors that the guest is done with.
    pub(super) fn reclaim(&mut self, ports: &mut dyn Ports) {
        while self.oldest != self.next
            && self.state(ports, self.oldest) == DescriptorState::Done.code()
        {
            ports.write(self.descriptor_at(self.oldest), &[DescriptorState::Free.code()]);
            self.oldest = (self.oldest + 1) % DESCRIPTORS;
        }
    }

    /// Puts a frame into the next descriptor: its index, or `None` when the ring is
    /// full.
    pub(super) fn put(&mut self, ports: &mut dyn Ports, frame: &[u8]) -> Option<u32> {
        self.reclaim(ports);
        let index = self.next;
        if (index + 1) % DESCRIPTORS == self.oldest {
            return None;
        }
        let length = frame.len().clamp(MIN_FRAME, LONGEST);
        let mut buffer = vec![0; vnet::copy_bytes(length as u32) as usize];
        let taken = frame.len().min(length);
        buffer[LEAD..LEAD + taken].copy_from_slice(&frame[..taken]);
        ports.write(self.buffer_at(index), &buffer);
        let page = 1 + u64::from(index) / BUFFERS_PER_PAGE;
        let offset = u64::from(index) % BUFFERS_PER_PAGE * BUFFER;
        let cookie = Cookie::new(CookieAddr::new(page, offset), buffer.len() as u64);
        let descriptor = Descriptor {
            state: DescriptorState::Ready.code(),
            ack: 0,
            header_resv: [0; 6],
            nbytes: (length as u32).into(),
            ncookies: 1.into(),
            cookies: [cookie, Cookie::default()],
        };
        ports.write(self.descriptor_at(index), descriptor.as_bytes());
        self.next = (index + 1) % DESCRIPTORS;
        Some(index)
    }

    /// The first descriptor that the guest has yet to take.
    pub(super) fn first_ready(&self, ports: &dyn Ports) -> Option<u32> {
        let mut index = self.oldest;
        while index != self.next {
            if self.state(ports, index) == DescriptorState::Ready.code() {
                return Some(index);
            }
            index = (index + 1) % DESCRIPTORS;
        }
        None
    }

    /// The frames that the guest has yet to take, taken back; the ring goes on where
    /// the first of them was.
    pub(super) fn take_back(&mut self, ports: &mut dyn Ports) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let Some(first) = self.first_ready(ports) else { return frames };
        let mut index = first;
        while index != self.next {
            let at = self.descriptor_at(index);
            let mut bytes = [0; DESCRIPTOR_BYTES];
            ports.read(at, &mut bytes);
            if let Some(descriptor) = vio::read::<Descriptor>(&bytes)
                && descriptor.state & 0xf == DescriptorState::Ready.code()
            {
                // The guest may write to what it is lent: the length is clamped.
                let mut frame = vec![0; (descriptor.nbytes.get() as usize).min(LONGEST)];
                ports.read(self.buffer_at(index).offset(LEAD as u64), &mut frame);
                frames.push(frame);
            }
            ports.write(at, &[DescriptorState::Free.code()]);
            index = (index + 1) % DESCRIPTORS;
        }
        self.next = first;
        frames
    }
}
