//! Fingerprint v1: the content of a request, so that a retry is told from a conflicting reuse of its key.
//!
//! BLAKE3 over `settle.fingerprint.v1` and then, in this order: event_type, original_payment_id, amount_minor,
//! currency, payment_method, card.token, execute_at. Text is its length in four bytes and its UTF-8; numbers are
//! eight bytes, both big-endian; an absent optional field is the byte 0, a present one the byte 1 and its value.
//! Times of attempts, attempt ids and metadata are left out: they differ between retries of one intent.

use settle_types::Digest;
use settle_types::authorize::{Fingerprint, Payment};

/// Version of the encoding.
pub const VERSION: i32 = 1;
const DOMAIN: &[u8] = b"settle.fingerprint.v1";

/// The fingerprint of a valid request.
pub fn fingerprint(payment: &Payment, card_token: Option<&str>) -> Fingerprint {
    let mut bytes = Vec::with_capacity(160);
    bytes.extend_from_slice(DOMAIN);
    put_text(&mut bytes, payment.event_type.as_str());
    put_optional_text(&mut bytes, payment.original_payment_id.as_ref().map(|id| id.as_str()));
    bytes.extend_from_slice(&payment.amount_minor.get().to_be_bytes());
    put_text(&mut bytes, payment.currency.as_str());
    put_text(&mut bytes, &payment.payment_method);
    put_optional_text(&mut bytes, card_token);
    match payment.execute_at {
        None => bytes.push(0),
        Some(time) => {
            bytes.push(1);
            bytes.extend_from_slice(&time.as_micros().to_be_bytes());
        }
    }
    Fingerprint { version: VERSION, hash: Digest::from_bytes(*blake3::hash(&bytes).as_bytes()) }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).expect("validated text is far shorter than 4 GiB");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn put_optional_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    bytes.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(bytes, text);
    }
}
