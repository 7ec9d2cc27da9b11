//! Is a disk at rest: would its client miss nothing if its channel were reset now?
//!
//! Three places say so, from here to the client: the port, in which no request is under
//! way and no message unread; the ring, in which no descriptor is READY behind the last one
//! that a message has named; and that last one itself, which the client sets free when it
//! has seen the answer. Clients set them free in the order of the answers (Linux `sunvdc.c`,
//! `vdc_end_one`; illumos `vdc_depopulate_descriptor`), so one stands for all.
//!
//! **Errors.** A ring that cannot be read is at no rest: nobody knows.

use super::port::DiskPort;
use super::session::Phase;
use crate::service::host::Host;
use sun4v::vio::DescriptorState;
use sun4v::vio::dring::{self, DESC_HEADER_BYTES};

/// What a disk is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rest {
    /// Nothing, and its client knows.
    Rests,
    /// It has answered everything, and its client has not seen that, or is about to ask
    /// for more: nothing tells when that is over.
    Settles,
    /// It is at work; what happens next tells of itself.
    Works,
}

impl DiskPort {
    /// What the disk is doing.
    pub(super) fn rest(&mut self, host: &mut Host<'_>) -> Rest {
        let idle = self.is_quiet() && self.session.jobs.is_empty() && self.session.attr.is_none();
        if !idle || self.channel.is_blocked() || self.channel.has_arrivals(host.ports) {
            return Rest::Works;
        }
        let rests = match (self.session.phase, self.session.last) {
            // Nobody has begun; who has, goes on.
            (Phase::Ver, _) | (Phase::Data, None) => true,
            (Phase::Attr | Phase::Ring | Phase::Rdx, _) => false,
            (Phase::Data, Some(last)) => self.ring_rests(host, last),
        };
        if rests { Rest::Rests } else { Rest::Settles }
    }

    /// Is descriptor `last` free again, and the one behind it not READY?
    fn ring_rests(&self, host: &mut Host<'_>, last: u32) -> bool {
        let Some(ring) = self.session.ring else { return true };
        let mut state = |n: u32| {
            let at = dring::descriptor(&ring.cookie, n, ring.desc_size)?;
            let mut header = [0; DESC_HEADER_BYTES];
            let channel = self.channel.id();
            host.copier.copy_in(host.ports, channel, &[at], &mut header).ok()?;
            Some(header[0] & 0xf)
        };
        let (ready, done) = (DescriptorState::Ready.code(), DescriptorState::Done.code());
        let seen = state(last).is_some_and(|code| !(ready..=done).contains(&code));
        seen && state((last + 1) % ring.num_desc).is_some_and(|code| code != ready)
    }
}
