//! The record of a domain's strands, but for what guests see: that is the
//! hypervisor's ([`sun4v::record::StrandV1`]).
//!
//! **Errors.** The rule that a record breaks, in words.

use super::{Domain, Seat};
use crate::chassis::figures::{Figures, FiguresV1};
use crate::chip::strand::{RunState, Strand};
use crate::engine::Clock;
use serde::{Deserialize, Serialize};
use sun4v::time::T2_HZ;

/// Ticks that a strand's clock may be ahead of a boundary: a millisecond, where the
/// longest instruction takes far less.
const AHEAD_MAX: u64 = T2_HZ / 1000;

/// The strands of a domain at a boundary, version 1; part of a chassis' record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainV1 {
    /// Its virtual CPUs, in ascending order.
    pub seats: Vec<SeatV1>,
    /// The last machine tick that anybody read.
    pub last: u64,
    /// What it has executed.
    pub figures: FiguresV1,
}

/// A virtual CPU's clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatV1 {
    /// Its number.
    pub vcpu: u8,
    /// Its own clock: machine ticks.
    pub tick: u64,
    /// Ticks that it was running.
    pub busy: u64,
}

impl Domain {
    /// Brings every strand's clock to the boundary, at which no compare that was
    /// reached waits to be noticed.
    pub fn settle(&mut self) {
        let now = self.now.ticks(T2_HZ);
        for Seat { strand, .. } in &mut self.seats {
            strand.tick = strand.tick.max(now);
            if matches!(strand.state, RunState::Running | RunState::Parked) {
                strand.match_compares();
            }
        }
    }

    /// Its record, once it has settled.
    #[must_use]
    pub fn save(&self) -> DomainV1 {
        let seat = |Seat { vcpu, strand, .. }: &Seat| SeatV1 {
            vcpu: vcpu.0,
            tick: strand.tick,
            busy: strand.busy,
        };
        // Translations and decoded instructions come again; the offset of the clock is
        // the guest's.
        let Clock { last, offset: _ } = self.clock;
        DomainV1 {
            seats: self.seats.iter().map(seat).collect(),
            last,
            figures: FiguresV1::from(&self.figures()),
        }
    }

    /// Loads a record into a domain that was given its strands and has executed nothing.
    ///
    /// # Errors
    /// The rule that the record breaks; then nothing has changed.
    pub fn load(&mut self, record: DomainV1) -> Result<(), &'static str> {
        let DomainV1 { seats, last, figures } = record;
        let own = self.seats.iter().map(|seat| seat.vcpu.0);
        if !seats.iter().map(|seat| seat.vcpu).eq(own) {
            return Err("other virtual CPUs than the domain's");
        }
        let now = self.now.ticks(T2_HZ);
        let near = |tick: u64| tick <= now.saturating_add(AHEAD_MAX);
        if !near(last) || !seats.iter().all(|seat| seat.tick >= now && near(seat.tick)) {
            return Err("a strand whose clock is not at the boundary");
        }
        let (counts, mut meter) = Figures::try_from(figures)?.split();
        meter.stopwatch = self.meter.stopwatch;
        (self.counts, self.meter) = (counts, meter);
        self.clock.last = last;
        for (Seat { strand, .. }, SeatV1 { vcpu: _, tick, busy }) in
            self.seats.iter_mut().zip(seats)
        {
            *strand = Strand { tick, busy, ..Strand::default() };
        }
        Ok(())
    }
}
