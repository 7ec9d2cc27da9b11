//! Virtual I/O: the messages of virtual disks and virtual networks.
//!
//! They travel over an LDC link in unreliable mode. A session is negotiated in
//! four steps (version, attributes, descriptor ring, ready for data exchange);
//! then requests lie in descriptor rings in lent memory, and messages only say
//! where to look.
//!
//! **Shapes.** Every message begins with an 8-byte [`Tag`]; a control message is
//! 56 bytes in all, which is one packet. All numbers are big-endian. The types
//! are laid out as the wire has them, so any bytes of the right length are one;
//! [`read`] takes one from the front of a message.
//!
//! **Source.** VIO protocol as in Linux `asm/vio.h`, illumos `vio_mailbox.h`,
//! `vdsk_mailbox.h`, `vnet_mailbox.h`.

pub mod dring;
pub mod tag;
pub mod vdisk;
pub mod vnet;

pub use dring::{DescriptorState, DringData, DringReg, DringUnreg};
pub use tag::{DeviceClass, Envelope, Rdx, Tag, Type, Ver};

use zerocopy::FromBytes;

/// The `T` at the front of `bytes`; `None` when they are too few.
#[must_use]
pub fn read<T: FromBytes>(bytes: &[u8]) -> Option<T> {
    T::read_from_prefix(bytes).ok().map(|(value, _)| value)
}
