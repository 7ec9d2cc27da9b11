//! The record of what was executed. The host's time is no part of it.

use super::{Figures, Meter, Misses};
use crate::engine::{CLASSES, Counts};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a domain has executed, version 1; part of a chassis' record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiguresV1 {
    /// Instructions.
    pub instructions: u64,
    /// The same, by class.
    pub classes: Vec<u64>,
    /// Cycles that strands were running.
    pub cycles: u64,
    /// Of the instruction TLBs and the data TLBs: misses, walked, served.
    pub misses: [[u64; 3]; 2],
    /// Stores to pages that are not writable.
    pub protections: u64,
    /// Traps that the guest served, by type, in ascending order.
    pub traps: Vec<(u16, u64)>,
    /// Hypercalls, by trap number and function, in ascending order.
    pub hypercalls: Vec<((u8, u64), u64)>,
}

impl From<&Figures> for FiguresV1 {
    fn from(figures: &Figures) -> Self {
        let Figures {
            instructions,
            classes,
            cycles,
            misses,
            protections,
            traps,
            hypercalls,
            host: _,
        } = figures;
        Self {
            instructions: *instructions,
            classes: classes.to_vec(),
            cycles: *cycles,
            misses: misses.map(|Misses { all, walked, served }| [all, walked, served]),
            protections: *protections,
            traps: traps.iter().map(|(tt, count)| (*tt, *count)).collect(),
            hypercalls: hypercalls.iter().map(|(call, count)| (*call, *count)).collect(),
        }
    }
}

impl TryFrom<FiguresV1> for Figures {
    /// Which rule the record breaks.
    type Error = &'static str;

    fn try_from(record: FiguresV1) -> Result<Self, &'static str> {
        let FiguresV1 { instructions, classes, cycles, misses, protections, traps, hypercalls } =
            record;
        let classes: [u64; CLASSES] =
            classes.try_into().map_err(|_| "other classes of instructions")?;
        let ascending = traps.is_sorted_by(|a, b| a.0 < b.0)
            && hypercalls.is_sorted_by(|a, b| a.0 < b.0)
            && traps.iter().all(|(tt, count)| *tt < 512 && *count != 0);
        if !ascending {
            return Err("counts of traps or calls out of shape");
        }
        Ok(Self {
            instructions,
            classes,
            cycles,
            misses: misses.map(|[all, walked, served]| Misses { all, walked, served }),
            protections,
            traps: traps.into_iter().collect(),
            hypercalls: hypercalls.into_iter().collect(),
            host: Duration::ZERO,
        })
    }
}

impl Figures {
    /// What the engine counts of it, and what the domain does.
    #[must_use]
    pub fn split(&self) -> (Counts, Meter) {
        let mut counts = Counts {
            instructions: self.instructions,
            classes: self.classes,
            misses: self.misses.map(|misses| misses.all),
            walks: self.misses.map(|misses| misses.walked),
            ..Counts::default()
        };
        for (tt, count) in &self.traps {
            counts.traps[usize::from(*tt & 511)] = *count;
        }
        let meter = Meter {
            cycles: self.cycles,
            hypercalls: self.hypercalls.clone(),
            served: self.misses.map(|misses| misses.served),
            protections: self.protections,
            host: self.host,
            ..Meter::default()
        };
        (counts, meter)
    }
}
