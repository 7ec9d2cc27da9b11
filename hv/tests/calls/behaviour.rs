//! Hypercalls on a board without a simulator: what succeeds, what is refused and in
//! which order.

use hv::console::Console;
use hv::testing::{BASE, BYTES, Lab};
use hv::{Outcome, Trap};
use proptest::prelude::{any, proptest};
use sun4v::hcall::{HvError, ROWS, nr};
use sun4v::id::{GuestId, VcpuId};

const END: u64 = BASE + BYTES;

/// Makes a call and expects this status.
fn refused(nr: u64, args: &[u64], status: HvError) {
    let mut lab = Lab::new();
    let mut regs = [0; 5];
    regs[..args.len()].copy_from_slice(args);
    assert_eq!(lab.call(nr, regs).status, status.code(), "{nr:#x} {args:x?}");
}

#[test]
fn every_row_is_served_once_it_is_open_and_not_before() {
    for row in ROWS {
        if matches!(row.nr, nr::mach_exit | nr::mach_sir) {
            continue; // never come back
        }
        let mut lab = Lab::new();
        let major = row.majors.last().copied().unwrap_or(1);
        lab.core(0, [row.group as u64, major.into(), row.minor.into(), 0, 0]);
        assert_ne!(lab.call(row.nr, [0; 5]).status, HvError::BadTrap.code(), "{}", row.name);
        lab.core(0, [row.group as u64, 0, 0, 0, 0]);
        assert_eq!(lab.call(row.nr, [0; 5]).status, HvError::BadTrap.code(), "{}", row.name);
    }
}

#[test]
fn an_unknown_call_is_ebadtrap() {
    refused(0x13, &[], HvError::BadTrap);
    refused(0x202, &[], HvError::BadTrap);
    refused(u64::MAX, &[], HvError::BadTrap);
}

#[test]
fn cpu_start_checks_ranges_before_alignment_and_state_last() {
    refused(nr::cpu_start, &[64, 1, 1, 0], HvError::NoCpu);
    refused(nr::cpu_start, &[9, END + 1, 1, 0], HvError::NoRaddr);
    refused(nr::cpu_start, &[9, BASE + 2, END, 0], HvError::NoRaddr);
    refused(nr::cpu_start, &[9, BASE + 2, BASE, 0], HvError::BadAlign);
    refused(nr::cpu_start, &[9, BASE, BASE + 8, 0], HvError::BadAlign);
    refused(nr::cpu_start, &[9, BASE, BASE, 0], HvError::NoCpu);
    refused(nr::cpu_start, &[0, BASE, BASE, 0], HvError::Inval);
    let mut lab = Lab::new();
    assert_eq!(lab.call(nr::cpu_start, [1, BASE + 0x40, BASE, 77, 0]).status, 0);
    let state = lab.board.seats[&GuestId(0)].seen[&VcpuId(1)].started.unwrap();
    assert_eq!((state.pc, state.argument), (BASE + 0x40, 77));
    assert_eq!((state.memory_base, state.memory_bytes), (BASE, BYTES));
}

#[test]
fn cpu_qconf_checks_alignment_before_range_and_the_number_last() {
    refused(nr::cpu_qconf, &[0x99, END + 8, 1], HvError::Inval);
    refused(nr::cpu_qconf, &[0x99, END + 64, 4], HvError::BadAlign);
    refused(nr::cpu_qconf, &[0x99, END, 4], HvError::NoRaddr);
    refused(nr::cpu_qconf, &[0x99, BASE, 4], HvError::Inval);
    refused(nr::cpu_qconf, &[0x3c, BASE, 8192], HvError::Inval);
}

#[test]
fn a_mondo_list_marks_what_was_delivered() {
    let mut lab = Lab::new();
    lab.caller.1 = VcpuId(1);
    assert_eq!(lab.call(nr::cpu_qconf, [0x3c, BASE + 0x1000, 2, 0, 0]).status, 0);
    lab.caller.1 = VcpuId(0);
    lab.poke(BASE + 0x2000, &[0xff, 0xff, 0, 1, 0, 9]);
    lab.poke(BASE + 0x2040, &[7; 64]);
    let send = [3, BASE + 0x2000, BASE + 0x2040, 0, 0];
    assert_eq!(lab.call(nr::cpu_mondo_send, send).status, HvError::NoCpu.code());
    assert_eq!(lab.peek::<6>(BASE + 0x2000), [0xff, 0xff, 0xff, 0xff, 0, 9]);
    assert_eq!(lab.peek::<64>(BASE + 0x1000), [7; 64]);
    // One in the queue, one in the mailbox, and the third has to wait.
    for status in [0, HvError::WouldBlock.code()] {
        lab.poke(BASE + 0x2000, &[0, 1]);
        assert_eq!(lab.call(nr::cpu_mondo_send, [1, send[1], send[2], 0, 0]).status, status);
    }
    refused(nr::cpu_mondo_send, &[0, BASE, BASE], HvError::NoRaddr);
    refused(nr::cpu_mondo_send, &[1, BASE + 1, END], HvError::BadAlign);
}

#[test]
fn a_machine_description_that_does_not_fit_says_how_large_it_is() {
    let mut lab = Lab::new();
    let answer = lab.call(nr::mach_desc, [0; 5]);
    assert_eq!((answer.status, answer.rets[0]), (HvError::Inval.code(), 32));
    assert_eq!(lab.call(nr::mach_desc, [BASE, 32, 0, 0, 0]).rets[0], 32);
    assert_eq!(lab.peek::<4>(BASE), [0, 1, 0, 0]);
    refused(nr::mach_desc, &[END + 8, 64], HvError::BadAlign);
    refused(nr::mach_desc, &[END, 64], HvError::NoRaddr);
}

#[test]
fn tsbs_are_dropped_even_when_the_new_ones_are_refused() {
    let mut lab = Lab::new();
    let mut tsb = [0u8; 32];
    tsb[3] = 1;
    tsb[6] = 2; // 512 entries
    tsb[15] = 1;
    tsb[16..24].copy_from_slice(&(BASE + 0x4000).to_be_bytes());
    lab.poke(BASE, &tsb);
    assert_eq!(lab.call(nr::mmu_tsb_ctx0, [1, BASE, 0, 0, 0]).status, 0);
    assert_eq!(lab.call(nr::mmu_tsb_ctx0_info, [4, BASE + 0x100, 0, 0, 0]).rets[0], 1);
    assert_eq!(lab.peek::<32>(BASE + 0x100), tsb);
    // Of context register 1, and it is said so.
    tsb[11] = 1;
    lab.poke(BASE, &tsb);
    assert_eq!(lab.call(nr::mmu_tsb_ctx0, [1, BASE, 0, 0, 0]).status, 0);
    assert_eq!(lab.call(nr::mmu_tsb_ctx0_info, [4, BASE + 0x100, 0, 0, 0]).rets[0], 1);
    assert_eq!(lab.peek::<32>(BASE + 0x100), tsb);
    tsb[11] = 0;
    assert_eq!(lab.call(nr::mmu_tsb_ctx0, [5, BASE, 0, 0, 0]).status, HvError::Inval.code());
    assert_eq!(lab.call(nr::mmu_tsb_ctx0_info, [4, BASE, 0, 0, 0]).rets[0], 0);
    tsb[15] = 2;
    lab.poke(BASE, &tsb);
    assert_eq!(lab.call(nr::mmu_tsb_ctx0, [1, BASE, 0, 0, 0]).status, HvError::Inval.code());
    tsb[1] = 2;
    lab.poke(BASE, &tsb);
    assert_eq!(lab.call(nr::mmu_tsb_ctx0, [1, BASE, 0, 0, 0]).status, HvError::BadPgsz.code());
}

#[test]
fn a_miss_is_fast_without_tsbs_and_slow_with_them() {
    let mut lab = Lab::new();
    let miss = Trap::Miss { instruction: false, va: 0x1_2345_6789, context: 5 };
    assert_eq!(lab.trap(miss), Outcome::Resumed);
    assert_eq!(lab.board.seats[&GuestId(0)].seen[&VcpuId(0)].watchdog, Some(BASE + 0x40));
    assert_eq!(lab.call(nr::mmu_fault_area_conf, [BASE + 0x80, 0, 0, 0, 0]).rets[0], 0);
    lab.trap(miss);
    assert_eq!(lab.board.seats[&GuestId(0)].seen[&VcpuId(0)].reflected, [0x68]);
    assert_eq!(lab.peek::<8>(BASE + 0x80 + 0x48), 0x1_2345_6000u64.to_be_bytes());
    assert_eq!(lab.peek::<8>(BASE + 0x80 + 0x50), 5u64.to_be_bytes());
    assert_eq!(lab.peek::<8>(BASE + 0x80 + 0x40), [0; 8]);
    let protection = Trap::Protection { va: 0x1_2345_6789, context: 6 };
    lab.trap(protection);
    assert_eq!(lab.peek::<8>(BASE + 0x80 + 0x50), 6u64.to_be_bytes());
    assert_eq!(lab.peek::<8>(BASE + 0x80 + 0x40), [0; 8], "no type for this one either");
    let mut tsb = [0u8; 32];
    (tsb[3], tsb[6], tsb[15]) = (1, 2, 1);
    tsb[16..24].copy_from_slice(&(BASE + 0x4000).to_be_bytes());
    lab.poke(BASE, &tsb);
    assert_eq!(lab.call(nr::mmu_tsb_ctxnon0, [1, BASE, 0, 0, 0]).status, 0);
    lab.trap(miss);
    lab.trap(Trap::Miss { instruction: true, va: 0x2_0000_4321, context: 5 });
    // Not for the other class of contexts.
    lab.trap(Trap::Miss { instruction: true, va: 0x2_0000_4321, context: 0 });
    let reflected = &lab.board.seats[&GuestId(0)].seen[&VcpuId(0)].reflected;
    assert_eq!(reflected[..], [0x68, 0x6c, 0x31, 0x09, 0x64]);
    for (at, word) in [(0x40, 3), (0x48, 0x1_2345_6000), (0x50, 5), (0, 3), (8, 0x2_0000_4000)] {
        assert_eq!(lab.peek::<8>(BASE + 0x80 + at), u64::to_be_bytes(word), "at {at:#x}");
    }
}

#[test]
fn a_permanent_mapping_is_loaded_again_without_the_guest() {
    let mut lab = Lab::new();
    let tte = 1 << 63 | BASE | 0x4c0 | 3; // valid, writable, executable, 4 MiB
    let map = [0x40_0000, 0, tte, 3, 0];
    assert_eq!(lab.call(nr::mmu_map_perm_addr, map).status, 0);
    assert_eq!(lab.call(nr::mmu_map_perm_addr, map).status, HvError::Inval.code());
    let miss = Trap::Miss { instruction: true, va: 0x40_0010, context: 0 };
    assert_eq!(lab.trap(miss), Outcome::Resumed);
    let loaded = &lab.board.seats[&GuestId(0)].seen[&VcpuId(0)].loaded;
    assert_eq!(loaded.last(), Some(&(0x40_0000, 0, tte, 0x1000_0000)));
    assert_eq!(lab.call(nr::mmu_unmap_perm_addr, [0x40_0000, 0, 3, 0, 0]).status, 0);
    let again = lab.call(nr::mmu_unmap_perm_addr, [0x40_0000, 0, 3, 0, 0]).status;
    assert_eq!(again, HvError::NoMap.code());
}

/// Sets up channel 0 of the caller: queues of eight packets, interrupt to vCPU 0.
fn open(lab: &mut Lab) {
    for (nr, args) in [
        (nr::cpu_qconf, [0x3d, BASE + 0x1000, 8, 0, 0]),
        (nr::ldc_tx_qconf, [0, BASE + 0x2000, 8, 0, 0]),
        (nr::ldc_rx_qconf, [0, BASE + 0x3000, 8, 0, 0]),
        (nr::vintr_setcookie, [0x200, 1, 0xc00c1e, 0, 0]),
        (nr::vintr_settarget, [0x200, 1, 0, 0, 0]),
        (nr::vintr_setvalid, [0x200, 1, 1, 0, 0]),
    ] {
        assert_eq!(lab.call(nr, args).status, 0, "{nr:#x}");
    }
}

#[test]
fn packets_cross_at_the_boundary_and_ring_once() {
    let mut lab = Lab::new();
    open(&mut lab);
    lab.hv.boundary(&mut lab.board);
    assert_eq!(lab.call(nr::ldc_tx_get_state, [0; 5]).rets[2], 0, "nobody receives: DOWN");
    lab.caller.0 = GuestId(1);
    open(&mut lab);
    lab.hv.boundary(&mut lab.board);
    lab.caller.0 = GuestId(0);
    assert_eq!(lab.call(nr::ldc_tx_get_state, [0; 5]).rets[2], 1, "UP");
    // The link came up: one mondo.
    assert!(lab.hv.next_mondo(GuestId(0), &mut lab.board).is_some());
    lab.poke(BASE + 0x2000, &[0x5a; 128]);
    assert_eq!(lab.call(nr::ldc_tx_set_qtail, [0, 128, 0, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
    assert_eq!(lab.call(nr::ldc_tx_get_state, [0; 5]).rets[..2], [128, 128]);
    lab.caller.0 = GuestId(1);
    assert_eq!(lab.call(nr::ldc_rx_get_state, [0; 5]).rets[..3], [0, 128, 1]);
    assert_eq!(lab.peek::<128>(BASE + 0x3000), [0x5a; 128]);
    let mondo = lab.hv.next_mondo(GuestId(1), &mut lab.board);
    assert_eq!(mondo.map(|words| words[0]), Some(0xc00c1e));
    assert_eq!(lab.hv.next_mondo(GuestId(1), &mut lab.board), None);
    // Idle with packets waiting: it rings again.
    assert_eq!(lab.call(nr::vintr_setstate, [0x200, 1, 0, 0, 0]).status, 0);
    assert!(lab.hv.next_mondo(GuestId(1), &mut lab.board).is_some());
}

#[test]
fn a_queue_configured_again_reads_reset_once() {
    let mut lab = Lab::new();
    for id in [0, 1] {
        lab.caller.0 = GuestId(id);
        open(&mut lab);
    }
    lab.hv.boundary(&mut lab.board);
    lab.caller.0 = GuestId(0);
    let state = |lab: &mut Lab| lab.call(nr::ldc_rx_get_state, [0; 5]).rets[2];
    assert_eq!(state(&mut lab), 1);
    lab.caller.0 = GuestId(1);
    lab.call(nr::ldc_rx_qconf, [0, BASE + 0x3000, 8, 0, 0]);
    lab.hv.boundary(&mut lab.board);
    lab.caller.0 = GuestId(0);
    assert_eq!((state(&mut lab), state(&mut lab)), (2, 1));
}

#[test]
fn a_copy_goes_through_the_exporters_table_page_by_page() {
    let mut lab = Lab::new();
    let copy = |lab: &mut Lab, args| lab.call(nr::ldc_copy, args);
    let whole = [0, 0, 0x10, BASE + 0x8000, 0x2000];
    assert_eq!(copy(&mut lab, whole).status, HvError::NoMap.code());
    lab.caller.0 = GuestId(1);
    assert_eq!(lab.call(nr::ldc_set_map_table, [0, BASE, 2, 0, 0]).status, 0);
    lab.poke(BASE, &((BASE + 0x6000) | 1 << 9).to_be_bytes());
    lab.poke(BASE + 0x6010, b"hello, neighbour");
    lab.caller.0 = GuestId(0);
    let answer = copy(&mut lab, whole);
    assert_eq!((answer.status, answer.rets[0]), (0, 0x2000 - 0x10));
    assert_eq!(&lab.peek::<16>(BASE + 0x8000), b"hello, neighbour");
    for (args, status) in [
        ([9, 2, 1, BASE, 8], HvError::BadAlign),
        ([9, 2, 0, BASE, 8], HvError::Inval),
        ([9, 0, 0, END, 8], HvError::Channel),
        ([0, 0, 0, END, 8], HvError::NoRaddr),
        ([0, 1, 0, BASE, 8], HvError::NoAccess),
        ([0, 0, 1 << 60, BASE, 8], HvError::BadPgsz),
        ([0, 0, 2 << 13, BASE, 8], HvError::NoMap),
    ] {
        assert_eq!(copy(&mut lab, args).status, status.code(), "{args:x?}");
    }
}

#[test]
fn a_copy_of_a_cpu_that_is_stopped_is_given_up() {
    let mut lab = Lab::new();
    lab.caller.0 = GuestId(1);
    assert_eq!(lab.call(nr::ldc_set_map_table, [0, BASE, 2, 0, 0]).status, 0);
    lab.poke(BASE, &((BASE + 0x6000) | 1 << 9).to_be_bytes());
    lab.poke(BASE + 0x6000, b"hello, neighbour");
    lab.caller = (GuestId(0), VcpuId(0));
    let start = [1, BASE, BASE, 0, 0];
    let copy = |ra| Trap::Hypercall { number: 0x80, args: [0, 0, 0, ra, 8, nr::ldc_copy] };
    assert_eq!(lab.call(nr::cpu_start, start).status, 0);
    lab.caller.1 = VcpuId(1);
    assert_eq!(lab.trap(copy(BASE + 0x8000)), Outcome::Blocked);
    lab.caller.1 = VcpuId(0);
    assert_eq!(lab.call(nr::cpu_stop, [1, 0, 0, 0, 0]).status, 0);
    assert_eq!(lab.call(nr::cpu_start, start).status, 0);
    lab.caller.1 = VcpuId(1);
    assert_eq!(lab.trap(copy(BASE + 0x9000)), Outcome::Blocked);
    lab.hv.boundary(&mut lab.board);
    let answers = &lab.board.seats[&GuestId(0)].seen[&VcpuId(1)].answers;
    assert_eq!(answers[..], [(0, vec![8, 0, 0, 0])], "one call, one answer");
    assert_eq!(lab.peek::<8>(BASE + 0x8000), [0; 8]);
    assert_eq!(&lab.peek::<8>(BASE + 0x9000), b"hello, n");
}

#[test]
fn what_a_guest_writes_to_its_console_arrives() {
    let mut lab = Lab::new();
    lab.poke(BASE + 0x100, b"rover: up\n");
    assert_eq!(lab.call(nr::cons_write, [BASE + 0x100, 10, 0, 0, 0]).rets[0], 10);
    lab.call(nr::cons_putchar, [u64::from(b'!'), 0, 0, 0, 0]);
    lab.hv.boundary(&mut lab.board);
    assert_eq!(lab.board.console, "rover: up\n!");
    assert_eq!(lab.call(nr::cons_getchar, [0; 5]).status, HvError::WouldBlock.code());
    lab.hv.sp_input(GuestId(0), b"x", &mut lab.board);
    assert_eq!(lab.call(nr::cons_getchar, [0; 5]).rets[0], u64::from(b'x'));
}

#[test]
fn what_a_guest_does_not_read_waits_at_the_concentrator() {
    let mut lab = Lab::new();
    let (concentrator, guest) = (lab.caller, (GuestId(1), VcpuId(0)));
    let (tx, rx, entries) = (BASE + 0x2000, BASE + 0x4000, 32);
    assert_eq!(lab.call(nr::ldc_tx_qconf, [3, tx, entries, 0, 0]).status, 0);
    assert_eq!(lab.call(nr::ldc_rx_qconf, [3, rx, entries, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
    // Twenty packets of characters with a break behind them: more than 512 wait.
    let typed: Vec<u8> = (0..20 * 56).map(|n| (n % 251) as u8).collect();
    for (n, chars) in (0..).zip(typed.chunks(56)) {
        lab.poke(tx + n * 64, &Console::emit(chars));
    }
    let mut signal = [0; 64];
    signal[0] = 1;
    signal[4..8].fill(0xff);
    lab.poke(tx + 20 * 64, &signal);
    assert_eq!(lab.call(nr::ldc_tx_set_qtail, [3, 21 * 64, 0, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
    let taken = |lab: &mut Lab| {
        lab.caller = concentrator;
        let head = lab.call(nr::ldc_tx_get_state, [3, 0, 0, 0, 0]).rets[0];
        lab.caller = guest;
        head / 64
    };
    // Nine packets are 504 characters.
    assert_eq!(taken(&mut lab), 9);
    let mut read = Vec::new();
    loop {
        let answer = lab.call(nr::cons_getchar, [0; 5]);
        match answer.status {
            0 if answer.rets[0] == u64::MAX => break,
            0 => read.push(answer.rets[0] as u8),
            _ => {
                // Whoever waits for its interrupt reads on at the next boundary.
                let before = taken(&mut lab);
                lab.hv.boundary(&mut lab.board);
                assert!(taken(&mut lab) > before, "nothing comes after {}", read.len());
            }
        }
    }
    assert_eq!((read, taken(&mut lab)), (typed, 21));
}

#[test]
fn a_concentrator_sees_its_consoles_up_and_reaches_their_guests() {
    let mut lab = Lab::new();
    assert_eq!(lab.call(nr::ldc_tx_qconf, [3, BASE + 0x2000, 8, 0, 0]).status, 0);
    assert_eq!(lab.call(nr::ldc_rx_qconf, [3, BASE + 0x4000, 8, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
    assert_eq!(lab.call(nr::ldc_tx_get_state, [3, 0, 0, 0, 0]).rets[2], 1, "UP");
    lab.poke(BASE + 0x2000, &Console::emit(b"k"));
    assert_eq!(lab.call(nr::ldc_tx_set_qtail, [3, 64, 0, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
    lab.caller = (GuestId(1), VcpuId(0));
    assert_eq!(lab.call(nr::cons_getchar, [0; 5]).rets[0], u64::from(b'k'));
    assert_eq!(lab.call(nr::cons_putchar, [u64::from(b'!'), 0, 0, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
    lab.caller = (GuestId(0), VcpuId(0));
    let state = lab.call(nr::ldc_rx_get_state, [3, 0, 0, 0, 0]);
    assert_eq!(state.rets[..3], [0, 64, 1]);
    assert_eq!(lab.peek(BASE + 0x4000), Console::emit(b"!"));
}

#[test]
fn an_exit_stops_every_virtual_cpu_and_says_the_code() {
    let mut lab = Lab::new();
    lab.call(nr::mach_exit, [3, 0, 0, 0, 0]);
    assert_eq!(lab.board.exited, [(GuestId(0), 3)]);
    assert_eq!(lab.board.seats[&GuestId(0)].seen[&VcpuId(0)].started, None);
}

#[test]
fn the_trace_is_stable_text() {
    let mut lab = Lab::new();
    lab.call(nr::cpu_qconf, [0x3c, BASE, 128, 0, 0]);
    lab.call(nr::cpu_qinfo, [0x3c, 0, 0, 0, 0]);
    lab.call(nr::cpu_start, [7, BASE, BASE, 0, 0]);
    lab.call(0x999, [0; 5]);
    lab.hv.boundary(&mut lab.board);
    insta::assert_snapshot!(lab.board.trace);
}

proptest! {
    #[test]
    fn random_calls_never_panic_and_never_touch_the_neighbour(
        calls in proptest::collection::vec((0usize..ROWS.len(), any::<[u64; 5]>(), any::<u8>()), 1..40)
    ) {
        let mut lab = Lab::new();
        lab.caller.0 = GuestId(1);
        lab.poke(BASE, &[0xa5; 4096]);
        let before = lab.hv.guest(GuestId(1)).map(|guest| format!("{:?}", guest.vcpus));
        lab.caller.0 = GuestId(0);
        for (index, mut args, plausible) in calls {
            // Half of the arguments are made plausible, or most calls end at once.
            for (bit, arg) in args.iter_mut().enumerate() {
                if plausible >> bit & 1 != 0 {
                    *arg = match *arg % 4 {
                        0 => *arg >> 8 & 0x7f,
                        1 => BASE + (*arg >> 8 & (BYTES - 1)),
                        2 => BASE + (*arg >> 8 & (BYTES - 1) & !0x1fff),
                        _ => 1 << (*arg >> 8 & 15),
                    };
                }
            }
            lab.call(ROWS[index].nr, args);
            lab.hv.boundary(&mut lab.board);
        }
        lab.caller.0 = GuestId(1);
        assert_eq!(lab.peek::<4096>(BASE), [0xa5; 4096]);
        let after = lab.hv.guest(GuestId(1)).map(|guest| format!("{:?}", guest.vcpus));
        assert_eq!(before, after);
    }
}
