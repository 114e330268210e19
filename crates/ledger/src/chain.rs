//! The hash chain of a ledger partition: seals drafts into transactions, verifies those that were sealed.
//!
//! A chain finds what was changed, dropped, doubled or moved. It cannot see that its end is missing: compare
//! [`Chain::head`] with the head kept in the state for that.

use std::collections::BTreeMap;

use compact_str::{CompactString, format_compact};
use serde::{Deserialize, Serialize};
use settle_types::settle::{Direction, Entry, LedgerTransaction};
use settle_types::{BatchId, Currency, DecisionId, Digest, Timestamp};

use crate::balance::Sides;
use crate::encoding::{self, ENCODING_VERSION};
use crate::error::Error;
use crate::posting::Posting;

/// Where a chain ends. The default is the empty chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Number of the transaction that comes next; dense, from 0.
    pub next_sequence: i64,
    /// Hash of the last transaction; zero for the empty chain.
    pub head: Digest,
}

/// A transaction before it has a place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Row of the posting table.
    pub posting: Posting,
    /// When it counts.
    pub effective_at: Timestamp,
    /// Clock of SETTLE.
    pub recorded_at: Timestamp,
    /// The batch that it belongs to.
    pub batch_id: BatchId,
    /// The decision that it books, if it books one.
    pub decision_id: Option<DecisionId>,
    /// Debits and credits, as [`Posting::entries`] builds them.
    pub entries: Vec<Entry>,
}

/// Id of a transaction: `{partition}-{sequence}`.
pub fn transaction_id(partition: u32, sequence: i64) -> CompactString {
    format_compact!("{partition}-{sequence}")
}

impl Chain {
    /// The chain that ends with this transaction.
    pub fn after(transaction: &LedgerTransaction) -> Self {
        let next_sequence = transaction.sequence.saturating_add(1);
        Self { next_sequence, head: transaction.hash }
    }

    /// Gives a draft its place: number, id, predecessor and hash. The chain goes on with [`Chain::after`].
    ///
    /// Fails if the entries are none, not above zero, without a side, or not balanced for each currency.
    pub fn seal(&self, partition: u32, draft: Draft) -> Result<LedgerTransaction, Error> {
        if self.next_sequence == i64::MAX {
            return Err(Error::SequenceExhausted { sequence: self.next_sequence });
        }
        let mut transaction = LedgerTransaction {
            transaction_id: transaction_id(partition, self.next_sequence),
            sequence: self.next_sequence,
            encoding_version: ENCODING_VERSION,
            posting: CompactString::const_new(draft.posting.as_str()),
            effective_at: draft.effective_at,
            recorded_at: draft.recorded_at,
            batch_id: draft.batch_id,
            decision_id: draft.decision_id,
            entries: draft.entries,
            prev_hash: self.head,
            hash: Digest::ZERO,
        };
        check_entries(&transaction)?;
        transaction.hash = encoding::hash(&transaction);
        Ok(transaction)
    }

    /// Checks that a transaction is the next of this chain and unchanged; gives the chain that ends with it.
    ///
    /// The partition is not known here: a reader compares the id with [`transaction_id`] of the partition that
    /// it reads.
    pub fn verify(&self, transaction: &LedgerTransaction) -> Result<Self, Error> {
        let transaction_id = || transaction.transaction_id.clone();
        if transaction.sequence != self.next_sequence {
            let (expected, found) = (self.next_sequence, transaction.sequence);
            return Err(Error::Sequence { transaction_id: transaction_id(), expected, found });
        }
        if !id_names_sequence(transaction) {
            return Err(Error::TransactionId { sequence: transaction.sequence, found: transaction_id() });
        }
        if transaction.encoding_version != ENCODING_VERSION {
            let (expected, found) = (ENCODING_VERSION, transaction.encoding_version);
            return Err(Error::EncodingVersion { transaction_id: transaction_id(), expected, found });
        }
        if transaction.prev_hash != self.head {
            let (expected, found) = (self.head, transaction.prev_hash);
            return Err(Error::PreviousHash { transaction_id: transaction_id(), expected, found });
        }
        let expected = encoding::hash(transaction);
        if transaction.hash != expected {
            let found = transaction.hash;
            return Err(Error::Hash { transaction_id: transaction_id(), expected, found });
        }
        check_entries(transaction)?;
        Ok(Self::after(transaction))
    }
}

fn id_names_sequence(transaction: &LedgerTransaction) -> bool {
    let Some((partition, _)) = transaction.transaction_id.split_once('-') else { return false };
    let Ok(partition) = partition.parse() else { return false };
    transaction.transaction_id == transaction_id(partition, transaction.sequence)
}

fn check_entries(transaction: &LedgerTransaction) -> Result<(), Error> {
    let transaction_id = || transaction.transaction_id.clone();
    if transaction.entries.is_empty() {
        return Err(Error::Empty { transaction_id: transaction_id() });
    }
    let mut sums: BTreeMap<Currency, Sides> = BTreeMap::new();
    for (index, entry) in transaction.entries.iter().enumerate() {
        let account = || entry.account.clone();
        if !entry.amount_minor.is_positive() {
            let (transaction_id, account) = (transaction_id(), account());
            return Err(Error::EntryNotPositive {
                transaction_id,
                index,
                account,
                amount: entry.amount_minor,
            });
        }
        if entry.direction == Direction::Unknown {
            return Err(Error::DirectionUnknown {
                transaction_id: transaction_id(),
                index,
                account: account(),
            });
        }
        sums.entry(entry.currency).or_default().add(entry);
    }
    for (currency, Sides { debits, credits }) in sums {
        if debits != credits {
            return Err(Error::Unbalanced { transaction_id: transaction_id(), currency, debits, credits });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::TrialBalance;
    use crate::posting::{Amounts, PostingInput};
    use proptest::prelude::*;
    use settle_types::{MerchantId, Minor};

    fn entry(direction: Direction, amount: i64, currency: &str) -> Entry {
        let currency = Currency::new(currency).expect("a code");
        Entry { account: "rounding".into(), direction, amount_minor: Minor::new(amount), currency }
    }

    fn draft(entries: Vec<Entry>) -> Draft {
        Draft {
            posting: Posting::Sale,
            effective_at: Timestamp::from_micros(1),
            recorded_at: Timestamp::from_micros(2),
            batch_id: BatchId::new("m-1:EUR:2026-03-02"),
            decision_id: None,
            entries,
        }
    }

    #[test]
    fn what_is_not_sealed() {
        use Direction::{Credit, Debit, Unknown};
        let cases = [
            (vec![], "ledger transaction 7-0: no entries, expected at least one debit and one credit"),
            (
                vec![entry(Debit, 0, "EUR"), entry(Credit, 0, "EUR")],
                "ledger transaction 7-0: entry 0 on rounding is 0, expected above zero",
            ),
            (
                vec![entry(Debit, 5, "EUR"), entry(Unknown, 5, "EUR")],
                "ledger transaction 7-0: entry 1 on rounding has direction UNKNOWN, expected DEBIT or CREDIT",
            ),
            (
                vec![entry(Debit, 5, "EUR"), entry(Credit, 4, "EUR")],
                "ledger transaction 7-0: EUR debits are 5 and credits 4 minor units, expected equal sums",
            ),
            (
                vec![entry(Debit, 5, "EUR"), entry(Credit, 5, "CZK")],
                "ledger transaction 7-0: CZK debits are 0 and credits 5 minor units, expected equal sums",
            ),
        ];
        for (entries, expected) in cases {
            let error = Chain::default().seal(7, draft(entries)).expect_err(expected);
            assert_eq!(error.to_string(), expected);
        }
        let exhausted = Chain { next_sequence: i64::MAX, head: Digest::ZERO };
        let balanced = vec![entry(Debit, 5, "EUR"), entry(Credit, 5, "EUR")];
        let error = exhausted.seal(7, draft(balanced)).expect_err("no number left");
        assert_eq!(error, Error::SequenceExhausted { sequence: i64::MAX });
    }

    #[test]
    fn sums_beyond_64_bits_balance() {
        use Direction::{Credit, Debit};
        let sides = [Debit, Debit, Credit, Credit];
        let entries = sides.map(|direction| entry(direction, i64::MAX, "EUR")).to_vec();
        let transaction = Chain::default().seal(0, draft(entries)).expect("balanced");
        assert_eq!(transaction.transaction_id, "0-0");
        assert_eq!(Chain::default().verify(&transaction), Ok(Chain::after(&transaction)));
    }

    #[test]
    fn a_hash_over_an_unbalanced_transaction_does_not_help() {
        use Direction::{Credit, Debit};
        let balanced = vec![entry(Debit, 5, "EUR"), entry(Credit, 5, "EUR")];
        let mut transaction = Chain::default().seal(0, draft(balanced)).expect("balanced");
        transaction.entries[0].amount_minor = Minor::new(6);
        transaction.hash = encoding::hash(&transaction);
        assert!(matches!(Chain::default().verify(&transaction), Err(Error::Unbalanced { .. })));
    }

    fn any_draft() -> impl Strategy<Value = Draft> {
        let posting = proptest::sample::select(Posting::ALL.to_vec());
        let amounts = (1..i64::MAX, 0..i64::MAX);
        let times = (any::<i64>(), any::<i64>());
        let decision = proptest::option::of("[a-z.]{1,12}-[0-9]-[0-9]{1,6}");
        let texts = ("[a-z:-]{1,30}", proptest::sample::select(vec!["EUR", "CZK", "JPY"]), decision);
        (posting, amounts, times, texts).prop_map(|(posting, (amount, fee), times, texts)| {
            let (merchant, code, decision) = texts;
            let merchant_id = MerchantId::new(&merchant);
            let (amount, fee) = (Minor::new(amount), Minor::new(fee));
            let amounts = match posting {
                Posting::Sale | Posting::Refund | Posting::Cancellation => Amounts::with_fee(amount, fee),
                Posting::BatchClose => Amounts::of_close(amount, fee),
                _ => Amounts::of_amount(amount),
            };
            let currency = Currency::new(code).expect("a code");
            let input =
                PostingInput { merchant_id: &merchant_id, payment_method: Some("CARD"), currency, amounts };
            Draft {
                posting,
                effective_at: Timestamp::from_micros(times.0),
                recorded_at: Timestamp::from_micros(times.1),
                batch_id: BatchId::new(format!("{merchant}:{code}:2026-03-02")),
                decision_id: decision.map(DecisionId::new),
                entries: posting.entries(&input).expect("valid amounts"),
            }
        })
    }

    fn sealed(drafts: Vec<Draft>) -> Vec<LedgerTransaction> {
        let mut chain = Chain::default();
        let mut transactions = Vec::new();
        for draft in drafts {
            let transaction = chain.seal(3, draft).expect("postings balance");
            chain = Chain::after(&transaction);
            transactions.push(transaction);
        }
        transactions
    }

    fn verified(transactions: &[LedgerTransaction]) -> Result<Chain, Error> {
        transactions.iter().try_fold(Chain::default(), |chain, transaction| chain.verify(transaction))
    }

    /// A digest that differs in one bit.
    fn flipped(digest: Digest, bit: usize) -> Digest {
        let mut bytes = *digest.as_bytes();
        bytes[bit / 8 % 32] ^= 1 << (bit % 8);
        Digest::from_bytes(bytes)
    }

    /// Changes one field; every field of the record and of an entry has a row. Gives the field's name.
    fn mutate(transaction: &mut LedgerTransaction, field: usize, pick: usize) -> &'static str {
        let index = pick % transaction.entries.len();
        let later = |time: Timestamp| Timestamp::from_micros(time.as_micros().wrapping_add(1));
        match field {
            0 => transaction.transaction_id = transaction_id(4, transaction.sequence),
            1 => transaction.sequence += 1,
            2 => transaction.encoding_version += 1,
            3 => transaction.posting.push('X'),
            4 => transaction.effective_at = later(transaction.effective_at),
            5 => transaction.recorded_at = later(transaction.recorded_at),
            6 => transaction.batch_id = BatchId::new(format!("{}x", transaction.batch_id)),
            7 => {
                transaction.decision_id = match &transaction.decision_id {
                    Some(_) => None,
                    None => Some(DecisionId::default()),
                }
            }
            8 => transaction.prev_hash = flipped(transaction.prev_hash, pick),
            9 => transaction.hash = flipped(transaction.hash, pick),
            10 => transaction.entries[index].account.push('x'),
            11 => {
                for entry in &mut transaction.entries {
                    let is_debit = entry.direction == Direction::Debit;
                    entry.direction = if is_debit { Direction::Credit } else { Direction::Debit };
                }
            }
            12 => {
                for entry in &mut transaction.entries {
                    let amount = entry.amount_minor.get();
                    entry.amount_minor = Minor::new(if amount == i64::MAX { 1 } else { amount + 1 });
                }
            }
            13 => {
                for entry in &mut transaction.entries {
                    entry.currency = Currency::new("USD").expect("a code");
                }
            }
            14 => transaction.entries.rotate_left(1),
            _ => {
                let pair = transaction.entries[..2].to_vec();
                transaction.entries.extend(pair);
            }
        }
        [
            "transaction_id",
            "sequence",
            "encoding_version",
            "posting",
            "effective_at",
            "recorded_at",
            "batch_id",
            "decision_id",
            "prev_hash",
            "hash",
            "account",
            "direction",
            "amount_minor",
            "currency",
            "order of entries",
            "number of entries",
        ][field]
    }

    proptest! {
        #[test]
        fn a_sealed_chain_verifies(drafts in proptest::collection::vec(any_draft(), 0..12)) {
            let transactions = sealed(drafts);
            let end = transactions.last().map_or(Chain::default(), Chain::after);
            prop_assert_eq!(verified(&transactions), Ok(end));
            let mut trial_balance = TrialBalance::default();
            for transaction in &transactions {
                trial_balance.add(transaction);
            }
            prop_assert!(trial_balance.is_balanced());
        }

        #[test]
        fn a_changed_field_is_found(
            drafts in proptest::collection::vec(any_draft(), 1..8),
            at in any::<proptest::sample::Index>(),
            field in 0usize..16,
            pick in any::<usize>(),
        ) {
            let mut transactions = sealed(drafts);
            let at = at.index(transactions.len());
            let name = mutate(&mut transactions[at], field, pick);
            prop_assert!(verified(&transactions).is_err(), "a changed {} passed", name);
        }

        #[test]
        fn a_field_changed_and_hashed_again_is_found_by_the_next_link(
            drafts in proptest::collection::vec(any_draft(), 2..8),
            at in any::<proptest::sample::Index>(),
            field in proptest::sample::select(vec![0usize, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15]),
            pick in any::<usize>(),
        ) {
            let mut transactions = sealed(drafts);
            let at = at.index(transactions.len() - 1);
            let name = mutate(&mut transactions[at], field, pick);
            transactions[at].hash = encoding::hash(&transactions[at]);
            prop_assert!(verified(&transactions).is_err(), "a changed {} passed", name);
        }

        #[test]
        fn a_dropped_doubled_or_moved_transaction_is_found(
            drafts in proptest::collection::vec(any_draft(), 2..8),
            at in any::<proptest::sample::Index>(),
        ) {
            let transactions = sealed(drafts);
            let at = at.index(transactions.len() - 1);
            let mut dropped = transactions.clone();
            dropped.remove(at);
            prop_assert!(verified(&dropped).is_err());
            let mut doubled = transactions.clone();
            doubled.insert(at, transactions[at].clone());
            prop_assert!(verified(&doubled).is_err());
            let mut moved = transactions.clone();
            moved.swap(at, at + 1);
            prop_assert!(verified(&moved).is_err());
            // A missing end is not a broken link: the head tells.
            let cut = verified(&transactions[..=at]).expect("a prefix verifies");
            prop_assert_ne!(cut, verified(&transactions).expect("the chain verifies"));
        }
    }
}
