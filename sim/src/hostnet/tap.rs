//! A TAP device of the host: the lab's network and the host's become one.
//!
//! **Shape.** What the lab sends comes out of the device as if a cable had brought it; what the
//! host sends into the device goes to the lab. The device is attached to if it exists, and made
//! (and brought up) if it does not, in which case it goes away with the run. Addresses, bridges
//! and routes are the business of whoever runs the host.
//!
//! **Frames.** Up to the device's MTU, both ways; a longer one of the lab's is dropped. The
//! device does no segmentation and leaves no checksum undone. What the device cannot take
//! at once is dropped, as by a switch without room.
//!
//! **Errors.** No `/dev/net/tun`; no permission; a device that another program holds or that is
//! no TAP device.
//!
//! **Source.** Linux, `Documentation/networking/tuntap.rst`.

use super::{Error, HostNet};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// Where the host makes such devices.
const TUN: &str = "/dev/net/tun";
/// Bytes of an Ethernet header with a VLAN tag.
const HEADER_MAX: usize = 18;
/// Frames taken in one poll.
const BATCH: usize = 256;
/// The longest frame that a device can have.
const FRAME_MAX: usize = u16::MAX as usize + HEADER_MAX;

/// A TAP device.
pub struct Tap {
    device: SyncDevice,
    frame_max: usize,
    buffer: Vec<u8>,
    more: bool,
}

impl Tap {
    /// Attaches to the device `name`, or makes it.
    pub fn open(name: &str) -> Result<Self, Error> {
        if !Path::new(TUN).exists() {
            return Err(Error::NoTun);
        }
        let exists = Path::new("/sys/class/net").join(name).exists();
        let failed = |source: std::io::Error| match source.kind() {
            ErrorKind::PermissionDenied => Error::TapDenied(name.to_owned()),
            ErrorKind::InvalidInput if exists => Error::NotTap(name.to_owned()),
            _ => Error::Tap { name: name.to_owned(), source },
        };
        let builder = DeviceBuilder::new().name(name).layer(Layer::L2).inherit_enable_state();
        let builder = builder.with(|options| {
            options.packet_information(false).offload(false);
        });
        let device = builder.build_sync().map_err(failed)?;
        device.set_nonblocking(true).map_err(failed)?;
        if !exists {
            device.enabled(true).map_err(failed)?;
        }
        let mtu = device.mtu().map_err(failed)?;
        let frame_max = usize::from(mtu) + HEADER_MAX;
        Ok(Self { device, frame_max, buffer: vec![0; FRAME_MAX], more: false })
    }
}

impl HostNet for Tap {
    fn send(&mut self, frame: &[u8]) {
        if frame.len() <= self.frame_max {
            // A device that is down or has no room takes nothing: dropped, as on a wire.
            let _ = self.device.send(frame);
        }
    }

    fn poll(&mut self, out: &mut Vec<Vec<u8>>) {
        self.more = false;
        for _ in 0..BATCH {
            match self.device.recv(&mut self.buffer) {
                Ok(length) => out.push(self.buffer[..length].to_vec()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return, // Nothing there, or the device is down or gone.
            }
        }
        self.more = true;
    }

    fn mtu(&self) -> u16 {
        (self.frame_max - HEADER_MAX) as u16
    }

    fn wait_fds(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.device.as_fd()]
    }

    fn deadline(&self) -> Option<Duration> {
        self.more.then_some(Duration::ZERO)
    }
}
