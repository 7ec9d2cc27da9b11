//! The lab's story in short, `testdata/scenarios/short.toml`, and what becomes of it
//! when somebody errs or a cable does: told by the files of the run.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod felt;
mod fence;
mod links;
mod moved;
mod refused;
mod report;
mod run;
mod same;
