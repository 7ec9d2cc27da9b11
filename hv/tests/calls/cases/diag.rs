//! Diagnosis.

use crate::case::{Case, End, Never, bad, good, never, order};
use hv::testing::{BASE, BYTES, Lab};
use sun4v::hcall::HvError::{NoAccess, NoRaddr};
use sun4v::id::GuestId;

const END: u64 = BASE + BYTES;

/// A guest without privileges calls.
fn other(lab: &mut Lab) {
    lab.caller.0 = GuestId(1);
}

pub const CASES: &[Case] = &[
    good("diag_ra2pa", "of any byte", |lab| lab.show("diag_ra2pa", &[BASE + 0x1235])),
    good("diag_ra2pa", "of the last byte", |lab| lab.show("diag_ra2pa", &[END - 1])),
    bad("diag_ra2pa", NoAccess, "without the privilege", |lab| {
        other(lab);
        lab.show("diag_ra2pa", &[BASE])
    }),
    bad("diag_ra2pa", NoRaddr, "behind memory", |lab| lab.show("diag_ra2pa", &[END])),
    bad("diag_ra2pa", NoRaddr, "an address with more than 40 bits", |lab| {
        lab.show("diag_ra2pa", &[1 << 40 | BASE])
    }),
    order("diag_ra2pa", NoAccess, NoRaddr, "the privilege is looked at first", |lab| {
        other(lab);
        lab.show("diag_ra2pa", &[END])
    }),
    bad("diag_hexec", NoAccess, "without the privilege", |lab| {
        other(lab);
        lab.show("diag_hexec", &[0x1000])
    }),
    bad("diag_hexec", NoAccess, "with it too", |lab| lab.show("diag_hexec", &[0x1000])),
];

pub const NEVERS: &[Never] = &[never(
    "diag_hexec",
    End::Success,
    "this hypervisor is no program of the machine's that could be entered",
)];
