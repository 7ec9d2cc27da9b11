//! What the control domain does for its guests: disks, networks, consoles.

pub mod nfs;
pub mod volume;
