//! A guest's watchdog: so many beats of the hypervisor's heart, once a second, until the
//! service processor hears that it was not set again.
//!
//! **Shape.** Beats fall on whole seconds of simulated time. What is left is always computed
//! from when the watchdog was set, never counted down, so it does not depend on when somebody
//! looks. Only the control domain's runs; another guest's stands where it was set.
//!
//! **Source.** sun4v hypervisor API, `mach_set_watchdog`; the OpenSPARC hypervisor's
//! `heartbeat.s`.

use sun4v::time::SimTime;

/// The longest time that can be set: 365 days.
pub const TIMEOUT_SECS_MAX: u64 = 365 * 24 * 60 * 60;
/// Milliseconds in one second, the unit of the call and that of the beats.
pub const MS: u64 = 1000;

/// A watchdog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watchdog {
    /// Beats that it was set to; zero is off.
    beats: u64,
    /// When it was set.
    set_at: SimTime,
}

/// Beats since time zero.
const fn beat(at: SimTime) -> u64 {
    at.0 / SimTime::secs(1).0
}

impl Watchdog {
    /// A watchdog that has `beats` to go at `now`.
    #[must_use]
    pub const fn new(beats: u64, now: SimTime) -> Self {
        Self { beats, set_at: now }
    }

    /// A watchdog that is set to `ms` milliseconds at `now`: rounded up to seconds, and one
    /// more for the beat that is about to fall. Zero turns it off; `None` is too long.
    #[must_use]
    pub const fn set(ms: u64, now: SimTime) -> Option<Self> {
        let secs = ms.div_ceil(MS);
        match (ms, secs) {
            (0, _) => Some(Self::new(0, now)),
            (_, ..=TIMEOUT_SECS_MAX) => Some(Self::new(secs + 1, now)),
            _ => None,
        }
    }

    /// Beats that are left at `now`, where `runs` says that they fall at all.
    #[must_use]
    pub const fn left(&self, now: SimTime, runs: bool) -> u64 {
        let gone = if runs { beat(now).saturating_sub(beat(self.set_at)) } else { 0 };
        self.beats.saturating_sub(gone)
    }

    /// The beat at which it ends, if it runs; `None` when it is off.
    #[must_use]
    pub const fn ends(&self) -> Option<SimTime> {
        match self.beats {
            0 => None,
            beats => {
                let secs = beat(self.set_at).saturating_add(beats);
                Some(SimTime(secs.saturating_mul(SimTime::secs(1).0)))
            }
        }
    }
}

#[cfg(test)]
mod test {
    use super::{TIMEOUT_SECS_MAX, Watchdog};
    use sun4v::time::SimTime;

    #[test]
    fn it_ends_on_a_whole_second_and_never_early() {
        for (ms, set_at, ends) in [(1, 0, 2), (1000, 999, 2), (1001, 1000, 4), (5000, 2500, 8)] {
            let watchdog = Watchdog::set(ms, SimTime::ms(set_at)).unwrap();
            assert_eq!(watchdog.ends(), Some(SimTime::secs(ends)), "{ms} ms at {set_at} ms");
            assert!(ends * 1000 >= set_at + ms);
            assert_eq!(watchdog.left(SimTime::ms(ends * 1000 - 1), true), 1);
            assert_eq!(watchdog.left(SimTime::secs(ends), true), 0);
            assert_eq!(watchdog.left(SimTime::secs(ends), false), ms.div_ceil(1000) + 1);
        }
    }

    #[test]
    fn a_year_is_the_longest_and_zero_is_off() {
        let off = Watchdog::set(0, SimTime::secs(9)).unwrap();
        assert_eq!((off.ends(), off.left(SimTime::secs(100), true)), (None, 0));
        let year = TIMEOUT_SECS_MAX * 1000;
        assert!(Watchdog::set(year, SimTime::ZERO).is_some());
        assert_eq!(Watchdog::set(year + 1, SimTime::ZERO), None);
        assert_eq!(Watchdog::set(u64::MAX, SimTime::ZERO), None);
    }
}
