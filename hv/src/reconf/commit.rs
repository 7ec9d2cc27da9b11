//! Commit: a configuration that was checked comes into force. Nothing here fails.
//!
//! What guests lose goes first, from all of them, so that nothing is ever given
//! twice; then each gets what is new.

use crate::Hypervisor;
use crate::console::Console;
use crate::crypto::CryptoQueue;
use crate::guest::Guest;
use crate::ldc::Endpoint;
use crate::niu::NetworkUnit;
use crate::pci::PciBus;
use crate::platform::Machine;
use crate::vcpu::Vcpu;
use std::collections::BTreeMap;
use sun4v::addr::RealMap;
use sun4v::hvmd::{HvConfig, LdcTarget};
use sun4v::id::{GuestId, StrandId, VcpuId};

impl Hypervisor {
    /// Applies a configuration that was checked: guests that it lacks go, guests that
    /// it adds are made, the others get and lose resources. Memory that a guest loses
    /// is zeroed.
    pub fn apply(&mut self, config: HvConfig, machine: &mut dyn Machine) {
        self.take_away(&config, machine);
        for conf in &config.guests {
            let id = conf.id;
            let slot = self.guests.entry(id).or_default();
            let guest = slot.get_or_insert_with(Box::default);
            guest.id = id;
            guest.tod_offset = match &guest.conf {
                Some(_) => guest.tod_offset,
                None => conf.tod_offset,
            };
            guest.conf = Some(conf.clone());
            guest.md_room = self.memory.map_or(u64::MAX, |memory| memory.room(conf.md_pa));
            guest.trace.set_text(self.traced);
            let before = (guest.map.clone(), strands(guest));
            guest.configure(&config);
            guest.set_tod(machine.time_of_day(), machine.now());
            let after = strands(guest);
            if before != (guest.map.clone(), after.clone()) {
                machine.assign(id, &after, &guest.map);
            }
        }
        let mut ends = config.ldc_endpoints.iter();
        let control = ends.find(|end| end.target == LdcTarget::Hypervisor);
        self.control = control.map(|end| (end.guest, end.channel));
        self.config = config;
    }

    /// Takes from each guest what the new configuration does not give it.
    fn take_away(&mut self, config: &HvConfig, machine: &mut dyn Machine) {
        let ids: Vec<GuestId> = self.guests.keys().copied().collect();
        for id in ids {
            let Some(guest) = self.guests.get_mut(&id).and_then(Option::as_deref_mut) else {
                continue;
            };
            let kept = |range: &_| {
                config.mblocks.iter().any(|block| block.guest == id && block.range == *range)
            };
            let (kept, lost): (Vec<_>, Vec<_>) = guest.map.ranges().iter().copied().partition(kept);
            for range in &lost {
                if guest.logging {
                    machine.memory().log_stop(range.pa, range.size);
                }
                machine.memory().zero(range.pa, range.size);
            }
            if !config.guests.iter().any(|guest| guest.id == id) {
                self.guests.remove(&id);
                self.service.forget(id);
                machine.unassign(id);
                continue;
            }
            let before = guest.vcpus.len();
            guest.vcpus.retain(|&vid, vcpu| {
                let mut confs = config.vcpus.iter();
                confs.any(|conf| (conf.guest, conf.vid, conf.strand) == (id, vid, vcpu.strand))
            });
            if !lost.is_empty() || guest.vcpus.len() != before {
                guest.map = RealMap::new(kept);
                machine.assign(id, &strands(guest), &guest.map);
            }
        }
    }
}

/// The strands of a guest, by virtual CPU.
fn strands(guest: &Guest) -> Vec<(VcpuId, StrandId)> {
    guest.vcpus.iter().map(|(&id, vcpu)| (id, vcpu.strand)).collect()
}

impl Guest {
    /// Takes over what a configuration gives this guest.
    fn configure(&mut self, config: &HvConfig) {
        let id = self.id;
        let mine = config.mblocks.iter().filter(|block| block.guest == id);
        self.map = RealMap::new(mine.map(|block| block.range).collect());
        let wanted: BTreeMap<_, _> = config
            .vcpus
            .iter()
            .filter(|vcpu| vcpu.guest == id)
            .map(|vcpu| (vcpu.vid, vcpu.strand))
            .collect();
        self.vcpus.retain(|vid, vcpu| wanted.get(vid) == Some(&vcpu.strand));
        for (vid, strand) in wanted {
            self.vcpus.entry(vid).or_insert_with(|| Vcpu { strand, ..Vcpu::default() });
        }
        let mine = || config.ldc_endpoints.iter().filter(|end| end.guest == id);
        self.endpoints.retain(|_, end| mine().any(|conf| *conf == end.conf));
        for conf in mine() {
            self.endpoints.entry(conf.channel).or_insert_with(|| Endpoint::new(*conf));
        }
        let mut sources = Vec::new();
        match config.consoles.iter().find(|console| console.guest == id) {
            Some(conf) if self.console.as_ref().is_some_and(|console| console.conf == *conf) => {
                sources.push(conf.ino);
            }
            Some(conf) => {
                sources.push(conf.ino);
                self.console = Some(Console::new(*conf));
            }
            None => self.console = None,
        }
        let mut handles = Vec::new();
        for unit in config.crypto.iter().filter(|unit| unit.guest == id) {
            sources.push(unit.ino);
            let handle = CryptoQueue::handle(unit.kind, unit.core);
            handles.push(handle);
            let queue = self.crypto.entry(handle);
            let without = CryptoQueue::new(unit.kind, unit.core, unit.ino);
            queue.or_insert(without).ino = unit.ino;
        }
        self.crypto.retain(|handle, _| handles.contains(handle));
        self.interrupts.retain(|ino, _| sources.contains(ino));
        for ino in sources {
            self.interrupts.entry(ino).or_default();
        }
        let bus = config.pcie_bus.filter(|bus| bus.guest == id);
        if self.pci.as_ref().map(|bus| bus.conf) != bus {
            self.pci = bus.map(|conf| Box::new(PciBus::new(conf)));
        }
        let network = config.network.filter(|unit| unit.guest == id);
        if self.network.as_ref().map(|unit| unit.conf) != network {
            self.network = network.map(|conf| Box::new(NetworkUnit::new(conf)));
        }
        let Self { endpoints, interrupts, pci, network, vcpus, .. } = self;
        let channels = endpoints.values_mut().flat_map(|end| [&mut end.rx_intr, &mut end.tx_intr]);
        let bus = pci.iter_mut().flat_map(|bus| bus.interrupts.values_mut());
        let network = network.iter_mut().flat_map(|unit| unit.interrupts.values_mut());
        for intr in interrupts.values_mut().chain(channels).chain(bus).chain(network) {
            intr.target = intr.target.filter(|vcpu| vcpus.contains_key(vcpu));
        }
    }
}
