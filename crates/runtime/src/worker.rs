//! A worker: one thread, one consumer, one transactional producer, and the partitions assigned to it.
//!
//! The loop is [`Worker::turn`]: poll a bounded batch; restore what was assigned; decode and prefetch; for each
//! record decide, evolve into the overlay, produce events and projections; at the commit interval or limit send
//! offsets and commit; only then write the store.

mod assignment;
mod commit;
mod upkeep;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use settle_engine::{Input, Stage};
use settle_log::{
    AssignmentChange, Consumer, ConsumerOptions, Header, Log, Member, PollLimit, Reader, Record, TopicName,
};
use settle_schema::Schemas;
use settle_store::Resources;
use settle_types::Timestamp;
use settle_types::event::ConfigActivation;

use crate::clock::WallClock;
use crate::codec::{StageCodec, position, signed_offset, trace_of};
use crate::error::Error;
use crate::health::{Health, Step};
use crate::monitor::{AbortReason, GivenUp, WorkerMonitor};
use crate::opening::Opening;
use crate::partition::Partition;
use crate::queue::{Order, Queues};
use crate::restore::Restore;
use crate::snapshots::{Schedule, Snapshots};
use crate::standby::Standby;
use crate::stats::Stats;
use crate::transaction::{TopicCounts, Transaction};

/// Settings of a worker.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Prefix of the consumer group and of transactional ids.
    pub application: String,
    /// Ordinal of this process among its peers.
    pub instance: u32,
    /// Where the stores stand: a folder per stage and partition.
    pub state_directory: PathBuf,
    /// Records decided between two polls, at most.
    pub batch_records: usize,
    /// Time between the end of a commit and the beginning of the next.
    pub commit_interval: Duration,
    /// Input records of a transaction, at most.
    pub commit_records: u64,
    /// Bytes that a transaction writes, at most; it may end up one record larger.
    pub commit_bytes: u64,
    /// Rows that a partition holds in memory before its transaction is committed, at most.
    pub cached_rows: usize,
    /// Records polled ahead per partition, at most.
    pub queue_records: usize,
    /// Due rows handled before the worker looks at its limits again.
    pub tick_items: usize,
    /// Bytes that a store may hold unflushed: they are replayed after a crash.
    pub max_unflushed_bytes: u64,
    /// Time for which what a store holds may stay unflushed.
    pub flush_interval: Duration,
    /// Aborted transactions in a row after which the worker gives up.
    pub max_aborts: u32,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            application: "settle".to_owned(),
            instance: 0,
            state_directory: PathBuf::from("state"),
            batch_records: 1_000,
            commit_interval: Duration::from_millis(100),
            commit_records: 10_000,
            commit_bytes: 16 << 20,
            cached_rows: 100_000,
            queue_records: 2_000,
            tick_items: 256,
            max_unflushed_bytes: 16 << 20,
            flush_interval: Duration::from_secs(60),
            max_aborts: 5,
        }
    }
}

/// What all workers of a process share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) resources: Resources,
    /// Each worker takes a copy of its own.
    pub(crate) schemas: Schemas,
    pub(crate) snapshots: Option<Arc<Snapshots>>,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) health: Arc<Health>,
    pub(crate) options: WorkerOptions,
}

impl Shared {
    /// The reader in this place, which is made where there is none: each has connections of its own.
    pub(crate) fn reader<'a>(
        &self,
        place: &'a mut Option<Box<dyn Reader>>,
    ) -> Result<&'a mut dyn Reader, Error> {
        Ok(match place {
            Some(reader) => &mut **reader,
            none => &mut **none.insert(self.log.reader()?),
        })
    }
}

/// Whether a worker can go on where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Flow {
    /// It can.
    GoOn,
    /// A transaction came to nothing, and the overlays with it: every partition restores, and its input is read
    /// again from the last commit. What is at hand is stale.
    StartOver,
}

enum Slot<S: StageCodec> {
    /// Its store is being opened; perhaps a snapshot is fetched.
    Opening(Opening),
    Restoring(Box<Partition<S>>, Restore),
    Ready(Box<Partition<S>>),
}

/// Pause between two looks at journals of which nothing was there to read.
const RESTORE_PAUSE: Duration = Duration::from_millis(5);

/// How long a poll of a worker may wait that has nothing to do but to see whether its peers have.
const IDLE_WAIT: Duration = Duration::from_millis(5);

/// The workers of a stage that run until all of them are idle.
pub(crate) struct IdlePeers {
    count: usize,
    idle: AtomicUsize,
}

impl IdlePeers {
    /// `count` workers, none of them idle.
    pub(crate) fn new(count: usize) -> Self {
        Self { count, idle: AtomicUsize::new(0) }
    }

    fn note(&self, was_idle: bool, is_idle: bool) {
        match (was_idle, is_idle) {
            (false, true) => self.idle.fetch_add(1, Ordering::SeqCst),
            (true, false) => self.idle.fetch_sub(1, Ordering::SeqCst),
            _ => 0,
        };
    }

    fn all_are_idle(&self) -> bool {
        self.idle.load(Ordering::SeqCst) == self.count
    }
}

/// A worker of one stage.
pub struct Worker<S: StageCodec> {
    shared: Shared,
    monitor: WorkerMonitor,
    standby: Option<Arc<Standby<S>>>,
    snapshot_schedule: Schedule,
    group: String,
    transactional_id: String,
    activation: ConfigActivation,
    partition_count: u32,
    consumer: Box<dyn Consumer>,
    /// While partitions are restored.
    reader: Option<Box<dyn Reader>>,
    transaction: Transaction,
    schemas: Schemas,
    /// The group has said what this worker owns, if only that it is nothing.
    has_joined: bool,
    slots: BTreeMap<u32, Slot<S>>,
    /// The last look at the journals that are read brought nothing of any.
    is_restore_waiting: bool,
    queues: Queues,
    order: Order,
    /// The end of the last commit, or of an abort in its place: what is decided again waits for its interval too.
    last_commit_at: Instant,
    reported_at: Instant,
    aborts_in_a_row: u32,
    /// After a transaction that came to nothing: when the next one may begin.
    next_attempt_at: Option<Instant>,
}

impl<S: StageCodec> Worker<S> {
    /// Joins the stage's group as worker `ordinal` of `count`; restores when its partitions arrive.
    pub(crate) fn new(
        shared: Shared,
        activation: ConfigActivation,
        member: Member,
        order: Order,
    ) -> Result<Self, Error> {
        let monitor = WorkerMonitor::new(S::NAME, member.ordinal, &shared.health, Arc::clone(&shared.stats));
        monitor.enter(Step::Joining);
        let topics = topic_counts(&*shared.log)?;
        let partition_count = check_partition_counts::<S>(&topics)?;
        let group = group_name::<S>(&shared.options.application);
        let transactional_id = format!("{group}-{}-{}", shared.options.instance, member.ordinal);
        let consumer = shared.log.consumer(ConsumerOptions {
            group: group.clone(),
            primary: S::PRIMARY.into(),
            secondaries: S::SECONDARIES.iter().map(|topic| TopicName::from(*topic)).collect(),
            member,
            identity: transactional_id.clone(),
            report_ends: order == Order::Strict,
        })?;
        let producer = shared.log.producer(&transactional_id)?;
        let queues = Queues::new(shared.options.queue_records);
        let schemas = shared.schemas.clone();
        let began = shared.clock.monotonic();
        monitor.rest();
        Ok(Self {
            shared,
            monitor,
            standby: None,
            snapshot_schedule: Schedule::default(),
            group,
            transactional_id,
            activation,
            partition_count,
            consumer,
            reader: None,
            transaction: Transaction::new(producer, topics, *schemas.ids()),
            schemas,
            has_joined: false,
            slots: BTreeMap::new(),
            is_restore_waiting: false,
            queues,
            order,
            last_commit_at: began,
            reported_at: began,
            aborts_in_a_row: 0,
            next_attempt_at: None,
        })
    }

    /// Partitions of each input of the stage.
    pub(crate) fn partition_count(&self) -> u32 {
        self.partition_count
    }

    /// Gives partitions up to this standby, and takes them from there.
    pub(crate) fn with_standby(mut self, standby: Option<Arc<Standby<S>>>) -> Self {
        self.standby = standby;
        self
    }

    /// Works until every input is at its end and all is committed, and the same holds for its peers; or until told to
    /// stop. A worker that is done goes on polling meanwhile: its group may give it the partitions of another.
    pub(crate) fn run_until_idle(
        &mut self,
        peers: &IdlePeers,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        self.queues.reopen_ends();
        let mut is_idle = false;
        loop {
            if is_stopped() {
                self.monitor.stopping();
                return self.last_commit();
            }
            self.turn(if is_idle { IDLE_WAIT } else { Duration::ZERO })?;
            let was_idle = is_idle;
            is_idle = self.is_idle() && self.commit()? == Flow::GoOn;
            peers.note(was_idle, is_idle);
            if is_idle && peers.all_are_idle() {
                self.monitor.rest();
                return Ok(());
            }
        }
    }

    /// True if nothing is left to do now. With more workers than partitions some own nothing, and that is all.
    fn is_idle(&self) -> bool {
        self.has_joined && !self.has_openings() && !self.has_restores() && self.queues.is_idle()
    }

    /// Works until told to stop; then commits what was decided.
    pub(crate) fn run_until(&mut self, is_stopped: &dyn Fn() -> bool) -> Result<(), Error> {
        while !is_stopped() {
            self.turn(self.shared.options.commit_interval)?;
        }
        self.monitor.stopping();
        self.last_commit()
    }

    /// Commits before the end. What comes to nothing here is decided by the next run.
    fn last_commit(&mut self) -> Result<(), Error> {
        self.commit().map(|_| ())
    }

    /// Handles what finishing a run concerns, whatever its time: open batches are closed and paid.
    pub(crate) fn finish(&mut self, is_stopped: &dyn Fn() -> bool) -> Result<(), Error> {
        while self.try_finish()? == Flow::StartOver {
            self.run_until_idle(&IdlePeers::new(1), is_stopped)?;
            if is_stopped() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn try_finish(&mut self) -> Result<Flow, Error> {
        let wall = self.shared.clock.now();
        for number in self.ready_numbers() {
            loop {
                let limit = self.shared.options.tick_items;
                let partition = self.ready(number);
                let commands = partition.waiting_to_finish(limit)?;
                if commands.is_empty() {
                    break;
                }
                let config = partition.config().expect("a ready partition has a configuration");
                let now = S::idle_now(&partition.meta, config, wall);
                for command in &commands {
                    self.decide(number, command, now, None)?;
                }
                if self.commit_if_full()? == Flow::StartOver {
                    return Ok(Flow::StartOver);
                }
            }
        }
        self.commit()
    }

    /// Tells probes why it ended.
    pub(crate) fn failed(&self, error: &Error) {
        self.monitor.failed(error.code(), error.to_string());
    }

    /// Flushes the stores, so that the next start has nothing to replay.
    pub(crate) fn close(self) -> Result<(), Error> {
        self.monitor.enter(Step::ClosingStore);
        for slot in self.slots.into_values() {
            match slot {
                Slot::Restoring(partition, _) | Slot::Ready(partition) => partition.close()?,
                Slot::Opening(_) => {}
            }
        }
        Ok(())
    }

    /// One turn of the loop; a transaction that broke on the way is decided again.
    pub(crate) fn turn(&mut self, wait: Duration) -> Result<(), Error> {
        match self.try_turn(wait) {
            Err(Error::TransactionBroken(reason)) => {
                let _ = self.transaction.close();
                self.start_over(reason, true).map(|_| ())
            }
            done => done,
        }
    }

    fn try_turn(&mut self, wait: Duration) -> Result<(), Error> {
        self.poll(wait)?;
        self.restore_a_step()?;
        if self.is_backing_off() {
            return Ok(());
        }
        self.monitor.enter(Step::Deciding);
        let batch = self.take_batch()?;
        for (record, command) in batch {
            if self.process(&record, command)? == Flow::StartOver {
                return Ok(());
            }
        }
        let is_commit_due = self.since_commit() >= self.shared.options.commit_interval;
        if self.tick_all()? == Flow::GoOn && is_commit_due {
            // Whether it came to nothing or not, the next turn begins with what there is to do.
            let _ = self.commit()?;
        }
        self.upkeep()
    }

    /// Whether it is too early to try again what came to nothing. Partitions are restored meanwhile, and the group is heard: a
    /// member that was taken out learns it with its next heartbeat.
    fn is_backing_off(&mut self) -> bool {
        let is_early = self.next_attempt_at.is_some_and(|at| self.shared.clock.monotonic() < at);
        if !is_early {
            self.next_attempt_at = None;
        }
        is_early
    }

    /// Polls, in every turn, and takes assignment changes.
    fn poll(&mut self, wait: Duration) -> Result<(), Error> {
        self.monitor.enter(Step::Polling);
        let (pause, resume) = self.queues.flow();
        self.consumer.pause(&pause);
        self.consumer.resume(&resume);
        let limit = PollLimit { records: self.shared.options.batch_records, bytes: 8 << 20 };
        let wait = self.poll_wait(wait);
        let poll = self.consumer.poll(limit, wait)?;
        for change in poll.assignment {
            match change {
                AssignmentChange::Assigned(numbers) => self.assigned(&numbers)?,
                AssignmentChange::Revoked(numbers) => {
                    // If it came to nothing, the next owner decides it.
                    let _ = self.commit()?;
                    self.has_joined = false;
                    self.give_up(&numbers)?;
                    self.monitor.gave_up(&numbers, GivenUp::Revoked);
                }
                // The generation is gone: what is open cannot be committed any more.
                #[cfg(feature = "mutations")]
                AssignmentChange::Lost(_)
                    if crate::mutations::is(crate::mutations::Mutation::LostIsIgnored) => {}
                AssignmentChange::Lost(numbers) => {
                    let _ = self.abort(AbortReason::Rebalance)?;
                    self.has_joined = false;
                    self.give_up(&numbers)?;
                    self.monitor.gave_up(&numbers, GivenUp::Lost);
                }
            }
        }
        let mut polled: BTreeMap<TopicName, (u64, u64)> = BTreeMap::new();
        for record in poll.records {
            let (records, bytes) = polled.entry(TopicName::clone(&record.topic)).or_default();
            *records += 1;
            *bytes += u64::try_from(record.payload_bytes()).unwrap_or(u64::MAX);
            self.queues.push(record);
        }
        for (topic, (records, bytes)) in polled {
            self.monitor.polled(&topic, records, bytes);
        }
        for end in &poll.ends {
            self.queues.reached_end(end);
        }
        Ok(())
    }

    /// How long a poll may wait: not at all if there is something else to do.
    fn poll_wait(&self, wait: Duration) -> Duration {
        let is_polled_for_records = self.slots.is_empty() || self.queues.needs_poll(self.order);
        let has_records = !is_polled_for_records && self.next_attempt_at.is_none();
        let has_restores = self.has_restores();
        if has_records || (has_restores && !self.is_restore_waiting) {
            return Duration::ZERO;
        }
        let longest = if has_restores { RESTORE_PAUSE } else { Duration::MAX };
        wait.min(longest).min(self.until_commit())
    }

    /// Time until the open transaction is to be committed; with none open, nothing waits for it.
    fn until_commit(&self) -> Duration {
        if self.transaction.content().is_none() {
            return Duration::MAX;
        }
        self.shared.options.commit_interval.saturating_sub(self.since_commit())
    }

    fn since_commit(&self) -> Duration {
        self.shared.clock.monotonic().saturating_duration_since(self.last_commit_at)
    }

    fn has_restores(&self) -> bool {
        self.slots.values().any(|slot| matches!(slot, Slot::Restoring(..)))
    }

    fn has_openings(&self) -> bool {
        self.slots.values().any(|slot| matches!(slot, Slot::Opening(_)))
    }

    fn ready_numbers(&self) -> Vec<u32> {
        let ready = self.slots.iter().filter(|(_, slot)| matches!(slot, Slot::Ready(_)));
        ready.map(|(number, _)| *number).collect()
    }

    fn ready(&mut self, number: u32) -> &mut Partition<S> {
        ready(&mut self.slots, number)
    }

    /// Takes the next records, decodes them and fetches, in few large reads, what their decisions will look at.
    fn take_batch(&mut self) -> Result<Vec<(Record, S::Command)>, Error> {
        let batch = self.take_and_decode();
        let wall = self.shared.clock.now();
        for number in self.ready_numbers() {
            let mut commands = batch
                .iter()
                .filter(|(record, _)| record.partition == number)
                .map(|(_, command)| command)
                .peekable();
            let Some(first) = commands.peek() else { continue };
            let partition = self.ready(number);
            let config = partition.config().expect("a ready partition has a configuration");
            let now = S::now(&partition.meta, config, first, wall);
            partition.prefetch(commands, now)?;
        }
        Ok(batch)
    }

    /// A record whose schema is not known yet waits.
    fn take_and_decode(&mut self) -> Vec<(Record, S::Command)> {
        let Self { queues, slots, schemas, partition_count, .. } = self;
        queues.take(self.order, self.shared.options.batch_records, |record| {
            let config = ready(slots, record.partition).config();
            let config = config.expect("a ready partition has a configuration");
            S::decode(record, config, *partition_count, schemas).ok()
        })
    }

    /// Decides one record, after the timers that its time sets off. One that was decided before is dropped (I4), wherever it
    /// comes from: also when it was delivered twice.
    fn process(&mut self, record: &Record, command: S::Command) -> Result<Flow, Error> {
        let position = self.ready(record.partition).meta.position(&record.topic);
        let is_decided = signed_offset(record.offset) < position;
        #[cfg(feature = "mutations")]
        let is_decided = is_decided && !crate::mutations::is(crate::mutations::Mutation::PositionsIgnored);
        if is_decided {
            self.monitor.skipped(1);
            return Ok(Flow::GoOn);
        }
        let wall = self.shared.clock.now();
        let partition = self.ready(record.partition);
        let config = partition.config().expect("a ready partition has a configuration");
        let now = S::now(&partition.meta, config, &command, wall);
        if self.tick(record.partition, now)? == Flow::StartOver {
            return Ok(Flow::StartOver);
        }
        self.decide(record.partition, &command, now, Some(record))?;
        self.transaction.open()?.inputs += 1;
        self.commit_if_full()
    }

    /// Handles what is due, in order of time, a bounded number at a time.
    fn tick(&mut self, number: u32, now: Timestamp) -> Result<Flow, Error> {
        loop {
            let limit = self.shared.options.tick_items;
            let commands = self.ready(number).due(now, limit)?;
            if commands.is_empty() {
                return Ok(Flow::GoOn);
            }
            for command in &commands {
                self.decide(number, command, now, None)?;
                self.transaction.open()?.timers += 1;
                if self.ready(number).has_put_due(now) {
                    // The order of time must not depend on how many rows were fetched at once.
                    break;
                }
            }
            if self.commit_if_full()? == Flow::StartOver {
                return Ok(Flow::StartOver);
            }
        }
    }

    /// Timers of partitions to which no record comes.
    fn tick_all(&mut self) -> Result<Flow, Error> {
        let wall = self.shared.clock.now();
        for number in self.ready_numbers() {
            let partition = self.ready(number);
            let config = partition.config().expect("a ready partition has a configuration");
            let now = S::idle_now(&partition.meta, config, wall);
            if self.tick(number, now)? == Flow::StartOver {
                return Ok(Flow::StartOver);
            }
        }
        Ok(Flow::GoOn)
    }

    fn decide(
        &mut self,
        number: u32,
        command: &S::Command,
        now: Timestamp,
        record: Option<&Record>,
    ) -> Result<(), Error> {
        let events = self.ready(number).decide(command, now)?;
        let trace = record.map(|record| trace_of(&record.headers)).unwrap_or_default();
        self.produce(number, &events, record, &trace)
    }

    /// Writes events and what they project to. The first event is about the record.
    fn produce(
        &mut self,
        number: u32,
        events: &[S::Event],
        record: Option<&Record>,
        trace: &[Header],
    ) -> Result<(), Error> {
        let source = record.map(position);
        let source_headers = record.map(|record| &record.headers[..]).unwrap_or_default();
        for (index, event) in events.iter().enumerate() {
            let input = record.zip(source.as_ref()).filter(|_| index == 0).map(|(record, position)| Input {
                position,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
            });
            if self.transaction.content().is_none() {
                self.monitor.transaction_opened();
            }
            let content = self.transaction.open()?;
            content.partitions.insert(number);
            *content.outcomes.entry((S::NAME, S::outcome(event))).or_default() += 1;
            let now = S::envelope(event).now;
            let key = S::journal_key(event, input.as_ref());
            // I3: an event goes to the journal partition with the number of its input partition.
            self.transaction.write_event(S::JOURNAL, number, now, key.as_deref(), trace, event)?;
            for output in S::project(event, input.as_ref()) {
                self.transaction.write_output(&output, number, now, trace, source_headers)?;
            }
        }
        Ok(())
    }
}

fn ready<S: StageCodec>(slots: &mut BTreeMap<u32, Slot<S>>, number: u32) -> &mut Partition<S> {
    match slots.get_mut(&number) {
        Some(Slot::Ready(partition)) => partition,
        // I5: no queue is open before the restore has ended, so that no record gets here.
        _ => panic!("I5: partition {number} is used before its restore has ended"),
    }
}

/// Consumer group of a stage.
pub fn group_name<S: Stage>(application: &str) -> String {
    format!("{application}-{}", S::NAME)
}

fn topic_counts(log: &dyn Log) -> Result<TopicCounts, Error> {
    Ok(log.topics()?.into_iter().map(|topic| (topic.name, topic.partitions)).collect())
}

/// Inputs, journal and ledger of a stage have equal counts (I3); returns the count.
fn check_partition_counts<S: Stage>(topics: &TopicCounts) -> Result<u32, Error> {
    let count = |topic: &str| {
        let found = topics.get(topic).copied();
        found.ok_or_else(|| settle_log::Error::UnknownTopic { topic: topic.to_owned() })
    };
    let expected = count(S::PRIMARY)?;
    for topic in S::SECONDARIES.iter().chain(S::SAME_PARTITION_OUTPUTS).copied().chain([S::JOURNAL]) {
        let found = count(topic)?;
        if found != expected {
            let (topic, primary) = (topic.to_owned(), S::PRIMARY.to_owned());
            return Err(Error::PartitionCounts { topic, found, expected, primary });
        }
    }
    Ok(expected)
}
