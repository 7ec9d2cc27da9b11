//! The random number generator as the control domain drives it: its states and its control
//! words.
//!
//! **Shape.** Four control words, written one after the other: one for each of the three
//! noise cells, then the one that says how the register is read. Bits 2:0 choose noise
//! cells, 3 lets the register be a feedback shift register, 5:4 choose an analog output,
//! 7:6 the rate of the oscillator, 8 bypasses it, 24:9 are the clocks between two reads.
//!
//! **Source.** sun4v hypervisor API, RNG group; the register's polynomial and the value
//! that a test must find are those of Linux's `n2rng.h`.

use crate::code::codes;

codes! {
    /// States of the generator.
    RngState(u64) {
        /// Set up by nobody.
        Unconfigured = 0,
        /// Gives data to everybody.
        Configured = 1,
        /// Under test by its owner.
        HealthCheck = 2,
        /// Broken, or never tried: as at power-on.
        Error = 3,
    }
}

/// Control words.
pub const CONTROL_WORDS: usize = 4;
/// Bits that a control word has.
pub const CONTROL_BITS: u64 = 0x1ff_ffff;
/// The most bytes that the owner reads at once.
pub const DIAG_BYTES_MAX: u64 = 128 << 10;

/// The polynomial of the shift register, x^64 left out.
const POLYNOMIAL: u64 = 0x231d_cee9_1262_b8a3;

/// The control word that says how the register is read: the last of the four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control(pub u64);

impl Control {
    /// Noise cells that are on.
    #[must_use]
    pub const fn cells(self) -> u64 {
        self.0 & 7
    }

    /// Is the register fed back?
    #[must_use]
    pub const fn feedback(self) -> bool {
        self.0 & 8 != 0
    }

    /// Clocks between two reads.
    #[must_use]
    pub const fn delay(self) -> u64 {
        self.0 >> 9 & 0xffff
    }

    /// What a read gives without noise; noise is added to it, bit by bit. Reading sets all
    /// bits of the register, and one clock more than the delay passes until it is read again:
    /// without noise it is always the same, which is how the register is tested.
    #[must_use]
    pub fn quiet(self) -> u64 {
        if self.feedback() { advance(u64::MAX, self.delay() + 1) } else { 0 }
    }
}

/// The register after some clocks.
fn advance(mut register: u64, clocks: u64) -> u64 {
    for _ in 0..clocks {
        let carry = register >> 63;
        register = register << 1 ^ if carry != 0 { POLYNOMIAL } else { 0 };
    }
    register
}

#[cfg(test)]
mod test {
    use super::Control;

    #[test]
    fn a_register_without_noise_has_the_value_that_drivers_look_for() {
        // As Linux's driver tests it: 38859 clocks, none of the cells on.
        let control = Control(2 << 4 | 8 | (38859 - 2) << 9);
        assert_eq!(control.quiet(), 0xb882_0c7b_d387_e32c);
        assert_eq!((control.cells(), control.delay()), (0, 38857));
        assert_eq!(Control(7 | 100 << 9).quiet(), 0, "not fed back");
    }
}
