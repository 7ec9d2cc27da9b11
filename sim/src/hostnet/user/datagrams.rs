//! Datagrams between guests and the host.
//!
//! **Shape.** Outward, a flow is one port of a guest and one destination, with a connected
//! socket of the host: what comes back is from there and nowhere else, and a refusal reaches the
//! guest as ICMP. Inward, whoever sends to a forwarded port becomes a port of the gateway, its
//! own number if that is free, and what the guest answers goes back to it.
//!
//! **Limits.** [`FLOWS_MAX`] flows and as many senders; the one that has been silent longest
//! gives way. Who is silent for [`SILENCE`] is forgotten. What finds no room is dropped, as
//! datagrams are.
//!
//! **Source.** RFC 768; RFC 4787, 4.3, for the two minutes.

use super::ip::{About, DATAGRAM_MAX};
use super::ready::{Ready, Token};
use super::route::{Routes, Target};
use super::streams::Surroundings;
use smoltcp::wire::{Icmpv4DstUnreachable, Ipv4Repr, UdpPacket};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

/// Flows at a time, and senders to forwarded ports.
pub const FLOWS_MAX: usize = 512;
/// How long a flow or a sender may be silent.
pub const SILENCE: Duration = Duration::from_secs(120);
/// Datagrams of one socket in a poll.
const BATCH: usize = 64;
/// Frames that wait for the lab, beyond which nothing is read.
const WAITING_MAX: usize = 1024;
/// Where a sender gets another port if its own is taken.
const PORTS_FIRST: u16 = 49152;

/// The two ends of a flow as the guest names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    guest: SocketAddrV4,
    far: SocketAddrV4,
}

#[derive(Debug)]
struct Flow {
    key: Key,
    socket: UdpSocket,
    used: Duration,
    readable: bool,
    about: About,
}

#[derive(Debug)]
struct Port {
    socket: UdpSocket,
    guest: SocketAddrV4,
    readable: bool,
}

/// Somebody who sends to a forwarded port.
#[derive(Debug)]
struct Sender {
    port: usize,
    from: SocketAddr,
    used: Duration,
}

/// All datagrams of one network.
#[derive(Debug)]
pub struct Datagrams {
    routes: Routes,
    flows: BTreeMap<u32, Flow>,
    keys: BTreeMap<Key, u32>,
    last_id: u32,
    ports: Vec<Port>,
    senders: BTreeMap<Key, Sender>,
    buffer: Vec<u8>,
    more: bool,
}

/// A socket of the host that is connected to `to`.
fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let any = match to {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(to)?;
    Ok(socket)
}

impl Datagrams {
    /// No flows yet.
    #[must_use]
    pub fn new(routes: Routes) -> Self {
        Self {
            routes,
            flows: BTreeMap::new(),
            keys: BTreeMap::new(),
            last_id: 0,
            ports: Vec::new(),
            senders: BTreeMap::new(),
            buffer: vec![0; DATAGRAM_MAX],
            more: false,
        }
    }

    /// Lets a port of the host lead to a guest.
    pub fn forward(
        &mut self,
        ready: &Ready,
        host: SocketAddrV4,
        guest: SocketAddrV4,
    ) -> io::Result<()> {
        let socket = UdpSocket::bind(host)?;
        socket.set_nonblocking(true)?;
        ready.add(&socket, Token::Port(u32::try_from(self.ports.len()).unwrap_or(u32::MAX)))?;
        self.ports.push(Port { socket, guest, readable: false });
        Ok(())
    }

    /// Flows at present.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Takes a guest's datagram in.
    pub fn input(
        &mut self,
        around: &mut Surroundings<'_>,
        header: Ipv4Repr,
        payload: &[u8],
        datagram: &UdpPacket<&[u8]>,
    ) {
        let key = Key {
            guest: SocketAddrV4::new(header.src_addr, datagram.src_port()),
            far: SocketAddrV4::new(header.dst_addr, datagram.dst_port()),
        };
        let data = datagram.payload();
        if let Some(sender) = self.senders.get_mut(&key) {
            sender.used = around.now;
            if let Some(port) = self.ports.get(sender.port) {
                // What the host does not take is lost, as datagrams are.
                let _ = port.socket.send_to(data, sender.from);
            }
            return;
        }
        let about = About::new(header, payload);
        let refused = Icmpv4DstUnreachable::PortUnreachable;
        let to = match self.routes.target(key.far) {
            Target::Host(to) if key.far.port() != 0 => to,
            Target::Host(_) | Target::Elsewhere => return,
            Target::Refused => {
                around.maker.unreachable(around.link, header.dst_addr, &about, refused);
                return;
            }
        };
        let id = match self.keys.get(&key) {
            Some(&id) => id,
            None => match self.begin(around, key, to, about) {
                Ok(id) => id,
                Err(error) => {
                    let reason = match error.kind() {
                        ErrorKind::NetworkUnreachable => Icmpv4DstUnreachable::NetUnreachable,
                        ErrorKind::HostUnreachable => Icmpv4DstUnreachable::HostUnreachable,
                        _ => return, // Dropped: no descriptors left, perhaps.
                    };
                    let gateway = self.routes.plan.gateway();
                    around.maker.unreachable(around.link, gateway, &about, reason);
                    return;
                }
            },
        };
        let Some(flow) = self.flows.get_mut(&id) else { return };
        (flow.used, flow.about) = (around.now, about);
        match flow.socket.send(data) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                // That was about an earlier datagram; this one has not been sent.
                flow.refused(around);
                let _ = flow.socket.send(data);
            }
            _ => {}
        }
    }

    fn begin(
        &mut self,
        around: &Surroundings<'_>,
        key: Key,
        to: SocketAddr,
        about: About,
    ) -> io::Result<u32> {
        let socket = connected(to)?;
        if self.flows.len() >= FLOWS_MAX {
            let oldest = self.flows.iter().min_by_key(|(_, flow)| flow.used);
            if let Some((&id, _)) = oldest {
                self.forget(id);
            }
        }
        let id = loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !self.flows.contains_key(&self.last_id) {
                break self.last_id;
            }
        };
        around.ready.add(&socket, Token::Datagrams(id))?;
        let flow = Flow { key, socket, used: around.now, readable: false, about };
        self.flows.insert(id, flow);
        self.keys.insert(key, id);
        Ok(id)
    }

    fn forget(&mut self, id: u32) {
        if let Some(flow) = self.flows.remove(&id) {
            self.keys.remove(&flow.key);
        }
    }

    /// A flow has something to read.
    pub fn event(&mut self, id: u32) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.readable = true;
        }
    }

    /// A forwarded port has something to read.
    pub fn knock(&mut self, port: u32) {
        if let Some(port) = self.ports.get_mut(port as usize) {
            port.readable = true;
        }
    }

    /// Reads what there is, and forgets who has been silent.
    pub fn work(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        let silent: Vec<u32> = self
            .flows
            .iter()
            .filter(|(_, flow)| now >= flow.used + SILENCE && !flow.readable)
            .map(|(&id, _)| id)
            .collect();
        for id in silent {
            self.forget(id);
        }
        self.senders.retain(|_, sender| now < sender.used + SILENCE);
        for flow in self.flows.values_mut().filter(|flow| flow.readable) {
            flow.read(around, &mut self.buffer);
        }
        for port in 0..self.ports.len() {
            self.read(around, port);
        }
        self.more = self.flows.values().any(|flow| flow.readable)
            || self.ports.iter().any(|port| port.readable);
    }

    /// Reads a forwarded port.
    fn read(&mut self, around: &mut Surroundings<'_>, n: usize) {
        for _ in 0..BATCH {
            let port = &mut self.ports[n];
            if !port.readable || around.link.waiting() >= WAITING_MAX {
                return;
            }
            match port.socket.recv_from(&mut self.buffer) {
                Ok((length, from)) => {
                    let guest = port.guest;
                    if let Some(far) = self.sender(around.now, n, guest, from) {
                        let data = &self.buffer[..length];
                        around.maker.udp(around.link, far, guest, data);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => port.readable = false,
                Err(_) => {} // About something sent earlier; it has been taken off.
            }
        }
    }

    /// The port of the gateway that stands for a sender.
    fn sender(
        &mut self,
        now: Duration,
        port: usize,
        guest: SocketAddrV4,
        from: SocketAddr,
    ) -> Option<SocketAddrV4> {
        let known =
            self.senders.iter_mut().find(|(_, sender)| sender.port == port && sender.from == from);
        if let Some((key, sender)) = known {
            sender.used = now;
            return Some(key.far);
        }
        if self.senders.len() >= FLOWS_MAX {
            let oldest = self.senders.iter().min_by_key(|(_, sender)| sender.used);
            let oldest = *oldest?.0;
            self.senders.remove(&oldest);
        }
        let gateway = self.routes.plan.gateway();
        let free = |&far: &SocketAddrV4| {
            let key = Key { guest, far };
            !self.senders.contains_key(&key) && !self.keys.contains_key(&key)
        };
        let far = std::iter::once(from.port())
            .chain(PORTS_FIRST..=u16::MAX)
            .map(|number| SocketAddrV4::new(gateway, number))
            .find(free)?;
        self.senders.insert(Key { guest, far }, Sender { port, from, used: now });
        Some(far)
    }

    /// When work is due.
    #[must_use]
    pub fn due(&self, now: Duration) -> Option<Duration> {
        if self.more {
            return Some(now);
        }
        let flows = self.flows.values().map(|flow| flow.used);
        let senders = self.senders.values().map(|sender| sender.used);
        flows.chain(senders).min().map(|used| used + SILENCE)
    }
}

impl Flow {
    fn read(&mut self, around: &mut Surroundings<'_>, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            if around.link.waiting() >= WAITING_MAX {
                return;
            }
            match self.socket.recv(buffer) {
                Ok(length) => {
                    self.used = around.now;
                    let data = &buffer[..length];
                    around.maker.udp(around.link, self.key.far, self.key.guest, data);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.refused(around),
                Err(_) => {} // Taken off the socket by telling of it.
            }
        }
    }

    /// Tells the guest that nobody listens there.
    fn refused(&self, around: &mut Surroundings<'_>) {
        let reason = Icmpv4DstUnreachable::PortUnreachable;
        around.maker.unreachable(around.link, *self.key.far.ip(), &self.about, reason);
    }
}
