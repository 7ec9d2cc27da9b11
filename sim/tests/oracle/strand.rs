//! One strand on a memory of its own, run by an engine: how tests get at the
//! processor.

use sim::chip::strand::{Strand, fprs, pstate};
use sim::chip::tlb::Core;
use sim::engine::Costs;
use sim::engine::{Clock, Code, Counts, Engine, Exit, Place};
use sim::mem::Ram;
use sun4v::addr::{Pa, Ra, RealMap, RealRange};

/// `ta 0x80`, at which [`Bench::step`] ends.
pub const HCALL: u32 = 0x91d0_2080;
/// Bytes of the memory of [`Bench::new`], at real address 0.
const BYTES: u64 = 1 << 20;
/// Where traps go.
const TBA: u64 = 0x1_0000;
/// The traps that [`Bench::step`] awaits.
const TRAPS: [u64; 2] = [0x21, 0x22];

/// A strand and what an engine needs beside it.
pub struct Bench {
    /// The strand.
    pub strand: Strand,
    /// Its TLBs.
    pub core: Core,
    /// Memory.
    pub ram: Ram,
    /// What of it is the guest's.
    pub map: RealMap,
    /// Decoded instructions.
    pub code: Code,
    clock: Clock,
    counts: Counts,
    costs: Costs,
}

impl Bench {
    /// A strand of a guest that has `map` of `ram`.
    pub fn on(ram: Ram, map: RealMap) -> Self {
        Self {
            strand: Strand::default(),
            core: Core::default(),
            ram,
            map,
            code: Code::default(),
            clock: Clock::default(),
            counts: Counts::default(),
            costs: Costs::default(),
        }
    }

    /// Privileged, MMU off, floating point on, empty memory, and handlers of the
    /// floating-point traps that call the hypervisor.
    pub fn new() -> std::io::Result<Self> {
        let map = RealMap::new(vec![RealRange { ra: Ra(0), pa: Pa(0), size: BYTES }]);
        let mut bench = Self::on(Ram::new(BYTES)?, map);
        bench.strand.fprs = fprs::FEF;
        bench.strand.set_pstate(u64::from(pstate::PRIV | pstate::PEF));
        bench.strand.set_tba(TBA);
        for trap in TRAPS {
            bench.put(TBA + trap * 32, HCALL);
        }
        Ok(bench)
    }

    /// Puts a word into memory.
    pub fn put(&self, at: u64, word: u32) {
        self.ram.store(Pa(at), word);
    }

    /// Runs until the strand's clock is at `until`, or something comes up.
    pub fn run(&mut self, engine: &mut dyn Engine, until: u64) -> Exit {
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
        engine.run(place, until)
    }

    /// Executes from `at` and trap level 0 to the next hypercall. The answer is the
    /// type of the trap that the guest serves there, 0 for none.
    pub fn step(&mut self, engine: &mut dyn Engine, at: u64) -> Result<u16, Exit> {
        (self.strand.pc, self.strand.npc) = (at, at + 4);
        if self.strand.tl != 0 {
            self.strand.tl = 0;
            self.strand.regs.set_gl(0);
        }
        match self.run(engine, self.strand.tick + 100) {
            Exit::Hypercall { .. } if self.strand.tl == 0 => Ok(0),
            Exit::Hypercall { .. } => Ok(self.strand.traps[0].tt),
            exit => Err(exit),
        }
    }
}
