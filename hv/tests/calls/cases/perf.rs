//! Performance registers.

use crate::case::{Case, Never, bad, good, order};
use hv::testing::Lab;
use sun4v::hcall::HvError::{Inval, NoAccess};
use sun4v::hcall::nr;
use sun4v::hvmd::Privileges;
use sun4v::id::GuestId;

/// Instructions of both modes, on the first counter.
const PCR: u64 = 2 << 14 | 0xff << 6 | 6;
/// Hyperprivileged events too.
const HT: u64 = 1 << 3;

/// A guest without privileges calls.
fn other(lab: &mut Lab) {
    lab.caller.0 = GuestId(1);
}

/// The caller may set registers, and may not count what the hypervisor does.
fn without_ht(lab: &mut Lab) {
    let Some(mut guest) = lab.hv.take(GuestId(0)) else { return };
    if let Some(conf) = &mut guest.conf {
        conf.privileges = Privileges { perf_ht: false, ..Privileges::ALL };
    }
    lab.hv.put(guest);
}

pub const CASES: &[Case] = &[
    good("niagara2_getperf", "the strand's own", |lab| {
        lab.call(nr::niagara2_setperf, [0, PCR, 0, 0, 0]);
        lab.show("niagara2_getperf", &[0])
    }),
    good("niagara2_getperf", "a DRAM controller's control register: eight bits", |lab| {
        lab.call(nr::niagara2_setperf, [7, 0x1ff, 0, 0, 0]);
        lab.show("niagara2_getperf", &[7])
    }),
    good("niagara2_getperf", "a DRAM controller's counter: nothing counts", |lab| {
        lab.call(nr::niagara2_setperf, [8, 0x1_0000_01ff, 0, 0, 0]);
        lab.show("niagara2_getperf", &[8])
    }),
    bad("niagara2_getperf", NoAccess, "without the privilege", |lab| {
        other(lab);
        lab.show("niagara2_getperf", &[0])
    }),
    bad("niagara2_getperf", Inval, "behind the last register", |lab| {
        lab.show("niagara2_getperf", &[9])
    }),
    order("niagara2_getperf", NoAccess, Inval, "the privilege is looked at first", |lab| {
        other(lab);
        lab.show("niagara2_getperf", &[u64::MAX])
    }),
    good("niagara2_setperf", "the strand's own", |lab| lab.show("niagara2_setperf", &[0, PCR])),
    good("niagara2_setperf", "with the hypervisor's bit", |lab| {
        lab.show("niagara2_setperf", &[0, PCR | HT])
    }),
    good("niagara2_setperf", "a control register keeps eight bits", |lab| {
        lab.show("niagara2_setperf", &[1, 0xffff])
    }),
    good("niagara2_setperf", "a counter keeps all", |lab| {
        lab.show("niagara2_setperf", &[2, 0xffff])
    }),
    bad("niagara2_setperf", NoAccess, "without the privilege", |lab| {
        other(lab);
        lab.show("niagara2_setperf", &[0, PCR])
    }),
    bad("niagara2_setperf", NoAccess, "the hypervisor's bit takes a privilege of its own", |lab| {
        without_ht(lab);
        lab.show("niagara2_setperf", &[0, PCR | HT])
    }),
    bad("niagara2_setperf", Inval, "behind the last register", |lab| {
        lab.show("niagara2_setperf", &[9, 0])
    }),
    bad("niagara2_setperf", Inval, "the number is looked at before the bit", |lab| {
        without_ht(lab);
        lab.show("niagara2_setperf", &[9, HT])
    }),
    order("niagara2_setperf", NoAccess, Inval, "the privilege is looked at first", |lab| {
        other(lab);
        lab.show("niagara2_setperf", &[9, 0])
    }),
];

pub const NEVERS: &[Never] = &[];
