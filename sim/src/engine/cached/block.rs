//! Blocks and the links between them.

use super::op::Op;
use crate::chip::tlb::KEY_NONE;
use crate::engine::Counts;
use crate::engine::class::Class;

/// Instructions of a block, at most; the top bit of [`Op::at`] is not a number.
pub(super) const INSNS_MAX: usize = 64;

/// The key of a link that is good as long as its block is.
pub(super) const KEY_ALWAYS: u64 = KEY_NONE - 1;

/// Where a block goes on.
pub(super) struct Link {
    /// The address of the next instruction.
    pub(super) pc: u64,
    /// For which key `block` is good.
    pub(super) key: u64,
    /// The block there, once it is known.
    pub(super) block: *mut Block,
    /// More ticks when it is followed.
    pub(super) extra: i64,
}

impl Link {
    /// One that leads nowhere yet.
    pub(super) const fn to(pc: u64, extra: i64) -> Self {
        Self { pc, key: KEY_NONE, block: std::ptr::null_mut(), extra }
    }
}

/// A run of decoded instructions.
pub(super) struct Block {
    /// Ticks of its instructions.
    pub(super) cost: i64,
    /// Ticks that must be left for it to be entered.
    pub(super) need: i64,
    /// How often it was entered since it was made.
    pub(super) runs: u64,
    /// The first of `ops`.
    pub(super) first: *const Op,
    /// Address of its first instruction.
    pub(super) pc: u64,
    /// Where it goes on: taken, or always; and not taken.
    pub(super) links: [Link; 2],
    /// Which page it is of: [`super::space::Page`] numbers.
    pub(super) page: usize,
    /// Class of each instruction.
    pub(super) classes: Box<[Class]>,
    /// For each instruction, the ticks of those behind it.
    pub(super) after: Box<[u32]>,
    /// What is executed.
    pub(super) ops: Box<[Op]>,
}

impl Block {
    /// Counts it as executed `runs` times.
    pub(super) fn add_to(&self, counts: &mut Counts) {
        counts.instructions =
            counts.instructions.wrapping_add(self.runs.wrapping_mul(self.classes.len() as u64));
        for &class in &*self.classes {
            let count = &mut counts.classes[class as usize];
            *count = count.wrapping_add(self.runs);
        }
    }

    /// Takes back what instructions from `from` on were counted for.
    pub(super) fn uncount(&self, from: usize, counts: &mut Counts) {
        let rest = self.classes.get(from..).unwrap_or_default();
        counts.instructions = counts.instructions.wrapping_sub(rest.len() as u64);
        for &class in rest {
            let count = &mut counts.classes[class as usize];
            *count = count.wrapping_sub(1);
        }
    }
}
