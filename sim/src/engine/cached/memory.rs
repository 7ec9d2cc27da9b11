//! Loads and stores by implicit ASI.
//!
//! The software cache of translations says in one compare whether an access needs no
//! further thought. What needs it goes through [`Run`](crate::engine::exec::Run).

use super::op::{Context, Leave, Op, get, next, put, resume, second, settle, stop, stop_here};
use crate::chip::strand::{Strand, fprs};
use crate::chip::tlb::soft_index;
use crate::engine::exec::Stop;
use crate::engine::insn::Kind;
use crate::mem::Word;
use sun4v::addr::{PAGE_BYTES, Pa};
use sun4v::isa::tt;

/// The effective address.
#[inline(always)]
unsafe fn ea<const A: u8, const B: u8>(op: *const Op, s: *mut Strand, w: *mut u64) -> u64 {
    // SAFETY: the rules of ops.
    unsafe { get::<A>((*op).a, op, s, w).wrapping_add(second::<B>(op, s, w)) & (*s).am }
}

/// Where a load may go at once.
#[inline(always)]
unsafe fn load_at<T: Word>(ea: u64, s: *mut Strand, x: *mut Context<'_>) -> Option<Pa> {
    // SAFETY: the index is below the length of the software cache.
    unsafe {
        let soft = (*x).soft.add(soft_index(ea));
        let hit = (*soft).load == ea & !(PAGE_BYTES - T::BYTES) && (*soft).key == (*s).key;
        hit.then(|| Pa(ea.wrapping_add((*soft).delta)))
    }
}

/// Where a store may go at once.
#[inline(always)]
unsafe fn store_at<T: Word>(ea: u64, s: *mut Strand, x: *mut Context<'_>) -> Option<Pa> {
    // SAFETY: the index is below the length of the software cache.
    unsafe {
        let soft = (*x).soft.add(soft_index(ea));
        let hit = (*soft).store == ea & !(PAGE_BYTES - T::BYTES) && (*soft).key == (*s).key;
        hit.then(|| Pa(ea.wrapping_add((*soft).delta)))
    }
}

macro_rules! loads {
    ($($name:ident $slow:ident: $word:ty => $extend:ty;)*) => {$(
        pub(super) unsafe fn $name<const A: u8, const B: u8, const D: u8>(
            op: *const Op, s: *mut Strand, w: *mut u64, left: i64, x: *mut Context<'_>,
        ) -> Leave {
            // SAFETY: the rules of ops; a hit lies inside the memory.
            unsafe {
                let ea = ea::<A, B>(op, s, w);
                let Some(pa) = load_at::<$word>(ea, s, x) else {
                    (*x).ea = ea;
                    return $slow::<D>(op, s, w, left, x);
                };
                let word: $word = (*x).ram.load(pa);
                put::<D>((*op).rd, word as $extend as u64, s, w);
                next(op, s, w, left, x)
            }
        }

        #[cold]
        #[inline(never)]
        unsafe fn $slow<const D: u8>(
            op: *const Op, s: *mut Strand, _w: *mut u64, left: i64, x: *mut Context<'_>,
        ) -> Leave {
            // SAFETY: the rules of ops.
            unsafe {
                settle(op, s, left, x);
                match (*x).run.load_slow::<$word>((*x).ea) {
                    Ok(word) => {
                        let s = (*x).strand();
                        put::<D>((*op).rd, word as $extend as u64, s, super::op::window(s));
                        resume(op, left, x)
                    }
                    Err(why) => stop(op, x, why),
                }
            }
        }
    )*};
}

loads! {
    ldub slow_ldub: u8 => u8;
    lduh slow_lduh: u16 => u16;
    lduw slow_lduw: u32 => u32;
    ldx slow_ldx: u64 => u64;
    ldsb slow_ldsb: u8 => i8;
    ldsh slow_ldsh: u16 => i16;
    ldsw slow_ldsw: u32 => i32;
}

macro_rules! stores {
    ($($name:ident $slow:ident: $word:ty;)*) => {$(
        pub(super) unsafe fn $name<const A: u8, const B: u8, const D: u8>(
            op: *const Op, s: *mut Strand, w: *mut u64, left: i64, x: *mut Context<'_>,
        ) -> Leave {
            // SAFETY: the rules of ops; a hit lies inside the memory.
            unsafe {
                let ea = ea::<A, B>(op, s, w);
                let word = get::<D>((*op).rd, op, s, w) as $word;
                let Some(pa) = store_at::<$word>(ea, s, x) else {
                    (*x).ea = ea;
                    return $slow::<D>(op, s, w, left, x);
                };
                (*x).ram.store(pa, word);
                next(op, s, w, left, x)
            }
        }

        #[cold]
        #[inline(never)]
        unsafe fn $slow<const D: u8>(
            op: *const Op, s: *mut Strand, w: *mut u64, left: i64, x: *mut Context<'_>,
        ) -> Leave {
            // SAFETY: the rules of ops.
            unsafe {
                let word = get::<D>((*op).rd, op, s, w) as $word;
                settle(op, s, left, x);
                match (*x).run.store_slow((*x).ea, word) {
                    Ok(()) => resume(op, left, x),
                    Err(why) => stop(op, x, why),
                }
            }
        }
    )*};
}

stores! {
    stb slow_stb: u8;
    sth slow_sth: u16;
    stw slow_stw: u32;
    stx slow_stx: u64;
}

/// LDF, LDDF, STF and STDF.
pub(super) unsafe fn float<const K: u8, const A: u8, const B: u8>(
    op: *const Op,
    s: *mut Strand,
    w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops; a hit lies inside the memory.
    unsafe {
        if !(*s).fp_on {
            return stop_here(op, s, left, x, Stop::Guest(tt::FP_DISABLED));
        }
        let ea = ea::<A, B>(op, s, w);
        let rd = (*op).rd;
        let done = if K == Kind::Ldf as u8 {
            load_at::<u32>(ea, s, x).map(|pa| {
                let word = (*x).ram.load(pa);
                (*s).set_single(rd, word);
            })
        } else if K == Kind::Lddf as u8 {
            load_at::<u64>(ea, s, x).map(|pa| {
                (*s).fp[usize::from(rd >> 1 & 31)] = (*x).ram.load(pa);
                (*s).fprs |= if rd < 32 { fprs::DL } else { fprs::DU };
            })
        } else if K == Kind::Stf as u8 {
            store_at::<u32>(ea, s, x).map(|pa| (*x).ram.store(pa, (*s).single(rd)))
        } else {
            store_at::<u64>(ea, s, x).map(|pa| (*x).ram.store(pa, (*s).double(rd)))
        };
        if done.is_none() {
            (*x).ea = ea;
            return slow_float::<K>(op, s, w, left, x);
        }
        next(op, s, w, left, x)
    }
}

#[cold]
#[inline(never)]
unsafe fn slow_float<const K: u8>(
    op: *const Op,
    s: *mut Strand,
    _w: *mut u64,
    left: i64,
    x: *mut Context<'_>,
) -> Leave {
    // SAFETY: the rules of ops.
    unsafe {
        settle(op, s, left, x);
        let (ea, rd) = ((*x).ea, (*op).rd);
        let run = &mut (*x).run;
        let result = if K == Kind::Ldf as u8 {
            run.load_slow::<u32>(ea).map(|word| run.strand.set_single(rd, word))
        } else if K == Kind::Lddf as u8 {
            run.load_double_slow(ea).map(|word| run.strand.set_double(rd, word))
        } else if K == Kind::Stf as u8 {
            run.store_slow(ea, run.strand.single(rd))
        } else {
            run.store_double_slow(ea, run.strand.double(rd))
        };
        match result {
            Ok(()) => resume(op, left, x),
            Err(why) => stop(op, x, why),
        }
    }
}
