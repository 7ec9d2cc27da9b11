//! What a domain has executed and what that took: for whoever looks at a run.
//!
//! **Shapes.** All but the host's time is the same in every run of the same world. A
//! cycle is a tick in which a strand was running, waiting in a spin loop included. The
//! host's time is measured only if somebody lends a [`Stopwatch`]; nothing that is
//! simulated sees it.

use crate::engine::{CLASSES, Counts, Exit};
use std::collections::BTreeMap;
use std::time::Duration;

mod record;
pub use record::FiguresV1;

/// Reads a clock of the host that never goes back.
pub type Stopwatch = fn() -> Duration;

/// Misses of a TLB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Misses {
    /// All of them.
    pub all: u64,
    /// Found in a TSB by the table walk.
    pub walked: u64,
    /// Handed to the hypervisor; the rest were faults.
    pub served: u64,
}

/// The figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Instructions that completed or trapped.
    pub instructions: u64,
    /// The same, by class.
    pub classes: [u64; CLASSES],
    /// Cycles that strands were running.
    pub cycles: u64,
    /// Of the instruction TLBs and the data TLBs.
    pub misses: [Misses; 2],
    /// Stores to pages that are not writable.
    pub protections: u64,
    /// Traps that the guest served, by type.
    pub traps: BTreeMap<u16, u64>,
    /// Hypercalls, by trap number and function.
    pub hypercalls: BTreeMap<(u8, u64), u64>,
    /// The host's time in the engine, and in the hypercalls that it served.
    pub host: Duration,
}

impl Figures {
    /// Adds those of another.
    pub fn add(&mut self, more: &Self) {
        self.instructions += more.instructions;
        self.classes.iter_mut().zip(more.classes).for_each(|(count, more)| *count += more);
        self.cycles += more.cycles;
        for (misses, more) in self.misses.iter_mut().zip(more.misses) {
            misses.all += more.all;
            misses.walked += more.walked;
            misses.served += more.served;
        }
        self.protections += more.protections;
        more.traps.iter().for_each(|(tt, count)| *self.traps.entry(*tt).or_default() += count);
        for (call, count) in &more.hypercalls {
            *self.hypercalls.entry(*call).or_default() += count;
        }
        self.host += more.host;
    }
}

/// What a domain counts beside its engine.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// Cycles that strands were running.
    pub cycles: u64,
    /// Hypercalls so far, by trap number and function.
    pub hypercalls: BTreeMap<(u8, u64), u64>,
    /// For the host's time.
    pub stopwatch: Option<Stopwatch>,
    served: [u64; 2],
    protections: u64,
    host: Duration,
}

impl Meter {
    /// A strand stopped for the hypervisor.
    pub fn exit(&mut self, exit: Exit) {
        match exit {
            Exit::Miss { instruction, .. } => self.served[usize::from(!instruction)] += 1,
            Exit::Protection { .. } => self.protections += 1,
            _ => {}
        }
    }

    /// The stopwatch, read.
    #[must_use]
    pub fn start(&self) -> Option<Duration> {
        self.stopwatch.map(|now| now())
    }

    /// Adds the time since `start`.
    pub fn stop(&mut self, start: Option<Duration>) {
        if let Some((start, now)) = start.zip(self.start()) {
            self.host += now.saturating_sub(start);
        }
    }

    /// The figures, with what the engine counted.
    #[must_use]
    pub fn figures(&self, counts: &Counts) -> Figures {
        let misses = |side: usize| Misses {
            all: counts.misses[side],
            walked: counts.walks[side],
            served: self.served[side],
        };
        let traps = (0..).zip(counts.traps.iter().copied());
        Figures {
            instructions: counts.instructions,
            classes: counts.classes,
            cycles: self.cycles,
            misses: [misses(0), misses(1)],
            protections: self.protections,
            traps: traps.filter(|(_, count)| *count != 0).collect(),
            hypercalls: self.hypercalls.clone(),
            host: self.host,
        }
    }
}

#[cfg(test)]
mod test {
    use super::{Figures, FiguresV1, Meter, Misses};
    use crate::engine::{Counts, Exit};
    use std::time::Duration;

    #[test]
    fn figures_add_up() {
        let mut counts =
            Counts { instructions: 5, misses: [2, 3], walks: [1, 1], ..Counts::default() };
        counts.traps[0x68] = 2;
        let stopwatch: super::Stopwatch = || Duration::from_secs(9);
        let mut meter = Meter { cycles: 7, stopwatch: Some(stopwatch), ..Meter::default() };
        meter.hypercalls.insert((0x80, 0x61), 4);
        meter.exit(Exit::Miss { instruction: true, va: 0, context: 0 });
        meter.exit(Exit::Protection { va: 0, context: 0 });
        meter.stop(Some(Duration::from_secs(5)));
        let one = meter.figures(&counts);
        let mut two = Figures::default();
        two.add(&one);
        assert_eq!(two, one);
        two.add(&one);
        assert_eq!((two.instructions, two.cycles, two.protections), (10, 14, 2));
        assert_eq!(two.misses[0], Misses { all: 4, walked: 2, served: 2 });
        assert_eq!(two.misses[1], Misses { all: 6, walked: 2, served: 0 });
        assert_eq!((two.traps[&0x68], two.hypercalls[&(0x80, 0x61)]), (4, 8));
        assert_eq!(two.host, Duration::from_secs(8));
        let record = FiguresV1::from(&one);
        let back = Figures::try_from(record.clone()).unwrap();
        assert_eq!(back, Figures { host: Duration::ZERO, ..one });
        assert_eq!(FiguresV1::from(&back), record);
        let (counts, meter) = back.split();
        assert_eq!(meter.figures(&counts), back);
        let mut damaged = record.clone();
        damaged.classes.pop();
        assert!(Figures::try_from(damaged).is_err());
        assert!(Figures::try_from(FiguresV1 { traps: vec![(512, 1)], ..record }).is_err());
    }
}
