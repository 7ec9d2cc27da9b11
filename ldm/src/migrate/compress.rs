//! Chunks: pages on the wire, as small as they come.
//!
//! A chunk covers a span of page numbers. Of each page in the span it says one of
//! three things: it is all zeros, its content is in the body, or nothing (it was
//! not asked for, or holds what was sent before). The body is one self-contained
//! zstd frame of at most [`CHUNK_PAGES`] pages, so that chunks can be made and
//! taken apart in any order on any number of strands and always give the same
//! bytes. At level 0 nothing is compressed: the frame stores the pages as they are.
//!
//! **Shape**, numbers big-endian: sequence of the chunk `u64`, first page `u32`,
//! span `u16` (1 to [`SPAN_PAGES`]), a bit a page for "zero", a bit a page for "in
//! the body" (lowest bit first), the frame.

use super::Refusal;
use super::pages::{PAGE, PageHash, PageMap, page_hash};
use std::cell::RefCell;
use zstd::bulk::{Compressor, Decompressor};

/// Most pages in a body: 128 KiB.
pub const CHUNK_PAGES: usize = 16;
/// Most page numbers that a chunk covers.
pub const SPAN_PAGES: u32 = 4096;
/// Bytes before the bitmaps.
const HEAD_BYTES: usize = 14;
/// Bytes of a frame that did not compress at all, and some.
const FRAME_BYTES_MAX: usize = CHUNK_PAGES * PAGE + 1024;

/// A page to send: its number, its content (none when all zeros), and what the
/// other end is known to have there.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its number.
    pub index: u32,
    /// 8 KiB, or `None` for zeros.
    pub content: Option<Vec<u8>>,
    /// Hash of the content, when somebody has computed it already.
    pub hash: Option<PageHash>,
    /// What was sent of it before.
    pub before: Option<PageHash>,
}

/// What became of the pages of a chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// The chunk, ready to be sealed.
    pub chunk: Vec<u8>,
    /// Pages in it, with the hash of each.
    pub sent: Vec<(u32, PageHash)>,
    /// Of these, how many are zeros.
    pub zero: u32,
    /// Pages left out because the other end has them.
    pub same: u32,
}

/// The hash of a page of zeros.
#[must_use]
pub fn zero_hash() -> PageHash {
    static ZERO: std::sync::LazyLock<PageHash> = std::sync::LazyLock::new(|| page_hash(&[0; PAGE]));
    *ZERO
}

thread_local! {
    /// Contexts of a host thread, kept for their allocation only: a frame depends on
    /// nothing but its content and the level.
    static DEFLATE: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static INFLATE: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Most bytes of a block of a frame, by its format.
const BLOCK_BYTES_MAX: usize = 128 << 10;
const _: () = assert!(CHUNK_PAGES * PAGE <= BLOCK_BYTES_MAX);

/// Appends a frame that stores `body` (Zstandard, RFC 8878, 3.1.1): its magic number, a
/// header that says how long the content is and nothing else, one raw block.
fn store(body: &[u8], frame: &mut Vec<u8>) {
    const MAGIC: u32 = 0xfd2f_b528;
    const SINGLE_SEGMENT_FOUR_BYTE_SIZE: u8 = 0b1010_0000;
    const LAST_RAW_BLOCK: u32 = 1;
    frame.reserve_exact(12 + body.len() + 1);
    frame.extend_from_slice(&MAGIC.to_le_bytes());
    frame.push(SINGLE_SEGMENT_FOUR_BYTE_SIZE);
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(&((body.len() as u32) << 3 | LAST_RAW_BLOCK).to_le_bytes()[..3]);
    frame.extend_from_slice(body);
}

fn deflate(body: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    DEFLATE.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|(own, _)| *own != level) {
            *kept = Some((level, Compressor::new(level)?));
        }
        let (_, context) = kept.as_mut().ok_or(std::io::ErrorKind::OutOfMemory)?;
        context.compress(body)
    })
}

fn inflate(frame: &[u8], body: &mut [u8]) -> std::io::Result<usize> {
    INFLATE.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = Some(Decompressor::new()?);
        }
        let context = kept.as_mut().ok_or(std::io::ErrorKind::OutOfMemory)?;
        context.decompress_to_buffer(frame, body)
    })
}

/// Packs pages (ascending, within [`SPAN_PAGES`], at most [`CHUNK_PAGES`] with
/// content) into chunk `sequence`.
#[must_use]
pub fn pack(sequence: u64, pages: &[Page], level: i32) -> Packed {
    let base = pages.first().map_or(0, |page| page.index);
    let span = pages.last().map_or(1, |page| page.index - base + 1) as usize;
    let bitmap_bytes = span.div_ceil(8);
    let (mut zeros, mut data) = (vec![0u8; bitmap_bytes], vec![0u8; bitmap_bytes]);
    let mut packed = Packed::default();
    let mut body = Vec::new();
    for page in pages {
        let at = (page.index - base) as usize;
        let hash = match (&page.content, page.hash) {
            (None, _) => zero_hash(),
            (Some(_), Some(hash)) => hash,
            (Some(content), None) => page_hash(content),
        };
        if page.before == Some(hash) {
            packed.same += 1;
            continue;
        }
        packed.sent.push((page.index, hash));
        if let Some(content) = &page.content {
            data[at / 8] |= 1 << (at % 8);
            body.extend_from_slice(content);
        } else {
            zeros[at / 8] |= 1 << (at % 8);
            packed.zero += 1;
        }
    }
    packed.chunk.extend_from_slice(&sequence.to_be_bytes());
    packed.chunk.extend_from_slice(&base.to_be_bytes());
    packed.chunk.extend_from_slice(&(span as u16).to_be_bytes());
    packed.chunk.extend_from_slice(&zeros);
    packed.chunk.extend_from_slice(&data);
    if level == 0 && !body.is_empty() {
        store(&body, &mut packed.chunk);
    } else if !body.is_empty() {
        // The one error, a destination too small, cannot come of a growing vector.
        packed.chunk.extend(deflate(&body, level).unwrap_or_default());
    }
    packed
}

/// A chunk taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Pages that are zeros.
    pub zeros: Vec<u32>,
    /// Pages that have content, in the order of `body`.
    pub data: Vec<u32>,
    /// Their content, 8 KiB each.
    pub body: Vec<u8>,
    /// Hash of every page of `zeros`, then of `data` if they were hashed.
    pub hashes: Vec<PageHash>,
}

/// The number of a chunk, read without looking further.
pub fn sequence(chunk: &[u8]) -> Result<u64, Refusal> {
    let bytes = chunk.first_chunk::<8>().ok_or(Refusal::Malformed)?;
    Ok(u64::from_be_bytes(*bytes))
}

/// How many pages of a chunk have content: what taking it apart costs.
#[must_use]
pub fn data_pages(chunk: &[u8]) -> usize {
    head(chunk).map_or(0, |head| bits(head.base, head.data).count())
}

/// Takes a chunk apart that arrived for a domain with these pages. Nothing in it
/// is believed: every page must exist, no page may be told twice, and the frame
/// must expand to just the pages that it is said to have. With `hash`, what it
/// expands to is hashed; somebody else does that otherwise.
pub fn unpack(chunk: &[u8], map: &PageMap, hash: bool) -> Result<Unpacked, Refusal> {
    let head = head(chunk)?;
    let (zeros, data): (Vec<u32>, Vec<u32>) =
        (bits(head.base, head.zeros).collect(), bits(head.base, head.data).collect());
    let twice = head.zeros.iter().zip(head.data).any(|(zeros, data)| zeros & data != 0);
    let outside = zeros.iter().chain(&data).any(|&index| map.ra(index).is_none());
    if twice || outside || data.len() > CHUNK_PAGES || head.frame.len() > FRAME_BYTES_MAX {
        return Err(Refusal::Malformed);
    }
    let mut body = vec![0; data.len() * PAGE];
    if data.is_empty() != head.frame.is_empty() {
        return Err(Refusal::Malformed);
    }
    if !data.is_empty() {
        let expanded = inflate(head.frame, &mut body).map_err(|_| Refusal::Malformed)?;
        if expanded != body.len() {
            return Err(Refusal::Malformed);
        }
    }
    let mut hashes = vec![zero_hash(); zeros.len()];
    if hash {
        hashes.extend(body.chunks_exact(PAGE).map(page_hash));
    }
    Ok(Unpacked { zeros, data, body, hashes })
}

struct Head<'a> {
    base: u32,
    zeros: &'a [u8],
    data: &'a [u8],
    frame: &'a [u8],
}

fn head(chunk: &[u8]) -> Result<Head<'_>, Refusal> {
    let (head, rest) = chunk.split_at_checked(HEAD_BYTES).ok_or(Refusal::Malformed)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte));
    let (base, span) = (number(&head[8..12]), number(&head[12..14]));
    if span == 0 || span > SPAN_PAGES || base.checked_add(span).is_none() {
        return Err(Refusal::Malformed);
    }
    let bitmap_bytes = span.div_ceil(8) as usize;
    let (zeros, rest) = rest.split_at_checked(bitmap_bytes).ok_or(Refusal::Malformed)?;
    let (data, frame) = rest.split_at_checked(bitmap_bytes).ok_or(Refusal::Malformed)?;
    Ok(Head { base, zeros, data, frame })
}

/// Page numbers of the bits that are set. A bit beyond the span is a number that
/// the page map will judge.
fn bits(base: u32, bitmap: &[u8]) -> impl Iterator<Item = u32> {
    (0..bitmap.len() as u32 * 8)
        .filter(|&bit| bitmap[bit as usize / 8] >> (bit % 8) & 1 != 0)
        .map(move |bit| base.saturating_add(bit))
}

/// A job's output as bytes, since jobs give bytes: the chunk, and behind it the rest.
#[must_use]
pub fn packed_to_bytes(packed: Packed) -> Vec<u8> {
    let mut bytes = packed.chunk;
    for (index, hash) in &packed.sent {
        bytes.extend_from_slice(&index.to_be_bytes());
        bytes.extend_from_slice(hash);
    }
    for number in [packed.sent.len() as u32, packed.zero, packed.same] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes
}

/// Takes so many bytes off the end.
fn split_off(bytes: &mut Vec<u8>, count: usize) -> Option<Vec<u8>> {
    Some(bytes.split_off(bytes.len().checked_sub(count)?))
}

/// Takes so many 32-bit numbers off the end.
fn numbers(bytes: &mut Vec<u8>, count: usize) -> Option<Vec<u32>> {
    let tail = split_off(bytes, count.checked_mul(4)?)?;
    Some(tail.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).collect())
}

/// The way back from [`packed_to_bytes`].
#[must_use]
pub fn packed_from_bytes(mut bytes: Vec<u8>) -> Option<Packed> {
    let counts = numbers(&mut bytes, 3)?;
    let &[sent, zero, same] = counts.as_slice() else { return None };
    let sent = split_off(&mut bytes, (sent as usize).checked_mul(20)?)?;
    let sent = sent.as_chunks::<20>().0.iter().filter_map(|entry| {
        let (index, hash) = entry.split_first_chunk::<4>()?;
        Some((u32::from_be_bytes(*index), hash.try_into().ok()?))
    });
    Some(Packed { sent: sent.collect(), zero, same, chunk: bytes })
}

/// A job's output as bytes, the body first: none when the chunk was refused.
#[must_use]
pub fn unpacked_to_bytes(unpacked: Result<Unpacked, Refusal>) -> Vec<u8> {
    let Ok(Unpacked { zeros, data, body, hashes }) = unpacked else { return Vec::new() };
    let mut bytes = body;
    hashes.iter().for_each(|hash| bytes.extend_from_slice(hash));
    let counts = [zeros.len(), data.len(), hashes.len()].map(|count| count as u32);
    for number in zeros.iter().chain(&data).chain(&counts) {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes
}

/// The way back from [`unpacked_to_bytes`].
#[must_use]
pub fn unpacked_from_bytes(mut bytes: Vec<u8>) -> Option<Unpacked> {
    let counts = numbers(&mut bytes, 3)?;
    let &[zeros, data, hashes] = counts.as_slice() else { return None };
    let data = numbers(&mut bytes, data as usize)?;
    let zeros = numbers(&mut bytes, zeros as usize)?;
    let hashes = split_off(&mut bytes, (hashes as usize).checked_mul(16)?)?;
    let hashes = hashes.as_chunks::<16>().0.to_vec();
    Some(Unpacked { zeros, data, body: bytes, hashes })
}

#[cfg(test)]
mod test {
    use super::{
        CHUNK_PAGES, Packed, Page, Unpacked, pack, packed_from_bytes, packed_to_bytes, sequence,
        unpack, unpacked_from_bytes, unpacked_to_bytes, zero_hash,
    };
    use crate::migrate::pages::{PAGE, PageMap, Stretch, page_hash};
    use proptest::prelude::{any, prop};
    use sun4v::addr::Ra;

    fn map() -> PageMap {
        PageMap::new(&[Stretch { ra: Ra(0x800_0000), bytes: 5000 << 13 }]).unwrap()
    }

    fn page(index: u32, fill: u8) -> Page {
        let content = (fill != 0).then(|| vec![fill; PAGE]);
        Page { index, content, hash: None, before: None }
    }

    #[test]
    fn zero_pages_cost_bits_and_pages_that_repeat_cost_little() {
        let zeros: Vec<Page> = (0..4096).map(|index| page(index, 0)).collect();
        let packed = pack(1, &zeros, 1);
        assert_eq!((packed.zero, packed.chunk.len()), (4096, 14 + 1024));
        let alike: Vec<Page> = (0..16).map(|index| page(index, 7)).collect();
        assert!(pack(1, &alike, 1).chunk.len() < 200);
    }

    #[test]
    fn at_level_0_pages_are_stored_as_they_are() {
        for count in [1, 5, CHUNK_PAGES as u8] {
            let pages: Vec<Page> = (0..count).map(|n| page(u32::from(n), n + 1)).collect();
            let chunk = pack(3, &pages, 0).chunk;
            assert!(chunk.len() > usize::from(count) * PAGE);
            let unpacked = unpack(&chunk, &map(), true).unwrap();
            assert!(unpacked.body.chunks(PAGE).zip(1..).all(|(page, fill)| page == [fill; PAGE]));
            assert!(unpack(&chunk[..chunk.len() - 1], &map(), true).is_err());
        }
    }

    #[test]
    fn pages_that_the_other_end_has_are_left_out() {
        let mut pages = [page(5, 1), page(6, 2), page(7, 0)];
        pages[0].before = Some(page_hash(&[1; PAGE]));
        pages[2].before = Some(zero_hash());
        let packed = pack(9, &pages, 1);
        assert_eq!((packed.same, packed.sent.len()), (2, 1));
        let unpacked = unpack(&packed.chunk, &map(), true).unwrap();
        assert_eq!((unpacked.data, unpacked.zeros), (vec![6], vec![]));
    }

    proptest::proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            fills in prop::collection::vec(0u8..4, 1..CHUNK_PAGES + 1),
            step in 1u32..200,
            number in any::<u64>(),
            level in 0..4,
        ) {
            let pages: Vec<Page> =
                (0..).step_by(step as usize).zip(&fills).map(|(at, &fill)| page(at, fill)).collect();
            let packed = pack(number, &pages, level);
            proptest::prop_assert_eq!(packed_from_bytes(packed_to_bytes(packed.clone())), Some(packed.clone()));
            proptest::prop_assert_eq!(sequence(&packed.chunk), Ok(number));
            let unpacked = unpack(&packed.chunk, &map(), true).unwrap();
            let job = unpacked_to_bytes(Ok(unpacked.clone()));
            proptest::prop_assert_eq!(unpacked_from_bytes(job), Some(unpacked.clone()));
            let Unpacked { zeros, data, body, hashes } = unpacked;
            let mut told: Vec<_> = zeros.iter().chain(&data).copied().zip(hashes).collect();
            told.sort_unstable();
            proptest::prop_assert_eq!(told, packed.sent);
            let mut contents = body.chunks(PAGE);
            for page in pages.iter().filter(|page| page.content.is_some()) {
                proptest::prop_assert_eq!(contents.next(), page.content.as_deref());
            }
        }

        #[test]
        fn no_chunk_of_whatever_bytes_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..300), span in any::<u8>()) {
            let _ = unpack(&bytes, &map(), true);
            // The same with a span that fits the bytes.
            if bytes.len() > 14 {
                bytes[8..14].copy_from_slice(&[0, 0, 0, 0, 0, span]);
                let _ = unpack(&bytes, &map(), true);
            }
        }
    }

    #[test]
    fn chunks_that_lie_are_refused() {
        let good = pack(0, &[page(0, 1), page(1, 0), page(2, 2)], 1).chunk;
        let bitmaps = |zeros, data| {
            let mut chunk = good.clone();
            (chunk[14], chunk[15]) = (zeros, data);
            chunk
        };
        assert!(unpack(&bitmaps(0b10, 0b101), &map(), true).is_ok());
        for (bad, why) in [
            (bitmaps(0b11, 0b101), "a page both zero and not"),
            (bitmaps(0, 0b111), "fewer pages than promised"),
            (bitmaps(0b10, 0b001), "more pages than promised"),
            (bitmaps(0b10, 0), "a body for no page"),
            (good[..16].to_vec(), "no body"),
        ] {
            assert!(unpack(&bad, &map(), true).is_err(), "{why}");
        }
        let beyond = pack(0, &[page(4999, 1), page(5000, 1)], 1).chunk;
        assert!(unpack(&beyond, &map(), true).is_err(), "a page that does not exist");
        assert_eq!(unpacked_from_bytes(unpacked_to_bytes(unpack(&beyond, &map(), true))), None);
        assert_eq!(packed_from_bytes(packed_to_bytes(Packed::default())), Some(Packed::default()));
    }
}
