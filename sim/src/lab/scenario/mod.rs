//! Scenarios: what stands in the lab, and what happens there.
//!
//! A scenario is a TOML file. Every key has a type and most have a default; an
//! unknown key or an impossible value is refused with the file, the line and the
//! key ([`ScenarioError`]). `--set key=value` changes a value after the file was
//! read; keys are written with dots, elements of a list by number
//! (`chassis.t5120.primary.vcpus=8`, `disks.0.size=64M`).
//!
//! **Shapes.** Quantities are strings with a unit ([`super::quantity`]);
//! probabilities are 0 to 1; addresses are `192.168.1.20`. Every network is a /24.

mod parse;
mod path;

pub use parse::ScenarioError;
pub use path::host_path;

use super::host::Names;
use super::quantity::{Rate, Size, Span};
use crate::net::link::{Faults, Link};
use crate::net::switch::Mac;
use crate::time::rng::Seed;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use sun4v::calibration;
use sun4v::id::T2_STRANDS;
use sun4v::time::SimTime;

/// A scenario, checked.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// Names the run; everything that looks like chance comes from it.
    #[serde(default)]
    pub seed: u64,
    /// How long domains run between boundaries.
    #[serde(default = "default_slice")]
    pub slice: Span,
    /// How long the world goes on after the last step.
    #[serde(default)]
    pub linger: Span,
    /// When to give up.
    #[serde(default)]
    pub limits: Limits,
    /// What packing memory costs.
    #[serde(default)]
    pub packing: Packing,
    /// When a domain that is migrated is suspended.
    #[serde(default)]
    pub migration: Migration,
    /// Networks by name.
    pub networks: BTreeMap<String, Network>,
    /// Servers by name.
    pub chassis: BTreeMap<String, Chassis>,
    /// The lab's other hosts by name.
    #[serde(default)]
    pub hosts: BTreeMap<String, HostKind>,
    /// Addresses of domains, so that hosts can name them.
    #[serde(default)]
    pub names: BTreeMap<String, Ipv4Addr>,
    /// Disk images of the NAS.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// What happens.
    #[serde(default)]
    pub script: Vec<Step>,
    /// Line of each step in the file; empty without a file.
    #[serde(skip)]
    pub step_lines: Vec<usize>,
}

fn default_slice() -> Span {
    Span(SimTime::us(10))
}

/// When to give up.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Simulated time of the whole run.
    pub time: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Span(SimTime::secs(600)) }
    }
}

/// What packing and unpacking a byte of memory costs a strand of a control domain, in
/// cycles: another compressor than the one that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Packing {
    /// Packing.
    pub compress: u64,
    /// Unpacking.
    pub expand: u64,
}

impl Default for Packing {
    fn default() -> Self {
        Self { compress: calibration::COMPRESS, expand: calibration::EXPAND }
    }
}

/// When a domain that is migrated stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Migration {
    /// How long it may.
    pub pause: Span,
    /// Rounds after which no other begins.
    pub rounds: u32,
    /// What becomes of one that writes faster than it is copied.
    pub unfit: Unfit,
    /// Percent of the fixed time that a migration of 2011 had: what is waited for without
    /// work of ours.
    pub fixed_percent: u32,
}

impl Default for Migration {
    fn default() -> Self {
        Self {
            pause: Span(SimTime::ms(calibration::PAUSE_BUDGET)),
            rounds: calibration::ROUNDS_MAX as u32,
            unfit: Unfit::Accept,
            fixed_percent: 100,
        }
    }
}

/// What becomes of a domain that writes faster than it is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfit {
    /// The pause takes as long as it takes.
    Accept,
    /// Its virtual CPUs are held for a share of the time.
    Slow,
    /// It stays.
    GiveUp,
}

/// The service of a chassis' manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ldmd {
    /// Its release.
    pub version: Release,
    /// Domains may come.
    pub incoming_migration_enabled: bool,
    /// Domains may leave.
    pub outgoing_migration_enabled: bool,
    /// It talks to other managers at all.
    pub xmpp_enabled: bool,
}

impl Default for Ldmd {
    fn default() -> Self {
        Self {
            version: Release::V2_1,
            incoming_migration_enabled: true,
            outgoing_migration_enabled: true,
            xmpp_enabled: true,
        }
    }
}

/// A release of the manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Release {
    /// Without live migration.
    #[serde(rename = "2.0")]
    V2_0,
    /// The first with it.
    #[serde(rename = "2.1")]
    V2_1,
}

/// A network; every port's link is like this.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Bandwidth of each link.
    pub speed: Rate,
    /// Latency of each link.
    pub latency: Span,
    /// Bytes that may wait for a link.
    pub queue: Size,
    /// Largest payload of a frame, 576 to 9000.
    pub mtu: u16,
    /// Probability that a link loses a frame.
    pub loss: f64,
    /// Probability that a link sends a frame twice.
    pub duplication: f64,
    /// Probability that a link damages a frame.
    pub bit_flip: f64,
}

impl Default for Network {
    fn default() -> Self {
        let link = Link::default();
        Self {
            speed: Rate(link.bits_per_second),
            latency: Span(link.latency),
            queue: Size(link.queue_bytes),
            mtu: link.mtu,
            loss: 0.0,
            duplication: 0.0,
            bit_flip: 0.0,
        }
    }
}

impl Network {
    /// A link of this network.
    #[must_use]
    pub fn link(&self) -> Link {
        Link {
            bits_per_second: self.speed.0,
            latency: self.latency.0,
            queue_bytes: self.queue.0,
            mtu: self.mtu,
            faults: Faults {
                loss: self.loss,
                duplication: self.duplication,
                bit_flip: self.bit_flip,
            },
        }
    }
}

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// SPARC Enterprise T5120.
    T5120,
    /// SPARC Enterprise T5220.
    T5220,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chassis {
    /// Which kind.
    pub model: Model,
    /// Cores of eight strands: a T2 has 8; with a ninth, which only a lab has, a guest
    /// may have 64 virtual CPUs beside a control domain.
    #[serde(default = "default_cores")]
    pub cores: u8,
    /// Installed memory.
    #[serde(default = "default_memory")]
    pub memory: Size,
    /// Little of the memory is ever touched, so the host need not be quick about much of it.
    /// It matters when a world is made from a checkpoint.
    #[serde(default)]
    pub sparse: bool,
    /// What guests start from: an image that is built in (`rover`), or the path of a
    /// flat binary.
    #[serde(default = "default_boot")]
    pub boot: String,
    /// What domains start from that are to start from something else, by name.
    #[serde(default)]
    pub guests: BTreeMap<String, GuestImage>,
    /// Its control domain.
    #[serde(default)]
    pub primary: Primary,
    /// The control domain's address on each network.
    pub addresses: BTreeMap<String, Ipv4Addr>,
    /// Files of the control domain that commands may name, such as password files.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Disks of its own, by name (`c0t1d0`), which its control domain can offer.
    #[serde(default)]
    pub local_disks: BTreeMap<String, LocalDisk>,
    /// The service of its manager.
    #[serde(default)]
    pub ldmd: Ldmd,
    /// The password of its manager, which others must give to migrate to it.
    #[serde(default)]
    pub password: String,
}

/// What a domain starts from: a firmware, and what that is to start.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuestImage {
    /// An image that is built in, or the path of a flat binary.
    pub firmware: String,
    /// Path of an ELF image, plain or gzip.
    pub kernel: Option<String>,
    /// Path of its initial RAM disk.
    pub initrd: Option<String>,
    /// Its command line.
    pub append: String,
}

impl Default for GuestImage {
    /// The firmware and its prompt.
    fn default() -> Self {
        let firmware = crate::chassis::rom::OPENBOOT.to_owned();
        Self { firmware, kernel: None, initrd: None, append: String::new() }
    }
}

fn default_cores() -> u8 {
    (T2_STRANDS / 8) as u8
}

/// A disk of a server: a raw file or a block device of the host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalDisk {
    /// Which; a relative path is from where the command was given.
    pub file: String,
    /// It takes no writes.
    #[serde(default)]
    pub read_only: bool,
    /// What it takes for a request.
    #[serde(default = "default_call_time")]
    pub call_time: Span,
    /// Bytes a second, on top.
    #[serde(default = "default_disk_bytes")]
    pub bytes_per_second: Size,
}

fn default_memory() -> Size {
    Size(16 << 30)
}

fn default_boot() -> String {
    "rover".to_owned()
}

/// The resources that a control domain has when its server is powered on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Primary {
    /// Virtual CPUs, 1 to 64.
    pub vcpus: u8,
    /// Memory.
    pub memory: Size,
    /// Crypto units, at most one for every eight virtual CPUs or part of it.
    pub crypto: u8,
}

impl Default for Primary {
    /// As in the lab of 2011: 16 virtual CPUs, 4 GB; both crypto units of the cores.
    fn default() -> Self {
        Self { vcpus: 16, memory: Size(4 << 30), crypto: 2 }
    }
}

/// A host of the lab.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum HostKind {
    /// Serves the disks over NFS.
    Nas {
        /// Which network it is on.
        network: String,
        /// Its address.
        address: Ipv4Addr,
        /// The folder that it exports.
        #[serde(default = "default_export")]
        export: String,
        /// What its disks take for a call.
        #[serde(default = "default_call_time")]
        call_time: Span,
        /// Bytes a second of its disks.
        #[serde(default = "default_disk_bytes")]
        bytes_per_second: Size,
    },
    /// Types, and watches the drawing.
    Workstation {
        /// Which network it is on.
        network: String,
        /// Its address.
        address: Ipv4Addr,
    },
    /// Pings.
    Pinger {
        /// Which network it is on.
        network: String,
        /// Its address.
        address: Ipv4Addr,
    },
}

fn default_export() -> String {
    "/export".to_owned()
}
fn default_call_time() -> Span {
    Span(super::nas::Disks::default().call_time)
}
fn default_disk_bytes() -> Size {
    Size(super::nas::Disks::default().bytes_per_second)
}

impl HostKind {
    /// Where it is.
    #[must_use]
    pub fn place(&self) -> (&str, Ipv4Addr) {
        match self {
            Self::Nas { network, address, .. }
            | Self::Workstation { network, address }
            | Self::Pinger { network, address } => (network, *address),
        }
    }
}

/// A disk image of the NAS.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// File name in the export, such as `rover0.img`.
    pub image: String,
    /// Bytes; as many as the file has if it begins as one.
    #[serde(default)]
    pub size: Size,
    /// What its content is made from; images of one seed and size are mirrors.
    #[serde(default)]
    pub seed: u64,
    /// A file of the host as which it begins, instead of a seed. It is read, never written.
    #[serde(default)]
    pub file: Option<String>,
    /// What it holds at the end is left in the folder of the run, under its name.
    #[serde(default)]
    pub keep: bool,
    /// Blocks that are broken from the start.
    #[serde(default)]
    pub spoil: Vec<u64>,
}

/// One step of the script. Steps run one after another: a step waits for the
/// answer to the one before, then for `when`, then for `after`, then for `at`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Not before this time.
    pub at: Option<Span>,
    /// Not before this long after the step before it and what `when` waited for.
    pub after: Option<Span>,
    /// Not before all answers are in, or a fact that was noted since the step before
    /// it began.
    pub when: Option<super::script::When>,
    /// Gives up the run when the step has not begun this long after the one before.
    pub within: Option<Span>,
    /// What is typed, and where: `t5120# ldm list`, `pinger# stop`.
    pub run: super::script::Prompt,
    /// Whether the next step waits for the answer.
    #[serde(default = "yes")]
    pub wait: bool,
    /// True if the command must be refused; else it must not.
    #[serde(default)]
    pub fails: bool,
}

fn yes() -> bool {
    true
}

impl Scenario {
    /// Addresses by name: hosts, chassis on the network that is named `lab` or their
    /// only one, and domains.
    #[must_use]
    pub fn all_names(&self) -> Names {
        let mut names = BTreeMap::new();
        for (name, host) in &self.hosts {
            names.insert(name.clone(), host.place().1.octets());
        }
        for (name, chassis) in &self.chassis {
            let address = chassis.addresses.get("lab").or(chassis.addresses.values().next());
            names.extend(address.map(|address| (name.clone(), address.octets())));
        }
        names.extend(self.names.iter().map(|(name, ip)| (name.clone(), ip.octets())));
        Names(names)
    }

    /// The seed of the run.
    #[must_use]
    pub fn seed(&self) -> Seed {
        Seed(self.seed)
    }
}

/// The Ethernet address of a host or a chassis' interface: Sun's prefix, then the
/// last three numbers of its IP address, which no two share.
#[must_use]
pub fn mac(address: Ipv4Addr) -> Mac {
    let [_, a, b, c] = address.octets();
    [0x00, 0x14, 0x4f, a, b, c]
}

#[cfg(test)]
mod test;
