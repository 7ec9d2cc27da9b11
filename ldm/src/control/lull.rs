//! A guest's disks come to rest before it is suspended: when, how, and what if they do not.
//!
//! A guest goes on behind its suspend with every channel reset. A driver that is told
//! begins its requests again; Linux' `sunvdc` puts those that are under way on a list from
//! which nothing takes them (`vdc_requeue_inflight`). So a guest whose system has no
//! suspend handler is suspended in a *lull*: a moment in which its disks have nothing under
//! way and it knows that ([`Rest`]).
//!
//! **Flow.** Its disks are looked at until they rest. Then its virtual CPUs are held, all of
//! the time: they stand still as by a suspend, but channels stay as they are, so it can be
//! taken back. The disks are looked at again, for the guest ran until it was held: has it
//! knocked meanwhile, it goes on, and all begins again; otherwise it is suspended. A guest
//! whose disks never rest within [`WAIT`], or that has knocked [`TRIES_MAX`] times, is
//! suspended as it is.
//!
//! ```text
//!            rests            held                rests
//! Watched ──────────▶ Stopping ─────▶ (look) ──────────────▶ Decided
//!    ▲                                   │                      ▲
//!    └───────────────────────────────────┘                      │
//!    │            knocked: goes on           TRIES_MAX, refused │
//!    └──────────────────────────────────────────────────────────┘
//!                          WAIT is over
//! ```
//!
//! **Nothing durable.** All of it is before the suspend: a migration that is cancelled, or a
//! manager that begins again, stops the dirty log, and the hold ends with that.

use crate::service::vds::Rest;
use sun4v::time::SimTime;

/// How long a lull is waited for: what the guest dirties meanwhile the last round sends, so
/// it is what the pause may cost. Linux that writes and syncs an ext4 without a pause left a
/// lull within 3 ms in each of twelve moves.
pub(super) const WAIT: SimTime = SimTime::ms(500);
/// Between two looks at a guest that has yet to see an answer: it takes the interrupt
/// within some microseconds, and asks again as soon.
const LOOK: SimTime = SimTime::us(10);
/// How often it may have knocked. One try costs the guest the time of two commands to the
/// hypervisor.
const TRIES_MAX: u32 = 100;
/// All of the time.
pub(super) const STILL: u8 = 100;

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The guest runs; its disks are looked at, again at this time.
    Watched(SimTime),
    /// It is being held.
    Stopping,
    /// It stands still.
    Stopped,
    /// It cannot be held.
    Refused,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing now.
    Wait,
    /// The guest is to be held.
    Stop,
    /// It goes on.
    GoOn,
    /// It is to be suspended now.
    Suspend(How),
}

/// How a guest is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It stands still, and its disks rest.
    InLull,
    /// Its disks did not rest in time.
    Busy,
    /// It has knocked every time; it stands still.
    Knocks,
    /// It cannot be held.
    Refused,
}

/// A lull that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lull {
    stage: Stage,
    began: SimTime,
    tries: u32,
}

impl Lull {
    /// One for a guest that runs.
    pub(super) const fn new(now: SimTime) -> Self {
        Self { stage: Stage::Watched(now), began: now, tries: 0 }
    }

    /// How long it took, and how often the guest was held.
    pub(super) fn took(&self, now: SimTime) -> (SimTime, u32) {
        (now.since(self.began), self.tries)
    }

    /// Are the disks to be looked at?
    pub(super) const fn wants_look(&self) -> bool {
        !matches!(self.stage, Stage::Stopping)
    }

    /// When they are, without an event.
    pub(super) const fn next_time(&self) -> SimTime {
        match self.stage {
            Stage::Watched(at) => at,
            Stage::Stopping | Stage::Stopped | Stage::Refused => SimTime::NEVER,
        }
    }

    /// The disks were looked at.
    pub(super) fn looked(&mut self, now: SimTime, rest: Rest) -> Act {
        let end = self.began.plus(WAIT);
        match (self.stage, rest) {
            (Stage::Stopping, _) => Act::Wait,
            (Stage::Refused, _) => Act::Suspend(How::Refused),
            (Stage::Stopped, Rest::Rests) => Act::Suspend(How::InLull),
            (Stage::Stopped, _) if self.tries >= TRIES_MAX => Act::Suspend(How::Knocks),
            (Stage::Stopped, _) => {
                self.stage = Stage::Watched(now.plus(LOOK).min(end));
                Act::GoOn
            }
            (Stage::Watched(_), _) if now >= end => Act::Suspend(How::Busy),
            (Stage::Watched(_), Rest::Rests) => {
                self.stage = Stage::Stopping;
                self.tries += 1;
                Act::Stop
            }
            (Stage::Watched(_), Rest::Settles) => {
                self.stage = Stage::Watched(now.plus(LOOK).min(end));
                Act::Wait
            }
            (Stage::Watched(_), Rest::Works) => {
                self.stage = Stage::Watched(end);
                Act::Wait
            }
        }
    }

    /// The hypervisor has answered that it is held, or that it will not be.
    pub(super) const fn stopped(&mut self, held: bool) {
        self.stage = if held { Stage::Stopped } else { Stage::Refused };
    }
}

#[cfg(test)]
mod test {
    use super::{Act, How, LOOK, Lull, TRIES_MAX, WAIT};
    use crate::service::vds::Rest;
    use sun4v::time::SimTime;

    const NOW: SimTime = SimTime::secs(7);

    fn at(us: u64) -> SimTime {
        NOW.plus(SimTime::us(us))
    }

    #[test]
    fn a_guest_is_suspended_once_its_disk_rests_and_it_stands_still() {
        let mut lull = Lull::new(NOW);
        assert_eq!(lull.looked(at(0), Rest::Works), Act::Wait);
        assert_eq!(lull.next_time(), NOW.plus(WAIT), "what happens tells");
        assert_eq!(lull.looked(at(900), Rest::Settles), Act::Wait);
        assert_eq!(lull.next_time(), at(900).plus(LOOK), "nothing tells");
        assert_eq!(lull.looked(at(910), Rest::Rests), Act::Stop);
        assert!(!lull.wants_look());
        assert_eq!(lull.looked(at(911), Rest::Rests), Act::Wait, "it runs still");
        lull.stopped(true);
        assert_eq!(lull.looked(at(930), Rest::Rests), Act::Suspend(How::InLull));
        assert_eq!(lull.took(at(930)), (SimTime::us(930), 1));
    }

    #[test]
    fn one_that_knocks_before_it_stands_still_goes_on_and_is_tried_again() {
        for knock in [Rest::Works, Rest::Settles] {
            let mut lull = Lull::new(NOW);
            assert_eq!(lull.looked(at(0), Rest::Rests), Act::Stop);
            lull.stopped(true);
            assert_eq!(lull.looked(at(20), knock), Act::GoOn);
            assert_eq!(lull.next_time(), at(20).plus(LOOK));
            assert_eq!(lull.looked(at(30), Rest::Rests), Act::Stop);
            lull.stopped(true);
            assert_eq!(lull.looked(at(50), Rest::Rests), Act::Suspend(How::InLull));
            assert_eq!(lull.took(at(50)).1, 2);
        }
    }

    #[test]
    fn one_that_never_rests_is_suspended_as_it_is() {
        let mut lull = Lull::new(NOW);
        assert_eq!(lull.looked(at(0), Rest::Works), Act::Wait);
        let end = lull.next_time();
        assert_eq!(lull.looked(SimTime(end.0 - 1), Rest::Works), Act::Wait);
        assert_eq!(lull.looked(end, Rest::Works), Act::Suspend(How::Busy));

        let mut lull = Lull::new(NOW);
        for n in 0..u64::from(TRIES_MAX) {
            assert_eq!(lull.looked(at(30 * n), Rest::Rests), Act::Stop);
            lull.stopped(true);
            let last = n + 1 == u64::from(TRIES_MAX);
            let act = if last { Act::Suspend(How::Knocks) } else { Act::GoOn };
            assert_eq!(lull.looked(at(30 * n + 20), Rest::Works), act);
        }
    }

    #[test]
    fn one_that_cannot_be_held_is_suspended_as_it_is() {
        let mut lull = Lull::new(NOW);
        assert_eq!(lull.looked(at(0), Rest::Rests), Act::Stop);
        lull.stopped(false);
        assert_eq!(lull.looked(at(20), Rest::Works), Act::Suspend(How::Refused));
    }
}
