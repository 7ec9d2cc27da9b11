//! Register windows: SAVE, RESTORE, FLUSHW and the instructions of their handlers.
//!
//! **Source.** T2 reference 1.2; counters are three bits and unchecked.

use super::{Run, Stop};
use crate::chip::regs::WINDOWS;
use sun4v::isa::{Op, tt};

impl Run<'_> {
    fn window_trap(&self, normal: u16, other: u16, cwp: u8) -> Stop {
        let regs = &self.strand.regs;
        let tt = if regs.otherwin != 0 {
            other | u16::from(regs.wstate >> 3 & 7) << 2
        } else {
            normal | u16::from(regs.wstate & 7) << 2
        };
        Stop::Window(tt, cwp & 7)
    }

    #[cold]
    fn spill(&self) -> Stop {
        let regs = &self.strand.regs;
        self.window_trap(tt::SPILL_NORMAL, tt::SPILL_OTHER, regs.cwp() + regs.cansave + 2)
    }

    /// Is there a window to save into?
    #[inline(always)]
    pub(in crate::engine) fn check_save(&self) -> Result<(), Stop> {
        let regs = &self.strand.regs;
        if regs.cansave == 0 {
            return Err(self.spill());
        }
        if regs.cleanwin == regs.canrestore {
            return Err(Stop::Window(tt::CLEAN_WINDOW, (regs.cwp() + 1) & 7));
        }
        Ok(())
    }

    /// To the next window, or the trap that has to come first.
    #[inline(always)]
    pub(super) fn save(&mut self) -> Result<(), Stop> {
        self.check_save()?;
        self.strand.regs.save_window();
        Ok(())
    }

    /// Is there a window to return to?
    #[inline(always)]
    pub(in crate::engine) fn check_fill(&self) -> Result<(), Stop> {
        let regs = &self.strand.regs;
        if regs.canrestore == 0 {
            let cwp = regs.cwp().wrapping_sub(1);
            return Err(self.window_trap(tt::FILL_NORMAL, tt::FILL_OTHER, cwp));
        }
        Ok(())
    }

    /// To the previous window; [`Run::check_fill`] was asked.
    #[inline(always)]
    pub(super) fn restore(&mut self) {
        self.strand.regs.restore_window();
    }

    /// FLUSHW.
    pub(super) fn flush_windows(&self) -> Result<(), Stop> {
        if self.strand.regs.cansave == WINDOWS - 2 { Ok(()) } else { Err(self.spill()) }
    }

    /// SAVED, RESTORED and their like.
    pub(super) fn adjust_windows(&mut self, op: Op) {
        let regs = &mut self.strand.regs;
        let less = |counter: u8| counter.wrapping_sub(1) & 7;
        match op {
            Op::Saved => {
                regs.cansave = (regs.cansave + 1) & 7;
                if regs.otherwin == 0 {
                    regs.canrestore = less(regs.canrestore);
                } else {
                    regs.otherwin = less(regs.otherwin);
                }
            }
            Op::Restored => {
                regs.canrestore = (regs.canrestore + 1) & 7;
                if regs.otherwin == 0 {
                    regs.cansave = less(regs.cansave);
                } else {
                    regs.otherwin = less(regs.otherwin);
                }
                regs.cleanwin = (regs.cleanwin + 1).min(WINDOWS - 1);
            }
            Op::Allclean => regs.cleanwin = WINDOWS - 1,
            Op::Otherw => (regs.otherwin, regs.canrestore) = (regs.canrestore, 0),
            Op::Normalw => (regs.canrestore, regs.otherwin) = (regs.otherwin, 0),
            _ => (regs.cansave, regs.canrestore, regs.otherwin) = (WINDOWS - 2, 0, 0),
        }
    }
}
