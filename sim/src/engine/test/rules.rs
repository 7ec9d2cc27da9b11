// What the T2 reference says of registers, traps, address spaces and the MMU, where
// `programs.rs` does not ask already. Included once an engine.

use crate::chip::strand::SOFTINT_ALL;

/// `opcode rs1, rs2, rd` through an ASI that the instruction names.
fn alternate(op3: u32, rd: u32, rs1: u32, rs2: u32, asi: u32) -> u32 {
    register(3, op3, rd, rs1, rs2) | asi << 5
}
fn rdpr(which: u32, rd: u32) -> u32 {
    register(2, 0x2a, rd, which, 0)
}
fn rdasr(which: u32, rd: u32) -> u32 {
    register(2, 0x28, rd, which, 0)
}
/// `wrpr %g1, which`.
fn wrpr_g1(which: u32) -> u32 {
    register(2, 0x32, which, G1, 0)
}
fn wrasr_g1(which: u32) -> u32 {
    register(2, 0x30, which, G1, 0)
}
const ILLEGAL: Exit = Exit::Plain { tt: tt::ILLEGAL_INSTRUCTION };
const FPU_ON: u64 = 0x14;
const HOLE: u64 = 1 << 47;

/// The exit of the one instruction that there is, `Budget` for none: behind it, and
/// where traps go, lies what is no instruction, so that blocks are executed too.
fn exit_of(bench: &mut Bench) -> Exit {
    let pc = bench.strand.pc;
    let exit = bench.run(bench.strand.tick + 100);
    if exit == ILLEGAL && bench.strand.pc != pc { Exit::Budget } else { exit }
}

/// Code at any address, for everybody.
fn open(bench: &mut Bench) {
    bench.core.itlb.insert(Entry::new(0, 0, Tte(V | CP | X | 3), Pa(0)).unwrap());
}

/// The trap type that one instruction ends in: what an exit would have the guest see,
/// or the trap that it takes itself; 0 for none.
fn trap_of(bench: &mut Bench) -> u16 {
    let (tl, gl) = (bench.strand.tl, bench.strand.regs.gl());
    match exit_of(bench) {
        Exit::Budget if bench.strand.tl > tl => {
            assert_eq!(bench.strand.regs.gl(), (gl + 1).min(2));
            bench.strand.traps[usize::from(tl)].tt
        }
        Exit::Budget | Exit::Spin => 0,
        Exit::Fault { tt, .. } | Exit::Plain { tt } => tt,
        Exit::Miss { .. } => tt::FAST_DATA_ACCESS_MMU_MISS,
        Exit::Protection { .. } => tt::FAST_DATA_ACCESS_PROTECTION,
        other => panic!("{other:?}"),
    }
}

/// A bench whose FPU is on and whose `%g1` is `address`.
fn at(word: u32, address: u64) -> Bench {
    let mut bench = Bench::new(&[word]);
    bench.strand.set_pstate(FPU_ON);
    bench.strand.fprs = 4;
    bench.strand.regs.set(1, address);
    bench
}

#[test]
fn state_registers_keep_the_bits_that_t2_has() {
    let ones = u64::MAX;
    // Privileged registers: number, what is written, what is read back.
    for (which, value, read) in [
        (0, ones, !3),
        (0, 0x0000_8000_0000_0007, 0xffff_8000_0000_0004),
        (1, ones, !3),
        (2, ones, 0x0000_0300_ff13_1e07 | 0xff << 32),
        (3, ones, 0x1ff),
        (5, ones, 0xffff_ffff_ffff_8000),
        (5, HOLE | 0x7fff, 0xffff_8000_0000_0000),
        (6, ones & !0x1002, 0x31c),
        (8, ones, 15),
        (9, ones, 7),
        (10, ones, 7),
        (11, 0x1d, 5),
        (12, ones, 7),
        (13, ones, 7),
        (14, ones, 0x3f),
        (16, ones, 2),
        (16, 0x10, 0),
        (16, 1, 1),
    ] {
        let mut bench = Bench::new(&[wrpr_g1(which), rdpr(which, G1), HCALL]);
        bench.strand.tl = 1;
        for gl in 0..3 {
            bench.strand.regs.set_gl(gl);
            bench.strand.regs.set(1, value);
        }
        bench.strand.regs.set_gl(0);
        assert_eq!(bench.finish().r(G1), read, "privileged register {which}");
    }
    for (written, level) in [(0, 0), (1, 1), (2, 2), (3, 2), (7, 2), (8, 0), (0x0c, 2)] {
        let mut bench = Bench::new(&[wrpr(7, written), HCALL]);
        assert_eq!(bench.finish().strand.tl, level, "TL {written}");
    }
    // ASRs.
    for (which, read) in [
        (0, 0xffff_ffff),
        (2, 0xff),
        (3, 0xff),
        (6, 7),
        (19, 0xffff_ffff_0e00_00ff),
        (22, u64::from(SOFTINT_ALL)),
        (23, ones),
        (25, ones),
    ] {
        let mut bench = Bench::new(&[wrasr_g1(6), wrasr_g1(which), rdasr(which, G2), HCALL]);
        bench.strand.set_pstate(FPU_ON);
        bench.strand.regs.set(1, ones);
        assert_eq!(bench.finish().r(G2), read, "ASR {which}");
    }
    // Both operands of a write are combined by exclusive or.
    let mut bench = Bench::new(&[immediate(2, 0x30, 0, G1, 0xff), rdasr(0, G2), HCALL]);
    bench.strand.regs.set(1, 0xf0f);
    assert_eq!(bench.finish().r(G2), 0xff0);
}

#[test]
fn registers_that_are_not_there_and_rights_to_those_that_are() {
    let opcode = tt::PRIVILEGED_OPCODE;
    let illegal = tt::ILLEGAL_INSTRUCTION;
    // What is executed, by privileged code, and by others; TL is 0.
    let mut rows = vec![
        (rdpr(4, G2), 0, opcode),
        (wrpr_g1(4), illegal, opcode),
        (rdpr(0, G2), illegal, opcode),
        (wrpr_g1(2), illegal, opcode),
        (wrasr_g1(4), illegal, illegal),
        (wrasr_g1(24), illegal, illegal),
        (rdasr(4, G2), 0, 0),
        (rdasr(24, G2), 0, 0),
        (rdasr(5, G2), 0, 0),
        (rdasr(17, G2), 0, 0),
        (rdasr(20, G2), illegal, illegal),
        (rdasr(21, G2), illegal, illegal),
        (wrasr_g1(20), 0, opcode),
        (wrasr_g1(21), 0, opcode),
        (DONE, illegal, opcode),
        (RETRY, illegal, opcode),
        (SAVED, 0, opcode),
        (FLUSHW, 0, 0),
        (0x9f80_2001, illegal, illegal), // sir 1
    ];
    rows.extend([16, 22, 23, 25].map(|which| (rdasr(which, G2), 0, opcode)));
    rows.extend([16, 22, 23, 25].map(|which| (wrasr_g1(which), 0, opcode)));
    rows.extend([15, 17, 20, 31].map(|which| (rdpr(which, G2), illegal, illegal)));
    rows.extend([1, 7, 14, 18, 26, 31].map(|which| (rdasr(which, G2), illegal, illegal)));
    rows.extend([1, 5, 7, 14, 18, 26, 31].map(|which| (wrasr_g1(which), illegal, illegal)));
    // RDHPR and WRHPR.
    rows.extend([0x29, 0x33].map(|op3| (register(2, op3, 0, 0, 0), illegal, illegal)));
    for (word, privileged, user) in rows {
        for (pstate, expected) in [(4, privileged), (0, user)] {
            let mut bench = translated(&[word]);
            open(&mut bench);
            bench.strand.set_pstate(pstate);
            assert_eq!(trap_of(&mut bench), expected, "{word:08x}, PSTATE {pstate}");
        }
    }
    // PCR.PRIV closes PIC.
    for word in [rdasr(17, G2), wrasr_g1(17)] {
        let mut bench = translated(&[word]);
        open(&mut bench);
        (bench.strand.pcr, bench.strand.sfar) = (1, 0x1230);
        bench.strand.set_pstate(0);
        let Exit::Fault { tt: 0x37, kind: fault::PRIVILEGE, address, .. } = exit_of(&mut bench)
        else {
            panic!("{word:08x}")
        };
        assert_eq!(address, 0x1230, "the fault address register is left as it is");
    }
}

#[test]
fn a_trap_saves_what_the_reference_says_and_begins_as_it_says() {
    let divide = immediate(2, 0x0d, G1, G1, 0);
    for (tl, tle, vector) in [(0, 0, 0x1_0500), (1, 0x100, 0x1_4500)] {
        let mut bench = Bench::new(&[divide]);
        let strand = &mut bench.strand;
        strand.set_pstate(0x1206 | tle);
        strand.cc = crate::chip::regs::Cc::from_ccr(0xa5);
        (strand.tl, strand.asi, strand.pil, strand.npc) = (tl, 0x82, 3, 0x3000);
        strand.regs.set_cwp(5);
        strand.regs.set_gl(1);
        exit_of(&mut bench);
        let level = bench.strand.traps[usize::from(tl)];
        assert_eq!((level.tpc, level.tnpc, level.tt), (ORG, 0x3000, tt::DIVISION_BY_ZERO));
        assert_eq!(level.tstate, 1 << 40 | 0xa5 << 32 | 0x82 << 24 | (0x1206 | tle) << 8 | 5);
        let strand = &bench.strand;
        assert_eq!((strand.pc, strand.npc, strand.tl), (vector, vector + 4, tl + 1));
        let little = if tle != 0 { 0x300 } else { 0 };
        assert_eq!(u64::from(strand.pstate), 0x14 | little);
        assert_eq!((strand.regs.gl(), strand.regs.cwp(), strand.asi, strand.pil), (2, 5, 0x82, 3));
        assert_eq!(strand.cc.ccr(), 0xa5);
    }
}

#[test]
fn done_and_retry_restore_a_level_and_gl_ends_at_2() {
    for tl in [1, 2] {
        for (word, pc, npc) in [(DONE, 0x3000, 0x3004), (RETRY, 0x2000, 0x3000)] {
            let mut bench = Bench::new(&[word]);
            let level = crate::chip::strand::TrapLevel {
                tpc: 0x2000,
                tnpc: 0x3000,
                tstate: 3 << 40 | 0x5a << 32 | 0x81 << 24 | 0x1e << 8 | 6,
                tt: 0,
            };
            bench.strand.traps[tl - 1] = level;
            bench.strand.tl = tl as u8;
            exit_of(&mut bench);
            let strand = &bench.strand;
            assert_eq!((strand.pc, strand.npc, usize::from(strand.tl)), (pc, npc, tl - 1));
            assert_eq!((strand.regs.gl(), strand.regs.cwp(), strand.pstate), (2, 6, 0x1e));
            assert_eq!((strand.cc.ccr(), strand.asi), (0x5a, 0x81));
        }
    }
    // PSTATE.AM comes into force with it.
    let mut bench = Bench::new(&[RETRY]);
    bench.strand.traps[0].tpc = 0xffff_ffff_0000_2000;
    bench.strand.traps[0].tnpc = 0xffff_ffff_0000_2004;
    bench.strand.traps[0].tstate = 0xc << 8;
    bench.strand.tl = 1;
    bench.write(0x2000, &[rdasr(5, G1), call(4), 0, 0, 0, HCALL]);
    bench.write(0x2008, &[NOP]);
    bench.finish();
    assert_eq!((bench.r(G1), bench.r(15), bench.strand.pc), (0x2000, 0x2004, 0x2014));
}

#[test]
fn every_transfer_traps_under_tct_before_it_happens_and_what_is_not_taken_does_not() {
    let jmpl = immediate(2, 0x38, G2, G1, 0);
    let taken = [branch(8, false, 8), branch(8, true, 8), call(8), jmpl, 0x91d0_2001];
    for word in taken {
        let mut bench = at(word, 0x2000);
        bench.strand.set_pstate(0x1004);
        assert_eq!(trap_of(&mut bench), tt::CONTROL_TRANSFER_INSTRUCTION, "{word:08x}");
        assert_eq!(bench.strand.traps[0].tpc, ORG);
        assert_eq!((bench.r(15), bench.r(G2)), (0, 0));
    }
    for word in [DONE, RETRY] {
        let mut bench = Bench::new(&[word]);
        bench.strand.set_pstate(0x1004);
        bench.strand.tl = 1;
        assert_eq!(trap_of(&mut bench), tt::CONTROL_TRANSFER_INSTRUCTION);
        assert_eq!(bench.strand.tl, 2);
    }
    for word in [branch(0, false, 8), branch(0, true, 8), 0x81d0_2001] {
        let mut bench = Bench::new(&[word]);
        bench.strand.set_pstate(0x1004);
        assert_eq!(trap_of(&mut bench), 0, "{word:08x}");
    }
    // A misaligned target comes first.
    let mut bench = at(jmpl, 0x2002);
    bench.strand.set_pstate(0x1004);
    assert_eq!(trap_of(&mut bench), tt::MEM_ADDRESS_NOT_ALIGNED);
}

#[test]
fn window_instructions_count_in_three_bits_whatever_they_find() {
    let words = [SAVED, RESTORED, 0x8588_0000, 0x8788_0000, 0x8988_0000, 0x8b88_0000];
    for (kind, &word) in words.iter().enumerate() {
        for state in 0..8u32 * 8 * 8 {
            let [save, restore, other] = [state & 7, state >> 3 & 7, state >> 6].map(|n| n as u8);
            let clean = (save * 3 + restore + other) & 7;
            let mut bench = Bench::new(&[]);
            let regs = &mut bench.strand.regs;
            (regs.cansave, regs.canrestore, regs.otherwin, regs.cleanwin) =
                (save, restore, other, clean);
            let before = (save, restore, other, clean);
            let more = |n: u8| n.wrapping_add(1) & 7;
            let less = |n: u8| n.wrapping_sub(1) & 7;
            let after = match (kind, other) {
                (0, 0) => (more(save), less(restore), 0, clean),
                (0, _) => (more(save), restore, less(other), clean),
                (1, 0) => (less(save), more(restore), 0, (clean + 1).min(7)),
                (1, _) => (save, more(restore), less(other), (clean + 1).min(7)),
                (2, _) => (save, restore, other, 7),
                (3, _) => (save, 0, restore, clean),
                (4, _) => (save, other, 0, clean),
                _ => (6, 0, 0, clean),
            };
            bench.write(ORG, &[word, HCALL]);
            bench.finish();
            let regs = &bench.strand.regs;
            let got = (regs.cansave, regs.canrestore, regs.otherwin, regs.cleanwin);
            assert_eq!(got, after, "{word:08x} of {before:?}");
            if state >= 64 && kind > 1 {
                break;
            }
        }
    }
}

#[test]
fn flushw_is_for_everybody_and_spills_until_no_window_is_left() {
    let mut bench = Bench::new(&[FLUSHW, HCALL]);
    bench.handler(tt::SPILL_NORMAL + 4, &[SAVED, RETRY]);
    let regs = &mut bench.strand.regs;
    (regs.cansave, regs.canrestore, regs.wstate) = (2, 4, 1);
    bench.finish();
    assert_eq!(bench.strand.regs.window_state()[..3], [0, 6, 0]);
    assert_eq!(bench.counts.traps[usize::from(tt::SPILL_NORMAL) + 4], 4);
}

#[test]
fn a_return_fills_before_it_looks_at_its_target() {
    let back = immediate(2, 0x39, 0, G1, 0);
    let mut bench = at(back, 0x2002);
    bench.strand.regs.wstate = 5 << 3 | 2;
    assert_eq!(trap_of(&mut bench), tt::FILL_NORMAL + 8);
    assert_eq!(bench.strand.regs.cwp(), 7);
    let mut bench = at(back, 0x2002);
    bench.strand.regs.canrestore = 1;
    bench.strand.regs.otherwin = 1;
    let address = 0x2002;
    let Exit::Fault { tt: 0x34, kind: fault::ALIGNMENT, address: found, .. } = exit_of(&mut bench)
    else {
        panic!()
    };
    assert_eq!((found, bench.strand.regs.cwp(), bench.strand.regs.canrestore), (address, 0, 1));
    let mut bench = at(back, 0x2002);
    (bench.strand.regs.otherwin, bench.strand.regs.wstate) = (1, 5 << 3 | 2);
    assert_eq!(trap_of(&mut bench), tt::FILL_OTHER + 20);
}

/// Instructions that access, by what an ASI may allow or refuse them.
const ACCESSES: [(u32, &str); 12] = [
    (0x10, "lduwa"),
    (0x1b, "ldxa"),
    (0x13, "ldtwa"),
    (0x14, "stwa"),
    (0x1e, "stxa"),
    (0x17, "sttwa"),
    (0x3e, "casxa"),
    (0x1f, "swapa"),
    (0x1d, "ldstuba"),
    (0x30, "ldfa"),
    (0x33, "lddfa"),
    (0x37, "stdfa"),
];

/// May an access through an ASI be made by privileged code? T2 reference, 4.1.
fn allowed(op3: u32, asi: u32, va: u64) -> bool {
    let integer_store = matches!(op3, 0x14 | 0x1e | 0x17);
    let integer_load = matches!(op3, 0x10 | 0x1b | 0x13);
    let atomic = matches!(op3, 0x3e | 0x1f | 0x1d);
    let (load_f, load_d, store_d) = (op3 == 0x30, op3 == 0x33, op3 == 0x37);
    let loads = integer_load || load_f || load_d;
    match asi {
        0x20 => matches!(op3, 0x1b | 0x1e) && matches!(va, 0 | 8 | 0x10 | 0x18 | 0x30 | 0x38),
        0x21 => matches!(op3, 0x1b | 0x1e) && matches!(va, 8 | 0x108 | 0x10 | 0x110),
        0x25 => {
            let head = va & 8 == 0 || op3 == 0x1b;
            matches!(op3, 0x1b | 0x1e) && (0x3c0..0x400).contains(&va) && head
        }
        _ => match asi & !8 {
            0x04 | 0x10 | 0x11 | 0x14 | 0x80 | 0x81 => true,
            0x15 => !atomic,
            0x16 | 0x17 | 0xf0 | 0xf1 => load_d || store_d,
            0x22 | 0x23 | 0x27 | 0xe2 | 0xe3 => op3 == 0x13 || integer_store,
            0x24 | 0x26 => op3 == 0x13,
            0x82 | 0x83 => loads,
            0xc0..=0xc5 => store_d,
            0xd0..=0xd3 => load_d || store_d,
            0xe0 | 0xe1 => asi & 8 == 0 && store_d,
            _ => false,
        },
    }
}

#[test]
fn each_asi_is_open_to_the_instructions_and_the_code_that_the_reference_names() {
    let mut bench = Bench::new(&[]);
    // Every page at its own address, in both contexts, for user code too.
    for context in [0, 5, 6] {
        let tte = Tte(V | CP | X | W | 3);
        bench.core.itlb.insert(Entry::new(0, context, tte, Pa(0)).unwrap());
        bench.core.dtlb.insert(Entry::new(0, context, tte, Pa(0)).unwrap());
    }
    let mut fresh = bench.strand.clone();
    fresh.contexts = [5, 5, 6, 6];
    (fresh.mmu_on, fresh.fprs) = (true, 4);
    for (op3, name) in ACCESSES {
        for asi in 0..0x100u32 {
            for va in [0u64, 8, 0x10, 0x20, 0x30, 0x108, 0x110, 0x3c0, 0x3c8, 0x3f0, 0x3f8, 0x8000] {
                if va < 0x8000 && !matches!(asi, 0x20 | 0x21 | 0x25) {
                    continue;
                }
                // Pages below hold nothing that matters; the program is at ORG.
                bench.write(ORG, &[alternate(op3, 0, G1, 0, asi)]);
                for pstate in [FPU_ON, FPU_ON & !4] {
                    bench.strand = fresh.clone();
                    bench.strand.set_pstate(pstate);
                    bench.strand.regs.set(1, va);
                    let user = pstate & 4 == 0;
                    let expected = if asi < 0x80 && (user || asi >= 0x30) {
                        tt::PRIVILEGED_ACTION
                    } else if allowed(op3, asi, va) {
                        0
                    } else {
                        tt::DATA_ACCESS_EXCEPTION
                    };
                    // STXA to a block-initialising ASI begins a line, at 0x8000.
                    let got = trap_of(&mut bench);
                    assert_eq!(got, expected, "{name} {asi:#x} at {va:#x}, PSTATE {pstate:#x}");
                }
            }
        }
    }
}

#[test]
fn what_is_wrong_with_an_access_is_found_in_order() {
    let misaligned = tt::MEM_ADDRESS_NOT_ALIGNED;
    let half = [tt::LDDF_MEM_ADDRESS_NOT_ALIGNED, tt::STDF_MEM_ADDRESS_NOT_ALIGNED];
    let (exception, action) = (tt::DATA_ACCESS_EXCEPTION, tt::PRIVILEGED_ACTION);
    let (off, illegal) = (tt::FP_DISABLED, tt::ILLEGAL_INSTRUCTION);
    let mut block_odd = alternate(0x33, 2, G1, 0, 0xf0);
    // Privileged code, FPU on or off, where, and what comes of it.
    let mut rows = vec![
        // Illegal comes before a disabled FPU, and that before alignment.
        (block_odd, FPU_ON, 0x8004, illegal),
        (block_odd, 4, 0x8001, illegal),
        (alternate(0x33, 16, G1, 0, 0xf0), 4, 0x8001, off),
        (alternate(0x37, 16, G1, 0, 0xc0) | 1 << 13, 4, 0x8000, illegal),
        (alternate(0x33, 16, G1, 0, 0xf0), FPU_ON, 0x8008, misaligned),
        (alternate(0x37, 16, G1, 0, 0xe0), FPU_ON, 0x8004, misaligned),
        // Alignment before the privilege of an ASI, and that before the hole.
        (alternate(0x1b, G2, G1, 0, 0x4f), 4, HOLE | 4, misaligned),
        (alternate(0x1b, G2, G1, 0, 0x4f), 4, HOLE, action),
        (alternate(0x1b, G2, G1, 0, 0x00), 4, HOLE, exception),
        // The two kinds of misaligned doubles.
        (immediate(3, 0x23, 0, G1, 0), FPU_ON, 0x8004, half[0]),
        (immediate(3, 0x27, 0, G1, 0), FPU_ON, 0x8004, half[1]),
        (immediate(3, 0x23, 0, G1, 0), FPU_ON, 0x8002, misaligned),
        (alternate(0x33, 0, G1, 0, 0x80), FPU_ON, 0x8004, half[0]),
        (alternate(0x37, 0, G1, G2, 0xc0), FPU_ON, 0x8004, half[1]),
        (alternate(0x37, 0, G1, G2, 0xc0), FPU_ON, 0x8002, misaligned),
        (alternate(0x33, 0, G1, 0, 0xd2), FPU_ON, 0x8001, misaligned),
        (alternate(0x33, 0, G1, 0, 0xd0), FPU_ON, 0x8001, 0),
        (alternate(0x13, G2, G1, 0, 0x26), 4, 0x8008, misaligned),
        (alternate(0x13, G2, G1, 0, 0x14), 4, 0x8008, 0),
        (alternate(0x13, G3, G1, 0, 0x00), 4, 0x8001, illegal),
        (immediate(3, 0x0d, G2, G1, 0), 4, 0x8001, 0),
        (immediate(3, 0x0f, G2, G1, 0), 4, 0x8002, misaligned),
        (register(3, 0x3e, G2, G1, 0) | 0x14 << 5, 4, 0x8004, misaligned),
    ];
    // No prefetch traps, whatever it names.
    for asi in [0x14, 0x4f, 0x80, 0xf7] {
        rows.push((alternate(0x3d, 0, G1, 0, asi), 4, HOLE | 1, 0));
        rows.push((alternate(0x3d, 5, G1, 0, asi), 4, 0, illegal));
    }
    for (word, pstate, address, expected) in rows {
        let mut bench = at(word, address);
        // For the partial store with an immediate.
        bench.strand.asi = 0xc0;
        bench.strand.set_pstate(pstate);
        assert_eq!(trap_of(&mut bench), expected, "{word:08x} at {address:#x}, PSTATE {pstate:#x}");
    }
    block_odd |= 1 << 25;
    let mut bench = at(block_odd, 0x8000);
    bench.strand.set_pstate(4);
    assert_eq!(trap_of(&mut bench), illegal);
}

#[test]
fn the_hole_comes_before_what_is_wrong_with_an_asi_and_real_addresses_have_one_too() {
    let low = 0xffff_8000_0000_0000;
    let fault_of = |word: u32, address: u64, mmu: bool| {
        let mut bench = translated(&[word]);
        (bench.strand.mmu_on, bench.strand.tag_context) = (mmu, 3);
        bench.strand.regs.set(1, address);
        match exit_of(&mut bench) {
            Exit::Fault { tt, instruction: false, kind, address, context: 3 } => (tt, kind, address),
            other => panic!("{other:?}"),
        }
    };
    let exception = tt::DATA_ACCESS_EXCEPTION;
    for asi in [0x00, 0x20, 0x25, 0x80, 0xd4] {
        let word = alternate(0x1b, G2, G1, 0, asi);
        assert_eq!(fault_of(word, HOLE, true), (exception, fault::VA_RANGE, low), "{asi:#x}");
        assert_eq!(fault_of(word, HOLE, false), (exception, fault::INVALID_RA, low), "{asi:#x}");
    }
    for asi in [0x14, 0x1d] {
        let word = alternate(0x1b, G2, G1, 0, asi);
        assert_eq!(fault_of(word, HOLE, true), (exception, fault::INVALID_RA, low), "{asi:#x}");
    }
    let invalid = (exception, fault::ILLEGAL_ASI, 0x8000);
    assert_eq!(fault_of(alternate(0x1b, G2, G1, 0, 0xd4), 0x8000, true), invalid);
    // A transfer into it is a fault of the transfer.
    let jmpl = immediate(2, 0x38, G2, G1, 0);
    assert_eq!(fault_of(jmpl, HOLE, true), (exception, fault::VA_RANGE, low));
    assert_eq!(fault_of(jmpl, HOLE + 8, false), (exception, fault::INVALID_RA, low + 8));
    let mut bench = at(jmpl, HOLE);
    bench.strand.set_pstate(0xc);
    assert_eq!(trap_of(&mut bench), 0, "32-bit addresses have none");
}

#[test]
fn running_off_the_end_of_addresses_is_a_fault_of_the_fetch() {
    for (mmu, kind) in [(true, fault::VA_RANGE), (false, fault::INVALID_RA)] {
        let mut bench = translated(&[]);
        (bench.strand.pc, bench.strand.npc, bench.strand.mmu_on) = (HOLE, HOLE + 4, mmu);
        let (tt, address) = (tt::INSTRUCTION_ACCESS_EXCEPTION, 0xffff_8000_0000_0000);
        let expected = Exit::Fault { tt, instruction: true, kind, address, context: 0 };
        assert_eq!(exit_of(&mut bench), expected);
    }
}

/// A page at 0x42000 in context 6, which is the second of the strand's primary ones.
fn second_context(word: u32, flags: u64) -> Bench {
    let mut bench = translated(&[word]);
    bench.core.itlb.insert(Entry::new(0, 5, Tte(V | CP | X), Pa(0)).unwrap());
    bench.core.dtlb.insert(Entry::new(0x4_2000, 6, Tte(V | flags), Pa(0x6000)).unwrap());
    bench.strand.contexts = [5, 6, 0, 0];
    (bench.strand.tag_context, bench.strand.fprs) = (9, 4);
    bench.strand.regs.set(1, 0x4_2000);
    bench
}

#[test]
fn the_memory_knows_of_a_store_by_any_translation() {
    const IE: u64 = 1 << 12;
    const E: u64 = 1 << 11;
    for flags in [CP | W, CP | W | IE, CP | W | E, W, W | E] {
        let mut bench = second_context(stx(G2, G1, 0), flags);
        let (pa, word) = (Pa(0x6000), 0x0102_0304_0506_0708_u64);
        bench.strand.regs.set(2, word);
        bench.strand.set_pstate(4);
        assert!(bench.ram.is_untouched(pa));
        assert_eq!(exit_of(&mut bench), Exit::Budget);
        let mut bytes = [0; 8];
        bench.ram.read(pa, &mut bytes);
        let order = if flags & IE == 0 { u64::to_be_bytes } else { u64::to_le_bytes };
        assert_eq!(bytes, order(word), "{flags:#x}");
        assert!(!bench.ram.is_zero_page(pa), "{flags:#x}");
    }
}

#[test]
fn what_a_page_forbids_is_found_in_order_and_reported_for_the_first_context() {
    const NFO: u64 = 1 << 62;
    const E: u64 = 1 << 11;
    let (load, store) = (ldx(G2, G1, 0), stx(G2, G1, 0));
    let cas = register(3, 0x3e, G2, G1, 0) | 0x80 << 5;
    let twin = alternate(0x13, G2, G1, 0, 0xe2);
    let quiet = alternate(0x1b, G2, G1, 0, 0x82);
    let kind_of = |word, flags, pstate| {
        let mut bench = second_context(word, flags);
        bench.strand.set_pstate(pstate);
        let exit = exit_of(&mut bench);
        let context = bench.strand.tag_context;
        let va = 0x4_2000;
        match exit {
            Exit::Budget => {
                assert_eq!(context, 9, "an access that is made leaves the register alone");
                0
            }
            Exit::Protection { va: address, context: 5 } if address == va => {
                assert_eq!((context, bench.strand.sfar), (5, va));
                fault::PROTECTION
            }
            Exit::Fault { tt, instruction: false, kind, address, context: 5 } => {
                assert_eq!((tt, address, context), (tt::DATA_ACCESS_EXCEPTION, va, 5));
                assert_eq!(bench.strand.sfar, va);
                kind
            }
            other => panic!("{other:?}"),
        }
    };
    for (word, flags, pstate, kind) in [
        (load, CP, 4, 0),
        (load, 0, 4, 0),
        (store, W, 4, 0),
        (store, CP, 4, fault::PROTECTION),
        (load, P, 0, fault::PRIVILEGE),
        (cas, P, 0, fault::PRIVILEGE),
        (cas, W | CP, 4, 0),
        (cas, W, 4, fault::NONCACHEABLE_ATOMIC),
        (cas, NFO, 4, fault::NONCACHEABLE_ATOMIC),
        (cas, CP, 4, fault::PROTECTION),
        (twin, CP, 4, 0),
        (twin, 0, 4, fault::NONCACHEABLE_ATOMIC),
        (load, NFO | CP, 4, fault::NFO),
        (store, NFO | CP, 4, fault::NFO),
        (quiet, NFO | CP, 4, 0),
        (quiet, NFO | E | CP, 4, fault::SIDE_EFFECT),
        (quiet, CP, 0, 0),
        (quiet, P | CP, 0, fault::PRIVILEGE),
        (load, E, 4, 0),
        // Blocks do not ask for memory that is cached.
        (alternate(0x33, 0, G1, 0, 0xf0), 0, FPU_ON, 0),
        (alternate(0x37, 0, G1, 0, 0xf0), W, FPU_ON, 0),
        // As if by a user.
        (alternate(0x1b, G2, G1, 0, 0x10), P | CP, 4, fault::PRIVILEGE),
    ] {
        assert_eq!(kind_of(word, flags, pstate), kind, "{word:08x}, flags {flags:#x}");
    }
    // A miss: the first context again, and the register is loaded.
    let mut bench = second_context(load, CP);
    bench.strand.contexts[1] = 7;
    assert_eq!(exit_of(&mut bench), Exit::Miss { instruction: false, va: 0x4_2000, context: 5 });
    assert_eq!((bench.strand.tag_context, bench.strand.sfar), (5, 0));
}

#[test]
fn writing_a_context_register_0_writes_1_too() {
    for (va, after) in
        [(0x8, [7, 7, 3, 4]), (0x108, [1, 7, 3, 4]), (0x10, [1, 2, 7, 7]), (0x110, [1, 2, 3, 7])]
    {
        let mut bench = at(alternate(0x1e, G2, G1, 0, 0x21), va);
        bench.strand.contexts = [1, 2, 3, 4];
        bench.strand.regs.set(2, 0xffff_e007);
        assert_eq!(trap_of(&mut bench), 0);
        assert_eq!(bench.strand.contexts, after, "{va:#x}");
    }
}

#[test]
fn which_context_an_access_uses_follows_from_its_asi_and_tl() {
    // One address, a page for each context; %g2 says which was read.
    let mut bench = Bench::new(&[]);
    for context in 0..5u16 {
        let code = Entry::new(0, context, Tte(V | CP | X), Pa(0)).unwrap();
        bench.core.itlb.insert(code);
        let pa = Pa(0x2_0000 + 0x2000 * u64::from(context));
        bench.ram.store(pa, u64::from(context));
        let data = Entry::new(0x4_0000, context, Tte(V | CP | W), pa).unwrap();
        bench.core.dtlb.insert(data);
    }
    bench.strand.mmu_on = true;
    bench.strand.contexts = [1, 2, 3, 4];
    let fresh = bench.strand.clone();
    let mut read = |word: u32, tl: u8, contexts: [u16; 4]| {
        bench.write(ORG, &[word, HCALL]);
        bench.strand = fresh.clone();
        (bench.strand.tl, bench.strand.contexts) = (tl, contexts);
        bench.strand.regs.set(1, 0x4_0000);
        bench.finish().r(G2)
    };
    let load = ldx(G2, G1, 0);
    let all = [1, 2, 3, 4];
    let by = |asi| alternate(0x1b, G2, G1, 0, asi);
    for (word, tl, contexts, context) in [
        (load, 0, all, 1),
        (load, 1, all, 0),
        (by(0x80), 1, all, 1),
        (by(0x81), 0, all, 3),
        (by(0x04), 0, all, 0),
        (by(0x10), 1, all, 1),
        (by(0x11), 1, all, 3),
        (by(0x82), 1, all, 1),
        (by(0x83), 1, all, 3),
    ] {
        assert_eq!(read(word, tl, contexts), context, "{word:08x} at TL {tl}");
    }
}

#[test]
fn user_code_at_a_trap_level_has_no_implicit_asi() {
    for (word, expected) in [
        (ldx(G2, G1, 0), tt::PRIVILEGED_ACTION),
        (stx(G2, G1, 0), tt::PRIVILEGED_ACTION),
        (ldx(G2, G1, 4), tt::MEM_ADDRESS_NOT_ALIGNED),
        (alternate(0x1b, G2, G1, 0, 0x80), 0),
    ] {
        let mut bench = translated(&[word]);
        open(&mut bench);
        bench.core.dtlb.insert(Entry::new(0, 0, Tte(V | CP | W | 3), Pa(0)).unwrap());
        bench.strand.tl = 1;
        bench.strand.set_pstate(0);
        bench.strand.regs.set(1, 0x8000);
        assert_eq!(trap_of(&mut bench), expected, "{word:08x}");
    }
}

#[test]
fn bytes_come_by_elements_and_a_page_can_turn_them_around() {
    let bytes = 0x0001_0203_0405_0607u64;
    let next = 0x0809_0a0b_0c0d_0e0fu64;
    const IE: u64 = 1 << 12;
    // Instruction, flags of the page, what is in the registers 2 and 3.
    for (word, flags, expected) in [
        (alternate(0x1b, G2, G1, 0, 0x88), 0, [bytes.swap_bytes(), 0]),
        (alternate(0x1b, G2, G1, 0, 0x80), IE, [bytes.swap_bytes(), 0]),
        (alternate(0x1b, G2, G1, 0, 0x88), IE, [bytes, 0]),
        (ldx(G2, G1, 0), IE, [bytes.swap_bytes(), 0]),
        (alternate(0x10, G2, G1, 0, 0x88), 0, [0x0302_0100, 0]),
        (alternate(0x12, G2, G1, 0, 0x88), 0, [0x0100, 0]),
        (alternate(0x13, G2, G1, 0, 0x88), 0, [0x0302_0100, 0x0706_0504]),
        (alternate(0x13, G2, G1, 0, 0x80), 0, [0x0001_0203, 0x0405_0607]),
        (alternate(0x13, G2, G1, 0, 0xe2), 0, [bytes, next]),
        (alternate(0x13, G2, G1, 0, 0xea), 0, [bytes.swap_bytes(), next.swap_bytes()]),
    ] {
        let mut bench = second_context(word, CP | W | flags);
        bench.ram.store(Pa(0x6000), bytes);
        bench.ram.store(Pa(0x6008), next);
        assert_eq!(exit_of(&mut bench), Exit::Budget);
        assert_eq!([bench.r(G2), bench.r(G3)], expected, "{word:08x}, flags {flags:#x}");
    }
    // Stores, of %g2 and %g3 or %f0.
    let [first, second] = [0x1011_1213_1415_1617u64, 0x2021_2223_2425_2627];
    for (word, expected) in [
        (alternate(0x1e, G2, G1, 0, 0x88), [first.swap_bytes(), next]),
        (alternate(0x17, G2, G1, 0, 0x80), [0x1415_1617_2425_2627, next]),
        (alternate(0x17, G2, G1, 0, 0x88), [0x1716_1514_2726_2524, next]),
        (alternate(0x37, 0, G1, 0, 0xd0), [first << 56 | bytes & u64::MAX >> 8, next]),
        (alternate(0x37, 0, G1, 0, 0xd2), [first << 48 | bytes & u64::MAX >> 16, next]),
        (alternate(0x37, 0, G1, 0, 0xda), [0x1716_0203_0405_0607, next]),
        // Lanes 7 and 0 of eight bytes; 2 of four halves; 1 of two words; %g4 masks.
        (alternate(0x37, 0, G1, 4, 0xc0), [0x1001_0203_0405_0617, next]),
        (alternate(0x37, 0, G1, 4, 0xc8), [0x1701_0203_0405_0610, next]),
        (alternate(0x37, 0, G1, 5, 0xc2), [0x0001_1213_0405_0607, next]),
        (alternate(0x37, 0, G1, 6, 0xc4), [0x1011_1213_0405_0607, next]),
        (alternate(0x37, 0, G1, 0, 0xc0), [bytes, next]),
    ] {
        let mut bench = second_context(word, CP | W);
        bench.strand.set_pstate(FPU_ON);
        bench.ram.store(Pa(0x6000), bytes);
        bench.ram.store(Pa(0x6008), next);
        for (n, value) in [(2, first), (3, second), (4, 0x81), (5, 4), (6, 2)] {
            bench.strand.regs.set(n, value);
        }
        bench.strand.fp[0] = first;
        assert_eq!(exit_of(&mut bench), Exit::Budget);
        let got = [bench.ram.load::<u64>(Pa(0x6000)), bench.ram.load(Pa(0x6008))];
        assert_eq!(got, expected, "{word:08x}");
    }
}

#[test]
fn short_loads_fill_a_double_blocks_are_64_bytes_and_lines_begin_empty() {
    let mut bench = second_context(alternate(0x33, 2, G1, 0, 0xd2), CP | W);
    bench.strand.set_pstate(FPU_ON);
    bench.ram.store(Pa(0x6000), 0xabcd_u16);
    (bench.strand.fp[1], bench.strand.fprs) = (u64::MAX, 4);
    exit_of(&mut bench);
    assert_eq!((bench.strand.fp[1], bench.strand.fprs), (0xabcd, 5));
    // A block into %f48, little-endian; out again from %f0.
    let mut bench = second_context(alternate(0x33, 17, G1, 0, 0xf8), CP | W);
    bench.strand.set_pstate(FPU_ON);
    (0..8).for_each(|n| bench.ram.store(Pa(0x6000 + n * 8), n + 1));
    exit_of(&mut bench);
    let expected: Vec<u64> = (1..9u64).map(u64::swap_bytes).collect();
    assert_eq!((&bench.strand.fp[24..], bench.strand.fprs), (&expected[..], 6));
    let mut bench = second_context(alternate(0x37, 17, G1, 0, 0xe0), CP | W);
    bench.strand.set_pstate(FPU_ON);
    bench.strand.fp[24..].copy_from_slice(&expected);
    exit_of(&mut bench);
    assert_eq!(bench.ram.load::<u64>(Pa(0x6038)), 8u64.swap_bytes());
    // The first word of a line empties it, another does not.
    for (offset, rest) in [(0, 0), (8, u64::MAX)] {
        let mut bench = second_context(alternate(0x1e, G2, G1, 0, 0xe2), CP | W);
        (0..8).for_each(|n| bench.ram.store(Pa(0x6000 + n * 8), u64::MAX));
        bench.strand.regs.set(1, 0x4_2000 + offset);
        bench.strand.regs.set(2, 5);
        exit_of(&mut bench);
        assert_eq!(bench.ram.load::<u64>(Pa(0x6000 + offset)), 5);
        assert_eq!(bench.ram.load::<u64>(Pa(0x6038)), rest);
    }
}

#[test]
fn a_load_of_floating_point_says_so_in_fprs_and_one_that_traps_does_not() {
    for (word, address, fprs) in [
        (immediate(3, 0x20, 1, G1, 0), 0x8000, 5),
        (immediate(3, 0x23, 0, G1, 0), 0x8000, 5),
        (immediate(3, 0x23, 1, G1, 0), 0x8000, 6), // %f32
        (immediate(3, 0x23, 0, G1, 0), 0x8004, 4),
        (immediate(3, 0x21, 0, G1, 0), 0x8000, 4), // %fsr
        (immediate(3, 0x24, 1, G1, 0), 0x8000, 4),
    ] {
        let mut bench = at(word, address);
        exit_of(&mut bench);
        assert_eq!(bench.strand.fprs, fprs, "{word:08x} at {address:#x}");
    }
}

#[test]
fn fsr_is_loaded_in_part_and_a_store_takes_ftt_away() {
    for (rd, value, expected) in
        [(0, u64::MAX, 0xcfc0_8fff | 2 << 32), (1, u64::MAX, 0x3f_cfc0_8fff), (1, 0, 0x8000)]
    {
        let mut bench = at(immediate(3, 0x21, rd, G1, 0), 0x8000);
        bench.ram.store(Pa(0x8000), value);
        bench.strand.fsr = 2 << 32 | 2 << 14;
        assert_eq!(exit_of(&mut bench), Exit::Budget);
        assert_eq!(bench.strand.fsr, expected, "rd {rd}");
    }
    for (rd, stored) in [(0, 0x8fff_u64 << 32), (1, 2 << 32 | 0x8fff)] {
        let mut bench = at(immediate(3, 0x25, rd, G1, 0), 0x8000);
        bench.strand.fsr = 2 << 32 | 0x8fff;
        assert_eq!(exit_of(&mut bench), Exit::Budget);
        assert_eq!(bench.ram.load::<u64>(Pa(0x8000)), stored);
        assert_eq!(bench.strand.fsr, 2 << 32 | 0xfff);
    }
}

#[test]
fn an_fp_exception_that_traps_leaves_everything_but_cexc_and_ftt() {
    // fdivd %f2, %f4, %f0: 1 / 0.
    let mut bench = at(0x81a0_89c4, 0);
    bench.strand.fp[..3].copy_from_slice(&[7, 0x3ff0 << 48, 0]);
    bench.strand.fsr = 0x1f << 23 | 1 << 5 | 0x10;
    assert_eq!(trap_of(&mut bench), tt::FP_EXCEPTION_IEEE_754);
    assert_eq!(bench.strand.fsr, 0x1f << 23 | 1 << 14 | 1 << 5 | 2);
    assert_eq!((bench.strand.fp[0], bench.strand.fprs), (7, 4));
    // Not enabled: the result, and aexc.
    bench = at(0x81a0_89c4, 0);
    bench.strand.fp[1] = 0x3ff0 << 48;
    assert_eq!(trap_of(&mut bench), 0);
    assert_eq!((bench.strand.fp[0], bench.strand.fsr), (0x7ff0 << 48, 2 << 5 | 2));
}

#[test]
fn addresses_have_32_bits_under_am() {
    let high = 0xffff_ffff_0000_8000u64;
    let jmpl = immediate(2, 0x38, G2, G1, 0);
    let mut bench = at(ldx(G2, G1, 0), high);
    bench.strand.set_pstate(0xc);
    bench.ram.store(Pa(0x8000), 77u64);
    assert_eq!(exit_of(&mut bench), Exit::Budget);
    assert_eq!(bench.r(G2), 77);
    let mut bench = at(alternate(0x1b, G2, G1, 0, 0x20), 0x1_0000_0008);
    bench.strand.set_pstate(0xc);
    bench.strand.scratch[1] = 5;
    assert_eq!((exit_of(&mut bench), bench.r(G2)), (Exit::Budget, 5));
    let mut bench = at(jmpl, high);
    bench.strand.set_pstate(0xc);
    assert_eq!(exit_of(&mut bench), Exit::Budget);
    assert_eq!((bench.strand.npc, bench.r(G2)), (0x8000, ORG));
    // What is computed is not cut off.
    let mut bench = at(add(G2, G1, 1), high);
    bench.strand.set_pstate(0xc);
    exit_of(&mut bench);
    assert_eq!(bench.r(G2), high + 1);
}

#[test]
fn tcc_counts_to_128_for_users_and_calls_the_hypervisor_for_others() {
    for (word, g1, privileged, user) in [
        (0x91d0_2005u32, 0, 0x105, 0x105),
        (0x91d0_2080, 0, 0x180, 0x100),
        (0x91d0_6070, 0x1f, 0x18f, 0x10f), // ta %g1 + 0x70
        (0x91d0_4000, 0x1ff, 0x1ff, 0x17f),
        (0x81d0_2005, 0, 0, 0), // tn
    ] {
        for (pstate, expected) in [(4, privileged), (0, user)] {
            let mut bench = translated(&[word]);
            open(&mut bench);
            bench.strand.set_pstate(pstate);
            bench.strand.regs.set(1, g1);
            let exit = exit_of(&mut bench);
            let got = match exit {
                Exit::Hypercall { number } => 0x100 + u16::from(number),
                Exit::Budget if bench.strand.tl == 1 => bench.strand.traps[0].tt,
                _ => 0,
            };
            assert_eq!(got, expected, "{word:08x}, PSTATE {pstate}");
        }
    }
}

#[test]
fn interrupts_are_taken_by_rank_and_mondos_as_long_as_their_queue_holds_something() {
    let ranked = [tt::CPU_MONDO, tt::DEV_MONDO, 0x4f, 0x4e, 0x41, tt::RESUMABLE_ERROR];
    let mut bench = Bench::new(&[NOP, NOP]);
    let strand = &mut bench.strand;
    strand.set_pstate(6);
    strand.queues = [[0, 64], [64, 0], [0, 0x3_ffc0], [0, 64]];
    strand.softint = 1 << 15 | 1 << 16 | 2;
    let fresh = strand.clone();
    for (n, tt) in ranked.into_iter().enumerate() {
        bench.strand = fresh.clone();
        let strand = &mut bench.strand;
        // What ranks before it is taken away.
        strand.queues[0] = if n > 0 { [0, 0] } else { [0, 64] };
        strand.queues[1] = if n > 1 { [0, 0] } else { [64, 0] };
        strand.softint = [1 << 15 | 1 << 16 | 2, 1 << 16 | 2, 2, 0][n.saturating_sub(2).min(3)];
        exit_of(&mut bench);
        assert_eq!((bench.strand.traps[0].tt, bench.strand.traps[0].tpc), (tt, ORG));
    }
    // The queue of errors that nothing resumes after interrupts nobody.
    bench.strand = fresh;
    bench.strand.softint = 0;
    (0..3).for_each(|queue| bench.strand.queues[queue] = [0, 0]);
    exit_of(&mut bench);
    assert_eq!((bench.strand.tl, bench.strand.pc), (0, ORG + 8));
    // One that is not served comes again after RETRY.
    bench.strand.queues[0] = [0, 64];
    bench.handler(tt::CPU_MONDO, &[RETRY]);
    bench.run(bench.strand.tick + 10);
    assert_eq!(bench.counts.traps[usize::from(tt::CPU_MONDO)], 1 + 10);
}

#[test]
fn softint_bits_0_14_and_16_are_all_level_14() {
    for bit in [0, 14, 16] {
        for (pil, taken) in [(13, true), (14, false)] {
            let mut bench = Bench::new(&[NOP]);
            bench.strand.set_pstate(6);
            (bench.strand.softint, bench.strand.pil) = (1 << bit, pil);
            exit_of(&mut bench);
            assert_eq!(bench.strand.tl == 1, taken, "bit {bit}, PIL {pil}");
            assert_eq!(bench.strand.softint, 1 << bit, "it stays until it is cleared");
        }
    }
}

#[test]
fn stick_is_tick_with_its_low_bits_set() {
    let mut bench = Bench::new(&[rdasr(4, G1), rdasr(24, G2), rdpr(4, G3), HCALL]);
    bench.strand.tick = 0x12_3400;
    bench.clock.offset = 0x100;
    bench.run(0x12_3410);
    assert_eq!([bench.r(G1), bench.r(G2), bench.r(G3)], [0x12_3501, 0x12_357f, 0x12_3503]);
}

#[test]
fn a_compare_register_wants_equality_and_int_dis_stops_it() {
    // Value and tick at which it is written, and whether it matches before 0x2000.
    for (value, now, matches) in [
        (0x1000u64, 0x800, true),
        (0x107f, 0x800, true),
        (0x1000, 0x107e, true),
        (0x1000, 0x1080, false),
        (0x0fff, 0x1000, false),
        (0x2000, 0x1000, false),
        (1 << 63 | 0x1000, 0x800, false),
    ] {
        for (which, bit) in [(23, 1), (25, 1 << 16)] {
            let mut bench = Bench::new(&[wrasr_g1(which), branch(8, false, 0), NOP]);
            bench.strand.regs.set(1, value);
            bench.strand.tick = now - 1;
            bench.run(0x1fff);
            let expected = if matches { bit } else { 0 };
            assert_eq!(bench.strand.softint, expected, "{value:#x} at {now:#x}, ASR {which}");
        }
    }
}

#[test]
fn what_is_hyperprivileged_leaves_the_engine_only_where_the_strand_says_so() {
    let rdhpr = |which, rd| register(2, 0x29, rd, which, 0);
    let wrhpr = |which| register(2, 0x33, which, G1, 0);
    let out = |word| Exit::Hyperprivileged { word };
    let mut words = vec![HCALL, 0x91d0_20ff];
    words.extend([0, 1, 3, 5, 6, 30, 31].map(|which| rdhpr(which, G2)));
    words.extend([0, 1, 3, 5, 30, 31].map(wrhpr));
    words.extend([0x30, 0x38, 0x4f, 0x50, 0x73, 0x7f].map(|asi| alternate(0x1b, G2, G1, 0, asi)));
    words.extend([0x30, 0x57, 0x7f].map(|asi| alternate(0x1e, G2, G1, 0, asi)));
    words.push(alternate(0x33, 0, G1, 0, 0x36));
    words.push(register(3, 0x3e, G2, G1, 0) | 0x31 << 5);
    for word in words {
        let mut bench = at(word, 0x8000);
        let off = bench.strand.save();
        let exit = exit_of(&mut bench);
        assert!(!matches!(exit, Exit::Hyperprivileged { .. } | Exit::Budget), "{word:08x}");
        let mut bench = at(word, 0x8000);
        bench.strand.hyper = true;
        assert_eq!(exit_of(&mut bench), out(word), "{word:08x}");
        assert_eq!(bench.strand.save(), off, "nothing happened yet");
        // In a delay slot, and for a user.
        bench.write(ORG, &[branch(8, false, 4), word]);
        assert_eq!(bench.run(bench.strand.tick + 3), out(word), "{word:08x} in a slot");
        assert_eq!((bench.strand.pc, bench.strand.npc), (ORG + 4, ORG + 16));
        let mut bench = translated(&[word]);
        open(&mut bench);
        bench.strand.set_pstate(0x10);
        (bench.strand.fprs, bench.strand.hyper) = (4, true);
        let exit = exit_of(&mut bench);
        assert!(!matches!(exit, Exit::Hyperprivileged { .. }), "{word:08x} by a user");
    }
    // What T2 does not have stays illegal, and what is misaligned stays so.
    for word in [rdhpr(2, G2), rdhpr(29, G2), wrhpr(6), rdhpr(0, G2) | 1, 0, wrhpr(0) | 0x20] {
        let mut bench = at(word, 0x8000);
        bench.strand.hyper = true;
        assert_eq!(exit_of(&mut bench), ILLEGAL, "{word:08x}");
    }
    let mut bench = at(alternate(0x1b, G2, G1, 0, 0x4f), 0x8001);
    bench.strand.hyper = true;
    assert_eq!(trap_of(&mut bench), tt::MEM_ADDRESS_NOT_ALIGNED);
    // The switch is the strand's, whatever is loaded into it.
    let record = bench.strand.save();
    bench.strand.load(&record, 0).unwrap();
    assert!(bench.strand.hyper);
    bench.strand.begin(ORG, 0, 0, 0);
    assert!(bench.strand.hyper && !Strand::default().hyper);
}
