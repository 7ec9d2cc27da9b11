//! What an end of a migration must not forget: a log of entries that survives it.
//!
//! An end writes an [`EntryV1`] *before* it says anything that the other may rely on,
//! and says it when [`Input::Journal`](super::Input::Journal) tells that the entry is
//! durable. Whoever begins again reads the log, and goes on from the last entry of each
//! domain ([`Ledger`]): nothing else that it knew counts.
//!
//! **Shape.** A log is entries, one behind the other, all numbers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `LDJ1` |
//! | 4 | bytes of the body, at most [`BODY_BYTES_MAX`] |
//! | 4 | the same, all bits turned |
//! | 8 | number of the entry, one more each |
//! | n | the body: a record `ldm/journal` |
//! | 32 | SHA-256 of everything before it in this entry |
//!
//! **Errors.** A medium keeps the order of what is written to it, so a write that was
//! cut off leaves the front of an entry at the end of the log, and no more:
//! [`Damage::Torn`]. It was never told of, so it counts as not written. Anything else
//! that is wrong is [`Damage::Altered`], and nothing may be concluded from such a log:
//! an entry that is missing may be the one that gave the domain away.
//!
//! **Bounds.** [`Store::tidy`] leaves the last entry of each domain at either end, without
//! what only an unfinished migration needs; [`DOMAINS_MAX`] domains are remembered.

use super::mutant::{self, Mutant};
use super::port::{Kind, Offer};
use super::seal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use sun4v::record::{LoadError, Schema, decode, encode};
use sun4v::time::SimTime;
use thiserror::Error;

/// How long an entry takes to become durable: a small write to the service processor's
/// flash, behind its session. Nobody has measured it; it is on the safe side, and three
/// of them lie in the pause.
pub const WRITE_TIME: SimTime = SimTime::ms(2);
/// Most bytes of an entry's body.
pub const BODY_BYTES_MAX: usize = 256 << 10;
/// Domains that a journal remembers.
pub const DOMAINS_MAX: usize = 1024;
/// Bytes of a log beyond which it is tidied.
const LOG_BYTES_MAX: usize = 1 << 20;
/// Migrations of one domain raise its epoch, never so far.
pub const EPOCH_MAX: u64 = 1 << 62;

const MAGIC: &[u8; 4] = b"LDJ1";
const HEADER_BYTES: usize = 20;
const DIGEST_BYTES: usize = 32;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// Source, before its offer: if nothing follows, the domain stays.
    Leaving,
    /// Source, before *commit*: the domain is the target's, and only the target can
    /// give it back. The point of no return.
    Commit,
    /// Source, before *abort*: it is off, and the target may not know.
    Off,
    /// Source: it is off, and there is nobody to tell.
    Stays,
    /// Source: what was left of the domain is destroyed.
    Released,
    /// Target, before the shell is made.
    Reserved,
    /// Target, before *verified*: it can run the domain, and does when it is told.
    Prepared,
    /// Target, before the domain runs: it is here, at epoch [`EntryV1::owned`].
    Activated,
    /// Target: nothing is left to do.
    Here,
    /// Target, before *not here*: it will never run it.
    Discarded,
    /// Target: so it is, and the shell is gone.
    Gone,
}

impl State {
    /// Does the end that a domain leaves write it?
    #[must_use]
    pub const fn is_source(self) -> bool {
        matches!(self, Self::Leaving | Self::Commit | Self::Off | Self::Stays | Self::Released)
    }

    /// May what was written before it be forgotten, but the epoch?
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Stays | Self::Released | Self::Here | Self::Gone)
    }
}

/// An entry, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryV1 {
    /// What it says.
    pub state: State,
    /// Number of the migration.
    pub migration: [u8; 16],
    /// The domain's UUID.
    pub uuid: String,
    /// Its name at this end.
    pub domain: String,
    /// How it moves.
    pub kind: Kind,
    /// Its epoch at the source.
    pub epoch: u64,
    /// Its epoch at the target, once it is there; zero before, and at the source.
    pub owned: u64,
    /// The newest epoch at which it was this chassis' before; the store knows it.
    pub before: u64,
    /// Host name of the other end.
    pub peer: String,
    /// Source: what opens a connection about this migration ([`ticket`]).
    pub ticket: String,
    /// Target, from *prepared* on: the digest that was compared.
    pub digest: [u8; 32],
    /// Target: the offer, while it is needed.
    pub offer: Option<Offer>,
}

impl Schema for EntryV1 {
    const KIND: &'static str = "ldm/journal";
    const VERSION: u32 = 1;
}

impl EntryV1 {
    /// The epoch at which the domain is, or was, this end's; zero if it never was.
    #[must_use]
    pub fn seen(&self) -> u64 {
        let own = if self.state.is_source() { self.epoch } else { self.owned };
        own.max(self.before)
    }

    /// An offer of which no more is known than the entry says.
    #[must_use]
    pub fn bare_offer(&self) -> Offer {
        Offer {
            name: self.domain.clone(),
            new_name: None,
            uuid: self.uuid.clone(),
            epoch: self.epoch,
            kind: self.kind,
            memory: Vec::new(),
            description: Vec::new(),
        }
    }

    /// What is kept of it.
    fn trimmed(&self) -> Self {
        let finished = self.state.is_finished();
        let ticket = if finished { String::new() } else { self.ticket.clone() };
        Self { ticket, offer: self.offer.clone().filter(|_| !finished), ..self.clone() }
    }

    /// Does it keep the rules of an entry?
    fn check(&self) -> Result<(), &'static str> {
        let source = self.state.is_source();
        let owned = matches!(self.state, State::Activated | State::Here);
        let rules = [
            (self.epoch > 0 && self.epoch <= EPOCH_MAX, "an epoch that cannot be"),
            (owned == (self.owned > 0), "an epoch at the target that cannot be"),
            (!owned || self.owned > self.epoch, "an epoch that did not rise"),
            (self.owned.max(self.before) <= EPOCH_MAX + 2, "an epoch that cannot be"),
            (!source || self.offer.is_none(), "an offer at the source"),
            (source || self.ticket.is_empty(), "a ticket at the target"),
            (!self.uuid.is_empty() && self.uuid.len() <= 64, "a UUID that cannot be"),
        ];
        rules.iter().find(|(kept, _)| !kept).map_or(Ok(()), |(_, why)| Err(why))
    }
}

/// What opens a connection about a migration that is under way. The target makes it with a
/// key that only it has, so it knows it again by the migration's number, whatever it has
/// forgotten; the source is told it under seal. Nobody learns anything of the password from
/// it, nor of the ticket of another migration.
#[must_use]
pub fn ticket(key: &[u8; 32], migration: &[u8; 16]) -> String {
    let code = seal::hmac(key, &[b"ldom migration ticket", migration]);
    code.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong with a log.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Damage {
    /// A write was cut off: the log is as if it had not begun.
    #[error("entry {entry} of the migration journal is torn: {bytes} bytes of it are there")]
    Torn {
        /// Which one, from 1.
        entry: u64,
        /// How much is there.
        bytes: usize,
    },
    /// What stands there was not written by a journal.
    #[error("entry {entry} of the migration journal is altered: {why}")]
    Altered {
        /// Which one, from 1.
        entry: u64,
        /// What is wrong.
        why: String,
    },
    /// It does not fit.
    #[error("the migration journal is full: it remembers {DOMAINS_MAX} domains")]
    Full,
    /// An entry is too long.
    #[error("an entry of {0} bytes is too long for the migration journal")]
    TooLong(usize),
}

impl Damage {
    fn altered(entry: u64, why: impl std::fmt::Display) -> Self {
        Self::Altered { entry, why: why.to_string() }
    }
}

/// What a log says in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The last entry of each domain, by UUID, and whether it is of a source.
    last: BTreeMap<(String, bool), EntryV1>,
    /// The newest epoch at which a domain was this chassis', by UUID.
    seen: BTreeMap<String, u64>,
    entries: u64,
}

impl Ledger {
    fn take(&mut self, entry: EntryV1) {
        let seen = self.seen.entry(entry.uuid.clone()).or_default();
        *seen = entry.seen().max(*seen);
        self.entries += 1;
        let source = entry.state.is_source();
        if source
            && let Some(came) = self.last.get_mut(&(entry.uuid.clone(), false))
            && came.state == State::Activated
            && entry.epoch >= came.owned
        {
            // What leaves was here, though its medium had no room to say so.
            came.state = State::Here;
            *came = came.trimmed();
        }
        self.last.insert((entry.uuid.clone(), source), entry);
    }

    /// The newest epoch at which a domain was this chassis'; zero when it never was.
    #[must_use]
    pub fn seen(&self, uuid: &str) -> u64 {
        self.seen.get(uuid).copied().unwrap_or(0)
    }

    /// Is a domain with this UUID, at this epoch, somebody else's: given away, or as good
    /// as gone?
    #[must_use]
    pub fn has_left(&self, uuid: &str, epoch: u64) -> bool {
        let left = |entry: &EntryV1| {
            let gone = matches!(entry.state, State::Commit | State::Released);
            gone && entry.uuid == uuid && entry.epoch >= epoch
        };
        self.departures().any(left) && !mutant::is(Mutant::PortLeftOpen)
    }

    /// What a migration has come to at its target, as far as it is remembered.
    #[must_use]
    pub fn arrival(&self, migration: &[u8; 16]) -> Option<&EntryV1> {
        self.arrivals().find(|entry| entry.migration == *migration)
    }

    /// The last entry of every domain that left, or was to.
    pub fn departures(&self) -> impl Iterator<Item = &EntryV1> {
        self.last.values().filter(|entry| entry.state.is_source())
    }

    /// The last entries of domains that left, or were to, and of which something may be left
    /// to do: not of one that has since been offered here at a newer epoch. What became of
    /// the older migration is known then, whatever its last entry says; and what is here of
    /// the domain is not what left.
    pub fn open_departures(&self) -> impl Iterator<Item = &EntryV1> {
        let newer = |own: &EntryV1| {
            self.arrivals().any(|came| came.uuid == own.uuid && came.epoch > own.epoch)
        };
        self.departures().filter(move |own| !newer(own))
    }

    /// The last entry of every domain that came, or was to.
    pub fn arrivals(&self) -> impl Iterator<Item = &EntryV1> {
        self.last.values().filter(|entry| !entry.state.is_source())
    }
}

/// A log, as a medium holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    log: Vec<u8>,
    ledger: Ledger,
}

impl Store {
    /// The log that these bytes are; and what was wrong with its end, if a write was
    /// cut off.
    ///
    /// # Errors
    /// [`Damage::Altered`].
    pub fn open(log: &[u8]) -> Result<(Self, Option<Damage>), Damage> {
        let mut store = Self::default();
        let mut rest = log;
        while !rest.is_empty() {
            let entry = store.ledger.entries + 1;
            match read(&mut rest, entry) {
                Ok(read) => store.ledger.take(read),
                Err(torn @ Damage::Torn { .. }) => {
                    store.log = log[..log.len() - rest.len()].to_vec();
                    return Ok((store, Some(torn)));
                }
                Err(damage) => return Err(damage),
            }
        }
        store.log = log.to_vec();
        Ok((store, None))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.log
    }

    /// What it says.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The bytes that an entry adds.
    ///
    /// # Errors
    /// It is too long, or the journal is full; nothing has changed.
    pub fn draft(&self, entry: &EntryV1) -> Result<Vec<u8>, Damage> {
        let known = self.ledger.seen.contains_key(&entry.uuid);
        if !known && self.ledger.seen.len() >= DOMAINS_MAX {
            return Err(Damage::Full);
        }
        let entry = EntryV1 { before: self.ledger.seen(&entry.uuid), ..entry.clone() };
        let bytes = bytes(&entry, self.ledger.entries + 1);
        if bytes.len() > HEADER_BYTES + BODY_BYTES_MAX + DIGEST_BYTES {
            return Err(Damage::TooLong(bytes.len()));
        }
        Ok(bytes)
    }

    /// Appends an entry: it is durable.
    ///
    /// # Errors
    /// As [`Store::draft`]: it is not, and never will be.
    pub fn append(&mut self, entry: EntryV1) -> Result<(), Damage> {
        let bytes = self.draft(&entry)?;
        let entry = EntryV1 { before: self.ledger.seen(&entry.uuid), ..entry };
        self.log.extend_from_slice(&bytes);
        self.ledger.take(entry);
        if self.log.len() > LOG_BYTES_MAX {
            self.tidy();
        }
        Ok(())
    }

    /// The bytes after a crash while an entry was being written: `part` of its bytes
    /// are there.
    #[must_use]
    pub fn torn(&self, entry: &EntryV1, part: usize) -> Vec<u8> {
        let draft = self.draft(entry).unwrap_or_default();
        let part = part.min(draft.len().saturating_sub(1));
        [self.log.as_slice(), draft.get(..part).unwrap_or_default()].concat()
    }

    /// Drops what no question can be about any more. The new log takes the place of
    /// the old one at once.
    pub fn tidy(&mut self) {
        let mut ledger = Ledger::default();
        let mut log = Vec::new();
        for entry in self.ledger.last.values().map(EntryV1::trimmed) {
            log.extend(bytes(&entry, ledger.entries + 1));
            ledger.take(entry);
        }
        *self = Self { log, ledger };
    }
}

/// The bytes of an entry.
fn bytes(entry: &EntryV1, number: u64) -> Vec<u8> {
    let mut body = Vec::new();
    encode(entry, &mut body);
    let mut bytes = MAGIC.to_vec();
    let length = body.len() as u32;
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&(!length).to_be_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&body);
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    bytes
}

/// Takes entry `number` off the front.
fn read(rest: &mut &[u8], number: u64) -> Result<EntryV1, Damage> {
    let all = *rest;
    let altered = |why: &str| Damage::altered(number, why);
    let torn = Damage::Torn { entry: number, bytes: all.len() };
    let Some(header) = all.get(..HEADER_BYTES) else {
        let begins = &MAGIC[..all.len().min(MAGIC.len())];
        return Err(if all.starts_with(begins) {
            torn
        } else {
            altered("it begins with another word")
        });
    };
    let word = |at: usize| {
        header[at..at + 4].iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte))
    };
    if !header.starts_with(MAGIC) {
        return Err(altered("it begins with another word"));
    }
    if word(4) != !word(8) || word(4) as usize > BODY_BYTES_MAX {
        return Err(altered("its length cannot be"));
    }
    if header[12..] != number.to_be_bytes() {
        return Err(altered("it has another number"));
    }
    let end = HEADER_BYTES + word(4) as usize;
    let Some(digest) = all.get(end..end + DIGEST_BYTES) else { return Err(torn) };
    let believed = mutant::is(Mutant::DigestOfEntryIgnored);
    if Sha256::digest(&all[..end])[..] != *digest && !believed {
        return Err(altered("its digest is another"));
    }
    let mut body = &all[HEADER_BYTES..end];
    let entry: EntryV1 =
        decode(&mut body).map_err(|error: LoadError| Damage::altered(number, error))?;
    if !body.is_empty() {
        return Err(altered("bytes follow its record"));
    }
    entry.check().map_err(altered)?;
    *rest = &all[end + DIGEST_BYTES..];
    Ok(entry)
}

#[cfg(test)]
mod test;
