//! The Sun disk label: block 0, with the volume table of contents in it.
//!
//! **Shapes.** 512 bytes, big-endian. Partitions begin at whole cylinders and count
//! blocks. The last two bytes make the exclusive or of all 16-bit words zero.
//!
//! **Copies.** The last alternate cylinder's last track has five copies, in its odd
//! blocks from 1 on.

use super::{BLOCK, Extent};
use sun4v::vio::vdisk::{BLOCK_BYTES, Geometry, Partition, Vtoc};
use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Magic number of a label.
const MAGIC: u16 = 0xdabe;
/// Mark of a table of contents.
const SANE: u32 = 0x600d_deee;
/// Version of a table of contents.
const VERSION: u32 = 1;
/// Partitions of a label.
pub(in super::super) const PARTITIONS: usize = 8;
/// Copies of a label.
const COPIES: u64 = 5;

/// Tag of a partition for a root file system, and of the whole disk's.
const ROOT: u16 = 2;
const WHOLE_DISK: u16 = 5;
/// Where the whole disk stands.
const WHOLE_DISK_INDEX: usize = 2;

/// A partition's tag and flags.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub(in super::super) struct Info {
    tag: U16,
    flags: U16,
}

/// Where a partition lies.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub(in super::super) struct Place {
    cylinder: U32,
    blocks: U32,
}

/// A label.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(in super::super) struct SunLabel {
    text: [u8; 128],
    version: U32,
    volume: [u8; 8],
    partitions: U16,
    infos: [Info; PARTITIONS],
    resv: U16,
    bootinfo: [U32; 3],
    sanity: U32,
    resv2: [U32; 10],
    timestamps: [U32; PARTITIONS],
    write_reinstruct: U16,
    read_reinstruct: U16,
    spare: [u8; 152],
    rpm: U16,
    pcyl: U16,
    apc: U16,
    obsolete: [U16; 2],
    interleave: U16,
    ncyl: U16,
    acyl: U16,
    nhead: U16,
    nsect: U16,
    obsolete2: [U16; 2],
    places: [Place; PARTITIONS],
    magic: U16,
    checksum: U16,
}

impl SunLabel {
    /// The label at the front of a disk, if there is a sound one.
    pub(in super::super) fn read(front: &[u8]) -> Option<Self> {
        let (label, _) = Self::read_from_prefix(front).ok()?;
        let sound = label.magic.get() == MAGIC
            && label.sum() == 0
            && label.sanity.get() == SANE
            && usize::from(label.partitions.get()) == PARTITIONS
            && label.cylinder() > 0;
        sound.then_some(label)
    }

    /// The label with this geometry and these partitions; `None` when the table of
    /// contents is none that a label can hold.
    pub(in super::super) fn new(geometry: &Geometry, vtoc: &Vtoc) -> Option<Self> {
        let cylinder = u64::from(geometry.nhead.get()) * u64::from(geometry.nsect.get());
        let sound = usize::from(vtoc.num_partitions.get()) == PARTITIONS
            && u32::from(vtoc.sector_size.get()) == BLOCK_BYTES
            && cylinder > 0;
        if !sound {
            return None;
        }
        let mut label = Self {
            text: vtoc.ascii_label,
            version: VERSION.into(),
            volume: vtoc.volume,
            partitions: (PARTITIONS as u16).into(),
            infos: [Info::default(); PARTITIONS],
            resv: 0.into(),
            bootinfo: [0.into(); 3],
            sanity: SANE.into(),
            resv2: [0.into(); 10],
            timestamps: [0.into(); PARTITIONS],
            write_reinstruct: geometry.write_reinstruct,
            read_reinstruct: geometry.read_reinstruct,
            spare: [0; 152],
            rpm: geometry.rpm,
            pcyl: geometry.pcyl,
            apc: geometry.apc,
            obsolete: [0.into(); 2],
            interleave: geometry.interleave,
            ncyl: geometry.ncyl,
            acyl: geometry.acyl,
            nhead: geometry.nhead,
            nsect: geometry.nsect,
            obsolete2: [0.into(); 2],
            places: [Place::default(); PARTITIONS],
            magic: MAGIC.into(),
            checksum: 0.into(),
        };
        for (n, partition) in vtoc.partitions.iter().enumerate() {
            label.infos[n] = Info { tag: partition.id, flags: partition.perm };
            label.places[n] = Place {
                cylinder: u32::try_from(partition.start.get() / cylinder).ok()?.into(),
                blocks: u32::try_from(partition.nblocks.get()).ok()?.into(),
            };
        }
        label.checksum = label.sum().into();
        Some(label)
    }

    /// Exclusive or of all words.
    fn sum(&self) -> u16 {
        let words = self.as_bytes().chunks_exact(2);
        words.fold(0, |sum, word| sum ^ u16::from_be_bytes([word[0], word[1]]))
    }

    /// Blocks of a cylinder.
    fn cylinder(&self) -> u64 {
        u64::from(self.nhead.get()) * u64::from(self.nsect.get())
    }

    /// Where partition `slice` lies.
    pub(in super::super) fn extent(&self, slice: usize) -> Extent {
        let place = self.places[slice];
        let start = u64::from(place.cylinder.get()) * self.cylinder();
        Extent { start, blocks: place.blocks.get().into() }
    }

    /// The geometry in it.
    pub(in super::super) fn geometry(&self) -> Geometry {
        Geometry {
            ncyl: self.ncyl,
            acyl: self.acyl,
            bcyl: 0.into(),
            nhead: self.nhead,
            nsect: self.nsect,
            interleave: self.interleave,
            apc: self.apc,
            rpm: self.rpm,
            pcyl: self.pcyl,
            write_reinstruct: self.write_reinstruct,
            read_reinstruct: self.read_reinstruct,
            pad: 0.into(),
        }
    }

    /// Its table of contents.
    pub(in super::super) fn vtoc(&self) -> Vtoc {
        let partition = |n: usize| {
            let (info, extent) = (self.infos[n], self.extent(n));
            Partition {
                id: info.tag,
                perm: info.flags,
                resv: 0.into(),
                start: extent.start.into(),
                nblocks: extent.blocks.into(),
            }
        };
        Vtoc {
            volume: self.volume,
            sector_size: (BLOCK as u16).into(),
            num_partitions: self.partitions,
            ascii_label: self.text,
            resv: 0.into(),
            partitions: std::array::from_fn(partition),
        }
    }

    /// Blocks of a disk of `blocks` where its copies go.
    pub(in super::super) fn copies(&self, blocks: u64) -> impl Iterator<Item = u64> {
        let cylinders = u64::from(self.ncyl.get()) + u64::from(self.acyl.get());
        let track = u64::from(self.nsect.get());
        let last = cylinders * self.cylinder();
        let first = last.checked_sub(track).filter(|_| self.acyl.get() > 0);
        let copies =
            first.into_iter().flat_map(move |first| (0..COPIES).map(move |n| first + 2 * n + 1));
        copies.filter(move |block| *block < last && *block < blocks)
    }
}

/// The table of contents of a disk of `blocks` that has no label: the whole disk as
/// partition 2, and what is not for alternates as partition 0.
pub(in super::super) fn unlabelled(blocks: u64) -> Vtoc {
    let geometry = Geometry::of(blocks);
    let cylinder = u64::from(geometry.nhead.get()) * u64::from(geometry.nsect.get());
    // A disk below a cylinder has one all the same.
    let data = (u64::from(geometry.ncyl.get()) * cylinder).min(blocks);
    contents(&geometry, ROOT, Extent { start: 0, blocks: data }, data)
}

/// The geometry and table of contents of a slice of `blocks` that is shown as a disk:
/// the first cylinder is the label's, partition 0 the slice.
pub(in super::super) fn of_slice(blocks: u64) -> (Geometry, Vtoc) {
    let mut geometry = Geometry::of(blocks);
    let cylinder = u64::from(geometry.nhead.get()) * u64::from(geometry.nsect.get());
    let cylinders = 1 + blocks.div_ceil(cylinder).min(u64::from(u16::MAX) - 1) as u16;
    (geometry.ncyl, geometry.pcyl, geometry.acyl) = (cylinders.into(), cylinders.into(), 0.into());
    let whole = cylinder + blocks;
    let vtoc = contents(&geometry, 0, Extent { start: cylinder, blocks }, whole);
    (geometry, vtoc)
}

fn contents(geometry: &Geometry, tag: u16, slice: Extent, whole: u64) -> Vtoc {
    let text = format!(
        "SUN-DiskImage cyl {} alt {} hd {} sec {}",
        geometry.ncyl, geometry.acyl, geometry.nhead, geometry.nsect
    );
    let mut ascii_label = [0; 128];
    let bytes = text.len().min(ascii_label.len());
    ascii_label[..bytes].copy_from_slice(&text.as_bytes()[..bytes]);
    let partition = |tag: u16, at: Extent| Partition {
        id: tag.into(),
        perm: 0.into(),
        resv: 0.into(),
        start: at.start.into(),
        nblocks: at.blocks.into(),
    };
    let mut partitions = [Partition::default(); PARTITIONS];
    partitions[0] = partition(tag, slice);
    partitions[WHOLE_DISK_INDEX] = partition(WHOLE_DISK, Extent { start: 0, blocks: whole });
    Vtoc {
        volume: [0; 8],
        sector_size: (BLOCK as u16).into(),
        num_partitions: (PARTITIONS as u16).into(),
        ascii_label,
        resv: 0.into(),
        partitions,
    }
}
