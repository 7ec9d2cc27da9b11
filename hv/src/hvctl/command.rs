//! The commands of an open session.

use super::Message;
use crate::Hypervisor;
use crate::guest::GuestState;
use crate::hypervisor::StartError;
use crate::platform::Machine;
use crate::reconf::Refusal;
use sun4v::addr::Pa;
use sun4v::hvctl::{Body, Detail, HvInfo, INVALID_GUEST, Op, Request, Status};
use sun4v::id::GuestId;

/// How a command about a guest's life ends.
type Ended = Result<(), (Status, Detail)>;

impl Hypervisor {
    /// Serves a command; `None` when its reply comes later.
    pub(super) fn command(
        &mut self,
        request: Request,
        machine: &mut dyn Machine,
    ) -> Option<Message> {
        let op = request.op();
        let (status, body) = match request {
            Request::GetHvConfig => (Status::Ok, Body::HvInfo(self.info())),
            Request::Reconfigure { md, .. } | Request::GuestOnlyReconf { md, .. } => {
                reconfigured(self.reconfigure(md, machine))
            }
            Request::GuestDelayedReconf { md, guest }
            | Request::GuestOnlyDelayedReconf { md, guest } => {
                reconfigured(self.delay_reconfigure(md, guest, machine))
            }
            Request::CancelReconf => match self.service.delayed.take() {
                Some(_) => (Status::Ok, Body::None),
                None => (Status::Illegal, Body::None),
            },
            Request::GuestStart(guest) => ended(self.start_guest(guest)),
            Request::GuestStop(guest) => ended(self.stop_guest(guest)),
            Request::GuestPanic(guest) => ended(self.panic_guest(guest, machine)),
            Request::GetResStat { res, id, info } => self.res_stat((res, id, info), machine),
            Request::Migrate(request) => {
                let (status, body) = self.migrate(request, machine)?;
                (status, body)
            }
            Request::Hello(_)
            | Request::Response(_)
            | Request::GuestSuspend
            | Request::GuestResume => {
                return Some(self.service.close(op.code(), Status::Auth));
            }
        };
        Some(self.answer(op, status, body))
    }

    pub(super) fn answer(&mut self, op: Op, status: Status, body: Body) -> Message {
        self.service.reply(op, status, body)
    }

    fn info(&self) -> HvInfo {
        let memory = self.memory.unwrap_or_default();
        let delayed = self.service.delayed.as_ref();
        HvInfo {
            membase: memory.base,
            memsize: memory.bytes,
            md: self.md,
            delayed_md: delayed.map_or(Pa(0), |delayed| delayed.proposal.at),
            delayed_guest: delayed.map_or(INVALID_GUEST, |delayed| delayed.guest.0.into()),
        }
    }

    /// The guest of an alleged number.
    pub(super) fn named(&self, guest: u32) -> Result<GuestId, (Status, Detail)> {
        let id = u8::try_from(guest).map(GuestId).ok().filter(|&id| self.guest(id).is_some());
        id.ok_or((Status::Invalid, Detail::GuestInvalidId))
    }

    /// Start: checked now, done at the next boundary.
    fn start_guest(&mut self, guest: u32) -> Ended {
        let id = self.named(guest)?;
        self.check_start(id).map_err(|error| match error {
            StartError::Active(_) => (Status::Illegal, Detail::GuestActive),
            StartError::Missing(_) => (Status::Invalid, Detail::GuestInvalidId),
            StartError::NoCpus(_) => (Status::Invalid, Detail::GuestNoCpus),
            StartError::Memory(_) => (Status::Invalid, Detail::GuestBaseMblockTooSmall),
        })?;
        if let Some(guest) = self.guest_mut(id) {
            guest.state = GuestState::Resetting;
        }
        Ok(())
    }

    /// Stop: it executes no more; the rest is done at the next boundary.
    fn stop_guest(&mut self, guest: u32) -> Ended {
        let id = self.named(guest)?;
        if self.control_domain() == Some(id) {
            return Err((Status::StopFailed, Detail::GuestMissingId));
        }
        let guest = self.guest_mut(id).ok_or((Status::Invalid, Detail::GuestInvalidId))?;
        match guest.state {
            GuestState::Normal | GuestState::Suspended => guest.state = GuestState::Exiting,
            GuestState::Exiting => {}
            GuestState::Stopped => return Err((Status::Illegal, Detail::GuestStopped)),
            GuestState::Resetting => return Err((Status::StopFailed, Detail::GuestMissingId)),
        }
        Ok(())
    }

    /// Panic: a non-resumable error report on one running virtual CPU. The memory of
    /// a suspended guest stays as it is, so it cannot be told.
    fn panic_guest(&mut self, guest: u32, machine: &mut dyn Machine) -> Ended {
        let id = self.named(guest)?;
        if self.control_domain() == Some(id) {
            return Err((Status::Invalid, Detail::GuestInvalidId));
        }
        let guest = self.guest_mut(id).ok_or((Status::Invalid, Detail::GuestInvalidId))?;
        match guest.state {
            GuestState::Normal | GuestState::Exiting => {}
            GuestState::Stopped => return Err((Status::Illegal, Detail::GuestStopped)),
            GuestState::Suspended => return Err((Status::Illegal, Detail::NotInState)),
            GuestState::Resetting => return Err((Status::Invalid, Detail::GuestInvalidId)),
        }
        let vcpu = guest.first_running();
        let vcpu = vcpu.ok_or((Status::Invalid, Detail::GuestNoCpus))?;
        if guest.state == GuestState::Normal {
            guest.force_panic(vcpu, machine.cpus(id));
        }
        Ok(())
    }
}

fn ended(result: Ended) -> (Status, Body) {
    match result {
        Ok(()) => (Status::Ok, Body::Code(0)),
        Err((status, detail)) => (status, Body::Code(detail.code())),
    }
}

fn reconfigured(result: Result<(), Refusal>) -> (Status, Body) {
    match result {
        Ok(()) => (Status::Ok, Body::None),
        Err(refusal) => (refusal.status, Body::RcFail(refusal.fail)),
    }
}
