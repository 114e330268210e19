//! Reading one partition from an offset to the end that it had when reading began.

use std::collections::VecDeque;
use std::time::Duration;

use settle_log::{Log, PollLimit, Reader, Record, TopicPartition};

use crate::Error;

const LIMIT: PollLimit = PollLimit { records: 1_000, bytes: 4 << 20 };
const WAIT: Duration = Duration::from_millis(100);
/// Reads in a row that may bring nothing.
const PATIENCE: u32 = 300;

/// The committed records of a partition, in order, with a look ahead.
pub(crate) struct Stream {
    reader: Box<dyn Reader>,
    partition: TopicPartition,
    start: u64,
    next_offset: u64,
    end: u64,
    ahead: VecDeque<Record>,
}

impl Stream {
    /// From the start of what is kept to the present end.
    pub(crate) fn open(log: &dyn Log, partition: TopicPartition) -> Result<Self, Error> {
        let mut reader = log.reader()?;
        // First the end: what is removed meanwhile is not waited for.
        let end = reader.committed_end_offset(&partition)?;
        let start = reader.start_offset(&partition)?;
        Ok(Self { reader, partition, start, next_offset: start, end, ahead: VecDeque::new() })
    }

    /// First offset that is kept.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The end up to which it is read.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Takes what was committed meanwhile into account; true if there is more.
    pub(crate) fn extend(&mut self) -> Result<bool, Error> {
        let end = self.reader.committed_end_offset(&self.partition)?.max(self.end);
        let has_grown = end > self.end;
        self.end = end;
        Ok(has_grown)
    }

    /// Goes on at an offset; backwards only to one that was not handed out.
    pub(crate) fn skip_to(&mut self, offset: u64) {
        while self.ahead.front().is_some_and(|record| record.offset < offset) {
            self.ahead.pop_front();
        }
        if self.ahead.is_empty() {
            self.next_offset = self.next_offset.max(offset).min(self.end.max(self.next_offset));
        }
    }

    /// The record `distance` places ahead, without taking it.
    pub(crate) fn peek(&mut self, distance: usize) -> Result<Option<&Record>, Error> {
        let mut empty_reads = 0;
        while self.ahead.len() <= distance && self.next_offset < self.end {
            let batch = self.reader.read(&self.partition, self.next_offset, LIMIT, WAIT)?;
            // Behind the last record may stand markers of commits, of which none comes: only that the position moves
            // on tells of them.
            empty_reads = if batch.next_offset > self.next_offset { 0 } else { empty_reads + 1 };
            if empty_reads > PATIENCE {
                let (next_offset, end) = (self.next_offset, self.end);
                return Err(Error::Stalled { partition: self.partition.clone(), next_offset, end });
            }
            self.next_offset = batch.next_offset;
            let end = self.end;
            self.ahead.extend(batch.records.into_iter().filter(|record| record.offset < end));
        }
        Ok(self.ahead.get(distance))
    }

    /// The next record.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, Error> {
        self.peek(0)?;
        Ok(self.ahead.pop_front())
    }
}

/// The record at an offset, if there is one.
pub(crate) fn record_at(
    log: &dyn Log,
    partition: TopicPartition,
    offset: u64,
) -> Result<Option<Record>, Error> {
    let mut stream = Stream::open(log, partition)?;
    if offset < stream.start() || offset >= stream.end() {
        return Ok(None);
    }
    stream.skip_to(offset);
    Ok(stream.next()?.filter(|record| record.offset == offset))
}
