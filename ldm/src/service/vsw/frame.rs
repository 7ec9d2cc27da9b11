//! Ethernet frames, as far as a switch looks at them.
//!
//! **Shapes.** Inside the switch a [`Frame`] has no VLAN tag but knows its VLAN; each
//! port gives it the form that it has there. A frame may be TCP that its sender left
//! to others to cut into segments ([`Frame::mss`]); its checksums are always right.

use super::vlan::{Form, ID_MASK, RESERVED, TAG, TAG_BYTES, VlanId};
use sun4v::vio::vnet::MIN_FRAME;

/// A MAC address.
pub type Mac = [u8; 6];

/// Everybody.
pub const BROADCAST: Mac = [0xff; 6];
/// Bytes of an Ethernet header.
pub const HEADER: usize = 14;
/// Bytes of both addresses; what follows is the type, or a tag.
pub const ADDRESSES: usize = 12;
const RARP: [u8; 2] = [0x80, 0x35];

/// Does the address mean more than one?
#[must_use]
pub const fn is_multicast(mac: Mac) -> bool {
    mac[0] & 1 != 0
}

/// A frame on its way through the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    buffer: Vec<u8>,
    /// Where the frame begins in `buffer`, so that nothing is moved to drop a lead.
    start: usize,
    to: Mac,
    from: Mac,
    vlan: VlanId,
    /// A tag's bits above the VLAN: priority, and whether it may be dropped first.
    priority: u16,
    /// TCP payload of the segments that it is to be cut into.
    pub mss: Option<u16>,
}

impl Frame {
    /// The frame in `buffer` from `start` on, as it came in at a port; without a tag,
    /// or with one of VLAN 0, it is of VLAN `untagged`. `None` when it is too short, or
    /// of a VLAN that cannot be.
    #[must_use]
    pub fn received(mut buffer: Vec<u8>, start: usize, untagged: VlanId) -> Option<Self> {
        let bytes = buffer.get(start..)?;
        let to = bytes.get(..6)?.try_into().ok()?;
        let from = bytes.get(6..ADDRESSES)?.try_into().ok()?;
        let kind = bytes.get(ADDRESSES..HEADER)?;
        let (mut vlan, mut priority) = (untagged, 0);
        if kind == TAG {
            let &[high, low] = bytes.get(HEADER..HEADER + 2)? else { return None };
            bytes.get(HEADER + 2..HEADER + TAG_BYTES)?;
            let tci = u16::from_be_bytes([high, low]);
            if tci & ID_MASK == RESERVED {
                return None;
            }
            if tci & ID_MASK != 0 {
                vlan = tci & ID_MASK;
            }
            priority = tci & !ID_MASK;
            let tag = start + ADDRESSES;
            buffer.drain(tag..tag + TAG_BYTES);
            let shortest = start + MIN_FRAME;
            buffer.resize(buffer.len().max(shortest), 0);
        }
        Some(Self { buffer, start, to, from, vlan, priority, mss: None })
    }

    /// Another frame of the same VLAN, with the same addresses and `bytes`.
    #[must_use]
    pub fn again(&self, bytes: Vec<u8>) -> Self {
        Self { buffer: bytes, start: 0, mss: None, ..*self }
    }

    /// The frame without a tag.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The same, to be changed; its addresses stay.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..]
    }

    /// Its bytes, without a tag.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Destination.
    #[must_use]
    pub const fn to(&self) -> Mac {
        self.to
    }

    /// Source.
    #[must_use]
    pub const fn from(&self) -> Mac {
        self.from
    }

    /// Its VLAN.
    #[must_use]
    pub const fn vlan(&self) -> VlanId {
        self.vlan
    }

    /// The tag that it has where it has one.
    #[must_use]
    pub const fn tag(&self) -> [u8; TAG_BYTES] {
        let [high, low] = (self.priority | self.vlan).to_be_bytes();
        [TAG[0], TAG[1], high, low]
    }

    /// The frame as it is on a wire.
    #[must_use]
    pub fn into_wire(mut self, form: Form) -> Vec<u8> {
        match form {
            Form::Untagged => {
                self.buffer.drain(..self.start);
                self.buffer
            }
            Form::Tagged => self.to_wire(form),
        }
    }

    /// A copy of the frame as it is on a wire.
    #[must_use]
    pub fn to_wire(&self, form: Form) -> Vec<u8> {
        let bytes = self.bytes();
        let mut wire = Vec::with_capacity(bytes.len() + TAG_BYTES);
        wire.extend_from_slice(&bytes[..ADDRESSES]);
        if form == Form::Tagged {
            wire.extend_from_slice(&self.tag());
        }
        wire.extend_from_slice(&bytes[ADDRESSES..]);
        wire
    }
}

/// A frame that tells every switch where `mac` is: a reverse ARP request, which
/// nobody answers.
#[must_use]
pub fn announcement(mac: Mac) -> Vec<u8> {
    let mut frame = Vec::with_capacity(MIN_FRAME);
    frame.extend_from_slice(&BROADCAST);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&RARP);
    // Ethernet, IPv4, their lengths, "request reverse".
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 3]);
    for _ in 0..2 {
        frame.extend_from_slice(&mac);
        frame.extend_from_slice(&[0; 4]);
    }
    frame.resize(MIN_FRAME, 0);
    frame
}

#[cfg(test)]
mod test {
    use super::{BROADCAST, Form, Frame, MIN_FRAME, announcement};
    use proptest::prelude::{any, proptest};

    fn tagged(tci: u16) -> Vec<u8> {
        let mut bytes = announcement([2, 0, 0, 0, 0, 1]);
        let [high, low] = tci.to_be_bytes();
        bytes.splice(12..12, [0x81, 0, high, low]);
        bytes
    }

    #[test]
    fn a_tag_is_taken_off_and_put_on_again() {
        let frame = Frame::received(tagged(0xa005), 0, 1).unwrap();
        assert_eq!((frame.vlan(), frame.to(), frame.len()), (5, BROADCAST, MIN_FRAME));
        assert_eq!(frame.to_wire(Form::Tagged), tagged(0xa005));
        assert_eq!(frame.into_wire(Form::Untagged), announcement([2, 0, 0, 0, 0, 1]));
    }

    #[test]
    fn a_priority_alone_leaves_the_vlan_to_the_port_and_4095_is_none() {
        let frame = Frame::received(tagged(0xe000), 0, 7).unwrap();
        assert_eq!((frame.vlan(), frame.tag()), (7, [0x81, 0, 0xe0, 7]));
        assert_eq!(Frame::received(tagged(0x0fff), 0, 7), None);
    }

    #[test]
    fn a_short_frame_is_padded_when_its_tag_goes() {
        let mut bytes = tagged(3);
        bytes.truncate(MIN_FRAME);
        assert_eq!(Frame::received(bytes, 0, 1).unwrap().len(), MIN_FRAME);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_none(bytes in any::<Vec<u8>>(), start in 0_usize..9) {
            let length = bytes.len();
            if let Some(frame) = Frame::received(bytes, start, 1) {
                assert!(frame.len() + 4 >= length - start);
                assert_eq!(frame.clone().into_wire(Form::Untagged), frame.bytes());
            }
        }
    }
}
