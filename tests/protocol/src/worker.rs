//! What a worker remembers: its state and its store, its producer, and where it is in the protocol.

use crate::cluster::{Event, Record, Targets};

/// The state that the journal folds to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// Next record of the input that has no decision.
    pub position: u8,
    /// Next sequence of the journal.
    pub next_sequence: u8,
    /// The timer was handled.
    pub is_timer_done: bool,
}

impl State {
    /// Folds an event; none if it does not follow what was folded before.
    pub fn fold(mut self, record: Record) -> Option<Self> {
        if record.sequence != self.next_sequence {
            return None;
        }
        self.next_sequence += 1;
        match record.event {
            Event::Decision(offset) => self.position = offset + 1,
            Event::Timer => self.is_timer_done = true,
        }
        Some(self)
    }
}

/// What a store holds: a state, and the journal's next offset that is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    /// The state.
    pub state: State,
    /// The offset.
    pub journal_next: usize,
}

/// Why a worker gave up its partition with an error that an operator has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// The group's offset is beyond the state.
    GroupAhead,
    /// The journal ends before the store.
    JournalBehindStore,
    /// The journal's events do not follow each other.
    SequenceGap,
}

/// What follows when a new producer has taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum After {
    /// It was not for the sake of a transaction: whoever owns the partition goes on.
    GoOn,
    /// What became of the last transaction is not known: restore.
    Restore,
}

/// A restore under way: what is known already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Restore {
    /// (a) the group's committed offset, once it was asked for.
    pub committed: Option<Option<u8>>,
    /// (b) the journal's end, once it was asked for.
    pub end: Option<usize>,
}

/// How far an open transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Events are added.
    Open,
    /// The commit began: offsets are sent, and what is left of the records.
    Closing,
    /// The positions were taken.
    OffsetsSent,
    /// It is being aborted.
    Aborting,
}

/// An open transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Draft {
    /// The state with its events.
    pub overlay: State,
    /// Its events, in order.
    pub events: Vec<Record>,
    /// How many of them are in the journal.
    pub in_journal: usize,
    /// How many are in the output.
    pub in_output: usize,
    /// The offset after the last one in the journal.
    pub journal_next: usize,
    /// The partitions that the coordinator has confirmed.
    pub added: Targets,
    /// A partition was asked for, so that there is something to abort.
    pub is_known: bool,
    /// How far it is.
    pub stage: Stage,
}

/// Where a worker is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It does not run.
    Down,
    /// A new producer waits to take over.
    Init(After),
    /// It owns nothing.
    Idle,
    /// It restores.
    Restoring(Restore),
    /// It can decide, and has no transaction.
    Ready,
    /// It has one.
    Writing(Draft),
    /// It stopped with an error.
    Stopped(Stop),
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Worker {
    /// Where it is.
    pub phase: Phase,
    /// The generation in which it owns the partition, as far as it knows.
    pub owned_in: Option<u8>,
    /// The epoch of its producer.
    pub epoch: u8,
    /// A copy of one of this producer's requests may still be under way: a new one takes over before the next begin.
    pub needs_new_producer: bool,
    /// The record that the consumer delivers next; none before the first seek.
    pub delivers: Option<u8>,
    /// What a crash leaves.
    pub flushed: Store,
    /// The same with the memtable.
    pub store: Store,
}

impl Worker {
    /// An empty store, before the first start.
    pub fn new() -> Self {
        Self {
            phase: Phase::Down,
            owned_in: None,
            epoch: 0,
            needs_new_producer: false,
            delivers: None,
            flushed: Store::default(),
            store: Store::default(),
        }
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self::new()
    }
}
