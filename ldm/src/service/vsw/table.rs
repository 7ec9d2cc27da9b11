//! The forwarding table: behind which port an address is.
//!
//! A port's own address is *registered* while its session is up, and no frame
//! from elsewhere moves it. Every other address is *learnt* from the frames that
//! it sends, moves when it is seen elsewhere, and is forgotten after [`AGEING`]
//! without one. VLANs share the table: an address is behind one port in all of them.
//!
//! **Source.** IEEE 802.1D, the learning process.

use super::PortKey;
use super::frame::{Mac, is_multicast};
use std::collections::BTreeMap;
use sun4v::time::SimTime;

/// How long an address that is silent is remembered (802.1D's default).
pub const AGEING: SimTime = SimTime::secs(300);
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
    /// When it was last heard; a registered one is not to be heard.
    heard: Option<SimTime>,
}

impl Entry {
    fn is_fresh(&self, now: SimTime) -> bool {
        self.heard.is_none_or(|heard| now.since(heard) <= AGEING)
    }
}

/// The table.
#[derive(Debug, Default)]
pub struct Table {
    entries: BTreeMap<Mac, Entry>,
}

impl Table {
    /// An address is at a port for certain.
    pub fn register(&mut self, mac: Mac, at: Where) {
        self.entries.insert(mac, Entry { at, heard: None });
    }

    /// A frame from `mac` came from there.
    pub fn learn(&mut self, mac: Mac, at: Where, now: SimTime) {
        if is_multicast(mac) {
            return;
        }
        match self.entries.get_mut(&mac) {
            Some(Entry { heard: None, .. }) => {}
            Some(entry) => *entry = Entry { at, heard: Some(now) },
            None => {
                if self.entries.len() >= LEARNT_MAX {
                    self.entries.retain(|_, entry| entry.is_fresh(now));
                }
                if self.entries.len() < LEARNT_MAX {
                    self.entries.insert(mac, Entry { at, heard: Some(now) });
                }
            }
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
    pub fn find(&self, mac: Mac, now: SimTime) -> Option<Where> {
        self.entries.get(&mac).filter(|entry| entry.is_fresh(now)).map(|entry| entry.at)
    }
}

#[cfg(test)]
mod test {
    use super::{AGEING, LEARNT_MAX, SimTime, Table, Where};

    const A: [u8; 6] = [0, 0x14, 0x4f, 0xf8, 0, 1];
    const NOW: SimTime = SimTime::ZERO;

    #[test]
    fn a_learnt_address_moves_and_a_registered_one_stays() {
        let mut table = Table::default();
        table.learn(A, Where::Uplink, NOW);
        table.learn(A, Where::Port(1), NOW);
        assert_eq!(table.find(A, NOW), Some(Where::Port(1)));
        table.register(A, Where::Port(2));
        table.learn(A, Where::Uplink, NOW);
        assert_eq!(table.find(A, NOW.plus(AGEING).plus(AGEING)), Some(Where::Port(2)));
        table.forget_port(Where::Port(2));
        assert_eq!(table.find(A, NOW), None);
    }

    #[test]
    fn a_silent_address_is_forgotten_and_one_that_speaks_is_not() {
        let mut table = Table::default();
        table.learn(A, Where::Port(1), NOW);
        assert_eq!(table.find(A, AGEING), Some(Where::Port(1)));
        let later = AGEING.plus(SimTime::us(1));
        assert_eq!(table.find(A, later), None);
        table.learn(A, Where::Port(1), AGEING);
        assert_eq!(table.find(A, later), Some(Where::Port(1)));
    }

    #[test]
    fn groups_are_not_learnt_and_the_table_is_bounded() {
        let mut table = Table::default();
        table.learn([1, 0, 0x5e, 0, 0, 1], Where::Uplink, NOW);
        assert_eq!(table.entries.len(), 0);
        for n in 0..2 * LEARNT_MAX as u32 {
            let [a, b, c, d] = n.to_be_bytes();
            table.learn([2, 0, a, b, c, d], Where::Uplink, NOW);
        }
        assert_eq!(table.entries.len(), LEARNT_MAX);
        // Room comes with age.
        let later = AGEING.plus(SimTime::us(1));
        table.learn(A, Where::Uplink, later);
        assert_eq!((table.entries.len(), table.find(A, later)), (1, Some(Where::Uplink)));
    }
}
