//! IP packets apart from streams: made, cut, put together.
//!
//! **Limits.** [`ASSEMBLIES_MAX`] datagrams in pieces at a time, each [`FRAGMENTS_MAX`] pieces
//! and [`HOLD`] at most; the oldest gives way. Pieces that overlap undo their datagram.
//!
//! **Source.** RFC 791; RFC 5722, 4, on overlaps, here for IPv4 too; RFC 792 and RFC 1122, 3.2.2,
//! for messages about a packet.

use super::link::{HEADER, Link};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IPV4_HEADER_LEN, Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Packet,
    Ipv4Repr, UDP_HEADER_LEN, UdpPacket, UdpRepr,
};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// Datagrams in pieces at a time.
pub const ASSEMBLIES_MAX: usize = 32;
/// Pieces of one datagram.
pub const FRAGMENTS_MAX: usize = 128;
/// How long the pieces of a datagram wait for the others.
pub const HOLD: Duration = Duration::from_secs(30);
/// The longest payload of an IP packet.
pub const PAYLOAD_MAX: usize = 65535 - IPV4_HEADER_LEN;
/// The longest payload of a datagram.
pub const DATAGRAM_MAX: usize = PAYLOAD_MAX - UDP_HEADER_LEN;
const HOP_LIMIT: u8 = 64;
/// Bytes of a packet's payload that a message about it repeats.
const REPEATED: usize = 8;

/// Makes packets, each with an identification of its own.
#[derive(Debug)]
pub struct Maker {
    mtu: usize,
    ident: u16,
}

impl Maker {
    /// A maker of packets of at most `mtu` bytes.
    #[must_use]
    pub fn new(mtu: u16) -> Self {
        Self { mtu: usize::from(mtu), ident: 0 }
    }

    /// Sends a payload, in as many packets as it takes.
    fn send(
        &mut self,
        link: &mut Link,
        from: Ipv4Addr,
        to: Ipv4Addr,
        kind: IpProtocol,
        data: &[u8],
    ) {
        self.ident = self.ident.wrapping_add(1);
        let room = self.mtu - IPV4_HEADER_LEN;
        let piece_max = if data.len() <= room { room } else { room & !7 };
        let mut offset = 0;
        for piece in data.chunks(piece_max) {
            let mut frame = vec![0; HEADER + IPV4_HEADER_LEN + piece.len()];
            let header = Ipv4Repr {
                src_addr: from,
                dst_addr: to,
                next_header: kind,
                payload_len: piece.len(),
                hop_limit: HOP_LIMIT,
            };
            let mut packet = Ipv4Packet::new_unchecked(&mut frame[HEADER..]);
            header.emit(&mut packet, &ChecksumCapabilities::ignored());
            packet.set_dont_frag(false);
            packet.set_ident(self.ident);
            packet.set_more_frags(offset + piece.len() < data.len());
            // An offset lies below 65535, which the type of a packet's length promises.
            packet.set_frag_offset(u16::try_from(offset).unwrap_or(u16::MAX));
            packet.payload_mut().copy_from_slice(piece);
            packet.fill_checksum();
            link.send_ip(frame, to);
            offset += piece.len();
        }
    }

    /// Sends a datagram; one that is too long for IP is dropped.
    pub fn udp(&mut self, link: &mut Link, from: SocketAddrV4, to: SocketAddrV4, data: &[u8]) {
        if data.len() > DATAGRAM_MAX {
            return;
        }
        let header = UdpRepr { src_port: from.port(), dst_port: to.port() };
        let mut datagram = vec![0; UDP_HEADER_LEN + data.len()];
        header.emit(
            &mut UdpPacket::new_unchecked(&mut datagram),
            &(*from.ip()).into(),
            &(*to.ip()).into(),
            data.len(),
            |room| room.copy_from_slice(data),
            &ChecksumCapabilities::default(),
        );
        self.send(link, *from.ip(), *to.ip(), IpProtocol::Udp, &datagram);
    }

    /// Sends an ICMP message.
    pub fn icmp(
        &mut self,
        link: &mut Link,
        from: Ipv4Addr,
        to: Ipv4Addr,
        message: &Icmpv4Repr<'_>,
    ) {
        let mut data = vec![0; message.buffer_len()];
        let mut packet = Icmpv4Packet::new_unchecked(&mut data[..]);
        message.emit(&mut packet, &ChecksumCapabilities::default());
        self.send(link, from, to, IpProtocol::Icmp, &data);
    }

    /// Tells the sender of a packet that it cannot be delivered.
    pub fn unreachable(
        &mut self,
        link: &mut Link,
        from: Ipv4Addr,
        about: &About,
        reason: Icmpv4DstUnreachable,
    ) {
        let header = about.header;
        let data = &about.data[..about.length];
        let message = Icmpv4Repr::DstUnreachable { reason, header, data };
        self.icmp(link, from, header.src_addr, &message);
    }
}

/// What a message about a packet repeats of it.
#[derive(Clone, Copy, Debug)]
pub struct About {
    header: Ipv4Repr,
    data: [u8; REPEATED],
    length: usize,
}

impl About {
    /// The beginning of a packet.
    #[must_use]
    pub fn new(header: Ipv4Repr, payload: &[u8]) -> Self {
        let length = payload.len().min(REPEATED);
        let mut data = [0; REPEATED];
        data[..length].copy_from_slice(&payload[..length]);
        Self { header, data, length }
    }
}

/// Which datagram a piece is of.
type Key = (Ipv4Addr, Ipv4Addr, u8, u16);

/// Pieces of one datagram.
#[derive(Debug)]
struct Assembly {
    since: Duration,
    pieces: BTreeMap<usize, Vec<u8>>,
    length: Option<usize>,
}

/// Datagrams of which pieces are missing.
#[derive(Debug, Default)]
pub struct Assemblies {
    open: BTreeMap<Key, Assembly>,
}

impl Assemblies {
    /// Takes a piece in; gives the whole payload when it was the last one missing.
    pub fn add(&mut self, now: Duration, packet: &Ipv4Packet<&[u8]>) -> Option<Vec<u8>> {
        self.open.retain(|_, assembly| now < assembly.since + HOLD);
        let protocol = u8::from(packet.next_header());
        let key = (packet.src_addr(), packet.dst_addr(), protocol, packet.ident());
        if self.open.len() >= ASSEMBLIES_MAX && !self.open.contains_key(&key) {
            let oldest = self.open.iter().min_by_key(|(_, assembly)| assembly.since)?;
            let oldest = *oldest.0;
            self.open.remove(&oldest);
        }
        let fresh = || Assembly { since: now, pieces: BTreeMap::new(), length: None };
        let assembly = self.open.entry(key).or_insert_with(fresh);
        let fits = assembly.add(packet);
        let whole = fits && assembly.is_whole();
        if fits && !whole {
            return None;
        }
        let assembly = self.open.remove(&key)?;
        whole.then(|| assembly.pieces.into_values().flatten().collect())
    }
}

impl Assembly {
    /// Puts a piece in its place; false if it contradicts the others.
    fn add(&mut self, packet: &Ipv4Packet<&[u8]>) -> bool {
        let (offset, piece) = (usize::from(packet.frag_offset()), packet.payload());
        let end = offset + piece.len();
        let ragged = packet.more_frags() && !piece.len().is_multiple_of(8);
        if end > PAYLOAD_MAX || piece.is_empty() || ragged {
            return false;
        }
        if self.pieces.get(&offset).is_some_and(|before| before == piece) {
            return true; // The same again.
        }
        let before = self.pieces.range(..=offset).next_back();
        let overlaps = before.is_some_and(|(&at, before)| at + before.len() > offset)
            || self.pieces.range(offset..end).next().is_some();
        if overlaps || self.pieces.len() == FRAGMENTS_MAX {
            return false;
        }
        if !packet.more_frags() && self.length.replace(end).is_some() {
            return false;
        }
        self.pieces.insert(offset, piece.to_vec());
        self.length.is_none_or(|length| {
            self.pieces.last_key_value().is_none_or(|(&at, last)| at + last.len() <= length)
        })
    }

    /// True when no byte is missing. Pieces do not overlap, so their sum says it.
    fn is_whole(&self) -> bool {
        self.length == Some(self.pieces.values().map(Vec::len).sum())
    }
}

#[cfg(test)]
mod test {
    use super::super::link::{HEADER, Link, MAC};
    use super::super::plan::Plan;
    use super::{Assemblies, HOLD, Maker};
    use smoltcp::wire::{EthernetAddress, Ipv4Packet, UdpPacket};
    use std::net::{Ipv4Addr, SocketAddrV4};
    use std::time::Duration;

    fn pieces(mtu: u16, data: &[u8]) -> Vec<Vec<u8>> {
        let plan = Plan::default();
        let mut link = Link::new(plan);
        let guest = plan.first_lease();
        link.learn(guest, EthernetAddress([2, 0, 0, 0, 0, 1]));
        let from = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 7);
        Maker::new(mtu).udp(&mut link, from, SocketAddrV4::new(guest, 9), data);
        let mut out = Vec::new();
        link.take(&mut out);
        assert!(out.iter().all(|frame| frame[6..12] == MAC.0));
        out.into_iter().map(|frame| frame[HEADER..].to_vec()).collect()
    }

    fn add(assemblies: &mut Assemblies, now: Duration, piece: &[u8]) -> Option<Vec<u8>> {
        assemblies.add(now, &Ipv4Packet::new_checked(piece).unwrap())
    }

    #[test]
    fn a_datagram_that_was_cut_is_whole_again_in_any_order() {
        let data: Vec<u8> = (0..60_000_u32).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect();
        let mut cut = pieces(1500, &data);
        assert_eq!(cut.len(), 41); // 60008 bytes by 1480
        for turn in 0..3 {
            match turn {
                0 => {}
                1 => cut.reverse(),
                _ => cut.rotate_left(17),
            }
            let mut assemblies = Assemblies::default();
            let (last, first) = cut.split_last().unwrap();
            for piece in first {
                assert_eq!(add(&mut assemblies, Duration::ZERO, piece), None);
                assert_eq!(add(&mut assemblies, Duration::ZERO, piece), None, "the same again");
            }
            let whole = add(&mut assemblies, Duration::ZERO, last).unwrap();
            assert_eq!(UdpPacket::new_checked(&whole[..]).unwrap().payload(), data);
            assert!(assemblies.open.is_empty());
        }
    }

    #[test]
    fn what_fits_is_not_cut() {
        assert_eq!(pieces(1500, &[0; 1472]).len(), 1);
        assert_eq!(pieces(1500, &[0; 1473]).len(), 2);
        assert_eq!(pieces(1500, &[]).len(), 1);
        assert_eq!(pieces(65535, &[0; super::DATAGRAM_MAX]).len(), 1);
        assert_eq!(pieces(65535, &[0; super::DATAGRAM_MAX + 1]).len(), 0);
    }

    #[test]
    fn pieces_that_overlap_or_are_too_late_make_nothing() {
        let cut = pieces(576, &[1; 1000]);
        let mut assemblies = Assemblies::default();
        assert_eq!(add(&mut assemblies, Duration::ZERO, &cut[0]), None);
        let mut moved = cut[1].clone();
        let mut packet = Ipv4Packet::new_unchecked(&mut moved[..]);
        packet.set_frag_offset(packet.frag_offset() - 8);
        packet.fill_checksum();
        assert_eq!(add(&mut assemblies, Duration::ZERO, &moved), None);
        assert_eq!(assemblies.open.len(), 0, "undone");

        assert_eq!(add(&mut assemblies, Duration::ZERO, &cut[0]), None);
        assert_eq!(add(&mut assemblies, HOLD, &cut[1]), None);
        assert_eq!(assemblies.open.len(), 1, "the late piece alone");
    }
}
