//! Topics and transactions: atomic, ordered, fenced, the same after reopening.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;

use settle_log::embedded::EmbeddedOptions;
use settle_log::{
    CommitError, CreateOutcome, EmbeddedLog, GroupMetadata, Header, Log, OutputRecord, TopicName,
};

use crate::common::{LONG_WAIT, NO_LIMIT, NO_WAIT, at, commit_values, fast, open, send, texts, values};

fn member() -> GroupMetadata {
    GroupMetadata::new("group", 1, "group-0")
}

#[test]
fn topics_are_created_once_and_survive_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    assert_eq!(log.describe(), format!("embedded log at {}", directory.path().display()));
    assert_eq!(log.create_topic("payments.requested", 24).unwrap(), CreateOutcome::Created);
    assert_eq!(log.create_topic("ledger.transactions", 3).unwrap(), CreateOutcome::Created);
    assert_eq!(log.create_topic("payments.requested", 24).unwrap(), CreateOutcome::Exists);
    let error = log.create_topic("payments.requested", 12).unwrap_err();
    assert_eq!(error.code(), "STL-0104");
    assert_eq!(error.to_string(), "topic payments.requested has 24 partitions, but 12 are asked for");
    for (name, partitions) in [("a b", 1), ("", 1), ("t", 0), ("t", 10_001)] {
        assert_eq!(log.create_topic(name, partitions).unwrap_err().code(), "STL-0115", "{name} {partitions}");
    }
    let described = log.topics().unwrap();
    drop(log);
    let log = open(directory.path());
    assert_eq!(log.topics().unwrap(), described);
    let names: Vec<(&str, u32)> = described.iter().map(|topic| (&*topic.name, topic.partitions)).collect();
    assert_eq!(names, [("ledger.transactions", 3), ("payments.requested", 24)]);
}

#[test]
fn everything_of_a_record_comes_back_before_and_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.create_topic("t", 2).unwrap();
    let topic: TopicName = "t".into();
    let headers = [Header::new("trace", &b"1"[..]), Header::new("trace", &b""[..])];
    let mut producer = log.producer("p").unwrap();
    producer.begin().unwrap();
    let full = OutputRecord {
        topic: &topic,
        partition: 1,
        timestamp_ms: -1,
        key: Some(b""),
        value: Some(b"value"),
        headers: &headers,
    };
    producer.send(&full).unwrap();
    producer
        .send(&OutputRecord { key: None, value: None, headers: &[], timestamp_ms: i64::MAX, ..full })
        .unwrap();
    producer.send_offsets(&member(), &[(at("t", 0), 7), (at("t", 1), 8), (at("t", 0), 9)]).unwrap();
    let committed = producer.commit().unwrap();
    assert_eq!(committed.next_offsets, BTreeMap::from([(at("t", 1), 2)]));
    drop(producer);

    let check = |log: &EmbeddedLog| {
        let records = log.reader().unwrap().read(&at("t", 1), 0, NO_LIMIT, NO_WAIT).unwrap().records;
        assert_eq!(records.len(), 2);
        assert_eq!((&*records[0].topic, records[0].partition, records[0].offset), ("t", 1, 0));
        assert_eq!((records[0].timestamp_ms, records[1].timestamp_ms), (-1, i64::MAX));
        assert_eq!(records[0].key.as_deref(), Some(&b""[..]));
        assert_eq!(records[0].value.as_deref(), Some(&b"value"[..]));
        assert_eq!(records[0].headers, headers);
        assert_eq!((&records[1].key, &records[1].value, records[1].offset), (&None, &None, 1));
        let positions = log.committed_offsets("group");
        assert_eq!(positions, BTreeMap::from([(at("t", 0), 9), (at("t", 1), 8)]));
        assert_eq!(log.committed_offsets("another"), BTreeMap::new());
    };
    check(&log);
    drop(log);
    check(&open(directory.path()));
    check(&EmbeddedLog::open_read_only(directory.path()).unwrap());
}

#[test]
fn what_is_not_committed_is_never_seen() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.create_topic("t", 1).unwrap();
    commit_values(&log, "t", 0, &["first"]);
    let mut producer = log.producer("p").unwrap();
    producer.begin().unwrap();
    send(producer.as_mut(), "t", 0, "aborted");
    producer.send_offsets(&member(), &[(at("t", 0), 1)]).unwrap();
    assert_eq!(values(&log, "t", 0), ["first"]);
    producer.abort().unwrap();
    producer.abort().unwrap();
    producer.begin().unwrap();
    send(producer.as_mut(), "t", 0, "left open by a crash");
    drop(producer);
    drop(log);

    let log = open(directory.path());
    assert_eq!(values(&log, "t", 0), ["first"]);
    assert_eq!(log.committed_offsets("group"), BTreeMap::new());
}

#[test]
fn an_empty_transaction_writes_nothing_and_positions_alone_are_one() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.create_topic("t", 1).unwrap();
    let segment = &crate::common::segments(directory.path())[0];
    let before = fs::read(segment).unwrap();
    let mut producer = log.producer("p").unwrap();
    producer.begin().unwrap();
    producer.send_offsets(&member(), &[]).unwrap();
    assert!(producer.commit().unwrap().next_offsets.is_empty());
    assert_eq!(fs::read(segment).unwrap(), before);
    producer.begin().unwrap();
    producer.send_offsets(&member(), &[(at("t", 0), 5)]).unwrap();
    assert!(producer.commit().unwrap().next_offsets.is_empty());
    assert_eq!(log.committed_offsets("group"), BTreeMap::from([(at("t", 0), 5)]));
}

#[test]
fn a_newer_producer_fences_the_older_one() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.create_topic("t", 1).unwrap();
    let mut older = log.producer("settle/authorize/0/0").unwrap();
    let mut bystander = log.producer("settle/authorize/0/1").unwrap();
    older.begin().unwrap();
    bystander.begin().unwrap();
    send(older.as_mut(), "t", 0, "zombie");
    let mut newer = log.producer("settle/authorize/0/0").unwrap();
    newer.begin().unwrap();
    send(newer.as_mut(), "t", 0, "newer");
    send(bystander.as_mut(), "t", 0, "bystander");

    let error = older.commit().unwrap_err();
    assert!(matches!(error, CommitError::Fenced { .. }), "{error:?}");
    assert_eq!(error.code(), "STL-0113");
    assert!(error.to_string().contains("settle/authorize/0/0"), "{error}");
    assert_eq!(older.begin().unwrap_err().code(), "STL-0113");
    newer.commit().unwrap();
    bystander.commit().unwrap();
    assert_eq!(values(&log, "t", 0), ["newer", "bystander"]);
}

#[test]
fn an_empty_transaction_of_a_fenced_producer_is_refused_too() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    let mut older = log.producer("p").unwrap();
    older.begin().unwrap();
    log.producer("p").unwrap();
    assert!(matches!(older.commit(), Err(CommitError::Fenced { .. })));
}

#[test]
fn calls_in_the_wrong_order_or_with_unknown_targets_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.create_topic("t", 2).unwrap();
    let topic: TopicName = "t".into();
    let unknown: TopicName = "unknown".into();
    let record =
        OutputRecord { topic: &topic, partition: 0, timestamp_ms: 0, key: None, value: None, headers: &[] };
    let mut producer = log.producer("p").unwrap();
    assert_eq!(producer.send(&record).unwrap_err().code(), "STL-0116");
    assert_eq!(producer.send_offsets(&member(), &[]).unwrap_err().code(), "STL-0116");
    assert!(matches!(producer.commit(), Err(CommitError::Fatal { .. })));
    producer.begin().unwrap();
    assert_eq!(producer.begin().unwrap_err().code(), "STL-0116");
    assert_eq!(producer.send(&OutputRecord { partition: 2, ..record }).unwrap_err().code(), "STL-0102");
    assert_eq!(producer.send(&OutputRecord { topic: &unknown, ..record }).unwrap_err().code(), "STL-0101");
    let outside = GroupMetadata::new("group", -1, "group-0");
    let refused = [
        (member(), at("t", 2), "STL-0102"),
        (member(), at("unknown", 0), "STL-0101"),
        (outside, at("t", 0), "STL-0116"),
    ];
    for (group, partition, code) in refused {
        assert_eq!(producer.send_offsets(&group, &[(partition, 1)]).unwrap_err().code(), code);
    }
    producer.send(&record).unwrap();
    assert_eq!(producer.commit().unwrap().next_offsets, BTreeMap::from([(at("t", 0), 1)]));
    assert!(log.producer("").is_err_and(|error| error.code() == "STL-0115"));
}

#[test]
fn a_transaction_has_a_limit_and_a_refused_record_is_not_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { max_transaction_bytes: 200, ..fast() };
    let log = EmbeddedLog::open(directory.path(), options).unwrap();
    log.create_topic("t", 1).unwrap();
    let topic: TopicName = "t".into();
    let value = [b'x'; 150];
    let record = OutputRecord {
        topic: &topic,
        partition: 0,
        timestamp_ms: 0,
        key: None,
        value: Some(&value),
        headers: &[],
    };
    let mut producer = log.producer("p").unwrap();
    producer.begin().unwrap();
    producer.send(&record).unwrap();
    let error = producer.send(&record).unwrap_err();
    assert_eq!(error.code(), "STL-0114");
    assert_eq!(error.to_string(), "the transaction would hold 336 bytes, above its limit of 200");
    assert_eq!(producer.commit().unwrap().next_offsets, BTreeMap::from([(at("t", 0), 1)]));
    for limit in [0, EmbeddedOptions::LARGEST_TRANSACTION_BYTES + 1] {
        let options = EmbeddedOptions { max_transaction_bytes: limit, ..fast() };
        assert!(EmbeddedLog::open(directory.path(), options).is_err_and(|error| error.code() == "STL-0115"));
    }
}

#[test]
fn the_same_transactions_make_the_same_bytes() {
    let write = || {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path());
        log.create_topic("b", 2).unwrap();
        log.create_topic("a", 1).unwrap();
        let mut producer = log.producer("p").unwrap();
        producer.begin().unwrap();
        for (topic, partition, value) in [("b", 1, "1"), ("a", 0, "2"), ("b", 0, "3"), ("b", 1, "4")] {
            send(producer.as_mut(), topic, partition, value);
        }
        producer.send_offsets(&member(), &[(at("b", 1), 2), (at("a", 0), 1)]).unwrap();
        producer.commit().unwrap();
        fs::read(&crate::common::segments(directory.path())[0]).unwrap()
    };
    assert_eq!(write(), write());
}

#[test]
fn segments_roll_by_size_and_read_on_as_one_log() {
    let directory = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { segment_bytes: 400, ..EmbeddedOptions::default() };
    let log = EmbeddedLog::open(directory.path(), options).unwrap();
    log.create_topic("t", 1).unwrap();
    let written: Vec<String> = (0..40).map(|number| format!("value {number}")).collect();
    for value in &written {
        commit_values(&log, "t", 0, &[value]);
    }
    let longer = "x".repeat(1000);
    commit_values(&log, "t", 0, &[&longer]);
    commit_values(&log, "t", 0, &["after"]);
    let segments = crate::common::segments(directory.path());
    assert!(segments.len() > 8, "{segments:?}");
    for segment in &segments {
        let length = fs::metadata(segment).unwrap().len();
        assert!(length <= 400 || length > 1000, "{} has {length} bytes", segment.display());
    }
    let expected: Vec<&str> = written.iter().map(String::as_str).chain([longer.as_str(), "after"]).collect();
    assert_eq!(values(&log, "t", 0), expected);
    drop(log);
    assert_eq!(values(&open(directory.path()), "t", 0), expected);
}

#[test]
fn a_large_transaction_is_read_in_several_chunks() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.create_topic("t", 1).unwrap();
    let written: Vec<String> = (0..900).map(|number| format!("{number:01000}")).collect();
    let borrowed: Vec<&str> = written.iter().map(String::as_str).collect();
    commit_values(&log, "t", 0, &borrowed);
    assert_eq!(values(&log, "t", 0), written);
    let mut reader = log.reader().unwrap();
    for from in [0, 1, 255, 256, 257, 600, 899] {
        let limit = settle_log::PollLimit { records: 2, bytes: usize::MAX };
        let records = reader.read(&at("t", 0), from, limit, NO_WAIT).unwrap().records;
        let start = usize::try_from(from).unwrap();
        assert_eq!(texts(&records), written[start..written.len().min(start + 2)], "from {from}");
    }
    assert!(reader.read(&at("t", 0), 900, NO_LIMIT, NO_WAIT).unwrap().records.is_empty());
    let error = reader.read(&at("t", 0), 901, NO_LIMIT, NO_WAIT).unwrap_err();
    assert_eq!(
        error.to_string(),
        "offset 901 of t/0 is out of range: the partition holds 0 to 900 (exclusive)"
    );
    assert_eq!(reader.start_offset(&at("t", 0)).unwrap(), 0);
    assert_eq!(reader.end_offset(&at("t", 0)).unwrap(), 900);
    assert_eq!(reader.start_offset(&at("t", 1)).unwrap_err().code(), "STL-0102");
}

#[test]
fn producers_of_several_threads_keep_transactions_whole_and_offsets_dense() {
    const THREADS: usize = 4;
    const TRANSACTIONS: usize = 50;
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.create_topic("t", 2).unwrap();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let log = log.clone();
            scope.spawn(move || {
                let mut producer = log.producer(&format!("p{number}")).unwrap();
                for transaction in 0..TRANSACTIONS {
                    producer.begin().unwrap();
                    for part in 0..3 {
                        for partition in 0..2 {
                            let value = format!("{number}/{transaction}/{part}");
                            send(producer.as_mut(), "t", partition, &value);
                        }
                    }
                    if transaction % 7 == 3 {
                        producer.abort().unwrap();
                    } else {
                        producer.commit().unwrap();
                    }
                }
            });
        }
    });
    let committed = (0..TRANSACTIONS).filter(|transaction| transaction % 7 != 3).count();
    let first = values(&log, "t", 0);
    assert_eq!(first.len(), THREADS * committed * 3);
    assert_eq!(values(&log, "t", 1), first, "both partitions got the transactions in the same order");
    let mut seen = BTreeSet::new();
    for transaction in first.chunks(3) {
        let name = transaction[0].strip_suffix("/0").unwrap();
        assert_eq!(transaction, ["0", "1", "2"].map(|part| format!("{name}/{part}")));
        assert!(seen.insert(name.to_owned()), "{name} is there twice");
    }
    drop(log);
    assert_eq!(values(&open(directory.path()), "t", 0), first);
}

#[test]
fn a_waiting_reader_is_woken_by_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.create_topic("t", 1).unwrap();
    thread::scope(|scope| {
        let waiting =
            scope.spawn(|| log.reader().unwrap().read(&at("t", 0), 0, NO_LIMIT, LONG_WAIT).unwrap().records);
        commit_values(&log, "t", 0, &["news"]);
        assert_eq!(texts(&waiting.join().unwrap()), ["news"]);
    });
}
