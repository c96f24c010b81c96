//! The program's entrance.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    pillarbox::cli::run(pillarbox::cli::CommandLine::parse())
}
