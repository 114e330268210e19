//! What brokers do with a request: transaction coordinator, partitions with their markers, group coordinator.
//!
//! Must not know what a worker wants.

/// Transactional ids, one per worker.
pub const PRODUCERS: usize = 2;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The decision of the input record at this offset.
    Decision(u8),
    /// The timer that the first record set.
    Timer,
}

/// An event in the journal, or what it projects to in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its place in the journal's own count.
    pub sequence: u8,
    /// What it is about.
    pub event: Event,
}

/// An offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A record of a transaction whose marker is not here.
    Open {
        /// Who wrote it.
        producer: usize,
        /// In which epoch.
        epoch: u8,
        /// What.
        record: Record,
    },
    /// A record whose commit marker is here.
    Committed(Record),
    /// A marker, or a record that was aborted: readers pass over it.
    Void,
}

/// A partition that takes part in transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The journal.
    Journal,
    /// The output.
    Output,
    /// The group's offsets.
    Offsets,
}

/// A set of targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Targets([bool; 3]);

impl Targets {
    /// Whether it is among them.
    pub fn has(self, target: Target) -> bool {
        self.0[target as usize]
    }

    /// Adds one.
    pub fn add(&mut self, target: Target) {
        self.0[target as usize] = true;
    }

    /// Those whose markers are told apart. Nobody in this model waits for the output's: it comes with the journal's, and
    /// by itself where the journal has none.
    pub fn apart(self) -> impl Iterator<Item = Target> {
        let first = [Target::Journal, Target::Output].into_iter().find(|target| self.has(*target));
        let offsets = self.has(Target::Offsets).then_some(Target::Offsets);
        first.into_iter().chain(offsets)
    }

    fn remove(&mut self, target: Target) {
        self.0[target as usize] = false;
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == [false; 3]
    }
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transaction {
    /// There was none in this epoch.
    Empty,
    /// Partitions were added.
    Ongoing,
    /// It is decided; its markers are under way.
    Prepared {
        /// Or aborted.
        is_commit: bool,
    },
    /// All markers have arrived.
    Complete {
        /// Or aborted.
        is_commit: bool,
    },
}

/// What the transaction coordinator knows of one transactional id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Coordinator {
    /// The only epoch whose requests are heard.
    pub epoch: u8,
    /// Where the transaction is.
    pub transaction: Transaction,
    /// Its partitions; once it is decided, those whose marker is missing.
    pub targets: Targets,
}

/// The consumer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// Grows with each change of the assignment.
    pub generation: u8,
    /// The worker that owns the partition in this generation.
    pub owner: usize,
    /// The committed offset, if there is one.
    pub committed: Option<u8>,
    /// Offsets of transactions whose marker is missing, by producer.
    pub pending: [Option<u8>; PRODUCERS],
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// `AddPartitionsToTxn` and `AddOffsetsToTxn`.
    Add(Target),
    /// `TxnOffsetCommit`; without a generation the group cannot check it.
    Offsets {
        /// The member's.
        generation: Option<u8>,
        /// The next offset to read.
        next: u8,
    },
    /// `EndTxn`.
    End {
        /// Or abort.
        is_commit: bool,
    },
}

/// A request on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// Whose.
    pub producer: usize,
    /// The sender's epoch.
    pub epoch: u8,
    /// What.
    pub request: Request,
}

/// What a broker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Done.
    Done,
    /// Markers of the last transaction are under way: ask again.
    Busy,
    /// Another epoch holds.
    Fenced,
    /// The transaction is not in a state for that.
    InvalidState,
    /// Another generation holds.
    IllegalGeneration,
}

/// All brokers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cluster {
    /// The journal.
    pub journal: Vec<Entry>,
    /// The output.
    pub output: Vec<Entry>,
    /// By transactional id.
    pub coordinators: [Coordinator; PRODUCERS],
    /// The group.
    pub group: Group,
}

impl Cluster {
    /// Empty topics; worker 0 owns the partition.
    pub fn new() -> Self {
        let coordinator =
            Coordinator { epoch: 0, transaction: Transaction::Empty, targets: Targets::default() };
        Self {
            journal: Vec::new(),
            output: Vec::new(),
            coordinators: [coordinator; PRODUCERS],
            group: Group { generation: 1, owner: 0, committed: None, pending: [None; PRODUCERS] },
        }
    }

    /// Carries a request out, or says why not.
    pub fn handle(&mut self, message: Message) -> Answer {
        let Message { producer, epoch, request } = message;
        match request {
            Request::Add(target) => self.add(producer, epoch, target),
            Request::Offsets { generation, next } => self.take_offsets(producer, epoch, generation, next),
            Request::End { is_commit } => self.end(producer, epoch, is_commit),
        }
    }

    fn add(&mut self, producer: usize, epoch: u8, target: Target) -> Answer {
        let coordinator = &mut self.coordinators[producer];
        if coordinator.epoch != epoch {
            return Answer::Fenced;
        }
        if matches!(coordinator.transaction, Transaction::Prepared { .. }) {
            return Answer::Busy;
        }
        coordinator.transaction = Transaction::Ongoing;
        coordinator.targets.add(target);
        Answer::Done
    }

    /// The server's own check of a write: the transaction is open, and has this partition.
    fn verify(&self, producer: usize, epoch: u8, target: Target) -> Answer {
        let coordinator = &self.coordinators[producer];
        if coordinator.epoch != epoch {
            Answer::Fenced
        } else if coordinator.transaction == Transaction::Ongoing && coordinator.targets.has(target) {
            Answer::Done
        } else {
            Answer::InvalidState
        }
    }

    fn take_offsets(&mut self, producer: usize, epoch: u8, generation: Option<u8>, next: u8) -> Answer {
        if generation.is_some_and(|generation| generation != self.group.generation) {
            return Answer::IllegalGeneration;
        }
        let verified = self.verify(producer, epoch, Target::Offsets);
        if verified == Answer::Done {
            self.group.pending[producer] = Some(next);
        }
        verified
    }

    fn end(&mut self, producer: usize, epoch: u8, is_commit: bool) -> Answer {
        let coordinator = &mut self.coordinators[producer];
        if coordinator.epoch != epoch {
            return Answer::Fenced;
        }
        match coordinator.transaction {
            Transaction::Ongoing => {
                coordinator.transaction = Transaction::Prepared { is_commit };
                Answer::Done
            }
            Transaction::Prepared { is_commit: decided } if decided == is_commit => Answer::Busy,
            Transaction::Complete { is_commit: decided } if decided == is_commit => Answer::Done,
            _ => Answer::InvalidState,
        }
    }

    /// Takes the transactional id over: the new epoch, or none as long as an older transaction is not over.
    pub fn init(&mut self, producer: usize) -> Option<u8> {
        let coordinator = &mut self.coordinators[producer];
        match coordinator.transaction {
            Transaction::Ongoing => {
                self.time_out(producer);
                None
            }
            Transaction::Prepared { .. } => None,
            Transaction::Empty | Transaction::Complete { .. } => {
                coordinator.epoch += 1;
                coordinator.transaction = Transaction::Empty;
                Some(coordinator.epoch)
            }
        }
    }

    /// Aborts an open transaction and shuts its producer out.
    pub fn time_out(&mut self, producer: usize) {
        let coordinator = &mut self.coordinators[producer];
        coordinator.epoch += 1;
        coordinator.transaction = Transaction::Prepared { is_commit: false };
    }

    /// Appends a record. The first of a transaction in a partition is checked by the coordinator, the next ones by the
    /// epoch of those before.
    pub fn append(&mut self, producer: usize, epoch: u8, target: Target, record: Record) -> Answer {
        let is_open = |entry: &Entry| matches!(entry, Entry::Open { producer: who, epoch: when, .. } if *who == producer && *when == epoch);
        if !self.log(target).iter().any(is_open) {
            let verified = self.verify(producer, epoch, target);
            if verified != Answer::Done {
                return verified;
            }
        }
        self.log_mut(target).push(Entry::Open { producer, epoch, record });
        Answer::Done
    }

    /// A marker of a decided transaction reaches one of its partitions; that of the output comes with the journal's.
    pub fn mark(&mut self, producer: usize, target: Target) {
        let Transaction::Prepared { is_commit } = self.coordinators[producer].transaction else { return };
        if target == Target::Journal && self.coordinators[producer].targets.has(Target::Output) {
            self.mark_one(producer, Target::Output, is_commit);
        }
        self.mark_one(producer, target, is_commit);
        if self.coordinators[producer].targets.is_empty() {
            self.coordinators[producer].transaction = Transaction::Complete { is_commit };
        }
    }

    fn mark_one(&mut self, producer: usize, target: Target, is_commit: bool) {
        if target == Target::Offsets {
            let pending = self.group.pending[producer].take();
            if let Some(next) = pending.filter(|_| is_commit) {
                self.group.committed = Some(next);
            }
        } else {
            let log = self.log_mut(target);
            for entry in log.iter_mut() {
                match *entry {
                    Entry::Open { producer: who, record, .. } if who == producer => {
                        *entry = if is_commit { Entry::Committed(record) } else { Entry::Void };
                    }
                    _ => {}
                }
            }
            log.push(Entry::Void);
        }
        self.coordinators[producer].targets.remove(target);
    }

    fn log(&self, target: Target) -> &[Entry] {
        match target {
            Target::Journal => &self.journal,
            Target::Output => &self.output,
            Target::Offsets => unreachable!("offsets are not appended, they are taken"),
        }
    }

    fn log_mut(&mut self, target: Target) -> &mut Vec<Entry> {
        match target {
            Target::Journal => &mut self.journal,
            Target::Output => &mut self.output,
            Target::Offsets => unreachable!("offsets are not appended, they are taken"),
        }
    }

    /// The journal's last stable offset: where readers of committed records stop.
    pub fn stable_end(&self) -> usize {
        let open = self.journal.iter().position(|entry| matches!(entry, Entry::Open { .. }));
        open.unwrap_or(self.journal.len())
    }

    /// Records that are committed by decision, whether their marker has arrived or not, with their offsets.
    pub fn decided(&self, target: Target) -> impl Iterator<Item = (usize, Record)> {
        self.log(target).iter().enumerate().filter_map(move |(offset, entry)| match *entry {
            Entry::Committed(record) => Some((offset, record)),
            Entry::Open { producer, record, .. } => {
                let coordinator = &self.coordinators[producer];
                let is_committed = coordinator.transaction == (Transaction::Prepared { is_commit: true })
                    && coordinator.targets.has(target);
                is_committed.then_some((offset, record))
            }
            Entry::Void => None,
        })
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}
