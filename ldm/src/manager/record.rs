//! What a manager remembers when its domain's software begins again: as plain values.
//!
//! **Shape.** [`ManagerV1`], a part of the control domain's record. It says what was
//! asked for and what was given, and how guests were when they were last asked. What
//! the hypervisor knows better (its configuration, guests' descriptions, where they
//! lie) is not in it: that is read again. Saving takes everything apart by name, so
//! that a new field cannot be forgotten; `recall.rs` is the way back.
//!
//! **Errors.** [`Manager::save`] refuses while something is under way that would be
//! lost, in words for a person.

use super::domain::{Console, Domain, FailurePolicy, Given, Link, Wish};
use super::migrating::Migrating;
use super::model::Model;
use super::offered::{Concentrator, Server, Services, Switch, Volume};
use super::run::{Meter, Run};
use super::work::Job;
use super::{Asked, Knows, Manager};
use serde::{Deserialize, Serialize};
use sun4v::addr::RealRange;
use sun4v::id::{CoreId, GuestId, StrandId};
use sun4v::time::SimTime;

/// A migration stands against it.
pub const MIGRATION: &str = "a migration is in progress";
/// Work for an operator stands against it.
const COMMAND: &str = "an ldm command is in progress";
/// An answer of the hypervisor stands against it.
pub const REQUEST: &str = "a request to the hypervisor is under way";

/// A manager, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerV1 {
    /// Numbers drawn for migrations.
    pub drawn: u64,
    /// Domains and services.
    pub model: ModelV1,
    /// What they are instead, if the hypervisor has taken what it was being given.
    pub doubt: Option<ModelV1>,
    /// How bound guests were, by guest.
    pub runs: Vec<RunV1>,
    /// The last look at the control domain's own strands.
    pub meter: MeterV1,
}

/// Domains and services of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelV1 {
    /// In the order of their creation; the control domain is first.
    pub domains: Vec<DomainV1>,
    /// Virtual disk servers, in the order of their creation.
    pub servers: Vec<ServerV1>,
    /// Virtual switches, likewise.
    pub switches: Vec<SwitchV1>,
    /// Console concentrators, likewise.
    pub concentrators: Vec<ConcentratorV1>,
    /// Numbers drawn for addresses and UUIDs.
    pub drawn: u64,
    /// Addresses that came back, oldest first.
    pub freed: Vec<[u8; 6]>,
}

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainV1 {
    /// Its name.
    pub name: String,
    /// Lower-case 8-4-4-4-12.
    pub uuid: String,
    /// Its own MAC address.
    pub mac: [u8; 6],
    /// Host id.
    pub hostid: u32,
    /// What happens to its slaves when it fails.
    pub failure_policy: FailurePolicy,
    /// Domains that it depends on.
    pub masters: Vec<String>,
    /// What was asked for.
    pub wish: Wish,
    /// What was given.
    pub given: Option<GivenV1>,
    /// The target of a migration that is under way.
    pub shell: bool,
    /// How often it has changed hands, from 1.
    pub epoch: u64,
}

/// Bindings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenV1 {
    /// The guest.
    pub guest: GuestId,
    /// Strands, in the order of virtual CPUs.
    pub strands: Vec<StrandId>,
    /// Memory, ascending by real address.
    pub memory: Vec<RealRange>,
    /// Cores whose crypto units it has, ascending.
    pub crypto: Vec<CoreId>,
    /// Channels to the services, in the order of its devices.
    pub links: Vec<Link>,
    /// Its console.
    pub console: Option<ConsoleV1>,
}

/// A console that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleV1 {
    /// Its group.
    pub group: String,
    /// Its concentrator.
    pub service: String,
    /// The group's TCP port.
    pub port: u16,
}

/// A virtual disk server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerV1 {
    /// Its name.
    pub name: String,
    /// Its volumes.
    pub volumes: Vec<VolumeV1>,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeV1 {
    /// Its name.
    pub name: String,
    /// File or device.
    pub backend: String,
    /// By name, in the order of [`Volume::OPTIONS`].
    pub options: Vec<String>,
    /// Its multipath group, or nothing.
    pub mpgroup: String,
}

/// A virtual switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchV1 {
    /// Its name.
    pub name: String,
    /// Its number.
    pub id: u64,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// The physical interface, or nothing.
    pub net_dev: String,
    /// The VLAN of frames without one.
    pub default_vlan: u64,
    /// The VLAN of its own untagged frames.
    pub pvid: u64,
    /// VLANs of its own tagged frames.
    pub vids: Vec<u64>,
    /// Longest IP packet.
    pub mtu: u64,
}

/// A console concentrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcentratorV1 {
    /// Its name.
    pub name: String,
    /// First and last TCP port.
    pub ports: (u16, u16),
}

/// A bound guest as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunV1 {
    /// Which.
    pub guest: GuestId,
    /// Its state, as the hypervisor numbers it.
    pub state: u64,
    /// What it says of itself: 1 normal, 2 transition; and a text.
    pub soft: Option<(u8, String)>,
    /// When it was started, in picoseconds of the lab's time.
    pub since: u64,
    /// Busy tenths of a percent, of all its virtual CPUs.
    pub util: Option<u64>,
    /// The same by strand, ascending.
    pub strands: Vec<(StrandId, u64)>,
}

/// A look at the control domain's strands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterV1 {
    /// When it was, in picoseconds.
    pub at: u64,
    /// How long each virtual CPU had been busy, in picoseconds.
    pub busy: Vec<u64>,
    /// Busy tenths of a percent since the look before, by virtual CPU.
    pub vcpus: Vec<u64>,
}

impl Manager {
    /// What it must remember.
    ///
    /// # Errors
    /// Why it cannot be stopped now.
    pub fn save(&self) -> Result<ManagerV1, String> {
        self.is_idle()?;
        self.keep()
    }

    /// What is left of it when its domain is reset in the middle of things: work that was
    /// under way is lost, and its operators are not answered.
    ///
    /// # Errors
    /// It knew nothing.
    pub fn keep(&self) -> Result<ManagerV1, String> {
        let model = match (&self.knows, &self.recalled) {
            (Knows::Machine(machine), _) => &machine.model,
            (Knows::Nothing, Some(model)) => model,
            (Knows::Nothing, None) => {
                return Err("the manager does not know its machine yet".to_owned());
            }
            (Knows::Failed(why), _) => return Err(format!("the manager does not run: {why}")),
        };
        let jobs = self.job.iter().chain(&self.aside);
        let doubt = jobs.filter_map(Job::in_doubt).next().or(self.doubt.as_deref());
        let runs = self.runs.iter().map(|(&guest, run)| save_run(guest, run)).collect();
        Ok(ManagerV1 {
            drawn: self.entropy.drawn(),
            model: save_model(model),
            doubt: doubt.map(save_model),
            runs,
            meter: save_meter(&self.meter),
        })
    }

    /// Refuses while something is under way.
    fn is_idle(&self) -> Result<(), String> {
        let Self {
            // Told again when it begins anew.
            settings: _,
            inventory: _,
            // Of migrations under way; there is none.
            looks: _,
            new_looks: _,
            knows: _,
            recalled: _,
            doubt: _,
            runs: _,
            meter: _,
            asked,
            queue,
            errands,
            job,
            aside,
            migrating,
            changes,
            units_closed,
            answers,
            // Systems register again.
            agents: _,
            asks,
            variables,
            outdated,
            // Name what is under way; nothing is.
            next_ticket: _,
            next_tag: _,
            entropy: _,
        } = self;
        let mut jobs = job.iter().chain(aside).chain(errands).chain(queue);
        if !migrating.is_empty() || jobs.clone().any(Job::is_for_migration) {
            return Err(MIGRATION.to_owned());
        }
        if !answers.is_empty() {
            return Err(MIGRATION.to_owned());
        }
        if jobs.clone().any(Job::is_own) {
            return Err("the manager has only just begun".to_owned());
        }
        if jobs.next().is_some() || !changes.is_empty() || *units_closed {
            return Err(COMMAND.to_owned());
        }
        if !asks.is_empty() || !variables.is_empty() || !outdated.is_empty() {
            return Err(COMMAND.to_owned());
        }
        // A figure that nobody waits for is asked for again.
        if asked.values().any(|asked| !matches!(asked, Asked::Stat(..))) {
            return Err(REQUEST.to_owned());
        }
        let shells = self.model().into_iter().flat_map(|model| &model.domains);
        if shells.into_iter().any(|domain| domain.shell) {
            return Err(MIGRATION.to_owned());
        }
        Ok(())
    }
}

impl Migrating {
    /// Does nothing move?
    fn is_empty(&self) -> bool {
        let Self { outgoing, new, cancellations, takeovers, status } = self;
        let asked = cancellations.is_empty() && takeovers.is_empty();
        outgoing.is_empty() && new.is_empty() && asked && status.is_empty()
    }
}

fn save_model(model: &Model) -> ModelV1 {
    let Model {
        // The machine's.
        inventory: _,
        slots: _,
        // Read from the hypervisor.
        base: _,
        domains,
        services: Services { servers, switches, concentrators },
        entropy,
        freed,
    } = model;
    ModelV1 {
        domains: domains.iter().map(save_domain).collect(),
        servers: servers.iter().map(save_server).collect(),
        switches: switches.iter().map(save_switch).collect(),
        concentrators: concentrators.iter().map(save_concentrator).collect(),
        drawn: entropy.drawn(),
        freed: freed.all().to_vec(),
    }
}

fn save_domain(domain: &Domain) -> DomainV1 {
    let Domain { name, uuid, mac, hostid, failure_policy, masters, wish, given, shell, epoch } =
        domain;
    DomainV1 {
        name: name.clone(),
        uuid: uuid.clone(),
        mac: *mac,
        hostid: *hostid,
        failure_policy: *failure_policy,
        masters: masters.clone(),
        wish: wish.clone(),
        given: given.as_ref().map(save_given),
        shell: *shell,
        epoch: *epoch,
    }
}

fn save_given(given: &Given) -> GivenV1 {
    let Given { guest, strands, memory, crypto, links, console } = given;
    GivenV1 {
        guest: *guest,
        strands: strands.clone(),
        memory: memory.clone(),
        crypto: crypto.clone(),
        links: links.clone(),
        console: console.as_ref().map(|console| {
            let Console { group, service, port } = console;
            ConsoleV1 { group: group.clone(), service: service.clone(), port: *port }
        }),
    }
}

fn save_server(server: &Server) -> ServerV1 {
    let Server { name, volumes } = server;
    let volumes = volumes.iter().map(|volume| {
        let Volume { name, backend, options, mpgroup } = volume;
        VolumeV1 {
            name: name.clone(),
            backend: backend.clone(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            mpgroup: mpgroup.clone(),
        }
    });
    ServerV1 { name: name.clone(), volumes: volumes.collect() }
}

fn save_switch(switch: &Switch) -> SwitchV1 {
    let Switch { name, id, mac, net_dev, default_vlan, pvid, vids, mtu } = switch;
    SwitchV1 {
        name: name.clone(),
        id: *id,
        mac: *mac,
        net_dev: net_dev.clone(),
        default_vlan: *default_vlan,
        pvid: *pvid,
        vids: vids.clone(),
        mtu: *mtu,
    }
}

fn save_concentrator(concentrator: &Concentrator) -> ConcentratorV1 {
    let Concentrator { name, ports } = concentrator;
    ConcentratorV1 { name: name.clone(), ports: *ports }
}

fn save_run(guest: GuestId, run: &Run) -> RunV1 {
    let Run { state, soft, since, util, strands } = run;
    RunV1 {
        guest,
        state: state.code(),
        soft: soft.as_ref().map(|(state, text)| (state.code(), text.clone())),
        since: since.0,
        util: *util,
        strands: strands.iter().map(|(&strand, &part)| (strand, part)).collect(),
    }
}

fn save_meter(meter: &Meter) -> MeterV1 {
    let Meter { at: SimTime(at), busy, vcpus } = meter;
    MeterV1 { at: *at, busy: busy.iter().map(|busy| busy.0).collect(), vcpus: vcpus.clone() }
}

#[cfg(test)]
mod test;
