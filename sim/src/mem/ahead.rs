//! Pages of the host that are made ready before somebody writes to them.
//!
//! Memory that nobody has touched costs nothing until the first store, and then a fault
//! in which the host clears a page. Whoever fills memory in order (a domain that
//! arrives, a file that is read) would wait for one fault after another; here a thread
//! goes a few blocks ahead of him.
//!
//! **Nothing but the host's time depends on it**: a page that was made ready reads as it
//! did before. It costs at most [`AHEAD`] blocks that nobody comes to use for each place
//! at which somebody stops.

use crossbeam_channel::{Sender, unbounded};
use memmap2::MmapRaw;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// Bytes of a block: a huge page of most hosts.
const BLOCK_SHIFT: u32 = 21;
/// Blocks that are made ready in front of a writer.
const AHEAD: u64 = 4;
/// Memory below this is filled before a thread has begun.
const BYTES_MIN: u64 = 64 << 20;

/// What makes pages ready.
pub struct Ahead {
    map: Arc<MmapRaw>,
    bytes: u64,
    /// A bit for each block that was asked for.
    asked: Box<[AtomicU64]>,
    /// Numbers of blocks, to the thread; it begins with the first.
    blocks: OnceLock<Option<Sender<u64>>>,
}

impl Ahead {
    /// For a mapping of `bytes`; nothing is made ready in one that is `sparse`.
    pub fn new(map: Arc<MmapRaw>, bytes: u64, sparse: bool) -> Self {
        let blocks = bytes.div_ceil(1 << BLOCK_SHIFT);
        let asked = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let this = Self { map, bytes, asked, blocks: OnceLock::new() };
        if sparse || bytes < BYTES_MIN {
            let _ = this.blocks.set(None);
        }
        this
    }

    /// Somebody writes at `pa`, and may go on behind it.
    #[inline]
    pub fn wrote(&self, pa: u64) {
        let last = (pa >> BLOCK_SHIFT) + AHEAD;
        if !self.is_asked(last) && matches!(self.blocks.get(), None | Some(Some(_))) {
            self.ask(last);
        }
    }

    /// The stretch was given back to the host.
    pub fn given_back(&self, stretch: &Range<u64>) {
        for block in stretch.start >> BLOCK_SHIFT..stretch.end >> BLOCK_SHIFT {
            if let Some(word) = self.asked.get((block / 64) as usize) {
                word.fetch_and(!(1 << (block % 64)), Relaxed);
            }
        }
    }

    /// Was it asked for, or is it behind the end?
    fn is_asked(&self, block: u64) -> bool {
        let word = self.asked.get((block / 64) as usize);
        word.is_none_or(|word| word.load(Relaxed) & 1 << (block % 64) != 0)
    }

    #[cold]
    fn ask(&self, last: u64) {
        let Some(blocks) = self.blocks.get_or_init(|| begin(&self.map, self.bytes)) else { return };
        for block in last + 1 - AHEAD..=last {
            let bit = 1 << (block % 64);
            let word = self.asked.get((block / 64) as usize);
            if word.is_some_and(|word| word.fetch_or(bit, Relaxed) & bit == 0) {
                // Nobody listens: then nobody is waited for either.
                let _ = blocks.send(block);
            }
        }
    }
}

/// Starts the thread, which ends with the sender; none where it could do nothing.
#[cfg(target_os = "linux")]
fn begin(map: &Arc<MmapRaw>, bytes: u64) -> Option<Sender<u64>> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return None;
    }
    let (sender, blocks) = unbounded::<u64>();
    let map = Arc::clone(map);
    std::thread::spawn(move || {
        for block in blocks {
            let start = block << BLOCK_SHIFT;
            let length = (bytes.saturating_sub(start)).min(1 << BLOCK_SHIFT);
            let advice = memmap2::Advice::PopulateWrite;
            if length > 0 && map.advise_range(advice, start as usize, length as usize).is_err() {
                return; // an old host, or one without memory: stores see to it
            }
        }
    });
    Some(sender)
}

#[cfg(not(target_os = "linux"))]
fn begin(_: &Arc<MmapRaw>, _: u64) -> Option<Sender<u64>> {
    None
}

#[cfg(test)]
mod test {
    use super::super::Ram;
    use sun4v::addr::Pa;

    #[test]
    fn what_is_made_ready_reads_as_before() {
        let ram = Ram::new(96 << 20).unwrap();
        ram.store(Pa(0x0230_0008), 7u64);
        let page = [0xa5; 8192];
        for pass in 0..3 {
            for at in (0..32u64 << 20).step_by(8192) {
                ram.write(Pa(at), &page);
            }
            assert_eq!(ram.load::<u64>(Pa(0x01ff_fff8)), 0xa5a5_a5a5_a5a5_a5a5);
            assert_eq!(ram.load::<u64>(Pa(0x0230_0008)), 7);
            assert!((32u64 << 20..0x0230_0000).step_by(8192).all(|at| ram.is_zero_page(Pa(at))));
            ram.zero(Pa(0), 32 << 20);
            assert!((0..32u64 << 20).step_by(8192).all(|at| ram.is_zero_page(Pa(at))), "{pass}");
        }
        // The last blocks.
        ram.write(Pa((96 << 20) - 8192), &page);
        assert_eq!(ram.load::<u8>(Pa((96 << 20) - 1)), 0xa5);
    }
}
