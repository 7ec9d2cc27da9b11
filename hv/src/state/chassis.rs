//! Saving and loading the hypervisor of a chassis with all its guests.
//!
//! It is what a checkpoint of a lab holds of it. Memory is somebody else's: the MD in
//! force lies there, and with it everything that a configuration says. A hypervisor
//! that was saved is powered on from that MD in the same memory and then given its
//! record ([`Hypervisor::load`]). [`Hypervisor::hold`] stops everybody before a save,
//! [`Hypervisor::release`] lets everybody go on after a load.
//!
//! **Guests.** Each was suspended, saved, loaded and resumed with no pause, as if it
//! had moved to where it is: every channel of it reads RESET once. The control domain
//! runs on and its software begins again: of it only its figures are kept, and it
//! stands as after a start, with no queue, channel or API group set up.
//!
//! **The session** of hvctl is closed, and nothing that was to be told is told. A
//! reconfiguration that waits for an exit goes on waiting.
//!
//! **Errors.** [`Unsaved`] while something is under way that cannot be cut; a record
//! that breaks a rule is refused, and what was loaded until then is of no use.

use super::{FiguresV1, HeldV1, HypervisorV1};
use crate::Hypervisor;
use crate::figures::Figures;
use crate::guest::GuestState;
use crate::perf::DramCounters;
use crate::platform::Machine;
use crate::reconf::{Delayed, parse};
use crate::rng::Rng;
use crate::vcpu::VcpuState;
use std::collections::BTreeMap;
use sun4v::id::{GuestId, VcpuId};
use sun4v::record::{LoadError, Schema};
use sun4v::time::SimTime;
use thiserror::Error;

/// Why a hypervisor cannot be saved now.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unsaved {
    /// Something is under way and will be over by itself soon.
    #[error("{0}")]
    Soon(String),
    /// Something is under way that is somebody's business to end.
    #[error("{0}")]
    Held(String),
}

/// Does a guest in this state have nothing to be suspended?
const fn stands(state: GuestState) -> bool {
    matches!(state, GuestState::Stopped | GuestState::Resetting)
}

fn broken(why: &'static str) -> LoadError {
    LoadError::Inconsistent { kind: HypervisorV1::KIND, why }
}

impl Hypervisor {
    /// Could it be saved now?
    ///
    /// # Errors
    /// See [`Unsaved`].
    pub fn check_save(&self, machine: &dyn Machine) -> Result<(), Unsaved> {
        if self.service.suspending.is_some() {
            return Err(Unsaved::Held("a domain is being suspended".into()));
        }
        for (id, guest) in &self.guests {
            let Some(guest) = guest else {
                return Err(Unsaved::Soon(format!("guest {id} is in the middle of a slice")));
            };
            let name = guest.name();
            if guest.state == GuestState::Suspended {
                return Err(Unsaved::Held(format!("domain {name} is suspended")));
            }
            if guest.logging {
                return Err(Unsaved::Held(format!("stores of domain {name} are being logged")));
            }
            let drained = guest.crypto.values().all(|unit| unit.head == unit.tail);
            if !drained || !guest.crypto_words.is_empty() {
                return Err(Unsaved::Soon(format!("crypto units of domain {name} are at work")));
            }
        }
        let own = self.memory.unwrap_or_default();
        let in_memory = parse(machine.memory(), own, self.md, None);
        if !in_memory.is_ok_and(|proposal| proposal.config == self.config) {
            let why = format!("the MD in force is not at {} any more", self.md);
            return Err(Unsaved::Held(why));
        }
        Ok(())
    }

    /// Holds all guests where they are, at a boundary at which nothing is left to do, so
    /// that it can be saved. The control domain is not held: its software begins again.
    ///
    /// # Errors
    /// See [`Unsaved`]; then nothing has changed.
    pub fn hold(&mut self, machine: &mut dyn Machine) -> Result<(), Unsaved> {
        self.check_save(machine)?;
        let clock = (machine.now(), machine.time_of_day().unwrap_or_default());
        let control = self.control_domain();
        let mut held = BTreeMap::new();
        for guest in self.guests.values_mut().flatten() {
            held.insert(guest.id, guest.state);
            if control != Some(guest.id) {
                guest.suspended = Some(clock);
                if !stands(guest.state) {
                    guest.state = GuestState::Suspended;
                }
            }
        }
        self.held = Some(held);
        Ok(())
    }

    /// Its record, while all guests are held.
    ///
    /// # Errors
    /// They are not.
    pub fn save(&self, machine: &mut dyn Machine) -> Result<HypervisorV1, Unsaved> {
        let control = self.control_domain();
        let Self {
            // They lie in memory, or are what powers it on.
            config: _,
            memory: _,
            control: _,
            // How much is told of it is not its own.
            traced: _,
            md,
            service,
            guests,
            rng,
            dram,
            held,
        } = self;
        let held = held.as_ref();
        let held = held.ok_or_else(|| Unsaved::Held("guests are not held".into()))?;
        let guests = guests.values().flatten().map(|guest| {
            let id = guest.id;
            let state = held.get(&id).copied().unwrap_or_default();
            let vcpus = guest.vcpus.iter();
            HeldV1 {
                id: id.0,
                state: state as u8,
                figures: guest.figures.save(),
                vcpus: vcpus.map(|(vcpu, known)| (vcpu.0, known.figures.save())).collect(),
                record: (control != Some(id)).then(|| guest.save(machine.cpus(id))),
            }
        });
        let guests = guests.collect();
        let delayed = service.delayed.as_ref();
        let delayed = delayed.map(|delayed| (delayed.guest.0, delayed.proposal.at));
        Ok(HypervisorV1 { md: *md, delayed, rng: rng.save(), dram: dram.save(), guests })
    }

    /// Loads a record into a hypervisor that was powered on from the MD that the record
    /// names, on a machine whose strands have their clocks. All guests are held then.
    ///
    /// # Errors
    /// A record that breaks a rule: this hypervisor is of no use then.
    pub fn load(
        &mut self,
        record: &HypervisorV1,
        machine: &mut dyn Machine,
    ) -> Result<(), LoadError> {
        let HypervisorV1 { md, delayed, rng, dram, guests } = record;
        if *md != self.md {
            return Err(broken("another MD than the one in force"));
        }
        if !guests.iter().map(|held| GuestId(held.id)).eq(self.guests.keys().copied()) {
            return Err(broken("other guests than the MD's"));
        }
        let owner = rng.owner.map(GuestId);
        if owner.is_some_and(|owner| !self.guests.contains_key(&owner)) {
            return Err(broken("a random number generator of a guest that is not there"));
        }
        self.rng = Rng::load(rng).ok_or(broken("a random number generator out of shape"))?;
        self.dram = DramCounters::load(*dram).ok_or(broken("DRAM counters out of shape"))?;
        let mut held = BTreeMap::new();
        for guest in guests {
            let state = GuestState::from_number(guest.state);
            let state = state.ok_or(broken("no such state of a guest"))?;
            self.load_guest(guest, state, machine)?;
            held.insert(GuestId(guest.id), state);
        }
        if let Some((guest, at)) = *delayed {
            let guest = GuestId(guest);
            if self.guest(guest).is_none() {
                return Err(broken("a reconfiguration that waits for a guest that is not there"));
            }
            let proposal = parse(machine.memory(), self.memory.unwrap_or_default(), at, None)
                .map_err(|_| broken("a reconfiguration that waits and is no MD"))?;
            self.service.delayed = Some(Delayed { guest, proposal });
        }
        self.held = Some(held);
        Ok(())
    }

    /// Lets all guests that were held go on.
    pub fn release(&mut self, machine: &mut dyn Machine) {
        let control = self.control_domain();
        for (id, state) in self.held.take().unwrap_or_default() {
            if control != Some(id) && !stands(state) {
                self.go_on(id, machine);
            }
            let Some(guest) = self.guest_mut(id) else { continue };
            guest.state = state;
            if stands(state) {
                guest.suspended = None;
            }
        }
    }

    /// Loads one guest, which stays where it is until all are there.
    fn load_guest(
        &mut self,
        held: &HeldV1,
        state: GuestState,
        machine: &mut dyn Machine,
    ) -> Result<(), LoadError> {
        let HeldV1 { id, state: _, figures, vcpus, record } = held;
        let id = GuestId(*id);
        let clock = (machine.now(), machine.time_of_day().unwrap_or_default());
        let control = self.control_domain() == Some(id);
        let guest = self.guest_mut(id).ok_or(broken("a guest that is not there"))?;
        if !vcpus.iter().map(|(vcpu, _)| VcpuId(*vcpu)).eq(guest.vcpus.keys().copied()) {
            return Err(broken("other virtual CPUs than the MD's"));
        }
        match record {
            None if control => {
                if state != GuestState::Normal {
                    return Err(broken("a control domain that does not run"));
                }
                if let Some(first) = guest.vcpus.values_mut().next() {
                    first.state = VcpuState::Running;
                }
            }
            Some(record) if !control => {
                guest.load(record, clock, machine.cpus(id))?;
                let runs = guest.vcpus.values().any(|vcpu| vcpu.state == VcpuState::Running);
                if state == GuestState::Suspended || (stands(state) && runs) {
                    return Err(broken("a guest whose state and virtual CPUs disagree"));
                }
                if !stands(state) {
                    guest.state = GuestState::Suspended;
                }
            }
            _ => return Err(broken("a record of the control domain, or none of another guest")),
        }
        guest.figures = Figures::load(*figures);
        for ((_, figures), vcpu) in vcpus.iter().zip(guest.vcpus.values_mut()) {
            vcpu.figures = Figures::load(*figures);
        }
        Ok(())
    }
}

impl Figures {
    /// Its record.
    fn save(&self) -> FiguresV1 {
        let Self { begun, read } = *self;
        FiguresV1 { begun: (begun.0.0, begun.1.0), read: (read.0.0, read.1.0) }
    }

    /// Any figures are some.
    fn load(record: FiguresV1) -> Self {
        let FiguresV1 { begun, read } = record;
        let time = |(at, busy): (u64, u64)| (SimTime(at), SimTime(busy));
        Self { begun: time(begun), read: time(read) }
    }
}
