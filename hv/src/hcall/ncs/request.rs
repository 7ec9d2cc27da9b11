//! Crypto units, version 1.0 of the interface: `ncs_request`, for modular arithmetic only.
//!
//! **Shapes.** The argument of `QCONF` is four doublewords: unit, base, end, entries; base 0
//! takes the queue away. That of `QTAIL_UPDATE` is three: unit, index of the tail, and 0 to
//! wait. Units are numbered from zero in the order of the guest's cores; a tail is for the
//! unit of the caller's core whatever number it names. A queue has any number of entries.
//!
//! **Waiting.** A request that is waited for is answered when the unit has come to the
//! tail. It stops at a descriptor that fails: that is in ERROR, the head stays at it, what
//! follows is taken back, and the status is EINVAL for an address that is not
//! aligned, ENORADDR for one outside memory, EIO for an operation that the unit refuses. It
//! writes no error status and raises no interrupt. One that is not waited for is as
//! in version 2.0, except that a first descriptor that leads nowhere is told at once.
//!
//! **Where the firmware differs.** It answers 1 (ENOCPU) where its comment promises EIO; it
//! begins anew with a descriptor that the unit has already, when a tail comes while the
//! unit works (here a request that would wait gets EWOULDBLOCK, which the comment promises,
//! and another is put behind); it gives a queue another place while at work (EWOULDBLOCK);
//! and it wants eight more bytes of memory behind a queue.
//!
//! **Source.** OpenSPARC hypervisor, `hcall_ncs.s` and `ncs_api.h`.

use crate::crypto::{CryptoQueue, descriptor, mark};
use crate::guest::{Call, CallResult, Guest, Pending};
use crate::hcall::End;
use crate::platform::Memory;
use crate::trap::Answer;
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::HvError;
use sun4v::hvmd::CryptoKind;
use sun4v::id::{CORES, VcpuId};
use sun4v::ncs::{
    Descriptor, ENTRY_BYTES, QCONF_BYTES, QTAIL_UPDATE_BYTES, REQUEST_QCONF, REQUEST_QTAIL_UPDATE,
};

impl Call<'_> {
    /// 110.
    pub(in crate::hcall) fn ncs_request(&mut self, function: u64, ra: u64, bytes: u64) -> End {
        let argument = match ra & 7 {
            0 => self.guest.resolve(Ra(ra), bytes),
            _ => Err(HvError::BadAlign),
        };
        match argument {
            Err(status) => End::Answer(Err(status.into())),
            Ok(pa) => match (function, bytes) {
                (REQUEST_QCONF, QCONF_BYTES) => self.request_qconf(pa).into(),
                (REQUEST_QTAIL_UPDATE, QTAIL_UPDATE_BYTES) => self.request_tail(pa),
                _ => End::Answer(Err(HvError::Inval.into())),
            },
        }
    }

    fn argument<const N: usize>(&self, pa: Pa) -> [u64; N] {
        let memory = self.cpus.memory();
        std::array::from_fn(|at| memory.read_u64(pa.offset(at as u64 * 8)))
    }

    fn request_qconf(&mut self, argument: Pa) -> CallResult {
        let [number, base, end, entries] = self.argument(argument);
        if number >= CORES as u64 {
            return Err(HvError::Inval.into());
        }
        let mut units = self.guest.crypto.values().filter(|unit| unit.kind == CryptoKind::Mau);
        let Some(&unit) = units.nth(number as usize) else {
            return Ok(Answer::default()); // drivers ask for every unit there may be
        };
        if unit.is_busy() {
            return Err(HvError::WouldBlock.into());
        }
        let handle = CryptoQueue::handle(CryptoKind::Mau, unit.core);
        if base == 0 {
            let without = CryptoQueue::new(unit.kind, unit.core, unit.ino);
            self.guest.crypto.insert(handle, without);
            return Ok(Answer::default());
        }
        if (base | end) & 7 != 0 {
            return Err(HvError::BadAlign.into());
        }
        let bytes = end.checked_sub(base).filter(|&bytes| bytes != 0).ok_or(HvError::NoRaddr)?;
        self.guest.resolve(Ra(base), bytes)?;
        if entries.checked_mul(ENTRY_BYTES) != Some(bytes) {
            return Err(HvError::Inval.into());
        }
        self.place_queue(handle, Ra(base), entries)?;
        Ok(Answer::default())
    }

    fn request_tail(&mut self, argument: Pa) -> End {
        let [_, index, waits_not] = self.argument(argument);
        match self.request_tail_at(index, waits_not == 0) {
            Ok(None) => End::Answer(Ok(Answer::default())),
            Ok(Some(pending)) => {
                let now = self.cpus.now();
                self.guest.defer(now, self.vcpu, pending);
                End::Block
            }
            Err(status) => End::Answer(Err(status.into())),
        }
    }

    /// What has to be waited for.
    fn request_tail_at(&mut self, index: u64, waits: bool) -> Result<Option<Pending>, HvError> {
        let handle = self.my_unit(CryptoKind::Mau).ok_or(HvError::Inval)?;
        let unit = *self.unit(handle)?;
        if index >= unit.entries {
            return Err(HvError::Inval);
        }
        let tail = index * ENTRY_BYTES;
        if waits {
            return match unit.is_busy() {
                true => Err(HvError::WouldBlock),
                false => Ok(Some(Pending::NcsTail { unit: handle, tail })),
            };
        }
        if unit.sync {
            return Err(HvError::WouldBlock);
        }
        let memory = self.cpus.memory();
        if !unit.is_busy() && tail != unit.head {
            let first = descriptor(&unit, unit.head, memory);
            if let Err(status) = self.guest.mau_address(&first) {
                mark(&unit, unit.head, Descriptor::ERROR, memory);
                return Err(status);
            }
        }
        self.guest.extend_mau(handle, tail, false, memory);
        Ok(None)
    }
}

impl Guest {
    /// Notes for the unit what `vcpu` waits for: true if there is anything. The queue may be
    /// another by now.
    pub(crate) fn run_request(
        &mut self,
        vcpu: VcpuId,
        handle: u64,
        tail: u64,
        memory: &dyn Memory,
    ) -> Result<bool, HvError> {
        let unit = self.crypto.get(&handle).filter(|unit| unit.holds(tail));
        let unit = unit.ok_or(HvError::Inval)?;
        if unit.is_busy() {
            return Err(HvError::WouldBlock);
        }
        if unit.head == tail {
            return Ok(false);
        }
        self.extend_mau(handle, tail, true, memory);
        if let Some(unit) = self.crypto.get_mut(&handle) {
            unit.waiter = Some(vcpu);
        }
        Ok(true)
    }
}
