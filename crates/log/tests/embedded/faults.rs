//! Every failure of the file layer: what the committer is told, what is readable, what reopening finds.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use settle_log::embedded::EmbeddedOptions;
use settle_log::embedded::faults::{Call, Fault, FaultPlan, FaultyStorage};
use settle_log::{CommitError, EmbeddedLog, Log};

use crate::common::{NO_LIMIT, NO_WAIT, at, commit_values, only_consumer, open, send, texts, values};

fn open_faulty(directory: &Path, plan: &FaultPlan, options: EmbeddedOptions) -> EmbeddedLog {
    let storage = Arc::new(FaultyStorage::new(directory, plan.clone()));
    EmbeddedLog::open_with_storage(directory, options, storage).unwrap()
}

/// A log with the topic "t" and one committed value, "before".
fn faulty_log(directory: &Path, plan: &FaultPlan) -> EmbeddedLog {
    let log = open_faulty(directory, plan, EmbeddedOptions::default());
    log.create_topic("t", 1).unwrap();
    commit_values(&log, "t", 0, &["before"]);
    log
}

fn commit(log: &EmbeddedLog, value: &str) -> Result<(), CommitError> {
    let mut producer = log.producer("p").unwrap();
    producer.begin().unwrap();
    send(producer.as_mut(), "t", 0, value);
    producer.commit().map(|_| ())
}

fn outcome(result: &Result<(), CommitError>) -> String {
    let Err(error) = result else {
        return "Committed".to_owned();
    };
    let name = match error {
        CommitError::Aborted { .. } => "Aborted",
        CommitError::Unknown { .. } => "Unknown",
        CommitError::Fenced { .. } => "Fenced",
        CommitError::Fatal { .. } => "Fatal",
    };
    format!("{name} {}", error.code())
}

#[test]
fn a_commit_syncs_once() {
    let directory = tempfile::tempdir().unwrap();
    let plan = FaultPlan::default();
    let log = faulty_log(directory.path(), &plan);
    let before = plan.calls(Call::Sync);
    commit(&log, "after").unwrap();
    assert_eq!(plan.calls(Call::Sync), before + 1);
    assert_eq!(plan.calls(Call::SyncDirectory), 1, "for the one segment that was created");
}

#[test]
fn short_writes_are_continued() {
    let directory = tempfile::tempdir().unwrap();
    let plan = FaultPlan::default();
    let log = faulty_log(directory.path(), &plan);
    plan.at(Call::Append, 1, Fault::Short(1));
    plan.at(Call::Append, 2, Fault::Short(30));
    plan.at(Call::Append, 3, Fault::Fail(ErrorKind::Interrupted));
    commit(&log, "after").unwrap();
    assert!(plan.all_happened());
    assert_eq!(values(&log, "t", 0), ["before", "after"]);
    drop(log);
    assert_eq!(values(&open(directory.path()), "t", 0), ["before", "after"]);
}

/// A fault of a commit, what its committer is told, and the values that are readable afterwards, by the
/// same handle, after "later" was tried, and after reopening.
struct Case {
    faults: &'static [(Call, Fault)],
    told: &'static str,
    later: &'static str,
    reopened: &'static [&'static str],
}

const CASES: [Case; 8] = [
    Case {
        faults: &[(Call::Append, Fault::Fail(ErrorKind::StorageFull))],
        told: "Aborted STL-0109",
        later: "Committed",
        reopened: &["before", "later"],
    },
    Case {
        faults: &[(Call::Append, Fault::ShortThenFail(40, ErrorKind::StorageFull))],
        told: "Aborted STL-0109",
        later: "Committed",
        reopened: &["before", "later"],
    },
    Case {
        faults: &[(Call::Append, Fault::ShortThenFail(10, ErrorKind::FileTooLarge))],
        told: "Aborted STL-0109",
        later: "Committed",
        reopened: &["before", "later"],
    },
    Case {
        faults: &[(Call::Append, Fault::Fail(ErrorKind::ReadOnlyFilesystem))],
        told: "Aborted STL-0110",
        later: "Committed",
        reopened: &["before", "later"],
    },
    Case {
        faults: &[(Call::Append, Fault::Short(0))],
        told: "Aborted STL-0111",
        later: "Committed",
        reopened: &["before", "later"],
    },
    Case {
        faults: &[
            (Call::Append, Fault::ShortThenFail(40, ErrorKind::StorageFull)),
            (Call::Truncate, Fault::Fail(ErrorKind::Other)),
        ],
        told: "Fatal STL-0109",
        later: "Fatal STL-0112",
        reopened: &["before"],
    },
    Case {
        faults: &[(Call::Sync, Fault::Fail(ErrorKind::Other))],
        told: "Unknown STL-0111",
        later: "Fatal STL-0112",
        // The frame was written, and the double's system does not lose what was not synced.
        reopened: &["before", "failing"],
    },
    Case {
        faults: &[(Call::Sync, Fault::Fail(ErrorKind::StorageFull))],
        told: "Unknown STL-0109",
        later: "Fatal STL-0112",
        reopened: &["before", "failing"],
    },
];

#[test]
fn each_fault_has_its_outcome() {
    for case in CASES {
        let directory = tempfile::tempdir().unwrap();
        let plan = FaultPlan::default();
        let log = faulty_log(directory.path(), &plan);
        let mut early = log.producer("early").unwrap();
        early.begin().unwrap();
        send(early.as_mut(), "t", 0, "later");
        for (call, fault) in case.faults {
            plan.at(*call, 1, *fault);
        }
        let told = commit(&log, "failing");
        let faults = case.faults;
        assert!(plan.all_happened(), "{faults:?}");
        assert_eq!(outcome(&told), case.told, "{faults:?}");
        assert_eq!(values(&log, "t", 0), ["before"], "{faults:?}");

        let later = early.commit().map(|_| ());
        assert_eq!(outcome(&later), case.later, "{faults:?}");
        let works_on = later.is_ok();
        let begun = log.producer("new").unwrap().begin();
        assert_eq!(begun.is_ok(), works_on, "{faults:?}");
        let created = log.create_topic("u", 1);
        assert_eq!(created.is_ok(), works_on, "{faults:?}");
        if works_on {
            assert_eq!(values(&log, "t", 0), ["before", "later"], "{faults:?}");
        } else {
            assert_eq!(values(&log, "t", 0), ["before"], "{faults:?}");
            assert_eq!(created.unwrap_err().code(), "STL-0112", "{faults:?}");
        }
        drop(early);
        drop(log);
        let log = open(directory.path());
        assert_eq!(values(&log, "t", 0), case.reopened, "{faults:?}");
        commit(&log, "reopened").unwrap();
    }
}

#[test]
fn a_poisoned_log_says_why_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let plan = FaultPlan::default();
    let log = faulty_log(directory.path(), &plan);
    plan.at(Call::Sync, 1, Fault::Fail(ErrorKind::Other));
    let unknown = commit(&log, "failing").unwrap_err();
    assert!(matches!(unknown, CommitError::Unknown { .. }), "{unknown:?}");
    let syncs = plan.calls(Call::Sync);
    let error = log.producer("p").unwrap().begin().unwrap_err();
    assert!(error.to_string().contains("a transaction could not be synced to"), "{error}");
    assert!(error.hint().contains("restart"));
    assert_eq!(plan.calls(Call::Sync), syncs, "a failed sync is not repeated");
}

#[test]
fn a_failing_new_segment_aborts_or_poisons() {
    let rolling = EmbeddedOptions { segment_bytes: 1, ..EmbeddedOptions::default() };
    let cases = [
        (Call::Create, ErrorKind::StorageFull, "Aborted STL-0109", "Committed", &["before", "later"][..]),
        (Call::SyncDirectory, ErrorKind::Other, "Fatal STL-0111", "Fatal STL-0112", &["before"]),
    ];
    for (call, kind, told, later, reopened) in cases {
        let directory = tempfile::tempdir().unwrap();
        let plan = FaultPlan::default();
        let log = open_faulty(directory.path(), &plan, rolling);
        log.create_topic("t", 1).unwrap();
        commit_values(&log, "t", 0, &["before"]);
        let mut early = log.producer("early").unwrap();
        early.begin().unwrap();
        send(early.as_mut(), "t", 0, "later");
        plan.at(call, 1, Fault::Fail(kind));
        assert_eq!(outcome(&commit(&log, "failing")), told, "{call:?}");
        assert!(plan.all_happened());
        assert_eq!(outcome(&early.commit().map(|_| ())), later, "{call:?}");
        drop(early);
        drop(log);
        assert_eq!(values(&open(directory.path()), "t", 0), reopened, "{call:?}");
    }
}

#[test]
fn a_failed_write_to_a_new_segment_leaves_it_usable() {
    let directory = tempfile::tempdir().unwrap();
    let plan = FaultPlan::default();
    let rolling = EmbeddedOptions { segment_bytes: 1, ..EmbeddedOptions::default() };
    let log = open_faulty(directory.path(), &plan, rolling);
    log.create_topic("t", 1).unwrap();
    plan.at(Call::Append, 1, Fault::ShortThenFail(5, ErrorKind::StorageFull));
    assert_eq!(outcome(&commit(&log, "failing")), "Aborted STL-0109");
    commit(&log, "after").unwrap();
    drop(log);
    assert_eq!(values(&open(directory.path()), "t", 0), ["after"]);
}

#[test]
fn opening_fails_when_the_last_frame_cannot_be_made_durable() {
    let directory = tempfile::tempdir().unwrap();
    drop(faulty_log(directory.path(), &FaultPlan::default()));
    for (call, code) in
        [(Call::Append, "STL-0109"), (Call::Sync, "STL-0109"), (Call::SyncDirectory, "STL-0109")]
    {
        let plan = FaultPlan::default();
        plan.at(call, 1, Fault::Fail(ErrorKind::StorageFull));
        let storage = Arc::new(FaultyStorage::new(directory.path(), plan.clone()));
        let opened = EmbeddedLog::open_with_storage(directory.path(), EmbeddedOptions::default(), storage);
        assert_eq!(opened.err().map(|error| error.code()), Some(code), "{call:?}");
        assert!(plan.all_happened());
        assert_eq!(values(&open(directory.path()), "t", 0), ["before"]);
    }
}

#[test]
fn a_failed_read_loses_no_record() {
    let directory = tempfile::tempdir().unwrap();
    let plan = FaultPlan::default();
    let log = faulty_log(directory.path(), &plan);
    commit(&log, "second").unwrap();
    commit(&log, "third").unwrap();
    let mut consumer = only_consumer(&log, "t", &[]);
    plan.at(Call::Read, 2, Fault::Fail(ErrorKind::Other));
    plan.at(Call::Read, 3, Fault::Fail(ErrorKind::Other));
    let first = consumer.poll(NO_LIMIT, NO_WAIT).unwrap();
    assert_eq!((texts(&first.records), first.ends), (vec!["before".to_owned()], vec![]));
    assert_eq!(consumer.poll(NO_LIMIT, NO_WAIT).unwrap_err().code(), "STL-0111");
    let rest = consumer.poll(NO_LIMIT, NO_WAIT).unwrap();
    assert_eq!((texts(&rest.records), rest.ends), (vec!["second".into(), "third".into()], vec![at("t", 0)]));
    assert!(plan.all_happened());
}

#[test]
fn a_partition_that_cannot_be_read_is_reported_however_busy_the_others_are() {
    let directory = tempfile::tempdir().unwrap();
    let plan = FaultPlan::default();
    let log = open_faulty(directory.path(), &plan, EmbeddedOptions::default());
    log.create_topic("t", 2).unwrap();
    for number in 0..8 {
        commit_values(&log, "t", number % 2, &["value"]);
    }
    let mut consumer = only_consumer(&log, "t", &[]);
    // The first partition reads; from then on every read of the second one fails.
    plan.at(Call::Read, 2, Fault::Fail(ErrorKind::Other));
    plan.at(Call::Read, 3, Fault::Fail(ErrorKind::Other));
    let one_each = settle_log::PollLimit { records: 2, bytes: usize::MAX };
    assert_eq!(consumer.poll(one_each, NO_WAIT).unwrap().records.len(), 1);
    assert_eq!(consumer.poll(one_each, NO_WAIT).unwrap_err().code(), "STL-0111");
}
