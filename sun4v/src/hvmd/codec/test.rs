use super::super::{
    ConsoleConf, CryptoConf, CryptoKind, GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf,
    NetworkConf, PcieBusConf, Privileges, VcpuConf,
};
use crate::addr::{Pa, Ra, RealRange};
use crate::hvctl::{Detail, ResKind, Status};
use crate::id::{CoreId, GuestId, LdcId, StrandId, VcpuId};
use crate::md::{Md, NodeId, Value};
use proptest::prelude::{Strategy, any, prop_assert_eq};
use proptest::{collection::vec, option, proptest};

fn guest(id: u8) -> GuestConf {
    GuestConf {
        id: GuestId(id),
        name: format!("guest{id}"),
        md_pa: Pa(0x10_0000 * u64::from(id)),
        rom_pa: Pa(0x300_0000),
        rom_bytes: 0x2_0000,
        tod_offset: -5,
        privileges: Privileges { diag: id == 0, perf: true, perf_ht: id == 1, rng: id == 0 },
    }
}

fn ldc(guest: u8, channel: u16, target: LdcTarget) -> LdcConf {
    LdcConf {
        guest: GuestId(guest),
        channel: LdcId(channel),
        target,
        tx_ino: 2 * channel,
        rx_ino: 2 * channel + 1,
        private_console: false,
        leads: false,
    }
}

fn two_guests() -> HvConfig {
    let mblock = |guest, ra, pa, size| MblockConf {
        guest: GuestId(guest),
        range: RealRange { ra: Ra(ra), pa: Pa(pa), size },
    };
    let to = |guest, channel| LdcTarget::Guest { guest: GuestId(guest), channel: LdcId(channel) };
    let crypto = |kind| CryptoConf { core: CoreId(0), kind, guest: GuestId(0), ino: 0x20 };
    HvConfig {
        guests: vec![guest(0), guest(1)],
        vcpus: (0..10)
            .map(|strand| VcpuConf {
                strand: StrandId(strand),
                guest: GuestId(strand / 8),
                vid: VcpuId(strand % 8),
            })
            .collect(),
        mblocks: vec![
            mblock(0, 0x800_0000, 0x800_0000, 1 << 32),
            mblock(1, 0x800_0000, 0x1_0800_0000, 0x2000_0000),
        ],
        ldc_endpoints: vec![
            ldc(0, 0, LdcTarget::Hypervisor),
            LdcConf { leads: true, ..ldc(0, 1, to(1, 0)) },
            LdcConf { private_console: true, ..ldc(1, 0, to(0, 1)) },
        ],
        consoles: vec![
            ConsoleConf { guest: GuestId(0), ino: 0x11, endpoint: None },
            ConsoleConf { guest: GuestId(1), ino: 0x11, endpoint: Some(LdcId(0)) },
        ],
        crypto: vec![crypto(CryptoKind::Mau), crypto(CryptoKind::Cwq)],
        pcie_bus: Some(PcieBusConf { handle: PcieBusConf::HANDLE, guest: GuestId(0) }),
        network: Some(NetworkConf { handle: NetworkConf::HANDLE, guest: GuestId(1) }),
    }
}

#[test]
fn what_is_said_is_understood() {
    let config = two_guests();
    let bytes = config.to_md().to_bytes();
    assert_eq!(HvConfig::from_md(&Md::parse(&bytes).unwrap()), Ok(config));
}

#[test]
fn a_guest_of_which_nothing_is_said_has_no_privileges() {
    let mut config = two_guests();
    config.guests.iter_mut().for_each(|guest| guest.privileges = Privileges::default());
    let md = config.to_md();
    for (_, node) in md.nodes() {
        for name in ["diagpriv", "perfctraccess", "perfctrhtaccess", "rngctlaccessible"] {
            assert_eq!(node.number(name), None);
        }
    }
    assert_eq!(HvConfig::from_md(&md), Ok(config));
}

/// The error of a graph in which the first `kind` has no `property`, or another one.
fn with(kind: &str, property: &str, value: Option<u64>) -> String {
    let whole = two_guests().to_md();
    let (mut md, mut found) = (Md::default(), false);
    for (_, node) in whole.nodes() {
        md.add(node.name());
    }
    for (id, node) in whole.nodes() {
        for (name, own) in node.properties() {
            if found || node.name() != kind || name != property {
                md.set(id, name, own.clone());
                continue;
            }
            found = true;
            if let Some(value) = value {
                md.val(id, name, value);
            }
        }
    }
    assert!(found, "{kind} has no {property}");
    let error = HvConfig::from_md(&md).unwrap_err();
    let want = if kind == "root" { Status::MdNotSupported } else { Status::BadMd };
    assert_eq!(error.status, want, "{error}");
    error.to_string()
}

#[test]
fn a_missing_property_is_named_with_its_node() {
    let mut text = String::new();
    for (kind, property) in [
        ("root", "content-version"),
        ("guest", "resource_id"),
        ("guest", "gid"),
        ("guest", "name"),
        ("guest", "mdpa"),
        ("cpu", "resource_id"),
        ("cpu", "pid"),
        ("cpu", "vid"),
        ("mblock", "resource_id"),
        ("mblock", "membase"),
        ("mblock", "memsize"),
        ("mblock", "realbase"),
        ("ldc_endpoint", "channel"),
        ("ldc_endpoint", "target_type"),
        ("ldc_endpoint", "svc_id"),
        ("ldc_endpoint", "tx-ino"),
        ("console", "resource_id"),
        ("console", "ino"),
        ("console", "uartbase"),
        ("mau", "resource_id"),
        ("mau", "ino"),
        ("cwq", "resource_id"),
        ("cwq", "ino"),
        ("pcie_bus", "resource_id"),
        ("pcie_bus", "cfghandle"),
        ("network_device", "resource_id"),
        ("network_device", "cfghandle"),
    ] {
        text += &format!("{}\n", with(kind, property, None));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_number_out_of_range_is_named_with_its_node() {
    let mut text = String::new();
    for (kind, property, value) in [
        ("guest", "resource_id", 64),
        ("guest", "gid", 64),
        ("cpu", "resource_id", 72),
        ("cpu", "pid", 72),
        ("cpu", "vid", 64),
        ("mblock", "resource_id", 4096),
        ("ldc_endpoint", "channel", 512),
        ("ldc_endpoint", "target_type", 2),
        ("ldc_endpoint", "svc_id", 2),
        ("console", "ino", 1024),
        ("mau", "resource_id", 9),
        ("cwq", "resource_id", 9),
        ("pcie_bus", "resource_id", 1),
        ("pcie_bus", "cfghandle", 2048),
        ("network_device", "resource_id", 1),
        ("network_device", "cfghandle", u64::MAX),
    ] {
        text += &format!("{}\n", with(kind, property, Some(value)));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_machine_has_one_bus_and_one_network_unit_each_of_somebody() {
    for kind in ["pcie_bus", "network_device"] {
        let mut md = two_guests().to_md();
        let guest = md.named("guest").next().unwrap().0;
        let twin = md.add(kind);
        md.val(twin, "resource_id", 0).val(twin, "cfghandle", 0x80).link(guest, twin);
        let error = HvConfig::from_md(&md).unwrap_err();
        assert!(matches!(
            error.detail,
            Detail::PcieIllegalProperty | Detail::NetworkIllegalProperty
        ));
    }
    let mut config = two_guests();
    config.network = Some(NetworkConf { handle: 0x80, guest: GuestId(7) });
    assert_eq!(HvConfig::from_md(&config.to_md()).unwrap_err().detail, Detail::NetworkMissingGuest);
    config.pcie_bus = Some(PcieBusConf { handle: 0, guest: GuestId(7) });
    assert_eq!(HvConfig::from_md(&config.to_md()).unwrap_err().detail, Detail::PcieMissingGuest);
}

#[test]
fn guests_alone_are_read_without_looking_at_the_rest() {
    let mut config = two_guests();
    config.vcpus[9].guest = GuestId(7);
    let md = config.to_md();
    assert!(HvConfig::from_md(&md).is_err());
    assert_eq!(HvConfig::guests_from_md(&md), Ok(config.guests));
}

#[test]
fn a_crypto_unit_needs_a_cpu_of_its_core() {
    let mut config = two_guests();
    config.crypto[1].core = CoreId(5);
    let error = HvConfig::from_md(&config.to_md()).unwrap_err();
    assert_eq!((error.res, error.detail), (ResKind::Cwq, Detail::CwqMissingCpu));
}

#[test]
fn another_major_and_another_graph_are_refused() {
    let mut md = Md::default();
    assert_eq!(HvConfig::from_md(&md).unwrap_err().status, Status::BadMd);
    let root = md.add("root");
    md.val(root, "content-version", 2 << 32);
    assert_eq!(HvConfig::from_md(&md).unwrap_err().status, Status::MdNotSupported);
}

#[test]
fn a_resource_of_nobody_is_refused() {
    let mut config = two_guests();
    config.vcpus[9].guest = GuestId(7);
    let error = HvConfig::from_md(&config.to_md()).unwrap_err();
    assert_eq!((error.res, error.detail, error.id), (ResKind::Vcpu, Detail::VcpuMissingGuest, 9));
}

fn configs() -> impl Strategy<Value = HvConfig> {
    let vcpus = vec((0_u8..64, 0_u8..64), 1..20);
    let mblocks = vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..6);
    let ldcs = vec((0_u16..512, option::of((0_u8..64, 0_u16..512)), any::<bool>()), 0..10);
    let devices = (option::of(0_u16..2048), option::of(0_u16..2048));
    (1_u8..5, vcpus, mblocks, ldcs, devices, any::<u64>()).prop_map(
        |(guests, vcpus, mblocks, ldcs, (bus, network), pick)| {
            let whose = |at: usize| GuestId((at as u8) % guests);
            let units = |kind| {
                let cores = vcpus.iter().map(move |&(strand, _)| StrandId(strand).core());
                let guest = GuestId((pick % u64::from(guests)) as u8);
                cores.map(move |core| CryptoConf { core, kind, guest, ino: core.0.into() }).take(3)
            };
            HvConfig {
                guests: (0..guests).map(guest).collect(),
                mblocks: mblocks
                    .iter()
                    .enumerate()
                    .map(|(at, &(ra, pa, size))| MblockConf {
                        guest: whose(at),
                        range: RealRange { ra: Ra(ra), pa: Pa(pa), size },
                    })
                    .collect(),
                ldc_endpoints: ldcs
                    .iter()
                    .enumerate()
                    .map(|(at, &(channel, peer, private_console))| {
                        let target = peer.map_or(LdcTarget::Hypervisor, |(guest, channel)| {
                            LdcTarget::Guest { guest: GuestId(guest), channel: LdcId(channel) }
                        });
                        let leads = channel % 2 == 1;
                        LdcConf { private_console, leads, ..ldc(whose(at).0, channel, target) }
                    })
                    .collect(),
                consoles: vec![ConsoleConf { guest: GuestId(0), ino: 0x11, endpoint: None }],
                crypto: units(CryptoKind::Mau).chain(units(CryptoKind::Cwq)).collect(),
                pcie_bus: bus.map(|handle| PcieBusConf { handle, guest: whose(1) }),
                network: network.map(|handle| NetworkConf { handle, guest: whose(2) }),
                vcpus: vcpus
                    .iter()
                    .enumerate()
                    .map(|(at, &(strand, vid))| VcpuConf {
                        strand: StrandId(strand),
                        guest: whose(at),
                        vid: VcpuId(vid),
                    })
                    .collect(),
            }
        },
    )
}

proptest! {
    #[test]
    fn every_configuration_survives_the_way_through_bytes(config in configs()) {
        let md = Md::parse(&config.to_md().to_bytes()).unwrap();
        prop_assert_eq!(HvConfig::from_md(&md), Ok(config));
    }

    #[test]
    fn any_graph_is_understood_or_refused(
        config in configs(), node in any::<u32>(), number in any::<u64>(), property in 0_usize..8,
    ) {
        let mut md = config.to_md();
        let count = md.nodes().count() as u32;
        let names = [
            "gid", "pid", "vid", "channel", "target_type", "ino", "cfghandle", "resource_id",
        ];
        // The first property of a name counts, so a fresh graph is needed.
        let mut other = Md::default();
        for (_, node) in md.nodes() {
            other.add(node.name());
        }
        other.set(NodeId(node % count), names[property], Value::Val(number));
        for (id, node) in md.nodes() {
            for (name, value) in node.properties() {
                other.set(id, name, value.clone());
            }
        }
        md = other;
        let _ = HvConfig::from_md(&md);
    }
}
