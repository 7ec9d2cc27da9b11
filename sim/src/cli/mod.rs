//! The `ldomlab` command: one file a verb.
//!
//! A verb is a file here with `Args` (what clap reads) and `run` (what is done,
//! writing to the stream it is given), and one line in [`Verb`].
//!
//! **Errors.** A verb that cannot do its work returns an error whose text names the
//! file or the argument and says what is wrong with it; [`main`] prints it as one
//! line and exits with status 1. A wrong command line exits with status 2.

pub mod boot;
pub mod checkpoint;
pub mod choice;
pub mod dis;
pub mod folder;
pub mod gdb;
pub mod lab;
pub mod replay;
pub mod run;
pub mod stats;
pub mod storm;
pub mod symbols;
pub mod trace;
pub mod up;
pub mod verdict;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The simulated lab: two servers, their logical domains, and what runs in them.
#[derive(Debug, Parser)]
#[command(name = "ldomlab", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What `ldomlab` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Boot a guest beside its control domain, its console on the terminal
    Boot(boot::Args),
    /// Print the instructions of a SPARC image
    Dis(dis::Args),
    /// Run a scenario to its end and write down what happened
    Replay(replay::Args),
    /// Run one bare guest to its end
    Run(run::Args),
    /// Move a domain between two chassis while everything goes wrong, thousands of times
    Storm(storm::Args),
    /// Run one bare guest and print what it does, line by line
    Trace(trace::Args),
    /// Power the lab on and take commands
    Up(up::Args),
    /// Judge a run by its record: each claim, expected, measured, verdict
    Verdict(verdict::Args),
}

impl Verb {
    /// Does it, writing to `out`.
    ///
    /// # Errors
    ///
    /// As the verb says, and errors of `out`.
    pub fn run(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self {
            Self::Boot(args) => boot::run(args, out),
            Self::Dis(args) => dis::run(args, out),
            Self::Replay(args) => replay::run(args, out),
            Self::Run(args) => run::run(args, out),
            Self::Storm(args) => storm::run(args, out),
            Self::Trace(args) => trace::run(args, out),
            Self::Up(args) => up::run(args, out),
            Self::Verdict(args) => verdict::run(args, out),
        }
    }
}

/// The whole command: reads the command line, runs the verb, reports its error.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    let result = cli.verb.run(&mut out).and_then(|()| Ok(out.flush()?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<run::Status>() => {
            ExitCode::from(error.downcast_ref().map_or(1, |run::Status(code)| run::status(*code)))
        }
        Err(error) if error.is::<boot::Status>() => {
            ExitCode::from(error.downcast_ref().map_or(1, |boot::Status(status)| *status))
        }
        Err(error) => {
            eprintln!("ldomlab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod test {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_of_all_verbs_go_together() {
        Cli::command().debug_assert();
    }
}
