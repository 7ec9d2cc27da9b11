//! The manager's commands as people write them, and its answers as people and
//! scripts read them.
//!
//! **Source.** Verbs, options and columns: `ldm(1M)` of Oracle VM Server for
//! SPARC 2.1.

pub mod args;
pub mod output;
pub mod size;
pub mod verb;
pub mod words;
