//! The worker loop, driven from outside: a simulation says when each worker has its next turn.
//!
//! Owns nothing but the seam. No part of the interface for users: it may change with any version.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use settle_log::{Log, Member};
use settle_schema::Schemas;
use settle_store::Resources;
use settle_types::event::ConfigActivation;

use crate::clock::WallClock;
use crate::codec::StageCodec;
use crate::error::Error;
use crate::health::Health;
use crate::queue::Order;
use crate::stats::Stats;
use crate::worker::{Shared, Worker, WorkerOptions};

/// What the workers of a simulated process share.
#[derive(Clone)]
pub struct SimulatedProcess {
    shared: Shared,
}

impl SimulatedProcess {
    /// A process with this view of the log, these stores and this clock.
    pub fn new(
        log: Arc<dyn Log>,
        resources: Resources,
        clock: Arc<dyn WallClock>,
        options: WorkerOptions,
    ) -> Self {
        let (stats, health): (Arc<Stats>, Arc<Health>) = Default::default();
        let (schemas, snapshots) = (Schemas::built_in(), None);
        Self { shared: Shared { log, resources, schemas, snapshots, clock, stats, health, options } }
    }

    /// Counters of the process.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.shared.stats)
    }

    /// Where its stores stand.
    pub fn state_directory(&self) -> &PathBuf {
        &self.shared.options.state_directory
    }

    /// The worker of a stage, as a continuous run has it.
    ///
    /// # Errors
    /// What the log says.
    pub fn worker<S: StageCodec>(&self, activation: ConfigActivation) -> Result<SimulatedWorker<S>, Error> {
        let member = Member { ordinal: 0, count: 1 };
        Ok(SimulatedWorker(Worker::new(self.shared.clone(), activation, member, Order::Arrival)?))
    }
}

/// A worker that waits for its turns.
pub struct SimulatedWorker<S: StageCodec>(Worker<S>);

impl<S: StageCodec> SimulatedWorker<S> {
    /// One turn of the loop.
    ///
    /// # Errors
    /// Those that end the worker's process.
    pub fn turn(&mut self) -> Result<(), Error> {
        self.0.turn(Duration::ZERO)
    }

    /// Ends in good order, as a process does that is told to: commits what is open, and flushes.
    ///
    /// # Errors
    /// Those of the last commit, and of the stores.
    pub fn stop(mut self) -> Result<(), Error> {
        self.0.run_until(&|| true)?;
        self.0.close()
    }
}
