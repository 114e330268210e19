//! The only wall clock of the pipeline. Decisions take `now` as a value.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use settle_types::Timestamp;

/// Where the shell reads the time.
pub trait WallClock: Send + Sync {
    /// The time in UTC.
    fn now(&self) -> Timestamp;

    /// A time for measuring how long something takes. A simulation has its own.
    fn monotonic(&self) -> Instant {
        monotonic_now()
    }
}

/// The clock of the machine.
#[derive(Debug, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one wall clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A time for measuring how long something takes.
#[expect(clippy::disallowed_methods, reason = "this is the one clock for measuring")]
pub fn monotonic_now() -> Instant {
    Instant::now()
}
