//! How long something has run, and how busy it was.
//!
//! Of a virtual CPU, or of all of a guest's together. A figure is always the
//! difference of two readings of a clock, never a sum of pieces.

use sun4v::time::SimTime;

/// Marks from which figures count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// When it began, and its busy time then.
    pub(crate) begun: (SimTime, SimTime),
    /// When it was read last, and its busy time then.
    pub(crate) read: (SimTime, SimTime),
}

/// What a reading gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Since it began.
    pub lifespan: SimTime,
    /// Since the last reading.
    pub wallclock: SimTime,
    /// Busy, since the last reading.
    pub active: SimTime,
}

impl Figures {
    /// It begins at `now`; its busy time so far is `busy`.
    #[must_use]
    pub const fn begin(now: SimTime, busy: SimTime) -> Self {
        Self { begun: (now, busy), read: (now, busy) }
    }

    /// Reads the figures; the next reading's deltas count from here.
    pub fn read(&mut self, now: SimTime, busy: SimTime) -> Reading {
        let (last, last_busy) = std::mem::replace(&mut self.read, (now, busy));
        Reading {
            lifespan: now.since(self.begun.0),
            wallclock: now.since(last),
            active: busy.since(last_busy),
        }
    }

    /// Not busy, since it began.
    #[must_use]
    pub const fn idle(&self, now: SimTime, busy: SimTime) -> SimTime {
        now.since(self.begun.0).since(busy.since(self.begun.1))
    }
}

#[cfg(test)]
mod test {
    use super::{Figures, Reading};
    use sun4v::time::SimTime;

    #[test]
    fn deltas_count_from_the_last_reading() {
        let us = SimTime::us;
        let mut figures = Figures::begin(us(10), us(4));
        let first = figures.read(us(30), us(9));
        assert_eq!(first, Reading { lifespan: us(20), wallclock: us(20), active: us(5) });
        let second = figures.read(us(31), us(9));
        assert_eq!(second, Reading { lifespan: us(21), wallclock: us(1), active: us(0) });
        assert_eq!(figures.idle(us(31), us(9)), us(16));
    }
}
