//! The commit protocol: when, in which order, and what follows when it fails or when nobody knows.

use std::time::Duration;

use settle_log::CommitError;

use super::{Flow, Slot, Worker};
use crate::codec::{StageCodec, unsigned_offset};
use crate::error::Error;
use crate::health::Step;
use crate::monitor::{AbortReason, CommittedWork};
#[cfg(feature = "mutations")]
use crate::mutations::{self, Mutation};
use crate::restore::{Restore, inputs};

/// Pause after the first transaction that came to nothing; each further one in a row is twice as long, up to a bound.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MOST_DOUBLINGS: u32 = 3;

impl<S: StageCodec> Worker<S> {
    pub(super) fn commit_if_full(&mut self) -> Result<Flow, Error> {
        let options = &self.shared.options;
        let Some(content) = self.transaction.content() else { return Ok(Flow::GoOn) };
        let is_full = content.inputs >= options.commit_records || content.bytes >= options.commit_bytes;
        let has_many_rows = self.slots.values().any(|slot| match slot {
            Slot::Ready(partition) => partition.cached_rows() > options.cached_rows,
            Slot::Opening(_) | Slot::Restoring(..) => false,
        });
        if is_full || has_many_rows { self.commit() } else { Ok(Flow::GoOn) }
    }

    /// Sends offsets and commits; only then the stores follow (I1).
    pub(super) fn commit(&mut self) -> Result<Flow, Error> {
        let Some(content) = self.transaction.content() else { return Ok(Flow::GoOn) };
        let numbers: Vec<u32> = content.partitions.iter().copied().collect();
        self.monitor.enter(Step::Committing);
        let metadata = self.consumer.group_metadata()?;
        if !metadata.is_joined() {
            return self.abort(AbortReason::NotJoined);
        }
        // Every partition that the transaction writes, changed or not: the generation check of the offsets is
        // the only fence against a zombie, so that a transaction of timers alone needs them too.
        let mut offsets = Vec::new();
        for number in &numbers {
            for input in inputs::<S>(*number) {
                let next_offset = unsigned_offset(self.ready(*number).meta.position(&input.topic));
                offsets.push((input, next_offset));
            }
        }
        #[cfg(feature = "mutations")]
        let (metadata, offsets) = self.mutated(metadata, offsets, &numbers)?;
        let began = self.shared.clock.monotonic();
        let sent = self.transaction.producer().send_offsets(&metadata, &offsets);
        let outcome = match sent {
            Ok(()) => self.transaction.producer().commit(),
            Err(reason) => {
                self.transaction.producer().abort()?;
                Err(CommitError::Aborted { reason })
            }
        };
        let content = self.transaction.close().unwrap_or_default();
        self.last_commit_at = self.shared.clock.monotonic();
        match outcome {
            Ok(committed) => {
                self.aborts_in_a_row = 0;
                let work = CommittedWork {
                    records: content.inputs,
                    bytes: content.bytes,
                    dead_letters: content.dead_letters,
                    timers: content.timers,
                    outcomes: &content.outcomes,
                };
                let took = self.last_commit_at.saturating_duration_since(began);
                self.monitor.committed(&work, took);
                for number in numbers {
                    let partition = self.ready(number);
                    let next = committed.next_offsets.get(&partition.journal).copied();
                    let next = next.expect("a commit says where each partition that it wrote ends");
                    partition.persist(next)?;
                    let max_unflushed_bytes = self.shared.options.max_unflushed_bytes;
                    let moment = self.shared.clock.monotonic();
                    self.ready(number).flush_beyond(max_unflushed_bytes, moment)?;
                }
                Ok(Flow::GoOn)
            }
            Err(CommitError::Aborted { reason }) => self.start_over(reason, false),
            #[cfg(feature = "mutations")]
            Err(CommitError::Unknown { .. }) if mutations::is(Mutation::UnknownIsCommitted) => {
                self.persist_uncommitted(&numbers)?;
                Ok(Flow::GoOn)
            }
            Err(CommitError::Unknown { reason }) => self.start_over(reason, true),
            Err(CommitError::Fenced { reason } | CommitError::Fatal { reason }) => Err(reason.into()),
        }
    }

    /// Drops what is open and decides it again from the last commit.
    pub(super) fn abort(&mut self, reason: AbortReason) -> Result<Flow, Error> {
        if self.transaction.close().is_none() {
            return Ok(Flow::GoOn);
        }
        self.monitor.enter(Step::Aborting);
        self.transaction.producer().abort()?;
        self.last_commit_at = self.shared.clock.monotonic();
        self.monitor.aborted(reason);
        self.restore_all()
    }

    /// After a transaction that failed, or of which it is not known. Unknown: a new producer fences the old
    /// one, and the journal says what came of it.
    pub(super) fn start_over(&mut self, reason: settle_log::Error, is_unknown: bool) -> Result<Flow, Error> {
        self.aborts_in_a_row += 1;
        self.monitor.aborted(if is_unknown { AbortReason::Unknown } else { AbortReason::Refused });
        if matches!(reason, settle_log::Error::DiskFull { .. } | settle_log::Error::ReadOnly { .. }) {
            // An operator has to act: deciding again would only hide the cause behind a count.
            return Err(reason.into());
        }
        tracing::warn!(stage = S::NAME, attempt = self.aborts_in_a_row, %reason, "a transaction is decided again");
        if self.aborts_in_a_row >= self.shared.options.max_aborts {
            let attempts = self.aborts_in_a_row;
            return Err(Error::TransactionFailed { stage: S::NAME, attempts, last: reason });
        }
        let doublings = (self.aborts_in_a_row - 1).min(MOST_DOUBLINGS);
        self.next_attempt_at = Some(self.shared.clock.monotonic() + FIRST_BACKOFF * (1 << doublings));
        #[cfg(feature = "mutations")]
        let is_unknown = if is_unknown && mutations::is(Mutation::ReuseProducer) {
            let _ = self.transaction.producer().abort();
            false
        } else {
            is_unknown
        };
        if is_unknown {
            self.transaction.replace_producer(self.shared.log.producer(&self.transactional_id)?);
        }
        self.restore_all()
    }

    /// Drops all overlays and restores from store and journal; the inputs are sought again (an abort does not
    /// rewind a consumer).
    fn restore_all(&mut self) -> Result<Flow, Error> {
        let slots = std::mem::take(&mut self.slots);
        for (number, slot) in slots {
            self.queues.close(number);
            let mut partition = match slot {
                Slot::Restoring(partition, _) | Slot::Ready(partition) => partition,
                Slot::Opening(opening) => {
                    self.slots.insert(number, Slot::Opening(opening));
                    continue;
                }
            };
            partition.roll_back()?;
            self.monitor.restore_began(number, 0);
            self.slots.insert(number, Slot::Restoring(partition, Restore::begin()));
        }
        Ok(Flow::StartOver)
    }
}

#[cfg(feature = "mutations")]
impl<S: StageCodec> Worker<S> {
    /// What is sent with a commit, with the bug that is being tried.
    fn mutated(
        &mut self,
        metadata: settle_log::GroupMetadata,
        mut offsets: Vec<(settle_log::TopicPartition, u64)>,
        numbers: &[u32],
    ) -> Result<(settle_log::GroupMetadata, Vec<(settle_log::TopicPartition, u64)>), Error> {
        if mutations::is(Mutation::StoreBeforeKafka) {
            self.persist_uncommitted(numbers)?;
        }
        let has_inputs = self.transaction.content().is_some_and(|content| content.inputs > 0);
        if mutations::is(Mutation::NoOffsetsForTicks) && !has_inputs {
            offsets.clear();
        }
        let metadata = match mutations::is(Mutation::SkipGeneration) {
            true => settle_log::GroupMetadata::new(metadata.group, -1, ""),
            false => metadata,
        };
        Ok((metadata, offsets))
    }

    /// The store is written, whatever the log says.
    fn persist_uncommitted(&mut self, numbers: &[u32]) -> Result<(), Error> {
        let mut reader = self.shared.log.reader()?;
        for number in numbers {
            let end = reader.end_offset(&self.ready(*number).journal)?;
            self.ready(*number).persist(end)?;
        }
        Ok(())
    }
}
