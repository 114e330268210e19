//! Whole runs of both stages over a log in trouble: commits that fail, commits of which it is not known whether they took
//! effect, before and after they did, and timers in bunches of any size. What is written in the end is what an undisturbed
//! run writes, byte for byte.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use settle_ingest::generate::{Generated, Traffic, TrafficOptions};
use settle_log::embedded::{EmbeddedOptions, SyncMode};
use settle_log::{
    CommitError, Committed, Consumer, ConsumerOptions, CreateOutcome, EmbeddedLog, Error, GroupMetadata, Log,
    OutputRecord, PollLimit, Reader, Record, TopicDescription, TopicName, TopicPartition, TopicSettings,
    TransactionalProducer, partition_for_key,
};
use settle_runtime::clock::SystemClock;
use settle_runtime::{Pipeline, PipelineOptions, RunMode, StageSelection, WorkerOptions};
use settle_store::{Resources, StoreOptions};
use settle_types::topic;

#[path = "whole_runs/restore_order.rs"]
mod restore_order;
#[path = "whole_runs/wrong_partitions.rs"]
mod wrong_partitions;

/// Partitions of every topic.
const PARTITIONS: u32 = 3;

/// What happens to every so-manieth commit.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    /// It is aborted.
    Aborted {
        every: u64,
    },
    /// Its outcome is not known, and it did not take effect.
    UnknownAndLost {
        every: u64,
    },
    /// Its outcome is not known, and it took effect.
    UnknownAndApplied {
        every: u64,
    },
    /// The disk is full: trying again does not help.
    DiskFull {
        every: u64,
    },
}

/// An embedded log with a producer in trouble.
struct TroubledLog {
    inner: EmbeddedLog,
    trouble: Trouble,
    commits: Arc<AtomicU64>,
    troubles: Arc<AtomicU64>,
}

struct TroubledProducer {
    inner: Box<dyn TransactionalProducer>,
    trouble: Trouble,
    commits: Arc<AtomicU64>,
    troubles: Arc<AtomicU64>,
}

fn io_error() -> Error {
    Error::Io { operation: "reach", path: "broker".into(), source: io::ErrorKind::TimedOut.into() }
}

impl Log for TroubledLog {
    fn describe(&self) -> String {
        self.inner.describe()
    }
    fn topics(&self) -> Result<Vec<TopicDescription>, Error> {
        self.inner.topics()
    }
    fn topic_settings(&self, names: &[&str]) -> Result<Vec<TopicSettings>, Error> {
        self.inner.topic_settings(names)
    }

    fn create_topic(&self, name: &str, partitions: u32) -> Result<CreateOutcome, Error> {
        self.inner.create_topic(name, partitions)
    }
    fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>, Error> {
        self.inner.consumer(options)
    }
    fn producer(&self, transactional_id: &str) -> Result<Box<dyn TransactionalProducer>, Error> {
        Ok(Box::new(TroubledProducer {
            inner: self.inner.producer(transactional_id)?,
            trouble: self.trouble,
            commits: Arc::clone(&self.commits),
            troubles: Arc::clone(&self.troubles),
        }))
    }
    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        self.inner.reader()
    }
}

impl TransactionalProducer for TroubledProducer {
    fn begin(&mut self) -> Result<(), Error> {
        self.inner.begin()
    }
    fn send(&mut self, record: &OutputRecord<'_>) -> Result<(), Error> {
        self.inner.send(record)
    }
    fn send_offsets(
        &mut self,
        group: &GroupMetadata,
        next_offsets: &[(TopicPartition, u64)],
    ) -> Result<(), Error> {
        self.inner.send_offsets(group, next_offsets)
    }
    fn commit(&mut self) -> Result<Committed, CommitError> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        let is_hit = |every: u64| number.is_multiple_of(every);
        let failed = match self.trouble {
            Trouble::Aborted { every } if is_hit(every) => {
                self.inner.abort().expect("an abort of the embedded log");
                CommitError::Aborted { reason: io_error() }
            }
            Trouble::UnknownAndLost { every } if is_hit(every) => {
                self.inner.abort().expect("an abort of the embedded log");
                CommitError::Unknown { reason: io_error() }
            }
            Trouble::UnknownAndApplied { every } if is_hit(every) => {
                self.inner.commit()?;
                CommitError::Unknown { reason: io_error() }
            }
            Trouble::DiskFull { every } if is_hit(every) => {
                self.inner.abort().expect("an abort of the embedded log");
                let source = io::ErrorKind::StorageFull.into();
                CommitError::Aborted { reason: Error::DiskFull { path: "log".into(), source } }
            }
            _ => return self.inner.commit(),
        };
        self.troubles.fetch_add(1, Ordering::Relaxed);
        Err(failed)
    }
    fn abort(&mut self) -> Result<(), Error> {
        self.inner.abort()
    }
}

type Topics = BTreeMap<TopicPartition, Vec<Record>>;

/// Runs two generated days through both stages; returns all topics and how often a commit failed.
fn run(directory: &Path, trouble: Trouble) -> (Result<(), settle_runtime::Error>, Topics, u64) {
    run_with(directory, trouble, 5)
}

/// As [`run`], with so many timers handled at a time.
fn run_with(
    directory: &Path,
    trouble: Trouble,
    tick_items: usize,
) -> (Result<(), settle_runtime::Error>, Topics, u64) {
    let inner = open_log(directory);
    if inner
        .reader()
        .and_then(|mut reader| reader.end_offset(&TopicPartition::new(topic::REQUESTED, 0)))
        .expect("an end")
        == 0
    {
        produce(&inner, 1_500);
    }
    let troubles = Arc::new(AtomicU64::new(0));
    let log = TroubledLog {
        inner: inner.clone(),
        trouble,
        commits: Arc::default(),
        troubles: Arc::clone(&troubles),
    };
    let mut config = settle_config::demo_config();
    // Reserves that fall free while the days between the two are skipped: a cut-off sets off the release of a
    // reserve that comes before other releases that wait already.
    for (merchant, contract) in &mut config.contracts.0 {
        contract.reserve_basis_points = settle_types::BasisPoints::new(1_000);
        contract.reserve_days = if merchant == "m-0008" { 2 } else { 1 };
    }
    let worker = WorkerOptions {
        state_directory: directory.join("state"),
        batch_records: 37,
        commit_records: 50,
        tick_items,
        ..WorkerOptions::default()
    };
    let options = one_worker(&config, StageSelection::All, worker);
    let resources = Resources::new(StoreOptions::default()).expect("valid options");
    let pipeline = Pipeline::new(Arc::new(log), resources, Arc::new(SystemClock), options);
    let outcome = pipeline.run(RunMode::UntilIdle { finish: true });
    (outcome, read_all(&inner), troubles.load(Ordering::Relaxed))
}

/// The log of a folder, with all topics.
fn open_log(directory: &Path) -> EmbeddedLog {
    let options = EmbeddedOptions { sync: SyncMode::Never, ..EmbeddedOptions::default() };
    let log = EmbeddedLog::open(directory.join("log"), options).expect("a log");
    for name in topic::ALL {
        log.create_topic(name, PARTITIONS).expect("a topic");
    }
    log
}

/// One worker for each of these stages.
fn one_worker(
    config: &settle_config::Config,
    stages: StageSelection,
    worker: WorkerOptions,
) -> PipelineOptions {
    PipelineOptions {
        topics: settle_runtime::TopicRequirements::default(),
        stages,
        workers: 1,
        worker,
        authorize: config.authorize_settings(),
        settle: config.settle_settings(),
    }
}

/// Two generated days of so many payments each.
fn produce(log: &EmbeddedLog, payments: u64) {
    let requested = TopicName::from(topic::REQUESTED);
    let mut producer = log.producer("test").expect("a producer");
    producer.begin().expect("a transaction");
    let mut value = Vec::new();
    let first = TrafficOptions { payments, seed: 11, ..TrafficOptions::default() };
    let three_days_later = first.start.saturating_add(settle_types::Duration::from_days(3));
    let second = TrafficOptions { seed: 12, start: three_days_later, ..first };
    for generated in Traffic::new(first).chain(Traffic::new(second)) {
        let (key, timestamp) = match &generated {
            Generated::Request(request) => {
                value.clear();
                settle_schema::encode(&**request, &mut value);
                (request.debtor_account.as_str().as_bytes().to_vec(), request.requested_at)
            }
            Generated::Malformed { key, bytes, timestamp } => {
                value.clone_from(bytes);
                (key.clone(), *timestamp)
            }
        };
        let record = OutputRecord {
            topic: &requested,
            partition: partition_for_key(&key, PARTITIONS),
            timestamp_ms: timestamp.as_millis(),
            key: Some(&key),
            value: Some(&value),
            headers: &[],
        };
        producer.send(&record).expect("room in the transaction");
    }
    producer.commit().expect("a commit");
}

fn read_all(log: &EmbeddedLog) -> Topics {
    let mut reader = log.reader().expect("a reader");
    let mut topics = Topics::new();
    for name in topic::ALL {
        for number in 0..PARTITIONS {
            let partition = TopicPartition::new(name, number);
            let end = reader.end_offset(&partition).expect("an end");
            let records = topics.entry(partition.clone()).or_default();
            while u64::try_from(records.len()).expect("few") < end {
                let from = u64::try_from(records.len()).expect("few");
                let limit = PollLimit { records: 10_000, bytes: 64 << 20 };
                records.extend(
                    reader.read(&partition, from, limit, Duration::ZERO).expect("committed records").records,
                );
            }
        }
    }
    topics
}

#[test]
fn trouble_with_commits_changes_nothing_that_is_written() {
    let undisturbed = tempfile::tempdir().expect("a folder");
    let (outcome, expected, _) = run(undisturbed.path(), Trouble::None);
    outcome.expect("an undisturbed run");
    assert!(
        expected[&TopicPartition::new(topic::LEDGER_TRANSACTIONS, 0)].len() > 100,
        "something was settled"
    );
    let troubles = [
        Trouble::Aborted { every: 3 },
        Trouble::UnknownAndLost { every: 4 },
        Trouble::UnknownAndApplied { every: 3 },
    ];
    for trouble in troubles {
        let directory = tempfile::tempdir().expect("a folder");
        let (outcome, found, hits) = run(directory.path(), trouble);
        outcome.unwrap_or_else(|error| panic!("{trouble:?}: {error}"));
        assert!(hits > 10, "{trouble:?} struck {hits} times only");
        for (partition, records) in &expected {
            assert_eq!(&found[partition], records, "{trouble:?}: {partition}");
        }
    }
}

#[test]
fn timers_run_in_order_of_time_however_many_are_fetched_at_once() {
    let directories = [1, 3, 256].map(|tick_items| (tick_items, tempfile::tempdir().expect("a folder")));
    let mut runs = directories.iter().map(|(tick_items, directory)| {
        let (outcome, topics, _) = run_with(directory.path(), Trouble::None, *tick_items);
        outcome.unwrap_or_else(|error| panic!("{tick_items} at a time: {error}"));
        (tick_items, topics)
    });
    let (_, expected) = runs.next().expect("three runs");
    let released: usize = expected
        .iter()
        .filter(|(partition, _)| &*partition.topic == topic::SETTLEMENT_EVENTS)
        .flat_map(|(_, records)| records)
        .filter(|record| {
            let value = record.value.as_deref().unwrap_or_default();
            let event: settle_types::settle::SettlementEvent =
                settle_schema::decode(value).expect("an event");
            event.reserve_released.is_some()
        })
        .count();
    assert!(released > 20, "only {released} reserves fell free");
    for (tick_items, topics) in runs {
        assert_eq!(topics, expected, "{tick_items} at a time");
    }
}

#[test]
fn a_full_disk_ends_the_run_and_the_next_one_goes_on() {
    let undisturbed = tempfile::tempdir().expect("a folder");
    let (outcome, expected, _) = run(undisturbed.path(), Trouble::None);
    outcome.expect("an undisturbed run");
    let directory = tempfile::tempdir().expect("a folder");
    let (outcome, _, hits) = run(directory.path(), Trouble::DiskFull { every: 9 });
    let error = outcome.expect_err("a full disk");
    assert_eq!(error.code(), "STL-0109", "{error}");
    assert_eq!(hits, 1, "a full disk is not tried again");
    let (outcome, found, _) = run(directory.path(), Trouble::None);
    outcome.expect("room again");
    assert_eq!(found, expected);
}

#[test]
fn a_commit_that_always_fails_ends_the_run_with_its_reason() {
    let directory = tempfile::tempdir().expect("a folder");
    let (outcome, _, hits) = run(directory.path(), Trouble::Aborted { every: 1 });
    let error = outcome.expect_err("no commit succeeds");
    assert_eq!(error.code(), "STL-0308", "{error}");
    assert_eq!(hits, u64::from(WorkerOptions::default().max_aborts));
}
