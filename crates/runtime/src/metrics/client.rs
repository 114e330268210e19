//! What the Kafka clients of the process tell about themselves, as metrics.
//!
//! The crate of the log needs no metrics: it hands on plain numbers. They come from the statistics of librdkafka (its
//! STATISTICS.md), which count from the creation of a client.

use std::collections::BTreeMap;
use std::time::Duration;

use ::metrics::{Counter, Gauge};
use settle_log::ClientStatistics;

use super::gauge_value;

/// The metrics of the clients of a process.
#[derive(Debug, Default)]
pub struct Clients {
    by_name: BTreeMap<String, ClientMetrics>,
}

impl Clients {
    /// Takes over what a client says now: gauges as they are, counts by what they grew. A client that has taken the
    /// place of one with the same name counts from 0 again, as Prometheus expects it of any counter.
    pub fn record(&mut self, client: &str, statistics: &ClientStatistics) {
        match self.by_name.get_mut(client) {
            Some(metrics) => metrics.record(statistics),
            None => self
                .by_name
                .entry(client.to_owned())
                .or_insert_with(|| ClientMetrics::new(client))
                .record(statistics),
        }
    }
}

#[derive(Debug)]
struct ClientMetrics {
    last: ClientStatistics,
    brokers: Gauge,
    brokers_up: Gauge,
    errors: Counter,
    request_timeouts: Counter,
    disconnects: Counter,
    sent_bytes: Counter,
    received_bytes: Counter,
    queued_records: Gauge,
    request_latency_p99: Gauge,
}

impl ClientMetrics {
    fn new(client: &str) -> Self {
        Self {
            last: ClientStatistics::default(),
            brokers: super::kafka_brokers(client),
            brokers_up: super::kafka_brokers_up(client),
            errors: super::kafka_errors_total(client),
            request_timeouts: super::kafka_request_timeouts_total(client),
            disconnects: super::kafka_disconnects_total(client),
            sent_bytes: super::kafka_sent_bytes_total(client),
            received_bytes: super::kafka_received_bytes_total(client),
            queued_records: super::kafka_queued_records(client),
            request_latency_p99: super::kafka_request_latency_p99_seconds(client),
        }
    }

    fn record(&mut self, now: &ClientStatistics) {
        let last = std::mem::replace(&mut self.last, *now);
        self.brokers.set(gauge_value(now.brokers));
        self.brokers_up.set(gauge_value(now.brokers_up));
        self.errors.increment(growth(last.errors, now.errors));
        self.request_timeouts.increment(growth(last.request_timeouts, now.request_timeouts));
        self.disconnects.increment(growth(last.disconnects, now.disconnects));
        self.sent_bytes.increment(growth(last.sent_bytes, now.sent_bytes));
        self.received_bytes.increment(growth(last.received_bytes, now.received_bytes));
        self.queued_records.set(gauge_value(now.queued_records));
        self.request_latency_p99.set(Duration::from_micros(now.round_trip_p99_us));
    }
}

/// By how much a sum grew; all of it if it began anew.
fn growth(last: u64, now: u64) -> u64 {
    now.checked_sub(last).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_grows_or_begins_anew() {
        assert_eq!(growth(0, 7), 7);
        assert_eq!(growth(7, 7), 0);
        assert_eq!(growth(7, 9), 2);
        assert_eq!(growth(7, 3), 3);
    }
}
