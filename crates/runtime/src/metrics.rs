//! The one catalogue of metrics: every name, type, unit, label and meaning, and a function that gives the handle.
//!
//! docs/metrics.md is made from it, and clippy.toml bans the macros of the crate `metrics`, so that a metric which
//! is not in this table cannot be written. Owns names and meanings. Must not know when a value changes: that is
//! the monitor's, and each caller's.
//!
//! Handles are cheap to use and dear to get: get them when a worker, a partition or a client begins, and keep
//! them. A handle belongs to the recorder that was installed when it was made; without one it does nothing.

mod client;
mod definition;
mod reference;

pub use client::Clients;
pub(crate) use definition::gauge_value;
pub use definition::{Kind, Metric, Section, Unit};
use definition::{catalogue, handle};
pub use reference::reference_markdown;

catalogue! {
    section "Input" {
        /// Committed input records that the state does not contain yet. 0 in a process that does not own the
        /// partition: take the maximum over processes.
        input_lag_records: Gauge of Count (stage: &str, topic: &str, partition: u32);
        /// Input records that were polled, those included that had been decided before.
        input_records_total: Counter of Count (stage: &str, topic: &str);
        /// Bytes of keys and values of the input records that were polled.
        input_bytes_total: Counter of Bytes (stage: &str, topic: &str);
        /// Polled records that were dropped because the state contains them already.
        input_skipped_records_total: Counter of Count (stage: &str);
        /// Records that were polled ahead and wait for their decision.
        queue_records: Gauge of Count (stage: &str, worker: u32);
        /// Input partitions that are paused because their queue is full.
        queue_paused_partitions: Gauge of Count (stage: &str, worker: u32);
    }
    section "Decisions" {
        /// Committed journal events by outcome: that of a decision (`APPROVED`, `DECLINED`, ...), or what else the
        /// event is (`TRANSITION`, `BATCH_CLOSED`, `RESERVE_RELEASED`, `CONFIG`).
        decisions_total: Counter of Count (stage: &str, outcome: &str);
        /// Input records whose decision was committed.
        decided_records_total: Counter of Count (stage: &str);
        /// Committed copies in `payments.dead-letter`.
        dead_letters_total: Counter of Count (stage: &str);
        /// Due items (timers) that were handled in committed transactions.
        timers_fired_total: Counter of Count (stage: &str);
    }
    section "Transactions" {
        /// Transactions that were committed.
        commits_total: Counter of Count (stage: &str);
        /// Transactions that came to nothing, by reason: `rebalance` (partitions were revoked or lost), `not_joined`,
        /// `refused` (by the log), `unknown` (nobody knows whether it was committed: the journal says it).
        aborts_total: Counter of Count (stage: &str, reason: &str);
        /// Time from sending the offsets to the log's answer.
        commit_duration_seconds: Histogram of Seconds (stage: &str);
        /// Bytes of keys and values that committed transactions wrote.
        output_bytes_total: Counter of Bytes (stage: &str);
        /// Age of the worker's open transaction; 0 if none is open.
        transaction_open_age_seconds: Gauge of Seconds (stage: &str, worker: u32);
    }
    section "Workers and partitions" {
        /// Time since the worker began its present step; 0 while it rests between turns of `--until-idle`. A worker
        /// that is stuck in a call shows here.
        worker_heartbeat_age_seconds: Gauge of Seconds (stage: &str, worker: u32);
        /// 1 if the worker has joined its group and restored all that it owns; what `/readyz` says of it.
        worker_ready: Gauge of Truth (stage: &str, worker: u32);
        /// Partitions that the worker owns, those included that are being restored.
        assigned_partitions: Gauge of Count (stage: &str, worker: u32);
        /// Changes of the worker's assignment by kind: `assigned`, `revoked`, `lost`.
        rebalances_total: Counter of Count (stage: &str, kind: &str);
    }
    section "Restore" {
        /// Owned partitions that are being restored; they decide nothing until they are.
        restoring_partitions: Gauge of Count (stage: &str, worker: u32);
        /// Journal records that are still to be read to restore the partition; 0 if it is not being restored.
        restore_remaining_events: Gauge of Count (stage: &str, partition: u32);
        /// Journal events that were folded while restoring.
        restore_events_total: Counter of Count (stage: &str);
        /// Time from the assignment of a partition, or from an abort, until it is restored.
        restore_duration_seconds: Histogram of Seconds (stage: &str);
    }
    section "Stores" {
        /// Size of the table files of the partition's store; 0 in a process that does not own it.
        store_size_bytes: Gauge of Bytes (stage: &str, partition: u32);
        /// What the partition's store holds in memory only: it is replayed from the journal after a crash.
        store_unflushed_bytes: Gauge of Bytes (stage: &str, partition: u32);
        /// Memory of the block cache that all stores of the process share.
        store_block_cache_bytes: Gauge of Bytes ();
        /// Memory of the memtables of all stores of the process.
        store_memtable_bytes: Gauge of Bytes ();
    }
    section "Snapshots and standby" {
        /// When the newest snapshot of the partition was completed, also if another process made it; 0 if there is
        /// none, or if the process does not own the partition.
        snapshot_completed_timestamp_seconds: Gauge of Timestamp (stage: &str, partition: u32);
        /// Snapshots that were completed.
        snapshots_total: Counter of Count (stage: &str);
        /// Snapshots that failed; the next attempt begins anew.
        snapshot_failures_total: Counter of Count (stage: &str);
        /// Files that were uploaded for snapshots.
        snapshot_uploads_total: Counter of Count (stage: &str);
        /// Bytes that were uploaded for snapshots.
        snapshot_uploaded_bytes_total: Counter of Bytes (stage: &str);
        /// Time from the checkpoint of a store until its manifest is written.
        snapshot_duration_seconds: Histogram of Seconds (stage: &str);
        /// Committed journal records that the standby copy of the partition does not contain yet.
        standby_lag_records: Gauge of Count (stage: &str, partition: u32);
    }
    section "Schema registry" {
        /// Requests to the schema registry.
        schema_registry_requests_total: Counter of Count ();
        /// Requests to the schema registry that got no usable answer.
        schema_registry_failures_total: Counter of Count ();
        /// Schemas that records name and that are not known yet; those records wait.
        schema_registry_pending_schemas: Gauge of Count ();
    }
    section "Kafka clients" {
        /// Brokers that the client knows, bootstrap addresses not counted.
        kafka_brokers: Gauge of Count (client: &str);
        /// Brokers that the client is connected to. It connects to those only that it needs.
        kafka_brokers_up: Gauge of Count (client: &str);
        /// Requests that could not be sent, and answers that could not be received.
        kafka_errors_total: Counter of Count (client: &str);
        /// Requests that got no answer in time.
        kafka_request_timeouts_total: Counter of Count (client: &str);
        /// Connections that were lost.
        kafka_disconnects_total: Counter of Count (client: &str);
        /// Bytes that the client sent.
        kafka_sent_bytes_total: Counter of Bytes (client: &str);
        /// Bytes that the client received.
        kafka_received_bytes_total: Counter of Bytes (client: &str);
        /// Records that wait to be sent or acknowledged.
        kafka_queued_records: Gauge of Count (client: &str);
        /// 99th percentile of the time from request to answer in the last interval; of the slowest broker.
        kafka_request_latency_p99_seconds: Gauge of Seconds (client: &str);
    }
    section "Process" {
        /// Always 1; the label has the version of the program.
        build_info: Gauge of Truth (version: &str);
        /// When the process started.
        process_start_time_seconds: Gauge of Timestamp ();
    }
}

/// Bounds of the buckets for what should take milliseconds.
const SHORT_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds of the buckets for what may take minutes.
const LONG_SECONDS: &[f64] =
    &[0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];

/// Every metric of the program.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    SECTIONS.iter().flat_map(|section| section.metrics)
}

/// Upper bounds of a histogram's buckets, in its unit.
pub fn buckets(histogram: &Metric) -> &'static [f64] {
    if histogram.name == "settle_commit_duration_seconds" { SHORT_SECONDS } else { LONG_SECONDS }
}

/// Tells a recorder what the metrics mean.
pub fn describe(recorder: &dyn ::metrics::Recorder) {
    for metric in all() {
        metric.describe(recorder);
    }
}

/// Sets what never changes while the process runs. Call it once, when the recorder is installed.
pub fn record_process(version: &str, started_at: settle_types::Timestamp) {
    build_info(version).set(1.0);
    let seconds = u64::try_from(started_at.as_millis()).unwrap_or_default() / 1_000;
    process_start_time_seconds().set(gauge_value(seconds));
}

/// Sets what all stores of the process use. Cheap: call it before the metrics are rendered.
pub fn record_memory(used: settle_store::MemoryUse) {
    let value = |bytes: usize| gauge_value(u64::try_from(bytes).unwrap_or(u64::MAX));
    store_block_cache_bytes().set(value(used.block_cache_bytes));
    store_memtable_bytes().set(value(used.write_buffer_bytes));
}

/// Sets how the client of the schema registry does. Cheap: call it before the metrics are rendered.
pub fn record_registry(status: &settle_schema::RegistryStatus) {
    schema_registry_requests_total().absolute(status.requests);
    schema_registry_failures_total().absolute(status.failures);
    let pending = u64::try_from(status.pending_ids).unwrap_or(u64::MAX);
    schema_registry_pending_schemas().set(gauge_value(pending));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_end_in_their_unit() {
        let mut names = BTreeSet::new();
        for metric in all() {
            let name = metric.name;
            assert!(names.insert(name), "{name} is there twice");
            assert!(name.starts_with("settle_"), "{name}");
            assert!(
                name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
            );
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            let stem = name.trim_end_matches("_total");
            assert_eq!(metric.unit == Unit::Bytes, stem.ends_with("_bytes"), "{name}");
            let is_time = matches!(metric.unit, Unit::Seconds | Unit::Timestamp);
            assert_eq!(is_time, stem.ends_with("_seconds"), "{name}");
            // Prometheus makes these of a histogram's name.
            assert!(!["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)), "{name}");
        }
        assert!(names.len() > 40, "the catalogue was not found");
    }

    #[test]
    fn every_metric_says_what_it_means_in_one_line() {
        for metric in all() {
            let help = metric.help();
            assert!(
                help.ends_with('.') && !help.contains('\n') && !help.contains("  "),
                "{}: {help:?}",
                metric.name
            );
        }
    }

    #[test]
    fn buckets_go_up() {
        for metric in all().filter(|metric| metric.kind == Kind::Histogram) {
            let bounds = buckets(metric);
            assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{}", metric.name);
        }
    }
}
