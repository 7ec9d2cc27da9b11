//! `ldomlab replay`: runs a scenario from power-on to its end, writes down what
//! happened, and judges it.
//!
//! **Shapes.** The folder's files are those of [`super::folder`], and the summary of
//! the judgement; its table goes to the terminal. With `--stats`, so do the statistics
//! ([`super::stats`]), and `stats.txt` and `stats.json` are in the folder.
//!
//! **Errors.** A scenario that is wrong, a chassis that does not come up, a step of
//! the script that fails or waits too long, a run that does not end. What happened
//! until then is in the folder.

use super::folder::Folder;
use super::lab::Options;
use super::stats::{self, Report};
use crate::chassis::world::{Stop, World};
use crate::gdb::Link;
use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use sun4v::time::SimTime;

/// Between two looks at what the world has noted.
const STRIDE: SimTime = SimTime::ms(50);

/// What `replay` reads from the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is run.
    #[command(flatten)]
    pub options: Options,
    /// Where to write
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
    /// Bytes kept of each frame; 0 keeps all
    #[arg(long, default_value_t = crate::net::pcap::SNAPLEN)]
    pub snaplen: u32,
    /// Before a debugger
    #[command(flatten)]
    pub gdb: super::gdb::Args,
    /// Do not write down hypercalls
    #[arg(long)]
    pub no_trace: bool,
    /// Who wants to know what was executed.
    #[command(flatten)]
    pub stats: stats::Args,
}

/// Runs the scenario and reports to `out`.
///
/// # Errors
///
/// See the module.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut link = args.gdb.listen()?;
    let (scenario, file) = args.options.scenario()?;
    let mut world = args.options.power_on(&scenario, &file)?;
    world.set_trace(!args.no_trace);
    let mut folder = Folder::create(&args.out, &mut world, args.snaplen)?;
    if args.stats.any() {
        world.set_stopwatch(Some(stats::stopwatch));
    }
    let ended = play(&mut world, &mut folder, link.as_mut());
    folder.drain(&mut world)?;
    let facts = folder.finish()?;
    let instructions: u64 = world.figures().map(|(.., figures)| figures.instructions).sum();
    writeln!(
        out,
        "{}: {:.3} s simulated, {} facts, {instructions} instructions; written to {}",
        scenario.name,
        world.now().as_secs_f64(),
        facts.len(),
        args.out.display()
    )?;
    super::verdict::report(&facts, &args.out, out)?;
    if args.stats.any() {
        statistics(args, &world, out)?;
    }
    out.flush()?;
    ended.with_context(|| format!("at {:.6} s", world.now().as_secs_f64()))
}

/// Writes what was executed into the folder, and says it.
fn statistics(args: &Args, world: &World, out: &mut dyn Write) -> anyhow::Result<()> {
    let domains = world.figures();
    let domains = domains.map(|(chassis, name, figures)| (Some(chassis.to_owned()), name, figures));
    let report = Report::new(args.options.guests.choice(), world.now(), domains);
    if args.stats.stats {
        let files = [("stats.txt", report.text()), ("stats.json", report.json())];
        for (name, text) in files {
            let path = args.out.join(name);
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
        write!(out, "\n{}", report.text())?;
    }
    args.stats.write(&report)
}

/// A world on its way to its end, and what it leaves behind.
pub(super) struct Player<'a> {
    pub(super) world: &'a mut World,
    folder: &'a mut Folder,
    bar: ProgressBar,
    /// When to look next at what the world has noted.
    until: SimTime,
}

impl Player<'_> {
    /// Moves the world to its end, `None`, or to where a debugger stops it.
    pub(super) fn advance(&mut self) -> anyhow::Result<Option<Stop>> {
        while !self.world.is_done() {
            let now = self.world.now();
            if now >= self.until {
                self.until = now.plus(STRIDE);
            }
            self.world.run_script_until(self.until)?;
            let stop = self.world.take_stop();
            if stop.is_some() {
                // Files are written when they would have been without the stop.
                return Ok(stop);
            }
            self.folder.drain(self.world)?;
            self.bar.set_position(self.world.progress().0 as u64);
            self.bar.set_message(format!("{:.1} s simulated", self.world.now().as_secs_f64()));
        }
        Ok(None)
    }
}

/// Moves the world to its end.
fn play(world: &mut World, folder: &mut Folder, link: Option<&mut Link>) -> anyhow::Result<()> {
    let (bar, until) = (bar(world.progress().1), world.now());
    let mut player = Player { world, folder, bar: bar.clone(), until };
    let result = match link {
        Some(link) => super::gdb::play(link, &mut player),
        None => player.advance().map(|_| ()),
    };
    bar.finish_and_clear();
    result
}

/// A bar over the steps of a script, on a terminal only.
fn bar(steps: usize) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(10)
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
    let style = ProgressStyle::with_template("{elapsed} [{bar:30}] step {pos}/{len}, {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
