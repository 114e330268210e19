//! The coordinator of transactions: epochs, what takes part in a transaction, and how one ends.
//!
//! As Kafka without KIP-890 has it: a transaction does not change its producer's epoch when it ends, so that a late
//! request of an earlier transaction is taken for one of the present.

use std::collections::BTreeSet;

use super::partition::ProducerId;
use crate::record::TopicPartition;

/// What a transaction writes to: its end is marked there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Participant {
    /// Records of a partition.
    Records(TopicPartition),
    /// Positions of a group.
    Offsets(String),
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A newer producer has the id, or the transaction took too long.
    Fenced,
    /// The last transaction is still being ended: ask again.
    Busy,
    /// There is no transaction to end, or it ended the other way.
    InvalidState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Empty,
    Ongoing,
    /// Decided, the markers are under way.
    Prepared {
        is_commit: bool,
    },
    Complete {
        is_commit: bool,
    },
}

/// A transactional id.
#[derive(Debug)]
pub(super) struct Transactional {
    pub(super) producer: ProducerId,
    pub(super) epoch: u32,
    pub(super) state: State,
    pub(super) participants: BTreeSet<Participant>,
    pub(super) unmarked: BTreeSet<Participant>,
    /// Counts transactions: a timer of an older one finds another number.
    pub(super) serial: u64,
}

impl Transactional {
    pub(super) fn new(producer: ProducerId) -> Self {
        Self {
            producer,
            epoch: 0,
            state: State::Empty,
            participants: BTreeSet::new(),
            unmarked: BTreeSet::new(),
            serial: 0,
        }
    }

    /// Whether this request is of the present epoch, and the transaction takes requests.
    pub(super) fn check(&self, epoch: u32) -> Result<(), Refusal> {
        if epoch != self.epoch {
            return Err(Refusal::Fenced);
        }
        match self.state {
            State::Prepared { .. } => Err(Refusal::Busy),
            _ => Ok(()),
        }
    }

    /// Adds a participant. True: a transaction began with it.
    pub(super) fn add(&mut self, epoch: u32, participant: Participant) -> Result<bool, Refusal> {
        self.check(epoch)?;
        let begins = self.state != State::Ongoing;
        if begins {
            self.state = State::Ongoing;
            self.participants.clear();
            self.serial += 1;
        }
        self.participants.insert(participant);
        Ok(begins)
    }

    /// Whether an open transaction of this epoch has this participant: partitions ask before they append.
    pub(super) fn verify(&self, epoch: u32, participant: &Participant) -> Result<(), Refusal> {
        if epoch != self.epoch {
            return Err(Refusal::Fenced);
        }
        let is_in = self.state == State::Ongoing && self.participants.contains(participant);
        if is_in { Ok(()) } else { Err(Refusal::InvalidState) }
    }

    /// Asks for the end. True: it is to be carried out now; false: it was before.
    pub(super) fn end(&mut self, epoch: u32, is_commit: bool) -> Result<bool, Refusal> {
        if epoch != self.epoch {
            return Err(Refusal::Fenced);
        }
        match self.state {
            State::Ongoing => {
                self.prepare(is_commit);
                Ok(true)
            }
            State::Prepared { is_commit: decided } if decided == is_commit => Err(Refusal::Busy),
            State::Complete { is_commit: decided } if decided == is_commit => Ok(false),
            _ => Err(Refusal::InvalidState),
        }
    }

    /// Decides the end; the markers follow.
    pub(super) fn prepare(&mut self, is_commit: bool) {
        self.state = State::Prepared { is_commit };
        self.unmarked = self.participants.clone();
        if self.unmarked.is_empty() {
            self.state = State::Complete { is_commit };
        }
    }

    /// A marker was written.
    pub(super) fn marked(&mut self, participant: &Participant) {
        self.unmarked.remove(participant);
        if let State::Prepared { is_commit } = self.state
            && self.unmarked.is_empty()
        {
            self.state = State::Complete { is_commit };
        }
    }

    /// A new producer takes over. Busy: what the old one left has to end first. True: its end is to be carried out.
    pub(super) fn init(&mut self) -> Result<u32, (Refusal, bool)> {
        match self.state {
            State::Prepared { .. } => Err((Refusal::Busy, false)),
            State::Ongoing => {
                self.epoch += 1;
                self.prepare(false);
                Err((Refusal::Busy, true))
            }
            State::Empty | State::Complete { .. } => {
                self.epoch += 1;
                self.state = State::Empty;
                self.participants.clear();
                Ok(self.epoch)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Participant {
        Participant::Records(TopicPartition::new("t", 0))
    }

    #[test]
    fn the_end_of_a_transaction_is_idempotent_and_refused_where_nothing_is_open() {
        let mut id = Transactional::new(1);
        assert_eq!(id.init(), Ok(1));
        assert_eq!(id.end(1, true), Err(Refusal::InvalidState));
        assert_eq!(id.add(1, records()), Ok(true));
        assert_eq!(id.end(1, true), Ok(true));
        assert_eq!(id.end(1, true), Err(Refusal::Busy), "the markers are under way");
        assert_eq!(id.add(1, records()), Err(Refusal::Busy));
        id.marked(&records());
        assert_eq!(id.end(1, true), Ok(false));
        assert_eq!(id.end(1, false), Err(Refusal::InvalidState));
    }

    #[test]
    fn a_late_end_is_taken_for_that_of_the_next_transaction_unless_the_epoch_changed() {
        let mut id = Transactional::new(1);
        assert_eq!(id.init(), Ok(1));
        assert_eq!(id.add(1, records()), Ok(true));
        assert_eq!(id.end(1, true), Ok(true));
        id.marked(&records());
        assert_eq!(id.add(1, records()), Ok(true), "the next one");
        assert_eq!(id.end(1, true), Ok(true), "and a copy of the last end ends it");
        id.marked(&records());
        assert_eq!(id.init(), Ok(2));
        assert_eq!(id.end(1, true), Err(Refusal::Fenced));
    }

    #[test]
    fn taking_over_aborts_what_is_open_first() {
        let mut id = Transactional::new(1);
        assert_eq!(id.init(), Ok(1));
        assert_eq!(id.add(1, records()), Ok(true));
        assert_eq!(id.init(), Err((Refusal::Busy, true)));
        assert_eq!(id.state, State::Prepared { is_commit: false });
        assert_eq!(id.end(1, true), Err(Refusal::Fenced));
        assert_eq!(id.init(), Err((Refusal::Busy, false)));
        id.marked(&records());
        assert_eq!(id.init(), Ok(3));
    }
}
