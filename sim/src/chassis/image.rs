//! Guest images: ELF files that a bare domain starts from.
//!
//! **Shape.** ELF64, big-endian, `EM_SPARCV9`, executable; each `PT_LOAD` segment
//! goes to the real address that its physical address names.
//!
//! **Errors.** Every one says which file, what is wrong and where.

use goblin::elf::{Elf, header, program_header};
use std::fs;
use std::path::Path;
use thiserror::Error;

/// One stretch of memory that an image fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Real address of its first byte.
    pub ra: u64,
    /// Its bytes in the file; what follows up to `size` is zero.
    pub bytes: Vec<u8>,
    /// Bytes in memory.
    pub size: u64,
}

/// An image, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its segments, in file order.
    pub segments: Vec<Segment>,
    /// Real address of the first instruction.
    pub entry: u64,
}

/// Why a file is not an image.
#[derive(Debug, Error)]
pub enum ImageError {
    /// It cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// Which file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{file}: {why}")]
    Format {
        /// Which file.
        file: String,
        /// What is wrong, and where.
        why: String,
    },
}

impl Image {
    /// Reads and checks `path`.
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        let file = path.display().to_string();
        let bytes =
            fs::read(path).map_err(|source| ImageError::Read { file: file.clone(), source })?;
        Self::parse(&bytes).map_err(|why| ImageError::Format { file, why })
    }

    /// Checks the bytes of a file; says what is wrong with them.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if !bytes.starts_with(header::ELFMAG) {
            return Err("not an ELF file".to_owned());
        }
        let elf = Elf::parse(bytes).map_err(|error| format!("broken or cut off: {error}"))?;
        if !elf.is_64 || elf.little_endian || elf.header.e_machine != header::EM_SPARCV9 {
            return Err(format!(
                "expected ELF64 big-endian SPARC V9 (machine 43), found ELF{} {}-endian machine {}",
                if elf.is_64 { 64 } else { 32 },
                if elf.little_endian { "little" } else { "big" },
                elf.header.e_machine,
            ));
        }
        if elf.header.e_type != header::ET_EXEC {
            return Err(format!(
                "expected an executable (type 2), found type {}",
                elf.header.e_type
            ));
        }
        let mut segments = Vec::new();
        for (index, ph) in elf.program_headers.iter().enumerate() {
            if ph.p_type != program_header::PT_LOAD || ph.p_memsz == 0 {
                continue;
            }
            let end = ph.p_offset.checked_add(ph.p_filesz);
            let data = end
                .and_then(|end| bytes.get(ph.p_offset as usize..end as usize))
                .ok_or_else(|| {
                    format!(
                        "truncated: segment {index} needs bytes {:#x}+{:#x} of {:#x}",
                        ph.p_offset,
                        ph.p_filesz,
                        bytes.len()
                    )
                })?;
            if ph.p_memsz < ph.p_filesz || ph.p_paddr.checked_add(ph.p_memsz).is_none() {
                return Err(format!(
                    "segment {index}: {:#x} bytes of file in {:#x} bytes of memory at {:#x}",
                    ph.p_filesz, ph.p_memsz, ph.p_paddr
                ));
            }
            segments.push(Segment { ra: ph.p_paddr, bytes: data.to_vec(), size: ph.p_memsz });
        }
        if segments.is_empty() {
            return Err("no segment to load".to_owned());
        }
        let entry = elf.entry;
        let inside = |seg: &Segment| entry >= seg.ra && entry - seg.ra < seg.size;
        if entry & 3 != 0 || !segments.iter().any(inside) {
            return Err(format!("entry {entry:#x} is not an instruction of a segment"));
        }
        Ok(Self { segments, entry })
    }

    /// One past the last byte of memory that the image fills.
    pub fn end(&self) -> u64 {
        self.segments.iter().map(|seg| seg.ra + seg.size).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod test {
    use super::Image;

    /// A smallest image: one segment of two words at 0x400000.
    fn image() -> Vec<u8> {
        let mut out = vec![0x7f, b'E', b'L', b'F', 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        out.extend(2u16.to_be_bytes());
        out.extend(43u16.to_be_bytes());
        out.extend(1u32.to_be_bytes());
        for word in [0x40_0000u64, 64, 0] {
            out.extend(word.to_be_bytes());
        }
        out.extend(0u32.to_be_bytes());
        for half in [64u16, 56, 1, 64, 0, 0] {
            out.extend(half.to_be_bytes());
        }
        out.extend(1u32.to_be_bytes());
        out.extend(5u32.to_be_bytes());
        for word in [120u64, 0x40_0000, 0x40_0000, 8, 16, 8] {
            out.extend(word.to_be_bytes());
        }
        out.extend([1, 0, 0, 0, 1, 0, 0, 0]);
        out
    }

    #[test]
    fn a_good_image_loads() {
        let image = Image::parse(&image()).unwrap();
        assert_eq!((image.entry, image.end()), (0x40_0000, 0x40_0010));
        assert_eq!(image.segments[0].bytes, [1, 0, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn a_truncated_or_foreign_file_is_refused_with_what_and_where() {
        let good = image();
        for cut in 0..good.len() {
            assert!(Image::parse(&good[..cut]).is_err(), "cut to {cut} bytes");
        }
        let why = |at: usize, byte: u8| {
            let mut bytes = image();
            bytes[at] = byte;
            Image::parse(&bytes).unwrap_err()
        };
        assert!(why(19, 62).contains("machine 62"));
        assert!(why(31, 0x02).contains("entry 0x400002"));
        assert!(why(103, 200).contains("truncated") || why(103, 200).contains("segment 0"));
    }
}
