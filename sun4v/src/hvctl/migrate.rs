//! Our extension of hvctl: what a migration asks of the hypervisor.
//!
//! The historical protocol names suspend and resume, implements neither, and has
//! nothing about memory. These operations begin at 0x80. Each names one guest that
//! is not the control domain; lists and buffers are real addresses in the control
//! domain's own memory.
//!
//! **Shapes.** A page is 8 KiB of the guest's real memory, counted from zero in
//! ascending order of real address over all its memory. A list is big-endian `u32`
//! page numbers, [`PAGES_MAX`] at most. A dirty map has a bit a page, lowest bit
//! of the first byte first.
//!
//! | op | | request payload | value of the reply |
//! | --- | --- | --- | --- |
//! | 0x80 | log_start | 8 u32 guest | |
//! | 0x81 | log_stop | 8 u32 guest | |
//! | 0x82 | dirty_read | 8 u32 guest, 12 u32 first page, 16 u64 buffer, 24 u64 bytes | dirty pages among those |
//! | 0x83 | pages_out | 8 u32 guest, 12 u32 count, 16 u64 list, 24 u64 buffer | |
//! | 0x84 | pages_in | the same | |
//! | 0x85 | pages_zero | 8 u32 guest, 12 u32 count, 16 u64 list | |
//! | 0x86 | suspend | 8 u32 guest | |
//! | 0x87 | resume | 8 u32 guest | |
//! | 0x88 | state_out | 8 u32 guest, 16 u64 buffer, 24 u64 bytes | bytes written |
//! | 0x89 | state_in | 8 u32 guest, 16 u64 buffer, 24 u64 bytes | |
//! | 0x8a | hold | 8 u32 guest, 12 u32 percent | virtual CPUs inside |
//!
//! A reply has the status, 12 u32 detail code, 16 u64 value. A virtual CPU is *inside* when a
//! suspend could make a disk's driver lose a request: one that takes a disk's interrupts, in
//! privileged mode; another, in privileged mode where interrupts wait.

use super::{Op, Wire};
use crate::addr::Ra;

/// Most pages of one message.
pub const PAGES_MAX: u32 = 512;
/// The largest share of time in which a guest is held, in percent: it stands still, and is
/// not suspended.
pub const HELD_MAX: u32 = 100;
/// A held guest stands still once in every such interval, in microseconds.
pub const HOLD_INTERVAL_US: u64 = 1000;
/// How long before the others the virtual CPUs that disks ring go on behind a suspend, in
/// microseconds.
pub const LEAD_US: u64 = 1000;

/// Pages of a guest and where the control domain keeps list and contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// Whose.
    pub guest: u32,
    /// The list.
    pub list: Ra,
    /// How many.
    pub count: u32,
    /// Their contents, one page behind the other.
    pub buffer: Ra,
}

/// A buffer of the control domain about one guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Which guest.
    pub guest: u32,
    /// Its first byte.
    pub buffer: Ra,
    /// Its bytes.
    pub bytes: u64,
}

/// A command of the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Begin to log which pages are written; all are clean. A log that ran begins
    /// anew.
    LogStart(u32),
    /// Stop, and forget.
    LogStop(u32),
    /// The dirty map from page `first` on, as much as the buffer takes; bits behind
    /// the last page are zero. The log stays as it is.
    DirtyRead {
        /// The first page, a multiple of eight.
        first: u32,
        /// Where the map goes.
        map: Buffer,
    },
    /// Copies pages into the buffer and makes them clean.
    PagesOut(Pages),
    /// Copies the buffer into pages.
    PagesIn(Pages),
    /// Fills pages with zeros; `buffer` is not used.
    PagesZero(Pages),
    /// Stops the guest where it is.
    Suspend(u32),
    /// Lets it go on; one whose state was loaded begins.
    Resume(u32),
    /// Writes the state records of a suspended guest into the buffer.
    StateOut(Buffer),
    /// Loads state records into a guest that never ran.
    StateIn(Buffer),
    /// Holds the guest's virtual CPUs for this share of each [`HOLD_INTERVAL_US`], as long
    /// as its pages are logged. Its clocks go on meanwhile. The value of the reply says how
    /// many are inside: those of a guest that stands still are where they stay.
    Hold {
        /// Which guest.
        guest: u32,
        /// In percent, 0 to [`HELD_MAX`].
        percent: u32,
    },
}

impl Request {
    /// What the command is about.
    #[must_use]
    pub const fn op(&self) -> Op {
        match self {
            Self::LogStart(_) => Op::LogStart,
            Self::LogStop(_) => Op::LogStop,
            Self::DirtyRead { .. } => Op::DirtyRead,
            Self::PagesOut(_) => Op::PagesOut,
            Self::PagesIn(_) => Op::PagesIn,
            Self::PagesZero(_) => Op::PagesZero,
            Self::Suspend(_) => Op::Suspend,
            Self::Resume(_) => Op::Resume,
            Self::StateOut(_) => Op::StateOut,
            Self::StateIn(_) => Op::StateIn,
            Self::Hold { .. } => Op::Hold,
        }
    }

    /// Which guest it names.
    #[must_use]
    pub const fn guest(&self) -> u32 {
        match self {
            Self::LogStart(guest)
            | Self::LogStop(guest)
            | Self::Suspend(guest)
            | Self::Resume(guest)
            | Self::Hold { guest, .. } => *guest,
            Self::PagesOut(pages) | Self::PagesIn(pages) | Self::PagesZero(pages) => pages.guest,
            Self::DirtyRead { map: buffer, .. }
            | Self::StateOut(buffer)
            | Self::StateIn(buffer) => buffer.guest,
        }
    }

    pub(super) fn emit(&self, wire: &mut Wire) {
        wire.u32(8, self.guest());
        match *self {
            Self::LogStart(_) | Self::LogStop(_) | Self::Suspend(_) | Self::Resume(_) => {}
            Self::PagesOut(pages) | Self::PagesIn(pages) | Self::PagesZero(pages) => {
                wire.u32(12, pages.count).u64(16, pages.list.0).u64(24, pages.buffer.0);
            }
            Self::DirtyRead { first, map } => {
                wire.u32(12, first).u64(16, map.buffer.0).u64(24, map.bytes);
            }
            Self::StateOut(buffer) | Self::StateIn(buffer) => {
                wire.u64(16, buffer.buffer.0).u64(24, buffer.bytes);
            }
            Self::Hold { percent, .. } => {
                wire.u32(12, percent);
            }
        }
    }

    pub(super) fn take(op: Op, wire: &Wire) -> Option<Self> {
        let (guest, small) = (wire.get32(8), wire.get32(12));
        let (first, second) = (Ra(wire.get64(16)), wire.get64(24));
        let pages = Pages { guest, list: first, count: small, buffer: Ra(second) };
        let buffer = Buffer { guest, buffer: first, bytes: second };
        Some(match op {
            Op::LogStart => Self::LogStart(guest),
            Op::LogStop => Self::LogStop(guest),
            Op::DirtyRead => Self::DirtyRead { first: small, map: buffer },
            Op::PagesOut => Self::PagesOut(pages),
            Op::PagesIn => Self::PagesIn(pages),
            Op::PagesZero => Self::PagesZero(pages),
            Op::Suspend => Self::Suspend(guest),
            Op::Resume => Self::Resume(guest),
            Op::StateOut => Self::StateOut(buffer),
            Op::StateIn => Self::StateIn(buffer),
            Op::Hold => Self::Hold { guest, percent: small },
            _ => return None,
        })
    }
}
