//! Refunds, chargebacks, reversals, cancellations and retries of what was generated before.

use rand::Rng;
use rand_chacha::ChaCha12Rng;
use settle_types::request::{EventType, PaymentRequested};
use settle_types::{IdempotencyKey, PaymentId, Timestamp};

/// How much of its original a follow-up takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// All of it.
    Whole,
    /// A part of it.
    Part,
    /// More than it.
    TooMuch,
}

/// A follow-up of a payment, or of a chargeback for a reversal: with the original's debtor and merchant. `name` is
/// what its ids end with.
pub(super) fn follow_up(
    random: &mut ChaCha12Rng,
    original: &PaymentRequested,
    event_type: EventType,
    share: Share,
    name: &str,
    requested_at: Timestamp,
) -> PaymentRequested {
    let amount_minor = match share {
        Share::Whole => original.amount_minor,
        Share::Part => random.random_range(1..=original.amount_minor),
        Share::TooMuch => original.amount_minor + 1,
    };
    let prefix = match event_type {
        EventType::Refund => "ref",
        EventType::Chargeback => "cbk",
        EventType::ChargebackReversal => "rev",
        _ => "can",
    };
    PaymentRequested {
        event_type,
        payment_id: PaymentId::new(format!("{prefix}-{name}")),
        original_payment_id: Some(original.payment_id.clone()),
        idempotency_key: IdempotencyKey::new(format!("key-{name}")),
        amount_minor,
        card: None,
        requested_at,
        execute_at: None,
        ..original.clone()
    }
}

/// The same request again: only what differs between attempts differs.
pub(super) fn retry(original: &PaymentRequested, requested_at: Timestamp) -> PaymentRequested {
    let mut again = original.clone();
    again.requested_at = requested_at;
    again.metadata.insert("attempt".into(), "2".into());
    again
}

/// The key of a request, used for another amount.
pub(super) fn conflict(original: &PaymentRequested, requested_at: Timestamp) -> PaymentRequested {
    let mut other = retry(original, requested_at);
    other.amount_minor += 1;
    other
}
