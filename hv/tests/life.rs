//! A guest's life by its own calls: exits and resets, the control domain's and the last
//! guest's; the watchdog; the random number generator as a driver sets it up; trap trace.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

mod chassis;

use chassis::{BASE, Chassis, PRIMARY, ROVER, factory, mblock, with_rover};
use hv::platform::{Memory as _, SpMessage};
use hv::testing::Lab;
use hv::{GuestState, Outcome, Trap};
use sun4v::addr::Pa;
use sun4v::hcall::{HvError, nr};
use sun4v::hvctl::{Request, ResData, ResInfo, Status};
use sun4v::hvmd::Privileges;
use sun4v::id::VcpuId;
use sun4v::time::SimTime;
use sun4v::ttrace::TraceRecord;

const V0: VcpuId = VcpuId(0);
const V1: VcpuId = VcpuId(1);
const PA: u64 = 0x2000_0000;

/// A chassis whose guest runs on both of its virtual CPUs.
fn running() -> Chassis {
    let mut chassis = Chassis::open(&with_rover(PA));
    chassis.start_rover();
    chassis.lab.caller = (ROVER, V0);
    chassis.lab.core(0, [1, 1, 1, 0, 0]);
    chassis.rover(0, nr::cpu_start, [1, BASE, BASE, 0, 0]);
    chassis
}

/// A call of one of the guest's virtual CPUs, without a boundary.
fn trap(chassis: &mut Chassis, vcpu: VcpuId, nr: u64, arg: u64) -> Outcome {
    chassis.lab.caller = (ROVER, vcpu);
    chassis.lab.trap(Trap::Hypercall { number: 0x80, args: [arg, 0, 0, 0, 0, nr] })
}

#[test]
fn of_two_that_ask_the_first_is_heard() {
    // Both end the guest: it ends once.
    let mut chassis = running();
    assert_eq!(trap(&mut chassis, V1, nr::mach_exit, 7), Outcome::Blocked);
    assert_eq!(trap(&mut chassis, V0, nr::mach_exit, 8), Outcome::Blocked);
    chassis.boundary();
    // Of calls at one time that of the lower virtual CPU comes first.
    assert_eq!(chassis.lab.board.exited, [(ROVER, 8)]);
    // One resets it; what the other had asked for is not the new one's.
    let mut chassis = running();
    assert_eq!(trap(&mut chassis, V0, nr::mach_sir, 0), Outcome::Blocked);
    assert_eq!(trap(&mut chassis, V1, nr::mach_exit, 8), Outcome::Blocked);
    chassis.boundary();
    assert!(chassis.lab.board.exited.is_empty());
    assert!(chassis.lab.hv.runs(ROVER));
    chassis.boundary();
    assert!(chassis.lab.hv.runs(ROVER));
    // One that the manager is stopping has nothing to ask.
    assert_eq!(trap(&mut chassis, V0, nr::mach_sir, 0), Outcome::Blocked);
    chassis.say(Request::GuestStop(1));
    chassis.boundary();
    assert_eq!(chassis.lab.hv.guest(ROVER).unwrap().state, GuestState::Stopped);
    assert!(chassis.lab.board.exited.is_empty());
}

#[test]
fn a_reset_leaves_memory_but_for_the_image_and_a_start_does_not() {
    let mut chassis = running();
    chassis.lab.caller = (ROVER, V0);
    chassis.lab.poke(BASE, &[0; 16]);
    chassis.lab.poke(BASE + 0x1000, b"a message buffer");
    let image = chassis.lab.peek::<16>(BASE + 16);
    chassis.lab.call(nr::mach_sir, [0; 5]);
    assert!(chassis.lab.hv.runs(ROVER));
    assert_eq!(&chassis.lab.peek::<16>(BASE + 0x1000), b"a message buffer");
    assert_ne!(chassis.lab.peek::<16>(BASE), [0; 16], "the image is there again");
    assert_eq!(chassis.lab.peek::<16>(BASE + 16), image);
    assert_eq!(chassis.ask(Request::GuestStop(1)).status, Status::Ok);
    chassis.boundary();
    chassis.start_rover();
    chassis.lab.caller = (ROVER, V0);
    assert_eq!(chassis.lab.peek::<16>(BASE + 0x1000), [0; 16]);
}

#[test]
fn the_control_domain_begins_anew_with_what_was_kept_for_its_end() {
    let mut chassis = Chassis::open(&with_rover(PA));
    chassis.start_rover();
    let mut config = with_rover(PA);
    config.mblocks.push(mblock(0, 0x4000_0000, 0x3000_0000, 0x2000));
    let md = chassis.propose(&config);
    let delayed = Request::GuestDelayedReconf { md, guest: 0 };
    assert_eq!(chassis.ask(delayed).status, Status::Ok);
    let board = &mut chassis.lab.board;
    board.started.clear();
    let [a, b] = [nr::mach_exit, 0];
    let exit = chassis.lab.hv.native_call(PRIMARY, V0, 0x80, a, [b; 5], board);
    assert!(exit.is_ok());
    let hv = &chassis.lab.hv;
    assert!(hv.runs(PRIMARY) && hv.runs(ROVER));
    assert_eq!((chassis.lab.board.started.len(), &chassis.lab.board.exited[..]), (1, &[][..]));
    assert!(chassis.lab.board.told.is_empty());
    assert_eq!(chassis.lab.hv.guest(PRIMARY).unwrap().map.bytes(), 0x100_2000);
}

#[test]
fn the_last_guest_takes_the_power_unless_something_waits_for_its_end() {
    let exit = |chassis: &mut Chassis| {
        let Lab { hv, board, .. } = &mut chassis.lab;
        hv.native_call(PRIMARY, V0, 0xff, 2, [5, 0, 0, 0, 0], board).unwrap();
    };
    let mut chassis = Chassis::open(&factory());
    let md = chassis.propose(&with_rover(PA));
    assert_eq!(chassis.ask(Request::GuestDelayedReconf { md, guest: 0 }).status, Status::Ok);
    exit(&mut chassis);
    assert!(chassis.lab.board.told.is_empty() && chassis.lab.hv.runs(PRIMARY));
    assert!(chassis.lab.hv.guest(ROVER).is_some());
    let mut chassis = Chassis::open(&factory());
    exit(&mut chassis);
    assert_eq!(chassis.lab.board.told, [SpMessage::PowerOff]);
    assert_eq!(chassis.lab.board.exited, [(PRIMARY, 5)]);
    assert!(!chassis.lab.hv.runs(PRIMARY));
    assert_eq!(SpMessage::PowerOff.command(), 0x8000_0000_0000_5000);
}

#[test]
fn a_watchdog_ends_on_its_beat_however_often_somebody_looks() {
    for step in [1, 10, 250, 1000, 3333] {
        let mut chassis = Chassis::open(&with_rover(PA));
        chassis.lab.board.advance(SimTime::ms(700));
        chassis.call(nr::mach_set_watchdog, [2001, 0, 0, 0, 0]).unwrap();
        assert_eq!(chassis.lab.hv.due(), SimTime::secs(4));
        let told = |chassis: &Chassis| chassis.lab.board.told.len();
        let mut now = 700;
        while now + step < 4000 {
            now += step;
            chassis.lab.board.advance(SimTime::ms(step));
            chassis.lab.hv.boundary(&mut chassis.lab.board);
            assert_eq!(told(&chassis), 0, "at {now} ms");
        }
        chassis.lab.board.advance(SimTime::ms(4000 - now));
        chassis.lab.hv.boundary(&mut chassis.lab.board);
        assert_eq!(chassis.lab.board.told, [SpMessage::WatchdogExpired]);
        // Once.
        chassis.lab.board.advance(SimTime::secs(9));
        chassis.lab.hv.boundary(&mut chassis.lab.board);
        assert_eq!((told(&chassis), chassis.lab.hv.due()), (1, SimTime::NEVER));
    }
}

#[test]
fn a_watchdog_that_is_set_again_does_not_end_and_another_guests_never_does() {
    let mut chassis = running();
    chassis.rover(0, nr::mach_set_watchdog, [1, 0, 0, 0, 0]);
    for _ in 0..10 {
        chassis.call(nr::mach_set_watchdog, [1000, 0, 0, 0, 0]).unwrap();
        chassis.lab.board.advance(SimTime::secs(1));
        chassis.boundary();
    }
    assert!(chassis.lab.board.told.is_empty());
    assert_eq!(chassis.rover(0, nr::mach_set_watchdog, [0; 5])[0], 2000);
}

#[test]
fn the_service_processor_resets_the_control_domain_and_nobody_else() {
    let mut chassis = running();
    chassis.lab.board.started.clear();
    assert_eq!(chassis.lab.hv.sp_reset(&mut chassis.lab.board), Ok(()));
    assert_eq!(chassis.lab.board.started, [PRIMARY].into());
    assert!(chassis.lab.hv.runs(PRIMARY) && chassis.lab.hv.runs(ROVER));
    // Its session with the hypervisor has ended; it begins another.
    assert!(
        chassis
            .lab
            .hv
            .guest(PRIMARY)
            .unwrap()
            .endpoints
            .values()
            .all(|end| { !end.tx.is_configured() && !end.rx.is_configured() })
    );
}

#[test]
fn a_clock_that_was_set_is_told_once() {
    let mut chassis = running();
    chassis.boundary();
    chassis.rover(0, nr::tod_set, [1_308_301_456 + 9, 0, 0, 0, 0]);
    chassis.lab.caller = (PRIMARY, V0);
    let told: Vec<_> = chassis.boundary().into_iter().map(|reply| reply.body).collect();
    let (res, info) = ResInfo::Tod.codes();
    let data = ResData::Tod(9).to_bytes();
    let expected = sun4v::hvctl::Body::ResStat { res, id: 1, info, code: 0, data };
    assert_eq!(told, [expected]);
    // Not again before it was read, and never when nothing changed.
    chassis.rover(0, nr::tod_set, [1_308_301_456, 0, 0, 0, 0]);
    assert!(chassis.boundary().is_empty());
    chassis.ask(Request::GetResStat { res, id: 1, info });
    chassis.rover(0, nr::tod_set, [1_308_301_456, 0, 0, 0, 0]);
    assert!(chassis.boundary().is_empty());
}

/// What a driver of the generator does: words, and the states.
const CELLS: u64 = 2048 << 9 | 2 << 4 | 8 | 7;
const TEST: u64 = 38857 << 9 | 2 << 4 | 8;

#[test]
fn a_driver_finds_the_generator_in_error_tests_it_and_sets_it_up() {
    let mut lab = Lab::new();
    let (owner, user) = ((PRIMARY, V0), (ROVER, V0));
    let read = |lab: &mut Lab, who| {
        lab.caller = who;
        let answer = lab.call(nr::rng_data_read, [BASE + 0x1000, 0, 0, 0, 0]);
        (HvError::from_code(answer.status), answer.rets[0])
    };
    let write = |lab: &mut Lab, words: [u64; 4], state, timeout| {
        lab.caller = owner;
        lab.poke(BASE + 0x2000, &words.map(u64::to_be_bytes).concat());
        let answer = lab.call(nr::rng_ctl_write, [BASE + 0x2000, state, timeout, 0, 0]);
        (HvError::from_code(answer.status), answer.rets[0])
    };
    // A guest that only reads keeps trying until the control domain is done.
    assert_eq!(read(&mut lab, user), (Some(HvError::NoAccess), 0));
    // The control domain takes it, and writes words without noise for its test.
    lab.caller = owner;
    assert_eq!(lab.call(nr::rng_get_diag_control, [0; 5]).status, 0);
    let quiet = [0x20, 0x20, 0x20, TEST];
    assert_eq!(write(&mut lab, quiet, 2, 3000), (None, 3000));
    assert_eq!(read(&mut lab, user), (Some(HvError::Io), 0), "under test");
    lab.caller = owner;
    let early = lab.call(nr::rng_data_read_diag, [BASE + 0x3000, 64, 0, 0, 0]);
    assert_eq!((early.status, early.rets[0]), (HvError::WouldBlock.code(), 3000));
    lab.board.advance(SimTime::us(1));
    let early = lab.call(nr::rng_data_read_diag, [BASE + 0x3000, 64, 0, 0, 0]);
    assert_eq!((early.status, early.rets[0]), (HvError::WouldBlock.code(), 3000 - 1165));
    lab.board.advance(SimTime::us(2));
    assert_eq!(lab.call(nr::rng_data_read_diag, [BASE + 0x3000, 64, 0, 0, 0]).status, 0);
    let test = lab.peek::<64>(BASE + 0x3000);
    assert!(test.chunks(8).all(|word| word == 0xb882_0c7b_d387_e32c_u64.to_be_bytes()));
    // It gives it back unconfigured, then sets it up for everybody.
    assert_eq!(write(&mut lab, quiet, 0, 0), (None, 0));
    assert_eq!(read(&mut lab, user), (Some(HvError::Io), 0));
    assert_eq!(write(&mut lab, [CELLS; 4], 1, 2330), (None, 2330));
    assert_eq!(read(&mut lab, user), (Some(HvError::WouldBlock), 2330));
    lab.board.advance(SimTime::us(2));
    assert_eq!(read(&mut lab, user), (None, 0));
    let first = lab.peek::<8>(BASE + 0x1000);
    assert_eq!(read(&mut lab, user), (None, 0));
    assert_ne!(lab.peek::<8>(BASE + 0x1000), first);
    // A guest with the privilege may take it away.
    let mut guest = lab.hv.take(ROVER).unwrap();
    guest.conf.as_mut().unwrap().privileges = Privileges { rng: true, ..Default::default() };
    lab.hv.put(guest);
    lab.caller = user;
    assert_eq!(lab.call(nr::rng_get_diag_control, [0; 5]).status, 0);
    assert_eq!(write(&mut lab, quiet, 2, 0), (Some(HvError::Io), 0));
}

/// The records of a buffer of `slots` at `ra`, and its header.
fn records(lab: &Lab, ra: u64, slots: u64) -> (u64, u64, Vec<TraceRecord>) {
    let word = |at| u64::from_be_bytes(lab.peek(at));
    let records = (1..slots).map(|slot| TraceRecord::from_bytes(&lab.peek(ra + slot * 64)));
    (word(ra), word(ra + 8), records.collect())
}

#[test]
fn traps_are_recorded_in_a_ring_while_it_is_on_and_not_frozen() {
    let mut lab = Lab::new();
    let ra = BASE + 0x4000;
    lab.call(nr::ttrace_buf_conf, [ra, 4, 0, 0, 0]);
    lab.call(nr::cpu_myid, [0; 5]);
    assert_eq!(records(&lab, ra, 4), (64, 64, vec![TraceRecord::default(); 3]), "off");
    lab.call(nr::ttrace_enable, [1, 0, 0, 0, 0]);
    lab.board.advance(SimTime::us(1));
    lab.call(nr::cpu_qinfo, [0x3c, 11, 12, 13, 14]);
    lab.core(3, [1, 0, 0, 0, 0]);
    lab.number(0x84, 0, [BASE, 0, 1, 99, 0]);
    let (last, next, ring) = records(&lab, ra, 4);
    assert_eq!((last, next), (192, 64));
    let common = TraceRecord { kind: 1, hpstate: 2, tl: 1, gl: 1, tick: 1165, ..ring[0] };
    assert_eq!(ring[0], TraceRecord { tt: 0x180, tag: 0x15, values: [0x3c, 11, 12, 13], ..common });
    assert_eq!(ring[1], TraceRecord { tt: 0x1ff, tag: 3, values: [1, 0, 0, 0], ..common });
    assert_eq!(ring[2], TraceRecord { tt: 0x184, tag: 0, values: [BASE, 0, 1, 0], ..common });
    assert_eq!(common.tpc, BASE, "where the virtual CPU stands");
    // Behind the last slot comes the first; other traps are recorded too; 0x85 is not.
    lab.trap(Trap::Miss { instruction: false, va: 0x1_2345, context: 3 });
    lab.number(0x85, 0, [0xabcd, 1, 2, 3, 4]);
    let (last, next, ring) = records(&lab, ra, 4);
    assert_eq!((last, next), (128, 192));
    assert_eq!(ring[0], TraceRecord { tt: 0x68, tag: 0, values: [0; 4], ..common });
    let own = TraceRecord { kind: 0xff, tl: 0, tt: 0x185, tag: 0xabcd, ..common };
    assert_eq!(ring[1], TraceRecord { values: [1, 2, 3, 4], ..own });
    // The other virtual CPU has no buffer.
    lab.caller.1 = V1;
    lab.call(nr::cpu_myid, [0; 5]);
    assert_eq!(records(&lab, ra, 4).1, 192);
    lab.caller.1 = V0;
    // The call that freezes is the last.
    lab.call(nr::ttrace_freeze, [1, 0, 0, 0, 0]);
    let frozen = records(&lab, ra, 4);
    assert_eq!((frozen.1, frozen.2[2].tag), (64, 0x93));
    lab.call(nr::cpu_myid, [0; 5]);
    lab.number(0x85, 0, [1, 1, 2, 3, 4]);
    assert_eq!(records(&lab, ra, 4), frozen);
    lab.call(nr::ttrace_freeze, [0, 0, 0, 0, 0]);
    lab.call(nr::cpu_myid, [0; 5]);
    assert_eq!(records(&lab, ra, 4).1, 128);
}

#[test]
fn a_record_of_the_guests_own_says_what_its_trap_level_says() {
    let mut lab = Lab::new();
    let ra = BASE + 0x4000;
    lab.call(nr::ttrace_buf_conf, [ra, 4, 0, 0, 0]);
    // In a trap, at level 1.
    let seats = lab.board.seats.get_mut(&PRIMARY).unwrap();
    let seen = seats.seen.get_mut(&V0).unwrap();
    seen.registers = Some(sun4v::record::StrandV1 {
        pc: 0x40_2000,
        tl: 1,
        gl: 1,
        pstate: 0x14,
        ccr: 0x44,
        asi: 0x82,
        window_state: [3, 0, 0, 0, 0, 0],
        trap_stack: [[0x1_2340, 0x1_2344, 0x99_8200_1205, 0x68], [0; 4]],
        ..Default::default()
    });
    lab.number(0x85, 0, [7, 1, 2, 3, 4]);
    let (.., ring) = records(&lab, ra, 4);
    let expected = TraceRecord {
        kind: 0xff,
        hpstate: 2,
        tl: 1,
        gl: 2,
        tt: 0x68,
        tag: 7,
        tstate: 0x99_8200_1205,
        tick: 0,
        tpc: 0x1_2340,
        values: [1, 2, 3, 4],
    };
    assert_eq!(ring[0], expected);
    // What the hypervisor notes of a call from there.
    lab.call(nr::ttrace_enable, [1, 0, 0, 0, 0]);
    lab.call(nr::cpu_myid, [0; 5]);
    let (.., ring) = records(&lab, ra, 4);
    let call = TraceRecord { tstate: 1 << 40 | 0x44_8200_1403, tpc: 0x40_2000, ..ring[1] };
    assert_eq!(ring[1], call);
    assert_eq!((call.tl, call.gl, call.tt, call.tag), (2, 2, 0x180, 0x16));
    assert_eq!(lab.board.memory.read_u64(Pa(0x1000_4008)), 192);
}
