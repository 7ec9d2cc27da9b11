//! The virtual disk server: one port a disk, each with a session of its client and
//! a volume behind it.
//!
//! **Protocol.** vdisk 1.0, 1.1 and 1.2 as server; requests in descriptor rings
//! (`xfer_mode` 3) or in messages (2, as firmware has them). The server answers and never
//! begins; the client's session id serves both directions. A ring message names a bounded
//! run of descriptors and gets one acknowledgement with the same indices (state STOPPED)
//! when all are DONE; a message with a request is sent back with its status.
//!
//! **Disks.** A client has a whole disk in front of it, whose label is its own, or a
//! slice with a made-up label; its slices are those of the label ([`media`]). A file has
//! no SCSI commands, no RESET and no reservations; a disk of the machine has the latter
//! two ([`access`]).
//!
//! **Order.** Requests run side by side; descriptors become DONE and messages are
//! acknowledged in the order in which they came. A flush answers when what was
//! written before is durable. With the write cache off (SET_WCE 0) every write is.
//!
//! **Owners.** A volume is claimed for the port's domain at the domain's epoch, and anew
//! when the domain comes to this machine ([`DiskServer::claim`]).
//!
//! **Sessions.** A link that goes down, a new VER or a violation ends a session;
//! what it had under way is let run out before the next one is let in, so that an
//! old write never lands on a newer one.
//!
//! **Suspended guests.** [`DiskServer::hold`] stops a port from touching its
//! guest; [`DiskServer::is_quiet`] tells when its volume has nothing under way and
//! everything durable. [`DiskServer::release`] goes on where it stopped. A client whose
//! driver loses what is under way when its channel is reset is best stopped while its disk
//! rests ([`DiskServer::rest`]).
//!
//! **Errors.** A request that cannot be done gets a Solaris error number as its
//! status (ENOTSUP for operations that the server lacks); a violation of the
//! protocol gets a NACK, and a full reset of the link where Solaris's server does
//! one. Nothing that a guest sends panics.
//!
//! **Source.** illumos `vds.c`, `vdsk_mailbox.h`; Linux `sunvdc.c` for what a
//! client bears.

mod access;
mod label;
mod media;
mod port;
pub mod record;
mod rest;
mod serve;
mod session;
#[cfg(test)]
pub(crate) mod test;

pub use port::DiskConf;
pub use rest::Rest;

use super::host::Host;
use super::volume::{Backend, Completion, Request, VolumeId};
use crate::channel::OpenError;
use access::Access;
use port::DiskPort;
use record::{Disk, DiskV1};
use std::collections::BTreeMap;
use sun4v::time::SimTime;

/// Names a port to the control domain: the cookie of its mondos.
pub type PortKey = u64;

/// Who waits for a completion.
#[derive(Clone, Copy, Debug)]
enum Waiter {
    /// A port.
    Port(PortKey),
    /// Nobody: the volume is to be closed.
    Close(VolumeId),
}

/// Numbers requests and remembers whose they are.
#[derive(Debug, Default)]
struct Tokens {
    next: u64,
    waiters: BTreeMap<u64, Waiter>,
}

impl Tokens {
    fn submit(
        &mut self,
        backend: &mut dyn Backend,
        waiter: Waiter,
        volume: VolumeId,
        request: Request,
    ) -> u64 {
        let token = self.next;
        self.next += 1;
        self.waiters.insert(token, waiter);
        backend.submit(volume, token, request);
        token
    }
}

/// What ports share.
#[derive(Debug, Default)]
struct Desk {
    tokens: Tokens,
    access: Access,
}

/// The server.
#[derive(Debug, Default)]
pub struct DiskServer {
    ports: BTreeMap<PortKey, DiskPort>,
    desk: Desk,
}

impl DiskServer {
    /// Opens a port; mondos with cookie `key` are its.
    ///
    /// # Errors
    /// As [`crate::channel::Endpoint::open`].
    pub fn attach(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        key: PortKey,
        conf: DiskConf,
    ) -> Result<(), OpenError> {
        let port = DiskPort::open(host, backend, key, conf)?;
        self.ports.insert(key, port);
        Ok(())
    }

    /// Closes a port. Its volume is closed when what it was given is durable.
    pub fn detach(&mut self, host: &mut Host<'_>, backend: &mut dyn Backend, key: PortKey) {
        if let Some(port) = self.ports.remove(&key) {
            let volume = port.close(host);
            self.desk.access.forget(key);
            self.desk.tokens.submit(backend, Waiter::Close(volume), volume, Request::Flush);
        }
    }

    /// The port at this channel.
    #[must_use]
    pub fn find(&self, channel: sun4v::id::LdcId) -> Option<PortKey> {
        self.ports
            .iter()
            .find_map(|(key, port)| (port.conf().channel.id == channel).then_some(*key))
    }

    /// What each port must remember, by channel.
    ///
    /// # Errors
    /// Why it cannot be stopped now.
    pub fn save(&self, backend: &dyn Backend) -> Result<Vec<DiskV1>, String> {
        // Reservations are lost, as when a server is restarted; claims are made again.
        let Self { ports, desk: Desk { tokens, access: _ } } = self;
        if tokens.waiters.values().any(|waiter| matches!(waiter, Waiter::Close(_))) {
            return Err("a virtual disk is being closed".to_owned());
        }
        Self::save_all(ports, backend, false)
    }

    /// The same when the domain is reset in the middle of things.
    ///
    /// # Errors
    /// A volume cannot say what it must remember.
    pub fn keep(&self, backend: &dyn Backend) -> Result<Vec<DiskV1>, String> {
        Self::save_all(&self.ports, backend, true)
    }

    fn save_all(
        ports: &BTreeMap<PortKey, DiskPort>,
        backend: &dyn Backend,
        reset: bool,
    ) -> Result<Vec<DiskV1>, String> {
        let saved = ports.values().map(|port| port.save(backend, reset));
        let mut disks = saved.collect::<Result<Vec<_>, _>>()?;
        disks.sort_by_key(|disk| disk.channel);
        Ok(disks)
    }

    /// Opens a port that goes on where it was saved.
    ///
    /// # Errors
    /// As [`DiskServer::attach`].
    pub fn attach_again(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        key: PortKey,
        conf: DiskConf,
        disk: Disk,
    ) -> Result<(), OpenError> {
        let mut port = DiskPort::open(host, backend, key, conf)?;
        port.recall(backend, disk);
        self.ports.insert(key, port);
        Ok(())
    }

    /// Handles a port's mondo.
    pub fn mondo(&mut self, host: &mut Host<'_>, backend: &mut dyn Backend, key: PortKey) {
        if let Some(port) = self.ports.get_mut(&key) {
            port.service(host, backend, &mut self.desk);
        }
    }

    /// Handles what a volume completed.
    pub fn complete(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        completion: Completion,
    ) {
        match completion {
            Completion::Opened { volume, found } => {
                if let Some(port) = self.ports.values_mut().find(|port| port.volume() == volume) {
                    port.opened(host, backend, &mut self.desk, found);
                }
            }
            Completion::Claimed { volume, result } => {
                if let Some(port) = self.ports.values_mut().find(|port| port.volume() == volume) {
                    port.was_claimed(host, backend, result);
                }
            }
            Completion::Done { token, result } => match self.desk.tokens.waiters.remove(&token) {
                Some(Waiter::Port(key)) => {
                    if let Some(port) = self.ports.get_mut(&key) {
                        port.complete(host, backend, &mut self.desk, token, result);
                    }
                }
                Some(Waiter::Close(volume)) => backend.close(volume),
                None => {}
            },
        }
    }

    /// Does what time brings: volumes that could not be opened are tried again,
    /// channels without room too.
    pub fn tick(&mut self, host: &mut Host<'_>, backend: &mut dyn Backend) {
        for port in self.ports.values_mut() {
            port.tick(host, backend);
        }
    }

    /// When [`DiskServer::tick`] is due.
    #[must_use]
    pub fn next_tick(&self, now: SimTime) -> SimTime {
        self.ports.values().map(|port| port.next_tick(now)).min().unwrap_or(SimTime::NEVER)
    }

    /// The domain of a port is at another epoch now: its volume is claimed again.
    pub fn claim(
        &mut self,
        host: &mut Host<'_>,
        backend: &mut dyn Backend,
        key: PortKey,
        epoch: u64,
    ) {
        if let Some(port) = self.ports.get_mut(&key) {
            port.claim(host, backend, epoch);
        }
    }

    /// Refuses what a port's client asks for, because its domain is somebody else's; or no
    /// longer.
    pub fn shut(&mut self, key: PortKey, shut: bool) {
        if let Some(port) = self.ports.get_mut(&key) {
            port.shut(shut);
        }
    }

    /// Is the volume of a port claimed, or is there none? `None` while that is not known.
    ///
    /// # Errors
    /// The domain was claimed for elsewhere, at a newer epoch.
    #[must_use]
    pub fn is_claimed(&self, key: PortKey) -> Option<Result<(), String>> {
        self.ports.get(&key).map_or(Some(Ok(())), DiskPort::is_claimed)
    }

    /// Stops a port from touching its guest, and makes its volume durable.
    pub fn hold(&mut self, backend: &mut dyn Backend, key: PortKey) {
        if let Some(port) = self.ports.get_mut(&key) {
            port.hold(backend, &mut self.desk);
        }
    }

    /// What the disk of a port is doing: [`Rest::Rests`] is that it could go away now. A
    /// port that is no disk's rests always.
    pub fn rest(&mut self, host: &mut Host<'_>, key: PortKey) -> Rest {
        self.ports.get_mut(&key).map_or(Rest::Rests, |port| port.rest(host))
    }

    /// True when a held port's volume has nothing under way.
    #[must_use]
    pub fn is_quiet(&self, key: PortKey) -> bool {
        self.ports.get(&key).is_none_or(DiskPort::is_quiet)
    }

    /// Lets a held port go on.
    pub fn release(&mut self, host: &mut Host<'_>, backend: &mut dyn Backend, key: PortKey) {
        if let Some(port) = self.ports.get_mut(&key) {
            port.release(host, backend, &mut self.desk);
        }
    }
}
