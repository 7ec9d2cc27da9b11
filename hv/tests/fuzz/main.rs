//! What a guest, a peer or a manager may hand to the hypervisor: any call, any map
//! table, any message. Nobody panics, and nothing changes that is somebody else's.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod calls;
#[path = "../chassis/mod.rs"]
mod chassis;
mod copies;
#[expect(dead_code, reason = "no target here is made of plain bytes")]
#[path = "../../../sun4v/tests/fuzz/drive.rs"]
mod drive;
mod messages;
