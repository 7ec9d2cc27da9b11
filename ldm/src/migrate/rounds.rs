//! When to stop copying a domain that goes on writing.
//!
//! Each round sends the pages that were written during the one before. After each
//! there is a choice: suspend the domain and send the rest, or go round again.

use serde::{Deserialize, Serialize};
use sun4v::calibration;
use sun4v::time::SimTime;

/// What the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How long the domain may stand still.
    pub pause_budget: SimTime,
    /// Rounds after which it is suspended whatever remains.
    pub rounds_max: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            pause_budget: SimTime::ms(calibration::PAUSE_BUDGET),
            rounds_max: calibration::ROUNDS_MAX as u32,
        }
    }
}

/// One round, measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Pages that it had to look at.
    pub pages: u64,
    /// From the first page read to the last acknowledged.
    pub took: SimTime,
    /// Pages that had been written again when it ended.
    pub dirty: u64,
}

/// What to do after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Send what was written meanwhile.
    Again,
    /// Suspend: the pause is predicted to fit.
    Fits,
    /// Suspend: the last round left no less to send than the one before.
    NoGain,
    /// Suspend: enough rounds.
    Enough,
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Again => "another round",
            Self::Fits => "the rest fits the pause",
            Self::NoGain => "another round would not help",
            Self::Enough => "enough rounds",
        })
    }
}

impl Policy {
    /// How long the domain would stand still if it were suspended after `round`.
    /// `fixed` is what a pause takes without pages. The speed is the round's own;
    /// a short round's speed is mostly latency, as the pause's would be.
    #[must_use]
    pub fn predict(&self, round: &Round, fixed: SimTime) -> SimTime {
        let ps =
            u128::from(round.took.0) * u128::from(round.dirty) / u128::from(round.pages.max(1));
        fixed.plus(SimTime(u64::try_from(ps).unwrap_or(u64::MAX)))
    }

    /// What to do after the last of `rounds`.
    #[must_use]
    pub fn choose(&self, rounds: &[Round], fixed: SimTime) -> Choice {
        let Some(last) = rounds.last() else { return Choice::Again };
        let before = rounds.len().checked_sub(2).and_then(|at| rounds.get(at));
        if self.predict(last, fixed) <= self.pause_budget {
            Choice::Fits
        } else if before.is_some_and(|before| last.dirty * 10 > before.dirty * 9) {
            Choice::NoGain
        } else if rounds.len() >= self.rounds_max as usize {
            Choice::Enough
        } else {
            Choice::Again
        }
    }
}

#[cfg(test)]
mod test {
    use super::{Choice, Policy, Round};
    use sun4v::time::SimTime;

    const FIXED: SimTime = SimTime::ms(100);

    fn round(pages: u64, ms: u64, dirty: u64) -> Round {
        Round { pages, took: SimTime::ms(ms), dirty }
    }

    #[test]
    fn it_suspends_when_the_rest_fits_the_budget_and_not_before() {
        let policy = Policy::default();
        // 10 pages a millisecond and 100 ms besides: 2000 pages fit into 300 ms.
        assert_eq!(policy.choose(&[round(40_000, 4000, 2000)], FIXED), Choice::Fits);
        assert_eq!(policy.choose(&[round(40_000, 4000, 2001)], FIXED), Choice::Again);
    }

    #[test]
    fn it_suspends_when_rounds_stop_shrinking() {
        let policy = Policy::default();
        let first = round(40_000, 4000, 20_000);
        assert_eq!(policy.choose(&[first, round(20_000, 2000, 18_000)], FIXED), Choice::Again);
        assert_eq!(policy.choose(&[first, round(20_000, 2000, 18_001)], FIXED), Choice::NoGain);
    }

    #[test]
    fn it_suspends_after_so_many_rounds() {
        let policy = Policy { rounds_max: 3, ..Policy::default() };
        let rounds = [90_000, 70_000, 50_000].map(|dirty| round(100_000, 10_000, dirty));
        assert_eq!(policy.choose(&rounds[..2], FIXED), Choice::Again);
        assert_eq!(policy.choose(&rounds, FIXED), Choice::Enough);
    }

    #[test]
    fn a_link_that_stood_still_predicts_no_overflow() {
        let stuck = Round { pages: 1, took: SimTime::NEVER, dirty: u64::MAX };
        assert_eq!(Policy::default().predict(&stuck, FIXED), SimTime::NEVER);
    }
}
