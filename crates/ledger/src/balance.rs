//! Sums over entries: the sign convention and the trial balance that reports and tests read.

use std::collections::BTreeMap;

use compact_str::CompactString;
use settle_types::Currency;
use settle_types::settle::{Direction, Entry, LedgerTransaction};

/// The entry's amount in minor units: a debit counts above zero, a credit below. An entry whose direction this
/// version does not know counts as zero; [`crate::Chain::verify`] refuses it and a [`TrialBalance`] reports it.
pub fn signed(entry: &Entry) -> i128 {
    match entry.direction {
        Direction::Debit => entry.amount_minor.wide(),
        Direction::Credit => -entry.amount_minor.wide(),
        Direction::Unknown => 0,
    }
}

/// Both sides of an account or of a currency, in minor units.
///
/// Sums are exact: 128 bits hold more than 2^64 entries of the highest amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// Sum of the debits.
    pub debits: i128,
    /// Sum of the credits.
    pub credits: i128,
}

impl Sides {
    /// Debits less credits: above zero a debit balance, below a credit balance.
    pub fn balance(&self) -> i128 {
        self.debits - self.credits
    }

    pub(crate) fn add(&mut self, entry: &Entry) {
        match entry.direction {
            Direction::Debit => self.debits += entry.amount_minor.wide(),
            Direction::Credit => self.credits += entry.amount_minor.wide(),
            Direction::Unknown => {}
        }
    }
}

/// Debits and credits by account and currency. Partitions may be added in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialBalance {
    rows: BTreeMap<(CompactString, Currency), Sides>,
    entries_of_unknown_direction: u64,
}

impl TrialBalance {
    /// Adds the entries of a transaction.
    pub fn add(&mut self, transaction: &LedgerTransaction) {
        for entry in &transaction.entries {
            self.add_entry(entry);
        }
    }

    /// Adds one entry.
    pub fn add_entry(&mut self, entry: &Entry) {
        if entry.direction == Direction::Unknown {
            self.entries_of_unknown_direction += 1;
            return;
        }
        self.rows.entry((entry.account.clone(), entry.currency)).or_default().add(entry);
    }

    /// True if debits equal credits for each currency, and every entry had a side.
    pub fn is_balanced(&self) -> bool {
        let is_even = self.totals().values().all(|sides| sides.debits == sides.credits);
        is_even && self.entries_of_unknown_direction == 0
    }

    /// Every account and currency that was posted to, in the order of account and currency.
    pub fn rows(&self) -> impl Iterator<Item = (&str, Currency, Sides)> {
        self.rows.iter().map(|((account, currency), sides)| (account.as_str(), *currency, *sides))
    }

    /// Both sides of each currency over all accounts.
    pub fn totals(&self) -> BTreeMap<Currency, Sides> {
        let mut totals: BTreeMap<Currency, Sides> = BTreeMap::new();
        for ((_, currency), sides) in &self.rows {
            let total = totals.entry(*currency).or_default();
            total.debits += sides.debits;
            total.credits += sides.credits;
        }
        totals
    }

    /// Debits less credits of one account, in minor units; zero if nothing was posted to it.
    pub fn balance(&self, account: &str, currency: Currency) -> i128 {
        let key = (CompactString::new(account), currency);
        self.rows.get(&key).map_or(0, Sides::balance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use settle_types::Minor;

    fn entry(account: &str, direction: Direction, amount: i64, currency: &str) -> Entry {
        let currency = Currency::new(currency).expect("a code");
        Entry { account: account.into(), direction, amount_minor: Minor::new(amount), currency }
    }

    #[test]
    fn signs() {
        let cases = [(Direction::Debit, 7), (Direction::Credit, -7), (Direction::Unknown, 0)];
        for (direction, expected) in cases {
            assert_eq!(signed(&entry("rounding", direction, 7, "EUR")), expected);
        }
    }

    #[test]
    fn a_trial_balance_by_hand() {
        let (euro, yen) = (Currency::new("EUR").expect("a code"), Currency::new("JPY").expect("a code"));
        let mut trial_balance = TrialBalance::default();
        assert!(trial_balance.is_balanced());
        trial_balance.add_entry(&entry("a", Direction::Debit, i64::MAX, "EUR"));
        trial_balance.add_entry(&entry("a", Direction::Debit, i64::MAX, "EUR"));
        trial_balance.add_entry(&entry("b", Direction::Credit, i64::MAX, "EUR"));
        trial_balance.add_entry(&entry("b", Direction::Credit, i64::MAX, "EUR"));
        assert!(trial_balance.is_balanced());
        assert_eq!(trial_balance.balance("a", euro), 2 * i128::from(i64::MAX));
        assert_eq!(trial_balance.balance("a", yen), 0);

        trial_balance.add_entry(&entry("a", Direction::Debit, 5, "JPY"));
        assert!(!trial_balance.is_balanced(), "a currency is balanced by itself");
        trial_balance.add_entry(&entry("c", Direction::Credit, 5, "JPY"));
        assert!(trial_balance.is_balanced());
        let rows: Vec<_> = trial_balance.rows().map(|(account, currency, _)| (account, currency)).collect();
        assert_eq!(rows, [("a", euro), ("a", yen), ("b", euro), ("c", yen)]);
        assert_eq!(trial_balance.totals()[&yen], Sides { debits: 5, credits: 5 });
    }

    #[test]
    fn an_entry_without_a_side_is_never_balanced() {
        let mut trial_balance = TrialBalance::default();
        trial_balance.add_entry(&entry("a", Direction::Unknown, 5, "EUR"));
        assert!(!trial_balance.is_balanced());
    }
}
