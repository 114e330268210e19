//! What both journals have in common: dense sequences, a clock that never goes back, inputs of the same partition
//! and in their order.

use std::collections::BTreeMap;

use super::finding::{Findings, Invariant, Place};
use super::input::shown;
use super::records::SourcePosition;

/// Follows the events of one journal partition.
#[derive(Default)]
pub(super) struct Follower {
    next_sequence: i64,
    last_now: Option<i64>,
    last_offsets: BTreeMap<String, i64>,
}

impl Follower {
    /// The next event of the partition.
    pub(super) fn follow(
        &mut self,
        place: Place<'_>,
        sequence: i64,
        now: i64,
        input: Option<&SourcePosition>,
        findings: &mut Findings,
    ) {
        findings.equal(Invariant::I11, place, "sequence", &sequence, &self.next_sequence);
        self.next_sequence = sequence.saturating_add(1);
        if let Some(last) = self.last_now.filter(|last| *last > now) {
            findings.add(Invariant::Clock, place, format!("now is {now}, after {last} in the event before"));
        }
        self.last_now = Some(now);
        let Some(input) = input else { return };
        findings.equal(Invariant::I3, place, "partition of the input", &input.partition, &place.partition);
        let last = self.last_offsets.insert(input.topic.clone(), input.offset);
        if let Some(last) = last.filter(|last| *last >= input.offset) {
            let detail = format!("consumes {} after offset {last}", shown(input));
            findings.add(Invariant::I4, place, detail);
        }
    }
}
