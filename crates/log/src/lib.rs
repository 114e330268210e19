//! The log: topics of partitions of records, written in atomic transactions and read by offset.
//!
//! Owns the traits that the worker loop is written against ([`Log`], [`Consumer`],
//! [`TransactionalProducer`], [`Reader`]), the errors they return, and the implementations:
//!
//! - [`embedded`]: a directory on disk, in the process. Nothing to install.
//! - [`kafka`]: an Apache Kafka cluster.
//! - [`simulated`]: a cluster in memory that one seed drives, with faults.
//!
//! Must not know what a record means: keys, values and headers are bytes here. Schemas, payments and
//! stages live above.
//!
//! Conventions that hold for every implementation:
//!
//! - An offset is always the *next* one: a position, a committed offset and an end all name the offset
//!   that is read or written next.
//! - Readers see committed records only, and a transaction wholly or not at all.
//! - No call chooses a position for its caller: a partition delivers nothing before a `seek`.

pub mod embedded;
pub mod kafka;
pub mod simulated;

mod consumer;
mod error;
mod log;
mod partitioner;
mod producer;
mod record;

pub use crate::consumer::{
    AssignmentChange, Consumer, ConsumerOptions, GroupMetadata, Member, Poll, PollLimit,
};
pub use crate::embedded::EmbeddedLog;
pub use crate::error::{CommitError, Error, LockHolder};
pub use crate::kafka::{KafkaLog, KafkaOptions};
pub use crate::log::{
    ClientStatistics, CreateOutcome, Log, ReadBatch, Reader, TopicDescription, TopicSettings,
};
pub use crate::partitioner::{murmur2, partition_for_key};
pub use crate::producer::{Committed, TransactionalProducer};
pub use crate::record::{Header, OutputRecord, Record, TopicName, TopicPartition};
