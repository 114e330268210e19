//! A payment request as upstream teams send it: decoded, not yet judged.

use std::collections::BTreeMap;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::{DebtorAccount, IdempotencyKey, MerchantId, PaymentId, Timestamp};

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventType {
    /// A kind that this version does not know; refused.
    #[default]
    Unknown,
    /// Take money from the debtor for the merchant. Approved means captured.
    Payment,
    /// Give back part or all of a PAYMENT.
    Refund,
    /// The scheme takes money back from the merchant: a fact.
    Chargeback,
    /// The scheme gives a CHARGEBACK back to the merchant: a fact.
    ChargebackReversal,
    /// Undo a PAYMENT that has not been settled.
    Cancellation,
}

impl EventType {
    /// The name in schemas and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Payment => "PAYMENT",
            Self::Refund => "REFUND",
            Self::Chargeback => "CHARGEBACK",
            Self::ChargebackReversal => "CHARGEBACK_REVERSAL",
            Self::Cancellation => "CANCELLATION",
        }
    }
}

/// A tokenised card. A card number never enters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Token of the vault that holds the number.
    pub token: CompactString,
    /// First six or eight digits.
    #[serde(default)]
    pub bin: Option<CompactString>,
    /// Last four digits.
    #[serde(default)]
    pub last4: Option<CompactString>,
    /// Month of expiry, `MM/YY`.
    #[serde(default)]
    pub expiry: Option<CompactString>,
}

/// The value of `payments.requested`. Field order is that of the Avro schema `PaymentRequested`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRequested {
    /// What is asked for.
    pub event_type: EventType,
    /// Id of this request's payment or follow-up; each follow-up has its own.
    pub payment_id: PaymentId,
    /// The PAYMENT a follow-up is about; of a CHARGEBACK_REVERSAL, the CHARGEBACK.
    #[serde(default)]
    pub original_payment_id: Option<PaymentId>,
    /// The caller's key for one intent: retries carry the same.
    pub idempotency_key: IdempotencyKey,
    /// The account that pays; a follow-up carries the original's.
    pub debtor_account: DebtorAccount,
    /// The merchant that is paid.
    pub merchant_id: MerchantId,
    /// Amount in minor units, above zero.
    pub amount_minor: i64,
    /// ISO 4217 code, as sent.
    pub currency: CompactString,
    /// How it was paid: `CARD`, `BANK_TRANSFER`, ...
    pub payment_method: CompactString,
    /// The card, where one was used.
    #[serde(default)]
    pub card: Option<Card>,
    /// ISO 3166 country of the debtor.
    #[serde(default)]
    pub country: Option<CompactString>,
    /// Merchant category code.
    #[serde(default)]
    pub mcc: Option<CompactString>,
    /// Address of the payer's device.
    #[serde(default)]
    pub ip: Option<CompactString>,
    /// The payer's device.
    #[serde(default)]
    pub device_id: Option<CompactString>,
    /// When the request was made, UTC.
    pub requested_at: Timestamp,
    /// When the payment is to be carried out, if later.
    #[serde(default)]
    pub execute_at: Option<Timestamp>,
    /// 0 (normal) to 9.
    #[serde(default)]
    pub priority: i32,
    /// Free pairs of the caller; copied nowhere but into the dead letter.
    #[serde(default)]
    pub metadata: BTreeMap<CompactString, CompactString>,
}
