//! The workstation: somebody sits there, types, and watches a drawing.
//!
//! **Session.** `login HOST` opens a TCP connection to the host's login shell. What
//! is typed goes out one character at a time, ten a second; the shell echoes each,
//! and the time until it does is what a person feels. Enter is typed only when all
//! echoes are in, and nothing more until the answer has ended with a prompt or a
//! second has passed, so echoes are never confused with output. A shell behind a telnet
//! server is as good ([`telnet`]).
//!
//! **Drawing.** Frames of the drawing program arrive on UDP port 6000: a sequence
//! number (`u32`), the sender's stick (`u64`), then the picture.
//!
//! **Commands.** `login HOST`, `logout`, `typist on`, `typist off` (types
//! commands of the shell over and over), `type TEXT` (once, before all else),
//! `drawing watch`, `drawing stop` (looks at it, as at first, or away).
//!
//! **Facts**, named by host: `session connected`, `session closed`, `session line`
//! (a line of output), `echo seen` (sequence, delay in ns, the character in
//! words), `echo waiting` (at logout or the end of the connection: how many never
//! came), `drawing frame` (sequence, stick, bytes, number of its picture), `drawing
//! picture` (the number and, in words, the bytes of a picture that was not seen before,
//! as hexadecimal digits), `drawing damaged`.
//!
//! **Checkpoint.** The connection is reset and made again at once; a line that was
//! being typed is typed anew. It is noted as `session closed` by `a checkpoint`, with
//! the keys whose echoes were on their way.

mod pictures;
mod record;
mod session;
mod telnet;

pub use record::WorkstationV2;

use super::host::{Address, Host, LabHost, Names};
use super::record::Fact;
use crate::time::rng::Seed;
use pictures::{Pictures, digits};
use session::Session;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp;
use smoltcp::wire::IpAddress;
use sun4v::record::LoadError;
use sun4v::time::SimTime;

/// Where the drawing arrives.
pub const DRAWING_PORT: u16 = 6000;

/// The host.
pub struct Workstation {
    name: String,
    host: Host,
    names: Names,
    drawing: SocketHandle,
    session: Session,
    watching: bool,
    pictures: Pictures,
    facts: Vec<Fact>,
    next: SimTime,
}

impl Workstation {
    /// A workstation that knows hosts by `names`.
    #[must_use]
    pub fn new(name: &str, address: &Address, seed: Seed, names: Names) -> Self {
        let mut host = Host::new(name, address, seed);
        let drawing = host.add_udp(1 << 20);
        // A fresh socket and a port that is not zero: this cannot fail.
        let _ = host.socket::<udp::Socket<'_>>(drawing).bind(DRAWING_PORT);
        let session = Session::new(&mut host);
        Self {
            name: name.to_owned(),
            host,
            names,
            drawing,
            session,
            watching: true,
            pictures: Pictures::default(),
            facts: Vec::new(),
            next: SimTime::NEVER,
        }
    }

    fn note(&mut self, (subject, what): (&str, &str), fact: Fact, now: SimTime) {
        self.facts.push(Fact {
            time: now,
            place: self.name.clone(),
            subject: subject.to_owned(),
            what: what.to_owned(),
            ..fact
        });
    }

    /// Takes in frames of the drawing.
    fn watch(&mut self, now: SimTime) {
        let socket: &mut udp::Socket<'_> = self.host.socket(self.drawing);
        while let Ok((bytes, from)) = socket.recv() {
            if !self.watching {
                continue;
            }
            let IpAddress::Ipv4(address) = from.endpoint.addr;
            let host = self.names.name_of(address.octets());
            let number = |range: std::ops::Range<usize>| {
                let bytes = bytes.get(range)?;
                Some(bytes.iter().fold(0_u64, |word, &byte| word << 8 | u64::from(byte)))
            };
            let fact = match (number(0..4), number(4..12)) {
                (Some(sequence), Some(stick)) => {
                    let picture = bytes.get(12..).unwrap_or_default();
                    let seen = self.pictures.see(picture);
                    if let Some((number, true)) = seen {
                        let fact = Fact::new(now, &self.name, "drawing", "picture", &host);
                        self.facts.push(fact.with("picture", number).saying(digits(picture)));
                    }
                    let fact = Fact::new(now, &self.name, "drawing", "frame", &host)
                        .with("sequence", sequence)
                        .with("stick", stick);
                    match seen {
                        Some((number, _)) => fact.with("picture", number),
                        None => fact,
                    }
                }
                _ => Fact::new(now, &self.name, "drawing", "damaged", &host),
            };
            self.facts.push(fact.with("bytes", bytes.len() as u64));
        }
    }
}

impl LabHost for Workstation {
    fn name(&self) -> &str {
        &self.name
    }
    fn frame(&mut self, frame: Vec<u8>) {
        self.host.frame(frame);
        self.next = SimTime::ZERO;
    }
    fn run(&mut self, now: SimTime) {
        self.host.poll(now);
        self.watch(now);
        for (what, fact) in self.session.run(&mut self.host, now) {
            self.note(what, fact, now);
        }
        self.host.poll(now);
        self.next = self.host.next_time().min(self.session.next_time());
    }
    fn next_time(&self) -> SimTime {
        self.next
    }
    fn take_frames(&mut self) -> Vec<Vec<u8>> {
        self.host.take_frames()
    }
    fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }
    fn hold(&mut self, now: SimTime) {
        self.session.hold(&mut self.host);
        self.host.poll(now);
    }
    fn save(&self) -> Result<Vec<u8>, String> {
        Ok(self.record())
    }
    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.load_record(bytes)
    }
    fn restart(&mut self, now: SimTime) {
        let to = self.names.find(&self.session.host).ok();
        let fact = self.session.restart(&mut self.host, to, now);
        if let Some(fact) = fact {
            self.note(("session", "closed"), fact, now);
        }
        self.next = now;
    }
    fn command(&mut self, line: &str, now: SimTime) -> Result<String, String> {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["login", host] => {
                let address = self.names.find(host)?;
                self.session.login(&mut self.host, host, address)?;
            }
            ["logout"] => self.session.logout(&mut self.host),
            ["typist", "on"] => self.session.typist(true, now),
            ["typist", "off"] => self.session.typist(false, now),
            ["type", ..] => {
                let text = line.trim_start().strip_prefix("type").unwrap_or_default();
                self.session.type_line(text.trim(), now)?;
            }
            ["drawing", "watch"] => self.watching = true,
            ["drawing", "stop"] => self.watching = false,
            _ => {
                return Err(format!(
                    "`{line}`: this host knows `login HOST`, `logout`, `typist on|off`, \
                     `type TEXT` and `drawing watch|stop`"
                ));
            }
        }
        self.next = now;
        Ok(String::new())
    }
}

#[cfg(test)]
mod test;
