//! Errors of the shell: each with a code that has a page in docs/errors/, and a hint.
//!
//! | code | meaning |
//! |---|---|
//! | STL-0301 | a journal record does not decode |
//! | STL-0302 | the journal needs a newer fold version |
//! | STL-0303 | the journal's end lies before the store |
//! | STL-0304 | the journal's start lies after the store |
//! | STL-0305 | the group's offsets are ahead of the state |
//! | STL-0306 | a configuration cannot be activated |
//! | STL-0307 | partition counts of a stage's topics differ |
//! | STL-0308 | a transaction failed too often |
//! | STL-0309 | a worker ended unexpectedly |
//! | STL-0310 | the journal's sequence has a gap |
//! | STL-0311 | a worker is stuck (the watchdog ends the process) |
//! | STL-0312 | the journal is another topic than the one of the store |
//! | STL-0313 | a topic is not set up as Settle needs it |
//! | STL-0314 | the folder of a store cannot be moved |

use std::io;
use std::path::PathBuf;

use settle_engine::ConfigError;
use settle_log::TopicPartition;

/// Why a worker stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Of the log.
    #[error(transparent)]
    Log(#[from] settle_log::Error),
    /// Of the log, while a transaction was open: it came to nothing, and is decided again with a new producer.
    #[error(transparent)]
    TransactionBroken(settle_log::Error),
    /// Of the store.
    #[error(transparent)]
    Store(#[from] settle_store::Error),
    /// A journal record does not decode.
    #[error("journal record {partition}@{offset} does not decode: {what}")]
    Journal {
        /// Journal partition.
        partition: TopicPartition,
        /// Offset of the record.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The journal holds events of a newer build.
    #[error("journal {partition}@{offset} needs fold version {needed}, this build has {own}")]
    FoldVersion {
        /// Journal partition.
        partition: TopicPartition,
        /// Offset of the record.
        offset: u64,
        /// Version that the event needs.
        needed: i32,
        /// Version of this build.
        own: i32,
    },
    /// The journal lost its end.
    #[error("the journal {partition} ends at {end}, but the store was built from {stored} records of it")]
    JournalBehindStore {
        /// Journal partition.
        partition: TopicPartition,
        /// Its end.
        end: u64,
        /// Next offset of the store.
        stored: u64,
    },
    /// The journal lost its beginning.
    #[error("the journal {partition} starts at {start}, but the store needs it from {needed}")]
    JournalTruncated {
        /// Journal partition.
        partition: TopicPartition,
        /// Its start.
        start: u64,
        /// Next offset of the store.
        needed: u64,
    },
    /// The topic was removed and made again.
    #[error(
        "the journal {partition} is topic {found}, but the store was built from topic {stored} of the same name"
    )]
    JournalReplaced {
        /// Journal partition.
        partition: TopicPartition,
        /// Id of the topic that the store was built from.
        stored: String,
        /// Id of the topic now.
        found: String,
    },
    /// A topic is not set up as Settle needs it.
    #[error("topic {topic}: {setting} is {found}, {expected} was expected")]
    TopicUnfit {
        /// The topic.
        topic: String,
        /// Which setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// Somebody else moved the group, or the journal is not the one that the group belongs to.
    #[error("group {group} is at {committed} of {partition}, but the journal decided only up to {state}")]
    GroupAhead {
        /// Consumer group.
        group: String,
        /// Input partition.
        partition: TopicPartition,
        /// Offset that the group committed.
        committed: u64,
        /// Position of the restored state.
        state: u64,
    },
    /// The journaled or the given configuration cannot be used.
    #[error("stage {stage}: {source}")]
    Config {
        /// Name of the stage.
        stage: &'static str,
        /// Why.
        source: ConfigError,
    },
    /// Topics of one stage have to have equal counts.
    #[error("topic {topic} has {found} partitions, {expected} were expected as in {primary}")]
    PartitionCounts {
        /// The odd one.
        topic: String,
        /// Its count.
        found: u32,
        /// Count of the stage's primary topic.
        expected: u32,
        /// That topic.
        primary: String,
    },
    /// A transaction was aborted again and again.
    #[error("a transaction of stage {stage} was aborted {attempts} times: {last}")]
    TransactionFailed {
        /// Name of the stage.
        stage: &'static str,
        /// How often.
        attempts: u32,
        /// The last reason.
        last: settle_log::Error,
    },
    /// A worker's thread panicked: an invariant does not hold.
    #[error("a worker of stage {stage} ended unexpectedly: {what}")]
    WorkerPanicked {
        /// Name of the stage.
        stage: &'static str,
        /// The panic's message.
        what: String,
    },
    /// A store that cannot be used has to make room for another.
    #[error("the folder {} of a store that cannot be used cannot be moved: {source}", folder.display())]
    StateFolder {
        /// The store's folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The journal is not dense (I11).
    #[error("journal {partition}@{offset} has sequence {found}, {expected} was expected")]
    SequenceGap {
        /// Journal partition.
        partition: TopicPartition,
        /// Offset of the record.
        offset: u64,
        /// Sequence found.
        found: i64,
        /// Sequence expected.
        expected: i64,
    },
}

impl Error {
    /// A failed write of an open transaction. What the cluster refuses or does not answer may be over with the next
    /// producer; everything else needs somebody who acts.
    pub(crate) fn of_write(reason: settle_log::Error) -> Self {
        match reason {
            settle_log::Error::Kafka { .. } | settle_log::Error::Unreachable { .. } => {
                Self::TransactionBroken(reason)
            }
            other => Self::Log(other),
        }
    }

    /// The code under which docs/errors/ explains it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Log(error) | Self::TransactionBroken(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Journal { .. } => "STL-0301",
            Self::FoldVersion { .. } => "STL-0302",
            Self::JournalBehindStore { .. } => "STL-0303",
            Self::JournalTruncated { .. } => "STL-0304",
            Self::GroupAhead { .. } => "STL-0305",
            Self::Config { .. } => "STL-0306",
            Self::PartitionCounts { .. } => "STL-0307",
            Self::TransactionFailed { .. } => "STL-0308",
            Self::WorkerPanicked { .. } => "STL-0309",
            Self::SequenceGap { .. } => "STL-0310",
            Self::JournalReplaced { .. } => "STL-0312",
            Self::TopicUnfit { .. } => "STL-0313",
            Self::StateFolder { .. } => "STL-0314",
        }
    }

    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Log(error) | Self::TransactionBroken(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Journal { .. } | Self::SequenceGap { .. } => {
                "The journal is the state: do not skip the record. Check who else writes to this topic, and restore it from a replica or a copy."
            }
            Self::FoldVersion { .. } => {
                "Upgrade this worker to the build that wrote the event, then start it again."
            }
            Self::JournalBehindStore { .. } => {
                "The topic was cut or created anew. Restore it; only if it was replaced on purpose, move the store's folder away and let it be rebuilt."
            }
            Self::JournalReplaced { .. } => {
                "The state belongs to the old topic, whose records are gone with it. Restore that topic; only if it was \
                 replaced on purpose, move away the state's folder and the snapshots of the old one, and start from the new one."
            }
            Self::TopicUnfit { .. } => {
                "Correct the topic: `settle topics create` makes those that are missing, your Kafka tools change the others."
            }
            Self::StateFolder { .. } => {
                "Check that the process may write there and that nothing else uses the folder, then start again."
            }
            Self::JournalTruncated { .. } => {
                "Raise the journal's retention. Restore the missing records or a snapshot; without them the state cannot be rebuilt."
            }
            Self::GroupAhead { .. } => {
                "Requests were consumed that the journal does not know. Check that journal and group belong together, and that nobody moved the group's offsets."
            }
            Self::Config { .. } => "Run `settle config check` and correct what it names.",
            Self::PartitionCounts { .. } => {
                "Create the topics with equal counts: `settle topics create` does. A count is permanent."
            }
            Self::TransactionFailed { .. } => {
                "Nothing was lost: the state is that of the last commit. Look at the reason, then start again."
            }
            Self::WorkerPanicked { .. } => {
                "Nothing was lost: the state is that of the last commit. Please report the message; a restart restores the state."
            }
        }
    }
}
