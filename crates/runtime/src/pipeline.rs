//! Runs the workers of one or both stages in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use settle_engine::authorize::Authorize;
use settle_engine::settle::Settle;
use settle_engine::{Stage, stage};
use settle_log::{Log, Member};
use settle_schema::Schemas;
use settle_store::Resources;

use settle_engine::authorize::AuthorizeSettings;
use settle_engine::settle::SettleSettings;

use crate::clock::WallClock;
use crate::codec::StageCodec;
use crate::error::Error;
use crate::health::Health;
use crate::queue::Order;
use crate::snapshots::Snapshots;
use crate::standby::Standby;
use crate::stats::Stats;
use crate::topics::{self, TopicRequirements};
use crate::worker::{IdlePeers, Shared, Worker, WorkerOptions};

/// Which stages this process runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StageSelection {
    /// Both.
    #[default]
    All,
    /// AUTHORIZE only.
    Authorize,
    /// SETTLE only.
    Settle,
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// When it is told to.
    Continuous,
    /// When every input is at its end. The stages take turns, so that the run is reproducible.
    UntilIdle {
        /// Then close and pay what is open.
        finish: bool,
    },
}

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct PipelineOptions {
    /// Which stages.
    pub stages: StageSelection,
    /// Workers per stage.
    pub workers: u32,
    /// What the topics have to be like.
    pub topics: TopicRequirements,
    /// Settings of each worker.
    pub worker: WorkerOptions,
    /// Configuration of AUTHORIZE.
    pub authorize: AuthorizeSettings,
    /// Configuration of SETTLE.
    pub settle: SettleSettings,
}

/// The workers of AUTHORIZE and of SETTLE.
type BothStages = (Vec<Worker<Authorize>>, Vec<Worker<Settle>>);

/// The workers of a process.
pub struct Pipeline {
    options: PipelineOptions,
    shared: Shared,
    has_standby: bool,
    stop: Arc<AtomicBool>,
}

impl Pipeline {
    /// Nothing starts before [`Self::run`].
    pub fn new(
        log: Arc<dyn Log>,
        resources: Resources,
        clock: Arc<dyn WallClock>,
        options: PipelineOptions,
    ) -> Self {
        let worker = options.worker.clone();
        let shared = Shared {
            log,
            resources,
            schemas: Schemas::built_in(),
            snapshots: None,
            clock,
            stats: Arc::default(),
            health: Arc::default(),
            options: worker,
        };
        Self { options, shared, has_standby: false, stop: Arc::default() }
    }

    /// Reads and writes records with these schemas instead of those built in.
    #[must_use]
    pub fn with_schemas(mut self, schemas: Schemas) -> Self {
        self.shared.schemas = schemas;
        self
    }

    /// Makes snapshots, and begins with one where there is no store.
    #[must_use]
    pub fn with_snapshots(mut self, snapshots: Snapshots) -> Self {
        self.shared.snapshots = Some(Arc::new(snapshots));
        self
    }

    /// In a continuous run, follows the journals of the partitions that this process does not own.
    #[must_use]
    pub fn with_standby(mut self, has_standby: bool) -> Self {
        self.has_standby = has_standby;
        self
    }

    /// Counters of the run.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.shared.stats)
    }

    /// How the workers are: for probes and the watchdog.
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.shared.health)
    }

    /// Set it to end the run: workers finish what they are at, commit and flush.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Runs until the mode says so, or until the first error of any worker.
    pub fn run(&self, mode: RunMode) -> Result<(), Error> {
        if self.options.stages != StageSelection::Settle {
            topics::check::<Authorize>(&*self.shared.log, &self.options.topics)?;
        }
        if self.options.stages != StageSelection::Authorize {
            topics::check::<Settle>(&*self.shared.log, &self.options.topics)?;
        }
        match mode {
            RunMode::Continuous => self.run_continuously(),
            RunMode::UntilIdle { finish } => self.run_until_idle(finish),
        }
    }

    fn authorize_workers(&self, order: Order) -> Result<Vec<Worker<Authorize>>, Error> {
        let is_selected = self.options.stages != StageSelection::Settle;
        self.workers(is_selected, stage::activation(&self.options.authorize), order)
    }

    fn settle_workers(&self, order: Order) -> Result<Vec<Worker<Settle>>, Error> {
        let is_selected = self.options.stages != StageSelection::Authorize;
        self.workers(is_selected, stage::activation(&self.options.settle), order)
    }

    fn workers<S: StageCodec>(
        &self,
        is_selected: bool,
        activation: settle_types::event::ConfigActivation,
        order: Order,
    ) -> Result<Vec<Worker<S>>, Error> {
        if !is_selected {
            return Ok(Vec::new());
        }
        let count = self.options.workers;
        let make =
            &|ordinal| Worker::new(self.shared.clone(), activation.clone(), Member { ordinal, count }, order);
        // Side by side: each waits for answers of the cluster.
        thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|ordinal| scope.spawn(move || make(ordinal))).collect();
            threads.into_iter().map(|thread| joined(S::NAME, thread.join())).collect()
        })
    }

    /// The workers of both stages.
    fn all_workers(&self, order: Order) -> Result<BothStages, Error> {
        thread::scope(|scope| {
            let authorize = scope.spawn(|| self.authorize_workers(order));
            let settle = self.settle_workers(order);
            Ok((joined(Authorize::NAME, authorize.join())?, settle?))
        })
    }

    /// The stages take turns until a turn decides nothing new.
    fn run_until_idle(&self, finish: bool) -> Result<(), Error> {
        let (mut authorize, mut settle) = self.all_workers(Order::Strict)?;
        self.take_turns(&mut authorize, &mut settle)?;
        if finish && !self.is_stopped() {
            in_parallel(&mut settle, &self.stop, |worker| worker.finish(&|| self.is_stopped()))?;
            self.take_turns(&mut authorize, &mut settle)?;
        }
        authorize.into_iter().try_for_each(Worker::close)?;
        settle.into_iter().try_for_each(Worker::close)
    }

    fn take_turns(
        &self,
        authorize: &mut [Worker<Authorize>],
        settle: &mut [Worker<Settle>],
    ) -> Result<(), Error> {
        loop {
            let before = self.shared.stats.snapshot().records;
            let is_stopped = || self.is_stopped();
            let peers = IdlePeers::new(authorize.len());
            in_parallel(authorize, &self.stop, |worker| worker.run_until_idle(&peers, &is_stopped))?;
            let peers = IdlePeers::new(settle.len());
            in_parallel(settle, &self.stop, |worker| worker.run_until_idle(&peers, &is_stopped))?;
            let has_decided = self.shared.stats.snapshot().records > before;
            if !has_decided || self.is_stopped() {
                return Ok(());
            }
        }
    }

    fn run_continuously(&self) -> Result<(), Error> {
        let (authorize, settle) = self.all_workers(Order::Arrival)?;
        thread::scope(|scope| {
            let mut threads = self.start(scope, authorize);
            threads.extend(self.start(scope, settle));
            let outcomes = threads.into_iter().map(|(name, thread)| joined(name, thread.join()));
            outcomes.collect::<Vec<_>>().into_iter().collect()
        })
    }

    /// Starts the workers of a stage, each on its thread, and beside them what follows the partitions of others.
    fn start<'scope, S: StageCodec>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        workers: Vec<Worker<S>>,
    ) -> Vec<(&'static str, thread::ScopedJoinHandle<'scope, Result<(), Error>>)> {
        let mut threads = Vec::new();
        let Some(partitions) = workers.first().map(Worker::partition_count) else { return threads };
        let standby = self.has_standby.then(|| Arc::new(Standby::new()));
        for worker in workers {
            let worker = worker.with_standby(standby.clone());
            threads.push((S::NAME, scope.spawn(|| self.run_worker(worker))));
        }
        if let Some(standby) = standby {
            let follow = move || {
                let _stop_others = StopOnDrop(&self.stop);
                standby.follow(&self.shared, partitions, &|| self.is_stopped())
            };
            threads.push((S::NAME, scope.spawn(follow)));
        }
        threads
    }

    /// An error of one worker ends the others, too: a process that is half there hides what is wrong.
    fn run_worker<S: StageCodec>(&self, mut worker: Worker<S>) -> Result<(), Error> {
        let _stop_others = StopOnDrop(&self.stop);
        if let Err(error) = worker.run_until(&|| self.is_stopped()) {
            worker.failed(&error);
            return Err(error);
        }
        worker.close()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Stops the run when a worker's thread ends, in whatever way.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does the same on all workers of a stage at once, each on its own thread: a panic of one is an error with a code. What
/// ends one ends the others, which may wait for it.
fn in_parallel<S: StageCodec>(
    workers: &mut [Worker<S>],
    stop: &AtomicBool,
    work: impl Fn(&mut Worker<S>) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let guarded = |worker: &mut Worker<S>| {
        let stop_others = StopOnDrop(stop);
        work(worker)?;
        std::mem::forget(stop_others);
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(|| guarded(worker))).collect();
        let outcomes = threads.into_iter().map(|thread| joined(S::NAME, thread.join()));
        outcomes.collect::<Vec<_>>().into_iter().collect()
    })
}

fn joined<T>(stage: &'static str, outcome: thread::Result<Result<T, Error>>) -> Result<T, Error> {
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let what =
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message");
        Err(Error::WorkerPanicked { stage, what: what.to_owned() })
    })
}
