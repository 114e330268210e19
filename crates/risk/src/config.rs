//! The shape of rules as analysts write them. Owns names and defaults of the keys; whether the values make
//! sense is said by `check`, what they do by `rules`.
//!
//! A rule is one flat table, not an enum with a table per kind: so the parser itself refuses unknown keys and
//! names line and column, and each key has one row in the configuration reference.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use settle_types::Currency;

/// Risk rules: what a payment is judged by before it is approved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RiskConfig {
    /// The rules. All of them are evaluated, in this order, and the highest severity wins. Without any, every
    /// payment is approved.
    pub rules: Vec<Rule>,
}

/// One rule. Which of `limits_minor`, `limits`, `field` and `values` it needs depends on `check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name of the rule in decisions. Not empty, and unique among all rules.
    pub id: String,
    /// Version in decisions, from 1. Raise it with every change, so that a decision names the text that made it.
    pub version: i32,
    /// `LIVE` decides, `SHADOW` is only recorded, `DISABLED` is not evaluated.
    #[serde(default)]
    pub mode: Mode,
    /// What a match means. `REVIEW` is refused until reviews can be resolved.
    #[serde(default)]
    pub severity: RuleSeverity,
    /// What it means when the rule cannot be evaluated; approval is not on offer. `REVIEW` is refused until
    /// reviews can be resolved.
    #[serde(default)]
    pub on_error: RuleSeverity,
    /// Added to the score of the decision when the rule is live and matches. Decides nothing.
    #[serde(default)]
    pub score: i32,
    /// What the rule looks at.
    pub check: CheckKind,
    /// Of `LIMIT_PER_PAYMENT` and `LIMIT_DAILY_SUM`: the highest amount that is still fine, in minor units, by
    /// currency. A currency without a row makes the rule impossible to evaluate (`on_error`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, i64>>")]
    pub limits_minor: Option<BTreeMap<Currency, i64>>,
    /// Of `LIMIT_DAILY_COUNT`: the highest number of payments that is still fine, by currency. A currency
    /// without a row makes the rule impossible to evaluate (`on_error`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, i64>>")]
    pub limits: Option<BTreeMap<Currency, i64>>,
    /// Of `DENY_LIST`: the field of the request that is looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<DenyField>,
    /// Of `DENY_LIST`: the values that match, compared exactly, upper and lower case told apart (but not for
    /// `COUNTRY`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<BTreeSet<String>>,
}

/// Whether a rule decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    /// Evaluated; its verdict counts.
    #[default]
    Live,
    /// Evaluated and recorded in the decision; changes nothing.
    Shadow,
    /// Checked with the configuration, never evaluated.
    Disabled,
}

/// What a rule can ask for. No rule can ask for an approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RuleSeverity {
    /// The payment is not taken.
    #[default]
    Decline,
    /// A person decides.
    Review,
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckKind {
    /// The amount of the payment.
    LimitPerPayment,
    /// What the debtor has paid in this currency on this UTC day, with this payment.
    LimitDailySum,
    /// How many payments the debtor has made in this currency on this UTC day, with this one.
    LimitDailyCount,
    /// One field of the request against a list.
    DenyList,
}

impl CheckKind {
    /// The name in configuration and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LimitPerPayment => "LIMIT_PER_PAYMENT",
            Self::LimitDailySum => "LIMIT_DAILY_SUM",
            Self::LimitDailyCount => "LIMIT_DAILY_COUNT",
            Self::DenyList => "DENY_LIST",
        }
    }
}

/// A field of the request that a deny list can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DenyField {
    /// `debtor_account`.
    DebtorAccount,
    /// `merchant_id`.
    MerchantId,
    /// `country`; upper and lower case are the same.
    Country,
    /// `mcc`.
    Mcc,
    /// `ip`, as the text that was sent.
    Ip,
    /// `device_id`.
    DeviceId,
    /// `card.bin`, as the text that was sent.
    CardBin,
    /// `payment_method`.
    PaymentMethod,
}

impl DenyField {
    /// The field in the request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DebtorAccount => "debtor_account",
            Self::MerchantId => "merchant_id",
            Self::Country => "country",
            Self::Mcc => "mcc",
            Self::Ip => "ip",
            Self::DeviceId => "device_id",
            Self::CardBin => "card.bin",
            Self::PaymentMethod => "payment_method",
        }
    }
}

/// One thing that is wrong with the configuration. Never holds a value of a deny list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}; {hint}")]
pub struct Problem {
    /// Where, from the risk section on: `rules[2].limits_minor`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        risk: RiskConfig,
    }

    fn parse(rule: &str) -> Result<RiskConfig, toml::de::Error> {
        toml::from_str::<File>(&format!("[[risk.rules]]\n{rule}")).map(|file| file.risk)
    }

    #[test]
    fn a_rule_needs_id_version_and_check_only() {
        let config = parse(
            "id = \"large\"\nversion = 1\ncheck = \"LIMIT_PER_PAYMENT\"\nlimits_minor = { CZK = 5_000_000 }",
        )
        .expect("a rule");
        let rule = &config.rules[0];
        assert_eq!(rule.mode, Mode::Live);
        assert_eq!((rule.severity, rule.on_error), (RuleSeverity::Decline, RuleSeverity::Decline));
        assert_eq!(rule.score, 0);
        let czk = Currency::new("CZK").expect("a code");
        assert_eq!(rule.limits_minor, Some(BTreeMap::from([(czk, 5_000_000)])));
    }

    #[test]
    fn what_the_parser_refuses() {
        let start = "id = \"r\"\nversion = 1\n";
        let cases = [
            ("check = \"DENY_LIST\"\nvalue = [\"x\"]", "unknown field `value`"),
            ("check = \"LIMIT\"", "unknown variant `LIMIT`"),
            ("check = \"deny_list\"", "unknown variant `deny_list`"),
            ("check = \"DENY_LIST\"\nseverity = \"APPROVE\"", "unknown variant `APPROVE`"),
            ("check = \"DENY_LIST\"\nmode = \"live\"", "unknown variant `live`"),
            ("check = \"LIMIT_DAILY_SUM\"\nlimits_minor = { czk = 1 }", "three capital letters"),
            ("check = \"LIMIT_DAILY_SUM\"\nlimits_minor = { CZK = 1.5 }", "expected i64"),
            ("mode = \"LIVE\"", "missing field `check`"),
        ];
        for (rest, expected) in cases {
            let error = parse(&format!("{start}{rest}")).expect_err(rest).to_string();
            assert!(error.contains(expected), "{rest}: {error}");
            assert!(error.contains("line"), "{rest}: {error}");
        }
        assert!(toml::from_str::<RiskConfig>("rulez = []").is_err());
    }

    #[test]
    fn json_and_back_without_keys_of_other_kinds() {
        let config = parse(
            "id = \"lost\"\nversion = 3\ncheck = \"DENY_LIST\"\nfield = \"CARD_BIN\"\nvalues = [\"41\", \"40\"]",
        )
        .expect("a rule");
        let json = serde_json::to_string(&config).expect("serialises");
        assert_eq!(serde_json::from_str::<RiskConfig>(&json).expect("parses"), config);
        assert!(json.contains(r#""values":["40","41"]"#), "sorted: {json}");
        assert!(!json.contains("limits"), "{json}");
    }

    #[test]
    fn the_reference_explains_every_key() {
        let schema = serde_json::to_value(schemars::schema_for!(RiskConfig)).expect("a schema");
        let properties = schema["$defs"]["Rule"]["properties"].as_object().expect("keys of a rule");
        assert_eq!(properties.len(), 11);
        for (key, property) in properties {
            assert!(property["description"].is_string(), "{key} has no description");
        }
    }
}
