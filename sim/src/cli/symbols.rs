//! Names of addresses: the symbol table of an ELF file.
//!
//! **Shapes.** A symbol covers its bytes or, when the table has no size for it, all up to
//! the next symbol. Of several at one address, functions come before other symbols and
//! global ones before local ones. Names of sections and files are no symbols here.
//!
//! **Errors.** A file that cannot be read or is no ELF file. One without a symbol table
//! has no names.

use anyhow::{Context, ensure};
use goblin::elf::header::{ELFMAG, ET_REL};
use goblin::elf::sym::{STB_LOCAL, STT_FUNC, STT_NOTYPE, STT_OBJECT, Sym};
use goblin::elf::{Elf, section_header};
use std::fmt;
use std::path::Path;

/// A symbol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Symbol {
    start: u64,
    /// The first address behind it.
    end: u64,
    name: String,
}

/// A symbol table.
#[derive(Clone, Debug, Default)]
pub struct Symbols(Vec<Symbol>);

/// A symbol and how far behind its start something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near<'a> {
    name: &'a str,
    offset: u64,
}

impl fmt::Display for Near<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            0 => f.pad(self.name),
            offset => f.pad(&format!("{}+{offset:#x}", self.name)),
        }
    }
}

impl Symbols {
    /// Reads those of a file.
    ///
    /// # Errors
    /// See the module; the text names the file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let bytes = std::fs::read(path).with_context(name)?;
        Self::parse(&bytes).with_context(name)
    }

    /// Those of a file's bytes.
    ///
    /// # Errors
    /// See the module.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        ensure!(bytes.starts_with(ELFMAG), "not an ELF file");
        let elf = Elf::parse(bytes).context("broken or cut off")?;
        ensure!(elf.header.e_type != ET_REL, "not linked: its symbols have no addresses yet");
        let is_symbol = |sym: &Sym| {
            let defined = u32::try_from(sym.st_shndx) != Ok(section_header::SHN_UNDEF);
            defined && matches!(sym.st_type(), STT_NOTYPE | STT_OBJECT | STT_FUNC)
        };
        let found = elf.syms.iter().filter(is_symbol).filter_map(|sym| {
            let name = elf.strtab.get_at(sym.st_name).filter(|name| !name.is_empty())?;
            let rank = (sym.st_type() != STT_FUNC, sym.st_bind() == STB_LOCAL);
            Some((sym.st_value, rank, name.to_owned(), sym.st_size))
        });
        Ok(Self::new(found.collect()))
    }

    /// Of address, rank, name and size.
    fn new(mut found: Vec<(u64, (bool, bool), String, u64)>) -> Self {
        found.sort();
        found.dedup_by_key(|(start, ..)| *start);
        let next: Vec<_> = found.iter().skip(1).map(|(start, ..)| *start).collect();
        let next = next.into_iter().chain([u64::MAX]);
        let symbols = found.into_iter().zip(next).map(|((start, _, name, size), next)| {
            let end = if size == 0 { next } else { start.saturating_add(size) };
            Symbol { start, end, name }
        });
        Self(symbols.collect())
    }

    /// Is there no name at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes those of another table in; where both have one at an address, its own stay.
    pub fn merge(&mut self, more: Self) {
        self.0.extend(more.0);
        self.0.sort_by_key(|symbol| symbol.start);
        self.0.dedup_by_key(|symbol| symbol.start);
    }

    /// The symbol that covers an address.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<Near<'_>> {
        let behind = self.0.partition_point(|symbol| symbol.start <= address);
        let symbol = self.0[..behind].last().filter(|symbol| address < symbol.end)?;
        Some(Near { name: &symbol.name, offset: address - symbol.start })
    }
}

#[cfg(test)]
mod test {
    use super::Symbols;

    const FUNCTION: (bool, bool) = (false, false);
    const LABEL: (bool, bool) = (true, true);

    fn table(symbols: &[(u64, (bool, bool), &str, u64)]) -> Symbols {
        let own =
            |&(start, rank, name, size): &(u64, _, &str, u64)| (start, rank, name.to_owned(), size);
        Symbols::new(symbols.iter().map(own).collect())
    }

    fn at(symbols: &Symbols, address: u64) -> String {
        symbols.at(address).map_or_else(|| "-".to_owned(), |near| near.to_string())
    }

    #[test]
    fn an_address_is_told_by_the_symbol_that_covers_it() {
        let symbols = table(&[
            (0x100, FUNCTION, "start", 0x10),
            (0x200, LABEL, "loop", 0),
            (0x240, LABEL, "local", 8),
            (0x240, FUNCTION, "main", 8),
        ]);
        let told = [0xff, 0x100, 0x10c, 0x110, 0x200, 0x23c, 0x240, 0x244, 0x248]
            .map(|address| at(&symbols, address));
        let expected =
            ["-", "start", "start+0xc", "-", "loop", "loop+0x3c", "main", "main+0x4", "-"];
        assert_eq!(told, expected);
    }

    #[test]
    fn two_tables_are_one_and_the_first_comes_first() {
        let mut symbols = table(&[(0x100, FUNCTION, "mine", 8)]);
        symbols.merge(table(&[(0x100, FUNCTION, "theirs", 8), (0x80, FUNCTION, "more", 8)]));
        assert_eq!([0x100, 0x84].map(|address| at(&symbols, address)), ["mine", "more+0x4"]);
        assert_eq!(format!("[{:<8}]", symbols.at(0x80).unwrap()), "[more    ]");
        assert!(!symbols.is_empty() && Symbols::default().is_empty());
    }

    #[test]
    fn what_is_no_elf_file_is_refused() {
        for bytes in [&b""[..], b"#!/bin/sh", b"\x7fELF\x02\x02"] {
            assert!(Symbols::parse(bytes).is_err());
        }
    }
}
