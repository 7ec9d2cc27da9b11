//! One strand on a memory of its own, run by an engine: how tests get at the
//! processor.

use sim::chip::strand::{Strand, fprs, pstate};
use sim::chip::tlb::Core;
use sim::engine::{Clock, Code, Counts, Engine, Exit, Place};
use sim::mem::Ram;
use sun4v::addr::{Pa, Ra, RealMap, RealRange};

/// Bytes of memory, at real address 0.
const BYTES: u64 = 1 << 20;
/// Where traps go.
const TBA: u64 = 0x1_0000;

/// A strand and what an engine needs beside it.
pub struct Bench {
    /// The strand: privileged, MMU off, floating point on.
    pub strand: Strand,
    core: Core,
    ram: Ram,
    map: RealMap,
    code: Code,
    clock: Clock,
    counts: Counts,
}

impl Bench {
    /// With empty memory.
    pub fn new() -> std::io::Result<Self> {
        let mut strand = Strand { fprs: fprs::FEF, ..Strand::default() };
        strand.set_pstate(u64::from(pstate::PRIV | pstate::PEF));
        strand.set_tba(TBA);
        Ok(Self {
            strand,
            core: Core::default(),
            ram: Ram::new(BYTES)?,
            map: RealMap::new(vec![RealRange { ra: Ra(0), pa: Pa(0), size: BYTES }]),
            code: Code::default(),
            clock: Clock::default(),
            counts: Counts::default(),
        })
    }

    /// Puts a word into memory.
    pub fn put(&self, at: u64, word: u32) {
        self.ram.store(Pa(at), word);
    }

    /// Executes the instruction at `at`, from trap level 0. The answer is the type
    /// of the trap that the guest serves, 0 for none.
    pub fn step(&mut self, engine: &mut impl Engine, at: u64) -> Result<u16, Exit> {
        (self.strand.pc, self.strand.npc) = (at, at + 4);
        if self.strand.tl != 0 {
            self.strand.tl = 0;
            self.strand.regs.set_gl(0);
        }
        let until = self.strand.tick + 1;
        let place = Place {
            strand: &mut self.strand,
            core: &mut self.core,
            ram: &self.ram,
            map: &self.map,
            code: &mut self.code,
            clock: &mut self.clock,
            counts: &mut self.counts,
        };
        match engine.run(place, until) {
            Exit::Budget if self.strand.tl == 0 => Ok(0),
            Exit::Budget => Ok(self.strand.traps[0].tt),
            exit => Err(exit),
        }
    }
}
