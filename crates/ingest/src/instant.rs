//! Text to instants: ISO 8601 / RFC 3339, or a format with a zone. Zones come from the bundled tables.

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use settle_types::Timestamp;

/// How a text becomes an instant.
#[derive(Clone, Debug, Default)]
pub(crate) struct InstantFormat {
    format: Option<String>,
    zone: Option<TimeZone>,
}

/// What an ISO text must look like.
pub(crate) const ISO_EXPECTED: &str =
    "an ISO 8601 time with a zone, such as 2026-03-02T09:15:00Z or 2026-03-02T10:15:00+01:00";

/// A time that every complete format can print and read again.
const SAMPLE: &str = "2026-03-02T09:15:00Z";

impl InstantFormat {
    /// Checks a `strptime` format and the IANA name of a zone; either may be absent.
    ///
    /// The zone may only be absent where every text carries its offset.
    pub(crate) fn new(format: Option<&str>, zone: Option<&str>) -> Result<Self, String> {
        let zone = match zone {
            None => None,
            Some(name) => Some(TimeZoneDatabase::bundled().get(name).map_err(|_| {
                format!("zone \"{name}\" is not known: expected a name of the IANA time zone database, such as Europe/Prague")
            })?),
        };
        let parsed = Self { format: format.map(str::to_owned), zone };
        let Some(format) = format else { return Ok(parsed) };
        let sample: jiff::Timestamp = SAMPLE.parse().expect("the sample is an ISO time");
        let printed = jiff::fmt::strtime::format(format, &sample.to_zoned(TimeZone::UTC))
            .map_err(|error| format!("format \"{format}\" is not valid: {error}"))?;
        match parsed.parse(&printed) {
            Some(_) => Ok(parsed),
            None if parsed.zone.is_none() => Err(format!(
                "format \"{format}\" has no offset (%z), and no zone is given: add zone = \"UTC\" or the zone of the file"
            )),
            None => {
                Err(format!("format \"{format}\" does not hold a whole date: expected year, month and day"))
            }
        }
    }

    /// The instant, rounded down to microseconds; `None` if the text is not of the format.
    ///
    /// A local time that a zone has twice is the earlier one; one that it skips is moved forward by the gap.
    pub(crate) fn parse(&self, text: &str) -> Option<Timestamp> {
        let Some(format) = &self.format else {
            return parse_iso(text).or_else(|| self.in_zone(text.parse().ok()?));
        };
        let parsed = BrokenDownTime::parse(format, text).ok()?;
        if parsed.offset().is_some() {
            return parsed.to_timestamp().ok().and_then(to_micros);
        }
        self.in_zone(parsed.to_datetime().ok()?)
    }

    fn in_zone(&self, local: DateTime) -> Option<Timestamp> {
        let zone = self.zone.as_ref()?;
        to_micros(zone.to_timestamp(local).ok()?)
    }

    /// What a text must look like, for rejects.
    pub(crate) fn expected(&self) -> String {
        match (&self.format, &self.zone) {
            (None, None) => ISO_EXPECTED.to_owned(),
            (None, Some(_)) => "an ISO 8601 time, such as 2026-03-02T09:15:00".to_owned(),
            (Some(format), _) => format!("a time of the format \"{format}\""),
        }
    }
}

/// An instant from ISO 8601 with `Z` or an offset.
pub(crate) fn parse_iso(text: &str) -> Option<Timestamp> {
    to_micros(text.parse().ok()?)
}

fn to_micros(instant: jiff::Timestamp) -> Option<Timestamp> {
    let micros = instant.as_nanosecond().div_euclid(1_000);
    i64::try_from(micros).ok().map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_instants() {
        let cases = [
            (None, None, "2026-03-02T09:15:00Z", Some("2026-03-02T09:15:00.000000Z")),
            (None, None, "2026-03-02T10:15:00+01:00", Some("2026-03-02T09:15:00.000000Z")),
            (None, None, "2026-03-02 10:15:00.1234569+01", Some("2026-03-02T09:15:00.123456Z")),
            (None, None, "2026-03-02T09:15:00", None),
            (None, None, "02.03.2026", None),
            (None, Some("Europe/Prague"), "2026-07-01T12:00:00", Some("2026-07-01T10:00:00.000000Z")),
            (None, Some("Europe/Prague"), "2026-07-01T12:00:00Z", Some("2026-07-01T12:00:00.000000Z")),
            (None, Some("Europe/Prague"), "2026-07-01", Some("2026-06-30T22:00:00.000000Z")),
            (
                Some("%d.%m.%Y %H:%M"),
                Some("Europe/Prague"),
                "02.03.2026 10:15",
                Some("2026-03-02T09:15:00.000000Z"),
            ),
            (Some("%d.%m.%Y"), Some("UTC"), "02.03.2026", Some("2026-03-02T00:00:00.000000Z")),
            (Some("%d.%m.%Y"), Some("UTC"), "31.02.2026", None),
            (Some("%Y%m%d%H%M%S%z"), None, "20260302101500+0100", Some("2026-03-02T09:15:00.000000Z")),
            // Autumn: 02:30 happens twice, the earlier one is taken. Spring: 02:30 does not exist.
            (None, Some("Europe/Prague"), "2026-10-25T02:30:00", Some("2026-10-25T00:30:00.000000Z")),
            (None, Some("Europe/Prague"), "2026-03-29T02:30:00", Some("2026-03-29T01:30:00.000000Z")),
        ];
        for (format, zone, text, expected) in cases {
            let format = InstantFormat::new(format, zone).expect("the format is valid");
            let shown = format.parse(text).map(|instant| instant.to_string());
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn formats_that_cannot_work_are_refused_at_once() {
        let cases = [
            (Some("%d.%m.%Y"), None, "has no offset"),
            (Some("%H:%M"), Some("UTC"), "does not hold a whole date"),
            (Some("%!"), Some("UTC"), "is not valid"),
            (None, Some("Europe/Pragu"), "is not known"),
        ];
        for (format, zone, expected) in cases {
            let error = InstantFormat::new(format, zone).expect_err("refused");
            assert!(error.contains(expected), "{error}");
        }
    }
}
