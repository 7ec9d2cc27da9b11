//! hvctl: what the manager and the hypervisor say to each other.
//!
//! One 64-byte message is a command or a reply, raw, on the LDC endpoint whose
//! other end is the hypervisor. [`Request`] is what the manager sends, [`Reply`]
//! what comes back or comes unasked; [`migrate`] is our extension.
//!
//! **Shapes.** `op`, `seqn`, `chksum` (never checked), `status`: four big-endian
//! `u16`; then 56 bytes that `op` gives a meaning to. Offsets in this module are
//! those of the message.
//!
//! **Session.** `hello` is answered by a challenge, the challenge by
//! [`response`]; then commands carry rising sequence numbers. The hypervisor's own
//! numbers begin [`REPLY_OFFSET`] above the number that follows `hello`'s. A reply
//! is recognised by its number: it does not repeat what was asked.
//!
//! **Errors.** [`MessageError`]: any 64 bytes may arrive.
//!
//! **Source.** The OpenSPARC hypervisor's `hvctl.h`, protocol version 1.1.

pub mod migrate;
mod reply;
mod request;
mod status;

pub use reply::{
    Body, GuestState, HvInfo, RcFail, Reply, ResData, ResInfo, SoftState, Utilisation, VcpuState,
    VcpuStatus,
};
pub use request::Request;
pub use status::{Detail, ResKind, Status};

use thiserror::Error;

/// Bytes of a message.
pub const MESSAGE_BYTES: usize = 64;
/// `svc_id` of hvctl in an LDC endpoint whose target is the hypervisor.
pub const SVC_HVCTL: u64 = 1;
/// The number of the hypervisor's first reply is that of the manager's first
/// command after `hello` and this.
pub const REPLY_OFFSET: u16 = 2909;
/// A guest id that names none.
pub const INVALID_GUEST: u32 = 0xffff_ffff;
/// The protocol's version that the hypervisor speaks.
pub const VERSION: Version = Version { major: 1, minor: 1 };

const CHALLENGE_KEY: u64 = 0xb_adbe_ef20;
const RESPONSE_KEY: u64 = 0x1_2caf_e42a;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Other majors do not talk to each other.
    pub major: u16,
    /// Rises with every message that is added.
    pub minor: u16,
}

/// The code of a challenge that hides `secret`.
#[must_use]
pub const fn challenge(secret: u64) -> u64 {
    secret ^ CHALLENGE_KEY
}

/// The code that answers a challenge.
#[must_use]
pub const fn response(challenge: u64) -> u64 {
    challenge ^ CHALLENGE_KEY ^ RESPONSE_KEY
}

crate::code::codes! {
    /// What a message is about.
    Op(u16) {
        /// Opens a session.
        Hello = 0,
        /// The hypervisor's answer to `hello`.
        Challenge = 1,
        /// The manager's answer to a challenge.
        Response = 2,
        /// Where the hypervisor and its MD lie.
        GetHvConfig = 3,
        /// Take a hypervisor MD into force.
        Reconfigure = 4,
        /// Start a bound guest.
        GuestStart = 5,
        /// Stop a guest at once.
        GuestStop = 6,
        /// Take a hypervisor MD into force when a guest exits.
        GuestDelayedReconf = 7,
        /// Named by the protocol, never implemented.
        GuestSuspend = 8,
        /// Named by the protocol, never implemented.
        GuestResume = 9,
        /// Make a guest panic.
        GuestPanic = 10,
        /// State or figures of a resource.
        GetResStat = 11,
        /// The same, unasked.
        NewResStat = 12,
        /// Forget a delayed reconfiguration.
        CancelReconf = 13,
        /// As `Reconfigure`, of the MD's guests alone: what they own stays.
        GuestOnlyReconf = 14,
        /// As `GuestDelayedReconf`, of the MD's guests alone.
        GuestOnlyDelayedReconf = 15,
        /// See [`migrate`].
        LogStart = 0x80,
        /// See [`migrate`].
        LogStop = 0x81,
        /// See [`migrate`].
        DirtyRead = 0x82,
        /// See [`migrate`].
        PagesOut = 0x83,
        /// See [`migrate`].
        PagesIn = 0x84,
        /// See [`migrate`].
        PagesZero = 0x85,
        /// See [`migrate`].
        Suspend = 0x86,
        /// See [`migrate`].
        Resume = 0x87,
        /// See [`migrate`].
        StateOut = 0x88,
        /// See [`migrate`].
        StateIn = 0x89,
        /// See [`migrate`].
        Hold = 0x8a,
    }
}

impl Op {
    /// Is it of our extension?
    #[must_use]
    pub const fn is_migration(self) -> bool {
        self.code() >= Self::LogStart.code()
    }
}

/// Why 64 bytes are not a message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MessageError {
    /// An operation that this direction does not have.
    #[error("unknown operation {0:#x}")]
    Op(u16),
    /// A status that has no meaning.
    #[error("unknown status {0:#x}")]
    Status(u16),
}

/// The 64 bytes, by offset.
#[derive(Clone, Copy)]
struct Wire([u8; MESSAGE_BYTES]);

impl Wire {
    fn new(op: u16, seqn: u16, status: u16) -> Self {
        let mut wire = Self([0; MESSAGE_BYTES]);
        wire.u16(0, op).u16(2, seqn).u16(6, status);
        wire
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }
    fn u16(&mut self, at: usize, value: u16) -> &mut Self {
        self.put(at, &value.to_be_bytes())
    }
    fn u32(&mut self, at: usize, value: u32) -> &mut Self {
        self.put(at, &value.to_be_bytes())
    }
    fn u64(&mut self, at: usize, value: u64) -> &mut Self {
        self.put(at, &value.to_be_bytes())
    }

    fn get(&self, at: usize, bytes: usize) -> u64 {
        self.0[at..at + bytes].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
    fn get16(&self, at: usize) -> u16 {
        self.get(at, 2) as u16
    }
    fn get32(&self, at: usize) -> u32 {
        self.get(at, 4) as u32
    }
    fn get64(&self, at: usize) -> u64 {
        self.get(at, 8)
    }
}

/// Sequence number of a message.
#[must_use]
pub fn sequence(message: &[u8; MESSAGE_BYTES]) -> u16 {
    Wire(*message).get16(2)
}

#[cfg(test)]
mod test;
