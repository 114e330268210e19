//! Deliberate bugs, one at a time, that the simulator has to find. Compiled only with the feature `mutations`, which no
//! shipped program has.

use std::cell::Cell;

/// A deliberate bug of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutation {
    /// The store is written before the transaction is committed.
    StoreBeforeKafka,
    /// After a commit of unknown outcome the producer is used again.
    ReuseProducer,
    /// Positions that a transaction did not change are not sent: one of timers alone sends none.
    NoOffsetsForTicks,
    /// Positions are sent without the member's generation.
    SkipGeneration,
    /// A restore ends at the last stable offset rather than at the journal's end.
    RestoreToCommittedEnd,
    /// A restore looks up the journal's end before the group's offsets.
    EndBeforeOffsets,
    /// A decision sees what the store holds, and not what the open transaction changed.
    OverlayNotConsulted,
    /// An event is applied twice.
    OverlayTwice,
    /// An abort leaves the overlay as it is.
    OverlayKept,
    /// A record is decided although the state contains it.
    PositionsIgnored,
    /// The store is written although nobody knows whether the transaction was committed.
    UnknownIsCommitted,
    /// A transaction goes on over a lost assignment.
    LostIsIgnored,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::StoreBeforeKafka,
        Self::ReuseProducer,
        Self::NoOffsetsForTicks,
        Self::SkipGeneration,
        Self::RestoreToCommittedEnd,
        Self::EndBeforeOffsets,
        Self::OverlayNotConsulted,
        Self::OverlayTwice,
        Self::OverlayKept,
        Self::PositionsIgnored,
        Self::UnknownIsCommitted,
        Self::LostIsIgnored,
    ];
}

thread_local! {
    static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
}

/// From here on the workers that this thread runs have this bug, or none.
pub fn set(mutation: Option<Mutation>) {
    ACTIVE.set(mutation);
}

/// Whether this thread's workers have this bug.
pub(crate) fn is(mutation: Mutation) -> bool {
    ACTIVE.get() == Some(mutation)
}
