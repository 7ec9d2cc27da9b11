//! Streams: both ways, ends of halves, refusals, resets, slow readers, too many.

use super::{bytes, closed_port, free_address, gateway, guest, network};
use crate::guest::Guest;
use sha2::{Digest, Sha256};
use sim::hostnet::HostNet;
use sim::hostnet::user::streams::{BUFFER, FLOWS_MAX};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Address,
    Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

const MEGABYTES: usize = 10 << 20;

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn both_ways(options: &str) {
    let mut guest = guest(options);
    let (listener, port) = listen();
    let (up, down) = (bytes(1, MEGABYTES), bytes(2, MEGABYTES));
    let to_send = down.clone();
    let host = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        let sender = thread::spawn(move || {
            writer.write_all(&to_send).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        sender.join().unwrap();
        Sha256::digest(&got)
    });
    let handle = guest.connected(gateway(port));
    let got = guest.exchange(handle, &up);
    assert_eq!(Sha256::digest(&got), Sha256::digest(&down));
    assert_eq!(host.join().unwrap(), Sha256::digest(&up));
}

#[test]
fn megabytes_go_both_ways_at_once() {
    both_ways("");
}

#[test]
fn megabytes_go_both_ways_in_large_frames_and_in_small_ones() {
    both_ways(",mtu=65535");
    both_ways(",mtu=9000");
    both_ways(",mtu=576");
}

#[test]
fn a_guest_that_has_said_all_still_gets_the_answer() {
    let mut guest = guest("");
    let (listener, port) = listen();
    let answer = bytes(3, 1 << 20);
    let to_send = answer.clone();
    let host = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked).unwrap(); // The end of the guest's half comes through.
        stream.write_all(&to_send).unwrap();
        asked
    });
    let handle = guest.connected(gateway(port));
    assert_eq!(guest.exchange(handle, b"GET / HTTP/1.0\r\n\r\n"), answer);
    assert_eq!(host.join().unwrap(), b"GET / HTTP/1.0\r\n\r\n");
}

#[test]
fn a_host_that_has_said_all_still_hears_the_guest() {
    let mut guest = guest("");
    let (listener, port) = listen();
    let host = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 ready\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got
    });
    let handle = guest.connected(gateway(port));
    guest.until("the end of the host's half", |guest| {
        (guest.tcp(handle).state() == State::CloseWait).then_some(())
    });
    let data = bytes(4, 1 << 20);
    assert_eq!(guest.exchange(handle, &data), b"220 ready\r\n");
    guest.until("the host", |_| host.is_finished().then_some(()));
    assert_eq!(host.join().unwrap(), data);
}

#[test]
fn a_port_at_which_nobody_listens_refuses() {
    let mut guest = guest("");
    for to in [gateway(closed_port()), "10.0.2.3:80".parse().unwrap()] {
        let handle = guest.connect(to);
        guest
            .until("a refusal", |guest| (guest.tcp(handle).state() == State::Closed).then_some(()));
    }
    assert_eq!(guest.icmp.len(), 0);
}

#[test]
fn a_reset_of_the_hosts_is_one_for_the_guest() {
    let mut guest = guest("");
    let (listener, port) = listen();
    let handle = guest.connected(gateway(port));
    let (stream, _) = listener.accept().unwrap();
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
    guest.until("a reset", |guest| (guest.tcp(handle).state() == State::Closed).then_some(()));
}

#[test]
fn a_reset_of_the_guests_is_one_for_the_host() {
    let mut guest = guest("");
    let (listener, port) = listen();
    let handle = guest.connected(gateway(port));
    let (mut stream, _) = listener.accept().unwrap();
    guest.tcp(handle).abort();
    guest.idle(Duration::from_millis(50));
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_slow_reader_is_waited_for() {
    let mut guest = guest("");
    let (listener, port) = listen();
    let handle = guest.connected(gateway(port));
    let (mut stream, _) = listener.accept().unwrap();

    // The host does not read: the guest's stream stops, with bounded buffers between.
    let data = bytes(5, 64 << 20);
    let (mut sent, mut still) = (0, 0);
    guest.until("a stop", |guest| {
        let socket = guest.tcp(handle);
        let taken = if socket.can_send() { socket.send_slice(&data[sent..]).unwrap() } else { 0 };
        sent += taken;
        still = if taken == 0 { still + 1 } else { 0 };
        (still == 50).then_some(())
    });
    assert!(sent < data.len(), "64 MB have gone nowhere");
    let rest = data[sent..].to_vec();
    let before = data[..sent].to_vec();
    let host = thread::spawn(move || {
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        stream.write_all(b"thanks").unwrap();
        got
    });
    assert_eq!(guest.exchange(handle, &rest), b"thanks");
    let got = host.join().unwrap();
    assert_eq!(Sha256::digest(&got), Sha256::digest([before, rest].concat()));
}

#[test]
fn a_slow_guest_is_waited_for() {
    let mut guest = guest("");
    let (listener, port) = listen();
    let handle = guest.connected(gateway(port));
    let (mut stream, _) = listener.accept().unwrap();
    let data = bytes(6, 64 << 20);
    let wanted = Sha256::digest(&data);
    let host = thread::spawn(move || stream.write_all(&data));
    guest.idle(Duration::from_secs(1));
    assert!(!host.is_finished(), "64 MB have gone nowhere");
    let got = guest.exchange(handle, b"");
    assert_eq!(Sha256::digest(&got), wanted);
    host.join().unwrap().unwrap();
}

#[test]
fn a_forwarded_port_leads_to_the_guest() {
    let host = free_address();
    let mut guest = guest(&format!(",hostfwd=tcp::{}-:22", host.port()));
    let server = guest.socket();
    guest.tcp(server).listen(22).unwrap();
    let (up, down) = (bytes(7, 1 << 20), bytes(8, 1 << 20));
    let to_send = up.clone();
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(&to_send).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got
    });
    guest.until("a connection", |guest| guest.tcp(server).may_send().then_some(()));
    assert_eq!(guest.tcp(server).remote_endpoint().unwrap().addr.to_string(), "10.0.2.2");
    assert_eq!(guest.exchange(server, &down), up);
    // The last segments, so that the client sees the end.
    guest.until("the client", |_| client.is_finished().then_some(()));
    assert_eq!(client.join().unwrap(), down);
}

#[test]
fn a_forwarded_port_that_the_guest_refuses_is_reset() {
    let host = free_address();
    let mut guest = guest(&format!(",hostfwd=tcp::{}-:22", host.port()));
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let client = thread::spawn(move || stream.read(&mut [0]).unwrap_err().kind());
    guest.until("the client", |_| client.is_finished().then_some(()));
    assert_eq!(client.join().unwrap(), ErrorKind::ConnectionReset);
}

#[test]
fn a_port_of_the_host_that_is_taken_is_named() {
    let (_listener, port) = listen();
    let conf = format!("user,hostfwd=tcp::{port}-:22");
    let conf = sim::hostnet::conf::Conf::parse(&conf).unwrap();
    let error = conf.open(crate::guest::clock()).map(drop).unwrap_err().to_string();
    assert!(error.starts_with(&format!("the port 127.0.0.1:{port} of the host")), "{error}");
}

#[test]
fn flows_beyond_the_limit_are_refused_and_room_comes_back() {
    let mut guest = guest("");
    let (listener, port) = listen();
    let mut streams = Vec::new();
    let mut handles = Vec::new();
    for _ in 0..FLOWS_MAX {
        handles.push(guest.connected(gateway(port)));
        streams.push(listener.accept().unwrap().0);
    }
    let one_more = guest.connect(gateway(port));
    guest.until("a refusal", |guest| (guest.tcp(one_more).state() == State::Closed).then_some(()));
    // The host ends them all: they wait for stray segments, and give way.
    drop(streams);
    guest.until("all ends", |guest| {
        let all = handles.iter().all(|&handle| {
            guest.sockets.get::<smoltcp::socket::tcp::Socket<'_>>(handle).state()
                == State::CloseWait
        });
        all.then_some(())
    });
    for &handle in &handles {
        guest.tcp(handle).close();
    }
    guest.until("all closed", |guest| {
        let all = handles.iter().all(|&handle| {
            guest.sockets.get::<smoltcp::socket::tcp::Socket<'_>>(handle).state() == State::Closed
        });
        all.then_some(())
    });
    let again = guest.connected(gateway(port));
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"welcome").unwrap();
    drop(stream);
    assert_eq!(guest.exchange(again, b""), b"welcome");
}

#[test]
fn hundreds_of_short_connections_leave_nothing_behind() {
    let mut guest = guest("");
    let (listener, port) = listen();
    let host = thread::spawn(move || {
        for _ in 0..600 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            stream.read_to_end(&mut asked).unwrap();
            stream.write_all(&asked).unwrap();
        }
    });
    for n in 0..600_u32 {
        let handle = guest.connected(gateway(port));
        assert_eq!(guest.exchange(handle, &n.to_be_bytes()), n.to_be_bytes());
        guest.until("the last segment", |guest| (!guest.tcp(handle).is_active()).then_some(()));
        guest.sockets.remove(handle);
    }
    host.join().unwrap();
}

#[test]
fn an_idle_network_asks_for_nothing() {
    let (mut net, conf) = network("");
    let mut out = Vec::new();
    net.poll(&mut out);
    assert_eq!((out.len(), net.deadline()), (0, None));

    let (listener, port) = listen();
    let mut guest = Guest::new(net, conf.mtu, Some("10.0.2.15"));
    let _handle = guest.connected(gateway(port));
    let (_stream, _) = listener.accept().unwrap();
    guest.idle(Duration::from_millis(300));
    let due = guest.net.deadline().unwrap();
    assert!(due > Duration::from_secs(30), "an open connection asks again in {due:?}");
}

/// A frame with a segment of the guest's port 4000.
fn segment(port: u16, control: TcpControl, seq: i32, ack: Option<i32>, data: &[u8]) -> Vec<u8> {
    let (from, to) = (Ipv4Address::new(10, 0, 2, 15), Ipv4Address::new(10, 0, 2, 2));
    let segment = TcpRepr {
        src_port: 4000,
        dst_port: port,
        control,
        seq_number: TcpSeqNumber(seq),
        ack_number: ack.map(TcpSeqNumber),
        window_len: 60_000,
        window_scale: (control == TcpControl::Syn).then_some(7),
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: data,
    };
    let header = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Tcp,
        payload_len: segment.buffer_len(),
        hop_limit: 64,
    };
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress([2, 0, 0, 0, 0, 0x15]),
        dst_addr: sim::hostnet::user::link::MAC,
        ethertype: EthernetProtocol::Ipv4,
    };
    let mut frame = vec![0; 34 + segment.buffer_len()];
    let checksums = ChecksumCapabilities::default();
    ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame));
    header.emit(&mut Ipv4Packet::new_unchecked(&mut frame[14..]), &checksums);
    let mut packet = TcpPacket::new_unchecked(&mut frame[34..]);
    segment.emit(&mut packet, &from.into(), &to.into(), &checksums);
    frame
}

#[test]
fn a_guest_that_ignores_the_window_does_not_overrun_the_buffer() {
    let (mut net, _) = network("");
    let (listener, port) = listen();
    net.send(&segment(port, TcpControl::Syn, 999, None, &[]));
    let mut out = Vec::new();
    while out.is_empty() {
        net.poll(&mut out);
    }
    let answer = TcpPacket::new_checked(&out[0][34..]).unwrap();
    assert!(answer.syn() && answer.ack());
    let ack = Some(answer.seq_number().0.wrapping_add(1));
    let data = bytes(11, 1400);
    // Every place from the beginning to far beyond, one of them across the buffer's end, and
    // then so much in a row that nothing more would fit, all before anything is moved.
    let mut places: Vec<usize> = (700..600_000).step_by(2800).chain([BUFFER - 700]).collect();
    places.truncate(28); // Pieces apart from each other that the stack takes note of.
    places.extend((280_000..600_000).step_by(2800).chain([BUFFER - 700]));
    places.extend((0..600_000).step_by(1400));
    for place in places {
        let seq = 1000 + i32::try_from(place).unwrap();
        net.send(&segment(port, TcpControl::None, seq, ack, &data));
    }
    net.poll(&mut out);
    let (mut stream, _) = listener.accept().unwrap();
    let mut got = vec![0; data.len()];
    stream.read_exact(&mut got).unwrap();
}
