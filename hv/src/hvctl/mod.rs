//! hvctl: what the manager tells the hypervisor, and how it answers.
//!
//! The service behind the LDC endpoint whose target is the hypervisor. The guest
//! that holds that endpoint is the control domain. Each 64-byte message of its
//! transmit queue is a command; each gets one reply, pushed into its receive queue.
//! A reply that finds no room is kept, and no further command is taken until it is
//! delivered; so nothing is lost and nothing piles up.
//!
//! **Session.** CLOSED, after `hello` CHALLENGED, after the right response OPEN.
//! `hello` is taken in any state and begins anew. A wrong sequence number, a wrong
//! response, a command without a session and an unknown operation close it.
//!
//! **Notices.** A guest's state and soft state are told when they change, once
//! each; then not again until the manager reads the item. Nothing is told of the
//! control domain itself.
//!
//! **Differences.** The original lets the control domain stop itself; here that is
//! STOP_FAILED, for the program that would wait for the outcome is the one that
//! ends. The original tells its notices to whoever is at the other end, session or not,
//! and `hello` does not forget what was told; here a manager that begins anew is told
//! everything once more.
//!
//! **Source.** The OpenSPARC hypervisor's `hvctl.c`; [`sun4v::hvctl`] for the bytes.

mod command;
mod memory;
mod migrate;
mod notice;

pub use memory::HvMemory;

use crate::Hypervisor;
use crate::platform::Machine;
use crate::reconf::Delayed;
use std::collections::{BTreeSet, VecDeque};
use sun4v::hvctl::{
    Body, MESSAGE_BYTES, Op, REPLY_OFFSET, Reply, Request, ResInfo, Status, VERSION, Version,
    challenge, response, sequence,
};
use sun4v::id::{GuestId, VcpuId};

/// What a challenge hides. The original has a constant too.
const SECRET: u64 = 0x2011_0616;

/// A message.
type Message = [u8; MESSAGE_BYTES];

/// Where a session stands; the number is that of the manager's next command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Session {
    #[default]
    Closed,
    Challenged(u16),
    Open(u16),
}

/// The service's state.
#[derive(Debug, Default)]
pub(crate) struct Service {
    session: Session,
    /// The minor version that the manager speaks, at most ours.
    minor: u16,
    /// Number of the next reply.
    number: u16,
    /// Replies and notices without room.
    waiting: VecDeque<Message>,
    /// Items that were told and not read since.
    told: BTreeSet<(GuestId, ResInfo)>,
    /// A reconfiguration that waits for an exit.
    pub(crate) delayed: Option<Delayed>,
    /// A suspend whose guest's crypto units are still at work; its reply waits.
    pub(crate) suspending: Option<GuestId>,
}

impl Service {
    /// A guest is gone.
    pub(crate) fn forget(&mut self, id: GuestId) {
        self.told.retain(|(guest, _)| *guest != id);
    }

    /// The control domain is gone: the session is over. What waits for a guest's exit,
    /// even that of the control domain itself, does not wait for the manager.
    pub(crate) fn restart(&mut self) {
        *self = Self { delayed: self.delayed.take(), ..Self::default() };
    }

    /// Does a refused delayed reconfiguration leave the pending one alone? A manager
    /// that speaks 1.0 does not promise that its MD is still there.
    pub(crate) const fn keeps_pending(&self) -> bool {
        self.minor >= 1
    }

    fn next_number(&mut self) -> u16 {
        let number = self.number;
        self.number = number.wrapping_add(1);
        number
    }

    /// A reply without payload to any operation, known or not.
    fn bare(&mut self, op: u16, status: Status) -> Message {
        let mut message = [0; MESSAGE_BYTES];
        message[..2].copy_from_slice(&op.to_be_bytes());
        message[2..4].copy_from_slice(&self.next_number().to_be_bytes());
        message[6..8].copy_from_slice(&status.code().to_be_bytes());
        message
    }

    /// The same, and the session is over.
    fn close(&mut self, op: u16, status: Status) -> Message {
        self.session = Session::Closed;
        self.bare(op, status)
    }

    fn reply(&mut self, op: Op, status: Status, body: Body) -> Message {
        Reply { seqn: self.next_number(), op, status, body }.to_bytes()
    }

    /// `hello`: the session begins anew; what was told is forgotten. Any minor version
    /// will do: the lower one is spoken.
    fn hello(&mut self, seqn: u16, version: Version) -> Message {
        let next = seqn.wrapping_add(1);
        self.number = next.wrapping_add(REPLY_OFFSET);
        self.told.clear();
        self.waiting.clear();
        if version.major != VERSION.major {
            self.session = Session::Closed;
            return self.reply(Op::Hello, Status::NotSupported, Body::Version(VERSION));
        }
        self.minor = version.minor.min(VERSION.minor);
        self.session = Session::Challenged(next);
        let body = Body::Challenge { code: challenge(SECRET), version: VERSION };
        self.reply(Op::Challenge, Status::Ok, body)
    }
}

impl Hypervisor {
    /// Serves the control domain's endpoint: delivers what waits, then takes commands.
    pub(crate) fn serve(&mut self, machine: &mut dyn Machine) {
        let Some((id, channel)) = self.control else { return };
        self.finish_suspend();
        self.deliver(machine);
        while self.service.waiting.is_empty() && self.service.suspending.is_none() {
            let end = self.guest_mut(id).and_then(|guest| guest.endpoints.get_mut(&channel));
            let Some(message) = end.and_then(|end| end.tx.pop(machine.memory())) else { return };
            let reply = self.message(&message, machine);
            self.note(&message, reply.as_ref(), machine);
            if let Some(reply) = reply {
                self.service.waiting.push_back(reply);
            }
            self.deliver(machine);
        }
    }

    /// A line of the trace for a command.
    fn note(&mut self, message: &Message, reply: Option<&Message>, machine: &dyn Machine) {
        if !self.traced {
            return;
        }
        let Some(guest) = self.control_domain().and_then(|id| self.guest_mut(id)) else { return };
        let status = reply.map_or("...".to_owned(), |reply| {
            let status = Status::from_code(u16::from_be_bytes([reply[6], reply[7]]));
            status.map_or("?".to_owned(), |status| status.to_string())
        });
        let text = match Request::parse(message) {
            Ok(request) => format!("hvctl {request:x?} = {status}"),
            Err(error) => format!("hvctl {error} = {status}"),
        };
        guest.trace.note(machine.now(), VcpuId(0), &text);
    }

    /// Moves what waits into the control domain's receive queue, as far as it has room.
    fn deliver(&mut self, machine: &mut dyn Machine) {
        let Some((id, channel)) = self.control else { return };
        if self.service.waiting.is_empty() {
            return;
        }
        let Some(guest) = self.guests.get_mut(&id).and_then(Option::as_deref_mut) else { return };
        let Some(rx) = guest.endpoints.get_mut(&channel).map(|end| &mut end.rx) else { return };
        let was_empty = rx.is_empty();
        let mut moved = false;
        while let Some(message) = self.service.waiting.front() {
            if !rx.push(machine.memory(), message) {
                break;
            }
            self.service.waiting.pop_front();
            moved = true;
        }
        if moved && was_empty {
            guest.raise_ldc(machine.cpus(id), channel);
        }
    }

    /// One message; `None` when its reply comes later.
    fn message(&mut self, bytes: &Message, machine: &mut dyn Machine) -> Option<Message> {
        let (seqn, request) = (sequence(bytes), Request::parse(bytes));
        let op = u16::from_be_bytes([bytes[0], bytes[1]]);
        let service = &mut self.service;
        if let Ok(Request::Hello(version)) = request {
            return Some(service.hello(seqn, version));
        }
        let next = match service.session {
            Session::Closed => return Some(service.close(op, Status::Auth)),
            Session::Challenged(next) | Session::Open(next) => next,
        };
        if seqn != next {
            return Some(service.close(op, Status::BadSeqn));
        }
        let after = next.wrapping_add(1);
        match (service.session, request) {
            (Session::Challenged(_), Ok(Request::Response(code)))
                if code == response(challenge(SECRET)) =>
            {
                service.session = Session::Open(after);
                Some(service.bare(op, Status::Ok))
            }
            (Session::Open(_), Ok(request)) => {
                service.session = Session::Open(after);
                self.command(request, machine)
            }
            _ => Some(service.close(op, Status::Auth)),
        }
    }
}
