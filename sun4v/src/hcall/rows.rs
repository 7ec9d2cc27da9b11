//! The hypercalls that T5120/T5220 firmware has, one row each.
//!
//! **Source.** sun4v hypervisor API; the order in which errors are looked for, and
//! which group and version opens a call, is the OpenSPARC hypervisor's for T2 (`huron`).
//! Calls of other chips (80-84, 100-103, 120, 121, 13 and everything not listed) are
//! EBADTRAP, and so have no row.

use super::HvError;
use super::table::{Group, Row};

macro_rules! rows {
    ($($group:ident $majors:tt . $minor:literal {
        $($nr:literal $name:ident($($arg:ident),*) -> ($($ret:ident),*) [$($error:ident),*];)*
    })*) => {
        /// Every fast-trap call (`ta 0x80`), by group.
        pub const ROWS: &[Row] = &[$($(Row {
            trap: 0x80,
            nr: $nr,
            name: stringify!($name),
            group: Group::$group,
            majors: &$majors,
            minor: $minor,
            args: &[$(stringify!($arg)),*],
            rets: &[$(stringify!($ret)),*],
            errors: &[$(HvError::$error),*],
        },)*)*];

        /// Function numbers of the fast trap, by name.
        #[expect(non_upper_case_globals, reason = "they are written as the rows are")]
        pub mod nr {
            $($(
                #[doc = concat!("`", stringify!($name), "`.")]
                pub const $name: u64 = $nr;
            )*)*
        }
    };
}

rows! {
    Core [1].0 {
        0x00 mach_exit(code) -> () [];
        0x01 mach_desc(buffer, bytes) -> (size) [Inval, BadAlign, NoRaddr];
        0x02 mach_sir() -> () [];
        0x10 cpu_start(vcpu, pc, rtba, argument) -> () [NoCpu, NoRaddr, BadAlign, WouldBlock, Inval];
        0x12 cpu_yield() -> () [];
        0x14 cpu_qconf(queue, base, entries) -> () [Inval, BadAlign, NoRaddr];
        0x15 cpu_qinfo(queue) -> (base, entries) [Inval];
        0x16 cpu_myid() -> (vcpu) [];
        0x17 cpu_state(vcpu) -> (state) [NoCpu];
        0x18 cpu_set_rtba(rtba) -> (previous) [NoRaddr, BadAlign];
        0x19 cpu_get_rtba() -> (rtba) [];
        0x20 mmu_tsb_ctx0(count, descriptors) -> () [Inval, BadAlign, NoRaddr, BadPgsz, BadTsb];
        0x21 mmu_tsb_ctxnon0(count, descriptors) -> () [Inval, BadAlign, NoRaddr, BadPgsz, BadTsb];
        0x22 mmu_demap_page(list, cpus, va, context, flags) -> () [NotSupported, Inval];
        0x23 mmu_demap_ctx(list, cpus, context, flags) -> () [NotSupported, Inval];
        0x24 mmu_demap_all(list, cpus, flags) -> () [NotSupported, Inval];
        0x25 mmu_map_perm_addr(va, context, tte, flags) -> () [Inval, BadPgsz, NoRaddr, TooMany];
        0x26 mmu_fault_area_conf(area) -> (previous) [BadAlign, NoRaddr];
        0x27 mmu_enable(on, resume) -> () [BadAlign, Inval, NoRaddr];
        0x28 mmu_unmap_perm_addr(va, context, flags) -> () [Inval, NoMap];
        0x29 mmu_tsb_ctx0_info(max, buffer) -> (count) [Inval, BadAlign, NoRaddr];
        0x2a mmu_tsb_ctxnon0_info(max, buffer) -> (count) [Inval, BadAlign, NoRaddr];
        0x2b mmu_fault_area_info() -> (area) [];
        0x31 mem_scrub(ra, bytes) -> (done) [Inval, BadAlign, NoRaddr];
        0x32 mem_sync(ra, bytes) -> (done) [Inval, BadAlign, NoRaddr];
        0x42 cpu_mondo_send(count, list, data) -> ()
            [BadAlign, NoRaddr, NoCpu, Inval, CpuError, WouldBlock];
        0x50 tod_get() -> (seconds) [NotSupported];
        0x51 tod_set(seconds) -> () [NotSupported];
        0x60 cons_getchar() -> (character) [WouldBlock];
        0x61 cons_putchar(character) -> () [WouldBlock];
        0x90 ttrace_buf_conf(buffer, entries) -> (used) [BadAlign, Inval, NoRaddr];
        0x91 ttrace_buf_info() -> (buffer, entries) [];
        0x92 ttrace_enable(on) -> (previous) [Inval];
        0x93 ttrace_freeze(on) -> (previous) [Inval];
        0x94 dump_buf_update(buffer, bytes) -> (size) [Inval, BadAlign, NoRaddr];
        0x95 dump_buf_info() -> (buffer, bytes) [];
    }
    Core [1].1 {
        0x05 mach_set_watchdog(timeout) -> (remaining) [Inval];
        0x11 cpu_stop(vcpu) -> () [NoCpu, Inval, WouldBlock];
        0x62 cons_read(buffer, bytes) -> (count) [WouldBlock, NoRaddr];
        0x63 cons_write(buffer, bytes) -> (count) [NoRaddr, WouldBlock];
    }
    Intr [1].0 {
        0xa0 intr_devino2sysino(handle, ino) -> (sysino) [Inval];
        0xa1 intr_getenabled(sysino) -> (enabled) [Inval];
        0xa2 intr_setenabled(sysino, enabled) -> () [Inval];
        0xa3 intr_getstate(sysino) -> (state) [Inval];
        0xa4 intr_setstate(sysino, state) -> () [Inval];
        0xa5 intr_gettarget(sysino) -> (vcpu) [Inval];
        0xa6 intr_settarget(sysino, vcpu) -> () [Inval, NoCpu, CpuError];
    }
    Intr [1, 2].0 {
        0xa7 vintr_getcookie(handle, ino) -> (cookie) [Inval];
        0xa8 vintr_setcookie(handle, ino, cookie) -> () [Inval];
        0xa9 vintr_getvalid(handle, ino) -> (valid) [Inval];
        0xaa vintr_setvalid(handle, ino, valid) -> () [Inval];
        0xab vintr_getstate(handle, ino) -> (state) [Inval];
        0xac vintr_setstate(handle, ino, state) -> () [Inval];
        0xad vintr_gettarget(handle, ino) -> (vcpu) [Inval];
        0xae vintr_settarget(handle, ino, vcpu) -> () [Inval, NoCpu];
    }
    SoftState [1].0 {
        0x70 soft_state_set(state, description) -> () [Inval, BadAlign, NoRaddr];
        0x71 soft_state_get(buffer) -> (state) [BadAlign, NoRaddr];
    }
    Pci [1].0 {
        0xb0 pci_iommu_map(handle, tsbid, ttes, attributes, list) -> (mapped)
            [Inval, BadAlign, NoRaddr];
        0xb1 pci_iommu_demap(handle, tsbid, ttes) -> (demapped) [Inval];
        0xb2 pci_iommu_getmap(handle, tsbid) -> (attributes, ra) [Inval, NoMap];
        0xb3 pci_iommu_getbypass(handle, ra, attributes) -> (address) [Inval, NotSupported];
        0xb4 pci_config_get(handle, device, offset, bytes) -> (failed, data) [Inval, BadAlign];
        0xb5 pci_config_put(handle, device, offset, bytes, data) -> (failed) [Inval, BadAlign];
        0xb6 pci_peek(handle, ra, bytes) -> (failed, data) [Inval, BadAlign, NoRaddr];
        0xb7 pci_poke(handle, ra, bytes, data, device) -> (failed) [Inval, BadAlign, NoRaddr];
        0xb8 pci_dma_sync(handle, ra, bytes, direction) -> (done) [Inval, NoRaddr];
        0xc0 pci_msiq_conf(handle, msiq, base, entries) -> () [Inval, BadAlign, NoRaddr];
        0xc1 pci_msiq_info(handle, msiq) -> (base, entries) [Inval];
        0xc2 pci_msiq_getvalid(handle, msiq) -> (valid) [Inval];
        0xc3 pci_msiq_setvalid(handle, msiq, valid) -> () [Inval];
        0xc4 pci_msiq_getstate(handle, msiq) -> (state) [Inval];
        0xc5 pci_msiq_setstate(handle, msiq, state) -> () [Inval];
        0xc6 pci_msiq_gethead(handle, msiq) -> (head) [Inval];
        0xc7 pci_msiq_sethead(handle, msiq, head) -> () [Inval];
        0xc8 pci_msiq_gettail(handle, msiq) -> (tail) [Inval];
        0xc9 pci_msi_getvalid(handle, msi) -> (valid) [Inval];
        0xca pci_msi_setvalid(handle, msi, valid) -> () [Inval];
        0xcb pci_msi_getmsiq(handle, msi) -> (msiq) [Inval];
        0xcc pci_msi_setmsiq(handle, msi, msiq, kind) -> () [Inval];
        0xcd pci_msi_getstate(handle, msi) -> (state) [Inval];
        0xce pci_msi_setstate(handle, msi, state) -> () [Inval];
        0xd0 pci_msg_getmsiq(handle, message) -> (msiq) [Inval];
        0xd1 pci_msg_setmsiq(handle, message, msiq) -> () [Inval];
        0xd2 pci_msg_getvalid(handle, message) -> (valid) [Inval];
        0xd3 pci_msg_setvalid(handle, message, valid) -> () [Inval];
    }
    Ldc [1].0 {
        0xe0 ldc_tx_qconf(channel, base, entries) -> () [Channel, Inval, BadAlign, NoRaddr];
        0xe1 ldc_tx_qinfo(channel) -> (base, entries) [Channel];
        0xe2 ldc_tx_get_state(channel) -> (head, tail, state) [Channel, Inval];
        0xe3 ldc_tx_set_qtail(channel, tail) -> () [Channel, BadAlign, Inval];
        0xe4 ldc_rx_qconf(channel, base, entries) -> () [Channel, Inval, BadAlign, NoRaddr];
        0xe5 ldc_rx_qinfo(channel) -> (base, entries) [Channel];
        0xe6 ldc_rx_get_state(channel) -> (head, tail, state) [Channel, Inval];
        0xe7 ldc_rx_set_qhead(channel, head) -> () [Channel, BadAlign, Inval];
        0xea ldc_set_map_table(channel, table, entries) -> () [BadAlign, Channel, Inval, NoRaddr];
        0xeb ldc_get_map_table(channel) -> (table, entries) [Channel];
        0xec ldc_copy(channel, direction, cookie, ra, bytes) -> (copied)
            [BadAlign, Inval, Channel, NoRaddr, NoMap, BadPgsz, NoAccess];
        0xed ldc_mapin(channel, cookie) -> (ra, permissions) [Channel, NotSupported];
        0xee ldc_unmap(ra) -> () [NoRaddr];
        0xef ldc_revoke(channel, cookie, revoke) -> () [NotSupported];
    }
    Ncs [1].0 {
        0x110 ncs_request(function, argument, bytes) -> ()
            [BadAlign, NoRaddr, Inval, WouldBlock, Io];
    }
    Ncs [2].0 {
        0x111 ncs_qconf(kind, base, entries) -> (handle)
            [Inval, NoAccess, WouldBlock, BadAlign, NoRaddr];
        0x112 ncs_qinfo(handle) -> (kind, base, entries) [Inval];
        0x113 ncs_gethead(handle) -> (head) [Inval];
        0x114 ncs_gettail(handle) -> (tail) [Inval];
        0x115 ncs_settail(handle, tail) -> () [Inval, NoRaddr];
        0x116 ncs_qhandle_to_devino(handle) -> (ino) [Inval];
        0x117 ncs_sethead_marker(handle, marker) -> () [Inval];
    }
    Rng [1].0 {
        0x130 rng_get_diag_control() -> () [NoAccess, WouldBlock];
        0x131 rng_ctl_read(buffer) -> (state, ready) [BadAlign, NoAccess, NoRaddr, WouldBlock];
        0x132 rng_ctl_write(buffer, state, timeout) -> (delta)
            [BadAlign, NoAccess, NoRaddr, WouldBlock, Io, Inval];
        0x133 rng_data_read_diag(buffer, bytes) -> (delta)
            [BadAlign, NoAccess, Inval, NoRaddr, WouldBlock, Io];
        0x134 rng_data_read(buffer) -> (delta) [BadAlign, NoRaddr, WouldBlock, Io, NoAccess];
    }
    N2Perf [1].0 {
        0x104 niagara2_getperf(register) -> (value) [NoAccess, Inval];
        0x105 niagara2_setperf(register, value) -> () [NoAccess, Inval];
    }
    N2PiuPerf [1].0 {
        0x140 n2piu_get_perfreg(handle, register) -> (value) [Inval];
        0x141 n2piu_set_perfreg(handle, register, value) -> () [Inval];
    }
    N2Niu [1].0 {
        0x142 niu_rx_lp_set(channel, page, ra, bytes) -> () [NoAccess, Inval, BadAlign, NoRaddr];
        0x143 niu_rx_lp_get(channel, page) -> (ra, bytes) [NoAccess, Inval];
        0x144 niu_tx_lp_set(channel, page, ra, bytes) -> () [NoAccess, Inval, BadAlign, NoRaddr];
        0x145 niu_tx_lp_get(channel, page) -> (ra, bytes) [NoAccess, Inval];
    }
    Diag [1].0 {
        0x200 diag_ra2pa(ra) -> (pa) [NoAccess, NoRaddr];
        0x201 diag_hexec(pa) -> () [NoAccess];
    }
}

/// A call that is not made through the fast trap.
const fn other(
    trap: u8,
    nr: u64,
    name: &'static str,
    (args, rets): (&'static [&'static str], &'static [&'static str]),
    errors: &'static [HvError],
) -> Row {
    let (group, majors): (_, &[u16]) =
        if trap == 0xff { (Group::Sun4v, &[]) } else { (Group::Core, &[1]) };
    Row { trap, nr, name, group, majors, minor: 0, args, rets, errors }
}

/// Core traps (`ta 0xff`): open to everybody, always.
pub const CORE_ROWS: &[Row] = &[
    other(
        0xff,
        0,
        "api_set_version",
        (&["group", "major", "minor"], &["minor"]),
        &[HvError::Inval, HvError::NotSupported],
    ),
    other(0xff, 1, "api_putchar", (&["character"], &[]), &[HvError::WouldBlock]),
    other(0xff, 2, "api_exit", (&["code"], &[]), &[]),
    other(0xff, 3, "api_get_version", (&["group"], &["major", "minor"]), &[HvError::Inval]),
];

/// Traps that are a call by themselves; `nr` is their number.
pub const HYPERFAST_ROWS: &[Row] = &[
    other(
        0x83,
        0x83,
        "mmu_map_addr",
        (&["va", "context", "tte", "flags"], &[]),
        &[HvError::Inval, HvError::BadPgsz, HvError::NoRaddr],
    ),
    other(0x84, 0x84, "mmu_unmap_addr", (&["va", "context", "flags"], &[]), &[HvError::Inval]),
    other(
        0x85,
        0x85,
        "ttrace_addentry",
        (&["tag", "f1", "f2", "f3", "f4"], &[]),
        &[HvError::Inval],
    ),
];
