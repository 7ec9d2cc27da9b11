//! Volumes that are disks of the machine.
//!
//! **Shapes.** `/dev/dsk/c0t1d0s2` is the whole of disk `c0t1d0`: slice 2 is that by
//! convention, whatever the disk's label says. `/dev/dsk/c0t1d0` is the same, as the path
//! of a disk with a GPT is written; `/dev/rdsk` too.
//!
//! **Owners.** Nobody else reaches a disk of the machine, so it remembers none.
//!
//! **Order.** The domain's disks do one request after the other
//! ([`sun4v::native::Ports::disk`]), so a flush is behind the writes before it.
//!
//! **Errors.** ENXIO for a disk that is not there, and for a slice other than the whole.

use super::volume::{Backend, Completion, Found, Kept, Owner, Request, VolumeId};
use std::collections::{BTreeMap, VecDeque};
use sun4v::native::{LocalDisk, Ports};
use sun4v::vio::vdisk::Errno;

/// Disks of the machine, as volumes.
#[derive(Debug)]
pub struct Local {
    machine: String,
    /// Disk numbers of what is open.
    open: BTreeMap<VolumeId, usize>,
    /// To be looked for when the domain can be asked.
    opening: Vec<(VolumeId, String)>,
    /// To be submitted then.
    waiting: VecDeque<(VolumeId, u64, Request)>,
    completions: Vec<Completion>,
    next: u32,
}

/// Is this the path of a disk of the machine, there or not?
#[must_use]
pub fn is_local(path: &str) -> bool {
    device(path).is_some()
}

/// The device's name in a path.
fn device(path: &str) -> Option<&str> {
    path.strip_prefix("/dev/dsk/").or_else(|| path.strip_prefix("/dev/rdsk/"))
}

impl Local {
    /// Disks of `machine`; volumes are numbered from `first` on.
    #[must_use]
    pub fn new(machine: &str, first: VolumeId) -> Self {
        Self {
            machine: machine.to_owned(),
            open: BTreeMap::new(),
            opening: Vec::new(),
            waiting: VecDeque::new(),
            completions: Vec::new(),
            next: first.0,
        }
    }

    /// Asks the domain for what is to be asked.
    pub fn poll(&mut self, ports: &mut dyn Ports) {
        if !self.opening.is_empty() {
            let disks = ports.disks();
            for (volume, path) in std::mem::take(&mut self.opening) {
                let found = self.look(&disks, &path).map(|(disk, found)| {
                    self.open.insert(volume, disk);
                    found
                });
                self.completions.push(Completion::Opened { volume, found });
            }
        }
        for (volume, token, request) in self.waiting.drain(..) {
            match self.open.get(&volume) {
                Some(&disk) => ports.disk(disk, token, request),
                None => {
                    self.completions.push(Completion::Done { token, result: Err(Errno::Nxio) });
                }
            }
        }
    }

    fn look(&self, disks: &[LocalDisk], path: &str) -> Result<(usize, Found), Errno> {
        let device = device(path).ok_or(Errno::Nxio)?;
        let is = |disk: &LocalDisk| {
            device.strip_prefix(&disk.name).is_some_and(|rest| matches!(rest, "" | "s2"))
        };
        let number = disks.iter().position(is).ok_or(Errno::Nxio)?;
        let LocalDisk { name, bytes, read_only } = &disks[number];
        let found = Found {
            size: *bytes,
            read_only: *read_only,
            device: true,
            identity: format!("{}:{name}", self.machine),
        };
        Ok((number, found))
    }

    /// A request to a disk has ended.
    pub fn done(&mut self, token: u64, result: Result<Vec<u8>, Errno>) {
        self.completions.push(Completion::Done { token, result });
    }

    /// What was completed since the last call.
    pub fn take_completions(&mut self) -> Vec<Completion> {
        std::mem::take(&mut self.completions)
    }
}

impl Backend for Local {
    fn open(&mut self, path: &str, _: &Owner) -> VolumeId {
        let volume = VolumeId(self.next);
        self.next += 1;
        self.opening.push((volume, path.to_owned()));
        volume
    }

    fn claim(&mut self, volume: VolumeId, _: u64) {
        self.completions.push(Completion::Claimed { volume, result: Ok(()) });
    }

    fn close(&mut self, volume: VolumeId) {
        self.open.remove(&volume);
        self.opening.retain(|(opening, _)| *opening != volume);
    }

    fn submit(&mut self, volume: VolumeId, token: u64, request: Request) {
        self.waiting.push_back((volume, token, request));
    }

    fn kept(&self, _: VolumeId) -> Result<Kept, String> {
        // A disk does not lose what it has answered.
        Ok(Kept::default())
    }

    fn keep(&mut self, _: VolumeId, _: Kept) {}
}
