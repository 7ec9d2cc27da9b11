//! The memory of both domains.
//!
//! The guest has two ranges, 64 KiB and 4 MiB, and on either side of each lies memory of
//! the other domain, full of one word. Of the larger range the first pages hold TSBs and
//! the next ones code, as does its last page; so does all of the smaller.

use super::dice::Dice;
use super::state::random_tte;
use super::words::word;
use sim::mem::Ram;
use sun4v::addr::{PAGE_BYTES, Pa, Ra, RealMap, RealRange};
use sun4v::mmu::tsb_tag;

/// Bytes of all memory.
const BYTES: u64 = 9 << 20;
/// The guest's ranges.
pub const RANGES: [RealRange; 2] = [
    RealRange { ra: Ra(0x40_0000), pa: Pa(0x40_0000), size: 4 << 20 },
    RealRange { ra: Ra(0x2_0000), pa: Pa(0x81_0000), size: 0x1_0000 },
];
/// Pages with TSBs, at the start of the first range.
pub const TSB_PAGES: u64 = 8;
/// Pages with code after them.
pub const CODE_PAGES: u64 = 24;

/// Memory, and what of it is the guest's.
pub fn guest_memory(foreign: u64) -> (Ram, RealMap) {
    let (ram, map) = (Ram::new(BYTES).unwrap(), RealMap::new(RANGES.to_vec()));
    let page = page_of(foreign);
    for pa in foreign_pages() {
        ram.write(pa, &page);
    }
    (ram, map)
}

fn page_of(word: u64) -> Vec<u8> {
    word.to_be_bytes().repeat(PAGE_BYTES as usize / 8)
}

fn foreign_pages() -> impl Iterator<Item = Pa> {
    let mine = |pa: u64| RANGES.iter().any(|range| pa.wrapping_sub(range.pa.0) < range.size);
    (0..BYTES).step_by(PAGE_BYTES as usize).filter(move |&pa| !mine(pa)).map(Pa)
}

/// A page of the guest: mostly one that holds something, often one beside the other
/// domain's.
pub fn some_page(dice: &mut Dice) -> RealRange {
    let [large, small] = RANGES;
    let (range, page) = match dice.below(8) {
        0 => (small, dice.below(small.size / PAGE_BYTES)),
        1 => (small, dice.one(&[0, small.size / PAGE_BYTES - 1])),
        2 => (large, dice.below(large.size / PAGE_BYTES)),
        3 => (large, dice.one(&[0, large.size / PAGE_BYTES - 1])),
        4 => (large, dice.below(TSB_PAGES)),
        _ => (large, TSB_PAGES + dice.below(CODE_PAGES)),
    };
    let at = page * PAGE_BYTES;
    RealRange { ra: range.ra.offset(at), pa: range.pa.offset(at), size: PAGE_BYTES }
}

/// A page of code.
pub fn code_page(dice: &mut Dice) -> RealRange {
    loop {
        let page = some_page(dice);
        let [large, small] = RANGES;
        let number = page.ra.0.wrapping_sub(large.ra.0) / PAGE_BYTES;
        let code = (TSB_PAGES..TSB_PAGES + CODE_PAGES).contains(&number)
            || number == large.size / PAGE_BYTES - 1
            || page.ra.0.wrapping_sub(small.ra.0) < small.size;
        if code {
            return page;
        }
    }
}

/// What the guest's memory was.
pub struct Memory {
    before: Vec<u8>,
}

impl Memory {
    /// Fills it.
    pub fn fill(ram: &Ram, map: &RealMap, seed: u64) -> Self {
        let mut dice = Dice::new(!seed);
        let [large, small] = RANGES;
        for page in 0..TSB_PAGES {
            for at in (0..PAGE_BYTES).step_by(16) {
                let va = super::state::some_va(&mut dice);
                let pa = large.pa.offset(page * PAGE_BYTES + at);
                let context = super::state::some_context(&mut dice);
                ram.store(pa, tsb_tag(va, context));
                ram.store(pa.offset(8), random_tte(&mut dice));
            }
        }
        let last = large.size / PAGE_BYTES - 1;
        let code = (TSB_PAGES..TSB_PAGES + CODE_PAGES).chain([last]);
        let code = code.map(|page| large.pa.offset(page * PAGE_BYTES));
        let others = (0..small.size / PAGE_BYTES).map(|page| small.pa.offset(page * PAGE_BYTES));
        for pa in code.chain(others) {
            for at in (0..PAGE_BYTES).step_by(4) {
                ram.store(pa.offset(at), word(&mut dice));
            }
        }
        debug_assert!(map.bytes() == large.size + small.size);
        Self { before: Self::guest(ram) }
    }

    fn guest(ram: &Ram) -> Vec<u8> {
        let mut bytes = Vec::new();
        for range in RANGES {
            let start = bytes.len();
            bytes.resize(start + range.size as usize, 0);
            ram.read(range.pa, &mut bytes[start..]);
        }
        bytes
    }

    /// Turns the dirty log on.
    pub fn log(&self, ram: &Ram) {
        ram.log().start(Pa(0), BYTES);
    }

    /// Looks at all memory; gives back the guest's.
    pub fn check(&self, ram: &Ram, foreign: u64, logged: bool) -> Vec<u8> {
        let expected = page_of(foreign);
        let mut page = expected.clone();
        for pa in foreign_pages() {
            ram.read(pa, &mut page);
            assert!(page == expected, "the other domain's page at {pa} was written to");
            assert!(!ram.log().is_dirty(pa), "and logged: {pa}");
        }
        let now = Self::guest(ram);
        let pages = RANGES.iter().flat_map(|range| {
            (0..range.size / PAGE_BYTES).map(|page| range.pa.offset(page * PAGE_BYTES))
        });
        let bytes = PAGE_BYTES as usize;
        for (pa, (old, new)) in pages.zip(self.before.chunks(bytes).zip(now.chunks(bytes))) {
            let unlogged = logged && old != new && !ram.log().is_dirty(pa);
            assert!(!unlogged, "the page at {pa} has changed and is not in the log");
        }
        now
    }
}
