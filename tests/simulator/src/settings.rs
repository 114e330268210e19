//! The settings of every run: the ones that the model knows.

use std::collections::BTreeMap;

use settle_engine::authorize::AuthorizeSettings;
use settle_engine::settle::SettleSettings;
use settle_risk::{CheckKind, Mode, RiskConfig, Rule, RuleSeverity};
use settle_settlement::{Contract, ContractStatus, Contracts, Fee};
use settle_types::{BasisPoints, Currency, Minor};

use crate::model::authorize::Terms;

/// Limits of AUTHORIZE.
pub const TERMS: Terms =
    Terms { key_retention_days: 7, per_payment: 50_000, daily_sum: 90_000, daily_count: 6 };

/// Merchants. Those whose names begin alike have the same contract: `m0` with everything, `m1` with another clock and a
/// cap on debt, `m2` blocked, `m3` without a contract.
pub const MERCHANTS: [&str; 8] = ["m0a", "m0b", "m0c", "m1a", "m1b", "m1c", "m2a", "m3a"];

fn currency(code: &str) -> Currency {
    Currency::new(code).expect("three capital letters")
}

fn amounts(rows: &[(&str, i64)]) -> BTreeMap<Currency, Minor> {
    rows.iter().map(|(code, amount)| (currency(code), Minor::new(*amount))).collect()
}

fn limit(id: &str, check: CheckKind, limit: i64) -> Rule {
    let table: BTreeMap<Currency, i64> = ["EUR", "JPY"].iter().map(|code| (currency(code), limit)).collect();
    let is_count = check == CheckKind::LimitDailyCount;
    let (limits_minor, limits) = if is_count { (None, Some(table)) } else { (Some(table), None) };
    Rule {
        id: id.to_owned(),
        version: 1,
        mode: Mode::Live,
        severity: RuleSeverity::Decline,
        on_error: RuleSeverity::Decline,
        score: 0,
        check,
        limits_minor,
        limits,
        field: None,
        values: None,
    }
}

/// Settings of AUTHORIZE, on the wall clock.
pub fn authorize() -> AuthorizeSettings {
    AuthorizeSettings {
        key_retention_days: u32::try_from(TERMS.key_retention_days).expect("a few days"),
        risk: RiskConfig {
            rules: vec![
                limit("large", CheckKind::LimitPerPayment, TERMS.per_payment),
                limit("sum", CheckKind::LimitDailySum, TERMS.daily_sum),
                limit("count", CheckKind::LimitDailyCount, TERMS.daily_count),
            ],
        },
        ..AuthorizeSettings::default()
    }
}

fn fee(method: &str, basis_points: u32, fixed: &[(&str, i64)]) -> BTreeMap<String, Fee> {
    let basis_points = BasisPoints::new(basis_points);
    BTreeMap::from([(method.to_owned(), Fee { basis_points, fixed_minor: amounts(fixed) })])
}

/// Settings of SETTLE, on the wall clock.
pub fn settle() -> SettleSettings {
    let everything = Contract {
        fees: fee("CARD", 290, &[("EUR", 25), ("JPY", 30)]),
        reserve_basis_points: BasisPoints::new(1_000),
        reserve_days: 2,
        minimum_payout_minor: amounts(&[("EUR", 5_000)]),
        refund_returns_fee: true,
        ..Contract::default()
    };
    let capped = Contract {
        fees: fee("*", 100, &[]),
        cut_off: "17:00".to_owned(),
        calendar: "every-day".to_owned(),
        settlement_delay_days: 2,
        net_debit_cap_minor: amounts(&[("EUR", 3_000), ("JPY", 0)]),
        ..Contract::default()
    };
    let blocked =
        Contract { fees: fee("*", 100, &[]), status: ContractStatus::Blocked, ..Contract::default() };
    let contract = |merchant: &str| match &merchant[..2] {
        "m0" => Some(everything.clone()),
        "m1" => Some(capped.clone()),
        "m2" => Some(blocked.clone()),
        _ => None,
    };
    let contracts =
        MERCHANTS.iter().filter_map(|merchant| Some(((*merchant).to_owned(), contract(merchant)?)));
    SettleSettings { contracts: Contracts(contracts.collect()), ..SettleSettings::default() }
}
