//! The Ethernet side: who is where, and frames on their way to the lab.
//!
//! **Neighbours.** An address of a guest is learned from every IP packet and ARP message that
//! comes from it, and is not forgotten but replaced: a guest that moves to another port of the
//! lab's switch keeps its address. Somebody unknown is asked for by ARP once a second, and packets
//! for them are held until then; the first ones, since what asks for more has a first one.
//!
//! **Limits.** [`NEIGHBOURS_MAX`] addresses known and [`ASKED_MAX`] asked for, [`HELD_MAX`]
//! packets held for each, [`QUEUE_MAX`] frames that nobody has polled.
//!
//! **Source.** RFC 826; RFC 1122, 2.3.2 (a second between questions, packets held).

use super::plan::Plan;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr,
};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Bytes of an Ethernet header.
pub const HEADER: usize = 14;
/// The address of the gateway and of the name server: locally administered, as QEMU's is.
pub const MAC: EthernetAddress = EthernetAddress([0x52, 0x55, 0x0a, 0x00, 0x02, 0x02]);
/// Addresses of guests that are remembered.
pub const NEIGHBOURS_MAX: usize = 1024;
/// Frames towards the lab that wait for a poll; more are dropped.
pub const QUEUE_MAX: usize = 4096;
/// Addresses that are asked for at a time.
pub const ASKED_MAX: usize = 64;
/// Packets held for an address that is asked for.
pub const HELD_MAX: usize = 16;
/// Time between two questions for one address.
const ASK_AGAIN: Duration = Duration::from_secs(1);
const ARP_BYTES: usize = 28;

/// Who is asked for, and what is for them.
#[derive(Debug)]
struct Asked {
    since: Duration,
    held: Vec<Vec<u8>>,
}

/// The wire to the lab's switch, from this side.
#[derive(Debug)]
pub struct Link {
    plan: Plan,
    neighbours: BTreeMap<Ipv4Addr, EthernetAddress>,
    asked: BTreeMap<Ipv4Addr, Asked>,
    queue: Vec<Vec<u8>>,
    /// The time that the one who works gave last.
    pub now: Duration,
}

impl Link {
    /// A wire on which nobody has spoken yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let (neighbours, asked) = (BTreeMap::new(), BTreeMap::new());
        Self { plan, neighbours, asked, queue: Vec::new(), now: Duration::ZERO }
    }

    /// Frames that wait for a poll.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Hands the waiting frames over.
    pub fn take(&mut self, out: &mut Vec<Vec<u8>>) {
        out.append(&mut self.queue);
    }

    /// Notes where an address of a guest is.
    pub fn learn(&mut self, address: Ipv4Addr, mac: EthernetAddress) {
        if !self.plan.is_guest(address) || !mac.is_unicast() {
            return;
        }
        if self.neighbours.len() < NEIGHBOURS_MAX || self.neighbours.contains_key(&address) {
            self.neighbours.insert(address, mac);
            for frame in self.asked.remove(&address).into_iter().flat_map(|asked| asked.held) {
                self.push(frame, mac, EthernetProtocol::Ipv4);
            }
        }
    }

    /// Who has an address, as far as is known.
    #[must_use]
    pub fn holder(&self, address: Ipv4Addr) -> Option<EthernetAddress> {
        self.neighbours.get(&address).copied()
    }

    /// Takes an ARP message in; answers for the two addresses of this room.
    pub fn arp(&mut self, frame: &EthernetFrame<&[u8]>) {
        let Ok(packet) = ArpPacket::new_checked(frame.payload()) else { return };
        let Ok(ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: mac,
            source_protocol_addr: address,
            target_protocol_addr: target,
            ..
        }) = ArpRepr::parse(&packet)
        else {
            return;
        };
        self.learn(address, mac);
        if operation == ArpOperation::Request && self.plan.is_ours(target) && mac.is_unicast() {
            self.say(ArpOperation::Reply, target, mac, address);
        }
    }

    /// Sends an ARP message in the name of `source`.
    fn say(
        &mut self,
        operation: ArpOperation,
        source: Ipv4Addr,
        mac: EthernetAddress,
        target: Ipv4Addr,
    ) {
        let request = operation == ArpOperation::Request;
        let message = ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: MAC,
            source_protocol_addr: source,
            target_hardware_addr: if request { EthernetAddress([0; 6]) } else { mac },
            target_protocol_addr: target,
        };
        let mut frame = vec![0; HEADER + ARP_BYTES];
        message.emit(&mut ArpPacket::new_unchecked(&mut frame[HEADER..]));
        self.push(frame, mac, EthernetProtocol::Arp);
    }

    /// Sends an IP packet, for which [`HEADER`] bytes are free in front, to whoever has the
    /// destination.
    pub fn send_ip(&mut self, frame: Vec<u8>, to: Ipv4Addr) {
        if to.is_broadcast() || to == self.plan.broadcast() {
            self.push(frame, EthernetAddress::BROADCAST, EthernetProtocol::Ipv4);
        } else if let Some(&mac) = self.neighbours.get(&to) {
            self.push(frame, mac, EthernetProtocol::Ipv4);
        } else if self.plan.is_guest(to) {
            self.ask(to, frame);
        }
    }

    /// Asks who has an address, unless that has just been asked, and holds a packet for them.
    fn ask(&mut self, address: Ipv4Addr, frame: Vec<u8>) {
        let now = self.now;
        self.asked.retain(|_, asked| now < asked.since + ASK_AGAIN);
        if let Some(asked) = self.asked.get_mut(&address) {
            if asked.held.len() < HELD_MAX {
                asked.held.push(frame);
            }
        } else if self.asked.len() < ASKED_MAX {
            self.asked.insert(address, Asked { since: now, held: vec![frame] });
            let gateway = self.plan.gateway();
            self.say(ArpOperation::Request, gateway, EthernetAddress::BROADCAST, address);
        }
    }

    /// Fills the header in and queues the frame.
    fn push(&mut self, mut frame: Vec<u8>, to: EthernetAddress, ethertype: EthernetProtocol) {
        if self.queue.len() < QUEUE_MAX {
            let header = EthernetRepr { src_addr: MAC, dst_addr: to, ethertype };
            header.emit(&mut EthernetFrame::new_unchecked(&mut frame[..HEADER]));
            self.queue.push(frame);
        }
    }
}
