//! The model that is searched: the cluster, two workers and what is under way between them.
//!
//! Owns the actions. Each either takes the protocol one step on or uses up a part of the trouble that the search allows,
//! so that every history ends.

use stateright::{Model, Property};

use crate::canonical;
use crate::cluster::{Answer, Cluster, Event, Message, PRODUCERS, Record, Request, Target, Transaction};
use crate::options::{Mutation, Trouble};
use crate::properties;
use crate::worker::{After, Draft, Phase, Restore, Stage, Stop, Store, Worker};

/// What a search is about.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Records in the input.
    pub records: u8,
    /// Events of one transaction, at most.
    pub events_per_transaction: usize,
    /// Trouble of one history, at most.
    pub trouble: Trouble,
    /// The rule that is left out.
    pub mutation: Option<Mutation>,
}

/// All there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The brokers.
    pub cluster: Cluster,
    /// The workers, by their transactional ids.
    pub workers: [Worker; PRODUCERS],
    /// Requests that are delayed: their senders repeated them, gave up or died. In order, to tell fewer states apart.
    pub late: Vec<Message>,
    /// Trouble that may still come.
    pub left: Trouble,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is carried out and answered.
    Answered,
    /// It is carried out, the answer is lost.
    AnswerLost {
        /// The sender does not repeat it.
        is_given_up: bool,
    },
    /// It arrives later, or never.
    Delayed {
        /// The sender does not repeat it.
        is_given_up: bool,
    },
}

impl Fate {
    const TROUBLES: [Self; 4] = [
        Self::AnswerLost { is_given_up: false },
        Self::AnswerLost { is_given_up: true },
        Self::Delayed { is_given_up: false },
        Self::Delayed { is_given_up: true },
    ];

    /// Whether it is still under way.
    pub fn is_delayed(self) -> bool {
        matches!(self, Self::Delayed { .. })
    }

    fn is_given_up(self) -> bool {
        matches!(self, Self::AnswerLost { is_given_up: true } | Self::Delayed { is_given_up: true })
    }
}

/// A step of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A dead worker starts.
    Start(usize),
    /// A producer asks to take over.
    Init(usize),
    /// A worker asks for a new producer before it begins a transaction.
    Renew(usize),
    /// The group tells the owner that it owns the partition.
    Join(usize),
    /// A worker learns that it has lost the partition.
    Learn(usize),
    /// A step of a restore.
    Restore(usize),
    /// A worker decides the next record, or the timer.
    Decide {
        /// Which worker.
        worker: usize,
        /// What.
        is_timer: bool,
    },
    /// A worker sends a request.
    Send {
        /// Which worker.
        worker: usize,
        /// What.
        request: Request,
        /// What becomes of it.
        fate: Fate,
    },
    /// A worker writes its next record.
    Append {
        /// Which worker.
        worker: usize,
        /// Where.
        target: Target,
    },
    /// A worker dies, perhaps with a request under way.
    Crash {
        /// Which worker.
        worker: usize,
        /// What it had sent.
        sent: Option<Request>,
        /// Whether its store was flushed just before.
        is_flushed: bool,
    },
    /// The owner gives the partition up in good order.
    HandOver,
    /// The group takes the partition from its owner, who does not know.
    Move,
    /// A delayed request arrives.
    Late(usize),
    /// A marker arrives.
    Mark {
        /// Whose transaction.
        producer: usize,
        /// Where.
        target: Target,
    },
    /// The cluster aborts a transaction that takes too long.
    TimeOut(usize),
}

impl Model for Pipeline {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World {
            cluster: Cluster::new(),
            workers: [Worker::new(), Worker::new()],
            late: Vec::new(),
            left: self.trouble,
        };
        for (number, worker) in world.workers.iter_mut().enumerate() {
            worker.epoch = world.cluster.init(number).unwrap_or_default();
            worker.phase = Phase::Idle;
        }
        canonical::normalize(&mut world);
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for number in 0..PRODUCERS {
            self.actions_of_worker(world, number, actions);
            let coordinator = &world.cluster.coordinators[number];
            if matches!(coordinator.transaction, Transaction::Prepared { .. }) {
                let missing = coordinator.targets.apart();
                actions.extend(missing.map(|target| Action::Mark { producer: number, target }));
            }
            // What nobody works on ends by itself; under the hands of its worker that is trouble.
            let is_worked_on = matches!(world.workers[number].phase, Phase::Writing(_) | Phase::Init(_));
            let may_time_out = !is_worked_on || world.left.timeouts > 0;
            if coordinator.transaction == Transaction::Ongoing && may_time_out {
                actions.push(Action::TimeOut(number));
            }
        }
        actions.extend((0..world.late.len()).map(Action::Late));
        if world.left.moves > 0 {
            let owner = &world.workers[world.cluster.group.owner].phase;
            if matches!(owner, Phase::Idle | Phase::Restoring(_) | Phase::Ready) {
                actions.push(Action::HandOver);
            }
            if world.workers[1 - world.cluster.group.owner].phase != Phase::Down {
                actions.push(Action::Move);
            }
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        let is_possible = match action {
            Action::Start(number) => {
                world.workers[number].phase = Phase::Init(After::GoOn);
                true
            }
            Action::Init(number) => init(&mut world, number),
            Action::Renew(number) => {
                world.workers[number].phase = Phase::Init(After::GoOn);
                true
            }
            Action::Join(number) => {
                let worker = &mut world.workers[number];
                worker.owned_in = Some(world.cluster.group.generation);
                worker.phase = Phase::Restoring(Restore::default());
                true
            }
            Action::Learn(number) => {
                lose(&mut world.workers[number]);
                true
            }
            Action::Restore(number) => self.restore(&mut world, number),
            Action::Decide { worker, is_timer } => {
                decide(&mut world.workers[worker], is_timer);
                true
            }
            Action::Send { worker, request, fate } => self.send(&mut world, worker, request, fate),
            Action::Append { worker, target } => {
                append(&mut world, worker, target);
                true
            }
            Action::Crash { worker, sent, is_flushed } => {
                crash(&mut world, worker, sent, is_flushed);
                true
            }
            Action::HandOver => {
                let owner = world.cluster.group.owner;
                if world.workers[owner].phase != Phase::Idle {
                    lose(&mut world.workers[owner]);
                }
                move_on(&mut world);
                true
            }
            Action::Move => {
                move_on(&mut world);
                true
            }
            Action::Late(index) => {
                let message = world.late.remove(index);
                // Nobody waits for the answer.
                let _ = world.cluster.handle(message);
                true
            }
            Action::Mark { producer, target } => {
                world.cluster.mark(producer, target);
                true
            }
            Action::TimeOut(number) => {
                if matches!(world.workers[number].phase, Phase::Writing(_) | Phase::Init(_)) {
                    world.left.timeouts -= 1;
                }
                world.cluster.time_out(number);
                true
            }
        };
        if !is_possible {
            return None;
        }
        canonical::normalize(&mut world);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl Pipeline {
    /// Whether a search leaves this rule out.
    fn lacks(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    fn actions_of_worker(&self, world: &World, number: usize, actions: &mut Vec<Action>) {
        let worker = &world.workers[number];
        let group = &world.cluster.group;
        let is_lost = worker.owned_in.is_some_and(|generation| generation != group.generation);
        match &worker.phase {
            Phase::Down => actions.push(Action::Start(number)),
            Phase::Stopped(_) => {}
            Phase::Init(_) => actions.push(Action::Init(number)),
            Phase::Idle => {
                if group.owner == number {
                    actions.push(Action::Join(number));
                }
            }
            Phase::Restoring(_) => {
                actions.push(Action::Restore(number));
                if is_lost {
                    actions.push(Action::Learn(number));
                }
            }
            Phase::Ready => {
                let next = self.decisions(worker, worker.store.state);
                if worker.needs_new_producer && next.iter().any(|is_possible| *is_possible) {
                    actions.push(Action::Renew(number));
                } else {
                    push_decisions(next, number, actions);
                }
                if is_lost {
                    actions.push(Action::Learn(number));
                }
            }
            Phase::Writing(draft) => {
                for request in self.requests(world, number, draft) {
                    actions.push(Action::Send { worker: number, request, fate: Fate::Answered });
                    if world.left.network == 0 {
                        continue;
                    }
                    let repeats_only = self.lacks(Mutation::RetryUnknownCommit)
                        && request == Request::End { is_commit: true };
                    let fates =
                        Fate::TROUBLES.into_iter().filter(|fate| !(repeats_only && fate.is_given_up()));
                    actions.extend(fates.map(|fate| Action::Send { worker: number, request, fate }));
                }
                for target in unwritten(draft).filter(|target| draft.added.has(*target)) {
                    actions.push(Action::Append { worker: number, target });
                }
                if draft.stage == Stage::Open {
                    if draft.events.len() < self.events_per_transaction {
                        push_decisions(self.decisions(worker, draft.overlay), number, actions);
                    }
                    // A commit is one call: the worker polls before it and after it.
                    if is_lost {
                        actions.push(Action::Learn(number));
                    }
                }
            }
        }
        if world.left.crashes > 0 && !matches!(worker.phase, Phase::Down | Phase::Stopped(_)) {
            let mut sent = vec![None];
            if let Phase::Writing(draft) = &worker.phase {
                sent.extend(self.requests(world, number, draft).into_iter().map(Some));
            }
            for sent in sent {
                actions.push(Action::Crash { worker: number, sent, is_flushed: false });
                if worker.flushed != worker.store {
                    actions.push(Action::Crash { worker: number, sent, is_flushed: true });
                }
            }
        }
    }

    /// Whether the worker can decide a record now, and whether the timer.
    fn decisions(&self, worker: &Worker, state: crate::worker::State) -> [bool; 2] {
        let has_record = worker.delivers.is_some_and(|offset| offset < self.records);
        [has_record, !state.is_timer_done && state.position > 0]
    }

    /// What the worker may send next.
    fn requests(&self, world: &World, number: usize, draft: &Draft) -> Vec<Request> {
        if draft.stage == Stage::Aborting {
            return vec![Request::End { is_commit: false }];
        }
        let mut requests: Vec<Request> =
            unwritten(draft).filter(|target| !draft.added.has(*target)).map(Request::Add).collect();
        let is_of_timers = draft.events.iter().all(|record| record.event == Event::Timer);
        let is_without_offsets = self.lacks(Mutation::NoOffsetsWithTimers) && is_of_timers;
        if draft.stage != Stage::OffsetsSent && !is_without_offsets {
            requests.push(if draft.added.has(Target::Offsets) {
                let generation = world.workers[number].owned_in;
                let generation = generation.filter(|_| !self.lacks(Mutation::NoGenerationCheck));
                Request::Offsets { generation, next: draft.overlay.position }
            } else {
                Request::Add(Target::Offsets)
            });
        } else if unwritten(draft).next().is_none() {
            requests.push(Request::End { is_commit: true });
        }
        requests
    }

    fn send(&self, world: &mut World, number: usize, request: Request, fate: Fate) -> bool {
        let worker = &mut world.workers[number];
        let Phase::Writing(draft) = &mut worker.phase else { return false };
        draft.is_known = true;
        let is_of_commit = match request {
            Request::Add(target) => target == Target::Offsets || draft.stage != Stage::Open,
            Request::Offsets { .. } => true,
            Request::End { is_commit } => is_commit,
        };
        if is_of_commit && draft.stage == Stage::Open {
            draft.stage = Stage::Closing;
        }
        if self.lacks(Mutation::StoreBeforeKafka) && request == (Request::End { is_commit: true }) {
            worker.store = Store { state: draft.overlay, journal_next: draft.journal_next };
        }
        let message = Message { producer: number, epoch: worker.epoch, request };
        match fate {
            Fate::Answered => {
                let answer = world.cluster.handle(message);
                if !self.take_answer(worker, request, answer) {
                    return false;
                }
                // What waited for its partition is sent with the answer.
                if let Request::Add(target @ (Target::Journal | Target::Output)) = request
                    && answer == Answer::Done
                {
                    append(world, number, target);
                }
                return true;
            }
            Fate::AnswerLost { .. } => {
                if world.cluster.handle(message) == Answer::Busy {
                    return false;
                }
            }
            Fate::Delayed { .. } => {
                let at = world.late.partition_point(|other| *other < message);
                world.late.insert(at, message);
            }
        }
        world.left.network -= 1;
        if self.notes_disturbance(is_of_commit) {
            worker.needs_new_producer = true;
        }
        if fate.is_given_up() {
            self.give_up(worker, request);
        }
        true
    }

    /// Whether a request that may be under way twice calls for a new producer.
    fn notes_disturbance(&self, is_of_commit: bool) -> bool {
        match self.mutation {
            Some(
                Mutation::NoNewProducer
                | Mutation::RetryUnknownCommit
                | Mutation::ReuseProducerAfterUnknownCommit,
            ) => false,
            Some(Mutation::NewProducerAfterCommitsOnly) => is_of_commit,
            _ => true,
        }
    }

    /// The sender waits no longer for an answer.
    fn give_up(&self, worker: &mut Worker, request: Request) {
        match request {
            Request::Add(_) | Request::Offsets { .. } => begin_abort(worker),
            Request::End { is_commit: true } => {
                if self.lacks(Mutation::ReuseProducerAfterUnknownCommit) {
                    after_transaction(worker);
                } else {
                    worker.phase = Phase::Init(After::Restore);
                }
            }
            Request::End { is_commit: false } => {
                worker.needs_new_producer |= self.notes_disturbance(true);
                after_transaction(worker);
            }
        }
    }

    fn take_answer(&self, worker: &mut Worker, request: Request, answer: Answer) -> bool {
        let Phase::Writing(draft) = &mut worker.phase else { return false };
        match (request, answer) {
            (_, Answer::Busy) => return false,
            (Request::Add(target), Answer::Done) => draft.added.add(target),
            (Request::Offsets { .. }, Answer::Done) => draft.stage = Stage::OffsetsSent,
            // The group will say so with the next poll.
            (Request::Offsets { .. }, Answer::IllegalGeneration) => lose(worker),
            (Request::End { is_commit: true }, Answer::Done) => {
                worker.store = Store { state: draft.overlay, journal_next: draft.journal_next };
                worker.phase = Phase::Ready;
            }
            (Request::End { is_commit: false }, Answer::Done) => {
                if self.lacks(Mutation::NewProducerAfterCommitsOnly) {
                    worker.needs_new_producer = false;
                }
                after_transaction(worker);
            }
            // The client is of no use any more, or the cluster has ended the transaction before.
            (Request::End { is_commit: false }, _) => {
                worker.needs_new_producer = true;
                after_transaction(worker);
            }
            (Request::End { is_commit: true }, _) | (_, Answer::Fenced) => {
                worker.phase = Phase::Init(After::Restore);
            }
            (_, Answer::InvalidState | Answer::IllegalGeneration) => begin_abort(worker),
        }
        true
    }

    /// The next step of a restore; false if it has to wait.
    fn restore(&self, world: &mut World, number: usize) -> bool {
        let worker = &mut world.workers[number];
        let cluster = &world.cluster;
        let Phase::Restoring(restore) = &mut worker.phase else { return false };
        let needs_end = restore.end.is_none();
        let asks_for_end =
            needs_end && (restore.committed.is_some() || self.lacks(Mutation::EndBeforeOffsets));
        if restore.committed.is_none() && !asks_for_end {
            // (a)
            let is_stable = cluster.group.pending == [None; PRODUCERS];
            if !is_stable && !self.lacks(Mutation::UnstableOffsets) {
                return false;
            }
            restore.committed = Some(cluster.group.committed);
        } else if asks_for_end {
            // (b)
            let is_too_low = self.lacks(Mutation::ReadCommittedEnd);
            let end = if is_too_low { cluster.stable_end() } else { cluster.journal.len() };
            restore.end = Some(end);
            if end < worker.store.journal_next {
                worker.phase = Phase::Stopped(Stop::JournalBehindStore);
                return true;
            }
        } else {
            // (c)
            let stable_end = cluster.stable_end();
            if stable_end <= worker.store.journal_next {
                return false;
            }
            let from = worker.store.journal_next;
            for entry in &cluster.journal[from..stable_end] {
                let crate::cluster::Entry::Committed(record) = *entry else { continue };
                let Some(state) = worker.store.state.fold(record) else {
                    worker.phase = Phase::Stopped(Stop::SequenceGap);
                    return true;
                };
                worker.store.state = state;
            }
            worker.store.journal_next = stable_end;
        }
        let Phase::Restoring(Restore { committed: Some(committed), end: Some(end) }) = worker.phase else {
            return true;
        };
        if worker.store.journal_next < end {
            return true;
        }
        // (d) and (e)
        let position = worker.store.state.position;
        if committed.is_some_and(|committed| committed > position) {
            worker.phase = Phase::Stopped(Stop::GroupAhead);
            return true;
        }
        let keeps_place = self.lacks(Mutation::ForgottenSeek) && worker.delivers.is_some();
        if !keeps_place {
            worker.delivers = Some(position);
        }
        worker.phase = Phase::Ready;
        true
    }
}

fn push_decisions([record, timer]: [bool; 2], worker: usize, actions: &mut Vec<Action>) {
    if record {
        actions.push(Action::Decide { worker, is_timer: false });
    }
    if timer {
        actions.push(Action::Decide { worker, is_timer: true });
    }
}

/// Where the draft has records that are not written.
fn unwritten(draft: &Draft) -> impl Iterator<Item = Target> {
    let is_aborting = draft.stage == Stage::Aborting;
    let journal = (!is_aborting && draft.in_journal < draft.events.len()).then_some(Target::Journal);
    let output = (!is_aborting && draft.in_output < draft.events.len()).then_some(Target::Output);
    journal.into_iter().chain(output)
}

fn init(world: &mut World, number: usize) -> bool {
    let before = world.cluster.coordinators[number];
    let Some(epoch) = world.cluster.init(number) else {
        return world.cluster.coordinators[number] != before;
    };
    let worker = &mut world.workers[number];
    let Phase::Init(after) = worker.phase else { return false };
    worker.epoch = epoch;
    worker.needs_new_producer = false;
    worker.phase = match after {
        _ if worker.owned_in.is_none() => Phase::Idle,
        After::GoOn => Phase::Ready,
        After::Restore => Phase::Restoring(Restore::default()),
    };
    true
}

fn decide(worker: &mut Worker, is_timer: bool) {
    let mut draft = match std::mem::replace(&mut worker.phase, Phase::Idle) {
        Phase::Writing(draft) => draft,
        _ => Draft {
            overlay: worker.store.state,
            events: Vec::new(),
            in_journal: 0,
            in_output: 0,
            journal_next: 0,
            added: crate::cluster::Targets::default(),
            is_known: false,
            stage: Stage::Open,
        },
    };
    let event = if is_timer {
        Event::Timer
    } else {
        let offset = worker.delivers.unwrap_or_default();
        worker.delivers = Some(offset + 1);
        Event::Decision(offset)
    };
    let record = Record { sequence: draft.overlay.next_sequence, event };
    draft.overlay = draft.overlay.fold(record).unwrap_or(draft.overlay);
    draft.events.push(record);
    worker.phase = Phase::Writing(draft);
}

fn append(world: &mut World, number: usize, target: Target) {
    let worker = &mut world.workers[number];
    let Phase::Writing(draft) = &mut worker.phase else { return };
    let written = if target == Target::Journal { &mut draft.in_journal } else { &mut draft.in_output };
    let record = draft.events[*written];
    match world.cluster.append(number, worker.epoch, target, record) {
        Answer::Done => {
            *written += 1;
            if target == Target::Journal {
                draft.journal_next = world.cluster.journal.len();
            }
        }
        Answer::Fenced => worker.phase = Phase::Init(After::Restore),
        _ => begin_abort(worker),
    }
}

/// Aborts the transaction; one of which the cluster knows nothing is dropped.
fn begin_abort(worker: &mut Worker) {
    match &mut worker.phase {
        Phase::Writing(draft) if draft.is_known => draft.stage = Stage::Aborting,
        _ => after_transaction(worker),
    }
}

/// The overlay is dropped; the state is restored by whoever still owns the partition.
fn after_transaction(worker: &mut Worker) {
    worker.phase = match worker.owned_in {
        Some(_) => Phase::Restoring(Restore::default()),
        None => Phase::Idle,
    };
}

/// The partition is given up: what is open is aborted, the store is closed.
fn lose(worker: &mut Worker) {
    worker.owned_in = None;
    worker.delivers = None;
    worker.flushed = worker.store;
    begin_abort(worker);
}

fn crash(world: &mut World, number: usize, sent: Option<Request>, is_flushed: bool) {
    world.left.crashes -= 1;
    let worker = &mut world.workers[number];
    if let Some(request) = sent {
        let message = Message { producer: number, epoch: worker.epoch, request };
        let at = world.late.partition_point(|other| *other < message);
        world.late.insert(at, message);
    }
    worker.phase = Phase::Down;
    worker.owned_in = None;
    worker.needs_new_producer = false;
    worker.delivers = None;
    if is_flushed {
        worker.flushed = worker.store;
    } else {
        worker.store = worker.flushed;
    }
}

fn move_on(world: &mut World) {
    world.left.moves -= 1;
    let group = &mut world.cluster.group;
    group.generation += 1;
    group.owner = 1 - group.owner;
}
