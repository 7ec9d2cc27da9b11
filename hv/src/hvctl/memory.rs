//! The hypervisor's own memory, where MDs and boot images lie. The control domain
//! reaches it by `ldc_copy` on its hvctl channel: a cookie is a physical address.

use crate::Hypervisor;
use crate::ldc::Copy;
use crate::platform::Machine;
use sun4v::addr::{PAGE_BYTES, Pa};
use sun4v::hcall::HvError;
use sun4v::id::GuestId;

/// A stretch of physical memory that is the hypervisor's. Empty: there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HvMemory {
    /// Its first byte.
    pub base: Pa,
    /// Its bytes.
    pub bytes: u64,
}

impl HvMemory {
    /// Bytes from `pa` to its end; zero when `pa` is not in it.
    #[must_use]
    pub const fn room(&self, pa: Pa) -> u64 {
        match pa.0.checked_sub(self.base.0) {
            Some(offset) => self.bytes.saturating_sub(offset),
            None => 0,
        }
    }

    /// Are the `bytes` bytes from `pa` on all in it?
    #[must_use]
    pub const fn holds(&self, pa: Pa, bytes: u64) -> bool {
        bytes <= self.room(pa)
    }

    /// Has it a byte in common with `bytes` bytes from `pa` on?
    #[must_use]
    pub const fn meets(&self, pa: Pa, bytes: u64) -> bool {
        let (end, own_end) = (pa.0.saturating_add(bytes), self.base.0.saturating_add(self.bytes));
        pa.0 < own_end && self.base.0 < end
    }
}

impl Hypervisor {
    /// `ldc_copy` on the hvctl channel, up to the end of a page on either side.
    pub(crate) fn copy_own(
        &self,
        id: GuestId,
        wanted: Copy,
        machine: &dyn Machine,
    ) -> Result<u64, HvError> {
        let Copy { out, cookie, ra, bytes } = wanted;
        let room = |address: u64| PAGE_BYTES - (address & (PAGE_BYTES - 1));
        let bytes = bytes.min(room(cookie)).min(room(ra.0));
        let remote = Pa(cookie);
        if !self.memory.is_some_and(|memory| memory.holds(remote, bytes)) {
            return Err(HvError::NoRaddr);
        }
        let guest = self.guest(id).ok_or(HvError::Channel)?;
        let local = guest.resolve(ra, bytes)?;
        let (from, to) = if out { (local, remote) } else { (remote, local) };
        machine.memory().copy(from, to, bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod test {
    use super::HvMemory;
    use sun4v::addr::Pa;

    #[test]
    fn edges_belong_to_it_as_half_open_ranges_do() {
        let memory = HvMemory { base: Pa(0x1000), bytes: 0x1000 };
        assert!(memory.holds(Pa(0x1000), 0x1000) && !memory.holds(Pa(0x1000), 0x1001));
        assert!(!memory.holds(Pa(0xfff), 1) && !memory.holds(Pa(0x1ff8), u64::MAX));
        assert!(memory.meets(Pa(0xfff), 2) && memory.meets(Pa(0x1fff), 1));
        assert!(!memory.meets(Pa(0xfff), 1) && !memory.meets(Pa(0x2000), u64::MAX));
        assert_eq!(memory.room(Pa(0x1ff8)), 8);
        assert!(!HvMemory::default().meets(Pa(0), 1) && !HvMemory::default().holds(Pa(0), 1));
    }
}
