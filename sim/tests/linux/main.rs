//! An operating system that this project did not write: unmodified Linux in a domain.
//!
//! `LDOMLAB_GUESTS` is a folder with `linux/vmlinux` and `linux/initrd.cpio.gz`;
//! `scripts/linux-guest` makes one. Without it everything here says that it is skipped. The
//! command under test is `LDOMLAB_BIN`, or the one that was built with the tests.
//!
//! Snapshots are of one kernel ([`SNAPSHOTS_KERNEL`]); any other has another size, other
//! drivers and so other times, and is not held against them.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test of the host may")]

mod bootdisk;
mod boots;
mod breaks;
mod crypto;
mod disk;
mod life;
mod log;
mod moves;
mod network;
mod overlay;
mod scenario;
mod session;
mod speed;
mod start;
mod tape;
mod usernet;

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The kernel and its initial RAM disk.
pub struct Guest {
    /// ELF.
    pub kernel: PathBuf,
    /// Archives, packed.
    pub initrd: PathBuf,
}

/// SHA-256 of the kernel that snapshots were taken with.
const SNAPSHOTS_KERNEL: &str = "3f1da3a1cc7c7ec6c0a9b0c395775978dc821b56afbc662a649c8193b5a675c0";

impl Guest {
    /// Is it the one that snapshots were taken with? Says loudly when it is not.
    pub fn has_snapshots(&self, test: &str) -> bool {
        let digest = Sha256::digest(std::fs::read(&self.kernel).unwrap());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if digest != SNAPSHOTS_KERNEL {
            eprintln!("SKIPPED: no snapshots of kernel {digest}, so {test} is held against none");
        }
        digest == SNAPSHOTS_KERNEL
    }
}

/// The guest, or a loud word that there is none.
pub fn guest(test: &str) -> Option<Guest> {
    let Some(folder) = std::env::var_os("LDOMLAB_GUESTS") else {
        eprintln!("SKIPPED: LDOMLAB_GUESTS is not set, no Linux for {test}");
        return None;
    };
    // Tests run in the folder of their crate, names are given from the project's.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("linux");
    let guest = Guest { kernel: folder.join("vmlinux"), initrd: folder.join("initrd.cpio.gz") };
    assert!(guest.kernel.exists(), "{} is not there", guest.kernel.display());
    Some(guest)
}

/// The command under test.
pub fn ldomlab() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_ldomlab"));
    let named = std::env::var_os("LDOMLAB_BIN");
    named.map_or_else(built, |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name))
}

/// A folder for a test's files, empty.
pub fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("linux").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
