//! Ops: what blocks are made of, and how one leads to the next.
//!
//! An op is a function and its operands. The function gets the strand, its window, the
//! ticks left, and everything else; it ends by calling the next op's. Where operands
//! lie is part of the function: in the globals, in the window, in the op.
//!
//! **Unsafe.** Room 2 of the ledger. What holds while a chain runs:
//!
//! - `op` points into the ops of `x.block`, and a block ends with an op that has no
//!   next one. Blocks are freed by [`super::space`] only, between chains.
//! - `s` is `x.run.strand`, and `w` its current window. Whoever uses `x.run` makes both
//!   anew afterwards ([`Context::strand`], [`window`]).
//! - Register numbers in an op are below 9 for globals and below 24 for the window:
//!   [`super::build`] makes them so.

use super::block::{Block, Link};
use super::space::{Jump, Space};
use super::trap::take;
use crate::chip::strand::Strand;
use crate::chip::tlb::Soft;
use crate::engine::alu::{alu, quotient};
use crate::engine::exec::{Flow, Run, Stop, cc_holds, register_holds};
use crate::engine::insn::{KINDS, Kind};
use crate::mem::Door;
use sun4v::isa::{ROWS, Word, tt};

/// Why a chain came back; `pc`, `npc` and `tick` are in the strand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Leave {
    /// The next block is to be found.
    Find,
    /// Something changed: look at modes and interrupts.
    Sync,
    /// Somebody else's turn.
    Spin,
    /// One instruction has to be stepped over.
    Step,
    /// A hypercall: [`Context::number`].
    Call,
    /// [`Context::stop`] says why.
    Stop,
}

/// What an op does.
pub(super) type Handler =
    for<'a> unsafe fn(*const Op, *mut Strand, *mut u64, i64, *mut Context<'a>) -> Leave;

/// An op.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Op {
    pub(super) run: Handler,
    /// Destination.
    pub(super) rd: u8,
    /// First source.
    pub(super) a: u8,
    /// Second source.
    pub(super) b: u8,
    /// Which instruction of its block, and [`SLOT`].
    pub(super) at: u8,
    /// Immediate.
    pub(super) imm: i32,
}

const _: () = assert!(size_of::<Op>() == 16);

/// In [`Op::at`]: it stands in a delay slot, and goes on at [`Context::npc`].
pub(super) const SLOT: u8 = 0x80;

/// A register of the globals.
pub(super) const G: u8 = 0;
/// A register of the window.
pub(super) const W: u8 = 1;
/// The immediate.
pub(super) const I: u8 = 2;
/// A register by its number, or the sum of it and the immediate.
pub(super) const ANY: u8 = 3;

/// Everything that a chain needs besides the strand.
pub(super) struct Context<'a> {
    pub(super) block: *mut Block,
    pub(super) soft: *const Soft,
    pub(super) ram: Door,
    /// Where an instruction in a slot goes on.
    pub(super) npc: u64,
    /// Which link that is.
    pub(super) taken: bool,
    /// The tick at which nothing is left.
    pub(super) end: u64,
    pub(super) jumps: *const Jump,
    /// The address of an access that goes the long way.
    pub(super) ea: u64,
    /// The link by which the chain was left.
    pub(super) patch: *mut Link,
    /// [`crate::engine::Code::changes`] when it was last looked at.
    pub(super) changes: u64,
    pub(super) stop: Option<Stop>,
    pub(super) number: u8,
    pub(super) run: Run<'a>,
}

impl<'a> Context<'a> {
    pub(super) fn new(run: Run<'a>, space: &Space) -> Self {
        Self {
            block: std::ptr::null_mut(),
            soft: run.core.soft.as_ptr(),
            ram: run.ram.door(),
            npc: 0,
            taken: false,
            end: 0,
            jumps: space.jumps(),
            ea: 0,
            patch: std::ptr::null_mut(),
            changes: run.code.changes,
            stop: None,
            number: 0,
            run,
        }
    }

    /// The strand, for ops.
    #[inline(always)]
    pub(super) fn strand(&mut self) -> *mut Strand {
        &raw mut *self.run.strand
    }
}

/// The current window of a strand.
#[inline(always)]
pub(super) unsafe fn window(s: *mut Strand) -> *mut u64 {
    // SAFETY: `s` is the strand of the chain, and a window lies inside the file.
    unsafe { (&raw mut (*s).regs.file).cast::<u64>().add((*s).regs.base()) }
}

/// Ticks that a block which was just found needs.
pub(super) fn need(block: *mut Block) -> u64 {
    // SAFETY: it was just found, so it lives.
    unsafe { (*block).need as u64 }
}

/// Runs a chain from `block` on, with `left` ticks; `None` when it does not fit.
pub(super) fn enter(x: &mut Context<'_>, block: *mut Block, left: i64) -> Option<Leave> {
    // SAFETY: `block` was just found, so it lives, and no other chain runs.
    unsafe {
        if left < (*block).need {
            return None;
        }
        x.end = x.run.strand.tick + left as u64;
        x.patch = std::ptr::null_mut();
        let s = x.strand();
        Some(begin(block, s, window(s), left, x))
    }
}

/// Begins a block that fits.
#[inline(always)]
pub(super) unsafe fn begin(
    block: *mut Block,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: `block` lives, and its first op is of it.
    unsafe {
        (*x).block = block;
        (*block).runs = (*block).runs.wrapping_add(1);
        let op = (*block).first;
        ((*op).run)(op, s, w, left - (*block).cost, x)
    }
}

/// The next op.
#[inline(always)]
pub(super) unsafe fn next(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: only the last op of a block has no next one, and it does not come here.
    unsafe {
        let op = op.add(1);
        ((*op).run)(op, s, w, left, x)
    }
}

/// Reads a register, or the immediate.
#[inline(always)]
pub(super) unsafe fn get<const M: u8>(n: u8, op: *const Op, s: *mut Strand, w: *mut u64) -> u64 {
    // SAFETY: numbers in an op lie inside the globals and the window.
    unsafe {
        match M {
            G => *(&raw mut (*s).regs.globals).cast::<u64>().add(usize::from(n)),
            W => *w.add(usize::from(n)),
            I => i64::from((*op).imm) as u64,
            _ => (*s).regs.get(n),
        }
    }
}

/// The second operand.
#[inline(always)]
pub(super) unsafe fn second<const M: u8>(op: *const Op, s: *mut Strand, w: *mut u64) -> u64 {
    // SAFETY: as `get`.
    unsafe {
        let value = get::<M>((*op).b, op, s, w);
        if M == ANY { value.wrapping_add(i64::from((*op).imm) as u64) } else { value }
    }
}

/// Writes a register.
#[inline(always)]
pub(super) unsafe fn put<const M: u8>(n: u8, value: u64, s: *mut Strand, w: *mut u64) {
    // SAFETY: as `get`.
    unsafe {
        match M {
            G => *(&raw mut (*s).regs.globals).cast::<u64>().add(usize::from(n)) = value,
            W => *w.add(usize::from(n)) = value,
            _ => (*s).regs.set(n, value),
        }
    }
}

/// Ticks that instructions behind this one have taken already.
#[inline(always)]
pub(super) unsafe fn refund(op: *const Op, x: *mut Context<'_>) -> i64 {
    // SAFETY: `op` is of `x.block`, and there is an entry for each instruction.
    unsafe {
        let after = &(*(*x).block).after;
        i64::from(*after.get_unchecked(usize::from((*op).at & !SLOT)))
    }
}

/// The address of the op's instruction.
#[inline(always)]
pub(super) unsafe fn address(op: *const Op, x: *mut Context<'_>) -> u64 {
    // SAFETY: `op` is of `x.block`.
    unsafe { (*(*x).block).pc + u64::from((*op).at & !SLOT) * 4 }
}

/// Puts into the strand that this instruction is being executed.
#[inline(always)]
pub(super) unsafe fn settle(op: *const Op, s: *mut Strand, left: i64, x: *mut Context<'_>) {
    // SAFETY: `s` is the strand and `op` of `x.block`.
    unsafe {
        let pc = address(op, x);
        (*s).pc = pc;
        (*s).npc = if (*op).at & SLOT != 0 { (*x).npc } else { pc.wrapping_add(4) & (*s).am };
        (*s).tick = (*x).end.wrapping_sub((left + refund(op, x)) as u64);
    }
}

/// Leaves a settled instruction that will not be followed by the rest of its block.
#[inline(always)]
pub(super) unsafe fn uncount(op: *const Op, x: *mut Context<'_>) {
    // SAFETY: `op` is of `x.block`.
    unsafe {
        let from = usize::from((*op).at & !SLOT) + 1;
        (*(*x).block).uncount(from, (*x).run.counts);
    }
}

/// Stops at this instruction, which is settled.
#[cold]
pub(super) unsafe fn stop(op: *const Op, x: *mut Context<'_>, stop: Stop) -> Leave {
    // SAFETY: `op` is of `x.block`.
    unsafe {
        uncount(op, x);
        (*x).stop = Some(stop);
    }
    Leave::Stop
}

/// Stops at this instruction.
#[cold]
#[inline(never)]
pub(super) unsafe fn stop_here(
    op: *const Op,
    s: *mut Strand,
    left: i64,
    x: *mut Context<'_>,
    why: Stop,
) -> Leave {
    // SAFETY: as the two that it calls.
    unsafe {
        settle(op, s, left, x);
        stop(op, x, why)
    }
}

/// Goes on after an instruction that is settled and complete: with the next op, unless
/// decoded instructions have changed.
#[inline(always)]
pub(super) unsafe fn resume(op: *const Op, left: i64, x: *mut Context<'_>) -> Leave {
    // SAFETY: `op` is of `x.block`; strand and window are made anew.
    unsafe {
        if (*x).run.code.changes != (*x).changes {
            return leave_after(op, x, Leave::Find);
        }
        let s = (*x).strand();
        next(op, s, window(s), left, x)
    }
}

/// Leaves after an instruction that is settled and complete.
#[cold]
unsafe fn leave_after(op: *const Op, x: *mut Context<'_>, leave: Leave) -> Leave {
    // SAFETY: `op` is of `x.block`.
    unsafe {
        uncount(op, x);
        (*x).run.advance();
    }
    leave
}

/// An integer instruction that cannot trap.
pub(super) unsafe fn arithmetic<const K: u8, const A: u8, const B: u8, const D: u8>(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules above.
    unsafe {
        let (a, b) = (get::<A>((*op).a, op, s, w), second::<B>(op, s, w));
        let value = alu(const { KINDS[K as usize] }, &mut (*s).cc, &mut (*s).y, a, b);
        put::<D>((*op).rd, value, s, w);
        next(op, s, w, left, x)
    }
}

/// SETHI.
pub(super) unsafe fn sethi<const D: u8>(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules above.
    unsafe {
        put::<D>((*op).rd, u64::from((*op).imm as u32), s, w);
        next(op, s, w, left, x)
    }
}

/// UDIVX and SDIVX.
pub(super) unsafe fn divide<const K: u8>(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules above.
    unsafe {
        let (a, b) = (get::<ANY>((*op).a, op, s, w), second::<ANY>(op, s, w));
        match quotient(const { KINDS[K as usize] }, a, b) {
            Some(value) => put::<ANY>((*op).rd, value, s, w),
            None => return stop_here(op, s, left, x, Stop::Guest(tt::DIVISION_BY_ZERO)),
        }
        next(op, s, w, left, x)
    }
}

/// MOVcc on `icc` or `xcc`; `a` is the condition.
pub(super) unsafe fn move_cc<const K: u8>(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules above.
    unsafe {
        let cc = &(*s).cc;
        let code = if K == Kind::MovIcc as u8 { cc.icc() } else { cc.xcc() };
        if cc_holds((*op).a, code) {
            put::<ANY>((*op).rd, second::<ANY>(op, s, w), s, w);
        }
        next(op, s, w, left, x)
    }
}

/// MOVr.
pub(super) unsafe fn move_register(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules above.
    unsafe {
        if register_holds(((*op).imm >> 16) as u8, (*s).regs.get((*op).a)) {
            let value = (*s).regs.get((*op).b).wrapping_add((*op).imm as i16 as u64);
            put::<ANY>((*op).rd, value, s, w);
        }
        next(op, s, w, left, x)
    }
}

/// SAVE.
pub(super) unsafe fn save(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules above; the window is made anew.
    unsafe {
        let regs = &mut (*s).regs;
        if regs.cansave == 0 || regs.cleanwin == regs.canrestore {
            return slow_save(op, s, left, x);
        }
        let sum = regs.get((*op).a).wrapping_add(second::<ANY>(op, s, w));
        let regs = &mut (*s).regs;
        regs.save_window();
        regs.set((*op).rd, sum);
        next(op, s, window(s), left, x)
    }
}

/// RESTORE.
pub(super) unsafe fn restore(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules above; the window is made anew.
    unsafe {
        let regs = &mut (*s).regs;
        if regs.canrestore == 0 {
            return slow_restore(op, s, left, x);
        }
        let sum = regs.get((*op).a).wrapping_add(second::<ANY>(op, s, w));
        let regs = &mut (*s).regs;
        regs.restore_window();
        regs.set((*op).rd, sum);
        next(op, s, window(s), left, x)
    }
}

/// A SAVE that traps.
#[inline(never)]
unsafe fn slow_save(op: *const Op, s: *mut Strand, left: i64, x: *mut Context<'_>) -> Leave {
    // SAFETY: the rules above.
    unsafe {
        settle(op, s, left, x);
        match (*x).run.check_save() {
            Err(Stop::Window(tt, cwp)) => take(op, left, x, tt, Some(cwp)),
            Err(why) => stop(op, x, why),
            Ok(()) => resume(op, left, x),
        }
    }
}

/// A RESTORE or RETURN that traps.
#[inline(never)]
pub(super) unsafe fn slow_restore(
    op: *const Op,
    s: *mut Strand,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules above.
    unsafe {
        settle(op, s, left, x);
        match (*x).run.check_fill() {
            Err(Stop::Window(tt, cwp)) => take(op, left, x, tt, Some(cwp)),
            Err(why) => stop(op, x, why),
            Ok(()) => resume(op, left, x),
        }
    }
}

/// Any instruction, by its table row: `a` is the row, `imm` the word.
#[inline(never)]
pub(super) unsafe fn slow(
    op: *const Op,
    s: *mut Strand,
    _w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules above.
    unsafe {
        settle(op, s, left, x);
        let row = ROWS[usize::from((*op).a) % ROWS.len()].op;
        match (*x).run.slow(row, Word((*op).imm as u32)) {
            Ok(Flow::Next) => resume(op, left, x),
            Ok(Flow::Sync) => leave_after(op, x, Leave::Sync),
            Ok(Flow::Spin) => leave_after(op, x, Leave::Spin),
            Ok(Flow::Jump) => {
                uncount(op, x);
                Leave::Sync
            }
            Err(why) => stop(op, x, why),
        }
    }
}

/// No instruction.
pub(super) unsafe fn illegal(
    op: *const Op,
    s: *mut Strand,
    _w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules above.
    unsafe {
        let why = (*x).run.no_instruction((*op).imm as u32);
        stop_here(op, s, left, x, why)
    }
}
