//! Runs seeds of the simulator, one, many, or with deliberate bugs.
#![allow(clippy::print_stdout, reason = "a program for developers")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use settle_simulator::plan::Plan;
use settle_simulator::report::Report;
use settle_simulator::run::{Runner, StoreKind};
use settle_simulator::shrink::shrink;

/// Simulates the pipeline with faults. Without options: the seeds 1 to 200.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// One seed alone: prints everything about it.
    #[arg(long)]
    seed: Option<u64>,
    /// With `--seed`: takes faults and requests out for as long as it still fails.
    #[arg(long)]
    shrink: bool,
    /// With `--seed`: tells on stderr what the cluster and the workers do.
    #[arg(long)]
    trace: bool,
    /// Keeps the stores on RocksDB.
    #[arg(long)]
    rocksdb: bool,
    /// Every so-manieth seed runs on RocksDB too, and has to end the same; 0: none.
    #[arg(long, default_value_t = 50)]
    twin_every: u64,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// Tries deliberate bugs: each has to be found within so many seeds.
    #[cfg(feature = "mutations")]
    #[arg(long)]
    mutations: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(feature = "mutations")]
    if arguments.mutations {
        return settle_simulator::mutations::try_all(arguments.from, arguments.threads);
    }
    match arguments.seed {
        Some(seed) => one(seed, &arguments),
        None => many(&arguments),
    }
}

fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    let runner = Runner::new();
    let stores = if arguments.rocksdb { StoreKind::RocksDb } else { StoreKind::Memory };
    let mut plan = Plan::of_seed(seed);
    if arguments.shrink {
        let (smallest, runs) = shrink(&runner, &plan, 400);
        println!("shrunk in {runs} runs: {} requests, faults:", smallest.requests.len());
        for fault in &smallest.faults {
            println!("  {fault:?}");
        }
        for request in smallest.requests.iter().take(20) {
            println!("  {request:?}");
        }
        plan = smallest;
    }
    if arguments.trace {
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer(std::io::stderr)
            .without_time()
            .with_ansi(false)
            .with_target(false)
            .init();
    }
    let outcome = runner.run(&plan, stores);
    let mut report = Report::default();
    report.add(seed, &outcome);
    println!("{report}hash {}", outcome.hash);
    for violation in &outcome.violations {
        println!("seed {seed}: {violation}");
    }
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(arguments: &Arguments) -> ExitCode {
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from + arguments.seeds;
    let work = || {
        let runner = Runner::new();
        let mut report = Report::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return report;
            }
            let stores = if arguments.rocksdb { StoreKind::RocksDb } else { StoreKind::Memory };
            let mut outcome = runner.seed(seed, stores);
            if arguments.twin_every > 0 && seed.is_multiple_of(arguments.twin_every) {
                let twin = runner.seed(seed, StoreKind::RocksDb);
                outcome.violations.extend(twin.violations);
                if twin.hash != outcome.hash {
                    outcome.violations.push("RocksDB and its twin in memory end differently".to_owned());
                }
            }
            if let Some(first) = outcome.violations.first() {
                println!("seed {seed} failed: {first}");
            }
            report.add(seed, &outcome);
        }
    };
    let report = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.threads).map(|_| scope.spawn(work)).collect();
        let mut all = Report::default();
        for thread in threads {
            all.merge(&thread.join().expect("a thread of the simulator does not panic"));
        }
        all
    });
    print!("{report}");
    let is_silent = arguments.seeds >= 200 && !report.silent_faults().is_empty();
    if report.failures.is_empty() && !is_silent { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
