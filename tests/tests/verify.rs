//! `settle verify`: it accepts what runs leave behind, and names the exact place of whatever was changed afterwards.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use settle_config::DEMO_TOML;
use settle_log::EmbeddedLog;
use settle_reconcile::{InMemory, NoProgress, Report, VerifyOptions, verify};
use settle_tests::{Settle, Topics, note};
use settle_types::topic;

mod beyond;
mod rerouted;
mod tamperings;

/// What a run left behind that had its rules changed in the middle, and another partition count than one.
fn honest() -> &'static Topics {
    static TOPICS: OnceLock<Topics> = OnceLock::new();
    TOPICS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("settle.toml");
        std::fs::write(&config, DEMO_TOML).expect("the folder can be written");
        let settle =
            Settle::new(folder.path().join("data")).with_config(&config).with("embedded.partitions=3");
        settle.run(&["produce", "--generate", "1500", "--seed", "11"]).expect_code(0);
        settle.run(&["run", "--until-idle", "--log-level", "warn"]).expect_code(0);
        let before = settle.verify();
        // Other rules, other contracts: what follows is decided by them.
        std::fs::write(&config, changed_rules()).expect("the folder can be written");
        settle.run(&["produce", "--generate", "1500", "--seed", "12"]).expect_code(0);
        settle.settle();
        let after = settle.verify();
        let redecided =
            |report: &serde_json::Value| report["checked"]["redecided"].as_u64().expect("a number");
        assert!(redecided(&after) > redecided(&before));
        assert_eq!(
            after["checked"]["redecided"], after["checked"]["events"],
            "all events were decided again"
        );
        let topics = Topics::read(settle.data());
        let configs = topics.values::<settle_types::authorize::DecisionEvent>(topic::DECIDED);
        let configs = configs.iter().filter(|event| event.config.is_some()).count();
        assert_eq!(configs, 6, "each of three partitions activated two configurations");
        note(format!("verified: {:?}", topics.counts()));
        topics
    })
}

/// A lower limit, a shorter memory, and a merchant that is blocked.
fn changed_rules() -> String {
    let mut text = DEMO_TOML.to_owned();
    for (old, new) in [
        ("version = 1\ncheck = \"LIMIT_PER_PAYMENT\"", "version = 2\ncheck = \"LIMIT_PER_PAYMENT\""),
        ("limits_minor = { EUR = 1_000_000", "limits_minor = { EUR = 20_000"),
        ("reserve_basis_points = 500", "reserve_basis_points = 700"),
        ("[contracts.m-0001]\n", "[contracts.m-0001]\nstatus = \"BLOCKED\"\n"),
    ] {
        assert!(text.contains(old), "the demo's configuration has no {old:?}");
        text = text.replace(old, new);
    }
    format!("{text}\n[idempotency]\nretention_days = 5\n")
}

/// Verifies a log of these topics, in this process.
fn audit(topics: &Topics) -> Report {
    audit_since(topics, None)
}

fn audit_since(topics: &Topics, since: Option<settle_types::Timestamp>) -> Report {
    let folder = tempfile::tempdir().expect("a temporary folder");
    topics.write(folder.path());
    let log = EmbeddedLog::open_read_only(folder.path().join("log")).expect("the copy can be read");
    let options = VerifyOptions {
        since,
        scratch: folder.path().to_path_buf(),
        groups: BTreeMap::new(),
        commit_wait: Duration::ZERO,
        schemas: settle_schema::Schemas::built_in(),
    };
    verify(&log, &options, &InMemory, &mut NoProgress).expect("the audit comes to its end")
}

/// Fails unless this copy is accepted.
#[track_caller]
fn assert_accepted(report: &Report) {
    let report = serde_json::to_string_pretty(report).expect("plain values become JSON");
    assert!(report.contains("\"verdict\": \"OK\""), "{report}");
}

#[test]
fn what_a_run_with_a_change_of_rules_leaves_behind_is_accepted() {
    let report = audit(honest());
    assert_accepted(&report);
    let checked = &report.checked;
    assert_eq!(checked.redecided, checked.events, "every event was decided again");
    assert_eq!(checked.inputs_waiting, 0);
    let count = |topic: &str| u64::try_from(honest().count(topic)).expect("a number of records");
    let journals = count(topic::DECIDED) + count(topic::SETTLEMENT_EVENTS);
    assert_eq!(checked.events, journals);
    let all = count(topic::APPROVED) + count(topic::DEAD_LETTER) + count(topic::RESULTS);
    let all = all + count(topic::LEDGER_TRANSACTIONS) + count(topic::PAYOUTS) + count(topic::REROUTED);
    assert_eq!(checked.outputs, all);
    assert_eq!(
        checked.inputs_decided,
        count(topic::REQUESTED) + count(topic::APPROVED) + count(topic::RESULTS)
    );
    assert_eq!(checked.ledger_transactions, count(topic::LEDGER_TRANSACTIONS));
    assert_eq!(checked.payouts, count(topic::PAYOUTS));
    assert!(checked.batches > 0 && checked.keys > 0);
    assert!(report.not_checked.is_empty(), "{:?}", report.not_checked);
}
