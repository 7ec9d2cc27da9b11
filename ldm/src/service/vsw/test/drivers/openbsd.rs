//! OpenBSD.

use super::{Device, OUTSIDE, rig, words};
use crate::channel::LinkEvent;
use crate::service::vsw::test::{frame, mac};
use crate::testing::Board;
use sun4v::id::LdcId;
use sun4v::ldc::{Cookie, CookieAddr, Stype, Version};
use sun4v::vio::dring::{DringState, OPTION_TX, XFER_DRING};
use sun4v::vio::vnet::{self, Attr, Descriptor, Extension, LEAD, Mcast};
use sun4v::vio::{
    self, DescriptorState, DeviceClass, DringData, DringReg, Envelope, Tag, Type, Ver,
};
use zerocopy::{FromZeros, IntoBytes};

/// OpenBSD: 1.0, one step after the other, one copy a frame.
struct OpenBsd {
    device: Device,
    /// What it has got of each step: theirs, and their word to ours.
    got: [[bool; 2]; 4],
    sid: u32,
    peer_ring: Option<(Cookie, u32, u32)>,
    tx_ident: u64,
    seq: u64,
    prod: u32,
    cons: u32,
    count: u32,
    peer_active: bool,
    no_memory: bool,
}

const BSD_RING: u32 = 8;

impl OpenBsd {
    fn new(board: &mut Board) -> Self {
        Self {
            device: Device::new(board),
            got: [[false; 2]; 4],
            sid: 0x2000,
            peer_ring: None,
            tx_ident: 0,
            seq: 0,
            prod: 0,
            cons: 0,
            count: 0,
            peer_active: false,
            no_memory: false,
        }
    }

    fn is_up(&self) -> bool {
        self.got[3] == [true; 2]
    }

    fn service(&mut self, board: &mut Board) {
        for event in self.device.channel.service(&mut board.ports(1)) {
            match event {
                LinkEvent::Up => {
                    self.device.said.push("  link up".to_owned());
                    let version = Version { major: 1, minor: 0 };
                    let ver = Ver::new(Stype::Info, self.sid, version, DeviceClass::Network);
                    self.device.say(board, ver.as_bytes());
                }
                LinkEvent::Down => {
                    self.device.said.push("  link down".to_owned());
                    self.got = [[false; 2]; 4];
                    (self.prod, self.cons, self.count) = (0, 0, 0);
                }
                LinkEvent::Message(bytes) => self.message(board, &bytes),
            }
        }
    }

    fn message(&mut self, board: &mut Board, bytes: &[u8]) {
        self.device.said.push(format!("< {}", words(bytes)));
        let (kind, stype, envelope) = vio::read::<Tag>(bytes).unwrap().parts().unwrap();
        if kind == Type::Data {
            assert!(self.is_up());
            return match stype {
                Stype::Info => self.receive(board, &vio::read(bytes).unwrap()),
                Stype::Ack => self.acked(board, &vio::read(bytes).unwrap()),
                Stype::Nack => panic!("OpenBSD goes on, and its ring stands still"),
            };
        }
        let step = match envelope {
            Envelope::Ver => 0,
            Envelope::Attr => 1,
            Envelope::DringReg => 2,
            Envelope::Rdx => 3,
            Envelope::Mcast => return assert_eq!(stype, Stype::Ack),
            _ => panic!("not of this protocol"),
        };
        match stype {
            Stype::Info => {
                let mut answer = bytes.to_vec();
                answer[1] = Stype::Ack.code();
                answer[4..8].copy_from_slice(&self.sid.to_be_bytes());
                match step {
                    0 => answer[10..12].fill(0),
                    2 => {
                        let reg: DringReg = vio::read(bytes).unwrap();
                        // It copies as many bytes as it is told to into 48.
                        assert!(reg.desc_size.get() <= 48);
                        self.peer_ring =
                            Some((reg.cookie, reg.num_desc.get(), reg.desc_size.get()));
                    }
                    3 => answer.truncate(8),
                    _ => {}
                }
                self.device.say(board, &answer);
                self.got[step][0] = true;
            }
            Stype::Ack => {
                if step == 2 {
                    self.tx_ident = vio::read::<DringReg>(bytes).unwrap().ident.get();
                    self.seq = 1;
                }
                self.got[step][1] = true;
            }
            Stype::Nack => panic!("OpenBSD waits for ever"),
        }
        if self.got[step] == [true; 2] {
            let sid = self.sid;
            match step {
                0 => {
                    let attr = Attr::new(Stype::Info, sid, XFER_DRING, mac(1), 1514);
                    self.device.say(board, attr.as_bytes());
                }
                1 => {
                    let at = CookieAddr::new(0, 0);
                    let mut reg = DringReg::new(sid, BSD_RING, 48, OPTION_TX, at);
                    reg.cookie.size = 0x2000.into();
                    self.device.say(board, reg.as_bytes());
                }
                2 => {
                    // A tag and nothing else.
                    let tag = Tag::new(Type::Ctrl, Stype::Info, Envelope::Rdx, sid);
                    self.device.say(board, tag.as_bytes());
                }
                _ => {
                    let mut join = Mcast::new_zeroed();
                    join.tag = Tag::new(Type::Ctrl, Stype::Info, Envelope::Mcast, sid);
                    (join.set, join.count, join.addrs[0]) = (1, 1, [1, 0, 0x5e, 0, 0, 1]);
                    self.device.say(board, join.as_bytes());
                }
            }
        }
    }

    fn receive(&mut self, board: &mut Board, info: &DringData) {
        let (cookie, slots, size) = self.peer_ring.unwrap();
        let mut at = info.start.get();
        let mut last = None;
        let ports = &mut board.ports(1);
        while !self.no_memory {
            let place = sun4v::vio::dring::descriptor(&cookie, at, size).unwrap();
            let mut bytes = [0; 48];
            self.device.copier.copy_in(ports, LdcId(1), &[place], &mut bytes).unwrap();
            let descriptor: Descriptor = vio::read(&bytes).unwrap();
            if descriptor.state != DescriptorState::Ready.code() {
                break;
            }
            let nbytes = descriptor.nbytes.get();
            let copied = vnet::copy_bytes(nbytes);
            let first = &descriptor.cookies[..1];
            assert!(first[0].addr().offset() + copied <= 0x2000, "OpenBSD copies once only");
            let mut data = vec![0; copied as usize];
            self.device.copier.copy_in(ports, LdcId(1), first, &mut data).unwrap();
            self.device.received.push(data[LEAD..][..nbytes as usize].to_vec());
            bytes[0] = DescriptorState::Done.code();
            self.device.copier.copy_out(ports, LdcId(1), &[place], &bytes).unwrap();
            last = Some(at);
            at = (at + 1) % slots;
        }
        let mut answer = *info;
        let stype = if last.is_some() { Stype::Ack } else { Stype::Nack };
        answer.tag.stype = stype.code();
        if let Some(last) = last {
            answer.end = (last as i32).into();
        }
        (answer.tag.sid, answer.state) = (self.sid.into(), DringState::Stopped.code());
        self.device.say(board, answer.as_bytes());
    }

    fn tell(&mut self, board: &mut Board, start: u32) {
        let info = DringData::info(self.sid, self.seq, self.tx_ident, start, -1);
        self.seq += 1;
        self.peer_active = true;
        self.device.say(board, info.as_bytes());
    }

    fn acked(&mut self, board: &mut Board, ack: &DringData) {
        self.peer_active = ack.state == DringState::Active.code();
        while self.device.state(board, self.cons) == DescriptorState::Done.code() {
            self.device.set_state(board, self.cons, DescriptorState::Free);
            self.cons = (self.cons + 1) % BSD_RING;
            self.count -= 1;
        }
        if self.count > 0 && !self.peer_active {
            self.tell(board, self.cons);
        }
    }

    fn transmit(&mut self, board: &mut Board, frame: &[u8]) {
        let at = self.prod;
        self.device.fill(board, at, frame, Extension::default(), Some(2048));
        self.prod = (at + 1) % BSD_RING;
        self.count += 1;
        if !self.peer_active {
            self.tell(board, at);
        }
    }
}

#[test]
fn openbsd_and_the_switch_talk_1_0() {
    let mut world = rig();
    let mut bsd = OpenBsd::new(&mut world.board);
    world.run_with(|board| bsd.service(board));
    assert!(bsd.is_up() && world.switch.is_up(0));
    world.left();
    bsd.device.said.push("  three frames out, and two in".to_owned());
    let out: Vec<_> = (0..3).map(|n| frame(OUTSIDE, mac(1), 60 + n, n as u8)).collect();
    out.iter().for_each(|frame| bsd.transmit(&mut world.board, frame));
    world.run_with(|board| bsd.service(board));
    assert_eq!(world.left(), out);
    for n in 0..2 {
        let full = frame(mac(1), OUTSIDE, 1514, n);
        world.act(|switch, host| switch.from_uplink(host, full));
    }
    world.run_with(|board| bsd.service(board));
    assert_eq!(bsd.device.received.len(), 2);
    bsd.device.said.push("  no memory for one".to_owned());
    bsd.no_memory = true;
    world.act(|switch, host| switch.from_uplink(host, frame(mac(1), OUTSIDE, 60, 3)));
    world.run_with(|board| bsd.service(board));
    assert!(world.switch.next_tick(world.board.now) > world.board.now);
    bsd.no_memory = false;
    world.act(|switch, host| switch.tick(host));
    world.run_with(|board| bsd.service(board));
    assert_eq!(bsd.device.received.len(), 3);
    insta::assert_snapshot!("openbsd-1.0", bsd.device.said.join("\n"));
    // Round the ring, each frame inside a page.
    for n in 0..500 {
        let size = 60 + n * 29 % 1455;
        world.act(|switch, host| switch.from_uplink(host, frame(mac(1), OUTSIDE, size, 4)));
        world.run_with(|board| bsd.service(board));
        assert_eq!(bsd.device.received.last().unwrap().len(), size);
    }
}
