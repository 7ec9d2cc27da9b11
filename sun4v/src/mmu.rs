//! Translations: TTEs and the TSB entries that hold them.
//!
//! **Source.** sun4v TTE format, UltraSPARC Architecture 2007 section 14.2;
//! T2 page sizes.

use crate::addr::{PageSize, Ra};

bitflags::bitflags! {
    /// The flag bits of a sun4v TTE's data word.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct TteFlags: u64 {
        /// Valid.
        const V = 1 << 63;
        /// No-fault-only.
        const NFO = 1 << 62;
        /// Inverted endianness.
        const IE = 1 << 12;
        /// Side effects.
        const E = 1 << 11;
        /// Cacheable in physically indexed caches.
        const CP = 1 << 10;
        /// Cacheable in virtually indexed caches.
        const CV = 1 << 9;
        /// Privileged code only.
        const P = 1 << 8;
        /// Executable.
        const X = 1 << 7;
        /// Writable.
        const W = 1 << 6;
    }
}

/// The data word of a translation table entry. Any bits are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tte(pub u64);

impl Tte {
    /// Its flags.
    #[must_use]
    pub const fn flags(self) -> TteFlags {
        TteFlags::from_bits_truncate(self.0)
    }
    /// Its page size; `None` for a code that T2 lacks.
    #[must_use]
    pub const fn size(self) -> Option<PageSize> {
        PageSize::from_code(self.0 & 0xf)
    }
    /// Real address bits 55:13, not yet aligned to the page's size.
    #[must_use]
    pub const fn ra(self) -> Ra {
        Ra(self.0 & 0x00ff_ffff_ffff_e000)
    }
    /// The same with the address of its page's first byte; of a size that T2 lacks, itself.
    #[must_use]
    pub const fn on_page(self) -> Self {
        match self.size() {
            Some(size) => Self(self.0 & !(0x00ff_ffff_ffff_e000 & (size.bytes() - 1))),
            None => self,
        }
    }
}

/// The tag of a TSB entry: context in bits 60:48, VA bits 63:22 in 41:0.
#[must_use]
pub const fn tsb_tag(va: u64, context: u16) -> u64 {
    (context as u64) << 48 | va >> 22
}

/// What a table walk makes of the contexts in a TSB's tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum TagContext {
    /// A tag's context is compared with both of the strand's.
    Compared,
    /// It is ignored: what is found is of context register 0.
    #[default]
    First,
    /// The same, of context register 1.
    Second,
}

impl TagContext {
    /// By number.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Compared),
            1 => Some(Self::First),
            2 => Some(Self::Second),
            _ => None,
        }
    }
}

/// A TSB: `entries` pairs of tag and data, 16 bytes each, indexed by the virtual
/// page number modulo `entries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tsb {
    /// Real address of entry 0, aligned to the TSB's size.
    pub ra: Ra,
    /// Entries, a power of two, 512 at least.
    pub entries: u32,
    /// The page size that makes the index.
    pub index_size: PageSize,
    /// Bit n is set when pages of size code n may be in it.
    pub size_mask: u8,
    /// What becomes of the context.
    pub context: TagContext,
}

impl Tsb {
    /// Real address of the entry that may hold `va`.
    #[must_use]
    pub const fn entry(&self, va: u64) -> Ra {
        let index = va >> self.index_size.shift() & (self.entries as u64 - 1);
        Ra(self.ra.0.wrapping_add(index * 16))
    }
}
