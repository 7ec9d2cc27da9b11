//! Virtual network: attributes, multicast, descriptors.
//!
//! **Shapes.** A frame lies 6 bytes after the address of its descriptor's first
//! cookie, so that the IP header is 8-byte aligned; `nbytes` counts the frame
//! alone, without FCS, 60 at least. What is copied is [`copy_bytes`].
//!
//! **Versions.** 1.2 makes the transfer mode a mask and allows frames in messages,
//! 1.3 frames with a VLAN tag, 1.4 any longest frame, 1.5 tells of the physical link,
//! 1.6 has ring options, 1.7 segments of the transmitter's left to the receiver
//! ([`CFLAG_LSO`], [`Extension`]), 1.8 its checksums too.
//!
//! **Source.** illumos `vnet_mailbox.h`, Linux `sunvnet_common.c`.

use super::tag::{Envelope, Tag, Type};
use crate::code::codes;
use crate::ldc::Stype;
use crate::ldc::map::Cookie;
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `addr_type` of a MAC address.
pub const ADDR_MAC: u8 = 1;
/// Bytes before the frame in its buffer.
pub const LEAD: usize = 6;
/// The shortest frame, without FCS.
pub const MIN_FRAME: usize = 60;
/// The longest frame before version 1.3.
pub const MTU_V1_0: u64 = 1514;
/// The longest frame in version 1.3; the least common one from 1.4 on.
pub const MTU_V1_3: u64 = 1518;
/// The first minor version whose transfer mode is a mask.
pub const MINOR_XFER_MASK: u16 = 2;
/// The first with VLAN tags.
pub const MINOR_VLAN: u16 = 3;
/// The first where the ends agree on the longest frame.
pub const MINOR_MTU: u16 = 4;
/// The first that tells of the physical link.
pub const MINOR_PHYSLINK: u16 = 5;
/// The first with ring options.
pub const MINOR_OPTIONS: u16 = 6;
/// The first whose descriptors have an [`Extension`].
pub const MINOR_LSO: u16 = 7;
/// The first whose extensions speak of checksums.
pub const MINOR_CHECKSUM: u16 = 8;
/// Bit of `cflags`: TCP over IPv4 may come unsegmented.
pub const CFLAG_LSO: u16 = 1;
/// The longest unsegmented frame.
pub const LSO_MAX: u16 = u16::MAX;
/// A peer that takes less does not take any.
pub const LSO_MIN: u16 = 2048;
/// First `seq` of a session's ring messages.
pub const FIRST_SEQ: u64 = 1;

/// Bytes to copy for a frame of `nbytes`: with the lead, up to a multiple of 8.
#[must_use]
pub const fn copy_bytes(nbytes: u32) -> u64 {
    (nbytes as u64 + LEAD as u64).next_multiple_of(8)
}

/// Attributes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Attr {
    /// Its tag.
    pub tag: Tag,
    /// [`XFER_DRING`](super::dring::XFER_DRING) or, from 1.2 on,
    /// [`XFER_DRING_BIT`](super::dring::XFER_DRING_BIT).
    pub xfer_mode: u8,
    /// [`ADDR_MAC`].
    pub addr_type: u8,
    /// Zero.
    pub ack_freq: U16,
    /// From 1.5 on: [`PhysLinkUpdate`].
    pub physlink_update: u8,
    /// From 1.6 on: ring modes, [`OPTION_TX`](super::dring::OPTION_TX).
    pub options: u8,
    /// Zero.
    pub resv: U16,
    /// MAC address in the low 48 bits.
    pub addr: U64,
    /// The longest frame.
    pub mtu: U64,
    /// From 1.7 on.
    pub cflags: U16,
    /// From 1.7 on.
    pub lso_maxlen: U16,
    /// Zero.
    pub pad: [u8; 20],
}

codes! {
    /// Does a device want to hear of the physical link?
    PhysLinkUpdate(u8) {
        /// No.
        None = 0,
        /// It asks.
        Request = 1,
        /// It will.
        Ack = 2,
        /// It will not.
        Nack = 3,
    }
}

impl Attr {
    /// What an end says of itself.
    #[must_use]
    pub fn new(stype: Stype, sid: u32, xfer_mode: u8, mac: [u8; 6], mtu: u64) -> Self {
        Self {
            tag: Tag::new(Type::Ctrl, stype, Envelope::Attr, sid),
            xfer_mode,
            addr_type: ADDR_MAC,
            ack_freq: 0.into(),
            physlink_update: 0,
            options: 0,
            resv: 0.into(),
            addr: mac_to_u64(mac).into(),
            mtu: mtu.into(),
            cflags: 0.into(),
            lso_maxlen: 0.into(),
            pad: [0; 20],
        }
    }
}

/// A MAC address as a number: its first byte at bits 47:40.
#[must_use]
pub const fn mac_to_u64(mac: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = mac;
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// The MAC address in the low 48 bits.
#[must_use]
pub const fn mac_from_u64(number: u64) -> [u8; 6] {
    let [_, _, a, b, c, d, e, f] = number.to_be_bytes();
    [a, b, c, d, e, f]
}

/// Multicast addresses joined or left; only to a switch.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Mcast {
    /// Its tag.
    pub tag: Tag,
    /// 1 joins, 0 leaves.
    pub set: u8,
    /// Addresses that count, 7 at most.
    pub count: u8,
    /// The addresses.
    pub addrs: [[u8; 6]; 7],
    /// Zero.
    pub resv: U32,
}

codes! {
    /// State of the physical link.
    PhysLinkState(u32) {
        /// Down.
        Down = 1,
        /// Up.
        Up = 2,
        /// There is none, or nobody knows.
        Unknown = 3,
    }
}

/// The state of the physical link, told by a switch.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct PhysLink {
    /// Its tag.
    pub tag: Tag,
    /// [`PhysLinkState`].
    pub state: U32,
    /// Zero.
    pub pad: [u8; 44],
}

impl PhysLink {
    /// "The link is so now."
    #[must_use]
    pub fn info(sid: u32, state: PhysLinkState) -> Self {
        Self {
            tag: Tag::new(Type::Ctrl, Stype::Info, Envelope::PhysLink, sid),
            state: state.code().into(),
            pad: [0; 44],
        }
    }
}

/// A descriptor with two cookies, as most clients make them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Descriptor {
    /// [`DescriptorState`](super::DescriptorState).
    pub state: u8,
    /// Not zero: an acknowledgement is wanted.
    pub ack: u8,
    /// Zero.
    pub header_resv: [u8; 6],
    /// Bytes of the frame.
    pub nbytes: U32,
    /// Cookies that count.
    pub ncookies: U32,
    /// Where the frame lies.
    pub cookies: [Cookie; 2],
}

/// Bytes of a [`Descriptor`].
pub const DESCRIPTOR_BYTES: usize = 48;
/// Where a descriptor's cookies begin.
pub const DESC_COOKIES: usize = 16;

/// What a descriptor says of its frame behind two cookies, from version 1.7 on.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Extension {
    /// [`Extension::LSO`] and its like.
    pub flags: u8,
    /// A hash of the flow; unused.
    pub hash: u8,
    /// TCP payload of a segment, with [`Extension::LSO`].
    pub mss: U16,
    /// Zero.
    pub resv: U32,
}

impl Extension {
    /// The IPv4 header checksum is the receiver's to fill in.
    pub const HEADER_CHECKSUM: u8 = 0x02;
    /// So is the checksum of TCP or UDP.
    pub const FULL_CHECKSUM: u8 = 0x04;
    /// TCP that is yet to be cut into segments.
    pub const LSO: u8 = 0x08;
}

/// Bytes of a descriptor with an [`Extension`].
pub const EXTENDED_BYTES: usize = DESCRIPTOR_BYTES + 8;

#[cfg(test)]
mod test {
    use super::{
        Attr, DESC_COOKIES, DESCRIPTOR_BYTES, Descriptor, EXTENDED_BYTES, Extension, Mcast,
        PhysLink, PhysLinkState, copy_bytes, mac_from_u64, mac_to_u64,
    };
    use crate::ldc::Stype;
    use crate::vio::dring::XFER_DRING_BIT;
    use crate::vio::tag::CONTROL_BYTES;
    use zerocopy::IntoBytes;

    #[test]
    fn sizes_are_those_of_the_wire() {
        assert_eq!((size_of::<Attr>(), size_of::<Mcast>()), (CONTROL_BYTES, CONTROL_BYTES));
        assert_eq!(size_of::<Descriptor>(), DESCRIPTOR_BYTES);
        assert_eq!(size_of::<PhysLink>(), CONTROL_BYTES);
        assert_eq!(DESCRIPTOR_BYTES + size_of::<Extension>(), EXTENDED_BYTES);
        assert_eq!(std::mem::offset_of!(Descriptor, cookies), DESC_COOKIES);
    }

    #[test]
    fn attributes_have_their_fields_where_the_wire_has_them() {
        let mac = [0, 0x14, 0x4f, 0xf8, 1, 2];
        let attr = Attr::new(Stype::Info, 5, XFER_DRING_BIT, mac, 1500);
        let bytes = attr.as_bytes();
        assert_eq!(bytes[..16], [1, 1, 0, 2, 0, 0, 0, 5, 4, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[16..32], [0, 0, 0, 0x14, 0x4f, 0xf8, 1, 2, 0, 0, 0, 0, 0, 0, 5, 0xdc]);
        assert_eq!(mac_from_u64(mac_to_u64(mac)), mac);
    }

    #[test]
    fn an_extension_and_a_link_state_have_their_fields_where_the_wire_has_them() {
        let extension =
            Extension { flags: Extension::LSO, mss: 1448.into(), ..Extension::default() };
        assert_eq!(extension.as_bytes(), [8, 0, 5, 0xa8, 0, 0, 0, 0]);
        let link = PhysLink::info(5, PhysLinkState::Up);
        assert_eq!(link.as_bytes()[..12], [1, 1, 1, 3, 0, 0, 0, 5, 0, 0, 0, 2]);
    }

    #[test]
    fn a_frame_is_copied_with_its_lead_in_whole_doublewords() {
        assert_eq!([60, 66, 1514].map(copy_bytes), [72, 72, 1520]);
        assert_eq!(copy_bytes(u32::MAX), 0x1_0000_0008);
    }
}
