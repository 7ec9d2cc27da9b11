//! A domain: what was asked for, and what was given.
//!
//! **Shapes.** The *wish* (constraints) is what the operator said; it outlives
//! unbinding and travels with a migration. What was *given* (bindings) are strands,
//! memory, channels and a console port of this machine.

use crate::factory::PRIMARY;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use sun4v::addr::RealRange;
use sun4v::id::{CoreId, GuestId, LdcId, StrandId};

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Lower-case 8-4-4-4-12.
    pub uuid: String,
    /// Its own MAC address.
    pub mac: [u8; 6],
    /// Host id.
    pub hostid: u32,
    /// What happens to those whose master it is, when it fails.
    pub failure_policy: FailurePolicy,
    /// Domains that it depends on.
    pub masters: Vec<String>,
    /// What was asked for.
    pub wish: Wish,
    /// What was given.
    pub given: Option<Given>,
    /// A shell: the target of a migration that is under way.
    pub shell: bool,
    /// How often it has changed hands between machines, from 1; it never falls.
    pub epoch: u64,
}

/// The epoch of a domain that never moved.
pub const FIRST_EPOCH: u64 = 1;

impl Domain {
    /// Is it the control domain?
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.name == PRIMARY
    }

    /// Its guest, when it is bound.
    #[must_use]
    pub fn guest(&self) -> Option<GuestId> {
        self.given.as_ref().map(|given| given.guest)
    }
}

/// What happens to a domain's slaves when it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailurePolicy {
    /// Nothing.
    #[default]
    Ignore,
    /// They panic.
    Panic,
    /// They start again.
    Reset,
    /// They stop.
    Stop,
}

impl FailurePolicy {
    /// All, by name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("ignore", Self::Ignore),
        ("panic", Self::Panic),
        ("reset", Self::Reset),
        ("stop", Self::Stop),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, own)| *own == self).map_or("", |(name, _)| name)
    }
}

/// Constraints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Virtual CPUs.
    pub vcpus: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Crypto units.
    pub crypto: u64,
    /// Virtual disks.
    pub disks: Vec<Disk>,
    /// Virtual network interfaces.
    pub nets: Vec<Net>,
    /// Its console.
    pub console: ConsoleWish,
    /// OpenBoot variables.
    pub variables: BTreeMap<String, String>,
}

/// A virtual disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its name.
    pub name: String,
    /// Its number: `disk@N`.
    pub id: u64,
    /// The volume.
    pub volume: String,
    /// Its server.
    pub server: String,
    /// Seconds that a request waits for the server; 0 is for ever.
    pub timeout: u64,
}

/// A virtual network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Net {
    /// Its name.
    pub name: String,
    /// Its number: `network@N`.
    pub id: u64,
    /// The switch.
    pub switch: String,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// The VLAN of untagged frames.
    pub pvid: u64,
    /// VLANs of tagged frames.
    pub vids: Vec<u64>,
    /// Longest IP packet.
    pub mtu: u64,
}

/// What was asked for a console; nothing is the manager's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleWish {
    /// Its group.
    pub group: Option<String>,
    /// Its concentrator.
    pub service: Option<String>,
    /// The group's TCP port.
    pub port: Option<u16>,
}

/// Bindings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The guest.
    pub guest: GuestId,
    /// Strands, in the order of virtual CPUs.
    pub strands: Vec<StrandId>,
    /// Memory, ascending by real address.
    pub memory: Vec<RealRange>,
    /// Cores whose crypto units it has.
    pub crypto: Vec<CoreId>,
    /// Channels to the services and to the manager itself.
    pub links: Vec<Link>,
    /// Its console; the control domain's is the service processor's.
    pub console: Option<Console>,
}

impl Given {
    /// Bytes of memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.iter().map(|range| range.size).sum()
    }

    /// The channel of a device.
    #[must_use]
    pub fn link(&self, device: &Device) -> Option<Link> {
        self.links.iter().find(|link| link.device == *device).cloned()
    }
}

/// A channel between a device of a guest and the control domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Which device.
    pub device: Device,
    /// The guest's endpoint.
    pub guest: LdcId,
    /// The control domain's endpoint.
    pub service: LdcId,
}

/// A device that needs a channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Device {
    /// The console.
    Console,
    /// The virtual disk of this name.
    Disk(String),
    /// The virtual network interface of this name.
    Net(String),
    /// Domain services of its system.
    Services,
    /// Domain services of its firmware.
    Firmware,
}

/// A console that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// Its group.
    pub group: String,
    /// Its concentrator.
    pub service: String,
    /// The group's TCP port.
    pub port: u16,
}
