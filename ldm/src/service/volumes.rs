//! All volumes of a control domain: which kind a path names.
//!
//! **Shapes.** `/net/HOST/PATH` lies on a server ([`nfs`](super::nfs)), `/dev/dsk/NAME` is
//! a disk of the machine ([`local`](super::local)). Numbers of the latter begin at 2^31.
//!
//! **Errors.** Any other path is ENXIO.

use super::local::{Local, is_local};
use super::nfs::{Effort, Storage};
use super::volume::{Backend, Completion, Kept, Owner, Request, VolumeId};
use crate::stack::Stack;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use sun4v::native::Ports;
use sun4v::time::SimTime;
use sun4v::vio::vdisk::Errno;

/// Number of the first volume that is a disk of the machine.
const FIRST_LOCAL: VolumeId = VolumeId(1 << 31);

/// Volumes on servers, and disks of the machine.
#[derive(Debug)]
pub struct Volumes {
    remote: Storage,
    local: Local,
}

impl Volumes {
    /// Volumes of these hosts, used in the name of `machine`, and its disks.
    #[must_use]
    pub fn new(hosts: BTreeMap<String, Ipv4Addr>, machine: &str) -> Self {
        Self { remote: Storage::new(hosts, machine), local: Local::new(machine, FIRST_LOCAL) }
    }

    fn of(&mut self, volume: VolumeId) -> &mut dyn Backend {
        if volume < FIRST_LOCAL { &mut self.remote } else { &mut self.local }
    }

    /// Moves bytes and requests; call it before and after the stack's poll.
    pub fn poll(&mut self, ports: &mut dyn Ports, stack: Option<&mut Stack>) {
        if let Some(stack) = stack {
            self.remote.poll(stack, ports.now());
        }
        self.local.poll(ports);
    }

    /// A request to a disk of the machine has ended.
    pub fn disk_done(&mut self, token: u64, result: Result<Vec<u8>, Errno>) {
        self.local.done(token, result);
    }

    /// When to poll again, besides when the stack says so.
    #[must_use]
    pub fn next_poll(&self, now: SimTime) -> SimTime {
        self.remote.next_poll(now)
    }

    /// What was completed since the last call.
    pub fn take_completions(&mut self) -> Vec<Completion> {
        let mut all = self.remote.take_completions();
        all.extend(self.local.take_completions());
        all
    }

    /// What was done over the network since the last call.
    pub fn take_effort(&mut self) -> Effort {
        self.remote.take_effort()
    }
}

impl Backend for Volumes {
    fn open(&mut self, path: &str, owner: &Owner) -> VolumeId {
        let local = is_local(path);
        if local { self.local.open(path, owner) } else { self.remote.open(path, owner) }
    }
    fn claim(&mut self, volume: VolumeId, epoch: u64) {
        self.of(volume).claim(volume, epoch);
    }
    fn close(&mut self, volume: VolumeId) {
        self.of(volume).close(volume);
    }
    fn submit(&mut self, volume: VolumeId, token: u64, request: Request) {
        self.of(volume).submit(volume, token, request);
    }
    fn kept(&self, volume: VolumeId) -> Result<Kept, String> {
        if volume < FIRST_LOCAL { self.remote.kept(volume) } else { self.local.kept(volume) }
    }
    fn keep(&mut self, volume: VolumeId, kept: Kept) {
        self.of(volume).keep(volume, kept);
    }
}
