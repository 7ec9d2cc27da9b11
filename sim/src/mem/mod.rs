//! Physical memory of a chassis, its dirty log, and which pages hold code that an
//! engine has decoded.

mod ahead;
mod code;
mod dirty;
mod ram;

pub use dirty::DirtyLog;
pub(crate) use ram::Door;
pub use ram::{Ram, Word};
