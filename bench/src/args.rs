//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Benchmarks of Settle against a bare client and Kafka Streams, on a Kafka that it starts.
#[derive(Debug, Parser)]
#[command(name = "settle-bench")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run all contenders and write the report
    Run(RunArguments),
    /// Draw a flame graph of what `perf script` prints
    Flame,
    /// A contender without logic; runs until it is killed
    #[command(hide = true)]
    Floor(FloorArguments),
}

/// What to measure, and how much of it.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArguments {
    /// Requests of each throughput run
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub(crate) payments: u64,
    /// Times that each contender runs, in turns
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) rounds: u32,
    /// Partitions of every topic
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub(crate) partitions: u32,
    /// Workers for each stage, and threads of Kafka Streams
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) workers: u32,
    /// Commit interval of all contenders
    #[arg(long, default_value_t = 100, value_name = "MS")]
    pub(crate) commit_interval_ms: u64,
    /// Brokers: 1, or 3 with acknowledgements of two
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) brokers: u16,
    /// Seed of the traffic
    #[arg(long, default_value_t = 42, value_name = "S")]
    pub(crate) seed: u64,
    /// Only these contenders
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) only: Vec<String>,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    pub(crate) parts: Vec<Part>,
    /// Rate of the latency runs, in requests a second
    #[arg(long, default_value_t = 10_000, value_name = "R")]
    pub(crate) rate: u32,
    /// Seconds of a latency run that count
    #[arg(long, default_value_t = 30, value_name = "S")]
    pub(crate) latency_seconds: u64,
    /// Keys in the state when it is killed
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub(crate) restart_keys: u64,
    /// Keys of the runs with many keys
    #[arg(long, value_delimiter = ',', default_values_t = [1_000_000, 10_000_000], value_name = "NUMBERS")]
    pub(crate) large_keys: Vec<u64>,
    /// Leave out the start from snapshots with many keys: they need as much disk again as the state
    #[arg(long)]
    pub(crate) no_snapshots: bool,
    /// A setting of Settle in all its runs, as of its own --set; the report names it
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) settings: Vec<String>,
    /// Folder of the report
    #[arg(long, default_value = "target/bench", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Folder of the Kafka Streams program, see scripts/bench_streams.sh
    #[arg(long, value_name = "DIR")]
    pub(crate) streams: Option<PathBuf>,
    /// A short look: fewer payments, two rounds
    #[arg(long)]
    pub(crate) quick: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// All contenders as fast as they can
    Throughput,
    /// Settle on its embedded log
    Embedded,
    /// Commit intervals, workers and guarantees: not part of a run unless it is named
    Sweeps,
    /// From a request to its ledger transaction, at a fixed rate
    Latency,
    /// After kill -9, and with nothing on disk
    Restart,
    /// Many keys: not part of a run unless it is named
    Large,
}

impl Part {
    /// Those of a run that names none, in order.
    pub(crate) const ALL: [Self; 4] = [Self::Throughput, Self::Embedded, Self::Latency, Self::Restart];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FloorKind {
    Echo,
    Null,
}

/// Settings of a contender without logic.
#[derive(Clone, Debug, Args)]
pub(crate) struct FloorArguments {
    #[arg(value_enum)]
    pub(crate) kind: FloorKind,
    #[arg(long)]
    pub(crate) bootstrap: String,
    #[arg(long)]
    pub(crate) application: String,
    #[arg(long)]
    pub(crate) partitions: u32,
    #[arg(long)]
    pub(crate) workers: u32,
    #[arg(long)]
    pub(crate) commit_interval_ms: u64,
    #[arg(long)]
    pub(crate) templates: Option<PathBuf>,
}
