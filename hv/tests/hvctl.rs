//! A manager's session with the hypervisor: what it may say when, reconfiguration,
//! the life of guests.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

mod chassis;
#[path = "hvctl/codes.rs"]
mod codes;
#[path = "hvctl/fuzz.rs"]
mod fuzz;
#[path = "hvctl/ops.rs"]
mod ops;

use chassis::{
    BASE, BUFFER, Chassis, FIRST_MD, OTHER_MD, PRIMARY, ROVER, endpoint, factory, guest, mblock,
    vcpu, with_rover,
};
use hv::platform::Memory as _;
use hv::testing::{HV_MEMORY, Lab};
use hv::{GuestState, PowerOnError};
use std::fmt::Write as _;
use sun4v::addr::Pa;
use sun4v::hcall::{HvError, nr};
use sun4v::hvctl::{
    Body, Detail, Op, RcFail, Reply, Request, ResData, ResInfo, Status, VERSION, Version, response,
};
use sun4v::hvmd::{ConsoleConf, CryptoConf, CryptoKind, HvConfig};
use sun4v::id::{CoreId, GuestId, LdcId, VcpuId};
use sun4v::time::SimTime;

const ROVER_PA: u64 = 0x2000_0000;

#[test]
fn a_session_begins_with_a_challenge() {
    let mut chassis = Chassis::silent(&factory(), 64);
    chassis.ask(Request::GetHvConfig);
    let hello = chassis.ask(Request::Hello(VERSION));
    let Body::Challenge { code, .. } = hello.body else { panic!("{hello:?}") };
    chassis.ask(Request::Response(response(code)));
    let Body::HvInfo(info) = chassis.ask(Request::GetHvConfig).body else { panic!() };
    assert_eq!((info.md, info.membase), (FIRST_MD, HV_MEMORY.base));
    chassis.ask(Request::CancelReconf);
    insta::assert_snapshot!(chassis.said);
}

#[test]
fn commands_are_lines_of_the_trace() {
    let mut chassis = Chassis::open(&with_rover(ROVER_PA));
    chassis.lab.hv.set_trace(true);
    chassis.ask(Request::GuestStop(1));
    chassis.boundary();
    let trace = &chassis.lab.board.trace;
    assert!(trace.contains(" hvctl GuestStop(1) = not allowed in this state\n"), "{trace}");
}

#[test]
fn whoever_breaks_the_rules_loses_the_session() {
    let fresh = || {
        let mut chassis = Chassis::open(&factory());
        chassis.seqn -= 1;
        chassis
    };
    let closed = |chassis: &mut Chassis| chassis.ask(Request::GetHvConfig).status == Status::Auth;
    // A number twice.
    let mut chassis = fresh();
    assert_eq!(chassis.ask(Request::GetHvConfig).status, Status::BadSeqn);
    assert!(closed(&mut chassis));
    // Operations that the original names and lacks, and one that nobody has.
    for request in [Request::GuestSuspend, Request::GuestResume, Request::Response(0)] {
        let mut chassis = Chassis::open(&factory());
        assert_eq!(chassis.ask(request).status, Status::Auth);
        assert!(closed(&mut chassis));
    }
    let mut chassis = Chassis::open(&factory());
    let mut message = Request::GetHvConfig.to_bytes(chassis.seqn);
    message[..2].copy_from_slice(&0x55u16.to_be_bytes());
    chassis.send(message);
    let answer = chassis.receive().unwrap();
    assert_eq!((&answer[..2], &answer[6..8]), (&[0, 0x55][..], &[0, 2][..]));
    assert!(closed(&mut chassis));
    // A wrong response, and a command in its place.
    for request in [Request::Response(7), Request::GetHvConfig] {
        let mut chassis = Chassis::silent(&factory(), 64);
        chassis.ask(Request::Hello(VERSION));
        assert_eq!(chassis.ask(request).status, Status::Auth);
        assert!(closed(&mut chassis));
    }
    // Another version; hello begins anew at any time.
    let mut chassis = Chassis::open(&factory());
    for version in [Version { major: 2, minor: 0 }, Version { major: 0, minor: 1 }] {
        let answer = chassis.ask(Request::Hello(version));
        assert_eq!((answer.op, answer.status), (Op::Hello, Status::NotSupported));
        assert_eq!(answer.body, Body::Version(VERSION));
        assert!(closed(&mut chassis));
    }
    assert_eq!(chassis.ask(Request::Hello(VERSION)).op, Op::Challenge);
}

#[test]
fn a_full_receive_queue_loses_no_reply_and_rings_once() {
    let mut chassis = Chassis::silent(&factory(), 4);
    while chassis.lab.hv.next_mondo(PRIMARY, &mut chassis.lab.board).is_some() {}
    for _ in 0..3 {
        chassis.say(Request::GetHvConfig);
    }
    chassis.say(Request::GetHvConfig); // its reply has no room
    chassis.say(Request::GetHvConfig); // and this one is not taken yet
    assert!(chassis.lab.hv.next_mondo(PRIMARY, &mut chassis.lab.board).is_some());
    assert!(chassis.lab.hv.next_mondo(PRIMARY, &mut chassis.lab.board).is_none());
    let mut numbers = Vec::new();
    while let Some(reply) = chassis.hear() {
        numbers.push(reply.seqn);
    }
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
}

#[test]
fn the_hypervisors_memory_is_reached_by_copies_on_the_channel() {
    let mut chassis = Chassis::open(&factory());
    let copy = |chassis: &mut Chassis, out: u64, pa: u64, ra: u64, bytes: u64| {
        chassis.call(nr::ldc_copy, [0, out, pa, ra, bytes]).map(|rets| rets[0])
    };
    chassis.poke(BUFFER, b"written!");
    assert_eq!(copy(&mut chassis, 1, OTHER_MD.0, BUFFER, 8), Ok(8));
    assert_eq!(chassis.lab.board.memory.read_u64(OTHER_MD), u64::from_be_bytes(*b"written!"));
    assert_eq!(copy(&mut chassis, 0, OTHER_MD.0, BUFFER + 0x10, 0x4000), Ok(0x1ff0));
    assert_eq!(&chassis.lab.peek::<8>(BUFFER + 0x10), b"written!");
    let end = HV_MEMORY.bytes;
    assert_eq!(copy(&mut chassis, 0, end - 8, BUFFER, 0x2000), Ok(8));
    assert_eq!(copy(&mut chassis, 0, end, BUFFER, 8), Err(HvError::NoRaddr));
    assert_eq!(copy(&mut chassis, 1, 0x1000_0000, BUFFER, 8), Err(HvError::NoRaddr));
    assert_eq!(copy(&mut chassis, 0, 4, BUFFER, 8), Err(HvError::BadAlign));
    assert_eq!(copy(&mut chassis, 0, u64::MAX - 7, BUFFER, 8), Err(HvError::NoRaddr));
}

#[test]
fn a_chassis_is_switched_on_from_an_md_or_says_why_not() {
    let bad = |change: fn(&mut HvConfig)| {
        let mut config = with_rover(ROVER_PA);
        change(&mut config);
        Lab::power_on(&config).err().unwrap().to_string()
    };
    assert_eq!(
        bad(|config| config.mblocks[1].range.pa = Pa(0x1000_2000)),
        "hypervisor MD at 0x100000: mblock 1 (element 104): it is another block's memory"
    );
    let mut lab = Lab::power_on(&factory()).unwrap();
    let again = hv::Hypervisor::power_on(
        hv::HvMemory { base: Pa(0), bytes: 1 << 40 },
        FIRST_MD,
        &mut lab.board,
    );
    assert!(matches!(again.err(), Some(PowerOnError::Memory { .. })));
    let again = hv::Hypervisor::power_on(HV_MEMORY, Pa(0x20_0000), &mut lab.board);
    assert!(matches!(again.err(), Some(PowerOnError::Md { .. })));
    assert_eq!(lab.hv.control_domain(), Some(PRIMARY));
}

#[test]
fn a_reconfiguration_adds_a_guest_and_takes_it_away_again() {
    let mut chassis = Chassis::open(&factory());
    let md = chassis.propose(&with_rover(ROVER_PA));
    assert_eq!(chassis.ask(Request::Reconfigure { md, guest: !0 }).status, Status::Ok);
    assert_eq!(chassis.lab.hv.config(), &with_rover(ROVER_PA));
    let Body::HvInfo(info) = chassis.ask(Request::GetHvConfig).body else { panic!() };
    assert_eq!(info.md, OTHER_MD);
    let rover = chassis.lab.hv.guest(ROVER).unwrap();
    assert_eq!((rover.map.bytes(), rover.vcpus.len()), (0x3_0000, 2));
    chassis.lab.board.memory.write(Pa(ROVER_PA), &[7; 64]);
    let md = chassis.propose(&factory());
    assert_eq!(chassis.ask(Request::Reconfigure { md, guest: !0 }).status, Status::Ok);
    assert!(chassis.lab.hv.guest(ROVER).is_none());
    assert_eq!(chassis.lab.board.memory.read_u64(Pa(ROVER_PA)), 0, "nobody inherits it");
}

/// What a configuration is refused for, in one line.
fn refusal(chassis: &mut Chassis, config: &HvConfig) -> String {
    let before = format!("{:?}", chassis.lab.hv.config());
    let md = chassis.propose(config);
    let reply = chassis.ask(Request::Reconfigure { md, guest: !0 });
    let Body::RcFail(fail) = reply.body else { return format!("{:?}", reply.status) };
    assert_eq!(before, format!("{:?}", chassis.lab.hv.config()), "it is refused whole");
    assert_eq!(fail.md, md);
    let detail = Detail::from_code(fail.code);
    format!("{:?} {:?} node {} id {}", reply.status, detail.unwrap(), fail.node, fail.id)
}

type Change = fn(&mut HvConfig);

#[test]
fn what_cannot_be_is_refused_whole() {
    let unit = |core, kind| CryptoConf { core: CoreId(core), kind, guest: ROVER, ino: 0x20 };
    let changes: [(&str, Change); 24] = [
        ("a gid twice", |c| c.guests.push(guest(1, "twin", 0))),
        ("a guest MD elsewhere", |c| c.guests[1].md_pa = Pa(0x1000_0000)),
        ("a boot image elsewhere", |c| c.guests[1].rom_pa = Pa(0x1f_fff8)),
        ("a boot image that wraps", |c| c.guests[1].rom_bytes = u64::MAX),
        ("a strand twice", |c| c.vcpus[3].strand = c.vcpus[2].strand),
        ("a vid twice", |c| c.vcpus[3].vid = c.vcpus[2].vid),
        ("memory that is not pages", |c| c.mblocks[1].range.size = 0x1000),
        ("no memory", |c| c.mblocks[1].range.size = 0),
        ("memory that wraps", |c| c.mblocks[1].range.size = !0x1fff),
        ("memory of the hypervisor", |c| c.mblocks[1].range.pa = Pa(0x1f_e000)),
        ("memory of the neighbour", |c| c.mblocks[1].range.pa = Pa(0x10ff_e000)),
        ("memory that is not there", |c| c.mblocks[1].range.pa = Pa(1 << 39)),
        ("real addresses twice", |c| c.mblocks[2].range.ra = c.mblocks[1].range.ra),
        ("real addresses of I/O", |c| c.mblocks[2].range.ra.0 = 1 << 39),
        ("a channel twice", |c| c.ldc_endpoints[3].channel = LdcId(1)),
        ("a channel of one end", |c| {
            c.ldc_endpoints.remove(2);
        }),
        ("a channel to itself", |c| c.ldc_endpoints.push(endpoint(1, 7, Some((1, 7))))),
        ("a channel ino twice", |c| c.ldc_endpoints[2].rx_ino = 0),
        ("two control domains", |c| c.ldc_endpoints.push(endpoint(1, 7, None))),
        ("no way to the hypervisor", |c| {
            c.ldc_endpoints.remove(0);
        }),
        ("no control domain", |c| {
            c.guests.remove(0);
            c.vcpus.drain(..2);
            c.mblocks.remove(0);
            c.ldc_endpoints.clear();
            c.consoles.clear();
        }),
        ("a console twice", |c| c.consoles.push(c.consoles[0])),
        ("a console on a public channel", |c| c.ldc_endpoints[4].private_console = false),
        ("a console's ino", |c| c.consoles[1].ino = 64),
    ];
    let mut text = String::new();
    for (name, change) in changes {
        let mut chassis = Chassis::open(&with_rover(ROVER_PA));
        let mut config = with_rover(ROVER_PA);
        change(&mut config);
        writeln!(text, "{name}: {}", refusal(&mut chassis, &config)).unwrap();
    }
    for kind in [CryptoKind::Mau, CryptoKind::Cwq] {
        let mut chassis = Chassis::open(&with_rover(ROVER_PA));
        let mut config = with_rover(ROVER_PA);
        config.crypto = vec![unit(1, kind), unit(1, kind)];
        writeln!(text, "a {kind:?} twice: {}", refusal(&mut chassis, &config)).unwrap();
    }
    let mut chassis = Chassis::open(&with_rover(ROVER_PA));
    let mut config = with_rover(ROVER_PA);
    config.crypto = vec![unit(1, CryptoKind::Cwq), unit(1, CryptoKind::Mau)];
    writeln!(text, "an ino for both units: {}", refusal(&mut chassis, &config)).unwrap();
    config.crypto.remove(0);
    config.consoles[1].ino = 0x20;
    writeln!(text, "a unit's ino for the console: {}", refusal(&mut chassis, &config)).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn what_an_active_guest_has_is_not_taken_from_it() {
    let config = || {
        let mut config = with_rover(ROVER_PA);
        let unit = |kind, ino| CryptoConf { core: CoreId(1), kind, guest: ROVER, ino };
        config.crypto = vec![unit(CryptoKind::Mau, 0x20), unit(CryptoKind::Cwq, 0x21)];
        config
    };
    let mut chassis = Chassis::open(&config());
    chassis.start_rover();
    for (group, major) in [(1, 1), (2, 1), (0x101, 1), (0x103, 2)] {
        chassis.lab.caller = (ROVER, VcpuId(0));
        chassis.lab.core(0, [group, major, 0, 0, 0]);
    }
    chassis.rover(0, nr::ldc_rx_qconf, [0, BASE + 0x4000, 8, 0, 0]);
    chassis.rover(0, nr::ncs_qconf, [2, BASE + 0x8000, 8, 0, 0]);
    chassis.rover(0, nr::ncs_qconf, [1, BASE + 0xa000, 8, 0, 0]);
    let changes: [(&str, Change); 13] = [
        ("the guest", |c| *c = factory()),
        ("a strand that runs", |c| {
            c.vcpus.remove(2);
        }),
        ("a strand for the neighbour", |c| c.vcpus[2] = vcpu(8, 0, 2)),
        ("a strand by another number", |c| c.vcpus[3].vid = VcpuId(5)),
        ("a block", |c| {
            c.mblocks.remove(2);
        }),
        ("a block for the neighbour", |c| c.mblocks[2] = mblock(0, 1 << 32, 0x2100_0000, 0x1_0000)),
        ("more memory", |c| c.mblocks.push(mblock(1, 0x5000_0000, 0x3000_0000, 0x2000))),
        ("a crypto unit in use", |c| {
            c.crypto.remove(1);
        }),
        ("a unit of modular arithmetic in use", |c| {
            c.crypto.remove(0);
        }),
        ("a crypto unit for the neighbour", |c| c.crypto[0].guest = PRIMARY),
        ("the end of a channel in use", |c| {
            c.ldc_endpoints[1] = endpoint(0, 5, Some((1, 0)));
            c.ldc_endpoints[2] = endpoint(1, 0, Some((0, 5)));
        }),
        ("the console", |c| {
            c.consoles.pop();
        }),
        ("the console's ino", |c| c.consoles[1].ino = 0x12),
    ];
    let mut text = String::new();
    for (name, change) in changes {
        let mut proposed = config();
        change(&mut proposed);
        writeln!(text, "{name}: {}", refusal(&mut chassis, &proposed)).unwrap();
    }
    insta::assert_snapshot!(text);
    // What it does not use may go, and more may come.
    chassis.rover(0, nr::ncs_qconf, [1, 0x1_0864, 0, 0, 0]);
    let mut proposed = config();
    proposed.vcpus[3] = vcpu(10, 1, 2);
    proposed.crypto.remove(0);
    proposed.guests[1].md_pa = Pa(0x1_8000);
    assert_eq!(refusal(&mut chassis, &proposed), "Ok");
    assert!(chassis.lab.hv.runs(ROVER));
}

#[test]
fn an_md_that_means_nothing_is_refused_with_its_place() {
    let mut chassis = Chassis::open(&factory());
    let mut ask = |md: Pa| {
        let reply = chassis.ask(Request::Reconfigure { md, guest: !0 });
        let Body::RcFail(fail) = reply.body else { panic!("{reply:?}") };
        (reply.status, fail)
    };
    for md in [0x1000_0000, HV_MEMORY.bytes - 8, 0x18_0004, u64::MAX - 7, 0x18_0000] {
        assert_eq!(ask(Pa(md)), (Status::BadMd, RcFail::default()), "{md:#x}");
    }
    let mut md = sun4v::md::Md::default();
    let root = md.add("root");
    md.val(root, "content-version", 2 << 32);
    chassis.lab.board.memory.write(OTHER_MD, &md.to_bytes());
    let reply = chassis.ask(Request::Reconfigure { md: OTHER_MD, guest: !0 });
    assert_eq!(reply.status, Status::MdNotSupported);
    let mut config = with_rover(ROVER_PA);
    config.consoles[1] = ConsoleConf { guest: ROVER, ino: 0x11, endpoint: Some(LdcId(0)) };
    assert_eq!(
        refusal(&mut chassis, &config),
        "BadMd ConsoleInvalidLdc node 202 id 1",
        "as the MD's reader says it"
    );
}

#[test]
fn a_guests_life_is_told_once_until_it_is_read() {
    let mut chassis = Chassis::open(&with_rover(ROVER_PA));
    let state = Request::GetResStat { res: 0, id: 1, info: 0 };
    chassis.ask(Request::GuestStop(1));
    chassis.ask(Request::GuestStart(1));
    assert_eq!(chassis.lab.hv.guest(ROVER).unwrap().state, GuestState::Resetting);
    chassis.ask(Request::GuestStop(1));
    chassis.ask(Request::GuestStart(1));
    assert_eq!(chassis.boundary().len(), 1);
    assert!(chassis.lab.board.started.contains(&ROVER));
    let seats = &chassis.lab.board.seats[&ROVER];
    assert_eq!(seats.seen[&VcpuId(0)].started.map(|start| start.pc), Some(BASE + 0x20));
    let image = chassis.lab.board.memory.read_u64(Pa(ROVER_PA));
    assert_eq!(image, 0x0101_0303_0505_0707);
    chassis.ask(Request::GuestStart(1));
    chassis.ask(Request::GuestStop(1));
    assert!(!chassis.lab.hv.runs(ROVER));
    chassis.ask(Request::GuestStop(1));
    assert_eq!(chassis.boundary(), [], "nobody read that it ran");
    chassis.ask(state);
    chassis.ask(Request::GuestStart(1));
    assert_eq!(chassis.boundary().len(), 1);
    for request in [Request::GuestStart(2), Request::GuestStart(!0), Request::GuestStop(0)] {
        chassis.ask(request);
    }
    insta::assert_snapshot!(chassis.said);
}

#[test]
fn a_guest_that_cannot_start_is_not_started() {
    let start = |change: fn(&mut HvConfig)| {
        let mut config = with_rover(ROVER_PA);
        change(&mut config);
        let mut chassis = Chassis::open(&config);
        let reply = chassis.ask(Request::GuestStart(1));
        (reply.status, reply.body)
    };
    let (invalid, code) = (Status::Invalid, |detail: Detail| Body::Code(detail.code()));
    assert_eq!(start(|c| c.vcpus.truncate(2)), (invalid, code(Detail::GuestNoCpus)));
    let small = code(Detail::GuestBaseMblockTooSmall);
    assert_eq!(start(|c| c.guests[1].rom_bytes = 0x1_fff0), (invalid, small));
    assert_eq!(start(|c| c.mblocks.truncate(1)), (invalid, small));
}

#[test]
fn a_delayed_reconfiguration_waits_for_the_exit_of_its_guest() {
    let mut chassis = Chassis::open(&with_rover(ROVER_PA));
    chassis.start_rover();
    chassis.said.clear();
    let mut config = with_rover(ROVER_PA);
    config.vcpus.pop();
    config.mblocks.pop();
    let md = chassis.propose(&config);
    chassis.ask(Request::GuestDelayedReconf { md, guest: 9 });
    chassis.ask(Request::GuestDelayedReconf { md, guest: 1 });
    chassis.ask(Request::GuestDelayedReconf { md, guest: 1 });
    chassis.ask(Request::GuestDelayedReconf { md, guest: 0 });
    chassis.ask(Request::GuestDelayedReconf { md: Pa(0x20_0000), guest: 1 });
    chassis.ask(Request::Reconfigure { md, guest: !0 });
    chassis.ask(Request::GetHvConfig);
    chassis.ask(Request::CancelReconf);
    chassis.ask(Request::CancelReconf);
    chassis.ask(Request::GuestDelayedReconf { md, guest: 1 });
    assert_eq!(chassis.lab.hv.guest(ROVER).unwrap().vcpus.len(), 2);
    chassis.lab.caller = (ROVER, VcpuId(0));
    chassis.lab.core(2, [0; 5]);
    assert_eq!(chassis.lab.hv.guest(ROVER).unwrap().vcpus.len(), 1);
    assert_eq!(chassis.lab.board.exited, [(ROVER, 0)]);
    chassis.ask(Request::GetHvConfig);
    insta::assert_snapshot!(chassis.said);
}

#[test]
fn figures_count_busy_time_and_deltas_from_the_last_reading() {
    let mut chassis = Chassis::open(&with_rover(ROVER_PA));
    chassis.start_rover();
    let read = |chassis: &mut Chassis, item: ResInfo, id: u32| {
        let (res, info) = item.codes();
        let reply = chassis.ask(Request::GetResStat { res, id, info });
        let Body::ResStat { code: 0, data, .. } = reply.body else { panic!("{reply:?}") };
        ResData::parse(item, &data).unwrap()
    };
    let second = 0x4576_46c0;
    chassis.lab.board.advance(SimTime::secs(4));
    let busy = &mut chassis.lab.board.seats.get_mut(&ROVER).unwrap().busy;
    busy.insert(VcpuId(0), SimTime::secs(1));
    let ResData::Utilisation(first) = read(&mut chassis, ResInfo::Utilisation, 1) else { panic!() };
    assert_eq!((first.lifespan, first.wallclock_delta), (4 * second, 4 * second));
    assert_eq!((first.active_delta, first.yielded_cycles), (second, 3 * second));
    chassis.lab.board.advance(SimTime::secs(1));
    let ResData::Utilisation(next) = read(&mut chassis, ResInfo::Utilisation, 1) else { panic!() };
    assert_eq!((next.lifespan, next.wallclock_delta, next.active_delta), (5 * second, second, 0));
    let ResData::Vcpu(vcpu) = read(&mut chassis, ResInfo::VcpuState, 8) else { panic!() };
    assert_eq!((vcpu.state as u8, vcpu.active_delta, vcpu.lifespan), (2, second, 5 * second));
    let ResData::Vcpu(vcpu) = read(&mut chassis, ResInfo::VcpuState, 9) else { panic!() };
    assert_eq!((vcpu.state as u8, vcpu.lifespan), (1, 0));
    let ResData::Vcpu(vcpu) = read(&mut chassis, ResInfo::VcpuState, 63) else { panic!() };
    assert_eq!(vcpu.state as u8, 5);
    assert_eq!(read(&mut chassis, ResInfo::Tod, 1), ResData::Tod(0), "it adds nothing");
    chassis.lab.caller = (ROVER, VcpuId(0));
    chassis.lab.core(0, [1, 1, 0, 0, 0]);
    let now = chassis.rover(0, nr::tod_get, [0; 5])[0];
    chassis.rover(0, nr::tod_set, [now - 60, 0, 0, 0, 0]);
    let behind = (-60_i64).cast_unsigned();
    assert_eq!(read(&mut chassis, ResInfo::Tod, 1), ResData::Tod(behind), "a minute behind");
}

#[test]
fn items_that_do_not_exist_are_refused_each_in_its_way() {
    let mut chassis = Chassis::open(&factory());
    let mut text = String::new();
    for (res, id, info) in [
        (0, 0, 0),
        (0, 1, 0),
        (0, 1, 1),
        (0, 64, 0),
        (0, 64, 4),
        (0, 0, 4),
        (1, 72, 0),
        (1, 72, 1),
        (1, 0, 1),
        (2, 0, 0),
        (3, 0, 0),
        (4, 0, 0),
        (5, 0, 0),
        (6, 0, 0),
        (7, 0, 0),
        (8, 0, 0),
        (9, 0, 0),
        (10, 0, 0),
        (11, 0, 0),
    ] {
        let reply = chassis.ask(Request::GetResStat { res, id, info });
        let Body::ResStat { code, .. } = reply.body else { panic!("{reply:?}") };
        writeln!(text, "res {res} id {id} info {info}: {:?} {code}", reply.status).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_panic_is_reported_to_a_running_virtual_cpu() {
    let mut chassis = Chassis::open(&with_rover(ROVER_PA));
    let panic = |chassis: &mut Chassis, id| {
        let Reply { status, body, .. } = chassis.ask(Request::GuestPanic(id));
        (status, body)
    };
    let stopped = Body::Code(Detail::GuestStopped.code());
    assert_eq!(panic(&mut chassis, 1), (Status::Illegal, stopped));
    let none = Body::Code(Detail::GuestInvalidId.code());
    assert_eq!(panic(&mut chassis, 0), (Status::Invalid, none));
    chassis.start_rover();
    chassis.lab.caller = (ROVER, VcpuId(0));
    chassis.lab.core(0, [1, 1, 0, 0, 0]);
    chassis.rover(0, nr::cpu_qconf, [0x3f, BASE + 0x1000, 2, 0, 0]);
    assert_eq!(panic(&mut chassis, 1), (Status::Ok, Body::Code(0)));
    let seen = &chassis.lab.board.seats[&ROVER].seen[&VcpuId(0)];
    assert_eq!(seen.reflected, [0x7f]);
    chassis.lab.caller = (ROVER, VcpuId(0));
    assert_eq!(chassis.lab.peek::<4>(BASE + 0x1010), [0, 0, 0, 5]);
    // The queue is full now: the virtual CPU ends.
    assert_eq!(panic(&mut chassis, 1), (Status::Ok, Body::Code(0)));
    assert_eq!(panic(&mut chassis, 1).1, Body::Code(Detail::GuestNoCpus.code()));
}

#[test]
fn any_64_bytes_are_answered() {
    use proptest::prelude::{any, proptest};
    proptest!(|(messages in proptest::collection::vec((any::<[u64; 8]>(), 0u16..0x90), 1..30))| {
        let mut chassis = Chassis::open(&with_rover(ROVER_PA));
        let md = chassis.propose(&factory());
        for (words, op) in messages {
            let mut message = [0; 64];
            for (place, word) in message.chunks_exact_mut(8).zip(words) {
                // Small numbers name things that exist.
                let word = match word % 5 {
                    0 => word >> 32 & 0x3_0000_0003,
                    1 => md.0,
                    2 => BASE + (word >> 32 & 0xf_ffff),
                    3 => (word >> 8 & 3) << 32 | word >> 32 & 0xffff,
                    _ => word,
                };
                place.copy_from_slice(&word.to_be_bytes());
            }
            message[..2].copy_from_slice(&op.to_be_bytes());
            message[2..4].copy_from_slice(&chassis.seqn.to_be_bytes());
            chassis.send(message);
            while let Some(reply) = chassis.receive() {
                if reply[6..8] == [0, 2] {
                    let next = chassis.seqn;
                    chassis.send(Request::Hello(VERSION).to_bytes(next));
                    let hello = Reply::parse(&chassis.receive().unwrap()).unwrap();
                    let Body::Challenge { code, .. } = hello.body else { panic!() };
                    chassis.send(Request::Response(response(code)).to_bytes(next + 1));
                    chassis.receive().unwrap();
                    chassis.seqn = next + 1;
                }
            }
            chassis.seqn += 1;
            chassis.lab.hv.boundary(&mut chassis.lab.board);
            while chassis.receive().is_some() {}
        }
        assert!(chassis.lab.hv.guest(GuestId(0)).is_some());
    });
}

/// The order in which a manager adds virtual CPUs to a guest that runs and takes them
/// away: strands that stand still come and go, and one that runs goes never.
#[test]
fn virtual_cpus_of_a_running_guest_come_and_go_while_they_stand_still() {
    let mut chassis = Chassis::open(&with_rover(ROVER_PA));
    chassis.start_rover();
    for (group, major, minor) in [(1, 1, 1), (2, 1, 0), (0x101, 1, 0)] {
        chassis.lab.caller = (ROVER, VcpuId(0));
        chassis.lab.core(0, [group, major, minor, 0, 0]);
    }
    // Two places in turn: the MD in force is not written over.
    let mut places = [OTHER_MD, FIRST_MD].into_iter().cycle();
    let mut reconfigure = |chassis: &mut Chassis, config: &HvConfig| {
        let md = places.next().unwrap();
        chassis.lab.board.memory.write(md, &config.to_md().to_bytes());
        let status = chassis.ask(Request::Reconfigure { md, guest: u32::MAX }).status;
        if status != Status::Ok {
            places.next();
        }
        status
    };
    let state = |chassis: &mut Chassis, vcpu: u64| {
        chassis.lab.caller = (ROVER, VcpuId(0));
        let answer = chassis.lab.call(nr::cpu_state, [vcpu, 0, 0, 0, 0]);
        (answer.status, answer.rets[0])
    };
    const STOPPED: (u64, u64) = (0, 1);
    const RUNNING: (u64, u64) = (0, 2);
    let no_cpu = |state: (u64, u64)| state.0 == HvError::NoCpu.code();

    // Two come; they stand until the guest starts them.
    let mut config = with_rover(ROVER_PA);
    config.guests[1].md_pa = Pa(0x1_8000);
    config.vcpus.extend([vcpu(10, 1, 2), vcpu(16, 1, 3)]);
    chassis.lab.board.memory.write(Pa(0x1_8000), &[0, 1, 0, 0]);
    assert_eq!(reconfigure(&mut chassis, &config), Status::Ok);
    chassis.check_whole();
    assert!(chassis.lab.hv.runs(ROVER));
    assert_eq!(state(&mut chassis, 0), RUNNING);
    assert_eq!([2, 3].map(|vcpu| state(&mut chassis, vcpu)), [STOPPED; 2]);
    chassis.rover(0, nr::cpu_start, [2, BASE + 0x100, BASE, 7, 0]);
    assert_eq!(state(&mut chassis, 2), RUNNING);
    let (res, info) = ResInfo::VcpuState.codes();
    let asked = chassis.ask(Request::GetResStat { res, id: 10, info });
    assert_eq!(asked.status, Status::Ok);

    // The one that runs stays, and with it everything; interrupts may be meant for it.
    for ino in [0, 1] {
        chassis.rover(0, nr::vintr_settarget, [0x200, ino, 2, 0, 0]);
    }
    let before = chassis.everything();
    assert_eq!(reconfigure(&mut chassis, &with_rover(ROVER_PA)), Status::BadMd);
    assert_eq!(chassis.everything(), before);

    // Stopped, it goes, and so does the one that never ran; then a neighbour gets its strand.
    chassis.rover(0, nr::cpu_stop, [2, 0, 0, 0, 0]);
    let mut without = with_rover(ROVER_PA);
    without.guests[1].md_pa = Pa(0x1_8000);
    let mut moved = without.clone();
    moved.vcpus.push(vcpu(10, 0, 2));
    assert_eq!(reconfigure(&mut chassis, &moved), Status::BadMd, "not from hand to hand");
    assert_eq!(reconfigure(&mut chassis, &without), Status::Ok);
    chassis.check_whole();
    assert_eq!(reconfigure(&mut chassis, &moved), Status::Ok);
    chassis.check_whole();
    assert!([2, 3].into_iter().all(|vcpu| no_cpu(state(&mut chassis, vcpu))));
    chassis.lab.caller = (ROVER, VcpuId(0));
    let start = chassis.lab.call(nr::cpu_start, [2, BASE + 0x100, BASE, 7, 0]);
    assert!(no_cpu((start.status, 0)));
    assert_eq!(state(&mut chassis, 0), RUNNING);
    assert_eq!(state(&mut chassis, 1), STOPPED);
}
