//! The world: chips, memory, networks, two chassis.

pub mod chassis;
pub mod chip;
pub mod cli;
pub mod engine;
pub mod gdb;
pub mod hostnet;
pub mod lab;
pub mod mem;
pub mod net;
pub mod outside;
pub mod storm;
pub mod time;
