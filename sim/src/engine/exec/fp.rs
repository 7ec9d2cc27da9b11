//! Floating point and VIS: which registers, and what becomes of FSR.
//!
//! What an operation computes is [`crate::chip::fpu`]'s and [`crate::chip::vis`]'s
//! business.

use super::{Run, Stop, branch};
use crate::chip::fpu::{self, Exc, Round, t2};
use crate::chip::strand::{FSR_BITS, Strand};
use crate::chip::vis;
use crate::engine::insn::Kind;
use sun4v::isa::{Format, Op, Word, decode, tt};

/// FSR.ftt.
const FTT: u64 = 7 << 14;
/// The value of it for an operation that is left to software.
const FTT_UNFINISHED: u64 = 2 << 14;
/// Whether subnormal numbers are left to software, as T2 does. Guests of ours get
/// the result at once: a kernel computes the same one, and a bare program has none.
const UNFINISHED: bool = false;
/// Bits of FSR that loads do not write.
const FIXED: u64 = 7 << 17 | FTT | 1 << 13;
/// Bits of FSR that a 32-bit load keeps.
const UPPER: u64 = u64::MAX << 32;
/// Sign of a single and of a double.
const SIGN_S: u32 = 1 << 31;
/// See [`SIGN_S`].
const SIGN_D: u64 = 1 << 63;

/// Folds exceptions into FSR, or traps.
#[inline(always)]
fn deliver(strand: &mut Strand, exc: Exc) -> Result<(), Stop> {
    match fpu::deliver(strand.fsr, exc) {
        Ok(fsr) => {
            strand.fsr = fsr;
            Ok(())
        }
        Err(fsr) => {
            strand.fsr = fsr;
            let unfinished = fsr & FTT == FTT_UNFINISHED;
            Err(Stop::Guest(match unfinished {
                true => tt::FP_EXCEPTION_OTHER,
                false => tt::FP_EXCEPTION_IEEE_754,
            }))
        }
    }
}

#[inline(always)]
fn put_d(strand: &mut Strand, rd: u8, (value, exc): (u64, Exc)) -> Result<(), Stop> {
    deliver(strand, exc)?;
    strand.set_double(rd, value);
    Ok(())
}

#[inline(always)]
fn put_s(strand: &mut Strand, rd: u8, (value, exc): (u32, Exc)) -> Result<(), Stop> {
    deliver(strand, exc)?;
    strand.set_single(rd, value);
    Ok(())
}

/// The result of a comparison.
fn put_fcc(strand: &mut Strand, number: u8, (fcc, exc): (u8, Exc)) -> Result<(), Stop> {
    deliver(strand, exc)?;
    let shift = if number & 3 == 0 { 10 } else { 30 + 2 * u32::from(number & 3) };
    let fsr = &mut strand.fsr;
    *fsr = *fsr & !(3 << shift) | u64::from(fcc & 3) << shift;
    Ok(())
}

/// Does FSR ask for a computation that [`compute`] does not do?
#[inline(always)]
pub(in crate::engine) fn flushes(kind: Kind, strand: &Strand) -> bool {
    let moves = matches!(kind, Kind::FmovD | Kind::FnegD | Kind::FabsD);
    let compares = matches!(kind, Kind::FcmpD | Kind::FcmpeD);
    !moves && !compares && t2::flushes(strand.fsr, strand.gsr)
}

/// The operations that have a kind; floating point is on, and nothing [`flushes`].
#[inline(always)]
pub(in crate::engine) fn compute(
    strand: &mut Strand,
    kind: Kind,
    rd: u8,
    rs1: u8,
    rs2: u8,
) -> Result<(), Stop> {
    let round = Round::of(strand.fsr, strand.gsr);
    let (s1, s2) = (strand.single(rs1), strand.single(rs2));
    let (d1, d2) = (strand.double(rs1), strand.double(rs2));
    match kind {
        Kind::FaddD => put_d(strand, rd, fpu::add_d(round, d1, d2)),
        Kind::FsubD => put_d(strand, rd, fpu::sub_d(round, d1, d2)),
        Kind::FmulD => put_d(strand, rd, fpu::mul_d(round, d1, d2)),
        Kind::FdivD => put_d(strand, rd, fpu::div_d(round, d1, d2)),
        Kind::FmovD => put_d(strand, rd, (d2, Exc::NONE)),
        Kind::FnegD => put_d(strand, rd, (d2 ^ SIGN_D, Exc::NONE)),
        Kind::FabsD => put_d(strand, rd, (d2 & !SIGN_D, Exc::NONE)),
        Kind::FaddS => put_s(strand, rd, fpu::add_s(round, s1, s2)),
        Kind::FsubS => put_s(strand, rd, fpu::sub_s(round, s1, s2)),
        Kind::FmulS => put_s(strand, rd, fpu::mul_s(round, s1, s2)),
        _ => put_fcc(strand, rd, fpu::cmp_d(d1, d2, kind == Kind::FcmpeD)),
    }
}

impl Run<'_> {
    /// fp_disabled unless floating point is on.
    #[inline(always)]
    pub(super) fn fp_enabled(&self) -> Result<(), Stop> {
        if self.strand.fp_on { Ok(()) } else { Err(Stop::Guest(tt::FP_DISABLED)) }
    }

    fn put_d(&mut self, rd: u8, result: (u64, Exc)) -> Result<(), Stop> {
        put_d(self.strand, rd, result)
    }

    fn put_s(&mut self, rd: u8, result: (u32, Exc)) -> Result<(), Stop> {
        put_s(self.strand, rd, result)
    }

    fn put_fcc(&mut self, number: u8, result: (u8, Exc)) -> Result<(), Stop> {
        put_fcc(self.strand, number, result)
    }

    /// Loads FSR.
    pub(super) fn load_fsr(&mut self, w: Word, wide: bool) -> Result<(), Stop> {
        self.fp_enabled()?;
        let ea = self.ea(w);
        let (value, kept) = if wide {
            (self.load_slow::<u64>(ea)?, FIXED)
        } else {
            (u64::from(self.load_slow::<u32>(ea)?), FIXED | UPPER)
        };
        self.strand.fsr = (self.strand.fsr & kept | value & !kept) & FSR_BITS;
        Ok(())
    }

    /// Stores FSR, which clears ftt.
    pub(super) fn store_fsr(&mut self, w: Word, wide: bool) -> Result<(), Stop> {
        self.fp_enabled()?;
        let (ea, fsr) = (self.ea(w), self.strand.fsr);
        if wide {
            self.store_slow(ea, fsr)?;
        } else {
            self.store_slow(ea, fsr as u32)?;
        }
        self.strand.fsr &= !FTT;
        Ok(())
    }

    /// A condition of MOVcc and FMOVcc, whose code is 0 to 3 for fcc0 to fcc3, 4 for
    /// icc, 6 for xcc.
    pub(super) fn condition(&self, cond: u8, code: u8) -> bool {
        match code {
            0..4 => branch::fp_holds(cond, code, self.strand.fsr),
            4 => branch::holds(cond, self.strand.cc.icc()),
            _ => branch::holds(cond, self.strand.cc.xcc()),
        }
    }

    /// Floating-point operations.
    pub(super) fn fpop(&mut self, op: Op, w: Word) -> Result<(), Stop> {
        self.fp_enabled()?;
        let strand = &*self.strand;
        let (s1, s2) = (strand.single(w.rs1()), strand.single(w.rs2()));
        let d2 = strand.double(w.rs2_double());
        let (rd, rd_d) = (w.rd(), w.rd_double());
        match op {
            Op::FmovS => self.put_s(rd, (s2, Exc::NONE)),
            Op::FnegS => self.put_s(rd, (s2 ^ SIGN_S, Exc::NONE)),
            Op::FabsS => self.put_s(rd, (s2 & !SIGN_S, Exc::NONE)),
            Op::FcmpS => self.put_fcc(rd, fpu::cmp_s(s1, s2, false)),
            Op::FcmpeS => self.put_fcc(rd, fpu::cmp_s(s1, s2, true)),
            Op::FmovSCc => {
                if self.condition(w.move_cond(), w.fmove_cc()) {
                    self.strand.set_single(rd, s2);
                }
                Ok(())
            }
            Op::FmovDCc => {
                if self.condition(w.move_cond(), w.fmove_cc()) {
                    self.strand.set_double(rd_d, d2);
                }
                Ok(())
            }
            Op::FmovSR => {
                if branch::register_holds(w.move_rcond(), self.r(w.rs1())) {
                    self.strand.set_single(rd, s2);
                }
                Ok(())
            }
            Op::FmovDR => {
                if branch::register_holds(w.move_rcond(), self.r(w.rs1())) {
                    self.strand.set_double(rd_d, d2);
                }
                Ok(())
            }
            _ => self.compute_row(op, w),
        }
    }

    /// Operations that compute, and VIS.
    fn compute_row(&mut self, op: Op, w: Word) -> Result<(), Stop> {
        let (strand, format) = (&*self.strand, op.row().format);
        let single = |n: u8| u64::from(strand.single(n));
        let a = match format {
            Format::FpDDD => strand.double(w.rs1_double()),
            _ => single(w.rs1()),
        };
        let b = match format {
            Format::FpDDD | Format::FpDD | Format::FpDS => strand.double(w.rs2_double()),
            _ => single(w.rs2()),
        };
        let Some((bits, exc)) = t2::fpop(op, strand.fsr, strand.gsr, UNFINISHED, a, b) else {
            return self.vis(op, w);
        };
        match format {
            Format::FpSSS | Format::FpSS | Format::FpDS => self.put_s(w.rd(), (bits as u32, exc)),
            _ => self.put_d(w.rd_double(), (bits, exc)),
        }
    }

    /// An operation by its word, off the fast path.
    #[cold]
    #[inline(never)]
    pub(in crate::engine) fn fpop_word(&mut self, w: Word) -> Result<(), Stop> {
        match decode(w.0) {
            Some(op) => self.fpop(op, w),
            None => Err(super::illegal()),
        }
    }

    /// VIS, but edges and arrays; floating point is on.
    fn vis(&mut self, op: Op, w: Word) -> Result<(), Stop> {
        let strand = &mut *self.strand;
        let (gsr, format) = (strand.gsr, op.row().format);
        let single = |n: u8| u64::from(strand.single(n));
        let (s1, s2) = (single(w.rs1()), single(w.rs2()));
        let (d1, d2) = (strand.double(w.rs1_double()), strand.double(w.rs2_double()));
        match format {
            Format::Siam => strand.gsr = vis::siam(gsr, u32::from(w.rs2() & 7)),
            Format::VisDDR => {
                let mask = vis::compare(op, d1, d2).ok_or(super::illegal())?;
                self.set(w.rd(), mask);
            }
            Format::VisRRR => return self.vis_integer(op, w),
            Format::FpSSS | Format::FpSS | Format::FpDS | Format::Vis0S | Format::Vis1S => {
                let second = if format == Format::FpDS { d2 } else { s2 };
                let value = vis::op32(op, gsr, s1, second).ok_or(super::illegal())?;
                strand.set_single(w.rd(), value);
            }
            _ => {
                let (a, b) = match format {
                    Format::FpSDD => (s1, d2),
                    Format::FpSSD | Format::FpSD => (s1, s2),
                    _ => (d1, d2),
                };
                let old = strand.double(w.rd_double());
                let value = vis::op64(op, gsr, a, b, old).ok_or(super::illegal())?;
                strand.set_double(w.rd_double(), value);
            }
        }
        Ok(())
    }

    /// VIS on integer registers.
    pub(super) fn vis_integer(&mut self, op: Op, w: Word) -> Result<(), Stop> {
        let (a, b) = (self.r(w.rs1()), self.r(w.rs2()));
        let am = self.strand.am != u64::MAX;
        let result = vis::int(op, self.strand.gsr, a, b, am).ok_or(super::illegal())?;
        self.set(w.rd(), result.rd);
        self.strand.gsr = result.gsr;
        if let Some(cc) = result.cc {
            self.strand.cc = cc;
        }
        Ok(())
    }
}
