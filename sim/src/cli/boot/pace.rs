//! Simulated time beside the host's: never ahead of it, and when it is behind it does
//! not hurry to catch up with more than [`BEHIND_MAX`].

use crate::hostnet::Clock;
use std::time::{Duration, Instant};
use sun4v::time::SimTime;

/// How much simulated time catches up at most.
pub const BEHIND_MAX: SimTime = SimTime::ms(50);

/// The host's clock, and what simulated time is at its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    began: Instant,
    from: SimTime,
    /// What simulated time was behind and does not catch up with.
    lost: SimTime,
}

fn span(host: Duration) -> SimTime {
    SimTime(u64::try_from(host.as_nanos()).unwrap_or(u64::MAX).saturating_mul(1000))
}

/// The host's clock, from now on.
#[expect(clippy::disallowed_methods, reason = "connections of the host age by its clock")]
pub fn clock() -> Clock {
    let began = Instant::now();
    Box::new(move || began.elapsed())
}

impl Pace {
    /// Begins now, at this simulated time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "whoever waits here lives in the host's time")]
    pub fn begin(from: SimTime) -> Self {
        Self { began: Instant::now(), from, lost: SimTime::ZERO }
    }

    /// How far simulated time may go now.
    #[must_use]
    pub fn allowed(&self) -> SimTime {
        self.at(self.began.elapsed())
    }

    /// Simulated time has come to `now`, for which the host had to work: what it is behind
    /// by more than [`BEHIND_MAX`] is given up. Not after a wait, in which nothing was to be
    /// done.
    pub fn settle(&mut self, now: SimTime) {
        self.settle_after(self.began.elapsed(), now);
    }

    /// Simulated time as the host's clock has it.
    fn at(&self, elapsed: Duration) -> SimTime {
        self.from.plus(span(elapsed)).since(self.lost)
    }

    fn settle_after(&mut self, elapsed: Duration, now: SimTime) {
        let late = self.at(elapsed).since(now).since(BEHIND_MAX);
        self.lost = self.lost.plus(late);
    }

    /// How long the host has to wait until simulated time may be `then`.
    #[must_use]
    pub fn wait(&self, then: SimTime) -> Duration {
        self.wait_after(self.began.elapsed(), then)
    }

    fn wait_after(&self, elapsed: Duration, then: SimTime) -> Duration {
        Duration::from_nanos(then.since(self.at(elapsed)).0.div_ceil(1000))
    }
}

#[cfg(test)]
mod test {
    use super::Pace;
    use std::time::Duration;
    use sun4v::time::SimTime;

    #[test]
    fn simulated_time_is_never_ahead() {
        let mut pace = Pace::begin(SimTime::secs(3));
        let after = Duration::from_millis;
        assert_eq!(pace.at(after(20)), SimTime::ms(3020));
        pace.settle_after(after(20), SimTime::ms(3020));
        assert_eq!(pace.wait_after(after(20), SimTime::ms(3500)), after(480));
        assert_eq!(pace.wait_after(after(20), SimTime::ms(3010)), Duration::ZERO);
        // However long the wait was, nothing is lost.
        assert_eq!(pace.at(after(500)), SimTime::ms(3500));
    }

    #[test]
    fn what_it_is_behind_is_caught_up_in_part_only() {
        let mut pace = Pace::begin(SimTime::ZERO);
        let after = Duration::from_millis;
        // In a second of the host, 100 ms were simulated.
        pace.settle_after(after(1000), SimTime::ms(100));
        assert_eq!(pace.at(after(1000)), SimTime::ms(150));
        // From then on the clocks go side by side.
        pace.settle_after(after(1010), SimTime::ms(150));
        assert_eq!(pace.at(after(1010)), SimTime::ms(160));
        assert_eq!(pace.wait_after(after(1010), SimTime::ms(170)), after(10));
        pace.settle_after(after(2000), SimTime::ms(1150));
        assert_eq!(pace.at(after(2000)), SimTime::ms(1150));
    }
}
