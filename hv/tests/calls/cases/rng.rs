//! The random number generator.

use crate::case::{Case, End, Never, bad, good, never, order};
use hv::testing::{BASE, BYTES, Lab};
use sun4v::hcall::HvError::{BadAlign, Inval, Io, NoAccess, NoRaddr, WouldBlock};
use sun4v::hcall::nr;
use sun4v::id::GuestId;
use sun4v::time::SimTime;

const END: u64 = BASE + BYTES;
const WORDS: u64 = BASE + 0x4000;
const DATA: u64 = BASE + 0x5000;
/// All noise cells, fed back, 2048 clocks.
const CONTROL: u64 = 2048 << 9 | 2 << 4 | 8 | 7;
/// States.
const UNCONFIGURED: u64 = 0;
const CONFIGURED: u64 = 1;
const HEALTH_CHECK: u64 = 2;
const ERROR: u64 = 3;

/// Ticks of a second.
const SECOND: u64 = 0x4576_46c0;

/// The caller owns it.
fn take(lab: &mut Lab) {
    assert_eq!(lab.call(nr::rng_get_diag_control, [0; 5]).status, 0);
    lab.poke(WORDS, &[CONTROL; 4].map(u64::to_be_bytes).concat());
}

/// And brings it to a state; it is ready after `ticks`.
fn set(lab: &mut Lab, state: u64, ticks: u64) {
    take(lab);
    assert_eq!(lab.call(nr::rng_ctl_write, [WORDS, state, ticks, 0, 0]).status, 0);
}

/// A guest without privileges calls.
fn other(lab: &mut Lab) {
    lab.caller.0 = GuestId(1);
}

pub const CASES: &[Case] = &[
    good("rng_get_diag_control", "it is the caller's", |lab| lab.show("rng_get_diag_control", &[])),
    bad("rng_get_diag_control", NoAccess, "without the privilege", |lab| {
        other(lab);
        lab.show("rng_get_diag_control", &[])
    }),
    good("rng_ctl_read", "at power-on: in error, ready", |lab| lab.show("rng_ctl_read", &[WORDS])),
    good("rng_ctl_read", "the state only", |lab| {
        set(lab, CONFIGURED, SECOND);
        lab.show("rng_ctl_read", &[0])
    }),
    good("rng_ctl_read", "control words, and half a second to go", |lab| {
        set(lab, HEALTH_CHECK, SECOND);
        lab.board.advance(SimTime::ms(500));
        lab.poke(WORDS, &[0; 32]);
        lab.show("rng_ctl_read", &[WORDS])
    }),
    bad("rng_ctl_read", BadAlign, "a buffer at 4 bytes", |lab| {
        lab.show("rng_ctl_read", &[WORDS + 4])
    }),
    bad("rng_ctl_read", NoAccess, "without the privilege", |lab| {
        other(lab);
        lab.show("rng_ctl_read", &[WORDS])
    }),
    bad("rng_ctl_read", NoRaddr, "a buffer over the end of memory", |lab| {
        lab.show("rng_ctl_read", &[END - 24])
    }),
    order("rng_ctl_read", BadAlign, NoAccess, "alignment before the privilege", |lab| {
        other(lab);
        lab.show("rng_ctl_read", &[WORDS + 4])
    }),
    order("rng_ctl_read", NoAccess, NoRaddr, "the privilege before range", |lab| {
        other(lab);
        lab.show("rng_ctl_read", &[END])
    }),
    good("rng_ctl_write", "a health check, ready in 5000 ticks", |lab| {
        take(lab);
        lab.show("rng_ctl_write", &[WORDS, HEALTH_CHECK, 5000])
    }),
    good("rng_ctl_write", "configured; a negative time is none", |lab| {
        take(lab);
        lab.show("rng_ctl_write", &[WORDS, CONFIGURED, u64::MAX])
    }),
    good("rng_ctl_write", "given up, although it is not ready: words and time stay", |lab| {
        set(lab, CONFIGURED, SECOND);
        lab.poke(WORDS, &[0xff; 32]);
        lab.show("rng_ctl_write", &[WORDS, UNCONFIGURED, 1])
    }),
    good("rng_ctl_write", "said to be broken", |lab| {
        set(lab, CONFIGURED, 0);
        lab.show("rng_ctl_write", &[WORDS, ERROR, 0])
    }),
    bad("rng_ctl_write", BadAlign, "a buffer at 4 bytes", |lab| {
        take(lab);
        lab.show("rng_ctl_write", &[WORDS + 4, CONFIGURED, 0])
    }),
    bad("rng_ctl_write", NoAccess, "without the privilege", |lab| {
        other(lab);
        lab.show("rng_ctl_write", &[WORDS, CONFIGURED, 0])
    }),
    bad("rng_ctl_write", NoRaddr, "no buffer", |lab| {
        take(lab);
        lab.show("rng_ctl_write", &[0, CONFIGURED, 0])
    }),
    bad("rng_ctl_write", WouldBlock, "not ready: it says for how long", |lab| {
        set(lab, HEALTH_CHECK, 5000);
        lab.show("rng_ctl_write", &[WORDS, CONFIGURED, 0])
    }),
    bad("rng_ctl_write", Io, "not its owner", |lab| {
        lab.show("rng_ctl_write", &[WORDS, CONFIGURED])
    }),
    bad("rng_ctl_write", Inval, "a state that does not exist", |lab| {
        take(lab);
        lab.show("rng_ctl_write", &[WORDS, 4, 0])
    }),
    bad("rng_ctl_write", Inval, "a control word with a bit too many", |lab| {
        take(lab);
        lab.poke(WORDS + 16, &(CONTROL | 1 << 25).to_be_bytes());
        lab.show("rng_ctl_write", &[WORDS, CONFIGURED, 0])
    }),
    bad("rng_ctl_write", WouldBlock, "not ready is looked at before the control words", |lab| {
        set(lab, HEALTH_CHECK, 5000);
        lab.poke(WORDS, &[0xff; 32]);
        lab.show("rng_ctl_write", &[WORDS, CONFIGURED, 0])
    }),
    order("rng_ctl_write", BadAlign, NoAccess, "alignment before the privilege", |lab| {
        other(lab);
        lab.show("rng_ctl_write", &[WORDS + 4, CONFIGURED, 0])
    }),
    order("rng_ctl_write", NoAccess, NoRaddr, "the privilege before range", |lab| {
        other(lab);
        lab.show("rng_ctl_write", &[END, CONFIGURED, 0])
    }),
    order("rng_ctl_write", NoRaddr, WouldBlock, "range before readiness", |lab| {
        set(lab, HEALTH_CHECK, 5000);
        lab.show("rng_ctl_write", &[END, CONFIGURED, 0])
    }),
    order("rng_ctl_write", Io, Inval, "the owner before the state", |lab| {
        lab.show("rng_ctl_write", &[WORDS, 4, 0])
    }),
    good("rng_data_read_diag", "three doublewords, in a health check", |lab| {
        set(lab, HEALTH_CHECK, 0);
        lab.show("rng_data_read_diag", &[DATA, 24])
    }),
    good("rng_data_read_diag", "without noise, as drivers test it: always the same", |lab| {
        take(lab);
        let words = [0x20, 0x20, 0x20, 38857 << 9 | 0x28];
        lab.poke(WORDS, &words.map(u64::to_be_bytes).concat());
        lab.call(nr::rng_ctl_write, [WORDS, HEALTH_CHECK, 0, 0, 0]);
        lab.show("rng_data_read_diag", &[DATA, 16])
    }),
    good("rng_data_read_diag", "as much as there may be, at power-on: nothing was set up", |lab| {
        take(lab);
        lab.show("rng_data_read_diag", &[DATA, 128 << 10])
    }),
    bad("rng_data_read_diag", BadAlign, "a buffer at 4 bytes", |lab| {
        lab.show("rng_data_read_diag", &[DATA + 4, 8])
    }),
    bad("rng_data_read_diag", BadAlign, "12 bytes", |lab| {
        lab.show("rng_data_read_diag", &[DATA, 12])
    }),
    bad("rng_data_read_diag", NoAccess, "without the privilege", |lab| {
        other(lab);
        lab.show("rng_data_read_diag", &[DATA, 8])
    }),
    bad("rng_data_read_diag", NoAccess, "the privilege before the size's alignment", |lab| {
        other(lab);
        lab.show("rng_data_read_diag", &[DATA, 12])
    }),
    bad("rng_data_read_diag", Inval, "nothing", |lab| lab.show("rng_data_read_diag", &[DATA, 0])),
    bad("rng_data_read_diag", Inval, "more than 128 KB", |lab| {
        lab.show("rng_data_read_diag", &[DATA, (128 << 10) + 8])
    }),
    bad("rng_data_read_diag", NoRaddr, "over the end of memory", |lab| {
        lab.show("rng_data_read_diag", &[END - 8, 16])
    }),
    bad("rng_data_read_diag", WouldBlock, "not ready", |lab| {
        set(lab, HEALTH_CHECK, 5000);
        lab.show("rng_data_read_diag", &[DATA, 8])
    }),
    bad("rng_data_read_diag", Io, "not its owner", |lab| {
        lab.show("rng_data_read_diag", &[DATA, 8])
    }),
    order("rng_data_read_diag", BadAlign, NoAccess, "alignment before the privilege", |lab| {
        other(lab);
        lab.show("rng_data_read_diag", &[DATA + 4, 8])
    }),
    order("rng_data_read_diag", NoAccess, Inval, "the privilege before the size", |lab| {
        other(lab);
        lab.show("rng_data_read_diag", &[DATA, 0])
    }),
    order("rng_data_read_diag", Inval, NoRaddr, "size before range", |lab| {
        lab.show("rng_data_read_diag", &[END, 0])
    }),
    order("rng_data_read_diag", NoRaddr, WouldBlock, "range before readiness", |lab| {
        set(lab, HEALTH_CHECK, 5000);
        lab.show("rng_data_read_diag", &[END, 8])
    }),
    good("rng_data_read", "a doubleword", |lab| {
        set(lab, CONFIGURED, 0);
        lab.show("rng_data_read", &[DATA])
    }),
    good("rng_data_read", "for everybody", |lab| {
        set(lab, CONFIGURED, 0);
        other(lab);
        lab.show("rng_data_read", &[DATA])
    }),
    bad("rng_data_read", BadAlign, "a buffer at 4 bytes", |lab| {
        lab.show("rng_data_read", &[DATA + 4])
    }),
    bad("rng_data_read", NoRaddr, "behind memory", |lab| lab.show("rng_data_read", &[END])),
    bad("rng_data_read", WouldBlock, "not ready: it says for how long", |lab| {
        set(lab, CONFIGURED, 5000);
        lab.show("rng_data_read", &[DATA])
    }),
    bad("rng_data_read", Io, "in a health check", |lab| {
        set(lab, HEALTH_CHECK, 0);
        lab.show("rng_data_read", &[DATA])
    }),
    bad("rng_data_read", Io, "given up", |lab| {
        set(lab, UNCONFIGURED, 0);
        lab.show("rng_data_read", &[DATA])
    }),
    bad("rng_data_read", NoAccess, "at power-on: in error", |lab| {
        lab.show("rng_data_read", &[DATA])
    }),
    bad("rng_data_read", Io, "the state before readiness", |lab| {
        set(lab, HEALTH_CHECK, 5000);
        lab.show("rng_data_read", &[DATA])
    }),
    order("rng_data_read", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("rng_data_read", &[END + 4])
    }),
    order("rng_data_read", NoRaddr, WouldBlock, "range before readiness", |lab| {
        set(lab, CONFIGURED, 5000);
        lab.show("rng_data_read", &[END])
    }),
];

/// Why nobody finds it locked.
const ONE_BY_ONE: &str = "calls are served one by one at the boundary";
/// Why the second of the two is answered.
const READY_LATER: &str = "only a lock would be found before; readiness is looked at later";

pub const NEVERS: &[Never] = &[
    never("rng_get_diag_control", End::Error(WouldBlock), ONE_BY_ONE),
    never("rng_get_diag_control", End::Order(NoAccess, WouldBlock), ONE_BY_ONE),
    never("rng_ctl_read", End::Error(WouldBlock), ONE_BY_ONE),
    never("rng_ctl_read", End::Order(NoRaddr, WouldBlock), ONE_BY_ONE),
    never("rng_ctl_write", End::Order(WouldBlock, Io), READY_LATER),
    never("rng_data_read_diag", End::Order(WouldBlock, Io), READY_LATER),
    never("rng_data_read", End::Order(WouldBlock, Io), READY_LATER),
    never("rng_data_read", End::Order(Io, NoAccess), "two states exclude each other"),
];
