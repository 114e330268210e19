//! Clients that no one here wrote, on real brokers and a real registry: each reads what each has written.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use settle_test_services::foreign::Client;
use settle_test_services::kafka::{Cluster, Options as KafkaOptions};
use settle_test_services::registry::{Options, Registry};

const TOPIC: &str = "payments.requested";
const SCHEMA: &str = include_str!("../../../../schemas/PaymentRequested.avsc");
const PATIENCE: Duration = Duration::from_secs(30);

fn register(registry: &Registry) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        reqwest::blocking::Client::builder().tls_certs_only(Vec::new()).no_proxy().build().expect("a client");
    let url = format!("{}/subjects/{TOPIC}-value/versions", registry.url());
    let answer = client.post(url).json(&serde_json::json!({ "schema": SCHEMA })).send().expect("it answers");
    assert_eq!(answer.status(), 200);
}

/// Bytes that nobody may see: they are no Avro, and were never committed.
fn write_and_abort(cluster: &Cluster) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .set("transactional.id", "one that aborts")
        .create()
        .expect("a producer");
    producer.init_transactions(PATIENCE).expect("it takes over");
    producer.begin_transaction().expect("it begins");
    for partition in 0..3 {
        let record = BaseRecord::<(), [u8]>::to(TOPIC).partition(partition).payload(b"aborted");
        producer.send(record).expect("there is room");
    }
    producer.flush(PATIENCE).expect("the brokers have it");
    producer.abort_transaction(PATIENCE).expect("it aborts");
}

fn request(client: Client, number: u32) -> serde_json::Value {
    serde_json::json!({
        "event_type": "PAYMENT",
        "payment_id": format!("{client:?}-{number}"),
        "original_payment_id": null,
        "idempotency_key": format!("key-{client:?}-{number} ř漢"),
        "debtor_account": format!("debtor-{number}"),
        "merchant_id": "m-1",
        "amount_minor": 10_000_000_000_i64 + i64::from(number),
        "currency": "EUR",
        "payment_method": "BANK_TRANSFER",
        "card": null,
        "country": null,
        "mcc": null,
        "ip": null,
        "device_id": null,
        "requested_at": 1_772_452_800_123_456_i64,
        "execute_at": null,
        "priority": 3,
        "metadata": { "order": "\"o\" 1" },
    })
}

#[test]
fn every_client_reads_what_every_client_wrote_and_nothing_else() {
    let registry = Registry::start(&Options::default()).expect("a registry starts");
    let cluster = Cluster::start(KafkaOptions::default()).expect("a broker starts");
    cluster.create_topic(TOPIC, 3).expect("a topic can be created");
    register(&registry);
    write_and_abort(&cluster);
    let mut written = Vec::new();
    for client in Client::ALL {
        let requests: Vec<serde_json::Value> = (0..4).map(|number| request(client, number)).collect();
        let done = client.write(&cluster, &registry, TOPIC, "debtor_account", &requests);
        done.unwrap_or_else(|error| panic!("{client:?} cannot write: {error}"));
        written.extend(requests);
    }
    let id = |request: &serde_json::Value| request["payment_id"].as_str().expect("an id").to_owned();
    written.sort_by_key(id);
    for client in Client::ALL {
        let read = client.read(&cluster, &registry, TOPIC);
        let mut read = read.unwrap_or_else(|error| panic!("{client:?} cannot read: {error}"));
        read.sort_by_key(id);
        assert_eq!(read, written, "read by {client:?}");
    }
}
