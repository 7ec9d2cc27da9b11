//! The PCI Express bus: IOMMU, configuration and I/O space, event queues, MSIs and
//! messages; and the performance registers of its unit.
//!
//! The first argument is the bus's cfg handle: EINVAL for a guest that has no bus, and
//! for another handle. Where it stands in the order of checks differs: arguments that
//! can be judged without the bus are judged first by the calls that reach into it, last
//! by nobody. See [`crate::pci`] for what an empty bus answers.
//!
//! **Differences.** The original takes only the device number out of a handle; here all
//! of it counts. A failed access leaves there whatever was in the result register; here
//! it is all ones.

use crate::guest::{Call, CallResult};
use crate::pci::{
    EventQueue, IO_SPACE, IOMMU_ENTRIES, MESSAGES, MSIS, PciBus, QUEUE_BYTES, QUEUE_RECORDS,
    QUEUES, QueueState, RECORD_BYTES, Route,
};
use crate::trap::Answer;
use sun4v::addr::{PAGE_BYTES, Ra};
use sun4v::hcall::{HvError, nr};

/// Most pages of one call.
const MAP_MAX: u64 = 64;
/// Bits of a device's address: bus, device, function.
const DEVICE_BITS: u64 = 0xff_ff00;
/// Bytes of a device's configuration space.
const CONFIG_BYTES: u64 = 4096;
/// An access that found nobody: the error flag, and what a read gives.
const FAILED: [u64; 2] = [1, u64::MAX];

type Checked<T> = Result<T, HvError>;

fn check(fine: bool) -> Checked<()> {
    if fine { Ok(()) } else { Err(HvError::Inval) }
}

/// The size and the alignment of an access.
fn check_access(offset: u64, bytes: u64, most: u64) -> Checked<()> {
    check(bytes.is_power_of_two() && bytes <= most)?;
    if offset.is_multiple_of(bytes) { Ok(()) } else { Err(HvError::BadAlign) }
}

/// Is all of an access in the bus's I/O space?
fn check_io(ra: u64, bytes: u64) -> Checked<()> {
    let (first, end) = IO_SPACE;
    if ra >= first && ra < end && bytes <= end - ra { Ok(()) } else { Err(HvError::NoRaddr) }
}

/// A place in the table, and how many of `ttes` pages from it on one call does.
fn check_pages(tsbid: u64, ttes: u64) -> Checked<(u32, u32)> {
    check(tsbid < IOMMU_ENTRIES && ttes.cast_signed() > 0)?;
    let count = ttes.min(MAP_MAX);
    check(tsbid + count <= IOMMU_ENTRIES)?;
    Ok((tsbid as u32, count as u32))
}

/// A number below `end`.
fn below(number: u64, end: u64) -> Checked<u8> {
    check(number < end)?;
    Ok(number as u8)
}

/// The code of a message.
fn message(code: u64) -> Checked<u8> {
    let found = MESSAGES.into_iter().find(|&own| u64::from(own) == code);
    found.ok_or(HvError::Inval)
}

impl Call<'_> {
    fn bus(&mut self, handle: u64) -> Checked<&mut PciBus> {
        let bus = self.guest.pci.as_deref_mut();
        bus.filter(|bus| u64::from(bus.conf.handle) == handle).ok_or(HvError::Inval)
    }

    /// b0: maps pages of a list, up to the first that cannot be. That is an error only
    /// when it is the first of all.
    pub(super) fn pci_iommu_map(
        &mut self,
        [handle, tsbid, ttes, attrs, list]: [u64; 5],
    ) -> CallResult {
        self.bus(handle)?;
        check(attrs <= 3)?;
        if !list.is_multiple_of(8) {
            return Err(HvError::BadAlign.into());
        }
        let (place, count) = check_pages(tsbid, ttes)?;
        let list = self.guest.resolve(Ra(list), u64::from(count) * 8)?;
        let mut mapped = 0;
        for at in 0..count {
            let ra = Ra(self.cpus.memory().read_u64(list.offset(u64::from(at) * 8)));
            let page = match ra.is_aligned(PAGE_BYTES) {
                true => self.guest.resolve(ra, PAGE_BYTES).map(|_| ra),
                false => Err(HvError::BadAlign),
            };
            match page {
                Ok(ra) => self.bus(handle)?.map(place + at, ra, attrs as u8),
                Err(error) if at == 0 => return Err(error.into()),
                Err(_) => break,
            }
            mapped += 1;
        }
        Ok(Answer::ok(&[mapped]))
    }

    /// b1: pages are no longer mapped, whether or not they were.
    pub(super) fn pci_iommu_demap(&mut self, handle: u64, tsbid: u64, ttes: u64) -> CallResult {
        let bus = self.bus(handle)?;
        let (place, count) = check_pages(tsbid, ttes)?;
        for at in place..place + count {
            bus.pages.remove(&at);
        }
        Ok(Answer::ok(&[u64::from(count)]))
    }

    /// b2.
    pub(super) fn pci_iommu_getmap(&mut self, handle: u64, tsbid: u64) -> CallResult {
        let bus = self.bus(handle)?;
        check(tsbid < IOMMU_ENTRIES)?;
        let page = bus.pages.get(&(tsbid as u32)).ok_or(HvError::NoMap)?;
        Ok(Answer::ok(&[u64::from(page.attributes), page.ra.0]))
    }

    /// b3: this firmware offers no bypass.
    pub(super) fn pci_iommu_getbypass(&mut self, handle: u64) -> CallResult {
        self.bus(handle)?;
        Err(HvError::NotSupported.into())
    }

    /// b4: there is no device that would answer.
    pub(super) fn pci_config_get(
        &mut self,
        [handle, device, offset, bytes, _]: [u64; 5],
    ) -> CallResult {
        check(device & !DEVICE_BITS == 0 && offset < CONFIG_BYTES)?;
        check_access(offset, bytes, 4)?;
        self.bus(handle)?;
        Ok(Answer::ok(&FAILED))
    }

    /// b5: likewise.
    pub(super) fn pci_config_put(
        &mut self,
        [handle, device, offset, bytes, _]: [u64; 5],
    ) -> CallResult {
        check(device & !DEVICE_BITS == 0 && offset < CONFIG_BYTES)?;
        check_access(offset, bytes, 4)?;
        self.bus(handle)?;
        Ok(Answer::ok(&FAILED[..1]))
    }

    /// b6: likewise.
    pub(super) fn pci_peek(&mut self, handle: u64, ra: u64, bytes: u64) -> CallResult {
        check_access(ra, bytes, 8)?;
        self.bus(handle)?;
        check_io(ra, bytes)?;
        Ok(Answer::ok(&FAILED))
    }

    /// b7: likewise; a configuration read of `device` behind the write would say whether
    /// it arrived.
    pub(super) fn pci_poke(&mut self, [handle, ra, bytes, _, device]: [u64; 5]) -> CallResult {
        check(device & !DEVICE_BITS == 0)?;
        check_access(ra, bytes, 8)?;
        self.bus(handle)?;
        check_io(ra, bytes)?;
        Ok(Answer::ok(&FAILED[..1]))
    }

    /// b8: devices and caches always agree.
    pub(super) fn pci_dma_sync(
        &mut self,
        [handle, ra, bytes, direction, _]: [u64; 5],
    ) -> CallResult {
        check(matches!(direction, 1..=3) && bytes != 0)?;
        self.bus(handle)?;
        self.guest.resolve(Ra(ra), bytes)?;
        Ok(Answer::ok(&[bytes]))
    }

    /// c0: gives a queue memory. It must not be valid, and not in error.
    pub(super) fn pci_msiq_conf(
        &mut self,
        [handle, msiq, base, entries, _]: [u64; 5],
    ) -> CallResult {
        self.bus(handle)?;
        let number = below(msiq, QUEUES)?;
        if !base.is_multiple_of(QUEUE_BYTES) {
            return Err(HvError::BadAlign.into());
        }
        check(entries == QUEUE_RECORDS)?;
        self.guest.resolve(Ra(base), QUEUE_BYTES)?;
        let bus = self.bus(handle)?;
        check(bus.queue(number).state == QueueState::Idle)?;
        bus.set_queue(number, EventQueue { base: Some(Ra(base)), ..EventQueue::default() });
        Ok(Answer::default())
    }

    /// c1 to c8, all but c0: about one queue.
    pub(super) fn pci_msiq(&mut self, call: u64, handle: u64, msiq: u64, value: u64) -> CallResult {
        match call {
            nr::pci_msiq_setvalid | nr::pci_msiq_setstate => check(value <= 1)?,
            nr::pci_msiq_sethead => check(value.is_multiple_of(RECORD_BYTES))?,
            _ => {}
        }
        let bus = self.bus(handle)?;
        let number = below(msiq, QUEUES)?;
        let mut queue = bus.queue(number);
        match (call, value) {
            (nr::pci_msiq_info, _) => {
                let entries = queue.base.map_or(0, |_| QUEUE_RECORDS);
                return Ok(Answer::ok(&[queue.base.unwrap_or_default().0, entries]));
            }
            (nr::pci_msiq_getvalid, _) => {
                return Ok(Answer::ok(&[u64::from(queue.state == QueueState::Active)]));
            }
            (nr::pci_msiq_getstate, _) => {
                return Ok(Answer::ok(&[u64::from(queue.state == QueueState::Error)]));
            }
            (nr::pci_msiq_gethead, _) => return Ok(Answer::ok(&[queue.head])),
            (nr::pci_msiq_gettail, _) => return Ok(Answer::ok(&[0])),
            (nr::pci_msiq_setvalid, valid) => {
                check(valid == 0 || queue.base.is_some())?;
                queue.state = match (queue.state, valid) {
                    (QueueState::Error, _) => QueueState::Error,
                    (_, 0) => QueueState::Idle,
                    _ => QueueState::Active,
                };
            }
            (nr::pci_msiq_setstate, 0) if queue.state == QueueState::Error => {
                queue.state = QueueState::Idle;
            }
            (nr::pci_msiq_setstate, 0) => {}
            (nr::pci_msiq_setstate, _) => queue.state = QueueState::Error,
            _ => {
                check(value < QUEUE_BYTES)?;
                queue.head = value;
            }
        }
        bus.set_queue(number, queue);
        Ok(Answer::default())
    }

    /// c9 to ce: about one MSI.
    pub(super) fn pci_msi(
        &mut self,
        call: u64,
        [handle, msi, value, kind, _]: [u64; 5],
    ) -> CallResult {
        match call {
            nr::pci_msi_setvalid => check(value <= 1)?,
            nr::pci_msi_setmsiq => check(kind <= 1)?,
            _ => {}
        }
        let bus = self.bus(handle)?;
        let number = below(msi, MSIS)?;
        let mut route = bus.msi(number);
        match call {
            nr::pci_msi_getvalid => return Ok(Answer::ok(&[u64::from(route.valid)])),
            nr::pci_msi_getmsiq => return Ok(Answer::ok(&[u64::from(route.queue)])),
            // None was ever delivered.
            nr::pci_msi_getstate => return Ok(Answer::ok(&[0])),
            nr::pci_msi_setstate => check(value == 0)?,
            nr::pci_msi_setvalid => route.valid = value == 1,
            _ => route.queue = below(value, QUEUES)?,
        }
        bus.set_msi(number, route);
        Ok(Answer::default())
    }

    /// d0 to d3: about one message.
    pub(super) fn pci_msg(&mut self, call: u64, handle: u64, code: u64, value: u64) -> CallResult {
        if call == nr::pci_msg_setvalid {
            check(value <= 1)?;
        }
        let bus = self.bus(handle)?;
        let number = message(code)?;
        let Route { valid, queue } = bus.message(number);
        let route = match call {
            nr::pci_msg_getmsiq => return Ok(Answer::ok(&[u64::from(queue)])),
            nr::pci_msg_getvalid => return Ok(Answer::ok(&[u64::from(valid)])),
            nr::pci_msg_setmsiq => Route { queue: below(value, QUEUES)?, valid },
            _ => Route { valid: value == 1, queue },
        };
        bus.set_message(number, route);
        Ok(Answer::default())
    }

    /// 140.
    pub(super) fn n2piu_get_perfreg(&mut self, handle: u64, register: u64) -> CallResult {
        let value = self.bus(handle)?.perf(register).ok_or(HvError::Inval)?;
        Ok(Answer::ok(&[value]))
    }

    /// 141.
    pub(super) fn n2piu_set_perfreg(
        &mut self,
        handle: u64,
        register: u64,
        value: u64,
    ) -> CallResult {
        self.bus(handle)?.set_perf(register, value).ok_or(HvError::Inval)?;
        Ok(Answer::default())
    }
}
