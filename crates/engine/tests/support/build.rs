//! Builders of requests and configuration. Defaults are plain; a test states what it is about.

use std::collections::BTreeMap;

use settle_engine::authorize::AuthorizeSettings;
use settle_engine::settle::SettleSettings;
use settle_engine::{ClockConfig, ClockMode};
use settle_risk::{CheckKind, DenyField, Mode, RiskConfig, Rule, RuleSeverity};
use settle_settlement::{Contract, Contracts, Fee};
use settle_types::request::{EventType, PaymentRequested};
use settle_types::{BasisPoints, Currency, Day, Duration, Minor, Timestamp};

/// 2026-03-02, a Monday.
pub const MONDAY: (i32, u8, u8) = (2026, 3, 2);

/// An instant in UTC, counted in days, hours and minutes from the beginning of that Monday.
pub fn at(days: u32, hours: u32, minutes: u32) -> Timestamp {
    let (year, month, day) = MONDAY;
    let start = Day::from_civil(year, month, day).expect("a day").start();
    start
        .saturating_add(Duration::from_days(days))
        .saturating_add(Duration::from_seconds(hours * 3_600 + minutes * 60))
}

/// Monday at noon, when most tests begin.
pub fn noon() -> Timestamp {
    at(0, 12, 0)
}

pub fn currency(code: &str) -> Currency {
    Currency::new(code).expect("three capital letters")
}

/// A PAYMENT of 100.00 EUR by card from `d-1` to `m-1`, requested on Monday at noon, with a key of its own.
pub fn payment(id: &str) -> PaymentRequested {
    PaymentRequested {
        event_type: EventType::Payment,
        payment_id: id.into(),
        idempotency_key: format!("key-{id}").as_str().into(),
        debtor_account: "d-1".into(),
        merchant_id: "m-1".into(),
        amount_minor: 10_000,
        currency: "EUR".into(),
        payment_method: "CARD".into(),
        requested_at: noon(),
        ..PaymentRequested::default()
    }
}

pub fn follow_up(event_type: EventType, id: &str, original: &str, amount_minor: i64) -> PaymentRequested {
    PaymentRequested { event_type, original_payment_id: Some(original.into()), amount_minor, ..payment(id) }
}

pub fn refund(id: &str, original: &str, amount_minor: i64) -> PaymentRequested {
    follow_up(EventType::Refund, id, original, amount_minor)
}

pub fn chargeback(id: &str, original: &str, amount_minor: i64) -> PaymentRequested {
    follow_up(EventType::Chargeback, id, original, amount_minor)
}

pub fn reversal(id: &str, chargeback: &str, amount_minor: i64) -> PaymentRequested {
    follow_up(EventType::ChargebackReversal, id, chargeback, amount_minor)
}

pub fn cancellation(id: &str, original: &str, amount_minor: i64) -> PaymentRequested {
    follow_up(EventType::Cancellation, id, original, amount_minor)
}

pub fn rule(id: &str, check: CheckKind) -> Rule {
    Rule {
        id: id.to_owned(),
        version: 1,
        mode: Mode::Live,
        severity: RuleSeverity::Decline,
        on_error: RuleSeverity::Decline,
        score: 0,
        check,
        limits_minor: None,
        limits: None,
        field: None,
        values: None,
    }
}

/// A rule with the same limit for each of these currencies.
pub fn limit(id: &str, check: CheckKind, limit: i64, codes: &[&str]) -> Rule {
    let table: BTreeMap<Currency, i64> = codes.iter().map(|code| (currency(code), limit)).collect();
    let is_count = check == CheckKind::LimitDailyCount;
    let (limits_minor, limits) = if is_count { (None, Some(table)) } else { (Some(table), None) };
    Rule { limits_minor, limits, ..rule(id, check) }
}

pub fn deny(id: &str, field: DenyField, value: &str) -> Rule {
    Rule { field: Some(field), values: Some([value.to_owned()].into()), ..rule(id, CheckKind::DenyList) }
}

/// The wall clock, keys for a week, no rule.
pub fn authorize_settings() -> AuthorizeSettings {
    AuthorizeSettings { key_retention_days: 7, ..AuthorizeSettings::default() }
}

/// As above; a request in the wrong partition is sent to its right one.
pub fn rerouting() -> AuthorizeSettings {
    AuthorizeSettings { reroute_wrong_partition: true, ..authorize_settings() }
}

pub fn with_rules(rules: Vec<Rule>) -> AuthorizeSettings {
    AuthorizeSettings { risk: RiskConfig { rules }, ..authorize_settings() }
}

/// The highest `requested_at` is the clock.
pub fn event_clock(max_event_jump_seconds: u32) -> ClockConfig {
    ClockConfig { mode: ClockMode::Event, max_event_jump_seconds, ..ClockConfig::default() }
}

/// A fee for a payment method: a share, and a fixed part in some currencies.
pub fn fee(method: &str, basis_points: u32, fixed: &[(&str, i64)]) -> BTreeMap<String, Fee> {
    let basis_points = BasisPoints::new(basis_points);
    BTreeMap::from([(method.to_owned(), Fee { basis_points, fixed_minor: amounts(fixed) })])
}

pub fn amounts(rows: &[(&str, i64)]) -> BTreeMap<Currency, Minor> {
    rows.iter().map(|(code, amount)| (currency(code), Minor::new(*amount))).collect()
}

/// 1 % for each method, days of UTC, T+1.
pub fn plain_contract() -> Contract {
    Contract { fees: fee("*", 100, &[]), ..Contract::default() }
}

/// These contracts, on the event clock.
pub fn settle_settings(contracts: &[(&str, Contract)]) -> SettleSettings {
    let contracts = contracts.iter().map(|(name, contract)| ((*name).to_owned(), contract.clone())).collect();
    SettleSettings {
        clock: event_clock(3 * 86_400),
        contracts: Contracts(contracts),
        ..SettleSettings::default()
    }
}
