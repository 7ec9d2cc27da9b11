//! What the service processor has prepared at power-on: `factory-default`, the
//! configuration with one domain.
//!
//! [`Factory::new`] makes it from the [`Inventory`]; whoever powers the chassis on
//! writes [`Factory::writes`] into hypervisor memory and starts the hypervisor with
//! the hypervisor MD at [`Factory::hvmd`]. The manager finds its MDs there.
//!
//! **Shapes.** The control domain `primary` is guest 0, a native program: no boot
//! image; virtual CPUs 0.. on the strands 0.. in order; one block of memory at real
//! address [`GUEST_RA`] and the first physical address behind the hypervisor's
//! memory that is congruent; both crypto units of its first cores; the PCI Express
//! bus and the network unit; the service processor's console; endpoint 0 to the
//! hypervisor (hvctl). Where MDs lie, say [`MdSlots`].
//!
//! **Errors.** [`FactoryError`]: what was asked for does not fit the machine.

use crate::mdgen::{CONSOLE_INO, CryptoUnit, Device, GuestMd, crypto_ino, hostid, rx_ino, tx_ino};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use sun4v::addr::{PAGE_BYTES, Pa, Ra, RealRange};
use sun4v::hvmd::{
    ConsoleConf, CryptoConf, CryptoKind, GuestConf, HvConfig, Inventory, LdcConf, LdcTarget,
    MblockConf, NetworkConf, PcieBusConf, Privileges, VcpuConf,
};
use sun4v::id::{CoreId, GuestId, LdcId, STRANDS, StrandId, T2_STRANDS, VcpuId};
use thiserror::Error;

/// The control domain's name.
pub const PRIMARY: &str = "primary";
/// The control domain's number.
pub const PRIMARY_ID: GuestId = GuestId(0);
/// The control domain's endpoint to the hypervisor.
pub const HVCTL_CHANNEL: LdcId = LdcId(0);
/// Real address of a domain's first block of memory.
pub const GUEST_RA: Ra = Ra(0x800_0000);
/// Real and physical addresses of a block are equal modulo this, the largest page.
pub const CONGRUENCE: u64 = 256 << 20;

/// What the control domain has at power-on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    /// Virtual CPUs, 1 to 64.
    pub vcpus: u8,
    /// Memory, a multiple of 8 KiB.
    pub memory_bytes: u64,
    /// Crypto units, at most one for each core that it has strands of.
    pub crypto: u8,
    /// Its variables.
    pub variables: BTreeMap<String, String>,
}

impl Default for Primary {
    /// As in the lab of 2011: 16 virtual CPUs, 4 GB, both crypto units.
    fn default() -> Self {
        Self { vcpus: 16, memory_bytes: 4 << 30, crypto: 2, variables: BTreeMap::new() }
    }
}

/// A chassis that is ready to be powered on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factory {
    /// What the hypervisor MD says.
    pub config: HvConfig,
    /// What the control domain's MD says.
    pub primary: GuestMd,
    /// Where MDs lie.
    pub slots: MdSlots,
    /// Where the hypervisor MD lies.
    pub hvmd: Pa,
    /// What is to be written into hypervisor memory: both MDs.
    pub writes: Vec<(Pa, Vec<u8>)>,
}

/// Why a chassis cannot be prepared so.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FactoryError {
    /// No virtual CPU, or more than the machine has.
    #[error("primary has {asked} virtual CPUs; the machine offers 1 to {strands}")]
    Vcpus {
        /// Asked for.
        asked: u8,
        /// Those of the machine.
        strands: u8,
    },
    /// More crypto units than cores.
    #[error("primary has {asked} crypto units; its virtual CPUs are on {cores} cores")]
    Crypto {
        /// Asked for.
        asked: u8,
        /// Cores that it has strands of.
        cores: u8,
    },
    /// Memory that is not a number of pages.
    #[error("primary has {0} bytes of memory, which is no multiple of 8 KB")]
    Pages(u64),
    /// More memory than the machine has.
    #[error("primary has {asked} bytes of memory; {free} are left behind the hypervisor's")]
    Memory {
        /// Asked for.
        asked: u64,
        /// What there is.
        free: u64,
    },
    /// The stretch for MDs is too small, or is not where it may be.
    #[error("{bytes} bytes at {pa} for machine descriptions: {reason}")]
    Slots {
        /// Where it is.
        pa: Pa,
        /// Its bytes.
        bytes: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// An MD is larger than its slot.
    #[error("a machine description has {bytes} bytes; a slot has {slot}")]
    MdSize {
        /// The MD's.
        bytes: u64,
        /// The slot's.
        slot: u64,
    },
}

/// Where MDs lie in the stretch of hypervisor memory that is for them.
///
/// **Shapes.** Equal slots, a multiple of 8 KiB each, in pairs: one pair for the
/// hypervisor MD, then one a guest, by number. A new MD goes into the slot of its
/// pair that is not in force ([`MdSlots::other`]), so what is in force stays whole
/// until the hypervisor has taken the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MdSlots {
    base: Pa,
    slot_bytes: u64,
}

impl MdSlots {
    /// Pairs of slots: the hypervisor's, and one for every number of a guest.
    pub const PAIRS: u64 = 1 + T2_STRANDS as u64;
    /// Smallest slot.
    pub const SLOT_BYTES_MIN: u64 = 64 << 10;
    /// The smallest stretch.
    pub const BYTES_MIN: u64 = 2 * Self::PAIRS * Self::SLOT_BYTES_MIN;

    /// Divides the machine's stretch for MDs.
    ///
    /// # Errors
    /// It is not in the hypervisor's memory, its start is no multiple of 8 KiB, or
    /// it has fewer than [`MdSlots::BYTES_MIN`].
    pub fn new(inventory: &Inventory) -> Result<Self, FactoryError> {
        let (pa, bytes) = (inventory.md_pa, inventory.md_bytes);
        let error = |reason| Err(FactoryError::Slots { pa, bytes, reason });
        let inside = (pa.0.checked_sub(inventory.hv_pa.0)).is_some_and(|offset| {
            offset <= inventory.hv_bytes && bytes <= inventory.hv_bytes - offset
        });
        if !inside {
            return error("not in the hypervisor's memory");
        }
        if !pa.is_aligned(PAGE_BYTES) {
            return error("not at the start of a page");
        }
        if bytes < Self::BYTES_MIN {
            return error("too few");
        }
        let slot_bytes = bytes / (2 * Self::PAIRS) / PAGE_BYTES * PAGE_BYTES;
        Ok(Self { base: pa, slot_bytes })
    }

    /// Bytes of a slot: the largest MD.
    #[must_use]
    pub const fn slot_bytes(&self) -> u64 {
        self.slot_bytes
    }

    /// The slots of the hypervisor MD.
    #[must_use]
    pub const fn hypervisor(&self) -> [Pa; 2] {
        self.pair(0)
    }

    /// The slots of a guest's MD.
    #[must_use]
    pub const fn guest(&self, guest: GuestId) -> [Pa; 2] {
        self.pair(1 + guest.0 as u64)
    }

    /// The slot beside the one at `in_force`; `None` when no slot begins there.
    #[must_use]
    pub fn other(&self, in_force: Pa) -> Option<Pa> {
        let offset = in_force.0.checked_sub(self.base.0)?;
        let slot = offset / self.slot_bytes;
        let is_slot = offset % self.slot_bytes == 0 && slot < 2 * Self::PAIRS;
        is_slot.then(|| self.base.offset((slot ^ 1) * self.slot_bytes))
    }

    const fn pair(&self, pair: u64) -> [Pa; 2] {
        let first = self.base.offset(2 * pair * self.slot_bytes);
        [first, first.offset(self.slot_bytes)]
    }
}

/// The first physical address from `from` on that a block at `ra` may have; `None`
/// when addresses end before.
#[must_use]
pub fn congruent(ra: Ra, from: Pa) -> Option<Pa> {
    let ahead = ra.0.wrapping_sub(from.0) % CONGRUENCE;
    from.0.checked_add(ahead).map(Pa)
}

impl Factory {
    /// Prepares a chassis.
    ///
    /// # Errors
    /// See [`FactoryError`].
    pub fn new(inventory: &Inventory, primary: &Primary) -> Result<Self, FactoryError> {
        let slots = MdSlots::new(inventory)?;
        let strands = inventory.strands.min(STRANDS as u8);
        if primary.vcpus == 0 || primary.vcpus > strands {
            return Err(FactoryError::Vcpus { asked: primary.vcpus, strands });
        }
        let cores = primary.vcpus.div_ceil(8);
        if primary.crypto > cores {
            return Err(FactoryError::Crypto { asked: primary.crypto, cores });
        }
        let range = memory(inventory, primary.memory_bytes)?;
        let [hvmd, _] = slots.hypervisor();
        let [md_pa, _] = slots.guest(PRIMARY_ID);
        let config = configuration(primary, range, md_pa);
        let primary = description(inventory, primary, &config);
        let writes = vec![(hvmd, config.to_md().to_bytes()), (md_pa, primary.to_md())];
        for (_, md) in &writes {
            let (bytes, slot) = (md.len() as u64, slots.slot_bytes());
            if bytes > slot {
                return Err(FactoryError::MdSize { bytes, slot });
            }
        }
        Ok(Self { config, primary, slots, hvmd, writes })
    }
}

/// The control domain's block: the first congruent one behind the hypervisor.
fn memory(inventory: &Inventory, bytes: u64) -> Result<RealRange, FactoryError> {
    if !Pa(bytes).is_aligned(PAGE_BYTES) || bytes == 0 {
        return Err(FactoryError::Pages(bytes));
    }
    let behind = inventory.hv_pa.0.saturating_add(inventory.hv_bytes);
    let start = congruent(GUEST_RA, Pa(behind)).unwrap_or(Pa(u64::MAX));
    let free = inventory.memory_bytes.saturating_sub(start.0);
    if bytes > free {
        return Err(FactoryError::Memory { asked: bytes, free });
    }
    Ok(RealRange { ra: GUEST_RA, pa: start, size: bytes })
}

fn configuration(primary: &Primary, range: RealRange, md_pa: Pa) -> HvConfig {
    let guest = PRIMARY_ID;
    let units = [CryptoKind::Mau, CryptoKind::Cwq].into_iter().flat_map(|kind| {
        let cores = (0..primary.crypto).map(CoreId);
        cores.map(move |core| CryptoConf { core, kind, guest, ino: crypto_ino(kind, core) })
    });
    HvConfig {
        guests: vec![GuestConf {
            id: guest,
            name: PRIMARY.to_owned(),
            md_pa,
            rom_pa: Pa(0),
            rom_bytes: 0,
            tod_offset: 0,
            privileges: Privileges::ALL,
        }],
        vcpus: (0..primary.vcpus)
            .map(|n| VcpuConf { strand: StrandId(n), guest, vid: VcpuId(n) })
            .collect(),
        mblocks: vec![MblockConf { guest, range }],
        ldc_endpoints: vec![LdcConf {
            guest,
            channel: HVCTL_CHANNEL,
            target: LdcTarget::Hypervisor,
            tx_ino: tx_ino(HVCTL_CHANNEL),
            rx_ino: rx_ino(HVCTL_CHANNEL),
            private_console: false,
            leads: false,
        }],
        consoles: vec![ConsoleConf { guest, ino: CONSOLE_INO, endpoint: None }],
        crypto: units.collect(),
        pcie_bus: Some(PcieBusConf { handle: PcieBusConf::HANDLE, guest }),
        network: Some(NetworkConf { handle: NetworkConf::HANDLE, guest }),
    }
}

fn description(inventory: &Inventory, primary: &Primary, config: &HvConfig) -> GuestMd {
    let vcpus: Vec<_> = config.vcpus.iter().map(|vcpu| (vcpu.vid, vcpu.strand)).collect();
    let on_core = |core| {
        let mine = vcpus.iter().filter(move |(_, strand)| strand.core() == core);
        mine.map(|&(vcpu, _)| vcpu).collect()
    };
    let units = config.crypto.iter();
    GuestMd {
        name: PRIMARY.to_owned(),
        uuid: uuid(inventory),
        platform: inventory.platform.clone(),
        banner: inventory.banner.clone(),
        serial: inventory.serial.clone(),
        hostid: hostid(inventory.mac),
        mac: inventory.mac,
        stick_hz: inventory.stick_hz,
        memory: config.mblocks.iter().map(|block| block.range).collect(),
        crypto: units
            .map(|unit| CryptoUnit { kind: unit.kind, ino: unit.ino, vcpus: on_core(unit.core) })
            .collect(),
        console: true,
        variables: primary.variables.clone(),
        devices: vec![Device::Channels { ports: vec![("hvctl".to_owned(), HVCTL_CHANNEL)] }],
        vcpus,
    }
}

/// A UUID of the chassis: the same whenever it is powered on.
fn uuid(inventory: &Inventory) -> String {
    let mut hash = Sha256::new();
    hash.update(b"control domain\0");
    hash.update(inventory.serial.as_bytes());
    hash.update(inventory.mac);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    // Version 8 (made as its maker likes), the ordinary variant.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [0..4, 4..6, 6..8, 8..10, 10..16].map(|range| hex[range].concat());
    parts.join("-")
}

#[cfg(test)]
mod test;
