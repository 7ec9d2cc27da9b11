//! Linux 6.1.

use super::{BUFFERS, Device, OUTSIDE, rig, words};
use crate::channel::LinkEvent;
use crate::service::vsw::offload::test::tcp4;
use crate::service::vsw::test::{frame, mac};
use crate::testing::Board;
use sun4v::id::LdcId;
use sun4v::ldc::{Cookie, CookieAddr, Stype, Version};
use sun4v::vio::dring::{DringState, OPTION_TX, XFER_DRING, XFER_DRING_BIT};
use sun4v::vio::vnet::{
    self, Attr, CFLAG_LSO, Descriptor, EXTENDED_BYTES, Extension, LEAD, MINOR_LSO,
};
use sun4v::vio::{
    self, DescriptorState, DeviceClass, DringData, DringReg, Envelope, Rdx, Tag, Type, Ver,
};
use zerocopy::IntoBytes;

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
