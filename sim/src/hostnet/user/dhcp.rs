//! The network's DHCP server.
//!
//! **Leases.** An Ethernet address gets the first free address of the plan and keeps it as long
//! as the run lasts, whether it renews or not. A client that asks for the address it had in an
//! earlier run gets it, if nobody else has it. An address that a client declines, or that
//! somebody is seen to use without a lease, is passed over.
//!
//! **Not served.** BOOTP without DHCP, images to boot from, option lists: everyone is told mask,
//! router, name server, time and, where it is not 1500, the MTU.
//!
//! **Source.** RFC 2131, 4.3; RFC 2132. Replies are broadcast, as QEMU's are: that reaches a
//! client that does not know its address yet, with or without the broadcast flag.

use super::ip::Maker;
use super::link::Link;
use super::plan::Plan;
use crate::hostnet::conf::MTU_DEFAULT;
use smoltcp::wire::{
    DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress, UdpPacket,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Where the server listens.
pub const SERVER_PORT: u16 = 67;
/// Where clients listen.
pub const CLIENT_PORT: u16 = 68;
/// Clients that have a lease at a time.
pub const LEASES_MAX: usize = 256;
/// How long a lease is, as told to the client.
const LEASE_SECS: u32 = 86_400;
/// The option that says the interface's MTU.
const OPT_MTU: u8 = 26;

/// Who has which address.
#[derive(Debug)]
pub struct Server {
    plan: Plan,
    mtu: u16,
    serves_names: bool,
    leases: BTreeMap<EthernetAddress, Ipv4Addr>,
    declined: BTreeSet<Ipv4Addr>,
}

impl Server {
    /// A server that has leased nothing.
    #[must_use]
    pub fn new(plan: Plan, mtu: u16, serves_names: bool) -> Self {
        let (leases, declined) = (BTreeMap::new(), BTreeSet::new());
        Self { plan, mtu, serves_names, leases, declined }
    }

    /// True if `client` may have `address`.
    fn is_free(&self, link: &Link, address: Ipv4Addr, client: EthernetAddress) -> bool {
        self.plan.is_guest(address)
            && !self.declined.contains(&address)
            && self.leases.iter().all(|(&mac, &held)| held != address || mac == client)
            && link.holder(address).is_none_or(|mac| mac == client)
    }

    /// The address a client gets: what it has, what it wishes, or the first that is free.
    fn lease(
        &mut self,
        link: &Link,
        client: EthernetAddress,
        wish: Option<Ipv4Addr>,
    ) -> Option<Ipv4Addr> {
        if let Some(&held) = self.leases.get(&client) {
            return Some(held);
        }
        if self.leases.len() >= LEASES_MAX {
            return None;
        }
        let free = |address: &Ipv4Addr| self.is_free(link, *address, client);
        let address = wish.filter(free).or_else(|| self.plan.leases().find(free))?;
        self.leases.insert(client, address);
        Some(address)
    }

    /// Answers a client's datagram.
    pub fn serve(&mut self, link: &mut Link, maker: &mut Maker, datagram: &UdpPacket<&[u8]>) {
        let Ok(packet) = DhcpPacket::new_checked(datagram.payload()) else { return };
        let Ok(asked) = DhcpRepr::parse(&packet) else { return };
        let (client, server) = (asked.client_hardware_address, self.plan.gateway());
        if !client.is_unicast() || asked.server_identifier.is_some_and(|other| other != server) {
            return;
        }
        let named = (!asked.client_ip.is_unspecified()).then_some(asked.client_ip);
        let wish = asked.requested_ip.or(named);
        let answer = match asked.message_type {
            DhcpMessageType::Discover => {
                let offered = self.lease(link, client, wish);
                offered.map(|address| (DhcpMessageType::Offer, address))
            }
            DhcpMessageType::Request => {
                let leased = self.lease(link, client, wish);
                match leased.filter(|&address| wish == Some(address)) {
                    Some(address) => Some((DhcpMessageType::Ack, address)),
                    None => Some((DhcpMessageType::Nak, Ipv4Addr::UNSPECIFIED)),
                }
            }
            DhcpMessageType::Inform => Some((DhcpMessageType::Ack, Ipv4Addr::UNSPECIFIED)),
            DhcpMessageType::Decline => {
                if let Some(address) = self.leases.remove(&client)
                    && self.declined.len() < LEASES_MAX
                {
                    self.declined.insert(address);
                }
                None
            }
            DhcpMessageType::Release => {
                self.leases.remove(&client);
                None
            }
            _ => None,
        };
        if let Some((kind, address)) = answer {
            self.answer(link, maker, &asked, kind, address);
        }
    }

    fn answer(
        &self,
        link: &mut Link,
        maker: &mut Maker,
        asked: &DhcpRepr<'_>,
        kind: DhcpMessageType,
        address: Ipv4Addr,
    ) {
        let refusal = kind == DhcpMessageType::Nak;
        let (gateway, dns) = (self.plan.gateway(), self.plan.dns());
        let mtu = self.mtu.to_be_bytes();
        let mtu = [DhcpOption { kind: OPT_MTU, data: &mtu }];
        let tells_mtu = !refusal && self.mtu != MTU_DEFAULT;
        let reply = DhcpRepr {
            message_type: kind,
            transaction_id: asked.transaction_id,
            secs: 0,
            client_hardware_address: asked.client_hardware_address,
            client_ip: if refusal { Ipv4Addr::UNSPECIFIED } else { asked.client_ip },
            your_ip: address,
            server_ip: if refusal { Ipv4Addr::UNSPECIFIED } else { gateway },
            router: (!refusal).then_some(gateway),
            subnet_mask: (!refusal).then(|| self.plan.mask()),
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: asked.broadcast,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(gateway),
            parameter_request_list: None,
            dns_servers: (!refusal && self.serves_names).then(|| [dns].into_iter().collect()),
            max_size: None,
            lease_duration: (!refusal && !address.is_unspecified()).then_some(LEASE_SECS),
            renew_duration: None,
            rebind_duration: None,
            additional_options: if tells_mtu { &mtu } else { &[] },
        };
        let mut data = vec![0; reply.buffer_len()];
        if reply.emit(&mut DhcpPacket::new_unchecked(&mut data[..])).is_ok() {
            let from = SocketAddrV4::new(gateway, SERVER_PORT);
            let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT);
            maker.udp(link, from, to, &data);
        }
    }
}
