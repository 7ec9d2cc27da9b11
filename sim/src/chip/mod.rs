//! What a T2-class chip has.

pub mod counters;
pub mod cwq;
pub mod fpu;
pub mod mau;
pub mod noise;
pub mod regs;
pub mod stick;
pub mod strand;
pub mod tlb;
pub mod trap;
pub mod vis;
