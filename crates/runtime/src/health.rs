//! What each worker is doing, and since when: for probes, for the gauges of a scrape, and for the watchdog.
//!
//! Workers write it, each its own record; everybody else reads. Owns what "alive" and "ready" mean. Must not know
//! HTTP, and must not call into a worker: a worker that is stuck could not answer.

mod report;
mod watchdog;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::monotonic_now;
use crate::metrics;

pub use report::{Readiness, StuckWorker, WorkerReport, WorkerState};
pub use watchdog::{STUCK_EXIT_CODE, Watchdog, end_process};

/// What a worker is doing: each beginning is a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, on purpose: it has not begun, or it is another stage's turn.
    Resting,
    /// Creating its clients and joining its group.
    Joining,
    /// Polling its consumer.
    Polling,
    /// Opening the store of a partition.
    OpeningStore,
    /// Reading a part of a journal.
    Restoring,
    /// Deciding records and timers.
    Deciding,
    /// Sending offsets, committing, and writing the stores.
    Committing,
    /// Aborting a transaction.
    Aborting,
    /// Flushing and closing stores.
    ClosingStore,
}

impl Step {
    /// The step as part of a sentence: "it has been ... for 12 s".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resting => "resting",
            Self::Joining => "joining its group",
            Self::Polling => "polling",
            Self::OpeningStore => "opening a store",
            Self::Restoring => "restoring",
            Self::Deciding => "deciding",
            Self::Committing => "committing",
            Self::Aborting => "aborting a transaction",
            Self::ClosingStore => "closing a store",
        }
    }
}

/// How a worker stands, apart from what it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Working,
    Stopping,
    Ended,
    Failed { code: &'static str, message: String },
}

/// A restore under way: how many events are left, once that is known.
type Remaining = Option<u64>;

#[derive(Debug)]
struct Record {
    step: Step,
    step_since: Instant,
    transaction_since: Option<Instant>,
    has_joined: bool,
    phase: Phase,
    /// Owned partitions, and what is left to restore of those that are being restored.
    partitions: BTreeMap<u32, Option<Remaining>>,
}

#[derive(Debug)]
struct Entry {
    stage: &'static str,
    worker: u32,
    record: Mutex<Record>,
}

impl Entry {
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The workers of a process.
#[derive(Debug, Default)]
pub struct Health {
    workers: Mutex<Vec<Arc<Entry>>>,
    /// Partitions that have a gauge of what is left to restore: it has to go back to 0.
    with_remaining: Mutex<BTreeSet<(&'static str, u32)>>,
}

impl Health {
    /// Adds a worker, which rests until it says otherwise.
    pub fn register(&self, stage: &'static str, worker: u32) -> WorkerHealth {
        let record = Record {
            step: Step::Resting,
            step_since: monotonic_now(),
            transaction_since: None,
            has_joined: false,
            phase: Phase::Working,
            partitions: BTreeMap::new(),
        };
        let entry = Arc::new(Entry { stage, worker, record: Mutex::new(record) });
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        // A worker that takes the place of another, as a second run in the same process does.
        workers.retain(|other| (other.stage, other.worker) != (stage, worker));
        workers.push(Arc::clone(&entry));
        WorkerHealth { entry }
    }

    /// How every worker stands, in order of registration.
    pub fn reports(&self) -> Vec<WorkerReport> {
        let now = monotonic_now();
        self.entries().iter().map(|entry| report::of(entry.stage, entry.worker, &entry.lock(), now)).collect()
    }

    /// Workers that have been in one step for longer than `bound`. None: the process is alive.
    pub fn stuck(&self, bound: Duration) -> Vec<StuckWorker> {
        self.reports().iter().filter_map(|worker| worker.stuck(bound)).collect()
    }

    /// Whether every worker has joined its group, has restored what it owns, and moves.
    pub fn readiness(&self, stuck_after: Duration) -> Readiness {
        Readiness { workers: self.reports(), stuck_after }
    }

    /// Sets the gauges that follow from time and state. Call it before metrics are rendered: a worker that is
    /// stuck updates nothing.
    pub fn record_gauges(&self) {
        let count = |number: usize| metrics::gauge_value(u64::try_from(number).unwrap_or(u64::MAX));
        let mut remaining = BTreeMap::new();
        for report in self.reports() {
            let (stage, worker) = (report.stage, report.worker);
            metrics::worker_heartbeat_age_seconds(stage, worker).set(report.step_age.unwrap_or_default());
            metrics::worker_ready(stage, worker).set(count(usize::from(report.not_ready().is_none())));
            metrics::transaction_open_age_seconds(stage, worker)
                .set(report.transaction_age.unwrap_or_default());
            metrics::assigned_partitions(stage, worker).set(count(report.owned.len()));
            metrics::restoring_partitions(stage, worker).set(count(report.restoring.len()));
            for (partition, events) in report.restoring {
                remaining.insert((stage, partition), events.unwrap_or_default());
            }
        }
        let mut with_remaining = self.with_remaining.lock().unwrap_or_else(PoisonError::into_inner);
        for (stage, partition) in with_remaining.iter() {
            remaining.entry((stage, *partition)).or_insert(0);
        }
        for ((stage, partition), events) in &remaining {
            metrics::restore_remaining_events(stage, *partition).set(metrics::gauge_value(*events));
            with_remaining.insert((stage, *partition));
        }
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A worker's own record. Each call takes an uncontended lock: call it per step, not per record.
#[derive(Debug)]
pub struct WorkerHealth {
    entry: Arc<Entry>,
}

impl WorkerHealth {
    /// The worker begins a step: it is alive.
    pub fn enter(&self, step: Step) {
        let mut record = self.entry.lock();
        record.step = step;
        record.step_since = monotonic_now();
    }

    /// A transaction is open from now on.
    pub fn transaction_opened(&self) {
        self.entry.lock().transaction_since = Some(monotonic_now());
    }

    /// No transaction is open any more.
    pub fn transaction_closed(&self) {
        self.entry.lock().transaction_since = None;
    }

    /// It is a member of its group, whether partitions were assigned to it or not.
    pub fn joined(&self) {
        self.entry.lock().has_joined = true;
    }

    /// It is no member of its group any more.
    pub fn left(&self) {
        self.entry.lock().has_joined = false;
    }

    /// A partition is its own, and is being restored; how many events that takes may not be known yet.
    pub fn restoring(&self, partition: u32, remaining_events: Option<u64>) {
        self.entry.lock().partitions.insert(partition, Some(remaining_events));
    }

    /// A partition is restored.
    pub fn restored(&self, partition: u32) {
        self.entry.lock().partitions.insert(partition, None);
    }

    /// A partition is not its own any more.
    pub fn gave_up(&self, partition: u32) {
        self.entry.lock().partitions.remove(&partition);
    }

    /// It was told to end.
    pub fn stopping(&self) {
        let mut record = self.entry.lock();
        if record.phase == Phase::Working {
            record.phase = Phase::Stopping;
        }
    }

    /// It ended in good order; after a failure, that stays.
    pub fn ended(&self) {
        self.end(Phase::Ended);
    }

    /// It ended with an error; the first one stays.
    pub fn failed(&self, code: &'static str, message: impl Into<String>) {
        self.end(Phase::Failed { code, message: message.into() });
    }

    fn end(&self, phase: Phase) {
        let mut record = self.entry.lock();
        record.step = Step::Resting;
        record.transaction_since = None;
        record.partitions.clear();
        if !matches!(record.phase, Phase::Failed { .. }) {
            record.phase = phase;
        }
    }
}

/// A worker that is gone can neither be stuck nor ready.
impl Drop for WorkerHealth {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failed("STL-0309", "it ended unexpectedly");
        } else {
            self.ended();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn reasons(health: &Health) -> Vec<String> {
        health.readiness(LONG).reasons()
    }

    #[test]
    fn a_process_without_workers_is_alive_and_not_ready() {
        let health = Health::default();
        assert_eq!(health.stuck(Duration::ZERO), []);
        assert_eq!(reasons(&health), ["no worker has been started yet"]);
    }

    #[test]
    fn a_worker_becomes_ready_step_by_step() {
        let health = Health::default();
        let worker = health.register("settle", 1);
        assert_eq!(reasons(&health), ["worker 1 of stage settle has not begun"]);
        worker.enter(Step::Joining);
        assert_eq!(reasons(&health), ["worker 1 of stage settle has not joined its group"]);
        worker.joined();
        worker.restoring(3, None);
        worker.restoring(4, Some(17));
        assert_eq!(
            reasons(&health),
            ["worker 1 of stage settle restores 2 of 2 partitions: 3 (not counted yet), 4 (17 events left)"]
        );
        worker.restored(3);
        assert_eq!(
            reasons(&health),
            ["worker 1 of stage settle restores 1 of 2 partitions: 4 (17 events left)"]
        );
        worker.restored(4);
        assert!(health.readiness(LONG).is_ready());
        worker.gave_up(3);
        worker.gave_up(4);
        assert!(health.readiness(LONG).is_ready(), "there may be fewer partitions than workers");
        let report = &health.reports()[0];
        assert_eq!(report.note(), Some("owns no partition: there are fewer partitions than workers"));
        worker.left();
        assert_eq!(reasons(&health), ["worker 1 of stage settle has not joined its group"]);
    }

    #[test]
    fn one_worker_that_is_not_ready_is_enough() {
        let health = Health::default();
        let ready = health.register("authorize", 0);
        ready.enter(Step::Polling);
        ready.joined();
        let other = health.register("settle", 0);
        other.enter(Step::Joining);
        assert_eq!(reasons(&health), ["worker 0 of stage settle has not joined its group"]);
    }

    #[test]
    fn workers_that_end_are_not_ready_and_say_why() {
        let health = Health::default();
        let stopping = health.register("authorize", 0);
        stopping.enter(Step::Polling);
        stopping.joined();
        stopping.stopping();
        assert_eq!(reasons(&health), ["worker 0 of stage authorize is stopping"]);
        drop(stopping);
        assert_eq!(reasons(&health), ["worker 0 of stage authorize has ended"]);
        let failed = health.register("authorize", 0);
        failed.failed("STL-0308", "a transaction was aborted 5 times");
        drop(failed);
        let expected = "worker 0 of stage authorize failed: STL-0308: a transaction was aborted 5 times";
        assert_eq!(reasons(&health), [expected]);
    }

    #[test]
    fn a_worker_that_panics_has_failed() {
        let health = Health::default();
        let worker = health.register("settle", 0);
        let panicked = std::thread::spawn(move || {
            worker.enter(Step::Deciding);
            panic!("an invariant");
        });
        assert!(panicked.join().is_err());
        assert_eq!(reasons(&health), ["worker 0 of stage settle failed: STL-0309: it ended unexpectedly"]);
    }

    #[test]
    fn stuck_is_who_stays_in_a_step_and_not_who_rests() {
        let health = Health::default();
        let stuck = health.register("settle", 2);
        let resting = health.register("settle", 3);
        stuck.enter(Step::Committing);
        resting.enter(Step::Committing);
        resting.enter(Step::Resting);
        std::thread::sleep(Duration::from_millis(20));
        let found = health.stuck(Duration::from_millis(10));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].stage, found[0].worker, found[0].step), ("settle", 2, Step::Committing));
        assert!(found[0].to_string().starts_with("worker 2 of stage settle has been committing for"));
        assert_eq!(health.stuck(LONG), []);
        stuck.enter(Step::Polling);
        assert_eq!(health.stuck(LONG), []);
        drop(stuck);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(health.stuck(Duration::from_millis(10)), [], "a worker that is gone is not stuck");
    }

    #[test]
    fn a_stuck_worker_is_not_ready() {
        let health = Health::default();
        let worker = health.register("settle", 0);
        worker.joined();
        worker.enter(Step::Committing);
        assert!(health.readiness(LONG).is_ready());
        std::thread::sleep(Duration::from_millis(20));
        let reasons = health.readiness(Duration::from_millis(10)).reasons();
        assert_eq!(reasons.len(), 1);
        assert!(reasons[0].starts_with("worker 0 of stage settle has been committing for"), "{reasons:?}");
    }
}
