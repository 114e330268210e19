//! A position in one partition, with the chunk that it points into.
//!
//! Owns the walk from record to record and from chunk to chunk. Holds one chunk at most.

use bytes::Bytes;

use super::codec::DecodeFault;
use super::frame::CHUNK_CHECKSUM_BYTES;
use super::index::{ChunkEntry, Index};
use super::record_codec;
use super::shared::Shared;
use crate::consumer::PollLimit;
use crate::error::Error;
use crate::record::{Record, TopicPartition};

pub(super) struct Cursor {
    partition: TopicPartition,
    /// Offset of the record that is read next.
    position: u64,
    chunk: Option<LoadedChunk>,
}

struct LoadedChunk {
    entry: ChunkEntry,
    records: Bytes,
    /// Where the record at the cursor's position starts.
    at: usize,
}

/// What is left of a limit while records are being collected.
pub(super) struct Budget {
    records: usize,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(limit: PollLimit) -> Self {
        Self { records: limit.records.max(1), bytes: limit.bytes.max(1) }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.records == 0 || self.bytes == 0
    }

    pub(super) fn spend(&mut self, record: &Record) {
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(record.payload_bytes());
    }
}

/// The end of `partition`, if `offset` is a position in it.
pub(super) fn check_position(index: &Index, partition: &TopicPartition, offset: u64) -> Result<u64, Error> {
    let end = index.end_offset(partition)?;
    if offset > end {
        return Err(Error::OffsetOutOfRange { partition: partition.clone(), offset, start: 0, end });
    }
    Ok(end)
}

impl Cursor {
    pub(super) fn new(partition: TopicPartition, position: u64) -> Self {
        Self { partition, position, chunk: None }
    }

    pub(super) fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next record; `None` at the end. After an error the position is unchanged.
    pub(super) fn next(&mut self, shared: &Shared) -> Result<Option<Record>, Error> {
        if self.chunk.is_none() {
            let entry = shared.index().chunk_at(&self.partition, self.position)?;
            let Some(entry) = entry else {
                return Ok(None);
            };
            self.chunk = Some(load(shared, entry, self.position)?);
        }
        let chunk = self.chunk.as_mut().expect("loaded above");
        let decoded = record_codec::decode(&chunk.records, chunk.at, &self.partition, self.position);
        let (record, next_at) = decoded.map_err(|fault| corrupt(shared, &chunk.entry, fault))?;
        let next_position = self.position + 1;
        let is_last = next_position == chunk.entry.end_offset();
        if is_last != (next_at == chunk.records.len()) {
            let what = format!("a chunk does not hold the {} records that it states", chunk.entry.records);
            return Err(corrupt(shared, &chunk.entry, DecodeFault::new(next_at, what)));
        }
        chunk.at = next_at;
        self.position = next_position;
        if is_last {
            self.chunk = None;
        }
        Ok(Some(record))
    }
}

/// Reads a chunk and finds the record at `position` in it.
fn load(shared: &Shared, entry: ChunkEntry, position: u64) -> Result<LoadedChunk, Error> {
    let records = shared.segments().read_chunk(&entry)?;
    let mut at = 0;
    for _ in entry.base_offset..position {
        at = record_codec::skip(&records, at).map_err(|fault| corrupt(shared, &entry, fault))?;
    }
    Ok(LoadedChunk { entry, records, at })
}

fn corrupt(shared: &Shared, entry: &ChunkEntry, fault: DecodeFault) -> Error {
    let at = u64::try_from(CHUNK_CHECKSUM_BYTES + fault.at).expect("a slice in memory is shorter than 2^64");
    let file = shared.segments().path(entry.segment);
    Error::Corrupt { file, position: entry.position + at, what: fault.what }
}
