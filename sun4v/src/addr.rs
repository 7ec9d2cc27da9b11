//! Addresses and page sizes: virtual, real and physical are three types.
//!
//! A guest names memory by virtual address ([`Va`]) when its MMU is on and by
//! real address ([`Ra`], what it believes is physical) when it is off or when it
//! calls the hypervisor. Only the hypervisor and the hardware walk see physical
//! addresses ([`Pa`]); [`RealMap::resolve`] is the one function that turns an
//! `Ra` into a `Pa`.
//!
//! **Source.** UltraSPARC Architecture 2007, chapter 14; sun4v hypervisor API,
//! "real addresses".

use serde::{Deserialize, Serialize};

/// Base-two logarithm of the smallest page, and of the dirty log's granule.
pub const PAGE_SHIFT: u32 = 13;
/// The smallest page, 8 KiB.
pub const PAGE_BYTES: u64 = 1 << PAGE_SHIFT;
/// Real and physical addresses have 40 bits; bit 39 selects I/O space.
pub const REAL_BITS: u32 = 40;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(pub u64);

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:#x})", stringify!($name), self.0)
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
        impl $name {
            /// The address `bytes` further on, modulo 2^64.
            #[must_use]
            pub const fn offset(self, bytes: u64) -> Self {
                Self(self.0.wrapping_add(bytes))
            }
            /// True when the address is a multiple of `bytes`, a power of two.
            #[must_use]
            pub const fn is_aligned(self, bytes: u64) -> bool {
                self.0 & (bytes - 1) == 0
            }
        }
    };
}

address! {
    /// A virtual address.
    Va
}
address! {
    /// A real address as a guest alleges it: nothing is known of it until
    /// [`RealMap::resolve`] has looked at it.
    Ra
}
address! {
    /// A physical address of a chassis.
    Pa
}

/// The page sizes that a T2 has, by the code of a TTE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum PageSize {
    /// 8 KiB.
    K8 = 0,
    /// 64 KiB.
    K64 = 1,
    /// 4 MiB.
    M4 = 3,
    /// 256 MiB.
    M256 = 5,
}

impl PageSize {
    /// The size a TTE's four-bit code names; codes that T2 lacks are `None`.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            0 => Some(Self::K8),
            1 => Some(Self::K64),
            3 => Some(Self::M4),
            5 => Some(Self::M256),
            _ => None,
        }
    }

    /// Base-two logarithm of the size in bytes.
    #[must_use]
    pub const fn shift(self) -> u32 {
        13 + 3 * self as u32
    }

    /// Size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self.shift()
    }
}

/// One stretch of a guest's real memory and where it lies physically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RealRange {
    /// First real address.
    pub ra: Ra,
    /// Its physical address.
    pub pa: Pa,
    /// Bytes, a multiple of 8 KiB.
    pub size: u64,
}

/// A guest's real memory: disjoint ranges in ascending order of real address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RealMap {
    ranges: Vec<RealRange>,
}

impl RealMap {
    /// Builds the map; ranges may come in any order and must not overlap, which
    /// whoever parses a hypervisor MD has checked.
    #[must_use]
    pub fn new(mut ranges: Vec<RealRange>) -> Self {
        ranges.sort();
        Self { ranges }
    }

    /// The ranges, in ascending order of real address.
    #[must_use]
    pub fn ranges(&self) -> &[RealRange] {
        &self.ranges
    }

    /// Bytes of real memory.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.size).sum()
    }

    /// The physical address of `[ra, ra + size)`, when all of it is memory of
    /// this guest and inside one range. `size` zero resolves nothing.
    #[must_use]
    pub fn resolve(&self, ra: Ra, size: u64) -> Option<Pa> {
        if size == 0 {
            return None;
        }
        let range = match self.ranges.as_slice() {
            [one] => one,
            many => many.get(many.partition_point(|range| range.ra <= ra).checked_sub(1)?)?,
        };
        let offset = ra.0.checked_sub(range.ra.0)?;
        (offset < range.size && size <= range.size - offset).then(|| range.pa.offset(offset))
    }

    /// The real address that lies at `pa`, if the guest has it.
    #[must_use]
    pub fn real_of(&self, pa: Pa) -> Option<Ra> {
        self.ranges.iter().find_map(|range| {
            let offset = pa.0.checked_sub(range.pa.0)?;
            (offset < range.size).then(|| range.ra.offset(offset))
        })
    }
}

#[cfg(test)]
mod test {
    use super::{Pa, Ra, RealMap, RealRange};

    fn map() -> RealMap {
        RealMap::new(vec![
            RealRange { ra: Ra(0x1000_0000), pa: Pa(0x9000_0000), size: 0x2000 },
            RealRange { ra: Ra(0x800_0000), pa: Pa(0x2_0800_0000), size: 0x4000 },
        ])
    }

    #[test]
    fn a_buffer_must_lie_in_one_range() {
        assert_eq!(map().resolve(Ra(0x800_0010), 8), Some(Pa(0x2_0800_0010)));
        assert_eq!(map().resolve(Ra(0x800_0000), 0x4000), Some(Pa(0x2_0800_0000)));
        for (ra, size) in
            [(0x800_0000, 0x4001), (0x7ff_ffff, 2), (0x1000_2000, 1), (0x800_0000, 0), (!0, 16)]
        {
            assert_eq!(map().resolve(Ra(ra), size), None, "{ra:#x}+{size:#x}");
        }
    }

    #[test]
    fn the_way_back_finds_the_same_real_address() {
        assert_eq!(map().real_of(Pa(0x9000_1fff)), Some(Ra(0x1000_1fff)));
        assert_eq!(map().real_of(Pa(0x9000_2000)), None);
    }
}
