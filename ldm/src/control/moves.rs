//! Migrations of this control domain: at most one domain leaves and one comes at a
//! time, each over a TCP connection of its own.
//!
//! **Connections.** Whoever connects says in its first frame which migration it is
//! about: a new one makes a new [`Target`], a question about an old one goes to the
//! target that knows it. A source without a wire dials again and again.
//!
//! **Begun again.** [`Moves::recover`] reads the journal and goes on: with a domain that
//! was leaving or coming, and with targets that have not been told that a migration is off.
//! Those are told one after the other whenever no domain leaves; a new migration goes
//! before.
//!
//! **The suspend.** Before a guest stands still its disks must: the request to
//! suspend it waits here ([`Moves::take_notes`], [`Moves::disks_are_quiet`]) until
//! nothing of it is under way at its volumes. One without a suspend handler is stopped in
//! a moment in which it has asked for nothing, if there is one soon
//! ([`Moves::wait_for_lull`], [`lull`](super::lull)).
//!
//! **The claim.** A guest that has come runs once its volumes are claimed: whoever asked
//! for that waits here ([`Moves::waits_for_volumes`], [`Moves::volumes_are_claimed`]).

mod view;

use self::view::{Border, Connected};
use super::journal::{Paper, Writer};
use super::lull::{Act, How, Lull, STILL, WAIT};
use super::network::Network;
use crate::crypto::Units;
use crate::manager::record::MIGRATION;
use crate::migrate::codec::Frames;
use crate::migrate::handshake::{self, GREETING_BYTES_MAX, Hello, Secrets};
use crate::migrate::journal::{EntryV1, State};
use crate::migrate::pages::Stretch;
use crate::migrate::port::{Hv, HvReply, HvRequest, Input, Io, Manager, ManagerReply, Tag};
use crate::migrate::{Buffers, Config, Refusal, Request, Source, TCP_PORT, Target};
use crate::service::vds::Rest;
use crate::stack::{TcpId, TcpState};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use sun4v::id::GuestId;
use sun4v::native::{JobId, Observation, Ports};
use sun4v::time::SimTime;

/// Bytes taken from a connection at a time.
const TAKE_BYTES: usize = 256 << 10;
/// Between two attempts to connect.
const REDIAL: SimTime = SimTime::secs(1);
/// Attempts of a new migration before the target counts as unreachable.
const DIALS: u32 = 3;
/// Between two rounds of attempts to tell targets that a migration is off.
const FAREWELL: SimTime = SimTime::secs(10);
/// No command waits for it.
const NOBODY: u64 = u64::MAX;
/// The first of our own tags, for requests that wait; the hypervisor's are lower.
const OWN_TAGS: u64 = 1 << 63;

/// What a migration means for the services of this domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// This guest will stand still once its disks do.
    Stopping(GuestId),
    /// This guest stands still from now on.
    Stopped(GuestId),
    /// It goes on here after all.
    GoesOn(GuestId),
    /// This domain runs at another control domain now.
    Left {
        /// Its name.
        domain: String,
        /// Where it is.
        to: Option<Ipv4Addr>,
    },
    /// This guest begins to run here.
    Comes(GuestId),
    /// The volumes of this domain are to be claimed at this epoch.
    Claim(String, u64),
    /// This domain is somebody else's: its ports are to be shut.
    Shut(String),
    /// It is ours after all.
    Open(String),
    /// The memory of a guest that moves.
    Memory(GuestId, Vec<Stretch>),
    /// A command's migration has ended.
    Ended(u64, Result<(), Vec<String>>),
}

/// Everything that migrations touch, for the time of one call.
pub struct Ends<'a> {
    /// Time, memory, jobs, the log.
    pub ports: &'a mut dyn Ports,
    /// The stack on which connections are.
    pub network: &'a mut Network,
    /// The hypervisor.
    pub hv: &'a mut dyn Hv,
    /// The manager.
    pub manager: &'a mut dyn Manager,
    /// Crypto units.
    pub units: &'a mut Units,
}

/// How this control domain migrates.
#[derive(Clone, Debug)]
pub struct MovesConf {
    /// Policy, fixed times, costs.
    pub config: Config,
    /// Our host name.
    pub host: String,
    /// The password that others must know.
    pub password: String,
    /// Fresh randomness comes of it.
    pub seed: u64,
    /// Tokens of the timers of the source, of the target and of the journal.
    pub timers: [u64; 3],
    /// Memory for either.
    pub buffers: [Buffers; 2],
    /// The interface on which other control domains are.
    pub nic: usize,
    /// Bytes of a connection's buffers, each way.
    pub socket_bytes: usize,
}

#[derive(Default)]
struct Line {
    socket: Option<TcpId>,
    /// The machine was told that it is connected.
    told: bool,
    /// The wire took less than it was given.
    full: bool,
}

struct Outgoing {
    command: u64,
    address: Option<Ipv4Addr>,
    source: Source,
    line: Line,
    dial_at: SimTime,
    dials: u32,
}

struct Incoming {
    target: Target,
    line: Line,
    /// The memory that the domain has.
    memory: Vec<Stretch>,
}

/// Somebody who has connected and has not said why.
struct Caller {
    socket: TcpId,
    frames: Frames,
    bytes: Vec<u8>,
}

/// A suspend that waits for disks.
struct Waiting {
    own: Tag,
    guest: GuestId,
    /// The moment that is waited for, while it is.
    lull: Option<Lull>,
    /// The hypervisor's tag, once it was asked to hold the guest.
    stop: Option<Tag>,
    /// The same, once it was asked to suspend it.
    asked: Option<Tag>,
}

/// The migrations.
pub struct Moves {
    conf: MovesConf,
    fresh: u64,
    outgoing: Option<Outgoing>,
    incoming: Option<Incoming>,
    listener: Option<TcpId>,
    callers: Vec<Caller>,
    notes: Vec<Note>,
    waiting: Option<Waiting>,
    /// The share of the time in which the guest that leaves is held; none while its log is
    /// off, and nobody can.
    share: Option<u8>,
    border: Border,
    own_tags: u64,
    /// Requests of the source that are not answered yet.
    source_tags: BTreeSet<Tag>,
    paper: Paper,
    /// The journal was read, and what it left to do was begun.
    recovered: bool,
    /// Addresses by name.
    hosts: BTreeMap<String, Ipv4Addr>,
    /// The domain whose target was last tried to be told, and when the next is.
    told: String,
    tell_at: SimTime,
}

impl Moves {
    /// None, and nobody listens yet.
    pub fn new(conf: MovesConf, hosts: BTreeMap<String, Ipv4Addr>, journal: &[u8]) -> Self {
        Self {
            paper: Paper::new(journal, conf.timers[2]),
            recovered: false,
            hosts,
            told: String::new(),
            tell_at: SimTime::ZERO,
            conf,
            fresh: 0,
            outgoing: None,
            incoming: None,
            listener: None,
            callers: Vec::new(),
            notes: Vec::new(),
            waiting: None,
            share: None,
            border: Border::default(),
            own_tags: OWN_TAGS,
            source_tags: BTreeSet::new(),
        }
    }

    /// How often randomness was drawn: what must outlive it, or some would come twice.
    ///
    /// # Errors
    /// Something moves.
    pub fn save(&self) -> Result<(u64, Vec<u8>), String> {
        let Self {
            // Told again.
            conf: _,
            fresh,
            outgoing,
            incoming,
            // Whoever has connected connects again.
            listener: _,
            callers: _,
            notes,
            waiting,
            // Of one that leaves.
            share: _,
            border,
            // Names what is under way; nothing is.
            own_tags: _,
            source_tags,
            paper,
            recovered,
            // Told again.
            hosts: _,
            // Whoever is to be told is tried again.
            told: _,
            tell_at: _,
        } = self;
        // A target that has finished answers a source that asks again; that source
        // does not let its own domain be saved.
        let comes = incoming.as_ref().is_some_and(|incoming| !incoming.target.is_finished());
        let idle = notes.is_empty() && source_tags.is_empty() && border.is_idle();
        // The journal goes on with one that only says farewell.
        let goes = outgoing.as_ref().is_some_and(|out| !out.source.says_farewell());
        let pending = !recovered && self.is_pending();
        if goes || comes || waiting.is_some() || !idle || !paper.is_idle() || pending {
            return Err(MIGRATION.to_owned());
        }
        Ok((*fresh, paper.kept()))
    }

    /// What is left when the software stops in the middle of things.
    #[must_use]
    pub fn keep(&self) -> (u64, Vec<u8>) {
        (self.fresh, self.paper.kept())
    }

    /// The journal.
    pub const fn paper(&self) -> &Paper {
        &self.paper
    }

    /// The journal, to act on its medium.
    pub const fn paper_mut(&mut self) -> &mut Paper {
        &mut self.paper
    }

    /// Nothing moves, nothing is written, and nobody is left to be told.
    pub fn is_at_rest(&self) -> bool {
        let comes = self.incoming.as_ref().is_some_and(|own| !own.target.is_finished());
        let waits = self.waiting.is_some() || !self.notes.is_empty();
        self.recovered
            && self.outgoing.is_none()
            && !(comes || waits || self.owes_farewells())
            && self.paper.is_idle()
    }

    /// Does the journal leave something to do besides telling targets?
    fn is_pending(&self) -> bool {
        let Ok(ledger) = self.paper.ledger() else { return false };
        let goes = |entry: &EntryV1| matches!(entry.state, State::Leaving | State::Commit);
        let comes = |entry: &EntryV1| !entry.state.is_finished();
        ledger.open_departures().any(goes) || ledger.arrivals().any(comes)
    }

    /// Reads the journal and goes on from there, once the manager knows its machine.
    pub fn recover(&mut self, ends: &mut Ends<'_>) {
        if std::mem::replace(&mut self.recovered, true) {
            return;
        }
        if let Some(complaint) = self.paper.take_complaint() {
            ends.ports.log(complaint);
        }
        let Ok(ledger) = self.paper.ledger() else { return };
        let arrival = ledger.arrivals().find(|entry| !entry.state.is_finished()).cloned();
        if let Some(entry) = arrival {
            self.recall_target(ends, &entry);
        }
        self.recall_source(ends, |state| matches!(state, State::Leaving | State::Commit));
    }

    fn recall_target(&mut self, ends: &mut Ends<'_>, entry: &EntryV1) {
        let entropy = self.entropy(ends.ports.now());
        if let Some(found) = ends.manager.find(&entry.domain, &entry.uuid)
            && let (Some(guest), Some(offer)) = (found.guest, &entry.offer)
        {
            self.notes.push(Note::Memory(guest, offer.memory.clone()));
        }
        let names = (self.conf.host.clone(), self.secrets());
        let (config, buffers) = (self.conf.config, self.conf.buffers[1]);
        let fresh = (entropy, self.conf.timers[1]);
        let mut line = Line::default();
        let Some(Connected { answer: target, .. }) =
            self.connected(ends, Writer::Target, &mut line, |io| {
                Target::recall(config, names, fresh, buffers, entry, io)
            })
        else {
            return;
        };
        let memory = entry.offer.as_ref().map(|offer| offer.memory.clone()).unwrap_or_default();
        self.incoming = Some(Incoming { target, line, memory });
    }

    /// Goes on with a domain that was to leave, whose last entry is one of these.
    fn recall_source(&mut self, ends: &mut Ends<'_>, wanted: impl Fn(State) -> bool) -> bool {
        let Ok(ledger) = self.paper.ledger() else { return false };
        let all: Vec<&EntryV1> =
            ledger.open_departures().filter(|entry| wanted(entry.state)).collect();
        let next = all.iter().find(|entry| entry.uuid > self.told).or(all.first());
        let Some(entry) = next.map(|entry| (*entry).clone()) else { return false };
        self.told.clone_from(&entry.uuid);
        let address = self.hosts.get(&entry.peer).copied();
        let address = address.or_else(|| entry.peer.parse().ok());
        let fresh = (self.entropy(ends.ports.now()), self.conf.timers[0]);
        let (config, buffers) = (self.conf.config, self.conf.buffers[0]);
        let host = self.conf.host.clone();
        let mut line = Line::default();
        let Some(Connected { answer: Some(source), .. }) =
            self.connected(ends, Writer::Source, &mut line, |io| {
                Source::recall(config, &entry, host, fresh, buffers, io)
            })
        else {
            return false;
        };
        let (command, dial_at, dials) = (NOBODY, SimTime::ZERO, 0);
        self.outgoing = Some(Outgoing { command, address, source, line, dial_at, dials });
        true
    }

    /// Tells the next target that has not heard that a migration is off.
    fn tell_targets(&mut self, ends: &mut Ends<'_>) -> bool {
        if !self.recovered || self.outgoing.is_some() || ends.ports.now() < self.tell_at {
            return false;
        }
        self.recall_source(ends, is_untold)
    }

    fn owes_farewells(&self) -> bool {
        let untold = |entry: &EntryV1| is_untold(entry.state);
        self.paper.ledger().is_ok_and(|ledger| ledger.open_departures().any(untold))
    }

    /// Takes a domain over whose source does not come back.
    ///
    /// # Errors
    /// It does not wait, or its source is there.
    pub fn take_over(&mut self, ends: &mut Ends<'_>, domain: &str) -> Result<(), String> {
        let mut result = Err(format!("LDom {domain} is not being migrated to this system"));
        if self.incoming.as_ref().is_some_and(|own| own.target.domain() == Some(domain)) {
            self.with_target(ends, |target, io| result = target.take_over(io));
        }
        result
    }

    /// Goes on as one that drew so often.
    pub fn go_on_at(&mut self, fresh: u64) {
        self.fresh = fresh;
    }

    fn entropy(&mut self, now: SimTime) -> [u8; 32] {
        self.fresh += 1;
        entropy(&self.conf, self.fresh, now)
    }

    fn secrets(&self) -> Secrets {
        let MovesConf { seed, host, password, .. } = &self.conf;
        let all = [b"tickets".as_slice(), host.as_bytes(), &seed.to_be_bytes()].concat();
        Secrets { password: password.clone(), tickets: Sha256::digest(all).into() }
    }

    /// Sends a domain away, for the operator's command `command`.
    ///
    /// # Errors
    /// Why it may not leave.
    pub fn begin(
        &mut self,
        ends: &mut Ends<'_>,
        command: u64,
        address: Option<Ipv4Addr>,
        order: &Order,
    ) -> Result<(), Vec<String>> {
        let one = |why| vec![why];
        self.paper.ledger().map_err(one)?;
        if !self.recovered {
            return Err(vec!["the manager has only just begun".to_owned()]);
        }
        if self.outgoing.as_ref().is_some_and(|out| out.source.says_farewell()) {
            // The journal remembers it.
            self.drop_outgoing(ends);
        }
        if let Some(busy) = &self.outgoing {
            return Err(vec![format!("LDom {} is being migrated already", busy.source.domain())]);
        }
        let untold = self.check_told(ends, order).map_err(one)?;
        let request = Request {
            domain: order.domain.clone(),
            new_name: order.new_name.clone(),
            peer: order.peer.clone(),
            host: self.conf.host.clone(),
            password: order.password.clone(),
            check_only: order.check_only,
            entropy: self.entropy(ends.ports.now()),
            timer: self.conf.timers[0],
        };
        let (config, buffers) = (self.conf.config, self.conf.buffers[0]);
        let mut line = Line::default();
        let begin = |io: &mut Io<'_>| Source::new(config, request, buffers, io);
        let Some(begun) = self.connected(ends, Writer::Source, &mut line, begin) else {
            return Err(vec!["there is no network".to_owned()]);
        };
        let (mut source, memory) = (begun.answer?, begun.memory);
        if untold {
            source.takes_farewell_on();
        }
        self.notes.extend(memory.and_then(|(guest, memory)| Some(Note::Memory(guest?, memory))));
        self.outgoing =
            Some(Outgoing { command, address, source, line, dial_at: SimTime::ZERO, dials: 0 });
        Ok(())
    }

    /// A target that was not told that a migration of the domain is off may be told to
    /// run it by an operator; only one may be left in that state. Is it this one?
    fn check_told(&self, ends: &mut Ends<'_>, order: &Order) -> Result<bool, String> {
        let ledger = self.paper.ledger()?;
        let offer = ends.manager.offer(&order.domain)?.0;
        let off = ledger.departures().find(|entry| entry.uuid == offer.uuid);
        match off.filter(|entry| is_untold(entry.state)) {
            Some(entry) if entry.peer == order.peer => Ok(true),
            Some(entry) if !order.force && !order.check_only => Err(format!(
                "{} has not been told that an earlier migration of LDom {} to it is off, and \
                 cannot be reached: use -f if it will never run it",
                entry.peer, order.domain
            )),
            _ => Ok(false),
        }
    }

    fn drop_outgoing(&mut self, ends: &mut Ends<'_>) {
        let Some(out) = self.outgoing.take() else { return };
        if let (Some(socket), Some(stack)) = (out.line.socket, ends.network.stack(self.conf.nic)) {
            stack.tcp_abort(socket);
            ends.network.stir(self.conf.nic);
        }
        self.source_tags.clear();
    }

    /// Stops the migration that command `command` asked for, if it is not too late.
    ///
    /// # Errors
    /// It has ended, or it is too late.
    pub fn cancel(&mut self, ends: &mut Ends<'_>, command: u64) -> Result<(), String> {
        let mut result = Err("The migration has ended already".to_owned());
        if self.outgoing.as_ref().is_some_and(|out| out.command == command) {
            self.with_source(ends, |source, io| result = source.cancel(io));
        }
        result
    }

    /// What happened since the last call, for the services.
    pub fn take_notes(&mut self) -> Vec<Note> {
        let mut notes = std::mem::take(&mut self.border.notes);
        notes.append(&mut self.notes);
        notes
    }

    /// The guest that is to be suspended has no handler for that: its disks are to rest
    /// first. False when it cannot be held, and is suspended as it is.
    pub fn wait_for_lull(&mut self, now: SimTime) -> bool {
        let Some(waiting) = self.waiting.as_mut().filter(|_| self.share.is_some()) else {
            return false;
        };
        waiting.lull = Some(Lull::new(now));
        true
    }

    /// The guest whose disks are to be looked at, whether they rest.
    pub fn waits_for_lull(&self) -> Option<GuestId> {
        let waiting = self.waiting.as_ref()?;
        waiting.lull.as_ref().filter(|lull| lull.wants_look()).map(|_| waiting.guest)
    }

    /// Somebody has looked. True when the guest is to be suspended now: its ports are to
    /// be held.
    pub fn looked(&mut self, ends: &mut Ends<'_>, rest: Rest) -> bool {
        let now = ends.ports.now();
        let Some(waiting) = &mut self.waiting else { return false };
        let (Some(lull), guest) = (&mut waiting.lull, waiting.guest) else { return false };
        let mut hold = |percent| {
            let tag = ends.hv.request(ends.ports, HvRequest::Hold { guest, percent });
            self.source_tags.insert(tag);
            tag
        };
        match lull.looked(now, rest) {
            Act::Wait => false,
            Act::Stop => {
                waiting.stop = Some(hold(STILL));
                false
            }
            Act::GoOn => {
                hold(self.share.unwrap_or(0));
                false
            }
            Act::Suspend(how) => {
                let (took, tries) = lull.took(now);
                waiting.lull = None;
                self.tell_lull(ends, how, took, tries);
                true
            }
        }
    }

    fn tell_lull(&self, ends: &mut Ends<'_>, how: How, took: SimTime, tries: u32) {
        let name = self.outgoing.as_ref().map_or("", |out| out.source.domain()).to_owned();
        let why = match how {
            How::InLull(0) => format!("its disks rest after {} us", took.as_us()),
            How::InLull(inside) => format!(
                "its disks rest after {} us, with {inside} virtual CPUs inside",
                took.as_us()
            ),
            How::Busy => {
                format!("its disks did not rest for {} ms: as they are", WAIT.as_us() / 1000)
            }
            How::Knocks => format!("it had no rest in {tries} tries: its disks are as they are"),
            How::Refused => "it cannot be held: its disks are as they are".to_owned(),
        };
        ends.ports.log(format!("migration of {name}: {why}"));
        let values = vec![
            ("rests", u64::from(matches!(how, How::InLull(_)))),
            ("inside", if let How::InLull(inside) = how { inside } else { 0 }),
            ("tries", tries.into()),
            ("took_us", took.as_us()),
        ];
        ends.ports.observe(Observation { subject: "migration", what: "lull", name, values });
    }

    /// Does a guest wait for its disks?
    pub fn waits_for_disks(&self) -> Option<GuestId> {
        let waits = |wait: &&Waiting| wait.asked.is_none() && wait.lull.is_none();
        self.waiting.as_ref().filter(waits).map(|wait| wait.guest)
    }

    /// The disks of the guest that is to be suspended are quiet.
    pub fn disks_are_quiet(&mut self, ends: &mut Ends<'_>) {
        let Some(waiting) = self.waiting.as_mut().filter(|wait| wait.asked.is_none()) else {
            return;
        };
        waiting.asked = Some(ends.hv.request(ends.ports, HvRequest::Suspend(waiting.guest)));
        self.notes.push(Note::Stopped(waiting.guest));
    }

    /// The domain whose volumes are being claimed.
    pub fn waits_for_volumes(&self) -> Option<&str> {
        // Not before they are asked for.
        let asked = self.border.notes.is_empty();
        self.border.claiming.as_ref().filter(|_| asked).map(|(_, domain)| domain.as_str())
    }

    /// They are, or one cannot be.
    pub fn volumes_are_claimed(&mut self, ends: &mut Ends<'_>, result: Result<(), String>) {
        if let Some((tag, _)) = self.border.claiming.take() {
            self.target(ends, Input::Claimed(tag, result));
        }
    }

    /// Is a domain with this UUID, at this epoch, somebody else's?
    pub fn has_left(&self, uuid: &str, epoch: u64) -> bool {
        self.paper.ledger().is_ok_and(|ledger| ledger.has_left(uuid, epoch))
    }

    /// The hypervisor has answered a request of a migration.
    pub fn hv(&mut self, ends: &mut Ends<'_>, tag: Tag, reply: Result<HvReply, String>) {
        let mut tag = tag;
        if let Some(waiting) = &mut self.waiting
            && waiting.stop.take_if(|stop| *stop == tag).is_some()
        {
            self.source_tags.remove(&tag);
            if let Some(lull) = &mut waiting.lull {
                let held = |reply| match reply {
                    HvReply::Held { inside } => inside,
                    _ => 0,
                };
                lull.stopped(ends.ports.now(), reply.ok().map(held));
            }
            return;
        }
        if let Some(waiting) = self.waiting.take_if(|wait| wait.asked == Some(tag)) {
            tag = waiting.own;
        }
        if self.source_tags.remove(&tag) {
            self.source(ends, Input::Hv(tag, reply));
        } else {
            self.target(ends, Input::Hv(tag, reply));
        }
    }

    /// The manager has answered.
    pub fn manager(&mut self, ends: &mut Ends<'_>, tag: Tag, reply: Result<ManagerReply, String>) {
        if self.source_tags.remove(&tag) {
            self.source(ends, Input::Manager(tag, reply));
        } else {
            if let (Ok(ManagerReply::Prepared(Some(guest))), Some(incoming)) =
                (&reply, &self.incoming)
            {
                self.notes.push(Note::Memory(*guest, incoming.memory.clone()));
            }
            self.target(ends, Input::Manager(tag, reply));
        }
    }

    /// A job has ended; whose it was, they know.
    pub fn job_done(&mut self, ends: &mut Ends<'_>, job: JobId, output: Vec<u8>) {
        if self.outgoing.is_some() && self.incoming.is_some() {
            self.source(ends, Input::JobDone { job, output: output.clone() });
            self.target(ends, Input::JobDone { job, output });
        } else if self.outgoing.is_some() {
            self.source(ends, Input::JobDone { job, output });
        } else {
            self.target(ends, Input::JobDone { job, output });
        }
    }

    /// Crypto units have finished something.
    pub fn cipher(&mut self, ends: &mut Ends<'_>) {
        self.source(ends, Input::Cipher);
        self.target(ends, Input::Cipher);
    }

    /// A timer came: true when it was one of these.
    pub fn timer(&mut self, ends: &mut Ends<'_>, token: u64) -> bool {
        if token == self.conf.timers[0] {
            self.source(ends, Input::Timer);
        } else if token == self.conf.timers[1] {
            self.target(ends, Input::Timer);
        } else if token == self.conf.timers[2] {
            while let Some((writer, tag, result)) = self.paper.take(ends.ports.now()) {
                match writer {
                    Writer::Source => self.source(ends, Input::Journal(tag, result)),
                    Writer::Target => self.target(ends, Input::Journal(tag, result)),
                }
            }
        } else {
            return false;
        }
        true
    }

    /// When [`Moves::work`] is due without a frame.
    pub fn next_time(&self) -> SimTime {
        let lull = self.waiting.as_ref().and_then(|waiting| waiting.lull.as_ref());
        let lull = lull.map_or(SimTime::NEVER, Lull::next_time);
        lull.min(match &self.outgoing {
            Some(out) if out.line.socket.is_none() && out.source.wants_connection() => out.dial_at,
            None if self.recovered && self.owes_farewells() => self.tell_at,
            _ => SimTime::NEVER,
        })
    }

    // Connections.

    /// Looks at every connection; true when something was done.
    pub fn work(&mut self, ends: &mut Ends<'_>) -> bool {
        let mut busy = self.recovered && self.answer_callers(ends);
        busy |= self.tell_targets(ends);
        busy |= self.dial(ends);
        if let Some(out) = &mut self.outgoing {
            for input in look(ends.network, self.conf.nic, &mut out.line) {
                busy = true;
                self.source(ends, input);
            }
        }
        if let Some(incoming) = &mut self.incoming {
            for input in look(ends.network, self.conf.nic, &mut incoming.line) {
                busy = true;
                self.target(ends, input);
            }
        }
        busy
    }

    fn answer_callers(&mut self, ends: &mut Ends<'_>) -> bool {
        let nic = self.conf.nic;
        let Some(stack) = ends.network.stack(nic) else { return false };
        let listener = *self
            .listener
            .get_or_insert_with(|| stack.tcp_listen(TCP_PORT, self.conf.socket_bytes));
        match stack.tcp_state(listener) {
            TcpState::Listening | TcpState::Connecting => {}
            TcpState::Closed => {
                stack.tcp_abort(listener);
                self.listener = None;
                ends.network.stir(nic);
            }
            TcpState::Open | TcpState::Ended => {
                let (frames, bytes) = (Frames::default(), Vec::new());
                self.callers.push(Caller { socket: listener, frames, bytes });
                self.listener = Some(stack.tcp_listen(TCP_PORT, self.conf.socket_bytes));
            }
        }
        let mut busy = false;
        for mut caller in std::mem::take(&mut self.callers) {
            let Some(stack) = ends.network.stack(nic) else { continue };
            let mut bytes = Vec::new();
            if stack.tcp_recv(caller.socket, &mut bytes, TAKE_BYTES) > 0 {
                busy = true;
            }
            caller.frames.put(&bytes);
            caller.bytes.extend_from_slice(&bytes);
            let frame = caller.frames.pop(GREETING_BYTES_MAX);
            let hello = frame.and_then(|frame| frame.map(|f| Hello::from_frame(&f)).transpose());
            match hello {
                Ok(None) if stack.tcp_state(caller.socket) == TcpState::Open => {
                    self.callers.push(caller);
                }
                Ok(Some((_, hello))) => {
                    busy = true;
                    self.admit(ends, caller, &hello);
                }
                Err(Refusal::Version) => {
                    busy = true;
                    stack.tcp_send(caller.socket, &handshake::no_version());
                    stack.tcp_close(caller.socket);
                }
                _ => stack.tcp_abort(caller.socket),
            }
        }
        if busy {
            ends.network.stir(nic);
        }
        busy
    }

    /// A caller has said what it is about.
    fn admit(&mut self, ends: &mut Ends<'_>, caller: Caller, hello: &Hello) {
        let arrival = match self.paper.ledger() {
            Ok(ledger) => ledger.arrival(&hello.migration).cloned(),
            Err(why) => {
                // Not even that a domain is not here can be said.
                let Some(stack) = ends.network.stack(self.conf.nic) else { return };
                ends.ports.log(format!("migration from {}: refused: {why}", hello.host));
                stack.tcp_abort(caller.socket);
                return;
            }
        };
        let knows = |incoming: &Incoming| {
            !hello.fresh && incoming.target.migration() == Some(hello.migration)
        };
        let busy = |incoming: &Incoming| !incoming.target.is_finished() && !knows(incoming);
        if self.incoming.as_ref().is_some_and(busy) {
            let Some(stack) = ends.network.stack(self.conf.nic) else { return };
            ends.ports.log(format!("migration from {}: another one is under way", hello.host));
            stack.tcp_abort(caller.socket);
            return;
        }
        let known = self.incoming.as_ref().is_some_and(knows);
        if let Some(entry) = arrival.filter(|_| !hello.fresh && !known) {
            self.recall_target(ends, &entry);
        } else if !known {
            let target = Target::new(
                self.conf.config,
                self.conf.host.clone(),
                self.secrets(),
                self.entropy(ends.ports.now()),
                self.conf.timers[1],
                self.conf.buffers[1],
            );
            let (line, memory) = (Line::default(), Vec::new());
            self.incoming = Some(Incoming { target, line, memory });
        }
        if let Some(incoming) = &mut self.incoming {
            let line = Line { socket: Some(caller.socket), told: true, full: false };
            let old = std::mem::replace(&mut incoming.line, line);
            if let (Some(old), Some(stack)) = (old.socket, ends.network.stack(self.conf.nic)) {
                stack.tcp_abort(old);
                ends.network.stir(self.conf.nic);
            }
        }
        self.target(ends, Input::Connected);
        self.target(ends, Input::Bytes(caller.bytes));
    }

    fn dial(&mut self, ends: &mut Ends<'_>) -> bool {
        let Some(out) = &mut self.outgoing else { return false };
        if out.line.socket.is_some()
            || !out.source.wants_connection()
            || ends.ports.now() < out.dial_at
        {
            return false;
        }
        let peer = out.source.peer().to_owned();
        let why = match out.address {
            None => format!("Unknown host: {peer}"),
            Some(_) if out.dials >= DIALS => format!("Failed to connect to {peer}"),
            Some(address) => {
                out.dials += 1;
                out.dial_at = ends.ports.now().plus(REDIAL);
                let Some(stack) = ends.network.stack(self.conf.nic) else { return false };
                let socket = stack.tcp_connect(address, TCP_PORT, self.conf.socket_bytes);
                ends.network.stir(self.conf.nic);
                out.line = Line { socket: Some(socket), ..Line::default() };
                return true;
            }
        };
        // One that is in doubt asks for ever.
        out.dials = 0;
        out.dial_at = ends.ports.now().plus(REDIAL);
        if out.source.says_farewell() {
            // The next one's turn.
            self.tell_at = ends.ports.now().plus(FAREWELL);
            self.drop_outgoing(ends);
            return true;
        }
        self.with_source(ends, |source, io| source.unreachable(io, &why));
        true
    }

    // The two machines.

    fn source(&mut self, ends: &mut Ends<'_>, input: Input) {
        self.with_source(ends, |source, io| source.event(io, input));
    }

    fn with_source(&mut self, ends: &mut Ends<'_>, act: impl FnOnce(&mut Source, &mut Io<'_>)) {
        let Some(mut out) = self.outgoing.take() else { return };
        let nic = self.conf.nic;
        let Outgoing { source, line, .. } = &mut out;
        let came = self.connected(ends, Writer::Source, line, |io| act(source, io));
        for (domain, tag) in came.into_iter().flat_map(|came| came.released) {
            self.source_tags.insert(tag);
            self.notes.push(Note::Left { domain, to: out.address });
        }
        if let Some(outcome) = out.source.take_outcome()
            && out.command != NOBODY
        {
            self.notes.push(Note::Ended(out.command, outcome));
        }
        if out.source.is_finished() {
            if let (Some(socket), Some(stack)) = (out.line.socket, ends.network.stack(nic)) {
                stack.tcp_close(socket);
                ends.network.stir(nic);
            }
            self.source_tags.clear();
            if out.command == NOBODY && self.owes_farewells() {
                // A journal without room would have it told again at once.
                self.tell_at = ends.ports.now().plus(FAREWELL);
            }
        } else {
            self.outgoing = Some(out);
        }
    }

    fn target(&mut self, ends: &mut Ends<'_>, input: Input) {
        self.with_target(ends, |target, io| target.event(io, input));
    }

    fn with_target(&mut self, ends: &mut Ends<'_>, act: impl FnOnce(&mut Target, &mut Io<'_>)) {
        let Some(mut incoming) = self.incoming.take() else { return };
        let Incoming { target, line, .. } = &mut incoming;
        let came = self.connected(ends, Writer::Target, line, |io| act(target, io));
        if let Some((_, memory)) = came.and_then(|came| came.memory) {
            incoming.memory = memory;
        }
        self.incoming = Some(incoming);
    }
}

/// Nobody migrates a domain whose last entry is this, and its target may not know: a
/// migration is off, or its *off* found no room in the journal.
const fn is_untold(state: State) -> bool {
    matches!(state, State::Off | State::Leaving)
}

/// Randomness that comes once: the `fresh`th draw, at `now`. Who begins again and remembers
/// how often it drew goes on behind that; who remembers nothing begins later.
fn entropy(conf: &MovesConf, fresh: u64, now: SimTime) -> [u8; 32] {
    let numbers = [conf.seed, fresh, now.0].map(u64::to_be_bytes).concat();
    Sha256::digest([conf.host.as_bytes(), &numbers].concat()).into()
}

/// What the operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which domain.
    pub domain: String,
    /// Its name at the target, when it is to be another.
    pub new_name: Option<String>,
    /// Host name of the target.
    pub peer: String,
    /// The target's password.
    pub password: String,
    /// `-n`.
    pub check_only: bool,
    /// `-f`.
    pub force: bool,
}

/// What a connection has to say.
fn look(network: &mut Network, nic: usize, line: &mut Line) -> Vec<Input> {
    let (Some(stack), Some(socket)) = (network.stack(nic), line.socket) else {
        return Vec::new();
    };
    let mut inputs = Vec::new();
    let state = stack.tcp_state(socket);
    if !line.told && state == TcpState::Open {
        line.told = true;
        inputs.push(Input::Connected);
    }
    let mut bytes = Vec::new();
    if line.told && stack.tcp_recv(socket, &mut bytes, TAKE_BYTES) > 0 {
        inputs.push(Input::Bytes(bytes));
    } else if matches!(state, TcpState::Ended | TcpState::Closed) {
        stack.tcp_abort(socket);
        line.socket = None;
        if std::mem::take(&mut line.told) {
            inputs.push(Input::Closed);
        }
    }
    if line.full && stack.tcp_room(socket) > 0 {
        line.full = false;
        inputs.push(Input::Room);
    }
    if !inputs.is_empty() {
        network.stir(nic);
    }
    inputs
}

#[cfg(test)]
mod test {
    use super::{Moves, MovesConf};
    use crate::migrate::{Buffers, Config};
    use std::collections::{BTreeMap, BTreeSet};
    use sun4v::addr::Ra;
    use sun4v::time::SimTime;

    fn moves(host: &str) -> Moves {
        let conf = MovesConf {
            config: Config::default(),
            host: host.to_owned(),
            password: "secret".to_owned(),
            seed: 42,
            timers: [1, 2, 3],
            buffers: [Buffers { ra: Ra(0) }; 2],
            nic: 0,
            socket_bytes: 4096,
        };
        Moves::new(conf, BTreeMap::new(), &[])
    }

    #[test]
    fn no_randomness_comes_twice_however_often_the_software_begins_again() {
        let mut all = BTreeSet::new();
        let mut drawn = 0;
        for host in ["t5120", "t5220"] {
            let mut now = SimTime::ZERO;
            let mut own = moves(host);
            // Every other life remembers how often it drew; the rest know nothing.
            for life in 0..6 {
                for _ in 0..3 {
                    all.insert(own.entropy(now));
                    drawn += 1;
                }
                let (fresh, _) = own.keep();
                own = moves(host);
                if life % 2 == 0 {
                    own.go_on_at(fresh);
                } else {
                    now = now.plus(SimTime::ns(1));
                }
            }
        }
        assert_eq!(all.len(), drawn);
    }

    #[test]
    fn the_key_of_tickets_outlives_the_software_and_is_no_others() {
        let tickets = |host: &str| moves(host).secrets().tickets;
        assert_eq!(tickets("t5120"), tickets("t5120"));
        assert_ne!(tickets("t5120"), tickets("t5220"));
    }
}
