//! The topics of an embedded log, read and written by an independent client.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use settle_log::embedded::{EmbeddedOptions, SyncMode};
use settle_log::{
    EmbeddedLog, Log, OutputRecord, PollLimit, Record, TopicName, TopicPartition, TransactionalProducer,
    partition_for_key,
};
use settle_schema::AvroRecord;
use settle_types::topic;

const READ_LIMIT: PollLimit = PollLimit { records: 10_000, bytes: 16 << 20 };

fn log_folder(data: &Path) -> std::path::PathBuf {
    data.join("log")
}

/// Everything that stood in a log when it was read. The log is not held: the binary can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    partitions: BTreeMap<TopicPartition, Vec<Record>>,
}

impl Topics {
    /// Reads the log below a data directory.
    pub fn read(data: &Path) -> Self {
        let log = EmbeddedLog::open_read_only(log_folder(data)).expect("the log can be read");
        let mut reader = log.reader().expect("the log has readers");
        let mut partitions = BTreeMap::new();
        for description in log.topics().expect("the log lists its topics") {
            for number in 0..description.partitions {
                let partition = TopicPartition::new(description.name.clone(), number);
                let end = reader.end_offset(&partition).expect("a partition has an end");
                let mut records: Vec<Record> = Vec::new();
                while let Some(from) = records.last().map_or(Some(0), |last| Some(last.offset + 1)) {
                    if from >= end {
                        break;
                    }
                    let read = reader.read(&partition, from, READ_LIMIT, Duration::ZERO);
                    records.extend(read.expect("committed records can be read").records);
                }
                partitions.insert(partition, records);
            }
        }
        Self { partitions }
    }

    /// As [`Self::read`]; `None` where there is no log.
    pub fn read_if_there(data: &Path) -> Option<Self> {
        log_folder(data).join("FORMAT").is_file().then(|| Self::read(data))
    }

    /// Writes a new log below a data directory: each partition has its records in their present order, with new offsets.
    pub fn write(&self, data: &Path) {
        let options = EmbeddedOptions { sync: SyncMode::Never, ..EmbeddedOptions::default() };
        let log = EmbeddedLog::open(log_folder(data), options).expect("a new log can be written");
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for partition in self.partitions.keys() {
            *counts.entry(&partition.topic).or_default() += 1;
        }
        for (name, count) in counts {
            log.create_topic(name, count).expect("the topics can be created");
        }
        let mut producer = log.producer("copy").expect("the log has producers");
        for (partition, records) in &self.partitions {
            for portion in records.chunks(5_000) {
                producer.begin().expect("a transaction can begin");
                for record in portion {
                    let written = producer.send(&OutputRecord {
                        topic: &partition.topic,
                        partition: partition.partition,
                        timestamp_ms: record.timestamp_ms,
                        key: record.key.as_deref(),
                        value: record.value.as_deref(),
                        headers: &record.headers,
                    });
                    written.expect("the record fits into the transaction");
                }
                producer.commit().expect("the transaction can be committed");
            }
        }
    }

    /// The records of a partition, to be tampered with.
    #[track_caller]
    pub fn partition_mut(&mut self, topic: &str, number: u32) -> &mut Vec<Record> {
        let partition = TopicPartition::new(topic, number);
        self.partitions.get_mut(&partition).unwrap_or_else(|| panic!("there is no {partition}"))
    }

    /// Each partition of a topic with its records.
    pub fn of<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = (u32, &'a [Record])> {
        let of_topic = self.partitions.iter().filter(move |(partition, _)| &*partition.topic == topic);
        of_topic.map(|(partition, records)| (partition.partition, records.as_slice()))
    }

    /// All records of a topic, partition by partition.
    pub fn records<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Record> {
        self.of(topic).flat_map(|(_, records)| records)
    }

    /// Number of records of a topic.
    pub fn count(&self, topic: &str) -> usize {
        self.of(topic).map(|(_, records)| records.len()).sum()
    }

    /// Number of records of each topic.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (partition, records) in &self.partitions {
            *counts.entry(partition.topic.to_string()).or_default() += records.len();
        }
        counts
    }

    /// All values of a topic, decoded.
    pub fn values<T: AvroRecord>(&self, topic: &str) -> Vec<T> {
        self.records(topic).map(value).collect()
    }

    /// Fails the test unless every record of every topic is the same: key, value, headers, time, offset.
    #[track_caller]
    pub fn assert_same(&self, other: &Self, what: &str) {
        let names = |topics: &Self| topics.partitions.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(other), "{what}: the topics differ");
        for partition in self.partitions.keys() {
            self.assert_same_partition(other, partition, what);
        }
    }

    /// Fails the test unless this partition is the same in both.
    #[track_caller]
    pub fn assert_same_partition(&self, other: &Self, partition: &TopicPartition, what: &str) {
        let (left, right) = (&self.partitions[partition], &other.partitions[partition]);
        for (expected, found) in left.iter().zip(right) {
            assert!(
                expected == found,
                "{what}: {partition}@{} differs\nexpected {}\nfound    {}",
                expected.offset,
                shown(expected),
                shown(found)
            );
        }
        assert_eq!(left.len(), right.len(), "{what}: {partition} has another length");
    }

    /// True if one partition of `other` begins with all of this one's records.
    pub fn is_prefix_of(&self, other: &Self) -> bool {
        self.partitions.iter().all(|(partition, records)| {
            other.partitions.get(partition).is_some_and(|longer| longer.starts_with(records))
        })
    }

    /// Fails the test if any record of any topic but `except` holds these bytes in key, value or header.
    #[track_caller]
    pub fn assert_nowhere(&self, bytes: &[u8], except: &str) {
        for record in
            self.partitions.iter().filter(|(name, _)| &*name.topic != except).flat_map(|(_, all)| all)
        {
            let parts = record.headers.iter().map(|header| header.value.as_ref());
            let parts = parts.chain(record.key.as_deref()).chain(record.value.as_deref());
            for part in parts {
                let is_there = part.windows(bytes.len()).any(|window| window == bytes);
                assert!(!is_there, "{} stands in {}", bytes.escape_ascii(), shown(record));
            }
        }
    }
}

/// The value of a record; fails the test if it does not decode.
#[track_caller]
pub fn value<T: AvroRecord>(record: &Record) -> T {
    settle_schema::decode(record.value.as_deref().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{}@{}: {error}", record.topic_partition(), record.offset))
}

/// The text of a header; empty if the record has none of this name.
pub fn header(record: &Record, name: &str) -> String {
    let found = record.headers.iter().find(|header| &*header.name == name);
    found.map(|header| String::from_utf8_lossy(&header.value).into_owned()).unwrap_or_default()
}

fn shown(record: &Record) -> String {
    let value = record.value.as_deref().unwrap_or_default();
    let value = settle_schema::to_json_string(value).unwrap_or_else(|_| value.escape_ascii().to_string());
    format!(
        "{}@{} at {} key {:?} headers {:?} value {value}",
        record.topic_partition(),
        record.offset,
        record.timestamp_ms,
        record.key,
        record.headers
    )
}

/// Writes records to an embedded log, as an upstream team would to Kafka. Holds the log until it is dropped.
pub struct Writer {
    producer: Box<dyn TransactionalProducer>,
    partitions: u32,
    next_offsets: BTreeMap<u32, u64>,
}

impl Writer {
    /// Opens the log below a data directory, and creates what is missing of it.
    pub fn open(data: &Path, partitions: u32) -> Self {
        let log =
            EmbeddedLog::open(log_folder(data), EmbeddedOptions::default()).expect("the log can be written");
        for name in topic::ALL {
            log.create_topic(name, partitions).expect("the topics can be created");
        }
        let mut reader = log.reader().expect("the log has readers");
        let next_offset = |number| reader.end_offset(&TopicPartition::new(topic::REQUESTED, number));
        let ends = (0..partitions).map(next_offset).collect::<Result<Vec<_>, _>>();
        let next_offsets = (0..).zip(ends.expect("every partition has an end")).collect();
        let mut producer = log.producer("upstream").expect("the log has producers");
        producer.begin().expect("a new producer can begin");
        Self { producer, partitions, next_offsets }
    }

    /// The partition that a key belongs to.
    pub fn partition_of(&self, key: &[u8]) -> u32 {
        partition_for_key(key, self.partitions)
    }

    /// Adds a record to `payments.requested`; returns its offset.
    pub fn send(
        &mut self,
        partition: u32,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> u64 {
        let topic = TopicName::from(topic::REQUESTED);
        let record = OutputRecord { topic: &topic, partition, timestamp_ms, key, value, headers: &[] };
        self.producer.send(&record).expect("the record fits into the transaction");
        let next_offset = self.next_offsets.entry(partition).or_default();
        *next_offset += 1;
        *next_offset - 1
    }

    /// Commits all of it.
    pub fn commit(mut self) {
        self.producer.commit().expect("the transaction can be committed");
    }
}
