//! MMU services: TSBs, demaps, mappings, fault areas.
//!
//! A demap reaches the caller's core and no other; the strands of a core share its TLBs.
//! Real addresses of I/O, which T2 takes in `mmu_map_addr` and in TSBs, are ENORADDR here
//! like any other that is not memory: no guest has any.
//!
//! **Source.** sun4v hypervisor API, MMU services; the OpenSPARC hypervisor's `hcall_mmu.s`
//! for T2 for the order of tests.

use super::End;
use crate::guest::{Call, CallResult};
use crate::mmu::{PERMANENT_MAX, Permanent};
use crate::platform::Tlbs;
use crate::trap::{Answer, Failure};
use sun4v::addr::{PageSize, Ra};
use sun4v::hcall::HvError;
use sun4v::id::VcpuId;
use sun4v::mmu::{TagContext, Tsb, Tte, TteFlags};

const CONTEXTS: u64 = 8192;
const TSB_MAX: u64 = 4;

/// The virtual address is one that T2 has, and the context is one.
fn check_va(va: u64, context: u64) -> Result<u16, HvError> {
    let canonical = (va as i64) << 16 >> 16 == va as i64;
    if !canonical || context >= CONTEXTS {
        return Err(HvError::Inval);
    }
    Ok(context as u16)
}

/// Which TLBs `flags` mean: bit 0 data, bit 1 instruction.
fn check_flags(flags: u64) -> Result<Tlbs, HvError> {
    match flags {
        1..=3 => Ok(Tlbs { data: flags & 1 != 0, instruction: flags & 2 != 0 }),
        _ => Err(HvError::Inval),
    }
}

/// A TSB descriptor: 32 bytes.
///
/// Context index 0 and 1 say whose context a hit gets; the tags' own context is not
/// compared. The specification's -1, which would compare it, is EINVAL as on T2, whose test
/// for it never succeeds.
fn descriptor(bytes: &[u8; 32]) -> Result<Tsb, HvError> {
    let half = |at: usize| u64::from(bytes[at]) << 8 | u64::from(bytes[at + 1]);
    let word = |at: usize| half(at) << 16 | half(at + 2);
    let double = |at: usize| word(at) << 32 | word(at + 4);
    let (index, entries, context, mask) = (half(0), word(4), word(8), word(12));
    let index_size = PageSize::from_code(index).ok_or(HvError::BadPgsz)?;
    let own = 1 << index;
    if mask & own == 0 || mask & (own - 1) != 0 {
        return Err(HvError::Inval);
    }
    if half(2) != 1 || !entries.is_power_of_two() || !(512..=512 << 15).contains(&entries) {
        return Err(HvError::BadTsb);
    }
    if context > 1 || double(24) != 0 {
        return Err(HvError::Inval);
    }
    Ok(Tsb {
        ra: Ra(double(16)),
        entries: entries as u32,
        index_size,
        size_mask: mask as u8,
        context: if context == 0 { TagContext::First } else { TagContext::Second },
    })
}

impl Call<'_> {
    /// 20, 21: replaces the TSBs of a class. The old ones are gone even when the new
    /// ones are refused.
    pub(super) fn mmu_tsb(&mut self, class: usize, count: u64, array: u64) -> CallResult {
        self.me().tsbs[class].clear();
        let set = self.new_tsbs(count, array);
        if let Ok(tsbs) = &set {
            self.me().tsbs[class].clone_from(tsbs);
        }
        let tsbs = self.me().tsbs[class].clone();
        self.cpus.set_tsbs(self.vcpu, class == 1, &tsbs);
        set?;
        Ok(Answer::ok(&[0]))
    }

    fn new_tsbs(&mut self, count: u64, array: u64) -> Result<Vec<Tsb>, HvError> {
        if count > TSB_MAX {
            return Err(HvError::Inval);
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        if !array.is_multiple_of(8) {
            return Err(HvError::BadAlign);
        }
        let pa = self.guest.resolve(Ra(array), count * 32)?;
        let mut tsbs = Vec::new();
        for index in 0..count {
            let mut bytes = [0; 32];
            self.cpus.memory().read(pa.offset(index * 32), &mut bytes);
            let tsb = descriptor(&bytes)?;
            let size = u64::from(tsb.entries) * 16;
            self.guest.resolve(tsb.ra, size)?;
            if !tsb.ra.is_aligned(size) {
                return Err(HvError::BadAlign);
            }
            tsbs.push(tsb);
        }
        Ok(tsbs)
    }

    /// 29, 2a: gives the descriptors back, of the mask bits 7:0. Their number comes with
    /// every error.
    pub(super) fn mmu_tsb_info(&mut self, class: usize, max: u64, buffer: u64) -> CallResult {
        let tsbs = self.me().tsbs[class].clone();
        let count = tsbs.len() as u64;
        if count == 0 {
            return Ok(Answer::ok(&[0]));
        }
        if count > max {
            return Err(Failure::with(HvError::Inval, &[count]));
        }
        let failed = |status| Failure::with(status, &[count]);
        if !buffer.is_multiple_of(8) {
            return Err(failed(HvError::BadAlign));
        }
        let pa = self.guest.resolve(Ra(buffer), count * 32).map_err(failed)?;
        for (index, tsb) in (0..).zip(&tsbs) {
            let mut bytes = [0; 32];
            bytes[1] = tsb.index_size as u8;
            bytes[3] = 1;
            bytes[4..8].copy_from_slice(&tsb.entries.to_be_bytes());
            bytes[11] = u8::from(tsb.context == TagContext::Second);
            bytes[15] = tsb.size_mask;
            bytes[16..24].copy_from_slice(&tsb.ra.0.to_be_bytes());
            self.cpus.memory().write(pa.offset(index * 32), &bytes);
        }
        Ok(Answer::ok(&[count]))
    }

    /// 22: removes the translations of a page.
    pub(super) fn mmu_demap_page(&mut self, [list, n, va, context, flags]: [u64; 5]) -> CallResult {
        if list | n != 0 {
            return Err(HvError::NotSupported.into());
        }
        let context = check_va(va, context)?;
        self.cpus.demap_page(self.vcpu, check_flags(flags)?, va, context);
        Ok(Answer::default())
    }

    /// 23: removes the translations of a context.
    pub(super) fn mmu_demap_ctx(&mut self, [list, n, context, flags, _]: [u64; 5]) -> CallResult {
        if list | n != 0 {
            return Err(HvError::NotSupported.into());
        }
        let context = check_va(0, context)?;
        self.cpus.demap_context(self.vcpu, check_flags(flags)?, context);
        Ok(Answer::default())
    }

    /// 24: removes all translations.
    pub(super) fn mmu_demap_all(&mut self, [list, n, flags, ..]: [u64; 5]) -> CallResult {
        if list | n != 0 {
            return Err(HvError::NotSupported.into());
        }
        self.cpus.demap_all(self.vcpu, check_flags(flags)?);
        Ok(Answer::default())
    }

    /// 25: a mapping that outlives demaps. Everything of context 0 leaves the caller's core
    /// first, also when the guest's table then refuses; so the mapping is loaded for both
    /// TLBs, whichever the caller registered for, unless another strand of the core has it:
    /// then the next miss does.
    pub(super) fn mmu_map_perm_addr(
        &mut self,
        [va, context, tte, flags, _]: [u64; 5],
    ) -> CallResult {
        check_va(va, context)?;
        if context != 0 {
            return Err(HvError::Inval.into());
        }
        let tlbs = check_flags(flags)?;
        let tte = Tte(tte);
        if !tte.flags().contains(TteFlags::V) {
            return Err(HvError::Inval.into());
        }
        let size = tte.size().ok_or(HvError::BadPgsz)?;
        if va & (size.bytes() - 1) != 0 {
            return Err(HvError::Inval.into());
        }
        let tte = tte.on_page();
        let pa = self.guest.resolve(tte.ra(), size.bytes())?;
        let both = Tlbs { data: true, instruction: true };
        self.cpus.demap_context(self.vcpu, both, 0);
        let me = self.vcpu;
        let core = self.core_mates();
        let slots = &mut self.guest.permanent.slots;
        let index = match slots.iter().position(|slot| slot.va == va) {
            Some(index) => {
                let slot = &slots[index];
                let registered = tlbs.instruction && slot.instruction.contains(&me)
                    || tlbs.data && slot.data.contains(&me);
                if slot.tte != tte || registered {
                    return Err(HvError::Inval.into());
                }
                index
            }
            None if slots.len() >= PERMANENT_MAX => return Err(HvError::TooMany.into()),
            None => {
                let (instruction, data) = Default::default();
                slots.push(Permanent { va, tte, pa, instruction, data });
                slots.len() - 1
            }
        };
        let slot = &mut slots[index];
        let held = slot.is_used_by(&core);
        if tlbs.instruction {
            slot.instruction.insert(me);
        }
        if tlbs.data {
            slot.data.insert(me);
        }
        if !held {
            self.cpus.tlb_insert(me, both, va, 0, tte, pa);
        }
        Ok(Answer::default())
    }

    /// The virtual CPUs of the guest on the caller's core, the caller among them.
    fn core_mates(&mut self) -> Vec<VcpuId> {
        let core = self.me().strand.core();
        let all = self.guest.vcpus.iter();
        all.filter(|(_, vcpu)| vcpu.strand.core() == core).map(|(&id, _)| id).collect()
    }

    /// 28: gives such a mapping up; one that only others have registered is left to them,
    /// and EOK. It leaves the core's TLBs with its last user there.
    pub(super) fn mmu_unmap_perm_addr(&mut self, [va, context, flags, ..]: [u64; 5]) -> CallResult {
        check_va(va, context)?;
        if context != 0 {
            return Err(HvError::Inval.into());
        }
        let tlbs = check_flags(flags)?;
        let me = self.vcpu;
        let core = self.core_mates();
        let slots = &mut self.guest.permanent.slots;
        let index = slots.iter().position(|slot| slot.va == va).ok_or(HvError::NoMap)?;
        let slot = &mut slots[index];
        if tlbs.instruction {
            slot.instruction.remove(&me);
        }
        if tlbs.data {
            slot.data.remove(&me);
        }
        let used = slot.is_used_by(&core);
        if slot.instruction.is_empty() && slot.data.is_empty() {
            slots.remove(index);
        }
        if !used {
            self.cpus.demap_page(me, Tlbs { data: true, instruction: true }, va, 0);
        }
        Ok(Answer::default())
    }

    /// 26: where faults are reported; zero is nowhere.
    pub(super) fn mmu_fault_area_conf(&mut self, area: u64) -> CallResult {
        if !area.is_multiple_of(64) {
            return Err(HvError::BadAlign.into());
        }
        let place = match area {
            0 => None,
            _ => Some((Ra(area), self.guest.resolve(Ra(area), 0x80)?)),
        };
        let previous = std::mem::replace(&mut self.me().fault_area, place);
        Ok(Answer::ok(&[previous.map_or(0, |(ra, _)| ra.0)]))
    }

    /// 27: turns the MMU on or off and goes on elsewhere.
    pub(super) fn mmu_enable(&mut self, on: u64, resume: u64) -> End {
        let on = on != 0;
        if !resume.is_multiple_of(4) {
            return End::Answer(Err(HvError::BadAlign.into()));
        }
        if self.cpus.mmu_is_on(self.vcpu) == on {
            return End::Answer(Err(HvError::Inval.into()));
        }
        if !on && self.guest.resolve(Ra(resume), 4).is_err() {
            return End::Answer(Err(HvError::NoRaddr.into()));
        }
        self.cpus.mmu_enable(self.vcpu, on, resume);
        End::Resume
    }

    /// Trap 0x83: loads a translation, valid or not; it is not remembered. Address bits
    /// inside the page count for nothing.
    pub(super) fn mmu_map_addr(&mut self, [va, context, tte, flags, _]: [u64; 5]) -> CallResult {
        let context = check_va(va, context)?;
        let tlbs = check_flags(flags)?;
        let tte = Tte(tte);
        let size = tte.size().ok_or(HvError::BadPgsz)?;
        let pa = self.guest.resolve(tte.on_page().ra(), size.bytes())?;
        self.cpus.tlb_insert(self.vcpu, tlbs, va & !(size.bytes() - 1), context, tte, pa);
        Ok(Answer::default())
    }

    /// Trap 0x84: removes one.
    pub(super) fn mmu_unmap_addr(&mut self, [va, context, flags, ..]: [u64; 5]) -> CallResult {
        let context = check_va(va, context)?;
        self.cpus.demap_page(self.vcpu, check_flags(flags)?, va, context);
        Ok(Answer::default())
    }
}
