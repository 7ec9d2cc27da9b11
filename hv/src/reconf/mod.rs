//! Reconfiguration: a new hypervisor MD comes into force whole, or not at all.
//!
//! The phases are those of the original. *Prep* and *parse* read the MD into a
//! [`Proposal`]; *postparse* ([`judge`]) holds it against the machine and against
//! what runs; both change nothing. *Commit* ([`commit`]) changes things and has no
//! way to fail.
//!
//! *Guests only*: of the MD nothing but the guests is looked at; what they own stays.
//! Delayed, the guests come into force at once and the MD when its guest exits, together
//! with the resources of a reconfiguration that was pending already.
//!
//! A *delayed* reconfiguration is parsed and judged when it is asked for, as if its
//! guest were stopped, and comes into force when that guest exits. It is judged once
//! more then: another guest may have been started. One is pending at most.
//!
//! One that is refused leaves the one that is pending alone; a manager that speaks
//! version 1.0 expects it to be cancelled.
//!
//! **Errors.** [`Refusal`]: a status and where in the MD it is, as hvctl reports it.
//!
//! **Source.** The OpenSPARC hypervisor's `reconf.c`, `res_*.c`.

mod commit;
mod judge;

use crate::Hypervisor;
use crate::hvctl::HvMemory;
use crate::platform::{Machine, Memory};
use judge::Judge;
use std::fmt;
use sun4v::addr::Pa;
use sun4v::hvctl::{Detail, RcFail, ResKind, Status};
use sun4v::hvmd::HvConfig;
use sun4v::id::{GuestId, T2_STRANDS};
use sun4v::md::{ELEMENT_BYTES, Md};
use thiserror::Error;

/// Why a hypervisor MD was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What hvctl answers.
    pub status: Status,
    /// Which resource, and what about it.
    pub fail: RcFail,
    /// The same in words.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// One about the command: no MD was looked at.
    pub(crate) fn command(status: Status, why: impl Into<String>) -> Self {
        let (res, code) = (ResKind::Guest.code(), Detail::GuestInvalidId.code());
        let fail = RcFail { md: Pa(0), res, code, node: u32::MAX, id: u32::MAX };
        Self { status, fail, why: why.into() }
    }

    /// One about the MD as a whole: it does not say where.
    fn whole(status: Status, why: impl Into<String>) -> Self {
        Self { status, fail: RcFail::default(), why: why.into() }
    }
}

/// Why a chassis cannot be powered on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PowerOnError {
    /// The hypervisor's memory is not memory of the machine, or not whole pages.
    #[error("hypervisor memory of {bytes:#x} bytes at {base}: the machine has none there")]
    Memory {
        /// Its first byte.
        base: Pa,
        /// Its bytes.
        bytes: u64,
    },
    /// The hypervisor MD.
    #[error("hypervisor MD at {md}: {why}")]
    Md {
        /// Where it lies.
        md: Pa,
        /// Why it was refused.
        #[source]
        why: Refusal,
    },
}

/// A hypervisor MD that was understood.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    /// Where it lies.
    pub at: Pa,
    /// The graph.
    pub md: Md,
    /// What it says. Of guests alone: their resources are what they were.
    pub config: HvConfig,
    /// It says something of guests alone.
    pub guests_only: bool,
}

/// What of an MD is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    All,
    /// Its guests: their MDs, boot images, names.
    Guests,
}

/// A reconfiguration that waits.
#[derive(Clone, Debug)]
pub(crate) struct Delayed {
    /// Whose exit it waits for.
    pub guest: GuestId,
    /// What comes into force then.
    pub proposal: Proposal,
}

/// Parse: reads the MD at `at`, which must lie in the hypervisor's memory; its guests
/// alone when there is a configuration that has the rest.
pub(crate) fn parse(
    memory: &dyn Memory,
    own: HvMemory,
    at: Pa,
    guests_of: Option<&HvConfig>,
) -> Result<Proposal, Refusal> {
    let bad = |why: String| Refusal::whole(Status::BadMd, why);
    let outside = || bad("it does not lie in the hypervisor's memory".into());
    if !at.is_aligned(8) || !own.holds(at, ELEMENT_BYTES as u64) {
        return Err(outside());
    }
    let mut header = [0; ELEMENT_BYTES];
    memory.read(at, &mut header);
    let total = Md::total_bytes(&header).filter(|&bytes| own.holds(at, bytes));
    let mut bytes = vec![0; total.ok_or_else(outside)? as usize];
    memory.read(at, &mut bytes);
    let md = Md::parse(&bytes).map_err(|error| bad(error.to_string()))?;
    let config = match guests_of {
        None => HvConfig::from_md(&md),
        Some(old) => HvConfig::guests_from_md(&md).map(|guests| HvConfig { guests, ..old.clone() }),
    };
    let config = config.map_err(|error| match error.property {
        "" => Refusal::whole(error.status, error.to_string()),
        _ => Refusal {
            status: error.status,
            fail: RcFail {
                md: at,
                res: error.res.code(),
                code: error.detail.code(),
                node: error.node,
                id: error.id,
            },
            why: error.to_string(),
        },
    })?;
    Ok(Proposal { at, md, config, guests_only: guests_of.is_some() })
}

impl Hypervisor {
    /// The hypervisor of a chassis that is switched on: it owns `memory`, in which
    /// `md` is the hypervisor MD.
    ///
    /// # Errors
    /// See [`PowerOnError`].
    pub fn power_on(
        memory: HvMemory,
        md: Pa,
        machine: &mut dyn Machine,
    ) -> Result<Self, PowerOnError> {
        let HvMemory { base, bytes } = memory;
        let end = base.0.checked_add(bytes).filter(|&end| end <= machine.memory().end().0);
        if end.is_none() || bytes == 0 || !(base.0 | bytes).is_multiple_of(8192) {
            return Err(PowerOnError::Memory { base, bytes });
        }
        let mut hv = Self { memory: Some(memory), ..Self::default() };
        match hv.propose(md, Part::All, None, machine) {
            Ok(proposal) => hv.commit(proposal, machine),
            Err(why) => return Err(PowerOnError::Md { md, why }),
        }
        Ok(hv)
    }

    /// Reads and judges the MD at `md`; `exits` counts as stopped.
    fn propose(
        &self,
        md: Pa,
        part: Part,
        exits: Option<GuestId>,
        machine: &dyn Machine,
    ) -> Result<Proposal, Refusal> {
        let own = self.memory.unwrap_or_default();
        let rest = (part == Part::Guests).then_some(&self.config);
        let proposal = parse(machine.memory(), own, md, rest)?;
        self.judge(&proposal, exits, machine)?;
        Ok(proposal)
    }

    fn judge(
        &self,
        proposal: &Proposal,
        exits: Option<GuestId>,
        machine: &dyn Machine,
    ) -> Result<(), Refusal> {
        let (own, end) = (self.memory.unwrap_or_default(), machine.memory().end());
        Judge { hv: self, proposal, own, end, exits }.judge()
    }

    fn commit(&mut self, proposal: Proposal, machine: &mut dyn Machine) {
        self.md = proposal.at;
        self.apply(proposal.config, machine);
    }

    /// Takes the MD at `md` into force.
    pub(crate) fn reconfigure(
        &mut self,
        md: Pa,
        part: Part,
        machine: &mut dyn Machine,
    ) -> Result<(), Refusal> {
        if self.service.delayed.is_some() {
            let why = "a delayed reconfiguration is pending";
            return Err(Refusal::command(Status::Illegal, why));
        }
        let proposal = self.propose(md, part, None, machine)?;
        self.commit(proposal, machine);
        Ok(())
    }

    /// Takes the MD at `md` into force when `guest` exits.
    pub(crate) fn delay_reconfigure(
        &mut self,
        md: Pa,
        guest: u32,
        part: Part,
        machine: &mut dyn Machine,
    ) -> Result<(), Refusal> {
        let id = u8::try_from(guest).map(GuestId).ok();
        let id = id.filter(|id| usize::from(id.0) < T2_STRANDS && self.guest(*id).is_some());
        let Some(id) = id else {
            let why = format!("there is no guest {guest}");
            return Err(Refusal::command(Status::Invalid, why));
        };
        if self.service.delayed.as_ref().is_some_and(|pending| pending.guest != id) {
            let why = "a delayed reconfiguration is pending for another guest";
            return Err(Refusal::command(Status::Illegal, why));
        }
        let done = match part {
            Part::All => self.propose(md, part, Some(id), machine),
            Part::Guests => self.delay_guests(md, id, machine),
        };
        match done {
            Ok(proposal) => {
                self.service.delayed = Some(Delayed { guest: id, proposal });
                Ok(())
            }
            Err(refusal) => {
                if !self.service.keeps_pending() {
                    self.service.delayed = None;
                }
                Err(refusal)
            }
        }
    }

    /// The guests of the MD at `md`: now, and with what is pending when `id` exits.
    fn delay_guests(
        &mut self,
        md: Pa,
        id: GuestId,
        machine: &mut dyn Machine,
    ) -> Result<Proposal, Refusal> {
        let now = self.propose(md, Part::Guests, None, machine)?;
        let mut then = now.clone();
        if let Some(pending) = &self.service.delayed {
            let guests = then.config.guests;
            then.config = HvConfig { guests, ..pending.proposal.config.clone() };
            then.guests_only = pending.proposal.guests_only;
            self.judge(&then, Some(id), machine)?;
        }
        self.apply(now.config, machine);
        Ok(then)
    }

    /// A guest has exited: what waited for that comes into force, if it still can.
    pub(crate) fn reconfigure_delayed(&mut self, id: GuestId, machine: &mut dyn Machine) {
        let Some(delayed) = self.service.delayed.take_if(|delayed| delayed.guest == id) else {
            return;
        };
        match self.judge(&delayed.proposal, None, machine) {
            Ok(()) => self.commit(delayed.proposal, machine),
            Err(why) => machine.trace(&format!("delayed reconfiguration dropped: {why}")),
        }
    }
}
