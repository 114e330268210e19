//! The binary `settle`: reads the command line and the configuration, and runs one command.
//!
//! Owns what a person sees: arguments, output, logs, exit codes. Judges nothing itself.

mod args;
mod commands;
mod failure;
mod http;
mod limits;
mod open;
mod output;
mod report;
mod schemas;
mod settings;
mod signals;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};

/// For RocksDB and librdkafka too: with two allocators side by side what one has freed is of no use to the other
/// (docs/performance.md has the figures).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How a command ended, if it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// All is done.
    Done,
    /// Done, but some input was rejected or a check found something.
    WithFindings,
    /// Interrupted; what was committed stays.
    Interrupted,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::WithFindings) => ExitCode::from(3),
        Ok(Ended::Interrupted) => ExitCode::from(130),
        Err(error) => failure::report(&error),
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<Ended> {
    limits::report_file_size_limit()?;
    limits::raise_open_files();
    let common = &arguments.common;
    match &arguments.command {
        Command::Demo(demo) => commands::demo::run(common, demo),
        Command::Run(run) => commands::run::run(common, run),
        Command::Produce(produce) => commands::produce::run(common, produce),
        Command::Topics(topics) => commands::topics::run(common, topics),
        Command::DeadLetter(dead_letter) => commands::dead_letter::run(common, dead_letter),
        Command::Verify(verify) => commands::verify::run(common, verify),
        Command::Inspect(inspect) => commands::inspect::run(common, inspect),
        Command::Config(config) => commands::config::run(common, config),
        Command::Rules(rules) => commands::config::rules(common, rules),
    }
}
