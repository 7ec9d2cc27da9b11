//! Interrupts by sysino: the console of guest 0 is number 0x11 under 0x100.

use crate::case::{Case, Never, bad, good, order};
use hv::testing::{BASE, Lab};
use sun4v::hcall::HvError::{Inval, NoCpu};
use sun4v::hcall::nr;
use sun4v::id::GuestId;

const SYSINO: u64 = 0x111;

/// Everything but what makes it fire: a queue of device mondos, and a target.
fn aim(lab: &mut Lab) {
    assert_eq!(lab.call(nr::cpu_qconf, [0x3d, BASE + 0x1000, 8, 0, 0]).status, 0);
    assert_eq!(lab.call(nr::intr_settarget, [SYSINO, 0, 0, 0, 0]).status, 0);
}

/// Enabled too.
fn enable(lab: &mut Lab) {
    aim(lab);
    assert_eq!(lab.call(nr::intr_setenabled, [SYSINO, 1, 0, 0, 0]).status, 0);
}

/// A character arrives.
fn key(lab: &mut Lab) {
    lab.hv.sp_input(GuestId(0), b"k", &mut lab.board);
}

pub const CASES: &[Case] = &[
    good("intr_devino2sysino", "a console", |lab| lab.show("intr_devino2sysino", &[0x100, 0x11])),
    bad("intr_devino2sysino", Inval, "a number that no device has", |lab| {
        lab.show("intr_devino2sysino", &[0x100, 0x12])
    }),
    bad("intr_devino2sysino", Inval, "a number above 63", |lab| {
        lab.show("intr_devino2sysino", &[0x100, 0x51])
    }),
    bad("intr_devino2sysino", Inval, "a handle that no device has", |lab| {
        lab.show("intr_devino2sysino", &[0x140, 0x11])
    }),
    bad("intr_devino2sysino", Inval, "a handle with low bits", |lab| {
        lab.show("intr_devino2sysino", &[0x101, 0x11])
    }),
    bad("intr_devino2sysino", Inval, "channels have no such numbers", |lab| {
        lab.show("intr_devino2sysino", &[0x200, 1])
    }),
    good("intr_getenabled", "as a guest begins", |lab| lab.show("intr_getenabled", &[SYSINO])),
    good("intr_getenabled", "enabled", |lab| {
        enable(lab);
        lab.show("intr_getenabled", &[SYSINO])
    }),
    bad("intr_getenabled", Inval, "nobody's", |lab| lab.show("intr_getenabled", &[0x112])),
    bad("intr_getenabled", Inval, "one that does not exist", |lab| {
        lab.show("intr_getenabled", &[2048])
    }),
    good("intr_setenabled", "nothing waits", |lab| {
        aim(lab);
        lab.show("intr_setenabled", &[SYSINO, 1])
    }),
    good("intr_setenabled", "a character waits: it fires", |lab| {
        aim(lab);
        key(lab);
        lab.show("intr_setenabled", &[SYSINO, 1])
    }),
    good("intr_setenabled", "a character waits, and was told: it does not", |lab| {
        enable(lab);
        key(lab);
        lab.show("intr_setenabled", &[SYSINO, 1])
    }),
    good("intr_setenabled", "off", |lab| {
        enable(lab);
        lab.show("intr_setenabled", &[SYSINO, 0])
    }),
    bad("intr_setenabled", Inval, "neither off nor on", |lab| {
        lab.show("intr_setenabled", &[SYSINO, 2])
    }),
    bad("intr_setenabled", Inval, "nobody's", |lab| lab.show("intr_setenabled", &[0x10, 1])),
    good("intr_getstate", "idle", |lab| lab.show("intr_getstate", &[SYSINO])),
    good("intr_getstate", "delivered", |lab| {
        enable(lab);
        key(lab);
        lab.show("intr_getstate", &[SYSINO])
    }),
    bad("intr_getstate", Inval, "nobody's", |lab| lab.show("intr_getstate", &[0x112])),
    good("intr_setstate", "idle while a character waits: it fires again", |lab| {
        enable(lab);
        key(lab);
        lab.show("intr_setstate", &[SYSINO, 0])
    }),
    good("intr_setstate", "idle when all was read", |lab| {
        enable(lab);
        key(lab);
        lab.call(nr::cons_getchar, [0; 5]);
        lab.show("intr_setstate", &[SYSINO, 0])
    }),
    good("intr_setstate", "idle while a character waits, and not enabled", |lab| {
        aim(lab);
        key(lab);
        lab.call(nr::intr_setstate, [SYSINO, 2, 0, 0, 0]);
        lab.show("intr_setstate", &[SYSINO, 0])
    }),
    good("intr_setstate", "received: nothing fires until it is idle", |lab| {
        enable(lab);
        lab.call(nr::intr_setstate, [SYSINO, 1, 0, 0, 0]);
        key(lab);
        lab.show("intr_setstate", &[SYSINO, 1])
    }),
    bad("intr_setstate", Inval, "a state that does not exist", |lab| {
        lab.show("intr_setstate", &[SYSINO, 3])
    }),
    bad("intr_setstate", Inval, "nobody's", |lab| lab.show("intr_setstate", &[0x211, 0])),
    good("intr_gettarget", "as a guest begins", |lab| lab.show("intr_gettarget", &[SYSINO])),
    good("intr_gettarget", "as it was set", |lab| {
        lab.call(nr::intr_settarget, [SYSINO, 1, 0, 0, 0]);
        lab.show("intr_gettarget", &[SYSINO])
    }),
    bad("intr_gettarget", Inval, "nobody's", |lab| lab.show("intr_gettarget", &[0])),
    good("intr_settarget", "a CPU, stopped or not", |lab| lab.show("intr_settarget", &[SYSINO, 1])),
    bad("intr_settarget", Inval, "nobody's", |lab| lab.show("intr_settarget", &[0x112, 1])),
    bad("intr_settarget", NoCpu, "a CPU that does not exist", |lab| {
        lab.show("intr_settarget", &[SYSINO, 2])
    }),
    bad("intr_settarget", NoCpu, "a number that no CPU has", |lab| {
        lab.show("intr_settarget", &[SYSINO, 256])
    }),
    order("intr_settarget", Inval, NoCpu, "the interrupt before the CPU", |lab| {
        lab.show("intr_settarget", &[0x112, 2])
    }),
];

pub const NEVERS: &[Never] = &[];
