//! What a [`Model`] means to the hypervisor and to guests: the hypervisor's
//! configuration and the machine descriptions.

use super::domain::{Device as Linked, Domain, Given};
use super::model::Model;
use crate::factory::{HVCTL_CHANNEL, PRIMARY_ID};
use crate::mdgen::{
    CONSOLE_INO, ConsolePort, CryptoUnit, Device, DiskPort, GuestMd, SwitchPort, crypto_ino,
    rx_ino, tx_ino,
};
use std::collections::BTreeMap;
use sun4v::addr::Pa;
use sun4v::hvmd::{
    ConsoleConf, CryptoConf, CryptoKind, GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf,
    Privileges, VcpuConf,
};
use sun4v::id::{CoreId, GuestId, LdcId, VcpuId};

/// What a domain executes and enciphers with.
fn strands_and_units(config: &mut HvConfig, given: &Given) {
    let guest = given.guest;
    config.vcpus.extend(given.strands.iter().zip(0..).map(|(&strand, vid)| VcpuConf {
        strand,
        guest,
        vid: VcpuId(vid),
    }));
    for kind in [CryptoKind::Mau, CryptoKind::Cwq] {
        let units = given.crypto.iter();
        config.crypto.extend(units.map(|&core| CryptoConf {
            core,
            kind,
            guest,
            ino: crypto_ino(kind, core),
        }));
    }
}

impl Model {
    /// What the hypervisor is to be told, with guests' descriptions at `mds`.
    #[must_use]
    pub fn configuration(&self, mds: &BTreeMap<GuestId, Pa>) -> HvConfig {
        let mut config = self.base.clone();
        let md_of = |guest| mds.get(&guest).copied().unwrap_or_default();
        for guest in &mut config.guests {
            guest.md_pa = md_of(guest.id);
        }
        // Strands and units of the control domain change; its other things are what
        // they were at power-on.
        config.vcpus.clear();
        config.crypto.clear();
        for (domain, given) in self.bound() {
            strands_and_units(&mut config, given);
            if given.guest != PRIMARY_ID {
                self.configure(&mut config, domain, given, md_of(given.guest));
            }
        }
        config
    }

    fn configure(&self, config: &mut HvConfig, domain: &Domain, given: &Given, md_pa: Pa) {
        let guest = given.guest;
        let rom = self.inventory.rom_of(&domain.name);
        config.guests.push(GuestConf {
            id: guest,
            name: domain.name.clone(),
            md_pa,
            rom_pa: rom.pa,
            rom_bytes: rom.bytes,
            tod_offset: 0,
            privileges: Privileges::default(),
        });
        config.mblocks.extend(given.memory.iter().map(|&range| MblockConf { guest, range }));
        for link in &given.links {
            let console = link.device == Linked::Console;
            let disk = matches!(link.device, Linked::Disk(_));
            let end = |guest, channel, other, far| LdcConf {
                guest,
                channel,
                target: LdcTarget::Guest { guest: other, channel: far },
                tx_ino: tx_ino(channel),
                rx_ino: rx_ino(channel),
                private_console: false,
                leads: false,
            };
            let own = end(guest, link.guest, PRIMARY_ID, link.service);
            config.ldc_endpoints.push(LdcConf { private_console: console, leads: disk, ..own });
            config.ldc_endpoints.push(end(PRIMARY_ID, link.service, guest, link.guest));
            if console {
                let endpoint = Some(link.guest);
                config.consoles.push(ConsoleConf { guest, ino: CONSOLE_INO, endpoint });
            }
        }
    }

    /// What a bound domain is told about itself.
    #[must_use]
    pub fn description(&self, domain: &Domain, given: &Given) -> GuestMd {
        let inventory = &self.inventory;
        let vcpus: Vec<_> =
            given.strands.iter().zip(0..).map(|(&strand, vid)| (VcpuId(vid), strand)).collect();
        let on_core = |core: CoreId| {
            let mine = vcpus.iter().filter(move |(_, strand)| strand.core() == core);
            mine.map(|&(vcpu, _)| vcpu).collect()
        };
        let units = [CryptoKind::Mau, CryptoKind::Cwq].into_iter().flat_map(|kind| {
            let cores = given.crypto.iter();
            cores.map(move |&core| CryptoUnit {
                kind,
                ino: crypto_ino(kind, core),
                vcpus: on_core(core),
            })
        });
        let devices = if domain.is_primary() {
            self.services_of_primary()
        } else {
            self.devices(domain, given)
        };
        GuestMd {
            name: domain.name.clone(),
            uuid: domain.uuid.clone(),
            platform: inventory.platform.clone(),
            banner: inventory.banner.clone(),
            serial: inventory.serial.clone(),
            hostid: domain.hostid,
            mac: domain.mac,
            stick_hz: inventory.stick_hz,
            memory: given.memory.clone(),
            crypto: units.collect(),
            console: domain.is_primary() || given.link(&Linked::Console).is_some(),
            variables: domain.wish.variables.clone(),
            devices,
            vcpus,
        }
    }

    fn devices(&self, domain: &Domain, given: &Given) -> Vec<Device> {
        let channel = |device| given.link(&device).map(|link| link.guest);
        let disks = domain.wish.disks.iter().filter_map(|disk| {
            let channel = channel(Linked::Disk(disk.name.clone()))?;
            Some(Device::Disk { id: disk.id, timeout: disk.timeout, channel })
        });
        let nets = domain.wish.nets.iter().filter_map(|net| {
            let channel = channel(Linked::Net(net.name.clone()))?;
            let switch_mac = self.services.switch(&net.switch)?.mac;
            Some(Device::Network {
                id: net.id,
                mac: net.mac,
                mtu: net.mtu,
                pvid: net.pvid,
                vids: net.vids.clone(),
                channel,
                switch_mac,
            })
        });
        let ends = [(Linked::Services, false), (Linked::Firmware, true)];
        let ends = ends.into_iter().filter_map(|(device, firmware)| {
            Some(Device::Services { firmware, channel: channel(device)? })
        });
        disks.chain(nets).chain(ends).collect()
    }

    /// Devices of all bound domains, with the control domain's endpoints for them.
    fn clients(&self) -> impl Iterator<Item = (&Domain, &Given, &Linked, LdcId)> {
        self.bound().flat_map(|(domain, given)| {
            let links = given.links.iter();
            links.map(move |link| (domain, given, &link.device, link.service))
        })
    }

    fn services_of_primary(&self) -> Vec<Device> {
        let mut channels = vec![("hvctl".into(), HVCTL_CHANNEL)];
        for (domain, _, device, channel) in self.clients() {
            match device {
                Linked::Services => channels.push((format!("ldom-{}", domain.name), channel)),
                Linked::Firmware => {
                    channels.push((format!("ldom-{}-openboot", domain.name), channel));
                }
                Linked::Console | Linked::Disk(_) | Linked::Net(_) => {}
            }
        }
        let mut devices = vec![Device::Channels { ports: channels }];
        for (id, server) in (0..).zip(&self.services.servers) {
            let ports = self.clients().filter_map(|(domain, _, device, channel)| {
                let Linked::Disk(name) = device else { return None };
                let disk = domain.wish.disks.iter().find(|disk| disk.name == *name)?;
                let volume = server.volumes.iter().find(|volume| volume.name == disk.volume);
                let volume = volume.filter(|_| disk.server == server.name)?;
                Some((channel, volume.backend.clone(), volume.options.join(",")))
            });
            let ports = (0..).zip(ports).map(|(id, (channel, block_device, options))| DiskPort {
                id,
                channel,
                block_device,
                options,
            });
            let ports = ports.collect();
            devices.push(Device::DiskServer { id, name: server.name.clone(), ports });
        }
        for switch in &self.services.switches {
            let ports = self.clients().filter_map(|(domain, _, device, channel)| {
                let Linked::Net(name) = device else { return None };
                let net = domain.wish.nets.iter().find(|net| net.name == *name)?;
                (net.switch == switch.name).then_some((channel, net.mac))
            });
            let ports =
                (0..).zip(ports).map(|(id, (channel, mac))| SwitchPort { id, channel, mac });
            let ports = ports.collect();
            devices.push(Device::Switch {
                id: switch.id,
                name: switch.name.clone(),
                mac: switch.mac,
                net_dev: switch.net_dev.clone(),
                mtu: switch.mtu,
                ports,
            });
        }
        for (id, concentrator) in (0..).zip(&self.services.concentrators) {
            let ports = self.clients().filter_map(|(domain, given, device, channel)| {
                let console = given.console.as_ref().filter(|_| *device == Linked::Console)?;
                (console.service == concentrator.name).then_some((channel, domain, console))
            });
            let ports = (0..).zip(ports).map(|(id, (channel, domain, console))| ConsolePort {
                id,
                channel,
                domain: domain.name.clone(),
                group: console.group.clone(),
                tcp_port: console.port,
            });
            let ports = ports.collect();
            devices.push(Device::Concentrator { id, name: concentrator.name.clone(), ports });
        }
        devices
    }
}
