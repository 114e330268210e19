//! Warm copies of the partitions of a stage that no worker of this process owns: their journals are followed, so that
//! a worker that gets one has little left to read.
//!
//! Owns whose a partition is within the process: a worker's, or the follower's. Group assignors know nothing of it.
//! A copy that cannot be kept is said in the log and tried again later; it never ends the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use settle_log::Reader;
use settle_schema::Schemas;

use crate::clock::monotonic_now;
use crate::codec::StageCodec;
use crate::error::Error;
use crate::metrics::{self, gauge_value};
use crate::opening::{Opening, journal_identity};
use crate::partition::Partition;
use crate::restore::fold_some;
use crate::worker::Shared;

/// Pause after a round over all partitions that brought nothing.
const IDLE_PAUSE: Duration = Duration::from_millis(50);
/// Pause before a copy that failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// Time between two looks at how far behind the copies are.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The partitions of a stage that are nobody's in this process.
pub(crate) struct Standby<S: StageCodec> {
    state: Mutex<State<S>>,
    put_back: Condvar,
}

struct State<S: StageCodec> {
    /// They are a worker's.
    owned: BTreeSet<u32>,
    warm: BTreeMap<u32, Box<Partition<S>>>,
    /// The follower works on it now.
    in_hand: Option<u32>,
}

impl<S: StageCodec> Standby<S> {
    pub(crate) fn new() -> Self {
        let state = State { owned: BTreeSet::new(), warm: BTreeMap::new(), in_hand: None };
        Self { state: Mutex::new(state), put_back: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker owns this partition from now on; its warm state, if there is any.
    pub(crate) fn take(&self, number: u32) -> Option<Box<Partition<S>>> {
        let mut state = self.state();
        state.owned.insert(number);
        while state.in_hand == Some(number) {
            state = self.put_back.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        metrics::standby_lag_records(S::NAME, number).set(0.0);
        state.warm.remove(&number)
    }

    /// The worker has given the partition up; with its state, if it had one.
    pub(crate) fn give_back(&self, number: u32, partition: Option<Box<Partition<S>>>) {
        let mut state = self.state();
        state.owned.remove(&number);
        if let Some(partition) = partition {
            state.warm.insert(number, partition);
        }
    }

    /// Takes a partition that is nobody's in hand, with its state if it is open; none if a worker owns it.
    fn hold(&self, number: u32) -> Option<Option<Box<Partition<S>>>> {
        let mut state = self.state();
        if state.owned.contains(&number) {
            return None;
        }
        state.in_hand = Some(number);
        Some(state.warm.remove(&number))
    }

    fn put_back(&self, number: u32, partition: Option<Box<Partition<S>>>) {
        let mut state = self.state();
        state.in_hand = None;
        if let Some(partition) = partition {
            state.warm.insert(number, partition);
        }
        self.put_back.notify_all();
    }

    /// Follows the journals until it is told to stop, then closes the stores.
    pub(crate) fn follow(
        &self,
        shared: &Shared,
        partitions: u32,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let mut follower = Follower::new(shared);
        while !is_stopped() {
            let mut has_moved = false;
            for number in 0..partitions {
                if is_stopped() {
                    break;
                }
                let Some(mut partition) = self.hold(number) else {
                    follower.forget(number);
                    continue;
                };
                has_moved |= follower.step(number, &mut partition);
                self.put_back(number, partition);
            }
            if !has_moved {
                thread::sleep(IDLE_PAUSE);
            }
        }
        let warm = std::mem::take(&mut self.state().warm);
        warm.into_values().try_for_each(|partition| partition.close())
    }
}

/// What the thread that follows keeps beside the partitions.
struct Follower<'a> {
    shared: &'a Shared,
    schemas: Schemas,
    reader: Option<Box<dyn Reader>>,
    journal_identity: Option<String>,
    openings: BTreeMap<u32, Opening>,
    /// Since when a copy is not tried.
    failed: BTreeMap<u32, Instant>,
    reported: BTreeMap<u32, Instant>,
}

impl<'a> Follower<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            schemas: shared.schemas.clone(),
            reader: None,
            journal_identity: None,
            openings: BTreeMap::new(),
            failed: BTreeMap::new(),
            reported: BTreeMap::new(),
        }
    }

    /// A worker owns the partition.
    fn forget(&mut self, number: u32) {
        self.openings.remove(&number);
        self.failed.remove(&number);
    }

    /// Asked for once: the partitions of a stage have one journal.
    fn journal_identity<S: StageCodec>(&mut self) -> Result<String, Error> {
        let identity = match self.journal_identity.take() {
            Some(known) => known,
            None => journal_identity::<S>(self.shared)?,
        };
        self.journal_identity = Some(identity.clone());
        Ok(identity)
    }

    /// Opens the partition, or folds some of its journal; true if there was something to do.
    fn step<S: StageCodec>(&mut self, number: u32, partition: &mut Option<Box<Partition<S>>>) -> bool {
        if self.failed.get(&number).is_some_and(|since| since.elapsed() < RETRY_PAUSE) {
            return false;
        }
        self.failed.remove(&number);
        match self.try_step(number, partition) {
            Ok(has_moved) => has_moved,
            Err(error) => {
                tracing::warn!(stage = S::NAME, number, code = error.code(), %error, "a standby copy has to wait");
                self.failed.insert(number, monotonic_now());
                self.openings.remove(&number);
                self.reader = None;
                self.journal_identity = None;
                // A copy that cannot go back to what its store has is opened anew.
                if partition.as_mut().is_some_and(|partition| partition.roll_back().is_err()) {
                    *partition = None;
                }
                false
            }
        }
    }

    fn try_step<S: StageCodec>(
        &mut self,
        number: u32,
        partition: &mut Option<Box<Partition<S>>>,
    ) -> Result<bool, Error> {
        let Some(partition) = partition else {
            let opening = match self.openings.remove(&number) {
                Some(opening) => opening,
                None => Opening::begin::<S>(self.shared, number, self.journal_identity::<S>()?),
            };
            let opening = self.openings.entry(number).or_insert(opening);
            *partition = opening.poll(self.shared, &mut self.reader)?;
            if partition.is_some() {
                self.openings.remove(&number);
                tracing::info!(stage = S::NAME, number, "a partition is followed");
            }
            return Ok(partition.is_some());
        };
        let reader = self.shared.reader(&mut self.reader)?;
        let before = partition.journal_next_offset;
        fold_some(reader, partition, u64::MAX, &mut self.schemas)?;
        let moment = monotonic_now();
        partition.flush_beyond(self.shared.options.max_unflushed_bytes, moment)?;
        partition.flush_after(self.shared.options.flush_interval, moment)?;
        if self.reported.get(&number).is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
            self.reported.insert(number, moment);
            let lag = reader.end_offset(&partition.journal)?.saturating_sub(partition.journal_next_offset);
            metrics::standby_lag_records(S::NAME, number).set(gauge_value(lag));
        }
        Ok(partition.journal_next_offset > before)
    }
}
