//! The way out toward a hypervisor that is made of instructions.
//!
//! Guests here have a hypervisor in Rust, and what is hyperprivileged does not exist for
//! them. A strand whose switch ([`Strand::hyper`]) is on leaves its engine with
//! [`Exit::Hyperprivileged`] instead, wherever *privileged* code executes
//!
//! - RDHPR or WRHPR of a register that T2 has, in place of illegal_instruction;
//! - an access through an ASI of 0x30 to 0x7f, in place of privileged_action;
//! - `ta` with a number of 0x80 and above, in place of [`Exit::Hypercall`].
//!
//! `pc` is at the instruction, nothing has happened yet, and whoever runs the engine
//! decides what it means. What comes before in the order of traps still does: an access
//! that is misaligned is a misaligned access. Unprivileged code is treated as ever.
//!
//! [`Strand::hyper`]: crate::chip::strand::Strand::hyper
//!
//! **Source.** T2 reference 1.12 and 4.2.

use super::{Run, Stop, illegal};
use crate::chip::strand::pstate;
use crate::engine::Exit;
use sun4v::isa::{Word, tt};

/// Operations of format 3 that read and write hyperprivileged registers.
const RDHPR: u32 = 2 << 30 | 0x29 << 19;
/// See [`RDHPR`].
const WRHPR: u32 = 2 << 30 | 0x33 << 19;
/// The bits that say so.
const FORMAT: u32 = 3 << 30 | 0x3f << 19;

/// Is it RDHPR or WRHPR of a register that there is?
const fn is_register_access(word: u32) -> bool {
    let w = Word(word);
    match word & FORMAT {
        RDHPR => word & 0x3fff == 0 && matches!(w.rs1(), 0 | 1 | 3 | 5 | 6 | 30 | 31),
        WRHPR => (w.i() || word & 0x1fe0 == 0) && matches!(w.rd(), 0 | 1 | 3 | 5 | 30 | 31),
        _ => false,
    }
}

impl Run<'_> {
    fn has_way_out(&self) -> bool {
        self.strand.hyper && self.strand.has(pstate::PRIV)
    }

    /// A word that is no instruction for a guest.
    #[cold]
    pub(in crate::engine) fn no_instruction(&self, word: u32) -> Stop {
        match self.has_way_out() && is_register_access(word) {
            true => Stop::Exit(Exit::Hyperprivileged { word }),
            false => illegal(),
        }
    }

    /// Why `w` stopped, as the strand wants to see it.
    #[cold]
    pub(super) fn way_out(&self, stop: Stop, w: Word) -> Stop {
        // Privileged code has no other privileged_action than by an ASI.
        let out = matches!(
            stop,
            Stop::Exit(Exit::Hypercall { .. } | Exit::Fault { tt: tt::PRIVILEGED_ACTION, .. })
        );
        match out && self.has_way_out() {
            true => Stop::Exit(Exit::Hyperprivileged { word: w.0 }),
            false => stop,
        }
    }
}
