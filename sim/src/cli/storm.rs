//! `ldomlab storm`: migrations between two chassis while everything goes wrong.
//!
//! **Shapes.** A storm is a seed, from which its plan comes ([`crate::storm::plan`]); storms
//! have the seeds from `--seed` on, one after the other, on as many host threads as there
//! are. The first that fails is shown by its shortest plan and by the command that repeats
//! it. With the feature `mutants`, `--mutant` makes a mistake on purpose. With `--only` or `--plan` there is one storm, and all that was said in it.
//!
//! **Errors.** A plan that is wrong; a lab that does not come up; a storm in which something
//! happened that may not.

use crate::storm::lab::Lab;
use crate::storm::plan::Plan;
use crate::storm::run::{Verdict, run as run_storm};
use crate::storm::shrink::shrink;
use anyhow::{anyhow, bail};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What `storm` reads from the command line.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Seed of the first storm
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many storms
    #[arg(long, default_value_t = 1000)]
    pub runs: u64,
    /// No new storm after so many minutes
    #[arg(long)]
    pub minutes: Option<f64>,
    /// Only these events of the plan, by number from 0, and all that is said
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    pub only: Option<Vec<usize>>,
    /// This plan instead of the seed's, and all that is said
    #[arg(long, conflicts_with = "only")]
    pub plan: Option<Plan>,
    /// Host threads; the outcome is the same on any number
    #[arg(long)]
    pub threads: Option<usize>,
    /// Make this mistake; without a storm that finds it, this fails
    #[cfg(feature = "mutants")]
    #[arg(long, value_name = "NAME")]
    pub mutant: Option<String>,
    /// Show a plan that fails as it is
    #[arg(long)]
    pub no_shrink: bool,
}

/// What storms came to.
#[derive(Debug, Default)]
struct Sum {
    storms: u64,
    fired: u64,
    events: u64,
    moved: u64,
    simulated_ms: u64,
    turns: u64,
    /// The failure of the lowest seed.
    failed: Option<(u64, Plan, String)>,
}

impl Sum {
    fn add(&mut self, seed: u64, plan: Plan, verdict: Verdict) {
        self.storms += 1;
        self.fired += verdict.fired as u64;
        self.events += plan.0.len() as u64;
        self.moved += u64::from(verdict.home == Some(crate::storm::plan::Side::B));
        self.simulated_ms += verdict.span.as_us() / 1000;
        self.turns += verdict.turns;
        if let Some(why) = verdict.failed
            && self.failed.as_ref().is_none_or(|(lowest, ..)| seed < *lowest)
        {
            self.failed = Some((seed, plan, why));
        }
    }
}

/// Runs storms.
///
/// # Errors
/// See the module.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let lab = Lab::bring_up()?;
    #[cfg(feature = "mutants")]
    set_mutant(args.mutant.as_deref())?;
    let own = Plan::of_seed(args.seed);
    let one = args.plan.clone().or(args.only.as_ref().map(|only| own.only(only)));
    if let Some(plan) = one {
        writeln!(out, "{plan}")?;
        let verdict = run_storm(&lab, args.seed, &plan, true)?;
        for line in &verdict.lines {
            writeln!(out, "{line}")?;
        }
        return match verdict.failed {
            None => Ok(writeln!(out, "all is well")?),
            Some(why) => Err(anyhow!("{why}")),
        };
    }
    let sum = storms(&lab, args)?;
    writeln!(
        out,
        "{} storms, {} of {} events happened, {} ended at t5220, {} s simulated, {} turns",
        sum.storms,
        sum.fired,
        sum.events,
        sum.moved,
        sum.simulated_ms / 1000,
        sum.turns
    )?;
    let Some((seed, plan, why)) = sum.failed else { return Ok(()) };
    writeln!(out, "storm {seed}: {why}\n  {plan}")?;
    if !args.no_shrink {
        let fails = |plan: &Plan| {
            run_storm(&lab, seed, plan, false).is_ok_and(|verdict| verdict.failed.is_some())
        };
        let short = shrink(&plan, fails);
        let why = run_storm(&lab, seed, &short, false)?.failed.unwrap_or_default();
        writeln!(out, "in short: {why}\n  ldomlab storm --seed {seed} --plan '{short}'")?;
    }
    out.flush()?;
    bail!("storm {seed} failed")
}

/// Makes a mistake from now on.
#[cfg(feature = "mutants")]
fn set_mutant(name: Option<&str>) -> anyhow::Result<()> {
    use ldm::migrate::mutant::{Mutant, set};
    let Some(name) = name else { return Ok(()) };
    let found = Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name);
    let Some(found) = found else {
        bail!("`{name}` is no mistake; there are {:?}", Mutant::ALL);
    };
    set(Some(found));
    Ok(())
}

/// All storms, side by side.
fn storms(lab: &Lab, args: &Args) -> anyhow::Result<Sum> {
    let threads = args.threads.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    });
    let minutes = args.minutes.filter(|minutes| (0.0..1e6).contains(minutes));
    let limit = minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let begun = now();
    let next = AtomicU64::new(args.seed);
    let end = args.seed.saturating_add(args.runs);
    let sum = Mutex::new(Sum::default());
    let work = || -> anyhow::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || limit.is_some_and(|limit| begun.elapsed() >= limit) {
                return Ok(());
            }
            let plan = Plan::of_seed(seed);
            let verdict = run_storm(lab, seed, &plan, false)?;
            if verdict.failed.is_some() {
                // Lower seeds that are under way are still looked at.
                next.store(end, Ordering::Relaxed);
            }
            let mut sum = sum.lock().map_err(|_| anyhow!("another storm's thread has ended"))?;
            sum.add(seed, plan, verdict);
        }
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let ends = all.into_iter().map(|one| one.join().map_err(|_| anyhow!("a storm panicked"))?);
        ends.collect::<anyhow::Result<()>>()
    })?;
    sum.into_inner().map_err(|_| anyhow!("a storm's thread has ended"))
}

#[expect(clippy::disallowed_methods, reason = "how long storms go on is the host's time")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
