//! A clock for measuring how long a cluster takes.

use std::time::Instant;

/// The moment of the call.
#[expect(clippy::disallowed_methods, reason = "bounds waits for a cluster; no decision depends on it")]
pub(super) fn now() -> Instant {
    Instant::now()
}
