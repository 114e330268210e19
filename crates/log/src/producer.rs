//! Writing: transactions over records of any partitions and the positions of a group.
//!
//! Owns the trait [`TransactionalProducer`]. Must not know who consumes what it writes.

use std::collections::BTreeMap;

use crate::consumer::GroupMetadata;
use crate::error::{CommitError, Error};
use crate::record::{OutputRecord, TopicPartition};

/// A committed transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// For each partition written: the offset after its last record of this transaction.
    pub next_offsets: BTreeMap<TopicPartition, u64>,
}

/// A producer of transactions, one at a time. It belongs to one thread.
///
/// `begin`, then any number of `send` and `send_offsets`, then `commit` or `abort`. When the producer is
/// dropped, an open transaction is aborted.
pub trait TransactionalProducer: Send {
    /// Opens a transaction.
    ///
    /// # Errors
    /// [`Error::ProducerFenced`] and [`Error::Poisoned`] end this producer.
    fn begin(&mut self) -> Result<(), Error>;

    /// Adds a record. Buffering is bounded: this call blocks or fails rather than grow without limit.
    /// After an error the transaction is still open and does not hold the record: abort it.
    fn send(&mut self, record: &OutputRecord<'_>) -> Result<(), Error>;

    /// Adds the next offsets to read, for `group`. Within a transaction the last value of a partition
    /// counts. A transaction may carry positions alone.
    fn send_offsets(
        &mut self,
        group: &GroupMetadata,
        next_offsets: &[(TopicPartition, u64)],
    ) -> Result<(), Error>;

    /// Commits all of it, or nothing. Whatever the result, the transaction is over afterwards.
    ///
    /// # Errors
    /// See [`CommitError`]: each of its variants asks for another reaction.
    fn commit(&mut self) -> Result<Committed, CommitError>;

    /// Drops the open transaction; does nothing when there is none.
    fn abort(&mut self) -> Result<(), Error>;
}
