//! From [`GuestMd`] to its graph and bytes.

use super::{CryptoUnit, Device, GuestMd, rx_ino, tx_ino};
use std::collections::BTreeMap;
use sun4v::hvmd::CryptoKind;
use sun4v::id::{LdcId, T2_STRANDS};
use sun4v::md::{Md, NodeId};
use sun4v::time::T2_HZ;

/// Major and minor of what is said here.
const CONTENT_VERSION: u64 = 1 << 32;
/// Cfg handle of the virtual devices.
const VIRTUAL_DEVICES: u64 = 0x100;
/// Cfg handle of the channel devices.
const CHANNEL_DEVICES: u64 = 0x200;
/// What a watchdog's time is rounded up to, in milliseconds: the hypervisor counts seconds.
const WATCHDOG_MS: u64 = 1000;
/// The longest that the hypervisor takes: 365 days.
const WATCHDOG_MS_MAX: u64 = 365 * 24 * 60 * 60 * 1000;
/// Page sizes that a T2 has, a bit a code: 8 KiB, 64 KiB, 4 MiB, 256 MiB.
const PAGE_SIZES: u64 = 0x2b;
/// What a T2's instructions can do, without the crypto that other chips have there.
const HWCAPS: [&str; 8] =
    ["vis", "vis2", "ASIBlkInit", "popc", "mul32", "div32", "fsmuld", "v8plus"];
const ISALIST: [&str; 6] =
    ["sparcv9", "sparcv8plus", "sparcv8", "sparcv8-fsmuld", "sparcv7", "sparc"];

impl GuestMd {
    /// The bytes that the guest reads.
    #[must_use]
    pub fn to_md(&self) -> Vec<u8> {
        self.graph().to_bytes()
    }

    /// The graph that says this.
    #[must_use]
    pub fn graph(&self) -> Md {
        let mut md = Md::default();
        let root = md.add("root");
        md.val(root, "content-version", CONTENT_VERSION);
        self.platform(&mut md, root);
        self.cpus(&mut md, root);
        let memory = md.child(root, "memory");
        for range in &self.memory {
            let block = md.child(memory, "mblock");
            md.val(block, "base", range.ra.0).val(block, "size", range.size);
        }
        if !self.variables.is_empty() {
            let variables = md.child(root, "variables");
            for (name, value) in &self.variables {
                md.string(variables, name, value);
            }
        }
        self.virtual_devices(&mut md, root);
        md
    }

    fn platform(&self, md: &mut Md, root: NodeId) {
        let node = md.child(root, "platform");
        md.string(node, "name", &self.platform).string(node, "banner-name", &self.banner);
        md.val(node, "hostid", self.hostid.into());
        md.val(node, "serial#", u64::from(self.hostid & 0xff_ffff));
        md.val(node, "mac-address", mac_number(self.mac));
        md.val(node, "stick-frequency", self.stick_hz);
        md.val(node, "domaining-enabled", 1).val(node, "max-cpus", T2_STRANDS as u64);
        md.val(node, "watchdog-resolution", WATCHDOG_MS);
        md.val(node, "watchdog-max-timeout", WATCHDOG_MS_MAX);
        // Ours: nobody's driver reads these three.
        md.string(node, "domain-name", &self.name).string(node, "uuid", &self.uuid);
        md.string(node, "chassis-serial", &self.serial);
    }

    /// Processors, and below them what those on one core share: caches, pipelines,
    /// crypto units.
    fn cpus(&self, md: &mut Md, root: NodeId) {
        let cpus = md.child(root, "cpus");
        let mut nodes = Vec::new();
        for &(vcpu, strand) in &self.vcpus {
            let node = md.child(cpus, "cpu");
            md.val(node, "id", vcpu.0.into()).val(node, "clock-frequency", T2_HZ);
            md.strings(node, "compatible", ["SUNW,UltraSPARC-T2"]);
            md.strings(node, "isalist", ISALIST).strings(node, "hwcap-list", HWCAPS);
            md.val(node, "nwins", 8);
            md.string(node, "mmu-type", "sun4v").val(node, "mmu-page-size-list", PAGE_SIZES);
            md.val(node, "mmu-#va-bits", 48).val(node, "mmu-#context-bits", 13);
            md.val(node, "mmu-max-#tsbs", 2);
            for (queue, bits) in [
                ("q-cpu-mondo-#bits", 7),
                ("q-dev-mondo-#bits", 7),
                ("q-resumable-#bits", 6),
                ("q-nonresumable-#bits", 2),
            ] {
                md.val(node, queue, bits);
            }
            nodes.push((vcpu, strand, node));
        }
        if nodes.is_empty() {
            return;
        }
        let second = cache(md, 2, &["instn", "data"], 4 << 20, 64);
        let mut cores: BTreeMap<_, Vec<NodeId>> = BTreeMap::new();
        let mut pipelines: BTreeMap<_, Vec<NodeId>> = BTreeMap::new();
        for &(_, strand, node) in &nodes {
            cores.entry(strand.core()).or_default().push(node);
            pipelines.entry(strand.0 / 4).or_default().push(node);
        }
        for cpu_nodes in cores.values() {
            let instn = cache(md, 1, &["instn"], 16 << 10, 32);
            let data = cache(md, 1, &["data"], 8 << 10, 16);
            let float = exec_unit(md, "fp");
            for &cpu in cpu_nodes {
                md.link(cpu, instn).link(cpu, data).link(cpu, float);
            }
            md.link(instn, second).link(data, second);
        }
        for cpu_nodes in pipelines.values() {
            let unit = exec_unit(md, "integer");
            for &cpu in cpu_nodes {
                md.link(cpu, unit);
            }
        }
        for unit in &self.crypto {
            let node = exec_unit(md, crypto_name(unit.kind));
            md.val(node, "ino", unit.ino.into());
            for &(_, _, cpu) in nodes.iter().filter(|(vcpu, ..)| unit.vcpus.contains(vcpu)) {
                md.link(cpu, node);
            }
        }
    }

    fn virtual_devices(&self, md: &mut Md, root: NodeId) {
        let bus = md.child(root, "virtual-devices");
        identity(md, bus, "virtual-devices", Some("virtual-devices"), "virtual-devices");
        md.val(bus, "cfg-handle", VIRTUAL_DEVICES);
        if self.console {
            let console = md.child(bus, "virtual-device");
            identity(md, console, "console", Some("serial"), "console");
            md.val(console, "cfg-handle", 1).val(console, "intr", 1);
            md.val(console, "ino", super::CONSOLE_INO.into()).val(console, "channel#", 0);
        }
        for (kind, name, compatible, handle) in [
            (CryptoKind::Mau, "ncp", "SUNW,n2-mau", 6),
            (CryptoKind::Cwq, "n2cp", "SUNW,n2-cwq", 7),
        ] {
            let mine = |unit: &&CryptoUnit| unit.kind == kind;
            let inos: Vec<u8> = (self.crypto.iter().filter(mine))
                .flat_map(|unit| u64::from(unit.ino).to_be_bytes())
                .collect();
            if !inos.is_empty() {
                let node = md.child(bus, "virtual-device");
                md.string(node, "name", name).string(node, "device-type", "crypto");
                md.strings(node, "compatible", [compatible]);
                md.val(node, "cfg-handle", handle).bytes(node, "ino", &inos);
            }
        }
        let channels = md.child(bus, "channel-devices");
        identity(md, channels, "channel-devices", Some("channel-devices"), "channel-devices");
        md.val(channels, "cfg-handle", CHANNEL_DEVICES);
        let endpoints = md.child(root, "channel-endpoints");
        let at = Place { root, channels, endpoints };
        for device in &self.devices {
            at.device(md, device);
        }
    }
}

/// Where channel devices and their endpoints go.
struct Place {
    root: NodeId,
    channels: NodeId,
    endpoints: NodeId,
}

impl Place {
    fn device(&self, md: &mut Md, device: &Device) {
        match device {
            Device::Disk { id, timeout, channel } => {
                let node = self.node(md, "disk", Some("block"), "disk", *id);
                let port = self.port(md, node, "vdc-port", 0, *channel);
                md.val(port, "vdc-timeout", *timeout);
            }
            Device::Network { id, mac, mtu, pvid, vids, channel, switch_mac } => {
                let node = self.node(md, "network", Some("network"), "network", *id);
                md.val(node, "local-mac-address", mac_number(*mac)).val(node, "mtu", *mtu);
                md.val(node, "port-vlan-id", *pvid);
                if !vids.is_empty() {
                    md.bytes(node, "vlan-id", &words(vids));
                }
                let port = self.port(md, node, "vnet-port", 0, *channel);
                md.val(port, "switch-port", 1);
                md.val(port, "remote-mac-address", mac_number(*switch_mac));
            }
            Device::DiskServer { id, name, ports } => {
                let node = self.service(md, "virtual-disk-server", "disk-server", *id, name);
                for client in ports {
                    let port = self.port(md, node, "vds-port", client.id, client.channel);
                    md.string(port, "vds-block-device", &client.block_device);
                    if !client.options.is_empty() {
                        let options = client.options.split(',');
                        md.strings(port, "vds-block-device-opts", options);
                    }
                }
            }
            Device::Switch { id, name, mac, net_dev, mtu, ports } => {
                let node = self.service(md, "virtual-network-switch", "network-switch", *id, name);
                md.val(node, "local-mac-address", mac_number(*mac)).val(node, "mtu", *mtu);
                if !net_dev.is_empty() {
                    md.string(node, "vsw-phys-dev", net_dev);
                }
                md.strings(node, "vsw-switch-mode", ["switched"]);
                for client in ports {
                    let port = self.port(md, node, "vsw-port", client.id, client.channel);
                    md.val(port, "remote-mac-address", mac_number(client.mac));
                }
            }
            Device::Concentrator { id, name, ports } => {
                let kind = "virtual-console-concentrator";
                let node = self.service(md, kind, kind, *id, name);
                for client in ports {
                    let port = self.port(md, node, "vcc-port", client.id, client.channel);
                    md.string(port, "vcc-domain-name", &client.domain);
                    md.string(port, "vcc-group-name", &client.group);
                    md.val(port, "vcc-tcp-port", client.tcp_port.into());
                }
            }
            Device::Services { firmware, channel } => {
                // Of the system, then of the firmware: ports are told apart by their number
                // wherever they are.
                let (node, id) = if *firmware { ("openboot", 1) } else { ("domain-services", 0) };
                let node = md.child(self.root, node);
                // Without a name: whoever looks for it goes by the kind of node.
                let port = md.child(node, "domain-services-port");
                md.val(port, "id", id);
                self.endpoint(md, port, *channel);
            }
            Device::Channels { ports } => {
                let kind = "virtual-channel";
                let node = self.node(md, kind, Some(kind), kind, 0);
                for (id, (service, channel)) in (0..).zip(ports) {
                    let port = self.port(md, node, "vldc-port", id, *channel);
                    md.string(port, "vldc-svc-name", service);
                }
            }
        }
    }

    fn node(
        &self,
        md: &mut Md,
        name: &str,
        kind: Option<&str>,
        compatible: &str,
        handle: u64,
    ) -> NodeId {
        let node = md.child(self.channels, "virtual-device");
        identity(md, node, name, kind, compatible);
        md.val(node, "cfg-handle", handle);
        node
    }

    fn service(&self, md: &mut Md, name: &str, compatible: &str, id: u64, given: &str) -> NodeId {
        let node = self.node(md, name, None, compatible, id);
        md.string(node, "service-name", given);
        node
    }

    fn port(&self, md: &mut Md, device: NodeId, name: &str, id: u64, channel: LdcId) -> NodeId {
        let port = md.child(device, "virtual-device-port");
        md.string(port, "name", name).val(port, "id", id);
        self.endpoint(md, port, channel);
        port
    }

    fn endpoint(&self, md: &mut Md, port: NodeId, channel: LdcId) {
        let endpoint = md.child(self.endpoints, "channel-endpoint");
        md.val(endpoint, "id", channel.0.into());
        md.val(endpoint, "tx-ino", tx_ino(channel).into());
        md.val(endpoint, "rx-ino", rx_ino(channel).into());
        md.link(port, endpoint);
    }
}

/// What says who serves a device: `compatible` gets the prefix that all have.
fn identity(md: &mut Md, node: NodeId, name: &str, kind: Option<&str>, compatible: &str) {
    md.string(node, "name", name);
    if let Some(kind) = kind {
        md.string(node, "device-type", kind);
    }
    md.strings(node, "compatible", [format!("SUNW,sun4v-{compatible}").as_str()]);
}

fn cache(md: &mut Md, level: u64, kinds: &[&str], size: u64, line: u64) -> NodeId {
    let node = md.add("cache");
    md.val(node, "level", level).strings(node, "type", kinds.iter().copied());
    md.val(node, "size", size).val(node, "line-size", line);
    node
}

fn exec_unit(md: &mut Md, kind: &str) -> NodeId {
    let node = md.add("exec-unit");
    md.strings(node, "type", [kind]);
    node
}

const fn crypto_name(kind: CryptoKind) -> &'static str {
    match kind {
        CryptoKind::Cwq => "cwq",
        CryptoKind::Mau => "mau",
    }
}

fn mac_number(mac: [u8; 6]) -> u64 {
    mac.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn words(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}
