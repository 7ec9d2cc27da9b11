//! The journal of this control domain's migrations, on its chassis.
//!
//! It lies where the manager's other durable things do: with the chassis, which keeps it
//! while the control domain's software begins again, and in checkpoints. An entry takes
//! [`WRITE_TIME`] to become durable; entries that are being written when the software
//! stops are lost, the first of them torn.
//!
//! **Errors.** A journal that cannot be read stays as it is, and nothing migrates: what it
//! does not say any more may be that a domain is somebody else's.

use crate::migrate::journal::{Damage, EntryV1, Ledger, Store, WRITE_TIME};
use crate::migrate::port::{Journal, Tag};
use std::collections::VecDeque;
use sun4v::native::Ports;
use sun4v::time::SimTime;

/// Which migration writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// That of a domain that leaves.
    Source,
    /// That of a domain that comes.
    Target,
}

/// An entry on its way.
#[derive(Clone, Debug)]
struct Writing {
    due: SimTime,
    tag: Tag,
    writer: Writer,
    entry: EntryV1,
}

/// The journal.
#[derive(Debug)]
pub struct Paper {
    store: Result<Store, (Vec<u8>, Damage)>,
    /// What was wrong with its end.
    torn: Option<Damage>,
    writing: VecDeque<Writing>,
    next: u64,
    timer: u64,
    /// The medium takes no entry more.
    full: bool,
}

impl Paper {
    /// From the bytes that a chassis has kept. `timer` is the token of its timers.
    #[must_use]
    pub fn new(bytes: &[u8], timer: u64) -> Self {
        let (store, torn) = match Store::open(bytes) {
            Ok((store, torn)) => (Ok(store), torn),
            Err(damage) => (Err((bytes.to_vec(), damage)), None),
        };
        Self { store, torn, writing: VecDeque::new(), next: 0, timer, full: false }
    }

    /// What there is to say about it, once.
    pub fn take_complaint(&mut self) -> Option<String> {
        let damage = self.torn.take().map(|torn| format!("{torn}: it does not count"));
        let altered = self.store.as_ref().err();
        damage.or_else(|| altered.map(|(_, damage)| format!("{damage}: nothing migrates")))
    }

    /// What it says.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn ledger(&self) -> Result<&Ledger, String> {
        match &self.store {
            Ok(store) => Ok(store.ledger()),
            Err((_, damage)) => Err(damage.to_string()),
        }
    }

    /// Is nothing being written?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.writing.is_empty()
    }

    /// Says that its medium is full, or has room again: entries that would become durable
    /// meanwhile never will.
    pub const fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// Entries that were begun since the software began, and how many of them are still
    /// being written.
    #[must_use]
    pub fn progress(&self) -> (u64, usize) {
        (self.next, self.writing.len())
    }

    /// The bytes that the chassis keeps, if the software stops now.
    #[must_use]
    pub fn kept(&self) -> Vec<u8> {
        match (&self.store, self.writing.front()) {
            (Err((bytes, _)), _) => bytes.clone(),
            (Ok(store), None) => store.bytes().to_vec(),
            (Ok(store), Some(_)) if self.full => store.bytes().to_vec(),
            (Ok(store), Some(first)) => {
                let part = store.draft(&first.entry).map_or(0, |bytes| bytes.len() / 2);
                store.torn(&first.entry, part)
            }
        }
    }

    /// The next entry that is durable, or that never will be.
    pub fn take(&mut self, now: SimTime) -> Option<(Writer, Tag, Result<(), String>)> {
        if self.writing.front().is_none_or(|own| own.due > now) {
            return None;
        }
        let Writing { tag, writer, entry, .. } = self.writing.pop_front()?;
        let result = match &mut self.store {
            Ok(_) if self.full => Err("the medium of the migration journal is full".to_owned()),
            Ok(store) => store.append(entry).map_err(|damage| damage.to_string()),
            Err((_, damage)) => Err(damage.to_string()),
        };
        Some((writer, tag, result))
    }

    /// For one who writes.
    pub fn pen(&mut self, writer: Writer) -> Pen<'_> {
        Pen { paper: self, writer }
    }
}

/// See [`Paper::pen`].
pub struct Pen<'a> {
    paper: &'a mut Paper,
    writer: Writer,
}

impl Journal for Pen<'_> {
    fn write(&mut self, ports: &mut dyn Ports, entry: EntryV1) -> Tag {
        self.paper.next += 1;
        let tag = Tag(self.paper.next);
        let last = self.paper.writing.back().map_or(SimTime::ZERO, |own| own.due);
        let due = ports.now().max(last).plus(WRITE_TIME);
        ports.set_timer(due, self.paper.timer);
        self.paper.writing.push_back(Writing { due, tag, writer: self.writer, entry });
        tag
    }

    fn seen(&self, uuid: &str) -> u64 {
        self.paper.ledger().map_or(u64::MAX, |ledger| ledger.seen(uuid))
    }
}
