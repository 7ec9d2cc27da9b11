//! T2's network unit: the logical pages of its DMA channels, and its interrupts.
//!
//! No port is connected: pages and interrupts are kept as the guest sets them up, no
//! packet ever moves and nothing interrupts.
//!
//! **Shapes.** Sixteen channels a direction, two pages a channel. A page register counts
//! in units of [`UNIT_BYTES`]: a smaller page is one unit. Interrupt numbers are those of
//! logical device groups; the sysino is the cfg handle with the number in its low six
//! bits.
//!
//! **Source.** OpenSPARC hypervisor, `niu.s`, `niu.h`.

use crate::intr::Interrupt;
use std::collections::BTreeMap;
use sun4v::addr::Ra;
use sun4v::hvmd::NetworkConf;

/// Channels of a direction.
pub const CHANNELS: u64 = 16;
/// Pages of a channel.
pub const PAGES: u64 = 2;
/// What page registers count in.
pub const UNIT_BYTES: u64 = 4096;

/// Does the unit have an interrupt of this number? Ports, management, errors, and one a
/// channel and direction.
#[must_use]
pub const fn has_ino(ino: u16) -> bool {
    matches!(ino, 16..=51)
}

/// A logical page: which way, which channel, which of its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageId {
    /// To the network; otherwise from it.
    pub transmit: bool,
    /// The channel.
    pub channel: u8,
    /// The page.
    pub page: u8,
}

/// What a channel may reach through a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Real address, whole units.
    pub ra: Ra,
    /// Bytes, a power of two, a unit at least.
    pub bytes: u64,
}

impl Page {
    /// As the registers keep it.
    #[must_use]
    pub const fn new(ra: Ra, bytes: u64) -> Self {
        let bytes = if bytes < UNIT_BYTES { UNIT_BYTES } else { bytes };
        Self { ra: Ra(ra.0 & !(UNIT_BYTES - 1)), bytes }
    }
}

/// The network unit of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkUnit {
    /// Its configuration.
    pub conf: NetworkConf,
    /// Pages that are valid.
    pub pages: BTreeMap<PageId, Page>,
    /// Interrupts, by number: all that [`has_ino`].
    pub interrupts: BTreeMap<u16, Interrupt>,
}

impl NetworkUnit {
    /// A unit that was just reset.
    #[must_use]
    pub fn new(conf: NetworkConf) -> Self {
        let inos = (0..64).filter(|&ino| has_ino(ino));
        let interrupts = inos.map(|ino| (ino, Interrupt::default())).collect();
        Self { conf, pages: BTreeMap::new(), interrupts }
    }
}

#[cfg(test)]
mod test {
    use super::Page;
    use sun4v::addr::Ra;

    #[test]
    fn a_page_is_a_unit_at_least() {
        assert_eq!(Page::new(Ra(0x800_1e00), 512), Page { ra: Ra(0x800_1000), bytes: 4096 });
        assert_eq!(Page::new(Ra(0x800_8000), 0x8000), Page { ra: Ra(0x800_8000), bytes: 0x8000 });
    }
}
