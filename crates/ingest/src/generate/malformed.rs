//! What no upstream team should send, and some team will.

use rand::Rng;
use rand_chacha::ChaCha12Rng;
use settle_types::request::PaymentRequested;
use settle_types::{Duration, IdempotencyKey, Timestamp};

use super::Generated;

/// A test number of a card scheme: never a real card.
const TEST_CARD_NUMBER: &str = "4111 1111 1111 1111";

/// Spoils a request in one of many ways.
pub(super) fn spoil(random: &mut ChaCha12Rng, mut request: PaymentRequested) -> Generated {
    let timestamp = request.requested_at;
    let key = request.debtor_account.as_str().as_bytes().to_vec();
    match random.random_range(0..8_u8) {
        0 => return Generated::Malformed { key, bytes: b"{\"amount\": 12.50}".to_vec(), timestamp },
        // The wire format with a schema id that nobody registered.
        1 => return Generated::Malformed { key, bytes: vec![0, 0, 0, 0x27, 0x0f, 2, 4, 6], timestamp },
        2 => request.amount_minor = 0,
        3 => request.currency = "ZZZ".into(),
        4 => {
            request.metadata.insert("note".into(), format!("card {TEST_CARD_NUMBER}").into());
        }
        5 => request.idempotency_key = IdempotencyKey::new("k".repeat(256)),
        6 => request.requested_at = far_ahead(timestamp),
        _ => request.merchant_id = "".into(),
    }
    Generated::Request(Box::new(request))
}

fn far_ahead(timestamp: Timestamp) -> Timestamp {
    timestamp.saturating_add(Duration::from_days(400))
}
