//! The two clocks of a measurement. Nothing that is decided depends on them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// For durations.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Microseconds since 1970, for the date of a report.
#[expect(clippy::disallowed_methods, reason = "a report has a date")]
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
