//! Every detail code of the protocol: what brings it about, or why nothing does.

use crate::chassis::{
    Chassis, OTHER_MD, PRIMARY, ROVER, endpoint, guest, mblock, vcpu, with_devices,
};
use hv::platform::Memory as _;
use std::fmt::Write as _;
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::nr;
use sun4v::hvctl::Detail::{self, *};
use sun4v::hvctl::{Body, Request, ResKind, Status};
use sun4v::hvmd::HvConfig;
use sun4v::id::{CoreId, GuestId, VcpuId};
use sun4v::md::{Md, Value};

const PA: u64 = 0x2000_0000;
/// A guest that does not exist.
const NOBODY: GuestId = GuestId(7);

/// How a code comes about.
enum How {
    /// A configuration that asks for something else, while the guests do not run.
    Config(fn(&mut HvConfig)),
    /// The same while the guest with the devices runs.
    Live(fn(&mut HvConfig)),
    /// The first node of a kind without a property, or with another number.
    Node(&'static str, &'static str, Option<u64>),
    /// A command.
    Command(fn(&mut Chassis) -> Request),
    /// Never, and why.
    Never(&'static str),
}

use How::{Command, Config, Live, Never, Node};

const CODES: &[(Detail, How)] = &[
    (GuestMissingId, Node("guest", "resource_id", None)),
    (GuestInvalidId, Node("guest", "resource_id", Some(64))),
    (GuestMissingProperty, Node("guest", "mdpa", None)),
    (
        GuestNoCpus,
        Command(|chassis| {
            configure(chassis, |c| {
                c.vcpus.retain(|vcpu| vcpu.guest != ROVER);
                c.crypto.clear();
            });
            Request::GuestStart(1)
        }),
    ),
    (
        GuestActive,
        Command(|chassis| {
            chassis.start_rover();
            Request::GuestStart(1)
        }),
    ),
    (GuestStopped, Command(|_| Request::GuestStop(1))),
    (
        GuestBaseMblockTooSmall,
        Command(|chassis| {
            configure(chassis, |c| c.guests[1].rom_bytes = 0x2_0000);
            Request::GuestStart(1)
        }),
    ),
    (VcpuMissingId, Node("cpu", "resource_id", None)),
    (VcpuInvalidId, Node("cpu", "resource_id", Some(72))),
    (VcpuMissingStrand, Node("cpu", "pid", None)),
    (VcpuInvalidStrand, Node("cpu", "pid", Some(72))),
    (VcpuMissingVid, Node("cpu", "vid", None)),
    (VcpuInvalidVid, Node("cpu", "vid", Some(64))),
    (VcpuMissingGuest, Config(|c| c.vcpus[2].guest = NOBODY)),
    (VcpuMissingPartTag, Never("without a tag it is the guest's number")),
    (VcpuInvalidPartTag, Never("the tag is not looked at")),
    (VcpuRebind, Live(|c| c.vcpus[2] = vcpu(8, 0, 2))),
    (MemoryMissingId, Node("mblock", "resource_id", None)),
    (MemoryInvalidId, Node("mblock", "resource_id", Some(4096))),
    (MemoryMissingBase, Node("mblock", "membase", None)),
    (MemoryMissingSize, Node("mblock", "memsize", None)),
    (MemoryInvalidPa, Config(|c| c.mblocks[1].range.pa = Pa(0))),
    (MemoryMissingReal, Node("mblock", "realbase", None)),
    (MemoryInvalidRa, Config(|c| c.mblocks[1].range.ra = Ra(1 << 39))),
    (MemoryMissingGuest, Config(|c| c.mblocks[1].guest = NOBODY)),
    (MemoryRebind, Live(|c| c.mblocks[2].guest = GuestId(2))),
    (MemoryGuestActive, Live(|c| c.mblocks.push(mblock(1, 1 << 33, 0x3000_0000, 0x2000)))),
    (MauMissingId, Node("mau", "resource_id", None)),
    (MauInvalidId, Node("mau", "resource_id", Some(9))),
    (MauMissingCpu, Config(|c| c.crypto[0].core = CoreId(5))),
    (MauMissingStrand, Never("the cpu is refused first")),
    (MauInvalidStrand, Never("the cpu is refused first")),
    (MauMissingIno, Node("mau", "ino", None)),
    (MauMissingGuest, Config(|c| c.crypto[0].guest = NOBODY)),
    (MauRebind, Live(|c| c.crypto[0].guest = PRIMARY)),
    (CwqMissingId, Node("cwq", "resource_id", None)),
    (CwqInvalidId, Node("cwq", "resource_id", Some(9))),
    (CwqMissingCpu, Config(|c| c.crypto[1].core = CoreId(5))),
    (CwqMissingStrand, Never("the cpu is refused first")),
    (CwqInvalidStrand, Never("the cpu is refused first")),
    (CwqMissingIno, Node("cwq", "ino", None)),
    (CwqMissingGuest, Config(|c| c.crypto[1].guest = NOBODY)),
    (CwqRebind, Live(|c| c.crypto[1].guest = PRIMARY)),
    (PcieMissingProperty, Node("pcie_bus", "cfghandle", None)),
    (PcieIllegalProperty, Node("pcie_bus", "resource_id", Some(1))),
    (PcieRebind, Live(|c| c.pcie_bus = None)),
    (PcieMissingGuest, Config(|c| c.pcie_bus.as_mut().unwrap().guest = NOBODY)),
    (NetworkMissingProperty, Node("network_device", "resource_id", None)),
    (NetworkIllegalProperty, Config(|c| c.network.as_mut().unwrap().handle = 0x100)),
    (NetworkRebind, Live(|c| c.network.as_mut().unwrap().guest = PRIMARY)),
    (NetworkMissingGuest, Config(|c| c.network.as_mut().unwrap().guest = NOBODY)),
    (LdcMissingProperty, Node("ldc_endpoint", "channel", None)),
    (LdcIllegalProperty, Node("ldc_endpoint", "channel", Some(512))),
    (
        LdcRebind,
        Live(|c| {
            c.ldc_endpoints[1] = endpoint(0, 5, Some((1, 0)));
            c.ldc_endpoints[2] = endpoint(1, 0, Some((0, 5)));
        }),
    ),
    (HvLdcMissingProperty, Never("the hypervisor's end has no node of its own")),
    (HvLdcIllegalProperty, Never("the hypervisor's end has no node of its own")),
    (
        HvLdcRebind,
        Config(|c| {
            c.ldc_endpoints.remove(0);
        }),
    ),
    (ConsoleMissingId, Node("console", "resource_id", None)),
    (ConsoleMissingGuest, Config(|c| c.consoles[0].guest = NOBODY)),
    (ConsoleMissingGuestId, Never("the guest is refused first")),
    (ConsoleInvalidGuestId, Never("the guest is refused first")),
    (ConsoleMissingLdc, Never("the endpoint is refused first")),
    (ConsoleInvalidLdc, Config(|c| c.ldc_endpoints[4].private_console = false)),
    (ConsoleMissingIno, Node("console", "ino", None)),
    (ConsoleInvalidIno, Node("console", "ino", Some(1024))),
    (ConsoleMissingUart, Node("console", "uartbase", None)),
    (InvalidInfo, Command(|_| Request::GetResStat { res: 0, id: 1, info: 4 })),
    (ConsoleTaken, Config(|c| c.consoles.push(c.consoles[0]))),
    (ConsoleRebind, Live(|c| c.consoles[1].ino = 0x12)),
];

/// A configuration that is taken.
fn configure(chassis: &mut Chassis, change: fn(&mut HvConfig)) {
    let mut config = with_devices(PA);
    change(&mut config);
    let md = chassis.propose(&config);
    assert_eq!(chassis.ask(Request::Reconfigure { md, guest: !0 }).status, Status::Ok);
}

/// The first node of a kind without a property, or with another number.
fn edited(kind: &str, property: &str, number: Option<u64>) -> Md {
    let (whole, mut md, mut found) = (with_devices(PA).to_md(), Md::default(), false);
    for (_, node) in whole.nodes() {
        md.add(node.name());
    }
    for (id, node) in whole.nodes() {
        for (name, value) in node.properties() {
            if found || node.name() != kind || name != property {
                md.set(id, name, value.clone());
                continue;
            }
            found = true;
            if let Some(number) = number {
                md.set(id, name, Value::Val(number));
            }
        }
    }
    assert!(found, "{kind} has no {property}");
    md
}

#[test]
fn every_code_comes_about_or_cannot() {
    let codes: Vec<_> = CODES.iter().map(|(detail, _)| detail.code()).collect();
    let ours = [ConsoleTaken.code(), ConsoleRebind.code()];
    assert_eq!(codes, (0..=66).chain(ours).collect::<Vec<_>>());
    let mut text = String::new();
    for (detail, how) in CODES {
        let mut chassis = Chassis::open(&with_devices(PA));
        if matches!(how, Live(_)) {
            chassis.start_rover();
            chassis.lab.caller = (ROVER, VcpuId(0));
            chassis.lab.core(0, [0x101, 1, 9, 0, 0]);
            chassis.rover(0, nr::ldc_rx_qconf, [0, crate::chassis::BASE + 0x4000, 8, 0, 0]);
        }
        let request = match how {
            Never(why) => {
                writeln!(text, "{:>3} {detail:?}: never: {why}", detail.code()).unwrap();
                continue;
            }
            Command(make) => make(&mut chassis),
            Config(change) | Live(change) => {
                let mut config = with_devices(PA);
                change(&mut config);
                Request::Reconfigure { md: chassis.propose(&config), guest: !0 }
            }
            Node(kind, property, number) => {
                let md = edited(kind, property, *number);
                chassis.lab.board.memory.write(OTHER_MD, &md.to_bytes());
                Request::Reconfigure { md: OTHER_MD, guest: !0 }
            }
        };
        let before = chassis.everything();
        let reply = chassis.ask(request);
        assert!(before == chassis.everything(), "{detail:?}: something changed");
        let (kind, code) = match reply.body {
            Body::RcFail(fail) => (ResKind::from_code(fail.res).unwrap().to_string(), fail.code),
            Body::Code(code) | Body::ResStat { code, .. } => ("-".to_owned(), code),
            body => panic!("{detail:?}: {body:?}"),
        };
        assert_eq!(Detail::from_code(code), Some(*detail), "{reply:?}");
        writeln!(text, "{code:>3} {detail:?}: {:?}, {kind}", reply.status).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_guest_that_gets_the_bus_gets_it_reset_and_one_that_stops_too() {
    let mut chassis = Chassis::open(&with_devices(PA));
    chassis.start_rover();
    chassis.lab.caller = (ROVER, VcpuId(0));
    for (group, major) in [(0x100, 1), (0x204, 1)] {
        chassis.lab.core(0, [group, major, 0, 0, 0]);
    }
    chassis.rover(0, nr::pci_msi_setvalid, [0, 3, 1, 0, 0]);
    chassis.rover(0, nr::niu_rx_lp_set, [0, 0, crate::chassis::BASE, 0x2000, 0]);
    let has = |chassis: &Chassis, id| {
        let guest = chassis.lab.hv.guest(id).unwrap();
        guest.pci.as_ref().map(|bus| bus.msis.len() + guest.network.as_ref().unwrap().pages.len())
    };
    assert_eq!((has(&chassis, ROVER), has(&chassis, PRIMARY)), (Some(2), None));
    assert_eq!(chassis.ask(Request::GuestStop(1)).status, Status::Ok);
    chassis.boundary();
    assert_eq!(has(&chassis, ROVER), Some(0));
    configure(&mut chassis, |c| {
        c.pcie_bus.as_mut().unwrap().guest = PRIMARY;
        c.network.as_mut().unwrap().guest = PRIMARY;
        c.guests.push(guest(3, "more", 0));
    });
    assert_eq!((has(&chassis, ROVER), has(&chassis, PRIMARY)), (None, Some(0)));
    chassis.check_whole();
}
