//! Machine descriptions for guests: what a domain is told about itself.
//!
//! [`GuestMd`] is what is to be said, [`GuestMd::to_md`] the bytes that the guest
//! reads with `mach_desc`.
//!
//! **Shapes.** Names, types and kinds are strings or lists of strings as the guests
//! expect them: `name`, `device-type`, `mmu-type` are strings; `type`, `compatible`,
//! `hwcap-list`, `isalist` are lists. A port has one `fwd` arc, to its endpoint. The
//! graph depends on nothing but the value, so equal values give equal bytes.
//!
//! **Errors.** None here. Names of variables have 255 bytes at most, which whoever
//! takes them from a person checks.
//!
//! **Source.** Nodes and properties: what Linux, OpenBSD and Solaris read.

mod emit;

use std::collections::BTreeMap;
use sun4v::addr::RealRange;
use sun4v::hvmd::CryptoKind;
use sun4v::id::{CoreId, LdcId, StrandId, VcpuId};

/// Everything that a guest's machine description says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestMd {
    /// Name of the domain.
    pub name: String,
    /// Lower-case 8-4-4-4-12.
    pub uuid: String,
    /// Platform, such as `SUNW,SPARC-Enterprise-T5120`.
    pub platform: String,
    /// Banner name.
    pub banner: String,
    /// Serial number of the chassis.
    pub serial: String,
    /// Host id.
    pub hostid: u32,
    /// The domain's own MAC address.
    pub mac: [u8; 6],
    /// `%stick` frequency.
    pub stick_hz: u64,
    /// Virtual CPUs and their strands, which give the topology.
    pub vcpus: Vec<(VcpuId, StrandId)>,
    /// Real memory.
    pub memory: Vec<RealRange>,
    /// Crypto units.
    pub crypto: Vec<CryptoUnit>,
    /// Whether it has a console (ino 0x11).
    pub console: bool,
    /// Variables, by name.
    pub variables: BTreeMap<String, String>,
    /// Virtual devices and services.
    pub devices: Vec<Device>,
}

/// A crypto unit of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptoUnit {
    /// Which half.
    pub kind: CryptoKind,
    /// Its interrupt under cfg handle 0x100.
    pub ino: u16,
    /// Virtual CPUs on its core.
    pub vcpus: Vec<VcpuId>,
}

/// A virtual device or service. Interrupts of a channel follow from its number:
/// [`tx_ino`], [`rx_ino`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A virtual disk.
    Disk {
        /// Its number.
        id: u64,
        /// Seconds that a request waits for its server; 0 is for ever.
        timeout: u64,
        /// To the disk server.
        channel: LdcId,
    },
    /// A virtual network interface.
    Network {
        /// Its number.
        id: u64,
        /// Its MAC address.
        mac: [u8; 6],
        /// Longest IP packet.
        mtu: u64,
        /// The VLAN of untagged frames.
        pvid: u64,
        /// VLANs of tagged frames.
        vids: Vec<u64>,
        /// To the switch.
        channel: LdcId,
        /// The switch's MAC address.
        switch_mac: [u8; 6],
    },
    /// A virtual disk server.
    DiskServer {
        /// Its number.
        id: u64,
        /// Its name.
        name: String,
        /// One a client.
        ports: Vec<DiskPort>,
    },
    /// A virtual switch.
    Switch {
        /// Its number.
        id: u64,
        /// Its name.
        name: String,
        /// Its MAC address.
        mac: [u8; 6],
        /// The physical interface, or nothing.
        net_dev: String,
        /// Longest IP packet.
        mtu: u64,
        /// One a client.
        ports: Vec<SwitchPort>,
    },
    /// A console concentrator.
    Concentrator {
        /// Its number.
        id: u64,
        /// Its name.
        name: String,
        /// One a client.
        ports: Vec<ConsolePort>,
    },
    /// Domain services: the session with the manager.
    Services {
        /// Of its firmware, not of its system.
        firmware: bool,
        /// To the manager.
        channel: LdcId,
    },
    /// Virtual channels to services, by name (`hvctl`): one such device a domain.
    Channels {
        /// Name and endpoint.
        ports: Vec<(String, LdcId)>,
    },
}

/// A client's port of a disk server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskPort {
    /// Its number.
    pub id: u64,
    /// To the client.
    pub channel: LdcId,
    /// The volume.
    pub block_device: String,
    /// `ro`, `slice`, `excl`, separated by commas.
    pub options: String,
}

/// A client's port of a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchPort {
    /// Its number.
    pub id: u64,
    /// To the client.
    pub channel: LdcId,
    /// The client's MAC address.
    pub mac: [u8; 6],
}

/// A client's port of a console concentrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsolePort {
    /// Its number.
    pub id: u64,
    /// To the client's console.
    pub channel: LdcId,
    /// The client.
    pub domain: String,
    /// Its group.
    pub group: String,
    /// The group's TCP port.
    pub tcp_port: u16,
}

/// The transmit interrupt of an endpoint, under cfg handle 0x200.
#[must_use]
pub const fn tx_ino(channel: LdcId) -> u16 {
    channel.0 * 2
}

/// The receive interrupt of an endpoint, under cfg handle 0x200.
#[must_use]
pub const fn rx_ino(channel: LdcId) -> u16 {
    channel.0 * 2 + 1
}

/// Interrupt of a domain's console, under cfg handle 0x100.
pub const CONSOLE_INO: u16 = 0x11;

/// The interrupt of a crypto unit, under cfg handle 0x100: away from the console's,
/// below 64, and one for each half of each core.
#[must_use]
pub const fn crypto_ino(kind: CryptoKind, core: CoreId) -> u16 {
    let first = match kind {
        CryptoKind::Cwq => 0x20,
        CryptoKind::Mau => 0x28,
    };
    first + core.0 as u16
}

/// The host id that goes with a MAC address: a byte for the maker's prefix, then the
/// address's last three bytes.
#[must_use]
pub const fn hostid(mac: [u8; 6]) -> u32 {
    let first = match mac {
        [0x00, 0x03, 0xba, ..] => 0x83,
        [0x00, 0x21, 0x28, ..] => 0x85,
        _ => 0x84,
    };
    u32::from_be_bytes([first, mac[3], mac[4], mac[5]])
}

#[cfg(test)]
mod test;
