//! Contracts ready to decide with: checked, with their clocks and calendars prepared.
//!
//! Compiled once when configuration is activated; then every payment finds its contract without parsing
//! anything. Owns what a contract must satisfy, and says every problem with its path.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use settle_types::money::Overflow;
use settle_types::settle::BatchTotals;
use settle_types::{Currency, Day, MerchantId, Minor, Timestamp};

use crate::batch::{self, Close};
use crate::calendar::{self, Calendar, Calendars};
use crate::contract::{
    ANY_METHOD, Contract, Contracts, DEFAULT_CONTRACT, Fee, MAX_BASIS_POINTS, MAX_RESERVE_DAYS,
    MAX_SETTLEMENT_DELAY_DAYS,
};
use crate::cut_off::{SalesClock, SalesClockError};
use crate::fee::{self, FeeError};

/// A contract with its clock and calendar: answers every question that a decision asks of it.
#[derive(Clone, Debug)]
pub struct CompiledContract {
    terms: Contract,
    clock: SalesClock,
    calendar: Arc<Calendar>,
}

impl Default for CompiledContract {
    /// [`Contract::default`]: UTC days and business days of Monday to Friday, no fee for any method.
    fn default() -> Self {
        let terms = Contract::default();
        let clock = SalesClock::new(&terms.time_zone, &terms.cut_off).expect("the defaults are valid");
        let calendar = calendar::built_in(&terms.calendar).expect("the default calendar is built in");
        Self { terms, clock, calendar: Arc::new(calendar) }
    }
}

impl CompiledContract {
    /// What was agreed.
    pub fn terms(&self) -> &Contract {
        &self.terms
    }

    /// True if every payment of the merchant is refused.
    pub fn is_blocked(&self) -> bool {
        self.terms.is_blocked()
    }

    /// Fee of a payment in minor units: see [`fee::fee`].
    pub fn fee(&self, payment_method: &str, currency: Currency, amount: Minor) -> Result<Minor, FeeError> {
        fee::fee(&self.terms, payment_method, currency, amount)
    }

    /// Fee that a refund gives back, in minor units: see [`fee::fee_returned`]. Zero if the contract keeps fees.
    pub fn fee_returned(
        &self,
        original_amount: Minor,
        original_fee: Minor,
        refunded_before: Minor,
        refund: Minor,
    ) -> Result<Minor, FeeError> {
        if !self.terms.refund_returns_fee {
            return Ok(Minor::ZERO);
        }
        fee::fee_returned(original_amount, original_fee, refunded_before, refund)
    }

    /// How far the merchant may fall into debt, in minor units; `None` if there is no cap.
    pub fn net_debit_cap(&self, currency: Currency) -> Option<Minor> {
        self.terms.net_debit_cap(currency)
    }

    /// The sales day that contains an instant: see [`SalesClock::sales_day`].
    pub fn sales_day(&self, instant: Timestamp) -> Day {
        self.clock.sales_day(instant)
    }

    /// The instant at which a sales day ends: see [`SalesClock::cut_off_at`].
    pub fn cut_off_at(&self, day: Day) -> Timestamp {
        self.clock.cut_off_at(day)
    }

    /// Divides the net of a batch: see [`batch::close`].
    pub fn close(&self, totals: &BatchTotals, currency: Currency) -> Result<Close, Overflow> {
        batch::close(totals, &self.terms, currency)
    }

    /// When the reserve of a batch falls free: see [`batch::reserve_release_at`].
    pub fn reserve_release_at(&self, cut_off_at: Timestamp) -> Option<Timestamp> {
        batch::reserve_release_at(cut_off_at, &self.terms)
    }

    /// Day on which the merchant's bank is to have the payout of a sales day: T+N in business days of the
    /// contract's calendar.
    pub fn value_date(&self, sales_day: Day) -> Day {
        self.calendar.add_business_days(sales_day, self.terms.settlement_delay_days)
    }
}

/// Every contract, compiled.
#[derive(Clone, Debug, Default)]
pub struct CompiledContracts {
    contracts: BTreeMap<String, CompiledContract>,
}

impl CompiledContracts {
    /// The merchant's contract, else the default, else `None`.
    pub fn find(&self, merchant_id: &MerchantId) -> Option<&CompiledContract> {
        self.contracts.get(merchant_id.as_str()).or_else(|| self.contracts.get(DEFAULT_CONTRACT))
    }
}

/// What is wrong with a contract or a calendar.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where: `contracts."m-1".cut_off`.
    pub path: String,
    /// What was found, and what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// All problems of a configuration, one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Contracts {
    /// Every problem of the contracts and of the calendars, in the order of their names; empty if all is well.
    pub fn check(&self, calendars: &Calendars) -> Vec<Problem> {
        self.compile(calendars).err().map_or_else(Vec::new, |problems| problems.0)
    }

    /// Prepares clocks and calendars. Fails with every problem there is, not only the first.
    pub fn compile(&self, calendars: &Calendars) -> Result<CompiledContracts, Problems> {
        let mut problems = Vec::new();
        check_calendars(calendars, &mut problems);
        let mut shared_calendars: BTreeMap<&str, Arc<Calendar>> = BTreeMap::new();
        for name in calendars.names() {
            let calendar = calendars.find(name).expect("a listed name is found");
            shared_calendars.insert(name, Arc::new(calendar));
        }
        let mut contracts = BTreeMap::new();
        for (merchant, terms) in &self.0 {
            let mut path = Path { start: format!("contracts.{}", key(merchant)), problems: &mut problems };
            check_terms(terms, &mut path);
            let clock = compile_clock(terms, &mut path);
            let calendar = find_calendar(&terms.calendar, &shared_calendars, &mut path);
            if let (Some(clock), Some(calendar)) = (clock, calendar) {
                let compiled = CompiledContract { terms: terms.clone(), clock, calendar };
                contracts.insert(merchant.clone(), compiled);
            }
        }
        if problems.is_empty() { Ok(CompiledContracts { contracts }) } else { Err(Problems(problems)) }
    }
}

/// Where problems are found, and the list that they go into.
struct Path<'a> {
    start: String,
    problems: &'a mut Vec<Problem>,
}

impl Path<'_> {
    fn problem(&mut self, field: &str, message: String) {
        self.problems.push(Problem { path: format!("{}.{field}", self.start), message });
    }
}

/// A key as TOML writes it: bare where it may be, else in quotes.
fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(is_bare) { name.to_string() } else { format!("{name:?}") }
}

fn check_calendars(calendars: &Calendars, problems: &mut Vec<Problem>) {
    for (name, calendar) in &calendars.0 {
        let mut path = Path { start: "calendars".to_string(), problems };
        if calendar::built_in(name).is_some() {
            path.problem(&key(name), "this calendar is built in: choose another name".to_string());
        }
        if calendar.is_always_closed() {
            let field = format!("{}.weekend", key(name));
            path.problem(&field, "all seven days are closed: expected at most six".to_string());
        }
    }
}

fn check_terms(terms: &Contract, path: &mut Path<'_>) {
    if terms.fees.is_empty() {
        let message = format!("no fee: every payment would be refused; expected a method or `{ANY_METHOD}`");
        path.problem("fees", message);
    }
    for (method, fee) in &terms.fees {
        check_fee(method, fee, path);
    }
    check_range("settlement_delay_days", terms.settlement_delay_days, MAX_SETTLEMENT_DELAY_DAYS, path);
    check_range("reserve_basis_points", terms.reserve_basis_points.get(), MAX_BASIS_POINTS, path);
    check_range("reserve_days", terms.reserve_days, MAX_RESERVE_DAYS, path);
    let keeps_reserve = terms.reserve_basis_points.get() > 0;
    if keeps_reserve && terms.reserve_days == 0 {
        path.problem("reserve_days", "0 with a reserve: expected 1 or more".to_string());
    }
    if !keeps_reserve && terms.reserve_days > 0 {
        let message = format!("{} without reserve_basis_points: expected both or none", terms.reserve_days);
        path.problem("reserve_days", message);
    }
    check_amounts("minimum_payout_minor", &terms.minimum_payout_minor, path);
    check_amounts("net_debit_cap_minor", &terms.net_debit_cap_minor, path);
}

fn check_fee(method: &str, fee: &Fee, path: &mut Path<'_>) {
    let field = format!("fees.{}", key(method));
    if method.is_empty() {
        path.problem(&field, "empty payment method: expected a name or `*`".to_string());
    }
    check_range(&format!("{field}.basis_points"), fee.basis_points.get(), MAX_BASIS_POINTS, path);
    check_amounts(&format!("{field}.fixed_minor"), &fee.fixed_minor, path);
}

fn check_range(field: &str, found: u32, highest: u32, path: &mut Path<'_>) {
    if found > highest {
        path.problem(field, format!("{found} is too high: expected 0 to {highest}"));
    }
}

fn check_amounts(field: &str, amounts: &BTreeMap<Currency, Minor>, path: &mut Path<'_>) {
    for (currency, amount) in amounts {
        if amount.is_negative() {
            let message = format!("{} is below zero: expected 0 or more minor units", amount.get());
            path.problem(&format!("{field}.{currency}"), message);
        }
    }
}

fn compile_clock(terms: &Contract, path: &mut Path<'_>) -> Option<SalesClock> {
    match SalesClock::new(&terms.time_zone, &terms.cut_off) {
        Ok(clock) => Some(clock),
        Err(error) => {
            let field = match &error {
                SalesClockError::TimeZone(_) => "time_zone",
                SalesClockError::CutOff(_) => "cut_off",
            };
            path.problem(field, error.to_string());
            // A wrong zone must not hide a wrong cut-off.
            if field == "time_zone"
                && let Err(error) = SalesClock::new("UTC", &terms.cut_off)
            {
                path.problem("cut_off", error.to_string());
            }
            None
        }
    }
}

fn find_calendar(
    name: &str,
    calendars: &BTreeMap<&str, Arc<Calendar>>,
    path: &mut Path<'_>,
) -> Option<Arc<Calendar>> {
    let found = calendars.get(name).cloned();
    if found.is_none() {
        let known: Vec<&str> = calendars.keys().copied().collect();
        path.problem("calendar", format!("`{name}` is not a calendar: expected one of {}", known.join(", ")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(contracts: &str, calendars: &str) -> (Contracts, Calendars) {
        (toml::from_str(contracts).expect("contracts"), toml::from_str(calendars).expect("calendars"))
    }

    #[test]
    fn a_valid_configuration_compiles() {
        let (contracts, calendars) = parsed(
            "[default]\nfees.\"*\" = {}\n[m-1]\nfees.CARD.basis_points = 290\ncalendar = \"cz\"\n\
             reserve_basis_points = 10000\nreserve_days = 1",
            "[cz]\nholidays = [\"2026-12-24\"]",
        );
        assert_eq!(contracts.check(&calendars), []);
        let compiled = contracts.compile(&calendars).expect("valid");
        let own = compiled.find(&MerchantId::new("m-1")).expect("its own");
        assert_eq!((own.terms().calendar.as_str(), own.calendar.holidays.len()), ("cz", 1));
        let other = compiled.find(&MerchantId::new("m-2")).expect("the default");
        assert_eq!(*other.terms(), contracts.0["default"]);
        assert!(CompiledContracts::default().find(&MerchantId::new("m-2")).is_none());
    }

    #[test]
    fn value_dates_by_hand() {
        let day = |year, month, of_month| Day::from_civil(year, month, of_month).expect("a day");
        let cases = [
            ("weekends", 1, day(2026, 2, 27), "2026-03-02"),
            ("weekends", 0, day(2026, 2, 28), "2026-03-02"),
            ("target2", 2, day(2026, 4, 2), "2026-04-08"),
            ("every-day", 3, day(2026, 12, 30), "2027-01-02"),
        ];
        for (calendar, delay, sales_day, expected) in cases {
            let terms = Contract {
                fees: BTreeMap::from([("*".to_string(), Fee::default())]),
                settlement_delay_days: delay,
                calendar: calendar.to_string(),
                ..Contract::default()
            };
            let contracts = Contracts(BTreeMap::from([("m-1".to_string(), terms)]));
            let compiled = contracts.compile(&Calendars::default()).expect("valid");
            let contract = compiled.find(&MerchantId::new("m-1")).expect("its own");
            assert_eq!(contract.value_date(sales_day).to_string(), expected, "{calendar} + {delay}");
        }
    }

    #[test]
    fn a_refund_returns_the_fee_only_if_the_contract_says_so() {
        for (refund_returns_fee, expected) in [(false, 0), (true, 29)] {
            let terms = Contract { refund_returns_fee, ..Contract::default() };
            let contract = CompiledContract { terms, ..CompiledContract::default() };
            let found =
                contract.fee_returned(Minor::new(1_000), Minor::new(29), Minor::ZERO, Minor::new(1_000));
            assert_eq!(found, Ok(Minor::new(expected)));
        }
    }

    /// A row for each rule: one contract `m`, one problem.
    #[test]
    fn one_problem_each() {
        let cases = [
            (
                "cut_off = \"25:00\"",
                "contracts.m.cut_off: `25:00` is not a time of day: expected `HH:MM` from",
            ),
            ("time_zone = \"Europe/Brno\"", "contracts.m.time_zone: `Europe/Brno` is not a known time zone:"),
            (
                "calendar = \"xx\"",
                "contracts.m.calendar: `xx` is not a calendar: expected one of every-day, target2, weekends",
            ),
            (
                "settlement_delay_days = 366",
                "contracts.m.settlement_delay_days: 366 is too high: expected 0 to 365",
            ),
            (
                "reserve_basis_points = 10001\nreserve_days = 1",
                "contracts.m.reserve_basis_points: 10001 is too high: expected 0 to 10000",
            ),
            (
                "reserve_basis_points = 1\nreserve_days = 3651",
                "contracts.m.reserve_days: 3651 is too high: expected 0 to 3650",
            ),
            ("reserve_basis_points = 1", "contracts.m.reserve_days: 0 with a reserve: expected 1 or more"),
            (
                "reserve_days = 1",
                "contracts.m.reserve_days: 1 without reserve_basis_points: expected both or none",
            ),
            ("minimum_payout_minor.EUR = -1", "contracts.m.minimum_payout_minor.EUR: -1 is below zero:"),
            ("net_debit_cap_minor.EUR = -1", "contracts.m.net_debit_cap_minor.EUR: -1 is below zero:"),
            (
                "fees.CARD.basis_points = 10001",
                "contracts.m.fees.CARD.basis_points: 10001 is too high: expected 0 to 10000",
            ),
            (
                "fees.\"A B\".fixed_minor.EUR = -1",
                "contracts.m.fees.\"A B\".fixed_minor.EUR: -1 is below zero:",
            ),
            ("fees.\"\" = {}", "contracts.m.fees.\"\": empty payment method:"),
        ];
        for (line, expected) in cases {
            let text = format!("[m]\nfees.\"*\".basis_points = 1\n{line}");
            let (contracts, calendars) = parsed(&text, "");
            let problems = contracts.check(&calendars);
            assert_eq!(problems.len(), 1, "{line}: {problems:?}");
            assert!(problems[0].to_string().starts_with(expected), "{line}: {}", problems[0]);
        }
    }

    #[test]
    fn every_problem_is_listed() {
        let (contracts, calendars) = parsed(
            "[\"a.b\"]\ncut_off = \"noon\"\ntime_zone = \"Mars\"\n[m]\ncalendar = \"never\"\nfees.\"*\" = {}",
            "[never]\nweekend = [\"MONDAY\", \"TUESDAY\", \"WEDNESDAY\", \"THURSDAY\", \"FRIDAY\", \"SATURDAY\", \
             \"SUNDAY\"]\n[target2]",
        );
        let problems = contracts.compile(&calendars).expect_err("many problems");
        let paths: Vec<&str> = problems.0.iter().map(|problem| problem.path.as_str()).collect();
        let expected = [
            "calendars.never.weekend",
            "calendars.target2",
            "contracts.\"a.b\".fees",
            "contracts.\"a.b\".time_zone",
            "contracts.\"a.b\".cut_off",
        ];
        assert_eq!(paths, expected);
        assert_eq!(problems.to_string().lines().count(), expected.len());
    }
}
