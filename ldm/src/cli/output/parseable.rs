//! `ldm list -l -p`, `-o -p`, `list-bindings -p` and `list-services -p`.

use super::bindings::{self, Clients, vids};
use super::{VERSION, View, percent, short, shows};
use crate::cli::verb::Format;
use crate::manager::devices::BUSES;
use crate::manager::domain::{Domain, Given};
use crate::manager::identity;
use sun4v::id::VcpuId;

/// Records of every domain; those of `formats` only, if any are given.
pub(super) fn list(views: &[View<'_>], formats: &[Format], links: bool) -> String {
    let mut out = VERSION.to_owned();
    for view in views {
        if formats.is_empty() || formats.contains(&Format::Stats) {
            out.push_str(&full(view));
        } else {
            out.push_str(&format!("DOMAIN|name={}|\n", view.domain.name));
        }
        records(&mut out, view, formats, links);
    }
    out
}

/// The first record; an inactive domain's has only empty values.
fn full(view: &View<'_>) -> String {
    if view.domain.given.is_some() {
        return short::record(view, &view.flag_words());
    }
    let (name, state) = (&view.domain.name, view.state);
    let flags = view.flag_words();
    format!("DOMAIN|name={name}|state={state}|flags={flags}|cons=|ncpu=|mem=|util=|uptime=\n")
}

/// Records of services.
pub(super) fn services(views: &[View<'_>]) -> String {
    let mut out = VERSION.to_owned();
    for view in views.iter().filter(|view| bindings::offers(view)) {
        out.push_str(&format!("DOMAIN|name={}\n", view.domain.name));
        concentrators(&mut out, view, None);
        switches(&mut out, view, None);
        servers(&mut out, view, None);
    }
    out
}

fn records(out: &mut String, view: &View<'_>, formats: &[Format], links: bool) {
    let domain = view.domain;
    let is = |format| shows(formats, format);
    if is(Format::Domain) {
        if let Some(soft) = view.live.as_ref().and_then(|live| live.soft.as_deref()) {
            out.push_str(&format!("SOFTSTATE|state={soft}\n"));
        }
        identity(out, domain);
        let (policy, masters) = (domain.failure_policy.name(), domain.masters.join(","));
        out.push_str(&format!("CONTROL|failure-policy={policy}\nDEPENDENCY|master={masters}\n"));
    }
    if let Some(given) = &domain.given {
        resources(out, view, given, formats);
    }
    if is(Format::Domain) {
        variables(out, domain);
    }
    if is(Format::Physio) && domain.is_primary() {
        out.push_str("IO\n");
        for (device, pseudonym) in BUSES {
            out.push_str(&format!("|dev={device}|alias={pseudonym}\n"));
        }
    }
    let clients = links.then(|| Clients::of(view.model));
    if bindings::offers(view) {
        if is(Format::Console) {
            concentrators(out, view, clients.as_ref());
        }
        if is(Format::Network) {
            switches(out, view, clients.as_ref());
        }
        if is(Format::Disk) {
            servers(out, view, clients.as_ref());
        }
    }
    if is(Format::Network) {
        networks(out, view, links);
    }
    if is(Format::Disk) {
        for disk in &domain.wish.disks {
            let [name, volume, timeout, id, device, server, group] =
                bindings::disk(view.model, disk);
            out.push_str(&format!(
                "VDISK|name={name}|vol={volume}|timeout={timeout}|dev={device}|server={server}\
                 |mpgroup={group}|id={id}\n"
            ));
        }
    }
    if is(Format::Console) {
        console(out, domain);
    }
    if formats.contains(&Format::Status)
        && let Some(status) = view.status
    {
        let (end, error) = (
            if status.source { "target" } else { "source" },
            if status.doubtful { "yes" } else { "no" },
        );
        out.push_str(&format!(
            "STATUS\n|op=migration|progress={}|error={error}|{end}={}\n",
            status.percent, status.peer
        ));
    }
}

pub(super) fn identity(out: &mut String, domain: &Domain) {
    let mac = identity::show(domain.mac);
    out.push_str(&format!("UUID|uuid={}\nMAC|mac-addr={mac}\n", domain.uuid));
    out.push_str(&format!("HOSTID|hostid={:#010x}\n", domain.hostid));
}

pub(super) fn variables(out: &mut String, domain: &Domain) {
    if !domain.wish.variables.is_empty() {
        out.push_str("VARIABLES\n");
        for (name, value) in &domain.wish.variables {
            out.push_str(&format!("|{name}={value}\n"));
        }
    }
}

fn resources(out: &mut String, view: &View<'_>, given: &Given, formats: &[Format]) {
    let is = |format| shows(formats, format);
    let cpuset = |core| super::long::strands_on(given, core).join(",");
    if is(Format::Core) {
        out.push_str("CORE\n");
        for (core, _) in super::long::cores(given) {
            out.push_str(&format!("|cid={core}|cpuset={}\n", cpuset(core)));
        }
    }
    if is(Format::Cpu) {
        out.push_str("VCPU\n");
        for (vid, strand) in (0..).map(VcpuId).zip(&given.strands) {
            let util = view.live.as_ref().and_then(|live| live.strands.get(strand).copied());
            let util = util.map_or(String::new(), percent);
            let core = strand.core();
            out.push_str(&format!("|vid={vid}|pid={strand}|cid={core}|util={util}|strand=100\n"));
        }
    }
    if is(Format::Crypto) && !given.crypto.is_empty() {
        out.push_str("MAU\n");
        for &core in &given.crypto {
            out.push_str(&format!("|id={core}|cpuset={}\n", cpuset(core)));
        }
    }
    if is(Format::Memory) {
        out.push_str("MEMORY\n");
        for range in &given.memory {
            out.push_str(&format!("|ra={}|pa={}|size={}\n", range.ra, range.pa, range.size));
        }
    }
}

fn concentrators(out: &mut String, view: &View<'_>, clients: Option<&Clients<'_>>) {
    for vcc in &view.model.services.concentrators {
        let (first, last) = vcc.ports;
        out.push_str(&format!("VCC|name={}|port-range={first}-{last}\n", vcc.name));
        for [client, port] in clients.map_or(Vec::new(), |own| own.consoles(&vcc.name)) {
            out.push_str(&format!("|client={client}|port={port}\n"));
        }
    }
}

fn switches(out: &mut String, view: &View<'_>, clients: Option<&Clients<'_>>) {
    for switch in &view.model.services.switches {
        let [name, mac, net_dev, id, device, linkprop, vlan, pvid, vid, mtu, mode, link] =
            bindings::switch(switch);
        out.push_str(&format!(
            "VSW|name={name}|mac-addr={mac}|net-dev={net_dev}|dev={device}\
             |default-vlan-id={vlan}|pvid={pvid}|vid={vid}|mtu={mtu}|mode={mode}\
             |linkprop={linkprop}|id={id}|inter-vnet-link={link}\n"
        ));
        for [peer, mac, mode, pvid, vid, mtu] in
            clients.map_or(Vec::new(), |own| own.nets(&switch.name))
        {
            out.push_str(&peer_row(&[&peer, &mac, &mode, &pvid, &vid, &mtu]));
        }
    }
}

fn peer_row([peer, mac, mode, pvid, vid, mtu]: &[&str; 6]) -> String {
    format!("|peer={peer}|mac-addr={mac}|mode={mode}|pvid={pvid}|vid={vid}|mtu={mtu}\n")
}

fn servers(out: &mut String, view: &View<'_>, clients: Option<&Clients<'_>>) {
    for server in &view.model.services.servers {
        out.push_str(&format!("VDS|name={}\n", server.name));
        for volume in &server.volumes {
            out.push_str(&format!(
                "|vol={}|opts={}|dev={}|mpgroup={}\n",
                volume.name,
                volume.options.join(","),
                volume.backend,
                volume.mpgroup
            ));
        }
        for [client, volume] in clients.map_or(Vec::new(), |own| own.disks(&server.name)) {
            out.push_str(&format!("|client={client}|vol={volume}\n"));
        }
    }
}

fn networks(out: &mut String, view: &View<'_>, links: bool) {
    for net in &view.domain.wish.nets {
        out.push_str(&format!(
            "VNET|name={}|dev=network@{}|service={}@primary|mac-addr={}|mode=|pvid={}|vid={}\
             |mtu={}|linkprop=|id={}\n",
            net.name,
            net.id,
            net.switch,
            identity::show(net.mac),
            net.pvid,
            vids(&net.vids),
            net.mtu,
            net.id
        ));
        if let Some(switch) = view.model.services.switch(&net.switch).filter(|_| links) {
            let [peer, mac, mode, pvid, vid, mtu] = bindings::peer_switch(switch);
            out.push_str(&peer_row(&[&peer, &mac, &mode, &pvid, &vid, &mtu]));
        }
    }
}

fn console(out: &mut String, domain: &Domain) {
    if domain.is_primary() {
        out.push_str("VCONS|type=SP\n");
        return;
    }
    let console = domain.given.as_ref().and_then(|given| given.console.as_ref());
    if let Some(console) = console {
        let (group, service, port) = (&console.group, &console.service, console.port);
        out.push_str(&format!("VCONS|group={group}|service={service}@primary|port={port}\n"));
    }
}
