//! Where a domain's resources come from: what binding gives.
//!
//! **Strands** are given in ascending order, whole free cores first. **Memory** is
//! one block at real address 0x8000000 where there is room for it, else several;
//! real and physical addresses of a block are equal modulo 256 MB, the largest
//! page, so a guest may map it with any. **Channels** have the lowest numbers that
//! are free at both ends. A domain that is bound again keeps what it can.
//!
//! An arriving domain ([`Exact`]) gets the blocks and the endpoints that it had.

use super::domain::{Console, Device, Domain, Given, Link, Wish};
use super::model::{LDC_MAX, Model, Refused};
use crate::cli::size;
use crate::factory::{CONGRUENCE, GUEST_RA, PRIMARY, congruent};
use std::collections::BTreeSet;
use sun4v::addr::{PAGE_BYTES, Pa, Ra, RealRange};
use sun4v::id::{CoreId, GuestId, LdcId, StrandId, T2_STRANDS};

/// Memory is given in multiples of this.
pub const MEMORY_STEP: u64 = 4 << 20;
/// Less than this is raised to it.
pub const MEMORY_MIN: u64 = 12 << 20;

/// What an arriving domain must have as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exact {
    /// Blocks of real memory, with the physical addresses that they had.
    pub memory: Vec<RealRange>,
    /// Endpoints of its devices.
    pub links: Vec<Link>,
}

/// A stretch of physical memory, first and first behind.
type Free = (u64, u64);

/// Chooses what `name` gets.
///
/// # Errors
/// Everything that stands against it.
pub fn place(model: &Model, name: &str, exact: Option<&Exact>) -> Result<Given, Refused> {
    let domain = model.domain(name)?;
    let mut refused = Refused::new();
    let mut ok = |result: Result<(), Refused>| refused.extend(result.err().unwrap_or_default());
    if domain.wish.vcpus == 0 {
        ok(Err(vec![format!("LDom {name} has no virtual CPUs")]));
    }
    if domain.wish.memory == 0 && exact.is_none_or(|exact| exact.memory.is_empty()) {
        ok(Err(vec![format!("LDom {name} has no memory")]));
    }
    ok(check_devices(model, domain));
    let guest = guest(model, domain).unwrap_or_else(|why| {
        ok(Err(vec![why]));
        GuestId::default()
    });
    let strands = strands(model, domain).unwrap_or_else(|why| {
        ok(Err(vec![why]));
        Vec::new()
    });
    let crypto = crypto(model, domain, &strands, exact.is_some()).unwrap_or_else(|why| {
        ok(Err(vec![why]));
        Vec::new()
    });
    let blocks = exact.map(|exact| exact.memory.as_slice()).filter(|blocks| !blocks.is_empty());
    let memory = match blocks {
        Some(blocks) => exactly(free_memory(model, name), blocks),
        None => memory(model, domain).map_err(|why| vec![why]),
    };
    let memory = memory.unwrap_or_else(|why| {
        ok(Err(why));
        Vec::new()
    });
    let console = console(model, domain).unwrap_or_else(|why| {
        ok(Err(vec![why]));
        Console { group: String::new(), service: String::new(), port: 0 }
    });
    let links = links(model, domain, exact).unwrap_or_else(|why| {
        ok(Err(why));
        Vec::new()
    });
    if refused.is_empty() {
        Ok(Given { guest, strands, memory, crypto, links, console: Some(console) })
    } else {
        Err(refused)
    }
}

/// The services that its devices name must be there.
///
/// # Errors
/// Those that are not, and volumes that another bound domain has.
pub fn check_devices(model: &Model, domain: &Domain) -> Result<(), Refused> {
    let mut refused = Refused::new();
    for disk in &domain.wish.disks {
        let others = model.bound().filter(|(other, _)| other.name != domain.name);
        let sharer = others.map(|(other, _)| other).find(|other| {
            let mut theirs = other.wish.disks.iter();
            theirs.any(|own| (&own.volume, &own.server) == (&disk.volume, &disk.server))
        });
        if let Some(sharer) = sharer {
            refused.push(format!(
                "Virtual disk {}: volume {}@{} is attached to LDom {}",
                disk.name, disk.volume, disk.server, sharer.name
            ));
        }
        if model.services.volume(&disk.volume, &disk.server).is_none() {
            refused.push(format!(
                "Virtual disk {}: volume {}@{} does not exist",
                disk.name, disk.volume, disk.server
            ));
        }
    }
    for net in &domain.wish.nets {
        if model.services.switch(&net.switch).is_none() {
            refused.push(format!(
                "Virtual network {}: virtual switch {} does not exist",
                net.name, net.switch
            ));
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

fn guest(model: &Model, domain: &Domain) -> Result<GuestId, String> {
    if let Some(guest) = domain.guest() {
        return Ok(guest);
    }
    let taken: BTreeSet<GuestId> = model.bound().map(|(_, given)| given.guest).collect();
    let mut all = (0..T2_STRANDS as u8).map(GuestId);
    all.find(|guest| !taken.contains(guest))
        .ok_or_else(|| "The machine has as many bound domains as it can have".into())
}

/// Strands that are free for `name`: its own are.
#[must_use]
pub fn free_strands(model: &Model, name: &str) -> Vec<StrandId> {
    let taken = |strand| model.owner_of_strand(strand).is_some_and(|owner| owner.name != name);
    model.strands().filter(|&strand| !taken(strand)).collect()
}

/// A domain needs more strands than are free.
#[must_use]
pub fn few_strands(name: &str, wanted: usize, free: usize) -> String {
    format!("Insufficient vCPUs: LDom {name} needs {wanted}, {free} are free")
}

/// A domain needs more crypto units than it can have.
#[must_use]
pub fn few_units(name: &str, wanted: usize, free: usize) -> String {
    format!("Insufficient crypto units: LDom {name} needs {wanted}, {free} are free on its cores")
}

fn strands(model: &Model, domain: &Domain) -> Result<Vec<StrandId>, String> {
    let mut free = free_strands(model, &domain.name);
    let wanted = usize::try_from(domain.wish.vcpus).unwrap_or(usize::MAX);
    // A guest has 64 virtual CPUs at most, on whatever machine.
    let most = free.len().min(T2_STRANDS);
    if wanted > most {
        return Err(few_strands(&domain.name, wanted, most));
    }
    if let Some(given) = domain.given.as_ref().filter(|given| given.strands.len() == wanted) {
        return Ok(given.strands.clone());
    }
    let mut chosen = Vec::new();
    while chosen.len() < wanted {
        let on = |core: CoreId| free.iter().filter(move |strand| strand.core() == core).count();
        let whole = free.iter().map(|strand| strand.core()).find(|&core| on(core) == 8);
        let left = wanted - chosen.len();
        let next: Vec<StrandId> = free
            .iter()
            .copied()
            .filter(|strand| whole.is_none_or(|core| strand.core() == core))
            .take(left)
            .collect();
        free.retain(|strand| !next.contains(strand));
        chosen.extend(next);
    }
    chosen.sort();
    Ok(chosen)
}

/// Units of the cores that the domain has strands on; with those cores that it has
/// most strands of first. `fewer` are good enough for a domain that arrives.
fn crypto(
    model: &Model,
    domain: &Domain,
    strands: &[StrandId],
    fewer: bool,
) -> Result<Vec<CoreId>, String> {
    let taken = |core| model.owner_of_crypto(core).is_some_and(|owner| owner.name != domain.name);
    let cores: BTreeSet<CoreId> = strands.iter().map(|strand| strand.core()).collect();
    let mut cores: Vec<CoreId> = cores.into_iter().filter(|&core| !taken(core)).collect();
    cores.sort_by_key(|&core| {
        (std::cmp::Reverse(strands.iter().filter(|strand| strand.core() == core).count()), core)
    });
    let wanted = usize::try_from(domain.wish.crypto).unwrap_or(usize::MAX);
    if wanted > cores.len() && !strands.is_empty() && !fewer {
        return Err(few_units(&domain.name, wanted, cores.len()));
    }
    cores.truncate(wanted);
    cores.sort();
    Ok(cores)
}

// Memory.

/// Physical memory that is free for `name`, ascending: its own is.
#[must_use]
pub fn free_memory(model: &Model, name: &str) -> Vec<Free> {
    let inventory = &model.inventory;
    let mut free = vec![(0, inventory.memory_bytes)];
    cut(&mut free, inventory.hv_pa.0, inventory.hv_bytes);
    for (domain, given) in model.bound() {
        if domain.name != name {
            for range in &given.memory {
                cut(&mut free, range.pa.0, range.size);
            }
        }
    }
    free
}

fn cut(free: &mut Vec<Free>, pa: u64, size: u64) {
    let end = pa.saturating_add(size);
    *free = free
        .iter()
        .flat_map(|&(first, behind)| [(first, behind.min(pa)), (first.max(end), behind)])
        .filter(|(first, behind)| first < behind)
        .collect();
}

/// Where a block at `ra` may begin in a stretch, and how much room is from there.
fn room(ra: Ra, (first, behind): Free) -> Option<(Pa, u64)> {
    let pa = congruent(ra, Pa(first))?;
    (pa.0 < behind).then(|| (pa, behind - pa.0))
}

/// What a wish comes to when it is granted.
#[must_use]
pub fn granted(bytes: u64) -> u64 {
    bytes.max(MEMORY_MIN).checked_next_multiple_of(MEMORY_STEP).unwrap_or(u64::MAX)
}

fn memory(model: &Model, domain: &Domain) -> Result<Vec<RealRange>, String> {
    let mut free = free_memory(model, &domain.name);
    let wanted = granted(domain.wish.memory);
    let mut left = wanted;
    if let Some(given) = domain.given.as_ref().filter(|given| given.memory_bytes() == left) {
        return Ok(given.memory.clone());
    }
    let total: u64 = free.iter().map(|(first, behind)| behind - first).sum();
    let short = || {
        format!(
            "Insufficient memory: LDom {} needs {}, {} is free",
            domain.name,
            size::show(wanted),
            size::show(total)
        )
    };
    if left > total {
        return Err(short());
    }
    let mut blocks: Vec<RealRange> = Vec::new();
    let mut ra = GUEST_RA;
    while left > 0 {
        // The first block is where guests expect it; the others where there is room.
        let places = free.iter().filter_map(|&stretch| {
            let ra = if blocks.is_empty() { ra } else { congruent_real(ra, Pa(stretch.0)) };
            let (pa, room) = room(ra, stretch)?;
            Some(RealRange { ra, pa, size: room / MEMORY_STEP * MEMORY_STEP })
        });
        let places: Vec<RealRange> = places.filter(|place| place.size > 0).collect();
        let whole = places.iter().find(|place| place.size >= left);
        let largest = places.iter().rev().max_by_key(|place| place.size);
        let mut block = *whole.or(largest).ok_or_else(|| {
            format!(
                "Free memory layout and congruency requirements prevent binding {} of memory to \
                 LDom {}",
                size::show(wanted),
                domain.name
            )
        })?;
        block.size = block.size.min(left);
        if blocks.is_empty() && block.size < model.inventory.rom_of(&domain.name).bytes {
            return Err(short());
        }
        cut(&mut free, block.pa.0, block.size);
        left -= block.size;
        ra = block.ra.offset(block.size);
        blocks.push(block);
    }
    Ok(blocks)
}

/// The first real address from `from` on that is congruent with `pa`.
fn congruent_real(from: Ra, pa: Pa) -> Ra {
    from.offset(pa.0.wrapping_sub(from.0) % CONGRUENCE)
}

/// The same blocks at the same real addresses, wherever they fit; the largest first.
fn exactly(mut free: Vec<Free>, blocks: &[RealRange]) -> Result<Vec<RealRange>, Refused> {
    let mut order: Vec<&RealRange> = blocks.iter().collect();
    order.sort_by_key(|block| (std::cmp::Reverse(block.size), block.ra));
    let (mut given, mut refused) = (Vec::new(), Refused::new());
    for block in order {
        let mut places = free.iter().filter_map(|&stretch| room(block.ra, stretch));
        match places.find(|&(_, room)| room >= block.size) {
            Some((pa, _)) => {
                cut(&mut free, pa.0, block.size);
                given.push(RealRange { pa, ..*block });
            }
            None => refused.push(format!(
                "Free memory layout and congruency requirements prevent binding the memory block \
                 with PA {}, RA {}, and size {}",
                block.pa,
                block.ra,
                size::show(block.size)
            )),
        }
    }
    given.sort();
    if refused.is_empty() { Ok(given) } else { Err(refused) }
}

/// Are these blocks that a guest could have had: whole pages, apart, ascending?
#[must_use]
pub fn is_layout(blocks: &[RealRange]) -> bool {
    let mut end = 0;
    blocks.iter().all(|block| {
        let whole = block.ra.is_aligned(PAGE_BYTES) && block.size.is_multiple_of(PAGE_BYTES);
        let good = whole && block.size > 0 && block.ra.0 >= end;
        block.ra.0.checked_add(block.size).is_some_and(|next| {
            end = next;
            good
        })
    })
}

// Channels and consoles.

/// Devices that need a channel, in the order in which they get one.
#[must_use]
pub fn devices(wish: &Wish) -> Vec<Device> {
    let disks = wish.disks.iter().map(|disk| Device::Disk(disk.name.clone()));
    let nets = wish.nets.iter().map(|net| Device::Net(net.name.clone()));
    let ends = [Device::Services, Device::Firmware];
    [Device::Console].into_iter().chain(disks).chain(nets).chain(ends).collect()
}

/// Gives a domain that runs channels for devices that are new.
///
/// # Errors
/// The services that they name are not there, or no channel is left.
pub fn connect(model: &mut Model, name: &str) -> Result<(), Refused> {
    let domain = model.domain(name)?;
    check_devices(model, domain)?;
    let new = links(model, domain, None)?;
    if let Some(given) = &mut model.domain_mut(name)?.given {
        given.links = new;
    }
    Ok(())
}

fn links(model: &Model, domain: &Domain, exact: Option<&Exact>) -> Result<Vec<Link>, Refused> {
    let devices = devices(&domain.wish);
    let had = domain.given.as_ref().map_or(&[][..], |given| &given.links);
    let kept: Vec<Link> = had.iter().filter(|own| devices.contains(&own.device)).cloned().collect();
    // A channel that ends here stays taken until the next time: its service has yet
    // to hear of it.
    let mut service = model.service_channels();
    let mut guest: BTreeSet<LdcId> = had.iter().map(|link| link.guest).collect();
    let asked = exact.map_or(&[][..], |exact| &exact.links);
    guest.extend(asked.iter().map(|link| link.guest));
    let needed = devices.len() - kept.len();
    let left = usize::from(LDC_MAX).saturating_sub(service.len());
    if needed > left {
        return Err(vec![
            format!(
                "{needed} additional LDCs are required on guest {PRIMARY} to meet this request,"
            ),
            format!("but only {left} LDCs are available"),
        ]);
    }
    let lowest = |taken: &mut BTreeSet<LdcId>| {
        let free = (0..LDC_MAX).map(LdcId).find(|channel| !taken.contains(channel));
        free.inspect(|&channel| {
            taken.insert(channel);
        })
    };
    devices
        .into_iter()
        .map(|device| {
            if let Some(link) = kept.iter().find(|link| link.device == device) {
                return Ok(link.clone());
            }
            let asked = asked.iter().find(|link| link.device == device).map(|link| link.guest);
            let ends = asked.or_else(|| lowest(&mut guest)).zip(lowest(&mut service));
            let (guest, service) = ends.ok_or_else(|| {
                vec![
                    format!(
                        "1 additional LDCs are required on guest {} to meet this request,",
                        domain.name
                    ),
                    "but only 0 LDCs are available".to_owned(),
                ]
            })?;
            Ok(Link { device, guest, service })
        })
        .collect()
}

/// Concentrator and port: the one that was asked for, or the first with a free one.
pub fn console(model: &Model, domain: &Domain) -> Result<Console, String> {
    let wish = &domain.wish.console;
    let others = || model.bound().filter(|(other, _)| other.name != domain.name);
    let others = || others().filter_map(|(_, given)| given.console.as_ref());
    let all = &model.services.concentrators;
    if let Some(name) = &wish.service
        && !all.iter().any(|vcc| vcc.name == *name)
    {
        return Err(format!("Virtual console concentrator {name} does not exist"));
    }
    let mut candidates =
        all.iter().filter(|vcc| wish.service.as_ref().is_none_or(|name| vcc.name == *name));
    let group = wish.group.clone().unwrap_or_else(|| domain.name.clone());
    // Domains of one group share its port.
    let shared = others().find(|console| {
        console.group == group && candidates.clone().any(|vcc| vcc.name == console.service)
    });
    if let (Some(shared), None) = (shared, wish.port) {
        return Ok(shared.clone());
    }
    let taken: BTreeSet<u16> = others().map(|console| console.port).collect();
    let had = domain.given.as_ref().and_then(|given| given.console.as_ref());
    let found = candidates.find_map(|vcc| {
        let mut range = vcc.ports.0..=vcc.ports.1;
        let port = match (wish.port, had) {
            (Some(port), _) => range.contains(&port).then_some(port),
            (None, Some(had)) if had.service == vcc.name && range.contains(&had.port) => {
                Some(had.port)
            }
            _ => range.find(|port| !taken.contains(port)),
        };
        Some((vcc.name.clone(), port.filter(|port| !taken.contains(port))?))
    });
    match found {
        Some((service, port)) => Ok(Console { group, service, port }),
        None if all.is_empty() => Err(format!(
            "No virtual console concentrator is available for the console of LDom {}",
            domain.name
        )),
        None => Err(format!("No port is available for the console of LDom {}", domain.name)),
    }
}
