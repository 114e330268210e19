//! Judges later changes of decided payments: a time that was reached, a refusal by SETTLE.

use settle_risk::{Scope, Severity, Today};
use settle_types::authorize::{Outcome, PaymentResult, Transition, TransitionCause};
use settle_types::request::EventType;

use super::command::subject;
use super::judgement::Context;
use super::state::{self, PaymentRow, ScheduledRow};

/// A scheduled payment's time has come: the rules and lists of now are asked again, with the limits of today.
pub(super) fn execution_due(context: &Context<'_>, scheduled: &ScheduledRow) -> Transition {
    let payment = &scheduled.payment;
    let row = state::payment(context.rows.get(&state::own_key(payment)));
    let row = row.expect("a scheduled payment has a row until its time");
    assert_eq!(row.status, Outcome::Scheduled, "only a scheduled payment waits in the due table");
    let subject = subject(payment, &scheduled.attributes);
    let verdict = context.config.rules().evaluate(Scope::Payment, &subject, today_without(context, row));
    let to = match verdict.severity {
        Severity::Approve => Outcome::Approved,
        Severity::Review => Outcome::Review,
        Severity::Decline => Outcome::Declined,
    };
    Transition {
        decision_id: scheduled.decision_id.clone(),
        from: Outcome::Scheduled,
        to,
        cause: TransitionCause::ExecutionDue,
        payment: payment.clone(),
        reasons: verdict.reasons,
        risk: Some(verdict.assessment),
        forwarded: to == Outcome::Approved,
    }
}

/// What the debtor has paid today, without this payment, which counts already if it was scheduled today.
fn today_without(context: &Context<'_>, row: &PaymentRow) -> Today {
    let today = context.today(&state::day_key(&row.payment, context.now.day()));
    if row.counted_on != Some(context.now.day()) {
        return today;
    }
    Today { sum_minor: today.sum_minor - row.payment.amount_minor.wide(), count: today.count - 1 }
}

/// SETTLE refused what was approved. Of a cancellation, the original stands again.
///
/// Nothing changes where the payment is another one by now, or was refused before.
pub(super) fn settlement_refusal(context: &Context<'_>, result: &PaymentResult) -> Vec<Transition> {
    let approved = &result.approved;
    let key = state::payment_key(&approved.debtor_account, &approved.merchant_id, &approved.payment_id);
    let Some(row) = context.payment(&key) else { return Vec::new() };
    // A payment whose cancellation is on its way to SETTLE can still be refused there. It must not stand again
    // when its cancellation is refused in turn.
    let stands = matches!(row.status, Outcome::Approved | Outcome::Cancelled);
    if row.decision_id != approved.decision_id || !stands {
        return Vec::new();
    }
    let refusal = |row: &PaymentRow, to| Transition {
        decision_id: row.decision_id.clone(),
        from: row.status,
        to,
        cause: TransitionCause::SettlementRefusal,
        payment: row.payment.clone(),
        reasons: result.reasons.clone(),
        risk: None,
        forwarded: false,
    };
    let mut changes = vec![refusal(row, Outcome::Refused)];
    if row.payment.event_type == EventType::Cancellation {
        let original_key = state::original_key(&row.payment).expect("a cancellation names its original");
        let original = context.payment(&original_key).filter(|original| {
            // One that is kept for longer than its cancellation is a later payment with the same id.
            original.status == Outcome::Cancelled && original.expires_at <= row.expires_at
        });
        changes.extend(original.map(|original| refusal(original, Outcome::Approved)));
    }
    changes
}
