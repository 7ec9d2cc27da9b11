//! [`Session`]: hvctl over the channel whose other end is the hypervisor.
//!
//! **Session.** It says hello, answers the challenge, and is up; then commands go
//! one at a time, with rising numbers, the next when the one before was answered.
//! The hypervisor's numbers are learnt from its answers in the handshake and rise by
//! one; a message with another number answers nothing and is left out, with a line
//! in the log. Notices pass as they come.
//!
//! **Lost.** When the channel goes down or is reset, or the hypervisor answers that
//! there is no session or that a number was wrong, the command that is under way is
//! answered (by the hypervisor's own reply, or by one without a body that says
//! [`Status::Auth`], "no session": it may or may not have been carried out) and a
//! new session begins. Commands behind it were never sent; they wait for it.
//!
//! **Refused.** When the hypervisor refuses the handshake itself, every command is
//! answered so, with the status of the refusal, and nothing more is sent until the
//! next command is given, which begins anew.
//!
//! **Memory.** [`Hvctl::read`] and [`Hvctl::write`] are `ldc_copy` with a physical
//! address as cookie, through a page of the domain's own, a page at most at a time.
//! Addresses are multiples of eight. A length that is not is rounded up: a read
//! leaves the rest out, a write puts back what was there.

use super::{Command, Event, Hvctl};
use crate::channel::{ChannelConf, Endpoint, OpenError};
use crate::memory::{Arena, Block};
use std::collections::VecDeque;
use sun4v::addr::{PAGE_BYTES, Pa};
use sun4v::hcall::HvError;
use sun4v::hvctl::{
    Body, MESSAGE_BYTES, MessageError, Op, Reply, Request, Status, VERSION, response,
};
use sun4v::ldc::{COPY_IN, COPY_OUT, LDC_COPY, State};
use sun4v::native::Ports;

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The handshake was refused.
    Refused,
    /// Hello is said, or waits to be.
    Hello,
    /// The challenge is answered.
    Response,
    /// Commands are carried out.
    Up,
}

/// The manager's end.
#[derive(Debug)]
pub struct Session {
    endpoint: Endpoint,
    /// For copies to go through.
    page: Block,
    phase: Phase,
    /// Number of the next message.
    number: u16,
    /// Number of the hypervisor's next reply.
    expected: u16,
    /// A message that found no room or no peer yet.
    unsent: Option<[u8; MESSAGE_BYTES]>,
    /// The command under way.
    waiting: Option<(Command, Request)>,
    queue: VecDeque<(Command, Request)>,
    commands: u64,
}

impl Session {
    /// Opens the channel and says hello. `cookie` comes back in mondos, which are
    /// for [`Session::mondo`]. The domain has negotiated its API groups and has a
    /// device mondo queue.
    ///
    /// # Errors
    /// No memory, or no such channel; nothing is kept.
    pub fn open(
        ports: &mut dyn Ports,
        arena: &mut Arena,
        conf: ChannelConf,
        cookie: u64,
    ) -> Result<Self, OpenError> {
        let page = arena.alloc(PAGE_BYTES).ok_or(OpenError::NoMemory(conf.id))?;
        let endpoint = match Endpoint::open(ports, arena, conf, cookie) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                arena.free(page);
                return Err(error);
            }
        };
        let mut session = Self {
            endpoint,
            page,
            phase: Phase::Hello,
            number: 0,
            expected: 0,
            unsent: None,
            waiting: None,
            queue: VecDeque::new(),
            commands: 0,
        };
        session.begin(ports);
        Ok(session)
    }

    /// Are commands carried out?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// Handles the endpoint's mondo: what has come from the hypervisor.
    pub fn mondo(&mut self, ports: &mut dyn Ports) -> Vec<Event> {
        let mut events = Vec::new();
        let mut packets = Vec::new();
        let state = match self.endpoint.receive(ports, &mut packets) {
            Ok(state) => state,
            Err(error) => {
                ports.log(format!("hvctl: {error}"));
                State::Down
            }
        };
        for packet in packets {
            self.message(ports, Reply::parse(&packet), &mut events);
        }
        if state != State::Up {
            self.lose(&mut events);
            self.begin(ports);
        }
        self.flush(ports);
        self.next(ports);
        if let Err(error) = self.endpoint.rearm(ports) {
            ports.log(format!("hvctl: {error}"));
        }
        events
    }

    fn message(
        &mut self,
        ports: &mut dyn Ports,
        message: Result<Reply, MessageError>,
        events: &mut Vec<Event>,
    ) {
        let reply = match message {
            Ok(reply) => reply,
            Err(error) => {
                // It may have been the answer that is waited for.
                ports.log(format!("hvctl: {error}; the session begins anew"));
                self.lose(events);
                self.begin(ports);
                return;
            }
        };
        let asked = self.waiting.map(|(_, request)| request.op());
        match (self.phase, reply.op, reply.body) {
            (_, Op::NewResStat, _) => events.push(Event::Notice(reply)),
            (Phase::Hello, Op::Challenge, Body::Challenge { code, .. })
                if reply.status == Status::Ok =>
            {
                self.phase = Phase::Response;
                self.send(ports, Request::Response(response(code)));
            }
            (Phase::Hello, Op::Hello | Op::Challenge, _) | (Phase::Response, Op::Response, _)
                if reply.status != Status::Ok =>
            {
                self.refused(ports, &reply, events);
            }
            (Phase::Response, Op::Response, _) => {
                self.phase = Phase::Up;
                self.expected = reply.seqn.wrapping_add(1);
                events.push(Event::Up);
            }
            (Phase::Up, op, _) if asked == Some(op) && self.answers(&reply) => {
                self.expected = reply.seqn.wrapping_add(1);
                if let Some((command, _)) = self.waiting.take() {
                    events.push(Event::Reply(command, reply));
                }
                if closes(reply.status) {
                    ports.log(format!("hvctl: {}; the session begins anew", reply.status));
                    self.begin(ports);
                }
            }
            _ => ports.log(format!(
                "hvctl: reply {} to {:?} ({}), which nobody waits for",
                reply.seqn, reply.op, reply.status
            )),
        }
    }

    /// Has it the number of the answer, or does it end the session?
    fn answers(&self, reply: &Reply) -> bool {
        reply.seqn == self.expected || closes(reply.status)
    }

    fn refused(&mut self, ports: &mut dyn Ports, reply: &Reply, events: &mut Vec<Event>) {
        ports.log(format!("hvctl: the hypervisor refuses a session: {}", reply.status));
        self.phase = Phase::Refused;
        let all = self.waiting.take().into_iter().chain(self.queue.drain(..));
        events.extend(all.map(|(command, request)| unanswered(command, request, reply.status)));
    }

    /// The session is gone: answers the command that is under way, unless it was
    /// never sent.
    fn lose(&mut self, events: &mut Vec<Event>) {
        if let Some((command, request)) = self.waiting.take() {
            if self.unsent.take().is_some() {
                self.queue.push_front((command, request));
            } else {
                events.push(unanswered(command, request, Status::Auth));
            }
        }
    }

    fn begin(&mut self, ports: &mut dyn Ports) {
        self.phase = Phase::Hello;
        self.send(ports, Request::Hello(VERSION));
    }

    /// Takes the next command, when there is a session and nothing is under way.
    fn next(&mut self, ports: &mut dyn Ports) {
        if self.phase == Phase::Up
            && self.waiting.is_none()
            && let Some((command, request)) = self.queue.pop_front()
        {
            self.waiting = Some((command, request));
            self.send(ports, request);
        }
    }

    fn send(&mut self, ports: &mut dyn Ports, request: Request) {
        self.unsent = Some(request.to_bytes(self.number));
        self.number = self.number.wrapping_add(1);
        self.flush(ports);
    }

    fn flush(&mut self, ports: &mut dyn Ports) {
        match self.endpoint.send(ports, self.unsent.into_iter()) {
            Ok(0) => {}
            Ok(_) => self.unsent = None,
            Err(error) => ports.log(format!("hvctl: {error}")),
        }
    }

    /// One `ldc_copy` of at most a page: how many bytes it did, of eight or more.
    fn copy(
        &self,
        ports: &mut dyn Ports,
        direction: u64,
        pa: Pa,
        bytes: u64,
    ) -> Result<u64, HvError> {
        let channel = u64::from(self.endpoint.id().0);
        let args = [channel, direction, pa.0, self.page.ra.0, bytes];
        let [copied, ..] = ports.hcall(LDC_COPY, args)?;
        if copied == 0 { Err(HvError::Io) } else { Ok(copied.min(bytes)) }
    }
}

/// Does a reply of this status leave the hypervisor without a session?
const fn closes(status: Status) -> bool {
    matches!(status, Status::Auth | Status::BadSeqn)
}

const fn unanswered(command: Command, request: Request, status: Status) -> Event {
    Event::Reply(command, Reply::plain(request.op(), 0, status))
}

/// Bytes of the next copy of `left`: up to the end of a page, a multiple of eight.
fn piece(pa: Pa, left: u64) -> u64 {
    left.checked_next_multiple_of(8).unwrap_or(PAGE_BYTES).min(PAGE_BYTES - pa.0 % PAGE_BYTES)
}

impl Hvctl for Session {
    fn request(&mut self, ports: &mut dyn Ports, request: Request) -> Command {
        self.commands += 1;
        let command = Command(self.commands);
        self.queue.push_back((command, request));
        if self.phase == Phase::Refused {
            self.begin(ports);
        } else if self.unsent.is_some() {
            self.flush(ports);
        }
        self.next(ports);
        command
    }

    fn read(&mut self, ports: &mut dyn Ports, pa: Pa, bytes: u64) -> Result<Vec<u8>, HvError> {
        if !pa.is_aligned(8) {
            return Err(HvError::BadAlign);
        }
        // It grows as it is read: an impossible length ends at the memory's end.
        let mut all = Vec::new();
        let (mut at, mut left) = (pa, bytes);
        while left > 0 {
            let copied = self.copy(ports, COPY_IN, at, piece(at, left))?;
            let wanted = copied.min(left);
            let start = all.len();
            all.resize(start + wanted as usize, 0);
            ports.read(self.page.ra, &mut all[start..]);
            at = at.offset(copied);
            left -= wanted;
        }
        Ok(all)
    }

    fn write(&mut self, ports: &mut dyn Ports, pa: Pa, bytes: &[u8]) -> Result<(), HvError> {
        if !pa.is_aligned(8) {
            return Err(HvError::BadAlign);
        }
        let (mut at, mut rest) = (pa, bytes);
        while !rest.is_empty() {
            let length = piece(at, rest.len() as u64);
            let chunk = &rest[..rest.len().min(length as usize)];
            if chunk.len() % 8 != 0 {
                let last = length - 8;
                self.copy(ports, COPY_IN, at.offset(last), 8)?;
                let mut word = [0; 8];
                ports.read(self.page.ra, &mut word);
                ports.write(self.page.at(last), &word);
            }
            ports.write(self.page.ra, chunk);
            let copied = self.copy(ports, COPY_OUT, at, length)?;
            at = at.offset(copied);
            rest = &rest[rest.len().min(copied as usize)..];
        }
        Ok(())
    }
}
