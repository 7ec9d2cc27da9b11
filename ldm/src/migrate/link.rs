//! One end of a connection: messages in, sealed records out, and back.

use super::Refusal;
use super::codec::{Frames, Hello, Plain};
use super::in_order::InOrder;
use super::port::{Io, Ticket};
use super::seal::{self, Keys};
use std::collections::{BTreeMap, VecDeque};

/// Records being opened beyond which arriving bytes wait.
const OPENING_MAX: usize = 64;

/// What arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The other end's first frame.
    Hello(Hello),
    /// Something under seal.
    Plain(Plain),
    /// The end: nothing comes behind it. [`Link::reset`] makes the link new.
    Closed,
}

/// One end.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// Keys to seal with and to open with, once both nonces are known.
    keys: Option<(Keys, Keys)>,
    greeted: bool,
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
}

impl Link {
    /// Sends the first frame.
    pub fn hello(&mut self, io: &mut Io<'_>, hello: &Hello) {
        self.queue(hello.to_frame());
        self.flush(io);
    }

    /// Both nonces are known.
    pub fn set_keys(&mut self, seal: Keys, open: Keys) {
        self.keys = Some((seal, open));
    }

    /// Are they?
    pub fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Seals and sends. Without keys nothing is sent: there is nobody to tell.
    pub fn send(&mut self, io: &mut Io<'_>, plain: &Plain) {
        let Some((keys, _)) = &self.keys else { return };
        let ticket = io.cipher.seal(io.ports, keys, self.next_out, plain.to_bytes());
        self.sealing.insert(ticket, self.next_out);
        self.next_out += 1;
    }

    /// Bytes that wait for the wire, and records that wait for the cipher.
    pub fn backlog(&self) -> (usize, usize) {
        (self.outbox_bytes, self.sealing.len() + self.sealed.waiting())
    }

    /// Takes in bytes from the wire.
    pub fn put(&mut self, bytes: &[u8]) {
        self.frames.put(bytes);
    }

    /// The wire is gone. What arrived before is still handed out.
    pub fn ended(&mut self) {
        self.ended = true;
    }

    /// Collects what the cipher has done and moves what can move. Call it after
    /// anything has happened, until it gives `None`.
    pub fn pop(&mut self, io: &mut Io<'_>) -> Result<Option<Arrival>, Refusal> {
        collect(io, &mut self.sealing, |number, result| {
            // Sealing has no way to fail.
            self.sealed.put(number, result.unwrap_or_default());
        });
        while let Some(record) = self.sealed.pop() {
            self.sealed_bytes += record.len() as u64;
            self.queue(record);
        }
        self.flush(io);

        while self.opening.len() < OPENING_MAX && (self.keys.is_some() || !self.greeted) {
            let Some(frame) = self.frames.pop()? else { break };
            let Some((_, keys)) = &self.keys else {
                self.greeted = true;
                return Hello::from_frame(&frame).map(|hello| Some(Arrival::Hello(hello)));
            };
            seal::check(self.next_in, &frame)?;
            self.opened_bytes += frame.len() as u64;
            let ticket = io.cipher.open(io.ports, keys, self.next_in, frame);
            self.opening.insert(ticket, self.next_in);
            self.next_in += 1;
        }
        collect(io, &mut self.opening, |number, result| self.opened.put(number, result));
        match self.opened.pop() {
            Some(plain) => Plain::from_bytes(&plain?).map(|plain| Some(Arrival::Plain(plain))),
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
