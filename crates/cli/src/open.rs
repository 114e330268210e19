//! Opens what a command works on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use settle_config::{Config, SyncSetting};
use settle_log::embedded::{EmbeddedOptions, SyncMode};
use settle_log::{EmbeddedLog, KafkaLog, Log, PollLimit, Reader, Record, TopicPartition};
use settle_runtime::Snapshots;
use settle_runtime::clock::{SystemClock, monotonic_now};
use settle_store::{S3Options, SnapshotOptions, SnapshotRepository};
use settle_types::topic;

use crate::settings;

/// Opens the log for writing; an embedded one is created if it is not there.
pub(crate) fn log(config: &Config) -> anyhow::Result<Arc<dyn Log>> {
    if let Some(options) = settings::kafka_options(config)? {
        return Ok(Arc::new(KafkaLog::connect(options)?));
    }
    let directory = settings::embedded_directory(config)?.join("log");
    let sync = match config.embedded.sync {
        SyncSetting::Commit => SyncMode::Commit,
        SyncSetting::Never => SyncMode::Never,
    };
    let options = EmbeddedOptions {
        sync,
        segment_bytes: config.embedded.segment_bytes,
        max_transaction_bytes: config.embedded.max_transaction_bytes,
    };
    Ok(Arc::new(EmbeddedLog::open(directory, options)?))
}

/// Opens the log for writing, with its topics: those of an embedded log are made where they are missing, those of Kafka
/// by `settle topics create` alone.
pub(crate) fn log_with_topics(config: &Config) -> anyhow::Result<Arc<dyn Log>> {
    let log = log(config)?;
    if config.kafka.bootstrap_servers.is_none() {
        create_topics(&*log, config)?;
    }
    Ok(log)
}

/// Creates the topics that are not there; returns the names of those that it created.
pub(crate) fn create_topics(log: &dyn Log, config: &Config) -> anyhow::Result<Vec<&'static str>> {
    let existing: BTreeMap<_, _> =
        log.topics()?.into_iter().map(|topic| (topic.name, topic.partitions)).collect();
    let configured = match config.kafka.bootstrap_servers {
        Some(_) => config.kafka.partitions,
        None => config.embedded.partitions,
    };
    // The count of a log is permanent: a changed setting is for logs still to be made.
    let partitions = existing.get(topic::REQUESTED).copied().unwrap_or(configured);
    let mut created = Vec::new();
    for name in topic::ALL {
        if log.create_topic(name, partitions)? == settle_log::CreateOutcome::Created {
            created.push(name);
        }
    }
    Ok(created)
}

/// Opens the log for reading only.
pub(crate) fn log_read_only(config: &Config) -> anyhow::Result<Arc<dyn Log>> {
    if let Some(options) = settings::kafka_options(config)? {
        return Ok(Arc::new(KafkaLog::connect(options)?));
    }
    let directory = settings::embedded_directory(config)?.join("log");
    Ok(Arc::new(EmbeddedLog::open_read_only(directory)?))
}

/// Starts to make snapshots; none if no place for them is configured.
pub(crate) fn snapshots(config: &Config) -> anyhow::Result<Option<Snapshots>> {
    let settings = &config.snapshots;
    let Some(url) = &settings.url else { return Ok(None) };
    let application = &config.application;
    let options = SnapshotOptions {
        keep: settings.keep,
        grace: settle_types::Duration::from_seconds(settings.grace_seconds),
        s3: S3Options {
            endpoint: settings.endpoint.clone(),
            region: settings.region.clone(),
            allow_http: settings.allow_http,
            access_key_id: settings.access_key_id.clone(),
            secret_access_key: settings.secret_access_key.clone(),
            ..S3Options::default()
        },
        ..SnapshotOptions::new(&application.name)
    };
    let repository = SnapshotRepository::open(url, options)?;
    let interval = Duration::from_secs(settings.interval_seconds);
    // On the file system of the stores, for table files are linked there; a folder of this process alone.
    let scratch = settings::state_directory(config)?.join(format!("checkpoints-{}", application.instance));
    let started = Snapshots::start(repository, interval, scratch.clone(), Arc::new(SystemClock));
    Ok(Some(started.with_context(|| format!("the folder {} of checkpoints", scratch.display()))?))
}

/// How long nothing may come of what is there.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// How long one read waits. Behind the last record may stand markers of commits, of which none comes: only that the position
/// moves on tells of them.
const READ_WAIT: Duration = Duration::from_millis(20);
const READ_LIMIT: PollLimit = PollLimit { records: 1_000, bytes: 4 << 20 };

/// Reads a partition from an offset to its present end, record by record.
pub(crate) fn read_partition(
    reader: &mut dyn Reader,
    partition: &TopicPartition,
    from_offset: u64,
    mut each: impl FnMut(&Record) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let end = reader.committed_end_offset(partition)?;
    // What is older than the retention is gone.
    let mut next_offset = from_offset.max(reader.start_offset(partition)?);
    let mut moved_at = monotonic_now();
    while next_offset < end {
        let batch = reader.read(partition, next_offset, READ_LIMIT, READ_WAIT)?;
        if batch.next_offset > next_offset {
            moved_at = monotonic_now();
        } else if moved_at.elapsed() > READ_TIMEOUT {
            let what = format!("{partition} is committed up to {end}, but nothing came after {next_offset}");
            return Err(anyhow::anyhow!(what));
        }
        next_offset = batch.next_offset;
        for record in &batch.records {
            each(record)?;
        }
    }
    Ok(next_offset)
}

/// Reads all partitions of a topic, one after the other.
pub(crate) fn read_topic(
    log: &dyn Log,
    topic: &str,
    mut each: impl FnMut(&Record) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut reader = log.reader()?;
    for number in 0..partition_count(log, topic)? {
        read_partition(&mut *reader, &TopicPartition::new(topic, number), 0, &mut each)?;
    }
    Ok(())
}

/// Partitions of a topic.
pub(crate) fn partition_count(log: &dyn Log, topic: &str) -> anyhow::Result<u32> {
    let found = log.topics()?.into_iter().find(|candidate| &*candidate.name == topic);
    let found = found.ok_or_else(|| settle_log::Error::UnknownTopic { topic: topic.to_owned() })?;
    Ok(found.partitions)
}
