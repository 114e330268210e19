//! What librdkafka counts, in the few numbers that an operator watches.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rdkafka::statistics::Statistics;

use crate::log::ClientStatistics;

/// The last report of each client.
#[derive(Debug, Default)]
pub(super) struct StatisticsByClient(Mutex<BTreeMap<String, ClientStatistics>>);

impl StatisticsByClient {
    pub(super) fn note(&self, client: &str, statistics: ClientStatistics) {
        self.lock().insert(client.to_owned(), statistics);
    }

    pub(super) fn all(&self) -> BTreeMap<String, ClientStatistics> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, ClientStatistics>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The few numbers of a report.
pub(super) fn summary(statistics: &Statistics) -> ClientStatistics {
    let number = |value: i64| u64::try_from(value).unwrap_or(0);
    let mut summary = ClientStatistics {
        sent_bytes: number(statistics.tx_bytes),
        received_bytes: number(statistics.rx_bytes),
        queued_records: statistics.msg_cnt,
        ..ClientStatistics::default()
    };
    for broker in statistics.brokers.values().filter(|broker| broker.nodeid >= 0) {
        summary.brokers += 1;
        summary.brokers_up += u64::from(broker.state == "UP");
        summary.errors += broker.txerrs + broker.rxerrs;
        summary.request_timeouts += broker.req_timeouts;
        summary.disconnects += broker.disconnects.map_or(0, number);
        let p99 = broker.rtt.as_ref().map_or(0, |window| number(window.p99));
        summary.round_trip_p99_us = summary.round_trip_p99_us.max(p99);
    }
    summary
}
