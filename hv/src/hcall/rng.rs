//! The random number generator: what is looked at before the boundary serves a call.

use super::End;
use crate::guest::{Call, Pending};
use crate::rng::{CONTROL_BYTES, Request};
use sun4v::addr::Ra;
use sun4v::hcall::HvError;
use sun4v::rng::DIAG_BYTES_MAX;

impl Call<'_> {
    fn check_rng_privilege(&self) -> Result<(), HvError> {
        if self.privileges().rng { Ok(()) } else { Err(HvError::NoAccess) }
    }

    /// 130: the caller's domain owns it from now on.
    pub(super) fn rng_get_diag_control(&mut self) -> End {
        let request = self.check_rng_privilege().map(|()| Request::Take);
        self.rng(request)
    }

    /// 131: state and control words.
    pub(super) fn rng_ctl_read(&mut self, buffer: u64) -> End {
        let request = self.ctl_read(buffer);
        self.rng(request)
    }

    fn ctl_read(&self, buffer: u64) -> Result<Request, HvError> {
        check_aligned(buffer)?;
        self.check_rng_privilege()?;
        if buffer == 0 {
            return Ok(Request::Look { buffer: None });
        }
        let buffer = Ra(buffer);
        self.guest.resolve(buffer, CONTROL_BYTES)?;
        Ok(Request::Look { buffer: Some(buffer) })
    }

    /// 132: new control words and a new state.
    pub(super) fn rng_ctl_write(&mut self, buffer: u64, state: u64, timeout: u64) -> End {
        let request = self.ctl_write(buffer, state, timeout);
        self.rng(request)
    }

    fn ctl_write(&self, buffer: u64, state: u64, timeout: u64) -> Result<Request, HvError> {
        check_aligned(buffer)?;
        self.check_rng_privilege()?;
        let buffer = Ra(buffer);
        self.guest.resolve(buffer, CONTROL_BYTES)?;
        Ok(Request::Set { buffer, state, timeout })
    }

    /// 133: data for its owner's tests.
    pub(super) fn rng_data_read_diag(&mut self, buffer: u64, bytes: u64) -> End {
        let request = self.data_read_diag(buffer, bytes);
        self.rng(request)
    }

    fn data_read_diag(&self, buffer: u64, bytes: u64) -> Result<Request, HvError> {
        check_aligned(buffer)?;
        self.check_rng_privilege()?;
        check_aligned(bytes)?;
        if !(8..=DIAG_BYTES_MAX).contains(&bytes) {
            return Err(HvError::Inval);
        }
        let buffer = Ra(buffer);
        self.guest.resolve(buffer, bytes)?;
        Ok(Request::Test { buffer, bytes })
    }

    /// 134: a doubleword of data, for everybody.
    pub(super) fn rng_data_read(&mut self, buffer: u64) -> End {
        let request = check_aligned(buffer).and_then(|()| {
            self.guest.resolve(Ra(buffer), 8)?;
            Ok(Request::Read { buffer: Ra(buffer) })
        });
        self.rng(request)
    }

    fn rng(&mut self, request: Result<Request, HvError>) -> End {
        match request {
            Ok(request) => self.wait(Pending::Rng(request)),
            Err(error) => End::Answer(Err(error.into())),
        }
    }
}

/// Addresses and sizes are those of doublewords.
fn check_aligned(value: u64) -> Result<(), HvError> {
    if value.is_multiple_of(8) { Ok(()) } else { Err(HvError::BadAlign) }
}
