//! What a worker tells about itself, in one place: one call where something happened, for health, metrics and the
//! counters of the run.
//!
//! Owns the metric handles of a worker, so that nothing is looked up by name in its loop. Must not decide anything:
//! a worker that ignores it works the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::metrics::{Counter, Gauge, Histogram};

use crate::clock::monotonic_now;
use crate::health::{Health, Step, WorkerHealth};
use crate::metrics::{self, gauge_value};
use crate::stats::Stats;

/// Why a transaction came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AbortReason {
    /// Partitions were revoked or lost before it could be committed.
    Rebalance,
    /// The worker was in no generation of its group.
    NotJoined,
    /// The log refused it, or the worker gave it up after an error.
    Refused,
    /// Nobody knows whether it was committed.
    Unknown,
}

impl AbortReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rebalance => "rebalance",
            Self::NotJoined => "not_joined",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// How a partition went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// In good order: what was open could be committed before.
    Revoked,
    /// It was gone already.
    Lost,
}

/// What a committed transaction held.
#[derive(Clone, Copy, Debug)]
pub struct CommittedWork<'a> {
    /// Input records decided.
    pub records: u64,
    /// Bytes of keys and values written.
    pub bytes: u64,
    /// Copies in the dead-letter topic.
    pub dead_letters: u64,
    /// Due items handled.
    pub timers: u64,
    /// Events by stage and outcome.
    pub outcomes: &'a BTreeMap<(&'static str, &'static str), u64>,
}

/// Handles of a partition that the worker owns.
struct PartitionGauges {
    restore_began: Option<Instant>,
    store_size: Gauge,
    store_unflushed: Gauge,
    lag: BTreeMap<Box<str>, Gauge>,
}

impl PartitionGauges {
    fn new(stage: &str, number: u32) -> Self {
        Self {
            restore_began: Some(monotonic_now()),
            store_size: metrics::store_size_bytes(stage, number),
            store_unflushed: metrics::store_unflushed_bytes(stage, number),
            lag: BTreeMap::new(),
        }
    }

    /// Another process owns it now: what this one says must not be added to what that one says.
    fn clear(&self) {
        for gauge in [&self.store_size, &self.store_unflushed].into_iter().chain(self.lag.values()) {
            gauge.set(0.0);
        }
    }
}

/// What a topic brought.
struct InputCounters {
    records: Counter,
    bytes: Counter,
}

/// The voice of one worker. It belongs to the worker's thread.
pub struct WorkerMonitor {
    stage: &'static str,
    health: WorkerHealth,
    stats: Arc<Stats>,
    inputs: BTreeMap<Box<str>, InputCounters>,
    outcomes: BTreeMap<&'static str, Counter>,
    aborts: BTreeMap<AbortReason, Counter>,
    partitions: BTreeMap<u32, PartitionGauges>,
    skipped: Counter,
    queued: Gauge,
    paused: Gauge,
    decided: Counter,
    dead_letters: Counter,
    timers: Counter,
    commits: Counter,
    commit_duration: Histogram,
    output_bytes: Counter,
    assigned: Counter,
    revoked: Counter,
    lost: Counter,
    restored_events: Counter,
    restore_duration: Histogram,
}

impl WorkerMonitor {
    /// Begins the record of worker number `worker` of a stage, which rests until it enters a step. Metrics go to
    /// the recorder that is installed now.
    pub fn new(stage: &'static str, worker: u32, health: &Health, stats: Arc<Stats>) -> Self {
        let reasons =
            [AbortReason::Rebalance, AbortReason::NotJoined, AbortReason::Refused, AbortReason::Unknown];
        let aborts = reasons.map(|reason| (reason, metrics::aborts_total(stage, reason.as_str())));
        Self {
            stage,
            health: health.register(stage, worker),
            stats,
            inputs: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            aborts: BTreeMap::from(aborts),
            partitions: BTreeMap::new(),
            skipped: metrics::input_skipped_records_total(stage),
            queued: metrics::queue_records(stage, worker),
            paused: metrics::queue_paused_partitions(stage, worker),
            decided: metrics::decided_records_total(stage),
            dead_letters: metrics::dead_letters_total(stage),
            timers: metrics::timers_fired_total(stage),
            commits: metrics::commits_total(stage),
            commit_duration: metrics::commit_duration_seconds(stage),
            output_bytes: metrics::output_bytes_total(stage),
            assigned: metrics::rebalances_total(stage, "assigned"),
            revoked: metrics::rebalances_total(stage, "revoked"),
            lost: metrics::rebalances_total(stage, "lost"),
            restored_events: metrics::restore_events_total(stage),
            restore_duration: metrics::restore_duration_seconds(stage),
        }
    }

    /// The worker begins a step. Call it before whatever may block: the watchdog counts from here.
    pub fn enter(&self, step: Step) {
        self.health.enter(step);
    }

    /// The worker does nothing until it enters a step, as between turns of a run until idle.
    pub fn rest(&self) {
        self.health.enter(Step::Resting);
    }

    /// The worker is a member of its group; [`Self::assigned`] implies it.
    pub fn joined(&self) {
        self.health.joined();
    }

    /// Partitions, perhaps none, were assigned.
    pub fn assigned(&mut self, numbers: &[u32]) {
        self.assigned.increment(1);
        self.health.joined();
        for number in numbers {
            self.health.restoring(*number, None);
            let gauges = PartitionGauges::new(self.stage, *number);
            self.partitions.insert(*number, gauges);
        }
    }

    /// Partitions were given up: the group is finding a new assignment. The worker is in its group again when
    /// partitions, perhaps none, are assigned.
    pub fn gave_up(&mut self, numbers: &[u32], how: GivenUp) {
        match how {
            GivenUp::Revoked => self.revoked.increment(1),
            GivenUp::Lost => self.lost.increment(1),
        }
        self.health.left();
        for number in numbers {
            self.health.gave_up(*number);
            if let Some(gauges) = self.partitions.remove(number) {
                gauges.clear();
            }
        }
    }

    /// The restore of a partition begins anew, after an abort.
    pub fn restore_began(&mut self, number: u32, remaining_events: u64) {
        self.health.restoring(number, Some(remaining_events));
        if let Some(gauges) = self.partitions.get_mut(&number) {
            gauges.restore_began = Some(monotonic_now());
        }
    }

    /// A part of a journal was folded, or it is known now how much there is.
    pub fn restore_stepped(&mut self, number: u32, folded_events: u64, remaining_events: u64) {
        self.health.restoring(number, Some(remaining_events));
        self.restored_events.increment(folded_events);
        self.stats.replayed(folded_events);
    }

    /// A partition is restored, and decides from now on.
    pub fn restored(&mut self, number: u32) {
        self.health.restored(number);
        let began = self.partitions.get_mut(&number).and_then(|gauges| gauges.restore_began.take());
        if let Some(began) = began {
            self.restore_duration.record(monotonic_now().saturating_duration_since(began));
        }
    }

    /// Records of a topic were polled; call it per poll.
    pub fn polled(&mut self, topic: &str, records: u64, bytes: u64) {
        let counters = match self.inputs.get(topic) {
            Some(counters) => counters,
            None => self.inputs.entry(topic.into()).or_insert_with(|| InputCounters {
                records: metrics::input_records_total(self.stage, topic),
                bytes: metrics::input_bytes_total(self.stage, topic),
            }),
        };
        counters.records.increment(records);
        counters.bytes.increment(bytes);
    }

    /// Records were dropped because the state contains them.
    pub fn skipped(&self, records: u64) {
        self.skipped.increment(records);
    }

    /// How many records wait for their decision, and how many input partitions are paused for it.
    pub fn queued(&self, records: u64, paused_partitions: u64) {
        self.queued.set(gauge_value(records));
        self.paused.set(gauge_value(paused_partitions));
    }

    /// How far the state is behind the committed end of an input.
    pub fn lag(&mut self, topic: &str, number: u32, records: u64) {
        let Some(gauges) = self.partitions.get_mut(&number) else { return };
        let gauge = match gauges.lag.get(topic) {
            Some(gauge) => gauge,
            None => gauges
                .lag
                .entry(topic.into())
                .or_insert_with(|| metrics::input_lag_records(self.stage, topic, number)),
        };
        gauge.set(gauge_value(records));
    }

    /// A transaction was opened.
    pub fn transaction_opened(&self) {
        self.health.transaction_opened();
    }

    /// The open transaction was committed; `took` is the time from sending the offsets to the answer.
    pub fn committed(&mut self, work: &CommittedWork<'_>, took: Duration) {
        self.health.transaction_closed();
        self.stats.committed(work.records, work.outcomes);
        self.commits.increment(1);
        self.commit_duration.record(took);
        self.decided.increment(work.records);
        self.dead_letters.increment(work.dead_letters);
        self.timers.increment(work.timers);
        self.output_bytes.increment(work.bytes);
        for ((stage, outcome), events) in work.outcomes {
            let counter =
                self.outcomes.entry(outcome).or_insert_with(|| metrics::decisions_total(stage, outcome));
            counter.increment(*events);
        }
    }

    /// The open transaction came to nothing.
    pub fn aborted(&mut self, reason: AbortReason) {
        self.health.transaction_closed();
        self.stats.aborted();
        if let Some(counter) = self.aborts.get(&reason) {
            counter.increment(1);
        }
    }

    /// How large a partition's store is; asking RocksDB costs a little, so do it per flush or every few seconds.
    pub fn stored(&self, number: u32, size_bytes: u64, unflushed_bytes: u64) {
        let Some(gauges) = self.partitions.get(&number) else { return };
        gauges.store_size.set(gauge_value(size_bytes));
        gauges.store_unflushed.set(gauge_value(unflushed_bytes));
    }

    /// The worker was told to end.
    pub fn stopping(&self) {
        self.health.stopping();
    }

    /// The worker ends with an error. Without this call, dropping the monitor says that it ended in good order.
    pub fn failed(&self, code: &'static str, message: impl Into<String>) {
        self.health.failed(code, message);
    }
}

/// What this process said about partitions that it owns no longer holds.
impl Drop for WorkerMonitor {
    fn drop(&mut self) {
        for gauges in self.partitions.values() {
            gauges.clear();
        }
        self.queued.set(0.0);
        self.paused.set(0.0);
    }
}
