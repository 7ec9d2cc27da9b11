//! Which channels of the control domain are a guest's.

use super::Manager;
use sun4v::id::{GuestId, LdcId};

impl Manager {
    /// The control domain's ends of the channels between its services and a guest.
    #[must_use]
    pub fn service_channels(&self, guest: GuestId) -> Vec<LdcId> {
        let domain = self.model().and_then(|model| model.by_guest(guest));
        let links = domain.and_then(|domain| domain.given.as_ref()).map(|given| &given.links);
        links.into_iter().flatten().map(|link| link.service).collect()
    }
}
