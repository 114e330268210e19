//! What a run has done so far, for progress bars, logs and metrics. Shared by all workers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a run.
#[derive(Debug, Default)]
pub struct Stats {
    records: AtomicU64,
    replayed: AtomicU64,
    commits: AtomicU64,
    aborts: AtomicU64,
    outcomes: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsSnapshot {
    /// Input records decided in committed transactions.
    pub records: u64,
    /// Journal events folded while restoring.
    pub replayed: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Transactions aborted.
    pub aborts: u64,
    /// Committed events by stage and outcome.
    pub outcomes: BTreeMap<(&'static str, &'static str), u64>,
}

impl Stats {
    /// Adds a committed transaction.
    pub(crate) fn committed(&self, records: u64, outcomes: &BTreeMap<(&'static str, &'static str), u64>) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        let mut sums = self.outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (name, count) in outcomes {
            *sums.entry(*name).or_default() += count;
        }
    }

    pub(crate) fn aborted(&self) {
        self.aborts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn replayed(&self, events: u64) {
        self.replayed.fetch_add(events, Ordering::Relaxed);
    }

    /// The counters now.
    pub fn snapshot(&self) -> StatsSnapshot {
        StatsSnapshot {
            records: self.records.load(Ordering::Relaxed),
            replayed: self.replayed.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            aborts: self.aborts.load(Ordering::Relaxed),
            outcomes: self.outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
        }
    }
}
