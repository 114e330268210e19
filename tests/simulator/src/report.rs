//! Many runs: what fired, what was gone through, what failed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::plan::FaultKind;
use crate::run::Outcome;

/// What many runs went through.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Runs.
    pub runs: u64,
    /// Seeds that failed, with the first violation of each.
    pub failures: BTreeMap<u64, String>,
    /// Faults that fired, by kind.
    pub fired: BTreeMap<String, u64>,
    /// What the cluster went through.
    pub transitions: BTreeMap<String, u64>,
    /// What the journals said.
    pub reached: BTreeMap<String, u64>,
    /// Ends of processes, by code.
    pub ends: BTreeMap<String, u64>,
    /// Transactions that were judged.
    pub transactions: u64,
    /// Events that were judged.
    pub events: u64,
    /// Steps at which something could go wrong.
    pub steps: u64,
    /// Virtual seconds.
    pub seconds: u64,
}

fn add(sums: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (what, count) in more {
        *sums.entry(what.clone()).or_default() += count;
    }
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.runs += 1;
        if let Some(first) = outcome.violations.first() {
            self.failures.insert(seed, first.clone());
        }
        add(&mut self.fired, &outcome.fired);
        add(&mut self.transitions, &outcome.transitions);
        add(&mut self.reached, &outcome.reached);
        add(&mut self.ends, &outcome.ends);
        self.transactions += outcome.transactions;
        self.events += outcome.events;
        self.steps += outcome.steps;
        self.seconds += outcome.millis / 1_000;
    }

    /// Adds what another thread ran.
    pub fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.failures.extend(other.failures.clone());
        add(&mut self.fired, &other.fired);
        add(&mut self.transitions, &other.transitions);
        add(&mut self.reached, &other.reached);
        add(&mut self.ends, &other.ends);
        self.transactions += other.transactions;
        self.events += other.events;
        self.steps += other.steps;
        self.seconds += other.seconds;
    }

    /// Kinds of faults that never fired.
    pub fn silent_faults(&self) -> Vec<String> {
        let fired: BTreeSet<&String> = self.fired.keys().collect();
        FaultKind::all_names().into_iter().filter(|name| !fired.contains(name)).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{} runs, {} failed; {} virtual seconds, {} transactions and {} events judged, {} steps",
            self.runs,
            self.failures.len(),
            self.seconds,
            self.transactions,
            self.events,
            self.steps
        )?;
        let sections = [
            ("faults fired", &self.fired),
            ("transitions covered", &self.transitions),
            ("ends of processes", &self.ends),
            ("decided", &self.reached),
        ];
        for (title, counts) in sections {
            writeln!(formatter, "{title}:")?;
            for (what, count) in counts {
                writeln!(formatter, "  {count:>9}  {what}")?;
            }
        }
        for name in self.silent_faults() {
            writeln!(formatter, "never fired: {name}")?;
        }
        for (seed, what) in self.failures.iter().take(20) {
            writeln!(formatter, "seed {seed} failed: {what}")?;
        }
        Ok(())
    }
}
