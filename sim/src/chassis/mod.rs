//! Two servers and what holds them together.

pub mod bare;
pub mod board;
pub mod checkpoint;
pub mod cpus;
pub mod desk;
pub mod disks;
pub mod domain;
pub mod figures;
pub mod groups;
pub mod image;
pub mod native;
pub mod pool;
pub mod rom;
pub mod server;
pub mod slice;
pub mod software;
pub mod world;

#[cfg(test)]
mod vectors;
