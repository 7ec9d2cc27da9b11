//! Simulated time: picoseconds since the lab was powered on.
//!
//! Nobody here reads a clock; a time always comes in as an argument. Counters
//! that tick at a frequency are computed from it in 128 bits and never
//! accumulated, so they cannot drift ([`SimTime::ticks`]).

use serde::{Deserialize, Serialize};

/// The clock of a T5120 or T5220's UltraSPARC T2 ("1.2 GHz"), in Hz; `%tick`
/// and `%stick` count it. `stick-frequency` of a guest's machine description.
pub const T2_HZ: u64 = 0x4576_46c0;

/// A point in simulated time, or a span of it, in picoseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SimTime(pub u64);

impl SimTime {
    /// The beginning.
    pub const ZERO: Self = Self(0);
    /// Later than anything.
    pub const NEVER: Self = Self(u64::MAX);

    /// `n` nanoseconds.
    #[must_use]
    pub const fn ns(n: u64) -> Self {
        Self(n * 1_000)
    }
    /// `n` microseconds.
    #[must_use]
    pub const fn us(n: u64) -> Self {
        Self(n * 1_000_000)
    }
    /// `n` milliseconds.
    #[must_use]
    pub const fn ms(n: u64) -> Self {
        Self(n * 1_000_000_000)
    }
    /// `n` seconds.
    #[must_use]
    pub const fn secs(n: u64) -> Self {
        Self(n * 1_000_000_000_000)
    }
    /// Seconds as a fraction, for people.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e12
    }
    /// Whole microseconds, the unit of the TCP/IP stack.
    #[must_use]
    pub const fn as_us(self) -> u64 {
        self.0 / 1_000_000
    }
    /// The sum, or [`SimTime::NEVER`].
    #[must_use]
    pub const fn plus(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
    /// The difference, or zero.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
    /// Whole ticks of a clock of `hz` since time zero, rounded down.
    #[must_use]
    pub const fn ticks(self, hz: u64) -> u64 {
        (self.0 as u128 * hz as u128 / 1_000_000_000_000) as u64
    }
    /// The first time at which [`SimTime::ticks`] has reached `ticks`.
    #[must_use]
    pub const fn of_ticks(ticks: u64, hz: u64) -> Self {
        let ps = (ticks as u128 * 1_000_000_000_000).div_ceil(hz as u128);
        if ps > u64::MAX as u128 { Self::NEVER } else { Self(ps as u64) }
    }
}

#[cfg(test)]
mod test {
    use super::{SimTime, T2_HZ};

    #[test]
    fn a_tick_has_come_exactly_when_its_time_has() {
        for tick in [0, 1, 2, 3, 1_165_379_263, 1_165_379_264, 987_654_321_987] {
            let at = SimTime::of_ticks(tick, T2_HZ);
            assert_eq!(at.ticks(T2_HZ), tick);
            assert!(tick == 0 || SimTime(at.0 - 1).ticks(T2_HZ) == tick - 1);
        }
    }
}
