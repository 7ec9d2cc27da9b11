//! The arguments that say by what guests are run.

use crate::engine::{Choice, Model, Which};

/// The engine and the timing model.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(id = "choice")] // beside the arguments of a verb
pub struct Args {
    /// The engine: cached or interp
    #[arg(long, value_name = "NAME", default_value_t)]
    pub engine: Which,
    /// The timing model: functional or t2
    #[arg(long, value_name = "NAME", default_value_t)]
    pub timing: Model,
}

impl Args {
    /// What they choose.
    #[must_use]
    pub const fn choice(self) -> Choice {
        Choice { engine: self.engine, timing: self.timing }
    }
}
