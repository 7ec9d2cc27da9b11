//! The end that a domain leaves.
//!
//! **What it writes, and when** ([`State`]): *leaving* before its offer; *commit* before
//! the message, and from the moment at which that entry is begun it does not let the
//! domain run again unless the target says that it does not have it; *off* or *stays*
//! before it says that it is off; *released* when nothing of the domain is left.
//!
//! **Begun again** ([`Source::recall`]): with *commit*, it asks; with anything before, the
//! domain goes on here and the target is told, as soon as it can be reached.

mod rejoin;
mod retreat;
mod round;

use self::round::Figures;
use super::codec::{Message, Plain};
use super::copy::Copier;
use super::fixed_time::Step;
use super::handshake::Own;
use super::journal::{EntryV1, State};
use super::link::{Arrival, Link};
use super::mutant::{self, Mutant};
use super::pages::{PageMap, PageSet};
use super::port::{HvReply, HvRequest, Input, Io, Kind, ManagerReply, Offer, Status, Tag};
use super::rounds::Round;
use super::{Buffers, Config, Phase};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use sun4v::addr::PAGE_BYTES;
use sun4v::id::GuestId;
use sun4v::native::Observation;
use sun4v::time::SimTime;

/// What an operator reads when the wire is gone.
const LOST: &str = "the connection to the target was lost";
/// Bytes of state in one message.
const STATE_PIECE_BYTES: usize = 128 << 10;

/// What an operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which domain.
    pub domain: String,
    /// What it is to be called at the target, if not the same.
    pub new_name: Option<String>,
    /// Host name of the target.
    pub peer: String,
    /// Host name of this end.
    pub host: String,
    /// Password of the target.
    pub password: String,
    /// `-n`: check, and change nothing.
    pub check_only: bool,
    /// Fresh randomness: secrets of connections and the number of the migration come of it.
    pub entropy: [u8; 32],
    /// Token of the timers that it sets.
    pub timer: u64,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// The first connection.
    Dial,
    /// The target to answer, and to prove that it has the password.
    Greet,
    /// A fixed step, after which `Stage` goes on.
    Step(Step),
    /// The target's ticket.
    Ticket,
    /// An entry of the journal to be durable.
    Write(Tag, State),
    /// The target's verdict.
    Verdict,
    /// The target's shell.
    Shell,
    /// The dirty log.
    LogStart(Tag),
    /// Pages to be read, packed, sealed and sent.
    Copy,
    /// The target to have written a round.
    RoundAck,
    /// The dirty log to be read.
    Dirty(BTreeSet<Tag>),
    /// Virtual CPUs to stop.
    Suspend(Tag),
    /// State records.
    StateOut(Tag),
    /// The target's comparison.
    Verify,
    /// The target's word that it has the domain; without a wire, a new connection.
    Commit,
    /// The journal to say that the domain is ours after all.
    Back(Tag),
    /// The manager to destroy what is left.
    Release(Tag),
    /// The hypervisor to put everything back, and the journal to say so.
    Undo(BTreeSet<Tag>),
    /// A target that may hold the domain ready to be told that it is off.
    Farewell,
    /// The manager to destroy a domain that was taken over at the target.
    Lost(Tag),
    /// Nothing.
    End,
}

/// The source of one migration.
#[derive(Clone, Debug)]
pub struct Source {
    config: Config,
    request: Request,
    buffers: Buffers,
    offer: Offer,
    /// What stands against its leaving, when only checks are wanted.
    problems: Vec<String>,
    /// The domain stands still before anything is copied, for this reason.
    warm: Option<String>,
    guest: GuestId,
    stage: Stage,
    phase: Phase,
    link: Link,
    connected: bool,
    /// Connections so far.
    connections: u64,
    step_due: SimTime,
    map: PageMap,
    copier: Copier,
    rounds: Vec<Round>,
    round_began: SimTime,
    began: SimTime,
    /// Figures of the round under way, and of all before it.
    figures: Figures,
    totals: Figures,
    logging: bool,
    /// Share of the time in which the domain's virtual CPUs are held, in percent.
    held: u8,
    /// The hypervisor was asked to.
    holding: Option<Tag>,
    suspended_at: Option<SimTime>,
    /// The connection was lost while memory moved; until then the target may be met again.
    rejoin_by: Option<SimTime>,
    /// What opens connections after the first, once the target has said it.
    ticket: String,
    number: [u8; 16],
    /// The journal knows of it.
    journaled: bool,
    /// The last entry that says that it is off.
    off: Option<State>,
    /// It is being written.
    off_tag: Option<Tag>,
    why: String,
    /// The target may hold something for the domain, and must be told if it is off.
    owes_word: bool,
    /// It was not told that an earlier migration is off, which the journal forgets with the
    /// first entry of this one.
    untold: bool,
    /// The entry that gives the domain away is durable, or may be.
    commit_begun: bool,
    /// The target has it by an operator's word, at this epoch.
    taken: Option<u64>,
    percent: u8,
    outcome: Option<Result<(), Vec<String>>>,
}

impl Source {
    /// Asks the manager for the domain. The owner dials the target next and hands in
    /// [`Input::Connected`].
    ///
    /// # Errors
    /// Everything that stands against its leaving. When only checks are wanted, that is
    /// reported together with what the target says.
    pub fn new(
        config: Config,
        request: Request,
        buffers: Buffers,
        io: &mut Io<'_>,
    ) -> Result<Self, Vec<String>> {
        let (mut offer, guest) = io.manager.offer(&request.domain).map_err(|why| vec![why])?;
        let problems = io.manager.check_outgoing(&request.domain);
        if !problems.is_empty() && !request.check_only {
            return Err(problems);
        }
        offer.new_name.clone_from(&request.new_name);
        let memory: &[_] = if offer.kind == Kind::Active { &offer.memory } else { &[] };
        let map = PageMap::new(memory).map_err(|refusal| vec![refusal.to_string()])?;
        let guest = match (offer.kind, guest) {
            (Kind::Active, None) => {
                return Err(vec![format!("domain {} has no guest", offer.name)]);
            }
            (_, guest) => guest.unwrap_or_default(),
        };
        let mut source = Self::with(config, request, buffers, (offer, guest), map, io.ports.now());
        source.problems = problems;
        source.show(io);
        Ok(source)
    }

    fn with(
        config: Config,
        request: Request,
        buffers: Buffers,
        (offer, guest): (Offer, GuestId),
        map: PageMap,
        now: SimTime,
    ) -> Self {
        let digest: [u8; 32] = Sha256::digest([&request.entropy[..], b"migration"].concat()).into();
        let mut number = [0; 16];
        number.copy_from_slice(&digest[..16]);
        Self {
            copier: Copier::new(config, guest, map.len(), buffers),
            ticket: String::new(),
            number,
            config,
            request,
            buffers,
            offer,
            problems: Vec::new(),
            warm: None,
            guest,
            stage: Stage::Dial,
            phase: Phase::Check,
            link: Link::default(),
            connected: false,
            connections: 0,
            step_due: SimTime::ZERO,
            map,
            rounds: Vec::new(),
            round_began: SimTime::ZERO,
            began: now,
            figures: Figures::default(),
            totals: Figures::default(),
            logging: false,
            held: 0,
            holding: None,
            suspended_at: None,
            rejoin_by: None,
            journaled: false,
            off: None,
            off_tag: None,
            why: String::new(),
            owes_word: false,
            untold: false,
            commit_begun: false,
            taken: None,
            percent: 0,
            outcome: None,
        }
    }

    /// One that begins again with what the journal says, if there is something left to
    /// do. `host` is this end's; `entropy` is fresh.
    pub fn recall(
        config: Config,
        entry: &EntryV1,
        host: String,
        (entropy, timer): ([u8; 32], u64),
        buffers: Buffers,
        io: &mut Io<'_>,
    ) -> Option<Self> {
        let asks = match entry.state {
            State::Commit => !mutant::is(Mutant::RunsAfterCommit),
            State::Leaving | State::Off => false,
            _ => return None,
        };
        let request = Request {
            domain: entry.domain.clone(),
            new_name: None,
            peer: entry.peer.clone(),
            host,
            password: String::new(),
            check_only: false,
            entropy,
            timer,
        };
        let offer = entry.bare_offer();
        let found = io.manager.find(&entry.domain, &entry.uuid).filter(|found| !found.shell);
        let guest = found.and_then(|found| found.guest).filter(|_| entry.kind == Kind::Active);
        let (map, now) = (PageMap::default(), io.ports.now());
        let mut source =
            Self::with(config, request, buffers, (offer, guest.unwrap_or_default()), map, now);
        source.number = entry.migration;
        source.ticket.clone_from(&entry.ticket);
        source.journaled = true;
        source.owes_word = true;
        source.off = (entry.state == State::Off).then_some(State::Off);
        if guest.is_some() {
            // It may stand still, and its log may be on.
            source.suspended_at = Some(now);
            source.logging = !mutant::is(Mutant::LogLeftOn);
        }
        let (domain, peer) = (source.domain(), source.peer());
        if asks {
            io.ports.log(format!(
                "migration of {domain}: it was handed over to {peer} before this manager began \
                 again: asking {peer}"
            ));
            source.commit_begun = true;
            source.shut(io);
            source.phase = Phase::HandOff;
            source.stage = Stage::Commit;
            source.show(io);
        } else {
            source.fail(io, vec!["this manager began again".into()]);
            source.outcome = None;
        }
        Some(source)
    }

    /// The target was not told that an earlier migration is off: an operator may have taken
    /// the domain over there. So this one asks before the domain stays, whatever ends it.
    pub const fn takes_farewell_on(&mut self) {
        self.untold = true;
    }

    /// The domain that leaves.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.request.domain
    }

    /// Host name of the target.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.request.peer
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

    /// The answer for the operator, once: all went well, or lines that say why not; then
    /// everything is as it was already.
    pub fn take_outcome(&mut self) -> Option<Result<(), Vec<String>>> {
        if matches!(self.stage, Stage::Undo(_)) {
            return None;
        }
        self.outcome.take()
    }

    /// It must be connected to the target: to begin, to go on after a wire was lost, or to
    /// settle who has the domain then. The owner dials, again and again, and hands in
    /// [`Input::Connected`].
    #[must_use]
    pub fn wants_connection(&self) -> bool {
        let asks = matches!(self.stage, Stage::Dial | Stage::Commit | Stage::Farewell);
        !self.connected && (asks || self.rejoin_by.is_some())
    }

    /// Nothing is left to do; it can be dropped.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.stage == Stage::End
    }

    /// Ownership has left and no answer has come: only the target knows.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.stage == Stage::Commit && !self.connected
    }

    /// The domain is here, and all that is left is to tell the target so. It may be
    /// dropped: the journal remembers ([`Source::recall`]).
    #[must_use]
    pub fn says_farewell(&self) -> bool {
        self.stage == Stage::Farewell
    }

    /// The number of the migration.
    #[must_use]
    pub const fn number(&self) -> [u8; 16] {
        self.number
    }

    /// Stops it, if it is not too late.
    pub fn cancel(&mut self, io: &mut Io<'_>) -> Result<(), String> {
        if mutant::is(Mutant::CancelsCommit) && matches!(self.stage, Stage::Write(_, State::Commit))
        {
            self.commit_begun = false;
        }
        if self.commit_begun || self.is_over() {
            return Err(format!("the migration of {} cannot be cancelled now", self.domain()));
        }
        self.fail(io, vec!["the migration was cancelled".into()]);
        self.go_on(io);
        Ok(())
    }

    /// It has failed, whatever is left to do.
    const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Undo(_) | Stage::Farewell | Stage::Lost(_) | Stage::End)
    }

    /// The target cannot be reached at all.
    pub fn unreachable(&mut self, io: &mut Io<'_>, why: &str) {
        if self.stage == Stage::Dial {
            self.fail(io, vec![why.to_owned()]);
        }
    }

    /// Something happened.
    pub fn event(&mut self, io: &mut Io<'_>, input: Input) {
        match input {
            Input::Connected => self.connected(io),
            Input::Bytes(bytes) => self.link.put(&bytes),
            Input::Closed => self.link.ended(),
            Input::JobDone { job, output } => self.copier.job_done(job, output),
            Input::Timer => self.timer(io),
            Input::Hv(tag, reply) => self.hv(io, tag, reply),
            Input::Manager(tag, reply) => self.manager(io, tag, reply),
            Input::Journal(tag, result) => self.written(io, tag, result),
            Input::Room | Input::Cipher | Input::Claimed(..) => {}
        }
        self.go_on(io);
    }

    fn go_on(&mut self, io: &mut Io<'_>) {
        loop {
            match self.link.pop(io) {
                Ok(Some(Arrival::Met(_))) => self.met(io),
                Ok(Some(Arrival::Plain(Plain::Message(message)))) => self.message(io, message),
                Ok(Some(Arrival::Plain(Plain::Chunk(_)))) => self.broken(io, "unexpected message"),
                Ok(Some(Arrival::Closed)) => self.closed(io),
                Ok(None) => break,
                Err(refusal) => self.broken(io, &refusal.to_string()),
            }
        }
        if self.stage == Stage::Copy && self.rejoin_by.is_none() {
            self.copy(io);
        }
    }

    // Connections.

    fn connected(&mut self, io: &mut Io<'_>) {
        if !self.wants_connection() {
            return;
        }
        self.connected = true;
        self.connections += 1;
        let fresh = self.stage == Stage::Dial;
        let secret = if fresh { &self.request.password } else { &self.ticket };
        let own = Own {
            password: secret.clone(),
            tickets: [0; 32],
            entropy: self.request.entropy,
            connection: self.connections,
            host: self.request.host.clone(),
        };
        self.link.call(io, &own, self.number, fresh);
        if self.stage == Stage::Dial {
            self.stage = Stage::Greet;
        }
    }

    fn closed(&mut self, io: &mut Io<'_>) {
        self.connected = false;
        self.link.reset(io);
        if self.can_rejoin() {
            self.interrupted(io);
        } else {
            self.lost(io, LOST);
        }
    }

    /// The other end says what it may not say.
    fn broken(&mut self, io: &mut Io<'_>, why: &str) {
        if self.connected {
            self.connected = false;
            io.wire.close(io.ports);
        }
        self.link.reset(io);
        self.lost(io, why);
    }

    fn lost(&mut self, io: &mut Io<'_>, why: &str) {
        match self.stage {
            Stage::Commit if mutant::is(Mutant::GuessesAfterCommit) => {
                self.commit_begun = false;
                self.fail(io, vec![why.to_owned()]);
            }
            Stage::Commit | Stage::Write(_, State::Commit) => {
                let domain = self.domain();
                io.ports.log(format!(
                    "migration of {domain}: {why} after the domain was handed over: asking {}",
                    self.peer()
                ));
                self.show(io);
            }
            Stage::Farewell | Stage::Undo(_) | Stage::End | Stage::Lost(_) => {}
            Stage::Back(_) | Stage::Release(_) | Stage::Step(Step::Destroy) => {}
            Stage::Write(_, State::Stays | State::Released) => {}
            _ => self.fail(io, vec![why.to_owned()]),
        }
    }

    /// Either end knows that the other has the password.
    fn met(&mut self, io: &mut Io<'_>) {
        match self.stage {
            Stage::Greet => self.stage = Stage::Ticket,
            Stage::Commit => self.say_commit(io),
            Stage::Farewell => self.say_off(io),
            _ if self.rejoin_by.is_some() => self.say(io, Message::Rejoin),
            _ => {}
        }
    }

    fn say(&mut self, io: &mut Io<'_>, message: Message) {
        self.link.send(io, Plain::Message(message));
    }

    fn say_commit(&mut self, io: &mut Io<'_>) {
        let (uuid, epoch) = (self.offer.uuid.clone(), self.offer.epoch + 1);
        self.say(io, Message::Commit { uuid, epoch });
    }

    fn say_off(&mut self, io: &mut Io<'_>) {
        let (uuid, epoch, why) = (self.offer.uuid.clone(), self.offer.epoch, self.why.clone());
        self.say(io, Message::Off { uuid, epoch, why });
    }

    // The journal.

    fn write(&mut self, io: &mut Io<'_>, state: State) -> Tag {
        let entry = EntryV1 {
            state,
            migration: self.number,
            uuid: self.offer.uuid.clone(),
            domain: self.offer.name.clone(),
            kind: self.offer.kind,
            epoch: self.offer.epoch,
            owned: 0,
            before: 0,
            peer: self.request.peer.clone(),
            ticket: self.ticket.clone(),
            digest: [0; 32],
            offer: None,
        };
        io.journal.write(io.ports, entry)
    }

    fn written(&mut self, io: &mut Io<'_>, tag: Tag, result: Result<(), String>) {
        if self.off_tag == Some(tag) {
            // Without it the journal still says that the domain did not leave.
            self.off_tag = None;
            if let Err(why) = result {
                self.off = None;
                io.ports.log(format!("migration of {}: {why}", self.domain()));
            }
            self.tell_off(io);
            self.undone(io);
            return;
        }
        match self.stage {
            Stage::Write(waits, state) if waits == tag => match (state, result) {
                (State::Leaving, Ok(())) => {
                    self.stage = Stage::Verdict;
                    self.say_offer(io);
                }
                (State::Leaving, Err(why)) => {
                    self.journaled = false;
                    self.fail(io, vec![why]);
                }
                (State::Commit, Ok(())) => {
                    // Before anybody hears of it.
                    self.shut(io);
                    self.stage = Stage::Commit;
                    if self.connected {
                        self.say_commit(io);
                    }
                    self.show(io);
                }
                (State::Commit, Err(why)) => {
                    self.commit_begun = false;
                    self.fail(io, vec![why]);
                }
                (State::Released, _) if self.taken.is_none() => {
                    self.enter(io, Phase::Done);
                    self.step(io, Step::Destroy);
                }
                _ => self.end(io),
            },
            Stage::Back(waits) if waits == tag => {
                if let Err(why) = result {
                    // It may not run against the journal: the target is asked again.
                    self.stage = Stage::Commit;
                    self.broken(io, &why);
                    return;
                }
                // Nobody has it but us.
                io.fence.open(&self.request.domain);
                self.commit_begun = false;
                self.owes_word = false;
                self.off = Some(State::Stays);
                self.fail(io, vec!["the target does not have the domain".into()]);
            }
            _ => {}
        }
    }

    /// The domain is not ours: nothing of it leaves this machine, should it run.
    fn shut(&self, io: &mut Io<'_>) {
        if !mutant::is(Mutant::PortLeftOpen) {
            io.fence.shut(&self.request.domain);
        }
    }

    fn say_offer(&mut self, io: &mut Io<'_>) {
        let (check_only, offer) = (self.request.check_only, self.offer.clone());
        let units = io.cipher.hashes_pages();
        self.say(io, Message::Offer { offer, check_only, units });
    }

    // Fixed steps.

    fn step(&mut self, io: &mut Io<'_>, step: Step) {
        let wait = self.config.fixed.of_kind(step, self.offer.kind);
        self.step_due = io.ports.now().plus(wait);
        self.stage = Stage::Step(step);
        io.ports.set_timer(self.step_due, self.request.timer);
    }

    fn timer(&mut self, io: &mut Io<'_>) {
        if self.rejoin_by.is_some_and(|by| io.ports.now() >= by) {
            self.fail(io, vec![LOST.into()]);
            return;
        }
        let Stage::Step(step) = self.stage else { return };
        if io.ports.now() < self.step_due {
            return;
        }
        match step {
            Step::Connect => {
                if self.request.check_only {
                    self.stage = Stage::Verdict;
                    self.say_offer(io);
                } else {
                    self.journaled = true;
                    self.owes_word |= self.untold;
                    self.stage = Stage::Write(self.write(io, State::Leaving), State::Leaving);
                }
            }
            Step::Quiesce => {
                let tag = io.hv.request(io.ports, HvRequest::Suspend(self.guest));
                self.stage = Stage::Suspend(tag);
            }
            Step::Destroy => self.end(io),
            _ => {}
        }
    }

    // What the target says.

    fn message(&mut self, io: &mut Io<'_>, message: Message) {
        match (message, &self.stage) {
            (Message::Ticket(ticket), Stage::Ticket) => {
                self.ticket = ticket;
                self.step(io, Step::Connect);
            }
            (Message::Broken(why), _) if !self.is_over() => {
                self.broken(io, &format!("{} closed the connection: {why}", self.peer()));
            }
            (Message::Verdict { problems, live, hasher }, Stage::Verdict) => {
                self.copier.hash_with(hasher);
                self.verdict(io, problems, live);
            }
            (Message::Prepared, Stage::Shell) => self.prepared(io),
            (Message::Rejoined { received, written, ended, acknowledged }, _)
                if self.rejoin_by.is_some() =>
            {
                self.rejoined(io, (received, written), (ended, acknowledged));
            }
            (Message::Ack(chunks), _) => {
                self.copier.acknowledged(chunks);
                self.show(io);
            }
            (Message::RoundAck(round), Stage::RoundAck) => self.round_acknowledged(io, round),
            (Message::Verified, Stage::Verify) => self.commit(io),
            (Message::Committed, Stage::Commit) => self.committed(io),
            (Message::NotHere, Stage::Commit) => {
                self.stage = Stage::Back(self.write(io, State::Stays));
            }
            (Message::NotHere, Stage::Farewell) => {
                self.owes_word = false;
                self.undone(io);
            }
            (Message::NotHere, Stage::Undo(_)) => self.owes_word = false,
            (Message::Abort(_), Stage::Undo(_)) => self.owes_word = self.untold,
            (Message::Taken(epoch), Stage::Undo(_) | Stage::Farewell) => {
                if epoch > self.offer.epoch {
                    self.taken = Some(epoch);
                    self.undone(io);
                }
            }
            (Message::Abort(why), Stage::Commit | Stage::Write(_, State::Commit)) => {
                // It said *verified*; it may not take that back but by *not here*.
                self.broken(io, &why);
            }
            (Message::Abort(why), _) if !self.is_over() => {
                self.owes_word = self.untold;
                self.fail(io, vec![why]);
            }
            (Message::Committed | Message::NotHere, Stage::Back(_) | Stage::Release(_)) => {}
            (Message::Committed | Message::NotHere, Stage::Step(Step::Destroy)) => {}
            (Message::Committed | Message::NotHere, Stage::Write(_, State::Released)) => {}
            _ if self.is_over() => {}
            _ => self.broken(io, "unexpected message"),
        }
    }

    fn verdict(&mut self, io: &mut Io<'_>, problems: Vec<String>, live: bool) {
        if self.offer.kind == Kind::Active && !(live && self.config.live) {
            let who = if live { "this system".to_owned() } else { self.peer().to_owned() };
            self.warm = Some(format!("{who} has no live migration"));
        }
        if !problems.is_empty() || !self.problems.is_empty() {
            self.fail(io, problems);
        } else if self.request.check_only {
            self.outcome = Some(Ok(()));
            self.link.close_when_sent(io);
            self.end(io);
        } else {
            self.enter(io, Phase::Prepare);
            self.owes_word = true;
            self.say(io, Message::Prepare);
            self.stage = Stage::Shell;
        }
    }

    fn prepared(&mut self, io: &mut Io<'_>) {
        if let Some(why) = &self.warm {
            io.ports.log(format!(
                "migration of {}: warm, for {why}: it stands still while it is copied",
                self.domain()
            ));
            self.observe(io, "warm", Vec::new());
            self.suspend(io);
        } else if self.offer.kind == Kind::Active {
            self.enter(io, Phase::PreCopy);
            self.logging = true;
            let tag = io.hv.request(io.ports, HvRequest::LogStart(self.guest));
            self.stage = Stage::LogStart(tag);
        } else {
            self.commit(io);
        }
    }

    // The end of it.

    fn state_was_read(&mut self, io: &mut Io<'_>, bytes: u64) {
        let mut state = vec![0; bytes.min(Buffers::BYTES) as usize];
        io.ports.read(self.buffers.ra, &mut state);
        self.enter(io, Phase::Digest);
        let Some(digest) = self.copier.hashes().digest(&state) else {
            self.fail(io, vec!["a page was never sent".into()]);
            return;
        };
        for piece in state.chunks(STATE_PIECE_BYTES) {
            self.say(io, Message::State(piece.to_vec()));
        }
        self.say(io, Message::Final(digest));
        self.stage = Stage::Verify;
    }

    fn commit(&mut self, io: &mut Io<'_>) {
        self.enter(io, Phase::HandOff);
        // From here on it may be durable, whatever happens.
        self.commit_begun = true;
        self.stage = Stage::Write(self.write(io, State::Commit), State::Commit);
        if mutant::is(Mutant::CommitBeforeDurable) {
            self.say_commit(io);
        }
    }

    fn committed(&mut self, io: &mut Io<'_>) {
        let now = io.ports.now();
        let domain = self.request.domain.clone();
        let pause = self.suspended_at.map_or(SimTime::ZERO, |at| now.since(at));
        io.ports.log(format!(
            "migration of {domain}: it runs at {}; paused {} ms",
            self.peer(),
            pause.as_us() / 1000
        ));
        self.observe(
            io,
            "handed over",
            vec![
                ("pause_us", pause.as_us()),
                ("rounds", self.rounds.len() as u64),
                ("pages", self.totals.pages),
                ("raw_bytes", self.totals.raw_bytes),
                ("wire_bytes", self.totals.packed_bytes),
                ("sealed_bytes", self.link.sealed_bytes),
                ("took_us", now.since(self.began).as_us()),
            ],
        );
        self.link.close_when_sent(io);
        if self.logging {
            self.logging = false;
            io.hv.request(io.ports, HvRequest::LogStop(self.guest));
        }
        let tag = io.manager.release(io.ports, &domain);
        self.stage = Stage::Release(tag);
    }

    fn hv(&mut self, io: &mut Io<'_>, tag: Tag, reply: Result<HvReply, String>) {
        if self.copier.hv(io, tag, &reply) {
            if let Err(why) = reply {
                self.fail(io, vec![format!("the hypervisor cannot read pages: {why}")]);
            }
            return;
        }
        if let Stage::Undo(tags) = &mut self.stage {
            if tags.remove(&tag)
                && let Err(why) = reply
            {
                let domain = self.domain();
                io.ports.log(format!("migration of {domain}: cannot put it back: {why}"));
            }
            self.undone(io);
            return;
        }
        if self.holding.take_if(|holds| *holds == tag).is_some() {
            if let Err(why) = reply {
                self.fail(io, vec![format!("the hypervisor does not hold it: {why}")]);
            }
            return;
        }
        let reply = match reply {
            Ok(reply) => reply,
            Err(why) => {
                if self.stage_waits_for(tag) {
                    self.fail(io, vec![format!("the hypervisor refuses: {why}")]);
                }
                return;
            }
        };
        match (&mut self.stage, reply) {
            (Stage::LogStart(waits), _) if *waits == tag => {
                self.begin_round(io, PageSet::all(self.map.len()));
            }
            (Stage::Dirty(tags), _) => {
                tags.remove(&tag);
                if tags.is_empty() {
                    self.dirty_was_read(io);
                }
            }
            (Stage::Suspend(waits), _) if *waits == tag => {
                self.suspended_at = Some(io.ports.now());
                self.observe(io, "suspended", Vec::new());
                if self.warm.is_some() {
                    self.begin_round(io, PageSet::all(self.map.len()));
                } else {
                    self.read_dirty(io);
                }
            }
            (Stage::StateOut(waits), HvReply::State { bytes }) if *waits == tag => {
                self.state_was_read(io, bytes);
            }
            _ => {}
        }
    }

    fn stage_waits_for(&self, tag: Tag) -> bool {
        match &self.stage {
            Stage::LogStart(waits) | Stage::Suspend(waits) | Stage::StateOut(waits) => {
                *waits == tag
            }
            Stage::Dirty(tags) => tags.contains(&tag),
            _ => false,
        }
    }

    fn manager(&mut self, io: &mut Io<'_>, tag: Tag, reply: Result<ManagerReply, String>) {
        if self.stage != Stage::Release(tag) && self.stage != Stage::Lost(tag) {
            return;
        }
        if let Err(why) = reply {
            let domain = self.domain();
            io.ports.log(format!("migration of {domain}: what is left of it stays: {why}"));
        }
        self.stage = Stage::Write(self.write(io, State::Released), State::Released);
    }

    fn end(&mut self, io: &mut Io<'_>) {
        io.manager.status(&self.request.domain, None);
        if self.commit_begun {
            self.percent = 100;
            self.outcome = Some(Ok(()));
            self.observe(
                io,
                "done",
                vec![
                    ("took_us", io.ports.now().since(self.began).as_us()),
                    ("sealed_bytes", self.link.sealed_bytes),
                    ("opened_bytes", self.link.opened_bytes),
                ],
            );
        }
        self.stage = Stage::End;
        self.link.close_when_sent(io);
    }

    // For people.

    fn enter(&mut self, io: &mut Io<'_>, phase: Phase) {
        self.phase = phase;
        io.ports.log(format!("migration of {}: {}", self.domain(), phase.name()));
        self.observe(io, "phase", vec![("phase", phase as u64)]);
        self.show(io);
    }

    fn observe(&self, io: &mut Io<'_>, what: &'static str, values: Vec<(&'static str, u64)>) {
        let name = self.request.domain.clone();
        io.ports.observe(Observation { subject: "migration", what, name, values });
    }

    fn show(&mut self, io: &mut Io<'_>) {
        if self.is_over() {
            return;
        }
        let memory = self.map.len().max(1);
        let percent = match self.phase {
            Phase::Check => 0,
            Phase::Prepare => 1,
            Phase::PreCopy | Phase::Suspend if self.rounds.is_empty() => {
                let written = self.copier.arrived();
                2 + (u64::from(written) * 88 / u64::from(memory)) as u8
            }
            Phase::PreCopy => 90 + self.rounds.len().min(5) as u8,
            Phase::Suspend => 96,
            Phase::Digest => 97,
            Phase::HandOff => 98,
            Phase::Done => 99,
        };
        self.percent = self.percent.max(percent);
        let status = Status {
            source: true,
            peer: self.request.peer.clone(),
            percent: self.percent,
            doubtful: self.is_doubtful(),
        };
        io.manager.status(&self.request.domain, Some(status));
    }
}

const _: () = assert!(STATE_PIECE_BYTES < super::seal::PLAIN_BYTES_MAX);
const _: () = assert!(super::pages::PAGES_MAX / 8 + 4096 < Buffers::BYTES);
const _: () = assert!(Buffers::BYTES.is_multiple_of(PAGE_BYTES));
