//! The records that SETTLE writes: its events, ledger transactions and payouts.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::authorize::{PaymentApproved, Reason};
use crate::event::{ConfigActivation, EventKind, SourcePosition};
use crate::hash::Digest;
use crate::{BatchId, Currency, Day, DecisionId, MerchantId, Minor, PayoutId, Timestamp};

/// What SETTLE made of an approved record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SettlementOutcome {
    /// An outcome that this version does not know.
    #[default]
    Unknown,
    /// In the ledger and in a batch.
    Booked,
    /// Not taken; AUTHORIZE is told.
    Refused,
    /// Could not be read.
    Invalid,
}

impl SettlementOutcome {
    /// The name in schemas and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Booked => "BOOKED",
            Self::Refused => "REFUSED",
            Self::Invalid => "INVALID",
        }
    }
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BatchStatus {
    /// A status that this version does not know.
    #[default]
    Unknown,
    /// Takes entries until its cut-off.
    Open,
    /// Takes no more entries.
    Closed,
    /// Closed, with a payout that the bank has not answered.
    AwaitingSettlement,
    /// Paid out.
    Settled,
    /// The bank refused the payout.
    Failed,
    /// Closed without a payout: the amount goes into the next batch.
    Carried,
}

impl BatchStatus {
    /// The name in schemas and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Open => "OPEN",
            Self::Closed => "CLOSED",
            Self::AwaitingSettlement => "AWAITING_SETTLEMENT",
            Self::Settled => "SETTLED",
            Self::Failed => "FAILED",
            Self::Carried => "CARRIED",
        }
    }
}

/// What closed a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CloseCause {
    /// A cause that this version does not know.
    #[default]
    Unknown,
    /// The clock reached the cut-off.
    CutOff,
    /// An operator finished the run (`--finish`).
    Finish,
}

/// Where a booked record went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// The batch.
    pub batch_id: BatchId,
    /// Sales day of the batch.
    pub sales_day: Day,
    /// The batch that it came too late for.
    pub late_for: Option<BatchId>,
    /// Fee of this record: above zero charged to the merchant, below zero given back.
    pub fee_minor: Minor,
}

/// A batch that an event opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchOpened {
    /// Its id.
    pub batch_id: BatchId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// Its currency.
    pub currency: Currency,
    /// Its sales day in the merchant's zone.
    pub sales_day: Day,
    /// When it closes.
    pub cut_off_at: Timestamp,
    /// What the batch before it left unpaid; below zero: owed by the merchant.
    pub carried_in_minor: Minor,
}

/// Sums of a batch, all in its currency and, but for `carried_in_minor`, never below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchTotals {
    /// PAYMENTs booked and not cancelled.
    pub sales_count: i64,
    /// Their gross sum.
    pub sales_minor: Minor,
    /// Fees charged, less those given back with refunds and cancellations. May fall below zero.
    pub fees_minor: Minor,
    /// REFUNDs booked.
    pub refunds_count: i64,
    /// Their sum.
    pub refunds_minor: Minor,
    /// CHARGEBACKs booked.
    pub chargebacks_count: i64,
    /// Their sum.
    pub chargebacks_minor: Minor,
    /// CHARGEBACK_REVERSALs booked.
    pub reversals_count: i64,
    /// Their sum.
    pub reversals_minor: Minor,
    /// Reserves of earlier batches that fell free.
    pub reserve_released_minor: Minor,
    /// From the batch before.
    pub carried_in_minor: Minor,
}

/// The value of `settlement.payouts`: money for a merchant, to be sent by a bank connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payout {
    /// Its id; the connector's idempotency key.
    pub payout_id: PayoutId,
    /// The batch that it pays.
    pub batch_id: BatchId,
    /// Who is paid.
    pub merchant_id: MerchantId,
    /// Minor units, above zero.
    pub amount_minor: Minor,
    /// ISO 4217.
    pub currency: Currency,
    /// Day on which the merchant's bank is to have it.
    pub value_date: Day,
    /// Clock of SETTLE when it was made.
    pub created_at: Timestamp,
}

/// A batch that an event closes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchClosed {
    /// Its id.
    pub batch_id: BatchId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// Its currency.
    pub currency: Currency,
    /// Its sales day in the merchant's zone.
    pub sales_day: Day,
    /// Why it closed.
    pub cause: CloseCause,
    /// AWAITING_SETTLEMENT or CARRIED.
    pub status: BatchStatus,
    /// Its sums.
    pub totals: BatchTotals,
    /// Kept back from this batch.
    pub reserve_minor: Minor,
    /// When that falls free.
    pub reserve_release_at: Option<Timestamp>,
    /// Left for the next batch; below zero: owed by the merchant.
    pub carried_out_minor: Minor,
    /// Of AWAITING_SETTLEMENT.
    pub payout: Option<Payout>,
}

/// A reserve that falls free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveReleased {
    /// The batch that it was kept back from.
    pub from_batch_id: BatchId,
    /// The batch that it goes into.
    pub into_batch_id: BatchId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// Its currency.
    pub currency: Currency,
    /// Minor units, above zero.
    pub amount_minor: Minor,
    /// When it fell free.
    pub due_at: Timestamp,
}

/// About one approved record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementDecision {
    /// What became of it.
    pub outcome: SettlementOutcome,
    /// The record; none where it could not be read.
    pub approved: Option<PaymentApproved>,
    /// Why it was not booked.
    pub reasons: Vec<Reason>,
    /// Of BOOKED.
    pub booking: Option<Booking>,
}

/// The value of `settlement.events`: one event of the journal of SETTLE.
///
/// Exactly one of `decision`, `batch_closed`, `reserve_released` and `config` is present. `batch_opened` stands
/// beside a decision or a released reserve that needed a new batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementEvent {
    /// Dense number within the journal partition, from 0.
    pub sequence: i64,
    /// Why the event is here.
    pub kind: EventKind,
    /// The clock of the partition when it was decided.
    pub now: Timestamp,
    /// Version of the decision logic.
    pub logic_version: i32,
    /// Lowest fold version that understands the event.
    pub min_fold_version: i32,
    /// The input record that it consumes; none for timers and configuration.
    pub input: Option<SourcePosition>,
    /// Of kind DECISION.
    pub decision: Option<SettlementDecision>,
    /// The batch that the event opens.
    pub batch_opened: Option<BatchOpened>,
    /// Of kind TICK: a batch closed.
    pub batch_closed: Option<BatchClosed>,
    /// Of kind TICK: a reserve fell free.
    pub reserve_released: Option<ReserveReleased>,
    /// What the event posts.
    pub ledger: Option<LedgerTransaction>,
    /// Of kind CONFIG.
    pub config: Option<ConfigActivation>,
}

/// Side of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Direction {
    /// A side that this version does not know.
    #[default]
    Unknown,
    /// Left.
    Debit,
    /// Right.
    Credit,
}

impl Direction {
    /// The name in schemas and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Debit => "DEBIT",
            Self::Credit => "CREDIT",
        }
    }
}

/// One side of a posting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Account, as in the chart of accounts: `merchant:m-1:payable`. Its identity includes the currency.
    pub account: CompactString,
    /// Side.
    pub direction: Direction,
    /// Minor units, above zero.
    pub amount_minor: Minor,
    /// ISO 4217.
    pub currency: Currency,
}

/// The value of `ledger.transactions`: a balanced set of entries, linked to the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerTransaction {
    /// `{partition}-{sequence}`.
    pub transaction_id: CompactString,
    /// Dense number within the ledger partition, from 0.
    pub sequence: i64,
    /// Version of the encoding under `hash`.
    pub encoding_version: i32,
    /// Row of the posting table that made it: `SALE`, `REFUND`, ...
    pub posting: CompactString,
    /// When it counts.
    pub effective_at: Timestamp,
    /// Clock of SETTLE when it was made.
    pub recorded_at: Timestamp,
    /// The batch that it belongs to.
    pub batch_id: BatchId,
    /// The decision that it books, if it books one.
    pub decision_id: Option<DecisionId>,
    /// Debits equal credits for each currency.
    pub entries: Vec<Entry>,
    /// Hash of the transaction before it; zero for the first.
    pub prev_hash: Digest,
    /// BLAKE3 of this transaction's encoding, which contains `prev_hash`.
    pub hash: Digest,
}
