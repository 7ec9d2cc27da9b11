//! Translation: the TLBs of a core, the hardware table walk, and a software cache
//! in front of both.
//!
//! A T2 core has a 64-entry instruction TLB and a 128-entry data TLB, fully
//! associative, shared by its strands; a domain sees its own part of them. What is
//! in neither is looked for in the TSBs that the hypervisor was told of ([`walk`]),
//! and only what is not there either is a miss.
//!
//! **The cache.** [`Core::soft`] and [`Core::soft_code`] map a page to where it
//! lies, one compare deep. An entry exists only for what needs no further thought:
//! canonical address, permission checked for its *key* (contexts, privilege),
//! memory that is cacheable and big-endian, and for stores no dirty log waiting and
//! no decoded code. Anything unusual is an entry that is absent. The cache may keep
//! a page after its TLB entry was replaced, as a larger TLB would; every demap
//! takes it from both.
//!
//! **Source.** T2: TTE fields, context match, page sizes, table walk.

use crate::mem::Ram;
use sun4v::addr::{PAGE_BYTES, PAGE_SHIFT, Pa, RealMap};
use sun4v::id::CORES;
use sun4v::mmu::{TagContext, Tsb, Tte, TteFlags};

/// Entries of the instruction TLB.
pub const ITLB_ENTRIES: usize = 64;
/// Entries of the data TLB.
pub const DTLB_ENTRIES: usize = 128;
/// Entries of the software cache.
const SOFT: usize = 512;

/// A translation in a TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First address of the page.
    pub va: u64,
    /// Base-two logarithm of its size.
    pub shift: u32,
    /// Context.
    pub context: u16,
    /// Where it lies.
    pub pa: Pa,
    /// Its TTE's flags.
    pub flags: TteFlags,
}

impl Entry {
    /// Of a TTE whose page size T2 has and whose page begins at `pa`.
    pub fn new(va: u64, context: u16, tte: Tte, pa: Pa) -> Option<Self> {
        let shift = tte.size()?.shift();
        Some(Self { va: va >> shift << shift, shift, context, pa, flags: tte.flags() })
    }

    fn covers(&self, va: u64) -> bool {
        (va ^ self.va) >> self.shift == 0
    }

    fn overlaps(&self, other: &Self) -> bool {
        let shift = self.shift.max(other.shift);
        self.context == other.context && (self.va ^ other.va) >> shift == 0
    }

    /// Where `va` lies.
    pub fn at(&self, va: u64) -> Pa {
        self.pa.offset(va & ((1 << self.shift) - 1))
    }
}

/// A fully associative TLB; the entry that was not used for a round is replaced.
#[derive(Clone, Debug)]
pub struct Tlb {
    entries: Vec<(Entry, bool)>,
    capacity: usize,
    hand: usize,
}

impl Tlb {
    fn new(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), capacity, hand: 0 }
    }

    /// The translation of `va` in one of two contexts.
    pub fn lookup(&mut self, va: u64, contexts: [u16; 2]) -> Option<Entry> {
        let found = self.entries.iter_mut().find(|(entry, _)| {
            entry.covers(va) && (entry.context == contexts[0] || entry.context == contexts[1])
        });
        found.map(|(entry, used)| {
            *used = true;
            *entry
        })
    }

    /// The same for somebody who only looks: nothing counts as used.
    #[must_use]
    pub fn peek(&self, va: u64, contexts: [u16; 2]) -> Option<Entry> {
        let mut entries = self.entries.iter().map(|(entry, _)| entry);
        entries.find(|entry| entry.covers(va) && contexts.contains(&entry.context)).copied()
    }

    /// Loads a translation; those of the same addresses and context go, and then the
    /// answer is true: the software cache may hold one of them. One that is not valid
    /// translates nothing.
    pub fn insert(&mut self, new: Entry) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(entry, _)| !entry.overlaps(&new));
        let replaced = self.entries.len() != before;
        if !new.flags.contains(TteFlags::V) {
            return replaced;
        }
        if self.entries.len() < self.capacity {
            self.entries.push((new, true));
            return replaced;
        }
        loop {
            let at = self.hand % self.capacity;
            self.hand = at + 1;
            let (entry, used) = &mut self.entries[at];
            if !*used {
                (*entry, *used) = (new, true);
                return replaced;
            }
            *used = false;
        }
    }

    /// Removes what `gone` says.
    fn remove(&mut self, gone: impl Fn(&Entry) -> bool) {
        self.entries.retain(|(entry, _)| !gone(entry));
    }
}

/// A page in the software cache for data.
#[derive(Clone, Copy)]
pub struct Soft {
    /// The page's address, for loads; an impossible address when absent.
    pub load: u64,
    /// The same, for stores.
    pub store: u64,
    /// Contexts, rights and generation.
    pub key: u64,
    /// Physical minus virtual address.
    pub delta: u64,
}

/// A page in the software cache for instructions.
#[derive(Clone, Copy)]
pub struct SoftCode {
    /// The page's address.
    pub va: u64,
    /// Contexts, rights and generation.
    pub key: u64,
    /// Number of the decoded page.
    pub page: u32,
}

/// No page's address, whatever low bits an access keeps.
const ABSENT: u64 = u64::MAX;
/// Never the key of anything: every access goes the long way.
pub const KEY_NONE: u64 = u64::MAX;
/// Bit of a key: no privilege.
pub const KEY_USER: u64 = 1 << 26;
/// Bit of a key: real addresses.
pub const KEY_REAL: u64 = 1 << 27;
/// Bit of a key for instructions: addresses have 32 bits.
pub const KEY_AM: u64 = 1 << 28;
const KEY_BITS: u32 = 29;

/// The TLBs of one core, as one domain sees them.
pub struct Core {
    /// Instruction TLB.
    pub itlb: Tlb,
    /// Data TLB.
    pub dtlb: Tlb,
    /// Data pages, by bits 21:13 of the address.
    pub soft: Box<[Soft; SOFT]>,
    /// Code pages, likewise.
    pub soft_code: Box<[SoftCode; SOFT]>,
    /// Dirty log generation of which the cache knows.
    pub seen_log: u64,
    /// Generation of decoded code of which it knows.
    pub seen_code: u64,
    generation: u64,
}

impl Default for Core {
    fn default() -> Self {
        let none = Soft { load: ABSENT, store: ABSENT, key: KEY_NONE, delta: 0 };
        Self {
            itlb: Tlb::new(ITLB_ENTRIES),
            dtlb: Tlb::new(DTLB_ENTRIES),
            soft: Box::new([none; SOFT]),
            soft_code: Box::new([SoftCode { va: ABSENT, key: KEY_NONE, page: 0 }; SOFT]),
            seen_log: 0,
            seen_code: 0,
            generation: 0,
        }
    }
}

/// Index of a page in the software cache.
#[inline(always)]
pub const fn soft_index(va: u64) -> usize {
    (va >> PAGE_SHIFT) as usize & (SOFT - 1)
}

impl Core {
    /// The key of a mode: two contexts and flags, for as long as nothing is
    /// removed.
    #[inline]
    pub fn key(&self, contexts: [u16; 2], flags: u64) -> u64 {
        self.generation << KEY_BITS | flags | u64::from(contexts[1]) << 13 | u64::from(contexts[0])
    }

    /// The TLBs of core `number`: no two cores of a domain ever have the same key.
    pub fn new(number: u64) -> Self {
        Self { generation: number, ..Self::default() }
    }

    /// Forgets the software cache, at once.
    pub fn forget(&mut self) {
        self.generation += CORES as u64;
    }

    /// Remembers a data page.
    pub fn remember(&mut self, va: u64, key: u64, pa: Pa, load: bool, store: bool) {
        let page = va & !(PAGE_BYTES - 1);
        let of = |wanted: bool| if wanted { page } else { ABSENT };
        self.soft[soft_index(va)] = Soft {
            load: of(load),
            store: of(store),
            key,
            delta: (pa.0 & !(PAGE_BYTES - 1)).wrapping_sub(page),
        };
    }

    /// Remembers a code page.
    pub fn remember_code(&mut self, va: u64, key: u64, page: u32) {
        let va = va & !(PAGE_BYTES - 1);
        self.soft_code[soft_index(va)] = SoftCode { va, key, page };
    }

    /// Removes the page of `va` in `context`.
    pub fn demap_page(&mut self, data: bool, instruction: bool, va: u64, context: u16) {
        self.remove(data, instruction, |entry| entry.covers(va) && entry.context == context);
    }

    /// Removes all of `context`.
    pub fn demap_context(&mut self, data: bool, instruction: bool, context: u16) {
        self.remove(data, instruction, |entry| entry.context == context);
    }

    /// Removes everything.
    pub fn demap_all(&mut self, data: bool, instruction: bool) {
        self.remove(data, instruction, |_| true);
    }

    fn remove(&mut self, data: bool, instruction: bool, gone: impl Fn(&Entry) -> bool) {
        if data {
            self.dtlb.remove(&gone);
        }
        if instruction {
            self.itlb.remove(&gone);
        }
        self.forget();
    }
}

/// What a table walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// A translation.
    Hit(Entry),
    /// Nothing.
    Miss,
    /// A valid entry whose real address the guest does not have.
    BadReal,
    /// A valid entry that may not be executed, on an instruction's walk.
    NotExecutable,
}

/// Bits of a TSB tag between and above its fields: an entry that has one is none.
const TAG_RESERVED: u64 = 7 << 61 | 0x3f << 42;

/// Looks through the TSBs of a class of contexts for `va` in `contexts`.
pub fn walk(
    tsbs: &[Tsb],
    va: u64,
    contexts: [u16; 2],
    fetch: bool,
    map: &RealMap,
    ram: &Ram,
) -> Walk {
    for tsb in tsbs {
        let Some(at) = map.resolve(tsb.entry(va), 16) else { continue };
        let tag = ram.load::<u64>(at);
        let tte = Tte(ram.load::<u64>(at.offset(8)));
        let Some(size) = tte.size() else { continue };
        let reserved = tag & TAG_RESERVED != 0;
        if reserved || !tte.flags().contains(TteFlags::V) || tsb.size_mask >> size as u8 & 1 == 0 {
            continue;
        }
        // Bits of a tag's address that lie inside the page are not compared.
        let address = (va >> size.shift().max(22)) << size.shift().max(22) >> 22;
        let tag_address =
            (tag & 0x3ff_ffff_ffff) >> (size.shift().max(22) - 22) << (size.shift().max(22) - 22);
        let tag_context = (tag >> 48) as u16;
        let context = match tsb.context {
            TagContext::Compared => tag_context,
            TagContext::First => contexts[0],
            TagContext::Second => contexts[1],
        };
        if tag_address != address || !contexts.contains(&context) {
            continue;
        }
        if fetch && !tte.flags().contains(TteFlags::X) {
            return Walk::NotExecutable;
        }
        let base = tte.ra().0 & !(size.bytes() - 1);
        let in_memory = (base >> sun4v::addr::REAL_BITS == 0)
            .then(|| map.resolve(sun4v::addr::Ra(base), size.bytes()))
            .flatten();
        let entry = in_memory.and_then(|pa| Entry::new(va, context, tte, pa));
        return entry.map_or(Walk::BadReal, Walk::Hit);
    }
    Walk::Miss
}

#[cfg(test)]
mod test {
    use super::{Core, Entry, Tlb, Walk, walk};
    use crate::mem::Ram;
    use sun4v::addr::{Pa, PageSize, Ra, RealMap, RealRange};
    use sun4v::mmu::{TagContext, Tsb, Tte, tsb_tag};

    const TTE: u64 = 1 << 63 | 1 << 10 | 1 << 7 | 1 << 6;

    fn entry(va: u64, context: u16) -> Entry {
        Entry::new(va, context, Tte(TTE), Pa(0x10_0000 + (va & 0xf_e000))).unwrap()
    }

    #[test]
    fn a_page_is_found_in_either_context_and_by_any_of_its_addresses() {
        let mut tlb = Tlb::new(4);
        tlb.insert(Entry::new(0x40_1234, 5, Tte(TTE | 3), Pa(0x80_0000)).unwrap());
        assert_eq!(tlb.lookup(0x7f_fff8, [9, 5]).map(|e| e.at(0x7f_fff8)), Some(Pa(0xbf_fff8)));
        assert_eq!(tlb.lookup(0x7f_fff8, [9, 9]), None);
        assert_eq!(tlb.lookup(0x80_0000, [5, 5]), None);
    }

    #[test]
    fn a_new_translation_replaces_those_of_its_addresses() {
        let mut tlb = Tlb::new(4);
        tlb.insert(entry(0x40_2000, 5));
        tlb.insert(entry(0x40_2000, 6));
        tlb.insert(Entry::new(0x40_0000, 5, Tte(TTE | 3), Pa(0x80_0000)).unwrap());
        assert_eq!(tlb.lookup(0x40_2000, [5, 5]).map(|e| e.shift), Some(22));
        assert_eq!(tlb.lookup(0x40_2000, [6, 6]).map(|e| e.shift), Some(13));
    }

    #[test]
    fn one_that_is_not_valid_only_removes() {
        let mut tlb = Tlb::new(4);
        tlb.insert(entry(0x40_2000, 5));
        let invalid = Entry::new(0x40_2000, 5, Tte(TTE & !(1 << 63)), Pa(0x80_0000)).unwrap();
        assert!(tlb.insert(invalid));
        assert_eq!(tlb.lookup(0x40_2000, [5, 5]), None);
        assert!(!tlb.insert(invalid));
    }

    #[test]
    fn a_full_tlb_keeps_what_is_used() {
        let mut tlb = Tlb::new(4);
        for page in 0..4 {
            tlb.insert(entry(page << 13, 1));
        }
        tlb.insert(entry(4 << 13, 1));
        for page in [2, 3, 4] {
            assert!(tlb.lookup(page << 13, [1, 1]).is_some(), "{page}");
        }
        tlb.insert(entry(5 << 13, 1));
        assert!(tlb.lookup(2 << 13, [1, 1]).is_some());
        assert!(tlb.lookup(1 << 13, [1, 1]).is_none());
    }

    #[test]
    fn a_demap_takes_the_software_cache_along() {
        let mut core = Core::default();
        let key = core.key([3, 3], 0);
        core.dtlb.insert(entry(0x2000, 3));
        core.dtlb.insert(entry(0x4000, 4));
        core.demap_context(true, false, 3);
        assert!(core.dtlb.lookup(0x2000, [3, 3]).is_none());
        assert!(core.dtlb.lookup(0x4000, [4, 4]).is_some());
        assert_ne!(core.key([3, 3], 0), key);
    }

    #[test]
    fn the_walk_reads_the_guests_table() {
        let ram = Ram::new(1 << 26).unwrap();
        let map = RealMap::new(vec![RealRange { ra: Ra(0x800_0000), pa: Pa(0), size: 1 << 25 }]);
        let tsb = |size_mask, context| Tsb {
            ra: Ra(0x800_2000),
            entries: 512,
            index_size: PageSize::K8,
            size_mask,
            context,
        };
        let va = 0x1_2345_6000;
        let at = Pa(0x2000 + (va >> 13 & 511) * 16);
        let put = |tag: u64, data: u64| {
            ram.store(at, tag);
            ram.store(at.offset(8), data);
        };
        let look = |tsb: Tsb, contexts, fetch| walk(&[tsb], va, contexts, fetch, &map, &ram);
        put(tsb_tag(va, 7), TTE | 0x801_0000);
        let (compared, first) = (TagContext::Compared, TagContext::First);
        let Walk::Hit(hit) = look(tsb(1, compared), [7, 7], false) else { panic!("no hit") };
        assert_eq!((hit.at(va + 8), hit.context), (Pa(0x1_0008), 7));
        assert_eq!(look(tsb(1, compared), [8, 8], false), Walk::Miss);
        assert!(
            matches!(look(tsb(1, compared), [8, 7], false), Walk::Hit(hit) if hit.context == 7)
        );
        assert_eq!(look(tsb(2, compared), [7, 7], false), Walk::Miss);
        assert!(matches!(look(tsb(1, first), [8, 9], false), Walk::Hit(hit) if hit.context == 8));
        let second = tsb(1, TagContext::Second);
        assert!(matches!(look(second, [8, 9], false), Walk::Hit(hit) if hit.context == 9));
        put(tsb_tag(va, 7), TTE & !(1 << 7) | 0x801_0000);
        assert_eq!(look(tsb(1, compared), [7, 7], true), Walk::NotExecutable);
        put(tsb_tag(va, 7), TTE | 0xf801_0000);
        assert_eq!(look(tsb(1, compared), [7, 7], false), Walk::BadReal);
        put(tsb_tag(va, 7), TTE & !(1 << 63) | 0x801_0000);
        assert_eq!(look(tsb(1, compared), [7, 7], false), Walk::Miss);
        for reserved in [42, 47, 61, 63] {
            put(tsb_tag(va, 7) | 1 << reserved, TTE | 0x801_0000);
            assert_eq!(look(tsb(1, first), [7, 7], false), Walk::Miss, "{reserved}");
        }
        for size in [2, 4, 6, 7] {
            put(tsb_tag(va, 7), TTE | 0x801_0000 | size);
            assert_eq!(look(tsb(0xff, first), [7, 7], false), Walk::Miss, "size {size}");
        }
    }
}
