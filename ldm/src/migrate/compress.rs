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
use super::pages::{Hasher, PAGE, PageHash, PageMap};
use super::seal::Text;
use std::borrow::Cow;
use std::cell::RefCell;
use std::io::Cursor;
use std::sync::Arc;
use zstd::bulk::{Compressor, Decompressor};

/// Most pages in a body: 128 KiB.
pub const CHUNK_PAGES: usize = 16;
/// Most page numbers that a chunk covers.
pub const SPAN_PAGES: u32 = 4096;
/// Bytes before the bitmaps.
const HEAD_BYTES: usize = 14;
/// Bytes of a frame that did not compress at all, and some.
const FRAME_BYTES_MAX: usize = CHUNK_PAGES * PAGE + 1024;

/// A page's content, where it was read with others.
#[derive(Clone, Debug)]
pub struct Content {
    read: Arc<Vec<u8>>,
    /// First byte of it.
    at: usize,
}

impl Content {
    /// Page `number` of what was read.
    #[must_use]
    pub fn of(read: &Arc<Vec<u8>>, number: usize) -> Self {
        Self { read: read.clone(), at: number * PAGE }
    }

    /// Its 8 KiB.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.read.get(self.at..self.at + PAGE).unwrap_or_default()
    }

    /// All of them, in one piece: where they were read, if they lie there one behind the other.
    fn all<'a>(pages: &[&'a Self]) -> Cow<'a, [u8]> {
        let Some((first, rest)) = pages.split_first() else { return Cow::default() };
        let follow = (first.at + PAGE..).step_by(PAGE).zip(rest);
        let mut follow =
            follow.map(|(at, own)| own.at == at && Arc::ptr_eq(&own.read, &first.read));
        if follow.all(|follows| follows)
            && let Some(bytes) = first.read.get(first.at..first.at + pages.len() * PAGE)
        {
            return bytes.into();
        }
        pages.iter().map(|own| own.bytes()).collect::<Vec<_>>().concat().into()
    }
}

/// A page to send: its number, its content (none when all zeros), and what the
/// other end is known to have there.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its number.
    pub index: u32,
    /// 8 KiB, or `None` for zeros.
    pub content: Option<Content>,
    /// Hash of the content, when somebody has computed it already.
    pub hash: Option<PageHash>,
    /// What was sent of it before.
    pub before: Option<PageHash>,
}

/// What became of the pages of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The chunk, ready to be sealed.
    pub chunk: Text,
    /// Pages in it, with the hash of each.
    pub sent: Vec<(u32, PageHash)>,
    /// Of these, how many are zeros.
    pub zero: u32,
    /// Pages left out because the other end has them.
    pub same: u32,
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
/// Bytes of a frame that stores pages, beside them.
const STORED_BYTES: usize = 12;

/// Appends a frame that stores pages (Zstandard, RFC 8878, 3.1.1): its magic number, a
/// header that says how long the content is and nothing else, one raw block.
fn store(pages: &[&Content], chunk: &mut Text) {
    const MAGIC: u32 = 0xfd2f_b528;
    const SINGLE_SEGMENT_FOUR_BYTE_SIZE: u8 = 0b1010_0000;
    const LAST_RAW_BLOCK: u32 = 1;
    let bytes = (pages.len() * PAGE) as u32;
    chunk.push(&MAGIC.to_le_bytes());
    chunk.push(&[SINGLE_SEGMENT_FOUR_BYTE_SIZE]);
    chunk.push(&bytes.to_le_bytes());
    chunk.push(&(bytes << 3 | LAST_RAW_BLOCK).to_le_bytes()[..3]);
    pages.iter().for_each(|page| chunk.push(page.bytes()));
}

/// Appends a frame that holds pages, compressed.
fn deflate(pages: &[&Content], level: i32, chunk: Text) -> std::io::Result<Text> {
    DEFLATE.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|(own, _)| *own != level) {
            *kept = Some((level, Compressor::new(level)?));
        }
        let (_, context) = kept.as_mut().ok_or(std::io::ErrorKind::OutOfMemory)?;
        let bytes = chunk.into_bytes();
        let mut behind = Cursor::new(bytes);
        behind.set_position(behind.get_ref().len() as u64);
        context.compress_to_buffer(&Content::all(pages), &mut behind)?;
        Text::from_bytes(behind.into_inner()).ok_or(std::io::ErrorKind::InvalidData.into())
    })
}

/// What a frame holds, which must be so many bytes; with room for `more` behind them.
fn inflate(frame: &[u8], bytes: usize, more: usize) -> Result<Vec<u8>, Refusal> {
    let body = INFLATE.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = Some(Decompressor::new()?);
        }
        let context = kept.as_mut().ok_or(std::io::ErrorKind::OutOfMemory)?;
        let mut body = Vec::with_capacity(bytes + more);
        context.decompress_to_buffer(frame, &mut body)?;
        Ok::<_, std::io::Error>(body)
    });
    body.ok().filter(|body| body.len() == bytes).ok_or(Refusal::Malformed)
}

/// Packs pages (ascending, within [`SPAN_PAGES`], at most [`CHUNK_PAGES`] with
/// content) into chunk `sequence`.
#[must_use]
pub fn pack(sequence: u64, pages: &[Page], hasher: Hasher, level: i32) -> Packed {
    let base = pages.first().map_or(0, |page| page.index);
    let span = pages.last().map_or(1, |page| page.index - base + 1) as usize;
    let bitmap_bytes = span.div_ceil(8);
    let (mut zeros, mut data) = (vec![0u8; bitmap_bytes], vec![0u8; bitmap_bytes]);
    let (mut sent, mut contents) = (Vec::new(), Vec::new());
    let (mut zero, mut same) = (0, 0);
    for page in pages {
        let at = (page.index - base) as usize;
        let hash = match (&page.content, page.hash) {
            (None, _) => hasher.zero(),
            (Some(_), Some(hash)) => hash,
            (Some(content), None) => hasher.hash(content.bytes()),
        };
        if page.before == Some(hash) {
            same += 1;
            continue;
        }
        sent.push((page.index, hash));
        if let Some(content) = &page.content {
            data[at / 8] |= 1 << (at % 8);
            contents.push(content);
        } else {
            zeros[at / 8] |= 1 << (at % 8);
            zero += 1;
        }
    }
    let body = match (contents.len() * PAGE, level) {
        (bytes, 0) => bytes + STORED_BYTES,
        (bytes, _) => zstd::zstd_safe::compress_bound(bytes),
    };
    let told = sent.len() * TOLD_BYTES + COUNTS_BYTES;
    let mut chunk = Text::with_capacity(HEAD_BYTES + 2 * bitmap_bytes + body + told);
    chunk.push(&sequence.to_be_bytes());
    chunk.push(&base.to_be_bytes());
    chunk.push(&(span as u16).to_be_bytes());
    chunk.push(&zeros);
    chunk.push(&data);
    if level == 0 && !contents.is_empty() {
        store(&contents, &mut chunk);
    } else if !contents.is_empty() {
        // The one error is a destination too small, and it has room for the longest frame.
        chunk = deflate(&contents, level, chunk).unwrap_or_else(|_| Text::with_capacity(0));
    }
    Packed { chunk, sent, zero, same }
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
/// must expand to just the pages that it is said to have. What it expands to is hashed
/// when `hashes`; somebody else does that otherwise.
pub fn unpack(
    chunk: &[u8],
    map: &PageMap,
    hasher: Hasher,
    hashes: bool,
) -> Result<Unpacked, Refusal> {
    let head = head(chunk)?;
    let (zeros, data): (Vec<u32>, Vec<u32>) =
        (bits(head.base, head.zeros).collect(), bits(head.base, head.data).collect());
    let twice = head.zeros.iter().zip(head.data).any(|(zeros, data)| zeros & data != 0);
    let outside = zeros.iter().chain(&data).any(|&index| map.ra(index).is_none());
    if twice || outside || data.len() > CHUNK_PAGES || head.frame.len() > FRAME_BYTES_MAX {
        return Err(Refusal::Malformed);
    }
    let body = match (data.is_empty(), head.frame.is_empty()) {
        (true, true) => Vec::new(),
        (false, false) => {
            let told = (zeros.len() + data.len()) * TOLD_BYTES + COUNTS_BYTES;
            inflate(head.frame, data.len() * PAGE, told)?
        }
        _ => return Err(Refusal::Malformed),
    };
    let mut told = vec![hasher.zero(); zeros.len()];
    if hashes {
        told.extend(body.chunks_exact(PAGE).map(|page| hasher.hash(page)));
    }
    Ok(Unpacked { zeros, data, body, hashes: told })
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

/// What a job's output says of a page, its number and its hash, and of all: three counts.
const TOLD_BYTES: usize = 20;
const COUNTS_BYTES: usize = 12;

/// A job's output as bytes, since jobs give bytes: the chunk, and behind it the rest.
#[must_use]
pub fn packed_to_bytes(packed: Packed) -> Vec<u8> {
    let mut bytes = packed.chunk.into_bytes();
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
    let sent = split_off(&mut bytes, (sent as usize).checked_mul(TOLD_BYTES)?)?;
    let sent = sent.as_chunks::<TOLD_BYTES>().0.iter().filter_map(|entry| {
        let (index, hash) = entry.split_first_chunk::<4>()?;
        Some((u32::from_be_bytes(*index), hash.try_into().ok()?))
    });
    Some(Packed { sent: sent.collect(), zero, same, chunk: Text::from_bytes(bytes)? })
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
        CHUNK_PAGES, Content, Packed, Page, Unpacked, packed_from_bytes, packed_to_bytes, sequence,
        unpacked_from_bytes, unpacked_to_bytes,
    };
    use crate::migrate::Refusal;
    use crate::migrate::pages::{Hasher, PAGE, PageMap, Stretch};
    use crate::migrate::seal::Text;
    use proptest::prelude::{any, prop};
    use std::sync::Arc;
    use sun4v::addr::Ra;

    const HASHER: Hasher = Hasher::Blake3;

    fn pack(sequence: u64, pages: &[Page], level: i32) -> Packed {
        super::pack(sequence, pages, HASHER, level)
    }

    fn unpack(chunk: &[u8]) -> Result<Unpacked, Refusal> {
        super::unpack(chunk, &map(), HASHER, true)
    }

    fn map() -> PageMap {
        PageMap::new(&[Stretch { ra: Ra(0x800_0000), bytes: 5000 << 13 }]).unwrap()
    }

    fn page(index: u32, fill: u8) -> Page {
        let content = (fill != 0).then(|| Content::of(&Arc::new(vec![fill; PAGE]), 0));
        Page { index, content, hash: None, before: None }
    }

    /// Pages that were read together.
    fn read(pages: impl Iterator<Item = (u32, u8)>) -> Vec<Page> {
        let pages: Vec<_> = pages.collect();
        let read = Arc::new(pages.iter().flat_map(|&(_, fill)| [fill; PAGE]).collect());
        let content = |number, fill| (fill != 0).then(|| Content::of(&read, number));
        let pages = pages.iter().enumerate();
        pages
            .map(|(number, &(index, fill))| {
                let content = content(number, fill);
                Page { index, content, hash: None, before: None }
            })
            .collect()
    }

    #[test]
    fn zero_pages_cost_bits_and_pages_that_repeat_cost_little() {
        let zeros: Vec<Page> = (0..4096).map(|index| page(index, 0)).collect();
        let packed = pack(1, &zeros, 1);
        assert_eq!((packed.zero, packed.chunk.plain().len()), (4096, 14 + 1024));
        let alike: Vec<Page> = (0..16).map(|index| page(index, 7)).collect();
        assert!(pack(1, &alike, 1).chunk.plain().len() < 200);
    }

    #[test]
    fn at_level_0_pages_are_stored_as_they_are() {
        for count in [1, 5, CHUNK_PAGES as u8] {
            let pages: Vec<Page> = (0..count).map(|n| page(u32::from(n), n + 1)).collect();
            let packed = pack(3, &pages, 0);
            let chunk = packed.chunk.plain();
            assert!(chunk.len() > usize::from(count) * PAGE);
            let unpacked = unpack(chunk).unwrap();
            assert!(unpacked.body.chunks(PAGE).zip(1..).all(|(page, fill)| page == [fill; PAGE]));
            assert!(unpack(&chunk[..chunk.len() - 1]).is_err());
        }
    }

    #[test]
    fn pages_that_the_other_end_has_are_left_out() {
        let mut pages = [page(5, 1), page(6, 2), page(7, 0)];
        pages[0].before = Some(HASHER.hash(&[1; PAGE]));
        pages[2].before = Some(HASHER.zero());
        let packed = pack(9, &pages, 1);
        assert_eq!((packed.same, packed.sent.len()), (2, 1));
        let unpacked = unpack(packed.chunk.plain()).unwrap();
        assert_eq!((unpacked.data, unpacked.zeros), (vec![6], vec![]));
    }

    proptest::proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            fills in prop::collection::vec(0u8..4, 1..CHUNK_PAGES + 1),
            step in 1u32..200,
            number in any::<u64>(),
            level in 0..4,
            together in any::<bool>(),
        ) {
            let pages = (0..).step_by(step as usize).zip(fills);
            let pages: Vec<Page> =
                if together { read(pages) } else { pages.map(|(at, fill)| page(at, fill)).collect() };
            let packed = pack(number, &pages, level);
            proptest::prop_assert_eq!(packed_from_bytes(packed_to_bytes(packed.clone())), Some(packed.clone()));
            proptest::prop_assert_eq!(sequence(packed.chunk.plain()), Ok(number));
            let unpacked = unpack(packed.chunk.plain()).unwrap();
            let job = unpacked_to_bytes(Ok(unpacked.clone()));
            proptest::prop_assert_eq!(unpacked_from_bytes(job), Some(unpacked.clone()));
            let Unpacked { zeros, data, body, hashes } = unpacked;
            let mut told: Vec<_> = zeros.iter().chain(&data).copied().zip(hashes).collect();
            told.sort_unstable();
            proptest::prop_assert_eq!(told, packed.sent);
            let mut contents = body.chunks(PAGE);
            for content in pages.iter().filter_map(|page| page.content.as_ref()) {
                proptest::prop_assert_eq!(contents.next(), Some(content.bytes()));
            }
        }

        #[test]
        fn no_chunk_of_whatever_bytes_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..300), span in any::<u8>()) {
            let _ = unpack(&bytes);
            // The same with a span that fits the bytes.
            if bytes.len() > 14 {
                bytes[8..14].copy_from_slice(&[0, 0, 0, 0, 0, span]);
                let _ = unpack(&bytes);
            }
        }
    }

    #[test]
    fn chunks_that_lie_are_refused() {
        let good = pack(0, &[page(0, 1), page(1, 0), page(2, 2)], 1).chunk.plain().to_vec();
        let bitmaps = |zeros, data| {
            let mut chunk = good.clone();
            (chunk[14], chunk[15]) = (zeros, data);
            chunk
        };
        assert!(unpack(&bitmaps(0b10, 0b101)).is_ok());
        for (bad, why) in [
            (bitmaps(0b11, 0b101), "a page both zero and not"),
            (bitmaps(0, 0b111), "fewer pages than promised"),
            (bitmaps(0b10, 0b001), "more pages than promised"),
            (bitmaps(0b10, 0), "a body for no page"),
            (good[..16].to_vec(), "no body"),
        ] {
            assert!(unpack(&bad).is_err(), "{why}");
        }
        let beyond = pack(0, &[page(4999, 1), page(5000, 1)], 1).chunk;
        let beyond = beyond.plain();
        assert!(unpack(beyond).is_err(), "a page that does not exist");
        assert_eq!(unpacked_from_bytes(unpacked_to_bytes(unpack(beyond))), None);
        let none = Packed { chunk: Text::with_capacity(0), sent: Vec::new(), zero: 0, same: 0 };
        assert_eq!(packed_from_bytes(packed_to_bytes(none.clone())), Some(none));
    }
}
