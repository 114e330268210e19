//! What can be wrong with a posting or a link of the chain. Messages say what was found and what was expected.

use compact_str::CompactString;
use settle_types::{Currency, Digest, Minor};

use crate::posting::{AmountName, Posting};

/// Why a transaction cannot be made, or does not follow the one before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An account of the posting is named after the payment method, and none was given.
    #[error(
        "posting {posting}: the account scheme:{{payment method}}:receivable needs a payment method, none given"
    )]
    PaymentMethodMissing {
        /// The posting.
        posting: Posting,
    },
    /// An amount below zero: a posting turns sides by its name, never by a sign.
    #[error("posting {posting}: amount `{name}` is {amount}, expected zero or more minor units", amount = amount.get())]
    AmountNegative {
        /// The posting.
        posting: Posting,
        /// The amount.
        name: AmountName,
        /// What was given.
        amount: Minor,
    },
    /// An amount that the posting has no row for: money would be lost silently.
    #[error("posting {posting}: amount `{name}` is {amount}, but no row posts it; expected zero", amount = amount.get())]
    AmountUnused {
        /// The posting.
        posting: Posting,
        /// The amount.
        name: AmountName,
        /// What was given.
        amount: Minor,
    },
    /// A transaction without entries.
    #[error("ledger transaction {transaction_id}: no entries, expected at least one debit and one credit")]
    Empty {
        /// The transaction.
        transaction_id: CompactString,
    },
    /// An entry of zero or below.
    #[error(
        "ledger transaction {transaction_id}: entry {index} on {account} is {amount}, expected above zero",
        amount = amount.get()
    )]
    EntryNotPositive {
        /// The transaction.
        transaction_id: CompactString,
        /// Position of the entry, from 0.
        index: usize,
        /// Account of the entry.
        account: CompactString,
        /// What was found.
        amount: Minor,
    },
    /// An entry on neither side.
    #[error(
        "ledger transaction {transaction_id}: entry {index} on {account} has direction UNKNOWN, expected DEBIT or \
         CREDIT"
    )]
    DirectionUnknown {
        /// The transaction.
        transaction_id: CompactString,
        /// Position of the entry, from 0.
        index: usize,
        /// Account of the entry.
        account: CompactString,
    },
    /// Debits and credits differ.
    #[error(
        "ledger transaction {transaction_id}: {currency} debits are {debits} and credits {credits} minor units, \
         expected equal sums"
    )]
    Unbalanced {
        /// The transaction.
        transaction_id: CompactString,
        /// The currency.
        currency: Currency,
        /// Sum of the debits, minor units.
        debits: i128,
        /// Sum of the credits, minor units.
        credits: i128,
    },
    /// The chain has used every number.
    #[error("ledger sequence {sequence} is the last that 64 bits hold: continue on a new ledger partition")]
    SequenceExhausted {
        /// The number that has no successor.
        sequence: i64,
    },
    /// A transaction is missing, doubled or out of order.
    #[error("ledger transaction {transaction_id}: sequence is {found}, expected {expected}")]
    Sequence {
        /// The transaction.
        transaction_id: CompactString,
        /// Number that follows the chain.
        expected: i64,
        /// Number found.
        found: i64,
    },
    /// The id does not end with the sequence.
    #[error("ledger transaction {found}: id is {found}, expected {{partition}}-{sequence}")]
    TransactionId {
        /// Sequence of the transaction.
        sequence: i64,
        /// Id found.
        found: CompactString,
    },
    /// An encoding that this version cannot recompute.
    #[error("ledger transaction {transaction_id}: hash encoding version is {found}, expected {expected}")]
    EncodingVersion {
        /// The transaction.
        transaction_id: CompactString,
        /// Version known.
        expected: i32,
        /// Version found.
        found: i32,
    },
    /// The transaction follows another one than the chain's last.
    #[error("ledger transaction {transaction_id}: prev_hash is {found}, expected {expected}")]
    PreviousHash {
        /// The transaction.
        transaction_id: CompactString,
        /// Hash of the chain's last transaction.
        expected: Digest,
        /// Hash found.
        found: Digest,
    },
    /// The content is not what was hashed.
    #[error("ledger transaction {transaction_id}: hash is {found}, expected {expected} from its content")]
    Hash {
        /// The transaction.
        transaction_id: CompactString,
        /// Hash of the content.
        expected: Digest,
        /// Hash found.
        found: Digest,
    },
}
