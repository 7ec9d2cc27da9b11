//! Trap trace and dump buffer.

use crate::case::{Case, Never, bad, good, order};
use hv::testing::{BASE, BYTES, Lab};
use sun4v::hcall::HvError::{BadAlign, Inval, NoRaddr};
use sun4v::hcall::nr;

const END: u64 = BASE + BYTES;
const BUFFER: u64 = BASE + 0x4000;

/// Gives the caller a buffer of so many slots.
fn buffer(lab: &mut Lab, entries: u64) {
    assert_eq!(lab.call(nr::ttrace_buf_conf, [BUFFER, entries, 0, 0, 0]).status, 0);
}

/// And records its calls.
fn recording(lab: &mut Lab, entries: u64) {
    buffer(lab, entries);
    assert_eq!(lab.call(nr::ttrace_enable, [1, 0, 0, 0, 0]).status, 0);
}

/// A record of the caller's own.
fn add(lab: &mut Lab, tag: u64) {
    assert_eq!(lab.number(0x85, 0, [tag, 1, 2, 3, 4]).status, 0);
}

pub const CASES: &[Case] = &[
    good("ttrace_buf_conf", "a header and seven records", |lab| {
        lab.show("ttrace_buf_conf", &[BUFFER, 8])
    }),
    good("ttrace_buf_conf", "any number of slots from two on", |lab| {
        lab.show("ttrace_buf_conf", &[BUFFER + 64, 3])
    }),
    good("ttrace_buf_conf", "another one: recording is off", |lab| {
        recording(lab, 8);
        lab.show("ttrace_buf_conf", &[BUFFER + 0x1000, 4])
    }),
    good("ttrace_buf_conf", "none, wherever it would be", |lab| {
        buffer(lab, 8);
        lab.show("ttrace_buf_conf", &[1, 0])
    }),
    bad("ttrace_buf_conf", BadAlign, "at 32 bytes", |lab| {
        lab.show("ttrace_buf_conf", &[BUFFER + 32, 8])
    }),
    bad("ttrace_buf_conf", BadAlign, "the one before is gone all the same", |lab| {
        recording(lab, 8);
        lab.show("ttrace_buf_conf", &[BUFFER + 32, 8])
    }),
    bad("ttrace_buf_conf", Inval, "one slot: two are the fewest", |lab| {
        lab.show("ttrace_buf_conf", &[BUFFER, 1])
    }),
    bad("ttrace_buf_conf", NoRaddr, "behind memory", |lab| lab.show("ttrace_buf_conf", &[END, 2])),
    bad("ttrace_buf_conf", NoRaddr, "so many that their bytes wrap", |lab| {
        lab.show("ttrace_buf_conf", &[BUFFER, 1 << 58 | 8])
    }),
    order("ttrace_buf_conf", BadAlign, Inval, "alignment before number", |lab| {
        lab.show("ttrace_buf_conf", &[BUFFER + 32, 1])
    }),
    order("ttrace_buf_conf", Inval, NoRaddr, "number before range", |lab| {
        lab.show("ttrace_buf_conf", &[END, 1])
    }),
    good("ttrace_buf_info", "none", |lab| lab.show("ttrace_buf_info", &[])),
    good("ttrace_buf_info", "as it was given", |lab| {
        buffer(lab, 8);
        lab.show("ttrace_buf_info", &[])
    }),
    good("ttrace_buf_info", "a virtual CPU has its own", |lab| {
        buffer(lab, 8);
        lab.caller.1 = sun4v::id::VcpuId(1);
        lab.show("ttrace_buf_info", &[])
    }),
    good("ttrace_enable", "on; it was off", |lab| {
        buffer(lab, 8);
        lab.show("ttrace_enable", &[1])
    }),
    good("ttrace_enable", "off by the call that is the last one recorded", |lab| {
        recording(lab, 8);
        lab.show("ttrace_enable", &[0])
    }),
    good("ttrace_enable", "any number but zero is on", |lab| {
        recording(lab, 8);
        lab.show("ttrace_enable", &[0x55])
    }),
    bad("ttrace_enable", Inval, "no buffer", |lab| lab.show("ttrace_enable", &[1])),
    good("ttrace_freeze", "all of the guest's; recording goes on when they thaw", |lab| {
        recording(lab, 8);
        lab.show("ttrace_freeze", &[1])
    }),
    good("ttrace_freeze", "thawed; this call still comes in while they are frozen", |lab| {
        recording(lab, 8);
        lab.call(nr::ttrace_freeze, [1, 0, 0, 0, 0]);
        lab.show("ttrace_freeze", &[0])
    }),
    bad("ttrace_freeze", Inval, "the caller has no buffer", |lab| lab.show("ttrace_freeze", &[1])),
    good("ttrace_addentry", "a record, though recording is off; 16 bits of the tag", |lab| {
        buffer(lab, 8);
        lab.show("ttrace_addentry", &[0x1_2345, 0xf1, 0xf2, 0xf3, 0xf4])
    }),
    good("ttrace_addentry", "behind the last slot comes slot 1", |lab| {
        buffer(lab, 3);
        add(lab, 1);
        lab.show("ttrace_addentry", &[2, 5, 6, 7, 8])
    }),
    good("ttrace_addentry", "frozen: nothing is written", |lab| {
        buffer(lab, 8);
        lab.call(nr::ttrace_freeze, [1, 0, 0, 0, 0]);
        lab.show("ttrace_addentry", &[1, 2, 3, 4, 5])
    }),
    good("ttrace_addentry", "frozen is looked at before the buffer", |lab| {
        buffer(lab, 8);
        lab.call(nr::ttrace_freeze, [1, 0, 0, 0, 0]);
        lab.call(nr::ttrace_buf_conf, [0; 5]);
        lab.show("ttrace_addentry", &[1, 2, 3, 4, 5])
    }),
    bad("ttrace_addentry", Inval, "no buffer", |lab| lab.show("ttrace_addentry", &[1])),
    good("dump_buf_update", "two pages", |lab| lab.show("dump_buf_update", &[BUFFER, 0x4000])),
    good("dump_buf_update", "none", |lab| {
        lab.call(nr::dump_buf_update, [BUFFER, 0x4000, 0, 0, 0]);
        lab.show("dump_buf_update", &[0, 0])
    }),
    bad("dump_buf_update", Inval, "8192 bytes are the fewest; the old one is gone", |lab| {
        lab.call(nr::dump_buf_update, [BUFFER, 0x4000, 0, 0, 0]);
        lab.show("dump_buf_update", &[BUFFER, 8191])
    }),
    bad("dump_buf_update", BadAlign, "at 32 bytes", |lab| {
        lab.show("dump_buf_update", &[BUFFER + 32, 8192])
    }),
    bad("dump_buf_update", NoRaddr, "over the end of memory", |lab| {
        lab.show("dump_buf_update", &[END - 64, 8192])
    }),
    order("dump_buf_update", Inval, BadAlign, "size before alignment", |lab| {
        lab.show("dump_buf_update", &[BUFFER + 32, 64])
    }),
    order("dump_buf_update", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("dump_buf_update", &[END + 32, 8192])
    }),
    good("dump_buf_info", "none", |lab| lab.show("dump_buf_info", &[])),
    good("dump_buf_info", "as it was given", |lab| {
        lab.call(nr::dump_buf_update, [BUFFER, 0x4000, 0, 0, 0]);
        lab.show("dump_buf_info", &[])
    }),
];

pub const NEVERS: &[Never] = &[];
