//! Checkpoints: a whole world in one file.
//!
//! **What is saved, in this order.** `world`: time, the script and what is counted
//! ([`super::world`]). Then each network and each host of the lab (`network/NAME`,
//! `host/NAME`), and of each chassis its strands, crypto units and hypervisor
//! (`chassis/NAME`), what its control domain's software saves (`program/NAME`) and its
//! memory (`memory/NAME`). Whoever runs the world puts sections of its own around them.
//! Each section holds records ([`sun4v::record`]) or, where it is long, a stream that
//! is read piece by piece.
//!
//! **A checkpoint is an event.** The world is held ([`super::world::World::hold`]),
//! saved, dropped, and made again from what was saved by the same code that begins from
//! a file; then everything that begins anew does. So nothing that is not in the file is
//! in the run that wrote it.
//!
//! **Errors.** [`LoadError`] says which section is wrong, and how. [`file`] finds a
//! file that is cut or altered before anything is made of it.

pub mod file;
pub mod memory;

use super::world::WorldError;
use file::FileError;
use sun4v::record;
use thiserror::Error;

pub use file::{Reader, Writer};
pub use hv::Unsaved;

/// Why no world could be made of a checkpoint.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file is not what it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// A record is refused.
    #[error("section {section}: {why}")]
    Record {
        /// In which section.
        section: String,
        /// Why.
        why: record::LoadError,
    },
    /// Something else in a section is wrong.
    #[error("section {section}: {why}")]
    Section {
        /// Which one.
        section: String,
        /// What.
        why: String,
    },
    /// The world cannot be made.
    #[error(transparent)]
    World(#[from] WorldError),
}

impl LoadError {
    /// A record of `section` was refused.
    #[must_use]
    pub fn record(section: &str, why: record::LoadError) -> Self {
        Self::Record { section: section.to_owned(), why }
    }

    /// Something is wrong in `section`.
    #[must_use]
    pub fn section(section: &str, why: impl std::fmt::Display) -> Self {
        Self::Section { section: section.to_owned(), why: why.to_string() }
    }
}

/// More bytes than the records of a section have, where nothing says how many they are.
pub const RECORDS_MAX: u64 = 256 << 20;

/// Reads a section that holds one record.
///
/// # Errors
/// See [`LoadError`].
pub fn one<S: record::Schema>(reader: &mut Reader<'_>, section: &str) -> Result<S, LoadError> {
    let bytes = reader.section(section)?.all(RECORDS_MAX)?;
    let mut rest = bytes.as_slice();
    let found = record::decode(&mut rest).map_err(|why| LoadError::record(section, why))?;
    if rest.is_empty() { Ok(found) } else { Err(LoadError::section(section, TRAILING)) }
}

/// What is said of bytes behind the last record of a section.
pub const TRAILING: &str = "bytes follow its records";

/// Writes a section that holds one record.
pub fn put<S: record::Schema>(writer: &mut Writer, section: &str, content: &S) {
    let mut bytes = Vec::new();
    record::encode(content, &mut bytes);
    writer.section(section).add(&bytes);
}
