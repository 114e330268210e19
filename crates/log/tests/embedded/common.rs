//! Short forms of what every test does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use settle_log::embedded::{EmbeddedOptions, SyncMode};
use settle_log::{
    Consumer, ConsumerOptions, EmbeddedLog, Log, Member, OutputRecord, PollLimit, Record, TopicName,
    TopicPartition, TransactionalProducer,
};

pub(crate) const NO_WAIT: Duration = Duration::ZERO;
/// Only reached when a test fails: what is waited for comes from another thread.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(60);
pub(crate) const NO_LIMIT: PollLimit = PollLimit { records: usize::MAX, bytes: usize::MAX };

pub(crate) fn fast() -> EmbeddedOptions {
    EmbeddedOptions { sync: SyncMode::Never, ..EmbeddedOptions::default() }
}

pub(crate) fn open(directory: &Path) -> EmbeddedLog {
    EmbeddedLog::open(directory, fast()).unwrap()
}

pub(crate) fn at(topic: &str, partition: u32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

pub(crate) fn send(producer: &mut dyn TransactionalProducer, topic: &str, partition: u32, value: &str) {
    let topic: TopicName = topic.into();
    producer
        .send(&OutputRecord {
            topic: &topic,
            partition,
            timestamp_ms: 1_700_000_000_000,
            key: Some(b"key"),
            value: Some(value.as_bytes()),
            headers: &[],
        })
        .unwrap();
}

/// Commits one transaction with these values.
pub(crate) fn commit_values(log: &EmbeddedLog, topic: &str, partition: u32, values: &[&str]) {
    let mut producer = log.producer("test").unwrap();
    producer.begin().unwrap();
    for value in values {
        send(producer.as_mut(), topic, partition, value);
    }
    producer.commit().unwrap();
}

pub(crate) fn text(record: &Record) -> String {
    String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap()
}

pub(crate) fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(text).collect()
}

/// All values of a partition, by a reader.
pub(crate) fn values(log: &EmbeddedLog, topic: &str, partition: u32) -> Vec<String> {
    let records = log.reader().unwrap().read(&at(topic, partition), 0, NO_LIMIT, NO_WAIT).unwrap().records;
    for (offset, record) in (0..).zip(&records) {
        assert_eq!(record.offset, offset, "offsets are dense");
    }
    texts(&records)
}

pub(crate) fn consumer_options(
    primary: &str,
    secondaries: &[&str],
    ordinal: u32,
    count: u32,
) -> ConsumerOptions {
    ConsumerOptions {
        group: "group".into(),
        primary: primary.into(),
        secondaries: secondaries.iter().map(|&name| name.into()).collect(),
        member: Member { ordinal, count },
        identity: format!("group-{ordinal}"),
        report_ends: true,
    }
}

/// The one member of a group, with its assignment taken and every partition at offset 0.
pub(crate) fn only_consumer(log: &EmbeddedLog, primary: &str, secondaries: &[&str]) -> Box<dyn Consumer> {
    let mut consumer = log.consumer(consumer_options(primary, secondaries, 0, 1)).unwrap();
    consumer.poll(NO_LIMIT, NO_WAIT).unwrap();
    for topic in log.topics().unwrap() {
        let subscribed = *topic.name == *primary || secondaries.contains(&&*topic.name);
        for partition in (0..topic.partitions).filter(|_| subscribed) {
            consumer.seek(&at(&topic.name, partition), 0).unwrap();
        }
    }
    consumer
}

/// Paths of the segments, in order.
pub(crate) fn segments(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    segments.sort();
    segments
}
