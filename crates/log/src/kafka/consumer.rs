//! A member of a group, and the fetching of what it owns.
//!
//! Two clients of librdkafka. The *member* joins the group, is told which partitions it owns, and fetches nothing. The
//! *fetcher* reads the partitions that the worker has restored, from positions of the state. So no record can arrive
//! before its partition was sought, whatever the group does, and the co-partitioned secondaries, which no group assigns,
//! follow the primary by themselves.
//!
//! A revocation is acknowledged by the poll after the one that told of it: until then the group waits, and the worker can
//! still commit in its generation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::events::ReaderEvents;
use super::fetcher::{self, Fetcher};
use super::member::Member;
use super::native;
use super::problems::{Errors, code_of};
use super::time::now;
use crate::consumer::{AssignmentChange, Consumer, ConsumerOptions, GroupMetadata, Poll, PollLimit};
use crate::error::Error;
use crate::record::TopicPartition;

/// Events of the member that one poll serves, at most.
const MEMBER_EVENTS: u32 = 16;
/// Changes of the assignment that are carried out before a member goes away: there is one, or it was given up again.
const CHANGES_AT_THE_END: u32 = 4;
/// How long one look at the group's offsets may take; the worker asks again.
const OFFSETS_TIMEOUT: Duration = Duration::from_millis(500);

/// Time between two questions for the end of one partition.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// A consumer on Kafka.
pub(super) struct KafkaConsumer {
    member: Member,
    fetcher: Fetcher,
    options: ConsumerOptions,
    errors: Errors,
    assigned: BTreeSet<u32>,
    paused: BTreeSet<TopicPartition>,
    /// When the end of a partition was asked for last.
    asked_at: BTreeMap<TopicPartition, Instant>,
    /// A revocation that the worker was told of and the group was not answered yet.
    unanswered: bool,
}

impl KafkaConsumer {
    pub(super) fn new(
        member: Member,
        fetcher: Fetcher,
        options: ConsumerOptions,
        errors: Errors,
    ) -> Result<Self, Error> {
        member
            .subscribe(&[&options.primary])
            .map_err(|error| errors.of("subscribe", &options.primary, &error))?;
        // While the group decides who owns what.
        for topic in std::iter::once(&options.primary).chain(&options.secondaries) {
            fetcher.learn(topic)?;
        }
        let (assigned, paused) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self {
            member,
            fetcher,
            options,
            errors,
            assigned,
            paused,
            asked_at: BTreeMap::new(),
            unanswered: false,
        })
    }

    /// Serves what the group says. At most one change is returned: the group says no more before it is answered.
    fn serve_member(&mut self, timeout: Duration) -> Result<Option<AssignmentChange>, Error> {
        let mut wait = timeout;
        for _ in 0..MEMBER_EVENTS {
            let event = self.member.poll(wait);
            wait = Duration::ZERO;
            if let Some(change) = self.member.client().context().next_change() {
                return self.changed(change).map(Some);
            }
            match event {
                Some(Err(error)) => self.member_failed(&error)?,
                // The member fetches nothing; what it returns is an event.
                Some(Ok(_)) => {}
                None => {
                    if timeout.is_zero() {
                        continue;
                    }
                    break;
                }
            }
        }
        Ok(None)
    }

    fn changed(&mut self, change: AssignmentChange) -> Result<AssignmentChange, Error> {
        tracing::info!(group = self.options.group, identity = self.options.identity, ?change, "assignment");
        match &change {
            AssignmentChange::Assigned(numbers) => {
                self.assigned.extend(numbers);
                // Nothing to wait for: the fetcher starts a partition when it is sought.
                self.answer(true)?;
            }
            AssignmentChange::Revoked(numbers) | AssignmentChange::Lost(numbers) => {
                for number in numbers {
                    self.assigned.remove(number);
                }
                let gone: Vec<TopicPartition> = self
                    .fetcher
                    .partitions()
                    .filter(|partition| numbers.contains(&partition.partition))
                    .cloned()
                    .collect();
                self.fetcher.stop(&gone)?;
                self.paused.retain(|partition| !numbers.contains(&partition.partition));
                self.unanswered = true;
            }
        }
        Ok(change)
    }

    /// Tells the group that its change was carried out. The lists are empty: the member itself reads nothing.
    fn answer(&mut self, is_assignment: bool) -> Result<(), Error> {
        self.unanswered = false;
        let nothing = TopicPartitionList::new();
        let answered = match (self.member.rebalance_protocol(), is_assignment) {
            (RebalanceProtocol::Cooperative, true) => self.member.incremental_assign(&nothing),
            (RebalanceProtocol::Cooperative, false) => self.member.incremental_unassign(&nothing),
            (_, true) => self.member.assign(&nothing),
            (_, false) => self.member.unassign(),
        };
        answered.map_err(|error| self.error("answer a rebalance", &error))
    }

    /// Errors that end the member are returned, the others are retried by librdkafka.
    fn member_failed(&self, error: &KafkaError) -> Result<(), Error> {
        use RDKafkaErrorCode as Code;
        if let Some((code, what)) = native::fatal_error(self.member.client()) {
            tracing::debug!(?code, what, "the member ended");
            return Err(self.error("stay in the group", &KafkaError::Global(code)));
        }
        match code_of(error) {
            Some(
                Code::GroupAuthorizationFailed
                | Code::TopicAuthorizationFailed
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::FencedInstanceId
                | Code::InconsistentGroupProtocol
                | Code::UnsupportedVersion
                | Code::InvalidSessionTimeout,
            ) => Err(self.error("join the group", error)),
            code => {
                tracing::debug!(?code, %error, "the group is tried again");
                Ok(())
            }
        }
    }

    fn error(&self, operation: &'static str, error: &KafkaError) -> Error {
        use RDKafkaErrorCode as Code;
        let subject = match code_of(error) {
            Some(Code::FencedInstanceId) => &*self.options.identity,
            Some(Code::TopicAuthorizationFailed | Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                &*self.options.primary
            }
            _ => &*self.options.group,
        };
        self.errors.of(operation, subject, error)
    }

    /// Partitions at whose committed end the reading stands now. It asks the cluster, each partition now and then, and
    /// only where the last fetch left nothing: for runs that end there.
    fn ends(&mut self) -> Result<Vec<TopicPartition>, Error> {
        let behind: BTreeMap<TopicPartition, u64> = self.fetcher.backlog().into_iter().collect();
        let mut ends = Vec::new();
        for partition in self.fetcher.partitions().filter(|partition| !self.paused.contains(*partition)) {
            let has_more = behind.get(partition).is_some_and(|records| *records > 0);
            let was_asked = self.asked_at.get(partition).is_some_and(|moment| moment.elapsed() < ASK_AGAIN);
            if has_more || was_asked {
                continue;
            }
            self.asked_at.insert(partition.clone(), now());
            let (_, end) = self.fetcher.bounds(partition)?;
            if self.fetcher.position(partition) >= end {
                ends.push(partition.clone());
            }
        }
        Ok(ends)
    }
}

impl Consumer for KafkaConsumer {
    fn poll(&mut self, limit: PollLimit, timeout: Duration) -> Result<Poll, Error> {
        if self.unanswered {
            self.answer(false)?;
        }
        let is_reading = self.fetcher.partitions().next().is_some();
        if let Some(change) = self.serve_member(if is_reading { Duration::ZERO } else { timeout })? {
            return Ok(Poll { assignment: vec![change], ..Poll::default() });
        }
        if !is_reading {
            return Ok(Poll::default());
        }
        let records = self.fetcher.poll(limit, timeout)?;
        let ends = if self.options.report_ends && records.is_empty() { self.ends()? } else { Vec::new() };
        Ok(Poll { assignment: Vec::new(), records, ends })
    }

    fn pause(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            if self.assigned.contains(&partition.partition) && self.paused.insert(partition.clone()) {
                self.fetcher.pause(partition);
            }
        }
    }

    fn resume(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            if self.paused.remove(partition) {
                self.fetcher.resume(partition);
            }
        }
    }

    fn seek(&mut self, partition: &TopicPartition, offset: u64) -> Result<(), Error> {
        let is_input =
            partition.topic == self.options.primary || self.options.secondaries.contains(&partition.topic);
        if !is_input || !self.assigned.contains(&partition.partition) {
            return Err(Error::NotAssigned { partition: partition.clone() });
        }
        self.fetcher.start(partition, offset)?;
        match self.paused.contains(partition) {
            true => self.fetcher.pause(partition),
            false => self.fetcher.resume(partition),
        }
        Ok(())
    }

    fn backlog(&self) -> Vec<(TopicPartition, u64)> {
        self.fetcher.backlog()
    }

    fn group_metadata(&self) -> Result<GroupMetadata, Error> {
        let (generation, member_id) = native::membership(self.member.client());
        let metadata = GroupMetadata::new(self.options.group.as_str(), generation, member_id);
        Ok(match self.member.group_metadata() {
            Some(native) => metadata.with_native(Arc::new(native)),
            None => metadata,
        })
    }

    fn committed_offsets(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Option<BTreeMap<TopicPartition, u64>>, Error> {
        match stable_offsets(self.fetcher.consumer(), partitions) {
            Ok(offsets) => Ok(Some(offsets)),
            Err(error) => self.offsets_failed(&error).map(|()| None),
        }
    }
}

/// The committed positions of the client's group, those without one left out.
pub(super) fn stable_offsets(
    client: &BaseConsumer<ReaderEvents>,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, u64>, KafkaError> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        fetcher::add(&mut list, partition, None);
    }
    // The client reads committed records only, so that librdkafka asks for stable offsets.
    let found = client.committed_offsets(list, OFFSETS_TIMEOUT)?;
    let mut offsets = BTreeMap::new();
    for (partition, element) in partitions.iter().zip(found.elements()) {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(partition.clone(), u64::try_from(offset).unwrap_or(0));
        }
    }
    Ok(offsets)
}

impl KafkaConsumer {
    /// Offsets that an open transaction may still change, or that nobody could tell yet, are asked for again.
    fn offsets_failed(&self, error: &KafkaError) -> Result<(), Error> {
        use RDKafkaErrorCode as Code;
        match code_of(error) {
            Some(Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed) => {
                Err(self.error("read the group's offsets", error))
            }
            code => {
                tracing::debug!(?code, group = self.options.group, "the group's offsets are not known yet");
                Ok(())
            }
        }
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        // What the group says is answered as long as it is there to hear it. Whether this works or not, the client goes
        // away: there is nobody to tell of an error.
        for _ in 0..CHANGES_AT_THE_END {
            if self.unanswered && self.answer(false).is_err() {
                return;
            }
            if !matches!(self.serve_member(Duration::ZERO), Ok(Some(_))) {
                return;
            }
        }
    }
}
