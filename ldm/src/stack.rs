//! A TCP/IP stack on one network interface of the domain.
//!
//! Frames go in by [`Stack::frame`] and come out by [`Stack::take_frames`];
//! [`Stack::poll`] does what is due and [`Stack::next_poll`] says when to come
//! again. Nothing here asks a clock or the host's entropy.
//!
//! **Shapes.** Frames without FCS; `mtu` is that of IP (1500, 9000). Time inside
//! the stack counts microseconds.
//!
//! **Errors.** A connection that cannot be made or that breaks becomes
//! [`TcpState::Closed`]; sending on it takes no bytes.

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint, IpListenEndpoint};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use sun4v::time::SimTime;

/// Bytes of an Ethernet header.
const ETHERNET_HEADER: usize = 14;
/// The first port that connections start from.
const EPHEMERAL: u16 = 49_152;
/// A connection that hears nothing for so long, while it should, is dead.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Idle connections ask after so long whether the peer is there.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Datagrams that wait, either way.
const UDP_PACKETS: usize = 64;

/// Addresses of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackConf {
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Its IP address.
    pub ip: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// The longest IP packet.
    pub mtu: usize,
    /// For initial sequence numbers and ports.
    pub seed: u64,
}

/// A TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpId(SocketHandle);

/// A UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpId(SocketHandle);

/// What a TCP socket can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpState {
    /// It waits for a peer.
    Listening,
    /// It is being connected.
    Connecting,
    /// Bytes may flow both ways.
    Open,
    /// The peer sends no more; what came before may still be read.
    Ended,
    /// It is over.
    Closed,
}

#[derive(Default)]
struct Frames {
    arrived: VecDeque<Vec<u8>>,
    leaving: Vec<Vec<u8>>,
    mtu: usize,
}

struct Arrived(Vec<u8>);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Leaving<'a>(&'a mut Vec<Vec<u8>>);

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for Frames {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arrived, Leaving<'_>)> {
        let frame = self.arrived.pop_front()?;
        Some((Arrived(frame), Leaving(&mut self.leaving)))
    }
    fn transmit(&mut self, _: Instant) -> Option<Leaving<'_>> {
        Some(Leaving(&mut self.leaving))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + ETHERNET_HEADER;
        capabilities
    }
}

/// A socket whose owner has let go of it.
struct Closing {
    handle: SocketHandle,
    /// Since when nothing but a reset to the peer is left to do.
    over: Option<SimTime>,
}

/// A reset that cannot be sent for so long never will: nobody answers at that
/// address. Asking for it further would keep others from being asked for.
const RESET_PATIENCE: SimTime = SimTime::secs(1);

/// The stack.
pub struct Stack {
    conf: StackConf,
    interface: Interface,
    sockets: SocketSet<'static>,
    frames: Frames,
    /// Closed by us, to be removed once the peer knows.
    closing: Vec<Closing>,
    next_port: u16,
    /// The last poll moved no frame.
    quiet: bool,
}

/// A stack that wants to be polled at once although its last poll did nothing waits
/// for something that time alone does not bring; it is looked at now and then.
const QUIET_STEP: SimTime = SimTime::ms(1);

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("conf", &self.conf).finish_non_exhaustive()
    }
}

fn instant(time: SimTime) -> Instant {
    Instant::from_micros(time.as_us() as i64)
}

impl Stack {
    /// A stack without sockets. The MAC address is unicast.
    #[must_use]
    pub fn new(conf: StackConf) -> Self {
        let mut frames = Frames { mtu: conf.mtu, ..Frames::default() };
        let mut config = Config::new(EthernetAddress(conf.mac).into());
        config.random_seed = conf.seed;
        let mut interface = Interface::new(config, &mut frames, Instant::ZERO);
        interface.update_ip_addrs(|addrs| {
            // Room for one there is.
            let _ = addrs.push(IpCidr::new(conf.ip.into(), conf.prefix));
        });
        let next_port = EPHEMERAL + (conf.seed % 8192) as u16;
        let sockets = SocketSet::new(Vec::new());
        Self { conf, interface, sockets, frames, closing: Vec::new(), next_port, quiet: false }
    }

    /// Its addresses.
    #[must_use]
    pub const fn conf(&self) -> &StackConf {
        &self.conf
    }

    /// A frame arrived.
    pub fn frame(&mut self, bytes: Vec<u8>) {
        self.frames.arrived.push_back(bytes);
    }

    /// Does what is due; true when a socket may have changed.
    pub fn poll(&mut self, now: SimTime) -> bool {
        let (waited, left) = (self.frames.arrived.len(), self.frames.leaving.len());
        let result = self.interface.poll(instant(now), &mut self.frames, &mut self.sockets);
        self.quiet = self.frames.arrived.len() == waited && self.frames.leaving.len() == left;
        let sockets = &mut self.sockets;
        self.closing.retain_mut(|closing| {
            let socket = sockets.get::<tcp::Socket<'_>>(closing.handle);
            let over = match socket.state() {
                tcp::State::Closed if socket.remote_endpoint().is_some() => {
                    now.since(*closing.over.get_or_insert(now)) >= RESET_PATIENCE
                }
                state => matches!(state, tcp::State::Closed | tcp::State::TimeWait),
            };
            if over {
                sockets.remove(closing.handle);
            }
            !over
        });
        result == smoltcp::iface::PollResult::SocketStateChanged
    }

    /// When to poll again without a frame; [`SimTime::NEVER`] when nothing is due.
    pub fn next_poll(&mut self, now: SimTime) -> SimTime {
        match self.interface.poll_at(instant(now), &self.sockets) {
            Some(at) => {
                let at = SimTime::us(at.total_micros().max(0) as u64);
                if at <= now && self.quiet { now.plus(QUIET_STEP) } else { at.max(now) }
            }
            None => SimTime::NEVER,
        }
    }

    /// Frames to send, in order.
    pub fn take_frames(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.frames.leaving)
    }

    fn tcp_socket(buffer: usize) -> tcp::Socket<'static> {
        let mut socket = tcp::Socket::new(
            tcp::SocketBuffer::new(vec![0; buffer]),
            tcp::SocketBuffer::new(vec![0; buffer]),
        );
        socket.set_nagle_enabled(false);
        socket.set_timeout(Some(TIMEOUT));
        socket.set_keep_alive(Some(KEEP_ALIVE));
        socket
    }

    fn tcp(&self, id: TcpId) -> &tcp::Socket<'static> {
        self.sockets.get(id.0)
    }

    fn tcp_mut(&mut self, id: TcpId) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(id.0)
    }

    /// Waits for one peer at `port`, with buffers of `buffer` bytes each way.
    pub fn tcp_listen(&mut self, port: u16, buffer: usize) -> TcpId {
        let mut socket = Self::tcp_socket(buffer);
        // Port 0 cannot be listened at: the socket stays closed.
        let _ = socket.listen(port);
        TcpId(self.sockets.add(socket))
    }

    /// Connects to `port` of `peer`, with buffers of `buffer` bytes each way.
    pub fn tcp_connect(&mut self, peer: Ipv4Addr, port: u16, buffer: usize) -> TcpId {
        let local = self.next_port;
        self.next_port = if local == u16::MAX { EPHEMERAL } else { local + 1 };
        let mut socket = Self::tcp_socket(buffer);
        // An address that cannot be connected to leaves the socket closed.
        let _ = socket.connect(self.interface.context(), (peer, port), local);
        TcpId(self.sockets.add(socket))
    }

    /// What the socket can do.
    #[must_use]
    pub fn tcp_state(&self, id: TcpId) -> TcpState {
        let socket = self.tcp(id);
        match socket.state() {
            tcp::State::Listen => TcpState::Listening,
            tcp::State::SynSent | tcp::State::SynReceived => TcpState::Connecting,
            tcp::State::Established => TcpState::Open,
            tcp::State::CloseWait => TcpState::Ended,
            _ if socket.may_recv() => TcpState::Ended,
            _ => TcpState::Closed,
        }
    }

    /// Who is at the other end.
    #[must_use]
    pub fn tcp_peer(&self, id: TcpId) -> Option<(Ipv4Addr, u16)> {
        let IpEndpoint { addr, port } = self.tcp(id).remote_endpoint()?;
        let smoltcp::wire::IpAddress::Ipv4(addr) = addr;
        Some((addr, port))
    }

    /// Bytes that [`Stack::tcp_send`] would take.
    #[must_use]
    pub fn tcp_room(&self, id: TcpId) -> usize {
        let socket = self.tcp(id);
        if socket.may_send() { socket.send_capacity() - socket.send_queue() } else { 0 }
    }

    /// Bytes that were sent and not yet acknowledged, or wait to be sent.
    #[must_use]
    pub fn tcp_unacknowledged(&self, id: TcpId) -> usize {
        self.tcp(id).send_queue()
    }

    /// Sends what there is room for; how many bytes.
    pub fn tcp_send(&mut self, id: TcpId, bytes: &[u8]) -> usize {
        self.tcp_mut(id).send_slice(bytes).unwrap_or(0)
    }

    /// Appends what arrived, at most `max` bytes; how many.
    pub fn tcp_recv(&mut self, id: TcpId, bytes: &mut Vec<u8>, max: usize) -> usize {
        let before = bytes.len();
        while bytes.len() - before < max {
            let left = max - (bytes.len() - before);
            let taken = self.tcp_mut(id).recv(|arrived| {
                let n = arrived.len().min(left);
                bytes.extend_from_slice(&arrived[..n]);
                (n, n)
            });
            if !matches!(taken, Ok(1..)) {
                break;
            }
        }
        bytes.len() - before
    }

    /// Sends what waits, then ends our direction. The id is not used again.
    pub fn tcp_close(&mut self, id: TcpId) {
        self.tcp_mut(id).close();
        self.closing.push(Closing { handle: id.0, over: None });
    }

    /// Ends both directions at once. The id is not used again.
    pub fn tcp_abort(&mut self, id: TcpId) {
        self.tcp_mut(id).abort();
        self.closing.push(Closing { handle: id.0, over: None });
    }

    /// A socket for datagrams to and from `port`.
    pub fn udp_bind(&mut self, port: u16, bytes: usize) -> UdpId {
        let buffer = || {
            let metadata = vec![udp::PacketMetadata::EMPTY; UDP_PACKETS];
            udp::PacketBuffer::new(metadata, vec![0; bytes])
        };
        let mut socket = udp::Socket::new(buffer(), buffer());
        // Port 0 cannot be bound: the socket stays silent.
        let _ = socket.bind(IpListenEndpoint { addr: None, port });
        UdpId(self.sockets.add(socket))
    }

    /// Sends a datagram; false when there is no room.
    pub fn udp_send(&mut self, id: UdpId, peer: Ipv4Addr, port: u16, bytes: &[u8]) -> bool {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(id.0);
        socket.send_slice(bytes, IpEndpoint::new(peer.into(), port)).is_ok()
    }

    /// The next datagram that arrived, and from where.
    pub fn udp_recv(&mut self, id: UdpId) -> Option<(Ipv4Addr, u16, Vec<u8>)> {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(id.0);
        let (bytes, metadata) = socket.recv().ok()?;
        let smoltcp::wire::IpAddress::Ipv4(addr) = metadata.endpoint.addr;
        Some((addr, metadata.endpoint.port, bytes.to_vec()))
    }
}

#[cfg(test)]
pub(crate) mod test {
    use super::{SimTime, Stack, StackConf, TcpState};
    use std::net::Ipv4Addr;

    pub(crate) fn stack(host: u8) -> Stack {
        Stack::new(StackConf {
            mac: [2, 0, 0, 0, 0, host],
            ip: Ipv4Addr::new(192, 168, 2, host),
            prefix: 24,
            mtu: 9000,
            seed: u64::from(host),
        })
    }

    /// Polls two stacks on one wire until both are quiet.
    pub(crate) fn exchange(a: &mut Stack, b: &mut Stack, now: SimTime) {
        loop {
            a.poll(now);
            b.poll(now);
            let (to_b, to_a) = (a.take_frames(), b.take_frames());
            if to_a.is_empty() && to_b.is_empty() {
                break;
            }
            to_a.into_iter().for_each(|frame| a.frame(frame));
            to_b.into_iter().for_each(|frame| b.frame(frame));
        }
    }

    #[test]
    fn bytes_go_both_ways_and_a_close_is_seen() {
        let (mut a, mut b) = (stack(20), stack(2));
        let server = b.tcp_listen(2049, 65_536);
        assert_eq!(b.tcp_state(server), TcpState::Listening);
        let client = a.tcp_connect(Ipv4Addr::new(192, 168, 2, 2), 2049, 65_536);
        assert_eq!(a.tcp_state(client), TcpState::Connecting);
        let now = SimTime::us(5);
        exchange(&mut a, &mut b, now);
        assert_eq!((a.tcp_state(client), b.tcp_state(server)), (TcpState::Open, TcpState::Open));
        let big: Vec<u8> = (0..200_000_u32).map(|n| (n / 3) as u8).collect();
        let (mut sent, mut got) = (0, Vec::new());
        let mut now = now;
        while got.len() < big.len() {
            sent += a.tcp_send(client, &big[sent..]);
            exchange(&mut a, &mut b, now);
            b.tcp_recv(server, &mut got, 10_000);
            now = now.plus(SimTime::ms(1));
        }
        assert_eq!(got, big);
        assert_eq!(b.tcp_send(server, b"thanks"), 6);
        b.tcp_close(server);
        exchange(&mut a, &mut b, now);
        let mut thanks = Vec::new();
        assert_eq!(a.tcp_state(client), TcpState::Ended);
        a.tcp_recv(client, &mut thanks, 100);
        assert_eq!(thanks, b"thanks");
    }

    #[test]
    fn a_refused_connection_is_closed() {
        let (mut a, mut b) = (stack(20), stack(2));
        let client = a.tcp_connect(Ipv4Addr::new(192, 168, 2, 2), 1, 4096);
        exchange(&mut a, &mut b, SimTime::ZERO);
        assert_eq!(a.tcp_state(client), TcpState::Closed);
        assert_eq!(a.tcp_send(client, b"x"), 0);
    }

    #[test]
    fn an_abort_reaches_the_peer_and_frees_the_socket() {
        let (mut a, mut b) = (stack(20), stack(2));
        let server = b.tcp_listen(7, 4096);
        let client = a.tcp_connect(Ipv4Addr::new(192, 168, 2, 2), 7, 4096);
        exchange(&mut a, &mut b, SimTime::ZERO);
        a.tcp_abort(client);
        exchange(&mut a, &mut b, SimTime::us(1));
        assert_eq!(b.tcp_state(server), TcpState::Closed);
        assert_eq!(a.sockets.iter().count(), 0);
    }

    #[test]
    fn whoever_does_not_answer_is_forgotten_and_others_are_reached() {
        let (mut a, mut b) = (stack(20), stack(2));
        let server = b.tcp_listen(7, 4096);
        let nobody = a.tcp_connect(Ipv4Addr::new(192, 168, 2, 99), 7, 4096);
        exchange(&mut a, &mut b, SimTime::ZERO);
        assert_eq!(a.tcp_state(nobody), TcpState::Connecting);
        a.tcp_abort(nobody);
        let client = a.tcp_connect(Ipv4Addr::new(192, 168, 2, 2), 7, 4096);
        for half in 1..=8 {
            exchange(&mut a, &mut b, SimTime::ms(500 * half));
        }
        assert_eq!((a.tcp_state(client), b.tcp_state(server)), (TcpState::Open, TcpState::Open));
        assert_eq!(a.sockets.iter().count(), 1);
    }

    #[test]
    fn datagrams_arrive_with_their_senders() {
        let (mut a, mut b) = (stack(20), stack(2));
        let (from, to) = (a.udp_bind(5000, 4096), b.udp_bind(6000, 4096));
        assert!(a.udp_send(from, Ipv4Addr::new(192, 168, 2, 2), 6000, b"picture"));
        exchange(&mut a, &mut b, SimTime::ZERO);
        let got = b.udp_recv(to).unwrap();
        assert_eq!(got, (Ipv4Addr::new(192, 168, 2, 20), 5000, b"picture".to_vec()));
    }
}
