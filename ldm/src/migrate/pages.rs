//! Pages of a migrating domain by number, sets of them, and their hashes.
//!
//! Both ends number the pages of a domain's real memory alike: ascending by real
//! address, without gaps. What is hashed is the page's content; what is compared
//! at the end is one digest over all of them.

use super::Refusal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use sun4v::addr::{PAGE_BYTES, PAGE_SHIFT, Ra};

/// Bytes of a page, for slices.
pub const PAGE: usize = PAGE_BYTES as usize;
/// Most pages that a domain may have here: 64 GB of them, twice what a T2 holds.
pub const PAGES_MAX: u64 = 64 << 30 >> PAGE_SHIFT;

/// A stretch of a domain's real memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// First real address, a multiple of 8 KiB.
    pub ra: Ra,
    /// Bytes, likewise.
    pub bytes: u64,
}

/// Page numbers and real addresses of one domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageMap {
    /// Ascending, with the number of the first page.
    stretches: Vec<(u32, Stretch)>,
    pages: u32,
}

impl PageMap {
    /// Checks what a peer or a manager says about a domain's memory: whole pages,
    /// ascending, no overlap, not more than there can be.
    pub fn new(stretches: &[Stretch]) -> Result<Self, Refusal> {
        let mut map = Self::default();
        let mut end = 0;
        for &stretch in stretches {
            let whole =
                stretch.ra.is_aligned(PAGE_BYTES) && stretch.bytes.is_multiple_of(PAGE_BYTES);
            let next = stretch.ra.0.checked_add(stretch.bytes);
            let pages = u64::from(map.pages) + (stretch.bytes >> PAGE_SHIFT);
            match next {
                Some(next) if whole && stretch.bytes > 0 && stretch.ra.0 >= end => end = next,
                _ => return Err(Refusal::Memory),
            }
            if pages > PAGES_MAX {
                return Err(Refusal::Memory);
            }
            map.stretches.push((map.pages, stretch));
            map.pages = pages as u32;
        }
        Ok(map)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.pages
    }

    /// True for a domain without memory.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// The stretches, each with the number of its first page.
    #[must_use]
    pub fn stretches(&self) -> &[(u32, Stretch)] {
        &self.stretches
    }

    /// The real address of page `index`, if there is one.
    #[must_use]
    pub fn ra(&self, index: u32) -> Option<Ra> {
        let at = self.stretches.partition_point(|&(first, _)| first <= index).checked_sub(1)?;
        let (first, stretch) = self.stretches.get(at)?;
        let offset = u64::from(index - first) << PAGE_SHIFT;
        (offset < stretch.bytes).then(|| stretch.ra.offset(offset))
    }

    /// The number of the page that begins at a real address, if one does.
    #[must_use]
    pub fn index(&self, ra: Ra) -> Option<u32> {
        let at = self.stretches.partition_point(|(_, stretch)| stretch.ra <= ra).checked_sub(1)?;
        let (first, stretch) = self.stretches.get(at)?;
        let offset = ra.0 - stretch.ra.0;
        let begins = offset < stretch.bytes && offset.is_multiple_of(PAGE_BYTES);
        begins.then(|| first + (offset >> PAGE_SHIFT) as u32)
    }
}

/// A set of page numbers, one bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageSet {
    words: Vec<u64>,
    pages: u32,
    count: u32,
}

impl PageSet {
    /// The empty set of `pages` pages.
    #[must_use]
    pub fn none(pages: u32) -> Self {
        Self { words: vec![0; pages.div_ceil(64) as usize], pages, count: 0 }
    }

    /// All of them.
    #[must_use]
    pub fn all(pages: u32) -> Self {
        let mut set = Self::none(pages);
        (0..pages).for_each(|index| set.insert(index));
        set
    }

    /// How many are in it.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Puts a page in; one that does not exist is left out.
    pub fn insert(&mut self, index: u32) {
        if index < self.pages {
            let word = &mut self.words[index as usize / 64];
            self.count += u32::from(*word >> (index % 64) & 1 == 0);
            *word |= 1 << (index % 64);
        }
    }

    /// Takes a page out.
    pub fn remove(&mut self, index: u32) {
        if index < self.pages {
            let word = &mut self.words[index as usize / 64];
            self.count -= u32::from(*word >> (index % 64) & 1 != 0);
            *word &= !(1 << (index % 64));
        }
    }

    /// Is it in?
    #[must_use]
    pub fn contains(&self, index: u32) -> bool {
        index < self.pages && self.words[index as usize / 64] >> (index % 64) & 1 != 0
    }

    /// Its first member at or behind `from`.
    #[must_use]
    pub fn next(&self, from: u32) -> Option<u32> {
        let mut at = from as usize / 64;
        let mut word = self.words.get(at)? & !0 << (from % 64);
        while word == 0 {
            at += 1;
            word = *self.words.get(at)?;
        }
        Some((at * 64) as u32 + word.trailing_zeros())
    }

    /// Takes up to `most` members at or behind `from` out, and gives them.
    pub fn take(&mut self, from: u32, most: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        let mut at = from;
        while let Some(index) = self.next(at).filter(|_| taken.len() < most) {
            taken.push(index);
            self.remove(index);
            at = index + 1;
        }
        taken
    }
}

/// 16 bytes for a page's content.
pub type PageHash = [u8; 16];

/// What pages are hashed with. Both ends use the same, since each compares what the other
/// has found: what crypto units can, when both have units, and otherwise what costs a
/// strand least.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Hasher {
    /// The first 16 bytes of SHA-256 (FIPS 180-4).
    Sha256,
    /// The first 16 bytes of BLAKE3's.
    #[default]
    Blake3,
}

impl Hasher {
    /// For ends that have units, or have not.
    #[must_use]
    pub const fn agreed(source_units: bool, target_units: bool) -> Self {
        if source_units && target_units { Self::Sha256 } else { Self::Blake3 }
    }

    /// Hashes one page's content, in software.
    #[must_use]
    pub fn hash(self, page: &[u8]) -> PageHash {
        let digest: [u8; 32] = match self {
            Self::Sha256 => Sha256::digest(page).into(),
            Self::Blake3 => blake3::hash(page).into(),
        };
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        hash
    }

    /// The hash of a page of zeros.
    #[must_use]
    pub fn zero(self) -> PageHash {
        static ZEROS: LazyLock<[PageHash; 2]> =
            LazyLock::new(|| [Hasher::Sha256, Hasher::Blake3].map(|own| own.hash(&[0; PAGE])));
        ZEROS[self as usize]
    }
}

/// What every page held when it was last sent, or last received.
///
/// A digest over all pages must not cost the pause: it is a sum (four 64-bit lanes,
/// wrapping) of one SHA-256 a page over its number and hash, so that a page that
/// changes costs one subtraction and one addition. It is there to find mistakes of
/// ours; against people on the wire stand the records' HMACs.
#[derive(Clone, Debug)]
pub struct PageHashes {
    hashes: Vec<Option<PageHash>>,
    known: u32,
    sum: [u64; 4],
}

impl PageHashes {
    /// Nothing known of `pages` pages.
    #[must_use]
    pub fn new(pages: u32) -> Self {
        Self { hashes: vec![None; pages as usize], known: 0, sum: [0; 4] }
    }

    /// How many pages are known.
    #[must_use]
    pub const fn known(&self) -> u32 {
        self.known
    }

    /// What page `index` held.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<PageHash> {
        self.hashes.get(index as usize).copied().flatten()
    }

    /// Page `index` holds this now. Pages that do not exist are left out.
    pub fn set(&mut self, index: u32, hash: PageHash) {
        let Some(slot) = self.hashes.get_mut(index as usize) else { return };
        match slot.replace(hash) {
            Some(old) => {
                for (lane, leaf) in self.sum.iter_mut().zip(leaf(index, &old)) {
                    *lane = lane.wrapping_sub(leaf);
                }
            }
            None => self.known += 1,
        }
        for (lane, leaf) in self.sum.iter_mut().zip(leaf(index, &hash)) {
            *lane = lane.wrapping_add(leaf);
        }
    }

    /// One digest over all pages and `state`, or `None` while a page is unknown.
    #[must_use]
    pub fn digest(&self, state: &[u8]) -> Option<[u8; 32]> {
        if self.known as usize != self.hashes.len() {
            return None;
        }
        let mut digest = Sha256::new();
        digest.update(self.known.to_be_bytes());
        self.sum.iter().for_each(|lane| digest.update(lane.to_be_bytes()));
        digest.update(state);
        Some(digest.finalize().into())
    }
}

fn leaf(index: u32, hash: &PageHash) -> [u64; 4] {
    let mut digest = Sha256::new();
    digest.update(index.to_be_bytes());
    digest.update(hash);
    let digest: [u8; 32] = digest.finalize().into();
    let mut lanes = [0; 4];
    for (lane, bytes) in lanes.iter_mut().zip(digest.as_chunks::<8>().0) {
        *lane = u64::from_be_bytes(*bytes);
    }
    lanes
}

#[cfg(test)]
mod test {
    use super::{Hasher, PAGE, PageHashes, PageMap, PageSet, Stretch};
    use sun4v::addr::Ra;

    #[test]
    fn pages_are_numbered_across_stretches() {
        let map = PageMap::new(&[
            Stretch { ra: Ra(0x800_0000), bytes: 0x4000 },
            Stretch { ra: Ra(0x1000_0000), bytes: 0x2000 },
        ])
        .unwrap();
        let found: Vec<_> = (0..4).map(|index| map.ra(index)).collect();
        assert_eq!(
            found,
            [Some(Ra(0x800_0000)), Some(Ra(0x800_2000)), Some(Ra(0x1000_0000)), None]
        );
    }

    #[test]
    fn memory_that_cannot_be_is_refused() {
        for bad in [
            vec![Stretch { ra: Ra(1), bytes: 0x2000 }],
            vec![Stretch { ra: Ra(0), bytes: 0x2001 }],
            vec![Stretch { ra: Ra(0), bytes: 0 }],
            vec![Stretch { ra: Ra(0), bytes: 1 << 50 }],
            vec![Stretch { ra: Ra(!0x1fff), bytes: 0x4000 }],
            vec![Stretch { ra: Ra(0x2000), bytes: 0x2000 }, Stretch { ra: Ra(0), bytes: 0x2000 }],
        ] {
            assert!(PageMap::new(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_set_gives_its_members_in_order_and_knows_how_many() {
        let mut set = PageSet::none(200);
        for index in [199, 3, 64, 3, 200] {
            set.insert(index);
        }
        assert_eq!(set.count(), 3);
        assert_eq!(set.take(4, 9), [64, 199]);
        assert_eq!((set.count(), set.next(0), set.next(4)), (1, Some(3), None));
        assert_eq!(PageSet::all(130).take(0, 200).len(), 130);
    }

    /// BLAKE3: `b3sum` of the same page. SHA-256: `sha256sum`.
    #[test]
    fn pages_are_hashed_as_everybody_does() {
        let hex = |hasher: Hasher, page: &[u8]| {
            hasher.hash(page).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let page: Vec<u8> = (0..PAGE).map(|at| (at % 251) as u8).collect();
        assert_eq!(hex(Hasher::Sha256, &page), "25df2449b2e5a35fea14e02a7158e283");
        assert_eq!(hex(Hasher::Blake3, &page), "aae792484c8efe4f19e2ca7d371d8c46");
        for hasher in [Hasher::Sha256, Hasher::Blake3] {
            assert_eq!(hasher.zero(), hasher.hash(&[0; PAGE]));
        }
    }

    #[test]
    fn units_hash_when_both_ends_have_them() {
        assert_eq!(Hasher::agreed(true, true), Hasher::Sha256);
        for ends in [(true, false), (false, true), (false, false)] {
            assert_eq!(Hasher::agreed(ends.0, ends.1), Hasher::Blake3);
        }
    }

    #[test]
    fn the_digest_depends_on_content_place_and_state_and_not_on_order() {
        let [a, b] = [1, 2].map(|fill| Hasher::Blake3.hash(&[fill; PAGE]));
        let digest = |pages: &[(u32, _)], state: &[u8]| {
            let mut hashes = PageHashes::new(2);
            pages.iter().for_each(|&(index, hash)| hashes.set(index, hash));
            hashes.digest(state)
        };
        let one = digest(&[(0, a), (1, b)], b"s");
        assert!(one.is_some());
        assert_eq!(one, digest(&[(1, a), (1, b), (0, b), (0, a)], b"s"));
        assert_ne!(one, digest(&[(1, a), (0, b)], b"s"));
        assert_ne!(one, digest(&[(0, a), (1, b)], b"t"));
        assert_eq!(digest(&[(0, a)], b"s"), None, "a page is missing");
    }
}
