//! Migrations that are under way, as far as the manager has to do with them.
//!
//! While a domain moves, changes are refused at both ends: of the domain itself, and
//! of whatever is bound or offered, which the migration may count on. What is only
//! asked for others may change.

use super::domain::Domain;
use super::model::{Model, Refused};
use super::{Manager, failed};
use crate::cli::verb::Migrate;
use crate::migrate::port::Status;
use std::collections::BTreeMap;
use sun4v::native::{Ports, Reply};

/// A migration that an operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The operator's command, which [`Manager::migration_ended`] answers.
    pub command: u64,
    /// Which domain.
    pub domain: String,
    /// What it is to be called at the target, if not the same.
    pub new_name: Option<String>,
    /// Host name or address of the target.
    pub host: String,
    /// As whom; nothing is the one who asks.
    pub user: Option<String>,
    /// The target's password.
    pub password: String,
    /// `-n`: check, and change nothing.
    pub check_only: bool,
    /// `-f`.
    pub force: bool,
    /// Fresh numbers for this migration.
    pub entropy: [u8; 32],
}

/// A migration that an operator wants to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// The operator's command, which [`Manager::cancellation_ended`] answers.
    pub command: u64,
    /// [`Outgoing::command`] of the migration.
    pub migration: u64,
}

/// A domain that an operator takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeOver {
    /// The operator's command, which [`Manager::cancellation_ended`] answers.
    pub command: u64,
    /// Which domain.
    pub domain: String,
}

/// Migrations under way.
#[derive(Debug, Default)]
pub(super) struct Migrating {
    pub(super) outgoing: BTreeMap<u64, Outgoing>,
    pub(super) new: Vec<Outgoing>,
    pub(super) cancellations: Vec<Cancellation>,
    pub(super) takeovers: Vec<TakeOver>,
    pub(super) status: BTreeMap<String, Status>,
}

impl Migrating {
    /// What is shown of a domain.
    pub(super) fn status(&self, name: &str) -> Option<&Status> {
        self.status.get(name)
    }

    pub(super) fn set_status(&mut self, name: &str, status: Option<Status>) {
        match status {
            Some(status) => self.status.insert(name.to_owned(), status),
            None => self.status.remove(name),
        };
    }

    /// A domain that comes in, as far as it has said so.
    pub(super) fn incoming(&self) -> Option<&str> {
        let mut incoming = self.status.iter().filter(|(_, status)| !status.source);
        incoming.next().map(|(name, _)| name.as_str())
    }

    /// A domain that moves.
    fn moves(&self) -> Option<&str> {
        let going = self.outgoing.values().map(|outgoing| outgoing.domain.as_str());
        going.chain(self.status.keys().map(String::as_str)).next()
    }
}

/// The last line of a migration that failed.
pub(super) fn summary(domain: &str, check_only: bool) -> String {
    if check_only {
        format!("Domain Migration of LDom {domain} would fail if attempted")
    } else {
        format!("Domain Migration of LDom {domain} failed")
    }
}

impl Manager {
    /// Migrations that have been asked for, to be begun.
    #[must_use]
    pub fn take_migrations(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.migrating.new)
    }

    /// Migrations that are to be ended.
    #[must_use]
    pub fn take_cancellations(&mut self) -> Vec<Cancellation> {
        std::mem::take(&mut self.migrating.cancellations)
    }

    /// Domains that are to be taken over.
    #[must_use]
    pub fn take_takeovers(&mut self) -> Vec<TakeOver> {
        std::mem::take(&mut self.migrating.takeovers)
    }

    /// A migration has ended: its operator is answered.
    pub fn migration_ended(
        &mut self,
        ports: &mut dyn Ports,
        command: u64,
        result: Result<(), Vec<String>>,
    ) {
        let Some(outgoing) = self.migrating.outgoing.remove(&command) else { return };
        let reply = match result {
            Ok(()) => Reply::default(),
            Err(mut lines) => {
                lines.push(summary(&outgoing.domain, outgoing.check_only));
                failed(&lines)
            }
        };
        ports.reply(command, reply);
    }

    /// An operator who wanted to end a migration is answered.
    pub fn cancellation_ended(
        &mut self,
        ports: &mut dyn Ports,
        command: u64,
        result: Result<(), String>,
    ) {
        ports.reply(command, result.map_or_else(|why| failed(&[why]), |()| Reply::default()));
    }

    /// Fresh numbers, for a migration that comes in.
    #[must_use]
    pub fn draw_entropy(&mut self) -> [u8; 32] {
        self.entropy.draw()
    }

    /// Refuses changes while a domain moves.
    pub(super) fn nothing_moves(&self) -> Result<(), Refused> {
        let mut domains = self.model().into_iter().flat_map(|model| &model.domains);
        let shell = domains.find(|domain| domain.shell).map(|domain| domain.name.as_str());
        match self.migrating.moves().or(shell) {
            None => Ok(()),
            Some(name) => Err(vec![
                format!("A migration of LDom {name} is in progress"),
                "Changes of the configuration are refused until it ends".into(),
            ]),
        }
    }

    /// While a domain moves, a draft may only differ in what domains that neither move
    /// nor are bound ask for.
    pub(super) fn moves_nothing(&self, next: &Model) -> Result<(), Refused> {
        let Some(model) = self.model() else { return Ok(()) };
        let fixed = |model: &Model| -> Vec<Domain> {
            let moves = |name: &str| {
                let mut outgoing = self.migrating.outgoing.values();
                outgoing.any(|own| own.domain == name) || self.migrating.status(name).is_some()
            };
            let fixed = model.domains.iter().filter(|own| own.given.is_some() || moves(&own.name));
            fixed.cloned().collect()
        };
        if fixed(model) == fixed(next) && model.services == next.services {
            return Ok(());
        }
        self.nothing_moves()
    }

    /// Begins a migration, if its domain may leave.
    pub(super) fn depart(&mut self, command: u64, migrate: &Migrate) -> Result<(), Refused> {
        self.offer(&migrate.domain).map_err(|why| vec![why])?;
        let refused = self.leaving(&migrate.domain);
        // A dry run goes on, to hear what the target says.
        if !refused.is_empty() && !migrate.check_only {
            return Err(refused);
        }
        if let Some(other) = self.migrating.outgoing.values().next() {
            return Err(vec![if other.domain == migrate.domain {
                format!("LDom {} is already being migrated", migrate.domain)
            } else {
                format!("A migration of LDom {} is in progress", other.domain)
            }]);
        }
        if [self.settings.hostname.as_str(), "localhost", "127.0.0.1"]
            .contains(&migrate.host.as_str())
        {
            return Err(vec![format!(
                "LDom {} cannot be migrated to the system that it is on",
                migrate.domain
            )]);
        }
        let outgoing = Outgoing {
            command,
            domain: migrate.domain.clone(),
            new_name: migrate.new_name.clone().filter(|name| *name != migrate.domain),
            host: migrate.host.clone(),
            user: migrate.user.clone(),
            password: self.password(migrate)?,
            check_only: migrate.check_only,
            force: migrate.force,
            entropy: self.entropy.draw(),
        };
        self.migrating.new.push(outgoing.clone());
        self.migrating.outgoing.insert(command, outgoing);
        Ok(())
    }

    /// The first line of the password file. Nobody sits at a terminal here.
    fn password(&self, migrate: &Migrate) -> Result<String, Refused> {
        let Some(path) = &migrate.password_file else {
            return Err(vec!["Target Password: there is no terminal to ask at; use -p".into()]);
        };
        let Some(text) = self.settings.files.get(path) else {
            return Err(vec![format!("Password file {path} cannot be opened")]);
        };
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(line.to_owned()),
            _ => Err(vec![format!("Password file {path} does not contain a password")]),
        }
    }

    /// The host that a domain comes from.
    fn comes_from(&self, name: &str) -> Result<String, Refused> {
        if let Some(model) = self.model() {
            model.domain(name)?;
        }
        match self.migrating.status(name).filter(|status| !status.source) {
            Some(status) => Ok(status.peer.clone()),
            None => Err(vec![format!("LDom {name} is not being migrated to this system")]),
        }
    }

    /// What an operator risks who takes a domain over.
    pub(super) fn risks(&self, name: &str) -> Result<Refused, Refused> {
        let peer = self.comes_from(name)?;
        Ok(vec![
            format!("LDom {name} may still be running on {peer}, which has not given it up"),
            "If it is, two copies of it will write to the same disks and use the same addresses"
                .into(),
            format!("Make sure that {peer} is powered off, or that LDom {name} does not run there"),
            format!("Use \"ldm complete-operation -f migration {name}\" to run it here then"),
        ])
    }

    /// Hands an operator's wish to take a domain over on.
    pub(super) fn take_over(&mut self, command: u64, name: &str) -> Result<(), Refused> {
        self.comes_from(name)?;
        let domain = name.to_owned();
        self.migrating.takeovers.push(TakeOver { command, domain });
        Ok(())
    }

    /// Operators who wait for an answer.
    #[must_use]
    pub fn waiting_operators(&self) -> Vec<u64> {
        let cancellations = self.migrating.cancellations.iter().map(|own| own.command);
        let takeovers = self.migrating.takeovers.iter().map(|own| own.command);
        let jobs = self.job.iter().chain(&self.aside).chain(&self.queue);
        let jobs = jobs.filter_map(super::work::Job::operator);
        let outgoing = self.migrating.outgoing.keys().copied();
        outgoing.chain(cancellations).chain(takeovers).chain(jobs).collect()
    }

    /// Hands an operator's wish to end a migration on.
    pub(super) fn cancel(&mut self, command: u64, name: &str) -> Result<(), Refused> {
        if let Some(model) = self.model() {
            model.domain(name)?;
        }
        let mut outgoing = self.migrating.outgoing.values();
        match outgoing.find(|outgoing| outgoing.domain == name) {
            Some(outgoing) => {
                let migration = outgoing.command;
                self.migrating.cancellations.push(Cancellation { command, migration });
                Ok(())
            }
            None => Err(vec![format!("LDom {name} is not being migrated from this system")]),
        }
    }
}
