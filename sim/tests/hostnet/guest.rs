//! A guest without a simulator: smoltcp on an Ethernet that leads to a network of the host.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sim::hostnet::{Clock, HostNet};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant as Moment;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, HardwareAddress, IpCidr, IpProtocol,
    Ipv4Address, Ipv4Packet,
};
use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing may happen before the guest looks again.
const NAP: Duration = Duration::from_millis(20);

/// The host's clock.
pub fn clock() -> Clock {
    let begin = Instant::now();
    Box::new(move || begin.elapsed())
}

/// The guest's end of the wire.
pub struct Wire {
    mtu: usize,
    pub rx: VecDeque<Vec<u8>>,
    tx: Vec<Vec<u8>>,
}

pub struct Rx(pub Vec<u8>);
pub struct Tx<'a>(pub &'a mut Vec<Vec<u8>>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: Moment) -> Option<(Rx, Tx<'_>)> {
        Some((Rx(self.rx.pop_front()?), Tx(&mut self.tx)))
    }

    fn transmit(&mut self, _: Moment) -> Option<Tx<'_>> {
        (self.tx.len() < 1024).then_some(Tx(&mut self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + 14;
        capabilities
    }
}

/// A guest, and the network it is on.
pub struct Guest {
    pub iface: Interface,
    pub wire: Wire,
    pub sockets: SocketSet<'static>,
    pub net: Box<dyn HostNet>,
    /// ICMP messages that have come, without their IP header.
    pub icmp: Vec<Vec<u8>>,
    /// The other end may have reasons to say strange things.
    pub lenient: bool,
    begin: Instant,
    next_port: u16,
}

impl Guest {
    /// A guest with the address `address`/24, or none yet, and a route through .2.
    pub fn new(net: impl HostNet + 'static, mtu: u16, address: Option<&str>) -> Self {
        let mut wire = Wire { mtu: usize::from(mtu), rx: VecDeque::new(), tx: Vec::new() };
        let mac = EthernetAddress([0x02, 0, 0, 0, 0, 0x15]);
        let config = Config::new(HardwareAddress::Ethernet(mac));
        let mut iface = Interface::new(config, &mut wire, Moment::ZERO);
        if let Some(address) = address {
            let address: Ipv4Address = address.parse().unwrap();
            iface.update_ip_addrs(|list| list.push(IpCidr::new(address.into(), 24)).unwrap());
            let [a, b, c, _] = address.octets();
            iface.routes_mut().add_default_ipv4_route(Ipv4Address::new(a, b, c, 2)).unwrap();
        }
        let (sockets, begin) = (SocketSet::new(Vec::new()), Instant::now());
        Self {
            iface,
            wire,
            sockets,
            net: Box::new(net),
            icmp: Vec::new(),
            lenient: false,
            begin,
            next_port: 40000,
        }
    }

    /// Moves what can be moved, and waits a little if nothing can.
    pub fn step(&mut self) {
        let now = Moment::from_micros(i64::try_from(self.begin.elapsed().as_micros()).unwrap());
        self.iface.poll(now, &mut self.wire, &mut self.sockets);
        for frame in self.wire.tx.drain(..) {
            self.net.send(&frame);
        }
        let mut frames = Vec::new();
        self.net.poll(&mut frames);
        if frames.is_empty() {
            let own = self.iface.poll_delay(now, &self.sockets).map(Duration::from);
            let nap = [self.net.deadline(), own].into_iter().flatten().min().unwrap_or(NAP);
            let nap = nap.min(NAP);
            let nap = Timespec { tv_sec: 0, tv_nsec: i64::try_from(nap.as_nanos()).unwrap() };
            let fds = self.net.wait_fds();
            let mut fds: Vec<_> =
                fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
            poll(&mut fds, Some(&nap)).unwrap();
        }
        for frame in frames {
            let ethernet = EthernetFrame::new_checked(&frame[..]).unwrap();
            if !self.lenient && ethernet.ethertype() == EthernetProtocol::Ipv4 {
                let packet = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
                assert!(packet.verify_checksum());
                assert!(usize::from(packet.total_len()) <= self.wire.mtu, "too long a packet");
                if packet.next_header() == IpProtocol::Icmp {
                    self.icmp.push(packet.payload().to_vec());
                }
            }
            self.wire.rx.push_back(frame);
        }
    }

    /// Steps until `done` says so.
    pub fn until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(result) = done(self) {
                return result;
            }
            assert!(begin.elapsed() < PATIENCE, "{what}: not in a minute");
            self.step();
        }
    }

    /// Steps for a while.
    pub fn idle(&mut self, time: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < time {
            self.step();
        }
    }

    pub fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub fn udp(&mut self, handle: SocketHandle) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// A TCP socket that nothing has been done with.
    pub fn socket(&mut self) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 512 << 10]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        self.sockets.add(socket)
    }

    /// Begins a connection.
    pub fn connect(&mut self, to: SocketAddrV4) -> SocketHandle {
        let handle = self.socket();
        self.next_port += 1;
        let far = (*to.ip(), to.port());
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket.connect(self.iface.context(), far, self.next_port).unwrap();
        handle
    }

    /// Begins a connection and waits until it has come about.
    pub fn connected(&mut self, to: SocketAddrV4) -> SocketHandle {
        let handle = self.connect(to);
        self.until("connect", |guest| guest.tcp(handle).may_send().then_some(()));
        handle
    }

    /// A UDP socket at a port.
    pub fn bound(&mut self, port: u16) -> SocketHandle {
        let buffer =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 1 << 20]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(port).unwrap();
        self.sockets.add(socket)
    }

    /// Sends a datagram, and gives the answer and where it is from.
    pub fn ask(
        &mut self,
        handle: SocketHandle,
        to: SocketAddrV4,
        data: &[u8],
    ) -> (Vec<u8>, String) {
        self.udp(handle).send_slice(data, (*to.ip(), to.port())).unwrap();
        self.until("an answer", |guest| {
            let (data, meta) = guest.udp(handle).recv().ok()?;
            Some((data.to_vec(), meta.endpoint.to_string()))
        })
    }

    /// Sends all of `data`, and reads to the other's end; says what has been read.
    pub fn exchange(&mut self, handle: SocketHandle, data: &[u8]) -> Vec<u8> {
        let (mut sent, mut closed, mut got) = (0, false, Vec::new());
        self.until("an exchange", |guest| {
            let socket = guest.tcp(handle);
            if sent < data.len() && socket.can_send() {
                sent += socket.send_slice(&data[sent..]).unwrap();
            }
            if sent == data.len() && !closed {
                socket.close();
                closed = true;
            }
            while socket.can_recv() {
                socket.recv(|piece| (piece.len(), got.extend_from_slice(piece))).unwrap();
            }
            (closed && !socket.may_recv()).then_some(())
        });
        got
    }
}
