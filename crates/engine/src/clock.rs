//! The clock of a partition: when it moves, and how far ahead of it a request may be dated.

use serde::{Deserialize, Serialize};
use settle_types::{Duration, Timestamp};

/// What moves the clock of AUTHORIZE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClockMode {
    /// The wall clock.
    #[default]
    Processing,
    /// The highest `requested_at` so far: for backfills, tests and demos.
    Event,
}

/// Clock settings; part of the journaled configuration, since decisions depend on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClockConfig {
    /// What moves the clock.
    pub mode: ClockMode,
    /// Seconds that `requested_at` may be ahead of the wall clock; more is INVALID.
    pub max_clock_skew_seconds: u32,
    /// Event clock: seconds that one request may move the clock forward; more is INVALID and does not move it.
    /// Keep it below the retention of idempotency keys, so that one wrong date cannot expire them.
    pub max_event_jump_seconds: u32,
}

impl Default for ClockConfig {
    fn default() -> Self {
        Self { mode: ClockMode::Processing, max_clock_skew_seconds: 300, max_event_jump_seconds: 3 * 86_400 }
    }
}

impl ClockConfig {
    /// `now` for a request: never before the partition's clock.
    ///
    /// Event clock: a request moves it unless it is dated beyond the allowed jump, or beyond the wall clock.
    pub fn now_for_request(
        &self,
        clock: Timestamp,
        requested_at: Option<Timestamp>,
        wall: Timestamp,
    ) -> Timestamp {
        if self.mode == ClockMode::Processing {
            return clock.max(wall);
        }
        let Some(requested_at) = requested_at else { return clock.max(Timestamp::EPOCH) };
        // Up to the epoch no dated request was seen: an activation or a malformed record has set the clock.
        let within_jump = clock <= Timestamp::EPOCH
            || requested_at <= clock.saturating_add(Duration::from_seconds(self.max_event_jump_seconds));
        let within_skew = requested_at <= wall.saturating_add(self.max_clock_skew());
        if within_jump && within_skew { clock.max(requested_at) } else { clock.max(Timestamp::EPOCH) }
    }

    /// `now` where no request moves the clock: idle, results, approved records.
    pub fn now_without_request(&self, clock: Timestamp, wall: Timestamp) -> Timestamp {
        match self.mode {
            ClockMode::Processing => clock.max(wall),
            ClockMode::Event => clock.max(Timestamp::EPOCH),
        }
    }

    /// True for a request that is dated too far ahead of `now`, which [`Self::now_for_request`] gave for it.
    pub fn is_ahead(&self, requested_at: Timestamp, now: Timestamp) -> bool {
        match self.mode {
            ClockMode::Processing => requested_at > now.saturating_add(self.max_clock_skew()),
            ClockMode::Event => requested_at > now,
        }
    }

    fn max_clock_skew(&self) -> Duration {
        Duration::from_seconds(self.max_clock_skew_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u32) -> Timestamp {
        Timestamp::EPOCH.saturating_add(Duration::from_seconds(seconds))
    }

    #[test]
    fn the_event_clock_moves_with_requests_but_not_too_far() {
        let clock =
            ClockConfig { mode: ClockMode::Event, max_event_jump_seconds: 100, ..ClockConfig::default() };
        let wall = at(1_000_000);
        let cases = [
            ("the first request sets it", Timestamp::MIN, 5_000, at(5_000), false),
            ("also after an activation, which is not dated", Timestamp::EPOCH, 5_000, at(5_000), false),
            ("a later one moves it", at(5_000), 5_100, at(5_100), false),
            ("an earlier one leaves it", at(5_000), 4_000, at(5_000), false),
            ("a jump does not move it", at(5_000), 5_101, at(5_000), true),
            (
                "a date beyond the wall clock does not set it",
                Timestamp::MIN,
                2_000_000,
                Timestamp::EPOCH,
                true,
            ),
        ];
        for (name, before, requested_at, expected, ahead) in cases {
            let now = clock.now_for_request(before, Some(at(requested_at)), wall);
            assert_eq!(now, expected, "{name}");
            assert_eq!(clock.is_ahead(at(requested_at), now), ahead, "{name}");
        }
    }

    #[test]
    fn the_processing_clock_is_the_wall_clock_and_never_goes_back() {
        let clock = ClockConfig::default();
        assert_eq!(clock.now_for_request(at(50), Some(at(1)), at(60)), at(60));
        assert_eq!(clock.now_for_request(at(50), Some(at(1)), at(40)), at(50));
        assert!(!clock.is_ahead(at(360), at(60)));
        assert!(clock.is_ahead(at(361), at(60)));
    }
}
