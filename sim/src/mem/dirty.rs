//! The dirty log: one bit for each 8 KiB page that was stored to.
//!
//! A log covers ranges that were started and not stopped. Whoever stores through
//! [`Ram`](super::Ram) marks the page; an engine that caches the permission to
//! store without marking compares [`DirtyLog::generation`] at the start of every
//! slice and gives that permission up when it has changed. Ranges start, stop and
//! are cleaned at slice boundaries only, so no store falls between.
//!
//! **Shapes.** Two bitmaps over the whole memory: *logged* and *dirty*; a page that
//! is not logged is never dirty.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sun4v::addr::{PAGE_BYTES, PAGE_SHIFT, Pa};

/// One bit for each page of a memory; out of range reads as clear.
pub(super) struct Bits(Vec<AtomicU64>);

impl Bits {
    pub(super) fn new(pages: u64) -> Self {
        Self((0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }
    pub(super) fn get(&self, page: u64) -> bool {
        self.0
            .get((page / 64) as usize)
            .is_some_and(|word| word.load(Relaxed) >> (page % 64) & 1 != 0)
    }
    pub(super) fn set(&self, page: u64) {
        if let Some(word) = self.0.get((page / 64) as usize) {
            word.fetch_or(1 << (page % 64), Relaxed);
        }
    }
    /// Is one of these set?
    pub(super) fn any(&self, pages: std::ops::Range<u64>) -> bool {
        let mut page = pages.start;
        while page < pages.end {
            if page.is_multiple_of(64) && pages.end - page >= 64 {
                if self.0.get((page / 64) as usize).is_some_and(|word| word.load(Relaxed) != 0) {
                    return true;
                }
                page += 64;
            } else if self.get(page) {
                return true;
            } else {
                page += 1;
            }
        }
        false
    }
    /// How many are set.
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|word| word.load(Relaxed).count_ones() as usize).sum()
    }
    /// Those that are set.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        let words = (0u64..).zip(&self.0).map(|(n, word)| (n, word.load(Relaxed)));
        let words = words.filter(|(_, word)| *word != 0);
        words.flat_map(|(n, word)| {
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| n * 64 + bit)
        })
    }
    pub(super) fn clear(&self, page: u64) {
        if let Some(word) = self.0.get((page / 64) as usize) {
            word.fetch_and(!(1 << (page % 64)), Relaxed);
        }
    }
}

/// Pages from the one that holds `pa` to the one that holds the last byte.
pub(super) fn pages(pa: Pa, bytes: u64) -> std::ops::Range<u64> {
    let first = pa.0 >> PAGE_SHIFT;
    if bytes == 0 { first..first } else { first..pa.0.saturating_add(bytes).div_ceil(PAGE_BYTES) }
}

/// The log of one memory.
pub struct DirtyLog {
    logged: Bits,
    dirty: Bits,
    generation: AtomicU64,
}

impl DirtyLog {
    pub(super) fn new(pages: u64) -> Self {
        Self { logged: Bits::new(pages), dirty: Bits::new(pages), generation: AtomicU64::new(0) }
    }

    /// Starts logging stores to `[pa, pa + bytes)`: all its pages are clean.
    pub fn start(&self, pa: Pa, bytes: u64) {
        for page in pages(pa, bytes) {
            self.logged.set(page);
            self.dirty.clear(page);
        }
        self.generation.fetch_add(1, Relaxed);
    }

    /// Ends it and forgets what was dirty.
    pub fn stop(&self, pa: Pa, bytes: u64) {
        for page in pages(pa, bytes) {
            self.logged.clear(page);
            self.dirty.clear(page);
        }
    }

    /// Was the page that holds `pa` stored to since it was clean?
    pub fn is_dirty(&self, pa: Pa) -> bool {
        self.dirty.get(pa.0 >> PAGE_SHIFT)
    }

    /// Would a store to the page that holds `pa` change the log?
    pub fn is_waiting(&self, pa: Pa) -> bool {
        let page = pa.0 >> PAGE_SHIFT;
        self.logged.get(page) && !self.dirty.get(page)
    }

    /// Forgets that the page that holds `pa` is dirty.
    pub fn clean(&self, pa: Pa) {
        let page = pa.0 >> PAGE_SHIFT;
        if self.dirty.get(page) {
            self.dirty.clear(page);
            self.generation.fetch_add(1, Relaxed);
        }
    }

    /// Marks the page that holds `pa`, where a log is on.
    pub fn mark(&self, pa: Pa) {
        if self.is_waiting(pa) {
            self.dirty.set(pa.0 >> PAGE_SHIFT);
        }
    }

    /// A number that changes whenever a page that could be stored to without
    /// marking may no longer be.
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }
}

#[cfg(test)]
mod test {
    use super::DirtyLog;
    use sun4v::addr::Pa;

    #[test]
    fn only_logged_pages_become_dirty_and_cleaning_counts_a_generation() {
        let log = DirtyLog::new(16);
        log.mark(Pa(0x2000));
        assert!(!log.is_dirty(Pa(0x2000)));
        log.start(Pa(0x2000), 0x4000);
        let before = log.generation();
        assert!(log.is_waiting(Pa(0x3ff8)) && !log.is_waiting(Pa(0x6000)));
        log.mark(Pa(0x3ff8));
        assert!(log.is_dirty(Pa(0x2000)) && !log.is_dirty(Pa(0x4000)));
        assert!(!log.is_waiting(Pa(0x2000)));
        assert_eq!(log.generation(), before);
        log.clean(Pa(0x2008));
        assert!(!log.is_dirty(Pa(0x2000)) && log.generation() != before);
        log.mark(Pa(0x4000));
        log.stop(Pa(0x2000), 0x4000);
        assert!(!log.is_dirty(Pa(0x4000)) && !log.is_waiting(Pa(0x4000)));
    }

    #[test]
    fn addresses_beyond_the_memory_are_never_dirty() {
        let log = DirtyLog::new(1);
        log.start(Pa(0), 1 << 30);
        log.mark(Pa(1 << 29));
        assert!(!log.is_dirty(Pa(1 << 29)));
    }
}
