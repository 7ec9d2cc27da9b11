//! What integer instructions compute, and when branches are taken.
//!
//! Every engine comes here: one that knows the kind when it is built gets the one
//! arm, one that does not gets them all.
//!
//! **Source.** T2 reference 3.2 and 3.3.

use super::insn::Kind;
use crate::chip::regs::Cc;

/// Kinds that [`alu`] computes.
#[inline(always)]
#[must_use]
pub const fn is_alu(kind: Kind) -> bool {
    kind as u8 >= Kind::Mov as u8 && kind as u8 <= Kind::Srax as u8
}

/// Branches on condition codes and registers, which [`holds`] decides.
#[inline(always)]
#[must_use]
pub const fn is_conditional(kind: Kind) -> bool {
    kind as u8 >= Kind::BeI as u8 && kind as u8 <= Kind::BrLz as u8
}

/// The result of an integer instruction that cannot trap.
#[inline(always)]
pub fn alu(kind: Kind, cc: &mut Cc, y: &mut u32, a: u64, b: u64) -> u64 {
    macro_rules! logic {
        ($result:expr) => {{
            let result = $result;
            *cc = Cc::logic(result);
            result
        }};
    }
    macro_rules! sum {
        ($carry:expr) => {{
            let result = a.wrapping_add(b).wrapping_add($carry);
            *cc = Cc::add(a, b, result);
            result
        }};
    }
    macro_rules! difference {
        ($borrow:expr) => {{
            let result = a.wrapping_sub(b).wrapping_sub($borrow);
            *cc = Cc::sub(a, b, result);
            result
        }};
    }
    match kind {
        Kind::Mov => b,
        Kind::Add => a.wrapping_add(b),
        Kind::Sub => a.wrapping_sub(b),
        Kind::And => a & b,
        Kind::Or => a | b,
        Kind::Xor => a ^ b,
        Kind::Andn => a & !b,
        Kind::Orn => a | !b,
        Kind::Xnor => a ^ !b,
        Kind::Addcc => sum!(0),
        Kind::Subcc => difference!(0),
        Kind::Andcc => logic!(a & b),
        Kind::Orcc => logic!(a | b),
        Kind::Xorcc => logic!(a ^ b),
        Kind::Andncc => logic!(a & !b),
        Kind::Orncc => logic!(a | !b),
        Kind::Xnorcc => logic!(a ^ !b),
        Kind::Addc => a.wrapping_add(b).wrapping_add(cc.carry()),
        Kind::Subc => a.wrapping_sub(b).wrapping_sub(cc.carry()),
        Kind::Addccc => sum!(cc.carry()),
        Kind::Subccc => difference!(cc.carry()),
        Kind::Mulx => a.wrapping_mul(b),
        Kind::Umul => {
            let product = (a & 0xffff_ffff).wrapping_mul(b & 0xffff_ffff);
            *y = (product >> 32) as u32;
            product
        }
        Kind::Smul => {
            let product = (i64::from(a as i32) * i64::from(b as i32)) as u64;
            *y = (product >> 32) as u32;
            product
        }
        Kind::Sll => a << (b & 31),
        Kind::Srl => u64::from(a as u32 >> (b & 31)),
        Kind::Sra => i64::from(a as i32 >> (b & 31)) as u64,
        Kind::Sllx => a << (b & 63),
        Kind::Srlx => a >> (b & 63),
        Kind::Srax => (a as i64 >> (b & 63)) as u64,
        _ => 0,
    }
}

/// The quotient of UDIVX and SDIVX; `None` for a division by zero.
#[inline(always)]
pub fn quotient(kind: Kind, a: u64, b: u64) -> Option<u64> {
    match kind {
        Kind::Udivx => a.checked_div(b),
        _ if b == 0 => None,
        _ => Some((a as i64).wrapping_div(b as i64) as u64),
    }
}

/// Does the condition of a branch hold, before it is inverted? `a` is its register.
#[inline(always)]
pub fn holds(kind: Kind, cc: &Cc, a: u64) -> bool {
    match kind {
        Kind::BeI => cc.zi == 0,
        Kind::BleI => cc.zi == 0 || ((cc.n ^ cc.v) as i32) < 0,
        Kind::BlI => ((cc.n ^ cc.v) as i32) < 0,
        Kind::BleuI => cc.zi == 0 || (cc.c as i32) < 0,
        Kind::BcsI => (cc.c as i32) < 0,
        Kind::BnegI => (cc.n as i32) < 0,
        Kind::BvsI => (cc.v as i32) < 0,
        Kind::BeX => cc.zx == 0,
        Kind::BleX => cc.zx == 0 || ((cc.n ^ cc.v) as i64) < 0,
        Kind::BlX => ((cc.n ^ cc.v) as i64) < 0,
        Kind::BleuX => cc.zx == 0 || (cc.c as i64) < 0,
        Kind::BcsX => (cc.c as i64) < 0,
        Kind::BnegX => (cc.n as i64) < 0,
        Kind::BvsX => (cc.v as i64) < 0,
        Kind::BrZ => a == 0,
        Kind::BrLez => a as i64 <= 0,
        Kind::BrLz => (a as i64) < 0,
        _ => false,
    }
}
