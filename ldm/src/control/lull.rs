//! A guest's disks come to rest before it is suspended: when, how, and what if they do not.
//!
//! A guest goes on behind its suspend with every channel reset. A driver that is told
//! begins its requests again; Linux' `sunvdc` puts those that are under way on a list from
//! which nothing takes them (`vdc_requeue_inflight`). So a guest whose system has no
//! suspend handler is suspended in a *lull*: a moment in which its disks have nothing under
//! way and it knows that ([`Rest`]), and in which no virtual CPU is *inside*: where a disk's
//! interrupt goes in the supervisor, which would take the interrupt and go on with what it was
//! at, perhaps a request; elsewhere where interrupts wait, as they do while one is made.
//!
//! **Flow.** Its disks are looked at until they rest. Then its virtual CPUs are held, all of
//! the time: they stand still as by a suspend, but channels stay as they are, so it can be
//! taken back. The disks are looked at again, for the guest ran until it was held: has it
//! knocked meanwhile, its disks answer, it goes on, and all begins again. So it does when a
//! virtual CPU is inside, but not for longer than [`OUTSIDE_WAIT`]; otherwise it is suspended.
//! A guest that has always something under way, since it asks ahead, is held too: its disks
//! answer all of it, and when it goes on it sees that before it asks for more. A guest whose
//! disks never rest within [`WAIT`], or that has knocked [`TRIES_MAX`] times, is suspended as
//! it is.
//!
//! ```text
//!       rests, or works on    held                rests, outside
//! Watched ──────────▶ Stopping ─────▶ (look) ──────────────▶ Decided
//!    ▲                                   │                      ▲
//!    └───────────────────────────────────┘                      │
//!    │ has answers, inside: goes on          TRIES_MAX, refused │
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
/// How long a moment is waited for in which no virtual CPU is inside. The same Linux left one
/// within 3 ms in 26 of forty moves and after 42 ms in one; in the others, in which its writer
/// worked where the disk's interrupts go, it left none in 200 ms.
const OUTSIDE_WAIT: SimTime = SimTime::ms(50);
/// How long its disks work before it is held so that they come to rest.
const DRAIN_AFTER: SimTime = SimTime::ms(2);
/// The longest that it is held for that.
const DRAIN_MAX: SimTime = SimTime::ms(20);
/// Between two tries to find them all outside: the longer it takes the longer, within these.
const AGAIN: [SimTime; 2] = [SimTime::us(50), SimTime::ms(1)];
/// All of the time.
pub(super) const STILL: u8 = 100;

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The guest runs; its disks are looked at, again at this time.
    Watched(SimTime),
    /// It runs, for a virtual CPU was inside; not before this time is it looked at.
    Inside(SimTime),
    /// It is being held.
    Stopping,
    /// It stands still since then, with this many virtual CPUs inside.
    Stopped(SimTime, u64),
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
    /// It stands still, and its disks rest; so many virtual CPUs are inside.
    InLull(u64),
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
    /// When it ran on last.
    ran: SimTime,
    tries: u32,
    knocks: u32,
}

impl Lull {
    /// One for a guest that runs.
    pub(super) const fn new(now: SimTime) -> Self {
        Self { stage: Stage::Watched(now), began: now, ran: now, tries: 0, knocks: 0 }
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
    pub(super) fn next_time(&self) -> SimTime {
        match self.stage {
            Stage::Watched(at) | Stage::Inside(at) => at,
            Stage::Stopped(since, _) => since.plus(DRAIN_MAX).min(self.began.plus(WAIT)),
            Stage::Stopping | Stage::Refused => SimTime::NEVER,
        }
    }

    /// The disks were looked at.
    pub(super) fn looked(&mut self, now: SimTime, rest: Rest) -> Act {
        let end = self.began.plus(WAIT);
        match (self.stage, rest) {
            (Stage::Stopping, _) => Act::Wait,
            (Stage::Refused, _) => Act::Suspend(How::Refused),
            (Stage::Stopped(_, inside), Rest::Rests) => {
                let waited = now.since(self.began);
                if inside == 0 || waited >= OUTSIDE_WAIT {
                    return Act::Suspend(How::InLull(inside));
                }
                let [shortest, longest] = AGAIN;
                let again = SimTime(waited.0 / 8).clamp(shortest, longest);
                self.runs(Stage::Inside(now.plus(again)), now)
            }
            (Stage::Stopped(..), _) if now >= end => Act::Suspend(How::Busy),
            (Stage::Stopped(since, _), Rest::Works) if now < since.plus(DRAIN_MAX) => Act::Wait,
            (Stage::Stopped(..), _) if self.knocks + 1 >= TRIES_MAX => Act::Suspend(How::Knocks),
            (Stage::Stopped(..), _) => {
                self.knocks += 1;
                self.runs(Stage::Watched(now.plus(LOOK).min(end)), now)
            }
            (Stage::Inside(at), _) if now < at => Act::Wait,
            (Stage::Watched(_) | Stage::Inside(_), _) if now >= end => Act::Suspend(How::Busy),
            (Stage::Watched(_) | Stage::Inside(_), Rest::Settles) => {
                self.stage = Stage::Watched(now.plus(LOOK).min(end));
                Act::Wait
            }
            (Stage::Watched(_) | Stage::Inside(_), rest) => {
                let drain = self.ran.plus(DRAIN_AFTER);
                if rest == Rest::Works && now < drain {
                    self.stage = Stage::Watched(drain.min(end));
                    return Act::Wait;
                }
                self.stage = Stage::Stopping;
                self.tries += 1;
                Act::Stop
            }
        }
    }

    const fn runs(&mut self, stage: Stage, now: SimTime) -> Act {
        self.stage = stage;
        self.ran = now;
        Act::GoOn
    }

    /// The hypervisor has answered that it is held, and how many virtual CPUs are inside; or
    /// that it will not be.
    pub(super) const fn stopped(&mut self, now: SimTime, inside: Option<u64>) {
        self.stage = match inside {
            Some(inside) => Stage::Stopped(now, inside),
            None => Stage::Refused,
        };
    }
}

#[cfg(test)]
mod test {
    use super::{
        AGAIN, Act, DRAIN_AFTER, DRAIN_MAX, How, LOOK, Lull, OUTSIDE_WAIT, TRIES_MAX, WAIT,
    };
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
        assert_eq!(lull.next_time(), NOW.plus(DRAIN_AFTER), "what happens tells");
        assert_eq!(lull.looked(at(900), Rest::Settles), Act::Wait);
        assert_eq!(lull.next_time(), at(900).plus(LOOK), "nothing tells");
        assert_eq!(lull.looked(at(910), Rest::Rests), Act::Stop);
        assert!(!lull.wants_look());
        assert_eq!(lull.looked(at(911), Rest::Rests), Act::Wait, "it runs still");
        lull.stopped(NOW, Some(0));
        assert_eq!(lull.looked(at(930), Rest::Rests), Act::Suspend(How::InLull(0)));
        assert_eq!(lull.took(at(930)), (SimTime::us(930), 1));
    }

    #[test]
    fn one_that_knocks_before_it_stands_still_has_its_answer_and_is_tried_again() {
        for knock in [Rest::Works, Rest::Settles] {
            let mut lull = Lull::new(NOW);
            assert_eq!(lull.looked(at(0), Rest::Rests), Act::Stop);
            lull.stopped(at(10), Some(0));
            if knock == Rest::Works {
                assert_eq!(lull.looked(at(20), knock), Act::Wait, "its disk is at work");
                assert_eq!(lull.next_time(), at(10).plus(DRAIN_MAX));
            }
            assert_eq!(lull.looked(at(800), Rest::Settles), Act::GoOn);
            assert_eq!(lull.next_time(), at(800).plus(LOOK));
            assert_eq!(lull.looked(at(810), Rest::Rests), Act::Stop);
            lull.stopped(at(820), Some(0));
            assert_eq!(lull.looked(at(830), Rest::Rests), Act::Suspend(How::InLull(0)));
            assert_eq!(lull.took(at(830)).1, 2);
        }
    }

    #[test]
    fn one_whose_disk_works_on_and_on_stands_still_until_it_has_rested() {
        let mut lull = Lull::new(NOW);
        let mut now = NOW;
        assert_eq!(lull.looked(now, Rest::Works), Act::Wait);
        let act = loop {
            // Watched for a while, then held until the disk has answered; it asks again.
            now = lull.next_time();
            assert!(now == lull.ran.plus(DRAIN_AFTER) || now == NOW.plus(WAIT));
            let act = lull.looked(now, Rest::Works);
            if act != Act::Stop {
                break act;
            }
            lull.stopped(now, Some(0));
            assert_eq!(lull.looked(now, Rest::Works), Act::Wait);
            now = now.plus(SimTime::ms(3)).min(NOW.plus(WAIT));
            let act = lull.looked(now, Rest::Settles);
            if act != Act::GoOn {
                break act;
            }
            now = lull.next_time();
            assert_eq!(lull.looked(now, Rest::Works), Act::Wait);
        };
        assert_eq!((act, now), (Act::Suspend(How::Busy), NOW.plus(WAIT)));
        let tries = lull.took(now).1;
        assert!(tries > 50 && tries <= TRIES_MAX, "{tries}");
        // A disk that does not answer: it does not stand still for ever.
        let mut lull = Lull::new(NOW);
        assert_eq!(lull.looked(at(0), Rest::Rests), Act::Stop);
        lull.stopped(at(10), Some(0));
        assert_eq!(lull.looked(at(10), Rest::Works), Act::Wait);
        let late = lull.next_time();
        assert_eq!(lull.looked(SimTime(late.0 - 1), Rest::Works), Act::Wait);
        assert_eq!(lull.looked(late, Rest::Works), Act::GoOn);
    }

    #[test]
    fn one_with_a_virtual_cpu_inside_goes_on_for_a_while_and_is_tried_less_and_less_often() {
        let mut lull = Lull::new(NOW);
        let (mut now, mut waits) = (NOW, Vec::new());
        let act = loop {
            assert_eq!(lull.looked(now, Rest::Rests), Act::Stop);
            lull.stopped(now, Some(2));
            let act = lull.looked(now, Rest::Rests);
            if act != Act::GoOn {
                break act;
            }
            let next = lull.next_time();
            // Whatever happens, it is not looked at before that.
            for rest in [Rest::Rests, Rest::Settles, Rest::Works] {
                assert_eq!(lull.looked(SimTime(next.0 - 1), rest), Act::Wait);
            }
            waits.push(next.since(now));
            now = next;
        };
        assert_eq!(act, Act::Suspend(How::InLull(2)));
        assert!(now.since(NOW) >= OUTSIDE_WAIT && now.since(NOW) < OUTSIDE_WAIT.plus(AGAIN[1]));
        assert!(waits.is_sorted());
        assert_eq!([waits[0], *waits.last().unwrap()], AGAIN);
        // One that comes out is suspended then.
        let mut lull = Lull::new(NOW);
        for inside in [3, 0] {
            let now = lull.next_time();
            assert_eq!(lull.looked(now, Rest::Rests), Act::Stop);
            lull.stopped(now, Some(inside));
            let act = if inside > 0 { Act::GoOn } else { Act::Suspend(How::InLull(0)) };
            assert_eq!(lull.looked(now, Rest::Rests), act);
        }
    }

    #[test]
    fn one_that_knocks_every_time_is_suspended_as_it_is() {
        let mut lull = Lull::new(NOW);
        for n in 0..u64::from(TRIES_MAX) {
            assert_eq!(lull.looked(at(30 * n), Rest::Rests), Act::Stop);
            lull.stopped(at(30 * n), Some(0));
            let last = n + 1 == u64::from(TRIES_MAX);
            let act = if last { Act::Suspend(How::Knocks) } else { Act::GoOn };
            assert_eq!(lull.looked(at(30 * n + 20), Rest::Settles), act);
        }
    }

    #[test]
    fn one_that_cannot_be_held_is_suspended_as_it_is() {
        let mut lull = Lull::new(NOW);
        assert_eq!(lull.looked(at(0), Rest::Rests), Act::Stop);
        lull.stopped(NOW, None);
        assert_eq!(lull.looked(at(20), Rest::Works), Act::Suspend(How::Refused));
    }
}
