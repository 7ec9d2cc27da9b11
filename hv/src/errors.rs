//! Error reports to guests: into a queue of a virtual CPU, and what follows when it cannot be.
//!
//! **Rules.** A resumable report goes to the queue of resumable errors; without one, or when
//! it is full, it is lost. Another one goes to the queue of non-resumable errors, and the
//! virtual CPU takes trap 0x7f. If that queue is full the virtual CPU is in error, and the
//! report goes to its other queue. Without that queue it is in error too; T2's firmware gives
//! up altogether there. A guest that does not run gets nothing.
//!
//! **In error.** Such a virtual CPU executes no more, also not when its guest resets; starting
//! the guest from power-on gives it back. Another one of the guest is told by a resumable
//! report. When none is left that runs, the guest is stopped.
//!
//! **Source.** sun4v error handling; the OpenSPARC hypervisor's `errors_common.s`
//! (`queue_resumable_erpt`, `queue_nonresumable_erpt`), `errors_subr.s` (`strand_in_error`,
//! `cpu_err_rerouted`) and `hv_common_cmds.s` (`guest_shutdown`, `guest_panic`).

use crate::Hypervisor;
use crate::guest::{Guest, GuestState};
use crate::platform::{Cpus, Machine, Queue};
use crate::vcpu::VcpuState;
use sun4v::ereport::{ADDRESS_UNKNOWN, Attributes, Descriptor, ErrorReport};
use sun4v::id::{GuestId, VcpuId};
use sun4v::isa::tt;
use thiserror::Error;

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It stands in its queue.
    Queued,
    /// It is lost: the queue is full or absent.
    Lost,
    /// Its virtual CPU is in error for it.
    InError,
}

/// Why nobody could get a report.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ReportError {
    /// There is no such guest, or no control domain.
    #[error("there is no such guest")]
    NoGuest,
    /// It is stopped, ending, starting or suspended.
    #[error("guest {0} does not run")]
    NotRunning(GuestId),
    /// It has no such virtual CPU, or that one does not run.
    #[error("guest {0} has no running virtual CPU {1}")]
    NoCpu(GuestId, VcpuId),
}

impl Guest {
    /// The lowest virtual CPU that runs.
    pub(crate) fn first_running(&self) -> Option<VcpuId> {
        let mut vcpus = self.vcpus.iter();
        vcpus.find(|(_, vcpu)| vcpu.state == VcpuState::Running).map(|(&id, _)| id)
    }

    /// Asks the guest to panic, by a report to `vcpu`.
    pub(crate) fn force_panic(&mut self, vcpu: VcpuId, cpus: &mut dyn Cpus) -> Delivery {
        let report = ErrorReport::new(Descriptor::ForcedPanic, Attributes::empty());
        self.report_error(vcpu, report, cpus)
    }

    /// Delivers a report to a running virtual CPU; handle and time are filled in.
    pub(crate) fn report_error(
        &mut self,
        vcpu: VcpuId,
        mut report: ErrorReport,
        cpus: &mut dyn Cpus,
    ) -> Delivery {
        self.sequence += 1;
        let strand = self.vcpus.get(&vcpu).map_or(0, |vcpu| vcpu.strand.0);
        let (tl, _) = cpus.levels(vcpu);
        let number = self.sequence & ((1 << 52) - 1);
        report.handle = u64::from(strand) << 56 | u64::from(tl & 15) << 52 | number;
        report.stick = cpus.stick();
        let bytes = report.to_bytes();
        let delivery = if report.descriptor.is_resumable() {
            match self.enqueue(cpus, vcpu, Queue::Resumable, &bytes) {
                true => Delivery::Queued,
                false => Delivery::Lost,
            }
        } else if self.enqueue(cpus, vcpu, Queue::NonResumable, &bytes) {
            self.reflect(cpus, vcpu, tt::NONRESUMABLE_ERROR);
            Delivery::Queued
        } else {
            if self.vcpus.get(&vcpu).is_some_and(|v| v.queue(Queue::NonResumable).is_some()) {
                self.enqueue(cpus, vcpu, Queue::Resumable, &bytes);
            }
            self.fail(vcpu, cpus);
            Delivery::InError
        };
        let text = format!("{} v{vcpu} report {:?} {delivery:?}", self.name(), report.descriptor);
        self.trace.note(cpus.now(), vcpu, &text);
        delivery
    }

    /// Puts a virtual CPU in error.
    fn fail(&mut self, vcpu: VcpuId, cpus: &mut dyn Cpus) {
        let Some(failed) = self.vcpus.get_mut(&vcpu) else { return };
        failed.state = VcpuState::Error;
        cpus.stop(vcpu);
        if self.first_running().is_none() {
            if self.state == GuestState::Normal {
                self.state = GuestState::Exiting;
            }
            return;
        }
        let mut others = self.vcpus.iter();
        let told = others.find(|(_, other)| {
            other.state == VcpuState::Running && other.queue(Queue::Resumable).is_some()
        });
        if let Some((&told, _)) = told {
            let report = ErrorReport {
                vcpu: u16::from(vcpu.0),
                address: ADDRESS_UNKNOWN,
                bytes: 64,
                ..ErrorReport::new(Descriptor::UncorrectedResumable, Attributes::CPU)
            };
            self.report_error(told, report, cpus);
        }
    }
}

impl Hypervisor {
    /// A guest that runs.
    fn running(&mut self, id: GuestId) -> Result<&mut Guest, ReportError> {
        let guest = self.guest_mut(id).ok_or(ReportError::NoGuest)?;
        match guest.state {
            GuestState::Normal => Ok(guest),
            _ => Err(ReportError::NotRunning(id)),
        }
    }

    /// The service processor asks the control domain to shut down in an orderly way: power
    /// goes off in `grace` seconds.
    ///
    /// # Errors
    /// See [`ReportError`]; the request is dropped then.
    pub fn sp_shutdown(
        &mut self,
        grace: u16,
        machine: &mut dyn Machine,
    ) -> Result<Delivery, ReportError> {
        let id = self.control_domain().ok_or(ReportError::NoGuest)?;
        let guest = self.running(id)?;
        let vcpu = guest.first_running().ok_or(ReportError::NotRunning(id))?;
        let report = ErrorReport {
            seconds: grace,
            ..ErrorReport::new(Descriptor::ShutdownWarning, Attributes::SHUTDOWN)
        };
        Ok(guest.report_error(vcpu, report, machine.cpus(id)))
    }

    /// The service processor resets the control domain, as if that had asked for it.
    ///
    /// # Errors
    /// See [`ReportError`]; nothing happens then.
    pub fn sp_reset(&mut self, machine: &mut dyn Machine) -> Result<(), ReportError> {
        let id = self.control_domain().ok_or(ReportError::NoGuest)?;
        self.running(id)?;
        self.reset(id, machine);
        Ok(())
    }

    /// The service processor asks a guest to panic and write its dump. T2's firmware does so
    /// with the control domain only; the other guests are the manager's.
    ///
    /// # Errors
    /// See [`ReportError`]; the request is dropped then.
    pub fn sp_panic(
        &mut self,
        id: GuestId,
        machine: &mut dyn Machine,
    ) -> Result<Delivery, ReportError> {
        let guest = self.running(id)?;
        let vcpu = guest.first_running().ok_or(ReportError::NotRunning(id))?;
        Ok(guest.force_panic(vcpu, machine.cpus(id)))
    }

    /// Lets a virtual CPU have this error, as hardware would: for whoever wants to see what a
    /// guest makes of it. Handle and time of the report are filled in. At a boundary.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub fn inject(
        &mut self,
        id: GuestId,
        vcpu: VcpuId,
        report: ErrorReport,
        machine: &mut dyn Machine,
    ) -> Result<Delivery, ReportError> {
        let guest = self.running(id)?;
        let runs = guest.vcpus.get(&vcpu).is_some_and(|vcpu| vcpu.state == VcpuState::Running);
        if !runs {
            return Err(ReportError::NoCpu(id, vcpu));
        }
        Ok(guest.report_error(vcpu, report, machine.cpus(id)))
    }
}
