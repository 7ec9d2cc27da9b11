//! A world is held, saved, loaded, and begins again: what [`super::super::checkpoint`]
//! is made of.
//!
//! **Errors.** [`Unsaved`] while something is under way; [`LoadError`] for sections that
//! are not as they should be, before anything runs.

use super::{Counts, Open, SAMPLE, TYPED, World, WorldError};
use crate::chassis::checkpoint::{LoadError, RECORDS_MAX, Reader, Unsaved, Writer, one, put};
use crate::chassis::pool::Pool;
use crate::chassis::server::{Restore, Server};
use crate::lab::scenario::Scenario;
use crate::lab::script::{Script, ScriptV1};
use crate::lab::{Lab, NetworkId};
use crate::net::record::NetworkV1;
use crate::outside::Outside;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use sun4v::record::{self, Schema};
use sun4v::time::SimTime;

/// A world, version 1, but for its servers, networks and hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldV1 {
    /// Simulated time.
    pub now: SimTime,
    /// When facts are sampled next.
    pub sample_at: SimTime,
    /// When the script was done.
    pub done_at: Option<SimTime>,
    /// Commands that were typed, beside the script's.
    pub typed: u64,
    /// Turns and slices.
    pub counts: (u64, u64),
    /// The script.
    pub script: ScriptV1,
}

impl Schema for WorldV1 {
    const KIND: &'static str = "chassis/world";
    const VERSION: u32 = 1;
}

/// The section of a [`WorldV1`].
const WORLD: &str = "world";

impl World {
    /// Could it be saved now? Nothing changes by that.
    ///
    /// # Errors
    /// See [`Unsaved`].
    pub fn check_save(&self) -> Result<(), Unsaved> {
        let held = |why: String| Err(Unsaved::Held(why));
        if self.watch.is_some() || self.held.is_some() {
            return held("a debugger watches".to_owned());
        }
        if self.outside.is_used() {
            return held("somebody outside is part of it".to_owned());
        }
        if let Some(Open { place, line }) = self.open.values().next() {
            return held(format!("`{place}# {line}` has no answer yet"));
        }
        for server in &self.servers {
            server.check_save()?;
        }
        for host in self.lab.hosts() {
            host.save().map_err(|why| Unsaved::Held(format!("{}: {why}", host.name())))?;
        }
        Ok(())
    }

    /// Does what is to be done at this moment and then holds everybody, so that it can
    /// be saved. It does not go on afterwards; a world that is loaded does.
    ///
    /// # Errors
    /// See [`World::check_save`]; then nothing has changed, unless what this moment
    /// brought was in the way.
    pub fn hold(&mut self) -> Result<(), Unsaved> {
        self.check_save()?;
        self.servers.iter_mut().try_for_each(Server::hold)?;
        self.lab.hold(self.now);
        for fact in self.lab.take_facts() {
            self.note(fact);
        }
        self.collect();
        Ok(())
    }

    /// Writes its sections, while it is held and all that it noted was taken.
    ///
    /// # Errors
    /// It is not held, or something is not taken.
    pub fn save(&mut self, writer: &mut Writer) -> Result<(), Unsaved> {
        let captured = self.lab.networks().iter().any(|network| network.holds_captured());
        if captured || !self.facts.is_empty() || !self.trace.is_empty() || !self.answers.is_empty()
        {
            return Err(Unsaved::Held("what was noted has not been taken".to_owned()));
        }
        let Self {
            // The scenario's.
            slice: _,
            limit: _,
            linger: _,
            nics: _,
            // The host's.
            pool: _,
            // Nothing is in them.
            open: _,
            answers: _,
            facts: _,
            trace: _,
            // No debugger.
            watch: _,
            stop: _,
            held: _,
            // Whoever runs it says it anew.
            pause: _,
            // Nobody has come to it.
            outside: _,
            now,
            servers,
            lab,
            script,
            typed,
            sample_at,
            done_at,
            counts: Counts { turns, slices },
        } = self;
        let record = WorldV1 {
            now: *now,
            sample_at: *sample_at,
            done_at: *done_at,
            typed: *typed - TYPED,
            counts: (*turns, *slices),
            script: script.save(),
        };
        put(writer, WORLD, &record);
        for network in lab.networks() {
            put(writer, &network_section(network.name()), &network.save());
        }
        for host in lab.hosts() {
            let bytes = host.save().map_err(Unsaved::Held)?;
            writer.section(&host_section(host.name())).add(&bytes);
        }
        servers.iter_mut().try_for_each(|server| server.save(writer))
    }

    /// Makes the world of `scenario`, which was read from `file`, from its sections. It
    /// is held: [`World::restart`] lets it go on.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(
        scenario: &Scenario,
        file: &str,
        threads: usize,
        restore: &mut Restore<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<Self, LoadError> {
        let WorldV1 { now, sample_at, done_at, typed, counts, script: stands } =
            one(reader, WORLD)?;
        let check = |sound: bool, why| match sound {
            true => Ok(()),
            false => {
                let kind = WorldV1::KIND;
                Err(LoadError::record(WORLD, record::LoadError::Inconsistent { kind, why }))
            }
        };
        let mut script = Script::new(scenario, file);
        script.load(stands).map_or_else(|why| check(false, why), Ok)?;
        check(sample_at > now && sample_at <= now.plus(SAMPLE), "a sample that is not next")?;
        check(done_at.is_none_or(|done| done <= now), "a script that will have been done")?;
        check(done_at.is_none() || script.is_done(), "a script that is done and goes on")?;
        check(typed <= TYPED, "more commands than anybody can type")?;
        let (mut lab, mut outlets) =
            Lab::assemble(scenario).map_err(|why| LoadError::section(WORLD, why))?;
        for network in (0..lab.networks().len()).map(NetworkId) {
            let network = lab.network_mut(network);
            let section = network_section(network.name());
            let record: NetworkV1 = one(reader, &section)?;
            network.load(record).map_err(|why| LoadError::record(&section, why))?;
        }
        for host in 0..lab.hosts().count() {
            let Some(host) = lab.host_mut(host) else { continue };
            let section = host_section(host.name());
            let bytes = reader.section(&section)?.all(host.records_max().max(RECORDS_MAX))?;
            host.load(&bytes).map_err(|why| LoadError::record(&section, why))?;
        }
        let mut nics = BTreeMap::new();
        let mut servers = Vec::new();
        for (name, chassis) in &scenario.chassis {
            let own = outlets.remove(name).unwrap_or_default();
            for (nic, outlet) in (0..).zip(&own) {
                nics.insert(*outlet, (servers.len(), nic));
            }
            servers.push(Server::load((name, chassis, scenario.seed), own, now, restore, reader)?);
        }
        let (turns, slices) = counts;
        Ok(Self {
            now,
            slice: scenario.slice.0,
            servers,
            lab,
            nics,
            pool: Pool::new(threads.max(1)),
            script,
            open: BTreeMap::new(),
            typed: TYPED + typed,
            answers: Vec::new(),
            facts: Vec::new(),
            trace: Vec::new(),
            sample_at,
            limit: scenario.limits.time.0,
            linger: scenario.linger.0,
            done_at,
            counts: Counts { turns, slices },
            watch: None,
            stop: None,
            held: None,
            pause: SimTime::NEVER,
            outside: Outside::default(),
        })
    }

    /// Lets a world that was loaded go on: guests resume, hosts and the control domains'
    /// software begin again, all before any guest executes.
    ///
    /// # Errors
    /// The script fails.
    pub fn restart(&mut self) -> Result<(), WorldError> {
        self.servers.iter_mut().for_each(Server::restart);
        self.lab.restart(self.now);
        // The first turn hears what is asked for, the second makes it known.
        self.turn(u64::MAX)?;
        self.turn(u64::MAX)
    }
}

fn network_section(name: &str) -> String {
    format!("network/{name}")
}

fn host_section(name: &str) -> String {
    format!("host/{name}")
}
