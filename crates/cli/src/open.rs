//! Opens what a command works on.

use std::collections::BTreeMap;
use std::sync::Arc;

use settle_config::{Config, SyncSetting};
use settle_log::embedded::{EmbeddedOptions, SyncMode};
use settle_log::{EmbeddedLog, Log, PollLimit, Reader, Record, TopicPartition};
use settle_types::topic;

use crate::settings;

/// Opens the log for writing, creates it and its topics if they are not there.
pub(crate) fn log(config: &Config) -> anyhow::Result<Arc<dyn Log>> {
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

/// Creates the topics that are not there; returns the names of those that it created.
pub(crate) fn create_topics(log: &dyn Log, config: &Config) -> anyhow::Result<Vec<&'static str>> {
    let existing: BTreeMap<_, _> =
        log.topics()?.into_iter().map(|topic| (topic.name, topic.partitions)).collect();
    // The count of a log is permanent: a changed setting is for logs still to be made.
    let partitions = existing.get(topic::REQUESTED).copied().unwrap_or(config.embedded.partitions);
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
    let directory = settings::embedded_directory(config)?.join("log");
    Ok(Arc::new(EmbeddedLog::open_read_only(directory)?))
}

const READ_LIMIT: PollLimit = PollLimit { records: 1_000, bytes: 4 << 20 };

/// Reads a partition from an offset to its present end, record by record.
pub(crate) fn read_partition(
    reader: &mut dyn Reader,
    partition: &TopicPartition,
    from_offset: u64,
    mut each: impl FnMut(&Record) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let end = reader.end_offset(partition)?;
    let mut next_offset = from_offset;
    while next_offset < end {
        let records = reader.read(partition, next_offset, READ_LIMIT, std::time::Duration::ZERO)?;
        let Some(last) = records.last() else { break };
        next_offset = last.offset + 1;
        for record in &records {
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
