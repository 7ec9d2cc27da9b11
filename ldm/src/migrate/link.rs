//! One end of a connection: messages in, sealed records out, and back.

use super::Refusal;
use super::codec::{FRAME_BYTES_MAX, Frames, Plain};
use super::handshake::{GREETING_BYTES_MAX, Handshake, Met, Own};
use super::in_order::InOrder;
use super::port::{Io, Ticket};
use super::seal::{self, Keys, RECORDS_MAX, Text};
use std::collections::{BTreeMap, VecDeque};

/// Records being opened beyond which arriving bytes wait.
const OPENING_MAX: usize = 64;

/// What arrived.
#[derive(Debug)]
pub enum Arrival {
    /// The other end has proved that it knows the password; from here on all is under
    /// seal.
    Met(Met),
    /// Something under seal.
    Plain(Plain),
    /// The end: nothing comes behind it. [`Link::reset`] makes the link new.
    Closed,
}

/// One end.
#[derive(Clone, Debug, Default)]
pub struct Link {
    handshake: Handshake,
    /// Keys to seal with and to open with, once the ends have met.
    keys: Option<(Keys, Keys)>,
    frames: Frames,
    sealed: InOrder<Vec<u8>>,
    sealing: BTreeMap<Ticket, u64>,
    next_out: u64,
    opened: InOrder<Result<Vec<u8>, Refusal>>,
    opening: BTreeMap<Ticket, u64>,
    next_in: u64,
    outbox: VecDeque<Vec<u8>>,
    /// Bytes of the first entry of `outbox` that were taken.
    sent_of_first: usize,
    outbox_bytes: usize,
    /// Bytes of records that were sealed here.
    pub sealed_bytes: u64,
    /// Bytes of records that were opened here.
    pub opened_bytes: u64,
    closing: bool,
    ended: bool,
    /// What arrives is not listened to.
    deaf: bool,
}

impl Link {
    /// Source: says hello over a new connection.
    pub fn call(&mut self, io: &mut Io<'_>, own: &Own, migration: [u8; 16], fresh: bool) {
        let (handshake, hello) = Handshake::call(own, migration, fresh);
        self.handshake = handshake;
        self.queue(hello);
        self.flush(io);
    }

    /// Target: waits for a hello over a new connection.
    pub fn listen(&mut self, own: Own) {
        self.handshake = Handshake::Listening(own);
    }

    /// Have the ends met?
    pub fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Host name of a source that has said hello and not proved that it knows the
    /// password.
    pub fn stranger(&self) -> Option<&str> {
        self.handshake.stranger()
    }

    /// A frame of the handshake.
    fn greeting(&mut self, io: &mut Io<'_>, frame: &[u8]) -> Result<Option<Met>, Refusal> {
        let source = matches!(self.handshake, Handshake::Called(_));
        let mut reply = Vec::new();
        let met = self.handshake.frame(frame, &mut reply);
        if !reply.is_empty() {
            self.queue(reply);
            self.flush(io);
        }
        let met = met?;
        if let Some(Met { session, .. }) = &met {
            let (out, back) = (session.to_target.clone(), session.to_source.clone());
            self.keys = Some(if source { (out, back) } else { (back, out) });
        }
        Ok(met)
    }

    /// Seals and sends. Without keys nothing is sent: there is nobody to tell.
    pub fn send(&mut self, io: &mut Io<'_>, plain: Plain) {
        let Some((keys, _)) = &self.keys else { return };
        let ticket = io.cipher.seal(io.ports, keys, self.next_out, plain.into_text());
        self.sealing.insert(ticket, self.next_out);
        self.next_out += 1;
    }

    /// Bytes that wait for the wire, and records that wait for the cipher.
    pub fn backlog(&self) -> (usize, usize) {
        (self.outbox_bytes, self.sealing.len() + self.sealed.waiting())
    }

    /// Takes in bytes from the wire.
    pub fn put(&mut self, bytes: &[u8]) {
        if !self.deaf {
            self.frames.put(bytes);
        }
    }

    /// Can something be said under seal?
    pub fn can_say(&self) -> bool {
        self.has_keys() && self.next_out < RECORDS_MAX && !self.ended
    }

    /// Listens no longer; what was said still leaves.
    pub fn deafen(&mut self, io: &mut Io<'_>) {
        self.opening.keys().for_each(|ticket| io.cipher.forget(*ticket));
        self.opening.clear();
        (self.frames, self.opened) = (Frames::default(), InOrder::default());
        self.deaf = true;
    }

    /// See [`Link::deafen`].
    pub fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// The wire is gone. What arrived before is still handed out.
    pub fn ended(&mut self) {
        self.ended = true;
    }

    /// Collects what the cipher has done and moves what can move. Call it after
    /// anything has happened, until it gives `None`.
    pub fn pop(&mut self, io: &mut Io<'_>) -> Result<Option<Arrival>, Refusal> {
        if self.next_out > RECORDS_MAX {
            return Err(Refusal::Exhausted);
        }
        collect(io, &mut self.sealing, |number, result| {
            // Sealing has no way to fail.
            self.sealed.put(number, result.unwrap_or_default());
        });
        while let Some(record) = self.sealed.pop() {
            self.sealed_bytes += record.len() as u64;
            self.queue(record);
        }
        self.flush(io);
        if self.deaf {
            return Ok(self.ended.then_some(Arrival::Closed));
        }

        while self.keys.is_none() {
            let Some(frame) = self.frames.pop(GREETING_BYTES_MAX)? else { break };
            if let Some(met) = self.greeting(io, &frame)? {
                return Ok(Some(Arrival::Met(met)));
            }
        }
        while self.opening.len() < OPENING_MAX {
            let Some((_, keys)) = &self.keys else { break };
            let Some(frame) = self.frames.pop(FRAME_BYTES_MAX)? else { break };
            seal::check(self.next_in, &frame)?;
            self.opened_bytes += frame.len() as u64;
            let ticket = io.cipher.open(io.ports, keys, self.next_in, frame);
            self.opening.insert(ticket, self.next_in);
            self.next_in += 1;
        }
        collect(io, &mut self.opening, |number, result| self.opened.put(number, result));
        match self.opened.pop() {
            Some(opened) => {
                let text = Text::from_bytes(opened?).ok_or(Refusal::Malformed)?;
                Plain::from_text(text).map(|plain| Some(Arrival::Plain(plain)))
            }
            // Part of a frame may be left: nobody will ever know the rest.
            None if self.ended && self.opening.is_empty() => Ok(Some(Arrival::Closed)),
            None => Ok(None),
        }
    }

    /// Closes the wire once everything that was sent is on it.
    pub fn close_when_sent(&mut self, io: &mut Io<'_>) {
        self.closing = true;
        self.flush(io);
    }

    /// The wire is gone: everything under way is forgotten.
    pub fn reset(&mut self, io: &mut Io<'_>) {
        for ticket in self.sealing.keys().chain(self.opening.keys()) {
            io.cipher.forget(*ticket);
        }
        *self = Self {
            sealed_bytes: self.sealed_bytes,
            opened_bytes: self.opened_bytes,
            ..Self::default()
        };
    }

    fn queue(&mut self, bytes: Vec<u8>) {
        self.outbox_bytes += bytes.len();
        self.outbox.push_back(bytes);
    }

    fn flush(&mut self, io: &mut Io<'_>) {
        if self.ended {
            return;
        }
        while let Some(first) = self.outbox.front() {
            let rest = first.get(self.sent_of_first..).unwrap_or_default();
            let took = io.wire.send(io.ports, rest);
            self.outbox_bytes -= took;
            if took < rest.len() {
                self.sent_of_first += took;
                return;
            }
            self.sent_of_first = 0;
            self.outbox.pop_front();
        }
        if self.closing && self.sealing.is_empty() && self.sealed.waiting() == 0 {
            self.closing = false;
            io.wire.close(io.ports);
        }
    }
}

fn collect(
    io: &mut Io<'_>,
    tickets: &mut BTreeMap<Ticket, u64>,
    mut each: impl FnMut(u64, Result<Vec<u8>, Refusal>),
) {
    tickets.retain(|&ticket, &mut number| match io.cipher.take(ticket) {
        Some(result) => {
            each(number, result);
            false
        }
        None => true,
    });
}
