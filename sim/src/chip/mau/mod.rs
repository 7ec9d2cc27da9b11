//! A core's modular arithmetic unit.
//!
//! It takes operations whose memory addresses were resolved ([`Mau::submit`]) and does them
//! strictly in order, each ending at a time of its own ([`Mau::next_due`],
//! [`Mau::advance`]). It is a pure model: it knows no queue in guest memory, no interrupt
//! and no hypervisor.
//!
//! **Shapes.** 160 doublewords of memory of its own. Numbers have `length` words, the
//! least significant first; offsets 0 to 5 say where they lie:
//!
//! | operation | 0 | 1 | 2 | 3 | 4 | 5 | does |
//! | --- | --- | --- | --- | --- | --- | --- | --- |
//! | load | to | | | | | | words from memory, big-endian |
//! | store | from | | | | | | words to memory |
//! | multiply | A | B | N | M | X | | X = A · B · R⁻¹ mod N, R = 2^(64 · length) |
//! | reduce | A | N | X | | | | X = A − N if A ≥ N, else A |
//! | exponentiate | A | M | N | X | E | bytes of E, minus one | X = A^E in Montgomery's form |
//!
//! M is a work area. An exponentiation finds the highest bit that is set in E and skips
//! it, so X has to begin as a copy of A; below it each bit squares X, and multiplies it by
//! A where it is set.
//!
//! *Known and inferred.* Multiply and reduce are as in OpenSPARC T1, whose diagnostics give
//! offsets and results; that T2 kept them is inferred. The offsets of an
//! exponentiation, the order of the exponent's words, and that X begins as A on T2 (as
//! R mod N on T1, whose loop does not skip a bit), are what Solaris's driver does. That
//! leading zeros are skipped with the highest bit follows from that driver, which gives
//! whole words of exponent. Inferred is also that an exponent of zero, which the driver
//! never gives, leaves X alone.
//!
//! **Time.** No cycles were published. An operation takes, at core clock, a cycle for each
//! multiplication of two words, with the shortcut that T1 has for squares; four for each
//! word of the subtraction that ends a product, T1's steps; and a cycle a word to load
//! or store, as a port of the crossbar moves. One multiplication a cycle is derived: a
//! pipelined multiplier that is never kept waiting. It makes a chip at 1.4 GHz sign with
//! RSA-1024 1.3 times as often as was published for the whole system, software included.
//!
//! **Errors.** An *invalid operation* is one with an unknown code, or with a number that
//! ends outside the unit's memory. The operations on elliptic curves have codes and
//! layouts that were not published; they end so. The rest of the job is skipped, in no
//! time, and the memory stays as it is. A wrong N′, an even N or numbers that overlap are not
//! noticed: the result is garbage.
//!
//! **Source.** OpenSPARC hypervisor, `mau.h`; OpenSPARC T1, `spu_mamul.s`, `spu_mared.s`,
//! `spu_maexp.s` and the units of the same names; Solaris, its driver `ncp`; crossbar width
//! from the T5220 white paper.

mod arithmetic;

use super::cwq::Dma;
use arithmetic::{Memory, Power, Product, products, products_of_square};
use std::collections::VecDeque;
use sun4v::addr::Pa;
use sun4v::calibration::REDUCE_CYCLES;
use sun4v::ncs::{MA_WORDS, MaControl, MaOffsets, MaOp};
use sun4v::time::SimTime;

/// An operation whose address is physical.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// What to do.
    pub control: MaControl,
    /// Where a load reads and a store writes.
    pub memory: Pa,
    /// Where numbers lie.
    pub offsets: MaOffsets,
    /// N′.
    pub n_prime: u64,
    /// Its address led nowhere: it fails without being tried.
    pub void: bool,
    /// It is the last of its job.
    pub last: bool,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was done.
    Done,
    /// The unit does not do this.
    InvalidOperation,
    /// It was void.
    Void,
    /// One before it in its job failed.
    Skipped,
}

/// What the unit has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Operations that were done.
    pub operations: u64,
    /// Operations that failed, void ones too.
    pub failed: u64,
    /// Exponentiations among those done.
    pub exponentiations: u64,
    /// Words loaded and stored.
    pub moved_words: u64,
    /// Time spent.
    pub busy: SimTime,
}

/// The modular arithmetic unit of one core.
pub struct Mau {
    clock_hz: u64,
    memory: Box<Memory>,
    waiting: VecDeque<Operation>,
    /// When the first of `waiting` ends.
    due: SimTime,
    /// One of the job under way has failed.
    failed: bool,
    counters: Counters,
}

impl Mau {
    /// An idle unit in a core of `clock_hz`, its memory zero.
    #[must_use]
    pub fn new(clock_hz: u64) -> Self {
        Self {
            clock_hz,
            memory: Box::new([0; MA_WORDS]),
            waiting: VecDeque::new(),
            due: SimTime::NEVER,
            failed: false,
            counters: Counters::default(),
        }
    }

    /// Has it nothing to do?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts operations behind those the unit has.
    pub fn submit(&mut self, now: SimTime, operations: &[Operation]) {
        let idle = self.waiting.is_empty();
        self.waiting.extend(operations);
        if idle {
            self.failed = false;
            self.begin(now);
        }
    }

    /// Begins with the first that waits.
    fn begin(&mut self, now: SimTime) {
        let Some(operation) = self.waiting.front() else {
            self.due = SimTime::NEVER;
            return;
        };
        let work = if self.failed || operation.void { None } else { Work::of(operation) };
        let cycles = work.map_or(0, |work| work.cycles(&self.memory));
        let span = SimTime::of_ticks(cycles, self.clock_hz);
        self.counters.busy = self.counters.busy.plus(span);
        self.due = now.plus(span);
    }

    /// When the next operation ends, if the unit has one.
    #[must_use]
    pub fn next_due(&self) -> Option<SimTime> {
        (!self.waiting.is_empty()).then_some(self.due)
    }

    /// Does every operation that has ended by `now`: how each ended, in the order of
    /// submission. What is left of a job that failed ends with the one that failed.
    pub fn advance(&mut self, now: SimTime, dma: &dyn Dma) -> Vec<Status> {
        let mut ends = Vec::new();
        while self.due <= now {
            let Some(operation) = self.waiting.pop_front() else { break };
            let status = if self.failed {
                Status::Skipped
            } else if operation.void {
                Status::Void
            } else {
                match Work::of(&operation) {
                    None => Status::InvalidOperation,
                    Some(work) => {
                        self.run(work, operation.memory, dma);
                        Status::Done
                    }
                }
            };
            match status {
                Status::Done => self.counters.operations += 1,
                _ => self.counters.failed += 1,
            }
            self.failed = status != Status::Done && !operation.last;
            ends.push(status);
            self.begin(self.due);
        }
        ends
    }

    /// Forgets what it was given and not yet done, and clears its memory: its owner goes,
    /// or has another queue for it.
    pub fn reset(&mut self) {
        self.waiting.clear();
        self.due = SimTime::NEVER;
        self.memory.fill(0);
    }

    /// What the unit has done.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    fn run(&mut self, work: Work, pa: Pa, dma: &dyn Dma) {
        match work {
            Work::Load { at, words } => {
                let mut bytes = [0; MA_WORDS * 8];
                let bytes = &mut bytes[..words * 8];
                dma.read(pa, bytes);
                let places = &mut self.memory[at..at + words];
                for (place, word) in places.iter_mut().zip(bytes.as_chunks::<8>().0) {
                    *place = u64::from_be_bytes(*word);
                }
                self.counters.moved_words += words as u64;
            }
            Work::Store { at, words } => {
                let mut bytes = [0; MA_WORDS * 8];
                let bytes = &mut bytes[..words * 8];
                let places = &self.memory[at..at + words];
                for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(places) {
                    *place = word.to_be_bytes();
                }
                dma.write(pa, bytes);
                self.counters.moved_words += words as u64;
            }
            Work::Multiply(product) => product.run(&mut self.memory),
            Work::Reduce { a, n, x, words } => {
                arithmetic::reduce(&mut self.memory, (a, n, x), words, false);
            }
            Work::Exponentiate(power) => {
                power.run(&mut self.memory);
                self.counters.exponentiations += 1;
            }
        }
    }
}

/// An operation that the unit does.
#[derive(Clone, Copy)]
enum Work {
    Load { at: usize, words: usize },
    Store { at: usize, words: usize },
    Multiply(Product),
    Reduce { a: usize, n: usize, x: usize, words: usize },
    Exponentiate(Power),
}

impl Work {
    /// `None` when it is invalid.
    fn of(operation: &Operation) -> Option<Self> {
        let words = operation.control.words();
        let n_prime = operation.n_prime;
        let [o0, o1, o2, o3, o4, o5] = [0, 1, 2, 3, 4, 5].map(|at| operation.offsets.get(at));
        let inside = |offsets: &[usize]| offsets.iter().all(|at| at + words <= MA_WORDS);
        match operation.control.op()? {
            MaOp::Load => inside(&[o0]).then_some(Self::Load { at: o0, words }),
            MaOp::Store => inside(&[o0]).then_some(Self::Store { at: o0, words }),
            MaOp::Multiply => inside(&[o0, o1, o2, o3, o4]).then_some(Self::Multiply(Product {
                a: o0,
                b: o1,
                n: o2,
                m: o3,
                x: o4,
                words,
                n_prime,
            })),
            MaOp::Reduce => {
                inside(&[o0, o1, o2]).then_some(Self::Reduce { a: o0, n: o1, x: o2, words })
            }
            MaOp::Exponentiate => {
                let power = Power {
                    a: o0,
                    m: o1,
                    n: o2,
                    x: o3,
                    e: o4,
                    exponent_bytes: o5 + 1,
                    words,
                    n_prime,
                };
                let exponent_fits = o4 + power.exponent_words() <= MA_WORDS;
                (inside(&[o0, o1, o2, o3]) && exponent_fits).then_some(Self::Exponentiate(power))
            }
        }
    }

    /// Cycles of core clock that it takes, with the unit's memory as it is.
    fn cycles(&self, memory: &Memory) -> u64 {
        let reduce = |words: u64| REDUCE_CYCLES * words;
        match self {
            Self::Load { words, .. } | Self::Store { words, .. } => *words as u64,
            Self::Reduce { words, .. } => reduce(*words as u64),
            Self::Multiply(product) => {
                let words = product.words as u64;
                let square = product.a == product.b;
                reduce(words) + if square { products_of_square(words) } else { products(words) }
            }
            Self::Exponentiate(power) => {
                let words = power.words as u64;
                let (squares, multiplies) = power.steps(memory);
                squares * (products_of_square(words) + reduce(words))
                    + multiplies * (products(words) + reduce(words))
            }
        }
    }
}

#[cfg(test)]
mod test;
