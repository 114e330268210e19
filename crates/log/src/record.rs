//! What a log holds: records in partitions of topics.
//!
//! Owns the plain types that every implementation shares. Must not know files, brokers or the meaning
//! of a value.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// Name of a topic. Cloning it is cheap: every record carries one.
pub type TopicName = Arc<str>;

/// One partition of one topic. Sorts by topic, then by number; prints as `topic/3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// Number of the partition, from 0.
    pub partition: u32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<TopicName>, partition: u32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.topic, self.partition)
    }
}

/// A header of a record: names may repeat, their order is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Name, at most 65,535 bytes.
    pub name: Arc<str>,
    /// Value; empty is allowed.
    pub value: Bytes,
}

impl Header {
    /// A header of `name` and `value`.
    pub fn new(name: impl Into<Arc<str>>, value: impl Into<Bytes>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// A committed record as it was read. Its bytes are slices of the block that it was read in: a record
/// that is kept for long keeps that block (at most a few hundred KiB) in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The topic it was read from.
    pub topic: TopicName,
    /// The partition it was read from.
    pub partition: u32,
    /// Its own offset: the position after it is `offset + 1`.
    pub offset: u64,
    /// Milliseconds since 1970-01-01 UTC, as its producer gave them.
    pub timestamp_ms: i64,
    /// Key, if it has one.
    pub key: Option<Bytes>,
    /// Value; `None` is Kafka's null value (a tombstone).
    pub value: Option<Bytes>,
    /// Headers in the order in which they were written.
    pub headers: Vec<Header>,
}

impl Record {
    /// The partition it was read from.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition: self.partition }
    }

    /// Bytes of key, value and headers: what a [`PollLimit`](crate::PollLimit) counts.
    pub fn payload_bytes(&self) -> usize {
        let key_bytes = self.key.as_ref().map_or(0, Bytes::len);
        let value_bytes = self.value.as_ref().map_or(0, Bytes::len);
        let header_bytes: usize =
            self.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
        key_bytes + value_bytes + header_bytes
    }
}

/// A record to be written. It borrows everything, so that a caller can reuse its buffers.
#[derive(Debug, Clone, Copy)]
pub struct OutputRecord<'a> {
    /// The topic, which must exist.
    pub topic: &'a TopicName,
    /// The partition, chosen by the caller (see [`partition_for_key`](crate::partition_for_key)).
    pub partition: u32,
    /// Milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: i64,
    /// Key, if any.
    pub key: Option<&'a [u8]>,
    /// Value, if any.
    pub value: Option<&'a [u8]>,
    /// Headers, written in this order.
    pub headers: &'a [Header],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_prints_as_topic_and_number_and_sorts_by_number() {
        let second = TopicPartition::new("payments.requested", 2);
        let eleventh = TopicPartition::new("payments.requested", 11);
        assert_eq!(eleventh.to_string(), "payments.requested/11");
        assert!(second < eleventh);
        assert!(eleventh < TopicPartition::new("settlement.events", 0));
    }

    #[test]
    fn payload_bytes_count_key_value_and_headers() {
        let record = Record {
            topic: "t".into(),
            partition: 0,
            offset: 0,
            timestamp_ms: 0,
            key: Some(Bytes::from_static(b"ab")),
            value: None,
            headers: vec![Header::new("name", &b"value"[..])],
        };
        assert_eq!(record.payload_bytes(), 2 + 4 + 5);
    }
}
