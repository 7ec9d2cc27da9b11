//! Two servers and what holds them together.

pub mod cpus;
