//! Configuration of AUTHORIZE: what is journaled, and its prepared form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use settle_risk::{RiskConfig, Rules};
use settle_types::event::ConfigActivation;
use settle_types::{Currency, CurrencyTable, Duration, Timestamp};

use crate::clock::ClockConfig;
use crate::stage::{ActiveConfig, ConfigError};

/// Format that an id or account field is declared to have. A declared field is held to its format, and not
/// searched for card numbers: a tenth of long numeric ids would pass their check digit by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IdFormat {
    /// Digits only.
    Numeric,
    /// Two letters, two digits, then letters and digits: ISO 13616.
    Iban,
    /// 8-4-4-4-12 hexadecimal digits: RFC 9562.
    Uuid,
    /// Anything: the operator vouches that no card number stands there.
    Text,
}

/// Names of the fields that may be declared in `id_formats`.
pub const ID_FIELDS: [&str; 5] =
    ["payment_id", "original_payment_id", "idempotency_key", "debtor_account", "merchant_id"];

/// Longest retention of keys: a payment is remembered for 550 days.
pub const MAX_KEY_RETENTION_DAYS: u32 = 550;

/// Everything that decisions of AUTHORIZE depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizeSettings {
    /// The clock.
    pub clock: ClockConfig,
    /// Days for which a key answers with its first decision.
    pub key_retention_days: u32,
    /// Decimals of currencies that ISO 4217 lacks or that are to differ from it.
    pub currency_exponents: BTreeMap<Currency, u8>,
    /// Field name to declared format.
    pub id_formats: BTreeMap<String, IdFormat>,
    /// The rules.
    pub risk: RiskConfig,
    /// Whether a request in the wrong partition is sent to its right one; otherwise it is INVALID. Left out where it is
    /// off: what a version without it has journaled, and reads, stays the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reroute_wrong_partition: bool,
}

/// The configuration of AUTHORIZE, prepared.
#[derive(Debug)]
pub struct AuthorizeConfig {
    settings: AuthorizeSettings,
    currencies: CurrencyTable,
    rules: Rules,
}

impl AuthorizeConfig {
    /// Prepares settings; fails with every problem that they have.
    pub fn new(settings: AuthorizeSettings) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        for field in settings.id_formats.keys().filter(|field| !ID_FIELDS.contains(&field.as_str())) {
            let known = ID_FIELDS.join(", ");
            problems.push(format!(
                "id_formats.{field}: no such id or account field; one of {known} was expected"
            ));
        }
        if !(1..=MAX_KEY_RETENTION_DAYS).contains(&settings.key_retention_days) {
            problems.push(format!(
                "key_retention_days: {} was found, 1 to {MAX_KEY_RETENTION_DAYS} was expected: payments are remembered no longer",
                settings.key_retention_days
            ));
        }
        let jump_days = settings.clock.max_event_jump_seconds / 86_400;
        if jump_days >= settings.key_retention_days {
            problems.push(format!(
                "clock.max_event_jump_seconds: one request could expire every key; less than the retention of {} days was expected",
                settings.key_retention_days
            ));
        }
        let rules = match settings.risk.compile() {
            Ok(rules) if problems.is_empty() => rules,
            Ok(_) => return Err(ConfigError::Invalid(problems)),
            Err(found) => {
                problems.extend(found.iter().map(|problem| format!("risk.{problem}")));
                return Err(ConfigError::Invalid(problems));
            }
        };
        let currencies = CurrencyTable::with_overrides(&settings.currency_exponents);
        Ok(Self { settings, currencies, rules })
    }

    /// The clock.
    pub fn clock(&self) -> &ClockConfig {
        &self.settings.clock
    }

    /// The currencies.
    pub fn currencies(&self) -> &CurrencyTable {
        &self.currencies
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The format that a field was declared to have.
    pub fn id_format(&self, field: &str) -> Option<IdFormat> {
        self.settings.id_formats.get(field).copied()
    }

    /// Whether a request in the wrong partition is sent to its right one.
    pub fn reroutes_wrong_partition(&self) -> bool {
        self.settings.reroute_wrong_partition
    }

    /// Until when a key consumed now answers with its first decision.
    pub fn key_expires_at(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(Duration::from_days(self.settings.key_retention_days))
    }
}

impl ActiveConfig for AuthorizeConfig {
    fn from_activation(activation: &ConfigActivation) -> Result<Self, ConfigError> {
        Self::new(serde_json::from_str(&activation.content)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage;

    #[test]
    fn settings_from_before_requests_were_rerouted_mean_the_same_and_have_the_same_hash() {
        let before = r#"{"clock":{"mode":"processing","max_clock_skew_seconds":300,"max_event_jump_seconds":259200},"key_retention_days":7,"currency_exponents":{},"id_formats":{},"risk":{"rules":[]}}"#;
        let read: AuthorizeSettings = serde_json::from_str(before).expect("settings without the field");
        let settings = AuthorizeSettings { key_retention_days: 7, ..AuthorizeSettings::default() };
        assert_eq!(read, settings);
        assert!(!read.reroute_wrong_partition);
        assert_eq!(stage::activation(&settings).content, before);
    }

    #[test]
    fn rerouting_is_journaled_and_read_back() {
        let rejects = AuthorizeSettings { key_retention_days: 7, ..AuthorizeSettings::default() };
        let reroutes = AuthorizeSettings { reroute_wrong_partition: true, ..rejects.clone() };
        let activation = stage::activation(&reroutes);
        assert_ne!(activation.hash, stage::activation(&rejects).hash);
        let config = AuthorizeConfig::from_activation(&activation).expect("valid settings");
        assert!(config.reroutes_wrong_partition());
    }
}
