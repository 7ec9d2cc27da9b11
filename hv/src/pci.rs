//! The PCI Express bus: T2's root complex, with nothing behind it.
//!
//! No device answers and none writes. What the guest sets up is kept and read back:
//! the IOMMU's table, event queues, MSIs, messages, performance registers, interrupts.
//! But no configuration access finds anything, no record is ever put into a queue, and
//! no interrupt is sent. That is what an empty bus does.
//!
//! **Shapes.** One IOMMU table of [`IOMMU_ENTRIES`] pages of 8 KiB; [`QUEUES`] event
//! queues of [`QUEUE_RECORDS`] records of 64 bytes; [`MSIS`] MSIs; five messages, by
//! code. An interrupt's sysino is the bus's cfg handle with its number in the low six
//! bits.
//!
//! **Source.** OpenSPARC hypervisor, `vpci_piu.s`, `piu.h`, `vdev_ops.h`.

use crate::intr::Interrupt;
use std::collections::BTreeMap;
use sun4v::addr::Ra;
use sun4v::hvmd::PcieBusConf;

/// Entries of the IOMMU's table: 2 GB of device addresses.
pub const IOMMU_ENTRIES: u64 = 256 << 10;
/// Event queues.
pub const QUEUES: u64 = 36;
/// Records of an event queue.
pub const QUEUE_RECORDS: u64 = 128;
/// Bytes of a record.
pub const RECORD_BYTES: u64 = 64;
/// Bytes of an event queue.
pub const QUEUE_BYTES: u64 = QUEUE_RECORDS * RECORD_BYTES;
/// MSIs.
pub const MSIS: u64 = 256;
/// Codes of the messages: power management event and its acknowledgement,
/// correctable, non-fatal and fatal errors.
pub const MESSAGES: [u8; 5] = [0x18, 0x1b, 0x30, 0x31, 0x33];
/// Real addresses of the bus's I/O and memory space: `[first, behind the last)`.
pub const IO_SPACE: (u64, u64) = (0xc8_1000_0000, 0xd0_0000_0000);

/// Performance registers: bits that are read, bits that are kept of what is written.
const PERF_MASKS: [(u64, u64); 12] = [
    (0xffff, 0xffff),
    (!0, !0),
    (!0, !0),
    (0xffff, 0xffff),
    (!0, !0),
    (!0, !0),
    (0x3_ffff, 0x3_ffff),
    (!0, !0),
    (!0, !0),
    (0xffff_ffff, 0xffff_ffff),
    (0xc000_0000_ffff_003f, 0xc000_0000_0000_0000),
    (0x3f3f_3f3f_3f3f_3f3f, 0),
];

/// Does the bus have an interrupt of this number? Four INTx lines, one a queue, and two
/// for errors.
#[must_use]
pub const fn has_ino(ino: u16) -> bool {
    matches!(ino, 20..=59 | 62 | 63)
}

/// A page that devices may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoPage {
    /// Where the guest has it.
    pub ra: Ra,
    /// 1 read, 2 write. The valid bit of the hardware's entry is its read bit: every
    /// page that is mapped may be read.
    pub attributes: u8,
}

/// States of an event queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum QueueState {
    /// Not valid.
    #[default]
    Idle = 0,
    /// Valid: it takes records.
    Active = 1,
    /// In error, and so not valid.
    Error = 2,
}

impl QueueState {
    /// The state with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Idle),
            1 => Some(Self::Active),
            2 => Some(Self::Error),
            _ => None,
        }
    }
}

/// An event queue. Its tail is zero: nothing ever arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventQueue {
    /// Where the guest says it is.
    pub base: Option<Ra>,
    /// Its state.
    pub state: QueueState,
    /// Next record that the guest takes, in bytes.
    pub head: u64,
}

/// An MSI or a message: to which queue it goes. It never comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// It is let through.
    pub valid: bool,
    /// The queue.
    pub queue: u8,
}

/// The bus of a guest. Of queues, MSIs and messages only those are kept that are not as
/// a reset leaves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciBus {
    /// Its configuration.
    pub conf: PcieBusConf,
    /// Mapped pages, by their place in the table.
    pub pages: BTreeMap<u32, IoPage>,
    /// Event queues, by number.
    pub queues: BTreeMap<u8, EventQueue>,
    /// MSIs, by number.
    pub msis: BTreeMap<u8, Route>,
    /// Messages, by code.
    pub messages: BTreeMap<u8, Route>,
    /// Performance registers.
    pub perf: [u64; 12],
    /// Interrupts, by number: all that [`has_ino`].
    pub interrupts: BTreeMap<u16, Interrupt>,
}

impl PciBus {
    /// A bus that was just reset.
    #[must_use]
    pub fn new(conf: PcieBusConf) -> Self {
        let inos = (0..64).filter(|&ino| has_ino(ino));
        Self {
            conf,
            pages: BTreeMap::new(),
            queues: BTreeMap::new(),
            msis: BTreeMap::new(),
            messages: BTreeMap::new(),
            perf: [0; 12],
            interrupts: inos.map(|ino| (ino, Interrupt::default())).collect(),
        }
    }

    /// Maps a page.
    pub fn map(&mut self, place: u32, ra: Ra, attributes: u8) {
        self.pages.insert(place, IoPage { ra, attributes: attributes | 1 });
    }

    /// A queue.
    #[must_use]
    pub fn queue(&self, number: u8) -> EventQueue {
        self.queues.get(&number).copied().unwrap_or_default()
    }

    /// Changes a queue.
    pub fn set_queue(&mut self, number: u8, queue: EventQueue) {
        keep(&mut self.queues, number, queue);
    }

    /// An MSI.
    #[must_use]
    pub fn msi(&self, number: u8) -> Route {
        self.msis.get(&number).copied().unwrap_or_default()
    }

    /// Changes an MSI.
    pub fn set_msi(&mut self, number: u8, route: Route) {
        keep(&mut self.msis, number, route);
    }

    /// A message.
    #[must_use]
    pub fn message(&self, code: u8) -> Route {
        self.messages.get(&code).copied().unwrap_or_default()
    }

    /// Changes a message.
    pub fn set_message(&mut self, code: u8, route: Route) {
        keep(&mut self.messages, code, route);
    }

    /// Reads a performance register; `None` when there is none of this number.
    #[must_use]
    pub fn perf(&self, register: u64) -> Option<u64> {
        let at = usize::try_from(register).ok()?;
        Some(self.perf.get(at)? & PERF_MASKS.get(at)?.0)
    }

    /// Writes one. Nothing happens on an empty bus, so nothing is counted.
    pub fn set_perf(&mut self, register: u64, value: u64) -> Option<()> {
        let at = usize::try_from(register).ok()?;
        *self.perf.get_mut(at)? = value & PERF_MASKS.get(at)?.1;
        Some(())
    }

    /// Could performance registers hold these?
    #[must_use]
    pub fn perf_can_be(values: &[u64; 12]) -> bool {
        values.iter().zip(PERF_MASKS).all(|(value, (_, kept))| value & !kept == 0)
    }
}

/// Keeps what is not as a reset leaves it.
fn keep<T: Default + PartialEq>(all: &mut BTreeMap<u8, T>, number: u8, value: T) {
    if value == T::default() {
        all.remove(&number);
    } else {
        all.insert(number, value);
    }
}

#[cfg(test)]
mod test {
    use super::{PciBus, Route, has_ino};
    use sun4v::addr::Ra;
    use sun4v::hvmd::PcieBusConf;
    use sun4v::id::GuestId;

    fn bus() -> PciBus {
        PciBus::new(PcieBusConf { handle: 0, guest: GuestId(0) })
    }

    #[test]
    fn a_bus_has_an_interrupt_a_line_a_queue_and_two_for_errors() {
        assert_eq!(bus().interrupts.len(), 4 + 36 + 2);
        assert!([20, 23, 24, 59, 62, 63].into_iter().all(has_ino));
        assert!(![0, 19, 60, 61, 64].into_iter().any(has_ino));
    }

    #[test]
    fn what_is_as_after_a_reset_is_not_kept() {
        let mut own = bus();
        own.set_msi(7, Route { valid: true, queue: 3 });
        assert_eq!(own.msi(7), Route { valid: true, queue: 3 });
        own.set_msi(7, Route::default());
        assert_eq!(own, bus());
    }

    #[test]
    fn performance_registers_keep_the_bits_that_they_have() {
        let mut own = bus();
        let read: Vec<_> = (0..13)
            .map(|register| {
                own.set_perf(register, u64::MAX);
                own.perf(register)
            })
            .collect();
        assert_eq!(read[0], Some(0xffff));
        assert_eq!(read[6], Some(0x3_ffff));
        assert_eq!((read[9], read[10]), (Some(0xffff_ffff), Some(3 << 62)));
        assert_eq!((read[11], read[12]), (Some(0), None));
        assert!(PciBus::perf_can_be(&own.perf) && !PciBus::perf_can_be(&[u64::MAX; 12]));
    }

    #[test]
    fn a_mapped_page_may_always_be_read() {
        let mut own = bus();
        own.map(3, Ra(0x800_0000), 2);
        assert_eq!(own.pages[&3].attributes, 3);
    }
}
