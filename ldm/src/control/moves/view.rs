//! What an end of a migration sees of its control domain: its connection, the hypervisor,
//! the manager, volumes and networks. Each is the real one, and notes what others have to
//! know ([`Note`]).

use super::{Ends, Line, Moves, Note, Waiting};
use crate::control::journal::{Paper, Writer};
use crate::migrate::pages::Stretch;
use crate::migrate::port::{Fence, Found, Hv, HvRequest, Io, Manager, Offer, Status, Tag, Wire};
use crate::stack::Stack;
use std::collections::BTreeSet;
use sun4v::id::GuestId;
use sun4v::native::Ports;

/// What has come of an act.
pub(super) struct Connected<R> {
    pub(super) answer: R,
    /// The memory of the domain that is offered, or that is to come.
    pub(super) memory: Option<(Option<GuestId>, Vec<Stretch>)>,
    /// Domains that have left, and the manager's tags.
    pub(super) released: Vec<(String, Tag)>,
}

impl Moves {
    /// Has one end act over its connection; `None` without a network.
    pub(super) fn connected<R>(
        &mut self,
        ends: &mut Ends<'_>,
        whose: Writer,
        line: &mut Line,
        act: impl FnOnce(&mut Io<'_>) -> R,
    ) -> Option<Connected<R>> {
        let nic = self.conf.nic;
        let mut gates = Gate::of(whose, self, ends.hv);
        let mut watch = Watch::new(ends.manager);
        let mut wire = TcpWire { stack: ends.network.stack(nic)?, line, used: false };
        let answer = act(&mut Io {
            ports: ends.ports,
            wire: &mut wire,
            hv: &mut gates.hv,
            manager: &mut watch,
            cipher: ends.units,
            journal: &mut gates.paper.pen(whose),
            fence: gates.fence,
        });
        if wire.used {
            ends.network.stir(nic);
        }
        Some(Connected { answer, memory: watch.memory, released: watch.released })
    }
}

/// A connection as a migration sees it.
struct TcpWire<'a> {
    stack: &'a mut Stack,
    line: &'a mut Line,
    /// Something was done to the stack.
    used: bool,
}

impl Wire for TcpWire<'_> {
    fn send(&mut self, _: &mut dyn Ports, bytes: &[u8]) -> usize {
        let Some(socket) = self.line.socket else { return 0 };
        let sent = self.stack.tcp_send(socket, bytes);
        self.used |= sent > 0;
        self.line.full |= sent < bytes.len();
        sent
    }

    fn close(&mut self, _: &mut dyn Ports) {
        if let Some(socket) = self.line.socket.take() {
            self.stack.tcp_close(socket);
            self.used = true;
        }
        *self.line = Line::default();
    }
}

/// What of the migrations an end uses besides itself.
struct Gates<'a> {
    hv: Gate<'a>,
    fence: &'a mut Border,
    paper: &'a mut Paper,
}

/// The hypervisor as a migration sees it: what matters to services is noted.
struct Gate<'a> {
    hv: &'a mut dyn Hv,
    notes: &'a mut Vec<Note>,
    waiting: &'a mut Option<Waiting>,
    share: &'a mut Option<u8>,
    own_tags: &'a mut u64,
    /// The source's requests; none for a target.
    tags: Option<&'a mut BTreeSet<Tag>>,
}

impl<'a> Gate<'a> {
    fn of(whose: Writer, moves: &'a mut Moves, hv: &'a mut dyn Hv) -> Gates<'a> {
        let hv = Self {
            hv,
            notes: &mut moves.notes,
            waiting: &mut moves.waiting,
            share: &mut moves.share,
            own_tags: &mut moves.own_tags,
            tags: match whose {
                Writer::Source => Some(&mut moves.source_tags),
                Writer::Target => None,
            },
        };
        Gates { hv, fence: &mut moves.border, paper: &mut moves.paper }
    }
}

impl Hv for Gate<'_> {
    fn request(&mut self, ports: &mut dyn Ports, request: HvRequest) -> Tag {
        let Some(tags) = &mut self.tags else {
            if let HvRequest::Resume(guest) = request {
                self.notes.push(Note::Comes(guest));
            }
            return self.hv.request(ports, request);
        };
        if let HvRequest::Suspend(guest) = request {
            *self.own_tags += 1;
            let own = Tag(*self.own_tags);
            *self.waiting = Some(Waiting { own, guest, lull: None, stop: None, asked: None });
            self.notes.push(Note::Stopping(guest));
            tags.insert(own);
            return own;
        }
        if let HvRequest::Resume(guest) = request {
            // A suspend that still waits is not asked for any more.
            self.waiting.take_if(|waiting| waiting.asked.is_none());
            self.notes.push(Note::GoesOn(guest));
        }
        match request {
            HvRequest::LogStart(_) => *self.share = Some(0),
            HvRequest::LogStop(_) => *self.share = None,
            HvRequest::Hold { percent, .. } => *self.share = Some(percent),
            _ => {}
        }
        let tag = self.hv.request(ports, request);
        tags.insert(tag);
        tag
    }
}

/// Volumes and networks as a migration sees them: what is to be done is noted.
#[derive(Default)]
pub(super) struct Border {
    /// The number of the last claim.
    tags: u64,
    /// Served before what else is noted in the same call.
    pub(super) notes: Vec<Note>,
    /// The domain whose volumes are being claimed.
    pub(super) claiming: Option<(Tag, String)>,
}

impl Border {
    pub(super) fn is_idle(&self) -> bool {
        self.notes.is_empty() && self.claiming.is_none()
    }
}

impl Fence for Border {
    fn claim(&mut self, _: &mut dyn Ports, domain: &str, epoch: u64) -> Tag {
        self.tags += 1;
        let tag = Tag(self.tags);
        self.claiming = Some((tag, domain.to_owned()));
        self.notes.push(Note::Claim(domain.to_owned(), epoch));
        tag
    }
    fn shut(&mut self, domain: &str) {
        self.notes.push(Note::Shut(domain.to_owned()));
    }
    fn open(&mut self, domain: &str) {
        self.notes.push(Note::Open(domain.to_owned()));
    }
}

/// The manager as a migration sees it: what others must know is kept.
struct Watch<'a> {
    manager: &'a mut dyn Manager,
    /// The memory of the domain that is offered, or that is to come.
    memory: Option<(Option<GuestId>, Vec<Stretch>)>,
    /// Domains that have left, and the manager's tags.
    released: Vec<(String, Tag)>,
}

impl<'a> Watch<'a> {
    fn new(manager: &'a mut dyn Manager) -> Self {
        Self { manager, memory: None, released: Vec::new() }
    }
}

impl Manager for Watch<'_> {
    fn offer(&mut self, domain: &str) -> Result<(Offer, Option<GuestId>), String> {
        let (offer, guest) = self.manager.offer(domain)?;
        self.memory = Some((guest, offer.memory.clone()));
        Ok((offer, guest))
    }
    fn check_outgoing(&mut self, domain: &str) -> Vec<String> {
        self.manager.check_outgoing(domain)
    }
    fn look(&mut self, offer: &Offer) {
        self.manager.look(offer);
    }
    fn check_incoming(&mut self, offer: &Offer) -> Vec<String> {
        self.manager.check_incoming(offer)
    }
    fn prepare_incoming(&mut self, ports: &mut dyn Ports, offer: &Offer) -> Tag {
        self.memory = Some((None, offer.memory.clone()));
        self.manager.prepare_incoming(ports, offer)
    }
    fn discard(&mut self, ports: &mut dyn Ports, domain: &str) -> Tag {
        self.manager.discard(ports, domain)
    }
    fn activate(&mut self, ports: &mut dyn Ports, domain: &str, epoch: u64) -> Tag {
        self.manager.activate(ports, domain, epoch)
    }
    fn find(&self, domain: &str, uuid: &str) -> Option<Found> {
        self.manager.find(domain, uuid)
    }
    fn release(&mut self, ports: &mut dyn Ports, domain: &str) -> Tag {
        let tag = self.manager.release(ports, domain);
        self.released.push((domain.to_owned(), tag));
        tag
    }
    fn status(&mut self, domain: &str, status: Option<Status>) {
        self.manager.status(domain, status);
    }
}

/// What a source asks of the hypervisor, without one.
#[cfg(test)]
impl Moves {
    pub fn asks(&mut self, ends: &mut Ends<'_>, requests: &[HvRequest]) {
        for request in requests {
            Gate::of(Writer::Source, self, ends.hv).hv.request(ends.ports, request.clone());
        }
    }
}
