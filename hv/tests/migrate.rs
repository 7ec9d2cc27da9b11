//! A guest moves from one chassis to another by the calls that a manager makes.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

mod chassis;

use chassis::{BASE, BUFFER, Chassis, LIST, PRIMARY, ROVER, with_rover};
use hv::GuestState;
use hv::platform::Memory as _;
use hv::{EndpointV1, GuestV1, PermanentV1};
use sha2::{Digest as _, Sha256};
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::{HvError, nr};
use sun4v::hvctl::migrate::{Buffer, Pages, Request};
use sun4v::hvctl::{self, Detail, Status};
use sun4v::hvmd::{CryptoConf, CryptoKind};
use sun4v::id::{CoreId, VcpuId};
use sun4v::record::alter::altered;
use sun4v::record::{StrandV1, TsbV1, decode, encode};
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
    let mut chassis = Chassis::open(&with_rover(pa));
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

#[test]
fn a_suspend_waits_for_crypto_units() {
    let mut config = with_rover(HERE);
    config.crypto =
        vec![CryptoConf { core: CoreId(1), kind: CryptoKind::Cwq, guest: ROVER, ino: 0x20 }];
    let mut chassis = Chassis::open(&config);
    chassis.start_rover();
    negotiate(&mut chassis);
    let handle = chassis.rover(0, nr::ncs_qconf, [2, BASE + 0x4000, 4, 0, 0])[0];
    chassis.lab.caller = (ROVER, VcpuId(0));
    chassis.lab.poke(BASE + 0x4008, &(BASE + 0x8000).to_be_bytes());
    chassis.rover(0, nr::ncs_settail, [handle, 64, 0, 0, 0]);
    chassis.say(hvctl::Request::Migrate(Request::Suspend(1)));
    chassis.say(hvctl::Request::GetHvConfig);
    assert_eq!(chassis.lab.board.words.len(), 1);
    assert!(chassis.boundary().iter().all(|reply| reply.op == hvctl::Op::NewResStat));
    assert!(!chassis.lab.hv.runs(ROVER));
    chassis.lab.hv.cwq_done(CoreId(1), &[true], &mut chassis.lab.board);
    let replies = [chassis.hear().unwrap(), chassis.hear().unwrap()];
    assert_eq!(replies.map(|reply| reply.op), [hvctl::Op::Suspend, hvctl::Op::GetHvConfig]);
    let (guest, _) = parts(&state_out(&mut chassis));
    assert_eq!((guest.crypto[0].head, guest.crypto[0].core), (64, 1));
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
    chassis.migrate(Request::LogStart(1)).unwrap();
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
        |g, _| g.crypto.push(hv::CryptoV1 { core: 1, entries: 2, ..Default::default() }),
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
    let mut here = busy(HERE);
    here.migrate(Request::Suspend(1)).unwrap();
    let state = state_out(&mut here);
    let (guest, strands) = parts(&state);
    let (mut kept, mut refused) = (0, 0);
    for (path, other) in altered(&guest) {
        let bytes = whole(&other, &strands);
        assert_ne!(Sha256::digest(&bytes), Sha256::digest(&state), "{path}: the digest is blind");
        let mut there = shell();
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
