//! The records of the topics, as far as the audit looks at them. Names and meanings are those of `schemas/`;
//! times are microseconds since 1970, amounts minor units.

use serde::Deserialize;

/// Why an event stands in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum EventKind {
    Unknown,
    Decision,
    Transition,
    Tick,
    Config,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// A symbol that the schema keeps for later versions.
    Unknown,
    /// Taken; settlement books it.
    Approved,
    /// Judged and not taken.
    Declined,
    /// Waits for a person.
    Review,
    /// Taken for a later time.
    Scheduled,
    /// Undone before it was settled.
    Cancelled,
    /// Waited too long.
    Expired,
    /// Approved, then refused by settlement.
    Refused,
    /// A retry of a decided request.
    Replayed,
    /// A used key or payment id with other content.
    Conflict,
    /// Sent to the right partition.
    Rerouted,
    /// Malformed.
    Invalid,
}

/// What settlement made of an approved record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SettlementOutcome {
    /// A symbol that the schema keeps for later versions.
    Unknown,
    /// In the ledger and in a batch.
    Booked,
    /// Not taken; authorization is told.
    Refused,
    /// Could not be read.
    Invalid,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum EventType {
    Unknown,
    Payment,
    Refund,
    Chargeback,
    ChargebackReversal,
    Cancellation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Direction {
    Unknown,
    Debit,
    Credit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum BatchStatus {
    Unknown,
    Open,
    Closed,
    AwaitingSettlement,
    Settled,
    Failed,
    Carried,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct SourcePosition {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Card {
    pub(super) token: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct PaymentRequested {
    pub(super) event_type: EventType,
    pub(super) payment_id: String,
    pub(super) original_payment_id: Option<String>,
    pub(super) idempotency_key: String,
    pub(super) debtor_account: String,
    pub(super) merchant_id: String,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
    pub(super) payment_method: String,
    pub(super) card: Option<Card>,
    pub(super) requested_at: i64,
    pub(super) execute_at: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Payment {
    pub(super) event_type: EventType,
    pub(super) payment_id: String,
    pub(super) original_payment_id: Option<String>,
    pub(super) idempotency_key: String,
    pub(super) debtor_account: String,
    pub(super) merchant_id: String,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
    pub(super) payment_method: String,
    pub(super) requested_at: i64,
    pub(super) execute_at: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct FirstDecision {
    pub(super) decision_id: String,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Reason {
    pub(super) code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Decision {
    pub(super) decision_id: String,
    pub(super) outcome: Outcome,
    pub(super) payment: Option<Payment>,
    pub(super) first: Option<FirstDecision>,
    pub(super) reasons: Vec<Reason>,
    pub(super) key_expires_at: Option<i64>,
    pub(super) forwarded: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Transition {
    pub(super) decision_id: String,
    pub(super) from: Outcome,
    pub(super) to: Outcome,
    pub(super) payment: Payment,
    pub(super) forwarded: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct DecisionEvent {
    pub(super) sequence: i64,
    pub(super) kind: EventKind,
    pub(super) now: i64,
    pub(super) input: Option<SourcePosition>,
    pub(super) decision: Option<Decision>,
    pub(super) transition: Option<Transition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct PaymentApproved {
    pub(super) event_type: EventType,
    pub(super) payment_id: String,
    pub(super) original_payment_id: Option<String>,
    pub(super) debtor_account: String,
    pub(super) merchant_id: String,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
    pub(super) payment_method: String,
    pub(super) requested_at: i64,
    pub(super) decision_id: String,
    pub(super) decided_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct PaymentResult {
    pub(super) approved: PaymentApproved,
    pub(super) outcome: Outcome,
    pub(super) refused_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Booking {
    pub(super) batch_id: String,
    pub(super) fee_minor: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct SettlementDecision {
    pub(super) outcome: SettlementOutcome,
    pub(super) approved: Option<PaymentApproved>,
    pub(super) reasons: Vec<Reason>,
    pub(super) booking: Option<Booking>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct BatchOpened {
    pub(super) batch_id: String,
    pub(super) merchant_id: String,
    pub(super) currency: String,
    pub(super) carried_in_minor: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct BatchTotals {
    pub(super) sales_count: i64,
    pub(super) sales_minor: i64,
    pub(super) fees_minor: i64,
    pub(super) refunds_count: i64,
    pub(super) refunds_minor: i64,
    pub(super) chargebacks_count: i64,
    pub(super) chargebacks_minor: i64,
    pub(super) reversals_count: i64,
    pub(super) reversals_minor: i64,
    pub(super) reserve_released_minor: i64,
    pub(super) carried_in_minor: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Payout {
    pub(super) payout_id: String,
    pub(super) batch_id: String,
    pub(super) merchant_id: String,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
    pub(super) value_date: i32,
    pub(super) created_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct BatchClosed {
    pub(super) batch_id: String,
    pub(super) merchant_id: String,
    pub(super) currency: String,
    pub(super) status: BatchStatus,
    pub(super) totals: BatchTotals,
    pub(super) reserve_minor: i64,
    pub(super) carried_out_minor: i64,
    pub(super) payout: Option<Payout>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ReserveReleased {
    pub(super) from_batch_id: String,
    pub(super) into_batch_id: String,
    pub(super) merchant_id: String,
    pub(super) currency: String,
    pub(super) amount_minor: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Entry {
    pub(super) account: String,
    pub(super) direction: Direction,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct LedgerTransaction {
    pub(super) transaction_id: String,
    pub(super) sequence: i64,
    pub(super) encoding_version: i32,
    pub(super) posting: String,
    pub(super) effective_at: i64,
    pub(super) recorded_at: i64,
    pub(super) batch_id: String,
    pub(super) decision_id: Option<String>,
    pub(super) entries: Vec<Entry>,
    pub(super) prev_hash: String,
    pub(super) hash: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct SettlementEvent {
    pub(super) sequence: i64,
    pub(super) kind: EventKind,
    pub(super) now: i64,
    pub(super) input: Option<SourcePosition>,
    pub(super) decision: Option<SettlementDecision>,
    pub(super) batch_opened: Option<BatchOpened>,
    pub(super) batch_closed: Option<BatchClosed>,
    pub(super) reserve_released: Option<ReserveReleased>,
    pub(super) ledger: Option<LedgerTransaction>,
}
