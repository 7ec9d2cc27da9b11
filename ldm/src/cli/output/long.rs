//! `ldm list -l`, `-o` and `list-bindings`, for people.

use super::bindings::{self, Clients};
use super::table::table;
use super::{View, percent, short, shows};
use crate::cli::size;
use crate::cli::verb::Format;
use crate::manager::devices::BUSES;
use crate::manager::domain::{Domain, Given};
use crate::manager::identity;
use sun4v::id::{CoreId, StrandId, VcpuId};

const RULE: usize = 78;

/// Sections of every domain; those of `formats` only, if any are given.
pub(super) fn list(views: &[View<'_>], formats: &[Format], links: bool) -> String {
    let parts = views.iter().map(|view| {
        let full = formats.is_empty() || formats.contains(&Format::Stats);
        let mut out = if full {
            format!("{}\n{}\n\n", short::HEADER, short::row(view))
        } else {
            format!("NAME\n{}\n\n", view.domain.name)
        };
        sections(&mut out, view, formats, links);
        out
    });
    let parts: Vec<String> = parts.collect();
    parts.join(&format!("{}\n", "-".repeat(RULE)))
}

/// `ldm list-services`.
pub(super) fn services(views: &[View<'_>]) -> String {
    let offering = views.iter().filter(|view| bindings::offers(view));
    let parts = offering.map(|view| {
        let mut out = String::new();
        concentrators(&mut out, view, None);
        switches(&mut out, view, None);
        servers(&mut out, view, None);
        out
    });
    let parts: Vec<String> = parts.collect();
    parts.join(&format!("{}\n", "-".repeat(RULE)))
}

fn section(out: &mut String, title: &str, body: impl FnOnce(&mut String)) {
    out.push_str(title);
    out.push('\n');
    body(out);
    out.push('\n');
}

fn value(out: &mut String, title: &str, value: &str) {
    section(out, title, |out| out.push_str(&format!("    {value}\n")));
}

fn sections(out: &mut String, view: &View<'_>, formats: &[Format], links: bool) {
    let domain = view.domain;
    let given = domain.given.as_ref();
    let is = |format| shows(formats, format);
    if is(Format::Domain) {
        identity(out, view);
    }
    if let Some(given) = given {
        if is(Format::Core) {
            section(out, "CORE", |out| {
                let rows = cores(given).into_iter().map(|(core, list)| [core.to_string(), list]);
                table(out, 4, "CID    CPUSET", rows);
            });
        }
        if is(Format::Cpu) {
            section(out, "VCPU", |out| vcpus(out, view, given));
        }
        if is(Format::Crypto) && !given.crypto.is_empty() {
            section(out, "MAU", |out| {
                let rows = given.crypto.iter().map(|&core| [core.to_string(), cpuset(given, core)]);
                table(out, 4, "ID     CPUSET", rows);
            });
        }
        if is(Format::Memory) {
            section(out, "MEMORY", |out| {
                let rows = given.memory.iter().map(|range| {
                    [range.ra.to_string(), range.pa.to_string(), size::show(range.size)]
                });
                table(out, 4, "RA               PA               SIZE", rows);
            });
        }
    }
    if is(Format::Domain) && !domain.wish.variables.is_empty() {
        section(out, "VARIABLES", |out| {
            for (name, value) in &domain.wish.variables {
                out.push_str(&format!("    {name}={value}\n"));
            }
        });
    }
    if is(Format::Physio) && domain.is_primary() {
        section(out, "IO", |out| {
            let rows = BUSES.map(|(device, pseudonym)| [device.to_owned(), pseudonym.to_owned()]);
            table(out, 4, "DEVICE           PSEUDONYM        OPTIONS", rows);
        });
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
    if is(Format::Network) && !domain.wish.nets.is_empty() {
        section(out, "NETWORK", |out| networks(out, view, links));
    }
    if is(Format::Disk) && !domain.wish.disks.is_empty() {
        section(out, "DISK", |out| {
            let rows = domain.wish.disks.iter().map(|disk| bindings::disk(view.model, disk));
            table(out, 4, bindings::DISK, rows);
        });
    }
    if is(Format::Console) {
        consoles(out, domain);
    }
    if formats.contains(&Format::Status)
        && let Some(status) = view.status
    {
        section(out, "STATUS", |out| {
            let end = if status.source { "TARGET" } else { "SOURCE" };
            let header = format!("OPERATION    PROGRESS    {end}");
            let progress = format!("{}%", status.percent);
            table(out, 4, &header, [["migration".to_owned(), progress, status.peer.clone()]]);
        });
    }
}

fn identity(out: &mut String, view: &View<'_>) {
    let domain = view.domain;
    if let Some(soft) = view.live.as_ref().and_then(|live| live.soft.as_deref()) {
        section(out, "SOFTSTATE", |out| out.push_str(&format!("{soft}\n")));
    }
    value(out, "UUID", &domain.uuid);
    value(out, "MAC", &identity::show(domain.mac));
    value(out, "HOSTID", &format!("{:#010x}", domain.hostid));
    value(out, "CONTROL", &format!("failure-policy={}", domain.failure_policy.name()));
    value(out, "DEPENDENCY", &format!("master={}", domain.masters.join(",")));
}

/// Cores that the domain has strands of, with its virtual CPUs there.
pub(super) fn cores(given: &Given) -> Vec<(CoreId, String)> {
    let mut cores: Vec<CoreId> = given.strands.iter().map(|strand| strand.core()).collect();
    cores.sort();
    cores.dedup();
    cores.into_iter().map(|core| (core, cpuset(given, core))).collect()
}

fn cpuset(given: &Given, core: CoreId) -> String {
    format!("({})", strands_on(given, core).join(", "))
}

/// Strands of the domain on a core.
pub(super) fn strands_on(given: &Given, core: CoreId) -> Vec<String> {
    let own = given.strands.iter().filter(|strand| strand.core() == core);
    own.map(StrandId::to_string).collect()
}

fn vcpus(out: &mut String, view: &View<'_>, given: &Given) {
    out.push_str("    VID    PID    CID    UTIL STRAND\n");
    for (vid, strand) in (0..).map(VcpuId).zip(&given.strands) {
        let util = view.live.as_ref().and_then(|live| live.strands.get(strand).copied());
        let util = util.map_or(String::new(), percent);
        let core = strand.core().to_string();
        let (vid, pid) = (vid.to_string(), strand.to_string());
        out.push_str(&format!("    {vid:<6} {pid:<6} {core:<6} {util:>4} {:>6}\n", "100%"));
    }
}

fn concentrators(out: &mut String, view: &View<'_>, clients: Option<&Clients<'_>>) {
    for concentrator in &view.model.services.concentrators {
        section(out, "VCC", |out| {
            let (first, last) = concentrator.ports;
            let cells = [concentrator.name.clone(), format!("{first}-{last}")];
            table(out, 4, "NAME             PORT-RANGE", [cells]);
            if let Some(rows) = clients.map(|own| own.consoles(&concentrator.name)) {
                below(out, "CLIENT                      PORT", rows);
            }
        });
    }
}

fn switches(out: &mut String, view: &View<'_>, clients: Option<&Clients<'_>>) {
    for switch in &view.model.services.switches {
        section(out, "VSW", |out| {
            table(out, 4, bindings::VSW, [bindings::switch(switch)]);
            if let Some(rows) = clients.map(|own| own.nets(&switch.name)) {
                below(out, bindings::PEER, rows);
            }
        });
    }
}

fn servers(out: &mut String, view: &View<'_>, clients: Option<&Clients<'_>>) {
    for server in &view.model.services.servers {
        section(out, "VDS", |out| {
            let mut rows: Vec<[String; 5]> = (server.volumes.iter())
                .map(|volume| {
                    [
                        String::new(),
                        volume.name.clone(),
                        volume.options.join(","),
                        volume.mpgroup.clone(),
                        volume.backend.clone(),
                    ]
                })
                .collect();
            if rows.is_empty() {
                rows.push(Default::default());
            }
            if let Some([name, ..]) = rows.first_mut() {
                name.clone_from(&server.name);
            }
            let header = "NAME             VOLUME         OPTIONS          MPGROUP        DEVICE";
            table(out, 4, header, rows);
            if let Some(rows) = clients.map(|own| own.disks(&server.name)) {
                below(out, "CLIENT                      VOLUME", rows);
            }
        });
    }
}

/// Links back, below what they lead to.
fn below<const N: usize>(out: &mut String, header: &str, rows: Vec<[String; N]>) {
    if !rows.is_empty() {
        table(out, 8, header, rows);
    }
}

fn networks(out: &mut String, view: &View<'_>, links: bool) {
    let nets = view.domain.wish.nets.iter();
    if !links {
        table(out, 4, bindings::NETWORK, nets.map(bindings::network));
        return;
    }
    for net in nets {
        table(out, 4, bindings::NETWORK, [bindings::network(net)]);
        if let Some(switch) = view.model.services.switch(&net.switch) {
            below(out, bindings::PEER, vec![bindings::peer_switch(switch)]);
        }
    }
}

fn consoles(out: &mut String, domain: &Domain) {
    const HEADER: &str = "NAME             SERVICE                     PORT";
    if domain.is_primary() {
        section(out, "VCONS", |out| table(out, 4, HEADER, [["SP".to_owned()]]));
        return;
    }
    let console = domain.given.as_ref().and_then(|given| given.console.as_ref());
    if let Some(console) = console {
        section(out, "VCONS", |out| {
            let service = format!("{}@primary", console.service);
            let cells = [console.group.clone(), service, console.port.to_string()];
            table(out, 4, HEADER, [cells]);
        });
    }
}
