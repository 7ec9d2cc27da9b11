//! A peer's descriptor ring, as it was registered.

use sun4v::ldc::Cookie;
use sun4v::vio::DringReg;

/// Descriptors of the largest ring that is served.
const MAX_DESCRIPTORS: u32 = 1024;
/// Bytes of the largest descriptor.
const MAX_DESCRIPTOR: u32 = 8192;

/// The ring.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    /// Where it lies.
    pub cookie: Cookie,
    /// Descriptors.
    pub num_desc: u32,
    /// Bytes of each.
    pub desc_size: u32,
    /// What we called it.
    pub ident: u64,
}

impl Ring {
    /// The ring that a registration describes, if it can be served: one cookie
    /// that holds it whole, descriptors of `min_desc` bytes at least.
    #[must_use]
    pub fn of(reg: &DringReg, ident: u64, min_desc: u32) -> Option<Self> {
        let (num_desc, desc_size) = (reg.num_desc.get(), reg.desc_size.get());
        let holds = u64::from(num_desc) * u64::from(desc_size) <= reg.cookie.size.get();
        let fits = reg.ncookies.get() == 1
            && (1..=MAX_DESCRIPTORS).contains(&num_desc)
            && (min_desc..=MAX_DESCRIPTOR).contains(&desc_size)
            && desc_size.is_multiple_of(8)
            && reg.cookie.addr.get().is_multiple_of(8)
            && holds;
        fits.then_some(Self { cookie: reg.cookie, num_desc, desc_size, ident })
    }
}
