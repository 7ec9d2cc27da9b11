//! How fast a stream can be: a guest's stack and a socket of the host, with the network in user
//! mode between, nothing simulated.
//!
//! ```text
//! cargo test -p sim --test hostnet -- --ignored --nocapture rate
//! ```
//!
//! Two figures: with the guest's stack, which does the same work once more on the same thread,
//! and of the time that the network alone takes.

use super::{gateway, network};
use crate::guest::Guest;
use sim::hostnet::HostNet;
use sim::hostnet::user::User;
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

const BYTES: usize = 256 << 20;
/// What must be reached with the usual frames and with large ones, in bits a second.
const FLOOR_1500: f64 = 100e6;
const FLOOR_LARGE: f64 = 300e6;

/// A network whose own time is taken.
struct Timed {
    net: User,
    spent: Rc<Cell<Duration>>,
}

impl HostNet for Timed {
    fn send(&mut self, frame: &[u8]) {
        let begin = Instant::now();
        self.net.send(frame);
        self.spent.set(self.spent.get() + begin.elapsed());
    }

    fn poll(&mut self, out: &mut Vec<Vec<u8>>) {
        let begin = Instant::now();
        self.net.poll(out);
        self.spent.set(self.spent.get() + begin.elapsed());
    }

    fn mtu(&self) -> u16 {
        self.net.mtu()
    }

    fn wait_fds(&self) -> Vec<BorrowedFd<'_>> {
        self.net.wait_fds()
    }

    fn deadline(&self) -> Option<Duration> {
        self.net.deadline()
    }
}

fn measure(mtu: u16, from_guest: bool) {
    let (net, conf) = network(&format!(",mtu={mtu}"));
    let spent = Rc::new(Cell::new(Duration::ZERO));
    let timed = Timed { net, spent: spent.clone() };
    let mut guest = Guest::new(timed, conf.mtu, Some("10.0.2.15"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0x5a; 1 << 20];
        if !from_guest {
            for _ in 0..BYTES / buffer.len() {
                stream.write_all(&buffer).unwrap();
            }
            return 0;
        }
        let mut got = 0;
        while let length @ 1.. = stream.read(&mut buffer).unwrap() {
            got += length;
        }
        got
    });
    let handle = guest.connected(gateway(port));
    let (begin, mut sent, mut got) = (Instant::now(), 0, 0);
    spent.set(Duration::ZERO);
    let piece = vec![0xa5; 1 << 20];
    guest.until("all of it", |guest| {
        let socket = guest.tcp(handle);
        if from_guest && sent < BYTES && socket.can_send() {
            sent += socket.send_slice(&piece[..piece.len().min(BYTES - sent)]).unwrap();
        } else if from_guest && sent == BYTES && socket.may_send() {
            socket.close();
        }
        while socket.can_recv() {
            got += socket.recv(|data| (data.len(), data.len())).unwrap();
        }
        let done = if from_guest { host.is_finished() } else { got == BYTES };
        done.then_some(())
    });
    let (wall, own) = (begin.elapsed().as_secs_f64(), spent.get().as_secs_f64());
    let received = host.join().unwrap();
    assert_eq!(if from_guest { received } else { got }, BYTES);
    let megabytes = BYTES as f64 / 1e6;
    let way = if from_guest { "guest to host" } else { "host to guest" };
    println!(
        "mtu {mtu:5}, {way}: {:6.0} MB/s with the guest's stack, {:6.0} MB/s alone",
        megabytes / wall,
        megabytes / own
    );
    let floor = if mtu == 1500 { FLOOR_1500 } else { FLOOR_LARGE };
    assert!(BYTES as f64 * 8.0 / own > floor, "slower than the lab's links");
}

#[test]
#[ignore = "takes its time, and both processors"]
fn rate() {
    for mtu in [1500, 9000, 16_384, 65_535] {
        for from_guest in [true, false] {
            measure(mtu, from_guest);
        }
    }
}
