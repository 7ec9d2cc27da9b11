//! Floating-point operations, exact to the bit.
//!
//! **Shapes.** Operands and results are bit patterns; exceptions are the five bits
//! of FSR.cexc ([`Exc`]). `rs1` comes first, `rs2` second. Every function is pure:
//! [`Round::of`] reads the direction out of FSR and GSR, [`deliver`] folds an
//! operation's exceptions into FSR. T2 leaves most subnormals to the guest's kernel;
//! the functions here give the IEEE result that the guest has once that is done, and
//! [`t2`] what the chip itself does.
//!
//! **How.** The common case (to nearest, normal numbers in and out) is the host's
//! own operation followed by a check whether it was exact; everything else goes
//! to [`soft`], which computes with integers.
//!
//! **Errors.** None: every bit pattern has a result.
//!
//! **Source.** IEEE 754; T2: NaN operands are chosen rs2 first and signalling
//! first, the default NaN is positive with all bits set, tininess is detected
//! before rounding, conversions to integers saturate by the sign, NaN too.

mod add;
mod convert;
mod div;
mod fsr;
mod mul;
pub mod soft;
pub mod t2;
#[cfg(test)]
mod test;

pub use self::add::{add_d, add_s, cmp_d, cmp_s, sub_d, sub_s};
pub use self::convert::{
    d_to_i, d_to_s, d_to_x, i_to_d, i_to_s, s_to_d, s_to_i, s_to_x, x_to_d, x_to_s,
};
pub use self::div::{div_d, div_s, sqrt_d, sqrt_s};
pub use self::fsr::deliver;
pub use self::mul::{mul_d, mul_s, mul_sd};

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

impl Round {
    /// All four, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Nearest, Self::Zero, Self::Up, Self::Down];

    /// The direction in force: GSR.IRND when GSR.IM is set, else FSR.RD.
    #[inline]
    pub fn of(fsr: u64, gsr: u64) -> Self {
        let number = if gsr >> 27 & 1 != 0 { gsr >> 25 } else { fsr >> 30 };
        Self::ALL[(number & 3) as usize]
    }
}

/// Exceptions of one operation: FSR.cexc in bits 4:0, and [`Exc::TINY`] beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exc(pub u8);

impl Exc {
    /// None.
    pub const NONE: Self = Self(0);
    /// Invalid operation.
    pub const NV: u8 = 16;
    /// Overflow; inexact is set too.
    pub const OF: u8 = 8;
    /// Underflow: tiny and inexact.
    pub const UF: u8 = 4;
    /// Division by zero.
    pub const DZ: u8 = 2;
    /// Inexact.
    pub const NX: u8 = 1;
    /// The result is tiny but exact. Not a bit of cexc: it is underflow when the
    /// trap is enabled and nothing otherwise, and [`deliver`] decides.
    pub const TINY: u8 = 32;
    /// Not computed: T2 leaves the operation to software (unfinished_FPop). Only
    /// [`t2::fpop`] says so, and only when asked. Stands alone.
    pub const UNFINISHED: u8 = 64;

    /// The five bits of FSR.cexc.
    #[inline]
    pub fn cexc(self) -> u8 {
        self.0 & 0x1f
    }

    #[inline]
    fn inexact_if(inexact: bool) -> Self {
        Self(u8::from(inexact))
    }
}

impl std::ops::BitOr for Exc {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// May the host compute with this double? Zero, or normal and far enough from both
/// ends that a residual neither overflows nor loses bits.
#[inline(always)]
fn plain_d(bits: u64) -> bool {
    let exp = (bits >> 52) & 0x7ff;
    exp.wrapping_sub(128) < 2046 - 256 || bits << 1 == 0
}

/// The same for a single.
#[inline(always)]
fn plain_s(bits: u32) -> bool {
    let exp = (bits >> 23) & 0xff;
    exp.wrapping_sub(28) < 254 - 56 || bits << 1 == 0
}

/// The odd part of a normal double's significand.
#[inline(always)]
fn odd_d(bits: u64) -> u64 {
    let significand = bits & ((1 << 52) - 1) | 1 << 52;
    significand >> significand.trailing_zeros()
}
