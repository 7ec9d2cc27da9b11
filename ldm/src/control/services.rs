//! The services of the control domain: disks and their storage, consoles, and the
//! manager's sessions with domains.

use super::Kit;
use super::network::Network;
use crate::channel::OpenError;
use crate::manager::Change;
use crate::service::ds::{Ask, DsEvent, DsServer};
use crate::service::vcc::record::{ConsolePortV1, Recalled};
use crate::service::vcc::{ConsoleConf, ConsoleServer};
use crate::service::vds::record::{Disk, DiskV1};
use crate::service::vds::{DiskServer, Rest};
use crate::service::volume::{Backend, Completion, VolumeId};
use crate::service::volumes::Volumes;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use sun4v::ds::service::VariableResult;
use sun4v::id::{GuestId, LdcId};
use sun4v::native::{ConsoleInput, Ports};
use sun4v::time::SimTime;
use sun4v::vio::vdisk::Errno;

/// Cookies of service ports begin here; the endpoint's number is added.
const PORT_COOKIES: u64 = 0x1_0000;
/// How often consoles without room are tried again.
const FLUSH_RETRY: SimTime = SimTime::us(100);

/// The cookie of the mondos of a service port.
pub const fn key(channel: LdcId) -> u64 {
    PORT_COOKIES + channel.0 as u64
}

/// What ports had to remember, by channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Disks'.
    pub disks: BTreeMap<LdcId, Disk>,
    /// Consoles'.
    pub consoles: BTreeMap<LdcId, Recalled>,
}

impl Remembered {
    /// The records again.
    pub fn save(&self) -> (Vec<DiskV1>, Vec<ConsolePortV1>) {
        let Self { disks, consoles } = self;
        let disks = disks.iter().map(|(&channel, disk)| disk.save(channel));
        let consoles = consoles.iter().map(|(&channel, console)| console.save(channel));
        (disks.collect(), consoles.collect())
    }
}

/// Disks, consoles and sessions.
pub struct Services {
    /// What ports that are yet to be opened again go on from.
    remembered: Remembered,
    disks: DiskServer,
    consoles: ConsoleServer,
    sessions: DsServer,
    storage: Volumes,
    /// The interface towards storage.
    nic: usize,
    /// Something was asked of storage.
    asked: bool,
    /// Volumes that are opened only to see whether they can be, and what came of it.
    looks: BTreeMap<VolumeId, String>,
    looked: Vec<(String, Result<(), Errno>)>,
}

impl Services {
    /// None has a client yet. `hosts` are those that export volumes.
    pub fn new(hosts: BTreeMap<String, Ipv4Addr>, machine: &str, network: &Network) -> Self {
        let nic = hosts.values().find_map(|address| network.nic_towards(*address)).unwrap_or(0);
        let hosts =
            hosts.into_iter().filter(|(_, at)| network.nic_towards(*at) == Some(nic)).collect();
        Self {
            remembered: Remembered::default(),
            disks: DiskServer::default(),
            consoles: ConsoleServer::default(),
            sessions: DsServer::default(),
            storage: Volumes::new(hosts, machine),
            nic,
            asked: false,
            looks: BTreeMap::new(),
            looked: Vec::new(),
        }
    }

    /// What disks' and consoles' ports must remember.
    ///
    /// # Errors
    /// Why they cannot be stopped now.
    pub fn save(&self) -> Result<(Vec<DiskV1>, Vec<ConsolePortV1>), String> {
        let Self {
            // Only while it begins.
            remembered: _,
            disks,
            consoles,
            // Domains begin their sessions anew when their channels are reset.
            sessions: _,
            // Its connections; what it holds for a disk, the disk says.
            storage,
            nic: _,
            asked: _,
            // Of migrations under way; there is none.
            looks: _,
            looked: _,
        } = self;
        Ok((disks.save(storage)?, consoles.save()))
    }

    /// The same when the domain is reset in the middle of things.
    ///
    /// # Errors
    /// A volume cannot say what it must remember.
    pub fn keep(&self) -> Result<(Vec<DiskV1>, Vec<ConsolePortV1>), String> {
        Ok((self.disks.keep(&self.storage)?, self.consoles.save()))
    }

    /// Opens all ports again: `changes` say which there are.
    pub fn begin_again(
        &mut self,
        kit: &mut Kit,
        ports: &mut dyn Ports,
        network: &mut Network,
        changes: Vec<Change>,
        remembered: Remembered,
    ) {
        self.remembered = remembered;
        for change in changes {
            self.change(kit, ports, network, change);
        }
        self.remembered = Remembered::default();
    }

    /// Does what the manager says.
    pub fn change(
        &mut self,
        kit: &mut Kit,
        ports: &mut dyn Ports,
        network: &mut Network,
        change: Change,
    ) {
        let mut host = kit.host(ports);
        let opened: Result<(), OpenError> = match change {
            Change::AddSwitch { name, net_dev, conf } => {
                network.add_switch(&name, &net_dev, conf);
                Ok(())
            }
            Change::RemoveSwitch { name } => {
                network.remove_switch(&name);
                Ok(())
            }
            Change::AttachDisk(conf) => {
                self.asked = true;
                let (key, storage) = (key(conf.channel.id), &mut self.storage);
                match self.remembered.disks.remove(&conf.channel.id) {
                    Some(disk) => self.disks.attach_again(&mut host, storage, key, conf, disk),
                    None => self.disks.attach(&mut host, storage, key, conf),
                }
            }
            Change::ClaimDisk { channel, epoch } => {
                self.asked = true;
                self.disks.claim(&mut host, &mut self.storage, key(channel), epoch);
                Ok(())
            }
            Change::AttachNet { switch, port } => {
                network.attach(&mut host, &switch, key(port.channel.id), port)
            }
            Change::AttachConsole { domain, channel, tcp_port } => {
                let conf = ConsoleConf { domain, channel, tcp_port };
                let key = key(channel.id);
                match self.remembered.consoles.remove(&channel.id) {
                    Some(own) => self.consoles.attach_again(&mut host, key, conf, own),
                    None => self.consoles.attach(&mut host, key, conf),
                }
            }
            Change::AttachServices(conf) => {
                self.sessions.attach(&mut host, key(conf.channel.id), conf)
            }
            Change::Detach(channel) => {
                self.asked = true;
                self.disks.detach(&mut host, &mut self.storage, key(channel));
                network.detach(&mut host, key(channel));
                self.consoles.detach(&mut host, key(channel));
                self.sessions.detach(&mut host, key(channel));
                Ok(())
            }
            // Of the domain itself.
            Change::CloseUnits | Change::OpenUnits => Ok(()),
        };
        if let Err(error) = opened {
            ports.log(format!("a service has no port: {error}"));
        }
    }

    /// The mondo of a service port.
    pub fn mondo(
        &mut self,
        kit: &mut Kit,
        ports: &mut dyn Ports,
        network: &mut Network,
        cookie: u64,
    ) {
        let mut host = kit.host(ports);
        if !network.mondo(&mut host, cookie) {
            self.asked = true;
            self.disks.mondo(&mut host, &mut self.storage, cookie);
            self.consoles.mondo(&mut host, cookie);
            self.sessions.mondo(&mut host, cookie);
        }
    }

    /// A request to a disk of the machine has ended.
    pub fn disk_done(&mut self, token: u64, result: Result<Vec<u8>, Errno>) {
        self.asked = true;
        self.storage.disk_done(token, result);
    }

    /// What domains have said to their manager.
    pub fn take_events(&mut self) -> Vec<DsEvent> {
        self.sessions.take_events()
    }

    /// Asks something of a guest.
    pub fn ask(
        &mut self,
        kit: &mut Kit,
        ports: &mut dyn Ports,
        guest: GuestId,
        ticket: u64,
        ask: &Ask,
    ) {
        self.sessions.ask(&mut kit.host(ports), guest, ticket, ask);
    }

    /// Answers a guest that wanted a variable changed.
    pub fn variable_done(
        &mut self,
        kit: &mut Kit,
        ports: &mut dyn Ports,
        token: u64,
        result: VariableResult,
    ) {
        self.sessions.variable_done(&mut kit.host(ports), token, result);
    }

    /// Somebody does something at a domain's console.
    pub fn console(
        &mut self,
        kit: &mut Kit,
        ports: &mut dyn Ports,
        domain: &str,
        input: &ConsoleInput,
    ) {
        if let Err(error) = self.consoles.input(&mut kit.host(ports), domain, input) {
            ports.log(format!("console of {domain}: {error}"));
        }
    }

    /// Moves requests and their results until nothing moves; true when something did.
    pub fn work(
        &mut self,
        kit: &mut Kit,
        ports: &mut dyn Ports,
        network: &mut Network,
        changed: bool,
    ) -> bool {
        let mut moved = false;
        while changed || self.asked {
            self.asked = false;
            self.storage.poll(ports, network.stack(self.nic));
            network.stir(self.nic);
            let effort = self.storage.take_effort();
            if effort.calls + effort.bytes > 0 {
                ports.charge(effort.calls * kit.cost.rpc + kit.cost.copy(effort.bytes));
            }
            let completions = self.storage.take_completions();
            if completions.is_empty() {
                break;
            }
            moved = true;
            for completion in completions {
                self.asked = true;
                if let Completion::Opened { volume, found } = &completion
                    && let Some(path) = self.looks.remove(volume)
                {
                    self.looked.push((path, found.as_ref().map(|_| ()).map_err(|error| *error)));
                    self.storage.close(*volume);
                    continue;
                }
                self.disks.complete(&mut kit.host(ports), &mut self.storage, completion);
            }
        }
        for (domain, line) in self.consoles.take_lines() {
            ports.console(&domain, line);
        }
        moved
    }

    /// Claims the volumes of the disks at these ports at another epoch of their domain.
    pub fn claim(&mut self, kit: &mut Kit, ports: &mut dyn Ports, keys: &[u64], epoch: u64) {
        self.asked = true;
        for key in keys {
            self.disks.claim(&mut kit.host(ports), &mut self.storage, *key, epoch);
        }
    }

    /// Refuses what the clients of the disks at these ports ask for, or no longer.
    pub fn shut(&mut self, keys: &[u64], shut: bool) {
        keys.iter().for_each(|key| self.disks.shut(*key, shut));
    }

    /// Are they claimed? `None` while that is not known of all.
    ///
    /// # Errors
    /// A volume has been claimed elsewhere, at a newer epoch.
    pub fn is_claimed(&self, keys: &[u64]) -> Option<Result<(), String>> {
        let all: Option<Vec<_>> = keys.iter().map(|key| self.disks.is_claimed(*key)).collect();
        Some(all?.into_iter().collect())
    }

    /// Sees whether the volume at `path` can be opened; [`Services::take_looks`] says.
    pub fn look(&mut self, path: String) {
        self.asked = true;
        let volume = self.storage.open(&path, None);
        self.looks.insert(volume, path);
    }

    /// What came of [`Services::look`].
    pub fn take_looks(&mut self) -> Vec<(String, Result<(), Errno>)> {
        std::mem::take(&mut self.looked)
    }

    /// Stops the disks at these ports from touching their guest, and makes what was
    /// written durable.
    pub fn hold(&mut self, keys: &[u64]) {
        self.asked = true;
        keys.iter().for_each(|key| self.disks.hold(&mut self.storage, *key));
    }

    /// Has this guest a system that speaks, or could, to its manager?
    pub fn has_system(&self, guest: GuestId) -> bool {
        self.sessions.has_system(guest)
    }

    /// What the busiest of the disks at these ports is doing.
    pub fn rest(&mut self, kit: &mut Kit, ports: &mut dyn Ports, keys: &[u64]) -> Rest {
        let mut host = kit.host(ports);
        let all = keys.iter().map(|key| self.disks.rest(&mut host, *key));
        all.max().unwrap_or(Rest::Rests)
    }

    /// Has a held guest nothing under way?
    pub fn is_quiet(&self, keys: &[u64]) -> bool {
        keys.iter().all(|key| self.disks.is_quiet(*key))
    }

    /// Lets held disks go on.
    pub fn release(&mut self, kit: &mut Kit, ports: &mut dyn Ports, keys: &[u64]) {
        self.asked = true;
        for key in keys {
            self.disks.release(&mut kit.host(ports), &mut self.storage, *key);
        }
    }

    /// Does what time brings.
    pub fn tick(&mut self, kit: &mut Kit, ports: &mut dyn Ports) {
        self.asked = true;
        self.disks.tick(&mut kit.host(ports), &mut self.storage);
        self.sessions.tick(&mut kit.host(ports));
        if self.consoles.is_blocked() {
            self.consoles.flush(&mut kit.host(ports));
        }
    }

    /// When [`Services::tick`] or [`Services::work`] is due.
    pub fn next_time(&self, now: SimTime) -> SimTime {
        let consoles =
            if self.consoles.is_blocked() { now.plus(FLUSH_RETRY) } else { SimTime::NEVER };
        let sessions = self.sessions.next_tick(now);
        self.disks.next_tick(now).min(self.storage.next_poll(now)).min(consoles).min(sessions)
    }
}

#[cfg(test)]
mod test;
