//! State registers: RDASR, WRASR, RDPR, WRPR, and traps by instruction.
//!
//! **Errors.** Which registers exist is the table's business; illegal comes before
//! privileged, and privileged before disabled floating point.

use super::{Flow, Run, Stop, illegal, operand2};
use crate::chip::counters::PCR_PRIV;
use crate::chip::regs::Cc;
use crate::chip::stick::{stick_of, tick_of};
use crate::chip::strand::{GSR_BITS, SOFTINT_ALL, canonical, pstate};
use crate::engine::Exit;
use sun4v::isa::reg::{asr, privileged as pr};
use sun4v::isa::{Word, tt};

/// Bits that TSTATE has.
const TSTATE_BITS: u64 = 3 << 40 | 0xffff << 24 | (pstate::ALL as u64) << 8 | 7;

impl Run<'_> {
    /// Only privileged code goes on.
    pub(super) fn privileged(&self) -> Result<(), Stop> {
        match self.strand.has(pstate::PRIV) {
            true => Ok(()),
            false => Err(Stop::Guest(tt::PRIVILEGED_OPCODE)),
        }
    }

    /// Who may touch PIC.
    fn check_pic(&self) -> Result<(), Stop> {
        let closed = self.strand.pcr & PCR_PRIV != 0 && !self.strand.has(pstate::PRIV);
        if closed { Err(self.privileged_action()) } else { Ok(()) }
    }

    /// RDASR; `Spin` for the third pause in a row.
    pub(super) fn read_asr(&mut self, w: Word) -> Result<Flow, Stop> {
        let mut flow = Flow::Next;
        let number = w.rs1();
        if matches!(number, asr::PCR | asr::SOFTINT | asr::TICK_CMPR | asr::STICK_CMPR) {
            self.privileged()?;
        }
        let value = match number {
            asr::Y => u64::from(self.strand.y),
            asr::CCR => {
                if w.rd() == 0 && self.pause() {
                    flow = Flow::Spin;
                }
                u64::from(self.strand.cc.ccr())
            }
            asr::ASI => u64::from(self.strand.asi),
            asr::TICK => tick_of(self.clock.read(self.strand.tick)),
            asr::PC => self.strand.pc,
            asr::FPRS => u64::from(self.strand.fprs),
            asr::PCR => self.strand.pcr,
            asr::PIC => {
                self.check_pic()?;
                self.strand.pic
            }
            asr::GSR => {
                self.fp_enabled()?;
                self.strand.gsr
            }
            asr::SOFTINT => u64::from(self.strand.softint),
            asr::TICK_CMPR => self.strand.tick_cmpr.register(),
            asr::STICK => stick_of(self.clock.read(self.strand.tick)),
            asr::STICK_CMPR => self.strand.stick_cmpr.register(),
            _ => return Err(illegal()),
        };
        self.set(w.rd(), value);
        Ok(flow)
    }

    /// WRASR.
    pub(super) fn write_asr(&mut self, w: Word) -> Result<Flow, Stop> {
        let value = self.r(w.rs1()) ^ operand2(self.strand, w);
        let number = w.rd();
        if matches!(number, asr::PCR | 20..=asr::TICK_CMPR | asr::STICK_CMPR) {
            self.privileged()?;
        }
        let strand = &mut *self.strand;
        let softint = value as u32 & SOFTINT_ALL;
        let (now, offset) = (strand.tick, self.clock.offset);
        match number {
            asr::Y => strand.y = value as u32,
            asr::CCR => strand.cc = Cc::from_ccr(value as u8),
            asr::ASI => strand.asi = value as u8,
            asr::FPRS => strand.fprs = value as u8 & 7,
            asr::PCR => strand.write_pcr(value),
            asr::PIC => {
                self.check_pic()?;
                self.strand.pic = value;
            }
            asr::GSR => {
                self.fp_enabled()?;
                self.strand.gsr = value & GSR_BITS;
            }
            asr::SOFTINT_SET => strand.softint |= softint,
            asr::SOFTINT_CLR | asr::SOFTINT => {
                strand.softint =
                    if number == asr::SOFTINT { softint } else { strand.softint & !softint };
                strand.signal_overflow();
            }
            asr::TICK_CMPR => strand.tick_cmpr.write(value, now, offset),
            asr::STICK_CMPR => strand.stick_cmpr.write(value, now, offset),
            _ => return Err(illegal()),
        }
        Ok(match number {
            asr::FPRS | asr::PCR | 20..=asr::TICK_CMPR | asr::STICK_CMPR => Flow::Sync,
            _ => Flow::Next,
        })
    }

    /// The trap level whose registers are read and written.
    fn level(&self) -> Result<usize, Stop> {
        self.privileged()?;
        usize::from(self.strand.tl).checked_sub(1).ok_or(illegal())
    }

    /// RDPR.
    pub(super) fn read_privileged(&mut self, w: Word) -> Result<(), Stop> {
        let number = w.rs1();
        let value = match number {
            pr::TPC..=pr::TT => {
                let level = self.strand.traps[self.level()?];
                match number {
                    pr::TPC => level.tpc,
                    pr::TNPC => level.tnpc,
                    pr::TSTATE => level.tstate,
                    _ => u64::from(level.tt),
                }
            }
            _ => {
                self.privileged()?;
                let regs = &self.strand.regs;
                match number {
                    pr::TICK => tick_of(self.clock.read(self.strand.tick)),
                    pr::TBA => self.strand.tba,
                    pr::PSTATE => u64::from(self.strand.pstate),
                    pr::TL => u64::from(self.strand.tl),
                    pr::PIL => u64::from(self.strand.pil),
                    pr::CWP => u64::from(regs.cwp()),
                    pr::CANSAVE => u64::from(regs.cansave),
                    pr::CANRESTORE => u64::from(regs.canrestore),
                    pr::CLEANWIN => u64::from(regs.cleanwin),
                    pr::OTHERWIN => u64::from(regs.otherwin),
                    pr::WSTATE => u64::from(regs.wstate),
                    pr::GL => u64::from(regs.gl()),
                    _ => return Err(illegal()),
                }
            }
        };
        self.set(w.rd(), value);
        Ok(())
    }

    /// WRPR.
    pub(super) fn write_privileged(&mut self, w: Word) -> Result<Flow, Stop> {
        let value = self.r(w.rs1()) ^ operand2(self.strand, w);
        let number = w.rd();
        if let pr::TPC..=pr::TT = number {
            let index = self.level()?;
            let level = &mut self.strand.traps[index];
            match number {
                pr::TPC => level.tpc = canonical(value) & !3,
                pr::TNPC => level.tnpc = canonical(value) & !3,
                pr::TSTATE => level.tstate = value & TSTATE_BITS,
                _ => level.tt = value as u16 & 0x1ff,
            }
            return Ok(Flow::Next);
        }
        self.privileged()?;
        let strand = &mut *self.strand;
        let counter = value as u8 & 7;
        match number {
            pr::TBA => strand.set_tba(value),
            pr::PSTATE => strand.set_pstate(value),
            pr::TL => strand.tl = counter.min(2),
            pr::PIL => strand.pil = value as u8 & 15,
            pr::CWP => strand.regs.set_cwp(counter),
            pr::CANSAVE => strand.regs.cansave = counter,
            pr::CANRESTORE => strand.regs.canrestore = counter,
            pr::CLEANWIN => strand.regs.cleanwin = counter,
            pr::OTHERWIN => strand.regs.otherwin = counter,
            pr::WSTATE => strand.regs.wstate = value as u8 & 0x3f,
            pr::GL => strand.regs.set_gl(value as u8 & 15),
            _ => return Err(illegal()),
        }
        Ok(match number {
            pr::PSTATE | pr::TL | pr::PIL => Flow::Sync,
            _ => Flow::Next,
        })
    }

    /// DONE and RETRY.
    pub(super) fn leave_trap(&mut self, done: bool) -> Result<Flow, Stop> {
        self.level()?;
        if self.strand.tct {
            return Err(Stop::Guest(tt::CONTROL_TRANSFER_INSTRUCTION));
        }
        self.strand.leave(done);
        self.strand.remode(self.core);
        Ok(Flow::Jump)
    }

    /// Tcc.
    pub(super) fn trap_on(&self, w: Word) -> Result<(), Stop> {
        let cc = &self.strand.cc;
        let code = if w.trap_cc() & 2 == 0 { cc.icc() } else { cc.xcc() };
        if !super::branch::holds(w.cond(), code) {
            return Ok(());
        }
        if self.strand.tct {
            return Err(Stop::Guest(tt::CONTROL_TRANSFER_INSTRUCTION));
        }
        let second = if w.i() { u64::from(w.imm_trap()) } else { self.r(w.rs2()) };
        let sum = self.r(w.rs1()).wrapping_add(second) as u8;
        let number = if self.strand.has(pstate::PRIV) { sum } else { sum & 0x7f };
        Err(match number {
            0x80.. => Stop::Exit(Exit::Hypercall { number }),
            _ => Stop::Guest(tt::TRAP_INSTRUCTION + u16::from(number)),
        })
    }
}
