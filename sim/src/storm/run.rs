//! One storm from its beginning to its end.
//!
//! **Course.** What the plan says happens when it says so. When nothing of it is left but
//! occasions that cannot come any more, or after [`STORM_MAX`], cables are put back, media
//! have room, and whoever is away comes back. Then there is [`HEAL_MAX`] for everybody to
//! come to rest, without a human: but where a chassis has lost its power, an operator at the
//! other does what the book says, once its manager waits for that; and three operators of four
//! cancel what they send to it, where the fourth waits until that fails by itself.
//!
//! **Errors.** [`Verdict::failed`]: what happened that may not, in words, and when.

use super::check::{Guard, Holdings, RECORD_BYTES, RECORDS};
use super::lab::{DOMAIN, Lab, Scene};
use super::plan::{Event, Plan, Side, What, When};
use super::watch::Seen;
use crate::lab::NetworkId;
use crate::lab::script::Prompt;
use crate::net::link::Link;
use crate::time::rng::Seed;
use std::collections::BTreeMap;
use sun4v::native::Reply;
use sun4v::time::SimTime;

/// The longest that a plan goes on.
const STORM_MAX: SimTime = SimTime::secs(4);
/// The longest that everybody may take afterwards to come to rest: a target whose source is gone
/// for good notices after 20 s, and lets it go on for 60.
const HEAL_MAX: SimTime = SimTime::secs(90);
/// The same where bits have flipped: in an answer of ARP, which has no checksum, one keeps two
/// apart for a minute, and who dials waits longer each time.
const HEAL_MAX_FLIPPED: SimTime = SimTime::secs(150);
/// The longest that the guest's disk may take to be back.
const DISK_MAX: SimTime = SimTime::secs(30);
/// The longest that an answer may take when everybody is at rest.
const ANSWER_MAX: SimTime = SimTime::secs(5);
/// Between two looks.
const LOOK: SimTime = SimTime::ms(5);
/// Between two attempts of an operator.
const AGAIN: SimTime = SimTime::ms(500);
const IMAGE: &str = "storm.img";
/// What ends a domain for good, one line after the other.
const STOP: &str = "ldm stop-domain -f storm";
const UNBIND: &str = "ldm unbind-domain storm";
const REMOVE: &str = "ldm remove-domain storm";

/// How a storm ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What may not happen and did.
    pub failed: Option<String>,
    /// How long it was, in simulated time.
    pub span: SimTime,
    /// Turns of the world.
    pub turns: u64,
    /// Events of the plan that happened.
    pub fired: usize,
    /// Where the domain is in the end.
    pub home: Option<Side>,
    /// Entries of both journals.
    pub entries: [u64; 2],
    /// Frames between the control domains.
    pub frames: u64,
    /// Lines about it, if they were wanted.
    pub lines: Vec<String>,
}

/// A storm under way.
struct Storm<'a> {
    lab: &'a Lab,
    scene: Scene,
    begun: SimTime,
    /// What was seen of the journals in the beginning.
    first: [Seen; 2],
    frames_first: u64,
    network: NetworkId,
    pending: Vec<Event>,
    /// What goes on, and until when.
    active: Vec<(SimTime, What)>,
    guard: Guard,
    heal_max: SimTime,
    off: [bool; 2],
    /// What is sent to a chassis that is off is cancelled, and not waited for.
    impatient: bool,
    /// Somebody has asked to stop the domain.
    stopped: bool,
    /// Somebody has asked to unbind it, or to remove it.
    removed: bool,
    open: BTreeMap<u64, What>,
    replies: BTreeMap<u64, Reply>,
    fired: usize,
    tells: bool,
    lines: Vec<String>,
}

/// Runs a storm; `tells` keeps lines about it.
///
/// # Errors
/// The lab does not come up: nothing is wrong with the storm then.
pub fn run(lab: &Lab, seed: u64, plan: &Plan, tells: bool) -> anyhow::Result<Verdict> {
    let mut scene = lab.begin()?;
    let network = scene.world.lab().network("lab").unwrap_or(NetworkId(0));
    scene.world.lab_mut().network_mut(network).reseed(Seed(seed));
    let first = [0, 1].map(|side: usize| scene.desks[side].lock().seen);
    let (begun, turns) = (scene.world.now(), scene.world.counts().turns);
    let flips = plan.0.iter().any(|event| matches!(event.what, What::Flip(..)));
    let mut storm = Storm {
        lab,
        begun,
        first,
        frames_first: 0,
        network,
        pending: plan.0.clone(),
        active: Vec::new(),
        guard: Guard::default(),
        heal_max: if flips { HEAL_MAX_FLIPPED } else { HEAL_MAX },
        off: [false; 2],
        impatient: !seed.is_multiple_of(4),
        stopped: false,
        removed: false,
        open: BTreeMap::new(),
        replies: BTreeMap::new(),
        fired: 0,
        tells,
        lines: Vec::new(),
        scene,
    };
    storm.frames_first = storm.frames();
    let failed = storm.rage().and_then(|()| storm.heal()).and_then(|()| storm.end()).err();
    storm.hear();
    let seen = storm.seen();
    let now = storm.scene.world.now();
    Ok(Verdict {
        failed: failed.map(|why| format!("at {} ms: {why}", now.since(begun).as_us() / 1000)),
        span: now.since(begun),
        turns: storm.scene.world.counts().turns - turns,
        fired: storm.fired,
        home: storm.scene.guest().map(|(side, _)| side),
        entries: [0, 1].map(|side| seen[side].begun - first[side].begun),
        frames: storm.frames() - storm.frames_first,
        lines: storm.lines,
    })
}

impl Storm<'_> {
    fn seen(&self) -> [Seen; 2] {
        [0, 1].map(|side: usize| self.scene.desks[side].lock().seen)
    }

    fn now(&self) -> SimTime {
        self.scene.world.now()
    }

    /// Frames that control domains have sent to each other.
    fn frames(&self) -> u64 {
        let network = &self.scene.world.lab().networks()[self.network.0];
        let ports = Side::BOTH.into_iter().filter_map(|side| network.port(side.name()));
        ports.map(|port| network.counters(port).0.frames).sum()
    }

    /// The next turn, no later than `until`, and all that must hold after it.
    fn turn(&mut self, until: SimTime) -> Result<(), String> {
        self.scene.world.advance(until).map_err(|error| error.to_string())?;
        self.hear();
        self.guard.check(&self.scene)
    }

    /// Runs on until something holds, or until `end`: does it hold?
    fn until(&mut self, end: SimTime, holds: impl Fn(&Self) -> bool) -> Result<bool, String> {
        while !holds(self) {
            if self.now() >= end {
                return Ok(false);
            }
            self.turn(end.min(self.now().plus(LOOK)))?;
        }
        Ok(true)
    }

    /// Takes in what was answered and noted.
    fn hear(&mut self) {
        for answer in self.scene.world.take_answers() {
            let (place, line) = (&answer.prompt.place, &answer.prompt.line);
            if self.tells {
                let status = answer.reply.status;
                let text = format!("{}{}", answer.reply.stdout, answer.reply.stderr);
                let text = text.trim_end().replace('\n', "; ");
                self.lines.push(format!("{} {place}# {line}: {status} {text}", self.clock()));
            }
            match self.open.remove(&answer.id) {
                Some(What::Take(_)) if answer.reply.status == 0 => self.guard.forced = true,
                Some(what @ What::Remove(side)) => {
                    // Whatever came of it: it may have been stopped, or unbound, already.
                    let next = match line.as_str() {
                        STOP => Some(UNBIND),
                        UNBIND => Some(REMOVE),
                        _ => None,
                    };
                    if let Some(next) = next {
                        self.removed = true;
                        self.give(side, what, next);
                    }
                }
                _ => {}
            }
            self.replies.insert(answer.id, answer.reply);
        }
        let facts = self.scene.world.take_facts();
        let _ = self.scene.world.take_trace();
        if self.tells {
            for fact in facts.iter().filter(|fact| matches!(&*fact.subject, "log" | "console")) {
                let at = fact.time.since(self.begun).as_us();
                let who = format!("{} {}", fact.place, fact.name);
                self.lines.push(format!("{at:>9} us {who}: {}", fact.text));
            }
        }
    }

    fn clock(&self) -> String {
        format!("{:>9} us", self.now().since(self.begun).as_us())
    }

    fn tell(&mut self, what: &str) {
        if self.tells {
            self.lines.push(format!("{} == {what}", self.clock()));
        }
    }

    // The storm itself.

    fn rage(&mut self) -> Result<(), String> {
        let end = self.begun.plus(STORM_MAX);
        loop {
            // What has just been done to a manager is seen of it after the next turn.
            let acted = self.fire();
            if !acted && self.is_over() || self.now() >= end {
                return Ok(());
            }
            let timed = self.pending.iter().filter_map(|event| match event.when {
                When::At(at) => Some(self.begun.plus(at)),
                _ => None,
            });
            let ends = self.active.iter().map(|(until, _)| *until);
            let next = timed.chain(ends).min().unwrap_or(end).min(end);
            // Nobody says when the managers come to rest.
            self.turn(next.min(self.now().plus(LOOK)))?;
        }
    }

    /// Can nothing of the plan happen any more?
    fn is_over(&self) -> bool {
        let timed = |event: &Event| matches!(event.when, When::At(_));
        self.active.is_empty() && !self.pending.iter().any(timed) && self.is_at_rest()
    }

    /// Everybody who has power is there and has nothing to do.
    fn is_at_rest(&self) -> bool {
        let seen = self.seen();
        let rests = |side: usize| self.off[side] || seen[side].at_rest;
        self.open.is_empty() && rests(0) && rests(1)
    }

    fn is_due(&self, when: When, seen: &[Seen; 2]) -> bool {
        let count = |side: Side, of: fn(&Seen) -> u64| {
            of(&seen[side as usize]) - of(&self.first[side as usize])
        };
        match when {
            When::At(at) => self.now() >= self.begun.plus(at),
            When::Begun(side, n) => count(side, |seen| seen.begun) >= n,
            When::Durable(side, n) => count(side, |seen| seen.durable) >= n,
            When::Frame(n) => self.frames() - self.frames_first >= n,
        }
    }

    /// Does what is due, and ends what has gone on long enough: was there anything?
    fn fire(&mut self) -> bool {
        let (now, seen) = (self.now(), self.seen());
        let due: Vec<_> = self.pending.iter().map(|event| self.is_due(event.when, &seen)).collect();
        let mut due = due.into_iter();
        let mut events = Vec::new();
        self.pending.retain(|event| {
            let is = due.next().unwrap_or(false);
            events.extend(is.then_some(*event));
            !is
        });
        let mut acts = false;
        for event in events {
            if event.after > SimTime::ZERO {
                let when = When::At(now.since(self.begun).plus(event.after));
                self.pending.push(Event::new(when, event.what));
                continue;
            }
            acts = true;
            self.fired += 1;
            self.tell(&event.to_string());
            self.act(event.what);
        }
        let active = self.active.len();
        self.active.retain(|(until, _)| *until > now);
        let changed = acts || self.active.len() < active;
        if changed {
            self.apply();
        }
        changed
    }

    fn act(&mut self, what: What) {
        let now = self.now();
        match what {
            What::Migrate(side) => {
                let to = side.other();
                self.give(side, what, &format!("ldm migrate-domain -p /pw {DOMAIN} {to}"));
            }
            What::Check(side) => {
                let to = side.other();
                self.give(side, what, &format!("ldm migrate-domain -n -p /pw {DOMAIN} {to}"));
            }
            What::Cancel(side) => {
                self.give(side, what, &format!("ldm cancel-operation migration {DOMAIN}"));
            }
            What::List(side) => self.give(side, what, "ldm list"),
            What::Stop(side) => {
                // Its answer may be lost.
                self.stopped = true;
                self.give(side, what, STOP);
            }
            What::Take(side) => {
                self.give(side, what, &format!("ldm complete-operation -f migration {DOMAIN}"));
            }
            What::Remove(side) => {
                self.stopped = true;
                self.give(side, what, STOP);
            }
            What::Off(side) => {
                self.off[side as usize] = true;
                let prompt =
                    Prompt { place: "lab".into(), line: format!("power off {}", side.name()) };
                // A chassis that is off already refuses.
                let _ = self.scene.world.type_line(&prompt);
            }
            What::Reset(side, span) => {
                self.scene.desks[side as usize].lock().back_at = now.plus(span);
                if let Some(server) = self.scene.world.server_mut(side.name())
                    && let Err(why) = server.sp_reset()
                {
                    self.tell(&format!("no reset: {why}"));
                }
            }
            What::Full(_, span)
            | What::Cut(_, span)
            | What::Loss(_, span)
            | What::Twice(_, span)
            | What::Flip(_, span)
            | What::Late(_, span)
            | What::Slow(_, span) => self.active.push((now.plus(span), what)),
        }
    }

    /// Types a command at a control domain.
    fn give(&mut self, side: Side, what: What, line: &str) {
        self.ask(side, what, line);
    }

    fn ask(&mut self, side: Side, what: What, line: &str) -> u64 {
        let prompt = Prompt { place: side.name().into(), line: line.into() };
        // There is such a chassis.
        let id = self.scene.world.type_line(&prompt).unwrap_or(0);
        if self.scene.world.is_open(id) {
            self.open.insert(id, what);
        }
        id
    }

    /// Makes cables and media what goes on makes of them.
    fn apply(&mut self) {
        let mut link = Link::default();
        let (mut cut, mut full) = ([false; 2], [false; 2]);
        for (_, what) in &self.active {
            let share = |percent: u64| percent as f64 / 100.0;
            match *what {
                What::Cut(side, _) => cut[side as usize] = true,
                What::Full(side, _) => full[side as usize] = true,
                What::Loss(percent, _) => link.faults.loss = share(percent),
                What::Twice(percent, _) => link.faults.duplication = share(percent),
                What::Flip(percent, _) => link.faults.bit_flip = share(percent),
                What::Late(by, _) => link.latency = link.latency.plus(by),
                What::Slow(kbits, _) => link.bits_per_second = kbits * 1000,
                _ => {}
            }
        }
        let network = self.scene.world.lab_mut().network_mut(self.network);
        for side in Side::BOTH {
            if let Some(port) = network.port(side.name()) {
                network.set_link(port, link);
                network.set_cut(port, cut[side as usize]);
            }
            self.scene.desks[side as usize].lock().full = full[side as usize];
        }
    }

    // Afterwards.

    /// Puts everything back and waits until everybody is at rest.
    fn heal(&mut self) -> Result<(), String> {
        self.tell("the storm is over");
        let now = self.now();
        self.pending.clear();
        self.active.clear();
        self.apply();
        for desk in &self.scene.desks {
            let mut desk = desk.lock();
            desk.back_at = desk.back_at.min(now);
        }
        // Whoever is away has set its timer and comes back by itself.
        let end = now.plus(self.heal_max);
        let Some(dead) = Side::BOTH.into_iter().find(|&side| self.off[side as usize]) else {
            return match self.until(end, Self::is_at_rest)? {
                true => Ok(()),
                false => Err(format!("somebody waits for ever: {:?}", self.seen())),
            };
        };
        self.outlive(dead, end)
    }

    /// One chassis is off: the other may wait for it for ever, unless an operator may take
    /// the domain over.
    fn outlive(&mut self, dead: Side, end: SimTime) -> Result<(), String> {
        if self.off == [true, true] {
            return Ok(());
        }
        let live = dead.other();
        let mut next = self.now().plus(AGAIN);
        while self.now() < end {
            let seen = self.seen()[live as usize];
            let given = seen.says.left.is_some() && !seen.says.owns(live == Side::A);
            let gone = given && seen.says.waits().is_none();
            if gone || self.open.is_empty() && seen.at_rest {
                // What is gone only the dead one could give back.
                return Ok(());
            }
            let sends = self.open.values().any(|what| *what == What::Migrate(live));
            if sends && self.impatient && self.now() >= next {
                self.act(What::Cancel(live));
                next = self.now().plus(AGAIN);
            }
            if seen.says.waits().is_some() && self.now() >= next && self.open.is_empty() {
                self.act(What::Take(live));
                next = self.now().plus(AGAIN);
            }
            if seen.says.owns(live == Side::A) && self.open.is_empty() && self.now() >= next {
                // A farewell that nobody hears.
                return Ok(());
            }
            self.turn(end.min(self.now().plus(LOOK)))?;
        }
        Err(format!("the one that is left waits for ever: {:?}", self.seen()))
    }

    /// What must be true in the end.
    fn end(&mut self) -> Result<(), String> {
        if self.off == [true, true] {
            return Ok(());
        }
        let seen = self.seen();
        let owner = Side::BOTH.into_iter().find(|&side| {
            !self.off[side as usize] && seen[side as usize].says.owns(side == Side::A)
        });
        let Some(home) = owner else {
            // It went down with its chassis, or is the dead one's to decide.
            return if self.off == [false; 2] { Err("nobody has it".into()) } else { Ok(()) };
        };
        self.guard.forced &= self.off != [false; 2];
        if !self.stopped || self.scene.guest().is_some() {
            self.end_guest(home)?;
        }
        self.end_managers(home)
    }

    fn end_guest(&mut self, home: Side) -> Result<(), String> {
        let Some((side, id)) = self.scene.guest() else { return Err("it runs nowhere".into()) };
        if side != home {
            return Err(format!("it runs at {side} and not at {home}"));
        }
        let logs = self.scene.server(side).hypervisor().guest(id).is_some_and(|own| own.logging);
        if logs && self.off == [false; 2] {
            return Err("its dirty log is on".into());
        }
        let report = |storm: &Self| storm.scene.report(side, id).unwrap_or_default();
        let before = report(self);
        let end = self.now().plus(DISK_MAX);
        // An operator took it over at a chassis that is gone for good, which had the disk by
        // then: here it is refused, and goes on without.
        let fenced = self.off != [false; 2] && self.claimed_at() > self.epoch_at(home);
        let works = |storm: &Self| {
            let now = report(storm);
            now.done > before.done + 12 && (fenced || now.written > before.written + 2)
        };
        if !self.until(end, works)? {
            return Err(format!("its guest does not go on: {before:?}, {:?}", report(self)));
        }
        if self.guard.mixed {
            return Ok(());
        }
        if let Some(why) = self.scene.wrong_page(side, id) {
            return Err(why);
        }
        let now = report(self);
        if fenced {
            return Ok(());
        }
        if now.errors > 0 {
            return Err(format!("{} requests to its disk failed", now.errors));
        }
        let lab = self.scene.world.lab();
        let image = lab.hosts().find_map(|host| host.image(IMAGE));
        let disk = image.map(|image| image.read(0, (RECORDS * RECORD_BYTES) as usize));
        match self.scene.wrong_record(&now, &disk.unwrap_or_default()) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    /// The epoch of the domain where it is at home.
    fn epoch_at(&self, home: Side) -> u64 {
        let says = self.seen()[home as usize].says;
        let left = says.left.map(|(_, epoch)| epoch);
        left.max(says.came.map(|(.., owned)| owned)).unwrap_or_default()
    }

    /// The newest epoch at which its disk was claimed.
    fn claimed_at(&self) -> u64 {
        let lab = self.scene.world.lab();
        lab.hosts().find_map(|host| host.claimed_at(IMAGE)).unwrap_or_default()
    }

    fn end_managers(&mut self, home: Side) -> Result<(), String> {
        for side in Side::BOTH {
            if self.off[side as usize] {
                continue;
            }
            let id = self.ask(side, What::List(side), "ldm list");
            let end = self.now().plus(ANSWER_MAX);
            self.until(end, |storm| storm.replies.contains_key(&id))?;
            let Some(reply) = self.replies.get(&id) else {
                return Err(format!("{side} does not answer"));
            };
            let listed = reply.stdout.lines().any(|line| line.starts_with(DOMAIN));
            let gone = self.removed && side == home;
            if reply.status != 0 || listed != (side == home) && !gone {
                return Err(format!("{side} lists: {}{}", reply.stdout, reply.stderr));
            }
            // In the beginning it was at the first.
            let as_of = if side == home { Side::A } else { Side::B };
            let (should, holds) =
                (&self.lab.holdings[as_of as usize], Holdings::of(self.scene.server(side)));
            if *should != holds && !(gone && holds == self.lab.holdings[Side::B as usize]) {
                return Err(format!("{side} holds {holds:?} and should hold {should:?}"));
            }
        }
        Ok(())
    }
}
