//! The logical domains manager, its services, and migration.

#![forbid(unsafe_code)]

pub mod channel;
pub mod memory;

#[cfg(test)]
mod testing;
