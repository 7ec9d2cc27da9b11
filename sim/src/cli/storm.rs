//! `ldomlab storm`: migrations between two chassis while everything goes wrong.
//!
//! **Shapes.** A storm is a seed, from which its plan comes ([`crate::storm::plan`]); storms
//! have the seeds from `--seed` on, one after the other, on as many host threads as there
//! are. The first that fails is shown by its shortest plan and by the command that repeats
//! it. With the feature `mutants`, `--mutant` makes a mistake on purpose. With `--only` or `--plan` there is one storm, and all that was said in it.
//!
//! **Errors.** A plan that is wrong; a lab that does not come up; a storm in which something
//! happened that may not.

use crate::storm::campaign::{Sum, storms};
use crate::storm::lab::Lab;
use crate::storm::matrix;
use crate::storm::plan::Plan;
use crate::storm::run::run as run_storm;
use crate::storm::shrink::shrink;
use anyhow::{anyhow, bail};
use std::io::Write;
use std::time::{Duration, Instant};

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
    /// Instead of seeds: every entry of the journals and each STRIDE-th frame of a
    /// migration, with every fault
    #[arg(long, value_name = "STRIDE", num_args = 0..=1, default_missing_value = "1",
        conflicts_with_all = ["plan", "only"])]
    pub matrix: Option<u64>,
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
    let begun = now();
    let sum = all(&lab, args, begun)?;
    let [first, second, nowhere] = sum.homes;
    writeln!(
        out,
        "{} storms in {:.1} s: {} of {} events happened; the domain ended at t5120 in {first}, \
         at t5220 in {second}, does not run in {nowhere}; {} s simulated, {} turns",
        sum.storms,
        begun.elapsed().as_secs_f64(),
        sum.fired,
        sum.events,
        sum.simulated_ms / 1000,
        sum.turns
    )?;
    let Some((seed, plan, why)) = sum.failed else { return Ok(()) };
    writeln!(out, "storm {seed}: {why}\n  {plan}")?;
    out.flush()?;
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

/// All storms that were asked for.
fn all(lab: &Lab, args: &Args, begun: Instant) -> anyhow::Result<Sum> {
    let threads = args
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let minutes = args.minutes.filter(|minutes| (0.0..1e6).contains(minutes));
    let limit = minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let stop = || limit.is_some_and(|limit| begun.elapsed() >= limit);
    if let Some(stride) = args.matrix {
        let plans = matrix::plans(&matrix::occasions(lab, stride)?);
        let plan = |number: u64| plans.get(number as usize).cloned().unwrap_or_default();
        return storms(lab, 0..plans.len() as u64, plan, threads, stop);
    }
    let seeds = args.seed..args.seed.saturating_add(args.runs);
    storms(lab, seeds, Plan::of_seed, threads, stop)
}

#[expect(clippy::disallowed_methods, reason = "how long storms go on is the host's time")]
fn now() -> Instant {
    Instant::now()
}
