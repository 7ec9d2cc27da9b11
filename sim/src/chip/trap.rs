//! What traps, returns from traps and changes of mode do to a strand.
//!
//! **Source.** T2 reference 2.3 (entry by hardware), 2.4 (reflected by the
//! hypervisor), 2.7 (interrupts), 2.8 (watchdog), 2.9 (DONE and RETRY).

use super::regs::Cc;
use super::strand::{
    MAXPTL, SOFTINT_STICK, SOFTINT_TICK, Strand, TrapLevel, canonical, fprs, pstate,
};
use super::tlb::{Core, KEY_AM, KEY_NONE, KEY_REAL, KEY_USER};
use sun4v::isa::tt;

/// Where GL, CCR, ASI and PSTATE are in TSTATE.
const GL: u32 = 40;
const CCR: u32 = 32;
const ASI: u32 = 24;
const PSTATE: u32 = 8;
/// The vector offset of traps at TL above 0.
const NESTED: u64 = 1 << 14;

impl Strand {
    /// TSTATE as a trap would save it now.
    pub fn tstate(&self) -> u64 {
        u64::from(self.regs.gl()) << GL
            | u64::from(self.cc.ccr()) << CCR
            | u64::from(self.asi) << ASI
            | u64::from(self.pstate) << PSTATE
            | u64::from(self.regs.cwp())
    }

    fn enter(&mut self, tt: u16, mode: u16) {
        let nested = self.tl > 0;
        let level = TrapLevel { tpc: self.pc, tnpc: self.npc, tstate: self.tstate(), tt };
        self.traps[usize::from(self.tl.min(MAXPTL - 1))] = level;
        self.tl = (self.tl + 1).min(MAXPTL);
        self.regs.set_gl(self.regs.gl() + 1);
        self.pstate = mode;
        self.pc = self.tba | if nested { NESTED } else { 0 } | u64::from(tt) << 5;
        self.npc = self.pc.wrapping_add(4);
    }

    /// Takes a trap that hardware delivers to the guest; TL is below 2.
    pub fn trap(&mut self, tt: u16) {
        let little = if self.has(pstate::TLE) { pstate::CLE | pstate::TLE } else { 0 };
        self.enter(tt, pstate::PEF | pstate::PRIV | little);
    }

    /// Takes a trap that the hypervisor reflects; TL is below 2.
    pub fn reflect(&mut self, tt: u16) {
        self.enter(tt, (self.pstate | pstate::PRIV) & !(pstate::AM | pstate::IE));
    }

    /// The guest's watchdog: at `pc`, MMU off, TL and GL 2.
    pub fn watchdog(&mut self, pc: u64) {
        let tstate = self.tstate();
        self.traps[1].tstate = tstate;
        self.traps[1].tt = self.trapped;
        self.tl = MAXPTL;
        self.regs.set_gl(MAXPTL);
        self.mmu_on = false;
        self.pstate = (self.pstate | pstate::PRIV) & !(pstate::IE | pstate::AM);
        (self.pc, self.npc) = (pc, pc.wrapping_add(4));
        self.attention = true;
    }

    /// DONE (or RETRY): back to the level below. TL is above 0.
    pub fn leave(&mut self, done: bool) {
        let level = self.traps[usize::from(self.tl.clamp(1, MAXPTL) - 1)];
        self.tl -= 1;
        (self.pc, self.npc) = match done {
            true => (level.tnpc, level.tnpc.wrapping_add(4)),
            false => (level.tpc, level.tnpc),
        };
        self.cc = Cc::from_ccr((level.tstate >> CCR) as u8);
        self.asi = (level.tstate >> ASI) as u8;
        self.pstate = (level.tstate >> PSTATE) as u16 & pstate::ALL;
        self.regs.set_cwp(level.tstate as u8 & 7);
        self.regs.set_gl((level.tstate >> GL) as u8 & 3);
        self.attention = true;
    }

    /// Makes what follows from PSTATE, TL, contexts and the core: keys, address
    /// mask, floating point, counting.
    pub fn remode(&mut self, core: &Core) {
        let privileged = self.has(pstate::PRIV);
        let user = if privileged { 0 } else { KEY_USER };
        let contexts = match (self.mmu_on, self.tl) {
            (true, 0) => [self.contexts[0], self.contexts[1]],
            _ => [0, 0],
        };
        let real = if self.mmu_on { 0 } else { KEY_REAL };
        self.code_key = core.key(contexts, user | real);
        self.key = if self.has(pstate::CLE) || !privileged && self.tl > 0 {
            KEY_NONE
        } else {
            self.code_key
        };
        let am = self.has(pstate::AM);
        if am {
            self.code_key |= KEY_AM;
        }
        self.am = if am { 0xffff_ffff } else { u64::MAX };
        self.pc &= self.am;
        self.npc &= self.am;
        self.fp_on = self.has(pstate::PEF) && self.fprs & fprs::FEF != 0;
        self.tct = self.has(pstate::TCT);
        self.counting = self.counts_events();
    }

    /// The interrupt that is taken before the next instruction.
    pub fn interrupt(&self) -> Option<u16> {
        if !self.has(pstate::IE) {
            return None;
        }
        let waits = |queue: usize| self.queues[queue][0] != self.queues[queue][1];
        if waits(0) {
            return Some(tt::CPU_MONDO);
        }
        if waits(1) {
            return Some(tt::DEV_MONDO);
        }
        let mut levels = self.softint & 0xfffe;
        if self.softint & (SOFTINT_TICK | SOFTINT_STICK) != 0 {
            levels |= 1 << 14;
        }
        let highest = (31 - (levels | 1).leading_zeros()) as u8;
        if highest > self.pil {
            return Some(tt::INTERRUPT_LEVEL + u16::from(highest));
        }
        waits(2).then_some(tt::RESUMABLE_ERROR)
    }

    /// Machine tick of the next compare that matches.
    pub fn due(&self) -> u64 {
        self.tick_cmpr.due().min(self.stick_cmpr.due())
    }

    /// Lets the compare registers match at its own time.
    pub fn match_compares(&mut self) {
        if self.tick_cmpr.matched(self.tick) {
            self.softint |= SOFTINT_TICK;
        }
        if self.stick_cmpr.matched(self.tick) {
            self.softint |= SOFTINT_STICK;
        }
    }

    /// Writes TBA.
    pub fn set_tba(&mut self, value: u64) {
        self.tba = canonical(value) & !0x7fff;
    }
}

#[cfg(test)]
mod test {
    use crate::chip::strand::{Strand, pstate};
    use sun4v::isa::tt;

    #[test]
    fn done_and_retry_undo_a_trap() {
        for done in [false, true] {
            let mut strand = Strand { pc: 0x1000, npc: 0x2000, asi: 0x80, ..Strand::default() };
            strand.set_tba(0x40_0000);
            strand.set_pstate(u64::from(pstate::IE | pstate::AM | pstate::PRIV));
            strand.regs.set_cwp(3);
            strand.trap(tt::TRAP_INSTRUCTION);
            assert_eq!((strand.pc, strand.tl, strand.regs.gl()), (0x40_2000, 1, 1));
            assert_eq!(strand.pstate, pstate::PEF | pstate::PRIV);
            strand.asi = 0;
            strand.regs.set_cwp(0);
            strand.trap(tt::FP_DISABLED);
            assert_eq!((strand.pc, strand.tl, strand.regs.gl()), (0x40_4400, 2, 2));
            strand.leave(false);
            assert_eq!((strand.pc, strand.npc, strand.tl), (0x40_2000, 0x40_2004, 1));
            strand.leave(done);
            let expected = if done { (0x2000, 0x2004) } else { (0x1000, 0x2000) };
            assert_eq!((strand.pc, strand.npc), expected);
            assert_eq!((strand.asi, strand.regs.cwp(), strand.regs.gl()), (0x80, 3, 0));
            assert_eq!(strand.pstate, pstate::IE | pstate::AM | pstate::PRIV);
        }
    }

    #[test]
    fn mondos_come_before_levels_and_levels_respect_pil() {
        let mut strand = Strand { softint: 1 << 16, ..Strand::default() };
        strand.queues[1] = [0, 64];
        assert_eq!(strand.interrupt(), None);
        strand.set_pstate(u64::from(pstate::PRIV | pstate::IE));
        assert_eq!(strand.interrupt(), Some(tt::DEV_MONDO));
        strand.queues[1] = [64, 64];
        assert_eq!(strand.interrupt(), Some(tt::INTERRUPT_LEVEL + 14));
        strand.pil = 14;
        assert_eq!(strand.interrupt(), None);
        strand.softint |= 1 << 15;
        assert_eq!(strand.interrupt(), Some(tt::INTERRUPT_LEVEL + 15));
    }
}
