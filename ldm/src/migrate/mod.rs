//! Migration: a domain moves from one chassis to another.
//!
//! Both ends are state machines ([`Source`], [`Target`]) that go through the same
//! [`Phase`]s. They touch nothing but [`port`]s: a wire to the other end, the
//! hypervisor, the manager, a cipher, a journal, a fence, and the ports of a native program. Whoever
//! owns them hands in what happens ([`Input`]) and may ask how far they are.
//!
//! ```text
//!            source                                target
//! connect    hello                  ──────▶
//!                                   ◀──────        answer, and proof of the password
//!            proof of the password  ──────▶
//!                                   ◀──────        ticket, for further connections
//! check      offer                  ──────▶        every check
//!                                   ◀──────        problems, or none
//! prepare    prepare                ──────▶        a shell that holds what the domain needs
//!            dirty log on           ◀──────        prepared
//! pre-copy   chunks of pages        ──────▶        open, expand, write
//!            (domain runs)          ◀──────        acknowledged
//!            … rounds, until what is left is small or stops shrinking
//! suspend    domain stands still
//!            the rest, state        ──────▶        write, load
//! digest     digest of everything   ──────▶        compare
//!                                   ◀──────        verified
//! hand-off   commit                 ──────▶        volumes are claimed, domain runs
//!            destroy what is left   ◀──────        committed
//! ```
//!
//! **What is durable.** Before an end says anything that the other may rely on, it has
//! it in its [`journal`]; and an end that begins again goes on from there.
//!
//! **Who owns the domain.** Until the source begins to write *commit* into its journal,
//! the source: every failure ends with the domain running there, its dirty log off, the
//! shell gone. From then on the source never runs it again unless the target says that it
//! does not have it. A source that lost the wire after *commit* asks over a new
//! connection ([`Source::wants_connection`]); a target that has said *verified*
//! keeps the shell until it is told, or until an operator takes the domain over.
//!
//! **A wire that is lost** while memory moves is called again, and what was not acknowledged goes
//! over it as it was; lost at any other time before *commit*, it ends the migration.
//!
//! **Epochs.** A domain has an epoch, which rises whenever it changes hands. Whoever has
//! it at the highest epoch has it: an offer of an older one is refused, and an owner
//! that hears of a newer one gives up. Volumes know it too, and the ports of a domain that
//! was given away are shut ([`port::Fence`]), should an old owner run nevertheless.
//!
//! **Warm.** When one of the ends does not know how to move a domain that runs on, the
//! domain stands still first, all of its pages are sent once, and it goes on at the
//! target: there are no rounds and there is no dirty log.
//!
//! A domain that is not active has no memory to send: after *prepare* comes
//! hand-off.
//!
//! **Order.** Chunks are numbered when they are cut, and sealed, sent, expanded and
//! written in that order, whichever strand or crypto unit was done first; so the
//! bytes on the wire do not depend on that.
//!
//! **Sent, not acknowledged.** The hypervisor clears the dirty bit of a page when
//! it hands the page out. The source keeps the page in a set of its own until the
//! target says that it has written it, and hands over only when that set is empty.

mod arrive;
pub mod codec;
pub mod compress;
mod copy;
pub mod cost;
pub mod fixed_time;
pub mod handshake;
mod in_order;
pub mod journal;
mod link;
#[cfg(feature = "mutants")]
pub mod mutant;
#[cfg(not(feature = "mutants"))]
pub(crate) mod mutant;
pub mod pages;
pub mod port;
pub mod rounds;
pub mod seal;
mod soft;
mod source;
mod target;

use cost::Cost;
use fixed_time::FixedTime;
use rounds::Policy;
use serde::{Deserialize, Serialize};
use sun4v::addr::Ra;
use thiserror::Error;

pub use port::{Input, Io};
pub use soft::SoftCipher;
pub use source::{Request, Source};
pub use target::Target;

/// The TCP port of a manager that takes domains in.
pub const TCP_PORT: u16 = 8101;

/// Where a migration stands; both ends go through these in this order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Phase {
    /// The ends meet, and everything that can be checked is checked.
    #[default]
    Check,
    /// The target makes room.
    Prepare,
    /// Memory moves while the domain runs.
    PreCopy,
    /// The domain stands still; the rest moves.
    Suspend,
    /// Both ends compare what they have.
    Digest,
    /// The domain changes hands.
    HandOff,
    /// Nothing is left to do.
    Done,
}

impl Phase {
    /// Its name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Prepare => "prepare",
            Self::PreCopy => "pre-copy",
            Self::Suspend => "suspend",
            Self::Digest => "digest",
            Self::HandOff => "hand-off",
            Self::Done => "done",
        }
    }
}

/// Why something that came over the wire was refused. All end the migration.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// It does not parse, or says what cannot be.
    #[error("malformed message")]
    Malformed,
    /// A record whose number is not the next one: replayed, reordered or lost.
    #[error("record out of order")]
    OutOfOrder,
    /// The other end has another password, or has not seen the same first frames.
    #[error("authentication failed: is the password right?")]
    Password,
    /// The ends have no version of the protocol in common.
    #[error("the other end speaks another version of the protocol")]
    Version,
    /// As many records as one connection's keys may seal.
    #[error("the keys of the connection are used up")]
    Exhausted,
    /// A record that was altered, or sealed with other keys.
    #[error("authentication failed")]
    Forged,
    /// A domain's memory that cannot be.
    #[error("impossible memory layout")]
    Memory,
    /// A message that has no place in this phase.
    #[error("unexpected message")]
    Unexpected,
}

/// Memory of the control domain that one end of a migration works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// Its first byte, page aligned.
    pub ra: Ra,
}

impl Buffers {
    /// Bytes that it must have.
    pub const BYTES: u64 = 8 << 20;
}

/// How to migrate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// When to stop copying.
    pub policy: Policy,
    /// Steps that take time without work of ours.
    pub fixed: FixedTime,
    /// What work costs.
    pub cost: Cost,
    /// Level of compression, 1 to 19, or 0 for none.
    pub level: i32,
    /// This end can move a domain that runs on. Unless both can, it stands still while it
    /// is copied.
    pub live: bool,
}

impl Default for Config {
    /// Level 1 looks for matches in one hash table, as the compressor does whose
    /// instructions [`cost`] counts.
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            fixed: FixedTime::default(),
            cost: Cost::default(),
            level: 1,
            live: true,
        }
    }
}

#[cfg(test)]
mod crash;
#[cfg(test)]
mod explore;
#[cfg(test)]
mod test;
#[cfg(test)]
mod testing;
