//! Requests as upstream teams might send them: retries, conflicts, follow-ups, other currencies, wrong partitions, and
//! bytes that are no request.

use settle_log::partition_for_key;
use settle_log::simulated::Chance;
use settle_types::request::{EventType, PaymentRequested};

use settle_types::Timestamp;

use crate::clock::wall_micros;
use crate::settings::MERCHANTS;

/// A record for `payments.requested`.
#[derive(Clone, Debug)]
pub struct Planned {
    /// When it is sent, in virtual milliseconds.
    pub at_ms: u64,
    /// To which partition.
    pub partition: u32,
    /// How long before that it is dated, in wall-clock seconds; below 0: after it.
    pub age_seconds: i64,
    /// What it asks for; none: bytes that mean nothing.
    pub request: Option<PaymentRequested>,
}

/// Draws requests over this span of time.
pub fn requests(chance: &mut Chance, count: u64, span_ms: u64, partitions: u32) -> Vec<Planned> {
    let mut moments: Vec<u64> = (0..count).map(|_| chance.below(span_ms)).collect();
    moments.sort_unstable();
    let mut past: Vec<Planned> = Vec::new();
    for at_ms in moments {
        let next = next(chance, &past, at_ms, partitions);
        past.push(next);
    }
    past
}

fn next(chance: &mut Chance, past: &[Planned], at_ms: u64, partitions: u32) -> Planned {
    if chance.one_in(40) {
        let partition = u32::try_from(chance.below(u64::from(partitions))).unwrap_or(0);
        return Planned { at_ms, partition, age_seconds: 0, request: None };
    }
    if chance.one_in(7)
        && let Some(earlier) = recent(chance, past)
        && earlier.request.is_some()
    {
        // A retry: often soon, and with another date.
        return Planned { at_ms, ..earlier.clone() };
    }
    let request = fresh(chance, past, at_ms);
    let right = partition_for_key(request.debtor_account.as_str().as_bytes(), partitions);
    let partition = if chance.one_in(30) { (right + 1) % partitions } else { right };
    let age_seconds = match chance.below(20) {
        0 => -200,
        1 => -900,
        2 => 40_000,
        _ => i64::try_from(chance.below(3_000)).unwrap_or(0),
    };
    Planned { at_ms, partition, age_seconds, request: Some(request) }
}

/// One of the last.
fn recent<'a>(chance: &mut Chance, past: &'a [Planned]) -> Option<&'a Planned> {
    let last = &past[past.len().saturating_sub(40)..];
    chance.pick(last)
}

fn fresh(chance: &mut Chance, past: &[Planned], at_ms: u64) -> PaymentRequested {
    let kind = match chance.below(24) {
        0..=13 => EventType::Payment,
        14..=17 => EventType::Refund,
        18 | 19 => EventType::Chargeback,
        20 => EventType::ChargebackReversal,
        _ => EventType::Cancellation,
    };
    // Few ids, so that they are used again.
    let id = format!("p{:04}", chance.below(500));
    let key = if chance.one_in(8) { format!("key-{}", chance.below(20)) } else { format!("key-{id}") };
    let amounts = [1, 99, 1_050, 2_500, 5_000, 9_999, 10_000, 20_050, 50_000];
    let amount = match chance.below(24) {
        0 => 50_001,
        1 => 0,
        _ => *chance.pick(&amounts).expect("some"),
    };
    let currency = match chance.below(30) {
        0..=20 => "EUR",
        21..=27 => "JPY",
        28 => "CZK",
        _ => "XXX",
    };
    let mut request = PaymentRequested {
        event_type: kind,
        payment_id: id.as_str().into(),
        idempotency_key: key.as_str().into(),
        debtor_account: format!("d{:02}", chance.below(16)).as_str().into(),
        merchant_id: (*chance.pick(&MERCHANTS).expect("some")).into(),
        amount_minor: amount,
        currency: currency.into(),
        payment_method: if chance.one_in(10) { "BANK_TRANSFER" } else { "CARD" }.into(),
        ..PaymentRequested::default()
    };
    if kind == EventType::Payment {
        if chance.one_in(4) {
            let in_seconds = i64::try_from(chance.between(600, 60_000)).unwrap_or(600);
            let seconds = wall_micros(at_ms) / 1_000_000 + in_seconds;
            request.execute_at = Some(Timestamp::from_micros(seconds * 1_000_000));
        }
        return request;
    }
    let needed =
        if kind == EventType::ChargebackReversal { EventType::Chargeback } else { EventType::Payment };
    let fitting: Vec<&PaymentRequested> = past
        .iter()
        .rev()
        .take(120)
        .filter_map(|earlier| earlier.request.as_ref())
        .filter(|earlier| earlier.event_type == needed && earlier.payment_id != request.payment_id)
        .collect();
    match chance.pick(&fitting) {
        Some(original) if !chance.one_in(10) => {
            request.original_payment_id = Some(original.payment_id.clone());
            request.debtor_account = original.debtor_account.clone();
            request.merchant_id = original.merchant_id.clone();
            let whole = original.amount_minor;
            request.amount_minor = match chance.below(6) {
                0 | 1 => whole,
                _ if kind == EventType::Cancellation => whole,
                2 | 3 => whole / 2 + 1,
                4 => whole / 3,
                _ => whole + 1,
            };
            if !chance.one_in(20) {
                request.currency = original.currency.clone();
            }
        }
        _ => request.original_payment_id = Some(format!("p{:04}", 600 + chance.below(9)).as_str().into()),
    }
    request
}
