//! The open transaction of a worker: what it wrote, and for which partitions.

use std::collections::{BTreeMap, BTreeSet};

use settle_engine::{Output, Payload};
use settle_log::{Header, OutputRecord, TopicName, TransactionalProducer};
use settle_schema::{AvroRecord, WireIds, encode_with};
use settle_types::Timestamp;

use crate::error::Error;

/// Names of topics, shared, and their partition counts.
pub(crate) type TopicCounts = BTreeMap<TopicName, u32>;

/// What the open transaction holds so far.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// Input records decided.
    pub(crate) inputs: u64,
    /// Bytes of keys, values and headers written.
    pub(crate) bytes: u64,
    /// Due items handled.
    pub(crate) timers: u64,
    /// Copies for the dead letters.
    pub(crate) dead_letters: u64,
    /// Partition numbers written.
    pub(crate) partitions: BTreeSet<u32>,
    /// Events by stage and outcome.
    pub(crate) outcomes: BTreeMap<(&'static str, &'static str), u64>,
}

/// Writes events and outputs to a transaction, which begins with the first record.
pub(crate) struct Transaction {
    producer: Box<dyn TransactionalProducer>,
    topics: TopicCounts,
    ids: WireIds,
    content: Option<Content>,
    value: Vec<u8>,
}

impl Transaction {
    /// No transaction is open yet. Records are written under these schema ids.
    pub(crate) fn new(producer: Box<dyn TransactionalProducer>, topics: TopicCounts, ids: WireIds) -> Self {
        Self { producer, topics, ids, content: None, value: Vec::new() }
    }

    /// What the open transaction holds; none if none is open.
    pub(crate) fn content(&self) -> Option<&Content> {
        self.content.as_ref()
    }

    /// What the open transaction holds; opens one if none is.
    pub(crate) fn open(&mut self) -> Result<&mut Content, Error> {
        if self.content.is_none() {
            self.producer.begin().map_err(Error::of_write)?;
        }
        Ok(self.content.get_or_insert_with(Content::default))
    }

    /// Writes a record of the journal.
    pub(crate) fn write_event(
        &mut self,
        topic: &'static str,
        partition: u32,
        now: Timestamp,
        key: Option<&[u8]>,
        trace: &[Header],
        event: &impl AvroRecord,
    ) -> Result<(), Error> {
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        encode_with(&self.ids, event, &mut value);
        let written = self.write(topic, partition, now, key, Some(&value), trace);
        self.value = value;
        written
    }

    /// Writes a record of another topic; `source_headers` are those of the record that caused it.
    pub(crate) fn write_output(
        &mut self,
        output: &Output,
        input_partition: u32,
        now: Timestamp,
        trace: &[Header],
        source_headers: &[Header],
    ) -> Result<(), Error> {
        let count = self.topics.get(output.topic).copied().unwrap_or(1);
        if let (Payload::DeadLetter { .. }, Some(content)) = (&output.payload, &mut self.content) {
            content.dead_letters += 1;
        }
        let mut value = std::mem::take(&mut self.value);
        let placed =
            settle_codec::place(output, &self.ids, input_partition, count, trace, source_headers, &mut value);
        let key = output.key.as_deref();
        let written = self.write(output.topic, placed.partition, now, key, placed.value, &placed.headers);
        self.value = value;
        written
    }

    fn write(
        &mut self,
        topic: &str,
        partition: u32,
        now: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> Result<(), Error> {
        let Some((topic, _)) = self.topics.get_key_value(topic) else {
            return Err(settle_log::Error::UnknownTopic { topic: topic.to_owned() }.into());
        };
        let record = OutputRecord { topic, partition, timestamp_ms: now.as_millis(), key, value, headers };
        self.producer.send(&record).map_err(Error::of_write)?;
        if let Some(content) = &mut self.content {
            // Headers count, too: a re-routed request has all those of its source, however many.
            let of_headers: usize = headers.iter().map(|header| header.name.len() + header.value.len()).sum();
            let written = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + of_headers;
            content.bytes += u64::try_from(written).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    /// Ends the open transaction, whatever comes of it; returns what it held.
    pub(crate) fn close(&mut self) -> Option<Content> {
        self.content.take()
    }

    /// The producer, to commit or abort with.
    pub(crate) fn producer(&mut self) -> &mut dyn TransactionalProducer {
        &mut *self.producer
    }

    /// Replaces the producer after a commit of unknown outcome: the new one fences the old.
    pub(crate) fn replace_producer(&mut self, producer: Box<dyn TransactionalProducer>) {
        self.producer = producer;
        self.content = None;
    }
}
