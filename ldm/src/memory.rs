//! The control domain's own memory, given out in blocks.
//!
//! **Shapes.** A block is a power of two of bytes, 64 at least, at a real address
//! that is a multiple of its size: what queues, map tables and copies ask for.
//!
//! **Errors.** `None` when nothing large enough is left.

use std::collections::BTreeMap;
use sun4v::addr::Ra;

const MIN_SHIFT: u32 = 6;

/// A block of an [`Arena`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its first byte.
    pub ra: Ra,
    /// Its size, a power of two.
    pub bytes: u64,
}

impl Block {
    /// Real address of byte `offset`.
    #[must_use]
    pub const fn at(&self, offset: u64) -> Ra {
        self.ra.offset(offset)
    }
}

/// Memory to give out.
#[derive(Debug)]
pub struct Arena {
    /// Blocks by size's logarithm.
    free: BTreeMap<u32, Vec<Ra>>,
    next: u64,
    end: u64,
}

impl Arena {
    /// `bytes` from `ra` on.
    #[must_use]
    pub fn new(ra: Ra, bytes: u64) -> Self {
        let next = ra.0.next_multiple_of(1 << MIN_SHIFT);
        Self { free: BTreeMap::new(), next, end: ra.0.saturating_add(bytes) }
    }

    /// A block of `bytes` or more.
    pub fn alloc(&mut self, bytes: u64) -> Option<Block> {
        let shift = bytes.max(1).checked_next_power_of_two()?.trailing_zeros().max(MIN_SHIFT);
        let block = |ra| Some(Block { ra, bytes: 1 << shift });
        let found =
            self.free.range_mut(shift..).find_map(|(&have, list)| Some((have, list.pop()?)));
        if let Some((have, ra)) = found {
            for half in shift..have {
                self.free.entry(half).or_default().push(ra.offset(1 << half));
            }
            return block(ra);
        }
        let start = self.next.checked_next_multiple_of(1 << shift)?;
        let end = start.checked_add(1 << shift)?;
        if end > self.end {
            return None;
        }
        while self.next < start {
            let gap = self.next.trailing_zeros();
            self.free.entry(gap).or_default().push(Ra(self.next));
            self.next += 1 << gap;
        }
        self.next = end;
        block(Ra(start))
    }

    /// Takes a block back.
    pub fn free(&mut self, block: Block) {
        self.free.entry(block.bytes.trailing_zeros()).or_default().push(block.ra);
    }
}

#[cfg(test)]
mod test {
    use super::{Arena, Ra};
    use proptest::prelude::{any, proptest};

    #[test]
    fn what_is_given_back_is_given_out_again() {
        let mut arena = Arena::new(Ra(0x800_0000), 0x4000);
        let a = arena.alloc(0x2000).unwrap();
        let b = arena.alloc(0x2000).unwrap();
        assert_eq!(arena.alloc(1), None);
        arena.free(a);
        assert_eq!(arena.alloc(100).unwrap().bytes, 128);
        arena.free(b);
        assert_eq!(arena.alloc(0x2000), Some(b));
    }

    proptest! {
        #[test]
        fn blocks_are_aligned_and_never_overlap(
            asks in proptest::collection::vec((0_u64..5000, any::<bool>()), 1..60),
        ) {
            let mut arena = Arena::new(Ra(0x800_0010), 0x1_0000);
            let mut held: Vec<super::Block> = Vec::new();
            for (bytes, give_back) in asks {
                if give_back && let Some(block) = held.pop() {
                    arena.free(block);
                }
                let Some(block) = arena.alloc(bytes) else { continue };
                assert!(block.bytes >= bytes && block.ra.is_aligned(block.bytes));
                assert!(block.ra.0 >= 0x800_0010);
                assert!(block.ra.0 + block.bytes <= 0x801_0010);
                for other in &held {
                    assert!(
                        block.ra.0 + block.bytes <= other.ra.0
                            || other.ra.0 + other.bytes <= block.ra.0
                    );
                }
                held.push(block);
            }
        }
    }
}
