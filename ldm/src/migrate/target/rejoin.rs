//! A connection that is lost while memory moves: the shell stays for a while, with what it has got.

use super::super::codec::Message;
use super::super::port::Io;
use super::{Stage, Target};
use sun4v::time::SimTime;

/// How long the source may be away: longer than it tries, since either end may notice late
/// that the wire is gone.
const REJOIN: SimTime = SimTime::secs(60);

impl Target {
    /// Memory comes, and the domain runs at the source, or may.
    pub(super) fn can_rejoin(&self) -> bool {
        self.stage == Stage::Receive && self.is_active() && self.state.is_empty()
    }

    pub(super) fn interrupted(&mut self, io: &mut Io<'_>) {
        self.away = true;
        self.step_due = io.ports.now().plus(REJOIN);
        io.ports.set_timer(self.step_due, self.timer);
        let (name, peer) = (self.name(), self.peer());
        io.ports.log(format!(
            "migration of {name}: the connection was lost while memory moves: {peer} may go on for \
             {} s",
            REJOIN.as_us() / 1_000_000
        ));
    }

    /// The source is there again: it hears what has arrived, and sends the rest.
    pub(super) fn rejoin(&mut self, io: &mut Io<'_>) {
        self.away = false;
        self.arriver.acknowledge(true);
        let (received, written) = (self.arriver.received(), self.arriver.acknowledged());
        let (ended, acknowledged) = (self.ended, self.acknowledged);
        self.say(io, Message::Rejoined { received, written, ended, acknowledged });
    }
}
