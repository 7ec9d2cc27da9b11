//! `ldomlab trace IMAGE.elf`: what a bare guest does, line by line.
//!
//! **Shapes.** With `--instructions`, a line an instruction: machine tick, virtual
//! CPU, address, word, text; a word that was not mapped is a dash. If there are symbols,
//! of the guest's file or of another ([`super::symbols`]), a column before the text says
//! where the address is, and behind a branch or call is where it goes. With
//! `--hypercalls` (or neither), the hypervisor's line a call. The guest's console is
//! not shown.
//!
//! **Errors.** Those of [`super::run`]; a file of symbols that has none.

use super::run;
use super::symbols::Symbols;
use crate::chassis::domain::Step;
use anyhow::{bail, ensure};
use std::io::Write;
use std::path::PathBuf;
use sun4v::isa::disas::Insn;
use sun4v::isa::{Op, Word, decode};

/// Columns for a symbol; a longer one pushes the text on.
const SYMBOL: usize = 24;

/// What `trace` reads from the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A line an instruction
    #[arg(long, conflicts_with = "hypercalls")]
    pub instructions: bool,
    /// A line a hypercall
    #[arg(long)]
    pub hypercalls: bool,
    /// Symbols of this ELF file too, such as one that the guest loads by itself
    #[arg(long, value_name = "FILE", conflicts_with = "hypercalls")]
    pub symbols: Option<PathBuf>,
    /// What to run.
    #[command(flatten)]
    pub run: run::Args,
}

/// Runs the guest and prints what it does.
///
/// # Errors
///
/// See the module; a code other than 0 is [`run::Status`].
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    if args.run.gdb.gdb.is_some() {
        bail!("--gdb is for `ldomlab run`");
    }
    let mut bare = args.run.boot()?;
    let symbols = symbols(args)?;
    bare.trace_instructions(args.instructions);
    bare.hv.set_trace(!args.instructions);
    let end = bare.run(args.run.until(), |bare| {
        for step in bare.take_steps() {
            line(&step, &symbols, out)?;
        }
        for call in bare.board.take_trace() {
            writeln!(out, "{call}")?;
        }
        bare.console();
        anyhow::Ok(())
    })?;
    run::finish(&args.run, end, &bare)
}

/// The guest's symbols and those of another file.
fn symbols(args: &Args) -> anyhow::Result<Symbols> {
    let mut symbols = Symbols::read(&args.run.image)?;
    if let Some(path) = &args.symbols {
        let more = Symbols::read(path)?;
        ensure!(!more.is_empty(), "{}: no symbols", path.display());
        symbols.merge(more);
    }
    Ok(symbols)
}

fn line(step: &Step, symbols: &Symbols, out: &mut dyn Write) -> std::io::Result<()> {
    let Step { tick, vcpu, pc, word } = step;
    write!(out, "{tick:>12} v{vcpu} {pc:x}: ")?;
    let near = symbols.at(*pc).map(|near| near.to_string()).unwrap_or_default();
    let Some(word) = *word else {
        // As wide as a word.
        let line = if symbols.is_empty() { "-".to_owned() } else { format!("-         {near}") };
        return writeln!(out, "{}", line.trim_end());
    };
    write!(out, "{word:08x}  ")?;
    if !symbols.is_empty() {
        write!(out, "{near:<SYMBOL$}  ")?;
    }
    write!(out, "{}", Insn::new(*pc, word))?;
    match target(*pc, word).and_then(|target| symbols.at(target)) {
        Some(near) => writeln!(out, " <{near}>"),
        None => writeln!(out),
    }
}

/// Where a branch or call goes.
fn target(pc: u64, word: u32) -> Option<u64> {
    let w = Word(word);
    let disp = match decode(word)? {
        Op::Bicc | Op::Fbfcc => w.disp22(),
        Op::Bpcc | Op::Fbpfcc => w.disp19(),
        Op::Bpr => w.disp16(),
        Op::Call => w.disp30(),
        _ => return None,
    };
    Some(pc.wrapping_add_signed(disp))
}
