//! From a scenario to its networks and hosts.

use super::host::{Address, LabHost};
use super::nas::image::Image;
use super::nas::nfs::Export;
use super::nas::{Disks, Nas};
use super::pinger::Pinger;
use super::scenario::{HostKind, Scenario, mac};
use super::workstation::Workstation;
use super::{Lab, NetworkId, Outlet};
use crate::net::fabric::Fabric;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Bits of an address that name its network.
const PREFIX: u8 = 24;

impl Lab {
    /// The networks of `scenario` with its hosts; and for each chassis its outlets,
    /// in the order of their networks' names.
    #[must_use]
    pub fn assemble(scenario: &Scenario) -> (Self, BTreeMap<String, Vec<Outlet>>) {
        let mut lab = Self::default();
        let mut networks = BTreeMap::new();
        for name in scenario.networks.keys() {
            networks.insert(name.as_str(), lab.add_network(Fabric::new(name, scenario.seed())));
        }
        let find = |name: &str| -> Option<(NetworkId, &super::scenario::Network)> {
            Some((*networks.get(name)?, scenario.networks.get(name)?))
        };
        let mut outlets = BTreeMap::new();
        for (name, chassis) in &scenario.chassis {
            let nics = chassis.addresses.keys().filter_map(|network| {
                let (id, network) = find(network)?;
                Some(lab.add_outlet(id, name, network.link()))
            });
            outlets.insert(name.clone(), nics.collect());
        }
        for (name, kind) in &scenario.hosts {
            let (network, ip) = kind.place();
            if let Some((id, network)) = find(network) {
                let host = host(scenario, name, kind, &address(ip, network.mtu));
                lab.add_host(id, network.link(), host);
            }
        }
        (lab, outlets)
    }
}

fn address(ip: Ipv4Addr, mtu: u16) -> Address {
    Address { mac: mac(ip), ip: ip.octets(), prefix: PREFIX, mtu }
}

fn host(scenario: &Scenario, name: &str, kind: &HostKind, address: &Address) -> Box<dyn LabHost> {
    let seed = scenario.seed();
    match kind {
        HostKind::Nas { export, call_time, bytes_per_second, .. } => {
            let mut folder = Export::new(export, seed.stream(&format!("nas/{name}")).draw());
            for disk in &scenario.disks {
                let mut image = Image::new(disk.seed, disk.size.0);
                for &block in &disk.spoil {
                    // The scenario was checked: there is such a block.
                    let _ = image.spoil(block);
                }
                folder.add(&disk.image, image);
            }
            let disks = Disks { call_time: call_time.0, bytes_per_second: bytes_per_second.0 };
            Box::new(Nas::new(name, address, seed, folder, disks))
        }
        HostKind::Workstation { .. } => {
            Box::new(Workstation::new(name, address, seed, scenario.all_names()))
        }
        HostKind::Pinger { .. } => Box::new(Pinger::new(name, address, seed, scenario.all_names())),
    }
}
