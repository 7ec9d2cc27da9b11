//! Volumes: what is behind a virtual disk, as the disk server sees it.
//!
//! **Shapes.** Offsets and sizes are bytes. A request is answered once, in any
//! order, by a [`Completion`] with its token.
//!
//! **Owners.** A volume is used in the name of a domain at an epoch ([`Owner`]). A volume
//! that two machines reach remembers the newest epoch at which each domain has claimed it,
//! and refuses whoever comes with an older one ([`Errno::Stale`]).
//!
//! **Errors.** Solaris error numbers, as a virtual disk reports them. A server
//! that is away delays completions and fails none.

pub use sun4v::native::DiskRequest as Request;
use sun4v::vio::vdisk::Errno;

/// An open volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeId(pub u32);

/// In whose name a volume is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The domain's UUID.
    pub uuid: String,
    /// How often it has changed hands between machines.
    pub epoch: u64,
}

/// What a volume turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its bytes.
    pub size: u64,
    /// It takes no writes.
    pub read_only: bool,
    /// It is a disk of the machine, not a file.
    pub device: bool,
    /// The same for the same volume, wherever it is opened; no other's.
    pub identity: String,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// A volume was opened.
    Opened {
        /// Which.
        volume: VolumeId,
        /// What it is.
        found: Result<Found, Errno>,
    },
    /// A volume was claimed at a newer epoch.
    Claimed {
        /// Which.
        volume: VolumeId,
        /// [`Errno::Stale`]: its domain has claimed it at a newer one since.
        result: Result<(), Errno>,
    },
    /// A request is done.
    Done {
        /// Which.
        token: u64,
        /// What was read; empty otherwise.
        result: Result<Vec<u8>, Errno>,
    },
}

/// What whoever reaches a volume must remember of it: writes that were answered and
/// that its server may yet lose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// In the order in which they were done.
    pub writes: Vec<KeptWrite>,
    /// Others are lost for certain: the next flush tells.
    pub lost: Option<Errno>,
}

/// A write that is not durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptWrite {
    /// First byte.
    pub offset: u64,
    /// What.
    pub data: Vec<u8>,
    /// The life of the server that has it: another one has lost it.
    pub life: u64,
}

/// Something that keeps volumes.
pub trait Backend {
    /// Opens what lies at `path` for its owner, and claims it; [`Completion::Opened`]
    /// follows.
    fn open(&mut self, path: &str, owner: &Owner) -> VolumeId;
    /// Claims an open volume for the same domain at another epoch;
    /// [`Completion::Claimed`] follows. Requests that are submitted behind it are of that
    /// epoch.
    fn claim(&mut self, volume: VolumeId, epoch: u64);
    /// Forgets a volume; nothing more is asked of it.
    fn close(&mut self, volume: VolumeId);
    /// Submits a request.
    fn submit(&mut self, volume: VolumeId, token: u64, request: Request);
    /// What would be lost if it were forgotten; requests under way are not in it.
    ///
    /// # Errors
    /// Why that cannot be said now, for a person.
    fn kept(&self, volume: VolumeId) -> Result<Kept, String>;
    /// Gives a volume that was just opened what was kept of it.
    fn keep(&mut self, volume: VolumeId, kept: Kept);
}
