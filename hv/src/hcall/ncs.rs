//! Crypto units, version 2.0 of the interface: queues by handle.
//!
//! A unit is named by a handle, which a guest gets when it gives the unit of its core a
//! queue. A handle that names a unit of the guest without a queue is good where nothing
//! has to be in one. Everything but `ncs_qconf` and `ncs_settail` may be called from any
//! core.
//!
//! What the firmware does and this does not: it gives a queue that is at work another
//! place without a word, and then writes to the new one what was done in the old
//! (here EWOULDBLOCK, as when it is taken away); it waits for a control word queue that is
//! taken away while at work (EWOULDBLOCK here too); bits of a handle that it does not look
//! at have to be zero; and the tail of a control word queue before the first `ncs_settail`
//! is not whatever was there but 0.
//!
//! **Source.** OpenSPARC hypervisor, `hcall_ncs.s` and `cwq.s`.

mod request;

use crate::crypto::{CryptoQueue, WORD_BYTES, entries_max, queue_type};
use crate::guest::{Call, CallResult};
use crate::trap::Answer;
use sun4v::addr::Ra;
use sun4v::hcall::HvError;
use sun4v::hvmd::CryptoKind;
use sun4v::id::CoreId;
use sun4v::ncs::{QTYPE_CWQ, QTYPE_MAU};

impl Call<'_> {
    /// A unit of the caller, with or without a queue.
    fn unit(&mut self, handle: u64) -> Result<&mut CryptoQueue, HvError> {
        self.guest.crypto.get_mut(&handle).ok_or(HvError::Inval)
    }

    /// The core of the caller.
    fn my_core(&self) -> Option<CoreId> {
        self.guest.vcpus.get(&self.vcpu).map(|vcpu| vcpu.strand.core())
    }

    /// The handle of the unit of the caller's core, if the guest has it.
    fn my_unit(&self, kind: CryptoKind) -> Option<u64> {
        let handle = CryptoQueue::handle(kind, self.my_core()?);
        self.guest.crypto.contains_key(&handle).then_some(handle)
    }

    /// 111: gives the unit of the caller's core a queue; `entries` 0 takes the one of the
    /// handle `base` away.
    pub(super) fn ncs_qconf(&mut self, kind: u64, base: u64, entries: u64) -> CallResult {
        let kind = match kind {
            QTYPE_MAU => CryptoKind::Mau,
            QTYPE_CWQ => CryptoKind::Cwq,
            _ => return Err(HvError::Inval.into()),
        };
        if entries == 0 {
            if CryptoQueue::of_handle(base) != Some(kind) {
                return Err(HvError::Inval.into());
            }
            let unit = self.unit(base).map_err(|_| HvError::NoAccess)?;
            if unit.is_busy() {
                return Err(HvError::WouldBlock.into());
            }
            *unit = CryptoQueue::new(unit.kind, unit.core, unit.ino);
            return Ok(Answer::default());
        }
        if entries < 2 || entries > entries_max(kind) || !entries.is_power_of_two() {
            return Err(HvError::Inval.into());
        }
        let handle = self.my_unit(kind).ok_or(HvError::NoAccess)?;
        if self.unit(handle)?.is_busy() {
            return Err(HvError::WouldBlock.into());
        }
        if base & (entries * WORD_BYTES - 1) != 0 {
            return Err(HvError::BadAlign.into());
        }
        self.place_queue(handle, Ra(base), entries)?;
        Ok(Answer::ok(&[handle]))
    }

    /// Gives an idle unit a queue of `entries` at `ra`, empty.
    fn place_queue(&mut self, handle: u64, ra: Ra, entries: u64) -> Result<(), HvError> {
        let pa = self.guest.resolve(ra, entries * WORD_BYTES)?;
        let vcpu = self.vcpu;
        let unit = self.unit(handle)?;
        let empty = CryptoQueue::new(unit.kind, unit.core, unit.ino);
        *unit = CryptoQueue { ra, pa, entries, vcpu, ..empty };
        Ok(())
    }

    /// 112.
    pub(super) fn ncs_qinfo(&mut self, handle: u64) -> CallResult {
        let unit = *self.unit(handle)?;
        Ok(Answer::ok(&[queue_type(unit.kind), unit.ra.0, unit.entries]))
    }

    /// 113.
    pub(super) fn ncs_gethead(&mut self, handle: u64) -> CallResult {
        let head = self.unit(handle)?.head;
        Ok(Answer::ok(&[head]))
    }

    /// 114.
    pub(super) fn ncs_gettail(&mut self, handle: u64) -> CallResult {
        let tail = self.unit(handle)?.tail;
        Ok(Answer::ok(&[tail]))
    }

    /// 115: entries up to `tail` are ready. Every pointer of control words is checked before
    /// any is given to the unit; descriptors of modular arithmetic fail one by one.
    pub(super) fn ncs_settail(&mut self, handle: u64, tail: u64) -> CallResult {
        let unit = *self.unit(handle)?;
        if self.my_core() != Some(unit.core) || !unit.holds(tail) {
            return Err(HvError::Inval.into());
        }
        match unit.kind {
            // A request of version 1.0 that is waited for ends first.
            CryptoKind::Mau if unit.sync => return Err(HvError::Inval.into()),
            CryptoKind::Mau => self.guest.extend_mau(handle, tail, false, self.cpus.memory()),
            CryptoKind::Cwq => {
                let words = self.guest.control_words(&unit, tail, self.cpus.memory())?;
                let unit = self.unit(handle)?;
                (unit.tail, unit.given) = (tail, tail);
                let unit = *unit;
                if !words.is_empty() {
                    self.guest.crypto_words.push((unit.core, words));
                }
            }
        }
        Ok(Answer::default())
    }

    /// 116: the interrupt number of a unit.
    pub(super) fn ncs_devino(&mut self, handle: u64) -> CallResult {
        let ino = self.unit(handle)?.ino;
        Ok(Answer::ok(&[u64::from(ino)]))
    }

    /// 117: consumed up to here; the interrupt is active while the head is elsewhere.
    pub(super) fn ncs_sethead_marker(&mut self, handle: u64, marker: u64) -> CallResult {
        let unit = self.unit(handle)?;
        if !unit.holds(marker) {
            return Err(HvError::Inval.into());
        }
        unit.marker = marker;
        Ok(Answer::default())
    }
}
