//! Logical pages of the network unit's DMA channels.

use crate::guest::{Call, CallResult};
use crate::niu::{CHANNELS, NetworkUnit, PAGES, Page, PageId};
use crate::trap::Answer;
use sun4v::addr::Ra;
use sun4v::hcall::HvError;

impl Call<'_> {
    /// The unit and a page of it: first the guest must have the unit.
    fn logical_page(
        &mut self,
        transmit: bool,
        channel: u64,
        page: u64,
    ) -> Result<(&mut NetworkUnit, PageId), HvError> {
        let unit = self.guest.network.as_mut().ok_or(HvError::NoAccess)?;
        if channel >= CHANNELS || page >= PAGES {
            return Err(HvError::Inval);
        }
        Ok((unit, PageId { transmit, channel: channel as u8, page: page as u8 }))
    }

    /// 142, 144: what a channel may reach through a page; no bytes, nothing.
    pub(super) fn niu_lp_set(
        &mut self,
        transmit: bool,
        [channel, page, ra, bytes, _]: [u64; 5],
    ) -> CallResult {
        let (unit, id) = self.logical_page(transmit, channel, page)?;
        if bytes == 0 {
            unit.pages.remove(&id);
            return Ok(Answer::default());
        }
        if !bytes.is_power_of_two() {
            return Err(HvError::Inval.into());
        }
        if !ra.is_multiple_of(bytes) {
            return Err(HvError::BadAlign.into());
        }
        self.guest.resolve(Ra(ra), bytes)?;
        let (unit, id) = self.logical_page(transmit, channel, page)?;
        unit.pages.insert(id, Page::new(Ra(ra), bytes));
        Ok(Answer::default())
    }

    /// 143, 145.
    pub(super) fn niu_lp_get(&mut self, transmit: bool, channel: u64, page: u64) -> CallResult {
        let (unit, id) = self.logical_page(transmit, channel, page)?;
        let page = unit.pages.get(&id).map_or([0, 0], |page| [page.ra.0, page.bytes]);
        Ok(Answer::ok(&page))
    }
}
