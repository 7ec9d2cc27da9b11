//! A client's session: how far the handshake is, and the requests under way.

use crate::service::ring::Ring;
use crate::service::volume::Request;
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

/// How a request is answered.
#[derive(Debug)]
pub(super) enum Reply {
    /// In its descriptor.
    Ring {
        /// Where that lies.
        at: Cookie,
        /// Its first 24 bytes, to be written back with state and status.
        head: [u8; 24],
        /// The message whose last descriptor it is.
        last_of: Option<DringData>,
    },
    /// By its message, sent back.
    Message(Vec<u8>),
}

impl Reply {
    /// It is the last of a message.
    pub(super) fn ends(&mut self, info: DringData) {
        if let Self::Ring { last_of, .. } = self {
            *last_of = Some(info);
        }
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) reply: Reply,
    /// Where its data go when done.
    pub(super) buffers: Vec<Cookie>,
    /// Data before and behind what the volume gives.
    pub(super) before: Vec<u8>,
    pub(super) after: Vec<u8>,
    /// What the volume is to be asked next, one after the other.
    pub(super) rest: VecDeque<Request>,
    /// First byte of the write that it was asked for last.
    pub(super) writes_at: Option<u64>,
    /// The volume's request, while it is under way.
    pub(super) token: Option<u64>,
    /// What came of it.
    pub(super) outcome: Option<Result<Vec<u8>, Errno>>,
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
    /// Requests come in messages.
    pub(super) in_band: bool,
    pub(super) ring: Option<Ring>,
    /// The last descriptor that a message has named.
    pub(super) last: Option<u32>,
    /// The next message's number; any is the first.
    pub(super) next_seq: Option<u64>,
    pub(super) jobs: VecDeque<Job>,
}

impl Session {
    /// Is this the next message's number? The one behind it is expected then.
    pub(super) fn follows(&mut self, seq: u64) -> bool {
        let follows = self.next_seq.is_none_or(|next| next == seq);
        if follows {
            self.next_seq = Some(seq.wrapping_add(1));
        }
        follows
    }

    /// Requests that the volume has not completed.
    pub(super) fn under_way(&self) -> usize {
        self.jobs.iter().filter(|job| job.token.is_some()).count()
    }
}
