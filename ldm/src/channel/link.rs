//! The link protocol in unreliable and reliable mode: handshake, sequence numbers,
//! fragments, acknowledgements.
//!
//! A pure state machine: packets in, packets and events out.
//!
//! **Handshake.** VER 1.0, RTS, RTR, RDX; either end may begin. First sequence
//! numbers are 0, so an end that sent RDX numbers its data from 2 and the other
//! from 1.
//!
//! **Reliable mode.** A packet carries 48 bytes and the number of the last packet that its
//! sender has accepted. Each message that is whole is acknowledged by a packet that has a
//! number of its own and is not acknowledged itself. At most [`WINDOW`] fragments wait for
//! theirs; messages beyond that wait uncut ([`Link::waiting`]), so that numbers follow
//! the order of sending.
//!
//! **Errors.** A packet out of sequence is refused by NACK and everything behind
//! it is dropped; whoever gets a NACK of data, or an acknowledgement of what it has not
//! sent, begins anew. Nothing that the peer sends panics or makes the machine hold more
//! than [`MESSAGE_MAX`] bytes of a message.
//!
//! **Source.** The LDC link protocol as Linux `ldc.c` and Solaris `ldc.c` speak it.

use std::collections::VecDeque;
use sun4v::ldc::packet::{RELIABLE_PAYLOAD, UNRELIABLE_PAYLOAD};
use sun4v::ldc::{Ctrl, Kind, Mode, Packet, Stype, Version};

/// Fragments that may wait for their acknowledgement: one less than entries of a queue,
/// as an end counts that keeps what it has sent there.
pub const WINDOW: usize = super::ENTRIES as usize - 1;

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
    /// Unreliable or reliable.
    mode: Mode,
    phase: Phase,
    /// Last number sent.
    sent: u32,
    /// Last number accepted.
    accepted: u32,
    /// A message's fragments so far, and the number of the first.
    partial: Option<(u32, Vec<u8>)>,
    /// Fragments that were sent and are not acknowledged, by number; reliable mode.
    unacked: VecDeque<u32>,
    /// The last number that was acknowledged.
    acked: u32,
    /// Messages that wait for acknowledgements of those before.
    backlog: VecDeque<Vec<u8>>,
}

impl Default for Link {
    fn default() -> Self {
        Self::new(Mode::Unreliable)
    }
}

impl Link {
    /// A link that waits for its peer.
    #[must_use]
    pub const fn new(mode: Mode) -> Self {
        Self {
            mode,
            phase: Phase::Closed,
            sent: 0,
            accepted: 0,
            partial: None,
            unacked: VecDeque::new(),
            acked: 0,
            backlog: VecDeque::new(),
        }
    }

    /// Messages that wait for acknowledgements of those before.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// May messages be sent?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// Back to the beginning; true when the link was up.
    pub fn close(&mut self) -> bool {
        let was_up = self.is_up();
        *self = Self::new(self.mode);
        was_up
    }

    /// Begins the handshake.
    pub fn start(&mut self, out: &mut VecDeque<Packet>) {
        *self = Self::new(self.mode);
        self.phase = Phase::Proposed;
        out.push_back(Packet::version(Stype::Info, Version::V1_0));
    }

    /// Cuts a message into packets; false when the link is not up, or the message is
    /// longer than a peer takes in reliable mode.
    pub fn message(&mut self, bytes: &[u8], out: &mut VecDeque<Packet>) -> bool {
        if !self.is_up() {
            return false;
        }
        if self.mode == Mode::Reliable {
            if bytes.len() > MESSAGE_MAX {
                return false;
            }
            self.backlog.push_back(bytes.to_vec());
            self.cut(out);
            return true;
        }
        let last = bytes.len().saturating_sub(1) / UNRELIABLE_PAYLOAD;
        for (n, piece) in bytes.chunks(UNRELIABLE_PAYLOAD).enumerate() {
            self.sent = self.sent.wrapping_add(1);
            out.push_back(Packet::fragment(self.sent, piece, n == 0, n == last));
        }
        true
    }

    /// Cuts messages that wait, as far as the window has room for whole ones.
    fn cut(&mut self, out: &mut VecDeque<Packet>) {
        while let Some(bytes) = self.backlog.front() {
            let pieces = bytes.len().div_ceil(RELIABLE_PAYLOAD);
            if self.unacked.len() + pieces > WINDOW {
                return;
            }
            let Some(bytes) = self.backlog.pop_front() else { return };
            for (n, piece) in bytes.chunks(RELIABLE_PAYLOAD).enumerate() {
                self.sent = self.sent.wrapping_add(1);
                self.unacked.push_back(self.sent);
                let (start, stop) = (n == 0, n + 1 == pieces);
                out.push_back(Packet::reliable(self.sent, self.accepted, piece, start, stop));
            }
        }
    }

    /// The peer has accepted everything up to `ackid`; false when it cannot have.
    fn acknowledged(&mut self, ackid: u32) -> bool {
        let (upto, all) = (ackid.wrapping_sub(self.acked), self.sent.wrapping_sub(self.acked));
        if upto > all {
            return false;
        }
        let acked = self.acked;
        while self.unacked.front().is_some_and(|number| number.wrapping_sub(acked) <= upto) {
            self.unacked.pop_front();
        }
        self.acked = ackid;
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
                out.push_back(Packet::ready(Ctrl::Rts, self.mode, 0));
            }
            (Some(Ctrl::Ver), Stype::Nack, Phase::Proposed) => return self.fail(events),
            (Some(Ctrl::Rts), Stype::Info, Phase::Agreed { .. } | Phase::Proposed) => {
                if packet.mode() != Some(self.mode) {
                    out.push_back(Packet::nack(packet, 0, 0));
                    return self.fail(events);
                }
                let rts = self.phase == Phase::Agreed { rts: true };
                self.accepted = packet.seqid.get();
                self.phase = Phase::Ready { rts };
                out.push_back(Packet::ready(Ctrl::Rtr, self.mode, 0));
            }
            (Some(Ctrl::Rtr), Stype::Info, Phase::Agreed { rts: true }) => {
                if packet.mode() != Some(self.mode) {
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
        let reliable = self.mode == Mode::Reliable;
        if stype == Stype::Ack {
            if reliable && !self.acknowledged(packet.ackid()) {
                return self.fail(events);
            }
            self.cut(out);
            return Next::Continue;
        }
        if packet.is_start() {
            self.partial = Some((seqid, Vec::new()));
        }
        let Some((_, message)) = &mut self.partial else {
            return Next::Continue;
        };
        let data = if reliable { packet.reliable_data() } else { packet.data() };
        if message.len() + data.len() > MESSAGE_MAX {
            return self.fail(events);
        }
        message.extend_from_slice(data);
        if packet.is_stop()
            && let Some((_, message)) = self.partial.take()
        {
            events.push(LinkEvent::Message(message));
            if reliable {
                self.sent = self.sent.wrapping_add(1);
                out.push_back(Packet::ack(self.sent, seqid));
            }
        }
        Next::Continue
    }
}

#[cfg(test)]
mod test;
