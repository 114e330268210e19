//! Reading one partition from an offset to the end that it had when reading began.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use settle_log::{Log, PollLimit, Reader, Record, TopicPartition};

use crate::Error;

const LIMIT: PollLimit = PollLimit { records: 1_000, bytes: 4 << 20 };
const WAIT: Duration = Duration::from_millis(100);
/// Reads in a row that may bring nothing.
const PATIENCE: u32 = 300;
/// Records that are counted one by one: behind them may stand markers of commits.
const COUNTED_MOST: u64 = 10_000;

/// Readers that are used again: each is a client of its own where the log is a cluster.
#[derive(Clone)]
pub(crate) struct Readers<'a> {
    log: &'a dyn Log,
    idle: Rc<RefCell<Vec<Box<dyn Reader>>>>,
}

impl<'a> Readers<'a> {
    pub(crate) fn new(log: &'a dyn Log) -> Self {
        Self { log, idle: Rc::default() }
    }

    fn take(&self) -> Result<Box<dyn Reader>, Error> {
        let idle = self.idle.borrow_mut().pop();
        idle.map_or_else(|| self.log.reader().map_err(Error::from), Ok)
    }

    fn give_back(&self, reader: Box<dyn Reader>) {
        self.idle.borrow_mut().push(reader);
    }

    /// First offset that is kept of a partition, and its committed end.
    pub(crate) fn bounds(&self, partition: &TopicPartition) -> Result<(u64, u64), Error> {
        let mut reader = self.take()?;
        let bounds = (reader.start_offset(partition)?, reader.committed_end_offset(partition)?);
        self.give_back(reader);
        Ok(bounds)
    }

    /// The record at an offset, if there is one.
    pub(crate) fn record_at(&self, partition: TopicPartition, offset: u64) -> Result<Option<Record>, Error> {
        let mut stream = Stream::open(self, partition)?;
        stream.skip_to(offset);
        let record = match offset >= stream.start() && offset < stream.end() {
            true => stream.next()?.filter(|record| record.offset == offset),
            false => None,
        };
        stream.close()?;
        Ok(record)
    }
}

/// The committed records of a partition, in order, with a look ahead.
pub(crate) struct Stream<'a> {
    reader: Box<dyn Reader>,
    readers: Readers<'a>,
    partition: TopicPartition,
    start: u64,
    next_offset: u64,
    end: u64,
    ahead: VecDeque<Record>,
}

impl<'a> Stream<'a> {
    /// From the start of what is kept to the present end.
    pub(crate) fn open(readers: &Readers<'a>, partition: TopicPartition) -> Result<Self, Error> {
        let mut reader = readers.take()?;
        // First the end: what is removed meanwhile is not waited for.
        let end = reader.committed_end_offset(&partition)?;
        let start = reader.start_offset(&partition)?;
        let readers = readers.clone();
        Ok(Self { reader, readers, partition, start, next_offset: start, end, ahead: VecDeque::new() })
    }

    /// Gives the reader back. One that is dropped instead is not used again.
    pub(crate) fn close(mut self) -> Result<(), Error> {
        self.reader.release(&self.partition)?;
        self.readers.give_back(self.reader);
        Ok(())
    }

    /// Number of records from an offset on: exact if they are few, otherwise by their offsets.
    pub(crate) fn count_from(&mut self, offset: u64) -> Result<u64, Error> {
        self.skip_to(offset);
        let mut count = 0;
        while let Some(record) = self.next()? {
            count += 1;
            if count == COUNTED_MOST {
                return Ok(count + (self.end - record.offset - 1));
            }
        }
        Ok(count)
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
