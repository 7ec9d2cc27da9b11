//! Transfers of control: the ends of blocks.
//!
//! Where a slot has to know that it is one, the branch is decided before it
//! ([`decide`]) and followed after it ([`end_decided`]); where it does not matter, the
//! slot's op comes first.

use super::block::{Block, KEY_ALWAYS, Link};
use super::op::{
    ANY, Context, Leave, Op, SLOT, address, begin, get, next, refund, second, settle, slow_restore,
    stop, stop_here, window,
};
use super::space::Jump;
use crate::chip::strand::{Strand, canonical};
use crate::engine::alu::holds;
use crate::engine::exec::{Stop, fp_holds};
use crate::engine::insn::{KINDS, Kind};
use sun4v::isa::tt;

/// Leaves for `pc`.
#[inline(always)]
unsafe fn leave(pc: u64, s: *mut Strand, left: i64, x: *mut Context<'_>, why: Leave) -> Leave {
    // SAFETY: `s` is the strand of the chain.
    unsafe {
        (*s).pc = pc;
        (*s).npc = pc.wrapping_add(4) & (*s).am;
        (*s).tick = (*x).end.wrapping_sub(left as u64);
    }
    why
}

/// Goes on in `target` when it fits.
#[inline(always)]
unsafe fn chain(
    target: *mut Block,
    pc: u64,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: whoever calls has compared the key for which `target` is good.
    unsafe {
        if left < (*target).need {
            return leave(pc, s, left, x, Leave::Find);
        }
        begin(target, s, w, left, x)
    }
}

/// Follows a link of the block.
#[inline(always)]
unsafe fn follow<const L: usize, const EXTRA: bool>(
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the block lives; a link whose key is right leads to one that does.
    unsafe {
        let link: *mut Link = &raw mut (*(*x).block).links[L];
        let left = if EXTRA { left - (*link).extra } else { left };
        let key = (*link).key;
        if key != KEY_ALWAYS && key != (*s).code_key {
            return unlinked(link, s, left, x);
        }
        chain((*link).block, (*link).pc, s, w, left, x)
    }
}

/// A link that leads nowhere yet.
#[cold]
#[inline(never)]
unsafe fn unlinked(link: *mut Link, s: *mut Strand, left: i64, x: *mut Context<'_>) -> Leave {
    // SAFETY: the link lives until the chain is left.
    unsafe {
        (*x).patch = link;
        leave((*link).pc, s, left, x, Leave::Find)
    }
}

/// Goes on at the first link.
pub(super) unsafe fn end(
    _op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe { follow::<0, true>(s, w, left, x) }
}

/// The same, after the link's ticks were taken.
pub(super) unsafe fn end_paid(
    _op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe { follow::<0, false>(s, w, left, x) }
}

/// Leaves at this instruction, for a step.
pub(super) unsafe fn end_step(
    op: *const Op,
    s: *mut Strand,
    _w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe { leave(address(op, x), s, left, x, Leave::Step) }
}

/// Does a branch of kind `K` go to the first link? `a` is its register; `b` inverts.
#[inline(always)]
unsafe fn is_taken<const K: u8, const A: u8>(op: *const Op, s: *mut Strand, w: *mut u64) -> bool {
    // SAFETY: the rules of ops.
    unsafe {
        let kind = const { KINDS[K as usize] };
        let register = K >= Kind::BrZ as u8;
        let a = if register { get::<A>((*op).a, op, s, w) } else { 0 };
        holds(kind, &(*s).cc, a)
    }
}

/// A conditional branch whose slot, if any, is behind us: one link or the other.
pub(super) unsafe fn end_branch<const K: u8, const A: u8>(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe {
        if is_taken::<K, A>(op, s, w) {
            follow::<0, true>(s, w, left, x)
        } else {
            follow::<1, true>(s, w, left, x)
        }
    }
}

/// What a decided branch means for its slot.
#[inline(always)]
unsafe fn note(first: bool, left: i64, x: *mut Context<'_>) -> i64 {
    // SAFETY: the block lives.
    unsafe {
        let link = &(&(*(*x).block).links)[usize::from(!first)];
        (*x).npc = link.pc;
        (*x).taken = first;
        left - link.extra
    }
}

/// BA before its slot.
pub(super) unsafe fn decide_always(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe {
        let left = note(true, left, x);
        next(op, s, w, left, x)
    }
}

/// A conditional branch before its slot.
pub(super) unsafe fn decide<const K: u8, const A: u8>(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe {
        let left = note(is_taken::<K, A>(op, s, w), left, x);
        next(op, s, w, left, x)
    }
}

/// After the slot of a decided branch.
pub(super) unsafe fn end_decided(
    _op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe {
        if (*x).taken {
            follow::<0, false>(s, w, left, x)
        } else {
            follow::<1, false>(s, w, left, x)
        }
    }
}

/// A conditional branch that annuls its slot when it is not taken; `b` inverts. The
/// taken link is the first one.
pub(super) unsafe fn decide_or_annul<const K: u8, const A: u8>(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe {
        if is_taken::<K, A>(op, s, w) != ((*op).b != 0) {
            let left = note(true, left, x);
            return next(op, s, w, left, x);
        }
        annul(op, s, w, left, x)
    }
}

/// Not taken: the slot, the block's last instruction, is not executed.
#[inline(always)]
unsafe fn annul(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops; the slot comes right behind the branch.
    unsafe {
        let block = (*x).block;
        let at = usize::from((*op).at & !SLOT);
        let ticks = refund(op, x);
        (*block).uncount(at + 1, (*x).run.counts);
        follow::<1, true>(s, w, left + ticks, x)
    }
}

/// FBfcc and FBPfcc before their slot: `rd` is the condition, `a` the code, `b` says
/// that the slot is annulled when it is not taken.
pub(super) unsafe fn decide_float(
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
        let taken = fp_holds((*op).rd, (*op).a, (*s).fsr);
        if !taken && (*op).b != 0 {
            return annul(op, s, w, left, x);
        }
        let left = note(taken, left, x);
        next(op, s, w, left, x)
    }
}

/// CALL: its address into `%o7`, before its slot.
pub(super) unsafe fn call(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops; `%o7` is the window's register 7.
    unsafe {
        *w.add(7) = address(op, x);
        let left = note(true, left, x);
        next(op, s, w, left, x)
    }
}

/// JMPL before its slot.
pub(super) unsafe fn jmpl(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe {
        let to = (*s).regs.get((*op).a).wrapping_add(second::<ANY>(op, s, w)) & (*s).am;
        if to & 3 != 0 || canonical(to) != to {
            return bad_target(op, s, left, x, to);
        }
        let pc = address(op, x);
        (*s).regs.set((*op).rd, pc);
        (*x).npc = to;
        let left = left - (&(*(*x).block).links)[0].extra;
        next(op, s, w, left, x)
    }
}

/// RETURN before its slot.
pub(super) unsafe fn return_(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops; the window is made anew.
    unsafe {
        if (*s).regs.canrestore == 0 {
            return slow_restore(op, s, left, x);
        }
        let to = (*s).regs.get((*op).a).wrapping_add(second::<ANY>(op, s, w)) & (*s).am;
        if to & 3 != 0 || canonical(to) != to {
            return bad_target(op, s, left, x, to);
        }
        (*s).regs.restore_window();
        (*x).npc = to;
        let left = left - (&(*(*x).block).links)[0].extra;
        next(op, s, window(s), left, x)
    }
}

#[cold]
#[inline(never)]
unsafe fn bad_target(
    op: *const Op,
    s: *mut Strand,
    left: i64,
    x: *mut Context<'_>,
    to: u64,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe {
        settle(op, s, left, x);
        match (*x).run.indirect_target(to) {
            Err(why) => stop(op, x, why),
            Ok(_) => stop(op, x, crate::engine::exec::illegal()),
        }
    }
}

/// After the slot of JMPL and RETURN.
pub(super) unsafe fn end_jump(
    _op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe { jump_to((*x).npc, s, w, left, x) }
}

/// Goes on at `pc`, with a block that has been found before.
#[inline(always)]
pub(super) unsafe fn jump_to(
    pc: u64,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: an entry whose key is right leads to a block that lives.
    unsafe {
        let jump = (*x).jumps.add(Jump::index(pc));
        if (*jump).pc != pc || (*jump).key != (*s).code_key {
            return leave(pc, s, left, x, Leave::Find);
        }
        chain((*jump).block, pc, s, w, left, x)
    }
}
