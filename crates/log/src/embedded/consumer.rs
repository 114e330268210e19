//! A member of a group on the embedded log, with a static assignment.
//!
//! Owns positions, pauses and turns. Member `ordinal` of `count` has the partitions whose number modulo
//! `count` is `ordinal`, for ever; nothing is revoked or lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::check_name;
use super::cursor::{Budget, Cursor, check_position};
use super::index::Index;
use super::shared::Shared;
use crate::consumer::{AssignmentChange, Consumer, ConsumerOptions, GroupMetadata, Poll, PollLimit};
use crate::error::Error;
use crate::record::{Record, TopicPartition};

/// The generation of every group: membership never changes.
const GENERATION: i32 = 1;

pub(super) struct EmbeddedConsumer {
    shared: Arc<Shared>,
    options: ConsumerOptions,
    /// Partition numbers to announce with the first poll.
    unannounced: Option<Vec<u32>>,
    /// Empty before the first poll. Sorted by number, then primary before secondaries: that is the
    /// order of turns.
    assigned: Vec<AssignedPartition>,
    /// Whose turn is first in the next poll.
    next_turn: usize,
}

struct AssignedPartition {
    partition: TopicPartition,
    /// `None` until the first seek.
    cursor: Option<Cursor>,
    paused: bool,
    /// Whether the end at the present position was reported since it was reached.
    end_reported: bool,
}

impl AssignedPartition {
    /// The cursor, if the partition may deliver.
    fn active(&self) -> Option<&Cursor> {
        self.cursor.as_ref().filter(|_| !self.paused)
    }

    fn has_news(&self, index: &Index) -> bool {
        let Some(cursor) = self.active() else {
            return false;
        };
        !self.end_reported || !is_at_end(cursor, index)
    }
}

fn is_at_end(cursor: &Cursor, index: &Index) -> bool {
    index.end_offset(cursor.partition()).is_ok_and(|end| end == cursor.position())
}

impl EmbeddedConsumer {
    pub(super) fn new(shared: Arc<Shared>, options: ConsumerOptions) -> Result<Self, Error> {
        check_name("the name of a group", &options.group)?;
        let member = options.member;
        if member.ordinal >= member.count {
            let what = format!(
                "member {} of {} does not exist: ordinals are below the count",
                member.ordinal, member.count
            );
            return Err(Error::InvalidArgument { what });
        }
        let partitions = shared.index().partition_count(&options.primary)?;
        for secondary in &options.secondaries {
            let existing = shared.index().partition_count(secondary)?;
            if existing != partitions {
                let topic = secondary.to_string();
                return Err(Error::PartitionCountMismatch { topic, existing, requested: partitions });
            }
        }
        let is_ours = |partition: &u32| partition % member.count == member.ordinal;
        let unannounced = Some((0..partitions).filter(is_ours).collect());
        Ok(Self { shared, options, unannounced, assigned: Vec::new(), next_turn: 0 })
    }

    fn assign(&mut self, partitions: &[u32]) {
        for &number in partitions {
            for topic in std::iter::once(&self.options.primary).chain(&self.options.secondaries) {
                let partition = TopicPartition::new(topic.clone(), number);
                let assigned =
                    AssignedPartition { partition, cursor: None, paused: false, end_reported: false };
                self.assigned.push(assigned);
            }
        }
    }

    fn set_paused(&mut self, partitions: &[TopicPartition], paused: bool) {
        for assigned in &mut self.assigned {
            if partitions.contains(&assigned.partition) {
                assigned.paused = paused;
                assigned.end_reported = false;
            }
        }
    }

    /// Collects records in turns. An error after the first record is left to the next poll, whose first
    /// turn meets it again: otherwise the records collected so far would be lost.
    fn fill(&mut self, limit: PollLimit) -> Result<Vec<Record>, Error> {
        let mut budget = Budget::new(limit);
        let mut records = Vec::new();
        let active_count = self.assigned.iter().filter(|assigned| assigned.active().is_some()).count();
        let turn_records = (limit.records / active_count.max(1)).max(1);
        let mut idle_turns = 0;
        while idle_turns < self.assigned.len() && !budget.is_spent() {
            let turn = self.next_turn;
            self.next_turn = (turn + 1) % self.assigned.len();
            match self.take_turn(turn, turn_records, &mut budget, &mut records) {
                Ok(0) => idle_turns += 1,
                Ok(_) => idle_turns = 0,
                Err(error) => {
                    self.next_turn = turn;
                    if records.is_empty() {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        Ok(records)
    }

    fn take_turn(
        &mut self,
        turn: usize,
        most_records: usize,
        budget: &mut Budget,
        records: &mut Vec<Record>,
    ) -> Result<usize, Error> {
        let assigned = &mut self.assigned[turn];
        let Some(cursor) = assigned.cursor.as_mut().filter(|_| !assigned.paused) else {
            return Ok(0);
        };
        let mut taken = 0;
        while taken < most_records
            && !budget.is_spent()
            && let Some(record) = cursor.next(&self.shared)?
        {
            budget.spend(&record);
            records.push(record);
            assigned.end_reported = false;
            taken += 1;
        }
        Ok(taken)
    }

    fn ends(&mut self) -> Vec<TopicPartition> {
        let index = self.shared.index();
        let mut ends = Vec::new();
        for assigned in &mut self.assigned {
            if assigned.active().is_some_and(|cursor| is_at_end(cursor, &index)) {
                assigned.end_reported = true;
                ends.push(assigned.partition.clone());
            }
        }
        ends
    }
}

impl Consumer for EmbeddedConsumer {
    fn poll(&mut self, limit: PollLimit, timeout: Duration) -> Result<Poll, Error> {
        if let Some(partitions) = self.unannounced.take() {
            self.assign(&partitions);
            let assignment = vec![AssignmentChange::Assigned(partitions)];
            return Ok(Poll { assignment, ..Poll::default() });
        }
        let assigned = &self.assigned;
        self.shared.wait_until(timeout, |index| assigned.iter().any(|assigned| assigned.has_news(index)));
        let records = self.fill(limit)?;
        let ends = self.ends();
        Ok(Poll { assignment: Vec::new(), records, ends })
    }

    fn pause(&mut self, partitions: &[TopicPartition]) {
        self.set_paused(partitions, true);
    }

    fn resume(&mut self, partitions: &[TopicPartition]) {
        self.set_paused(partitions, false);
    }

    fn seek(&mut self, partition: &TopicPartition, offset: u64) -> Result<(), Error> {
        let found = self.assigned.iter_mut().find(|assigned| assigned.partition == *partition);
        let Some(assigned) = found else {
            return Err(Error::NotAssigned { partition: partition.clone() });
        };
        check_position(&self.shared.index(), partition, offset)?;
        assigned.cursor = Some(Cursor::new(partition.clone(), offset));
        assigned.end_reported = false;
        Ok(())
    }

    fn backlog(&self) -> Vec<(TopicPartition, u64)> {
        let index = self.shared.index();
        let cursors = self.assigned.iter().filter_map(|assigned| assigned.cursor.as_ref());
        let behind = |cursor: &Cursor| {
            let end = index.end_offset(cursor.partition()).ok()?;
            Some((cursor.partition().clone(), end.saturating_sub(cursor.position())))
        };
        cursors.filter_map(behind).collect()
    }

    fn committed_offsets(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Option<BTreeMap<TopicPartition, u64>>, Error> {
        let mut positions = self.shared.index().positions(&self.options.group);
        positions.retain(|partition, _| partitions.contains(partition));
        Ok(Some(positions))
    }

    fn group_metadata(&self) -> Result<GroupMetadata, Error> {
        let member_id = format!("{}-{}", self.options.group, self.options.member.ordinal);
        Ok(GroupMetadata::new(self.options.group.as_str(), GENERATION, member_id))
    }
}
