//! Reading the embedded log outside any group.

use std::sync::Arc;
use std::time::Duration;

use super::cursor::{Budget, Cursor, check_position};
use super::shared::Shared;
use crate::consumer::PollLimit;
use crate::error::Error;
use crate::log::{ReadBatch, Reader};
use crate::record::{Record, TopicPartition};

/// Keeps the cursor of the last read, so that reading on does not read a chunk twice.
pub(super) struct EmbeddedReader {
    shared: Arc<Shared>,
    cursor: Option<Cursor>,
}

impl EmbeddedReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, cursor: None }
    }

    fn cursor_at(&mut self, partition: &TopicPartition, offset: u64) -> &mut Cursor {
        let continues = |cursor: &Cursor| cursor.partition() == partition && cursor.position() == offset;
        let kept = self.cursor.take_if(|cursor| continues(cursor));
        self.cursor.insert(kept.unwrap_or_else(|| Cursor::new(partition.clone(), offset)))
    }
}

impl Reader for EmbeddedReader {
    fn start_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error> {
        self.shared.index().end_offset(partition).map(|_| 0)
    }

    /// An open transaction of this log has no offsets yet: the committed end is the end.
    fn end_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error> {
        self.shared.index().end_offset(partition)
    }

    fn committed_end_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error> {
        self.end_offset(partition)
    }

    fn read(
        &mut self,
        partition: &TopicPartition,
        from_offset: u64,
        limit: PollLimit,
        timeout: Duration,
    ) -> Result<ReadBatch, Error> {
        let end = check_position(&self.shared.index(), partition, from_offset)?;
        if from_offset == end {
            let has_more = |end: Result<u64, Error>| end.is_ok_and(|end| end > from_offset);
            self.shared.wait_until(timeout, |index| has_more(index.end_offset(partition)));
        }
        let shared = Arc::clone(&self.shared);
        let cursor = self.cursor_at(partition, from_offset);
        let mut budget = Budget::new(limit);
        let mut records: Vec<Record> = Vec::new();
        while !budget.is_spent()
            && let Some(record) = cursor.next(&shared)?
        {
            budget.spend(&record);
            records.push(record);
        }
        // Nothing stands between records of this log.
        let next_offset = records.last().map_or(from_offset, |last| last.offset + 1);
        Ok(ReadBatch { records, next_offset })
    }
}
