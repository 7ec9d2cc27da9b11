//! Domains come, change and go.

use super::{good_name, is_uuid, mac, refuse};
use crate::cli::verb::{Props, Which};
use crate::factory::PRIMARY;
use crate::manager::domain::{Domain, FailurePolicy, Wish};
use crate::manager::model::{Model, Refused};
use crate::mdgen::hostid;

/// Most masters of a domain.
const MASTERS_MAX: usize = 4;

pub(super) fn add(model: &mut Model, names: &[String], props: &Props) -> Result<(), Refused> {
    for name in names {
        good_name("domain", name)?;
        if model.domain(name).is_ok() {
            return refuse(format!("LDom \"{name}\" already exists"));
        }
        let uuid = match props.get("uuid") {
            None => model.entropy.uuid(),
            Some(text) if is_uuid(text) => text.to_ascii_lowercase(),
            Some(text) => return refuse(format!("Invalid uuid: {text}")),
        };
        if model.domains.iter().any(|domain| domain.uuid == uuid) {
            return refuse(format!("UUID {uuid} is already in use"));
        }
        let mac = mac(model, props, None)?;
        model.domains.push(Domain {
            name: name.clone(),
            uuid,
            mac,
            hostid: hostid(mac),
            failure_policy: FailurePolicy::default(),
            masters: Vec::new(),
            wish: Wish::default(),
            given: None,
            shell: false,
            epoch: super::super::domain::FIRST_EPOCH,
        });
        let rest: Props = props.clone().into_iter().filter(|(key, _)| key != "mac-addr").collect();
        set(model, name, &rest)?;
    }
    Ok(())
}

pub(super) fn set(model: &mut Model, name: &str, props: &Props) -> Result<(), Refused> {
    if props.contains_key("mac-addr") {
        let own = model.domain(name)?.mac;
        let new = mac(model, props, Some(own))?;
        if new != own {
            model.freed.put(own);
        }
        let domain = model.domain_mut(name)?;
        (domain.mac, domain.hostid) = (new, hostid(new));
    }
    if let Some(text) = props.get("hostid") {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        match u32::from_str_radix(digits, 16) {
            Ok(hostid) => model.domain_mut(name)?.hostid = hostid,
            Err(_) => return refuse(format!("Invalid hostid: {text}")),
        }
    }
    if let Some(text) = props.get("failure-policy") {
        let policy = FailurePolicy::ALL.iter().find(|(own, _)| own == text);
        match policy {
            Some((_, policy)) => model.domain_mut(name)?.failure_policy = *policy,
            None => return refuse(format!("Invalid failure-policy: {text}")),
        }
    }
    if let Some(text) = props.get("master") {
        masters(model, name, text)?;
    }
    Ok(())
}

fn masters(model: &mut Model, name: &str, text: &str) -> Result<(), Refused> {
    let masters: Vec<String> =
        text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if masters.len() > MASTERS_MAX {
        return refuse(format!("LDom {name} cannot have more than {MASTERS_MAX} masters"));
    }
    for master in &masters {
        model.domain(master)?;
        // Whoever depends on this domain cannot be its master.
        let (mut seen, mut next) = (Vec::new(), vec![master.clone()]);
        while let Some(one) = next.pop() {
            if one == *name {
                return refuse(format!("Master {master} would create a dependency cycle"));
            }
            if !seen.contains(&one) {
                next.extend(model.domain(&one)?.masters.iter().cloned());
                seen.push(one);
            }
        }
    }
    model.domain_mut(name)?.masters = masters;
    Ok(())
}

pub(super) fn remove(model: &mut Model, which: &Which) -> Result<(), Refused> {
    let names = match which {
        Which::Named(names) => names.clone(),
        Which::All => {
            let all = model.domains.iter().filter(|domain| !domain.is_primary());
            all.map(|domain| domain.name.clone()).collect()
        }
    };
    for name in &names {
        let domain = model.domain(name)?;
        if name == PRIMARY {
            return refuse(format!("LDom {name} cannot be removed"));
        }
        if domain.given.is_some() {
            return refuse(format!("LDom {name} cannot be removed because it is bound"));
        }
        if let Some(gone) = model.remove(name) {
            model.freed.put(gone.mac);
            gone.wish.nets.iter().for_each(|net| model.freed.put(net.mac));
        }
    }
    Ok(())
}
