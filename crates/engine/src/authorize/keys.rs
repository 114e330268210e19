//! Names the rows that a command or an event reads, in stages: what was found may name more.

use settle_types::Timestamp;
use settle_types::authorize::{DecisionEvent, Payment};
use settle_types::request::EventType;

use super::command::Command;
use super::state::{self, AuthorizeRow};
use crate::rows::Rows;
use crate::state_key::StateKey;

/// Adds what the command still needs.
pub(super) fn of_command(
    command: &Command,
    now: Timestamp,
    rows: &Rows<AuthorizeRow>,
    missing: &mut Vec<StateKey>,
) {
    match command {
        Command::Request(request) => {
            let Some(valid) = request.judged.valid() else { return };
            let Payment { merchant_id, debtor_account, idempotency_key, .. } = &valid.payment;
            need(state::idempotency_key(merchant_id, debtor_account, idempotency_key), rows, missing);
            of_payment(&valid.payment, now, rows, missing);
        }
        Command::Due(scheduled) => of_payment(&scheduled.payment, now, rows, missing),
        Command::Result(result) => {
            let Ok(result) = &result.decoded else { return };
            let approved = &result.approved;
            let key =
                state::payment_key(&approved.debtor_account, &approved.merchant_id, &approved.payment_id);
            let own = state::payment(rows.found(&key)).cloned();
            need(key, rows, missing);
            if let Some(own) = own {
                of_payment(&own.payment, now, rows, missing);
            }
        }
        Command::Activate(_) => {}
    }
}

/// Adds what folding the event still needs.
pub(super) fn of_event(event: &DecisionEvent, rows: &Rows<AuthorizeRow>, missing: &mut Vec<StateKey>) {
    // Only a first decision, which consumes its key, changes rows.
    let first = event.decision.as_ref().filter(|decision| decision.key_expires_at.is_some());
    let decided = first.and_then(|decision| decision.payment.as_ref());
    let changed = event.transition.as_ref().map(|transition| &transition.payment);
    for payment in decided.into_iter().chain(changed) {
        of_payment(payment, event.now, rows, missing);
    }
}

/// The payment itself, what it is about, and the days that it counts against.
fn of_payment(payment: &Payment, now: Timestamp, rows: &Rows<AuthorizeRow>, missing: &mut Vec<StateKey>) {
    let own_key = state::own_key(payment);
    if payment.event_type == EventType::Payment {
        let today = state::velocity_key(&payment.debtor_account, payment.currency, now.day());
        need(today, rows, missing);
        counted_day(&own_key, rows, missing);
    }
    need(own_key, rows, missing);
    let Some(original_key) = state::original_key(payment) else { return };
    if let Some(original) = state::payment(rows.found(&original_key)) {
        let of_original = state::original_key(&original.payment);
        if let Some(of_original) = of_original {
            need(of_original, rows, missing);
        }
    }
    counted_day(&original_key, rows, missing);
    need(original_key, rows, missing);
}

/// The day against whose limits a found payment counts.
fn counted_day(payment_key: &StateKey, rows: &Rows<AuthorizeRow>, missing: &mut Vec<StateKey>) {
    let Some(row) = state::payment(rows.found(payment_key)) else { return };
    if let Some(day) = row.counted_on {
        need(state::velocity_key(&row.payment.debtor_account, row.payment.currency, day), rows, missing);
    }
}

fn need(key: StateKey, rows: &Rows<AuthorizeRow>, missing: &mut Vec<StateKey>) {
    if !rows.is_known(&key) {
        missing.push(key);
    }
}
