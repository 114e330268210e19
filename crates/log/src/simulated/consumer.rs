//! A member of a group that reads what it owns, as the consumer for Kafka does: a revocation is answered by the poll after
//! the one that told of it, and a partition delivers nothing before it was sought.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::SimulatedLog;
use super::group::News;
use super::options::{ClientBug, NetworkFault, Step};
use crate::consumer::{AssignmentChange, Consumer, ConsumerOptions, GroupMetadata, Poll, PollLimit};
use crate::error::Error;
use crate::record::{Record, TopicPartition};

pub(super) struct SimulatedConsumer {
    log: SimulatedLog,
    options: ConsumerOptions,
    partitions: u32,
    /// None: it is to join as a stranger.
    member_id: Option<String>,
    /// As the member knows it; below 0 while it is in none.
    generation: i32,
    owned: BTreeSet<u32>,
    /// A revocation that the worker was told of and the group was not answered yet.
    unanswered: bool,
    has_told: bool,
    positions: BTreeMap<TopicPartition, u64>,
    paused: BTreeSet<TopicPartition>,
}

impl SimulatedConsumer {
    pub(super) fn new(log: SimulatedLog, options: ConsumerOptions) -> Result<Self, Error> {
        let partitions = log.lock().partition_count(&options.primary)?;
        for secondary in &options.secondaries {
            let existing = log.lock().partition_count(secondary)?;
            if existing != partitions {
                let topic = secondary.to_string();
                return Err(Error::PartitionCountMismatch { topic, existing, requested: partitions });
            }
        }
        Ok(Self {
            log,
            options,
            partitions,
            member_id: None,
            generation: -1,
            owned: BTreeSet::new(),
            unanswered: false,
            has_told: false,
            positions: BTreeMap::new(),
            paused: BTreeSet::new(),
        })
    }

    fn join(&mut self) {
        let (name, identity) = (&self.options.group, &self.options.identity);
        let id = self.member_id.as_deref();
        let handle = self.log.handle;
        let joined = self.log.lock().join(name, self.partitions, identity, id, handle, &self.owned);
        if joined.is_some() {
            self.member_id = joined;
        }
    }

    fn is_cooperative(&self) -> bool {
        self.log.lock().options.is_cooperative
    }

    /// What the group says, if it says something that concerns the worker.
    fn change(&mut self) -> Result<Option<AssignmentChange>, Error> {
        let Some(member_id) = self.member_id.clone() else {
            self.join();
            return Ok(None);
        };
        let (name, identity) = (&self.options.group, &self.options.identity);
        let news = self.log.lock().news(name, identity, &member_id, self.generation);
        match news {
            None => Ok(None),
            Some(News::Rejoin { generation }) if self.is_cooperative() || self.owned.is_empty() => {
                // It was in that generation, too, whether it looked in time to see it or not.
                if self.generation >= 0 {
                    self.generation = generation;
                }
                self.join();
                Ok(None)
            }
            Some(News::Rejoin { .. }) => {
                let all = std::mem::take(&mut self.owned);
                Ok(Some(self.gives_up(&all, AssignmentChange::Revoked)))
            }
            Some(News::Assigned { generation, numbers }) => Ok(self.assigned(generation, numbers)),
            Some(News::Lost) => {
                self.member_id = None;
                self.generation = -1;
                let all = std::mem::take(&mut self.owned);
                Ok(Some(self.gives_up(&all, AssignmentChange::Lost)))
            }
            Some(News::Replaced) => Err(Error::DuplicateInstance { identity: self.options.identity.clone() }),
        }
    }

    fn assigned(&mut self, generation: i32, numbers: BTreeSet<u32>) -> Option<AssignmentChange> {
        self.generation = generation;
        let revoked: BTreeSet<u32> = self.owned.difference(&numbers).copied().collect();
        if !revoked.is_empty() {
            self.owned.retain(|number| numbers.contains(number));
            return Some(self.gives_up(&revoked, AssignmentChange::Revoked));
        }
        let added: Vec<u32> = numbers.difference(&self.owned).copied().collect();
        self.owned = numbers;
        if added.is_empty() && self.has_told {
            return None;
        }
        self.has_told = true;
        Some(AssignmentChange::Assigned(added))
    }

    fn gives_up(
        &mut self,
        numbers: &BTreeSet<u32>,
        change: fn(Vec<u32>) -> AssignmentChange,
    ) -> AssignmentChange {
        self.positions.retain(|place, _| !numbers.contains(&place.partition));
        self.paused.retain(|place| !numbers.contains(&place.partition));
        self.unanswered = true;
        self.has_told = false;
        change(numbers.iter().copied().collect())
    }

    /// The worker has done what a revocation asks for.
    fn answer(&mut self) {
        self.unanswered = false;
        if self.member_id.is_some() && !self.is_cooperative() {
            // Between two generations.
            self.generation = -1;
        }
        self.join();
    }

    fn fetch(&mut self, limit: PollLimit) -> Result<Vec<Record>, Error> {
        let mut places: Vec<TopicPartition> = self.positions.keys().cloned().collect();
        places.retain(|place| !self.paused.contains(place));
        let mut cluster = self.log.lock();
        let reads_uncommitted = cluster.options.client_bug == Some(ClientBug::ReadsUncommitted);
        let mut records = Vec::new();
        while !places.is_empty() && records.len() < limit.records.max(1) {
            let place = places.swap_remove(cluster.chance.index(places.len()));
            let mut position = self.positions[&place];
            if position > 0 && cluster.partition(&place)?.end() > 0 {
                let is_again = cluster.fires(NetworkFault::DeliveredTwice, self.log.handle);
                if is_again {
                    position = position.saturating_sub(cluster.chance.between(1, 5));
                }
            }
            let most = limit.records.max(1) - records.len();
            let most = cluster.chance.between(1, u64::try_from(most).unwrap_or(1));
            let most = usize::try_from(most).unwrap_or(1);
            let (found, next_offset) = cluster.read(&place, position, most, reads_uncommitted)?;
            records.extend(found);
            self.positions.insert(place, next_offset);
        }
        Ok(records)
    }
}

impl Consumer for SimulatedConsumer {
    fn poll(&mut self, limit: PollLimit, _timeout: Duration) -> Result<Poll, Error> {
        self.log.step(Step::Poll);
        if self.unanswered {
            self.answer();
        }
        if let Some(change) = self.change()? {
            tracing::debug!(identity = self.options.identity, ?change, "is told");
            return Ok(Poll { assignment: vec![change], ..Poll::default() });
        }
        let records = self.fetch(limit)?;
        let mut ends = Vec::new();
        if self.options.report_ends && records.is_empty() {
            let cluster = self.log.lock();
            for (place, position) in self.positions.iter().filter(|(place, _)| !self.paused.contains(*place))
            {
                if *position >= cluster.partition(place)?.stable_end() {
                    ends.push(place.clone());
                }
            }
        }
        Ok(Poll { assignment: Vec::new(), records, ends })
    }

    fn pause(&mut self, partitions: &[TopicPartition]) {
        let owned = partitions.iter().filter(|place| self.owned.contains(&place.partition));
        self.paused.extend(owned.cloned());
    }

    fn resume(&mut self, partitions: &[TopicPartition]) {
        for place in partitions {
            self.paused.remove(place);
        }
    }

    fn seek(&mut self, partition: &TopicPartition, offset: u64) -> Result<(), Error> {
        let is_input =
            partition.topic == self.options.primary || self.options.secondaries.contains(&partition.topic);
        if !is_input || !self.owned.contains(&partition.partition) {
            return Err(Error::NotAssigned { partition: partition.clone() });
        }
        let forgets = self.log.lock().options.client_bug == Some(ClientBug::ForgetsSeek);
        if !(forgets && self.positions.contains_key(partition)) {
            self.positions.insert(partition.clone(), offset);
        }
        tracing::debug!(identity = self.options.identity, %partition, offset, "seeks");
        Ok(())
    }

    fn committed_offsets(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Option<BTreeMap<TopicPartition, u64>>, Error> {
        self.log.step(Step::FetchOffsets);
        let mut cluster = self.log.lock();
        let takes_unstable = cluster.options.client_bug == Some(ClientBug::ReadsUnstableOffsets);
        let found = cluster.group_offsets(&self.options.group, partitions, takes_unstable);
        tracing::debug!(
            now_ms = cluster.now_ms,
            identity = self.options.identity,
            ?found,
            "positions of the group"
        );
        Ok(found)
    }

    fn backlog(&self) -> Vec<(TopicPartition, u64)> {
        let cluster = self.log.lock();
        let behind = |(place, position): (&TopicPartition, &u64)| {
            let end = cluster.partition(place).ok()?.stable_end();
            Some((place.clone(), end.saturating_sub(*position)))
        };
        self.positions.iter().filter_map(behind).collect()
    }

    fn group_metadata(&self) -> Result<GroupMetadata, Error> {
        let cluster = self.log.lock();
        let group = self.options.group.as_str();
        if cluster.options.client_bug == Some(ClientBug::BorrowsMembership) {
            let (generation, id) = cluster.any_member(group).unwrap_or_default();
            return Ok(GroupMetadata::new(group, generation, id));
        }
        Ok(GroupMetadata::new(group, self.generation, self.member_id.clone().unwrap_or_default()))
    }
}
