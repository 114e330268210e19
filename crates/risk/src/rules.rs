//! The evaluation of rules: a verdict with its reasons, from values alone. Must not know where sums and counts
//! are kept, nor how rules are written.
//!
//! Fails closed: what a rule cannot say is a finding of that rule, never a pass.

use std::borrow::Cow;
use std::collections::BTreeMap;

use compact_str::CompactString;
use settle_types::authorize::Reason;
use settle_types::{Currency, Minor, reason};

use crate::config::DenyField;
use crate::verdict::{Scope, Severity, Subject, Today, Verdict};

/// Rules ready to be evaluated. The default has none and approves.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<CompiledRule>,
}

/// A rule of mode live or shadow.
#[derive(Clone, Debug)]
pub(crate) struct CompiledRule {
    pub(crate) id: CompactString,
    pub(crate) version: i32,
    pub(crate) is_shadow: bool,
    pub(crate) severity: Severity,
    pub(crate) on_error: Severity,
    pub(crate) score: i32,
    pub(crate) check: Check,
}

/// What a rule compares.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    LimitPerPayment(BTreeMap<Currency, i64>),
    LimitDailySum(BTreeMap<Currency, i64>),
    LimitDailyCount(BTreeMap<Currency, i64>),
    /// Values are sorted; those of COUNTRY are in upper case.
    DenyList {
        field: DenyField,
        values: Box<[CompactString]>,
    },
}

/// What a check found, before the rule says what that means.
enum Finding {
    Clear,
    Match {
        code: &'static str,
        detail: String,
    },
    NoRow,
    /// A number left its range.
    OutOfRange {
        detail: &'static str,
    },
}

impl Rules {
    pub(crate) const fn new(rules: Vec<CompiledRule>) -> Self {
        Self { rules }
    }

    /// Judges a request by all rules. Pure: the same arguments give the same verdict.
    pub fn evaluate(&self, scope: Scope, subject: &Subject<'_>, today: Today) -> Verdict {
        let mut verdict = Verdict::default();
        verdict.assessment.features = features(scope, subject, today);
        for rule in &self.rules {
            let finding = rule.check.evaluate(scope, subject, today);
            let is_match = matches!(finding, Finding::Match { .. });
            let Some((severity, reason)) = rule.judge(finding, subject.currency) else { continue };
            if rule.is_shadow {
                verdict.assessment.shadow.push(reason);
                continue;
            }
            verdict.severity = verdict.severity.max(severity);
            verdict.reasons.push(reason);
            if is_match {
                verdict.assessment.score = verdict.assessment.score.saturating_add(rule.score);
            }
        }
        verdict
    }
}

impl CompiledRule {
    /// What a finding means under this rule; `None` if it has nothing to say.
    fn judge(&self, finding: Finding, currency: Currency) -> Option<(Severity, Reason)> {
        let (severity, code, detail) = match finding {
            Finding::Clear => return None,
            Finding::Match { code, detail } => (self.severity, code, detail),
            Finding::NoRow => {
                let detail = format!("the rule has no limit for {currency}, so it could not be evaluated");
                (self.on_error, reason::NO_LIMIT_FOR_CURRENCY, detail)
            }
            // Beyond 64 bits is also beyond every limit: a milder `on_error` must not make a larger
            // amount the better one.
            Finding::OutOfRange { detail } => {
                (self.on_error.max(self.severity), reason::RULE_FAILED, detail.to_owned())
            }
        };
        let mut reason = Reason::new(code, detail);
        reason.rule_id = Some(self.id.clone());
        reason.rule_version = Some(self.version);
        Some((severity, reason))
    }
}

impl Check {
    fn evaluate(&self, scope: Scope, subject: &Subject<'_>, today: Today) -> Finding {
        match (self, scope) {
            (Self::DenyList { field, values }, _) => deny_list(*field, values, subject),
            (_, Scope::FollowUp) => Finding::Clear,
            (Self::LimitPerPayment(limits), Scope::Payment) => limit_per_payment(limits, subject),
            (Self::LimitDailySum(limits), Scope::Payment) => limit_daily_sum(limits, subject, today),
            (Self::LimitDailyCount(limits), Scope::Payment) => limit_daily_count(limits, subject, today),
        }
    }
}

fn limit_per_payment(limits: &BTreeMap<Currency, i64>, subject: &Subject<'_>) -> Finding {
    let Some(limit) = limits.get(&subject.currency).copied() else { return Finding::NoRow };
    let amount = subject.amount.get();
    if amount <= limit {
        return Finding::Clear;
    }
    let currency = subject.currency;
    let detail =
        format!("amount {amount} is above the limit of {limit} per payment (minor units of {currency})");
    Finding::Match { code: reason::LIMIT_PER_PAYMENT, detail }
}

fn limit_daily_sum(limits: &BTreeMap<Currency, i64>, subject: &Subject<'_>, today: Today) -> Finding {
    let Some(limit) = limits.get(&subject.currency).copied() else { return Finding::NoRow };
    let Ok(before) = Minor::from_wide(today.sum_minor) else {
        return Finding::OutOfRange { detail: "the debtor's sum of the day is beyond 64-bit minor units" };
    };
    let Ok(sum) = before.plus(subject.amount) else {
        return Finding::OutOfRange {
            detail: "the debtor's sum of the day would be beyond 64-bit minor units",
        };
    };
    let (amount, before, sum) = (subject.amount.get(), before.get(), sum.get());
    if sum <= limit {
        return Finding::Clear;
    }
    let currency = subject.currency;
    let detail = format!(
        "amount {amount} after {before} today makes {sum}, above the limit of {limit} per day \
        (minor units of {currency})"
    );
    Finding::Match { code: reason::LIMIT_DAILY_SUM, detail }
}

fn limit_daily_count(limits: &BTreeMap<Currency, i64>, subject: &Subject<'_>, today: Today) -> Finding {
    let Some(limit) = limits.get(&subject.currency).copied() else { return Finding::NoRow };
    let Some(count) = today.count.checked_add(1) else {
        return Finding::OutOfRange {
            detail: "the debtor's number of payments of the day is beyond 64 bits",
        };
    };
    if count <= limit {
        return Finding::Clear;
    }
    let currency = subject.currency;
    let detail =
        format!("payment number {count} of the day in {currency} is above the limit of {limit} per day");
    Finding::Match { code: reason::LIMIT_DAILY_COUNT, detail }
}

fn deny_list(field: DenyField, values: &[CompactString], subject: &Subject<'_>) -> Finding {
    let sent = match field {
        DenyField::DebtorAccount => Some(subject.debtor_account),
        DenyField::MerchantId => Some(subject.merchant_id),
        DenyField::Country => subject.country,
        DenyField::Mcc => subject.mcc,
        DenyField::Ip => subject.ip,
        DenyField::DeviceId => subject.device_id,
        DenyField::CardBin => subject.card_bin,
        DenyField::PaymentMethod => Some(subject.payment_method),
    };
    let Some(sent) = sent else { return Finding::Clear };
    let compared =
        if field == DenyField::Country { Cow::Owned(sent.to_ascii_uppercase()) } else { sent.into() };
    if values.binary_search_by(|value| value.as_str().cmp(&compared)).is_err() {
        return Finding::Clear;
    }
    // The value stays out: it may be an account, an address or a device.
    let detail = format!("the value of {} is on a deny list of {} values", field.as_str(), values.len());
    Finding::Match { code: reason::DENY_LIST, detail }
}

/// The numbers that the rules saw. A sum beyond 64 bits is left out, and the rules that need it fail.
fn features(scope: Scope, subject: &Subject<'_>, today: Today) -> BTreeMap<CompactString, i64> {
    let mut features = BTreeMap::from([(CompactString::const_new("amount_minor"), subject.amount.get())]);
    if scope == Scope::FollowUp {
        return features;
    }
    features.insert(CompactString::const_new("daily_count"), today.count);
    if let Ok(sum) = i64::try_from(today.sum_minor) {
        features.insert(CompactString::const_new("daily_sum_minor"), sum);
    }
    features
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{CheckKind, Mode, RiskConfig, Rule, RuleSeverity};

    fn currency(code: &str) -> Currency {
        Currency::new(code).expect("a code")
    }

    fn rule(id: &str, check: CheckKind) -> Rule {
        Rule {
            id: id.to_owned(),
            version: 7,
            mode: Mode::Live,
            severity: RuleSeverity::Decline,
            on_error: RuleSeverity::Decline,
            score: 10,
            check,
            limits_minor: None,
            limits: None,
            field: None,
            values: None,
        }
    }

    fn limit(check: CheckKind, code: &str, limit: i64) -> Rule {
        let table = Some(BTreeMap::from([(currency(code), limit)]));
        if check == CheckKind::LimitDailyCount {
            return Rule { limits: table, ..rule("limit", check) };
        }
        Rule { limits_minor: table, ..rule("limit", check) }
    }

    fn list(field: DenyField, values: &[&str]) -> Rule {
        let values = Some(values.iter().map(|value| (*value).to_owned()).collect());
        Rule { field: Some(field), values, ..rule("list", CheckKind::DenyList) }
    }

    /// Not `compile`: reviews are evaluated already, though configuration cannot ask for them yet.
    fn rules(rules: Vec<Rule>) -> Rules {
        RiskConfig { rules }.translate().expect("valid rules")
    }

    fn subject(amount: i64) -> Subject<'static> {
        Subject {
            amount: Minor::new(amount),
            currency: currency("CZK"),
            payment_method: "CARD",
            debtor_account: "debtor-1",
            merchant_id: "merchant-1",
            country: Some("cz"),
            mcc: Some("5411"),
            ip: Some("192.0.2.1"),
            device_id: Some("device-1"),
            card_bin: Some("411111"),
        }
    }

    fn today(sum_minor: i128, count: i64) -> Today {
        Today { sum_minor, count }
    }

    #[test]
    fn limits_by_kind_and_outcome() {
        use CheckKind::{LimitDailyCount, LimitDailySum, LimitPerPayment};
        let most = i128::from(i64::MAX);
        let cases = [
            (LimitPerPayment, "CZK", 100, today(0, 0), None),
            (
                LimitPerPayment,
                "CZK",
                99,
                today(0, 0),
                Some((reason::LIMIT_PER_PAYMENT, "100 is above the limit of 99")),
            ),
            (LimitPerPayment, "CZK", 100, today(most, i64::MAX), None),
            (LimitPerPayment, "EUR", 900, today(0, 0), Some((reason::NO_LIMIT_FOR_CURRENCY, "CZK"))),
            (LimitDailySum, "CZK", 150, today(50, 9), None),
            (
                LimitDailySum,
                "CZK",
                149,
                today(50, 9),
                Some((reason::LIMIT_DAILY_SUM, "makes 150, above the limit of 149")),
            ),
            (LimitDailySum, "CZK", 0, today(-100, 9), None),
            (LimitDailySum, "EUR", 900, today(0, 0), Some((reason::NO_LIMIT_FOR_CURRENCY, "CZK"))),
            (LimitDailySum, "CZK", i64::MAX, today(most - 100, 0), None),
            (
                LimitDailySum,
                "CZK",
                i64::MAX,
                today(most - 99, 0),
                Some((reason::RULE_FAILED, "would be beyond")),
            ),
            (LimitDailySum, "CZK", i64::MAX, today(i128::MAX, 0), Some((reason::RULE_FAILED, "is beyond"))),
            (LimitDailySum, "CZK", i64::MAX, today(i128::MIN, 0), Some((reason::RULE_FAILED, "is beyond"))),
            (LimitDailyCount, "CZK", 3, today(most, 2), None),
            (
                LimitDailyCount,
                "CZK",
                3,
                today(0, 3),
                Some((reason::LIMIT_DAILY_COUNT, "number 4 of the day")),
            ),
            (LimitDailyCount, "EUR", 3, today(0, 0), Some((reason::NO_LIMIT_FOR_CURRENCY, "CZK"))),
            (
                LimitDailyCount,
                "CZK",
                i64::MAX,
                today(0, i64::MAX),
                Some((reason::RULE_FAILED, "beyond 64 bits")),
            ),
        ];
        for (check, code, most, today, expected) in cases {
            let case = format!("{check:?} {code} {most} {today:?}");
            let rules = rules(vec![limit(check, code, most)]);
            let verdict = rules.evaluate(Scope::Payment, &subject(100), today);
            let Some((code, words)) = expected else {
                assert_eq!((verdict.severity, verdict.reasons), (Severity::Approve, vec![]), "{case}");
                continue;
            };
            assert_eq!(verdict.severity, Severity::Decline, "{case}");
            let [found] = verdict.reasons.as_slice() else { panic!("{case}: {:?}", verdict.reasons) };
            assert_eq!(found.code, code, "{case}");
            assert!(found.detail.contains(words), "{case}: {}", found.detail);
            assert_eq!((found.rule_id.as_deref(), found.rule_version), (Some("limit"), Some(7)), "{case}");
            let is_match = code.starts_with("LIMIT");
            assert_eq!(verdict.assessment.score, if is_match { 10 } else { 0 }, "{case}");

            let refund = rules.evaluate(Scope::FollowUp, &subject(100), today);
            assert_eq!((refund.severity, refund.reasons), (Severity::Approve, vec![]), "{case}: refund");
        }
    }

    #[test]
    fn deny_lists_by_field_and_outcome() {
        let cases = [
            (DenyField::DebtorAccount, "debtor-1", true),
            (DenyField::DebtorAccount, "DEBTOR-1", false),
            (DenyField::DebtorAccount, "debtor", false),
            (DenyField::MerchantId, "merchant-1", true),
            (DenyField::Country, "CZ", true),
            (DenyField::Country, "Cz", true),
            (DenyField::Country, "DE", false),
            (DenyField::Mcc, "5411", true),
            (DenyField::Ip, "192.0.2.1", true),
            (DenyField::Ip, "192.0.2.0", false),
            (DenyField::DeviceId, "device-1", true),
            (DenyField::CardBin, "411111", true),
            (DenyField::CardBin, "4111", false),
            (DenyField::PaymentMethod, "CARD", true),
        ];
        for (field, value, is_match) in cases {
            let rules = rules(vec![list(field, &["0", value, "zz"])]);
            for scope in [Scope::Payment, Scope::FollowUp] {
                let verdict = rules.evaluate(scope, &subject(100), Today::default());
                let codes: Vec<_> = verdict.reasons.iter().map(|reason| reason.code.as_str()).collect();
                let expected: &[&str] = if is_match { &[reason::DENY_LIST] } else { &[] };
                assert_eq!(codes, expected, "{field:?} {value} {scope:?}");
                assert_eq!(verdict.severity == Severity::Decline, is_match, "{field:?} {value} {scope:?}");
                for found in verdict.reasons {
                    assert!(!found.detail.contains(value), "the value is told: {}", found.detail);
                }
            }
        }
    }

    #[test]
    fn an_absent_field_is_on_no_list() {
        let absent =
            Subject { country: None, mcc: None, ip: None, device_id: None, card_bin: None, ..subject(1) };
        for field in
            [DenyField::Country, DenyField::Mcc, DenyField::Ip, DenyField::DeviceId, DenyField::CardBin]
        {
            let verdict =
                rules(vec![list(field, &["CZ", "5411"])]).evaluate(Scope::Payment, &absent, today(0, 0));
            assert_eq!(verdict.severity, Severity::Approve, "{field:?}");
        }
    }

    #[test]
    fn the_highest_severity_wins_and_all_reasons_stand_in_rule_order() {
        let review = Rule {
            id: "watch".into(),
            severity: RuleSeverity::Review,
            score: 5,
            ..list(DenyField::Country, &["CZ"])
        };
        let unknown = Rule { on_error: RuleSeverity::Review, ..limit(CheckKind::LimitDailySum, "EUR", 1) };
        let decline = limit(CheckKind::LimitPerPayment, "CZK", 99);
        let off = Rule { mode: Mode::Disabled, ..list(DenyField::Mcc, &["5411"]) };
        let calm = limit(CheckKind::LimitDailyCount, "CZK", 9);

        let mild = rules(vec![review.clone(), unknown.clone(), calm.clone()]);
        let verdict = mild.evaluate(Scope::Payment, &subject(100), today(50, 2));
        assert_eq!(verdict.severity, Severity::Review);

        let all = rules(vec![review, unknown, off, decline, calm]);
        let verdict = all.evaluate(Scope::Payment, &subject(100), today(50, 2));
        assert_eq!(verdict.severity, Severity::Decline);
        let codes: Vec<_> = verdict.reasons.iter().map(|reason| reason.code.as_str()).collect();
        assert_eq!(codes, [reason::DENY_LIST, reason::NO_LIMIT_FOR_CURRENCY, reason::LIMIT_PER_PAYMENT]);
        assert_eq!(verdict.assessment.score, 15);
    }

    #[test]
    fn features_are_what_the_rules_saw() {
        let cases = [
            (
                Scope::Payment,
                today(50, 2),
                vec![("amount_minor", 100), ("daily_count", 2), ("daily_sum_minor", 50)],
            ),
            (Scope::Payment, today(i128::MAX, 2), vec![("amount_minor", 100), ("daily_count", 2)]),
            (Scope::FollowUp, today(50, 2), vec![("amount_minor", 100)]),
        ];
        for (scope, today, expected) in cases {
            let verdict = Rules::default().evaluate(scope, &subject(100), today);
            assert_eq!(verdict.severity, Severity::Approve);
            let features: Vec<_> =
                verdict.assessment.features.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            assert_eq!(features, expected, "{scope:?} {today:?}");
        }
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let check = prop_oneof![
            Just(CheckKind::LimitPerPayment),
            Just(CheckKind::LimitDailySum),
            Just(CheckKind::LimitDailyCount),
        ];
        let limit = (check, prop_oneof![Just("CZK"), Just("EUR")], prop_oneof![0..200i64, Just(i64::MAX)])
            .prop_map(|(check, code, most)| limit(check, code, most));
        let list = prop_oneof![Just("5411"), Just("6011")].prop_map(|value| list(DenyField::Mcc, &[value]));
        let severity = prop_oneof![Just(RuleSeverity::Decline), Just(RuleSeverity::Review)];
        (prop_oneof![3 => limit, 1 => list], severity.clone(), severity, -5..100i32)
            .prop_map(|(rule, severity, on_error, score)| Rule { severity, on_error, score, ..rule })
    }

    fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
        proptest::collection::vec(any_rule(), 0..6)
    }

    fn any_today() -> impl Strategy<Value = Today> {
        let near = i128::from(i64::MAX);
        let sum = prop_oneof![0..200i128, near - 200..near + 200, any::<i128>()];
        let count = prop_oneof![0..200i64, Just(i64::MAX)];
        (sum, count).prop_map(|(sum_minor, count)| Today { sum_minor, count })
    }

    proptest! {
        #[test]
        fn a_live_rule_that_cannot_be_evaluated_never_approves(
            mut config in any_rules(), at in 0..6usize, today in any_today(), amount in 1..300i64,
        ) {
            let no_row = limit(CheckKind::LimitPerPayment, "JPY", 1_000_000);
            let no_row = Rule { on_error: RuleSeverity::Review, ..no_row };
            config.insert(at.min(config.len()), no_row);
            let verdict = rules(config).evaluate(Scope::Payment, &subject(amount), today);
            prop_assert!(verdict.severity > Severity::Approve);

            let daily_sum = rules(vec![limit(CheckKind::LimitDailySum, "CZK", i64::MAX)]);
            let verdict = daily_sum.evaluate(Scope::Payment, &subject(amount), today);
            let fits = i64::try_from(today.sum_minor).is_ok_and(|sum| sum.checked_add(amount).is_some());
            prop_assert_eq!(verdict.severity == Severity::Approve, fits);
        }

        #[test]
        fn a_shadow_rule_changes_nothing_but_the_shadow_list(
            config in any_rules(), added in any_rule(), at in 0..6usize, today in any_today(), amount in 1..300i64,
        ) {
            let alone = rules(vec![added.clone()]).evaluate(Scope::Payment, &subject(amount), today);
            let before = rules(config.clone()).evaluate(Scope::Payment, &subject(amount), today);
            let mut config = config;
            config.insert(at.min(config.len()), Rule { mode: Mode::Shadow, ..added });
            let mut after = rules(config).evaluate(Scope::Payment, &subject(amount), today);
            prop_assert_eq!(std::mem::take(&mut after.assessment.shadow), alone.reasons);
            prop_assert_eq!(after, before);
        }

        #[test]
        fn a_larger_amount_is_never_judged_milder(
            config in any_rules(), today in any_today(), small in 1..300i64, more in prop_oneof![0..300i64, Just(i64::MAX - 300)],
        ) {
            let rules = rules(config);
            let smaller = rules.evaluate(Scope::Payment, &subject(small), today);
            let larger = rules.evaluate(Scope::Payment, &subject(small + more), today);
            prop_assert!(larger.severity >= smaller.severity);
            prop_assert!(larger.reasons.len() >= smaller.reasons.len());
        }
    }
}
