//! Transactions of one transactional id, as the producer for Kafka makes them: records go out in the background, and
//! whatever a commit loses makes its outcome unknown and the next transaction that of a new epoch.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::cluster::{Event, Offsets, OffsetsError};
use super::coordinator::{Participant, Refusal};
use super::group::OffsetRefusal;
use super::options::{ClientBug, NetworkFault, Step};
use super::partition::Content;
use super::{BACK_OFF_MS, SimulatedLog, content, silence};
use crate::consumer::GroupMetadata;
use crate::error::{CommitError, Error};
use crate::producer::{Committed, TransactionalProducer};
use crate::record::{OutputRecord, TopicPartition};

/// How long a new producer may wait for the cluster to end what the old one left open.
const INIT_TIMEOUT_MS: u64 = 60_000;
/// How long a copy of a request may be under way.
const LATEST_COPY_MS: u64 = 5_000;

/// Why a record could not be written.
enum WriteError {
    Fenced,
    Refused,
}

/// A transactional producer.
pub(super) struct SimulatedProducer {
    log: SimulatedLog,
    transactional_id: String,
    epoch: u32,
    is_open: bool,
    /// Records that did not go out yet.
    waiting: VecDeque<(TopicPartition, Content)>,
    added: BTreeSet<TopicPartition>,
    /// Something was added to a transaction in the cluster.
    has_begun: bool,
    next_offsets: BTreeMap<TopicPartition, u64>,
    failure: Option<WriteError>,
    /// Records of this transaction wait for its commit.
    lingers: bool,
    offsets: Option<(GroupMetadata, BTreeMap<TopicPartition, u64>)>,
    needs_new_epoch: bool,
}

impl SimulatedProducer {
    pub(super) fn new(log: SimulatedLog, transactional_id: &str) -> Result<Self, Error> {
        let epoch = initialized(&log, transactional_id)?;
        Ok(Self {
            log,
            transactional_id: transactional_id.to_owned(),
            epoch,
            is_open: false,
            waiting: VecDeque::new(),
            added: BTreeSet::new(),
            has_begun: false,
            next_offsets: BTreeMap::new(),
            failure: None,
            lingers: false,
            offsets: None,
            needs_new_epoch: false,
        })
    }

    fn fires(&self, fault: NetworkFault) -> bool {
        self.log.lock().fires(fault, self.log.handle)
    }

    fn has_bug(&self, bug: ClientBug) -> bool {
        self.log.lock().options.client_bug == Some(bug)
    }

    fn fence(&self) -> Error {
        Error::ProducerFenced { transactional_id: self.transactional_id.clone() }
    }

    fn refusal(&self, operation: &'static str, what: &str) -> Error {
        Error::Kafka { operation, subject: self.transactional_id.clone(), what: what.to_owned() }
    }

    /// The error of a call that a shut-out producer makes.
    fn refused(&self, operation: &'static str) -> Error {
        match self.log.fenced(&self.transactional_id, self.fence()) {
            CommitError::Fenced { reason } => reason,
            other => self.refusal(operation, &other.reason().to_string()),
        }
    }

    /// Lets the next record go out. False: not now, or there is none.
    fn pump(&mut self) -> bool {
        if self.failure.is_some() {
            return false;
        }
        let Some((place, record)) = self.waiting.pop_front() else { return false };
        if self.fires(NetworkFault::WriteFails) {
            self.failure = Some(WriteError::Refused);
            return false;
        }
        let mut cluster = self.log.lock();
        if !self.added.contains(&place) {
            let participant = Participant::Records(place.clone());
            match cluster.add(&self.transactional_id, self.epoch, participant.clone()) {
                Ok(_) => {}
                Err(Refusal::Busy) => {
                    self.waiting.push_front((place, record));
                    return false;
                }
                Err(Refusal::Fenced) => {
                    self.failure = Some(WriteError::Fenced);
                    return false;
                }
                Err(Refusal::InvalidState) => {
                    self.failure = Some(WriteError::Refused);
                    return false;
                }
            }
            if cluster.fires(NetworkFault::AddPartitionLate, self.log.handle) {
                let in_ms = cluster.chance.between(1, LATEST_COPY_MS);
                let (id, epoch) = (self.transactional_id.clone(), self.epoch);
                cluster.schedule(in_ms, Event::LateAdd { id, epoch, participant });
            }
            self.added.insert(place.clone());
            self.has_begun = true;
        }
        match cluster.append(&self.transactional_id, self.epoch, &place, record) {
            Ok(offset) => {
                self.next_offsets.insert(place, offset + 1);
                true
            }
            Err(Refusal::Fenced) => {
                self.failure = Some(WriteError::Fenced);
                false
            }
            Err(_) => {
                self.failure = Some(WriteError::Refused);
                false
            }
        }
    }

    /// Publishes the positions, then waits until every record is acknowledged.
    fn prepare(&mut self, deadline_ms: u64) -> Result<(), Error> {
        if let Some((group, next_offsets)) = self.offsets.take() {
            self.publish(group, next_offsets, deadline_ms)?;
        }
        self.log.step(Step::Drain);
        loop {
            while self.pump() {
                if self.log.lock().chance.one_in(8) {
                    self.log.step(Step::Drain);
                }
            }
            match self.failure {
                Some(WriteError::Fenced) => return Err(self.fence()),
                Some(WriteError::Refused) => return Err(self.refusal("write", "a record was refused")),
                None if self.waiting.is_empty() => return Ok(()),
                None => {}
            }
            if self.log.lock().now_ms >= deadline_ms {
                return Err(silence("write"));
            }
            self.log.wait(BACK_OFF_MS);
        }
    }

    fn publish(
        &mut self,
        group: GroupMetadata,
        next_offsets: BTreeMap<TopicPartition, u64>,
        deadline_ms: u64,
    ) -> Result<(), Error> {
        self.log.step(Step::PublishOffsets);
        if self.fires(NetworkFault::OffsetsLost) {
            let now_ms = self.log.lock().now_ms;
            self.log.wait(deadline_ms.saturating_sub(now_ms));
            return Err(silence("publish positions"));
        }
        let participant = Participant::Offsets(group.group.clone());
        loop {
            let added = self.log.lock().add(&self.transactional_id, self.epoch, participant.clone());
            match added {
                Ok(_) => {
                    self.has_begun = true;
                    break;
                }
                Err(Refusal::Fenced) => return Err(self.fence()),
                Err(Refusal::InvalidState) => return Err(self.refusal("publish positions", "refused")),
                Err(Refusal::Busy) if self.log.lock().now_ms >= deadline_ms => {
                    return Err(silence("publish positions"));
                }
                Err(Refusal::Busy) => self.log.wait(BACK_OFF_MS),
            }
        }
        self.log.step(Step::PublishOffsets);
        let identity = self.transactional_id.clone();
        let offsets = Offsets { group, identity, next_offsets };
        let mut cluster = self.log.lock();
        let published = cluster.publish(&self.transactional_id, self.epoch, &offsets);
        if published.is_ok() && cluster.fires(NetworkFault::OffsetsLate, self.log.handle) {
            let in_ms = cluster.chance.between(1, LATEST_COPY_MS);
            let (id, epoch) = (self.transactional_id.clone(), self.epoch);
            cluster.schedule(in_ms, Event::LateOffsets { id, epoch, offsets });
        }
        drop(cluster);
        published.map_err(|error| match error {
            OffsetsError::Transaction(Refusal::Fenced) => self.fence(),
            OffsetsError::Group(OffsetRefusal::Replaced) => {
                Error::DuplicateInstance { identity: self.transactional_id.clone() }
            }
            other => self.refusal("publish positions", &format!("{other:?}")),
        })
    }

    /// Asks for the end. From here on a failure says nothing about what became of it.
    fn end(&mut self, deadline_ms: u64) -> Result<(), CommitError> {
        self.log.step(Step::End);
        let unknown = |reason| Err(CommitError::Unknown { reason });
        if self.fires(NetworkFault::EndRequestLost) {
            self.wait_until(deadline_ms);
            return unknown(silence("commit"));
        }
        if self.fires(NetworkFault::EndLate) {
            let bug = self.has_bug(ClientBug::RetriesEnd);
            let mut cluster = self.log.lock();
            let beyond_ms = if bug { 0 } else { deadline_ms.saturating_sub(cluster.now_ms) };
            let in_ms = beyond_ms + cluster.chance.between(1, LATEST_COPY_MS);
            let (id, epoch) = (self.transactional_id.clone(), self.epoch);
            let serial = cluster.serial(&id);
            cluster.schedule(in_ms, Event::LateEnd { id, epoch, serial, is_commit: true });
            drop(cluster);
            if !bug {
                self.wait_until(deadline_ms);
                return unknown(silence("commit"));
            }
        }
        loop {
            let ended = self.log.lock().end(&self.transactional_id, self.epoch, true);
            match ended {
                Ok(_) => break,
                Err(Refusal::Fenced) => return Err(self.log.fenced(&self.transactional_id, self.fence())),
                Err(Refusal::InvalidState) => {
                    return unknown(self.refusal("commit", "no transaction is open"));
                }
                Err(Refusal::Busy) if self.log.lock().now_ms >= deadline_ms => {
                    return unknown(silence("commit"));
                }
                Err(Refusal::Busy) => self.log.wait(BACK_OFF_MS),
            }
        }
        if self.fires(NetworkFault::EndCopied) {
            let mut cluster = self.log.lock();
            let in_ms = cluster.chance.between(1, LATEST_COPY_MS);
            let (id, epoch) = (self.transactional_id.clone(), self.epoch);
            let serial = cluster.serial(&id);
            cluster.schedule(in_ms, Event::LateEnd { id, epoch, serial, is_commit: true });
            drop(cluster);
            self.needs_new_epoch = !self.has_bug(ClientBug::KeepsProducer);
        }
        self.log.step(Step::Ended);
        if self.fires(NetworkFault::EndReplyLost) {
            self.wait_until(deadline_ms);
            return unknown(silence("commit"));
        }
        Ok(())
    }

    fn wait_until(&self, deadline_ms: u64) {
        let now_ms = self.log.lock().now_ms;
        self.log.wait(deadline_ms.saturating_sub(now_ms));
    }

    /// After a failure before the end was asked for.
    fn give_up(&mut self, reason: Error) -> CommitError {
        if matches!(reason, Error::ProducerFenced { .. }) {
            return self.log.fenced(&self.transactional_id, reason);
        }
        let is_aborted = self.abort_open();
        match reason {
            Error::DuplicateInstance { .. } => CommitError::Fenced { reason },
            reason if is_aborted => CommitError::Aborted { reason },
            reason => CommitError::Unknown { reason },
        }
    }

    /// Whether the abort was confirmed.
    fn abort_open(&mut self) -> bool {
        self.log.step(Step::Abort);
        self.waiting.clear();
        if self.fires(NetworkFault::AbortLost) {
            return false;
        }
        let deadline_ms = {
            let cluster = self.log.lock();
            cluster.now_ms + cluster.options.commit_timeout_ms
        };
        if !self.has_begun {
            // Nothing was begun in the cluster, as far as this client knows.
            return true;
        }
        loop {
            let ended = self.log.lock().end(&self.transactional_id, self.epoch, false);
            match ended {
                Ok(_) => return true,
                Err(Refusal::Busy) if self.log.lock().now_ms < deadline_ms => self.log.wait(BACK_OFF_MS),
                Err(_) => return false,
            }
        }
    }

    fn forget(&mut self) {
        self.waiting.clear();
        self.added.clear();
        self.has_begun = false;
        self.next_offsets.clear();
        self.failure = None;
        self.offsets = None;
    }
}

impl TransactionalProducer for SimulatedProducer {
    fn begin(&mut self) -> Result<(), Error> {
        self.log.step(Step::Begin);
        if self.is_open {
            return Err(Error::InvalidState { what: "begin needs the last transaction to be over" });
        }
        if self.needs_new_epoch {
            self.epoch = initialized(&self.log, &self.transactional_id)?;
            self.needs_new_epoch = false;
            self.log.lock().note("a producer was renewed after a disturbed commit");
        }
        self.forget();
        self.lingers = self.log.lock().chance.one_in(3);
        self.is_open = true;
        Ok(())
    }

    fn send(&mut self, record: &OutputRecord<'_>) -> Result<(), Error> {
        if !self.is_open {
            return Err(Error::InvalidState { what: "send needs an open transaction" });
        }
        let is_step = self.log.lock().chance.one_in(16);
        if is_step {
            self.log.step(Step::Send);
        }
        if matches!(self.failure, Some(WriteError::Fenced)) {
            return Err(self.refused("write"));
        }
        let place = TopicPartition::new(record.topic.clone(), record.partition);
        self.log.lock().partition(&place)?;
        self.waiting.push_back((place, content(record)));
        // In the background, sooner or later.
        let goes_out = if self.lingers { 0 } else { self.log.lock().chance.below(4) };
        for _ in 0..goes_out {
            if !self.pump() {
                break;
            }
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
        if next_offsets.is_empty() {
            return Ok(());
        }
        let (metadata, offsets) = self.offsets.get_or_insert_with(|| (group.clone(), BTreeMap::new()));
        *metadata = group.clone();
        offsets.extend(next_offsets.iter().cloned());
        Ok(())
    }

    fn commit(&mut self) -> Result<Committed, CommitError> {
        if !self.is_open {
            let reason = Error::InvalidState { what: "commit needs an open transaction" };
            return Err(CommitError::Fatal { reason });
        }
        self.is_open = false;
        let deadline_ms = {
            let cluster = self.log.lock();
            cluster.now_ms + cluster.options.commit_timeout_ms
        };
        if let Err(reason) = self.prepare(deadline_ms) {
            return Err(self.give_up(reason));
        }
        self.end(deadline_ms)?;
        Ok(Committed { next_offsets: std::mem::take(&mut self.next_offsets) })
    }

    fn abort(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.is_open) && !self.abort_open() {
            self.needs_new_epoch = true;
        }
        self.forget();
        Ok(())
    }
}

impl Drop for SimulatedProducer {
    fn drop(&mut self) {
        // A process that was killed ends nothing.
        if self.is_open && !self.log.is_dead() && !std::thread::panicking() {
            let mut cluster = self.log.lock();
            if self.has_begun {
                // Whether it is there to be aborted or not: the next producer sees to it.
                let _ = cluster.end(&self.transactional_id, self.epoch, false);
            }
        }
    }
}

/// Takes the transactional id over. Waits while the cluster ends what an older producer left.
fn initialized(log: &SimulatedLog, transactional_id: &str) -> Result<u32, Error> {
    log.step(Step::Init);
    let deadline_ms = log.lock().now_ms + INIT_TIMEOUT_MS;
    loop {
        let taken = log.lock().init(transactional_id);
        match taken {
            Ok((_, epoch)) => return Ok(epoch),
            Err(_) if log.lock().now_ms >= deadline_ms => {
                return Err(silence("take over a transactional id"));
            }
            Err(_) => log.wait(BACK_OFF_MS * 5),
        }
    }
}
