//! Thread groups of the chip: how many strands of each have something to execute.
//!
//! A timing model may let the strands of a group share its issue. Who runs is looked at
//! when a slice begins, over all domains of the chassis, and holds for the whole slice:
//! inside it a domain sees nothing of another. So it is the same on any number of host
//! threads. A strand that is woken inside the slice shares with those that ran at its
//! beginning.
//!
//! A native program's strands count while they work through what they were given. What
//! such work costs does not depend on who shares with them.

use crate::engine::GROUP;
use sun4v::id::{STRANDS, StrandId};

/// Strands that run, by group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Groups([u8; STRANDS / GROUP]);

impl Groups {
    /// Counts a strand that runs.
    pub fn add(&mut self, strand: StrandId) {
        self.0[usize::from(strand.0) / GROUP % (STRANDS / GROUP)] += 1;
    }

    /// The strands of the group of `strand` that run, of these and of `others`; at
    /// least one, itself.
    #[must_use]
    pub fn sharing(&self, others: &Self, strand: StrandId) -> usize {
        let group = usize::from(strand.0) / GROUP % (STRANDS / GROUP);
        usize::from(self.0[group] + others.0[group]).clamp(1, GROUP)
    }

    /// Both together.
    #[must_use]
    pub fn with(mut self, more: &Self) -> Self {
        for (count, more) in self.0.iter_mut().zip(&more.0) {
            *count += more;
        }
        self
    }

    /// These without `part` of them.
    #[must_use]
    pub fn without(mut self, part: &Self) -> Self {
        for (count, part) in self.0.iter_mut().zip(&part.0) {
            *count = count.saturating_sub(*part);
        }
        self
    }
}

#[cfg(test)]
mod test;
