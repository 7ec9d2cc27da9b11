//! Floating-point operations, exact to the bit.
//!
//! **Shapes.** Operands and results are bit patterns; exceptions are the five bits
//! of FSR.cexc.

/// Rounding direction, as FSR.RD numbers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Round {
    /// To nearest, ties to even.
    #[default]
    Nearest = 0,
    /// Toward zero.
    Zero = 1,
    /// Toward plus infinity.
    Up = 2,
    /// Toward minus infinity.
    Down = 3,
}

/// Exceptions of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exc(pub u8);
