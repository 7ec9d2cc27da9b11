//! A guest moves from one chassis to another by the calls that a manager makes.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

mod chassis;

use chassis::{BASE, BUFFER, Chassis, LIST, PRIMARY, ROVER, with_devices, with_rover};
use hv::GuestState;
use hv::platform::{Machine as _, MauEnd, Memory as _, Mode};
use hv::{EndpointV1, GuestV1, Hypervisor, HypervisorV1, PermanentV1};
use sha2::{Digest as _, Sha256};
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::{HvError, nr};
use sun4v::hvctl::migrate::{Buffer, LEAD_US, Pages, Request};
use sun4v::hvctl::{self, Detail, Status};
use sun4v::hvmd::{CryptoConf, CryptoKind, HvConfig};
use sun4v::id::{CoreId, VcpuId};
use sun4v::record::alter::{altered, hollow};
use sun4v::record::{LoadError, StrandV1, TsbV1, decode, encode};
use sun4v::time::{SimTime, T2_HZ};

const HERE: u64 = 0x2000_0000;
const THERE: u64 = 0x3000_0000;
/// Pages of the guest: 16 and 8.
const PAGES: u32 = 24;
const STATE: u64 = BUFFER + 0x10_0000;
const STATE_BYTES: u64 = 0x1_0000;
const ROOM: Buffer = Buffer { guest: 1, buffer: Ra(STATE), bytes: STATE_BYTES };

fn pages(count: u32) -> Pages {
    Pages { guest: 1, list: Ra(LIST), count, buffer: Ra(BUFFER) }
}

/// Opens the groups that a guest needs.
fn negotiate(chassis: &mut Chassis) {
    for (group, major) in [(1, 1), (2, 1), (3, 1), (0x101, 1), (0x103, 2)] {
        chassis.lab.caller = (ROVER, VcpuId(0));
        assert_eq!(chassis.lab.core(0, [group, major, 9, 0, 0]).status, 0);
    }
}

/// The control domain opens its end of the guest's channel.
fn serve(chassis: &mut Chassis) {
    chassis.call(nr::ldc_tx_qconf, [1, BASE + 0x4000, 8, 0, 0]).unwrap();
    chassis.call(nr::ldc_rx_qconf, [1, BASE + 0x5000, 8, 0, 0]).unwrap();
    chassis.call(nr::ldc_rx_qconf, [2, BASE + 0x6000, 8, 0, 0]).unwrap();
    for (nr, value) in
        [(nr::vintr_setcookie, 0xd00d), (nr::vintr_settarget, 0), (nr::vintr_setvalid, 1)]
    {
        chassis.call(nr, [0x200, 3, value, 0, 0]).unwrap();
    }
    chassis.boundary();
}

/// A guest that uses everything there is.
fn busy(pa: u64) -> Chassis {
    busy_of(&with_rover(pa))
}

/// The same of this configuration.
fn busy_of(config: &HvConfig) -> Chassis {
    let mut chassis = Chassis::open(config);
    chassis.start_rover();
    negotiate(&mut chassis);
    serve(&mut chassis);
    let at = |offset: u64| BASE + offset;
    chassis.lab.caller = (ROVER, VcpuId(0));
    chassis.lab.poke(at(0x2000), &tsb());
    chassis.lab.poke(at(0x2100), b"rover: running\0");
    let tte = 1 << 63 | at(0x1_0000) | 0x4c0 | 1;
    for (nr, args) in [
        (nr::cpu_qconf, [0x3c, at(0x1000), 2, 0, 0]),
        (nr::cpu_qconf, [0x3d, at(0x1100), 4, 0, 0]),
        (nr::mmu_fault_area_conf, [at(0x1300), 0, 0, 0, 0]),
        (nr::mmu_tsb_ctxnon0, [1, at(0x2000), 0, 0, 0]),
        (nr::mmu_map_perm_addr, [0x40_0000, 0, tte, 3, 0]),
        (nr::cpu_start, [1, at(0x40), at(0x100), 5, 0]),
        (nr::ldc_tx_qconf, [0, at(0x3000), 8, 0, 0]),
        (nr::ldc_rx_qconf, [0, at(0x3200), 8, 0, 0]),
        (nr::ldc_set_map_table, [0, at(0x3400), 16, 0, 0]),
        (nr::vintr_setcookie, [0x200, 1, 0xc0de, 0, 0]),
        (nr::vintr_settarget, [0x200, 1, 0, 0, 0]),
        (nr::vintr_setvalid, [0x200, 1, 1, 0, 0]),
        (nr::soft_state_set, [1, at(0x2100), 0, 0, 0]),
        (nr::intr_settarget, [0x111, 0, 0, 0, 0]),
        (nr::intr_setenabled, [0x111, 1, 0, 0, 0]),
        (nr::tod_set, [1_400_000_000, 0, 0, 0, 0]),
        (nr::mach_set_watchdog, [5000, 0, 0, 0, 0]),
        (nr::dump_buf_update, [at(0xa000), 0x4000, 0, 0, 0]),
        (nr::ttrace_buf_conf, [at(0x1800), 4, 0, 0, 0]),
        (nr::ttrace_enable, [1, 0, 0, 0, 0]),
        (nr::ttrace_freeze, [1, 0, 0, 0, 0]),
    ] {
        chassis.rover(0, nr, args);
    }
    // A mondo that fills the other's queue, and one that stays in its mailbox.
    chassis.rover(1, nr::cpu_qconf, [0x3c, at(0x1400), 2, 0, 0]);
    chassis.lab.caller = (ROVER, VcpuId(0));
    chassis.lab.poke(at(0x1580), &[9; 64]);
    for _ in 0..2 {
        chassis.lab.caller = (ROVER, VcpuId(0));
        chassis.lab.poke(at(0x1500), &[0, 1]);
        chassis.rover(0, nr::cpu_mondo_send, [1, at(0x1500), at(0x1580), 0, 0]);
    }
    chassis.rover(0, nr::cons_putchar, [u64::from(b'>'), 0, 0, 0, 0]);
    chassis.boundary();
    chassis
}

/// The same with all devices that a guest can have, characters on their way both ways, and
/// queues on both crypto units. Nothing in its records is empty.
fn full(pa: u64) -> Chassis {
    let mut chassis = busy_of(&with_devices(pa));
    chassis.set_up_devices();
    for (kind, at) in [(1, BASE + 0x1_4000), (2, BASE + 0x1_5000)] {
        chassis.rover(0, nr::ncs_qconf, [kind, at, 8, 0, 0]);
    }
    chassis.rover(0, nr::vintr_settarget, [0x200, 0, 1, 0, 0]);
    chassis.rover(0, nr::intr_settarget, [0x93, 1, 0, 0, 0]);
    chassis.boundary();
    chassis.lab.hv.sp_input(ROVER, b"key", &mut chassis.lab.board);
    chassis.rover(0, nr::cons_putchar, [u64::from(b'>'), 0, 0, 0, 0]);
    chassis
}

/// A TSB descriptor of 512 entries at 64 KiB.
fn tsb() -> [u8; 32] {
    let mut tsb = [0; 32];
    (tsb[3], tsb[6], tsb[15]) = (1, 2, 1);
    tsb[16..24].copy_from_slice(&(BASE + 0x1_0000).to_be_bytes());
    tsb
}

/// Writes a list of pages.
fn list(chassis: &mut Chassis, pages: &[u32]) -> u32 {
    let bytes: Vec<u8> = pages.iter().flat_map(|page| page.to_be_bytes()).collect();
    chassis.poke(LIST, &bytes);
    pages.len() as u32
}

/// The control domain's buffer.
fn buffer(chassis: &Chassis, ra: u64, bytes: u64) -> Vec<u8> {
    let pa = chassis.lab.hv.guest(PRIMARY).unwrap().map.resolve(Ra(ra), bytes).unwrap();
    let mut contents = vec![0; bytes as usize];
    chassis.lab.board.memory.read(pa, &mut contents);
    contents
}

/// All of the guest's memory.
fn memory(chassis: &Chassis) -> Vec<u8> {
    let map = &chassis.lab.hv.guest(ROVER).unwrap().map;
    let mut all = Vec::new();
    for range in map.ranges() {
        let mut contents = vec![0; range.size as usize];
        chassis.lab.board.memory.read(range.pa, &mut contents);
        all.extend(contents);
    }
    all
}

/// Copies pages from one chassis to the other.
fn carry(from: &mut Chassis, to: &mut Chassis, which: &[u32]) {
    let count = list(from, which);
    assert_eq!(from.migrate(Request::PagesOut(pages(count))), Ok(0));
    let contents = buffer(from, BUFFER, u64::from(count) * 8192);
    list(to, which);
    to.poke(BUFFER, &contents);
    assert_eq!(to.migrate(Request::PagesIn(pages(count))), Ok(0));
}

/// The pages that a dirty map names.
fn dirty(chassis: &mut Chassis) -> Vec<u32> {
    let map = Buffer { guest: 1, buffer: Ra(STATE), bytes: 16 };
    let count = chassis.migrate(Request::DirtyRead { first: 0, map }).unwrap();
    let bits = buffer(chassis, STATE, 16);
    let pages: Vec<_> =
        (0..128).filter(|page| bits[page / 8] >> (page % 8) & 1 != 0).map(|p| p as u32).collect();
    assert_eq!(pages.len() as u64, count);
    pages
}

fn state_out(chassis: &mut Chassis) -> Vec<u8> {
    let bytes = chassis.migrate(Request::StateOut(ROOM)).unwrap();
    buffer(chassis, STATE, bytes)
}

fn state_in(chassis: &mut Chassis, state: &[u8]) -> Result<u64, (Status, u32)> {
    chassis.poke(STATE, state);
    chassis.migrate(Request::StateIn(Buffer { bytes: state.len() as u64, ..ROOM }))
}

/// A chassis with a shell for the guest, whose services wait.
fn shell() -> Chassis {
    let mut chassis = Chassis::open(&with_rover(THERE));
    serve(&mut chassis);
    chassis
}

#[test]
fn a_guest_arrives_as_it_left() {
    let (mut here, mut there) = (busy(HERE), shell());
    for chassis in [&mut here, &mut there] {
        chassis.lab.board.advance(SimTime::secs(3));
        chassis.said.clear();
    }
    assert_eq!(here.migrate(Request::LogStart(1)), Ok(0));
    let all: Vec<u32> = (0..PAGES).collect();
    carry(&mut here, &mut there, &all);
    assert!(dirty(&mut here).is_empty());
    here.lab.caller = (ROVER, VcpuId(0));
    here.lab.poke(BASE + 0x1_fff8, b"last one");
    here.lab.poke(0x4000_0000, b"the second block");
    here.rover(0, nr::tod_get, [0; 5]);
    assert_eq!(dirty(&mut here), [15, 16]);
    assert_eq!(here.migrate(Request::Suspend(1)), Ok(0));
    assert!(!here.lab.hv.runs(ROVER));
    let rest = dirty(&mut here);
    carry(&mut here, &mut there, &rest);
    let state = state_out(&mut here);
    assert_eq!(here.migrate(Request::LogStop(1)), Ok(0));
    assert_eq!(memory(&here), memory(&there));
    assert_eq!(state_in(&mut there, &state), Ok(0));
    assert_eq!(state_out(&mut there), state, "it is the same guest");
    assert_eq!(memory(&here), memory(&there), "loading it stores nothing");
    for chassis in [&mut here, &mut there] {
        chassis.lab.board.advance(SimTime::secs(1));
    }
    assert_eq!(there.migrate(Request::Resume(1)), Ok(0));
    assert!(there.lab.hv.runs(ROVER));
    let kept = |chassis: &Chassis| {
        let guest = chassis.lab.hv.guest(ROVER).unwrap();
        let trace = guest.vcpus[&VcpuId(0)].trap_trace.unwrap();
        (guest.dump.unwrap(), guest.trace_frozen, (trace.ra, trace.entries, trace.next, trace.on))
    };
    assert_eq!(kept(&there), kept(&here));
    assert_eq!(there.rover(0, nr::mach_set_watchdog, [0; 5])[0], 6000);
    here.ask(hvctl::Request::GuestStop(1));
    here.boundary();
    there.boundary();
    insta::assert_snapshot!(format!("source\n{}\ntarget\n{}", here.said, there.said));
}

#[test]
fn clocks_go_on_and_what_was_due_in_the_pause_is_due() {
    let (mut here, mut there) = (busy(HERE), shell());
    here.lab.board.advance(SimTime::secs(7));
    there.lab.board.advance(SimTime::secs(9));
    let stick = here.lab.board.cpus_stick(ROVER);
    here.boundary();
    let tod = here.rover(0, nr::tod_get, [0; 5])[0];
    here.migrate(Request::Suspend(1)).unwrap();
    let state = state_out(&mut here);
    let (guest, mut strands) = parts(&state);
    let due = |ticks: u64| (guest.clock.stick + ticks) & !0x7f;
    strands[0].stick_cmpr = due(T2_HZ);
    strands[0].tick_cmpr = due(T2_HZ) | 1 << 63;
    strands[1].stick_cmpr = due(3 * T2_HZ);
    strands[1].tick_cmpr = due(0) - 0x80;
    state_in(&mut there, &whole(&guest, &strands)).unwrap();
    there.migrate(Request::Resume(1)).unwrap();
    let seats = &there.lab.board.seats[&ROVER];
    let softint = |id| seats.seen[&VcpuId(id)].registers.as_ref().unwrap().softint;
    assert_eq!((softint(0), softint(1)), (1 << 16, 0));
    assert_eq!(there.lab.board.cpus_stick(ROVER), stick + 2 * T2_HZ);
    assert_eq!(there.rover(0, nr::tod_get, [0; 5])[0], tod + 2);
    // A lab whose time is behind: not backwards.
    let mut early = shell();
    state_in(&mut early, &state).unwrap();
    assert_eq!(early.lab.board.cpus_stick(ROVER), stick);
}

#[test]
fn channels_of_a_suspended_guest_are_down_and_come_back_with_a_reset() {
    let mut chassis = busy(HERE);
    let link =
        |chassis: &mut Chassis| chassis.call(nr::ldc_tx_get_state, [1, 0, 0, 0, 0]).unwrap()[2];
    let mondos = |chassis: &mut Chassis| {
        std::iter::from_fn(|| chassis.lab.hv.next_mondo(PRIMARY, &mut chassis.lab.board))
            .filter(|words| words[0] == 0xd00d)
            .count()
    };
    assert_eq!(link(&mut chassis), 1);
    mondos(&mut chassis);
    chassis.call(nr::vintr_setstate, [0x200, 3, 0, 0, 0]).unwrap();
    chassis.lab.caller = (ROVER, VcpuId(0));
    assert_eq!(chassis.rover(0, nr::ldc_tx_get_state, [0; 5])[2], 1);
    chassis.migrate(Request::Suspend(1)).unwrap();
    assert_eq!(mondos(&mut chassis), 1);
    assert_eq!(link(&mut chassis), 0);
    // Nothing reaches it.
    let before = memory(&chassis);
    chassis.poke(BASE + 0x4000, &[0x5a; 64]);
    chassis.call(nr::ldc_tx_set_qtail, [1, 64, 0, 0, 0]).unwrap();
    let copy = chassis.call(nr::ldc_copy, [1, 1, 0, BUFFER, 8]);
    assert_eq!(copy, Err(HvError::Channel));
    chassis.lab.hv.sp_input(ROVER, b"x", &mut chassis.lab.board);
    chassis.boundary();
    assert_eq!(memory(&chassis), before);
    // It goes on where it is: both ends begin anew, and what waited arrives.
    chassis.call(nr::vintr_setstate, [0x200, 3, 0, 0, 0]).unwrap();
    chassis.migrate(Request::Resume(1)).unwrap();
    chassis.boundary();
    assert_eq!((link(&mut chassis), link(&mut chassis)), (2, 1));
    assert_eq!(mondos(&mut chassis), 1);
    let seen = chassis.rover(0, nr::ldc_rx_get_state, [0; 5]);
    assert_eq!(seen[..3], [0, 64, 2]);
    assert_eq!(chassis.rover(0, nr::ldc_rx_get_state, [0; 5])[2], 1);
    assert_eq!(chassis.rover(0, nr::cons_getchar, [0; 5])[0], u64::from(b'x'));
}

#[test]
fn a_guest_that_waits_for_its_console_is_told_when_it_goes_on() {
    let mut chassis = busy(HERE);
    chassis.rover(0, nr::intr_setstate, [0x111, 0, 0, 0, 0]);
    chassis.lab.caller = (ROVER, VcpuId(0));
    chassis.lab.poke(BASE + 0x8000, &[b'x'; 56]);
    let write = [BASE + 0x8000, 56, 0, 0, 0];
    while chassis.lab.call(nr::cons_write, write).status == 0 {}
    chassis.migrate(Request::Suspend(1)).unwrap();
    // The concentrator takes what there is, and the guest is not told yet.
    for _ in 0..40 {
        chassis.boundary();
        let [head, tail, ..] = chassis.call(nr::ldc_rx_get_state, [2, 0, 0, 0, 0]).unwrap();
        if head != tail {
            chassis.call(nr::ldc_rx_set_qhead, [2, tail, 0, 0, 0]).unwrap();
        }
    }
    let console = |chassis: &Chassis| chassis.lab.hv.guest(ROVER).unwrap().console.clone().unwrap();
    assert!(console(&chassis).output.is_empty() && console(&chassis).blocked);
    assert!(chassis.lab.hv.next_mondo(ROVER, &mut chassis.lab.board).is_none());
    chassis.migrate(Request::Resume(1)).unwrap();
    chassis.boundary();
    let words = |chassis: &mut Chassis| {
        std::iter::from_fn(|| chassis.lab.hv.next_mondo(ROVER, &mut chassis.lab.board))
            .map(|words| words[0])
            .collect::<Vec<_>>()
    };
    assert!(words(&mut chassis).contains(&0x111));
    assert!(!console(&chassis).blocked);
}

/// Characters that a chassis's concentrator hears.
fn heard(chassis: &mut Chassis) -> usize {
    let mut count = 0;
    for _ in 0..60 {
        chassis.boundary();
        let [mut head, tail, ..] = chassis.call(nr::ldc_rx_get_state, [2, 0, 0, 0, 0]).unwrap();
        while head != tail {
            count += usize::from(buffer(chassis, BASE + 0x6000 + head, 64)[1]);
            head = (head + 64) % 512;
        }
        chassis.call(nr::ldc_rx_set_qhead, [2, tail, 0, 0, 0]).unwrap();
    }
    count
}

#[test]
fn what_a_guest_wrote_before_it_moved_comes_out_once() {
    for stays in [false, true] {
        let (mut here, mut there) = (busy(HERE), shell());
        let mut written = 1;
        here.lab.caller = (ROVER, VcpuId(0));
        here.lab.poke(BASE + 0x8000, &[b'x'; 56]);
        loop {
            here.lab.caller = (ROVER, VcpuId(0));
            let answer = here.lab.call(nr::cons_write, [BASE + 0x8000, 56, 0, 0, 0]);
            if answer.status != 0 {
                break;
            }
            written += answer.rets[0] as usize;
        }
        assert!(written > 1000, "{written}");
        here.migrate(Request::Suspend(1)).unwrap();
        here.boundary();
        let state = state_out(&mut here);
        let mut count = heard(&mut here);
        assert!(count > 0 && count < written, "{count}: what was in the channel");
        here.boundary();
        assert!(!here.lab.hv.has_work(), "and nothing is to be done about the rest");
        assert_eq!(state_in(&mut there, &state), Ok(0));
        assert_eq!(heard(&mut there), 0, "it might not go on here");
        if stays {
            there.ask(hvctl::Request::GuestStop(1));
            here.migrate(Request::Resume(1)).unwrap();
        } else {
            there.migrate(Request::Resume(1)).unwrap();
            here.ask(hvctl::Request::GuestStop(1));
        }
        for chassis in [&mut here, &mut there] {
            count += heard(chassis);
        }
        assert_eq!(count, written, "stays: {stays}");
    }
}

/// With both crypto units of core 1.
fn with_units(pa: u64) -> sun4v::hvmd::HvConfig {
    let mut config = with_rover(pa);
    for (kind, ino) in [(CryptoKind::Mau, 0x28), (CryptoKind::Cwq, 0x20)] {
        config.crypto.push(CryptoConf { core: CoreId(1), kind, guest: ROVER, ino });
    }
    config
}

#[test]
fn a_suspend_waits_for_crypto_units() {
    for kind in [1, 2] {
        let mut chassis = Chassis::open(&with_units(HERE));
        chassis.start_rover();
        negotiate(&mut chassis);
        let handle = chassis.rover(0, nr::ncs_qconf, [kind, BASE + 0x4000, 4, 0, 0])[0];
        chassis.lab.caller = (ROVER, VcpuId(0));
        chassis.lab.poke(BASE + 0x4008, &(BASE + 0x8000).to_be_bytes());
        chassis.lab.poke(BASE + 0x4018, &(BASE + 0x8000).to_be_bytes());
        chassis.rover(0, nr::ncs_settail, [handle, 64, 0, 0, 0]);
        chassis.say(hvctl::Request::Migrate(Request::Suspend(1)));
        chassis.say(hvctl::Request::GetHvConfig);
        assert_eq!(chassis.lab.board.words.len() + chassis.lab.board.operations.len(), 1);
        assert!(chassis.boundary().iter().all(|reply| reply.op == hvctl::Op::NewResStat));
        assert!(!chassis.lab.hv.runs(ROVER));
        match kind {
            1 => chassis.lab.hv.mau_done(CoreId(1), &[MauEnd::Done], &mut chassis.lab.board),
            _ => chassis.lab.hv.cwq_done(CoreId(1), &[true], &mut chassis.lab.board),
        }
        let replies = [chassis.hear().unwrap(), chassis.hear().unwrap()];
        assert_eq!(replies.map(|reply| reply.op), [hvctl::Op::Suspend, hvctl::Op::GetHvConfig]);
        let (guest, _) = parts(&state_out(&mut chassis));
        let unit = guest.crypto[0];
        assert_eq!((unit.kind, unit.head, unit.core), (kind as u8, 64, 1));
    }
}

#[test]
fn crypto_queues_arrive_idle_and_broken_ones_are_refused() {
    let mut here = Chassis::open(&with_units(HERE));
    here.start_rover();
    negotiate(&mut here);
    for (kind, at) in [(1, BASE + 0x4000), (2, BASE + 0x5000)] {
        here.rover(0, nr::ncs_qconf, [kind, at, 8, 0, 0]);
    }
    here.migrate(Request::Suspend(1)).unwrap();
    let (guest, strands) = parts(&state_out(&mut here));
    assert_eq!(guest.crypto.len(), 2);
    let mut config = with_units(THERE);
    config.guests[1].rom_bytes = 0;
    let arrives = |change: &dyn Fn(&mut GuestV1)| {
        let mut there = Chassis::open(&config);
        let mut guest = guest.clone();
        change(&mut guest);
        let taken = state_in(&mut there, &whole(&guest, &strands));
        taken.map(|_| there)
    };
    let there = arrives(&|_| ()).expect("as it was");
    let units = &there.lab.hv.guest(ROVER).unwrap().crypto;
    let mau = units[&0x1_0864];
    assert_eq!((mau.entries, mau.is_busy(), mau.fresh), (8, false, true));
    assert_eq!(units[&0x1_0a72].ra, Ra(BASE + 0x5000));
    // Version 1.0 leaves queues of descriptors like this.
    assert!(
        arrives(&|guest| (guest.crypto[0].entries, guest.crypto[0].ra.0) = (7, BASE + 8)).is_ok()
    );
    let broken: [&dyn Fn(&mut GuestV1); 9] = [
        &|guest| guest.crypto[0].kind = 3,
        &|guest| guest.crypto[0].kind = 2,
        &|guest| guest.crypto[0].entries = 0,
        &|guest| guest.crypto[0].entries = 1 << 60,
        &|guest| guest.crypto[0].ra.0 = BASE + 4,
        &|guest| guest.crypto[0].head = 8 * 64,
        &|guest| guest.crypto[1].entries = 7,
        &|guest| guest.crypto[1].ra.0 = BASE + 8,
        &|guest| guest.crypto[1].marker = 32,
    ];
    for (at, change) in broken.iter().enumerate() {
        assert!(arrives(change).is_err(), "{at}");
    }
}

#[test]
fn what_a_suspended_guest_had_asked_for_is_done_first() {
    let mut chassis = busy(HERE);
    chassis.call(nr::ldc_set_map_table, [1, BASE + 0x7000, 2, 0, 0]).unwrap();
    chassis.poke(BASE + 0x7000, &((BASE + 0x8000) | 1 << 9).to_be_bytes());
    chassis.poke(BASE + 0x8000, b"in time!");
    chassis.lab.caller = (ROVER, VcpuId(0));
    let args = [0, 0, 0, BASE + 0x9000, 8, nr::ldc_copy];
    let outcome = chassis.lab.trap(hv::Trap::Hypercall { number: 0x80, args });
    assert_eq!(outcome, hv::Outcome::Blocked);
    chassis.migrate(Request::Suspend(1)).unwrap();
    chassis.lab.caller = (ROVER, VcpuId(0));
    assert_eq!(&chassis.lab.peek::<8>(BASE + 0x9000), b"in time!");
    let answers = &chassis.lab.board.seats[&ROVER].seen[&VcpuId(0)].answers;
    assert_eq!(answers.last().unwrap().0, 0);
}

#[test]
fn bounds_are_kept_and_states_are_minded() {
    let mut chassis = busy(HERE);
    let refused = |detail: Detail| Err((Status::Invalid, detail.code()));
    let illegal = |detail: Detail| Err((Status::Illegal, detail.code()));
    for guest in [0, 2, 64, !0] {
        for request in [
            Request::LogStart(guest),
            Request::Suspend(guest),
            Request::PagesOut(Pages { guest, ..pages(1) }),
            Request::StateIn(Buffer { guest, ..ROOM }),
        ] {
            assert_eq!(chassis.migrate(request), refused(Detail::GuestInvalidId));
        }
    }
    let map = Buffer { guest: 1, buffer: Ra(BUFFER), bytes: 8 };
    let read = |first, map| Request::DirtyRead { first, map };
    assert_eq!(chassis.migrate(read(0, map)), illegal(Detail::NotLogging));
    let hold = |percent| Request::Hold { guest: 1, percent };
    assert_eq!(chassis.migrate(hold(50)), illegal(Detail::NotLogging));
    chassis.migrate(Request::LogStart(1)).unwrap();
    for percent in [101, 256 + 50, !0] {
        assert_eq!(chassis.migrate(hold(percent)), refused(Detail::BadShare));
    }
    for first in [1, 32, !7] {
        assert_eq!(chassis.migrate(read(first, map)), refused(Detail::BadPage));
    }
    let nowhere = Buffer { buffer: Ra(BASE + 0x100_0000), ..map };
    let endless = Buffer { bytes: !0, ..map };
    for map in [nowhere, endless, Buffer { bytes: 0, ..map }] {
        assert_eq!(chassis.migrate(read(0, map)), refused(Detail::BadBuffer));
    }
    chassis.poke(BUFFER, &[0xff; 16]);
    assert_eq!(chassis.migrate(read(24, map)), Ok(0), "behind the last page");
    assert_eq!(buffer(&chassis, BUFFER, 16), [[0; 8], [0xff; 8]].concat());
    for request in [Request::PagesIn(pages(1)), Request::PagesZero(pages(1))] {
        assert_eq!(chassis.migrate(request), illegal(Detail::NotInState), "it runs");
    }
    list(&mut chassis, &[0, PAGES - 1, PAGES]);
    assert_eq!(chassis.migrate(Request::PagesOut(pages(3))), refused(Detail::BadPage));
    assert_eq!(chassis.migrate(Request::PagesOut(pages(2))), Ok(0));
    assert_eq!(chassis.migrate(Request::PagesOut(pages(513))), refused(Detail::TooMany));
    assert_eq!(chassis.migrate(Request::PagesOut(pages(0))), Ok(0));
    for pages in [
        Pages { buffer: Ra(BASE + 0xff_e008), ..pages(1) },
        Pages { list: Ra(0), ..pages(1) },
        Pages { buffer: Ra(!0), ..pages(2) },
    ] {
        assert_eq!(chassis.migrate(Request::PagesOut(pages)), refused(Detail::BadBuffer));
    }
    for request in [Request::Resume(1), Request::StateOut(ROOM), Request::StateIn(ROOM)] {
        assert_eq!(chassis.migrate(request), illegal(Detail::NotInState));
    }
    chassis.migrate(Request::Suspend(1)).unwrap();
    assert_eq!(chassis.migrate(Request::Suspend(1)), illegal(Detail::NotInState));
    let small = Buffer { bytes: 16, ..ROOM };
    assert_eq!(chassis.migrate(Request::StateOut(small)), refused(Detail::BufferTooSmall));
    assert_eq!(chassis.migrate(Request::StateIn(ROOM)), illegal(Detail::NotInState));
    list(&mut chassis, &[3]);
    assert_eq!(chassis.migrate(Request::PagesZero(pages(1))), Ok(0));
    assert_eq!(memory(&chassis)[3 * 8192..4 * 8192], [0; 8192]);
    assert_eq!(dirty(&mut chassis), [3], "the hypervisor's own stores count");
}

#[test]
fn a_guest_is_held_as_long_as_its_log_is_on() {
    let held = |chassis: &Chassis| {
        (chassis.lab.board.seats[&ROVER].held, chassis.lab.hv.guest(ROVER).unwrap().held)
    };
    let mut chassis = busy(HERE);
    for ends in [Request::LogStop(1), Request::Hold { guest: 1, percent: 0 }] {
        chassis.migrate(Request::LogStart(1)).unwrap();
        for percent in [50, 95, 100, 10] {
            assert_eq!(chassis.migrate(Request::Hold { guest: 1, percent }), Ok(0));
            assert_eq!(held(&chassis), (percent as u8, percent as u8));
        }
        assert!(chassis.lab.hv.runs(ROVER));
        assert_eq!(chassis.migrate(ends), Ok(0));
        assert_eq!(held(&chassis), (0, 0));
    }
}

/// A guest whose channel is a disk's, and its interrupt goes to virtual CPU `target`.
fn with_disk(target: u64) -> Chassis {
    let mut config = with_rover(HERE);
    let own = config.ldc_endpoints.iter_mut().find(|end| (end.guest, end.channel.0) == (ROVER, 0));
    own.unwrap().leads = true;
    let mut chassis = busy_of(&config);
    chassis.rover(0, nr::vintr_settarget, [0x200, 1, target, 0, 0]);
    chassis
}

#[test]
fn who_takes_a_disks_interrupts_goes_on_first() {
    let delays = |chassis: &mut Chassis| {
        chassis.migrate(Request::Suspend(1)).unwrap();
        chassis.lab.board.advance(SimTime::ms(3));
        chassis.migrate(Request::Resume(1)).unwrap();
        let seats = &chassis.lab.board.seats[&ROVER];
        [0, 1].map(|id| seats.seen[&VcpuId(id)].delayed)
    };
    for (target, first) in [(0, [true, false]), (1, [false, true])] {
        let mut chassis = with_disk(target);
        let delays = delays(&mut chassis);
        let later = chassis.lab.board.now().plus(SimTime::us(LEAD_US));
        assert_eq!(delays, first.map(|first| (!first).then_some(later)), "{target}");
    }
    // A disk whose interrupt its guest does not take, one that is not open, and no disk.
    let mut deaf = with_disk(0);
    deaf.rover(0, nr::vintr_setvalid, [0x200, 1, 0, 0, 0]);
    let mut closed = with_disk(0);
    closed.rover(0, nr::ldc_rx_qconf, [0; 5]);
    for mut chassis in [deaf, closed, busy(HERE)] {
        assert_eq!(delays(&mut chassis), [None, None]);
    }
}

#[test]
fn a_hold_says_how_many_are_inside() {
    use Mode::{Masked, Supervisor, User, Waits};
    let inside = |chassis: &mut Chassis, modes: [Mode; 2]| {
        for (id, mode) in (0..).zip(modes) {
            let seats = chassis.lab.board.seats.get_mut(&ROVER).unwrap();
            seats.seen.get_mut(&VcpuId(id)).unwrap().mode = mode;
        }
        chassis.migrate(Request::Hold { guest: 1, percent: 100 }).unwrap()
    };
    let (mut chassis, mut without) = (with_disk(0), busy(HERE));
    for chassis in [&mut chassis, &mut without] {
        chassis.migrate(Request::LogStart(1)).unwrap();
    }
    for (first, other, expected) in [
        (Waits, Waits, 0),
        (User, User, 0),
        (User, Supervisor, 0),
        (Supervisor, Supervisor, 1),
        (Waits, Masked, 1),
        (Masked, Masked, 2),
    ] {
        let modes = [first, other];
        assert_eq!(inside(&mut chassis, modes), expected, "{modes:?}");
        assert_eq!(inside(&mut without, modes), 0, "{modes:?} without a disk");
    }
}

/// The records of a state.
fn parts(mut bytes: &[u8]) -> (GuestV1, Vec<StrandV1>) {
    let guest = decode::<GuestV1>(&mut bytes).unwrap();
    let strands = guest.vcpus.iter().map(|_| decode(&mut bytes).unwrap()).collect();
    assert!(bytes.is_empty());
    (guest, strands)
}

fn whole(guest: &GuestV1, strands: &[StrandV1]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(guest, &mut bytes);
    strands.iter().for_each(|strand| encode(strand, &mut bytes));
    bytes
}

type Change = fn(&mut GuestV1, &mut Vec<StrandV1>);

#[test]
fn a_record_that_breaks_a_rule_is_refused_and_changes_nothing() {
    let mut here = busy(HERE);
    here.migrate(Request::Suspend(1)).unwrap();
    let state = state_out(&mut here);
    let mut there = shell();
    there.lab.hv.set_trace(true);
    let changes: &[Change] = &[
        |g, _| g.api.push((0x999, 1, 0)),
        |g, _| g.api[0].2 = 99,
        |g, _| g.soft_state = 0,
        |g, _| g.soft_text = [b'x'; 32],
        |g, s| drop((g.vcpus.pop(), s.pop())),
        |g, _| g.vcpus[1].id = 7,
        |g, _| g.vcpus[0].state = 4,
        |g, _| g.vcpus[0].state = 1,
        |_, s| s[0].stopped = true,
        |g, _| g.vcpus[0].rtba += 1,
        |g, _| g.vcpus[0].rtba = 0x100,
        |g, _| g.vcpus[0].fault_area = Some(Ra(BASE + 8)),
        |g, _| g.vcpus[0].fault_area = Some(Ra(BASE + 0x1_ffc0)),
        |g, _| g.vcpus[0].queues[0] = Some((Ra(BASE), 3)),
        |g, _| g.vcpus[0].queues[1] = Some((Ra(BASE + 64), 2)),
        |g, _| g.vcpus[0].queues[2] = Some((Ra(0x5000_0000), 2)),
        |g, _| g.vcpus[0].queues[3] = Some((Ra(BASE), 1 << 63)),
        |_, s| s[0].tsbs[0] = vec![s[0].tsbs[1][0]; 5],
        |_, s| s[0].tsbs[1][0].entries = 513,
        |_, s| s[0].tsbs[1][0].index_size = 2,
        |_, s| s[0].tsbs[1][0].size_mask = 0,
        |_, s| s[0].tsbs[0] = vec![TsbV1 { ra: Ra(0x6000_0000), ..s[0].tsbs[1][0] }],
        |_, s| s[0].tsbs[1][0].context = 0,
        |_, s| s[1].pc = 2,
        |g, _| g.permanent[0].tte &= !(1 << 63),
        |g, _| g.permanent[0].tte |= 2,
        |g, _| g.permanent[0].va = 0x40_2000,
        |g, _| g.permanent[0].va = 1 << 50,
        |g, _| g.permanent[0].tte += 0x1_0000,
        |g, _| g.permanent[0].data = vec![9],
        |g, _| g.permanent[0].data = vec![1, 0],
        |g, _| {
            let PermanentV1 { instruction, data, .. } = &mut g.permanent[0];
            instruction.clear();
            data.clear();
        },
        |g, _| g.permanent.push(g.permanent[0].clone()),
        |g, _| g.interrupts[0].0 = 0x12,
        |g, _| g.interrupts[0].1.state = 3,
        |g, _| g.interrupts[0].1.target = Some(2),
        |g, _| g.interrupts.clear(),
        |g, _| g.endpoints.clear(),
        |g, _| g.endpoints.push(EndpointV1 { channel: 1, inos: (2, 3), ..g.endpoints[0] }),
        |g, _| g.endpoints[0].inos.1 = 8,
        |g, _| g.endpoints[0].rx.entries = 7,
        |g, _| g.endpoints[0].rx.entries = 1 << 60,
        |g, _| g.endpoints[0].rx.ra = Ra(BASE + 64),
        |g, _| g.endpoints[0].tx.ra = Ra(0),
        |g, _| g.endpoints[0].tx.head = 512,
        |g, _| g.endpoints[0].tx.tail = 1,
        |g, _| g.endpoints[0].tx.entries = 0,
        |g, _| g.endpoints[0].table = Some((Ra(BASE), 1)),
        |g, _| g.endpoints[0].table = Some((Ra(BASE + 8), 2)),
        |g, _| g.endpoints[0].table = Some((Ra(BASE), 0x2000_0000)),
        |g, _| g.console = None,
        |g, _| g.console.as_mut().unwrap().ino = 0x12,
        |g, _| g.console.as_mut().unwrap().input = vec![0x102],
        |g, _| g.console.as_mut().unwrap().input = vec![1; 513],
        |g, _| g.console.as_mut().unwrap().output = vec![vec![]],
        |g, _| g.console.as_mut().unwrap().output = vec![vec![1; 57]],
        |g, _| g.crypto.push(hv::CryptoV1 { kind: 2, core: 1, entries: 2, ..Default::default() }),
        |g, _| g.crypto.push(hv::CryptoV1 { kind: 0, core: 1, entries: 2, ..Default::default() }),
        |g, _| g.watchdog = 365 * 24 * 60 * 60 + 2,
        |g, _| g.dump = Some((Ra(BASE), 8191)),
        |g, _| g.dump = Some((Ra(BASE + 32), 8192)),
        |g, _| g.dump = Some((Ra(BASE + 0x1_f000), 8192)),
        |g, _| g.vcpus[0].trap_trace.as_mut().unwrap().entries = 1,
        |g, _| g.vcpus[0].trap_trace.as_mut().unwrap().entries = 1 << 58 | 2,
        |g, _| g.vcpus[0].trap_trace.as_mut().unwrap().ra = Ra(BASE + 32),
        |g, _| g.vcpus[0].trap_trace.as_mut().unwrap().ra = Ra(BASE + 0x1_ffc0),
        |g, _| g.vcpus[0].trap_trace.as_mut().unwrap().next = 0,
        |g, _| g.vcpus[0].trap_trace.as_mut().unwrap().next = 0x60,
        |g, _| g.vcpus[0].trap_trace.as_mut().unwrap().next = 0x100,
    ];
    let before = format!("{:?}", there.lab.hv.guest(ROVER).unwrap());
    for (index, change) in changes.iter().enumerate() {
        let (mut guest, mut strands) = parts(&state);
        guest.endpoints[0].tx.tail = 64;
        change(&mut guest, &mut strands);
        let result = state_in(&mut there, &whole(&guest, &strands));
        assert_eq!(result, Err((Status::Invalid, Detail::StateRefused.code())), "change {index}");
        assert_eq!(format!("{:?}", there.lab.hv.guest(ROVER).unwrap()), before, "change {index}");
    }
    let mut longer = state.clone();
    longer.push(0);
    for bytes in [&state[..state.len() - 1], &longer, &state[1..]] {
        assert!(state_in(&mut there, bytes).is_err());
    }
    there.boundary();
    let why: Vec<&str> = there.lab.board.trace.lines().filter(|l| l.contains("refused")).collect();
    insta::assert_snapshot!(why.join("\n"));
    assert_eq!(state_in(&mut there, &state), Ok(0), "and the good one is taken");
}

#[test]
fn a_damaged_record_never_panics() {
    use proptest::prelude::{any, proptest};
    let mut here = busy(HERE);
    here.migrate(Request::Suspend(1)).unwrap();
    let state = state_out(&mut here);
    proptest!(|(damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4))| {
        let mut bytes = state.clone();
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let mut there = shell();
        if state_in(&mut there, &bytes).is_ok() {
            there.migrate(Request::Resume(1)).unwrap();
            there.boundary();
            there.lab.hv.sp_input(ROVER, b"key", &mut there.lab.board);
            there.boundary();
        } else {
            assert_eq!(there.lab.hv.guest(ROVER).unwrap().state, GuestState::Stopped);
        }
    });
}

#[test]
fn every_field_that_is_altered_is_kept_as_altered_or_refused() {
    let mut here = full(HERE);
    here.migrate(Request::Suspend(1)).unwrap();
    let state = state_out(&mut here);
    let (guest, strands) = parts(&state);
    // A field that is empty here would not be altered: whoever adds one fills it in `full`.
    assert!(hollow(&GuestV1::default()).contains(&".pci".to_owned()));
    assert_eq!(hollow(&guest), [""; 0]);
    let (mut kept, mut refused) = (0, 0);
    for (path, other) in altered(&guest) {
        let bytes = whole(&other, &strands);
        assert_ne!(Sha256::digest(&bytes), Sha256::digest(&state), "{path}: the digest is blind");
        let mut there = Chassis::open(&with_devices(THERE));
        if state_in(&mut there, &bytes).is_err() {
            refused += 1;
            assert_eq!(there.lab.hv.guest(ROVER).unwrap().state, GuestState::Stopped, "{path}");
            continue;
        }
        kept += 1;
        // Clocks go on by what they say relative to this chassis's.
        if !path.starts_with(".clock") {
            let (again, _) = parts(&state_out(&mut there));
            assert_eq!(GuestV1 { clock: other.clock, ..again }, other, "{path}: silently changed");
        }
    }
    assert!(kept > 100 && refused > 100, "{kept} kept, {refused} refused");
}

/// The stick of a board's guest.
trait Stick {
    fn cpus_stick(&mut self, guest: sun4v::id::GuestId) -> u64;
}

impl Stick for hv::testing::Board {
    fn cpus_stick(&mut self, guest: sun4v::id::GuestId) -> u64 {
        hv::platform::Machine::cpus(self, guest).stick()
    }
}

#[test]
fn a_page_number_counts_over_all_blocks() {
    let mut chassis = busy(HERE);
    chassis.lab.board.memory.write(Pa(HERE + 0x100_2000), b"page 17");
    let count = list(&mut chassis, &[17]);
    chassis.migrate(Request::PagesOut(pages(count))).unwrap();
    assert_eq!(&buffer(&chassis, BUFFER, 7), b"page 17");
}

#[test]
fn a_chassis_that_is_held_is_saved_and_goes_on_where_it_was() {
    let mut before = busy(HERE);
    before.lab.hv.hold(&mut before.lab.board).unwrap();
    assert!(!before.lab.hv.runs(ROVER));
    let record = before.lab.hv.save(&mut before.lab.board).unwrap();
    assert_eq!(record.guests.len(), 2);
    assert!(record.guests[0].record.is_none() && record.guests[1].record.is_some());
    let contents = memory(&before);
    // The same memory under a hypervisor that knows nothing.
    let mut again = loaded(&before, &record).unwrap();
    assert!(!again.lab.hv.runs(ROVER));
    assert_eq!(memory(&again), contents);
    let held = again.lab.hv.save(&mut again.lab.board).unwrap();
    assert_eq!(held, record);
    again.lab.hv.release(&mut again.lab.board);
    assert!(again.lab.hv.runs(ROVER) && again.lab.hv.runs(PRIMARY));
    // Its channel was reset, whether it looks before the control domain is back or not.
    serve(&mut again);
    let state = |chassis: &mut Chassis| chassis.rover(0, nr::ldc_rx_get_state, [0; 5])[2];
    assert_eq!([state(&mut again), state(&mut again)], [2, 1]);
    let mut early = loaded(&before, &record).unwrap();
    early.lab.hv.release(&mut early.lab.board);
    assert_eq!(state(&mut early), 0);
    serve(&mut early);
    assert_eq!(state(&mut early), 1);
    // What it had negotiated and set up is there.
    assert_eq!(again.rover(0, nr::cpu_qinfo, [0x3d, 0, 0, 0, 0])[..2], [BASE + 0x1100, 4]);
    assert!(again.lab.hv.guest(ROVER).unwrap().vcpus[&VcpuId(1)].mailbox.is_some());
}

/// A hypervisor that knows nothing, on a machine with the memory of one that was held;
/// the record is loaded.
fn loaded(from: &Chassis, record: &HypervisorV1) -> Result<Chassis, LoadError> {
    let mut board = hv::testing::Board::default();
    board.memory = from.lab.board.memory.clone();
    board.advance(from.lab.board.now());
    let hv = Hypervisor::power_on(from.lab.hv.memory(), record.md, &mut board).unwrap();
    let mut lab = hv::testing::Lab { hv, board, caller: (PRIMARY, VcpuId(0)) };
    lab.hv.load(record, &mut lab.board)?;
    Ok(Chassis::of(lab, 8))
}

#[test]
fn a_chassis_with_something_under_way_is_not_held_and_goes_on() {
    let why = |chassis: &mut Chassis| chassis.lab.hv.hold(&mut chassis.lab.board).unwrap_err();
    let mut chassis = busy(HERE);
    assert!(chassis.lab.hv.save(&mut chassis.lab.board).is_err());
    assert_eq!(chassis.migrate(Request::LogStart(1)), Ok(0));
    assert_eq!(why(&mut chassis).to_string(), "stores of domain rover are being logged");
    assert_eq!(chassis.migrate(Request::LogStop(1)), Ok(0));
    assert_eq!(chassis.migrate(Request::Suspend(1)), Ok(0));
    assert_eq!(why(&mut chassis).to_string(), "domain rover is suspended");
    assert_eq!(chassis.migrate(Request::Resume(1)), Ok(0));
    assert!(chassis.lab.hv.runs(ROVER));
    let md = chassis.lab.hv.hold(&mut chassis.lab.board);
    assert_eq!(md, Ok(()));
    let md = chassis.lab.hv.save(&mut chassis.lab.board).unwrap().md;
    chassis.lab.hv.release(&mut chassis.lab.board);
    chassis.lab.board.memory.write(md, &[0; 16]);
    assert!(why(&mut chassis).to_string().starts_with("the MD in force is not at"));
}

#[test]
fn every_field_of_a_chassis_that_is_altered_is_kept_as_altered_or_refused() {
    let mut chassis = full(HERE);
    chassis.boundary();
    chassis.lab.hv.hold(&mut chassis.lab.board).unwrap();
    let mut good = chassis.lab.hv.save(&mut chassis.lab.board).unwrap();
    good.delayed = Some((1, good.md));
    good.rng.owner = Some(1);
    assert_eq!(hollow(&good), [""; 0]);
    let load = |record: &HypervisorV1| {
        let mut board = hv::testing::Board::default();
        board.memory = chassis.lab.board.memory.clone();
        board.advance(chassis.lab.board.now());
        let mut hv = Hypervisor::power_on(chassis.lab.hv.memory(), good.md, &mut board).unwrap();
        hv.load(record, &mut board).map(|()| hv.save(&mut board).unwrap())
    };
    assert_eq!(load(&good).as_ref(), Ok(&good));
    let (mut kept, mut refused) = (0, 0);
    for (path, other) in altered(&good) {
        // What is in a guest's own record is altered above.
        if path.contains(".record[") {
            continue;
        }
        match load(&other) {
            Ok(again) => {
                kept += 1;
                assert_eq!(again, other, "{path}: silently changed");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(kept > 50 && refused > 20, "{kept} kept, {refused} refused");
}

#[test]
fn a_record_of_a_chassis_that_breaks_a_rule_is_refused() {
    type Damage = fn(&mut HypervisorV1);
    let breaks: [(&str, Damage); 9] = [
        ("guests", |r| drop(r.guests.pop())),
        ("state", |r| r.guests[1].state = 5),
        ("suspended", |r| r.guests[1].state = GuestState::Suspended as u8),
        ("stopped", |r| r.guests[1].state = GuestState::Stopped as u8),
        ("vcpus", |r| r.guests[1].vcpus.truncate(1)),
        ("no record", |r| r.guests[1].record = None),
        ("control", |r| r.guests[0].record = r.guests[1].record.clone()),
        ("control stopped", |r| r.guests[0].state = 0),
        ("waits", |r| r.delayed = Some((1, Pa(8)))),
    ];
    let mut chassis = busy(HERE);
    chassis.lab.hv.hold(&mut chassis.lab.board).unwrap();
    let good = chassis.lab.hv.save(&mut chassis.lab.board).unwrap();
    for (what, damage) in breaks {
        let mut record = good.clone();
        damage(&mut record);
        assert!(loaded(&chassis, &record).is_err(), "{what}");
    }
    let mut bytes = good.guests[1].record.clone().unwrap();
    bytes.push(0);
    let mut record = good.clone();
    record.guests[1].record = Some(bytes);
    assert!(loaded(&chassis, &record).is_err());
    assert!(loaded(&chassis, &good).is_ok());
}
