//! Streams between guests and the host.
//!
//! **Shape.** A flow is a TCP connection of a guest that ends here, and a socket of the host;
//! bytes go from one to the other. Outward, a guest's SYN begins a connection of the host, and
//! is answered when that has come about, so that a guest sees refusals as they are. Inward, a
//! connection to a forwarded port begins one from the gateway to the guest.
//!
//! **Rules.** Who reads slowly is waited for: [`BUFFER`] bytes each way, then the other end's
//! window closes. An end of one half is passed on as such, a reset as a reset. A guest that no
//! longer answers is given up after [`SILENCE`].
//!
//! **Limits.** [`FLOWS_MAX`] flows; a connection more is refused, unless one is over and only
//! waits for stray segments.
//!
//! **Source.** RFC 9293; RFC 1122, 4.2.3.9, for what a guest is told when the host has no way.

use super::ip::{About, Maker};
use super::link::{HEADER, Link};
use super::ready::{Ready, Token};
use super::route::{Routes, Target};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{
    HardwareAddress, Icmpv4DstUnreachable, IpAddress, IpCidr, IpEndpoint, IpListenEndpoint,
    Ipv4Packet, Ipv4Repr, TcpPacket,
};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

/// Flows at a time.
pub const FLOWS_MAX: usize = 256;
/// Bytes on their way in a flow, in each direction: the largest window that two bits of scale
/// can say. One byte more would take three bits, and smoltcp, which scales the window of its SYN
/// when it looks back at it (RFC 7323, 2.2 says not to), would take segments beyond the buffer.
pub const BUFFER: usize = 65535 << 2;
/// How long a guest may leave segments unanswered.
pub const SILENCE: Duration = Duration::from_secs(300);
/// How often a silent guest is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Frames of a poll, after which the rest waits for the next.
const BURST: usize = 1024;
/// Ports of the gateway from which forwarded connections come (RFC 6335, 6).
const PORTS_FIRST: u16 = 49152;
/// When a port is tried again whose connections could not be accepted.
const RETRY: Duration = Duration::from_secs(1);

/// What a flow needs of its surroundings.
pub struct Surroundings<'a> {
    /// The time.
    pub now: Duration,
    /// The wire to the lab.
    pub link: &'a mut Link,
    /// Where packets are made.
    pub maker: &'a mut Maker,
    /// Where sockets are watched.
    pub ready: &'a Ready,
}

/// The two ends of a flow as the guest names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    guest: SocketAddrV4,
    far: SocketAddrV4,
}

/// How far a flow has come.
#[derive(Debug)]
enum Stage {
    /// The host connects; the guest's SYN waits.
    Connecting { syn: Vec<u8>, about: About },
    /// The guest's connection exists.
    Open(SocketHandle),
}

#[derive(Debug)]
struct Flow {
    key: Key,
    host: TcpStream,
    stage: Stage,
    readable: bool,
    writable: bool,
    /// The host will send no more, and the guest is told.
    host_ended: bool,
    /// The guest will send no more; the host may still have to be given what came before.
    guest_ending: bool,
    /// The host has been given all, and is told.
    guest_ended: bool,
}

/// A port of the host that leads to a guest.
#[derive(Debug)]
struct Port {
    listener: TcpListener,
    guest: SocketAddrV4,
    waiting: bool,
}

/// All streams of one network.
pub struct Streams {
    routes: Routes,
    mtu: u16,
    iface: Interface,
    sockets: SocketSet<'static>,
    flows: BTreeMap<u32, Flow>,
    keys: BTreeMap<Key, u32>,
    last_id: u32,
    ports: Vec<Port>,
    last_port: u16,
    retry: Option<Duration>,
    more: bool,
}

/// One side of the wire, as the stack sees it.
struct Wire<'a> {
    packet: Option<&'a [u8]>,
    link: &'a mut Link,
    mtu: u16,
}

struct Packet<'a>(&'a [u8]);
struct Slot<'a>(&'a mut Link);

impl RxToken for Packet<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Slot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; HEADER + len];
        let result = f(&mut frame[HEADER..]);
        if let Ok(packet) = Ipv4Packet::new_checked(&frame[HEADER..]) {
            let to = packet.dst_addr();
            self.0.send_ip(frame, to);
        }
        result
    }
}

impl Device for Wire<'_> {
    type RxToken<'a>
        = Packet<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Slot<'a>
    where
        Self: 'a;

    fn receive(&mut self, _now: Instant) -> Option<(Packet<'_>, Slot<'_>)> {
        Some((Packet(self.packet.take()?), Slot(self.link)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Slot<'_>> {
        (self.link.waiting() < BURST).then_some(Slot(self.link))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = usize::from(self.mtu);
        capabilities
    }
}

fn instant(time: Duration) -> Instant {
    Instant::from_micros(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

fn endpoint(address: SocketAddrV4) -> IpEndpoint {
    IpEndpoint::new(IpAddress::Ipv4(*address.ip()), address.port())
}

/// A socket for the guest's side of a flow.
fn socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false); // Who wants to wait for more has done so at the other end.
    socket.set_keep_alive(Some(KEEP_ALIVE.into()));
    socket.set_timeout(Some(SILENCE.into()));
    socket
}

/// Begins a connection of the host, without waiting for it; true if it has come about.
fn connect(to: SocketAddr) -> io::Result<(TcpStream, bool)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let stream =
        TcpStream::from(socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?);
    match rustix::net::connect(&stream, &to) {
        Ok(()) => Ok((stream, true)),
        Err(rustix::io::Errno::INPROGRESS) => Ok((stream, false)),
        Err(error) => Err(error.into()),
    }
}

/// How far the connection of the host has come: made, not yet, or failed.
fn progress(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the end of a stream of the host a reset.
fn end_by_reset(stream: &TcpStream) {
    // If the host cannot, its peer sees an ordinary end; there is nobody to tell.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

impl Streams {
    /// No streams yet, and the ports that lead to guests.
    #[must_use]
    pub fn new(routes: Routes, mtu: u16, link: &mut Link, now: Duration) -> Self {
        let mut wire = Wire { packet: None, link, mtu };
        let config = Config::new(HardwareAddress::Ip);
        let mut iface = Interface::new(config, &mut wire, instant(now));
        let address = IpAddress::Ipv4(routes.plan.gateway());
        iface.update_ip_addrs(|addresses| {
            // The list has room for one.
            let _ = addresses.push(IpCidr::new(address, routes.plan.length()));
        });
        iface.set_any_ip(true);
        Self {
            routes,
            mtu,
            iface,
            sockets: SocketSet::new(Vec::new()),
            flows: BTreeMap::new(),
            keys: BTreeMap::new(),
            last_id: 0,
            ports: Vec::new(),
            last_port: u16::MAX,
            retry: None,
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
        let listener = TcpListener::bind(host)?;
        listener.set_nonblocking(true)?;
        ready
            .add(&listener, Token::Listener(u32::try_from(self.ports.len()).unwrap_or(u32::MAX)))?;
        self.ports.push(Port { listener, guest, waiting: false });
        Ok(())
    }

    /// Flows at present, those included that only wait for stray segments.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Takes a guest's packet in.
    pub fn input(
        &mut self,
        around: &mut Surroundings<'_>,
        header: Ipv4Repr,
        packet: &Ipv4Packet<&[u8]>,
    ) {
        let Ok(segment) = TcpPacket::new_checked(packet.payload()) else { return };
        let key = Key {
            guest: SocketAddrV4::new(header.src_addr, segment.src_port()),
            far: SocketAddrV4::new(header.dst_addr, segment.dst_port()),
        };
        let target = self.routes.target(key.far);
        if target == Target::Elsewhere {
            return;
        }
        let begins = segment.syn() && !segment.ack() && !segment.rst() && !segment.fin();
        let bytes = packet.as_ref();
        if let Some(&id) = self.keys.get(&key) {
            let Some(flow) = self.flows.get_mut(&id) else { return };
            match &mut flow.stage {
                Stage::Connecting { syn, .. } if begins => *syn = bytes.to_vec(),
                Stage::Connecting { .. } if segment.rst() => self.forget(id),
                Stage::Connecting { .. } => {}
                &mut Stage::Open(handle) => {
                    let state = self.sockets.get::<Socket<'_>>(handle).state();
                    if !begins || state != State::TimeWait {
                        self.feed(around, bytes);
                        return;
                    }
                    self.forget(id); // The guest begins anew with the ports of the last time.
                }
            }
            if !begins || self.keys.contains_key(&key) {
                return;
            }
        }
        let sound = segment.verify_checksum(&header.src_addr.into(), &header.dst_addr.into());
        match target {
            Target::Host(to) if begins && sound => {
                let about = About::new(header, packet.payload());
                self.begin(around, key, to, bytes.to_vec(), about);
            }
            // Without a socket that listens, the answer is a reset.
            _ => self.feed(around, bytes),
        }
    }

    /// Gives a packet to the stack.
    fn feed(&mut self, around: &mut Surroundings<'_>, packet: &[u8]) {
        let mut wire = Wire { packet: Some(packet), link: around.link, mtu: self.mtu };
        let now = instant(around.now);
        self.iface.poll_ingress_single(now, &mut wire, &mut self.sockets);
    }

    /// True if there is room for another flow; one that is over may make it.
    fn make_room(&mut self) -> bool {
        if self.flows.len() < FLOWS_MAX {
            return true;
        }
        let over = self.flows.iter().find_map(|(&id, flow)| match flow.stage {
            Stage::Open(handle) => {
                let state = self.sockets.get::<Socket<'_>>(handle).state();
                (state == State::TimeWait && flow.guest_ended).then_some(id)
            }
            Stage::Connecting { .. } => None,
        });
        over.inspect(|&id| self.forget(id)).is_some()
    }

    /// A number for a new flow.
    fn fresh_id(&mut self) -> u32 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !self.flows.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }

    fn insert(&mut self, id: u32, key: Key, host: TcpStream, stage: Stage) {
        let flow = Flow {
            key,
            host,
            stage,
            readable: false,
            writable: false,
            host_ended: false,
            guest_ending: false,
            guest_ended: false,
        };
        self.flows.insert(id, flow);
        self.keys.insert(key, id);
    }

    /// Removes a flow and its sockets.
    fn forget(&mut self, id: u32) {
        if let Some(flow) = self.flows.remove(&id) {
            self.keys.remove(&flow.key);
            if let Stage::Open(handle) = flow.stage {
                self.sockets.remove(handle);
            }
        }
    }

    /// Begins an outward flow.
    fn begin(
        &mut self,
        around: &mut Surroundings<'_>,
        key: Key,
        to: SocketAddr,
        syn: Vec<u8>,
        about: About,
    ) {
        if !self.make_room() {
            self.feed(around, &syn);
            return;
        }
        let id = self.fresh_id();
        let watched = connect(to).and_then(|(host, done)| {
            around.ready.add(&host, Token::Stream(id))?;
            Ok((host, done))
        });
        match watched {
            Ok((host, done)) => {
                self.insert(id, key, host, Stage::Connecting { syn, about });
                if done {
                    self.open(around, id);
                }
            }
            Err(error) => self.refuse(around, key, &syn, &about, &error),
        }
    }

    /// Tells a guest why there is no connection.
    fn refuse(
        &mut self,
        around: &mut Surroundings<'_>,
        key: Key,
        syn: &[u8],
        about: &About,
        error: &io::Error,
    ) {
        let reason = match error.kind() {
            ErrorKind::NetworkUnreachable => Icmpv4DstUnreachable::NetUnreachable,
            ErrorKind::HostUnreachable | ErrorKind::TimedOut => {
                Icmpv4DstUnreachable::HostUnreachable
            }
            _ => return self.feed(around, syn), // which answers with a reset
        };
        let from = if self.routes.plan.is_ours(*key.far.ip()) {
            *key.far.ip()
        } else {
            self.routes.plan.gateway()
        };
        around.maker.unreachable(around.link, from, about, reason);
    }

    /// The host has connected: the guest's SYN is answered.
    fn open(&mut self, around: &mut Surroundings<'_>, id: u32) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        // Bursts come whole from the guest's side, so there is nothing to collect.
        let _ = flow.host.set_nodelay(true);
        let key = flow.key;
        let mut guest = socket();
        let address = Some(IpAddress::Ipv4(*key.far.ip()));
        if guest.listen(IpListenEndpoint { addr: address, port: key.far.port() }).is_err() {
            self.forget(id);
            return;
        }
        let handle = self.sockets.add(guest);
        let Stage::Connecting { syn, .. } = std::mem::replace(&mut flow.stage, Stage::Open(handle))
        else {
            return;
        };
        (flow.readable, flow.writable) = (true, true);
        self.feed(around, &syn);
        let socket = self.sockets.get::<Socket<'_>>(handle);
        if socket.remote_endpoint() != Some(endpoint(key.guest)) {
            // The stack has found the SYN wanting. A socket left listening would take another's.
            if let Some(flow) = self.flows.get(&id) {
                end_by_reset(&flow.host);
            }
            self.forget(id);
        }
    }

    /// Something has happened to a stream of the host.
    pub fn event(
        &mut self,
        around: &mut Surroundings<'_>,
        id: u32,
        readable: bool,
        writable: bool,
    ) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        flow.readable |= readable;
        flow.writable |= writable;
        let Stage::Connecting { .. } = flow.stage else { return };
        match progress(&flow.host) {
            Ok(true) => self.open(around, id),
            Ok(false) => {}
            Err(error) => {
                let Some(flow) = self.flows.remove(&id) else { return };
                self.keys.remove(&flow.key);
                if let Stage::Connecting { syn, about } = flow.stage {
                    self.refuse(around, flow.key, &syn, &about, &error);
                }
            }
        }
    }

    /// Somebody may have connected to a forwarded port.
    pub fn knock(&mut self, port: u32) {
        if let Some(port) = self.ports.get_mut(port as usize) {
            port.waiting = true;
        }
    }

    /// Accepts what waits at the forwarded ports.
    fn accept(&mut self, around: &Surroundings<'_>) {
        self.retry = None;
        for n in 0..self.ports.len() {
            while self.ports[n].waiting {
                match self.ports[n].listener.accept() {
                    Ok((host, _)) => {
                        let guest = self.ports[n].guest;
                        if self.inward(around, host, guest).is_none() {
                            // Dropped: whoever has connected sees an end.
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.ports[n].waiting = false;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => {
                        // No descriptors left, perhaps, or a client that has gone already.
                        self.retry = Some(around.now + RETRY);
                        break;
                    }
                }
            }
        }
    }

    /// Begins an inward flow.
    fn inward(
        &mut self,
        around: &Surroundings<'_>,
        host: TcpStream,
        guest: SocketAddrV4,
    ) -> Option<()> {
        end_by_reset(&host);
        if !self.make_room() {
            return None;
        }
        host.set_nonblocking(true).ok()?;
        host.set_nodelay(true).ok()?;
        let far = self.free_port(guest)?;
        let id = self.fresh_id();
        around.ready.add(&host, Token::Stream(id)).ok()?;
        let mut socket = socket();
        socket.connect(self.iface.context(), endpoint(guest), endpoint(far)).ok()?;
        let handle = self.sockets.add(socket);
        self.insert(id, Key { guest, far }, host, Stage::Open(handle));
        let flow = self.flows.get_mut(&id)?;
        (flow.readable, flow.writable) = (true, true);
        // From here on an end is an end, unless it is broken off.
        let _ = rustix::net::sockopt::set_socket_linger(&flow.host, None);
        Some(())
    }

    /// A port of the gateway that has no flow with this guest's port.
    fn free_port(&mut self, guest: SocketAddrV4) -> Option<SocketAddrV4> {
        let gateway: Ipv4Addr = self.routes.plan.gateway();
        (0..=FLOWS_MAX).find_map(|_| {
            self.last_port = self.last_port.checked_add(1).unwrap_or(PORTS_FIRST);
            let far = SocketAddrV4::new(gateway, self.last_port);
            (!self.keys.contains_key(&Key { guest, far })).then_some(far)
        })
    }

    /// Moves whatever can be moved.
    pub fn work(&mut self, around: &mut Surroundings<'_>) {
        self.accept(around);
        let now = instant(around.now);
        loop {
            let mut moved = false;
            for flow in self.flows.values_mut() {
                if let Stage::Open(handle) = flow.stage {
                    moved |= flow.relay(self.sockets.get_mut::<Socket<'_>>(handle));
                }
            }
            let before = around.link.waiting();
            let mut wire = Wire { packet: None, link: around.link, mtu: self.mtu };
            loop {
                match self.iface.poll_egress(now, &mut wire, &mut self.sockets) {
                    PollResult::None => break,
                    PollResult::SocketStateChanged => {}
                }
            }
            let after = around.link.waiting();
            self.more = after >= BURST;
            if self.more || (!moved && after == before) {
                break;
            }
        }
        let over: Vec<u32> = self
            .flows
            .iter()
            .filter_map(|(&id, flow)| match flow.stage {
                Stage::Open(handle) => {
                    let socket = self.sockets.get::<Socket<'_>>(handle);
                    let told = socket.remote_endpoint().is_none();
                    let closed = socket.state() == State::Closed && told;
                    (closed && !socket.can_recv()).then_some(id)
                }
                Stage::Connecting { .. } => None,
            })
            .collect();
        for id in over {
            self.forget(id);
        }
    }

    /// When work is due.
    pub fn due(&mut self, now: Duration) -> Option<Duration> {
        if self.more {
            return Some(now);
        }
        let stack = self.iface.poll_at(instant(now), &self.sockets).map(|at| {
            Duration::from_micros(u64::try_from(at.total_micros()).unwrap_or(0)).max(now)
        });
        stack.into_iter().chain(self.retry).min()
    }
}

/// Calls the host until it is not interrupted.
fn steadily(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Flow {
    /// Moves bytes and ends both ways; true if anything has moved.
    fn relay(&mut self, guest: &mut Socket<'_>) -> bool {
        match self.outward(guest).and_then(|out| Ok(self.homeward(guest)? | out)) {
            Ok(moved) => moved,
            Err(_) => {
                // The host's connection is broken, and so is the guest's.
                self.break_off(guest);
                false
            }
        }
    }

    fn break_off(&mut self, guest: &mut Socket<'_>) {
        end_by_reset(&self.host);
        guest.abort();
        while guest.can_recv() && guest.recv(|data| (data.len(), ())).is_ok() {}
        (self.host_ended, self.guest_ending, self.guest_ended) = (true, true, true);
        (self.readable, self.writable) = (false, false);
    }

    /// From the guest to the host.
    fn outward(&mut self, guest: &mut Socket<'_>) -> io::Result<bool> {
        let mut moved = false;
        self.guest_ending |= matches!(
            guest.state(),
            State::CloseWait | State::Closing | State::LastAck | State::TimeWait
        );
        while self.writable && guest.can_recv() {
            let mut host = &self.host;
            let result = guest.recv(|data| match steadily(|| host.write(data)) {
                Ok(taken) => (taken, Ok(taken)),
                Err(error) => (0, Err(error)),
            });
            match result {
                Ok(Ok(taken)) => moved |= taken > 0,
                Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Ok(Err(error)) => return Err(error),
                Err(_) => break,
            }
        }
        if self.guest_ended || guest.can_recv() {
            return Ok(moved);
        }
        if self.guest_ending {
            self.guest_ended = true;
            match self.host.shutdown(Shutdown::Write) {
                // The host's peer has reset it; what it sent before that is still to come.
                Err(error) if error.kind() == ErrorKind::NotConnected => {}
                result => result?,
            }
            return Ok(true);
        }
        if guest.state() == State::Closed {
            // A reset of the guest's, or silence, and not the end of both halves.
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok(moved)
    }

    /// From the host to the guest.
    fn homeward(&mut self, guest: &mut Socket<'_>) -> io::Result<bool> {
        let mut moved = false;
        while self.readable && !self.host_ended && guest.can_send() {
            let mut host = &self.host;
            let result = guest.send(|room| match steadily(|| host.read(room)) {
                Ok(read) => (read, Ok(read)),
                Err(error) => (0, Err(error)),
            });
            match result {
                Ok(Ok(0)) => {
                    self.host_ended = true;
                    guest.close();
                    moved = true;
                }
                Ok(Ok(_)) => moved = true,
                Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Ok(Err(error)) => return Err(error),
                Err(_) => break,
            }
        }
        // A guest that has ended and then broken off reads no more.
        if guest.state() == State::Closed && self.guest_ended && !self.host_ended {
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok(moved)
    }
}
