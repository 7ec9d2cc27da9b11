//! `ldomlab dis IMAGE.elf`: the instructions of an image as text.
//!
//! **Shapes.** A line an instruction, `ADDRESS: WORD  TEXT`, numbers in hexadecimal
//! without prefix, in the order of the file's section table. Taken are the sections
//! with instructions, or, where there are none, the executable segments as far as
//! the file has them. Bytes at the end that are less than a word are left out.
//!
//! **Errors.** A file that cannot be read, is not a big-endian 64-bit SPARC V9 ELF
//! file, is cut off, or has no instructions.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use goblin::elf::header::{
    EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2MSB, ELFMAG, EM_SPARCV9, SIZEOF_IDENT,
};
use goblin::elf::program_header::{PF_X, PT_LOAD};
use goblin::elf::section_header::{SHF_EXECINSTR, SHT_PROGBITS};
use goblin::elf::{Elf, header::machine_to_str};
use sun4v::isa::disas::Insn;

/// What `dis` reads from the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A 64-bit SPARC ELF file
    #[arg(value_name = "IMAGE.elf")]
    pub image: PathBuf,
}

/// Prints the instructions of the image.
///
/// # Errors
///
/// See the module; the text names the file.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let name = args.image.display();
    let bytes = std::fs::read(&args.image).with_context(|| format!("{name}"))?;
    let code = code(&bytes).with_context(|| format!("{name}"))?;
    for Code { address, bytes } in code {
        listing(address, bytes, out)?;
    }
    Ok(())
}

/// A run of instructions and where it is.
#[derive(Debug)]
struct Code<'a> {
    address: u64,
    bytes: &'a [u8],
}

fn listing(address: u64, bytes: &[u8], out: &mut dyn Write) -> std::io::Result<()> {
    let (words, _) = bytes.as_chunks();
    let mut last: Option<Insn> = None;
    for word in words {
        let word = u32::from_be_bytes(*word);
        let insn = last.map_or(Insn::new(address, word), |last| last.next(word));
        writeln!(out, "{:x}: {word:08x}  {insn}", insn.address)?;
        last = Some(insn);
    }
    Ok(())
}

/// What of an ELF file is instructions.
fn code(bytes: &[u8]) -> anyhow::Result<Vec<Code<'_>>> {
    ensure!(bytes.starts_with(ELFMAG), "not an ELF file");
    ensure!(bytes.len() > SIZEOF_IDENT, "cut off: the ELF header has {} bytes", bytes.len());
    ensure!(bytes[EI_CLASS] == ELFCLASS64, "not a 64-bit ELF file");
    ensure!(bytes[EI_DATA] == ELFDATA2MSB, "little-endian, SPARC is big-endian");
    if let Some(&[high, low]) = bytes.get(18..20) {
        let machine = u16::from_be_bytes([high, low]);
        ensure!(
            machine == EM_SPARCV9,
            "for another machine: {} ({machine}), not SPARC V9",
            machine_to_str(machine)
        );
    }
    let elf = Elf::parse(bytes).context("broken or cut off")?;
    let part = |what: &str, address: u64, offset: u64, size: u64| {
        let length = bytes.len();
        let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
        let bytes = range.and_then(|(at, size)| bytes.get(at..at.checked_add(size)?));
        let bytes = bytes.with_context(|| {
            format!("cut off: {what} wants {size} bytes at {offset}, the file has {length}")
        })?;
        Ok::<_, anyhow::Error>(Code { address, bytes })
    };
    let mut found = Vec::new();
    for section in &elf.section_headers {
        let is_code = section.sh_flags & u64::from(SHF_EXECINSTR) != 0;
        if section.sh_type == SHT_PROGBITS && is_code && section.sh_size > 0 {
            let name = elf.shdr_strtab.get_at(section.sh_name).unwrap_or("a section");
            found.push(part(name, section.sh_addr, section.sh_offset, section.sh_size)?);
        }
    }
    if found.is_empty() {
        for segment in &elf.program_headers {
            let is_code = segment.p_type == PT_LOAD && segment.p_flags & PF_X != 0;
            if is_code && segment.p_filesz > 0 {
                let what = "a segment";
                found.push(part(what, segment.p_vaddr, segment.p_offset, segment.p_filesz)?);
            }
        }
    }
    if found.is_empty() {
        bail!("no executable section or segment");
    }
    Ok(found)
}
