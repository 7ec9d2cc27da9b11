//! Logical pages of the network unit.

use crate::case::{Case, Never};

pub const CASES: &[Case] = &[];

pub const NEVERS: &[Never] = &[];
