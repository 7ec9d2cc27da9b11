//! Virtual disk: attributes, descriptors, operations.
//!
//! **Shapes.** Disk addresses and sizes count blocks of the size that ATTR agreed
//! on. A descriptor is 48 bytes and its cookies; `status` of a finished one is
//! zero or a Solaris error number ([`Errno`]).
//!
//! **Source.** illumos `vdsk_mailbox.h`, `vdsk_common.h`.

use super::dring::DescriptorState;
use super::tag::{Envelope, Tag, Type};
use crate::code::codes;
use crate::ldc::Stype;
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a block, as clients ask for it.
pub const BLOCK_BYTES: u32 = 512;
/// Slice of a request that addresses the disk from its first block.
pub const NO_SLICE: u8 = 0xff;

codes! {
    /// What a virtual disk is (`vdisk_type`).
    DiskType(u8) {
        /// One slice.
        Slice = 1,
        /// A whole disk, whose label is the client's.
        Disk = 2,
    }
}

codes! {
    /// Its medium (`vdisk_mtype`).
    MediaType(u8) {
        /// Fixed.
        Fixed = 1,
        /// CD.
        Cd = 2,
        /// DVD.
        Dvd = 3,
    }
}

codes! {
    /// What a descriptor asks for.
    Operation(u8) {
        /// Reads blocks.
        Bread = 0x01,
        /// Writes blocks.
        Bwrite = 0x02,
        /// What was written before becomes durable.
        Flush = 0x03,
        /// Is the write cache on? (`u32`)
        GetWce = 0x04,
        /// Turns it on or off (`u32`).
        SetWce = 0x05,
        /// Reads the label ([`Vtoc`]).
        GetVtoc = 0x06,
        /// Writes it.
        SetVtoc = 0x07,
        /// Reads the geometry ([`Geometry`]).
        GetDiskGeom = 0x08,
        /// Sets it.
        SetDiskGeom = 0x09,
        /// A SCSI command.
        ScsiCmd = 0x0a,
        /// Reads the device id.
        GetDevid = 0x0b,
        /// Reads an EFI label.
        GetEfi = 0x0c,
        /// Writes one.
        SetEfi = 0x0d,
        /// Resets the disk.
        Reset = 0x0e,
        /// May the client use the disk?
        GetAccess = 0x0f,
        /// Claims it.
        SetAccess = 0x10,
        /// Block size and blocks ([`Capacity`]).
        GetCapacity = 0x11,
    }
}

impl Operation {
    /// Its bit in ATTR's `operations`.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self.code()
    }
}

codes! {
    /// A Solaris error number, the status of a finished descriptor.
    Errno(u32) {
        /// ENOENT.
        NoEnt = 2,
        /// EIO.
        Io = 5,
        /// ENXIO: no such device or address.
        Nxio = 6,
        /// EACCES.
        Acces = 13,
        /// EBUSY.
        Busy = 16,
        /// EINVAL.
        Inval = 22,
        /// ENOSPC.
        NoSpc = 28,
        /// EROFS: read-only.
        RoFs = 30,
        /// ENOTSUP.
        NotSup = 48,
        /// ETIMEDOUT.
        TimedOut = 145,
        /// ESTALE.
        Stale = 151,
    }
}

/// Attributes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Attr {
    /// Its tag.
    pub tag: Tag,
    /// [`XFER_DRING`](super::dring::XFER_DRING) or [`XFER_DESC`](super::dring::XFER_DESC).
    pub xfer_mode: u8,
    /// [`DiskType`] in the answer.
    pub disk_type: u8,
    /// [`MediaType`] in the answer, from version 1.1 on.
    pub media_type: u8,
    /// Zero.
    pub resv: u8,
    /// Bytes of a block.
    pub block_size: U32,
    /// [`Operation::bit`]s in the answer.
    pub operations: U64,
    /// Blocks of the disk, in the answer, from version 1.1 on.
    pub size: U64,
    /// Blocks of the largest request; the server may lower it.
    pub max_xfer: U64,
    /// Version 1.2.
    pub phys_block_size: U32,
    /// Zero.
    pub pad: [u8; 12],
}

impl Attr {
    /// What a client asks for.
    #[must_use]
    pub fn ask(sid: u32, xfer_mode: u8, max_xfer: u64) -> Self {
        Self {
            tag: Tag::new(Type::Ctrl, Stype::Info, Envelope::Attr, sid),
            xfer_mode,
            disk_type: 0,
            media_type: 0,
            resv: 0,
            block_size: BLOCK_BYTES.into(),
            operations: 0.into(),
            size: 0.into(),
            max_xfer: max_xfer.into(),
            phys_block_size: 0.into(),
            pad: [0; 12],
        }
    }
}

/// A descriptor without its cookies, which follow.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Descriptor {
    /// [`DescriptorState`](super::DescriptorState).
    pub state: u8,
    /// Not zero: an acknowledgement is wanted.
    pub ack: u8,
    /// Zero.
    pub header_resv: [u8; 6],
    /// The client's.
    pub req_id: U64,
    /// [`Operation`].
    pub operation: u8,
    /// [`NO_SLICE`], or a partition.
    pub slice: u8,
    /// Zero.
    pub resv: U16,
    /// Zero or an [`Errno`], when done.
    pub status: U32,
    /// First block.
    pub addr: U64,
    /// Bytes.
    pub nbytes: U64,
    /// Cookies that follow.
    pub ncookies: U32,
    /// Zero.
    pub resv2: U32,
}

/// Bytes of a [`Descriptor`]; cookies begin here.
pub const DESCRIPTOR_BYTES: usize = 48;
/// Offset of the status in a descriptor.
pub const DESC_STATUS: u64 = 20;

/// A request in the message itself: `xfer_mode`
/// [`XFER_DESC`](super::dring::XFER_DESC). Cookies follow; the answer is the message
/// again, with its status.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct DescMessage {
    /// Its tag.
    pub tag: Tag,
    /// Counts this session's messages.
    pub seq: U64,
    /// The client's name for it.
    pub handle: U64,
    /// The client's.
    pub req_id: U64,
    /// [`Operation`].
    pub operation: u8,
    /// [`NO_SLICE`], or a partition.
    pub slice: u8,
    /// Zero.
    pub resv: U16,
    /// Zero or an [`Errno`], in the answer.
    pub status: U32,
    /// First block.
    pub addr: U64,
    /// Bytes.
    pub nbytes: U64,
    /// Cookies that follow.
    pub ncookies: U32,
    /// Zero.
    pub resv2: U32,
}

/// Bytes of a [`DescMessage`]; cookies begin here.
pub const DESC_MESSAGE_BYTES: usize = 64;

impl DescMessage {
    /// The same request as a descriptor of a ring.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            state: DescriptorState::Ready.code(),
            ack: 1,
            header_resv: [0; 6],
            req_id: self.req_id,
            operation: self.operation,
            slice: self.slice,
            resv: self.resv,
            status: self.status,
            addr: self.addr,
            nbytes: self.nbytes,
            ncookies: self.ncookies,
            resv2: self.resv2,
        }
    }
}

/// What [`Operation::GetDevid`] answers, before the id's bytes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct DevidHeader {
    /// Zero.
    pub resv: U16,
    /// What kind of id: [`DEVID_FABRICATED`].
    pub kind: U16,
    /// Bytes of the whole id, also when there is room for fewer.
    pub length: U32,
}

/// Kind of an id that the server has made up.
pub const DEVID_FABRICATED: u16 = 3;

/// What [`Operation::GetEfi`] and [`Operation::SetEfi`] move, before the blocks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct EfiHeader {
    /// First block.
    pub lba: U64,
    /// Bytes.
    pub length: U64,
}

/// What [`Operation::GetCapacity`] answers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Capacity {
    /// Bytes of a block.
    pub block_size: U32,
    /// Zero.
    pub resv: U32,
    /// Blocks.
    pub size: U64,
}

/// What [`Operation::GetDiskGeom`] answers; padded to 24 bytes for copies.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Geometry {
    /// Cylinders for data.
    pub ncyl: U16,
    /// Alternate cylinders.
    pub acyl: U16,
    /// Offset of cylinders.
    pub bcyl: U16,
    /// Heads.
    pub nhead: U16,
    /// Sectors of a track.
    pub nsect: U16,
    /// Interleave.
    pub interleave: U16,
    /// Alternates per cylinder.
    pub apc: U16,
    /// Revolutions per minute.
    pub rpm: U16,
    /// Physical cylinders.
    pub pcyl: U16,
    /// Sectors to skip, writes.
    pub write_reinstruct: U16,
    /// Sectors to skip, reads.
    pub read_reinstruct: U16,
    /// Zero; not of the 22 bytes that the protocol names.
    pub pad: U16,
}

impl Geometry {
    /// A geometry for a disk of `blocks` that was never formatted: 96 heads of
    /// 768 sectors from 8 GB on, one of 600 from 2 MB on, one of 200 below; two
    /// alternate cylinders.
    #[must_use]
    pub fn of(blocks: u64) -> Self {
        let (nhead, nsect): (u16, u16) = match blocks * u64::from(BLOCK_BYTES) {
            0x2_0000_0000.. => (96, 768),
            0x20_0000.. => (1, 600),
            _ => (1, 200),
        };
        let cylinder = u64::from(nhead) * u64::from(nsect);
        let pcyl = (blocks / cylinder).clamp(1, u64::from(u16::MAX)) as u16;
        let acyl = if pcyl > 2 { 2 } else { 0 };
        Self {
            ncyl: (pcyl - acyl).into(),
            acyl: acyl.into(),
            bcyl: 0.into(),
            nhead: nhead.into(),
            nsect: nsect.into(),
            interleave: 1.into(),
            apc: 0.into(),
            rpm: 3600.into(),
            pcyl: pcyl.into(),
            write_reinstruct: 0.into(),
            read_reinstruct: 0.into(),
            pad: 0.into(),
        }
    }
}

/// A partition in a [`Vtoc`].
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
pub struct Partition {
    /// Tag; 5 is the whole disk.
    pub id: U16,
    /// Flags.
    pub perm: U16,
    /// Zero.
    pub resv: U32,
    /// First block.
    pub start: U64,
    /// Blocks.
    pub nblocks: U64,
}

/// What [`Operation::GetVtoc`] answers: the label.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Vtoc {
    /// Volume.
    pub volume: [u8; 8],
    /// Bytes of a sector.
    pub sector_size: U16,
    /// Partitions in use.
    pub num_partitions: U16,
    /// Label in letters.
    pub ascii_label: [u8; 128],
    /// Zero.
    pub resv: U32,
    /// Partitions.
    pub partitions: [Partition; 8],
}

#[cfg(test)]
mod test {
    use super::{
        Attr, Capacity, DESC_MESSAGE_BYTES, DESC_STATUS, DESCRIPTOR_BYTES, DescMessage, Descriptor,
        DevidHeader, EfiHeader, Geometry, Operation, Partition, Vtoc,
    };
    use crate::vio::dring::XFER_DRING;
    use crate::vio::tag::CONTROL_BYTES;
    use zerocopy::IntoBytes;

    #[test]
    fn sizes_are_those_of_the_wire() {
        assert_eq!(size_of::<Attr>(), CONTROL_BYTES);
        assert_eq!(size_of::<Descriptor>(), DESCRIPTOR_BYTES);
        assert_eq!((size_of::<Capacity>(), size_of::<Geometry>()), (16, 24));
        assert_eq!((size_of::<Partition>(), size_of::<Vtoc>()), (24, 336));
        assert_eq!(size_of::<DescMessage>(), DESC_MESSAGE_BYTES);
        assert_eq!(std::mem::offset_of!(DescMessage, status), 36);
        assert_eq!((size_of::<DevidHeader>(), size_of::<EfiHeader>()), (8, 16));
        assert_eq!(std::mem::offset_of!(Vtoc, partitions), 144);
        assert_eq!(std::mem::offset_of!(Descriptor, status) as u64, DESC_STATUS);
        assert_eq!(std::mem::offset_of!(Descriptor, ncookies), 40);
    }

    #[test]
    fn attributes_have_their_fields_where_the_wire_has_them() {
        let bytes = Attr::ask(9, XFER_DRING, 256);
        let bytes = bytes.as_bytes();
        assert_eq!(bytes[..16], [1, 1, 0, 2, 0, 0, 0, 9, 3, 0, 0, 0, 0, 0, 2, 0]);
        assert_eq!(bytes[32..40], [0, 0, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn the_masks_of_a_server_are_sums_of_bits() {
        let mask = |ops: &[Operation]| ops.iter().fold(0, |mask, op| mask | op.bit());
        use Operation::*;
        assert_eq!(mask(&[Bread, GetWce, GetVtoc, GetDiskGeom, GetDevid, GetEfi]), 0x1952);
        assert_eq!(mask(&[Bwrite, Flush, SetWce, SetVtoc, SetDiskGeom, SetEfi]), 0x22ac);
        assert_eq!(mask(&[ScsiCmd, Reset, GetAccess, SetAccess]) | GetCapacity.bit(), 0x3c400);
    }

    #[test]
    fn a_made_up_geometry_covers_the_disk_but_a_cylinder() {
        for blocks in [1, 4095, 4096, 524_288, 16_777_216, 40_000_000] {
            let geometry = Geometry::of(blocks);
            let cylinder = u64::from(geometry.nhead.get()) * u64::from(geometry.nsect.get());
            let covered = u64::from(geometry.pcyl.get()) * cylinder;
            assert!(covered <= blocks.max(cylinder) && blocks < covered + cylinder, "{blocks}");
        }
    }
}
