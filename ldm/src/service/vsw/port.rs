//! A port: a channel to one guest's virtual network device, the two halves of its
//! session, and the rings of both directions.

use super::frame::{BROADCAST, HEADER, Mac};
use super::ring::{DESCRIPTORS, LONGEST, TxRing};
use crate::channel::{Channel, ChannelConf, LinkEvent, OpenError};
use crate::service::host::Host;
use crate::service::ring::Ring;
use std::collections::{BTreeSet, VecDeque};
use sun4v::hcall::HvError;
use sun4v::ldc::{Stype, Version};
use sun4v::vio::dring::{
    self, DESC_HEADER_BYTES, DringState, OPTION_TX, XFER_DRING, XFER_DRING_BIT,
};
use sun4v::vio::tag::{self, CONTROL_BYTES};
use sun4v::vio::vnet::{
    self, ADDR_MAC, Attr, DESC_COOKIES, DESCRIPTOR_BYTES, FIRST_SEQ, LEAD, MTU_V1_0, MTU_V1_3,
    Mcast,
};
use sun4v::vio::{
    self, DescriptorState, DeviceClass, DringData, DringReg, Envelope, Rdx, Tag, Type, Ver,
};
use zerocopy::IntoBytes;

/// The minor version that the switch has.
const MINOR: u16 = 6;
/// Frames that wait for a full ring; more are dropped.
const BACKLOG: usize = 256;
/// Bytes before the frame in a message that carries one (`PKT_DATA`).
const PACKET_HEADER: usize = 16;
/// Multicast groups of one guest.
const GROUPS: usize = 64;

/// A port, from the control domain's machine description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchPortConf {
    /// What to call it in the log, such as `vsw-port 0`.
    pub name: String,
    /// The channel to the guest.
    pub channel: ChannelConf,
    /// The guest's address (`remote-mac-address`).
    pub mac: Mac,
}

/// What a port hands to the switch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PortEvent {
    /// The session is complete.
    Up,
    /// It is over.
    Down,
    /// A frame from the guest.
    Frame(Vec<u8>),
}

#[derive(Debug, Default)]
struct Session {
    /// Ours.
    sid: u32,
    /// The guest's, once it has proposed a version.
    peer_sid: Option<u32>,
    minor: u16,
    mtu: u64,
    ver: Halves,
    attr: Halves,
    ring: Halves,
    rdx: Halves,
    /// The guest's ring.
    peer_ring: Option<Ring>,
    peer_seq: Option<u64>,
    /// What the guest calls our ring.
    ident: u64,
    seq: u64,
    /// The guest looks into our ring by itself.
    active: bool,
}

/// Both directions of one step of the handshake.
#[derive(Clone, Copy, Debug, Default)]
struct Halves {
    sent: bool,
    /// The guest has agreed to ours.
    acked: bool,
    /// We have agreed to the guest's.
    agreed: bool,
}

impl Halves {
    const fn done(self) -> bool {
        self.acked && self.agreed
    }
}

#[derive(Debug)]
pub(super) struct SwitchPort {
    conf: SwitchPortConf,
    mac: Mac,
    channel: Channel,
    tx: TxRing,
    session: Session,
    backlog: VecDeque<Vec<u8>>,
    groups: BTreeSet<Mac>,
    next_ident: u64,
    sids: u32,
    held: bool,
}

impl SwitchPort {
    pub(super) fn open(
        host: &mut Host<'_>,
        key: u64,
        conf: SwitchPortConf,
    ) -> Result<Self, OpenError> {
        let id = conf.channel.id;
        let mut channel = Channel::open(host.ports, host.arena, conf.channel, key)?;
        let tx = match TxRing::new(host, id) {
            Some(Ok(tx)) => tx,
            failed => {
                channel.close(host.ports, host.arena);
                return Err(match failed {
                    Some(Err(error)) => OpenError::Refused(id, error),
                    _ => OpenError::NoMemory(id),
                });
            }
        };
        channel.flush(host.ports);
        Ok(Self {
            mac: conf.mac,
            conf,
            channel,
            tx,
            session: Session::default(),
            backlog: VecDeque::new(),
            groups: BTreeSet::new(),
            next_ident: 1,
            sids: key as u32,
            held: false,
        })
    }

    pub(super) fn close(self, host: &mut Host<'_>) {
        self.channel.close(host.ports, host.arena);
        self.tx.free(host.arena);
    }

    pub(super) const fn conf(&self) -> &SwitchPortConf {
        &self.conf
    }

    pub(super) const fn mac(&self) -> Mac {
        self.mac
    }

    pub(super) const fn is_up(&self) -> bool {
        self.session.rdx.done()
    }

    pub(super) fn is_blocked(&self) -> bool {
        !self.held && self.channel.is_blocked()
    }

    pub(super) fn flush(&mut self, host: &mut Host<'_>) {
        if !self.held {
            self.channel.flush(host.ports);
        }
    }

    pub(super) fn wants(&self, group: Mac) -> bool {
        group == BROADCAST || self.groups.contains(&group)
    }

    /// Lets the guest alone. Frames that it has not taken come back.
    pub(super) fn hold(&mut self, host: &mut Host<'_>) -> Vec<Vec<u8>> {
        self.held = true;
        if !self.is_up() {
            return Vec::new();
        }
        let mut frames = self.tx.take_back(host.ports);
        self.session.active = false;
        frames.extend(self.backlog.drain(..));
        frames
    }

    pub(super) fn release(&mut self, host: &mut Host<'_>) -> Vec<PortEvent> {
        self.held = false;
        self.service(host)
    }

    /// Handles the port's mondo.
    pub(super) fn service(&mut self, host: &mut Host<'_>) -> Vec<PortEvent> {
        let mut events = Vec::new();
        if self.held {
            return events;
        }
        host.ports.charge(host.cost.mondo);
        for event in self.channel.service(host.ports) {
            match event {
                LinkEvent::Up => self.begin(host),
                LinkEvent::Down => self.forget(host, &mut events),
                LinkEvent::Message(bytes) => {
                    host.ports.charge(host.cost.message);
                    if !self.message(host, &bytes, &mut events) {
                        self.refuse(host, &bytes);
                        self.forget(host, &mut events);
                        self.channel.reset(host.ports);
                        break;
                    }
                }
            }
        }
        events
    }

    fn forget(&mut self, host: &mut Host<'_>, events: &mut Vec<PortEvent>) {
        if self.is_up() {
            events.push(PortEvent::Down);
        }
        self.session = Session::default();
        self.backlog.clear();
        self.groups.clear();
        self.tx.clear(host.ports);
    }

    fn begin(&mut self, host: &mut Host<'_>) {
        self.tx.clear(host.ports);
        self.sids = self.sids.wrapping_add(0x10001);
        let sid = self.sids;
        self.session = Session { sid, minor: MINOR, ..Session::default() };
        self.propose(host, Version { major: 1, minor: MINOR });
    }

    fn propose(&mut self, host: &mut Host<'_>, version: Version) {
        self.session.ver.sent = true;
        let class = DeviceClass::NetworkSwitch;
        self.say(host, Ver::new(Stype::Info, self.session.sid, version, class).as_bytes());
    }

    fn say(&mut self, host: &mut Host<'_>, bytes: &[u8]) {
        host.ports.charge(host.cost.message);
        self.channel.send(host.ports, bytes);
    }

    /// Sends a message of the guest's back, as agreed or refused.
    fn answer(&mut self, host: &mut Host<'_>, stype: Stype, message: &[u8]) {
        let mut bytes = message.to_vec();
        let sid = self.session.sid.to_be_bytes();
        if bytes.len() >= 8 {
            bytes[1] = stype.code();
            bytes[4..8].copy_from_slice(&sid);
        }
        self.say(host, &bytes);
    }

    fn refuse(&mut self, host: &mut Host<'_>, bytes: &[u8]) {
        let shown = &bytes[..bytes.len().min(16)];
        host.ports.log(format!("{}: refused message {shown:02x?}", self.conf.name));
        self.answer(host, Stype::Nack, bytes);
    }

    /// One message; false when it breaks the session.
    fn message(&mut self, host: &mut Host<'_>, bytes: &[u8], events: &mut Vec<PortEvent>) -> bool {
        let Some(tag) = vio::read::<Tag>(bytes) else { return false };
        let Some((kind, stype, envelope)) = tag.parts() else { return false };
        if envelope != Envelope::Ver
            && self.session.peer_sid.is_some_and(|sid| sid != tag.sid.get())
        {
            return false;
        }
        if kind == Type::Ctrl && envelope != Envelope::DringReg && bytes.len() != CONTROL_BYTES {
            return false;
        }
        let was_up = self.is_up();
        let sound = match (kind, envelope, stype) {
            (Type::Ctrl, Envelope::Ver, _) => self.version(host, stype, bytes, events),
            (Type::Ctrl, Envelope::Attr, _) => self.attributes(host, stype, bytes),
            (Type::Ctrl, Envelope::DringReg, _) => self.register(host, stype, bytes),
            (Type::Ctrl, Envelope::DringUnreg, _) => false,
            (Type::Ctrl, Envelope::Rdx, Stype::Info) => {
                let ready = self.session.ring.agreed;
                if ready {
                    self.session.rdx.agreed = true;
                    self.answer(host, Stype::Ack, bytes);
                }
                ready
            }
            (Type::Ctrl, Envelope::Rdx, Stype::Ack) => {
                self.session.rdx.acked = self.session.rdx.sent;
                self.session.rdx.sent
            }
            (Type::Ctrl, Envelope::Mcast, Stype::Info) => self.multicast(host, bytes),
            (Type::Ctrl, Envelope::PhysLink, _) => true,
            (Type::Data, Envelope::Dring, Stype::Info) if was_up => {
                self.frames(host, bytes, events)
            }
            (Type::Data, Envelope::Dring, Stype::Ack) if was_up => self.taken(host, bytes),
            (Type::Data, Envelope::Packet, Stype::Info) if was_up => {
                if let Some(frame) = bytes.get(PACKET_HEADER..) {
                    events.push(PortEvent::Frame(frame.to_vec()));
                }
                true
            }
            _ => false,
        };
        if sound {
            self.advance(host);
            if !was_up && self.is_up() {
                events.push(PortEvent::Up);
            }
        }
        sound
    }

    /// Begins our half of the next step once both halves of the last are done.
    fn advance(&mut self, host: &mut Host<'_>) {
        let Session { sid, minor, ver, attr, ring, rdx, .. } = self.session;
        if ver.done() && !attr.sent {
            self.session.attr.sent = true;
            self.session.mtu = own_mtu(minor);
            let mode = if minor >= 2 { XFER_DRING_BIT } else { XFER_DRING };
            let mut ask = Attr::new(Stype::Info, sid, mode, self.conf.mac, own_mtu(minor));
            if minor >= 6 {
                ask.options = OPTION_TX as u8;
            }
            self.say(host, ask.as_bytes());
        }
        if attr.done() && !ring.sent {
            self.session.ring.sent = true;
            let options = if minor >= 6 { OPTION_TX } else { 0 };
            let size = DESCRIPTOR_BYTES as u32;
            let reg = DringReg::new(sid, DESCRIPTORS, size, options, TxRing::cookie());
            self.say(host, reg.as_bytes());
        }
        if ring.done() && !rdx.sent {
            self.session.rdx.sent = true;
            self.say(host, Rdx::new(Stype::Info, sid).as_bytes());
        }
    }

    fn version(
        &mut self,
        host: &mut Host<'_>,
        stype: Stype,
        bytes: &[u8],
        events: &mut Vec<PortEvent>,
    ) -> bool {
        let Some(ver) = vio::read::<Ver>(bytes) else { return false };
        match stype {
            Stype::Info => {
                if self.session.ver.agreed {
                    // The guest begins anew.
                    self.forget(host, events);
                    self.begin(host);
                }
                let class = DeviceClass::from_code(ver.class);
                if !matches!(class, Some(DeviceClass::Network | DeviceClass::NetworkSwitch)) {
                    return false;
                }
                let (stype, version) = match tag::agree(ver.version(), MINOR) {
                    Ok(version) => {
                        self.session.peer_sid = Some(ver.tag.sid.get());
                        self.session.minor = self.session.minor.min(version.minor);
                        self.session.ver.agreed = true;
                        (Stype::Ack, version)
                    }
                    Err(version) => (Stype::Nack, version),
                };
                let class = DeviceClass::NetworkSwitch;
                self.say(host, Ver::new(stype, self.session.sid, version, class).as_bytes());
                true
            }
            Stype::Ack => {
                self.session.minor = self.session.minor.min(ver.minor.get());
                self.session.ver.acked = self.session.ver.sent;
                ver.major.get() == 1 && self.session.ver.sent
            }
            Stype::Nack => {
                let offered = ver.version();
                if offered.major == 1 && offered.minor < self.session.minor {
                    self.session.minor = offered.minor;
                    self.propose(host, offered);
                    return true;
                }
                false
            }
        }
    }

    fn attributes(&mut self, host: &mut Host<'_>, stype: Stype, bytes: &[u8]) -> bool {
        let Some(mut attr) = vio::read::<Attr>(bytes) else { return false };
        let minor = self.session.minor;
        let dring = if minor >= 2 {
            attr.xfer_mode & XFER_DRING_BIT != 0
        } else {
            attr.xfer_mode == XFER_DRING
        };
        let own = own_mtu(minor);
        let mtu = attr.mtu.get();
        let mtu_fits = if minor >= 4 { mtu >= vnet::MIN_FRAME as u64 } else { mtu == own };
        match stype {
            Stype::Info => {
                if !self.session.ver.agreed
                    || !dring
                    || !mtu_fits
                    || attr.addr_type != ADDR_MAC
                    || (minor >= 6 && attr.options & OPTION_TX as u8 == 0)
                {
                    return false;
                }
                let mac = vnet::mac_from_u64(attr.addr.get());
                if super::frame::is_multicast(mac) {
                    return false;
                }
                self.mac = mac;
                self.session.attr.agreed = true;
                attr.mtu = mtu.min(own).into();
                self.session.mtu = mtu.min(own);
                attr.physlink_update = 0;
                if minor >= 6 {
                    attr.options = OPTION_TX as u8;
                }
                self.answer(host, Stype::Ack, attr.as_bytes());
                true
            }
            Stype::Ack => {
                self.session.attr.acked = self.session.attr.sent;
                self.session.mtu = self.session.mtu.min(mtu.max(vnet::MIN_FRAME as u64));
                self.session.attr.sent
            }
            Stype::Nack => false,
        }
    }

    fn register(&mut self, host: &mut Host<'_>, stype: Stype, bytes: &[u8]) -> bool {
        let Some(mut reg) = vio::read::<DringReg>(bytes) else { return false };
        match stype {
            Stype::Info => {
                let ident = self.next_ident;
                let smallest = (DESC_COOKIES + 16) as u32;
                let options = self.session.minor < 6 || reg.options.get() & OPTION_TX != 0;
                let Some(ring) = Ring::of(&reg, ident, smallest) else { return false };
                if !self.session.attr.agreed || !options || self.session.ring.agreed {
                    return false;
                }
                self.next_ident += 1;
                self.session.peer_ring = Some(ring);
                self.session.ring.agreed = true;
                reg.ident = ident.into();
                self.answer(host, Stype::Ack, reg.as_bytes());
                true
            }
            Stype::Ack => {
                self.session.ring.acked = self.session.ring.sent;
                self.session.ident = reg.ident.get();
                self.session.seq = FIRST_SEQ;
                self.session.ring.sent
            }
            Stype::Nack => false,
        }
    }

    fn multicast(&mut self, host: &mut Host<'_>, bytes: &[u8]) -> bool {
        let Some(message) = vio::read::<Mcast>(bytes) else { return false };
        let Some(groups) = message.addrs.get(..usize::from(message.count)) else { return false };
        if !self.is_up() || !groups.iter().all(|group| super::frame::is_multicast(*group)) {
            return false;
        }
        for group in groups {
            if message.set == 0 {
                self.groups.remove(group);
            } else if self.groups.len() < GROUPS {
                self.groups.insert(*group);
            }
        }
        self.answer(host, Stype::Ack, bytes);
        true
    }

    /// The guest has put frames into its ring.
    fn frames(&mut self, host: &mut Host<'_>, bytes: &[u8], events: &mut Vec<PortEvent>) -> bool {
        let (Some(info), Some(ring)) = (vio::read::<DringData>(bytes), self.session.peer_ring)
        else {
            return false;
        };
        let seq = info.seq.get();
        let start = info.start.get();
        if info.ident.get() != ring.ident
            || start >= ring.num_desc
            || self.session.peer_seq.is_some_and(|next| next != seq)
        {
            return false;
        }
        self.session.peer_seq = Some(seq.wrapping_add(1));
        let sid = self.session.sid;
        let before = |index: u32| (index + ring.num_desc - 1) % ring.num_desc;
        let (mut last, mut any) = (before(start), false);
        for n in 0..ring.num_desc {
            let index = (start + n) % ring.num_desc;
            match self.frame(host, &ring, index) {
                Ok(None) => break,
                Ok(Some(Taken { frame, ack })) => {
                    any = true;
                    events.extend(frame.map(PortEvent::Frame));
                    last = index;
                    if ack {
                        let end = index as i32;
                        let ack = info.answer(Stype::Ack, sid, index, end, DringState::Active);
                        self.say(host, ack.as_bytes());
                    }
                }
                Err(error) => {
                    host.ports.log(format!("{}: descriptor {index}: {error}", self.conf.name));
                    return false;
                }
            }
            if i32::try_from(index) == Ok(info.end.get()) {
                break;
            }
        }
        let start = if any { start } else { last };
        let stopped = info.answer(Stype::Ack, sid, start, last as i32, DringState::Stopped);
        self.say(host, stopped.as_bytes());
        true
    }

    /// Takes one frame out of the guest's ring, if its descriptor is READY.
    fn frame(
        &mut self,
        host: &mut Host<'_>,
        ring: &Ring,
        index: u32,
    ) -> Result<Option<Taken>, HvError> {
        let channel = self.channel.id();
        let at = dring::descriptor(&ring.cookie, index, ring.desc_size).ok_or(HvError::NoMap)?;
        let mut bytes = vec![0; ring.desc_size as usize];
        host.copier.copy_in(host.ports, channel, &[at], &mut bytes)?;
        if bytes[0] & 0xf != DescriptorState::Ready.code() {
            return Ok(None);
        }
        host.ports.charge(host.cost.frame);
        let word = |at: usize| {
            let word: Result<[u8; 4], _> = bytes[at..at + 4].try_into();
            word.map_or(0, u32::from_be_bytes)
        };
        let (nbytes, ncookies) = (word(8), word(12));
        let fits = (HEADER as u64..=self.session.mtu).contains(&u64::from(nbytes));
        let mut frame = None;
        if fits {
            let mut data = vec![0; vnet::copy_bytes(nbytes) as usize];
            host.ports.charge(host.cost.copy(data.len() as u64));
            let cookies = dring::cookies(&bytes[DESC_COOKIES..], ncookies);
            // A buffer that cannot be read loses its frame, not the session.
            if host.copier.copy_in(host.ports, channel, &cookies, &mut data).is_ok() {
                frame = Some(data[LEAD..LEAD + nbytes as usize].to_vec());
            }
        }
        let ack = bytes[1] != 0;
        bytes[0] = DescriptorState::Done.code();
        host.copier.copy_out(host.ports, channel, &[at], &bytes[..DESC_HEADER_BYTES])?;
        Ok(Some(Taken { frame, ack }))
    }

    /// The guest has taken frames out of our ring.
    fn taken(&mut self, host: &mut Host<'_>, bytes: &[u8]) -> bool {
        let Some(ack) = vio::read::<DringData>(bytes) else { return false };
        if ack.ident.get() != self.session.ident {
            return false;
        }
        if ack.state == DringState::Stopped.code() {
            self.session.active = false;
        }
        self.tx.reclaim(host.ports);
        while let Some(frame) = self.backlog.front()
            && self.tx.put(host.ports, frame).is_some()
        {
            self.backlog.pop_front();
        }
        self.wake(host);
        true
    }

    /// Tells the guest that there are frames, if it does not look by itself.
    fn wake(&mut self, host: &mut Host<'_>) {
        if self.session.active {
            return;
        }
        if let Some(start) = self.tx.first_ready(host.ports) {
            let Session { sid, seq, ident, .. } = self.session;
            self.session.active = true;
            self.session.seq = seq.wrapping_add(1);
            self.say(host, DringData::info(sid, seq, ident, start, -1).as_bytes());
        }
    }

    /// Sends a frame to the guest; a full ring and backlog lose it.
    pub(super) fn transmit(&mut self, host: &mut Host<'_>, frame: &[u8]) {
        if !self.is_up() || self.held || frame.len() as u64 > self.session.mtu {
            return;
        }
        host.ports.charge(host.cost.frame + host.cost.copy(frame.len() as u64));
        if !self.backlog.is_empty() || self.tx.put(host.ports, frame).is_none() {
            if self.backlog.len() < BACKLOG {
                self.backlog.push_back(frame.to_vec());
            }
            return;
        }
        self.wake(host);
    }
}

/// A frame out of a guest's ring.
struct Taken {
    /// `None` when the descriptor held none that can be forwarded.
    frame: Option<Vec<u8>>,
    /// An acknowledgement of its own is wanted.
    ack: bool,
}

/// The longest frame that we offer in a version.
const fn own_mtu(minor: u16) -> u64 {
    match minor {
        0..3 => MTU_V1_0,
        _ => MTU_V1_3,
    }
}

const _: () = assert!(LONGEST as u64 >= MTU_V1_3);
