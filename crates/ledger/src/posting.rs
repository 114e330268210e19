//! The posting table: which rows each business event posts. Data, versioned, equal to docs/ledger.md.
//!
//! Must not know how amounts are found or when an event posts.

use std::fmt;

use compact_str::CompactString;
use settle_types::settle::{Direction, Entry};
use settle_types::{Currency, MerchantId, Minor};

use crate::account::Account;
use crate::error::Error;

/// Version of [`TABLE`]. It rises with every change of a row: postings made before keep their rows.
pub const POSTING_TABLE_VERSION: i32 = 1;

/// A business event that posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Posting {
    /// A PAYMENT is booked: `amount` gross, `fee` charged.
    Sale,
    /// A REFUND is booked: `amount` given back, `fee` returned to the merchant (zero if the contract keeps it).
    Refund,
    /// A CHARGEBACK is booked: `amount`.
    Chargeback,
    /// A CHARGEBACK_REVERSAL is booked: `amount`.
    ChargebackReversal,
    /// A booked PAYMENT is undone before its batch closed: `amount` and `fee` of the sale.
    Cancellation,
    /// A batch closes: `reserve` kept back, `payout` on its way.
    BatchClose,
    /// A reserve falls free: `amount`.
    ReserveRelease,
}

impl Posting {
    /// Every posting, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Sale,
        Self::Refund,
        Self::Chargeback,
        Self::ChargebackReversal,
        Self::Cancellation,
        Self::BatchClose,
        Self::ReserveRelease,
    ];

    /// The name in schemas and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "SALE",
            Self::Refund => "REFUND",
            Self::Chargeback => "CHARGEBACK",
            Self::ChargebackReversal => "CHARGEBACK_REVERSAL",
            Self::Cancellation => "CANCELLATION",
            Self::BatchClose => "BATCH_CLOSE",
            Self::ReserveRelease => "RESERVE_RELEASE",
        }
    }

    /// The posting with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|posting| posting.as_str() == name)
    }

    /// The entries of this posting, in the order of the table, without rows of zero.
    ///
    /// Empty if every amount is zero: then there is nothing to post, and [`crate::Chain::seal`] refuses it.
    /// Fails on an amount below zero, on an amount that no row of this posting uses, and on a missing payment
    /// method where a row needs one.
    pub fn entries(self, input: &PostingInput<'_>) -> Result<Vec<Entry>, Error> {
        for name in AmountName::ALL {
            self.check_amount(name, input.amounts.get(name))?;
        }
        let mut entries = Vec::with_capacity(4);
        for row in TABLE.iter().filter(|row| row.posting == self) {
            let amount_minor = input.amounts.get(row.amount);
            if amount_minor.is_zero() {
                continue;
            }
            for (role, direction) in [(row.debit, Direction::Debit), (row.credit, Direction::Credit)] {
                let account = role.account(self, input)?.name();
                entries.push(Entry { account, direction, amount_minor, currency: input.currency });
            }
        }
        Ok(entries)
    }

    fn check_amount(self, name: AmountName, amount: Minor) -> Result<(), Error> {
        if amount.is_negative() {
            return Err(Error::AmountNegative { posting: self, name, amount });
        }
        let is_used = TABLE.iter().any(|row| row.posting == self && row.amount == name);
        if !amount.is_zero() && !is_used {
            return Err(Error::AmountUnused { posting: self, name, amount });
        }
        Ok(())
    }
}

impl fmt::Display for Posting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// What one posting is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostingInput<'a> {
    /// Whose accounts move.
    pub merchant_id: &'a MerchantId,
    /// Names the scheme's account; needed by SALE, REFUND and CANCELLATION.
    pub payment_method: Option<&'a str>,
    /// Currency of every amount.
    pub currency: Currency,
    /// How much.
    pub amounts: Amounts,
}

/// The amounts of a posting in minor units, none below zero. Those that a posting does not use stay zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Gross amount of the payment or follow-up, or the reserve that is released.
    pub amount: Minor,
    /// Fee charged (SALE), given back (REFUND) or undone (CANCELLATION).
    pub fee: Minor,
    /// Kept back at BATCH_CLOSE.
    pub reserve: Minor,
    /// Paid out at BATCH_CLOSE.
    pub payout: Minor,
}

impl Amounts {
    /// Of CHARGEBACK, CHARGEBACK_REVERSAL and RESERVE_RELEASE.
    pub fn of_amount(amount: Minor) -> Self {
        Self { amount, ..Self::default() }
    }

    /// Of SALE, REFUND and CANCELLATION.
    pub fn with_fee(amount: Minor, fee: Minor) -> Self {
        Self { amount, fee, ..Self::default() }
    }

    /// Of BATCH_CLOSE.
    pub fn of_close(reserve: Minor, payout: Minor) -> Self {
        Self { reserve, payout, ..Self::default() }
    }

    fn get(&self, name: AmountName) -> Minor {
        match name {
            AmountName::Amount => self.amount,
            AmountName::Fee => self.fee,
            AmountName::Reserve => self.reserve,
            AmountName::Payout => self.payout,
        }
    }
}

/// Which of the [`Amounts`] a row posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountName {
    /// [`Amounts::amount`].
    Amount,
    /// [`Amounts::fee`].
    Fee,
    /// [`Amounts::reserve`].
    Reserve,
    /// [`Amounts::payout`].
    Payout,
}

impl AmountName {
    const ALL: [Self; 4] = [Self::Amount, Self::Fee, Self::Reserve, Self::Payout];
}

impl fmt::Display for AmountName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Amount => "amount",
            Self::Fee => "fee",
            Self::Reserve => "reserve",
            Self::Payout => "payout",
        })
    }
}

/// An account of the table, before the merchant and the payment method are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// [`Account::MerchantPayable`].
    MerchantPayable,
    /// [`Account::MerchantReserve`].
    MerchantReserve,
    /// [`Account::MerchantInTransit`].
    MerchantInTransit,
    /// [`Account::SchemeReceivable`].
    SchemeReceivable,
    /// [`Account::RevenueFees`].
    RevenueFees,
    /// [`Account::ChargebackSuspense`].
    ChargebackSuspense,
}

impl Role {
    fn account(self, posting: Posting, input: &PostingInput<'_>) -> Result<Account, Error> {
        let merchant_id = || input.merchant_id.clone();
        Ok(match self {
            Self::MerchantPayable => Account::MerchantPayable(merchant_id()),
            Self::MerchantReserve => Account::MerchantReserve(merchant_id()),
            Self::MerchantInTransit => Account::MerchantInTransit(merchant_id()),
            Self::RevenueFees => Account::RevenueFees,
            Self::ChargebackSuspense => Account::ChargebackSuspense(merchant_id()),
            Self::SchemeReceivable => {
                let method = input.payment_method.ok_or(Error::PaymentMethodMissing { posting })?;
                Account::SchemeReceivable(CompactString::new(method))
            }
        })
    }
}

/// One row: `amount` is debited to one account and credited to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The posting that the row belongs to.
    pub posting: Posting,
    /// Which amount it posts; a row of zero is left out.
    pub amount: AmountName,
    /// Account debited.
    pub debit: Role,
    /// Account credited.
    pub credit: Role,
}

const fn row(posting: Posting, amount: AmountName, debit: Role, credit: Role) -> Row {
    Row { posting, amount, debit, credit }
}

/// The posting table, version [`POSTING_TABLE_VERSION`]. Every row has both sides, so every posting balances.
pub const TABLE: &[Row] = &[
    row(Posting::Sale, AmountName::Amount, Role::SchemeReceivable, Role::MerchantPayable),
    row(Posting::Sale, AmountName::Fee, Role::MerchantPayable, Role::RevenueFees),
    row(Posting::Refund, AmountName::Amount, Role::MerchantPayable, Role::SchemeReceivable),
    row(Posting::Refund, AmountName::Fee, Role::RevenueFees, Role::MerchantPayable),
    row(Posting::Chargeback, AmountName::Amount, Role::MerchantPayable, Role::ChargebackSuspense),
    row(Posting::ChargebackReversal, AmountName::Amount, Role::ChargebackSuspense, Role::MerchantPayable),
    row(Posting::Cancellation, AmountName::Amount, Role::MerchantPayable, Role::SchemeReceivable),
    row(Posting::Cancellation, AmountName::Fee, Role::RevenueFees, Role::MerchantPayable),
    row(Posting::BatchClose, AmountName::Reserve, Role::MerchantPayable, Role::MerchantReserve),
    row(Posting::BatchClose, AmountName::Payout, Role::MerchantPayable, Role::MerchantInTransit),
    row(Posting::ReserveRelease, AmountName::Amount, Role::MerchantReserve, Role::MerchantPayable),
];

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::account::CHART;
    use crate::balance::signed;
    use proptest::prelude::*;

    const DOCUMENT: &str = include_str!("../../../docs/ledger.md");

    fn input<'a>(merchant_id: &'a MerchantId, amounts: Amounts) -> PostingInput<'a> {
        let currency = Currency::new("EUR").expect("a code");
        PostingInput { merchant_id, payment_method: Some("CARD"), currency, amounts }
    }

    /// `DEBIT account amount` for each entry.
    fn written(entries: &[Entry]) -> Vec<String> {
        entries
            .iter()
            .map(|entry| {
                format!("{} {} {}", entry.direction.as_str(), entry.account, entry.amount_minor.get())
            })
            .collect()
    }

    #[test]
    fn entries_of_every_posting() {
        let with_fee = Amounts::with_fee(Minor::new(1_000), Minor::new(29));
        let without_fee = Amounts::of_amount(Minor::new(1_000));
        let close = Amounts::of_close(Minor::new(50), Minor::new(921));
        let cases: &[(Posting, Amounts, &[&str])] = &[
            (
                Posting::Sale,
                with_fee,
                &[
                    "DEBIT scheme:CARD:receivable 1000",
                    "CREDIT merchant:m-1:payable 1000",
                    "DEBIT merchant:m-1:payable 29",
                    "CREDIT revenue:fees 29",
                ],
            ),
            (
                Posting::Sale,
                without_fee,
                &["DEBIT scheme:CARD:receivable 1000", "CREDIT merchant:m-1:payable 1000"],
            ),
            (
                Posting::Refund,
                with_fee,
                &[
                    "DEBIT merchant:m-1:payable 1000",
                    "CREDIT scheme:CARD:receivable 1000",
                    "DEBIT revenue:fees 29",
                    "CREDIT merchant:m-1:payable 29",
                ],
            ),
            (
                Posting::Chargeback,
                without_fee,
                &["DEBIT merchant:m-1:payable 1000", "CREDIT chargeback:m-1:suspense 1000"],
            ),
            (
                Posting::ChargebackReversal,
                without_fee,
                &["DEBIT chargeback:m-1:suspense 1000", "CREDIT merchant:m-1:payable 1000"],
            ),
            (
                Posting::Cancellation,
                with_fee,
                &[
                    "DEBIT merchant:m-1:payable 1000",
                    "CREDIT scheme:CARD:receivable 1000",
                    "DEBIT revenue:fees 29",
                    "CREDIT merchant:m-1:payable 29",
                ],
            ),
            (
                Posting::BatchClose,
                close,
                &[
                    "DEBIT merchant:m-1:payable 50",
                    "CREDIT merchant:m-1:reserve 50",
                    "DEBIT merchant:m-1:payable 921",
                    "CREDIT merchant:m-1:in-transit 921",
                ],
            ),
            (Posting::BatchClose, Amounts::default(), &[]),
            (
                Posting::ReserveRelease,
                without_fee,
                &["DEBIT merchant:m-1:reserve 1000", "CREDIT merchant:m-1:payable 1000"],
            ),
        ];
        let merchant_id = MerchantId::new("m-1");
        for (posting, amounts, expected) in cases {
            let entries = posting.entries(&input(&merchant_id, *amounts)).expect("valid amounts");
            assert_eq!(written(&entries), *expected, "{posting}");
        }
    }

    #[test]
    fn what_cannot_be_posted() {
        let merchant_id = MerchantId::new("m-1");
        let negative = input(&merchant_id, Amounts::with_fee(Minor::new(10), Minor::new(-1)));
        let error = Posting::Sale.entries(&negative).expect_err("a negative fee");
        assert_eq!(error.to_string(), "posting SALE: amount `fee` is -1, expected zero or more minor units");

        let unused = input(&merchant_id, Amounts::with_fee(Minor::new(10), Minor::new(1)));
        let error = Posting::Chargeback.entries(&unused).expect_err("a fee that no row posts");
        assert_eq!(
            error.to_string(),
            "posting CHARGEBACK: amount `fee` is 1, but no row posts it; expected zero"
        );

        for posting in [Posting::Sale, Posting::Refund, Posting::Cancellation] {
            let amounts = Amounts::of_amount(Minor::new(10));
            let without_method = PostingInput { payment_method: None, ..input(&merchant_id, amounts) };
            assert_eq!(posting.entries(&without_method), Err(Error::PaymentMethodMissing { posting }));
        }
    }

    #[test]
    fn names_and_back() {
        for posting in Posting::ALL {
            assert_eq!(Posting::parse(posting.as_str()), Some(posting));
            assert!(TABLE.iter().any(|row| row.posting == posting), "{posting} has no row");
        }
        assert_eq!(Posting::parse("UNKNOWN"), None);
    }

    /// The account of a role as docs/ledger.md writes it.
    fn pattern(role: Role) -> &'static str {
        let index = match role {
            Role::MerchantPayable => 0,
            Role::MerchantReserve => 1,
            Role::MerchantInTransit => 2,
            Role::SchemeReceivable => 3,
            Role::RevenueFees => 5,
            Role::ChargebackSuspense => 7,
        };
        CHART[index].0
    }

    #[test]
    fn the_document_shows_the_chart_and_the_table() {
        let mut chart = String::from("| account | balance | meaning |\n|---|---|---|\n");
        for (account, side, meaning) in CHART {
            writeln!(chart, "| `{account}` | {side} | {meaning} |").expect("a string takes text");
        }
        assert!(DOCUMENT.contains(&chart), "docs/ledger.md, chart of accounts: expected\n{chart}");

        let mut table = format!("Posting table, version {POSTING_TABLE_VERSION}:\n\n");
        table.push_str("| posting | amount | debit | credit |\n|---|---|---|---|\n");
        for row in TABLE {
            let (debit, credit) = (pattern(row.debit), pattern(row.credit));
            writeln!(table, "| {} | {} | `{debit}` | `{credit}` |", row.posting, row.amount)
                .expect("a string takes text");
        }
        assert!(DOCUMENT.contains(&table), "docs/ledger.md, posting table: expected\n{table}");
    }

    proptest! {
        #[test]
        fn every_posting_balances(
            posting in proptest::sample::select(Posting::ALL.to_vec()),
            amount in 0..=i64::MAX,
            fee in 0..=i64::MAX,
        ) {
            let (amount, fee) = (Minor::new(amount), Minor::new(fee));
            let amounts = match posting {
                Posting::Sale | Posting::Refund | Posting::Cancellation => Amounts::with_fee(amount, fee),
                Posting::BatchClose => Amounts::of_close(amount, fee),
                _ => Amounts::of_amount(amount),
            };
            let merchant_id = MerchantId::new("m-1");
            let entries = posting.entries(&input(&merchant_id, amounts)).expect("valid amounts");
            prop_assert_eq!(entries.iter().map(signed).sum::<i128>(), 0);
            prop_assert!(entries.iter().all(|entry| entry.amount_minor.is_positive()));
        }

        #[test]
        fn a_cancellation_mirrors_its_sale(amount in 0..=i64::MAX, fee in 0..=i64::MAX) {
            let merchant_id = MerchantId::new("m-1");
            let amounts = Amounts::with_fee(Minor::new(amount), Minor::new(fee));
            let sums = |posting: Posting| {
                let mut sums = std::collections::BTreeMap::new();
                for entry in posting.entries(&input(&merchant_id, amounts)).expect("valid amounts") {
                    *sums.entry(entry.account.clone()).or_insert(0) += signed(&entry);
                }
                sums
            };
            let mirrored: std::collections::BTreeMap<_, _> =
                sums(Posting::Cancellation).into_iter().map(|(account, sum)| (account, -sum)).collect();
            prop_assert_eq!(sums(Posting::Sale), mirrored);
        }
    }
}
