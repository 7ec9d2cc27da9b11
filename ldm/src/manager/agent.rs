//! What domains' systems do for their manager, and what they want of it: domain services.
//!
//! The owner takes what is to be asked ([`Manager::take_asks`]) and how changes of
//! variables ended ([`Manager::take_variables`]), and hands in what domains say
//! ([`Manager::heard`]).
//!
//! **Order.** A job that waits for a domain stands aside: meanwhile variables of domains
//! are changed, migrations served and lists answered; whatever else operators ask waits.
//! A domain whose machine description has changed is told at the end of the job.
//!
//! **Errors.** A domain that does not answer, or says no, is an error of the job that asks;
//! without one it is a line in the log.

use super::model::Refused;
use super::work::{Client, Job, Step, Wait, refuse};
use super::{Manager, edit};
use crate::factory::PRIMARY_ID;
use crate::hvctl::Hvctl;
use crate::service::ds::{Answer, Ask, DsEvent};
use std::collections::BTreeSet;
use sun4v::ds::Service;
use sun4v::ds::service::{VariableRequest, VariableResult};
use sun4v::id::GuestId;
use sun4v::native::Ports;
use sun4v::time::SimTime;

/// Something for a guest's system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Which guest.
    pub guest: GuestId,
    /// Names it until [`Manager::heard`] has its answer.
    pub ticket: u64,
    /// What.
    pub ask: Ask,
}

impl Manager {
    /// What domains are to be asked, in order.
    #[must_use]
    pub fn take_asks(&mut self) -> Vec<Asking> {
        std::mem::take(&mut self.asks)
    }

    /// How changes of variables ended that domains wanted, by token.
    #[must_use]
    pub fn take_variables(&mut self) -> Vec<(u64, VariableResult)> {
        std::mem::take(&mut self.variables)
    }

    /// A domain says something.
    pub fn heard(&mut self, ports: &mut dyn Ports, hv: &mut dyn Hvctl, event: DsEvent) {
        match event {
            DsEvent::Serves(guest, service, true) => {
                self.agents.entry(guest).or_default().insert(service);
            }
            DsEvent::Serves(guest, service, false) => {
                if let Some(own) = self.agents.get_mut(&guest) {
                    own.remove(&service);
                }
                self.agents.retain(|_, own| !own.is_empty());
            }
            DsEvent::Answered(ticket, answer) => self.domain_answers(ports, ticket, answer),
            DsEvent::Variable { token, guest, request } => {
                match self.variable_is_sound(guest, &request) {
                    Ok(()) => {
                        let steps = [Step::Variable(guest, request)];
                        self.errands.push_back(Job::new(Client::Domain(token, guest), steps));
                    }
                    Err(result) => self.variables.push((token, result)),
                }
            }
        }
        self.go_on(ports, hv);
    }

    /// Does what time brings.
    pub fn tick(&mut self, ports: &mut dyn Ports, hv: &mut dyn Hvctl) {
        self.go_on(ports, hv);
    }

    /// When [`Manager::tick`] is due.
    #[must_use]
    pub fn next_time(&self) -> SimTime {
        self.aside.as_ref().map_or(SimTime::NEVER, |job| match job.wait {
            Wait::Ends(_, until) => until,
            _ => SimTime::NEVER,
        })
    }

    /// Has the guest's system registered this service?
    pub(super) fn serves(&self, guest: GuestId, service: Service) -> bool {
        self.agents.get(&guest).is_some_and(|own| own.contains(&service))
    }

    /// Guests whose systems read their machine descriptions again when told.
    pub(super) fn updates(&self) -> BTreeSet<GuestId> {
        let all = self.agents.iter();
        all.filter(|(_, own)| own.contains(&Service::MdUpdate)).map(|(&guest, _)| guest).collect()
    }

    /// Asks a guest's system; the ticket.
    pub(super) fn ask_domain(&mut self, guest: GuestId, ask: Ask) -> u64 {
        if ask == Ask::MdUpdate {
            self.outdated.remove(&guest);
        }
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.asks.push(Asking { guest, ticket, ask });
        ticket
    }

    /// Tells systems that their machine descriptions have changed, but for `except`.
    pub(super) fn tell_updates(&mut self, except: Option<GuestId>) {
        for guest in std::mem::take(&mut self.outdated) {
            if Some(guest) != except && self.serves(guest, Service::MdUpdate) {
                self.ask_domain(guest, Ask::MdUpdate);
            }
        }
    }

    fn domain_answers(
        &mut self,
        ports: &mut dyn Ports,
        ticket: u64,
        answer: Result<Answer, String>,
    ) {
        let waits = |job: &&mut Job| matches!(job.wait, Wait::Asked(own) if own == ticket);
        match self.aside.iter_mut().chain(&mut self.job).find(waits) {
            Some(job) => {
                job.wait = Wait::Nothing;
                job.answer = Some(answer);
            }
            None => {
                if let Err(why) = answer {
                    ports.log(format!("ldmd: a domain was told of its new description: {why}"));
                }
            }
        }
    }

    /// Could a domain's variable be changed so?
    fn variable_is_sound(
        &self,
        guest: GuestId,
        request: &VariableRequest,
    ) -> Result<(), VariableResult> {
        let domain = self.model().and_then(|model| model.by_guest(guest));
        let domain = domain.filter(|_| guest != PRIMARY_ID).ok_or(VariableResult::NoSpace)?;
        match request {
            VariableRequest::Set { name, value } => {
                if !edit::variable_is_good(name) {
                    return Err(VariableResult::BadName);
                }
                // What lists could not show.
                let odd = |c: char| c == '|' || (c.is_control() && c != '\n' && c != '\t');
                if value.contains(odd) { Err(VariableResult::BadValue) } else { Ok(()) }
            }
            VariableRequest::Delete { name } => match domain.wish.variables.contains_key(name) {
                true => Ok(()),
                false => Err(VariableResult::NotPresent),
            },
        }
    }

    /// Changes a variable as its domain wants.
    pub(super) fn change_variable(
        &mut self,
        ports: &mut dyn Ports,
        hv: &mut dyn Hvctl,
        guest: GuestId,
        request: VariableRequest,
    ) -> Result<Option<Wait>, Refused> {
        let mut next = self.draft()?;
        let Some(name) = next.by_guest(guest).map(|domain| domain.name.clone()) else {
            return refuse("The domain has gone".into());
        };
        let own = &mut next.domain_mut(&name)?.wish.variables;
        match request {
            VariableRequest::Set { name, value } => own.insert(name, value),
            VariableRequest::Delete { name } => own.remove(&name),
        };
        self.moves_nothing(&next)?;
        self.commit(ports, hv, next)
    }
}
