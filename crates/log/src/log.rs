//! The log as a whole: its topics, and the handles to read and write it.
//!
//! Owns the traits [`Log`] and [`Reader`]. Must not know which log it is.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::consumer::{Consumer, ConsumerOptions, PollLimit};
use crate::error::Error;
use crate::producer::TransactionalProducer;
use crate::record::{Record, TopicName, TopicPartition};

/// A topic and its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Name of the topic.
    pub name: TopicName,
    /// How many partitions it has. It never changes.
    pub partitions: u32,
}

/// What a client of the log's cluster counts, as of its last report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientStatistics {
    /// Brokers with an open connection.
    pub brokers_up: u64,
    /// Brokers that are known.
    pub brokers: u64,
    /// Failed sends and receives since the client was made.
    pub errors: u64,
    /// Requests that ran out of time since the client was made.
    pub request_timeouts: u64,
    /// Connections lost since the client was made.
    pub disconnects: u64,
    /// Bytes sent since the client was made.
    pub sent_bytes: u64,
    /// Bytes received since the client was made.
    pub received_bytes: u64,
    /// Records that wait to be sent or acknowledged.
    pub queued_records: u64,
    /// Highest 99th percentile of the time from request to answer among the brokers, in microseconds.
    pub round_trip_p99_us: u64,
}

/// How a topic is set up, as far as the log knows. What it does not know is `None`: it keeps everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// Name of the topic.
    pub name: TopicName,
    /// Its partitions.
    pub partitions: u32,
    /// Milliseconds for which records are kept; -1: forever.
    pub retention_ms: Option<i64>,
    /// Bytes of a partition above which old records are removed; -1: no bound.
    pub retention_bytes: Option<i64>,
    /// `delete`, `compact` or both.
    pub cleanup_policy: Option<String>,
    /// What tells this topic from another one that had its name; empty where the log has no such thing.
    pub identity: String,
    /// Whether this process may read it.
    pub may_read: bool,
    /// Whether this process may write it.
    pub may_write: bool,
}

/// What [`Log::create_topic`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateOutcome {
    /// The topic is new, and durable.
    Created,
    /// The topic was there already, with the same number of partitions.
    Exists,
}

/// A log. One handle serves all threads of a process; consumers, producers and readers belong to one
/// thread each.
pub trait Log: Send + Sync {
    /// Which log this is, for messages: "embedded log at data/log".
    fn describe(&self) -> String;

    /// All topics, sorted by name.
    fn topics(&self) -> Result<Vec<TopicDescription>, Error>;

    /// How the topics of these names are set up; those that are not there are left out.
    fn topic_settings(&self, names: &[&str]) -> Result<Vec<TopicSettings>, Error>;

    /// Creates a topic durably, or confirms that it exists with this number of partitions.
    ///
    /// # Errors
    /// [`Error::PartitionCountMismatch`] when it exists with another number; [`Error::InvalidArgument`]
    /// for a name or a count that no log accepts.
    fn create_topic(&self, name: &str, partitions: u32) -> Result<CreateOutcome, Error>;

    /// A member of a consumer group. Nothing is read before its first poll.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`]; [`Error::PartitionCountMismatch`] when a secondary topic has another
    /// number of partitions than the primary.
    fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>, Error>;

    /// A producer under `transactional_id`. When this returns, an older producer of the same id can
    /// commit nothing more, and what it left open is aborted.
    fn producer(&self, transactional_id: &str) -> Result<Box<dyn TransactionalProducer>, Error>;

    /// What the clients of this process count, by name; none where a log has no clients.
    fn client_statistics(&self) -> BTreeMap<String, ClientStatistics> {
        BTreeMap::new()
    }

    /// True if the log gives records of this topic the time of their arrival, whatever time their producer gave them; also
    /// where this cannot be found out.
    fn stamps_arrival(&self, _topic: &str) -> Result<bool, Error> {
        Ok(false)
    }

    /// The committed positions of a group, read from outside of it; those without one are absent. `None`: the log cannot
    /// tell, or not to this process.
    fn group_positions(
        &self,
        _group: &str,
        _partitions: &[TopicPartition],
    ) -> Result<Option<BTreeMap<TopicPartition, u64>>, Error> {
        Ok(None)
    }

    /// A reader outside any group: to restore, tail and inspect.
    fn reader(&self) -> Result<Box<dyn Reader>, Error>;
}

/// What one read brought.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ReadBatch {
    /// Committed records, in order.
    pub records: Vec<Record>,
    /// Where the next read goes on: after the last record, and after whatever stands behind it that no reader
    /// ever sees (markers of commits and aborts, aborted records).
    pub next_offset: u64,
}

/// Reads partitions by offset, outside any group.
pub trait Reader: Send {
    /// First offset that can be read; the end if there is none.
    fn start_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error>;

    /// The end, records of open transactions included: the ceiling that a restore has to reach.
    fn end_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error>;

    /// The end of what is committed: there an open transaction begins, or nothing follows.
    fn committed_end_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error>;

    /// Committed records at and after `from_offset`, in order. Returns at once when there are some,
    /// else waits up to `timeout`; no record means that none is committed there yet.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] when `from_offset` lies before the start or after the end.
    fn read(
        &mut self,
        partition: &TopicPartition,
        from_offset: u64,
        limit: PollLimit,
        timeout: Duration,
    ) -> Result<ReadBatch, Error>;

    /// Forgets a partition that is not read any further: what was read ahead of it is dropped. It may be read again.
    ///
    /// # Errors
    /// If the client cannot stop to fetch it.
    fn release(&mut self, _partition: &TopicPartition) -> Result<(), Error> {
        Ok(())
    }
}
