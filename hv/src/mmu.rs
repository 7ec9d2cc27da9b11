//! Mappings that the hypervisor keeps for a guest, and what a miss leads to.
//!
//! **Source.** sun4v hypervisor API, MMU services; the OpenSPARC hypervisor's
//! `mmu.s` for what a guest sees of each trap.

use crate::guest::Guest;
use crate::platform::{Cpus, Tlbs};
use crate::trap::{Outcome, Trap, fault};
use std::collections::BTreeSet;
use sun4v::addr::Pa;
use sun4v::id::VcpuId;
use sun4v::isa::tt;
use sun4v::mmu::Tte;

/// Permanent mappings of a guest.
pub const PERMANENT_MAX: usize = 8;

/// One permanent mapping, in context 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permanent {
    /// Virtual address of the page.
    pub va: u64,
    /// Its translation, whose address is that of the page's first byte.
    pub tte: Tte,
    /// Where the page is.
    pub pa: Pa,
    /// Who registered it for fetches.
    pub instruction: BTreeSet<VcpuId>,
    /// Who registered it for data.
    pub data: BTreeSet<VcpuId>,
}

impl Permanent {
    /// Has one of these registered it, for whichever TLB?
    #[must_use]
    pub fn is_used_by(&self, vcpus: &[VcpuId]) -> bool {
        vcpus.iter().any(|vcpu| self.instruction.contains(vcpu) || self.data.contains(vcpu))
    }
}

/// The permanent mappings of a guest, at most [`PERMANENT_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermanentMap {
    /// The mappings.
    pub slots: Vec<Permanent>,
}

impl PermanentMap {
    /// The mapping whose page holds `va`.
    #[must_use]
    pub fn find(&self, va: u64) -> Option<&Permanent> {
        self.slots.iter().find(|slot| {
            let bytes = slot.tte.size().map_or(0, |size| size.bytes());
            va.wrapping_sub(slot.va) < bytes
        })
    }

    /// A vCPU stops: it leaves every mapping, and mappings of nobody go.
    pub fn forget(&mut self, vcpu: VcpuId) {
        for slot in &mut self.slots {
            slot.instruction.remove(&vcpu);
            slot.data.remove(&vcpu);
        }
        self.slots.retain(|slot| !slot.instruction.is_empty() || !slot.data.is_empty());
    }
}

/// What goes to a fault area, and the trap that follows.
struct Report {
    /// Which half.
    instruction: bool,
    /// Fault type; `None` leaves the word as it is.
    kind: Option<u64>,
    address: u64,
    context: u16,
    tt: u16,
}

/// Offset of the data half of a fault area.
const DATA_HALF: u64 = 0x40;

impl Guest {
    /// Serves a trap other than a hypercall.
    pub(crate) fn fault(&mut self, vcpu: VcpuId, trap: Trap, cpus: &mut dyn Cpus) -> Outcome {
        match trap {
            Trap::Miss { instruction, va, context } => {
                if context == 0
                    && let Some(slot) = self.permanent.find(va)
                {
                    let tlbs = Tlbs { data: !instruction, instruction };
                    cpus.tlb_insert(vcpu, tlbs, slot.va, 0, slot.tte, slot.pa);
                    return Outcome::Resumed;
                }
                let tt = self.miss_type(vcpu, instruction, context);
                let walked =
                    matches!(tt, tt::INSTRUCTION_ACCESS_MMU_MISS | tt::DATA_ACCESS_MMU_MISS);
                let kind = walked.then_some(fault::MISS);
                {
                    let address = va & !0x1fff;
                    self.report(cpus, vcpu, Report { instruction, kind, address, context, tt })
                }
            }
            Trap::Protection { va, context } => {
                let tt = tt::FAST_DATA_ACCESS_PROTECTION;
                {
                    let (instruction, kind, address) = (false, None, va & !0x1fff);
                    self.report(cpus, vcpu, Report { instruction, kind, address, context, tt })
                }
            }
            Trap::Fault { tt, instruction, kind, address, context } => {
                let kind = Some(kind);
                self.report(cpus, vcpu, Report { instruction, kind, address, context, tt })
            }
            Trap::Plain { tt } => self.reflect(cpus, vcpu, tt),
            Trap::Watchdog | Trap::Hypercall { .. } => self.watchdog(cpus, vcpu),
        }
    }

    /// The trap of a miss: another one where the table walk has looked before.
    pub(crate) fn miss_type(&self, vcpu: VcpuId, instruction: bool, context: u16) -> u16 {
        let class = usize::from(context != 0);
        let walked = self.vcpus.get(&vcpu).is_some_and(|v| !v.tsbs[class].is_empty());
        match (walked, instruction) {
            (true, true) => tt::INSTRUCTION_ACCESS_MMU_MISS,
            (true, false) => tt::DATA_ACCESS_MMU_MISS,
            (false, true) => tt::FAST_INSTRUCTION_ACCESS_MMU_MISS,
            (false, false) => tt::FAST_DATA_ACCESS_MMU_MISS,
        }
    }

    /// Writes the fault area and reflects; without one, the guest's watchdog.
    fn report(&mut self, cpus: &mut dyn Cpus, vcpu: VcpuId, report: Report) -> Outcome {
        let Report { instruction, kind, address, context, tt } = report;
        let Some((_, area)) = self.vcpus.get(&vcpu).and_then(|v| v.fault_area) else {
            return self.watchdog(cpus, vcpu);
        };
        let half = area.offset(if instruction { 0 } else { DATA_HALF });
        let memory = cpus.memory();
        if let Some(kind) = kind {
            memory.write_u64(half, kind);
        }
        memory.write_u64(half.offset(8), address);
        memory.write_u64(half.offset(16), u64::from(context));
        self.reflect(cpus, vcpu, tt)
    }

    /// Reflects a trap to the guest, or sends it to its watchdog at its last level.
    pub(crate) fn reflect(&mut self, cpus: &mut dyn Cpus, vcpu: VcpuId, tt: u16) -> Outcome {
        let (tl, gl) = cpus.levels(vcpu);
        if tl >= sun4v::isa::MAXPTL || (gl >= sun4v::isa::MAXPGL && is_miss(tt)) {
            return self.watchdog(cpus, vcpu);
        }
        cpus.reflect(vcpu, tt);
        Outcome::Resumed
    }

    fn watchdog(&mut self, cpus: &mut dyn Cpus, vcpu: VcpuId) -> Outcome {
        let rtba = self.vcpus.get(&vcpu).map_or(0, |v| v.rtba);
        cpus.watchdog(vcpu, rtba.wrapping_add(u64::from(tt::WATCHDOG_RESET) << 5));
        Outcome::Resumed
    }
}

const fn is_miss(tt: u16) -> bool {
    matches!(
        tt,
        tt::INSTRUCTION_ACCESS_MMU_MISS
            | tt::DATA_ACCESS_MMU_MISS
            | tt::FAST_INSTRUCTION_ACCESS_MMU_MISS
            | tt::FAST_DATA_ACCESS_MMU_MISS
            | tt::FAST_DATA_ACCESS_PROTECTION
    )
}
