//! What the machine is: the definitions that a SPARC sun4v machine, its
//! hypervisor, its manager and its guests share.
//!
//! Nothing here does I/O, starts a thread, asks a clock, or panics on input.
//! Layouts and numbers stand with the section of the specification that they
//! come from; what something *does* is in `hv`, `ldm` and `sim`.

#![forbid(unsafe_code)]

pub mod addr;
pub mod calibration;
mod code;
pub mod ds;
pub mod ereport;
pub mod hcall;
pub mod hvctl;
pub mod hvmd;
pub mod id;
pub mod isa;
pub mod ldc;
pub mod md;
pub mod mmu;
pub mod native;
pub mod ncs;
pub mod record;
pub mod rng;
pub mod time;
pub mod ttrace;
pub mod vio;
