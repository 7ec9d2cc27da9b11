//! The domain becomes this end's: by the source's word, or by an operator's.

use super::super::Phase;
use super::super::fixed_time::Step;
use super::super::journal::State;
use super::super::mutant::{self, Mutant};
use super::super::port::{HvRequest, Io, Tag};
use super::{Stage, Target};
use sun4v::time::SimTime;

/// An operator may take a domain over from a source that stays connected and says
/// nothing for so long.
const SILENCE: SimTime = SimTime::secs(10);

impl Target {
    /// An operator says that the source never comes back: the domain is ours from now
    /// on, at an epoch that is newer than whatever the source may say.
    ///
    /// # Errors
    /// There is nothing to take over, or the source is there and will decide.
    pub fn take_over(&mut self, io: &mut Io<'_>) -> Result<(), String> {
        let (name, peer) = (self.name(), self.peer().to_owned());
        if self.stage != Stage::Verified {
            return Err(format!("LDom {name} does not wait for {peer} to decide"));
        }
        if self.connected && io.ports.now() < self.verified_at.plus(SILENCE) {
            return Err(format!("{peer} is connected and about to decide who has LDom {name}"));
        }
        let by = if mutant::is(Mutant::ForceRaisesByOne) { 1 } else { 2 };
        let epoch = self.offer.as_ref().map_or(0, |offer| offer.epoch) + by;
        io.ports.log(format!(
            "migration of {name}: taken over from {peer} by an operator, at epoch {epoch}"
        ));
        self.take(io, epoch);
        Ok(())
    }

    pub(super) fn take(&mut self, io: &mut Io<'_>, epoch: u64) {
        self.phase = Phase::HandOff;
        self.owned = epoch;
        self.record(io, State::Activated);
        self.show(io);
        if mutant::is(Mutant::RunsBeforeDurable) {
            io.hv.request(io.ports, HvRequest::Resume(self.guest));
        }
    }

    /// It is ours, and the journal says so: an owner of before is locked out first.
    pub(super) fn run(&mut self, io: &mut Io<'_>) {
        let name = self.name();
        self.stage = Stage::Claim(io.fence.claim(io.ports, &name, self.owned));
        if mutant::is(Mutant::RunsBeforeClaimed) {
            self.go(io);
        }
    }

    pub(super) fn claimed(&mut self, io: &mut Io<'_>, tag: Tag, result: Result<(), String>) {
        if self.stage != Stage::Claim(tag) {
            return;
        }
        match result {
            Ok(()) => self.go(io),
            Err(why) => {
                // Somebody has it at a newer epoch: that is for the operators.
                let name = self.name();
                io.ports.log(format!("migration of {name}: it is here and does not run: {why}"));
                self.activate(io);
            }
        }
    }

    pub(super) fn go(&mut self, io: &mut Io<'_>) {
        if self.is_active() { self.step(io, Step::Resume) } else { self.activate(io) }
    }

    pub(super) fn activate(&mut self, io: &mut Io<'_>) {
        let name = self.name();
        let tag = io.manager.activate(io.ports, &name, self.owned);
        self.stage = Stage::Activate(tag);
        self.answer(io);
        let took = io.ports.now().since(self.began);
        let line = format!("migration of {name} from {}: it is here", self.peer());
        // Nobody knows when one began that goes on from the journal.
        let seconds = Some(took.as_secs_f64()).filter(|_| !self.recalled);
        io.ports.log(seconds.map_or(line.clone(), |took| format!("{line}; {took:.3} s")));
        let values = vec![
            ("took_us", took.as_us()),
            ("opened_bytes", self.link.opened_bytes),
            ("chunks", self.arriver.written()),
        ];
        self.observe(io, "taken over", values);
    }
}
