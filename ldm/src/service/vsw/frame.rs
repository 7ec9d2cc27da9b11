//! Ethernet frames, as far as a switch looks at them.

/// A MAC address.
pub type Mac = [u8; 6];

/// Everybody.
pub const BROADCAST: Mac = [0xff; 6];
/// Bytes of an Ethernet header.
pub const HEADER: usize = 14;
const RARP: [u8; 2] = [0x80, 0x35];

/// Destination and source; `None` for what is too short to be a frame.
#[must_use]
pub fn addresses(frame: &[u8]) -> Option<(Mac, Mac)> {
    let (header, _) = frame.split_at_checked(HEADER)?;
    Some((header[..6].try_into().ok()?, header[6..12].try_into().ok()?))
}

/// Does the address mean more than one?
#[must_use]
pub const fn is_multicast(mac: Mac) -> bool {
    mac[0] & 1 != 0
}

/// A frame that tells every switch where `mac` is: a reverse ARP request, which
/// nobody answers.
#[must_use]
pub fn announcement(mac: Mac) -> Vec<u8> {
    let mut frame = Vec::with_capacity(60);
    frame.extend_from_slice(&BROADCAST);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&RARP);
    // Ethernet, IPv4, their lengths, "request reverse".
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 3]);
    for _ in 0..2 {
        frame.extend_from_slice(&mac);
        frame.extend_from_slice(&[0; 4]);
    }
    frame.resize(60, 0);
    frame
}
