//! Input records as the deciders see them.

use compact_str::format_compact;
use settle_types::DecisionId;
use settle_types::event::SourcePosition;

/// Bytes that are not a record of the expected schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// One of [`settle_types::reason`].
    pub code: &'static str,
    /// What was found and what was expected.
    pub detail: String,
}

/// The record that a command came from, for the dead letter. The journal does not keep it.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Where it was read.
    pub position: &'a SourcePosition,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// Id of the decision about the record at this position: `payments.requested-3-1042`.
pub fn decision_id(position: &SourcePosition) -> DecisionId {
    format_compact!("{}-{}-{}", position.topic, position.partition, position.offset).into()
}
