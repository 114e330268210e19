//! Benchmarks of Settle against a bare client, Kafka Streams and itself, on real Kafka: `make bench`.
//!
//! One cluster serves all contenders in turn: the requests are written once, everything else is made anew for each. What
//! is measured and how: docs/performance.md.

mod args;
mod clock;
mod cluster;
mod contender;
mod embedded;
mod flame;
mod floor;
mod gate;
mod kafka;
mod large;
mod latency;
mod load;
mod machine;
mod plan;
mod process;
mod recovery;
mod report;
mod restart;
mod stats;
mod templates;
mod throughput;

use clap::Parser;

use args::{Arguments, Command};

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Run(arguments) => plan::run(&arguments),
        Command::Flame => flame::run(),
        Command::Floor(arguments) => floor::run(&arguments),
    }
}
