//! Interrupts by cookie: of channel 0, number 0 for sending and 1 for receiving, and of
//! channel 3, numbers 6 and 7.

use crate::case::{Case, Never, bad, good, order};
use hv::testing::{BASE, Lab};
use sun4v::hcall::HvError::{Inval, NoCpu};
use sun4v::hcall::nr;
use sun4v::id::{GuestId, VcpuId};

const HANDLE: u64 = 0x200;
const RX: u64 = 1;
const TX: u64 = 0;
const COOKIE: u64 = 0xffff_ffff_f7ff_ee00;

fn set(lab: &mut Lab, call: u64, ino: u64, value: u64) {
    assert_eq!(lab.call(call, [HANDLE, ino, value, 0, 0]).status, 0);
}

/// Everything but what makes it fire: a queue of device mondos, a receive queue, a cookie
/// and a target.
fn aim(lab: &mut Lab) {
    assert_eq!(lab.call(nr::cpu_qconf, [0x3d, BASE + 0x1000, 8, 0, 0]).status, 0);
    assert_eq!(lab.call(nr::ldc_rx_qconf, [0, BASE + 0x2000, 8, 0, 0]).status, 0);
    set(lab, nr::vintr_setcookie, RX, COOKIE);
    set(lab, nr::vintr_settarget, RX, 0);
}

/// Valid too.
fn valid(lab: &mut Lab) {
    aim(lab);
    set(lab, nr::vintr_setvalid, RX, 1);
}

/// A packet of guest 1 arrives.
fn packet(lab: &mut Lab) {
    lab.caller = (GuestId(1), VcpuId(0));
    assert_eq!(lab.call(nr::ldc_tx_qconf, [0, BASE + 0x2000, 8, 0, 0]).status, 0);
    assert_eq!(lab.call(nr::ldc_tx_set_qtail, [0, 64, 0, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
    lab.caller = (GuestId(0), VcpuId(0));
}

/// What every call of the group refuses.
macro_rules! refuses {
    ($call:literal $(, $value:literal)?) => {
        [
            bad($call, Inval, "a device without cookies", |lab| {
                lab.show($call, &[0x100, 0x11 $(, $value)?])
            }),
            bad($call, Inval, "a handle that no device has", |lab| {
                lab.show($call, &[0x240, RX $(, $value)?])
            }),
            bad($call, Inval, "a number above 511", |lab| {
                lab.show($call, &[HANDLE, 512 $(, $value)?])
            }),
            bad($call, Inval, "a number that no channel has", |lab| {
                lab.show($call, &[HANDLE, 2 $(, $value)?])
            }),
            bad($call, Inval, "of a channel that is the hypervisor's own", |lab| {
                lab.caller.0 = GuestId(1);
                lab.show($call, &[HANDLE, 7 $(, $value)?])
            }),
        ]
    };
}

const LISTS: [[Case; 5]; 8] = [
    refuses!("vintr_getcookie"),
    refuses!("vintr_setcookie", 7),
    refuses!("vintr_getvalid"),
    refuses!("vintr_setvalid", 1),
    refuses!("vintr_getstate"),
    refuses!("vintr_setstate", 0),
    refuses!("vintr_gettarget"),
    refuses!("vintr_settarget", 0),
];

/// What they refuse, one after the other.
pub const REFUSALS: &[Case] = LISTS.as_flattened();

pub const CASES: &[Case] = &[
    good("vintr_getcookie", "as a guest begins", |lab| lab.show("vintr_getcookie", &[HANDLE, RX])),
    good("vintr_getcookie", "as it was set", |lab| {
        set(lab, nr::vintr_setcookie, RX, COOKIE);
        lab.show("vintr_getcookie", &[HANDLE, RX])
    }),
    good("vintr_setcookie", "of receiving, any 64 bits", |lab| {
        lab.show("vintr_setcookie", &[HANDLE, RX, COOKIE])
    }),
    good("vintr_setcookie", "of sending", |lab| lab.show("vintr_setcookie", &[HANDLE, TX, 5])),
    good("vintr_getvalid", "as a guest begins", |lab| lab.show("vintr_getvalid", &[HANDLE, RX])),
    good("vintr_getvalid", "valid", |lab| {
        valid(lab);
        lab.show("vintr_getvalid", &[HANDLE, RX])
    }),
    good("vintr_setvalid", "nothing waits", |lab| {
        aim(lab);
        lab.show("vintr_setvalid", &[HANDLE, RX, 1])
    }),
    good("vintr_setvalid", "a packet waits: it fires, with the cookie", |lab| {
        aim(lab);
        packet(lab);
        lab.show("vintr_setvalid", &[HANDLE, RX, 1])
    }),
    good("vintr_setvalid", "a packet waits that was told: it does not fire", |lab| {
        valid(lab);
        packet(lab);
        lab.show("vintr_setvalid", &[HANDLE, RX, 1])
    }),
    good("vintr_setvalid", "a packet waits, without a target: it stays idle", |lab| {
        assert_eq!(lab.call(nr::ldc_rx_qconf, [0, BASE + 0x2000, 8, 0, 0]).status, 0);
        packet(lab);
        lab.show("vintr_setvalid", &[HANDLE, RX, 1])
    }),
    good("vintr_setvalid", "of sending: never fires, whatever waits", |lab| {
        aim(lab);
        set(lab, nr::vintr_settarget, TX, 0);
        packet(lab);
        lab.show("vintr_setvalid", &[HANDLE, TX, 1])
    }),
    good("vintr_setvalid", "off, while a packet waits", |lab| {
        valid(lab);
        packet(lab);
        lab.show("vintr_setvalid", &[HANDLE, RX, 0])
    }),
    bad("vintr_setvalid", Inval, "neither off nor on", |lab| {
        lab.show("vintr_setvalid", &[HANDLE, RX, 2])
    }),
    good("vintr_getstate", "idle", |lab| lab.show("vintr_getstate", &[HANDLE, RX])),
    good("vintr_getstate", "delivered", |lab| {
        valid(lab);
        packet(lab);
        lab.show("vintr_getstate", &[HANDLE, RX])
    }),
    good("vintr_setstate", "idle while a packet waits: it fires again", |lab| {
        valid(lab);
        packet(lab);
        lab.show("vintr_setstate", &[HANDLE, RX, 0])
    }),
    good("vintr_setstate", "idle when all was taken", |lab| {
        valid(lab);
        packet(lab);
        assert_eq!(lab.call(nr::ldc_rx_set_qhead, [0, 64, 0, 0, 0]).status, 0);
        lab.show("vintr_setstate", &[HANDLE, RX, 0])
    }),
    good("vintr_setstate", "idle while a packet waits, and not valid", |lab| {
        aim(lab);
        packet(lab);
        set(lab, nr::vintr_setstate, RX, 2);
        lab.show("vintr_setstate", &[HANDLE, RX, 0])
    }),
    good("vintr_setstate", "idle after the link changed: that alone does not fire", |lab| {
        valid(lab);
        set(lab, nr::vintr_setstate, RX, 2);
        lab.caller.0 = GuestId(1);
        assert_eq!(lab.call(nr::ldc_rx_qconf, [0, BASE + 0x2000, 8, 0, 0]).status, 0);
        lab.hv.boundary(&mut lab.board);
        lab.caller.0 = GuestId(0);
        lab.show("vintr_setstate", &[HANDLE, RX, 0])
    }),
    good(
        "vintr_setstate",
        "idle while the peer's packet is under way: the boundary rings",
        |lab| {
            valid(lab);
            set(lab, nr::vintr_setstate, RX, 2);
            lab.caller.0 = GuestId(1);
            assert_eq!(lab.call(nr::ldc_tx_qconf, [0, BASE + 0x2000, 8, 0, 0]).status, 0);
            assert_eq!(lab.call(nr::ldc_tx_set_qtail, [0, 64, 0, 0, 0]).status, 0);
            lab.caller.0 = GuestId(0);
            lab.show("vintr_setstate", &[HANDLE, RX, 0])
        },
    ),
    good("vintr_setstate", "received", |lab| {
        valid(lab);
        packet(lab);
        lab.show("vintr_setstate", &[HANDLE, RX, 1])
    }),
    bad("vintr_setstate", Inval, "a state that does not exist", |lab| {
        lab.show("vintr_setstate", &[HANDLE, RX, 3])
    }),
    good("vintr_gettarget", "as a guest begins", |lab| lab.show("vintr_gettarget", &[HANDLE, RX])),
    good("vintr_gettarget", "as it was set", |lab| {
        set(lab, nr::vintr_settarget, TX, 1);
        lab.show("vintr_gettarget", &[HANDLE, TX])
    }),
    good("vintr_settarget", "a CPU, stopped or not", |lab| {
        lab.show("vintr_settarget", &[HANDLE, RX, 1])
    }),
    bad("vintr_settarget", NoCpu, "a CPU that does not exist", |lab| {
        lab.show("vintr_settarget", &[HANDLE, RX, 2])
    }),
    bad("vintr_settarget", NoCpu, "and of a number that no channel has, too", |lab| {
        lab.show("vintr_settarget", &[HANDLE, 2, 64])
    }),
    order("vintr_settarget", Inval, NoCpu, "the handle before the CPU", |lab| {
        lab.show("vintr_settarget", &[0x240, RX, 2])
    }),
    order("vintr_settarget", Inval, NoCpu, "the largest number before the CPU", |lab| {
        lab.show("vintr_settarget", &[HANDLE, 512, 2])
    }),
];

pub const NEVERS: &[Never] = &[];
