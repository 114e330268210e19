//! Deliberate bugs, one at a time: the simulator has to find each. One that it does not find is a hole in it.
#![allow(clippy::print_stdout, reason = "what a developer asked for")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use settle_log::simulated::ClientBug;
use settle_runtime::mutations::{self, Mutation};

use crate::run::{Runner, StoreKind};

/// Seeds within which each bug has to be found, in each trial.
const MOST_SEEDS: u64 = 500;
/// Trials per bug, each with seeds of its own: the median is printed.
const TRIALS: u64 = 5;

/// A bug of the worker, or of the client of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// In the worker, its stores and its restore.
    Worker(Mutation),
    /// In the client.
    Client(ClientBug),
}

impl Bug {
    fn name(self) -> String {
        match self {
            Self::Worker(mutation) => format!("{mutation:?}"),
            Self::Client(bug) => format!("client: {bug:?}"),
        }
    }
}

/// What the trials of a bug found.
struct Found {
    bug: Bug,
    /// Seeds that each trial needed; none if it was not found.
    seeds: Vec<Option<u64>>,
    /// What the first of them said.
    violation: String,
}

fn try_bug(bug: Bug, from: u64) -> Found {
    let mut runner = Runner::new();
    match bug {
        Bug::Worker(mutation) => mutations::set(Some(mutation)),
        Bug::Client(client_bug) => runner.client_bug = Some(client_bug),
    }
    let mut seeds = Vec::new();
    let mut violation = String::new();
    for trial in 0..TRIALS {
        let first = from + trial * 100_000;
        let found = (first..first + MOST_SEEDS).find(|seed| {
            let outcome = runner.seed(*seed, StoreKind::Memory);
            if let Some(what) = outcome.violations.first() {
                violation.clone_from(what);
            }
            !outcome.violations.is_empty()
        });
        seeds.push(found.map(|seed| seed - first + 1));
    }
    mutations::set(None);
    Found { bug, seeds, violation }
}

/// Tries all, and prints a table.
pub fn try_all(from: u64, threads: u32) -> ExitCode {
    let workers = Mutation::ALL.into_iter().map(Bug::Worker);
    let bugs: Vec<Bug> = workers.chain(ClientBug::ALL.into_iter().map(Bug::Client)).collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = try_bug(*bug, from);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push(found);
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|found| bugs.iter().position(|bug| *bug == found.bug));
    println!(
        "| deliberate bug | median seeds | most of {TRIALS} trials | what found it |\n|---|---|---|---|"
    );
    let mut holes = 0;
    for Found { bug, seeds, violation } in results {
        let mut needed: Vec<u64> = seeds.iter().map(|seeds| seeds.unwrap_or(u64::MAX)).collect();
        needed.sort_unstable();
        let shown = |seeds: u64| if seeds == u64::MAX { "not found".to_owned() } else { seeds.to_string() };
        let median = shown(needed[needed.len() / 2]);
        let most = shown(needed[needed.len() - 1]);
        holes += u32::from(needed.contains(&u64::MAX));
        let violation: String = violation.chars().take(90).collect();
        println!("| {} | {median} | {most} | {violation} |", bug.name());
    }
    println!("{holes} not found within {MOST_SEEDS} seeds");
    if holes == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
