//! A control domain's software under observation: what its journal says after every event,
//! and that it is away for a while after a reset.

use super::plan::Side;
use ldm::control::ControlDomain;
use ldm::migrate::journal::{Ledger, State};
use parking_lot::Mutex;
use std::sync::Arc;
use sun4v::native::{Event, Ports, Program, Reply};
use sun4v::time::SimTime;

/// Token of the timer that ends its being away; no program uses it.
const BACK: u64 = u64::MAX - 7;

/// What is seen of one control domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Entries of its journal that were begun.
    pub begun: u64,
    /// Entries that are durable, or never will be.
    pub durable: u64,
    /// What the durable part of its journal says of the domain.
    pub says: Says,
    /// Its software runs, and nothing of a migration is left to do.
    pub at_rest: bool,
    /// It is away after a reset.
    pub away: bool,
}

/// What a journal says of the one domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Says {
    /// The last entry of its leaving, with the epoch here.
    pub left: Option<(State, u64)>,
    /// The last entry of its coming, with the epoch at the other end, and the one here.
    pub came: Option<(State, u64, u64)>,
}

impl Says {
    fn of(ledger: &Ledger) -> Self {
        let left = ledger.departures().map(|own| (own.state, own.epoch)).next();
        let came = ledger.arrivals().map(|own| (own.state, own.epoch, own.owned)).next();
        Self { left, came }
    }

    /// May the domain run here? `first` says that it was here before anything was written.
    #[must_use]
    pub fn owns(&self, first: bool) -> bool {
        let came = self.came.map_or(0, |(.., owned)| owned);
        match self.left {
            Some((state, epoch)) if epoch >= came => {
                matches!(state, State::Leaving | State::Off | State::Stays)
            }
            _ => came > 0 || first && self.left.is_none(),
        }
    }

    /// The epoch at which it waits for the other end's word, with everything ready.
    #[must_use]
    pub fn waits(&self) -> Option<u64> {
        self.came.filter(|(state, ..)| *state == State::Prepared).map(|(_, epoch, _)| epoch)
    }
}

/// What is told to one control domain, and seen of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Desk {
    /// What is seen.
    pub seen: Seen,
    /// When it may begin again, if it is reset.
    pub back_at: SimTime,
    /// The medium of its journal is full.
    pub full: bool,
}

/// Shared by whoever watches and the one who is watched.
pub type Shared = Arc<Mutex<Desk>>;

/// A control domain that is watched.
pub struct Watched {
    program: ControlDomain,
    desk: Shared,
    side: Side,
    away: bool,
    /// Entries begun and over in this life, as far as they are counted.
    counted: (u64, u64),
}

impl Watched {
    /// Watches a program.
    #[must_use]
    pub fn new(program: ControlDomain, side: Side, desk: Shared) -> Self {
        Self { program, desk, side, away: false, counted: (0, 0) }
    }

    fn pass(&mut self, event: Event, ports: &mut dyn Ports) {
        if self.away {
            match event {
                Event::Timer(BACK) if ports.now() >= self.desk.lock().back_at => {
                    self.away = false;
                    self.begin(ports);
                }
                Event::Command { id, .. } => {
                    let stderr = format!("{} is being reset\n", self.side);
                    ports.reply(id, Reply { stderr, status: 1, ..Reply::default() });
                }
                Event::Start => self.wait(ports),
                _ => {}
            }
            return;
        }
        match event {
            Event::Start if ports.now() < self.desk.lock().back_at => {
                self.away = true;
                self.wait(ports);
            }
            Event::Start => self.begin(ports),
            Event::Timer(BACK) => {}
            event => self.program.event(event, ports),
        }
    }

    fn wait(&self, ports: &mut dyn Ports) {
        ports.set_timer(self.desk.lock().back_at, BACK);
    }

    fn begin(&mut self, ports: &mut dyn Ports) {
        self.counted = (0, 0);
        self.program.event(Event::Start, ports);
    }

    fn publish(&mut self) {
        let mut desk = self.desk.lock();
        self.program.set_journal_full(desk.full);
        desk.seen.away = self.away;
        desk.seen.at_rest = !self.away && self.program.is_at_rest();
        if self.away {
            return;
        }
        let Some(journal) = self.program.journal() else { return };
        let (begun, writing) = journal.progress();
        let over = begun - writing as u64;
        let (begun_before, over_before) = std::mem::replace(&mut self.counted, (begun, over));
        desk.seen.begun += begun - begun_before;
        desk.seen.durable += over - over_before;
        if let Ok(ledger) = journal.ledger() {
            desk.seen.says = Says::of(ledger);
        }
    }
}

impl Program for Watched {
    fn event(&mut self, event: Event, ports: &mut dyn Ports) {
        self.pass(event, ports);
        self.publish();
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        self.program.save()
    }
}
