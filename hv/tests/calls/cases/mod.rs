//! The cases, a file a group of calls.

mod console;
mod core_trap;
mod cpu;
mod diag;
mod intr;
mod ldc;
mod mach;
mod memory;
mod mmu;
mod ncs;
mod niu;
mod pci;
mod perf;
mod rng;
mod softstate;
mod trace;
mod vintr;

use crate::case::{Case, Never};

/// Every case.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [
        core_trap::CASES,
        mach::CASES,
        cpu::CASES,
        mmu::CASES,
        memory::CASES,
        console::CASES,
        trace::CASES,
        intr::CASES,
        vintr::CASES,
        vintr::REFUSALS,
        softstate::CASES,
        pci::CASES,
        ldc::CASES,
        ldc::REFUSALS,
        ncs::CASES,
        rng::CASES,
        perf::CASES,
        niu::CASES,
        diag::CASES,
    ]
    .into_iter()
    .flatten()
}

/// What no case can show.
pub fn nevers() -> impl Iterator<Item = &'static Never> {
    let lists = [
        core_trap::NEVERS,
        mach::NEVERS,
        cpu::NEVERS,
        mmu::NEVERS,
        memory::NEVERS,
        console::NEVERS,
        trace::NEVERS,
        intr::NEVERS,
        vintr::NEVERS,
        softstate::NEVERS,
        pci::NEVERS,
        ldc::NEVERS,
        ncs::NEVERS,
        rng::NEVERS,
        perf::NEVERS,
        niu::NEVERS,
        diag::NEVERS,
    ];
    lists.into_iter().flatten()
}
