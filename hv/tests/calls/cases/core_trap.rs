//! Core traps: versions, and what is always there.

use crate::case::{Case, Never};

pub const CASES: &[Case] = &[];

pub const NEVERS: &[Never] = &[];
