//! The commands as their users meet them: help, exit codes, output for people and for scripts.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use settle_tests::program::{self, now};
use settle_tests::requests::{encoded, noon_plus, payment};
use settle_tests::{Settle, Topics, Writer, fixture, invariants};
use settle_types::authorize::Outcome;
use settle_types::{reason, topic};
use tempfile::TempDir;

use crate::bad_inputs::plain;
use crate::bad_machines::wait_for_lock;

/// A settled log that commands only read; kept until the tests end.
fn settled() -> Settle {
    static SETTLED: OnceLock<TempDir> = OnceLock::new();
    let folder = SETTLED.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settle = Settle::new(folder.path().join("data")).with_config(fixture("traffic.toml"));
        settle.run(&["produce", "--generate", "1000", "--seed", "3"]).expect_code(0);
        settle.settle();
        folder
    });
    Settle::new(folder.path().join("data")).with_config(fixture("traffic.toml"))
}

#[test]
fn every_command_explains_itself() {
    let commands: [&[&str]; 13] = [
        &[],
        &["demo"],
        &["run"],
        &["produce"],
        &["topics"],
        &["topics", "create"],
        &["topics", "list"],
        &["topics", "tail"],
        &["dead-letter", "list"],
        &["dead-letter", "resubmit"],
        &["inspect", "payment"],
        &["config", "check"],
        &["config", "reference"],
    ];
    for command in commands {
        let ended = program::run(&[command, &["--help"]].concat()).expect_code(0);
        assert!(ended.stdout.contains("Usage: settle"), "{command:?}: {}", ended.stdout);
        assert!(ended.stderr.is_empty(), "{command:?}: {}", ended.stderr);
    }
    let help = program::run(&["--help"]).stdout;
    for part in ["Exit codes:", "docs/errors/", "--embedded", "--config", "--set"] {
        assert!(help.contains(part), "{part:?} was expected in\n{help}");
    }
    let version = program::run(&["--version"]).expect_code(0).stdout;
    assert_eq!(version.trim(), format!("settle {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_command_lines_end_with_2_and_do_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = Settle::new(folder.path().join("data"));
    let cases: [(&[&str], &str); 12] = [
        (&["frobnicate"], "frobnicate"),
        (&["run", "--until-idel"], "--until-idle"),
        (&["run", "--finish"], "--until-idle"),
        (&["run", "--stage", "both"], "authorize"),
        (&["produce"], "--input"),
        (&["produce", "--generate", "many"], "many"),
        (&["produce", "--generate", "1", "--input", "x.csv"], "--input"),
        (&["produce", "--input", "requests.txt"], "--input-format"),
        (&["run", "--set", "worker.workers"], "KEY=VALUE"),
        (&["run", "--set", "worker.workerz=2"], "workers"),
        (&["run", "--set", "worker.workers=none"], "worker.workers"),
        (&["run", "--config", "no-such-file.toml"], "no-such-file.toml"),
    ];
    for (arguments, expected) in cases {
        settle.run(arguments).expect_code(2).expect_message(expected);
    }
    program::run(&["run"]).expect_code(2).expect_message("--embedded DIR");
    let requested = Topics::read_if_there(settle.data()).map_or(0, |topics| topics.count(topic::REQUESTED));
    assert_eq!(requested, 0, "a wrong command line wrote records");
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("wrong.toml");
    fs::write(&file, "[worker]\nworkers = 1\nbatch_recrods = 7 # typos:ignore\n")
        .expect("a file can be written");
    let settle = Settle::new(folder.path().join("data")).with_config(&file);
    for command in [["run", "--until-idle"], ["config", "check"], ["topics", "list"]] {
        let ended = settle.run(&command).expect_code(2).expect_message("[STL-0403]");
        let ended = ended.expect_message("batch_records").expect_message("wrong.toml:3");
        ended.expect_message("docs/errors/STL-0403.md");
    }
    assert!(!settle.data().exists(), "a wrong configuration created the data directory");
    let mut command = Settle::new(folder.path().join("data")).command(&["config", "check"]);
    command.env("SETTLE__WORKER__WORKRES", "2"); // typos:ignore
    settle_tests::Running::start(command).wait().expect_code(2).expect_message("workers");
}

#[test]
fn the_configuration_is_checked_and_explained() {
    settled().run(&["config", "check"]).expect_code(0);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("contradiction.toml");
    fs::write(&file, "[contracts.default]\ntime_zone = \"Mars/Olympus\"\nfees.\"*\" = {}\n").expect("a file");
    let settle = Settle::new(folder.path().join("data")).with_config(&file);
    let checked = settle.run(&["config", "check"]);
    assert_ne!(checked.code, Some(0), "{checked:?}");
    assert!(format!("{}{}", checked.stdout, checked.stderr).contains("Mars/Olympus"), "{checked:?}");
    settle.run(&["run", "--until-idle"]).expect_code(2).expect_message("Mars/Olympus");
    assert!(!settle.data().exists(), "a wrong configuration created the data directory");
    let reference = program::run(&["config", "reference"]).expect_code(0).stdout;
    for key in ["batch_records", "max_event_jump_seconds", "retention_days", "settlement_delay_days"] {
        assert!(reference.contains(key), "{key} is not in the reference");
    }
}

#[test]
fn topics_are_listed_and_read() {
    let settle = settled();
    let topics = Topics::read(settle.data());
    let listed = settle.run(&["topics", "list", "--format", "json"]).expect_code(0).json_lines();
    let mut counts = topics.counts();
    for row in &listed {
        let records = counts.remove(row["topic"].as_str().expect("a name")).expect("a topic of the log");
        assert_eq!(row["records"], records, "{row}");
        assert_eq!(row["partitions"], 4, "{row}");
    }
    assert!(counts.is_empty(), "not listed: {counts:?}");
    assert!(settle.run(&["topics", "list"]).expect_code(0).stdout.contains(topic::DECIDED));

    for name in topic::ALL {
        let lines = settle.run(&["topics", "tail", name, "--format", "json"]).expect_code(0).json_lines();
        assert_eq!(lines.len(), topics.count(name), "{name}");
        for (line, record) in lines.iter().zip(topics.records(name)) {
            assert_eq!(
                (&line["topic"], &line["partition"]),
                (&Value::from(name), &Value::from(record.partition))
            );
            assert_eq!(line["offset"], record.offset, "{name}");
            let key = record.key.as_deref().map(String::from_utf8_lossy);
            assert_eq!(line["key"].as_str(), key.as_deref(), "{name}");
            assert!(line["value"].is_object() && line["headers"].is_object(), "{line}");
        }
    }
    let tail = |more: &[&str]| {
        let arguments = [&["topics", "tail", topic::DECIDED, "--format", "json"], more].concat();
        settle.run(&arguments).expect_code(0).json_lines()
    };
    let all = tail(&[]);
    assert_eq!(tail(&["--limit", "3"]), all[all.len() - 3..]);
    assert!(tail(&["--limit", "0"]).is_empty());
    let second = tail(&["--partition", "2"]);
    assert!(!second.is_empty() && second.iter().all(|line| line["partition"] == 2));
    assert!(settle.run(&["topics", "tail", topic::PAYOUTS]).expect_code(0).stdout.contains("payout:"));
    settle.run(&["topics", "tail", "payments.decide"]).expect_code(1).expect_message("[STL-0101]");
    settle
        .run(&["topics", "tail", topic::DECIDED, "--partition", "4"])
        .expect_code(2)
        .expect_message("0 to 3");
}

#[test]
fn dead_letters_are_listed_and_sent_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = plain(folder.path());
    let mut writer = Writer::open(settle.data(), 4);
    let mut zero = payment("d-1", "p-1");
    zero.amount_minor = 0;
    let mut card = payment("d-1", "p-2");
    card.device_id = Some("4111111111111111".into());
    let partition = writer.partition_of(b"d-1");
    for request in [&zero, &card] {
        writer.send(partition, noon_plus(0).as_millis(), Some(b"d-1"), Some(&encoded(request)));
    }
    writer.commit();
    settle.settle();

    let listed = settle.run(&["dead-letter", "list", "--format", "json"]).expect_code(0).json_lines();
    let codes: Vec<&str> = listed.iter().filter_map(|line| line["code"].as_str()).collect();
    assert_eq!(codes, [reason::AMOUNT_NOT_POSITIVE, reason::CARD_NUMBER_PRESENT]);
    assert_eq!((&listed[0]["masked"], &listed[1]["masked"]), (&Value::from(false), &Value::from(true)));
    let only = ["dead-letter", "list", "--format", "json", "--code", reason::CARD_NUMBER_PRESENT];
    assert_eq!(settle.run(&only).expect_code(0).json_lines(), listed[1..]);
    assert!(settle.run(&["dead-letter", "list"]).expect_code(0).stdout.contains("AMOUNT_NOT_POSITIVE"));

    settle.run(&["dead-letter", "resubmit"]).expect_code(2).expect_message("--code");
    let source = listed[0]["source"].as_str().expect("a position").to_owned();
    settle.run(&["dead-letter", "resubmit", "--source", &source, "--dry-run"]).expect_code(0);
    assert_eq!(Topics::read(settle.data()).count(topic::REQUESTED), 2, "a dry run sends nothing");
    let masked = settle.run(&["dead-letter", "resubmit", "--code", reason::CARD_NUMBER_PRESENT]);
    masked.expect_code(3).expect_message("masked");
    assert_eq!(Topics::read(settle.data()).count(topic::REQUESTED), 2, "a masked record is not sent");

    settle.run(&["dead-letter", "resubmit", "--source", &source]).expect_code(0);
    settle.settle();
    let topics = Topics::read(settle.data());
    invariants::check(&topics);
    assert_eq!(topics.count(topic::REQUESTED), 3);
    let requests: Vec<_> = topics.records(topic::REQUESTED).collect();
    assert_eq!(requests[0].value, requests[2].value, "sent as it came");
    assert_eq!(invariants::outcomes(&topics), [(Outcome::Invalid, 3)].into(), "it stays what it was");
}

#[test]
fn the_state_can_be_looked_into() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = plain(folder.path());
    let mut writer = Writer::open(settle.data(), 4);
    let request = payment("d-1", "p-1");
    writer.send(
        writer.partition_of(b"d-1"),
        noon_plus(0).as_millis(),
        Some(b"d-1"),
        Some(&encoded(&request)),
    );
    writer.commit();
    settle.settle();

    let cases: [(&[&str], &[&str]); 5] = [
        (&["inspect", "key", "key-p-1"], &["p-1", "APPROVED"]),
        (&["inspect", "key", "key-p-1", "--merchant", "m-1"], &["p-1"]),
        (&["inspect", "payment", "p-1"], &["p-1", "d-1"]),
        (&["inspect", "merchant", "m-1"], &["m-1"]),
        (&["inspect", "balance"], &["scheme:BANK_TRANSFER:receivable"]),
    ];
    for (arguments, expected) in cases {
        let shown = settle.run(arguments).expect_code(0).stdout;
        let json = settle.run(&[arguments, &["--format", "json"]].concat()).expect_code(0);
        assert!(!json.json_lines().is_empty(), "{arguments:?}");
        for part in expected {
            assert!(shown.contains(part), "{arguments:?}: {part:?} was expected in\n{shown}");
            assert!(json.stdout.contains(part), "{arguments:?}: {part:?} was expected in\n{}", json.stdout);
        }
    }
    assert!(
        settle.run(&["inspect", "payment", "p-1"]).stdout.contains("merchant:m-1:payable"),
        "its entries"
    );
    let balances =
        settle.run(&["inspect", "balance", "scheme:", "--format", "json"]).expect_code(0).json_lines();
    assert_eq!(balances.len(), 1, "{balances:?}");
    assert_eq!(balances[0]["debit_balance_minor"], 10_000, "{balances:?}");
    for nothing in [
        ["inspect", "key", "key-p-2"],
        ["inspect", "payment", "p-2"],
        ["inspect", "merchant", "m-2"],
        ["inspect", "balance", "no-such-account"],
    ] {
        settle.run(&nothing).expect_code(3).expect_message("nothing found");
    }
}

/// Waits until a file has stopped growing.
fn wait_until_quiet(file: &Path) {
    let started = now();
    let (mut last, mut quiet) = (0, 0);
    while quiet < 20 {
        assert!(started.elapsed() < Duration::from_secs(60), "the log never came to rest");
        thread::sleep(Duration::from_millis(50));
        let length = fs::metadata(file).map_or(0, |file| file.len());
        quiet = if length == last { quiet + 1 } else { 0 };
        last = length;
    }
}

#[test]
fn a_signal_ends_a_continuous_run_with_everything_committed_and_flushed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = Settle::new(folder.path().join("data")).with_config(fixture("traffic.toml"));
    settle.run(&["produce", "--generate", "1000", "--seed", "8"]).expect_code(0);
    let running = settle.start(&["run", "--log-level", "warn"]);
    wait_for_lock(settle.data(), &running.id().to_string());
    wait_until_quiet(&settle.data().join("log/segment-00000000000000000000.log"));
    let asked = now();
    running.signal("TERM");
    running.wait().expect_code(0);
    assert!(asked.elapsed() < Duration::from_secs(20), "it took {:?} to end", asked.elapsed());
    invariants::check(&Topics::read(settle.data()));
    let next = settle.run(&["run", "--until-idle"]).expect_code(0);
    assert!(
        next.stdout.contains(" 0 events replayed"),
        "a run that ended well left work behind: {}",
        next.stdout
    );
}

#[test]
fn a_signal_ends_a_run_until_idle_early_and_the_next_one_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = Settle::new(folder.path().join("data"))
        .with_config(fixture("traffic.toml"))
        .with("worker.batch_records=1")
        .with("worker.commit_records=1");
    settle.run(&["produce", "--generate", "1000", "--seed", "8"]).expect_code(0);
    let running = settle.start(&["run", "--until-idle", "--finish", "--log-level", "info"]);
    wait_for_lock(settle.data(), &running.id().to_string());
    thread::sleep(Duration::from_millis(150));
    running.signal("INT");
    let ended = running.wait();
    assert!(matches!(ended.code, Some(130)), "an early end is 130: {ended:?}");
    settle.settle();
    invariants::check(&Topics::read(settle.data()));
}
