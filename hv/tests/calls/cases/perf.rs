//! Performance registers, of the chip and of its PCI Express unit.

use crate::case::{Case, Never};

pub const CASES: &[Case] = &[];

pub const NEVERS: &[Never] = &[];
