//! Requests of a producer that get lost or come late, on a real broker behind a proxy: whatever part of a transaction was
//! disturbed, the next one begins in an epoch that shuts out what may still be under way.

use std::time::Duration;

use settle_log::kafka::KafkaOptions;
use settle_log::{
    AssignmentChange, CommitError, ConsumerOptions, KafkaLog, Log, Member, OutputRecord, PollLimit,
    TopicName, TopicPartition, TransactionalProducer,
};
use settle_test_services::kafka::{Cluster, Options};
use settle_test_services::proxy::{Armed, Captured, Fault, Proxy, Requests, Then, api};

const ID: &str = "the-producer";
const PATIENCE: Duration = Duration::from_secs(60);
const LIMIT: PollLimit = PollLimit { records: 100, bytes: 1 << 20 };

fn start() -> (Cluster, Proxy, KafkaLog) {
    let (cluster, mut proxies) = Cluster::start_behind_proxies(Options::default()).expect("Kafka starts");
    for topic in ["input", "output"] {
        cluster.create_topic(topic, 2).expect("a topic");
    }
    let options = KafkaOptions {
        // A commit waits for a part of that.
        transaction_timeout: Duration::from_secs(5),
        ..KafkaOptions::new(cluster.bootstrap())
    };
    let log = KafkaLog::connect(options).expect("the cluster is there");
    (cluster, proxies.remove(0), log)
}

fn send(producer: &mut dyn TransactionalProducer, partition: u32, value: &str) {
    let topic: TopicName = "output".into();
    let record = OutputRecord {
        topic: &topic,
        partition,
        timestamp_ms: 1_700_000_000_000,
        key: None,
        value: Some(value.as_bytes()),
        headers: &[],
    };
    producer.send(&record).expect("it is taken");
}

/// Waits in short steps until it is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what}: not within {PATIENCE:?}");
}

/// What committed readers find in a partition of the output.
fn committed(log: &KafkaLog, partition: u32) -> Vec<String> {
    let mut reader = log.reader().expect("a reader");
    let partition = TopicPartition::new("output", partition);
    let end = reader.end_offset(&partition).expect("an end");
    let (mut next, mut values) = (0, Vec::new());
    wait_until("a partition is read", || {
        let batch = reader.read(&partition, next, LIMIT, Duration::from_millis(200)).expect("it can be read");
        next = batch.next_offset;
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        values.extend(batch.records.iter().map(|record| text(record.value.as_deref())));
        next >= end
    });
    values
}

/// The epoch in which the end of a transaction was asked for.
fn epoch_of(armed: &Armed) -> (i64, i16) {
    epoch_in(&armed.captured()[0])
}

fn epoch_in(captured: &Captured) -> (i64, i16) {
    let end = captured.head.end.as_ref().expect("an EndTxn names its producer");
    (end.producer_id, end.producer_epoch)
}

/// Writes one record to each partition and commits; between the two, what was captured comes again.
fn commit_while_a_late_copy_arrives(
    producer: &mut dyn TransactionalProducer,
    proxy: &Proxy,
    late: &Armed,
) -> (i64, i16) {
    let commit = proxy.arm(Requests::commits().of_transaction(ID), Fault::Copy);
    producer.begin().expect("it begins");
    let produced = proxy.seen(api::PRODUCE);
    send(producer, 0, "second, first half");
    wait_until("the first half is written", || proxy.seen(api::PRODUCE) > produced);
    let reply = late.replay().expect("the broker answers a copy");
    assert_ne!(reply.error_code, Some(0), "a late copy was heard in the next transaction");
    send(producer, 1, "second, second half");
    producer.commit().expect("it is committed");
    assert!(commit.wait_fired(1, PATIENCE), "the commit was seen");
    epoch_of(&commit)
}

/// A late copy of the abort would end the first half of the next transaction, and the second half would be committed alone.
#[test]
fn after_an_abort_whose_answer_was_lost_the_next_transaction_has_a_new_epoch() {
    let (_cluster, proxy, log) = start();
    let mut producer = log.producer(ID).expect("a producer");
    let late = proxy.arm(Requests::aborts().of_transaction(ID), Fault::LoseReply(Then::Cut));
    producer.begin().expect("it begins");
    send(&mut *producer, 0, "first");
    wait_until("the record is written", || proxy.seen(api::PRODUCE) > 0);
    // Until it is acknowledged: a client that aborts with records under way takes a new epoch by itself.
    std::thread::sleep(Duration::from_secs(1));
    producer.abort().expect("it is aborted, at the second attempt");
    assert!(late.wait_fired(1, PATIENCE), "no abort was asked for");
    let aborted_in = epoch_of(&late);
    let committed_in = commit_while_a_late_copy_arrives(&mut *producer, &proxy, &late);
    assert!(committed_in > aborted_in, "{committed_in:?} after {aborted_in:?}");
    assert_eq!(committed(&log, 0), ["second, first half"]);
    assert_eq!(committed(&log, 1), ["second, second half"]);
}

/// Positions of an aborted transaction that come late would be committed with the next one.
#[test]
fn after_positions_that_were_not_answered_the_next_transaction_has_a_new_epoch() {
    let (_cluster, proxy, log) = start();
    let mut consumer = log
        .consumer(ConsumerOptions {
            group: "group".to_owned(),
            primary: "input".into(),
            secondaries: Vec::new(),
            member: Member { ordinal: 0, count: 1 },
            identity: "the-member".to_owned(),
            report_ends: false,
        })
        .expect("a consumer");
    wait_until("the member has its partitions", || {
        let poll = consumer.poll(LIMIT, Duration::from_millis(100)).expect("a poll");
        poll.assignment
            .iter()
            .any(|change| matches!(change, AssignmentChange::Assigned(numbers) if !numbers.is_empty()))
    });
    let mut producer = log.producer(ID).expect("a producer");
    let positions = Requests::of(api::TXN_OFFSET_COMMIT).of_transaction(ID);
    let late = proxy.arm(positions, Fault::LoseRequest(Then::Keep));
    let aborted = proxy.arm(Requests::aborts().of_transaction(ID), Fault::Copy);
    producer.begin().expect("it begins");
    send(&mut *producer, 0, "first");
    let metadata = consumer.group_metadata().expect("a member");
    let input = TopicPartition::new("input", 0);
    producer.send_offsets(&metadata, &[(input.clone(), 7)]).expect("they are taken");
    let outcome = producer.commit();
    assert!(late.wait_fired(1, PATIENCE), "no positions were sent");
    match outcome {
        // The abort was confirmed: the next transaction has to look after itself.
        Err(CommitError::Aborted { .. }) => {
            assert!(aborted.wait_fired(1, PATIENCE), "no abort was asked for")
        }
        // Nor was the abort: whoever asked for the commit makes a new producer.
        Err(CommitError::Unknown { .. }) => producer = log.producer(ID).expect("a producer"),
        other => panic!("{other:?}"),
    }
    let aborted_in = aborted.captured().first().map(epoch_in);

    let commit = proxy.arm(Requests::commits().of_transaction(ID), Fault::Copy);
    producer.begin().expect("it begins");
    send(&mut *producer, 0, "second");
    producer.send_offsets(&metadata, &[(input.clone(), 3)]).expect("they are taken");
    producer.commit().expect("it is committed");
    assert!(commit.wait_fired(1, PATIENCE), "the commit was seen");
    let committed_in = epoch_of(&commit);
    assert!(Some(committed_in) > aborted_in, "{committed_in:?} after {aborted_in:?}");
    assert_eq!(committed(&log, 0), ["second"]);
    let mut found = None;
    wait_until("the positions are stable", || {
        found = consumer.committed_offsets(std::slice::from_ref(&input)).expect("they can be asked for");
        found.is_some()
    });
    assert_eq!(found.and_then(|offsets| offsets.get(&input).copied()), Some(3));
}
