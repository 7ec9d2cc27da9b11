//! The pinger: sends echo requests at a steady pace and times the replies.
//!
//! **Commands.** `ping HOST every SPAN` starts a stream to a host by name or
//! address, `stop` ends all streams; spans as in scenarios (`1s`, `100ms`).
//!
//! **Facts**, named `HOST/SPAN`: `ping start` (interval in µs), `ping reply`
//! (sequence, round trip in ns), `ping lost` (sequence: no reply within
//! [`TIMEOUT`]), `ping late` (a reply after that), `ping stop` (sent, waiting). A
//! reply that comes twice counts once.

mod record;
pub use record::{PingerV1, StreamV1};

use super::host::{Address, Host, LabHost, Names};
use super::quantity::Span;
use super::record::Fact;
use crate::time::rng::Seed;
use smoltcp::iface::SocketHandle;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpAddress, Ipv4Address};
use std::collections::BTreeMap;
use sun4v::record::LoadError;
use sun4v::time::SimTime;

/// When a request without a reply counts as lost.
pub const TIMEOUT: SimTime = SimTime::secs(5);
/// Bytes behind the header of a request, as `ping` has sent since ever.
const DATA: [u8; 56] = [0x5a; 56];

/// Requests to one host.
struct Stream {
    name: String,
    to: [u8; 4],
    ident: u16,
    socket: SocketHandle,
    interval: SimTime,
    next: SimTime,
    sent: u64,
    /// When each request without a reply was sent, by sequence.
    waiting: BTreeMap<u64, SimTime>,
    lost: BTreeMap<u64, SimTime>,
    stopped: bool,
}

/// The host.
pub struct Pinger {
    name: String,
    host: Host,
    names: Names,
    streams: Vec<Stream>,
    facts: Vec<Fact>,
    next: SimTime,
}

impl Pinger {
    /// A pinger that knows hosts by `names`.
    #[must_use]
    pub fn new(name: &str, address: &Address, seed: Seed, names: Names) -> Self {
        Self {
            name: name.to_owned(),
            host: Host::new(name, address, seed),
            names,
            streams: Vec::new(),
            facts: Vec::new(),
            next: SimTime::NEVER,
        }
    }

    /// Starts a stream.
    fn start(&mut self, host: &str, span: &str, now: SimTime) -> Result<String, String> {
        let to = self.names.find(host)?;
        let Span(interval) = span.parse()?;
        if interval < SimTime::ms(1) {
            return Err(format!("`{span}` is shorter than a millisecond"));
        }
        let ident = 1 + self.streams.len() as u16;
        let socket = self.listen(ident).ok_or("too many streams")?;
        let name = format!("{host}/{span}");
        let fact = Fact::new(now, &self.name, "ping", "start", &name);
        self.facts.push(fact.with("interval_us", interval.as_us()));
        self.streams.push(Stream {
            name,
            to,
            ident,
            socket,
            interval,
            next: now,
            sent: 0,
            waiting: BTreeMap::new(),
            lost: BTreeMap::new(),
            stopped: false,
        });
        self.next = now;
        Ok(String::new())
    }

    /// A socket for the replies to requests with this identifier.
    fn listen(&mut self, ident: u16) -> Option<SocketHandle> {
        let socket = self.host.add_icmp();
        let bound = self.host.socket::<icmp::Socket<'_>>(socket).bind(icmp::Endpoint::Ident(ident));
        bound.ok().map(|()| socket)
    }

    /// Ends all streams.
    fn stop(&mut self, now: SimTime) {
        for stream in self.streams.iter_mut().filter(|stream| !stream.stopped) {
            stream.stopped = true;
            let fact = Fact::new(now, &self.name, "ping", "stop", &stream.name)
                .with("sent", stream.sent)
                .with("waiting", stream.waiting.len() as u64);
            self.facts.push(fact);
            stream.waiting.clear();
        }
    }
}

impl Stream {
    /// Sends what is due.
    fn send(&mut self, socket: &mut icmp::Socket<'_>, now: SimTime) {
        while !self.stopped && self.next <= now {
            let request = Icmpv4Repr::EchoRequest {
                ident: self.ident,
                seq_no: self.sent as u16,
                data: &DATA,
            };
            // A full buffer loses the request, and the reply will be missed.
            if let Ok(buffer) =
                socket.send(request.buffer_len(), IpAddress::Ipv4(Ipv4Address::from(self.to)))
            {
                let mut packet = Icmpv4Packet::new_unchecked(buffer);
                request.emit(&mut packet, &ChecksumCapabilities::default());
            }
            self.waiting.insert(self.sent, now);
            self.sent += 1;
            self.next = self.next.plus(self.interval);
        }
    }

    /// Takes in replies and gives up on requests.
    fn receive(
        &mut self,
        socket: &mut icmp::Socket<'_>,
        now: SimTime,
        mut note: impl FnMut(&str, &str, u64, Option<SimTime>),
    ) {
        while let Ok((bytes, from)) = socket.recv() {
            let reply = Icmpv4Packet::new_checked(bytes)
                .and_then(|packet| Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default()));
            let Ok(Icmpv4Repr::EchoReply { seq_no, data: bytes, .. }) = reply else { continue };
            if from != IpAddress::Ipv4(Ipv4Address::from(self.to)) || *bytes != DATA {
                continue;
            }
            let same = |&(&sequence, _): &(&u64, &SimTime)| sequence as u16 == seq_no;
            if let Some((&sequence, &sent)) = self.waiting.iter().find(same) {
                self.waiting.remove(&sequence);
                note("reply", &self.name, sequence, Some(now.since(sent)));
            } else if let Some((&sequence, &sent)) = self.lost.iter().rev().find(same) {
                self.lost.remove(&sequence);
                note("late", &self.name, sequence, Some(now.since(sent)));
            }
        }
        while let Some((&sequence, &sent)) = self.waiting.first_key_value()
            && now.since(sent) >= TIMEOUT
        {
            self.waiting.remove(&sequence);
            self.lost.insert(sequence, sent);
            note("lost", &self.name, sequence, None);
        }
    }

    /// When it has something to do without a reply.
    fn next_time(&self) -> SimTime {
        if self.stopped {
            return SimTime::NEVER;
        }
        let gives_up = self.waiting.values().next().map_or(SimTime::NEVER, |at| at.plus(TIMEOUT));
        self.next.min(gives_up)
    }
}

impl LabHost for Pinger {
    fn name(&self) -> &str {
        &self.name
    }
    fn frame(&mut self, frame: Vec<u8>) {
        self.host.frame(frame);
        self.next = SimTime::ZERO;
    }
    fn run(&mut self, now: SimTime) {
        self.host.poll(now);
        for stream in &mut self.streams {
            let socket = self.host.socket::<icmp::Socket<'_>>(stream.socket);
            stream.receive(socket, now, |what, name, sequence, round_trip| {
                let mut fact = Fact::new(now, &self.name, "ping", what, name);
                fact = fact.with("sequence", sequence);
                if let Some(round_trip) = round_trip {
                    fact = fact.with("round_trip_ns", round_trip.0 / 1000);
                }
                self.facts.push(fact);
            });
            stream.send(socket, now);
        }
        self.host.poll(now);
        let streams = self.streams.iter().map(Stream::next_time);
        self.next = streams.min().unwrap_or(SimTime::NEVER).min(self.host.next_time());
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
    fn save(&self) -> Result<Vec<u8>, String> {
        Ok(self.record())
    }
    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.load_record(bytes)
    }
    fn restart(&mut self, now: SimTime) {
        self.next = now;
    }
    fn command(&mut self, line: &str, now: SimTime) -> Result<String, String> {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["ping", host, "every", span] => self.start(host, span, now),
            ["stop"] => {
                self.stop(now);
                Ok(String::new())
            }
            _ => Err(format!("`{line}`: this host knows `ping HOST every SPAN` and `stop`")),
        }
    }
}

#[cfg(test)]
mod test {
    use super::{Pinger, TIMEOUT};
    use crate::lab::Lab;
    use crate::lab::host::test::{Echo, address, names};
    use crate::lab::record::Fact;
    use crate::net::fabric::{Fabric, PortId};
    use crate::net::link::Link;
    use crate::time::rng::Seed;
    use sun4v::time::SimTime;

    fn lab() -> Lab {
        let mut lab = Lab::default();
        let network = lab.add_network(Fabric::new("lab", Seed(1)));
        let pinger = Pinger::new("pinger", &address(11), Seed(1), names());
        lab.add_host(network, Link::default(), Box::new(pinger));
        lab.add_host(network, Link::default(), Box::new(Echo::new("rover", 50)));
        lab
    }

    fn told(lab: &mut Lab, what: &str) -> Vec<Fact> {
        lab.take_facts().into_iter().filter(|fact| fact.what == what).collect()
    }

    #[test]
    fn every_request_is_timed() {
        let mut lab = lab();
        for span in ["1s", "100ms"] {
            let line = format!("ping rover every {span}");
            assert_eq!(lab.command("pinger", &line, SimTime::ZERO), Some(Ok(String::new())));
        }
        lab.run_until(SimTime::ms(10_050));
        let replies = told(&mut lab, "reply");
        let fast: Vec<_> = replies.iter().filter(|fact| fact.name == "rover/100ms").collect();
        assert_eq!((replies.len(), fast.len()), (11 + 101, 101));
        assert!((0..).zip(&fast).all(|(n, fact)| fact.value("sequence") == n));
        // Two links each way; the first also asked for the address.
        let wire = 4 * ((98 + 24) * 8 + 5_000);
        assert_eq!(fast[1].value("round_trip_ns"), wire);
        assert!(fast[0].value("round_trip_ns") > wire);
    }

    #[test]
    fn a_dropped_request_is_lost_and_others_are_not() {
        let mut lab = lab();
        lab.command("pinger", "ping 192.168.1.50 every 100ms", SimTime::ZERO);
        lab.run_until(SimTime::ms(1_050));
        let network = lab.network("lab").unwrap();
        lab.network_mut(network).set_cut(PortId(1), true);
        lab.run_until(SimTime::ms(1_250));
        lab.network_mut(network).set_cut(PortId(1), false);
        lab.run_until(SimTime::secs(8));
        lab.command("pinger", "stop", SimTime::secs(8));
        let facts = lab.take_facts();
        let lost: Vec<_> = facts.iter().filter(|fact| fact.what == "lost").collect();
        let sequences: Vec<_> = lost.iter().map(|fact| fact.value("sequence")).collect();
        assert_eq!(sequences, [11, 12]);
        assert_eq!(lost[0].time, SimTime::ms(1_100).plus(TIMEOUT));
        let stop = facts.last().unwrap();
        assert_eq!((&*stop.what, stop.value("sent"), stop.value("waiting")), ("stop", 81, 1));
        assert_eq!(lab.run_until(SimTime::secs(20)), []);
        assert_eq!(lab.take_facts(), []);
    }

    #[test]
    fn commands_that_make_no_sense_say_why() {
        let mut lab = lab();
        let mut refusal = |line| lab.command("pinger", line, SimTime::ZERO).unwrap().unwrap_err();
        insta::assert_snapshot!(
            [
                refusal("ping mars every 1s"),
                refusal("ping rover every day"),
                refusal("ping rover every 1us"),
                refusal("sing"),
            ]
            .join("\n"),
            @r"
        no host `mars`
        `day` is no span of time such as `100ms`
        `1us` is shorter than a millisecond
        `sing`: this host knows `ping HOST every SPAN` and `stop`
        "
        );
    }
}
