//! Map tables: the memory that one end lends to the other.
//!
//! **Shapes.** A table is a power of two of 16-byte entries in the lender's
//! memory: the map table entry ([`Mte`]: page, permissions, page size), then a
//! revocation word. A cookie names a byte of it: page-size code, index, offset
//! ([`CookieAddr`]); on the wire it comes with a size that may run over several
//! consecutive entries ([`Cookie`]). Everything here is 8 KiB pages (code 0),
//! the only size that copies work with on this hypervisor.
//!
//! **Source.** sun4v hypervisor API, LDC shared memory; OpenSPARC `ldc.s`.

use crate::addr::{PAGE_BYTES, PAGE_SHIFT, Ra};
use zerocopy::big_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

bitflags::bitflags! {
    /// What a map table entry lets the peer do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MapPerms: u64 {
        /// Read a mapping.
        const R = 1 << 4;
        /// Write a mapping.
        const W = 1 << 5;
        /// Execute a mapping.
        const X = 1 << 6;
        /// Device reads.
        const IOR = 1 << 7;
        /// Device writes.
        const IOW = 1 << 8;
        /// Copy in: the peer reads by `ldc_copy`.
        const CR = 1 << 9;
        /// Copy out: the peer writes by `ldc_copy`.
        const CW = 1 << 10;
    }
}

/// A map table entry's first word. Any bits are one; zero lends nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mte(pub u64);

impl Mte {
    /// The 8 KiB page that holds `ra`, with `perms`.
    #[must_use]
    pub const fn page(ra: Ra, perms: MapPerms) -> Self {
        Self(ra.0 & Self::PAGE_MASK | perms.bits())
    }
    const PAGE_MASK: u64 = 0x00ff_ffff_ffff_e000;

    /// Real address of the page.
    #[must_use]
    pub const fn ra(self) -> Ra {
        Ra(self.0 & Self::PAGE_MASK)
    }
    /// What the peer may do.
    #[must_use]
    pub const fn perms(self) -> MapPerms {
        MapPerms::from_bits_truncate(self.0)
    }
    /// Page-size code.
    #[must_use]
    pub const fn size_code(self) -> u64 {
        self.0 & 0xf
    }
}

/// An entry of a map table as it lies in memory.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct MapEntry {
    /// An [`Mte`].
    pub mte: U64,
    /// Written by nobody on this hypervisor.
    pub revoke: U64,
}

/// Bytes of an entry of a map table.
pub const MAP_ENTRY_BYTES: u64 = 16;

/// A cookie's address: where in the peer's map table, and where in the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CookieAddr(pub u64);

impl CookieAddr {
    /// Byte `offset` of the 8 KiB page that entry `index` lends.
    #[must_use]
    pub const fn new(index: u64, offset: u64) -> Self {
        Self(index << PAGE_SHIFT | offset & (PAGE_BYTES - 1))
    }
    /// Page-size code; only 0 can be copied.
    #[must_use]
    pub const fn size_code(self) -> u64 {
        self.0 >> 60
    }
    /// Entry of the table, for page-size code 0.
    #[must_use]
    pub const fn index(self) -> u64 {
        (self.0 & !(0xf << 60)) >> PAGE_SHIFT
    }
    /// Byte within the page, for page-size code 0.
    #[must_use]
    pub const fn offset(self) -> u64 {
        self.0 & (PAGE_BYTES - 1)
    }
}

/// A cookie on the wire: a run of lent bytes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Cookie {
    /// [`CookieAddr`] of the first byte.
    pub addr: U64,
    /// Bytes, over consecutive entries of the table.
    pub size: U64,
}

/// Bytes of a cookie on the wire.
pub const COOKIE_BYTES: usize = 16;

impl Cookie {
    /// A cookie for `size` bytes from `addr`.
    #[must_use]
    pub fn new(addr: CookieAddr, size: u64) -> Self {
        Self { addr: addr.0.into(), size: size.into() }
    }
    /// Where it begins.
    #[must_use]
    pub const fn addr(&self) -> CookieAddr {
        CookieAddr(self.addr.get())
    }
    /// The cookie of the bytes from `skip` on; `None` when none are left or the
    /// address overflows.
    #[must_use]
    pub fn skip(&self, skip: u64) -> Option<Self> {
        let size = self.size.get().checked_sub(skip)?;
        let addr = self.addr.get().checked_add(skip)?;
        (size > 0).then(|| Self { addr: addr.into(), size: size.into() })
    }
}

#[cfg(test)]
mod test {
    use super::{Cookie, CookieAddr, MapEntry, MapPerms, Mte, Ra};

    #[test]
    fn sizes_are_those_of_the_wire() {
        assert_eq!((size_of::<MapEntry>(), size_of::<Cookie>()), (16, 16));
    }

    #[test]
    fn an_entry_gives_back_its_page_and_permissions() {
        let mte = Mte::page(Ra(0x800_3abc), MapPerms::CR | MapPerms::CW);
        assert_eq!(mte, Mte(0x800_2600));
        assert_eq!(mte.ra(), Ra(0x800_2000));
        assert_eq!((mte.perms(), mte.size_code()), (MapPerms::CR | MapPerms::CW, 0));
    }

    #[test]
    fn a_cookie_is_index_and_offset() {
        let cookie = CookieAddr::new(5, 0x1ff8);
        assert_eq!(cookie, CookieAddr(0xbff8));
        assert_eq!((cookie.size_code(), cookie.index(), cookie.offset()), (0, 5, 0x1ff8));
        assert_eq!(CookieAddr(0x3000_0000_0000_2000).size_code(), 3);
        assert_eq!(CookieAddr(0x3000_0000_0000_2000).index(), 1);
    }

    #[test]
    fn skipping_goes_over_the_page_border_and_ends() {
        let cookie = Cookie::new(CookieAddr::new(1, 0x1ff0), 0x20);
        let rest = cookie.skip(0x18).unwrap();
        assert_eq!((rest.addr().index(), rest.addr().offset(), rest.size.get()), (2, 8, 8));
        assert_eq!(cookie.skip(0x20), None);
        assert_eq!(cookie.skip(0x21), None);
        assert_eq!(Cookie::new(CookieAddr(!0), 9).skip(8), None);
    }
}
