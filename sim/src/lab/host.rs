//! A host of the lab: a TCP/IP stack on a port of a network.
//!
//! The stack is smoltcp; its time comes in as an argument and its frames go
//! through two lists. [`Host::poll`] does all that is due; [`Host::next_time`] says
//! when there will be more. What runs on a host (a server, a typist) is a
//! [`LabHost`], and [`super::Lab`] joins hosts to networks.

use super::nas::image::Image;
use super::record::Fact;
use crate::net::switch::Mac;
use crate::time::rng::Seed;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{AnySocket, icmp, tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address, Ipv4Cidr};
use std::collections::{BTreeMap, VecDeque};
use sun4v::record::{LoadError, Schema, decode};
use sun4v::time::SimTime;

/// The software of a host.
pub trait LabHost: Send {
    /// The name it has in scenarios and records.
    fn name(&self) -> &str;
    /// A frame has arrived; it is looked at in [`LabHost::run`].
    fn frame(&mut self, frame: Vec<u8>);
    /// Does all that is due at `now`.
    fn run(&mut self, now: SimTime);
    /// When to run next, later than the last run; [`SimTime::NEVER`] if only a frame
    /// or a command can bring it to life.
    fn next_time(&self) -> SimTime;
    /// Frames to send since the last call.
    fn take_frames(&mut self) -> Vec<Vec<u8>>;
    /// Facts noted since the last call.
    fn take_facts(&mut self) -> Vec<Fact>;
    /// Carries out a command of the scenario's script. Gives the text that answers
    /// it, or why it was refused.
    fn command(&mut self, line: &str, now: SimTime) -> Result<String, String>;
    /// A checkpoint comes: what does not outlive it is let go of, as if the stack were
    /// switched off. Frames may be sent for the last time.
    fn hold(&mut self, _now: SimTime) {}
    /// Records of what outlives a checkpoint.
    ///
    /// # Errors
    /// Why there are none now, for a person.
    fn save(&self) -> Result<Vec<u8>, String> {
        Err("this host cannot be saved".to_owned())
    }
    /// Loads records into a host that the scenario has just made.
    ///
    /// # Errors
    /// A record that breaks a rule.
    fn load(&mut self, _bytes: &[u8]) -> Result<(), LoadError> {
        let why = "this host cannot be loaded";
        Err(LoadError::Inconsistent { kind: "lab/host", why })
    }
    /// After a checkpoint it begins again, with a fresh stack.
    fn restart(&mut self, _now: SimTime) {}
    /// A disk that it serves, by the name of its image.
    fn image(&self, _name: &str) -> Option<&Image> {
        None
    }
    /// The newest epoch at which an image of its was claimed.
    fn claimed_at(&self, _image: &str) -> Option<u64> {
        None
    }
    /// More bytes than its records have.
    fn records_max(&self) -> u64 {
        1 << 20
    }
}

/// The one record that a host has.
///
/// # Errors
/// It is damaged, or not alone.
pub(super) fn only<S: Schema>(mut bytes: &[u8]) -> Result<S, LoadError> {
    let record = decode(&mut bytes)?;
    let why = "bytes follow the record";
    let kind = S::KIND;
    if bytes.is_empty() { Ok(record) } else { Err(LoadError::Damaged { kind, why }) }
}

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Ethernet address.
    pub mac: Mac,
    /// IPv4 address.
    pub ip: [u8; 4],
    /// Bits of it that name the network.
    pub prefix: u8,
    /// Largest payload of a frame.
    pub mtu: u16,
}

/// Addresses of hosts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub BTreeMap<String, [u8; 4]>);

impl Names {
    /// The address of a host that is named, or written as four numbers with dots.
    pub fn find(&self, host: &str) -> Result<[u8; 4], String> {
        let known = self.0.get(host).copied();
        known
            .or_else(|| host.parse::<std::net::Ipv4Addr>().ok().map(|address| address.octets()))
            .ok_or_else(|| format!("no host `{host}`"))
    }

    /// What a host is called, or its address.
    #[must_use]
    pub fn name_of(&self, address: [u8; 4]) -> String {
        let named = self.0.iter().find(|(_, known)| **known == address);
        named
            .map_or_else(|| std::net::Ipv4Addr::from(address).to_string(), |(name, _)| name.clone())
    }
}

/// The two lists of frames between a stack and its port.
struct Wire {
    mtu: u16,
    received: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

struct Received(Vec<u8>);
struct Sent<'a>(&'a mut Vec<Vec<u8>>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sent<'_>)> {
        Some((Received(self.received.pop_front()?), Sent(&mut self.sent)))
    }
    fn transmit(&mut self, _: Instant) -> Option<Sent<'_>> {
        Some(Sent(&mut self.sent))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = usize::from(self.mtu) + 14;
        capabilities
    }
}

/// Simulated time as the stack counts it, rounded down to microseconds.
fn instant(now: SimTime) -> Instant {
    Instant::from_micros(now.as_us() as i64)
}

/// A TCP/IP stack.
pub struct Host {
    wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    polled: SimTime,
    fresh: bool,
    /// The last poll moved no frame.
    quiet: bool,
}

/// A stack that wants to be polled at once although its last poll did nothing waits
/// for something that time alone does not bring; it is looked at now and then.
const QUIET_STEP_US: u64 = 1_000;

impl Host {
    /// A stack at `address`; its sequence numbers come from the stream `host/NAME`.
    #[must_use]
    pub fn new(name: &str, address: &Address, seed: Seed) -> Self {
        let mut wire = Wire { mtu: address.mtu, received: VecDeque::new(), sent: Vec::new() };
        let mut config = Config::new(EthernetAddress(address.mac).into());
        config.random_seed = seed.stream(&format!("host/{name}")).draw();
        let mut interface = Interface::new(config, &mut wire, Instant::ZERO);
        let cidr = Ipv4Cidr::new(Ipv4Address::from(address.ip), address.prefix);
        interface.update_ip_addrs(|addresses| {
            // There is room for at least one, and it is the first.
            let _ = addresses.push(IpCidr::Ipv4(cidr));
        });
        Self {
            wire,
            interface,
            sockets: SocketSet::new(Vec::new()),
            polled: SimTime::ZERO,
            fresh: true,
            quiet: false,
        }
    }

    /// Adds a TCP socket with buffers of these sizes; no Nagle, no delayed
    /// acknowledgements.
    pub fn add_tcp(&mut self, receive_bytes: usize, send_bytes: usize) -> SocketHandle {
        let buffer = |bytes| tcp::SocketBuffer::new(vec![0; bytes]);
        let mut socket = tcp::Socket::new(buffer(receive_bytes), buffer(send_bytes));
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        self.sockets.add(socket)
    }

    /// Adds a UDP socket that holds `bytes` of up to 256 datagrams.
    pub fn add_udp(&mut self, bytes: usize) -> SocketHandle {
        let buffer =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 256], vec![0; bytes]);
        self.sockets.add(udp::Socket::new(buffer(), buffer()))
    }

    /// Adds an ICMP socket that holds up to 64 messages.
    pub fn add_icmp(&mut self) -> SocketHandle {
        let buffer =
            || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 64], vec![0; 8192]);
        self.sockets.add(icmp::Socket::new(buffer(), buffer()))
    }

    /// A socket. Panics for a handle of another host or kind.
    pub fn socket<S: AnySocket<'static>>(&mut self, handle: SocketHandle) -> &mut S {
        self.fresh = true;
        self.sockets.get_mut(handle)
    }

    /// Opens a connection. False if the socket is already in use.
    #[must_use]
    pub fn connect(&mut self, handle: SocketHandle, to: ([u8; 4], u16), from_port: u16) -> bool {
        self.fresh = true;
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        let to = (Ipv4Address::from(to.0), to.1);
        socket.connect(self.interface.context(), to, from_port).is_ok()
    }

    /// Takes in a frame.
    pub fn frame(&mut self, frame: Vec<u8>) {
        self.fresh = true;
        self.wire.received.push_back(frame);
    }

    /// Handles frames and timers that are due.
    pub fn poll(&mut self, now: SimTime) {
        let (waited, sent) = (self.wire.received.len(), self.wire.sent.len());
        self.interface.poll(instant(now), &mut self.wire, &mut self.sockets);
        self.quiet = self.wire.received.len() == waited && self.wire.sent.len() == sent;
        self.polled = now;
        self.fresh = false;
    }

    /// When the stack wants to be polled next: later than the last poll, unless
    /// something was put in since.
    #[must_use]
    pub fn next_time(&mut self) -> SimTime {
        if self.fresh {
            return self.polled;
        }
        match self.interface.poll_at(instant(self.polled), &self.sockets) {
            // A microsecond is the shortest step of the stack's time.
            Some(at) => {
                let (at, polled) = (at.total_micros() as u64, self.polled.as_us());
                let step = if self.quiet { QUIET_STEP_US } else { 1 };
                SimTime::us(if at > polled { at } else { polled + step })
            }
            None => SimTime::NEVER,
        }
    }

    /// Frames that the stack sent since the last call.
    pub fn take_frames(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.wire.sent)
    }
}

/// Hosts that tests talk to.
#[cfg(test)]
pub(crate) mod test {
    use super::{Address, Host, LabHost, Names};
    use crate::lab::record::Fact;
    use crate::time::rng::Seed;
    use sun4v::time::SimTime;

    /// A place on the lab's network.
    pub fn address(last: u8) -> Address {
        Address { mac: [2, 0, 0, 0, 1, last], ip: [192, 168, 1, last], prefix: 24, mtu: 1500 }
    }

    /// The lab's names.
    pub fn names() -> Names {
        let names = [("workstation", 10), ("pinger", 11), ("rover", 50)];
        Names(names.map(|(name, last)| (name.to_owned(), [192, 168, 1, last])).into())
    }

    /// A host that only answers pings.
    pub struct Echo {
        name: String,
        host: Host,
        next: SimTime,
    }

    impl Echo {
        pub fn new(name: &str, last: u8) -> Self {
            let host = Host::new(name, &address(last), Seed(9));
            Self { name: name.to_owned(), host, next: SimTime::NEVER }
        }
    }

    impl LabHost for Echo {
        fn name(&self) -> &str {
            &self.name
        }
        fn frame(&mut self, frame: Vec<u8>) {
            self.host.frame(frame);
            self.next = SimTime::ZERO;
        }
        fn run(&mut self, now: SimTime) {
            self.host.poll(now);
            self.next = self.host.next_time();
        }
        fn next_time(&self) -> SimTime {
            self.next
        }
        fn take_frames(&mut self) -> Vec<Vec<u8>> {
            self.host.take_frames()
        }
        fn take_facts(&mut self) -> Vec<Fact> {
            Vec::new()
        }
        fn command(&mut self, _: &str, _: SimTime) -> Result<String, String> {
            Err("an echo has no commands".to_owned())
        }
    }

    #[test]
    fn names_are_found_both_ways() {
        let names = names();
        assert_eq!(names.find("rover"), Ok([192, 168, 1, 50]));
        assert_eq!(names.find("10.0.0.1"), Ok([10, 0, 0, 1]));
        assert_eq!(names.find("mars"), Err("no host `mars`".to_owned()));
        assert_eq!(names.name_of([192, 168, 1, 11]), "pinger");
        assert_eq!(names.name_of([10, 0, 0, 1]), "10.0.0.1");
    }
}
