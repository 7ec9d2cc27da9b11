//! A round of a source: pages copied and acknowledged, what was written meanwhile read, and the
//! choice that follows.

use super::super::codec::Message;
use super::super::compress::Packed;
use super::super::fixed_time::Step;
use super::super::mutant::{self, Mutant};
use super::super::pages::PageSet;
use super::super::port::{HvRequest, Io};
use super::super::rounds::{Choice, Round};
use super::super::{Buffers, Phase};
use super::{Source, Stage};
use std::collections::BTreeSet;
use sun4v::addr::{PAGE_SHIFT, Ra};
use sun4v::time::SimTime;

/// What a round has looked at and sent, or all of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    pub(super) pages: u64,
    pub(super) zero: u64,
    pub(super) same: u64,
    pub(super) raw_bytes: u64,
    pub(super) packed_bytes: u64,
}

impl Source {
    pub(super) fn begin_round(&mut self, io: &mut Io<'_>, pages: PageSet) {
        self.round_began = io.ports.now();
        self.figures = Figures { pages: u64::from(pages.count()), ..Figures::default() };
        self.copier.begin(pages);
        self.stage = Stage::Copy;
    }

    pub(super) fn copy(&mut self, io: &mut Io<'_>) {
        let figures = &mut self.figures;
        let mut each = |packed: &Packed| {
            let data = packed.sent.len() as u64 - u64::from(packed.zero);
            figures.zero += u64::from(packed.zero);
            figures.same += u64::from(packed.same);
            figures.raw_bytes += data << PAGE_SHIFT;
            figures.packed_bytes += packed.chunk.plain().len() as u64;
        };
        if self.copier.pump(io, &self.map, &mut self.link, &mut each) {
            let round = self.rounds.len() as u32 + 1;
            let chunks = self.copier.chunks();
            self.say(io, Message::RoundEnd { round, chunks });
            self.stage = Stage::RoundAck;
        }
        self.show(io);
    }

    pub(super) fn round_acknowledged(&mut self, io: &mut Io<'_>, round: u32) {
        if round as usize != self.rounds.len() + 1 || self.copier.unacknowledged() != 0 {
            self.broken(io, "the target acknowledges what was not sent");
            return;
        }
        let took = io.ports.now().since(self.round_began);
        let content = self.figures.raw_bytes >> PAGE_SHIFT;
        let pages = if self.rounds.is_empty() { content } else { self.figures.pages };
        self.rounds.push(Round { pages, took, dirty: 0, held: self.held });
        self.note_round(io, round, took);
        if self.suspended_at.is_some() {
            let (buffer, bytes) = (self.buffers.ra, Buffers::BYTES);
            let request = HvRequest::StateOut { guest: self.guest, buffer, bytes };
            self.stage = Stage::StateOut(io.hv.request(io.ports, request));
        } else {
            self.read_dirty(io);
        }
    }

    pub(super) fn note_round(&mut self, io: &mut Io<'_>, round: u32, took: SimTime) {
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

    pub(super) fn read_dirty(&mut self, io: &mut Io<'_>) {
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

    pub(super) fn dirty_was_read(&mut self, io: &mut Io<'_>) {
        if self.rejoin_by.is_some() {
            // Nothing follows before the target is there again; it is read again then.
            return;
        }
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
            if mutant::is(Mutant::DirtyDropped) {
                dirty = PageSet::none(self.map.len());
            }
            self.begin_round(io, dirty);
            return;
        }
        if let Some(last) = self.rounds.last_mut() {
            last.dirty = u64::from(dirty.count());
        }
        let fixed = self.config.fixed.of(Step::Resume);
        let policy = self.config.policy;
        let choice = policy.choose(&self.rounds, fixed);
        let last = self.rounds.last().copied().unwrap_or_default();
        let figures = format!(
            "{} pages are dirty, {} pages/s are written and {} MB/s copied: the pause would be {} ms \
             of {} ms",
            last.dirty,
            last.dirtied(),
            last.copied() / 1_000_000,
            policy.predict(&last, fixed).as_us() / 1000,
            policy.pause_budget.as_us() / 1000,
        );
        io.ports.log(format!("migration of {}: {figures}: {choice}", self.domain()));
        match choice {
            Choice::Again => self.begin_round(io, dirty),
            Choice::Slow(percent) => {
                self.hold(io, percent);
                self.begin_round(io, dirty);
            }
            Choice::Fits | Choice::Accept(_) => self.suspend(io),
            Choice::GiveUp(why) => self.fail(io, vec![format!("{figures}; {why}")]),
        }
    }

    /// Has the domain's virtual CPUs held for a share of the time. They go on at full
    /// speed when the log ends.
    pub(super) fn hold(&mut self, io: &mut Io<'_>, percent: u8) {
        self.held = percent;
        let guest = self.guest;
        self.holding = Some(io.hv.request(io.ports, HvRequest::Hold { guest, percent }));
        self.observe(io, "held", vec![("percent", percent.into())]);
    }

    pub(super) fn suspend(&mut self, io: &mut Io<'_>) {
        self.enter(io, Phase::Suspend);
        self.step(io, Step::Quiesce);
    }
}
