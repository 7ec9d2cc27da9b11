//! A digest of a guest's real memory, by which an observer sees that what arrived is
//! what left.
//!
//! **Shape.** SHA-256 over the SHA-256 of each [`DIGEST_PAGES`] pages in ascending real
//! addresses; of these, that of number and content of each page that is not all zeros.
//! So the groups can be taken side by side.

use crate::mem::Ram;
use sha2::{Digest, Sha256};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use sun4v::addr::{PAGE_BYTES, Pa, RealMap, RealRange};

/// Pages of a group: 16 MB.
const DIGEST_PAGES: usize = 2048;

/// The digest in hexadecimal.
pub fn memory_digest(ram: &Ram, map: &RealMap) -> String {
    let pages = |range: &RealRange| {
        let pa = range.pa;
        (0..range.size).step_by(PAGE_BYTES as usize).map(move |offset| pa.offset(offset))
    };
    let pages: Vec<Pa> = map.ranges().iter().flat_map(pages).collect();
    let groups: Vec<_> = pages.chunks(DIGEST_PAGES).collect();
    let digests: Vec<_> = groups.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let at = next.fetch_add(1, Relaxed)
            && let (Some(group), Some(slot)) = (groups.get(at), digests.get(at))
        {
            slot.get_or_init(|| group_digest(ram, group));
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        (1..threads.min(groups.len())).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let mut hash = Sha256::new();
    digests.iter().filter_map(OnceLock::get).for_each(|digest| hash.update(digest));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Number and content of each page of a group that has any.
fn group_digest(ram: &Ram, pages: &[Pa]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut page = [0; PAGE_BYTES as usize];
    for (&pa, number) in pages.iter().zip(0_u64..) {
        ram.read(pa, &mut page);
        if page.iter().any(|&byte| byte != 0) {
            hash.update(number.to_be_bytes());
            hash.update(page);
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod test {
    use super::memory_digest;
    use crate::mem::Ram;
    use sun4v::addr::{Pa, Ra, RealMap, RealRange};

    fn map(ranges: &[(u64, u64, u64)]) -> RealMap {
        let range = |&(ra, pa, size)| RealRange { ra: Ra(ra), pa: Pa(pa), size };
        RealMap::new(ranges.iter().map(range).collect())
    }

    #[test]
    fn it_knows_content_and_real_place_and_not_where_that_lies() {
        let ram = Ram::new(160 << 20).unwrap();
        let whole = map(&[(0x800_0000, 0, 48 << 20)]);
        let none = memory_digest(&ram, &whole);
        ram.store(Pa(33 << 20), 1u64);
        let one = memory_digest(&ram, &whole);
        assert_ne!(none, one);
        ram.store(Pa(33 << 20), 0u64);
        ram.store(Pa((33 << 20) + 8192), 1u64);
        let moved = memory_digest(&ram, &whole);
        assert!(moved != one && moved != none);
        // The same real memory, in two stretches elsewhere.
        let halves = map(&[
            (0x800_0000, 80 << 20, 20 << 20),
            (0x800_0000 + (20 << 20), 120 << 20, 28 << 20),
        ]);
        ram.store(Pa((133 << 20) + 8192), 1u64);
        assert_eq!(memory_digest(&ram, &halves), moved);
    }
}
