//! Members of groups: assignment, seek before delivery, turns, limits, pauses, ends.

use std::thread;

use settle_log::{AssignmentChange, Consumer, EmbeddedLog, Log, Poll, PollLimit};

use crate::common::{
    LONG_WAIT, NO_LIMIT, NO_WAIT, at, commit_values, consumer_options, only_consumer, open, text, texts,
};

fn log_with(topics: &[(&str, u32)]) -> (tempfile::TempDir, EmbeddedLog) {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    for (name, partitions) in topics {
        log.create_topic(name, *partitions).unwrap();
    }
    (directory, log)
}

fn records(count: usize) -> PollLimit {
    PollLimit { records: count, bytes: usize::MAX }
}

/// "topic/partition=value" of each record.
fn labels(poll: &Poll) -> Vec<String> {
    poll.records.iter().map(|record| format!("{}={}", record.topic_partition(), text(record))).collect()
}

#[test]
fn members_share_the_partitions_by_their_ordinals() {
    let (_directory, log) = log_with(&[("t", 5)]);
    let cases = [
        (0, 1, vec![0, 1, 2, 3, 4]),
        (0, 2, vec![0, 2, 4]),
        (1, 2, vec![1, 3]),
        (2, 3, vec![2]),
        (6, 7, vec![]),
    ];
    for (ordinal, count, partitions) in cases {
        let mut consumer = log.consumer(consumer_options("t", &[], ordinal, count)).unwrap();
        let poll = consumer.poll(NO_LIMIT, LONG_WAIT).unwrap();
        let expected = Poll { assignment: vec![AssignmentChange::Assigned(partitions)], ..Poll::default() };
        assert_eq!(poll, expected, "member {ordinal} of {count}");
        assert_eq!(consumer.poll(NO_LIMIT, NO_WAIT).unwrap(), Poll::default(), "it is announced once");
    }
}

#[test]
fn the_identity_of_a_member_can_be_sent_with_positions() {
    let (_directory, log) = log_with(&[("t", 2)]);
    let consumer = log.consumer(consumer_options("t", &[], 1, 2)).unwrap();
    let metadata = consumer.group_metadata().unwrap();
    assert_eq!((metadata.group.as_str(), metadata.generation), ("group", 1));
    assert_eq!(metadata.member_id, "group-1");
    assert!(metadata.is_joined());
}

#[test]
fn what_cannot_be_consumed_is_refused() {
    let (_directory, log) = log_with(&[("t", 2), ("same", 2), ("other", 3)]);
    let cases = [
        (consumer_options("unknown", &[], 0, 1), "STL-0101"),
        (consumer_options("t", &["unknown"], 0, 1), "STL-0101"),
        (consumer_options("t", &["same", "other"], 0, 1), "STL-0104"),
        (consumer_options("t", &[], 2, 2), "STL-0115"),
        (consumer_options("t", &[], 0, 0), "STL-0115"),
        (
            settle_log::ConsumerOptions { group: String::new(), ..consumer_options("t", &[], 0, 1) },
            "STL-0115",
        ),
    ];
    for (options, code) in cases {
        let refused = log.consumer(options.clone()).err().map(|error| error.code());
        assert_eq!(refused, Some(code), "{options:?}");
    }
}

#[test]
fn nothing_is_delivered_before_a_seek() {
    let (_directory, log) = log_with(&[("t", 2)]);
    commit_values(&log, "t", 0, &["a", "b"]);
    commit_values(&log, "t", 1, &["c"]);
    let mut consumer = log.consumer(consumer_options("t", &[], 0, 1)).unwrap();
    let early = consumer.seek(&at("t", 0), 0).unwrap_err();
    assert_eq!(early.code(), "STL-0117", "not assigned before the first poll");
    consumer.poll(NO_LIMIT, NO_WAIT).unwrap();
    assert_eq!(consumer.poll(NO_LIMIT, NO_WAIT).unwrap(), Poll::default());

    consumer.seek(&at("t", 0), 1).unwrap();
    let poll = consumer.poll(NO_LIMIT, NO_WAIT).unwrap();
    assert_eq!((labels(&poll), poll.ends), (vec!["t/0=b".to_owned()], vec![at("t", 0)]));
    let cases = [(at("t", 0), 3, "STL-0103"), (at("t", 2), 0, "STL-0117"), (at("u", 0), 0, "STL-0117")];
    for (partition, offset, code) in cases {
        assert_eq!(consumer.seek(&partition, offset).unwrap_err().code(), code, "{partition} {offset}");
    }
    consumer.seek(&at("t", 0), 0).unwrap();
    assert_eq!(labels(&consumer.poll(NO_LIMIT, NO_WAIT).unwrap()), ["t/0=a", "t/0=b"], "after an abort");
}

#[test]
fn a_member_seeks_only_what_it_owns() {
    let (_directory, log) = log_with(&[("t", 2)]);
    let mut consumer = log.consumer(consumer_options("t", &[], 1, 2)).unwrap();
    consumer.poll(NO_LIMIT, NO_WAIT).unwrap();
    consumer.seek(&at("t", 1), 0).unwrap();
    assert_eq!(consumer.seek(&at("t", 0), 0).unwrap_err().code(), "STL-0117");
}

#[test]
fn partitions_take_turns_in_a_fixed_order() {
    let (_directory, log) = log_with(&[("requested", 2), ("results", 2)]);
    for partition in 0..2 {
        for (topic, letter) in [("requested", "q"), ("results", "s")] {
            let values: Vec<String> = (0..4).map(|number| format!("{letter}{number}")).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            commit_values(&log, topic, partition, &values);
        }
    }
    let mut consumer = only_consumer(&log, "requested", &["results"]);
    let first = consumer.poll(records(6), NO_WAIT).unwrap();
    assert_eq!(
        labels(&first),
        [
            "requested/0=q0",
            "results/0=s0",
            "requested/1=q0",
            "results/1=s0",
            "requested/0=q1",
            "results/0=s1"
        ]
    );
    assert!(first.ends.is_empty());
    let second = consumer.poll(records(4), NO_WAIT).unwrap();
    assert_eq!(labels(&second), ["requested/1=q1", "results/1=s1", "requested/0=q2", "results/0=s2"]);
    let rest = consumer.poll(records(100), NO_WAIT).unwrap();
    assert_eq!(rest.records.len(), 6);
    assert_eq!(rest.ends, [at("requested", 0), at("results", 0), at("requested", 1), at("results", 1)]);
}

#[test]
fn a_poll_is_bounded_by_bytes_but_never_blocked_by_a_large_record() {
    let (_directory, log) = log_with(&[("t", 1)]);
    let large = "x".repeat(100);
    commit_values(&log, "t", 0, &["1", "2", &large, "3"]);
    let mut consumer = only_consumer(&log, "t", &[]);
    // A key of three bytes is counted, too.
    let limit = PollLimit { records: 10, bytes: 8 };
    let mut polls = Vec::new();
    while polls.last().is_none_or(|poll: &Poll| poll.ends.is_empty()) {
        polls.push(consumer.poll(limit, NO_WAIT).unwrap());
    }
    let read: Vec<Vec<String>> = polls.iter().map(|poll| texts(&poll.records)).collect();
    assert_eq!(read, [vec!["1".to_owned(), "2".to_owned()], vec![large], vec!["3".to_owned()]]);
    consumer.seek(&at("t", 0), 0).unwrap();
    let smallest = PollLimit { records: 0, bytes: 0 };
    assert_eq!(texts(&consumer.poll(smallest, NO_WAIT).unwrap().records), ["1"]);
}

#[test]
fn an_end_is_news_once_and_then_repeated_by_every_poll() {
    let (_directory, log) = log_with(&[("t", 2)]);
    commit_values(&log, "t", 0, &["a"]);
    let mut consumer = only_consumer(&log, "t", &[]);
    let ends = vec![at("t", 0), at("t", 1)];
    let first = consumer.poll(NO_LIMIT, LONG_WAIT).unwrap();
    assert_eq!((labels(&first), &first.ends), (vec!["t/0=a".to_owned()], &ends));
    let second = consumer.poll(NO_LIMIT, NO_WAIT).unwrap();
    assert_eq!((labels(&second), &second.ends), (vec![], &ends));
    consumer.seek(&at("t", 1), 0).unwrap();
    let third = consumer.poll(NO_LIMIT, LONG_WAIT).unwrap();
    assert_eq!(third.ends, ends, "an end after a seek does not wait for records");
    commit_values(&log, "t", 1, &["b"]);
    let fourth = consumer.poll(NO_LIMIT, LONG_WAIT).unwrap();
    assert_eq!((labels(&fourth), &fourth.ends), (vec!["t/1=b".to_owned()], &ends));
}

#[test]
fn a_paused_partition_delivers_nothing_and_has_no_end() {
    let (_directory, log) = log_with(&[("t", 2)]);
    commit_values(&log, "t", 0, &["a", "b"]);
    commit_values(&log, "t", 1, &["c"]);
    let mut consumer = only_consumer(&log, "t", &[]);
    consumer.pause(&[at("t", 0), at("unknown", 9)]);
    let poll = consumer.poll(NO_LIMIT, NO_WAIT).unwrap();
    assert_eq!((labels(&poll), poll.ends), (vec!["t/1=c".to_owned()], vec![at("t", 1)]));
    consumer.pause(&[at("t", 1)]);
    assert_eq!(consumer.poll(NO_LIMIT, NO_WAIT).unwrap(), Poll::default());

    consumer.seek(&at("t", 0), 1).unwrap();
    assert_eq!(consumer.poll(NO_LIMIT, NO_WAIT).unwrap(), Poll::default(), "a seek keeps the pause");
    consumer.resume(&[at("t", 0)]);
    let poll = consumer.poll(NO_LIMIT, LONG_WAIT).unwrap();
    assert_eq!((labels(&poll), poll.ends), (vec!["t/0=b".to_owned()], vec![at("t", 0)]));
    consumer.resume(&[at("t", 1)]);
    let poll = consumer.poll(NO_LIMIT, LONG_WAIT).unwrap();
    assert_eq!(poll.ends, [at("t", 0), at("t", 1)], "an end after a pause does not wait for records");
}

#[test]
fn a_pause_in_the_middle_of_a_chunk_keeps_the_place() {
    let (_directory, log) = log_with(&[("t", 1)]);
    commit_values(&log, "t", 0, &["a", "b", "c"]);
    let mut consumer = only_consumer(&log, "t", &[]);
    assert_eq!(labels(&consumer.poll(records(1), NO_WAIT).unwrap()), ["t/0=a"]);
    consumer.pause(&[at("t", 0)]);
    assert!(consumer.poll(NO_LIMIT, NO_WAIT).unwrap().records.is_empty());
    consumer.resume(&[at("t", 0)]);
    assert_eq!(labels(&consumer.poll(NO_LIMIT, NO_WAIT).unwrap()), ["t/0=b", "t/0=c"]);
}

#[test]
fn a_waiting_consumer_is_woken_by_a_commit_to_what_it_reads() {
    let (_directory, log) = log_with(&[("t", 1), ("other", 1)]);
    let mut consumer = only_consumer(&log, "t", &[]);
    assert_eq!(consumer.poll(NO_LIMIT, NO_WAIT).unwrap().ends, [at("t", 0)]);
    thread::scope(|scope| {
        let waiting = scope.spawn(move || consumer.poll(NO_LIMIT, LONG_WAIT).unwrap());
        commit_values(&log, "other", 0, &["not for it"]);
        commit_values(&log, "t", 0, &["news"]);
        assert_eq!(labels(&waiting.join().unwrap()), ["t/0=news"]);
    });
}

#[test]
fn a_log_opened_for_reading_can_be_consumed_but_not_written() {
    let (directory, log) = log_with(&[("t", 1)]);
    commit_values(&log, "t", 0, &["a"]);
    drop(log);
    let log = EmbeddedLog::open_read_only(directory.path()).unwrap();
    let mut consumer: Box<dyn Consumer> = only_consumer(&log, "t", &[]);
    assert_eq!(labels(&consumer.poll(NO_LIMIT, NO_WAIT).unwrap()), ["t/0=a"]);
    assert_eq!(log.create_topic("u", 1).unwrap_err().code(), "STL-0110");
    assert_eq!(log.producer("p").err().map(|error| error.code()), Some("STL-0110"));
}
