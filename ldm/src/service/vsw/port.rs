//! A port: a channel to one guest's virtual network device, the two halves of its
//! session, and the rings of both directions.

mod conf;
mod data;
mod handshake;

pub use conf::{Counters, SwitchPortConf};

use super::frame::{BROADCAST, Frame, Mac, is_multicast};
use super::ring::TxRing;
use crate::channel::{Channel, LinkEvent, OpenError};
use crate::service::host::Host;
use data::Backlog;
use handshake::Session;
use sun4v::ldc::Stype;
use sun4v::vio::tag::CONTROL_BYTES;
use sun4v::vio::vnet::MINOR_XFER_MASK;
use sun4v::vio::{self, Envelope, Tag, Type};

/// What a port hands to the switch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PortEvent {
    /// The session is complete.
    Up,
    /// It is over.
    Down,
    /// A frame from the guest.
    Frame(Frame),
}

#[derive(Debug)]
pub(super) struct SwitchPort {
    conf: SwitchPortConf,
    channel: Channel,
    tx: TxRing,
    session: Session,
    backlog: Backlog,
    next_ident: u64,
    sids: u32,
    held: bool,
    /// Its guest is somebody else's: no frame goes either way.
    shut: bool,
    /// The switch has a physical network.
    uplinked: bool,
    /// Addresses other than the guest's own have sent through it.
    pub(super) bridges: bool,
    counters: Counters,
}

impl SwitchPort {
    pub(super) fn open(
        host: &mut Host<'_>,
        key: u64,
        conf: SwitchPortConf,
        uplinked: bool,
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
            conf,
            channel,
            tx,
            session: Session::default(),
            backlog: Backlog::default(),
            next_ident: 1,
            sids: key as u32,
            held: false,
            shut: false,
            uplinked,
            bridges: false,
            counters: Counters::default(),
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
        self.conf.mac
    }

    pub(super) const fn is_up(&self) -> bool {
        self.session.rdx.done()
    }

    pub(super) const fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn is_blocked(&self) -> bool {
        !self.rests() && (self.channel.is_blocked() || self.session.stalled)
    }

    pub(super) fn flush(&mut self, host: &mut Host<'_>) {
        if !self.rests() {
            self.channel.flush(host.ports);
            if std::mem::take(&mut self.session.stalled) {
                self.wake(host);
            }
        }
    }

    pub(super) fn wants(&self, group: Mac) -> bool {
        let joined = self.session.groups.as_ref();
        group == BROADCAST || joined.is_none_or(|groups| groups.contains(&group))
    }

    /// Lets the guest alone. Frames that it has not taken come back.
    pub(super) fn hold(&mut self, host: &mut Host<'_>) -> Vec<Frame> {
        self.held = true;
        if self.is_up() { self.take_back(host) } else { Vec::new() }
    }

    /// Nothing passes until it is opened, whether it is held or not.
    pub(super) fn shut(&mut self, shut: bool) {
        self.shut = shut;
    }

    pub(super) const fn is_shut(&self) -> bool {
        self.shut
    }

    /// Is its guest let alone?
    pub(super) const fn rests(&self) -> bool {
        self.held || self.shut
    }

    /// Lets the guest go on; true when it was held.
    pub(super) fn release(&mut self) -> bool {
        std::mem::take(&mut self.held)
    }

    /// What came over the channel, for [`SwitchPort::take`].
    pub(super) fn receive(&mut self, host: &mut Host<'_>) -> Vec<LinkEvent> {
        if self.rests() {
            return Vec::new();
        }
        host.ports.charge(host.cost.mondo);
        self.channel.service(host.ports)
    }

    /// Handles one event of the channel; false when what came behind it is void.
    pub(super) fn take(
        &mut self,
        host: &mut Host<'_>,
        event: LinkEvent,
        events: &mut Vec<PortEvent>,
    ) -> bool {
        match event {
            LinkEvent::Up => {
                self.tx.clear(host.ports, false);
                self.begin(host);
            }
            LinkEvent::Down => self.forget(host, events),
            LinkEvent::Message(bytes) => {
                host.ports.charge(host.cost.message);
                if !self.message(host, &bytes, events) {
                    self.refuse(host, &bytes);
                    self.forget(host, events);
                    self.channel.reset(host.ports);
                    return false;
                }
            }
        }
        true
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
        // OpenBSD's RDX is a tag alone.
        let any_length = matches!(envelope, Envelope::DringReg | Envelope::Rdx);
        if kind == Type::Ctrl && !any_length && bytes.len() != CONTROL_BYTES {
            return false;
        }
        let was_up = self.is_up();
        let sound = match (kind, envelope, stype) {
            (Type::Ctrl, Envelope::Ver, _) => self.version(host, stype, bytes, events),
            (Type::Ctrl, Envelope::Attr, _) => self.attributes(host, stype, bytes),
            (Type::Ctrl, Envelope::DringReg, _) => self.register(host, stype, bytes),
            (Type::Ctrl, Envelope::DringUnreg, Stype::Info) => self.unregister(host, bytes),
            (Type::Ctrl, Envelope::Rdx, _) => self.ready(host, stype, bytes),
            (Type::Ctrl, Envelope::Mcast, Stype::Info) => self.multicast(host, bytes),
            (Type::Ctrl, Envelope::DdsInfo, Stype::Info) => {
                // There is no hybrid I/O.
                self.answer(host, Stype::Nack, bytes);
                true
            }
            (Type::Ctrl, Envelope::PhysLink, _) => true,
            (Type::Data, Envelope::Dring, Stype::Info) if was_up => {
                self.frames(host, bytes, events)
            }
            (Type::Data, Envelope::Dring, Stype::Ack | Stype::Nack) if was_up => {
                self.taken(host, stype, bytes)
            }
            (Type::Data, Envelope::Packet, Stype::Info)
                if was_up && self.session.minor >= MINOR_XFER_MASK =>
            {
                self.packet(host, bytes, events)
            }
            _ => false,
        };
        if sound {
            self.advance(host);
            if !was_up && self.is_up() {
                self.came_up(host);
                events.push(PortEvent::Up);
            }
        }
        sound
    }
}
