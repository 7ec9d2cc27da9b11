//! MAC addresses and UUIDs.
//!
//! **Shapes.** Addresses that the manager gives out begin `00:14:4f:f8` to
//! `00:14:4f:fb`; those begin `fc` to `ff` that an operator may ask for.
//! Addresses that came back are given out first.
//!
//! **Source.** Administration Guide 2.1, "Assigning MAC addresses".

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// A source of fresh numbers, from a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entropy {
    seed: [u8; 32],
    drawn: u64,
}

impl Entropy {
    /// From this seed.
    #[must_use]
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed, drawn: 0 }
    }

    /// How often it was drawn from.
    #[must_use]
    pub const fn drawn(&self) -> u64 {
        self.drawn
    }

    /// Goes on as one that was drawn from so often.
    pub const fn go_on_at(&mut self, drawn: u64) {
        self.drawn = drawn;
    }

    /// The next 32 bytes.
    pub fn draw(&mut self) -> [u8; 32] {
        let digest = Sha256::new().chain_update(self.seed).chain_update(self.drawn.to_be_bytes());
        self.drawn += 1;
        digest.finalize().into()
    }

    /// A random UUID (version 4).
    pub fn uuid(&mut self) -> String {
        let mut bytes = self.draw();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = |range: &[u8]| range.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..16]].map(hex).join("-")
    }
}

/// Addresses that came back, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freed(Vec<[u8; 6]>);

impl Freed {
    /// These, oldest first.
    #[must_use]
    pub const fn of(macs: Vec<[u8; 6]>) -> Self {
        Self(macs)
    }

    /// All, oldest first.
    #[must_use]
    pub fn all(&self) -> &[[u8; 6]] {
        &self.0
    }

    /// One comes back; only addresses of the automatic pool are kept.
    pub fn put(&mut self, mac: [u8; 6]) {
        if is_automatic(mac) && !self.0.contains(&mac) {
            self.0.push(mac);
        }
    }

    /// Picks an address that nobody has.
    pub fn pick(&mut self, entropy: &mut Entropy, used: &BTreeSet<[u8; 6]>) -> [u8; 6] {
        if let Some(at) = self.0.iter().position(|mac| !used.contains(mac)) {
            return self.0.remove(at);
        }
        loop {
            let [a, b, c, ..] = entropy.draw();
            let mac = [0x00, 0x14, 0x4f, 0xf8 | a & 3, b, c];
            if !used.contains(&mac) {
                return mac;
            }
        }
    }
}

/// May only the manager give this address out?
#[must_use]
pub const fn is_automatic(mac: [u8; 6]) -> bool {
    matches!(mac, [0x00, 0x14, 0x4f, 0xf8..=0xfb, ..])
}

/// `00:14:4f:f8:12:34`.
#[must_use]
pub fn show(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Reads an address; leading zeros may be missing.
#[must_use]
pub fn parse(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|part| (1..=2).contains(&part.len()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    // No groups of several.
    (parts.next().is_none() && mac[0] & 1 == 0).then_some(mac)
}

#[cfg(test)]
mod test {
    use super::{Entropy, Freed, is_automatic, parse, show};
    use std::collections::BTreeSet;

    #[test]
    fn an_address_is_read_as_it_is_shown() {
        let mac = parse("00:14:4f:fa:ed:88").unwrap();
        assert_eq!(parse("0:21:28:1:2:3"), Some([0, 0x21, 0x28, 1, 2, 3]));
        assert_eq!(show(mac), "00:14:4f:fa:ed:88");
        for bad in ["", "1:2:3:4:5", "1:2:3:4:5:6:7", "1:2:3:4:5:100", "x:2:3:4:5:6", "1:2::4:5:6"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_are_of_the_pool_and_come_back_first() {
        let mut entropy = Entropy::new([7; 32]);
        let (mut freed, mut used) = (Freed::default(), BTreeSet::new());
        for _ in 0..1000 {
            let mac = freed.pick(&mut entropy, &used);
            assert!(is_automatic(mac) && used.insert(mac));
        }
        let one = *used.iter().next().unwrap();
        used.remove(&one);
        freed.put(one);
        freed.put([0, 0x14, 0x4f, 0xfc, 0, 1]);
        assert_eq!(freed.pick(&mut entropy, &used), one);
        assert_ne!(freed.pick(&mut entropy, &used), [0, 0x14, 0x4f, 0xfc, 0, 1]);
    }

    #[test]
    fn a_uuid_is_of_version_four() {
        let uuid = Entropy::new([1; 32]).uuid();
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(uuid[14..].starts_with('4') && "89ab".contains(&uuid[19..20]));
    }
}
