//! Core traps, which are open to everybody, and versions.

use crate::case::{Case, Never, bad, good, order};
use hv::testing::{BASE, Lab};
use sun4v::hcall::HvError::{Inval, NotSupported, WouldBlock};
use sun4v::hcall::nr;
use sun4v::id::GuestId;

/// Groups.
const SUN4V: u64 = 0;
const CORE: u64 = 1;
const INTR: u64 = 2;
const NCS: u64 = 0x103;
const NIAGARA: u64 = 0x200;

/// Fills the console of a guest whose concentrator does not read, and calls from there.
fn fill(lab: &mut Lab) {
    assert_eq!(lab.call(nr::ldc_rx_qconf, [3, BASE + 0x2000, 2, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
    lab.caller.0 = GuestId(1);
    for _ in 0..2 {
        let full = (0..1 << 16).any(|_| lab.core(1, [u64::from(b'x'), 0, 0, 0, 0]).status != 0);
        assert!(full);
        lab.hv.boundary(&mut lab.board);
    }
}

pub const CASES: &[Case] = &[
    good("api_set_version", "a higher minor becomes the highest there is", |lab| {
        lab.core(0, [CORE, 0, 0, 0, 0]);
        lab.show("api_set_version", &[CORE, 1, 6])
    }),
    good("api_set_version", "a lower minor closes the calls that it lacks", |lab| {
        lab.show("api_set_version", &[CORE, 1, 0])
    }),
    good("api_set_version", "another major in place of one", |lab| {
        lab.show("api_set_version", &[INTR, 2, 0])
    }),
    good("api_set_version", "major 0 closes a group", |lab| {
        lab.show("api_set_version", &[NCS, 0, 5])
    }),
    good("api_set_version", "the same again", |lab| lab.show("api_set_version", &[CORE, 1, 1])),
    good("api_set_version", "the architecture itself: any minor, and it is 0", |lab| {
        lab.show("api_set_version", &[SUN4V, 1, 99])
    }),
    bad("api_set_version", Inval, "a group of another chip", |lab| {
        lab.show("api_set_version", &[NIAGARA, 1, 0])
    }),
    bad("api_set_version", NotSupported, "a major that came later: nothing changes", |lab| {
        lab.show("api_set_version", &[INTR, 3, 0])
    }),
    bad("api_set_version", NotSupported, "another architecture", |lab| {
        lab.show("api_set_version", &[SUN4V, 2, 0])
    }),
    bad("api_set_version", NotSupported, "the architecture cannot be closed", |lab| {
        lab.show("api_set_version", &[SUN4V, 0, 0])
    }),
    order("api_set_version", Inval, NotSupported, "the group is looked at first", |lab| {
        lab.show("api_set_version", &[NIAGARA, 9, 0])
    }),
    good("api_putchar", "a character", |lab| lab.show("api_putchar", &[u64::from(b'!')])),
    good("api_putchar", "also when the group of cons_putchar is closed", |lab| {
        lab.core(0, [CORE, 0, 0, 0, 0]);
        lab.show("api_putchar", &[u64::from(b'!')])
    }),
    bad("api_putchar", WouldBlock, "the other end is slow", |lab| {
        fill(lab);
        lab.show("api_putchar", &[u64::from(b'!')])
    }),
    good("api_exit", "as mach_exit", |lab| lab.show("api_exit", &[7])),
    good("api_get_version", "as it was set", |lab| lab.show("api_get_version", &[CORE])),
    good("api_get_version", "of two majors the one that is open", |lab| {
        lab.show("api_get_version", &[INTR])
    }),
    good("api_get_version", "a group that is closed", |lab| {
        lab.core(0, [CORE, 0, 0, 0, 0]);
        lab.show("api_get_version", &[CORE])
    }),
    bad("api_get_version", Inval, "a group that does not exist", |lab| {
        lab.show("api_get_version", &[NIAGARA])
    }),
];

pub const NEVERS: &[Never] = &[];
