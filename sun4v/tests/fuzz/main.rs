//! Machine descriptions and hypervisor MDs of any bytes: refused, or a model that is
//! written and read again as the same.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod drive;

use drive::{Dice, fuzz};
use sun4v::addr::{Pa, Ra, RealRange};
use sun4v::hvmd::{
    ConsoleConf, CryptoConf, CryptoKind, GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf,
    NetworkConf, PcieBusConf, Privileges, VcpuConf,
};
use sun4v::id::{CoreId, GuestId, LdcId, StrandId, VcpuId};
use sun4v::ldc::Packet;
use sun4v::md::{Md, NodeId, Value};

/// A graph of nodes with all kinds of properties.
fn graph(dice: &mut Dice) -> Md {
    let names = ["root", "cpu", "guest", "mblock", "ldc_endpoint", "console", "x", ""];
    let keys = ["fwd", "back", "id", "resource_id", "gid", "content-version", "name", "membase"];
    let mut md = Md::default();
    let nodes = 1 + dice.below(12);
    for n in 0..nodes {
        md.add(if n == 0 { "root" } else { dice.one(&names) });
    }
    for _ in 0..dice.below(40) {
        let value = match dice.below(5) {
            0 => Value::Str(String::from_utf8_lossy(&[b'a'; 9][..dice.below(10) as usize]).into()),
            1 => {
                let count = dice.below(40) as usize;
                Value::Data(dice.bytes(count))
            }
            2 => Value::Val(dice.bits()),
            _ => Value::Arc(NodeId(dice.below(nodes) as u32)),
        };
        md.set(NodeId(dice.below(nodes) as u32), dice.one(&keys), value);
    }
    md
}

/// What a chassis may be told: guests with everything they can have.
fn config(dice: &mut Dice) -> HvConfig {
    let mut config = HvConfig::default();
    let guests = 1 + dice.below(4) as u8;
    for id in 0..guests {
        let guest = GuestId(id);
        config.guests.push(GuestConf {
            id: guest,
            name: format!("guest{id}"),
            md_pa: Pa(dice.bits()),
            rom_pa: Pa(dice.bits()),
            rom_bytes: dice.bits(),
            tod_offset: dice.bits().cast_signed(),
            privileges: Privileges {
                diag: dice.hit(2),
                perf: dice.hit(2),
                perf_ht: dice.hit(2),
                rng: dice.hit(2),
            },
        });
        for vid in 0..1 + dice.below(4) as u8 {
            let strand = StrandId(id * 8 + vid);
            config.vcpus.push(VcpuConf { strand, guest, vid: VcpuId(vid) });
        }
        let range = RealRange { ra: Ra(dice.bits()), pa: Pa(dice.bits()), size: dice.bits() };
        config.mblocks.push(MblockConf { guest, range });
        for channel in 0..dice.below(4) as u16 {
            let peer = LdcTarget::Guest {
                guest: GuestId(dice.below(64) as u8),
                channel: LdcId(dice.below(512) as u16),
            };
            config.ldc_endpoints.push(LdcConf {
                guest,
                channel: LdcId(channel),
                target: if dice.hit(4) { LdcTarget::Hypervisor } else { peer },
                tx_ino: dice.below(1024) as u16,
                rx_ino: dice.below(1024) as u16,
                private_console: dice.hit(4),
                leads: dice.hit(4),
            });
        }
        config.consoles.push(ConsoleConf { guest, ino: dice.below(64) as u16, endpoint: None });
        if dice.hit(2) {
            let kind = dice.one(&[CryptoKind::Mau, CryptoKind::Cwq]);
            config.crypto.push(CryptoConf { core: CoreId(id), kind, guest, ino: 40 });
        }
    }
    let owner = GuestId(dice.below(u64::from(guests)) as u8);
    let handle = 64 * dice.below(32) as u16;
    if dice.hit(2) {
        config.pcie_bus = Some(PcieBusConf { handle, guest: owner });
    }
    if dice.hit(2) {
        config.network = Some(NetworkConf { handle: handle ^ 64, guest: owner });
    }
    config
}

/// What reads means something: it writes bytes that read as the same.
fn reads(bytes: &[u8]) {
    let Ok(md) = Md::parse(bytes) else { return };
    let again = Md::parse(&md.to_bytes());
    assert_eq!(again.as_ref(), Ok(&md), "a graph is not what was written");
    for (id, _) in md.nodes() {
        assert!(md.arcs(id, "fwd").all(|target| md.get(target).is_some()));
    }
    match HvConfig::from_md(&md) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(config) => {
            let written = config.to_md();
            let bytes = written.to_bytes();
            let again = Md::parse(&bytes).unwrap();
            match HvConfig::from_md(&again) {
                Ok(same) => assert_eq!(same, config, "a configuration is not what was written"),
                // Two guests of one number, or a unit on a core without a cpu, are
                // nothing that the form can say twice; the hypervisor refuses them.
                Err(_) => assert!(is_ambiguous(&config), "{config:#?}"),
            }
        }
    }
}

/// Says it something that only a judge can refuse?
fn is_ambiguous(config: &HvConfig) -> bool {
    let known = |guest| config.guests.iter().filter(|conf| conf.id == guest).count() == 1;
    let mut owners = config.vcpus.iter().map(|vcpu| vcpu.guest).chain(
        config.mblocks.iter().map(|block| block.guest).chain(
            config.ldc_endpoints.iter().map(|end| end.guest).chain(
                config
                    .consoles
                    .iter()
                    .map(|console| console.guest)
                    .chain(config.crypto.iter().map(|unit| unit.guest)),
            ),
        ),
    );
    let has_cpu = |core| config.vcpus.iter().any(|vcpu| vcpu.strand.core() == core);
    !owners.all(known) || !config.crypto.iter().all(|unit| has_cpu(unit.core))
}

#[test]
fn machine_descriptions() {
    fuzz("machine_descriptions", &[], |dice| {
        let mut bytes = match dice.below(8) {
            0 => {
                let count = dice.below(300) as usize;
                dice.bytes(count)
            }
            1..=3 => graph(dice).to_bytes(),
            _ => config(dice).to_md().to_bytes(),
        };
        reads(&bytes);
        for _ in 0..8 {
            dice.mutate(&mut bytes);
            reads(&bytes);
        }
    });
}

#[test]
fn packets() {
    fuzz("packets", &[], |dice| {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(&dice.bytes(64));
        if !dice.hit(4) {
            bytes[0] = 1 + dice.below(2) as u8;
            bytes[1] = 1 << dice.below(3);
        }
        let packet = Packet::from_bytes(bytes);
        assert_eq!(packet.to_bytes(), bytes);
        // Whatever a field means, it means nothing outside the packet.
        let text = format!("{packet:?}");
        assert!(!text.is_empty());
    });
}
