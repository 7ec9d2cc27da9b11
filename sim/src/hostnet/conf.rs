//! What a person writes after `--net`.
//!
//! **Forms.** `none`; `tap=NAME`; `user` with options, separated by commas:
//! `hostfwd=PROTO:[HOSTADDR]:PORT-[GUESTADDR]:PORT` (as often as wanted, PROTO is `tcp` or
//! `udp`), `net=ADDR/LEN`, `mtu=BYTES`, `dns=ADDR[:PORT]`. No address of the host means its
//! loopback, no address of the guest the first one that is leased.
//!
//! **Errors.** What is wrong, and in which part.
//!
//! **Source.** QEMU, `-netdev user`, for the form of `hostfwd`. There, no address of the host
//! means all of them; here a forwarded port is open to the host alone unless asked otherwise.

use super::user::plan::Plan;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::str::FromStr;
use thiserror::Error;

/// Bytes in the name of a network interface, without the terminating zero.
pub const NAME_MAX: usize = 15;
/// The least MTU: what every host must take in one piece (RFC 791).
pub const MTU_MIN: u16 = 576;
/// The usual MTU of Ethernet.
pub const MTU_DEFAULT: u16 = 1500;
/// Where name servers listen.
pub const DNS_PORT: u16 = 53;

/// Which network of the host the lab meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conf {
    /// None.
    None,
    /// A TAP device by this name.
    Tap(String),
    /// A network in user mode.
    User(User),
}

/// A network in user mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its addresses.
    pub plan: Plan,
    /// Bytes of an IP packet that fit in a frame.
    pub mtu: u16,
    /// Ports of the host that lead to a guest.
    pub forwards: Vec<Forward>,
    /// The name server to ask instead of the host's.
    pub dns: Option<SocketAddr>,
}

impl Default for User {
    fn default() -> Self {
        Self { plan: Plan::default(), mtu: MTU_DEFAULT, forwards: Vec::new(), dns: None }
    }
}

/// What a forwarded port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A port of the host that leads to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// What it carries.
    pub protocol: Protocol,
    /// Where the host listens.
    pub host: SocketAddrV4,
    /// Where it leads.
    pub guest: SocketAddrV4,
}

/// What is wrong with a network as written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfError {
    /// It begins with no known word.
    #[error("`{0}` is no network: none, tap=NAME or user[,OPTION...]")]
    Kind(String),
    /// A device's name that Linux would not take.
    #[error("`{0}` is no interface name: 1 to {NAME_MAX} bytes, no space, no `/`")]
    Name(String),
    /// An option that is not known.
    #[error("`{0}` is no option of user: hostfwd=, net=, mtu= or dns=")]
    Option(String),
    /// An option with a value that it cannot have.
    #[error("{option}={value}: {why}")]
    Value {
        /// Which option.
        option: &'static str,
        /// Its value as written.
        value: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// An option that may stand once only.
    #[error("{0}= stands twice")]
    Twice(&'static str),
}

/// A closure that makes the error of an option's value.
fn wrong(option: &'static str, value: &str) -> impl Fn(&'static str) -> ConfError {
    move |why| ConfError::Value { option, value: value.to_owned(), why }
}

impl Conf {
    /// Reads what was written.
    pub fn parse(text: &str) -> Result<Self, ConfError> {
        let (head, rest) = match text.split_once(',') {
            Some((head, rest)) => (head, Some(rest)),
            None => (text, None),
        };
        match (head, head.strip_prefix("tap="), rest) {
            ("none", _, None) => Ok(Self::None),
            ("user", _, rest) => Ok(Self::User(User::parse(rest)?)),
            (_, Some(name), None) => {
                let bad = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == '%';
                let dots = name == "." || name == "..";
                if name.is_empty() || name.len() > NAME_MAX || name.contains(bad) || dots {
                    return Err(ConfError::Name(name.to_owned()));
                }
                Ok(Self::Tap(name.to_owned()))
            }
            _ => Err(ConfError::Kind(text.to_owned())),
        }
    }
}

impl FromStr for Conf {
    type Err = ConfError;

    fn from_str(text: &str) -> Result<Self, ConfError> {
        Self::parse(text)
    }
}

/// Puts a value into a slot that must be free.
fn once<T>(slot: &mut Option<T>, option: &'static str, value: T) -> Result<(), ConfError> {
    if slot.replace(value).is_some() {
        return Err(ConfError::Twice(option));
    }
    Ok(())
}

impl User {
    fn parse(rest: Option<&str>) -> Result<Self, ConfError> {
        let (mut plan, mut mtu, mut dns) = (None, None, None);
        let mut forwards = Vec::new();
        for part in rest.into_iter().flat_map(|rest| rest.split(',')) {
            match part.split_once('=') {
                Some(("hostfwd", value)) => forwards.push(value),
                Some(("net", value)) => once(&mut plan, "net", net(value)?)?,
                Some(("mtu", value)) => {
                    let bytes = value.parse().ok().filter(|&bytes: &u16| bytes >= MTU_MIN);
                    let why = "a number of bytes, 576 to 65535";
                    once(&mut mtu, "mtu", bytes.ok_or_else(|| wrong("mtu", value)(why))?)?;
                }
                Some(("dns", value)) => once(&mut dns, "dns", resolver(value)?)?,
                _ => return Err(ConfError::Option(part.to_owned())),
            }
        }
        let plan = plan.unwrap_or_default();
        let mut done: Vec<Forward> = Vec::new();
        for value in forwards {
            let forward = Forward::parse(value, &plan)?;
            if done.iter().any(|b| (b.protocol, b.host) == (forward.protocol, forward.host)) {
                return Err(wrong("hostfwd", value)("this port of the host is taken already"));
            }
            done.push(forward);
        }
        Ok(Self { plan, mtu: mtu.unwrap_or(MTU_DEFAULT), forwards: done, dns })
    }
}

fn net(value: &str) -> Result<Plan, ConfError> {
    let wrong = wrong("net", value);
    let (address, length) = value.split_once('/').ok_or(wrong("ADDR/LEN, as 10.0.2.0/24"))?;
    let address = address.parse().map_err(|_| wrong("no IPv4 address before the `/`"))?;
    let length = length.parse().map_err(|_| wrong("no number after the `/`"))?;
    Plan::new(address, length).map_err(wrong)
}

/// A name server: an address, with a port if it is not the usual one.
fn resolver(value: &str) -> Result<SocketAddr, ConfError> {
    value
        .parse()
        .or_else(|_| value.parse().map(|address: IpAddr| SocketAddr::new(address, DNS_PORT)))
        .map_err(|_| wrong("dns", value)("ADDR or ADDR:PORT"))
}

impl Forward {
    fn parse(value: &str, plan: &Plan) -> Result<Self, ConfError> {
        let wrong = wrong("hostfwd", value);
        let form = "PROTO:[HOSTADDR]:PORT-[GUESTADDR]:PORT";
        let (protocol, rest) = value.split_once(':').ok_or_else(|| wrong(form))?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(wrong("the protocol is tcp or udp")),
        };
        let (host, guest) = rest.split_once('-').ok_or_else(|| wrong(form))?;
        let end = |text: &str, default: Ipv4Addr| {
            let (address, port) = text.rsplit_once(':').ok_or_else(|| wrong(form))?;
            let address = match address {
                "" => default,
                address => address.parse().map_err(|_| wrong("no IPv4 address before a port"))?,
            };
            let port = port.parse().ok().filter(|&port| port != 0);
            let port = port.ok_or_else(|| wrong("a port is a number from 1 to 65535"))?;
            Ok(SocketAddrV4::new(address, port))
        };
        let host = end(host, Ipv4Addr::LOCALHOST)?;
        let guest = end(guest, plan.first_lease())?;
        if !plan.is_guest(*guest.ip()) {
            return Err(wrong("the guest's address is not one of the network's for guests"));
        }
        Ok(Self { protocol, host, guest })
    }
}

#[cfg(test)]
mod test {
    use super::{Conf, ConfError, Forward, Protocol, User};

    #[test]
    fn networks_are_read() {
        assert_eq!(Conf::parse("none"), Ok(Conf::None));
        assert_eq!(Conf::parse("tap=tap0"), Ok(Conf::Tap("tap0".into())));
        assert_eq!(Conf::parse("user"), Ok(Conf::User(User::default())));
        let text = "user,hostfwd=tcp::2222-:22,net=192.168.7.0/24,mtu=9000,\
                    hostfwd=udp:0.0.0.0:6969-192.168.7.20:69,dns=127.0.0.1:5353";
        let Conf::User(user) = Conf::parse(text).unwrap() else { panic!("a user network") };
        assert_eq!(user.plan.gateway().to_string(), "192.168.7.2");
        assert_eq!(user.mtu, 9000);
        assert_eq!(user.dns, Some("127.0.0.1:5353".parse().unwrap()));
        let forward = |protocol, host: &str, guest: &str| Forward {
            protocol,
            host: host.parse().unwrap(),
            guest: guest.parse().unwrap(),
        };
        let tcp = forward(Protocol::Tcp, "127.0.0.1:2222", "192.168.7.15:22");
        let udp = forward(Protocol::Udp, "0.0.0.0:6969", "192.168.7.20:69");
        assert_eq!(user.forwards, [tcp, udp]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong: Vec<String> = [
            "",
            "bridge",
            "none,mtu=9000",
            "tap=",
            "tap=a/b",
            "tap=sixteen-bytes-xx",
            "user,",
            "user,speed=9",
            "user,mtu=100",
            "user,mtu=9000,mtu=1500",
            "user,net=10.0.2.0",
            "user,net=10.0.2.0/28",
            "user,net=127.0.0.0/8",
            "user,net=10.0.2.1/24",
            "user,dns=here",
            "user,hostfwd=tcp:22",
            "user,hostfwd=sctp::1-:1",
            "user,hostfwd=tcp::0-:22",
            "user,hostfwd=tcp::22-10.0.3.1:22",
            "user,hostfwd=tcp::22-10.0.2.2:22",
            "user,hostfwd=tcp:localhost:22-:22",
            "user,hostfwd=tcp::22-:22,hostfwd=tcp::22-:23",
        ]
        .into_iter()
        .map(|text| format!("{text:?}: {}", Conf::parse(text).unwrap_err()))
        .collect();
        insta::assert_snapshot!(wrong.join("\n"));
        assert_eq!(Conf::parse("bridge"), Err(ConfError::Kind("bridge".into())));
    }
}
