//! From a record to a manager, rule by rule.
//!
//! A record is not believed: whatever the commands here keep true of a machine's
//! domains and services is checked, and that what was given lies in the machine. That
//! the hypervisor has given the same is seen when the session with it stands
//! (`Manager::learn`).

use super::domain::{Console, Domain, Given};
use super::edit;
use super::identity::{Entropy, Freed, is_automatic};
use super::model::{LDC_MAX, Model};
use super::offered::{Concentrator, Server, Services, Switch, Volume};
use super::record::{
    ConcentratorV1, ConsoleV1, DomainV1, GivenV1, ManagerV1, MeterV1, ModelV1, RunV1, ServerV1,
    SwitchV1, VolumeV1,
};
use super::run::{Meter, Run};
use super::{Manager, Settings, place};
use crate::factory::{CONGRUENCE, HVCTL_CHANNEL, MdSlots, PRIMARY, PRIMARY_ID};
use crate::mdgen::hostid;
use crate::migrate::journal::EPOCH_MAX;
use std::collections::{BTreeMap, BTreeSet};
use sun4v::addr::RealRange;
use sun4v::hvctl::{GuestState, SoftState};
use sun4v::hvmd::{HvConfig, Inventory};
use sun4v::id::{GuestId, LdcId, STRANDS, StrandId, T2_STRANDS};
use sun4v::time::SimTime;

/// A rule that the record breaks.
type Broken = &'static str;
type Checked<T> = Result<T, Broken>;

/// Counters are far from their end.
pub const COUNT_MAX: u64 = 1 << 62;
/// All of a strand, in tenths of a percent.
const WHOLE: u64 = 1000;
/// Characters of what a guest says of itself.
const SOFT_CHARS: usize = 32;

/// Refuses unless `sound`.
pub fn check(sound: bool, why: Broken) -> Checked<()> {
    if sound { Ok(()) } else { Err(why) }
}

/// Is everything there once?
fn apart<T: Ord>(all: impl IntoIterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    all.into_iter().all(|one| seen.insert(one))
}

const fn unicast(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 0
}

impl Manager {
    /// A manager that remembers, and waits for its session with the hypervisor.
    ///
    /// # Errors
    /// The rule that the record breaks.
    pub fn recall(inventory: Inventory, settings: Settings, record: ManagerV1) -> Checked<Self> {
        let ManagerV1 { drawn, model, doubt, runs, meter } = record;
        check(drawn <= COUNT_MAX, "a count of drawn numbers near its end")?;
        let mut manager = Self::new(inventory.clone(), settings);
        manager.entropy.go_on_at(drawn);
        let entropy = Entropy::new(manager.settings.entropy);
        let doubt = doubt.map(|doubt| recall_model(inventory.clone(), entropy.clone(), doubt));
        let doubt = doubt.transpose()?;
        let model = recall_model(inventory, entropy, model)?;
        manager.doubt = doubt.map(Box::new);
        manager.runs = recall_runs(&model, runs)?;
        manager.meter = recall_meter(meter)?;
        manager.recalled = Some(Box::new(model));
        Ok(manager)
    }
}

fn recall_model(inventory: Inventory, mut entropy: Entropy, record: ModelV1) -> Checked<Model> {
    let ModelV1 { domains, servers, switches, concentrators, drawn, freed } = record;
    check(drawn <= COUNT_MAX, "a count of drawn numbers near its end")?;
    entropy.go_on_at(drawn);
    check(apart(&freed), "an address that came back twice")?;
    check(freed.iter().all(|&mac| is_automatic(mac)), "an address that came back of no pool")?;
    let slots = MdSlots::new(&inventory).map_err(|_| "a machine without room for descriptions")?;
    let model = Model {
        slots,
        base: HvConfig::default(),
        domains: domains.into_iter().map(recall_domain).collect::<Checked<_>>()?,
        services: recall_services(servers, switches, concentrators)?,
        entropy,
        freed: Freed::of(freed),
        inventory,
    };
    identities(&model)?;
    masters(&model)?;
    for domain in &model.domains {
        wish(domain)?;
        if let Some(given) = &domain.given {
            bound(&model, domain, given)?;
        }
    }
    apart_from_each_other(&model)?;
    Ok(model)
}

fn recall_domain(record: DomainV1) -> Checked<Domain> {
    let DomainV1 { name, uuid, mac, hostid, failure_policy, masters, wish, given, shell, epoch } =
        record;
    check((1..=EPOCH_MAX + 2).contains(&epoch), "an epoch that cannot be")?;
    check(!shell || name != PRIMARY, "a control domain that arrives")?;
    let given = given.map(|given| {
        let GivenV1 { guest, strands, memory, crypto, links, console } = given;
        let console = console.map(|console| {
            let ConsoleV1 { group, service, port } = console;
            Console { group, service, port }
        });
        Given { guest, strands, memory, crypto, links, console }
    });
    Ok(Domain { name, uuid, mac, hostid, failure_policy, masters, wish, given, shell, epoch })
}

// Services.

fn recall_services(
    servers: Vec<ServerV1>,
    switches: Vec<SwitchV1>,
    concentrators: Vec<ConcentratorV1>,
) -> Checked<Services> {
    let services = Services {
        servers: servers.into_iter().map(recall_server).collect::<Checked<_>>()?,
        switches: switches.into_iter().map(recall_switch).collect::<Checked<_>>()?,
        concentrators: concentrators
            .into_iter()
            .map(recall_concentrator)
            .collect::<Checked<_>>()?,
    };
    check(services.names().all(edit::name_is_good), "a service's name")?;
    check(apart(services.names()), "a service twice")?;
    check(apart(services.switches.iter().map(|own| own.id)), "a switch's number twice")?;
    let ranges = services.concentrators.iter().map(|own| own.ports);
    let overlaps = |(at, one): (usize, (u16, u16))| {
        let mut others = services.concentrators[..at].iter().map(|own| own.ports);
        others.any(|other| other.0 <= one.1 && one.0 <= other.1)
    };
    check(!ranges.enumerate().any(overlaps), "a TCP port of two concentrators")?;
    Ok(services)
}

fn recall_server(record: ServerV1) -> Checked<Server> {
    let ServerV1 { name, volumes } = record;
    check(apart(volumes.iter().map(|own| &own.name)), "a volume twice")?;
    Ok(Server { name, volumes: volumes.into_iter().map(recall_volume).collect::<Checked<_>>()? })
}

fn recall_volume(record: VolumeV1) -> Checked<Volume> {
    let VolumeV1 { name, backend, options, mpgroup } = record;
    check(edit::name_is_good(&name), "a volume's name")?;
    check(!backend.is_empty() && !backend.contains('|'), "what is behind a volume")?;
    let known: Vec<&'static str> =
        Volume::OPTIONS.into_iter().filter(|own| options.iter().any(|has| has == own)).collect();
    check(known == options, "a volume's options")?;
    Ok(Volume { name, backend, options: known, mpgroup })
}

fn recall_switch(record: SwitchV1) -> Checked<Switch> {
    let SwitchV1 { name, id, mac, net_dev, default_vlan, pvid, vids, mtu } = record;
    check(edit::switch_is_sane(id, mtu, [default_vlan, pvid], &vids), "a switch's properties")?;
    check(unicast(mac), "a switch's address")?;
    Ok(Switch { name, id, mac, net_dev, default_vlan, pvid, vids, mtu })
}

fn recall_concentrator(record: ConcentratorV1) -> Checked<Concentrator> {
    let ConcentratorV1 { name, ports } = record;
    check(0 < ports.0 && ports.0 <= ports.1, "a concentrator's TCP ports")?;
    Ok(Concentrator { name, ports })
}

// Domains.

/// Names, UUIDs and addresses; and who the control domain is.
fn identities(model: &Model) -> Checked<()> {
    let domains = &model.domains;
    let names = || domains.iter().map(|own| own.name.as_str());
    check(names().all(edit::name_is_good), "a domain's name")?;
    check(apart(names()), "a domain twice")?;
    let lower = |uuid: &str| !uuid.bytes().any(|byte| byte.is_ascii_uppercase());
    check(domains.iter().all(|own| edit::is_uuid(&own.uuid) && lower(&own.uuid)), "a UUID")?;
    check(apart(domains.iter().map(|own| &own.uuid)), "a UUID twice")?;
    let own = domains.iter().map(|own| own.mac);
    let nets = domains.iter().flat_map(|own| &own.wish.nets).map(|net| net.mac);
    let macs: Vec<[u8; 6]> =
        own.chain(nets).chain(model.services.switches.iter().map(|own| own.mac)).collect();
    check(macs.iter().all(|&mac| unicast(mac)), "a domain's address")?;
    check(apart(&macs), "an address twice")?;
    let first = domains.first().filter(|first| first.name == PRIMARY);
    let first = first.ok_or("no control domain at the front")?;
    check(first.mac == model.inventory.mac, "the address of another chassis")?;
    check(first.hostid == hostid(first.mac), "the control domain's host id")?;
    check(first.guest() == Some(PRIMARY_ID), "a control domain that is another guest")
}

/// Masters are there, and nobody depends on itself.
fn masters(model: &Model) -> Checked<()> {
    let of = |name: &str| {
        let found = model.domains.iter().find(|own| own.name == name);
        found.map(|own| own.masters.as_slice()).ok_or("a master that is not there")
    };
    for domain in &model.domains {
        let (mut seen, mut next) = (BTreeSet::new(), domain.masters.clone());
        while let Some(one) = next.pop() {
            check(one != domain.name, "a domain that depends on itself")?;
            let above = of(&one)?.to_vec();
            if seen.insert(one) {
                next.extend(above);
            }
        }
    }
    Ok(())
}

fn wish(domain: &Domain) -> Checked<()> {
    let wish = &domain.wish;
    check(edit::is_sane(wish), "what a domain asks for")?;
    check(apart(wish.disks.iter().map(|disk| &disk.name)), "a virtual disk twice")?;
    check(apart(wish.nets.iter().map(|net| &net.name)), "a virtual network interface twice")?;
    let client = !wish.disks.is_empty() || !wish.nets.is_empty();
    check(!(domain.is_primary() && client), "a control domain that is its own client")
}

/// What a bound domain was given is what it asked for, and lies in the machine.
fn bound(model: &Model, domain: &Domain, given: &Given) -> Checked<()> {
    let Given { guest, strands, memory, crypto, links, console } = given;
    let (wish, primary) = (&domain.wish, domain.is_primary());
    check((guest.0 as usize) < T2_STRANDS, "a guest's number")?;
    let machine: BTreeSet<StrandId> = model.strands().collect();
    check(!strands.is_empty() && strands.len() as u64 == wish.vcpus, "a domain's virtual CPUs")?;
    check(strands.iter().all(|strand| machine.contains(strand)), "a strand outside the machine")?;
    layout(&model.inventory, memory)?;
    let wanted = if primary { wish.memory } else { place::granted(wish.memory) };
    check(given.memory_bytes() == wanted, "the size of a domain's memory")?;
    check(crypto.is_sorted_by(|a, b| a < b), "crypto units out of order")?;
    let on_core = |core| strands.iter().any(|strand| strand.core() == core);
    check(crypto.iter().all(|&core| on_core(core)), "a crypto unit of a core of others")?;
    let count = crypto.len() as u64;
    // A domain that arrived may have fewer than it asks for.
    check(count <= wish.crypto && (!primary || count == wish.crypto), "a domain's crypto units")?;
    let devices = if primary { Vec::new() } else { place::devices(wish) };
    check(links.iter().map(|link| &link.device).eq(&devices), "a domain's channels")?;
    check(links.iter().all(|link| link.guest.0 < LDC_MAX), "a channel's number")?;
    check(apart(links.iter().map(|link| link.guest)), "a domain's channel twice")?;
    check(place::check_devices(model, domain).is_ok(), "a device without its service")?;
    match console {
        None => check(primary, "a domain without a console"),
        Some(_) if primary => Err("a console of the control domain"),
        Some(console) => {
            let mut all = model.services.concentrators.iter();
            let own = all.find(|own| own.name == console.service);
            let own = own.ok_or("a console of no concentrator")?;
            check((own.ports.0..=own.ports.1).contains(&console.port), "a console's TCP port")?;
            check(edit::name_is_good(&console.group), "a console's group")
        }
    }
}

/// Blocks of memory lie in the machine, behind the hypervisor's.
fn layout(inventory: &Inventory, memory: &[RealRange]) -> Checked<()> {
    check(!memory.is_empty() && place::is_layout(memory), "the layout of a domain's memory")?;
    let hv_end = inventory.hv_pa.0.saturating_add(inventory.hv_bytes);
    for block in memory {
        check(block.ra.0 % CONGRUENCE == block.pa.0 % CONGRUENCE, "memory that is not congruent")?;
        let end = block.pa.0.checked_add(block.size);
        let end = end.filter(|end| *end <= inventory.memory_bytes);
        let end = end.ok_or("memory outside the machine")?;
        let apart = end <= inventory.hv_pa.0 || block.pa.0 >= hv_end;
        check(apart, "memory of the hypervisor")?;
    }
    Ok(())
}

/// Nothing is given to two.
fn apart_from_each_other(model: &Model) -> Checked<()> {
    let all = || model.bound().map(|(_, given)| given);
    check(apart(all().map(|given| given.guest)), "a guest of two domains")?;
    check(apart(all().flat_map(|given| &given.strands)), "a strand that is given twice")?;
    check(apart(all().flat_map(|given| &given.crypto)), "a crypto unit that is given twice")?;
    let mut blocks: Vec<&RealRange> = all().flat_map(|given| &given.memory).collect();
    blocks.sort_by_key(|block| block.pa);
    let clear = |pair: &[&RealRange]| pair[0].pa.0 + pair[0].size <= pair[1].pa.0;
    check(blocks.windows(2).all(clear), "memory that is given twice")?;
    let service = || all().flat_map(|given| &given.links).map(|link| link.service);
    let numbered = |channel: LdcId| channel.0 < LDC_MAX && channel != HVCTL_CHANNEL;
    check(service().all(numbered), "the number of a service's channel")?;
    check(apart(service()), "a service's channel twice")?;
    let mut groups: BTreeMap<u16, &Console> = BTreeMap::new();
    let shared = all()
        .filter_map(|given| given.console.as_ref())
        .all(|console| *groups.entry(console.port).or_insert(console) == console);
    check(shared, "a TCP port of two console groups")
}

// Figures.

fn recall_runs(model: &Model, records: Vec<RunV1>) -> Checked<BTreeMap<GuestId, Run>> {
    let bound: BTreeSet<GuestId> = model.bound().map(|(_, given)| given.guest).collect();
    check(
        records.iter().map(|own| &own.guest).eq(&bound),
        "states of other guests than are bound",
    )?;
    let machine: BTreeSet<StrandId> = model.strands().collect();
    let part = |part: u64| part <= WHOLE;
    let recalled = records.into_iter().map(|record| {
        let RunV1 { guest, state, soft, since, util, strands } = record;
        let state = GuestState::from_code(state).ok_or("no such state of a guest")?;
        let primary = guest == PRIMARY_ID;
        check(!primary || state == GuestState::Normal, "a control domain that does not run")?;
        let soft = soft.map(|(code, text)| -> Checked<_> {
            let state = SoftState::from_code(code).ok_or("no such soft state")?;
            let plain = |c: char| !c.is_control() && c != '|';
            let short = text.chars().count() <= SOFT_CHARS;
            check(short && text.chars().all(plain), "the text of a soft state")?;
            Ok((state, text))
        });
        check(util.is_none_or(part), "more than the whole of a guest's time")?;
        check(strands.is_sorted_by(|a, b| a.0 < b.0), "strands out of order")?;
        let sound = |&(strand, own): &(StrandId, u64)| machine.contains(&strand) && part(own);
        check(strands.iter().all(sound), "the share of a strand")?;
        let (since, strands) = (SimTime(since), strands.into_iter().collect());
        Ok((guest, Run { state, soft: soft.transpose()?, since, util, strands }))
    });
    recalled.collect()
}

fn recall_meter(record: MeterV1) -> Checked<Meter> {
    let MeterV1 { at, busy, vcpus } = record;
    check(busy.len() == vcpus.len() && busy.len() <= STRANDS, "figures of the control domain")?;
    check(vcpus.iter().all(|&own| own <= WHOLE), "more than the whole of a strand's time")?;
    Ok(Meter { at: SimTime(at), busy: busy.into_iter().map(SimTime).collect(), vcpus })
}
