//! A client's session: how far the handshake is, and the requests under way.

use crate::service::ring::Ring;
use std::collections::VecDeque;
use sun4v::ldc::Cookie;
use sun4v::vio::DringData;
use sun4v::vio::vdisk::{Attr, Errno};

/// How far the handshake is: what is expected next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// A version.
    #[default]
    Ver,
    /// Attributes.
    Attr,
    /// A ring.
    Ring,
    /// "Ready".
    Rdx,
    /// Requests.
    Data,
}

/// A descriptor under way.
#[derive(Debug)]
pub(super) struct Job {
    /// Where it lies.
    pub(super) at: Cookie,
    /// Its first 24 bytes, to be written back with state and status.
    pub(super) head: [u8; 24],
    /// Where its data go when done.
    pub(super) buffers: Vec<Cookie>,
    /// The volume's request, while it is under way.
    pub(super) token: Option<u64>,
    /// What came of it.
    pub(super) outcome: Option<Result<Vec<u8>, Errno>>,
    /// The message whose last descriptor it is.
    pub(super) last_of: Option<DringData>,
}

/// A session.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) phase: Phase,
    pub(super) sid: u32,
    pub(super) minor: u16,
    /// Attributes that wait for the volume.
    pub(super) attr: Option<Attr>,
    /// Blocks of the largest request.
    pub(super) max_xfer: u64,
    pub(super) ring: Option<Ring>,
    /// The next message's number; any is the first.
    pub(super) next_seq: Option<u64>,
    pub(super) jobs: VecDeque<Job>,
}

impl Session {
    /// Requests that the volume has not completed.
    pub(super) fn under_way(&self) -> usize {
        self.jobs.iter().filter(|job| job.token.is_some()).count()
    }
}
