//! Numbers of things, one type each, so that mixing two does not compile.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident($int:ty);)*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(pub $int);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

id! {
    /// A guest of one hypervisor, 0..64. The control domain is guest 0.
    GuestId(u8);
    /// A virtual CPU within its guest, 0..64.
    VcpuId(u8);
    /// A hardware strand of a chassis, 0..64 in a T2, below [`STRANDS`] in any; its core
    /// is `strand / 8`.
    StrandId(u8);
    /// A core of a chassis, 0..8 in a T2, below [`CORES`] in any.
    CoreId(u8);
    /// An LDC endpoint within its guest, 0..256.
    LdcId(u16);
}

/// Strands of a T2; virtual CPUs of a guest, and guests, at most.
pub const T2_STRANDS: usize = 64;
/// The most strands of a chassis: a lab may add a ninth core, which no T2 has, so that
/// a guest has 64 strands and the control domain some too.
pub const STRANDS: usize = 72;
/// The most cores of a chassis.
pub const CORES: usize = STRANDS / 8;

impl StrandId {
    /// The core the strand belongs to.
    #[must_use]
    pub const fn core(self) -> CoreId {
        CoreId(self.0 / 8)
    }
}
