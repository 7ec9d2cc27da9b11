//! The lab's other hosts: storage, workstation, pinger; and the lab's networks.
//!
//! [`Lab`] holds the networks and the hosts on them and moves both, event by event.
//! A chassis joins through an [`Outlet`] for each of its interfaces: it sends frames
//! there at a boundary and is handed what arrived by the next.

mod assembly;
pub use assembly::DiskFileError;
mod command;
pub mod host;
pub mod nas;
pub mod pinger;
pub mod quantity;
pub mod record;
pub mod report;
pub mod scenario;
pub mod script;
pub mod verdict;
pub mod workstation;

use crate::net::fabric::{Delivery, Fabric, PortId};
use crate::net::link::Link;
use host::LabHost;
use record::Fact;
use std::collections::BTreeMap;
use sun4v::time::SimTime;

/// A network of a [`Lab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NetworkId(pub usize);

/// A port that somebody outside the [`Lab`] owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outlet {
    /// Which network.
    pub network: NetworkId,
    /// Which port of it.
    pub port: PortId,
}

/// A frame that has arrived at an outlet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: SimTime,
    /// Where.
    pub outlet: Outlet,
    /// Destination, source, type, payload; no FCS.
    pub frame: Vec<u8>,
}

/// A host on its port.
struct Seat {
    outlet: Outlet,
    host: Box<dyn LabHost>,
}

/// The networks and the hosts on them.
#[derive(Default)]
pub struct Lab {
    networks: Vec<Fabric>,
    seats: Vec<Seat>,
    seat_at: BTreeMap<Outlet, usize>,
}

impl Lab {
    /// Adds a network.
    pub fn add_network(&mut self, network: Fabric) -> NetworkId {
        self.networks.push(network);
        NetworkId(self.networks.len() - 1)
    }

    /// Adds a port for somebody outside.
    pub fn add_outlet(&mut self, network: NetworkId, name: &str, link: Link) -> Outlet {
        Outlet { network, port: self.networks[network.0].add_port(name, link) }
    }

    /// Adds a host on a port of its own name.
    pub fn add_host(&mut self, network: NetworkId, link: Link, host: Box<dyn LabHost>) {
        let outlet = self.add_outlet(network, host.name(), link);
        self.seat_at.insert(outlet, self.seats.len());
        self.seats.push(Seat { outlet, host });
    }

    /// The networks, by number.
    #[must_use]
    pub fn networks(&self) -> &[Fabric] {
        &self.networks
    }

    /// A network, to change it.
    pub fn network_mut(&mut self, network: NetworkId) -> &mut Fabric {
        &mut self.networks[network.0]
    }

    /// The network called `name`.
    #[must_use]
    pub fn network(&self, name: &str) -> Option<NetworkId> {
        self.networks.iter().position(|network| network.name() == name).map(NetworkId)
    }

    /// Sends a frame from an outlet.
    pub fn send(&mut self, outlet: Outlet, frame: Vec<u8>, now: SimTime) {
        self.networks[outlet.network.0].send(outlet.port, frame, now);
    }

    /// When something happens next.
    #[must_use]
    pub fn next_time(&self) -> SimTime {
        let networks = self.networks.iter().map(Fabric::next_time);
        let hosts = self.seats.iter().map(|seat| seat.host.next_time());
        networks.chain(hosts).min().unwrap_or(SimTime::NEVER)
    }

    /// Moves networks and hosts up to and including `limit`; what arrived at
    /// outlets, in order of time.
    pub fn run_until(&mut self, limit: SimTime) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        loop {
            let now = self.next_time();
            if now > limit || now == SimTime::NEVER {
                return arrivals;
            }
            for network in 0..self.networks.len() {
                for Delivery { at, port, frame } in self.networks[network].deliver_until(now) {
                    let outlet = Outlet { network: NetworkId(network), port };
                    match self.seat_at.get(&outlet) {
                        Some(&seat) => self.seats[seat].host.frame(frame),
                        None => arrivals.push(Arrival { at, outlet, frame }),
                    }
                }
            }
            for seat in &mut self.seats {
                if seat.host.next_time() <= now {
                    seat.host.run(now);
                    for frame in seat.host.take_frames() {
                        let Outlet { network, port } = seat.outlet;
                        self.networks[network.0].send(port, frame, now);
                    }
                }
            }
        }
    }

    /// Facts that the hosts noted since the last call, in order of time.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        let mut facts: Vec<_> =
            self.seats.iter_mut().flat_map(|seat| seat.host.take_facts()).collect();
        facts.sort_by_key(|fact| fact.time);
        facts
    }

    /// The hosts, in the order in which they were added.
    pub fn hosts(&self) -> impl Iterator<Item = &dyn LabHost> {
        self.seats.iter().map(|seat| seat.host.as_ref())
    }

    /// Lets hosts let go of what does not outlive a checkpoint.
    pub fn hold(&mut self, now: SimTime) {
        for seat in &mut self.seats {
            seat.host.hold(now);
            for frame in seat.host.take_frames() {
                let Outlet { network, port } = seat.outlet;
                self.networks[network.0].send(port, frame, now);
            }
        }
    }

    /// A host, by its place among [`Lab::hosts`], to load its records.
    pub fn host_mut(&mut self, index: usize) -> Option<&mut dyn LabHost> {
        self.seats.get_mut(index).map(|seat| &mut *seat.host as &mut dyn LabHost)
    }

    /// Lets hosts begin again after a checkpoint.
    pub fn restart(&mut self, now: SimTime) {
        self.seats.iter_mut().for_each(|seat| seat.host.restart(now));
    }

    /// Gives a command to the host called `host`; `None` if there is no such host.
    pub fn command(
        &mut self,
        host: &str,
        line: &str,
        now: SimTime,
    ) -> Option<Result<String, String>> {
        let seat = self.seats.iter_mut().find(|seat| seat.host.name() == host)?;
        Some(seat.host.command(line, now))
    }
}
