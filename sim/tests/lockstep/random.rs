//! Random programs, on a strand without a hypervisor: every kind of instruction, traps
//! whose handlers return by DONE or RETRY at every level, windows that spill and fill
//! while pages are missing, stores to what is executed, FLUSH.
//!
//! A program is a page of random instructions at a virtual address, between whose
//! other pages some are missing in the TLB until the first access: the test then loads
//! them, as a hypervisor does, or reflects the miss to the guest.

use super::engines::pair;
use sim::chip::strand::{Strand, pstate};
use sim::chip::tlb::{Core, Entry};
use sim::engine::{Clock, Code, Costs, Counts, Engine, Exit, Model, Place};
use sim::mem::Ram;
use std::thread;
use sun4v::addr::{Pa, Ra, RealMap, RealRange};
use sun4v::isa::{decode, tt};
use sun4v::mmu::Tte;

const MEMORY: u64 = 1 << 18;
/// Trap handlers.
const TBA: u64 = 0x1_0000;
/// Instructions.
const CODE: u64 = 0x2_0000;
/// What they load and store.
const DATA: u64 = 0x3_0000;
const PROGRAMS: u64 = 300;
const TURNS: u64 = 60;
const TICKS: u64 = 200;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 32) % n
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// `op rd, rs1, immediate or register`, with `%g6` and `%g7` left alone.
fn arithmetic(random: &mut Random, op: u64, op3: u64) -> u32 {
    let rd = random.pick(&[0, 1, 2, 3, 4, 5, 8, 9, 10, 16, 17, 18, 24, 25, 26, 31]);
    let (rs1, low) = (random.below(32), random.next());
    let second = if low & 1 != 0 { 1 << 13 | low >> 8 & 0x1fff } else { low >> 8 & 31 };
    (op << 30 | rd << 25 | op3 << 19 | rs1 << 14 | second) as u32
}

/// An access to [`DATA`] (`%g7`) or, sometimes, to the code (`%g6`).
fn access(random: &mut Random) -> u32 {
    let op3 = random.pick(&[
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f,
        0x20, 0x23, 0x24, 0x27, 0x21, 0x25, 0x0e, 0x0b, 0x04, 0x00,
    ]);
    let base = if random.below(8) == 0 { 6 } else { 7 };
    let align = if random.below(20) == 0 { 0xfff } else { 0xff8 };
    let rd = random.below(16) & !u64::from(random.below(4) != 0);
    let rd = if matches!(op3, 0x21 | 0x25) { rd & 1 } else { rd };
    let rd = if matches!(rd, 6 | 7) { 4 } else { rd };
    (3 << 30 | rd << 25 | op3 << 19 | base << 14 | 1 << 13 | random.next() & align) as u32
}

/// A branch, forward or back, by a few instructions.
fn branch(random: &mut Random) -> u32 {
    let displacement = random.below(24) as i64 - 8;
    let head = random.below(2) << 29 | random.below(16) << 25;
    let word = match random.below(5) {
        0 | 1 => head | 2 << 22 | displacement as u64 & 0x3f_ffff,
        2 => head | 1 << 22 | random.below(2) << 21 | displacement as u64 & 0x7_ffff,
        3 => {
            let (high, low) = (displacement as u64 >> 14 & 3, displacement as u64 & 0x3fff);
            let rcond = random.pick(&[1, 2, 3, 5, 6, 7]);
            head & 1 << 29 | rcond << 25 | 3 << 22 | high << 20 | random.below(6) << 14 | low
        }
        _ => head | 6 << 22 | displacement as u64 & 0x3f_ffff,
    };
    word as u32
}

fn instruction(random: &mut Random) -> u32 {
    loop {
        let op3 = random.below(64);
        let word = match random.below(40) {
            0..12 => arithmetic(random, 2, op3 & 31),
            12 | 13 => arithmetic(random, 2, 0x20 + op3 % 8),
            14 => {
                let op3 = random.pick(&[0x2c, 0x2d, 0x2e, 0x2f]);
                arithmetic(random, 2, op3)
            }
            15..23 => access(random),
            23..28 => branch(random),
            28 | 29 => arithmetic(random, 2, 0x3c),  // save
            30 | 31 => arithmetic(random, 2, 0x3d),  // restore
            32 => 0x8158_0000,                       // flushw
            33 => 1 << 30 | random.below(16) as u32, // call
            34 => {
                (2u64 << 30
                    | random.below(16) << 25
                    | 0x38 << 19
                    | 6 << 14
                    | 1 << 13
                    | random.below(512) << 2) as u32
            } // jmpl
            35 => (2u64 << 30 | 8 << 25 | 0x3a << 19 | 1 << 13 | random.below(0x80)) as u32, // ta
            36 => 0x81d8_0000 | 6 << 14,             // flush
            37 => {
                (2u64 << 30
                    | random.below(6) << 25
                    | random.pick(&[0x28, 0x2a]) << 19
                    | random.below(32) << 14) as u32
            } // rd, rdpr
            38 => {
                let which = random.pick(&[0, 2, 3, 6, 19, 22, 32 + 8, 32 + 10, 32 + 12, 32 + 16]);
                let op3 = if which < 32 { 0x30 } else { 0x32 };
                (2u64 << 30 | (which & 31) << 25 | op3 << 19 | 1 << 13 | random.below(8)) as u32
            }
            _ => {
                let opf = random.pick(&[
                    0x42, 0x46, 0x4a, 0x4e, 0x41, 0x45, 0x49, 0x02, 0x06, 0x0a, 0xc8, 0xd2, 0x29,
                    0x69, 0x50, 0x54, 0x6c, 0x48,
                ]);
                let op3 = if opf >= 0x48 && !matches!(opf, 0x49..=0x4e | 0x69 | 0xc8 | 0xd2) {
                    0x36
                } else {
                    0x34
                };
                (2u64 << 30
                    | random.below(32) << 25
                    | op3 << 19
                    | random.below(32) << 14
                    | opf << 5
                    | random.below(32)) as u32
            }
        };
        if decode(word).is_some() || random.below(50) == 0 {
            return word;
        }
    }
}

/// Handlers return; those of window traps do their work first.
fn handler(random: &mut Random, number: u64) -> Vec<u32> {
    const DONE: u32 = 0x81f0_0000;
    const RETRY: u32 = 0x83f0_0000;
    let mut words = Vec::new();
    // Sometimes a trap inside the trap: stores below the frame, unaligned, or a `ta`.
    if random.below(4) == 0 && number < 0x100 {
        words.push(random.pick(&[0xc273_bf80, 0xc473_a7f1, 0x91d0_2001, 0xe073_a020]));
    }
    match number {
        0x80..0xc0 => words.extend([0xe073_a7ff & !7, 0x8188_0000, RETRY]), // stx %l0; saved
        0xc0..0x100 => words.extend([0xe05b_a7f8, 0x8388_0000, RETRY]),     // ldx %l0; restored
        0x24..0x28 => words.extend([0x9990_2007, RETRY]),                   // wrpr 7, %cleanwin
        _ => words.push(DONE),
    }
    words
}

struct Bench {
    strand: Strand,
    core: Core,
    ram: Ram,
    map: RealMap,
    code: Code,
    clock: Clock,
    counts: Counts,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let ram = Ram::new(MEMORY).unwrap();
        let map = RealMap::new(vec![RealRange { ra: Ra(0), pa: Pa(0), size: MEMORY }]);
        for at in (CODE..CODE + 0x4000).step_by(4) {
            ram.store(Pa(at), instruction(&mut random));
        }
        for number in 0..512u64 {
            for level in [0, 1 << 14] {
                let words = handler(&mut random, number);
                for (at, word) in (TBA + level + number * 32..).step_by(4).zip(words) {
                    ram.store(Pa(at), word);
                }
            }
        }
        for at in (DATA..DATA + 0x4000).step_by(8) {
            ram.store(Pa(at), random.next());
        }
        let start = CODE + random.below(0x400) * 4;
        let mut strand = Strand { pc: start, npc: start + 4, ..Strand::default() };
        let mode = pstate::PEF | random.pick(&[pstate::PRIV, pstate::PRIV, 0, pstate::AM]);
        strand.set_pstate(u64::from(mode));
        strand.mmu_on = true;
        strand.fprs = 4;
        strand.set_tba(TBA);
        strand.contexts = [0; 4];
        for window in 0..8 {
            strand.regs.set_cwp(window);
            for n in 8..32 {
                strand.regs.set(n, if n == 14 { DATA + 0x800 } else { random.next() >> 32 });
            }
        }
        for gl in [2, 1, 0] {
            strand.regs.set_gl(gl);
            strand.regs.set(6, CODE);
            strand.regs.set(7, DATA);
        }
        Self {
            strand,
            core: Core::default(),
            ram,
            map,
            code: Code::default(),
            clock: Clock::default(),
            counts: Counts::default(),
        }
    }

    /// Runs the program; what the test does at an exit depends on nothing but the exit
    /// and the seed.
    fn play(mut self, seed: u64, engine: &mut dyn Engine) -> (u64, [u64; 512]) {
        let mut random = Random(seed | 1);
        // Every other program under T2's timing, whoever shares the issue; and in every
        // third the performance counters count, with interrupts in some.
        let costs = if seed.is_multiple_of(2) { Costs::default() } else { Model::T2.costs() };
        if seed.is_multiple_of(3) {
            let modes = 2 + 2 * (seed >> 1 & 3);
            let selected = 2 << 27 | (seed & 0xff) << 19 | 2 << 14 | 0xff << 6;
            self.strand.pcr = (selected | (seed >> 2 & 3) << 4 | modes) & 0xffff_fff7;
            self.strand.pic = u64::from(u32::MAX - seed as u32) << 32 | 0xffff_ff00;
        }
        for turn in 0..TURNS {
            let until = self.strand.tick + 1 + random.below(TICKS);
            let place = Place {
                strand: &mut self.strand,
                core: &mut self.core,
                ram: &self.ram,
                map: &self.map,
                code: &mut self.code,
                clock: &mut self.clock,
                counts: &mut self.counts,
                costs: &costs,
                sharing: 1 + (seed + turn) as usize % 4,
            };
            let exit = engine.run(place, until);
            let restart = |strand: &mut Strand, random: &mut Random| {
                (strand.pc, strand.tl) = (CODE + random.below(0x800) * 4, 0);
                strand.npc = strand.pc + 4;
                strand.attention = true;
            };
            let reflected = match exit {
                Exit::Budget | Exit::Spin => continue,
                Exit::Hypercall { .. } => {
                    let strand = &mut self.strand;
                    (strand.pc, strand.npc) = (strand.npc, strand.npc.wrapping_add(4) & strand.am);
                    continue;
                }
                Exit::Miss { instruction, va, context } => {
                    let page = va & (MEMORY - 1) & !0x1fff;
                    // Valid, cacheable, executable, writable: one time in eight not.
                    let writable = if random.below(8) == 0 { 0 } else { 1 << 6 };
                    let tte = Tte(1 << 63 | page | 1 << 10 | 1 << 7 | writable);
                    let entry = Entry::new(va, context, tte, Pa(page)).unwrap();
                    let tlb = if instruction { &mut self.core.itlb } else { &mut self.core.dtlb };
                    tlb.insert(entry);
                    self.core.forget();
                    if random.below(4) != 0 {
                        continue;
                    }
                    if instruction {
                        tt::FAST_INSTRUCTION_ACCESS_MMU_MISS
                    } else {
                        tt::FAST_DATA_ACCESS_MMU_MISS
                    }
                }
                Exit::Protection { va, context } => {
                    self.core.demap_page(true, false, va, context);
                    tt::FAST_DATA_ACCESS_PROTECTION
                }
                Exit::Fault { tt, .. } | Exit::Plain { tt } => tt,
                _ => 0,
            };
            if reflected == 0 || self.strand.tl >= 2 {
                restart(&mut self.strand, &mut random);
            } else {
                self.counts.traps[usize::from(reflected)] += 1;
                self.strand.reflect(reflected);
            }
            if turn % 8 == 7 {
                self.core.demap_all(true, random.below(2) == 0);
            }
            if turn % 16 == 15 {
                // Somebody else changes an instruction.
                self.ram.store(Pa(CODE + random.below(0x1000) * 4), instruction(&mut random));
            }
        }
        let sum = (0..MEMORY).step_by(8).fold(0u64, |sum, at| {
            (sum ^ self.ram.load::<u64>(Pa(at))).wrapping_mul(0x100_0000_01b3).rotate_left(5)
        });
        (sum, *self.counts.traps)
    }
}

#[test]
fn random_programs_are_the_same_on_both_engines_after_every_block() {
    let mut traps = [0u64; 512];
    let mut compared = 0;
    for seed in 1..=PROGRAMS {
        let (mut leader, mut follower) = pair();
        let (fast, reference) = thread::scope(|scope| {
            let fast = scope.spawn(|| Bench::new(seed).play(seed, &mut leader));
            let reference = scope.spawn(|| Bench::new(seed).play(seed, &mut follower));
            (fast.join(), reference.join())
        });
        let reference = reference.unwrap_or_else(|_| panic!("seed {seed}: see above"));
        assert!(fast.unwrap() == reference, "seed {seed}: memory or traps");
        compared += follower.compared;
        traps.iter_mut().zip(reference.1).for_each(|(sum, more)| *sum += more);
    }
    let kinds = traps.iter().filter(|&&count| count != 0).count();
    eprintln!("{compared} blocks compared, {} traps of {kinds} types", traps.iter().sum::<u64>());
    for (from, to, what) in [
        (0x24, 0x28, "clean windows"),
        (0x64, 0x68, "instruction misses"),
        (0x68, 0x6c, "data misses"),
        (0x6c, 0x70, "protection"),
        (0x80, 0xa0, "spills"),
        (0xc0, 0xe0, "fills"),
        (0x100, 0x180, "traps by instruction"),
        (0x34, 0x35, "misaligned"),
        (0x10, 0x11, "illegal"),
    ] {
        assert!(traps[from..to].iter().sum::<u64>() > 20, "too few {what}");
    }
}
