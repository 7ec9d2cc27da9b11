//! Requests, one after the other.
//!
//! A [`Job`] is one request as steps. A step changes the model, asks the hypervisor,
//! or says something; those that ask wait. A step that fails ends its job.

use super::commit::{InForce, verdict};
use super::live::Heard;
use super::model::{Model, Refused};
use super::run::Run;
use super::{Asked, Change, Knows, Manager, Version, edit, failed, migrating, offer, place, tell};
use crate::cli::verb::{Edit, List, Migrate, Verb};
use crate::cli::{args, output, synopsis, words};
use crate::factory::PRIMARY_ID;
use crate::hvctl::{Command, Hvctl};
use crate::migrate::port::{Kind, ManagerReply, Offer, Tag};
use crate::service::ds::{Answer, Ask};
use std::collections::{BTreeSet, VecDeque};
use sun4v::ds::service::{VariableRequest, VariableResult};
use sun4v::hvctl::{Body, Detail, GuestState, Request, ResInfo, Status};
use sun4v::id::GuestId;
use sun4v::native::{Ports, Reply};
use sun4v::time::SimTime;

/// Who waits for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// An operator.
    Operator(u64),
    /// A migration.
    Migration(Tag),
    /// This guest, under a token.
    Domain(u64, GuestId),
    /// Nobody: the manager itself wants to know.
    Nobody,
}

/// Part of a request.
#[derive(Debug)]
pub(super) enum Step {
    /// A whole command, taken apart once it is its turn.
    Verb(Verb),
    /// Put a change in force.
    Edit(Edit),
    /// Put a model in force.
    Commit(Box<Model>),
    Bind(String),
    Unbind(String),
    /// Tell a stopped guest what has changed since it was bound.
    Refresh(String),
    Start(String),
    Stop(String),
    Panic(String),
    /// Ask how guests are.
    Look(Vec<(ResInfo, u32)>),
    Show(List),
    Print(String),
    Migrate(Migrate),
    Cancel(String),
    /// An operator takes over a domain whose source does not come back.
    TakeOver(String),
    /// Ask a guest's system; the next step hears what it answers.
    Ask(GuestId, Ask),
    Heard(Heard),
    /// Leave a guest so many of its virtual CPUs.
    Keep(String, usize),
    /// A domain's own change of a variable.
    Variable(GuestId, VariableRequest),
    // What migrations ask for.
    Arrive(Box<Offer>),
    /// Uptime counts from when the domain was started elsewhere.
    Count(GuestId, SimTime),
    /// A shell is a domain now, of this epoch.
    Activate(String, u64),
    /// A shell goes; a domain that is none stays.
    Discard(String),
    /// Stop a guest, whatever its state is.
    Halt(String),
    /// Take a domain out.
    Forget(String),
}

/// What a step waits for.
#[derive(Debug)]
pub(super) enum Wait {
    /// Nothing.
    Nothing,
    /// The domain to close its crypto units.
    Units,
    /// The hypervisor to take this.
    Commit(Box<InForce>),
    /// Its word whether it has taken this: the session was lost meanwhile.
    Doubt(Box<InForce>),
    /// Its answer about a guest that starts.
    Starting(GuestId),
    /// The guest to run.
    Runs(GuestId),
    /// Its answer about a guest that stops; whether it may have stopped already.
    Stopping(GuestId, bool),
    /// The guest to stand.
    Stands(GuestId),
    /// The guest to stand, until then.
    Ends(GuestId, SimTime),
    /// What a guest's system answers.
    Asked(u64),
    /// An answer that says it all.
    Answer,
    /// Figures.
    Looks(BTreeSet<Command>),
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Job {
    client: Client,
    pub(super) steps: VecDeque<Step>,
    pub(super) wait: Wait,
    reply: Reply,
    /// What a guest's system has answered to the last step.
    pub(super) answer: Option<Result<Answer, String>>,
    /// What was not done though the job goes on: it fails in the end.
    pub(super) complaints: Refused,
    /// A domain has arrived: as this guest, if it is to run.
    arrived: Option<Option<GuestId>>,
}

impl Job {
    /// What an operator typed, or the answer at once.
    pub(super) fn of_operator(id: u64, line: &str, version: Version) -> Result<Self, Reply> {
        let words = words::split(line).map_err(|why| failed(&[why]))?;
        let verb = args::parse(words).map_err(|usage| failed(&usage.0))?;
        match &verb {
            Verb::Version => Err(said(output::version(version))),
            Verb::Help(verb) => Err(match synopsis::help(verb.as_deref()) {
                Some(text) => said(text),
                None => failed(&[format!("Unknown command: {}", verb.as_deref().unwrap_or(""))]),
            }),
            _ => Ok(Self::new(Client::Operator(id), [Step::Verb(verb)])),
        }
    }

    pub(super) fn new(client: Client, steps: impl Into<VecDeque<Step>>) -> Self {
        let (wait, reply) = (Wait::Nothing, Reply::default());
        let (answer, complaints) = (None, Refused::new());
        Self { client, steps: steps.into(), wait, reply, answer, complaints, arrived: None }
    }

    /// Does it wait for a domain, which may take its time?
    fn is_patient(&self) -> bool {
        matches!(self.wait, Wait::Ends(..) | Wait::Asked(_))
    }

    /// May it be done while another waits for a domain: for a migration, or a list?
    fn may_pass(&self) -> bool {
        let list = |step: &Step| {
            matches!(
                step,
                Step::Verb(Verb::List(_) | Verb::ListDevices { .. } | Verb::ListVariable { .. })
            )
        };
        self.is_for_migration() || self.is_own() || self.steps.iter().all(list)
    }

    /// Does a migration wait for it?
    pub(super) fn is_for_migration(&self) -> bool {
        matches!(self.client, Client::Migration(_))
    }

    /// The operator who waits for it.
    pub(super) fn operator(&self) -> Option<u64> {
        if let Client::Operator(id) = self.client { Some(id) } else { None }
    }

    /// A model that the hypervisor may have taken, or not.
    pub(super) fn in_doubt(&self) -> Option<&Model> {
        match &self.wait {
            Wait::Commit(next) | Wait::Doubt(next) => Some(&next.model),
            _ => None,
        }
    }

    /// Does nobody but the manager want it?
    pub(super) fn is_own(&self) -> bool {
        self.client == Client::Nobody
    }

    /// A figure has come.
    pub(super) fn looked(&mut self, command: Command) {
        if let Wait::Looks(commands) = &mut self.wait {
            commands.remove(&command);
        }
    }
}

fn said(stdout: String) -> Reply {
    Reply { stdout, ..Reply::default() }
}

pub(super) fn refuse<T>(why: String) -> Result<T, Refused> {
    Err(vec![why])
}

/// The figures that say whether a guest runs.
pub(super) fn state_of(guest: GuestId) -> Vec<(ResInfo, u32)> {
    vec![(ResInfo::GuestState, guest.0.into()), (ResInfo::SoftState, guest.0.into())]
}

impl Manager {
    /// Does what can be done now.
    pub(super) fn go_on(&mut self, ports: &mut dyn Ports, hv: &mut dyn Hvctl) {
        if matches!(self.knows, Knows::Nothing) {
            return;
        }
        while let Some(mut job) = self.next_job() {
            if let Knows::Failed(why) = &self.knows {
                let why = format!("Failed to connect to logical domain manager: {why}");
                self.finish(ports, job, Err(vec![why]));
                continue;
            }
            match self.is_done(&job.wait, ports.now()) {
                Ok(true) => job.wait = Wait::Nothing,
                Ok(false) if job.is_patient() => {
                    self.aside = Some(job);
                    if self.errands.is_empty() && self.may_pass().is_none() {
                        return;
                    }
                    continue;
                }
                Ok(false) => {
                    self.job = Some(job);
                    return;
                }
                Err(why) => {
                    self.finish(ports, job, Err(why));
                    continue;
                }
            }
            let Some(step) = job.steps.pop_front() else {
                self.finish(ports, job, Ok(()));
                continue;
            };
            match self.step(ports, hv, &mut job, step) {
                Ok(Some(wait)) => {
                    job.wait = wait;
                    self.job = Some(job);
                }
                // Somebody else has the job's client now.
                Ok(None) => {}
                Err(why) => self.finish(ports, job, Err(why)),
            }
        }
    }

    /// The job to go on with: the one under way; what domains want; the one that waits for
    /// a domain, after what may pass it.
    fn next_job(&mut self) -> Option<Job> {
        let next = self.job.take().or_else(|| self.errands.pop_front());
        if next.is_some() || self.aside.is_none() {
            return next.or_else(|| self.queue.pop_front());
        }
        match self.may_pass() {
            Some(at) => self.queue.remove(at),
            None => self.aside.take(),
        }
    }

    /// The first job in the queue that may be done while another waits for a domain.
    fn may_pass(&self) -> Option<usize> {
        self.queue.iter().position(Job::may_pass)
    }

    fn is_done(&self, wait: &Wait, now: SimTime) -> Result<bool, Refused> {
        let state = |guest: &GuestId| {
            self.runs.get(guest).map_or(GuestState::Unconfigured, |run| run.state)
        };
        match wait {
            Wait::Nothing => Ok(true),
            Wait::Units
            | Wait::Commit(_)
            | Wait::Doubt(_)
            | Wait::Starting(_)
            | Wait::Stopping(..)
            | Wait::Asked(_)
            | Wait::Answer => Ok(false),
            Wait::Looks(commands) => Ok(commands.is_empty()),
            Wait::Runs(guest) => match state(guest) {
                GuestState::Normal | GuestState::Suspended => Ok(true),
                GuestState::Resetting => Ok(false),
                _ => refuse("The domain stopped as soon as it was started".into()),
            },
            Wait::Stands(guest) | Wait::Ends(guest, _)
                if matches!(state(guest), GuestState::Stopped | GuestState::Unconfigured) =>
            {
                Ok(true)
            }
            Wait::Ends(guest, until) if *until <= now => Err(self.does_not_stop(*guest)),
            Wait::Stands(_) | Wait::Ends(..) => Ok(false),
        }
    }

    /// Would this change the control domain's own strands or crypto units? It uses
    /// them, and must let go first.
    fn changes_own_units(&self, next: &Model) -> bool {
        let own = |model: &Model| {
            let given = model.by_guest(PRIMARY_ID).and_then(|domain| domain.given.as_ref());
            given.map(|given| (given.strands.clone(), given.crypto.clone()))
        };
        self.model().is_some_and(|model| own(model) != own(next))
    }

    /// What there is to say about crypto units that go with the last strand of their
    /// core.
    fn units_that_go(&self, edit: &Edit, next: &Model) -> Option<String> {
        let Edit::Vcpu(_, _, name) = edit else { return None };
        let count = |model: &Model| Some(model.domain(name).ok()?.given.as_ref()?.crypto.len());
        match count(self.model()?)?.saturating_sub(count(next)?) {
            0 => None,
            1 => Some(format!("1 crypto unit of LDom {name} is removed with its core\n")),
            gone => {
                Some(format!("{gone} crypto units of LDom {name} are removed with their cores\n"))
            }
        }
    }

    /// The domain has closed its crypto units, or cannot: what [`Change::CloseUnits`]
    /// was for goes on.
    pub fn units_closed(
        &mut self,
        ports: &mut dyn Ports,
        hv: &mut dyn Hvctl,
        closed: Result<(), String>,
    ) {
        let Some(mut job) = self.job.take_if(|job| matches!(job.wait, Wait::Units)) else { return };
        match closed {
            Ok(()) => {
                job.wait = Wait::Nothing;
                self.job = Some(job);
            }
            Err(why) => self.finish(ports, job, Err(vec![why])),
        }
        self.go_on(ports, hv);
    }

    fn finish(&mut self, ports: &mut dyn Ports, mut job: Job, result: Result<(), Refused>) {
        if std::mem::take(&mut self.units_closed) {
            self.changes.push(Change::OpenUnits);
        }
        let result = match result {
            Ok(()) if !job.complaints.is_empty() => Err(std::mem::take(&mut job.complaints)),
            Err(why) => Err([std::mem::take(&mut job.complaints), why].concat()),
            Ok(()) => Ok(()),
        };
        match job.client {
            Client::Operator(id) => {
                if let Err(why) = result {
                    job.reply.status = 1;
                    for line in why {
                        job.reply.stderr.push_str(&line);
                        job.reply.stderr.push('\n');
                    }
                }
                ports.reply(id, job.reply);
            }
            Client::Nobody => {}
            Client::Domain(token, guest) => {
                let result = match result {
                    Ok(()) => VariableResult::Ok,
                    Err(why) => {
                        let why = why.join("; ");
                        ports.log(format!("ldmd: guest {guest}: a variable stays as it is: {why}"));
                        VariableResult::NoSpace
                    }
                };
                self.variables.push((token, result));
                // It knows.
                self.tell_updates(Some(guest));
            }
            Client::Migration(tag) => {
                let reply = job.arrived.map_or(ManagerReply::Done, ManagerReply::Prepared);
                self.answers.push((tag, result.map(|()| reply).map_err(|why| why.join("; "))));
            }
        }
        self.tell_updates(None);
    }

    /// The hypervisor answers what the step under way asked.
    pub(super) fn answered(
        &mut self,
        ports: &mut dyn Ports,
        hv: &mut dyn Hvctl,
        reply: &sun4v::hvctl::Reply,
    ) {
        let Some(mut job) = self.job.take() else { return };
        let mut verdict = verdict(reply);
        job.wait = match std::mem::replace(&mut job.wait, Wait::Nothing) {
            Wait::Commit(next) if matches!(reply.status, Status::Auth | Status::BadSeqn) => {
                verdict = Ok(());
                self.ask(ports, hv, Request::GetHvConfig, Asked::Step);
                Wait::Doubt(next)
            }
            Wait::Commit(next) => {
                if verdict.is_ok() {
                    self.put_in_force(*next);
                }
                Wait::Nothing
            }
            Wait::Doubt(next) => {
                match reply.body {
                    Body::HvInfo(info) if info.md == next.hvmd => self.put_in_force(*next),
                    Body::HvInfo(_) => {
                        verdict = refuse("The session with the hypervisor was lost".into());
                    }
                    _ => {}
                }
                Wait::Nothing
            }
            Wait::Starting(guest) => {
                if let (Ok(()), Some(run)) = (&verdict, self.runs.get_mut(&guest)) {
                    *run = Run::stopped();
                    run.state = GuestState::Resetting;
                    run.since = ports.now();
                    self.look(ports, hv, ResInfo::GuestState, guest.0.into());
                }
                Wait::Runs(guest)
            }
            Wait::Stopping(guest, perhaps) => {
                let stands = Body::Code(Detail::GuestStopped.code());
                if perhaps && (reply.status, reply.body) == (Status::Illegal, stands) {
                    verdict = Ok(());
                }
                if let (Ok(()), Some(run)) = (&verdict, self.runs.get_mut(&guest)) {
                    run.state = GuestState::Exiting;
                    self.look(ports, hv, ResInfo::GuestState, guest.0.into());
                }
                Wait::Stands(guest)
            }
            Wait::Answer => Wait::Nothing,
            other => other,
        };
        match verdict {
            Ok(()) => self.job = Some(job),
            Err(why) => self.finish(ports, job, Err(why)),
        }
    }

    fn put_in_force(&mut self, next: InForce) {
        let Knows::Machine(machine) = &mut self.knows else { return };
        self.changes.extend(tell::changes(&machine.model, &next.model));
        let active =
            self.runs.iter().filter(|(guest, run)| run.is_active() && **guest != PRIMARY_ID);
        self.outdated.extend(active.map(|(&guest, _)| guest).filter(|guest| {
            let (had, has) = (machine.mds.get(guest), next.mds.get(guest));
            had.is_some() && has.is_some() && had != has
        }));
        let guests: BTreeSet<GuestId> = next.model.bound().map(|(_, given)| given.guest).collect();
        self.runs.retain(|guest, _| guests.contains(guest));
        for guest in guests {
            self.runs.entry(guest).or_insert_with(Run::stopped);
        }
        **machine = next;
    }

    /// Asks the hypervisor to take a model, if that means anything to it.
    pub(super) fn commit(
        &mut self,
        ports: &mut dyn Ports,
        hv: &mut dyn Hvctl,
        next: Model,
    ) -> Result<Option<Wait>, Refused> {
        let Knows::Machine(machine) = &self.knows else { return Ok(Some(Wait::Nothing)) };
        let (next, request) = machine.prepare(next, ports, hv)?;
        match request {
            None => {
                self.put_in_force(next);
                Ok(Some(Wait::Nothing))
            }
            Some(request) => {
                self.ask(ports, hv, request, Asked::Step);
                Ok(Some(Wait::Commit(Box::new(next))))
            }
        }
    }

    pub(super) fn draft_ref(&self) -> Result<&Model, Refused> {
        self.model().ok_or_else(|| vec!["The machine is not known".into()])
    }

    /// A copy of the model, to be changed.
    pub(super) fn draft(&self) -> Result<Model, Refused> {
        self.draft_ref().cloned()
    }

    fn step(
        &mut self,
        ports: &mut dyn Ports,
        hv: &mut dyn Hvctl,
        job: &mut Job,
        step: Step,
    ) -> Result<Option<Wait>, Refused> {
        match step {
            Step::Verb(verb) => {
                job.steps = self.steps(verb)?;
                Ok(Some(Wait::Nothing))
            }
            Step::Edit(edit) => {
                if let Some(change) = self.live_vcpus(&edit)?
                    && let Edit::Vcpu(_, _, name) = &edit
                {
                    return self.change_vcpus(ports, hv, job, name, change);
                }
                let mut next = self.draft()?;
                edit::edit(&mut next, &edit, &self.active(), &self.updates())?;
                self.moves_nothing(&next)?;
                if !self.changes_own_units(&next) {
                    return self.commit(ports, hv, next);
                }
                self.changes.push(Change::CloseUnits);
                self.units_closed = true;
                if let Some(said) = self.units_that_go(&edit, &next) {
                    job.steps.push_front(Step::Print(said));
                }
                job.steps.push_front(Step::Commit(Box::new(next)));
                Ok(Some(Wait::Units))
            }
            Step::Commit(next) => self.commit(ports, hv, *next),
            Step::Bind(name) => {
                self.nothing_moves()?;
                let mut next = self.draft()?;
                if next.domain(&name)?.given.is_some() {
                    return refuse(format!("LDom {name} is already bound"));
                }
                let given = place::place(&next, &name, None)?;
                next.domain_mut(&name)?.given = Some(given);
                self.commit(ports, hv, next)
            }
            Step::Unbind(name) => {
                self.nothing_moves()?;
                let guest = self.guest(&name)?;
                if guest == PRIMARY_ID {
                    return refuse(format!("LDom {name} cannot be unbound"));
                }
                if self.active().contains(&guest) {
                    return refuse(format!("LDom {name} is active: stop it before unbinding it"));
                }
                let mut next = self.draft()?;
                next.domain_mut(&name)?.given = None;
                self.commit(ports, hv, next)
            }
            Step::Refresh(name) => {
                self.nothing_moves()?;
                self.guest(&name)?;
                let next = self.draft()?;
                self.commit(ports, hv, next)
            }
            Step::Start(name) => {
                self.nothing_moves()?;
                let guest = self.guest(&name)?;
                if self.active().contains(&guest) {
                    return refuse(format!("LDom {name} is already active"));
                }
                self.ask(ports, hv, Request::GuestStart(guest.0.into()), Asked::Step);
                Ok(Some(Wait::Starting(guest)))
            }
            Step::Stop(name) => {
                self.nothing_moves()?;
                let guest = self.active_guest(&name)?;
                if guest == PRIMARY_ID {
                    return refuse(format!("LDom {name} cannot be stopped"));
                }
                self.ask(ports, hv, Request::GuestStop(guest.0.into()), Asked::Step);
                Ok(Some(Wait::Stopping(guest, false)))
            }
            Step::Panic(name) => {
                self.nothing_moves()?;
                let guest = self.active_guest(&name)?;
                if guest == PRIMARY_ID {
                    return refuse(format!("LDom {name} cannot be made to panic"));
                }
                self.ask(ports, hv, Request::GuestPanic(guest.0.into()), Asked::Step);
                Ok(Some(Wait::Answer))
            }
            Step::Ask(guest, ask) => Ok(Some(Wait::Asked(self.ask_domain(guest, ask)))),
            Step::Heard(heard) => self.hear(ports, hv, job, heard),
            Step::Keep(name, count) => self.keep_vcpus(ports, hv, job, name, count),
            Step::Variable(guest, request) => self.change_variable(ports, hv, guest, request),
            Step::Look(figures) => {
                let looks = figures.into_iter().map(|(info, id)| self.look(ports, hv, info, id));
                Ok(Some(Wait::Looks(looks.collect())))
            }
            Step::Show(list) => {
                let text = self.show(ports, &list)?;
                job.reply.stdout.push_str(&text);
                Ok(Some(Wait::Nothing))
            }
            Step::Print(text) => {
                job.reply.stdout.push_str(&text);
                Ok(Some(Wait::Nothing))
            }
            Step::Migrate(migrate) => {
                let Client::Operator(id) = job.client else { return Ok(Some(Wait::Nothing)) };
                self.depart(id, &migrate).map_err(|mut why| {
                    why.push(migrating::summary(&migrate.domain, migrate.check_only));
                    why
                })?;
                Ok(None)
            }
            Step::Cancel(name) => {
                let Client::Operator(id) = job.client else { return Ok(Some(Wait::Nothing)) };
                self.cancel(id, &name)?;
                Ok(None)
            }
            Step::TakeOver(name) => {
                let Client::Operator(id) = job.client else { return Ok(Some(Wait::Nothing)) };
                self.take_over(id, &name)?;
                Ok(None)
            }
            Step::Arrive(offer) => {
                let (next, record) = self.shell(&offer).map_err(|why| vec![why.join("; ")])?;
                let guest = next.domain(offer::name(&offer))?.guest();
                let running = guest.filter(|_| offer.kind == Kind::Active);
                job.arrived = Some(running);
                if let Some(guest) = running {
                    job.steps.push_back(Step::Count(guest, record.started()));
                }
                self.commit(ports, hv, next)
            }
            Step::Count(guest, since) => {
                if let Some(run) = self.runs.get_mut(&guest) {
                    run.since = since;
                }
                Ok(Some(Wait::Nothing))
            }
            Step::Activate(name, epoch) => {
                let mut next = self.draft()?;
                let domain = next.domain_mut(&name)?;
                domain.shell = false;
                domain.epoch = domain.epoch.max(epoch);
                if let Some(guest) = domain.guest() {
                    job.steps.push_back(Step::Look(state_of(guest)));
                }
                self.commit(ports, hv, next)
            }
            Step::Discard(name) => {
                if self.draft_ref()?.domain(&name).is_ok_and(|domain| domain.shell) {
                    job.steps.extend([Step::Halt(name.clone()), Step::Forget(name)]);
                }
                Ok(Some(Wait::Nothing))
            }
            Step::Halt(name) => {
                let Ok(guest) = self.guest(&name) else { return Ok(Some(Wait::Nothing)) };
                self.ask(ports, hv, Request::GuestStop(guest.0.into()), Asked::Step);
                Ok(Some(Wait::Stopping(guest, true)))
            }
            Step::Forget(name) => {
                let mut next = self.draft()?;
                next.remove(&name);
                self.commit(ports, hv, next)
            }
        }
    }

    pub(super) fn guest(&self, name: &str) -> Result<GuestId, Refused> {
        match self.draft_ref()?.domain(name)?.guest() {
            Some(guest) => Ok(guest),
            None => refuse(format!("LDom {name} is not bound")),
        }
    }

    pub(super) fn active_guest(&self, name: &str) -> Result<GuestId, Refused> {
        let guest = self.draft_ref()?.domain(name)?.guest();
        match guest.filter(|guest| self.active().contains(guest)) {
            Some(guest) => Ok(guest),
            None => refuse(format!("LDom {name} is not active")),
        }
    }
}
