// Situations in which engines have been wrong, or easily are. Included once an engine.

use crate::chip::tlb::Core as Tlbs;

/// Goes on after a hypercall, as the hypervisor does.
fn answered(bench: &mut Bench) {
    bench.strand.pc = bench.strand.npc;
    bench.strand.npc += 4;
}

const MAP_ADDR: u32 = 0x91d0_2083;

/// A RESTORE in window 3 whose window 2 lies in memory at 0x4_0000, with the handlers of
/// fills at TL 0 and of instruction misses at TL 1. Only the program is mapped, and the
/// handler of misses.
fn fills() -> Bench {
    let mut bench = translated(&[register(2, 0x3d, G2, 16, 17), HCALL]);
    let mut fill: Vec<_> = (0..16).map(|n| ldx(n + 16, 14, n as i32 * 8)).collect();
    fill.extend([RESTORED, RETRY]);
    bench.handler(tt::FILL_NORMAL, &fill);
    let miss = TBA + 0x4000 + u64::from(tt::FAST_INSTRUCTION_ACCESS_MMU_MISS) * 32;
    bench.write(miss, &[add(G1, 0, 7), MAP_ADDR, RETRY]);
    let page = |at: u64| Entry::new(at, 0, Tte(V | CP | X | P | W), Pa(at & !0x1fff)).unwrap();
    bench.core.itlb.insert(page(miss));
    bench.core.dtlb.insert(page(0x4_0000));
    (0..16).for_each(|n| bench.ram.store(Pa(0x4_0000 + n * 8), 0x100 + n));
    let regs = &mut bench.strand.regs;
    regs.set_cwp(3);
    regs.set(30, 0x4_0000);
    (regs.cansave, regs.canrestore, regs.cleanwin) = (6, 0, 6);
    // What RESTORE adds up is of the window that it leaves.
    regs.set(16, 40);
    regs.set(17, 2);
    bench
}

#[test]
fn a_window_fill_whose_handler_is_not_mapped_is_served_and_filled() {
    let mut bench = fills();
    let handler = TBA + u64::from(tt::FILL_NORMAL) * 32;
    let until = 10_000;
    let miss = Exit::Miss { instruction: true, va: handler, context: 0 };
    assert_eq!(bench.run(until), miss);
    // The fill was taken; nothing of its handler was executed.
    let strand = &mut bench.strand;
    assert_eq!((strand.tl, strand.regs.cwp(), strand.pc), (1, 2, handler));
    assert_eq!((strand.traps[0].tpc, strand.traps[0].tstate & 7), (ORG, 3));
    strand.reflect(tt::FAST_INSTRUCTION_ACCESS_MMU_MISS);
    assert_eq!(bench.run(until), Exit::Hypercall { number: 0x83 });
    let strand = &bench.strand;
    assert_eq!((strand.tl, strand.regs.gl(), strand.regs.cwp()), (2, 2, 2));
    assert_eq!((strand.traps[1].tpc, strand.traps[1].tnpc), (handler, handler + 4));
    let entry = Entry::new(handler, 0, Tte(V | CP | X | P), Pa(handler & !0x1fff)).unwrap();
    bench.core.itlb.insert(entry);
    answered(&mut bench);
    assert_eq!(bench.run(until), Exit::Hypercall { number: 0x80 });
    let strand = &bench.strand;
    assert_eq!((strand.tl, strand.regs.gl(), strand.pc), (0, 0, ORG + 4));
    assert_eq!(strand.regs.window_state()[..4], [2, 6, 0, 7]);
    (0..16).for_each(|n| assert_eq!(strand.regs.get(n + 16), 0x100 + u64::from(n)));
    assert_eq!((bench.r(G2), bench.r(G1)), (42, 0));
    assert_eq!(bench.counts.traps[usize::from(tt::FILL_NORMAL)], 1);
}

#[test]
fn a_fill_handler_that_runs_into_a_page_that_is_not_mapped_goes_on_there() {
    // Its page ends in the middle of the handler: the second half misses at TL 1.
    let mut bench = fills();
    let middle = ((TBA + u64::from(tt::FILL_NORMAL) * 32) | 0x1fff) + 1;
    let handler = TBA + u64::from(tt::FILL_NORMAL) * 32;
    bench.write(handler, &[branch(8, false, (middle - 8 - handler) as i32 / 4), NOP]);
    let mut fill: Vec<_> = (0..16).map(|n| ldx(n + 16, 14, n as i32 * 8)).collect();
    fill.extend([RESTORED, RETRY]);
    bench.write(middle - 8, &fill);
    let page = |at: u64| Entry::new(at, 0, Tte(V | CP | X | P), Pa(at & !0x1fff)).unwrap();
    bench.core.itlb.insert(page(handler));
    let miss = Exit::Miss { instruction: true, va: middle, context: 0 };
    assert_eq!(bench.run(10_000), miss);
    bench.strand.reflect(tt::FAST_INSTRUCTION_ACCESS_MMU_MISS);
    assert_eq!(bench.run(10_000), Exit::Hypercall { number: 0x83 });
    bench.core.itlb.insert(page(middle));
    answered(&mut bench);
    bench.finish();
    (0..16).for_each(|n| assert_eq!(bench.r(n + 16), 0x100 + u64::from(n)));
}

#[test]
fn a_fill_at_the_highest_level_but_one_still_misses_and_does_not_bark() {
    // At TL 1 the fill goes to TL 2, and the miss there is the hypervisor's to judge.
    let mut bench = fills();
    bench.strand.tl = 1;
    let handler = TBA + 0x4000 + u64::from(tt::FILL_NORMAL) * 32;
    bench.core.demap_page(false, true, handler, 0);
    let miss = Exit::Miss { instruction: true, va: handler, context: 0 };
    assert_eq!(bench.run(100), miss);
    assert_eq!((bench.strand.tl, bench.strand.regs.cwp()), (2, 2));
    // One level higher the fill itself is too much.
    let mut bench = fills();
    bench.strand.tl = 2;
    assert_eq!(bench.run(100), Exit::Watchdog);
    assert_eq!((bench.strand.trapped, bench.strand.regs.cwp()), (tt::FILL_NORMAL, 3));
}

/// Every form of branch: `(word without its slot's annulment, is it annulling "always"
/// or "never" by itself, which conditions it is taken for)`.
#[derive(Clone, Copy)]
struct Form {
    word: u32,
    /// Taken, with this CCR, FSR and register.
    taken: fn(u32, u8, u64, u64) -> bool,
    cond: u32,
    /// Unconditional: annulled always.
    fixed: bool,
}

fn forms() -> Vec<Form> {
    let mut forms = Vec::new();
    let disp = 4;
    for cond in 0..16 {
        let fixed = cond & 7 == 0;
        let icc = |cond: u32, ccr: u8, _: u64, _: u64| meets(cond, ccr & 15);
        let xcc = |cond: u32, ccr: u8, _: u64, _: u64| meets(cond, ccr >> 4);
        let bpcc = cond << 25 | 1 << 22 | disp;
        forms.push(Form { word: cond << 25 | 2 << 22 | disp, taken: icc, cond, fixed });
        forms.push(Form { word: bpcc, taken: icc, cond, fixed });
        forms.push(Form { word: bpcc | 1 << 19 | 2 << 20, taken: xcc, cond, fixed });
        let fcc = |cond: u32, _: u8, fsr: u64, _: u64| relates(cond, fsr >> 10 & 3);
        let fcc3 = |cond: u32, _: u8, fsr: u64, _: u64| relates(cond, fsr >> 36 & 3);
        let fbpfcc = cond << 25 | 5 << 22 | disp;
        forms.push(Form { word: cond << 25 | 6 << 22 | disp, taken: fcc, cond, fixed });
        forms.push(Form { word: fbpfcc, taken: fcc, cond, fixed });
        forms.push(Form { word: fbpfcc | 3 << 20, taken: fcc3, cond, fixed });
    }
    for cond in [1, 2, 3, 5, 6, 7] {
        let taken = |cond: u32, _: u8, _: u64, register: u64| match cond {
            1 => register == 0,
            2 => register as i64 <= 0,
            3 => (register as i64) < 0,
            5 => register != 0,
            6 => register as i64 > 0,
            _ => register as i64 >= 0,
        };
        forms.push(Form { word: cond << 25 | 3 << 22 | 4 << 14 | disp, taken, cond, fixed: false });
    }
    forms
}

/// Integer conditions, as the manual writes them.
fn meets(cond: u32, code: u8) -> bool {
    let bit = |n: u8| code >> n & 1 != 0;
    let (n, z, v, c) = (bit(3), bit(2), bit(1), bit(0));
    match cond {
        0 => false,
        1 => z,
        2 => z || (n ^ v),
        3 => n ^ v,
        4 => c || z,
        5 => c,
        6 => n,
        7 => v,
        8 => true,
        9 => !z,
        10 => !(z || (n ^ v)),
        11 => !(n ^ v),
        12 => !(c || z),
        13 => !c,
        14 => !n,
        _ => !v,
    }
}

/// Floating-point conditions: letters of equal, less, greater, unordered.
fn relates(cond: u32, fcc: u64) -> bool {
    let names = [
        "", "LGU", "LG", "LU", "L", "GU", "G", "U", "ELGU", "E", "EU", "EG", "EGU", "EL", "ELU",
        "ELG",
    ];
    names[cond as usize].contains(["E", "L", "G", "U"][fcc as usize])
}

#[test]
fn a_store_in_an_annulled_slot_changes_no_memory_and_traps_nowhere() {
    const CELL: u64 = 0x8000;
    let mut bench = Bench::new(&[]);
    bench.strand.set_pstate(FPU_ON);
    bench.strand.fprs = 4;
    bench.strand.regs.set(1, CELL);
    bench.strand.regs.set(2, 1);
    let fresh = bench.strand.clone();
    // What stands in the slot: stores of every way through an engine, and one that would
    // trap.
    let slots = [
        stx(G2, G1, 0),
        immediate(3, 0x05, G2, G1, 7),         // stb
        alternate(0x1e, G2, G1, 0, 0x14),      // stxa, real
        immediate(3, 0x0f, 5, G1, 4),          // swap
        immediate(3, 0x27, 0, G1, 0),          // std %f0
        register(3, 0x3e, 5, G1, 0) | 0x80 << 5, // casxa, of zero
    ];
    let misaligned = stx(G2, G1, 4);
    let tail = |taken: i32| [NOP, NOP, add(G3, 0, 1), HCALL, add(G3, 0, taken), HCALL];
    for form in forms() {
        for annul in [0, 1 << 29] {
            for (ccr, fcc, register) in (0..16u8).map(|n| {
                (n << 4 | (n + 5) & 15, u64::from(n) & 3, [0, 1, u64::MAX][usize::from(n) % 3])
            }) {
                let fsr = fcc << 10 | (3 - fcc) << 36;
                let taken = (form.taken)(form.cond, ccr, fsr, register);
                let executed = annul == 0 || taken && !form.fixed;
                let slot = slots[usize::from(ccr) % slots.len()];
                let mut run = |slot: u32| {
                    let [_, _, rest @ ..] = tail(2);
                    bench.write(ORG, &[form.word | annul, slot]);
                    bench.write(ORG + 8, &rest);
                    bench.ram.store(Pa(CELL), 0u64);
                    bench.strand = fresh.clone();
                    let strand = &mut bench.strand;
                    strand.cc = crate::chip::regs::Cc::from_ccr(ccr);
                    strand.fsr = fsr;
                    strand.fp[0] = 1;
                    strand.regs.set(4, register);
                    strand.regs.set(5, 1);
                    let exit = bench.run(1000);
                    (exit, bench.ram.load::<u64>(Pa(CELL)), bench.r(G3))
                };
                let what = (form.word | annul, slot, ccr, fcc, register);
                let (exit, cell, way) = run(slot);
                assert_eq!(exit, Exit::Hypercall { number: 0x80 }, "{what:x?}");
                assert_eq!(cell != 0, executed, "{what:x?}");
                assert_eq!(way, if taken { 2 } else { 1 }, "{what:x?}");
                if !executed {
                    let (exit, cell, _) = run(misaligned);
                    assert_eq!((exit, cell), (Exit::Hypercall { number: 0x80 }, 0), "{what:x?}");
                }
            }
        }
    }
}

#[test]
fn strands_of_a_core_share_its_tlbs_and_nothing_else() {
    // Each strand adds up, again and again, what it alone has: its scratchpad, its
    // primary context, its queue's tail, a page of its context, and a register of each
    // kind; and writes the sum into its own page. They take turns after any number of
    // instructions.
    const STRANDS: u64 = 8;
    const PAGE: u64 = 0x4_2000;
    let by = |asi, rd, rs1| alternate(0x1b, rd, rs1, 0, asi);
    let sum = |n| register(2, 0, G2, G2, n);
    let program = [
        add(G3, 0, 8),
        by(0x20, 4, 0), // scratchpad 0
        by(0x21, 5, G3),
        by(0x25, 6, 7), // %g7: a queue's tail
        add(G2, 0, 0),
        ldx(16, G1, 0),
        sum(4),
        sum(5),
        sum(6),
        sum(16),
        sum(17), // %l1
        sum(24), // %i0
        register(2, 0x3c, 0, 0, 0), // save, and back
        register(2, 0x3d, 0, 0, 0),
        stx(G2, G1, 8),
        add(18, 18, 1), // rounds
        branch(8, false, -16),
        NOP,
    ];
    for turn in 1..20u64 {
        let mut bench = Bench::new(&program);
        bench.core = Tlbs::new(3);
        let mut strands = Vec::new();
        for id in 0..STRANDS {
            let (context, page) = (id as u16 + 1, Pa(0x2_0000 + id * 0x2000));
            let code = Entry::new(0, context, Tte(V | CP | X | P), Pa(0)).unwrap();
            bench.core.itlb.insert(code);
            let data = Entry::new(PAGE, context, Tte(V | CP | P | W), page).unwrap();
            bench.core.dtlb.insert(data);
            bench.ram.store(page, 1000 * id);
            let mut strand = bench.strand.clone();
            (strand.mmu_on, strand.contexts) = (true, [context, context, 0, 0]);
            strand.scratch[0] = 10 * id;
            strand.queues[0] = [0, 64 * id as u32];
            for (n, value) in [(1, PAGE), (7, 0x3c8), (17, 100_000 * id), (24, 1 << 20 | id)] {
                strand.regs.set(n, value);
            }
            strands.push(strand);
        }
        for _ in 0..400 / turn + 40 {
            for strand in &mut strands {
                std::mem::swap(strand, &mut bench.strand);
                let exit = bench.run(bench.strand.tick + turn);
                std::mem::swap(strand, &mut bench.strand);
                assert_eq!(exit, Exit::Budget);
            }
        }
        for (id, strand) in (0..).zip(&strands) {
            let all = 10 * id + (id + 1) + 64 * id + 1000 * id + 100_000 * id + (1 << 20 | id);
            let stored = bench.ram.load::<u64>(Pa(0x2_0000 + id * 0x2000 + 8));
            assert_eq!(stored, all, "strand {id}, turns of {turn}");
            assert_eq!(strand.regs.get(18), strands[0].regs.get(18), "the same number of rounds");
        }
    }
}

#[test]
fn a_softint_that_a_mondo_sets_is_taken_whenever_the_mondo_comes() {
    // The mondo's handler empties the queue, sets SOFTINT 1 and returns; the level's
    // handler counts in %i0 and clears the bit it came for. The program opens and closes
    // interrupts, by IE and by PIL, writes and clears another bit of SOFTINT, and takes
    // windows' traps meanwhile.
    let program = [
        wrpr(8, 15),
        immediate(2, 0x30, 20, 0, 1 << 3), // set bit 3
        wrpr(6, 4),
        immediate(2, 0x30, 21, 0, 1 << 3), // and clear it
        wrpr(6, 6),
        register(2, 0x28, 16, 22, 0),
        wrpr(8, 0),
        add(17, 17, 1),
        wrpr(8, 15),
        branch(8, false, -9),
        wrpr(6, 6),
    ];
    let mondo = [
        immediate(2, 0x02, G1, 0, 0x3c8),
        alternate(0x1b, G2, G1, 0, 0x25),
        add(G1, G1, -8),
        alternate(0x1e, G2, G1, 0, 0x25),
        immediate(2, 0x30, 20, 0, 2),
        RETRY,
    ];
    let level = [add(24, 24, 1), immediate(2, 0x30, 21, 0, 2), RETRY];
    let mut bench = Bench::new(&[]);
    bench.handler(tt::CPU_MONDO, &mondo);
    bench.write(TBA + u64::from(tt::INTERRUPT_LEVEL + 1) * 32, &level);
    bench.write(ORG, &program);
    let fresh = bench.strand.clone();
    for first in 0..120 {
        bench.strand = fresh.clone();
        let until = bench.strand.tick;
        // From then on one every so many ticks, so that each is served before the next.
        for (n, at) in (1..=8u64).map(|n| (n, until + first + n * 61)) {
            assert_eq!(bench.run(at), Exit::Budget);
            let tail = &mut bench.strand.queues[0][1];
            *tail = (*tail + 64) & 0x3ff;
            assert_eq!(bench.run(at + 60), Exit::Budget);
            assert_eq!(bench.r(24), n, "a mondo at tick {at}");
        }
        assert_eq!(bench.strand.softint & 2, 0);
    }
}

#[test]
fn an_interrupt_between_two_blocks_is_no_way_from_one_to_the_other() {
    // Two pages that lead to each other; once, at any tick of the first rounds, level 14.
    // Were its handler entered again without a trap, RETRY would be illegal.
    let (there, back) = (ORG + 0x4000, ORG + 0x2000);
    let hop = |from: u64, to: u64| branch(8, false, (to as i32 - from as i32) / 4);
    for first in 1..80 {
        let mut bench = Bench::new(&[wrpr(8, 0), wrpr(6, 6), hop(ORG + 8, back), NOP]);
        bench.write(back, &[add(18, 18, 1), add(18, 18, 1), hop(back + 8, there), NOP]);
        bench.write(there, &[add(18, 18, 1), hop(there + 4, back), NOP]);
        let level = TBA + u64::from(tt::INTERRUPT_LEVEL + 14) * 32;
        bench.write(level, &[add(24, 24, 1), immediate(2, 0x30, 21, 0, 1), RETRY]);
        let at = 0x1000;
        bench.strand.tick = at - first;
        bench.strand.tick_cmpr.write(at, at - first, 0);
        assert_eq!(bench.run(at + 400), Exit::Budget, "at tick {first}");
        assert_eq!((bench.r(24), bench.strand.tl), (1, 0), "at tick {first}");
    }
}

#[test]
fn time_goes_on_over_a_stop_and_what_was_armed_before_is_forgotten() {
    let mut bench = Bench::new(&[rdasr(4, G1), rdasr(24, G2), wrasr_g1(25), HCALL]);
    bench.strand.tick = 0x1000;
    bench.finish();
    assert_eq!((bench.r(G1), bench.strand.tick), (0x1001, 0x1004));
    bench.strand.stick_cmpr.write(0x1100, 0x1004, 0);
    bench.strand.tick_cmpr.write(0x1180, 0x1004, 0);
    // It stops, time passes, it begins again.
    let Strand { tick, busy, .. } = bench.strand;
    bench.strand = Strand { tick, busy, ..Strand::default() };
    bench.strand.tick += 0x10;
    bench.strand.begin(0x2000, 0, 0, 1 << 20);
    let strand = &bench.strand;
    assert_eq!([strand.stick_cmpr.register(), strand.tick_cmpr.register()], [0, 0]);
    assert_eq!((strand.due(), strand.softint), (u64::MAX, 0));
    bench.write(0x2000, &[rdasr(4, G1), rdasr(24, G2), branch(8, false, 0), NOP]);
    bench.run(0x1400);
    assert_eq!((bench.r(G1), bench.r(G2), bench.strand.softint), (0x1015, 0x107f, 0));
    // Compare registers work again.
    bench.write(0x2000, &[wrasr_g1(25), branch(8, false, 0), NOP]);
    (bench.strand.pc, bench.strand.npc) = (0x2000, 0x2004);
    bench.strand.regs.set(1, 0x1500);
    bench.run(0x14ff);
    assert_eq!(bench.strand.softint, 0);
    bench.run(0x1501);
    assert_eq!(bench.strand.softint, SOFTINT_STICK);
}
