//! Two servers and what holds them together.
