//! The GUID partition table, which Solaris calls an EFI label.
//!
//! **Shapes.** Little-endian. Block 0 is a protective boot record, block 1 the header,
//! entries of 128 bytes follow; both have CRC-32 checksums. A second header is the last
//! block of the disk, with its entries before it.
//!
//! **Limits.** Entries that do not lie at the front of the disk are not looked for.

use super::{BLOCK, Extent};

/// Partitions that have a slice's number.
pub(in super::super) const SLICES: usize = 7;
/// Blocks before the first that a partition may have.
pub(in super::super) const FRONT_BLOCKS: u64 = 34;
/// Blocks that Solaris reserves behind the last partition.
const RESERVED_BLOCKS: u64 = 16_384;
/// Blocks of the second header and its entries.
const BACK_BLOCKS: u64 = 33;

const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION: u32 = 0x1_0000;
const HEADER_BYTES: usize = 92;
const ENTRY_BYTES: usize = 128;
const ENTRIES: usize = 128;
/// Type of a partition of Solaris's for users, as it lies on a disk.
const TYPE_USER: [u8; 16] = guid(0x6a89_8cc3);
/// And of the reserved one.
const TYPE_RESERVED: [u8; 16] = guid(0x6a94_5a3b);

/// Solaris's partition types differ in their first word.
const fn guid(first: u32) -> [u8; 16] {
    let [a, b, c, d] = first.to_le_bytes();
    [a, b, c, d, 0xd2, 0x1d, 0xb2, 0x11, 0x99, 0xa6, 0x08, 0x00, 0x20, 0x73, 0x66, 0x31]
}

/// CRC-32, as Ethernet's.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    !crc
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

/// The first partitions of a disk that begins with `front`, if it has a sound table.
pub(in super::super) fn read(front: &[u8]) -> Option<[Extent; SLICES]> {
    let header = front.get(BLOCK as usize..2 * BLOCK as usize)?;
    if !header.starts_with(SIGNATURE) {
        return None;
    }
    let bytes = u32_at(header, 12)? as usize;
    let mut summed = header.get(..bytes).filter(|_| bytes >= HEADER_BYTES)?.to_vec();
    summed[16..20].fill(0);
    if Some(crc32(&summed)) != u32_at(header, 16) {
        return None;
    }
    let (lba, count, size) = (u64_at(header, 72)?, u32_at(header, 80)?, u32_at(header, 84)?);
    let size = (size as usize).max(ENTRY_BYTES);
    let start = usize::try_from(lba.checked_mul(BLOCK)?).ok()?;
    let end = start.checked_add(size.checked_mul(count as usize)?)?;
    let entries = front.get(start..end)?;
    if Some(crc32(entries)) != u32_at(header, 88) {
        return None;
    }
    let mut slices = [Extent::default(); SLICES];
    for (slice, entry) in slices.iter_mut().zip(entries.chunks_exact(size)) {
        let (first, last) = (u64_at(entry, 32)?, u64_at(entry, 40)?);
        let used = entry[..16] != [0; 16] && last >= first;
        if used && let Some(blocks) = (last - first).checked_add(1) {
            *slice = Extent { start: first, blocks };
        }
    }
    Some(slices)
}

/// A table for a slice that is shown as a disk.
pub(in super::super) struct MadeUp {
    /// The front of the disk.
    pub(in super::super) front: Vec<u8>,
    /// Its end.
    pub(in super::super) back: Vec<u8>,
    /// Blocks of the disk.
    pub(in super::super) blocks: u64,
}

/// The table for a slice of `blocks`: it is partition 0 and begins at block
/// [`FRONT_BLOCKS`]; behind it Solaris's reserved partition, the ninth. `unique` makes
/// the GUIDs.
pub(in super::super) fn of_slice(blocks: u64, unique: [u8; 16]) -> MadeUp {
    let last = FRONT_BLOCKS + blocks - 1;
    let total = last + 1 + RESERVED_BLOCKS + BACK_BLOCKS;
    let mut entries = vec![0; ENTRIES * ENTRY_BYTES];
    let mut entry = |n: usize, kind: [u8; 16], first: u64, last: u64| {
        let entry = &mut entries[n * ENTRY_BYTES..][..ENTRY_BYTES];
        entry[..16].copy_from_slice(&kind);
        entry[16..32].copy_from_slice(&unique);
        entry[16] ^= n as u8 + 1;
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
    };
    entry(0, TYPE_USER, FRONT_BLOCKS, last);
    entry(8, TYPE_RESERVED, last + 1, last + RESERVED_BLOCKS);
    let header = |own: u64, other: u64, entries_at: u64| {
        let mut header = vec![0; BLOCK as usize];
        header[..8].copy_from_slice(SIGNATURE);
        header[8..12].copy_from_slice(&REVISION.to_le_bytes());
        header[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        let usable = (FRONT_BLOCKS, last + RESERVED_BLOCKS);
        for (at, word) in [(24, own), (32, other), (40, usable.0), (48, usable.1), (72, entries_at)]
        {
            header[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        header[56..72].copy_from_slice(&unique);
        header[80..84].copy_from_slice(&(ENTRIES as u32).to_le_bytes());
        header[84..88].copy_from_slice(&(ENTRY_BYTES as u32).to_le_bytes());
        header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        let sum = crc32(&header[..HEADER_BYTES]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        header
    };
    let mut front = protective(total);
    front.extend(header(1, total - 1, 2));
    front.extend(&entries);
    let mut back = entries.clone();
    back.extend(header(total - 1, 1, total - BACK_BLOCKS));
    MadeUp { front, back, blocks: total }
}

/// Block 0: one partition of type 0xee over all.
fn protective(blocks: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK as usize];
    let size = u32::try_from(blocks - 1).unwrap_or(u32::MAX);
    block[446..458].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0]);
    block[458..462].copy_from_slice(&size.to_le_bytes());
    block[510..].copy_from_slice(&[0x55, 0xaa]);
    block
}
