//! Reads topics of a Kafka cluster to their end, as a read-committed consumer sees them. Must not know what the
//! records mean.
//!
//! The end of a partition is its high watermark, which only a client that reads uncommitted is told: the
//! watermark and the end-of-partition event of a read-committed client stand at the last stable offset, before the
//! oldest open transaction. So (1) the ends are asked for, (2) the last stable offsets have to reach them, (3) every
//! partition is read to its end, (4) the ends are asked for again: only if none has moved
//! was everything read at one moment, and the topics fit to each other.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

/// How long a single request to a broker may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait before asking again whether open transactions have ended.
const STABLE_PAUSE: Duration = Duration::from_millis(50);
/// How long a poll waits for records.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// A committed record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its own offset. Control records and aborted ones leave gaps.
    pub offset: i64,
    /// Milliseconds since 1970; -1 if it has none.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Box<[u8]>>,
    /// Its value.
    pub value: Option<Box<[u8]>>,
    /// Names and values; a null value is empty.
    pub headers: Vec<(String, Box<[u8]>)>,
}

impl Record {
    /// The text of a header, if there is one of this name.
    pub fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }
}

/// What a partition held.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Partition {
    /// Its first offset: 0 unless records were deleted.
    pub start: i64,
    /// Its high watermark.
    pub end: i64,
    /// Its committed records, by offset.
    pub records: Vec<Record>,
}

/// A test that fails prints what it read: the records would hide why.
impl fmt::Debug for Partition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}..{} with {} records", self.start, self.end, self.records.len())
    }
}

/// What topics held at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// By topic and partition.
    pub topics: BTreeMap<String, BTreeMap<i32, Partition>>,
}

impl Read {
    /// True if the topic was among those that were read.
    pub fn has_topic(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// The partitions of a topic.
    pub fn partitions<'a>(&'a self, topic: &str) -> impl Iterator<Item = (i32, &'a Partition)> + use<'a> {
        self.topics.get(topic).into_iter().flatten().map(|(number, partition)| (*number, partition))
    }

    /// The records of a topic with their partitions, in order.
    pub fn records<'a>(&'a self, topic: &str) -> impl Iterator<Item = (i32, &'a Record)> + use<'a> {
        let of_partition = |(number, partition): (i32, &'a Partition)| {
            partition.records.iter().map(move |record| (number, record))
        };
        self.partitions(topic).flat_map(of_partition)
    }

    /// The record at an offset.
    pub fn find(&self, topic: &str, partition: i32, offset: i64) -> Option<&Record> {
        let records = &self.topics.get(topic)?.get(&partition)?.records;
        let index = records.binary_search_by_key(&offset, |record| record.offset).ok()?;
        records.get(index)
    }

    /// Number of records of a topic.
    pub fn count(&self, topic: &str) -> usize {
        self.partitions(topic).map(|(_, partition)| partition.records.len()).sum()
    }
}

/// Why topics could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A call failed.
    #[error("{what}: {source}")]
    Kafka {
        /// What was tried.
        what: String,
        /// What the client said.
        source: KafkaError,
    },
    /// The cluster has no such topic.
    #[error("topic {0} does not exist")]
    NoTopic(String),
    /// A transaction stayed open, so that what follows it cannot be read.
    #[error("{topic}-{partition}: a transaction is still open, stable up to {stable}, the end is {end}")]
    OpenTransaction {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// The last stable offset.
        stable: i64,
        /// The high watermark.
        end: i64,
    },
    /// The records did not come in time.
    #[error(
        "{topic}: partitions {partitions:?} were not read to their ends in time; last error: {last_error}"
    )]
    NotReached {
        /// Topic.
        topic: String,
        /// Partitions whose end was not reached.
        partitions: Vec<i32>,
        /// What the client said last, if anything.
        last_error: String,
    },
    /// Somebody went on writing, so that the topics do not fit to each other.
    #[error("{topic}-{partition} still grows: its end moved from {before} to {after}")]
    Moving {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// The end before the topics were read.
        before: i64,
        /// The end after it.
        after: i64,
    },
}

fn failed(what: impl Into<String>) -> impl FnOnce(KafkaError) -> ReadError {
    move |source| ReadError::Kafka { what: what.into(), source }
}

/// First and next offsets of partitions.
type Watermarks = BTreeMap<(String, i32), (i64, i64)>;

/// Reads topics, and later what has been added to them. `next_offsets` are the ends up to which all was read.
pub struct Reader {
    committed: BaseConsumer,
    uncommitted: BaseConsumer,
    topics: Vec<String>,
    read: Read,
    next_offsets: BTreeMap<(String, i32), i64>,
}

impl Reader {
    /// Connects. `properties` are what a client needs to get in (`security.protocol`, `ssl.ca.location`, ...).
    ///
    /// # Errors
    ///
    /// If a property is not known.
    pub fn open(
        bootstrap: &str,
        properties: &[(String, String)],
        topics: &[&str],
    ) -> Result<Self, ReadError> {
        let consumer = |isolation: &str| -> Result<BaseConsumer, ReadError> {
            let mut config = ClientConfig::new();
            config.extend(properties.iter().cloned());
            config
                .set("bootstrap.servers", bootstrap)
                // Required for assigning partitions; no group is joined, and no offset is committed.
                .set("group.id", "independent-audit")
                .set("enable.auto.commit", "false")
                .set("enable.auto.offset.store", "false")
                .set("enable.partition.eof", "true")
                .set("auto.offset.reset", "error")
                .set("check.crcs", "true")
                .set("fetch.wait.max.ms", "50")
                .set("isolation.level", isolation);
            config.create().map_err(failed("a consumer"))
        };
        Ok(Self {
            committed: consumer("read_committed")?,
            uncommitted: consumer("read_uncommitted")?,
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            read: Read::default(),
            next_offsets: BTreeMap::new(),
        })
    }

    /// Reads what has been added since the last call, from the beginning the first time, and returns all of it.
    ///
    /// # Errors
    ///
    /// If the ends are not reached within `timeout`: a transaction stays open, somebody goes on writing, or the
    /// brokers do not answer.
    pub fn read_to_end(&mut self, timeout: Duration) -> Result<&Read, ReadError> {
        let deadline = Deadline::after(timeout);
        let partitions = self.partitions(&deadline)?;
        loop {
            let ends = self.watermarks(&self.uncommitted, &partitions, &deadline)?;
            self.wait_until_stable(&ends, &deadline)?;
            self.read_up_to(&ends, &deadline)?;
            let ends_after = self.watermarks(&self.uncommitted, &partitions, &deadline)?;
            match moved(&ends, &ends_after) {
                None => return Ok(&self.read),
                Some(error) if deadline.is_over() => return Err(error),
                Some(_) => {}
            }
        }
    }

    /// What was read so far.
    pub fn into_read(self) -> Read {
        self.read
    }

    fn partitions(&self, deadline: &Deadline) -> Result<Vec<(String, i32)>, ReadError> {
        let mut partitions = Vec::new();
        for topic in &self.topics {
            let metadata = deadline.retry(
                || self.committed.fetch_metadata(Some(topic), REQUEST_TIMEOUT),
                || format!("metadata of {topic}"),
            )?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            let found = found.filter(|found| found.error().is_none() && !found.partitions().is_empty());
            let found = found.ok_or_else(|| ReadError::NoTopic(topic.clone()))?;
            partitions.extend(found.partitions().iter().map(|partition| (topic.clone(), partition.id())));
        }
        Ok(partitions)
    }

    fn watermarks(
        &self,
        consumer: &BaseConsumer,
        partitions: &[(String, i32)],
        deadline: &Deadline,
    ) -> Result<Watermarks, ReadError> {
        let mut watermarks = BTreeMap::new();
        for (topic, partition) in partitions {
            let found = deadline.retry(
                || consumer.fetch_watermarks(topic, *partition, REQUEST_TIMEOUT),
                || format!("watermarks of {topic}-{partition}"),
            )?;
            watermarks.insert((topic.clone(), *partition), found);
        }
        Ok(watermarks)
    }

    /// Until no transaction is open before the ends.
    fn wait_until_stable(&self, ends: &Watermarks, deadline: &Deadline) -> Result<(), ReadError> {
        for ((topic, partition), (_, end)) in ends {
            let place = [(topic.clone(), *partition)];
            loop {
                let found = self.watermarks(&self.committed, &place, deadline)?;
                let stable = found.into_values().map(|(_, stable)| stable).next().unwrap_or_default();
                if stable >= *end {
                    break;
                }
                if deadline.is_over() {
                    let (topic, partition, end) = (topic.clone(), *partition, *end);
                    return Err(ReadError::OpenTransaction { topic, partition, stable, end });
                }
                std::thread::sleep(STABLE_PAUSE);
            }
        }
        Ok(())
    }

    fn read_up_to(&mut self, ends: &Watermarks, deadline: &Deadline) -> Result<(), ReadError> {
        for topic in self.topics.clone() {
            let mut unread = BTreeMap::new();
            let mut assignment = TopicPartitionList::new();
            for ((of_topic, partition), (start, end)) in ends {
                if *of_topic != topic {
                    continue;
                }
                let content =
                    self.read.topics.entry(topic.clone()).or_default().entry(*partition).or_default();
                (content.start, content.end) = (*start, *end);
                let read_up_to = *self.next_offsets.entry((topic.clone(), *partition)).or_insert(*start);
                // An earlier call may have ended in an error, in the middle of the partition.
                let next = content.records.last().map_or(read_up_to, |last| read_up_to.max(last.offset + 1));
                if next < *end {
                    unread.insert(*partition, *end);
                    let added = assignment.add_partition_offset(&topic, *partition, Offset::Offset(next));
                    added.map_err(failed("a list of partitions"))?;
                }
            }
            if !unread.is_empty() {
                self.committed.assign(&assignment).map_err(failed(format!("assigning {topic}")))?;
                self.drain(&topic, unread, deadline)?;
            }
            for ((of_topic, partition), (_, end)) in ends.iter().filter(|((name, _), _)| *name == topic) {
                // Aborted and control records may stand between the last record and the end.
                self.next_offsets.insert((of_topic.clone(), *partition), *end);
            }
        }
        self.committed.assign(&TopicPartitionList::new()).map_err(failed("assigning nothing"))
    }

    /// Polls until each partition of the one assigned topic has come to its end: to the offset that was asked for,
    /// or to the event for the end, where control records or aborted ones stand before it.
    fn drain(
        &mut self,
        topic: &str,
        mut unread: BTreeMap<i32, i64>,
        deadline: &Deadline,
    ) -> Result<(), ReadError> {
        let mut last_error = "none".to_owned();
        let of_topic = self.read.topics.entry(topic.to_owned()).or_default();
        while !unread.is_empty() && !deadline.is_over() {
            match self.committed.poll(POLL_TIMEOUT) {
                None => {}
                Some(Ok(message)) => {
                    let partition = message.partition();
                    of_topic.entry(partition).or_default().records.push(record(&message));
                    if unread.get(&partition).is_some_and(|end| message.offset() + 1 >= *end) {
                        unread.remove(&partition);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    unread.remove(&partition);
                }
                Some(Err(error)) if is_final(&error) => {
                    return Err(ReadError::Kafka { what: format!("reading {topic}"), source: error });
                }
                // A broker that goes away comes back, or the deadline ends the wait.
                Some(Err(error)) => last_error = error.to_string(),
            }
        }
        if unread.is_empty() {
            return Ok(());
        }
        let partitions = unread.into_keys().collect();
        Err(ReadError::NotReached { topic: topic.to_owned(), partitions, last_error })
    }
}

/// The first partition whose watermarks are others than before.
fn moved(before: &Watermarks, after: &Watermarks) -> Option<ReadError> {
    let found = before.iter().find(|(partition, watermarks)| after.get(*partition) != Some(*watermarks));
    let ((topic, partition), (_, end)) = found?;
    let end_after = after.get(&(topic.clone(), *partition)).map_or(*end, |(_, end)| *end);
    Some(ReadError::Moving { topic: topic.clone(), partition: *partition, before: *end, after: end_after })
}

fn is_final(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::BadMessage
                | RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::TopicAuthorizationFailed
        )
    )
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let header = |header: rdkafka::message::Header<'_, &[u8]>| {
        (header.key.to_owned(), header.value.unwrap_or_default().into())
    };
    Record {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(Into::into),
        value: message.payload().map(Into::into),
        headers: headers.map(header).collect(),
    }
}

/// When to give up.
struct Deadline(Instant);

impl Deadline {
    fn after(timeout: Duration) -> Self {
        Self(monotonic_now() + timeout)
    }

    fn is_over(&self) -> bool {
        monotonic_now() >= self.0
    }

    /// Tries until it works or time is over: a broker that was just started does not answer at once.
    fn retry<T>(
        &self,
        mut call: impl FnMut() -> Result<T, KafkaError>,
        what: impl FnOnce() -> String,
    ) -> Result<T, ReadError> {
        loop {
            match call() {
                Ok(found) => return Ok(found),
                Err(source) if self.is_over() => return Err(ReadError::Kafka { what: what(), source }),
                Err(_) => std::thread::sleep(STABLE_PAUSE),
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "bounds the waits of a test; nothing is decided by it")]
fn monotonic_now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watermarks(ends: [i64; 2]) -> Watermarks {
        (0..).zip(ends).map(|(partition, end)| (("t".to_owned(), partition), (0, end))).collect()
    }

    #[test]
    fn only_topics_whose_ends_stayed_were_read_at_one_moment() {
        assert!(moved(&watermarks([5, 7]), &watermarks([5, 7])).is_none());
        let error = moved(&watermarks([5, 7]), &watermarks([5, 9])).expect("partition 1 has moved");
        assert_eq!(error.to_string(), "t-1 still grows: its end moved from 7 to 9");
        let mut shortened = watermarks([5, 7]);
        shortened.insert(("t".to_owned(), 0), (2, 5));
        assert!(moved(&watermarks([5, 7]), &shortened).is_some(), "records were deleted");
    }

    #[test]
    fn what_was_read_is_printed_as_counts() {
        let mut read = Read::default();
        let records = vec![Record::default(); 1_000];
        read.topics.entry("t".to_owned()).or_default().insert(0, Partition { start: 0, end: 1_001, records });
        assert_eq!(format!("{read:?}"), r#"Read { topics: {"t": {0: 0..1001 with 1000 records}} }"#);
    }
}
