//! What instructions do.
//!
//! [`Run`] is a strand being run. [`Run::step`] executes one instruction and is all
//! that the reference interpreter does; other engines call it for whatever they do not
//! know how to do faster. What an instruction does is in the files beside this one, by
//! family, and integer arithmetic in [`super::alu`].
//!
//! **Time.** An instruction's ticks have passed when it executes: the first one of a
//! strand whose clock is 0 reads 1.

mod alternate;
mod atomic;
mod branch;
mod count;
mod fp;
mod hyper;
mod integer;
mod memory;
mod privileged;
mod rows;
mod window;

pub(super) use branch::{fp_holds, holds as cc_holds, register_holds};
pub(super) use fp::{compute, flushes};

use super::alu::{alu, holds, is_alu, is_conditional, quotient};
use super::class::Class;
use super::insn::{Insn, Kind};
use super::{Clock, Code, Counts, Exit, Place, fault};
use crate::chip::strand::{MAXPTL, Strand, canonical};
use crate::chip::tlb::{Core, soft_index};
use crate::engine::timing::Costs;
use crate::mem::Ram;
use sun4v::addr::{PAGE_BYTES, RealMap};
use sun4v::isa::{Word, tt};

/// Why an instruction did not complete.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    /// A trap that the guest serves.
    Guest(u16),
    /// The same, in another window.
    Window(u16, u8),
    /// Not for the guest alone.
    Exit(Exit),
}

/// How it goes on after an instruction that completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// With the next one.
    Next,
    /// With the next one, after a look at modes, interrupts and the budget.
    Sync,
    /// Where `pc` and `npc` say, likewise.
    Jump,
    /// Somebody else's turn.
    Spin,
}

pub(super) fn illegal() -> Stop {
    Stop::Exit(Exit::Plain { tt: tt::ILLEGAL_INSTRUCTION })
}

/// The second operand: a register or an immediate.
fn operand2(strand: &Strand, w: Word) -> u64 {
    if w.i() { w.simm13() as u64 } else { strand.regs.get(w.rs2()) }
}

/// A strand being run.
pub(super) struct Run<'a> {
    pub(super) strand: &'a mut Strand,
    pub(super) core: &'a mut Core,
    pub(super) ram: &'a Ram,
    pub(super) map: &'a RealMap,
    pub(super) code: &'a mut Code,
    pub(super) clock: &'a mut Clock,
    pub(super) counts: &'a mut Counts,
    pub(super) costs: &'a Costs,
    pub(super) sharing: usize,
}

impl<'a> Run<'a> {
    /// Takes the place, minding what happened to memory meanwhile.
    pub(super) fn new(place: Place<'a>) -> Self {
        let Place { strand, core, ram, map, code, clock, counts, costs, sharing } = place;
        code.refresh(ram);
        let (log, generation) = (ram.log().generation(), code.generation);
        if (core.seen_log, core.seen_code) != (log, generation) {
            (core.seen_log, core.seen_code) = (log, generation);
            core.forget();
        }
        Self { strand, core, ram, map, code, clock, counts, costs, sharing }
    }

    /// What is due between two instructions: compare registers, interrupts, modes.
    /// Says up to which tick nothing more will be.
    pub(super) fn look(&mut self, until: u64) -> Result<u64, Exit> {
        self.strand.match_compares();
        if self.strand.tick >= until {
            return Err(Exit::Budget);
        }
        if let Some(tt) = self.strand.interrupt() {
            if self.strand.tl >= MAXPTL {
                self.strand.trapped = tt;
                return Err(Exit::Watchdog);
            }
            self.count(tt);
            self.strand.trap(tt);
        }
        self.strand.attention = false;
        self.strand.remode(self.core);
        Ok(until.min(self.strand.due()))
    }

    /// Takes the trap of an instruction that stopped, or says why the guest cannot.
    pub(super) fn stopped(&mut self, stop: Stop) -> Option<Exit> {
        match stop {
            Stop::Exit(exit) => {
                if let Exit::Fault { tt, .. } | Exit::Plain { tt } = exit {
                    self.strand.trapped = tt;
                }
                self.remember_address(exit);
                Some(exit)
            }
            Stop::Guest(tt) => self.guest_trap(tt),
            Stop::Window(tt, cwp) => {
                let exit = self.guest_trap(tt);
                if exit.is_none() {
                    self.strand.regs.set_cwp(cwp);
                }
                exit
            }
        }
    }

    /// Loads the data MMU's fault address register, as faults of most kinds do.
    fn remember_address(&mut self, exit: Exit) {
        match exit {
            Exit::Fault { tt: tt::PRIVILEGED_ACTION, .. } => {}
            Exit::Fault { instruction: false, kind, address, .. } if kind != fault::INVALID_RA => {
                self.strand.sfar = address;
            }
            Exit::Protection { va, .. } => self.strand.sfar = va,
            _ => {}
        }
    }

    fn count(&mut self, tt: u16) {
        self.counts.traps[usize::from(tt & 511)] += 1;
    }

    fn guest_trap(&mut self, tt: u16) -> Option<Exit> {
        if self.strand.tl >= MAXPTL {
            self.strand.trapped = tt;
            return Some(Exit::Watchdog);
        }
        self.enter_trap(tt);
        None
    }

    /// Takes a trap below the highest level.
    pub(super) fn enter_trap(&mut self, tt: u16) {
        self.count(tt);
        self.strand.trap(tt);
        self.strand.remode(self.core);
    }

    /// Reads an integer register.
    #[inline(always)]
    fn r(&self, n: u8) -> u64 {
        self.strand.regs.get(n)
    }

    /// Writes an integer register, minding `%g0`.
    #[inline(always)]
    fn set(&mut self, n: u8, value: u64) {
        self.strand.regs.set(n, value);
    }

    /// Executes one instruction.
    pub(super) fn step(&mut self) -> Result<Flow, Stop> {
        if self.strand.counting { self.step_counted() } else { self.attempt() }
    }

    /// Executes one instruction without counting events.
    #[inline(always)]
    fn attempt(&mut self) -> Result<Flow, Stop> {
        let (insn, class) = match self.here() {
            Ok(found) => found,
            Err(stop) => {
                // The attempt takes its tick, or a fault that repeats for ever would
                // never end.
                self.miss_takes_time();
                return Err(stop);
            }
        };
        self.pass(class);
        self.execute(insn)
    }

    /// Lets the time of an instruction pass.
    #[inline(always)]
    fn pass(&mut self, class: Class) {
        self.strand.tick += self.costs.ticks(class, self.sharing);
        // An engine may have counted less than nothing so far: see `Engine::pending`.
        let counts = &mut *self.counts;
        counts.instructions = counts.instructions.wrapping_add(1);
        let of_class = &mut counts.classes[class as usize];
        *of_class = of_class.wrapping_add(1);
    }

    /// A fetch that failed takes the time of an instruction.
    pub(super) fn miss_takes_time(&mut self) {
        self.pass(Class::Illegal);
    }

    /// The instruction at `pc`.
    #[inline(always)]
    fn here(&mut self) -> Result<(Insn, Class), Stop> {
        let index = (self.strand.pc >> 2) as usize;
        let number = self.page()?;
        let insn = self.code.insn(number, index, self.ram);
        Ok(insn.unwrap_or((Insn::default(), Class::Illegal)))
    }

    /// The number of the decoded page that holds `pc`.
    #[inline(always)]
    pub(super) fn page(&mut self) -> Result<u32, Stop> {
        let pc = self.strand.pc;
        let soft = &self.core.soft_code[soft_index(pc)];
        let known = soft.va == pc & !(PAGE_BYTES - 1) && soft.key == self.strand.code_key;
        if known && self.code.version(soft.page).is_some() { Ok(soft.page) } else { self.fetch() }
    }

    /// On to the next instruction.
    #[inline(always)]
    pub(super) fn advance(&mut self) {
        let strand = &mut *self.strand;
        strand.pc = strand.npc;
        strand.npc = strand.npc.wrapping_add(4) & strand.am;
    }

    /// On to the next instruction, and then to `target`.
    fn transfer(&mut self, target: u64) {
        self.strand.tick += self.costs.bubble(self.sharing);
        let strand = &mut *self.strand;
        strand.pc = strand.npc;
        strand.npc = target;
    }

    /// Over the next instruction.
    fn skip(&mut self) {
        let strand = &mut *self.strand;
        strand.pc = strand.npc.wrapping_add(4) & strand.am;
        strand.npc = strand.pc.wrapping_add(4) & strand.am;
    }

    /// What a transfer of control checks before it happens.
    pub(super) fn check_target(&self, target: u64) -> Result<(), Stop> {
        if self.strand.tct {
            return Err(Stop::Guest(tt::CONTROL_TRANSFER_INSTRUCTION));
        }
        if self.strand.am != u64::MAX || canonical(target) == target {
            return Ok(());
        }
        // A taken branch's target lies in the hole: a fault of the branch.
        Err(self.out_of_range(target, !self.strand.mmu_on))
    }

    /// The target of JMPL and RETURN.
    pub(super) fn indirect_target(&self, to: u64) -> Result<u64, Stop> {
        let to = to & self.strand.am;
        if to & 3 != 0 {
            return Err(self.misaligned(to));
        }
        self.check_target(to)?;
        Ok(to)
    }

    fn branch(&mut self, insn: Insn, taken: bool) -> Result<Flow, Stop> {
        if taken {
            let target = self.strand.pc.wrapping_add_signed(i64::from(insn.imm) << 2);
            let target = target & self.strand.am;
            self.check_target(target)?;
            self.transfer(target);
        } else if insn.rs2 != 0 {
            self.skip();
        } else {
            self.advance();
        }
        Ok(Flow::Next)
    }

    /// Always taken; annulled, its slot is skipped.
    fn branch_always(&mut self, insn: Insn) -> Result<Flow, Stop> {
        self.branch(insn, true)?;
        if insn.rs2 != 0 {
            self.advance();
        }
        Ok(Flow::Next)
    }

    /// Executes an instruction whose time has passed.
    #[inline(always)]
    fn execute(&mut self, insn: Insn) -> Result<Flow, Stop> {
        let Insn { kind, rd, rs1, rs2, imm } = insn;
        let imm = i64::from(imm) as u64;
        let second = || self.r(rs2).wrapping_add(imm);
        match kind {
            Kind::Undecoded | Kind::Illegal => return Err(self.no_instruction(insn.imm as u32)),
            Kind::Slow => {
                let flow = self.slow(insn.op(), Word(insn.imm as u32))?;
                if flow == Flow::Jump {
                    return Ok(Flow::Sync);
                }
                self.advance();
                return Ok(flow);
            }
            Kind::Nop => {}
            Kind::Sethi => self.set(rd, u64::from(insn.imm as u32)),
            _ if is_alu(kind) => {
                let (a, b) = (self.r(rs1), second());
                let strand = &mut *self.strand;
                let value = alu(kind, &mut strand.cc, &mut strand.y, a, b);
                self.set(rd, value);
            }
            Kind::Udivx | Kind::Sdivx => {
                let value = quotient(kind, self.r(rs1), second());
                self.set(rd, value.ok_or(Stop::Guest(tt::DIVISION_BY_ZERO))?);
            }
            Kind::MovIcc | Kind::MovXcc => {
                let cc = &self.strand.cc;
                let code = if kind == Kind::MovIcc { cc.icc() } else { cc.xcc() };
                if branch::holds(rs1, code) {
                    self.set(rd, second());
                }
            }
            Kind::MovRegister => {
                if branch::register_holds((insn.imm >> 16) as u8, self.r(rs1)) {
                    self.set(rd, self.r(rs2).wrapping_add(insn.imm as i16 as u64));
                }
            }
            _ if is_conditional(kind) => {
                let holds = holds(kind, &self.strand.cc, self.r(rs1));
                return self.branch(insn, holds != (rd != 0));
            }
            Kind::Fb => {
                self.fp_enabled()?;
                let taken = branch::fp_holds(rd, rs1, self.strand.fsr);
                // FBA,a: its slot is skipped although it is taken.
                return if taken && rd == 8 {
                    self.branch_always(insn)
                } else {
                    self.branch(insn, taken)
                };
            }
            Kind::Ba => return self.branch_always(insn),
            Kind::BnA => {
                self.skip();
                return Ok(Flow::Next);
            }
            Kind::Call => {
                let target = self.strand.pc.wrapping_add_signed(i64::from(insn.imm) << 2);
                let target = target & self.strand.am;
                self.check_target(target)?;
                self.set(15, self.strand.pc);
                self.transfer(target);
                return Ok(Flow::Next);
            }
            Kind::Jmpl => {
                let target = self.indirect_target(self.r(rs1).wrapping_add(second()))?;
                self.set(rd, self.strand.pc);
                self.transfer(target);
                return Ok(Flow::Next);
            }
            Kind::Return => {
                self.check_fill()?;
                let target = self.indirect_target(self.r(rs1).wrapping_add(second()))?;
                self.restore();
                self.transfer(target);
                return Ok(Flow::Next);
            }
            Kind::Save => {
                let sum = self.r(rs1).wrapping_add(second());
                self.save()?;
                self.set(rd, sum);
            }
            Kind::Restore => {
                let sum = self.r(rs1).wrapping_add(second());
                self.check_fill()?;
                self.restore();
                self.set(rd, sum);
            }
            Kind::Ldub
            | Kind::Lduh
            | Kind::Lduw
            | Kind::Ldx
            | Kind::Ldsb
            | Kind::Ldsh
            | Kind::Ldsw
            | Kind::Ldf
            | Kind::Lddf => self.load(kind, rd, self.r(rs1).wrapping_add(second()))?,
            Kind::Stb | Kind::Sth | Kind::Stw | Kind::Stx | Kind::Stf | Kind::Stdf => {
                self.store(kind, rd, self.r(rs1).wrapping_add(second()))?;
            }
            _ => {
                self.fp_enabled()?;
                if flushes(kind, self.strand) {
                    self.fpop_word(Word(insn.imm as u32))?;
                } else {
                    compute(self.strand, kind, rd, rs1, rs2)?;
                }
            }
        }
        self.advance();
        Ok(Flow::Next)
    }

    fn load(&mut self, kind: Kind, rd: u8, ea: u64) -> Result<(), Stop> {
        let ea = ea & self.strand.am;
        let value = match kind {
            Kind::Ldub => u64::from(self.load_word::<u8>(ea)?),
            Kind::Lduh => u64::from(self.load_word::<u16>(ea)?),
            Kind::Lduw => u64::from(self.load_word::<u32>(ea)?),
            Kind::Ldsb => self.load_word::<u8>(ea)? as i8 as u64,
            Kind::Ldsh => self.load_word::<u16>(ea)? as i16 as u64,
            Kind::Ldsw => self.load_word::<u32>(ea)? as i32 as u64,
            Kind::Ldf => {
                self.fp_enabled()?;
                let word = self.load_word::<u32>(ea)?;
                self.strand.set_single(rd, word);
                return Ok(());
            }
            Kind::Lddf => {
                self.fp_enabled()?;
                let word = match self.load_fast::<u64>(ea) {
                    Some(word) => word,
                    None => self.load_double_slow(ea)?,
                };
                self.strand.set_double(rd, word);
                return Ok(());
            }
            _ => self.load_word::<u64>(ea)?,
        };
        self.set(rd, value);
        Ok(())
    }

    fn store(&mut self, kind: Kind, rd: u8, ea: u64) -> Result<(), Stop> {
        let (ea, value) = (ea & self.strand.am, self.r(rd));
        match kind {
            Kind::Stb => self.store_word(ea, value as u8),
            Kind::Sth => self.store_word(ea, value as u16),
            Kind::Stw => self.store_word(ea, value as u32),
            Kind::Stf => {
                self.fp_enabled()?;
                self.store_word(ea, self.strand.single(rd))
            }
            Kind::Stdf => {
                self.fp_enabled()?;
                let word = self.strand.double(rd);
                if self.store_fast(ea, word) { Ok(()) } else { self.store_double_slow(ea, word) }
            }
            _ => self.store_word(ea, value),
        }
    }
}
