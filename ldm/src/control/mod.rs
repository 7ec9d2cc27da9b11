//! The control domain: its manager, its services, and what joins them.
//!
//! [`ControlDomain`] is a native program. It hands every event to whoever it is
//! for, and then lets everybody work until nothing moves: frames, storage,
//! services, the manager, migrations. It decides nothing itself.
//!
//! **Shapes.** What mondos say: one cookie for the channel to the hypervisor, the
//! interrupt numbers of crypto units (0x100 and up), and a range of cookies for
//! service ports, by endpoint ([`services::key`]).
//! Tokens of timers: see [`timer`].

pub mod journal;
mod lull;
mod moves;
mod network;
mod noise;
pub mod record;
mod running;
mod services;
mod start;

pub use network::NicConf;

use crate::channel::Copier;
use crate::cost::Cost;
use crate::manager::Ldmd;
use crate::memory::Arena;
use crate::migrate;
use crate::service::host::Host;
use journal::Paper;
use record::Recalled;
use running::Running;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use sun4v::hvmd::Inventory;
use sun4v::native::{Event, Ports, Program, Reply};
use sun4v::record::LoadError;

/// Cookie of the channel to the hypervisor.
const HVCTL_COOKIE: u64 = 1;

/// Tokens of timers.
mod timer {
    /// Somebody has something to do.
    pub const WORK: u64 = 1;
    /// Crypto units are looked at.
    pub const UNITS: u64 = 2;
    /// A domain that leaves.
    pub const SOURCE: u64 = 3;
    /// A domain that comes.
    pub const TARGET: u64 = 4;
    /// An entry of the journal of migrations is durable.
    pub const JOURNAL: u64 = 5;
}

/// What a control domain is told when it is made.
#[derive(Clone, Debug)]
pub struct ControlConf {
    /// What the service processor tells about the machine.
    pub inventory: Inventory,
    /// Network interfaces, by number; the first is towards other control domains.
    pub nics: Vec<NicConf>,
    /// Hosts by name.
    pub hosts: BTreeMap<String, Ipv4Addr>,
    /// Files that commands may name.
    pub files: BTreeMap<String, String>,
    /// The password that others need to migrate to here.
    pub password: String,
    /// What looks like chance comes of it.
    pub seed: u64,
    /// How to migrate.
    pub migrate: migrate::Config,
    /// Bytes of the buffers of a migration's connection, each way ([`SOCKET_BYTES`]).
    pub socket_bytes: usize,
    /// What work costs.
    pub cost: Cost,
    /// Properties of the manager's service.
    pub ldmd: Ldmd,
}

/// Bytes of the buffers of a migration's connection, each way, if nobody says otherwise: what
/// may be under way. Several times what a gigabit a second takes in half a millisecond, and
/// half of what waits at most before a link of the lab: who sends more loses frames there,
/// and the stack (Reno, with a second until it gives up on the rest of a window) waits.
pub const SOCKET_BYTES: usize = 512 << 10;

/// What services share.
pub struct Kit {
    arena: Arena,
    copier: Copier,
    cost: Cost,
}

impl Kit {
    /// For one call.
    pub fn host<'a>(&'a mut self, ports: &'a mut dyn Ports) -> Host<'a> {
        Host { ports, arena: &mut self.arena, copier: &self.copier, cost: &self.cost }
    }
}

/// The control domain's software.
pub struct ControlDomain {
    conf: ControlConf,
    running: Option<Box<Running>>,
    /// What it goes on from, until it begins.
    recalled: Option<Box<Recalled>>,
    /// The medium of its journal is full.
    full: bool,
}

impl ControlDomain {
    /// One that waits for its domain to start.
    #[must_use]
    pub fn new(conf: ControlConf) -> Self {
        Self { conf, running: None, recalled: None, full: false }
    }

    /// One whose domain goes on and whose software is yet to begin again, from what
    /// [`Program::save`] gave.
    ///
    /// # Errors
    /// Bytes that are damaged, of another domain, or that break a rule.
    pub fn restored(conf: ControlConf, bytes: &[u8]) -> Result<Self, LoadError> {
        let recalled = record::load(&conf, bytes)?;
        Ok(Self { conf, running: None, recalled: Some(Box::new(recalled)), full: false })
    }

    /// The journal of its migrations, while its software runs.
    #[must_use]
    pub fn journal(&self) -> Option<&Paper> {
        self.running.as_ref().map(|running| running.moves().paper())
    }

    /// Its software runs, and no migration is under way or leaves something to do.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.moves().is_at_rest())
    }

    /// Says that the medium of its journal is full, or has room again.
    pub fn set_journal_full(&mut self, full: bool) {
        self.full = full;
        if let Some(running) = &mut self.running {
            running.moves_mut().paper_mut().set_full(full);
        }
    }

    /// What a life before has kept where a reset does not reach: what its manager knew, and
    /// the journal of its migrations. Work under way is lost, and its operators hear so.
    fn kept(&mut self, ports: &mut dyn Ports) -> Option<Box<Recalled>> {
        let running = self.running.take()?;
        for operator in running.waiting_operators() {
            let stderr = "The logical domain manager was restarted\n".to_owned();
            ports.reply(operator, Reply { stderr, status: 1, ..Reply::default() });
        }
        let record = running.keep(&self.conf.inventory.host);
        let bytes = record.and_then(|record| record::save(&self.conf, record));
        let kept = bytes
            .and_then(|bytes| record::load(&self.conf, &bytes).map_err(|error| error.to_string()));
        match kept {
            Ok(recalled) => Some(Box::new(recalled)),
            Err(why) => {
                ports.log(format!("the control domain was reset and remembers nothing: {why}"));
                None
            }
        }
    }

    fn begin(&mut self, ports: &mut dyn Ports) {
        let recalled = self.recalled.take().or_else(|| self.kept(ports));
        let begun = match recalled {
            None => Running::begin(&self.conf, ports),
            Some(recalled) => Running::begin_again(&self.conf, ports, *recalled),
        };
        match begun {
            Ok(mut running) => {
                running.moves_mut().paper_mut().set_full(self.full);
                self.running = Some(Box::new(running));
            }
            Err(error) => ports.log(format!("the control domain cannot begin: {error}")),
        }
    }
}

impl Program for ControlDomain {
    fn event(&mut self, event: Event, ports: &mut dyn Ports) {
        match (&mut self.running, event) {
            (_, Event::Start | Event::Restarted) => self.begin(ports),
            (Some(running), event) => running.event(ports, event),
            (None, Event::Command { id, .. }) => {
                let stderr = "Failed to connect to logical domain manager: it is not running\n";
                let stderr = stderr.to_owned();
                ports.reply(id, Reply { stderr, status: 1, ..Reply::default() });
            }
            (None, _) => {}
        }
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        let Self { conf, running, recalled, full: _ } = self;
        let host = &conf.inventory.host;
        match (running, recalled) {
            (Some(running), _) => record::save(conf, running.save(host)?),
            (None, Some(recalled)) => record::save(conf, recalled.save(host)?),
            (None, None) => Err("the control domain's software does not run".to_owned()),
        }
    }
}

#[cfg(test)]
mod testing;
