//! The end that a domain comes to.

use super::arrive::Arriver;
use super::codec::{Message, Plain};
use super::fixed_time::Step;
use super::handshake::{Hello, Own};
use super::link::{Arrival, Link};
use super::pages::PageMap;
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
    /// The manager to make the shell.
    Shell(Tag),
    /// Chunks, rounds and state; or, for a domain without memory, *commit*.
    Receive,
    /// The hypervisor to load state.
    StateIn(Tag),
    /// The source's last word. The shell waits as long as it takes.
    Verified,
    /// The hypervisor to let it run.
    Resume(Tag),
    /// The manager to make the shell a domain.
    Activate(Tag),
    /// Nothing; it is here.
    Here,
    /// The manager to take the shell apart.
    Discard(Tag),
    /// Nothing; it is not here.
    Gone,
}

/// The target of one migration.
pub struct Target {
    config: Config,
    host: String,
    password: String,
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
    guest: GuestId,
    map: PageMap,
    arriver: Arriver,
    /// A round that the source has ended and that is not all written.
    round_end: Option<(u32, u64)>,
    state: Vec<u8>,
    began: SimTime,
    percent: u8,
}

impl Target {
    /// One that waits for a source. `password` is this system's; `entropy` is
    /// fresh; `timer` is the token of the timers that it sets.
    #[must_use]
    pub fn new(
        config: Config,
        host: String,
        password: String,
        entropy: [u8; 32],
        timer: u64,
        buffers: Buffers,
    ) -> Self {
        Self {
            config,
            host,
            password,
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
            guest: GuestId::default(),
            map: PageMap::default(),
            arriver: Arriver::new(config, buffers),
            round_end: None,
            state: Vec::new(),
            began: SimTime::ZERO,
            percent: 0,
        }
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

    /// The domain is here.
    #[must_use]
    pub const fn has_domain(&self) -> bool {
        matches!(self.stage, Stage::Activate(_) | Stage::Step(Step::Settle) | Stage::Here)
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
                self.link.reset(io);
                self.connected = true;
                self.connections += 1;
                self.link.listen(Own {
                    password: self.password.clone(),
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
                    if self.stage == Stage::Gone || matches!(self.stage, Stage::Discard(_)) {
                        continue;
                    }
                    if self.stage != Stage::Receive || self.round_end.is_some() {
                        self.broken(io, "unexpected message");
                    } else if let Err(refusal) = self.arriver.chunk(io, &self.map, chunk) {
                        self.broken(io, &refusal.to_string());
                    }
                }
                Ok(Some(Arrival::Closed)) => {
                    self.connected = false;
                    if let Some(host) = self.link.stranger() {
                        let host = host.to_owned();
                        io.ports.log(format!(
                            "migration from {host}: it has not proved that it knows the password"
                        ));
                    }
                    self.link.reset(io);
                    self.lost(io, "the connection to the source was lost");
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
        if let Some(acknowledge) = self.arriver.acknowledge(self.round_end.is_some()) {
            self.say(io, Message::Ack(acknowledge));
            self.show(io);
        }
        if let Some((round, chunks)) = self.round_end
            && self.arriver.written() == chunks
        {
            self.round_end = None;
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
        if self.connected {
            self.connected = false;
            io.wire.close(io.ports);
        }
        self.link.reset(io);
        self.lost(io, why);
    }

    fn lost(&mut self, io: &mut Io<'_>, why: &str) {
        match self.stage {
            Stage::Verified => {
                let (domain, peer) = (self.name(), self.peer());
                io.ports.log(format!(
                    "migration of {domain}: {why}; it is ready and waits for {peer} to decide"
                ));
                self.show(io);
            }
            Stage::Resume(_) | Stage::Activate(_) | Stage::Here => {}
            Stage::Step(Step::Resume | Step::Settle) => {}
            Stage::Discard(_) | Stage::Gone => {}
            _ => self.fail(io, why),
        }
    }

    fn name(&self) -> String {
        self.domain().unwrap_or("a domain").to_owned()
    }

    fn say(&mut self, io: &mut Io<'_>, message: Message) {
        self.link.send(io, Plain::Message(message));
    }

    // Fixed steps.

    fn step(&mut self, io: &mut Io<'_>, step: Step) {
        let kind = self.offer.as_ref().map_or(Kind::Active, |offer| offer.kind);
        self.step_due = io.ports.now().plus(self.config.fixed.of_kind(step, kind));
        self.stage = Stage::Step(step);
        io.ports.set_timer(self.step_due, self.timer);
    }

    fn timer(&mut self, io: &mut Io<'_>) {
        let Stage::Step(step) = self.stage else { return };
        if io.ports.now() < self.step_due {
            return;
        }
        match step {
            Step::Check => self.check(io),
            Step::Shell => {
                self.say(io, Message::Prepared);
                self.stage = Stage::Receive;
                self.phase = Phase::PreCopy;
            }
            Step::Resume => {
                let tag = io.hv.request(io.ports, HvRequest::Resume(self.guest));
                self.stage = Stage::Resume(tag);
            }
            Step::Settle => {
                self.stage = Stage::Here;
                self.phase = Phase::Done;
                self.percent = 100;
                if let Some(domain) = self.domain() {
                    io.manager.status(domain, None);
                }
                self.observe(io, "arrived", Vec::new());
            }
            _ => {}
        }
    }

    // What the source says.

    fn message(&mut self, io: &mut Io<'_>, message: Message) {
        match (message, &self.stage) {
            (Message::Offer { offer, check_only }, Stage::Offer) => {
                self.offered(io, offer, check_only);
            }
            (Message::Prepare, Stage::Go) if !self.check_only => self.prepare(io),
            (Message::RoundEnd { round, chunks }, Stage::Receive) if self.round_end.is_none() => {
                if chunks == self.arriver.received() {
                    self.round_end = Some((round, chunks));
                } else {
                    self.broken(io, "a round that lacks chunks");
                }
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
            (Message::Commit, Stage::Verified) => self.take(io),
            (Message::Commit, Stage::Receive) if !self.is_active() => self.activate(io),
            (Message::Commit, Stage::Activate(_) | Stage::Here | Stage::Step(Step::Settle)) => {
                self.say(io, Message::Committed);
            }
            // It will be said when it runs.
            (Message::Commit, Stage::Resume(_) | Stage::Step(Step::Resume)) => {}
            (Message::Commit | Message::Abort(_), Stage::Gone | Stage::Discard(_)) => {
                self.say(io, Message::NotHere);
                self.link.close_when_sent(io);
            }
            (Message::Abort(why), Stage::Verified) => {
                self.fail_quietly(io, &why);
                self.say(io, Message::NotHere);
                self.link.close_when_sent(io);
            }
            // The source is not sure of its own word: it has said *commit*.
            (Message::Abort(_), _) if self.taken() => self.say(io, Message::Committed),
            (Message::Abort(why), _) => {
                self.fail_quietly(io, &why);
                self.link.close_when_sent(io);
            }
            (_, Stage::Gone | Stage::Discard(_)) => {}
            _ => self.broken(io, "unexpected message"),
        }
    }

    const fn taken(&self) -> bool {
        matches!(
            self.stage,
            Stage::Resume(_)
                | Stage::Activate(_)
                | Stage::Here
                | Stage::Step(Step::Resume | Step::Settle)
        )
    }

    fn is_active(&self) -> bool {
        self.offer.as_ref().is_some_and(|offer| offer.kind == Kind::Active)
    }

    fn offered(&mut self, io: &mut Io<'_>, offer: Offer, check_only: bool) {
        let memory: &[_] = if offer.kind == Kind::Active { &offer.memory } else { &[] };
        match PageMap::new(memory) {
            Ok(map) => self.map = map,
            Err(refusal) => {
                self.broken(io, &refusal.to_string());
                return;
            }
        }
        self.arriver.expect(self.map.len());
        self.offer = Some(offer);
        self.check_only = check_only;
        self.step(io, Step::Check);
    }

    fn check(&mut self, io: &mut Io<'_>) {
        let Some(offer) = &self.offer else { return };
        let problems = io.manager.check_incoming(offer);
        let peer = self.peer();
        io.ports.log(if problems.is_empty() {
            format!("migration of {} from {peer}: every check passed", self.name())
        } else {
            format!("migration of {} from {peer}: {}", self.name(), problems.join("; "))
        });
        self.stage = if problems.is_empty() { Stage::Go } else { Stage::Gone };
        self.say(io, Message::Verdict(problems));
    }

    fn prepare(&mut self, io: &mut Io<'_>) {
        let Some(offer) = &self.offer else { return };
        self.phase = Phase::Prepare;
        self.shell = true;
        let tag = io.manager.prepare_incoming(io.ports, offer);
        self.stage = Stage::Shell(tag);
    }

    fn compare(&mut self, io: &mut Io<'_>, digest: &[u8; 32]) {
        self.phase = Phase::Digest;
        let whole = self.round_end.is_none() && self.arriver.written() == self.arriver.received();
        if !whole || self.arriver.hashes().digest(&self.state).as_ref() != Some(digest) {
            self.fail(io, "what arrived is not what was sent");
            return;
        }
        let (buffer, bytes) = (self.buffers.ra, self.state.len() as u64);
        io.ports.write(buffer, &self.state);
        let request = HvRequest::StateIn { guest: self.guest, buffer, bytes };
        self.stage = Stage::StateIn(io.hv.request(io.ports, request));
    }

    // The domain is ours.

    fn take(&mut self, io: &mut Io<'_>) {
        self.phase = Phase::HandOff;
        self.show(io);
        self.step(io, Step::Resume);
    }

    fn activate(&mut self, io: &mut Io<'_>) {
        self.phase = Phase::HandOff;
        let name = self.name();
        let tag = io.manager.activate(io.ports, &name);
        self.stage = Stage::Activate(tag);
        self.say(io, Message::Committed);
        let took = io.ports.now().since(self.began);
        io.ports.log(format!(
            "migration of {name} from {}: it is here; {:.3} s",
            self.peer(),
            took.as_secs_f64()
        ));
        let values = vec![
            ("took_us", took.as_us()),
            ("opened_bytes", self.link.opened_bytes),
            ("chunks", self.arriver.written()),
        ];
        self.observe(io, "taken over", values);
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
            (Stage::StateIn(waits), Ok(_)) if *waits == tag => {
                self.stage = Stage::Verified;
                self.say(io, Message::Verified);
                self.show(io);
            }
            (Stage::StateIn(waits), Err(why)) if *waits == tag => {
                self.fail(io, &format!("the hypervisor refuses the state: {why}"));
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
                self.stage = Stage::Gone;
            }
            _ => {}
        }
    }

    // Failure.

    /// Tells the source, and takes the shell apart.
    fn fail(&mut self, io: &mut Io<'_>, why: &str) {
        if self.connected {
            self.say(io, Message::Abort(why.to_owned()));
            self.link.close_when_sent(io);
        }
        self.fail_quietly(io, why);
    }

    fn fail_quietly(&mut self, io: &mut Io<'_>, why: &str) {
        if self.is_finished() || matches!(self.stage, Stage::Discard(_)) {
            return;
        }
        let name = self.name();
        if self.offer.is_some() && !(self.check_only && self.stage == Stage::Go) {
            io.ports.log(format!("migration of {name} from {} is off: {why}", self.peer()));
        }
        self.arriver.stop(io);
        if self.offer.is_some() {
            io.manager.status(&name, None);
        }
        self.stage = if std::mem::take(&mut self.shell) {
            Stage::Discard(io.manager.discard(io.ports, &name))
        } else {
            Stage::Gone
        };
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
