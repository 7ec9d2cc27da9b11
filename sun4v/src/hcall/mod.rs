//! Hypercalls: their numbers, groups, versions, arguments and status codes.

mod error;
mod table;

pub use error::HvError;
pub use table::{Group, GroupVersion, ROWS, Row, VERSIONS, nr, row};
