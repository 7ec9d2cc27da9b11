//! Physical memory of a chassis: one anonymous mapping, reserved and not
//! committed, so that untouched pages cost nothing.
//!
//! All doors take `&self`, because domains on several host threads share one
//! memory by partition: a [`Pa`] comes from the `RealMap` of the guest that is
//! served, and no two guests' maps overlap. Should two threads meet on a byte after
//! all, the outcome is some interleaving of their loads and stores, never undefined
//! behaviour: every access is a relaxed atomic one, which costs nothing on the
//! hosts we have.
//!
//! **Shapes.** Addresses run from 0 to [`Ram::bytes`]. Words are big-endian. A
//! scalar access ignores the address bits below its size; whoever may not be
//! misaligned checks first.
//!
//! **Pages that were never stored to** are known ([`Ram::is_untouched`]): they are read,
//! copied and zeroed without the host having to provide them. The mapping of a `sparse`
//! memory that is gone is cleared, where it was stored to, and used again by the next one of
//! its thread: a host takes longer to provide a page than it takes to clear one.
//!
//! **Errors.** An address outside the memory is a mistake of ours and panics.
//!
//! **Unsafe.** This is room 1 of the ledger: a pointer into the mapping is made in
//! [`Ram::cell`] alone, after its bounds check.

use super::ahead::Ahead;
use super::code::CodePages;
use super::dirty::{Bits, DirtyLog, pages};
use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};
use sun4v::addr::{PAGE_BYTES, PAGE_SHIFT, Pa};

/// An unsigned integer of 1, 2, 4 or 8 bytes.
pub trait Word: Copy + Into<u64> {
    /// The atomic cell of the same size.
    type Cell;
    /// Bytes.
    const BYTES: u64;
    /// Loads a big-endian word.
    fn load(cell: &Self::Cell) -> Self;
    /// Stores a big-endian word.
    fn store(self, cell: &Self::Cell);
    /// The low bits of a doubleword.
    fn truncate(word: u64) -> Self;
    /// The other byte order.
    fn swapped(self) -> Self;
}

macro_rules! word {
    ($($int:ty, $cell:ty;)*) => {$(
        impl Word for $int {
            type Cell = $cell;
            const BYTES: u64 = std::mem::size_of::<$int>() as u64;
            fn load(cell: &$cell) -> Self {
                Self::from_be(cell.load(Relaxed))
            }
            fn store(self, cell: &$cell) {
                cell.store(self.to_be(), Relaxed);
            }
            fn truncate(word: u64) -> Self {
                word as Self
            }
            fn swapped(self) -> Self {
                self.swap_bytes()
            }
        }
    )*};
}

word! {
    u8, AtomicU8;
    u16, AtomicU16;
    u32, AtomicU32;
    u64, AtomicU64;
}

/// Stretches up to this are zeroed by stores; longer ones are given back to the host.
const FILL_BYTES_MAX: u64 = 64 << 10;
/// Mappings of memories that are gone, for each thread, and the most pages that one of them
/// may have been stored to: they stay with the host's process.
const SPARE_MAPS: usize = 2;
const SPARE_PAGES: usize = (64 << 20) >> PAGE_SHIFT;

std::thread_local! {
    static SPARE: RefCell<Vec<Arc<MmapRaw>>> = const { RefCell::new(Vec::new()) };
}

/// The memory of one chassis.
pub struct Ram {
    map: Arc<MmapRaw>,
    /// Bytes, a multiple of 8 KiB.
    bytes: u64,
    sparse: bool,
    /// Pages that may have been stored to; all others are zero.
    used: Bits,
    log: DirtyLog,
    code: CodePages,
    ahead: Ahead,
}

impl Ram {
    /// Reserves `bytes`, rounded up to whole pages, all zero. Fails when the host
    /// has no such stretch of address space.
    pub fn new(bytes: u64) -> std::io::Result<Self> {
        Self::reserve(bytes, false)
    }

    /// The same, where little of it is ever touched: the host clears no more than that.
    pub fn sparse(bytes: u64) -> std::io::Result<Self> {
        Self::reserve(bytes, true)
    }

    fn reserve(bytes: u64, sparse: bool) -> std::io::Result<Self> {
        let bytes = bytes.max(1).next_multiple_of(PAGE_BYTES);
        let length = usize::try_from(bytes).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        let map = match sparse.then(|| spare(length)).flatten() {
            Some(map) => map,
            None => {
                let map = MmapOptions::new().len(length).no_reserve_swap().map_anon()?;
                if !sparse {
                    // A host without huge pages is slower and nothing else.
                    let _ = map.advise(Advice::HugePage);
                }
                Arc::new(MmapRaw::from(map))
            }
        };
        let pages = bytes >> PAGE_SHIFT;
        Ok(Self {
            sparse,
            used: Bits::new(pages),
            ahead: Ahead::new(Arc::clone(&map), bytes, sparse),
            map,
            bytes,
            log: DirtyLog::new(pages),
            code: CodePages::new(pages),
        })
    }

    /// Bytes of the memory.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The dirty log.
    pub fn log(&self) -> &DirtyLog {
        &self.log
    }

    /// The cell of the word that holds `pa`.
    #[inline(always)]
    fn cell<W: Word>(&self, pa: u64) -> &W::Cell {
        assert!(pa < self.bytes, "physical address {pa:#x} is outside the memory");
        let offset = (pa & !(W::BYTES - 1)) as usize;
        #[expect(unsafe_code, reason = "ledger room 1: the one place that points into the mapping")]
        // SAFETY: the mapping is `self.bytes` long, a multiple of 8 KiB, and begins
        // on a page; `offset` is a multiple of the word's size below it, so the word
        // lies inside and is aligned. It lives as long as `self.map`, is initialised
        // (anonymous pages are zero), and is only ever touched through atomic cells.
        unsafe {
            &*self.map.as_mut_ptr().add(offset).cast::<W::Cell>()
        }
    }

    /// A door without a bounds check, for an engine's fast path.
    pub(crate) fn door(&self) -> Door {
        Door(self.map.as_mut_ptr())
    }

    /// Loads the word that holds `pa`.
    #[inline(always)]
    pub fn load<W: Word>(&self, pa: Pa) -> W {
        W::load(self.cell::<W>(pa.0))
    }

    /// Stores to the word that holds `pa`.
    pub fn store<W: Word>(&self, pa: Pa, word: W) {
        self.touched(pa, W::BYTES);
        self.use_page(pa.0 >> PAGE_SHIFT);
        word.store(self.cell::<W>(pa.0));
    }

    /// Stores without a look at the dirty log and at code pages. For an engine that
    /// holds the permission ([`Ram::may_store_unmarked`]).
    #[inline(always)]
    pub fn store_unmarked<W: Word>(&self, pa: Pa, word: W) {
        word.store(self.cell::<W>(pa.0));
    }

    /// May a caller store to the page that holds `pa` with nobody having to know,
    /// until the log's generation or the code epoch changes?
    pub fn may_store_unmarked(&self, pa: Pa) -> bool {
        let may = !self.log.is_waiting(pa) && !self.code.is_marked(pa);
        if may {
            self.use_page(pa.0 >> PAGE_SHIFT);
        }
        may
    }

    /// Somebody is about to store to the page that holds `pa` in a way of his own.
    pub fn will_store(&self, pa: Pa) {
        self.use_page(pa.0 >> PAGE_SHIFT);
    }

    #[inline]
    fn use_page(&self, page: u64) {
        if !self.used.get(page) {
            self.used.set(page);
        }
    }

    /// Was nothing ever stored to the page that holds `pa`? Then it is zero.
    pub fn is_untouched(&self, pa: Pa) -> bool {
        !self.used.get(pa.0 >> PAGE_SHIFT)
    }

    /// Copies bytes out.
    pub fn read(&self, pa: Pa, bytes: &mut [u8]) {
        self.check(pa, bytes.len() as u64);
        let (mut at, mut rest) = (pa.0, bytes);
        while !rest.is_empty() {
            let part;
            (part, rest) = rest.split_at_mut(in_page(at, rest.len()));
            if self.is_untouched(Pa(at)) {
                part.fill(0);
            } else {
                self.read_words(Pa(at), part);
            }
            at += part.len() as u64;
        }
    }

    /// Copies bytes of one page out.
    fn read_words(&self, pa: Pa, bytes: &mut [u8]) {
        let head = (pa.0.wrapping_neg() as usize & 7).min(bytes.len());
        let (head, rest) = bytes.split_at_mut(head);
        let mut at = pa.0;
        for byte in head {
            *byte = u8::load(self.cell::<u8>(at));
            at += 1;
        }
        let (words, tail) = rest.as_chunks_mut::<8>();
        for word in words {
            *word = u64::load(self.cell::<u64>(at)).to_be_bytes();
            at += 8;
        }
        for byte in tail {
            *byte = u8::load(self.cell::<u8>(at));
            at += 1;
        }
    }

    /// Is the page that begins at `pa` all zeros?
    pub fn is_zero_page(&self, pa: Pa) -> bool {
        self.check(pa, PAGE_BYTES);
        self.is_untouched(pa)
            || (pa.0..pa.0 + PAGE_BYTES)
                .step_by(8)
                .all(|at| self.cell::<u64>(at).load(Relaxed) == 0)
    }

    /// Copies bytes in, and marks their pages.
    pub fn write(&self, pa: Pa, bytes: &[u8]) {
        self.touched(pa, bytes.len() as u64);
        if bytes.len() as u64 >= PAGE_BYTES {
            self.ahead.wrote(pa.0);
        }
        let (mut at, mut rest) = (pa.0, bytes);
        while !rest.is_empty() {
            let part;
            (part, rest) = rest.split_at(in_page(at, rest.len()));
            if !(self.is_untouched(Pa(at)) && is_zero(part)) {
                self.use_page(at >> PAGE_SHIFT);
                self.write_words(Pa(at), part);
            }
            at += part.len() as u64;
        }
    }

    /// Copies a whole page to another one, and marks that.
    pub fn copy_page(&self, from: Pa, to: Pa) {
        self.check(from, PAGE_BYTES);
        self.touched(to, PAGE_BYTES);
        self.ahead.wrote(to.0);
        if self.is_untouched(from) {
            if !self.is_untouched(to) {
                self.fill_zero(to.0..to.0 + PAGE_BYTES);
            }
            return;
        }
        self.use_page(to.0 >> PAGE_SHIFT);
        for at in (0..PAGE_BYTES).step_by(8) {
            let word = self.cell::<u64>(from.0 + at).load(Relaxed);
            self.cell::<u64>(to.0 + at).store(word, Relaxed);
        }
    }

    /// Copies bytes of one page in.
    fn write_words(&self, pa: Pa, bytes: &[u8]) {
        let head = (pa.0.wrapping_neg() as usize & 7).min(bytes.len());
        let (head, rest) = bytes.split_at(head);
        let mut at = pa.0;
        for byte in head {
            byte.store(self.cell::<u8>(at));
            at += 1;
        }
        let (words, tail) = rest.as_chunks::<8>();
        for word in words {
            u64::from_be_bytes(*word).store(self.cell::<u64>(at));
            at += 8;
        }
        for byte in tail {
            byte.store(self.cell::<u8>(at));
            at += 1;
        }
    }

    /// Zeroes a stretch and marks its pages; pages that lie whole inside it are
    /// given back to the host.
    pub fn zero(&self, pa: Pa, bytes: u64) {
        self.touched(pa, bytes);
        let end = pa.0 + bytes;
        if bytes <= FILL_BYTES_MAX {
            for page in pages(pa, bytes).filter(|page| self.used.get(*page)) {
                let page = page << PAGE_SHIFT;
                self.fill_zero(page.max(pa.0)..end.min(page + PAGE_BYTES));
            }
            return;
        }
        let whole = pa.0.next_multiple_of(PAGE_BYTES)..end & !(PAGE_BYTES - 1);
        if whole.is_empty() || !self.give_back(&whole) {
            return self.fill_zero(pa.0..end);
        }
        // The ends may be of pages that nothing was stored to: zeros change nothing.
        self.fill_zero(pa.0..whole.start);
        self.fill_zero(whole.end..end);
    }

    /// Stores zeros; whoever calls has looked whether its pages were stored to.
    fn fill_zero(&self, range: std::ops::Range<u64>) {
        let mut at = range.start;
        while at < range.end {
            if at.is_multiple_of(8) && range.end - at >= 8 {
                0u64.store(self.cell::<u64>(at));
                at += 8;
            } else {
                0u8.store(self.cell::<u8>(at));
                at += 1;
            }
        }
    }

    /// Lets the host forget whole pages, which then read as zero.
    fn give_back(&self, pages: &std::ops::Range<u64>) -> bool {
        if pages.start >= pages.end || pages.end > self.bytes {
            return false;
        }
        if !self.used.any(pages.start >> PAGE_SHIFT..pages.end >> PAGE_SHIFT) {
            return true;
        }
        let (offset, length) = (pages.start as usize, (pages.end - pages.start) as usize);
        #[expect(unsafe_code, reason = "ledger room 1: giving pages back to the host")]
        // SAFETY: the range lies inside the mapping, which is private and anonymous,
        // so its pages read as zero afterwards, a valid value of every cell; no Rust
        // reference other than to atomic cells points into the mapping.
        let given =
            unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, length) };
        if given.is_ok() {
            self.ahead.given_back(pages);
        }
        given.is_ok()
    }

    fn check(&self, pa: Pa, bytes: u64) {
        let inside = pa.0 <= self.bytes && bytes <= self.bytes - pa.0;
        assert!(inside, "physical addresses {pa}+{bytes:#x} are outside the memory");
    }

    /// Notes that somebody stores to a stretch.
    fn touched(&self, pa: Pa, bytes: u64) {
        self.check(pa, bytes);
        for page in pages(pa, bytes) {
            let pa = Pa(page << PAGE_SHIFT);
            self.log.mark(pa);
            self.code.stored(pa);
        }
    }

    /// Notes that an engine holds decoded instructions of the page that holds `pa`:
    /// the next store by anybody but that engine raises [`Ram::code_epoch`].
    pub fn mark_code(&self, pa: Pa) {
        self.code.mark(pa);
    }

    /// Takes the mark away.
    pub fn unmark_code(&self, pa: Pa) {
        self.code.unmark(pa);
    }

    /// Is the page still as it was when it was marked?
    pub fn is_code(&self, pa: Pa) -> bool {
        self.code.is_marked(pa)
    }

    /// A number that changes when a marked page was stored to.
    pub fn code_epoch(&self) -> u64 {
        self.code.epoch()
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        if !self.sparse || self.used.count() > SPARE_PAGES {
            return;
        }
        for page in self.used.iter() {
            let start = page << PAGE_SHIFT;
            self.fill_zero(start..start + PAGE_BYTES);
        }
        let map = Arc::clone(&self.map);
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAPS {
                spare.push(map);
            }
        });
    }
}

/// A mapping of so many bytes, all zero, of a memory that is gone.
fn spare(bytes: usize) -> Option<Arc<MmapRaw>> {
    let take = |spare: &RefCell<Vec<Arc<MmapRaw>>>| {
        let mut spare = spare.borrow_mut();
        // Nobody else may have a way to it.
        let fits = |map: &Arc<MmapRaw>| map.len() == bytes && Arc::strong_count(map) == 1;
        let at = spare.iter().position(fits)?;
        Some(spare.swap_remove(at))
    };
    SPARE.try_with(take).ok().flatten()
}

/// How many of `bytes` bytes from an address on are in its page.
fn in_page(at: u64, bytes: usize) -> usize {
    bytes.min((PAGE_BYTES - at % PAGE_BYTES) as usize)
}

fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; PAGE_BYTES as usize] = [0; PAGE_BYTES as usize];
    ZEROS.get(..bytes.len()).is_some_and(|zeros| zeros == bytes)
}

/// Memory without a bounds check.
#[derive(Clone, Copy)]
pub(crate) struct Door(*mut u8);

impl Door {
    /// Loads the word at `pa`.
    ///
    /// # Safety
    /// The memory lives, `pa` lies inside it and is a multiple of the word's size.
    #[inline(always)]
    #[expect(unsafe_code, reason = "ledger room 1: a pointer into the mapping")]
    pub(crate) unsafe fn load<W: Word>(self, pa: Pa) -> W {
        // SAFETY: the caller's; the cell is as in `Ram::cell`.
        W::load(unsafe { &*self.0.add(pa.0 as usize).cast::<W::Cell>() })
    }

    /// Stores to the word at `pa`, unmarked.
    ///
    /// # Safety
    /// As for [`Door::load`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "ledger room 1: a pointer into the mapping")]
    pub(crate) unsafe fn store<W: Word>(self, pa: Pa, word: W) {
        // SAFETY: the caller's; the cell is as in `Ram::cell`.
        word.store(unsafe { &*self.0.add(pa.0 as usize).cast::<W::Cell>() });
    }
}

impl std::fmt::Debug for Ram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ram").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod test {
    use super::Ram;
    use proptest::prelude::{prop_assert_eq, proptest};
    use sun4v::addr::Pa;

    #[test]
    fn words_are_big_endian() {
        let ram = Ram::new(0x4000).unwrap();
        ram.store(Pa(0x10), 0x0123_4567_89ab_cdef_u64);
        assert_eq!(ram.load::<u8>(Pa(0x10)), 0x01);
        assert_eq!(ram.load::<u16>(Pa(0x12)), 0x4567);
        assert_eq!(ram.load::<u32>(Pa(0x14)), 0x89ab_cdef);
        let mut bytes = [0; 3];
        ram.read(Pa(0x13), &mut bytes);
        assert_eq!(bytes, [0x67, 0x89, 0xab]);
    }

    #[test]
    fn sixty_four_gigabytes_cost_nothing_until_touched() {
        let ram = Ram::new(64 << 30).unwrap();
        ram.store(Pa((64 << 30) - 8), 7u64);
        assert_eq!(ram.load::<u64>(Pa((64 << 30) - 8)), 7);
        assert_eq!(ram.load::<u64>(Pa(32 << 30)), 0);
    }

    #[test]
    #[should_panic(expected = "outside the memory")]
    fn a_load_outside_panics() {
        let ram = Ram::new(0x2000).unwrap();
        let _ = ram.load::<u8>(Pa(0x2000));
    }

    #[test]
    #[should_panic(expected = "outside the memory")]
    fn a_write_that_ends_outside_panics() {
        let ram = Ram::new(0x2000).unwrap();
        ram.write(Pa(0x1fff), &[1, 2]);
    }

    #[test]
    fn zeroing_clears_exactly_its_stretch() {
        let ram = Ram::new(0x10000).unwrap();
        ram.write(Pa(0), &vec![0xff; 0x10000]);
        ram.zero(Pa(0x1ffd), 0x6006);
        let mut bytes = vec![0; 0x10000];
        ram.read(Pa(0), &mut bytes);
        let zeros: Vec<_> = (0..0x10000).filter(|&at| bytes[at] == 0).collect();
        assert_eq!((zeros[0], zeros.len()), (0x1ffd, 0x6006));
    }

    #[test]
    fn a_page_is_untouched_until_something_but_zeros_is_stored_to_it() {
        let ram = Ram::new(0x40000).unwrap();
        let untouched = || (0..32).filter(|page| ram.is_untouched(Pa(page << 13))).count();
        ram.write(Pa(0x1ff0), &[0; 0x4010]);
        ram.zero(Pa(0), 0x40000);
        ram.copy_page(Pa(0x8000), Pa(0xa000));
        assert_eq!(untouched(), 32);
        ram.write(Pa(0x1fff), &[0, 0, 7]);
        ram.store(Pa(0x6000), 0u8);
        assert!(ram.may_store_unmarked(Pa(0x9ff8)));
        ram.will_store(Pa(0xc000));
        assert_eq!(untouched(), 28);
        ram.copy_page(Pa(0x2000), Pa(0xe000));
        assert_eq!((untouched(), ram.load::<u8>(Pa(0xe001)) + ram.load::<u8>(Pa(0xe000))), (27, 7));
        // Zeros over what was there.
        ram.copy_page(Pa(0x10000), Pa(0xe000));
        ram.write(Pa(0x2000), &[0; 2]);
        assert!(ram.is_zero_page(Pa(0xe000)) && ram.is_zero_page(Pa(0x2000)));
    }

    #[test]
    fn a_mapping_that_is_used_again_is_zero_however_it_was_stored_to() {
        let bytes = 0x60_0000;
        let mut places = Vec::new();
        for round in 0..4u64 {
            let ram = Ram::sparse(bytes).unwrap();
            places.push(ram.door().0 as usize);
            assert!((0..bytes >> 13).all(|page| ram.is_untouched(Pa(page << 13))));
            assert!((0..bytes).step_by(8).all(|at| ram.load::<u64>(Pa(at)) == 0), "{round}");
            ram.store(Pa(0x2000 * round), u64::MAX);
            ram.write(Pa(0x10_1ff8), &[9; 0x4000]);
            ram.copy_page(Pa(0x10_2000), Pa(0x30_0000));
            assert!(ram.may_store_unmarked(Pa(0x50_0000)));
            ram.store_unmarked(Pa(0x50_0008), 7u64);
            ram.mark_code(Pa(0x52_0000));
            ram.will_store(Pa(0x52_0000));
            ram.store_unmarked(Pa(0x52_0008), 7u64);
            ram.log().start(Pa(0), bytes);
        }
        assert_eq!(places[0], places[3], "it was used again");
        // Another size is another mapping.
        assert_eq!(Ram::sparse(0x4000).unwrap().load::<u64>(Pa(0x2000)), 0);
    }

    #[test]
    fn every_kind_of_store_marks_its_pages() {
        let ram = Ram::new(0x10000).unwrap();
        ram.log().start(Pa(0), 0x10000);
        ram.store(Pa(0x2008), 1u8);
        ram.write(Pa(0x5fff), &[1, 2]);
        ram.zero(Pa(0xa000), 0x4000);
        let dirty: Vec<_> = (0..8).filter(|page| ram.log().is_dirty(Pa(page << 13))).collect();
        assert_eq!(dirty, [1, 2, 3, 5, 6]);
    }

    #[test]
    fn a_foreign_store_to_decoded_code_raises_the_epoch_once() {
        let ram = Ram::new(0x10000).unwrap();
        ram.mark_code(Pa(0x4010));
        assert!(!ram.may_store_unmarked(Pa(0x5ff8)));
        let before = ram.code_epoch();
        ram.write(Pa(0x5ff0), &[0; 8]);
        ram.write(Pa(0x5ff0), &[0; 8]);
        assert_eq!(ram.code_epoch(), before + 1);
        assert!(!ram.is_code(Pa(0x4000)) && ram.may_store_unmarked(Pa(0x4000)));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(at in 0u64..64, bytes: Vec<u8>) {
            let ram = Ram::new(0x10000).unwrap();
            ram.write(Pa(at), &bytes);
            let mut back = vec![0xa5; bytes.len()];
            ram.read(Pa(at), &mut back);
            prop_assert_eq!(&back, &bytes);
            for (n, byte) in bytes.iter().enumerate() {
                prop_assert_eq!(ram.load::<u8>(Pa(at + n as u64)), *byte);
            }
        }
    }
}
