//! Everything that the manager knows about one machine.
//!
//! A [`Model`] is changed by making a copy, changing the copy, and putting the copy
//! in force once the hypervisor has taken what follows from it: whole or not at all.

use super::domain::{Domain, Given, Wish};
use super::identity::{Entropy, Freed};
use super::offered::Services;
use crate::factory::{MdSlots, PRIMARY, PRIMARY_ID};
use crate::mdgen::hostid;
use std::collections::BTreeSet;
use sun4v::hvmd::{HvConfig, Inventory, LdcConf, LdcTarget};
use sun4v::id::{CoreId, GuestId, LdcId, STRANDS, StrandId};
use sun4v::md::Md;

/// Why something cannot be: lines for an operator.
pub type Refused = Vec<String>;

/// LDC endpoints that a guest may have.
pub const LDC_MAX: u16 = 256;

/// One machine's domains and services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What the service processor says about the machine.
    pub inventory: Inventory,
    /// Where machine descriptions lie.
    pub slots: MdSlots,
    /// What the control domain has had since power-on.
    pub base: HvConfig,
    /// Domains, in the order of their creation; the control domain is first.
    pub domains: Vec<Domain>,
    /// Services of the control domain.
    pub services: Services,
    /// Fresh numbers.
    pub entropy: Entropy,
    /// Addresses that came back.
    pub freed: Freed,
}

impl Model {
    /// What a machine has at power-on: `base` in the hypervisor, `md` for the control
    /// domain.
    ///
    /// # Errors
    /// Guests besides the control domain, of which nobody knows what was asked.
    pub fn new(
        inventory: Inventory,
        base: HvConfig,
        md: &Md,
        entropy: Entropy,
    ) -> Result<Self, String> {
        let slots = MdSlots::new(&inventory).map_err(|error| error.to_string())?;
        match base.guests.as_slice() {
            [only] if only.id == PRIMARY_ID => {}
            _ => return Err("the hypervisor has guests that are not known here".into()),
        }
        let mut vcpus = base.vcpus.clone();
        vcpus.sort_by_key(|vcpu| vcpu.vid);
        let mut memory: Vec<_> = base.mblocks.iter().map(|block| block.range).collect();
        memory.sort();
        let crypto: BTreeSet<CoreId> = base.crypto.iter().map(|unit| unit.core).collect();
        let given = Given {
            guest: PRIMARY_ID,
            strands: vcpus.iter().map(|vcpu| vcpu.strand).collect(),
            memory,
            crypto: crypto.into_iter().collect(),
            links: Vec::new(),
            console: None,
        };
        let platform = md.named("platform").next().map(|(_, node)| node);
        let uuid = platform.and_then(|node| node.text("uuid")).unwrap_or_default().to_owned();
        let variables = md.named("variables").flat_map(|(_, node)| {
            let names = node.properties().map(|(name, _)| name.to_owned());
            names.filter_map(|name| Some((name.clone(), node.text(&name)?.to_owned())))
        });
        let wish = Wish {
            vcpus: given.strands.len() as u64,
            memory: given.memory_bytes(),
            crypto: given.crypto.len() as u64,
            variables: variables.collect(),
            ..Wish::default()
        };
        let primary = Domain {
            name: PRIMARY.into(),
            uuid,
            mac: inventory.mac,
            hostid: hostid(inventory.mac),
            failure_policy: super::domain::FailurePolicy::default(),
            masters: Vec::new(),
            wish,
            given: Some(given),
            shell: false,
            epoch: super::domain::FIRST_EPOCH,
        };
        Ok(Self {
            inventory,
            slots,
            base,
            domains: vec![primary],
            services: Services::default(),
            entropy,
            freed: Freed::default(),
        })
    }

    /// A domain.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn domain(&self, name: &str) -> Result<&Domain, Refused> {
        let found = self.domains.iter().find(|domain| domain.name == name);
        found.ok_or_else(|| not_found(name))
    }

    /// A domain, to be changed.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn domain_mut(&mut self, name: &str) -> Result<&mut Domain, Refused> {
        let found = self.domains.iter_mut().find(|domain| domain.name == name);
        found.ok_or_else(|| not_found(name))
    }

    /// Domains that are bound, with what they have.
    pub fn bound(&self) -> impl Iterator<Item = (&Domain, &Given)> {
        self.domains.iter().filter_map(|domain| Some((domain, domain.given.as_ref()?)))
    }

    /// The bound domain that is this guest.
    #[must_use]
    pub fn by_guest(&self, guest: GuestId) -> Option<&Domain> {
        self.bound().find(|(_, given)| given.guest == guest).map(|(domain, _)| domain)
    }

    /// Whose a strand is.
    #[must_use]
    pub fn owner_of_strand(&self, strand: StrandId) -> Option<&Domain> {
        self.bound().find(|(_, given)| given.strands.contains(&strand)).map(|(domain, _)| domain)
    }

    /// Whose a core's crypto units are.
    #[must_use]
    pub fn owner_of_crypto(&self, core: CoreId) -> Option<&Domain> {
        self.bound().find(|(_, given)| given.crypto.contains(&core)).map(|(domain, _)| domain)
    }

    /// Strands of the machine.
    pub fn strands(&self) -> impl Iterator<Item = StrandId> + use<> {
        (0..self.inventory.strands.min(STRANDS as u8)).map(StrandId)
    }

    /// The control domain's endpoints that are taken.
    #[must_use]
    pub fn service_channels(&self) -> BTreeSet<LdcId> {
        let fixed = self.base.ldc_endpoints.iter().map(|endpoint| endpoint.channel);
        let links = self.bound().flat_map(|(_, given)| &given.links).map(|link| link.service);
        fixed.chain(links).collect()
    }

    /// MAC addresses of this machine.
    #[must_use]
    pub fn macs(&self) -> BTreeSet<[u8; 6]> {
        let own = self.domains.iter().map(|domain| domain.mac);
        let nets = self.domains.iter().flat_map(|domain| &domain.wish.nets).map(|net| net.mac);
        let switches = self.services.switches.iter().map(|switch| switch.mac);
        own.chain(nets).chain(switches).chain([self.inventory.mac]).collect()
    }

    /// A fresh MAC address.
    pub fn pick_mac(&mut self) -> [u8; 6] {
        let used = self.macs();
        self.freed.pick(&mut self.entropy, &used)
    }

    /// Takes a domain out.
    pub fn remove(&mut self, name: &str) -> Option<Domain> {
        let at = self.domains.iter().position(|domain| domain.name == name)?;
        let gone = self.domains.remove(at);
        for domain in &mut self.domains {
            domain.masters.retain(|master| master != name);
        }
        Some(gone)
    }
}

/// What of a configuration is the control domain's alone.
#[must_use]
pub fn base(config: &HvConfig) -> HvConfig {
    let HvConfig { guests, vcpus, mblocks, ldc_endpoints, consoles, crypto, pcie_bus, network } =
        config;
    let own = |guest: GuestId| guest == PRIMARY_ID;
    // Channels to guests come and go with them.
    let fixed = |end: &&LdcConf| own(end.guest) && end.target == LdcTarget::Hypervisor;
    HvConfig {
        guests: guests.iter().filter(|one| own(one.id)).cloned().collect(),
        vcpus: vcpus.iter().filter(|one| own(one.guest)).copied().collect(),
        mblocks: mblocks.iter().filter(|one| own(one.guest)).copied().collect(),
        ldc_endpoints: ldc_endpoints.iter().filter(fixed).copied().collect(),
        consoles: consoles.iter().filter(|one| own(one.guest)).copied().collect(),
        crypto: crypto.iter().filter(|one| own(one.guest)).copied().collect(),
        pcie_bus: pcie_bus.filter(|one| own(one.guest)),
        network: network.filter(|one| own(one.guest)),
    }
}

/// A configuration whose lists, which are sets, are in ascending order.
#[must_use]
pub fn sorted(config: HvConfig) -> HvConfig {
    let HvConfig {
        mut guests,
        mut vcpus,
        mut mblocks,
        mut ldc_endpoints,
        mut consoles,
        mut crypto,
        pcie_bus,
        network,
    } = config;
    guests.sort_by_key(|one| one.id);
    vcpus.sort_by_key(|one| (one.guest, one.vid));
    mblocks.sort_by_key(|one| (one.guest, one.range));
    ldc_endpoints.sort_by_key(|one| (one.guest, one.channel));
    consoles.sort_by_key(|one| one.guest);
    crypto.sort_by_key(|one| (one.core, one.kind));
    HvConfig { guests, vcpus, mblocks, ldc_endpoints, consoles, crypto, pcie_bus, network }
}

/// No such domain.
#[must_use]
pub fn not_found(name: &str) -> Refused {
    vec![format!("LDom \"{name}\" was not found")]
}
