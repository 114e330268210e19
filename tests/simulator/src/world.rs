//! The world of a run: processes, what happens to them, and whose turn is next. One thread; a call that waits or is
//! interrupted lets the others go on below it.

mod burial;
mod faults;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use settle_engine::authorize::Authorize;
use settle_engine::settle::Settle;
use settle_engine::{Stage, StateRow, stage};
use settle_log::Log;
use settle_log::OutputRecord;
use settle_log::simulated::{Chance, ClientBug, Conductor, SimulatedCluster, SimulatedOptions, Step};
use settle_runtime::WorkerOptions;
use settle_runtime::simulation::SimulatedProcess;
use settle_store::{Identity, MemoryStores, Progress, Resources, StateStore, StoreObserver};
use settle_types::{Timestamp, topic};

use crate::checker::Checker;
use crate::clock::{ProcessClock, WorldClock};
use crate::plan::{Plan, Point};
use crate::process::{Ambush, Incarnation, Killed, Status, Turn, Workers};
use crate::settings;

/// Calls that may be interrupted within one another.
const MOST_NESTED: u32 = 8;
/// Turns of a run: more would mean that virtual time stands still.
const MOST_TURNS: u64 = 300_000;

/// Ends of a process that are no defect: its orchestrator starts it again.
const EXPECTED_ENDS: [&str; 5] = ["STL-0113", "STL-0118", "STL-0122", "STL-0124", "STL-0308"];

/// How a process ends that meets a damaged journal.
pub(crate) const DAMAGE_CODES: [&str; 3] = ["STL-0301", "STL-0302", "STL-0310"];

/// Where the stores of a run stand.
#[derive(Clone)]
pub(crate) enum Stores {
    Memory(MemoryStores),
    RocksDb,
}

pub(crate) struct State {
    pub(crate) chance: Chance,
    pub(crate) incarnations: Vec<Incarnation>,
    /// When an ordinal starts again.
    pub(crate) starts: Vec<(u64, u32)>,
    next_handle: u64,
    next_request: usize,
    next_fault: usize,
    pub(crate) checker: Checker,
    pub(crate) fired: BTreeMap<String, u64>,
    /// Ends of processes, by code.
    pub(crate) ends: BTreeMap<String, u64>,
    pub(crate) flushes_armed: u32,
    depth: u32,
    pub(crate) turns: u64,
    pub(crate) rolls: Vec<(u64, u32)>,
    pub(crate) steps: u64,
    /// From here on a restore has to stop.
    pub(crate) is_journal_damaged: bool,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) cluster: SimulatedCluster,
    pub(crate) clock: Arc<WorldClock>,
    pub(crate) stores: Stores,
    pub(crate) root: PathBuf,
    resources: Resources,
    state: Mutex<State>,
    itself: Weak<World>,
}

/// What comes next.
enum Next {
    Request,
    Fault,
    Start(u32),
    Roll(u32),
    Wake(u64),
    Turn(u64, usize),
}

impl World {
    pub(crate) fn new(
        plan: Plan,
        stores: Stores,
        root: PathBuf,
        resources: Resources,
        bug: Option<ClientBug>,
    ) -> Arc<Self> {
        let cluster = SimulatedCluster::new(SimulatedOptions {
            seed: plan.seed,
            is_cooperative: plan.is_cooperative,
            client_bug: bug,
            ..SimulatedOptions::default()
        });
        let log = cluster.log(0);
        for name in topic::ALL {
            log.create_topic(name, plan.partitions).expect("an empty cluster takes every topic");
        }
        let mut chance = Chance::new(plan.seed, 2);
        let starts = (0..plan.processes).map(|ordinal| (chance.below(400), ordinal)).collect();
        let state = State {
            chance,
            incarnations: Vec::new(),
            starts,
            next_handle: 1,
            next_request: 0,
            next_fault: 0,
            checker: Checker::new(plan.partitions, cluster.clone()),
            fired: BTreeMap::new(),
            ends: BTreeMap::new(),
            flushes_armed: 0,
            depth: 0,
            turns: 0,
            rolls: Vec::new(),
            steps: 0,
            is_journal_damaged: false,
        };
        let resources = match &stores {
            Stores::Memory(stores) => resources.in_memory(stores.clone()),
            Stores::RocksDb => resources,
        };
        let world = Arc::new_cyclic(|itself| Self {
            plan,
            cluster,
            clock: Arc::new(WorldClock::new()),
            stores,
            root,
            resources,
            state: Mutex::new(state),
            itself: itself.clone(),
        });
        let conductor: Arc<dyn Conductor> = Arc::new(Conducts(world.itself.clone()));
        world.cluster.set_conductor(Some(conductor));
        world
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A kill unwinds between calls, never while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.cluster.now_ms()
    }

    /// Opens a store of a process that has ended; none if it never had it.
    pub(crate) fn open_store<R: StateRow>(
        &self,
        folder: &Path,
        identity: Identity<'_>,
    ) -> Option<Box<dyn StateStore<R>>> {
        if matches!(self.stores, Stores::RocksDb) && !folder.exists() {
            return None;
        }
        match settle_store::open(folder, &self.resources, identity) {
            Ok(store) => Some(store),
            Err(error) => {
                self.violation(format!("{}: {error}", folder.display()));
                None
            }
        }
    }

    pub(crate) fn violation(&self, what: impl Into<String>) {
        self.lock().checker.violations.push(what.into());
    }

    /// Nothing more is to be found: the run ends as soon as its calls return.
    fn is_over(&self) -> bool {
        !self.lock().checker.violations.is_empty()
    }

    fn pass_to(&self, at_ms: u64) {
        self.cluster.advance_to(at_ms);
        self.clock.set(self.cluster.now_ms());
        self.judge();
    }

    fn judge(&self) {
        let committed = self.cluster.take_committed();
        if committed.is_empty() {
            return;
        }
        let latest_micros = self.clock.highest_micros();
        let mut state = self.lock();
        for transaction in &committed {
            state.checker.committed(transaction, latest_micros);
        }
    }

    /// I1: a store holds no event whose commit was not decided.
    fn check_store(&self, directory: &Path, progress: &Progress) {
        self.judge();
        let mut state = self.lock();
        let stage = if directory.parent().is_some_and(|parent| parent.ends_with(Authorize::NAME)) {
            Authorize::NAME
        } else {
            Settle::NAME
        };
        let number = usize::try_from(progress.meta.partition).unwrap_or(usize::MAX);
        let committed = state.checker.next_sequences(stage).get(number).copied().unwrap_or(0);
        let stored = progress.meta.next_sequence;
        if stored > committed {
            let what =
                format!("I1: a store of {stage} {number} is at event {stored}, {committed} are committed");
            state.checker.violations.push(what);
        }
    }

    /// Lets everything happen until then, but what has to wait for a call that is under way.
    pub(crate) fn run_until(&self, until_ms: u64) {
        while !self.is_over() {
            let Some((at_ms, next)) = self.next(until_ms) else { break };
            self.pass_to(at_ms);
            self.go_on(next);
        }
        if !self.is_over() {
            self.pass_to(until_ms);
        }
    }

    fn next(&self, until_ms: u64) -> Option<(u64, Next)> {
        let state = self.lock();
        let mut first: Option<(u64, Next)> = None;
        let mut offer = |at_ms: u64, next: Next| {
            if at_ms <= until_ms && first.as_ref().is_none_or(|(first_ms, _)| at_ms < *first_ms) {
                first = Some((at_ms, next));
            }
        };
        if let Some(request) = self.plan.requests.get(state.next_request) {
            offer(request.at_ms, Next::Request);
        }
        if let Some(fault) = self.plan.faults.get(state.next_fault) {
            offer(fault.at_ms, Next::Fault);
        }
        for (at_ms, ordinal) in &state.starts {
            if !self.has_unburied(&state, *ordinal) {
                offer(*at_ms, Next::Start(*ordinal));
            }
        }
        for (at_ms, ordinal) in &state.rolls {
            offer(*at_ms, Next::Roll(*ordinal));
        }
        for incarnation in &state.incarnations {
            match incarnation.status {
                Status::Suspended { until_ms: at_ms, is_in_call: false } => {
                    offer(at_ms, Next::Wake(incarnation.handle));
                }
                Status::Running => {
                    for (place, worker) in incarnation.workers.iter().enumerate() {
                        if worker.is_some() {
                            let next = Next::Turn(incarnation.handle, place);
                            offer(incarnation.next_turn_ms[place], next);
                        }
                    }
                }
                _ => {}
            }
        }
        first
    }

    /// A start waits until the calls of the older one have returned: they have its stores.
    fn has_unburied(&self, state: &State, ordinal: u32) -> bool {
        state.incarnations.iter().any(|incarnation| {
            incarnation.ordinal == ordinal && !incarnation.is_replaced && !incarnation.is_buried
        })
    }

    fn go_on(&self, next: Next) {
        match next {
            Next::Request => self.request(),
            Next::Fault => {
                let fault = {
                    let mut state = self.lock();
                    state.next_fault += 1;
                    self.plan.faults[state.next_fault - 1]
                };
                self.strike(fault);
            }
            Next::Start(ordinal) => {
                self.start(ordinal, None);
            }
            Next::Roll(ordinal) => {
                self.lock().rolls.retain(|(_, other)| *other != ordinal);
                self.roll(ordinal);
            }
            Next::Wake(handle) => self.wake(handle),
            Next::Turn(handle, place) => self.turn(handle, place),
        }
    }

    fn request(&self) {
        let planned = {
            let mut state = self.lock();
            state.next_request += 1;
            self.plan.requests[state.next_request - 1].clone()
        };
        let wall_micros = self.clock.wall_micros();
        let mut value = Vec::new();
        let mut key = Vec::new();
        match planned.request {
            Some(mut request) => {
                request.requested_at = Timestamp::from_micros(wall_micros - planned.age_seconds * 1_000_000);
                key.extend_from_slice(request.debtor_account.as_str().as_bytes());
                settle_schema::encode(&request, &mut value);
            }
            None => {
                let mut chance = Chance::new(self.plan.seed, planned.at_ms);
                value.extend((0..chance.below(40)).map(|_| chance.number().to_le_bytes()[0]));
            }
        }
        let name = topic::REQUESTED.into();
        let record = OutputRecord {
            topic: &name,
            partition: planned.partition,
            timestamp_ms: wall_micros / 1_000,
            key: Some(&key),
            value: Some(&value),
            headers: &[],
        };
        self.cluster.append(&record).expect("the plan knows the partitions");
    }

    // Processes.

    /// Starts a process; with a folder of its own if another one that has its place may still write to the old.
    pub(crate) fn start(&self, ordinal: u32, other_folder: Option<String>) {
        let clock = Arc::new(ProcessClock::new(Arc::clone(&self.clock)));
        let handle = {
            let mut state = self.lock();
            state.starts.retain(|(_, other)| *other != ordinal);
            let handle = state.next_handle;
            state.next_handle += 1;
            let latest = state.incarnations.iter().rev().find(|older| older.ordinal == ordinal);
            let kept = latest.map(|older| older.directory.clone());
            let directory = match other_folder {
                Some(name) => self.root.join(name),
                None => kept.unwrap_or_else(|| self.root.join(format!("process-{ordinal}"))),
            };
            let now_ms = self.now_ms();
            state.incarnations.push(Incarnation {
                handle,
                ordinal,
                directory,
                status: Status::Running,
                workers: [None, None],
                next_turn_ms: [now_ms, now_ms],
                busy: 1,
                clock: Arc::clone(&clock),
                ambushes: Vec::new(),
                is_replaced: false,
                is_buried: false,
                loses_disk: false,
            });
            handle
        };
        let made = catch_unwind(AssertUnwindSafe(|| self.make(handle, ordinal, clock)));
        self.returned(handle, None, made.map(|made| made.map(|workers| workers.map(Some))));
    }

    fn make(
        &self,
        handle: u64,
        ordinal: u32,
        clock: Arc<ProcessClock>,
    ) -> Result<[Box<dyn Turn + Send>; 2], settle_runtime::Error> {
        let directory = self.directory(handle);
        let observer: Arc<dyn StoreObserver> = Arc::new(Watches { world: self.itself.clone(), handle });
        let options = WorkerOptions {
            application: "settle".to_owned(),
            instance: ordinal,
            state_directory: directory,
            batch_records: 40,
            commit_interval: Duration::from_millis(self.plan.commit_interval_ms),
            commit_records: self.plan.commit_records,
            queue_records: 60,
            tick_items: self.plan.tick_items,
            max_unflushed_bytes: u64::MAX,
            flush_interval: Duration::from_millis(self.plan.flush_interval_ms),
            ..WorkerOptions::default()
        };
        let process = SimulatedProcess::new(
            Arc::new(self.cluster.log(handle)),
            self.resources.clone().observed_by(observer),
            clock,
            options,
        );
        let authorize = process.worker::<Authorize>(stage::activation(&settings::authorize()))?;
        let settle = process.worker::<Settle>(stage::activation(&settings::settle()))?;
        Ok([Box::new(authorize), Box::new(settle)])
    }

    pub(crate) fn directory(&self, handle: u64) -> PathBuf {
        let state = self.lock();
        let found = state.incarnations.iter().find(|incarnation| incarnation.handle == handle);
        found.map(|incarnation| incarnation.directory.clone()).unwrap_or_default()
    }

    pub(crate) fn with<T>(&self, handle: u64, change: impl FnOnce(&mut Incarnation) -> T) -> Option<T> {
        let mut state = self.lock();
        state.incarnations.iter_mut().find(|incarnation| incarnation.handle == handle).map(change)
    }

    fn turn(&self, handle: u64, place: usize) {
        tracing::trace!(now_ms = self.now_ms(), handle, place, "a turn");
        let worker = {
            let mut state = self.lock();
            state.turns += 1;
            if state.turns > MOST_TURNS {
                let now_ms = self.now_ms();
                state.checker.violations.push(format!("liveness: {MOST_TURNS} turns by {now_ms} ms"));
            }
            let found = state.incarnations.iter_mut().find(|incarnation| incarnation.handle == handle);
            found.and_then(|incarnation| {
                incarnation.busy += 1;
                incarnation.workers[place].take()
            })
        };
        let Some(mut worker) = worker else { return };
        let ended = catch_unwind(AssertUnwindSafe(|| worker.turn().map(|()| worker)));
        let returned = ended.map(|ended| {
            ended.map(|worker| {
                let mut workers = [None, None];
                workers[place] = Some(worker);
                workers
            })
        });
        self.returned(handle, Some(place), returned);
    }

    /// A call of a process has ended, in whatever way.
    fn returned(
        &self,
        handle: u64,
        place: Option<usize>,
        outcome: std::thread::Result<Result<Workers, settle_runtime::Error>>,
    ) {
        let pause_ms = {
            let mut state = self.lock();
            let turn_ms = self.plan.turn_ms;
            state.chance.between(5, turn_ms)
        };
        let next_ms = self.now_ms() + pause_ms;
        let workers = match outcome {
            Ok(Ok(workers)) => Some(workers),
            Ok(Err(error)) => {
                self.ended(handle, error.code(), &error.to_string());
                None
            }
            Err(payload) => {
                if !payload.is::<Killed>() {
                    let text = payload.downcast_ref::<String>().map(String::as_str);
                    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
                    self.violation(format!("panic: {}", text.unwrap_or("without a message")));
                }
                None
            }
        };
        let mut dropped = Vec::new();
        self.with(handle, |incarnation| {
            incarnation.busy -= 1;
            let is_gone = incarnation.status == Status::Gone;
            for (at, worker) in workers.into_iter().flatten().enumerate() {
                match worker {
                    Some(worker) if is_gone => dropped.push(worker),
                    Some(worker) => incarnation.workers[at] = Some(worker),
                    None => {}
                }
            }
            if let Some(place) = place {
                incarnation.next_turn_ms[place] = next_ms;
            }
        });
        // Outside of the lock: a worker that goes away writes to its stores.
        drop(dropped);
        self.bury(handle);
    }

    /// A process ends by itself.
    fn ended(&self, handle: u64, code: &str, what: &str) {
        tracing::debug!(now_ms = self.now_ms(), handle, code, what, "a process ends");
        *self.lock().ends.entry(code.to_owned()).or_default() += 1;
        let is_damaged = self.lock().is_journal_damaged && DAMAGE_CODES.contains(&code);
        if !EXPECTED_ENDS.contains(&code) && !is_damaged {
            return self.violation(format!("a process ended with {code}: {what}"));
        }
        self.kill(handle, false);
    }

    /// Every process is told to end: what they decided is committed.
    pub(crate) fn stop_all(&self) {
        let handles: Vec<u64> =
            self.lock().incarnations.iter().map(|incarnation| incarnation.handle).collect();
        for handle in handles {
            self.stop(handle, false);
        }
        self.lock().starts.clear();
    }

    /// The process of this ordinal is told to end, if it runs and is not in a call.
    fn roll(&self, ordinal: u32) {
        let found = self
            .lock()
            .incarnations
            .iter()
            .rev()
            .find(|found| found.ordinal == ordinal)
            .map(|found| found.handle);
        if let Some(handle) = found {
            self.stop(handle, true);
        }
    }

    fn stop(&self, handle: u64, is_restarted: bool) {
        let found = self.with(handle, |incarnation| {
            let can_stop = incarnation.status == Status::Running && incarnation.busy == 0;
            can_stop.then(|| {
                incarnation.busy += 1;
                (incarnation.ordinal, std::mem::take(&mut incarnation.workers))
            })
        });
        let Some((ordinal, workers)) = found.flatten() else { return };
        let ended = catch_unwind(AssertUnwindSafe(|| {
            for worker in workers.into_iter().flatten() {
                worker.stop()?;
            }
            Ok(())
        }));
        let outcome = match ended {
            Ok(Ok(())) => {
                // In good order: nothing is lost.
                self.with(handle, |incarnation| incarnation.status = Status::Gone);
                self.cluster.kill(handle);
                // One that was replaced while it ended has its heir already.
                let has_heir = self.with(handle, |incarnation| incarnation.is_replaced) == Some(true);
                if is_restarted && !has_heir {
                    self.restart_later(ordinal);
                }
                Ok(Ok([None, None]))
            }
            Ok(Err(error)) => Ok(Err(error)),
            Err(payload) => Err(payload),
        };
        self.returned(handle, None, outcome);
    }

    pub(crate) fn restart_later(&self, ordinal: u32) {
        let now_ms = self.now_ms();
        let mut state = self.lock();
        let in_ms = state.chance.between(50, 3_000);
        state.starts.push((now_ms + in_ms, ordinal));
    }

    // What is told by clients and stores.

    fn step(&self, handle: u64, point: Point) {
        let (blow, is_preempted) = {
            let mut state = self.lock();
            state.steps += 1;
            let is_preempted = state.chance.one_in(48) && state.depth < MOST_NESTED;
            let incarnation = state.incarnations.iter_mut().find(|found| found.handle == handle);
            let blow = incarnation.and_then(|incarnation| {
                incarnation.ambushes.iter_mut().for_each(|ambush| ambush.count_down());
                let found = incarnation.ambushes.iter().position(|ambush| ambush.is_at(point))?;
                Some(incarnation.ambushes.remove(found).blow)
            });
            (blow, is_preempted)
        };
        if let Some(blow) = blow {
            self.hit(handle, blow);
        } else if is_preempted {
            let millis = self.lock().chance.between(1, 40);
            self.let_others(millis);
        }
        self.end_if_gone(handle);
    }

    fn end_if_gone(&self, handle: u64) {
        let is_gone = self.with(handle, |incarnation| incarnation.status == Status::Gone);
        if is_gone == Some(true) || self.is_over() {
            resume_unwind(Box::new(Killed));
        }
    }

    /// Lets the others go on for so long, from within a call.
    pub(crate) fn let_others(&self, millis: u64) {
        let until_ms = self.now_ms() + millis;
        let depth = {
            let mut state = self.lock();
            state.depth += 1;
            state.depth
        };
        if depth > MOST_NESTED {
            self.pass_to(until_ms);
        } else {
            self.run_until(until_ms);
        }
        self.lock().depth -= 1;
    }
}

impl Ambush {
    fn count_down(&mut self) {
        if let Point::Any(steps) = &mut self.point {
            *steps = steps.saturating_sub(1);
        }
    }

    fn is_at(&self, point: Point) -> bool {
        self.point == point || self.point == Point::Any(0)
    }
}

/// Tells the world where clients stand.
struct Conducts(Weak<World>);

impl Conductor for Conducts {
    fn step(&self, handle: u64, step: Step) {
        if let Some(world) = self.0.upgrade() {
            world.step(handle, Point::Before(step));
        }
    }

    fn wait(&self, handle: u64, millis: u64) {
        if let Some(world) = self.0.upgrade() {
            world.let_others(millis);
            world.end_if_gone(handle);
        }
    }
}

/// Tells the world what stores write.
struct Watches {
    world: Weak<World>,
    handle: u64,
}

impl StoreObserver for Watches {
    fn applies(&self, directory: &Path, progress: &Progress) {
        let Some(world) = self.world.upgrade() else { return };
        world.check_store(directory, progress);
        world.step(self.handle, Point::StoreWrite);
    }

    fn has_applied(&self, _directory: &Path) -> bool {
        let Some(world) = self.world.upgrade() else { return false };
        let flushes = {
            let mut state = world.lock();
            let flushes = state.flushes_armed > 0;
            state.flushes_armed = state.flushes_armed.saturating_sub(1);
            if flushes {
                *state.fired.entry("BackgroundFlush".to_owned()).or_default() += 1;
            }
            flushes
        };
        if !flushes {
            world.step(self.handle, Point::StoreWritten);
        }
        flushes
    }
}
