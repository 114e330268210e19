//! The same input gives the same topics, byte for byte: run twice, with other batch sizes, with more workers;
//! and the journal gives the same store.

use std::path::Path;

use settle_log::TopicPartition;
use settle_tests::{Settle, Topics, copy_folder, fixture, invariants, note, state};
use settle_types::authorize::DecisionEvent;
use settle_types::event::EventKind;
use settle_types::request::EventType;
use settle_types::settle::{SettlementDecision, SettlementOutcome};
use settle_types::{reason, topic};

use crate::bad_inputs;

const PAYMENTS: &str = "3000";

/// A log with generated requests and nothing decided.
pub(crate) fn produced(folder: &Path, seed: &str) -> Settle {
    let settle = Settle::new(folder.join(format!("produced-{seed}"))).with_config(fixture("traffic.toml"));
    settle.run(&["produce", "--generate", PAYMENTS, "--seed", seed]).expect_code(0);
    settle
}

/// The same requests in a directory of their own.
pub(crate) fn copy_of(settle: &Settle, name: &str) -> Settle {
    let copy = settle.data().with_file_name(name);
    copy_folder(settle.data(), &copy);
    settle.on(copy)
}

/// Fails unless the traffic made every kind of record: a test of equal nothings proves nothing.
fn assert_rich(topics: &Topics) {
    // Generated requests stand in their right partitions.
    let expected = topics.counts().into_iter().filter(|(name, _)| &**name != settle_types::topic::REROUTED);
    for (name, count) in expected {
        assert!(count > 0, "nothing was written to {name}: the traffic is too poor");
    }
    let outcomes = invariants::outcomes(topics);
    assert!(outcomes.len() >= 5, "few outcomes: {outcomes:?}");
}

#[test]
fn runs_and_batch_sizes_do_not_change_a_byte() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for seed in ["1", "2026"] {
        let produced = produced(folder.path(), seed);
        let first = copy_of(&produced, &format!("first-{seed}"));
        first.settle();
        let expected = Topics::read(first.data());
        invariants::check(&expected);
        assert_rich(&expected);
        note(format!("seed {seed}: {:?}", invariants::outcomes(&expected)));
        let cases = [
            ("the same again", "1000", "10000", "2000"),
            ("one record at a time", "1", "1", "1"),
            ("odd sizes", "7", "13", "3"),
            ("large sizes", "1000", "10000", "100000"),
        ];
        for (name, batch_records, commit_records, queue_records) in cases {
            let copy = copy_of(&produced, &format!("{name}-{seed}"))
                .with(&format!("worker.batch_records={batch_records}"))
                .with(&format!("worker.commit_records={commit_records}"))
                .with(&format!("worker.queue_records={queue_records}"))
                // An fdatasync for each of thousands of commits would be most of this test's time.
                .with("embedded.sync=never");
            copy.settle();
            expected.assert_same(&Topics::read(copy.data()), &format!("seed {seed}, {name}"));
        }
    }
}

/// Refusals of SETTLE that depend on what it booked before, and so on the order in which several workers of
/// AUTHORIZE reach a partition of `payments.approved`.
const REASONS_OF_ORDER: [&str; 2] = [reason::NET_DEBIT_CAP, reason::BATCH_CLOSED];

#[test]
fn workers_share_the_work_and_agree_on_decisions_and_totals() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plain = bad_inputs::plain(folder.path());
    plain
        .run(&["produce", "--generate", PAYMENTS, "--seed", "8", "--set", "embedded.partitions=12"])
        .expect_code(0);
    let mut whole = 0;
    // In the first many refusals come back, in the second few.
    for (name, produced) in [("rich", produced(folder.path(), "7")), ("plain", plain)] {
        let alone = copy_of(&produced, &format!("{name}-1"));
        alone.settle();
        let alone = Topics::read(alone.data());
        for workers in ["2", "3"] {
            let what = format!("{name} traffic, {workers} workers");
            let settle = copy_of(&produced, &format!("{name}-{workers}"));
            let settle = settle.with(&format!("worker.workers={workers}"));
            settle.settle();
            let shared = Topics::read(settle.data());
            invariants::check(&shared);
            whole += assert_same_decisions(&alone, &shared, &what);
            assert_eq!(
                invariants::sums_approved(&alone),
                invariants::sums_approved(&shared),
                "{what}: approved"
            );
            assert_eq!(booked(&alone), booked(&shared), "{what}: booked");
        }
    }
    assert!(whole > 0, "no partition was without refusals");
}

/// What was booked, and what would have been in another order.
fn booked(topics: &Topics) -> invariants::Sums {
    let mut sums = invariants::sums_settled(topics, |settled| settled.outcome == SettlementOutcome::Booked);
    let is_by_order = |settled: &SettlementDecision| {
        settled.reasons.iter().any(|reason| REASONS_OF_ORDER.contains(&reason.code.as_str()))
    };
    for (kind, sum) in invariants::sums_settled(topics, is_by_order) {
        assert_ne!(kind.0, EventType::Payment, "whether a payment is booked does not depend on the order");
        *sums.entry(kind).or_default() += sum;
    }
    sums
}

/// Each partition of the journal of AUTHORIZE is the same up to its last DECISION. After it stand the refusals of
/// SETTLE, whose order varies with several workers; where none came back, the whole partition is the same. Returns
/// the number of those.
#[track_caller]
fn assert_same_decisions(alone: &Topics, shared: &Topics, what: &str) -> usize {
    let mut whole = 0;
    for ((partition, expected), (_, found)) in alone.of(topic::DECIDED).zip(shared.of(topic::DECIDED)) {
        let events: Vec<DecisionEvent> = expected.iter().map(settle_tests::topics::value).collect();
        let last = events.iter().rposition(|event| event.kind == EventKind::Decision);
        let decided = last.expect("every partition has decisions") + 1;
        assert_eq!(expected[..decided], found[..decided], "{what}: partition {partition}");
        let has_refusals = events
            .iter()
            .any(|event| event.input.as_ref().is_some_and(|input| input.topic == topic::RESULTS));
        if !has_refusals {
            let name = TopicPartition::new(topic::DECIDED, partition);
            alone.assert_same_partition(shared, &name, what);
            whole += 1;
        }
    }
    whole
}

#[test]
fn a_store_rebuilt_from_the_journal_is_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = produced(folder.path(), "11");
    settle.settle();
    let topics = Topics::read(settle.data());
    let before = state::dump(settle.data());
    assert_eq!(before.len(), 8, "two stages of four partitions");
    assert!(before.values().all(|store| !store.rows.is_empty()), "every store has rows");

    std::fs::rename(settle.data().join("state"), folder.path().join("old-state"))
        .expect("the state can be moved");
    settle.settle();
    topics.assert_same(&Topics::read(settle.data()), "a rebuild writes nothing");
    for (name, rebuilt) in state::dump(settle.data()) {
        assert_eq!(before[&name], rebuilt, "I10: the store of {name:?}");
    }
}
