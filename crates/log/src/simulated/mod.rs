//! A cluster in memory that does what Kafka does with transactions and groups, on a virtual clock, and goes wrong where it
//! is told to: for simulations. One seed decides every delay and every order.
//!
//! Owns the semantics (docs/correctness.md lists them): producer epochs, what a new producer shuts out, generations and
//! the check of them with a transaction's positions, pending positions, markers that reach partitions one by one, the last
//! stable offset, transactions that run out of time. Clients behave as those of [`crate::kafka`] do. Must not know what a
//! record means, nor who drives the simulation: it only tells a [`Conductor`] where a client stands.
//!
//! - `cluster`: the state and what is under way; `coordinator`: transactions; `group`: groups; `partition`: records
//! - `producer`, `consumer`, `reader`: the clients
//! - `options`: settings, faults and deliberate bugs; `chance`: the choices

mod chance;
mod cluster;
mod consumer;
mod coordinator;
mod group;
mod options;
mod partition;
mod producer;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

pub use self::chance::Chance;
use self::cluster::Cluster;
pub use self::cluster::CommittedTransaction;
pub use self::options::{ClientBug, NetworkFault, SimulatedOptions, Step};
use self::partition::{Content, Fate, index};
use crate::consumer::{Consumer, ConsumerOptions};
use crate::error::{CommitError, Error};
use crate::log::{CreateOutcome, Log, Reader, TopicDescription, TopicSettings};
use crate::producer::TransactionalProducer;
use crate::record::{OutputRecord, Record, TopicPartition};

/// A transactional id that was taken away this often within [`FENCE_WINDOW_MS`] belongs to somebody else, too: as on
/// Kafka.
const MOST_FENCES: usize = 3;
const FENCE_WINDOW_MS: u64 = 300_000;
/// Time between two attempts of a client where the cluster asks it to wait.
const BACK_OFF_MS: u64 = 20;

/// Who drives a simulation. Both calls may let virtual time pass and others go on, and may unwind, which ends the
/// process there.
pub trait Conductor: Send + Sync {
    /// A client of this process stands before a step.
    fn step(&self, handle: u64, step: Step);

    /// A client of this process waits for so many milliseconds.
    fn wait(&self, handle: u64, millis: u64);
}

/// The cluster. Clones share it.
#[derive(Clone)]
pub struct SimulatedCluster {
    cluster: Arc<Mutex<Cluster>>,
    conductor: Arc<Mutex<Option<Arc<dyn Conductor>>>>,
}

impl SimulatedCluster {
    /// An empty cluster at time 0.
    pub fn new(options: SimulatedOptions) -> Self {
        Self { cluster: Arc::new(Mutex::new(Cluster::new(options))), conductor: Arc::default() }
    }

    /// Whoever drives it from here on. Without one, time passes only while a client waits.
    pub fn set_conductor(&self, conductor: Option<Arc<dyn Conductor>>) {
        *self.conductor.lock().unwrap_or_else(PoisonError::into_inner) = conductor;
    }

    /// The cluster as a process sees it. Each start of a process has a handle of its own.
    pub fn log(&self, handle: u64) -> SimulatedLog {
        SimulatedLog { cluster: self.clone(), handle, fences: Arc::default() }
    }

    /// The virtual time.
    pub fn now_ms(&self) -> u64 {
        self.lock().now_ms
    }

    /// Lets everything happen that is due until then.
    pub fn advance_to(&self, until_ms: u64) {
        self.lock().advance_to(until_ms);
    }

    /// When the next thing happens by itself.
    pub fn next_event_ms(&self) -> Option<u64> {
        self.lock().next_event_ms()
    }

    /// Appends a record outside of any transaction, as upstream teams do. Returns its offset.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::PartitionOutOfRange`].
    pub fn append(&self, record: &OutputRecord<'_>) -> Result<u64, Error> {
        let place = TopicPartition::new(record.topic.clone(), record.partition);
        Ok(self.lock().partition_mut(&place)?.append(content(record)))
    }

    /// Lets something go wrong at the next occasion, for one process or for any.
    pub fn arm(&self, fault: NetworkFault, handle: Option<u64>) {
        self.lock().arm(fault, handle);
    }

    /// What was armed and did not happen does not happen any more.
    pub fn disarm(&self) {
        self.lock().disarm();
    }

    /// What went wrong so far.
    pub fn fired(&self) -> BTreeMap<NetworkFault, u64> {
        self.lock().fired.clone()
    }

    /// What happened so far, and how often.
    pub fn transitions(&self) -> BTreeMap<&'static str, u64> {
        self.lock().transitions.clone()
    }

    /// The process falls silent: it sends no heartbeats.
    pub fn suspend(&self, handle: u64) {
        self.lock().silence(handle, false);
    }

    /// It goes on.
    pub fn resume(&self, handle: u64) {
        self.lock().wake(handle);
    }

    /// It is killed: nothing that it had open is ended by it.
    pub fn kill(&self, handle: u64) {
        self.lock().silence(handle, true);
    }

    /// Transactions whose commit was decided since the last call.
    pub fn take_committed(&self) -> Vec<CommittedTransaction> {
        self.lock().committed.drain(..).collect()
    }

    /// Whether no transaction is open and no marker is under way.
    pub fn is_settled(&self) -> bool {
        self.lock().is_settled()
    }

    /// The committed records of a partition from an offset on.
    pub fn committed_records(&self, partition: &TopicPartition, from_offset: u64) -> Vec<Record> {
        let cluster = self.lock();
        cluster
            .read(partition, from_offset, usize::MAX, false)
            .map(|(records, _)| records)
            .unwrap_or_default()
    }

    /// The end of a partition, with everything that stands in it.
    pub fn end(&self, partition: &TopicPartition) -> u64 {
        self.lock().partition(partition).map_or(0, partition::Partition::end)
    }

    /// A record at an offset, whatever became of its transaction.
    pub fn record(&self, partition: &TopicPartition, offset: u64) -> Option<Record> {
        self.lock().record(partition, offset)
    }

    /// What became of an entry: "open", "committed", "aborted" or "marker"; "absent" where nothing stands.
    pub fn fate(&self, partition: &TopicPartition, offset: u64) -> &'static str {
        let cluster = self.lock();
        let found = cluster.partition(partition).ok().and_then(|found| found.entries.get(index(offset)));
        found.map_or("absent", |entry| entry.fate.as_str())
    }

    /// Damages a record: from here on it has this value. False: no committed record stands there.
    pub fn damage(&self, place: &TopicPartition, offset: u64, value: Vec<u8>) -> bool {
        let mut cluster = self.lock();
        let Ok(partition) = cluster.partition_mut(place) else { return false };
        match partition.entries.get_mut(index(offset)) {
            Some(entry) if entry.fate == Fate::Committed => {
                entry.content.value = Some(Bytes::from(value));
                true
            }
            _ => false,
        }
    }

    /// Tells everything that stands in the partitions, in order, and what became of it.
    pub fn visit(&self, each: &mut dyn FnMut(&Record, &'static str)) {
        let cluster = self.lock();
        for (topic, partitions) in cluster.topics() {
            for (number, partition) in (0..).zip(partitions) {
                let place = TopicPartition::new(topic.clone(), number);
                for (offset, entry) in (0..).zip(&partition.entries) {
                    if let Some(record) = cluster.record(&place, offset) {
                        each(&record, entry.fate.as_str());
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        // A simulated crash unwinds between calls, never while the lock is held.
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn conductor(&self) -> Option<Arc<dyn Conductor>> {
        self.conductor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A cluster as one process sees it.
#[derive(Clone)]
pub struct SimulatedLog {
    cluster: SimulatedCluster,
    handle: u64,
    /// When producers of a transactional id were shut out.
    fences: Arc<Mutex<BTreeMap<String, Vec<u64>>>>,
}

impl SimulatedLog {
    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock()
    }

    fn step(&self, step: Step) {
        if let Some(conductor) = self.cluster.conductor() {
            conductor.step(self.handle, step);
        }
    }

    fn wait(&self, millis: u64) {
        match self.cluster.conductor() {
            Some(conductor) => conductor.wait(self.handle, millis),
            None => {
                let mut cluster = self.lock();
                let until_ms = cluster.now_ms + millis;
                cluster.advance_to(until_ms);
            }
        }
    }

    fn is_dead(&self) -> bool {
        self.lock().is_dead(self.handle)
    }

    /// As on Kafka: one that slept begins again, one of two with the same identity ends.
    fn fenced(&self, transactional_id: &str, reason: Error) -> CommitError {
        let now_ms = self.lock().now_ms;
        let mut fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        let of_this = fences.entry(transactional_id.to_owned()).or_default();
        of_this.retain(|moment| now_ms - moment < FENCE_WINDOW_MS);
        of_this.push(now_ms);
        if of_this.len() >= MOST_FENCES {
            CommitError::Fenced { reason }
        } else {
            CommitError::Unknown { reason }
        }
    }
}

impl Log for SimulatedLog {
    fn describe(&self) -> String {
        "simulated cluster".to_owned()
    }

    fn topics(&self) -> Result<Vec<TopicDescription>, Error> {
        let cluster = self.lock();
        let count = |partitions: &Vec<_>| u32::try_from(partitions.len()).unwrap_or(u32::MAX);
        let described = cluster
            .topics()
            .iter()
            .map(|(name, partitions)| TopicDescription { name: name.clone(), partitions: count(partitions) });
        Ok(described.collect())
    }

    fn topic_settings(&self, names: &[&str]) -> Result<Vec<TopicSettings>, Error> {
        let topics = self.topics()?.into_iter().filter(|topic| names.contains(&&*topic.name));
        let settings = topics.map(|topic| TopicSettings {
            identity: format!("simulated-{}", topic.name),
            name: topic.name,
            partitions: topic.partitions,
            retention_ms: Some(-1),
            retention_bytes: Some(-1),
            cleanup_policy: Some("delete".to_owned()),
            may_read: true,
            may_write: true,
        });
        Ok(settings.collect())
    }

    fn create_topic(&self, name: &str, partitions: u32) -> Result<CreateOutcome, Error> {
        let mut cluster = self.lock();
        match cluster.partition_count(name) {
            Ok(existing) if existing == partitions => Ok(CreateOutcome::Exists),
            Ok(existing) => {
                Err(Error::PartitionCountMismatch { topic: name.to_owned(), existing, requested: partitions })
            }
            Err(_) => {
                cluster.create_topic(name, partitions);
                Ok(CreateOutcome::Created)
            }
        }
    }

    fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>, Error> {
        Ok(Box::new(consumer::SimulatedConsumer::new(self.clone(), options)?))
    }

    fn producer(&self, transactional_id: &str) -> Result<Box<dyn TransactionalProducer>, Error> {
        Ok(Box::new(producer::SimulatedProducer::new(self.clone(), transactional_id)?))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(reader::SimulatedReader::new(self.clone())))
    }
}

fn content(record: &OutputRecord<'_>) -> Content {
    Content {
        timestamp_ms: record.timestamp_ms,
        key: record.key.map(Bytes::copy_from_slice),
        value: record.value.map(Bytes::copy_from_slice),
        headers: record.headers.to_vec(),
    }
}

/// What a client says when nobody answers it.
fn silence(operation: &'static str) -> Error {
    Error::Unreachable { brokers: "simulated".to_owned(), operation, what: "no answer in time".to_owned() }
}
