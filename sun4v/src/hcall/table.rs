//! One row a hypercall: number, name, the group and version that opens it, and
//! the names of its arguments and results.
//!
//! **Source.** sun4v hypervisor API; which group and version opens a call on a
//! T5120/T5220 is the OpenSPARC hypervisor's table (`hcall_groups.s`).

/// API groups, numbered as in the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Group {
    /// The architecture itself.
    Sun4v = 0x000,
    /// Basics every guest needs.
    Core = 0x001,
    /// Interrupts.
    Intr = 0x002,
    /// What a guest says about itself.
    SoftState = 0x003,
    /// Logical domain channels.
    Ldc = 0x101,
    /// Crypto units.
    Ncs = 0x103,
}

/// A version that a group may be negotiated at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupVersion {
    /// The group.
    pub group: Group,
    /// Major version.
    pub major: u16,
    /// Highest minor version.
    pub minor: u16,
}

/// What T5120/T5220 firmware offers.
pub const VERSIONS: &[GroupVersion] = &[
    GroupVersion { group: Group::Sun4v, major: 1, minor: 0 },
    GroupVersion { group: Group::Core, major: 1, minor: 1 },
    GroupVersion { group: Group::Intr, major: 1, minor: 0 },
    GroupVersion { group: Group::Intr, major: 2, minor: 0 },
    GroupVersion { group: Group::SoftState, major: 1, minor: 0 },
    GroupVersion { group: Group::Ldc, major: 1, minor: 0 },
    GroupVersion { group: Group::Ncs, major: 2, minor: 0 },
];

impl Group {
    /// The group with this number, if the firmware has it.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        VERSIONS.iter().map(|v| v.group).find(|&group| group as u64 == number)
    }
}

/// A hypercall as data.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Function number, in `%o5`.
    pub nr: u64,
    /// Name, as in the specification without its group's capitals.
    pub name: &'static str,
    /// The group that opens it.
    pub group: Group,
    /// The majors of that group that have it.
    pub majors: &'static [u16],
    /// The lowest minor that has it.
    pub minor: u16,
    /// Names of its arguments, from `%o0`.
    pub args: &'static [&'static str],
    /// Names of its results, from `%o1`.
    pub rets: &'static [&'static str],
}

macro_rules! rows {
    ($($group:ident $majors:tt . $minor:literal {
        $($nr:literal $name:ident($($arg:ident),*) -> ($($ret:ident),*);)*
    })*) => {
        /// Every fast-trap call (`ta 0x80`), by group.
        pub const ROWS: &[Row] = &[$($(Row {
            nr: $nr,
            name: stringify!($name),
            group: Group::$group,
            majors: &$majors,
            minor: $minor,
            args: &[$(stringify!($arg)),*],
            rets: &[$(stringify!($ret)),*],
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
        0x00 mach_exit(code) -> ();
        0x01 mach_desc(buffer, bytes) -> (size);
        0x02 mach_sir() -> ();
        0x10 cpu_start(vcpu, pc, rtba, argument) -> ();
        0x12 cpu_yield() -> ();
        0x14 cpu_qconf(queue, base, entries) -> ();
        0x15 cpu_qinfo(queue) -> (base, entries);
        0x16 cpu_myid() -> (vcpu);
        0x17 cpu_state(vcpu) -> (state);
        0x18 cpu_set_rtba(rtba) -> (previous);
        0x19 cpu_get_rtba() -> (rtba);
        0x20 mmu_tsb_ctx0(count, descriptors) -> ();
        0x21 mmu_tsb_ctxnon0(count, descriptors) -> ();
        0x22 mmu_demap_page(list, cpus, va, context, flags) -> ();
        0x23 mmu_demap_ctx(list, cpus, context, flags) -> ();
        0x24 mmu_demap_all(list, cpus, flags) -> ();
        0x25 mmu_map_perm_addr(va, context, tte, flags) -> ();
        0x26 mmu_fault_area_conf(area) -> (previous);
        0x27 mmu_enable(on, resume) -> ();
        0x28 mmu_unmap_perm_addr(va, context, flags) -> ();
        0x29 mmu_tsb_ctx0_info(max, buffer) -> (count);
        0x2a mmu_tsb_ctxnon0_info(max, buffer) -> (count);
        0x2b mmu_fault_area_info() -> (area);
        0x31 mem_scrub(ra, bytes) -> (done);
        0x32 mem_sync(ra, bytes) -> (done);
        0x42 cpu_mondo_send(count, list, data) -> ();
        0x50 tod_get() -> (seconds);
        0x51 tod_set(seconds) -> ();
        0x60 cons_getchar() -> (character);
        0x61 cons_putchar(character) -> ();
    }
    Core [1].1 {
        0x11 cpu_stop(vcpu) -> ();
        0x62 cons_read(buffer, bytes) -> (count);
        0x63 cons_write(buffer, bytes) -> (count);
    }
    Intr [1].0 {
        0xa0 intr_devino2sysino(handle, ino) -> (sysino);
        0xa1 intr_getenabled(sysino) -> (enabled);
        0xa2 intr_setenabled(sysino, enabled) -> ();
        0xa3 intr_getstate(sysino) -> (state);
        0xa4 intr_setstate(sysino, state) -> ();
        0xa5 intr_gettarget(sysino) -> (vcpu);
        0xa6 intr_settarget(sysino, vcpu) -> ();
    }
    Intr [1, 2].0 {
        0xa7 vintr_getcookie(handle, ino) -> (cookie);
        0xa8 vintr_setcookie(handle, ino, cookie) -> ();
        0xa9 vintr_getvalid(handle, ino) -> (valid);
        0xaa vintr_setvalid(handle, ino, valid) -> ();
        0xab vintr_getstate(handle, ino) -> (state);
        0xac vintr_setstate(handle, ino, state) -> ();
        0xad vintr_gettarget(handle, ino) -> (vcpu);
        0xae vintr_settarget(handle, ino, vcpu) -> ();
    }
    SoftState [1].0 {
        0x70 soft_state_set(state, description) -> ();
        0x71 soft_state_get(buffer) -> (state);
    }
    Ldc [1].0 {
        0xe0 ldc_tx_qconf(channel, base, entries) -> ();
        0xe1 ldc_tx_qinfo(channel) -> (base, entries);
        0xe2 ldc_tx_get_state(channel) -> (head, tail, state);
        0xe3 ldc_tx_set_qtail(channel, tail) -> ();
        0xe4 ldc_rx_qconf(channel, base, entries) -> ();
        0xe5 ldc_rx_qinfo(channel) -> (base, entries);
        0xe6 ldc_rx_get_state(channel) -> (head, tail, state);
        0xe7 ldc_rx_set_qhead(channel, head) -> ();
        0xea ldc_set_map_table(channel, table, entries) -> ();
        0xeb ldc_get_map_table(channel) -> (table, entries);
        0xec ldc_copy(channel, direction, cookie, ra, bytes) -> (copied);
        0xed ldc_mapin(channel, cookie) -> (ra, permissions);
        0xee ldc_unmap(ra) -> ();
        0xef ldc_revoke(channel, cookie, revoke) -> ();
    }
    Ncs [2].0 {
        0x111 ncs_qconf(kind, base, entries) -> (handle);
        0x112 ncs_qinfo(handle) -> (kind, base, entries);
        0x113 ncs_gethead(handle) -> (head);
        0x114 ncs_gettail(handle) -> (tail);
        0x115 ncs_settail(handle, tail) -> ();
        0x116 ncs_qhandle_to_devino(handle) -> (ino);
        0x117 ncs_sethead_marker(handle, marker) -> ();
    }
}

/// The row of a fast-trap call.
#[must_use]
pub fn row(nr: u64) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.nr == nr)
}

#[cfg(test)]
mod test {
    use super::{ROWS, VERSIONS};

    #[test]
    fn numbers_and_names_are_unique_and_every_row_can_be_opened() {
        for (i, a) in ROWS.iter().enumerate() {
            assert!(ROWS[i + 1..].iter().all(|b| a.nr != b.nr && a.name != b.name), "{}", a.name);
            for &major in a.majors {
                assert!(
                    VERSIONS
                        .iter()
                        .any(|v| { v.group == a.group && v.major == major && v.minor >= a.minor }),
                    "{}",
                    a.name
                );
            }
        }
    }
}
