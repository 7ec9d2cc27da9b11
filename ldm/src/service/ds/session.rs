//! A session: which services a domain has registered, what was asked of them.
//!
//! A pure state machine: bytes in, messages and events out.
//!
//! **Errors.** [`Heard::goes_on`]: why the link must begin anew.

use super::{Answer, Ask};
use std::collections::BTreeMap;
use sun4v::ds::service::{self, CpuAnswer, CpuRequest, PlainAnswer, VariableRequest};
use sun4v::ds::{MAJOR, Message, Refusal, Service, Stream};
use sun4v::time::SimTime;

/// Version of every service.
const SERVICE_MAJOR: u16 = 1;
/// Refusals that are logged; a domain that sends nothing else is not worth more.
const LOGGED_MAX: u32 = 100;

/// Something that was asked and is not answered.
#[derive(Clone, Copy, Debug)]
struct Asked {
    service: Service,
    ticket: u64,
    due: SimTime,
}

/// What comes of bytes.
#[derive(Debug)]
pub enum Out {
    /// To be sent.
    Say(Message),
    /// To be logged.
    Log(String),
    /// A service was registered, or is gone.
    Serves(Service, bool),
    /// The answer to what was asked with this ticket.
    Answered(u64, Result<Answer, String>),
    /// A variable is to be changed; the answer goes to this handle.
    Variable(u64, VariableRequest),
}

/// What comes of bytes, and whether the session goes on.
#[derive(Debug)]
pub struct Heard {
    /// In order.
    pub out: Vec<Out>,
    /// Or why not.
    pub goes_on: Result<(), String>,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    firmware: bool,
    /// INIT is done.
    open: bool,
    stream: Stream,
    handles: BTreeMap<u64, Service>,
    asked: BTreeMap<u64, Asked>,
    logged: u32,
}

impl Session {
    /// One that waits for INIT.
    pub fn new(firmware: bool) -> Self {
        Self {
            firmware,
            open: false,
            stream: Stream::default(),
            handles: BTreeMap::new(),
            asked: BTreeMap::new(),
            logged: 0,
        }
    }

    /// What is left of one that ends: services and tickets.
    pub fn end(self) -> (Vec<Service>, Vec<u64>) {
        let tickets = self.asked.values().map(|asked| asked.ticket).collect();
        (self.handles.into_values().collect(), tickets)
    }

    /// How much is asked and not answered.
    pub fn asked(&self) -> usize {
        self.asked.len()
    }

    /// When the first answer is overdue.
    pub fn due(&self) -> SimTime {
        self.asked.values().map(|asked| asked.due).min().unwrap_or(SimTime::NEVER)
    }

    /// Gives up on answers that are overdue: their tickets and services.
    pub fn overdue(&mut self, now: SimTime) -> Vec<(u64, Service)> {
        let late = self.asked.extract_if(.., |_, asked| asked.due <= now);
        late.map(|(_, asked)| (asked.ticket, asked.service)).collect()
    }

    fn handle(&self, service: Service) -> Option<u64> {
        self.handles.iter().find(|(_, own)| **own == service).map(|(&handle, _)| handle)
    }

    /// The message that asks.
    ///
    /// # Errors
    /// The service is not registered.
    pub fn ask(
        &mut self,
        ask: &Ask,
        number: u64,
        ticket: u64,
        due: SimTime,
    ) -> Result<Message, String> {
        let service = ask.service();
        let Some(handle) = self.handle(service) else {
            return Err(format!("it has not registered {}", service.name()));
        };
        let payload = match ask {
            Ask::MdUpdate => service::plain_request(number),
            Ask::Shutdown { delay_ms } => service::shutdown_request(number, *delay_ms),
            Ask::Cpus { op, cpus } => CpuRequest { number, op: *op, cpus: cpus.clone() }.to_bytes(),
        };
        self.asked.insert(number, Asked { service, ticket, due });
        Ok(Message::Data(handle, payload))
    }

    /// Takes bytes.
    pub fn hear(&mut self, bytes: &[u8]) -> Heard {
        let mut out = Vec::new();
        self.stream.push(bytes);
        let goes_on = loop {
            match self.stream.take() {
                Ok(Some((kind, payload))) => {
                    if let Err(why) = self.message(kind, &payload, &mut out) {
                        break Err(why);
                    }
                }
                Ok(None) => break Ok(()),
                Err(why) => break Err(why.to_string()),
            }
        };
        Heard { out, goes_on }
    }

    fn log(&mut self, out: &mut Vec<Out>, what: String) {
        self.logged += 1;
        match self.logged {
            ..LOGGED_MAX => out.push(Out::Log(what)),
            LOGGED_MAX => out.push(Out::Log(format!("{what}; no more is said of this session"))),
            _ => {}
        }
    }

    /// Takes one message.
    fn message(&mut self, kind: u32, payload: &[u8], out: &mut Vec<Out>) -> Result<(), String> {
        let message = match Message::parse(kind, payload) {
            Ok(message) => message,
            Err(why) if !self.open => return Err(why.to_string()),
            Err(why) => {
                self.log(out, format!("{why} is refused"));
                out.push(Out::Say(Message::Nack(0, Refusal::Kind.code())));
                return Ok(());
            }
        };
        match message {
            Message::InitReq(major, minor) => self.begins(major, minor, out),
            other if !self.open => return Err(format!("{:?} comes before INIT", other.kind())),
            Message::RegReq { handle, version, name } => {
                self.registers(handle, version, &name, out);
            }
            Message::UnregReq(handle) => {
                let gone = self.handles.remove(&handle);
                if let Some(service) = gone {
                    self.gone(service, "it has unregistered the service", out);
                }
                out.push(Out::Say(match gone {
                    Some(_) => Message::UnregAck(handle),
                    None => Message::UnregNack(handle),
                }));
            }
            Message::Data(handle, payload) => match self.handles.get(&handle) {
                Some(&service) => self.data(handle, service, &payload, out),
                None => {
                    self.log(out, format!("data for handle {handle:#x}, which nobody has"));
                    out.push(Out::Say(Message::Nack(handle, Refusal::Handle.code())));
                }
            },
            Message::Nack(handle, result) => {
                if let Some(&service) = self.handles.get(&handle) {
                    let why = format!("it does not take what was asked of it (result {result})");
                    self.gone(service, &why, out);
                }
            }
            // Of services that the manager would have registered: it registers none.
            other => self.log(out, format!("{:?} answers nothing", other.kind())),
        }
        Ok(())
    }

    /// Whatever was asked of a service has this answer.
    fn gone(&mut self, service: Service, why: &str, out: &mut Vec<Out>) {
        if !self.handles.values().any(|own| *own == service) {
            out.push(Out::Serves(service, false));
        }
        let lost = self.asked.extract_if(.., |_, asked| asked.service == service);
        out.extend(lost.map(|(_, asked)| Out::Answered(asked.ticket, Err(why.to_owned()))));
    }

    fn begins(&mut self, major: u16, minor: u16, out: &mut Vec<Out>) {
        if major != MAJOR {
            self.log(out, format!("version {major}.{minor} is not spoken here"));
            let best = if major > MAJOR { MAJOR } else { 0 };
            out.push(Out::Say(Message::InitNack(best)));
            return;
        }
        // Whoever begins once more has forgotten what was.
        for (_, service) in std::mem::take(&mut self.handles) {
            self.gone(service, "its session has begun anew", out);
        }
        self.open = true;
        out.push(Out::Say(Message::InitAck(0)));
    }

    fn registers(&mut self, handle: u64, version: (u16, u16), name: &str, out: &mut Vec<Out>) {
        let known = Service::named(name).filter(|service| {
            let variables = matches!(service, Service::VarConfig | Service::VarConfigBackup);
            variables || !self.firmware
        });
        let nack =
            |result: Refusal, major| Message::RegNack { handle, result: result.code(), major };
        let (major, minor) = version;
        let said = match known {
            None => {
                self.log(out, format!("{name}: no such service"));
                nack(Refusal::Version, 0)
            }
            Some(_) if major != SERVICE_MAJOR => {
                self.log(out, format!("{name}: version {major}.{minor} is not spoken here"));
                nack(Refusal::Version, SERVICE_MAJOR)
            }
            Some(service)
                if self.handles.contains_key(&handle) || self.handle(service).is_some() =>
            {
                self.log(out, format!("{name}: it is registered already"));
                nack(Refusal::Duplicate, SERVICE_MAJOR)
            }
            Some(service) => {
                self.handles.insert(handle, service);
                out.push(Out::Serves(service, true));
                Message::RegAck { handle, minor: 0 }
            }
        };
        out.push(Out::Say(said));
    }

    fn data(&mut self, handle: u64, service: Service, payload: &[u8], out: &mut Vec<Out>) {
        let understood = match service {
            Service::MdUpdate | Service::Shutdown | Service::Panic => PlainAnswer::parse(payload)
                .map(|own| {
                    self.answered(
                        own.number,
                        service,
                        || match (own.result, own.reason.as_str()) {
                            (0, _) => Ok(Answer::Done),
                            (result, "") => Err(format!("it cannot (result {result})")),
                            (_, reason) => Err(reason.to_owned()),
                        },
                        out,
                    )
                }),
            Service::DrCpu => CpuAnswer::parse(payload).map(|own| {
                self.answered(
                    own.number,
                    service,
                    || match own.ok {
                        true => Ok(Answer::Cpus(own.records)),
                        false => Err("it does not take the request".to_owned()),
                    },
                    out,
                );
            }),
            Service::VarConfig | Service::VarConfigBackup => {
                VariableRequest::parse(payload).map(|request| {
                    out.push(match request {
                        Ok(request) => Out::Variable(handle, request),
                        Err(answer) => Out::Say(Message::Data(handle, answer)),
                    });
                })
            }
            // Who asks for the machine's resources is no control domain: it gets none.
            Service::Pri => None,
        };
        if understood.is_none() {
            self.log(out, format!("{}: it does not take such data", service.name()));
            out.push(Out::Say(Message::Nack(handle, Refusal::Kind.code())));
        }
    }

    fn answered(
        &mut self,
        number: u64,
        service: Service,
        answer: impl FnOnce() -> Result<Answer, String>,
        out: &mut Vec<Out>,
    ) {
        match self.asked.get(&number) {
            Some(asked) if asked.service == service => {
                out.push(Out::Answered(asked.ticket, answer()));
                self.asked.remove(&number);
            }
            _ => self.log(out, format!("{}: an answer to nothing, or too late", service.name())),
        }
    }
}
