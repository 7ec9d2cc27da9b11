//! A connection that is lost while memory moves: the domain runs on, its log stays on, and once
//! the target is met again, what it has not got is sent again.

use super::super::codec::Message;
use super::super::port::Io;
use super::{Source, Stage};
use sun4v::time::SimTime;

/// How long the target may be away.
pub(super) const REJOIN: SimTime = SimTime::secs(30);

impl Source {
    /// Memory moves and the domain runs.
    pub(super) const fn can_rejoin(&self) -> bool {
        let copies = matches!(
            self.stage,
            Stage::LogStart(_) | Stage::Copy | Stage::RoundAck | Stage::Dirty(_)
        );
        copies && self.suspended_at.is_none()
    }

    pub(super) fn interrupted(&mut self, io: &mut Io<'_>) {
        if self.rejoin_by.is_some() {
            return;
        }
        let by = io.ports.now().plus(REJOIN);
        self.rejoin_by = Some(by);
        io.ports.set_timer(by, self.request.timer);
        io.ports.log(format!(
            "migration of {}: the connection was lost while memory moves: calling {} again for {} s",
            self.domain(),
            self.peer(),
            REJOIN.as_us() / 1_000_000
        ));
        self.observe(io, "interrupted", vec![("chunks", self.copier.chunks())]);
        if self.held > 0 {
            // Nobody copies what it does not write.
            let held = self.held;
            self.hold(io, 0);
            self.held = held;
        }
    }

    /// The target has said how far it is: chunks, and rounds.
    pub(super) fn rejoined(
        &mut self,
        io: &mut Io<'_>,
        (received, written): (u64, u64),
        (ended, acknowledged): (u32, u32),
    ) {
        self.rejoin_by = None;
        self.copier.acknowledged(written);
        let again = self.copier.chunks().saturating_sub(received);
        if !self.copier.send_again(io, &mut self.link, received) {
            self.broken(io, "the target has what was not sent, or not what it acknowledged");
            return;
        }
        io.ports.log(format!(
            "migration of {}: {} is there again, and gets {again} chunks again",
            self.domain(),
            self.peer()
        ));
        self.observe(io, "rejoined", vec![("chunks", received), ("again", again)]);
        if self.held > 0 {
            self.hold(io, self.held);
        }
        let round = self.rounds.len() as u32 + 1;
        match &self.stage {
            Stage::RoundAck if acknowledged == round => self.round_acknowledged(io, round),
            Stage::RoundAck if ended < round => {
                let chunks = self.copier.chunks();
                self.say(io, Message::RoundEnd { round, chunks });
            }
            Stage::Dirty(tags) if tags.is_empty() => self.read_dirty(io),
            _ => {}
        }
    }
}
