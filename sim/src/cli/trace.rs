//! `ldomlab trace IMAGE.elf`: what a bare guest does, line by line.
//!
//! **Shapes.** With `--instructions`, a line an instruction: machine tick, virtual
//! CPU, address, word, text; a word that was not mapped is a dash. With
//! `--hypercalls` (or neither), the hypervisor's line a call. The guest's console is
//! not shown.
//!
//! **Errors.** Those of [`super::run`].

use super::run;
use crate::chassis::domain::Step;
use anyhow::bail;
use std::io::Write;
use sun4v::isa::disas::Insn;

/// What `trace` reads from the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A line an instruction
    #[arg(long, conflicts_with = "hypercalls")]
    pub instructions: bool,
    /// A line a hypercall
    #[arg(long)]
    pub hypercalls: bool,
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
    bare.trace_instructions(args.instructions);
    bare.hv.set_trace(!args.instructions);
    let end = bare.run(args.run.until(), |bare| {
        for step in bare.take_steps() {
            line(&step, out)?;
        }
        for call in bare.board.take_trace() {
            writeln!(out, "{call}")?;
        }
        bare.console();
        anyhow::Ok(())
    })?;
    run::finish(&args.run, end, &bare)
}

fn line(step: &Step, out: &mut dyn Write) -> std::io::Result<()> {
    let Step { tick, vcpu, pc, word } = step;
    match word {
        Some(word) => {
            let insn = Insn::new(*pc, *word);
            writeln!(out, "{tick:>12} v{vcpu} {pc:x}: {word:08x}  {insn}")
        }
        None => writeln!(out, "{tick:>12} v{vcpu} {pc:x}: -"),
    }
}
