//! A core's cipher and hash unit.
//!
//! It takes control words whose addresses were resolved ([`Cwq::submit`]), and
//! does them strictly in order: each operation, one word or a chain, reads its
//! source from memory, writes its result, and ends at a time of its own
//! ([`Cwq::next_due`], [`Cwq::advance`]). It is a pure model: it knows no queue in
//! guest memory, no interrupt and no hypervisor.
//!
//! **Shapes.** A chain is a word with SOB, words without, a word with EOB. The
//! words of a chain end together, when the chain does. A block of a cipher may
//! straddle two words of a chain. The destination is contiguous, unless it is in
//! place.
//!
//! **Time.** The unit runs at core clock, and how long an operation takes follows
//! from the published peak of the whole chip (eight units at 1.4 GHz, Gbit/s):
//! AES-128 44, AES-192 36, AES-256 31, MD5 41, SHA-1 32, SHA-256 41. A
//! hash is charged for the blocks it compresses, padding and HMAC pads included. A
//! copy moves eight bytes a cycle, which is what a port of the crossbar writes.
//! No time is charged for fetching a control word: none was published.
//!
//! **Errors.** A *protocol error* for: a word with an operation, cipher or hash
//! that this unit lacks; a first word inside a chain (both end) or a continuation
//! outside one; ECB or CBC over broken blocks; a null address that the operation
//! needs. All words of the operation are marked and nothing is written; the unit
//! goes on behind its EOB. RC4, DES, CFB, checksums and SSL records are not
//! modelled and end so.
//!
//! **Source.** OpenSPARC hypervisor, `cwq.h` and `cwq.s`; Linux, `n2_core.c` for
//! chains and in-place hashes; Sun, "Introduction to the UltraSPARC cryptographic
//! accelerators", for the division of work; crossbar width from the T5220 white
//! paper.

mod cipher;
mod hash;
mod record;

pub use record::UnitV1;

use std::collections::VecDeque;
use sun4v::addr::Pa;
use sun4v::ncs::{CipherKind, Control, HashKind, Opcode};
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
            if word.control.has(Control::EOB) {
                self.close(now);
            }
        }
    }

    fn close(&mut self, now: SimTime) {
        let words = std::mem::take(&mut self.open);
        let took = check(&words).map_or(0, |operation| operation.cycles(&words));
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
            let status = match check(&words).and_then(|operation| self.run(operation, &words, dma))
            {
                Some(()) => Status::Done,
                None => Status::ProtocolError,
            };
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

    fn run(&mut self, operation: Operation, words: &[ControlWord], dma: &dyn Dma) -> Option<()> {
        let first = words.first()?;
        let mut data = vec![0; source_bytes(words)];
        let mut rest = data.as_mut_slice();
        for word in words {
            let (piece, after) = rest.split_at_mut(word.control.bytes());
            dma.read(word.source, piece);
            rest = after;
        }
        match operation {
            Operation::Copy => {
                self.counters.copied_bytes += data.len() as u64;
                dma.write(first.destination, &data);
            }
            Operation::Cipher { kind, chaining } => {
                let mut key = vec![0; kind.key_bytes()];
                dma.read(first.key, &mut key);
                let mut iv = [0; cipher::BLOCK_BYTES];
                if first.iv != Pa(0) {
                    dma.read(first.iv, &mut iv);
                }
                let encrypt = first.control.has(Control::ENCRYPT);
                let params = cipher::Params { kind, chaining, encrypt, key: &key, iv };
                cipher::run(&params, &mut data).ok()?;
                self.counters.ciphered_bytes += data.len() as u64;
                if first.control.has(Control::IN_PLACE) {
                    let mut rest = data.as_slice();
                    for word in words {
                        let (piece, after) = rest.split_at(word.control.bytes());
                        dma.write(word.source, piece);
                        rest = after;
                    }
                } else {
                    dma.write(first.destination, &data);
                }
            }
            Operation::Hash { kind, keyed } => {
                let mut initial = vec![0; kind.state_bytes()];
                dma.read(first.auth_iv, &mut initial);
                let state = if keyed {
                    let mut key = vec![0; first.control.auth_key_bytes()];
                    dma.read(first.auth_key, &mut key);
                    hash::hmac(kind, &initial, &key, &data)
                } else {
                    hash::digest(kind, &initial, &data)
                };
                self.counters.hashed_bytes += data.len() as u64;
                let digest_bytes = first.control.hash_bytes().min(state.len());
                dma.write(first.destination, &state[..digest_bytes]);
                if first.control.has(Control::STORE_STATE) {
                    dma.write(first.auth_state, &state);
                }
            }
        }
        Some(())
    }
}

#[derive(Clone, Copy)]
enum Operation {
    Copy,
    Cipher { kind: CipherKind, chaining: sun4v::ncs::Chaining },
    Hash { kind: HashKind, keyed: bool },
}

fn source_bytes(words: &[ControlWord]) -> usize {
    words.iter().map(|word| word.control.bytes()).sum()
}

/// What a whole chain asks for, or `None` when it breaks a rule.
fn check(words: &[ControlWord]) -> Option<Operation> {
    let (first, last) = (words.first()?, words.last()?);
    let whole = first.control.has(Control::SOB) && last.control.has(Control::EOB);
    if !whole || words.iter().any(|word| word.source == Pa(0)) {
        return None;
    }
    let present = |pa: Pa| pa != Pa(0);
    match first.control.opcode()? {
        Opcode::Copy => present(first.destination).then_some(Operation::Copy),
        Opcode::Cipher => {
            let (kind, chaining) = first.control.cipher_kind()?;
            let needs_iv = chaining != sun4v::ncs::Chaining::Ecb;
            let whole_blocks = source_bytes(words).is_multiple_of(cipher::BLOCK_BYTES);
            (present(first.key)
                && (present(first.iv) || !needs_iv)
                && (present(first.destination) || first.control.has(Control::IN_PLACE))
                && (whole_blocks || chaining == sun4v::ncs::Chaining::Ctr))
                .then_some(Operation::Cipher { kind, chaining })
        }
        Opcode::Hash => {
            let (kind, keyed) = first.control.hash_kind()?;
            (present(first.auth_iv)
                && present(first.destination)
                && (present(first.auth_key) || !keyed)
                && (present(first.auth_state) || !first.control.has(Control::STORE_STATE)))
            .then_some(Operation::Hash { kind, keyed })
        }
    }
}

impl Operation {
    /// Cycles of core clock that the whole chain takes.
    fn cycles(self, words: &[ControlWord]) -> u64 {
        let bytes = source_bytes(words);
        let (work_bytes, chip_gbit) = match self {
            Self::Copy => return (bytes as u64).div_ceil(8),
            Self::Cipher { kind, .. } => {
                let chip_gbit = match kind {
                    CipherKind::Aes128 => 44,
                    CipherKind::Aes192 => 36,
                    CipherKind::Aes256 => 31,
                };
                (bytes.next_multiple_of(cipher::BLOCK_BYTES), chip_gbit)
            }
            Self::Hash { kind, keyed } => {
                let chip_gbit = match kind {
                    HashKind::Md5 | HashKind::Sha256 => 41,
                    HashKind::Sha1 => 32,
                };
                // Inner: the key's block before the data. Outer: the key's block and
                // one with the inner digest.
                let blocks = hash::blocks(bytes) + if keyed { 1 + 2 } else { 0 };
                (blocks * hash::BLOCK_BYTES, chip_gbit)
            }
        };
        // bytes × 8 bits over (Gbit/s ÷ 8 units ÷ 1.4 GHz) bits a cycle.
        (work_bytes as u64 * 8 * 8 * 14).div_ceil(chip_gbit * 10)
    }
}

#[cfg(test)]
mod test;
