//! Memory as a virtual CPU sees it, and as a debugger wants it.
//!
//! **Translation.** With the MMU off, addresses are real. With it on: the TLBs of the
//! core, the TSBs, the permanent mappings; none of them is changed by a look.
//!
//! **Windows.** The ABI gives every frame a save area at its stack pointer, and a
//! debugger looks there for the registers of outer frames. Those that are still in
//! their register windows are shown in their save areas, as if they had been flushed,
//! and a write there is a write to the register.
//!
//! **Errors.** `None` where there is no memory.

use crate::chip::regs::{Regs, WINDOWS};
use crate::chip::strand::{Strand, pstate};
use crate::chip::tlb::{Core, Walk, walk};
use crate::mem::Ram;
use sun4v::addr::{PAGE_BYTES, Pa, Ra, RealMap};

/// What is added to a 64-bit stack pointer.
const BIAS: u64 = 2047;
const SP: u8 = 14;
/// The first register that a window saves: `%l0`.
const L0: u8 = 16;

/// A mapping that outlives demaps, in context 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permanent {
    /// First address.
    pub va: u64,
    /// Its size.
    pub bytes: u64,
    /// Where it lies.
    pub pa: Pa,
}

/// A virtual CPU and its memory.
pub struct View<'a> {
    /// Registers.
    pub strand: &'a mut Strand,
    /// The TLBs of its core.
    pub core: &'a Core,
    /// Memory.
    pub ram: &'a Ram,
    /// Its guest's real memory.
    pub map: &'a RealMap,
    /// Its guest's permanent mappings.
    pub permanent: Vec<Permanent>,
}

/// Where an address of a strand lies; `fetch` for an instruction.
#[must_use]
pub fn locate(
    strand: &Strand,
    core: &Core,
    ram: &Ram,
    map: &RealMap,
    va: u64,
    fetch: bool,
) -> Option<Pa> {
    if !strand.mmu_on {
        return map.resolve(Ra(va), 1);
    }
    let contexts = match strand.tl {
        0 => [strand.contexts[0], strand.contexts[1]],
        _ => [0, 0],
    };
    let tlbs = if fetch { [&core.itlb, &core.dtlb] } else { [&core.dtlb, &core.itlb] };
    if let Some(entry) = tlbs.iter().find_map(|tlb| tlb.peek(va, contexts)) {
        return Some(entry.at(va));
    }
    let tsbs = &strand.tsbs[usize::from(contexts[0] != 0)];
    match walk(tsbs, va, contexts, false, map, ram) {
        Walk::Hit(entry) => Some(entry.at(va)),
        Walk::Miss | Walk::BadReal | Walk::NotExecutable => None,
    }
}

/// A frame whose registers are in a window and not in its save area.
struct Frame {
    window: u8,
    /// Where its save area begins.
    at: u64,
    /// Bytes of a register there.
    bytes: u64,
}

impl Frame {
    /// The register whose place holds `va`, and which of its bytes that is.
    fn register(&self, va: u64) -> Option<(u8, u32)> {
        let offset = va.wrapping_sub(self.at);
        (offset < 16 * self.bytes).then(|| {
            let byte = offset % self.bytes;
            (L0 + (offset / self.bytes) as u8, 8 * (self.bytes - 1 - byte) as u32)
        })
    }
}

/// The frames of the windows that may be restored without a fill.
fn frames(regs: &Regs) -> Vec<Frame> {
    let mut regs = regs.clone();
    let count = regs.canrestore.min(WINDOWS - 2);
    let mut frames = Vec::new();
    for _ in 0..count {
        regs.to_previous();
        let (sp, window) = (regs.get(SP), regs.cwp());
        frames.push(if sp & 1 != 0 {
            Frame { window, at: sp.wrapping_add(BIAS), bytes: 8 }
        } else {
            Frame { window, at: sp & 0xffff_ffff, bytes: 4 }
        });
    }
    frames
}

impl View<'_> {
    /// Where an address lies.
    #[must_use]
    pub fn locate(&self, va: u64) -> Option<Pa> {
        let va = if self.strand.has(pstate::AM) { va & 0xffff_ffff } else { va };
        let found = locate(self.strand, self.core, self.ram, self.map, va, false);
        found.or_else(|| {
            let nucleus =
                self.strand.mmu_on && (self.strand.tl > 0 || self.strand.contexts[0] == 0);
            let mapping = self.permanent.iter().find(|m| va.wrapping_sub(m.va) < m.bytes)?;
            nucleus.then(|| mapping.pa.offset(va - mapping.va))
        })
    }

    /// Calls `each` for pieces of a stretch that lie within a page: the piece's place
    /// and its offset. False when one of them lies nowhere; the earlier ones are done.
    fn pieces(&self, va: u64, bytes: usize, mut each: impl FnMut(Pa, usize, usize)) -> usize {
        let mut done = 0;
        while done < bytes {
            let at = va.wrapping_add(done as u64);
            let Some(pa) = self.locate(at) else { break };
            let left = (PAGE_BYTES - at % PAGE_BYTES) as usize;
            let count = left.min(bytes - done);
            each(pa, done, count);
            done += count;
        }
        done
    }

    /// Reads as much as there is, from the first byte on.
    #[must_use]
    pub fn read(&self, va: u64, bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        let done = self.pieces(va, bytes, |pa, offset, count| {
            self.ram.read(pa, &mut out[offset..offset + count]);
        });
        out.truncate(done);
        let mut regs = self.strand.regs.clone();
        for frame in frames(&self.strand.regs) {
            regs.set_cwp(frame.window);
            for (byte, offset) in out.iter_mut().zip(0..) {
                if let Some((n, shift)) = frame.register(va.wrapping_add(offset)) {
                    *byte = (regs.get(n) >> shift) as u8;
                }
            }
        }
        out
    }

    /// Writes all of it, or nothing.
    #[must_use]
    pub fn write(&mut self, va: u64, bytes: &[u8]) -> Option<()> {
        if self.pieces(va, bytes.len(), |_, _, _| {}) < bytes.len() {
            return None;
        }
        self.pieces(va, bytes.len(), |pa, offset, count| {
            self.ram.write(pa, &bytes[offset..offset + count]);
        });
        let cwp = self.strand.regs.cwp();
        for frame in frames(&self.strand.regs) {
            for (&byte, offset) in bytes.iter().zip(0..) {
                if let Some((n, shift)) = frame.register(va.wrapping_add(offset)) {
                    let regs = &mut self.strand.regs;
                    regs.set_cwp(frame.window);
                    let value = regs.get(n) & !(0xff << shift) | u64::from(byte) << shift;
                    regs.set(n, value);
                    regs.set_cwp(cwp);
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod test {
    use super::{Permanent, View};
    use crate::chip::strand::Strand;
    use crate::chip::tlb::{Core, Entry};
    use crate::mem::Ram;
    use sun4v::addr::{Pa, Ra, RealMap, RealRange};
    use sun4v::mmu::Tte;

    fn with_view(check: impl FnOnce(&mut View<'_>)) {
        let ram = Ram::new(1 << 20).unwrap();
        let map = RealMap::new(vec![RealRange { ra: Ra(0x10_0000), pa: Pa(0x8000), size: 0x4000 }]);
        let mut core = Core::default();
        let tte = Tte(1 << 63 | 1 << 10 | 1 << 6);
        core.dtlb.insert(Entry::new(0x7000_0000, 5, tte, Pa(0x2_0000)).unwrap());
        let permanent = vec![Permanent { va: 0x40_0000, bytes: 1 << 16, pa: Pa(0x3_0000) }];
        let mut strand = Strand::default();
        check(&mut View { strand: &mut strand, core: &core, ram: &ram, map: &map, permanent });
    }

    #[test]
    fn real_addresses_end_where_memory_ends_and_a_write_there_does_nothing() {
        with_view(|view| {
            assert_eq!(view.write(0x10_1ffe, b"over"), Some(()));
            assert_eq!(view.read(0x10_1ffe, 6), b"over\0\0");
            assert_eq!(view.read(0x10_3ffc, 64).len(), 4);
            assert_eq!(view.write(0x10_3ffe, b"over"), None);
            assert_eq!(view.read(0x10_3ffc, 4), [0; 4]);
            assert_eq!(view.read(u64::MAX - 1, 8), b"");
        });
    }

    #[test]
    fn virtual_addresses_are_looked_for_in_the_context_that_is_in_force() {
        with_view(|view| {
            view.strand.mmu_on = true;
            view.ram.write(Pa(0x2_0010), b"there");
            view.ram.write(Pa(0x3_0010), b"fixed");
            assert_eq!(view.read(0x7000_0010, 5), b"");
            assert_eq!(view.read(0x40_0010, 5), b"fixed");
            view.strand.contexts = [5, 5, 0, 0];
            assert_eq!(view.read(0x7000_0010, 5), b"there");
            assert_eq!(view.read(0x40_0010, 5), b"");
            view.strand.tl = 1;
            assert_eq!(view.read(0x40_0010, 5), b"fixed");
        });
    }

    #[test]
    fn save_areas_show_the_windows_that_were_not_spilled() {
        with_view(|view| {
            let regs = &mut view.strand.regs;
            let sp = 0x10_1000 - 2047;
            regs.set(14, sp);
            regs.set(16, 0x1234_5678_9abc_def0);
            regs.set(31, 0x40_0000);
            regs.to_next();
            regs.canrestore = 1;
            assert_eq!(
                view.read(0x10_1000, 9),
                [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0]
            );
            assert_eq!(view.read(0x10_107c, 8), [0, 0x40, 0, 0, 0, 0, 0, 0]);
            assert_eq!(view.write(0x10_1007, &[0x11, 0x22]), Some(()));
            let regs = &mut view.strand.regs;
            assert_eq!(regs.cwp(), 1);
            regs.to_previous();
            assert_eq!((regs.get(16), regs.get(17)), (0x1234_5678_9abc_de11, 0x22 << 56));
            // A frame of 32 bits.
            regs.set(14, 0x10_1000);
            regs.to_next();
            assert_eq!(view.read(0x10_1000, 4), [0x9a, 0xbc, 0xde, 0x11]);
        });
    }
}
