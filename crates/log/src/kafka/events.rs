//! What librdkafka says of its own accord: log lines, errors of connections, statistics, changes of the assignment and
//! deliveries.
//!
//! Owns the contexts of the clients. They only take notes: whoever polls decides what follows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;

use super::problems::{Problems, code_of};
use super::statistics::{self, StatisticsByClient};
use crate::consumer::AssignmentChange;

/// What every client notes.
#[derive(Debug)]
pub(super) struct Notes {
    client: String,
    problems: Arc<Problems>,
    statistics: Arc<StatisticsByClient>,
    /// Events that came, of any kind.
    seen: AtomicU64,
    /// Connections lost and requests out of time, since the client was made.
    disturbances: AtomicU64,
}

impl Notes {
    pub(super) fn new(client: String, problems: Arc<Problems>, statistics: Arc<StatisticsByClient>) -> Self {
        Self { client, problems, statistics, seen: AtomicU64::new(0), disturbances: AtomicU64::new(0) }
    }

    /// How many events came: a poll that changes nothing here found none.
    pub(super) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    pub(super) fn disturbances(&self) -> u64 {
        self.disturbances.load(Ordering::Relaxed)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = &self.client;
        self.seen.fetch_add(1, Ordering::Relaxed);
        if is_disturbance(facility, message) {
            self.disturbances.fetch_add(1, Ordering::Relaxed);
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(client, facility, "{message}");
            }
            // Failed connections are retried without end: the error event tells of them, once each.
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
                tracing::debug!(client, facility, "{message}");
            }
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::trace!(client, facility, "{message}"),
        }
    }

    fn error(&self, error: &KafkaError, reason: &str) {
        let client = &self.client;
        self.seen.fetch_add(1, Ordering::Relaxed);
        let Some(code) = code_of(error) else {
            tracing::warn!(client, %error, reason, "Kafka client");
            return;
        };
        self.problems.note(code, reason);
        use RDKafkaErrorCode as Code;
        match code {
            Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve => {
                tracing::debug!(client, reason, "connection to Kafka");
            }
            Code::PartitionEOF => {}
            _ => tracing::warn!(client, code = ?code, reason, "Kafka client"),
        }
    }

    fn statistics(&self, statistics: &Statistics) {
        self.seen.fetch_add(1, Ordering::Relaxed);
        self.statistics.note(&self.client, statistics::summary(statistics));
    }
}

/// True if a log line says that a request may be under way twice: a connection that was up was lost, or a request ran out of time.
/// Only the log tells of each: error events of the same words are suppressed for 30 seconds. A request that is repeated
/// because a broker answered so is no disturbance: the first one is over.
fn is_disturbance(facility: &str, message: &str) -> bool {
    // The connection by which a client found the cluster is given up in good order.
    let is_lost = facility == "STATE" && message.ends_with("UP -> DOWN") && !message.contains("/bootstrap:");
    if is_lost {
        tracing::debug!(message, "a connection was lost");
    }
    is_lost || facility.starts_with("REQTMOUT")
}

/// Context of a client that only fetches or looks.
pub(super) struct ReaderEvents(pub(super) Notes);

impl ClientContext for ReaderEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(&error, reason);
    }
    fn stats(&self, statistics: Statistics) {
        self.0.statistics(&statistics);
    }
}

impl ConsumerContext for ReaderEvents {}

/// Context of a member of a group. A change of the assignment is queued and not acknowledged: the member does that when
/// its owner has done what the change asks for.
pub(super) struct MemberEvents {
    notes: Notes,
    changes: Mutex<VecDeque<AssignmentChange>>,
    /// The client is going away: changes are answered at once.
    is_closing: AtomicBool,
}

impl MemberEvents {
    pub(super) fn new(notes: Notes) -> Self {
        Self { notes, changes: Mutex::default(), is_closing: AtomicBool::default() }
    }

    /// From now on nobody handles changes: they are answered where they come up.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    /// The next change that was not handled yet.
    pub(super) fn next_change(&self) -> Option<AssignmentChange> {
        lock(&self.changes).pop_front()
    }
}

impl ClientContext for MemberEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.notes.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.notes.error(&error, reason);
    }
    fn stats(&self, statistics: Statistics) {
        self.notes.statistics(&statistics);
    }
}

impl ConsumerContext for MemberEvents {
    fn rebalance(&self, member: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let mut numbers: Vec<u32> =
            list.elements().iter().filter_map(|element| u32::try_from(element.partition()).ok()).collect();
        numbers.sort_unstable();
        let change = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => AssignmentChange::Assigned(numbers),
            _ if member.assignment_lost() => AssignmentChange::Lost(numbers),
            _ => AssignmentChange::Revoked(numbers),
        };
        if self.is_closing.load(Ordering::Relaxed) {
            // An assignment that comes now is void: librdkafka gave the place in the group up when it heard of the end, and
            // answering would find nobody (see `Member`). A revocation is part of the end and waits for its answer; whether
            // that works or not, the client goes away.
            if !matches!(change, AssignmentChange::Assigned(_)) {
                let _ = member.unassign();
            }
            return;
        }
        lock(&self.changes).push_back(change);
    }
}

/// What was delivered of the open transaction.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// By slot, which the producer gives to a partition: the offset after the last delivered record.
    pub(super) next_offsets: Vec<Option<u64>>,
    /// The first record that could not be delivered.
    pub(super) failure: Option<KafkaError>,
}

/// Context of a transactional producer.
pub(super) struct ProducerEvents {
    pub(super) notes: Notes,
    deliveries: Mutex<Deliveries>,
}

impl ProducerEvents {
    pub(super) fn new(notes: Notes) -> Self {
        Self { notes, deliveries: Mutex::default() }
    }

    /// The deliveries since they were taken last.
    pub(super) fn take_deliveries(&self) -> Deliveries {
        std::mem::take(&mut *lock(&self.deliveries))
    }

    pub(super) fn has_failure(&self) -> bool {
        lock(&self.deliveries).failure.is_some()
    }
}

impl ClientContext for ProducerEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.notes.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.notes.error(&error, reason);
    }
    fn stats(&self, statistics: Statistics) {
        self.notes.statistics(&statistics);
    }
}

impl ProducerContext<NoCustomPartitioner> for ProducerEvents {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: usize) {
        self.notes.seen.fetch_add(1, Ordering::Relaxed);
        let mut deliveries = lock(&self.deliveries);
        match result {
            Ok(message) => {
                let Ok(offset) = u64::try_from(message.offset()) else { return };
                if deliveries.next_offsets.len() <= slot {
                    deliveries.next_offsets.resize(slot + 1, None);
                }
                let next = &mut deliveries.next_offsets[slot];
                *next = (*next).max(Some(offset + 1));
            }
            Err((error, _)) => {
                deliveries.failure.get_or_insert_with(|| error.clone());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
