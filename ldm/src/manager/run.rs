//! How guests are: what the hypervisor reports of them.
//!
//! **Uptime** is the manager's own count from the moment a domain was started. It
//! goes on across a migration: that moment travels with the offer, and the clocks of
//! both machines are the lab's. A target whose clock is behind shows zero.
//!
//! **Utilisation** is what was measured between the last two looks at it.

use std::collections::BTreeMap;
use sun4v::hvctl::{GuestState, ResData, SoftState, Utilisation, VcpuStatus};
use sun4v::id::StrandId;
use sun4v::time::SimTime;

/// A bound guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its state.
    pub state: GuestState,
    /// What it says of itself.
    pub soft: Option<(SoftState, String)>,
    /// When it was started, here or elsewhere.
    pub since: SimTime,
    /// Busy tenths of a percent, of all its virtual CPUs.
    pub util: Option<u64>,
    /// The same by strand.
    pub strands: BTreeMap<StrandId, u64>,
}

impl Run {
    /// Bound, not started.
    #[must_use]
    pub fn stopped() -> Self {
        Self {
            state: GuestState::Stopped,
            soft: None,
            since: SimTime::ZERO,
            util: None,
            strands: BTreeMap::new(),
        }
    }

    /// Uptime.
    #[must_use]
    pub fn uptime(&self, now: SimTime) -> SimTime {
        now.since(self.since)
    }

    /// Does it hold its resources in use?
    #[must_use]
    pub fn is_active(&self) -> bool {
        !matches!(self.state, GuestState::Stopped | GuestState::Unconfigured)
    }

    /// Does its system say that it runs?
    #[must_use]
    pub fn is_normal(&self) -> bool {
        matches!(self.soft, Some((SoftState::Normal, _)))
    }

    /// Takes what was reported; `strand` is whose status it is, `vcpus` how many
    /// virtual CPUs the guest has.
    pub fn take(&mut self, data: &ResData, strand: Option<StrandId>, vcpus: usize) {
        match data {
            ResData::GuestState(state) => {
                self.state = *state;
                if !self.is_active() {
                    (self.soft, self.util) = (None, None);
                    self.strands.clear();
                }
            }
            ResData::SoftState(state, text) => {
                let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
                let clean = |c: char| if c.is_control() || c == '|' { '?' } else { c };
                let text = String::from_utf8_lossy(text).chars().map(clean).collect();
                self.soft = Some((*state, text));
            }
            ResData::Tod(_) => {}
            ResData::Utilisation(Utilisation { wallclock_delta, active_delta, .. }) => {
                let all = u128::from(*wallclock_delta) * vcpus as u128;
                self.util = tenths((*active_delta).into(), all).or(self.util);
            }
            ResData::Vcpu(VcpuStatus { wallclock_delta, active_delta, .. }) => {
                let part = tenths((*active_delta).into(), (*wallclock_delta).into());
                if let (Some(strand), Some(part)) = (strand, part) {
                    self.strands.insert(strand, part);
                }
            }
        }
    }
}

/// Tenths of a percent, rounded; `None` of nothing.
#[must_use]
pub fn tenths(part: u128, whole: u128) -> Option<u64> {
    let rounded = (part.saturating_mul(2000).saturating_add(whole)) / whole.checked_mul(2)?.max(1);
    (whole > 0).then_some(rounded.min(1000) as u64)
}

/// The control domain's own strands, by what they say of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// When it looked last.
    pub at: SimTime,
    /// How long each virtual CPU had been busy then.
    pub busy: Vec<SimTime>,
    /// Busy tenths of a percent, by virtual CPU.
    pub vcpus: Vec<u64>,
}

impl Meter {
    /// Looks at them.
    pub fn look(&mut self, now: SimTime, busy: Vec<SimTime>) {
        let whole = now.since(self.at);
        if whole == SimTime::ZERO {
            return;
        }
        let before = |n: usize| self.busy.get(n).copied().unwrap_or_default();
        let parts = busy.iter().enumerate().map(|(n, busy)| busy.since(before(n)).0.into());
        self.vcpus = parts.map(|part| tenths(part, whole.0.into()).unwrap_or(0)).collect();
        (self.at, self.busy) = (now, busy);
    }

    /// Busy tenths of a percent, of all.
    #[must_use]
    pub fn util(&self) -> u64 {
        let sum: u64 = self.vcpus.iter().sum();
        let count = (self.vcpus.len() as u64).max(1);
        (sum + count / 2) / count
    }
}

#[cfg(test)]
mod test {
    use super::{Meter, tenths};
    use sun4v::time::SimTime;

    #[test]
    fn shares_are_rounded_and_never_more_than_all() {
        assert_eq!(tenths(1, 2), Some(500));
        assert_eq!(tenths(9996, 10_000), Some(1000));
        assert_eq!(tenths(3, 2), Some(1000));
        assert_eq!(tenths(1, 2001), Some(0));
        assert_eq!(tenths(0, 0), None);
    }

    #[test]
    fn a_meter_tells_what_was_between_two_looks() {
        let mut meter = Meter::default();
        meter.look(SimTime::secs(1), vec![SimTime::ms(500), SimTime::ZERO]);
        assert_eq!((meter.util(), meter.vcpus.clone()), (250, vec![500, 0]));
        meter.look(SimTime::secs(2), vec![SimTime::ms(600), SimTime::ms(1000)]);
        assert_eq!((meter.util(), meter.vcpus.clone()), (550, vec![100, 1000]));
    }
}
