//! The records that AUTHORIZE writes: its events, what it approved, and the refusals that come back to it.

use std::collections::BTreeMap;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::event::{ConfigActivation, EventKind, SourcePosition};
use crate::hash::Digest;
use crate::request::EventType;
use crate::{Currency, DebtorAccount, DecisionId, IdempotencyKey, MerchantId, Minor, PaymentId, Timestamp};

/// What became of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// An outcome that this version does not know.
    #[default]
    Unknown,
    /// Taken; SETTLE books it.
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
    /// Approved, then refused by SETTLE.
    Refused,
    /// A retry of a decided request: the first decision stands.
    Replayed,
    /// A used key or payment id with other content.
    Conflict,
    /// Arrived in the wrong partition and was sent to the right one.
    Rerouted,
    /// Could not be judged: malformed.
    Invalid,
}

impl Outcome {
    /// The name in schemas and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Approved => "APPROVED",
            Self::Declined => "DECLINED",
            Self::Review => "REVIEW",
            Self::Scheduled => "SCHEDULED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
            Self::Refused => "REFUSED",
            Self::Replayed => "REPLAYED",
            Self::Conflict => "CONFLICT",
            Self::Rerouted => "REROUTED",
            Self::Invalid => "INVALID",
        }
    }
}

/// Why: a code that programs match, and words for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// One of [`crate::reason`].
    pub code: CompactString,
    /// What was found, and what was expected.
    pub detail: String,
    /// The rule that said so, if one did.
    #[serde(default)]
    pub rule_id: Option<CompactString>,
    /// Version of that rule.
    #[serde(default)]
    pub rule_version: Option<i32>,
}

impl Reason {
    /// A reason that no rule gave.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code: CompactString::const_new(code),
            detail: detail.into(),
            rule_id: None,
            rule_version: None,
        }
    }
}

/// A valid request, as far as later decisions, SETTLE and auditors need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// What was asked for.
    pub event_type: EventType,
    /// Its id.
    pub payment_id: PaymentId,
    /// What a follow-up is about.
    pub original_payment_id: Option<PaymentId>,
    /// The caller's key.
    pub idempotency_key: IdempotencyKey,
    /// Who pays.
    pub debtor_account: DebtorAccount,
    /// Who is paid.
    pub merchant_id: MerchantId,
    /// Minor units, above zero.
    pub amount_minor: Minor,
    /// ISO 4217.
    pub currency: Currency,
    /// How it was paid.
    pub payment_method: CompactString,
    /// When the caller made the request.
    pub requested_at: Timestamp,
    /// When it is to be carried out, if later.
    pub execute_at: Option<Timestamp>,
}

/// Identity of a request's content (DESIGN: fingerprint).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Version of the encoding.
    pub version: i32,
    /// BLAKE3 of the encoding.
    pub hash: Digest,
}

/// The decision that a retry or a conflict refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstDecision {
    /// Its id.
    pub decision_id: DecisionId,
    /// Its outcome when it was made: a used key never changes its answer.
    pub outcome: Outcome,
}

/// What the rules saw and said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskAssessment {
    /// Sum of the scores of the live rules that matched.
    pub score: i32,
    /// The values that the rules saw, by feature name.
    pub features: BTreeMap<CompactString, i64>,
    /// What shadow rules would have said; changes nothing.
    pub shadow: Vec<Reason>,
}

/// What only rules look at. Kept in the journal where they have to look again: of a payment that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskAttributes {
    /// ISO 3166 country of the debtor.
    pub country: Option<CompactString>,
    /// Merchant category code.
    pub mcc: Option<CompactString>,
    /// Address of the payer's device.
    pub ip: Option<CompactString>,
    /// The payer's device.
    pub device_id: Option<CompactString>,
    /// First digits of the card.
    pub card_bin: Option<CompactString>,
}

/// About one request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Its id, from the position of the request.
    pub decision_id: DecisionId,
    /// What became of the request.
    pub outcome: Outcome,
    /// The request; none where it could not be read.
    pub payment: Option<Payment>,
    /// Identity of its content; none where it could not be read.
    pub fingerprint: Option<Fingerprint>,
    /// Of REPLAYED and CONFLICT: the decision that stands.
    pub first: Option<FirstDecision>,
    /// Why; empty for a plain approval.
    pub reasons: Vec<Reason>,
    /// What the rules saw; none where they were not asked.
    pub risk: Option<RiskAssessment>,
    /// Until when the key answers with this decision; none where the key was not consumed.
    pub key_expires_at: Option<Timestamp>,
    /// True if it goes on to SETTLE.
    pub forwarded: bool,
    /// Of SCHEDULED: what the rules look at again when its time comes.
    #[serde(default)]
    pub attributes: Option<RiskAttributes>,
}

/// What caused a transition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TransitionCause {
    /// A cause that this version does not know.
    #[default]
    Unknown,
    /// `execute_at` of a scheduled payment was reached.
    ExecutionDue,
    /// A CANCELLATION took effect.
    Cancellation,
    /// SETTLE refused what had been approved.
    SettlementRefusal,
}

/// A later change of an earlier decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The decision that changes.
    pub decision_id: DecisionId,
    /// Outcome before.
    pub from: Outcome,
    /// Outcome from now on.
    pub to: Outcome,
    /// What caused it.
    pub cause: TransitionCause,
    /// The request that the decision was about.
    pub payment: Payment,
    /// Why.
    pub reasons: Vec<Reason>,
    /// What the rules saw, where they were asked again.
    pub risk: Option<RiskAssessment>,
    /// True if it goes on to SETTLE.
    pub forwarded: bool,
}

/// The value of `payments.decided`: one event of the journal of AUTHORIZE.
///
/// Exactly one of `decision`, `transition` and `config` is present, as `kind` says. A result of SETTLE that
/// changes nothing is a TRANSITION without a body: it moves the position and is otherwise empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionEvent {
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
    pub decision: Option<Decision>,
    /// Of kind TRANSITION.
    pub transition: Option<Transition>,
    /// Of kind CONFIG.
    pub config: Option<ConfigActivation>,
}

/// The value of `payments.approved`: what SETTLE is to book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentApproved {
    /// What was asked for.
    pub event_type: EventType,
    /// Its id.
    pub payment_id: PaymentId,
    /// What a follow-up is about.
    pub original_payment_id: Option<PaymentId>,
    /// Who pays.
    pub debtor_account: DebtorAccount,
    /// Who is paid.
    pub merchant_id: MerchantId,
    /// Minor units, above zero.
    pub amount_minor: Minor,
    /// ISO 4217.
    pub currency: Currency,
    /// How it was paid.
    pub payment_method: CompactString,
    /// When the caller made the request.
    pub requested_at: Timestamp,
    /// The decision of AUTHORIZE.
    pub decision_id: DecisionId,
    /// `now` of AUTHORIZE: the clock of SETTLE.
    pub decided_at: Timestamp,
}

/// The value of `payments.results`: SETTLE refused what AUTHORIZE had approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentResult {
    /// What was refused.
    pub approved: PaymentApproved,
    /// Always REFUSED in this version.
    pub outcome: Outcome,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Clock of SETTLE.
    pub refused_at: Timestamp,
}
