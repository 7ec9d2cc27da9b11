//! The instruction set: one table, and what is read off it.
