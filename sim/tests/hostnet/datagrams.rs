//! Datagrams, names, leases and pings.

use super::{bytes, closed_port, free_address, gateway, guest, network};
use crate::guest::Guest;
use sim::hostnet::HostNet;
use sim::hostnet::user::ip::{Assemblies, DATAGRAM_MAX};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::dhcpv4;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv4DstUnreachable,
    Icmpv4Message, Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr,
    UdpPacket, UdpRepr,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

const GUEST: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
const GATEWAY: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
const MAC: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 0x15]);

/// A socket of the host that answers `count` datagrams with their bytes turned round.
fn echo(count: usize) -> (u16, thread::JoinHandle<()>) {
    echo_at(UdpSocket::bind("127.0.0.1:0").unwrap(), count)
}

fn echo_at(socket: UdpSocket, count: usize) -> (u16, thread::JoinHandle<()>) {
    let port = socket.local_addr().unwrap().port();
    let thread = thread::spawn(move || {
        let mut buffer = vec![0; 65535];
        for _ in 0..count {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            buffer[..length].reverse();
            socket.send_to(&buffer[..length], from).unwrap();
        }
    });
    (port, thread)
}

fn reversed(data: &[u8]) -> Vec<u8> {
    data.iter().rev().copied().collect()
}

#[test]
fn datagrams_are_answered_from_where_they_were_sent() {
    let mut guest = guest("");
    let (port, host) = echo(3);
    let socket = guest.bound(5000);
    for length in [0, 1, 1472] {
        let data = bytes(1, length);
        let (answer, from) = guest.ask(socket, gateway(port), &data);
        assert_eq!(answer, reversed(&data));
        assert_eq!(from, gateway(port).to_string());
    }
    host.join().unwrap();
}

#[test]
fn a_refused_datagram_is_told_of() {
    let mut guest = guest("");
    let socket = guest.bound(5000);
    guest.udp(socket).send_slice(b"anyone?", (GATEWAY, closed_port())).unwrap();
    let message = guest.until("a message", |guest| guest.icmp.pop());
    let packet = Icmpv4Packet::new_checked(&message[..]).unwrap();
    assert!(packet.verify_checksum());
    assert_eq!(packet.msg_type(), Icmpv4Message::DstUnreachable);
    assert_eq!(packet.msg_code(), u8::from(Icmpv4DstUnreachable::PortUnreachable));
    let about = Ipv4Packet::new_unchecked(packet.data());
    assert_eq!((about.src_addr(), about.dst_addr()), (GUEST, GATEWAY));
    assert_eq!(about.total_len(), 20 + 8 + 7);
    assert_eq!(packet.data()[20..22], 5000_u16.to_be_bytes(), "the port it was sent from");

    // Nothing but names is served by the name server.
    guest.udp(socket).send_slice(b"time?", (Ipv4Address::new(10, 0, 2, 3), 123)).unwrap();
    guest.until("a message", |guest| guest.icmp.pop());
}

/// Frames of a datagram, cut to packets of `mtu` bytes.
fn cut(data: &[u8], to_port: u16, mtu: usize) -> Vec<Vec<u8>> {
    let udp = UdpRepr { src_port: 5000, dst_port: to_port };
    let mut datagram = vec![0; udp.header_len() + data.len()];
    let (from, to) = (GUEST.into(), GATEWAY.into());
    let checksums = ChecksumCapabilities::default();
    udp.emit(
        &mut UdpPacket::new_unchecked(&mut datagram),
        &from,
        &to,
        data.len(),
        |room| room.copy_from_slice(data),
        &checksums,
    );
    let room = (mtu - 20) & !7;
    let mut offset = 0;
    let mut frames = Vec::new();
    for piece in datagram.chunks(room) {
        let mut frame = vec![0; 34 + piece.len()];
        let ethernet = EthernetRepr {
            src_addr: MAC,
            dst_addr: sim::hostnet::user::link::MAC,
            ethertype: EthernetProtocol::Ipv4,
        };
        ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame));
        let header = Ipv4Repr {
            src_addr: GUEST,
            dst_addr: GATEWAY,
            next_header: IpProtocol::Udp,
            payload_len: piece.len(),
            hop_limit: 64,
        };
        let mut packet = Ipv4Packet::new_unchecked(&mut frame[14..]);
        header.emit(&mut packet, &checksums);
        packet.set_dont_frag(false);
        packet.set_ident(0x1234);
        packet.set_frag_offset(u16::try_from(offset).unwrap());
        packet.set_more_frags(offset + piece.len() < datagram.len());
        packet.payload_mut().copy_from_slice(piece);
        packet.fill_checksum();
        offset += piece.len();
        frames.push(frame);
    }
    frames
}

#[test]
fn a_datagram_longer_than_a_frame_goes_in_pieces() {
    let (mut net, _) = network("");
    let (port, host) = echo(2);
    for length in [8192, DATAGRAM_MAX] {
        let data = bytes(2, length);
        let mut frames = cut(&data, port, 1500);
        frames.reverse();
        for frame in &frames {
            net.send(frame);
        }
        let mut assemblies = Assemblies::default();
        let begin = Instant::now();
        let whole = loop {
            assert!(begin.elapsed() < crate::guest::PATIENCE);
            let mut out = Vec::new();
            net.poll(&mut out);
            let packets = out.iter().map(|frame| Ipv4Packet::new_checked(&frame[14..]).unwrap());
            let add = |packet: Ipv4Packet<&[u8]>| assemblies.add(Duration::ZERO, &packet);
            if let Some(whole) = packets.filter_map(add).next() {
                break whole;
            }
            thread::sleep(Duration::from_millis(1));
        };
        let datagram = UdpPacket::new_checked(&whole[..]).unwrap();
        assert!(datagram.verify_checksum(&GATEWAY.into(), &GUEST.into()));
        assert_eq!(datagram.payload(), reversed(&data));
    }
    host.join().unwrap();
}

#[test]
fn a_forwarded_port_leads_datagrams_to_the_guest_and_back() {
    let host = free_address();
    let mut guest = guest(&format!(",hostfwd=udp::{}-:69", host.port()));
    let server = guest.bound(69);
    let clients: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for (n, client) in clients.iter().enumerate() {
        client.send_to(&[b'a' + u8::try_from(n).unwrap()], host).unwrap();
    }
    for _ in &clients {
        let (data, meta) = guest.until("a datagram", |guest| {
            let (data, meta) = guest.udp(server).recv().ok()?;
            Some((data.to_vec(), meta))
        });
        assert_eq!(meta.endpoint.addr, GATEWAY.into());
        let answer = data.to_ascii_uppercase();
        guest.udp(server).send_slice(&answer, meta.endpoint).unwrap();
    }
    guest.idle(Duration::from_millis(50));
    for (n, client) in clients.iter().enumerate() {
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut buffer = [0; 8];
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((length, from), (1, host));
        assert_eq!(buffer[0], b'A' + u8::try_from(n).unwrap(), "each has its own answer");
    }
}

#[test]
fn names_are_asked_of_the_hosts_name_server() {
    // A port that is free for both, which another test may be about to take.
    let (tcp, udp) = std::iter::repeat_with(|| {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind(tcp.local_addr().unwrap()).ok()?;
        Some((tcp, udp))
    })
    .find_map(|both| both)
    .unwrap();
    let (port, host) = echo_at(udp, 1);
    let mut guest = guest(&format!(",dns=127.0.0.1:{port}"));
    let dns = "10.0.2.3:53".parse().unwrap();
    let socket = guest.bound(5353);
    let (answer, from) = guest.ask(socket, dns, b"a question");
    assert_eq!((&answer[..], &from[..]), (&b"noitseuq a"[..], "10.0.2.3:53"));
    host.join().unwrap();

    let host = thread::spawn(move || {
        let (mut stream, _) = tcp.accept().unwrap();
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked).unwrap();
        stream.write_all(&reversed(&asked)).unwrap();
    });
    let handle = guest.connected(dns);
    assert_eq!(guest.exchange(handle, b"a long question"), b"noitseuq gnol a");
    host.join().unwrap();
}

#[test]
fn guests_are_given_addresses() {
    let (net, conf) = network(",net=192.168.76.0/24,dns=127.0.0.1,mtu=9000");
    let mut guest = Guest::new(net, conf.mtu, None);
    let socket = guest.sockets.add(dhcpv4::Socket::new());
    let lease = |guest: &mut Guest| {
        let event = guest.sockets.get_mut::<dhcpv4::Socket<'_>>(socket).poll();
        let Some(dhcpv4::Event::Configured(lease)) = event else { return None };
        let names = lease.dns_servers.iter().map(ToString::to_string).collect::<Vec<_>>();
        Some((lease.address.to_string(), lease.router.unwrap().to_string(), names))
    };
    let (address, router, names) = guest.until("a lease", lease);
    assert_eq!(address, "192.168.76.15/24");
    assert_eq!(router, "192.168.76.2");
    assert_eq!(names, ["192.168.76.3"]);

    // The same again after a reset of the guest; another guest gets another.
    guest.sockets.get_mut::<dhcpv4::Socket<'_>>(socket).reset();
    assert_eq!(guest.until("a lease", lease).0, "192.168.76.15/24");
    guest.iface.set_hardware_addr(EthernetAddress([0x02, 0, 0, 0, 0, 0x16]).into());
    guest.sockets.get_mut::<dhcpv4::Socket<'_>>(socket).reset();
    assert_eq!(guest.until("a lease", lease).0, "192.168.76.16/24");
}

/// Frames that come in answer to an ICMP echo request of `length` bytes.
fn ping(net: &mut dyn HostNet, to: Ipv4Address, length: usize) -> Vec<Vec<u8>> {
    let data = bytes(9, length);
    let message = Icmpv4Repr::EchoRequest { ident: 0x77, seq_no: 3, data: &data };
    let checksums = ChecksumCapabilities::default();
    let mut frame = vec![0; 34 + message.buffer_len()];
    let ethernet = EthernetRepr {
        src_addr: MAC,
        dst_addr: sim::hostnet::user::link::MAC,
        ethertype: EthernetProtocol::Ipv4,
    };
    ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame));
    let header = Ipv4Repr {
        src_addr: GUEST,
        dst_addr: to,
        next_header: IpProtocol::Icmp,
        payload_len: message.buffer_len(),
        hop_limit: 64,
    };
    header.emit(&mut Ipv4Packet::new_unchecked(&mut frame[14..]), &checksums);
    message.emit(&mut Icmpv4Packet::new_unchecked(&mut frame[34..]), &checksums);
    net.send(&frame);
    let mut out = Vec::new();
    let begin = Instant::now();
    while out.is_empty() && begin.elapsed() < Duration::from_secs(2) {
        net.poll(&mut out);
        thread::sleep(Duration::from_millis(1));
    }
    out
}

/// Pings, and checks the answer.
pub fn assert_answers(net: &mut dyn HostNet, to: Ipv4Address, length: usize) {
    let out = ping(net, to, length);
    let [frame] = &out[..] else { panic!("{} frames from {to}", out.len()) };
    let packet = Ipv4Packet::new_checked(&frame[14..]).unwrap();
    assert_eq!((packet.src_addr(), packet.dst_addr()), (to, GUEST));
    let message = Icmpv4Packet::new_checked(packet.payload()).unwrap();
    let message = Icmpv4Repr::parse(&message, &ChecksumCapabilities::default()).unwrap();
    let data = bytes(9, length);
    assert_eq!(message, Icmpv4Repr::EchoReply { ident: 0x77, seq_no: 3, data: &data });
}

#[test]
fn the_gateway_and_the_name_server_answer_pings_and_nobody_else_does_for_them() {
    let (mut net, _) = network(",mtu=9000");
    for to in [GATEWAY, Ipv4Address::new(10, 0, 2, 3)] {
        assert_answers(&mut net, to, 56);
        assert_answers(&mut net, to, 8972);
    }
    assert_eq!(ping(&mut net, Ipv4Address::new(10, 0, 2, 77), 56).len(), 0);
    assert_eq!(ping(&mut net, Ipv4Address::new(127, 0, 0, 1), 56).len(), 0);
}

#[test]
fn a_resolver_that_is_v6_can_be_asked_if_the_host_has_v6() {
    let Ok(socket) = UdpSocket::bind("[::1]:0") else {
        println!("SKIPPED: the host has no IPv6 loopback");
        return;
    };
    let port = socket.local_addr().unwrap().port();
    let dns = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port));
    let mut guest = guest(&format!(",dns={dns}"));
    let host = thread::spawn(move || {
        let mut buffer = [0; 64];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&reversed(&buffer[..length]), from).unwrap();
    });
    let asking = guest.bound(5353);
    let (answer, _) = guest.ask(asking, "10.0.2.3:53".parse().unwrap(), b"abc");
    assert_eq!(answer, b"cba");
    host.join().unwrap();
}
