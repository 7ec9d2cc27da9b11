//! Events in simulated time, and the seeded generator.

pub mod event;
pub mod rng;
