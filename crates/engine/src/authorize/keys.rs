//! Names the rows that a command or an event reads, in stages: what was found may name more.

use settle_types::Timestamp;
use settle_types::authorize::{DecisionEvent, Payment};
use settle_types::request::EventType;

use super::command::{Command, Request};
use super::state::{self, AuthorizeRow};
use crate::rows::Rows;
use crate::state_key::StateKey;

/// Adds what the command still needs: for what it asks, and for what comes of it.
pub(super) fn of_command(
    command: &Command,
    now: Timestamp,
    rows: &Rows<AuthorizeRow>,
    missing: &mut Vec<StateKey>,
) {
    match command {
        Command::Request(request) => of_request(request, now, rows, missing),
        Command::Due(scheduled) => {
            of_change(&state::own_key(&scheduled.payment), &scheduled.payment, now, rows, missing);
        }
        Command::Result(result) => {
            let Ok(result) = &result.decoded else { return };
            let approved = &result.approved;
            let key =
                state::payment_key(&approved.debtor_account, &approved.merchant_id, &approved.payment_id);
            match state::payment(rows.found(&key)) {
                Some(own) => of_change(&key, &own.payment, now, rows, missing),
                None => rows.need(&key, missing),
            }
        }
        Command::Activate(_) => {}
    }
}

fn of_request(request: &Request, now: Timestamp, rows: &Rows<AuthorizeRow>, missing: &mut Vec<StateKey>) {
    let Some(valid) = request.judged.valid() else { return };
    rows.need(&valid.idempotency_row, missing);
    rows.need(&valid.own_row, missing);
    of_decision(&valid.payment, &valid.day_row(now.day()), rows, missing);
}

/// Adds what folding the event still needs.
pub(super) fn of_event(event: &DecisionEvent, rows: &Rows<AuthorizeRow>, missing: &mut Vec<StateKey>) {
    // Only a first decision, which consumes its key, changes rows.
    let first = event.decision.as_ref().filter(|decision| decision.key_expires_at.is_some());
    if let Some(payment) = first.and_then(|decision| decision.payment.as_ref()) {
        of_decision(payment, &state::day_key(payment, event.now.day()), rows, missing);
    }
    if let Some(transition) = &event.transition {
        let payment = &transition.payment;
        of_change(&state::own_key(payment), payment, event.now, rows, missing);
    }
}

/// What a first decision changes beside the rows that it puts: the debtor's day, or what the follow-up is about.
fn of_decision(payment: &Payment, today: &StateKey, rows: &Rows<AuthorizeRow>, missing: &mut Vec<StateKey>) {
    if payment.event_type == EventType::Payment {
        rows.need(today, missing);
    }
    of_original(payment, rows, missing);
}

/// What a later change of a payment reads: its row, the days that it counts against, and what it is about.
fn of_change(
    own_key: &StateKey,
    payment: &Payment,
    now: Timestamp,
    rows: &Rows<AuthorizeRow>,
    missing: &mut Vec<StateKey>,
) {
    rows.need(own_key, missing);
    counted_day(own_key, rows, missing);
    of_decision(payment, &state::day_key(payment, now.day()), rows, missing);
}

/// What a follow-up is about, and what that is about in turn.
fn of_original(payment: &Payment, rows: &Rows<AuthorizeRow>, missing: &mut Vec<StateKey>) {
    let Some(original_key) = state::original_key(payment) else { return };
    let original = state::payment(rows.found(&original_key));
    if let Some(of_original) = original.and_then(|original| state::original_key(&original.payment)) {
        rows.need(&of_original, missing);
    }
    counted_day(&original_key, rows, missing);
    rows.need(&original_key, missing);
}

/// The day against whose limits a found payment counts.
fn counted_day(payment_key: &StateKey, rows: &Rows<AuthorizeRow>, missing: &mut Vec<StateKey>) {
    let Some(row) = state::payment(rows.found(payment_key)) else { return };
    if let Some(day) = row.counted_on {
        rows.need(&state::day_key(&row.payment, day), missing);
    }
}
