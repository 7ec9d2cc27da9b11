//! Storms: a domain is moved between two chassis while everything goes wrong.
//!
//! Everything in a storm is the real thing: both hypervisors, both control domains with
//! their journals, the network between them, a guest that checks itself, its disk. A storm
//! begins from a lab that was brought up once ([`lab::Lab`]), follows a [`plan::Plan`],
//! and is watched turn by turn ([`watch`]); when the plan is over, everybody and every
//! cable comes back, and all must be well again within a given time.
//!
//! **What may never happen** is in [`check`]; a storm in which it does is made shorter until
//! nothing can be left out of its plan any more ([`shrink`]), and a plan is one line.
//!
//! **The same seed, the same storm**, and the same plan likewise: nothing else goes into it.

pub mod campaign;
pub mod check;
pub mod lab;
pub mod matrix;
pub mod plan;
pub mod run;
pub mod shrink;
pub mod watch;

#[cfg(test)]
mod test;
