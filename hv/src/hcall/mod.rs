//! Dispatch: from a trap and its registers to the function that serves it.
//!
//! A call that a guest has not opened, or that does not exist, is EBADTRAP and
//! changes nothing else. Each file serves one group.

mod cons;
mod cpu;
mod diag;
mod intr;
mod ldc;
mod mach;
mod mmu;
mod ncs;
mod niu;
mod pci;
mod perf;
mod rng;
mod softstate;
mod ttrace;

use crate::guest::{Call, CallResult, Guest, Pending};
use crate::platform::Cpus;
use crate::trap::{Answer, Failure, Outcome, Trap};
use sun4v::hcall::{HvError, nr, row_of};
use sun4v::hvmd::Privileges;
use sun4v::id::VcpuId;
use sun4v::time::SimTime;

/// Software trap numbers.
const FAST_TRAP: u8 = 0x80;
const MMU_MAP_ADDR: u8 = 0x83;
const MMU_UNMAP_ADDR: u8 = 0x84;
const TTRACE_ADDENTRY: u8 = 0x85;
const CORE_TRAP: u8 = 0xff;

/// How a call ends when it is not simply answered.
pub(crate) enum End {
    /// Answered.
    Answer(CallResult),
    /// Answered, and the virtual CPU is parked.
    Park,
    /// The strand goes on as it was left.
    Resume,
    /// The boundary answers.
    Block,
}

impl From<CallResult> for End {
    fn from(result: CallResult) -> Self {
        Self::Answer(result)
    }
}

impl Guest {
    /// Serves one trap of `vcpu`, inside a slice.
    pub fn htrap(&mut self, vcpu: VcpuId, trap: Trap, cpus: &mut dyn Cpus) -> Outcome {
        // Arguments stay where they are: a copy of what was just written waits for it.
        let Trap::Hypercall { number, args: ref args @ [.., function] } = trap else {
            if self.trace.traps() {
                self.trace_trap(vcpu, &trap, cpus);
            }
            return self.fault(vcpu, trap, cpus);
        };
        let at = if self.trace.any() {
            self.trace_call(vcpu, number, args, cpus);
            cpus.now()
        } else {
            SimTime::ZERO
        };
        let mut call = Call { guest: self, vcpu, cpus };
        let end = match number {
            FAST_TRAP if call.guest.api.opens(function) => call.fast(function, args),
            MMU_MAP_ADDR if call.core_open() => call.mmu_map_addr(five(args)).into(),
            MMU_UNMAP_ADDR if call.core_open() => call.mmu_unmap_addr(five(args)).into(),
            TTRACE_ADDENTRY if call.core_open() => call.ttrace_addentry(five(args)).into(),
            CORE_TRAP => call.core(function, five(args)),
            _ => End::Answer(Err(HvError::BadTrap.into())),
        };
        let outcome = match end {
            End::Answer(Ok(answer)) | End::Answer(Err(Failure(answer))) => Outcome::Done(answer),
            End::Park => Outcome::Parked(Answer::default()),
            End::Resume => Outcome::Resumed,
            End::Block => Outcome::Blocked,
        };
        if self.trace.text() {
            let answer = match &outcome {
                Outcome::Done(answer) | Outcome::Parked(answer) => Some(*answer),
                Outcome::Resumed => Some(Answer::default()),
                Outcome::Blocked => None,
            };
            let guest = self.conf.as_ref().map_or("", |conf| conf.name.as_str());
            let row = row_of(number, function);
            self.trace.call((at, guest, vcpu), row, &five(args), answer.as_ref());
        }
        outcome
    }
}

/// `%o0` to `%o4`.
const fn five(registers: &[u64; 6]) -> [u64; 5] {
    let [a0, a1, a2, a3, a4, _] = *registers;
    [a0, a1, a2, a3, a4]
}

impl Call<'_> {
    /// Is the group open that the traps without a function number belong to?
    fn core_open(&self) -> bool {
        self.guest.api.opens(nr::cpu_start)
    }

    /// What the guest may do beyond what every guest may.
    fn privileges(&self) -> Privileges {
        self.guest.conf.as_ref().map(|conf| conf.privileges).unwrap_or_default()
    }

    /// Leaves the rest of a call to the boundary.
    fn wait(&mut self, work: Pending) -> End {
        let now = self.cpus.now();
        self.guest.defer(now, self.vcpu, work);
        End::Block
    }

    /// A core trap: always open.
    fn core(&mut self, function: u64, [a0, a1, a2, ..]: [u64; 5]) -> End {
        match function {
            0 => {
                let minor = self.guest.api.set(a0, a1, a2);
                minor.map(|minor| Answer::ok(&[minor])).map_err(Failure::from).into()
            }
            1 => self.cons_putchar(a0).into(),
            2 => self.mach_exit(a0),
            3 => {
                let version = self.guest.api.get(a0);
                version
                    .map(|(major, minor)| Answer::ok(&[major, minor]))
                    .map_err(Failure::from)
                    .into()
            }
            _ => End::Answer(Err(HvError::BadTrap.into())),
        }
    }

    /// A fast trap that the guest has opened.
    fn fast(&mut self, function: u64, args: &[u64; 6]) -> End {
        let [a0, a1, a2, a3, a4, _] = *args;
        match function {
            nr::mach_exit => self.mach_exit(a0),
            nr::mach_desc => self.mach_desc(a0, a1).into(),
            nr::mach_sir => self.mach_sir(),
            nr::mach_set_watchdog => self.mach_set_watchdog(a0).into(),
            nr::cpu_start => self.cpu_start(a0, a1, a2, a3).into(),
            nr::cpu_stop => self.cpu_stop(a0).into(),
            nr::cpu_yield => self.cpu_yield(),
            nr::cpu_qconf => self.cpu_qconf(a0, a1, a2).into(),
            nr::cpu_qinfo => self.cpu_qinfo(a0).into(),
            nr::cpu_myid => Ok(Answer::ok(&[u64::from(self.vcpu.0)])).into(),
            nr::cpu_state => self.cpu_state(a0).into(),
            nr::cpu_set_rtba => self.cpu_set_rtba(a0).into(),
            nr::cpu_get_rtba => {
                let rtba = self.me().rtba;
                Ok(Answer::ok(&[rtba])).into()
            }
            nr::mmu_tsb_ctx0 => self.mmu_tsb(0, a0, a1).into(),
            nr::mmu_tsb_ctxnon0 => self.mmu_tsb(1, a0, a1).into(),
            nr::mmu_demap_page => self.mmu_demap_page(five(args)).into(),
            nr::mmu_demap_ctx => self.mmu_demap_ctx(five(args)).into(),
            nr::mmu_demap_all => self.mmu_demap_all(five(args)).into(),
            nr::mmu_map_perm_addr => self.mmu_map_perm_addr(five(args)).into(),
            nr::mmu_fault_area_conf => self.mmu_fault_area_conf(a0).into(),
            nr::mmu_enable => self.mmu_enable(a0, a1),
            nr::mmu_unmap_perm_addr => self.mmu_unmap_perm_addr(five(args)).into(),
            nr::mmu_tsb_ctx0_info => self.mmu_tsb_info(0, a0, a1).into(),
            nr::mmu_tsb_ctxnon0_info => self.mmu_tsb_info(1, a0, a1).into(),
            nr::mmu_fault_area_info => {
                let area = self.me().fault_area.map_or(0, |(ra, _)| ra.0);
                Ok(Answer::ok(&[area])).into()
            }
            nr::mem_scrub => self.mem_scrub(a0, a1).into(),
            nr::mem_sync => self.mem_sync(a0, a1).into(),
            nr::cpu_mondo_send => self.cpu_mondo_send(a0, a1, a2).into(),
            nr::tod_get => self.tod_get().into(),
            nr::tod_set => self.tod_set(a0).into(),
            nr::cons_getchar => self.cons_getchar().into(),
            nr::cons_putchar => self.cons_putchar(a0).into(),
            nr::cons_read => self.cons_read(a0, a1).into(),
            nr::cons_write => self.cons_write(a0, a1).into(),
            nr::intr_devino2sysino => self.intr_devino2sysino(a0, a1).into(),
            nr::intr_getenabled => self.intr_getenabled(a0).into(),
            nr::intr_setenabled => self.intr_setenabled(a0, a1).into(),
            nr::intr_getstate => self.intr_getstate(a0).into(),
            nr::intr_setstate => self.intr_setstate(a0, a1).into(),
            nr::intr_gettarget => self.intr_gettarget(a0).into(),
            nr::intr_settarget => self.intr_settarget(a0, a1).into(),
            nr::vintr_getcookie..=nr::vintr_settarget => self.vintr(function, a0, a1, a2).into(),
            nr::soft_state_set => self.soft_state_set(a0, a1).into(),
            nr::soft_state_get => self.soft_state_get(a0).into(),
            nr::pci_iommu_map => self.pci_iommu_map(five(args)).into(),
            nr::pci_iommu_demap => self.pci_iommu_demap(a0, a1, a2).into(),
            nr::pci_iommu_getmap => self.pci_iommu_getmap(a0, a1).into(),
            nr::pci_iommu_getbypass => self.pci_iommu_getbypass(a0).into(),
            nr::pci_config_get => self.pci_config_get(five(args)).into(),
            nr::pci_config_put => self.pci_config_put(five(args)).into(),
            nr::pci_peek => self.pci_peek(a0, a1, a2).into(),
            nr::pci_poke => self.pci_poke(five(args)).into(),
            nr::pci_dma_sync => self.pci_dma_sync(five(args)).into(),
            nr::pci_msiq_conf => self.pci_msiq_conf(five(args)).into(),
            nr::pci_msiq_info..=nr::pci_msiq_gettail => self.pci_msiq(function, a0, a1, a2).into(),
            nr::pci_msi_getvalid..=nr::pci_msi_setstate => {
                self.pci_msi(function, five(args)).into()
            }
            nr::pci_msg_getmsiq..=nr::pci_msg_setvalid => self.pci_msg(function, a0, a1, a2).into(),
            nr::n2piu_get_perfreg => self.n2piu_get_perfreg(a0, a1).into(),
            nr::n2piu_set_perfreg => self.n2piu_set_perfreg(a0, a1, a2).into(),
            nr::niu_rx_lp_set => self.niu_lp_set(false, five(args)).into(),
            nr::niu_rx_lp_get => self.niu_lp_get(false, a0, a1).into(),
            nr::niu_tx_lp_set => self.niu_lp_set(true, five(args)).into(),
            nr::niu_tx_lp_get => self.niu_lp_get(true, a0, a1).into(),
            nr::ldc_tx_qconf => self.ldc_tx_qconf(a0, a1, a2).into(),
            nr::ldc_tx_qinfo => self.ldc_qinfo(a0, true).into(),
            nr::ldc_tx_get_state => self.ldc_get_state(a0, true).into(),
            nr::ldc_tx_set_qtail => self.ldc_tx_set_qtail(a0, a1).into(),
            nr::ldc_rx_qconf => self.ldc_rx_qconf(a0, a1, a2).into(),
            nr::ldc_rx_qinfo => self.ldc_qinfo(a0, false).into(),
            nr::ldc_rx_get_state => self.ldc_get_state(a0, false).into(),
            nr::ldc_rx_set_qhead => self.ldc_rx_set_qhead(a0, a1).into(),
            nr::ldc_set_map_table => self.ldc_set_map_table(a0, a1, a2).into(),
            nr::ldc_get_map_table => self.ldc_get_map_table(a0).into(),
            nr::ldc_copy => self.ldc_copy(a0, a1, a2, a3, a4),
            nr::ldc_mapin => self.ldc_mapin(a0).into(),
            // No region is ever mapped in, so every address is outside it.
            nr::ldc_unmap => End::Answer(Err(HvError::NoRaddr.into())),
            nr::ldc_revoke => End::Answer(Err(HvError::NotSupported.into())),
            nr::ttrace_buf_conf => self.ttrace_buf_conf(a0, a1).into(),
            nr::ttrace_buf_info => self.ttrace_buf_info().into(),
            nr::ttrace_enable => self.ttrace_enable(a0).into(),
            nr::ttrace_freeze => self.ttrace_freeze(a0).into(),
            nr::dump_buf_update => self.dump_buf_update(a0, a1).into(),
            nr::dump_buf_info => self.dump_buf_info().into(),
            nr::rng_get_diag_control => self.rng_get_diag_control(),
            nr::rng_ctl_read => self.rng_ctl_read(a0),
            nr::rng_ctl_write => self.rng_ctl_write(a0, a1, a2),
            nr::rng_data_read_diag => self.rng_data_read_diag(a0, a1),
            nr::rng_data_read => self.rng_data_read(a0),
            nr::niagara2_getperf => self.niagara2_getperf(a0),
            nr::niagara2_setperf => self.niagara2_setperf(a0, a1),
            nr::diag_ra2pa => self.diag_ra2pa(a0).into(),
            nr::diag_hexec => self.diag_hexec().into(),
            nr::ncs_request => self.ncs_request(a0, a1, a2),
            nr::ncs_qconf => self.ncs_qconf(a0, a1, a2).into(),
            nr::ncs_qinfo => self.ncs_qinfo(a0).into(),
            nr::ncs_gethead => self.ncs_gethead(a0).into(),
            nr::ncs_gettail => self.ncs_gettail(a0).into(),
            nr::ncs_settail => self.ncs_settail(a0, a1).into(),
            nr::ncs_qhandle_to_devino => self.ncs_devino(a0).into(),
            nr::ncs_sethead_marker => self.ncs_sethead_marker(a0, a1).into(),
            _ => End::Answer(Err(HvError::BadTrap.into())),
        }
    }
}
