//! A network: ports by name, each on a link to one switch.
//!
//! Who owns a port sends at a time ([`Fabric::send`]) and is handed what arrives
//! ([`Fabric::deliver_until`]). A frame crosses two lines: its own port's to the
//! switch, where it is stored whole and forwarded, and the other port's from the
//! switch. Between calls nothing happens; the same calls give the same frames.
//!
//! **Shapes.** Times may not run backwards by more than the shortest link takes;
//! a frame that was sent in the past still arrives, but behind its place.
//!
//! **Cost.** Two queue operations and no copy per unicast frame.

use crate::net::link::{Counters, Line, Link, Passage};
use crate::net::pcap::Captured;
use crate::net::switch::{Forward, Mac, Switch};
use crate::time::event::EventQueue;
use crate::time::rng::Seed;
use sun4v::time::SimTime;

/// A port of one fabric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortId(pub usize);

/// A frame that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When.
    pub at: SimTime,
    /// Where.
    pub port: PortId,
    /// Destination, source, type, payload; no FCS.
    pub frame: Vec<u8>,
}

/// A frame under way, with its line's era when it left.
#[derive(Clone, Debug)]
pub(super) enum Transit {
    /// To the switch, from port `from`.
    Up { from: usize, era: u32, frame: Vec<u8> },
    /// From the switch, to port `to`.
    Down { to: usize, era: u32, frame: Vec<u8> },
}

/// A port: the two directions of its link.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) up: Line,
    pub(super) down: Line,
}

/// A network.
#[derive(Clone, Debug)]
pub struct Fabric {
    pub(super) name: String,
    pub(super) seed: Seed,
    pub(super) ports: Vec<Port>,
    pub(super) switch: Switch,
    pub(super) transit: EventQueue<Transit>,
    pub(super) snaplen: Option<usize>,
    pub(super) captured: Vec<Captured>,
}

impl Fabric {
    /// A network without ports; its faults are drawn from streams under `net/NAME`.
    #[must_use]
    pub fn new(name: &str, seed: Seed) -> Self {
        Self {
            name: name.to_owned(),
            seed,
            ports: Vec::new(),
            switch: Switch::default(),
            transit: EventQueue::new(),
            snaplen: None,
            captured: Vec::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a port on a link of its own.
    pub fn add_port(&mut self, name: &str, link: Link) -> PortId {
        let line = |way| Line::new(link, self.seed, &format!("net/{}/{name}/{way}", self.name));
        let port = Port { name: name.to_owned(), up: line("up"), down: line("down") };
        self.ports.push(port);
        PortId(self.ports.len() - 1)
    }

    /// The port called `name`.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<PortId> {
        self.ports.iter().position(|port| port.name == name).map(PortId)
    }

    /// All ports, in the order in which they were added.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &str)> {
        self.ports.iter().enumerate().map(|(n, port)| (PortId(n), port.name.as_str()))
    }

    /// Sends a frame out of `port` at `now`.
    pub fn send(&mut self, port: PortId, mut frame: Vec<u8>, now: SimTime) {
        let line = &mut self.ports[port.0].up;
        let Some(passage) = line.send(&mut frame, now) else { return };
        let era = line.era();
        post(&mut self.transit, passage, frame, |frame| Transit::Up { from: port.0, era, frame });
    }

    /// When something moves next; [`SimTime::NEVER`] if nothing is under way.
    #[must_use]
    pub fn next_time(&self) -> SimTime {
        self.transit.next_time()
    }

    /// Moves everything up to and including `limit`; what arrived at ports, in
    /// order of time.
    pub fn deliver_until(&mut self, limit: SimTime) -> Vec<Delivery> {
        let mut arrived = Vec::new();
        while let Some((at, transit)) = self.transit.pop_until(limit) {
            match transit {
                Transit::Up { from, era, frame } => {
                    if self.ports[from].up.era() == era {
                        self.forward(from, frame, at);
                    } else {
                        self.ports[from].up.lose_under_way();
                    }
                }
                Transit::Down { to, era, frame } => {
                    if self.ports[to].down.era() == era {
                        arrived.push(Delivery { at, port: PortId(to), frame });
                    } else {
                        self.ports[to].down.lose_under_way();
                    }
                }
            }
        }
        arrived
    }

    /// What the switch does with a frame that is complete at `at`.
    fn forward(&mut self, from: usize, frame: Vec<u8>, at: SimTime) {
        if let Some(snaplen) = self.snaplen {
            let head = frame[..frame.len().min(snaplen)].to_vec();
            self.captured.push(Captured { at, port: from, length: frame.len() as u32, head });
        }
        match self.switch.forward(from, &frame, at) {
            Forward::To(to) => self.emit(to, frame, at),
            Forward::Flood => {
                for to in (0..self.ports.len()).filter(|&to| to != from) {
                    self.emit(to, frame.clone(), at);
                }
            }
            Forward::Drop => {}
        }
    }

    /// Sends a frame from the switch to port `to`.
    fn emit(&mut self, to: usize, mut frame: Vec<u8>, at: SimTime) {
        let line = &mut self.ports[to].down;
        let Some(passage) = line.send(&mut frame, at) else { return };
        let era = line.era();
        post(&mut self.transit, passage, frame, |frame| Transit::Down { to, era, frame });
    }

    /// Cuts a port off, both ways, or joins it again. What is under way is lost.
    pub fn set_cut(&mut self, port: PortId, cut: bool) {
        let port = &mut self.ports[port.0];
        port.up.set_cut(cut);
        port.down.set_cut(cut);
    }

    /// What the link of a port is like.
    #[must_use]
    pub fn link(&self, port: PortId) -> Link {
        *self.ports[port.0].up.link()
    }

    /// Changes what the link of a port is like, both ways.
    pub fn set_link(&mut self, port: PortId, link: Link) {
        let port = &mut self.ports[port.0];
        port.up.set_link(link);
        port.down.set_link(link);
    }

    /// Draws the faults of all lines from another seed from now on.
    pub fn reseed(&mut self, seed: Seed) {
        self.seed = seed;
        let network = &self.name;
        for Port { name, up, down } in &mut self.ports {
            for (line, way) in [(up, "up"), (down, "down")] {
                line.rng = seed.stream(&format!("net/{network}/{name}/{way}"));
            }
        }
    }

    /// What has passed a port: towards the switch, and from it.
    #[must_use]
    pub fn counters(&self, port: PortId) -> (Counters, Counters) {
        let port = &self.ports[port.0];
        (port.up.counters(), port.down.counters())
    }

    /// Where the switch last saw an address.
    #[must_use]
    pub fn port_of(&self, address: Mac) -> Option<PortId> {
        self.switch.port_of(address).map(PortId)
    }

    /// Keeps the first `snaplen` bytes of every frame that the switch takes in
    /// (0: all) until [`Fabric::take_captured`] fetches them.
    pub fn capture(&mut self, snaplen: u32) {
        self.snaplen = Some(if snaplen == 0 { usize::MAX } else { snaplen as usize });
    }

    /// Frames that were captured since the last call, in order of time.
    pub fn take_captured(&mut self) -> Vec<Captured> {
        std::mem::take(&mut self.captured)
    }
}

/// Posts a frame for its arrival, and again if it was duplicated.
fn post(
    queue: &mut EventQueue<Transit>,
    passage: Passage,
    frame: Vec<u8>,
    make: impl Fn(Vec<u8>) -> Transit,
) {
    if let Some(again) = passage.again {
        queue.post(again, make(frame.clone()));
    }
    queue.post(passage.at, make(frame));
}

#[cfg(test)]
mod test {
    use super::{Delivery, Fabric, PortId};
    use crate::net::link::{Faults, Link};
    use crate::time::rng::Seed;
    use sun4v::time::SimTime;

    fn frame(to: u8, from: u8, bytes: usize) -> Vec<u8> {
        let mut frame = [[2, 0, 0, 0, 0, to], [2, 0, 0, 0, 0, from]].concat();
        frame.resize(bytes, from);
        frame
    }

    /// Three ports; the switch knows addresses 0, 1 and 2 behind them.
    fn fabric(link: Link) -> Fabric {
        let mut fabric = Fabric::new("lab", Seed(1));
        for name in ["a", "b", "c"] {
            fabric.add_port(name, link);
        }
        for n in 0..3 {
            fabric.send(PortId(n), frame(9, n as u8, 60), SimTime::ZERO);
        }
        fabric.deliver_until(SimTime::ms(1));
        fabric
    }

    #[test]
    fn a_frame_is_stored_and_forwarded() {
        let mut fabric = fabric(Link::default());
        let start = SimTime::ms(2);
        fabric.send(PortId(0), frame(2, 0, 1514), start);
        // 12.304 µs and 5 µs, twice.
        let at = start.plus(SimTime::ns(34_608));
        assert_eq!(fabric.deliver_until(SimTime(at.0 - 1)), []);
        assert_eq!(fabric.next_time(), at);
        let expected = Delivery { at, port: PortId(2), frame: frame(2, 0, 1514) };
        assert_eq!(fabric.deliver_until(at), [expected]);
        assert_eq!(fabric.next_time(), SimTime::NEVER);
        assert_eq!(fabric.port("c"), Some(PortId(2)));
        assert_eq!(fabric.port_of([2, 0, 0, 0, 0, 1]), Some(PortId(1)));
    }

    #[test]
    fn two_senders_share_the_bandwidth_of_the_one_they_send_to() {
        let mut fabric = fabric(Link::default());
        let start = SimTime::ms(2);
        for _ in 0..100 {
            fabric.send(PortId(0), frame(2, 0, 1514), start);
            fabric.send(PortId(1), frame(2, 1, 1514), start);
        }
        let arrived = fabric.deliver_until(SimTime::NEVER);
        assert_eq!(arrived.len(), 200);
        let spent = arrived[199].at.since(start);
        assert_eq!(spent, SimTime::ns(12_304 * 201 + 10_000));
        let from_one = arrived[..20].iter().filter(|delivery| delivery.frame[11] == 1).count();
        assert_eq!(from_one, 10);
    }

    #[test]
    fn a_cut_loses_what_is_under_way_and_no_more() {
        let mut fabric = fabric(Link::default());
        let start = SimTime::ms(2);
        fabric.send(PortId(0), frame(2, 0, 60), start);
        fabric.send(PortId(1), frame(2, 1, 60), start);
        fabric.set_cut(PortId(0), true);
        fabric.set_cut(PortId(0), false);
        fabric.send(PortId(0), frame(1, 0, 60), SimTime::ms(3));
        let arrived = fabric.deliver_until(SimTime::NEVER);
        let ports: Vec<_> = arrived.iter().map(|delivery| delivery.port.0).collect();
        assert_eq!(ports, [2, 1]);
        assert_eq!(fabric.counters(PortId(0)).0.lost, 1);
    }

    #[test]
    fn a_capture_holds_each_frame_once_and_cut_short() {
        let mut fabric = fabric(Link::default());
        fabric.capture(100);
        let mut broadcast = frame(0, 1, 300);
        broadcast[..6].fill(0xff);
        fabric.send(PortId(1), broadcast, SimTime::ms(2));
        assert_eq!(fabric.deliver_until(SimTime::NEVER).len(), 2);
        let captured = fabric.take_captured();
        assert_eq!(captured.len(), 1);
        assert_eq!((captured[0].port, captured[0].length, captured[0].head.len()), (1, 300, 100));
        assert_eq!(fabric.take_captured(), []);
    }

    #[test]
    fn the_same_seed_loses_the_same_frames() {
        let run = |seed| {
            let mut fabric = Fabric::new("lab", Seed(seed));
            let faults = Faults { loss: 0.2, duplication: 0.1, bit_flip: 0.1 };
            let link = Link { faults, ..Link::default() };
            ["a", "b"].iter().for_each(|name| {
                fabric.add_port(name, link);
            });
            for n in 0..200 {
                fabric.send(PortId(0), frame(1, 0, 60 + n), SimTime::us(20 * n as u64));
            }
            fabric.deliver_until(SimTime::NEVER)
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
        assert!((120..180).contains(&run(5).len()), "{}", run(5).len());
    }
}
