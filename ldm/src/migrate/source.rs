//! The end that a domain leaves.

use super::codec::{Message, Plain};
use super::compress::Packed;
use super::copy::Copier;
use super::fixed_time::Step;
use super::handshake::Own;
use super::link::{Arrival, Link};
use super::pages::{PageMap, PageSet};
use super::port::{HvReply, HvRequest, Input, Io, Kind, ManagerReply, Offer, Status, Tag};
use super::rounds::{Choice, Round};
use super::{Buffers, Config, Phase};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use sun4v::addr::{PAGE_BYTES, PAGE_SHIFT, Ra};
use sun4v::id::GuestId;
use sun4v::native::Observation;
use sun4v::time::SimTime;

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
    /// The manager to destroy what is left.
    Release(Tag),
    /// The hypervisor to put everything back.
    Undo(BTreeSet<Tag>),
    /// A target that may hold the domain ready to be told that it is off.
    Farewell,
    /// Nothing.
    End,
}

/// The source of one migration.
pub struct Source {
    config: Config,
    request: Request,
    buffers: Buffers,
    offer: Offer,
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
    suspended_at: Option<SimTime>,
    /// Everything was said: the target may hold the domain ready.
    final_sent: bool,
    /// Ownership has left.
    commit_sent: bool,
    percent: u8,
    outcome: Option<Result<(), Vec<String>>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    pages: u64,
    zero: u64,
    same: u64,
    raw_bytes: u64,
    packed_bytes: u64,
}

impl Source {
    /// Asks the manager for the domain. What stands against its leaving is the
    /// error. The owner dials the target next and hands in [`Input::Connected`].
    pub fn new(
        config: Config,
        request: Request,
        buffers: Buffers,
        io: &mut Io<'_>,
    ) -> Result<Self, String> {
        let (mut offer, guest) = io.manager.offer(&request.domain)?;
        offer.new_name.clone_from(&request.new_name);
        let memory: &[_] = if offer.kind == Kind::Active { &offer.memory } else { &[] };
        let map = PageMap::new(memory).map_err(|refusal| refusal.to_string())?;
        let guest = match (offer.kind, guest) {
            (Kind::Active, None) => return Err(format!("domain {} has no guest", offer.name)),
            (_, guest) => guest.unwrap_or_default(),
        };
        let mut source = Self {
            copier: Copier::new(config, guest, map.len(), buffers),
            config,
            request,
            buffers,
            offer,
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
            began: io.ports.now(),
            figures: Figures::default(),
            totals: Figures::default(),
            logging: false,
            suspended_at: None,
            final_sent: false,
            commit_sent: false,
            percent: 0,
            outcome: None,
        };
        source.show(io);
        Ok(source)
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

    /// The answer for the operator, once: all went well, or lines that say why not.
    pub fn take_outcome(&mut self) -> Option<Result<(), Vec<String>>> {
        self.outcome.take()
    }

    /// It must be connected to the target: to begin, or to settle who has the
    /// domain after a wire was lost. The owner dials, again and again, and hands in
    /// [`Input::Connected`].
    #[must_use]
    pub fn wants_connection(&self) -> bool {
        !self.connected && matches!(self.stage, Stage::Dial | Stage::Commit | Stage::Farewell)
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

    /// Stops it, if it is not too late.
    pub fn cancel(&mut self, io: &mut Io<'_>) -> Result<(), String> {
        if self.commit_sent || matches!(self.stage, Stage::Undo(_) | Stage::End | Stage::Farewell) {
            return Err(format!("the migration of {} cannot be cancelled now", self.domain()));
        }
        self.fail(io, vec!["the migration was cancelled".into()]);
        self.go_on(io);
        Ok(())
    }

    /// The target cannot be reached at all.
    pub fn unreachable(&mut self, io: &mut Io<'_>, why: &str) {
        match self.stage {
            Stage::Dial => self.fail(io, vec![why.to_owned()]),
            // The shell at the target stays and says that it waits.
            Stage::Farewell => self.end(io),
            _ => {}
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
            Input::Room | Input::Cipher => {}
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
        if self.stage == Stage::Copy {
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
        let own = Own {
            password: self.request.password.clone(),
            entropy: self.request.entropy,
            connection: self.connections,
            host: self.request.host.clone(),
        };
        let (migration, fresh) = (self.number(), self.stage == Stage::Dial);
        self.link.call(io, &own, migration, fresh);
        if self.stage == Stage::Dial {
            self.stage = Stage::Greet;
        }
    }

    /// The number of the migration, told apart from all others.
    fn number(&self) -> [u8; 16] {
        let digest: [u8; 32] =
            Sha256::digest([&self.request.entropy[..], b"migration"].concat()).into();
        let mut number = [0; 16];
        number.copy_from_slice(&digest[..16]);
        number
    }

    fn closed(&mut self, io: &mut Io<'_>) {
        self.connected = false;
        self.link.reset(io);
        self.lost(io, "the connection to the target was lost");
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
            Stage::Commit => {
                let domain = self.domain();
                io.ports.log(format!(
                    "migration of {domain}: {why} after the domain was handed over: asking {}",
                    self.peer()
                ));
                self.show(io);
            }
            Stage::Farewell | Stage::Undo(_) | Stage::End | Stage::Release(_) => {}
            Stage::Step(Step::Destroy) => {}
            _ => self.fail(io, vec![why.to_owned()]),
        }
    }

    /// Either end knows that the other has the password.
    fn met(&mut self, io: &mut Io<'_>) {
        match self.stage {
            Stage::Greet => self.step(io, Step::Connect),
            Stage::Commit => self.say(io, Message::Commit),
            Stage::Farewell => self.say(io, Message::Abort("it is off".into())),
            _ => {}
        }
    }

    fn say(&mut self, io: &mut Io<'_>, message: Message) {
        self.link.send(io, Plain::Message(message));
    }

    // Fixed steps.

    fn step(&mut self, io: &mut Io<'_>, step: Step) {
        let wait = self.config.fixed.of_kind(step, self.offer.kind);
        self.step_due = io.ports.now().plus(wait);
        self.stage = Stage::Step(step);
        io.ports.set_timer(self.step_due, self.request.timer);
    }

    fn timer(&mut self, io: &mut Io<'_>) {
        let Stage::Step(step) = self.stage else { return };
        if io.ports.now() < self.step_due {
            return;
        }
        match step {
            Step::Connect => {
                let check_only = self.request.check_only;
                let offer = self.offer.clone();
                self.say(io, Message::Offer { offer, check_only });
                self.stage = Stage::Verdict;
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
            (Message::Verdict(problems), Stage::Verdict) => self.verdict(io, problems),
            (Message::Prepared, Stage::Shell) => self.prepared(io),
            (Message::Ack(chunks), _) => {
                self.copier.acknowledged(chunks);
                self.show(io);
            }
            (Message::RoundAck(round), Stage::RoundAck) => self.round_acknowledged(io, round),
            (Message::Verified, Stage::Verify) => self.commit(io),
            (Message::Committed, Stage::Commit) => self.committed(io),
            (Message::NotHere, Stage::Commit) => {
                // Nobody has it but us.
                self.commit_sent = false;
                self.final_sent = false;
                self.fail(io, vec!["the target does not have the domain".into()]);
            }
            (Message::NotHere, Stage::Farewell) => self.end(io),
            (Message::Abort(_) | Message::NotHere, Stage::Undo(_) | Stage::End) => {
                self.final_sent = false;
            }
            (Message::Abort(why), Stage::Commit) => {
                // It said *verified*; it may not take that back but by *not here*.
                self.broken(io, &why);
            }
            (Message::Abort(why), _) => {
                self.final_sent = false;
                self.fail(io, vec![why]);
            }
            _ if matches!(self.stage, Stage::Undo(_) | Stage::End | Stage::Farewell) => {}
            _ => self.broken(io, "unexpected message"),
        }
    }

    fn verdict(&mut self, io: &mut Io<'_>, problems: Vec<String>) {
        if !problems.is_empty() {
            self.fail(io, problems);
        } else if self.request.check_only {
            self.outcome = Some(Ok(()));
            self.link.close_when_sent(io);
            self.end(io);
        } else {
            self.enter(io, Phase::Prepare);
            self.say(io, Message::Prepare);
            self.stage = Stage::Shell;
        }
    }

    fn prepared(&mut self, io: &mut Io<'_>) {
        if self.offer.kind == Kind::Active {
            self.enter(io, Phase::PreCopy);
            self.logging = true;
            let tag = io.hv.request(io.ports, HvRequest::LogStart(self.guest));
            self.stage = Stage::LogStart(tag);
        } else {
            self.commit(io);
        }
    }

    // Rounds.

    fn begin_round(&mut self, io: &mut Io<'_>, pages: PageSet) {
        self.round_began = io.ports.now();
        self.figures = Figures { pages: u64::from(pages.count()), ..Figures::default() };
        self.copier.begin(pages);
        self.stage = Stage::Copy;
    }

    fn copy(&mut self, io: &mut Io<'_>) {
        let figures = &mut self.figures;
        let mut each = |packed: &Packed| {
            let data = packed.sent.len() as u64 - u64::from(packed.zero);
            figures.zero += u64::from(packed.zero);
            figures.same += u64::from(packed.same);
            figures.raw_bytes += data << PAGE_SHIFT;
            figures.packed_bytes += packed.chunk.len() as u64;
        };
        if self.copier.pump(io, &self.map, &mut self.link, &mut each) {
            let round = self.rounds.len() as u32 + 1;
            let chunks = self.copier.chunks();
            self.say(io, Message::RoundEnd { round, chunks });
            self.stage = Stage::RoundAck;
        }
        self.show(io);
    }

    fn round_acknowledged(&mut self, io: &mut Io<'_>, round: u32) {
        if round as usize != self.rounds.len() + 1 || self.copier.unacknowledged() != 0 {
            self.broken(io, "the target acknowledges what was not sent");
            return;
        }
        let took = io.ports.now().since(self.round_began);
        self.rounds.push(Round { pages: self.figures.pages, took, dirty: 0 });
        self.note_round(io, round, took);
        if self.suspended_at.is_some() {
            let (buffer, bytes) = (self.buffers.ra, Buffers::BYTES);
            let request = HvRequest::StateOut { guest: self.guest, buffer, bytes };
            self.stage = Stage::StateOut(io.hv.request(io.ports, request));
        } else {
            self.read_dirty(io);
        }
    }

    fn note_round(&mut self, io: &mut Io<'_>, round: u32, took: SimTime) {
        let figures = self.figures;
        for (total, add) in [
            (&mut self.totals.pages, figures.pages),
            (&mut self.totals.zero, figures.zero),
            (&mut self.totals.same, figures.same),
            (&mut self.totals.raw_bytes, figures.raw_bytes),
            (&mut self.totals.packed_bytes, figures.packed_bytes),
        ] {
            *total += add;
        }
        io.ports.log(format!(
            "migration of {}: round {round}{}: {} pages ({} zero, {} unchanged), {} KB packed into \
             {} KB, {:.3} s",
            self.domain(),
            if self.suspended_at.is_some() { " (suspended)" } else { "" },
            figures.pages,
            figures.zero,
            figures.same,
            figures.raw_bytes >> 10,
            figures.packed_bytes >> 10,
            took.as_secs_f64(),
        ));
        self.observe(
            io,
            "round",
            vec![
                ("round", u64::from(round)),
                ("pages", figures.pages),
                ("zero_pages", figures.zero),
                ("same_pages", figures.same),
                ("raw_bytes", figures.raw_bytes),
                ("wire_bytes", figures.packed_bytes),
                ("suspended", u64::from(self.suspended_at.is_some())),
                ("took_us", took.as_us()),
            ],
        );
    }

    fn read_dirty(&mut self, io: &mut Io<'_>) {
        let mut tags = BTreeSet::new();
        let mut buffer = self.buffers.ra;
        for &(_, stretch) in self.map.stretches() {
            let (first, pages) = (stretch.ra, stretch.bytes >> PAGE_SHIFT);
            let request = HvRequest::DirtyRead { guest: self.guest, first, pages, buffer };
            tags.insert(io.hv.request(io.ports, request));
            buffer = buffer.offset(pages.div_ceil(64) * 8);
        }
        self.stage = Stage::Dirty(tags);
    }

    fn dirty_was_read(&mut self, io: &mut Io<'_>) {
        let mut dirty = PageSet::none(self.map.len());
        let mut buffer: Ra = self.buffers.ra;
        for &(first, stretch) in self.map.stretches() {
            let pages = stretch.bytes >> PAGE_SHIFT;
            let mut bits = vec![0; pages.div_ceil(64) as usize * 8];
            io.ports.read(buffer, &mut bits);
            let set = (0..pages as u32).filter(|&n| bits[n as usize / 8] >> (n % 8) & 1 != 0);
            set.for_each(|n| dirty.insert(first + n));
            buffer = buffer.offset(bits.len() as u64);
        }
        if self.suspended_at.is_some() {
            self.begin_round(io, dirty);
            return;
        }
        if let Some(last) = self.rounds.last_mut() {
            last.dirty = u64::from(dirty.count());
        }
        let fixed = self.config.fixed.of(Step::Resume);
        let choice = self.config.policy.choose(&self.rounds, fixed);
        let predicted = self
            .rounds
            .last()
            .map_or(SimTime::ZERO, |last| self.config.policy.predict(last, fixed));
        io.ports.log(format!(
            "migration of {}: {} pages dirty, pause would be {} ms: {choice}",
            self.domain(),
            dirty.count(),
            predicted.as_us() / 1000,
        ));
        if choice == Choice::Again {
            self.begin_round(io, dirty);
        } else {
            self.enter(io, Phase::Suspend);
            self.step(io, Step::Quiesce);
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
        self.final_sent = true;
        self.stage = Stage::Verify;
    }

    fn commit(&mut self, io: &mut Io<'_>) {
        self.enter(io, Phase::HandOff);
        self.say(io, Message::Commit);
        self.commit_sent = true;
        self.stage = Stage::Commit;
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
                self.read_dirty(io);
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
        if self.stage != Stage::Release(tag) {
            return;
        }
        if let Err(why) = reply {
            let domain = self.domain();
            io.ports.log(format!("migration of {domain}: what is left of it stays: {why}"));
        }
        self.enter(io, Phase::Done);
        self.step(io, Step::Destroy);
    }

    // Failure.

    /// Ends a migration before the domain has left: it runs here as before.
    fn fail(&mut self, io: &mut Io<'_>, why: Vec<String>) {
        if self.commit_sent || matches!(self.stage, Stage::Undo(_) | Stage::Farewell | Stage::End) {
            return;
        }
        let domain = self.domain();
        io.ports.log(format!(
            "migration of {domain} failed in phase {}: {}",
            self.phase.name(),
            why.join("; ")
        ));
        if self.connected && self.link.has_keys() {
            self.say(io, Message::Abort(why.join("; ")));
            if !self.final_sent {
                self.link.close_when_sent(io);
            }
        } else if self.connected {
            self.connected = false;
            io.wire.close(io.ports);
        }
        let mut tags = BTreeSet::new();
        // A suspend that was asked for may still come to pass, before what is asked now.
        if self.suspended_at.is_some() || matches!(self.stage, Stage::Suspend(_)) {
            tags.insert(io.hv.request(io.ports, HvRequest::Resume(self.guest)));
        }
        if self.logging {
            self.logging = false;
            tags.insert(io.hv.request(io.ports, HvRequest::LogStop(self.guest)));
        }
        self.copier.stop(io);
        self.outcome = Some(Err(why));
        self.stage = Stage::Undo(tags);
        self.undone(io);
    }

    fn undone(&mut self, io: &mut Io<'_>) {
        if !matches!(&self.stage, Stage::Undo(tags) if tags.is_empty()) {
            return;
        }
        self.suspended_at = None;
        if self.final_sent {
            io.manager.status(&self.request.domain, None);
            self.stage = Stage::Farewell;
        } else {
            self.end(io);
        }
    }

    fn end(&mut self, io: &mut Io<'_>) {
        io.manager.status(&self.request.domain, None);
        if self.commit_sent {
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
        if matches!(self.stage, Stage::Undo(_) | Stage::Farewell | Stage::End) {
            return;
        }
        let memory = self.map.len().max(1);
        let percent = match self.phase {
            Phase::Check => 0,
            Phase::Prepare => 1,
            Phase::PreCopy if self.rounds.is_empty() => {
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
