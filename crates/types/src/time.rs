//! Time as values: microseconds and days of the UTC calendar. Nothing here reads a clock.

use std::fmt;

use serde::{Deserialize, Serialize};

const MICROS_PER_MILLI: i64 = 1_000;
const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// An instant: microseconds since 1970-01-01T00:00:00Z, as in Avro's `timestamp-micros`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Before every instant: the clock of a partition that has decided nothing.
    pub const MIN: Self = Self(i64::MIN);
    /// 1970-01-01T00:00:00Z: the clock of a partition that has seen no dated request.
    pub const EPOCH: Self = Self(0);
    /// After every instant: the expiry of what is kept forever.
    pub const MAX: Self = Self(i64::MAX);

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the epoch; `None` beyond the range of microseconds.
    pub fn from_millis(millis: i64) -> Option<Self> {
        millis.checked_mul(MICROS_PER_MILLI).map(Self)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down: the resolution of a Kafka record's timestamp.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(MICROS_PER_MILLI)
    }

    /// The UTC day that contains this instant.
    pub fn day(self) -> Day {
        let day = self.0.div_euclid(MICROS_PER_DAY);
        Day(i32::try_from(day).expect("i64 microseconds span fewer days than i32 holds"))
    }

    /// This instant plus a duration, held at [`Timestamp::MAX`].
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.0))
    }
}

impl fmt::Display for Timestamp {
    /// ISO 8601 in UTC with microseconds: `2026-03-02T09:15:00.000000Z`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within_day = self.0.rem_euclid(MICROS_PER_DAY);
        let seconds = within_day / MICROS_PER_SECOND;
        let micros = within_day % MICROS_PER_SECOND;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(formatter, "{}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z", self.day())
    }
}

/// A length of time in microseconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(i64);

impl Duration {
    /// From seconds. Panics beyond the range, which only a constant of ours could reach.
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds as i64 * MICROS_PER_SECOND)
    }

    /// From days of 24 hours.
    pub const fn from_days(days: u32) -> Self {
        Self(days as i64 * MICROS_PER_DAY)
    }

    /// In microseconds.
    pub const fn as_micros(self) -> i64 {
        self.0
    }
}

/// A day of the Gregorian calendar, as days since 1970-01-01 (Avro's `date`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(i32);

impl Day {
    /// From days since 1970-01-01.
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// Days since 1970-01-01.
    pub const fn as_days(self) -> i32 {
        self.0
    }

    /// The next day.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Midnight UTC at which this day begins.
    pub fn start(self) -> Timestamp {
        Timestamp(i64::from(self.0) * MICROS_PER_DAY)
    }

    /// Year, month (1–12) and day of the month (1–31).
    ///
    /// Source: the days-from-civil algorithms of the proleptic Gregorian calendar (400-year eras of 146,097 days).
    pub fn to_civil(self) -> (i32, u8, u8) {
        let shifted = i64::from(self.0) + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let narrow = |value: i64| u8::try_from(value).expect("a month or a day of a month");
        (i32::try_from(year).expect("i32 days span fewer years than i32 holds"), narrow(month), narrow(day))
    }

    /// The day with this year, month (1–12) and day of the month; `None` if there is no such day.
    pub fn from_civil(year: i32, month: u8, day: u8) -> Option<Self> {
        if !(1..=12).contains(&month) || day == 0 || !(-9_999..=9_999).contains(&year) {
            return None;
        }
        let shifted_year = i64::from(year) - i64::from(month <= 2);
        let era = shifted_year.div_euclid(400);
        let year_of_era = shifted_year.rem_euclid(400);
        let shifted_month = (i64::from(month) + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = i32::try_from(era * 146_097 + day_of_era - 719_468).ok()?;
        let candidate = Self(days);
        (candidate.to_civil() == (year, month, day)).then_some(candidate)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.to_civil();
        write!(formatter, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days_and_instants() {
        let cases = [(0, "1970-01-01"), (-1, "1969-12-31"), (20_513, "2026-03-01"), (11_016, "2000-02-29")];
        for (days, text) in cases {
            assert_eq!(Day::from_days(days).to_string(), text);
        }
        assert_eq!(Timestamp::from_micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_micros(-1).as_millis(), -1);
        assert_eq!(Day::from_civil(2026, 2, 29), None);
        assert_eq!(Day::from_civil(2026, 13, 1), None);
    }

    proptest! {
        #[test]
        fn civil_and_days_are_inverse(days in -2_000_000i32..2_000_000) {
            let day = Day::from_days(days);
            let (year, month, of_month) = day.to_civil();
            prop_assert_eq!(Day::from_civil(year, month, of_month), Some(day));
            prop_assert_eq!(day.start().day(), day);
        }
    }
}
