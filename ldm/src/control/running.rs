//! A control domain that runs: who gets which event, and what follows from it.

use super::moves::{Ends, Moves, MovesConf, Note, Order};
use super::network::Network;
use super::noise;
use super::record::{ControlV1, Recalled};
use super::services::{self, Services};
use super::start::{self, StartError};
use super::{ControlConf, HVCTL_COOKIE, Kit, timer};
use crate::crypto::Units;
use crate::hvctl::Calls;
use crate::hvctl::{self, Command, Hvctl, Session};
use crate::manager::record::REQUEST;
use crate::manager::{Asking, Change, Manager, Port, Settings, TakeOver};
use crate::migrate::{self, Buffers};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use sun4v::addr::Pa;
use sun4v::hcall::HvError;
use sun4v::hvctl::Request;
use sun4v::id::GuestId;
use sun4v::native::{Event, Ports};
use sun4v::time::SimTime;

/// Work that is due "now" again waits so long.
const WAIT_MIN: SimTime = SimTime::ns(100);

/// Everything of a control domain that has begun.
pub struct Running {
    kit: Kit,
    network: Network,
    services: Services,
    units: Units,
    /// The units are to be closed.
    closing: bool,
    session: Session,
    calls: Calls,
    manager: Manager,
    moves: Moves,
    hosts: BTreeMap<String, Ipv4Addr>,
    /// Ports of services, by the guest that moves and has them.
    moving: BTreeMap<GuestId, Vec<u64>>,
    /// The guest that leaves.
    leaving: Option<GuestId>,
    /// When the timer for work was set to.
    timer_at: SimTime,
    /// How often it has begun again.
    restarts: u64,
}

/// What the manager is told.
pub fn settings(conf: &ControlConf) -> Settings {
    let seed = [conf.inventory.host.as_bytes(), &conf.seed.to_be_bytes()].concat();
    Settings {
        hostname: conf.inventory.host.clone(),
        password: conf.password.clone(),
        files: conf.files.clone(),
        entropy: Sha256::digest([b"manager", seed.as_slice()].concat()).into(),
        cost: conf.cost,
        ldmd: conf.ldmd,
    }
}

/// The session, for two who use it in turns.
struct Shared<'a, 'b>(&'a RefCell<&'b mut Session>);

impl Hvctl for Shared<'_, '_> {
    fn request(&mut self, ports: &mut dyn Ports, request: Request) -> Command {
        self.0.borrow_mut().request(ports, request)
    }
    fn read(&mut self, ports: &mut dyn Ports, pa: Pa, bytes: u64) -> Result<Vec<u8>, HvError> {
        self.0.borrow_mut().read(ports, pa, bytes)
    }
    fn write(&mut self, ports: &mut dyn Ports, pa: Pa, bytes: &[u8]) -> Result<(), HvError> {
        self.0.borrow_mut().write(ports, pa, bytes)
    }
}

impl Running {
    /// Begins as at power-on.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn begin(conf: &ControlConf, ports: &mut dyn Ports) -> Result<Self, StartError> {
        let manager = Manager::new(conf.inventory.clone(), settings(conf));
        let mut running = Self::set_up(conf, ports, manager, (0, &[]))?;
        if let Err(why) = noise::set_up(&mut running.kit.arena, ports) {
            ports.log(format!("the random number generator is not set up: {why}"));
        }
        running.settle(ports);
        Ok(running)
    }

    /// Begins again with what it remembers. Guests, whatever they do, are told by their
    /// channels alone.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn begin_again(
        conf: &ControlConf,
        ports: &mut dyn Ports,
        recalled: Recalled,
    ) -> Result<Self, StartError> {
        let Recalled { restarts, migrations, journal, manager, remembered } = recalled;
        let mut running = Self::set_up(conf, ports, manager, (restarts + 1, &journal))?;
        running.moves.go_on_at(migrations);
        let changes = running.manager.all_changes();
        let Self { kit, services, network, .. } = &mut running;
        services.begin_again(kit, ports, network, changes, remembered);
        // Their frames wait for them until they have found their switch again.
        for guest in running.manager.active() {
            let channels = running.manager.service_channels(guest);
            let keys: Vec<_> = channels.into_iter().map(services::key).collect();
            running.network.expect(&keys);
        }
        // Those of a domain that was given away do not open at all.
        let domains = running.manager.epochs();
        let left = domains.filter(|(_, uuid, epoch)| running.moves.has_left(uuid, *epoch));
        let left: Vec<_> = left.flat_map(|(name, ..)| running.keys_of(name)).collect();
        running.network.shut(&left);
        running.services.shut(&left, true);
        running.settle(ports);
        Ok(running)
    }

    /// What must outlive its software.
    ///
    /// # Errors
    /// Why it cannot be stopped now, for a person.
    pub fn save(&self, host: &str) -> Result<ControlV1, String> {
        let Self {
            // Memory is given out anew.
            kit: _,
            // Connections, frames and what was learnt of addresses: lost.
            network: _,
            services,
            units,
            closing,
            // Another session begins.
            session: _,
            calls,
            manager,
            moves,
            hosts: _,
            // Of migrations under way; there is none.
            moving: _,
            leaving: _,
            timer_at: _,
            restarts,
        } = self;
        let (migrations, journal) = moves.save()?;
        let manager = manager.save()?;
        if !calls.is_empty() {
            return Err(REQUEST.to_owned());
        }
        if *closing || !units.is_done() {
            return Err("crypto units are at work".to_owned());
        }
        let (disks, consoles) = services.save()?;
        let (host, restarts) = (host.to_owned(), *restarts);
        Ok(ControlV1 { host, restarts, migrations, journal, manager, disks, consoles })
    }

    /// What is left of it when the domain is reset in the middle of things.
    ///
    /// # Errors
    /// It knew nothing, or its services cannot be stopped.
    pub fn keep(&self, host: &str) -> Result<ControlV1, String> {
        let (migrations, journal) = self.moves.keep();
        let manager = self.manager.keep()?;
        let (disks, consoles) = self.services.keep()?;
        let (host, restarts) = (host.to_owned(), self.restarts);
        Ok(ControlV1 { host, restarts, migrations, journal, manager, disks, consoles })
    }

    /// Its migrations.
    pub const fn moves(&self) -> &Moves {
        &self.moves
    }

    /// Its migrations, to act on their journal.
    pub const fn moves_mut(&mut self) -> &mut Moves {
        &mut self.moves
    }

    /// Operators whose answers are lost with it.
    pub fn waiting_operators(&self) -> Vec<u64> {
        self.manager.waiting_operators()
    }

    /// API groups, queues, the channel to the hypervisor, crypto units; nobody has
    /// worked yet.
    fn set_up(
        conf: &ControlConf,
        ports: &mut dyn Ports,
        manager: Manager,
        (restarts, journal): (u64, &[u8]),
    ) -> Result<Self, StartError> {
        let mut kit = start::begin(conf, ports)?;
        let channel = start::hvctl_channel(&mut kit, ports)?;
        let session = Session::open(ports, &mut kit.arena, channel, HVCTL_COOKIE)?;
        let units = Units::open(ports, &mut kit.arena, conf.migrate.cost, timer::UNITS);
        let mut buffers = || {
            let block = kit.arena.alloc(Buffers::BYTES).ok_or(StartError::Memory)?;
            Ok::<_, StartError>(Buffers { ra: block.ra })
        };
        let buffers = [buffers()?, buffers()?];
        let network = Network::new(&conf.nics, restarts);
        let services = Services::new(conf.hosts.clone(), &conf.inventory.host, &network);
        let moves_conf = MovesConf {
            config: migrate::Config {
                live: conf.migrate.live && conf.ldmd.version.is_live(),
                ..conf.migrate
            },
            host: conf.inventory.host.clone(),
            password: conf.password.clone(),
            seed: conf.seed,
            timers: [timer::SOURCE, timer::TARGET, timer::JOURNAL],
            buffers,
            nic: 0,
            socket_bytes: conf.socket_bytes,
        };
        let moves = Moves::new(moves_conf, conf.hosts.clone(), journal);
        Ok(Self {
            kit,
            network,
            services,
            units,
            closing: false,
            session,
            calls: Calls::default(),
            manager,
            moves,
            hosts: conf.hosts.clone(),
            moving: BTreeMap::new(),
            leaving: None,
            timer_at: SimTime::NEVER,
            restarts,
        })
    }

    /// Something happened.
    pub fn event(&mut self, ports: &mut dyn Ports, event: Event) {
        match event {
            Event::Start | Event::Restarted => {}
            Event::Mondo([cookie, ..]) => self.mondo(ports, cookie),
            Event::Timer(token) => self.timer(ports, token),
            Event::Frame { nic, bytes } => {
                self.network.frame(&mut self.kit.host(ports), usize::from(nic), bytes);
            }
            Event::JobDone { job, mut output } => {
                if self.units.job_done(job, &mut output) {
                    self.with_moves(ports, |moves, ends| moves.cipher(ends));
                } else {
                    self.with_moves(ports, |moves, ends| moves.job_done(ends, job, output));
                }
            }
            Event::DiskDone { token, result } => self.services.disk_done(token, result),
            Event::Command { id, line } => {
                self.manager.command(ports, &mut self.session, id, &line);
            }
            Event::Console { domain, input } => {
                self.services.console(&mut self.kit, ports, &domain, &input);
            }
        }
        self.settle(ports);
    }

    fn mondo(&mut self, ports: &mut dyn Ports, cookie: u64) {
        if cookie == HVCTL_COOKIE {
            for event in self.session.mondo(ports) {
                self.hypervisor_says(ports, &event);
            }
        } else if self.units.mondo(ports, cookie) {
            self.with_moves(ports, |moves, ends| moves.cipher(ends));
        } else {
            self.services.mondo(&mut self.kit, ports, &mut self.network, cookie);
        }
    }

    fn timer(&mut self, ports: &mut dyn Ports, token: u64) {
        if token == timer::WORK {
            if ports.now() >= self.timer_at {
                self.timer_at = SimTime::NEVER;
            }
            self.network.tick(&mut self.kit.host(ports));
            self.services.tick(&mut self.kit, ports);
            self.manager.tick(ports, &mut self.session);
        } else if self.units.timer(ports, token) {
            self.with_moves(ports, |moves, ends| moves.cipher(ends));
        } else {
            self.with_moves(ports, |moves, ends| moves.timer(ends, token));
        }
    }

    fn hypervisor_says(&mut self, ports: &mut dyn Ports, event: &hvctl::Event) {
        if !self.calls.event(&mut self.kit.arena, event) {
            self.manager.event(ports, &mut self.session, event);
        }
    }

    /// Lets the migrations work with everything that they need.
    fn with_moves<R>(
        &mut self,
        ports: &mut dyn Ports,
        act: impl FnOnce(&mut Moves, &mut Ends<'_>) -> R,
    ) -> R {
        let session = RefCell::new(&mut self.session);
        let (mut one, mut other) = (Shared(&session), Shared(&session));
        let mut hv = self.calls.on(&mut one, &mut self.kit.arena);
        let mut manager = Port::new(&mut self.manager, &mut other);
        let mut ends = Ends {
            ports,
            network: &mut self.network,
            hv: &mut hv,
            manager: &mut manager,
            units: &mut self.units,
        };
        act(&mut self.moves, &mut ends)
    }

    /// Lets everybody work until nothing moves.
    fn settle(&mut self, ports: &mut dyn Ports) {
        loop {
            let changed = self.network.pump(&mut self.kit, ports);
            let mut busy = self.services.work(&mut self.kit, ports, &mut self.network, changed);
            busy |= self.serve_domains(ports);
            busy |= self.serve_manager(ports);
            busy |= self.serve_calls(ports);
            if self.manager.is_ready() {
                self.with_moves(ports, |moves, ends| moves.recover(ends));
            }
            busy |= self.with_moves(ports, |moves, ends| moves.work(ends));
            busy |= self.serve_notes(ports);
            busy |= self.look_at_disks(ports);
            busy |= self.look_at_volumes(ports);
            if !busy && !self.network.is_stirred() {
                break;
            }
        }
        let now = ports.now();
        let next = self
            .network
            .next_time(now)
            .min(self.services.next_time(now))
            .min(self.manager.next_time())
            .min(self.moves.next_time());
        let next = next.max(now.plus(WAIT_MIN));
        if next < self.timer_at && next != SimTime::NEVER {
            self.timer_at = next;
            ports.set_timer(next, timer::WORK);
        }
    }

    /// Carries out what the manager has decided.
    fn serve_manager(&mut self, ports: &mut dyn Ports) -> bool {
        let mut busy = false;
        for change in self.manager.take_changes() {
            busy = true;
            match change {
                Change::CloseUnits => self.closing = true,
                Change::OpenUnits => {
                    self.closing = false;
                    self.units.reopen(ports, &mut self.kit.arena);
                }
                change => self.services.change(&mut self.kit, ports, &mut self.network, change),
            }
        }
        busy |= self.close_units(ports);
        for outgoing in self.manager.take_migrations() {
            busy = true;
            let order = Order {
                domain: outgoing.domain,
                new_name: outgoing.new_name,
                peer: outgoing.host,
                password: outgoing.password,
                check_only: outgoing.check_only,
                force: outgoing.force,
            };
            let address = self.hosts.get(&order.peer).copied();
            let address = address.or_else(|| order.peer.parse().ok());
            let command = outgoing.command;
            let begun =
                self.with_moves(ports, |moves, ends| moves.begin(ends, command, address, &order));
            if let Err(why) = begun {
                self.manager.migration_ended(ports, command, Err(why));
            }
        }
        for cancellation in self.manager.take_cancellations() {
            busy = true;
            let migration = cancellation.migration;
            let result = self.with_moves(ports, |moves, ends| moves.cancel(ends, migration));
            self.manager.cancellation_ended(ports, cancellation.command, result);
        }
        for TakeOver { command, domain } in self.manager.take_takeovers() {
            busy = true;
            let result = self.with_moves(ports, |moves, ends| moves.take_over(ends, &domain));
            self.manager.cancellation_ended(ports, command, result);
        }
        for path in self.manager.take_looks() {
            busy = true;
            self.services.look(path);
        }
        for (tag, answer) in self.manager.take_answers() {
            busy = true;
            self.with_moves(ports, |moves, ends| moves.manager(ends, tag, answer));
        }
        busy
    }

    /// Carries what domains' systems and the manager have for each other.
    fn serve_domains(&mut self, ports: &mut dyn Ports) -> bool {
        let mut busy = false;
        for (path, result) in self.services.take_looks() {
            busy = true;
            self.manager.looked(&path, result);
        }
        for event in self.services.take_events() {
            busy = true;
            self.manager.heard(ports, &mut self.session, event);
        }
        for (token, result) in self.manager.take_variables() {
            busy = true;
            self.services.variable_done(&mut self.kit, ports, token, result);
        }
        for Asking { guest, ticket, ask } in self.manager.take_asks() {
            busy = true;
            self.services.ask(&mut self.kit, ports, guest, ticket, &ask);
        }
        busy
    }

    /// Closes the crypto units as soon as they stand still, when the manager waits for
    /// that.
    fn close_units(&mut self, ports: &mut dyn Ports) -> bool {
        if !self.closing || !self.units.is_idle() {
            return false;
        }
        self.closing = false;
        let closed = match self.units.close(ports, &mut self.kit.arena) {
            Ok(_) => Ok(()),
            Err(why) => Err(format!("A crypto unit of the control domain stays in use: {why}")),
        };
        self.manager.units_closed(ports, &mut self.session, closed);
        true
    }

    /// Hands answers of the hypervisor to the migrations.
    fn serve_calls(&mut self, ports: &mut dyn Ports) -> bool {
        let mut busy = false;
        while let Some((tag, reply)) = self.calls.take() {
            busy = true;
            self.with_moves(ports, |moves, ends| moves.hv(ends, tag, reply));
        }
        busy
    }

    /// Keys of the ports of a guest that moves.
    fn keys(&mut self, guest: GuestId) -> Vec<u64> {
        let channels = self.manager.service_channels(guest);
        let keys: Vec<_> = channels.into_iter().map(services::key).collect();
        if !keys.is_empty() {
            self.moving.insert(guest, keys);
        }
        self.moving.get(&guest).cloned().unwrap_or_default()
    }

    /// The same of the domain with this name.
    fn keys_of(&self, domain: &str) -> Vec<u64> {
        self.manager.channels_of(domain).into_iter().map(services::key).collect()
    }

    /// Does for the services what migrations need.
    fn serve_notes(&mut self, ports: &mut dyn Ports) -> bool {
        let notes = self.moves.take_notes();
        let busy = !notes.is_empty();
        for note in notes {
            match note {
                Note::Memory(guest, memory) => {
                    if let Err(refusal) = self.calls.describe(guest, &memory) {
                        ports.log(format!("migration: guest {guest}: {refusal}"));
                    }
                }
                Note::Stopping(guest) => {
                    let keys = self.keys(guest);
                    self.leaving = Some(guest);
                    // A system that has no suspend handler, for none has registered one; of
                    // who knows nothing of domain services nothing is known.
                    let watched = self.services.has_system(guest);
                    if !(watched && self.moves.wait_for_lull(ports.now())) {
                        self.services.hold(&keys);
                    }
                }
                Note::Claim(domain, epoch) => {
                    let keys = self.keys_of(&domain);
                    self.services.claim(&mut self.kit, ports, &keys, epoch);
                }
                Note::Shut(domain) => {
                    let keys = self.keys_of(&domain);
                    self.network.shut(&keys);
                    self.services.shut(&keys, true);
                }
                Note::Open(domain) => {
                    let keys = self.keys_of(&domain);
                    self.services.shut(&keys, false);
                    self.network.open(&mut self.kit.host(ports), &keys);
                }
                Note::Comes(guest) => {
                    let keys = self.keys(guest);
                    self.network.expect(&keys);
                }
                Note::Stopped(guest) => {
                    let keys = self.keys(guest);
                    self.network.hold(&mut self.kit.host(ports), &keys);
                }
                Note::GoesOn(guest) => {
                    let keys = self.keys(guest);
                    self.leaving = None;
                    self.network.release(&mut self.kit.host(ports), &keys);
                    self.services.release(&mut self.kit, ports, &keys);
                }
                Note::Left { domain, to } => {
                    let guest = self.leaving.take();
                    let keys = guest.and_then(|guest| self.moving.remove(&guest));
                    if let (Some(keys), Some(to)) = (keys, to) {
                        self.network.depart(&mut self.kit.host(ports), &keys, to);
                    }
                    ports.log(format!("migration of {domain}: its services let it go"));
                }
                Note::Ended(command, outcome) => {
                    self.manager.migration_ended(ports, command, outcome);
                }
            }
        }
        busy
    }

    /// A domain that has come runs once its volumes are claimed.
    fn look_at_volumes(&mut self, ports: &mut dyn Ports) -> bool {
        let Some(domain) = self.moves.waits_for_volumes() else { return false };
        let keys = self.keys_of(domain);
        let Some(result) = self.services.is_claimed(&keys) else { return false };
        self.with_moves(ports, |moves, ends| moves.volumes_are_claimed(ends, result));
        true
    }

    /// A guest that waits for its disks stands still once they do: while they rest, or when
    /// they are quiet.
    fn look_at_disks(&mut self, ports: &mut dyn Ports) -> bool {
        if let Some(guest) = self.moves.waits_for_lull() {
            let keys = self.keys(guest);
            let rest = self.services.rest(&mut self.kit, ports, &keys);
            let decided = self.with_moves(ports, |moves, ends| moves.looked(ends, rest));
            if decided {
                self.services.hold(&keys);
            }
            return decided;
        }
        let Some(guest) = self.moves.waits_for_disks() else { return false };
        let keys = self.keys(guest);
        if !self.services.is_quiet(&keys) {
            return false;
        }
        self.with_moves(ports, |moves, ends| moves.disks_are_quiet(ends));
        true
    }
}

#[cfg(test)]
mod lull_test;
#[cfg(test)]
mod test;
