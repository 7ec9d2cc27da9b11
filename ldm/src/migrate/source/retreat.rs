//! A migration that comes to nothing: the domain runs here as before, at once, and whoever may
//! wait for it is told.

use super::super::journal::State;
use super::super::mutant::{self, Mutant};
use super::super::port::{HvRequest, Io};
use super::{Source, Stage};
use std::collections::BTreeSet;

impl Source {
    /// Ends a migration before the domain has left: it runs here as before, at once.
    pub(super) fn fail(&mut self, io: &mut Io<'_>, why: Vec<String>) {
        if self.commit_begun || self.is_over() {
            return;
        }
        let why = [std::mem::take(&mut self.problems), why].concat();
        let domain = self.domain();
        io.ports.log(format!(
            "migration of {domain} failed in phase {}: {}",
            self.phase.name(),
            why.join("; ")
        ));
        let mut tags = BTreeSet::new();
        // A suspend that was asked for may still come to pass, before what is asked now.
        if self.suspended_at.is_some() || matches!(self.stage, Stage::Suspend(_)) {
            tags.insert(io.hv.request(io.ports, HvRequest::Resume(self.guest)));
        }
        if self.logging {
            self.logging = false;
            tags.insert(io.hv.request(io.ports, HvRequest::LogStop(self.guest)));
        }
        self.copier.stop(io);
        self.rejoin_by = None;
        self.why = why.join("; ");
        self.outcome = Some(Err(why));
        self.stage = Stage::Undo(tags);
        if mutant::is(Mutant::FarewellForgotten) {
            self.owes_word = false;
        }
        if self.journaled && self.off.is_none() {
            self.write_off(io);
        } else {
            self.tell_off(io);
        }
        self.undone(io);
    }

    pub(super) fn write_off(&mut self, io: &mut Io<'_>) {
        let state = if self.owes_word { State::Off } else { State::Stays };
        self.off = Some(state);
        self.off_tag = Some(self.write(io, state));
    }

    /// The target is told, if there is one, once the journal says so.
    pub(super) fn tell_off(&mut self, io: &mut Io<'_>) {
        if self.connected && self.link.has_keys() {
            self.say_off(io);
            if !self.owes_word {
                self.link.close_when_sent(io);
            }
        } else if self.connected {
            self.connected = false;
            io.wire.close(io.ports);
        }
    }

    /// Is everything as it was, and does everybody know?
    pub(super) fn undone(&mut self, io: &mut Io<'_>) {
        let undone = match &self.stage {
            Stage::Undo(tags) => tags.is_empty() && self.off_tag.is_none(),
            Stage::Farewell => true,
            _ => false,
        };
        if !undone {
            return;
        }
        self.suspended_at = None;
        io.manager.status(&self.request.domain, None);
        if let Some(epoch) = self.taken {
            self.give_up(io, epoch);
        } else if self.owes_word {
            self.stage = Stage::Farewell;
        } else if self.off == Some(State::Off) {
            self.off = Some(State::Stays);
            self.stage = Stage::Write(self.write(io, State::Stays), State::Stays);
        } else {
            self.end(io);
        }
    }

    /// The domain was taken over: what is here of it is old.
    pub(super) fn give_up(&mut self, io: &mut Io<'_>, epoch: u64) {
        let (domain, peer, own) = (self.domain().to_owned(), self.peer(), self.offer.epoch);
        io.ports.log(format!(
            "migration of {domain}: it was taken over at {peer}, at epoch {epoch}: what is here, \
             of epoch {own}, is destroyed"
        ));
        self.observe(io, "lost", vec![("epoch", epoch)]);
        self.shut(io);
        self.link.close_when_sent(io);
        self.stage = Stage::Lost(io.manager.release(io.ports, &domain));
    }
}
