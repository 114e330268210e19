//! Applies events of AUTHORIZE to its state. No judgement: what happened was decided.
//!
//! A row that has expired counts as absent, whether the store has collected it or not (I10).

use settle_types::authorize::{Decision, DecisionEvent, Outcome, Payment, Transition, TransitionCause};
use settle_types::request::EventType;
use settle_types::{Day, Minor, Timestamp};

use super::follow_up::taken;
use super::state::{
    self, AuthorizeRow, IdempotencyRow, PAYMENT_RETENTION, PaymentRow, ScheduledRow, VelocityRow,
};
use crate::meta::Meta;
use crate::rows::Rows;
use crate::state_key::StateKey;

pub(super) fn evolve(rows: &mut Rows<AuthorizeRow>, meta: &mut Meta, event: &DecisionEvent) {
    meta.advance(event.sequence, event.now, event.input.as_ref());
    if let Some(decision) = &event.decision {
        apply_decision(rows, event.now, decision);
    }
    if let Some(transition) = &event.transition {
        apply_transition(rows, event.now, transition);
    }
    if let Some(activation) = &event.config {
        rows.put(StateKey::config(), AuthorizeRow::Config(activation.clone()));
    }
}

/// Outcomes that count against the limits of a debtor's day.
fn counts(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Approved | Outcome::Review | Outcome::Scheduled)
}

fn apply_decision(rows: &mut Rows<AuthorizeRow>, now: Timestamp, decision: &Decision) {
    // Only a first decision consumes its key; replays, conflicts, malformed and re-routed requests change nothing.
    let Some(key_expires_at) = decision.key_expires_at else { return };
    let payment = decision.payment.as_ref().expect("a decision that consumes a key has a payment");
    let fingerprint = decision.fingerprint.expect("a decision that consumes a key has a fingerprint");
    rows.put(
        state::idempotency_key(&payment.merchant_id, &payment.debtor_account, &payment.idempotency_key),
        AuthorizeRow::Idempotency(IdempotencyRow {
            fingerprint,
            decision_id: decision.decision_id.clone(),
            outcome: decision.outcome,
            payment_id: payment.payment_id.clone(),
            expires_at: key_expires_at,
        }),
    );
    let is_counted = payment.event_type == EventType::Payment && counts(decision.outcome);
    // A scheduled payment is remembered from its execution on, which may be years ahead.
    let scheduled_for = payment.execute_at.filter(|_| decision.outcome == Outcome::Scheduled);
    let remembered_from = scheduled_for.unwrap_or(now);
    rows.put(
        state::own_key(payment),
        AuthorizeRow::Payment(Box::new(PaymentRow {
            decision_id: decision.decision_id.clone(),
            status: decision.outcome,
            payment: payment.clone(),
            refunded: Minor::ZERO,
            disputed: Minor::ZERO,
            counted_on: is_counted.then(|| now.day()),
            expires_at: remembered_from.saturating_add(PAYMENT_RETENTION),
        })),
    );
    if is_counted {
        count(rows, now, payment, now.day(), 1);
    }
    if let Some(execute_at) = scheduled_for {
        let scheduled = ScheduledRow {
            decision_id: decision.decision_id.clone(),
            payment: payment.clone(),
            attributes: decision.attributes.clone().unwrap_or_default(),
        };
        rows.put(state::scheduled_key(execute_at, payment), AuthorizeRow::Scheduled(Box::new(scheduled)));
    }
    if decision.outcome == Outcome::Approved {
        take_from_original(rows, now, payment, false);
    }
}

fn apply_transition(rows: &mut Rows<AuthorizeRow>, now: Timestamp, transition: &Transition) {
    let Transition { from, to, payment, .. } = transition;
    if *from == Outcome::Scheduled {
        let execute_at = payment.execute_at.expect("a scheduled payment has its time");
        rows.remove(state::scheduled_key(execute_at, payment));
    }
    if *from == Outcome::Approved && *to == Outcome::Refused {
        take_from_original(rows, now, payment, true);
    }
    let counted_on = rows.change(&state::own_key(payment), |row| {
        let row = state::payment_mut(row).expect("a payment that changes has a row");
        row.status = *to;
        let counted_on = row.counted_on;
        if row.counted_on.is_some() && moves_to_today(transition) {
            row.counted_on = Some(now.day());
        }
        counted_on
    });
    let Some(day) = counted_on else { return };
    match (counts(*from), counts(*to)) {
        (true, false) => count(rows, now, payment, day, -1),
        (false, true) => count(rows, now, payment, day, 1),
        (true, true) if moves_to_today(transition) && day != now.day() => {
            count(rows, now, payment, now.day(), 1);
        }
        _ => {}
    }
}

/// The money of a scheduled payment leaves today: it counts against today's limits too.
fn moves_to_today(transition: &Transition) -> bool {
    transition.cause == TransitionCause::ExecutionDue && counts(transition.from) && counts(transition.to)
}

/// Adds a payment to a debtor's day, or takes it back. A day that is over is not kept.
fn count(rows: &mut Rows<AuthorizeRow>, now: Timestamp, payment: &Payment, day: Day, payments: i64) {
    rows.change(&state::day_key(payment, day), |row| {
        let found = state::velocity(row.as_ref()).copied().filter(|row| row.expires_at > now);
        if found.is_none() && payments < 0 {
            return;
        }
        let none = VelocityRow { sum: 0, count: 0, expires_at: state::velocity_expiry(day) };
        let mut changed = found.unwrap_or(none);
        changed.sum += payment.amount_minor.wide() * i128::from(payments);
        changed.count += payments;
        assert!(changed.sum >= 0 && changed.count >= 0, "a debtor's day never falls below zero");
        *row = Some(AuthorizeRow::Velocity(changed));
    });
}

/// What an approved follow-up takes from the payment that it is about; `undo` gives it back.
fn take_from_original(rows: &mut Rows<AuthorizeRow>, now: Timestamp, payment: &Payment, undo: bool) {
    let Some(original_key) = state::original_key(payment) else { return };
    let own = state::payment(rows.get(&state::own_key(payment))).expect("a follow-up has a row");
    let (reversed, known_until) = (own.disputed, own.expires_at);
    let amount = payment.amount_minor;
    match payment.event_type {
        EventType::Refund => change_payment(rows, now, known_until, &original_key, |row| {
            row.refunded = taken(row.refunded, amount, undo);
        }),
        EventType::Chargeback => {
            // What a reversal gave back before the chargeback was refused is not taken any more. A new
            // chargeback has no reversals.
            let amount = amount.minus(reversed).expect("reversals never exceed their chargeback");
            change_payment(rows, now, known_until, &original_key, |row| {
                row.disputed = taken(row.disputed, amount, undo);
            });
        }
        EventType::ChargebackReversal => {
            change_payment(rows, now, known_until, &original_key, |row| {
                row.disputed = taken(row.disputed, amount, undo);
            });
            // A chargeback that was refused takes nothing, so that its refused reversal has nothing to restore.
            let chargeback = state::payment(rows.get(&original_key));
            let standing = chargeback.filter(|row| row.status == Outcome::Approved);
            let Some(standing) = standing else { return };
            let known_until = standing.expires_at;
            let Some(disputed_key) = state::original_key(&standing.payment) else { return };
            change_payment(rows, now, known_until, &disputed_key, |row| {
                row.disputed = taken(row.disputed, amount, !undo);
            });
        }
        EventType::Payment | EventType::Cancellation | EventType::Unknown => {}
    }
}

/// Changes the row of a follow-up's original; one that was forgotten meanwhile stays forgotten.
///
/// An original is decided before its follow-up, and so is forgotten no later: a row that is kept beyond
/// `known_until`, the follow-up's own expiry, is of a later payment with the same id.
fn change_payment(
    rows: &mut Rows<AuthorizeRow>,
    now: Timestamp,
    known_until: Timestamp,
    key: &StateKey,
    change: impl FnOnce(&mut PaymentRow),
) {
    rows.change(key, |row| {
        let known = |row: &&mut PaymentRow| row.expires_at > now && row.expires_at <= known_until;
        if let Some(row) = state::payment_mut(row).filter(known) {
            change(row);
        }
    });
}
