//! The logical domains manager, its services, and migration.

#![forbid(unsafe_code)]

pub mod channel;
pub mod control;
pub mod cli;
pub mod cost;
pub mod crypto;
pub mod factory;
pub mod hvctl;
pub mod manager;
pub mod mdgen;
pub mod memory;
pub mod migrate;
pub mod service;
pub mod stack;

#[cfg(test)]
mod testing;
