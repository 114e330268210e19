//! How far a search goes, and which rule of the protocol is left out.

/// A rule of the protocol that a search leaves out. Each must lead to a state that must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// An unknown commit is asked for again until there is an answer, and the producer goes on.
    RetryUnknownCommit,
    /// After an unknown commit the state is restored, and the same producer goes on.
    ReuseProducerAfterUnknownCommit,
    /// No disturbance ever leads to a new producer, except where the old one is of no use.
    NoNewProducer,
    /// Only a disturbance during a commit that was confirmed leads to a new producer, not one of an aborted transaction.
    NewProducerAfterCommitsOnly,
    /// The restore stops at the last stable offset instead of the journal's end.
    ReadCommittedEnd,
    /// The restore asks for the journal's end before it asks for the group's offsets.
    EndBeforeOffsets,
    /// The restore takes the group's offsets while a transaction may still change them.
    UnstableOffsets,
    /// A transaction of timers alone sends no offsets.
    NoOffsetsWithTimers,
    /// Offsets are sent without the generation, so that the group cannot tell a zombie.
    NoGenerationCheck,
    /// The store is written before the transaction is committed.
    StoreBeforeKafka,
    /// After an abort the consumer goes on where it was.
    ForgottenSeek,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::RetryUnknownCommit,
        Self::ReuseProducerAfterUnknownCommit,
        Self::NoNewProducer,
        Self::NewProducerAfterCommitsOnly,
        Self::ReadCommittedEnd,
        Self::EndBeforeOffsets,
        Self::UnstableOffsets,
        Self::NoOffsetsWithTimers,
        Self::NoGenerationCheck,
        Self::StoreBeforeKafka,
        Self::ForgottenSeek,
    ];
}

/// How much of each trouble one history may hold. Everything else is unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// Requests that are delayed or whose answers are lost.
    pub network: u8,
    /// Workers killed.
    pub crashes: u8,
    /// Times that the partition moves to the other worker.
    pub moves: u8,
    /// Transactions that the cluster aborts under the hands of their worker.
    pub timeouts: u8,
}
