//! The hypervisor, as a library.
//!
//! It owns the resources of a chassis and answers the sun4v hypervisor API. The
//! machine under it is behind [`platform`]; it knows nothing of simulators or
//! managers.

#![forbid(unsafe_code)]

pub mod platform;
pub mod testing;
