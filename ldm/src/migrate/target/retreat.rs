//! A migration that comes to nothing here: the source is told, and the shell goes.

use super::super::codec::Message;
use super::super::journal::State;
use super::super::pages::PAGE;
use super::super::port::{HV_PAGES_MAX, HvRequest, Io};
use super::{Stage, Target};
use sun4v::id::GuestId;
use sun4v::time::SimTime;

/// How fast the memory of a shell that goes is filled with zeros: the 500 GB of a
/// cancelled migration took seven minutes.
pub const SCRUB_BYTES_A_SECOND: u64 = 500_000_000_000 / 420;

impl Target {
    /// Tells the source, and takes the shell apart.
    pub(super) fn fail(&mut self, io: &mut Io<'_>, why: &str) {
        if self.connected {
            self.say(io, Message::Abort(why.to_owned()));
            self.link.close_when_sent(io);
        }
        self.fail_quietly(io, why);
    }

    pub(super) fn fail_quietly(&mut self, io: &mut Io<'_>, why: &str) {
        if self.stage == Stage::Here || self.is_off() {
            return;
        }
        let name = self.name();
        if self.offer.is_some() && !(self.check_only && self.stage == Stage::Go) {
            io.ports.log(format!("migration of {name} from {} is off: {why}", self.peer()));
        }
        self.arriver.stop(io);
        if self.offer.is_some() {
            io.manager.status(&name, None);
        }
        if self.journaled {
            self.record(io, State::Discarded);
        } else {
            self.stage = Stage::Gone;
        }
    }

    /// The shell goes, if there is one.
    pub(super) fn clear(&mut self, io: &mut Io<'_>) {
        if !self.shell {
            return self.record(io, State::Gone);
        }
        if self.guest == GuestId::default() {
            self.scrubbed = self.map.len();
        }
        self.stage = Stage::Scrub(None);
        self.step_due = io.ports.now();
        io.ports.set_timer(self.step_due, self.timer);
    }

    pub(super) fn scrub(&mut self, io: &mut Io<'_>) {
        let end = self.map.len().min(self.scrubbed + HV_PAGES_MAX as u32);
        let pages: Vec<_> = (self.scrubbed..end).filter_map(|page| self.map.ra(page)).collect();
        if pages.is_empty() {
            self.shell = false;
            let name = self.name();
            self.stage = Stage::Discard(io.manager.discard(io.ports, &name));
            return;
        }
        self.scrubbed = end;
        let took = SimTime::of_ticks((pages.len() * PAGE) as u64, SCRUB_BYTES_A_SECOND);
        self.step_due = io.ports.now().plus(took);
        let request = HvRequest::PagesZero { guest: self.guest, pages };
        self.stage = Stage::Scrub(Some(io.hv.request(io.ports, request)));
    }
}
