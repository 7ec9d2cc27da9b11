//! Services of the control domain.

use super::device::{MTU, MTU_DEFAULT, VLANS};
use super::{good_name, lowest, mac, number, refuse, users, vids};
use crate::cli::verb::{Edit, Props};
use crate::factory::PRIMARY;
use crate::manager::domain::Domain;
use crate::manager::model::{Model, Refused};
use crate::manager::offered::{Concentrator, Server, Switch, Volume};

pub(super) fn edit(model: &mut Model, edit: &Edit) -> Result<(), Refused> {
    match edit {
        Edit::AddServer { name, domain } => {
            new_service(model, "virtual disk server", name, domain)?;
            model.services.servers.push(Server { name: name.clone(), volumes: Vec::new() });
            Ok(())
        }
        Edit::RemoveServer { force, name } => {
            server(model, name)?;
            unused(model, *force, &format!("Virtual disk server {name}"), |domain| {
                domain.wish.disks.iter().any(|disk| disk.server == *name)
            })?;
            model.services.servers.retain(|server| server.name != *name);
            Ok(())
        }
        Edit::AddVolume { force, props, backend, volume, server } => {
            add_volume(model, *force, props, backend, volume, server)
        }
        Edit::SetVolume { props, volume, server } => {
            attached(model, false, volume, server, true)?;
            let own = self::volume(model, volume, server)?;
            if let Some(text) = props.get("options") {
                own.options = options(text)?;
            }
            if let Some(group) = props.get("mpgroup") {
                own.mpgroup.clone_from(group);
            }
            Ok(())
        }
        Edit::RemoveVolume { force, volume, server } => {
            self::volume(model, volume, server)?;
            attached(model, *force, volume, server, false)?;
            let own = self::server(model, server)?;
            own.volumes.retain(|own| own.name != *volume);
            Ok(())
        }
        Edit::AddSwitch { props, name, domain } => add_switch(model, props, name, domain),
        Edit::RemoveSwitch { force, name } => {
            if model.services.switch(name).is_none() {
                return refuse(format!("Virtual switch {name} does not exist"));
            }
            unused(model, *force, &format!("Virtual switch {name}"), |domain| {
                domain.wish.nets.iter().any(|net| net.switch == *name)
            })?;
            let gone: Vec<_> =
                model.services.switches.extract_if(.., |switch| switch.name == *name).collect();
            gone.iter().for_each(|switch| model.freed.put(switch.mac));
            Ok(())
        }
        Edit::AddConcentrator { props, name, domain } => {
            new_service(model, "virtual console concentrator", name, domain)?;
            let Some(ports) = port_range(props)? else {
                return refuse("A port-range must be specified".to_owned());
            };
            clear_of_others(model, name, ports)?;
            model.services.concentrators.push(Concentrator { name: name.clone(), ports });
            Ok(())
        }
        Edit::SetConcentrator { props, name } => set_concentrator(model, props, name),
        Edit::RemoveConcentrator { force, name } => {
            concentrator(model, name)?;
            unused(model, *force, &format!("Virtual console concentrator {name}"), |domain| {
                let console = domain.given.as_ref().and_then(|given| given.console.as_ref());
                console.is_some_and(|console| console.service == *name)
                    || domain.wish.console.service.as_ref() == Some(name)
            })?;
            model.services.concentrators.retain(|vcc| vcc.name != *name);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn new_service(model: &Model, what: &str, name: &str, domain: &str) -> Result<(), Refused> {
    good_name(what, name)?;
    model.domain(domain)?;
    if domain != PRIMARY {
        return refuse(format!("LDom {domain} cannot offer services: only {PRIMARY} does"));
    }
    if model.services.names().any(|own| own == name) {
        return refuse(format!("Service {name} already exists"));
    }
    Ok(())
}

/// Refuses what somebody uses; by force only what no bound domain uses.
fn unused(
    model: &Model,
    force: bool,
    what: &str,
    uses: impl Fn(&Domain) -> bool,
) -> Result<(), Refused> {
    match users(model, uses).first() {
        Some(user) if user.given.is_some() || !force => {
            refuse(format!("{what} is attached to LDom {}", user.name))
        }
        _ => Ok(()),
    }
}

fn attached(
    model: &Model,
    force: bool,
    volume: &str,
    server: &str,
    only_bound: bool,
) -> Result<(), Refused> {
    unused(model, force, &format!("Volume {volume}@{server}"), |domain| {
        (domain.given.is_some() || !only_bound)
            && domain.wish.disks.iter().any(|d| d.volume == *volume && d.server == *server)
    })
}

fn server<'a>(model: &'a mut Model, name: &str) -> Result<&'a mut Server, Refused> {
    let mut servers = model.services.servers.iter_mut();
    match servers.find(|server| server.name == *name) {
        Some(server) => Ok(server),
        None => refuse(format!("Virtual disk server {name} does not exist")),
    }
}

fn volume<'a>(model: &'a mut Model, name: &str, of: &str) -> Result<&'a mut Volume, Refused> {
    match server(model, of)?.volumes.iter_mut().find(|volume| volume.name == *name) {
        Some(volume) => Ok(volume),
        None => refuse(format!("Volume {name}@{of} does not exist")),
    }
}

fn concentrator<'a>(model: &'a mut Model, name: &str) -> Result<&'a mut Concentrator, Refused> {
    match model.services.concentrators.iter_mut().find(|vcc| vcc.name == *name) {
        Some(vcc) => Ok(vcc),
        None => refuse(format!("Virtual console concentrator {name} does not exist")),
    }
}

fn options(text: &str) -> Result<Vec<&'static str>, Refused> {
    for word in text.split(',').filter(|word| !word.is_empty()) {
        if !Volume::OPTIONS.contains(&word) {
            return refuse(format!("Invalid option: {word}"));
        }
    }
    Ok(Volume::OPTIONS.into_iter().filter(|own| text.split(',').any(|word| word == *own)).collect())
}

fn add_volume(
    model: &mut Model,
    force: bool,
    props: &Props,
    backend: &str,
    name: &str,
    of: &str,
) -> Result<(), Refused> {
    good_name("volume", name)?;
    let mpgroup = props.get("mpgroup").cloned().unwrap_or_default();
    let options = options(props.get("options").map_or("", String::as_str))?;
    if server(model, of)?.volumes.iter().any(|volume| volume.name == *name) {
        return refuse(format!("Volume {name} already exists in virtual disk server {of}"));
    }
    if backend.is_empty() || backend.contains('|') {
        return refuse(format!("Invalid backend: {backend}"));
    }
    let mut volumes = model.services.servers.iter().flat_map(|server| &server.volumes);
    let exported = volumes.any(|own| own.backend == *backend);
    if exported && !force && mpgroup.is_empty() {
        return refuse(format!("Path {backend} is already in use; -f exports it once more"));
    }
    let (name, backend) = (name.to_owned(), backend.to_owned());
    server(model, of)?.volumes.push(Volume { name, backend, options, mpgroup });
    Ok(())
}

fn add_switch(model: &mut Model, props: &Props, name: &str, domain: &str) -> Result<(), Refused> {
    new_service(model, "virtual switch", name, domain)?;
    let taken = |model: &Model, id| model.services.switches.iter().any(|own| own.id == id);
    let free = lowest(|id| taken(model, id));
    let id = number(props, "id", free, 0..=127)?;
    if taken(model, id) {
        return refuse(format!("Virtual switch id {id} is already in use"));
    }
    let switch = Switch {
        name: name.to_owned(),
        id,
        mac: mac(model, props, None)?,
        net_dev: props.get("net-dev").cloned().unwrap_or_default(),
        default_vlan: number(props, "default-vlan-id", 1, VLANS)?,
        pvid: number(props, "pvid", 1, VLANS)?,
        vids: vids(props)?,
        mtu: number(props, "mtu", MTU_DEFAULT, MTU)?,
    };
    model.services.switches.push(switch);
    Ok(())
}

fn port_range(props: &Props) -> Result<Option<(u16, u16)>, Refused> {
    let Some(text) = props.get("port-range") else { return Ok(None) };
    let ends = text
        .split_once('-')
        .and_then(|(first, last)| Some((first.parse::<u16>().ok()?, last.parse::<u16>().ok()?)));
    match ends {
        Some((first, last)) if 0 < first && first <= last => Ok(Some((first, last))),
        _ => refuse(format!("Invalid port-range: {text}")),
    }
}

/// Two concentrators cannot listen on one port.
fn clear_of_others(model: &Model, name: &str, ports: (u16, u16)) -> Result<(), Refused> {
    let mut others = model.services.concentrators.iter().filter(|vcc| vcc.name != name);
    match others.find(|vcc| vcc.ports.0 <= ports.1 && ports.0 <= vcc.ports.1) {
        Some(vcc) => refuse(format!("The port-range overlaps that of {}", vcc.name)),
        None => Ok(()),
    }
}

fn set_concentrator(model: &mut Model, props: &Props, name: &str) -> Result<(), Refused> {
    concentrator(model, name)?;
    let Some(ports) = port_range(props)? else { return Ok(()) };
    clear_of_others(model, name, ports)?;
    let outside = model.bound().find(|(_, given)| {
        let console = given.console.as_ref().filter(|console| console.service == *name);
        console.is_some_and(|console| console.port < ports.0 || console.port > ports.1)
    });
    if let Some((domain, _)) = outside {
        return refuse(format!(
            "Virtual console concentrator {name} is attached to LDom {} outside this port-range",
            domain.name
        ));
    }
    concentrator(model, name)?.ports = ports;
    Ok(())
}
