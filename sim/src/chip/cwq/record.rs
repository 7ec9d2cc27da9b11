//! The record of a unit that has nothing to do: what it has counted.

use super::{Counters, Cwq};
use serde::{Deserialize, Serialize};
use sun4v::time::SimTime;

/// A cipher and hash unit at rest, version 1; part of a chassis' record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitV1 {
    /// Control words that ended.
    pub words: u64,
    /// Operations that ended well.
    pub operations: u64,
    /// Operations that were refused.
    pub protocol_errors: u64,
    /// Bytes of source that were ciphered.
    pub ciphered_bytes: u64,
    /// Bytes of source that were hashed.
    pub hashed_bytes: u64,
    /// Bytes that were copied.
    pub copied_bytes: u64,
    /// Bytes that were summed.
    pub summed_bytes: u64,
    /// Time spent on operations.
    pub busy: SimTime,
}

impl Cwq {
    /// Has it nothing to do?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.open.is_empty() && self.pending.is_empty()
    }

    /// The record of a unit that is idle.
    #[must_use]
    pub const fn save(&self) -> UnitV1 {
        // The clock is the machine's; an idle unit is free at once.
        let Self { clock_hz: _, open: _, pending: _, busy_until: _, counters } = self;
        let Counters {
            words,
            operations,
            protocol_errors,
            ciphered_bytes,
            hashed_bytes,
            copied_bytes,
            summed_bytes,
            busy,
        } = *counters;
        UnitV1 {
            words,
            operations,
            protocol_errors,
            ciphered_bytes,
            hashed_bytes,
            copied_bytes,
            summed_bytes,
            busy,
        }
    }

    /// An idle unit that has counted that much.
    #[must_use]
    pub fn loaded(clock_hz: u64, record: UnitV1) -> Self {
        let UnitV1 {
            words,
            operations,
            protocol_errors,
            ciphered_bytes,
            hashed_bytes,
            copied_bytes,
            summed_bytes,
            busy,
        } = record;
        let counters = Counters {
            words,
            operations,
            protocol_errors,
            ciphered_bytes,
            hashed_bytes,
            copied_bytes,
            summed_bytes,
            busy,
        };
        Self { counters, ..Self::new(clock_hz) }
    }
}
