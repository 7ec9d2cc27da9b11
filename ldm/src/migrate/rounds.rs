//! When to stop copying a domain that goes on writing.
//!
//! Each round sends the pages that were written during the one before. After each
//! there is a choice: suspend the domain and send the rest, or go round again. Two
//! figures of the last round decide: how many pages a second were written, and how many
//! a second were copied. (Pages of zeros are copied faster, so the first round, which has the
//! most of them, does not count them.) While the first is the smaller, every round leaves less than
//! the one before, and in the end the rest fits the pause that the domain may have.
//! When it is not, rounds do not help, and [`Unfit`] says what then.
//!
//! **Shapes.** A share of time in which virtual CPUs are held is in percent, 0 to
//! [`HELD_MAX`].

use serde::{Deserialize, Serialize};
use sun4v::addr::PAGE_BYTES;
use sun4v::calibration;
use sun4v::time::SimTime;

/// What becomes of a domain whose pages are written faster than rounds can send them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfit {
    /// It is suspended, however long the pause.
    #[default]
    Accept,
    /// Its virtual CPUs are held for a share of the time, until the rest fits. If it
    /// does not fit at [`HELD_MAX`] either, the pause is accepted.
    Slow,
    /// It stays.
    GiveUp,
}

/// The largest share of time in which virtual CPUs are held, in percent: a domain that
/// writes what it has many times over within a round writes it all at a tenth of the time too.
pub const HELD_MAX: u8 = 99;
/// A share rises by so much at least.
const HELD_STEP: u8 = 10;

/// What the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How long the domain may stand still.
    pub pause_budget: SimTime,
    /// Rounds after which no other begins.
    pub rounds_max: u32,
    /// When rounds do not help.
    pub unfit: Unfit,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            pause_budget: SimTime::ms(calibration::PAUSE_BUDGET),
            rounds_max: calibration::ROUNDS_MAX as u32,
            unfit: Unfit::default(),
        }
    }
}

/// One round, measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Pages by which its speed is told: those that it had to look at. Of the first round,
    /// those that had content: most of a domain's memory was never written and costs next to
    /// nothing, which says little of what is written now.
    pub pages: u64,
    /// From the first page read to the last acknowledged.
    pub took: SimTime,
    /// Pages that had been written again when it ended.
    pub dirty: u64,
    /// Share of its time in which the domain's virtual CPUs were held, in percent.
    pub held: u8,
}

impl Round {
    /// So many in the time of the round, by the second.
    fn rate(&self, count: u64) -> u64 {
        let ps = u128::from(self.took.0.max(1));
        u64::try_from(u128::from(count) * u128::from(SimTime::secs(1).0) / ps).unwrap_or(u64::MAX)
    }

    /// Pages written a second: different ones, for one that is written twice is sent once.
    #[must_use]
    pub fn dirtied(&self) -> u64 {
        self.rate(self.dirty)
    }

    /// Bytes of memory copied a second.
    #[must_use]
    pub fn copied(&self) -> u64 {
        self.rate(self.pages).saturating_mul(PAGE_BYTES)
    }
}

/// Why rounds end though the rest does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The last round left no less to send than the one before.
    NoGain,
    /// There were enough of them.
    Enough,
}

/// What to do after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Send what was written meanwhile.
    Again,
    /// Suspend: the pause is predicted to fit.
    Fits,
    /// Suspend, though it will take longer than it may.
    Accept(Why),
    /// Hold the virtual CPUs for this share of the time, and send what was written.
    Slow(u8),
    /// Leave the domain where it is.
    GiveUp(Why),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoGain => "another round would not help",
            Self::Enough => "enough rounds",
        })
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Again => f.write_str("another round"),
            Self::Fits => f.write_str("the rest fits the pause"),
            Self::Accept(why) => write!(f, "{why}: the pause is accepted"),
            Self::Slow(held) => write!(
                f,
                "{}: its virtual CPUs are held for {held} % of the time, and another round",
                Why::NoGain
            ),
            Self::GiveUp(why) => write!(f, "{why}: it stays"),
        }
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
        if self.predict(last, fixed) <= self.pause_budget {
            return Choice::Fits;
        }
        // A round at which fewer pages were written because of a new share is no
        // measure of those at the same share that come behind it.
        let before = rounds.len().checked_sub(2).and_then(|at| rounds.get(at));
        let before = before.filter(|before| before.held == last.held);
        let why = if rounds.len() >= self.rounds_max as usize {
            Why::Enough
        } else if before.is_some_and(|before| last.dirty * 10 > before.dirty * 9) {
            Why::NoGain
        } else {
            return Choice::Again;
        };
        match (self.unfit, why) {
            (Unfit::GiveUp, why) => Choice::GiveUp(why),
            (Unfit::Slow, Why::NoGain) => {
                self.slow(last, fixed).map_or(Choice::Accept(why), Choice::Slow)
            }
            (Unfit::Accept | Unfit::Slow, why) => Choice::Accept(why),
        }
    }

    /// The share at which what is written during the next round fits the pause, as far
    /// as the last one says; none if there is no larger one, or nothing fits.
    ///
    /// The next round sends `dirty` pages and takes `took * dirty / pages`; in that
    /// time `dirty * dirty / pages` are written, in proportion to the time in which the
    /// virtual CPUs are not held.
    fn slow(&self, last: &Round, fixed: SimTime) -> Option<u8> {
        if last.held >= HELD_MAX {
            return None;
        }
        let spare = u128::from(self.pause_budget.since(fixed).0);
        let pages = u128::from(last.pages.max(1));
        let fit = spare * pages / u128::from(last.took.0.max(1));
        let dirty = u128::from(last.dirty);
        let written = (dirty * dirty / pages).max(1);
        let runs = u128::from(100 - last.held);
        let runs = u8::try_from(runs * fit / written).unwrap_or(100).min(100);
        if fit == 0 {
            return None;
        }
        Some((100 - runs).clamp(last.held.saturating_add(HELD_STEP).min(HELD_MAX), HELD_MAX))
    }
}

#[cfg(test)]
mod test {
    use super::{Choice, HELD_MAX, Policy, Round, Unfit, Why};
    use proptest::prelude::any;
    use sun4v::time::SimTime;

    const FIXED: SimTime = SimTime::ms(100);

    fn round(pages: u64, ms: u64, dirty: u64) -> Round {
        Round { pages, took: SimTime::ms(ms), dirty, held: 0 }
    }

    fn policy(unfit: Unfit) -> Policy {
        Policy { unfit, ..Policy::default() }
    }

    #[test]
    fn it_suspends_when_the_rest_fits_the_budget_and_not_before() {
        for unfit in [Unfit::Accept, Unfit::Slow, Unfit::GiveUp] {
            // 10 pages a millisecond and 100 ms besides: 2000 pages fit into 300 ms.
            let policy = policy(unfit);
            assert_eq!(policy.choose(&[round(40_000, 4000, 2000)], FIXED), Choice::Fits);
            assert_eq!(policy.choose(&[round(40_000, 4000, 2001)], FIXED), Choice::Again);
        }
    }

    #[test]
    fn when_rounds_stop_shrinking_the_policy_decides() {
        let first = round(40_000, 4000, 20_000);
        let shrinks = [first, round(20_000, 2000, 18_000)];
        let does_not = [first, round(20_000, 2000, 18_001)];
        for (unfit, choice) in [
            (Unfit::Accept, Choice::Accept(Why::NoGain)),
            // 2000 pages fit; at full speed the next round leaves 16,201: an eighth.
            (Unfit::Slow, Choice::Slow(88)),
            (Unfit::GiveUp, Choice::GiveUp(Why::NoGain)),
        ] {
            let policy = policy(unfit);
            assert_eq!(policy.choose(&shrinks, FIXED), Choice::Again, "{unfit:?}");
            assert_eq!(policy.choose(&does_not, FIXED), choice, "{unfit:?}");
        }
    }

    #[test]
    fn after_so_many_rounds_nobody_is_slowed_any_more() {
        let rounds = [90_000, 70_000, 50_000].map(|dirty| round(100_000, 10_000, dirty));
        for (unfit, choice) in [
            (Unfit::Accept, Choice::Accept(Why::Enough)),
            (Unfit::Slow, Choice::Accept(Why::Enough)),
            (Unfit::GiveUp, Choice::GiveUp(Why::Enough)),
        ] {
            let policy = Policy { rounds_max: 3, ..policy(unfit) };
            assert_eq!(policy.choose(&rounds[..2], FIXED), Choice::Again);
            assert_eq!(policy.choose(&rounds, FIXED), choice);
        }
    }

    /// A domain that writes `rate` pages a millisecond anywhere in memory, over a link
    /// that takes `speed`: the rounds that it needs, and how they end.
    fn converge(policy: &Policy, rate: u64, speed: u64, memory: u64) -> (Vec<Round>, Choice) {
        let (mut rounds, mut pages, mut held) = (Vec::new(), memory, 0);
        loop {
            let took = SimTime::us((pages * 1000 / speed).max(1));
            let written = rate * took.as_us() / 1000 * (100 - u64::from(held)) / 100;
            let dirty = written.min(memory);
            rounds.push(Round { pages, took, dirty, held });
            match policy.choose(&rounds, FIXED) {
                Choice::Again => {}
                Choice::Slow(share) => held = share,
                end => return (rounds, end),
            }
            pages = dirty;
        }
    }

    #[test]
    fn a_slow_writer_converges_by_itself_and_a_quick_one_when_it_is_held() {
        let ends = |unfit, rate| converge(&policy(unfit), rate, 10, 60_000);
        let (rounds, end) = ends(Unfit::GiveUp, 5);
        assert_eq!((rounds.len(), end), (5, Choice::Fits));
        assert_eq!(ends(Unfit::Accept, 20).1, Choice::Accept(Why::NoGain));
        assert_eq!(ends(Unfit::GiveUp, 20).1, Choice::GiveUp(Why::NoGain));
        let (rounds, end) = ends(Unfit::Slow, 20);
        assert_eq!(end, Choice::Fits);
        assert!(rounds.last().unwrap().held > 50, "20 against 10: {rounds:?}");
        assert!(rounds.is_sorted_by_key(|round| round.held), "it never quickens: {rounds:?}");
        // Twenty times as much as the link takes, and two hundred times: too much at a
        // hundredth of the time.
        assert_eq!(ends(Unfit::Slow, 200).1, Choice::Fits);
        let (rounds, end) = ends(Unfit::Slow, 2000);
        assert_eq!(end, Choice::Accept(Why::NoGain));
        assert_eq!(rounds.last().unwrap().held, HELD_MAX);
    }

    #[test]
    fn nobody_is_held_for_a_budget_that_nothing_fits() {
        let policy = Policy { pause_budget: SimTime::ms(99), ..policy(Unfit::Slow) };
        let rounds = [round(40_000, 4000, 20_000), round(20_000, 2000, 20_000)];
        assert_eq!(policy.choose(&rounds, FIXED), Choice::Accept(Why::NoGain));
    }

    #[test]
    fn figures_are_by_the_second() {
        let round = round(40_000, 4000, 2000);
        assert_eq!((round.dirtied(), round.copied()), (500, 10_000 * 8192));
    }

    #[test]
    fn a_link_that_stood_still_predicts_no_overflow() {
        let stuck = Round { pages: 1, took: SimTime::NEVER, dirty: u64::MAX, held: 0 };
        assert_eq!(Policy::default().predict(&stuck, FIXED), SimTime::NEVER);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_measured_a_share_rises_and_ends(
            (pages, took, dirty) in (0..1_u64 << 40, any::<u64>(), 0..1_u64 << 40),
            (held, budget) in (0..=HELD_MAX, any::<u64>()),
        ) {
            let policy = Policy { pause_budget: SimTime(budget), ..policy(Unfit::Slow) };
            let round = Round { pages, took: SimTime(took), dirty, held };
            if let Choice::Slow(share) = policy.choose(&[round, round], FIXED) {
                proptest::prop_assert!((held + 1..=HELD_MAX).contains(&share));
            }
        }
    }
}
