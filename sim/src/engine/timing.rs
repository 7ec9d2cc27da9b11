//! Timing models: how many ticks an instruction takes.
//!
//! **Shapes.** A tick is a cycle of the strand's clock. A [`Timing`] says what a class
//! of instructions costs; engines use its table, [`Costs`]. *Sharing* is how many
//! strands of a thread group have instructions to issue, one to four: a group issues
//! one instruction a cycle.
//!
//! **Source.** T2 reference 6.

mod t2;

pub use t2::T2;

use super::class::{CLASSES, Class};

/// Strands of a thread group.
pub const GROUP: usize = 4;

/// A timing model.
pub trait Timing {
    /// What it is called on a command line.
    fn name(&self) -> &'static str;
    /// Ticks of an instruction while `sharing` strands of its group issue.
    fn cost(&self, class: Class, sharing: usize) -> u32;
    /// More ticks of a transfer of control that is taken, likewise.
    fn taken(&self, sharing: usize) -> u32;
}

/// One instruction, one tick.
#[derive(Clone, Copy, Debug, Default)]
pub struct Functional;

impl Timing for Functional {
    fn name(&self) -> &'static str {
        "functional"
    }
    fn cost(&self, _class: Class, _sharing: usize) -> u32 {
        1
    }
    fn taken(&self, _sharing: usize) -> u32 {
        0
    }
}

/// A model's table.
#[derive(Clone, Debug)]
pub struct Costs {
    /// The model's name.
    pub name: &'static str,
    /// By class, then by strands that share the issue, less one.
    pub classes: [[u32; GROUP]; CLASSES],
    /// More for a transfer that is taken, by strands likewise.
    pub taken: [u32; GROUP],
    /// It matters how many strands share the issue.
    pub shared: bool,
}

impl Costs {
    /// Tabulates a model.
    #[must_use]
    pub fn of(timing: &dyn Timing) -> Self {
        let row = |class| std::array::from_fn(|index| timing.cost(class, index + 1));
        let taken = std::array::from_fn(|index| timing.taken(index + 1));
        let classes = Class::ALL.map(row);
        let differs = |row: &[u32; GROUP]| row.iter().any(|&ticks| ticks != row[0]);
        let shared = classes.iter().any(differs) || differs(&taken);
        Self { name: timing.name(), classes, taken, shared }
    }

    /// Ticks of a class.
    #[inline(always)]
    #[must_use]
    pub fn ticks(&self, class: Class, sharing: usize) -> u64 {
        u64::from(self.classes[class as usize][(sharing - 1) % GROUP])
    }

    /// More ticks of a transfer that is taken.
    #[inline(always)]
    #[must_use]
    pub fn bubble(&self, sharing: usize) -> u64 {
        u64::from(self.taken[(sharing - 1) % GROUP])
    }
}

impl Default for Costs {
    fn default() -> Self {
        Self::of(&Functional)
    }
}
