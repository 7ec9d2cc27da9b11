//! The queue of a modular arithmetic unit: descriptors, and the words in them.
//!
//! **Shape.** A descriptor is eight doublewords, big-endian: state, type, control,
//! memory address, offsets in the unit's memory, N′, error status, padding. The unit's own
//! memory has [`MA_WORDS`] doublewords; numbers lie there with the least significant word
//! first, and lengths are encoded minus one. A *job* is the descriptors from one with
//! [`Descriptor::START`] to one with [`Descriptor::END`].
//!
//! What the operations do is with the unit that does them, `sim/src/chip/mau/mod.rs`.
//!
//! **Source.** OpenSPARC hypervisor, `ncs_api.h` and `huron/include/platform/mau.h`.

use super::ENTRY_BYTES;
use crate::addr::Ra;

/// `ncs_request`, the call of version 1.0: function, argument, bytes of the argument.
pub const NCS_REQUEST: u64 = 0x110;
/// Function of `ncs_request`: unit, base, end, entries.
pub const REQUEST_QCONF: u64 = 1;
/// Function of `ncs_request`: unit (ignored), index of the tail, 0 to wait.
pub const REQUEST_QTAIL_UPDATE: u64 = 2;
/// Bytes of the argument of [`REQUEST_QCONF`].
pub const QCONF_BYTES: u64 = 32;
/// Bytes of the argument of [`REQUEST_QTAIL_UPDATE`].
pub const QTAIL_UPDATE_BYTES: u64 = 24;
/// Doublewords of a unit's memory.
pub const MA_WORDS: usize = 160;

/// A descriptor as it lies in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// One of [`Descriptor::PENDING`] and its like.
    pub state: u64,
    /// Bits [`Descriptor::START`], [`Descriptor::CONTINUE`], [`Descriptor::END`].
    pub kind: u64,
    /// What to do.
    pub control: MaControl,
    /// Where a load reads and a store writes.
    pub memory: Ra,
    /// Where operands lie in the unit's memory.
    pub offsets: MaOffsets,
    /// N′: N′ · N ≡ −1 modulo 2⁶⁴.
    pub n_prime: u64,
    /// One of [`Descriptor::INVALID_OPERATION`], [`Descriptor::HARDWARE_ERROR`], or zero.
    pub error: u64,
    /// Nothing.
    pub padding: u64,
}

impl Descriptor {
    /// State: not in use.
    pub const FREE: u64 = 0;
    /// State: to be done.
    pub const PENDING: u64 = 1;
    /// State: the unit has it.
    pub const BUSY: u64 = 2;
    /// State: done.
    pub const DONE: u64 = 3;
    /// State: it or another of its job failed.
    pub const ERROR: u64 = 4;
    /// Type: first of a job. In version 1.0, every descriptor.
    pub const START: u64 = 0x01;
    /// Type: neither first nor last.
    pub const CONTINUE: u64 = 0x02;
    /// Type: last of a job.
    pub const END: u64 = 0x80;
    /// Error status: the unit refused the operation.
    pub const INVALID_OPERATION: u64 = 1;
    /// Error status: the unit failed.
    pub const HARDWARE_ERROR: u64 = 2;
    /// Where the state lies, in bytes.
    pub const STATE_AT: u64 = 0x00;
    /// Where the type lies.
    pub const KIND_AT: u64 = 0x08;
    /// Where the error status lies.
    pub const ERROR_AT: u64 = 0x30;

    /// Is it the last of its job?
    #[must_use]
    pub const fn ends_job(&self) -> bool {
        self.kind & Self::END != 0
    }

    /// Its 64 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ENTRY_BYTES as usize] {
        let words = [
            self.state,
            self.kind,
            self.control.0,
            self.memory.0,
            self.offsets.0,
            self.n_prime,
            self.error,
            self.padding,
        ];
        let mut bytes = [0; ENTRY_BYTES as usize];
        for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        bytes
    }

    /// Reads 64 bytes; any are a descriptor.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; ENTRY_BYTES as usize]) -> Self {
        let mut words = [0; 8];
        for (word, place) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_be_bytes(*place);
        }
        let [state, kind, control, memory, offsets, n_prime, error, padding] = words;
        Self {
            state,
            kind,
            control: MaControl(control),
            memory: Ra(memory),
            offsets: MaOffsets(offsets),
            n_prime,
            error,
            padding,
        }
    }
}

/// What a modular arithmetic unit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MaOp {
    /// Memory to the unit's memory.
    Load = 0,
    /// The unit's memory to memory.
    Store = 1,
    /// A Montgomery product.
    Multiply = 2,
    /// Takes N away once, if it fits.
    Reduce = 3,
    /// The loop of a modular exponentiation.
    Exponentiate = 4,
}

/// The control word of an operation: length 7:0, operation 12:8, busy 16, interrupt 17,
/// strand 20:18, invalid operation 21, hardware error 22.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct MaControl(pub u64);

impl std::fmt::Debug for MaControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MaControl({:#x})", self.0)
    }
}

impl MaControl {
    /// Interrupt when done. The hypervisor sets it as it needs it.
    pub const INTERRUPT: u64 = 1 << 17;

    /// An operation on `words`, 1 to 256.
    #[must_use]
    pub const fn new(op: MaOp, words: usize) -> Self {
        Self((op as u64) << 8 | (words as u64).wrapping_sub(1) & 0xff)
    }

    /// Words of an operand.
    #[must_use]
    pub const fn words(self) -> usize {
        (self.0 & 0xff) as usize + 1
    }

    /// What to do; `None` for codes without a published meaning, of which the operations on
    /// elliptic curves have some.
    #[must_use]
    pub const fn op(self) -> Option<MaOp> {
        Some(match self.0 >> 8 & 0x1f {
            0 => MaOp::Load,
            1 => MaOp::Store,
            2 => MaOp::Multiply,
            3 => MaOp::Reduce,
            4 => MaOp::Exponentiate,
            _ => return None,
        })
    }

    /// Does it read or write memory?
    #[must_use]
    pub const fn moves(self) -> bool {
        matches!(self.op(), Some(MaOp::Load | MaOp::Store))
    }

    /// Bytes that a load or a store moves.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.words() as u64 * 8
    }
}

/// Eight offsets in the unit's memory, in words, a byte each; 0 is the lowest byte.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct MaOffsets(pub u64);

impl std::fmt::Debug for MaOffsets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MaOffsets({:#x})", self.0)
    }
}

impl MaOffsets {
    /// From the first six; the others are for curves, and zero.
    #[must_use]
    pub const fn new([a, b, c, d, e, f]: [u8; 6]) -> Self {
        Self(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    /// Offset `index`, 0 to 7.
    #[must_use]
    pub const fn get(self, index: usize) -> usize {
        self.0.to_le_bytes()[index & 7] as usize
    }
}

#[cfg(test)]
mod test {
    use super::{Descriptor, MaControl, MaOffsets, MaOp};
    use proptest::prelude::{any, proptest};

    #[test]
    fn a_descriptor_is_eight_doublewords_in_order() {
        let bytes = std::array::from_fn(|n| n as u8);
        let descriptor = Descriptor::from_bytes(&bytes);
        assert_eq!(descriptor.memory.0, 0x1819_1a1b_1c1d_1e1f);
        assert_eq!(descriptor.error, 0x3031_3233_3435_3637);
        assert_eq!(descriptor.to_bytes(), bytes);
        assert_eq!(Descriptor::ERROR_AT, 0x30);
    }

    #[test]
    fn the_words_that_solaris_writes_for_an_exponentiation_read_right() {
        // Four words, as its driver lays them out: A, M, N, X, E; two bytes of exponent.
        let offsets = MaOffsets(0x0000_0110_0c08_0400);
        assert_eq!([0, 1, 2, 3, 4, 5].map(|at| offsets.get(at)), [0, 4, 8, 12, 16, 1]);
        let control = MaControl(0x403);
        assert_eq!((control.op(), control.words()), (Some(MaOp::Exponentiate), 4));
        assert_eq!(MaControl::new(MaOp::Exponentiate, 4), control);
        assert_eq!(MaOffsets::new([0, 4, 8, 12, 16, 1]), offsets);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_descriptor_and_are_written_as_they_were(bytes: [u8; 64]) {
            let descriptor = Descriptor::from_bytes(&bytes);
            assert_eq!(descriptor.to_bytes(), bytes);
            assert!((1..=256).contains(&descriptor.control.words()));
        }

        #[test]
        fn what_is_put_into_a_word_is_read_from_it(words in 1usize..=256, op in 0u64..32, rest: u64) {
            let word = MaControl(rest & !0x1fff | op << 8 | (words as u64 - 1));
            assert_eq!(word.words(), words);
            assert_eq!(word.op().is_some(), op < 5);
            assert_eq!(word.bytes(), 8 * words as u64);
        }

        #[test]
        fn offsets_are_bytes(all in any::<[u8; 6]>()) {
            let offsets = MaOffsets::new(all);
            assert!((0..6).all(|at| offsets.get(at) == usize::from(all[at])));
        }
    }
}
