//! Engines: run a strand for a budget, say why it stopped.
//!
//! An engine calls nobody. Traps that the guest serves itself are taken inside;
//! whatever needs the hypervisor, or is somebody else's turn, is an [`Exit`], at
//! which `pc` is the instruction that did not complete.
//!
//! **Shapes.** [`Place`] is all that an engine may touch: one strand, the TLBs of
//! its core, memory, the guest's real memory map, decoded instructions and the
//! domain's clock. A tick is a cycle; how many an instruction takes, [`Costs`] says.

mod alu;
#[expect(unsafe_code, reason = "ledger room 2: ops that call each other, and links between blocks")]
mod cached;
mod choice;
mod class;
mod code;
mod exec;
mod insn;
mod interp;
mod timing;

pub use cached::Cached;
pub use choice::{Choice, Model, UnknownName, Which};
pub use class::{CLASSES, Class};
pub use code::Code;
pub use insn::Insn;
pub use interp::Interp;
pub use timing::{Costs, Functional, GROUP, T2, Timing};

use crate::chip::strand::Strand;
use crate::chip::tlb::Core;
use crate::mem::Ram;
use sun4v::addr::RealMap;

/// Types of faults, as the hypervisor writes them to a fault area.
///
/// **Source.** T2 reference 5.7.
pub mod fault {
    /// The real address does not exist.
    pub const INVALID_RA: u64 = 4;
    /// Unprivileged access to a privileged page.
    pub const PRIVILEGE: u64 = 5;
    /// A fetch from a page that is not executable.
    pub const PROTECTION: u64 = 6;
    /// Access other than no-fault to a no-fault page.
    pub const NFO: u64 = 7;
    /// No-fault access to a page with side effects.
    pub const SIDE_EFFECT: u64 = 8;
    /// The address is in the hole.
    pub const VA_RANGE: u64 = 9;
    /// The ASI does not exist, or not for this access.
    pub const ILLEGAL_ASI: u64 = 0xa;
    /// Atomic access to a page that is not cacheable.
    pub const NONCACHEABLE_ATOMIC: u64 = 0xb;
    /// Misaligned.
    pub const ALIGNMENT: u64 = 0xe;
}

/// Why a strand stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Its time is up.
    Budget,
    /// It only waits: a failed atomic again and again, or a pause. The instruction
    /// is complete.
    Spin,
    /// `ta number` by privileged code, 0x80 and above.
    Hypercall {
        /// Software trap number.
        number: u8,
    },
    /// No translation, in a TLB or a TSB.
    Miss {
        /// For a fetch; otherwise for data.
        instruction: bool,
        /// The address.
        va: u64,
        /// The context.
        context: u16,
    },
    /// A store to a page that is not writable.
    Protection {
        /// The address.
        va: u64,
        /// The context.
        context: u16,
    },
    /// Another trap with a fault area.
    Fault {
        /// What the guest sees.
        tt: u16,
        /// For a fetch; otherwise for data.
        instruction: bool,
        /// One of [`fault`].
        kind: u64,
        /// Fault address.
        address: u64,
        /// Fault context.
        context: u16,
    },
    /// A trap that is only reflected.
    Plain {
        /// What the guest sees.
        tt: u16,
    },
    /// A trap for the guest at its highest trap level.
    Watchdog,
    /// Privileged code wants what only hyperprivileged code has, and its strand says
    /// that somebody wants to know ([`Strand::hyper`]).
    Hyperprivileged {
        /// The instruction.
        word: u32,
    },
}

/// The counter that the strands of a domain share.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// The last machine tick that anybody read: nobody reads an earlier one.
    pub last: u64,
    /// The guest's counter is the machine's plus this.
    pub offset: i64,
}

impl Clock {
    /// What a strand whose own time is `tick` reads.
    pub fn read(&mut self, tick: u64) -> u64 {
        self.last = self.last.max(tick);
        self.last.wrapping_add_signed(self.offset)
    }
}

/// What was executed.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Instructions that completed or trapped.
    pub instructions: u64,
    /// The same, by class.
    pub classes: [u64; CLASSES],
    /// Traps that the guest served, by type.
    pub traps: Box<[u64; 512]>,
    /// Translations that were in no TLB: of instructions, of data.
    pub misses: [u64; 2],
    /// Those of them that were found in a TSB.
    pub walks: [u64; 2],
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            instructions: 0,
            classes: [0; CLASSES],
            traps: Box::new([0; 512]),
            misses: [0; 2],
            walks: [0; 2],
        }
    }
}

/// Where a strand runs.
pub struct Place<'a> {
    /// The strand.
    pub strand: &'a mut Strand,
    /// The TLBs of its core.
    pub core: &'a mut Core,
    /// Memory.
    pub ram: &'a Ram,
    /// The guest's real memory.
    pub map: &'a RealMap,
    /// Decoded instructions of the guest.
    pub code: &'a mut Code,
    /// The guest's clock.
    pub clock: &'a mut Clock,
    /// What was executed so far.
    pub counts: &'a mut Counts,
    /// What instructions cost.
    pub costs: &'a Costs,
    /// Strands of its thread group that issue, itself included.
    pub sharing: usize,
}

impl Place<'_> {
    /// The same place, for a shorter time.
    pub fn again(&mut self) -> Place<'_> {
        Place {
            strand: self.strand,
            core: self.core,
            ram: self.ram,
            map: self.map,
            code: self.code,
            clock: self.clock,
            counts: self.counts,
            costs: self.costs,
            sharing: self.sharing,
        }
    }
}

/// An engine.
pub trait Engine {
    /// Runs the strand until its clock is at `until`, or something comes up.
    fn run(&mut self, place: Place<'_>, until: u64) -> Exit;

    /// Adds what it has executed and not counted yet. An engine that counts whole blocks
    /// takes back what it did not execute of one at once, so that counts alone may be
    /// below zero; with what is pending they are right.
    fn pending(&self, _counts: &mut Counts) {}
}

#[cfg(test)]
mod test;
