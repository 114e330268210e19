//! Reading as a member of a group: assignment, positions, bounded polls.
//!
//! Owns the trait [`Consumer`] and what goes in and out of it. Must not know how a group agrees on its
//! assignment, nor where positions are kept: those come from the worker's state.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::record::{Record, TopicName, TopicPartition};

/// Which place a worker has among the workers of its stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// From 0.
    pub ordinal: u32,
    /// How many workers there are; at least 1.
    pub count: u32,
}

/// What to consume, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// Name of the group.
    pub group: String,
    /// The topic whose partitions are assigned.
    pub primary: TopicName,
    /// Topics with the same number of partitions; they follow the assignment of the primary.
    pub secondaries: Vec<TopicName>,
    /// The member's place. A log with dynamic assignment uses it for a stable identity only.
    pub member: Member,
    /// Stable name of the member among all processes: under it a restarted member is known again.
    pub identity: String,
    /// Whether [`Poll::ends`] is asked for. It may cost a question to the log for each partition that is idle.
    pub report_ends: bool,
}

/// The most that one poll or read may return. A single record is returned whatever its size, and the
/// last record may go beyond `bytes`: a record that is larger than the limit cannot block its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollLimit {
    /// Records; 0 counts as 1.
    pub records: usize,
    /// Bytes of keys, values and headers.
    pub bytes: usize,
}

/// What one poll brought. The assignment changes come before the records.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Poll {
    /// Changes of the assignment, in order.
    pub assignment: Vec<AssignmentChange>,
    /// Records, in order within each partition.
    pub records: Vec<Record>,
    /// Partitions whose committed end was reached with this poll: nothing is left to read there now.
    /// Only if [`ConsumerOptions::report_ends`] asks for it.
    /// A partition is named again by each later poll while it is un-paused and still at its end.
    pub ends: Vec<TopicPartition>,
}

/// A change of the assignment, in partition numbers of the primary topic; the secondaries follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssignmentChange {
    /// These were added, perhaps none: then the member has joined and owns nothing more than before. Each delivers nothing until [`Consumer::seek`] gave it a position.
    Assigned(Vec<u32>),
    /// These are to be given up. The next poll acknowledges it: finish or abort the transaction before.
    Revoked(Vec<u32>),
    /// These are gone already, perhaps to another member: only abort.
    Lost(Vec<u32>),
}

/// The member's identity in its group, which every transaction sends along with positions: a zombie is
/// refused by its old generation. It changes with a rebalance: fetch it for each commit.
#[derive(Clone)]
pub struct GroupMetadata {
    /// Name of the group.
    pub group: String,
    /// Generation of the group; below 0 means that the member is in no generation.
    pub generation: i32,
    /// Id of the member; empty means that it has not joined.
    pub member_id: String,
    native: Option<Arc<dyn Any + Send + Sync>>,
}

impl GroupMetadata {
    /// Metadata of a member.
    pub fn new(group: impl Into<String>, generation: i32, member_id: impl Into<String>) -> Self {
        Self { group: group.into(), generation, member_id: member_id.into(), native: None }
    }

    /// Attaches the form in which a client library wants it back.
    #[must_use]
    pub fn with_native(mut self, native: Arc<dyn Any + Send + Sync>) -> Self {
        self.native = Some(native);
        self
    }

    /// The attached form, if there is one of this type.
    pub fn native<T: Any>(&self) -> Option<&T> {
        self.native.as_ref()?.downcast_ref()
    }

    /// Whether the member is in a generation of its group, which committing positions needs.
    pub fn is_joined(&self) -> bool {
        self.generation >= 0 && !self.member_id.is_empty()
    }
}

impl fmt::Debug for GroupMetadata {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GroupMetadata")
            .field("group", &self.group)
            .field("generation", &self.generation)
            .field("member_id", &self.member_id)
            .finish_non_exhaustive()
    }
}

/// A member of a group. It belongs to one thread.
pub trait Consumer: Send {
    /// Records of the un-paused partitions that have a position, taken in turns so that none starves.
    /// Returns at once when there is something new (a change of the assignment, a record, an end that
    /// was not reported yet), else waits up to `timeout`.
    ///
    /// After an error no record was skipped: the next poll goes on where the last successful one ended.
    fn poll(&mut self, limit: PollLimit, timeout: Duration) -> Result<Poll, Error>;

    /// Delivers nothing of these partitions until they are resumed. Positions are kept. Partitions that
    /// are not assigned are ignored.
    fn pause(&mut self, partitions: &[TopicPartition]);

    /// Ends a pause. Partitions that are not assigned are ignored.
    fn resume(&mut self, partitions: &[TopicPartition]);

    /// Sets the offset that is delivered next. A pause is kept.
    ///
    /// # Errors
    /// [`Error::NotAssigned`]; [`Error::OffsetOutOfRange`] (a log that learns this only when it fetches
    /// returns it from the next poll).
    fn seek(&mut self, partition: &TopicPartition, offset: u64) -> Result<(), Error>;

    /// The group's committed positions of these partitions; those without one are absent. They are stable: no open
    /// transaction can still change them. `None`: they are not stable, or not known, yet; ask again.
    fn committed_offsets(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Option<BTreeMap<TopicPartition, u64>>, Error>;

    /// How many offsets lie between what was delivered of each partition and its end, as far as that is known without
    /// asking anybody: for metrics. Markers of commits count where a log has them.
    fn backlog(&self) -> Vec<(TopicPartition, u64)>;

    /// The member's present identity.
    fn group_metadata(&self) -> Result<GroupMetadata, Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_carries_a_clients_own_form() {
        let metadata = GroupMetadata::new("settle-authorize", 7, "member").with_native(Arc::new(42_u64));
        assert_eq!(metadata.clone().native::<u64>(), Some(&42));
        assert_eq!(metadata.native::<String>(), None);
    }

    #[test]
    fn a_member_without_generation_or_id_has_not_joined() {
        assert!(GroupMetadata::new("group", 0, "member").is_joined());
        assert!(!GroupMetadata::new("group", -1, "member").is_joined());
        assert!(!GroupMetadata::new("group", 1, "").is_joined());
    }
}
