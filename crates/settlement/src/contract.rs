//! Contracts as operators write them: `[contracts.default]` and `[contracts."m-1"]`.
//!
//! Owns the shape and the defaults. What a contract must satisfy is checked where it is compiled (`compiled`).
//!
//! A merchant's table is complete on its own: it takes nothing from `default`. So a contract can be read, signed
//! and audited in one place, and a change of `default` never changes a merchant that has a contract.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use settle_types::{BasisPoints, Currency, MerchantId, Minor};

/// Name of the table for merchants that have none of their own.
pub const DEFAULT_CONTRACT: &str = "default";

/// Key of the fee for payment methods that have none of their own.
pub const ANY_METHOD: &str = "*";

/// The whole, in basis points: no share is above it.
pub const MAX_BASIS_POINTS: u32 = 10_000;
/// Longest T+N in business days.
pub const MAX_SETTLEMENT_DELAY_DAYS: u32 = 365;
/// Longest time for which a reserve is kept, in days.
pub const MAX_RESERVE_DAYS: u32 = 3_650;

/// Contracts by merchant id. The table `default` holds for every merchant without a table; without it, such a
/// merchant's payments are refused. A merchant's table is complete on its own: it takes nothing from `default`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Contracts(pub BTreeMap<String, Contract>);

impl Contracts {
    /// The merchant's contract, else the default, else `None`.
    pub fn find(&self, merchant_id: &MerchantId) -> Option<&Contract> {
        self.0.get(merchant_id.as_str()).or_else(|| self.0.get(DEFAULT_CONTRACT))
    }
}

/// What was agreed with a merchant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Contract {
    /// ACTIVE, or BLOCKED: every payment of the merchant is refused. Default: ACTIVE.
    pub status: ContractStatus,
    /// Fees by payment method; `*` is for methods without a fee of their own. A payment whose method has no fee
    /// is refused. Required: without a fee, even one of zero, every payment is refused.
    pub fees: BTreeMap<String, Fee>,
    /// The N of T+N: a batch is paid out N business days after its sales day. 0 to 365. Default: 1.
    pub settlement_delay_days: u32,
    /// Local time at which a sales day ends, `HH:MM`; from then on sales count for the next day. `00:00` is the
    /// end of the calendar day. Default: `00:00`.
    pub cut_off: String,
    /// IANA name of the zone of `cut_off` and of the sales day, such as `Europe/Prague`. Default: `UTC`.
    pub time_zone: String,
    /// Name of the calendar that counts business days: `weekends`, `every-day`, `target2`, or one of
    /// `[calendars]`. Default: `weekends`.
    pub calendar: String,
    /// Share of a batch's sales that is kept back when it closes, in basis points (100 are 1 %). 0 to 10000.
    /// Default: 0.
    #[schemars(with = "u32")]
    pub reserve_basis_points: BasisPoints,
    /// Days of 24 hours, counted from the cut-off, for which a reserve is kept. 0 to 3650; above 0 where
    /// `reserve_basis_points` is. Default: 0.
    pub reserve_days: u32,
    /// Lowest payout in minor units, by currency; a batch below it is carried into the next. A currency without
    /// a row has no minimum.
    #[schemars(with = "BTreeMap<String, i64>")]
    pub minimum_payout_minor: BTreeMap<Currency, Minor>,
    /// How far the merchant may fall into debt in minor units, by currency: what would go beyond is refused.
    /// A currency without a row has no cap.
    #[schemars(with = "BTreeMap<String, i64>")]
    pub net_debit_cap_minor: BTreeMap<Currency, Minor>,
    /// True if a refund gives the merchant its share of the fee back. Default: false.
    pub refund_returns_fee: bool,
}

impl Default for Contract {
    fn default() -> Self {
        Self {
            status: ContractStatus::Active,
            fees: BTreeMap::new(),
            settlement_delay_days: 1,
            cut_off: "00:00".to_string(),
            time_zone: "UTC".to_string(),
            calendar: crate::calendar::WEEKENDS.to_string(),
            reserve_basis_points: BasisPoints::default(),
            reserve_days: 0,
            minimum_payout_minor: BTreeMap::new(),
            net_debit_cap_minor: BTreeMap::new(),
            refund_returns_fee: false,
        }
    }
}

impl Contract {
    /// True if every payment of the merchant is refused.
    pub fn is_blocked(&self) -> bool {
        self.status == ContractStatus::Blocked
    }

    /// The fee of a payment method; `None` if neither the method nor `*` has one.
    pub fn fee_for(&self, payment_method: &str) -> Option<&Fee> {
        self.fees.get(payment_method).or_else(|| self.fees.get(ANY_METHOD))
    }

    /// Lowest payout of a currency; zero if there is no minimum.
    pub fn minimum_payout(&self, currency: Currency) -> Minor {
        self.minimum_payout_minor.get(&currency).copied().unwrap_or(Minor::ZERO)
    }

    /// How far the merchant may fall into debt; `None` if there is no cap.
    pub fn net_debit_cap(&self, currency: Currency) -> Option<Minor> {
        self.net_debit_cap_minor.get(&currency).copied()
    }
}

/// Whether a merchant's payments are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContractStatus {
    /// They are.
    #[default]
    Active,
    /// They are refused.
    Blocked,
}

/// What a payment costs the merchant: a share of the amount and a fixed part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fee {
    /// Share of the amount in basis points (100 are 1 %), rounded half to even. 0 to 10000. Default: 0.
    #[schemars(with = "u32")]
    pub basis_points: BasisPoints,
    /// Fixed part in minor units, by currency, added to the share. A currency without a row has none.
    #[schemars(with = "BTreeMap<String, i64>")]
    pub fixed_minor: BTreeMap<Currency, Minor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"
        [default]
        time_zone = "Europe/Prague"
        cut_off = "17:00"
        settlement_delay_days = 2
        calendar = "target2"
        [default.fees.CARD]
        basis_points = 290
        fixed_minor = { EUR = 25, CZK = 600 }
        [default.fees."*"]
        basis_points = 50

        ["m-1"]
        status = "BLOCKED"
    "#;

    fn currency(code: &str) -> Currency {
        Currency::new(code).expect("a code")
    }

    #[test]
    fn a_merchant_without_a_table_gets_the_default() {
        let contracts: Contracts = toml::from_str(EXAMPLE).expect("valid");
        let contract = contracts.find(&MerchantId::new("m-2")).expect("the default");
        assert_eq!((contract.time_zone.as_str(), contract.cut_off.as_str()), ("Europe/Prague", "17:00"));
        let card = contract.fee_for("CARD").expect("a fee");
        assert_eq!(card.fixed_minor[&currency("CZK")], Minor::new(600));
        assert_eq!(contract.fee_for("BANK_TRANSFER").expect("*").basis_points, BasisPoints::new(50));
        assert_eq!(contract.minimum_payout(currency("EUR")), Minor::ZERO);
        assert_eq!(contract.net_debit_cap(currency("EUR")), None);
        assert_eq!(Contracts::default().find(&MerchantId::new("m-2")), None);
    }

    #[test]
    fn a_table_takes_nothing_from_the_default() {
        let contracts: Contracts = toml::from_str(EXAMPLE).expect("valid");
        let contract = contracts.find(&MerchantId::new("m-1")).expect("its own");
        assert!(contract.is_blocked());
        assert_eq!(*contract, Contract { status: ContractStatus::Blocked, ..Contract::default() });
    }

    #[test]
    fn json_and_back() {
        let contracts: Contracts = toml::from_str(EXAMPLE).expect("valid");
        let json = serde_json::to_string(&contracts).expect("JSON");
        assert_eq!(serde_json::from_str::<Contracts>(&json).expect("JSON"), contracts);
    }

    #[test]
    fn what_is_not_a_contract() {
        let cases = [
            ("[m]\ncutoff = \"17:00\"", "unknown field `cutoff`"),
            ("[m]\nstatus = \"OPEN\"", "unknown variant `OPEN`"),
            ("[m]\nreserve_basis_points = -1", "invalid value: integer `-1`"),
            ("[m.fees.CARD]\nfixed_minor = { euro = 1 }", "three capital letters"),
            ("[m.fees.CARD]\nbasis_points = 1.5", "floating point"),
        ];
        for (text, expected) in cases {
            let error = toml::from_str::<Contracts>(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn every_field_is_described_for_the_reference() {
        let schema = schemars::schema_for!(Contract);
        let properties = schema.as_value()["properties"].as_object().expect("an object");
        assert_eq!(properties.len(), 11);
        for (name, property) in properties {
            assert!(property["description"].is_string(), "{name} has no description");
            assert!(property.get("default").is_some(), "{name} has no default");
        }
    }
}
