//! From a scenario to its networks and hosts.
//!
//! **Errors.** A disk's file that cannot be read ([`DiskFileError`]).

use super::host::{Address, LabHost};
use super::nas::image::Image;
use super::nas::nfs::Export;
use super::nas::{Disks, Nas};
use super::pinger::Pinger;
use super::scenario::{Disk, HostKind, Scenario, host_path, mac};
use super::workstation::Workstation;
use super::{Lab, NetworkId, Outlet};
use crate::net::fabric::Fabric;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use thiserror::Error;

/// A disk of the NAS cannot begin as its file.
#[derive(Debug, Error)]
#[error("disk {image}: {file}: {why}")]
pub struct DiskFileError {
    /// Name of the image.
    pub image: String,
    /// Its file.
    pub file: String,
    /// Why.
    pub why: std::io::Error,
}

/// Bits of an address that name its network.
const PREFIX: u8 = 24;

impl Lab {
    /// The networks of `scenario` with its hosts; and for each chassis its outlets,
    /// in the order of their networks' names.
    ///
    /// # Errors
    /// See the module.
    pub fn assemble(
        scenario: &Scenario,
    ) -> Result<(Self, BTreeMap<String, Vec<Outlet>>), DiskFileError> {
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
                let host = host(scenario, name, kind, &address(ip, network.mtu))?;
                lab.add_host(id, network.link(), host);
            }
        }
        Ok((lab, outlets))
    }
}

fn address(ip: Ipv4Addr, mtu: u16) -> Address {
    Address { mac: mac(ip), ip: ip.octets(), prefix: PREFIX, mtu }
}

fn image(disk: &Disk) -> Result<Image, DiskFileError> {
    let mut image = match &disk.file {
        None => Image::new(disk.seed, disk.size.0),
        Some(file) => {
            let image = host_path(file).and_then(|path| Image::of_file(&path, disk.size.0));
            image.map_err(|why| DiskFileError {
                image: disk.image.clone(),
                file: file.clone(),
                why,
            })?
        }
    };
    for &block in &disk.spoil {
        // The scenario was checked: there is such a block, unless the file is shorter.
        let _ = image.spoil(block);
    }
    Ok(image)
}

fn host(
    scenario: &Scenario,
    name: &str,
    kind: &HostKind,
    address: &Address,
) -> Result<Box<dyn LabHost>, DiskFileError> {
    let seed = scenario.seed();
    Ok(match kind {
        HostKind::Nas { export, call_time, bytes_per_second, .. } => {
            let mut folder = Export::new(export, seed.stream(&format!("nas/{name}")).draw());
            for disk in &scenario.disks {
                folder.add(&disk.image, image(disk)?);
            }
            let disks = Disks { call_time: call_time.0, bytes_per_second: bytes_per_second.0 };
            Box::new(Nas::new(name, address, seed, folder, disks))
        }
        HostKind::Workstation { .. } => {
            Box::new(Workstation::new(name, address, seed, scenario.all_names()))
        }
        HostKind::Pinger { .. } => Box::new(Pinger::new(name, address, seed, scenario.all_names())),
    })
}
