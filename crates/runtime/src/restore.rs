//! Restores a partition: the store, and over it the journal's tail.
//!
//! The order of the steps matters, because commit markers reach the topics of a transaction at different times
//! (KAFKA-10167): (a) the group's offsets, (b) the journal's end, counting records of open transactions, (c)
//! committed records up to that end, (d) the checks, (e) the input is sought to the state's position.

use std::collections::BTreeMap;
use std::time::Duration;

use settle_engine::{FOLD_VERSION, Stage};
use settle_log::{Log, PollLimit, Reader, TopicPartition};

use crate::codec::{StageCodec, unsigned_offset};
use crate::error::Error;
use crate::partition::Partition;
use crate::stats::Stats;

/// How much of a journal one step folds: the worker polls and serves its other partitions between steps.
const STEP_LIMIT: PollLimit = PollLimit { records: 5_000, bytes: 8 << 20 };
/// How long a step waits for a record that an open transaction holds back.
const STEP_TIMEOUT: Duration = Duration::from_millis(50);

/// A restore under way.
pub(crate) struct Restore {
    committed: BTreeMap<TopicPartition, u64>,
    end: u64,
    reader: Box<dyn Reader>,
}

impl Restore {
    /// Steps (a) and (b).
    pub(crate) fn begin<S: StageCodec>(
        log: &dyn Log,
        group: &str,
        partition: &Partition<S>,
    ) -> Result<Self, Error> {
        let committed = log.committed_offsets(group)?;
        let mut reader = log.reader()?;
        let end = reader.end_offset(&partition.journal)?;
        let start = reader.start_offset(&partition.journal)?;
        let needed = partition.journal_next_offset;
        if end < needed {
            return Err(Error::JournalBehindStore {
                partition: partition.journal.clone(),
                end,
                stored: needed,
            });
        }
        if start > needed {
            return Err(Error::JournalTruncated { partition: partition.journal.clone(), start, needed });
        }
        Ok(Self { committed, end, reader })
    }

    /// Step (c), a bounded part of it. True when the end is reached.
    pub(crate) fn step<S: StageCodec>(
        &mut self,
        partition: &mut Partition<S>,
        stats: &Stats,
    ) -> Result<bool, Error> {
        if partition.journal_next_offset >= self.end {
            return Ok(true);
        }
        let from = partition.journal_next_offset;
        let records = self.reader.read(&partition.journal, from, STEP_LIMIT, STEP_TIMEOUT)?;
        let Some(last) = records.last() else { return Ok(false) };
        let next_offset = last.offset + 1;
        let mut events = Vec::with_capacity(records.len());
        for record in &records {
            let value = record.value.as_deref().unwrap_or_default();
            let event = S::decode_event(value).map_err(|error| Error::Journal {
                partition: partition.journal.clone(),
                offset: record.offset,
                what: error.to_string(),
            })?;
            events.push((record.offset, event));
        }
        fold_all(partition, &events)?;
        partition.persist(next_offset)?;
        stats.replayed(u64::try_from(events.len()).unwrap_or(u64::MAX));
        Ok(partition.journal_next_offset >= self.end)
    }

    /// Steps (d) and (e): checks the group against the state, and says from where each input is read.
    pub(crate) fn positions<S: Stage>(
        &self,
        group: &str,
        number: u32,
        meta: &settle_engine::Meta,
    ) -> Result<Vec<(TopicPartition, u64)>, Error> {
        let mut positions = Vec::new();
        for topic in std::iter::once(S::PRIMARY).chain(S::SECONDARIES.iter().copied()) {
            let input = TopicPartition::new(topic, number);
            let state = unsigned_offset(meta.position(topic));
            let committed = self.committed.get(&input).copied();
            match committed {
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
