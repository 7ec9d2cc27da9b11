//! Core traps.

use crate::case::{Case, Never, bad, good, order};
use hv::testing::{BASE, Lab};
use sun4v::hcall::HvError::{Inval, NotSupported, WouldBlock};
use sun4v::hcall::nr;
use sun4v::id::{GuestId, VcpuId};

/// Group numbers.
const SUN4V: u64 = 0;
const CORE: u64 = 1;
const INTR: u64 = 2;

/// Fills guest 1's console, whose concentrator has room for one packet; guest 1 calls.
fn full_console(lab: &mut Lab) {
    assert_eq!(lab.call(nr::ldc_rx_qconf, [3, BASE + 0x4000, 2, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
    lab.caller = (GuestId(1), VcpuId(0));
    while lab.call(nr::cons_write, [BASE + 0x1000, 56, 0, 0, 0]).status == 0 {}
}

pub const CASES: &[Case] = &[
    good("api_set_version", "a minor that is too high is lowered", |lab| {
        lab.show("api_set_version", &[CORE, 1, 6])
    }),
    good("api_set_version", "a lower minor closes the calls of the higher", |lab| {
        let shown = lab.show("api_set_version", &[CORE, 1, 0]);
        assert_eq!(lab.call(nr::cpu_stop, [0; 5]).status, 7);
        shown
    }),
    good("api_set_version", "major 0 closes the group", |lab| {
        let shown = lab.show("api_set_version", &[CORE, 0, 5]);
        assert_eq!(lab.call(nr::cpu_myid, [0; 5]).status, 7);
        shown
    }),
    good("api_set_version", "another major opens other calls", |lab| {
        let shown = lab.show("api_set_version", &[INTR, 2, 0]);
        assert_eq!(lab.call(nr::intr_getstate, [0x111, 0, 0, 0, 0]).status, 7);
        assert_eq!(lab.call(nr::vintr_getstate, [0x200, 1, 0, 0, 0]).status, 0);
        shown
    }),
    good("api_set_version", "the same again", |lab| lab.show("api_set_version", &[CORE, 1, 1])),
    good("api_set_version", "the architecture, whose minor does not count", |lab| {
        lab.show("api_set_version", &[SUN4V, 1, 9])
    }),
    bad("api_set_version", Inval, "a group that T2 does not have", |lab| {
        lab.show("api_set_version", &[0x102, 1, 0])
    }),
    bad("api_set_version", NotSupported, "a major that the group does not have", |lab| {
        lab.show("api_set_version", &[INTR, 3, 0])
    }),
    bad("api_set_version", NotSupported, "another major of the architecture", |lab| {
        lab.show("api_set_version", &[SUN4V, 2, 0])
    }),
    bad("api_set_version", NotSupported, "the architecture cannot be closed", |lab| {
        lab.show("api_set_version", &[SUN4V, 0, 0])
    }),
    order("api_set_version", Inval, NotSupported, "the group before its major", |lab| {
        lab.show("api_set_version", &[0x999, 99, 0])
    }),
    good("api_get_version", "as it was set", |lab| lab.show("api_get_version", &[CORE])),
    good("api_get_version", "nothing was set", |lab| {
        lab.core(0, [CORE, 0, 0, 0, 0]);
        lab.show("api_get_version", &[CORE])
    }),
    good("api_get_version", "the architecture", |lab| lab.show("api_get_version", &[SUN4V])),
    bad("api_get_version", Inval, "a group that T2 does not have", |lab| {
        lab.show("api_get_version", &[0x102])
    }),
    good("api_putchar", "although no group is open", |lab| {
        lab.core(0, [CORE, 0, 0, 0, 0]);
        lab.show("api_putchar", &[0x41])
    }),
    bad("api_putchar", WouldBlock, "a concentrator that does not read", |lab| {
        full_console(lab);
        lab.show("api_putchar", &[0x41])
    }),
    good("api_exit", "as mach_exit", |lab| lab.show("api_exit", &[7])),
];

pub const NEVERS: &[Never] = &[];
