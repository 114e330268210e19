//! Requests as upstream teams send them: plain defaults, a test states what it is about.

use settle_types::request::{EventType, PaymentRequested};
use settle_types::{Day, Duration, Timestamp};

/// 2026-03-02, a Monday, at noon UTC, and this many seconds.
pub fn noon_plus(seconds: u32) -> Timestamp {
    let monday = Day::from_civil(2026, 3, 2).expect("a day").start();
    monday.saturating_add(Duration::from_seconds(12 * 3_600 + seconds))
}

/// A PAYMENT of 100.00 EUR by bank transfer from this debtor to `m-1`, with a key of its own.
pub fn payment(debtor: &str, id: &str) -> PaymentRequested {
    PaymentRequested {
        event_type: EventType::Payment,
        payment_id: id.into(),
        idempotency_key: format!("key-{id}").as_str().into(),
        debtor_account: debtor.into(),
        merchant_id: "m-1".into(),
        amount_minor: 10_000,
        currency: "EUR".into(),
        payment_method: "BANK_TRANSFER".into(),
        requested_at: noon_plus(0),
        ..PaymentRequested::default()
    }
}

/// A REFUND of an earlier payment of this debtor.
pub fn refund(debtor: &str, id: &str, original: &str, amount_minor: i64) -> PaymentRequested {
    PaymentRequested {
        event_type: EventType::Refund,
        original_payment_id: Some(original.into()),
        amount_minor,
        ..payment(debtor, id)
    }
}

/// The value of a request's record.
pub fn encoded(request: &PaymentRequested) -> Vec<u8> {
    let mut value = Vec::new();
    settle_schema::encode(request, &mut value);
    value
}
