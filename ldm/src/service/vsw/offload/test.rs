//! Checksums and segments, against sums made one word at a time.

use super::{HEADER, checksum, segments};
use proptest::prelude::{any, proptest};

/// A ones' complement sum, word by word.
fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// TCP over IPv4: 20 bytes of header each and 12 of options of TCP.
pub(crate) fn tcp4(payload: &[u8], flags: u8) -> Vec<u8> {
    let mut frame = vec![0, 0x14, 0x4f, 0xf8, 0, 2, 0, 0x14, 0x4f, 0xf8, 0, 1, 8, 0];
    let length = (52 + payload.len()) as u16;
    frame.extend_from_slice(&[0x45, 0]);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[0xff, 0xfe, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend_from_slice(&[0x12, 0x34, 0, 80, 0xff, 0xff, 0xff, 0, 0, 0, 0, 9, 0x80, flags]);
    frame.extend_from_slice(&[1, 0, 0, 0, 0, 0, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
    frame.extend_from_slice(payload);
    checksum(&mut frame, true, true);
    frame
}

fn tcp6(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    frame.extend_from_slice(&[6, 64]);
    frame.extend((0..32).map(|n| n * 7));
    frame.extend_from_slice(&[0, 1, 0, 2, 0, 0, 0, 5, 0, 0, 0, 9, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
    frame.extend_from_slice(payload);
    checksum(&mut frame, false, true);
    frame
}

/// Is every checksum of an IPv4 or IPv6 packet of TCP or UDP right?
pub(crate) fn is_right(frame: &[u8]) -> bool {
    let packet = &frame[HEADER..];
    let (addresses, transport, protocol) = match packet[0] >> 4 {
        4 => (&packet[12..20], usize::from(packet[0] & 15) * 4, packet[9]),
        _ => (&packet[8..40], 40, packet[6]),
    };
    let length = match packet[0] >> 4 {
        4 => usize::from(u16::from_be_bytes([packet[2], packet[3]])),
        _ => 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]])),
    };
    let mut bytes = addresses.to_vec();
    bytes.extend_from_slice(&[0, protocol]);
    bytes.extend_from_slice(&((length - transport) as u16).to_be_bytes());
    bytes.extend_from_slice(&packet[transport..length]);
    (packet[0] >> 4 == 6 || sum(&packet[..transport]) == 0xffff) && sum(&bytes) == 0xffff
}

/// A packet's fields that differ between segments: length, number, place, flags.
fn fields(frame: &[u8]) -> (u16, u16, u32, u8) {
    let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let place = u32::from(word(38)) << 16 | u32::from(word(40));
    (word(16), word(18), place, frame[47])
}

#[test]
fn a_long_tcp_frame_is_cut_as_its_sender_would_have_cut_it() {
    let payload: Vec<u8> = (0..3000_u32).map(|n| (n % 251) as u8).collect();
    // CWR, ACK, PSH, FIN.
    let frame = tcp4(&payload, 0x99);
    assert!(is_right(&frame));
    let cut = segments(&frame, 1448, 1514).unwrap();
    let lengths: Vec<_> = cut.iter().map(Vec::len).collect();
    assert_eq!(lengths, [1514, 1514, 66 + 104]);
    assert!(cut.iter().all(|segment| is_right(segment)));
    let told: Vec<_> = cut.iter().map(|segment| fields(segment)).collect();
    assert_eq!(
        told,
        [
            (1500, 0xfffe, 0xffff_ff00, 0x90),
            (1500, 0xffff, 0x0000_04a8, 0x10),
            (156, 0x0000, 0x0000_0a50, 0x19),
        ]
    );
    let again: Vec<u8> = cut.iter().flat_map(|segment| segment[66..].to_vec()).collect();
    assert_eq!(again, payload);
}

#[test]
fn ipv6_is_cut_too() {
    let frame = tcp6(&[9; 2500]);
    assert!(is_right(&frame));
    let cut = segments(&frame, 1440, 1514).unwrap();
    assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [1514, 74 + 1060]);
    assert!(cut.iter().all(|segment| is_right(segment)));
}

#[test]
fn a_segment_fits_where_it_goes_and_one_cut_too_finely_is_cut_less_finely() {
    let frame = tcp4(&[1; 1000], 0x10);
    assert!(segments(&frame, 9000, 600).unwrap().iter().all(|segment| segment.len() <= 600));
    assert_eq!(segments(&frame, 0, 1514).unwrap().len(), 1000_usize.div_ceil(48));
    assert_eq!(segments(&frame, 1448, 66), None);
    // Nothing to cut is one segment, without padding.
    let mut bare = tcp4(&[], 0x10);
    bare.resize(80, 0);
    assert_eq!(segments(&bare, 1448, 1514).unwrap(), [tcp4(&[], 0x10)]);
}

#[test]
fn what_is_no_tcp_is_not_cut_and_udp_has_its_checksum_filled_in() {
    let mut udp = tcp4(&[], 0)[..34].to_vec();
    (udp[23], udp[17]) = (17, 20 + 10);
    udp.extend_from_slice(&[0, 1, 0, 2, 0, 10, 0xaa, 0xaa, 1, 2]);
    assert_eq!(segments(&udp, 1448, 1514), None);
    checksum(&mut udp, true, true);
    assert!(is_right(&udp));
    let mut fragment = tcp4(&[1; 100], 0x10);
    fragment[20] = 0x20;
    assert_eq!(segments(&fragment, 1448, 1514), None);
}

#[test]
fn a_udp_sum_of_zero_is_written_as_all_ones() {
    let mut udp = tcp4(&[], 0)[..34].to_vec();
    (udp[23], udp[17]) = (17, 20 + 10);
    udp.extend_from_slice(&[0, 1, 0, 2, 0, 10, 0, 0, 0, 0]);
    checksum(&mut udp, true, true);
    let (high, low) = (udp[40], udp[41]);
    // The payload that makes the sum come to zero.
    udp[42..44].copy_from_slice(&[high, low]);
    checksum(&mut udp, true, true);
    assert_eq!(udp[40..42], [0xff, 0xff]);
    assert!(is_right(&udp));
}

proptest! {
    #[test]
    fn any_tcp_frame_is_cut_into_right_ones_and_comes_together_again(
        payload in proptest::collection::vec(any::<u8>(), 0..9000),
        mss in any::<u16>(),
        longest in 120_usize..16_000,
    ) {
        let cut = segments(&tcp4(&payload, 0x18), mss.into(), longest).unwrap();
        assert!(cut.iter().all(|segment| is_right(segment) && segment.len() <= longest));
        let again: Vec<u8> = cut.iter().flat_map(|segment| segment[66..].to_vec()).collect();
        assert_eq!(again, payload);
    }

    #[test]
    fn any_bytes_are_borne(
        mut frame in proptest::collection::vec(any::<u8>(), 0..200),
        kind in 0_usize..3,
        mss in any::<u16>(),
    ) {
        if let Some(head) = frame.get_mut(12..15) {
            head.copy_from_slice(&[[8, 0, 0x45], [0x86, 0xdd, 0x60], [8, 0, 0x4f]][kind]);
        }
        checksum(&mut frame, true, true);
        let _ = segments(&frame, mss.into(), 1514);
    }
}
