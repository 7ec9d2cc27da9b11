//! CASA, CASXA, SWAP, LDSTUB, and noticing that one only waits.
//!
//! **Waiting.** An atomic that failed [`SPINS`] times in a row on one address, or
//! three `rd %ccr, %g0` in a row, gives the turn up after the instruction.

use super::alternate::Form;
use super::memory::{Access, Space, data_fault};
use super::{Run, Stop};
use crate::engine::fault;
use crate::mem::Word as Cell;
use sun4v::isa::{Word, tt};

/// Failures in a row that are a wait.
const SPINS: u8 = 4;

impl Run<'_> {
    fn atomic_space(&self, w: Word, ea: u64, alternate: bool) -> Result<Space, Stop> {
        if !alternate {
            return self.implicit();
        }
        match self.space(self.asi_of(w), ea)? {
            (space, Form::Plain) => Ok(space),
            _ => {
                let context = self.strand.tag_context;
                Err(data_fault(tt::DATA_ACCESS_EXCEPTION, fault::ILLEGAL_ASI, ea, context))
            }
        }
    }

    /// Reads a word and lets `change` say what replaces it; gives the old one.
    fn exchange<W: Cell>(
        &mut self,
        ea: u64,
        space: &Space,
        change: impl FnOnce(W) -> Option<W>,
    ) -> Result<W, Stop> {
        let (pa, swapped) = self.translate(ea, Access::Atomic, space)?;
        let order = |word: W| if swapped { word.swapped() } else { word };
        let old = order(self.ram.load::<W>(pa));
        if let Some(new) = change(old) {
            self.put(pa, order(new));
        }
        Ok(old)
    }

    /// Counts failures; true when it is time to give the turn up.
    fn failed(&mut self, ea: u64, failed: bool) -> bool {
        if !failed {
            self.strand.spin = (0, 0);
            return false;
        }
        let (before, count) = self.strand.spin;
        let count = if before == ea { count + 1 } else { 1 };
        self.strand.spin = if count < SPINS { (ea, count) } else { (0, 0) };
        count >= SPINS
    }

    /// CASA and CASXA; true when it only waits.
    pub(super) fn compare_and_swap<W: Cell + PartialEq>(&mut self, w: Word) -> Result<bool, Stop> {
        let ea = self.r(w.rs1()) & self.strand.am;
        self.aligned(ea, W::BYTES)?;
        let space = self.atomic_space(w, ea, true)?;
        let (wanted, new) = (W::truncate(self.r(w.rs2())), W::truncate(self.r(w.rd())));
        let old = self.exchange(ea, &space, |old| (old == wanted).then_some(new))?;
        self.set(w.rd(), old.into());
        Ok(self.failed(ea, old != wanted))
    }

    /// SWAP and SWAPA.
    pub(super) fn swap(&mut self, w: Word, alternate: bool) -> Result<(), Stop> {
        let ea = self.ea(w);
        self.aligned(ea, 4)?;
        let space = self.atomic_space(w, ea, alternate)?;
        let new = self.r(w.rd()) as u32;
        let old = self.exchange(ea, &space, |_| Some(new))?;
        self.set(w.rd(), u64::from(old));
        Ok(())
    }

    /// LDSTUB and LDSTUBA; true when it only waits.
    pub(super) fn load_store_byte(&mut self, w: Word, alternate: bool) -> Result<bool, Stop> {
        let ea = self.ea(w);
        let space = self.atomic_space(w, ea, alternate)?;
        let old = self.exchange(ea, &space, |_| Some(0xffu8))?;
        self.set(w.rd(), u64::from(old));
        Ok(self.failed(ea, old == 0xff))
    }

    /// `rd %ccr, %g0`: true for the third in a row.
    pub(super) fn pause(&mut self) -> bool {
        let (before, count) = self.strand.hint;
        let count = if before.wrapping_add(4) == self.strand.pc { count + 1 } else { 1 };
        self.strand.hint = if count < 3 { (self.strand.pc, count) } else { (0, 0) };
        count >= 3
    }
}
