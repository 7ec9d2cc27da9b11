//! The visual instruction set: VIS 1 and 2 as T2 has them.
//!
//! **Shapes.** Pure functions; one dispatcher for each kind of result. Registers
//! come as bit patterns: a double as it is, a single in the low 32 bits of a `u64`.
//! `a` is rs1, `b` rs2. Each dispatcher answers `None` for an instruction that is
//! not its own:
//!
//! | result | function | formats of the instruction table |
//! | --- | --- | --- |
//! | a double | [`op64`] | `FpDDD` `FpDD` `FpSDD` `FpSSD` `FpSD` `Vis0D` `Vis1D` |
//! | a single | [`op32`] | `FpSSS` `FpSS` `FpDS` `Vis0S` `Vis1S` |
//! | an integer, of doubles | [`compare`] | `VisDDR` |
//! | an integer, of integers | [`int`] | `VisRRR` |
//! | GSR | [`siam`] | `Siam` |
//!
//! No instruction of VIS touches FSR. All but edge and array instructions need the
//! FPU enabled; that is the caller's to check.
//!
//! **Errors.** None: every bit pattern has a result.
//!
//! **Source.** UltraSPARC Architecture 2007, the VIS chapters of its instruction
//! list; OpenSPARC T2 where that is silent.

mod address;
mod lanes;
#[cfg(test)]
mod test;

use self::lanes::{lanes16, lanes32, zip16, zip32};
use super::regs::Cc;
use sun4v::isa::Op;

/// What an instruction on integer registers leaves.
#[derive(Clone, Copy, Debug)]
pub struct Int {
    /// The result.
    pub rd: u64,
    /// Condition codes, of an edge instruction that sets them.
    pub cc: Option<Cc>,
    /// GSR afterwards; as it was for all but `bmask` and the `alignaddr`s.
    pub gsr: u64,
}

/// GSR.ALIGN.
fn align(gsr: u64) -> u32 {
    (gsr & 7) as u32
}

/// GSR.SCALE.
fn scale(gsr: u64) -> u32 {
    (gsr >> 3 & 31) as u32
}

/// The bitwise instructions, of any width.
#[inline]
fn logical(op: Op, a: u64, b: u64) -> Option<u64> {
    Some(match op {
        Op::FzeroD | Op::FzeroS => 0,
        Op::FnorD | Op::FnorS => !(a | b),
        Op::Fandnot2D | Op::Fandnot2S => a & !b,
        Op::Fnot2D | Op::Fnot2S => !b,
        Op::Fandnot1D | Op::Fandnot1S => !a & b,
        Op::Fnot1D | Op::Fnot1S => !a,
        Op::FxorD | Op::FxorS => a ^ b,
        Op::FnandD | Op::FnandS => !(a & b),
        Op::FandD | Op::FandS => a & b,
        Op::FxnorD | Op::FxnorS => !(a ^ b),
        Op::Fsrc1D | Op::Fsrc1S => a,
        Op::Fornot2D | Op::Fornot2S => a | !b,
        Op::Fsrc2D | Op::Fsrc2S => b,
        Op::Fornot1D | Op::Fornot1S => !a | b,
        Op::ForD | Op::ForS => a | b,
        Op::FoneD | Op::FoneS => u64::MAX,
        _ => return None,
    })
}

/// Instructions whose result is a double. `d` is what rd holds: only `pdist` reads
/// it.
#[inline]
pub fn op64(op: Op, gsr: u64, a: u64, b: u64, d: u64) -> Option<u64> {
    Some(match op {
        Op::Fpadd16 => zip16(a, b, |x, y| x.wrapping_add(y)),
        Op::Fpsub16 => zip16(a, b, |x, y| x.wrapping_sub(y)),
        Op::Fpadd32 => zip32(a, b, |x, y| x.wrapping_add(y)),
        Op::Fpsub32 => zip32(a, b, |x, y| x.wrapping_sub(y)),
        Op::Fmul8x16 => lanes::mul8x16(a as u32, b),
        Op::Fmul8x16au => lanes::mul8x16(a as u32, lanes::four(b as u32 >> 16)),
        Op::Fmul8x16al => lanes::mul8x16(a as u32, lanes::four(b as u32)),
        Op::Fmul8sux16 => zip16(a, b, |x, y| lanes::upper(x, y, 8)),
        Op::Fmul8ulx16 => zip16(a, b, |x, y| lanes::lower(x, y, 16)),
        Op::Fmuld8sux16 => {
            zip32(lanes::two(a as u32), lanes::two(b as u32), |x, y| lanes::upper_whole(x, y) << 8)
        }
        Op::Fmuld8ulx16 => zip32(lanes::two(a as u32), lanes::two(b as u32), lanes::lower_whole),
        Op::Fpack32 => zip32(a, b, |x, y| x << 8 | lanes::clip_byte(y, scale(gsr), 23)),
        Op::Fexpand => lanes::expand(b as u32),
        Op::Fpmerge => lanes::merge(a as u32, b as u32),
        Op::Pdist => d.wrapping_add(lanes::distance(a, b)),
        Op::FalignData => match align(gsr) * 8 {
            0 => a,
            bits => a << bits | b >> (64 - bits),
        },
        Op::Bshuffle => lanes::shuffle((gsr >> 32) as u32, a, b),
        Op::FzeroD
        | Op::FnorD
        | Op::Fandnot2D
        | Op::Fnot2D
        | Op::Fandnot1D
        | Op::Fnot1D
        | Op::FxorD
        | Op::FnandD
        | Op::FandD
        | Op::FxnorD
        | Op::Fsrc1D
        | Op::Fornot2D
        | Op::Fsrc2D
        | Op::Fornot1D
        | Op::ForD
        | Op::FoneD => return logical(op, a, b),
        _ => return None,
    })
}

/// Instructions whose result is a single. `b` is a double for `fpack16` and
/// `fpackfix`, else both are singles.
#[inline]
pub fn op32(op: Op, gsr: u64, a: u64, b: u64) -> Option<u32> {
    Some(match op {
        Op::Fpadd16s => zip16(a, b, |x, y| x.wrapping_add(y)) as u32,
        Op::Fpsub16s => zip16(a, b, |x, y| x.wrapping_sub(y)) as u32,
        Op::Fpadd32s => (a as u32).wrapping_add(b as u32),
        Op::Fpsub32s => (a as u32).wrapping_sub(b as u32),
        Op::Fpack16 => lanes::pack16(b, scale(gsr) & 15),
        Op::Fpackfix => lanes::packfix(b, scale(gsr)),
        Op::FzeroS
        | Op::FnorS
        | Op::Fandnot2S
        | Op::Fnot2S
        | Op::Fandnot1S
        | Op::Fnot1S
        | Op::FxorS
        | Op::FnandS
        | Op::FandS
        | Op::FxnorS
        | Op::Fsrc1S
        | Op::Fornot2S
        | Op::Fsrc2S
        | Op::Fornot1S
        | Op::ForS
        | Op::FoneS => return logical(op, a, b).map(|bits| bits as u32),
        _ => return None,
    })
}

/// Partitioned comparisons, signed: one bit a lane, bit 0 for the least significant.
#[inline]
pub fn compare(op: Op, a: u64, b: u64) -> Option<u64> {
    Some(match op {
        Op::Fcmple16 => lanes16(a, b, |x, y| x <= y),
        Op::Fcmpne16 => lanes16(a, b, |x, y| x != y),
        Op::Fcmpgt16 => lanes16(a, b, |x, y| x > y),
        Op::Fcmpeq16 => lanes16(a, b, |x, y| x == y),
        Op::Fcmple32 => lanes32(a, b, |x, y| x <= y),
        Op::Fcmpne32 => lanes32(a, b, |x, y| x != y),
        Op::Fcmpgt32 => lanes32(a, b, |x, y| x > y),
        Op::Fcmpeq32 => lanes32(a, b, |x, y| x == y),
        _ => return None,
    })
}

/// Instructions on integer registers. `am` is PSTATE.AM: with it an edge
/// instruction compares addresses of 32 bits.
pub fn int(op: Op, gsr: u64, a: u64, b: u64, am: bool) -> Option<Int> {
    let same = |rd| Some(Int { rd, cc: None, gsr });
    let sum = a.wrapping_add(b);
    if let Some(edge) = address::Edge::of(op) {
        let cc = edge.sets_cc.then(|| Cc::sub(a, b, a.wrapping_sub(b)));
        return Some(Int { rd: edge.mask(a, b, am), cc, gsr });
    }
    let aligned = |align: u64| Some(Int { rd: sum & !7, cc: None, gsr: gsr & !7 | align & 7 });
    match op {
        Op::Array8 => same(address::array8(a, b)),
        Op::Array16 => same(address::array8(a, b) << 1),
        Op::Array32 => same(address::array8(a, b) << 2),
        Op::AlignAddress => aligned(sum),
        Op::AlignAddressLittle => aligned(sum.wrapping_neg()),
        Op::Bmask => Some(Int { rd: sum, cc: None, gsr: gsr & 0xffff_ffff | sum << 32 }),
        _ => None,
    }
}

/// SIAM: GSR with the mode (three bits) in IM and IRND.
pub fn siam(gsr: u64, mode: u32) -> u64 {
    gsr & !(7 << 25) | u64::from(mode & 7) << 25
}
