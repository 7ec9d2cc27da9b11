//! Which engine and which timing model guests are run by.

use super::timing::{Costs, Functional, T2, Timing};
use super::{Cached, Engine, Interp};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// An engine, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The reference: one instruction after the other.
    Interp,
    /// Blocks, decoded once and chained.
    #[default]
    Cached,
}

/// A timing model, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// One instruction, one tick.
    #[default]
    Functional,
    /// An UltraSPARC T2's latencies, and thread groups that share their issue.
    T2,
}

/// What guests are run by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The engine.
    pub engine: Which,
    /// The timing model.
    pub timing: Model,
}

/// There is no such engine or model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{given:?}: there are {known}")]
pub struct UnknownName {
    given: String,
    known: String,
}

impl Which {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Interp, Self::Cached];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interp => "interp",
            Self::Cached => "cached",
        }
    }

    /// A new one.
    #[must_use]
    pub fn engine(self) -> Box<dyn Engine + Send> {
        match self {
            Self::Interp => Box::new(Interp),
            Self::Cached => Box::<Cached>::default(),
        }
    }
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Functional, Self::T2];

    fn timing(self) -> &'static dyn Timing {
        match self {
            Self::Functional => &Functional,
            Self::T2 => &T2,
        }
    }

    /// Its table.
    #[must_use]
    pub fn costs(self) -> Costs {
        Costs::of(self.timing())
    }
}

fn find<T: Copy + fmt::Display>(given: &str, all: &[T]) -> Result<T, UnknownName> {
    let names: Vec<_> = all.iter().map(ToString::to_string).collect();
    let found = names.iter().position(|name| name == given);
    found
        .and_then(|index| all.get(index).copied())
        .ok_or_else(|| UnknownName { given: given.to_owned(), known: names.join(" and ") })
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.timing().name())
    }
}

impl FromStr for Which {
    type Err = UnknownName;
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        find(name, &Self::ALL)
    }
}

impl FromStr for Model {
    type Err = UnknownName;
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        find(name, &Self::ALL)
    }
}

#[cfg(test)]
mod test {
    use super::{Model, Which};

    #[test]
    fn names_are_read_back_and_others_are_refused() {
        for which in Which::ALL {
            assert_eq!(which.to_string().parse(), Ok(which));
        }
        for model in Model::ALL {
            assert_eq!(model.to_string().parse(), Ok(model));
        }
        let error = "fast".parse::<Which>().unwrap_err().to_string();
        assert!(error.starts_with("\"fast\": there are ") && error.contains("interp"), "{error}");
    }
}
