//! Performance registers of T2.

use super::End;
use crate::guest::{Call, Pending};
use crate::perf::REGISTERS;
use crate::trap::Answer;
use sun4v::hcall::HvError;

/// Bit of the strand's register that counts hyperprivileged events.
const PCR_HT: u64 = 1 << 3;

impl Call<'_> {
    /// May the caller have this register?
    fn check_perf(&self, register: u64) -> Result<(), HvError> {
        if !self.privileges().perf {
            return Err(HvError::NoAccess);
        }
        if register < REGISTERS { Ok(()) } else { Err(HvError::Inval) }
    }

    /// 104: reads a register: 0 is the strand's own.
    pub(super) fn niagara2_getperf(&mut self, register: u64) -> End {
        match (self.check_perf(register), register) {
            (Err(error), _) => End::Answer(Err(error.into())),
            (Ok(()), 0) => End::Answer(Ok(Answer::ok(&[self.cpus.pcr(self.vcpu)]))),
            (Ok(()), _) => self.wait(Pending::Dram { register, value: None }),
        }
    }

    /// 105: writes one. To count what the hypervisor does takes a privilege of its own; it
    /// executes no instructions here, so there is nothing to count.
    pub(super) fn niagara2_setperf(&mut self, register: u64, value: u64) -> End {
        match (self.check_perf(register), register) {
            (Err(error), _) => End::Answer(Err(error.into())),
            (Ok(()), 0) if value & PCR_HT != 0 && !self.privileges().perf_ht => {
                End::Answer(Err(HvError::NoAccess.into()))
            }
            (Ok(()), 0) => {
                self.cpus.set_pcr(self.vcpu, value);
                End::Answer(Ok(Answer::default()))
            }
            (Ok(()), _) => self.wait(Pending::Dram { register, value: Some(value) }),
        }
    }
}
