//! Accesses that name their address space, and the VIS operations that go with them:
//! what kernels copy and clear memory with.
//!
//! The common spaces are one compare away from memory, as implicit accesses are: the
//! software cache holds the key of each. Everything else is
//! [`Run::slow`](crate::engine::exec::Run::slow)'s, byte order and faults included.
//! These ops keep row and word as [`slow`] expects them.

use super::op::{Context, Leave, Op, next, slow, stop_here};
use crate::chip::strand::{Strand, pstate};
use crate::chip::tlb::{KEY_REAL, KEY_USER, soft_index};
use crate::chip::vis;
use crate::engine::exec::Stop;
use crate::mem::Word as Cell;
use sun4v::addr::{PAGE_BYTES, Pa};
use sun4v::isa::{Op as Row, ROWS, Word, asi, tt};

/// What an ASI stands for, as far as it is common.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// Sixteen-byte loads, and stores that initialise their line.
    Twin,
    /// 64 bytes.
    Block,
}

/// The key of an ASI's pages in the software cache, and how it accesses them; `None` for
/// what is not common.
#[inline(always)]
unsafe fn key<const STORE: bool>(
    number: u8,
    s: *mut Strand,
    x: *mut Context<'_>,
) -> Option<(u64, Form)> {
    // SAFETY: `s` is the strand.
    let strand = unsafe { &*s };
    let privileged = strand.has(pstate::PRIV);
    if number < 0x80 && !privileged || !strand.mmu_on {
        return None;
    }
    let own = if privileged { 0 } else { KEY_USER };
    let [p0, p1, s0, s1] = strand.contexts;
    let (contexts, flags, form) = match number {
        asi::PRIMARY => ([p0, p1], own, Form::Plain),
        asi::SECONDARY => ([s0, s1], own, Form::Plain),
        asi::PRIMARY_NO_FAULT if !STORE => ([p0, p1], own, Form::Plain),
        asi::SECONDARY_NO_FAULT if !STORE => ([s0, s1], own, Form::Plain),
        asi::NUCLEUS => ([0, 0], own, Form::Plain),
        asi::AS_IF_USER_PRIMARY => ([p0, p1], KEY_USER, Form::Plain),
        asi::AS_IF_USER_SECONDARY => ([s0, s1], KEY_USER, Form::Plain),
        asi::REAL => ([0, 0], KEY_REAL, Form::Plain),
        asi::TWINX_PRIMARY => ([p0, p1], own, Form::Twin),
        asi::TWINX_SECONDARY => ([s0, s1], own, Form::Twin),
        asi::TWINX_NUCLEUS => ([0, 0], own, Form::Twin),
        asi::TWINX_AS_IF_USER_PRIMARY => ([p0, p1], KEY_USER, Form::Twin),
        asi::TWINX_AS_IF_USER_SECONDARY => ([s0, s1], KEY_USER, Form::Twin),
        asi::BLOCK_PRIMARY => ([p0, p1], own, Form::Block),
        asi::BLOCK_SECONDARY => ([s0, s1], own, Form::Block),
        asi::BLOCK_AS_IF_USER_PRIMARY => ([p0, p1], KEY_USER, Form::Block),
        asi::BLOCK_AS_IF_USER_SECONDARY => ([s0, s1], KEY_USER, Form::Block),
        _ => return None,
    };
    // SAFETY: nobody else uses the run in between.
    Some((unsafe { (*x).run.core.key(contexts, flags) }, form))
}

/// Where an access of `bytes` goes at once, and how.
#[inline(always)]
unsafe fn place<const STORE: bool>(
    w: Word,
    bytes: u64,
    s: *mut Strand,
    x: *mut Context<'_>,
) -> Option<(Pa, Form, u64)> {
    // SAFETY: `s` is the strand, and the index is below the length of the cache.
    unsafe {
        let second = if w.i() { w.simm13() as u64 } else { (*s).regs.get(w.rs2()) };
        let ea = (*s).regs.get(w.rs1()).wrapping_add(second) & (*s).am;
        let number = if w.i() { (*s).asi } else { w.imm_asi() };
        let (key, form) = key::<STORE>(number, s, x)?;
        let soft = (*x).soft.add(soft_index(ea));
        let page = if STORE { (*soft).store } else { (*soft).load };
        let hit = page == ea & !(PAGE_BYTES - bytes) && (*soft).key == key;
        hit.then(|| (Pa(ea.wrapping_add((*soft).delta)), form, ea))
    }
}

/// The word of an op.
#[inline(always)]
unsafe fn word(op: *const Op) -> Word {
    // SAFETY: `op` is of the block.
    Word(unsafe { (*op).imm } as u32)
}

macro_rules! loads {
    ($($name:ident: $word:ty => $extend:ty;)*) => {$(
        pub(super) unsafe fn $name(
            op: *const Op, s: *mut Strand, w: *mut u64, left: i64, x: *mut Context<'_>,
        ) -> Leave {
            // SAFETY: the rules of ops; a hit lies inside the memory.
            unsafe {
                let word = word(op);
                match place::<false>(word, <$word>::BYTES, s, x) {
                    Some((pa, Form::Plain, _)) => {
                        let value: $word = (*x).ram.load(pa);
                        (*s).regs.set(word.rd(), value as $extend as u64);
                        next(op, s, w, left, x)
                    }
                    _ => slow(op, s, w, left, x),
                }
            }
        }
    )*};
}

loads! {
    lduba: u8 => u8;
    lduha: u16 => u16;
    lduwa: u32 => u32;
    ldxa: u64 => u64;
    ldsba: u8 => i8;
    ldsha: u16 => i16;
    ldswa: u32 => i32;
}

macro_rules! stores {
    ($($name:ident: $word:ty;)*) => {$(
        pub(super) unsafe fn $name(
            op: *const Op, s: *mut Strand, w: *mut u64, left: i64, x: *mut Context<'_>,
        ) -> Leave {
            // SAFETY: the rules of ops; a hit lies inside the memory, and so does its line.
            unsafe {
                let word = word(op);
                match place::<true>(word, <$word>::BYTES, s, x) {
                    Some((pa, form @ (Form::Plain | Form::Twin), ea)) => {
                        if form == Form::Twin && ea & 63 == 0 {
                            (0..8).for_each(|n| (*x).ram.store(pa.offset(n * 8), 0u64));
                        }
                        (*x).ram.store(pa, (*s).regs.get(word.rd()) as $word);
                        next(op, s, w, left, x)
                    }
                    _ => slow(op, s, w, left, x),
                }
            }
        }
    )*};
}

stores! {
    stba: u8;
    stha: u16;
    stwa: u32;
    stxa: u64;
}

/// LDTWA: sixteen bytes, by the ASIs that say so.
pub(super) unsafe fn load_pair(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops; a hit lies inside the memory.
    unsafe {
        let word = word(op);
        match place::<false>(word, 16, s, x) {
            Some((pa, Form::Twin, _)) => {
                let (first, second) = ((*x).ram.load(pa), (*x).ram.load(pa.offset(8)));
                (*s).regs.set(word.rd(), first);
                (*s).regs.set(word.rd() | 1, second);
                next(op, s, w, left, x)
            }
            _ => slow(op, s, w, left, x),
        }
    }
}

/// LDDFA and STDFA of 64 bytes.
pub(super) unsafe fn block<const STORE: bool>(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops; a hit lies inside the memory.
    unsafe {
        let word = word(op);
        let rd = word.rd_double();
        if !(*s).fp_on || rd & 15 != 0 {
            return slow(op, s, w, left, x);
        }
        let Some((pa, Form::Block, _)) = place::<STORE>(word, 64, s, x) else {
            return slow(op, s, w, left, x);
        };
        for n in 0..8u8 {
            let at = pa.offset(u64::from(n) * 8);
            if STORE {
                (*x).ram.store(at, (*s).double(rd + n * 2));
            } else {
                (*s).set_double(rd + n * 2, (*x).ram.load(at));
            }
        }
        next(op, s, w, left, x)
    }
}

/// VIS operations of doubles that touch nothing but their registers and GSR; `R` is the
/// row.
pub(super) unsafe fn vis<const R: usize>(
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
        let word = word(op);
        let row: Row = const { ROWS[R].op };
        let (a, b) = ((*s).double(word.rs1_double()), (*s).double(word.rs2_double()));
        match vis::op64(row, (*s).gsr, a, b, 0) {
            Some(value) => (*s).set_double(word.rd_double(), value),
            None => return slow(op, s, w, left, x),
        }
        next(op, s, w, left, x)
    }
}
