//! Fetching committed records of partitions, each from a position that the caller names.
//!
//! Owns a client of librdkafka that was told its partitions and belongs to no group. Records are copied once, into a
//! block per batch that all of them share: librdkafka's own buffers hold whole fetches, and would be kept for as long as
//! one record of them waits in a queue.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::TopicPartitionList;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::events::ReaderEvents;
use super::native::{Message, Queue, fetched_end, fill_positions};
use super::problems::Errors;
use super::time::now;
use crate::consumer::PollLimit;
use crate::error::Error;
use crate::record::{Header, Record, TopicName, TopicPartition};

/// Blocks grow to this size and a record more: a record that is kept for long keeps its block.
const BLOCK_BYTES: usize = 256 << 10;
/// Most records of one call to librdkafka.
const CALL_RECORDS: usize = 2_000;

/// The client, its partitions and where their reading stands.
pub(super) struct Fetcher {
    // Before the client: it must be given back first.
    queue: Queue,
    client: BaseConsumer<ReaderEvents>,
    errors: Errors,
    /// Names that were seen, so that every record shares one.
    names: Vec<TopicName>,
    /// By partition: the offset after the last record handed out, or that from which it was to be read.
    next_offsets: BTreeMap<TopicPartition, u64>,
}

impl Fetcher {
    pub(super) fn new(config: &ClientConfig, events: ReaderEvents, errors: Errors) -> Result<Self, Error> {
        let client = BaseConsumer::from_config_and_context(config, events)
            .map_err(|error| Error::ClientSettings { what: error.to_string() })?;
        let queue = Queue::of_consumer(client.client())
            .ok_or_else(|| Error::ClientSettings { what: "a reader needs a group.id".to_owned() })?;
        Ok(Self { queue, client, errors, names: Vec::new(), next_offsets: BTreeMap::new() })
    }

    /// Learns where the partitions of a topic are. Without it, librdkafka finds out when it looks at its topics, once a
    /// second, and a partition is not read before.
    pub(super) fn learn(&self, topic: &str) -> Result<(), Error> {
        let learnt = self.client.fetch_metadata(Some(topic), super::CALL_TIMEOUT);
        learnt.map(|_| ()).map_err(|error| self.errors.of("look up a topic", topic, &error))
    }

    pub(super) fn consumer(&self) -> &BaseConsumer<ReaderEvents> {
        &self.client
    }

    /// Starts to fetch a partition at `offset`, or starts again there. What was fetched before is not delivered.
    pub(super) fn start(&mut self, partition: &TopicPartition, offset: u64) -> Result<(), Error> {
        self.stop(std::slice::from_ref(partition))?;
        let mut list = TopicPartitionList::new();
        add(&mut list, partition, Some(offset));
        self.client.incremental_assign(&list).map_err(|error| self.error("assign", partition, &error))?;
        self.next_offsets.insert(partition.clone(), offset);
        Ok(())
    }

    /// Stops to fetch these.
    pub(super) fn stop(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        for partition in partitions {
            if self.next_offsets.remove(partition).is_none() {
                continue;
            }
            let mut list = TopicPartitionList::new();
            add(&mut list, partition, None);
            self.client
                .incremental_unassign(&list)
                .map_err(|error| self.error("unassign", partition, &error))?;
        }
        self.wait_until_stopped(partitions)
    }

    /// librdkafka stops beside us: until it has, the old position would be taken for that of a new start.
    fn wait_until_stopped(&self, partitions: &[TopicPartition]) -> Result<(), Error> {
        let deadline = now() + super::CALL_TIMEOUT;
        for partition in partitions {
            while self.native_position(partition).is_some() {
                if now() >= deadline {
                    return Err(self.errors.silence("stop reading", &partition.topic));
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        Ok(())
    }

    /// Partitions that are fetched, paused ones included.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.next_offsets.keys()
    }

    /// True if this partition is fetched.
    pub(super) fn has(&self, partition: &TopicPartition) -> bool {
        self.next_offsets.contains_key(partition)
    }

    pub(super) fn pause(&self, partition: &TopicPartition) {
        self.set_paused(partition, true);
    }

    pub(super) fn resume(&self, partition: &TopicPartition) {
        self.set_paused(partition, false);
    }

    fn set_paused(&self, partition: &TopicPartition, is_paused: bool) {
        if !self.has(partition) {
            return;
        }
        let mut list = TopicPartitionList::new();
        add(&mut list, partition, None);
        let outcome = if is_paused { self.client.pause(&list) } else { self.client.resume(&list) };
        if let Err(error) = outcome {
            tracing::warn!(%partition, %error, is_paused, "a partition could not be paused or resumed");
        }
    }

    /// Where reading stands: after the last record handed out and the markers and aborted records behind it.
    pub(super) fn position(&self, partition: &TopicPartition) -> u64 {
        let known = self.next_offsets.get(partition).copied().unwrap_or(0);
        self.native_position(partition).map_or(known, |found| found.max(known))
    }

    fn native_position(&self, partition: &TopicPartition) -> Option<u64> {
        let mut list = TopicPartitionList::new();
        add(&mut list, partition, None);
        fill_positions(self.client.client(), &list);
        match list.elements().first()?.offset() {
            Offset::Offset(offset) => u64::try_from(offset).ok(),
            _ => None,
        }
    }

    /// Records between where reading stands and the end as of the last fetch, markers included.
    pub(super) fn backlog(&self) -> Vec<(TopicPartition, u64)> {
        let behind = |(partition, next_offset): (&TopicPartition, &u64)| {
            let end = fetched_end(self.client.client(), &partition.topic, number(partition))?;
            Some((partition.clone(), end.saturating_sub((*next_offset).max(self.position(partition)))))
        };
        self.next_offsets.iter().filter_map(behind).collect()
    }

    /// Fetched records, in order within each partition; waits up to `timeout` for the first.
    pub(super) fn poll(&mut self, limit: PollLimit, timeout: Duration) -> Result<Vec<Record>, Error> {
        // Errors of connections and statistics come to the client's own queue.
        let mut batch = Batch::default();
        let mut wait = timeout;
        while batch.len() < limit.records.max(1) && batch.bytes < limit.bytes {
            let call_records = (limit.records.max(1) - batch.len()).min(CALL_RECORDS);
            let count = self.queue.consume(call_records, wait, |message| batch.add(message, &mut self.names));
            wait = Duration::ZERO;
            if count < call_records {
                break;
            }
        }
        let failure = batch.failure.take();
        let records = batch.finish();
        for record in &records {
            if let Some(next_offset) = self.next_offsets.get_mut(&record.topic_partition()) {
                *next_offset = record.offset + 1;
            }
        }
        match failure {
            // What came before the failure is delivered; the failure comes again with the next fetch.
            Some((partition, code)) if records.is_empty() => self.failed(&partition, code).map(|()| records),
            _ => Ok(records),
        }
    }

    /// An error of a partition: those that end the reading are returned, the others are retried by librdkafka.
    fn failed(&mut self, partition: &TopicPartition, code: RDKafkaErrorCode) -> Result<(), Error> {
        use RDKafkaErrorCode as Code;
        match code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange => {
                let offset = self.next_offsets.get(partition).copied().unwrap_or(0);
                let (start, end) = self.bounds(partition)?;
                Err(Error::OffsetOutOfRange { partition: partition.clone(), offset, start, end })
            }
            Code::TopicAuthorizationFailed | Code::UnknownTopicOrPartition | Code::UnknownTopic => {
                Err(self.error("read", partition, &KafkaError::Global(code)))
            }
            _ => {
                tracing::debug!(%partition, ?code, "fetching is tried again");
                Ok(())
            }
        }
    }

    /// Start and committed end of a partition.
    pub(super) fn bounds(&self, partition: &TopicPartition) -> Result<(u64, u64), Error> {
        bounds(&self.client, partition, &self.errors)
    }

    fn error(&self, operation: &'static str, partition: &TopicPartition, error: &KafkaError) -> Error {
        self.errors.of(operation, &partition.topic, error)
    }
}

/// Start of a partition, and its end as this client sees it: with open transactions or without.
pub(super) fn bounds(
    client: &BaseConsumer<ReaderEvents>,
    partition: &TopicPartition,
    errors: &Errors,
) -> Result<(u64, u64), Error> {
    let number = number(partition);
    let (start, end) = client
        .fetch_watermarks(&partition.topic, number, super::CALL_TIMEOUT)
        .map_err(|error| errors.of("look up offsets", &partition.topic, &error))?;
    Ok((u64::try_from(start).unwrap_or(0), u64::try_from(end).unwrap_or(0)))
}

/// Kafka's partition numbers have a sign.
pub(super) fn number(partition: &TopicPartition) -> i32 {
    i32::try_from(partition.partition).expect("a partition number fits 31 bits")
}

/// Adds a partition to a list of librdkafka, with an offset if there is one.
pub(super) fn add(list: &mut TopicPartitionList, partition: &TopicPartition, offset: Option<u64>) {
    let mut element = list.add_partition(&partition.topic, number(partition));
    if let Some(offset) = offset {
        let offset = Offset::Offset(i64::try_from(offset).expect("an offset fits 63 bits"));
        element.set_offset(offset).expect("an offset of zero or more is valid");
    }
}

/// Records of a poll, before their bytes are shared.
#[derive(Default)]
struct Batch {
    done: Vec<Record>,
    drafts: Vec<Draft>,
    block: Vec<u8>,
    bytes: usize,
    failure: Option<(TopicPartition, RDKafkaErrorCode)>,
}

struct Draft {
    topic: TopicName,
    partition: u32,
    offset: u64,
    timestamp_ms: i64,
    key: Option<std::ops::Range<usize>>,
    value: Option<std::ops::Range<usize>>,
    headers: Vec<(std::sync::Arc<str>, std::ops::Range<usize>)>,
}

impl Batch {
    fn add(&mut self, message: &Message<'_>, names: &mut Vec<TopicName>) {
        let topic = shared_name(message.topic, names);
        let Ok(partition) = u32::try_from(message.partition) else { return };
        if let Some(code) = message.error {
            self.failure.get_or_insert((TopicPartition { topic, partition }, code));
            return;
        }
        let Ok(offset) = u64::try_from(message.offset) else { return };
        let key = message.key.map(|bytes| self.keep(bytes));
        let value = message.value.map(|bytes| self.keep(bytes));
        let mut headers = Vec::new();
        message.each_header(|name, value| {
            let range = self.keep(value);
            headers.push((String::from_utf8_lossy(name).into(), range));
        });
        let timestamp_ms = message.timestamp_ms;
        self.drafts.push(Draft { topic, partition, offset, timestamp_ms, key, value, headers });
        if self.block.len() >= BLOCK_BYTES {
            self.share_block();
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.block.len();
        self.block.extend_from_slice(bytes);
        self.bytes += bytes.len();
        start..self.block.len()
    }

    fn share_block(&mut self) {
        let block = Bytes::from(std::mem::take(&mut self.block));
        for draft in self.drafts.drain(..) {
            let slice = |range: std::ops::Range<usize>| block.slice(range);
            let headers = draft.headers.into_iter().map(|(name, range)| Header { name, value: slice(range) });
            self.done.push(Record {
                topic: draft.topic,
                partition: draft.partition,
                offset: draft.offset,
                timestamp_ms: draft.timestamp_ms,
                key: draft.key.map(slice),
                value: draft.value.map(slice),
                headers: headers.collect(),
            });
        }
    }

    fn finish(mut self) -> Vec<Record> {
        self.share_block();
        self.done
    }

    fn len(&self) -> usize {
        self.done.len() + self.drafts.len()
    }
}

fn shared_name(name: &[u8], names: &mut Vec<TopicName>) -> TopicName {
    if let Some(known) = names.iter().find(|known| known.as_bytes() == name) {
        return TopicName::clone(known);
    }
    let new: TopicName = String::from_utf8_lossy(name).into();
    names.push(TopicName::clone(&new));
    new
}
