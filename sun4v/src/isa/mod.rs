//! The instruction set: one table, and what is read off it.

pub mod asi;
pub mod disas;
pub mod reg;
mod table;
pub mod tt;
mod word;

pub use table::{Format, Op, ROWS, Row, Rule, decode};
pub use word::{Word, double};

/// Register windows of a strand.
pub const NWINDOWS: usize = 8;
/// Highest trap level of a guest.
pub const MAXPTL: u8 = 2;
/// Highest global level of a guest.
pub const MAXPGL: u8 = 2;
