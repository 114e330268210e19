//! Business days: calendars as operators write them, three built-in ones, and counting.
//!
//! A calendar is a set of closed days. Which day a batch counts for is the business of `cut_off`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use settle_types::Day;

/// Built in: closed on Saturdays and Sundays.
pub const WEEKENDS: &str = "weekends";
/// Built in: every day is a business day.
pub const EVERY_DAY: &str = "every-day";
/// Built in: the closing days of TARGET, the settlement system of the euro.
pub const TARGET2: &str = "target2";

/// Calendars by name, in addition to the built-in `weekends`, `every-day` and `target2`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Calendars(pub BTreeMap<String, Calendar>);

impl Calendars {
    /// The calendar with this name; `None` if it is neither built in nor configured.
    pub fn find(&self, name: &str) -> Option<Calendar> {
        built_in(name).or_else(|| self.0.get(name).cloned())
    }

    /// Every name that [`Calendars::find`] knows, in order.
    pub fn names(&self) -> BTreeSet<&str> {
        self.0.keys().map(String::as_str).chain([WEEKENDS, EVERY_DAY, TARGET2]).collect()
    }
}

/// The built-in calendar with this name.
pub fn built_in(name: &str) -> Option<Calendar> {
    match name {
        WEEKENDS => Some(Calendar::default()),
        EVERY_DAY => Some(Calendar { weekend: BTreeSet::new(), ..Calendar::default() }),
        TARGET2 => Some(Calendar { computed: ComputedHolidays::Target, ..Calendar::default() }),
        _ => None,
    }
}

/// Days on which no money moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Calendar {
    /// Days of the week that are closed, at most six. Default: `["SATURDAY", "SUNDAY"]`.
    pub weekend: BTreeSet<Weekday>,
    /// Single days that are closed, `"YYYY-MM-DD"` in quotes. Default: none.
    #[schemars(with = "BTreeSet<String>")]
    pub holidays: BTreeSet<CalendarDate>,
    /// Holidays that follow a rule; only built-in calendars have them.
    #[serde(skip)]
    computed: ComputedHolidays,
}

impl Default for Calendar {
    fn default() -> Self {
        Self {
            weekend: BTreeSet::from([Weekday::Saturday, Weekday::Sunday]),
            holidays: BTreeSet::new(),
            computed: ComputedHolidays::None,
        }
    }
}

impl Calendar {
    /// True if money moves on this day.
    pub fn is_business_day(&self, day: Day) -> bool {
        !self.weekend.contains(&Weekday::of(day))
            && !self.holidays.contains(&CalendarDate(day))
            && !self.computed.contains(day)
    }

    /// The n-th business day after `day`. With n = 0: `day` itself, or the next business day if it is closed.
    ///
    /// So for a Saturday as for a Friday, n = 1 gives the Monday. A calendar that is closed on all seven days of
    /// the week counts every day: `config check` refuses it.
    pub fn add_business_days(&self, day: Day, n: u32) -> Day {
        let is_open = |day| self.is_business_day(day) || self.is_always_closed();
        let mut day = day;
        let mut left = n;
        while left > 0 {
            day = day.next();
            if is_open(day) {
                left -= 1;
            }
        }
        while !is_open(day) {
            day = day.next();
        }
        day
    }

    /// True if no day of the week is open.
    pub fn is_always_closed(&self) -> bool {
        self.weekend.len() == Weekday::ALL.len()
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    /// The weekday of a day. 1970-01-01 was a Thursday.
    pub fn of(day: Day) -> Self {
        let from_monday = (i64::from(day.as_days()) + 3).rem_euclid(7);
        Self::ALL[usize::try_from(from_monday).expect("a remainder of seven")]
    }
}

/// A day that configuration writes as `"2026-12-24"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CalendarDate(pub Day);

impl CalendarDate {
    /// From `YYYY-MM-DD`; `None` for another form or a day that does not exist.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let digits = |from: usize, to: usize| {
            let part = text.get(from..to)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u16>().ok()).flatten()
        };
        let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
        let month = u8::try_from(month).ok()?;
        Day::from_civil(i32::from(year), month, u8::try_from(day).ok()?).map(Self)
    }
}

impl fmt::Display for CalendarDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl Serialize for CalendarDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CalendarDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        let expected = "a day that exists, in quotes, as \"YYYY-MM-DD\"";
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &expected))
    }
}

/// Holidays that follow a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ComputedHolidays {
    #[default]
    None,
    /// Closing days of TARGET beside weekends: 1 January, Good Friday, Easter Monday, 1 May, 25 and 26 December.
    ///
    /// Source: European Central Bank, press release of 14 December 2000, "Long-term calendar for TARGET closing
    /// days", in force from 2002 until further notice. Earlier years are computed by the same rule.
    Target,
}

impl ComputedHolidays {
    fn contains(self, day: Day) -> bool {
        if self == Self::None {
            return false;
        }
        let (year, month, day_of_month) = day.to_civil();
        let is_fixed = matches!((month, day_of_month), (1 | 5, 1) | (12, 25 | 26));
        if is_fixed || !matches!(month, 3 | 4) {
            return is_fixed;
        }
        let after_easter = day.as_days() - easter_sunday(year).as_days();
        matches!(after_easter, -2 | 1)
    }
}

/// Easter Sunday of the Gregorian calendar.
///
/// Source: the "anonymous Gregorian" computus, J. Meeus, *Astronomical Algorithms*, chapter 8.
fn easter_sunday(year: i32) -> Day {
    let golden = year.rem_euclid(19);
    let (century, of_century) = (year.div_euclid(100), year.rem_euclid(100));
    let (leap_centuries, century_rest) = (century.div_euclid(4), century.rem_euclid(4));
    let moon_correction = (century - (century + 8).div_euclid(25) + 1).div_euclid(3);
    let epact = (19 * golden + century - leap_centuries - moon_correction + 15).rem_euclid(30);
    let (leap_years, year_rest) = (of_century / 4, of_century % 4);
    let weekday = (32 + 2 * century_rest + 2 * leap_years - epact - year_rest).rem_euclid(7);
    let late = (golden + 11 * epact + 22 * weekday).div_euclid(451);
    let shifted = epact + weekday - 7 * late + 114;
    let narrow = |value: i32| u8::try_from(value).expect("Easter falls on a day of March or April");
    Day::from_civil(year, narrow(shifted / 31), narrow(shifted % 31 + 1)).expect("Easter is a day")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> Day {
        CalendarDate::parse(text).expect("a day").0
    }

    #[test]
    fn known_weekdays() {
        let cases = [
            ("1970-01-01", Weekday::Thursday),
            ("1969-12-28", Weekday::Sunday),
            ("2026-03-02", Weekday::Monday),
            ("2000-02-29", Weekday::Tuesday),
        ];
        for (text, expected) in cases {
            assert_eq!(Weekday::of(day(text)), expected, "{text}");
        }
    }

    /// Easter Sundays as almanacs list them, the earliest and latest possible among them.
    #[test]
    fn known_easters() {
        let dates = [
            "1818-03-22",
            "1943-04-25",
            "1961-04-02",
            "2000-04-23",
            "2002-03-31",
            "2008-03-23",
            "2019-04-21",
            "2024-03-31",
            "2025-04-20",
            "2026-04-05",
            "2027-03-28",
            "2038-04-25",
            "2049-04-18",
            "2100-03-28",
        ];
        for text in dates {
            let expected = day(text);
            assert_eq!(easter_sunday(expected.to_civil().0), expected, "{text}");
        }
    }

    #[test]
    fn closing_days_of_target() {
        let target = built_in(TARGET2).expect("built in");
        let closed_weekdays: Vec<String> = (day("2026-01-01").as_days()..=day("2026-12-31").as_days())
            .map(Day::from_days)
            .filter(|day| {
                !target.is_business_day(*day) && built_in(WEEKENDS).expect("built in").is_business_day(*day)
            })
            .map(|day| day.to_string())
            .collect();
        // 26 December 2026 is a Saturday.
        assert_eq!(closed_weekdays, ["2026-01-01", "2026-04-03", "2026-04-06", "2026-05-01", "2026-12-25"]);
        assert!(!target.is_business_day(day("2025-12-26")));
        assert!(target.is_business_day(day("2025-12-24")));
    }

    #[test]
    fn business_days_by_hand() {
        let cases = [
            // Friday 27 February 2026: over the weekend.
            (WEEKENDS, "2026-02-27", 0, "2026-02-27"),
            (WEEKENDS, "2026-02-27", 1, "2026-03-02"),
            (WEEKENDS, "2026-02-27", 6, "2026-03-09"),
            // Saturday: the next business day, which is also the first one after it.
            (WEEKENDS, "2026-02-28", 0, "2026-03-02"),
            (WEEKENDS, "2026-02-28", 1, "2026-03-02"),
            (WEEKENDS, "2026-02-28", 2, "2026-03-03"),
            (EVERY_DAY, "2026-02-28", 0, "2026-02-28"),
            (EVERY_DAY, "2026-02-28", 1, "2026-03-01"),
            // Maundy Thursday: Good Friday, weekend and Easter Monday are closed.
            (TARGET2, "2026-04-02", 1, "2026-04-07"),
            (TARGET2, "2026-04-03", 0, "2026-04-07"),
            (TARGET2, "2025-12-24", 2, "2025-12-30"),
            (TARGET2, "2025-12-31", 1, "2026-01-02"),
        ];
        for (name, from, n, expected) in cases {
            let calendar = built_in(name).expect("built in");
            let found = calendar.add_business_days(day(from), n).to_string();
            assert_eq!(found, expected, "{name}: {from} + {n}");
        }
    }

    #[test]
    fn a_configured_calendar() {
        let text =
            "[cz]\nholidays = [\"2026-12-24\", \"2026-09-28\"]\n[gulf]\nweekend = [\"FRIDAY\", \"SATURDAY\"]";
        let calendars: Calendars = toml::from_str(text).expect("valid");
        let czech = calendars.find("cz").expect("configured");
        assert!(!czech.is_business_day(day("2026-12-24")));
        assert!(!czech.is_business_day(day("2026-12-26")), "the default weekend");
        let gulf = calendars.find("gulf").expect("configured");
        assert_eq!(gulf.add_business_days(day("2026-03-05"), 1).to_string(), "2026-03-08");
        assert_eq!(calendars.find("xx"), None);
        assert_eq!(Vec::from_iter(calendars.names()), ["cz", "every-day", "gulf", "target2", "weekends"]);
        let json = serde_json::to_string(&calendars).expect("JSON");
        assert_eq!(serde_json::from_str::<Calendars>(&json).expect("JSON"), calendars);
    }

    #[test]
    fn what_is_not_a_holiday() {
        for text in [
            "2026-02-29",
            "2026-13-01",
            "26-12-24",
            "2026-12-2x",
            "2026/12/24",
            "+026-12-24",
            "",
            "2026-1é24",
        ] {
            assert_eq!(CalendarDate::parse(text), None, "{text}");
        }
        let error =
            toml::from_str::<Calendars>("[cz]\nholidays = [\"2026-02-29\"]").expect_err("no such day");
        assert!(error.to_string().contains("a day that exists"), "{error}");
    }

    #[test]
    fn a_calendar_that_never_opens_ends() {
        let calendar = Calendar { weekend: BTreeSet::from(Weekday::ALL), ..Calendar::default() };
        assert!(calendar.is_always_closed());
        assert_eq!(calendar.add_business_days(day("2026-02-27"), 2).to_string(), "2026-03-01");
    }

    proptest! {
        #[test]
        fn easter_is_a_sunday_between_22_march_and_25_april(year in 1583i32..9_999) {
            let easter = easter_sunday(year);
            let (_, month, of_month) = easter.to_civil();
            prop_assert_eq!(Weekday::of(easter), Weekday::Sunday);
            prop_assert!((3, 22) <= (month, of_month) && (month, of_month) <= (4, 25));
        }

        #[test]
        fn counting_gives_a_business_day_with_n_of_them_passed(
            name in proptest::sample::select(vec![WEEKENDS, EVERY_DAY, TARGET2]),
            from in -20_000i32..60_000,
            n in 0u32..30,
        ) {
            let calendar = built_in(name).expect("built in");
            let end = calendar.add_business_days(Day::from_days(from), n);
            prop_assert!(calendar.is_business_day(end));
            let passed = (from + 1..=end.as_days())
                .filter(|days| calendar.is_business_day(Day::from_days(*days)))
                .count();
            let is_start_open = calendar.is_business_day(Day::from_days(from));
            let expected = if n == 0 && !is_start_open { 1 } else { n };
            prop_assert_eq!(u32::try_from(passed).expect("few"), expected);
        }
    }
}
