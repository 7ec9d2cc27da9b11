//! `ldomlab run IMAGE.elf`: one bare guest, to its end.
//!
//! **Shapes.** The guest has memory from real address 0 on, the MMU off, and begins
//! at the image's entry in privileged mode; the basic hypercalls are open. Its
//! console is our output. The exit status is the code of its `mach_exit`, cut to
//! eight bits. `--stats` writes to standard error
//! ([`super::stats`]).
//!
//! **Errors.** A file that is no image, memory or strands that the machine cannot
//! give, a guest that will never execute again or that takes longer than `--for`.

use super::stats::{self, Report};
use crate::chassis::bare::{Bare, End};
use crate::chassis::image::Image;
use crate::lab::quantity::{Size, Span};
use anyhow::{Context, anyhow, bail};
use std::io::Write;
use std::path::PathBuf;
use sun4v::time::SimTime;
use thiserror::Error;

/// What `run` reads from the command line.
#[derive(Debug, clap::Args)]
#[group(id = "guest")] // `trace` has these arguments beside its own
pub struct Args {
    /// The guest, a 64-bit SPARC ELF file
    #[arg(value_name = "IMAGE.elf")]
    pub image: PathBuf,
    /// Virtual CPUs
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub vcpus: usize,
    /// Memory, from real address 0 on
    #[arg(long, value_name = "SIZE", default_value = "64M")]
    pub memory: Size,
    /// Who wants to know what was executed.
    #[command(flatten)]
    pub stats: stats::Args,
    /// Before a debugger
    #[command(flatten)]
    pub gdb: super::gdb::Args,
    /// Stop after this much simulated time
    #[arg(long, value_name = "SPAN")]
    pub r#for: Option<Span>,
    /// By what it is run
    #[command(flatten)]
    pub by: super::choice::Args,
    /// Host threads; one guest uses one
    #[arg(long, value_name = "N", hide = true)]
    pub threads: Option<usize>,
}

/// A guest ended itself with a code other than 0; nothing more has to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the guest exited with code {0}")]
pub struct Status(pub u64);

impl Args {
    /// The guest, started.
    pub(super) fn boot(&self) -> anyhow::Result<Bare> {
        // It names the file and the reason itself.
        let image = Image::read(&self.image).map_err(|error| anyhow!("{error}"))?;
        let booted = Bare::boot_image(self.vcpus, self.memory.0, &image);
        let mut bare = booted.with_context(|| format!("{}", self.image.display()))?;
        bare.board.set_choice(self.by.choice());
        Ok(bare)
    }

    /// When to stop at the latest.
    pub(super) fn until(&self) -> SimTime {
        self.r#for.map_or(SimTime::NEVER, |span| span.0)
    }
}

/// Runs the guest.
///
/// # Errors
///
/// See the module; a code other than 0 is [`Status`].
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut bare = args.boot()?;
    if args.stats.any() {
        bare.board.set_stopwatch(Some(stats::stopwatch));
    }
    let ended = match args.gdb.listen()? {
        Some(mut link) => super::gdb::run(&mut link, &mut bare, args.until(), &args.image, out),
        None => bare.run(args.until(), |bare| show(bare, out)),
    };
    if args.stats.any() {
        out.flush()?;
        let figures = bare.domain().map(|domain| (None, "guest".to_owned(), domain.figures()));
        let report = Report::new(args.by.choice(), bare.now(), figures);
        if args.stats.stats {
            eprint!("{}", report.text());
        }
        args.stats.write(&report)?;
    }
    finish(args, ended?, &bare)
}

/// Shows what is on the console.
pub(super) fn show(bare: &mut Bare, out: &mut dyn Write) -> anyhow::Result<()> {
    let text = bare.console();
    if !text.is_empty() {
        out.write_all(&text)?;
        out.flush()?;
    }
    Ok(())
}

/// Our exit status for a guest's code: a code whose low byte is zero is no success all
/// the same.
pub(super) const fn status(code: u64) -> u8 {
    match code as u8 {
        0 if code != 0 => 1,
        status => status,
    }
}

/// What the end of a guest means for us.
pub(super) fn finish(args: &Args, end: End, bare: &Bare) -> anyhow::Result<()> {
    let (name, now) = (args.image.display(), bare.now().as_secs_f64());
    match end {
        End::Exited(0) => Ok(()),
        End::Exited(code) => Err(Status(code).into()),
        End::Time => bail!("{name}: still running after {now} s"),
        End::Idle => bail!("{name}: every virtual CPU waits for ever, after {now} s"),
        End::Stopped(vcpu, _) => bail!("{name}: virtual CPU {vcpu} stopped after {now} s"),
    }
}
