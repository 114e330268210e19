//! How workers stand at one moment, and what follows from it.

use std::fmt;
use std::time::{Duration, Instant};

use super::{Phase, Record, Remaining, Step};

/// How a worker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// It has not begun yet.
    Starting,
    /// It is not a member of its group yet, or not any more.
    Joining,
    /// It restores some of its partitions; it decides for the others.
    Restoring,
    /// It decides for all of its partitions.
    Running,
    /// It was told to end.
    Stopping,
    /// It has ended.
    Ended,
    /// It has ended with an error.
    Failed {
        /// Code of the error.
        code: &'static str,
        /// Its message.
        message: String,
    },
}

impl WorkerState {
    /// The state in one word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Joining => "joining",
            Self::Restoring => "restoring",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
            Self::Failed { .. } => "failed",
        }
    }
}

/// A worker at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerReport {
    /// Name of its stage.
    pub stage: &'static str,
    /// Its number in its process and stage.
    pub worker: u32,
    /// How it stands.
    pub state: WorkerState,
    /// What it is doing.
    pub step: Step,
    /// For how long; none while it rests.
    pub step_age: Option<Duration>,
    /// Age of its open transaction.
    pub transaction_age: Option<Duration>,
    /// Partitions that it owns.
    pub owned: Vec<u32>,
    /// Those that are being restored, and how many events are left, once that is known.
    pub restoring: Vec<(u32, Option<u64>)>,
}

/// The report of a record.
pub(super) fn of(stage: &'static str, worker: u32, record: &Record, now: Instant) -> WorkerReport {
    let restoring: Vec<(u32, Remaining)> =
        record.partitions.iter().filter_map(|(number, restore)| Some((*number, (*restore)?))).collect();
    let state = match &record.phase {
        Phase::Failed { code, message } => WorkerState::Failed { code, message: message.clone() },
        Phase::Ended => WorkerState::Ended,
        Phase::Stopping => WorkerState::Stopping,
        Phase::Working if record.has_joined && !restoring.is_empty() => WorkerState::Restoring,
        Phase::Working if record.has_joined => WorkerState::Running,
        Phase::Working if record.step == Step::Resting => WorkerState::Starting,
        Phase::Working => WorkerState::Joining,
    };
    let age = |since: Instant| now.saturating_duration_since(since);
    WorkerReport {
        stage,
        worker,
        state,
        step: record.step,
        step_age: (record.step != Step::Resting).then(|| age(record.step_since)),
        transaction_age: record.transaction_since.map(age),
        owned: record.partitions.keys().copied().collect(),
        restoring,
    }
}

impl WorkerReport {
    /// Why it is not ready; none if it is.
    pub fn not_ready(&self) -> Option<String> {
        let who = format!("worker {} of stage {}", self.worker, self.stage);
        match &self.state {
            WorkerState::Running => None,
            WorkerState::Starting => Some(format!("{who} has not begun")),
            WorkerState::Joining => Some(format!("{who} has not joined its group")),
            WorkerState::Restoring => Some(format!("{who} restores {}", self.restore_text())),
            WorkerState::Stopping => Some(format!("{who} is stopping")),
            WorkerState::Ended => Some(format!("{who} has ended")),
            WorkerState::Failed { code, message } => Some(format!("{who} failed: {code}: {message}")),
        }
    }

    /// What an operator may wonder about although the worker is ready.
    pub fn note(&self) -> Option<&'static str> {
        let is_idle = self.state == WorkerState::Running && self.owned.is_empty();
        is_idle.then_some("owns no partition: there are fewer partitions than workers")
    }

    /// The worker as a stuck one, if it has been in one step for longer than `bound`.
    pub fn stuck(&self, bound: Duration) -> Option<StuckWorker> {
        let stuck_for = self.step_age.filter(|age| *age > bound)?;
        Some(StuckWorker { stage: self.stage, worker: self.worker, step: self.step, stuck_for })
    }

    fn restore_text(&self) -> String {
        let partitions = self.restoring.iter().map(|(number, remaining)| match remaining {
            Some(events) => format!("{number} ({events} events left)"),
            None => format!("{number} (not counted yet)"),
        });
        let partitions: Vec<String> = partitions.collect();
        format!("{} of {} partitions: {}", partitions.len(), self.owned.len(), partitions.join(", "))
    }
}

/// A worker that has been in one step for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StuckWorker {
    /// Name of its stage.
    pub stage: &'static str,
    /// Its number in its process and stage.
    pub worker: u32,
    /// The step.
    pub step: Step,
    /// For how long it has been in it.
    pub stuck_for: Duration,
}

impl fmt::Display for StuckWorker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, worker, step, stuck_for } = self;
        let (step, milliseconds) = (step.as_str(), stuck_for.as_millis());
        write!(formatter, "worker {worker} of stage {stage} has been {step} for {milliseconds} ms")
    }
}

/// Whether a process can do its share of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Its workers.
    pub workers: Vec<WorkerReport>,
    pub(super) stuck_after: Duration,
}

impl Readiness {
    /// True if there is no reason against it.
    pub fn is_ready(&self) -> bool {
        self.reasons().is_empty()
    }

    /// Why the process is not ready.
    pub fn reasons(&self) -> Vec<String> {
        if self.workers.is_empty() {
            return vec!["no worker has been started yet".to_owned()];
        }
        let stuck = |worker: &WorkerReport| worker.stuck(self.stuck_after).map(|stuck| stuck.to_string());
        self.workers.iter().filter_map(|worker| worker.not_ready().or_else(|| stuck(worker))).collect()
    }
}
