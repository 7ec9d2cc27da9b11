//! The tag of every VIO message, and the control messages that all devices share.

use crate::code::codes;
use crate::ldc::{Stype, Version};
use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a control message, the tag included.
pub const CONTROL_BYTES: usize = 56;

codes! {
    /// Type of a message.
    Type(u8) {
        /// About the session.
        Ctrl = 1,
        /// About requests.
        Data = 2,
        /// An error.
        Err = 4,
    }
}

codes! {
    /// What a message says. Subtypes are those of the link ([`Stype`]).
    Envelope(u16) {
        /// Control: version.
        Ver = 0x0001,
        /// Control: attributes of the device.
        Attr = 0x0002,
        /// Control: here is a descriptor ring.
        DringReg = 0x0003,
        /// Control: it is gone.
        DringUnreg = 0x0004,
        /// Control: ready for data exchange.
        Rdx = 0x0005,
        /// Control: hybrid I/O.
        DdsInfo = 0x0006,
        /// Control, network: multicast addresses.
        Mcast = 0x0101,
        /// Control, network: state of the physical link.
        PhysLink = 0x0103,
        /// Data: a frame in the message.
        Packet = 0x0040,
        /// Data: a descriptor in the message.
        Desc = 0x0041,
        /// Data: look into the descriptor ring.
        Dring = 0x0042,
    }
}

codes! {
    /// What an end of a session is.
    DeviceClass(u8) {
        /// A virtual network device.
        Network = 1,
        /// A virtual switch.
        NetworkSwitch = 2,
        /// A virtual disk.
        Disk = 3,
        /// A virtual disk server.
        DiskServer = 4,
    }
}

/// The first eight bytes of a message.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Tag {
    /// [`Type`].
    pub kind: u8,
    /// [`Stype`].
    pub stype: u8,
    /// [`Envelope`].
    pub envelope: U16,
    /// Session: a disk's is the client's for both directions; in a network each
    /// end has its own.
    pub sid: U32,
}

impl Tag {
    /// A tag.
    #[must_use]
    pub fn new(kind: Type, stype: Stype, envelope: Envelope, sid: u32) -> Self {
        Self {
            kind: kind.code(),
            stype: stype.code(),
            envelope: envelope.code().into(),
            sid: sid.into(),
        }
    }
    /// Type, subtype and envelope; `None` when one of them means nothing.
    #[must_use]
    pub const fn parts(&self) -> Option<(Type, Stype, Envelope)> {
        match (
            Type::from_code(self.kind),
            Stype::from_code(self.stype),
            Envelope::from_code(self.envelope.get()),
        ) {
            (Some(kind), Some(stype), Some(envelope)) => Some((kind, stype, envelope)),
            _ => None,
        }
    }
}

/// Version, in both directions; a NACK names the next lower one, or 0.0.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Ver {
    /// Its tag.
    pub tag: Tag,
    /// Major number.
    pub major: U16,
    /// Minor number.
    pub minor: U16,
    /// [`DeviceClass`] of the sender.
    pub class: u8,
    /// Zero.
    pub pad: [u8; 43],
}

impl Ver {
    /// A version message.
    #[must_use]
    pub fn new(stype: Stype, sid: u32, version: Version, class: DeviceClass) -> Self {
        Self {
            tag: Tag::new(Type::Ctrl, stype, Envelope::Ver, sid),
            major: version.major.into(),
            minor: version.minor.into(),
            class: class.code(),
            pad: [0; 43],
        }
    }
    /// The version in it.
    #[must_use]
    pub fn version(&self) -> Version {
        Version { major: self.major.get(), minor: self.minor.get() }
    }
}

/// The answer to a proposed version by one who has major 1 up to `minor`:
/// `Ok` agrees, `Err` is the counter-offer, 0.0 when there is none.
///
/// # Errors
/// Another major: the best lower version.
pub const fn agree(proposed: Version, minor: u16) -> Result<Version, Version> {
    match proposed.major {
        0 => Err(Version { major: 0, minor: 0 }),
        1 if proposed.minor <= minor => Ok(proposed),
        1 => Ok(Version { major: 1, minor }),
        _ => Err(Version { major: 1, minor }),
    }
}

/// Ready for data exchange.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Rdx {
    /// Its tag.
    pub tag: Tag,
    /// Zero.
    pub pad: [u8; 48],
}

impl Rdx {
    /// A ready message.
    #[must_use]
    pub fn new(stype: Stype, sid: u32) -> Self {
        Self { tag: Tag::new(Type::Ctrl, stype, Envelope::Rdx, sid), pad: [0; 48] }
    }
}

#[cfg(test)]
mod test {
    use super::{CONTROL_BYTES, DeviceClass, Rdx, Tag, Ver, agree};
    use crate::ldc::{Stype, Version};
    use zerocopy::IntoBytes;

    #[test]
    fn sizes_are_those_of_the_wire() {
        assert_eq!(size_of::<Tag>(), 8);
        assert_eq!((size_of::<Ver>(), size_of::<Rdx>()), (CONTROL_BYTES, CONTROL_BYTES));
    }

    #[test]
    fn a_disk_client_opens_with_these_bytes() {
        let version = Version { major: 1, minor: 1 };
        let ver = Ver::new(Stype::Info, 0x1234_5678, version, DeviceClass::Disk);
        let ask = [1, 1, 0, 1, 0x12, 0x34, 0x56, 0x78, 0, 1, 0, 1, 3, 0];
        assert_eq!(ver.as_bytes()[..14], ask);
        let ver = Ver::new(Stype::Ack, 0x1234_5678, version, DeviceClass::DiskServer);
        let answer = [1, 2, 0, 1, 0x12, 0x34, 0x56, 0x78, 0, 1, 0, 1, 4, 0];
        assert_eq!(ver.as_bytes()[..14], answer);
    }

    #[test]
    fn a_version_is_met_with_the_lower_minor_or_a_lower_major() {
        let v = |major, minor| Version { major, minor };
        assert_eq!(agree(v(1, 0), 6), Ok(v(1, 0)));
        assert_eq!(agree(v(1, 8), 6), Ok(v(1, 6)));
        assert_eq!(agree(v(3, 2), 6), Err(v(1, 6)));
        assert_eq!(agree(v(0, 9), 6), Err(v(0, 0)));
    }
}
