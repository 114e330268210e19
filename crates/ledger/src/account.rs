//! The chart of accounts: which accounts exist and how they are written.
//!
//! Must not know which event moves them (`posting`). An account's identity includes the currency, which stands
//! beside its name in every entry.

use std::fmt;

use compact_str::CompactString;
use settle_types::MerchantId;

/// An account of the ledger, without its currency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// `merchant:{merchant id}:payable`: what is owed to the merchant; a debit balance is owed by the merchant.
    MerchantPayable(MerchantId),
    /// `merchant:{merchant id}:reserve`: kept back from the merchant for a time.
    MerchantReserve(MerchantId),
    /// `merchant:{merchant id}:in-transit`: on its way to the merchant's bank.
    MerchantInTransit(MerchantId),
    /// `scheme:{payment method}:receivable`: what the scheme of a payment method owes.
    SchemeReceivable(CompactString),
    /// `bank:{bank account}:cash`: money at a bank.
    BankCash(CompactString),
    /// `revenue:fees`: fees earned.
    RevenueFees,
    /// `expense:{kind}`: costs.
    Expense(CompactString),
    /// `chargeback:{merchant id}:suspense`: taken back by the scheme, its end not known yet.
    ChargebackSuspense(MerchantId),
    /// `rounding`: what a division left over.
    Rounding,
}

/// Patterns of the chart, in the order of [`Account`], with the side on which the balance normally stands.
/// docs/ledger.md shows these rows.
pub const CHART: &[(&str, &str, &str)] = &[
    (
        "merchant:{merchant id}:payable",
        "credit",
        "owed to the merchant; a debit balance is owed by the merchant",
    ),
    ("merchant:{merchant id}:reserve", "credit", "kept back from the merchant until its release"),
    ("merchant:{merchant id}:in-transit", "credit", "paid out, on its way to the merchant's bank"),
    ("scheme:{payment method}:receivable", "debit", "owed by the scheme of a payment method"),
    ("bank:{bank account}:cash", "debit", "money at a bank"),
    ("revenue:fees", "credit", "fees earned"),
    ("expense:{kind}", "debit", "costs"),
    ("chargeback:{merchant id}:suspense", "credit", "taken back by the scheme, outcome open"),
    ("rounding", "either", "what a division left over"),
];

impl Account {
    /// The name that stands in entries. Holds up to 24 bytes without an allocation.
    pub fn name(&self) -> CompactString {
        let (prefix, id, suffix) = self.parts();
        let mut name = CompactString::with_capacity(prefix.len() + id.len() + suffix.len());
        name.push_str(prefix);
        name.push_str(id);
        name.push_str(suffix);
        name
    }

    /// The account with this name; `None` if the chart has no such account, or the id in it is empty.
    ///
    /// Ids may contain `:`: what stands between the first and the last part of the pattern is the id.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "revenue:fees" => return Some(Self::RevenueFees),
            "rounding" => return Some(Self::Rounding),
            _ => {}
        }
        let (kind, rest) = name.split_once(':')?;
        if kind == "expense" {
            return (!rest.is_empty()).then(|| Self::Expense(CompactString::new(rest)));
        }
        let (id, role) = rest.rsplit_once(':')?;
        if id.is_empty() {
            return None;
        }
        match (kind, role) {
            ("merchant", "payable") => Some(Self::MerchantPayable(MerchantId::new(id))),
            ("merchant", "reserve") => Some(Self::MerchantReserve(MerchantId::new(id))),
            ("merchant", "in-transit") => Some(Self::MerchantInTransit(MerchantId::new(id))),
            ("scheme", "receivable") => Some(Self::SchemeReceivable(CompactString::new(id))),
            ("bank", "cash") => Some(Self::BankCash(CompactString::new(id))),
            ("chargeback", "suspense") => Some(Self::ChargebackSuspense(MerchantId::new(id))),
            _ => None,
        }
    }

    /// The merchant that the account is about, if it is about one.
    pub fn merchant(&self) -> Option<&MerchantId> {
        match self {
            Self::MerchantPayable(merchant)
            | Self::MerchantReserve(merchant)
            | Self::MerchantInTransit(merchant)
            | Self::ChargebackSuspense(merchant) => Some(merchant),
            Self::SchemeReceivable(_)
            | Self::BankCash(_)
            | Self::RevenueFees
            | Self::Expense(_)
            | Self::Rounding => None,
        }
    }

    fn parts(&self) -> (&'static str, &str, &'static str) {
        match self {
            Self::MerchantPayable(merchant) => ("merchant:", merchant.as_str(), ":payable"),
            Self::MerchantReserve(merchant) => ("merchant:", merchant.as_str(), ":reserve"),
            Self::MerchantInTransit(merchant) => ("merchant:", merchant.as_str(), ":in-transit"),
            Self::SchemeReceivable(method) => ("scheme:", method.as_str(), ":receivable"),
            Self::BankCash(bank_account) => ("bank:", bank_account.as_str(), ":cash"),
            Self::RevenueFees => ("revenue:fees", "", ""),
            Self::Expense(kind) => ("expense:", kind.as_str(), ""),
            Self::ChargebackSuspense(merchant) => ("chargeback:", merchant.as_str(), ":suspense"),
            Self::Rounding => ("rounding", "", ""),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One account of every kind, all with the same id, in the order of the chart.
    fn every_kind(id: &str) -> Vec<Account> {
        vec![
            Account::MerchantPayable(MerchantId::new(id)),
            Account::MerchantReserve(MerchantId::new(id)),
            Account::MerchantInTransit(MerchantId::new(id)),
            Account::SchemeReceivable(CompactString::new(id)),
            Account::BankCash(CompactString::new(id)),
            Account::RevenueFees,
            Account::Expense(CompactString::new(id)),
            Account::ChargebackSuspense(MerchantId::new(id)),
            Account::Rounding,
        ]
    }

    #[test]
    fn names_are_those_of_the_chart() {
        let accounts = every_kind("m-1");
        assert_eq!(accounts.len(), CHART.len());
        for (account, (pattern, _, _)) in accounts.iter().zip(CHART) {
            let expected = match (pattern.find('{'), pattern.find('}')) {
                (Some(start), Some(end)) => format!("{}m-1{}", &pattern[..start], &pattern[end + 1..]),
                _ => (*pattern).to_string(),
            };
            assert_eq!(account.to_string(), expected);
        }
    }

    #[test]
    fn what_is_not_in_the_chart_is_none() {
        let names = [
            "",
            "rounding:",
            "revenue:",
            "revenue:other",
            "expense:",
            "merchant:m-1",
            "merchant:payable",
            "merchant::payable",
            "merchant:m-1:cash",
            "scheme:m-1:payable",
            "Merchant:m-1:payable",
        ];
        for name in names {
            assert_eq!(Account::parse(name), None, "{name}");
        }
    }

    #[test]
    fn an_id_may_look_like_an_account() {
        let expected = Account::MerchantReserve(MerchantId::new("merchant:m-1:payable"));
        assert_eq!(Account::parse("merchant:merchant:m-1:payable:reserve"), Some(expected));
    }

    proptest! {
        #[test]
        fn a_name_and_back(id in "[a-z0-9:é{} -]{1,40}|:payable|payable:|\\PC{1,40}") {
            for account in every_kind(&id) {
                prop_assert_eq!(Account::parse(&account.name()), Some(account.clone()));
                prop_assert_eq!(account.to_string(), account.name().to_string());
            }
        }
    }
}
