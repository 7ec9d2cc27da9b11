//! What one manager tells another about a domain that moves, and what the other
//! makes of it.
//!
//! **Shape.** [`OfferV1`], a record of kind `ldm/offer`: everything that must be as
//! it was (identity, constraints, endpoints, memory) and what is compared (CPU type
//! and frequency). It says nothing of where the domain was.
//!
//! **Errors.** What stands against taking a domain in, all at once. A record that
//! arrives is not believed: every rule that the manager keeps is checked again.

use super::domain::{Device, Disk, Domain, FailurePolicy, Link, Wish};
use super::model::{LDC_MAX, Model, Refused};
use super::place::{self, Exact, place};
use super::{Manager, Version, edit, ldmd};
use crate::migrate::journal::EPOCH_MAX;
use crate::migrate::pages::Stretch;
use crate::migrate::port::{Kind, Offer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use sun4v::addr::RealRange;
use sun4v::hvctl::GuestState;
use sun4v::id::{GuestId, T2_STRANDS};
use sun4v::record::{Schema, decode, encode};
use sun4v::time::SimTime;
use sun4v::vio::vdisk::Errno;

/// A domain as its manager describes it to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferV1 {
    /// Major and minor of the manager.
    manager: (u16, u16),
    /// CPU type of the source.
    cpu: String,
    /// `%stick` frequency of the source.
    stick_hz: u64,
    uuid: String,
    epoch: u64,
    mac: [u8; 6],
    hostid: u32,
    failure_policy: FailurePolicy,
    masters: Vec<String>,
    wish: Wish,
    /// Its memory, with the physical addresses at the source for messages.
    memory: Vec<RealRange>,
    /// Its endpoints.
    links: Vec<Link>,
    /// When it was started.
    started: SimTime,
}

impl Schema for OfferV1 {
    const KIND: &'static str = "ldm/offer";
    const VERSION: u32 = 1;
}

impl OfferV1 {
    /// When it was started, by the clock of the lab.
    pub(super) fn started(&self) -> SimTime {
        self.started
    }
}

/// What a domain is to be called here.
pub(super) fn name(offer: &Offer) -> &str {
    offer.new_name.as_deref().unwrap_or(&offer.name)
}

impl Manager {
    /// Describes a domain that is to leave; what else stands against that,
    /// [`Manager::leaving`] says.
    pub(super) fn offer(&self, name: &str) -> Result<(Offer, Option<GuestId>), String> {
        let model = self.model().ok_or("the manager does not know its machine yet")?;
        let domain = model.domain(name).map_err(|why| why.join("; "))?;
        if domain.is_primary() {
            return Err(format!("LDom {name} is the control domain and cannot be migrated"));
        }
        if domain.shell || self.migrating.status(name).is_some() {
            return Err(format!("LDom {name} is already being migrated"));
        }
        let run = domain.guest().and_then(|guest| self.runs.get(&guest));
        let kind = match (domain.given.as_ref(), run.map(|run| run.state)) {
            (None, _) => Kind::Inactive,
            (_, Some(GuestState::Stopped)) => Kind::Bound,
            (_, Some(GuestState::Normal)) => Kind::Active,
            _ => return Err(format!("LDom {name} is starting or stopping")),
        };
        let given = domain.given.as_ref().filter(|_| kind == Kind::Active);
        let Version(major, minor) = self.settings.ldmd.version;
        let record = OfferV1 {
            manager: (major, minor),
            cpu: model.inventory.cpu.clone(),
            stick_hz: model.inventory.stick_hz,
            uuid: domain.uuid.clone(),
            epoch: domain.epoch,
            mac: domain.mac,
            hostid: domain.hostid,
            failure_policy: domain.failure_policy,
            masters: domain.masters.clone(),
            wish: domain.wish.clone(),
            memory: given.map_or(Vec::new(), |given| given.memory.clone()),
            links: given.map_or(Vec::new(), |given| given.links.clone()),
            started: run.map_or(SimTime::ZERO, |run| run.since),
        };
        let mut description = Vec::new();
        encode(&record, &mut description);
        let stretches = record.memory.iter();
        let memory = stretches.map(|own| Stretch { ra: own.ra, bytes: own.size }).collect();
        let (name, new_name) = (domain.name.clone(), None);
        let guest = given.map(|given| given.guest);
        let (uuid, epoch) = (record.uuid, record.epoch);
        Ok((Offer { name, new_name, uuid, epoch, kind, memory, description }, guest))
    }

    /// Everything that stands against a domain's leaving, if it can be described at all.
    pub(super) fn leaving(&self, name: &str) -> Vec<String> {
        let mut refused = ldmd::refusals(&self.settings.ldmd, false);
        let domain = self.model().and_then(|model| model.domain(name).ok());
        let Some(given) = domain.and_then(|domain| domain.given.as_ref()) else { return refused };
        let Some(run) = self.runs.get(&given.guest).filter(|run| run.is_active()) else {
            return refused;
        };
        if !given.crypto.is_empty() {
            refused.push(format!(
                "LDom {name} has crypto units and does not support removing them dynamically"
            ));
        }
        if !run.is_normal() && given.strands.len() > 1 {
            refused.push(format!(
                "LDom {name} is not running an operating system that supports migration"
            ));
        }
        refused
    }

    /// Begins to look whether the volumes that a domain needs can be opened.
    pub(super) fn look_at_volumes(&mut self, offer: &Offer) {
        self.looks.clear();
        self.new_looks.clear();
        if offer.kind == Kind::Inactive {
            return;
        }
        let Ok(record) = decode::<OfferV1>(&mut offer.description.as_slice()) else { return };
        let Some(model) = self.model() else { return };
        let disks = record.wish.disks.iter();
        let volumes = disks.filter_map(|disk| model.services.volume(&disk.volume, &disk.server));
        let places: BTreeSet<String> = volumes.map(|volume| volume.backend.clone()).collect();
        self.looks = places.iter().map(|place| (place.clone(), None)).collect();
        self.new_looks = places.into_iter().collect();
    }

    /// Places of volumes to be opened, to see whether they can be.
    #[must_use]
    pub fn take_looks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.new_looks)
    }

    /// What came of opening a volume.
    pub fn looked(&mut self, place: &str, result: Result<(), Errno>) {
        if let Some(look) = self.looks.get_mut(place) {
            *look = Some(result);
        }
    }

    /// Volumes that a domain needs and that cannot be opened.
    fn closed_volumes(&self, model: &Model, wish: &Wish) -> Refused {
        let closed = |disk: &Disk| {
            let place = &model.services.volume(&disk.volume, &disk.server)?.backend;
            let why = match self.looks.get(place)? {
                Some(Ok(())) => return None,
                Some(Err(error)) => format!("E{error:?}").to_uppercase(),
                None => "it does not answer".to_owned(),
            };
            Some(format!(
                "Virtual disk {}: volume {}@{}: {place} cannot be opened: {why}",
                disk.name, disk.volume, disk.server
            ))
        };
        wish.disks.iter().filter_map(closed).collect()
    }

    /// Everything that stands against taking a domain in.
    pub(super) fn check(&self, offer: &Offer) -> Vec<String> {
        let mut refused = ldmd::refusals(&self.settings.ldmd, true);
        let mut shells = self.model().into_iter().flat_map(|model| &model.domains);
        let shell = shells.find(|domain| domain.shell).map(|domain| domain.name.as_str());
        let other = self.migrating.incoming().filter(|other| *other != name(offer)).or(shell);
        if let Some(other) = other {
            refused.push(format!("Another domain, LDom {other}, is being migrated to this system"));
        }
        refused.extend(self.shell(offer).err().unwrap_or_default());
        let record = decode::<OfferV1>(&mut offer.description.as_slice());
        if let (Some(model), Ok(record)) = (self.model(), record) {
            refused.extend(self.closed_volumes(model, &record.wish));
        }
        refused
    }

    /// The model with a shell for the domain.
    pub(super) fn shell(&self, offer: &Offer) -> Result<(Model, OfferV1), Refused> {
        let Some(model) = self.model() else {
            return Err(vec!["The manager of the target does not know its machine yet".into()]);
        };
        let record: OfferV1 = decode(&mut offer.description.as_slice())
            .map_err(|error| vec![format!("The description of the domain is refused: {error}")])?;
        is_sane(offer, &record)?;
        let mut refused = strangers(model, offer, &record, self.settings.ldmd.version);
        let name = name(offer);
        let mut next = model.clone();
        // Another of this name keeps its place: all is reported.
        next.remove(name);
        let mut wish = record.wish.clone();
        // Console bindings are not carried.
        wish.console = Default::default();
        let masters = record.masters.iter().filter(|master| model.domain(master).is_ok());
        next.domains.push(Domain {
            name: name.to_owned(),
            uuid: record.uuid.clone(),
            mac: record.mac,
            hostid: record.hostid,
            failure_policy: record.failure_policy,
            masters: masters.cloned().collect(),
            wish,
            given: None,
            shell: true,
            epoch: record.epoch,
        });
        if offer.kind != Kind::Inactive {
            let exact = Exact { memory: record.memory.clone(), links: record.links.clone() };
            match place(&next, name, Some(&exact)) {
                Ok(given) => next.domain_mut(name)?.given = Some(given),
                Err(why) => refused.extend(why),
            }
        }
        if refused.is_empty() { Ok((next, record)) } else { Err(refused) }
    }
}

/// What another machine's domain must not have in common with those here, and must.
fn strangers(model: &Model, offer: &Offer, record: &OfferV1, own: Version) -> Refused {
    let name = name(offer);
    let mut refused = Refused::new();
    if model.domain(name).is_ok() {
        refused.push(format!("LDom {name} already exists on the target system"));
    }
    let theirs = Version(record.manager.0, record.manager.1);
    if !own.meets(theirs) {
        refused.push(format!(
            "The manager of the source, version {theirs}, is not compatible with that of the \
             target, version {own}"
        ));
    }
    if offer.kind == Kind::Active {
        let inventory = &model.inventory;
        if record.cpu != inventory.cpu {
            refused.push(format!(
                "The CPU type of the source, {}, is not that of the target, {}",
                record.cpu, inventory.cpu
            ));
        }
        if record.stick_hz != inventory.stick_hz {
            refused.push(format!(
                "The STICK frequency of the source, {} Hz, is not that of the target, {} Hz",
                record.stick_hz, inventory.stick_hz
            ));
        }
    }
    let macs = model.macs();
    for mac in [record.mac].into_iter().chain(record.wish.nets.iter().map(|net| net.mac)) {
        if macs.contains(&mac) {
            let mac = super::identity::show(mac);
            refused.push(format!("MAC address {mac} is already in use on the target system"));
        }
    }
    if model.domains.iter().any(|domain| domain.uuid == record.uuid) {
        refused.push(format!("UUID {} is already in use on the target system", record.uuid));
    }
    if let Some(own) = model.domains.iter().find(|domain| domain.hostid == record.hostid) {
        refused.push(format!("Host ID {:#010x} is that of LDom {}", own.hostid, own.name));
    }
    refused
}

/// Is this what a manager can have said?
fn is_sane(offer: &Offer, record: &OfferV1) -> Result<(), Refused> {
    let wish = &record.wish;
    let stretches = record.memory.iter().map(|own| Stretch { ra: own.ra, bytes: own.size });
    let devices: BTreeSet<&Device> = record.links.iter().map(|link| &link.device).collect();
    let channels: BTreeSet<_> = record.links.iter().map(|link| link.guest).collect();
    let all = place::devices(wish);
    let needed: BTreeSet<&Device> = all.iter().collect();
    let active = offer.kind == Kind::Active;
    let bytes = record.memory.iter().try_fold(0_u64, |sum, own| sum.checked_add(own.size));
    let rules = [
        ("its name", edit::name_is_good(name(offer)) && name(offer) != crate::factory::PRIMARY),
        ("its UUID", edit::is_uuid(&record.uuid) && record.uuid == offer.uuid),
        ("its epoch", record.epoch == offer.epoch && (1..=EPOCH_MAX).contains(&record.epoch)),
        ("its MAC addresses", all_apart(wish.nets.iter().map(|net| net.mac).chain([record.mac]))),
        ("its constraints", edit::is_sane(wish)),
        ("virtual CPUs", !active || (1..=T2_STRANDS as u64).contains(&wish.vcpus)),
        ("its memory", stretches.eq(offer.memory.iter().copied())),
        ("the layout of its memory", place::is_layout(&record.memory)),
        ("the size of its memory", !active || bytes == Some(place::granted(wish.memory))),
        ("its devices", needed.len() == all.len()),
        ("its channels", !active || (devices == needed && channels.len() == record.links.len())),
        ("channel numbers", channels.iter().all(|channel| channel.0 < LDC_MAX)),
        ("presence of memory", record.memory.is_empty() != active),
    ];
    match rules.iter().find(|(_, kept)| !kept) {
        None => Ok(()),
        Some((what, _)) => {
            Err(vec![format!("The description of the domain is refused: {what} cannot be")])
        }
    }
}

fn all_apart<T: Ord>(all: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    let mut all = all;
    all.all(|one| seen.insert(one))
}
