//! The switch with two scripted guests and a physical network.

mod fuzz;

use super::frame::{BROADCAST, Mac, announcement};
use super::{HOLD_BYTES, PortKey, Switch, SwitchPortConf};
use crate::channel::{Channel, ChannelConf, Copier, LinkEvent};
use crate::cost::Cost;
use crate::memory::{Arena, Block};
use crate::service::host::Host;
use crate::testing::{BASE, Board};
use proptest::prelude::{any, proptest};
use std::collections::VecDeque;
use sun4v::addr::Ra;
use sun4v::id::LdcId;
use sun4v::ldc::map::{MapEntry, MapPerms};
use sun4v::ldc::{Cookie, CookieAddr, LDC_SET_MAP_TABLE, Mte, Stype, Version};
use sun4v::native::Ports;
use sun4v::time::SimTime;
use sun4v::vio::dring::{DringState, OPTION_TX, XFER_DRING, XFER_DRING_BIT};
use sun4v::vio::vnet::{self, Attr, Descriptor, LEAD, Mcast};
use sun4v::vio::{
    self, DescriptorState, DeviceClass, DringData, DringReg, Envelope, Rdx, Tag, Type, Ver,
};
use zerocopy::{FromZeros, IntoBytes};

const OWN: Mac = [0, 0x14, 0x4f, 0, 0, 0x20];
const OUTSIDE: Mac = [2, 0, 0, 0, 0, 0x10];
/// Descriptors of a guest's ring; one more than is ever used at once.
const RING: u32 = 8;

const fn mac(guest: u8) -> Mac {
    [0, 0x14, 0x4f, 0xf8, 0, guest]
}

fn frame(to: Mac, from: Mac, bytes: usize, fill: u8) -> Vec<u8> {
    let mut frame = [to, from].concat();
    frame.extend_from_slice(&[8, 0]);
    frame.resize(bytes, fill);
    frame
}

/// A guest with a virtual network device: a model of what a driver has to do.
struct Guest {
    domain: usize,
    minor: u16,
    channel: Channel,
    ring: Block,
    buffers: Block,
    sid: u32,
    seq: u64,
    /// What the switch calls our ring.
    ident: u64,
    next: u32,
    /// The switch's ring and its session.
    peer: Option<(Cookie, u32)>,
    peer_sid: u32,
    ready: [bool; 2],
    acks: VecDeque<(u32, i32, u8)>,
    nacks: usize,
    downs: usize,
    received: Vec<Vec<u8>>,
    /// Leaves frames in the switch's ring.
    deaf: bool,
}

impl Guest {
    fn new(board: &mut Board, domain: usize, minor: u16) -> Self {
        let mut arena = Arena::new(Ra(BASE), 0x10_0000);
        let table = arena.alloc(16 * 16).unwrap();
        let ring = arena.alloc(0x2000).unwrap();
        let buffers = arena.alloc(8 * 0x2000).unwrap();
        let ports = &mut board.ports(domain);
        for n in 0..9_u64 {
            let page = if n == 0 { ring.ra } else { buffers.at((n - 1) * 0x2000) };
            let mte = Mte::page(page, MapPerms::CR | MapPerms::CW);
            let entry = MapEntry { mte: mte.0.into(), revoke: 0.into() };
            ports.write(table.at(16 * n), entry.as_bytes());
        }
        ports.hcall(LDC_SET_MAP_TABLE, [1, table.ra.0, 16, 0, 0]).unwrap();
        let conf = ChannelConf { id: LdcId(1), tx_ino: 2, rx_ino: 3 };
        let channel = Channel::connect(ports, &mut arena, conf, 1).unwrap();
        Self {
            domain,
            minor,
            channel,
            ring,
            buffers,
            sid: 0x100 * domain as u32,
            seq: 1,
            ident: 0,
            next: 0,
            peer: None,
            peer_sid: 0,
            ready: [false; 2],
            acks: VecDeque::new(),
            nacks: 0,
            downs: 0,
            received: Vec::new(),
            deaf: false,
        }
    }

    fn is_up(&self) -> bool {
        self.ready == [true; 2]
    }

    fn say(&mut self, board: &mut Board, bytes: &[u8]) {
        self.channel.send(&mut board.ports(self.domain), bytes);
    }

    fn service(&mut self, board: &mut Board, copier: &Copier) {
        for event in self.channel.service(&mut board.ports(self.domain)) {
            match event {
                LinkEvent::Up => {
                    let version = Version { major: 1, minor: self.minor };
                    let ver = Ver::new(Stype::Info, self.sid, version, DeviceClass::Network);
                    self.say(board, ver.as_bytes());
                }
                LinkEvent::Down => {
                    self.downs += 1;
                    self.sid += 1;
                    (self.seq, self.next, self.ready) = (1, 0, [false; 2]);
                    let ring = self.ring.ra;
                    board.ports(self.domain).write(ring, &[0; 0x200]);
                }
                LinkEvent::Message(bytes) => self.message(board, copier, &bytes),
            }
        }
    }

    fn message(&mut self, board: &mut Board, copier: &Copier, bytes: &[u8]) {
        let (kind, stype, envelope) = vio::read::<Tag>(bytes).unwrap().parts().unwrap();
        let mut yes = bytes.to_vec();
        yes[1] = Stype::Ack.code();
        yes[4..8].copy_from_slice(&self.sid.to_be_bytes());
        let sid = self.sid;
        match (kind, stype, envelope) {
            (_, Stype::Nack, _) => self.nacks += 1,
            (_, Stype::Info, Envelope::Ver) => {
                let ver: Ver = vio::read(bytes).unwrap();
                assert_eq!(ver.class, DeviceClass::NetworkSwitch.code());
                self.peer_sid = ver.tag.sid.get();
                yes[10..12].copy_from_slice(&self.minor.min(ver.minor.get()).to_be_bytes());
                yes[12] = DeviceClass::Network.code();
                self.say(board, &yes);
            }
            (_, Stype::Ack, Envelope::Ver) => {
                let (mode, mtu) = match self.minor {
                    0 | 1 => (XFER_DRING, 1514),
                    2 => (XFER_DRING_BIT, 1514),
                    3 => (XFER_DRING_BIT, 1518),
                    _ => (XFER_DRING_BIT, 65_553),
                };
                let mut attr = Attr::new(Stype::Info, sid, mode, mac(self.domain as u8), mtu);
                attr.options = OPTION_TX as u8;
                self.say(board, attr.as_bytes());
            }
            (_, Stype::Info, Envelope::Attr | Envelope::Rdx) => {
                self.ready[0] |= envelope == Envelope::Rdx;
                self.say(board, &yes);
            }
            (_, Stype::Ack, Envelope::Attr) => {
                let reg = DringReg::new(sid, RING, 48, OPTION_TX, CookieAddr::new(0, 0));
                self.say(board, reg.as_bytes());
            }
            (_, Stype::Info, Envelope::DringReg) => {
                let reg: DringReg = vio::read(bytes).unwrap();
                assert_eq!(reg.ncookies.get(), 1);
                self.peer = Some((reg.cookie, reg.desc_size.get()));
                yes[8..16].copy_from_slice(&77_u64.to_be_bytes());
                self.say(board, &yes);
            }
            (_, Stype::Ack, Envelope::DringReg) => {
                self.ident = vio::read::<DringReg>(bytes).unwrap().ident.get();
                self.say(board, Rdx::new(Stype::Info, sid).as_bytes());
            }
            (_, Stype::Ack, Envelope::Rdx) => self.ready[1] = true,
            (_, Stype::Ack, Envelope::Dring) => {
                let ack: DringData = vio::read(bytes).unwrap();
                self.acks.push_back((ack.start.get(), ack.end.get(), ack.state));
            }
            (_, Stype::Info, Envelope::Dring) if !self.deaf => {
                let info: DringData = vio::read(bytes).unwrap();
                assert_eq!((info.ident.get(), info.end.get()), (77, -1));
                let last = self.receive(board, copier, info.start.get());
                let ack = info.answer(Stype::Ack, sid, info.start.get(), last, DringState::Stopped);
                self.say(board, ack.as_bytes());
            }
            (_, Stype::Info, Envelope::Dring) | (_, Stype::Ack, Envelope::Mcast) => {}
            other => panic!("the switch said {other:?}"),
        }
    }

    /// Takes frames out of the switch's ring from `index` on.
    fn receive(&mut self, board: &mut Board, copier: &Copier, mut index: u32) -> i32 {
        let (ring, size) = self.peer.unwrap();
        let mut last = index.wrapping_sub(1) as i32;
        let ports = &mut board.ports(self.domain);
        loop {
            let at = sun4v::vio::dring::descriptor(&ring, index, size).unwrap();
            let mut bytes = [0; 48];
            copier.copy_in(ports, LdcId(1), &[at], &mut bytes).unwrap();
            let descriptor: Descriptor = vio::read(&bytes).unwrap();
            if descriptor.state != DescriptorState::Ready.code() {
                return last;
            }
            let nbytes = descriptor.nbytes.get();
            let mut data = vec![0; vnet::copy_bytes(nbytes) as usize];
            copier.copy_in(ports, LdcId(1), &descriptor.cookies[..1], &mut data).unwrap();
            self.received.push(data[LEAD..LEAD + nbytes as usize].to_vec());
            bytes[0] = DescriptorState::Done.code();
            copier.copy_out(ports, LdcId(1), &[at], &bytes[..8]).unwrap();
            last = index as i32;
            index = (index + 1) % super::ring::DESCRIPTORS;
        }
    }

    /// Puts a frame into the ring without telling.
    fn put(&mut self, board: &mut Board, frame: &[u8], ack: bool) {
        let index = self.next;
        self.next = (index + 1) % RING;
        let ports = &mut board.ports(self.domain);
        let offset = u64::from(index) * 2048;
        ports.write(self.buffers.at(offset + LEAD as u64), frame);
        let mut descriptor = Descriptor::new_zeroed();
        descriptor.state = DescriptorState::Ready.code();
        descriptor.ack = u8::from(ack);
        descriptor.nbytes = (frame.len() as u32).into();
        descriptor.ncookies = 1.into();
        let at = CookieAddr::new(1 + offset / 0x2000, offset % 0x2000);
        descriptor.cookies[0] = Cookie::new(at, vnet::copy_bytes(frame.len() as u32));
        ports.write(self.ring.at(u64::from(index) * 48), descriptor.as_bytes());
    }

    fn tell(&mut self, board: &mut Board, start: u32) {
        let info = DringData::info(self.sid, self.seq, self.ident, start, -1);
        self.seq += 1;
        self.say(board, info.as_bytes());
    }

    fn send(&mut self, board: &mut Board, frame: &[u8]) {
        let start = self.next;
        self.put(board, frame, false);
        self.tell(board, start);
    }
}

struct World {
    board: Board,
    arena: Arena,
    copier: Copier,
    cost: Cost,
    switch: Switch,
    guests: Vec<Guest>,
    /// One for every guest, at the same address in each.
    guest_copier: Copier,
}

impl World {
    fn new(minors: &[u16]) -> Self {
        let mut board = Board::new(1 + minors.len(), 0x20_0000);
        let mut arena = Arena::new(Ra(BASE), 0x20_0000);
        let copier = Copier::new(&mut arena).unwrap();
        let mut guests = Vec::new();
        for (n, minor) in minors.iter().enumerate() {
            board.join((0, 10 + n as u16), (n + 1, 1));
            guests.push(Guest::new(&mut board, n + 1, *minor));
        }
        let guest_copier = Copier::new(&mut Arena::new(Ra(BASE + 0x10_0000), 0x2000)).unwrap();
        let mut world = Self {
            board,
            arena,
            copier,
            cost: Cost::default(),
            switch: Switch::new(OWN, Some(0)),
            guests,
            guest_copier,
        };
        world.attach();
        world.run();
        world
    }

    fn attach(&mut self) {
        for n in 0..self.guests.len() {
            let id = 10 + n as u16;
            let conf = SwitchPortConf {
                name: format!("vsw-port {n}"),
                channel: ChannelConf { id: LdcId(id), tx_ino: 2 * id, rx_ino: 2 * id + 1 },
                mac: mac(n as u8 + 1),
            };
            self.act(|switch, host| switch.attach(host, n as PortKey, conf).unwrap());
        }
    }

    fn act<R>(&mut self, act: impl FnOnce(&mut Switch, &mut Host<'_>) -> R) -> R {
        let mut host = Host {
            ports: &mut self.board.ports(0),
            arena: &mut self.arena,
            copier: &self.copier,
            cost: &self.cost,
        };
        act(&mut self.switch, &mut host)
    }

    fn run(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(mondo) = self.board.domains[0].mondos.pop_front() {
                self.act(|switch, host| switch.mondo(host, mondo[0]));
                quiet = false;
            }
            for guest in &mut self.guests {
                while self.board.domains[guest.domain].mondos.pop_front().is_some() {
                    guest.service(&mut self.board, &self.guest_copier);
                    quiet = false;
                }
            }
            if quiet {
                break;
            }
        }
    }

    fn send(&mut self, guest: usize, frame: &[u8]) {
        self.guests[guest].send(&mut self.board, frame);
        self.run();
    }

    fn outside(&mut self, frame: Vec<u8>) {
        self.act(|switch, host| switch.from_uplink(host, frame));
        self.run();
    }

    /// Frames that left through the uplink.
    fn left(&mut self) -> Vec<Vec<u8>> {
        let frames = std::mem::take(&mut self.board.domains[0].frames);
        frames
            .into_iter()
            .map(|(nic, frame)| {
                assert_eq!(nic, 0);
                frame
            })
            .collect()
    }

    fn received(&mut self, guest: usize) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.guests[guest].received)
    }
}

#[test]
fn every_version_comes_up_and_announces_its_address() {
    for minor in [0, 2, 3, 4, 6, 8] {
        let mut world = World::new(&[minor]);
        assert!(world.guests[0].is_up(), "1.{minor}");
        assert!(world.switch.is_up(0));
        assert_eq!(world.left(), [announcement(mac(1))]);
        assert_eq!(world.guests[0].nacks, 0);
    }
}

#[test]
fn guests_reach_each_other_the_world_and_the_control_domain() {
    let mut world = World::new(&[6, 0]);
    world.left();
    let to_peer = frame(mac(2), mac(1), 60, 1);
    let to_world = frame(OUTSIDE, mac(1), 1514, 2);
    let to_own = frame(OWN, mac(1), 99, 3);
    for frame in [&to_peer, &to_world, &to_own] {
        world.send(0, frame);
    }
    assert_eq!(world.received(1), [to_peer]);
    assert_eq!(world.left(), [to_world]);
    assert_eq!(world.switch.take_own(), [to_own]);
    let back = frame(mac(1), OUTSIDE, 1514, 4);
    world.outside(back.clone());
    assert_eq!(world.received(0), [back]);
    world.outside(frame(mac(9), OUTSIDE, 60, 5));
    assert!(world.left().is_empty() && world.switch.take_own().is_empty());
}

#[test]
fn a_broadcast_reaches_everybody_but_its_sender() {
    let mut world = World::new(&[6, 6]);
    world.left();
    let frame = frame(BROADCAST, mac(1), 60, 1);
    world.send(0, &frame);
    assert_eq!(world.received(0), Vec::<Vec<u8>>::new());
    assert_eq!((world.received(1), world.left()), (vec![frame.clone()], vec![frame.clone()]));
    assert_eq!(world.switch.take_own(), [frame]);
}

#[test]
fn a_multicast_reaches_who_has_joined() {
    let mut world = World::new(&[6, 6]);
    world.left();
    let group = [1, 0, 0x5e, 0, 0, 7];
    let frame = frame(group, OUTSIDE, 60, 1);
    let mut join = Mcast::new_zeroed();
    join.tag = Tag::new(Type::Ctrl, Stype::Info, Envelope::Mcast, world.guests[1].sid);
    (join.set, join.count, join.addrs[0]) = (1, 1, group);
    world.guests[1].say(&mut world.board, join.as_bytes());
    world.run();
    world.outside(frame.clone());
    assert_eq!((world.received(0).len(), world.received(1)), (0, vec![frame.clone()]));
    join.set = 0;
    world.guests[1].say(&mut world.board, join.as_bytes());
    world.run();
    world.outside(frame);
    assert_eq!(world.received(1).len(), 0);
}

#[test]
fn a_run_of_frames_ends_with_stopped_and_asked_ones_are_acknowledged() {
    let mut world = World::new(&[6]);
    world.left();
    let frames: Vec<_> = (0..5).map(|n| frame(OUTSIDE, mac(1), 60 + n, n as u8)).collect();
    let guest = &mut world.guests[0];
    for (n, frame) in frames.iter().enumerate() {
        guest.put(&mut world.board, frame, n == 2);
    }
    guest.tell(&mut world.board, 0);
    world.run();
    assert_eq!(world.left(), frames);
    assert_eq!(world.guests[0].acks, [(2, 2, 1), (0, 4, 2)]);
    // Nothing there: the one before, as Linux wants it.
    world.guests[0].acks.clear();
    world.guests[0].tell(&mut world.board, 5);
    world.run();
    assert_eq!(world.guests[0].acks, [(4, 4, 2)]);
}

#[test]
fn a_full_ring_waits_and_a_guest_that_wakes_gets_frames_in_order() {
    let mut world = World::new(&[6]);
    world.guests[0].deaf = true;
    let frames: Vec<_> = (0..300).map(|n| frame(mac(1), OUTSIDE, 60 + n, n as u8)).collect();
    for frame in &frames {
        world.outside(frame.clone());
    }
    assert!(world.received(0).is_empty());
    let guest = &mut world.guests[0];
    guest.deaf = false;
    let last = guest.receive(&mut world.board, &world.guest_copier, 0);
    let info = DringData::info(guest.sid, 1, 77, 0, -1);
    let ack = info.answer(Stype::Ack, guest.sid, 0, last, DringState::Stopped);
    guest.say(&mut world.board, ack.as_bytes());
    world.run();
    assert_eq!(world.received(0), frames);
}

#[test]
fn frames_too_short_or_too_long_are_lost_and_the_session_goes_on() {
    let mut world = World::new(&[0]);
    world.left();
    for bytes in [13, 1515] {
        let mut bad = frame(OUTSIDE, mac(1), 1515, 1);
        bad.truncate(bytes);
        world.send(0, &bad);
    }
    let good = frame(OUTSIDE, mac(1), 60, 2);
    world.send(0, &good);
    assert_eq!(world.left(), [good]);
    world.outside(frame(mac(1), OUTSIDE, 1518, 3));
    assert!(world.received(0).is_empty());
}

#[test]
fn a_violation_ends_the_session_and_the_next_one_is_sound() {
    let wrong: [fn(&Guest) -> DringData; 4] = [
        |guest| DringData::info(guest.sid, guest.seq + 1, guest.ident, 0, -1),
        |guest| DringData::info(guest.sid, guest.seq, 999, 0, -1),
        |guest| DringData::info(guest.sid, guest.seq, guest.ident, RING, -1),
        |guest| DringData::info(guest.sid + 1, guest.seq, guest.ident, 0, -1),
    ];
    for make in wrong {
        let mut world = World::new(&[6]);
        world.send(0, &frame(OUTSIDE, mac(1), 60, 1));
        let message = make(&world.guests[0]);
        world.guests[0].say(&mut world.board, message.as_bytes());
        world.run();
        assert_eq!(world.guests[0].downs, 1);
        world.left();
        let good = frame(OUTSIDE, mac(1), 60, 2);
        world.send(0, &good);
        assert_eq!(world.left(), [good]);
    }
}

#[test]
fn a_held_guest_is_left_alone_and_misses_nothing() {
    let mut world = World::new(&[6, 6]);
    world.left();
    world.guests[0].deaf = true;
    let mut frames: Vec<_> = (0..3).map(|n| frame(mac(1), OUTSIDE, 60, n)).collect();
    frames.push(frame(mac(1), mac(2), 60, 3));
    world.outside(frames[0].clone());
    world.outside(frames[1].clone());
    world.act(|switch, host| switch.hold(host, mac(1)));
    let before = world.board.domains[1].memory.clone();
    world.outside(frames[2].clone());
    world.send(1, &frames[3]);
    assert!(world.board.domains[1].memory == before);
    world.guests[0].deaf = false;
    world.act(|switch, host| switch.release(host, mac(1)));
    world.run();
    assert_eq!(world.received(0), frames);
    let good = frame(OUTSIDE, mac(1), 60, 9);
    world.send(0, &good);
    assert_eq!(world.left(), [good]);
}

#[test]
fn guests_of_a_switch_that_begins_again_miss_nothing() {
    let mut world = World::new(&[6, 3]);
    world.received(0);
    world.left();
    // In memory that is given out anew; queues and tables are still configured.
    world.switch = Switch::new(OWN, Some(0));
    world.arena = Arena::new(Ra(BASE), 0x20_0000);
    world.copier = Copier::new(&mut world.arena).unwrap();
    world.attach();
    for guest in 1..=2 {
        world.switch.expect(mac(guest));
    }
    // Before they have found it again.
    let early = frame(mac(1), OUTSIDE, 100, 1);
    world.act(|switch, host| switch.from_uplink(host, early.clone()));
    assert!(world.received(0).is_empty());
    world.run();
    for guest in &world.guests {
        assert!(guest.is_up() && guest.downs == 1);
    }
    assert_eq!(world.received(0), [early]);
    let late = frame(mac(2), mac(1), 80, 2);
    world.send(0, &late);
    assert_eq!(world.received(1), [late]);
    assert!(world.left().contains(&announcement(mac(1))));
}

#[test]
fn what_is_held_is_bounded_in_time_and_bytes() {
    let mut world = World::new(&[6]);
    world.act(|switch, host| switch.hold(host, mac(1)));
    world.outside(frame(mac(1), OUTSIDE, 60, 1));
    world.board.now = SimTime::ms(1500);
    let young = frame(mac(1), OUTSIDE, 1514, 2);
    world.outside(young.clone());
    world.board.now = SimTime::ms(2500);
    for _ in 0..2 * HOLD_BYTES / 1514 {
        world.outside(young.clone());
    }
    world.switch.depart(SimTime::ms(2500), mac(1));
    let relayed = world.switch.take_relay();
    assert_eq!(relayed.len(), HOLD_BYTES / 1514);
    assert!(relayed.iter().all(|held| *held == (mac(1), young.clone())));
}

#[test]
fn frames_follow_a_guest_that_has_left_until_the_world_knows() {
    let mut world = World::new(&[6]);
    world.act(|switch, host| switch.hold(host, mac(1)));
    let frames: Vec<_> = (0..2).map(|n| frame(mac(1), OUTSIDE, 60, n)).collect();
    world.outside(frames[0].clone());
    world.switch.depart(SimTime::ZERO, mac(1));
    world.outside(frames[1].clone());
    let relayed: Vec<_> = world.switch.take_relay().into_iter().map(|held| held.1).collect();
    assert_eq!(relayed, frames);
    world.board.now = SimTime::secs(11);
    world.outside(frames[1].clone());
    assert!(world.switch.take_relay().is_empty());
}

#[test]
fn a_guest_that_arrives_finds_what_was_sent_after_it() {
    let mut world = World::new(&[6]);
    world.act(|switch, host| switch.hold(host, mac(1)));
    // It comes up anew, as after a move.
    let relayed = frame(mac(1), OUTSIDE, 60, 1);
    world.act(|switch, host| switch.relayed(host, relayed.clone()));
    world.left();
    world.guests[0].channel.reset(&mut world.board.ports(1));
    world.act(|switch, host| switch.release(host, mac(1)));
    world.run();
    // Released before the session was complete: nobody to give it to.
    assert!(world.received(0).is_empty());
    world.act(|switch, host| switch.relayed(host, relayed.clone()));
    world.run();
    assert_eq!(world.received(0), [relayed]);
    assert_eq!(world.left(), [announcement(mac(1))]);
}

#[test]
fn a_port_that_goes_takes_its_address_with_it() {
    let mut world = World::new(&[6, 6]);
    world.left();
    world.act(|switch, host| switch.detach(host, 1));
    let frame = frame(mac(2), mac(1), 60, 1);
    world.send(0, &frame);
    assert_eq!(world.left(), [frame]);
}

proptest! {
    #[test]
    fn no_message_and_no_descriptor_brings_the_switch_down(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..80), 1..6),
        descriptor in any::<[u8; 32]>(),
        envelope in 1_u8..6,
    ) {
        let mut world = World::new(&[6]);
        let at = world.guests[0].ring.ra;
        let mut ports = world.board.ports(1);
        ports.write(at, &descriptor);
        ports.write(at, &[DescriptorState::Ready.code()]);
        ports.write(at.offset(8), &[0, 0]);
        world.guests[0].tell(&mut world.board, 0);
        world.run();
        for mut message in messages {
            if message.len() > 8 {
                let sid = world.guests[0].sid.to_be_bytes();
                let stype = [1, 2, 4][usize::from(message[0]) % 3];
                message[..4].copy_from_slice(&[1, stype, 0, envelope]);
                message[4..8].copy_from_slice(&sid);
                message.resize(56, 0);
            }
            let guest = &mut world.guests[0];
            guest.say(&mut world.board, &message);
            while world.board.domains[0].mondos.pop_front().is_some() {
                world.act(|switch, host| switch.mondo(host, 0));
            }
        }
        // The guest was not listening meanwhile: it begins anew.
        world.guests[0].channel.reset(&mut world.board.ports(1));
        world.guests[0].downs = 0;
        world.guests[0].sid = 0x4444;
        world.guests[0].seq = 1;
        world.guests[0].next = 0;
        world.board.ports(1).write(at, &[0; 0x200]);
        world.run();
        world.left();
        let good = frame(OUTSIDE, mac(1), 60, 2);
        world.send(0, &good);
        assert_eq!(world.left(), [good]);
    }
}
