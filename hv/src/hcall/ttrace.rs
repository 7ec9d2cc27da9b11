//! Trap trace and dump buffer.

use crate::guest::{Call, CallResult, DUMP_BYTES_MIN, DumpBuffer};
use crate::trap::{Answer, Failure};
use crate::ttrace::TrapBuffer;
use sun4v::addr::Ra;
use sun4v::hcall::HvError;
use sun4v::ttrace::{SLOT_BYTES, SLOTS_MIN};

impl Call<'_> {
    /// 90: gives the caller a trap trace buffer, or none. The one before is gone in any case,
    /// and recording is off.
    pub(super) fn ttrace_buf_conf(&mut self, buffer: u64, entries: u64) -> CallResult {
        self.me().trap_trace = None;
        self.guest.note_trap_traces();
        if entries == 0 {
            return Ok(Answer::ok(&[0]));
        }
        if !buffer.is_multiple_of(SLOT_BYTES) {
            return Err(HvError::BadAlign.into());
        }
        if entries < SLOTS_MIN {
            return Err(Failure::with(HvError::Inval, &[SLOTS_MIN]));
        }
        let bytes = entries.checked_mul(SLOT_BYTES).ok_or(HvError::NoRaddr)?;
        let pa = self.guest.resolve(Ra(buffer), bytes)?;
        let trace = TrapBuffer::new(Ra(buffer), pa, entries, self.cpus.memory());
        self.me().trap_trace = Some(trace);
        Ok(Answer::ok(&[entries]))
    }

    /// 91: where it is.
    pub(super) fn ttrace_buf_info(&mut self) -> CallResult {
        let buffer = self.me().trap_trace;
        let (ra, entries) = buffer.map_or((0, 0), |buffer| (buffer.ra.0, buffer.entries));
        Ok(Answer::ok(&[ra, entries]))
    }

    /// 92: turns the caller's records of traps on or off; gives what was, in any case.
    pub(super) fn ttrace_enable(&mut self, on: u64) -> CallResult {
        let Some(buffer) = &mut self.me().trap_trace else {
            return Err(Failure::with(HvError::Inval, &[0]));
        };
        let before = std::mem::replace(&mut buffer.on, on != 0);
        self.guest.note_trap_traces();
        Ok(Answer::ok(&[u64::from(before)]))
    }

    /// 93: freezes all trap trace buffers of the guest, or lets them go on.
    pub(super) fn ttrace_freeze(&mut self, on: u64) -> CallResult {
        if self.me().trap_trace.is_none() {
            return Err(HvError::Inval.into());
        }
        let before = std::mem::replace(&mut self.guest.trace_frozen, on != 0);
        Ok(Answer::ok(&[u64::from(before)]))
    }

    /// Trap 0x85: adds a record of the guest's own.
    pub(super) fn ttrace_addentry(&mut self, args: [u64; 5]) -> CallResult {
        let [tag, f1, f2, f3, f4] = args;
        let values = [f1, f2, f3, f4];
        match self.guest.trace_entry(self.vcpu, tag as u16, values, self.cpus) {
            true => Ok(Answer::default()),
            false => Err(HvError::Inval.into()),
        }
    }

    /// 94: notes where a dump may go, or nowhere. The place before is forgotten in any case.
    /// Nothing is ever written there, as by T2's firmware.
    pub(super) fn dump_buf_update(&mut self, buffer: u64, bytes: u64) -> CallResult {
        self.guest.dump = None;
        if bytes == 0 {
            return Ok(Answer::ok(&[0]));
        }
        if bytes < DUMP_BYTES_MIN {
            return Err(Failure::with(HvError::Inval, &[DUMP_BYTES_MIN]));
        }
        if !buffer.is_multiple_of(64) {
            return Err(HvError::BadAlign.into());
        }
        self.guest.resolve(Ra(buffer), bytes)?;
        self.guest.dump = Some(DumpBuffer { ra: Ra(buffer), bytes });
        Ok(Answer::ok(&[bytes]))
    }

    /// 95: where that is.
    pub(super) fn dump_buf_info(&mut self) -> CallResult {
        let (ra, bytes) = self.guest.dump.map_or((0, 0), |dump| (dump.ra.0, dump.bytes));
        Ok(Answer::ok(&[ra, bytes]))
    }
}
