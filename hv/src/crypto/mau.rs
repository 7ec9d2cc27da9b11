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

/// Descriptors that a unit gets at a time: a guest with gigabytes of them does not have the
/// hypervisor hold them all.
pub const AHEAD: u64 = 1024;

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

/// Does the descriptor at byte `at` end its job?
fn ends_job(unit: &CryptoQueue, at: u64, memory: &dyn Memory) -> bool {
    descriptor(unit, at, memory).ends_job()
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
        let Some(unit) = self.crypto.get_mut(&handle) else { return };
        if !unit.is_busy() && tail != unit.head {
            mark(unit, unit.head, Descriptor::BUSY, memory);
        }
        (unit.tail, unit.sync) = (tail, sync);
        self.give_mau(handle, memory);
    }

    /// Notes for the unit at `handle` what it may have of its queue.
    fn give_mau(&mut self, handle: u64, memory: &dyn Memory) {
        let Some(unit) = self.crypto.get(&handle).copied() else { return };
        let has = (unit.given + unit.bytes() - unit.head) % unit.bytes().max(1) / ENTRY_BYTES;
        let room = AHEAD.saturating_sub(has) as usize;
        let mut operations: Vec<MauOperation> = Vec::new();
        let mut given = unit.given;
        for at in unit.new_up_to(unit.tail).take(room) {
            let descriptor = descriptor(&unit, at, memory);
            let address = self.mau_address(&descriptor);
            given = unit.after(at);
            operations.push(MauOperation {
                control: descriptor.control.0,
                memory: address.unwrap_or(Pa(0)),
                offsets: descriptor.offsets.0,
                n_prime: descriptor.n_prime,
                void: address.is_err(),
                last: if unit.sync { given == unit.tail } else { descriptor.ends_job() },
            });
        }
        if operations.is_empty() {
            return;
        }
        self.crypto.insert(handle, CryptoQueue { given, fresh: false, ..unit });
        self.mau_work.push(MauWork { core: unit.core, fresh: unit.fresh, operations });
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
            let (mut at, memory) = (unit.head, machine.memory());
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
                (unit.tail, unit.given) = (unit.head, unit.head);
                break;
            }
            if let Some(error) = error {
                memory.write_u64(unit.pa.offset(at + Descriptor::ERROR_AT), error);
            }
            tells |= ends_job(&unit, at, memory);
            unit.head = unit.after(at);
            if unit.head == unit.given {
                // A job so long that the unit has not got all of it fails whole.
                while end != MauEnd::Done && unit.is_busy() && !ends_job(&unit, at, memory) {
                    at = unit.head;
                    mark(&unit, at, Descriptor::ERROR, memory);
                    unit.head = unit.after(at);
                }
                unit.given = unit.head;
                tells |= ends_job(&unit, at, memory);
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
        guest.give_mau(handle, machine.memory());
        if tells {
            guest.raise_device(machine.cpus(id), unit.ino);
        }
        self.look_at_drained(id, machine);
    }
}
