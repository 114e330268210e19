//! What a row of a table is, and the words that the tables are written in.

use settle_engine::authorize::AuthorizeSettings;
use settle_risk::{CheckKind, Rule};
use settle_types::request::PaymentRequested;
use settle_types::{Duration, Timestamp};

use crate::support::build::*;
use crate::support::script::Step;
use crate::support::script::Step::Request;

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) settings: AuthorizeSettings,
    pub(crate) steps: Vec<Step>,
    pub(crate) expected: &'static str,
}

pub(crate) fn row(name: &'static str, steps: Vec<Step>, expected: &'static str) -> Row {
    Row { name, settings: authorize_settings(), steps, expected }
}

pub(crate) fn ruled(name: &'static str, rules: Vec<Rule>, steps: Vec<Step>, expected: &'static str) -> Row {
    Row { name, settings: with_rules(rules), steps, expected }
}

pub(crate) fn p(id: &str) -> Step {
    Request(payment(id))
}

/// The same request under another key.
pub(crate) fn under_key(key: &str, request: PaymentRequested) -> Step {
    Request(PaymentRequested { idempotency_key: key.into(), ..request })
}

pub(crate) fn scheduled(id: &str, days: u32) -> PaymentRequested {
    PaymentRequested { execute_at: Some(noon().saturating_add(Duration::from_days(days))), ..payment(id) }
}

pub(crate) fn one_day_later() -> Timestamp {
    noon().saturating_add(Duration::from_days(1))
}

pub(crate) fn per_payment(limit_minor: i64) -> Rule {
    limit("large", CheckKind::LimitPerPayment, limit_minor, &["EUR"])
}

pub(crate) fn daily_sum(limit_minor: i64) -> Rule {
    limit("sum", CheckKind::LimitDailySum, limit_minor, &["EUR"])
}

pub(crate) fn daily_count(payments: i64) -> Rule {
    limit("count", CheckKind::LimitDailyCount, payments, &["EUR"])
}

/// A microsecond less than so many days.
pub(crate) fn just_before(days: u32) -> Duration {
    let micros = Duration::from_days(days).as_micros() - 1;
    serde_json::from_str(&micros.to_string()).expect("a duration is a number of microseconds")
}
