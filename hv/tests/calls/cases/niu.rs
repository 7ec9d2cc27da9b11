//! Logical pages of the network unit. Guest 0 has it.

use crate::case::{Case, Never, bad, good, order};
use hv::testing::{BASE, BYTES};
use sun4v::hcall::HvError::{BadAlign, Inval, NoAccess, NoRaddr};
use sun4v::id::GuestId;

const END: u64 = BASE + BYTES;
/// A page that any size is aligned at.
const PAGE: u64 = BASE + 0x10_0000;

pub const CASES: &[Case] = &[
    good("niu_rx_lp_set", "a page of 64 KB", |lab| {
        lab.show("niu_rx_lp_set", &[15, 1, PAGE, 0x1_0000])
    }),
    good("niu_rx_lp_set", "512 bytes are 4 KB", |lab| {
        lab.show("niu_rx_lp_set", &[0, 0, PAGE + 0xe00, 512])
    }),
    good("niu_rx_lp_set", "no bytes: no page", |lab| {
        lab.show("niu_rx_lp_set", &[0, 0, PAGE, 0x2000]);
        lab.show("niu_rx_lp_set", &[0, 0, 1, 0])
    }),
    bad("niu_rx_lp_set", NoAccess, "no network unit", |lab| {
        lab.caller.0 = GuestId(1);
        lab.show("niu_rx_lp_set", &[0, 0, PAGE, 0x2000])
    }),
    bad("niu_rx_lp_set", Inval, "a 17th channel", |lab| {
        lab.show("niu_rx_lp_set", &[16, 0, PAGE, 0x2000])
    }),
    bad("niu_rx_lp_set", Inval, "a third page", |lab| {
        lab.show("niu_rx_lp_set", &[0, 2, PAGE, 0x2000])
    }),
    bad("niu_rx_lp_set", Inval, "three pages", |lab| {
        lab.show("niu_rx_lp_set", &[0, 0, PAGE, 0x6000])
    }),
    bad("niu_rx_lp_set", BadAlign, "at half its size", |lab| {
        lab.show("niu_rx_lp_set", &[0, 0, PAGE + 0x1000, 0x2000])
    }),
    bad("niu_rx_lp_set", NoRaddr, "behind memory", |lab| {
        lab.show("niu_rx_lp_set", &[0, 0, END, 0x2000])
    }),
    bad("niu_rx_lp_set", NoRaddr, "larger than memory", |lab| {
        lab.show("niu_rx_lp_set", &[0, 0, 0, 1 << 40])
    }),
    order("niu_rx_lp_set", NoAccess, Inval, "the unit is looked at first", |lab| {
        lab.caller.0 = GuestId(1);
        lab.show("niu_rx_lp_set", &[16, 0, PAGE, 0x2000])
    }),
    order("niu_rx_lp_set", Inval, BadAlign, "the size before the alignment", |lab| {
        lab.show("niu_rx_lp_set", &[0, 0, PAGE + 0x1000, 0x6000])
    }),
    order("niu_rx_lp_set", BadAlign, NoRaddr, "the alignment before the range", |lab| {
        lab.show("niu_rx_lp_set", &[0, 0, END + 0x1000, 0x2000])
    }),
    good("niu_rx_lp_get", "as it was set", |lab| {
        lab.show("niu_rx_lp_set", &[3, 1, PAGE, 0x4000]);
        lab.show("niu_rx_lp_get", &[3, 1])
    }),
    good("niu_rx_lp_get", "the other direction is another page", |lab| {
        lab.show("niu_tx_lp_set", &[3, 1, PAGE, 0x4000]);
        lab.show("niu_rx_lp_get", &[3, 1])
    }),
    good("niu_rx_lp_get", "none after a reset of the guest", |lab| {
        lab.show("niu_rx_lp_set", &[3, 1, PAGE, 0x4000]);
        lab.hv.stop(GuestId(0), &mut lab.board);
        lab.show("niu_rx_lp_get", &[3, 1])
    }),
    bad("niu_rx_lp_get", NoAccess, "no network unit", |lab| {
        lab.caller.0 = GuestId(1);
        lab.show("niu_rx_lp_get", &[0, 0])
    }),
    bad("niu_rx_lp_get", Inval, "a 17th channel", |lab| lab.show("niu_rx_lp_get", &[16, 0])),
    bad("niu_rx_lp_get", Inval, "a third page", |lab| lab.show("niu_rx_lp_get", &[0, 2])),
    order("niu_rx_lp_get", NoAccess, Inval, "the unit is looked at first", |lab| {
        lab.caller.0 = GuestId(1);
        lab.show("niu_rx_lp_get", &[0, 2])
    }),
    good("niu_tx_lp_set", "a page of 64 KB", |lab| {
        lab.show("niu_tx_lp_set", &[15, 1, PAGE, 0x1_0000])
    }),
    good("niu_tx_lp_set", "512 bytes are 4 KB", |lab| {
        lab.show("niu_tx_lp_set", &[0, 0, PAGE + 0xe00, 512])
    }),
    good("niu_tx_lp_set", "no bytes: no page", |lab| {
        lab.show("niu_tx_lp_set", &[0, 0, PAGE, 0x2000]);
        lab.show("niu_tx_lp_set", &[0, 0, 1, 0])
    }),
    bad("niu_tx_lp_set", NoAccess, "no network unit", |lab| {
        lab.caller.0 = GuestId(1);
        lab.show("niu_tx_lp_set", &[0, 0, PAGE, 0x2000])
    }),
    bad("niu_tx_lp_set", Inval, "a 17th channel", |lab| {
        lab.show("niu_tx_lp_set", &[16, 0, PAGE, 0x2000])
    }),
    bad("niu_tx_lp_set", Inval, "a third page", |lab| {
        lab.show("niu_tx_lp_set", &[0, 2, PAGE, 0x2000])
    }),
    bad("niu_tx_lp_set", Inval, "three pages", |lab| {
        lab.show("niu_tx_lp_set", &[0, 0, PAGE, 0x6000])
    }),
    bad("niu_tx_lp_set", BadAlign, "at half its size", |lab| {
        lab.show("niu_tx_lp_set", &[0, 0, PAGE + 0x1000, 0x2000])
    }),
    bad("niu_tx_lp_set", NoRaddr, "behind memory", |lab| {
        lab.show("niu_tx_lp_set", &[0, 0, END, 0x2000])
    }),
    bad("niu_tx_lp_set", NoRaddr, "larger than memory", |lab| {
        lab.show("niu_tx_lp_set", &[0, 0, 0, 1 << 40])
    }),
    order("niu_tx_lp_set", NoAccess, Inval, "the unit is looked at first", |lab| {
        lab.caller.0 = GuestId(1);
        lab.show("niu_tx_lp_set", &[16, 0, PAGE, 0x2000])
    }),
    order("niu_tx_lp_set", Inval, BadAlign, "the size before the alignment", |lab| {
        lab.show("niu_tx_lp_set", &[0, 0, PAGE + 0x1000, 0x6000])
    }),
    order("niu_tx_lp_set", BadAlign, NoRaddr, "the alignment before the range", |lab| {
        lab.show("niu_tx_lp_set", &[0, 0, END + 0x1000, 0x2000])
    }),
    good("niu_tx_lp_get", "as it was set", |lab| {
        lab.show("niu_tx_lp_set", &[3, 1, PAGE, 0x4000]);
        lab.show("niu_tx_lp_get", &[3, 1])
    }),
    good("niu_tx_lp_get", "the other direction is another page", |lab| {
        lab.show("niu_rx_lp_set", &[3, 1, PAGE, 0x4000]);
        lab.show("niu_tx_lp_get", &[3, 1])
    }),
    good("niu_tx_lp_get", "none after a reset of the guest", |lab| {
        lab.show("niu_tx_lp_set", &[3, 1, PAGE, 0x4000]);
        lab.hv.stop(GuestId(0), &mut lab.board);
        lab.show("niu_tx_lp_get", &[3, 1])
    }),
    bad("niu_tx_lp_get", NoAccess, "no network unit", |lab| {
        lab.caller.0 = GuestId(1);
        lab.show("niu_tx_lp_get", &[0, 0])
    }),
    bad("niu_tx_lp_get", Inval, "a 17th channel", |lab| lab.show("niu_tx_lp_get", &[16, 0])),
    bad("niu_tx_lp_get", Inval, "a third page", |lab| lab.show("niu_tx_lp_get", &[0, 2])),
    order("niu_tx_lp_get", NoAccess, Inval, "the unit is looked at first", |lab| {
        lab.caller.0 = GuestId(1);
        lab.show("niu_tx_lp_get", &[0, 2])
    }),
];

pub const NEVERS: &[Never] = &[];
