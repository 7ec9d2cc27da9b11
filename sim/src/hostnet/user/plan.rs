//! The addresses of a network in user mode.
//!
//! **Layout.** Of a network `10.0.2.0/24`: the gateway is .2, the name server .3, guests are
//! given .15 and up. Other addresses are whoever takes them: guests, as far as we know.
//!
//! **Source.** QEMU's network in user mode, whose layout people know by heart.

use std::net::Ipv4Addr;

const GATEWAY: u32 = 2;
const DNS: u32 = 3;
const FIRST_LEASE: u32 = 15;
/// The longest prefix that has room for the first lease below the broadcast address.
const LENGTH_MAX: u8 = 27;
const LENGTH_MIN: u8 = 8;

/// The addresses of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    net: Ipv4Addr,
    length: u8,
}

impl Default for Plan {
    fn default() -> Self {
        Self { net: Ipv4Addr::new(10, 0, 2, 0), length: 24 }
    }
}

impl Plan {
    /// A network by its address and the length of its prefix; or the rule it breaks.
    pub fn new(net: Ipv4Addr, length: u8) -> Result<Self, &'static str> {
        if !(LENGTH_MIN..=LENGTH_MAX).contains(&length) {
            return Err("the length of the prefix is 8 to 27");
        }
        let plan = Self { net, length };
        if u32::from(net) & !plan.mask_bits() != 0 {
            return Err("the address has bits set beyond its prefix");
        }
        if !may_be_reached(net) {
            return Err("not a network of ordinary addresses");
        }
        Ok(plan)
    }

    fn mask_bits(&self) -> u32 {
        u32::MAX << (32 - u32::from(self.length))
    }

    fn nth(&self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.net) + n)
    }

    /// The mask of the network.
    #[must_use]
    pub fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.mask_bits())
    }

    /// The length of its prefix.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Where guests send what is for elsewhere; itself, it is the host.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        self.nth(GATEWAY)
    }

    /// Where guests ask for names.
    #[must_use]
    pub fn dns(&self) -> Ipv4Addr {
        self.nth(DNS)
    }

    /// The first address that is leased.
    #[must_use]
    pub fn first_lease(&self) -> Ipv4Addr {
        self.nth(FIRST_LEASE)
    }

    /// Every address that may be leased, in order.
    pub fn leases(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let plan = *self;
        (FIRST_LEASE..!plan.mask_bits()).map(move |n| plan.nth(n))
    }

    /// The address of everybody in the network.
    #[must_use]
    pub fn broadcast(&self) -> Ipv4Addr {
        self.nth(!self.mask_bits())
    }

    /// True for an address of this network, whoever has it.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask_bits() == u32::from(self.net)
    }

    /// True for the two addresses that this room answers for.
    #[must_use]
    pub fn is_ours(&self, address: Ipv4Addr) -> bool {
        address == self.gateway() || address == self.dns()
    }

    /// True for an address that a guest may have.
    #[must_use]
    pub fn is_guest(&self, address: Ipv4Addr) -> bool {
        self.contains(address)
            && address != self.net
            && address != self.broadcast()
            && !self.is_ours(address)
    }
}

/// True for an address that a packet may be sent to through a gateway.
#[must_use]
pub fn may_be_reached(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first != 127 && first < 224
}

#[cfg(test)]
mod test {
    use super::Plan;

    #[test]
    fn the_usual_network_is_the_one_people_know() {
        let plan = Plan::default();
        assert_eq!(plan.mask().to_string(), "255.255.255.0");
        assert_eq!(plan.gateway().to_string(), "10.0.2.2");
        assert_eq!(plan.dns().to_string(), "10.0.2.3");
        assert_eq!(plan.first_lease().to_string(), "10.0.2.15");
        assert_eq!(plan.broadcast().to_string(), "10.0.2.255");
        assert_eq!(plan.leases().count(), 240);
        assert_eq!(plan.leases().last().unwrap().to_string(), "10.0.2.254");
    }

    #[test]
    fn the_smallest_network_has_a_guest() {
        let plan = Plan::new("10.1.1.32".parse().unwrap(), 27).unwrap();
        assert_eq!(plan.first_lease().to_string(), "10.1.1.47");
        assert!(plan.is_guest(plan.first_lease()));
        assert!(!plan.is_guest(plan.gateway()));
        assert!(!plan.is_guest(plan.broadcast()));
        assert!(Plan::new("10.1.1.32".parse().unwrap(), 28).is_err());
    }
}
