//! The machine: its description, its end, the watchdog, memory, time of day.

use crate::case::{Case, Never};

pub const CASES: &[Case] = &[];

pub const NEVERS: &[Never] = &[];
