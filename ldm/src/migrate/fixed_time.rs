//! The fixed time of a migration: the only numbers of the model that are fitted
//! ([`sun4v::calibration`] has them).
//!
//! In 2011 a migration of 512 MB took about 15 s, of which our own work (memory
//! read, packed, sealed, sent and written) explains little more than one. The rest
//! went into sessions, checks, a domain made at one end and destroyed at the other,
//! by management software that we do not have. Those seconds are waited for here, by
//! name, and nowhere else. Their *sum* is fitted to the 15 s, and to nothing else:
//! how long 2 GB take, how busy anybody is, how long a pause lasts, are predictions.
//! How the sum is shared out among the steps is a guess, which no total
//! depends on. The two steps inside the pause are kept short, because nobody saw a
//! pause. A domain that holds no resources passes no step: there is nothing to look
//! at, bind or unbind, and its moves were almost instantaneous.

use super::port::Kind;
use serde::{Deserialize, Serialize};
use sun4v::calibration;
use sun4v::time::SimTime;

/// A step that takes time without work of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Source: session with the other manager, authentication of the operator.
    Connect,
    /// Target: looking at every service, disk and resource that the domain needs.
    Check,
    /// Target: binding a domain and telling its services.
    Shell,
    /// Source: the guest's own suspend handler, before it stops.
    Quiesce,
    /// Target: virtual CPUs begin to run.
    Resume,
    /// Target: the domain's services, variables and console settle.
    Settle,
    /// Source: unbinding and destroying what is left.
    Destroy,
}

/// How long each step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedTime {
    /// See [`Step::Connect`].
    pub connect: SimTime,
    /// See [`Step::Check`].
    pub check: SimTime,
    /// See [`Step::Shell`].
    pub shell: SimTime,
    /// See [`Step::Quiesce`].
    pub quiesce: SimTime,
    /// See [`Step::Resume`]; inside the pause.
    pub resume: SimTime,
    /// See [`Step::Settle`].
    pub settle: SimTime,
    /// See [`Step::Destroy`].
    pub destroy: SimTime,
}

impl Default for FixedTime {
    fn default() -> Self {
        Self {
            connect: SimTime::ms(calibration::FIXED_CONNECT),
            check: SimTime::ms(calibration::FIXED_CHECK),
            shell: SimTime::ms(calibration::FIXED_SHELL),
            quiesce: SimTime::ms(calibration::FIXED_QUIESCE),
            resume: SimTime::ms(calibration::FIXED_RESUME),
            settle: SimTime::ms(calibration::FIXED_SETTLE),
            destroy: SimTime::ms(calibration::FIXED_DESTROY),
        }
    }
}

impl FixedTime {
    /// No waiting: what the work itself takes.
    #[must_use]
    pub const fn none() -> Self {
        const NOW: SimTime = SimTime::ZERO;
        Self {
            connect: NOW,
            check: NOW,
            shell: NOW,
            quiesce: NOW,
            resume: NOW,
            settle: NOW,
            destroy: NOW,
        }
    }

    /// So many percent of it.
    #[must_use]
    pub fn percent(&self, percent: u32) -> Self {
        let of = |time: SimTime| SimTime(time.0.saturating_mul(percent.into()) / 100);
        Self {
            connect: of(self.connect),
            check: of(self.check),
            shell: of(self.shell),
            quiesce: of(self.quiesce),
            resume: of(self.resume),
            settle: of(self.settle),
            destroy: of(self.destroy),
        }
    }

    /// How long `step` takes for a domain of this kind.
    #[must_use]
    pub fn of_kind(&self, step: Step, kind: Kind) -> SimTime {
        if kind == Kind::Inactive { SimTime::ZERO } else { self.of(step) }
    }

    /// How long `step` takes.
    #[must_use]
    pub const fn of(&self, step: Step) -> SimTime {
        match step {
            Step::Connect => self.connect,
            Step::Check => self.check,
            Step::Shell => self.shell,
            Step::Quiesce => self.quiesce,
            Step::Resume => self.resume,
            Step::Settle => self.settle,
            Step::Destroy => self.destroy,
        }
    }
}
