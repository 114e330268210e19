//! A producer and a consumer for one record, each wait bounded.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{Message, Offset, TopicPartitionList};

/// Longest wait for one step.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(settings: &[(String, String)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in settings {
        config.set(name, value);
    }
    config
}

/// Settings of a client without security.
pub(crate) fn plaintext(bootstrap: &str) -> Vec<(String, String)> {
    vec![("bootstrap.servers".to_owned(), bootstrap.to_owned())]
}

/// Keeps what became of a record.
#[derive(Clone, Default)]
struct Delivery(Arc<Mutex<Option<Result<(), String>>>>);

impl ClientContext for Delivery {}

impl ProducerContext for Delivery {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let outcome = result.as_ref().map(|_| ()).map_err(|(error, _)| error.to_string());
        *self.0.lock().expect("nobody panics with it") = Some(outcome);
    }
}

/// Produces a record to partition 0 and waits until the brokers have it.
pub(crate) fn produce(settings: &[(String, String)], topic: &str, payload: &str) -> Result<(), String> {
    produce_bytes(settings, topic, payload.as_bytes())
}

/// [`produce`] for what is no text.
pub(crate) fn produce_bytes(
    settings: &[(String, String)],
    topic: &str,
    payload: &[u8],
) -> Result<(), String> {
    let delivery = Delivery::default();
    let producer: BaseProducer<Delivery> = config(settings)
        .set("message.timeout.ms", "50000")
        .set("acks", "all")
        .create_with_context(delivery.clone())
        .map_err(to_text)?;
    let record = BaseRecord::<(), [u8]>::to(topic).partition(0).payload(payload);
    producer.send(record).map_err(|(error, _)| error.to_string())?;
    producer.flush(PATIENCE).map_err(to_text)?;
    let outcome = delivery.0.lock().expect("nobody panics with it").take();
    outcome.unwrap_or_else(|| Err(format!("nothing was heard of the record for {PATIENCE:?}")))
}

/// Reads as many records from the start of partition 0.
pub(crate) fn consume(settings: &[(String, String)], topic: &str, count: usize) -> Vec<String> {
    let consumer: BaseConsumer = config(settings)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).expect("an offset");
    consumer.assign(&partitions).expect("an assignment");
    let mut found = Vec::new();
    for _ in 0..600 {
        // A connection that is made again reports its errors here and goes on.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let payload = message.payload_view::<str>().expect("a payload").expect("text");
            found.push(payload.to_owned());
        }
        if found.len() == count {
            break;
        }
    }
    found
}

/// Asks for the brokers; the error is what a client with these settings meets.
pub(crate) fn connect(settings: &[(String, String)], patience: Duration) -> Result<usize, String> {
    let consumer: BaseConsumer = config(settings).create().map_err(to_text)?;
    let metadata = consumer.fetch_metadata(None, patience).map_err(to_text)?;
    Ok(metadata.brokers().len())
}

fn to_text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
