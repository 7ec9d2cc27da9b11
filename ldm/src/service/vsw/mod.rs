//! The virtual switch: guests' virtual networks, the physical network, and the
//! control domain itself.
//!
//! **Protocol.** vnet 1.0 to 1.8 as switch, transmit rings in both directions.
//! When a link comes up the switch sends its VER and goes through its own half of
//! every step (VER, ATTR, DRING_REG, RDX) while it answers the guest's. Each side has
//! its own session id. Ring messages are numbered from 1; a run of descriptors ends
//! with an acknowledgement in state STOPPED.
//!
//! **Forwarding.** A guest's address is the one in the machine description, registered
//! while its session is up; others are learnt. Broadcasts go to everybody, multicasts to
//! who joined them (or has joined none yet) and to the uplink, what is unknown to the
//! uplink and to guests behind which other addresses have been seen: nobody else can
//! have it. No frame goes back to where it came from. Each VLAN is a network of its own;
//! frames of the default VLAN have no tag on the uplink.
//!
//! **Long TCP.** A guest may leave the cutting into segments to the switch. Frames stay
//! whole for guests that take them so, and are cut for all others, the uplink and the
//! control domain.
//!
//! **A guest that moves.** [`Switch::hold`] lets a guest alone and keeps its frames
//! (two seconds, 1 MB). [`Switch::release`] delivers them where the guest is,
//! [`Switch::depart`] hands them out for the other chassis, where
//! [`Switch::relayed`] takes them in. When a session comes up
//! the switch releases what was held for its address and announces it on the uplink.
//!
//! **A guest that is given away.** [`Switch::shut`] closes its port: what it sends is not
//! looked at, nothing reaches it, and nothing is announced for it, until [`Switch::open`].
//! Only the switch's owner knows who has a guest. A frame says whose address it bears and
//! never at which epoch, and anybody can send one, so no frame shuts or opens a port.
//!
//! **Errors.** A violation is refused by NACK and ends the session; a frame that
//! is too long, of a foreign VLAN or not to be read is lost and counted. Nothing that a
//! guest sends panics, and what waits for a guest is bounded in bytes.
//!
//! **Source.** illumos `vsw*.c`, `vnet_mailbox.h`; Linux `sunvnet_common.c`, `viohs.c`
//! and OpenBSD `vnet.c` for what a guest bears. IEEE 802.1D, 802.1Q.

pub mod frame;
mod offload;
mod port;
pub mod relay;
mod ring;
pub mod table;
#[cfg(test)]
mod test;
pub mod vlan;

pub use port::{Counters, SwitchPortConf};
pub use vlan::Vlans;

use super::host::Host;
use crate::channel::OpenError;
use frame::{BROADCAST, Frame, HEADER, Mac, announcement, is_multicast};
use port::{PortEvent, SwitchPort};
use std::collections::{BTreeMap, VecDeque};
use sun4v::id::LdcId;
use sun4v::time::SimTime;
use table::{Table, Where};
use vlan::{Form, VlanId};

/// Names a port to the control domain: the cookie of its mondos.
pub type PortKey = u64;

/// How long a held frame is kept.
pub const HOLD_TIME: SimTime = SimTime::secs(2);
/// How long frames are sent after a guest that has left: until the switches
/// outside have learnt where it is.
pub const DEPARTED_TIME: SimTime = SimTime::secs(10);
/// Bytes that are held for one address.
pub const HOLD_BYTES: usize = 1 << 20;
/// Bytes of frames that one guest's messages may bring before they are forwarded.
const TAKEN_BYTES: usize = 1 << 20;
/// How often a channel without room is tried again.
const FLUSH_RETRY: SimTime = SimTime::us(100);

/// Frames that wait for a guest.
#[derive(Debug, Default)]
struct Held {
    frames: VecDeque<(SimTime, Frame)>,
    bytes: usize,
}

impl Held {
    fn push(&mut self, now: SimTime, frame: Frame) {
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

/// What a switch is configured to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchConf {
    /// Its own address, if it has no interface whose address it takes.
    pub mac: Mac,
    /// The longest IP packet.
    pub mtu: u64,
    /// The VLAN that has no tags on the uplink.
    pub default_vlan: VlanId,
    /// The control domain's VLANs.
    pub vlans: Vlans,
}

/// A switch.
#[derive(Debug)]
pub struct Switch {
    /// The control domain's own address.
    own: Mac,
    /// Which network interface is the uplink.
    uplink: Option<u8>,
    conf: SwitchConf,
    ports: BTreeMap<PortKey, SwitchPort>,
    table: Table,
    held: BTreeMap<Mac, Held>,
    /// Guests that left, and until when frames are sent after them.
    departed: BTreeMap<Mac, SimTime>,
    /// Frames to be sent after them, as they are on the uplink.
    relay: Vec<(Mac, Vec<u8>)>,
    /// Frames for the control domain.
    arrived: Vec<Vec<u8>>,
}

impl Switch {
    /// A switch without guests; the control domain is at it with address `own`.
    #[must_use]
    pub fn new(own: Mac, uplink: Option<u8>, conf: SwitchConf) -> Self {
        let mut table = Table::default();
        table.register(own, Where::Own);
        Self {
            own,
            uplink,
            conf,
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
        let port = SwitchPort::open(host, key, conf, self.uplink.is_some())?;
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

    /// What has become of a port's frames.
    #[must_use]
    pub fn counters(&self, key: PortKey) -> Option<Counters> {
        self.ports.get(&key).map(SwitchPort::counters)
    }

    /// Handles a port's mondo.
    pub fn mondo(&mut self, host: &mut Host<'_>, key: PortKey) {
        let Some(port) = self.ports.get_mut(&key) else { return };
        let arrived = port.receive(host);
        let mut events = Vec::new();
        for event in arrived {
            let Some(port) = self.ports.get_mut(&key) else { return };
            let goes_on = port.take(host, event, &mut events);
            let frames = events.iter().map(|event| match event {
                PortEvent::Frame(frame) => frame.len(),
                PortEvent::Up | PortEvent::Down => 0,
            });
            if frames.sum::<usize>() > TAKEN_BYTES {
                self.handle(host, key, std::mem::take(&mut events));
            }
            if !goes_on {
                break;
            }
        }
        self.handle(host, key, events);
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
        if let Some(frame) = Frame::received(frame, 0, self.conf.default_vlan) {
            self.forward(host, Where::Uplink, frame);
        }
    }

    /// The control domain sends a frame.
    pub fn from_own(&mut self, host: &mut Host<'_>, frame: Vec<u8>) {
        if let Some(frame) = Frame::received(frame, 0, self.conf.vlans.untagged)
            && self.conf.vlans.form(frame.vlan()).is_some()
        {
            self.forward(host, Where::Own, frame);
        }
    }

    /// Frames that arrived for the control domain.
    pub fn take_own(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.arrived)
    }

    fn forward(&mut self, host: &mut Host<'_>, from: Where, frame: Frame) {
        let now = host.ports.now();
        let (to, source) = (frame.to(), frame.from());
        self.table.learn(source, from, now);
        if let Where::Port(key) = from
            && let Some(port) = self.ports.get_mut(&key)
        {
            port.bridges |= source != port.mac();
        }
        if is_multicast(to) {
            for (key, port) in &mut self.ports {
                if Where::Port(*key) == from {
                    continue;
                }
                if let Some(held) = self.held.get_mut(&port.mac())
                    && to == BROADCAST
                {
                    held.push(now, frame.clone());
                } else if port.wants(to) {
                    port.transmit(host, &frame);
                }
            }
            if from != Where::Own {
                self.arrive(host, frame.clone());
            }
            self.leave(host, from, frame);
        } else if let Some(held) = self.held.get_mut(&to) {
            held.push(now, frame);
        } else if from == Where::Uplink && self.departed.get(&to).is_some_and(|until| now < *until)
        {
            self.follow(host, to, frame);
        } else {
            match self.table.find(to, now) {
                Some(at) if at == from => {}
                Some(Where::Port(key)) => {
                    if let Some(port) = self.ports.get_mut(&key) {
                        port.transmit(host, &frame);
                    }
                }
                Some(Where::Own) => self.arrive(host, frame),
                Some(Where::Uplink) => self.leave(host, from, frame),
                None => {
                    for (key, port) in &mut self.ports {
                        if port.bridges && Where::Port(*key) != from {
                            port.transmit(host, &frame);
                        }
                    }
                    self.leave(host, from, frame);
                }
            }
        }
    }

    /// A frame as others than guests have it: cut into segments if it is to be.
    fn cut(&self, host: &mut Host<'_>, frame: Frame, form: Form) -> Vec<Vec<u8>> {
        let Some(mss) = frame.mss else { return vec![frame.into_wire(form)] };
        let longest = self.conf.mtu as usize + HEADER;
        host.ports.charge(host.cost.copy(frame.len() as u64));
        let segments = offload::segments(frame.bytes(), mss.into(), longest).unwrap_or_default();
        host.ports.charge(host.cost.frame * segments.len().saturating_sub(1) as u64);
        segments.into_iter().map(|bytes| frame.again(bytes).into_wire(form)).collect()
    }

    /// A frame for the control domain.
    fn arrive(&mut self, host: &mut Host<'_>, frame: Frame) {
        if let Some(form) = self.conf.vlans.form(frame.vlan()) {
            let frames = self.cut(host, frame, form);
            self.arrived.extend(frames);
        }
    }

    /// How a VLAN's frames look on the uplink.
    fn form_outside(&self, vlan: VlanId) -> Form {
        if vlan == self.conf.default_vlan { Form::Untagged } else { Form::Tagged }
    }

    fn leave(&mut self, host: &mut Host<'_>, from: Where, frame: Frame) {
        if from != Where::Uplink
            && let Some(nic) = self.uplink
        {
            let form = self.form_outside(frame.vlan());
            for wire in self.cut(host, frame, form) {
                host.ports.send_frame(nic, wire);
            }
        }
    }

    /// A frame for a guest that has left.
    fn follow(&mut self, host: &mut Host<'_>, mac: Mac, frame: Frame) {
        let form = self.form_outside(frame.vlan());
        let frames = self.cut(host, frame, form);
        self.relay.extend(frames.into_iter().map(|wire| (mac, wire)));
    }

    /// Tells the physical network that an address is here.
    pub fn announce(&mut self, host: &mut Host<'_>, mac: Mac) {
        let port = self.ports.values().find(|port| port.mac() == mac);
        if port.is_some_and(SwitchPort::is_shut) {
            return;
        }
        let vlan = port.map_or(self.conf.default_vlan, |port| port.conf().vlans.untagged);
        if let Some(frame) = Frame::received(announcement(mac), 0, vlan) {
            self.leave(host, Where::Port(0), frame);
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

    /// Closes the port, whatever else is done to it; true when it is one of this switch's.
    pub fn shut(&mut self, key: PortKey) -> bool {
        let port = self.ports.get_mut(&key);
        port.map(|port| port.shut(true)).is_some()
    }

    /// Opens the port again.
    pub fn open(&mut self, host: &mut Host<'_>, key: PortKey) {
        let Some(port) = self.ports.get_mut(&key) else { return };
        port.shut(false);
        self.mondo(host, key);
    }

    /// Delivers what was kept for `mac`, wherever it is now, and lets its guest go
    /// on.
    pub fn release(&mut self, host: &mut Host<'_>, mac: Mac) {
        let held = self.held.remove(&mac);
        if let Some(key) = self.key_of(mac)
            && let Some(port) = self.ports.get_mut(&key)
            && port.release()
        {
            self.mondo(host, key);
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
    pub fn depart(&mut self, host: &mut Host<'_>, mac: Mac) {
        let now = host.ports.now();
        self.table.forget(mac);
        let mut held = self.held.remove(&mac).unwrap_or_default();
        held.expire(now);
        for (_, frame) in held.frames {
            self.follow(host, mac, frame);
        }
        self.departed.retain(|_, until| now < *until);
        self.departed.insert(mac, now.plus(DEPARTED_TIME));
    }

    /// Frames for guests that have left, with their addresses.
    pub fn take_relay(&mut self) -> Vec<(Mac, Vec<u8>)> {
        std::mem::take(&mut self.relay)
    }

    /// A frame that another chassis kept arrives for a guest of this one.
    pub fn relayed(&mut self, host: &mut Host<'_>, frame: Vec<u8>) {
        let Some(frame) = Frame::received(frame, 0, self.conf.default_vlan) else { return };
        let now = host.ports.now();
        if let Some(held) = self.held.get_mut(&frame.to()) {
            held.push(now, frame);
        } else if let Some(Where::Port(key)) = self.table.find(frame.to(), now)
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
