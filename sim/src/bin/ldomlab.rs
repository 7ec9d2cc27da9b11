//! The lab.

use std::process::ExitCode;

fn main() -> ExitCode {
    sim::cli::main()
}
