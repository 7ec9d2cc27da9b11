//! The control domain's networks: its own TCP/IP stacks, and the switches between
//! them, the guests and the wires.
//!
//! An interface without a switch carries the frames of its stack. When a switch has
//! it as uplink, frames go through the switch, and the stack is one of its ports.

use super::Kit;
use crate::channel::OpenError;
use crate::cost::Cost;
use crate::service::host::Host;
use crate::service::vsw::relay::{self, Receiver, Sender};
use crate::service::vsw::{PortKey, Switch, SwitchConf, SwitchPortConf};
use crate::stack::{Stack, StackConf, UdpId};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use sun4v::native::Ports;
use sun4v::time::SimTime;

/// Bytes of datagrams that wait for relay, either way.
const RELAY_BYTES: usize = 256 << 10;
/// Between the seeds of two lives of a stack: odd, so that none comes twice.
const SEED_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A network interface of the control domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicConf {
    /// What the operator calls it, such as `e1000g0`.
    pub name: String,
    /// Its addresses.
    pub stack: StackConf,
}

/// An interface, its stack, and whether there is something for it to do.
struct Nic {
    name: String,
    stack: Stack,
    stirred: bool,
    next_poll: SimTime,
}

/// The networks.
pub struct Network {
    nics: Vec<Nic>,
    switches: BTreeMap<String, (Switch, Option<usize>)>,
    relay: Option<(UdpId, Sender, Receiver)>,
    /// Where guests have gone, by address: the control domain that has each now.
    gone_to: BTreeMap<[u8; 6], Ipv4Addr>,
}

impl Network {
    /// Interfaces, by number, without any switch, of a domain whose software has begun
    /// again so often: what is under way for an earlier life fits no connection of a
    /// later one.
    pub fn new(nics: &[NicConf], restarts: u64) -> Self {
        let nic = |conf: &NicConf| Nic {
            name: conf.name.clone(),
            stack: Stack::new(StackConf {
                seed: conf.stack.seed.wrapping_add(restarts.wrapping_mul(SEED_STEP)),
                ..conf.stack
            }),
            stirred: true,
            next_poll: SimTime::ZERO,
        };
        let mut network = Self {
            nics: nics.iter().map(nic).collect(),
            switches: BTreeMap::new(),
            relay: None,
            gone_to: BTreeMap::new(),
        };
        if let Some(nic) = network.nics.first_mut() {
            let socket = nic.stack.udp_bind(relay::PORT, RELAY_BYTES);
            network.relay = Some((socket, Sender::default(), Receiver::default()));
        }
        network
    }

    /// The stack of an interface. Whoever sends, receives or connects there says so
    /// by [`Network::stir`].
    pub fn stack(&mut self, nic: usize) -> Option<&mut Stack> {
        self.nics.get_mut(nic).map(|nic| &mut nic.stack)
    }

    /// The stack of an interface has something to do.
    pub fn stir(&mut self, nic: usize) {
        if let Some(nic) = self.nics.get_mut(nic) {
            nic.stirred = true;
        }
    }

    /// Has a stack something to do?
    pub fn is_stirred(&self) -> bool {
        self.nics.iter().any(|nic| nic.stirred)
    }

    /// The interface on whose network `address` is.
    pub fn nic_towards(&self, address: Ipv4Addr) -> Option<usize> {
        self.nics.iter().position(|nic| {
            let conf = nic.stack.conf();
            let mask = u32::MAX.checked_shl(32 - u32::from(conf.prefix)).unwrap_or(0);
            (u32::from(conf.ip) ^ u32::from(address)) & mask == 0
        })
    }

    // Switches.

    /// A switch begins, with this interface as its uplink if there is one of that
    /// name. The control domain is on it with the address of that interface.
    pub fn add_switch(&mut self, name: &str, net_dev: &str, conf: SwitchConf) {
        let uplink = self.nics.iter().position(|nic| nic.name == net_dev);
        let own = uplink.map_or(conf.mac, |nic| self.nics[nic].stack.conf().mac);
        let switch = Switch::new(own, uplink.map(|nic| nic as u8), conf);
        self.switches.insert(name.to_owned(), (switch, uplink));
    }

    /// A switch ends.
    pub fn remove_switch(&mut self, name: &str) {
        self.switches.remove(name);
    }

    /// A switch gets a client.
    pub fn attach(
        &mut self,
        host: &mut Host<'_>,
        switch: &str,
        key: PortKey,
        conf: SwitchPortConf,
    ) -> Result<(), OpenError> {
        match self.switches.get_mut(switch) {
            Some((switch, _)) => switch.attach(host, key, conf),
            None => Ok(()),
        }
    }

    /// The port with this key ends, wherever it is.
    pub fn detach(&mut self, host: &mut Host<'_>, key: PortKey) {
        self.switches.values_mut().for_each(|(switch, _)| switch.detach(host, key));
    }

    /// A port's mondo: true when it was one of a switch's.
    pub fn mondo(&mut self, host: &mut Host<'_>, key: PortKey) -> bool {
        let owner = self.switches.values_mut().find(|(switch, _)| switch.mac_of(key).is_some());
        let Some((switch, _)) = owner else { return false };
        switch.mondo(host, key);
        true
    }

    fn of_guest(&mut self, mac: [u8; 6], keys: &[PortKey]) -> Option<&mut Switch> {
        self.switches
            .values_mut()
            .map(|(switch, _)| switch)
            .find(|switch| keys.iter().any(|key| switch.mac_of(*key) == Some(mac)))
    }

    /// Addresses of the guest whose ports have these keys.
    pub fn addresses(&self, keys: &[PortKey]) -> Vec<[u8; 6]> {
        let switches = self.switches.values();
        let macs =
            switches.flat_map(|(switch, _)| keys.iter().filter_map(|key| switch.mac_of(*key)));
        macs.collect()
    }

    /// Keeps the frames of a guest that is about to begin here, until it can take
    /// them.
    pub fn expect(&mut self, keys: &[PortKey]) {
        for mac in self.addresses(keys) {
            if let Some(switch) = self.of_guest(mac, keys) {
                switch.expect(mac);
            }
        }
    }

    /// Keeps the frames of a guest that stands still.
    pub fn hold(&mut self, host: &mut Host<'_>, keys: &[PortKey]) {
        for mac in self.addresses(keys) {
            if let Some(switch) = self.of_guest(mac, keys) {
                switch.hold(host, mac);
            }
        }
    }

    /// Gives a guest what was kept for it.
    pub fn release(&mut self, host: &mut Host<'_>, keys: &[PortKey]) {
        for mac in self.addresses(keys) {
            if let Some(switch) = self.of_guest(mac, keys) {
                switch.release(host, mac);
            }
        }
    }

    /// Closes the ports with these keys: their guest is somebody else's.
    pub fn shut(&mut self, keys: &[PortKey]) {
        for key in keys {
            let _ = self.switches.values_mut().any(|(switch, _)| switch.shut(*key));
        }
    }

    /// Opens them again.
    pub fn open(&mut self, host: &mut Host<'_>, keys: &[PortKey]) {
        for key in keys {
            self.switches.values_mut().for_each(|(switch, _)| switch.open(host, *key));
        }
    }

    /// A guest has left for the chassis whose control domain is at `to`: frames that
    /// were kept and that still come are sent after it.
    pub fn depart(&mut self, host: &mut Host<'_>, keys: &[PortKey], to: Ipv4Addr) {
        for mac in self.addresses(keys) {
            self.gone_to.insert(mac, to);
            if let Some(switch) = self.of_guest(mac, keys) {
                switch.depart(host, mac);
            }
        }
    }

    // Frames.

    /// A frame arrived at an interface.
    pub fn frame(&mut self, host: &mut Host<'_>, nic: usize, frame: Vec<u8>) {
        if self.nics.get(nic).is_none() {
            return;
        }
        match self.switches.values_mut().find(|(_, uplink)| *uplink == Some(nic)) {
            Some((switch, _)) => switch.from_uplink(host, frame),
            None => self.receive(host.ports, host.cost, nic, frame),
        }
    }

    fn receive(&mut self, ports: &mut dyn Ports, cost: &Cost, nic: usize, frame: Vec<u8>) {
        ports.charge(cost.ip_frame + cost.copy(frame.len() as u64));
        if let Some(nic) = self.nics.get_mut(nic) {
            nic.stack.frame(frame);
            nic.stirred = true;
        }
    }

    /// Moves frames between stacks, switches, wires and other control domains until
    /// nothing moves; true when a socket may have changed.
    pub fn pump(&mut self, kit: &mut Kit, ports: &mut dyn Ports) -> bool {
        let mut changed = false;
        loop {
            let mut moved = false;
            for (switch, uplink) in self.switches.values_mut() {
                let Some(nic) = uplink.and_then(|nic| self.nics.get_mut(nic)) else { continue };
                for frame in switch.take_own() {
                    ports.charge(kit.cost.ip_frame + kit.cost.copy(frame.len() as u64));
                    nic.stack.frame(frame);
                    nic.stirred = true;
                }
            }
            let now = ports.now();
            for (number, nic) in self.nics.iter_mut().enumerate() {
                if !nic.stirred && now < nic.next_poll {
                    continue;
                }
                nic.stirred = false;
                changed |= nic.stack.poll(now);
                nic.next_poll = nic.stack.next_poll(now);
                let frames = nic.stack.take_frames();
                moved |= !frames.is_empty();
                let switch = self.switches.values_mut().find(|(_, up)| *up == Some(number));
                let mut switch = switch.map(|(switch, _)| switch);
                for frame in frames {
                    ports.charge(kit.cost.ip_frame + kit.cost.copy(frame.len() as u64));
                    match &mut switch {
                        Some(switch) => switch.from_own(&mut kit.host(ports), frame),
                        None => ports.send_frame(number as u8, frame),
                    }
                }
            }
            moved |= self.move_relayed(kit, ports);
            if !moved {
                return changed;
            }
        }
    }

    /// Frames for guests that have left, and from where guests came.
    fn move_relayed(&mut self, kit: &mut Kit, ports: &mut dyn Ports) -> bool {
        let Some((socket, sender, receiver)) = &mut self.relay else { return false };
        let Some(nic) = self.nics.first_mut() else { return false };
        let mut moved = false;
        for (switch, _) in self.switches.values_mut() {
            for (mac, frame) in switch.take_relay() {
                let Some(&to) = self.gone_to.get(&mac) else { continue };
                for datagram in sender.datagrams(&frame) {
                    // Without room it is lost, as on any wire.
                    nic.stack.udp_send(*socket, to, relay::PORT, &datagram);
                }
                nic.stirred = true;
                moved = true;
            }
        }
        while let Some((_, _, bytes)) = nic.stack.udp_recv(*socket) {
            let Some(frame) = receiver.datagram(&bytes) else { continue };
            for (switch, _) in self.switches.values_mut() {
                switch.relayed(&mut kit.host(ports), frame.clone());
            }
            moved = true;
        }
        moved
    }

    /// Does what time brings to switches.
    pub fn tick(&mut self, host: &mut Host<'_>) {
        let now = host.ports.now();
        for (switch, _) in self.switches.values_mut() {
            if switch.next_tick(now) != SimTime::NEVER {
                switch.tick(host);
            }
        }
    }

    /// When [`Network::pump`] or [`Network::tick`] is due.
    pub fn next_time(&self, now: SimTime) -> SimTime {
        let nics = self.nics.iter().map(|nic| if nic.stirred { now } else { nic.next_poll });
        let switches = self.switches.values().map(|(switch, _)| switch.next_tick(now));
        nics.chain(switches).min().unwrap_or(SimTime::NEVER)
    }
}
