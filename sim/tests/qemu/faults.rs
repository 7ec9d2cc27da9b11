//! Where QEMU 7.2 is wrong.

use super::strand::Bench;
use sun4v::isa::{Op, Word};

/// Bits of a state that QEMU leaves otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The word of the state.
    pub word: usize,
    /// Its bits.
    pub mask: u64,
    /// What QEMU leaves there, when it can be said.
    pub value: Option<u64>,
}

/// What a fault does to a state.
pub type Fault = Vec<Patch>;

/// The fault that an instruction meets in the state before it.
pub fn of(_bench: &Bench, _op: Op, _w: Word) -> Option<Fault> {
    None
}
