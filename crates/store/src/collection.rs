//! Collection of expired rows: what a compaction may drop, and why that never changes a decision.
//!
//! A row whose expiry is at or before the clock reads as gone, whether it was collected or not. A compaction
//! therefore may drop what is gone at the **horizon**: the clock of a progress that is known to be *flushed*.
//!
//! The clock of the last *applied* progress would be wrong. Rows wait in the memtable until they are flushed,
//! and a crash takes the state back to the last flush. With the later clock as horizon, a compaction could drop
//! a row that had not expired at the flushed clock: the replay from there would read it as absent, and take a
//! payment twice.
//!
//! With the flushed clock it holds that
//! - every state that a crash can leave has a clock at or above the horizon of every compaction in it: the
//!   horizon rises after the flush was recorded in RocksDB's manifest, a compaction that uses it is recorded
//!   later, and a crash leaves a prefix of the manifest;
//! - the clock of a partition never goes backwards, so every later read has a clock at or above the horizon,
//!   and the row reads as gone with or without the collection.
//!
//! The horizon lags behind flushes that RocksDB starts by itself, as nobody is told of them: rows are then
//! collected a little later, never too early.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rocksdb::CompactionDecision;
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};
use settle_engine::state_value::expiry_of;
use settle_types::Timestamp;

use crate::progress::PROGRESS_TABLE;

const NAME: &CStr = c"settle-expiry";

/// True if an encoded row has expired at `now`. Bytes that are no row of this version never have.
pub(crate) fn is_gone(value: &[u8], now: Timestamp) -> bool {
    expiry_of(value).is_some_and(|expires_at| expires_at <= now)
}

/// The clock of the last progress that is known to be flushed. It only rises.
#[derive(Clone, Debug)]
pub(crate) struct Horizon(Arc<AtomicI64>);

impl Horizon {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(Timestamp::MIN.as_micros())))
    }

    pub(crate) fn raise(&self, flushed_now: Timestamp) {
        self.0.fetch_max(flushed_now.as_micros(), Ordering::Release);
    }

    fn get(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Acquire))
    }
}

/// Gives every compaction a filter with the horizon at its start.
pub(crate) struct ExpiryFilterFactory {
    pub(crate) horizon: Horizon,
}

impl CompactionFilterFactory for ExpiryFilterFactory {
    type Filter = ExpiryFilter;

    fn create(&mut self, _context: CompactionFilterContext) -> ExpiryFilter {
        ExpiryFilter { horizon: self.horizon.get() }
    }

    fn name(&self) -> &CStr {
        NAME
    }
}

/// Drops rows that are gone at the horizon. RocksDB leaves a tombstone where an older version of the row may
/// lie below, so nothing comes back.
pub(crate) struct ExpiryFilter {
    horizon: Timestamp,
}

impl CompactionFilter for ExpiryFilter {
    fn filter(&mut self, _level: u32, key: &[u8], value: &[u8]) -> CompactionDecision {
        // Progress has another encoding: its bytes must not be read as an expiry.
        let is_row = key.first().is_some_and(|table| *table != PROGRESS_TABLE);
        if is_row && is_gone(value, self.horizon) {
            CompactionDecision::Remove
        } else {
            CompactionDecision::Keep
        }
    }

    fn name(&self) -> &CStr {
        NAME
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{row, value};
    use settle_engine::state_value::VALUE_VERSION;

    #[test]
    fn only_rows_that_are_gone_at_the_horizon_are_dropped() {
        let other_version = [&[VALUE_VERSION + 1][..], &[0; 16]].concat();
        let cases = [
            ("expired before", vec![0x02, 1], value(&row(99, "a")), true),
            ("expires at the horizon", vec![0x02, 1], value(&row(100, "a")), true),
            ("expires later", vec![0x02, 1], value(&row(101, "a")), false),
            ("kept forever", vec![0x02, 1], value(&row(i64::MAX, "a")), false),
            ("progress", vec![PROGRESS_TABLE], value(&row(1, "a")), false),
            ("another version", vec![0x02, 1], other_version, false),
            ("too short", vec![0x02, 1], vec![VALUE_VERSION], false),
        ];
        let mut filter = ExpiryFilter { horizon: Timestamp::from_micros(100) };
        for (name, key, value, is_dropped) in cases {
            let decision = filter.filter(0, &key, &value);
            assert_eq!(matches!(decision, CompactionDecision::Remove), is_dropped, "{name}");
        }
    }

    #[test]
    fn the_horizon_only_rises() {
        let horizon = Horizon::new();
        assert_eq!(horizon.get(), Timestamp::MIN);
        for (raised_to, expected) in [(5, 5), (3, 5), (6, 6)] {
            horizon.raise(Timestamp::from_micros(raised_to));
            assert_eq!(horizon.get(), Timestamp::from_micros(expected));
        }
    }
}
