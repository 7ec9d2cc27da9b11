//! Which pages hold instructions that an engine has decoded.
//!
//! T2 keeps its instruction caches coherent with stores. An engine that keeps
//! decoded instructions marks their page here; a store through
//! [`Ram`](super::Ram) by anybody else takes the mark away and raises the epoch,
//! by which the engine notices that it has to look.

use super::dirty::Bits;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sun4v::addr::{PAGE_SHIFT, Pa};

pub(super) struct CodePages {
    marked: Bits,
    epoch: AtomicU64,
}

impl CodePages {
    pub(super) fn new(pages: u64) -> Self {
        Self { marked: Bits::new(pages), epoch: AtomicU64::new(0) }
    }
    pub(super) fn mark(&self, pa: Pa) {
        self.marked.set(pa.0 >> PAGE_SHIFT);
    }
    pub(super) fn unmark(&self, pa: Pa) {
        self.marked.clear(pa.0 >> PAGE_SHIFT);
    }
    pub(super) fn is_marked(&self, pa: Pa) -> bool {
        self.marked.get(pa.0 >> PAGE_SHIFT)
    }
    pub(super) fn stored(&self, pa: Pa) {
        if self.is_marked(pa) {
            self.unmark(pa);
            self.epoch.fetch_add(1, Relaxed);
        }
    }
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }
}
