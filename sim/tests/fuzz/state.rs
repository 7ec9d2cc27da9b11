//! States of a strand to begin with, and what follows an exit.

use super::dice::Dice;
use super::memory::{RANGES, TSB_PAGES, code_page, some_page};
use super::strand::Bench;
use super::words::some_asi;
use sim::chip::strand::{
    FSR_BITS, GSR_BITS, PCR_BITS, QUEUE_BITS, SOFTINT_ALL, Strand, canonical, pstate,
};
use sim::chip::tlb::Entry;
use sim::engine::Exit;
use sun4v::addr::{PAGE_BYTES, Pa};
use sun4v::isa::tt;
use sun4v::mmu::Tte;
use sun4v::record::{StrandV1, TsbV1};

/// Bits of a TSTATE.
const TSTATE: u64 = 3 << 40 | 0xffff << 24 | (pstate::ALL as u64) << 8 | 7;

/// The page that holds some virtual address: few, so that they meet.
pub fn some_va(dice: &mut Dice) -> u64 {
    let region = dice.one(&[
        0,
        0x40_0000,
        0x10_0000_0000,
        0x7fff_ffff_0000,
        0xffff_8000_0000_0000,
        0xffff_ffff_ffff_0000,
        0xffff_0000,
    ]);
    region + dice.below(8) * PAGE_BYTES
}

/// A context.
pub fn some_context(dice: &mut Dice) -> u16 {
    dice.one(&[0, 0, 1, 2, 0x1fff])
}

/// An address to aim at.
fn some_address(dice: &mut Dice) -> u64 {
    let page = some_page(dice);
    let base = match dice.below(12) {
        0..4 => page.ra.0,
        4..7 => some_va(dice),
        // Nobody's, or the other domain's if real were physical.
        7 => dice.one(&[0, 0x1_e000, 0x3_0000, 0x3f_e000, 0x80_0000, 0x81_0000, 1 << 39]),
        // Ends of the hole.
        8 => dice.one(&[0x7fff_ffff_e000, 0x8000_0000_0000, 0xffff_7fff_ffff_e000]),
        9 => dice.one(&[0, 0xffff_ffff, u64::MAX << 32]),
        // Registers that have addresses.
        10 => return dice.one(&[0, 8, 0x10, 0x18, 0x20, 0x30, 0x108, 0x110, 0x3c0, 0x3c8, 0x3f8]),
        _ => return dice.bits(),
    };
    let align = dice.one(&[0, 3, 7, 7, 15, 63, 63, 63]);
    let offset = match dice.below(4) {
        0 => dice.below(128),
        1 => PAGE_BYTES - 1 - dice.below(128),
        2 => dice.below(128).wrapping_neg(),
        _ => dice.below(PAGE_BYTES),
    };
    base.wrapping_add(offset) & !align
}

/// The data word of a TTE whose real address may be anything.
pub fn random_tte(dice: &mut Dice) -> u64 {
    let ra = match dice.below(8) {
        0 => dice.bits() & 0x00ff_ffff_ffff_e000,
        1 => dice.one(&[0, 0x1_e000, 0x3_0000, 0x3f_e000, 0x80_0000, 0x81_0000]),
        _ => some_page(dice).ra.0,
    };
    ra | flags(dice) | dice.one(&[0, 0, 0, 0, 1, 3, 5, 2, 7])
}

/// Flags of a TTE: valid, executable, writable, cacheable, mostly.
fn flags(dice: &mut Dice) -> u64 {
    let usual = 1 << 63 | 1 << 10 | 1 << 7 | 1 << 6;
    let toggled = match dice.below(3) {
        0 => 0,
        1 => 1 << dice.one(&[63, 62, 12, 11, 10, 9, 8, 7, 6]),
        _ => dice.bits() & (1 << 62 | 0x1fc0),
    };
    usual ^ toggled
}

/// A translation that a hypervisor may have loaded: inside the guest's memory.
fn random_entry(dice: &mut Dice) -> Option<Entry> {
    let [large, small] = RANGES;
    let (size, pa) = match dice.below(8) {
        0 => (3, large.pa),
        1 => (1, Pa(large.pa.0 + (dice.below(large.size >> 16) << 16))),
        2 => (1, small.pa),
        _ => (0, some_page(dice).pa),
    };
    Entry::new(some_va(dice), some_context(dice), Tte(flags(dice) | 1 << 63 | size), pa)
}

/// A state to begin with.
pub struct Setting {
    strand: StrandV1,
    data: Vec<Entry>,
    instructions: Vec<Entry>,
    fresh: bool,
}

impl Setting {
    /// Anything that can be loaded; with translations of its own when it is `fresh`,
    /// else with those of the case before.
    pub fn random(dice: &mut Dice, tick: u64, fresh: bool) -> Self {
        let mut strand = Strand::default().save();
        let addresses: Vec<u64> = (0..12).map(|_| some_address(dice)).collect();
        let value = |dice: &mut Dice| match dice.below(8) {
            0 => dice.bits(),
            1 => dice.below(16),
            2 => dice.one(&[0, u64::MAX, 1 << 63, 0x8000_0000, 0x7fff_ffff]),
            _ => dice.one(&addresses),
        };
        for (at, register) in strand.globals.iter_mut().enumerate() {
            *register = if at % 8 == 0 { 0 } else { value(dice) };
        }
        strand.windows.iter_mut().for_each(|register| *register = value(dice));
        for register in &mut strand.fp {
            *register = match dice.below(4) {
                0 => dice.bits() & 0x8010_0000_8080_0000,
                1 => dice.bits() >> dice.below(64),
                _ => dice.bits(),
            };
        }
        strand.fsr = dice.bits() & FSR_BITS & if dice.hit(2) { !(31 << 23) } else { u64::MAX };
        strand.gsr = dice.bits() & GSR_BITS;
        strand.fprs = if dice.hit(6) { dice.below(8) as u8 } else { 4 };
        strand.y = dice.bits() as u32;
        strand.ccr = dice.bits() as u8;
        strand.asi = some_asi(dice);
        let usual = pstate::PRIV | pstate::PEF;
        strand.pstate = match dice.below(4) {
            0 => dice.bits() as u16 & pstate::ALL,
            1 => usual ^ 1 << dice.one(&[12, 9, 8, 4, 3, 2, 1]),
            _ => usual,
        };
        strand.tl = dice.one(&[0, 0, 0, 1, 1, 2]);
        strand.gl = dice.below(3) as u8;
        strand.pil = dice.below(16) as u8;
        strand.tba = match dice.below(4) {
            0 => canonical(some_address(dice)) & !0x7fff,
            _ => code_page(dice).ra.0 & !0x7fff,
        };
        for (index, counter) in strand.window_state.iter_mut().enumerate() {
            *counter = dice.below(if index == 5 { 64 } else { 8 }) as u8;
        }
        for level in &mut strand.trap_stack {
            let [pc, npc] = [some_address(dice) & !3, some_address(dice) & !3];
            *level = [pc, npc, dice.bits() & TSTATE, dice.below(512)];
        }
        if dice.hit(4) {
            strand.softint = dice.bits() as u32 & SOFTINT_ALL;
        }
        for compare in [&mut strand.tick_cmpr, &mut strand.stick_cmpr] {
            *compare = match dice.below(4) {
                0 => tick + dice.below(256),
                1 => dice.bits(),
                _ => 1 << 63,
            };
        }
        strand.pcr = dice.bits() & PCR_BITS;
        strand.pic = dice.bits();
        for (at, scratch) in strand.scratch.iter_mut().enumerate() {
            *scratch = if at == 4 || at == 5 { 0 } else { value(dice) };
        }
        strand.contexts = std::array::from_fn(|_| some_context(dice));
        if dice.hit(4) {
            let random =
                std::array::from_fn(|_| std::array::from_fn(|_| dice.bits() as u32 & QUEUE_BITS));
            strand.queues = random;
        }
        strand.mmu_on = !dice.hit(3);
        for class in &mut strand.tsbs {
            *class = (0..dice.below(5)).map(|_| random_tsb(dice)).collect();
        }
        (strand.parked, strand.stopped) = (false, false);
        let data = entries(dice, 24);
        let (va, context) = (some_va(dice), some_context(dice));
        let mut instructions: Vec<Entry> = code_entry(dice, va, context).into_iter().collect();
        instructions.extend(entries(dice, 8));
        strand.pc = match (strand.mmu_on, instructions.first()) {
            _ if dice.hit(10) => some_address(dice),
            (true, Some(entry)) => {
                let contexts = if strand.tl == 0 { entry.context } else { 0 };
                if strand.tl == 0 {
                    strand.contexts[0] = contexts;
                }
                entry.va + dice.below(PAGE_BYTES)
            }
            (true, None) => some_va(dice) + dice.below(PAGE_BYTES),
            (false, _) => code_page(dice).ra.0 + dice.below(PAGE_BYTES),
        } & !3;
        strand.npc = if dice.hit(8) { some_address(dice) & !3 } else { strand.pc.wrapping_add(4) };
        Self { strand, data, instructions, fresh }
    }

    /// Puts it into a strand and its core.
    pub fn apply(&self, bench: &mut Bench) {
        bench.strand.load(&self.strand, 0).unwrap();
        if self.fresh {
            bench.core.demap_all(true, true);
            // Never so many that one has to go: then it would matter what was looked up.
            for &entry in &self.data {
                bench.core.dtlb.insert(entry);
            }
            for &entry in &self.instructions {
                bench.core.itlb.insert(entry);
            }
        }
        bench.core.forget();
    }
}

fn entries(dice: &mut Dice, most: u64) -> Vec<Entry> {
    (0..dice.below(most)).filter_map(|_| random_entry(dice)).collect()
}

fn random_tsb(dice: &mut Dice) -> TsbV1 {
    let page = dice.below(TSB_PAGES) * PAGE_BYTES;
    let inside = !dice.hit(8);
    TsbV1 {
        ra: if inside {
            RANGES[0].ra.offset(page)
        } else {
            sun4v::addr::Ra(dice.bits() & 0xff_ffff_e000)
        },
        entries: 512,
        index_size: dice.one(&[0, 0, 0, 1, 3, 5]),
        size_mask: if dice.hit(2) { 0xff } else { dice.bits() as u8 },
        context: dice.below(3) as u8,
    }
}

/// A translation under which code can run.
fn code_entry(dice: &mut Dice, va: u64, context: u16) -> Option<Entry> {
    let usual = 1 << 63 | 1 << 10 | 1 << 7 | 1 << 6;
    Entry::new(va, context, Tte(usual), code_page(dice).pa)
}

/// What is done about an exit.
pub enum Reply {
    /// The case ends.
    End,
    /// The instruction is left out.
    Skip,
    /// The trap is the guest's.
    Reflect(u16),
    /// A translation is loaded into the data TLB.
    Data(Option<Entry>),
    /// Execution goes on elsewhere: a place in real memory, and the same in virtual.
    Jump(u64, Option<Entry>),
}

impl Reply {
    /// What could be.
    pub fn random(dice: &mut Dice, exit: Exit, contexts: [u16; 4]) -> Self {
        let context = if dice.hit(4) { 0 } else { contexts[0] };
        let jump = |dice: &mut Dice| {
            let (va, ra) = (some_va(dice), code_page(dice).ra.0);
            let offset = dice.below(PAGE_BYTES) & !3;
            Self::Jump(ra + offset, code_entry(dice, va, context))
        };
        if dice.hit(8) {
            return Self::End;
        }
        let skip = |dice: &mut Dice, tt: u16| {
            if dice.hit(3) { Self::Reflect(tt) } else { Self::Skip }
        };
        match exit {
            Exit::Miss { instruction: true, va, .. } if !dice.hit(4) => {
                Self::Jump(va, code_entry(dice, va, context))
            }
            Exit::Miss { instruction: false, va, context } if !dice.hit(4) => {
                Self::Data(random_entry(dice).map(|entry| match entry.shift {
                    13 => Entry { va: va & !(PAGE_BYTES - 1), context, ..entry },
                    _ => entry,
                }))
            }
            Exit::Watchdog | Exit::Fault { instruction: true, .. } => jump(dice),
            Exit::Hypercall { .. } => Self::Skip,
            Exit::Protection { .. } => skip(dice, tt::FAST_DATA_ACCESS_PROTECTION),
            Exit::Fault { tt, .. } | Exit::Plain { tt } => skip(dice, tt),
            Exit::Miss { instruction: true, .. } => jump(dice),
            _ => Self::Skip,
        }
    }

    /// Does it; false when the case ends.
    pub fn apply(&self, bench: &mut Bench, exit: Exit) -> bool {
        if matches!(exit, Exit::Budget | Exit::Spin) {
            return true;
        }
        let strand = &mut bench.strand;
        match *self {
            Self::End => return false,
            Self::Reflect(_) if strand.tl >= 2 => return false,
            Self::Reflect(tt) => strand.reflect(tt),
            Self::Skip => {
                strand.pc = strand.npc;
                strand.npc = strand.npc.wrapping_add(4) & strand.am;
            }
            Self::Data(entry) => {
                entry.map(|entry| bench.core.dtlb.insert(entry));
                bench.core.forget();
            }
            Self::Jump(ra, entry) => {
                strand.pc = ra;
                if let (true, Some(entry)) = (strand.mmu_on, entry) {
                    strand.pc = entry.va | ra & (PAGE_BYTES - 4);
                    let context = if strand.tl == 0 { entry.context } else { 0 };
                    bench.core.itlb.insert(Entry { context, ..entry });
                    bench.core.forget();
                }
                strand.npc = strand.pc.wrapping_add(4);
                if strand.tl == 0 {
                    // Where nobody runs without privilege, all would stop at once.
                    let privilege = if strand.mmu_on { 0 } else { pstate::PRIV };
                    strand.set_pstate(u64::from(strand.pstate | privilege));
                }
            }
        }
        true
    }
}
