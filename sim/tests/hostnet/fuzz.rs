//! No frame brings the network down.
//!
//! A guest talks to the host as ever, and before each of its frames come others: the same with
//! bytes, lengths and flags changed, cut or made longer, checksums right again or not, and noise.
//! So they meet every state that an honest conversation brings about. Destinations stay on this
//! machine, and at ports that this test listens at or that are closed.
//!
//! `LDOMLAB_FUZZ_FRAMES` says how many, `LDOMLAB_FUZZ_SEED` where to begin.

use super::dice::Dice;
use super::{closed_port, gateway, network};
use crate::guest::Guest;
use sim::hostnet::HostNet;
use sim::hostnet::user::{User, datagrams, link, streams};
use smoltcp::socket::tcp::State;
use smoltcp::wire::{Ipv4Address, Ipv4Packet, TcpPacket, UdpPacket};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

/// Frames, unless the environment says otherwise.
const FRAMES: u64 = 200_000;

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A network that meets wrong frames before each right one.
struct Rough {
    net: User,
    dice: Dice,
    ports: Vec<u16>,
    sent: u64,
    rough: bool,
}

impl Rough {
    fn throw(&mut self, frame: &[u8]) {
        for _ in 0..self.dice.below(24) {
            let wrong = self.wrong(frame);
            self.net.send(&wrong);
            self.sent += 1;
        }
        let (streams, datagrams) = self.net.flows();
        assert!(streams <= streams::FLOWS_MAX, "{streams} streams");
        assert!(datagrams <= datagrams::FLOWS_MAX, "{datagrams} flows of datagrams");
    }

    /// A frame that resembles `frame`.
    fn wrong(&mut self, frame: &[u8]) -> Vec<u8> {
        let dice = &mut self.dice;
        let mut wrong = frame.to_vec();
        if dice.hit(50) {
            wrong = (0..dice.below(200)).map(|_| dice.bits().to_le_bytes()[0]).collect();
        }
        if dice.hit(8) {
            wrong.truncate(usize::try_from(dice.below(wrong.len() as u64 + 1)).unwrap());
        }
        if dice.hit(8) {
            let more = usize::try_from(dice.below(64)).unwrap();
            wrong.resize(wrong.len() + more, dice.bits().to_le_bytes()[0]);
        }
        for _ in 0..dice.below(4) {
            if !wrong.is_empty() {
                // Headers more often than what they carry.
                let within = (wrong.len() as u64).min(if dice.hit(4) { u64::MAX } else { 74 });
                let at = usize::try_from(dice.below(within)).unwrap();
                wrong[at] = match dice.below(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => wrong[at] ^ 1 << dice.below(8),
                    _ => dice.bits().to_le_bytes()[0],
                };
            }
        }
        if wrong.len() >= 14 && !dice.hit(16) {
            wrong[..6].copy_from_slice(&link::MAC.0);
        }
        self.tame(&mut wrong);
        wrong
    }

    /// Keeps a frame on this machine, and makes most checksums right.
    fn tame(&mut self, frame: &mut [u8]) {
        let dice = &mut self.dice;
        if frame.len() < 34 {
            return;
        }
        let packet = &mut frame[14..];
        let in_pieces = packet[6] & 0x3f != 0 || packet[7] != 0;
        let to = if in_pieces {
            Ipv4Address::new(10, 0, 2, 3) // whose ports are closed, whatever the pieces say
        } else {
            dice.one(&[
                Ipv4Address::new(10, 0, 2, 2),
                Ipv4Address::new(10, 0, 2, 2),
                Ipv4Address::new(10, 0, 2, 3),
                Ipv4Address::new(10, 0, 2, 99),
                Ipv4Address::new(127, 0, 0, 1),
                Ipv4Address::new(224, 0, 0, 1),
                Ipv4Address::BROADCAST,
                Ipv4Address::UNSPECIFIED,
            ])
        };
        packet[16..20].copy_from_slice(&to.octets());
        let length = usize::from(packet[0] & 15) * 4;
        let from = Ipv4Address::new(packet[12], packet[13], packet[14], packet[15]);
        if let Some(port) = packet.get_mut(length + 2..length + 4) {
            let mut ports = self.ports.clone();
            ports.extend([0, 67]);
            port.copy_from_slice(&dice.one(&ports).to_be_bytes());
        }
        let right = !dice.hit(4);
        let kind = packet[9];
        if let Ok(mut packet) = Ipv4Packet::new_checked(&mut packet[..]) {
            if right && !in_pieces {
                let payload = packet.payload_mut();
                match kind {
                    6 => {
                        if let Ok(mut segment) = TcpPacket::new_checked(payload) {
                            segment.fill_checksum(&from.into(), &to.into());
                        }
                    }
                    17 => {
                        if let Ok(mut datagram) = UdpPacket::new_checked(payload) {
                            datagram.fill_checksum(&from.into(), &to.into());
                        }
                    }
                    _ => {}
                }
            }
            packet.fill_checksum();
        }
    }
}

/// Both the guest's network, and the test's to look at.
struct Shared(Rc<RefCell<Rough>>);

impl HostNet for Shared {
    fn send(&mut self, frame: &[u8]) {
        let mut rough = self.0.borrow_mut();
        if rough.rough {
            rough.throw(frame);
        }
        rough.net.send(frame);
    }

    fn poll(&mut self, out: &mut Vec<Vec<u8>>) {
        self.0.borrow_mut().net.poll(out);
    }

    fn mtu(&self) -> u16 {
        self.0.borrow().net.mtu()
    }

    fn wait_fds(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new() // It is asked often enough.
    }

    fn deadline(&self) -> Option<Duration> {
        Some(Duration::from_micros(200))
    }
}

#[test]
fn no_frame_brings_it_down() {
    let frames = from_env("LDOMLAB_FUZZ_FRAMES", FRAMES);
    let seed = from_env("LDOMLAB_FUZZ_SEED", 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..length]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    let (net, conf) = network(&format!(",dns=127.0.0.1:{udp}"));
    let ports = vec![tcp, tcp, udp, closed_port()];
    let rough = Rough { net, dice: Dice::new(seed), ports, sent: 0, rough: true };
    let rough = Rc::new(RefCell::new(rough));
    let mut guest = Guest::new(Shared(rough.clone()), conf.mtu, Some("10.0.2.15"));
    guest.lenient = true;
    let datagrams = guest.bound(5000);
    let dhcp = guest.sockets.add(smoltcp::socket::dhcpv4::Socket::new());
    let mut round = 0_u32;
    while rough.borrow().sent < frames {
        // A conversation of each kind, for as long as it takes or 50 steps.
        round += 1;
        let stream = guest.connect(gateway(tcp));
        let _ = guest.udp(datagrams).send_slice(&[7; 300], (Ipv4Address::new(10, 0, 2, 2), udp));
        if round.is_multiple_of(16) {
            guest.sockets.get_mut::<smoltcp::socket::dhcpv4::Socket<'_>>(dhcp).reset();
        }
        for step in 0..50 {
            let _ = guest.udp(datagrams).recv();
            let socket = guest.tcp(stream);
            if socket.can_send() && step < 30 {
                let _ = socket.send_slice(&[9; 700]);
            }
            if socket.can_recv() {
                let _ = socket.recv(|data| (data.len(), ()));
            }
            if step == 30 {
                socket.close();
            }
            if socket.state() == State::Closed {
                break;
            }
            guest.step();
        }
        guest.sockets.remove(stream);
    }
    println!("{} frames from seed {seed}, in {round} rounds", rough.borrow().sent);

    // It still does what it is for.
    rough.borrow_mut().rough = false;
    let answers = guest.bound(5001);
    let (answer, _) = guest.ask(answers, gateway(udp), b"still there?");
    assert_eq!(answer, b"still there?");
}
