//! The virtual switch: guests' virtual networks, the physical network, and the
//! control domain itself.
//!
//! **Protocol.** vnet 1.0 to 1.6 as switch, transmit rings in both directions.
//! When a link comes up the switch sends its VER and goes through its own half of
//! every step (VER, ATTR, DRING_REG, RDX) while it answers the guest's; it begins a
//! step when both halves of the one before are done. Each side has its own session
//! id. Ring messages are numbered from 1; a run of descriptors ends with an
//! acknowledgement in state STOPPED.
//!
//! **Forwarding.** A guest's address is registered by its ATTR. Broadcasts go to
//! everybody, multicasts to who joined them and to the uplink, what is unknown to
//! the uplink only.
//!
//! **A guest that moves.** [`Switch::hold`] lets a guest alone and keeps its frames
//! (two seconds, 1 MB). [`Switch::release`] delivers them where the guest is,
//! [`Switch::depart`] hands them out for the other chassis, where
//! [`Switch::relayed`] takes them in. When a session comes up
//! the switch releases what was held for its address and announces it on the uplink.
//!
//! **Errors.** A violation is refused by NACK and ends the session; a frame that
//! is too long or cannot be read is lost. Nothing that a guest sends panics.
//!
//! **Source.** illumos `vsw*.c`, `vnet_mailbox.h`; Linux `sunvnet_common.c` for what
//! a guest bears.

pub mod frame;
mod port;
pub mod relay;
mod ring;
pub mod table;
#[cfg(test)]
mod test;

pub use port::SwitchPortConf;

use super::host::Host;
use crate::channel::OpenError;
use frame::{Mac, addresses, announcement, is_multicast};
use port::{PortEvent, SwitchPort};
use std::collections::{BTreeMap, VecDeque};
use sun4v::id::LdcId;
use sun4v::time::SimTime;
use table::{Table, Where};

/// Names a port to the control domain: the cookie of its mondos.
pub type PortKey = u64;

/// How long a held frame is kept.
pub const HOLD_TIME: SimTime = SimTime::secs(2);
/// How long frames are sent after a guest that has left: until the switches
/// outside have learnt where it is.
pub const DEPARTED_TIME: SimTime = SimTime::secs(10);
/// Bytes that are held for one address.
pub const HOLD_BYTES: usize = 1 << 20;
/// How often a channel without room is tried again.
const FLUSH_RETRY: SimTime = SimTime::us(100);

/// Frames that wait for a guest.
#[derive(Debug, Default)]
struct Held {
    frames: VecDeque<(SimTime, Vec<u8>)>,
    bytes: usize,
}

impl Held {
    fn push(&mut self, now: SimTime, frame: Vec<u8>) {
        self.expire(now);
        if self.bytes + frame.len() <= HOLD_BYTES {
            self.bytes += frame.len();
            self.frames.push_back((now, frame));
        }
    }
    fn expire(&mut self, now: SimTime) {
        while let Some((at, frame)) = self.frames.front()
            && now.since(*at) > HOLD_TIME
        {
            self.bytes -= frame.len();
            self.frames.pop_front();
        }
    }
}

/// A switch.
#[derive(Debug)]
pub struct Switch {
    /// The control domain's own address.
    own: Mac,
    /// Which network interface is the uplink.
    uplink: Option<u8>,
    ports: BTreeMap<PortKey, SwitchPort>,
    table: Table,
    held: BTreeMap<Mac, Held>,
    /// Guests that left, and until when frames are sent after them.
    departed: BTreeMap<Mac, SimTime>,
    /// Frames to be sent after them.
    relay: Vec<(Mac, Vec<u8>)>,
    /// Frames for the control domain.
    arrived: Vec<Vec<u8>>,
}

impl Switch {
    /// A switch without guests.
    #[must_use]
    pub fn new(own: Mac, uplink: Option<u8>) -> Self {
        let mut table = Table::default();
        table.register(own, Where::Own);
        Self {
            own,
            uplink,
            ports: BTreeMap::new(),
            table,
            held: BTreeMap::new(),
            departed: BTreeMap::new(),
            relay: Vec::new(),
            arrived: Vec::new(),
        }
    }

    /// Opens a port; mondos with cookie `key` are its.
    ///
    /// # Errors
    /// As [`crate::channel::Endpoint::open`].
    pub fn attach(
        &mut self,
        host: &mut Host<'_>,
        key: PortKey,
        conf: SwitchPortConf,
    ) -> Result<(), OpenError> {
        let port = SwitchPort::open(host, key, conf)?;
        self.ports.insert(key, port);
        Ok(())
    }

    /// Closes a port.
    pub fn detach(&mut self, host: &mut Host<'_>, key: PortKey) {
        if let Some(port) = self.ports.remove(&key) {
            self.table.forget_port(Where::Port(key));
            port.close(host);
        }
    }

    /// The port at this channel.
    #[must_use]
    pub fn find(&self, channel: LdcId) -> Option<PortKey> {
        self.ports
            .iter()
            .find_map(|(key, port)| (port.conf().channel.id == channel).then_some(*key))
    }

    /// The address of the guest at a port.
    #[must_use]
    pub fn mac_of(&self, key: PortKey) -> Option<Mac> {
        self.ports.get(&key).map(SwitchPort::mac)
    }

    /// Is the session of the port complete?
    #[must_use]
    pub fn is_up(&self, key: PortKey) -> bool {
        self.ports.get(&key).is_some_and(SwitchPort::is_up)
    }

    /// Handles a port's mondo.
    pub fn mondo(&mut self, host: &mut Host<'_>, key: PortKey) {
        if let Some(port) = self.ports.get_mut(&key) {
            let events = port.service(host);
            self.handle(host, key, events);
        }
    }

    fn handle(&mut self, host: &mut Host<'_>, key: PortKey, events: Vec<PortEvent>) {
        for event in events {
            match event {
                PortEvent::Up => {
                    let Some(mac) = self.mac_of(key) else { continue };
                    self.table.register(mac, Where::Port(key));
                    self.departed.remove(&mac);
                    self.announce(host, mac);
                    self.release(host, mac);
                }
                PortEvent::Down => self.table.forget_port(Where::Port(key)),
                PortEvent::Frame(frame) => self.forward(host, Where::Port(key), frame),
            }
        }
    }

    /// A frame arrived from the physical network.
    pub fn from_uplink(&mut self, host: &mut Host<'_>, frame: Vec<u8>) {
        self.forward(host, Where::Uplink, frame);
    }

    /// The control domain sends a frame.
    pub fn from_own(&mut self, host: &mut Host<'_>, frame: Vec<u8>) {
        self.forward(host, Where::Own, frame);
    }

    /// Frames that arrived for the control domain.
    pub fn take_own(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.arrived)
    }

    fn forward(&mut self, host: &mut Host<'_>, from: Where, frame: Vec<u8>) {
        let Some((to, source)) = addresses(&frame) else { return };
        self.table.learn(source, from);
        if is_multicast(to) {
            let keys: Vec<PortKey> = self.ports.keys().copied().collect();
            for key in keys.into_iter().filter(|key| Where::Port(*key) != from) {
                let Some(port) = self.ports.get_mut(&key) else { continue };
                if let Some(held) = self.held.get_mut(&port.mac())
                    && to == frame::BROADCAST
                {
                    held.push(host.ports.now(), frame.clone());
                } else if port.wants(to) {
                    port.transmit(host, &frame);
                }
            }
            if from != Where::Own {
                self.arrived.push(frame.clone());
            }
            self.leave(host, from, frame);
        } else if let Some(held) = self.held.get_mut(&to) {
            held.push(host.ports.now(), frame);
        } else if from == Where::Uplink
            && self.departed.get(&to).is_some_and(|until| host.ports.now() < *until)
        {
            self.relay.push((to, frame));
        } else {
            match self.table.find(to) {
                Some(Where::Port(key)) if from != Where::Port(key) => {
                    if let Some(port) = self.ports.get_mut(&key) {
                        port.transmit(host, &frame);
                    }
                }
                Some(Where::Port(_)) => {}
                Some(Where::Own) => self.arrived.push(frame),
                Some(Where::Uplink) | None => self.leave(host, from, frame),
            }
        }
    }

    fn leave(&mut self, host: &mut Host<'_>, from: Where, frame: Vec<u8>) {
        if from != Where::Uplink
            && let Some(nic) = self.uplink
        {
            host.ports.send_frame(nic, frame);
        }
    }

    /// Tells the physical network that an address is here.
    pub fn announce(&mut self, host: &mut Host<'_>, mac: Mac) {
        if let Some(nic) = self.uplink {
            host.ports.send_frame(nic, announcement(mac));
        }
    }

    /// Keeps frames for a guest that is yet to come, until its session comes up.
    pub fn expect(&mut self, mac: Mac) {
        self.held.entry(mac).or_default();
    }

    /// Keeps frames for `mac` and lets its guest alone, after taking what the guest
    /// has sent.
    pub fn hold(&mut self, host: &mut Host<'_>, mac: Mac) {
        let key = self.key_of(mac);
        if let Some(key) = key {
            self.mondo(host, key);
        }
        let held = self.held.entry(mac).or_default();
        if let Some(port) = key.and_then(|key| self.ports.get_mut(&key)) {
            for frame in port.hold(host) {
                held.push(host.ports.now(), frame);
            }
        }
    }

    fn key_of(&self, mac: Mac) -> Option<PortKey> {
        self.ports.iter().find_map(|(key, port)| (port.mac() == mac).then_some(*key))
    }

    /// Delivers what was kept for `mac`, wherever it is now, and lets its guest go
    /// on.
    pub fn release(&mut self, host: &mut Host<'_>, mac: Mac) {
        let held = self.held.remove(&mac);
        if let Some(key) = self.key_of(mac)
            && let Some(port) = self.ports.get_mut(&key)
        {
            let events = port.release(host);
            self.handle(host, key, events);
        }
        let Some(mut held) = held else { return };
        held.expire(host.ports.now());
        for (_, frame) in held.frames {
            if let Some(key) = self.key_of(mac)
                && let Some(port) = self.ports.get_mut(&key)
            {
                port.transmit(host, &frame);
            }
        }
    }

    /// The guest has left this chassis: what was kept for it, and what still arrives
    /// for it during [`DEPARTED_TIME`], comes out of [`Switch::take_relay`]. Its
    /// address is not here any longer.
    pub fn depart(&mut self, now: SimTime, mac: Mac) {
        self.table.forget(mac);
        let mut held = self.held.remove(&mac).unwrap_or_default();
        held.expire(now);
        self.relay.extend(held.frames.into_iter().map(|(_, frame)| (mac, frame)));
        self.departed.retain(|_, until| now < *until);
        self.departed.insert(mac, now.plus(DEPARTED_TIME));
    }

    /// Frames for guests that have left, with their addresses.
    pub fn take_relay(&mut self) -> Vec<(Mac, Vec<u8>)> {
        std::mem::take(&mut self.relay)
    }

    /// A frame that another chassis kept arrives for a guest of this one.
    pub fn relayed(&mut self, host: &mut Host<'_>, frame: Vec<u8>) {
        let Some((to, _)) = addresses(&frame) else { return };
        if let Some(held) = self.held.get_mut(&to) {
            held.push(host.ports.now(), frame);
        } else if let Some(Where::Port(key)) = self.table.find(to)
            && let Some(port) = self.ports.get_mut(&key)
        {
            port.transmit(host, &frame);
        }
    }

    /// Does what time brings: held frames grow old, channels are tried again.
    pub fn tick(&mut self, host: &mut Host<'_>) {
        let now = host.ports.now();
        self.held.values_mut().for_each(|held| held.expire(now));
        self.ports.values_mut().for_each(|port| port.flush(host));
    }

    /// When [`Switch::tick`] is due.
    #[must_use]
    pub fn next_tick(&self, now: SimTime) -> SimTime {
        if self.ports.values().any(SwitchPort::is_blocked) {
            now.plus(FLUSH_RETRY)
        } else {
            SimTime::NEVER
        }
    }

    /// The control domain's own address.
    #[must_use]
    pub const fn own(&self) -> Mac {
        self.own
    }
}
