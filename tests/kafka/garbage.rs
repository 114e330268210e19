//! Bytes that nobody meant as a request: each is a decision, and processing goes on.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use settle_test_services::audit::Outcome;
use settle_test_services::kafka::{Cluster, Jvm, Options};
use settle_tests::requests::{encoded, payment};
use settle_tests::{Chance, note};

use crate::deployment::{Deployment, is_full, seed};

/// A record's value: random bytes, or a request with bytes changed, cut or doubled.
fn garbage(chance: &mut Chance, request: &[u8]) -> Vec<u8> {
    let byte = |chance: &mut Chance| u8::try_from(chance.between(0, 256)).expect("a byte");
    let position = |chance: &mut Chance| {
        usize::try_from(chance.between(0, u64::try_from(request.len()).expect("short"))).expect("short")
    };
    match chance.between(0, 5) {
        0 => (0..chance.between(0, 200)).map(|_| byte(chance)).collect(),
        1 => request[..position(chance)].to_vec(),
        2 => [request, &[byte(chance)]].concat(),
        3 => {
            let mut value = request.to_vec();
            // The schema's id: there is no such schema.
            value[1] = 1 + byte(chance) % 250;
            value
        }
        _ => {
            let mut value = request.to_vec();
            for _ in 0..chance.between(1, 6) {
                value[position(chance)] = byte(chance);
            }
            value
        }
    }
}

#[test]
fn random_bytes_are_invalid_and_processing_goes_on() {
    let count: u64 = if is_full() { 1_000_000 } else { 50_000 };
    let seed = seed();
    let mut chance = Chance::new(seed);
    let cluster = Cluster::start(Options { jvm: Jvm::LongRun, ..Options::default() }).expect("Kafka starts");
    let deployment = Deployment::new(cluster, 4);
    let process = deployment.start(0);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", deployment.cluster.bootstrap())
        .set("compression.type", "lz4")
        .create()
        .expect("a producer");
    let request = encoded(&payment("debtor", "p-1"));
    for number in 0..count {
        let value = garbage(&mut chance, &request);
        let partition = i32::try_from(chance.between(0, 4)).expect("few");
        let key = number.to_be_bytes();
        let mut record = BaseRecord::to("payments.requested").payload(&value).key(&key).partition(partition);
        while let Err((_, returned)) = producer.send(record) {
            record = returned;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(Duration::from_secs(60)).expect("all is written");
    deployment.produce(1_000, seed);
    std::thread::sleep(Duration::from_secs(3));
    process.stop();
    let verdict = deployment.finish_and_judge(seed);
    let expected = usize::try_from(count).expect("a count") + 1_000;
    assert_eq!(verdict.report.requests, expected);
    let decided: usize = verdict.report.decisions.values().sum();
    assert_eq!(decided, expected, "each record has one decision");
    let invalid = verdict.report.decided(Outcome::Invalid);
    note(format!("seed {seed}: {invalid} of {count} records of random or changed bytes are INVALID"));
    // A changed byte in an amount or a name can leave a request that is well-formed: it is judged like any other.
    let others = expected - invalid;
    assert!(invalid > expected / 2 && others >= 900, "{invalid} INVALID, {others} others");
}
