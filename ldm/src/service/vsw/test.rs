//! The switch with two scripted guests and a physical network.

mod drivers;
mod fuzz;
mod offload;
mod session;
mod switching;
mod vlan;

use super::frame::Mac;
use super::{PortKey, Switch, SwitchConf, SwitchPortConf, Vlans};
use crate::channel::{Channel, ChannelConf, Copier, LinkEvent};
use crate::cost::Cost;
use crate::memory::{Arena, Block};
use crate::service::host::Host;
use crate::testing::{BASE, Board};
use std::collections::VecDeque;
use sun4v::addr::Ra;
use sun4v::id::LdcId;
use sun4v::ldc::map::{MapEntry, MapPerms};
use sun4v::ldc::{Cookie, CookieAddr, LDC_SET_MAP_TABLE, Mte, Stype, Version};
use sun4v::native::Ports;
use sun4v::vio::dring::{DringState, OPTION_TX, XFER_DRING, XFER_DRING_BIT};
use sun4v::vio::vnet::{
    self, Attr, CFLAG_LSO, Descriptor, EXTENDED_BYTES, Extension, LEAD, MINOR_LSO,
};
use sun4v::vio::{
    self, DescriptorState, DeviceClass, DringData, DringReg, Envelope, Rdx, Tag, Type, Ver,
};
use zerocopy::{FromZeros, IntoBytes};

const OWN: Mac = [0, 0x14, 0x4f, 0, 0, 0x20];
const OUTSIDE: Mac = [2, 0, 0, 0, 0, 0x10];
/// Descriptors of a guest's ring; one more than is ever used at once.
const RING: u32 = 8;
/// Bytes of a guest's buffers: of one that takes long TCP, and of one that does not.
const BUFFERS: [u64; 2] = [0x1_2000, 0x2000];

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
    /// Bytes of each, and of a descriptor.
    buffer: u64,
    descriptor: u64,
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
    /// What was said of each.
    extensions: Vec<Extension>,
    /// What the switch agreed to.
    attr: Option<Attr>,
    /// It says in ATTR that it takes long TCP, or asks for the state of the link.
    lso: u16,
    asks_link: bool,
    links: Vec<u32>,
    /// Leaves frames in the switch's ring.
    deaf: bool,
}

impl Guest {
    fn new(board: &mut Board, domain: usize, minor: u16) -> Self {
        let mut arena = Arena::new(Ra(BASE), 0x20_0000);
        let table = arena.alloc(128 * 16).unwrap();
        let ring = arena.alloc(0x2000).unwrap();
        let buffer = BUFFERS[usize::from(minor < MINOR_LSO)];
        let buffers = arena.alloc(u64::from(RING) * buffer).unwrap();
        let ports = &mut board.ports(domain);
        for n in 0..1 + u64::from(RING) * buffer / 0x2000 {
            let page = if n == 0 { ring.ra } else { buffers.at((n - 1) * 0x2000) };
            let mte = Mte::page(page, MapPerms::CR | MapPerms::CW);
            let entry = MapEntry { mte: mte.0.into(), revoke: 0.into() };
            ports.write(table.at(16 * n), entry.as_bytes());
        }
        ports.hcall(LDC_SET_MAP_TABLE, [1, table.ra.0, 128, 0, 0]).unwrap();
        let conf = ChannelConf { id: LdcId(1), tx_ino: 2, rx_ino: 3 };
        let channel = Channel::connect(ports, &mut arena, conf, 1).unwrap();
        Self {
            domain,
            minor,
            channel,
            ring,
            buffers,
            buffer,
            descriptor: 48,
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
            extensions: Vec::new(),
            attr: None,
            lso: u16::MAX,
            asks_link: false,
            links: Vec::new(),
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
                attr.physlink_update = self.asks_link.into();
                if self.minor >= MINOR_LSO {
                    attr.cflags = (if self.lso > 0 { CFLAG_LSO } else { 0 }).into();
                    attr.lso_maxlen = self.lso.into();
                }
                self.say(board, attr.as_bytes());
            }
            (_, Stype::Info, Envelope::PhysLink) => {
                self.links.push(vio::read::<vnet::PhysLink>(bytes).unwrap().state.get());
                self.say(board, &yes);
            }
            (_, Stype::Info, Envelope::Attr | Envelope::Rdx) => {
                self.ready[0] |= envelope == Envelope::Rdx;
                self.say(board, &yes);
            }
            (_, Stype::Ack, Envelope::Attr) => {
                let attr: Attr = vio::read(bytes).unwrap();
                self.attr = Some(attr);
                self.descriptor = if self.minor >= MINOR_LSO { 56 } else { 48 };
                let size = self.descriptor as u32;
                let reg = DringReg::new(sid, RING, size, OPTION_TX, CookieAddr::new(0, 0));
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
            (_, Stype::Info, Envelope::Dring)
            | (_, Stype::Ack, Envelope::Mcast | Envelope::DringUnreg) => {}
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
            let mut bytes = [0; EXTENDED_BYTES];
            let whole = &mut bytes[..size as usize];
            copier.copy_in(ports, LdcId(1), &[at], whole).unwrap();
            let descriptor: Descriptor = vio::read(&bytes).unwrap();
            if descriptor.state != DescriptorState::Ready.code() {
                return last;
            }
            let nbytes = descriptor.nbytes.get();
            let mut data = vec![0; vnet::copy_bytes(nbytes) as usize];
            copier.copy_in(ports, LdcId(1), &descriptor.cookies[..1], &mut data).unwrap();
            self.received.push(data[LEAD..LEAD + nbytes as usize].to_vec());
            self.extensions.push(vio::read(&bytes[48..]).unwrap());
            bytes[0] = DescriptorState::Done.code();
            copier.copy_out(ports, LdcId(1), &[at], &bytes[..8]).unwrap();
            last = index as i32;
            index = (index + 1) % super::ring::DESCRIPTORS;
        }
    }

    /// Puts a frame into the ring without telling.
    fn put(&mut self, board: &mut Board, frame: &[u8], ack: bool) {
        self.put_with(board, frame, ack, Extension::default());
    }

    /// The same, saying something of it.
    fn put_with(&mut self, board: &mut Board, frame: &[u8], ack: bool, extension: Extension) {
        let index = self.next;
        self.next = (index + 1) % RING;
        let ports = &mut board.ports(self.domain);
        let offset = u64::from(index) * self.buffer;
        ports.write(self.buffers.at(offset + LEAD as u64), frame);
        let mut descriptor = Descriptor::new_zeroed();
        descriptor.state = DescriptorState::Ready.code();
        descriptor.ack = u8::from(ack);
        descriptor.nbytes = (frame.len() as u32).into();
        descriptor.ncookies = 1.into();
        let at = CookieAddr::new(1 + offset / 0x2000, offset % 0x2000);
        descriptor.cookies[0] = Cookie::new(at, vnet::copy_bytes(frame.len() as u32));
        let bytes = [descriptor.as_bytes(), extension.as_bytes()].concat();
        let at = self.ring.at(u64::from(index) * self.descriptor);
        ports.write(at, &bytes[..self.descriptor as usize]);
    }

    fn tell(&mut self, board: &mut Board, start: u32) {
        let info = DringData::info(self.sid, self.seq, self.ident, start, -1);
        self.seq += 1;
        self.say(board, info.as_bytes());
    }

    fn send(&mut self, board: &mut Board, frame: &[u8]) {
        self.send_with(board, frame, Extension::default());
    }

    fn send_with(&mut self, board: &mut Board, frame: &[u8], extension: Extension) {
        let start = self.next;
        self.put_with(board, frame, false, extension);
        self.tell(board, start);
    }
}

/// What the switch and the port of guest `n` are, if nothing else is said.
fn switch_conf() -> SwitchConf {
    SwitchConf { mac: OWN, mtu: 1500, default_vlan: 1, vlans: Vlans::default() }
}

fn port_conf(n: usize) -> SwitchPortConf {
    let id = 10 + n as u16;
    SwitchPortConf {
        name: format!("vsw-port {n}"),
        channel: ChannelConf { id: LdcId(id), tx_ino: 2 * id, rx_ino: 2 * id + 1 },
        mac: mac(n as u8 + 1),
        mtu: 1500,
        vlans: Vlans::default(),
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
        Self::with(minors, switch_conf(), |_| {}, |_, _| {})
    }

    /// One whose guests and ports are not the usual ones.
    fn with(
        minors: &[u16],
        conf: SwitchConf,
        change_guest: impl Fn(&mut Guest),
        change: impl Fn(usize, &mut SwitchPortConf),
    ) -> Self {
        let mut board = Board::new(1 + minors.len(), 0x40_0000);
        let mut arena = Arena::new(Ra(BASE), 0x40_0000);
        let copier = Copier::new(&mut arena).unwrap();
        let mut guests = Vec::new();
        for (n, minor) in minors.iter().enumerate() {
            board.join((0, 10 + n as u16), (n + 1, 1));
            let mut guest = Guest::new(&mut board, n + 1, *minor);
            change_guest(&mut guest);
            guests.push(guest);
        }
        let guest_copier = Copier::new(&mut Arena::new(Ra(BASE + 0x20_0000), 0x2000)).unwrap();
        let mut world = Self {
            board,
            arena,
            copier,
            cost: Cost::default(),
            switch: Switch::new(OWN, Some(0), conf),
            guests,
            guest_copier,
        };
        world.attach(change);
        world.run();
        world
    }

    fn attach(&mut self, change: impl Fn(usize, &mut SwitchPortConf)) {
        for n in 0..self.guests.len() {
            let mut conf = port_conf(n);
            change(n, &mut conf);
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
