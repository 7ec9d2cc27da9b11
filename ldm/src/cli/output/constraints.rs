//! `ldm list-constraints`: what was asked for.

use super::parseable::{identity, variables};
use super::table::table;
use super::{VERSION, View};
use crate::cli::size;
use crate::manager::domain::Domain;
use crate::manager::identity::show;

pub(super) fn list(views: &[View<'_>]) -> String {
    let parts: Vec<String> = views.iter().map(|view| domain(view.domain)).collect();
    parts.join(&format!("{}\n", "-".repeat(78)))
}

fn domain(domain: &Domain) -> String {
    let wish = &domain.wish;
    let mut out = format!("DOMAIN\n{}\n\n", domain.name);
    let mut section = |title: &str, header: &str, rows: Vec<Vec<String>>| {
        if rows.is_empty() {
            return;
        }
        out.push_str(&format!("{title}\n"));
        if header.is_empty() {
            rows.iter().flatten().for_each(|value| out.push_str(&format!("    {value}\n")));
        } else {
            table(&mut out, 4, header, rows);
        }
        out.push('\n');
    };
    let one = |value: String| vec![vec![value]];
    let count = |count: u64| if count == 0 { vec![] } else { one(count.to_string()) };
    section("UUID", "", one(domain.uuid.clone()));
    section("MAC", "", one(show(domain.mac)));
    section("HOSTID", "", one(format!("{:#010x}", domain.hostid)));
    section("CONTROL", "", one(format!("failure-policy={}", domain.failure_policy.name())));
    section("DEPENDENCY", "", one(format!("master={}", domain.masters.join(","))));
    section("VCPU", "COUNT", count(wish.vcpus));
    section("MAU", "COUNT", count(wish.crypto));
    let memory = if wish.memory == 0 { vec![] } else { one(size::show(wish.memory)) };
    section("MEMORY", "SIZE", memory);
    let own = wish.variables.iter().map(|(name, value)| vec![format!("{name}={value}")]);
    section("VARIABLES", "", own.collect());
    let own = wish.nets.iter().map(|net| {
        let device = format!("network@{}", net.id);
        vec![net.name.clone(), net.switch.clone(), device, show(net.mac)]
    });
    let header = "NAME             SERVICE                     DEVICE     MAC";
    section("NETWORK", header, own.collect());
    let own = wish
        .disks
        .iter()
        .map(|disk| vec![disk.name.clone(), format!("{}@{}", disk.volume, disk.server)]);
    section("DISK", "NAME             VOLUME", own.collect());
    if !domain.is_primary() {
        let (group, service, port) = console(domain);
        let header = "NAME             SERVICE                     PORT";
        section("VCONS", header, vec![vec![group, service, port]]);
    }
    out
}

/// Group, service and port; nothing is the manager's choice.
fn console(domain: &Domain) -> (String, String, String) {
    let wish = &domain.wish.console;
    (
        wish.group.clone().unwrap_or_else(|| domain.name.clone()),
        wish.service.clone().unwrap_or_default(),
        wish.port.map_or(String::new(), |port| port.to_string()),
    )
}

pub(super) fn records(views: &[View<'_>]) -> String {
    let mut out = VERSION.to_owned();
    for view in views {
        let (domain, wish) = (view.domain, &view.domain.wish);
        out.push_str(&format!("DOMAIN|name={}\n", domain.name));
        identity(&mut out, domain);
        let (policy, masters) = (domain.failure_policy.name(), domain.masters.join(","));
        out.push_str(&format!("CONTROL|failure-policy={policy}\nDEPENDENCY|master={masters}\n"));
        for (key, name, amount) in [
            ("VCPU", "count", wish.vcpus),
            ("MAU", "count", wish.crypto),
            ("MEMORY", "size", wish.memory),
        ] {
            if amount > 0 {
                out.push_str(&format!("{key}|{name}={amount}\n"));
            }
        }
        variables(&mut out, domain);
        for net in &wish.nets {
            out.push_str(&format!(
                "VNET|name={}|dev=network@{}|service={}|mac-addr={}\n",
                net.name,
                net.id,
                net.switch,
                show(net.mac)
            ));
        }
        for disk in &wish.disks {
            let (name, volume, server) = (&disk.name, &disk.volume, &disk.server);
            out.push_str(&format!("VDISK|name={name}|vol={volume}@{server}\n"));
        }
        if !domain.is_primary() {
            let (group, service, port) = console(domain);
            out.push_str(&format!("VCONS|group={group}|service={service}|port={port}\n"));
        }
    }
    out
}
