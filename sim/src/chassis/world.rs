//! The world: servers, networks, hosts, a script, and the loop that moves them.
//!
//! **The loop.** What happens next is either something that is due at a time of
//! its own (a native program, a crypto unit, a network, a host, the script, a
//! sample), or a domain that can execute. If nothing can execute before the next
//! due time, time jumps there. Otherwise all domains that can execute before the
//! next grid line ([`super::slice`]) run to it, side by side on the host's threads;
//! what was due in between happens on the grid line. A domain that is alone may go
//! over many grid lines at once.
//!
//! **A turn.** At each such moment, in this order: crypto units and the
//! hypervisor's boundary, server by server; networks and hosts; the script; the
//! native programs, server by server; then facts are noted. So a frame that a
//! program sends leaves at once, and a channel packet that it sends arrives at the
//! next grid line. What a turn does depends on nothing but what happened before it,
//! whatever the number of threads. What comes from outside ([`crate::outside`]) enters
//! between the boundary and the networks.
//!
//! **Errors.** [`WorldError`]: a server that does not come up, a step of the
//! script that fails or waits too long, a run that takes too long.

use super::disks::{DiskError, Drives};
use super::figures::{Figures, Stopwatch};
use super::native::ConsoleNews;
use super::pool::Pool;
use super::rom::{RomError, Roms};
use super::server::{PowerOn, PowerOnError, Server, inventory};
use super::slice::{DomainSlice, grid_after};
use crate::engine::Choice;
use crate::lab::record::Fact;
use crate::lab::scenario::{Chassis, Scenario};
use crate::lab::script::{Prompt, Script, ScriptError, StepId};
use crate::lab::{DiskFileError, Lab, NetworkId, Outlet};
use crate::net::pcap::Captured;
use crate::outside::Outside;
use std::collections::BTreeMap;
use sun4v::hvmd::Inventory;
use sun4v::native::Reply;
use sun4v::time::{SimTime, T2_HZ};
use thiserror::Error;

/// Between two samples of how busy domains are.
pub const SAMPLE: SimTime = SimTime::ms(500);
/// The smallest step of time: work that is due "now" again waits so long.
const STEP_MIN: SimTime = SimTime::ns(1);
/// Numbers of commands that are not steps of the script begin here.
const TYPED: u64 = 1 << 32;

/// Why a world cannot begin or go on.
#[derive(Debug, Error)]
pub enum WorldError {
    /// The boot image of a chassis cannot be used.
    #[error("chassis {chassis}: boot image {why}")]
    Boot {
        /// Which chassis.
        chassis: String,
        /// Why.
        why: RomError,
    },
    /// The service processor could not prepare a chassis.
    #[error("chassis {chassis}: {why}")]
    Prepare {
        /// Which one.
        chassis: String,
        /// Why.
        why: String,
    },
    /// A chassis did not come up.
    #[error("chassis {chassis}: {why}")]
    PowerOn {
        /// Which one.
        chassis: String,
        /// Why.
        why: PowerOnError,
    },
    /// A disk of a chassis cannot be used.
    #[error("chassis {chassis}: {why}")]
    Disk {
        /// Which chassis.
        chassis: String,
        /// Why.
        why: DiskError,
    },
    /// A disk of the NAS cannot be used.
    #[error(transparent)]
    DiskFile(#[from] DiskFileError),
    /// The script cannot go on.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The scenario's limit is reached.
    #[error("not ended after {seconds} s (limits.time); step {begun} of {steps} was the last")]
    Time {
        /// The limit.
        seconds: f64,
        /// Steps of the script begun.
        begun: usize,
        /// Steps in all.
        steps: usize,
    },
    /// Somebody typed at a place that does not exist.
    #[error("no chassis or host `{0}`")]
    Place(String),
}

/// Prepares a chassis: its name, what the scenario says, what it consists of.
pub type Prepare<'a> = dyn FnMut(&str, &Chassis, &Inventory) -> Result<PowerOn, String> + 'a;

/// A command line that has no answer yet.
struct Open {
    place: String,
    line: String,
}

/// An answer to a command that was typed, not scripted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What [`World::type_line`] gave.
    pub id: u64,
    /// What was typed and where.
    pub prompt: Prompt,
    /// The answer.
    pub reply: Reply,
}

/// Counts of a run, for whoever looks at its speed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Turns.
    pub turns: u64,
    /// Slices of domains that were run.
    pub slices: u64,
}

/// Several servers and a lab.
pub struct World {
    now: SimTime,
    slice: SimTime,
    servers: Vec<Server>,
    lab: Lab,
    nics: BTreeMap<Outlet, (usize, u8)>,
    pool: Pool<DomainSlice>,
    script: Script,
    open: BTreeMap<u64, Open>,
    typed: u64,
    answers: Vec<Answer>,
    facts: Vec<Fact>,
    trace: Vec<String>,
    sample_at: SimTime,
    limit: SimTime,
    linger: SimTime,
    /// When the script was done.
    done_at: Option<SimTime>,
    counts: Counts,
    watch: Option<Watch>,
    stop: Option<Stop>,
    /// Domains on their way to a grid line, one of which a debugger has stopped.
    held: Option<Round>,
    /// [`World::run_script_until`] returns at the first turn that is not before.
    pause: SimTime,
    outside: Outside,
}

/// Domains that run to a grid line.
struct Round {
    slices: Vec<DomainSlice>,
    /// There is one, which may go on to later lines.
    alone: bool,
    until: SimTime,
    /// A bit for each server of which a domain runs.
    ran: u64,
}

impl World {
    /// Powers the lab on. `file` names the scenario in errors.
    ///
    /// # Errors
    /// See [`WorldError`].
    pub fn new(
        scenario: &Scenario,
        file: &str,
        threads: usize,
        prepare: &mut Prepare<'_>,
    ) -> Result<Self, WorldError> {
        let (lab, mut outlets) = Lab::assemble(scenario)?;
        let mut world = Self {
            now: SimTime::ZERO,
            slice: scenario.slice.0,
            servers: Vec::new(),
            lab,
            nics: BTreeMap::new(),
            pool: Pool::new(threads.max(1)),
            script: Script::new(scenario, file),
            open: BTreeMap::new(),
            typed: TYPED,
            answers: Vec::new(),
            facts: Vec::new(),
            trace: Vec::new(),
            sample_at: SAMPLE,
            limit: scenario.limits.time.0,
            linger: scenario.linger.0,
            done_at: None,
            counts: Counts::default(),
            watch: None,
            stop: None,
            held: None,
            pause: SimTime::NEVER,
            outside: Outside::default(),
        };
        world.note(Fact::run_begins(&scenario.name, scenario.seed, world.slice));
        for (name, chassis) in &scenario.chassis {
            let roms = Roms::read(chassis)
                .map_err(|why| WorldError::Boot { chassis: name.clone(), why })?;
            let inventory = inventory(name, chassis, &roms);
            let given = prepare(name, chassis, &inventory)
                .map_err(|why| WorldError::Prepare { chassis: name.clone(), why })?;
            let nics = outlets.remove(name).unwrap_or_default();
            for (nic, outlet) in (0..).zip(&nics) {
                world.nics.insert(*outlet, (world.servers.len(), nic));
            }
            let mut server = Server::power_on(&inventory, &roms, given, nics)
                .map_err(|why| WorldError::PowerOn { chassis: name.clone(), why })?;
            server.set_seed(scenario.seed);
            let drives = Drives::open(&chassis.local_disks)
                .map_err(|why| WorldError::Disk { chassis: name.clone(), why })?;
            server.set_drives(drives);
            let vcpus = server.control_vcpus() as u64;
            world.note(Fact::power_on(world.now, name, &inventory.banner, T2_HZ, vcpus));
            world.servers.push(server);
        }
        Ok(world)
    }

    /// Simulated time.
    #[must_use]
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// The servers, in the order of their names.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// A server, to act as its service processor.
    pub fn server_mut(&mut self, name: &str) -> Option<&mut Server> {
        self.servers.iter_mut().find(|server| server.name() == name)
    }

    /// The networks and hosts.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The networks and hosts, to act on them between two turns.
    pub fn lab_mut(&mut self) -> &mut Lab {
        &mut self.lab
    }

    /// Steps of the script begun, and steps in all.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        self.script.progress()
    }

    /// Counts of the run so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Says by which engine and timing model all guests are run.
    pub fn set_choice(&mut self, choice: Choice) {
        self.servers.iter_mut().for_each(|server| server.set_choice(choice));
    }

    /// Lends all domains a stopwatch for the host's time.
    pub fn set_stopwatch(&mut self, stopwatch: Option<Stopwatch>) {
        self.servers.iter_mut().for_each(|server| server.set_stopwatch(stopwatch));
    }

    /// Figures of all domains that have ever executed something: server, name, figures.
    pub fn figures(&self) -> impl Iterator<Item = (&str, String, Figures)> {
        self.servers.iter().flat_map(|server| {
            let all = server.figures().into_iter();
            all.map(|(name, figures)| (server.name(), name, figures))
        })
    }

    /// Turns the trace of hypercalls on or off.
    pub fn set_trace(&mut self, on: bool) {
        self.servers.iter_mut().for_each(|server| server.set_trace(on));
    }

    /// Captures frames of all networks, cut to `snaplen` bytes (0: whole).
    pub fn capture(&mut self, snaplen: u32) {
        for network in 0..self.lab.networks().len() {
            self.lab.network_mut(NetworkId(network)).capture(snaplen);
        }
    }

    /// Frames that were captured since the last call, in order of time, with their
    /// networks.
    pub fn take_captured(&mut self) -> Vec<(NetworkId, Captured)> {
        let mut frames = Vec::new();
        for network in (0..self.lab.networks().len()).map(NetworkId) {
            let captured = self.lab.network_mut(network).take_captured();
            frames.extend(captured.into_iter().map(|frame| (network, frame)));
        }
        frames.sort_by_key(|(network, frame)| (frame.at, *network));
        frames
    }

    /// Facts that were noted since the last call.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }

    /// Lines of the hypercall trace since the last call, each behind its server's
    /// name.
    pub fn take_trace(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trace)
    }

    /// Answers to typed lines since the last call.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// True while the typed line `id` has no answer.
    #[must_use]
    pub fn is_open(&self, id: u64) -> bool {
        self.open.contains_key(&id)
    }

    /// True when the script has ended and the time after it has passed.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done_at.is_some_and(|done| self.now >= done.plus(self.linger))
    }

    /// Types a line; its answer comes among [`World::take_answers`] under the number
    /// that is returned.
    ///
    /// # Errors
    /// There is no such chassis or host.
    pub fn type_line(&mut self, prompt: &Prompt) -> Result<u64, WorldError> {
        let id = self.typed;
        self.begin(id, prompt)?;
        self.typed += 1;
        Ok(id)
    }

    /// Says at what time [`World::run_script_until`] returns, at the first turn that is
    /// not before it. What happens does not depend on it.
    pub fn set_pause(&mut self, pause: Option<SimTime>) {
        self.pause = pause.unwrap_or(SimTime::NEVER);
    }

    /// Has the time of its pause come?
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.now >= self.pause
    }

    /// Runs until the script and the time after it are over.
    ///
    /// # Errors
    /// The script fails, or the scenario's limit is reached.
    pub fn run_script_until(&mut self, until: SimTime) -> Result<(), WorldError> {
        while !self.is_done() && self.now < until.min(self.pause) && self.stop.is_none() {
            if self.now >= self.limit {
                let (begun, steps) = self.script.progress();
                return Err(WorldError::Time { seconds: self.limit.as_secs_f64(), begun, steps });
            }
            let end = self.done_at.map_or(SimTime::NEVER, |done| done.plus(self.linger));
            self.step(until.min(end).min(self.limit))?;
        }
        Ok(())
    }

    /// Runs until `until`, whatever the script says.
    ///
    /// # Errors
    /// The script fails.
    pub fn run_until(&mut self, until: SimTime) -> Result<(), WorldError> {
        while self.now < until && self.stop.is_none() {
            self.step(until)?;
        }
        Ok(())
    }

    /// Goes on to the next turn, not beyond `until`.
    ///
    /// # Errors
    /// The script fails.
    pub fn advance(&mut self, until: SimTime) -> Result<(), WorldError> {
        self.step(until)
    }

    /// Runs until the typed line `id` is answered, or `until`.
    ///
    /// # Errors
    /// The script fails.
    pub fn run_until_answered(&mut self, id: u64, until: SimTime) -> Result<(), WorldError> {
        while self.now < until && self.open.contains_key(&id) && self.stop.is_none() {
            self.step(until)?;
        }
        Ok(())
    }

    /// Goes on to the next turn, no further than `until` unless a slice begins
    /// before it; or to where a debugger stops it.
    fn step(&mut self, until: SimTime) -> Result<(), WorldError> {
        if let Some(round) = self.held.take() {
            return match self.go_on(round) {
                Some(reached) => self.reach(reached),
                None => Ok(()),
            };
        }
        if self.is_rung() {
            return Ok(());
        }
        let grid = grid_after(self.now, self.slice);
        let due = self.next_due(grid).min(until).max(self.now.plus(STEP_MIN));
        let domain = self.servers.iter().map(|server| server.next_domain(None)).min();
        let domain = domain.unwrap_or(SimTime::NEVER).max(self.now);
        if domain >= due {
            return self.reach((due, 0));
        }
        match self.run_domains(grid_after(domain, self.slice), due) {
            Some(reached) => self.reach(reached),
            None => Ok(()),
        }
    }

    /// The turn at a time, and a bit for each server of which a domain has run.
    fn reach(&mut self, (now, ran): (SimTime, u64)) -> Result<(), WorldError> {
        self.now = now;
        self.turn(ran)
    }

    /// When something other than a domain happens next.
    fn next_due(&self, grid: SimTime) -> SimTime {
        let servers = self.servers.iter().map(|server| server.next_time(grid));
        let servers = servers.min().unwrap_or(SimTime::NEVER);
        let lab = self.lab.next_time().min(self.outside.next_time());
        servers.min(lab).min(self.script.next_time()).min(self.sample_at)
    }

    /// Runs all domains that can execute before the grid line `until`; which grid
    /// line was reached, and a bit for each server of which a domain ran. `None` when a
    /// debugger has stopped one.
    fn run_domains(&mut self, until: SimTime, due: SimTime) -> Option<(SimTime, u64)> {
        let mut ready = Vec::new();
        for (number, server) in self.servers.iter().enumerate() {
            ready.extend(server.ready(until).map(|id| (number, id)));
        }
        let alone = ready.len() == 1;
        // Who shares an issue is said when a slice begins.
        let holds = match ready.is_empty() {
            true => SimTime::NEVER,
            false => {
                let holds = self.servers.iter_mut().map(Server::publish_groups);
                holds.min().unwrap_or(SimTime::NEVER)
            }
        };
        let limit = match *ready {
            // Others that wake up later end its solitude.
            [(number, id)] => {
                let others = self.servers.iter().enumerate();
                let others =
                    others.map(|(at, server)| server.next_domain((at == number).then_some(id)));
                others.min().unwrap_or(SimTime::NEVER).min(due).min(holds)
            }
            _ => until,
        };
        let mut round = Round { slices: Vec::new(), alone, until, ran: 0 };
        for (number, id) in ready {
            let taken = self.servers[number].take(number, id, self.slice, until, limit);
            round.slices.extend(taken);
            round.ran |= 1 << number;
        }
        self.counts.slices += round.slices.len() as u64;
        if self.watch.is_some() {
            round = self.watched(round)?;
        }
        round.slices = self.pool.run(round.slices);
        self.finish(round)
    }

    /// Puts the domains of a round back, if all of them are done.
    fn finish(&mut self, round: Round) -> Option<(SimTime, u64)> {
        if round.slices.iter().any(|slice| !slice.done) {
            let at = round.slices.iter().position(|slice| slice.stop.is_some());
            self.keep(round, at.unwrap_or(0));
            return None;
        }
        let first = round.slices.first().filter(|_| round.alone);
        let reached = first.map_or(round.until, |slice| slice.until);
        for slice in round.slices {
            self.servers[slice.server].put(slice);
        }
        Some((reached, round.ran))
    }

    /// What happens at `now`.
    fn turn(&mut self, ran: u64) -> Result<(), WorldError> {
        self.counts.turns += 1;
        let now = self.now;
        for (number, server) in self.servers.iter_mut().enumerate() {
            server.boundary(now, ran >> number & 1 != 0);
        }
        while let Some(input) = self.outside.enter(now) {
            self.enter(input);
        }
        if self.lab.next_time() <= now {
            for arrival in self.lab.run_until(now) {
                if let Some(&(server, nic)) = self.nics.get(&arrival.outlet) {
                    self.servers[server].frame(nic, arrival.frame);
                } else {
                    self.outside.frame(arrival.outlet, &arrival.frame);
                }
            }
            for fact in self.lab.take_facts() {
                self.note(fact);
            }
        }
        while let Some(due) = self.script.due(now) {
            self.begin(due.id.0 as u64, &due.prompt)?;
        }
        let mut answers = Vec::new();
        for number in 0..self.servers.len() {
            let (server, lab) = (&mut self.servers[number], &mut self.lab);
            server.native(
                &self.pool,
                |outlet, frame| lab.send(outlet, frame, now),
                |id, reply| answers.push((id, reply)),
            );
        }
        if now >= self.sample_at {
            let span = SAMPLE.plus(now.since(self.sample_at));
            self.servers.iter_mut().for_each(|server| server.sample(span));
            self.sample_at = now.plus(SAMPLE);
            self.script.check(now)?;
        }
        self.collect();
        for (id, reply) in answers {
            self.end(id, reply)?;
        }
        if self.done_at.is_none() && self.script.is_done() {
            self.done_at = Some(now);
        }
        Ok(())
    }

    /// Takes facts and traces from the servers.
    fn collect(&mut self) {
        for number in 0..self.servers.len() {
            for fact in self.servers[number].take_facts() {
                self.note(fact);
            }
            let lines = self.servers[number].take_trace();
            let name = self.servers[number].name();
            self.trace.extend(lines.into_iter().map(|line| format!("{name} {line}")));
            let server = &mut self.servers[number];
            for (domain, news) in server.take_consoles() {
                match news {
                    ConsoleNews::Out(bytes) => self.outside.console(server.name(), &domain, bytes),
                    ConsoleNews::Room(room) => self.outside.set_room(server.name(), &domain, room),
                }
            }
        }
    }

    /// Puts a fact into the record, and before the script.
    fn note(&mut self, fact: Fact) {
        self.script.note(&fact);
        self.facts.push(fact);
    }

    /// A command line is typed.
    fn begin(&mut self, id: u64, prompt: &Prompt) -> Result<(), WorldError> {
        let Prompt { place, line } = prompt;
        let now = self.now;
        let open = || Open { place: place.clone(), line: line.clone() };
        if let Some(server) = self.servers.iter_mut().find(|server| server.name() == place) {
            let off = server.is_off();
            if !off {
                server.command(id, line);
            }
            self.note(Fact::typed(now, place, id, line));
            self.open.insert(id, open());
            return if off { self.no_answer(id) } else { Ok(()) };
        }
        let result = match place.as_str() {
            "lab" if line.split_whitespace().next() == Some("power") => self.power(line)?,
            "lab" => Some(self.lab.cables(line)),
            host => self.lab.command(host, line, now),
        };
        let result = result.ok_or_else(|| WorldError::Place(place.clone()))?;
        self.note(Fact::typed(now, place, id, line));
        self.open.insert(id, open());
        for fact in self.lab.take_facts() {
            self.note(fact);
        }
        self.end(
            id,
            match result {
                Ok(stdout) => Reply { stdout, ..Reply::default() },
                Err(why) => Reply { stderr: format!("{why}\n"), status: 1, ..Reply::default() },
            },
        )
    }

    /// A command line is answered. An answer to nothing, or a second one, is a
    /// mistake of the program's and changes nothing.
    fn end(&mut self, id: u64, reply: Reply) -> Result<(), WorldError> {
        let Some(Open { place, line }) = self.open.remove(&id) else { return Ok(()) };
        let printed = format!("{}{}", reply.stdout, reply.stderr);
        self.note(Fact::answered(self.now, &place, id, &line, reply.status, &printed));
        if id >= TYPED {
            self.answers.push(Answer { id, prompt: Prompt { place, line }, reply });
            return Ok(());
        }
        self.script.answered(StepId(id as usize), self.now, reply.status, &printed)?;
        Ok(())
    }
}

mod debug;
mod door;
mod power;
mod record;
pub use debug::Stop;
use debug::Watch;
pub use record::WorldV1;

#[cfg(test)]
mod test;
