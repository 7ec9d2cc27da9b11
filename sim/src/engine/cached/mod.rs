//! The engine `cached`: blocks of instructions, decoded once and chained.
//!
//! **Shapes.** A [`Block`] is a run of instructions in one page that is entered at its
//! start: at most [`block::INSNS_MAX`], up to and with a transfer of control and its
//! slot. It is a row of [`Op`](op::Op)s, each of which ends by calling the next; the
//! last one follows a link to the next block. Nothing counts or looks in between: the
//! ticks of a block are taken when it is entered, a block that might not fit into the
//! budget is not entered, and an op that leaves early gives back what it did not use.
//!
//! **What is left to [`Run::step`].** Whatever blocks cannot say: a strand that is in a
//! delay slot, branches in slots, the last ticks of a budget, PSTATE.TCT.
//!
//! **When a block is good.** It belongs to a page's version and to an address
//! ([`space`]). A link inside a page is followed as it is. Any other, and the table of
//! [`Jump`]s, is good for one key: contexts, privilege, and the generation of the
//! core's translations, which every demap and every change to decoded instructions
//! raises. So a demap costs one addition, whatever it removes.
//!
//! **Unsafe.** Room 2 of the ledger.

mod alternate;
mod block;
mod build;
mod float;
mod memory;
mod op;
mod space;
mod transfer;
mod trap;

use self::op::{Context, Leave};
use self::space::Space;
use super::exec::{Flow, Run};
use super::timing::GROUP;
use super::{Counts, Engine, Exit, Place};

/// Ticks that a chain of blocks may take before it comes back, at most: the calls of a
/// chain are jumps where the compiler makes them so, and no deeper than this elsewhere.
const QUANTUM: u64 = 2048;

/// The engine.
#[derive(Default)]
pub struct Cached {
    /// By strands that share the issue, less one: costs are part of a block.
    spaces: [Space; GROUP],
    one_block: bool,
}

impl Cached {
    /// One that comes back, with [`Exit::Budget`], after every block: to be compared
    /// with another engine there.
    #[must_use]
    pub fn one_block() -> Self {
        Self { one_block: true, ..Self::default() }
    }
}

impl Engine for Cached {
    fn run(&mut self, place: Place<'_>, until: u64) -> Exit {
        let sharing = if place.costs.shared { place.sharing } else { 1 };
        let space = &mut self.spaces[(sharing - 1) % GROUP];
        let mut x = Context::new(Run::new(place), space);
        loop {
            let limit = match x.run.look(until) {
                Ok(limit) => limit,
                Err(exit) => return exit,
            };
            while x.run.strand.tick < limit {
                match go(&mut x, space, limit, self.one_block) {
                    Leave::Find | Leave::Step if self.one_block => return Exit::Budget,
                    Leave::Find | Leave::Step => {}
                    Leave::Sync => break,
                    Leave::Spin => return Exit::Spin,
                    Leave::Call => return Exit::Hypercall { number: x.number },
                    Leave::Stop => {
                        if let Some(exit) = x.stop.take().and_then(|stop| x.run.stopped(stop)) {
                            return exit;
                        }
                    }
                }
            }
        }
    }

    fn pending(&self, counts: &mut Counts) {
        self.spaces.iter().for_each(|space| space.pending(counts));
    }
}

/// Executes a chain of blocks, or an instruction.
#[inline(always)]
fn go(x: &mut Context<'_>, space: &mut Space, limit: u64, one_block: bool) -> Leave {
    let strand = &*x.run.strand;
    let left = limit - strand.tick;
    if strand.npc != strand.pc.wrapping_add(4) & strand.am || strand.is_watched() {
        return step(x);
    }
    let block = match space.find(x) {
        Ok(block) => block,
        Err(stop) => {
            x.run.miss_takes_time();
            x.stop = Some(stop);
            return Leave::Stop;
        }
    };
    let most = if one_block { op::need(block) } else { QUANTUM };
    match op::enter(x, block, left.min(most) as i64) {
        None => step(x),
        Some(Leave::Step) if x.run.strand.tick < limit => step(x),
        Some(leave) => leave,
    }
}

/// Executes an instruction.
#[inline(never)]
fn step(x: &mut Context<'_>) -> Leave {
    match x.run.step() {
        Ok(Flow::Next) => Leave::Find,
        Ok(Flow::Sync | Flow::Jump) => Leave::Sync,
        Ok(Flow::Spin) => Leave::Spin,
        Err(stop) => {
            x.stop = Some(stop);
            Leave::Stop
        }
    }
}
