//! Disk images: content that is computed from a seed or stands in a file, and what was
//! written over it.
//!
//! An image of hundreds of megabytes costs nothing until it is written: a block
//! is made when it is read. Two images of one seed and size have the same bytes,
//! which is how the lab gets its mirrored pairs. Of a file, blocks that are not all zeros
//! are kept; the file itself is read once and never written.
//!
//! **Shapes.** Blocks of 8 KiB, each with a header of 32 bytes: `RVRBLK01`, the
//! block's number, the seed, and a checksum, all big-endian. The checksum is
//! FNV-1a taken over the block as 1024 big-endian words of 64 bits, its own field
//! zero ([`checksum`]). The rest is text of words and numbers, which zstd level 1
//! shrinks two to four times. The last block may be cut by the image's size.

use crate::time::rng::Rng;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 8192;
/// First eight bytes of every block.
pub const MAGIC: [u8; 8] = *b"RVRBLK01";
/// Bytes of a block before its text.
pub const HEADER_BYTES: usize = 32;
/// Where in the header the checksum is.
const CHECKSUM: std::ops::Range<usize> = 24..32;

/// One block.
pub type Block = [u8; BLOCK_BYTES];

/// FNV-1a, 64 bits wide, over the block's words; the checksum's own word counts
/// as zero.
#[must_use]
pub fn checksum(block: &Block) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (n, bytes) in block.chunks_exact(8).enumerate() {
        let word = if n * 8 == CHECKSUM.start {
            0
        } else {
            bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
        };
        hash = (hash ^ word).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

/// Words of the text; a word of fifteen letters at most, with its blank.
const STEMS: [&str; 64] = [
    "strand", "queue", "domain", "channel", "packet", "memory", "switch", "service", "console",
    "virtual", "machine", "disk", "block", "mirror", "scrub", "server", "client", "network",
    "frame", "buffer", "cookie", "ring", "entry", "page", "table", "context", "trap", "window",
    "timer", "clock", "signal", "process", "thread", "kernel", "driver", "device", "system",
    "storage", "volume", "record", "export", "mount", "handle", "offset", "length", "status",
    "error", "reply", "request", "version", "release", "figure", "report", "lab", "rover",
    "source", "target", "stream", "digest", "cipher", "key", "unit", "core", "chip",
];
const ENDINGS: [&str; 4] = [" ", "s ", "ed, ", ".\n"];

/// The vocabulary: 256 words of at most 16 bytes, with their lengths.
struct Words {
    bytes: [[u8; 16]; 256],
    lengths: [u8; 256],
}

impl Words {
    fn new() -> Self {
        let mut words = Self { bytes: [[0; 16]; 256], lengths: [0; 256] };
        let all = STEMS.iter().flat_map(|stem| ENDINGS.map(|ending| (stem, ending)));
        for ((stem, ending), (slot, length)) in
            all.zip(words.bytes.iter_mut().zip(&mut words.lengths))
        {
            let word = [stem.as_bytes(), ending.as_bytes()].concat();
            slot[..word.len()].copy_from_slice(&word);
            *length = word.len() as u8;
        }
        words
    }

    /// Block `number` of an image of `seed`.
    fn block(&self, seed: u64, number: u64) -> Block {
        // A word may stick out by its sixteen bytes.
        let mut text = [0; BLOCK_BYTES + 16];
        let mut rng = Rng::new(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut at = HEADER_BYTES;
        'full: loop {
            // Six words, then a number of up to four digits.
            let mut draw = rng.draw();
            for _ in 0..6 {
                let word = (draw & 0xff) as usize;
                draw >>= 8;
                text[at..at + 16].copy_from_slice(&self.bytes[word]);
                at += usize::from(self.lengths[word]);
                if at >= BLOCK_BYTES {
                    break 'full;
                }
            }
            for _ in 0..4 {
                text[at] = b"0123456789abcdef"[(draw & 15) as usize];
                draw >>= 4;
                at += 1;
            }
            text[at] = b' ';
            at += 1;
            if at >= BLOCK_BYTES {
                break;
            }
        }
        let mut block = [0; BLOCK_BYTES];
        block.copy_from_slice(&text[..BLOCK_BYTES]);
        block[..8].copy_from_slice(&MAGIC);
        block[8..16].copy_from_slice(&number.to_be_bytes());
        block[16..24].copy_from_slice(&seed.to_be_bytes());
        let sum = checksum(&block);
        block[CHECKSUM].copy_from_slice(&sum.to_be_bytes());
        block
    }
}

/// What an image holds before anything is written.
enum Content {
    /// Text that comes of a seed.
    Seed(u64, Box<Words>),
    /// A file: its blocks that are not all zeros, and its SHA-256.
    File(BTreeMap<u64, Box<Block>>, [u8; 32]),
}

/// A disk image.
pub struct Image {
    size: u64,
    content: Content,
    pub(super) written: BTreeMap<u64, Box<Block>>,
    pub(super) spoiled: u64,
}

impl Image {
    /// An image of `size` bytes.
    #[must_use]
    pub fn new(seed: u64, size: u64) -> Self {
        let content = Content::Seed(seed, Box::new(Words::new()));
        Self { size, content, written: BTreeMap::new(), spoiled: 0 }
    }

    /// An image that begins as the file at `path`, with zeros behind it up to `size` bytes;
    /// as long as the file if that is 0.
    ///
    /// # Errors
    /// The file cannot be read, is empty, or is longer than `size`.
    pub fn of_file(path: &Path, size: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        let (mut blocks, mut length) = (BTreeMap::new(), 0_u64);
        let mut bytes = Vec::with_capacity(BLOCK_BYTES);
        loop {
            bytes.clear();
            let got = (&mut file).take(BLOCK_BYTES as u64).read_to_end(&mut bytes)?;
            if got == 0 {
                break;
            }
            hash.update(&bytes);
            if bytes.iter().any(|&byte| byte != 0) {
                let mut block = Box::new([0; BLOCK_BYTES]);
                block[..got].copy_from_slice(&bytes);
                blocks.insert(length / BLOCK_BYTES as u64, block);
            }
            length += got as u64;
        }
        let size = if size == 0 { length } else { size };
        if length == 0 || length > size {
            let why = format!("{length} bytes; an image of {size} begins with 1 to {size}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let content = Content::File(blocks, hash.finalize().into());
        Ok(Self { size, content, written: BTreeMap::new(), spoiled: 0 })
    }

    /// SHA-256 of the file that it began as, if it was one.
    #[must_use]
    pub fn file_digest(&self) -> Option<[u8; 32]> {
        match &self.content {
            Content::Seed(..) => None,
            Content::File(_, digest) => Some(*digest),
        }
    }

    /// Writes what it holds now.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn copy_to(&self, out: &mut dyn Write) -> io::Result<()> {
        (0..self.blocks()).try_for_each(|number| {
            out.write_all(&self.read(number * BLOCK_BYTES as u64, BLOCK_BYTES))
        })
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Blocks, the last of which may be cut.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.size.div_ceil(BLOCK_BYTES as u64)
    }

    /// Block `number` as it was before anything was written.
    #[must_use]
    pub fn pristine(&self, number: u64) -> Block {
        match &self.content {
            Content::Seed(seed, words) => words.block(*seed, number),
            Content::File(blocks, _) => {
                blocks.get(&number).map_or([0; BLOCK_BYTES], |block| **block)
            }
        }
    }

    /// Calls `each` with the block and the range of it for every block that
    /// `offset..offset + length` touches. The range is inside the image.
    fn spans(offset: u64, length: usize, mut each: impl FnMut(u64, std::ops::Range<usize>)) {
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let start = (at % BLOCK_BYTES as u64) as usize;
            let end = BLOCK_BYTES.min(start + length - done);
            each(at / BLOCK_BYTES as u64, start..end);
            done += end - start;
        }
    }

    /// Bytes from `offset`, at most `length`, fewer at the end.
    #[must_use]
    pub fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let length = (length as u64).min(self.size.saturating_sub(offset)) as usize;
        let mut bytes = Vec::with_capacity(length);
        Self::spans(offset, length, |number, range| match self.written.get(&number) {
            Some(block) => bytes.extend_from_slice(&block[range]),
            None => bytes.extend_from_slice(&self.pristine(number)[range]),
        });
        bytes
    }

    /// Writes `bytes` at `offset`; false, and nothing written, if they do not fit.
    #[must_use]
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> bool {
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > self.size) {
            return false;
        }
        let mut rest = bytes;
        Self::spans(offset, bytes.len(), |number, range| {
            let (head, tail) = rest.split_at(range.len());
            rest = tail;
            self.block_mut(number)[range].copy_from_slice(head);
        });
        true
    }

    /// A block to write into.
    fn block_mut(&mut self, number: u64) -> &mut Block {
        if !self.written.contains_key(&number) {
            let block = Box::new(self.pristine(number));
            self.written.insert(number, block);
        }
        self.written.entry(number).or_insert_with(|| Box::new([0; BLOCK_BYTES]))
    }

    /// Breaks a block behind its reader's back: sixteen bytes of its text are
    /// inverted. False if there is no such block.
    #[must_use]
    pub fn spoil(&mut self, number: u64) -> bool {
        if number >= self.blocks() {
            return false;
        }
        self.block_mut(number)[4096..4112].iter_mut().for_each(|byte| *byte = !*byte);
        self.spoiled += 1;
        true
    }

    /// How often a block was spoiled.
    #[must_use]
    pub fn spoiled(&self) -> u64 {
        self.spoiled
    }

    /// Blocks that were written or spoiled.
    #[must_use]
    pub fn written_blocks(&self) -> u64 {
        self.written.len() as u64
    }

    /// Blocks whose bytes are not those they had at first.
    #[must_use]
    pub fn changed_blocks(&self) -> u64 {
        self.written.iter().filter(|(number, block)| ***block != self.pristine(**number)).count()
            as u64
    }
}

#[cfg(test)]
mod test {
    use super::{BLOCK_BYTES, Image, MAGIC, checksum};

    #[test]
    fn a_block_names_itself_and_its_checksum_holds() {
        let image = Image::new(0x1122, 1 << 20);
        let block = image.pristine(77);
        assert_eq!(block[..8], MAGIC);
        assert_eq!(block[8..16], 77_u64.to_be_bytes());
        assert_eq!(block[16..24], 0x1122_u64.to_be_bytes());
        assert_eq!(block[24..32], checksum(&block).to_be_bytes());
        assert!(block[32..].iter().all(|&byte| byte.is_ascii_graphic() || b" \n".contains(&byte)));
    }

    #[test]
    fn the_checksum_is_the_one_that_the_guest_computes() {
        // FNV-1a over 1024 words: word 0 is 1, word 3 is the checksum's own.
        let mut block = [0; BLOCK_BYTES];
        block[7] = 1;
        block[31] = 9;
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ 1;
        (0..1024).for_each(|_| hash = hash.wrapping_mul(0x0100_0000_01b3));
        assert_eq!(checksum(&block), hash);
    }

    #[test]
    fn a_file_is_what_it_begins_as_and_is_never_written() {
        let path = std::env::temp_dir().join(format!("ldomlab-image-{}", std::process::id()));
        let mut bytes = vec![0; 5 * BLOCK_BYTES + 100];
        bytes[2 * BLOCK_BYTES + 7] = 3;
        bytes[5 * BLOCK_BYTES + 99] = 4;
        std::fs::write(&path, &bytes).unwrap();
        let mut image = Image::of_file(&path, 0).unwrap();
        assert_eq!(image.size(), bytes.len() as u64);
        assert_eq!(image.read(0, usize::MAX), bytes);
        assert!(image.write(BLOCK_BYTES as u64 - 1, &[9; 3]));
        let mut expected = bytes.clone();
        expected[BLOCK_BYTES - 1..BLOCK_BYTES + 2].fill(9);
        let mut copy = Vec::new();
        image.copy_to(&mut copy).unwrap();
        assert_eq!((copy, image.changed_blocks()), (expected, 2));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        // With room behind it.
        let longer = Image::of_file(&path, 1 << 20).unwrap();
        bytes.resize(1 << 20, 0);
        assert_eq!(longer.read(0, usize::MAX), bytes);
        assert_eq!(longer.file_digest(), image.file_digest());
        assert_eq!(Image::new(1, 8192).file_digest(), None);
        for (size, text) in [(8192, "longer"), (0, "empty")] {
            if size == 0 {
                std::fs::write(&path, []).unwrap();
            }
            assert!(Image::of_file(&path, size).is_err(), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Image::of_file(&path, 0).is_err());
    }

    #[test]
    fn one_seed_one_content_and_another_seed_another() {
        let content = |seed| Image::new(seed, 1 << 20).read(0, 1 << 20);
        assert_eq!(content(1), content(1));
        assert_ne!(content(1), content(2));
        let block = |n| Image::new(1, 1 << 20).pristine(n)[32..].to_vec();
        assert_ne!(block(0), block(1));
    }

    #[test]
    fn zstd_level_1_shrinks_it_two_to_four_times() {
        for seed in [1, 0xdead_beef] {
            for piece in Image::new(seed, 4 << 20).read(0, 4 << 20).chunks(128 << 10) {
                let small = zstd::bulk::compress(piece, 1).unwrap().len();
                let ratio = piece.len() as f64 / small as f64;
                assert!((2.0..4.0).contains(&ratio), "{ratio}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read_and_its_neighbours_stay() {
        let mut image = Image::new(5, 3 * BLOCK_BYTES as u64 + 100);
        let before = image.read(0, usize::MAX);
        assert_eq!(before.len(), 3 * BLOCK_BYTES + 100);
        let at = BLOCK_BYTES - 10;
        assert!(image.write(at as u64, &[7; BLOCK_BYTES + 20]));
        let mut expected = before;
        expected[at..at + BLOCK_BYTES + 20].fill(7);
        assert_eq!(image.read(0, 1 << 20), expected);
        assert_eq!((image.written_blocks(), image.changed_blocks()), (3, 3));
        assert_eq!(image.read(at as u64 + 3, 2), [7, 7]);
        assert!(!image.write(3 * BLOCK_BYTES as u64, &[0; 101]));
        assert!(!image.write(u64::MAX, &[0; 2]));
        assert!(image.read(1 << 40, 5).is_empty());
        assert_eq!(image.read(0, 1 << 20), expected);
    }

    #[test]
    fn a_spoiled_block_fails_its_checksum_until_it_is_written_right() {
        let mut image = Image::new(5, 1 << 20);
        assert!(image.spoil(3) && !image.spoil(1 << 20));
        let at = 3 * BLOCK_BYTES as u64;
        let block: super::Block = image.read(at, BLOCK_BYTES).try_into().unwrap();
        assert_ne!(block[24..32], checksum(&block).to_be_bytes());
        assert_eq!((image.changed_blocks(), image.spoiled()), (1, 1));
        let right = image.pristine(3);
        assert!(image.write(at, &right));
        assert_eq!((image.written_blocks(), image.changed_blocks()), (1, 0));
    }
}
