//! Virtual CPU services.
//!
//! **Differences.** T2's hypervisor starts, stops and wakes other strands by messages
//! between strands, and so has virtual CPUs that are starting or stopping. Here both are
//! done when the call is: nobody ever sees those states, and the EWOULDBLOCK that T2 gives
//! for them does not occur. A guest that is ending or starting anew does not execute, but
//! the calls test for it all the same.
//!
//! **Source.** sun4v hypervisor API, CPU services; the OpenSPARC hypervisor's `hcall_cpu.s`
//! for the order of tests.

use super::End;
use crate::figures::Figures;
use crate::guest::{Call, CallResult, GuestState, Pending};
use crate::platform::{Queue, StartState};
use crate::trap::{Answer, Failure};
use crate::vcpu::{QueueMemory, VcpuState};
use sun4v::addr::Ra;
use sun4v::hcall::HvError;
use sun4v::id::VcpuId;

/// The queue that a number names.
const fn queue(number: u64) -> Option<Queue> {
    match number {
        0x3c => Some(Queue::CpuMondo),
        0x3d => Some(Queue::DevMondo),
        0x3e => Some(Queue::Resumable),
        0x3f => Some(Queue::NonResumable),
        _ => None,
    }
}

impl Call<'_> {
    /// 10: starts a stopped virtual CPU at a real address. Both ranges are looked at before
    /// both alignments. A mondo that waited in its mailbox is forgotten.
    pub(super) fn cpu_start(&mut self, id: u64, pc: u64, rtba: u64, arg: u64) -> CallResult {
        if id >= 64 {
            return Err(HvError::NoCpu.into());
        }
        self.guest.resolve(Ra(pc), 4)?;
        self.guest.resolve(Ra(rtba), 256)?;
        if !pc.is_multiple_of(4) || !rtba.is_multiple_of(256) {
            return Err(HvError::BadAlign.into());
        }
        let id = self.guest.vcpu_id(id)?;
        if self.guest.state != GuestState::Normal {
            return Err(HvError::WouldBlock.into());
        }
        let base = self.guest.map.ranges().first().copied();
        let (memory_base, memory_bytes) = base.map_or((0, 0), |range| (range.ra.0, range.size));
        let Some(vcpu) = self.guest.vcpus.get_mut(&id) else { return Err(HvError::NoCpu.into()) };
        if vcpu.state != VcpuState::Stopped {
            return Err(HvError::Inval.into());
        }
        vcpu.reset();
        vcpu.state = VcpuState::Running;
        vcpu.rtba = rtba;
        vcpu.figures = Figures::begin(self.cpus.now(), self.cpus.busy(id));
        self.cpus.start(id, StartState { pc, argument: arg, memory_base, memory_bytes });
        Ok(Answer::default())
    }

    /// 11: stops another virtual CPU: its translations, queues, TSBs, fault area and share
    /// in permanent mappings go, and channels' interrupts no longer have it as target (they
    /// stay valid, and in their state). T2 also notes RTBA + 0x20 as the place where it
    /// would begin; no call shows that, for `cpu_start` says where. A copy for which it waits
    /// is given up: started again, it must not get that answer to another call.
    pub(super) fn cpu_stop(&mut self, id: u64) -> CallResult {
        if id >= 64 {
            return Err(HvError::NoCpu.into());
        }
        if id == u64::from(self.vcpu.0) {
            return Err(HvError::Inval.into());
        }
        let id = self.guest.vcpu_id(id)?;
        if self.guest.state == GuestState::Exiting {
            return Err(HvError::WouldBlock.into());
        }
        let Some(vcpu) = self.guest.vcpus.get_mut(&id) else { return Err(HvError::NoCpu.into()) };
        if vcpu.state != VcpuState::Running {
            return Err(HvError::Inval.into());
        }
        vcpu.reset();
        self.guest.permanent.forget(id);
        self.guest.forget_waiter(id);
        let waits =
            |work: &Pending| matches!(work, Pending::LdcCopy { .. } | Pending::NcsTail { .. });
        self.guest.deferred.retain(|it| it.vcpu != id || !waits(&it.work));
        for endpoint in self.guest.endpoints.values_mut() {
            for intr in [&mut endpoint.rx_intr, &mut endpoint.tx_intr] {
                if intr.target == Some(id) {
                    intr.target = None;
                }
            }
        }
        self.cpus.stop(id);
        Ok(Answer::default())
    }

    /// 12: parks the caller, unless something waits for it. The queue of non-resumable
    /// errors is not looked at, and neither is PSTATE.IE.
    pub(super) fn cpu_yield(&mut self) -> End {
        let waits = [Queue::CpuMondo, Queue::DevMondo, Queue::Resumable].iter().any(|&queue| {
            let (head, tail) = self.cpus.queue(self.vcpu, queue);
            head != tail
        });
        if waits { End::Answer(Ok(Answer::default())) } else { End::Park }
    }

    /// 14: gives a queue its memory.
    pub(super) fn cpu_qconf(&mut self, number: u64, base: u64, entries: u64) -> CallResult {
        let place = match entries {
            0 => None,
            2..=4096 if entries.is_power_of_two() => {
                if !base.is_multiple_of(entries * 64) {
                    return Err(HvError::BadAlign.into());
                }
                let pa = self.guest.resolve(Ra(base), entries * 64)?;
                Some(QueueMemory { ra: Ra(base), pa, entries })
            }
            _ => return Err(HvError::Inval.into()),
        };
        let which = queue(number).ok_or(HvError::Inval)?;
        self.me().queues[which as usize] = place;
        self.cpus.set_queue(self.vcpu, which, 0, 0);
        if which == Queue::CpuMondo {
            self.guest.drain_mailboxes(self.cpus);
        }
        Ok(Answer::default())
    }

    /// 15: where a queue is.
    pub(super) fn cpu_qinfo(&mut self, number: u64) -> CallResult {
        let which = queue(number).ok_or(HvError::Inval)?;
        let place = self.me().queue(which);
        let (base, entries) = place.map_or((0, 0), |place| (place.ra.0, place.entries));
        Ok(Answer::ok(&[base, entries]))
    }

    /// 17: 1 stopped, 2 running, 3 in error. One that was just started reads running; on T2
    /// it may read stopped for a moment.
    pub(super) fn cpu_state(&mut self, id: u64) -> CallResult {
        let id = self.guest.vcpu_id(id)?;
        let state = self.guest.vcpus.get(&id).map_or(VcpuState::Error, |vcpu| vcpu.state);
        Ok(Answer::ok(&[state as u64]))
    }

    /// 18: sets the real-mode trap base address; gives the previous one in any case.
    pub(super) fn cpu_set_rtba(&mut self, rtba: u64) -> CallResult {
        let previous = self.me().rtba;
        if self.guest.resolve(Ra(rtba), 256).is_err() {
            return Err(Failure::with(HvError::NoRaddr, &[previous]));
        }
        if !rtba.is_multiple_of(256) {
            return Err(Failure::with(HvError::BadAlign, &[previous]));
        }
        self.me().rtba = rtba;
        Ok(Answer::ok(&[previous]))
    }

    /// 42: a mondo to each virtual CPU of a list. Entries that were served become
    /// 0xffff, also when the call fails. The first entry that is no CPU, the caller or in
    /// error ends the walk; one that is busy does not.
    ///
    /// A mondo goes to the queue at once, or to a mailbox of one when that is full or
    /// missing; on T2 every mondo goes through the mailbox, which the receiver empties a
    /// moment later.
    pub(super) fn cpu_mondo_send(&mut self, count: u64, list: u64, data: u64) -> CallResult {
        if !list.is_multiple_of(2) || !data.is_multiple_of(64) {
            return Err(HvError::BadAlign.into());
        }
        let list_pa = self.guest.resolve(Ra(list), count.saturating_mul(2))?;
        let data_pa = self.guest.resolve(Ra(data), 64)?;
        let mut entry = [0; 64];
        self.cpus.memory().read(data_pa, &mut entry);
        let mut busy = false;
        for index in 0..count {
            let place = list_pa.offset(index * 2);
            let mut id = [0; 2];
            self.cpus.memory().read(place, &mut id);
            let id = u64::from(u16::from_be_bytes(id));
            if id == 0xffff {
                continue;
            }
            let id = self.guest.vcpu_id(id)?;
            if id == self.vcpu {
                return Err(HvError::Inval.into());
            }
            if !self.mondo(id, &entry)? {
                busy = true;
                continue;
            }
            self.cpus.memory().write(place, &[0xff, 0xff]);
        }
        if busy { Err(HvError::WouldBlock.into()) } else { Ok(Answer::default()) }
    }

    /// One mondo: to the queue, or to the mailbox when the queue is full.
    fn mondo(&mut self, to: VcpuId, entry: &[u8; 64]) -> Result<bool, HvError> {
        let Some(vcpu) = self.guest.vcpus.get(&to) else { return Err(HvError::NoCpu) };
        if vcpu.state == VcpuState::Error {
            return Err(HvError::CpuError);
        }
        if vcpu.mailbox.is_some() {
            self.guest.drain_mailboxes(self.cpus);
        }
        let waiting = self.guest.vcpus.get(&to).is_some_and(|vcpu| vcpu.mailbox.is_some());
        if waiting {
            return Ok(false);
        }
        if !self.guest.enqueue(self.cpus, to, Queue::CpuMondo, entry)
            && let Some(vcpu) = self.guest.vcpus.get_mut(&to)
        {
            vcpu.mailbox = Some(*entry);
            self.cpus.wake(to);
        }
        Ok(true)
    }
}
