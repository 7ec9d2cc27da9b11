//! What a client has in front of it: a volume as a disk, or a slice with a made-up label.
//!
//! **Shapes.** Addresses of clients are blocks of 512 bytes, of the disk or of a slice of
//! its label. The front of a disk, where its label is, is kept as it was read when the
//! session began and as the client has written it since.
//!
//! **Slices.** With the option `slice` a volume is shown as a disk of one partition: up to
//! 1 TB behind a Sun label in a cylinder of its own, above between the two tables of a
//! GPT. The blocks of the label cannot be written.
//!
//! **CDs.** A disk that begins with an ISO 9660 file system is a CD, or from 1 GB on a
//! DVD, and takes no writes.
//!
//! **Errors.** EINVAL for a request that means nothing, EIO for one that reaches beyond
//! its slice or disk, ENXIO for a slice that is not there, EROFS for a write to what takes
//! none, ENOTSUP for what is not for this label.
//!
//! **Source.** illumos `vds.c`.

use super::label::{BLOCK, Extent, FRONT_BYTES, Label, SUN_BLOCKS_MAX, gpt, is_iso, sun};
use crate::service::volume::{Found, Request};
use sha2::{Digest, Sha256};
use sun4v::vio::vdisk::{
    BLOCK_BYTES, Capacity, DEVID_FABRICATED, DevidHeader, Errno, Geometry, MediaType, NO_SLICE,
    Vtoc,
};
use zerocopy::IntoBytes;

/// From here on an ISO 9660 file system is on a DVD.
const DVD_BYTES: u64 = 1 << 30;
/// Bytes of a made-up device id.
const DEVID_BYTES: usize = 12;

/// What lies around the volume.
#[derive(Debug, Default)]
struct Frame {
    /// Bytes from the front of the disk on; zeros follow up to `start`.
    front: Vec<u8>,
    /// Byte of the disk where the volume begins.
    start: u64,
    /// The last bytes of the disk; zeros lie before them.
    back: Vec<u8>,
}

/// What is read: bytes that are made up around bytes of the volume.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Made up, before.
    pub(super) before: Vec<u8>,
    /// Of the volume: first byte, how many.
    pub(super) volume: Option<(u64, u32)>,
    /// Made up, behind.
    pub(super) after: Vec<u8>,
}

/// A disk.
#[derive(Debug)]
pub(super) struct Media {
    found: Found,
    read_only: bool,
    kind: MediaType,
    /// Bytes of the disk, a multiple of a block.
    size: u64,
    /// Of a slice that is shown as a disk.
    frame: Option<Frame>,
    /// The front of the disk; empty when it is not known.
    front: Vec<u8>,
    label: Label,
    /// The geometry that a client wants for its next label.
    geometry: Option<Geometry>,
}

impl Media {
    /// A volume as a client has it that wants it so; `front` is its first
    /// [`Media::front_bytes`].
    pub(super) fn new(found: &Found, slice: bool, read_only: bool, front: Vec<u8>) -> Self {
        let blocks = found.size / BLOCK;
        let mut media = Self {
            found: found.clone(),
            read_only: read_only || found.read_only,
            kind: MediaType::Fixed,
            size: blocks * BLOCK,
            frame: None,
            label: Label::None,
            front,
            geometry: None,
        };
        if slice && blocks > 0 {
            media.frame(blocks);
        } else if is_iso(&media.front) {
            media.kind = if found.size < DVD_BYTES { MediaType::Cd } else { MediaType::Dvd };
            media.read_only = true;
        }
        media.label = Label::read(&media.front);
        media
    }

    /// Bytes of a volume's front that are to be read before it can be served.
    pub(super) fn front_bytes(found: &Found, slice: bool) -> u32 {
        if slice { 0 } else { (found.size / BLOCK * BLOCK).min(FRONT_BYTES as u64) as u32 }
    }

    /// Puts a made-up label around the volume.
    fn frame(&mut self, blocks: u64) {
        let frame = if blocks <= SUN_BLOCKS_MAX {
            let (geometry, vtoc) = sun::of_slice(blocks);
            let start = u64::from(geometry.nhead.get()) * u64::from(geometry.nsect.get()) * BLOCK;
            let label = sun::SunLabel::new(&geometry, &vtoc);
            let front = label.map_or_else(Vec::new, |label| label.as_bytes().to_vec());
            self.size = start + blocks * BLOCK;
            Frame { front, start, back: Vec::new() }
        } else {
            let mut unique = [0; 16];
            unique.copy_from_slice(&self.digest()[..16]);
            let gpt::MadeUp { front, back, blocks } = gpt::of_slice(blocks, unique);
            self.size = blocks * BLOCK;
            Frame { front, start: gpt::FRONT_BLOCKS * BLOCK, back }
        };
        self.front = frame.front.clone();
        self.frame = Some(frame);
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.found.identity.as_bytes()).into()
    }

    /// What volume it is.
    pub(super) fn identity(&self) -> &str {
        &self.found.identity
    }

    /// What kind of medium.
    pub(super) const fn kind(&self) -> MediaType {
        self.kind
    }

    /// Does it take no writes?
    pub(super) const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Is it a disk of the machine, whole?
    pub(super) const fn is_device(&self) -> bool {
        self.found.device && self.frame.is_none()
    }

    /// Blocks of the disk.
    pub(super) const fn blocks(&self) -> u64 {
        self.size / BLOCK
    }

    /// Where a slice lies.
    fn extent(&self, slice: u8) -> Result<Extent, Errno> {
        let whole = Extent { start: 0, blocks: self.blocks() };
        let slice = match slice {
            NO_SLICE => return Ok(whole),
            slice => usize::from(slice),
        };
        if slice >= sun::PARTITIONS {
            return Err(Errno::Inval);
        }
        let extent = match &self.label {
            Label::None => Extent::default(),
            Label::Sun(label) => label.extent(slice),
            Label::Gpt(slices) => *slices.get(slice).unwrap_or(&whole),
        };
        let room = self.blocks().saturating_sub(extent.start);
        let blocks = extent.blocks.min(room);
        if blocks == 0 { Err(Errno::Nxio) } else { Ok(Extent { blocks, ..extent }) }
    }

    /// First byte and bytes of a request for `bytes` from block `addr` of a slice on, at
    /// most `most` blocks.
    pub(super) fn place(
        &self,
        slice: u8,
        addr: u64,
        bytes: u64,
        most: u64,
    ) -> Result<(u64, u32), Errno> {
        let extent = self.extent(slice)?;
        let count = bytes / BLOCK;
        if count == 0 || !bytes.is_multiple_of(BLOCK) || count > most {
            return Err(Errno::Inval);
        }
        let bytes = u32::try_from(bytes).map_err(|_| Errno::Inval)?;
        let end = addr.checked_add(count).ok_or(Errno::Inval)?;
        // The extent lies inside of the disk, whose bytes can be counted.
        if end > extent.blocks {
            Err(Errno::Io)
        } else {
            Ok(((extent.start + addr) * BLOCK, bytes))
        }
    }

    /// What is to be done to read `bytes` at `offset`, which [`Media::place`] has given.
    pub(super) fn read(&self, offset: u64, bytes: u32) -> Reading {
        let end = offset + u64::from(bytes);
        let Some(frame) = &self.frame else {
            let (before, after) = (Vec::new(), Vec::new());
            return Reading { before, volume: Some((offset, bytes)), after };
        };
        let stop = frame.start + self.found.size / BLOCK * BLOCK;
        let (from, to) = (offset.max(frame.start), end.min(stop));
        let volume = (from < to).then(|| (from - frame.start, (to - from) as u32));
        let edge = |from: u64, to: u64| {
            let mut made = vec![0; to.saturating_sub(from) as usize];
            overlay(&mut made, from, 0, &frame.front);
            overlay(&mut made, from, self.size - frame.back.len() as u64, &frame.back);
            made
        };
        Reading {
            before: edge(offset, end.min(frame.start)),
            volume,
            after: edge(offset.max(stop), end),
        }
    }

    /// The write of `data` at `offset`, which [`Media::place`] has given.
    pub(super) fn write(
        &mut self,
        offset: u64,
        data: Vec<u8>,
        durable: bool,
    ) -> Result<Request, Errno> {
        if self.read_only {
            return Err(Errno::RoFs);
        }
        let end = offset + data.len() as u64;
        let offset = match &self.frame {
            None => {
                self.wrote(offset, &data);
                offset
            }
            Some(frame) => {
                let stop = frame.start + self.found.size / BLOCK * BLOCK;
                if offset < frame.start || end > stop {
                    return Err(Errno::Io);
                }
                offset - frame.start
            }
        };
        Ok(Request::Write { offset, data, durable })
    }

    /// Keeps the front as it is written.
    fn wrote(&mut self, offset: u64, data: &[u8]) {
        if offset < self.front.len() as u64 {
            overlay(&mut self.front, 0, offset, data);
            self.label = Label::read(&self.front);
        }
    }

    /// A write at `offset` has failed: what is at the front is known no longer, if it went
    /// there.
    pub(super) fn lost(&mut self, offset: u64) {
        if offset < self.front.len() as u64 && self.frame.is_none() {
            self.front.clear();
            self.label = Label::None;
        }
    }

    /// Its geometry, for a client of version 1.`minor`.
    pub(super) fn geometry(&self, minor: u16) -> Result<Geometry, Errno> {
        match (&self.label, self.geometry) {
            (_, Some(geometry)) => Ok(geometry),
            (Label::Sun(label), None) => Ok(label.geometry()),
            // A client of 1.0 knows the disk's size from its geometry alone.
            (Label::Gpt(_), None) if minor > 0 => Err(Errno::NotSup),
            _ => Ok(Geometry::of(self.blocks())),
        }
    }

    /// A client wants this geometry in its next label.
    pub(super) fn set_geometry(&mut self, geometry: Geometry) -> Result<(), Errno> {
        if self.read_only {
            return Err(Errno::RoFs);
        }
        if self.frame.is_some() {
            return Err(Errno::NotSup);
        }
        if geometry.nhead.get() == 0 || geometry.nsect.get() == 0 {
            return Err(Errno::Inval);
        }
        self.geometry = Some(geometry);
        Ok(())
    }

    /// Its table of contents.
    pub(super) fn vtoc(&self) -> Result<Vtoc, Errno> {
        match &self.label {
            Label::Sun(label) => Ok(label.vtoc()),
            Label::Gpt(_) => Err(Errno::NotSup),
            Label::None if self.blocks() > SUN_BLOCKS_MAX => Err(Errno::NotSup),
            Label::None => Ok(sun::unlabelled(self.blocks())),
        }
    }

    /// The writes that make this the disk's table of contents.
    pub(super) fn set_vtoc(&mut self, vtoc: &Vtoc, durable: bool) -> Result<Vec<Request>, Errno> {
        if self.read_only {
            return Err(Errno::RoFs);
        }
        if self.frame.is_some() || self.blocks() > SUN_BLOCKS_MAX {
            return Err(Errno::NotSup);
        }
        let geometry = match (&self.label, self.geometry) {
            (_, Some(geometry)) => geometry,
            (Label::Sun(label), None) => label.geometry(),
            _ => Geometry::of(self.blocks()),
        };
        let label = sun::SunLabel::new(&geometry, vtoc).ok_or(Errno::Inval)?;
        let places = [0].into_iter().chain(label.copies(self.blocks())).collect::<Vec<_>>();
        self.geometry = None;
        let write = |block: u64| self.write(block * BLOCK, label.as_bytes().to_vec(), durable);
        places.into_iter().map(write).collect()
    }

    /// Its capacity.
    pub(super) fn capacity(&self) -> Capacity {
        Capacity { block_size: BLOCK_BYTES.into(), resv: 0.into(), size: self.blocks().into() }
    }

    /// Its device id: the same for the same volume, whichever server has it. A slice has
    /// none.
    pub(super) fn devid(&self) -> Result<Vec<u8>, Errno> {
        if self.frame.is_some() {
            return Err(Errno::NoEnt);
        }
        let header = DevidHeader {
            resv: 0.into(),
            kind: DEVID_FABRICATED.into(),
            length: (DEVID_BYTES as u32).into(),
        };
        Ok([header.as_bytes(), &self.digest()[..DEVID_BYTES]].concat())
    }
}

/// Copies `from`, which lies at byte `at` of a disk, to where it meets `bytes`, which lie
/// at byte `base`.
fn overlay(bytes: &mut [u8], base: u64, at: u64, from: &[u8]) {
    let (start, end) = (base.max(at), (base + bytes.len() as u64).min(at + from.len() as u64));
    if start < end {
        let own = (start - base) as usize..(end - base) as usize;
        bytes[own].copy_from_slice(&from[(start - at) as usize..(end - at) as usize]);
    }
}
