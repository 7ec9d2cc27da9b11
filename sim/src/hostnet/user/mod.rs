//! A network in user mode: guests reach what the host reaches, and nobody needs to be root.
//!
//! To a guest it is an Ethernet with a gateway, a name server and a DHCP server. Behind them
//! stand sockets of the host: a guest's streams and datagrams end here and begin again there, so
//! outside they are the host's own. [`plan`] says which addresses there are, [`route`] where on
//! the host's side a destination is.
//!
//! **Parts.** [`link`] Ethernet and ARP; [`ip`] packets and their pieces; [`dhcp`]; [`streams`],
//! [`datagrams`] and [`echo`] what IP carries; [`ready`] which sockets have something to do.
//!
//! **Errors.** Opening fails if a forwarded port cannot be had. After that nothing does: what
//! cannot be carried is dropped, or refused in the protocol's own words. No frame of a guest's
//! brings it down, and each part says what it holds at most.
//!
//! **Source.** QEMU's network in user mode (`libslirp`), for what a guest finds where. The
//! streams are smoltcp's.

pub mod datagrams;
pub mod dhcp;
pub mod echo;
pub mod ip;
pub mod link;
pub mod plan;
pub mod ready;
pub mod route;
pub mod streams;

use super::conf::{self, Protocol};
use super::{Clock, Error, HostNet};
use datagrams::Datagrams;
use echo::Echo;
use ip::{Assemblies, Maker};
use link::Link;
use ready::{Ready, Token};
use route::Routes;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};
use std::fs;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use streams::{Streams, Surroundings};

/// Where the host keeps the address of its name server.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// A network in user mode.
pub struct User {
    clock: Clock,
    routes: Routes,
    link: Link,
    mtu: u16,
    maker: Maker,
    ready: Ready,
    assemblies: Assemblies,
    dhcp: dhcp::Server,
    streams: Streams,
    datagrams: Datagrams,
    echo: Echo,
    /// When something is due without anyone's doing.
    due: Option<Duration>,
}

impl User {
    /// Opens the network, and the ports that lead to its guests.
    pub fn open(conf: &conf::User, clock: Clock) -> Result<Self, Error> {
        let found = || fs::read_to_string(RESOLV_CONF).ok().and_then(|text| route::resolver(&text));
        let routes = Routes { plan: conf.plan, resolver: conf.dns.or_else(found) };
        let now = clock();
        let mut link = Link::new(conf.plan);
        let ready = Ready::new().map_err(Error::Epoll)?;
        let mut streams = Streams::new(routes, conf.mtu, &mut link, now);
        let mut datagrams = Datagrams::new(routes);
        for forward in &conf.forwards {
            let opened = match forward.protocol {
                Protocol::Tcp => streams.forward(&ready, forward.host, forward.guest),
                Protocol::Udp => datagrams.forward(&ready, forward.host, forward.guest),
            };
            opened.map_err(|source| Error::Forward { host: forward.host, source })?;
        }
        Ok(Self {
            clock,
            routes,
            link,
            mtu: conf.mtu,
            maker: Maker::new(conf.mtu),
            ready,
            assemblies: Assemblies::default(),
            dhcp: dhcp::Server::new(conf.plan, conf.mtu, routes.resolver.is_some()),
            streams,
            datagrams,
            echo: Echo::new(routes),
            due: None,
        })
    }

    /// Flows of streams and of datagrams at present.
    #[must_use]
    pub fn flows(&self) -> (usize, usize) {
        (self.streams.flows(), self.datagrams.flows())
    }

    fn ip(&mut self, frame: &EthernetFrame<&[u8]>) {
        let Ok(packet) = Ipv4Packet::new_checked(frame.payload()) else { return };
        // A frame may be longer than its packet: short ones are padded.
        let whole = &frame.payload()[..usize::from(packet.total_len())];
        let Ok(packet) = Ipv4Packet::new_checked(whole) else { return };
        let Ok(mut header) = Ipv4Repr::parse(&packet, &ChecksumCapabilities::default()) else {
            return;
        };
        let (from, to) = (header.src_addr, header.dst_addr);
        let unnamed = from.is_unspecified() && header.next_header == IpProtocol::Udp;
        if !self.routes.plan.is_guest(from) && !unnamed {
            return;
        }
        self.link.learn(from, frame.src_addr());
        let pieces = packet.more_frags() || packet.frag_offset() != 0;
        let assembled = if pieces {
            let Some(payload) = self.assemblies.add(self.link.now, &packet) else { return };
            header.payload_len = payload.len();
            Some(payload)
        } else {
            None
        };
        let payload = assembled.as_deref().unwrap_or(packet.payload());
        let mut around = Surroundings {
            now: self.link.now,
            link: &mut self.link,
            maker: &mut self.maker,
            ready: &self.ready,
        };
        match header.next_header {
            // A segment in pieces is not for a stack that says how long a segment may be.
            IpProtocol::Tcp if !pieces => self.streams.input(&mut around, header, &packet),
            IpProtocol::Icmp => self.echo.input(&mut around, header, payload),
            IpProtocol::Udp => {
                let Ok(datagram) = UdpPacket::new_checked(payload) else { return };
                let checked = UdpRepr::parse(
                    &datagram,
                    &from.into(),
                    &to.into(),
                    &ChecksumCapabilities::default(),
                );
                if checked.is_err() {
                    return;
                }
                let served = to.is_broadcast() || to == self.routes.plan.gateway();
                if served && datagram.dst_port() == dhcp::SERVER_PORT {
                    self.dhcp.serve(around.link, around.maker, &datagram);
                } else if !unnamed {
                    self.datagrams.input(&mut around, header, payload, &datagram);
                }
            }
            _ => {}
        }
    }
}

impl HostNet for User {
    fn send(&mut self, frame: &[u8]) {
        let Ok(frame) = EthernetFrame::new_checked(frame) else { return };
        let to = frame.dst_addr();
        if (to != link::MAC && !to.is_broadcast()) || !frame.src_addr().is_unicast() {
            return;
        }
        self.link.now = (self.clock)();
        match frame.ethertype() {
            EthernetProtocol::Arp => self.link.arp(&frame),
            EthernetProtocol::Ipv4 => self.ip(&frame),
            _ => return,
        }
        self.due = Some(self.link.now);
    }

    fn poll(&mut self, out: &mut Vec<Vec<u8>>) {
        let now = (self.clock)();
        self.link.now = now;
        let events = self.ready.events();
        if events.is_empty() && self.due.is_none_or(|due| now < due) {
            return;
        }
        let mut around =
            Surroundings { now, link: &mut self.link, maker: &mut self.maker, ready: &self.ready };
        for event in events {
            match event.token {
                Token::Stream(id) => {
                    self.streams.event(&mut around, id, event.readable, event.writable);
                }
                Token::Listener(port) => self.streams.knock(port),
                Token::Datagrams(id) => self.datagrams.event(id),
                Token::Port(port) => self.datagrams.knock(port),
                Token::Echo(id) => self.echo.event(id),
            }
        }
        self.streams.work(&mut around);
        self.datagrams.work(&mut around);
        self.echo.work(&mut around);
        let due = [self.streams.due(now), self.datagrams.due(now), self.echo.due(now)];
        self.due = due.into_iter().flatten().min();
        self.link.take(out);
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn wait_fds(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.ready.fd()]
    }

    fn deadline(&self) -> Option<Duration> {
        Some(self.due?.saturating_sub((self.clock)()))
    }
}
