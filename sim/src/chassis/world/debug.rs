//! A world that a debugger watches.
//!
//! It stops as a whole: between two turns, or in the middle of a slice, in which case
//! its domains are held where they are. Domains do not see each other inside a slice, so
//! who goes on first, and who has reached the grid line already when another is stopped,
//! makes no difference to anybody.

use super::{Round, World};
use crate::chassis::pool::Slice;
use crate::gdb::{Bell, Debug, Go, Points, Reason, Thread, View};
use std::sync::Arc;
use sun4v::id::GuestId;

/// What a debugger has said.
pub(super) struct Watch {
    points: Arc<Points>,
    bell: Bell,
    go: Go,
    /// Stop before a domain executes anything.
    first: bool,
}

/// Why a world has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A virtual CPU has met with something.
    At(Thread, Reason),
    /// The bell was rung, or the first domain is about to run.
    Bell,
}

impl World {
    /// Begins to heed a debugger: its bell, and before a domain executes anything.
    pub fn watch(&mut self, bell: Bell) {
        self.watch = Some(Watch { points: Arc::default(), bell, go: Go::default(), first: true });
    }

    /// Has a domain been about to execute something since [`World::watch`]?
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.watch.as_ref().is_none_or(|watch| !watch.first)
    }

    /// Says where to stop.
    pub fn arm(&mut self, points: Arc<Points>) {
        if let Some(watch) = &mut self.watch {
            watch.points = points;
        }
    }

    /// Says how to go on.
    pub fn set_go(&mut self, go: Go) {
        if let Some(watch) = &mut self.watch {
            watch.go = go;
        }
    }

    /// Why it has stopped, once; until this is asked for it does not go on.
    pub fn take_stop(&mut self) -> Option<Stop> {
        self.stop.take()
    }

    /// Every virtual CPU that executes instructions, as `CHASSIS.DOMAIN.NUMBER`.
    #[must_use]
    pub fn threads(&self) -> Vec<(Thread, String)> {
        let mut threads = Vec::new();
        for (number, server) in self.servers.iter().enumerate() {
            let held = self.held.iter().flat_map(|round| &round.slices);
            let held = held.filter(|slice| slice.server == number);
            let held = held.map(|slice| (slice.id(), &*slice.domain, slice.guest.name()));
            for (guest, domain, name) in server.domains().chain(held) {
                threads.extend(domain.vcpus().map(|vcpu| {
                    let thread = Thread { server: number as u8, guest, vcpu };
                    (thread, format!("{}.{name}.{vcpu}", server.name()))
                }));
            }
        }
        threads.sort();
        threads
    }

    /// A virtual CPU as a debugger sees it.
    pub fn view(&mut self, thread: Thread) -> Option<View<'_>> {
        let Thread { server, guest, vcpu } = thread;
        let mut held = self.held.iter_mut().flat_map(|round| &mut round.slices);
        let is = |at: usize, id: GuestId| (at, id) == (usize::from(server), guest);
        if let Some(slice) = held.find(|slice| is(slice.server, slice.guest.id)) {
            return slice.domain.view(vcpu, &slice.guest);
        }
        self.servers.get_mut(usize::from(server))?.view(guest, vcpu)
    }

    /// Does the bell ring? Then it has stopped.
    pub(super) fn is_rung(&mut self) -> bool {
        let rings = self.watch.as_ref().is_some_and(|watch| watch.bell.rings());
        if rings {
            self.stop = Some(Stop::Bell);
        }
        rings
    }

    /// Gives the domains of a round what they need to know; `None` when they have to
    /// wait.
    pub(super) fn watched(&mut self, mut round: Round) -> Option<Round> {
        let watch = self.watch.as_mut()?;
        for slice in &mut round.slices {
            let here = |thread: &Thread| {
                (usize::from(thread.server), thread.guest) == (slice.server, slice.guest.id)
            };
            let step = watch.go.step.filter(here).map(|thread| thread.vcpu);
            let (points, bell) = (Arc::clone(&watch.points), watch.bell.clone());
            slice.domain.set_debug(Some(Debug { points, step, bell }));
        }
        if std::mem::take(&mut watch.first) {
            self.held = Some(round);
            self.stop = Some(Stop::Bell);
            return None;
        }
        Some(round)
    }

    /// Holds a round in which the domain `at` has stopped. Of the others that have, too,
    /// a breakpoint will be met again; a watchpoint would not.
    pub(super) fn keep(&mut self, mut round: Round, at: usize) {
        for (index, slice) in round.slices.iter_mut().enumerate() {
            let stop = match slice.stop {
                Some((_, Reason::Watch { .. })) if index != at => continue,
                _ => slice.stop.take().filter(|_| index == at),
            };
            if let Some((vcpu, reason)) = stop {
                let server = slice.server as u8;
                let thread = Thread { server, guest: slice.guest.id, vcpu };
                self.stop = Some(match reason {
                    Reason::Bell => Stop::Bell,
                    reason => Stop::At(thread, reason),
                });
            }
        }
        self.held = Some(round);
    }

    /// Goes on with a round that was held, first with the domain that the others can
    /// wait for.
    pub(super) fn go_on(&mut self, round: Round) -> Option<(sun4v::time::SimTime, u64)> {
        let alone = self.watch.as_ref().and_then(|watch| watch.go.alone);
        let mut round = self.watched(round)?;
        let mut order: Vec<usize> = (0..round.slices.len()).collect();
        order.sort_by_key(|&index| {
            let slice = &round.slices[index];
            let wanted = alone.is_some_and(|thread| {
                (usize::from(thread.server), thread.guest) == (slice.server, slice.guest.id)
            });
            !wanted
        });
        for index in order {
            let slice = &mut round.slices[index];
            if slice.stop.is_none() {
                slice.run();
            }
            if slice.stop.is_some() {
                self.keep(round, index);
                return None;
            }
        }
        self.finish(round)
    }
}
