//! What the control domain does for its guests: disks, networks, consoles.

pub mod ds;
pub mod host;
pub mod local;
pub mod nfs;
pub mod ring;
pub mod vcc;
pub mod vds;
pub mod volume;
pub mod volumes;
pub mod vsw;
