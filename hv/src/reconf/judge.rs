//! Postparse: may this configuration come into force on this machine, now?
//!
//! Each function judges one kind: what the MD asks for, then whether it takes
//! something from a guest that is active. A guest is active unless it is stopped. Kinds
//! come in the original's order.
//!
//! **Errors.** What cannot be is BAD_MD with the resource and why, as in the original;
//! taking a bus, the network unit or the hypervisor's channel from whoever has it is
//! ILLEGAL.

use super::{Proposal, Refusal};
use crate::crypto::CryptoQueue;
use crate::guest::{Guest, GuestState};
use crate::hvctl::HvMemory;
use crate::vcpu::VcpuState;
use crate::{Hypervisor, ldc::Endpoint};
use std::collections::{BTreeMap, BTreeSet};
use sun4v::addr::{PAGE_BYTES, Pa};
use sun4v::hvctl::{Detail, RcFail, ResKind, Status};
use sun4v::hvmd::{CryptoConf, CryptoKind, LdcTarget, MblockConf};
use sun4v::id::GuestId;
use sun4v::md::ELEMENT_BYTES;

/// Interrupt numbers of virtual devices (cfg handle 0x100).
const DEVICE_INOS: u16 = 64;
/// Interrupt numbers of channels (cfg handle 0x200).
const LDC_INOS: u16 = 512;
/// Real addresses end here; bit 39 selects I/O space.
const REAL_END: u64 = 1 << 39;

/// Cfg handles of virtual devices and of channels.
const VIRTUAL_HANDLES: [u16; 2] = [0x100, 0x200];

/// Cfg handle and guest of a kind that the machine has one of.
type Only = Option<(u16, GuestId)>;

/// What is said about such a kind.
#[derive(Clone, Copy)]
struct OnlyCodes {
    kind: (ResKind, &'static str),
    illegal: Detail,
    no_guest: Detail,
    rebind: Detail,
}

const PCIE: OnlyCodes = OnlyCodes {
    kind: (ResKind::PcieBus, "pcie_bus"),
    illegal: Detail::PcieIllegalProperty,
    no_guest: Detail::PcieMissingGuest,
    rebind: Detail::PcieRebind,
};

const NETWORK: OnlyCodes = OnlyCodes {
    kind: (ResKind::NetworkDevice, "network_device"),
    illegal: Detail::NetworkIllegalProperty,
    no_guest: Detail::NetworkMissingGuest,
    rebind: Detail::NetworkRebind,
};

pub(super) type Verdict = Result<(), Refusal>;

/// Everything that a judgement looks at.
pub(super) struct Judge<'a> {
    pub hv: &'a Hypervisor,
    pub proposal: &'a Proposal,
    pub own: HvMemory,
    /// End of the machine's memory.
    pub end: Pa,
    /// Counts as stopped.
    pub exits: Option<GuestId>,
}

impl Judge<'_> {
    pub(super) fn judge(&self) -> Verdict {
        self.guests()?;
        if self.proposal.guests_only {
            return self.owners();
        }
        self.mblocks()?;
        self.vcpus()?;
        self.endpoints()?;
        self.consoles()?;
        self.crypto(CryptoKind::Mau)?;
        self.crypto(CryptoKind::Cwq)?;
        let (old, new) = (&self.hv.config, &self.proposal.config);
        let half = |bus: sun4v::hvmd::PcieBusConf| (bus.handle, bus.guest);
        self.only(PCIE, old.pcie_bus.map(half), new.pcie_bus.map(half))?;
        let half = |unit: sun4v::hvmd::NetworkConf| (unit.handle, unit.guest);
        self.only(NETWORK, old.network.map(half), new.network.map(half))
    }

    /// Guests that go must not leave anything behind, and those that stay have what
    /// they had.
    fn owners(&self) -> Verdict {
        let config = &self.proposal.config;
        let vcpus = config.vcpus.iter().map(|vcpu| vcpu.guest);
        let mblocks = config.mblocks.iter().map(|block| block.guest);
        let ends = config.ldc_endpoints.iter().map(|end| end.guest);
        let consoles = config.consoles.iter().map(|console| console.guest);
        let crypto = config.crypto.iter().map(|unit| unit.guest);
        let bus = config.pcie_bus.iter().map(|bus| bus.guest);
        let network = config.network.iter().map(|unit| unit.guest);
        let owners = vcpus.chain(mblocks).chain(ends).chain(consoles).chain(crypto);
        match owners.chain(bus).chain(network).find(|&guest| !self.exists(guest)) {
            None => Ok(()),
            Some(guest) => {
                let (id, why) = (Err(guest.0.into()), "it still has resources");
                Err(self.refuse((ResKind::Guest, "guest"), id, Detail::GuestActive, why))
            }
        }
    }

    /// A kind that the machine has one of: handle and guest, before and after.
    fn only(&self, codes: OnlyCodes, old: Only, new: Only) -> Verdict {
        let OnlyCodes { kind, illegal, no_guest, rebind } = codes;
        if let Some((handle, guest)) = new {
            let refuse = |detail, why: &str| self.refuse(kind, Ok(0), detail, why);
            if !self.exists(guest) {
                return Err(refuse(no_guest, "its guest does not exist"));
            }
            let config = &self.proposal.config;
            let both = config.pcie_bus.map(|bus| bus.handle) == config.network.map(|n| n.handle);
            if handle & 0x3f != 0 || VIRTUAL_HANDLES.contains(&handle) || both {
                return Err(refuse(illegal, "its cfg handle is not a handle, or taken"));
            }
        }
        if let Some((_, guest)) = old
            && self.active(guest).is_some()
            && old != new
        {
            let place = if new.is_some() { Ok(0) } else { Err(0) };
            let refusal = self.refuse(kind, place, rebind, "its guest is active");
            return Err(Refusal { status: Status::Illegal, ..refusal });
        }
        Ok(())
    }

    /// A refusal about the `index`th node named `node`; without one, about resource
    /// `id`, which the MD lacks.
    fn refuse(
        &self,
        (res, node): (ResKind, &str),
        place: Result<usize, u32>,
        detail: Detail,
        why: impl Into<String>,
    ) -> Refusal {
        let md = &self.proposal.md;
        let (element, id) = match place {
            Err(id) => (0, id),
            Ok(index) => md.named(node).nth(index).map_or((0, 0), |(at, node)| {
                let id = node.number("resource_id").and_then(|id| u32::try_from(id).ok());
                (md.element(at), id.unwrap_or(0))
            }),
        };
        let fail = RcFail {
            md: self.proposal.at,
            res: res.code(),
            code: detail.code(),
            node: element,
            id,
        };
        let why = format!("{res} {id} (element {element}): {}", why.into());
        Refusal { status: Status::BadMd, fail, why }
    }

    /// The guest, when it runs or is on its way and is not about to exit.
    fn active(&self, id: GuestId) -> Option<&Guest> {
        let guest = self.hv.guest(id).filter(|_| self.exits != Some(id));
        guest.filter(|guest| guest.state != GuestState::Stopped)
    }

    fn active_guests(&self) -> impl Iterator<Item = &Guest> {
        self.hv.guests.keys().filter_map(|&id| self.active(id))
    }

    fn exists(&self, id: GuestId) -> bool {
        self.proposal.config.guests.iter().any(|guest| guest.id == id)
    }

    fn guests(&self) -> Verdict {
        let kind = (ResKind::Guest, "guest");
        let mut seen = BTreeSet::new();
        for (index, guest) in self.proposal.config.guests.iter().enumerate() {
            let refuse = |detail, why: &str| self.refuse(kind, Ok(index), detail, why);
            if !seen.insert(guest.id) {
                return Err(refuse(Detail::GuestInvalidId, "its gid is taken"));
            }
            let no = Detail::GuestMissingProperty;
            if !self.own.holds(guest.md_pa, ELEMENT_BYTES as u64) {
                return Err(refuse(no, "mdpa is not in the hypervisor's memory"));
            }
            if guest.rom_bytes != 0 && !self.own.holds(guest.rom_pa, guest.rom_bytes) {
                return Err(refuse(no, "its boot image is not in the hypervisor's memory"));
            }
        }
        for guest in self.active_guests() {
            if !self.exists(guest.id) {
                let id = Err(guest.id.0.into());
                return Err(self.refuse(kind, id, Detail::GuestActive, "it is active"));
            }
        }
        // The control domain says what everybody gets: without it nobody could.
        if let Some((control, _)) = self.hv.control
            && !self.exists(control)
        {
            let (id, why) = (Err(control.0.into()), "it is the control domain");
            return Err(self.refuse(kind, id, Detail::GuestActive, why));
        }
        Ok(())
    }

    fn vcpus(&self) -> Verdict {
        let kind = (ResKind::Vcpu, "cpu");
        let config = &self.proposal.config;
        let (mut strands, mut vids) = (BTreeSet::new(), BTreeSet::new());
        for (index, vcpu) in config.vcpus.iter().enumerate() {
            let refuse = |detail, why: &str| self.refuse(kind, Ok(index), detail, why);
            if !self.exists(vcpu.guest) {
                return Err(refuse(Detail::VcpuMissingGuest, "its guest does not exist"));
            }
            if !strands.insert(vcpu.strand) {
                return Err(refuse(Detail::VcpuInvalidStrand, "its strand is taken"));
            }
            if !vids.insert((vcpu.guest, vcpu.vid)) {
                return Err(refuse(Detail::VcpuInvalidVid, "its vid is taken"));
            }
        }
        for guest in self.active_guests() {
            for (&vid, vcpu) in &guest.vcpus {
                let found = config.vcpus.iter().position(|conf| conf.strand == vcpu.strand);
                let (place, why) = match found {
                    Some(index) => {
                        let conf = &config.vcpus[index];
                        if (conf.guest, conf.vid) == (guest.id, vid) {
                            continue;
                        }
                        (Ok(index), "it would move while its guest is active")
                    }
                    None if vcpu.state == VcpuState::Stopped => continue,
                    None => (Err(vcpu.strand.0.into()), "it runs"),
                };
                return Err(self.refuse(kind, place, Detail::VcpuRebind, why));
            }
        }
        Ok(())
    }

    fn mblocks(&self) -> Verdict {
        let kind = (ResKind::Memory, "mblock");
        let blocks = &self.proposal.config.mblocks;
        for (index, MblockConf { guest, range }) in blocks.iter().enumerate() {
            let refuse = |detail, why: &str| self.refuse(kind, Ok(index), detail, why);
            if !self.exists(*guest) {
                return Err(refuse(Detail::MemoryMissingGuest, "its guest does not exist"));
            }
            let shaped = |address: u64| (address | range.size).is_multiple_of(PAGE_BYTES);
            let ends = |address: u64| address.checked_add(range.size).filter(|_| range.size != 0);
            let bad = Detail::MemoryInvalidPa;
            let Some(end) = ends(range.pa.0).filter(|_| shaped(range.pa.0)) else {
                return Err(refuse(bad, "it is not whole pages"));
            };
            if end > self.end.0 {
                return Err(refuse(bad, "the machine has no such memory"));
            }
            if self.own.meets(range.pa, range.size) {
                return Err(refuse(bad, "it is the hypervisor's memory"));
            }
            let bad = Detail::MemoryInvalidRa;
            if ends(range.ra.0).is_none_or(|end| end > REAL_END) || !shaped(range.ra.0) {
                return Err(refuse(bad, "its real addresses are out of range"));
            }
            for other in &blocks[..index] {
                let (low, high) = (other.range.pa.0, other.range.pa.0 + other.range.size);
                if range.pa.0 < high && low < end {
                    return Err(refuse(Detail::MemoryInvalidPa, "it is another block's memory"));
                }
                let (low, high) = (other.range.ra.0, other.range.ra.0 + other.range.size);
                let meets = range.ra.0 < high && low < range.ra.0 + range.size;
                if other.guest == *guest && meets {
                    return Err(refuse(bad, "its real addresses are another block's"));
                }
            }
        }
        for guest in self.active_guests() {
            let mine = |block: &MblockConf| block.guest == guest.id;
            let had = |block: &MblockConf| guest.map.ranges().contains(&block.range);
            let why = "its guest is active";
            if let Some(index) = blocks.iter().position(|block| mine(block) && !had(block)) {
                return Err(self.refuse(kind, Ok(index), Detail::MemoryGuestActive, why));
            }
            if let Some(index) = blocks.iter().position(|block| !mine(block) && had(block)) {
                return Err(self.refuse(kind, Ok(index), Detail::MemoryRebind, why));
            }
            if blocks.iter().filter(|block| mine(block)).count() != guest.map.ranges().len() {
                let id = Err(u32::MAX);
                return Err(self.refuse(kind, id, Detail::MemoryGuestActive, why));
            }
        }
        Ok(())
    }

    fn crypto(&self, which: CryptoKind) -> Verdict {
        let (kind, bad_id, no_guest, rebind) = match which {
            CryptoKind::Mau => (
                (ResKind::Mau, "mau"),
                Detail::MauInvalidId,
                Detail::MauMissingGuest,
                Detail::MauRebind,
            ),
            CryptoKind::Cwq => (
                (ResKind::Cwq, "cwq"),
                Detail::CwqInvalidId,
                Detail::CwqMissingGuest,
                Detail::CwqRebind,
            ),
        };
        let of_kind = |unit: &&CryptoConf| unit.kind == which;
        let units = || self.proposal.config.crypto.iter().filter(of_kind);
        let others = self.proposal.config.crypto.iter().filter(|unit| unit.kind < which);
        let mut inos: BTreeSet<_> = others.map(|unit| (unit.guest, unit.ino)).collect();
        let mut cores = BTreeSet::new();
        for (index, unit) in units().enumerate() {
            let refuse = |detail, why: &str| self.refuse(kind, Ok(index), detail, why);
            if !self.exists(unit.guest) {
                return Err(refuse(no_guest, "its guest does not exist"));
            }
            if !cores.insert(unit.core) {
                return Err(refuse(bad_id, "its core's unit is taken"));
            }
            if unit.ino >= DEVICE_INOS || !inos.insert((unit.guest, unit.ino)) {
                return Err(refuse(bad_id, "its ino is taken or out of range"));
            }
        }
        for unit in self.hv.config.crypto.iter().filter(of_kind) {
            let Some(guest) = self.active(unit.guest) else { continue };
            let (place, why) = match units().position(|new| new.core == unit.core) {
                Some(index) if units().nth(index) == Some(unit) => continue,
                Some(index) => (Ok(index), "it would change while its guest is active"),
                None => {
                    let queue = guest.crypto.get(&CryptoQueue::handle(which, unit.core));
                    if queue.is_none_or(|queue| queue.entries == 0) {
                        continue;
                    }
                    (Err(unit.core.0.into()), "its guest uses it")
                }
            };
            return Err(self.refuse(kind, place, rebind, why));
        }
        Ok(())
    }

    fn endpoints(&self) -> Verdict {
        let kind = (ResKind::Ldc, "ldc_endpoint");
        let ends = &self.proposal.config.ldc_endpoints;
        let bad = Detail::LdcIllegalProperty;
        let by_place: BTreeMap<_, _> =
            ends.iter().map(|end| ((end.guest, end.channel), end)).collect();
        let (mut places, mut inos) = (BTreeSet::new(), BTreeSet::new());
        let mut control = None;
        for (index, end) in ends.iter().enumerate() {
            let refuse = |why: &str| self.refuse(kind, Ok(index), bad, why);
            if !self.exists(end.guest) {
                return Err(refuse("its guest does not exist"));
            }
            if !places.insert((end.guest, end.channel)) {
                return Err(refuse("its channel number is taken"));
            }
            for ino in [end.tx_ino, end.rx_ino] {
                if !end.private_console && (ino >= LDC_INOS || !inos.insert((end.guest, ino))) {
                    return Err(refuse("an ino is taken or out of range"));
                }
            }
            match end.target {
                LdcTarget::Hypervisor if control.replace(end.guest).is_some() => {
                    return Err(refuse("there is another endpoint to the hypervisor"));
                }
                LdcTarget::Hypervisor => {}
                LdcTarget::Guest { guest, .. } if guest == end.guest => {
                    return Err(refuse("both its ends are one guest's"));
                }
                LdcTarget::Guest { guest, channel } => {
                    let back = LdcTarget::Guest { guest: end.guest, channel: end.channel };
                    let peer = by_place.get(&(guest, channel));
                    if peer.is_none_or(|peer| peer.target != back) {
                        return Err(refuse("its other end does not lead back to it"));
                    }
                }
            }
        }
        for guest in self.active_guests() {
            for end in guest.endpoints.values().filter(|end| is_live(end)) {
                let here = |new: &_| same_place(new, &end.conf);
                if let Some(index) = ends.iter().position(here)
                    && ends[index] != end.conf
                {
                    let why = "it is live and would change";
                    return Err(self.refuse(kind, Ok(index), Detail::LdcRebind, why));
                }
            }
        }
        if let Some((guest, channel)) = self.hv.control
            && !ends.iter().any(|end| {
                (end.guest, end.channel, end.target) == (guest, channel, LdcTarget::Hypervisor)
            })
        {
            let kind = (ResKind::HvLdc, "ldc_endpoint");
            let (id, why) = (Err(channel.0.into()), "the control domain would lose the hypervisor");
            let refusal = self.refuse(kind, id, Detail::HvLdcRebind, why);
            return Err(Refusal { status: Status::Illegal, ..refusal });
        }
        Ok(())
    }

    fn consoles(&self) -> Verdict {
        let kind = (ResKind::Console, "console");
        let config = &self.proposal.config;
        let mut seen = BTreeSet::new();
        for (index, console) in config.consoles.iter().enumerate() {
            let refuse = |detail, why: &str| self.refuse(kind, Ok(index), detail, why);
            if !self.exists(console.guest) {
                return Err(refuse(Detail::ConsoleMissingGuest, "its guest does not exist"));
            }
            if !seen.insert(console.guest) {
                return Err(refuse(Detail::ConsoleTaken, "its guest has one already"));
            }
            let mut units = config.crypto.iter();
            let taken = units.any(|unit| unit.guest == console.guest && unit.ino == console.ino);
            if console.ino >= DEVICE_INOS || taken {
                let why = "its ino is taken or out of range";
                return Err(refuse(Detail::ConsoleInvalidIno, why));
            }
            let private = |channel| {
                config.ldc_endpoints.iter().any(|end| {
                    end.private_console && (end.guest, end.channel) == (console.guest, channel)
                })
            };
            if !console.endpoint.is_none_or(private) {
                return Err(refuse(Detail::ConsoleInvalidLdc, "its endpoint is not private"));
            }
        }
        for guest in self.active_guests() {
            let Some(own) = &guest.console else { continue };
            let found = config.consoles.iter().position(|console| console.guest == guest.id);
            let place = match found {
                Some(index) if config.consoles[index] == own.conf => continue,
                Some(index) => Ok(index),
                None => Err(guest.id.0.into()),
            };
            let why = "it would change while its guest is active";
            return Err(self.refuse(kind, place, Detail::ConsoleRebind, why));
        }
        Ok(())
    }
}

fn is_live(end: &Endpoint) -> bool {
    end.tx.is_configured() || end.rx.is_configured() || end.conf.private_console
}

fn same_place(new: &sun4v::hvmd::LdcConf, old: &sun4v::hvmd::LdcConf) -> bool {
    (new.guest, new.channel) == (old.guest, old.channel)
}
