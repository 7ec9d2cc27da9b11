//! Floating-point operations that have a kind, and VIS operations that kernels copy with.

use super::op::{Context, Leave, Op, next, resume, settle, slow, stop, stop_here};
use crate::chip::strand::Strand;
use crate::chip::vis;
use crate::engine::exec::{Stop, compute, flushes};
use crate::engine::insn::{KINDS, Kind};
use sun4v::isa::{Op as Row, ROWS, Word, tt};

/// An operation; `imm` is its word.
pub(super) unsafe fn float<const K: u8>(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe {
        if !(*s).fp_on {
            return stop_here(op, s, left, x, Stop::Guest(tt::FP_DISABLED));
        }
        let kind: Kind = const { KINDS[K as usize] };
        if flushes(kind, &*s) {
            return by_word(op, s, w, left, x);
        }
        let Op { rd, a, b, .. } = *op;
        match compute(&mut *s, kind, rd, a, b) {
            Ok(()) => next(op, s, w, left, x),
            Err(why) => stop_here(op, s, left, x, why),
        }
    }
}

/// The same, off the fast path.
#[cold]
#[inline(never)]
unsafe fn by_word(
    op: *const Op,
    s: *mut Strand,
    _w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe {
        settle(op, s, left, x);
        match (*x).run.fpop_word(Word((*op).imm as u32)) {
            Ok(()) => resume(op, left, x),
            Err(why) => stop(op, x, why),
        }
    }
}

/// VIS operations of doubles that touch nothing but their registers and GSR; `R` is the
/// row. Row and word are as [`slow`] expects them.
pub(super) unsafe fn vis_double<const R: usize>(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe {
        if !(*s).fp_on {
            return stop_here(op, s, left, x, Stop::Guest(tt::FP_DISABLED));
        }
        let word = Word((*op).imm as u32);
        let row: Row = const { ROWS[R].op };
        let (a, b) = ((*s).double(word.rs1_double()), (*s).double(word.rs2_double()));
        match vis::op64(row, (*s).gsr, a, b, 0) {
            Some(value) => (*s).set_double(word.rd_double(), value),
            None => return slow(op, s, w, left, x),
        }
        next(op, s, w, left, x)
    }
}
