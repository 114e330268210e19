//! Transactions on the embedded log.
//!
//! Owns what a transaction holds until it is committed. Records are laid out as they will be stored when
//! they are sent; offsets are given at commit, when the writer is held, so that several producers can
//! write the same partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check_name;
use super::frame::{ChunkContents, FrameContents};
use super::index::Index;
use super::record_codec;
use super::shared::Shared;
use crate::consumer::GroupMetadata;
use crate::error::{CommitError, Error};
use crate::producer::{Committed, TransactionalProducer};
use crate::record::{OutputRecord, TopicName, TopicPartition};

/// A chunk is closed by the record that makes it this large. Readers hold one chunk of a partition.
const CHUNK_BYTES: usize = 256 * 1024;

pub(super) struct EmbeddedProducer {
    shared: Arc<Shared>,
    transactional_id: String,
    epoch: u64,
    open: Option<Transaction>,
}

#[derive(Default)]
struct Transaction {
    /// For each topic one entry for each of its partitions.
    topics: BTreeMap<TopicName, Vec<Vec<PendingChunk>>>,
    positions: BTreeMap<String, BTreeMap<TopicPartition, u64>>,
    record_bytes: u64,
}

#[derive(Default)]
struct PendingChunk {
    records: u32,
    bytes: Vec<u8>,
}

impl EmbeddedProducer {
    pub(super) fn new(shared: Arc<Shared>, transactional_id: &str) -> Result<Self, Error> {
        // Waits for a commit that is under way: afterwards no older producer can commit.
        let epoch = shared.writer()?.new_epoch(transactional_id);
        Ok(Self { shared, transactional_id: transactional_id.to_owned(), epoch, open: None })
    }

    fn commit_transaction(&self, transaction: &Transaction) -> Result<Committed, CommitError> {
        let mut writer = self.shared.writer().map_err(|reason| CommitError::Fatal { reason })?;
        writer
            .check_epoch(&self.transactional_id, self.epoch)
            .map_err(|reason| CommitError::Fenced { reason })?;
        writer.check_usable().map_err(|reason| CommitError::Fatal { reason })?;
        if transaction.is_empty() {
            return Ok(Committed::default());
        }
        let (contents, committed) = {
            let index = self.shared.index();
            transaction.contents(&index).map_err(|reason| CommitError::Aborted { reason })?
        };
        self.shared.commit(&mut writer, &contents)?;
        Ok(committed)
    }
}

impl TransactionalProducer for EmbeddedProducer {
    fn begin(&mut self) -> Result<(), Error> {
        if self.open.is_some() {
            return Err(Error::InvalidState { what: "begin needs that no transaction is open" });
        }
        let writer = self.shared.writer()?;
        writer.check_usable()?;
        writer.check_epoch(&self.transactional_id, self.epoch)?;
        drop(writer);
        self.open = Some(Transaction::default());
        Ok(())
    }

    fn send(&mut self, record: &OutputRecord<'_>) -> Result<(), Error> {
        let Some(transaction) = &mut self.open else {
            return Err(Error::InvalidState { what: "send needs an open transaction" });
        };
        let length = record_codec::encoded_length(record)?;
        let bytes = transaction.record_bytes.saturating_add(length);
        let limit = self.shared.options().max_transaction_bytes;
        if bytes > limit {
            return Err(Error::TransactionTooLarge { bytes, limit });
        }
        let chunk = transaction.chunk_for(record, &self.shared)?;
        record_codec::encode(record, &mut chunk.bytes);
        chunk.records += 1;
        transaction.record_bytes = bytes;
        Ok(())
    }

    fn send_offsets(
        &mut self,
        group: &GroupMetadata,
        next_offsets: &[(TopicPartition, u64)],
    ) -> Result<(), Error> {
        let Some(transaction) = &mut self.open else {
            return Err(Error::InvalidState { what: "send_offsets needs an open transaction" });
        };
        check_name("the name of a group", &group.group)?;
        if !group.is_joined() {
            return Err(Error::InvalidState {
                what: "send_offsets needs a member that has joined its group",
            });
        }
        let index = self.shared.index();
        for (partition, _) in next_offsets {
            index.end_offset(partition)?;
        }
        drop(index);
        let positions = transaction.positions.entry(group.group.clone()).or_default();
        positions.extend(next_offsets.iter().cloned());
        Ok(())
    }

    fn commit(&mut self) -> Result<Committed, CommitError> {
        let Some(transaction) = self.open.take() else {
            let reason = Error::InvalidState { what: "commit needs an open transaction" };
            return Err(CommitError::Fatal { reason });
        };
        self.commit_transaction(&transaction)
    }

    fn abort(&mut self) -> Result<(), Error> {
        self.open = None;
        Ok(())
    }
}

impl Transaction {
    fn is_empty(&self) -> bool {
        let has_positions = self.positions.values().any(|positions| !positions.is_empty());
        self.record_bytes == 0 && !has_positions
    }

    /// The chunk that `record` goes to. Topics are looked up once in a transaction.
    fn chunk_for(&mut self, record: &OutputRecord<'_>, shared: &Shared) -> Result<&mut PendingChunk, Error> {
        if !self.topics.contains_key(record.topic) {
            let count = shared.index().partition_count(record.topic)?;
            let partitions = (0..count).map(|_| Vec::new()).collect();
            self.topics.insert(record.topic.clone(), partitions);
        }
        let partitions = self.topics.get_mut(record.topic).expect("inserted above");
        let count = partitions.len();
        let number = usize::try_from(record.partition).expect("a 32-bit number fits the address space");
        let Some(chunks) = partitions.get_mut(number) else {
            let partition = TopicPartition::new(record.topic.clone(), record.partition);
            let partitions = u32::try_from(count).expect("at most MAX_PARTITIONS");
            return Err(Error::PartitionOutOfRange { partition, partitions });
        };
        if chunks.last().is_none_or(|chunk| chunk.bytes.len() >= CHUNK_BYTES) {
            chunks.push(PendingChunk::default());
        }
        Ok(chunks.last_mut().expect("pushed above"))
    }

    /// The frame, with the offsets that follow `index`, and the offsets after it.
    fn contents(&self, index: &Index) -> Result<(FrameContents<'_>, Committed), Error> {
        let mut contents = FrameContents::default();
        let mut committed = Committed::default();
        for (topic, partitions) in &self.topics {
            for (number, chunks) in (0..).zip(partitions) {
                if chunks.is_empty() {
                    continue;
                }
                let partition = TopicPartition::new(topic.clone(), number);
                let mut next_offset = index.end_offset(&partition)?;
                for chunk in chunks {
                    contents.chunks.push(ChunkContents {
                        topic,
                        partition: number,
                        base_offset: next_offset,
                        records: chunk.records,
                        bytes: &chunk.bytes,
                    });
                    next_offset += u64::from(chunk.records);
                }
                committed.next_offsets.insert(partition, next_offset);
            }
        }
        for (group, positions) in &self.positions {
            for (partition, next_offset) in positions {
                contents.positions.push((group, partition, *next_offset));
            }
        }
        Ok((contents, committed))
    }
}
