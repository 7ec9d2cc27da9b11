//! `ldc_copy`: bytes between two guests, through the exporter's map table.
//!
//! A call copies up to the end of the local or the remote 8 KiB page, whichever
//! comes first; callers loop.

use super::MapTable;
use crate::platform::Memory;
use sun4v::addr::{PAGE_BYTES, Ra, RealMap};
use sun4v::hcall::HvError;

/// A copy that a guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Out to the peer; otherwise in from it.
    pub out: bool,
    /// Names the peer's memory.
    pub cookie: u64,
    /// The caller's memory.
    pub ra: Ra,
    /// Bytes, a multiple of eight.
    pub bytes: u64,
}

/// Map table entry: the peer may copy in from it (bit 9) and out to it (bit 10).
const COPY_READ: u64 = 1 << 9;
const COPY_WRITE: u64 = 1 << 10;

/// Copies between a caller with memory `own` and an exporter with memory `theirs`,
/// and gives the number of bytes, never zero. Alignment, length and direction were
/// checked, and that `ra + bytes` is the caller's own.
pub fn copy(
    memory: &dyn Memory,
    own: &RealMap,
    theirs: &RealMap,
    table: Option<MapTable>,
    wanted: Copy,
) -> Result<u64, HvError> {
    let Copy { out, cookie, ra, bytes } = wanted;
    let table = table.ok_or(HvError::NoMap)?;
    if cookie >> 60 != 0 {
        return Err(HvError::BadPgsz);
    }
    let (index, offset) = (cookie >> 13, cookie & (PAGE_BYTES - 1));
    if index >= table.entries {
        return Err(HvError::NoMap);
    }
    let entry = memory.read_u64(table.pa.offset(index * 16));
    if entry & if out { COPY_WRITE } else { COPY_READ } == 0 {
        return Err(HvError::NoAccess);
    }
    let page = Ra(entry & 0x00ff_ffff_ffff_e000);
    let local_room = PAGE_BYTES - (ra.0 & (PAGE_BYTES - 1));
    let bytes = bytes.min(PAGE_BYTES - offset).min(local_room);
    let remote = theirs.resolve(page.offset(offset), bytes).ok_or(HvError::NoRaddr)?;
    let local = own.resolve(ra, bytes).ok_or(HvError::NoRaddr)?;
    let (from, to) = if out { (local, remote) } else { (remote, local) };
    let mut buffer = [0; PAGE_BYTES as usize];
    let buffer = &mut buffer[..bytes as usize];
    memory.read(from, buffer);
    memory.write(to, buffer);
    Ok(bytes)
}
