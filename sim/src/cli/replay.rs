//! `ldomlab replay`: runs a scenario from power-on to its end, writes down what
//! happened, and judges it.
//!
//! **Shapes.** The folder's files are those of [`super::folder`], and the summary of
//! the judgement; its table goes to the terminal. With `--stats`, so do the statistics
//! ([`super::stats`]), and `stats.txt` and `stats.json` are in the folder.
//!
//! **Errors.** A scenario that is wrong, a chassis that does not come up, a step of
//! the script that fails or waits too long, a run that does not end. What happened
//! until then is in the folder. A checkpoint that cannot be written: the run goes on to
//! its end, and then says so.

use super::checkpoint::{Place, Run, Wanted};
use super::lab::Options;
use super::stats::{self, Report};
use crate::chassis::checkpoint::Unsaved;
use crate::chassis::world::{Stop, World};
use crate::engine::Choice;
use crate::gdb::Link;
use crate::lab::scenario::Scenario;
use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use sun4v::time::SimTime;

/// Between two looks at what the world has noted.
const STRIDE: SimTime = SimTime::ms(50);

/// How long a checkpoint waits for what is over by itself soon.
const SOON: SimTime = SimTime::secs(1);

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
    /// Write a checkpoint at this simulated time, and go on from it
    #[arg(long, num_args = 2, value_names = ["SECONDS", "FILE"], conflicts_with = "gdb")]
    pub checkpoint_at: Vec<String>,
    /// Go on from a checkpoint; scenario and options are in it
    #[arg(long, value_name = "FILE", conflicts_with_all =
        ["scenario", "built_in", "seed", "set", "engine", "timing", "no_trace", "snaplen"])]
    pub restore: Option<PathBuf>,
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
    let wanted = Wanted::of(&args.checkpoint_at).context("--checkpoint-at")?;
    let place = Place {
        out: args.out.clone(),
        threads: args.options.threads(),
        stopwatch: args.stats.any().then_some(stats::stopwatch),
    };
    let run = match &args.restore {
        Some(file) => Run::restore(file, place)?,
        None => Run::begin(&args.options, (!args.no_trace, args.snaplen), place)?,
    };
    let (mut run, ended, checkpoint) = play(run, wanted, link.as_mut())?;
    run.folder.drain(&mut run.world)?;
    let Run { setting, scenario, world, folder, .. } = run;
    let facts = folder.finish()?;
    keep_disks(&scenario, &world, &args.out)?;
    let instructions: u64 = world.figures().map(|(.., figures)| figures.instructions).sum();
    writeln!(
        out,
        "{}: {:.3} s simulated, {} facts, {instructions} instructions; written to {}",
        scenario.name,
        world.now().as_secs_f64(),
        facts.len(),
        args.out.display()
    )?;
    super::verdict::judge(&facts, &args.out, out)?;
    if args.stats.any() {
        statistics(args, setting.choice()?, &world, out)?;
    }
    out.flush()?;
    ended.with_context(|| format!("at {:.6} s", world.now().as_secs_f64()))?;
    checkpoint
}

/// Writes the images that the scenario wants to be kept into the folder.
fn keep_disks(scenario: &Scenario, world: &World, out: &Path) -> anyhow::Result<()> {
    for disk in scenario.disks.iter().filter(|disk| disk.keep) {
        let mut hosts = world.lab().hosts();
        let Some(image) = hosts.find_map(|host| host.image(&disk.image)) else { continue };
        let path = out.join(&disk.image);
        let named = || path.display().to_string();
        let mut file = BufWriter::new(File::create(&path).with_context(named)?);
        image.copy_to(&mut file).and_then(|()| file.flush()).with_context(named)?;
    }
    Ok(())
}

/// Writes what was executed into the folder, and says it.
fn statistics(
    args: &Args,
    choice: Choice,
    world: &World,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let domains = world.figures();
    let domains = domains.map(|(chassis, name, figures)| (Some(chassis.to_owned()), name, figures));
    let report = Report::new(choice, world.now(), domains);
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

/// A run on its way to its end.
pub(super) struct Player {
    pub(super) run: Run,
    bar: ProgressBar,
    /// When to look next at what the world has noted.
    until: SimTime,
}

impl Player {
    /// Moves the world to its end, `None`, or to where a debugger stops it. A pause of
    /// the world is like its end.
    pub(super) fn advance(&mut self) -> anyhow::Result<Option<Stop>> {
        let Run { world, folder, .. } = &mut self.run;
        while !world.is_done() {
            let now = world.now();
            if now >= self.until {
                self.until = now.plus(STRIDE);
            }
            world.run_script_until(self.until)?;
            let stop = world.take_stop();
            if stop.is_some() || world.is_paused() {
                // Files are written when they would have been without the stop.
                return Ok(stop);
            }
            folder.drain(world)?;
            self.bar.set_position(world.progress().0 as u64);
            self.bar.set_message(format!("{:.1} s simulated", world.now().as_secs_f64()));
        }
        Ok(None)
    }
}

/// Moves the run to its end; how that was, and what became of the checkpoint. The error
/// outside is one of a checkpoint that has taken the run with it.
fn play(
    mut run: Run,
    mut wanted: Option<Wanted>,
    link: Option<&mut Link>,
) -> anyhow::Result<(Run, anyhow::Result<()>, anyhow::Result<()>)> {
    let (bar, until) = (bar(run.world.progress().1), run.world.now());
    run.world.set_pause(wanted.as_ref().map(|wanted| wanted.at));
    let mut player = Player { run, bar: bar.clone(), until };
    let mut refused = Ok(());
    let ended = loop {
        // With a debugger there is no pause.
        let ended = match link {
            Some(link) => break super::gdb::play(link, &mut player),
            None => player.advance().map(|_| ()),
        };
        let Some(checkpoint) = wanted.take_if(|_| ended.is_ok() && player.run.world.is_paused())
        else {
            break ended;
        };
        let now = player.run.world.now();
        let mut pause = None;
        player.run = match player.run.checkpoint(&checkpoint.file)? {
            Ok(run) => {
                // As a run that begins from the file does.
                player.until = now;
                run
            }
            Err((run, Unsaved::Soon(_))) if now < checkpoint.at.plus(SOON) => {
                pause = Some(now.plus(SimTime(1)));
                wanted = Some(checkpoint);
                run
            }
            Err((run, why)) => {
                let why = anyhow!("no checkpoint at {:.6} s: {why}", now.as_secs_f64());
                eprintln!("ldomlab: {why}");
                refused = Err(why);
                run
            }
        };
        player.run.world.set_pause(pause);
    };
    bar.finish_and_clear();
    if wanted.is_some() {
        refused = Err(anyhow!("no checkpoint: the run has ended before"));
    }
    Ok((player.run, ended, refused))
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
