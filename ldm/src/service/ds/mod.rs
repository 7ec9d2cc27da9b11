//! Domain services: the manager's sessions with the systems and the firmware of domains.
//!
//! A domain has two ports: its system's, on which it registers what the manager may ask
//! of it and where it keeps its variables, and its firmware's, which is for variables only.
//!
//! **Flow.** The manager begins the handshake of the link, as Linux expects; then the domain
//! begins the session (INIT) and registers. What the manager asks ([`DsServer::ask`]) is
//! answered by [`DsEvent::Answered`], in time or not at all: after [`ANSWER_TIME`], or when
//! the session ends, that is the answer. What a domain asks for its variables is
//! [`DsEvent::Variable`], one after the other; the manager says what came of it
//! ([`DsServer::variable_done`]).
//!
//! **Errors.** A message that means nothing is refused, and the session goes on; a stream
//! in which nobody knows where a message begins, and one that speaks before INIT, are reset,
//! and the domain begins anew. Each leaves a line in the log. A domain that is silent costs
//! nothing.
//!
//! **Source.** Linux `arch/sparc/kernel/ds.c`; illumos `ds_drv.c`, `platsvc.c`,
//! `promif_prop.c`.

mod session;

use super::host::Host;
use crate::channel::{Channel, ChannelConf, LinkEvent, OpenError};
use session::{Out, Session};
use std::collections::{BTreeMap, VecDeque};
use sun4v::ds::service::{VariableRequest, VariableResult};
use sun4v::ds::{CpuOp, CpuRecord, Message, Service};
use sun4v::id::GuestId;
use sun4v::ldc::Mode;
use sun4v::native::Ports;
use sun4v::time::SimTime;

/// Names a port to the control domain: the cookie of its mondos.
pub type PortKey = u64;

/// How long a domain has to answer. The original's time is not known; Linux answers at
/// once, and a system under load may need seconds to stop a virtual CPU.
pub const ANSWER_TIME: SimTime = SimTime::secs(60);
/// How often a queue without room is tried again.
const FLUSH_RETRY: SimTime = SimTime::ms(10);
/// What may be asked of one domain at a time.
const ASKS_MAX: usize = 64;
/// Changes of variables of one domain that wait for each other.
const VARIABLES_MAX: usize = 8;

/// A session to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DsConf {
    /// Whose.
    pub domain: String,
    /// Which guest that is.
    pub guest: GuestId,
    /// With its firmware, not with its system.
    pub firmware: bool,
    /// The channel to it.
    pub channel: ChannelConf,
}

impl DsConf {
    /// In words.
    fn name(&self) -> String {
        let Self { domain, firmware, .. } = self;
        format!("{}{domain}", if *firmware { "the firmware of " } else { "" })
    }
}

/// What the manager may ask of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Read the machine description again.
    MdUpdate,
    /// Shut down after so many milliseconds.
    Shutdown {
        /// That many.
        delay_ms: u32,
    },
    /// Take virtual CPUs into use or out of it.
    Cpus {
        /// Which of the two.
        op: CpuOp,
        /// Which ones.
        cpus: Vec<u32>,
    },
}

impl Ask {
    /// The service that answers it.
    #[must_use]
    pub const fn service(&self) -> Service {
        match self {
            Self::MdUpdate => Service::MdUpdate,
            Self::Shutdown { .. } => Service::Shutdown,
            Self::Cpus { .. } => Service::DrCpu,
        }
    }
}

/// What a domain answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does that, or has done it.
    Done,
    /// What came of it for each virtual CPU.
    Cpus(Vec<CpuRecord>),
}

/// What the manager is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DsEvent {
    /// The system of this guest has registered a service, or it is gone.
    Serves(GuestId, Service, bool),
    /// The answer to what was asked with this ticket, or why there is none.
    Answered(u64, Result<Answer, String>),
    /// A domain wants a variable changed.
    Variable {
        /// Names this until it is answered.
        token: u64,
        /// Which guest.
        guest: GuestId,
        /// What it wants.
        request: VariableRequest,
    },
}

/// A change of a variable that waits.
#[derive(Debug)]
struct Waiting {
    handle: u64,
    request: VariableRequest,
    /// Of the first one, which the manager has.
    token: Option<u64>,
}

#[derive(Debug)]
struct Port {
    conf: DsConf,
    channel: Channel,
    session: Session,
    variables: VecDeque<Waiting>,
}

/// The manager's end of all sessions.
#[derive(Debug, Default)]
pub struct DsServer {
    ports: BTreeMap<PortKey, Port>,
    events: Vec<DsEvent>,
    /// Numbers requests and changes of variables.
    number: u64,
}

impl DsServer {
    /// Opens a port; mondos with cookie `key` are its. A port that had the key is closed.
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub fn attach(
        &mut self,
        host: &mut Host<'_>,
        key: PortKey,
        conf: DsConf,
    ) -> Result<(), OpenError> {
        self.detach(host, key);
        let (ports, arena) = (&mut *host.ports, &mut *host.arena);
        let mut channel = Channel::of_mode(ports, arena, conf.channel, key, Mode::Reliable)?;
        channel.begin(ports);
        let session = Session::new(conf.firmware);
        self.ports.insert(key, Port { conf, channel, session, variables: VecDeque::new() });
        Ok(())
    }

    /// Closes a port.
    pub fn detach(&mut self, host: &mut Host<'_>, key: PortKey) {
        if let Some(mut port) = self.ports.remove(&key) {
            port.ends(&mut self.events, "the domain has gone");
            port.channel.close(host.ports, host.arena);
        }
    }

    /// What has happened since the last call.
    pub fn take_events(&mut self) -> Vec<DsEvent> {
        std::mem::take(&mut self.events)
    }

    /// Handles a port's mondo.
    pub fn mondo(&mut self, host: &mut Host<'_>, key: PortKey) {
        let Self { ports, events, number } = self;
        let Some(port) = ports.get_mut(&key) else { return };
        host.ports.charge(host.cost.mondo);
        for event in port.channel.service(host.ports) {
            match event {
                LinkEvent::Up => port.session = Session::new(port.conf.firmware),
                LinkEvent::Down => port.ends(events, "its channel went down"),
                LinkEvent::Message(bytes) => port.hears(host, events, number, &bytes),
            }
        }
    }

    /// Is there a system that has opened its end, whether or not it speaks? One that has
    /// none of it never asked for anything to be told it.
    #[must_use]
    pub fn has_system(&self, guest: GuestId) -> bool {
        let mut systems = self.ports.values().filter(|port| !port.conf.firmware);
        systems.any(|port| port.conf.guest == guest && port.channel.has_peer())
    }

    /// Asks something of a guest's system; the answer comes as an event, at once when there
    /// is nobody to ask.
    pub fn ask(&mut self, host: &mut Host<'_>, guest: GuestId, ticket: u64, ask: &Ask) {
        let Self { ports, events, number } = self;
        let mut systems = ports.values_mut().filter(|port| !port.conf.firmware);
        let asked = match systems.find(|port| port.conf.guest == guest) {
            Some(port) => {
                *number += 1;
                port.asks(host, ask, *number, ticket)
            }
            None => Err("it is not there".to_owned()),
        };
        if let Err(why) = asked {
            events.push(DsEvent::Answered(ticket, Err(why)));
        }
    }

    /// What came of a change of a variable.
    pub fn variable_done(&mut self, host: &mut Host<'_>, token: u64, result: VariableResult) {
        let Self { ports, events, number } = self;
        let has =
            |port: &&mut Port| port.variables.front().is_some_and(|own| own.token == Some(token));
        // A session that has ended meanwhile wants no answer.
        let Some(port) = ports.values_mut().find(has) else { return };
        let Some(own) = port.variables.pop_front() else { return };
        port.send(host, &Message::Data(own.handle, own.request.answer(result)));
        port.next_variable(events, number);
    }

    /// Does what time brings: answers that are overdue, queues that have room again.
    pub fn tick(&mut self, host: &mut Host<'_>) {
        let now = host.ports.now();
        for port in self.ports.values_mut() {
            for (ticket, service) in port.session.overdue(now) {
                let why =
                    format!("it has not answered for {} s", ANSWER_TIME.0 / SimTime::secs(1).0);
                port.log(host.ports, &format!("{}: {why}", service.name()));
                self.events.push(DsEvent::Answered(ticket, Err(why)));
            }
            if port.is_blocked() {
                port.channel.flush(host.ports);
            }
        }
    }

    /// When [`DsServer::tick`] is due.
    #[must_use]
    pub fn next_tick(&self, now: SimTime) -> SimTime {
        let times = self.ports.values().map(|port| {
            let flush = if port.is_blocked() { now.plus(FLUSH_RETRY) } else { SimTime::NEVER };
            port.session.due().min(flush)
        });
        times.min().unwrap_or(SimTime::NEVER)
    }
}

impl Port {
    fn log(&self, ports: &mut dyn Ports, what: &str) {
        ports.log(format!("domain services of {}: {what}", self.conf.name()));
    }

    /// Does something wait for room in a queue that is read?
    fn is_blocked(&self) -> bool {
        self.channel.is_up() && self.channel.is_blocked()
    }

    fn send(&mut self, host: &mut Host<'_>, message: &Message) {
        host.ports.charge(host.cost.message);
        if !self.channel.send(host.ports, &message.to_bytes()) {
            self.log(host.ports, "a message finds no link");
        }
    }

    /// The session is over: nobody answers any more.
    fn ends(&mut self, events: &mut Vec<DsEvent>, why: &str) {
        let session = std::mem::replace(&mut self.session, Session::new(self.conf.firmware));
        self.variables.clear();
        let (services, tickets) = session.end();
        if !self.conf.firmware {
            let guest = self.conf.guest;
            let gone = services.into_iter().map(|service| DsEvent::Serves(guest, service, false));
            events.extend(gone);
        }
        events.extend(tickets.into_iter().map(|own| DsEvent::Answered(own, Err(why.to_owned()))));
    }

    fn asks(
        &mut self,
        host: &mut Host<'_>,
        ask: &Ask,
        number: u64,
        ticket: u64,
    ) -> Result<(), String> {
        if self.session.asked() >= ASKS_MAX {
            return Err("too much is asked of it already".to_owned());
        }
        let due = host.ports.now().plus(ANSWER_TIME);
        let message = self.session.ask(ask, number, ticket, due)?;
        self.send(host, &message);
        Ok(())
    }

    /// Takes what came over the link.
    fn hears(
        &mut self,
        host: &mut Host<'_>,
        events: &mut Vec<DsEvent>,
        number: &mut u64,
        bytes: &[u8],
    ) {
        host.ports.charge(host.cost.message + host.cost.copy(bytes.len() as u64));
        let heard = self.session.hear(bytes);
        for out in heard.out {
            match out {
                Out::Say(message) => self.send(host, &message),
                Out::Log(what) => self.log(host.ports, &what),
                Out::Serves(service, serves) => {
                    if !self.conf.firmware {
                        events.push(DsEvent::Serves(self.conf.guest, service, serves));
                    }
                }
                Out::Answered(ticket, answer) => events.push(DsEvent::Answered(ticket, answer)),
                Out::Variable(handle, request) if self.variables.len() < VARIABLES_MAX => {
                    self.variables.push_back(Waiting { handle, request, token: None });
                }
                Out::Variable(handle, request) => {
                    self.log(host.ports, "too many variables are to be changed at once");
                    let answer = request.answer(VariableResult::NoSpace);
                    self.send(host, &Message::Data(handle, answer));
                }
            }
        }
        if let Err(why) = heard.goes_on {
            self.log(host.ports, &format!("{why}: the session is reset"));
            self.ends(events, "its session was reset");
            self.channel.reset(host.ports);
        }
        self.next_variable(events, number);
    }

    /// Hands the manager the next change, when it has none.
    fn next_variable(&mut self, events: &mut Vec<DsEvent>, number: &mut u64) {
        let Some(own) = self.variables.front_mut().filter(|own| own.token.is_none()) else {
            return;
        };
        *number += 1;
        own.token = Some(*number);
        let (token, guest, request) = (*number, self.conf.guest, own.request.clone());
        events.push(DsEvent::Variable { token, guest, request });
    }
}

#[cfg(test)]
mod test;
