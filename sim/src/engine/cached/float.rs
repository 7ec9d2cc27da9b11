//! Floating-point operations that have a kind.

use super::op::{Context, Leave, Op, next, resume, settle, stop, stop_here};
use crate::chip::strand::Strand;
use crate::engine::exec::{Stop, compute, flushes};
use crate::engine::insn::{KINDS, Kind};
use sun4v::isa::{Word, tt};

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
