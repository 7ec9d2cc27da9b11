//! The forwarding table: behind which port an address is.
//!
//! A port's own address is *registered* while its session is up, and no frame
//! from elsewhere moves it. Every other address is *learnt* from the frames that
//! it sends, and moves when it is seen elsewhere.

use super::PortKey;
use super::frame::{Mac, is_multicast};
use std::collections::BTreeMap;

/// Learnt addresses; more are not learnt.
const LEARNT_MAX: usize = 4096;

/// Where a frame comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// A guest.
    Port(PortKey),
    /// The physical network.
    Uplink,
    /// The control domain itself.
    Own,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Where,
    registered: bool,
}

/// The table.
#[derive(Debug, Default)]
pub struct Table {
    entries: BTreeMap<Mac, Entry>,
}

impl Table {
    /// An address is at a port for certain.
    pub fn register(&mut self, mac: Mac, at: Where) {
        self.entries.insert(mac, Entry { at, registered: true });
    }

    /// A frame from `mac` came from there.
    pub fn learn(&mut self, mac: Mac, at: Where) {
        if is_multicast(mac) {
            return;
        }
        let room = self.entries.len() < LEARNT_MAX;
        match self.entries.get_mut(&mac) {
            Some(Entry { registered: true, .. }) => {}
            Some(entry) => entry.at = at,
            None if room => {
                self.entries.insert(mac, Entry { at, registered: false });
            }
            None => {}
        }
    }

    /// An address is not there any longer.
    pub fn forget(&mut self, mac: Mac) {
        self.entries.remove(&mac);
    }

    /// A port has gone, and all that was behind it.
    pub fn forget_port(&mut self, at: Where) {
        self.entries.retain(|_, entry| entry.at != at);
    }

    /// Where an address is.
    #[must_use]
    pub fn find(&self, mac: Mac) -> Option<Where> {
        self.entries.get(&mac).map(|entry| entry.at)
    }
}

#[cfg(test)]
mod test {
    use super::{LEARNT_MAX, Table, Where};

    const A: [u8; 6] = [0, 0x14, 0x4f, 0xf8, 0, 1];

    #[test]
    fn a_learnt_address_moves_and_a_registered_one_stays() {
        let mut table = Table::default();
        table.learn(A, Where::Uplink);
        table.learn(A, Where::Port(1));
        assert_eq!(table.find(A), Some(Where::Port(1)));
        table.register(A, Where::Port(2));
        table.learn(A, Where::Uplink);
        assert_eq!(table.find(A), Some(Where::Port(2)));
        table.forget_port(Where::Port(2));
        assert_eq!(table.find(A), None);
    }

    #[test]
    fn groups_are_not_learnt_and_the_table_is_bounded() {
        let mut table = Table::default();
        table.learn([1, 0, 0x5e, 0, 0, 1], Where::Uplink);
        assert_eq!(table.entries.len(), 0);
        for n in 0..2 * LEARNT_MAX as u32 {
            let [a, b, c, d] = n.to_be_bytes();
            table.learn([2, 0, a, b, c, d], Where::Uplink);
        }
        assert_eq!(table.entries.len(), LEARNT_MAX);
    }
}
