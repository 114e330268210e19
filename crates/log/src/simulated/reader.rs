//! Reading partitions outside any group.

use std::time::Duration;

use super::SimulatedLog;
use super::options::Step;
use crate::consumer::PollLimit;
use crate::error::Error;
use crate::log::{ReadBatch, Reader};
use crate::record::TopicPartition;

/// Records that one read brings at most, so that a restore takes several.
const MOST_RECORDS: u64 = 60;

pub(super) struct SimulatedReader {
    log: SimulatedLog,
}

impl SimulatedReader {
    pub(super) fn new(log: SimulatedLog) -> Self {
        Self { log }
    }
}

impl Reader for SimulatedReader {
    fn start_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error> {
        self.log.lock().partition(partition).map(|_| 0)
    }

    fn end_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error> {
        self.log.step(Step::LookUpEnd);
        let end = self.log.lock().partition(partition)?.end();
        tracing::debug!(handle = self.log.handle, %partition, end, "looks up the end");
        Ok(end)
    }

    fn committed_end_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error> {
        Ok(self.log.lock().partition(partition)?.stable_end())
    }

    fn read(
        &mut self,
        partition: &TopicPartition,
        from_offset: u64,
        limit: PollLimit,
        _timeout: Duration,
    ) -> Result<ReadBatch, Error> {
        self.log.step(Step::Read);
        let mut cluster = self.log.lock();
        let end = cluster.partition(partition)?.end();
        if from_offset > end {
            let partition = partition.clone();
            return Err(Error::OffsetOutOfRange { partition, offset: from_offset, start: 0, end });
        }
        let most = cluster.chance.between(1, MOST_RECORDS);
        let most = usize::try_from(most).unwrap_or(1).min(limit.records.max(1));
        let (records, next_offset) = cluster.read(partition, from_offset, most, false)?;
        tracing::debug!(handle = self.log.handle, %partition, from_offset, next_offset, "reads");
        Ok(ReadBatch { records, next_offset })
    }
}
