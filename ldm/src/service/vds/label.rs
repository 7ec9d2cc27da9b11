//! What a disk without a label says of itself.

use sun4v::vio::vdisk::{BLOCK_BYTES, Capacity, Geometry, Partition, Vtoc};

/// Tag of a partition that is the whole disk.
const WHOLE_DISK: u16 = 5;
/// Where such a partition stands.
const WHOLE_DISK_INDEX: usize = 2;

/// The geometry of a disk of `blocks`.
pub(super) fn geometry(blocks: u64) -> Geometry {
    Geometry::of(blocks)
}

/// Its capacity.
pub(super) fn capacity(blocks: u64) -> Capacity {
    Capacity { block_size: BLOCK_BYTES.into(), resv: 0.into(), size: blocks.into() }
}

/// Its label: the whole disk as partition 2.
pub(super) fn vtoc(blocks: u64) -> Vtoc {
    let geometry = Geometry::of(blocks);
    let text = format!(
        "SUN-DiskImage cyl {} alt {} hd {} sec {}",
        geometry.ncyl, geometry.acyl, geometry.nhead, geometry.nsect
    );
    let mut ascii_label = [0; 128];
    ascii_label[..text.len().min(128)].copy_from_slice(&text.as_bytes()[..text.len().min(128)]);
    let mut partitions = [Partition::default(); 8];
    partitions[WHOLE_DISK_INDEX] = Partition {
        id: WHOLE_DISK.into(),
        perm: 0.into(),
        resv: 0.into(),
        start: 0.into(),
        nblocks: blocks.into(),
    };
    Vtoc {
        volume: [0; 8],
        sector_size: (BLOCK_BYTES as u16).into(),
        num_partitions: 8.into(),
        ascii_label,
        resv: 0.into(),
        partitions,
    }
}
