//! The audit over a real broker: transactions that were committed, aborted and left open, and topics that grow.

use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::tests::world::world;
use super::*;
use crate::kafka::{Cluster, Options};

/// Bounds every wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// Enough to see that something does not come.
const SHORT: Duration = Duration::from_secs(3);

fn producer(cluster: &Cluster, transactional_id: &str) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.extend(cluster.client_settings(None));
    let producer: BaseProducer =
        config.set("transactional.id", transactional_id).set("message.timeout.ms", "30000").create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    producer
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, record: &Record) {
    let mut headers = OwnedHeaders::new();
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: Some(&**value) });
    }
    let mut message = BaseRecord::<[u8], [u8]>::to(topic).partition(partition).headers(headers);
    message.key = record.key.as_deref();
    message.payload = record.value.as_deref();
    assert!(producer.send(message).is_ok(), "the queue has room");
}

fn written(cluster: &Cluster, read: &Read) {
    let producer = producer(cluster, "writer");
    for topic in TOPICS {
        cluster.create_topic(topic, 2).unwrap();
        for (partition, record) in read.records(topic) {
            send(&producer, topic, partition, record);
        }
    }
    producer.flush(PATIENCE).unwrap();
    producer.commit_transaction(PATIENCE).unwrap();
}

/// As [`read_all`], with nothing but the address.
fn read(cluster: &Cluster, timeout: Duration) -> Result<Read, ReadError> {
    read_all(&cluster.bootstrap(), &cluster.client_settings(None), &TOPICS, timeout)
}

#[test]
fn reads_what_was_committed_and_judges_it() {
    let cluster = Cluster::start(Options::default()).unwrap();
    let error = read(&cluster, SHORT).unwrap_err();
    assert!(matches!(&error, ReadError::NoTopic(topic) if topic == topic::REQUESTED), "{error}");

    let expected = world().read();
    written(&cluster, &expected);
    let found = read(&cluster, PATIENCE).unwrap();
    for topic in TOPICS {
        for ((number, left), (_, right)) in found.partitions(topic).zip(expected.partitions(topic)) {
            assert_eq!(left.start, 0);
            assert!(left.records.is_empty() || left.end > right.end, "a commit marker follows");
            let content = |partition: &Partition| {
                let parts = |record: &Record| {
                    (record.offset, record.key.clone(), record.value.clone(), record.headers.clone())
                };
                partition.records.iter().map(parts).collect::<Vec<_>>()
            };
            assert_eq!(content(left), content(right), "{topic}-{number}");
        }
        assert_eq!(found.count(topic), expected.count(topic), "{topic}");
    }
    let verdict = judge(&found);
    assert!(verdict.violations.is_empty(), "{verdict}");
    assert_eq!(verdict.report, judge(&expected).report);

    // What was aborted is not there, and nobody waits for it.
    let aborting = producer(&cluster, "aborting");
    let garbage = Record { value: Some(Box::new(*b"garbage")), ..Record::default() };
    for partition in [0, 1] {
        send(&aborting, topic::REQUESTED, partition, &garbage);
        send(&aborting, topic::DECIDED, partition, &garbage);
    }
    aborting.flush(PATIENCE).unwrap();
    aborting.abort_transaction(PATIENCE).unwrap();
    let mut reader = Reader::open(&cluster.bootstrap(), &[], &TOPICS).unwrap();
    assert_eq!(judge(reader.read_to_end(PATIENCE).unwrap()), verdict);

    // While a transaction is open its end cannot be reached, and that is an error and no shorter topic.
    aborting.begin_transaction().unwrap();
    send(&aborting, topic::REQUESTED, 1, &garbage);
    aborting.flush(PATIENCE).unwrap();
    let error = reader.read_to_end(SHORT).unwrap_err();
    assert!(matches!(&error, ReadError::OpenTransaction { partition: 1, .. }), "{error}");
    let error = read(&cluster, SHORT).unwrap_err();
    assert!(matches!(&error, ReadError::OpenTransaction { partition: 1, .. }), "{error}");

    // Committed in the end: the reader finds what was added since, and the audit finds that nobody decided it.
    aborting.commit_transaction(PATIENCE).unwrap();
    let grown = reader.read_to_end(PATIENCE).unwrap();
    assert_eq!(grown.count(topic::REQUESTED), expected.count(topic::REQUESTED) + 1);
    assert_eq!(*grown, read(&cluster, PATIENCE).unwrap(), "read in parts or at once");
    let violations = check(grown);
    assert_eq!(violations.len(), 1);
    assert!(violations[0].to_string().contains("I2 at payments.requested-1@"), "{}", violations[0]);

    cluster.broker(0).stop().unwrap();
    let error = reader.read_to_end(SHORT).unwrap_err();
    assert!(matches!(&error, ReadError::Kafka { .. }), "{error}");
}
