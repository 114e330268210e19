//! Tables of AUTHORIZE.

use serde::{Deserialize, Serialize};
use settle_types::authorize::{Fingerprint, Outcome, Payment, RiskAttributes};
use settle_types::event::ConfigActivation;
use settle_types::{
    Currency, Day, DebtorAccount, DecisionId, Duration, IdempotencyKey, MerchantId, Minor, PaymentId,
    Timestamp,
};

use crate::state_key::{CONFIG_TABLE, DUE_TABLE, KeyBuilder, StateKey, TableId};
use crate::state_value::{Error, StateRow, decode_row, encode_row, typed_row};

/// Idempotency keys, by merchant, debtor and key.
pub const IDEMPOTENCY_TABLE: TableId = 0x10;
/// Payments and follow-ups, by debtor, merchant and payment id.
pub const PAYMENT_TABLE: TableId = 0x11;
/// Daily sums, by debtor, currency and UTC day.
pub const VELOCITY_TABLE: TableId = 0x12;

/// A used key and the decision it answers with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRow {
    /// Content that it was used for.
    pub fingerprint: Fingerprint,
    /// The first decision.
    pub decision_id: DecisionId,
    /// Its outcome when it was made.
    pub outcome: Outcome,
    /// The payment that it was used for.
    pub payment_id: PaymentId,
    /// From then on the key is free.
    pub expires_at: Timestamp,
}

/// How long a payment is remembered for follow-ups and for the uniqueness of its id (DESIGN: 550 days).
pub const PAYMENT_RETENTION: Duration = Duration::from_days(550);

/// A payment or follow-up, and what has been taken from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRow {
    /// The decision about it.
    pub decision_id: DecisionId,
    /// Where it stands.
    pub status: Outcome,
    /// What was asked for.
    pub payment: Payment,
    /// Of a PAYMENT: approved refunds.
    pub refunded: Minor,
    /// Of a PAYMENT: charged back and not reversed. Of a CHARGEBACK: reversed.
    pub disputed: Minor,
    /// Of a PAYMENT: the day whose limits it counts against.
    pub counted_on: Option<Day>,
    /// From then on it is forgotten.
    pub expires_at: Timestamp,
}

/// What a debtor has paid in a currency on a day: APPROVED, REVIEW and SCHEDULED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VelocityRow {
    /// Sum in minor units.
    pub sum: i128,
    /// Number of payments.
    pub count: i64,
    /// The end of the day after: nothing asks for it any more.
    pub expires_at: Timestamp,
}

/// A payment that waits for its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledRow {
    /// The decision SCHEDULED.
    pub decision_id: DecisionId,
    /// The payment.
    pub payment: Payment,
    /// What the rules look at again when its time comes.
    pub attributes: RiskAttributes,
}

/// A row of any table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorizeRow {
    /// Of [`CONFIG_TABLE`].
    Config(ConfigActivation),
    /// Of [`IDEMPOTENCY_TABLE`].
    Idempotency(IdempotencyRow),
    /// Of [`PAYMENT_TABLE`].
    Payment(Box<PaymentRow>),
    /// Of [`VELOCITY_TABLE`].
    Velocity(VelocityRow),
    /// Of [`DUE_TABLE`].
    Scheduled(Box<ScheduledRow>),
}

impl StateRow for AuthorizeRow {
    fn expires_at(&self) -> Timestamp {
        match self {
            Self::Config(_) | Self::Scheduled(_) => Timestamp::MAX,
            Self::Idempotency(row) => row.expires_at,
            Self::Payment(row) => row.expires_at,
            Self::Velocity(row) => row.expires_at,
        }
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Config(row) => encode_row(row, out),
            Self::Idempotency(row) => encode_row(row, out),
            Self::Payment(row) => encode_row(row, out),
            Self::Velocity(row) => encode_row(row, out),
            Self::Scheduled(row) => encode_row(row, out),
        }
    }

    fn decode_body(key: &StateKey, body: &[u8]) -> Result<Self, Error> {
        match key.table() {
            CONFIG_TABLE => decode_row(key, body).map(Self::Config),
            IDEMPOTENCY_TABLE => decode_row(key, body).map(Self::Idempotency),
            PAYMENT_TABLE => decode_row(key, body).map(Self::Payment),
            VELOCITY_TABLE => decode_row(key, body).map(Self::Velocity),
            DUE_TABLE => decode_row(key, body).map(Self::Scheduled),
            table => Err(Error::UnknownTable { table }),
        }
    }
}

typed_row!(
    /// The row as one of [`IDEMPOTENCY_TABLE`].
    idempotency, AuthorizeRow::Idempotency, IdempotencyRow
);
typed_row!(
    /// The row as one of [`PAYMENT_TABLE`].
    payment or payment_mut, AuthorizeRow::Payment, PaymentRow
);
typed_row!(
    /// The row as one of [`VELOCITY_TABLE`].
    velocity, AuthorizeRow::Velocity, VelocityRow
);

/// Key of an idempotency key: its scope is (merchant, debtor, key).
pub fn idempotency_key(merchant: &MerchantId, debtor: &DebtorAccount, key: &IdempotencyKey) -> StateKey {
    KeyBuilder::new(IDEMPOTENCY_TABLE)
        .text(merchant.as_str())
        .text(debtor.as_str())
        .text(key.as_str())
        .finish()
}

/// Key of a payment.
pub fn payment_key(debtor: &DebtorAccount, merchant: &MerchantId, id: &PaymentId) -> StateKey {
    KeyBuilder::new(PAYMENT_TABLE).text(debtor.as_str()).text(merchant.as_str()).text(id.as_str()).finish()
}

/// Key of the payment itself.
pub fn own_key(payment: &Payment) -> StateKey {
    payment_key(&payment.debtor_account, &payment.merchant_id, &payment.payment_id)
}

/// Key of what a follow-up is about.
pub fn original_key(payment: &Payment) -> Option<StateKey> {
    let original = payment.original_payment_id.as_ref()?;
    Some(payment_key(&payment.debtor_account, &payment.merchant_id, original))
}

/// Key of a debtor's day.
pub fn velocity_key(debtor: &DebtorAccount, currency: Currency, day: Day) -> StateKey {
    KeyBuilder::new(VELOCITY_TABLE).text(debtor.as_str()).text(currency.as_str()).day(day).finish()
}

/// Key of the debtor's day that a payment counts against.
pub fn day_key(payment: &Payment, day: Day) -> StateKey {
    velocity_key(&payment.debtor_account, payment.currency, day)
}

/// When a debtor's day is no longer asked for.
pub fn velocity_expiry(day: Day) -> Timestamp {
    day.next().start().saturating_add(Duration::from_days(1))
}

/// Key of a scheduled payment.
pub fn scheduled_key(execute_at: Timestamp, payment: &Payment) -> StateKey {
    KeyBuilder::new(DUE_TABLE)
        .time(execute_at)
        .text(payment.debtor_account.as_str())
        .text(payment.merchant_id.as_str())
        .text(payment.payment_id.as_str())
        .finish()
}
