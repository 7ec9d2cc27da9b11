//! What services must be told when one [`Model`] follows another.

use super::Change;
use super::domain::{Device, Domain, Given};
use super::model::Model;
use super::offered::Services;
use crate::channel::ChannelConf;
use crate::mdgen::{rx_ino, tx_ino};
use crate::service::ds::DsConf;
use crate::service::vds::DiskConf;
use crate::service::volume::Owner;
use crate::service::vsw::{SwitchConf, SwitchPortConf, Vlans};
use std::collections::BTreeMap;
use sun4v::id::LdcId;

/// Ports end, switches end, switches begin, ports begin: in this order.
#[must_use]
pub fn changes(old: &Model, new: &Model) -> Vec<Change> {
    let (had, has) = (ports(old), ports(new));
    let mut changes = Vec::new();
    let goes_on = |old: Option<&Change>, new: Option<&Change>| match (old, new) {
        (Some(old), Some(new)) => old == new || rises(old, new).is_some(),
        _ => false,
    };
    let gone = had.iter().filter(|&(channel, port)| !goes_on(Some(port), has.get(channel)));
    changes.extend(gone.map(|(&channel, _)| Change::Detach(channel)));
    let (had_switches, has_switches) = (&old.services.switches, &new.services.switches);
    for switch in had_switches.iter().filter(|switch| !has_switches.contains(switch)) {
        changes.push(Change::RemoveSwitch { name: switch.name.clone() });
    }
    for switch in has_switches.iter().filter(|switch| !had_switches.contains(switch)) {
        changes.push(Change::AddSwitch {
            name: switch.name.clone(),
            net_dev: switch.net_dev.clone(),
            conf: SwitchConf {
                mac: switch.mac,
                mtu: switch.mtu,
                default_vlan: switch.default_vlan as u16,
                vlans: Vlans::new(switch.pvid, &switch.vids),
            },
        });
    }
    for (channel, port) in has {
        match had.get(&channel) {
            Some(old) if *old == port => {}
            old => changes.push(old.and_then(|old| rises(old, &port)).unwrap_or(port)),
        }
    }
    changes
}

/// What follows when two ports differ in nothing but the epoch of their domain.
fn rises(old: &Change, new: &Change) -> Option<Change> {
    let (Change::AttachDisk(old), Change::AttachDisk(new)) = (old, new) else { return None };
    let same = DiskConf { owner: new.owner.clone(), ..old.clone() };
    let rises = same == *new && old.owner.uuid == new.owner.uuid && old != new;
    let (channel, epoch) = (new.channel.id, new.owner.epoch);
    rises.then_some(Change::ClaimDisk { channel, epoch })
}

/// All that there is: services that begin anew are told it.
#[must_use]
pub fn all(model: &Model) -> Vec<Change> {
    let nothing = Model { domains: Vec::new(), services: Services::default(), ..model.clone() };
    changes(&nothing, model)
}

/// Ports of services, by the control domain's endpoint.
fn ports(model: &Model) -> BTreeMap<LdcId, Change> {
    let mut ports = BTreeMap::new();
    for (domain, given) in model.bound() {
        for link in &given.links {
            let channel = ChannelConf {
                id: link.service,
                tx_ino: tx_ino(link.service),
                rx_ino: rx_ino(link.service),
            };
            if let Some(port) = port(model, domain, given, &link.device, channel) {
                ports.insert(link.service, port);
            }
        }
    }
    ports
}

fn port(
    model: &Model,
    domain: &Domain,
    given: &Given,
    device: &Device,
    channel: ChannelConf,
) -> Option<Change> {
    Some(match device {
        Device::Console => Change::AttachConsole {
            domain: domain.name.clone(),
            channel,
            tcp_port: given.console.as_ref()?.port,
        },
        Device::Disk(name) => {
            let disk = domain.wish.disks.iter().find(|disk| disk.name == *name)?;
            let volume = model.services.volume(&disk.volume, &disk.server)?;
            Change::AttachDisk(DiskConf {
                name: format!("{name}@{}", domain.name),
                path: volume.backend.clone(),
                read_only: volume.options.contains(&"ro"),
                slice: volume.options.contains(&"slice"),
                exclusive: volume.options.contains(&"excl"),
                channel,
                owner: Owner { uuid: domain.uuid.clone(), epoch: domain.epoch },
            })
        }
        Device::Net(name) => {
            let net = domain.wish.nets.iter().find(|net| net.name == *name)?;
            let name = format!("{name}@{}", domain.name);
            // The switch's networks take no longer packets than the switch.
            let mtu = model.services.switch(&net.switch)?.mtu.min(net.mtu);
            let vlans = Vlans::new(net.pvid, &net.vids);
            let port = SwitchPortConf { name, channel, mac: net.mac, mtu, vlans };
            Change::AttachNet { switch: net.switch.clone(), port }
        }
        Device::Services | Device::Firmware => Change::AttachServices(DsConf {
            domain: domain.name.clone(),
            guest: given.guest,
            firmware: *device == Device::Firmware,
            channel,
        }),
    })
}
