//! What the events of both journals have in common.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// Why an event stands in a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventKind {
    /// A kind that this version does not know; the fold refuses it.
    #[default]
    Unknown,
    /// About one input record.
    Decision,
    /// A later change of an earlier decision, which it names.
    Transition,
    /// A timer that fell due.
    Tick,
    /// Activated configuration, with its whole content.
    Config,
}

/// Where an input record was read: topic, partition and its own offset.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourcePosition {
    /// Topic.
    pub topic: CompactString,
    /// Partition.
    pub partition: i32,
    /// The record's own offset.
    pub offset: i64,
}

/// Configuration that a partition activated: from this event on, it decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigActivation {
    /// BLAKE3 of the content, in hexadecimal.
    pub hash: CompactString,
    /// Canonical JSON of the stage's whole configuration.
    pub content: String,
}

/// What every event of a journal carries beside its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// Version of the decision logic that made the event. `settle verify` re-decides only its own.
    pub logic: i32,
    /// Lowest fold version that understands the event.
    pub min_fold: i32,
}
