//! The file of a checkpoint.
//!
//! **Shape.** All numbers are big-endian. The words `ldomlab checkpt`, a line end,
//! and the version (`u32`); sections; a byte of zero; the SHA-256 of all before it.
//! A section is the length of its name (a byte, not zero), its name, and frames: bytes
//! of content (`u32`, at most 1 MiB, not zero), bytes in the file (`u32`), and those
//! bytes, which are the content in zstd's form. Four bytes of zero end a section.
//!
//! **Reading.** [`Reader::new`] checks the digest first. Then sections are read in
//! order; every length is held against what is left of the file, and every content
//! against the most that its reader wants.
//!
//! **Errors.** [`FileError`], with the section.

use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use thiserror::Error;

/// The first bytes.
pub const MAGIC: [u8; 16] = *b"ldomlab checkpt\n";
/// The version of this shape and of the order of the sections.
pub const VERSION: u32 = 1;
/// Bytes of content in a frame at most.
pub const FRAME_BYTES: usize = 1 << 20;
/// How hard zstd tries.
const LEVEL: i32 = 3;
const DIGEST_BYTES: usize = 32;

/// Why a file is no checkpoint that can be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FileError {
    /// It begins otherwise.
    #[error("it is no checkpoint of a lab")]
    Foreign,
    /// Another version.
    #[error("it is a checkpoint of version {0}; this program reads version {VERSION}")]
    Version(u32),
    /// It was cut or altered.
    #[error("it is damaged: its digest is not that of its content")]
    Damaged,
    /// Another section than the one that comes next.
    #[error("section {found} where {wanted} should be")]
    Order {
        /// What should be there.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// A section is out of shape.
    #[error("section {section}: {why}")]
    Section {
        /// Which one.
        section: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// A file being made.
pub struct Writer {
    bytes: Vec<u8>,
}

impl Default for Writer {
    fn default() -> Self {
        Self { bytes: [&MAGIC[..], &VERSION.to_be_bytes()].concat() }
    }
}

impl Writer {
    /// Begins a section, which ends when it is dropped. A name has 1 to 255 bytes.
    pub fn section(&mut self, name: &str) -> SectionWriter<'_> {
        let name = &name.as_bytes()[..name.len().min(255)];
        self.bytes.push(name.len() as u8);
        self.bytes.extend_from_slice(name);
        SectionWriter { file: &mut self.bytes, content: Vec::new() }
    }

    /// The whole file.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(0);
        let digest = Sha256::digest(&self.bytes);
        self.bytes.extend_from_slice(&digest);
        self.bytes
    }
}

/// A section being written.
pub struct SectionWriter<'a> {
    file: &'a mut Vec<u8>,
    content: Vec<u8>,
}

impl SectionWriter<'_> {
    /// Adds content.
    pub fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (head, tail) = bytes.split_at(bytes.len().min(FRAME_BYTES - self.content.len()));
            self.content.extend_from_slice(head);
            bytes = tail;
            if self.content.len() == FRAME_BYTES {
                self.flush_frame();
            }
        }
    }

    fn flush_frame(&mut self) {
        // Memory to memory, at a level that exists: zstd has no reason to fail.
        let stored = zstd::bulk::compress(&self.content, LEVEL).unwrap_or_default();
        self.file.extend_from_slice(&(self.content.len() as u32).to_be_bytes());
        self.file.extend_from_slice(&(stored.len() as u32).to_be_bytes());
        self.file.extend_from_slice(&stored);
        self.content.clear();
    }
}

impl Write for SectionWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SectionWriter<'_> {
    fn drop(&mut self) {
        if !self.content.is_empty() {
            self.flush_frame();
        }
        self.file.extend_from_slice(&[0; 4]);
    }
}

/// A file being read, whose digest is right.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Looks at a whole file.
    ///
    /// # Errors
    /// It is no checkpoint, of another version, or damaged.
    pub fn new(bytes: &'a [u8]) -> Result<Self, FileError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(FileError::Foreign)?;
        let (version, rest) = rest.split_first_chunk().ok_or(FileError::Damaged)?;
        let version = u32::from_be_bytes(*version);
        if version != VERSION {
            return Err(FileError::Version(version));
        }
        let length = rest.len().checked_sub(DIGEST_BYTES).ok_or(FileError::Damaged)?;
        let (content, digest) = bytes.split_at(bytes.len() - DIGEST_BYTES);
        if Sha256::digest(content).as_slice() != digest {
            return Err(FileError::Damaged);
        }
        Ok(Self { rest: &rest[..length] })
    }

    /// The next section, which is called `name`.
    ///
    /// # Errors
    /// It is called otherwise, or there is none.
    pub fn section(&mut self, name: &str) -> Result<SectionReader<'_, 'a>, FileError> {
        let order = |found: &[u8]| FileError::Order {
            wanted: name.to_owned(),
            found: String::from_utf8_lossy(found).escape_debug().to_string(),
        };
        let (&length, rest) = self.rest.split_first().ok_or_else(|| order(b"the end"))?;
        if length == 0 {
            return Err(order(b"the end"));
        }
        let found = rest.split_at_checked(usize::from(length));
        let (found, rest) = found.ok_or_else(|| order(rest))?;
        if found != name.as_bytes() {
            return Err(order(found));
        }
        self.rest = rest;
        let name = name.to_owned();
        Ok(SectionReader { name, rest: &mut self.rest, content: Vec::new(), at: 0, ended: false })
    }

    /// Nothing may follow.
    ///
    /// # Errors
    /// Something does.
    pub fn end(self) -> Result<(), FileError> {
        let found = || String::from_utf8_lossy(self.rest).escape_debug().take(40).collect();
        match self.rest {
            [0] => Ok(()),
            _ => Err(FileError::Order { wanted: "the end".to_owned(), found: found() }),
        }
    }
}

/// A section being read. What is not read of it is no reader's: read it to its end.
pub struct SectionReader<'r, 'a> {
    name: String,
    rest: &'r mut &'a [u8],
    content: Vec<u8>,
    at: usize,
    ended: bool,
}

impl SectionReader<'_, '_> {
    fn wrong(&self, why: &'static str) -> FileError {
        FileError::Section { section: self.name.clone(), why }
    }

    fn take(&mut self, bytes: usize) -> Result<&[u8], FileError> {
        let cut = self.wrong("it ends too early");
        let (head, tail) = self.rest.split_at_checked(bytes).ok_or(cut)?;
        *self.rest = tail;
        Ok(head)
    }

    fn number(&mut self) -> Result<usize, FileError> {
        let four = self.take(4)?;
        Ok(four.iter().fold(0, |word, &byte| word << 8 | usize::from(byte)))
    }

    /// Content that has not been read of the frame that was begun, or of the next one;
    /// empty at the end.
    fn ahead(&mut self) -> Result<&[u8], FileError> {
        if self.at == self.content.len() && !self.ended {
            self.at = 0;
            self.content.clear();
            let bytes = self.number()?;
            if bytes == 0 {
                self.ended = true;
            } else if bytes > FRAME_BYTES {
                return Err(self.wrong("a frame longer than a megabyte"));
            } else {
                let stored = self.number()?;
                let stored = self.take(stored)?;
                let content = zstd::bulk::decompress(stored, bytes).ok();
                let content = content.filter(|content| content.len() == bytes);
                self.content = content.ok_or_else(|| self.wrong("a frame that zstd refuses"))?;
            }
        }
        Ok(&self.content[self.at..])
    }

    /// Fills `bytes`; false at the end, if that comes first.
    ///
    /// # Errors
    /// The section is out of shape, or ends in the middle of `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<bool, FileError> {
        let mut filled = 0;
        while filled < bytes.len() {
            let ahead = self.ahead()?;
            let count = ahead.len().min(bytes.len() - filled);
            bytes[filled..filled + count].copy_from_slice(&ahead[..count]);
            if count == 0 {
                return if filled == 0 { Ok(false) } else { Err(self.wrong("it ends too early")) };
            }
            filled += count;
            self.at += count;
        }
        Ok(true)
    }

    /// All content, of which there may be `most` bytes.
    ///
    /// # Errors
    /// The section is out of shape, or longer.
    pub fn all(mut self, most: u64) -> Result<Vec<u8>, FileError> {
        let mut all = Vec::new();
        self.pieces(most, |piece| all.extend_from_slice(piece))?;
        Ok(all)
    }

    /// Gives all content to `each`, piece by piece; there may be `most` bytes of it.
    ///
    /// # Errors
    /// The section is out of shape, or longer.
    pub fn pieces(&mut self, most: u64, mut each: impl FnMut(&[u8])) -> Result<(), FileError> {
        let mut total = 0;
        loop {
            let piece = self.ahead()?;
            let count = piece.len();
            if count == 0 {
                return Ok(());
            }
            total += count as u64;
            if total > most {
                return Err(self.wrong("it is longer than it can be"));
            }
            each(piece);
            self.at += count;
        }
    }
}

impl Read for SectionReader<'_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let ahead = self.ahead().map_err(io::Error::other)?;
        let count = ahead.len().min(bytes.len());
        bytes[..count].copy_from_slice(&ahead[..count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod test {
    use super::{DIGEST_BYTES, FRAME_BYTES, FileError, MAGIC, Reader, Writer};
    use sha2::{Digest, Sha256};

    /// Of two sections, the first of three frames.
    fn content() -> (Vec<u8>, &'static [u8]) {
        let long = (0..FRAME_BYTES as u32 * 2 + 77).map(|n| (n / 5) as u8).collect();
        (long, b"short")
    }

    fn file() -> Vec<u8> {
        let (long, short) = content();
        let mut writer = Writer::default();
        let mut section = writer.section("long");
        long.chunks(1000).for_each(|piece| section.add(piece));
        drop(section);
        writer.section("short").add(short);
        writer.section("empty");
        writer.finish()
    }

    /// Gives `bytes` a digest that is right.
    fn sealed(bytes: &[u8]) -> Vec<u8> {
        let content = &bytes[..bytes.len().saturating_sub(DIGEST_BYTES)];
        [content, &Sha256::digest(content)].concat()
    }

    fn read(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), FileError> {
        let mut reader = Reader::new(bytes)?;
        let long = reader.section("long")?.all(4 << 20)?;
        let short = reader.section("short")?.all(10)?;
        reader.section("empty")?.all(0)?;
        reader.end()?;
        Ok((long, short))
    }

    #[test]
    fn what_is_written_is_read() {
        let (long, short) = content();
        assert_eq!(read(&file()), Ok((long.clone(), short.to_vec())));
        let file = file();
        let mut reader = Reader::new(&file).unwrap();
        let mut section = reader.section("long").unwrap();
        let mut piece = [0; 77];
        let mut back = Vec::new();
        while section.fill(&mut piece).unwrap_or(false) {
            back.extend_from_slice(&piece);
        }
        assert!(back.len() > 2 * FRAME_BYTES && long.starts_with(&back));
    }

    #[test]
    fn any_alteration_and_any_cut_is_refused_before_anything_is_read() {
        let file = file();
        for at in 0..file.len() {
            let mut altered = file.clone();
            altered[at] ^= 1 << (at % 8);
            let error = Reader::new(&altered).err();
            let expected = match at {
                0..16 => matches!(error, Some(FileError::Foreign)),
                16..20 => matches!(error, Some(FileError::Version(_))),
                _ => error == Some(FileError::Damaged),
            };
            assert!(expected, "{at}: {error:?}");
            assert!(Reader::new(&file[..at]).is_err(), "cut to {at}");
        }
        assert_eq!(Reader::new(b"#!/bin/sh\n").err(), Some(FileError::Foreign));
    }

    #[test]
    fn a_file_that_lies_about_itself_is_refused_or_read_as_something_else() {
        let file = file();
        let right = read(&file).unwrap();
        // Every byte of the first heads, then three hundred places all over the file.
        let first = MAGIC.len() + 4;
        let heads = first..(first + 256).min(file.len());
        let rest = (heads.end..file.len()).step_by((file.len() / 300).max(1));
        for at in heads.chain(rest) {
            let mut altered = file.clone();
            altered[at] = altered[at].wrapping_add(0x55);
            let outcome = read(&sealed(&altered));
            // What zstd keeps no sum of reads as other content.
            assert!(outcome != Ok(right.clone()) || at >= file.len() - DIGEST_BYTES, "{at}");
            let _ = read(&sealed(&file[..at]));
        }
        let wrong = |name| Reader::new(&file).unwrap().section(name).err().unwrap().to_string();
        assert_eq!(wrong("short"), "section long where short should be");
        let mut reader = Reader::new(&file).unwrap();
        let error = reader.section("long").unwrap().all(100).unwrap_err();
        assert_eq!(error.to_string(), "section long: it is longer than it can be");
    }
}
