//! Labels of disks: who has which blocks.
//!
//! **Shapes.** A Sun label is block 0 of the disk ([`sun`]); a GPT is what Solaris
//! calls an EFI label and lies in the blocks from 1 on ([`gpt`]). Both name extents in
//! blocks of 512 bytes. A disk is asked by its first [`FRONT_BYTES`].
//!
//! **Errors.** None: what is no sound label is no label.
//!
//! **Source.** illumos `dklabel.h`, `vtoc.h`, `efi_partition.h`; UEFI 2.x, chapter 5;
//! ECMA-119 for the descriptor of a CD.

pub(super) mod gpt;
pub(super) mod sun;

use sun4v::vio::vdisk::BLOCK_BYTES;

/// Bytes of a block.
pub(super) const BLOCK: u64 = BLOCK_BYTES as u64;
/// Bytes at the front of a disk that hold all that is looked at: a Sun label, a GPT with
/// 128 entries, and the first descriptor of an ISO 9660 file system.
pub(super) const FRONT_BYTES: usize = ISO_DESCRIPTOR + ISO_SECTOR;
/// A disk from here on gets a GPT when it has no label: a Sun label counts blocks in 32
/// bits, and Solaris trusts the lower 31.
pub(super) const SUN_BLOCKS_MAX: u64 = (1 << 40) / BLOCK - 1;

/// Bytes of a sector of a CD.
const ISO_SECTOR: usize = 2048;
/// Where its first volume descriptor is.
const ISO_DESCRIPTOR: usize = 16 * ISO_SECTOR;

/// A run of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// First block.
    pub(super) start: u64,
    /// How many; none is no extent.
    pub(super) blocks: u64,
}

/// What is written at the front of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// Nothing that is known.
    None,
    /// A Sun label.
    Sun(Box<sun::SunLabel>),
    /// A GPT: its first partitions.
    Gpt([Extent; gpt::SLICES]),
}

impl Label {
    /// The label of a disk that begins with `front`.
    pub(super) fn read(front: &[u8]) -> Self {
        if let Some(label) = sun::SunLabel::read(front) {
            return Self::Sun(Box::new(label));
        }
        gpt::read(front).map_or(Self::None, Self::Gpt)
    }
}

/// Does a disk that begins with `front` hold an ISO 9660 file system?
pub(super) fn is_iso(front: &[u8]) -> bool {
    // A primary volume descriptor: type 1, the standard's name, version 1.
    front.get(ISO_DESCRIPTOR..).is_some_and(|descriptor| descriptor.starts_with(b"\x01CD001\x01"))
}

#[cfg(test)]
mod test;
