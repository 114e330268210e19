//! What the log knows in memory: topics, where the chunks of each partition are, positions of groups.
//!
//! Owns the rules of what may follow what: offsets are dense, topics are created once, positions name
//! partitions that exist. Recovery and commits apply frames through the same function. Holds no record.

use std::collections::BTreeMap;

use super::codec::DecodeFault;
use super::frame::{DecodedBody, DecodedChunk, DecodedPosition, MAX_PARTITIONS};
use crate::error::Error;
use crate::log::TopicDescription;
use crate::record::{TopicName, TopicPartition};

/// Where the records of a chunk are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkEntry {
    pub(super) base_offset: u64,
    /// The segment, by the sequence that names it.
    pub(super) segment: u64,
    /// Position of the chunk's checksum in the segment; the records follow it.
    pub(super) position: u64,
    pub(super) records: u32,
    /// Bytes of the records.
    pub(super) length: u32,
}

impl ChunkEntry {
    pub(super) fn end_offset(&self) -> u64 {
        self.base_offset + u64::from(self.records)
    }
}

#[derive(Debug, Default)]
struct Partition {
    chunks: Vec<ChunkEntry>,
}

impl Partition {
    fn end_offset(&self) -> u64 {
        self.chunks.last().map_or(0, ChunkEntry::end_offset)
    }
}

/// The index. It costs about 32 bytes for each chunk: for each partition that a transaction wrote.
#[derive(Debug, Default)]
pub(super) struct Index {
    topics: BTreeMap<TopicName, Vec<Partition>>,
    groups: BTreeMap<String, BTreeMap<TopicPartition, u64>>,
}

impl Index {
    pub(super) fn topics(&self) -> Vec<TopicDescription> {
        let describe = |(name, partitions): (&TopicName, &Vec<Partition>)| TopicDescription {
            name: name.clone(),
            partitions: count_of(partitions),
        };
        self.topics.iter().map(describe).collect()
    }

    pub(super) fn partition_count(&self, topic: &str) -> Result<u32, Error> {
        match self.topics.get(topic) {
            Some(partitions) => Ok(count_of(partitions)),
            None => Err(Error::UnknownTopic { topic: topic.to_owned() }),
        }
    }

    /// The offset that is written next. The start of every partition is 0: nothing is ever removed.
    pub(super) fn end_offset(&self, partition: &TopicPartition) -> Result<u64, Error> {
        Ok(self.partition(partition)?.end_offset())
    }

    /// The chunk that holds `offset`; `None` at the end and beyond it.
    pub(super) fn chunk_at(
        &self,
        partition: &TopicPartition,
        offset: u64,
    ) -> Result<Option<ChunkEntry>, Error> {
        let chunks = &self.partition(partition)?.chunks;
        let next = chunks.partition_point(|chunk| chunk.end_offset() <= offset);
        Ok(chunks.get(next).copied())
    }

    pub(super) fn positions(&self, group: &str) -> BTreeMap<TopicPartition, u64> {
        self.groups.get(group).cloned().unwrap_or_default()
    }

    fn partition(&self, partition: &TopicPartition) -> Result<&Partition, Error> {
        let Some(partitions) = self.topics.get(&partition.topic) else {
            return Err(Error::UnknownTopic { topic: partition.topic.to_string() });
        };
        let number = usize::try_from(partition.partition).expect("a 32-bit number fits the address space");
        partitions.get(number).ok_or_else(|| Error::PartitionOutOfRange {
            partition: partition.clone(),
            partitions: count_of(partitions),
        })
    }

    /// Applies a frame whose body starts at `body_position` of `segment`. After a fault the index is not
    /// to be used.
    pub(super) fn apply(
        &mut self,
        body: &DecodedBody<'_>,
        segment: u64,
        body_position: u64,
    ) -> Result<(), DecodeFault> {
        for (name, partitions) in &body.topics {
            self.apply_topic(name, *partitions)?;
        }
        for chunk in &body.chunks {
            self.apply_chunk(chunk, segment, body_position)?;
        }
        for position in &body.positions {
            self.apply_position(position)?;
        }
        Ok(())
    }

    fn apply_topic(&mut self, name: &str, partitions: u32) -> Result<(), DecodeFault> {
        if partitions == 0 || partitions > MAX_PARTITIONS {
            return Err(DecodeFault::new(0, format!("topic {name} is created with {partitions} partitions")));
        }
        if self.topics.contains_key(name) {
            return Err(DecodeFault::new(0, format!("topic {name} is created twice")));
        }
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        self.topics.insert(name.into(), partitions);
        Ok(())
    }

    fn apply_chunk(
        &mut self,
        chunk: &DecodedChunk<'_>,
        segment: u64,
        body_position: u64,
    ) -> Result<(), DecodeFault> {
        let name = format_args!("{}/{}", chunk.topic, chunk.partition);
        let number = usize::try_from(chunk.partition).expect("a 32-bit number fits the address space");
        let partition = self.topics.get_mut(chunk.topic).and_then(|partitions| partitions.get_mut(number));
        let Some(partition) = partition else {
            return Err(DecodeFault::new(chunk.at, format!("a chunk is of {name}, which does not exist")));
        };
        let expected = partition.end_offset();
        if chunk.base_offset != expected {
            let found = chunk.base_offset;
            let what = format!("a chunk of {name} starts at offset {found}, expected {expected}");
            return Err(DecodeFault::new(chunk.at, what));
        }
        if chunk.records == 0 || chunk.base_offset.checked_add(u64::from(chunk.records)).is_none() {
            let what = format!("a chunk of {name} states {} records", chunk.records);
            return Err(DecodeFault::new(chunk.at, what));
        }
        let at = u64::try_from(chunk.at).expect("a slice in memory is shorter than 2^64");
        partition.chunks.push(ChunkEntry {
            base_offset: chunk.base_offset,
            segment,
            position: body_position + at,
            records: chunk.records,
            length: chunk.length,
        });
        Ok(())
    }

    fn apply_position(&mut self, position: &DecodedPosition<'_>) -> Result<(), DecodeFault> {
        let name: TopicName = match self.topics.get_key_value(position.topic) {
            Some((name, partitions)) if position.partition < count_of(partitions) => name.clone(),
            _ => {
                let name = format_args!("{}/{}", position.topic, position.partition);
                let what = format!("a position is of {name}, which does not exist");
                return Err(DecodeFault::new(position.at, what));
            }
        };
        let positions = match self.groups.get_mut(position.group) {
            Some(positions) => positions,
            None => self.groups.entry(position.group.to_owned()).or_default(),
        };
        positions.insert(TopicPartition::new(name, position.partition), position.next_offset);
        Ok(())
    }
}

fn count_of(partitions: &[Partition]) -> u32 {
    u32::try_from(partitions.len()).expect("at most MAX_PARTITIONS")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(topic: &str, partition: u32, base_offset: u64, records: u32) -> DecodedChunk<'_> {
        DecodedChunk { topic, partition, base_offset, records, at: 10, length: 5 }
    }

    fn index_with_five_records() -> Index {
        let mut index = Index::default();
        let body = DecodedBody {
            topics: vec![("t", 2)],
            chunks: vec![chunk("t", 1, 0, 2), chunk("t", 1, 2, 3)],
            positions: Vec::new(),
        };
        index.apply(&body, 0, 100).unwrap();
        index
    }

    #[test]
    fn an_offset_finds_its_chunk() {
        let index = index_with_five_records();
        let partition = TopicPartition::new("t", 1);
        let base_of = |offset| index.chunk_at(&partition, offset).unwrap().map(|chunk| chunk.base_offset);
        let found: Vec<Option<u64>> = (0..7).map(base_of).collect();
        assert_eq!(found, [Some(0), Some(0), Some(2), Some(2), Some(2), None, None]);
        assert_eq!(index.chunk_at(&partition, 0).unwrap().unwrap().position, 110);
        assert_eq!(index.end_offset(&partition).unwrap(), 5);
        assert_eq!(index.end_offset(&TopicPartition::new("t", 0)).unwrap(), 0);
    }

    #[test]
    fn unknown_topics_and_partitions_are_named() {
        let index = index_with_five_records();
        let cases = [("t", 2, "STL-0102"), ("other", 0, "STL-0101")];
        for (topic, partition, code) in cases {
            let found = index.end_offset(&TopicPartition::new(topic, partition));
            assert_eq!(found.map_err(|error| error.code()), Err(code));
        }
    }

    #[test]
    fn what_cannot_follow_is_a_fault() {
        let topics = |topics| DecodedBody { topics, ..DecodedBody::default() };
        let chunks = |chunks| DecodedBody { chunks, ..DecodedBody::default() };
        let position = |topic, partition| DecodedBody {
            positions: vec![DecodedPosition { group: "g", topic, partition, next_offset: 1, at: 0 }],
            ..DecodedBody::default()
        };
        let cases = [
            ("created twice", topics(vec![("t", 2)])),
            ("0 partitions", topics(vec![("u", 0)])),
            ("10001 partitions", topics(vec![("u", 10_001)])),
            ("u/0, which does not exist", chunks(vec![chunk("u", 0, 0, 1)])),
            ("t/2, which does not exist", chunks(vec![chunk("t", 2, 0, 1)])),
            ("expected 5", chunks(vec![chunk("t", 1, 4, 1)])),
            ("expected 5", chunks(vec![chunk("t", 1, 6, 1)])),
            ("states 0 records", chunks(vec![chunk("t", 1, 5, 0)])),
            ("u/0, which does not exist", position("u", 0)),
            ("t/2, which does not exist", position("t", 2)),
        ];
        for (expected, body) in cases {
            let fault = index_with_five_records().apply(&body, 0, 0).unwrap_err();
            assert!(fault.what.contains(expected), "{} / {expected}", fault.what);
        }
    }
}
