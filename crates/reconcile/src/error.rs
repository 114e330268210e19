//! What can stop an audit. What an audit *finds* is no error: see [`crate::Finding`].
//!
//! | code | variant | meaning |
//! |---|---|---|
//! | STL-0720 | [`Error::Stalled`] | what is committed cannot be read |
//! | STL-0721 | [`Error::Scratch`] | the scratch folder cannot be used |
//! | STL-0722 | [`Error::PartitionCounts`] | topics of a stage have different numbers of partitions |
//!
//! Errors of the log and of the state keep their own codes.

use std::io;

use settle_log::TopicPartition;

/// An audit that could not be finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] settle_log::Error),
    /// The log has records that it does not hand out.
    #[error("{partition} is committed up to {end}, but nothing came after {next_offset}")]
    Stalled {
        /// What was read.
        partition: TopicPartition,
        /// Where reading stopped.
        next_offset: u64,
        /// Where it should have come to.
        end: u64,
    },
    /// What does not fit into memory could not be put on disk.
    #[error("could not {operation} in the scratch folder: {source}")]
    Scratch {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The system's words.
        source: io::Error,
    },
    /// The state for the re-decision failed.
    #[error("the scratch state failed: {0}")]
    State(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The partitions of a stage do not belong together.
    #[error("{topic} has {found} partitions, {primary} has {expected}: equal numbers were expected")]
    PartitionCounts {
        /// The topic.
        topic: String,
        /// Its partitions.
        found: u32,
        /// Partitions of the stage's primary topic.
        expected: u32,
        /// The stage's primary topic.
        primary: String,
    },
}

impl Error {
    /// Stable code of the error's page in the documentation; none where the cause has one of its own.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Log(error) => Some(error.code()),
            Self::Stalled { .. } => Some("STL-0720"),
            Self::Scratch { .. } => Some("STL-0721"),
            Self::PartitionCounts { .. } => Some("STL-0722"),
            Self::State(_) => None,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Log(error) => error.hint(),
            Self::Stalled { .. } => {
                "Look at the health of the brokers that hold the partition; then start again."
            }
            Self::Scratch { .. } => "Name a folder with space in --scratch DIR.",
            Self::State(_) => "Name a folder with space in --scratch DIR, or look at the cause.",
            Self::PartitionCounts { .. } => "Check that this is the cluster and the prefix that were meant.",
        }
    }
}
