//! What a migration needs of the world: seven ports, and what happens.
//!
//! Calls that take time return a [`Tag`] or a [`Ticket`] at once; their result
//! comes later. Nothing here blocks.

use super::Refusal;
use super::journal::EntryV1;
use super::pages::Stretch;
use super::seal::{Keys, Text};
use serde::{Deserialize, Serialize};
use sun4v::addr::Ra;
use sun4v::id::GuestId;
use sun4v::native::{JobId, Ports};

/// Names a request to the hypervisor, the manager or the journal until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(pub u64);

/// Names a record that a cipher works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Everything a migration may touch, for the time of one call.
pub struct Io<'a> {
    /// Time, memory, jobs, timers, the log: as any native program has them.
    pub ports: &'a mut dyn Ports,
    /// The connection to the other end.
    pub wire: &'a mut dyn Wire,
    /// The hypervisor.
    pub hv: &'a mut dyn Hv,
    /// The manager.
    pub manager: &'a mut dyn Manager,
    /// Whoever seals and opens records.
    pub cipher: &'a mut dyn Cipher,
    /// What outlives this end.
    pub journal: &'a mut dyn Journal,
    /// What both machines reach of a domain.
    pub fence: &'a mut dyn Fence,
}

/// What happens to a migration.
#[derive(Clone, Debug)]
pub enum Input {
    /// The wire stands. At the target: somebody has connected.
    Connected,
    /// Bytes arrived.
    Bytes(Vec<u8>),
    /// The wire takes more bytes again.
    Room,
    /// The wire is gone, in whatever way.
    Closed,
    /// A job has ended.
    JobDone {
        /// Which one.
        job: JobId,
        /// What it computed.
        output: Vec<u8>,
    },
    /// The cipher has finished something.
    Cipher,
    /// A time that was asked for may have come.
    Timer,
    /// The hypervisor has answered.
    Hv(Tag, Result<HvReply, String>),
    /// The manager has answered.
    Manager(Tag, Result<ManagerReply, String>),
    /// An entry of the journal is durable; or it is not, and never will be.
    Journal(Tag, Result<(), String>),
    /// A domain's volumes are claimed; or somebody has claimed one at a newer epoch.
    Claimed(Tag, Result<(), String>),
}

/// What both machines reach of a domain: its volumes, and the networks that it is on. It
/// keeps out whoever does not own the domain any longer, should it run there nevertheless.
/// Domains are named as they are at this end.
pub trait Fence {
    /// Target: claims the domain's volumes at an epoch. From then on they refuse whoever
    /// comes with an older one. The answer comes as [`Input::Claimed`]; a server that is
    /// away is waited for.
    fn claim(&mut self, ports: &mut dyn Ports, domain: &str, epoch: u64) -> Tag;
    /// Source: the domain is given away. From now on no frame that it sends is taken from
    /// it, none is handed to it, and its disks refuse it. It may be said again.
    fn shut(&mut self, domain: &str);
    /// Source: it is ours after all.
    fn open(&mut self, domain: &str);
}

/// What outlives an end of a migration: see [`journal`](super::journal).
pub trait Journal {
    /// Begins to write an entry; what becomes of it comes as [`Input::Journal`].
    /// Entries become durable in the order in which they were written. After a crash
    /// an entry may be durable though nobody was told.
    fn write(&mut self, ports: &mut dyn Ports, entry: EntryV1) -> Tag;
    /// The newest epoch at which the domain with this UUID was this chassis', zero when
    /// it never was. Entries that are not durable do not count.
    fn seen(&self, uuid: &str) -> u64;
}

/// A stream of bytes to the other end.
pub trait Wire {
    /// Queues bytes, as many as it takes: how many that were.
    fn send(&mut self, ports: &mut dyn Ports, bytes: &[u8]) -> usize;
    /// Ends the connection once what is queued is gone.
    fn close(&mut self, ports: &mut dyn Ports);
}

/// Seals and opens records, in hardware or in software. Results come in any order
/// and wait until they are taken.
pub trait Cipher {
    /// Begins to seal `text` as record `sequence`; the result is the record.
    fn seal(&mut self, ports: &mut dyn Ports, keys: &Keys, sequence: u64, text: Text) -> Ticket;
    /// Begins to open a whole record, which must be record `sequence`; the result is the
    /// bytes of a [`Text`].
    fn open(
        &mut self,
        ports: &mut dyn Ports,
        keys: &Keys,
        sequence: u64,
        record: Vec<u8>,
    ) -> Ticket;
    /// Begins to hash whole pages of the control domain's own memory, which stay as
    /// they are until the result is there: 16 bytes a page. `None` when there is no
    /// hardware for it; whoever asks then does it with other work.
    fn hash_pages(&mut self, ports: &mut dyn Ports, pages: &[Ra]) -> Option<Ticket>;
    /// Is there hardware for [`Cipher::hash_pages`]?
    fn hashes_pages(&self) -> bool {
        false
    }
    /// The result, once there is one.
    fn take(&mut self, ticket: Ticket) -> Option<Result<Vec<u8>, Refusal>>;
    /// Gives up on a result.
    fn forget(&mut self, ticket: Ticket);
    /// What hardware has done so far.
    fn used(&self) -> Used;
}

/// Work that crypto units did, in bytes of source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Enciphered or deciphered.
    pub ciphered_bytes: u64,
    /// Hashed, for HMACs and page hashes.
    pub hashed_bytes: u64,
}

/// What a migration asks of the hypervisor: the extension of hvctl. Buffers lie in
/// the control domain's own memory. Answers come in the order of the requests.
pub trait Hv {
    /// Asks; the answer comes as [`Input::Hv`].
    fn request(&mut self, ports: &mut dyn Ports, request: HvRequest) -> Tag;
}

/// Most pages in one request.
pub const HV_PAGES_MAX: usize = 512;

/// A request to the hypervisor about one guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HvRequest {
    /// Begin to log which of its pages are written; all are clean.
    LogStart(GuestId),
    /// Stop, and forget.
    LogStop(GuestId),
    /// Which of `pages` pages from `first` on are dirty: a bit a page, lowest bit of
    /// the first byte first. The log stays as it is. Answer: [`HvReply::Done`].
    DirtyRead {
        /// The guest.
        guest: GuestId,
        /// Real address of the first page.
        first: Ra,
        /// How many.
        pages: u64,
        /// Where the bits go, a multiple of eight bytes.
        buffer: Ra,
    },
    /// Copies pages into the buffer, one behind the other, and makes them clean.
    PagesOut {
        /// The guest.
        guest: GuestId,
        /// Real addresses, at most [`HV_PAGES_MAX`].
        pages: Vec<Ra>,
        /// Where they go.
        buffer: Ra,
    },
    /// Copies the buffer into pages.
    PagesIn {
        /// The guest.
        guest: GuestId,
        /// Real addresses, at most [`HV_PAGES_MAX`].
        pages: Vec<Ra>,
        /// Where they come from.
        buffer: Ra,
    },
    /// Fills pages with zeros.
    PagesZero {
        /// The guest.
        guest: GuestId,
        /// Real addresses, at most [`HV_PAGES_MAX`].
        pages: Vec<Ra>,
    },
    /// Stops all virtual CPUs of the guest where they are.
    Suspend(GuestId),
    /// Lets them go on; for a guest whose state was loaded, begin. Answer:
    /// [`HvReply::Done`], or [`HvReply::NotSuspended`].
    Resume(GuestId),
    /// Writes the state records of a suspended guest into the buffer. Answer:
    /// [`HvReply::State`].
    StateOut {
        /// The guest.
        guest: GuestId,
        /// Where they go.
        buffer: Ra,
        /// Room.
        bytes: u64,
    },
    /// Loads state records into a guest that never ran.
    StateIn {
        /// The guest.
        guest: GuestId,
        /// Where they come from.
        buffer: Ra,
        /// How many bytes.
        bytes: u64,
    },
    /// Holds the virtual CPUs of a guest whose log is on for this share of the time. It
    /// ends with the log. Answer: [`HvReply::Held`].
    Hold {
        /// The guest.
        guest: GuestId,
        /// In percent.
        percent: u8,
    },
}

/// An answer of the hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HvReply {
    /// It is done.
    Done,
    /// The guest did not stand still.
    NotSuspended,
    /// State records were written.
    State {
        /// How many bytes.
        bytes: u64,
    },
    /// It is held as asked.
    Held {
        /// Virtual CPUs of it that a suspend is not to find where they are.
        inside: u64,
    },
}

/// What state a domain is in, which decides how it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Constraints only; cold, at once.
    Inactive,
    /// Resources, but nothing runs; cold.
    Bound,
    /// It runs.
    Active,
}

/// A domain as its manager describes it to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its name at the source.
    pub name: String,
    /// Its name at the target, when it is to be another.
    pub new_name: Option<String>,
    /// Its UUID, lower-case.
    pub uuid: String,
    /// How often it has changed hands, from 1: whoever has it at the highest epoch has it.
    pub epoch: u64,
    /// How it moves.
    pub kind: Kind,
    /// Its real memory; empty unless it is active.
    pub memory: Vec<Stretch>,
    /// Constraints, variables, identity, and facts about the source: the manager's
    /// own bytes, unread here.
    pub description: Vec<u8>,
}

/// What the manager shows of a migration (`ldm list`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This end is the source.
    pub source: bool,
    /// Host name of the other end.
    pub peer: String,
    /// How far, 0 to 100; never falls.
    pub percent: u8,
    /// The domain may be at the other end, and nobody can tell now.
    pub doubtful: bool,
}

/// The manager, as far as a migration needs it. Answers of calls that return a
/// [`Tag`] come as [`Input::Manager`].
pub trait Manager {
    /// Source: describes a domain, if it can be; and its guest, if it has one.
    fn offer(&mut self, domain: &str) -> Result<(Offer, Option<GuestId>), String>;
    /// Source: everything that stands against letting it leave; none is good.
    fn check_outgoing(&mut self, domain: &str) -> Vec<String>;
    /// Target: begins whatever of [`Manager::check_incoming`] takes time.
    fn look(&mut self, offer: &Offer);
    /// Target: everything that stands against taking a domain in; none is good.
    fn check_incoming(&mut self, offer: &Offer) -> Vec<String>;
    /// Target: makes the shell: a domain that holds what the offer needs and does
    /// not run. Answer: [`ManagerReply::Prepared`].
    fn prepare_incoming(&mut self, ports: &mut dyn Ports, offer: &Offer) -> Tag;
    /// Target: takes the shell apart.
    fn discard(&mut self, ports: &mut dyn Ports, domain: &str) -> Tag;
    /// Target: the shell is a domain now, in the state that its kind says, and of this
    /// epoch; an active one runs already. One that is a domain already stays one.
    fn activate(&mut self, ports: &mut dyn Ports, domain: &str, epoch: u64) -> Tag;
    /// Source: destroys what is left of a domain that has gone; if it is not there, that
    /// is done.
    fn release(&mut self, ports: &mut dyn Ports, domain: &str) -> Tag;
    /// Both, when they begin again: what is here under this name and UUID.
    fn find(&self, domain: &str, uuid: &str) -> Option<Found>;
    /// Both: shows a migration of `domain`, or none.
    fn status(&mut self, domain: &str, status: Option<Status>);
}

/// A domain that an end finds when it begins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// It is a shell, that is: not activated.
    pub shell: bool,
    /// Its guest, if it has one.
    pub guest: Option<GuestId>,
}

/// An answer of the manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagerReply {
    /// The shell stands; it is this guest, if it is to be active.
    Prepared(Option<GuestId>),
    /// It is done.
    Done,
}
