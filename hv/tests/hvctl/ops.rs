//! The operations of the protocol, one by one, down to the bytes.

use crate::chassis::{
    BASE, Chassis, FIRST_MD, OTHER_MD, PRIMARY, ROVER, factory, guest, mblock, vcpu, with_devices,
    with_rover,
};
use hv::platform::Memory as _;
use hv::testing::HV_MEMORY;
use hv::{GuestState, VcpuState};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use sun4v::addr::Pa;
use sun4v::hcall::nr;
use sun4v::hvctl::{
    self, Body, Detail, HvInfo, Op, REPLY_OFFSET, RcFail, Request, ResData, ResInfo, ResKind,
    Status, VERSION, Version, challenge, response,
};
use sun4v::id::{GuestId, VcpuId};

const PA: u64 = 0x2000_0000;

/// The big-endian number at an offset of a message.
fn at(message: &[u8; 64], offset: usize, bytes: usize) -> u64 {
    message[offset..offset + bytes].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Operation, number and status of a message.
fn head(message: &[u8; 64]) -> (u64, u64, u64) {
    (at(message, 0, 2), at(message, 2, 2), at(message, 6, 2))
}

/// Sends a message in its turn; the reply alone.
fn raw(chassis: &mut Chassis, op: u16, payload: &[(usize, u64, usize)]) -> [u8; 64] {
    let mut message = [0; 64];
    message[..2].copy_from_slice(&op.to_be_bytes());
    message[2..4].copy_from_slice(&chassis.seqn.to_be_bytes());
    for &(offset, number, bytes) in payload {
        let number = number.to_be_bytes();
        message[offset..offset + bytes].copy_from_slice(&number[8 - bytes..]);
    }
    chassis.seqn = chassis.seqn.wrapping_add(1);
    let mut answers = chassis.exchange(message);
    answers.retain(|answer| head(answer) != (12, 0, 0));
    let [answer] = answers[..] else { panic!("{answers:?}") };
    answer
}

fn is_closed(chassis: &mut Chassis) -> bool {
    head(&raw(chassis, 3, &[])).2 == 2
}

/// Puts the guest into a state, whatever it did.
fn force(chassis: &mut Chassis, id: GuestId, state: GuestState) {
    let mut guest = chassis.lab.hv.take(id).unwrap();
    guest.state = state;
    guest.state_news = false;
    chassis.lab.hv.put(guest);
}

#[test]
fn op_0_hello_is_answered_by_a_challenge_with_our_version() {
    for minor in [0, 1, 7] {
        let mut chassis = Chassis::silent(&factory(), 64);
        let first = chassis.seqn;
        let answer = raw(&mut chassis, 0, &[(8, 1, 2), (10, minor, 2)]);
        let number = u64::from(first + 1 + REPLY_OFFSET);
        assert_eq!(head(&answer), (1, number, 0));
        assert_eq!((at(&answer, 16, 2), at(&answer, 18, 2)), (1, 1));
        assert_eq!(answer[20..], [0; 44]);
        // The right response is the code without one key and with the other.
        let code = at(&answer, 8, 8) ^ 0xb_adbe_ef20 ^ 0x1_2caf_e42a;
        assert_eq!(head(&raw(&mut chassis, 2, &[(8, code, 8)])), (2, number + 1, 0));
        assert!(!is_closed(&mut chassis));
    }
}

#[test]
fn op_0_hello_of_another_major_is_not_supported() {
    for major in [0, 2, 0xffff] {
        let mut chassis = Chassis::open(&factory());
        let answer = raw(&mut chassis, 0, &[(8, major, 2), (10, 1, 2)]);
        let (op, _, status) = head(&answer);
        assert_eq!((op, status, at(&answer, 8, 2), at(&answer, 10, 2)), (0, 3, 1, 1));
        assert!(is_closed(&mut chassis));
    }
}

#[test]
fn op_0_hello_begins_anew_in_any_state_and_numbers_wrap() {
    let mut chassis = Chassis::open(&factory());
    chassis.seqn = 0xffff;
    chassis.reopen(1);
    assert_eq!(chassis.seqn, 1);
    assert!(!is_closed(&mut chassis));
    chassis.ask(Request::Hello(VERSION));
    chassis.reopen(1);
    assert!(!is_closed(&mut chassis));
}

#[test]
fn ops_1_and_12_are_the_hypervisors_and_close_the_session() {
    for op in [1, 12] {
        let mut chassis = Chassis::open(&factory());
        let (echo, _, status) = head(&raw(&mut chassis, op, &[]));
        assert_eq!((echo, status), (u64::from(op), 2));
        assert!(is_closed(&mut chassis));
    }
}

#[test]
fn op_2_response_must_know_the_key_and_come_once() {
    let mut chassis = Chassis::silent(&factory(), 64);
    chassis.ask(Request::Hello(VERSION));
    assert_eq!(head(&raw(&mut chassis, 2, &[(8, 1, 8)])).2, 2);
    assert!(is_closed(&mut chassis));
    chassis.reopen(1);
    assert_eq!(head(&raw(&mut chassis, 2, &[(8, response(challenge(0)), 8)])).2, 2);
    assert!(is_closed(&mut chassis));
}

#[test]
fn op_3_get_hvconfig_says_where_everything_lies() {
    let mut chassis = Chassis::open(&with_rover(PA));
    let answer = raw(&mut chassis, 3, &[]);
    assert_eq!((at(&answer, 8, 8), at(&answer, 16, 8)), (HV_MEMORY.base.0, HV_MEMORY.bytes));
    assert_eq!((at(&answer, 24, 8), at(&answer, 32, 8)), (FIRST_MD.0, 0));
    assert_eq!((at(&answer, 40, 4), &answer[44..]), (0xffff_ffff, &[0; 20][..]));
    let md = chassis.propose(&with_rover(PA));
    assert_eq!(head(&raw(&mut chassis, 7, &[(8, md.0, 8), (16, 1, 4)])).2, 0);
    let answer = raw(&mut chassis, 3, &[]);
    assert_eq!((at(&answer, 24, 8), at(&answer, 32, 8)), (FIRST_MD.0, md.0));
    assert_eq!(at(&answer, 40, 4), 1);
}

#[test]
fn op_4_reconfigure_fails_with_md_resource_code_element_and_id() {
    let mut chassis = Chassis::open(&factory());
    let mut config = with_rover(PA);
    config.vcpus[3].strand = config.vcpus[2].strand;
    let md = chassis.propose(&config);
    let answer = raw(&mut chassis, 4, &[(8, md.0, 8), (16, !0, 4)]);
    assert_eq!(head(&answer).2, 4);
    assert_eq!((at(&answer, 8, 8), at(&answer, 16, 4), at(&answer, 20, 4)), (md.0, 1, 10));
    let element = at(&answer, 24, 4) as usize * 16;
    let mut bytes = [0; 16];
    chassis.lab.board.memory.read(md.offset(16 + element as u64), &mut bytes);
    assert_eq!((bytes[0], at(&answer, 28, 4)), (b'N', 8), "the node's first element");
    assert_eq!(answer[32..], [0; 32]);
}

#[test]
fn op_5_guest_start_is_for_stopped_guests() {
    let mut text = String::new();
    for state in [
        GuestState::Stopped,
        GuestState::Resetting,
        GuestState::Normal,
        GuestState::Suspended,
        GuestState::Exiting,
    ] {
        let mut chassis = Chassis::open(&with_rover(PA));
        force(&mut chassis, ROVER, state);
        let answer = raw(&mut chassis, 5, &[(8, 1, 4)]);
        assert_eq!(at(&answer, 8, 4), 0, "the guest is not repeated");
        writeln!(text, "{state:?}: {} {}", head(&answer).2, at(&answer, 12, 4)).unwrap();
    }
    for id in [2, 63, 64, !0] {
        let answer = raw(&mut Chassis::open(&with_rover(PA)), 5, &[(8, id, 4)]);
        writeln!(text, "{:#x}: {} {}", id as u32, head(&answer).2, at(&answer, 12, 4)).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn op_6_guest_stop_is_for_guests_that_run() {
    let mut text = String::new();
    for state in [
        GuestState::Stopped,
        GuestState::Resetting,
        GuestState::Normal,
        GuestState::Suspended,
        GuestState::Exiting,
    ] {
        let mut chassis = Chassis::open(&with_rover(PA));
        force(&mut chassis, ROVER, state);
        let answer = raw(&mut chassis, 6, &[(8, 1, 4)]);
        writeln!(text, "{state:?}: {} {}", head(&answer).2, at(&answer, 12, 4)).unwrap();
    }
    // All its virtual CPUs in error: nobody can carry it out.
    let mut chassis = Chassis::open(&with_rover(PA));
    chassis.start_rover();
    let mut own = chassis.lab.hv.take(ROVER).unwrap();
    own.vcpus.values_mut().for_each(|vcpu| vcpu.state = VcpuState::Error);
    chassis.lab.hv.put(own);
    let answer = raw(&mut chassis, 6, &[(8, 1, 4)]);
    writeln!(text, "in error: {} {}", head(&answer).2, at(&answer, 12, 4)).unwrap();
    for id in [0, 2, 64, !0] {
        let answer = raw(&mut Chassis::open(&with_rover(PA)), 6, &[(8, id, 4)]);
        writeln!(text, "{:#x}: {} {}", id as u32, head(&answer).2, at(&answer, 12, 4)).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn op_7_a_refused_delayed_md_leaves_the_pending_one_alone_from_version_1_1_on() {
    for (minor, kept) in [(1, true), (0, false)] {
        let mut chassis = Chassis::open(&with_rover(PA));
        chassis.reopen(minor);
        let md = chassis.propose(&with_rover(PA));
        let ask = |chassis: &mut Chassis, md| {
            chassis.ask(Request::GuestDelayedReconf { md, guest: 1 }).status
        };
        assert_eq!(ask(&mut chassis, md), Status::Ok);
        assert_eq!(ask(&mut chassis, Pa(HV_MEMORY.bytes)), Status::BadMd);
        let pending = chassis.ask(Request::CancelReconf).status;
        assert_eq!(pending == Status::Ok, kept, "minor {minor}");
    }
}

#[test]
fn op_7_comes_into_force_when_the_control_domain_itself_begins_anew() {
    let mut chassis = Chassis::open(&with_rover(PA));
    let mut config = with_rover(PA);
    config.vcpus.push(vcpu(2, 0, 2));
    config.mblocks.push(mblock(0, 1 << 32, 0x3000_0000, 0x2000));
    let md = chassis.propose(&config);
    assert_eq!(
        chassis.ask(Request::GuestDelayedReconf { md, guest: 0 }).status,
        Status::Ok,
        "as if it were stopped"
    );
    chassis.lab.caller = (PRIMARY, VcpuId(0));
    chassis.lab.call(nr::mach_sir, [0; 5]);
    assert_eq!(chassis.lab.hv.config(), &config);
    assert!(chassis.lab.hv.runs(PRIMARY));
    chassis.check_whole();
}

#[test]
fn ops_8_and_9_are_named_and_close_the_session() {
    for op in [8, 9] {
        let mut chassis = Chassis::open(&with_rover(PA));
        assert_eq!(head(&raw(&mut chassis, op, &[(8, 1, 4)])).2, 2);
        assert!(is_closed(&mut chassis));
        assert_eq!(chassis.lab.hv.guest(ROVER).unwrap().state, GuestState::Stopped);
    }
}

#[test]
fn op_10_guest_panic_needs_a_running_virtual_cpu_of_another_guest() {
    let mut text = String::new();
    let mut ask = |name: &str, chassis: &mut Chassis, id| {
        let answer = raw(chassis, 10, &[(8, id, 4)]);
        writeln!(text, "{name}: {} {}", head(&answer).2, at(&answer, 12, 4)).unwrap();
    };
    let running = || {
        let mut chassis = Chassis::open(&with_rover(PA));
        chassis.start_rover();
        chassis.lab.caller = (ROVER, VcpuId(0));
        chassis.lab.core(0, [1, 1, 0, 0, 0]);
        chassis.rover(0, nr::cpu_qconf, [0x3f, BASE + 0x1000, 4, 0, 0]);
        chassis
    };
    ask("Normal", &mut running(), 1);
    for state in
        [GuestState::Stopped, GuestState::Resetting, GuestState::Suspended, GuestState::Exiting]
    {
        let mut chassis = running();
        force(&mut chassis, ROVER, state);
        ask(&format!("{state:?}"), &mut chassis, 1);
    }
    let mut chassis = running();
    let mut own = chassis.lab.hv.take(ROVER).unwrap();
    own.vcpus.values_mut().for_each(|vcpu| vcpu.state = VcpuState::Stopped);
    chassis.lab.hv.put(own);
    ask("no virtual CPU runs", &mut chassis, 1);
    for id in [0, 2, 64, !0] {
        ask(&format!("{:#x}", id as u32), &mut running(), id);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn op_11_get_res_stat_does_not_repeat_what_was_asked() {
    let mut chassis = Chassis::open(&with_rover(PA));
    chassis.start_rover();
    for (res, id, info) in [(0, 1, 0), (0, 1, 1), (0, 1, 2), (0, 1, 3), (1, 8, 0), (8, 0, 0)] {
        let answer = raw(&mut chassis, 11, &[(8, res, 4), (12, id, 4), (16, info, 4)]);
        assert_eq!(answer[8..20], [0; 12], "{res} {id} {info}");
    }
    let answer = raw(&mut chassis, 11, &[(8, 0, 4), (12, 1, 4), (16, 0, 4)]);
    assert_eq!((at(&answer, 24, 8), &answer[32..]), (2, &[0; 32][..]), "it runs");
    let answer = raw(&mut chassis, 11, &[(8, 0, 4), (12, 5, 4), (16, 0, 4)]);
    assert_eq!(at(&answer, 24, 8), 0xff, "it is not configured");
    let answer = raw(&mut chassis, 11, &[(8, 1, 4), (12, 8, 4)]);
    assert_eq!((at(&answer, 24, 1), at(&answer, 25, 7)), (2, 0), "it runs");
}

#[test]
fn op_11_a_soft_state_is_a_byte_and_32_characters() {
    let mut chassis = Chassis::open(&with_rover(PA));
    chassis.start_rover();
    chassis.lab.caller = (ROVER, VcpuId(0));
    chassis.lab.core(0, [3, 1, 0, 0, 0]);
    chassis.lab.poke(BASE + 0x2000, b"rover: running\0");
    chassis.rover(0, nr::soft_state_set, [1, BASE + 0x2000, 0, 0, 0]);
    let answer = raw(&mut chassis, 11, &[(8, 0, 4), (12, 1, 4), (16, 1, 4)]);
    assert_eq!(
        (answer[24], &answer[25..40], &answer[57..]),
        (1, &b"rover: running\0"[..], &[0; 7][..])
    );
}

#[test]
fn op_12_a_notice_carries_number_zero_and_names_its_item_and_is_told_once() {
    let mut chassis = Chassis::open(&with_rover(PA));
    raw(&mut chassis, 5, &[(8, 1, 4)]);
    chassis.lab.hv.boundary(&mut chassis.lab.board);
    let notice = chassis.receive().unwrap();
    assert_eq!(head(&notice), (12, 0, 0));
    assert_eq!((at(&notice, 8, 4), at(&notice, 12, 4), at(&notice, 16, 4)), (0, 1, 0));
    assert_eq!((at(&notice, 20, 4), at(&notice, 24, 8)), (0, 2));
    assert_eq!(chassis.receive(), None);
    // Numbers of replies go on as if there had been none.
    let next = at(&raw(&mut chassis, 13, &[]), 2, 2);
    let again = at(&raw(&mut chassis, 13, &[]), 2, 2);
    assert_eq!(again, next + 1);
    // Soft states are another item; each is told once until it is read.
    chassis.lab.caller = (ROVER, VcpuId(0));
    chassis.lab.core(0, [3, 1, 0, 0, 0]);
    chassis.lab.poke(BASE + 0x2000, b"up\0");
    for (state, told) in [(1, true), (2, false), (1, false)] {
        chassis.rover(0, nr::soft_state_set, [state, BASE + 0x2000, 0, 0, 0]);
        chassis.lab.hv.boundary(&mut chassis.lab.board);
        let notice = chassis.receive();
        assert_eq!(notice.is_some(), told);
        if let Some(notice) = notice {
            assert_eq!(
                (at(&notice, 16, 4), notice[24], &notice[25..28]),
                (1, 1, &b"up\0"[..]),
                "{notice:x?}"
            );
        }
    }
    raw(&mut chassis, 11, &[(8, 0, 4), (12, 1, 4), (16, 1, 4)]);
    chassis.rover(0, nr::soft_state_set, [2, BASE + 0x2000, 0, 0, 0]);
    chassis.lab.hv.boundary(&mut chassis.lab.board);
    assert!(chassis.receive().is_some());
}

#[test]
fn op_12_nothing_is_told_without_a_session_nor_of_the_control_domain() {
    let mut chassis = Chassis::silent(&with_rover(PA), 64);
    chassis.lab.hv.start(ROVER, &mut chassis.lab.board).unwrap();
    chassis.lab.hv.boundary(&mut chassis.lab.board);
    assert_eq!(chassis.receive(), None);
    chassis.reopen(1);
    chassis.poke(BASE + 0x2000, b"primary: up\0");
    chassis.call(nr::soft_state_set, [1, BASE + 0x2000, 0, 0, 0]).unwrap();
    chassis.lab.hv.boundary(&mut chassis.lab.board);
    assert_eq!(chassis.receive(), None);
}

#[test]
fn op_13_cancel_needs_something_pending() {
    let mut chassis = Chassis::open(&with_rover(PA));
    assert_eq!(head(&raw(&mut chassis, 13, &[])).2, 8);
    let md = chassis.propose(&with_rover(PA));
    raw(&mut chassis, 7, &[(8, md.0, 8), (16, 1, 4)]);
    assert_eq!(head(&raw(&mut chassis, 13, &[])).2, 0);
    assert_eq!(head(&raw(&mut chassis, 13, &[])).2, 8);
    assert_eq!(head(&raw(&mut chassis, 4, &[(8, md.0, 8)])).2, 0, "nothing is in its way");
}

#[test]
fn op_14_guest_only_reconf_takes_guests_and_leaves_what_they_own() {
    let mut chassis = Chassis::open(&with_rover(PA));
    chassis.start_rover();
    let mut config = with_rover(PA);
    config.guests[1].md_pa = Pa(0x1_8000);
    config.guests.push(guest(2, "new", 0));
    // Nothing but guests is looked at, good or bad.
    config.vcpus.remove(2);
    config.mblocks[1].range.pa = Pa(0);
    config.consoles.clear();
    let md = chassis.propose(&config);
    assert_eq!(head(&raw(&mut chassis, 14, &[(8, md.0, 8), (16, 1, 4)])).2, 0);
    let mut wanted = with_rover(PA);
    wanted.guests = config.guests;
    assert_eq!(chassis.lab.hv.config(), &wanted);
    chassis.check_whole();
    assert!(chassis.lab.hv.runs(ROVER));
    assert_eq!(at(&raw(&mut chassis, 3, &[]), 24, 8), md.0, "the MD is in force");
    // A guest that owns nothing may go, another may not.
    let mut config = with_rover(PA);
    let md = chassis.propose(&config);
    assert_eq!(head(&raw(&mut chassis, 14, &[(8, md.0, 8)])).2, 0);
    raw(&mut chassis, 6, &[(8, 1, 4)]);
    chassis.boundary();
    config.guests.pop();
    let md = chassis.propose(&config);
    let answer = raw(&mut chassis, 14, &[(8, md.0, 8)]);
    assert_eq!((head(&answer).2, at(&answer, 16, 4), at(&answer, 20, 4)), (4, 0, 4));
    assert_eq!(at(&answer, 28, 4), 1);
    assert_eq!(chassis.lab.hv.config(), &with_rover(PA));
}

#[test]
fn op_15_guest_only_delayed_takes_guests_now_and_the_pending_resources_at_the_exit() {
    let mut chassis = Chassis::open(&with_rover(PA));
    chassis.start_rover();
    let mut larger = with_rover(PA);
    larger.vcpus.push(vcpu(10, 1, 2));
    larger.mblocks.pop();
    let md = chassis.propose(&larger);
    assert_eq!(head(&raw(&mut chassis, 7, &[(8, md.0, 8), (16, 1, 4)])).2, 0);
    // Meanwhile a variable of the guest changes.
    let mut config = with_rover(PA);
    config.guests[1].md_pa = Pa(0x1_8000);
    let at_md = OTHER_MD.offset(0x1_0000);
    chassis.lab.board.memory.write(at_md, &config.to_md().to_bytes());
    for (guest, status) in [(0, 8), (9, 7), (1, 0)] {
        let answer = raw(&mut chassis, 15, &[(8, at_md.0, 8), (16, guest, 4)]);
        assert_eq!(head(&answer).2, status);
    }
    assert_eq!(chassis.lab.hv.config(), &config, "guests at once");
    let info = raw(&mut chassis, 3, &[]);
    assert_eq!((at(&info, 24, 8), at(&info, 32, 8), at(&info, 40, 4)), (FIRST_MD.0, at_md.0, 1));
    chassis.lab.caller = (ROVER, VcpuId(0));
    chassis.lab.core(2, [0; 5]);
    larger.guests = config.guests;
    assert_eq!(chassis.lab.hv.config(), &larger, "resources at the exit");
    chassis.check_whole();
    assert_eq!(at(&raw(&mut chassis, 3, &[]), 24, 8), at_md.0);
}

#[test]
fn operations_that_nobody_has_close_the_session() {
    for op in (16..0x80).chain(0x8b..0x100).chain([0x101, 0x7fff, 0xffff]) {
        let mut chassis = Chassis::open(&factory());
        let (echo, _, status) = head(&raw(&mut chassis, op, &[]));
        assert_eq!((echo, status), (u64::from(op), 2));
        assert!(is_closed(&mut chassis), "{op:#x}");
    }
}

#[test]
fn our_extension_lies_outside_the_range_of_the_original() {
    let ours: Vec<u16> =
        (0..=u16::MAX).filter(|&op| Op::from_code(op).is_some_and(Op::is_migration)).collect();
    assert_eq!(ours, (0x80..0x8b).collect::<Vec<_>>());
    let theirs = (0..=u16::MAX).filter(|&op| Op::from_code(op).is_some());
    assert!(theirs.filter(|op| !ours.contains(op)).eq(0..16));
}

#[test]
fn checksum_and_status_of_a_command_are_not_looked_at() {
    let mut chassis = Chassis::open(&factory());
    let answer = raw(&mut chassis, 3, &[(4, 0xabcd, 2), (6, 9, 2), (56, !0, 8)]);
    assert_eq!((head(&answer).2, at(&answer, 4, 2)), (0, 0));
}

#[test]
fn a_number_that_is_not_the_next_closes_the_session() {
    for wrong in [1, 2, 0x7fff, 0xfffe, 0xffff] {
        let mut chassis = Chassis::open(&factory());
        chassis.seqn = chassis.seqn.wrapping_add(wrong);
        assert_eq!(head(&raw(&mut chassis, 3, &[])).2, 1);
        assert!(is_closed(&mut chassis));
        // In the middle of a handshake too.
        chassis.ask(Request::Hello(VERSION));
        chassis.seqn = chassis.seqn.wrapping_add(wrong);
        assert_eq!(head(&raw(&mut chassis, 2, &[])).2, 1);
        assert!(is_closed(&mut chassis));
    }
}

/// Every status but RC_FAILED is sent by somebody.
#[test]
fn every_status_is_sent_but_the_one_that_the_original_never_sends() {
    let mut seen = BTreeSet::new();
    let mut chassis = Chassis::open(&with_rover(PA));
    let mut note = |reply: sun4v::hvctl::Reply| assert!(seen.insert(reply.status));
    note(chassis.ask(Request::GetHvConfig));
    note(chassis.ask(Request::GetResStat { res: 9, id: 0, info: 0 }));
    note(chassis.ask(Request::GuestStart(9)));
    note(chassis.ask(Request::CancelReconf));
    note(chassis.ask(Request::GuestStop(0)));
    note(chassis.ask(Request::Reconfigure { md: Pa(HV_MEMORY.bytes), guest: !0 }));
    let mut md = sun4v::md::Md::default();
    md.add("root");
    chassis.lab.board.memory.write(OTHER_MD, &md.to_bytes());
    note(chassis.ask(Request::Reconfigure { md: OTHER_MD, guest: !0 }));
    chassis.seqn += 1;
    note(chassis.ask(Request::GetHvConfig));
    note(chassis.ask(Request::GetHvConfig));
    let all: BTreeSet<_> = (0..10).filter_map(Status::from_code).collect();
    assert_eq!(all.len(), 10);
    let never: Vec<_> = all.difference(&seen).collect();
    assert_eq!(never, [&Status::RcFailed]);
}

/// A manager's session from the beginning to the end.
#[test]
fn a_whole_session() {
    let mut chassis = Chassis::silent(&factory(), 64);
    chassis.ask(Request::GetHvConfig);
    let hello = chassis.ask(Request::Hello(Version { major: 1, minor: 5 }));
    let Body::Challenge { code, .. } = hello.body else { panic!("{hello:?}") };
    chassis.ask(Request::Response(response(code)));
    chassis.ask(Request::GetHvConfig);
    let md = chassis.propose(&with_devices(PA));
    chassis.ask(Request::Reconfigure { md, guest: !0 });
    chassis.ask(Request::GetResStat { res: 0, id: 1, info: 0 });
    chassis.ask(Request::GuestStart(1));
    chassis.boundary();
    chassis.ask(Request::GetResStat { res: 0, id: 1, info: 0 });
    chassis.ask(Request::GetResStat { res: 0, id: 1, info: 1 });
    chassis.ask(Request::GetResStat { res: 1, id: 8, info: 0 });
    chassis.ask(Request::GetResStat { res: 8, id: 0, info: 0 });
    chassis.ask(Request::GetResStat { res: 4, id: 0, info: 0 });
    // The bus for somebody else, while its owner runs.
    let mut config = with_devices(PA);
    config.pcie_bus.as_mut().unwrap().guest = PRIMARY;
    let md = chassis.propose(&config);
    chassis.ask(Request::Reconfigure { md, guest: !0 });
    chassis.ask(Request::GuestDelayedReconf { md, guest: 1 });
    chassis.ask(Request::Reconfigure { md, guest: !0 });
    chassis.ask(Request::GetHvConfig);
    chassis.ask(Request::GuestStop(1));
    chassis.ask(Request::GuestStop(1));
    chassis.boundary();
    chassis.ask(Request::GetResStat { res: 0, id: 1, info: 0 });
    chassis.ask(Request::GetHvConfig);
    chassis.ask(Request::CancelReconf);
    assert_eq!(chassis.lab.hv.config(), &config);
    chassis.check_whole();
    chassis.ask(Request::GuestPanic(1));
    chassis.ask(Request::GuestSuspend);
    chassis.ask(Request::GetHvConfig);
    insta::assert_snapshot!(chassis.said);
}

/// What `get_res_stat` and failed reconfigurations call a kind.
#[test]
fn every_kind_of_resource_has_its_number() {
    let names: Vec<_> = (0..12)
        .map(|code| ResKind::from_code(code).map_or("-".to_owned(), |kind| kind.to_string()))
        .collect();
    let expected = [
        "guest",
        "cpu",
        "mblock",
        "mau",
        "cwq",
        "ldc_endpoint",
        "console",
        "hv_ldc",
        "pcie_bus",
        "guest MD",
        "network_device",
        "-",
    ];
    assert_eq!(names, expected);
    assert_eq!(ResInfo::from_codes(ResKind::PcieBus.code(), 0), None);
    assert_eq!(Detail::from_code(43), Some(Detail::PcieMissingProperty));
    assert_eq!(Detail::from_code(50), Some(Detail::NetworkMissingGuest));
}

/// An item of a guest that is not there, and of one that never ran.
#[test]
fn items_of_guests_that_do_not_run_are_zero() {
    let mut chassis = Chassis::open(&with_rover(PA));
    for (id, info) in [(9, 1), (9, 2), (9, 3), (1, 2), (1, 3)] {
        let answer = raw(&mut chassis, 11, &[(12, id, 4), (16, info, 4)]);
        assert_eq!((head(&answer).2, &answer[8..]), (0, &[0; 56][..]), "{id} {info}");
    }
    let data = ResData::GuestState(hvctl::GuestState::Stopped).to_bytes();
    assert_eq!(raw(&mut chassis, 11, &[(12, 1, 4)])[24..], data);
    let reply = chassis.ask(Request::GetHvConfig);
    assert!(matches!(reply.body, Body::HvInfo(HvInfo { delayed_guest: u32::MAX, .. })));
    let refused = chassis.ask(Request::GuestDelayedReconf { md: FIRST_MD, guest: 64 });
    let fail = RcFail { md: Pa(0), res: 0, code: 1, node: u32::MAX, id: u32::MAX };
    assert_eq!((refused.status, refused.body), (Status::Invalid, Body::RcFail(fail)));
}
