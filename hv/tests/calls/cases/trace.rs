//! Trap trace and dump buffer.

use crate::case::{Case, Never};

pub const CASES: &[Case] = &[];

pub const NEVERS: &[Never] = &[];
