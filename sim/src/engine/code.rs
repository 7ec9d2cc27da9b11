//! Decoded pages: which physical pages hold instructions, and what they are.
//!
//! **Shapes.** A decoded page is 2048 [`Insn`]s and their classes, numbered in the order in which pages
//! became code, decoded when first executed. A page's *version* counts the changes
//! to instructions that were decoded: what was made of them is good for one version.
//!
//! **Coherence.** A page that is decoded here is marked in [`Ram`]. A store by the
//! domain itself finds the mark and hands the address in ([`Code::stored`]), which
//! undecodes that one instruction; a store by anybody else takes the mark away and
//! raises the epoch, and [`Code::refresh`] drops the pages whose mark is gone.

use super::class::Class;
use super::insn::{Insn, Kind};
use crate::mem::Ram;
use std::collections::BTreeMap;
use sun4v::addr::{PAGE_BYTES, PAGE_SHIFT, Pa};

/// Instructions of a page.
pub const PAGE_INSNS: usize = PAGE_BYTES as usize / 4;
/// Decoded pages that are kept.
const PAGES_MAX: usize = 8192;

const UNDECODED: (Insn, Class) =
    (Insn { kind: Kind::Undecoded, rd: 0, rs1: 0, rs2: 0, imm: 0 }, Class::Illegal);

struct Slot {
    pa: Pa,
    page: Box<[(Insn, Class); PAGE_INSNS]>,
    /// It may be executed.
    valid: bool,
    version: u64,
}

/// All decoded pages of a domain.
#[derive(Default)]
pub struct Code {
    slots: Vec<Slot>,
    /// Number by physical page.
    numbers: BTreeMap<u64, u32>,
    epoch: u64,
    /// Counts pages that became code, and changes: cores may hold permission to store
    /// there, or to execute what is not there any longer.
    pub generation: u64,
    /// Counts changes of versions.
    pub changes: u64,
}

impl Code {
    /// Drops pages that somebody else stored to.
    #[inline]
    pub fn refresh(&mut self, ram: &Ram) {
        if ram.code_epoch() != self.epoch {
            self.look_again(ram);
        }
    }

    #[cold]
    fn look_again(&mut self, ram: &Ram) {
        self.epoch = ram.code_epoch();
        for slot in self.slots.iter_mut().filter(|slot| slot.valid && !ram.is_code(slot.pa)) {
            slot.valid = false;
            self.changes += 1;
            slot.version = self.changes;
            self.generation += 1;
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self, ram: &Ram) {
        for slot in &self.slots {
            ram.unmark_code(slot.pa);
        }
        let (generation, changes) = (self.generation + 1, self.changes + 1);
        *self = Self { epoch: self.epoch, generation, changes, ..Self::default() };
    }

    /// The instruction at `index` of page `number`, decoded if need be; `None` when
    /// the page has to be looked up.
    #[inline]
    pub fn insn(&mut self, number: u32, index: usize, ram: &Ram) -> Option<(Insn, Class)> {
        let slot = self.slots.get_mut(number as usize).filter(|slot| slot.valid)?;
        let index = index % PAGE_INSNS;
        if slot.page[index].0.kind == Kind::Undecoded {
            let insn = Insn::of(ram.load::<u32>(slot.pa.offset(4 * index as u64)));
            slot.page[index] = (insn, insn.class());
        }
        Some(slot.page[index])
    }

    /// Where page `number` lies.
    #[inline]
    #[must_use]
    pub fn pa(&self, number: u32) -> Pa {
        self.slots.get(number as usize).map_or(Pa(0), |slot| slot.pa)
    }

    /// The version of page `number`; `None` when it has to be looked up.
    #[inline]
    #[must_use]
    pub fn version(&self, number: u32) -> Option<u64> {
        self.slots.get(number as usize).filter(|slot| slot.valid).map(|slot| slot.version)
    }

    /// The number of the page that holds `pa`, ready for execution. The flag says
    /// that it has just become code.
    pub fn number(&mut self, pa: Pa, ram: &Ram) -> (u32, bool) {
        let pa = Pa(pa.0 & !(PAGE_BYTES - 1));
        let known = self.numbers.get(&(pa.0 >> PAGE_SHIFT)).copied();
        let number = known.unwrap_or_else(|| {
            if self.slots.len() >= PAGES_MAX {
                self.clear(ram);
            }
            let number = self.slots.len() as u32;
            let page = Box::new([UNDECODED; PAGE_INSNS]);
            self.slots.push(Slot { pa, page, valid: false, version: self.changes });
            self.numbers.insert(pa.0 >> PAGE_SHIFT, number);
            number
        });
        let slot = &mut self.slots[number as usize];
        if slot.valid {
            return (number, false);
        }
        ram.mark_code(pa);
        slot.valid = true;
        slot.page.fill(UNDECODED);
        self.generation += 1;
        (number, true)
    }

    /// Is the page that holds `pa` decoded here?
    #[must_use]
    pub fn holds(&self, pa: Pa) -> bool {
        self.numbers
            .get(&(pa.0 >> PAGE_SHIFT))
            .is_some_and(|&number| self.slots[number as usize].valid)
    }

    /// The domain itself stores to the word that holds `pa`: it is decoded again.
    pub fn stored(&mut self, pa: Pa) {
        let Some(&number) = self.numbers.get(&(pa.0 >> PAGE_SHIFT)) else { return };
        let slot = &mut self.slots[number as usize];
        let insn = &mut slot.page[(pa.0 >> 2) as usize & (PAGE_INSNS - 1)];
        if insn.0.kind != Kind::Undecoded {
            *insn = UNDECODED;
            self.changes += 1;
            slot.version = self.changes;
            self.generation += 1;
        }
    }
}

#[cfg(test)]
mod test {
    use super::{Code, Kind};
    use crate::mem::Ram;
    use sun4v::addr::Pa;

    #[test]
    fn a_foreign_store_makes_a_page_stale_and_an_own_one_a_single_instruction() {
        let ram = Ram::new(0x10000).unwrap();
        ram.store(Pa(0x2004), 0x0100_0000u32);
        let mut code = Code::default();
        let (number, new) = code.number(Pa(0x2004), &ram);
        assert!(new && ram.is_code(Pa(0x2000)));
        assert_eq!(code.insn(number, 1, &ram).unwrap().0.kind, Kind::Nop);
        let version = code.version(number);
        code.stored(Pa(0x2008));
        assert_eq!(code.version(number), version, "that word was not decoded");
        code.stored(Pa(0x2004));
        assert_ne!(code.version(number), version);
        ram.store(Pa(0x2ff8), 1u64);
        code.refresh(&ram);
        assert!(code.insn(number, 1, &ram).is_none() && !code.holds(Pa(0x2000)));
        assert!(code.version(number).is_none());
        assert!(code.number(Pa(0x2000), &ram).1);
        assert_eq!(code.insn(number, 1, &ram).unwrap().0.kind, Kind::Nop);
    }
}
