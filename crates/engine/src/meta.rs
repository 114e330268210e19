//! What a partition's state holds beside its rows: sequence, clock, positions and, in SETTLE, the ledger chain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use settle_ledger::chain::Chain;
use settle_types::Timestamp;
use settle_types::event::SourcePosition;

/// The part of the state that every event touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Number of the partition, the same for input, journal and ledger (I3).
    pub partition: i32,
    /// Sequence of the next event: the journal is dense (I11).
    pub next_sequence: i64,
    /// Clock of the partition: it never goes backwards.
    pub now: Timestamp,
    /// Input topic to the offset of the next record: a record below is skipped (I4).
    pub positions: BTreeMap<String, i64>,
    /// Head of the ledger chain; AUTHORIZE posts nothing.
    pub chain: Chain,
}

impl Meta {
    /// The state of a partition before its first event.
    pub fn new(partition: i32) -> Self {
        Self {
            partition,
            next_sequence: 0,
            now: Timestamp::MIN,
            positions: BTreeMap::new(),
            chain: Chain::default(),
        }
    }

    /// The next offset of an input topic that has not been decided.
    pub fn position(&self, topic: &str) -> i64 {
        self.positions.get(topic).copied().unwrap_or(0)
    }

    /// Takes an event's sequence, time and input into account.
    ///
    /// Panics if the sequence is not the next one, time goes backwards or an input is consumed twice: the
    /// journal would be damaged, or this would be another partition's (I4, I11).
    pub fn advance(&mut self, sequence: i64, now: Timestamp, input: Option<&SourcePosition>) {
        assert_eq!(sequence, self.next_sequence, "I11: the sequence of a journal partition is dense");
        assert!(now >= self.now, "the clock of a partition never goes backwards: {now} after {}", self.now);
        self.next_sequence += 1;
        self.now = now;
        let Some(input) = input else { return };
        let next = self.position(&input.topic);
        assert!(
            input.offset >= next,
            "I4: {}@{} was decided before, next is {next}",
            input.topic,
            input.offset
        );
        self.positions.insert(input.topic.to_string(), input.offset + 1);
    }
}
