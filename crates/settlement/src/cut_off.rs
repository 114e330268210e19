//! Which sales day an instant belongs to, and when a sales day ends.
//!
//! A sales day ends when the merchant's clock first shows the cut-off. Where clocks go back over the cut-off, it
//! ends at the first time they show it, and a sales day never comes back; where they jump over it, it ends at the
//! jump. So sales days are intervals without gaps or overlaps, whatever a zone does.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use settle_types::{Day, Timestamp};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
const MICROS_PER_DAY: i64 = 1_440 * MICROS_PER_MINUTE;

/// First and last day with a cut-off of its own, in the years −9990 and 9989: the calendar of the zone database
/// ends a little beyond.
const FIRST_DAY: Day = Day::from_days(-4_368_000);
const LAST_DAY: Day = Day::from_days(2_929_000);

/// The clock of a contract: a zone and a cut-off, prepared once, asked for every payment.
#[derive(Clone, Debug)]
pub struct SalesClock {
    zone: TimeZone,
    cut_off: CutOff,
}

/// Why a clock cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SalesClockError {
    /// The zone is not in the database that is built in.
    #[error("`{0}` is not a known time zone: expected an IANA name such as `Europe/Prague`")]
    TimeZone(String),
    /// The cut-off is not a time of day.
    #[error("`{0}` is not a time of day: expected `HH:MM` from `00:00` to `23:59`")]
    CutOff(String),
}

impl SalesClock {
    /// From an IANA zone name and a cut-off `HH:MM`. Zones come from the database built into the binary.
    pub fn new(time_zone: &str, cut_off: &str) -> Result<Self, SalesClockError> {
        let zone = find_zone(time_zone).ok_or_else(|| SalesClockError::TimeZone(time_zone.to_string()))?;
        let cut_off = CutOff::parse(cut_off).ok_or_else(|| SalesClockError::CutOff(cut_off.to_string()))?;
        Ok(Self { zone, cut_off })
    }

    /// The sales day that contains the instant: `cut_off_at(day before) <= instant < cut_off_at(day)`.
    ///
    /// Holds for the years −9989 to 9988; an instant outside counts as the nearest within.
    pub fn sales_day(&self, instant: Timestamp) -> Day {
        let earliest = Day::from_days(FIRST_DAY.as_days() + 3).start();
        let latest = Day::from_days(LAST_DAY.as_days() - 3).start();
        let instant = instant.clamp(earliest, latest);
        let mut day = self.day_on_the_clock(instant);
        // The clock went back over a cut-off that it had shown before.
        while instant >= self.cut_off_at(day) {
            day = day.next();
        }
        day
    }

    /// The instant at which a sales day ends: the first that belongs to the next one.
    pub fn cut_off_at(&self, day: Day) -> Timestamp {
        let day = Day::from_days(day.as_days().clamp(FIRST_DAY.as_days(), LAST_DAY.as_days()));
        let local_day = if self.cut_off.is_end_of_day() { day.next() } else { day };
        let local = DateTime::from_parts(civil_date(local_day), self.cut_off.time());
        let found = match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local),
            // Shown twice: the first time, while the clock had not gone back yet.
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local),
            // Never shown: read with the later offset, the time lies before the jump that it lies in.
            AmbiguousOffset::Gap { after, .. } => after.to_timestamp(local).map(|before_jump| {
                let mut jumps = self.zone.following(before_jump);
                jumps.next().expect("a gap ends at a transition").timestamp()
            }),
        };
        let instant = found.expect("the day is within the range of the zone database");
        Timestamp::from_micros(instant.as_microsecond())
    }

    /// The sales day by what the clock shows, as if it never went back.
    fn day_on_the_clock(&self, instant: Timestamp) -> Day {
        let moment = jiff::Timestamp::from_microsecond(instant.as_micros())
            .expect("the instant is within the range of the zone database");
        let offset_seconds = i64::from(self.zone.to_offset(moment).seconds());
        let local = Timestamp::from_micros(instant.as_micros() + offset_seconds * MICROS_PER_SECOND);
        let date = local.day();
        let since_midnight = local.as_micros().rem_euclid(MICROS_PER_DAY);
        let is_past = since_midnight >= i64::from(self.cut_off.minutes) * MICROS_PER_MINUTE;
        if is_past && !self.cut_off.is_end_of_day() { date.next() } else { date }
    }
}

fn find_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

fn civil_date(day: Day) -> Date {
    let (year, month, day) = day.to_civil();
    let narrow = |value: u8| i8::try_from(value).expect("a month or a day of a month");
    let year = i16::try_from(year).expect("the day is within the range of the calendar");
    Date::new(year, narrow(month), narrow(day)).expect("a day has a civil date")
}

/// A time of day in minutes since midnight; midnight is the end of the calendar day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CutOff {
    minutes: u16,
}

impl CutOff {
    fn parse(text: &str) -> Option<Self> {
        let &[h1, h2, b':', m1, m2] = text.as_bytes() else { return None };
        let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
        let hour = digit(h1)? * 10 + digit(h2)?;
        let minute = digit(m1)? * 10 + digit(m2)?;
        (hour < 24 && minute < 60).then_some(Self { minutes: hour * 60 + minute })
    }

    fn is_end_of_day(self) -> bool {
        self.minutes == 0
    }

    fn time(self) -> Time {
        let narrow = |value: u16| i8::try_from(value).expect("an hour or a minute");
        Time::constant(narrow(self.minutes / 60), narrow(self.minutes % 60), 0, 0)
    }
}

impl fmt::Display for CutOff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Zones with gaps and overlaps of an hour, of half an hour, at midnight, of a whole day, and odd offsets.
    const ZONES: [&str; 10] = [
        "UTC",
        "Europe/Prague",
        "America/New_York",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "America/Sao_Paulo",
        "America/Havana",
        "America/St_Johns",
        "Africa/Monrovia",
    ];
    const CUT_OFFS: [&str; 8] = ["00:00", "00:01", "00:30", "01:30", "02:30", "12:00", "17:00", "23:59"];

    fn clock(zone: &str, cut_off: &str) -> SalesClock {
        SalesClock::new(zone, cut_off).expect("a known zone and a time")
    }

    /// From RFC 3339 in UTC.
    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().expect("an instant");
        Timestamp::from_micros(moment.as_microsecond())
    }

    fn check(clock: &SalesClock, instant: Timestamp) -> Result<(), String> {
        let day = clock.sales_day(instant);
        let begins = clock.cut_off_at(Day::from_days(day.as_days() - 1));
        let ends = clock.cut_off_at(day);
        if begins <= instant && instant < ends {
            return Ok(());
        }
        Err(format!("{instant} is in {day}, which is {begins} to {ends} ({clock:?})"))
    }

    #[test]
    fn sales_days_by_hand() {
        let cases = [
            ("UTC", "00:00", "2026-03-02T23:59:59.999999Z", "2026-03-02"),
            ("UTC", "00:00", "2026-03-03T00:00:00Z", "2026-03-03"),
            ("Europe/Prague", "00:00", "2026-03-02T22:59:59Z", "2026-03-02"),
            ("Europe/Prague", "00:00", "2026-03-02T23:00:00Z", "2026-03-03"),
            ("Europe/Prague", "17:00", "2026-03-02T15:59:59.999999Z", "2026-03-02"),
            ("Europe/Prague", "17:00", "2026-03-02T16:00:00Z", "2026-03-03"),
            // In summer the same local time is an hour earlier.
            ("Europe/Prague", "17:00", "2026-07-01T15:00:00Z", "2026-07-02"),
            // Kathmandu is at +05:45.
            ("Asia/Kathmandu", "00:00", "2026-03-02T18:14:59Z", "2026-03-02"),
            ("Asia/Kathmandu", "00:00", "2026-03-02T18:15:00Z", "2026-03-03"),
            // Prague shows 02:00 to 03:00 twice on 25 October 2026: 02:30 first at 00:30Z, and again at 01:30Z.
            ("Europe/Prague", "02:30", "2026-10-25T00:29:59Z", "2026-10-25"),
            ("Europe/Prague", "02:30", "2026-10-25T00:30:00Z", "2026-10-26"),
            ("Europe/Prague", "02:30", "2026-10-25T01:15:00Z", "2026-10-26"),
            // It jumps from 02:00 to 03:00 on 29 March 2026, over the cut-off, at 01:00Z.
            ("Europe/Prague", "02:30", "2026-03-29T00:59:59Z", "2026-03-29"),
            ("Europe/Prague", "02:30", "2026-03-29T01:00:00Z", "2026-03-30"),
            // Sao Paulo had no midnight on 4 November 2018: the day began at 01:00, 03:00Z.
            ("America/Sao_Paulo", "00:00", "2018-11-04T02:59:59Z", "2018-11-03"),
            ("America/Sao_Paulo", "00:00", "2018-11-04T03:00:00Z", "2018-11-04"),
            // Apia had no 30 December 2011: the 29th ended at 10:00Z, and the 31st began.
            ("Pacific/Apia", "00:00", "2011-12-30T09:59:59Z", "2011-12-29"),
            ("Pacific/Apia", "00:00", "2011-12-30T10:00:00Z", "2011-12-31"),
            // Lord Howe goes back by half an hour, from 02:00 to 01:30, on 5 April 2026 at 15:00Z.
            ("Australia/Lord_Howe", "01:45", "2026-04-04T14:44:59Z", "2026-04-05"),
            ("Australia/Lord_Howe", "01:45", "2026-04-04T14:45:00Z", "2026-04-06"),
            ("Australia/Lord_Howe", "01:45", "2026-04-04T15:05:00Z", "2026-04-06"),
        ];
        for (zone, cut_off, instant, expected) in cases {
            let found = clock(zone, cut_off).sales_day(at(instant)).to_string();
            assert_eq!(found, expected, "{zone} {cut_off} {instant}");
        }
    }

    #[test]
    fn cut_offs_by_hand() {
        let cases = [
            ("UTC", "00:00", (2026, 3, 2), "2026-03-03T00:00:00Z"),
            ("Europe/Prague", "17:00", (2026, 3, 2), "2026-03-02T16:00:00Z"),
            ("Europe/Prague", "02:30", (2026, 10, 25), "2026-10-25T00:30:00Z"),
            ("Europe/Prague", "02:30", (2026, 3, 29), "2026-03-29T01:00:00Z"),
            // A day that did not exist ends when it begins.
            ("Pacific/Apia", "00:00", (2011, 12, 29), "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", "00:00", (2011, 12, 30), "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", "00:00", (2011, 12, 31), "2011-12-31T10:00:00Z"),
        ];
        for (zone, cut_off, (year, month, of_month), expected) in cases {
            let day = Day::from_civil(year, month, of_month).expect("a day");
            assert_eq!(clock(zone, cut_off).cut_off_at(day), at(expected), "{zone} {cut_off} {day}");
        }
    }

    #[test]
    fn what_is_not_a_clock() {
        for cut_off in ["", "24:00", "17:60", "7:00", "17.00", "17:00:00", "+7:00", "1７:0"] {
            let error = SalesClock::new("UTC", cut_off).expect_err(cut_off);
            assert_eq!(error, SalesClockError::CutOff(cut_off.to_string()));
        }
        for zone in ["", "Europe/Brno", "+01:00", "Local"] {
            let error = SalesClock::new(zone, "00:00").expect_err(zone);
            assert_eq!(error, SalesClockError::TimeZone(zone.to_string()));
        }
        assert_eq!(CutOff::parse("17:05").expect("a time").to_string(), "17:05");
    }

    #[test]
    fn any_instant_has_a_sales_day() {
        for zone in ZONES {
            for cut_off in CUT_OFFS {
                let clock = clock(zone, cut_off);
                assert!(clock.sales_day(Timestamp::MIN) < clock.sales_day(Timestamp::MAX));
                let days = [i32::MIN, 0, i32::MAX].map(|days| clock.cut_off_at(Day::from_days(days)));
                assert!(days.is_sorted());
            }
        }
    }

    /// Every zone there is, around each of its first transitions, within the minutes where it can go wrong.
    #[test]
    fn every_transition_of_every_zone() {
        let database = TimeZoneDatabase::bundled();
        let names: Vec<String> = database.available().map(|name| name.to_string()).collect();
        assert!(names.len() > 300, "the bundled database is missing");
        let mut transitions = 0;
        for name in names {
            let zone = find_zone(&name).expect("an available zone");
            let jumps: Vec<i64> = zone
                .following(jiff::Timestamp::MIN)
                .map(|transition| transition.timestamp().as_microsecond())
                .take_while(|micros| *micros < 2_300_000_000 * MICROS_PER_SECOND)
                .collect();
            for cut_off in CUT_OFFS {
                let clock = clock(&name, cut_off);
                for jump in &jumps {
                    transitions += 1;
                    for minutes in [-60, -30, -1, 0, 15, 45, 90] {
                        let instant = Timestamp::from_micros(jump + minutes * MICROS_PER_MINUTE);
                        check(&clock, instant).unwrap_or_else(|difference| panic!("{name}: {difference}"));
                    }
                }
            }
        }
        assert!(transitions > 100_000, "only {transitions} transitions were seen");
    }

    proptest! {
        #[test]
        fn an_instant_lies_within_its_sales_day(
            zone in proptest::sample::select(ZONES.to_vec()),
            cut_off in proptest::sample::select(CUT_OFFS.to_vec()),
            // 1850 to 2200.
            micros in -3_786_000_000_000_000i64..7_258_000_000_000_000,
        ) {
            let checked = check(&clock(zone, cut_off), Timestamp::from_micros(micros));
            prop_assert!(checked.is_ok(), "{:?}", checked);
        }

        #[test]
        fn sales_days_and_cut_offs_never_go_back(
            zone in proptest::sample::select(ZONES.to_vec()),
            cut_off in proptest::sample::select(CUT_OFFS.to_vec()),
            micros in -3_786_000_000_000_000i64..7_258_000_000_000_000,
            later in 0..3 * MICROS_PER_DAY,
        ) {
            let clock = clock(zone, cut_off);
            let (first, second) = (Timestamp::from_micros(micros), Timestamp::from_micros(micros + later));
            prop_assert!(clock.sales_day(first) <= clock.sales_day(second));
            prop_assert!(clock.cut_off_at(first.day()) <= clock.cut_off_at(first.day().next()));
        }

        #[test]
        fn without_a_cut_off_the_sales_day_is_the_calendar_day(
            zone in proptest::sample::select(vec!["UTC", "Europe/Prague", "Asia/Kathmandu", "America/New_York"]),
            micros in 0..4_000_000_000_000_000i64,
        ) {
            let moment = jiff::Timestamp::from_microsecond(micros).expect("in range");
            let date = moment.to_zoned(find_zone(zone).expect("a known zone")).date();
            let found = clock(zone, "00:00").sales_day(Timestamp::from_micros(micros));
            prop_assert_eq!(civil_date(found), date);
        }
    }
}
