//! Diagnosis.

use crate::guest::{Call, CallResult};
use crate::trap::Answer;
use sun4v::addr::Ra;
use sun4v::hcall::HvError;

impl Call<'_> {
    /// 200: the physical address of a byte of the guest's memory.
    pub(super) fn diag_ra2pa(&mut self, ra: u64) -> CallResult {
        if !self.privileges().diag {
            return Err(HvError::NoAccess.into());
        }
        let pa = self.guest.resolve(Ra(ra), 1)?;
        Ok(Answer::ok(&[pa.0]))
    }

    /// 201: executes hyperprivileged code. This hypervisor is no program of the machine's, so
    /// there is none that a guest could be let into: nobody has access.
    pub(super) fn diag_hexec(&mut self) -> CallResult {
        Err(HvError::NoAccess.into())
    }
}
