//! Judges a request by itself, in a documented order: the first thing that is wrong is the reason.
//!
//! 1. partition, 2. event type, 3. required fields, lengths and characters, 4. amount, 5. currency,
//! 6. original id, 7. payment method, 8. dates and priority, 9. metadata, 10. card numbers.
//!
//! Where a request in the wrong partition is sent to its right one, the partition counts last: only what is well formed
//! is sent on.

use settle_risk::card_number;
use settle_types::authorize::Payment;
use settle_types::reason;
use settle_types::request::{EventType, PaymentRequested};
use settle_types::{Minor, Timestamp};

use super::config::{AuthorizeConfig, IdFormat};
use crate::input::Malformed;

/// Longest id or account, in characters.
pub const MAX_ID_CHARACTERS: usize = 255;
/// Longest other text field, in characters.
pub const MAX_TEXT_CHARACTERS: usize = 255;
/// Longest payment method: it becomes part of an account's name.
pub const MAX_METHOD_CHARACTERS: usize = 32;
/// Most pairs of metadata.
pub const MAX_METADATA_PAIRS: usize = 64;
/// Longest value in metadata, in characters.
pub const MAX_METADATA_CHARACTERS: usize = 1_024;
/// 2000-01-01T00:00:00Z, the earliest date a request may have.
pub const EARLIEST: Timestamp = Timestamp::from_micros(946_684_800_000_000);
/// 2100-01-01T00:00:00Z, the end of the dates a request may have.
pub const LATEST: Timestamp = Timestamp::from_micros(4_102_444_800_000_000);

fn malformed(code: &'static str, detail: String) -> Malformed {
    Malformed { code, detail }
}

/// A record counts only in the partition of its debtor: elsewhere its key would be judged without its history.
pub fn partition(found: i32, right: i32) -> Result<(), Malformed> {
    if found == right {
        return Ok(());
    }
    let detail = format!(
        "the record is in partition {found}, its debtor_account belongs to {right}: produce with the debtor_account as the record's key and Kafka's default (murmur2) partitioner"
    );
    Err(malformed(reason::WRONG_PARTITION, detail))
}

/// The payment that the request asks for, or the first thing that is wrong with it.
pub fn payment(requested: &PaymentRequested, config: &AuthorizeConfig) -> Result<Payment, Malformed> {
    if requested.event_type == EventType::Unknown {
        let known = "PAYMENT, REFUND, CHARGEBACK, CHARGEBACK_REVERSAL or CANCELLATION";
        return Err(malformed(reason::EVENT_TYPE_UNKNOWN, format!("event_type: {known} was expected")));
    }
    ids(requested, config)?;
    if requested.amount_minor <= 0 {
        let detail =
            format!("amount_minor: {} was found, an amount above zero was expected", requested.amount_minor);
        return Err(malformed(reason::AMOUNT_NOT_POSITIVE, detail));
    }
    let Some(currency) = config.currencies().find(&requested.currency) else {
        let shown = shorten(&requested.currency);
        let detail = format!("currency: {shown:?} was found, a code of ISO 4217 was expected");
        return Err(malformed(reason::CURRENCY_UNKNOWN, detail));
    };
    original_id(requested)?;
    payment_method(&requested.payment_method)?;
    dates_and_priority(requested)?;
    other_text(requested)?;
    card_numbers(requested, config)?;
    Ok(Payment {
        event_type: requested.event_type,
        payment_id: requested.payment_id.clone(),
        original_payment_id: requested.original_payment_id.clone(),
        idempotency_key: requested.idempotency_key.clone(),
        debtor_account: requested.debtor_account.clone(),
        merchant_id: requested.merchant_id.clone(),
        amount_minor: Minor::new(requested.amount_minor),
        currency,
        payment_method: requested.payment_method.clone(),
        requested_at: requested.requested_at,
        execute_at: requested.execute_at,
    })
}

fn id_fields(requested: &PaymentRequested) -> [(&'static str, &str); 5] {
    [
        ("payment_id", requested.payment_id.as_str()),
        ("idempotency_key", requested.idempotency_key.as_str()),
        ("debtor_account", requested.debtor_account.as_str()),
        ("merchant_id", requested.merchant_id.as_str()),
        ("original_payment_id", requested.original_payment_id.as_ref().map_or("", |id| id.as_str())),
    ]
}

fn ids(requested: &PaymentRequested, config: &AuthorizeConfig) -> Result<(), Malformed> {
    for (field, value) in id_fields(requested) {
        let is_absent = field == "original_payment_id" && requested.original_payment_id.is_none();
        if is_absent {
            continue;
        }
        if value.is_empty() {
            let detail = format!("{field}: empty, 1 to {MAX_ID_CHARACTERS} characters were expected");
            return Err(malformed(reason::FIELD_MISSING, detail));
        }
        text(field, value, MAX_ID_CHARACTERS)?;
        if let Some(format) = config.id_format(field)
            && !has_format(value, format)
        {
            let detail =
                format!("{field}: {:?} does not have the declared format {format:?}", shorten(value));
            return Err(malformed(reason::FIELD_INVALID, detail));
        }
    }
    Ok(())
}

fn has_format(value: &str, format: IdFormat) -> bool {
    let bytes = value.as_bytes();
    match format {
        IdFormat::Numeric => bytes.iter().all(u8::is_ascii_digit),
        IdFormat::Text => true,
        IdFormat::Iban => {
            (15..=34).contains(&bytes.len())
                && bytes[..2].iter().all(u8::is_ascii_uppercase)
                && bytes[2..4].iter().all(u8::is_ascii_digit)
                && bytes[4..].iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        }
        IdFormat::Uuid => {
            bytes.len() == 36
                && bytes.iter().enumerate().all(|(index, byte)| match index {
                    8 | 13 | 18 | 23 => *byte == b'-',
                    _ => byte.is_ascii_hexdigit(),
                })
        }
    }
}

fn text(field: &str, value: &str, max_characters: usize) -> Result<(), Malformed> {
    // Bytes first: counting characters of what is far too long would be work for nothing.
    let is_too_long = value.len() > max_characters && value.chars().count() > max_characters;
    if is_too_long {
        let detail = format!("{field}: longer than {max_characters} characters");
        return Err(malformed(reason::FIELD_TOO_LONG, detail));
    }
    if value.chars().any(char::is_control) {
        let detail = format!("{field}: control characters are not allowed");
        return Err(malformed(reason::FIELD_INVALID, detail));
    }
    Ok(())
}

fn original_id(requested: &PaymentRequested) -> Result<(), Malformed> {
    let is_payment = requested.event_type == EventType::Payment;
    let detail = match (&requested.original_payment_id, is_payment) {
        (Some(_), true) => "original_payment_id: a PAYMENT has no original".to_owned(),
        (None, false) => {
            format!("original_payment_id: a {} names its original", requested.event_type.as_str())
        }
        (Some(original), false) if *original == requested.payment_id => {
            "original_payment_id: a follow-up has a payment_id of its own".to_owned()
        }
        _ => return Ok(()),
    };
    Err(malformed(reason::ORIGINAL_ID_INVALID, detail))
}

fn payment_method(method: &str) -> Result<(), Malformed> {
    if method.is_empty() {
        return Err(malformed(
            reason::FIELD_MISSING,
            "payment_method: empty, for example CARD was expected".into(),
        ));
    }
    text("payment_method", method, MAX_METHOD_CHARACTERS)?;
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if !method.bytes().all(is_name) {
        let shown = shorten(method);
        let detail =
            format!("payment_method: {shown:?} was found, capital letters, digits and _ were expected");
        return Err(malformed(reason::FIELD_INVALID, detail));
    }
    Ok(())
}

fn dates_and_priority(requested: &PaymentRequested) -> Result<(), Malformed> {
    let dates = [("requested_at", Some(requested.requested_at)), ("execute_at", requested.execute_at)];
    for (field, date) in dates {
        if let Some(date) = date.filter(|date| !(EARLIEST..LATEST).contains(date)) {
            let detail = format!(
                "{field}: {} microseconds since 1970 are outside the years 2000 to 2099",
                date.as_micros()
            );
            return Err(malformed(reason::FIELD_INVALID, detail));
        }
    }
    if requested.execute_at.is_some() && requested.event_type != EventType::Payment {
        let detail = "execute_at: only a PAYMENT can be scheduled".to_owned();
        return Err(malformed(reason::FIELD_INVALID, detail));
    }
    if !(0..=9).contains(&requested.priority) {
        let detail = format!("priority: {} was found, 0 to 9 was expected", requested.priority);
        return Err(malformed(reason::FIELD_INVALID, detail));
    }
    Ok(())
}

fn free_text(requested: &PaymentRequested) -> impl Iterator<Item = (&'static str, &str)> {
    let card = requested.card.as_ref();
    [
        ("payment_method", Some(requested.payment_method.as_str())),
        ("card.token", card.map(|card| card.token.as_str())),
        ("card.bin", card.and_then(|card| card.bin.as_deref())),
        ("card.last4", card.and_then(|card| card.last4.as_deref())),
        ("card.expiry", card.and_then(|card| card.expiry.as_deref())),
        ("country", requested.country.as_deref()),
        ("mcc", requested.mcc.as_deref()),
        ("ip", requested.ip.as_deref()),
        ("device_id", requested.device_id.as_deref()),
    ]
    .into_iter()
    .filter_map(|(field, value)| value.map(|value| (field, value)))
}

fn other_text(requested: &PaymentRequested) -> Result<(), Malformed> {
    for (field, value) in free_text(requested) {
        text(field, value, MAX_TEXT_CHARACTERS)?;
    }
    if requested.metadata.len() > MAX_METADATA_PAIRS {
        let detail = format!(
            "metadata: {} pairs were found, at most {MAX_METADATA_PAIRS} were expected",
            requested.metadata.len()
        );
        return Err(malformed(reason::FIELD_TOO_LONG, detail));
    }
    for (name, value) in &requested.metadata {
        let is_too_long =
            name.chars().count() > MAX_TEXT_CHARACTERS || value.chars().count() > MAX_METADATA_CHARACTERS;
        if is_too_long {
            let detail = format!(
                "metadata: a name of at most {MAX_TEXT_CHARACTERS} and a value of at most {MAX_METADATA_CHARACTERS} characters were expected"
            );
            return Err(malformed(reason::FIELD_TOO_LONG, detail));
        }
    }
    Ok(())
}

fn card_numbers(requested: &PaymentRequested, config: &AuthorizeConfig) -> Result<(), Malformed> {
    let found = |field: &str| {
        let detail = format!(
            "{field}: holds a card number; send a token instead (an id field whose format is declared in id_formats is not searched)"
        );
        Err(malformed(reason::CARD_NUMBER_PRESENT, detail))
    };
    for (field, value) in id_fields(requested) {
        if config.id_format(field).is_none() && card_number::find(value).is_some() {
            return found(field);
        }
    }
    for (field, value) in free_text(requested) {
        if card_number::find(value).is_some() {
            return found(field);
        }
    }
    for (name, value) in &requested.metadata {
        if card_number::find(name).is_some() || card_number::find(value).is_some() {
            return found("metadata");
        }
    }
    Ok(())
}

/// The beginning of a value, for an error message, without the digits of a card number. Masked before it is
/// cut, so that no part of a number is left.
fn shorten(value: &str) -> String {
    let masked = card_number::mask(value);
    masked.as_deref().unwrap_or(value).chars().take(40).collect()
}
