//! CRC32c and the checksum of the Internet protocols.
//!
//! **Shape.** Both go on from a state and leave one; the result is the state's
//! complement.
//!
//! **Uncertain.** No driver that we know uses them, so how the bytes lie is our
//! reading. CRC32c: as RFC 3720 sends it, the register's lowest byte first, so the
//! check of 32 zeros is `aa 36 91 8a` and the initial state `ff ff ff ff`. The
//! checksum: two bytes, big-endian, as they go into a header; initial state zero, or
//! the sum of a pseudo-header.
//!
//! **Source.** RFC 3720, appendix B.4; RFC 1071.

/// CRC32c of `data`: result and state.
pub fn crc32c(initial: [u8; 4], data: &[u8]) -> ([u8; 4], [u8; 4]) {
    let result = crc32c::crc32c_append(!u32::from_le_bytes(initial), data);
    (result.to_le_bytes(), (!result).to_le_bytes())
}

/// Ones' complement sum of `data`'s pairs of bytes, the last one with a zero if it is
/// alone: result and state.
pub fn internet(initial: [u8; 2], data: &[u8]) -> ([u8; 2], [u8; 2]) {
    let (pairs, rest) = data.as_chunks::<2>();
    let mut sum = u64::from(u16::from_be_bytes(initial));
    for &pair in pairs {
        sum += u64::from(u16::from_be_bytes(pair));
    }
    if let [last] = rest {
        sum += u64::from(*last) << 8;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let state = sum as u16;
    ((!state).to_be_bytes(), state.to_be_bytes())
}
