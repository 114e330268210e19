//! Commits that fail under a worker: what they held is decided again, and the topics are those of an undisturbed
//! run. Driven below the binary, where a fault can be placed at a chosen write.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use settle_config::{Sources, load};
use settle_log::EmbeddedLog;
use settle_log::embedded::EmbeddedOptions;
use settle_log::embedded::faults::{Call, Fault, FaultPlan, FaultyStorage};
use settle_runtime::clock::SystemClock;
use settle_runtime::{
    Error, Pipeline, PipelineOptions, RunMode, StageSelection, StatsSnapshot, WorkerOptions,
};
use settle_store::{Resources, StoreOptions};
use settle_tests::{Topics, fixture, invariants};

use crate::determinism::{copy_of, produced};

/// Runs both stages to their end over a log whose writes fail as planned.
fn run(data: &Path, plan: &FaultPlan, queue_records: usize) -> (Result<(), Error>, StatsSnapshot) {
    let file = Some(fixture("traffic.toml"));
    let loaded =
        load(Sources { file, environment: Vec::new(), flags: Vec::new() }).expect("a valid configuration");
    let folder = data.join("log");
    let storage = Arc::new(FaultyStorage::new(&folder, plan.clone()));
    let log = EmbeddedLog::open_with_storage(&folder, EmbeddedOptions::default(), storage).expect("a log");
    let worker = WorkerOptions {
        state_directory: data.join("state"),
        batch_records: 50,
        commit_records: 20,
        queue_records,
        ..WorkerOptions::default()
    };
    let options = PipelineOptions {
        topics: settle_runtime::TopicRequirements::default(),
        stages: StageSelection::All,
        workers: 1,
        worker,
        authorize: loaded.config.authorize_settings(),
        settle: loaded.config.settle_settings(),
    };
    let resources = Resources::new(StoreOptions::default()).expect("valid options");
    let pipeline = Pipeline::new(Arc::new(log), resources, Arc::new(SystemClock), options);
    let result = pipeline.run(RunMode::UntilIdle { finish: true });
    (result, pipeline.stats().snapshot())
}

#[test]
fn what_a_failed_commit_held_is_decided_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let produced = produced(folder.path(), "21");
    let undisturbed = copy_of(&produced, "undisturbed");
    let counted = FaultPlan::default();
    run(undisturbed.data(), &counted, 2_000).0.expect("an undisturbed run");
    let expected = Topics::read(undisturbed.data());
    invariants::check(&expected);
    let commits = counted.calls(Call::Append);
    assert!(commits > 100, "only {commits} commits");
    // The first write is that of opening. Over the whole run, its last commits included: the last of a turn, those of finishing, the very last.
    let sparse: Vec<u64> = (2..=commits).step_by(9).collect();
    let last: Vec<u64> = (commits.saturating_sub(12)..=commits).step_by(2).collect();
    for (name, faults) in [("sparse", sparse), ("last", last)] {
        for queue_records in [2_000, 5] {
            let what = format!("{name} faults, {queue_records} records polled ahead");
            let settle = copy_of(&produced, &what.replace(' ', "-"));
            let plan = FaultPlan::default();
            for nth in &faults {
                plan.at(Call::Append, *nth, Fault::ShortThenFail(7, ErrorKind::TimedOut));
            }
            let (result, stats) = run(settle.data(), &plan, queue_records);
            result.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(plan.all_happened(), "{what}: not every fault happened");
            assert_eq!(stats.aborts, u64::try_from(faults.len()).expect("few"), "{what}");
            expected.assert_same(&Topics::read(settle.data()), &what);
        }
    }
}

#[test]
fn what_repeating_does_not_cure_ends_the_run_with_its_own_code() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let produced = produced(folder.path(), "22");
    let cases = [
        (ErrorKind::StorageFull, 1, "STL-0109"),
        (ErrorKind::FileTooLarge, 1, "STL-0109"),
        (ErrorKind::ReadOnlyFilesystem, 1, "STL-0110"),
        // The same failure again and again is given up.
        (ErrorKind::TimedOut, 5, "STL-0308"),
    ];
    for (kind, times, code) in cases {
        let settle = copy_of(&produced, &format!("{kind:?}"));
        let plan = FaultPlan::default();
        for nth in 0..times {
            plan.at(Call::Append, 30 + nth, Fault::Fail(kind));
        }
        let (result, _) = run(settle.data(), &plan, 2_000);
        assert_eq!(result.map_err(|error| error.code()), Err(code), "{kind:?}");
        settle.settle();
        invariants::check(&Topics::read(settle.data()));
    }
}
