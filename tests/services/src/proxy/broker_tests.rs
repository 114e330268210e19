//! The proxy before a real broker: what a lost, late or doubled request does to a transaction.

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::*;
use crate::kafka::{Cluster, Options};

/// Bounds every wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than the brokers need for an answer, shorter than the client's own patience.
const SHORT: Duration = Duration::from_secs(3);
const TOPIC: &str = "proxied";
const TRANSACTIONAL_ID: &str = "proxied-1";

struct Broken {
    cluster: Cluster,
    proxy: Proxy,
}

fn started() -> Broken {
    let (cluster, mut proxies) = Cluster::start_behind_proxies(Options::default()).unwrap();
    cluster.create_topic(TOPIC, 1).unwrap();
    Broken { cluster, proxy: proxies.remove(0) }
}

impl Broken {
    /// A transactional producer that reaches the broker through the proxy.
    fn producer(&self) -> BaseProducer {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap())
            .set("client.id", "settle-worker-1")
            .set("transactional.id", TRANSACTIONAL_ID)
            .set("socket.timeout.ms", "10000")
            .set("message.timeout.ms", "20000")
            .set("transaction.timeout.ms", "20000")
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer
    }

    /// What a read-committed consumer sees that goes past the proxy, when it has come to the end.
    fn committed(&self) -> Vec<String> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.admin_bootstrap())
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()
            .unwrap();
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
        consumer.assign(&partitions).unwrap();
        let mut found = Vec::new();
        for _ in 0..600 {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    found.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap())
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return found,
                Some(Err(_)) | None => {}
            }
        }
        panic!("the end of {TOPIC} was not reached, found {found:?}");
    }

    /// As [`Self::committed`], when as many records are there. The markers of a commit are written after it was
    /// answered.
    fn committed_when(&self, count: usize) -> Vec<String> {
        for _ in 0..100 {
            let found = self.committed();
            if found.len() >= count {
                return found;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.committed()
    }
}

fn send(producer: &BaseProducer, payload: &str) {
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<(), str>::to(TOPIC).partition(0).payload(payload)).unwrap();
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn a_commit_whose_reply_is_lost_has_happened() {
    let broken = started();
    let producer = broken.producer();
    let other = broken.proxy.arm(Requests::commits().of_transaction("another"), Fault::LoseReply(Then::Cut));
    let abort = broken.proxy.arm(Requests::aborts(), Fault::LoseReply(Then::Cut));
    let armed = broken.proxy.arm(
        Requests::commits().of_transaction(TRANSACTIONAL_ID).from_client("settle-worker"),
        Fault::LoseReply(Then::Cut),
    );
    send(&producer, "one");
    assert_eq!(broken.committed(), Vec::<String>::new(), "nothing is committed yet");
    // The client asks again by itself, on a new connection, and is told that it is done.
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!((armed.fired(), abort.fired(), other.fired()), (1, 0, 0));
    let captured = armed.captured().remove(0);
    assert_eq!(captured.reply.unwrap().error_code, Some(0), "the broker had committed");
    assert!(broken.proxy.seen(api::END_TXN) >= 2, "the lost one and its repetition");
    assert_eq!(broken.committed_when(1), ["one"]);
}

#[test]
fn a_commit_that_is_lost_on_its_way_has_not_happened() {
    let broken = started();
    let producer = broken.producer();
    let armed = broken.proxy.arm_times(Requests::commits(), Fault::LoseRequest(Then::Cut), u64::MAX);
    send(&producer, "one");
    let outcome = producer.commit_transaction(SHORT);
    assert!(matches!(outcome, Err(KafkaError::Transaction(error)) if error.is_retriable()), "time was short");
    assert!(armed.wait_fired(1, PATIENCE));
    assert_eq!(broken.committed(), Vec::<String>::new(), "the broker never heard of it");
    armed.disarm();
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(broken.committed_when(1), ["one"]);
}

/// The weakness that a worker has to live with: a late copy of a commit ends the transaction after it.
#[test]
fn a_copy_of_a_commit_ends_the_next_transaction() {
    let broken = started();
    let producer = broken.producer();
    let armed = broken.proxy.arm(Requests::commits(), Fault::Copy);
    send(&producer, "one");
    producer.commit_transaction(PATIENCE).unwrap();
    assert!(armed.wait_fired(1, PATIENCE));
    assert_eq!(broken.committed_when(1), ["one"]);
    send(&producer, "two");
    assert_eq!(broken.committed(), ["one"]);
    assert_eq!(armed.replay().unwrap().error_code, Some(0), "the broker takes the copy for the real one");
    assert_eq!(broken.committed_when(2), ["one", "two"], "committed, and its producer does not know");
    assert!(producer.abort_transaction(PATIENCE).is_err(), "what is committed cannot be aborted");
}

/// A new producer with the same id fences the old epoch: then a late copy is refused.
#[test]
fn a_copy_of_a_commit_is_refused_after_a_new_producer() {
    let broken = started();
    let armed = broken.proxy.arm(Requests::commits(), Fault::Copy);
    let first = broken.producer();
    send(&first, "one");
    first.commit_transaction(PATIENCE).unwrap();
    assert!(armed.wait_fired(1, PATIENCE));
    let second = broken.producer();
    send(&second, "two");
    let error_code = armed.replay().unwrap().error_code;
    assert!(error_code.is_some_and(|code| code != 0), "an old epoch: {error_code:?}");
    second.abort_transaction(PATIENCE).unwrap();
    assert_eq!(broken.committed_when(1), ["one"]);
}

#[test]
fn a_client_lives_through_cuts_and_refusals() {
    let broken = started();
    let producer = broken.producer();
    send(&producer, "one");
    assert!(broken.proxy.cut_all() > 0);
    producer.commit_transaction(PATIENCE).unwrap();
    broken.proxy.refuse(true);
    broken.proxy.cut_all();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<(), str>::to(TOPIC).partition(0).payload("two")).unwrap();
    assert!(producer.flush(SHORT).is_err(), "nobody to send it to");
    assert!(broken.proxy.refused() > 0);
    broken.proxy.refuse(false);
    producer.flush(PATIENCE).unwrap();
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(broken.committed_when(2), ["one", "two"]);
}
