//! The host's network, seen from the lab.
//!
//! A [`HostNet`] is what a port of the lab's switch can lead to outside the simulation:
//! frames go in and come out, real Ethernet without the FCS. [`tap`] is a device of the host's,
//! [`user`] a network that needs no privilege, [`conf`] how a person names either.
//!
//! What comes out depends on the world outside, so a run that is to be repeated has to note it.
//! Time comes from a [`Clock`] that whoever opens the network gives it: connections outside age
//! by the host's clock, which nothing below the commands reads.

pub mod conf;
pub mod tap;
pub mod user;

use conf::Conf;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use thiserror::Error;

/// A network of the host, seen from the lab: frames in and out, no FCS.
pub trait HostNet {
    /// Takes a frame from the lab towards the host. A frame that cannot be carried is dropped.
    fn send(&mut self, frame: &[u8]);

    /// Appends the frames that have come from the host since the last call; never blocks.
    fn poll(&mut self, out: &mut Vec<Vec<u8>>);

    /// Bytes of the largest IP packet that it carries.
    fn mtu(&self) -> u16;

    /// Descriptors that are readable when there may be something to poll for.
    fn wait_fds(&self) -> Vec<BorrowedFd<'_>>;

    /// When a poll is due at the latest, from now; `None` when only a descriptor or a frame of
    /// the lab makes one worthwhile.
    fn deadline(&self) -> Option<Duration>;
}

/// Says the time since some moment that does not change; never goes back.
pub type Clock = Box<dyn Fn() -> Duration + Send>;

/// Why a network of the host cannot be had.
#[derive(Debug, Error)]
pub enum Error {
    /// The host makes no such devices.
    #[error("there is no /dev/net/tun: the host's kernel has no TAP devices, or hides them")]
    NoTun,
    /// Somebody else's device, or nobody may make one.
    #[error(
        "no permission for the TAP device `{0}`: make it beforehand for this user (ip tuntap add \
         dev {0} mode tap user USER), or run as root"
    )]
    TapDenied(String),
    /// An interface of another kind has the name.
    #[error("`{0}` is an interface of the host, but no TAP device of one queue")]
    NotTap(String),
    /// The device cannot be had for another reason.
    #[error("the TAP device `{name}`: {source}")]
    Tap {
        /// Which device.
        name: String,
        /// What the host says.
        source: io::Error,
    },
    /// A port that leads to a guest.
    #[error("the port {host} of the host cannot be had: {source}")]
    Forward {
        /// Which port.
        host: SocketAddrV4,
        /// What the host says.
        source: io::Error,
    },
    /// No way to wait for sockets.
    #[error("the host gives no epoll descriptor: {0}")]
    Epoll(io::Error),
}

impl Conf {
    /// Opens the network that was asked for; none if none was.
    pub fn open(&self, clock: Clock) -> Result<Option<Box<dyn HostNet + Send>>, Error> {
        Ok(match self {
            Self::None => None,
            Self::Tap(name) => Some(Box::new(tap::Tap::open(name)?)),
            Self::User(user) => Some(Box::new(user::User::open(user, clock)?)),
        })
    }
}
