//! The Logical Domains Manager: what the operator asked for, and what was given.
//!
//! [`Manager`] is a state machine. Its owner hands in what the hypervisor says
//! ([`Manager::event`]) and what operators type ([`Manager::command`]), and after
//! **each** of those calls takes what came of it: [`Manager::take_changes`] for the
//! services and the domain's crypto units, [`Manager::take_migrations`] and [`Manager::take_cancellations`] for the
//! migrations, [`Manager::take_answers`] for those under way; [`Manager::take_asks`] and
//! [`Manager::take_variables`] for domains' systems. Migrations use it through [`Port`].
//!
//! **Order.** Requests are carried out one after the other; what may be done while one
//! waits for a domain, says `agent.rs`. An operator is answered
//! when the work is done, a migration's operator when
//! [`Manager::migration_ended`] says so; while a domain moves, lists are answered
//! and changes are refused.
//!
//! **Errors.** Sentences for the operator, status 1, and nothing has changed.
//!
//! **Source.** Oracle VM Server for SPARC 2.1, administration guide and `ldm(1M)`.

mod agent;
mod change;
mod commit;
pub mod devices;
pub mod domain;
mod edit;
pub mod identity;
mod image;
pub(crate) mod live;
mod migrating;
pub mod model;
mod offer;
pub mod offered;
mod place;
mod port;
pub mod recall;
pub mod record;
mod run;
mod steps;
mod tell;
mod view;
mod work;

#[cfg(test)]
mod test;
#[cfg(test)]
pub(crate) mod testing;

pub use agent::Asking;
pub use change::Change;
pub use migrating::{Cancellation, Outgoing, TakeOver};
pub use port::Port;

use crate::cost::Cost;
use crate::factory::PRIMARY_ID;
use crate::hvctl::{Command, Event, Hvctl};
use crate::migrate::port::{ManagerReply, Tag};
use commit::InForce;
use identity::Entropy;
use migrating::Migrating;
use model::Model;
use run::{Meter, Run};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use sun4v::ds::Service;
use sun4v::ds::service::VariableResult;
use sun4v::hvctl::{Body, HvInfo, ResData, ResInfo, Status};
use sun4v::hvmd::{HvConfig, Inventory};
use sun4v::id::{GuestId, LdcId, StrandId};
use sun4v::md::Md;
use sun4v::native::{Ports, Reply};
use work::{Client, Job, Step};

/// What a manager is told about where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Host name of the control domain.
    pub hostname: String,
    /// The password that managers elsewhere must know.
    pub password: String,
    /// Files that commands may name, by path.
    pub files: BTreeMap<String, String>,
    /// Fresh addresses and UUIDs come of it.
    pub entropy: [u8; 32],
    /// What work costs.
    pub cost: Cost,
}

/// What a command to the hypervisor was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Where its MD lies.
    HvConfig,
    /// The step under way.
    Step,
    /// A figure.
    Stat(ResInfo, u32),
}

/// How far the manager knows its machine.
#[derive(Debug)]
enum Knows {
    /// The session does not stand yet.
    Nothing,
    /// All.
    Machine(Box<InForce>),
    /// It never will.
    Failed(String),
}

/// The manager.
#[derive(Debug)]
pub struct Manager {
    settings: Settings,
    inventory: Inventory,
    knows: Knows,
    /// What it remembers of a life before, until the hypervisor has confirmed it.
    recalled: Option<Box<Model>>,
    /// What the hypervisor may have taken instead: nobody heard its answer.
    doubt: Option<Box<Model>>,
    runs: BTreeMap<GuestId, Run>,
    meter: Meter,
    asked: BTreeMap<Command, Asked>,
    queue: VecDeque<Job>,
    /// What domains want done.
    errands: VecDeque<Job>,
    job: Option<Job>,
    /// A job that waits for a domain.
    aside: Option<Job>,
    migrating: Migrating,
    changes: Vec<Change>,
    /// The domain's crypto units are closed, or about to be.
    units_closed: bool,
    answers: Vec<(Tag, Result<ManagerReply, String>)>,
    /// What domains' systems can be asked for.
    agents: BTreeMap<GuestId, BTreeSet<Service>>,
    asks: Vec<Asking>,
    variables: Vec<(u64, VariableResult)>,
    /// Guests that run and whose descriptions have changed.
    outdated: BTreeSet<GuestId>,
    next_ticket: u64,
    next_tag: u64,
    /// For migrations.
    entropy: Entropy,
}

impl Manager {
    /// A manager that waits for its session with the hypervisor.
    #[must_use]
    pub fn new(inventory: Inventory, settings: Settings) -> Self {
        let entropy = Entropy::new(Entropy::new(settings.entropy).draw());
        Self {
            entropy,
            settings,
            inventory,
            knows: Knows::Nothing,
            recalled: None,
            doubt: None,
            runs: BTreeMap::new(),
            meter: Meter::default(),
            asked: BTreeMap::new(),
            queue: VecDeque::new(),
            errands: VecDeque::new(),
            job: None,
            aside: None,
            migrating: Migrating::default(),
            changes: Vec::new(),
            units_closed: false,
            answers: Vec::new(),
            agents: BTreeMap::new(),
            asks: Vec::new(),
            variables: Vec::new(),
            outdated: BTreeSet::new(),
            next_ticket: 0,
            next_tag: 0,
        }
    }

    /// What it was told at its beginning.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes what the hypervisor says; false when it is the answer to a command that
    /// somebody else sent.
    pub fn event(&mut self, ports: &mut dyn Ports, hv: &mut dyn Hvctl, event: &Event) -> bool {
        match event {
            Event::Up => {
                if self.machine().is_none() {
                    self.ask(ports, hv, sun4v::hvctl::Request::GetHvConfig, Asked::HvConfig);
                }
            }
            Event::Notice(reply) => self.notice(ports, hv, reply),
            Event::Reply(command, reply) => {
                let Some(asked) = self.asked.remove(command) else { return false };
                match asked {
                    Asked::HvConfig => self.learn(ports, hv, reply),
                    Asked::Stat(info, id) => self.reported(*command, info, id, reply),
                    Asked::Step => self.answered(ports, hv, reply),
                }
            }
        }
        self.go_on(ports, hv);
        true
    }

    /// Carries out what an operator typed and answers with [`Ports::reply`] `id`,
    /// perhaps later.
    pub fn command(&mut self, ports: &mut dyn Ports, hv: &mut dyn Hvctl, id: u64, line: &str) {
        ports.charge(self.settings.cost.command);
        match Job::of_operator(id, line) {
            Ok(job) => self.queue.push_back(job),
            Err(reply) => ports.reply(id, reply),
        }
        self.go_on(ports, hv);
    }

    /// Changes that the services have yet to make, in order.
    #[must_use]
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Answers to what was asked through [`Port`].
    #[must_use]
    pub fn take_answers(&mut self) -> Vec<(Tag, Result<ManagerReply, String>)> {
        std::mem::take(&mut self.answers)
    }

    /// The control domain's endpoints of the services that a guest uses.
    #[must_use]
    pub fn service_channels(&self, guest: GuestId) -> Vec<LdcId> {
        let domain = self.model().and_then(|model| model.by_guest(guest));
        let links = domain.and_then(|domain| domain.given.as_ref()).map(|given| &given.links);
        links.into_iter().flatten().map(|link| link.service).collect()
    }

    /// The same, of the domain with this name.
    #[must_use]
    pub fn channels_of(&self, domain: &str) -> Vec<LdcId> {
        let domain = self.model().and_then(|model| model.domain(domain).ok());
        let links = domain.and_then(|domain| domain.given.as_ref()).map(|given| &given.links);
        links.into_iter().flatten().map(|link| link.service).collect()
    }

    /// Name, UUID and epoch of every domain.
    pub fn epochs(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let domains = self.model().into_iter().flat_map(|model| &model.domains);
        domains.map(|domain| (domain.name.as_str(), domain.uuid.as_str(), domain.epoch))
    }

    fn ask(
        &mut self,
        ports: &mut dyn Ports,
        hv: &mut dyn Hvctl,
        request: sun4v::hvctl::Request,
        asked: Asked,
    ) -> Command {
        let command = hv.request(ports, request);
        self.asked.insert(command, asked);
        command
    }

    /// Asks for a figure.
    fn look(
        &mut self,
        ports: &mut dyn Ports,
        hv: &mut dyn Hvctl,
        info: ResInfo,
        id: u32,
    ) -> Command {
        let (res, item) = info.codes();
        let request = sun4v::hvctl::Request::GetResStat { res, id, info: item };
        self.ask(ports, hv, request, Asked::Stat(info, id))
    }

    /// Reads the configuration that the machine has.
    fn learn(&mut self, ports: &mut dyn Ports, hv: &mut dyn Hvctl, reply: &sun4v::hvctl::Reply) {
        let learnt = match reply.body {
            Body::HvInfo(info) if reply.status == Status::Ok => self.read(ports, hv, info),
            _ => Err(format!(
                "the hypervisor does not say where its configuration is ({})",
                reply.status
            )),
        };
        let again = learnt.is_ok() && self.recalled.take().is_some();
        self.doubt = None;
        self.knows = match learnt {
            Ok(machine) if again => {
                // How they are now, before anybody is answered.
                let bound: BTreeSet<GuestId> =
                    machine.model.bound().map(|(_, given)| given.guest).collect();
                self.runs.retain(|guest, _| bound.contains(guest));
                for guest in bound {
                    self.runs.entry(guest).or_insert_with(Run::stopped);
                }
                let guests = machine.model.bound().map(|(_, given)| given.guest);
                let guests = guests.filter(|guest| *guest != PRIMARY_ID);
                let figures = guests.flat_map(work::state_of).collect();
                self.queue.push_front(Job::new(Client::Nobody, [Step::Look(figures)]));
                Knows::Machine(Box::new(machine))
            }
            Ok(machine) => {
                let mut run = Run::stopped();
                run.state = sun4v::hvctl::GuestState::Normal;
                run.since = ports.now();
                self.runs.insert(PRIMARY_ID, run);
                self.meter.look(ports.now(), ports.busy());
                Knows::Machine(Box::new(machine))
            }
            Err(why) => {
                ports.log(format!("ldmd: {why}"));
                Knows::Failed(why)
            }
        };
    }

    fn read(
        &self,
        ports: &mut dyn Ports,
        hv: &mut dyn Hvctl,
        info: HvInfo,
    ) -> Result<InForce, String> {
        let (_, md) = read_md(ports, hv, info.md)?;
        let config = HvConfig::from_md(&md).map_err(|error| format!("hypervisor MD: {error}"))?;
        if let Some(model) = &self.recalled {
            let known = confirmed((**model).clone(), config.clone(), info.md, ports, hv);
            let doubt = self.doubt.as_ref().filter(|_| known.is_err());
            return match doubt {
                Some(model) => confirmed((**model).clone(), config, info.md, ports, hv),
                None => known,
            };
        }
        let primary = config.guests.iter().find(|guest| guest.id == PRIMARY_ID);
        let primary = primary.ok_or("the hypervisor has no control domain")?.md_pa;
        let (bytes, md) = read_md(ports, hv, primary)?;
        let entropy = Entropy::new(self.settings.entropy);
        let model = Model::new(self.inventory.clone(), config.clone(), &md, entropy)?;
        let mds = [(PRIMARY_ID, (primary, bytes))].into();
        Ok(InForce { model, config, hvmd: info.md, mds })
    }

    fn machine(&self) -> Option<&InForce> {
        if let Knows::Machine(machine) = &self.knows { Some(machine) } else { None }
    }

    fn model(&self) -> Option<&Model> {
        self.machine().map(|machine| &machine.model).or(self.recalled.as_deref())
    }

    /// What services that begin anew are to be told.
    #[must_use]
    pub fn all_changes(&self) -> Vec<Change> {
        self.model().map(tell::all).unwrap_or_default()
    }

    /// Does it know its machine, and that the hypervisor has what it remembers?
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.knows, Knows::Machine(_))
    }

    /// Guests that run.
    pub fn active(&self) -> BTreeSet<GuestId> {
        let runs = self.runs.iter().filter(|(_, run)| run.is_active());
        runs.map(|(&guest, _)| guest).collect()
    }

    /// The hypervisor says something unasked. It says no more of the kind until that
    /// was read, so it is read.
    fn notice(&mut self, ports: &mut dyn Ports, hv: &mut dyn Hvctl, reply: &sun4v::hvctl::Reply) {
        let Body::ResStat { res, id, info, ref data, .. } = reply.body else { return };
        let Some(info) = ResInfo::from_codes(res, info) else { return };
        if let Some(data) = ResData::parse(info, data) {
            self.note(info, id, &data);
        }
        self.look(ports, hv, info, id);
    }

    /// An answer to [`Manager::look`].
    fn reported(&mut self, command: Command, info: ResInfo, id: u32, reply: &sun4v::hvctl::Reply) {
        if let (Status::Ok, Body::ResStat { data, .. }) = (reply.status, &reply.body)
            && let Some(data) = ResData::parse(info, data)
        {
            self.note(info, id, &data);
        }
        if let Some(job) = &mut self.job {
            job.looked(command);
        }
    }

    fn note(&mut self, info: ResInfo, id: u32, data: &ResData) {
        let Ok(number) = u8::try_from(id) else { return };
        let Knows::Machine(machine) = &self.knows else { return };
        let model = &machine.model;
        let (guest, strand) = if info == ResInfo::VcpuState {
            let strand = StrandId(number);
            let owner = model.owner_of_strand(strand).and_then(domain::Domain::guest);
            (owner.unwrap_or(PRIMARY_ID), Some(strand))
        } else {
            (GuestId(number), None)
        };
        let vcpus = model.by_guest(guest).and_then(|domain| domain.given.as_ref());
        let vcpus = vcpus.map_or(0, |given| given.strands.len());
        if guest != PRIMARY_ID
            && let Some(run) = self.runs.get_mut(&guest)
        {
            run.take(data, strand, vcpus);
        }
    }
}

/// What a manager remembers, with what the hypervisor knows: they must agree.
fn confirmed(
    mut model: Model,
    config: HvConfig,
    hvmd: sun4v::addr::Pa,
    ports: &mut dyn Ports,
    hv: &mut dyn Hvctl,
) -> Result<InForce, String> {
    model.base = model::base(&config);
    let places = config.guests.iter().map(|guest| (guest.id, guest.md_pa)).collect();
    // The same in the order in which it is written here.
    let own = model.configuration(&places);
    if model::sorted(own.clone()) != model::sorted(config) {
        return Err("the hypervisor has other domains than are remembered here".to_owned());
    }
    let mut mds = commit::Mds::new();
    for (guest, pa) in places {
        mds.insert(guest, (pa, read_md(ports, hv, pa)?.0));
    }
    Ok(InForce { model, config: own, hvmd, mds })
}

/// A machine description in hypervisor memory: its length is in its header.
fn read_md(
    ports: &mut dyn Ports,
    hv: &mut dyn Hvctl,
    pa: sun4v::addr::Pa,
) -> Result<(Vec<u8>, Md), String> {
    let error = |what| move |error| format!("{what} at {pa}: {error}");
    let header = hv
        .read(ports, pa, sun4v::md::ELEMENT_BYTES as u64)
        .map_err(error("the machine description"))?;
    let blocks = header.chunks_exact(4).skip(1);
    let bytes: u64 =
        blocks.map(|block| block.iter().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte))).sum();
    let bytes = bytes + sun4v::md::ELEMENT_BYTES as u64;
    if bytes > 16 << 20 {
        return Err(format!("the machine description at {pa} has {bytes} bytes"));
    }
    let bytes = hv.read(ports, pa, bytes).map_err(error("the machine description"))?;
    match Md::parse(&bytes) {
        Ok(md) => Ok((bytes, md)),
        Err(why) => Err(format!("the machine description at {pa}: {why}")),
    }
}

/// An answer of lines on standard error.
fn failed(lines: &[String]) -> Reply {
    let stderr = lines.iter().map(|line| format!("{line}\n")).collect();
    Reply { stdout: String::new(), stderr, status: 1 }
}
