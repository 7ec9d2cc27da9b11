//! Pings of guests.
//!
//! The gateway and the name server answer by themselves. A ping to an address beyond the network
//! is sent by the host, if it lets people who are not root do that (`net.ipv4.ping_group_range`
//! on Linux); if not, it is dropped, and the guest sees no answer.
//!
//! **Limits.** [`SERIES_MAX`] series of pings at a time, each forgotten after [`SILENCE`].
//!
//! **Source.** RFC 792; icmp(7) for sockets that ping: the kernel puts its own identification
//! in, and gives back what came with it.

use super::ready::Token;
use super::route::{Routes, Target};
use super::streams::Surroundings;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Ipv4Repr};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Series of pings at a time.
pub const SERIES_MAX: usize = 32;
/// How long a series may be silent.
pub const SILENCE: Duration = Duration::from_secs(30);
/// Answers of one series in a poll.
const BATCH: usize = 64;
const MESSAGE_MAX: usize = 65535;

/// Pings that a guest sends with one identification to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    guest: Ipv4Addr,
    far: Ipv4Addr,
    ident: u16,
}

#[derive(Debug)]
struct Series {
    key: Key,
    /// A socket for ICMP messages, which are sent and received as datagrams are.
    socket: UdpSocket,
    used: Duration,
    readable: bool,
}

/// All pings of one network.
#[derive(Debug)]
pub struct Echo {
    routes: Routes,
    series: BTreeMap<u32, Series>,
    last_id: u32,
    more: bool,
}

/// A socket of the host that pings `to`.
fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, Some(ipproto::ICMP))?;
    let socket = UdpSocket::from(socket);
    socket.connect(to)?;
    Ok(socket)
}

impl Echo {
    /// No pings yet.
    #[must_use]
    pub fn new(routes: Routes) -> Self {
        Self { routes, series: BTreeMap::new(), last_id: 0, more: false }
    }

    /// Takes a guest's ICMP message in. Only questions are answered.
    pub fn input(&mut self, around: &mut Surroundings<'_>, header: Ipv4Repr, payload: &[u8]) {
        let Ok(packet) = Icmpv4Packet::new_checked(payload) else { return };
        let Ok(Icmpv4Repr::EchoRequest { ident, seq_no, data }) =
            Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default())
        else {
            return;
        };
        let (guest, far) = (header.src_addr, header.dst_addr);
        if self.routes.plan.is_ours(far) {
            let answer = Icmpv4Repr::EchoReply { ident, seq_no, data };
            around.maker.icmp(around.link, far, guest, &answer);
            return;
        }
        let target = self.routes.target(std::net::SocketAddrV4::new(far, 0));
        let Target::Host(to) = target else { return };
        let key = Key { guest, far, ident };
        let known = self.series.iter().find(|(_, series)| series.key == key);
        let id = match known {
            Some((&id, _)) => id,
            None => match self.begin(around, key, to) {
                Ok(id) => id,
                Err(_) => return, // The host does not let us, or has no way: dropped.
            },
        };
        if let Some(series) = self.series.get_mut(&id) {
            series.used = around.now;
            // What the host does not take is lost, as pings are.
            let _ = series.socket.send(payload);
        }
    }

    fn begin(&mut self, around: &Surroundings<'_>, key: Key, to: SocketAddr) -> io::Result<u32> {
        let socket = connected(to)?;
        if self.series.len() >= SERIES_MAX {
            let oldest = self.series.iter().min_by_key(|(_, series)| series.used);
            if let Some((&id, _)) = oldest {
                self.series.remove(&id);
            }
        }
        let id = loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !self.series.contains_key(&self.last_id) {
                break self.last_id;
            }
        };
        around.ready.add(&socket, Token::Echo(id))?;
        self.series.insert(id, Series { key, socket, used: around.now, readable: false });
        Ok(id)
    }

    /// A series has something to read.
    pub fn event(&mut self, id: u32) {
        if let Some(series) = self.series.get_mut(&id) {
            series.readable = true;
        }
    }

    /// Passes answers on, and forgets who has been silent.
    pub fn work(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        self.series.retain(|_, series| now < series.used + SILENCE);
        for series in self.series.values_mut().filter(|series| series.readable) {
            series.read(around);
        }
        self.more = self.series.values().any(|series| series.readable);
    }

    /// When work is due.
    #[must_use]
    pub fn due(&self, now: Duration) -> Option<Duration> {
        if self.more {
            return Some(now);
        }
        self.series.values().map(|series| series.used + SILENCE).min()
    }
}

impl Series {
    fn read(&mut self, around: &mut Surroundings<'_>) {
        let mut buffer = vec![0; MESSAGE_MAX];
        for _ in 0..BATCH {
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let Ok(packet) = Icmpv4Packet::new_checked(&buffer[..length]) else { continue };
                    let message = Icmpv4Repr::parse(&packet, &ChecksumCapabilities::ignored());
                    if let Ok(Icmpv4Repr::EchoReply { seq_no, data, .. }) = message {
                        let ident = self.key.ident;
                        let answer = Icmpv4Repr::EchoReply { ident, seq_no, data };
                        around.maker.icmp(around.link, self.key.far, self.key.guest, &answer);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return;
                }
                Err(_) => {} // Taken off the socket by telling of it.
            }
        }
    }
}
