//! Changes of what was asked for.
//!
//! **Rules.** Of a domain that runs its variables may change, which it sees when it starts
//! again; if its system reads its machine description when told (`updates`), it may get
//! disks and networks; of its virtual CPUs see `live.rs`. Nothing else changes. A domain
//! that is bound is bound anew. Services are the control domain's and change at once, and
//! so do its own virtual CPUs and crypto units ([`primary`]).
//!
//! **Errors.** Sentences for the operator; the model is then to be thrown away.

mod device;
mod domain;
pub(super) mod primary;
mod service;

use super::domain::{Domain, Wish};
use super::model::{Model, Refused};
use super::place::{self, place};
use crate::cli::verb::{Edit, How, Props};
use std::collections::BTreeSet;
use sun4v::id::GuestId;

/// Virtual CPUs, bytes and crypto units that nobody ever asks for.
const AMOUNT_MAX: u64 = 1 << 48;
/// Longest name of anything.
const NAME_MAX: usize = 255;

/// Makes a change; `active` are the guests that run, `updates` those of them that read their
/// machine description when told.
///
/// # Errors
/// See the module.
pub fn edit(
    model: &mut Model,
    edit: &Edit,
    active: &BTreeSet<GuestId>,
    updates: &BTreeSet<GuestId>,
) -> Result<(), Refused> {
    match edit {
        Edit::AddDisk { domain, .. } | Edit::AddNet { domain, .. }
            if runs_and(model, domain, active, updates) =>
        {
            device::edit(model, edit)?;
            place::connect(model, domain)
        }
        Edit::AddDomain { names, props } => domain::add(model, names, props),
        Edit::SetDomain { name, props } => {
            stands_still(model, name, active)?;
            domain::set(model, name, props)?;
            bind_anew(model, name)
        }
        Edit::RemoveDomain(which) => domain::remove(model, which),
        Edit::Vcpu(how, count, name) => amount(model, name, active, *how, *count, Amount::Vcpus),
        Edit::Memory(how, bytes, name) => amount(model, name, active, *how, *bytes, Amount::Memory),
        Edit::Crypto(how, count, name) => amount(model, name, active, *how, *count, Amount::Crypto),
        Edit::AddDisk { domain, .. }
        | Edit::SetDisk { domain, .. }
        | Edit::RemoveDisk { domain, .. }
        | Edit::AddNet { domain, .. }
        | Edit::SetNet { domain, .. }
        | Edit::RemoveNet { domain, .. }
        | Edit::SetConsole { domain, .. } => {
            stands_still(model, domain, active)?;
            if model.domain(domain)?.is_primary() {
                return refuse(format!("LDom {domain} cannot be a client of its own services"));
            }
            device::edit(model, edit)?;
            bind_anew(model, domain)
        }
        Edit::SetVariables { variables, domain } => {
            let own = &mut model.domain_mut(domain)?.wish.variables;
            for (name, value) in variables {
                variable_name(name)?;
                own.insert(name.clone(), value.clone());
            }
            Ok(())
        }
        Edit::RemoveVariables { names, domain } => {
            let own = &mut model.domain_mut(domain)?.wish.variables;
            for name in names {
                if own.remove(name).is_none() {
                    return refuse(format!("Variable {name} does not exist in LDom {domain}"));
                }
            }
            Ok(())
        }
        _ => service::edit(model, edit),
    }
}

#[derive(Clone, Copy)]
enum Amount {
    Vcpus,
    Memory,
    Crypto,
}

fn amount(
    model: &mut Model,
    name: &str,
    active: &BTreeSet<GuestId>,
    how: How,
    by: u64,
    of: Amount,
) -> Result<(), Refused> {
    let primary = model.domain(name)?.is_primary();
    if !primary {
        stands_still(model, name, active)?;
    }
    let wish = &mut model.domain_mut(name)?.wish;
    let (own, what) = match of {
        Amount::Vcpus => (&mut wish.vcpus, "virtual CPUs"),
        Amount::Memory => (&mut wish.memory, "bytes of memory"),
        Amount::Crypto => (&mut wish.crypto, "crypto units"),
    };
    let new = match how {
        How::Add => own.checked_add(by),
        How::Set => Some(by),
        How::Remove => own.checked_sub(by),
    };
    let Some(new) = new.filter(|new| *new <= AMOUNT_MAX) else {
        return refuse(if how == How::Remove {
            format!("LDom {name} has only {own} {what}")
        } else {
            format!("{by} is too many {what} for LDom {name}")
        });
    };
    match of {
        Amount::Vcpus if primary => return primary::set_vcpus(model, name, new),
        Amount::Crypto if primary => return primary::set_crypto(model, name, new),
        Amount::Memory if primary => {
            return refuse(format!("Memory of LDom {name} is fixed at power-on"));
        }
        _ => *own = new,
    }
    bind_anew(model, name)
}

fn refuse<T>(why: String) -> Result<T, Refused> {
    Err(vec![why])
}

/// Does the domain run as a guest of these?
fn runs_and(
    model: &Model,
    name: &str,
    active: &BTreeSet<GuestId>,
    these: &BTreeSet<GuestId>,
) -> bool {
    let guest = model.domain(name).ok().filter(|domain| !domain.is_primary());
    let guest = guest.and_then(Domain::guest);
    guest.is_some_and(|guest| active.contains(&guest) && these.contains(&guest))
}

/// Resources of a domain that runs cannot change.
fn stands_still(model: &Model, name: &str, active: &BTreeSet<GuestId>) -> Result<(), Refused> {
    let domain = model.domain(name)?;
    if domain.is_primary() {
        return refuse(format!("Resources of LDom {name} are fixed at power-on"));
    }
    if domain.guest().is_some_and(|guest| active.contains(&guest)) {
        return Err(vec![
            format!("LDom {name} does not support dynamic reconfiguration"),
            format!("Stop LDom {name} first"),
        ]);
    }
    Ok(())
}

/// Gives a bound domain what it asks for now.
fn bind_anew(model: &mut Model, name: &str) -> Result<(), Refused> {
    if model.domain(name)?.given.is_some() {
        let given = place(model, name, None)?;
        model.domain_mut(name)?.given = Some(given);
    }
    Ok(())
}

/// Names: an alphanumeric character, then those and some punctuation.
pub(super) fn name_is_good(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    let mut rest = name.chars().skip(1);
    name.len() <= NAME_MAX
        && name.starts_with(alphanumeric)
        && rest.all(|c| alphanumeric(c) || "-_+#.:;~()".contains(c))
}

fn good_name(what: &str, name: &str) -> Result<(), Refused> {
    if name_is_good(name) { Ok(()) } else { refuse(format!("Invalid {what} name: {name}")) }
}

pub(super) fn variable_is_good(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '/';
    name.len() <= NAME_MAX
        && name.starts_with(first)
        && name.chars().all(|c| c.is_ascii_graphic() && c != '|')
}

fn variable_name(name: &str) -> Result<(), Refused> {
    if variable_is_good(name) { Ok(()) } else { refuse(format!("Invalid variable name: {name}")) }
}

/// Lower- or upper-case hexadecimal digits, 8-4-4-4-12.
pub(super) fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12])
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// Is this a wish that the commands here could have made?
pub(super) fn is_sane(wish: &Wish) -> bool {
    let good = |name: &str| name_is_good(name);
    let ids = |ids: Vec<u64>| {
        let apart: BTreeSet<u64> = ids.iter().copied().collect();
        apart.len() == ids.len() && ids.iter().all(|id| device::IDS.contains(id))
    };
    let net = |net: &super::domain::Net| {
        good(&net.name)
            && good(&net.switch)
            && device::MTU.contains(&net.mtu)
            && [net.pvid].iter().chain(&net.vids).all(|vid| device::VLANS.contains(vid))
            && net.mac[0] & 1 == 0
    };
    [wish.vcpus, wish.memory, wish.crypto].iter().all(|amount| *amount <= AMOUNT_MAX)
        && wish
            .disks
            .iter()
            .all(|disk| [&disk.name, &disk.volume, &disk.server].iter().all(|n| good(n)))
        && ids(wish.disks.iter().map(|disk| disk.id).collect())
        && wish.nets.iter().all(net)
        && ids(wish.nets.iter().map(|net| net.id).collect())
        && wish.variables.keys().all(|name| variable_is_good(name))
}

/// Are these properties that a virtual switch can have?
pub(super) fn switch_is_sane(id: u64, mtu: u64, vlans: [u64; 2], vids: &[u64]) -> bool {
    device::IDS.contains(&id)
        && device::MTU.contains(&mtu)
        && vlans.iter().chain(vids).all(|vlan| device::VLANS.contains(vlan))
}

/// A number from a property; an empty value is the default.
fn number(
    props: &Props,
    name: &str,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, Refused> {
    match props.get(name).map(String::as_str) {
        None | Some("") => Ok(default),
        Some(text) => match text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => refuse(format!("Invalid {name}: {text}")),
        },
    }
}

/// VLANs from `vid`.
fn vids(props: &Props) -> Result<Vec<u64>, Refused> {
    let text = props.get("vid").map_or("", String::as_str);
    let numbers = text.split(',').filter(|part| !part.is_empty());
    numbers
        .map(|part| match part.parse() {
            Ok(vid @ 1..=4094) => Ok(vid),
            _ => refuse(format!("Invalid vid: {part}")),
        })
        .collect()
}

/// A MAC address that an operator chose, or a fresh one.
fn mac(model: &mut Model, props: &Props, own: Option<[u8; 6]>) -> Result<[u8; 6], Refused> {
    let Some(text) = props.get("mac-addr").filter(|text| !text.is_empty()) else {
        return Ok(own.unwrap_or_else(|| model.pick_mac()));
    };
    let Some(mac) = super::identity::parse(text) else {
        return refuse(format!("Invalid MAC address: {text}"));
    };
    if own == Some(mac) {
        return Ok(mac);
    }
    if super::identity::is_automatic(mac) {
        return refuse(format!(
            "MAC address {text} is in the range that is assigned automatically"
        ));
    }
    if model.macs().contains(&mac) {
        return refuse(format!("MAC address {text} is already in use"));
    }
    Ok(mac)
}

/// The lowest number that is free.
fn lowest(mut taken: impl FnMut(u64) -> bool) -> u64 {
    let mut id = 0;
    while taken(id) {
        id += 1;
    }
    id
}

/// Domains that use a service or a volume, bound ones first.
fn users(model: &Model, uses: impl Fn(&Domain) -> bool) -> Vec<&Domain> {
    let mut users: Vec<&Domain> = model.domains.iter().filter(|domain| uses(domain)).collect();
    users.sort_by_key(|domain| domain.given.is_none());
    users
}
