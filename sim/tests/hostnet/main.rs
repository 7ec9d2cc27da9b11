//! The host's network from a guest's side: a TCP/IP stack of its own, on the frames alone.
//!
//! What stands at the other end are ordinary sockets of the host, on its loopback.

#![expect(clippy::unwrap_used, reason = "a test may")]
#![expect(clippy::disallowed_methods, reason = "sockets of the host live by its clock")]

#[path = "../../../sun4v/tests/fuzz/dice.rs"]
mod dice;

mod datagrams;
mod fuzz;
mod guest;
mod rate;
mod streams;
mod tap;

use guest::Guest;
use sim::hostnet::conf::{Conf, User as UserConf};
use sim::hostnet::user::User;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// The network that was asked for with these options.
fn network(options: &str) -> (User, UserConf) {
    let Conf::User(conf) = Conf::parse(&format!("user{options}")).unwrap() else { panic!() };
    (User::open(&conf, guest::clock()).unwrap(), conf)
}

/// A guest at 10.0.2.15 on a network with these options.
fn guest(options: &str) -> Guest {
    let (net, conf) = network(options);
    Guest::new(net, conf.mtu, Some("10.0.2.15"))
}

/// The host's loopback as a guest names it.
fn gateway(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 2), port)
}

/// A port of the host's loopback at which nothing listens.
fn closed_port() -> u16 {
    free_address().port()
}

/// An address of the host's loopback that can be listened at.
fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Bytes that do not repeat soon.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = sim::time::rng::Rng::new(seed);
    (0..length.div_ceil(8)).flat_map(|_| rng.draw().to_le_bytes()).take(length).collect()
}
