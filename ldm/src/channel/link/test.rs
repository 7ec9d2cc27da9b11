//! Two ends of a link, in either mode.

use super::{Link, LinkEvent, MESSAGE_MAX, Next, WINDOW};
use proptest::prelude::{any, proptest};
use std::collections::VecDeque;
use sun4v::ldc::{Mode, Packet, Stype, Version};

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
        Self::of_mode(Mode::Unreliable, ends)
    }
    fn of_mode(mode: Mode, ends: &[usize]) -> Self {
        let mut pair = Self { ends: [Link::new(mode), Link::new(mode)], ..Self::default() };
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
    Link::new(Mode::Unreliable).receive(&ask, &mut out, &mut events);
    let answer = out.pop_front().unwrap();
    assert_eq!((answer.stype(), answer.proposed()), (Some(Stype::Nack), Version::V1_0));
}

#[test]
fn reliable_ends_acknowledge_whole_messages_and_acknowledgements_are_numbered() {
    let mut pair = Pair::of_mode(Mode::Reliable, &[0]);
    pair.say(1, b"init");
    pair.say(0, b"yes");
    // VER, RTS, RDX 1, ack 2, message 3; VER, RTR, message 1, ack 2.
    assert_eq!(pair.numbers, [vec![0, 0, 1, 2, 3], vec![0, 0, 1, 2]]);
    assert_eq!(pair.events[0][1], LinkEvent::Message(b"init".to_vec()));
    assert_eq!(pair.events[1][1], LinkEvent::Message(b"yes".to_vec()));
    for bytes in [1, 47, 48, 49, 96, 97, 3000, MESSAGE_MAX] {
        let message: Vec<u8> = (0..bytes).map(|n| n as u8).collect();
        for end in [0, 1] {
            pair.say(end, &message);
            assert_eq!(pair.events[1 - end].pop(), Some(LinkEvent::Message(message.clone())));
        }
    }
    assert!(!pair.ends[0].message(&[0; MESSAGE_MAX + 1], &mut pair.wires[0]));
    assert_eq!(pair.ends.each_ref().map(|end| (end.unacked.len(), end.waiting())), [(0, 0); 2]);
}

#[test]
fn a_peer_that_does_not_acknowledge_gets_a_window_and_no_more() {
    let mut pair = Pair::of_mode(Mode::Reliable, &[0]);
    // Fragments of 40 messages are more than a window: 43 each.
    let mut out = VecDeque::new();
    for n in 0..40_u8 {
        assert!(pair.ends[0].message(&[n; 2050], &mut out));
    }
    assert_eq!((out.len(), pair.ends[0].waiting()), (2 * 43, 38));
    assert!(out.len() <= WINDOW);
    pair.wires[0].append(&mut out);
    pair.run();
    let sizes = pair.events[1].iter().skip(1).map(|event| match event {
        LinkEvent::Message(bytes) => (bytes[0], bytes.len()),
        other => panic!("{other:?}"),
    });
    assert!(sizes.eq((0..40).map(|n| (n, 2050))));
    assert_eq!((pair.ends[0].unacked.len(), pair.ends[0].waiting()), (0, 0));
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_ends_the_session() {
    for (ackid, sound) in [(0, true), (1, true), (2, true), (3, false), (u32::MAX, false)] {
        let mut pair = Pair::of_mode(Mode::Reliable, &[0]);
        assert!(pair.ends[0].message(b"hello", &mut pair.wires[0]));
        let (mut out, mut events) = (VecDeque::new(), Vec::new());
        let next = pair.ends[0].receive(&Packet::ack(1, ackid), &mut out, &mut events);
        assert_eq!(next == Next::Continue, sound, "{ackid}");
        assert_eq!(pair.ends[0].is_up(), sound);
        assert_eq!(pair.ends[0].unacked.len(), usize::from(ackid < 2));
    }
}

#[test]
fn ends_of_different_modes_do_not_meet() {
    let (mut one, mut other) = (Link::new(Mode::Reliable), Link::new(Mode::Unreliable));
    let (mut there, mut back, mut events) = (VecDeque::new(), VecDeque::new(), Vec::new());
    one.start(&mut there);
    other.receive(&there.pop_front().unwrap(), &mut back, &mut events);
    one.receive(&back.pop_front().unwrap(), &mut there, &mut events);
    let rts = there.pop_front().unwrap();
    assert_eq!(rts.mode(), Some(Mode::Reliable));
    assert_eq!(other.receive(&rts, &mut back, &mut events), Next::Reset);
    assert_eq!(back.pop_front().unwrap().stype(), Some(Stype::Nack));
    assert_eq!(events, []);
}

proptest! {
    #[test]
    fn no_packets_panic_or_pile_up(
        packets in proptest::collection::vec(any::<[u8; 64]>(), 0..40),
        mode in proptest::sample::select(vec![Mode::Unreliable, Mode::Reliable]),
    ) {
        let mut pair = Pair::of_mode(mode, &[0]);
        let (mut out, mut events) = (VecDeque::new(), Vec::new());
        for (n, mut bytes) in packets.into_iter().enumerate() {
            bytes[0] = [1, 2, 2, bytes[0]][n % 4];
            bytes[4..8].copy_from_slice(&(n as u32 + 2).to_be_bytes());
            pair.ends[1].receive(&Packet::from_bytes(bytes), &mut out, &mut events);
        }
    }
}
