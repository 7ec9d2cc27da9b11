//! Hypercalls: their numbers, groups, versions, arguments and status codes.

mod error;
mod rows;
mod table;

pub use error::HvError;
pub use table::{
    CORE_ROWS, FAST_NUMBERS, Group, GroupVersion, HYPERFAST_ROWS, ROWS, Row, VERSIONS, all, nr,
    row, row_of,
};
