//! The queue of modular arithmetic: what a new tail brings, and what the unit has done.
//!
//! **Shape.** A descriptor that the unit has is BUSY, those behind it stay as the guest
//! wrote them (PENDING), those before it are DONE or in ERROR, and then say in their error
//! status why if the unit refused. A failure takes the rest of its job along, up to END or
//! to the tail. The unit's numbers stay from job to job as long as the queue does; they
//! are cleared when the queue is given anew, and are not part of a guest's record.
//!
//! **Errors.** The address of a load or a store that is not a multiple of eight, or leads
//! out of the guest's memory, puts its descriptor in ERROR when its turn comes. The firmware
//! sends no interrupt for those that fail before any was begun, and stops for good at a
//! descriptor that was not PENDING; here every job's end is told, and the state that a
//! guest left in a descriptor is not looked at.

use super::CryptoQueue;
use crate::guest::Guest;
use crate::hypervisor::Hypervisor;
use crate::platform::{Machine, MauEnd, MauOperation, Memory};
use crate::trap::Answer;
use sun4v::addr::Pa;
use sun4v::hcall::HvError;
use sun4v::hvmd::CryptoKind;
use sun4v::id::CoreId;
use sun4v::ncs::{Descriptor, ENTRY_BYTES};

/// Operations for a core's unit, noted for the boundary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MauWork {
    /// The core.
    pub core: CoreId,
    /// The unit forgets its numbers first.
    pub fresh: bool,
    /// What it has to do.
    pub operations: Vec<MauOperation>,
}

/// The descriptor at byte `at` of a queue.
pub(crate) fn descriptor(unit: &CryptoQueue, at: u64, memory: &dyn Memory) -> Descriptor {
    let mut bytes = [0; ENTRY_BYTES as usize];
    memory.read(unit.pa.offset(at), &mut bytes);
    Descriptor::from_bytes(&bytes)
}

/// Writes the state of the descriptor at byte `at`.
pub(crate) fn mark(unit: &CryptoQueue, at: u64, state: u64, memory: &dyn Memory) {
    memory.write_u64(unit.pa.offset(at + Descriptor::STATE_AT), state);
}

impl Guest {
    /// Where a descriptor's load reads or its store writes; of others, nowhere.
    pub(crate) fn mau_address(&self, descriptor: &Descriptor) -> Result<Pa, HvError> {
        if !descriptor.control.moves() {
            return Ok(Pa(0));
        }
        if !descriptor.memory.is_aligned(8) {
            return Err(HvError::Inval);
        }
        self.resolve(descriptor.memory, descriptor.control.bytes())
    }

    /// Moves the tail of the unit at `handle`: what is new is noted for it. With `sync` all of
    /// it is one job, however it is marked.
    pub(crate) fn extend_mau(&mut self, handle: u64, tail: u64, sync: bool, memory: &dyn Memory) {
        let Some(mut unit) = self.crypto.get(&handle).copied() else { return };
        let mut operations: Vec<MauOperation> = Vec::new();
        for at in unit.up_to(tail) {
            let descriptor = descriptor(&unit, at, memory);
            let address = self.mau_address(&descriptor);
            operations.push(MauOperation {
                control: descriptor.control.0,
                memory: address.unwrap_or(Pa(0)),
                offsets: descriptor.offsets.0,
                n_prime: descriptor.n_prime,
                void: address.is_err(),
                last: descriptor.ends_job() && !sync,
            });
        }
        let Some(last) = operations.last_mut() else { return };
        last.last |= sync;
        if !unit.is_busy() {
            mark(&unit, unit.head, Descriptor::BUSY, memory);
        }
        let fresh = std::mem::replace(&mut unit.fresh, false);
        (unit.tail, unit.sync) = (tail, sync);
        self.crypto.insert(handle, unit);
        self.mau_work.push(MauWork { core: unit.core, fresh, operations });
    }
}

impl Hypervisor {
    /// Operations of `core`'s unit ended, each as `ends` says. An operation that fails comes
    /// with all that is left of its job.
    pub fn mau_done(&mut self, core: CoreId, ends: &[MauEnd], machine: &mut dyn Machine) {
        let handle = CryptoQueue::handle(CryptoKind::Mau, core);
        let Some((guest, mut unit)) = self.unit_at_work(handle) else { return };
        let id = guest.id;
        let mut tells = false;
        let mut answer = None;
        for &end in ends {
            let (at, memory) = (unit.head, machine.memory());
            let (state, error) = match end {
                MauEnd::Done => (Descriptor::DONE, Some(0)),
                MauEnd::InvalidOperation => {
                    (Descriptor::ERROR, Some(Descriptor::INVALID_OPERATION))
                }
                MauEnd::HardwareError => (Descriptor::ERROR, Some(Descriptor::HARDWARE_ERROR)),
                MauEnd::Void | MauEnd::Skipped => (Descriptor::ERROR, None),
            };
            mark(&unit, at, state, memory);
            if unit.sync {
                if end == MauEnd::Done {
                    unit.head = unit.after(at);
                    continue;
                }
                // Version 1.0 stops where it failed; what follows is taken back.
                let address = guest.mau_address(&descriptor(&unit, at, memory));
                let why = match end {
                    MauEnd::Void => address.err().unwrap_or(HvError::NoRaddr),
                    _ => HvError::Io,
                };
                answer = Some(Answer::error(why));
                unit.tail = unit.head;
                break;
            }
            if let Some(error) = error {
                memory.write_u64(unit.pa.offset(at + Descriptor::ERROR_AT), error);
            }
            tells |= descriptor(&unit, at, memory).ends_job();
            unit.head = unit.after(at);
            if !unit.is_busy() {
                break;
            }
        }
        if unit.is_busy() {
            mark(&unit, unit.head, Descriptor::BUSY, machine.memory());
        } else if unit.sync {
            let answer = answer.unwrap_or_default();
            if let Some(vcpu) = unit.waiter.take() {
                machine.cpus(id).answer(vcpu, answer.status, &[]);
            }
            unit.sync = false;
        } else {
            tells = true;
        }
        guest.crypto.insert(handle, unit);
        if tells {
            guest.raise_device(machine.cpus(id), unit.ino);
        }
        self.look_at_drained(id, machine);
    }
}
