//! Descriptor rings: how they are registered, and what is said about them.
//!
//! **Shapes.** A ring is an array of descriptors of one size in the
//! transmitter's lent memory. Each begins with an 8-byte header: byte 0 the
//! state ([`DescriptorState`]), byte 1 not zero when an acknowledgement is
//! wanted (Linux writes 1, Solaris 0x80).

use super::tag::{Envelope, Tag, Type};
use crate::code::codes;
use crate::ldc::map::{COOKIE_BYTES, Cookie};
use crate::ldc::{CookieAddr, Stype};
use zerocopy::big_endian::{I32, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Transfer mode of in-band descriptors.
pub const XFER_DESC: u8 = 2;
/// Transfer mode of descriptor rings: disks, and networks up to version 1.1.
pub const XFER_DRING: u8 = 3;
/// Transfer mode of descriptor rings in networks from version 1.2 on.
pub const XFER_DRING_BIT: u8 = 4;

/// Bit of a network's transfer mode from version 1.2 on: frames in messages too.
pub const XFER_PACKET_BIT: u8 = 1;

/// Ring option: the registrant transmits from it.
pub const OPTION_TX: u16 = 1;

/// Offset of the state in a descriptor.
pub const DESC_STATE: u64 = 0;
/// Offset of the wish for an acknowledgement in a descriptor.
pub const DESC_ACK: u64 = 1;
/// Bytes of a descriptor's header.
pub const DESC_HEADER_BYTES: usize = 8;

codes! {
    /// State of a descriptor: low four bits of its first byte.
    DescriptorState(u8) {
        /// The transmitter may fill it.
        Free = 1,
        /// The receiver may take it.
        Ready = 2,
        /// The receiver has taken it.
        Accepted = 3,
        /// The receiver is done with it.
        Done = 4,
    }
}

codes! {
    /// What a receiver says of itself in an acknowledgement.
    DringState(u8) {
        /// It goes on looking.
        Active = 1,
        /// It has stopped; a start message wakes it.
        Stopped = 2,
    }
}

/// A ring is registered; followed by more cookies when `ncookies` is above one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct DringReg {
    /// Its tag.
    pub tag: Tag,
    /// Zero when asked; the acker's choice in the answer.
    pub ident: U64,
    /// Descriptors.
    pub num_desc: U32,
    /// Bytes of each.
    pub desc_size: U32,
    /// [`OPTION_TX`] from network version 1.6 on.
    pub options: U16,
    /// Zero.
    pub resv: U16,
    /// Cookies that follow, one almost always.
    pub ncookies: U32,
    /// The first.
    pub cookie: Cookie,
}

/// Bytes of a [`DringReg`] with one cookie.
pub const DRING_REG_BYTES: usize = 48;

impl DringReg {
    /// Registers a ring that lies behind one cookie.
    #[must_use]
    pub fn new(sid: u32, num_desc: u32, desc_size: u32, options: u16, at: CookieAddr) -> Self {
        Self {
            tag: Tag::new(Type::Ctrl, Stype::Info, Envelope::DringReg, sid),
            ident: 0.into(),
            num_desc: num_desc.into(),
            desc_size: desc_size.into(),
            options: options.into(),
            resv: 0.into(),
            ncookies: 1.into(),
            cookie: Cookie::new(at, u64::from(num_desc) * u64::from(desc_size)),
        }
    }
}

/// A ring is withdrawn.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct DringUnreg {
    /// Its tag.
    pub tag: Tag,
    /// Which.
    pub ident: U64,
    /// Zero.
    pub pad: [u8; 40],
}

/// Look into a ring, or: looked.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct DringData {
    /// Its tag.
    pub tag: Tag,
    /// Counts this session's messages; repeated in the answer.
    pub seq: U64,
    /// Which ring.
    pub ident: U64,
    /// First descriptor.
    pub start: U32,
    /// Last descriptor; -1 is "until one is not ready" (networks only).
    pub end: I32,
    /// [`DringState`] in answers.
    pub state: u8,
    /// Zero.
    pub pad: [u8; 23],
}

impl DringData {
    /// "Look from `start` to `end`."
    #[must_use]
    pub fn info(sid: u32, seq: u64, ident: u64, start: u32, end: i32) -> Self {
        Self {
            tag: Tag::new(Type::Data, Stype::Info, Envelope::Dring, sid),
            seq: seq.into(),
            ident: ident.into(),
            start: start.into(),
            end: end.into(),
            state: 0,
            pad: [0; 23],
        }
    }
    /// The answer to it: what was processed, and whether the receiver goes on.
    #[must_use]
    pub fn answer(&self, stype: Stype, sid: u32, start: u32, end: i32, state: DringState) -> Self {
        let mut answer = Self { start: start.into(), end: end.into(), ..*self };
        answer.tag.stype = stype.code();
        answer.tag.sid = sid.into();
        answer.state = state.code();
        answer
    }
}

/// Where descriptor `index` of a ring lies: the cookie of its bytes. `None` when
/// the cookie does not hold it whole.
#[must_use]
pub fn descriptor(ring: &Cookie, index: u32, desc_size: u32) -> Option<Cookie> {
    let skip = u64::from(index) * u64::from(desc_size);
    let rest = ring.skip(skip)?;
    (rest.size.get() >= u64::from(desc_size))
        .then(|| Cookie::new(rest.addr(), u64::from(desc_size)))
}

/// The cookies in `bytes`, at most `n`; fewer when the bytes end.
#[must_use]
pub fn cookies(bytes: &[u8], n: u32) -> Vec<Cookie> {
    bytes
        .chunks_exact(COOKIE_BYTES)
        .take(n as usize)
        .filter_map(|chunk| Cookie::read_from_bytes(chunk).ok())
        .collect()
}

#[cfg(test)]
mod test {
    use super::{
        Cookie, CookieAddr, DRING_REG_BYTES, DringData, DringReg, DringState, DringUnreg, Stype,
        cookies, descriptor,
    };
    use crate::vio::tag::CONTROL_BYTES;
    use zerocopy::IntoBytes;

    #[test]
    fn sizes_are_those_of_the_wire() {
        assert_eq!(size_of::<DringReg>(), DRING_REG_BYTES);
        assert_eq!(size_of::<DringUnreg>(), CONTROL_BYTES);
        assert_eq!(size_of::<DringData>(), CONTROL_BYTES);
    }

    #[test]
    fn a_registration_has_its_fields_where_the_wire_has_them() {
        let reg = DringReg::new(7, 512, 336, 1, CookieAddr::new(3, 0));
        let bytes = reg.as_bytes();
        assert_eq!(bytes[..8], [1, 1, 0, 3, 0, 0, 0, 7]);
        assert_eq!(bytes[16..28], [0, 0, 2, 0, 0, 0, 1, 0x50, 0, 1, 0, 0]);
        assert_eq!(bytes[28..32], [0, 0, 0, 1]);
        assert_eq!(bytes[32..48], [0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0, 0, 0, 0, 2, 0xa0, 0]);
    }

    #[test]
    fn an_answer_repeats_sequence_and_ring() {
        let info = DringData::info(7, 4, 99, 2, -1);
        assert_eq!(info.as_bytes()[..8], [2, 1, 0, 0x42, 0, 0, 0, 7]);
        assert_eq!(info.as_bytes()[24..32], [0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff]);
        let ack = info.answer(Stype::Ack, 8, 2, 5, DringState::Stopped);
        assert_eq!(ack.as_bytes()[..8], [2, 2, 0, 0x42, 0, 0, 0, 8]);
        assert_eq!((ack.seq.get(), ack.ident.get(), ack.end.get(), ack.state), (4, 99, 5, 2));
    }

    #[test]
    fn a_descriptor_lies_whole_inside_its_ring_or_nowhere() {
        let ring = Cookie::new(CookieAddr::new(0, 0), 512 * 64);
        let at = descriptor(&ring, 128, 64).unwrap();
        assert_eq!((at.addr().index(), at.addr().offset(), at.size.get()), (1, 0, 64));
        assert!(descriptor(&ring, 511, 64).is_some());
        assert!(descriptor(&ring, 512, 64).is_none());
        assert!(descriptor(&ring, 511, 65).is_none());
        assert!(descriptor(&Cookie::new(CookieAddr(!0), !0), u32::MAX, u32::MAX).is_none());
    }

    #[test]
    fn cookies_end_with_the_bytes() {
        assert_eq!(cookies(&[0; 40], 9).len(), 2);
        assert_eq!(cookies(&[0; 40], 1).len(), 1);
    }
}
