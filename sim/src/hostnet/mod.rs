//! The host's network, seen from the lab.
//!
//! A [`HostNet`] is what a port of the lab's switch can lead to outside the simulation:
//! frames go in and come out, real Ethernet without the FCS. What comes out depends on the
//! world outside, so a run that is to be repeated has to note it.

use std::os::fd::BorrowedFd;
use std::time::Duration;

/// A network of the host, seen from the lab: frames in and out, no FCS.
pub trait HostNet {
    /// Takes a frame from the lab towards the host. A frame that cannot be carried is dropped.
    fn send(&mut self, frame: &[u8]);

    /// Appends the frames that have come from the host since the last call; never blocks.
    fn poll(&mut self, out: &mut Vec<Vec<u8>>);

    /// Descriptors that are readable when there may be something to poll for.
    fn wait_fds(&self) -> Vec<BorrowedFd<'_>>;

    /// When a poll is due at the latest, from now; `None` when only a descriptor or a frame of
    /// the lab makes one worthwhile.
    fn deadline(&self) -> Option<Duration>;
}
