//! Instructions of a strand that counts them: PCR and PIC.
//!
//! **Order.** An instruction counts when it has completed, as PCR and the mode were
//! before it. So one that switches counting on does not count, one that switches it off
//! does, a read of PIC does not see itself, and a write to PIC counts on top of what it
//! wrote. An interrupt by overflow is taken before the next instruction.
//!
//! Tests are in `engine/test/counted.rs`, for every engine.

use super::{Flow, Run, Stop, branch};
use crate::chip::counters::Events;
use crate::engine::class::Class;
use crate::engine::insn::Insn;
use sun4v::addr::PAGE_BYTES;
use sun4v::isa::{Op, Word, decode};

impl Run<'_> {
    /// Executes one instruction and counts what happens.
    #[cold]
    #[inline(never)]
    pub(super) fn step_counted(&mut self) -> Result<Flow, Stop> {
        let (pcr, misses, pc) = (self.strand.pcr, self.counts.misses, self.strand.pc);
        let number = match self.page() {
            Ok(number) => number,
            Err(stop) => {
                self.pass(Class::Illegal);
                self.tally(pcr, 0, misses);
                return Err(stop);
            }
        };
        let word = self.ram.load::<u32>(self.code.pa(number).offset(pc & (PAGE_BYTES - 1)));
        let completes = self.completes(word);
        let result = self.attempt();
        let completed = if result.is_ok() { completes } else { 0 };
        let overflow = self.tally(pcr, completed, misses);
        match result {
            Ok(Flow::Next) if overflow => Ok(Flow::Sync),
            other => other,
        }
    }

    /// Counts; `misses` is how many there had been.
    fn tally(&mut self, pcr: u64, completed: u8, misses: [u64; 2]) -> bool {
        let mut missed = 0;
        if self.counts.misses[0] != misses[0] {
            missed |= Events::ITLB;
        }
        if self.counts.misses[1] != misses[1] {
            missed |= Events::DTLB;
        }
        self.strand.count(pcr, Events { completed, missed })
    }

    /// The events of an instruction that is about to be executed, if it completes.
    fn completes(&self, word: u32) -> u8 {
        let (Some(op), w) = (decode(word), Word(word)) else { return 0 };
        let taken = match op {
            Op::Bicc => self.condition(w.cond(), 4),
            Op::Bpcc => self.condition(w.cond(), 4 | w.branch_cc() & 2),
            Op::Bpr => branch::register_holds(w.branch_rcond(), self.r(w.rs1())),
            Op::Fbfcc => branch::fp_holds(w.cond(), 0, self.strand.fsr),
            Op::Fbpfcc => branch::fp_holds(w.cond(), w.branch_cc(), self.strand.fsr),
            Op::Call | Op::Jmpl | Op::Return => true,
            Op::Sethi => return Events::SETHI,
            _ => {
                return match Insn::of(word).class() {
                    Class::Load => Events::LOAD,
                    Class::Store => Events::STORE,
                    Class::Atomic => Events::ATOMIC,
                    Class::Float | Class::FloatDivideSingle | Class::FloatDivideDouble => {
                        Events::FLOAT
                    }
                    Class::Visual => Events::FLOAT,
                    _ => Events::OTHER,
                };
            }
        };
        Events::BRANCH | if taken { Events::TAKEN } else { 0 }
    }
}
