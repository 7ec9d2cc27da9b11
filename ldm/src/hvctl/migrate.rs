//! [`migrate::port::Hv`](crate::migrate::port::Hv) as commands of hvctl.
//!
//! [`Calls`] stays for as long as requests are out; [`Calls::on`] joins it with the
//! session for the time of one call of the migration. What comes from the session
//! goes to [`Calls::event`] first; then [`Calls::take`] gives the answers, in the
//! order of the requests.
//!
//! **Shapes.** Real addresses become page numbers over all the guest's memory, which
//! [`Calls::describe`] has told. A list of pages lies in a block of the domain's own
//! memory from the request until the hypervisor's reply, so several requests may be
//! out.
//!
//! **Errors.** Texts for people. A request that cannot be put into a command (an
//! address outside the guest's memory, too many pages, no memory for the list) is
//! answered like the others, in its turn, and never sent.

use super::{Command, Event, Hvctl};
use crate::memory::{Arena, Block};
use crate::migrate::Refusal;
use crate::migrate::pages::{PageMap, Stretch};
use crate::migrate::port::{HV_PAGES_MAX, Hv, HvReply, HvRequest, Tag};
use std::collections::{BTreeMap, VecDeque};
use sun4v::addr::Ra;
use sun4v::hvctl::migrate::{Buffer, Pages, Request};
use sun4v::hvctl::{Body, Detail, Op, Reply, Request as Message, Status};
use sun4v::id::GuestId;
use sun4v::native::Ports;

/// A request that was not taken yet.
#[derive(Debug)]
enum Call {
    /// At the hypervisor; its list, if it has one.
    Out(Tag, Command, Option<Block>),
    /// Answered.
    Done(Tag, Result<HvReply, String>),
}

/// Requests about guests, and what is known of those guests.
#[derive(Debug, Default)]
pub struct Calls {
    memory: BTreeMap<GuestId, PageMap>,
    calls: VecDeque<Call>,
    tags: u64,
}

impl Calls {
    /// Tells where a guest's memory is, ascending; requests about its pages fail
    /// before.
    ///
    /// # Errors
    /// Stretches that cannot be a guest's memory; nothing changes.
    pub fn describe(&mut self, guest: GuestId, memory: &[Stretch]) -> Result<(), Refusal> {
        self.memory.insert(guest, PageMap::new(memory)?);
        Ok(())
    }

    /// Is no request out, and no answer waiting to be taken?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The hypervisor, as a migration reaches it. Lists lie in `arena`.
    pub fn on<'a>(&'a mut self, hvctl: &'a mut dyn Hvctl, arena: &'a mut Arena) -> MigrateHv<'a> {
        MigrateHv { calls: self, hvctl, arena }
    }

    /// Takes the answer to one of these requests; false when the event is not one.
    pub fn event(&mut self, arena: &mut Arena, event: &Event) -> bool {
        let Event::Reply(command, reply) = event else { return false };
        let ours = |call: &&mut Call| matches!(call, Call::Out(_, own, _) if own == command);
        let Some(call) = self.calls.iter_mut().find(ours) else { return false };
        let answered = match call {
            Call::Out(tag, _, list) => {
                if let Some(list) = list.take() {
                    arena.free(list);
                }
                Call::Done(*tag, answer(reply))
            }
            Call::Done(..) => return false,
        };
        *call = answered;
        true
    }

    /// The next answer, once everything before it is answered.
    pub fn take(&mut self) -> Option<(Tag, Result<HvReply, String>)> {
        match self.calls.pop_front()? {
            Call::Done(tag, result) => Some((tag, result)),
            out @ Call::Out(..) => {
                self.calls.push_front(out);
                None
            }
        }
    }

    fn map(&self, guest: GuestId) -> Result<&PageMap, String> {
        self.memory.get(&guest).ok_or_else(|| format!("guest {guest}: its memory is not known"))
    }

    fn page(&self, guest: GuestId, ra: Ra) -> Result<u32, String> {
        let map = self.map(guest)?;
        map.index(ra).ok_or_else(|| format!("guest {guest} has no page at {ra}"))
    }

    /// The bytes of a list.
    fn list(&self, guest: GuestId, pages: &[Ra]) -> Result<Vec<u8>, String> {
        if pages.len() > HV_PAGES_MAX {
            return Err(format!("{} pages in one request", pages.len()));
        }
        let mut bytes = Vec::with_capacity(4 * pages.len());
        for &ra in pages {
            bytes.extend_from_slice(&self.page(guest, ra)?.to_be_bytes());
        }
        Ok(bytes)
    }
}

/// What a reply means.
fn answer(reply: &Reply) -> Result<HvReply, String> {
    match (reply.status, reply.body) {
        (Status::Ok, Body::Migrate { value, .. }) if reply.op == Op::StateOut => {
            Ok(HvReply::State { bytes: value })
        }
        (Status::Ok, Body::Migrate { value, .. }) if reply.op == Op::Hold => {
            Ok(HvReply::Held { inside: value })
        }
        (Status::Ok, _) => Ok(HvReply::Done),
        (_, Body::Migrate { code, .. })
            if reply.op == Op::Resume && Detail::from_code(code) == Some(Detail::NotInState) =>
        {
            Ok(HvReply::NotSuspended)
        }
        (status, Body::Migrate { code, .. }) if code != 0 => {
            let detail = Detail::from_code(code)
                .map_or_else(|| format!("{code:#x}"), |detail| format!("{detail:?}"));
            Err(format!("hypervisor: {:?}: {status} ({detail})", reply.op))
        }
        (status, _) => Err(format!("hypervisor: {:?}: {status}", reply.op)),
    }
}

/// See [`Calls::on`].
pub struct MigrateHv<'a> {
    calls: &'a mut Calls,
    hvctl: &'a mut dyn Hvctl,
    arena: &'a mut Arena,
}

impl MigrateHv<'_> {
    /// The command for a request, and its list.
    fn command(
        &mut self,
        ports: &mut dyn Ports,
        request: &HvRequest,
    ) -> Result<(Request, Option<Block>), String> {
        let plain = match *request {
            HvRequest::PagesOut { guest, ref pages, buffer } => {
                let (pages, list) = self.pages(ports, guest, pages, buffer)?;
                return Ok((Request::PagesOut(pages), Some(list)));
            }
            HvRequest::PagesIn { guest, ref pages, buffer } => {
                let (pages, list) = self.pages(ports, guest, pages, buffer)?;
                return Ok((Request::PagesIn(pages), Some(list)));
            }
            HvRequest::PagesZero { guest, ref pages } => {
                let (pages, list) = self.pages(ports, guest, pages, Ra(0))?;
                return Ok((Request::PagesZero(pages), Some(list)));
            }
            HvRequest::DirtyRead { guest, first, pages, buffer } => {
                let first = self.calls.page(guest, first)?;
                if first % 8 != 0 {
                    return Err(format!("a dirty map from page {first} on, no multiple of eight"));
                }
                let bytes = pages.div_ceil(64) * 8;
                Request::DirtyRead { first, map: map_of(guest, buffer, bytes) }
            }
            HvRequest::Hold { guest, percent } => {
                Request::Hold { guest: guest.0.into(), percent: percent.into() }
            }
            HvRequest::LogStart(guest) => Request::LogStart(guest.0.into()),
            HvRequest::LogStop(guest) => Request::LogStop(guest.0.into()),
            HvRequest::Suspend(guest) => Request::Suspend(guest.0.into()),
            HvRequest::Resume(guest) => Request::Resume(guest.0.into()),
            HvRequest::StateOut { guest, buffer, bytes } => {
                Request::StateOut(map_of(guest, buffer, bytes))
            }
            HvRequest::StateIn { guest, buffer, bytes } => {
                Request::StateIn(map_of(guest, buffer, bytes))
            }
        };
        Ok((plain, None))
    }

    fn pages(
        &mut self,
        ports: &mut dyn Ports,
        guest: GuestId,
        pages: &[Ra],
        buffer: Ra,
    ) -> Result<(Pages, Block), String> {
        let bytes = self.calls.list(guest, pages)?;
        let list = self.arena.alloc(bytes.len() as u64).ok_or("no memory for a list of pages")?;
        ports.write(list.ra, &bytes);
        let count = pages.len() as u32;
        Ok((Pages { guest: guest.0.into(), list: list.ra, count, buffer }, list))
    }
}

fn map_of(guest: GuestId, buffer: Ra, bytes: u64) -> Buffer {
    Buffer { guest: guest.0.into(), buffer, bytes }
}

impl Hv for MigrateHv<'_> {
    fn request(&mut self, ports: &mut dyn Ports, request: HvRequest) -> Tag {
        self.calls.tags += 1;
        let tag = Tag(self.calls.tags);
        let call = match self.command(ports, &request) {
            Ok((command, list)) => {
                let command = self.hvctl.request(ports, Message::Migrate(command));
                Call::Out(tag, command, list)
            }
            Err(why) => Call::Done(tag, Err(why)),
        };
        self.calls.calls.push_back(call);
        tag
    }
}
