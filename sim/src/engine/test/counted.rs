use crate::chip::counters::{Events, PCR_ST, PCR_UT};
use crate::chip::strand::pstate;
use crate::chip::tlb::Entry;
use crate::engine::Exit;
use super::{
    Bench, CP, DONE, G1, G2, G3, HCALL, NOP, ORG, V, W, X, add, branch, call, cmp, immediate, ldx,
    register, sethi, stx, translated, wrpr,
};
use sun4v::addr::Pa;
use sun4v::isa::tt;
use sun4v::mmu::Tte;

/// Group and mask for the low counter.
const fn low(group: u64, mask: u8) -> u64 {
    group << 14 | (mask as u64) << 6
}
/// The same for the high one.
const fn high(group: u64, mask: u8) -> u64 {
    group << 27 | (mask as u64) << 19
}

/// `wr %g0, rs2, asr`.
fn write(asr: u32, rs2: u32) -> u32 {
    register(2, 0x30, asr, 0, rs2)
}
/// `rd asr, rd`.
fn read(asr: u32, rd: u32) -> u32 {
    register(2, 0x28, rd, asr, 0)
}
const PCR: u32 = 16;
const PIC: u32 = 17;

#[test]
fn every_instruction_is_of_its_kind() {
    let casx = register(3, 0x3e, G3, G1, G2) | 0x80 << 5;
    let program = [
        sethi(G1, 0x8000),
        NOP,
        stx(G2, G1, 0),
        ldx(G3, G1, 0),
        ldx(G3, G1, 8),
        casx,
        cmp(0, 0),
        branch(1, false, 2), // be: taken
        NOP,
        branch(9, false, 2), // bne: not taken
        NOP,
        branch(1, false, 2), // be: taken, to what would have come anyway
        add(G2, G2, 1),
        call(2),
        add(G2, G2, 1),
        branch(9, true, 2), // bne,a: not taken, slot annulled
        NOP,
        0x81a0_0042, // fmovd %f2, %f0
        HCALL,
    ];
    for (mask, expected) in [
        (Events::BRANCH, 5),
        (Events::TAKEN, 3),
        (Events::FLOAT, 1),
        (Events::LOAD, 2),
        (Events::STORE, 1),
        (Events::SETHI, 4),
        (Events::OTHER, 3),
        (Events::ATOMIC, 1),
        (0xff, 17),
        (0xfd, 17),
        (Events::LOAD | Events::STORE, 3),
    ] {
        let mut bench = Bench::new(&program);
        bench.strand.set_pstate(u64::from(pstate::PRIV | pstate::PEF));
        bench.strand.fprs = 4;
        bench.strand.pcr = low(2, mask) | high(2, 0xff) | PCR_ST;
        bench.finish();
        assert_eq!((bench.strand.pic as u32, bench.strand.pic >> 32), (expected, 17), "{mask:#x}");
        assert_eq!(bench.strand.tick, 18, "the hypercall was executed too");
    }
}

#[test]
fn counting_begins_after_the_write_and_a_read_does_not_see_itself() {
    let mut bench = Bench::new(&[
        NOP,
        write(PCR, G1),
        NOP,
        read(PIC, 4), // the NOP
        read(PIC, 5), // and the read
        write(PIC, 0),
        read(PIC, 6), // the write
        write(PCR, 0),
        NOP,
        read(PIC, 7), // and what switched it off
        HCALL,
    ]);
    bench.strand.regs.set(1, low(2, 0xff) | PCR_ST);
    bench.finish();
    assert_eq!([4, 5, 6, 7].map(|n| bench.r(n)), [1, 2, 1, 3]);
    assert_eq!(bench.strand.pcr, 0);
}

#[test]
fn modes_are_counted_apart_and_traps_do_not_complete() {
    // Privileged: NOP, wrpr; then not: NOP, NOP, ta 1, add. The handler: add, done.
    let program = [NOP, wrpr(6, 0), NOP, NOP, 0x91d0_2001, add(G1, G1, 1), 0];
    for (mode, expected) in [(PCR_ST, 4), (PCR_UT, 3), (PCR_ST | PCR_UT, 7)] {
        let mut bench = Bench::new(&program);
        bench.handler(0x101, &[add(G1, G1, 1), DONE]);
        // A page of 4 MB for all.
        bench.core.itlb.insert(Entry::new(0, 0, Tte(V | CP | X | 3), Pa(0)).unwrap());
        bench.strand.mmu_on = true;
        bench.strand.pcr = low(2, 0xff) | mode;
        assert_eq!(bench.run(100), Exit::Plain { tt: tt::ILLEGAL_INSTRUCTION });
        assert_eq!(bench.strand.pc, ORG + 24);
        assert_eq!(bench.strand.pic, expected, "{mode:#x}");
    }
}

#[test]
fn an_overflow_interrupts_before_the_next_instruction() {
    let level = tt::INTERRUPT_LEVEL + 15;
    for masked in [false, true] {
        let program = [NOP, add(G1, 0, 1), add(G1, 0, 2), add(G1, 0, 3), wrpr(8, 0), NOP];
        let mut bench = Bench::new(&program);
        bench.handler(level, &[HCALL]);
        bench.strand.set_pstate(u64::from(pstate::PRIV | pstate::IE));
        bench.strand.pil = if masked { 15 } else { 14 };
        // Loads in the high counter, to see that it stays.
        bench.strand.pcr = low(2, 0xff) | high(2, 8) | 3 << 4 | PCR_ST;
        bench.strand.pic = 7 << 32 | 0xffff_fffe;
        bench.finish();
        let level_1 = bench.strand.traps[0];
        let at = if masked { ORG + 20 } else { ORG + 8 };
        assert_eq!((level_1.tt, level_1.tpc), (level, at));
        assert_eq!(bench.strand.softint, 1 << 15);
        assert_eq!(bench.strand.pcr >> 18 & 1, 1, "OV0");
        assert_eq!(bench.strand.pcr >> 31, 0, "OV1");
        assert_eq!(bench.strand.pic, 7 << 32 | if masked { 3 } else { 0 });
    }
}

#[test]
fn what_signals_an_overflow_cannot_be_cleared_but_by_pcr() {
    let clear = immediate(2, 0x30, 21, G2, 0); // wr %g2, %softint_clr
    let mut bench = Bench::new(&[clear, read(22, 4), write(PCR, G1), clear, read(22, 5), HCALL]);
    bench.strand.regs.set(2, 1 << 15);
    bench.strand.pcr = 1 << 18 | 1 << 4;
    bench.finish();
    assert_eq!((bench.r(4), bench.r(5)), (1 << 15, 0));
}

#[test]
fn misses_of_the_tlbs_count_whoever_serves_them() {
    use sun4v::addr::{PageSize, Ra};
    use sun4v::mmu::{Tsb, tsb_tag};
    let (va, ra) = (0x7_4000_2000u64, Ra(0x2_0000));
    let program = [ldx(G2, G1, 0), ldx(G2, G1, 8), HCALL];
    let mut bench = translated(&program);
    let (entries, index_size) = (512, PageSize::K8);
    let tsb = Tsb { ra, entries, index_size, size_mask: 1, context: sun4v::mmu::TagContext::Compared };
    let at = Pa(tsb.entry(va).0);
    bench.ram.store(at, tsb_tag(va, 0));
    bench.ram.store(at.offset(8), V | CP | W | 0x6000);
    bench.strand.regs.set(1, va);
    bench.strand.pcr = low(3, 0xff) | high(2, 0xff) | PCR_ST;
    // Nobody has it: the load does not complete.
    assert_eq!(bench.run(100), Exit::Miss { instruction: false, va, context: 0 });
    assert_eq!(bench.strand.pic, 1);
    bench.strand.tsbs[0].push(tsb);
    bench.finish();
    assert_eq!(bench.strand.pic, 2 << 32 | 2);
    assert_eq!((bench.counts.misses, bench.counts.walks), ([0, 2], [0, 1]));
    // And a fetch.
    (bench.strand.pc, bench.strand.npc) = (va + 0x2000, va + 0x2004);
    let miss = Exit::Miss { instruction: true, va: va + 0x2000, context: 0 };
    assert_eq!(bench.run(1000), miss);
    assert_eq!(bench.strand.pic, 2 << 32 | 3);
    assert_eq!(bench.counts.misses, [1, 2]);
}
