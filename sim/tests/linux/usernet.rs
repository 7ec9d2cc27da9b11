//! The host's network in user mode, which asks for no rights.

use super::guest;
use super::log::trouble;
use super::session::{Session, boot_linux};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

pub const MB: usize = 1 << 20;
/// Nobody, for whom root has no rights.
const NOBODY: u32 = 65534;

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that do not repeat soon.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = sim::time::rng::Rng::new(seed);
    (0..length.div_ceil(8)).flat_map(|_| rng.draw().to_le_bytes()).take(length).collect()
}

/// Gives these bytes to the first who connects, and takes as many back from the second.
fn server(given: Vec<u8>) -> (u16, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&given).unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let mut got = vec![0; given.len()];
        stream.read_exact(&mut got).unwrap();
        got
    };
    (port, spawn(serve))
}

/// The guest gets its address, router and mask from the network.
pub fn lease(linux: &mut Session) {
    let script = "[ $1 = bound ] && ifconfig $interface $ip netmask $subnet && \
                  route add default gw $router; exit 0";
    linux.done(&format!("(echo '#!/bin/sh'; echo '{script}') > /tmp/bound; chmod +x /tmp/bound"));
    linux.done("ifconfig eth0 up; udhcpc -i eth0 -n -q -s /tmp/bound");
    let routes = linux.done("route -n");
    assert!(routes.lines().any(|line| line.starts_with("0.0.0.0         10.0.2.2 ")), "{routes}");
    let address = linux.done("ifconfig eth0");
    assert!(address.contains("inet addr:10.0.2.15  Bcast:10.0.2.255  Mask:255.255.255.0"));
}

/// The guest fetches a file of so many megabytes from a server on the host, and takes it back
/// there: it is what it was.
pub fn exchange(linux: &mut Session, megabytes: usize) {
    let file = bytes(7, megabytes * MB);
    let (port, host) = server(file.clone());
    let begun = Instant::now();
    linux.done(&format!("nc 10.0.2.2 {port} < /dev/null > /tmp/file"));
    let down = begun.elapsed().as_secs_f64();
    assert_eq!(linux.done("stat -c %s /tmp/file"), (megabytes * MB).to_string());
    linux.done(&format!("nc 10.0.2.2 {port} < /tmp/file"));
    let both = begun.elapsed().as_secs_f64();
    assert_eq!(hex(&host.join().unwrap()), hex(&file));
    eprintln!("{megabytes} MB from the host in {down:.1} s, and back in {:.1} s", both - down);
}

/// Somebody on the host logs in at the guest, by this port of the host.
pub fn log_in(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(b"echo hello-$((40+2)) from $(hostname)\r\n").unwrap();
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("hello-42 from rover") {
        let mut bytes = [0; 256];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "it hung up: {}", String::from_utf8_lossy(&said));
        said.extend(&bytes[..count]);
    }
}

/// A port of the host at which nothing listens.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn without_any_rights_files_datagrams_and_a_login_get_through() {
    let Some(guest) = guest("a network in user mode") else { return };
    let telnet = free_port();
    let net = format!("user,hostfwd=tcp:127.0.0.1:{telnet}-:23");
    let mut command = boot_linux(&guest, "");
    command.args(["--net", &net]);
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut linux = Session::start(&mut command);
    linux.shell();
    lease(&mut linux);
    linux.done("ping -c 3 -W 5 10.0.2.2");
    exchange(&mut linux, 10);

    // A datagram, and the answer to it.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let host = spawn(move || {
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut asked = [0; 1500];
        let (count, from) = socket.recv_from(&mut asked).unwrap();
        asked[..count].reverse();
        socket.send_to(&asked[..count], from).unwrap();
    });
    let answer = linux.done(&format!("echo -n stressed | nc -u -w 1 10.0.2.2 {port}; true"));
    assert_eq!(answer, "desserts");
    host.join().unwrap();
    // A port at which nobody listens says so.
    let closed = free_port();
    assert_eq!(linux.ask(&format!("nc -w 5 10.0.2.2 {closed} < /dev/null 2>/dev/null")).1, 1);

    log_in(telnet);
    linux.send("\n");
    let log = linux.done("dmesg");
    assert_eq!(trouble(&log), Vec::<&str>::new(), "{log}");
    linux.send("poweroff -f\n");
    let (status, text) = linux.end();
    assert_eq!(status, 0, "{text}");
}
