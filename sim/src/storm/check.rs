//! What may never happen in a storm.
//!
//! **At every turn** ([`Scene::look`], [`Guard::check`]), from the hypervisors' own state
//! and the durable part of the journals, not from anybody's word:
//!
//! - the domain runs at two chassis;
//! - both journals let it run, or neither does and nobody holds it ready;
//! - it runs at a chassis whose journal does not let it;
//! - its epoch did not rise as it changed hands, or it comes to a chassis at an older epoch
//!   than it had there once;
//! - it came to a chassis at the next epoch, and the other has not given it away: who takes
//!   it over by force has it at a newer one;
//! - its guest has counted backwards, or found a page or a record that is not what it wrote.
//!
//! **In the end** ([`Guard::check_end`]), when everybody has been back for a while: it runs
//! at one chassis and at no other, it does not stand still, every page is what it wrote
//! last, its disk has every record that it was told is written, both managers answer, and
//! what is bound at either chassis is what was bound in the beginning, with the domain or
//! without it.

use super::lab::{DOMAIN, Scene};
use super::plan::Side;
use super::watch::Seen;
use crate::chassis::server::{CONTROL, Server};
use crate::mem::Ram;
use hv::GuestState;
use ldm::migrate::journal::State;
use sun4v::addr::{PAGE_BYTES, RealMap};
use sun4v::id::GuestId;

/// Resources of a chassis that belong to domains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Domains, the control domain among them.
    pub guests: usize,
    /// Virtual CPUs.
    pub vcpus: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// Endpoints of channels.
    pub endpoints: usize,
    /// Consoles.
    pub consoles: usize,
}

impl Holdings {
    /// Those of a chassis.
    #[must_use]
    pub fn of(server: &Server) -> Self {
        let config = server.hypervisor().config();
        Self {
            guests: config.guests.len(),
            vcpus: config.vcpus.len(),
            memory: config.mblocks.iter().map(|block| block.range.size).sum(),
            endpoints: config.ldc_endpoints.len(),
            consoles: config.consoles.len(),
        }
    }
}

/// Where the guest's report is, from its memory's beginning.
const REPORT: u64 = 4 << 20;
const MAGIC: u64 = 0x5354_4f52_4d30_3031;
/// As the guest has it: pages of its pattern, those of a beat, by how many a beat moves on,
/// words of a page, how far they are from each other, records of its disk, words of one.
const PAGES: u64 = 32;
const BEAT_PAGES: u64 = 4;
const BEAT_STRIDE: u64 = 5;
const WORDS: u64 = 8;
const WORD_STRIDE: u64 = 128;
/// Records of the disk.
pub const RECORDS: u64 = 8;
/// Bytes of a record.
pub const RECORD_BYTES: u64 = 512;

/// What the guest says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The beat that is writing, or was the last.
    pub begun: u64,
    /// The last whole beat.
    pub done: u64,
    /// The last record that its disk was asked to write.
    pub asked: u64,
    /// The last one that it has written.
    pub written: u64,
    /// Pages and records that were not what they should be.
    pub bad: u64,
    /// Requests that failed.
    pub errors: u64,
}

/// A word as the guest makes it.
fn word_of(number: u64, place: u64, word: u64) -> u64 {
    let mixed = (number << 20 | place << 10 | word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}

/// The last beat up to `beat` that wrote a page; 0 if none did.
fn writer_of(page: u64, beat: u64) -> u64 {
    let wrote = |beat: &u64| page.wrapping_sub(beat * BEAT_STRIDE) % PAGES < BEAT_PAGES;
    (1..=beat).rev().take(PAGES as usize).find(wrote).unwrap_or(0)
}

fn load(ram: &Ram, map: &RealMap, offset: u64) -> Option<u64> {
    let base = map.ranges().first()?.ra;
    Some(ram.load::<u64>(map.resolve(base.offset(offset), 8)?))
}

fn report(ram: &Ram, map: &RealMap) -> Option<Report> {
    let word = |n: u64| load(ram, map, REPORT + n * 8);
    if word(0)? != MAGIC {
        return None;
    }
    let [begun, done, asked, written, bad, errors] = [1, 2, 3, 4, 5, 6].map(word);
    Some(Report {
        begun: begun?,
        done: done?,
        asked: asked?,
        written: written?,
        bad: bad?,
        errors: errors?,
    })
}

/// The first page of the pattern that is not what the guest wrote last.
fn wrong_page(ram: &Ram, map: &RealMap) -> Option<String> {
    let report = report(ram, map)?;
    for page in 0..PAGES {
        for word in 0..WORDS {
            let of = |beat| if beat > 0 { word_of(beat, page, word) } else { 0 };
            let offset = REPORT + (page + 1) * PAGE_BYTES + word * WORD_STRIDE * 8;
            let found = load(ram, map, offset)?;
            // A beat that is under way has written it, or has not.
            let right = [report.done, report.begun].map(|beat| of(writer_of(page, beat)));
            if !right.contains(&found) {
                return Some(format!("page {page} is not of beat {}", report.done));
            }
        }
    }
    None
}

impl Scene {
    /// The server of a side.
    #[must_use]
    pub fn server(&self, side: Side) -> &Server {
        // They are in the order of their names.
        &self.world.servers()[side as usize]
    }

    /// The domain's guest at a side.
    #[must_use]
    pub fn guest_at(&self, side: Side) -> Option<GuestId> {
        let guests = &self.server(side).hypervisor().config().guests;
        let domain = guests.iter().find(|guest| guest.id != CONTROL && guest.name == DOMAIN);
        domain.map(|guest| guest.id)
    }

    /// May the domain execute at a side?
    #[must_use]
    pub fn runs_at(&self, side: Side) -> bool {
        let server = self.server(side);
        let state = |id| server.hypervisor().guest(id).map(|guest| guest.state);
        let state = self.guest_at(side).and_then(state);
        !server.is_off() && matches!(state, Some(GuestState::Normal | GuestState::Resetting))
    }

    /// Where the guest runs.
    #[must_use]
    pub fn guest(&self) -> Option<(Side, GuestId)> {
        let side = Side::BOTH.into_iter().find(|&side| self.runs_at(side))?;
        Some((side, self.guest_at(side)?))
    }

    /// What the guest says of itself.
    #[must_use]
    pub fn report(&self, side: Side, id: GuestId) -> Option<Report> {
        let server = self.server(side);
        report(server.board().ram(), &server.hypervisor().guest(id)?.map)
    }

    /// The first page of the guest's that is wrong.
    #[must_use]
    pub fn wrong_page(&self, side: Side, id: GuestId) -> Option<String> {
        let server = self.server(side);
        wrong_page(server.board().ram(), &server.hypervisor().guest(id)?.map)
    }

    /// The first record of the disk that is not what it was told, or asked, to be.
    #[must_use]
    pub fn wrong_record(&self, report: &Report, disk: &[u8]) -> Option<String> {
        for slot in 0..RECORDS {
            let last = |upto: u64| upto - (upto.wrapping_sub(slot)) % RECORDS;
            let bytes = disk.get((slot * RECORD_BYTES) as usize..)?.get(..RECORD_BYTES as usize)?;
            let is = |record: u64| {
                let words = bytes.chunks_exact(8).zip(0..);
                words
                    .into_iter()
                    .all(|(bytes, word)| bytes == word_of(record, RECORDS, word).to_be_bytes())
            };
            let may = [report.written, report.asked];
            if !may.into_iter().any(|upto| is(last(upto))) {
                return Some(format!("record {} of the disk is not there", last(report.written)));
            }
        }
        None
    }
}

/// What is remembered from turn to turn.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// The most that the guest has counted.
    most: Report,
    /// An operator took the domain over: two may run it for a while.
    pub forced: bool,
    /// Two did run it, or an operator went back to what a dead source had sent: what became
    /// of its disk is nobody's fault.
    pub mixed: bool,
    /// The newest epoch at which it came to either side.
    epochs: [u64; 2],
    last: Option<([Seen; 2], [bool; 2])>,
}

impl Guard {
    /// Something that must hold at every turn and does not.
    ///
    /// # Errors
    /// It, in words.
    pub fn check(&mut self, scene: &Scene) -> Result<(), String> {
        let seen = [0, 1].map(|side: usize| scene.desks[side].lock().seen);
        let runs = Side::BOTH.map(|side| scene.runs_at(side));
        self.mixed |= self.forced && runs == [true, true];
        if !self.mixed
            && let Some((side, id)) = scene.guest()
            && let Some(report) = scene.report(side, id)
        {
            let before = std::mem::replace(&mut self.most, report);
            if report.bad > 0 {
                return Err(format!("the guest has found {} wrong", report.bad));
            }
            let fell = report.done < before.done || report.written < before.written;
            // Raised by two: an operator took it over. What a source did after the target had
            // everything, and died before it could say so, is given up, and what it wrote with it.
            let came = seen.iter().filter_map(|seen| seen.says.came);
            let by_force =
                self.forced || came.into_iter().any(|(_, epoch, owned)| owned > epoch + 1);
            if fell && by_force {
                self.mixed = true;
            } else if fell {
                return Err(format!("the guest has counted backwards: {before:?}, {report:?}"));
            }
        }
        if self.last == Some((seen, runs)) {
            return Ok(());
        }
        self.last = Some((seen, runs));
        self.check_owner(&seen, runs)
    }

    fn check_owner(&mut self, seen: &[Seen; 2], runs: [bool; 2]) -> Result<(), String> {
        if runs == [true, true] && !self.forced {
            return Err("it runs at both".into());
        }
        let owns = Side::BOTH.map(|side| seen[side as usize].says.owns(side == Side::A));
        if owns == [true, true] && !self.forced {
            return Err(format!("both journals let it run: {:?}", seen.map(|s| s.says)));
        }
        if owns == [false, false] && seen.iter().all(|seen| seen.says.waits().is_none()) {
            return Err(format!("it was given to nobody: {:?}", seen.map(|s| s.says)));
        }
        for side in Side::BOTH {
            self.check_epoch(seen, side)?;
        }
        match Side::BOTH.into_iter().find(|&side| runs[side as usize] && !owns[side as usize]) {
            Some(side) => Err(format!("it runs at {side}, whose journal does not let it")),
            None => Ok(()),
        }
    }

    /// Has it come to a side at an epoch at which it may?
    fn check_epoch(&mut self, seen: &[Seen; 2], side: Side) -> Result<(), String> {
        let Some((_, epoch, owned)) = seen[side as usize].says.came else { return Ok(()) };
        if owned == 0 {
            return Ok(());
        }
        if owned <= epoch {
            return Err(format!("it came at epoch {owned} and had left at epoch {epoch}"));
        }
        let before = std::mem::replace(&mut self.epochs[side as usize], owned);
        if owned < before {
            return Err(format!(
                "it came to {side} at epoch {owned}, and was there at epoch {before} before"
            ));
        }
        let other = side.other();
        let given = seen[other as usize].says.left.is_some_and(|(state, left)| {
            left > epoch || left == epoch && matches!(state, State::Commit | State::Released)
        });
        if owned == epoch + 1 && !given {
            return Err(format!(
                "it came to {side} at epoch {owned}, and {other} has not given it away"
            ));
        }
        Ok(())
    }
}
