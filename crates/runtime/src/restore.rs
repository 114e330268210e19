//! Restores a partition: the store, and over it the journal's tail.
//!
//! The order of the steps matters, because commit markers reach the topics of a transaction at different times
//! (KAFKA-10167): (a) the group's offsets, (b) the journal's end, counting records of open transactions, (c)
//! committed records up to that end, (d) the checks, (e) the input is sought to the state's position.

use std::collections::BTreeMap;
use std::time::Duration;

use settle_engine::{FOLD_VERSION, Stage};
use settle_log::{PollLimit, Reader, Record, TopicPartition};
use settle_schema::Schemas;

use crate::codec::{StageCodec, unsigned_offset};
use crate::error::Error;
use crate::partition::Partition;

/// Records of journals that one step folds, about: the worker polls and serves its other partitions between steps.
pub(crate) const STEP_RECORDS: u32 = 5_000;
const STEP_LIMIT: PollLimit = PollLimit { records: STEP_RECORDS as usize, bytes: 8 << 20 };

/// A restore under way: which step is next.
pub(crate) struct Restore {
    step: Step,
    /// Of a deliberate bug: the journal's end as it was before the group's offsets were asked for.
    #[cfg(feature = "mutations")]
    early_end: Option<u64>,
}

enum Step {
    /// (a): the group's offsets are not known, or not stable, yet.
    Offsets,
    /// (b): nor is the journal's end.
    End { committed: BTreeMap<TopicPartition, u64> },
    /// (c): the journal is folded up to its end.
    Tail { committed: BTreeMap<TopicPartition, u64>, end: u64 },
}

/// The inputs of a partition, whose positions are part of its state.
pub(crate) fn inputs<S: Stage>(number: u32) -> impl Iterator<Item = TopicPartition> {
    let topics = std::iter::once(S::PRIMARY).chain(S::SECONDARIES.iter().copied());
    topics.map(move |topic| TopicPartition::new(topic, number))
}

impl Restore {
    /// Nothing is known yet.
    pub(crate) fn begin() -> Self {
        Self {
            step: Step::Offsets,
            #[cfg(feature = "mutations")]
            early_end: None,
        }
    }

    #[cfg(feature = "mutations")]
    pub(crate) fn take_end_too_early(&mut self, end: u64) {
        self.early_end.get_or_insert(end);
    }

    /// True if the group's offsets come next: they are asked for all partitions at once.
    pub(crate) fn needs_offsets(&self) -> bool {
        matches!(self.step, Step::Offsets)
    }

    /// Step (a): takes the group's stable offsets.
    pub(crate) fn take_offsets(&mut self, committed: &BTreeMap<TopicPartition, u64>) {
        self.step = Step::End { committed: committed.clone() };
    }

    /// Events that are still to be folded, about.
    pub(crate) fn remaining<S: StageCodec>(&self, partition: &Partition<S>) -> u64 {
        match &self.step {
            Step::Tail { end, .. } => end.saturating_sub(partition.journal_next_offset),
            Step::Offsets | Step::End { .. } => 0,
        }
    }

    /// Step (b) or a bounded part of step (c). True when the end is reached.
    pub(crate) fn advance<S: StageCodec>(
        &mut self,
        reader: &mut dyn Reader,
        partition: &mut Partition<S>,
        schemas: &mut Schemas,
    ) -> Result<bool, Error> {
        match &mut self.step {
            Step::Offsets => Ok(false),
            Step::End { committed } => {
                let committed = std::mem::take(committed);
                let end = journal_end(reader, partition)?;
                #[cfg(feature = "mutations")]
                let end = self.early_end.unwrap_or(end).max(partition.journal_next_offset);
                self.step = Step::Tail { committed, end };
                Ok(partition.journal_next_offset >= end)
            }
            Step::Tail { end, .. } => fold_some(reader, partition, *end, schemas),
        }
    }

    /// Steps (d) and (e): checks the group against the state, and says from where each input is read.
    pub(crate) fn positions<S: Stage>(
        &self,
        group: &str,
        number: u32,
        meta: &settle_engine::Meta,
    ) -> Result<Vec<(TopicPartition, u64)>, Error> {
        let Step::Tail { committed, .. } = &self.step else {
            panic!("I5: the positions of a partition are known when its restore has ended");
        };
        let mut positions = Vec::new();
        for input in inputs::<S>(number) {
            let state = unsigned_offset(meta.position(&input.topic));
            match committed.get(&input).copied() {
                Some(committed) if committed > state => {
                    return Err(Error::GroupAhead {
                        group: group.to_owned(),
                        partition: input,
                        committed,
                        state,
                    });
                }
                Some(committed) if committed < state => {
                    tracing::warn!(%input, committed, state, "the group is behind the state and is published again");
                }
                _ => {}
            }
            positions.push((input, state));
        }
        Ok(positions)
    }
}

/// The journal's end, records of open transactions included; checks that the store and the journal fit together.
fn journal_end<S: StageCodec>(reader: &mut dyn Reader, partition: &Partition<S>) -> Result<u64, Error> {
    let end = reader.end_offset(&partition.journal)?;
    #[cfg(feature = "mutations")]
    let end = match crate::mutations::is(crate::mutations::Mutation::RestoreToCommittedEnd) {
        true => reader.committed_end_offset(&partition.journal)?,
        false => end,
    };
    let start = reader.start_offset(&partition.journal)?;
    let needed = partition.journal_next_offset;
    if end < needed {
        return Err(Error::JournalBehindStore { partition: partition.journal.clone(), end, stored: needed });
    }
    if start > needed {
        return Err(Error::JournalTruncated { partition: partition.journal.clone(), start, needed });
    }
    Ok(end)
}

/// Folds the next committed records of the journal up to `end`, a bounded number of those that are here: it does not wait for
/// what is fetched, nor for what an open transaction holds back. True when the end is reached.
pub(crate) fn fold_some<S: StageCodec>(
    reader: &mut dyn Reader,
    partition: &mut Partition<S>,
    end: u64,
    schemas: &mut Schemas,
) -> Result<bool, Error> {
    let from = partition.journal_next_offset;
    if from >= end {
        return Ok(true);
    }
    let batch = reader.read(&partition.journal, from, STEP_LIMIT, Duration::ZERO)?;
    if batch.next_offset == from {
        return Ok(false);
    }
    // All of them are asked for before the first is waited for.
    if !batch.records.iter().map(value_of).all(|value| schemas.is_ready(value)) {
        return Ok(false);
    }
    let mut events = Vec::with_capacity(batch.records.len());
    for record in &batch.records {
        let Ok(decoded) = schemas.decode::<S::Event>(value_of(record)) else { return Ok(false) };
        let event = decoded.map_err(|error| Error::Journal {
            partition: partition.journal.clone(),
            offset: record.offset,
            what: error.to_string(),
        })?;
        events.push((record.offset, event));
    }
    fold_all(partition, &events)?;
    partition.persist(batch.next_offset)?;
    Ok(partition.journal_next_offset >= end)
}

fn value_of(record: &Record) -> &[u8] {
    record.value.as_deref().unwrap_or_default()
}

fn fold_all<S: StageCodec>(partition: &mut Partition<S>, events: &[(u64, S::Event)]) -> Result<(), Error> {
    partition.prefetch_events(events.iter().map(|(_, event)| event))?;
    for (offset, event) in events {
        let envelope = S::envelope(event);
        if envelope.min_fold_version > FOLD_VERSION {
            return Err(Error::FoldVersion {
                partition: partition.journal.clone(),
                offset: *offset,
                needed: envelope.min_fold_version,
                own: FOLD_VERSION,
            });
        }
        if envelope.sequence != partition.meta.next_sequence {
            return Err(Error::SequenceGap {
                partition: partition.journal.clone(),
                offset: *offset,
                found: envelope.sequence,
                expected: partition.meta.next_sequence,
            });
        }
        partition.fold(event)?;
    }
    Ok(())
}
