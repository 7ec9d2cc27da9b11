//! Soft state: what a guest says about itself.

use crate::guest::{Call, CallResult, SoftState};
use crate::trap::Answer;
use sun4v::addr::Ra;
use sun4v::hcall::HvError;

impl Call<'_> {
    /// 70: sets state and description.
    pub(super) fn soft_state_set(&mut self, state: u64, text_ra: u64) -> CallResult {
        let state = match state {
            1 => 1,
            2 => 2,
            _ => return Err(HvError::Inval.into()),
        };
        if !text_ra.is_multiple_of(32) {
            return Err(HvError::BadAlign.into());
        }
        let pa = self.guest.resolve(Ra(text_ra), 32)?;
        let mut text = [0; 32];
        self.cpus.memory().read(pa, &mut text);
        if !text.contains(&0) {
            return Err(HvError::Inval.into());
        }
        self.guest.soft_state = SoftState { state, text };
        self.guest.soft_news = true;
        Ok(Answer::default())
    }

    /// 71: reads them back.
    pub(super) fn soft_state_get(&mut self, buffer: u64) -> CallResult {
        if !buffer.is_multiple_of(32) {
            return Err(HvError::BadAlign.into());
        }
        let pa = self.guest.resolve(Ra(buffer), 32)?;
        let SoftState { state, text } = self.guest.soft_state;
        self.cpus.memory().write(pa, &text);
        Ok(Answer::ok(&[u64::from(state)]))
    }
}
