//! A worker with several long journals before it restores one partition after the other.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use settle_log::EmbeddedLog;
use settle_runtime::clock::SystemClock;
use settle_runtime::{Pipeline, RunMode, StageSelection, WorkerOptions};
use settle_store::{Progress, Resources, StoreObserver, StoreOptions};

use super::{one_worker, open_log, produce};

/// The stores that were written, in order, each with the position that it came to.
#[derive(Default)]
struct Writes(Mutex<Vec<(PathBuf, u64)>>);

impl StoreObserver for Writes {
    fn applies(&self, directory: &Path, progress: &Progress) {
        self.0.lock().expect("no panic").push((directory.to_owned(), progress.journal_next_offset));
    }

    fn has_applied(&self, _directory: &Path) -> bool {
        false
    }
}

/// Runs AUTHORIZE until nothing is left to do.
fn run(log: &EmbeddedLog, state_directory: &Path) -> Vec<(PathBuf, u64)> {
    let config = settle_config::demo_config();
    let worker = WorkerOptions { state_directory: state_directory.to_owned(), ..WorkerOptions::default() };
    let options = one_worker(&config, StageSelection::Authorize, worker);
    let writes = Arc::new(Writes::default());
    let resources = Resources::new(StoreOptions::default()).expect("valid options");
    let resources = resources.observed_by(Arc::<Writes>::clone(&writes));
    let pipeline = Pipeline::new(Arc::new(log.clone()), resources, Arc::new(SystemClock), options);
    pipeline.run(RunMode::UntilIdle { finish: false }).expect("a run");
    writes.0.lock().expect("no panic").clone()
}

#[test]
fn restores_come_one_after_the_other_the_nearest_first() {
    let directory = tempfile::tempdir().expect("a folder");
    let log = open_log(directory.path());
    // Some 13,000 for each partition: more than two steps of a restore.
    produce(&log, 20_000);
    run(&log, &directory.path().join("first"));

    let restored = run(&log, &directory.path().join("second"));
    assert!(restored.len() > 6, "each journal takes several steps: {restored:?}");
    let mut ends: Vec<(PathBuf, u64)> = Vec::new();
    for (store, position) in restored {
        match ends.last_mut() {
            Some((last, end)) if *last == store => *end = position,
            _ => ends.push((store, position)),
        }
    }
    assert_eq!(ends.len(), 3, "a store is written to its end before the next one begins: {ends:?}");
    assert!(ends.is_sorted_by_key(|(_, end)| *end), "the shortest journal comes first: {ends:?}");
}
