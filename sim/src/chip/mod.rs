//! What a T2-class chip has.

pub mod cwq;
