//! The hypervisor, as a library.
//!
//! It owns the resources of a chassis and answers the sun4v hypervisor API. The
//! machine under it is behind [`platform`]; it knows nothing of simulators or
//! managers. [`Guest`] is one domain, inside a slice; [`Hypervisor`] is the whole
//! chassis, at a slice boundary. Start reading at `hcall/mod.rs`.

#![forbid(unsafe_code)]

pub mod api;
pub mod console;
pub mod crypto;
mod errors;
pub mod figures;
mod guest;
mod hcall;
mod hvctl;
mod hypervisor;
pub mod intr;
pub mod ldc;
pub mod mmu;
pub mod perf;
pub mod platform;
mod reconf;
pub mod rng;
mod state;
pub mod testing;
pub mod trace;
mod trap;
pub mod ttrace;
mod vcpu;
pub mod watchdog;

pub use errors::{Delivery, ReportError};
pub use guest::{Deferred, DumpBuffer, Guest, GuestState, Pending, SoftState};
pub use hvctl::HvMemory;
pub use hypervisor::{Hypervisor, StartError};
pub use reconf::{PowerOnError, Refusal};
pub use state::{
    ClockV1, ConsoleV1, CryptoV1, EndpointV1, GuestV1, InterruptV1, PacketQueueV1, PermanentV1,
    TrapTraceV1, VcpuV1,
};
pub use trap::{Answer, Failure, Outcome, Trap, fault};
pub use vcpu::{QueueMemory, Vcpu, VcpuState};
