//! The drivers that guests have, as their sources have them: Linux's `viohs.c` and
//! `sunvnet_common.c`, OpenBSD's `vnet.c`. A model panics where the driver would give up,
//! drop a frame or stop for ever. Snapshots are the conversations.

use super::{
    Attr, CFLAG_LSO, Channel, ChannelConf, Cookie, CookieAddr, Copier, Descriptor, DescriptorState,
    DeviceClass, DringData, DringReg, DringState, EXTENDED_BYTES, Envelope, Extension, LEAD, LdcId,
    LinkEvent, MINOR_LSO, MapEntry, MapPerms, Mte, OPTION_TX, OUTSIDE, Rdx, Stype, Tag, Type, Ver,
    Version, World, XFER_DRING, XFER_DRING_BIT, frame, mac, port_conf, switch_conf,
};
use crate::cost::Cost;
use crate::memory::{Arena, Block};
use crate::service::vsw::Switch;
use crate::service::vsw::offload::test::tcp4;
use crate::testing::{BASE, Board};
use sun4v::addr::Ra;
use sun4v::ldc::LDC_SET_MAP_TABLE;
use sun4v::native::Ports;
use sun4v::vio::vnet::{self, Mcast};
use sun4v::vio::{self};
use zerocopy::{FromZeros, IntoBytes};

const OWN: [u8; 6] = super::OWN;
/// Pages of the ring and of one buffer.
const RING_PAGES: u64 = 4;
const BUFFER_PAGES: u64 = 9;
const BUFFERS: u32 = 12;

/// A message in words.
fn words(bytes: &[u8]) -> String {
    let tag: Tag = vio::read(bytes).unwrap();
    let (kind, stype, envelope) = tag.parts().unwrap();
    let head = format!("{kind:?}/{stype:?}/{envelope:?} sid={:x}", tag.sid.get());
    let rest = match envelope {
        Envelope::Ver => {
            let ver: Ver = vio::read(bytes).unwrap();
            format!("{}.{} class={}", ver.major, ver.minor, ver.class)
        }
        Envelope::Attr => {
            let a: Attr = vio::read(bytes).unwrap();
            format!(
                "xfer={} addr={:012x} mtu={} physlink={} options={} cflags={} lso={}",
                a.xfer_mode, a.addr, a.mtu, a.physlink_update, a.options, a.cflags, a.lso_maxlen
            )
        }
        Envelope::DringReg => {
            let r: DringReg = vio::read(bytes).unwrap();
            format!(
                "ident={} {}x{} options={} cookies={} {:x}+{:x}",
                r.ident,
                r.num_desc,
                r.desc_size,
                r.options,
                r.ncookies,
                r.cookie.addr,
                r.cookie.size
            )
        }
        Envelope::Dring => {
            let d: DringData = vio::read(bytes).unwrap();
            format!("seq={} ident={} {}..{} state={}", d.seq, d.ident, d.start, d.end, d.state)
        }
        Envelope::Mcast => {
            let m: Mcast = vio::read(bytes).unwrap();
            format!("set={} count={}", m.set, m.count)
        }
        _ => format!("{} bytes", bytes.len()),
    };
    format!("{head} {rest}")
}

/// What every driver has: a channel, a ring of its own and what it has heard.
struct Device {
    channel: Channel,
    copier: Copier,
    ring: Block,
    buffers: Block,
    size: u32,
    said: Vec<String>,
    received: Vec<Vec<u8>>,
}

impl Device {
    fn new(board: &mut Board) -> Self {
        let mut arena = Arena::new(Ra(BASE), 0x40_0000);
        let table = arena.alloc(128 * 16).unwrap();
        let ring = arena.alloc(RING_PAGES * 0x2000).unwrap();
        let buffers = arena.alloc(u64::from(BUFFERS) * BUFFER_PAGES * 0x2000).unwrap();
        let copier = Copier::new(&mut arena).unwrap();
        let ports = &mut board.ports(1);
        for n in 0..RING_PAGES + u64::from(BUFFERS) * BUFFER_PAGES {
            let page = match n.checked_sub(RING_PAGES) {
                None => ring.at(n * 0x2000),
                Some(n) => buffers.at(n * 0x2000),
            };
            let mte = Mte::page(page, MapPerms::CR | MapPerms::CW);
            let entry = MapEntry { mte: mte.0.into(), revoke: 0.into() };
            ports.write(table.at(16 * n), entry.as_bytes());
        }
        ports.hcall(LDC_SET_MAP_TABLE, [1, table.ra.0, 128, 0, 0]).unwrap();
        let conf = ChannelConf { id: LdcId(1), tx_ino: 2, rx_ino: 3 };
        let channel = Channel::connect(ports, &mut arena, conf, 1).unwrap();
        let (said, received) = (Vec::new(), Vec::new());
        Self { channel, copier, ring, buffers, size: 48, said, received }
    }

    fn say(&mut self, board: &mut Board, bytes: &[u8]) {
        self.said.push(format!("> {}", words(bytes)));
        assert!(self.channel.send(&mut board.ports(1), bytes));
    }

    fn at(&self, index: u32) -> Ra {
        self.ring.at(u64::from(index) * u64::from(self.size))
    }

    fn state(&self, board: &mut Board, index: u32) -> u8 {
        let mut byte = [0];
        board.ports(1).read(self.at(index), &mut byte);
        byte[0]
    }

    fn set_state(&self, board: &mut Board, index: u32, state: DescriptorState) {
        board.ports(1).write(self.at(index), &[state.code()]);
    }

    /// Fills a descriptor: `cookie` bytes are lent, or what the frame needs.
    fn fill(
        &self,
        board: &mut Board,
        index: u32,
        frame: &[u8],
        extension: Extension,
        cookie: Option<u64>,
    ) {
        let page = u64::from(index % BUFFERS) * BUFFER_PAGES;
        let ports = &mut board.ports(1);
        ports.write(self.buffers.at(page * 0x2000 + LEAD as u64), frame);
        let nbytes = frame.len().max(60) as u32;
        let mut descriptor = Descriptor::new_zeroed();
        descriptor.state = DescriptorState::Ready.code();
        (descriptor.nbytes, descriptor.ncookies) = (nbytes.into(), 1.into());
        let lent = cookie.unwrap_or_else(|| vnet::copy_bytes(nbytes));
        descriptor.cookies[0] = Cookie::new(CookieAddr::new(RING_PAGES + page, 0), lent);
        let bytes = [descriptor.as_bytes(), extension.as_bytes()].concat();
        ports.write(self.at(index), &bytes[..self.size as usize]);
    }
}

/// Linux 6.1. What `hs_state` and `dr_state` are there is here by its name.
struct Linux {
    device: Device,
    /// `ver_table`, of major 1.
    minors: Vec<u16>,
    ver: Option<u16>,
    got_attr: bool,
    sent_dreg: bool,
    rxreg: Option<(Cookie, u32, u32)>,
    txreg: bool,
    sent_rdx: bool,
    got_rdx_ack: bool,
    sent_rdx_ack: bool,
    local_sid: u32,
    peer_sid: u32,
    rmtu: u64,
    tso: bool,
    tsolen: u16,
    rx_ident: u64,
    tx_ident: u64,
    rcv_nxt: u64,
    /// Of the receiving ring, whose acknowledgements count too, and of the sending one.
    snd_nxt: [u64; 2],
    prod: u32,
    cons: u32,
    start_cons: bool,
    resets: u32,
}

const LINUX_RING: u32 = 512;

impl Linux {
    fn new(board: &mut Board, minors: &[u16]) -> Self {
        Self {
            device: Device::new(board),
            minors: minors.to_vec(),
            ver: None,
            got_attr: false,
            sent_dreg: false,
            rxreg: None,
            txreg: false,
            sent_rdx: false,
            got_rdx_ack: false,
            sent_rdx_ack: false,
            local_sid: 0x1000,
            peer_sid: 0,
            rmtu: 0,
            tso: true,
            tsolen: 0,
            rx_ident: 0,
            tx_ident: 0,
            rcv_nxt: 0,
            snd_nxt: [0; 2],
            prod: 0,
            cons: 0,
            start_cons: true,
            resets: 0,
        }
    }

    const fn is_up(&self) -> bool {
        self.got_rdx_ack || self.sent_rdx_ack
    }

    fn minor(&self) -> u16 {
        self.ver.unwrap()
    }

    fn send_version(&mut self, board: &mut Board) {
        self.local_sid += 1;
        let version = Version { major: 1, minor: self.minors[0] };
        let ver = Ver::new(Stype::Info, self.local_sid, version, DeviceClass::Network);
        self.device.say(board, ver.as_bytes());
    }

    fn send_attr(&mut self, board: &mut Board) {
        let minor = self.minor();
        // The ring is made here.
        self.device.size = if minor >= MINOR_LSO { 56 } else { 48 };
        for index in 0..LINUX_RING {
            self.device.set_state(board, index, DescriptorState::Free);
        }
        (self.prod, self.cons, self.start_cons) = (0, 0, true);
        let mode = if minor < 2 { XFER_DRING } else { XFER_DRING_BIT };
        let mtu = match minor {
            0..3 => 1514,
            3 => 1518,
            _ => {
                self.rmtu = if self.rmtu == 0 { 65_553 } else { self.rmtu.min(65_553) };
                self.rmtu
            }
        };
        let mut attr = Attr::new(Stype::Info, self.local_sid, mode, mac(1), mtu);
        if minor >= 6 {
            attr.options = OPTION_TX as u8;
        }
        if minor >= MINOR_LSO && self.tso {
            attr.cflags = CFLAG_LSO.into();
            if self.tsolen == 0 {
                self.tsolen = 65_535;
            }
            attr.lso_maxlen = self.tsolen.into();
        }
        self.device.say(board, attr.as_bytes());
    }

    fn handle_attr_info(&mut self, board: &mut Board, bytes: &[u8]) {
        let minor = self.minor();
        let mut attr: Attr = vio::read(bytes).unwrap();
        attr.tag.sid = self.local_sid.into();
        let local = match minor {
            0..3 => 1514,
            3 => 1518,
            _ => {
                let own = if self.rmtu == 0 { 65_553 } else { self.rmtu };
                let local = attr.mtu.get().min(own);
                attr.mtu = local.into();
                local
            }
        };
        self.rmtu = local;
        self.tso &= minor >= MINOR_LSO && attr.cflags.get() & CFLAG_LSO != 0;
        if self.tso {
            if self.tsolen == 0 {
                self.tsolen = 65_535;
            }
            self.tsolen = self.tsolen.min(attr.lso_maxlen.get());
            self.tso = self.tsolen >= 2048;
        }
        if !self.tso {
            self.tsolen = 0;
            attr.cflags = (attr.cflags.get() & !CFLAG_LSO).into();
        }
        attr.lso_maxlen = self.tsolen.into();
        if minor >= 6 {
            (attr.xfer_mode, attr.options) = (XFER_DRING_BIT, OPTION_TX as u8);
        }
        assert!(attr.addr_type == 1 && attr.mtu.get() == local, "Linux refuses ATTR");
        attr.tag.stype = Stype::Ack.code();
        self.device.say(board, attr.as_bytes());
    }

    fn service(&mut self, board: &mut Board) {
        for event in self.device.channel.service(&mut board.ports(1)) {
            match event {
                LinkEvent::Up => {
                    self.device.said.push("  link up".to_owned());
                    self.send_version(board);
                }
                LinkEvent::Down => {
                    self.device.said.push("  link down".to_owned());
                    self.resets += 1;
                    (self.ver, self.got_attr, self.sent_dreg) = (None, false, false);
                    (self.rxreg, self.txreg) = (None, false);
                    (self.sent_rdx, self.got_rdx_ack, self.sent_rdx_ack) = (false, false, false);
                    (self.rmtu, self.tso, self.tsolen) = (0, true, 0);
                }
                LinkEvent::Message(bytes) => self.message(board, &bytes),
            }
        }
    }

    fn message(&mut self, board: &mut Board, bytes: &[u8]) {
        self.device.said.push(format!("< {}", words(bytes)));
        let tag: Tag = vio::read(bytes).unwrap();
        let (kind, stype, envelope) = tag.parts().unwrap();
        if (stype, envelope) == (Stype::Info, Envelope::Ver) {
            self.peer_sid = tag.sid.get();
        }
        assert_eq!(tag.sid.get(), self.peer_sid, "Linux drops a message of another session");
        if kind == Type::Data {
            return match stype {
                Stype::Info => self.receive(board, &vio::read(bytes).unwrap()),
                Stype::Ack => self.acked(board, &vio::read(bytes).unwrap()),
                Stype::Nack => panic!("Linux ignores this, and its ring stands still"),
            };
        }
        let was = [self.sent_rdx_ack, self.got_rdx_ack];
        match (envelope, stype) {
            (Envelope::Mcast, stype) => assert_eq!(stype, Stype::Ack),
            (Envelope::Ver, Stype::Info) => {
                let mut ver: Ver = vio::read(bytes).unwrap();
                assert_eq!(ver.major.get(), 1);
                ver.minor = ver.minor.get().min(self.minors[0]).into();
                self.ver = Some(ver.minor.get());
                (ver.tag.stype, ver.tag.sid) = (Stype::Ack.code(), self.local_sid.into());
                self.device.say(board, ver.as_bytes());
            }
            (Envelope::Ver, Stype::Ack) => {
                let ver: Ver = vio::read(bytes).unwrap();
                let minor = *self.ver.get_or_insert(ver.minor.get());
                assert_eq!(minor, ver.minor.get(), "Linux gives up");
                self.send_attr(board);
            }
            (Envelope::Attr, Stype::Info | Stype::Ack) => {
                assert!(self.ver.is_some() && !self.sent_rdx, "Linux gives up");
                if stype == Stype::Info {
                    self.handle_attr_info(board, bytes);
                }
                self.got_attr = true;
                if !self.sent_dreg {
                    self.sent_dreg = true;
                    let (sid, size) = (self.local_sid, self.device.size);
                    let at = CookieAddr::new(0, 0);
                    let reg = DringReg::new(sid, LINUX_RING, size, OPTION_TX, at);
                    self.device.say(board, reg.as_bytes());
                }
            }
            (Envelope::DringReg, Stype::Info) => {
                let mut reg: DringReg = vio::read(bytes).unwrap();
                assert!(self.rxreg.is_none() && !self.sent_rdx, "Linux gives up");
                if self.minor() >= 6 {
                    assert!(reg.options.get() & OPTION_TX != 0, "Linux refuses the ring");
                    reg.options = OPTION_TX.into();
                }
                if self.minor() >= MINOR_LSO {
                    assert!(reg.desc_size.get() >= 56, "Linux reads behind the descriptor");
                }
                self.rxreg = Some((reg.cookie, reg.num_desc.get(), reg.desc_size.get()));
                self.rx_ident += 1;
                reg.ident = self.rx_ident.into();
                (reg.tag.stype, reg.tag.sid) = (Stype::Ack.code(), self.local_sid.into());
                self.device.say(board, reg.as_bytes());
            }
            (Envelope::DringReg, Stype::Ack) => {
                self.tx_ident = vio::read::<DringReg>(bytes).unwrap().ident.get();
                self.txreg = true;
                assert!(self.rxreg.is_some(), "Linux will not say that it is ready");
                self.sent_rdx = true;
                let rdx = Rdx::new(Stype::Info, self.local_sid);
                self.device.say(board, rdx.as_bytes());
            }
            (Envelope::Rdx, Stype::Info) => {
                assert!(self.txreg && self.rxreg.is_some(), "Linux gives up");
                self.device.say(board, Rdx::new(Stype::Ack, self.local_sid).as_bytes());
                self.sent_rdx_ack = true;
            }
            (Envelope::Rdx, Stype::Ack) => {
                assert!(self.sent_rdx, "Linux gives up");
                self.got_rdx_ack = true;
            }
            _ => panic!("Linux gives up"),
        }
        // `handshake_complete`, at each half.
        if was != [self.sent_rdx_ack, self.got_rdx_ack] {
            (self.rcv_nxt, self.snd_nxt) = (1, [1; 2]);
        }
    }

    fn receive(&mut self, board: &mut Board, info: &DringData) {
        assert!(self.is_up());
        assert_eq!(info.seq.get(), self.rcv_nxt, "Linux: RX out of sequence");
        self.rcv_nxt += 1;
        let (cookie, slots, size) = self.rxreg.unwrap();
        let mut at = info.start.get();
        let next = |at: u32| (at + 1) % slots;
        let prev = |at: u32| (at + slots - 1) % slots;
        let end = match u32::try_from(info.end.get()) {
            Ok(end) => next(end),
            Err(_) => prev(at),
        };
        let (mut first, mut last) = (None, prev(at));
        let longest = u64::from(self.tsolen).max(self.rmtu);
        let ports = &mut board.ports(1);
        while at != end {
            let place = sun4v::vio::dring::descriptor(&cookie, at, size).unwrap();
            let mut bytes = [0; EXTENDED_BYTES];
            let bytes = &mut bytes[..size as usize];
            self.device.copier.copy_in(ports, LdcId(1), &[place], bytes).unwrap();
            let descriptor: Descriptor = vio::read(bytes).unwrap();
            if descriptor.state != DescriptorState::Ready.code() {
                break;
            }
            let nbytes = descriptor.nbytes.get();
            let fits = (60..=longest).contains(&u64::from(nbytes));
            assert!(fits, "Linux drops a frame of {nbytes} bytes");
            let mut data = vec![0; vnet::copy_bytes(nbytes) as usize];
            let cookies = &descriptor.cookies[..descriptor.ncookies.get() as usize];
            self.device.copier.copy_in(ports, LdcId(1), cookies, &mut data).unwrap();
            self.device.received.push(data[LEAD..][..nbytes as usize].to_vec());
            bytes[0] = DescriptorState::Done.code();
            self.device.copier.copy_out(ports, LdcId(1), &[place], bytes).unwrap();
            first.get_or_insert(at);
            (last, at) = (at, next(at));
        }
        let mut ack = DringData::info(
            self.local_sid,
            self.snd_nxt[0],
            self.rx_ident,
            first.unwrap_or(last),
            last as i32,
        );
        (ack.tag.stype, ack.state) = (Stype::Ack.code(), DringState::Stopped.code());
        self.snd_nxt[0] += 1;
        self.device.say(board, ack.as_bytes());
    }

    fn trigger(&mut self, board: &mut Board) {
        let info = DringData::info(self.local_sid, self.snd_nxt[1], self.tx_ident, self.cons, -1);
        self.snd_nxt[1] += 1;
        self.device.say(board, info.as_bytes());
        self.start_cons = false;
    }

    fn acked(&mut self, board: &mut Board, ack: &DringData) {
        let end = ack.end.get() as u32;
        let pending = (end + LINUX_RING - self.cons) % LINUX_RING;
        if pending >= (self.prod + LINUX_RING - self.cons) % LINUX_RING {
            return;
        }
        self.cons = (end + 1) % LINUX_RING;
        let ready = self.device.state(board, self.cons) == DescriptorState::Ready.code();
        self.start_cons = true;
        if ready {
            self.trigger(board);
        }
    }

    fn transmit(&mut self, board: &mut Board, frame: &[u8]) {
        assert!(self.is_up());
        let (at, oldest) = (self.prod, self.prod + LINUX_RING - BUFFERS);
        if self.device.state(board, oldest % LINUX_RING) == DescriptorState::Ready.code() {
            panic!("the model has too few buffers");
        }
        let mss = if frame.len() > 1514 { 1448 } else { 0 };
        let flags = if mss > 0 { Extension::LSO } else { 0 };
        let extension = Extension { flags, mss: mss.into(), ..Extension::default() };
        assert!(mss == 0 || (self.tso && frame.len() <= usize::from(self.tsolen)));
        // Linux lends up to eight bytes more than it needs.
        let blen = (frame.len().max(60) + LEAD) as u64;
        self.device.fill(board, at, frame, extension, Some(blen + 8 - (blen & 7)));
        self.prod = (self.prod + 1) % LINUX_RING;
        if self.start_cons {
            self.trigger(board);
        }
    }
}

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

/// The switch with one port, whose guest is not of [`World`]'s kind.
fn rig() -> World {
    let mut board = Board::new(2, 0x40_0000);
    board.join((0, 10), (1, 1));
    let mut arena = Arena::new(Ra(BASE), 0x40_0000);
    let copier = Copier::new(&mut arena).unwrap();
    let guest_copier = Copier::new(&mut Arena::new(Ra(BASE + 0x20_0000), 0x2000)).unwrap();
    let switch = Switch::new(OWN, Some(0), switch_conf());
    let cost = Cost::default();
    let mut world = World { board, arena, copier, cost, switch, guests: Vec::new(), guest_copier };
    world.attach_one();
    world
}

impl World {
    fn attach_one(&mut self) {
        self.act(|switch, host| switch.attach(host, 0, port_conf(0)).unwrap());
    }

    fn run_with(&mut self, mut service: impl FnMut(&mut Board)) {
        loop {
            let mut quiet = true;
            while let Some(mondo) = self.board.domains[0].mondos.pop_front() {
                self.act(|switch, host| switch.mondo(host, mondo[0]));
                quiet = false;
            }
            while self.board.domains[1].mondos.pop_front().is_some() {
                service(&mut self.board);
                quiet = false;
            }
            if quiet {
                break;
            }
        }
    }
}

fn linux(minors: &[u16]) -> String {
    let mut world = rig();
    let mut linux = Linux::new(&mut world.board, minors);
    world.run_with(|board| linux.service(board));
    assert!(linux.sent_rdx_ack && linux.got_rdx_ack && world.switch.is_up(0));
    world.left();
    linux.device.said.push("  three frames out, and two in".to_owned());
    let out: Vec<_> = (0..3).map(|n| frame(OUTSIDE, mac(1), 60 + n, n as u8)).collect();
    out.iter().for_each(|frame| linux.transmit(&mut world.board, frame));
    world.run_with(|board| linux.service(board));
    assert_eq!(world.left(), out);
    for n in 0..2 {
        let short = frame(mac(1), OUTSIDE, 42, n);
        world.act(|switch, host| switch.from_uplink(host, short));
    }
    world.run_with(|board| linux.service(board));
    assert_eq!(linux.device.received.len(), 2);
    if linux.tso {
        linux.device.said.push("  long TCP out".to_owned());
        let mut long = tcp4(&[7; 60_000], 0x18);
        long[..6].copy_from_slice(&OUTSIDE);
        linux.transmit(&mut world.board, &long);
        world.run_with(|board| linux.service(board));
        assert_eq!(world.left().len(), 60_000_usize.div_ceil(1448));
    }
    // The switch begins again; so does Linux, with rings of its own.
    linux.device.said.push("  another switch".to_owned());
    let before = linux.device.said.len();
    world.act(|switch, host| switch.detach(host, 0));
    world.run_with(|board| linux.service(board));
    world.attach_one();
    world.run_with(|board| linux.service(board));
    assert!(linux.is_up() && world.switch.is_up(0) && linux.resets == 1);
    world.left();
    let again = frame(OUTSIDE, mac(1), 99, 9);
    linux.transmit(&mut world.board, &again);
    world.run_with(|board| linux.service(board));
    assert_eq!(world.left(), [again]);
    linux.device.said.truncate(before + 3);
    linux.device.said.join("\n")
}

#[test]
fn linux_and_the_switch_talk_1_8() {
    insta::assert_snapshot!("linux-1.8", linux(&[8, 7, 6, 0]));
}

#[test]
fn linux_and_the_switch_talk_1_6() {
    insta::assert_snapshot!("linux-1.6", linux(&[6, 0]));
}

#[test]
fn linux_and_the_switch_talk_1_0() {
    insta::assert_snapshot!("linux-1.0", linux(&[0]));
}

#[test]
fn linux_sends_more_than_a_run_and_is_told_where_it_ended() {
    let mut world = rig();
    let mut linux = Linux::new(&mut world.board, &[8]);
    world.run_with(|board| linux.service(board));
    world.left();
    // One buffer for all: only the descriptors count here.
    for n in 0..400_u32 {
        let data = frame(OUTSIDE, mac(1), 60, 7);
        linux.device.fill(&mut world.board, n, &data, Extension::default(), None);
        linux.prod = n + 1;
    }
    linux.trigger(&mut world.board);
    world.run_with(|board| linux.service(board));
    assert_eq!((world.left().len(), linux.cons), (400, 400));
    assert!(linux.start_cons);
}

#[test]
fn linux_that_counts_from_one_again_after_its_first_message_is_understood() {
    let mut world = rig();
    let mut linux = Linux::new(&mut world.board, &[8]);
    world.run_with(|board| linux.service(board));
    world.left();
    let data = frame(OUTSIDE, mac(1), 60, 7);
    for _ in 0..2 {
        linux.transmit(&mut world.board, &data);
        world.run_with(|board| linux.service(board));
        linux.snd_nxt[1] = 1;
    }
    assert_eq!((world.left().len(), linux.resets), (2, 0));
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
