//! A domain under way: a guest and its strands, for a slice or, alone, for many.
//!
//! Boundaries lie on a grid: the whole multiples of the slice's length. A domain
//! that is alone in running needs no boundary while it does nothing that crosses
//! to another and nothing else is due: it goes from grid line to grid line by
//! itself, exactly as if each had been a boundary at which nothing happened.
//!
//! A debugger may stop a domain anywhere: [`Slice::run`] then returns with `done` false,
//! and the next call goes on.

use super::domain::Domain;
use super::pool::Slice;
use crate::gdb::Reason;
use hv::{Guest, GuestState};
use sun4v::id::{GuestId, VcpuId};
use sun4v::time::SimTime;

/// The first grid line after `now`.
#[must_use]
pub const fn grid_after(now: SimTime, slice: SimTime) -> SimTime {
    SimTime((now.0 / slice.0).saturating_add(1).saturating_mul(slice.0))
}

/// A domain on its way to a grid line.
pub struct DomainSlice {
    /// Which server it is of.
    pub server: usize,
    /// The guest, as the hypervisor knows it.
    pub guest: Box<Guest>,
    /// Its strands.
    pub domain: Box<Domain>,
    /// Distance between grid lines.
    pub slice: SimTime,
    /// The grid line that it runs to; afterwards, the one that it has reached.
    pub until: SimTime,
    /// It may go on to later grid lines while they are needed to reach this time.
    pub limit: SimTime,
    /// It has reached its grid line.
    pub done: bool,
    /// Who stopped it before that, and why.
    pub stop: Option<(VcpuId, Reason)>,
}

impl DomainSlice {
    /// Which guest.
    #[must_use]
    pub fn id(&self) -> GuestId {
        self.guest.id
    }
}

/// Is there something of this guest that a boundary does?
fn wants_boundary(guest: &Guest) -> bool {
    !guest.deferred.is_empty()
        || !guest.stirred.is_empty()
        || guest.console_stirred
        || !guest.crypto_words.is_empty()
        || !guest.mau_work.is_empty()
        || guest.state_news
        || guest.soft_news
        || guest.state != GuestState::Normal
        || guest.vcpus.values().any(|vcpu| vcpu.mailbox.is_some())
}

impl Slice for DomainSlice {
    fn run(&mut self) {
        while !self.done {
            self.stop = self.domain.run(&mut self.guest, self.until);
            if self.stop.is_some() {
                return;
            }
            let next = self.domain.next_time().max(self.until);
            self.done =
                self.until >= self.limit || wants_boundary(&self.guest) || next >= self.limit;
            if self.done {
                return;
            }
            self.domain.set_now(self.until);
            self.until = grid_after(next, self.slice);
        }
    }
}

#[cfg(test)]
mod test {
    use super::grid_after;
    use sun4v::time::SimTime;

    #[test]
    fn a_grid_line_is_always_ahead() {
        let slice = SimTime::us(10);
        assert_eq!(grid_after(SimTime::ZERO, slice), SimTime::us(10));
        assert_eq!(grid_after(SimTime(SimTime::us(10).0 - 1), slice), SimTime::us(10));
        assert_eq!(grid_after(SimTime::us(10), slice), SimTime::us(20));
        assert_eq!(grid_after(SimTime::NEVER, slice), SimTime::NEVER);
    }
}
