//! `%tick`, `%stick` and their compare registers.
//!
//! T2 has one 63-bit counter a core, and both registers show it; here it counts
//! [`T2_HZ`](sun4v::time::T2_HZ) from simulated time zero, plus the guest's own
//! offset, which a migration sets.
//!
//! **Shapes.** A *machine tick* is a cycle since time zero. A *guest tick* is what
//! the guest reads. `%stick` reads with bits 6:0 set.
//!
//! **Compare.** Equality of bits 62:7, not order: a value that is already past
//! never matches. A match happens at the moment at which the counter arrives at
//! the value's 128-tick window, once; a value written inside its own window
//! matches at once.

use sun4v::time::{SimTime, T2_HZ};

/// INT_DIS of a compare register.
pub const INT_DIS: u64 = 1 << 63;
const WINDOW: u64 = 127;

/// A compare register and when it matches next.
#[derive(Clone, Copy, Debug)]
pub struct Compare {
    register: u64,
    /// Machine tick of the match, `u64::MAX` for never.
    due: u64,
}

impl Default for Compare {
    fn default() -> Self {
        Self { register: 0, due: u64::MAX }
    }
}

impl Compare {
    /// What software reads: INT_DIS and 63 bits.
    pub fn register(&self) -> u64 {
        self.register
    }

    /// Machine tick of the next match, `u64::MAX` for never.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Writes the register at machine tick `now`, the guest's counter being that
    /// plus `offset`.
    pub fn write(&mut self, register: u64, now: u64, offset: i64) {
        self.register = register;
        self.aim(now, offset);
        let window = (register & !INT_DIS & !WINDOW).wrapping_sub(offset as u64);
        if register & INT_DIS == 0 && now.wrapping_sub(window) <= WINDOW {
            self.due = now;
        }
    }

    /// Finds the next match again after the offset or the register came from
    /// elsewhere; one that has begun has been seen.
    pub fn aim(&mut self, now: u64, offset: i64) {
        let window = (self.register & !INT_DIS & !WINDOW) as i128 - i128::from(offset);
        let ahead = self.register & INT_DIS == 0 && window > i128::from(now);
        self.due = if ahead { u64::try_from(window).unwrap_or(u64::MAX) } else { u64::MAX };
    }

    /// Has it matched by machine tick `now`? True once.
    #[inline]
    pub fn matched(&mut self, now: u64) -> bool {
        let matched = self.due <= now;
        if matched {
            self.due = u64::MAX;
        }
        matched
    }

    /// Loads the register without a match.
    pub fn restore(register: u64, now: u64, offset: i64) -> Self {
        let mut compare = Self { register, due: u64::MAX };
        compare.aim(now, offset);
        compare
    }
}

/// The time of a machine tick, [`SimTime::NEVER`] for `u64::MAX`.
pub fn time_of(tick: u64) -> SimTime {
    if tick == u64::MAX { SimTime::NEVER } else { SimTime::of_ticks(tick, T2_HZ) }
}

/// What `%tick` reads: bit 63 (NPT) is clear.
pub fn tick_of(guest_tick: u64) -> u64 {
    guest_tick & !INT_DIS
}

/// What `%stick` reads.
pub fn stick_of(guest_tick: u64) -> u64 {
    tick_of(guest_tick) | WINDOW
}

#[cfg(test)]
mod test {
    use super::{Compare, INT_DIS};

    #[test]
    fn a_match_comes_when_the_counter_arrives_and_only_once() {
        let mut compare = Compare::default();
        compare.write(0x1234, 0x100, 0);
        assert_eq!(compare.due(), 0x1200);
        assert!(!compare.matched(0x11ff));
        assert!(compare.matched(0x1300));
        assert!(!compare.matched(0x1300));
    }

    #[test]
    fn a_value_in_the_past_never_matches_and_one_in_its_window_does_at_once() {
        let mut compare = Compare::default();
        compare.write(0x1234, 0x1280, 0);
        assert_eq!(compare.due(), u64::MAX);
        compare.write(0x1234, 0x127f, 0);
        assert!(compare.matched(0x127f));
        compare.write(0x1234, 0x1210, 0);
        assert!(compare.matched(0x1210));
    }

    #[test]
    fn int_dis_disables() {
        let mut compare = Compare::default();
        compare.write(0x1234 | INT_DIS, 0x1210, 0);
        assert_eq!(compare.due(), u64::MAX);
        assert_eq!(compare.register(), 0x1234 | INT_DIS);
    }

    #[test]
    fn the_guests_own_counter_is_what_is_compared() {
        let mut compare = Compare::default();
        compare.write(0x100_1000, 0x2000, 0x100_0000 - 0x1f00);
        assert_eq!(compare.due(), 0x2f00);
        let moved = Compare::restore(compare.register(), 0x5000, 0x100_0000 - 0x5000);
        assert_eq!(moved.due(), 0x6000);
        let ahead = Compare::restore(0x80, 0, 1 << 40);
        assert_eq!(ahead.due(), u64::MAX);
    }
}
