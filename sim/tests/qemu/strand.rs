//! Our side: a case on a strand, and the one file here that knows strands and engines.

use super::case::{
    ASI, CCR, CODE, CODE_BASE, Case, F, FPRS, FSR, GSR, INNER, MEMORY, R, SLOTS_BASE, State,
    WINDOW, WORDS, Y,
};
use sim::chip::regs::Cc;
use sim::chip::strand::{Strand, pstate};
use sim::chip::tlb::Core;
use sim::engine::{CLASSES, Clock, Code, Costs, Counts, Engine, Exit, Place, Which};
use sim::mem::Ram;
use sun4v::addr::{PAGE_BYTES, Pa, Ra, RealMap, RealRange};
use sun4v::isa::double;

/// Every engine: all have to agree with QEMU. The first is the one to look with.
pub const ENGINES: [Which; Which::ALL.len()] = Which::ALL;

/// Bytes of physical memory: code, then a page with the memory window.
const CODE_BYTES: u64 = 0x2_0000;

/// Instructions that are executed after a case.
const BEYOND: u64 = 64;

/// A strand with memory.
pub struct Bench {
    engine: Box<dyn Engine + Send>,
    strand: Strand,
    core: Core,
    ram: Ram,
    map: RealMap,
    code: Code,
    clock: Clock,
    counts: Counts,
    costs: Costs,
}

/// A trap of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap(pub Exit);

impl Bench {
    /// With that engine.
    pub fn new(engine: Which) -> Self {
        let range = |ra, pa, size| RealRange { ra: Ra(ra), pa: Pa(pa), size };
        let bench = Self {
            engine: engine.engine(),
            strand: Strand::default(),
            core: Core::default(),
            ram: Ram::new(CODE_BYTES + PAGE_BYTES).expect("memory"),
            map: RealMap::new(vec![
                range(CODE_BASE, 0, CODE_BYTES),
                range(WINDOW, CODE_BYTES, PAGE_BYTES),
            ]),
            code: Code::default(),
            clock: Clock::default(),
            // Engines take back what they have counted too early; nobody adds up here.
            counts: Counts {
                instructions: 1 << 60,
                classes: [1 << 60; CLASSES],
                ..Counts::default()
            },
            costs: Costs::default(),
        };
        // Where cases go when they are done: ba to itself; nop.
        bench.ram.write(Pa(0), &[0x10, 0x80, 0, 0, 1, 0, 0, 0]);
        bench
    }

    /// Puts the code of cases into memory.
    pub fn place(&mut self, cases: &[Case]) {
        for case in cases {
            self.ram.write(Pa(case.start() - CODE_BASE), &case.slot());
        }
    }

    /// Puts the state of a case into the strand. Its code is there already.
    pub fn load(&mut self, state: &State) {
        let strand = &mut self.strand;
        *strand = Strand { pc: state[CODE], npc: state[CODE] + 4, ..Strand::default() };
        strand.pstate = pstate::PRIV | pstate::PEF;
        strand.cc = Cc::from_ccr(state[CCR] as u8);
        strand.y = state[Y] as u32;
        strand.asi = state[ASI] as u8;
        strand.gsr = state[GSR];
        strand.fsr = state[FSR];
        strand.fp.copy_from_slice(&state[F..MEMORY]);
        strand.fprs = state[FPRS] as u8;
        for depth in (0..3u8).rev() {
            strand.regs.set_cwp(depth);
            let from = match depth {
                0 => &state[R..INNER],
                _ => &state[INNER + 16 * (usize::from(depth) - 1)..][..16],
            };
            let first = if depth == 0 { 1 } else { 8 };
            let from = if depth == 0 { &from[1..] } else { from };
            for (n, &value) in (first..).zip(from) {
                strand.regs.set(n, value);
            }
        }
        for (index, &word) in (0..).zip(&state[MEMORY..]) {
            self.ram.store(Pa(CODE_BYTES + 8 * index), word);
        }
    }

    /// The state as it is now.
    pub fn store(&mut self) -> State {
        let strand = &mut self.strand;
        let mut state = [0; WORDS];
        let cwp = strand.regs.cwp();
        for depth in 0..3u8 {
            strand.regs.set_cwp(depth);
            let (to, first) = match depth {
                0 => (&mut state[R..INNER], 0),
                _ => (&mut state[INNER + 16 * (usize::from(depth) - 1)..][..16], 8),
            };
            for (n, word) in (first..).zip(to) {
                *word = strand.regs.get(n);
            }
        }
        strand.regs.set_cwp(cwp);
        state[CODE] = SLOTS_BASE;
        state[CCR] = u64::from(strand.cc.ccr());
        state[Y] = u64::from(strand.y);
        state[ASI] = u64::from(strand.asi);
        state[GSR] = strand.gsr;
        state[FSR] = strand.fsr;
        state[FPRS] = u64::from(strand.fprs);
        state[F..MEMORY].copy_from_slice(&strand.fp);
        for (index, word) in (0..).zip(&mut state[MEMORY..]) {
            *word = self.ram.load(Pa(CODE_BYTES + 8 * index));
        }
        state
    }

    /// Executes that many instructions.
    pub fn run(&mut self, count: u64) -> Result<(), Trap> {
        let until = self.strand.tick + count;
        loop {
            let place = Place {
                strand: &mut self.strand,
                core: &mut self.core,
                ram: &self.ram,
                map: &self.map,
                code: &mut self.code,
                clock: &mut self.clock,
                counts: &mut self.counts,
                costs: &self.costs,
                sharing: 1,
            };
            match self.engine.run(place, until) {
                _ if self.strand.tl != 0 => {
                    return Err(Trap(Exit::Plain { tt: self.strand.traps[0].tt }));
                }
                Exit::Budget => return Ok(()),
                Exit::Spin if self.strand.tick >= until => return Ok(()),
                Exit::Spin => {}
                exit => return Err(Trap(exit)),
            }
        }
    }

    /// Executes a case to its end, and on, so that engines may do many instructions at
    /// once; `count` is how many it has.
    pub fn finish(&mut self, count: u64) -> Result<(), Trap> {
        self.run(count + BEYOND)
    }

    /// Has it left the code of its case by the way out?
    pub fn is_out(&self) -> bool {
        self.strand.pc & !4 == CODE_BASE
    }

    /// Of the instruction to come.
    pub fn pc(&self) -> u64 {
        self.strand.pc
    }

    /// Of the one after it.
    pub fn npc(&self) -> u64 {
        self.strand.npc
    }

    /// Saves that were not restored.
    pub fn depth(&self) -> usize {
        usize::from(self.strand.regs.cwp())
    }

    /// An integer register in view.
    pub fn r(&self, n: u8) -> u64 {
        self.strand.regs.get(n & 31)
    }

    /// A single.
    pub fn single(&self, n: u8) -> u32 {
        self.strand.single(n)
    }

    /// A double, by its field of an instruction.
    pub fn double(&self, field: u8) -> u64 {
        self.strand.double(double(field))
    }

    /// FSR.
    pub fn fsr(&self) -> u64 {
        self.strand.fsr
    }

    /// GSR.
    pub fn gsr(&self) -> u64 {
        self.strand.gsr
    }

    /// `%asi`.
    pub fn asi(&self) -> u8 {
        self.strand.asi
    }

    /// A word of the memory window.
    pub fn memory(&self, index: usize) -> u64 {
        self.ram.load(Pa(CODE_BYTES + 8 * index as u64))
    }

    /// FPRS.
    pub fn fprs(&self) -> u64 {
        self.strand.fprs.into()
    }
}
