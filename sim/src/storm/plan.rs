//! What goes wrong in a storm, and when.
//!
//! **Shape.** A plan is one line: events with a blank between them. An event is
//! `WHEN=WHAT`, with words between colons.
//!
//! | when | |
//! |---|---|
//! | `120ms`, `35us` | so long after the storm's beginning |
//! | `begun:SIDE:N` | the N-th entry since then is being written to the side's journal |
//! | `durable:SIDE:N` | it is durable, or never will be |
//! | `frame:N` | the N-th frame between the control domains leaves |
//! | `begun:SIDE:N+120us` | so long after an occasion |
//!
//! | what | |
//! |---|---|
//! | `migrate:SIDE`, `check:SIDE` | the domain is sent away from there; `-n` |
//! | `cancel:SIDE`, `list:SIDE`, `stop:SIDE`, `take:SIDE` | `cancel-operation`, `list`, `stop-domain -f`, `complete-operation -f` |
//! | `remove:SIDE` | `stop-domain -f`, `unbind-domain`, `remove-domain`, one after the other |
//! | `reset:SIDE:SPAN` | the control domain is reset and back after so long |
//! | `off:SIDE` | the chassis loses its power, for good |
//! | `full:SIDE:SPAN` | the medium of its journal is full |
//! | `cut:SIDE:SPAN` | its cable is out |
//! | `loss:PERCENT:SPAN`, `twice:PERCENT:SPAN`, `flip:PERCENT:SPAN` | frames are lost, come twice, or with a bit turned |
//! | `late:SPAN:SPAN` | frames take the first longer, for the second; those behind overtake them |
//! | `slow:KBITS:SPAN` | so many kilobits a second |
//!
//! A side is `t5120` or `t5220`; the domain is at the first in the beginning.
//!
//! **Of a seed.** Most plans are events that have nothing to do with each other. Some of what
//! can go wrong needs several that follow each other ([`course`]); every fourth plan has
//! such a course, with its own times, and one or two of the others besides.
//!
//! **Errors.** One line that names the word.

use crate::time::rng::{Rng, Seed};
use std::fmt;
use std::str::FromStr;
use sun4v::time::SimTime;

/// A chassis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// `t5120`, where the domain is in the beginning.
    A,
    /// `t5220`.
    B,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The name of the chassis.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "t5120",
            Self::B => "t5220",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// So long after the beginning.
    At(SimTime),
    /// An entry, from 1, is being written.
    Begun(Side, u64),
    /// An entry, from 1, is durable, or will never be.
    Durable(Side, u64),
    /// A frame, from 1, leaves a control domain for the other.
    Frame(u64),
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// `migrate-domain` from there to the other.
    Migrate(Side),
    /// `migrate-domain -n`.
    Check(Side),
    /// `cancel-operation migration`.
    Cancel(Side),
    /// `list`.
    List(Side),
    /// `stop-domain -f`.
    Stop(Side),
    /// `complete-operation -f migration`.
    Take(Side),
    /// `stop-domain -f`, `unbind-domain`, `remove-domain`.
    Remove(Side),
    /// The control domain is reset, and back after so long.
    Reset(Side, SimTime),
    /// The chassis loses its power.
    Off(Side),
    /// The medium of the journal takes nothing.
    Full(Side, SimTime),
    /// The cable is out.
    Cut(Side, SimTime),
    /// So many of a hundred frames are lost.
    Loss(u64, SimTime),
    /// So many come twice.
    Twice(u64, SimTime),
    /// So many come with a bit turned.
    Flip(u64, SimTime),
    /// Frames take so much longer, for so long.
    Late(SimTime, SimTime),
    /// So many kilobits a second, for so long.
    Slow(u64, SimTime),
}

impl What {
    /// How long it lasts.
    pub fn span_mut(&mut self) -> Option<&mut SimTime> {
        match self {
            Self::Reset(_, span)
            | Self::Full(_, span)
            | Self::Cut(_, span)
            | Self::Loss(_, span)
            | Self::Twice(_, span)
            | Self::Flip(_, span)
            | Self::Late(_, span)
            | Self::Slow(_, span) => Some(span),
            _ => None,
        }
    }
}

/// One of a plan's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// When.
    pub when: When,
    /// So long after that.
    pub after: SimTime,
    /// What.
    pub what: What,
}

impl Event {
    /// At once when its occasion comes.
    #[must_use]
    pub const fn new(when: When, what: What) -> Self {
        Self { when, after: SimTime::ZERO, what }
    }
}

/// What goes wrong in a storm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan(pub Vec<Event>);

/// The longest that anything of a plan lasts, or waits for.
const SPAN_MAX: SimTime = SimTime::secs(100);

impl Plan {
    /// The plan that comes of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = Seed(seed).stream("storm/plan");
        let mut events = vec![Event::new(When::At(SimTime::ZERO), What::Migrate(Side::A))];
        if rng.below(3) == 0 {
            let at = SimTime::ms(60 + rng.below(400));
            events.push(Event::new(When::At(at), What::Migrate(Side::B)));
        }
        let others = if rng.below(4) == 0 {
            events.extend(course(&mut rng));
            rng.below(3)
        } else {
            1 + rng.below(4)
        };
        for _ in 0..others {
            let (when, what) = (when(&mut rng), what(&mut rng));
            events.push(Event::new(when, what));
        }
        Self(events)
    }

    /// Only these of its events, by number from 0.
    #[must_use]
    pub fn only(&self, numbers: &[usize]) -> Self {
        Self(numbers.iter().filter_map(|&n| self.0.get(n)).copied().collect())
    }

    /// Does this happen in it?
    #[must_use]
    pub fn has(&self, what: impl Fn(&What) -> bool) -> bool {
        self.0.iter().any(|event| what(&event.what))
    }
}

fn side(rng: &mut Rng) -> Side {
    Side::BOTH[rng.below(2) as usize]
}

/// A time of which short ones are as likely as long ones.
fn span(rng: &mut Rng, shortest_us: u64, doublings: u64) -> SimTime {
    let us = shortest_us << rng.below(doublings);
    SimTime::us(us + rng.below(us))
}

fn when(rng: &mut Rng) -> When {
    match rng.below(10) {
        0..3 => When::At(SimTime::us(rng.below(120_000))),
        3..6 => When::Begun(side(rng), 1 + rng.below(6)),
        6..8 => When::Durable(side(rng), 1 + rng.below(6)),
        _ => When::Frame(1 + rng.below(420)),
    }
}

fn what(rng: &mut Rng) -> What {
    match rng.below(32) {
        0..9 => What::Reset(side(rng), span(rng, 50, 15)),
        9..14 => What::Cut(side(rng), span(rng, 30, 16)),
        14..16 => What::Cancel(side(rng)),
        16..18 => What::Loss(1 + rng.below(60), span(rng, 1000, 9)),
        18 => What::Twice(1 + rng.below(60), span(rng, 1000, 9)),
        19 => What::Flip(1 + rng.below(40), span(rng, 1000, 9)),
        20 | 21 => What::Late(span(rng, 20, 9), span(rng, 200, 9)),
        22 => What::Slow(100 << rng.below(8), span(rng, 1000, 9)),
        23..25 => What::Full(side(rng), span(rng, 500, 11)),
        25 | 26 => What::Migrate(side(rng)),
        27 => What::List(side(rng)),
        28 => What::Stop(side(rng)),
        29 => What::Check(side(rng)),
        30 => What::Take(side(rng)),
        _ => What::Off(side(rng)),
    }
}

/// Something that keeps a source from saying a word for a while.
fn silences(rng: &mut Rng, side: Side, span: SimTime) -> What {
    match rng.below(4) {
        0 => What::Reset(side, span),
        1 => What::Off(side),
        _ => What::Cut(side, span),
    }
}

/// Events that only together lead anywhere; each has some room around the time at which it
/// should come.
fn course(rng: &mut Rng) -> Vec<Event> {
    // An entry takes two milliseconds to become durable.
    let within = |rng: &mut Rng, us: u64| SimTime::us(rng.below(us));
    let at = |when, after, what| Event { when, after, what };
    let (source, target) = (Side::A, Side::B);
    match rng.below(3) {
        // The source thinks better of it while the target writes or has just written
        // something, and the target ends while it writes what follows from that.
        0 => {
            let entry = 1 + rng.below(3);
            let better = match rng.below(3) {
                0 => What::Reset(source, span(rng, 50, 8)),
                _ => What::Cancel(source),
            };
            let ends = What::Reset(target, span(rng, 50, 12));
            let first = at(When::Begun(target, entry), within(rng, 2500), better);
            vec![first, at(When::Begun(target, entry + 1), within(rng, 2200), ends)]
        }
        // The source falls silent as the target becomes ready, the target's manager begins
        // again, and its operator takes the domain over. What is at the source is as it was.
        course => {
            let ready = |after, what| at(When::Durable(target, 2), after, what);
            let silence = SimTime::ms(80 + rng.below(300));
            let silent = silences(rng, source, silence);
            let first = at(When::Begun(target, 2), within(rng, 2600), silent);
            let again = SimTime::us(200 + rng.below(2000));
            let took = again.plus(SimTime::ms(12 + rng.below(20)));
            let reset = ready(again, What::Reset(target, span(rng, 50, 6)));
            let mut events = vec![first, reset, ready(took, What::Take(target))];
            if course == 2 {
                // It is destroyed there; the source's operator knows nothing of all that, and
                // sends once more what he has.
                let gone = took.plus(SimTime::ms(10 + rng.below(40)));
                let off = SimTime::ms(1 + rng.below(30));
                events.push(ready(gone, What::Remove(target)));
                events.push(ready(off, What::Cancel(source)));
                let back = SimTime::ms(rng.below(500));
                events.push(ready(off.plus(back), What::Migrate(source)));
            }
            events
        }
    }
}

// In text.

/// A time in words.
struct Span(SimTime);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.as_us();
        if us.is_multiple_of(1000) { write!(f, "{}ms", us / 1000) } else { write!(f, "{us}us") }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::At(at) => write!(f, "{}", Span(at)),
            Self::Begun(side, n) => write!(f, "begun:{side}:{n}"),
            Self::Durable(side, n) => write!(f, "durable:{side}:{n}"),
            Self::Frame(n) => write!(f, "frame:{n}"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Migrate(side) => write!(f, "migrate:{side}"),
            Self::Check(side) => write!(f, "check:{side}"),
            Self::Cancel(side) => write!(f, "cancel:{side}"),
            Self::List(side) => write!(f, "list:{side}"),
            Self::Stop(side) => write!(f, "stop:{side}"),
            Self::Take(side) => write!(f, "take:{side}"),
            Self::Remove(side) => write!(f, "remove:{side}"),
            Self::Reset(side, span) => write!(f, "reset:{side}:{}", Span(span)),
            Self::Off(side) => write!(f, "off:{side}"),
            Self::Full(side, span) => write!(f, "full:{side}:{}", Span(span)),
            Self::Cut(side, span) => write!(f, "cut:{side}:{}", Span(span)),
            Self::Loss(percent, span) => write!(f, "loss:{percent}:{}", Span(span)),
            Self::Twice(percent, span) => write!(f, "twice:{percent}:{}", Span(span)),
            Self::Flip(percent, span) => write!(f, "flip:{percent}:{}", Span(span)),
            Self::Late(by, span) => write!(f, "late:{}:{}", Span(by), Span(span)),
            Self::Slow(kbits, span) => write!(f, "slow:{kbits}:{}", Span(span)),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.when)?;
        if self.after > SimTime::ZERO {
            write!(f, "+{}", Span(self.after))?;
        }
        write!(f, "={}", self.what)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, event) in self.0.iter().enumerate() {
            write!(f, "{}{event}", if n > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is no time such as 12ms or 350us, of 100 s at most");
        let (number, us) = match (text.strip_suffix("ms"), text.strip_suffix("us")) {
            (Some(number), _) => (number, 1000),
            (_, Some(number)) => (number, 1),
            _ => return Err(refuse()),
        };
        let number: Option<u64> = number.parse().ok();
        let us = number.and_then(|number| number.checked_mul(us)).ok_or_else(refuse)?;
        if us > SPAN_MAX.as_us() { Err(refuse()) } else { Ok(Self(SimTime::us(us))) }
    }
}

impl FromStr for Side {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::BOTH.into_iter().find(|side| side.name() == text);
        found.ok_or_else(|| format!("`{text}` is no side: t5120 or t5220"))
    }
}

fn count(text: &str, most: u64) -> Result<u64, String> {
    let found = text.parse().ok().filter(|n| (1..=most).contains(n));
    found.ok_or_else(|| format!("`{text}` is no number from 1 to {most}"))
}

/// The longest number of an occasion.
const COUNT_MAX: u64 = 1_000_000;

impl FromStr for When {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split(':').collect();
        Ok(match words[..] {
            ["begun", side, n] => Self::Begun(side.parse()?, count(n, COUNT_MAX)?),
            ["durable", side, n] => Self::Durable(side.parse()?, count(n, COUNT_MAX)?),
            ["frame", n] => Self::Frame(count(n, COUNT_MAX)?),
            [at] => Self::At(at.parse::<Span>()?.0),
            _ => return Err(format!("`{text}` is no occasion")),
        })
    }
}

impl FromStr for What {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split(':').collect();
        let span = |text: &str| text.parse::<Span>().map(|span| span.0);
        Ok(match words[..] {
            ["migrate", side] => Self::Migrate(side.parse()?),
            ["check", side] => Self::Check(side.parse()?),
            ["cancel", side] => Self::Cancel(side.parse()?),
            ["list", side] => Self::List(side.parse()?),
            ["stop", side] => Self::Stop(side.parse()?),
            ["take", side] => Self::Take(side.parse()?),
            ["remove", side] => Self::Remove(side.parse()?),
            ["off", side] => Self::Off(side.parse()?),
            ["reset", side, of] => Self::Reset(side.parse()?, span(of)?),
            ["full", side, of] => Self::Full(side.parse()?, span(of)?),
            ["cut", side, of] => Self::Cut(side.parse()?, span(of)?),
            ["loss", percent, of] => Self::Loss(count(percent, 100)?, span(of)?),
            ["twice", percent, of] => Self::Twice(count(percent, 100)?, span(of)?),
            ["flip", percent, of] => Self::Flip(count(percent, 100)?, span(of)?),
            ["late", by, of] => Self::Late(span(by)?, span(of)?),
            ["slow", kbits, of] => Self::Slow(count(kbits, COUNT_MAX)?, span(of)?),
            _ => return Err(format!("`{text}` is nothing that happens in a storm")),
        })
    }
}

impl FromStr for Event {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (when, what) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`"))?;
        let (when, after) = match when.split_once('+') {
            Some((when, after)) => (when, after.parse::<Span>()?.0),
            None => (when, SimTime::ZERO),
        };
        Ok(Self { when: when.parse()?, after, what: what.parse()? })
    }
}

impl FromStr for Plan {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.split_whitespace().map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}
