//! Everything that the machine has, and whose it is.

use super::model::Model;
use super::place;
use sun4v::id::{CoreId, StrandId};

/// A machine's devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Strands, and whose they are.
    pub strands: Vec<(StrandId, Option<String>)>,
    /// Crypto units by core, and whose they are.
    pub crypto: Vec<(CoreId, Option<String>)>,
    /// Memory, ascending: physical address, bytes, and whose it is; `_sys_` is the
    /// hypervisor's.
    pub memory: Vec<(u64, u64, Option<String>)>,
    /// Buses, their pseudonyms, and whose they are.
    pub io: Vec<(&'static str, &'static str, String)>,
}

/// A T2's buses.
pub const BUSES: [(&str, &str); 2] = [("pci@0", "pci"), ("niu@80", "niu")];

/// The machine's devices.
#[must_use]
pub fn devices(model: &Model) -> Devices {
    let name = |domain: &super::domain::Domain| domain.name.clone();
    let strands: Vec<_> =
        model.strands().map(|own| (own, model.owner_of_strand(own).map(name))).collect();
    let mut cores: Vec<CoreId> = strands.iter().map(|(strand, _)| strand.core()).collect();
    cores.dedup();
    let crypto = cores.into_iter().map(|own| (own, model.owner_of_crypto(own).map(name)));
    let inventory = &model.inventory;
    let mut memory = vec![(inventory.hv_pa.0, inventory.hv_bytes, Some("_sys_".to_owned()))];
    for (domain, given) in model.bound() {
        let own = given.memory.iter();
        memory.extend(own.map(|range| (range.pa.0, range.size, Some(domain.name.clone()))));
    }
    let free = place::free_memory(model, "");
    memory.extend(free.into_iter().map(|(first, behind)| (first, behind - first, None)));
    memory.sort();
    let io = BUSES.iter().map(|&(device, pseudonym)| (device, pseudonym, "primary".to_owned()));
    Devices { strands, crypto: crypto.collect(), memory, io: io.collect() }
}
