//! Descriptions, as text.

use super::{
    ConsolePort, CryptoUnit, Device, DiskPort, GuestMd, SwitchPort, crypto_ino, hostid, rx_ino,
};
use crate::factory::{Factory, Primary};
use crate::testing::inventory;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use sun4v::addr::{Pa, Ra, RealRange};
use sun4v::hvmd::CryptoKind;
use sun4v::id::{CoreId, LdcId, StrandId, VcpuId};
use sun4v::md::{Md, NodeId, Value};
use sun4v::time::T2_HZ;

const ROVER_MAC: [u8; 6] = [0x00, 0x14, 0x4f, 0xf8, 0x00, 0x01];
const SWITCH_MAC: [u8; 6] = [0x00, 0x14, 0x4f, 0xf8, 0x00, 0x02];

/// The article's domain: eight virtual CPUs of two cores, two disks, a network.
fn rover() -> GuestMd {
    let inventory = inventory();
    GuestMd {
        name: "rover".to_owned(),
        uuid: "b7a52d51-9c5e-4f0a-8d8c-3f0a1b2c3d4e".to_owned(),
        platform: inventory.platform,
        banner: inventory.banner,
        serial: inventory.serial,
        hostid: hostid(ROVER_MAC),
        mac: ROVER_MAC,
        stick_hz: T2_HZ,
        vcpus: (0..8).map(|n| (VcpuId(n), StrandId(20 + n))).collect(),
        memory: vec![RealRange { ra: Ra(0x800_0000), pa: Pa(0x1_0800_0000), size: 512 << 20 }],
        crypto: Vec::new(),
        console: true,
        variables: BTreeMap::from([
            ("auto-boot?".to_owned(), "true".to_owned()),
            ("ip-address".to_owned(), "192.168.1.50".to_owned()),
        ]),
        devices: vec![
            Device::Disk { id: 0, timeout: 0, channel: LdcId(1) },
            Device::Disk { id: 1, timeout: 30, channel: LdcId(2) },
            Device::Network {
                id: 0,
                mac: ROVER_MAC,
                mtu: 1500,
                pvid: 1,
                vids: vec![20, 21],
                channel: LdcId(3),
                switch_mac: SWITCH_MAC,
            },
            Device::Services { firmware: false, channel: LdcId(4) },
            Device::Services { firmware: true, channel: LdcId(5) },
        ],
    }
}

/// The control domain of a server that serves it.
fn primary() -> GuestMd {
    let asked = Primary { vcpus: 12, crypto: 2, ..Primary::default() };
    let mut md = Factory::new(&inventory(), &asked).unwrap().primary;
    md.devices.extend([
        Device::DiskServer {
            id: 0,
            name: "primary-vds0".to_owned(),
            ports: vec![
                DiskPort {
                    id: 0,
                    channel: LdcId(1),
                    block_device: "/net/nas/export/rover0.img".to_owned(),
                    options: String::new(),
                },
                DiskPort {
                    id: 1,
                    channel: LdcId(2),
                    block_device: "/net/nas/export/rover1.img".to_owned(),
                    options: "ro,excl".to_owned(),
                },
            ],
        },
        Device::Switch {
            id: 0,
            name: "primary-vsw0".to_owned(),
            mac: SWITCH_MAC,
            net_dev: "e1000g0".to_owned(),
            mtu: 1500,
            ports: vec![SwitchPort { id: 0, channel: LdcId(3), mac: ROVER_MAC }],
        },
        Device::Concentrator {
            id: 0,
            name: "primary-vcc0".to_owned(),
            ports: vec![ConsolePort {
                id: 0,
                channel: LdcId(4),
                domain: "rover".to_owned(),
                group: "rover".to_owned(),
                tcp_port: 5000,
            }],
        },
    ]);
    md
}

/// One line a node: its properties, then where its arcs lead.
fn dump(md: &Md) -> String {
    let mut text = String::new();
    for (id, node) in md.nodes() {
        let mut line = format!("{} {}", id.0, node.name());
        for (name, value) in node.properties() {
            match value {
                Value::Arc(_) => {}
                Value::Val(number) if *number < 10 => write!(line, " {name}={number}").unwrap(),
                Value::Val(number) => write!(line, " {name}={number:#x}").unwrap(),
                Value::Str(text) => write!(line, " {name}={text:?}").unwrap(),
                Value::Data(bytes) => write!(line, " {name}=[{}]", list(bytes)).unwrap(),
            }
        }
        for (arrow, arc) in [("<", "back"), (">", "fwd")] {
            let ends: Vec<_> = md.arcs(id, arc).map(|NodeId(end)| end.to_string()).collect();
            if !ends.is_empty() {
                write!(line, " {arrow} {}", ends.join(",")).unwrap();
            }
        }
        text += &(line + "\n");
    }
    text
}

/// Strings that end with NULs, or numbers of eight bytes.
fn list(bytes: &[u8]) -> String {
    let printable = |&byte: &u8| byte == 0 || (0x20..0x7f).contains(&byte);
    if bytes[0] != 0 && bytes.iter().all(printable) {
        return String::from_utf8_lossy(bytes).trim_end_matches('\0').replace('\0', " ");
    }
    let words = bytes
        .chunks(8)
        .map(|word| format!("{:#x}", word.iter().fold(0_u64, |n, &byte| n << 8 | u64::from(byte))));
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn rover_is_told_this() {
    let md = Md::parse(&rover().to_md()).unwrap();
    assert_eq!(md, rover().graph());
    insta::assert_snapshot!(dump(&md));
}

#[test]
fn the_control_domain_is_told_this() {
    let md = Md::parse(&primary().to_md()).unwrap();
    insta::assert_snapshot!(dump(&md));
}

/// What Linux halts or goes astray on when it is missing or otherwise.
#[test]
fn what_guests_read_unasked_is_there() {
    for md in [rover().graph(), primary().graph()] {
        let (_, platform) = md.named("platform").next().unwrap();
        assert_eq!(platform.number("stick-frequency"), Some(T2_HZ));
        for (_, cpu) in md.named("cpu") {
            assert!(cpu.number("id").is_some() && cpu.number("clock-frequency").is_some());
        }
        for (id, cache) in md.named("cache") {
            assert!(["level", "size", "line-size"].iter().all(|name| cache.number(name).is_some()));
            assert!(cache.data("type").is_some() && md.arcs(id, "back").next().is_some());
        }
        let channels: BTreeSet<_> =
            md.named("channel-endpoint").map(|(_, node)| node.number("id")).collect();
        let mut ports = 0;
        for (id, port) in md.named("virtual-device-port") {
            assert!(port.text("name").is_some() && port.number("id").is_some());
            let arcs: Vec<_> = md.arcs(id, "fwd").map(|end| md.node(end).name()).collect();
            assert_eq!(arcs, ["channel-endpoint"]);
            let (_, device) = md.linked(id, "back", "virtual-device").next().unwrap();
            assert!(device.number("cfg-handle").is_some());
            ports += 1;
        }
        // Linux takes a port of domain services by its node's name, below a node that has
        // this one, and tells them apart by their number.
        let mut ids = BTreeSet::new();
        for (id, port) in md.named("domain-services-port") {
            assert!(port.text("name").is_none() && port.text("device-type").is_none());
            assert!(ids.insert(port.number("id").unwrap()));
            let arcs: Vec<_> = md.arcs(id, "fwd").map(|end| md.node(end).name()).collect();
            assert_eq!(arcs, ["channel-endpoint"]);
            let above: Vec<_> = md.arcs(id, "back").map(|end| md.node(end).name()).collect();
            assert_eq!(above, [["domain-services", "openboot"][ids.len() - 1]]);
            ports += 1;
        }
        assert_eq!(channels.len(), ports);
        // The driver of the watchdog refuses others.
        assert_eq!(platform.number("watchdog-resolution"), Some(1000));
        assert!(platform.number("watchdog-max-timeout") >= Some(1000));
    }
}

#[test]
fn four_strands_are_on_a_pipeline_and_eight_on_a_core() {
    let md = rover().graph();
    let cpus_of = |kind: &str, name: &str| -> Vec<Vec<u64>> {
        let ours = md.named(name).filter(|(_, unit)| unit.data("type") == Some(kind.as_bytes()));
        ours.map(|(id, _)| {
            md.linked(id, "back", "cpu").filter_map(|(_, cpu)| cpu.number("id")).collect()
        })
        .collect()
    };
    // Strands 20 to 23 are the second half of core 2, 24 to 27 the first of core 3.
    let halves = [vec![0, 1, 2, 3], vec![4, 5, 6, 7]];
    assert_eq!(cpus_of("integer\0", "exec-unit"), halves);
    assert_eq!(cpus_of("instn\0", "cache"), halves);
    assert_eq!(cpus_of("fp\0", "exec-unit"), halves);
}

#[test]
fn a_crypto_unit_is_linked_to_the_cpus_of_its_core() {
    let core = CoreId(3);
    let mut rover = rover();
    rover.crypto = [CryptoKind::Mau, CryptoKind::Cwq]
        .map(|kind| CryptoUnit {
            kind,
            ino: crypto_ino(kind, core),
            vcpus: (4..8).map(VcpuId).collect(),
        })
        .to_vec();
    let md = rover.graph();
    let (id, unit) =
        md.named("exec-unit").find(|(_, unit)| unit.data("type") == Some(b"cwq\0")).unwrap();
    assert_eq!(unit.number("ino"), Some(0x23));
    let cpus: Vec<_> =
        md.linked(id, "back", "cpu").filter_map(|(_, cpu)| cpu.number("id")).collect();
    assert_eq!(cpus, [4, 5, 6, 7]);
    let device = |name| md.named("virtual-device").find(move |(_, n)| n.text("name") == Some(name));
    assert_eq!(device("n2cp").unwrap().1.data("ino"), Some(&0x23_u64.to_be_bytes()[..]));
    assert_eq!(device("ncp").unwrap().1.data("ino"), Some(&0x2b_u64.to_be_bytes()[..]));
}

#[test]
fn a_host_id_follows_from_the_address() {
    assert_eq!(hostid([0x00, 0x14, 0x4f, 0xfa, 0xed, 0x88]), 0x84fa_ed88);
    assert_eq!(hostid([0x00, 0x21, 0x28, 1, 2, 3]), 0x8501_0203);
    assert_eq!(hostid([0x00, 0x03, 0xba, 1, 2, 3]), 0x8301_0203);
}

#[test]
fn nothing_to_say_is_a_description_too() {
    let md = Md::parse(&GuestMd::default().to_md()).unwrap();
    assert_eq!((md.named("cpu").count(), md.named("virtual-device").count()), (0, 0));
    assert_eq!(rx_ino(LdcId(511)), 1023);
}
