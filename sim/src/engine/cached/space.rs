//! Where blocks are kept and found.
//!
//! **Unsafe.** Room 2 of the ledger: a space owns its blocks, as pointers, since links
//! lead from one to another. They are freed when their page has another version, when
//! there are too many, and with the space; each time no chain runs, and no key is good
//! any longer by which a link or a jump would lead to them.

use super::block::{Block, KEY_ALWAYS};
use super::build;
use super::op::Context;
use crate::chip::tlb::{KEY_AM, KEY_NONE, KEY_REAL};
use crate::engine::code::PAGE_INSNS;
use crate::engine::exec::Stop;
use crate::engine::{CLASSES, Counts};
use std::collections::BTreeMap;
use sun4v::addr::PAGE_BYTES;

/// Ops that are kept.
const OPS_MAX: usize = 4 << 20;
/// Pages of blocks that are kept.
const PAGES_MAX: usize = 8192;
const JUMPS: usize = 4096;

/// A block that was found by its address before.
#[derive(Clone, Copy)]
pub(super) struct Jump {
    pub(super) pc: u64,
    pub(super) key: u64,
    pub(super) block: *mut Block,
}

impl Jump {
    const NONE: Self = Self { pc: 0, key: KEY_NONE, block: std::ptr::null_mut() };

    /// Where the block at `pc` would be.
    #[inline(always)]
    pub(super) const fn index(pc: u64) -> usize {
        (pc >> 2 ^ pc >> 14) as usize & (JUMPS - 1)
    }
}

/// Blocks of one page of instructions at one address.
struct Page {
    version: u64,
    /// By instruction.
    entries: Box<[*mut Block; PAGE_INSNS]>,
    blocks: Vec<*mut Block>,
}

/// Instructions that blocks which are no more have executed.
#[derive(Default)]
struct Retired {
    instructions: u64,
    classes: [u64; CLASSES],
}

/// All blocks of a domain.
pub(super) struct Space {
    pages: Vec<Page>,
    /// By page of instructions, address, and what else blocks depend on.
    numbers: BTreeMap<(u32, u64, u64), usize>,
    jumps: Box<[Jump; JUMPS]>,
    ops: usize,
    retired: Retired,
}

impl Default for Space {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            numbers: BTreeMap::new(),
            jumps: Box::new([Jump::NONE; JUMPS]),
            ops: 0,
            retired: Retired::default(),
        }
    }
}

// SAFETY: the pointers lead to blocks that only this space has, and in them to each
// other; nothing of them is bound to a thread.
unsafe impl Send for Space {}

impl Drop for Space {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Space {
    /// The table of blocks by address.
    pub(super) fn jumps(&self) -> *const Jump {
        self.jumps.as_ptr()
    }

    /// Adds what its blocks have executed.
    pub(super) fn pending(&self, counts: &mut Counts) {
        counts.instructions = counts.instructions.wrapping_add(self.retired.instructions);
        for (count, more) in counts.classes.iter_mut().zip(self.retired.classes) {
            *count = count.wrapping_add(more);
        }
        for &block in self.pages.iter().flat_map(|page| &page.blocks) {
            // SAFETY: blocks of a page live.
            unsafe { (*block).add_to(counts) }
        }
    }

    /// The block at the strand's `pc`, made if there is none.
    pub(super) fn find(&mut self, x: &mut Context<'_>) -> Result<*mut Block, Stop> {
        if x.run.code.changes != x.changes {
            // What was decoded is not what is in memory: no key is good any longer.
            x.changes = x.run.code.changes;
            x.patch = std::ptr::null_mut();
            x.run.core.forget();
            x.run.core.seen_code = x.run.code.generation;
            x.run.strand.remode(x.run.core);
        }
        let pc = x.run.strand.pc;
        let jump = self.jumps[Jump::index(pc)];
        let (block, page) = if jump.pc == pc && jump.key == x.run.strand.code_key {
            (jump.block, None)
        } else {
            let (block, page) = self.look_up(x, pc)?;
            (block, Some(page))
        };
        self.patch(x, block, page);
        Ok(block)
    }

    /// Makes the link by which the chain was left lead to `block`, unless a trap came
    /// between the two.
    fn patch(&mut self, x: &mut Context<'_>, block: *mut Block, page: Option<usize>) {
        let link = std::mem::replace(&mut x.patch, std::ptr::null_mut());
        if link.is_null() {
            return;
        }
        // SAFETY: the link is of the block that the chain ended in; nothing was freed
        // since, or `patch` would have been taken back.
        unsafe {
            if (*link).pc != x.run.strand.pc {
                return;
            }
            let page = page.unwrap_or((*block).page);
            let within = (*x.block).page == page;
            (*link).block = block;
            (*link).key = if within { KEY_ALWAYS } else { x.run.strand.code_key };
        }
    }

    fn look_up(&mut self, x: &mut Context<'_>, pc: u64) -> Result<(*mut Block, usize), Stop> {
        let number = x.run.page()?;
        let Some(version) = x.run.code.version(number) else {
            return Err(Stop::Exit(crate::engine::Exit::Budget));
        };
        if self.ops > OPS_MAX || self.pages.len() > PAGES_MAX {
            self.clear();
            x.patch = std::ptr::null_mut();
        }
        let mode = x.run.strand.code_key & (KEY_REAL | KEY_AM);
        let at = (number, pc & !(PAGE_BYTES - 1), mode);
        let count = self.pages.len();
        let page = *self.numbers.entry(at).or_insert(count);
        if page == count {
            let entries = Box::new([std::ptr::null_mut(); PAGE_INSNS]);
            self.pages.push(Page { version, entries, blocks: Vec::new() });
        }
        if self.pages[page].version != version {
            self.free(page);
            self.pages[page].version = version;
            x.patch = std::ptr::null_mut();
        }
        let index = (pc >> 2) as usize & (PAGE_INSNS - 1);
        let mut block = self.pages[page].entries[index];
        if block.is_null() {
            let made = build::block(&mut x.run, number, page);
            self.ops += made.ops.len();
            block = Box::into_raw(Box::new(made));
            self.pages[page].entries[index] = block;
            self.pages[page].blocks.push(block);
        }
        let key = x.run.strand.code_key;
        self.jumps[Jump::index(pc)] = Jump { pc, key, block };
        Ok((block, page))
    }

    /// Frees the blocks of a page.
    fn free(&mut self, page: usize) {
        let page = &mut self.pages[page];
        page.entries.fill(std::ptr::null_mut());
        for block in page.blocks.drain(..) {
            // SAFETY: it came from a box, and nobody leads to it any longer.
            let block = unsafe { Box::from_raw(block) };
            self.ops -= block.ops.len();
            let retired = &mut self.retired;
            let count = block.classes.len() as u64;
            retired.instructions =
                retired.instructions.wrapping_add(block.runs.wrapping_mul(count));
            for &class in &*block.classes {
                let count = &mut retired.classes[class as usize];
                *count = count.wrapping_add(block.runs);
            }
        }
    }

    /// Frees everything.
    fn clear(&mut self) {
        for page in 0..self.pages.len() {
            self.free(page);
        }
        self.pages.clear();
        self.numbers.clear();
        self.jumps.fill(Jump::NONE);
    }
}
