//! The hypervisor's own machine description, as a typed model.
//!
//! The manager says what it wants by writing a *hypervisor MD* into the
//! hypervisor's memory and sending `reconfigure`; the hypervisor parses it and
//! commits it whole or refuses it whole. [`HvConfig`] is what such an MD means;
//! [`HvConfig::to_md`] and [`HvConfig::from_md`] go between it and the graph.
//!
//! **Source.** Node and property names: the OpenSPARC hypervisor's `res_*.c`.

mod codec;

pub use codec::{CONTENT_VERSION, HvmdError};

use crate::addr::{Pa, RealRange};
use crate::id::{CoreId, GuestId, LdcId, StrandId, VcpuId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that a hypervisor MD says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HvConfig {
    /// Guests, the control domain among them.
    pub guests: Vec<GuestConf>,
    /// Virtual CPUs: which strand is whose.
    pub vcpus: Vec<VcpuConf>,
    /// Memory blocks.
    pub mblocks: Vec<MblockConf>,
    /// LDC endpoints.
    pub ldc_endpoints: Vec<LdcConf>,
    /// Consoles, at most one a guest.
    pub consoles: Vec<ConsoleConf>,
    /// Crypto units: the CWQ and the MAU of a core.
    pub crypto: Vec<CryptoConf>,
    /// The PCI Express bus, when somebody has it.
    pub pcie_bus: Option<PcieBusConf>,
    /// The network unit, when somebody has it.
    pub network: Option<NetworkConf>,
}

/// A guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestConf {
    /// Its number (`gid`).
    pub id: GuestId,
    /// Its name.
    pub name: String,
    /// Where its guest MD lies, in hypervisor memory (`mdpa`).
    pub md_pa: Pa,
    /// Where its boot image lies (`rombase`), copied to the start of its memory
    /// when it starts; entry is at the image's byte 0x20.
    pub rom_pa: Pa,
    /// Bytes of the boot image (`romsize`); 0 for a native program.
    pub rom_bytes: u64,
    /// Seconds added to the machine's time of day (`tod-offset`).
    pub tod_offset: i64,
    /// What it may do beyond what every guest may.
    pub privileges: Privileges,
}

/// What a guest may do beyond what every guest may. A hypervisor MD that does not say grants
/// nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// See physical addresses (`diagpriv`).
    pub diag: bool,
    /// Set performance registers (`perfctraccess`).
    pub perf: bool,
    /// Count hyperprivileged events (`perfctrhtaccess`).
    pub perf_ht: bool,
    /// Set up the random number generator (`rngctlaccessible`).
    pub rng: bool,
}

impl Privileges {
    /// Those of a control domain.
    pub const ALL: Self = Self { diag: true, perf: true, perf_ht: true, rng: true };
}

/// A virtual CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VcpuConf {
    /// The strand it is (`pid`).
    pub strand: StrandId,
    /// Whose it is.
    pub guest: GuestId,
    /// Its number there (`vid`).
    pub vid: VcpuId,
}

/// A block of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MblockConf {
    /// Whose it is.
    pub guest: GuestId,
    /// Where it is (`realbase`, `membase`, `memsize`).
    pub range: RealRange,
}

/// What is at the other end of an LDC endpoint (`target_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LdcTarget {
    /// Endpoint `channel` of `guest` (0).
    Guest {
        /// The peer.
        guest: GuestId,
        /// Its endpoint.
        channel: LdcId,
    },
    /// The hypervisor itself (1): the hvctl service, `svc_id` 1.
    Hypervisor,
}

/// An LDC endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdcConf {
    /// Whose it is.
    pub guest: GuestId,
    /// Its number there (`channel`).
    pub channel: LdcId,
    /// The other end.
    pub target: LdcTarget,
    /// Interrupt numbers under cfg handle 0x200.
    pub tx_ino: u16,
    /// As `tx_ino`, for arriving packets; the only one that fires.
    pub rx_ino: u16,
    /// A console endpoint (`private_svc` 2): the hypervisor's, hidden from its guest.
    pub private_console: bool,
    /// When its guest goes on behind a suspend, the virtual CPU that takes its interrupt
    /// begins first (`leads`, ours): a driver of a disk loses what it is asked for between
    /// the reset of its channel and its noticing that.
    pub leads: bool,
}

/// A guest's console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleConf {
    /// Whose it is.
    pub guest: GuestId,
    /// Its interrupt number under cfg handle 0x100 (0x11).
    pub ino: u16,
    /// The private LDC endpoint towards a console concentrator; `None` is the
    /// service processor's console.
    pub endpoint: Option<LdcId>,
}

/// Which half of a core's crypto unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CryptoKind {
    /// Modular arithmetic unit.
    Mau,
    /// Control word queue: ciphers and hashes.
    Cwq,
}

/// A crypto unit given to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CryptoConf {
    /// The core whose unit it is.
    pub core: CoreId,
    /// Which half.
    pub kind: CryptoKind,
    /// Whose it is.
    pub guest: GuestId,
    /// Its interrupt number under cfg handle 0x100.
    pub ino: u16,
}

/// The PCI Express bus: T2's only root complex (`pcie_bus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PcieBusConf {
    /// Its cfg handle (`cfghandle`): see [`PcieBusConf::HANDLE`].
    pub handle: u16,
    /// Whose it is.
    pub guest: GuestId,
}

impl PcieBusConf {
    /// The cfg handle on a T5120 and a T5220: `/pci@0`.
    pub const HANDLE: u16 = 0;
}

/// T2's network unit (`network_device`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConf {
    /// Its cfg handle (`cfghandle`): see [`NetworkConf::HANDLE`].
    pub handle: u16,
    /// Whose it is.
    pub guest: GuestId,
}

impl NetworkConf {
    /// The cfg handle on a T5120 and a T5220: `/niu@80`.
    pub const HANDLE: u16 = 0x80;
}

/// What the service processor tells about a machine: the part of the physical
/// resource inventory that the manager uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Platform, such as `SUNW,SPARC-Enterprise-T5120`.
    pub platform: String,
    /// Banner name, such as `SPARC Enterprise T5120`.
    pub banner: String,
    /// Host name of the control domain, such as `t5120`.
    pub host: String,
    /// Chassis serial number.
    pub serial: String,
    /// MAC address of the chassis.
    pub mac: [u8; 6],
    /// CPU type, compared by migrations of active domains.
    pub cpu: String,
    /// `%stick` frequency, likewise.
    pub stick_hz: u64,
    /// Number of strands, eight a core.
    pub strands: u8,
    /// Physical memory of the machine.
    pub memory_bytes: u64,
    /// First byte of the hypervisor's memory; guests' memory begins after it.
    pub hv_pa: Pa,
    /// Bytes of the hypervisor's memory (MDs, boot images).
    pub hv_bytes: u64,
    /// The stretch of hypervisor memory in which the manager keeps MDs.
    pub md_pa: Pa,
    /// Its bytes.
    pub md_bytes: u64,
    /// The boot image for guests, in hypervisor memory.
    pub rom: Rom,
    /// Boot images of guests that have one of their own, by domain.
    pub roms: BTreeMap<String, Rom>,
}

/// A boot image for guests, in hypervisor memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rom {
    /// Where it lies.
    pub pa: Pa,
    /// Its bytes; 0 for none.
    pub bytes: u64,
}

impl Inventory {
    /// What the domain of this name starts from.
    #[must_use]
    pub fn rom_of(&self, domain: &str) -> Rom {
        self.roms.get(domain).copied().unwrap_or(self.rom)
    }
}
