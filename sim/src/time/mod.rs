//! Events in simulated time, and the seeded generator.
