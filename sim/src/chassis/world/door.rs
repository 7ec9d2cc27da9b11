//! A world and what is outside of it: who sits at its consoles, which network of the host
//! joins one of its own, what enters and what leaves.
//!
//! [`World::run_marks`] moves it in steps from mark to mark ([`crate::outside`]). Which
//! turns there are depends on the world and on what enters it, not on how far its caller
//! lets it go at a time: so the same inputs at the same marks give the same run.
//!
//! **Errors.** As the world's.

use super::{World, WorldError};
use crate::chassis::server::Life;
use crate::chassis::slice::grid_after;
use crate::net::link::Link;
use crate::outside::{Input, Output, mark};
use sun4v::time::SimTime;

/// A frame has two addresses and a type.
const FRAME_BYTES_MIN: usize = 14;
/// The port of the host on a network of the lab.
const HOST: &str = "host";

impl World {
    /// Somebody sits down at the console of a domain, from its beginning on.
    pub fn attend(&mut self, place: &str, domain: &str) {
        self.outside.attend(place, domain);
    }

    /// Joins a network of the host to `network`, by a link. A frame arrives there as an
    /// [`Output`] and comes from there as an [`Input`].
    ///
    /// # Errors
    /// There is no such network.
    pub fn join_host(&mut self, network: &str, link: Link) -> Result<(), WorldError> {
        let id = self.lab.network(network);
        let id = id.ok_or_else(|| WorldError::Place(network.to_owned()))?;
        let outlet = self.lab.add_outlet(id, HOST, link);
        self.outside.join(network, outlet);
        Ok(())
    }

    /// Puts in what enters at the next mark; when that is.
    pub fn put(&mut self, input: Input) -> SimTime {
        let at = self.mark_after(self.now);
        self.outside.put(at, input);
        at
    }

    /// Puts in what enters at `at`, not earlier than what was put before and later than
    /// now.
    pub fn put_at(&mut self, at: SimTime, input: Input) {
        self.outside.put(at, input);
    }

    /// How many characters the console of a domain takes; `None` where there is none yet,
    /// or nobody sits at it.
    #[must_use]
    pub fn console_room(&self, place: &str, domain: &str) -> Option<usize> {
        self.outside.room(place, domain)
    }

    /// What has left since the last call, in order.
    pub fn take_output(&mut self) -> Vec<Output> {
        self.outside.take_output()
    }

    /// What becomes of a domain; `None` where there is none of that name.
    #[must_use]
    pub fn life(&self, place: &str, domain: &str) -> Option<Life> {
        self.servers.iter().find(|server| server.name() == place)?.life(domain)
    }

    /// The first mark after `time`.
    #[must_use]
    pub fn mark_after(&self, time: SimTime) -> SimTime {
        grid_after(time, mark(self.slice))
    }

    /// The last mark not after `time`.
    #[must_use]
    pub fn mark_before(&self, time: SimTime) -> SimTime {
        let mark = mark(self.slice).0;
        SimTime(time.0 / mark * mark)
    }

    /// When something happens next: not after now where a domain can execute.
    #[must_use]
    pub fn next_time(&self) -> SimTime {
        let domains = self.servers.iter().map(|server| server.next_domain(None));
        let domain = domains.min().unwrap_or(SimTime::NEVER);
        self.next_due(grid_after(self.now, self.slice)).min(domain)
    }

    /// Goes on towards the mark `until`: over time in which nothing happens, and then to
    /// the mark behind the next thing that does, no further.
    ///
    /// # Errors
    /// The script fails.
    pub fn run_marks(&mut self, until: SimTime) -> Result<(), WorldError> {
        let next = self.next_time();
        if next > until {
            // No turn: it would not be there if somebody had let the world go further.
            self.now = self.now.max(until);
            return Ok(());
        }
        // A mark at which something happens is itself behind it.
        let end = self.mark_after(self.now.max(SimTime(next.0.saturating_sub(1))));
        while self.now < end {
            self.step(end)?;
        }
        Ok(())
    }

    /// Something enters, now.
    pub(super) fn enter(&mut self, input: Input) {
        match input {
            Input::Console { place, domain, input } => {
                let mut servers = self.servers.iter_mut();
                if let Some(server) = servers.find(|server| server.name() == place) {
                    server.console(domain, input);
                }
            }
            Input::Frame { network, bytes } if bytes.len() >= FRAME_BYTES_MIN => {
                if let Some(outlet) = self.outside.outlet(&network) {
                    self.lab.send(outlet, bytes, self.now);
                }
            }
            Input::Frame { .. } => {}
        }
    }
}
