//! Hypercalls: their numbers, groups, versions, arguments and status codes.

mod error;

pub use error::HvError;
