//! What moves over channels at a boundary: packets, link states, console
//! characters, copies.

use super::{Copy, PACKETS_A_STEP, PeerView, copy};
use crate::Hypervisor;
use crate::console::Console;
use crate::guest::GuestState;
use crate::platform::Machine;
use std::collections::BTreeSet;
use sun4v::hcall::HvError;
use sun4v::hvmd::LdcTarget;
use sun4v::id::{GuestId, LdcId};

/// One end of a channel.
type End = (GuestId, LdcId);

impl Hypervisor {
    /// The other end of an endpoint, when it exists and points back.
    fn peer(&self, (id, channel): End) -> Option<End> {
        let conf = self.guest(id)?.endpoints.get(&channel)?.conf;
        let LdcTarget::Guest { guest, channel: other } = conf.target else { return None };
        let back = self.guest(guest)?.endpoints.get(&other)?.conf.target;
        (back == LdcTarget::Guest { guest: id, channel }).then_some((guest, other))
    }

    /// Publishes receive queues that changed and moves packets, for every endpoint
    /// that was touched since the last boundary, in order; [`PACKETS_A_STEP`] each way.
    pub(crate) fn move_packets(&mut self, machine: &mut dyn Machine) {
        let mut touched: Vec<End> = Vec::new();
        for guest in self.guests.values_mut().flatten() {
            let id = guest.id;
            touched.extend(std::mem::take(&mut guest.stirred).into_iter().map(|end| (id, end)));
        }
        let mut forwarded: BTreeSet<End> = BTreeSet::new();
        for end in touched {
            if self.control == Some(end) {
                self.serve(machine);
                continue;
            }
            self.publish(end, machine);
            // A sender has new packets; a receiver has new room.
            for end in [Some(end), self.peer(end)].into_iter().flatten() {
                if forwarded.insert(end) {
                    self.forward(end, machine);
                }
            }
        }
    }

    /// Tells the peer that this end's receive queue changed.
    fn publish(&mut self, end: End, machine: &mut dyn Machine) {
        let Some(peer) = self.peer(end) else { return };
        let suspended = self.is_suspended(end.0);
        let Some(own) = self.guest_mut(end.0).and_then(|guest| guest.endpoints.get_mut(&end.1))
        else {
            return;
        };
        if !std::mem::take(&mut own.rx_changed) {
            return;
        }
        let receives = own.rx.is_configured() && !suspended;
        let reset = std::mem::take(&mut own.rx_reset);
        let Some(guest) = self.guest_mut(peer.0) else { return };
        let Some(other) = guest.endpoints.get_mut(&peer.1) else { return };
        other.peer.receives = receives;
        other.peer.reset |= reset;
        if other.conf.private_console {
            if let Some(console) = &mut guest.console {
                console.connected = receives;
            }
            // The hypervisor itself reads what is for a console.
            if let Some(own) = self.guest_mut(end.0).and_then(|own| own.endpoints.get_mut(&end.1)) {
                own.peer.receives = true;
            }
        } else {
            guest.raise_ldc(machine.cpus(peer.0), peer.1);
        }
    }

    /// Does nothing of this guest's happen?
    fn is_suspended(&self, id: GuestId) -> bool {
        self.guest(id).is_some_and(|guest| guest.state == GuestState::Suspended)
    }

    /// Tells every peer of a guest anew whether its receive queues take packets.
    pub(crate) fn republish(&mut self, id: GuestId, machine: &mut dyn Machine) {
        let Some(guest) = self.guest_mut(id) else { return };
        let mut ends = Vec::new();
        for (&channel, end) in &mut guest.endpoints {
            end.rx_changed |= end.rx.is_configured();
            end.rx_reset |= end.rx.is_configured();
            ends.push((id, channel));
        }
        ends.into_iter().for_each(|end| self.publish(end, machine));
    }

    /// Shows a guest that goes on the state of its channels as they are here, each as
    /// RESET, and rings.
    pub(crate) fn reconnect(&mut self, id: GuestId, machine: &mut dyn Machine) {
        let Some(guest) = self.guest(id) else { return };
        let channels: Vec<LdcId> = guest.endpoints.keys().copied().collect();
        for channel in channels {
            let Some(peer) = self.peer((id, channel)) else { continue };
            let other = self.guest(peer.0).and_then(|guest| guest.endpoints.get(&peer.1));
            let receives =
                other.is_some_and(|end| end.rx.is_configured()) && !self.is_suspended(peer.0);
            let Some(guest) = self.guest_mut(id) else { return };
            guest.stirred.insert(channel);
            let Some(own) = guest.endpoints.get_mut(&channel) else { continue };
            own.peer = PeerView { receives, reset: true };
            if own.conf.private_console {
                if let Some(console) = &mut guest.console {
                    console.connected = receives;
                }
            } else {
                guest.raise_ldc(machine.cpus(id), channel);
            }
        }
    }

    /// Moves packets of `from` into its peer's receive queue, as far as there is room.
    fn forward(&mut self, from: End, machine: &mut dyn Machine) {
        let Some(to) = self.peer(from) else { return };
        if self.is_suspended(from.0) || self.is_suspended(to.0) {
            return;
        }
        let private = |hv: &Self, (id, channel): End| {
            hv.guest(id)
                .and_then(|guest| guest.endpoints.get(&channel))
                .is_some_and(|end| end.conf.private_console)
        };
        if private(self, from) {
            return; // its packets are made by the console
        }
        if private(self, to) {
            return self.console_input(from, to, machine);
        }
        let Some(mut source) = self.take(from.0) else { return };
        // Both ends may be one guest's.
        let same = from.0 == to.0;
        let mut moved = 0;
        let mut was_empty = false;
        if !same
            && let Some(target) = self.guest_mut(to.0)
            && let Some(tx) = source.endpoints.get_mut(&from.1).map(|end| &mut end.tx)
            && let Some(rx) = target.endpoints.get_mut(&to.1).map(|end| &mut end.rx)
        {
            was_empty = rx.is_empty();
            while moved < PACKETS_A_STEP && rx.room() > 0 {
                let Some(packet) = tx.pop(machine.memory()) else { break };
                rx.push(machine.memory(), &packet);
                moved += 1;
            }
            if moved == PACKETS_A_STEP {
                source.stirred.insert(from.1);
            }
        }
        self.put(source);
        if moved > 0
            && was_empty
            && let Some(target) = self.guest_mut(to.0)
        {
            target.raise_ldc(machine.cpus(to.0), to.1);
        }
    }

    /// Packets of a concentrator for a guest's console, as far as there is room.
    fn console_input(&mut self, from: End, to: End, machine: &mut dyn Machine) {
        let Some(mut guest) = self.take(to.0) else { return };
        let own = self.guest_mut(from.0).and_then(|guest| guest.endpoints.get_mut(&from.1));
        if let Some(console) = &mut guest.console
            && let Some(own) = own
        {
            let mut arrived = false;
            while console.has_room() {
                let Some(packet) = own.tx.pop(machine.memory()) else { break };
                console.packet(&packet);
                arrived = true;
            }
            console.full = !own.tx.is_empty();
            if arrived {
                let ino = console.conf.ino;
                guest.raise_device(machine.cpus(to.0), ino);
            }
        }
        self.put(guest);
    }

    /// Moves console output to concentrators and to the service processor.
    pub(crate) fn move_consoles(&mut self, machine: &mut dyn Machine) {
        let stirred: Vec<_> = self
            .guests
            .values()
            .flatten()
            .filter(|guest| guest.console_stirred && !guest.console_held)
            .map(|guest| guest.id)
            .collect();
        for id in stirred {
            let Some(mut guest) = self.take(id) else { continue };
            guest.console_stirred = false;
            if let Some(console) = &mut guest.console {
                match console.conf.endpoint {
                    None => {
                        for byte in console.output.drain(..).flatten() {
                            machine.sp_console(id, byte);
                        }
                    }
                    Some(channel) => {
                        let target = guest.endpoints.get(&channel).map(|end| end.conf.target);
                        if let Some(LdcTarget::Guest { guest: to, channel }) = target {
                            self.console_output(console, (to, channel), machine);
                        }
                        guest.console_stirred = !console.output.is_empty();
                    }
                }
                // A suspended guest is told when it goes on.
                let awake = guest.state != GuestState::Suspended;
                if console.output.is_empty() && console.blocked && awake {
                    let ino = console.conf.ino;
                    guest.raise_device(machine.cpus(id), ino);
                    if let Some(console) = &mut guest.console {
                        console.blocked = false;
                    }
                }
            }
            self.put(guest);
        }
    }

    fn console_output(&mut self, console: &mut Console, to: End, machine: &mut dyn Machine) {
        let target = self.guest_mut(to.0).filter(|guest| guest.endpoints.contains_key(&to.1));
        let Some(target) = target else {
            console.output.clear();
            return;
        };
        let Some(rx) = target.endpoints.get_mut(&to.1).map(|end| &mut end.rx) else { return };
        if !rx.is_configured() {
            // Nobody listens: what was said is gone.
            console.output.clear();
            return;
        }
        let was_empty = rx.is_empty();
        let mut moved = false;
        while rx.room() > 0 {
            let Some(chars) = console.output.pop_front() else { break };
            rx.push(machine.memory(), &Console::emit(&chars));
            moved = true;
        }
        if moved && was_empty {
            target.raise_ldc(machine.cpus(to.0), to.1);
        }
    }

    /// `ldc_copy`, as far as the peer goes.
    pub(crate) fn ldc_copy(
        &mut self,
        id: GuestId,
        channel: LdcId,
        wanted: Copy,
        machine: &mut dyn Machine,
    ) -> Result<u64, HvError> {
        if self.control == Some((id, channel)) {
            return self.copy_own(id, wanted, machine);
        }
        let (other, end) = self.peer((id, channel)).ok_or(HvError::Channel)?;
        if self.is_suspended(other) {
            return Err(HvError::Channel);
        }
        let (own, theirs) = (self.guest(id), self.guest(other));
        let (own, theirs) = (own.ok_or(HvError::Channel)?, theirs.ok_or(HvError::Channel)?);
        let end = theirs.endpoints.get(&end).ok_or(HvError::Channel)?;
        if end.conf.private_console {
            return Err(HvError::Channel);
        }
        let memory = machine.memory();
        copy(memory, &own.map, &theirs.map, end.table, wanted)
    }
}
