//! What a hypercall is, as data: number, name, the group and version that opens it, the
//! names of its arguments and results, and its errors in the order of checking. The rows
//! themselves are in `rows.rs`.
//!
//! **Source.** sun4v hypervisor API; which group and version opens a call on a
//! T5120/T5220 is the OpenSPARC hypervisor's table (`hcall_groups.s`).

use super::HvError;
pub use super::rows::{CORE_ROWS, HYPERFAST_ROWS, ROWS, nr};

/// API groups, numbered as in the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Group {
    /// The architecture itself.
    Sun4v = 0x000,
    /// Basics every guest needs.
    Core = 0x001,
    /// Interrupts.
    Intr = 0x002,
    /// What a guest says about itself.
    SoftState = 0x003,
    /// PCI root complexes.
    Pci = 0x100,
    /// Logical domain channels.
    Ldc = 0x101,
    /// Crypto units.
    Ncs = 0x103,
    /// The random number generator.
    Rng = 0x104,
    /// Performance registers of T2.
    N2Perf = 0x202,
    /// Performance registers of T2's PCI Express unit.
    N2PiuPerf = 0x203,
    /// Logical pages of T2's network unit.
    N2Niu = 0x204,
    /// Diagnosis.
    Diag = 0x300,
}

/// A version that a group may be negotiated at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupVersion {
    /// The group.
    pub group: Group,
    /// Major version.
    pub major: u16,
    /// Highest minor version.
    pub minor: u16,
}

/// What T5120/T5220 firmware offers.
pub const VERSIONS: &[GroupVersion] = &[
    GroupVersion { group: Group::Sun4v, major: 1, minor: 0 },
    GroupVersion { group: Group::Core, major: 1, minor: 1 },
    GroupVersion { group: Group::Intr, major: 1, minor: 0 },
    GroupVersion { group: Group::Intr, major: 2, minor: 0 },
    GroupVersion { group: Group::SoftState, major: 1, minor: 0 },
    GroupVersion { group: Group::Pci, major: 1, minor: 0 },
    GroupVersion { group: Group::Ldc, major: 1, minor: 0 },
    GroupVersion { group: Group::Ncs, major: 1, minor: 0 },
    GroupVersion { group: Group::Ncs, major: 2, minor: 0 },
    GroupVersion { group: Group::Rng, major: 1, minor: 0 },
    GroupVersion { group: Group::N2Perf, major: 1, minor: 0 },
    GroupVersion { group: Group::N2PiuPerf, major: 1, minor: 0 },
    GroupVersion { group: Group::N2Niu, major: 1, minor: 0 },
    GroupVersion { group: Group::Diag, major: 1, minor: 0 },
];

impl Group {
    /// The group with this number, if the firmware has it.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        VERSIONS.iter().map(|v| v.group).find(|&group| group as u64 == number)
    }
}

/// A hypercall as data.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Software trap number: 0x80, the fast trap, but for a few.
    pub trap: u8,
    /// Function number, in `%o5`; the trap's number where there is none.
    pub nr: u64,
    /// Name, as in the specification without its group's capitals.
    pub name: &'static str,
    /// The group that opens it.
    pub group: Group,
    /// The majors of that group that have it.
    pub majors: &'static [u16],
    /// The lowest minor that has it.
    pub minor: u16,
    /// Names of its arguments, from `%o0`.
    pub args: &'static [&'static str],
    /// Names of its results, from `%o1`.
    pub rets: &'static [&'static str],
    /// Its statuses other than EOK, each where it is looked for first.
    pub errors: &'static [HvError],
}

/// Function numbers of the fast trap lie below.
pub const FAST_NUMBERS: usize = 0x202;

/// Place in [`ROWS`], plus one, of each function number.
static PLACES: [u8; FAST_NUMBERS] = {
    let mut places = [0; FAST_NUMBERS];
    let mut at = 0;
    while at < ROWS.len() {
        places[ROWS[at].nr as usize] = at as u8 + 1;
        at += 1;
    }
    places
};

/// The row of a fast-trap call.
#[must_use]
#[inline]
pub fn row(nr: u64) -> Option<&'static Row> {
    let place = *PLACES.get(usize::try_from(nr).ok()?)?;
    ROWS.get(usize::from(place).checked_sub(1)?)
}

/// The row of a call by any trap.
#[must_use]
pub fn row_of(trap: u8, nr: u64) -> Option<&'static Row> {
    match trap {
        0x80 => row(nr),
        0xff => CORE_ROWS.iter().find(|row| row.nr == nr),
        _ => HYPERFAST_ROWS.iter().find(|row| row.trap == trap),
    }
}

/// Every call by any trap.
pub fn all() -> impl Iterator<Item = &'static Row> {
    CORE_ROWS.iter().chain(ROWS).chain(HYPERFAST_ROWS)
}

#[cfg(test)]
mod test {
    use super::{VERSIONS, all, row, row_of};

    #[test]
    fn numbers_and_names_are_unique_and_every_row_can_be_opened() {
        let rows: Vec<_> = all().collect();
        for (i, a) in rows.iter().enumerate() {
            let differs = |b: &&super::Row| (a.trap, a.nr) != (b.trap, b.nr) && a.name != b.name;
            assert!(rows[i + 1..].iter().all(differs), "{}", a.name);
            assert!(std::ptr::eq(row_of(a.trap, a.nr).unwrap(), *a), "{}", a.name);
            for &major in a.majors {
                assert!(
                    VERSIONS
                        .iter()
                        .any(|v| { v.group == a.group && v.major == major && v.minor >= a.minor }),
                    "{}",
                    a.name
                );
            }
        }
        assert!(row(0x13).is_none() && row(0x202).is_none() && row(u64::MAX).is_none());
    }
}
