//! Reading partitions outside any group: to restore, to tail, to inspect.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::cluster::Cluster;
use super::fetcher::Fetcher;
use crate::consumer::PollLimit;
use crate::error::Error;
use crate::log::{ReadBatch, Reader};
use crate::record::{Record, TopicPartition};

/// Records fetched ahead of a partition that is not asked for, at most: then its fetching pauses.
const BUFFERED_RECORDS: usize = 10_000;

/// A reader on Kafka. Partitions that are read in turn are fetched side by side.
pub(super) struct KafkaReader {
    cluster: Arc<Cluster>,
    fetcher: Fetcher,
    buffers: BTreeMap<TopicPartition, Buffer>,
}

/// What was fetched of a partition and not asked for yet.
struct Buffer {
    records: VecDeque<Record>,
    /// From where the next read is expected.
    next_offset: u64,
    is_paused: bool,
}

impl KafkaReader {
    pub(super) fn new(cluster: Arc<Cluster>, fetcher: Fetcher) -> Self {
        Self { cluster, fetcher, buffers: BTreeMap::new() }
    }

    /// Starts to fetch a partition, unless it is fetched from there already.
    fn start(&mut self, partition: &TopicPartition, from_offset: u64) -> Result<(), Error> {
        if self.buffers.get(partition).is_some_and(|buffer| buffer.next_offset == from_offset) {
            return Ok(());
        }
        let (start, end) = self.cluster.bounds(partition)?;
        if from_offset < start || from_offset > end {
            return Err(Error::OffsetOutOfRange {
                partition: partition.clone(),
                offset: from_offset,
                start,
                end,
            });
        }
        self.fetcher.start(partition, from_offset)?;
        self.fetcher.resume(partition);
        let buffer = Buffer { records: VecDeque::new(), next_offset: from_offset, is_paused: false };
        self.buffers.insert(partition.clone(), buffer);
        Ok(())
    }

    fn fill(&mut self, limit: PollLimit, timeout: Duration) -> Result<(), Error> {
        for record in self.fetcher.poll(limit, timeout)? {
            let partition = record.topic_partition();
            if let Some(buffer) = self.buffers.get_mut(&partition) {
                buffer.records.push_back(record);
                if buffer.records.len() >= BUFFERED_RECORDS && !buffer.is_paused {
                    buffer.is_paused = true;
                    self.fetcher.pause(&partition);
                }
            }
        }
        Ok(())
    }
}

impl Reader for KafkaReader {
    fn start_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error> {
        Ok(self.cluster.bounds(partition)?.0)
    }

    fn end_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error> {
        Ok(self.cluster.bounds(partition)?.1)
    }

    fn committed_end_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error> {
        Ok(self.fetcher.bounds(partition)?.1)
    }

    fn read(
        &mut self,
        partition: &TopicPartition,
        from_offset: u64,
        limit: PollLimit,
        timeout: Duration,
    ) -> Result<ReadBatch, Error> {
        self.start(partition, from_offset)?;
        if self.buffers.get(partition).is_some_and(|buffer| buffer.records.is_empty()) {
            self.fill(limit, timeout)?;
        }
        let position = self.fetcher.position(partition);
        let Some(buffer) = self.buffers.get_mut(partition) else { return Ok(ReadBatch::default()) };
        let mut batch = ReadBatch { records: Vec::new(), next_offset: buffer.next_offset };
        let mut bytes = 0;
        while batch.records.len() < limit.records.max(1) && (bytes < limit.bytes || batch.records.is_empty())
        {
            let Some(record) = buffer.records.pop_front() else { break };
            bytes += record.payload_bytes();
            batch.next_offset = record.offset + 1;
            batch.records.push(record);
        }
        if buffer.records.is_empty() {
            // Behind the last record stand markers of commits and aborts, which no reader sees.
            batch.next_offset = batch.next_offset.max(position);
        }
        // Early enough for the next records to be here when the rest was read.
        if buffer.is_paused && buffer.records.len() <= BUFFERED_RECORDS / 2 {
            buffer.is_paused = false;
            self.fetcher.resume(partition);
        }
        buffer.next_offset = batch.next_offset;
        Ok(batch)
    }

    fn release(&mut self, partition: &TopicPartition) -> Result<(), Error> {
        self.buffers.remove(partition);
        self.fetcher.stop(std::slice::from_ref(partition))
    }
}
