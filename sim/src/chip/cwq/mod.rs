//! A core's cipher and hash unit.
//!
//! It takes control words whose addresses were resolved ([`Cwq::submit`]), and
//! does them strictly in order: each operation, one word or a chain, reads its
//! source from memory, writes its result, and ends at a time of its own
//! ([`Cwq::next_due`], [`Cwq::advance`]). It is a pure model: it knows no queue in
//! guest memory, no interrupt and no hypervisor.
//!
//! **Shapes.** A chain is a word with SOB, words without, a word with EOB; at most as
//! many as a queue has entries. The words of a chain end together, when the chain does.
//! A block of a cipher may straddle words of a chain. The destination is contiguous,
//! unless it is in place.
//!
//! **Time.** See [`rate`]: published peaks for the bytes, and two reads of the level 2
//! cache for each word before them.
//!
//! **Errors.** A *protocol error* for: a word with an operation, cipher or hash that has
//! no known meaning, SSL's key block (0x10) and SSL with SHA-256 among them; a chain in
//! which another begins, a continuation outside one, a chain that is too long; ECB, CBC
//! or CFB over broken blocks; a null address that the operation needs. All words of the
//! operation are marked and nothing is written; the unit goes on behind it.
//!
//! **Uncertain.** Key block of RC4 (`rc4.rs`); results of CRC32c and TCP checksum
//! (`checksum.rs`); CFB and counter mode where no driver uses them (`cipher.rs`); that
//! the source of an SSL MAC is sequence number, type, length and content; what becomes
//! of an operation beyond what Linux' driver takes for the unit's limits: 64 KB in all,
//! no word of a cipher shorter than a block, 32 bytes of HMAC key. Here it is done; an
//! HMAC key of more than 64 bytes is hashed first.
//!
//! **Source.** OpenSPARC hypervisor, `cwq.h` and `cwq.s`; Linux, `n2_core.c` for
//! chains and in-place hashes; Sun, "Introduction to the UltraSPARC cryptographic
//! accelerators", for the division of work.

mod checksum;
mod cipher;
mod hash;
mod operation;
pub mod rate;
mod rc4;
mod record;

pub use record::UnitV1;

use operation::Operation;
use std::collections::VecDeque;
use sun4v::addr::Pa;
use sun4v::ncs::{CWQ_ENTRIES_MAX, Control};
use sun4v::time::SimTime;

/// A control word whose addresses are physical; zero is "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlWord {
    /// Doubleword 0: lengths, algorithms, marks.
    pub control: Control,
    /// Where its bytes come from.
    pub source: Pa,
    /// HMAC key.
    pub auth_key: Pa,
    /// State that the hash begins with.
    pub auth_iv: Pa,
    /// Where the final hash state goes, if asked for.
    pub auth_state: Pa,
    /// Cipher key.
    pub key: Pa,
    /// Initial vector of the cipher.
    pub iv: Pa,
    /// Where the result goes.
    pub destination: Pa,
}

/// The unit's way to memory. Addresses were resolved before.
pub trait Dma {
    /// Copies bytes out.
    fn read(&self, pa: Pa, bytes: &mut [u8]);
    /// Copies bytes in.
    fn write(&self, pa: Pa, bytes: &[u8]);
}

/// How a word ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its operation was done.
    Done,
    /// Its operation was refused.
    ProtocolError,
}

/// What the unit has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Control words that ended, well or not.
    pub words: u64,
    /// Operations that ended well.
    pub operations: u64,
    /// Operations that were refused.
    pub protocol_errors: u64,
    /// Bytes of source that were ciphered.
    pub ciphered_bytes: u64,
    /// Bytes of source that were hashed, pads and padding left out.
    pub hashed_bytes: u64,
    /// Bytes of source that were summed, by CRC32c or TCP checksum.
    pub summed_bytes: u64,
    /// Bytes that were copied.
    pub copied_bytes: u64,
    /// Time spent on operations.
    pub busy: SimTime,
}

/// The cipher and hash unit of one core.
pub struct Cwq {
    clock_hz: u64,
    /// Words of the chain that has not seen its EOB.
    open: Vec<ControlWord>,
    /// Operations to do, with the time at which each ends.
    pending: VecDeque<(SimTime, Vec<ControlWord>)>,
    /// When the last of `pending` ends.
    busy_until: SimTime,
    counters: Counters,
}

impl Cwq {
    /// An idle unit in a core of `clock_hz`.
    #[must_use]
    pub const fn new(clock_hz: u64) -> Self {
        Self {
            clock_hz,
            open: Vec::new(),
            pending: VecDeque::new(),
            busy_until: SimTime::ZERO,
            counters: Counters {
                words: 0,
                operations: 0,
                protocol_errors: 0,
                ciphered_bytes: 0,
                hashed_bytes: 0,
                summed_bytes: 0,
                copied_bytes: 0,
                busy: SimTime::ZERO,
            },
        }
    }

    /// Puts words behind those the unit has.
    pub fn submit(&mut self, now: SimTime, words: &[ControlWord]) {
        for &word in words {
            if word.control.has(Control::SOB) && !self.open.is_empty() {
                self.close(now); // its EOB is missing: it ends where the next begins
            }
            self.open.push(word);
            // A chain that fills a queue and has not ended never does.
            let full = self.open.len() as u64 == CWQ_ENTRIES_MAX;
            if word.control.has(Control::EOB) || full {
                self.close(now);
            }
        }
    }

    fn close(&mut self, now: SimTime) {
        let words = std::mem::take(&mut self.open);
        let took = match Operation::of(&words) {
            Some(operation) => operation.cycles(&words),
            None => words.len() as u64 * rate::refuse_cycles(),
        };
        let span = SimTime::of_ticks(took, self.clock_hz);
        self.busy_until = self.busy_until.max(now).plus(span);
        self.counters.busy = self.counters.busy.plus(span);
        self.pending.push_back((self.busy_until, words));
    }

    /// When the next operation ends, if the unit has one.
    #[must_use]
    pub fn next_due(&self) -> Option<SimTime> {
        self.pending.front().map(|&(at, _)| at)
    }

    /// Does every operation that has ended by `now`: how each word ended, in the
    /// order of submission.
    pub fn advance(&mut self, now: SimTime, dma: &dyn Dma) -> Vec<Status> {
        let mut ends = Vec::new();
        while self.next_due().is_some_and(|due| due <= now) {
            let Some((_, words)) = self.pending.pop_front() else { break };
            let done = Operation::of(&words)
                .and_then(|operation| operation.run(&words, dma, &mut self.counters));
            let status = if done.is_some() { Status::Done } else { Status::ProtocolError };
            self.counters.words += words.len() as u64;
            match status {
                Status::Done => self.counters.operations += 1,
                Status::ProtocolError => self.counters.protocol_errors += 1,
            }
            ends.resize(ends.len() + words.len(), status);
        }
        ends
    }

    /// Forgets what it was given and not yet done, when its owner goes.
    pub fn reset(&mut self, now: SimTime) {
        self.open.clear();
        self.pending.clear();
        self.busy_until = now;
    }

    /// What the unit has done.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }
}

#[cfg(test)]
pub(crate) mod test;
