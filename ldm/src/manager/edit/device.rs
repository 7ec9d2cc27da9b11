//! Virtual disks, networks and the console of a domain.

use super::{good_name, lowest, mac, number, refuse, vids};
use crate::cli::verb::{Edit, Props};
use crate::manager::domain::{Disk, Net};
use crate::manager::model::{Model, Refused};
use crate::manager::place;

/// Longest IP packets of networks.
pub(super) const MTU: std::ops::RangeInclusive<u64> = 68..=16000;
/// The usual one.
pub(super) const MTU_DEFAULT: u64 = 1500;
/// VLANs.
pub(super) const VLANS: std::ops::RangeInclusive<u64> = 1..=4094;
/// Numbers of devices.
pub(super) const IDS: std::ops::RangeInclusive<u64> = 0..=127;

pub(super) fn edit(model: &mut Model, edit: &Edit) -> Result<(), Refused> {
    match edit {
        Edit::AddDisk { props, name, volume, server, domain } => {
            good_name("virtual disk", name)?;
            volume_exists(model, volume, server)?;
            let disks = &mut model.domain_mut(domain)?.wish.disks;
            if disks.iter().any(|disk| disk.name == *name) {
                return refuse(format!("Virtual disk {name} already exists in LDom {domain}"));
            }
            let free = lowest(|id| disks.iter().any(|disk| disk.id == id));
            let id = number(props, "id", free, IDS)?;
            if disks.iter().any(|disk| disk.id == id) {
                return refuse(format!("Virtual disk id {id} is already in use in LDom {domain}"));
            }
            let timeout = number(props, "timeout", 0, 0..=u64::from(u32::MAX))?;
            let (volume, server) = (volume.clone(), server.clone());
            disks.push(Disk { name: name.clone(), id, volume, server, timeout });
            Ok(())
        }
        Edit::SetDisk { props, name, domain } => {
            let new = props.get("volume").map(|text| match text.split_once('@') {
                Some((volume, server)) => {
                    volume_exists(model, volume, server)?;
                    Ok((volume.to_owned(), server.to_owned()))
                }
                None => refuse(format!("Invalid volume name: {text}")),
            });
            let new = new.transpose()?;
            let disks = &mut model.domain_mut(domain)?.wish.disks;
            let Some(disk) = disks.iter_mut().find(|disk| disk.name == *name) else {
                return no_device("disk", name, domain);
            };
            disk.timeout = number(props, "timeout", disk.timeout, 0..=u64::from(u32::MAX))?;
            if let Some((volume, server)) = new {
                (disk.volume, disk.server) = (volume, server);
            }
            Ok(())
        }
        Edit::RemoveDisk { name, domain } => {
            let disks = &mut model.domain_mut(domain)?.wish.disks;
            let Some(at) = disks.iter().position(|disk| disk.name == *name) else {
                return no_device("disk", name, domain);
            };
            disks.remove(at);
            Ok(())
        }
        Edit::AddNet { props, name, switch, domain } => {
            good_name("virtual network", name)?;
            switch_exists(model, switch)?;
            let nets = &model.domain(domain)?.wish.nets;
            if nets.iter().any(|net| net.name == *name) {
                return refuse(format!("Virtual network {name} already exists in LDom {domain}"));
            }
            let free = lowest(|id| nets.iter().any(|net| net.id == id));
            let id = number(props, "id", free, IDS)?;
            if nets.iter().any(|net| net.id == id) {
                return refuse(format!(
                    "Virtual network id {id} is already in use in LDom {domain}"
                ));
            }
            let net = Net {
                name: name.clone(),
                id,
                switch: switch.clone(),
                mac: mac(model, props, None)?,
                pvid: number(props, "pvid", 1, VLANS)?,
                vids: vids(props)?,
                mtu: number(props, "mtu", MTU_DEFAULT, MTU)?,
            };
            model.domain_mut(domain)?.wish.nets.push(net);
            Ok(())
        }
        Edit::SetNet { props, name, domain } => set_net(model, props, name, domain),
        Edit::RemoveNet { name, domain } => {
            let nets = &mut model.domain_mut(domain)?.wish.nets;
            let Some(at) = nets.iter().position(|net| net.name == *name) else {
                return no_device("network", name, domain);
            };
            let gone = nets.remove(at);
            model.freed.put(gone.mac);
            Ok(())
        }
        Edit::SetConsole { props, domain } => set_console(model, props, domain),
        _ => Ok(()),
    }
}

fn no_device<T>(what: &str, name: &str, domain: &str) -> Result<T, Refused> {
    refuse(format!("Virtual {what} {name} does not exist in LDom {domain}"))
}

fn volume_exists(model: &Model, volume: &str, server: &str) -> Result<(), Refused> {
    match model.services.volume(volume, server) {
        Some(_) => Ok(()),
        None => refuse(format!("Volume {volume}@{server} does not exist")),
    }
}

fn switch_exists(model: &Model, switch: &str) -> Result<(), Refused> {
    match model.services.switch(switch) {
        Some(_) => Ok(()),
        None => refuse(format!("Virtual switch {switch} does not exist")),
    }
}

fn set_net(model: &mut Model, props: &Props, name: &str, domain: &str) -> Result<(), Refused> {
    let nets = &model.domain(domain)?.wish.nets;
    let Some(at) = nets.iter().position(|net| net.name == *name) else {
        return no_device("network", name, domain);
    };
    let mut net = nets[at].clone();
    if let Some(switch) = props.get("vswitch") {
        switch_exists(model, switch)?;
        net.switch.clone_from(switch);
    }
    let new = mac(model, props, Some(net.mac))?;
    if new != net.mac {
        model.freed.put(net.mac);
    }
    net.mac = new;
    if props.contains_key("vid") {
        net.vids = vids(props)?;
    }
    net.pvid = number(props, "pvid", if props.contains_key("pvid") { 1 } else { net.pvid }, VLANS)?;
    let usual = if props.contains_key("mtu") { MTU_DEFAULT } else { net.mtu };
    net.mtu = number(props, "mtu", usual, MTU)?;
    model.domain_mut(domain)?.wish.nets[at] = net;
    Ok(())
}

fn set_console(model: &mut Model, props: &Props, domain: &str) -> Result<(), Refused> {
    let named = |key: &str| props.get(key).map(|text| Some(text.clone()).filter(|t| !t.is_empty()));
    let wish = &mut model.domain_mut(domain)?.wish.console;
    if let Some(group) = named("group") {
        if let Some(group) = &group {
            good_name("group", group)?;
        }
        wish.group = group;
    }
    if let Some(service) = named("service") {
        wish.service = service;
    }
    if let Some(port) = named("port") {
        wish.port = match port {
            None => None,
            Some(text) => match text.parse() {
                Ok(port) => Some(port),
                Err(_) => return refuse(format!("Invalid port: {text}")),
            },
        };
    }
    if wish.service.is_some() || wish.port.is_some() {
        place::console(model, model.domain(domain)?).map_err(|why| vec![why])?;
    }
    Ok(())
}
