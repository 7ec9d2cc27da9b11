//! Performance registers of the PCI Express bus's unit. Guest 0 has it.

use crate::case::{Case, Never, bad, good};
use sun4v::hcall::HvError::Inval;
use sun4v::id::GuestId;

pub const CASES: &[Case] = &[
    good("n2piu_get_perfreg", "zero to begin with", |lab| lab.show("n2piu_get_perfreg", &[0, 0])),
    good("n2piu_get_perfreg", "a counter keeps its value", |lab| {
        lab.show("n2piu_set_perfreg", &[0, 8, u64::MAX]);
        lab.show("n2piu_get_perfreg", &[0, 8])
    }),
    good("n2piu_get_perfreg", "a control register keeps 16 bits", |lab| {
        lab.show("n2piu_set_perfreg", &[0, 3, u64::MAX]);
        lab.show("n2piu_get_perfreg", &[0, 3])
    }),
    good("n2piu_get_perfreg", "a counter of link errors cannot be written", |lab| {
        lab.show("n2piu_set_perfreg", &[0, 11, u64::MAX]);
        lab.show("n2piu_get_perfreg", &[0, 11])
    }),
    bad("n2piu_get_perfreg", Inval, "no bus", |lab| {
        lab.caller.0 = GuestId(1);
        lab.show("n2piu_get_perfreg", &[0, 0])
    }),
    bad("n2piu_get_perfreg", Inval, "another handle", |lab| {
        lab.show("n2piu_get_perfreg", &[0x80, 0])
    }),
    bad("n2piu_get_perfreg", Inval, "a 13th register", |lab| {
        lab.show("n2piu_get_perfreg", &[0, 12])
    }),
    good("n2piu_set_perfreg", "the widest control register", |lab| {
        lab.show("n2piu_set_perfreg", &[0, 6, u64::MAX])
    }),
    good("n2piu_set_perfreg", "the two highest bits of link errors", |lab| {
        lab.show("n2piu_set_perfreg", &[0, 10, u64::MAX])
    }),
    bad("n2piu_set_perfreg", Inval, "no bus", |lab| {
        lab.caller.0 = GuestId(1);
        lab.show("n2piu_set_perfreg", &[0, 0, 1])
    }),
    bad("n2piu_set_perfreg", Inval, "a 13th register", |lab| {
        lab.show("n2piu_set_perfreg", &[0, u64::MAX, 1])
    }),
];

pub const NEVERS: &[Never] = &[];
