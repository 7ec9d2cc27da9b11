use crate::chip::strand::{SOFTINT_STICK, Strand, pstate};
use crate::chip::tlb::{Core, Entry};
use crate::engine::{Clock, Code, Costs, Counts, Engine, Exit, Place, fault};
use crate::mem::Ram;
use sun4v::addr::{Pa, Ra, RealMap, RealRange};
use sun4v::isa::tt;
use sun4v::mmu::Tte;

const NOP: u32 = 0x0100_0000;
const FLUSHW: u32 = 0x8158_0000;
const SAVED: u32 = 0x8188_0000;
const RESTORED: u32 = 0x8388_0000;
const DONE: u32 = 0x81f0_0000;
const RETRY: u32 = 0x83f0_0000;
/// `ta 0x80`.
const HCALL: u32 = 0x91d0_2080;
/// Where programs begin.
const ORG: u64 = 0x1000;
/// Where traps go.
const TBA: u64 = 0x1_0000;
const G1: u32 = 1;
const G2: u32 = 2;
const G3: u32 = 3;

fn immediate(op: u32, op3: u32, rd: u32, rs1: u32, imm: i32) -> u32 {
    op << 30 | rd << 25 | op3 << 19 | rs1 << 14 | 1 << 13 | imm as u32 & 0x1fff
}
fn register(op: u32, op3: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
    op << 30 | rd << 25 | op3 << 19 | rs1 << 14 | rs2
}
/// `add rs1, imm, rd`.
fn add(rd: u32, rs1: u32, imm: i32) -> u32 {
    immediate(2, 0, rd, rs1, imm)
}
/// `cmp rs1, imm`.
fn cmp(rs1: u32, imm: i32) -> u32 {
    immediate(2, 0x14, 0, rs1, imm)
}
/// `b<cond>{,a}` by `disp` instructions.
fn branch(cond: u32, annul: bool, disp: i32) -> u32 {
    u32::from(annul) << 29 | cond << 25 | 2 << 22 | disp as u32 & 0x3f_ffff
}
fn call(disp: i32) -> u32 {
    1 << 30 | disp as u32 & 0x3fff_ffff
}
fn ldx(rd: u32, rs1: u32, imm: i32) -> u32 {
    immediate(3, 0x0b, rd, rs1, imm)
}
fn stx(rd: u32, rs1: u32, imm: i32) -> u32 {
    immediate(3, 0x0e, rd, rs1, imm)
}
fn wrpr(which: u32, imm: i32) -> u32 {
    immediate(2, 0x32, which, 0, imm)
}
fn sethi(rd: u32, value: u32) -> u32 {
    rd << 25 | 4 << 22 | value >> 10
}

/// A strand with 1 MB of memory at real address 0.
struct Bench {
    strand: Strand,
    core: Core,
    ram: Ram,
    map: RealMap,
    code: Code,
    clock: Clock,
    counts: Counts,
    engine: Box<dyn Engine>,
}

impl Bench {
    fn new(program: &[u32]) -> Self {
        let ram = Ram::new(1 << 20).unwrap();
        let map = RealMap::new(vec![RealRange { ra: Ra(0), pa: Pa(0), size: 1 << 20 }]);
        let mut strand = Strand { pc: ORG, npc: ORG + 4, ..Strand::default() };
        strand.regs.cleanwin = 7;
        strand.set_tba(TBA);
        let mut bench = Self {
            strand,
            core: Core::default(),
            ram,
            map,
            code: Code::default(),
            clock: Clock::default(),
            counts: Counts::default(),
            engine: WHICH.engine(),
        };
        bench.write(ORG, program);
        bench
    }
    fn write(&mut self, at: u64, program: &[u32]) {
        for (at, &word) in (at..).step_by(4).zip(program) {
            self.ram.store(Pa(at), word);
        }
    }
    /// A handler for a trap at TL 0.
    fn handler(&mut self, tt: u16, program: &[u32]) {
        self.write(TBA + u64::from(tt) * 32, program);
    }
    fn run(&mut self, until: u64) -> Exit {
        let place = Place {
            strand: &mut self.strand,
            core: &mut self.core,
            ram: &self.ram,
            map: &self.map,
            code: &mut self.code,
            clock: &mut self.clock,
            counts: &mut self.counts,
            costs: &Costs::default(),
            sharing: 1,
        };
        self.engine.run(place, until)
    }
    /// Runs up to its hypercall.
    fn finish(&mut self) -> &mut Self {
        assert_eq!(self.run(10_000), Exit::Hypercall { number: 0x80 });
        self
    }
    fn r(&self, n: u32) -> u64 {
        self.strand.regs.get(n as u8)
    }
}

#[test]
fn delay_slots_are_executed_unless_annulled() {
    // Each slot adds its own bit.
    let bit = |n: i32| add(G1, G1, 1 << n);
    let mut bench = Bench::new(&[
        cmp(0, 0),
        branch(1, false, 2), // be: taken, slot executed
        bit(0),
        branch(9, false, 2), // (skipped target) bne: not taken, slot executed
        bit(1),
        branch(9, true, 2), // bne,a: not taken, slot annulled
        bit(2),
        branch(1, true, 2), // be,a: taken, slot executed
        bit(3),
        branch(8, true, 2), // ba,a: slot annulled
        bit(4),
        branch(0, true, 2), // bn,a: slot annulled
        bit(5),
        branch(8, false, 2), // ba: slot executed
        bit(6),
        HCALL,
    ]);
    bench.finish();
    assert_eq!(bench.r(G1), 0b100_1011);
    assert_eq!(bench.strand.pc, ORG + 15 * 4);
}

#[test]
fn branches_calls_and_slots_may_lie_on_either_side_of_a_page() {
    let edge = 0x2000 - 4;
    let mut bench = Bench::new(&[]);
    // The branch is the last word of its page, its slot the first of the next.
    bench.write(edge, &[branch(8, false, 4), add(G1, 0, 1), NOP, NOP, call(-0x400)]);
    bench.write(edge + 20, &[add(G2, 0, 2)]);
    bench.write(edge + 16 - 0x1000, &[add(G3, 15, 0), HCALL]);
    (bench.strand.pc, bench.strand.npc) = (edge, edge + 4);
    bench.finish();
    assert_eq!((bench.r(G1), bench.r(G2), bench.r(G3)), (1, 2, edge + 16));
    // A page is left by running off its end.
    let mut bench = Bench::new(&[]);
    bench.write(0x1ff8, &[add(G1, 0, 5), add(G1, G1, 5), add(G1, G1, 5), HCALL]);
    (bench.strand.pc, bench.strand.npc) = (0x1ff8, 0x1ffc);
    assert_eq!(bench.finish().r(G1), 15);
}

#[test]
fn a_branch_in_a_slot_executes_one_instruction_at_the_first_target() {
    for far in [0x10, 0x1000] {
        let mut bench = Bench::new(&[branch(8, false, far), branch(8, false, far + 0x20)]);
        bench.write(ORG + far as u64 * 4, &[add(G1, G1, 1), add(G1, G1, 8)]);
        bench.write(ORG + 4 + (far as u64 + 0x20) * 4, &[add(G1, G1, 2), HCALL]);
        assert_eq!(bench.finish().r(G1), 3, "{far:#x}");
    }
}

#[test]
fn a_trap_in_a_delay_slot_remembers_both_addresses() {
    // ta 1 in the slot of a taken branch.
    let mut bench = Bench::new(&[branch(8, false, 8), 0x91d0_2001]);
    bench.write(ORG + 32, &[HCALL]);
    bench.handler(0x101, &[register(2, 0x2a, G1, 0, 0), register(2, 0x2a, G2, 1, 0), DONE]);
    bench.strand.regs.set_gl(0);
    bench.finish();
    let level = bench.strand.traps[0];
    assert_eq!((level.tpc, level.tnpc, level.tt), (ORG + 4, ORG + 32, 0x101));
    assert_eq!((bench.strand.pc, bench.strand.tl), (ORG + 32, 0));
    assert_eq!(bench.counts.traps[0x101], 1);
}

#[test]
fn windows_spill_and_fill_through_their_handlers() {
    let save = |rd, rs1, imm| immediate(2, 0x3c, rd, rs1, imm);
    let restore = register(2, 0x3d, 0, 0, 0);
    let mut program = vec![sethi(G1, 0x4_0000)];
    // Eight windows deep: %l0 of each is its depth. %sp moves down by 128.
    program.push(add(14, G1, 0));
    for depth in 1..=8 {
        program.extend([save(14, 14, -128), add(16, 0, depth)]);
    }
    // And back, adding up what is found.
    for _ in 0..8 {
        program.extend([register(2, 0, G2, G2, 16), restore]);
    }
    program.push(HCALL);
    let mut bench = Bench::new(&program);
    let registers = || (0..16).map(|n| (n + 16, n as i32 * 8));
    let mut spill: Vec<_> = registers().map(|(reg, at)| stx(reg, 14, at)).collect();
    spill.extend([SAVED, RETRY]);
    bench.handler(tt::SPILL_NORMAL, &spill);
    let mut fill: Vec<_> = registers().map(|(reg, at)| ldx(reg, 14, at)).collect();
    fill.extend([RESTORED, RETRY]);
    bench.handler(tt::FILL_NORMAL, &fill);
    bench.finish();
    assert_eq!(bench.r(G2), (1..=8).sum::<u64>());
    assert_eq!(bench.strand.regs.window_state()[..3], [0, 6, 0]);
    assert_eq!(bench.counts.traps[usize::from(tt::SPILL_NORMAL)], 2);
    assert_eq!(bench.counts.traps[usize::from(tt::FILL_NORMAL)], 2);
}

#[test]
fn spill_comes_before_clean_window_and_handlers_see_their_window() {
    let save = register(2, 0x3c, 0, 0, 0);
    let mut bench = Bench::new(&[save]);
    let stop = [HCALL];
    bench.handler(tt::SPILL_NORMAL + 12, &stop);
    bench.handler(tt::SPILL_OTHER + 8, &stop);
    bench.handler(tt::CLEAN_WINDOW, &stop);
    let state = |bench: &Bench| (bench.strand.traps[0].tt, bench.strand.regs.cwp());
    let regs = &mut bench.strand.regs;
    (regs.cansave, regs.cleanwin, regs.wstate) = (0, 0, 2 << 3 | 3);
    let fresh = bench.strand.clone();
    assert_eq!(state(bench.finish()), (tt::SPILL_NORMAL + 12, 2));
    bench.strand = fresh.clone();
    bench.strand.regs.otherwin = 1;
    assert_eq!(state(bench.finish()), (tt::SPILL_OTHER + 8, 2));
    bench.strand = fresh.clone();
    bench.strand.regs.cansave = 3;
    assert_eq!(state(bench.finish()), (tt::CLEAN_WINDOW, 1));
    bench.strand = fresh;
    bench.write(ORG, &[FLUSHW]);
    bench.strand.regs.cansave = 2;
    assert_eq!(state(bench.finish()), (tt::SPILL_NORMAL + 12, 4));
}

#[test]
fn a_guests_trap_at_the_highest_level_is_for_its_watchdog() {
    let divide = immediate(2, 0x0d, G1, G1, 0);
    let mut bench = Bench::new(&[divide]);
    bench.strand.tl = 2;
    assert_eq!(bench.run(100), Exit::Watchdog);
    assert_eq!((bench.strand.trapped, bench.strand.pc), (tt::DIVISION_BY_ZERO, ORG));
    // But a hypercall there is a hypercall.
    let mut bench = Bench::new(&[HCALL]);
    bench.strand.tl = 2;
    bench.finish();
}

#[test]
fn levels_saturate_and_user_code_gets_what_it_deserves() {
    let mut bench = Bench::new(&[wrpr(7, 7), wrpr(16, 9), HCALL]);
    bench.finish();
    assert_eq!((bench.strand.tl, bench.strand.regs.gl()), (2, 2));
    // rdpr %ver does not exist; rdpr %tpc at TL 0 is illegal.
    for word in [register(2, 0x2a, G1, 31, 0), register(2, 0x2a, G1, 0, 0), 0] {
        let exit = Bench::new(&[word]).run(10);
        assert_eq!(exit, Exit::Plain { tt: tt::ILLEGAL_INSTRUCTION }, "{word:08x}");
    }
}

#[test]
fn a_store_to_an_instruction_is_seen_by_the_next_fetch() {
    // The loop's body is replaced after its first round.
    let patch = add(G2, G2, 16);
    let mut bench = Bench::new(&[
        sethi(G1, patch),
        immediate(2, 2, G1, G1, (patch & 0x3ff) as i32),
        add(G2, G2, 1), // becomes += 16
    ]);
    // st %g1, [%g3] with %g3 = the body.
    bench.write(
        ORG + 12,
        &[immediate(3, 4, G1, G3, 0), cmp(G2, 10), branch(3, false, -4), NOP, HCALL],
    );
    bench.strand.regs.set(3, ORG + 8);
    assert_eq!(bench.finish().r(G2), 17);
    // And one that somebody else stores.
    bench.ram.store(Pa(ORG + 8), add(G2, 0, 3));
    (bench.strand.pc, bench.strand.npc) = (ORG + 8, ORG + 12);
    bench.strand.regs.set(2, 0);
    assert_eq!(bench.run(bench.strand.tick + 1), Exit::Budget);
    assert_eq!(bench.r(G2), 3);
}

#[test]
fn the_first_store_after_a_page_was_cleaned_marks_it() {
    let mut bench = Bench::new(&[stx(0, G1, 0), branch(8, false, -1), NOP]);
    bench.strand.regs.set(1, 0x8000);
    bench.run(100);
    bench.ram.log().start(Pa(0), 1 << 20);
    bench.run(200);
    assert!(bench.ram.log().is_dirty(Pa(0x8000)) && !bench.ram.log().is_dirty(Pa(0xa000)));
    bench.ram.log().clean(Pa(0x8000));
    bench.run(300);
    assert!(bench.ram.log().is_dirty(Pa(0x8000)));
}

const V: u64 = 1 << 63;
const CP: u64 = 1 << 10;
const P: u64 = 1 << 8;
const X: u64 = 1 << 7;
const W: u64 = 1 << 6;

/// Turns the MMU on, with the program mapped.
fn translated(program: &[u32]) -> Bench {
    let mut bench = Bench::new(program);
    let entry = Entry::new(0, 0, Tte(V | CP | X | P | W), Pa(0)).unwrap();
    bench.core.itlb.insert(entry);
    bench.strand.mmu_on = true;
    bench
}

#[test]
fn pages_are_found_by_context_and_guarded_by_their_flags() {
    let va = 0x4_2000;
    let map = |bench: &mut Bench, context, flags| {
        let entry = Entry::new(va, context, Tte(V | flags), Pa(0x6000)).unwrap();
        bench.core.dtlb.insert(entry);
    };
    let start = |program: &[u32]| {
        let mut bench = translated(program);
        bench.strand.regs.set(1, va + 8);
        bench
    };
    let load = [ldx(G2, G1, 0), HCALL];
    let mut bench = start(&load);
    let miss = Exit::Miss { instruction: false, va: va + 8, context: 0 };
    assert_eq!(bench.run(100), miss);
    map(&mut bench, 0, CP);
    bench.ram.store(Pa(0x6008), 77u64);
    assert_eq!(bench.finish().r(G2), 77);
    // Not writable; then not there in another context.
    let mut bench = start(&[stx(G2, G1, 0), HCALL]);
    map(&mut bench, 0, CP);
    assert_eq!(bench.run(100), Exit::Protection { va: va + 8, context: 0 });
    bench.strand.contexts = [5, 5, 0, 0];
    bench.core.itlb.insert(Entry::new(0, 5, Tte(V | CP | X), Pa(0)).unwrap());
    assert_eq!(bench.run(100), Exit::Miss { instruction: false, va: va + 8, context: 5 });
    map(&mut bench, 5, CP | W | P);
    bench.strand.set_pstate(0);
    let (tt, instruction, kind) = (tt::DATA_ACCESS_EXCEPTION, false, fault::PRIVILEGE);
    let denied = Exit::Fault { tt, instruction, kind, address: va + 8, context: 5 };
    assert_eq!(bench.run(100), denied);
    bench.strand.set_pstate(4);
    bench.finish();
    assert!(bench.ram.load::<u64>(Pa(0x6008)) == 0);
}

#[test]
fn misaligned_and_hole_and_absent_addresses_fault_in_that_order() {
    let run = |address: u64, mmu: bool| {
        let mut bench = translated(&[ldx(G2, G1, 0)]);
        bench.strand.mmu_on = mmu;
        bench.strand.regs.set(1, address);
        match bench.run(10) {
            Exit::Fault { tt, kind, address, .. } => (tt, kind, address),
            other => panic!("{other:?}"),
        }
    };
    let exception = tt::DATA_ACCESS_EXCEPTION;
    let hole = 1 << 47;
    let low = 0xffff_8000_0000_0000;
    let misaligned = (tt::MEM_ADDRESS_NOT_ALIGNED, fault::ALIGNMENT, low + 4);
    assert_eq!(run(hole + 4, true), misaligned);
    assert_eq!(run(hole, true), (exception, fault::VA_RANGE, low));
    assert_eq!(run(hole, false), (exception, fault::INVALID_RA, low));
    assert_eq!(run(0x123_4568, false), (exception, fault::INVALID_RA, 0x123_4000));
}

#[test]
fn bytes_come_in_the_order_that_pstate_and_the_asi_say() {
    let mut bench = Bench::new(&[
        ldx(G2, G1, 0),
        wrpr(6, 4 | 0x200), // CLE
        ldx(G3, G1, 0),
        register(3, 0x1b, 4, 1, 0) | 0x1c << 5, // ldxa [%g1] real, little-endian
        HCALL,
    ]);
    bench.strand.regs.set(1, 0x8000);
    bench.ram.store(Pa(0x8000), 0x0102_0304_0506_0708u64);
    bench.finish();
    assert_eq!(bench.r(G2), 0x0102_0304_0506_0708);
    assert_eq!((bench.r(G3), bench.r(4)), (0x0807_0605_0403_0201, 0x0807_0605_0403_0201));
}

#[test]
fn a_compare_register_interrupts_at_its_tick() {
    let mut bench = Bench::new(&[branch(8, false, 0), NOP]);
    bench.handler(tt::INTERRUPT_LEVEL + 14, &[register(2, 0x28, G1, 4, 0), HCALL]);
    bench.strand.set_pstate(u64::from(pstate::PRIV | pstate::IE));
    bench.strand.stick_cmpr.write(0x1234, 0, 0);
    bench.finish();
    assert_eq!(bench.strand.softint, SOFTINT_STICK);
    // The handler's first instruction reads the tick after its own.
    assert_eq!(bench.r(G1), 0x1200 + 1);
    assert_eq!(bench.strand.traps[0].tt, tt::INTERRUPT_LEVEL + 14);
}

#[test]
fn an_interrupt_that_becomes_possible_is_taken_before_the_next_instruction() {
    let set_softint = immediate(2, 0x30, 20, 0, 1 << 5);
    let mut bench = Bench::new(&[set_softint, add(G1, 0, 1), wrpr(8, 0), add(G1, 0, 2)]);
    bench.handler(tt::INTERRUPT_LEVEL + 5, &[HCALL]);
    bench.strand.set_pstate(u64::from(pstate::PRIV | pstate::IE));
    bench.strand.pil = 15;
    bench.finish();
    assert_eq!(bench.strand.traps[0].tpc, ORG + 12);
    bench.strand.regs.set_gl(0);
    assert_eq!(bench.r(G1), 1);
}

#[test]
fn who_only_waits_gives_the_turn_up() {
    // casx [%g1], %g2, %g3 in a loop, never equal.
    let casx = register(3, 0x3e, G3, G1, G2) | 0x80 << 5;
    let mut bench = Bench::new(&[casx, branch(8, false, -1), NOP]);
    bench.strand.regs.set(1, 0x8000);
    bench.strand.regs.set(2, 1);
    assert_eq!(bench.run(1000), Exit::Spin);
    assert_eq!((bench.strand.pc, bench.strand.tick), (ORG + 4, 10));
    let pause = register(2, 0x28, 0, 2, 0);
    let mut bench = Bench::new(&[pause, pause, NOP, pause, pause, pause, NOP]);
    assert_eq!(bench.run(1000), Exit::Spin);
    assert_eq!(bench.strand.pc, ORG + 24);
}

#[test]
fn floating_point_needs_both_switches() {
    let fmovd = 0x81a0_0042; // fmovd %f2, %f0
    let mut bench = Bench::new(&[fmovd, HCALL]);
    bench.handler(tt::FP_DISABLED, &[HCALL]);
    bench.finish();
    assert_eq!(bench.strand.traps[0].tt, tt::FP_DISABLED);
    let mut bench = Bench::new(&[wrpr(6, 0x14), immediate(2, 0x30, 6, 0, 4), fmovd, HCALL]);
    bench.strand.fp[1] = 9;
    bench.finish();
    assert_eq!((bench.strand.fp[0], bench.strand.fprs), (9, 5));
}

#[test]
fn a_budget_ends_a_run_at_any_instruction_and_changes_nothing() {
    let program = [
        add(G1, G1, 1),
        cmp(G1, 50),
        branch(3, true, -2),
        add(G2, G2, 3),
        call(2),
        add(G3, G3, 1),
        HCALL,
    ];
    let whole = {
        let mut bench = Bench::new(&program);
        bench.finish();
        bench.strand.save()
    };
    for step in [1, 2, 3, 7] {
        let mut bench = Bench::new(&program);
        let mut until = step;
        while bench.run(until) == Exit::Budget {
            assert_eq!(bench.strand.tick, until);
            until += step;
        }
        assert_eq!(bench.strand.save(), whole, "{step}");
    }
}

#[test]
fn subnormals_are_computed_with_unless_fsr_says_that_they_are_zero() {
    let faddd = 0x81a0_8844; // faddd %f2, %f4, %f0
    let fsqrtd = 0x8da0_0542; // fsqrtd %f2, %f6, of a subnormal too
    for (ns, sum) in [(0, 1), (1 << 22, 0)] {
        let mut bench = Bench::new(&[faddd, fsqrtd, HCALL]);
        bench.strand.set_pstate(u64::from(pstate::PRIV | pstate::PEF));
        (bench.strand.fprs, bench.strand.fsr) = (4, ns);
        bench.strand.fp[1] = 1;
        bench.finish();
        assert_eq!(bench.strand.fp[0], sum);
        assert_eq!(bench.strand.fp[3] == 0, ns != 0);
    }
}

#[test]
fn a_table_walk_is_invisible_and_its_entry_goes_with_a_demap() {
    use sun4v::addr::PageSize;
    use sun4v::mmu::{Tsb, tsb_tag};
    let va = 0x7_4000_2000u64;
    let mut bench = translated(&[stx(G2, G1, 16), ldx(G3, G1, 16), HCALL]);
    let tsb = Tsb {
        ra: Ra(0x2_0000),
        entries: 512,
        index_size: PageSize::K8,
        size_mask: 1,
        context: sun4v::mmu::TagContext::Compared,
    };
    let at = Pa(tsb.entry(va).0);
    bench.ram.store(at, tsb_tag(va, 0));
    bench.ram.store(at.offset(8), V | CP | W | 0x6000);
    bench.strand.tsbs[0].push(tsb);
    bench.strand.regs.set(1, va);
    bench.strand.regs.set(2, 99);
    assert_eq!(bench.finish().r(G3), 99);
    assert_eq!(bench.ram.load::<u64>(Pa(0x6010)), 99);
    // Without the table the TLB still has it; without that nobody does.
    bench.strand.tsbs[0].clear();
    (bench.strand.pc, bench.strand.npc) = (ORG, ORG + 4);
    bench.finish();
    bench.core.demap_page(true, false, va, 0);
    (bench.strand.pc, bench.strand.npc) = (ORG, ORG + 4);
    let until = bench.strand.tick + 10;
    assert_eq!(bench.run(until), Exit::Miss { instruction: false, va: va + 16, context: 0 });
}
