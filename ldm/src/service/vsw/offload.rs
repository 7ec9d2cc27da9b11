//! What a guest leaves to whoever takes its frames: checksums, and the cutting of
//! long TCP into segments.
//!
//! **Shapes.** Frames without VLAN tags, Ethernet header first. IPv4 with any options,
//! IPv6 without extension headers; TCP and, for checksums, UDP.
//!
//! **Errors.** What is not of this kind, fragments and what contradicts itself is left
//! as it is by [`checksum`] and is `None` to [`segments`].
//!
//! **Source.** RFC 791, 8200, 9293, 768 and 1071.

use super::frame::HEADER;
use std::ops::Range;

const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const TCP: u8 = 6;
const UDP: u8 = 17;
const IPV6_HEADER: usize = 40;
/// The least TCP payload of a segment; one cut finer is cut like this.
const MSS_MIN: usize = 48;

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
/// Congestion window reduced: said once.
const CWR: u8 = 0x80;

/// Where the headers of a frame are.
struct Layout {
    version: u8,
    protocol: u8,
    /// Where TCP or UDP begins.
    transport: usize,
    /// Where the IP packet ends; padding may follow.
    end: usize,
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn put(bytes: &mut [u8], at: usize, word: u16) {
    bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
}

impl Layout {
    fn of(frame: &[u8]) -> Option<Self> {
        let kind = frame.get(HEADER - 2..HEADER)?;
        let packet = &frame[HEADER..];
        let version = packet.first()? >> 4;
        let layout = if kind == IPV4 && version == 4 {
            let header = usize::from(packet[0] & 0xf) * 4;
            let fragment = word(packet, 6)? & 0x3fff != 0;
            let bytes = usize::from(word(packet, 2)?);
            if header < 20 || fragment || bytes < header {
                return None;
            }
            let protocol = *packet.get(9)?;
            Self { version, protocol, transport: HEADER + header, end: HEADER + bytes }
        } else if kind == IPV6 && version == 6 {
            let bytes = usize::from(word(packet, 4)?);
            let transport = HEADER + IPV6_HEADER;
            Self { version, protocol: *packet.get(6)?, transport, end: transport + bytes }
        } else {
            return None;
        };
        (layout.end <= frame.len()).then_some(layout)
    }

    fn addresses(&self) -> Range<usize> {
        match self.version {
            4 => HEADER + 12..HEADER + 20,
            _ => HEADER + 8..HEADER + IPV6_HEADER,
        }
    }

    /// Offset of the checksum in the transport header.
    fn checksum_at(&self) -> Option<usize> {
        let (at, header) = match self.protocol {
            TCP => (16, 20),
            UDP => (6, 8),
            _ => return None,
        };
        (self.transport + header <= self.end).then_some(self.transport + at)
    }
}

/// Adds 16-bit words to a ones' complement sum that is yet to be folded.
fn add(sum: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum = words.iter().fold(sum, |sum, word| sum + u64::from(u32::from_be_bytes(*word)));
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum + u64::from(u32::from_be_bytes(last))
}

const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn header_checksum(frame: &mut [u8], transport: usize) {
    put(frame, HEADER + 10, 0);
    let sum = fold(add(0, &frame[HEADER..transport]));
    put(frame, HEADER + 10, sum);
}

fn full_checksum(frame: &mut [u8], layout: &Layout) {
    let Some(at) = layout.checksum_at() else { return };
    put(frame, at, 0);
    let bytes = (layout.end - layout.transport) as u64;
    let pseudo = add(u64::from(layout.protocol) + bytes, &frame[layout.addresses()]);
    let sum = match (fold(add(pseudo, &frame[layout.transport..layout.end])), layout.protocol) {
        // Zero would say that there is none.
        (0, UDP) => 0xffff,
        (sum, _) => sum,
    };
    put(frame, at, sum);
}

/// Fills in the checksums that are wanted: IPv4's header's, and TCP's or UDP's.
pub fn checksum(frame: &mut [u8], header: bool, full: bool) {
    let Some(layout) = Layout::of(frame) else { return };
    if header && layout.version == 4 {
        header_checksum(frame, layout.transport);
    }
    if full {
        full_checksum(frame, &layout);
    }
}

/// Cuts a TCP frame into frames of `mss` bytes of payload that are no longer than
/// `longest`. `None` when it is no TCP, or when its headers leave no room.
#[must_use]
pub fn segments(frame: &[u8], mss: usize, longest: usize) -> Option<Vec<Vec<u8>>> {
    let layout = Layout::of(frame).filter(|layout| layout.protocol == TCP)?;
    let transport = layout.transport;
    let header = usize::from(frame[..layout.end].get(transport + 12)? >> 4) * 4;
    let headers = transport + header;
    if header < 20 || headers > layout.end {
        return None;
    }
    let mss = mss.max(MSS_MIN).min(longest.checked_sub(headers).filter(|room| *room > 0)?);
    let payload = &frame[headers..layout.end];
    let count = payload.len().div_ceil(mss).max(1);
    let number = word(frame, HEADER + 4)?;
    let sequence = u32::from_be_bytes(frame[transport + 4..transport + 8].try_into().ok()?);
    let segment = |n: usize| {
        let piece = &payload[n * mss..payload.len().min((n + 1) * mss)];
        let mut bytes = Vec::with_capacity(headers + piece.len());
        bytes.extend_from_slice(&frame[..headers]);
        bytes.extend_from_slice(piece);
        let layout = Layout { end: bytes.len(), ..layout };
        if layout.version == 4 {
            put(&mut bytes, HEADER + 2, (layout.end - HEADER) as u16);
            put(&mut bytes, HEADER + 4, number.wrapping_add(n as u16));
            header_checksum(&mut bytes, transport);
        } else {
            put(&mut bytes, HEADER + 4, (layout.end - transport) as u16);
        }
        let here = sequence.wrapping_add((n * mss) as u32);
        bytes[transport + 4..transport + 8].copy_from_slice(&here.to_be_bytes());
        if n > 0 {
            bytes[transport + 13] &= !CWR;
        }
        if n + 1 < count {
            bytes[transport + 13] &= !(FIN | PSH);
        }
        full_checksum(&mut bytes, &layout);
        bytes
    };
    Some((0..count).map(segment).collect())
}

#[cfg(test)]
pub(super) mod test;
