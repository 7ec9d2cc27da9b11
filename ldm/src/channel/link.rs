//! The link protocol in unreliable mode: handshake, sequence numbers, fragments.
//!
//! A pure state machine: packets in, packets and events out.
//!
//! **Handshake.** VER 1.0, RTS, RTR, RDX; either end may begin. First sequence
//! numbers are 0, so an end that sent RDX numbers its data from 2 and the other
//! from 1.
//!
//! **Errors.** A packet out of sequence is refused by NACK and everything behind
//! it is dropped; whoever gets a NACK of data begins anew. Nothing that the peer
//! sends panics or makes the machine hold more than [`MESSAGE_MAX`] bytes.
//!
//! **Source.** The LDC link protocol as Linux `ldc.c` and Solaris `ldc.c` speak it.

use std::collections::VecDeque;
use sun4v::ldc::packet::UNRELIABLE_PAYLOAD;
use sun4v::ldc::{Ctrl, Kind, Mode, Packet, Stype, Version};

/// Bytes of the longest message that is put together.
pub const MESSAGE_MAX: usize = 4096;

/// What a link tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Messages may flow.
    Up,
    /// They may not any longer: forget the session.
    Down,
    /// One arrived.
    Message(Vec<u8>),
}

/// What is to be done after a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on with the next packet.
    Continue,
    /// Drop the packets behind it.
    Purge,
    /// Set the queues anew, so that the peer sees RESET.
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    /// VER sent.
    Proposed,
    /// Versions agreed; `rts`: RTS sent.
    Agreed {
        rts: bool,
    },
    /// RTR sent; `rts` as above.
    Ready {
        rts: bool,
    },
    Up,
}

/// One end of a link.
#[derive(Debug)]
pub struct Link {
    phase: Phase,
    /// Last number sent.
    sent: u32,
    /// Last number accepted.
    accepted: u32,
    /// A message's fragments so far, and the number of the first.
    partial: Option<(u32, Vec<u8>)>,
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// A link that waits for its peer.
    #[must_use]
    pub const fn new() -> Self {
        Self { phase: Phase::Closed, sent: 0, accepted: 0, partial: None }
    }

    /// May messages be sent?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// Back to the beginning; true when the link was up.
    pub fn close(&mut self) -> bool {
        let was_up = self.is_up();
        *self = Self::new();
        was_up
    }

    /// Begins the handshake.
    pub fn start(&mut self, out: &mut VecDeque<Packet>) {
        *self = Self::new();
        self.phase = Phase::Proposed;
        out.push_back(Packet::version(Stype::Info, Version::V1_0));
    }

    /// Cuts a message into packets; false when the link is not up.
    pub fn message(&mut self, bytes: &[u8], out: &mut VecDeque<Packet>) -> bool {
        if !self.is_up() {
            return false;
        }
        let last = bytes.len().saturating_sub(1) / UNRELIABLE_PAYLOAD;
        for (n, piece) in bytes.chunks(UNRELIABLE_PAYLOAD).enumerate() {
            self.sent = self.sent.wrapping_add(1);
            out.push_back(Packet::fragment(self.sent, piece, n == 0, n == last));
        }
        true
    }

    /// Takes one packet.
    pub fn receive(
        &mut self,
        packet: &Packet,
        out: &mut VecDeque<Packet>,
        events: &mut Vec<LinkEvent>,
    ) -> Next {
        match (packet.kind(), packet.stype()) {
            (Some(Kind::Ctrl), Some(stype)) => self.control(packet, stype, out, events),
            (Some(Kind::Data), Some(stype)) => self.data(packet, stype, out, events),
            _ => self.fail(events),
        }
    }

    fn fail(&mut self, events: &mut Vec<LinkEvent>) -> Next {
        if self.close() {
            events.push(LinkEvent::Down);
        }
        Next::Reset
    }

    fn up(&mut self, events: &mut Vec<LinkEvent>) {
        self.phase = Phase::Up;
        events.push(LinkEvent::Up);
    }

    fn control(
        &mut self,
        packet: &Packet,
        stype: Stype,
        out: &mut VecDeque<Packet>,
        events: &mut Vec<LinkEvent>,
    ) -> Next {
        match (packet.ctrl(), stype, self.phase) {
            (Some(Ctrl::Ver), Stype::Info, phase) => {
                if self.close() {
                    events.push(LinkEvent::Down);
                }
                let (stype, version) = match packet.proposed().major {
                    1 => (Stype::Ack, Version::V1_0),
                    0 => (Stype::Nack, Version { major: 0, minor: 0 }),
                    _ => (Stype::Nack, Version::V1_0),
                };
                // A crossed proposal: ours will be answered too.
                self.phase = match (stype, phase) {
                    (_, Phase::Proposed) => Phase::Proposed,
                    (Stype::Ack, _) => Phase::Agreed { rts: false },
                    _ => Phase::Closed,
                };
                out.push_back(Packet::version(stype, version));
            }
            (Some(Ctrl::Ver), Stype::Ack, Phase::Proposed | Phase::Agreed { rts: false }) => {
                self.phase = Phase::Agreed { rts: true };
                out.push_back(Packet::ready(Ctrl::Rts, Mode::Unreliable, 0));
            }
            (Some(Ctrl::Ver), Stype::Nack, Phase::Proposed) => return self.fail(events),
            (Some(Ctrl::Rts), Stype::Info, Phase::Agreed { .. } | Phase::Proposed) => {
                if packet.mode() != Some(Mode::Unreliable) {
                    out.push_back(Packet::nack(packet, 0, 0));
                    return self.fail(events);
                }
                let rts = self.phase == Phase::Agreed { rts: true };
                self.accepted = packet.seqid.get();
                self.phase = Phase::Ready { rts };
                out.push_back(Packet::ready(Ctrl::Rtr, Mode::Unreliable, 0));
            }
            (Some(Ctrl::Rtr), Stype::Info, Phase::Agreed { rts: true }) => {
                if packet.mode() != Some(Mode::Unreliable) {
                    return self.fail(events);
                }
                self.accepted = packet.seqid.get();
                self.exchange(out);
                self.up(events);
            }
            (Some(Ctrl::Rtr), Stype::Info, Phase::Ready { rts: true }) => {
                self.exchange(out);
                self.up(events);
            }
            (Some(Ctrl::Rdx), Stype::Info, Phase::Ready { .. }) => {
                if packet.seqid.get() != self.accepted.wrapping_add(1) {
                    return self.fail(events);
                }
                self.accepted = packet.seqid.get();
                self.up(events);
            }
            // The second RDX of crossed handshakes.
            (Some(Ctrl::Rdx), Stype::Info, Phase::Up) => {
                if packet.seqid.get() != self.accepted.wrapping_add(1) {
                    return self.fail(events);
                }
                self.accepted = packet.seqid.get();
            }
            (_, Stype::Nack, _) => return self.fail(events),
            // Late packets of a handshake that was begun anew.
            _ => {}
        }
        Next::Continue
    }

    fn exchange(&mut self, out: &mut VecDeque<Packet>) {
        self.sent = self.sent.wrapping_add(1);
        out.push_back(Packet::exchange(self.sent, self.accepted));
    }

    fn data(
        &mut self,
        packet: &Packet,
        stype: Stype,
        out: &mut VecDeque<Packet>,
        events: &mut Vec<LinkEvent>,
    ) -> Next {
        if !self.is_up() {
            return Next::Continue;
        }
        if stype == Stype::Nack {
            return self.fail(events);
        }
        let seqid = packet.seqid.get();
        if seqid != self.accepted.wrapping_add(1) {
            if let Some((first, _)) = self.partial.take() {
                self.accepted = first.wrapping_sub(1);
            }
            self.sent = self.sent.wrapping_add(1);
            out.push_back(Packet::nack(packet, self.sent, self.accepted));
            return Next::Purge;
        }
        self.accepted = seqid;
        if stype == Stype::Ack {
            return Next::Continue;
        }
        if packet.is_start() {
            self.partial = Some((seqid, Vec::new()));
        }
        let Some((_, message)) = &mut self.partial else {
            return Next::Continue;
        };
        if message.len() + packet.data().len() > MESSAGE_MAX {
            return self.fail(events);
        }
        message.extend_from_slice(packet.data());
        if packet.is_stop()
            && let Some((_, message)) = self.partial.take()
        {
            events.push(LinkEvent::Message(message));
        }
        Next::Continue
    }
}

#[cfg(test)]
mod test {
    use super::{Link, LinkEvent, MESSAGE_MAX, Next};
    use proptest::prelude::{any, proptest};
    use std::collections::VecDeque;
    use sun4v::ldc::{Packet, Stype, Version};

    /// Two ends and the wires between them.
    #[derive(Default)]
    struct Pair {
        ends: [Link; 2],
        wires: [VecDeque<Packet>; 2],
        events: [Vec<LinkEvent>; 2],
        numbers: [Vec<u32>; 2],
    }

    impl Pair {
        fn started_by(ends: &[usize]) -> Self {
            let mut pair = Self::default();
            for &end in ends {
                pair.ends[end].start(&mut pair.wires[end]);
            }
            pair.run();
            pair
        }
        fn run(&mut self) {
            while self.wires.iter().any(|wire| !wire.is_empty()) {
                for (from, to) in [(0, 1), (1, 0)] {
                    if let Some(packet) = self.wires[from].pop_front() {
                        self.numbers[from].push(packet.seqid.get());
                        let (out, events) = (&mut self.wires[to], &mut self.events[to]);
                        assert_eq!(self.ends[to].receive(&packet, out, events), Next::Continue);
                    }
                }
            }
        }
        fn say(&mut self, end: usize, bytes: &[u8]) {
            assert!(self.ends[end].message(bytes, &mut self.wires[end]));
            self.run();
        }
    }

    #[test]
    fn the_one_who_began_numbers_its_data_from_2_and_the_other_from_1() {
        let mut pair = Pair::started_by(&[0]);
        assert_eq!(pair.events, [vec![LinkEvent::Up], vec![LinkEvent::Up]]);
        pair.say(0, b"hello");
        pair.say(1, b"world");
        assert_eq!(pair.numbers, [vec![0, 0, 1, 2], vec![0, 0, 1]]);
        assert_eq!(pair.events[1][1], LinkEvent::Message(b"hello".to_vec()));
    }

    #[test]
    fn crossed_handshakes_meet() {
        let mut pair = Pair::started_by(&[0, 1]);
        assert_eq!(pair.events, [vec![LinkEvent::Up], vec![LinkEvent::Up]]);
        pair.say(0, b"a");
        pair.say(1, b"b");
        assert_eq!(pair.numbers.map(|numbers| *numbers.last().unwrap()), [2, 2]);
        assert_eq!(pair.events[0][1], LinkEvent::Message(b"b".to_vec()));
    }

    #[test]
    fn a_long_message_arrives_whole() {
        let mut pair = Pair::started_by(&[0]);
        for bytes in [1, 55, 56, 57, 112, 500, MESSAGE_MAX] {
            let message: Vec<u8> = (0..bytes).map(|n| n as u8).collect();
            pair.say(0, &message);
            assert_eq!(pair.events[1].pop(), Some(LinkEvent::Message(message)));
        }
    }

    #[test]
    fn a_gap_is_refused_and_makes_the_sender_begin_anew() {
        let mut pair = Pair::started_by(&[0]);
        assert!(pair.ends[0].message(&[1; 100], &mut pair.wires[0]));
        let first = pair.wires[0].pop_front().unwrap();
        let mut late = pair.wires[0].pop_front().unwrap();
        late.seqid = 9.into();
        let (mut out, mut events) = (VecDeque::new(), Vec::new());
        assert_eq!(pair.ends[1].receive(&first, &mut out, &mut events), Next::Continue);
        assert_eq!(pair.ends[1].receive(&late, &mut out, &mut events), Next::Purge);
        let nack = out.pop_front().unwrap();
        assert_eq!((nack.stype(), nack.ackid()), (Some(Stype::Nack), 1));
        assert_eq!(pair.ends[0].receive(&nack, &mut out, &mut events), Next::Reset);
        assert_eq!(events, [LinkEvent::Down]);
        assert!(!pair.ends[0].is_up());
    }

    #[test]
    fn a_peer_that_begins_anew_takes_the_session_down_first() {
        let mut pair = Pair::started_by(&[0]);
        pair.ends[0].start(&mut pair.wires[0]);
        pair.run();
        assert_eq!(pair.events[1], [LinkEvent::Up, LinkEvent::Down, LinkEvent::Up]);
    }

    #[test]
    fn an_unknown_version_is_met_with_1_0() {
        let (mut out, mut events) = (VecDeque::new(), Vec::new());
        let ask = Packet::version(Stype::Info, Version { major: 7, minor: 3 });
        Link::new().receive(&ask, &mut out, &mut events);
        let answer = out.pop_front().unwrap();
        assert_eq!((answer.stype(), answer.proposed()), (Some(Stype::Nack), Version::V1_0));
    }

    proptest! {
        #[test]
        fn no_packets_panic_or_pile_up(packets in proptest::collection::vec(any::<[u8; 64]>(), 0..40)) {
            let mut pair = Pair::started_by(&[0]);
            let (mut out, mut events) = (VecDeque::new(), Vec::new());
            for (n, mut bytes) in packets.into_iter().enumerate() {
                bytes[0] = [1, 2, 2, bytes[0]][n % 4];
                bytes[4..8].copy_from_slice(&(n as u32 + 2).to_be_bytes());
                pair.ends[1].receive(&Packet::from_bytes(bytes), &mut out, &mut events);
            }
        }
    }
}
