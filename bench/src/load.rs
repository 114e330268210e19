//! The requests that all contenders work on: written once, read by each.
//!
//! The traffic is that of `settle produce --generate`, less what the peers do not do: follow-ups, payments for later and
//! bytes that are no request. What stays: payments, retries, conflicting reuses of keys, and payments that each of the
//! five rules declines.

use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use settle_ingest::generate::{Generated, Traffic, TrafficOptions};
use settle_log::{Log, OutputRecord, TopicName, partition_for_key};
use settle_types::request::{EventType, PaymentRequested};
use settle_types::{Duration as Micros, topic};

/// The first `count` requests of the traffic of a seed.
pub(crate) fn requests(count: u64, seed: u64) -> impl Iterator<Item = PaymentRequested> {
    // About a tenth is left out.
    let payments = count + count / 4 + 1_000;
    let mut latest = None;
    Traffic::new(TrafficOptions { payments, seed, ..TrafficOptions::default() })
        .filter_map(move |generated| {
            let Generated::Request(request) = generated else { return None };
            let is_plain = request.event_type == EventType::Payment && request.execute_at.is_none();
            // A wrong date is INVALID, which the peers do not know.
            let first = *latest.get_or_insert(request.requested_at);
            let is_dated = request.requested_at < first.saturating_add(Micros::from_days(2));
            (is_plain && is_dated && is_well_formed(&request)).then_some(*request)
        })
        .take(usize::try_from(count).unwrap_or(usize::MAX))
}

/// The traffic has requests that are spoiled in one field: Settle makes them INVALID.
fn is_well_formed(request: &PaymentRequested) -> bool {
    request.amount_minor > 0
        && request.currency != "ZZZ"
        && request.metadata.is_empty()
        && request.idempotency_key.as_str().len() <= 255
        && !request.merchant_id.as_str().is_empty()
}

/// Writes the requests to Kafka, spread as every client of Kafka does; returns how many.
pub(crate) fn to_kafka(bootstrap: &str, count: u64, seed: u64, partitions: u32) -> anyhow::Result<u64> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "20")
        .set("batch.size", "262144")
        .set("queue.buffering.max.messages", "500000")
        .create()?;
    let mut value = Vec::new();
    let mut written = 0;
    for request in requests(count, seed) {
        value.clear();
        settle_schema::encode(&request, &mut value);
        let key = request.debtor_account.as_str().as_bytes();
        let partition = i32::try_from(partition_for_key(key, partitions))?;
        let mut record = BaseRecord::to(topic::REQUESTED).key(key).payload(&value).partition(partition);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                    record = returned;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(error).context("write the requests"),
            }
        }
        written += 1;
    }
    producer.flush(Duration::from_secs(120)).context("write the requests")?;
    if written < count {
        bail!("the traffic has {written} requests only, {count} were asked for");
    }
    Ok(written)
}

/// Writes the requests to an embedded log that has its topics.
pub(crate) fn to_embedded(log: &dyn Log, count: u64, seed: u64, partitions: u32) -> anyhow::Result<()> {
    const REQUESTS_PER_COMMIT: u64 = 10_000;
    let mut producer = log.producer("bench-load")?;
    let name: TopicName = topic::REQUESTED.into();
    let mut value = Vec::new();
    for (index, request) in (0_u64..).zip(requests(count, seed)) {
        if index % REQUESTS_PER_COMMIT == 0 {
            if index > 0 {
                producer.commit()?;
            }
            producer.begin()?;
        }
        value.clear();
        settle_schema::encode(&request, &mut value);
        let key = request.debtor_account.as_str().as_bytes();
        producer.send(&OutputRecord {
            topic: &name,
            partition: partition_for_key(key, partitions),
            timestamp_ms: request.requested_at.as_millis(),
            key: Some(key),
            value: Some(&value),
            headers: &[],
        })?;
    }
    producer.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_traffic_is_complete_plain_and_the_same_each_time() {
        let first: Vec<_> = requests(5_000, 7).collect();
        assert_eq!(first.len(), 5_000);
        assert_eq!(first, requests(5_000, 7).collect::<Vec<_>>());
        assert!(first.iter().all(|request| request.event_type == EventType::Payment));
    }
}
