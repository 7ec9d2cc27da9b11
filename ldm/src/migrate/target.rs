//! The end that a domain comes to.
//!
//! **What it writes, and when** ([`State`]): *reserved* before its shell is made;
//! *prepared* before it says *verified* (for a domain without memory: *prepared*);
//! *activated* before the domain's volumes are claimed and it runs; *here* when all has settled; *discarded* before it
//! says *not here*.
//!
//! **Begun again** ([`Target::recall`]): *reserved* and *discarded* mean that the shell
//! goes; *prepared*, that it waits for the source's word, or an operator's
//! ([`Target::take_over`]); *activated*, that the domain runs here.
//!
//! **A shell that goes** is filled with zeros a few pages at a time, so that the manager
//! answers meanwhile: [`retreat::SCRUB_BYTES_A_SECOND`].

mod ownership;
mod rejoin;
pub(super) mod retreat;

use super::arrive::Arriver;
use super::codec::{Message, Plain};
use super::fixed_time::Step;
use super::handshake::{Hello, Own, Secrets};
use super::journal::{EPOCH_MAX, EntryV1, State, ticket};
use super::link::{Arrival, Link};
use super::mutant::{self, Mutant};
use super::pages::{Hasher, PageMap};
use super::port::{HvReply, HvRequest, Input, Io, Kind, ManagerReply, Offer, Status, Tag};
use super::{Buffers, Config, Phase};
use sun4v::id::GuestId;
use sun4v::native::Observation;
use sun4v::time::SimTime;

/// Most bytes of state records: what the buffers hold.
const STATE_BYTES_MAX: usize = Buffers::BYTES as usize;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// The source's hello, and its proof that it has the password.
    Greet,
    /// The source's offer.
    Offer,
    /// A fixed step.
    Step(Step),
    /// The source to go on.
    Go,
    /// An entry of the journal to be durable.
    Write(Tag, State),
    /// The manager to make the shell.
    Shell(Tag),
    /// Chunks, rounds and state; or, for a domain without memory, *commit*.
    Receive,
    /// The hypervisor to load state.
    StateIn(Tag),
    /// The source's last word. The shell waits as long as it takes.
    Verified,
    /// Its volumes to be claimed at the new epoch.
    Claim(Tag),
    /// The hypervisor to let it run.
    Resume(Tag),
    /// The manager to make the shell a domain.
    Activate(Tag),
    /// Nothing; it is here.
    Here,
    /// The shell's memory to be filled with zeros: the hypervisor, or some time.
    Scrub(Option<Tag>),
    /// The manager to take the shell apart.
    Discard(Tag),
    /// Nothing; it is not here.
    Gone,
}

/// What the source is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Committed,
    Taken,
    NotHere,
}

/// The target of one migration.
#[derive(Clone, Debug)]
pub struct Target {
    config: Config,
    host: String,
    secrets: Secrets,
    entropy: [u8; 32],
    timer: u64,
    buffers: Buffers,
    stage: Stage,
    phase: Phase,
    link: Link,
    connected: bool,
    connections: u64,
    step_due: SimTime,
    peer: String,
    migration: Option<[u8; 16]>,
    offer: Option<Offer>,
    check_only: bool,
    /// The manager was asked for a shell.
    shell: bool,
    /// The journal knows of it.
    journaled: bool,
    digest: [u8; 32],
    /// The epoch of the domain here.
    owned: u64,
    owed: Option<Owed>,
    /// The journal says that it will not be this end's.
    discarded: bool,
    /// Pages of the shell that are filled with zeros.
    scrubbed: u32,
    verified_at: SimTime,
    guest: GuestId,
    map: PageMap,
    arriver: Arriver,
    /// A round that the source has ended and that is not all written.
    round_end: Option<(u32, u64)>,
    /// The last round that ended, and that was acknowledged.
    ended: u32,
    acknowledged: u32,
    /// The connection was lost while memory moved, and the source has not said that it is
    /// there again.
    away: bool,
    state: Vec<u8>,
    began: SimTime,
    /// It went on from the journal.
    recalled: bool,
    percent: u8,
}

impl Target {
    /// One that waits for a source. `secrets` are this system's; `entropy` is
    /// fresh; `timer` is the token of the timers that it sets.
    #[must_use]
    pub fn new(
        config: Config,
        host: String,
        secrets: Secrets,
        entropy: [u8; 32],
        timer: u64,
        buffers: Buffers,
    ) -> Self {
        Self {
            config,
            host,
            secrets,
            entropy,
            timer,
            buffers,
            stage: Stage::Greet,
            phase: Phase::Check,
            link: Link::default(),
            connected: false,
            connections: 0,
            step_due: SimTime::ZERO,
            peer: String::new(),
            migration: None,
            offer: None,
            check_only: false,
            shell: false,
            journaled: false,
            digest: [0; 32],
            owned: 0,
            owed: None,
            discarded: false,
            scrubbed: 0,
            verified_at: SimTime::ZERO,
            guest: GuestId::default(),
            map: PageMap::default(),
            arriver: Arriver::new(config, buffers),
            round_end: None,
            ended: 0,
            acknowledged: 0,
            away: false,
            state: Vec::new(),
            began: SimTime::ZERO,
            recalled: false,
            percent: 0,
        }
    }

    /// One that begins again with what the journal says; when that was the end of it, it
    /// answers a source that asks again. Begins work that is left.
    #[must_use]
    pub fn recall(
        config: Config,
        (host, secrets): (String, Secrets),
        (entropy, timer): ([u8; 32], u64),
        buffers: Buffers,
        entry: &EntryV1,
        io: &mut Io<'_>,
    ) -> Self {
        let mut target = Self::new(config, host, secrets, entropy, timer, buffers);
        let offer = entry.offer.clone().unwrap_or_else(|| entry.bare_offer());
        let found = io.manager.find(&entry.domain, &entry.uuid);
        target.peer.clone_from(&entry.peer);
        target.migration = Some(entry.migration);
        target.map = PageMap::new(&offer.memory).unwrap_or_default();
        target.offer = Some(offer);
        target.journaled = true;
        target.recalled = true;
        target.digest = entry.digest;
        target.owned = entry.owned;
        target.began = io.ports.now();
        target.shell = found.is_some_and(|found| found.shell);
        target.guest = found.and_then(|found| found.guest).unwrap_or_default();
        let (domain, peer) = (entry.domain.clone(), entry.peer.clone());
        match entry.state {
            State::Prepared if target.shell && !mutant::is(Mutant::PreparedForgotten) => {
                target.phase = Phase::Digest;
                target.verified(io);
                io.ports.log(format!(
                    "migration of {domain}: it is ready and waits for {peer} to decide"
                ));
            }
            State::Activated if found.is_some() => {
                target.phase = Phase::HandOff;
                target.show(io);
                target.run(io);
            }
            // One that ran here and has left since.
            State::Here | State::Activated => {
                target.stage = Stage::Here;
                target.phase = Phase::Done;
                target.percent = 100;
            }
            State::Reserved if mutant::is(Mutant::ShellLeft) => target.stage = Stage::Gone,
            State::Reserved | State::Prepared => {
                target.fail_quietly(io, "this manager began again");
            }
            State::Discarded => {
                target.discarded = true;
                target.clear(io);
            }
            _ => target.stage = Stage::Gone,
        }
        target
    }

    /// The domain that comes, by the name that it is to have here, once offered.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        let offer = self.offer.as_ref()?;
        Some(offer.new_name.as_ref().unwrap_or(&offer.name))
    }

    /// Host name of the source, once it has said it.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Where it stands.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// How far it is, 0 to 100; never falls.
    #[must_use]
    pub const fn percent(&self) -> u8 {
        self.percent
    }

    /// The number of the migration, once known: a connection whose [`Hello`] names
    /// it and is not fresh belongs here.
    #[must_use]
    pub const fn migration(&self) -> Option<[u8; 16]> {
        self.migration
    }

    /// It waits for a source that has gone away, with everything ready. Only the
    /// source can say whose the domain is.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.stage == Stage::Verified && !self.connected
    }

    /// Nothing is left to do but to answer a source that asks again.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Here | Stage::Gone)
    }

    /// Something happened.
    pub fn event(&mut self, io: &mut Io<'_>, input: Input) {
        match input {
            Input::Connected => {
                // The wire before this one may be lost without that it is known here.
                self.away |= self.can_rejoin();
                self.link.reset(io);
                self.connected = true;
                self.connections += 1;
                self.link.listen(Own {
                    password: self.secrets.password.clone(),
                    tickets: self.secrets.tickets,
                    entropy: self.entropy,
                    connection: self.connections,
                    host: self.host.clone(),
                });
            }
            Input::Bytes(bytes) => self.link.put(&bytes),
            Input::Closed => self.link.ended(),
            Input::JobDone { job, output } => {
                if let Err(refusal) = self.arriver.job_done(job, output) {
                    self.broken(io, &refusal.to_string());
                }
            }
            Input::Timer => self.timer(io),
            Input::Hv(tag, reply) => self.hv(io, tag, reply),
            Input::Manager(tag, reply) => self.manager(io, tag, reply),
            Input::Journal(tag, result) => self.written(io, tag, result),
            Input::Claimed(tag, result) => self.claimed(io, tag, result),
            Input::Room | Input::Cipher => {}
        }
        self.go_on(io);
    }

    fn go_on(&mut self, io: &mut Io<'_>) {
        loop {
            match self.link.pop(io) {
                Ok(Some(Arrival::Met(met))) => self.met(io, met.hello),
                Ok(Some(Arrival::Plain(Plain::Message(message)))) => self.message(io, message),
                Ok(Some(Arrival::Plain(Plain::Chunk(chunk)))) => {
                    if self.is_off() {
                        continue;
                    }
                    if self.stage != Stage::Receive || self.round_end.is_some() || self.away {
                        self.broken(io, "unexpected message");
                    } else if let Err(refusal) = self.arriver.chunk(io, &self.map, chunk) {
                        self.broken(io, &refusal.to_string());
                    }
                }
                Ok(Some(Arrival::Closed)) if self.link.is_deaf() => self.link.reset(io),
                Ok(Some(Arrival::Closed)) => {
                    self.connected = false;
                    if let Some(host) = self.link.stranger() {
                        let host = host.to_owned();
                        io.ports.log(format!(
                            "migration from {host}: it has not proved that it knows the password"
                        ));
                    }
                    self.link.reset(io);
                    if self.can_rejoin() {
                        self.interrupted(io);
                    } else {
                        self.lost(io, "the connection to the source was lost");
                    }
                }
                Ok(None) => break,
                Err(refusal) => self.broken(io, &refusal.to_string()),
            }
        }
        if self.stage == Stage::Receive {
            self.write(io);
        }
    }

    fn write(&mut self, io: &mut Io<'_>) {
        self.arriver.pump(io, &self.map, self.guest);
        if self.away {
            return;
        }
        if let Some(acknowledge) = self.arriver.acknowledge(self.round_end.is_some()) {
            self.say(io, Message::Ack(acknowledge));
            self.show(io);
        }
        if let Some((round, chunks)) = self.round_end
            && self.arriver.written() == chunks
        {
            self.round_end = None;
            self.acknowledged = round;
            self.say(io, Message::RoundAck(round));
        }
    }

    // Connections.

    /// A source has proved that it knows the password.
    fn met(&mut self, io: &mut Io<'_>, hello: Option<Hello>) {
        let Some(hello) = hello else { return };
        if self.migration.is_some_and(|number| number != hello.migration) {
            self.broken(io, "a source that asks about another migration");
            return;
        }
        if self.stage == Stage::Greet {
            self.peer = hello.host;
            self.migration = Some(hello.migration);
            // A source that asks about a migration that nobody here knows of gets to
            // hear that its domain is not here.
            self.stage = if hello.fresh { Stage::Offer } else { Stage::Gone };
            if hello.fresh {
                let ticket = ticket(&self.secrets.tickets, &hello.migration);
                self.say(io, Message::Ticket(ticket));
            }
            self.began = io.ports.now();
        }
    }

    /// The other end says what it may not say.
    fn broken(&mut self, io: &mut Io<'_>, why: &str) {
        if self.offer.is_none() {
            let host = self.link.stranger().unwrap_or(self.peer());
            let host = if host.is_empty() { "somebody" } else { host };
            io.ports.log(format!("migration from {host} is refused: {why}"));
        }
        let connected = std::mem::take(&mut self.connected);
        if connected && self.link.can_say() {
            // Its operator is told.
            self.say(io, Message::Broken(why.to_owned()));
            self.link.deafen(io);
            self.link.close_when_sent(io);
        } else {
            if connected {
                io.wire.close(io.ports);
            }
            self.link.reset(io);
        }
        self.lost(io, why);
    }

    fn lost(&mut self, io: &mut Io<'_>, why: &str) {
        match self.stage {
            Stage::Verified | Stage::Write(_, State::Prepared) => {
                let (domain, peer) = (self.name(), self.peer());
                io.ports.log(format!(
                    "migration of {domain}: {why}; it is ready and waits for {peer} to decide"
                ));
                self.show(io);
            }
            _ if self.taken() || self.is_off() => {}
            _ => self.fail(io, why),
        }
    }

    fn name(&self) -> String {
        self.domain().unwrap_or("a domain").to_owned()
    }

    fn say(&mut self, io: &mut Io<'_>, message: Message) {
        self.link.send(io, Plain::Message(message));
    }

    // The journal.

    fn record(&mut self, io: &mut Io<'_>, state: State) {
        let Some(offer) = &self.offer else { return };
        let entry = EntryV1 {
            state,
            migration: self.migration.unwrap_or_default(),
            uuid: offer.uuid.clone(),
            domain: self.name(),
            kind: offer.kind,
            epoch: offer.epoch,
            owned: self.owned,
            before: 0,
            peer: self.peer.clone(),
            ticket: String::new(),
            digest: self.digest,
            offer: Some(offer.clone()).filter(|_| !state.is_finished()),
        };
        self.stage = Stage::Write(io.journal.write(io.ports, entry), state);
    }

    fn written(&mut self, io: &mut Io<'_>, tag: Tag, result: Result<(), String>) {
        let Stage::Write(waits, state) = self.stage else { return };
        if waits != tag {
            return;
        }
        if let Err(why) = &result {
            io.ports.log(format!("migration of {}: {why}", self.name()));
        }
        match (state, result) {
            (State::Reserved, Ok(())) => {
                let Some(offer) = &self.offer else { return };
                self.shell = true;
                let tag = io.manager.prepare_incoming(io.ports, offer);
                self.stage = Stage::Shell(tag);
            }
            (State::Reserved, Err(why)) => {
                self.journaled = false;
                self.fail(io, &why);
            }
            (State::Prepared, Ok(())) => {
                self.verified(io);
                if self.connected && !mutant::is(Mutant::VerifiedBeforeDurable) {
                    self.say_ready(io);
                }
            }
            (State::Prepared, Err(why)) => self.fail(io, &why),
            (State::Activated, Ok(())) => self.run(io),
            // It is as it was: the source asks again, or an operator.
            (State::Activated, Err(why)) => {
                (self.owned, self.owed) = (0, None);
                self.verified(io);
                self.broken(io, &why);
            }
            (State::Here, _) => {
                self.stage = Stage::Here;
                self.phase = Phase::Done;
                self.percent = 100;
                if let Some(domain) = self.domain() {
                    io.manager.status(domain, None);
                }
                self.observe(io, "arrived", Vec::new());
            }
            (State::Discarded, result) => {
                // Without the entry it may be said once there is nothing left to run.
                self.discarded = result.is_ok();
                if self.discarded {
                    self.answer(io);
                }
                self.clear(io);
            }
            _ => {
                self.stage = Stage::Gone;
                self.answer(io);
            }
        }
    }

    /// It can run the domain, and does when it is told.
    fn verified(&mut self, io: &mut Io<'_>) {
        self.verified_at = io.ports.now();
        self.stage = Stage::Verified;
        self.show(io);
    }

    fn say_ready(&mut self, io: &mut Io<'_>) {
        let active = self.is_active();
        self.say(io, if active { Message::Verified } else { Message::Prepared });
    }

    /// Says what the source is owed.
    fn answer(&mut self, io: &mut Io<'_>) {
        let message = match self.owed.take() {
            Some(Owed::Committed) => Message::Committed,
            Some(Owed::Taken) => Message::Taken(self.owned),
            Some(Owed::NotHere) => Message::NotHere,
            None => return,
        };
        let ends = message == Message::NotHere;
        if self.connected {
            self.say(io, message);
            if ends {
                self.link.close_when_sent(io);
            }
        }
    }

    // Fixed steps.

    fn step(&mut self, io: &mut Io<'_>, step: Step) {
        let kind = self.offer.as_ref().map_or(Kind::Active, |offer| offer.kind);
        self.step_due = io.ports.now().plus(self.config.fixed.of_kind(step, kind));
        self.stage = Stage::Step(step);
        io.ports.set_timer(self.step_due, self.timer);
    }

    fn timer(&mut self, io: &mut Io<'_>) {
        let step = match self.stage {
            _ if io.ports.now() < self.step_due => return,
            Stage::Step(step) => step,
            Stage::Scrub(None) => return self.scrub(io),
            Stage::Receive if self.away => return self.fail(io, "the source did not come back"),
            _ => return,
        };
        match step {
            Step::Check => self.check(io),
            Step::Shell if self.is_active() => {
                self.say(io, Message::Prepared);
                self.stage = Stage::Receive;
                self.phase = Phase::PreCopy;
            }
            // There is nothing to send.
            Step::Shell => self.ready(io),
            Step::Resume => {
                let tag = io.hv.request(io.ports, HvRequest::Resume(self.guest));
                self.stage = Stage::Resume(tag);
            }
            Step::Settle => self.record(io, State::Here),
            _ => {}
        }
    }

    // What the source says.

    fn message(&mut self, io: &mut Io<'_>, message: Message) {
        match (message, &self.stage) {
            (Message::Offer { offer, check_only, units }, Stage::Offer) => {
                let hasher = Hasher::agreed(units, io.cipher.hashes_pages());
                self.offered(io, offer, check_only, hasher);
            }
            (Message::Prepare, Stage::Go) if !self.check_only => self.prepare(io),
            (Message::RoundEnd { round, chunks }, Stage::Receive) if self.round_end.is_none() => {
                if chunks == self.arriver.received() {
                    self.round_end = Some((round, chunks));
                    self.ended = round;
                } else {
                    self.broken(io, "a round that lacks chunks");
                }
            }
            (Message::Rejoin, Stage::Receive) if self.away => self.rejoin(io),
            (Message::Rejoin, _) if self.is_off() => {
                self.say(io, Message::Abort("the target has given it up".into()));
            }
            (Message::State(bytes), Stage::Receive) => {
                if self.state.len() + bytes.len() > STATE_BYTES_MAX {
                    self.broken(io, "more state than there can be");
                } else {
                    self.state.extend_from_slice(&bytes);
                }
            }
            (Message::Final(digest), Stage::Receive) if self.is_active() => {
                self.compare(io, &digest);
            }
            (Message::Commit { uuid, epoch }, Stage::Verified) => {
                let offer = self.offer.as_ref();
                if offer.is_some_and(|offer| offer.uuid == uuid && offer.epoch + 1 == epoch) {
                    self.owed = Some(Owed::Committed);
                    let unraised = u64::from(mutant::is(Mutant::EpochNotRaised));
                    self.take(io, epoch - unraised);
                } else {
                    self.broken(io, "another domain is handed over than was offered");
                }
            }
            (Message::Commit { .. }, _) if self.taken() => self.owe(io, Owed::Committed),
            // The source is not sure of its own word, or an operator was quicker.
            (Message::Off { .. }, _) if self.taken() => self.owe(io, Owed::Taken),
            (Message::Commit { uuid, epoch }, _) if self.is_off() => {
                // One that has forgotten the migration may have had the domain since.
                let had = io.journal.seen(&uuid) >= epoch && !mutant::is(Mutant::SeenForgotten);
                self.owe(io, if had { Owed::Committed } else { Owed::NotHere });
            }
            (Message::Off { uuid, epoch, .. }, _) if self.is_off() => {
                let seen = io.journal.seen(&uuid);
                if seen > epoch {
                    self.owned = seen;
                }
                self.owe(io, if seen > epoch { Owed::Taken } else { Owed::NotHere });
            }
            (Message::Off { uuid, epoch, why }, _) => {
                // An offer that was not looked at yet may be of one that was taken over.
                let seen = io.journal.seen(&uuid);
                if seen > epoch {
                    self.owned = seen;
                }
                self.owed = Some(if seen > epoch { Owed::Taken } else { Owed::NotHere });
                self.fail_quietly(io, &why);
                if mutant::is(Mutant::NotHereBeforeDurable) || self.stage == Stage::Gone {
                    self.answer(io);
                }
            }
            (_, _) if self.is_off() => {}
            _ => self.broken(io, "unexpected message"),
        }
    }

    /// Tells the source, now or when it is true.
    fn owe(&mut self, io: &mut Io<'_>, owed: Owed) {
        self.owed = Some(owed);
        let now = match owed {
            Owed::Committed | Owed::Taken => !matches!(
                self.stage,
                Stage::Write(_, State::Activated | State::Discarded)
                    | Stage::Claim(_)
                    | Stage::Resume(_)
                    | Stage::Step(Step::Resume)
            ),
            Owed::NotHere => self.discarded || self.stage == Stage::Gone,
        };
        if now {
            self.answer(io);
        }
    }

    /// The domain is this end's, whatever the other says.
    const fn taken(&self) -> bool {
        matches!(
            self.stage,
            Stage::Claim(_)
                | Stage::Resume(_)
                | Stage::Activate(_)
                | Stage::Here
                | Stage::Step(Step::Resume | Step::Settle)
                | Stage::Write(_, State::Activated | State::Here)
        )
    }

    /// It will not be this end's.
    const fn is_off(&self) -> bool {
        matches!(
            self.stage,
            Stage::Write(_, State::Discarded | State::Gone)
                | Stage::Scrub(_)
                | Stage::Discard(_)
                | Stage::Gone
        )
    }

    fn is_active(&self) -> bool {
        self.offer.as_ref().is_some_and(|offer| offer.kind == Kind::Active)
    }

    fn offered(&mut self, io: &mut Io<'_>, offer: Offer, check_only: bool, hasher: Hasher) {
        let memory: &[_] = if offer.kind == Kind::Active { &offer.memory } else { &[] };
        match PageMap::new(memory) {
            Ok(map) => self.map = map,
            Err(refusal) => {
                self.broken(io, &refusal.to_string());
                return;
            }
        }
        self.arriver.expect(self.map.len(), hasher);
        io.manager.look(&offer);
        self.offer = Some(offer);
        self.check_only = check_only;
        self.step(io, Step::Check);
    }

    fn check(&mut self, io: &mut Io<'_>) {
        let Some(offer) = &self.offer else { return };
        let mut problems = io.manager.check_incoming(offer);
        let seen = io.journal.seen(&offer.uuid);
        let known = (1..=EPOCH_MAX).contains(&offer.epoch) && offer.epoch > seen;
        if !known && !mutant::is(Mutant::EpochNotChecked) {
            problems.push(format!(
                "LDom {} is offered at epoch {}, and this system has had it at epoch {seen}: \
                 what is offered is old",
                offer.name, offer.epoch
            ));
        }
        let peer = self.peer();
        io.ports.log(if problems.is_empty() {
            format!("migration of {} from {peer}: every check passed", self.name())
        } else {
            format!("migration of {} from {peer}: {}", self.name(), problems.join("; "))
        });
        self.stage = if problems.is_empty() { Stage::Go } else { Stage::Gone };
        let (live, hasher) = (self.config.live, self.arriver.hasher());
        self.say(io, Message::Verdict { problems, live, hasher });
    }

    fn prepare(&mut self, io: &mut Io<'_>) {
        self.phase = Phase::Prepare;
        self.journaled = true;
        self.record(io, State::Reserved);
    }

    fn compare(&mut self, io: &mut Io<'_>, digest: &[u8; 32]) {
        self.phase = Phase::Digest;
        let whole = self.round_end.is_none() && self.arriver.written() == self.arriver.received();
        if !whole || self.arriver.hashes().digest(&self.state).as_ref() != Some(digest) {
            self.fail(io, "what arrived is not what was sent");
            return;
        }
        self.digest = *digest;
        let (buffer, bytes) = (self.buffers.ra, self.state.len() as u64);
        io.ports.write(buffer, &self.state);
        let request = HvRequest::StateIn { guest: self.guest, buffer, bytes };
        self.stage = Stage::StateIn(io.hv.request(io.ports, request));
    }

    // The domain is ours.

    /// Everything is there: said to the source once that is durable.
    fn ready(&mut self, io: &mut Io<'_>) {
        self.record(io, State::Prepared);
        if mutant::is(Mutant::VerifiedBeforeDurable) {
            self.say_ready(io);
        }
        self.show(io);
    }

    fn hv(&mut self, io: &mut Io<'_>, tag: Tag, reply: Result<HvReply, String>) {
        if self.arriver.hv(tag) {
            if let Err(why) = reply
                && self.stage == Stage::Receive
            {
                self.fail(io, &format!("the hypervisor cannot write pages: {why}"));
            }
            return;
        }
        match (&self.stage, reply) {
            (Stage::Scrub(Some(waits)), reply) if *waits == tag => {
                if let Err(why) = reply {
                    let name = self.name();
                    io.ports.log(format!("migration of {name}: its shell is not cleared: {why}"));
                    self.scrubbed = self.map.len();
                }
                self.stage = Stage::Scrub(None);
                io.ports.set_timer(self.step_due, self.timer);
            }
            (Stage::StateIn(waits), Ok(_)) if *waits == tag => self.ready(io),
            (Stage::StateIn(waits), Err(why)) if *waits == tag => {
                self.fail(io, &format!("the hypervisor refuses the state: {why}"));
            }
            (Stage::Resume(waits), Ok(HvReply::NotSuspended)) if *waits == tag => {
                // An earlier life of this manager has let it run.
                let name = self.name();
                io.ports.log(format!("migration of {name}: it has gone on already"));
                self.activate(io);
            }
            (Stage::Resume(waits), Ok(_)) if *waits == tag => {
                self.observe(io, "resumed", Vec::new());
                self.activate(io);
            }
            (Stage::Resume(waits), Err(why)) if *waits == tag => {
                // It is ours and cannot run: that is for the operator. The source must
                // not run it again.
                let name = self.name();
                io.ports.log(format!("migration of {name}: it is here and does not run: {why}"));
                self.activate(io);
            }
            _ => {}
        }
    }

    fn manager(&mut self, io: &mut Io<'_>, tag: Tag, reply: Result<ManagerReply, String>) {
        match (&self.stage, reply) {
            (Stage::Shell(waits), Ok(ManagerReply::Prepared(guest))) if *waits == tag => {
                match guest {
                    Some(guest) => self.guest = guest,
                    None if self.is_active() => {
                        self.fail(io, "the shell has no guest");
                        return;
                    }
                    None => {}
                }
                self.step(io, Step::Shell);
                self.show(io);
            }
            (Stage::Shell(waits), Ok(ManagerReply::Done)) if *waits == tag => {
                self.fail(io, "the shell was not made");
            }
            (Stage::Shell(waits), Err(why)) if *waits == tag => {
                self.shell = false;
                self.fail(io, &why);
            }
            (Stage::Activate(waits), reply) if *waits == tag => {
                if let Err(why) = reply {
                    let name = self.name();
                    io.ports.log(format!("migration of {name}: after its arrival: {why}"));
                }
                self.step(io, Step::Settle);
            }
            (Stage::Discard(waits), reply) if *waits == tag => {
                if let Err(why) = reply {
                    let name = self.name();
                    io.ports.log(format!("migration of {name}: its shell stays: {why}"));
                }
                self.record(io, State::Gone);
            }
            _ => {}
        }
    }

    // For people.

    fn observe(&self, io: &mut Io<'_>, what: &'static str, values: Vec<(&'static str, u64)>) {
        io.ports.observe(Observation { subject: "migration", what, name: self.name(), values });
    }

    fn show(&mut self, io: &mut Io<'_>) {
        let Some(domain) = self.domain() else { return };
        let pages = u64::from(self.map.len().max(1));
        let percent = match self.phase {
            Phase::Check => 0,
            Phase::Prepare => 1,
            Phase::PreCopy => 2 + (u64::from(self.arriver.hashes().known()) * 93 / pages) as u8,
            Phase::Suspend | Phase::Digest => 97,
            Phase::HandOff => 98,
            Phase::Done => 100,
        };
        let percent = self.percent.max(percent);
        let status = Status {
            source: false,
            peer: self.peer.clone(),
            percent,
            doubtful: self.is_doubtful(),
        };
        io.manager.status(domain, Some(status));
        self.percent = percent;
    }
}
