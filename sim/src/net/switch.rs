//! The lab's Ethernet switch: learns where addresses are, and forwards.
//!
//! **Shapes.** Ports are numbers. An address is learned from every frame's source
//! and forgotten after [`AGEING`] without one; a newer port replaces an older, so
//! a domain that moves is found again with its first frame. A destination that is
//! unknown or a group address goes to every port but the one it came from.
//!
//! **Source.** IEEE 802.1D, the learning and forwarding processes; no spanning
//! tree, since the lab has no loops.

use std::collections::BTreeMap;
use sun4v::time::SimTime;

/// How long an address that is silent is remembered (802.1D's default).
pub const AGEING: SimTime = SimTime::secs(300);

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// Out of one port.
    To(usize),
    /// Out of every port but the one it came from.
    Flood,
    /// Nowhere: its destination is where it came from, or it has no header.
    Drop,
}

/// The address table of a switch.
#[derive(Clone, Debug, Default)]
pub struct Switch {
    pub(super) table: BTreeMap<Mac, (usize, SimTime)>,
    pub(super) moves: u64,
}

/// The six bytes at `at`.
fn address(frame: &[u8], at: usize) -> Option<Mac> {
    frame.get(at..at + 6)?.try_into().ok()
}

impl Switch {
    /// Takes in a frame at `port`: learns its source, says where it goes.
    pub fn forward(&mut self, port: usize, frame: &[u8], now: SimTime) -> Forward {
        let (Some(destination), Some(source)) = (address(frame, 0), address(frame, 6)) else {
            return Forward::Drop;
        };
        if source[0] & 1 == 0
            && let Some((before, _)) = self.table.insert(source, (port, now))
        {
            self.moves += u64::from(before != port);
        }
        if destination[0] & 1 == 1 {
            return Forward::Flood;
        }
        match self.table.get(&destination) {
            Some(&(_, seen)) if now.since(seen) > AGEING => {
                self.table.remove(&destination);
                Forward::Flood
            }
            Some(&(to, _)) if to == port => Forward::Drop,
            Some(&(to, _)) => Forward::To(to),
            None => Forward::Flood,
        }
    }

    /// Where `address` was last seen.
    #[must_use]
    pub fn port_of(&self, address: Mac) -> Option<usize> {
        self.table.get(&address).map(|&(port, _)| port)
    }

    /// How often an address has changed its port.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.moves
    }
}

#[cfg(test)]
mod test {
    use super::{AGEING, Forward, Switch};
    use sun4v::time::SimTime;

    fn frame(to: u8, from: u8) -> Vec<u8> {
        [[2, 0, 0, 0, 0, to], [2, 0, 0, 0, 0, from], [0; 6]].concat()
    }

    #[test]
    fn an_address_is_learned_moves_and_is_forgotten() {
        let mut switch = Switch::default();
        let t = SimTime::ZERO;
        assert_eq!(switch.forward(0, &frame(9, 1), t), Forward::Flood);
        assert_eq!(switch.forward(1, &frame(1, 9), t), Forward::To(0));
        assert_eq!(switch.forward(0, &frame(9, 1), t), Forward::To(1));
        assert_eq!(switch.forward(2, &frame(1, 9), t), Forward::To(0));
        assert_eq!(switch.forward(0, &frame(9, 1), t), Forward::To(2));
        assert_eq!(switch.moves(), 1);
        let late = AGEING.plus(SimTime(1));
        assert_eq!(switch.forward(0, &frame(9, 1), late), Forward::Flood);
    }

    #[test]
    fn a_frame_never_leaves_where_it_came_in_and_a_stump_goes_nowhere() {
        let mut switch = Switch::default();
        switch.forward(3, &frame(9, 1), SimTime::ZERO);
        assert_eq!(switch.forward(3, &frame(1, 2), SimTime::ZERO), Forward::Drop);
        assert_eq!(switch.forward(3, &[0; 11], SimTime::ZERO), Forward::Drop);
        let mut broadcast = frame(1, 2);
        broadcast[..6].fill(0xff);
        assert_eq!(switch.forward(3, &broadcast, SimTime::ZERO), Forward::Flood);
    }
}
