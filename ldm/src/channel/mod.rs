//! Logical domain channels as a native program uses them.
//!
//! [`Endpoint`] moves 64-byte packets (raw mode), [`Link`] turns packets into
//! messages (unreliable and reliable mode), [`Channel`] joins the two, [`Copier`] reaches
//! the memory that a peer lends.
//!
//! **A peer that cannot begin again.** Some take no handshake on a channel that was up
//! before: they answer it by a reset, for ever (Linux 6.1 on the channel of its domain
//! services, whose driver looks past LDC's resets). After [`STARTS_MAX`] handshakes of ours
//! that came to nothing we begin no more until the peer has been down, as it is when it
//! starts anew; one that it begins itself is answered as ever.

mod copy;
mod endpoint;
mod link;

pub use copy::Copier;
pub use endpoint::{ChannelConf, ENTRIES, Endpoint, OpenError};
pub use link::{Link, LinkEvent, MESSAGE_MAX, Next, WINDOW};

use crate::memory::Arena;
use std::collections::VecDeque;
use sun4v::id::LdcId;
use sun4v::ldc::{Kind, Mode, Packet, State};
use sun4v::native::Ports;

/// Packets that wait for a peer that does not read; more end the session.
const OUTBOX_MAX: usize = 4096;
/// Messages that wait for a peer that does not acknowledge; likewise.
const BACKLOG_MAX: usize = 256;

/// Handshakes that we begin, one after the other, with a peer that resets them.
pub const STARTS_MAX: u8 = 3;

/// A channel that carries messages.
#[derive(Debug)]
pub struct Channel {
    endpoint: Endpoint,
    link: Link,
    outbox: VecDeque<Packet>,
    /// Fragments of a message are published at once, and are acknowledged.
    reliable: bool,
    /// We begin handshakes; otherwise the peer does.
    starts: bool,
    /// Handshakes that we have begun since the link was up, or the peer down.
    begun: u8,
    /// The session ended outside [`Channel::service`], which has yet to tell.
    lost: bool,
    /// The peer had its end open when we looked last.
    peer: bool,
}

impl Channel {
    /// Opens the endpoint and waits for the peer's handshake.
    ///
    /// # Errors
    /// As [`Endpoint::open`].
    pub fn open(
        ports: &mut dyn Ports,
        arena: &mut Arena,
        conf: ChannelConf,
        cookie: u64,
    ) -> Result<Self, OpenError> {
        Self::of_mode(ports, arena, conf, cookie, Mode::Unreliable)
    }

    /// The same in a mode that carries messages.
    ///
    /// # Errors
    /// As [`Endpoint::open`].
    pub fn of_mode(
        ports: &mut dyn Ports,
        arena: &mut Arena,
        conf: ChannelConf,
        cookie: u64,
        mode: Mode,
    ) -> Result<Self, OpenError> {
        let endpoint = Endpoint::open(ports, arena, conf, cookie)?;
        Ok(Self {
            endpoint,
            link: Link::new(mode),
            outbox: VecDeque::new(),
            reliable: mode == Mode::Reliable,
            starts: false,
            begun: 0,
            lost: false,
            peer: false,
        })
    }

    /// Opens the endpoint and begins a handshake whenever the peer comes up.
    ///
    /// # Errors
    /// As [`Endpoint::open`].
    pub fn connect(
        ports: &mut dyn Ports,
        arena: &mut Arena,
        conf: ChannelConf,
        cookie: u64,
    ) -> Result<Self, OpenError> {
        let mut channel = Self::open(ports, arena, conf, cookie)?;
        channel.begin(ports);
        Ok(channel)
    }

    /// Begins a handshake, now and whenever the peer comes up again.
    pub fn begin(&mut self, ports: &mut dyn Ports) {
        self.starts = true;
        self.begun = 0;
        self.start();
        self.flush(ports);
    }

    /// Begins a handshake, if that is ours to do and there is hope.
    fn start(&mut self) {
        if self.starts && self.begun < STARTS_MAX {
            self.begun += 1;
            self.link.start(&mut self.outbox);
        }
    }

    /// Which endpoint.
    #[must_use]
    pub const fn id(&self) -> LdcId {
        self.endpoint.id()
    }

    /// May messages be sent?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }

    /// Had the peer opened its end when [`Channel::service`] looked last, whatever it says?
    #[must_use]
    pub const fn has_peer(&self) -> bool {
        self.peer
    }

    /// Does the peer's word wait to be taken by [`Channel::service`]?
    pub fn has_arrivals(&mut self, ports: &mut dyn Ports) -> bool {
        // Who cannot be asked has nothing to say.
        self.endpoint.has_arrivals(ports).unwrap_or(false)
    }

    /// Do packets wait for room? Nothing tells of room: call
    /// [`Channel::flush`] now and then.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Closes the endpoint.
    pub fn close(self, ports: &mut dyn Ports, arena: &mut Arena) {
        self.endpoint.close(ports, arena);
    }

    /// Begins anew: the peer sees RESET. The session is over.
    pub fn reset(&mut self, ports: &mut dyn Ports) {
        self.link.close();
        self.outbox.clear();
        if let Err(error) = self.endpoint.reset(ports) {
            ports.log(format!("channel {}: reset: {error}", self.id()));
        }
        self.start();
        self.flush(ports);
    }

    /// Handles the endpoint's mondo: takes what arrived and answers what the
    /// link protocol asks.
    pub fn service(&mut self, ports: &mut dyn Ports) -> Vec<LinkEvent> {
        let mut events = Vec::new();
        if std::mem::take(&mut self.lost) {
            events.push(LinkEvent::Down);
        }
        let mut packets = Vec::new();
        let state = match self.endpoint.receive(ports, &mut packets) {
            Ok(state) => state,
            Err(error) => {
                ports.log(format!("channel {}: {error}", self.id()));
                State::Down
            }
        };
        self.peer = state != State::Down;
        if state != State::Up {
            if self.link.close() {
                events.push(LinkEvent::Down);
            }
            self.outbox.clear();
            if state == State::Down {
                self.begun = 0;
            }
            self.start();
        }
        for packet in packets {
            let packet = Packet::from_bytes(packet);
            match self.link.receive(&packet, &mut self.outbox, &mut events) {
                Next::Continue => {}
                Next::Purge => break,
                Next::Reset => {
                    self.reset(ports);
                    break;
                }
            }
        }
        if self.link.is_up() {
            self.begun = 0;
        }
        self.flush(ports);
        if let Err(error) = self.endpoint.rearm(ports) {
            ports.log(format!("channel {}: {error}", self.id()));
        }
        events
    }

    /// Sends a message; false when the link is not up.
    pub fn send(&mut self, ports: &mut dyn Ports, bytes: &[u8]) -> bool {
        let sent = self.link.message(bytes, &mut self.outbox);
        self.flush(ports);
        sent
    }

    /// Sends what waits, as far as there is room. A peer that does not read for
    /// 4096 packets loses the session.
    pub fn flush(&mut self, ports: &mut dyn Ports) {
        if self.outbox.is_empty() && self.link.waiting() == 0 {
            return;
        }
        let packets = self.outbox.iter().map(|packet| packet.to_bytes());
        let reliable = self.reliable;
        let ends = |packet: &[u8; 64]| {
            let packet = Packet::from_bytes(*packet);
            !reliable || packet.kind() != Some(Kind::Data) || packet.env == 0 || packet.is_stop()
        };
        match self.endpoint.send_whole(ports, packets, ends) {
            Ok(sent) => drop(self.outbox.drain(..sent)),
            Err(error) => ports.log(format!("channel {}: {error}", self.id())),
        }
        if self.outbox.len() > OUTBOX_MAX || self.link.waiting() > BACKLOG_MAX {
            ports.log(format!("channel {}: the peer does not read", self.id()));
            self.lost = true;
            self.reset(ports);
        }
    }
}

#[cfg(test)]
mod test;
