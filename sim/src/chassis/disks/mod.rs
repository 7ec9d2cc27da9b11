//! The disks of a chassis, which its control domain owns.
//!
//! **Time.** A disk does one request after the other. A request takes a fixed time and
//! the time of its bytes, in simulated time ([`Disks`] of the lab's NAS has the same two
//! figures); it is due when those before it and itself are done.
//!
//! **The host.** A request is carried out meanwhile by a worker, in the order of
//! submission on each disk, or when it is due by whoever needs it. So what is read and
//! what is in the file depend on the requests and their order alone, on any number of
//! threads. A flush is done when the host has what was written on stable storage.
//!
//! **Errors.** [`DiskError`] when a file cannot be a disk. A request that the host refuses
//! is EIO; a line of the log says what and where. A write to a disk that takes none is
//! EROFS, a request beyond its end EINVAL.

mod store;

pub use store::{FileStore, Memory, MemoryStore, OpenError, Store};

use super::pool::{Pool, Slice};
use crate::lab::nas;
use crate::lab::scenario;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use sun4v::native::{DiskRequest, LocalDisk};
use sun4v::time::SimTime;
use sun4v::vio::vdisk::Errno;
use thiserror::Error;

/// Why there is no checkpoint just now.
pub const AT_WORK: &str = "a local disk is at work";

/// A disk of the scenario cannot be used.
#[derive(Debug, Error)]
#[error("local disk {disk}: {file}: {why}")]
pub struct DiskError {
    /// Which disk.
    pub disk: String,
    /// Its file.
    pub file: String,
    /// Why.
    pub why: OpenError,
}

/// What came of a request, or what the host said.
type Outcome = Result<Vec<u8>, String>;

/// A request on its way.
#[derive(Default)]
struct Transfer {
    outcome: Mutex<Option<Outcome>>,
}

/// The host's side of a disk.
struct Line {
    store: Box<dyn Store>,
    queue: Mutex<VecDeque<(DiskRequest, Arc<Transfer>)>>,
    /// Held by whoever carries out the request at the front.
    hands: Mutex<()>,
}

impl Line {
    /// Carries out the request at the front, for whoever holds the hands; false when
    /// there is none.
    fn advance(&self) -> bool {
        let Some((request, transfer)) = self.queue.lock().pop_front() else { return false };
        let outcome = match request {
            DiskRequest::Read { offset, bytes } => {
                let mut data = vec![0; bytes as usize];
                self.store.read(offset, &mut data).map(|()| data)
            }
            DiskRequest::Write { offset, data, durable } => {
                let written = self.store.write(offset, &data);
                let written =
                    if durable { written.and_then(|()| self.store.flush()) } else { written };
                written.map(|()| Vec::new())
            }
            DiskRequest::Flush => self.store.flush().map(|()| Vec::new()),
        };
        *transfer.outcome.lock() = Some(outcome.map_err(|error| error.to_string()));
        true
    }

    /// Carries out what waits, unless somebody else does.
    fn pump(&self) {
        while let Some(_hands) = self.hands.try_lock()
            && self.advance()
        {}
    }

    /// What came of a request: it, and those before it, are carried out here and now when
    /// nobody has.
    fn take(&self, transfer: &Transfer) -> Outcome {
        loop {
            let hands = self.hands.lock();
            if let Some(outcome) = transfer.outcome.lock().take() {
                return outcome;
            }
            if !self.advance() {
                return Err("the request was lost".to_owned());
            }
            drop(hands);
        }
    }
}

/// A disk.
pub struct Drive {
    name: String,
    /// What to call its store in errors.
    file: String,
    read_only: bool,
    model: nas::Disks,
    line: Arc<Line>,
    /// Busy until then.
    free_at: SimTime,
}

impl Drive {
    /// The disk `name` with the bytes of `store`, which `file` names.
    #[must_use]
    pub fn new(
        name: &str,
        file: &str,
        store: Box<dyn Store>,
        read_only: bool,
        model: nas::Disks,
    ) -> Self {
        let (queue, hands) = (Mutex::new(VecDeque::new()), Mutex::new(()));
        Self {
            name: name.to_owned(),
            file: file.to_owned(),
            read_only,
            model,
            line: Arc::new(Line { store, queue, hands }),
            free_at: SimTime::ZERO,
        }
    }

    /// What it takes no notice of: a request that needs no medium.
    fn refuses(&self, request: &DiskRequest) -> Option<Errno> {
        let (offset, bytes) = match request {
            DiskRequest::Read { offset, bytes } => (*offset, u64::from(*bytes)),
            DiskRequest::Write { .. } if self.read_only => return Some(Errno::RoFs),
            DiskRequest::Write { offset, data, .. } => (*offset, data.len() as u64),
            DiskRequest::Flush => return None,
        };
        let end = offset.checked_add(bytes);
        end.is_none_or(|end| end > self.line.store.bytes()).then_some(Errno::Inval)
    }
}

impl Drop for Drive {
    /// What it was given is done, and durable.
    fn drop(&mut self) {
        let _hands = self.line.hands.lock();
        while self.line.advance() {}
        if !self.read_only {
            // Nobody is left to be told.
            let _ = self.line.store.flush();
        }
    }
}

/// A request under way.
struct Pending {
    drive: usize,
    token: u64,
    /// For the log: what was asked.
    what: String,
    state: State,
}

enum State {
    Refused(Errno),
    Under(Arc<Transfer>),
}

/// A request that has ended.
pub struct Ended {
    /// Its token.
    pub token: u64,
    /// What came of it.
    pub result: Result<Vec<u8>, Errno>,
    /// What the host said.
    pub line: Option<String>,
}

/// The disks of a chassis.
#[derive(Default)]
pub struct Drives {
    drives: Vec<Drive>,
    /// By due time and number.
    pending: BTreeMap<(SimTime, u64), Pending>,
    next: u64,
}

impl Drives {
    /// The disks that a scenario gives a chassis.
    ///
    /// # Errors
    /// See [`DiskError`].
    pub fn open(disks: &BTreeMap<String, scenario::LocalDisk>) -> Result<Self, DiskError> {
        let mut all = Self::default();
        for (name, disk) in disks {
            let scenario::LocalDisk { file, read_only, call_time, bytes_per_second } = disk;
            let store = FileStore::open(Path::new(file), *read_only).map_err(|why| DiskError {
                disk: name.clone(),
                file: file.clone(),
                why,
            })?;
            let model = nas::Disks { call_time: call_time.0, bytes_per_second: bytes_per_second.0 };
            all.add(Drive::new(name, file, Box::new(store), *read_only, model));
        }
        Ok(all)
    }

    /// One more disk.
    pub fn add(&mut self, drive: Drive) {
        self.drives.push(drive);
    }

    /// What there is.
    #[must_use]
    pub fn list(&self) -> Vec<LocalDisk> {
        let disk = |drive: &Drive| LocalDisk {
            name: drive.name.clone(),
            bytes: drive.line.store.bytes(),
            read_only: drive.read_only,
        };
        self.drives.iter().map(disk).collect()
    }

    /// Submits a request at `now`. Panics where there is no such disk: a program's own
    /// mistake.
    pub fn submit<S: Slice>(
        &mut self,
        now: SimTime,
        disk: usize,
        token: u64,
        request: DiskRequest,
        pool: &Pool<S>,
    ) {
        let drive = &mut self.drives[disk];
        let (what, bytes) = match &request {
            DiskRequest::Read { offset, bytes } => {
                (format!("read of {bytes} bytes at {offset:#x}"), u64::from(*bytes))
            }
            DiskRequest::Write { offset, data, .. } => {
                (format!("write of {} bytes at {offset:#x}", data.len()), data.len() as u64)
            }
            DiskRequest::Flush => ("flush".to_owned(), 0),
        };
        let state = match drive.refuses(&request) {
            Some(error) => State::Refused(error),
            None => {
                drive.free_at = drive.free_at.max(now).plus(drive.model.time(bytes));
                let transfer = Arc::new(Transfer::default());
                drive.line.queue.lock().push_back((request, Arc::clone(&transfer)));
                let line = Arc::clone(&drive.line);
                // Its result is in the transfer.
                drop(pool.job(Box::new(move || {
                    line.pump();
                    Vec::new()
                })));
                State::Under(transfer)
            }
        };
        let due = drive.free_at.max(now);
        self.pending.insert((due, self.next), Pending { drive: disk, token, what, state });
        self.next += 1;
    }

    /// When the next request ends.
    #[must_use]
    pub fn next_time(&self) -> SimTime {
        self.pending.keys().next().map_or(SimTime::NEVER, |(due, _)| *due)
    }

    /// The first request that has ended by `now`.
    pub fn pop_until(&mut self, now: SimTime) -> Option<Ended> {
        let entry = self.pending.first_entry().filter(|entry| entry.key().0 <= now)?;
        let Pending { drive, token, what, state } = entry.remove();
        Some(match state {
            State::Refused(error) => Ended { token, result: Err(error), line: None },
            State::Under(transfer) => match self.drives[drive].line.take(&transfer) {
                Ok(data) => Ended { token, result: Ok(data), line: None },
                Err(why) => {
                    let Drive { name, file, .. } = &self.drives[drive];
                    let line = format!("local disk {name}: {file}: {what}: {why}");
                    Ended { token, result: Err(Errno::Io), line: Some(line) }
                }
            },
        })
    }

    /// May the world be written to a checkpoint?
    ///
    /// # Errors
    /// Why not, for a person.
    pub fn check_save(&self) -> Result<(), String> {
        if let Some(Drive { name, file, .. }) = self.drives.iter().find(|drive| !drive.read_only) {
            return Err(format!(
                "local disk {name} takes writes, and a checkpoint does not hold what is in {file}"
            ));
        }
        if self.pending.is_empty() { Ok(()) } else { Err(AT_WORK.to_owned()) }
    }
}

#[cfg(test)]
mod test;
