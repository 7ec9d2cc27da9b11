//! What a guest says about itself.

use crate::case::{Case, Never, bad, good, order};
use hv::testing::{BASE, BYTES, Lab};
use sun4v::hcall::HvError::{BadAlign, Inval, NoRaddr};

const END: u64 = BASE + BYTES;
/// Where the text lies.
const TEXT: u64 = BASE + 0x1000;

fn write(lab: &mut Lab) {
    lab.poke(TEXT, b"Solaris running\0");
}

pub const CASES: &[Case] = &[
    good("soft_state_set", "normal, with a text", |lab| {
        write(lab);
        lab.show("soft_state_set", &[1, TEXT])
    }),
    bad("soft_state_set", Inval, "a state that does not exist", |lab| {
        lab.show("soft_state_set", &[3, TEXT])
    }),
    bad("soft_state_set", Inval, "a text without an end", |lab| {
        lab.poke(TEXT, &[b'x'; 32]);
        lab.show("soft_state_set", &[1, TEXT])
    }),
    bad("soft_state_set", BadAlign, "a text at 16 bytes", |lab| {
        lab.show("soft_state_set", &[1, TEXT + 16])
    }),
    bad("soft_state_set", NoRaddr, "a text behind memory", |lab| {
        lab.show("soft_state_set", &[1, END])
    }),
    order("soft_state_set", Inval, BadAlign, "the state is looked at first", |lab| {
        lab.show("soft_state_set", &[0, TEXT + 16])
    }),
    order("soft_state_set", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("soft_state_set", &[2, END + 8])
    }),
    good("soft_state_get", "as it was set", |lab| {
        write(lab);
        lab.show("soft_state_set", &[1, TEXT]);
        lab.show("soft_state_get", &[BASE + 0x2000])
    }),
    good("soft_state_get", "as a guest begins: transition, no text", |lab| {
        lab.show("soft_state_get", &[BASE + 0x2000])
    }),
    bad("soft_state_get", BadAlign, "a buffer at 8 bytes", |lab| {
        lab.show("soft_state_get", &[TEXT + 8])
    }),
    bad("soft_state_get", NoRaddr, "a buffer behind memory", |lab| {
        lab.show("soft_state_get", &[END])
    }),
    order("soft_state_get", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("soft_state_get", &[END + 8])
    }),
];

pub const NEVERS: &[Never] = &[];
