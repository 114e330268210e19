//! Ends the process when a worker is stuck: a call of a client library can ignore its timeout, and a worker that
//! never comes back keeps its partitions from its peers and a transaction open.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Health, StuckWorker};

/// Exit code of a process that its watchdog ended: an internal error, in the convention of sysexits.h.
pub const STUCK_EXIT_CODE: i32 = 70;

/// How long the end of the process may take. A stuck thread may hold what a library's exit handler waits for.
const EXIT_LIMIT: Duration = Duration::from_secs(10);

/// Looks at the workers from a thread of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Calls `on_stuck`, once, when workers have been in one step for longer than `bound`; [`end_process`] is what
    /// a program wants there.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        health: Arc<Health>,
        bound: Duration,
        on_stuck: impl FnOnce(&[StuckWorker]) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        // Often enough that the bound is exceeded by little.
        let interval = (bound / 10).clamp(Duration::from_millis(5), Duration::from_secs(1));
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let stuck = health.stuck(bound);
                if !stuck.is_empty() {
                    return on_stuck(&stuck);
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It has panicked if `on_stuck` has: that was told where it happened.
            let _ = thread.join();
        }
    }
}

/// Logs who is stuck, and ends the process with [`STUCK_EXIT_CODE`]. Nothing is lost: what was not committed is
/// decided again by whoever owns the partitions next.
pub fn end_process(stuck: &[StuckWorker]) {
    for worker in stuck {
        tracing::error!(
            code = "STL-0311",
            stage = worker.stage,
            worker = worker.worker,
            step = worker.step.as_str(),
            stuck_for_ms = u64::try_from(worker.stuck_for.as_millis()).unwrap_or(u64::MAX),
            "a worker is stuck: the process ends, and what was not committed is decided again by whoever owns its \
             partitions next (docs/errors/STL-0311.md)"
        );
    }
    // Exit handlers run first, and one of them may wait for the thread that is stuck.
    let last_resort = thread::Builder::new().name("last-resort".to_owned()).spawn(|| {
        thread::sleep(EXIT_LIMIT);
        std::process::abort();
    });
    if last_resort.is_err() {
        std::process::abort();
    }
    std::process::exit(STUCK_EXIT_CODE);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::Step;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn it_names_the_stuck_worker_and_what_it_did() {
        let health = Arc::new(Health::default());
        let worker = health.register("settle", 1);
        let fine = health.register("authorize", 0);
        fine.enter(Step::Resting);
        worker.enter(Step::Committing);
        let (sender, receiver) = channel();
        let on_stuck = move |stuck: &[StuckWorker]| sender.send(stuck.to_vec()).expect("the test waits");
        let _watchdog = Watchdog::start(Arc::clone(&health), Duration::from_millis(30), on_stuck).unwrap();
        let stuck = receiver.recv_timeout(PATIENCE).expect("the watchdog saw it");
        assert_eq!(stuck.len(), 1);
        assert_eq!((stuck[0].stage, stuck[0].worker, stuck[0].step), ("settle", 1, Step::Committing));
        assert!(stuck[0].stuck_for > Duration::from_millis(30));
    }

    #[test]
    fn it_lets_workers_that_move_or_rest_be_and_ends_when_dropped() {
        let health = Arc::new(Health::default());
        let moving = health.register("settle", 0);
        let resting = health.register("settle", 1);
        resting.enter(Step::Resting);
        moving.enter(Step::Polling);
        let (sender, receiver) = channel();
        let on_stuck = move |stuck: &[StuckWorker]| sender.send(stuck.to_vec()).expect("the test waits");
        let watchdog = Watchdog::start(Arc::clone(&health), Duration::from_secs(5), on_stuck).unwrap();
        // Resting longer than the bound would take would be slow; that it is not judged is tested with the report.
        thread::sleep(Duration::from_millis(50));
        drop(watchdog);
        assert_eq!(receiver.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "it ended, unasked");
        assert_eq!(Arc::strong_count(&health), 1, "its thread is gone");
    }
}
