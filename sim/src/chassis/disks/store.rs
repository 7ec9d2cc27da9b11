//! Where the bytes of a local disk are: a file or block device of the host, or memory.
//!
//! **Errors.** The host's, for reads, writes and flushes; [`OpenError`] in words for a
//! file that cannot be a disk.

use parking_lot::Mutex;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// Bytes of a disk's block: a disk has whole ones.
const BLOCK: u64 = 512;

/// Why a file cannot be a disk.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The host says so.
    #[error(transparent)]
    Host(#[from] std::io::Error),
    /// Somebody else has it, or the scenario names it twice.
    #[error("it is in use: a disk that takes writes has its file to itself")]
    InUse,
    /// It is no file or device.
    #[error("it is a folder")]
    Folder,
    /// It has no bytes, or half a block.
    #[error("it has {0} bytes; a disk has blocks of 512, one at least")]
    Size(u64),
}

/// Bytes that stay.
pub trait Store: Send + Sync {
    /// How many.
    fn bytes(&self) -> u64;
    /// Fills `data` from byte `offset` on.
    ///
    /// # Errors
    /// The host's; bytes that are not there are one.
    fn read(&self, offset: u64, data: &mut [u8]) -> std::io::Result<()>;
    /// Writes `data` from byte `offset` on.
    ///
    /// # Errors
    /// The host's.
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()>;
    /// What was written before outlives the host.
    ///
    /// # Errors
    /// The host's.
    fn flush(&self) -> std::io::Result<()>;
}

/// A raw file or a block device.
#[derive(Debug)]
pub struct FileStore {
    file: File,
    bytes: u64,
}

impl FileStore {
    /// Opens `path`, alone unless it is `read_only`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, read_only: bool) -> Result<Self, OpenError> {
        if path.is_dir() {
            return Err(OpenError::Folder);
        }
        let mut file = OpenOptions::new().read(true).write(!read_only).open(path)?;
        let locked = if read_only { file.try_lock_shared() } else { file.try_lock() };
        locked.map_err(|why| match why {
            TryLockError::WouldBlock => OpenError::InUse,
            TryLockError::Error(why) => OpenError::Host(why),
        })?;
        // A device's length is not in its metadata.
        let bytes = file.seek(SeekFrom::End(0))?;
        if bytes == 0 || !bytes.is_multiple_of(BLOCK) {
            return Err(OpenError::Size(bytes));
        }
        Ok(Self { file, bytes })
    }
}

impl Store for FileStore {
    fn bytes(&self) -> u64 {
        self.bytes
    }
    fn read(&self, offset: u64, data: &mut [u8]) -> std::io::Result<()> {
        self.file.read_exact_at(data, offset)
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.file.write_all_at(data, offset)
    }
    fn flush(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }
}

/// What tests see of a [`MemoryStore`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// As they were at the last flush.
    pub durable: Vec<u8>,
    /// Bytes from here on cannot be read or written.
    pub broken_from: Option<u64>,
}

/// Bytes in memory, for tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Memory>>);

impl MemoryStore {
    /// A disk with these bytes, all durable.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        let durable = bytes.clone();
        Self(Arc::new(Mutex::new(Memory { bytes, durable, broken_from: None })))
    }

    /// What is in it.
    #[must_use]
    pub fn look(&self) -> Memory {
        self.0.lock().clone()
    }

    /// Breaks it from a byte on.
    pub fn break_from(&self, offset: u64) {
        self.0.lock().broken_from = Some(offset);
    }
}

impl Memory {
    fn range(&self, offset: u64, bytes: usize) -> std::io::Result<std::ops::Range<usize>> {
        let end = offset + bytes as u64;
        if end > self.bytes.len() as u64 || self.broken_from.is_some_and(|from| end > from) {
            return Err(std::io::Error::other("the medium is broken"));
        }
        Ok(offset as usize..end as usize)
    }
}

impl Store for MemoryStore {
    fn bytes(&self) -> u64 {
        self.0.lock().bytes.len() as u64
    }
    fn read(&self, offset: u64, data: &mut [u8]) -> std::io::Result<()> {
        let memory = self.0.lock();
        data.copy_from_slice(&memory.bytes[memory.range(offset, data.len())?]);
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        let mut memory = self.0.lock();
        let range = memory.range(offset, data.len())?;
        memory.bytes[range].copy_from_slice(data);
        Ok(())
    }
    fn flush(&self) -> std::io::Result<()> {
        let mut memory = self.0.lock();
        memory.durable = memory.bytes.clone();
        Ok(())
    }
}
