//! Traps that the guest serves itself, and its way back: inside a chain.

use super::op::{Context, Leave, Op, SLOT, refund, settle, slow, stop, uncount, window};
use super::transfer::jump_to;
use crate::chip::strand::{MAXPTL, Strand, pstate};
use crate::engine::exec::Stop;
use sun4v::isa::tt;

/// Goes on where the strand is, which is in no slot.
#[inline(always)]
unsafe fn go_on(left: i64, x: *mut Context<'_>) -> Leave {
    // SAFETY: strand and window are made anew.
    unsafe {
        let s = (*x).strand();
        jump_to((*s).pc, s, window(s), left, x)
    }
}

/// Takes the trap of an instruction that is settled.
#[inline(always)]
pub(super) unsafe fn take(
    op: *const Op,
    left: i64,
    x: *mut Context<'_>,
    tt: u16,
    cwp: Option<u8>,
) -> Leave {
    // SAFETY: `op` is of `x.block`.
    unsafe {
        if (*x).run.strand.tl >= MAXPTL {
            return stop(op, x, Stop::Guest(tt));
        }
        let left = left + refund(op, x);
        uncount(op, x);
        (*x).run.enter_trap(tt);
        if let Some(cwp) = cwp {
            (*x).run.strand.regs.set_cwp(cwp);
        }
        go_on(left, x)
    }
}

/// `ta number`; operands are those of [`slow`], and the number is the word's low byte.
pub(super) unsafe fn trap_always(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe {
        if (*s).tct || (*s).hyper {
            return slow(op, s, w, left, x);
        }
        settle(op, s, left, x);
        let number = (*op).imm as u8 & if (*s).has(pstate::PRIV) { 0xff } else { 0x7f };
        if number < 0x80 {
            return take(op, left, x, tt::TRAP_INSTRUCTION + u16::from(number), None);
        }
        uncount(op, x);
        (*x).number = number;
    }
    Leave::Call
}

/// DONE (`rd` is 1) and RETRY; operands are those of [`slow`] besides.
pub(super) unsafe fn leave_trap(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops; the window is made anew.
    unsafe {
        if !(*s).has(pstate::PRIV) || (*s).tl == 0 || (*s).tct || (*op).at & SLOT != 0 {
            return slow(op, s, w, left, x);
        }
        let left = left + refund(op, x);
        uncount(op, x);
        let run = &mut (*x).run;
        run.strand.leave((*op).rd != 0);
        run.strand.attention = false;
        run.strand.remode(run.core);
        let strand = &mut *run.strand;
        strand.tick = (*x).end.wrapping_sub(left as u64);
        if strand.interrupt().is_some() {
            return Leave::Sync;
        }
        if strand.npc != strand.pc.wrapping_add(4) & strand.am || strand.is_watched() {
            return Leave::Find;
        }
        go_on(left, x)
    }
}
