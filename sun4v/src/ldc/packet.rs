//! The 64-byte packet and the link protocol's fields in it.
//!
//! **Shapes.** A packet is type, subtype, control, envelope, a big-endian
//! sequence number, then 56 bytes. In unreliable mode all 56 are payload; in
//! reliable mode the first eight hold four reserved bytes and the number of the
//! last packet that was accepted. In raw mode the 64 bytes are the user's.
//!
//! **Errors.** Any 64 bytes are a packet; a field that means nothing reads as
//! `None`.
//!
//! **Source.** The LDC link protocol, version 1.0.

use crate::code::codes;
use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a packet and of a queue's entry.
pub const PACKET_BYTES: usize = 64;
/// Payload of a packet in unreliable mode.
pub const UNRELIABLE_PAYLOAD: usize = 56;
/// Payload of a packet in reliable mode.
pub const RELIABLE_PAYLOAD: usize = 48;

/// Envelope: the first fragment of a message.
pub const ENV_START: u8 = 0x40;
/// Envelope: the last fragment of a message.
pub const ENV_STOP: u8 = 0x80;
/// Envelope: payload bytes of this fragment.
pub const ENV_LENGTH: u8 = 0x3f;

codes! {
    /// State of a channel as one end sees it, from the peer's receive queue.
    State(u64) {
        /// The peer has no receive queue.
        Down = 0,
        /// It has one.
        Up = 1,
        /// It has set its queue anew since the last look. Read once.
        Reset = 2,
    }
}

codes! {
    /// Type of a packet.
    Kind(u8) {
        /// Of the link protocol.
        Ctrl = 1,
        /// A fragment of a message, or an acknowledgement.
        Data = 2,
        /// An error.
        Err = 0x10,
    }
}

codes! {
    /// Subtype of a packet, and of a VIO message.
    Stype(u8) {
        /// A request or a datum.
        Info = 1,
        /// Yes.
        Ack = 2,
        /// No.
        Nack = 4,
    }
}

codes! {
    /// What a packet of the link protocol says.
    Ctrl(u8) {
        /// Version.
        Ver = 1,
        /// Ready to send.
        Rts = 2,
        /// Ready to receive.
        Rtr = 3,
        /// Ready for data exchange.
        Rdx = 4,
    }
}

codes! {
    /// How a link carries messages; the envelope of RTS and RTR.
    Mode(u8) {
        /// Packets as they are, no handshake.
        Raw = 0,
        /// Sequence numbers, no acknowledgements: virtual devices.
        Unreliable = 1,
        /// Acknowledged packets: domain services.
        Reliable = 3,
    }
}

/// A version of the link protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major number.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
}

impl Version {
    /// The only version there is.
    pub const V1_0: Self = Self { major: 1, minor: 0 };
}

/// A packet of the link protocol.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Packet {
    /// [`Kind`].
    pub kind: u8,
    /// [`Stype`].
    pub stype: u8,
    /// [`Ctrl`]; zero in data.
    pub ctrl: u8,
    /// Data: length and [`ENV_START`], [`ENV_STOP`]. RTS and RTR: [`Mode`].
    pub env: u8,
    /// Sequence number.
    pub seqid: U32,
    /// What follows.
    pub payload: [u8; 56],
}

impl Packet {
    /// The packet in these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; PACKET_BYTES]) -> Self {
        zerocopy::transmute!(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; PACKET_BYTES] {
        zerocopy::transmute!(self)
    }

    fn new(kind: Kind, stype: Stype, ctrl: u8, env: u8, seqid: u32) -> Self {
        Self {
            kind: kind.code(),
            stype: stype.code(),
            ctrl,
            env,
            seqid: seqid.into(),
            payload: [0; 56],
        }
    }

    /// VER: `Info` proposes, `Ack` agrees, `Nack` names the next lower version or
    /// 0.0.
    #[must_use]
    pub fn version(stype: Stype, version: Version) -> Self {
        let mut packet = Self::new(Kind::Ctrl, stype, Ctrl::Ver.code(), 0, 0);
        packet.payload[..2].copy_from_slice(&version.major.to_be_bytes());
        packet.payload[2..4].copy_from_slice(&version.minor.to_be_bytes());
        packet
    }

    /// RTS or RTR with the sender's first sequence number (zero always: Linux
    /// counts from the peer's).
    #[must_use]
    pub fn ready(ctrl: Ctrl, mode: Mode, seqid: u32) -> Self {
        Self::new(Kind::Ctrl, Stype::Info, ctrl.code(), mode.code(), seqid)
    }

    /// RDX.
    #[must_use]
    pub fn exchange(seqid: u32, ackid: u32) -> Self {
        Self::new(Kind::Ctrl, Stype::Info, Ctrl::Rdx.code(), 0, seqid).with_ackid(ackid)
    }

    /// Refuses `packet`: same type and control, stype NACK, `ackid` the last
    /// sequence number that was accepted.
    #[must_use]
    pub fn nack(packet: &Self, seqid: u32, ackid: u32) -> Self {
        let mut nack = Self { stype: Stype::Nack.code(), seqid: seqid.into(), env: 0, ..*packet };
        nack.payload = [0; 56];
        nack.with_ackid(ackid)
    }

    /// One fragment in unreliable mode; of `bytes` at most 56 are taken.
    #[must_use]
    pub fn fragment(seqid: u32, bytes: &[u8], start: bool, stop: bool) -> Self {
        let length = bytes.len().min(UNRELIABLE_PAYLOAD);
        let marks = if start { ENV_START } else { 0 } | if stop { ENV_STOP } else { 0 };
        let mut packet = Self::new(Kind::Data, Stype::Info, 0, length as u8 | marks, seqid);
        packet.payload[..length].copy_from_slice(&bytes[..length]);
        packet
    }

    /// One fragment in reliable mode; of `bytes` at most 48 are taken.
    #[must_use]
    pub fn reliable(seqid: u32, ackid: u32, bytes: &[u8], start: bool, stop: bool) -> Self {
        let length = bytes.len().min(RELIABLE_PAYLOAD);
        let marks = if start { ENV_START } else { 0 } | if stop { ENV_STOP } else { 0 };
        let mut packet = Self::new(Kind::Data, Stype::Info, 0, length as u8 | marks, seqid);
        packet.payload[8..8 + length].copy_from_slice(&bytes[..length]);
        packet.with_ackid(ackid)
    }

    /// Acknowledges everything up to `ackid`, in reliable mode. It has a sequence number
    /// of its own.
    #[must_use]
    pub fn ack(seqid: u32, ackid: u32) -> Self {
        Self::new(Kind::Data, Stype::Ack, 0, 0, seqid).with_ackid(ackid)
    }

    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> Option<Kind> {
        Kind::from_code(self.kind)
    }
    /// Its subtype.
    #[must_use]
    pub const fn stype(&self) -> Option<Stype> {
        Stype::from_code(self.stype)
    }
    /// What it says, for [`Kind::Ctrl`]; only the low four bits count.
    #[must_use]
    pub const fn ctrl(&self) -> Option<Ctrl> {
        Ctrl::from_code(self.ctrl & 0x0f)
    }
    /// The mode in an RTS or RTR.
    #[must_use]
    pub const fn mode(&self) -> Option<Mode> {
        Mode::from_code(self.env)
    }
    /// The version in a VER.
    #[must_use]
    pub fn proposed(&self) -> Version {
        let half = |at: usize| U16::from_bytes([self.payload[at], self.payload[at + 1]]).get();
        Version { major: half(0), minor: half(2) }
    }
    /// The number acknowledged, in RDX, NACK, and reliable mode.
    #[must_use]
    pub fn ackid(&self) -> u32 {
        U32::from_bytes([self.payload[4], self.payload[5], self.payload[6], self.payload[7]]).get()
    }
    /// The same with this number acknowledged.
    #[must_use]
    pub fn with_ackid(mut self, ackid: u32) -> Self {
        self.payload[4..8].copy_from_slice(&ackid.to_be_bytes());
        self
    }
    /// Payload of a fragment in unreliable mode; an alleged length beyond 56
    /// gives 56.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        let length = usize::from(self.env & ENV_LENGTH);
        &self.payload[..length.min(UNRELIABLE_PAYLOAD)]
    }
    /// The same in reliable mode; beyond 48 gives 48.
    #[must_use]
    pub fn reliable_data(&self) -> &[u8] {
        let length = usize::from(self.env & ENV_LENGTH);
        &self.payload[8..][..length.min(RELIABLE_PAYLOAD)]
    }
    /// First fragment of its message?
    #[must_use]
    pub const fn is_start(&self) -> bool {
        self.env & ENV_START != 0
    }
    /// Last fragment of its message?
    #[must_use]
    pub const fn is_stop(&self) -> bool {
        self.env & ENV_STOP != 0
    }
}

#[cfg(test)]
mod test {
    use super::{Ctrl, Kind, Mode, PACKET_BYTES, Packet, Stype, Version};
    use proptest::prelude::{any, proptest};

    fn hex(packet: Packet, bytes: usize) -> String {
        packet.to_bytes()[..bytes].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_packet_is_64_bytes() {
        assert_eq!(size_of::<Packet>(), PACKET_BYTES);
    }

    #[test]
    fn the_handshake_is_these_bytes() {
        let version = |stype| hex(Packet::version(stype, Version::V1_0), 12);
        assert_eq!(version(Stype::Info), "010101000000000000010000");
        assert_eq!(version(Stype::Ack), "010201000000000000010000");
        assert_eq!(hex(Packet::ready(Ctrl::Rts, Mode::Unreliable, 0), 8), "0101020100000000");
        assert_eq!(hex(Packet::ready(Ctrl::Rtr, Mode::Unreliable, 0), 8), "0101030100000000");
        assert_eq!(hex(Packet::exchange(1, 0), 16), "01010400000000010000000000000000");
    }

    #[test]
    fn a_message_of_one_fragment_carries_both_marks() {
        assert_eq!(hex(Packet::fragment(2, &[0; 56], true, true), 8), "020100f800000002");
        assert_eq!(hex(Packet::fragment(9, &[0; 48], true, true), 8), "020100f000000009");
        assert_eq!(hex(Packet::fragment(3, &[7; 56], false, false), 9), "020100380000000307");
    }

    #[test]
    fn reliable_packets_are_these_bytes() {
        // The first message of domain services in either direction, and what answers it.
        let ask = [0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0];
        let packet = Packet::reliable(2, 0, &ask, true, true);
        assert_eq!(
            hex(packet, 28),
            "020100cc00000002000000000000000000000000000000040001\
                                     0000"
        );
        assert_eq!(packet.reliable_data(), ask);
        assert_eq!(hex(Packet::ack(2, 9), 16), "02020000000000020000000000000009");
        assert_eq!(hex(Packet::ready(Ctrl::Rts, Mode::Reliable, 0), 8), "0101020300000000");
        let full = Packet::reliable(3, 1, &[7; 60], false, false);
        assert_eq!((full.env, full.reliable_data()), (48, &[7; 48][..]));
    }

    #[test]
    fn a_nack_repeats_type_and_control() {
        let data = Packet::fragment(9, &[1; 56], true, true);
        assert_eq!(hex(Packet::nack(&data, 4, 7), 16), "02040000000000040000000000000007");
    }

    #[test]
    fn an_alleged_length_beyond_the_payload_is_clamped() {
        let mut packet = Packet::fragment(0, &[1; 56], true, true);
        packet.env = 0xff;
        assert_eq!(packet.data().len(), 56);
        assert_eq!((packet.kind(), packet.ctrl()), (Some(Kind::Data), None));
    }

    proptest! {
        #[test]
        fn any_64_bytes_are_a_packet(bytes in any::<[u8; 64]>()) {
            let packet = Packet::from_bytes(bytes);
            let _ = (packet.kind(), packet.stype(), packet.ctrl(), packet.mode());
            let _ = (packet.proposed(), packet.ackid(), packet.data().len());
            assert!(packet.reliable_data().len() <= super::RELIABLE_PAYLOAD);
            assert_eq!(packet.to_bytes(), bytes);
        }
    }
}
