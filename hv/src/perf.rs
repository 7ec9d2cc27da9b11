//! Performance registers of the four DRAM controllers.
//!
//! **Shape.** One set for the chassis, so a call waits for the boundary. They hold what is
//! written, a control register its low eight bits; controllers are not modelled and nothing
//! is counted.
//!
//! **Source.** sun4v hypervisor API, NIAGARA2 group; the OpenSPARC hypervisor's
//! `hcall_niagara2.s`.

/// Performance registers that a guest names: that of the strand, then the DRAM controllers'.
pub const REGISTERS: u64 = 9;
/// Bits of a control register.
const CONTROL_BITS: u64 = 0xff;

/// Control and count of each DRAM controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DramCounters([u64; 8]);

impl DramCounters {
    /// Reads register 1 to 8.
    #[must_use]
    pub fn get(&self, register: u64) -> u64 {
        let place = register.checked_sub(1).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.0.get(place)).copied().unwrap_or(0)
    }

    /// Writes register 1 to 8.
    pub fn set(&mut self, register: u64, value: u64) {
        let place = register.checked_sub(1).and_then(|place| usize::try_from(place).ok());
        if let Some(place) = place.and_then(|place| self.0.get_mut(place)) {
            *place = if register % 2 == 1 { value & CONTROL_BITS } else { value };
        }
    }
}
