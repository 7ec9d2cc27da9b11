//! The PCI Express bus, with nothing behind it, and its interrupts. Guest 0 has it.

use crate::case::{Case, End, Never, bad, good, never, order};
use hv::VcpuState;
use hv::testing::{BASE, BYTES, Lab, Shown};
use sun4v::hcall::HvError::{BadAlign, CpuError, Inval, NoMap, NoRaddr, NotSupported};
use sun4v::id::{GuestId, VcpuId};

const END: u64 = BASE + BYTES;
/// A list of pages.
const LIST: u64 = BASE + 0x1000;
/// Memory of an event queue.
const QUEUE: u64 = BASE + 0x4000;
/// An address in the bus's I/O space, and the last one.
const IO: u64 = 0xc8_1000_0000;
const IO_LAST: u64 = 0xd0_0000_0000 - 1;
/// Entries of the IOMMU's table.
const ENTRIES: u64 = 0x4_0000;

/// Writes a list of pages.
fn list(lab: &mut Lab, pages: &[u64]) {
    let bytes: Vec<u8> = pages.iter().flat_map(|page| page.to_be_bytes()).collect();
    lab.poke(LIST, &bytes);
}

/// Maps pages 5 and 6.
fn mapped(lab: &mut Lab) -> Shown {
    list(lab, &[BASE + 0x2000, BASE + 0x8000]);
    lab.show("pci_iommu_map", &[0, 5, 2, 3, LIST])
}

/// The same call by a guest that has no bus.
fn elsewhere(lab: &mut Lab, name: &str, args: &[u64]) -> Shown {
    lab.caller.0 = GuestId(1);
    lab.show(name, args)
}

/// Queue 7 has memory.
fn queue(lab: &mut Lab) -> Shown {
    lab.show("pci_msiq_conf", &[0, 7, QUEUE, 128])
}

/// Queue 7 is valid.
fn valid(lab: &mut Lab) -> Shown {
    queue(lab);
    lab.show("pci_msiq_setvalid", &[0, 7, 1])
}

/// Queue 7 is in error.
fn failed(lab: &mut Lab) -> Shown {
    valid(lab);
    lab.show("pci_msiq_setstate", &[0, 7, 1])
}

/// The other virtual CPU is in error.
fn broken(lab: &mut Lab) {
    let Some(mut guest) = lab.hv.take(GuestId(0)) else { return };
    if let Some(vcpu) = guest.vcpus.get_mut(&VcpuId(1)) {
        vcpu.state = VcpuState::Error;
    }
    lab.hv.put(guest);
}

pub const CASES: &[Case] = &[
    good("pci_iommu_map", "two pages", mapped),
    good("pci_iommu_map", "to be written: may be read too", |lab| {
        list(lab, &[BASE]);
        lab.show("pci_iommu_map", &[0, ENTRIES - 1, 1, 2, LIST])
    }),
    good("pci_iommu_map", "up to a page that is not aligned", |lab| {
        list(lab, &[BASE, BASE + 0x1000]);
        lab.show("pci_iommu_map", &[0, 0, 2, 1, LIST])
    }),
    good("pci_iommu_map", "up to a page that is not memory", |lab| {
        list(lab, &[BASE, END, BASE]);
        lab.show("pci_iommu_map", &[0, 0, 3, 1, LIST])
    }),
    bad("pci_iommu_map", Inval, "no bus", |lab| {
        elsewhere(lab, "pci_iommu_map", &[0, 0, 1, 1, LIST])
    }),
    bad("pci_iommu_map", Inval, "another handle", |lab| {
        lab.show("pci_iommu_map", &[0x80, 0, 1, 1, LIST])
    }),
    bad("pci_iommu_map", Inval, "attributes of a later version", |lab| {
        lab.show("pci_iommu_map", &[0, 0, 1, 4, LIST])
    }),
    bad("pci_iommu_map", Inval, "behind the table", |lab| {
        lab.show("pci_iommu_map", &[0, ENTRIES, 1, 1, LIST])
    }),
    bad("pci_iommu_map", Inval, "another table", |lab| {
        lab.show("pci_iommu_map", &[0, 1 << 32, 1, 1, LIST])
    }),
    bad("pci_iommu_map", Inval, "past the end of the table", |lab| {
        lab.show("pci_iommu_map", &[0, ENTRIES - 1, 2, 1, LIST])
    }),
    bad("pci_iommu_map", Inval, "no pages", |lab| lab.show("pci_iommu_map", &[0, 0, 0, 1, LIST])),
    bad("pci_iommu_map", Inval, "fewer than none", |lab| {
        lab.show("pci_iommu_map", &[0, 0, 1 << 63, 1, LIST])
    }),
    bad("pci_iommu_map", BadAlign, "a list at 4 bytes", |lab| {
        lab.show("pci_iommu_map", &[0, 0, 1, 1, LIST + 4])
    }),
    bad("pci_iommu_map", BadAlign, "a first page at 4 KB", |lab| {
        list(lab, &[BASE + 0x1000]);
        lab.show("pci_iommu_map", &[0, 0, 1, 1, LIST])
    }),
    bad("pci_iommu_map", NoRaddr, "a list behind memory", |lab| {
        lab.show("pci_iommu_map", &[0, 0, 2, 1, END - 8])
    }),
    bad("pci_iommu_map", NoRaddr, "a first page behind memory", |lab| {
        list(lab, &[END]);
        lab.show("pci_iommu_map", &[0, 0, 1, 1, LIST])
    }),
    order("pci_iommu_map", Inval, BadAlign, "attributes before the list", |lab| {
        lab.show("pci_iommu_map", &[0, 0, 1, 4, LIST + 4])
    }),
    order("pci_iommu_map", BadAlign, NoRaddr, "the list's alignment before its range", |lab| {
        lab.show("pci_iommu_map", &[0, 0, 1, 1, END + 4])
    }),
    order("pci_iommu_map", BadAlign, Inval, "the list's alignment before the place", |lab| {
        lab.show("pci_iommu_map", &[0, ENTRIES, 1, 1, LIST + 4])
    }),
    order("pci_iommu_map", Inval, NoRaddr, "the place before the list's range", |lab| {
        lab.show("pci_iommu_map", &[0, ENTRIES, 1, 1, END])
    }),
    good("pci_iommu_demap", "mapped and other pages", |lab| {
        mapped(lab);
        lab.show("pci_iommu_demap", &[0, 6, 10])
    }),
    good("pci_iommu_demap", "64 at most", |lab| lab.show("pci_iommu_demap", &[0, 0, 100])),
    bad("pci_iommu_demap", Inval, "no bus", |lab| elsewhere(lab, "pci_iommu_demap", &[0, 0, 1])),
    bad("pci_iommu_demap", Inval, "past the end of the table", |lab| {
        lab.show("pci_iommu_demap", &[0, ENTRIES - 1, 2])
    }),
    bad("pci_iommu_demap", Inval, "no pages", |lab| lab.show("pci_iommu_demap", &[0, 0, 0])),
    good("pci_iommu_getmap", "a mapped page", |lab| {
        mapped(lab);
        lab.show("pci_iommu_getmap", &[0, 6])
    }),
    bad("pci_iommu_getmap", Inval, "no bus", |lab| elsewhere(lab, "pci_iommu_getmap", &[0, 0])),
    bad("pci_iommu_getmap", Inval, "behind the table", |lab| {
        lab.show("pci_iommu_getmap", &[0, ENTRIES])
    }),
    bad("pci_iommu_getmap", NoMap, "a page that was demapped", |lab| {
        mapped(lab);
        lab.show("pci_iommu_demap", &[0, 6, 1]);
        lab.show("pci_iommu_getmap", &[0, 6])
    }),
    bad("pci_iommu_getmap", NoMap, "after a reset of the guest", |lab| {
        mapped(lab);
        lab.hv.stop(GuestId(0), &mut lab.board);
        lab.show("pci_iommu_getmap", &[0, 6])
    }),
    order("pci_iommu_getmap", Inval, NoMap, "the place is looked at first", |lab| {
        lab.show("pci_iommu_getmap", &[0, u64::MAX])
    }),
    bad("pci_iommu_getbypass", Inval, "no bus", |lab| {
        elsewhere(lab, "pci_iommu_getbypass", &[0, BASE, 1])
    }),
    bad("pci_iommu_getbypass", NotSupported, "any page", |lab| {
        lab.show("pci_iommu_getbypass", &[0, BASE, 1])
    }),
    order("pci_iommu_getbypass", Inval, NotSupported, "the bus is looked at first", |lab| {
        lab.show("pci_iommu_getbypass", &[0x40, END, 4])
    }),
    good("pci_config_get", "nobody answers", |lab| {
        lab.show("pci_config_get", &[0, 0x2_0000, 0, 4])
    }),
    good("pci_config_get", "a byte of the last register", |lab| {
        lab.show("pci_config_get", &[0, 0xff_ff00, 4095, 1])
    }),
    bad("pci_config_get", Inval, "no bus", |lab| elsewhere(lab, "pci_config_get", &[0, 0, 0, 4])),
    bad("pci_config_get", Inval, "a device with other bits", |lab| {
        lab.show("pci_config_get", &[0, 0x10, 0, 4])
    }),
    bad("pci_config_get", Inval, "behind configuration space", |lab| {
        lab.show("pci_config_get", &[0, 0, 4096, 4])
    }),
    bad("pci_config_get", Inval, "no bytes", |lab| lab.show("pci_config_get", &[0, 0, 0, 0])),
    bad("pci_config_get", Inval, "three bytes", |lab| lab.show("pci_config_get", &[0, 0, 0, 3])),
    bad("pci_config_get", Inval, "eight bytes", |lab| lab.show("pci_config_get", &[0, 0, 0, 8])),
    bad("pci_config_get", BadAlign, "four bytes at 2", |lab| {
        lab.show("pci_config_get", &[0, 0, 2, 4])
    }),
    order("pci_config_get", Inval, BadAlign, "the device before the alignment", |lab| {
        lab.show("pci_config_get", &[0, 1 << 24, 2, 4])
    }),
    order("pci_config_get", BadAlign, Inval, "the alignment before the bus", |lab| {
        elsewhere(lab, "pci_config_get", &[0, 0, 2, 4])
    }),
    good("pci_config_put", "nobody takes it", |lab| {
        lab.show("pci_config_put", &[0, 0x2_0000, 4, 2, 7])
    }),
    bad("pci_config_put", Inval, "no bus", |lab| {
        elsewhere(lab, "pci_config_put", &[0, 0, 0, 4, 7])
    }),
    bad("pci_config_put", Inval, "a device with other bits", |lab| {
        lab.show("pci_config_put", &[0, 1, 0, 4, 7])
    }),
    bad("pci_config_put", Inval, "behind configuration space", |lab| {
        lab.show("pci_config_put", &[0, 0, 4096, 4, 7])
    }),
    bad("pci_config_put", Inval, "eight bytes", |lab| lab.show("pci_config_put", &[0, 0, 0, 8, 7])),
    bad("pci_config_put", BadAlign, "two bytes at 1", |lab| {
        lab.show("pci_config_put", &[0, 0, 1, 2, 7])
    }),
    order("pci_config_put", Inval, BadAlign, "the device before the alignment", |lab| {
        lab.show("pci_config_put", &[0, 1 << 24, 1, 2, 7])
    }),
    good("pci_peek", "nobody answers", |lab| lab.show("pci_peek", &[0, IO, 8])),
    good("pci_peek", "the last byte of I/O space", |lab| lab.show("pci_peek", &[0, IO_LAST, 1])),
    bad("pci_peek", Inval, "no bus", |lab| elsewhere(lab, "pci_peek", &[0, IO, 8])),
    bad("pci_peek", Inval, "no bytes", |lab| lab.show("pci_peek", &[0, IO, 0])),
    bad("pci_peek", Inval, "16 bytes", |lab| lab.show("pci_peek", &[0, IO, 16])),
    bad("pci_peek", BadAlign, "eight bytes at 4", |lab| lab.show("pci_peek", &[0, IO + 4, 8])),
    bad("pci_peek", NoRaddr, "memory", |lab| lab.show("pci_peek", &[0, BASE, 8])),
    bad("pci_peek", NoRaddr, "in front of I/O space", |lab| lab.show("pci_peek", &[0, IO - 8, 8])),
    bad("pci_peek", NoRaddr, "behind I/O space", |lab| lab.show("pci_peek", &[0, IO_LAST + 1, 1])),
    order("pci_peek", Inval, BadAlign, "the size before the alignment", |lab| {
        lab.show("pci_peek", &[0, IO + 8, 16])
    }),
    order("pci_peek", BadAlign, NoRaddr, "the alignment before the range", |lab| {
        lab.show("pci_peek", &[0, BASE + 4, 8])
    }),
    order("pci_peek", BadAlign, Inval, "the alignment before the bus", |lab| {
        elsewhere(lab, "pci_peek", &[0, IO + 4, 8])
    }),
    good("pci_poke", "nobody takes it", |lab| lab.show("pci_poke", &[0, IO, 4, 7, 0x2_0000])),
    bad("pci_poke", Inval, "no bus", |lab| elsewhere(lab, "pci_poke", &[0, IO, 4, 7, 0])),
    bad("pci_poke", Inval, "a device with other bits", |lab| {
        lab.show("pci_poke", &[0, IO, 4, 7, 1])
    }),
    bad("pci_poke", Inval, "16 bytes", |lab| lab.show("pci_poke", &[0, IO, 16, 7, 0])),
    bad("pci_poke", BadAlign, "four bytes at 2", |lab| lab.show("pci_poke", &[0, IO + 2, 4, 7, 0])),
    bad("pci_poke", NoRaddr, "memory", |lab| lab.show("pci_poke", &[0, BASE, 4, 7, 0])),
    order("pci_poke", Inval, BadAlign, "the device before the alignment", |lab| {
        lab.show("pci_poke", &[0, IO + 2, 4, 7, 1])
    }),
    order("pci_poke", BadAlign, NoRaddr, "the alignment before the range", |lab| {
        lab.show("pci_poke", &[0, BASE + 2, 4, 7, 0])
    }),
    good("pci_dma_sync", "for the device", |lab| lab.show("pci_dma_sync", &[0, BASE, 0x3000, 1])),
    good("pci_dma_sync", "both ways", |lab| lab.show("pci_dma_sync", &[0, BASE + 1, 1, 3])),
    bad("pci_dma_sync", Inval, "no bus", |lab| elsewhere(lab, "pci_dma_sync", &[0, BASE, 64, 1])),
    bad("pci_dma_sync", Inval, "no direction", |lab| lab.show("pci_dma_sync", &[0, BASE, 64, 0])),
    bad("pci_dma_sync", Inval, "another direction", |lab| {
        lab.show("pci_dma_sync", &[0, BASE, 64, 4])
    }),
    bad("pci_dma_sync", Inval, "no bytes", |lab| lab.show("pci_dma_sync", &[0, BASE, 0, 1])),
    bad("pci_dma_sync", NoRaddr, "past the end of memory", |lab| {
        lab.show("pci_dma_sync", &[0, END - 64, 128, 1])
    }),
    order("pci_dma_sync", Inval, NoRaddr, "the direction before the range", |lab| {
        lab.show("pci_dma_sync", &[0, END, 64, 4])
    }),
    good("pci_msiq_conf", "memory for a queue", queue),
    good("pci_msiq_conf", "again: the head is zero", |lab| {
        queue(lab);
        lab.show("pci_msiq_sethead", &[0, 7, 64]);
        lab.show("pci_msiq_conf", &[0, 7, QUEUE + 0x2000, 128])
    }),
    bad("pci_msiq_conf", Inval, "no bus", |lab| {
        elsewhere(lab, "pci_msiq_conf", &[0, 7, QUEUE, 128])
    }),
    bad("pci_msiq_conf", Inval, "a 37th queue", |lab| {
        lab.show("pci_msiq_conf", &[0, 36, QUEUE, 128])
    }),
    bad("pci_msiq_conf", Inval, "64 entries", |lab| lab.show("pci_msiq_conf", &[0, 7, QUEUE, 64])),
    bad("pci_msiq_conf", Inval, "a queue that is valid", |lab| {
        valid(lab);
        queue(lab)
    }),
    bad("pci_msiq_conf", Inval, "a queue in error", |lab| {
        failed(lab);
        queue(lab)
    }),
    bad("pci_msiq_conf", BadAlign, "memory at 4 KB", |lab| {
        lab.show("pci_msiq_conf", &[0, 7, QUEUE + 0x1000, 128])
    }),
    bad("pci_msiq_conf", NoRaddr, "memory that is not there", |lab| {
        lab.show("pci_msiq_conf", &[0, 7, END, 128])
    }),
    order("pci_msiq_conf", Inval, BadAlign, "the number before the alignment", |lab| {
        lab.show("pci_msiq_conf", &[0, 36, QUEUE + 64, 128])
    }),
    order("pci_msiq_conf", BadAlign, NoRaddr, "the alignment before the range", |lab| {
        lab.show("pci_msiq_conf", &[0, 7, END + 64, 128])
    }),
    order("pci_msiq_conf", BadAlign, Inval, "the alignment before the entries", |lab| {
        lab.show("pci_msiq_conf", &[0, 7, QUEUE + 64, 127])
    }),
    order("pci_msiq_conf", Inval, NoRaddr, "the entries before the range", |lab| {
        lab.show("pci_msiq_conf", &[0, 7, END, 127])
    }),
    order("pci_msiq_conf", NoRaddr, Inval, "the range before the state", |lab| {
        valid(lab);
        lab.show("pci_msiq_conf", &[0, 7, END, 128])
    }),
    good("pci_msiq_info", "a queue with memory", |lab| {
        queue(lab);
        lab.show("pci_msiq_info", &[0, 7])
    }),
    good("pci_msiq_info", "one without", |lab| lab.show("pci_msiq_info", &[0, 35])),
    bad("pci_msiq_info", Inval, "no bus", |lab| elsewhere(lab, "pci_msiq_info", &[0, 7])),
    bad("pci_msiq_info", Inval, "a 37th queue", |lab| lab.show("pci_msiq_info", &[0, 36])),
    good("pci_msiq_getvalid", "a valid queue", |lab| {
        valid(lab);
        lab.show("pci_msiq_getvalid", &[0, 7])
    }),
    good("pci_msiq_getvalid", "one in error is not", |lab| {
        failed(lab);
        lab.show("pci_msiq_getvalid", &[0, 7])
    }),
    bad("pci_msiq_getvalid", Inval, "no bus", |lab| elsewhere(lab, "pci_msiq_getvalid", &[0, 7])),
    bad("pci_msiq_getvalid", Inval, "a 37th queue", |lab| lab.show("pci_msiq_getvalid", &[0, 36])),
    good("pci_msiq_setvalid", "valid", valid),
    good("pci_msiq_setvalid", "no longer", |lab| {
        valid(lab);
        lab.show("pci_msiq_setvalid", &[0, 7, 0])
    }),
    good("pci_msiq_setvalid", "a queue in error stays in error", |lab| {
        failed(lab);
        lab.show("pci_msiq_setvalid", &[0, 7, 1])
    }),
    bad("pci_msiq_setvalid", Inval, "no bus", |lab| {
        elsewhere(lab, "pci_msiq_setvalid", &[0, 7, 0])
    }),
    bad("pci_msiq_setvalid", Inval, "a value that is none", |lab| {
        queue(lab);
        lab.show("pci_msiq_setvalid", &[0, 7, 2])
    }),
    bad("pci_msiq_setvalid", Inval, "a 37th queue", |lab| {
        lab.show("pci_msiq_setvalid", &[0, 36, 0])
    }),
    bad("pci_msiq_setvalid", Inval, "a queue without memory", |lab| {
        lab.show("pci_msiq_setvalid", &[0, 7, 1])
    }),
    good("pci_msiq_getstate", "idle", |lab| {
        valid(lab);
        lab.show("pci_msiq_getstate", &[0, 7])
    }),
    good("pci_msiq_getstate", "in error", |lab| {
        failed(lab);
        lab.show("pci_msiq_getstate", &[0, 7])
    }),
    bad("pci_msiq_getstate", Inval, "no bus", |lab| elsewhere(lab, "pci_msiq_getstate", &[0, 7])),
    bad("pci_msiq_getstate", Inval, "a 37th queue", |lab| lab.show("pci_msiq_getstate", &[0, 36])),
    good("pci_msiq_setstate", "in error", failed),
    good("pci_msiq_setstate", "out of error: not valid", |lab| {
        failed(lab);
        lab.show("pci_msiq_setstate", &[0, 7, 0])
    }),
    good("pci_msiq_setstate", "idle: a valid queue stays valid", |lab| {
        valid(lab);
        lab.show("pci_msiq_setstate", &[0, 7, 0])
    }),
    bad("pci_msiq_setstate", Inval, "no bus", |lab| {
        elsewhere(lab, "pci_msiq_setstate", &[0, 7, 0])
    }),
    bad("pci_msiq_setstate", Inval, "a state that is none", |lab| {
        lab.show("pci_msiq_setstate", &[0, 7, 2])
    }),
    bad("pci_msiq_setstate", Inval, "a 37th queue", |lab| {
        lab.show("pci_msiq_setstate", &[0, 36, 0])
    }),
    good("pci_msiq_gethead", "as it was set", |lab| {
        queue(lab);
        lab.show("pci_msiq_sethead", &[0, 7, 0x1fc0]);
        lab.show("pci_msiq_gethead", &[0, 7])
    }),
    bad("pci_msiq_gethead", Inval, "no bus", |lab| elsewhere(lab, "pci_msiq_gethead", &[0, 7])),
    bad("pci_msiq_gethead", Inval, "a 37th queue", |lab| lab.show("pci_msiq_gethead", &[0, 36])),
    good("pci_msiq_sethead", "a record further", |lab| {
        queue(lab);
        lab.show("pci_msiq_sethead", &[0, 7, 64])
    }),
    bad("pci_msiq_sethead", Inval, "no bus", |lab| elsewhere(lab, "pci_msiq_sethead", &[0, 7, 64])),
    bad("pci_msiq_sethead", Inval, "between records", |lab| {
        lab.show("pci_msiq_sethead", &[0, 7, 32])
    }),
    bad("pci_msiq_sethead", Inval, "behind the queue", |lab| {
        lab.show("pci_msiq_sethead", &[0, 7, 0x2000])
    }),
    bad("pci_msiq_sethead", Inval, "a 37th queue", |lab| lab.show("pci_msiq_sethead", &[0, 36, 0])),
    good("pci_msiq_gettail", "nothing ever arrives", |lab| {
        valid(lab);
        lab.show("pci_msiq_gettail", &[0, 7])
    }),
    bad("pci_msiq_gettail", Inval, "no bus", |lab| elsewhere(lab, "pci_msiq_gettail", &[0, 7])),
    bad("pci_msiq_gettail", Inval, "a 37th queue", |lab| lab.show("pci_msiq_gettail", &[0, 36])),
    good("pci_msi_getvalid", "as it was set", |lab| {
        lab.show("pci_msi_setvalid", &[0, 255, 1]);
        lab.show("pci_msi_getvalid", &[0, 255])
    }),
    bad("pci_msi_getvalid", Inval, "no bus", |lab| elsewhere(lab, "pci_msi_getvalid", &[0, 0])),
    bad("pci_msi_getvalid", Inval, "a 257th MSI", |lab| lab.show("pci_msi_getvalid", &[0, 256])),
    good("pci_msi_setvalid", "valid", |lab| lab.show("pci_msi_setvalid", &[0, 3, 1])),
    good("pci_msi_setvalid", "no longer: its queue stays", |lab| {
        lab.show("pci_msi_setmsiq", &[0, 3, 7, 0]);
        lab.show("pci_msi_setvalid", &[0, 3, 1]);
        lab.show("pci_msi_setvalid", &[0, 3, 0])
    }),
    bad("pci_msi_setvalid", Inval, "no bus", |lab| elsewhere(lab, "pci_msi_setvalid", &[0, 3, 1])),
    bad("pci_msi_setvalid", Inval, "a value that is none", |lab| {
        lab.show("pci_msi_setvalid", &[0, 3, 2])
    }),
    bad("pci_msi_setvalid", Inval, "a 257th MSI", |lab| lab.show("pci_msi_setvalid", &[0, 256, 1])),
    good("pci_msi_getmsiq", "as it was set", |lab| {
        lab.show("pci_msi_setmsiq", &[0, 3, 35, 1]);
        lab.show("pci_msi_getmsiq", &[0, 3])
    }),
    good("pci_msi_getmsiq", "queue 0 to begin with", |lab| lab.show("pci_msi_getmsiq", &[0, 3])),
    bad("pci_msi_getmsiq", Inval, "no bus", |lab| elsewhere(lab, "pci_msi_getmsiq", &[0, 3])),
    bad("pci_msi_getmsiq", Inval, "a 257th MSI", |lab| lab.show("pci_msi_getmsiq", &[0, 256])),
    good("pci_msi_setmsiq", "a queue without memory will do", |lab| {
        lab.show("pci_msi_setmsiq", &[0, 3, 35, 0])
    }),
    bad("pci_msi_setmsiq", Inval, "no bus", |lab| elsewhere(lab, "pci_msi_setmsiq", &[0, 3, 7, 0])),
    bad("pci_msi_setmsiq", Inval, "a kind that is none", |lab| {
        lab.show("pci_msi_setmsiq", &[0, 3, 7, 2])
    }),
    bad("pci_msi_setmsiq", Inval, "a 37th queue", |lab| {
        lab.show("pci_msi_setmsiq", &[0, 3, 36, 0])
    }),
    bad("pci_msi_setmsiq", Inval, "a 257th MSI", |lab| {
        lab.show("pci_msi_setmsiq", &[0, 256, 7, 0])
    }),
    good("pci_msi_getstate", "never delivered", |lab| {
        lab.show("pci_msi_setvalid", &[0, 3, 1]);
        lab.show("pci_msi_getstate", &[0, 3])
    }),
    bad("pci_msi_getstate", Inval, "no bus", |lab| elsewhere(lab, "pci_msi_getstate", &[0, 3])),
    bad("pci_msi_getstate", Inval, "a 257th MSI", |lab| lab.show("pci_msi_getstate", &[0, 256])),
    good("pci_msi_setstate", "idle, as it is", |lab| lab.show("pci_msi_setstate", &[0, 3, 0])),
    bad("pci_msi_setstate", Inval, "no bus", |lab| elsewhere(lab, "pci_msi_setstate", &[0, 3, 0])),
    bad("pci_msi_setstate", Inval, "delivered", |lab| lab.show("pci_msi_setstate", &[0, 3, 1])),
    bad("pci_msi_setstate", Inval, "a 257th MSI", |lab| lab.show("pci_msi_setstate", &[0, 256, 0])),
    good("pci_msg_getmsiq", "as it was set", |lab| {
        lab.show("pci_msg_setmsiq", &[0, 0x33, 9]);
        lab.show("pci_msg_getmsiq", &[0, 0x33])
    }),
    bad("pci_msg_getmsiq", Inval, "no bus", |lab| elsewhere(lab, "pci_msg_getmsiq", &[0, 0x33])),
    bad("pci_msg_getmsiq", Inval, "no such message", |lab| lab.show("pci_msg_getmsiq", &[0, 0x32])),
    good("pci_msg_setmsiq", "fatal errors", |lab| lab.show("pci_msg_setmsiq", &[0, 0x33, 9])),
    good("pci_msg_setmsiq", "power management events", |lab| {
        lab.show("pci_msg_setmsiq", &[0, 0x18, 35])
    }),
    bad("pci_msg_setmsiq", Inval, "no bus", |lab| elsewhere(lab, "pci_msg_setmsiq", &[0, 0x33, 9])),
    bad("pci_msg_setmsiq", Inval, "no such message", |lab| lab.show("pci_msg_setmsiq", &[0, 0, 9])),
    bad("pci_msg_setmsiq", Inval, "a 37th queue", |lab| {
        lab.show("pci_msg_setmsiq", &[0, 0x33, 36])
    }),
    good("pci_msg_getvalid", "as it was set", |lab| {
        lab.show("pci_msg_setvalid", &[0, 0x31, 1]);
        lab.show("pci_msg_getvalid", &[0, 0x31])
    }),
    good("pci_msg_getvalid", "invalid to begin with", |lab| {
        lab.show("pci_msg_getvalid", &[0, 0x1b])
    }),
    bad("pci_msg_getvalid", Inval, "no bus", |lab| elsewhere(lab, "pci_msg_getvalid", &[0, 0x31])),
    bad("pci_msg_getvalid", Inval, "no such message", |lab| {
        lab.show("pci_msg_getvalid", &[0, 0x131])
    }),
    good("pci_msg_setvalid", "correctable errors", |lab| {
        lab.show("pci_msg_setvalid", &[0, 0x30, 1])
    }),
    bad("pci_msg_setvalid", Inval, "no bus", |lab| {
        elsewhere(lab, "pci_msg_setvalid", &[0, 0x30, 1])
    }),
    bad("pci_msg_setvalid", Inval, "a value that is none", |lab| {
        lab.show("pci_msg_setvalid", &[0, 0x30, 2])
    }),
    bad("pci_msg_setvalid", Inval, "no such message", |lab| {
        lab.show("pci_msg_setvalid", &[0, 0x19, 1])
    }),
    // Interrupts of the bus (handle 0) and of the network unit (handle 0x80).
    good("intr_devino2sysino", "a line of the bus", |lab| lab.show("intr_devino2sysino", &[0, 20])),
    good("intr_devino2sysino", "a number that the bus lacks, up to 64", |lab| {
        lab.show("intr_devino2sysino", &[0, 64])
    }),
    good("intr_devino2sysino", "a channel of the network unit", |lab| {
        lab.show("intr_devino2sysino", &[0x80, 19])
    }),
    bad("intr_devino2sysino", Inval, "a 66th of the bus", |lab| {
        lab.show("intr_devino2sysino", &[0, 65])
    }),
    bad("intr_devino2sysino", Inval, "the bus of another guest", |lab| {
        elsewhere(lab, "intr_devino2sysino", &[0, 20])
    }),
    good("intr_getenabled", "of a queue of the bus", |lab| {
        lab.show("intr_setenabled", &[24, 1]);
        lab.show("intr_getenabled", &[24])
    }),
    bad("intr_getenabled", Inval, "a number that the bus lacks", |lab| {
        lab.show("intr_getenabled", &[19])
    }),
    good("intr_setenabled", "of the bus's errors: nothing is sent", |lab| {
        lab.show("intr_settarget", &[63, 1]);
        lab.show("intr_setenabled", &[63, 1])
    }),
    good("intr_setenabled", "of the network unit", |lab| lab.show("intr_setenabled", &[0x90, 1])),
    good("intr_getstate", "of the bus: idle", |lab| lab.show("intr_getstate", &[62])),
    good("intr_setstate", "of the bus", |lab| lab.show("intr_setstate", &[62, 2])),
    bad("intr_setstate", Inval, "of the bus, one that is none", |lab| {
        lab.show("intr_setstate", &[62, 3])
    }),
    good("intr_gettarget", "of the bus", |lab| {
        lab.show("intr_settarget", &[23, 1]);
        lab.show("intr_gettarget", &[23])
    }),
    good("intr_settarget", "of the network unit", |lab| lab.show("intr_settarget", &[0xb3, 1])),
    bad("intr_settarget", CpuError, "of the bus, to a virtual CPU in error", |lab| {
        broken(lab);
        lab.show("intr_settarget", &[20, 1])
    }),
];

pub const NEVERS: &[Never] = &[
    never("pci_iommu_getbypass", End::Success, "this firmware has no bypass"),
    never(
        "intr_settarget",
        End::Order(sun4v::hcall::HvError::NoCpu, CpuError),
        "a virtual CPU that does not exist is in no state",
    ),
];
