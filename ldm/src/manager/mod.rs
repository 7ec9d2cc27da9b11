//! The Logical Domains Manager: what the operator asked for, and what was given.

mod change;

pub use change::Change;
