//! The manager as migrations use it.

use super::Manager;
use super::work::{Client, Job, Step};
use crate::hvctl::Hvctl;
use crate::migrate::port::{self, Found, Offer, Status, Tag};
use std::collections::VecDeque;
use sun4v::id::GuestId;
use sun4v::native::Ports;

/// The manager and the hypervisor, for the time of one call. Answers are taken with
/// [`Manager::take_answers`].
pub struct Port<'a> {
    manager: &'a mut Manager,
    hv: &'a mut dyn Hvctl,
}

impl<'a> Port<'a> {
    /// Of these two.
    pub fn new(manager: &'a mut Manager, hv: &'a mut dyn Hvctl) -> Self {
        Self { manager, hv }
    }

    fn queue(&mut self, ports: &mut dyn Ports, steps: impl Into<VecDeque<Step>>) -> Tag {
        let tag = Tag(self.manager.next_tag);
        self.manager.next_tag += 1;
        self.manager.queue.push_back(Job::new(Client::Migration(tag), steps));
        self.manager.go_on(ports, self.hv);
        tag
    }
}

impl port::Manager for Port<'_> {
    fn offer(&mut self, domain: &str) -> Result<(Offer, Option<GuestId>), String> {
        self.manager.offer(domain)
    }

    fn check_outgoing(&mut self, domain: &str) -> Vec<String> {
        self.manager.leaving(domain)
    }

    fn look(&mut self, offer: &Offer) {
        self.manager.look_at_volumes(offer);
    }

    fn check_incoming(&mut self, offer: &Offer) -> Vec<String> {
        self.manager.check(offer)
    }

    fn prepare_incoming(&mut self, ports: &mut dyn Ports, offer: &Offer) -> Tag {
        self.queue(ports, [Step::Arrive(Box::new(offer.clone()))])
    }

    fn discard(&mut self, ports: &mut dyn Ports, domain: &str) -> Tag {
        self.manager.migrating.set_status(domain, None);
        self.queue(ports, [Step::Discard(domain.to_owned())])
    }

    fn activate(&mut self, ports: &mut dyn Ports, domain: &str, epoch: u64) -> Tag {
        self.queue(ports, [Step::Activate(domain.to_owned(), epoch)])
    }

    fn release(&mut self, ports: &mut dyn Ports, domain: &str) -> Tag {
        let name = domain.to_owned();
        self.queue(ports, [Step::Halt(name.clone()), Step::Forget(name)])
    }

    fn find(&self, domain: &str, uuid: &str) -> Option<Found> {
        let found = self.manager.model()?.domain(domain).ok().filter(|own| own.uuid == uuid)?;
        Some(Found { shell: found.shell, guest: found.guest() })
    }

    fn status(&mut self, domain: &str, status: Option<Status>) {
        self.manager.migrating.set_status(domain, status);
    }
}
