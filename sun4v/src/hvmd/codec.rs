//! Between [`HvConfig`] and the graph of a hypervisor MD.
//!
//! **Shapes.** Below the root are containers (`guests`, `cpus`, `memory`, `maus`,
//! `cwqs`, `ldc_endpoints`, `consoles`, `devices`), below them the resources. A guest has
//! `fwd` arcs to what it owns, which has a `back` arc to it. A crypto unit has
//! `back` arcs to the cpus of its core; which core it is, follows from them.
//!
//! **Errors.** [`HvmdError`] says which node and property, with the code and the
//! element that a failed reconfiguration reports. Here it is checked that
//! properties are there and fit their types; what they ask for is judged by the
//! hypervisor. Kinds are read in the original's order, which decides what is named
//! when there are several mistakes.

use super::{
    ConsoleConf, CryptoConf, CryptoKind, GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf,
    NetworkConf, PcieBusConf, Privileges, VcpuConf,
};
use crate::addr::{Pa, Ra, RealRange};
use crate::hvctl::{Detail, ResKind, SVC_HVCTL, Status};
use crate::id::{CORES, GuestId, LdcId, STRANDS, StrandId, T2_STRANDS, VcpuId};
use crate::md::{Md, Node, NodeId};
use std::fmt;

/// `content-version` of what is written here: 1.3. Another major is not read.
pub const CONTENT_VERSION: u64 = 1 << 32 | 3;

const TARGET_GUEST: u64 = 0;
const TARGET_HYPERVISOR: u64 = 1;
/// `private_svc` of an endpoint that carries a console.
const SVC_CONSOLE: u64 = 2;
/// Where the service processor's console is; a guest console has an endpoint.
const SP_UARTBASE: u64 = 0xff_f0c2_c000;
/// Properties of a guest with a privilege.
const DIAG: &str = "diagpriv";
const PERF: &str = "perfctraccess";
const PERF_HT: &str = "perfctrhtaccess";
const RNG: &str = "rngctlaccessible";
/// Ours: an endpoint whose virtual CPU goes on first.
const LEADS: &str = "leads";
/// Numbers of memory blocks.
const MBLOCKS: u64 = 4096;
/// Cfg handles lie below: 32 devices of 64 interrupts each.
const HANDLES: u64 = 32 * 64;
/// Endpoints of a guest.
const LDCS: u64 = 512;
/// Interrupt numbers.
const INOS: u64 = 2 * LDCS;

/// Why a hypervisor MD means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HvmdError {
    /// What to answer: [`Status::BadMd`] or [`Status::MdNotSupported`].
    pub status: Status,
    /// Kind of the resource.
    pub res: ResKind,
    /// What about it.
    pub detail: Detail,
    /// Index of the node's first element.
    pub node: u32,
    /// `resource_id` of the resource; zero when it has none.
    pub id: u32,
    /// The property or arc; empty when it is about the MD as a whole.
    pub property: &'static str,
}

impl fmt::Display for HvmdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { res, node, id, property, detail, .. } = self;
        match (self.status, *property) {
            (Status::BadMd, "") => write!(f, "no root node"),
            (Status::MdNotSupported, _) => {
                write!(f, "root: content-version is missing or of another major")
            }
            _ => write!(f, "{res} {id} (element {node}): {property} ({detail:?})"),
        }
    }
}

impl std::error::Error for HvmdError {}

impl HvConfig {
    /// The graph that says this.
    #[must_use]
    pub fn to_md(&self) -> Md {
        let mut md = Md::default();
        let root = md.add("root");
        md.val(root, "content-version", CONTENT_VERSION);
        let guests = self.emit_guests(&mut md, root);
        let owner =
            |guest: GuestId| guests.iter().find_map(|&(id, node)| (id == guest).then_some(node));
        let cpus = md.child(root, "cpus");
        let mut cpu_nodes = Vec::new();
        for vcpu in &self.vcpus {
            let node = resource(&mut md, cpus, "cpu", u64::from(vcpu.strand.0), owner(vcpu.guest));
            md.val(node, "pid", vcpu.strand.0.into()).val(node, "vid", vcpu.vid.0.into());
            md.val(node, "partid", vcpu.guest.0.into());
            cpu_nodes.push((vcpu.strand.core(), node));
        }
        let memory = md.child(root, "memory");
        for (id, mblock) in self.mblocks.iter().enumerate() {
            let node = resource(&mut md, memory, "mblock", id as u64, owner(mblock.guest));
            md.val(node, "membase", mblock.range.pa.0).val(node, "memsize", mblock.range.size);
            md.val(node, "realbase", mblock.range.ra.0);
        }
        for (container, name, kind) in
            [("maus", "mau", CryptoKind::Mau), ("cwqs", "cwq", CryptoKind::Cwq)]
        {
            let units = md.child(root, container);
            for unit in self.crypto.iter().filter(|unit| unit.kind == kind) {
                let node = resource(&mut md, units, name, unit.core.0.into(), owner(unit.guest));
                md.val(node, "ino", unit.ino.into());
                for (_, cpu) in cpu_nodes.iter().filter(|(core, _)| *core == unit.core) {
                    md.link(*cpu, node);
                }
            }
        }
        self.emit_channels(&mut md, root, owner);
        self.emit_devices(&mut md, root, owner);
        md
    }

    fn emit_guests(&self, md: &mut Md, root: NodeId) -> Vec<(GuestId, NodeId)> {
        let guests = md.child(root, "guests");
        let mut nodes = Vec::new();
        for guest in &self.guests {
            let id = u64::from(guest.id.0);
            let node = resource(md, guests, "guest", id, None);
            md.string(node, "name", &guest.name).val(node, "gid", id).val(node, "pid", id);
            md.val(node, "mdpa", guest.md_pa.0);
            md.val(node, "rombase", guest.rom_pa.0).val(node, "romsize", guest.rom_bytes);
            md.val(node, "tod-offset", guest.tod_offset.cast_unsigned());
            let Privileges { diag, perf, perf_ht, rng } = guest.privileges;
            let granted = [(DIAG, diag), (PERF, perf), (PERF_HT, perf_ht), (RNG, rng)];
            for (name, _) in granted.iter().filter(|(_, granted)| *granted) {
                md.val(node, name, 1);
            }
            nodes.push((guest.id, node));
        }
        nodes
    }

    fn emit_channels(&self, md: &mut Md, root: NodeId, owner: impl Fn(GuestId) -> Option<NodeId>) {
        let endpoints = md.child(root, "ldc_endpoints");
        let mut nodes = Vec::new();
        for (id, ldc) in self.ldc_endpoints.iter().enumerate() {
            let node = resource(md, endpoints, "ldc_endpoint", id as u64, owner(ldc.guest));
            md.val(node, "channel", ldc.channel.0.into());
            match ldc.target {
                LdcTarget::Guest { guest, channel } => {
                    md.val(node, "target_type", TARGET_GUEST);
                    md.val(node, "target_guest", guest.0.into());
                    md.val(node, "target_channel", channel.0.into());
                }
                LdcTarget::Hypervisor => {
                    md.val(node, "target_type", TARGET_HYPERVISOR).val(node, "svc_id", SVC_HVCTL);
                }
            }
            md.val(node, "tx-ino", ldc.tx_ino.into()).val(node, "rx-ino", ldc.rx_ino.into());
            if ldc.private_console {
                md.val(node, "private_svc", SVC_CONSOLE);
            }
            if ldc.leads {
                md.val(node, LEADS, 1);
            }
            nodes.push((ldc.guest, ldc.channel, node));
        }
        let consoles = md.child(root, "consoles");
        for console in &self.consoles {
            let id = u64::from(console.guest.0);
            let node = resource(md, consoles, "console", id, owner(console.guest));
            md.val(node, "ino", console.ino.into());
            match console.endpoint {
                None => {
                    md.val(node, "uartbase", SP_UARTBASE);
                }
                Some(channel) => {
                    let found = nodes
                        .iter()
                        .find(|&&(guest, own, _)| (guest, own) == (console.guest, channel));
                    if let Some(&(.., endpoint)) = found {
                        md.link(node, endpoint);
                    }
                }
            }
        }
    }

    /// The bus and the network unit. A machine's graph without either has no container.
    fn emit_devices(&self, md: &mut Md, root: NodeId, owner: impl Fn(GuestId) -> Option<NodeId>) {
        let bus = self.pcie_bus.map(|bus| ("pcie_bus", bus.handle, bus.guest));
        let network = self.network.map(|unit| ("network_device", unit.handle, unit.guest));
        let mut devices = None;
        for (name, handle, guest) in bus.into_iter().chain(network) {
            let devices = *devices.get_or_insert_with(|| md.child(root, "devices"));
            let node = resource(md, devices, name, 0, owner(guest));
            md.val(node, "cfghandle", handle.into());
        }
    }

    /// What a graph says, in its order.
    ///
    /// # Errors
    /// See [`HvmdError`].
    pub fn from_md(md: &Md) -> Result<Self, HvmdError> {
        let guests = Self::guests_from_md(md)?;
        let each = |name| each(md, name);
        let crypto = |name, kind, codes: CryptoCodes| {
            each(name).map(move |unit| crypto_unit(unit, kind, codes))
        };
        Ok(Self {
            guests,
            mblocks: each("mblock").map(mblock).collect::<Result<_, _>>()?,
            vcpus: each("cpu").map(vcpu).collect::<Result<_, _>>()?,
            ldc_endpoints: each("ldc_endpoint").map(endpoint).collect::<Result<_, _>>()?,
            consoles: each("console").map(console).collect::<Result<_, _>>()?,
            crypto: crypto("mau", CryptoKind::Mau, MAU)
                .chain(crypto("cwq", CryptoKind::Cwq, CWQ))
                .collect::<Result<_, _>>()?,
            pcie_bus: only(each("pcie_bus"), PCIE)?
                .map(|(handle, guest)| PcieBusConf { handle, guest }),
            network: only(each("network_device"), NETWORK)?
                .map(|(handle, guest)| NetworkConf { handle, guest }),
        })
    }

    /// What a graph says of guests alone; of everything else nothing is looked at.
    ///
    /// # Errors
    /// See [`HvmdError`].
    pub fn guests_from_md(md: &Md) -> Result<Vec<GuestConf>, HvmdError> {
        check_root(md)?;
        each(md, "guest").map(guest).collect()
    }
}

/// The resources whose nodes have this name.
fn each<'a>(md: &'a Md, name: &str) -> impl Iterator<Item = At<'a>> + use<'a> {
    let nodes: Vec<_> = md.named(name).collect();
    nodes.into_iter().map(move |(id, node)| At { md, id, node })
}

/// A node below a container, with its number, and below its owner.
fn resource(md: &mut Md, container: NodeId, name: &str, id: u64, owner: Option<NodeId>) -> NodeId {
    let node = md.child(container, name);
    md.val(node, "resource_id", id);
    if let Some(owner) = owner {
        md.link(owner, node);
    }
    node
}

fn check_root(md: &Md) -> Result<(), HvmdError> {
    let error = |status| HvmdError {
        status,
        res: ResKind::Guest,
        detail: Detail::GuestMissingId,
        node: 0,
        id: 0,
        property: "",
    };
    let root = md.nodes().next().filter(|(_, node)| node.name() == "root");
    let (_, root) = root.ok_or(error(Status::BadMd))?;
    match root.number("content-version") {
        Some(version) if version >> 32 == CONTENT_VERSION >> 32 => Ok(()),
        _ => Err(error(Status::MdNotSupported)),
    }
}

/// A resource's node.
#[derive(Clone, Copy)]
struct At<'a> {
    md: &'a Md,
    id: NodeId,
    node: &'a Node,
}

impl At<'_> {
    fn error(&self, res: ResKind, detail: Detail, property: &'static str) -> HvmdError {
        let id = self.node.number("resource_id").and_then(|id| u32::try_from(id).ok());
        HvmdError {
            status: Status::BadMd,
            res,
            detail,
            node: self.md.element(self.id),
            id: id.unwrap_or(0),
            property,
        }
    }

    /// A number: `missing` when it is not there.
    fn number(
        &self,
        res: ResKind,
        property: &'static str,
        missing: Detail,
    ) -> Result<u64, HvmdError> {
        self.node.number(property).ok_or_else(|| self.error(res, missing, property))
    }

    /// A number below `end`: `bad` when it is not.
    fn below(
        &self,
        res: ResKind,
        property: &'static str,
        (missing, bad): (Detail, Detail),
        end: u64,
    ) -> Result<u16, HvmdError> {
        let number = self.number(res, property, missing)?;
        if number < end { Ok(number as u16) } else { Err(self.error(res, bad, property)) }
    }

    /// The guest that the `back` arc leads to.
    fn guest(&self, res: ResKind, missing: Detail) -> Result<GuestId, HvmdError> {
        let guest = self.md.linked(self.id, "back", "guest").next();
        let number = guest.and_then(|(_, guest)| guest.number("gid"));
        match number.filter(|&number| number < T2_STRANDS as u64) {
            Some(number) => Ok(GuestId(number as u8)),
            None => Err(self.error(res, missing, "back")),
        }
    }
}

fn guest(at: At<'_>) -> Result<GuestConf, HvmdError> {
    let res = ResKind::Guest;
    let ids = (Detail::GuestMissingId, Detail::GuestInvalidId);
    at.below(res, "resource_id", ids, T2_STRANDS as u64)?;
    let ids = (Detail::GuestMissingProperty, Detail::GuestInvalidId);
    let gid = at.below(res, "gid", ids, T2_STRANDS as u64)?;
    let number = |property| at.number(res, property, Detail::GuestMissingProperty);
    let name = at.node.text("name");
    let granted = |property| at.node.number(property).is_some_and(|value| value != 0);
    Ok(GuestConf {
        id: GuestId(gid as u8),
        name: name.ok_or_else(|| at.error(res, Detail::GuestMissingProperty, "name"))?.to_owned(),
        md_pa: Pa(number("mdpa")?),
        rom_pa: Pa(number("rombase")?),
        rom_bytes: number("romsize")?,
        tod_offset: at.node.number("tod-offset").unwrap_or(0).cast_signed(),
        privileges: Privileges {
            diag: granted(DIAG),
            perf: granted(PERF),
            perf_ht: granted(PERF_HT),
            rng: granted(RNG),
        },
    })
}

fn vcpu(at: At<'_>) -> Result<VcpuConf, HvmdError> {
    let (res, strands) = (ResKind::Vcpu, STRANDS as u64);
    at.below(res, "resource_id", (Detail::VcpuMissingId, Detail::VcpuInvalidId), strands)?;
    let strand = (Detail::VcpuMissingStrand, Detail::VcpuInvalidStrand);
    let vid = (Detail::VcpuMissingVid, Detail::VcpuInvalidVid);
    Ok(VcpuConf {
        strand: StrandId(at.below(res, "pid", strand, strands)? as u8),
        guest: at.guest(res, Detail::VcpuMissingGuest)?,
        vid: VcpuId(at.below(res, "vid", vid, T2_STRANDS as u64)? as u8),
    })
}

fn mblock(at: At<'_>) -> Result<MblockConf, HvmdError> {
    let res = ResKind::Memory;
    at.below(res, "resource_id", (Detail::MemoryMissingId, Detail::MemoryInvalidId), MBLOCKS)?;
    let range = RealRange {
        pa: Pa(at.number(res, "membase", Detail::MemoryMissingBase)?),
        size: at.number(res, "memsize", Detail::MemoryMissingSize)?,
        ra: Ra(at.number(res, "realbase", Detail::MemoryMissingReal)?),
    };
    Ok(MblockConf { guest: at.guest(res, Detail::MemoryMissingGuest)?, range })
}

fn endpoint(at: At<'_>) -> Result<LdcConf, HvmdError> {
    let res = ResKind::Ldc;
    let codes = (Detail::LdcMissingProperty, Detail::LdcIllegalProperty);
    at.number(res, "resource_id", codes.0)?;
    let target = match at.number(res, "target_type", codes.0)? {
        TARGET_GUEST => LdcTarget::Guest {
            guest: GuestId(at.below(res, "target_guest", codes, T2_STRANDS as u64)? as u8),
            channel: LdcId(at.below(res, "target_channel", codes, LDCS)?),
        },
        TARGET_HYPERVISOR if at.node.number("svc_id") == Some(SVC_HVCTL) => LdcTarget::Hypervisor,
        TARGET_HYPERVISOR => return Err(at.error(res, codes.1, "svc_id")),
        _ => return Err(at.error(res, codes.1, "target_type")),
    };
    Ok(LdcConf {
        guest: at.guest(res, codes.0)?,
        channel: LdcId(at.below(res, "channel", codes, LDCS)?),
        target,
        tx_ino: at.below(res, "tx-ino", codes, INOS)?,
        rx_ino: at.below(res, "rx-ino", codes, INOS)?,
        private_console: at.node.number("private_svc") == Some(SVC_CONSOLE),
        leads: at.node.number(LEADS) == Some(1),
    })
}

fn console(at: At<'_>) -> Result<ConsoleConf, HvmdError> {
    let res = ResKind::Console;
    at.number(res, "resource_id", Detail::ConsoleMissingId)?;
    let inos = (Detail::ConsoleMissingIno, Detail::ConsoleInvalidIno);
    let guest = at.guest(res, Detail::ConsoleMissingGuest)?;
    let endpoint = match at.md.linked(at.id, "fwd", "ldc_endpoint").next() {
        None if at.node.number("uartbase").is_some() => None,
        None => return Err(at.error(res, Detail::ConsoleMissingUart, "uartbase")),
        Some((id, node)) => {
            let endpoint = endpoint(At { md: at.md, id, node })?;
            if endpoint.guest != guest || !endpoint.private_console {
                return Err(at.error(res, Detail::ConsoleInvalidLdc, "fwd"));
            }
            Some(endpoint.channel)
        }
    };
    Ok(ConsoleConf { guest, ino: at.below(res, "ino", inos, INOS)?, endpoint })
}

/// Detail codes of a kind that a machine has one of.
#[derive(Clone, Copy)]
struct OnlyCodes {
    res: ResKind,
    missing: Detail,
    illegal: Detail,
    missing_guest: Detail,
}

const PCIE: OnlyCodes = OnlyCodes {
    res: ResKind::PcieBus,
    missing: Detail::PcieMissingProperty,
    illegal: Detail::PcieIllegalProperty,
    missing_guest: Detail::PcieMissingGuest,
};

const NETWORK: OnlyCodes = OnlyCodes {
    res: ResKind::NetworkDevice,
    missing: Detail::NetworkMissingProperty,
    illegal: Detail::NetworkIllegalProperty,
    missing_guest: Detail::NetworkMissingGuest,
};

/// Cfg handle and guest of the only one; `resource_id` is 0, and another is not one of
/// this machine's.
fn only<'a>(
    nodes: impl Iterator<Item = At<'a>>,
    codes: OnlyCodes,
) -> Result<Option<(u16, GuestId)>, HvmdError> {
    let OnlyCodes { res, missing, illegal, missing_guest } = codes;
    let mut found = None;
    for at in nodes {
        at.number(res, "resource_id", missing)?;
        at.number(res, "cfghandle", missing)?;
        at.below(res, "resource_id", (missing, illegal), 1)?;
        if found.is_some() {
            return Err(at.error(res, illegal, "resource_id"));
        }
        let handle = at.below(res, "cfghandle", (missing, illegal), HANDLES)?;
        found = Some((handle, at.guest(res, missing_guest)?));
    }
    Ok(found)
}

/// Detail codes of one kind of crypto unit.
#[derive(Clone, Copy)]
struct CryptoCodes {
    res: ResKind,
    missing_id: Detail,
    missing_cpu: Detail,
    strand: (Detail, Detail),
    missing_ino: Detail,
    invalid_id: Detail,
    missing_guest: Detail,
}

const MAU: CryptoCodes = CryptoCodes {
    res: ResKind::Mau,
    missing_id: Detail::MauMissingId,
    missing_cpu: Detail::MauMissingCpu,
    strand: (Detail::MauMissingStrand, Detail::MauInvalidStrand),
    missing_ino: Detail::MauMissingIno,
    invalid_id: Detail::MauInvalidId,
    missing_guest: Detail::MauMissingGuest,
};

const CWQ: CryptoCodes = CryptoCodes {
    res: ResKind::Cwq,
    missing_id: Detail::CwqMissingId,
    missing_cpu: Detail::CwqMissingCpu,
    strand: (Detail::CwqMissingStrand, Detail::CwqInvalidStrand),
    missing_ino: Detail::CwqMissingIno,
    invalid_id: Detail::CwqInvalidId,
    missing_guest: Detail::CwqMissingGuest,
};

fn crypto_unit(at: At<'_>, kind: CryptoKind, codes: CryptoCodes) -> Result<CryptoConf, HvmdError> {
    let res = codes.res;
    at.below(res, "resource_id", (codes.missing_id, codes.invalid_id), CORES as u64)?;
    let cpu = at.md.linked(at.id, "back", "cpu").next();
    let (id, node) = cpu.ok_or_else(|| at.error(res, codes.missing_cpu, "back"))?;
    let cpu = At { md: at.md, id, node };
    let strand = StrandId(cpu.below(res, "pid", codes.strand, STRANDS as u64)? as u8);
    Ok(CryptoConf {
        core: strand.core(),
        kind,
        guest: at.guest(res, codes.missing_guest)?,
        ino: at.below(res, "ino", (codes.missing_ino, codes.missing_ino), INOS)?,
    })
}

#[cfg(test)]
mod test;
