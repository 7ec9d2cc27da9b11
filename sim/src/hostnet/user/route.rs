//! Where on the host's side a guest's destination is.
//!
//! The gateway is the host itself, by its loopback; port 53 of the network's name server is the
//! host's name server; an address beyond the network is that address. The rest of the network
//! is other guests, whom the lab's switch reaches without us.
//!
//! **Source.** QEMU's network in user mode. resolv.conf(5) for [`resolver`].

use super::plan::{Plan, may_be_reached};
use crate::hostnet::conf::DNS_PORT;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

/// What becomes of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The host reaches it here.
    Host(SocketAddr),
    /// It is ours, and nothing is served there.
    Refused,
    /// It is not for this room.
    Elsewhere,
}

/// The way from the guests' addresses to the host's.
#[derive(Clone, Copy, Debug)]
pub struct Routes {
    /// The network's addresses.
    pub plan: Plan,
    /// The name server of the host, if it has one.
    pub resolver: Option<SocketAddr>,
}

impl Routes {
    /// Where a stream or a datagram for `to` goes.
    #[must_use]
    pub fn target(&self, to: SocketAddrV4) -> Target {
        let address = *to.ip();
        if address == self.plan.gateway() {
            Target::Host(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), to.port()))
        } else if address == self.plan.dns() {
            match self.resolver {
                Some(resolver) if to.port() == DNS_PORT => Target::Host(resolver),
                _ => Target::Refused,
            }
        } else if !self.plan.contains(address) && may_be_reached(address) {
            Target::Host(SocketAddr::V4(to))
        } else {
            Target::Elsewhere
        }
    }
}

/// The first name server in the text of a `resolv.conf`.
#[must_use]
pub fn resolver(text: &str) -> Option<SocketAddr> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|&word| word == "nameserver").and(words.next())?;
        Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, DNS_PORT))
    })
}

#[cfg(test)]
mod test {
    use super::{Plan, Routes, Target, resolver};

    #[test]
    fn destinations_are_found() {
        let routes = Routes { plan: Plan::default(), resolver: resolver("nameserver 192.0.2.9") };
        let target = |to: &str| routes.target(to.parse().unwrap());
        let host = |to: &str| Target::Host(to.parse().unwrap());
        assert_eq!(target("10.0.2.2:80"), host("127.0.0.1:80"));
        assert_eq!(target("10.0.2.3:53"), host("192.0.2.9:53"));
        assert_eq!(target("10.0.2.3:80"), Target::Refused);
        assert_eq!(target("198.51.100.7:443"), host("198.51.100.7:443"));
        let elsewhere =
            ["10.0.2.16:80", "10.0.2.255:9", "127.0.0.1:80", "224.0.0.1:9", "0.0.0.0:1"];
        for to in elsewhere.into_iter().chain(["255.255.255.255:67"]) {
            assert_eq!(target(to), Target::Elsewhere, "{to}");
        }
    }

    #[test]
    fn the_hosts_name_server_is_read() {
        let text = "# made by hand\nsearch lab\nnameserver fe80::1%eth0\nnameserver ::1\n";
        assert_eq!(resolver(text), Some("[::1]:53".parse().unwrap()));
        assert_eq!(resolver("nameservers 1.2.3.4\noptions ndots:1\nnameserver\n"), None);
    }
}
