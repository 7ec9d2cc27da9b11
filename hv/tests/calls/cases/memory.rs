//! Memory: zeroed and flushed.

use crate::case::{Case, Never, bad, good, order};
use hv::testing::{BASE, BYTES, Lab};
use sun4v::hcall::HvError::{BadAlign, Inval, NoRaddr};

const END: u64 = BASE + BYTES;
const PLACE: u64 = BASE + 0x2000;

/// Fills the doublewords around the edges of four megabytes.
fn fill(lab: &mut Lab) {
    lab.poke(PLACE - 8, &[0x5a; 24]);
    lab.poke(PLACE + (4 << 20) - 16, &[0x5a; 24]);
}

pub const CASES: &[Case] = &[
    good("mem_scrub", "64 bytes", |lab| {
        fill(lab);
        lab.show("mem_scrub", &[PLACE, 64])
    }),
    good("mem_scrub", "four megabytes of five: call again", |lab| {
        fill(lab);
        lab.show("mem_scrub", &[PLACE, 5 << 20])
    }),
    bad("mem_scrub", Inval, "nothing", |lab| lab.show("mem_scrub", &[PLACE, 0])),
    bad("mem_scrub", BadAlign, "an address at 8 bytes", |lab| {
        lab.show("mem_scrub", &[PLACE + 8, 64])
    }),
    bad("mem_scrub", BadAlign, "a length of 32", |lab| lab.show("mem_scrub", &[PLACE, 32])),
    bad("mem_scrub", NoRaddr, "the last of eight megabytes is behind memory", |lab| {
        fill(lab);
        lab.show("mem_scrub", &[END - (8 << 20) + 64, 8 << 20])
    }),
    bad("mem_scrub", NoRaddr, "a length that would come round", |lab| {
        lab.show("mem_scrub", &[PLACE, 64_u64.wrapping_neg()])
    }),
    order("mem_scrub", Inval, BadAlign, "the length first", |lab| {
        lab.show("mem_scrub", &[PLACE + 8, 0])
    }),
    order("mem_scrub", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("mem_scrub", &[END + 8, 64])
    }),
    good("mem_sync", "a page", |lab| {
        fill(lab);
        lab.show("mem_sync", &[PLACE, 8192])
    }),
    good("mem_sync", "four megabytes of five: call again", |lab| {
        lab.show("mem_sync", &[PLACE, 5 << 20])
    }),
    bad("mem_sync", Inval, "nothing", |lab| lab.show("mem_sync", &[PLACE, 0])),
    bad("mem_sync", BadAlign, "an address at 64 bytes", |lab| {
        lab.show("mem_sync", &[PLACE + 64, 8192])
    }),
    bad("mem_sync", BadAlign, "half a page", |lab| lab.show("mem_sync", &[PLACE, 4096])),
    bad("mem_sync", NoRaddr, "behind memory", |lab| lab.show("mem_sync", &[END, 8192])),
    order("mem_sync", Inval, BadAlign, "the length first", |lab| {
        lab.show("mem_sync", &[PLACE + 64, 0])
    }),
    order("mem_sync", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("mem_sync", &[END + 64, 8192])
    }),
];

pub const NEVERS: &[Never] = &[];
