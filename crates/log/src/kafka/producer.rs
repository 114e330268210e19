//! Transactions of one transactional id.
//!
//! Owns the commit as Kafka needs it: the group's positions, every record acknowledged, then the end of the transaction,
//! and what follows when one of them fails. `Unknown` is the answer whenever the end was asked for and not confirmed:
//! librdkafka repeats the request by itself, and a late copy of it could end the *next* transaction of this producer (its
//! issue 5423). So a producer that lost a connection or a request during a transaction is replaced before it begins
//! another one, even if the commit or the abort succeeded: the new producer's epoch shuts out whatever is still under way.
//! The abort counts too: a late copy of it would abort the first half of the next transaction, whose second half would
//! then be committed alone; and positions that come late would be committed with the next transaction (both found by
//! the model in tests/protocol).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::cluster::Cluster;
use super::events::ProducerEvents;
use super::fetcher;
use super::native;
use super::problems::code_of;
use super::time::now;
use crate::consumer::GroupMetadata;
use crate::error::{CommitError, Error};
use crate::producer::{Committed, TransactionalProducer};
use crate::record::{OutputRecord, TopicName, TopicPartition};

/// Records sent between two looks at what was acknowledged.
const SENDS_PER_POLL: u32 = 500;
/// How long a full buffer may stay full.
const FULL_BUFFER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a new producer may wait for the cluster to end what the old one left open.
const INIT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long each of the first clients waits for an answer to that: a round trip or two.
const FIRST_INIT_PATIENCE: Duration = Duration::from_millis(100);
/// As many wait so short; each further one waits twice as long as the one before.
const FIRST_INIT_CLIENTS: u32 = 8;
/// How long a client waits for an answer to that, at most.
const MOST_INIT_PATIENCE: Duration = Duration::from_secs(4);
/// Time between two looks at the acknowledgements.
const DRAIN_STEP: Duration = Duration::from_millis(1);
/// How long one call has the client send what it holds; nobody waits for its end.
const FLUSH_STEP: Duration = Duration::from_millis(20);
/// How long an abort waits for what is under way.
const SETTLE_DOWN: Duration = Duration::from_millis(500);
/// Events of the client that are served in one go, at most.
const MOST_EVENTS: u32 = 10_000;

/// Group, its metadata in librdkafka's form, and the positions of the open transaction.
struct Offsets {
    metadata: GroupMetadata,
    next_offsets: BTreeMap<TopicPartition, u64>,
}

/// A transactional producer on Kafka.
pub(super) struct KafkaProducer {
    cluster: Arc<Cluster>,
    transactional_id: String,
    client: BaseProducer<ProducerEvents>,
    slots: Slots,
    is_open: bool,
    offsets: Option<Offsets>,
    sends_since_poll: u32,
    /// Connections and requests lost before the open transaction began.
    disturbances_before: u64,
    /// A connection or a request was lost during the last transaction, or a wait for an answer was given up.
    needs_new_epoch: bool,
}

impl KafkaProducer {
    /// Takes the transactional id over: older producers of it can commit nothing more.
    pub(super) fn new(cluster: Arc<Cluster>, transactional_id: &str) -> Result<Self, Error> {
        let client = initialized(&cluster, transactional_id)?;
        Ok(Self {
            cluster,
            transactional_id: transactional_id.to_owned(),
            client,
            slots: Slots::default(),
            is_open: false,
            offsets: None,
            sends_since_poll: 0,
            disturbances_before: 0,
            needs_new_epoch: false,
        })
    }

    fn error(&self, operation: &'static str, error: &KafkaError) -> Error {
        self.cluster.errors.of(operation, &self.transactional_id, error)
    }

    /// The error of a call that a shut-out producer makes: one that slept begins again, one of two with the same identity
    /// ends.
    fn refused(&self, operation: &'static str, error: &KafkaError) -> Error {
        let reason = self.error(operation, error);
        if !is_fence(error) {
            return reason;
        }
        match self.cluster.fenced(&self.transactional_id, reason) {
            CommitError::Fenced { reason } => reason,
            other => {
                let (subject, what) = (self.transactional_id.clone(), other.reason().to_string());
                Error::Kafka { operation, subject, what }
            }
        }
    }

    fn renew(&mut self) -> Result<(), Error> {
        tracing::info!(
            transactional_id = self.transactional_id,
            "a connection was lost during a transaction: a new producer shuts out what is late"
        );
        self.client = initialized(&self.cluster, &self.transactional_id)?;
        self.slots = Slots::default();
        self.needs_new_epoch = false;
        Ok(())
    }

    /// Publishes the positions and waits until every record is acknowledged. Nothing was asked to end yet: after an
    /// error the transaction can be aborted.
    fn prepare(&mut self, deadline: Instant) -> Result<(), Error> {
        let offsets = self.offsets.take();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // The client sends without waiting for more only as long as a call asks it to, and the call that publishes the
            // positions does not.
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    native::flush(self.client.client(), FLUSH_STEP);
                }
            });
            let prepared = offsets
                .map_or(Ok(()), |offsets| self.publish(&offsets, deadline))
                .and_then(|()| self.drain(deadline));
            is_over.store(true, Ordering::Relaxed);
            prepared
        })
    }

    fn publish(&self, offsets: &Offsets, deadline: Instant) -> Result<(), Error> {
        let Some(metadata) = offsets.metadata.native::<ConsumerGroupMetadata>() else {
            return Err(Error::InvalidState {
                what: "positions need the metadata of a member of this cluster",
            });
        };
        let mut list = TopicPartitionList::new();
        for (partition, next_offset) in &offsets.next_offsets {
            fetcher::add(&mut list, partition, Some(*next_offset));
        }
        let remaining = deadline.saturating_duration_since(now());
        self.client
            .send_offsets_to_transaction(&list, metadata, remaining)
            .map_err(|error| self.error("publish positions", &error))
    }

    /// Waits for the acknowledgements of all records, which somebody else has the client send.
    fn drain(&self, deadline: Instant) -> Result<(), Error> {
        loop {
            serve_events(&self.client);
            if self.client.client().context().has_failure() {
                let failure = self.client.client().context().take_deliveries().failure;
                let failure = failure.unwrap_or(KafkaError::Canceled);
                return Err(self.error("write", &failure));
            }
            if self.client.in_flight_count() == 0 {
                return Ok(());
            }
            if now() >= deadline {
                return Err(self.cluster.errors.silence("write", &self.transactional_id));
            }
            std::thread::sleep(DRAIN_STEP);
        }
    }

    /// Asks for the end of the transaction. From here on a failure says nothing about what became of it.
    fn end(&mut self, deadline: Instant) -> Result<(), CommitError> {
        let remaining = deadline.saturating_duration_since(now()).max(Duration::from_millis(100));
        let Err(error) = self.client.commit_transaction(remaining) else { return Ok(()) };
        self.needs_new_epoch = true;
        let reason = self.error("commit", &error);
        if is_fence(&error) {
            return Err(self.cluster.fenced(&self.transactional_id, reason));
        }
        Err(match &reason {
            Error::NotAuthorized { .. } => CommitError::Fatal { reason },
            _ => CommitError::Unknown { reason },
        })
    }

    /// After a transaction that ended well: whether a request of it may still be under way.
    fn look_for_disturbances(&mut self) {
        serve_events(&self.client);
        let disturbances = self.client.client().context().notes.disturbances();
        self.needs_new_epoch |= disturbances != self.disturbances_before;
    }

    /// Has what was written acknowledged before an abort, for a short time: the call waits for acknowledgements that nobody
    /// takes in meanwhile, and would ask for nothing until it runs out of time.
    fn settle_down(&self) {
        let deadline = now() + SETTLE_DOWN;
        loop {
            serve_events(&self.client);
            if self.client.in_flight_count() == 0 || now() >= deadline {
                return;
            }
            native::flush(self.client.client(), DRAIN_STEP);
        }
    }

    /// After a failure before the end was asked for.
    fn give_up(&mut self, reason: Error) -> CommitError {
        // Its positions may still be under way to a broker that did not answer in time.
        self.needs_new_epoch = true;
        if matches!(reason, Error::ProducerFenced { .. }) {
            return self.cluster.fenced(&self.transactional_id, reason);
        }
        self.settle_down();
        match self.client.abort_transaction(self.cluster.options.commit_timeout()) {
            _ if matches!(reason, Error::NotAuthorized { .. } | Error::UnknownTopic { .. }) => {
                CommitError::Fatal { reason }
            }
            _ if matches!(reason, Error::DuplicateInstance { .. }) => CommitError::Fenced { reason },
            Ok(()) => CommitError::Aborted { reason },
            // A new producer aborts it.
            Err(error) => {
                tracing::debug!(%error, "the transaction could not be aborted");
                CommitError::Unknown { reason }
            }
        }
    }
}

impl TransactionalProducer for KafkaProducer {
    fn begin(&mut self) -> Result<(), Error> {
        if self.is_open {
            return Err(Error::InvalidState { what: "begin needs the last transaction to be over" });
        }
        if self.needs_new_epoch {
            self.renew()?;
        }
        self.client.begin_transaction().map_err(|error| self.refused("begin a transaction", &error))?;
        // What came of an older transaction is of no interest.
        self.client.client().context().take_deliveries();
        self.disturbances_before = self.client.client().context().notes.disturbances();
        self.is_open = true;
        Ok(())
    }

    fn send(&mut self, record: &OutputRecord<'_>) -> Result<(), Error> {
        if !self.is_open {
            return Err(Error::InvalidState { what: "send needs an open transaction" });
        }
        let slot = self.slots.of(record.topic, record.partition);
        let mut draft: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(record.topic, slot)
            .partition(i32::try_from(record.partition).expect("a partition number fits 31 bits"))
            // librdkafka takes 0 for "now": the first record of an event clock that has seen nothing.
            .timestamp(record.timestamp_ms.max(1));
        if let Some(key) = record.key {
            draft = draft.key(key);
        }
        if let Some(value) = record.value {
            draft = draft.payload(value);
        }
        if !record.headers.is_empty() {
            draft = draft.headers(headers(record));
        }
        let mut full_since = None;
        loop {
            match self.client.send(draft) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                    let since = *full_since.get_or_insert_with(now);
                    if since.elapsed() > FULL_BUFFER_TIMEOUT {
                        return Err(self.cluster.errors.silence("write", record.topic));
                    }
                    draft = returned;
                    self.client.poll(Duration::from_millis(1));
                }
                Err((error, _)) if is_fence(&error) => return Err(self.refused("write", &error)),
                Err((error, _)) => return Err(self.cluster.errors.of("write", record.topic, &error)),
            }
        }
        self.sends_since_poll += 1;
        if self.sends_since_poll >= SENDS_PER_POLL {
            self.sends_since_poll = 0;
            serve_events(&self.client);
        }
        Ok(())
    }

    fn send_offsets(
        &mut self,
        group: &GroupMetadata,
        next_offsets: &[(TopicPartition, u64)],
    ) -> Result<(), Error> {
        if !self.is_open {
            return Err(Error::InvalidState { what: "send_offsets needs an open transaction" });
        }
        let offsets = self
            .offsets
            .get_or_insert_with(|| Offsets { metadata: group.clone(), next_offsets: BTreeMap::new() });
        offsets.metadata = group.clone();
        offsets.next_offsets.extend(next_offsets.iter().cloned());
        Ok(())
    }

    fn commit(&mut self) -> Result<Committed, CommitError> {
        if !self.is_open {
            let reason = Error::InvalidState { what: "commit needs an open transaction" };
            return Err(CommitError::Fatal { reason });
        }
        self.is_open = false;
        let deadline = now() + self.cluster.options.commit_timeout();
        if let Err(reason) = self.prepare(deadline) {
            return Err(self.give_up(reason));
        }
        self.end(deadline)?;
        self.look_for_disturbances();
        let deliveries = self.client.client().context().take_deliveries();
        Ok(Committed { next_offsets: self.slots.next_offsets(&deliveries.next_offsets) })
    }

    fn abort(&mut self) -> Result<(), Error> {
        self.offsets = None;
        if !std::mem::take(&mut self.is_open) {
            return Ok(());
        }
        self.settle_down();
        let timeout = self.cluster.options.commit_timeout();
        if let Err(error) = self.client.abort_transaction(timeout) {
            // Whatever is left of it is aborted by the next producer of this id, or by the cluster in time.
            tracing::warn!(transactional_id = self.transactional_id, %error, "an abort was not confirmed");
            self.needs_new_epoch = true;
        }
        self.look_for_disturbances();
        Ok(())
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        // Otherwise the open transaction blocks readers until the cluster aborts it.
        let _ = self.abort();
    }
}

/// Makes a client and takes the transactional id over with it. Waits while the cluster ends what an older producer left.
fn initialized(cluster: &Cluster, transactional_id: &str) -> Result<BaseProducer<ProducerEvents>, Error> {
    let config = cluster.options.producer(transactional_id)?;
    let deadline = now() + INIT_TIMEOUT;
    let mut patience = FIRST_INIT_PATIENCE;
    let mut clients = 0_u32;
    loop {
        clients += 1;
        let asked_at = now();
        let events = ProducerEvents::new(cluster.notes(&format!("producer {transactional_id}")));
        let client: BaseProducer<ProducerEvents> = BaseProducer::from_config_and_context(&config, events)
            .map_err(|error| Error::ClientSettings { what: error.to_string() })?;
        let Err(error) = client.init_transactions(patience) else { return Ok(client) };
        // Errors of connections come as events.
        serve_events(&client);
        let reason = cluster.errors.of("take over a transactional id", transactional_id, &error);
        let is_final = matches!(&error, KafkaError::Transaction(inner) if inner.is_fatal())
            || matches!(
                reason,
                Error::Authentication { .. } | Error::Tls { .. } | Error::NotAuthorized { .. }
            );
        if is_final || now() >= deadline {
            return Err(reason);
        }
        tracing::debug!(transactional_id, %error, "the transactional id is not taken over yet");
        // The first question has the cluster abort what a killed producer left open, which takes some milliseconds.
        // The same client would ask again after half a second; a new one asks at once.
        if clients >= FIRST_INIT_CLIENTS {
            patience = (patience * 2).min(MOST_INIT_PATIENCE);
        }
        // A client that was refused at once did not wait: the next one would be refused as fast, again and again.
        std::thread::sleep(FIRST_INIT_PATIENCE.saturating_sub(asked_at.elapsed()));
    }
}

/// Takes in what the client has to tell, all of it: what was acknowledged, and whether a connection was lost.
fn serve_events(client: &BaseProducer<ProducerEvents>) {
    let notes = &client.client().context().notes;
    for _ in 0..MOST_EVENTS {
        let seen = notes.seen();
        client.poll(Duration::ZERO);
        if notes.seen() == seen {
            return;
        }
    }
}

fn is_fence(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code_of(error), Some(Code::ProducerFenced | Code::InvalidProducerEpoch | Code::Fenced))
}

fn headers(record: &OutputRecord<'_>) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for header in record.headers {
        headers = headers.insert(KafkaHeader { key: &header.name, value: Some(&header.value[..]) });
    }
    headers
}

/// Numbers for the partitions written: deliveries name these instead of a topic.
#[derive(Default)]
struct Slots {
    partitions: Vec<TopicPartition>,
    /// By topic, then by partition number.
    numbers: Vec<(TopicName, Vec<Option<usize>>)>,
}

impl Slots {
    fn of(&mut self, topic: &TopicName, partition: u32) -> usize {
        let known = self.numbers.iter().position(|(name, _)| Arc::ptr_eq(name, topic) || name == topic);
        let topic_index = known.unwrap_or_else(|| {
            self.numbers.push((TopicName::clone(topic), Vec::new()));
            self.numbers.len() - 1
        });
        let slots = &mut self.numbers[topic_index].1;
        let number = usize::try_from(partition).expect("a 32-bit number fits the address space");
        if slots.len() <= number {
            slots.resize(number + 1, None);
        }
        *slots[number].get_or_insert_with(|| {
            self.partitions.push(TopicPartition::new(TopicName::clone(topic), partition));
            self.partitions.len() - 1
        })
    }

    fn next_offsets(&self, by_slot: &[Option<u64>]) -> BTreeMap<TopicPartition, u64> {
        let written = self.partitions.iter().zip(by_slot);
        written.filter_map(|(partition, next)| Some((partition.clone(), (*next)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_number_partitions_and_give_them_back() {
        let (a, b): (TopicName, TopicName) = ("a".into(), "b".into());
        let mut slots = Slots::default();
        assert_eq!([slots.of(&a, 2), slots.of(&b, 0), slots.of(&a, 2), slots.of(&a, 0)], [0, 1, 0, 2]);
        let next_offsets = slots.next_offsets(&[Some(7), None, Some(1)]);
        assert_eq!(
            next_offsets,
            BTreeMap::from([(TopicPartition::new("a", 2), 7), (TopicPartition::new("a", 0), 1)])
        );
    }
}
